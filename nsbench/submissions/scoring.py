"""Rollouts made elsewhere take their place among a suite's results: checked, taken in, scored as any other.

Checked rollouts become evidence in the store, under the digest of their content, the key of the test data and the
protocol. Their row says that they came from outside; a later run of the suite finds the row, scores what is missing,
and shows it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from nsbench.components.evidence import Evidence
from nsbench.components.metric import ANCHORS
from nsbench.errors import Refusal
from nsbench.names import NAME, bad_name, did_you_mean
from nsbench.outcomes.stored import submissions_of
from nsbench.running.run import Listener, Outcome, fan_out, run
from nsbench.stages.prepare import prepare
from nsbench.stages.simulate import take_in
from nsbench.stages.workshop import workshop_of
from nsbench.submissions.reading import RolloutFile, read_rollouts
from nsbench.suite.session import Session
from nsbench.suite.trials import DataPlan, Plan, Submission


class CannotScore(Refusal):
    """A refusal to score rollouts as was asked; the message says why."""


@dataclass(frozen=True)
class Entry:
    """The place of rollouts in a suite. dataset: None for the only one; replicate: the fit that they are of."""

    name: str
    dataset: str | None = None
    replicate: int = 0


def choose_dataset(plan: Plan, name: str | None) -> DataPlan:
    """The dataset of that name, or the suite's only one. Raises CannotScore."""
    if name is None and len(plan.data) > 1:
        raise CannotScore(f"suite {plan.suite.name!r} has several datasets: say --dataset {' or '.join(plan.data)}")
    name = next(iter(plan.data)) if name is None else name
    if name not in plan.data:
        raise CannotScore(f"suite {plan.suite.name!r} has no dataset {name!r}{did_you_mean(name, plan.data)}")
    return plan.data[name]


def require_free_name(plan: Plan, name: str, replicate: int) -> None:
    """Raise CannotScore where rollouts may not have this name and replicate."""
    if not NAME.fullmatch(name):
        raise CannotScore(bad_name(name))
    if name in [use.name for use in plan.suite.simulators]:
        raise CannotScore(f"{name!r} is a simulator of suite {plan.suite.name!r}: choose another name")
    if name.lower().replace("-", "_") in (*ANCHORS, "truth"):
        raise CannotScore(f"tables call the ground truth, or a null model, {name!r}: choose another name")
    if not 0 <= replicate < plan.suite.replicates:
        raise CannotScore(f"the suite has replicates 0 to {plan.suite.replicates - 1}, got {replicate}")


def submit(session: Session, path: Path, entry: Entry, listeners: Sequence[Listener]) -> tuple[Submission, Outcome]:
    """Take a file of rollouts in and score it, with every other submission of the suite.

    Returns the submission and the outcome of the run. Raises CannotScore, and UnreadableData for a file that is not
    what it should be; nothing is kept then.
    """
    data = choose_dataset(session.plan, entry.dataset)
    require_free_name(session.plan, entry.name, entry.replicate)
    workshop = workshop_of(session, fan_out(listeners, session.registry))
    test = prepare(workshop, data.name, data, "test")
    rollouts = read_rollouts(path, test, data.protocol)
    submission = session.plan.submission(data, entry.name, entry.replicate, rollouts.digest)
    take_in(workshop, submission, _evidence(rollouts), {"machine": rollouts.machine})
    submissions = [earlier for earlier in submissions_of(session)[0] if earlier.id != submission.id]
    return submission, run(session.only(()), listeners, submissions=[*submissions, submission])


def _evidence(rollouts: RolloutFile) -> Evidence:
    return Evidence(rollouts.rollouts, rollouts.members, rollouts.cost, rollouts.likelihood, declared=True)
