"""`nsbench check`: does a component keep its contract, and what speaks against it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from nsbench.registry.registry import KINDS, Kind, Registry, did_you_mean
from nsbench.suite.reading import override
from nsbench.suite.yaml import Document
from nsbench.testing import CannotCheck, check


def check_component(
    registry: Registry,
    name: str,
    kind: Kind | None,
    settings: Iterable[str],
    on: str | None,
    on_settings: Iterable[str],
    transitions: int,
    say: Callable[[str], None],
) -> int:
    """Check every component of that name, and say what was found. Returns 0 if all conform, else 1.

    settings, on_settings: "width=4", parameters of the component and of the dataset that it is checked on.
    Raises CannotCheck or SuiteError.
    """
    kinds = [k for k in KINDS if kind in (None, k) and registry.providers(k, name)]
    if not kinds:
        names = [n for k in KINDS if kind in (None, k) for n in registry.names(k)]
        broken = [f"{p.name} ({p.error})" for p in registry.plugins if p.error]
        hint = f"; plugins with errors: {', '.join(broken)}" if broken else ""
        raise CannotCheck(f"no {kind or 'component'} {name!r}{did_you_mean(name, names)}{hint}")
    params, on_params = parameters(settings), parameters(on_settings)
    conform = True
    for each in kinds:
        report = check(
            each, name, params=params, on=on, on_params=on_params, transitions=transitions, registry=registry, tell=say
        )
        conform = conform and report.conforms
    return 0 if conform else 1


def parameters(settings: Iterable[str]) -> dict[str, Any]:
    """Parameters from "path=value" texts. Raises SuiteError."""
    document = Document({})
    for text in settings:
        document = override(text, document)
    found: dict[str, Any] = document.data
    return found
