"""Loading: specs become components, "module:name" becomes an object."""

from __future__ import annotations

import importlib
import json
from collections.abc import Mapping
from functools import partial
from typing import Any

from pydantic import BaseModel, ValidationError

from nsbench.components.component import Component, ComponentSpec, Params
from nsbench.components.contracts.numbers import plain
from nsbench.components.dataset import DatasetSpec, Reading, UnreadableData
from nsbench.components.sampling import sampling_fields
from nsbench.components.wrapper import Inner, Wrapper, WrapperParams
from nsbench.registry.kernels import hold_cache
from nsbench.registry.registry import HOOKS, BrokenComponent, Kind, Registry, UnknownComponent, in_a_line, installed


class NoParams(Params):
    """The parameters of a component that has none."""


def params_model(spec: ComponentSpec) -> type[BaseModel]:
    """The model of a component's parameters. Raises BrokenComponent."""
    if spec.params is None:
        return NoParams
    model = import_object(spec.params)
    if not (isinstance(model, type) and issubclass(model, BaseModel)):
        raise BrokenComponent(f"{spec.params} of {spec.name!r} is not a pydantic model")
    return model


def full_params(spec: ComponentSpec, params: Mapping[str, Any]) -> dict[str, Any]:
    """All parameters of a component, as plain data. Raises BrokenComponent, or pydantic's ValidationError."""
    model = params_model(spec)
    try:
        valid = model.model_validate(plain(params))
        dumped: dict[str, Any] = _with_sets_in_order(valid.model_dump(), valid.model_dump(mode="json"))
        return dumped
    except ValidationError:
        raise
    except Exception as error:  # a validator or a type that breaks pydantic's own rules
        raise BrokenComponent(f"{spec.params} of {spec.name!r} fails on {dict(params)}: {in_a_line(error)}") from error


def _with_sets_in_order(value: Any, dumped: Any) -> Any:
    """What a value was dumped to, with sets as sorted lists: their own order is another one in every process."""
    if isinstance(value, set | frozenset):
        return sorted(dumped, key=lambda entry: json.dumps(entry, sort_keys=True))
    if isinstance(value, dict) and isinstance(dumped, dict) and len(value) == len(dumped):
        inner = map(_with_sets_in_order, value.values(), dumped.values())
        return dict(zip(dumped, inner, strict=True))
    if isinstance(value, list | tuple) and isinstance(dumped, list) and len(value) == len(dumped):
        return list(map(_with_sets_in_order, value, dumped))
    return dumped


def sampling_of(spec: ComponentSpec) -> frozenset[str]:
    """The names of a component's parameters that a fit does not read. Raises BrokenComponent."""
    try:
        return sampling_fields(params_model(spec))
    except ValueError as error:
        raise BrokenComponent(f"{spec.params} of {spec.name!r}: {error}") from error


def reading_of(spec: DatasetSpec, params: Mapping[str, Any]) -> Reading | None:
    """What a dataset says that it reads with these parameters; None for one that reads no files."""
    if spec.reading is None:
        return None
    reading: Reading = import_object(spec.reading)(params_model(spec).model_validate(params))
    return reading


def wrapper_params(spec: ComponentSpec, params: Mapping[str, Any]) -> WrapperParams | None:
    """The parameters of a simulator that is made of another one; None for other components."""
    model = params_model(spec)
    return model.model_validate(plain(params)) if issubclass(model, WrapperParams) else None


def inner_specs(registry: Registry, spec: ComponentSpec, params: Mapping[str, Any]) -> list[ComponentSpec]:
    """The spec of the simulator that a simulator is made of, and of what that one is made of; [] for other components.

    Raises UnknownComponent.
    """
    wrapper = wrapper_params(spec, params)
    if wrapper is None:
        return []
    inner = registry.spec("simulator", wrapper.of.use)
    return [inner, *inner_specs(registry, inner, wrapper.of.params)]


def build(kind: Kind, spec: ComponentSpec, params: Mapping[str, Any], registry: Registry | None = None) -> Component:
    """An instance of the component. Raises BrokenComponent, or pydantic's ValidationError.

    registry: where a simulator that is made of another one finds it; what is installed if None.
    """
    model = params_model(spec).model_validate(plain(params))
    cls = import_object(spec.target)
    base = HOOKS[kind][2]
    if not (isinstance(cls, type) and issubclass(cls, base)):
        raise BrokenComponent(f"{spec.target} of {spec.name!r} is not a subclass of nsbench's {base.__name__}")
    if kind == "metric" and (getattr(cls, "direction", None) not in ("min", "max") or not hasattr(cls, "unit")):
        raise BrokenComponent(f'{spec.target} must say its direction, "min" or "max", and its unit, a text')
    try:
        component: Component = cls(model)
    except UnreadableData:
        raise
    except Exception as error:
        raise BrokenComponent(f"{spec.target} cannot be made: {in_a_line(error)}") from error
    if isinstance(component, Wrapper):
        _bind(spec, component, registry or installed())
    return component


def _bind(spec: ComponentSpec, wrapper: Wrapper, registry: Registry) -> None:
    """Tell a simulator how to make the one that it is made of. Raises BrokenComponent for one of which it cannot be."""
    try:
        wrapper.bind(partial(_inner, wrapper.params.of, registry))
    except (BrokenComponent, UnknownComponent, ValidationError):
        raise
    except Exception as error:
        raise BrokenComponent(f"{spec.name!r} of {wrapper.params.of.use!r}: {in_a_line(error)}") from error


def _inner(inner: Inner, registry: Registry) -> Any:
    """A new simulator of those that another one is made of."""
    return build("simulator", registry.spec("simulator", inner.use), inner.params, registry)


def load(kind: Kind, name: str, **params: Any) -> Any:
    """A component by name, ready to use: ``nsbench.load("dataset", "lca", size=32)``.

    Raises UnknownComponent, BrokenComponent, or pydantic's ValidationError for wrong parameters.
    """
    return build(kind, installed().spec(kind, name), params)


def import_object(target: str) -> Any:
    """The object that "module:name" names. Raises BrokenComponent, with the import's own error as its cause."""
    module, colon, name = target.partition(":")
    if not colon or not module or not name:
        raise BrokenComponent(f'{target!r} must be "module:name"')
    try:
        hold_cache()
        return getattr(importlib.import_module(module), name)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # a script in place of a module ends the program
        raise BrokenComponent(f"{target} cannot be imported: {type(error).__name__}: {error}") from error
