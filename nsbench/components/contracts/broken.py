"""The error that says which contract a component breaks: in which method, what came, and what would be right."""

from __future__ import annotations

import numpy as np

from nsbench.components.component import Component


class BrokenContract(Exception):
    """The error of a component that does what its base class does not allow."""

    def __init__(self, component: Component, method: str, got: str, right: str) -> None:
        cls = type(component)
        super().__init__(f"{cls.__module__}:{cls.__qualname__}.{method}: {got}; {right}")
        self.component, self.method, self.got, self.right = component, method, got, right


def kind_of(thing: object) -> str:
    """The type of a value in words, e.g. "ndarray float64[3, 4]"."""
    if isinstance(thing, np.ndarray):
        return f"{type(thing).__name__} {thing.dtype.name}{list(thing.shape)}"
    return type(thing).__name__
