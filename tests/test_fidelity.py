"""What bears a paper's name is what its authors built, each departure has a name of its own, and the page tells both."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
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


PAGE = (SUITES[0].parents[1] / "docs" / "fidelity.md").read_text()


def rows(section: str) -> list[list[str]]:
    """The cells of each row of the table in a section of the page."""
    (body,) = re.findall(rf"^#+ {section}\n(.*?)(?=^#|\Z)", PAGE, re.M | re.S)
    lines = [line for line in body.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines[2:]]


@pytest.mark.parametrize("name", ["cgne", "pns"])
def test_where_the_page_says_the_same_it_is_the_same_and_elsewhere_it_is_not(name, registry):
    reference, laptop = (nsbench.load("simulator", simulator).params for simulator in (name, f"{name}-laptop"))
    told: set[str] = set()
    for element, parameters, _, ours, *_ in rows(name.upper()):
        names = [p for p in re.findall(r"`([a-z_.]+)`", parameters) if "." not in p]
        equal = [getattr(reference, p) == getattr(laptop, p) for p in names]
        assert all(equal) if ours.startswith("the same") else not names or not all(equal), element
        told.update(names)
    changed = {p for p in dict(reference) if getattr(reference, p) != getattr(laptop, p)}
    assert changed <= told


def test_every_test_that_the_page_names_is_there():
    named = re.findall(r"`(test_\w+\.py)::(\w+)`", PAGE)
    assert len(named) == len(re.findall(r"test_\w+\.py::", PAGE)) > 40
    for file, test in named:
        assert re.search(rf"^def {test}\(", (Path(__file__).parent / file).read_text(), re.M), (file, test)


def test_the_references_have_their_authors_numbers(registry):
    cgne, pns = (dict(nsbench.load("simulator", name).params) for name in ("cgne", "pns"))
    authors = {"optimizer": "adamw", "learning_rate": 1e-3, "weight_decay": 0.01, "clip": 0.25, "batch": 64}
    assert authors.items() <= cgne.items()
    authors = {"optimizer": "adam", "learning_rate": 1e-4, "weight_decay": 1e-4, "clip": None, "batch": 32}
    assert authors.items() <= pns.items()


def test_the_papers_suite_has_the_papers_data(registry):
    suite = read_suite(SUITES[0].parent / "snow-paper.yaml", registry)
    whole, first = suite.datasets
    assert whole.params == first.params
    assert (first.fit_on, suite.protocol_on(first).horizon) == (whole.name, 64)
    assert suite.protocol_on(whole).last_stride == "whole"
    p = nsbench.load("dataset", "lca", **whole.params).params
    assert (p.alpha, p.beta, p.gamma, p.theta, p.kappa, p.mu, p.sigma) == (0.14, 1.1, 7e-5, 8.5e-3, 7e-3, 4.8e-2, 5e-5)
    assert (p.size, p.symmetry, p.stop_margin, p.max_steps, p.rho) == (64, "quadrant", 5, 10_000, (0.35, 0.64))
    assert (p.train + p.val, p.repeats, p.train / (p.train + p.val)) == (15_360, 8, 0.9)
    assert (p.test.parameters, p.test.repeats) == (192, 8)


def test_no_density_is_in_two_splits(registry):
    dataset = nsbench.load("dataset", "lca", size=12, train=32, val=16, repeats=8, test={"parameters": 4, "repeats": 8})
    splits = [
        dataset.prepare(split, np.random.default_rng(seed)) for seed, split in enumerate(("train", "val", "test"))
    ]
    densities = [set(split.params[:, split.domain.column("rho")]) for split in splits]
    assert list(map(len, densities)) == [4, 2, 4]
    assert len(set.union(*densities)) == 10
