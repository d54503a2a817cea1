"""The faults of a suite that pydantic finds, in plain words."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ValidationError

from nsbench.names import did_you_mean, without_credentials
from nsbench.suite.places import At
from nsbench.suite.yaml import MAX_FAULTS, Document, Fault


def explained(error: ValidationError, model: type[BaseModel], document: Document, at: At) -> list[Fault]:
    """The faults of the part of the document at `at`, of very many the first.

    error: pydantic's. model: what this part should be.
    """
    errors = error.errors(include_url=False)[: MAX_FAULTS + 1]
    return [document.fault((*at, *_written(e["loc"])), _message(e, model)) for e in errors]


def _written(loc: tuple[int | str, ...]) -> At:
    """pydantic's location as a path in the file, without the names of union branches."""
    return tuple(part for part in loc if isinstance(part, int) or re.match(r"^[A-Za-z_][\w-]*$", part))


def _message(error: Mapping[str, Any], model: type[BaseModel]) -> str:
    """One of pydantic's errors in plain words."""
    kind, loc, given = error["type"], error["loc"], error.get("input")
    context, shown = error.get("ctx", {}), without_credentials(repr(given))[:80]
    if kind == "extra_forbidden":
        return f"unknown key{did_you_mean(str(loc[-1]), _fields(model, loc[:-1]))}"
    if kind == "missing":
        return "is missing"
    limits = {
        "greater_than": ("gt", ">"),
        "greater_than_equal": ("ge", ">="),
        "less_than": ("lt", "<"),
        "less_than_equal": ("le", "<="),
    }
    if kind in limits:
        name, sign = limits[kind]
        return f"must be {sign} {context[name]:g}, got {given}"
    if kind == "literal_error":
        return f"must be {context['expected']}, got {shown}"
    if kind == "value_error":
        return str(context["error"])
    message = error["msg"][:1].lower() + error["msg"][1:]
    return message if isinstance(given, dict | list) else f"{message}, got {shown}"


def _fields(model: type[BaseModel], loc: tuple[int | str, ...]) -> list[str]:
    """The keys that are known at a location of the model."""
    for part in loc:
        if isinstance(part, int):
            continue
        field = next((f for n, f in model.model_fields.items() if part in (n, f.alias)), None)
        inner = _models_in(field.annotation) if field else []
        if inner:
            model = inner[0]
    return [f.alias or name for name, f in model.model_fields.items()]


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    """The pydantic models in a type annotation."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [m for inner in getattr(annotation, "__args__", ()) for m in _models_in(inner)]


def by_place(fault: Fault) -> tuple[str, int, str]:
    """The order of faults, as a sorting key: by file, line and path."""
    file, _, line = fault.origin.rpartition(":")
    return (file, int(line) if line.isdigit() else 0, fault.path)
