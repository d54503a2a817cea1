"""The conformance suite finds what is broken, one finding each, and nothing in what is sound."""

from __future__ import annotations

import re
from dataclasses import replace
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path

import numpy as np
import pytest

import broken
from forecasts import label_maps
from nsbench.commands.check import check_component
from nsbench.registry.loading import params_model
from nsbench.registry.registry import Registry
from nsbench.suite.yaml import SuiteError
from nsbench.testing.check import CannotCheck, check, conformance
from nsbench.testing.datasets import untrue_statements, varying_parameters
from nsbench.testing.findings import place_of
from nsbench.testing.known_growth import Growth, GrowthParams, GrowthTruth
from nsbench.testing.likelihoods import log_total
from nsbench.trajectories.domain import Parameter
from nsbench.trajectories.morphology import front
from test_cli import nsbench

GLOBAL = "changes its process:"
OTHER_SEEDS = "when Python's, NumPy's and torch's global generators are seeded differently"

SIMULATORS = {
    "NumpyGlobal": [f"{GLOBAL} numpy.random: the global generator was used", f"samples change {OTHER_SEEDS}"],
    "TorchGlobal": [f"{GLOBAL} torch.random: the global generator was used", f"samples change {OTHER_SEEDS}"],
    "PythonGlobalFit": [f"{GLOBAL} random: the global generator was used", f"learns something else {OTHER_SEEDS}"],
    "IgnoresSeed": ["ignores its generator: equal cases of a batch differ, yet every seed gives the same samples"],
    "Unseeded": ["two rollouts from generators in the same state differ"],
    "Melts": ["attached sites melt in 8 of 8 trajectories, first in frame 2 of trajectory 0"],
    "ForgetsStart": ["returned another first frame, first for trajectory [0]"],
    "WrongDtype": ["rollout raised ValueError: arrival must be int32[8, 16, 16], got int64[8, 16, 16]"],
    "WrongShape": ["returned 7 trajectories"],
    "PastTheHorizon": ["returned trajectories that are too long"],
    "ChangesStart": ["changed its start"],
    "LosesWeights": ["after save (which wrote nothing) and load, the same seed gives other rollouts"],
    "Pickles": ["p.bin is a pickle, which runs code when it is read"],
    "MeanOverSites": ["probabilities of 16 next states of a full lattice but for 4 sites sum to 15."],
    "BoundAbove": ["probabilities of 16 next states of a full lattice but for 4 sites sum to 15."],
    "LosesProbability": ["sum to 0.367879, and no attached site melts"],
    "NotANumber": ["NaN for 64 of 64 transitions that did happen"],
    "LikelihoodShape": ["returned ndarray of shape (64, 1)"],
    "NoLikelihood": ["likelihood is 'elbo', but there is no method log_likelihood"],
    "IgnoresBudget": ["learns the same from a budget of 32 transitions as from 1024: it ignores ctx.transitions"],
    "SaysTooMuch": ["trained on 10240 transitions, by its own count, of a budget of 1024"],
    "FailsToFit": ["fit raised RuntimeError: the loss is on fire"],
    "OnlyHere": ["fails in a process of its own: KeyError: 'p'"],
    "ReadsWarmth": ["learns something else with warmth = 0.5 than with 1.0"],
    "Lately": ["two fits of the same data, from generators in the same state, differ"],
}
"""Broken simulator -> a part of each of its findings, in order."""


@pytest.fixture(scope="module")
def registry():
    return Registry([EntryPoint("broken", "broken", "nsbench"), *entry_points(group="nsbench")])


def wrongs(report):
    return [finding.wrong for finding in report.findings]


def test_a_simulator_that_keeps_its_contract_has_no_finding_and_no_note(registry):
    report = check("simulator", "Fine", registry=registry)
    assert (report.findings, report.notes) == ((), ())
    assert [c.title for c in report.checks if c.left_out] == ["the bound rises with its samples"]


@pytest.mark.parametrize("name", SIMULATORS)
def test_what_breaks_a_contract_is_found(registry, name):
    report = check("simulator", name, registry=registry)
    assert len(report.findings) == len(SIMULATORS[name]), wrongs(report)
    for finding, expected in zip(report.findings, SIMULATORS[name], strict=True):
        assert expected in finding.wrong
        assert re.match(rf"broken\.py:\d+ {name}\.\w+$", finding.where)
        assert finding.right


def test_running_past_the_stop_rule_and_being_deterministic_are_said_and_allowed(registry):
    report = check("simulator", "PastTheStop", registry=registry)
    assert report.conforms
    assert "runs past the stop rule in 8 of 8 trajectories, by up to" in report.notes[0].wrong
    report = check("simulator", "NoChance", registry=registry)
    assert [note.wrong for note in report.notes] == [
        "is deterministic: every seed, and equal cases of a batch, give the same states"
    ]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("SharesCases", "32 trajectories of val are in train too"),
        ("LiesAboutRange", "says rho is in [0.15, 0.3], data have [0.1"),
        ("GoesOn", "has stop_margin=6, and"),
        ("Restless", "changes its process: numpy.random: the global generator was used"),
        ("OtherParts", "the 2 parts of train, joined, differ from what prepare makes"),
        ("Unobservable", "domain raised IndexError: index 99 is out of bounds"),
        ("NotTrajectories", "returned ndarray int32[64, 16, 16] for train"),
    ],
)
def test_a_dataset_that_lies_is_found(registry, name, expected):
    assert any(expected in wrong for wrong in wrongs(check("dataset", name, registry=registry)))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("WrongDirection", "gives the truth redrawn"),
        ("FirstCase", "when the cases come in another order"),
        ("RandomGlobal", "changes its process: numpy.random: the global generator was used"),
        ("NoScore", "returned float"),
        ("Infinite", "returned nan for its value"),
        ("Alters", "changed the evidence or the reference"),
    ],
)
def test_a_metric_that_misleads_is_found(registry, name, expected):
    assert any(expected in wrong for wrong in wrongs(check("metric", name, registry=registry)))


def test_a_metric_that_keeps_its_contract_conforms(registry):
    assert check("metric", "AreaError", registry=registry).conforms


def test_conformance_is_a_test_that_fails_with_the_findings(registry, monkeypatch):
    monkeypatch.setattr("nsbench.testing.check.installed", lambda: registry)
    conformance("simulator", "Fine")()
    with pytest.raises(
        AssertionError, match=r"(?s)FINDING  the budget counts.*it ignores ctx.transitions.*right: train"
    ):
        conformance("simulator", "IgnoresBudget")()


def test_what_cannot_be_checked_is_said(registry):
    with pytest.raises(CannotCheck, match="did you mean 'Fine'"):
        check("simulator", "Fin", registry=registry)
    with pytest.raises(CannotCheck, match="broken:CannotBeMade cannot be made: RuntimeError: no such device"):
        check("simulator", "CannotBeMade", registry=registry)
    with pytest.raises(CannotCheck, match="dataset NotTrajectories cannot be made to check on: AttributeError"):
        check("simulator", "Fine", on="NotTrajectories", registry=registry)
    with pytest.raises(CannotCheck, match="width: Extra inputs"):
        check("simulator", "Fine", params={"width": 3}, registry=registry)


COMPARED = ["lca", "cgne", "cgne-laptop", "pns", "pns-laptop"]
NULL_MODELS = ["bernoulli-unet", "frozen-neighbour", "persistence", "stochastic-nca"]
SYSTEMS = ["dendrite", "grains", "gusts", "lca-open", "spinodal"]
"""Datasets, and the simulators that are their ground truth."""

ELSEWHERE = {"categorical-unet": "grains", "crps": "spinodal", "gaussian-unet": "spinodal", "refiner": "spinodal"}
"""Simulators of other states than growth -> the dataset on which they are checked."""

VARIANTS = [
    "cgne-bernoulli-sampling",
    "cgne-no-annealing",
    "cgne-no-dropout",
    "cgne-no-regressor",
    "cgne-no-unrolling",
    "cgne-standard-sampling",
    "cgne-unconditional-prior",
    "cgne-vector-z",
]
SMALL = {name: {"width": 4, "latent_channels": 4} for name in VARIANTS} | {
    "cgne": {"width": 4, "latent_channels": 4, "latent_width": 4},
    "cgne-laptop": {"width": 4, "latent_channels": 4},
    "pns": {"width": 4, "latents": 4, "levels": 2, "encoder_layers": 1},
    "pns-laptop": {"width": 8, "levels": 2, "latents": 8},
    "bernoulli-unet": {"width": 4},
    "stochastic-nca": {"channels": 4, "hidden": 8, "updates": 3},
    "interpolant": {"width": 4},
    "absorbing": {"width": 4, "evaluations": 3},
    "ensemble": {"of": {"use": "stochastic-nca", "params": {"channels": 4, "hidden": 8, "updates": 2}}, "members": 2},
    "tempered": {"of": {"use": "stochastic-nca", "params": {"channels": 4, "hidden": 8, "updates": 2}}},
}

WRAPPERS = ["ensemble", "tempered"]
"""Simulators that are made of another one."""


FAMILIES = ["absorbing", "interpolant"]
"""Families of networks beside those of papers on these systems."""

MELTS = "cgne-standard-sampling"
"""A variant that draws attached sites anew: it breaks the contract of growth, which is what it is about."""

NETWORKS = ["cgne", "pns", "pns-laptop", "bernoulli-unet", "stochastic-nca", *VARIANTS, *FAMILIES]
"""Simulators that are checked like cgne-laptop, at length."""


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(n, marks=pytest.mark.slow if n in NETWORKS else ())
        for n in [*COMPARED, *NULL_MODELS, *VARIANTS, *FAMILIES, *WRAPPERS]
        if n != MELTS
    ],
)
def test_the_simulators_that_come_with_nsbench_conform(registry, name, one_thread):
    report = check("simulator", name, params=SMALL.get(name), registry=registry, transitions=256)
    assert report.conforms, "\n".join(report.lines())


@pytest.mark.slow
def test_the_variant_whose_sites_may_melt_does_nothing_else_wrong(registry, one_thread):
    report = check("simulator", MELTS, params=SMALL[MELTS], registry=registry, transitions=256)
    assert all(wrong.startswith("attached sites melt") for wrong in wrongs(report)), "\n".join(report.lines())


def test_every_simulator_dataset_and_format_that_comes_with_nsbench_is_checked_here(registry):
    own = Registry()
    assert own.names("simulator") == sorted(
        [*COMPARED, *VARIANTS, *NULL_MODELS, *FAMILIES, *WRAPPERS, *SYSTEMS, *ELSEWHERE]
    )
    assert own.names("dataset") == sorted(["lca", "trajectories", *SYSTEMS])
    assert own.names("format") == ["cgne", "npz", "well"]


@pytest.mark.slow
@pytest.mark.parametrize("name", SYSTEMS)
@pytest.mark.parametrize("kind", ["dataset", "simulator"])
def test_the_systems_conform(registry, kind, name, one_thread):
    report = check(kind, name, registry=registry)
    assert report.conforms, "\n".join(report.lines())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "system"),
    [
        (name, system)
        for name in ["cgne", "cgne-laptop", "pns", "pns-laptop", "stochastic-nca", "persistence", *FAMILIES]
        for system in SYSTEMS
        if system != "lca-open" and not (name == "absorbing" and system in ("dendrite", "spinodal"))
    ],
)
def test_simulators_conform_on_every_system(registry, name, system, one_thread):
    report = check("simulator", name, params=SMALL.get(name), on=system, registry=registry, transitions=512)
    assert report.conforms, "\n".join(report.lines())


@pytest.mark.slow
@pytest.mark.parametrize("name", WRAPPERS)
def test_wrappers_conform_on_labels_too(registry, name, one_thread):
    report = check("simulator", name, params=SMALL[name], on="grains", registry=registry, transitions=256)
    assert report.conforms, "\n".join(report.lines())


@pytest.mark.slow
@pytest.mark.parametrize("name", ELSEWHERE)
def test_simulators_of_other_states_conform(registry, name, one_thread):
    report = check("simulator", name, params={"width": 4}, on=ELSEWHERE[name], registry=registry, transitions=256)
    assert report.conforms, "\n".join(report.lines())


def test_the_snow_crystals_conform(registry):
    report = check("dataset", "lca", registry=registry)
    assert report.conforms, "\n".join(report.lines())


def test_trajectories_in_files_conform(registry, tmp_path):
    from nsbench_formats.npz import write_npz

    dataset = Growth(GrowthParams())
    for k, split in enumerate(("train", "val", "test")):
        write_npz(tmp_path, split, dataset.prepare(split, np.random.default_rng(k)), None)
    report = check("dataset", "trajectories", params={"path": str(tmp_path), "format": "npz"}, registry=registry)
    assert report.conforms, "\n".join(report.lines())


@pytest.mark.parametrize(("name", "on"), [("npz", None), ("well", None), ("cgne", "lca")])
def test_the_formats_that_come_with_nsbench_conform(registry, name, on):
    report = check("format", name, on=on, registry=registry)
    assert (report.findings, report.notes) == ((), ()), "\n".join(report.lines())


@pytest.fixture(scope="module")
def features(tmp_path_factory):
    """Weights of a small image network, as the metric fid wants them."""
    from hashlib import sha256

    import torch
    from safetensors.torch import save_file

    path = tmp_path_factory.mktemp("fid") / "weights.safetensors"
    noise = torch.Generator().manual_seed(0)
    save_file({"0.weight": torch.randn(4, 1, 3, 3, generator=noise), "0.bias": torch.zeros(4)}, path)
    return {"weights": str(path), "sha256": sha256(path.read_bytes()).hexdigest()}


QUICK = ("energy_distance", "elbo", "spread_skill", "orphans", "wall_clock", "latent_neglect")
"""A metric of each kind of evidence and of items; the others are checked with -m slow."""

METRICS = [pytest.param(n, marks=() if n in QUICK else pytest.mark.slow) for n in Registry().names("metric")]


@pytest.mark.parametrize("name", METRICS)
def test_the_metrics_that_come_with_nsbench_conform(registry, name, request):
    fields = params_model(registry.spec("metric", name)).model_fields
    quick = {"resamples": 10, "permutations": 9, "cases": 16}
    params = {field: value for field, value in quick.items() if field in fields}
    params |= request.getfixturevalue("features") if name == "fid" else {}
    report = check("metric", name, params=params, registry=registry)
    assert report.conforms, "\n".join(report.lines())


def test_the_growth_that_components_are_checked_on_has_the_likelihood_that_it_says():
    """Mean log-likelihood per open site of the truth is minus the entropy of its coin."""
    truth = Growth(GrowthParams(test=200, repeats=1)).prepare("test", np.random.default_rng(0)).framed(1, 24)
    index, t = truth.transitions()
    x, rho = truth.at(index, t), truth.params[index, 0]
    nats = GrowthTruth().log_likelihood(x, truth.at(index, t + 1), truth.params[index], 1, np.random.default_rng(0))
    open_sites = front(x[:, 0] > 0, truth.domain.lattice).sum(axis=(1, 2))
    entropy = -(rho * np.log(rho) + (1 - rho) * np.log1p(-rho))
    assert (-nats).sum() == pytest.approx((open_sites * entropy).sum(), rel=0.01)


def test_the_sum_of_a_noisy_bound_is_judged_with_its_own_error():
    """Eight states of probability 1/8 with unbiased noise on their logarithms: log total 0 within its error."""
    rng = np.random.default_rng(0)
    far = 0
    for _ in range(200):
        total, error = log_total(-np.log(8) + rng.normal(0, 1, (32, 8)))
        far += total > 4 * error
    assert far == 0


def test_where_a_finding_is_points_at_the_method_or_else_the_class():
    lines = Path(broken.__file__).read_text().splitlines()
    line = 1 + lines.index("class Melts(Fine):")
    assert place_of(broken.Melts(), "rollout") == f"broken.py:{line + 1} Melts.rollout"
    assert place_of(broken.Melts(), "size") == f"broken.py:{line} Melts.size"


def test_the_command_says_what_it_found_and_exits_by_it():
    file = ["--plugin", broken.__file__]
    fine = nsbench("check", "Fine", *file)
    assert (fine.returncode, fine.stdout.splitlines()[-1].split(" in ")[0]) == (0, "0 findings, 0 notes")
    found = nsbench("check", "IgnoresBudget", *file)
    assert found.returncode == 1
    assert "  FINDING  the budget counts\n" in found.stdout
    assert "           right: train on at most ctx.transitions pairs of frames" in found.stdout


@pytest.mark.parametrize(
    ("name", "kind", "settings", "on", "on_settings", "message"),
    [
        ("cgn", None, [], None, [], "no component 'cgn'; did you mean 'cgne'?"),
        ("cgne", "metric", [], None, [], "no metric 'cgne'; known: "),
        ("pns", None, ["width=wide"], None, [], "simulator 'pns' does not take these parameters: width: "),
        ("pns", None, ["width"], None, [], "--set width: must be path=value"),
        ("pns", None, [], "snow", [], "no dataset 'snow'; known: "),
        ("fid", None, [], None, [], "metric 'fid' does not take these parameters: weights: Field required"),
        ("npz", None, [], "lca", ["size=3"], "format 'npz' does not take these parameters: size: "),
    ],
)
def test_a_call_that_is_wrong_is_explained(registry, name, kind, settings, on, on_settings, message):
    with pytest.raises((CannotCheck, SuiteError)) as error:
        check_component(registry, name, kind, settings, on, on_settings, 32, print)
    assert str(error.value).startswith(message)


def test_a_call_that_is_wrong_exits_2():
    done = nsbench("check", "cgn")
    assert (done.returncode, done.stdout, done.stderr) == (2, "", "no component 'cgn'; did you mean 'cgne'?\n")


def test_a_symmetry_that_observables_do_not_keep_is_no_symmetry():
    record = label_maps(np.full(6, 0.5), np.random.default_rng(0))
    claims = replace(record.domain, symmetries=("labels", "translations"), boundaries=("periodic", "open"))
    wrong = [what for what, _ in untrue_statements(replace(record, domain=claims))]
    assert wrong == ["claims the symmetry 'labels', under which observable total changes"]
    honest = replace(claims, symmetries=("translations",))
    assert list(untrue_statements(replace(record, domain=honest))) == []


def test_hidden_parameters_do_not_tell_splits_apart():
    """Each trajectory may have a seed of its own; what the law depends on still counts."""
    record = label_maps(np.array([0.5, 0.5]), np.random.default_rng(0))
    domain = replace(record.domain, parameters=(*record.domain.parameters, Parameter("seed", 0, 9, hidden=True)))
    hidden = replace(record, domain=domain, params=np.array([[0.5, 1], [0.5, 2]]))
    assert len(varying_parameters(hidden)) == 1
