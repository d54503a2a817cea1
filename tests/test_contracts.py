"""A contract that is broken in the middle of a run costs its trial a line that says what, where and what would be right."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

import nsbench
import toy
from coins import Ran
from conftest import SUITE
from nsbench.components.contracts.broken import kind_of
from nsbench.components.contracts.numbers import real, whole
from nsbench.components.metric import Score
from nsbench.components.simulator import Simulator
from nsbench.stages.fit import Journal
from nsbench.trajectories.fields import FieldTrajectories

ROLLOUT, NATS, SCORE = toy.Learner.rollout, toy.Learner.log_likelihood, toy.Length.score


def as_fields(value):
    def rollout(self, start, steps, rng):
        fine = ROLLOUT(self, start, steps, rng)
        values = np.stack([fine.frame(t) for t in range(steps + 1)], axis=1)
        values[:, -1] = value
        return FieldTrajectories(fine.params, fine.lengths, fine.domain, values)

    return rollout


def sometimes_fields(self, start, steps, rng):
    return (as_fields(1) if len(start) == 4 else ROLLOUT)(self, start, steps, rng)


def broken_domain(self, start, steps, rng):
    fine = ROLLOUT(self, start, steps, rng)
    return replace(fine, domain=replace(fine.domain, clock="event"))


BROKEN_SIMULATORS = {
    "an array": ("rollout", lambda self, start, steps, rng: start.params, "returned ndarray float64[24, 1]; it must return Trajectories"),
    "nothing": ("rollout", lambda self, start, steps, rng: None, "returned NoneType; it must return Trajectories"),
    "too few": ("rollout", lambda self, *a: ROLLOUT(self, *a).select(slice(0, 3)), "returned 3 trajectories; it must return the trajectories of its start, in order, with their parameters: 24 of them"),
    "another order": ("rollout", lambda self, *a: ROLLOUT(self, *a).select(slice(None, None, -1)), "returned other parameters, first for trajectory [0]"),
    "another domain": ("rollout", broken_domain, "returned trajectories of another domain (clock differ); it must keep the domain of its start"),
    "not a number": ("rollout", as_fields(np.nan), "returned states that are NaN or infinite; it must return finite numbers"),
    "a list of nats": ("log_likelihood", lambda self, *a: NATS(self, *a).tolist(), "returned list; it must return"),
    "a column of nats": ("log_likelihood", lambda self, *a: NATS(self, *a)[:, None], ", 1]; it must return"),
    "nats of less than nothing": ("log_likelihood", lambda self, *a: NATS(self, *a) - np.inf, "values are NaN or infinite; it must return"),
    "a size in words": ("size", lambda self: "many", "returned 'many'; it must return a whole number, or None"),
    "no number of operations": ("flops", lambda self, *a: float("nan"), "returned nan; it must return a finite number, or None"),
    "nothing saved": ("save", Simulator.save, "learned learned, which nothing saves; define save(directory) and load(directory)"),
    "nothing written": ("save", lambda self, directory: None, "raised FileNotFoundError: "),
}  # fmt: skip
METHOD = {"nothing saved": "fit", "nothing written": "load"}


@pytest.mark.parametrize("how", BROKEN_SIMULATORS)
def test_a_simulator_that_breaks_its_contract_fails_its_trial_with_what_where_and_what_would_be_right(
    bench, monkeypatch, how
):
    method, broken, message = BROKEN_SIMULATORS[how]
    monkeypatch.setattr(toy.Learner, method, broken)
    outcome, _, _ = bench()
    truth, learner = outcome.rows
    assert (truth.status, learner.status, outcome.exit_code) == ("ok", "failed", 1)
    assert learner.error.startswith(f"BrokenContract: toy:Learner.{METHOD.get(how, method)}: ")
    assert message in learner.error


def test_what_load_could_have_read_is_named(bench, monkeypatch):
    monkeypatch.setattr(toy.Learner, "save", lambda self, directory: (directory / "other.json").write_text("1"))
    outcome, _, _ = bench()
    assert "(save wrote other.json); it must read what save wrote, and nothing else" in outcome.rows[1].error


def test_batches_of_two_kinds_are_refused(bench, monkeypatch):
    monkeypatch.setattr(toy.Learner, "rollout", sometimes_fields)
    outcome, _, _ = bench(None, "protocol.batch=20")
    expected = "returned FieldTrajectories and GrowthTrajectories; all batches must be of one kind"
    assert expected in outcome.rows[1].error


BROKEN_METRICS = {
    "a float": (lambda self, *a: 1.0, "returned float; it must return a nsbench.Score"),
    "no number": (lambda self, *a: Score(float("nan")), "returned nan for its value; it must be a finite number; raise NotApplicable"),
    "a word": (lambda self, *a: Score("good"), "returned 'good' for its value"),
    "an extra": (lambda self, *a: Score(1.0, extras={"bias": None}), "returned None for its extra 'bias'"),
    "an interval": (lambda self, *a: Score(1.0, interval=(0.5,)), "returned (0.5,) for its interval; it must be (low, high), or None"),
    "items": (lambda self, *a: Score(1.0, items=[1, 2]), "returned list for its items; they must be float64[k]"),
    "a list by lead time": (lambda self, *a: Score(1.0, by_lead={"bias": [1.0]}), "returned list for 'bias' by lead time; it must be float64[L]"),
    "an infinity by lead time": (lambda self, *a: Score(1.0, by_lead={"bias": np.array([np.inf])}), "not finite for 'bias' by lead time"),
    "a figure": (lambda self, *a: Score(1.0, figure="plot"), "returned str for its figure; it must be a PNG's bytes"),
    "a drawing of a figure": (lambda self, *a: Score(1.0, figure=lambda: "plot"), "returned str for its figure; it must be a PNG's bytes"),
}  # fmt: skip


def test_figures_are_drawn_where_they_are_kept_and_not_of_anchors(tmp_path, registry, monkeypatch):
    drawn = []
    score = toy.Length.score

    def with_figure(self, *arguments):
        return replace(score(self, *arguments), figure=lambda: drawn.append(1) or b"\x89PNG")

    monkeypatch.setattr(toy.Length, "score", with_figure)
    ran = Ran(tmp_path, registry, SUITE)
    plan, anchors = ran.plan, ran.plan.anchors["line", 0]
    of = [next(metric for metric in trial.scores if metric.name == "length") for trial in plan.trials]
    assert [ran.stored.figure(metric) for metric in of] == [b"\x89PNG"] * 2
    nulls = [next(metric for metric in null.scores if metric.name == "length") for null in anchors.nulls.values()]
    assert all(ran.stored.artifact(metric.key) and ran.stored.figure(metric) is None for metric in nulls)
    assert len(drawn) == 3  # the two trials, and the ground truth without noise, which might be one


@pytest.mark.parametrize("how", BROKEN_METRICS)
def test_a_metric_that_breaks_its_contract_fails_the_trial(bench, monkeypatch, how):
    broken, message = BROKEN_METRICS[how]
    monkeypatch.setattr(toy.Length, "score", broken)
    outcome, _, _ = bench(None, "metrics=[length]", "simulators=[{use: coin}]")
    assert outcome.rows[0].error.startswith("BrokenContract: toy:Length.score: ")
    assert message in outcome.rows[0].error


def test_numbers_of_other_types_are_taken_as_what_they_are(bench, monkeypatch):
    def score(self, evidence, reference, rng):
        fine = SCORE(self, evidence, reference, rng)
        return replace(fine, value=np.float32(0.5), interval=[0, np.int64(1)], extras={"simulated": np.float32(2)})

    monkeypatch.setattr(toy.Length, "score", score)
    outcome, _, _ = bench(None, "metrics=[length]", "simulators=[{use: coin}]")
    (row,) = outcome.rows[0].scores
    assert (row.value, row.interval, row.extras) == (0.5, (0.0, 1.0), {"simulated": 2.0})


NUMBERS = [
    2,
    2.0,
    np.float32(2),
    np.float64(2),
    np.int64(2),
    np.uint8(2),
    np.array(2.0),
    torch.tensor(2),
    torch.tensor(2.0),
]


@pytest.mark.parametrize("value", NUMBERS, ids=lambda value: f"{type(value).__name__} {getattr(value, 'dtype', '')}")
def test_a_number_is_a_number_whatever_library_it_is_of(tmp_path, value):
    assert real(value) == 2.0
    assert type(real(value)) is float
    is_whole = "float" not in str(getattr(value, "dtype", type(value).__name__))
    assert whole(value) == (2 if is_whole else None)
    told = []
    with Journal(tmp_path, told.append) as journal:
        journal.log("loss", value, np.int64(3))
    assert json.loads(json.dumps(told)) == [["loss", 2.0, 3]]


@pytest.mark.parametrize("value", ["2", None, [2.0], np.zeros(1), torch.zeros(2), 2j, object()], ids=kind_of)
def test_what_is_no_number_is_named(tmp_path, value):
    assert real(value) is None
    assert whole(value) is None
    with pytest.raises(TypeError, match=r"ctx.log\('loss', …\): a point's value is a number, got"):
        Journal(tmp_path, print).log("loss", value, 1)
    with pytest.raises(TypeError, match="a point's step is a whole number, got"):
        Journal(tmp_path, print).log("loss", 1.0, 2.5)


def test_parameters_given_from_python_may_be_of_numpy_or_torch():
    given = {
        "size": np.int64(16),
        "train": torch.tensor(3),
        "test": {"parameters": np.uint8(2), "repeats": np.array(2)},
    }
    assert (
        nsbench.load("dataset", "lca", **given).params
        == nsbench.load("dataset", "lca", size=16, train=3, test={"parameters": 2, "repeats": 2}).params
    )


BROKEN_DATASETS = {
    "an array": ("prepare", lambda self, split, rng: rng.random(3), "toy:Line.prepare: returned ndarray float64[3] for train; it must return Trajectories"),
    "nothing": ("parts", lambda self, split: 0, "toy:Line.parts: returned 0; it must return a whole number >= 1"),
    "no case": ("part", lambda self, split, rng, k: self.prepare(split, rng).select(slice(0, 0)), "returned no trajectory for train; a split holds at least one"),
    "not a number": ("part", lambda self, split, rng, k: replace(self.prepare(split, rng), params=np.full((30, 1), np.nan)), "returned params for train that are NaN or infinite; all numbers must be finite"),
    "frames": ("part", lambda self, split, rng, k: self.prepare(split, rng).framed(1, 6), "returned trajectories of another domain for train (stride differ)"),
}  # fmt: skip


@pytest.mark.parametrize("how", BROKEN_DATASETS)
def test_a_dataset_that_breaks_its_contract_costs_its_trials(bench, monkeypatch, how):
    method, broken, message = BROKEN_DATASETS[how]
    monkeypatch.setattr(toy.Line, method, broken)
    outcome, _, _ = bench()
    assert [row.status for row in outcome.rows] == ["skipped", "skipped"]
    assert message in outcome.rows[0].error
