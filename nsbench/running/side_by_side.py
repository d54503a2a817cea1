"""How many trials of a suite run side by side, and on how many threads each.

The number of threads changes the last bits of a fit. So it follows from the machine and from the whole suite, never
from what is in the store already or from how much memory is free just now: a trial has the same threads whether it is
made alone or with all others.
"""

from __future__ import annotations

from dataclasses import dataclass

from nsbench.store.environment import cores, wanted_threads
from nsbench.store.memory import usable_memory
from nsbench.store.store import Store
from nsbench.suite.trials import Plan

TRIAL_BYTES = 3_000_000_000
"""The memory that a trial is expected to need where the suite sets no limit: twice what the laptop's suites take."""


@dataclass(frozen=True)
class SideBySide:
    """Trials at once, the threads of each, and what limits the trials to that number, in words."""

    jobs: int
    threads: int
    limit: str


def side_by_side(plan: Plan) -> SideBySide:
    """What `--jobs auto` means for a suite on this machine: as many trials as it has cores, memory and fits for.

    A GPU has one trial at a time. plan: of the whole suite.
    """
    suite = plan.suite
    named = suite.compute.threads or wanted_threads()
    limits = [(max(1, fits(plan)), "fits"), room(named or 1, suite.limits.memory or TRIAL_BYTES)]
    if plan.conditions.device == "cuda":
        limits = [(1, "GPU")]
    jobs, limit = min(limits, key=lambda entry: entry[0])
    return SideBySide(jobs, named or max(1, cores() // jobs), limit)


def room(threads: int = 1, memory: int = TRIAL_BYTES) -> tuple[int, str]:
    """(how many trials this machine has room for at once, whether cores or memory limit them to that).

    threads, memory: of each, in bytes.
    """
    limits = [(max(1, cores() // threads), "cores"), (max(1, usable_memory() // memory), "memory")]
    return min(limits, key=lambda entry: entry[0])


def fits(plan: Plan) -> int:
    """The number of fits of a plan; trials that decode one fit in two ways share it, and ground truths have none."""
    truths = plan.ground_truths()
    return len({trial.model.digest for trial in plan.trials if trial.part.name not in truths})


def unfinished(plan: Plan, store: Store) -> int:
    """The number of trials of a plan that lack an artifact."""
    return sum(any(not store.has(artifact.key) for artifact in trial.artifacts()) for trial in plan.trials)
