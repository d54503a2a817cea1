"""Components, the base of datasets, simulators, metrics and formats: a class that a plugin provides, and its spec.

Components keep no global state, take every random number from the generator they are given, and work in plain Python
without the runner.
"""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass, field
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, create_model


class Params(BaseModel):
    """Base class of a component's parameters: unknown names are errors, values never change."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


P = TypeVar("P", bound=Params)


def with_defaults(model: type[P], name: str, **defaults: Any) -> type[P]:
    """The same parameters with other defaults, which are checked as given values are. name: that of the new model."""
    checked = model.model_validate(defaults)
    fields: dict[str, Any] = {}
    for key in defaults:
        fields[key] = (model.model_fields[key].annotation, changed := copy(model.model_fields[key]))
        changed.default = getattr(checked, key)
    return create_model(name, __base__=model, __module__=model.__module__, __doc__=model.__doc__, **fields)


@dataclass(frozen=True)
class ComponentSpec:
    """The description of a component that can be read without importing its code.

    name    the name in suites.
    target  "module:Class".
    params  "module:Model", a pydantic model of the parameters; None for a component without any. Keep
            it in a module that imports quickly: suites are validated by it.
    summary one line for `nsbench list`.
    files   what the component reads from beside its module (a table, weights): paths of files or folders, from the
            folder of the target's module on. Their content counts as its code does.
    variables  environment variables that change its numbers; where they are set, their values are in its keys.
    """

    name: str
    target: str
    params: str | None = None
    summary: str = ""
    files: tuple[str, ...] = field(default=(), kw_only=True)
    variables: tuple[str, ...] = field(default=(), kw_only=True)

    def code(self) -> tuple[str, ...]:
        """The targets that define the component, which its digest covers: "module:name", and "module/path" of files."""
        module = self.target.partition(":")[0]
        targets = (self.target, self.params, *(f"{module}/{file}" for file in self.files))
        return tuple(text for text in targets if text is not None)


class Unavailable(RuntimeError):
    """The error of a component that cannot work here, for want of a device or a library: its trial is skipped."""


class Component:
    """The base class of everything that a suite names. ``params`` is an instance of the model that its spec names."""

    params: Any

    def __init__(self, params: BaseModel | None = None) -> None:
        self.params = params
