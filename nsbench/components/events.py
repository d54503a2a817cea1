"""Events of a run: the vocabulary that progress, results, tracking and plugins listen to."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from nsbench.components.rows import TrialResult
from nsbench.store.key import ArtifactKind


@dataclass(frozen=True)
class Event:
    """The base class of events."""


@dataclass(frozen=True)
class ExpectedStage:
    """A stage that a run has before it, with the key of its artifact.

    trial: the first that wants it. like: what it is, the same for stages of which one tells how long another takes,
    e.g. "score/ewd". work: in transitions of a fit of the same simulator, roughly; 0 where that says nothing. needs:
    the key of the fit that comes before it, "" for none.
    """

    trial: str
    kind: ArtifactKind
    key: str
    like: str
    work: float = 0.0
    needs: str = ""


@dataclass(frozen=True)
class RunStarted(Event):
    """The run of a suite begins.

    trials: their identities, in the order of the suite. pending: key -> kind of each artifact
    that is not in the store yet. expected: the stages that make them.
    """

    suite: str
    invocation: str
    trials: tuple[str, ...]
    pending: Mapping[str, ArtifactKind] = field(default_factory=dict)
    expected: tuple[ExpectedStage, ...] = ()


@dataclass(frozen=True)
class TrialStarted(Event):
    """A trial begins. trial: its identity in the suite."""

    trial: str


@dataclass(frozen=True)
class StageStarted(Event):
    """An artifact is being made. what: the artifact in words, e.g. "train data of snow32".

    trial: the trial that it belongs to; for data and for null models the name of the job that makes it.
    """

    trial: str
    kind: ArtifactKind
    key: str
    what: str


@dataclass(frozen=True)
class StageProgress(Event):
    """The work on an artifact has come to `done` of `total`, in `unit` (transitions, trajectories, …)."""

    trial: str
    kind: ArtifactKind
    done: int
    total: int
    unit: str


@dataclass(frozen=True)
class StageFinished(Event):
    """An artifact is in the store. hit: it was there already. seconds: the time that making it took."""

    trial: str
    kind: ArtifactKind
    key: str
    what: str
    hit: bool
    seconds: float


@dataclass(frozen=True)
class StagePostponed(Event):
    """All of an artifact is made but for costs, which are measured when nothing else of the run works."""

    trial: str
    kind: ArtifactKind
    key: str
    what: str


@dataclass(frozen=True)
class CurvePoint(Event):
    """A point of a training curve, e.g. name "train/loss", by step."""

    trial: str
    name: str
    value: float
    step: int


@dataclass(frozen=True)
class TrialFinished(Event):
    """A trial ended, well or badly: see ``result.status``."""

    result: TrialResult


@dataclass(frozen=True)
class Notice(Event):
    """A message that a person should read, given once."""

    message: str


@dataclass(frozen=True)
class RunFinished(Event):
    """The run ended. interrupted: by the user, before all trials were done."""

    suite: str
    invocation: str
    seconds: float
    interrupted: bool


Emit = Callable[[Event], None]
"""A function that passes an event on to whoever listens."""
