"""What bears a paper's name is what its authors built, and each departure has a name of its own."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

import nsbench
from nsbench.components.component import with_defaults
from nsbench.suite.reading import read_suite
from nsbench_cgne.params import CGNEParams

SUITES = sorted((Path(__file__).parents[1] / "suites").glob("*.yaml"))

SIZES = {
    "cgne": {"width", "latent_channels", "latent_width"},
    "pns": {"width", "latents"},
}
"""What may differ under a paper's name: how wide its networks are."""

FITTED = {"condition_power": 3.83}
"""The exponent that the likelihood gave for the authors' own data."""


@pytest.mark.parametrize("path", SUITES, ids=lambda path: path.stem)
def test_no_suite_calls_a_departure_by_the_papers_name(path, registry):
    for use in read_suite(path, registry).simulators:
        if use.name in SIZES:
            given, reference = (dict(nsbench.load("simulator", use.name, **p).params) for p in (use.params, {}))
            assert use.use == use.name
            differing = {key: value for key, value in given.items() if value != reference[key]}
            others = {key: value for key, value in differing.items() if key not in SIZES[use.name]}
            assert others in ({}, FITTED)


@pytest.mark.parametrize("name", SIZES)
def test_the_narrow_ones_of_the_snow_crystals_are_scaled_in_every_width(name, registry):
    """So that no part of the network is a bottleneck that the authors' is not."""
    (use,) = [
        use for use in read_suite(SUITES[0].parent / "snow-reference.yaml", registry).simulators if use.name == name
    ]
    narrow, reference = nsbench.load("simulator", name, **use.params).params, nsbench.load("simulator", name).params
    assert len({getattr(reference, size) / getattr(narrow, size) for size in SIZES[name]}) == 1
    assert all(getattr(narrow, size) < getattr(reference, size) for size in SIZES[name])


def test_defaults_that_are_not_valid_are_refused():
    with pytest.raises(ValidationError, match="multiple of 4"):
        with_defaults(CGNEParams, "Odd", width=6)
    with pytest.raises(ValidationError, match="Extra inputs"):
        with_defaults(CGNEParams, "Unknown", wide=8)
    changed = with_defaults(CGNEParams, "Narrow", width=8)
    assert (changed().width, CGNEParams().width) == (8, 64)
    assert changed().model_dump() == CGNEParams(width=8).model_dump()
