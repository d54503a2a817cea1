"""The JSON schema of a suite, made from what is installed, so that editors complete and check suites."""

from __future__ import annotations

from typing import Any

from pydantic.errors import PydanticUserError

from nsbench.registry.loading import params_model
from nsbench.registry.registry import BrokenComponent, Registry, UnknownComponent
from nsbench.suite.suite import SECTIONS, Suite


def json_schema(registry: Registry) -> dict[str, Any]:
    """The JSON schema of a suite, with the parameters of every component that is installed."""
    schema = Suite.model_json_schema(by_alias=True)
    schema |= {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "nsbench suite"}
    required = schema.pop("required")
    schema["anyOf"] = [{"required": ["extends"]}, {"required": required}]
    schema["properties"]["extends"] = {"type": "string", "description": "path of the suite that this one overlays"}
    for kind, use in SECTIONS.values():
        rules = []
        for name in registry.names(kind):
            try:
                params = params_model(registry.spec(kind, name)).model_json_schema(mode="validation")
            except (UnknownComponent, BrokenComponent, PydanticUserError):
                continue  # `nsbench plugins` says what is wrong; the others are described
            definition = f"{kind}.{name}"
            for inner, body in params.pop("$defs", {}).items():
                schema["$defs"][f"{definition}.{inner}"] = _renamed(body, definition)
            schema["$defs"][definition] = _renamed(params, definition)
            rules.append(
                {
                    "if": {"properties": {"use": {"const": name}}, "required": ["use"]},
                    "then": {"properties": {"params": {"$ref": f"#/$defs/{definition}"}}},
                }
            )
        schema["$defs"][use.__name__]["allOf"] = rules
        schema["$defs"][use.__name__]["properties"]["use"]["enum"] = registry.names(kind)
    metric = schema["properties"]["metrics"]["items"]
    schema["properties"]["metrics"]["items"] = {"anyOf": [metric, {"enum": registry.names("metric")}]}
    return schema


def _renamed(body: Any, definition: str) -> Any:
    """A schema whose references lead to definitions that are named after its component."""
    if isinstance(body, dict):
        return {
            key: f"#/$defs/{definition}.{value.removeprefix('#/$defs/')}"
            if key == "$ref"
            else _renamed(value, definition)
            for key, value in body.items()
        }
    return [_renamed(item, definition) for item in body] if isinstance(body, list) else body
