"""`nsbench info`: a component in words."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

from pydantic.errors import PydanticUserError

from nsbench.components.component import ComponentSpec
from nsbench.registry.registry import BrokenComponent, Kind, Registry, params_model


def describe(kind: Kind, spec: ComponentSpec, registry: Registry) -> Iterator[str]:
    """Lines of plain text: what it is, where it comes from, its parameters with type, default and bounds."""
    plugin = next(p for p, s in registry.providers(kind, spec.name) if s is spec)
    yield f"{kind} {spec.name}: {spec.summary}"
    yield f"  class {spec.target}, plugin {plugin.name}, from {plugin.origin}"
    try:
        model = params_model(spec)
    except BrokenComponent as error:
        yield f"  its parameters cannot be read: {error}"
        return
    if model.__doc__:
        yield ""
        yield from (f"  {line}".rstrip() for line in inspect.cleandoc(model.__doc__).splitlines())
    try:
        schema = model.model_json_schema()
    except PydanticUserError as error:
        yield f"  its parameters cannot be described: {error.message}"
        return
    yield ""
    yield "  parameters:" if schema.get("properties") else "  no parameters"
    for name, body in schema.get("properties", {}).items():
        text = f"    {name}: {_type(body)}{_bounds(body)}, default {_default(body)}"
        yield f"{text}: {body['description']}" if "description" in body else text


def _type(body: dict[str, Any]) -> str:
    if "enum" in body:
        return " | ".join(map(repr, body["enum"]))
    if "const" in body:
        return repr(body["const"])
    if "anyOf" in body:
        return " | ".join(_type(option) for option in body["anyOf"])
    if "$ref" in body:
        return str(body["$ref"]).rpartition("/")[2]
    return str(body.get("type", "any"))


def _bounds(body: dict[str, Any]) -> str:
    signs = {"minimum": ">=", "exclusiveMinimum": ">", "maximum": "<=", "exclusiveMaximum": "<"}
    options = [body, *body.get("anyOf", [])]
    return "".join(f" {sign} {option[name]:g}" for option in options for name, sign in signs.items() if name in option)


def _default(body: dict[str, Any]) -> str:
    return repr(body["default"]) if "default" in body else "none: it must be given"
