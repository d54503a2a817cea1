"""Observables of a domain, by name."""

from __future__ import annotations

from collections.abc import Sequence

from nsbench.components.metric import NotApplicable
from nsbench.trajectories.domain import Domain, Observable


def choose_observables(domain: Domain, names: Sequence[str] | None) -> list[Observable]:
    """The named observables; all if None. Raises NotApplicable for a name that the domain does not have."""
    by_name = {o.name: o for o in domain.observables}
    if missing := [name for name in names or () if name not in by_name]:
        raise NotApplicable(f"no observable {missing[0]!r}; the domain has {', '.join(by_name)}")
    return [by_name[name] for name in names or by_name]


def choose_observable(domain: Domain, name: str | None) -> Observable:
    """The named observable; the first if None. Raises NotApplicable for a name that the domain does not have."""
    return choose_observables(domain, [name or domain.observables[0].name])[0]


def common_unit(observables: Sequence[Observable]) -> str:
    """The unit of all observables. Raises NotApplicable where units differ: then there is no mean of them."""
    units = {o.unit for o in observables}
    if len(units) > 1:
        raise NotApplicable(
            f"observables of different units cannot be averaged ({', '.join(sorted(units))}): name some"
        )
    return units.pop()
