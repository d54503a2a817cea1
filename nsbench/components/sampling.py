"""Parameters that a fit does not read: they say how a fitted simulator draws, and one fit serves all of their values.

A model of parameters names them in a class variable,

    class MyParams(TrainingParams):
        sampling: ClassVar[frozenset[str]] = frozenset({"evaluations"})

They are in the key of the evidence and not in that of the model; `nsbench check` fits with other values of them, and
holds what was saved against it.
"""

from __future__ import annotations

from pydantic import BaseModel


def sampling_fields(model: type[BaseModel]) -> frozenset[str]:
    """The names of the parameters that a fit does not read; none where the model names none.

    Raises ValueError for a declaration that is no frozenset of the model's fields.
    """
    names: frozenset[str] = getattr(model, "sampling", frozenset())
    if type(names) is not frozenset:
        raise ValueError(f"{model.__name__}.sampling must be a frozenset of names, got {type(names).__name__}")
    if strangers := sorted(map(str, names - model.model_fields.keys())):
        raise ValueError(f"{model.__name__}.sampling names no parameter: {', '.join(strangers)}")
    return names
