"""Parameters that a fit does not read: one fit for all of their values, and a check that it does not read them."""

from __future__ import annotations

from importlib.metadata import EntryPoint, entry_points

import pytest

from nsbench.registry.loading import full_params
from nsbench.registry.registry import BrokenComponent, Registry
from nsbench.store.key import differences
from nsbench.suite.planner import make_plan
from nsbench.suite.reading import read_suite
from nsbench.testing.check import CannotCheck, check
from nsbench.testing.sampling import another_value

SUITE = """\
name: warm
datasets:
  - {use: lca, params: {size: 16}}
simulators:
  - {use: Warm, grid: {warmth: [0.5, 1.0, 2.0]}}
  - {use: Fine}
metrics: [length]
protocol: {stride: 1, horizon: 6}
budget: {transitions: 100}
"""


@pytest.fixture(scope="module")
def registry():
    toys = [EntryPoint("broken", "broken", "nsbench"), EntryPoint("toy", "toy", "nsbench")]
    return Registry([*toys, *entry_points(group="nsbench")])


def test_a_grid_over_parameters_of_sampling_shares_one_fit(write_suite, registry):
    trials = make_plan(read_suite(write_suite(SUITE), registry), registry).trials
    warm, (fine,) = trials[:3], trials[3:]
    assert len({trial.model.digest for trial in warm}) == 1
    assert len({trial.evidence.digest for trial in warm}) == 3
    assert len({tuple(trial.fit_seed) for trial in warm}) == len({tuple(trial.simulate_seed) for trial in warm}) == 1
    assert [trial.part.params for trial in warm] == [{"warmth": warmth} for warmth in (0.5, 1.0, 2.0)]
    assert warm[0].model.fields["params"] == {}
    assert warm[0].evidence.fields["sampling"] == {"warmth": 0.5}
    assert "sampling" not in fine.evidence.fields
    lines = differences(warm[0].evidence.fields, warm[1].evidence.fields)
    assert lines == ["sampling.warmth: 0.5 here, 1.0 in the store"]


def test_the_name_of_an_entry_changes_no_seed_of_its_fit(write_suite, registry):
    named = SUITE.replace("use: Warm, grid", "use: Warm, as: hot, grid")
    one, other = (make_plan(read_suite(write_suite(text), registry), registry).trials[0] for text in (SUITE, named))
    assert (one.fit_seed, one.model.digest) == (other.fit_seed, other.model.digest)


def test_a_fit_that_does_not_read_its_parameters_of_sampling_conforms(registry):
    report = check("simulator", "Warm", registry=registry)
    assert (report.findings, report.notes) == ((), ())


def test_a_parameter_of_sampling_that_is_none_is_refused(write_suite, registry):
    message = "NamesNothingParams.sampling names no parameter: warmht"
    with pytest.raises(CannotCheck, match=message):
        check("simulator", "FineNamesNothing", registry=registry)
    suite = read_suite(write_suite(SUITE.replace("use: Fine", "use: FineNamesNothing")), registry)
    with pytest.raises(BrokenComponent, match=message):
        make_plan(suite, registry)


@pytest.mark.parametrize(
    ("name", "parameter", "given"),
    [
        ("Warm", "warmth", {"warmth": 2.0}),  # no more than 2, no less than 0.5
        ("cgne", "conditional_prior", {}),
        ("cgne", "decay", {}),
        ("cgne", "width", {"width": 512}),
        ("cgne", "clip", {"clip": None}),
    ],
)
def test_another_value_is_valid_and_another(registry, name, parameter, given):
    spec = registry.spec("simulator", name)
    params = full_params(spec, given)
    other = another_value(spec, params, parameter)
    assert other == full_params(spec, other)
    assert {key for key in params if params[key] != other[key]} == {parameter}
