"""Each variant of CGNE differs from it in what its name says, and in nothing else."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from pydantic import ValidationError

import nsbench
from forecasts import evidence
from nsbench.components.protocol import Conditions
from nsbench.components.simulator import FitContext
from nsbench.neural.randomness import initialised
from nsbench.neural.simulator import Network
from nsbench.neural.states.facts import StateFacts
from nsbench.suite.reading import read_suite
from nsbench.trajectories.fields import FieldTrajectories
from nsbench.trajectories.growth import GrowthTrajectories
from nsbench_cgne.laptop import LaptopParams
from nsbench_cgne.simulator import CGNE

pytestmark = pytest.mark.usefixtures("one_thread")

SUITES = Path(__file__).parents[1] / "suites"

FIXED = {
    "cgne-no-dropout": {"decoder_dropout": None},
    "cgne-standard-sampling": {"frozen_state": False, "attached_weight": 1.0},
    "cgne-unconditional-prior": {"conditional_prior": False},
    "cgne-no-regressor": {"auxiliary_weight": 0.0},
    "cgne-no-annealing": {"kl_annealing": 0.0},
    "cgne-no-unrolling": {"unroll": 1, "unroll_mask": "guided", "start_every": 1},
    "cgne-vector-z": {},
    "cgne-bernoulli-sampling": {},
}
"""What each variant holds, of the parameters of CGNE."""

GONE = {"cgne-unconditional-prior": "model.prior_encoder.", "cgne-no-regressor": "model.regressor."}
"""The networks that a variant does without."""

TINY = {"width": 4, "latent_channels": 2, "latent_width": 4, "batch": 8, "unroll": 3, "kl_weight": 1.0}


def variant(name: str, **params: object):
    given = {k: v for k, v in (TINY | params).items() if k not in FIXED[name]}
    return nsbench.load("simulator", name, **given)


def with_network(simulator, domain, seed: int = 0):
    """Untrained, but ready."""
    simulator.parameters, simulator.columns = ["rho"], [domain.column("rho")]
    simulator.states = StateFacts.of(domain)
    space = simulator.space(simulator.states)
    simulator.network = initialised(lambda: Network(simulator.build(space, 1), 1), seed).eval()
    return simulator


@pytest.fixture(scope="module")
def cgne(crystals, tmp_path_factory):
    """A CGNE, and the folder of its weights, which are large enough that sites do attach."""
    simulator = with_network(CGNE(LaptopParams.model_validate(TINY)), crystals[0].domain)
    with torch.no_grad():
        simulator.network.model.decoder.logit.weight.mul_(8)
    simulator.save(tmp_path_factory.mktemp("weights"))
    folder = tmp_path_factory.mktemp("cgne")
    simulator.save(folder)
    return simulator, folder


def loaded(name: str, folder: Path):
    simulator = variant(name)
    simulator.load(folder)
    return simulator


@pytest.mark.parametrize("name", FIXED)
def test_a_variant_holds_what_its_name_says_and_no_other_parameter(name):
    own, whole = variant(name).params.model_dump(), LaptopParams.model_validate(TINY).model_dump()
    assert {k: v for k, v in own.items() if v != whole[k]} == {k: v for k, v in FIXED[name].items() if v != whole[k]}


@pytest.mark.parametrize("name", FIXED)
def test_a_variant_has_the_defaults_and_limits_of_cgne(name):
    assert {k: v for k, v in nsbench.load("simulator", name).params if v != getattr(LaptopParams(), k)} == {
        k: v for k, v in FIXED[name].items() if v != getattr(LaptopParams(), k)
    }
    with pytest.raises(ValidationError, match="multiple of 4"):
        nsbench.load("simulator", name, width=6)
    if name != "cgne-no-dropout":
        with pytest.raises(ValidationError, match="probability"):
            nsbench.load("simulator", name, decoder_dropout={"first": 2, "last": 0})


@pytest.mark.parametrize("name", [name for name, fixed in FIXED.items() if fixed])
def test_what_is_fixed_cannot_be_set(name):
    for key, value in FIXED[name].items():
        with pytest.raises(ValidationError, match=key):
            nsbench.load("simulator", name, **{key: value})


@pytest.mark.parametrize("name", [name for name in FIXED if name not in GONE])
def test_the_weights_of_cgne_are_those_of_the_variant(name, cgne):
    theirs, own = (s.network.state_dict() for s in (cgne[0], loaded(name, cgne[1])))
    assert {k: v.shape for k, v in theirs.items()} == {k: v.shape for k, v in own.items()}
    assert all(torch.equal(theirs[k], own[k]) for k in theirs)


@pytest.mark.parametrize("name", GONE)
def test_a_variant_without_a_network_lacks_its_weights_and_no_others(name, cgne, crystals):
    own = with_network(variant(name), crystals[0].domain).network.state_dict()
    assert own.keys() == {k for k in cgne[0].network.state_dict() if not k.startswith(GONE[name])}


def transitions(crystals, count=12):
    index, t = crystals[1].transitions()
    index, t = index[:count], t[:count]
    return crystals[1].at(index, t), crystals[1].at(index, t + 1), crystals[1].params[index]


def losses(simulator, crystals, fraction):
    """The loss of a few transitions when that part of the budget is spent, with always the same noise."""
    x, x_next, _ = map(torch.from_numpy, transitions(crystals))
    y = torch.linspace(-1, 1, len(x))[:, None]
    with torch.no_grad():
        return simulator.network.model.loss(x, x_next, y, fraction, torch.Generator().manual_seed(1))


@pytest.mark.parametrize(
    ("name", "early", "late"),
    [
        ("cgne-no-dropout", False, None),
        ("cgne-no-annealing", False, True),
        ("cgne-no-unrolling", True, True),
        ("cgne-bernoulli-sampling", True, True),
        ("cgne-standard-sampling", False, False),
    ],
)
def test_with_equal_weights_the_losses_are_equal_when_they_should_be(name, early, late, cgne, crystals):
    for fraction, equal in ((0.01, early), (1.0, late)):
        if equal is None:  # a matter of chance
            continue
        theirs, own = (losses(s, crystals, fraction).total.item() for s in (cgne[0], loaded(name, cgne[1])))
        assert (theirs == own) == equal


def test_the_weight_of_attached_sites_means_nothing_to_standard_sampling(cgne, crystals):
    own = loaded("cgne-standard-sampling", cgne[1])
    expected = losses(own, crystals, 1.0).total
    own.network.model.params = own.params.model_copy(update={"attached_weight": 0.1})
    assert torch.equal(losses(own, crystals, 1.0).total, expected)


def test_bernoulli_sampling_is_cgne_with_its_sites_drawn(cgne, crystals):
    start, own = crystals[1].start(), loaded("cgne-bernoulli-sampling", cgne[1])
    rollouts = {}
    for decode in ("mode", "sample"):
        cgne[0].conditions = own.conditions = Conditions(decode=decode)
        rollouts[decode] = [s.rollout(start, 4, np.random.default_rng(0)).arrival for s in (cgne[0], own)]
    np.testing.assert_array_equal(*rollouts["sample"])
    np.testing.assert_array_equal(rollouts["mode"][1], rollouts["sample"][1])
    assert (rollouts["mode"][0] != rollouts["sample"][0]).any()


def test_bernoulli_sampling_does_not_forget_its_other_conditions():
    own = nsbench.load("simulator", "cgne-bernoulli-sampling")
    assert own.conditions == Conditions(decode="sample")
    own.conditions = Conditions(precision="bfloat16")
    assert own.conditions == Conditions(precision="bfloat16", decode="sample")


def test_standard_sampling_is_cgne_but_that_sites_may_melt(cgne, crystals):
    start, own = crystals[1].start(), loaded("cgne-standard-sampling", cgne[1])
    cgne[0].conditions = own.conditions = Conditions(decode="sample")
    frozen, free = (s.rollout(start, 4, np.random.default_rng(0)) for s in (cgne[0], own))
    assert isinstance(frozen, GrowthTrajectories)
    assert isinstance(free, FieldTrajectories)
    assert (np.diff(free.values, axis=1) < 0).any()
    x, first = start.frame(0), free.frame(1)  # the same draws: but for the seed, the first frames agree
    np.testing.assert_array_equal(np.where(x > 0.5, 1, first), frozen.frame(1))


def test_bernoulli_sampling_of_states_that_may_melt_is_standard_sampling_drawn(cgne, crystals):
    drawn = variant("cgne-bernoulli-sampling", frozen_state=False)
    drawn.load(cgne[1])
    own = loaded("cgne-standard-sampling", cgne[1])
    own.conditions, drawn.conditions = Conditions(decode="sample"), Conditions(decode="mode")
    a, b = (s.rollout(crystals[1].start(), 4, np.random.default_rng(0)).values for s in (own, drawn))
    np.testing.assert_array_equal(a, b)


def test_states_that_may_melt_end_where_the_stop_rule_says(cgne, crystals):
    start, own = crystals[1].start(), loaded("cgne-standard-sampling", cgne[1])
    own.conditions = Conditions(decode="sample")
    early = replace(start, domain=replace(start.domain, stop_margin=13))
    rollouts = own.rollout(early, 6, np.random.default_rng(0))
    np.testing.assert_array_equal(rollouts.lengths, rollouts.stopped().lengths)
    held = (rollouts.final()[:, 0, early.domain.stop_sites()] > 0.5).any(axis=1)
    assert held[rollouts.lengths < 7].all()
    assert rollouts.lengths.min() < 7


def test_the_likelihood_of_standard_sampling_has_attached_sites_too(cgne, crystals):
    own = loaded("cgne-standard-sampling", cgne[1])
    cgne[0].conditions = own.conditions = Conditions()
    x, x_next, params = transitions(crystals)
    frozen, free = (s.log_likelihood(x, x_next, params, 1, np.random.default_rng(0)) for s in (cgne[0], own))
    assert (free < frozen).all()
    none = np.zeros_like(x)
    same = [s.log_likelihood(none, x_next, params, 1, np.random.default_rng(0)) for s in (cgne[0], own)]
    np.testing.assert_allclose(*same)
    assert np.isfinite(own.log_likelihood(x_next, none, params, 1, np.random.default_rng(0))).all()


@pytest.mark.parametrize("halvings", [2, 3])
@pytest.mark.parametrize("learned", [True, False])
def test_a_vector_of_latents_is_a_lattice_of_equal_ones(crystals, halvings, learned):
    params = {"latent_halvings": halvings, "conditional_prior": learned}
    vector = with_network(variant("cgne-vector-z", **params), crystals[0].domain).network.model
    lattice = with_network(CGNE(LaptopParams.model_validate(TINY | params)), crystals[0].domain).network.model
    lattice.load_state_dict(vector.state_dict())
    x, x_next, _ = map(torch.from_numpy, transitions(crystals))
    context = vector.context(x, torch.linspace(-1, 1, len(x))[:, None])
    with torch.no_grad():
        for mine, theirs in (
            (vector.prior(context), lattice.prior(context)),
            (vector.posterior(context, x_next), lattice.posterior(context, x_next)),
        ):
            assert mine.mean.shape == mine.scale.shape == (len(x), 2, 1, 1)
            torch.testing.assert_close(mine.mean, theirs.mean.mean((2, 3), keepdim=True))
        z = torch.randn(len(x), 2, 1, 1, generator=torch.Generator().manual_seed(0))
        side = 16 >> halvings
        torch.testing.assert_close(vector.decode(context, z), lattice.decode(context, z.expand(-1, -1, side, side)))
        torch.testing.assert_close(vector.regressor(z), lattice.regressor(z.expand(-1, -1, 4, 4)))


def test_a_vector_of_latents_can_be_trained_and_asked(crystals, tmp_path):
    simulator = variant("cgne-vector-z")
    simulator.fit(*crystals, FitContext(60, tmp_path, np.random.default_rng(0)))
    assert len(simulator.rollout(crystals[1].start(), 3, np.random.default_rng(0))) == 6
    x, x_next, params = transitions(crystals)
    assert np.isfinite(simulator.log_likelihood(x, x_next, params, 3, np.random.default_rng(0))).all()
    assert simulator.latent_kl(x, x_next, params).shape == (2,)


SUITE = """\
name: melting
datasets:
  - {use: lca, params: {size: 16, train: 40, val: 4, test: {parameters: 4, repeats: 2}}}
simulators:
  - {use: cgne-standard-sampling, params: {width: 4, latent_channels: 2, latent_width: 4}}
metrics: [elbo, melting, posterior_collapse]
protocol: {stride: 3, horizon: 12, decode: mode, bounds: {samples: [1, 2], transitions: 4}}
budget: {transitions: 64}
"""


def test_the_harness_copes_with_sites_that_melt(bench):
    """And what latents do is in the store: a metric that asks for it later only scores."""
    bench(SUITE)
    outcome, made, _ = bench(SUITE.replace("_collapse]", "_collapse, latent_neglect]"))
    assert [what for what in made if "cgne" in what] == ["latent_neglect of cgne-standard-sampling"]
    scores = {score.metric: score for score in outcome.rows[0].scores}
    assert all(score.value is not None for score in scores.values())
    assert scores["latent_neglect"].extras["information_bound"] == scores["posterior_collapse"].value > 0


def test_every_metric_of_rollouts_copes_with_sites_that_melt(cgne, registry):
    dataset = nsbench.load("dataset", "lca", size=16, test={"parameters": 4, "repeats": 2})
    truth = dataset.prepare("test", np.random.default_rng(0)).framed(3, 12)
    own = loaded("cgne-standard-sampling", cgne[1])
    own.conditions = Conditions(decode="sample")
    rollouts = own.rollout(truth.start(), 12, np.random.default_rng(0)).stopped()
    assert score_of("melting", rollouts, truth).value > 0
    declines_growth = "time_asymmetry"
    names = [n for n in registry.names("metric") if n not in ("length", "fid", declines_growth)]
    scored = [n for n in names if nsbench.load("metric", n).needs <= {"rollouts"}]
    assert len(scored) >= 20
    for name in scored:
        assert np.isfinite(score_of(name, rollouts, truth).value), name


def score_of(metric, rollouts, truth):
    return nsbench.load("metric", metric).score(evidence(rollouts), truth, np.random.default_rng(0))


def test_planning_with_variants_and_null_models_imports_no_torch():
    script = """
import sys, nsbench_ablations, nsbench_ablations.params, nsbench_ablations.null_params, nsbench_metrics
import nsbench_ablations.frozen_neighbour, nsbench_ablations.persistence
nsbench_metrics.nsbench_metrics()
print(sorted({"torch", "numba", "matplotlib", "scipy", "skimage", "ot", "scoringrules"} & set(sys.modules)))
"""
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


def uses(suite: str, registry) -> dict[str, dict]:
    """The parameters of CGNE in full, by the name of each CGNE and variant in a suite."""
    found = {}
    for use in read_suite(SUITES / suite, registry).simulators:
        if use.use.startswith("cgne"):
            found[use.name] = nsbench.load("simulator", use.use, **use.params).params.model_dump()
    return found


def test_the_reference_suite_shares_the_fits_of_snow(registry):
    snow = {use.name: use.params for use in read_suite(SUITES / "snow.yaml", registry).simulators}
    beside = {use.name: use.params for use in read_suite(SUITES / "snow-reference.yaml", registry).simulators}
    assert snow.items() <= beside.items()


@pytest.mark.parametrize(
    ("suite", "name", "reference"),
    [("ablations.yaml", "cgne-laptop", "sampling.yaml"), ("ablations-paper.yaml", "cgne", "snow-paper.yaml")],
)
def test_the_suites_vary_the_reference_in_what_the_names_say(suite, name, reference, registry):
    whole, found = uses(reference, registry)[name], uses(suite, registry)
    assert found.pop(name) == whole
    assert FIXED.keys() <= found.keys()
    for variant_of_it in FIXED:
        differing = {k: v for k, v in found[variant_of_it].items() if v != whole[k]}
        expected = {k: v for k, v in FIXED[variant_of_it].items() if v != whole[k]}
        if variant_of_it == "cgne-vector-z":
            expected |= {"kl_mean": "sites"} if whole["kl_mean"] == "latents" else {}
        assert differing == expected, variant_of_it


@pytest.mark.parametrize(
    ("suite", "name", "reference"),
    [
        ("dropout-schedules.yaml", "cgne-laptop", "ablations.yaml"),
        ("dropout-schedules-paper.yaml", "cgne", "snow-paper.yaml"),
    ],
)
def test_schedules_are_varied_one_thing_at_a_time(suite, name, reference, registry):
    whole, found = uses(reference, registry)[name], uses(suite, registry)
    ours = whole["decoder_dropout"]
    facts = {
        "start": lambda ramp: ramp["first"],
        "hold": lambda ramp: ramp["begin"],
        "decay": lambda ramp: round(ramp["end"] - ramp["begin"], 6),
        "final": lambda ramp: ramp["last"],
    }
    values = {kind: {fact(ours)} for kind, fact in facts.items()}
    assert found.pop(name) == whole
    assert found.pop("cgne-no-dropout")["decoder_dropout"] is None
    for changed_one, params in found.items():
        assert {k for k in whole if params[k] != whole[k]} == {"decoder_dropout"}
        ramp = params["decoder_dropout"]
        changed = [fact for fact, read in facts.items() if read(ramp) != read(ours)]
        assert changed == [changed_one.partition("-")[0]]
        values[changed[0]].add(facts[changed[0]](ramp))
    assert all(len(seen) >= 4 for seen in values.values()), values


@pytest.mark.parametrize("suite", ["ablations", "dropout-schedules", "sampling"])
def test_rollouts_may_be_as_long_as_in_the_suite_whose_data_they_are_of(suite, registry):
    for ours, whole in ((suite, "snow"), (f"{suite}-paper", "snow-paper")):
        of = [read_suite(SUITES / f"{name}.yaml", registry) for name in (ours, whole)]
        assert of[0].datasets == of[1].datasets[:1]  # snow-paper has a second view of the same crystals
        assert of[0].protocol.horizon == of[1].protocol.horizon
        assert of[0].protocol.last_stride == of[1].protocol.last_stride  # else the fits would be others
