"""A long stage goes on where it was: its evidence is the same to the bit, and only what is missing is made."""

from __future__ import annotations

import hashlib
import json
import signal

import pytest

import toy
from conftest import SUITE
from nsbench.components.events import Notice
from nsbench.running.run import run
from nsbench.stages import measuring, parts
from nsbench.store.workspace import Workspace
from nsbench.suite.planner import make_plan
from nsbench.suite.reading import read_suite
from nsbench.suite.session import Session

TEXT = (
    SUITE.replace("members: 1", "members: 2")
    .replace(
        "protocol: {stride: 1, horizon: 6, bounds: null}", "protocol: {stride: 1, horizon: 6, bounds: null, batch: 4}"
    )
    .replace("  - {use: learner}\n", "")
    .replace("metrics: [length, elbo, wall_clock]", "metrics: [length, elbo]")
)


@pytest.fixture
def session(write_suite, registry, tmp_path):
    plan = make_plan(read_suite(write_suite(TEXT), registry), registry)
    return lambda name: Session(plan, registry, Workspace(tmp_path / name))


@pytest.fixture(autouse=True)
def every_batch_is_kept(monkeypatch):
    monkeypatch.setattr(parts, "SECONDS", 0.0)
    monkeypatch.setattr(measuring, "LIKELIHOOD_BATCH", 16)


def bits(session):
    """The content of what does not depend on the clock."""
    names = ("rollouts.h5", "likelihood.npz", "score.json")
    return {
        str(path.relative_to(session.workspace.store)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in session.workspace.store.rglob("*")
        if path.name in names and "drafts" not in path.parts
    }


class Stopped(Exception):
    """The end of a sitting."""


def after(calls, count, function):
    """A method that stops the sitting once it has been called so often."""

    def watched(self, *arguments):
        if len(calls) == count:
            raise Stopped
        calls.append(len(arguments[0]))
        return function(self, *arguments)

    return watched


@pytest.mark.parametrize("method", ["rollout", "log_likelihood"])
@pytest.mark.parametrize("sitting", [7, 12])
def test_evidence_of_many_sittings_is_that_of_one(session, monkeypatch, method, sitting):
    whole, many = session("whole"), session("many")
    own, made = getattr(toy.Coin, method), []
    monkeypatch.setattr(toy.Coin, method, after(made, -1, own))
    assert run(whole).exit_code == 0
    expected, sittings, total = bits(whole), 0, len(made)
    work = kept = 0
    while True:
        calls = []
        monkeypatch.setattr(toy.Coin, method, after(calls, sitting + 8 * sittings, own))
        outcome = run(many)
        work += len(calls)
        sittings += 1
        if outcome.exit_code == 0:
            break
        assert sittings < 12
        kept += len(list(many.workspace.work.glob("*/*.part")))
    assert sittings > 1
    assert kept
    assert bits(many) == expected
    assert work < total * sittings
    assert not list(many.workspace.work.iterdir())


def test_a_stop_keeps_what_was_simulated(session, monkeypatch):
    monkeypatch.setattr(parts, "SECONDS", 1e9)
    stopped = session("stopped")

    def interrupt(event):
        if type(event).__name__ == "StageProgress" and event.kind == "evidence" and event.done >= 12:
            signal.raise_signal(signal.SIGINT)

    outcome = run(stopped, [interrupt])
    assert outcome.interrupted
    (facts,) = stopped.workspace.work.glob("*/rollouts-0000000.json")
    assert json.loads(facts.read_bytes().partition(b"\nsha256:")[0])["end"] >= 3
    monkeypatch.setattr(parts, "SECONDS", 0.0)
    assert run(stopped).exit_code == 0
    whole = session("whole")
    assert run(whole).exit_code == 0
    assert bits(stopped) == bits(whole)


@pytest.mark.parametrize("ending", ["json", "part"])
def test_a_damaged_part_is_made_again_and_said(session, monkeypatch, ending):
    whole, broken = session("whole"), session("broken")
    assert run(whole).exit_code == 0
    monkeypatch.setattr(toy.Coin, "log_likelihood", lambda *a: (_ for _ in ()).throw(Stopped()))
    assert run(broken).exit_code == 1
    monkeypatch.undo()
    monkeypatch.setattr(parts, "SECONDS", 0.0)
    monkeypatch.setattr(measuring, "LIKELIHOOD_BATCH", 16)
    for path in broken.workspace.work.glob(f"*/rollouts-0000002.{ending}"):
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 4
        path.write_bytes(content)
    notices = []
    assert run(broken, [lambda e: notices.append(e.message) if isinstance(e, Notice) else None]).exit_code == 0
    assert any("has changed since it was written" in message for message in notices)
    assert bits(broken) == bits(whole)


def test_a_quick_stage_keeps_nothing(session, monkeypatch):
    monkeypatch.setattr(parts, "SECONDS", 30.0)
    written = []
    monkeypatch.setattr(parts.Parts, "keep", lambda self, *a: written.append(a))
    assert run(session("quick")).exit_code == 0
    assert written == []
