"""The check of parameters that a fit is said not to read: with other values it learns the same."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from pydantic import ValidationError

from nsbench.components.component import ComponentSpec
from nsbench.registry.loading import full_params, params_model, sampling_of
from nsbench.testing.findings import Finding, LeftOut, calling, place_of
from nsbench.testing.simulator_subject import Fitted, SimulatorSubject
from nsbench.testing.small_data import bits


def sampling_changes_no_fit(subject: SimulatorSubject) -> Iterator[Finding]:
    """Each parameter that the model's `sampling` names is given another value: what a fit saves stays the same."""
    names = sampling_of(subject.spec)
    if not names:
        return
    if not subject.learns:
        raise LeftOut("learns nothing")
    where = place_of(subject.fitted, "fit")
    for name in sorted(names):
        other = another_value(subject.spec, subject.params, name)
        if other is None:
            yield Finding(
                where, f"no other value of {name} was found to fit with", "nothing: it was not checked", "note"
            )
            continue
        fitted = replace(subject, params=other).fit(subject.transitions, 1)
        if not _same_fit(subject, fitted):
            yield Finding(
                where,
                f"learns something else with {name} = {other[name]!r} than with {subject.params[name]!r}",
                f"the parameters' `sampling` says that a fit does not read {name!r}, so one fit would serve both: "
                "take it out there, or leave it to rollout",
            )


def _same_fit(subject: SimulatorSubject, other: Fitted) -> bool:
    """Return whether the other fit saved the same. Files may hold a date: then rollouts by equal parameters decide."""
    if other.saved() == subject.fit(subject.transitions, 1).saved():
        return True
    loaded = subject.fresh()
    with calling(loaded, "load", "read what save wrote"):
        loaded.load(other.weights)
    return bits(subject.rollout(0, simulator=loaded)) == bits(subject.rollout(0))


def another_value(spec: ComponentSpec, params: dict[str, Any], name: str) -> dict[str, Any] | None:
    """All parameters with another value of one of them; None where no valid one is found."""
    for value in _candidates(params_model(spec).model_json_schema()["properties"][name], params[name]):
        try:
            other = full_params(spec, params | {name: value})
        except ValidationError:
            continue
        if other[name] != params[name]:
            return other
    return None


def _candidates(schema: dict[str, Any], value: Any) -> Iterator[Any]:
    """Values that a parameter might take: those that its schema lists, and neighbours of its present one."""
    for part in (schema, *schema.get("anyOf", ())):
        yield from part.get("enum", ())
        yield from (part[bound] for bound in ("const", "default", "minimum", "maximum") if bound in part)
    if isinstance(value, bool):
        yield not value
    elif isinstance(value, int | float):
        yield from (value + 1, value - 1, 2 * value, value / 2)
    yield None
