"""The check that a component opens and imports only what its digest covers, while all other checks are made."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from nsbench.components.component import ComponentSpec
from nsbench.components.dataset import DatasetSpec
from nsbench.registry.loading import inner_specs
from nsbench.registry.registry import Kind, Registry
from nsbench.stages.agreement import Agreement, Code, UncoveredFile
from nsbench.suite.planner import MEASURING
from nsbench.suite.trials import Part
from nsbench.testing.findings import Check, Finding
from nsbench.testing.small_data import Source


@contextmanager
def what_it_opens(
    registry: Registry, kind: Kind, spec: ComponentSpec, params: Mapping[str, Any], data: Source | None = None
) -> Iterator[Check[Any]]:
    """The last of a component's checks: it looks at all that was opened within the block so far.

    data: what the component is checked on, whose code runs beside its own.
    """
    agreement = Agreement(registry, Path(tempfile.gettempdir(), "nsbench-check-"))  # where checks write what they read
    part = Part(kind, spec.name, dict(params), "", {})
    reading = agreement.read(part) if kind == "dataset" else None
    formats = [registry.spec("format", name) for name, _ in reading.formats] if reading else []
    beside = [
        *formats,
        *inner_specs(registry, spec, params),
        *_specs_of(registry, spec),
        *(_specs_of_source(registry, data) if data is not None else []),
    ]
    own, others = agreement.of(part), [Code(other.name, other.code()) for other in beside]
    with agreement.making([own, *others, Code("measuring", (MEASURING,))]) as seal:

        def run(subject: object) -> Iterator[Finding]:
            try:
                seal()
            except UncoveredFile as error:
                yield Finding(spec.target, error.wrong, error.right)

        yield Check("opens and imports only what its digest covers", run)


def _specs_of_source(registry: Registry, data: Source) -> list[ComponentSpec]:
    """The specs of the dataset that a component is checked on, and of its ground truth."""
    if not data.name:
        return []
    dataset = registry.spec("dataset", data.name)
    return [dataset, *_specs_of(registry, dataset)]


def _specs_of(registry: Registry, spec: ComponentSpec) -> list[ComponentSpec]:
    """The specs of a dataset's ground truths, as far as they are there."""
    references = (spec.floor, spec.noise_free) if isinstance(spec, DatasetSpec) else ()
    names = {reference.name for reference in references if reference is not None}
    return [registry.spec("simulator", name) for name in sorted(names) if registry.providers("simulator", name)]
