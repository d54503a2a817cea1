"""Simulators that are made of another one: mixtures, temperatures, and fits that are shared by their keys."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

import nsbench
from conftest import SUITE
from forecasts import gaussian_fields, generator, growth_maps, label_maps
from nsbench.components.contracts.simulator import require_rollout
from nsbench.components.protocol import Conditions
from nsbench.components.simulator import FitContext
from nsbench.components.wrapper import Inner
from nsbench.neural.randomness import initialised
from nsbench.neural.simulator import Network
from nsbench.neural.states.choice import space_of
from nsbench.neural.states.facts import StateFacts
from nsbench.registry.loading import build
from nsbench.registry.registry import BrokenComponent
from nsbench.suite.planner import make_plan
from nsbench.suite.reading import read_suite
from nsbench.suite.yaml import SuiteError
from nsbench_wrappers.ensemble import Ensemble
from nsbench_wrappers.params import EnsembleParams
from nsbench_wrappers.tempered import least
from toy import Coin, CoinParams, Line, LineParams

pytestmark = pytest.mark.usefixtures("one_thread")

NCA = {
    "use": "stochastic-nca",
    "params": {"channels": 4, "hidden": 8, "updates": 2, "embedding": 4, "embedding_width": 8},
}


def coins(*rhos, kind="exact"):
    """An ensemble of coins that are known."""
    ensemble = Ensemble(EnsembleParams(of=Inner(use="coin"), members=len(rhos)))
    members = [Coin(CoinParams(rho=rho)) for rho in rhos]
    ensemble.bind(lambda: Coin(CoinParams()))
    ensemble.take(members)
    ensemble.likelihood = kind
    return ensemble


def line(count=200):
    return Line(LineParams(test=count)).prepare("test", generator()).framed(1, 6)


def test_the_likelihood_of_an_ensemble_is_that_of_the_mixture():
    record = line()
    index, t = record.transitions()
    x, x_next, params = record.at(index, t), record.at(index, t + 1), record.params[index]
    grown = x_next.sum(axis=(1, 2, 3)) > x.sum(axis=(1, 2, 3))
    nats = coins(0.1, 0.4, 0.7).log_likelihood(x, x_next, params, 1, generator())
    np.testing.assert_allclose(nats, np.log(np.where(grown, 0.4, 0.6)))
    lower = coins(0.1, 0.4, 0.7, kind="vlb").log_likelihood(x, x_next, params, 1, generator())
    assert np.all(lower < nats)  # the mean of bounds, which is one by Jensen's inequality


def test_each_rollout_is_of_one_member_drawn_at_random_and_cases_keep_their_order():
    record = line(600)
    start = record.start()
    ensemble = coins(0.02, 0.98)
    rollout = require_rollout(ensemble, ensemble.rollout(start, 6, generator(3)), start, 6)
    np.testing.assert_array_equal(rollout.params, start.params)
    heads = rollout.final().sum(axis=(1, 2, 3)) - 1
    assert np.mean((heads <= 1) | (heads >= 5)) > 0.98  # of 6: no blend of the two coins
    assert np.mean(heads >= 5) == pytest.approx(0.5, abs=4 * 0.5 / math.sqrt(600))
    again = ensemble.rollout(start, 6, generator(3))
    np.testing.assert_array_equal(again.final(), rollout.final())


def plan_of(write_suite, registry, entries, *overrides):
    text = SUITE.replace("  - {use: learner}", "\n".join(f"  - {entry}" for entry in entries))
    return make_plan(read_suite(write_suite(text), registry, overrides), registry)


ENSEMBLE = "{use: ensemble, params: {of: {use: learner}, members: 2}}"


def test_members_are_the_very_fits_that_the_inner_simulator_has_as_replicates(write_suite, registry):
    plan = plan_of(write_suite, registry, ["{use: learner}", ENSEMBLE], "replicates=4")
    own = {t.replicate: t for t in plan.trials if t.simulator == "learner"}
    ensembles = {t.replicate: t for t in plan.trials if t.simulator == "ensemble"}
    for replicate in (0, 1):
        wanted = [own[2 * replicate + k].model for k in range(2)]
        assert [member.model for member in ensembles[replicate].members] == wanted
        assert ensembles[replicate].model.fields["members"] == [key.digest for key in wanted]
    assert own[0].part.source in {member.model.fields["source"] for member in ensembles[0].members}
    assert own[0].part.source in plan.code  # the code of the inner simulator is kept, too
    assert len({trial.model.digest for trial in [*own.values(), *ensembles.values()]}) == 8


def test_a_share_of_the_budget_is_another_fit(write_suite, registry):
    share = ENSEMBLE.replace("members: 2", "members: 2, budget: share")
    plan = plan_of(write_suite, registry, ["{use: learner}", share])
    own, ensemble = plan.trials[1:]
    assert [member.model.fields["budget"]["transitions"] for member in ensemble.members] == [50, 50]
    assert own.model not in [member.model for member in ensemble.members]


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ("{of: {use: lerner}}", "simulators[1].params.of.use: no simulator 'lerner'; did you mean 'learner'?"),
        ("{of: {use: learner, params: {ro: 1}}}", "simulators[1].params.of.params.ro: unknown key; did you mean 'rho'?"),
        ("{of: {use: learner, params: {rho: 2}}}", "simulators[1].params.of.params.rho: must be < 1, got 2"),
        ("{of: {use: learner}, member: 2}", "simulators[1].params.member: unknown key; did you mean 'members'?"),
        ("{members: 2}", "simulators[1].params.of: is missing"),
        ("{of: {use: ensemble, params: {of: {use: lerner}}}}", "simulators[1].params.of.params.of.use: no simulator 'lerner'; did you mean 'learner'?"),
        ("{of: learner}", "simulators[1].params.of: "),
    ],
)  # fmt: skip
def test_faults_of_the_inner_simulator_are_named_with_their_place_when_a_suite_is_read(
    write_suite, registry, params, expected
):
    path = write_suite(SUITE.replace("{use: learner}", f"{{use: ensemble, params: {params}}}"))
    with pytest.raises(SuiteError) as caught:
        read_suite(path, registry)
    assert any(f"suite.yaml:6: {expected}" in str(fault) for fault in caught.value.faults)


def test_the_inner_parameters_are_written_out_in_full(write_suite, registry):
    path = write_suite(SUITE.replace("{use: learner}", ENSEMBLE))
    assert read_suite(path, registry).simulators[1].params["of"] == {"use": "learner", "params": {"rho": None}}


def test_both_decodings_of_what_is_inside_are_two_rows(write_suite, registry):
    path = write_suite(SUITE.replace("{use: learner}", ENSEMBLE.replace("learner", "either")))
    assert [use.name for use in read_suite(path, registry).simulators] == ["truth", "ensemble", "ensemble-drawn"]


@pytest.mark.parametrize("first", ["learner", "ensemble"])
def test_a_run_fits_what_two_simulators_share_once(bench, first):
    entries = ["{use: learner}", ENSEMBLE]
    text = SUITE.replace(
        "  - {use: learner}", "\n".join(f"  - {e}" for e in entries[:: 1 if first == "learner" else -1])
    )
    outcome, made, _ = bench(text, "replicates=2")
    assert {row.status for row in outcome.rows} == {"ok"}
    fits = [what for what in made if what.startswith(("fit of learner", "fit of ensemble"))]
    # Replicates 0 and 1 of the learner are the members of the first ensemble; 2 and 3 of the second; and two ensembles.
    assert len(fits) == 2 + 2 + 2
    rows = {(row.simulator, row.replicate): row for row in outcome.rows}
    assert rows["ensemble", 0].keys["member/1"] == rows["learner", 1].keys["model"]
    scores = {(s, r): {score.metric: score for score in row.scores} for (s, r), row in rows.items()}
    elbo = scores["ensemble", 0]["elbo"].value
    assert elbo == pytest.approx(scores["learner", 0]["elbo"].value)  # this learner learns the same each time
    again, made, _ = bench(text, "replicates=2")
    assert not [what for what in made if what.startswith("fit of")]
    assert {row.status for row in again.rows} == {"ok"}


def test_an_ensemble_of_ensembles_is_planned_and_run(bench):
    nested = f"{{use: ensemble, params: {{of: {ENSEMBLE}, members: 2}}}}"
    outcome, made, _ = bench(SUITE.replace("{use: learner}", nested))
    assert {row.status for row in outcome.rows} == {"ok"}
    assert sorted(what for what in made if "member" in what) == sorted(
        f"fit of ensemble member-{k}{inner}" for k in (0, 1) for inner in ("", "/member-0", "/member-1")
    )


def small(name, **params):
    return nsbench.load("simulator", name, of=NCA, **params)


class Stopped:
    """A request to stop after so many questions."""

    def __init__(self, after):
        self.left = after

    def __call__(self):
        self.left -= 1
        return self.left < 0


def test_by_itself_an_ensemble_fits_its_members_and_goes_on_where_it_was_stopped(tmp_path):
    record, points = growth_maps([0.3, 0.6, 0.5, 0.2], generator()), []
    whole = small("ensemble", members=2)
    log = lambda name, value, step: points.append(name)  # noqa: E731
    whole.fit(record, record, FitContext(320, tmp_path / "whole", generator(1), log=log))
    assert {name.split("/")[0] for name in points} == {"member-0", "member-1"}
    stopped = small("ensemble", members=2)
    with pytest.raises(KeyboardInterrupt):
        stopped.fit(record, record, FitContext(320, tmp_path / "cut", generator(1), stopping=Stopped(30)))
    assert {path.parent.name for path in (tmp_path / "cut").rglob("checkpoint.safetensors")} == {"member-1"}
    stopped.fit(record, record, FitContext(320, tmp_path / "cut", generator(1)))
    for folder, ensemble in {"a": whole, "b": stopped}.items():
        ensemble.save(tmp_path / folder)
    files = [f"member-{k}/weights.safetensors" for k in (0, 1)]
    first, second = ([(tmp_path / folder / file).read_bytes() for file in files] for folder in "ab")
    assert first == second
    assert first[0] != first[1]
    loaded = small("ensemble", members=2)
    loaded.load(tmp_path / "a")
    rollouts = [e.rollout(record.start(), 4, generator(5)).arrays()["arrival"] for e in (whole, loaded)]
    np.testing.assert_array_equal(*rollouts)
    assert whole.size() == 2 * whole.members[0].size()
    loaded.conditions = Conditions(precision="bfloat16")
    assert [member.conditions.precision for member in loaded.members] == ["bfloat16"] * 2


FACTS = {
    "growth": StateFacts("growth", 1, 0, False, ("open", "open")),
    "labels": StateFacts("labels", 1, 3, False, ("open", "open")),
    "fields": StateFacts("fields", 1, 0, False, ("open", "open")),
}
RECORDS = {
    "growth": lambda: growth_maps(np.linspace(0.1, 0.5, 60), generator()),
    "labels": lambda: label_maps(np.linspace(0.1, 0.9, 60), generator(), size=8),
    "fields": lambda: gaussian_fields(np.linspace(0, 1, 60), generator(), size=8),
}


def with_network(states):
    """A tempered network with large random weights, which learned nothing."""
    simulator = small("tempered")
    inner = simulator.inner()
    inner.parameters, inner.columns, inner.states = ["rate"], [0], FACTS[states]
    inner.network = initialised(lambda: Network(inner.build(inner.space(FACTS[states]), 1), 1), 3).eval()
    with torch.no_grad():
        inner.network.model.logit.weight.mul_(8)
    simulator.take([inner])
    return simulator


@pytest.mark.parametrize("states", FACTS)
@pytest.mark.parametrize("truth", [0.5, 1.0, 2.0])
def test_the_temperature_at_which_states_were_drawn_is_recovered(states, truth, tmp_path):
    simulator = with_network(states)
    simulator.conditions = Conditions(decode="sample")
    simulator.temperature = truth
    drawn = simulator.rollout(RECORDS[states]().start(), 4, generator(7))
    simulator.temperature = 1.0
    simulator.learn(drawn, FitContext(100, tmp_path, generator(1)))
    assert simulator.temperature == pytest.approx(truth, rel=0.1)
    index, t = drawn.transitions()
    x, x_next, params = drawn.at(index, t), drawn.at(index, t + 1), drawn.params[index]
    before = simulator.log_likelihood(x, x_next, params, 1, generator()).mean()
    for worse in (0.8, 1.25):
        simulator.temperature *= worse
        assert simulator.log_likelihood(x, x_next, params, 1, generator()).mean() < before
        simulator.temperature /= worse


@pytest.mark.parametrize("states", FACTS)
def test_temperature_one_changes_no_bit_and_none_changes_the_likeliest_state(states):
    simulator, record = with_network(states), RECORDS[states]()
    model, plain = simulator.network.model, space_of(FACTS[states])
    x, x_next, y = torch.from_numpy(record.frame(1)), torch.from_numpy(record.frame(2)), torch.zeros(len(record), 1)

    def drawn(space, decode="sample"):
        return space.next_state(x, out, decode, torch.Generator().manual_seed(1))

    with torch.inference_mode():
        out = model.output(x, y, torch.Generator())
        assert torch.equal(drawn(model.space), drawn(plain))
        assert torch.equal(model.space.log_density(out, x, x_next), plain.log_density(out, x, x_next))
        simulator.temperature = 3.0
        torch.testing.assert_close(drawn(model.space, "mode"), drawn(plain, "mode"))
        assert not torch.equal(drawn(model.space), drawn(plain))


def test_a_tempered_fit_survives_a_file(tmp_path):
    record = growth_maps([0.3, 0.6, 0.5, 0.2], generator())
    simulator = small("tempered", transitions=16)
    simulator.fit(record, record, FitContext(64, tmp_path / "work", generator(1)))
    assert simulator.temperature != 1
    assert simulator.likelihood == "exact"
    simulator.save(tmp_path)
    loaded = small("tempered", transitions=16)
    loaded.load(tmp_path)
    assert loaded.temperature == simulator.temperature
    arrivals = [s.rollout(record.start(), 4, generator(5)).arrays()["arrival"] for s in (simulator, loaded)]
    np.testing.assert_array_equal(*arrivals)


@pytest.mark.parametrize(
    ("use", "why"), [("crps", "has none"), ("frozen-neighbour", "is no network"), ("lca", "has none")]
)
def test_a_temperature_of_what_has_none_is_refused(registry, use, why):
    with pytest.raises(BrokenComponent, match=why):
        build("simulator", registry.spec("simulator", "tempered"), {"of": {"use": use}}, registry)


def test_golden_sections_find_the_minimum():
    for place in (-2.9, 0.0, 1.7):
        assert least(lambda x, place=place: abs(x - place) ** 1.5, -3, 3, 1e-4) == pytest.approx(place, abs=1e-4)
