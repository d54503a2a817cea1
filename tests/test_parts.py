"""Rollouts and likelihoods that are interrupted, killed or damaged go on after their last part, to the same bits."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import nullcontext

import numpy as np
import pytest

import crawler
import toy
from nsbench.components.events import StageProgress
from nsbench.components.protocol import Bounds, Conditions, Protocol
from nsbench.running.run import run
from nsbench.stages import parts
from nsbench.stages.costs import Postponed
from nsbench.stages.keeper import Keeper
from nsbench.stages.measuring import collect
from nsbench.stages.parts import Parts
from nsbench.store.workspace import Workspace
from nsbench.suite.planner import make_plan
from nsbench.suite.reading import read_suite
from nsbench.suite.session import Session
from test_chaos import RUN

PROTOCOL = Protocol(stride=1, horizon=6, batch=10, bounds=Bounds(samples=[1, 8], transitions=600))
BATCHES = {
    "rollout of 10, 6 steps": 20,
    "likelihood of 256, 1 samples": 2,
    "likelihood of 88, 1 samples": 1,
    "likelihood of 128, 8 samples": 4,
    "likelihood of 88, 8 samples": 1,
}
"""The calls that 200 cases need in all, without those that warm up and are timed alone."""

SUITE = """\
name: crawl
datasets: [{use: line, params: {test: 200}}]
simulators: [{use: crawler}]
metrics: [length, elbo]
protocol: {stride: 1, horizon: 6, batch: 10, bounds: {samples: [1, 8], transitions: 600}}
budget: {transitions: 10}
compute: {threads: 1}
"""


@pytest.fixture(scope="module")
def cases():
    return toy.Line(toy.LineParams(test=200)).prepare("test", np.random.default_rng(0)).framed(1, 6)


pytestmark = pytest.mark.usefixtures("quick_disk")


@pytest.fixture(autouse=True)
def a_part_for_every_batch(monkeypatch):
    monkeypatch.setattr(parts, "SECONDS", 0.0)
    monkeypatch.setattr(parts, "WRITING_SHARE", 1e9)


def parts_in(folder, cases, told=None, stopping=lambda: False, hold=lambda: None, machine="this"):
    notify = pytest.fail if told is None else told.append
    return Parts(folder, cases.domain, {"hardware": machine}, hold, stopping, notify)


def measured(cases, keeper, simulator=None, before_costs=lambda: None):
    """The evidence, and how often each call was made for it, until its costs."""
    simulator = simulator or crawler.Quick(toy.CoinParams())

    def costs_begin():
        simulator.until_costs = len(simulator.calls)
        before_costs()

    with keeper if isinstance(keeper, Parts) else nullcontext():
        evidence = collect(
            simulator, cases, PROTOCOL, Conditions(), np.random.default_rng(1),
            truth=toy.Coin(toy.CoinParams()), fit_seconds=None, threads=1, keeper=keeper, before_costs=costs_begin,
        )  # fmt: skip
    return evidence, Counter(simulator.calls[: simulator.until_costs])


@pytest.fixture(scope="module")
def undisturbed(cases):
    evidence, calls = measured(cases, Keeper())
    assert {call: calls[call] for call in BATCHES} == BATCHES
    return evidence


def assert_same(evidence, other):
    for name, array in other.rollouts.arrays().items():
        np.testing.assert_array_equal(evidence.rollouts.arrays()[name], array)
    np.testing.assert_array_equal(evidence.likelihood.nats, other.likelihood.nats)
    np.testing.assert_array_equal(evidence.likelihood.transitions, other.likelihood.transitions)
    np.testing.assert_array_equal(evidence.likelihood.truth, other.likelihood.truth)
    assert evidence.likelihood.bounds.keys() == other.likelihood.bounds.keys()
    for samples, nats in other.likelihood.bounds.items():
        np.testing.assert_array_equal(evidence.likelihood.bounds[samples], nats)


class Mortal(crawler.Quick):
    """Dies at its call number `last`."""

    def __init__(self, last):
        super().__init__(toy.CoinParams())
        self.last, self.until_costs = last, None

    def note(self, call):
        super().note(call)
        if len(self.calls) == self.last:
            raise SystemError("killed")


def test_work_that_dies_at_any_call_makes_only_the_rest_to_the_same_bits(tmp_path, cases, undisturbed):
    calls = sum(BATCHES.values()) + 1 + 2 + 5  # for costs: one to warm up, two batches, five at batch 1
    for last in range(1, calls + 1, 3):
        folder, first = tmp_path / str(last), Mortal(last)
        with pytest.raises(SystemError):
            measured(cases, parts_in(folder, cases), first)
        evidence, second = measured(cases, parts_in(folder, cases))
        assert_same(evidence, undisturbed)
        made = Counter(first.calls[:-1][: first.until_costs])  # the last one came to nothing
        assert {call: made[call] + second[call] for call in BATCHES} == BATCHES


def test_costs_that_are_postponed_are_measured_beside_the_same_evidence(tmp_path, cases, undisturbed, monkeypatch):
    """All but the costs is there when they are postponed, and none of it is made again."""
    monkeypatch.setattr(parts, "SECONDS", 1e9)

    def postpone():
        raise Postponed

    with pytest.raises(Postponed):
        measured(cases, parts_in(tmp_path, cases), before_costs=postpone)
    evidence, calls = measured(cases, parts_in(tmp_path, cases))
    assert_same(evidence, undisturbed)
    assert not any(calls[call] for call in BATCHES)
    assert evidence.cost.ms_per_trajectory > 0


def test_a_damaged_part_is_set_aside_and_the_work_goes_on_before_it(tmp_path, cases, undisturbed):
    measured(cases, parts_in(tmp_path, cases))
    for name, lost in (("rollouts-000007.h5", 1), ("bounds-8-000000.h5", 1)):
        path = tmp_path / name
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 16
        path.write_bytes(content)
        told = []
        evidence, calls = measured(cases, parts_in(tmp_path, cases, told))
        assert_same(evidence, undisturbed)
        (message,) = told
        assert f"{name} has changed since it was written; moved to {name}.damaged-" in message
        assert sum(calls[call] for call in BATCHES) >= lost
        assert measured(cases, parts_in(tmp_path, cases))[1].keys().isdisjoint(BATCHES)


def test_parts_of_other_hardware_are_made_again(tmp_path, cases, undisturbed):
    measured(cases, parts_in(tmp_path, cases, machine="another"))
    told = []
    evidence, calls = measured(cases, parts_in(tmp_path, cases, told))
    assert_same(evidence, undisturbed)
    assert {call: calls[call] for call in BATCHES} == BATCHES
    assert all("was made on hardware another, this is hardware this: the part is made again" in m for m in told)
    assert len(told) == 4  # one for each series that has batches


def test_work_that_is_over_soon_writes_nothing(tmp_path, cases, monkeypatch):
    monkeypatch.setattr(parts, "SECONDS", 30.0)
    measured(cases, parts_in(tmp_path / "work", cases))
    assert not (tmp_path / "work").exists()


def test_a_stop_request_keeps_what_was_finished(tmp_path, cases, undisturbed, monkeypatch):
    monkeypatch.setattr(parts, "SECONDS", 30.0)
    for asked in (5, 22, 26):
        simulator = crawler.Quick(toy.CoinParams())
        keeper = parts_in(tmp_path / str(asked), cases, stopping=lambda s=simulator, n=asked: len(s.calls) >= n)
        with pytest.raises(KeyboardInterrupt):
            measured(cases, keeper, simulator)
        evidence, second = measured(cases, parts_in(tmp_path / str(asked), cases))
        assert_same(evidence, undisturbed)
        assert {call: Counter(simulator.calls)[call] + second[call] for call in BATCHES} == BATCHES


def test_a_part_is_held_against_its_key_before_it_is_written(tmp_path, cases):
    def changed():
        raise RuntimeError("code has changed")

    with pytest.raises(RuntimeError, match="code has changed"):
        measured(cases, parts_in(tmp_path / "work", cases, hold=changed))
    assert not (tmp_path / "work").exists()


def test_a_run_that_is_stopped_keeps_what_was_simulated(tmp_path, write_suite, registry, monkeypatch):
    monkeypatch.setattr(parts, "SECONDS", 1e9)
    plan = make_plan(read_suite(write_suite(SUITE.replace("crawler", "coin")), registry), registry)
    stopped, whole = (Session(plan, registry, Workspace(tmp_path / name / "w")) for name in ("stopped", "whole"))

    def interrupt(event):
        if isinstance(event, StageProgress) and event.kind == "evidence" and event.done >= 30:
            signal.raise_signal(signal.SIGINT)

    assert run(stopped, [interrupt]).interrupted
    (part,) = stopped.workspace.work.glob("*/*.h5")
    assert part.name == "rollouts-000000.h5"
    assert run(stopped).exit_code == run(whole).exit_code == 0
    assert not list(stopped.workspace.work.iterdir())
    assert evidence_in(tmp_path / "stopped") == evidence_in(tmp_path / "whole") != {}


def begin(folder, log):
    """A run of the suite, with a worker process."""
    path = os.pathsep.join([os.path.dirname(__file__), os.environ.get("PYTHONPATH", "")])
    command = [sys.executable, "-c", RUN.replace("dawdler", "crawler"), str(folder / "suite.yaml"), str(folder / "w")]
    environment = os.environ | {"PYTHONPATH": path, "CRAWLER_LOG": str(log)}
    return subprocess.Popen(
        [*command, "1"], env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def evidence_in(folder):
    """The files of all evidence that says nothing of time and place."""
    files = (folder / "w" / "store" / "evidence").glob("*/*")
    return {str(p.relative_to(folder)): p.read_bytes() for p in files if p.name not in ("manifest.json", "cost.json")}


@pytest.mark.slow
def test_a_run_that_is_killed_twice_makes_only_the_rest_and_the_same_evidence(tmp_path):
    calls = {}
    for name, blows in (("killed", (15, 37)), ("left alone", ())):
        folder, log = tmp_path / name, tmp_path / f"{name}.log"
        folder.mkdir()
        (folder / "suite.yaml").write_text(SUITE)
        for lines in blows:  # in the midst of rollouts, and of likelihoods
            one = begin(folder, log)
            while not log.exists() or len(log.read_text().splitlines()) < lines:
                assert one.poll() is None, one.communicate()[0]
                time.sleep(0.01)
            one.kill()
            one.communicate()
            time.sleep(0.3)  # its worker goes with it
            assert list((folder / "w" / "work").glob("*/*.h5"))
        last = begin(folder, log)
        output, _ = last.communicate(timeout=120)
        assert last.returncode == 0, output
        calls[name] = Counter(log.read_text().splitlines())
        assert not list((folder / "w").glob("work/*"))
    assert evidence_in(tmp_path / "killed") != {}

    assert evidence_in(tmp_path / "killed") == evidence_in(tmp_path / "left alone")
    again = {call: calls["killed"][call] - calls["left alone"][call] for call in BATCHES}
    assert {call: calls["left alone"][call] for call in BATCHES} == BATCHES
    assert all(count >= 0 for count in again.values())
    assert sum(again.values()) <= 4  # a call under way, and perhaps one whose part was not written yet, for each kill
