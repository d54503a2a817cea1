"""What plugins provide: datasets, simulators and metrics, and the specs by which they are known.

A component is a class; a spec is what the registry knows of it without importing it. Components
keep no global state, take every random number from the generator they are given, and work in plain
Python without the runner.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from nsbench.trajectories.growth import Domain, Trajectories

Split = Literal["train", "val", "test"]
LikelihoodKind = Literal["exact", "elbo", "vlb"]
Device = Literal["cpu", "cuda"]
Precision = Literal["float32", "bfloat16"]
Decode = Literal["mode", "sample"]
Need = Literal["rollouts", "likelihood", "cost"]
Anchor = Literal["noise_free", "climatology", "persistence"]


class Params(BaseModel):
    """Base class of a component's parameters: unknown names are errors, values never change."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


@dataclass(frozen=True)
class SimulatorReference:
    """A simulator by name, with the parameters that it is given."""

    name: str
    params: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class ComponentSpec:
    """What is known of a component without importing its code.

    name    the name in suites.
    target  "module:Class".
    params  "module:Model", a pydantic model of the parameters; None for a component without any. Keep
            it in a module that imports quickly: suites are validated by it.
    summary one line for `nsbench list`.
    """

    name: str
    target: str
    params: str | None = None
    summary: str = ""

    def code(self) -> tuple[str, ...]:
        """ "module:name" of all whose code makes the component what it is: that is what its digest covers."""
        return tuple(text for text in (self.target, self.params) if text is not None)


@dataclass(frozen=True)
class DatasetSpec(ComponentSpec):
    """floor: the simulator that is the ground truth; noise_free: the same without its randomness.

    Both give every table its scale; None where a dataset has no such simulator.

    small: parameters with which it is made in about a second, for `nsbench check`.

    reading: "module:function", (params) -> Reading, of a dataset that reads files: called while planning,
    so keep it in a module that imports quickly. None for a dataset that is made from its parameters alone.
    """

    floor: SimulatorReference | None = None
    noise_free: SimulatorReference | None = None
    reading: str | None = None
    small: dict[str, Any] = field(default_factory=dict)

    def code(self) -> tuple[str, ...]:
        return (*super().code(), *([self.reading] if self.reading is not None else []))


@dataclass(frozen=True)
class Reading:
    """What a dataset reads: in its key this stands where otherwise its parameters do.

    content  plain data: digests of what the files hold, and the parameters that are not paths.
    formats  (name, parameters) of the formats that read them, whose code counts as the dataset's own.
    """

    content: dict[str, Any]
    formats: tuple[tuple[str, dict[str, Any]], ...] = ()


class UnreadableData(ValueError):
    """Files that are missing, damaged, foreign or contradictory: the message names the file and the fault."""


@dataclass(frozen=True)
class SimulatorSpec(ComponentSpec):
    """A simulator."""


@dataclass(frozen=True)
class MetricSpec(ComponentSpec):
    """A metric."""


@dataclass(frozen=True)
class Conditions:
    """How a simulator is run: the same for all simulators of a suite.

    device     "cpu" or "cuda".
    precision  of the network's arithmetic; scores are always accumulated in float64.
    decode     "mode": each site takes its likelier state, given the latent; "sample": it is drawn.
    """

    device: Device = "cpu"
    precision: Precision = "float32"
    decode: Decode = "mode"


@dataclass(frozen=True)
class FitContext:
    """What a fit is given besides data.

    transitions  the budget: how many pairs (frame t, frame t + 1) may be trained on, repeats counted.
    workdir      survives an interruption: checkpoints belong here.
    rng          every random number of the fit comes from it.
    log          log(name, value, step): a point of a training curve, e.g. "train/loss".
    progress     progress(done, total), in transitions.
    deadline     time.monotonic() by which the fit must have returned; None for no limit.
    stopping     stopping(): whether the run is to end. A fit that can go on from a checkpoint asks between
                 two steps, writes one, and raises KeyboardInterrupt.
    """

    transitions: int
    workdir: Path
    rng: np.random.Generator
    conditions: Conditions = Conditions()
    log: Callable[[str, float, int], None] = lambda name, value, step: None
    progress: Callable[[int, int], None] = lambda done, total: None
    deadline: float | None = None
    stopping: Callable[[], bool] = lambda: False

    def seconds_left(self) -> float:
        """Until the deadline; infinite without one."""
        return float("inf") if self.deadline is None else self.deadline - time.monotonic()


class Diverged(ArithmeticError):
    """A fit whose loss became NaN or infinite; the message says after how many transitions."""


class Unavailable(RuntimeError):
    """Raised by a component that cannot work here, for want of a device or a library: the trial is skipped."""


class Component:
    """Anything that a suite names. ``params`` is an instance of the model that its spec names."""

    params: Any

    def __init__(self, params: BaseModel | None = None) -> None:
        self.params = params


class Dataset(Component, ABC):
    """Where trajectories come from."""

    @property
    @abstractmethod
    def domain(self) -> Domain:
        """The facts of the system, of a record: ``stride`` is None."""

    @abstractmethod
    def prepare(self, split: Split, rng: np.random.Generator) -> Trajectories:
        """The trajectories of a split, as recorded. The same generator state gives the same bits."""

    def parts(self, split: Split) -> int:
        """In how many parts the harness makes a split: those that are finished survive an interruption."""
        return 1

    def part(self, split: Split, rng: np.random.Generator, k: int) -> Trajectories:
        """Part k of a split. The parts joined are what ``prepare`` makes from the same generator state."""
        return self.prepare(split, rng)


class Simulator(Component, ABC):
    """A model that draws the next state, step after step.

    likelihood: what ``log_likelihood`` returns. "exact": log p. "elbo": an importance-weighted
    evidence lower bound. "vlb": another variational lower bound. None: it has none.
    """

    likelihood: ClassVar[LikelihoodKind | None] = None
    conditions: Conditions = Conditions()

    def fit(self, train: Trajectories, val: Trajectories, ctx: FitContext) -> None:
        """Learn from framed trajectories, within ``ctx.transitions``. Ground truths learn nothing."""

    @abstractmethod
    def rollout(self, start: Trajectories, steps: int, rng: np.random.Generator) -> Trajectories:
        """Simulate each trajectory of `start` (frame 0 and parameters) for at most `steps` frames.

        Frames are those of ``start.domain`` (clock and stride). A rollout may end at the domain's stop
        rule; the harness cuts those that run past it.
        """

    def log_likelihood(
        self,
        x: NDArray[np.float32],
        x_next: NDArray[np.float32],
        params: NDArray[np.float64],
        samples: int,
        rng: np.random.Generator,
    ) -> NDArray[np.float64]:
        """log p(x_next | x, params) or a lower bound on it, float64[b], nats a transition.

        x, x_next: float32[b, C, H, W]; params: float64[b, P]. With a bound "elbo", `samples` = K is the
        number of importance samples: L_K = E[logsumexp ℓ − log K], nondecreasing in K. Exact
        likelihoods ignore it.
        """
        raise TypeError(f"{type(self).__name__} declares no likelihood")

    def latent_kl(
        self, x: NDArray[np.float32], x_next: NDArray[np.float32], params: NDArray[np.float64]
    ) -> NDArray[np.float64] | None:
        """KL(q ‖ p) of each latent, float64[latents], nats, the mean over transitions; None without latents.

        Arguments as of ``log_likelihood``. A latent whose KL is nothing is not used.
        """
        return None

    def save(self, directory: Path) -> None:
        """Write what ``fit`` learned. Weights are safetensors, text is JSON; nothing is pickled."""

    def load(self, directory: Path) -> None:
        """Read what ``save`` wrote, into an instance made with the same parameters."""

    def size(self) -> int | None:
        """How many numbers were learned; None where that means nothing."""
        return None

    def flops(self, start: Trajectories, steps: int, rng: np.random.Generator) -> float | None:
        """Floating-point operations of a rollout, the mean over `start`; None where not counted."""
        return None


@dataclass(frozen=True)
class Likelihood:
    """Teacher-forced likelihoods of test transitions.

    nats    float64[b], one sample each (K = 1), all test transitions.
    bounds  K -> float64[m], a fixed random subset of the transitions with K importance samples, K = 1
            among them; empty for exact likelihoods.
    latents float64[latents], the KL of each latent over that subset; None without latents.
    """

    kind: LikelihoodKind
    nats: NDArray[np.float64]
    bounds: dict[int, NDArray[np.float64]] = field(default_factory=dict)
    latents: NDArray[np.float64] | None = None


@dataclass(frozen=True)
class Cost:
    """What a simulator took, measured by the harness after warm-up; None where not known.

    ms_per_trajectory at `batch` rollouts together; truth_ms_per_trajectory is the ground truth's under
    the same conditions, measured in turn with it. peak_bytes: the process while simulating. jobs: how many
    trials the run had going at once while this was measured.
    """

    ms_per_trajectory: float
    batch: int
    ms_per_trajectory_alone: float
    threads: int
    device: Device
    fit_seconds: float | None = None
    truth_ms_per_trajectory: float | None = None
    parameters: int | None = None
    flops_per_trajectory: float | None = None
    peak_bytes: int | None = None
    jobs: int = 1


@dataclass(frozen=True)
class Evidence:
    """What the simulate stage leaves for metrics.

    rollouts: cases × members trajectories, the members of a case side by side.
    """

    rollouts: Trajectories
    members: int
    cost: Cost
    likelihood: Likelihood | None = None


@dataclass(frozen=True)
class Score:
    """A metric's answer.

    value     the number, in the metric's unit.
    interval  (low, high), 95 %; None where there is none.
    items     float64[k] or float64[k, ...]: the value by item (a bin, a transition, an ensemble), named in
              the metric's docstring; where the value is their mean, in its `items_by` (see nsbench/results/pairing.py).
    extras    further numbers by name.
    figure    PNG, or None.
    label     a word that must stand beside the value, such as the kind of a bound; scores with
              different labels are not ranked together.
    unit      of the value, where it depends on the data; the metric's own if empty.
    """

    value: float
    interval: tuple[float, float] | None = None
    items: NDArray[np.float64] = field(default_factory=lambda: np.empty(0))
    extras: dict[str, float] = field(default_factory=dict)
    figure: bytes | None = None
    label: str = ""
    unit: str = ""


class NotApplicable(Exception):
    """Raised by a metric that cannot score this evidence; what it says stands in place of the value."""


class Metric(Component, ABC):
    """A number that says how good a simulator is.

    direction  whether a small or a large value is good.
    unit       of the value.
    needs      what the evidence must hold; a simulator without it gets no score, and the table says so.
    columns    (name of an extra, heading): what tables show beside the value.
    anchored   whether the value is to be read between the ground truth's score, redrawn, and that of the
               ground truth without its randomness, or that of a null model (see nsbench/stages/nulls.py).
    zero       the anchor at which skill is 0; at the floor it is 1.
    items_by   what the score's items are, where its value is their mean: "bin", "ensemble" or "transition" (see
               nsbench/results/pairing.py); None where it is not.
    """

    direction: ClassVar[Literal["min", "max"]]
    unit: ClassVar[str]
    needs: ClassVar[frozenset[Need]] = frozenset({"rollouts"})
    columns: ClassVar[tuple[tuple[str, str], ...]] = ()
    anchored: ClassVar[bool] = True
    zero: ClassVar[Anchor] = "noise_free"

    @property
    def items_by(self) -> str | None:
        return None

    @abstractmethod
    def score(self, evidence: Evidence, reference: Trajectories, rng: np.random.Generator) -> Score:
        """Score the evidence against the truth of the same cases, framed alike. May raise NotApplicable."""
