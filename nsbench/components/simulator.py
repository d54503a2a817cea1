"""Simulators: models that draw the next state, step after step."""

from __future__ import annotations

import atexit
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nsbench.components.component import Component, ComponentSpec
from nsbench.components.protocol import Conditions, LikelihoodKind
from nsbench.trajectories.base import Trajectories


@dataclass(frozen=True)
class SimulatorSpec(ComponentSpec):
    """The spec of a simulator.

    decodes: its rollouts depend on how states are decoded (``Conditions.decode``); a suite may ask for both ways.
    """

    decodes: bool = False


def _passing_folder() -> Path:
    """A new folder that is deleted when the program ends."""
    folder = tempfile.TemporaryDirectory(prefix="nsbench-fit-")
    atexit.register(folder.cleanup)
    return Path(folder.name)


@dataclass(frozen=True)
class FitContext:
    """The budget, folder, randomness and callbacks that a fit is given besides data.

    transitions  the budget: the number of pairs (frame t, frame t + 1) that may be trained on, repeats counted.
    workdir      a folder that survives an interruption: checkpoints belong here. If not given, it is deleted when the
                 program ends.
    rng          the generator that every random number of the fit comes from.
    log          log(name, value, step): a point of a training curve, e.g. "train/loss".
    progress     progress(done, total), in transitions.
    stopping     stopping(): whether the run is to end. A fit that can go on from a checkpoint asks between
                 two steps, writes one, and raises KeyboardInterrupt.
    """

    transitions: int
    workdir: Path = field(default_factory=_passing_folder)
    rng: np.random.Generator = field(default_factory=lambda: np.random.default_rng(0))
    conditions: Conditions = field(default_factory=Conditions)
    log: Callable[[str, float, int], None] = lambda name, value, step: None
    progress: Callable[[int, int], None] = lambda done, total: None
    stopping: Callable[[], bool] = lambda: False


class Diverged(ArithmeticError):
    """The error of a fit whose loss became NaN or infinite; its message says after how many transitions."""


class Simulator(Component, ABC):
    """A model that draws the next state, step after step.

    likelihood: the kind of number that ``log_likelihood`` returns. "exact": log p. "elbo": an importance-weighted
    evidence lower bound. "vlb": another variational lower bound. None: the simulator has no likelihood.
    """

    likelihood: LikelihoodKind | None = None
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
        """The log p(x_next | x, params), or a lower bound on it, float64[b], nats a transition.

        x, x_next: float32[b, C, H, W]; params: float64[b, P]. With a bound "elbo", `samples` = K is the
        number of importance samples: L_K = E[logsumexp ℓ − log K], nondecreasing in K. Exact
        likelihoods ignore it.
        """
        raise TypeError(f"{type(self).__name__} declares no likelihood")

    def latent_kl(
        self, x: NDArray[np.float32], x_next: NDArray[np.float32], params: NDArray[np.float64]
    ) -> NDArray[np.float64] | None:
        """KL(q ‖ p) of each latent, float64[latents], nats, the mean over transitions; None without latents.

        Arguments as of ``log_likelihood``. A latent whose KL is 0 is not used.
        """
        return None

    def save(self, directory: Path) -> None:
        """Write what ``fit`` learned into a folder. Weights are safetensors, text is JSON; nothing is pickled."""

    def load(self, directory: Path) -> None:
        """Read what ``save`` wrote, into an instance made with the same parameters."""

    def size(self) -> int | None:
        """The number of learned parameters; None where counting them makes no sense."""
        return None

    def flops(self, start: Trajectories, steps: int, rng: np.random.Generator) -> float | None:
        """The floating-point operations of a rollout, the mean over `start`; None where they are not counted."""
        return None
