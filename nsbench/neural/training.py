"""The training loop.

The randomness of iteration k is a pure function of (seed, k): a fit that was interrupted and goes on
from its last checkpoint ends with the weights, bit for bit on a CPU, that it would have ended with.
"""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nsbench.components.simulator import FitContext
from nsbench.neural.averaging import Average
from nsbench.neural.batches import Shuffled
from nsbench.neural.checkpoint import optimizer_tensors, read_checkpoint, restore_optimizer, write_checkpoint
from nsbench.neural.curves import Curves
from nsbench.neural.devices import autocast
from nsbench.neural.frames import Frames
from nsbench.neural.model import TransitionModel
from nsbench.neural.muon import Muon
from nsbench.neural.params import TrainingParams
from nsbench.neural.randomness import generator
from nsbench.neural.schedules import learning_rate_factor
from nsbench.store.checked import set_file_aside
from nsbench.store.manifest import Damaged

UnrollLength = Callable[[float, np.random.Generator], int]
"""A function (fraction of the budget spent, randomness) -> steps that the next sequences are unrolled for."""

CHECKPOINT_SECONDS = 30.0
"""Seconds between checkpoints; more if writing one takes so long that CHECKPOINT_SHARE would be exceeded."""

CHECKPOINT_SHARE = 0.02
"""The part of a fit's time that checkpoints may take."""

VALIDATIONS = 10
"""The number of validations in a training."""


@dataclass
class Sequences:
    """Sequences that are being unrolled: trajectory index[b] at frame t[b], in state x [b, C, H, W], truly `truth`."""

    index: NDArray[np.int64]
    t: NDArray[np.int64]
    x: Tensor
    truth: Tensor

    def __len__(self) -> int:
        return len(self.index)

    def ongoing(self, lengths: NDArray[np.int64], most: int) -> Sequences:
        """The sequences that have a next frame, at most `most` of them."""
        keep = np.flatnonzero(self.t + 1 < lengths[self.index])[:most]
        if len(keep) == len(self):
            return self
        kept = torch.from_numpy(keep).to(self.x.device)
        return Sequences(self.index[keep], self.t[keep], self.x[kept], self.truth[kept])


class Training:
    """A training as it stands: weights, average, optimizer, and how much of the budget is spent.

    seed      of all randomness.
    identity  the facts that a checkpoint must agree on to be continued.
    unroll    the length of the sequences of an iteration.
    validate  () -> the ELBO of the weights as they stand, nats a transition.
    """

    def __init__(
        self,
        model: TransitionModel,
        frames: Frames,
        recipe: TrainingParams,
        ctx: FitContext,
        *,
        seed: int,
        identity: dict[str, Any],
        unroll: UnrollLength,
        validate: Callable[[], float] | None = None,
    ) -> None:
        self.model, self.frames, self.recipe, self.ctx = model, frames, recipe, ctx
        self.seed, self.identity, self.unroll, self.validate = seed, identity, unroll, validate
        self.origins = np.flatnonzero(frames.t % recipe.start_every == 0)
        self.starts = Shuffled(len(self.origins), seed)
        self.optimizer = make_optimizer(model, recipe)
        self.average: Average | None = None
        self.curves = Curves(ctx)
        self.iteration = self.started = self.done = 0  # iterations, sequences, transitions

    def run(self) -> None:
        """Train until the budget is spent; the model is left with the weights to keep.

        Raises Diverged, and KeyboardInterrupt when the run is to end; the last good
        checkpoint stays.
        """
        path = self.ctx.workdir / "checkpoint.safetensors"
        self.resume(path)
        saved, pause = time.monotonic(), CHECKPOINT_SECONDS
        while self.done < self.ctx.transitions:
            if self.ctx.stopping():
                self.checkpoint(path)
                raise KeyboardInterrupt
            before = self.done
            self.iterate()
            self.report(before)
            if (began := time.monotonic()) - saved > pause:
                self.checkpoint(path)
                saved = time.monotonic()
                pause = max(CHECKPOINT_SECONDS, (saved - began) / CHECKPOINT_SHARE)
        if self.average is not None:
            self.average.swap()

    def iterate(self) -> None:
        """Run one iteration: unroll sequences for as many frames as the schedule says, and learn from them."""
        fraction = self.done / self.ctx.transitions
        steps = self.unroll(fraction, np.random.default_rng([self.seed, self.iteration]))
        noise = generator(self.frames.device, self.seed, self.iteration)
        self.optimizer.zero_grad(set_to_none=True)
        for _ in self.backpropagate(self.sequences(), steps, fraction, noise):
            if not self.recipe.accumulate:
                self.learn(fraction)
            elif self.recipe.clip_after == "frame":
                self.clip()
        if self.recipe.accumulate:
            self.learn(fraction)
        self.iteration += 1

    def learn(self, fraction: float) -> None:
        """Take one optimizer step with the gradients that have added up."""
        self.curves.check(self.done)
        self.clip()
        for group in self.optimizer.param_groups:
            group["lr"] = self.learning_rate(fraction)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.take_average()

    def clip(self) -> None:
        """Clip the norm of the gradients, if the recipe says so."""
        if self.recipe.clip is not None:
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.recipe.clip)

    def sequences(self) -> Sequences:
        """The next sequences, each at its first frame, in its true state."""
        count = min(self.recipe.batch, self.ctx.transitions - self.done)
        chosen = self.origins[self.starts.take(self.started, count)]
        self.started += count
        index, t = self.frames.index[chosen], self.frames.t[chosen]
        x = self.frames.states(index, t)
        return Sequences(index, t, x, x)

    def backpropagate(
        self, sequences: Sequences, steps: int, fraction: float, noise: torch.Generator
    ) -> Iterator[None]:
        """Add up the gradients of each frame of the sequences in turn; yield after each.

        After the first, a frame goes on from the state that the model itself made, guided by the posterior
        and detached: the errors that a rollout meets. Sequences that end leave the batch. Gradients that
        accumulate add up to the mean over the frames and over the sequences at the beginning.
        """
        begun = len(sequences) * (steps if self.recipe.accumulate else 1)
        for step in range(steps):
            sequences = sequences.ongoing(self.frames.lengths, self.ctx.transitions - self.done)
            if not len(sequences):
                return
            x, after = sequences.x, self.frames.states(sequences.index, sequences.t + 1)
            exchange = self.model.space.exchange(len(sequences), noise)
            x, x_next, y = exchange.there(x), exchange.there(after), self.frames.conditions(sequences.index)
            with autocast(self.ctx.conditions):
                if step == 0:
                    out = self.model.loss(x, x_next, y, fraction, noise)
                else:
                    out = self.model.guided_loss(exchange.there(sequences.truth), x, x_next, y, fraction, noise)
            (out.total * (len(sequences) / begun)).backward()  # type: ignore[no-untyped-call]
            self.done += len(sequences)
            self.curves.add(len(sequences), {"loss": out.total, **out.terms})
            yield
            if step + 1 < steps:
                guided = exchange.back(self.model.space.next_state(x, out.guided.detach(), "mode", noise))
                sequences = replace(sequences, t=sequences.t + 1, x=guided.detach(), truth=after)

    def learning_rate(self, fraction: float) -> float:
        """The learning rate when that fraction of the budget is spent."""
        recipe = self.recipe
        rate = recipe.learning_rate * learning_rate_factor(fraction, recipe.warmup, recipe.decay)
        if recipe.average_learning_rate is None or not self.averages(fraction):
            return rate
        spent = fraction - (recipe.average_from or 0.0)
        if recipe.average_every is not None:
            spent = recipe.average_every * whole_parts(spent, recipe.average_every)
        if spent >= recipe.average_annealing:
            return recipe.average_learning_rate
        left = 0.5 * (1 + math.cos(math.pi * spent / recipe.average_annealing))
        return recipe.average_learning_rate + left * (rate - recipe.average_learning_rate)

    def averages(self, fraction: float) -> bool:
        """Whether weights are averaged when that fraction of the budget is spent."""
        return self.recipe.average_from is not None and fraction >= self.recipe.average_from

    def take_average(self) -> None:
        """Add the present weights to the average, once averaging has begun."""
        fraction, every = self.done / self.ctx.transitions, self.recipe.average_every
        if not self.averages(fraction):
            return
        if self.average is None:
            self.average = Average(self.model, self.recipe.average_decay)
        due = None if every is None else 1 + whole_parts(fraction - (self.recipe.average_from or 0.0), every)
        if due is None or self.average.count < due:
            self.average.update()

    def report(self, before: int) -> None:
        """Report progress and log the points of the curves that are due since `before` transitions."""
        total = self.ctx.transitions
        self.ctx.progress(self.done, total)
        self.curves.write(self.done)
        if self.validate is None or self.done * VALIDATIONS // total == before * VALIDATIONS // total:
            return
        if self.average is not None:
            self.average.swap()
        self.ctx.log("val/elbo", self.validate(), self.done)
        if self.average is not None:
            self.average.swap()

    def checkpoint(self, path: Path) -> None:
        """Write everything that the rest of the training depends on."""
        tensors = {f"model.{name}": value for name, value in self.model.state_dict().items()}
        tensors |= {f"optimizer.{name}": value for name, value in optimizer_tensors(self.optimizer).items()}
        facts: dict[str, Any] = {"identity": self.identity}
        facts |= {"iteration": self.iteration, "started": self.started, "done": self.done}
        if self.average is not None:
            tensors |= {f"average.{name}": value for name, value in self.average.weights.items()}
            facts["averaged"] = self.average.count
        write_checkpoint(path, tensors, facts)

    def resume(self, path: Path) -> None:
        """Go on from a checkpoint, if there is one of the same training."""
        if not path.exists():
            return
        try:
            tensors, facts = read_checkpoint(path, self.frames.device)
        except Damaged as damage:
            aside = set_file_aside(path).name
            warnings.warn(f"{damage}; moved to {aside}, the training starts from the beginning", stacklevel=2)
            return
        if facts["identity"] != self.identity:
            warnings.warn(f"{path.name} is of another training; this one starts from the beginning", stacklevel=2)
            return
        self.model.load_state_dict(_under("model.", tensors))
        restore_optimizer(self.optimizer, _under("optimizer.", tensors))
        if "averaged" in facts:
            self.average = Average(self.model, self.recipe.average_decay)
            self.average.count = facts["averaged"]
            for name, value in _under("average.", tensors).items():
                self.average.weights[name].copy_(value)
        self.iteration, self.started, self.done = facts["iteration"], facts["started"], facts["done"]


def whole_parts(spent: float, every: float) -> int:
    """How many times `every` has been spent, whatever the rounding of fractions."""
    return int(spent / every + 1e-9)


def make_optimizer(model: TransitionModel, recipe: TrainingParams) -> torch.optim.Optimizer:
    """AdamW (Loshchilov & Hutter 2019), Adam with the decay added to the gradient, or Muon."""
    if recipe.optimizer == "muon":
        return Muon(model.parameters(), recipe.learning_rate, recipe.weight_decay)
    kind = torch.optim.AdamW if recipe.optimizer == "adamw" else torch.optim.Adam
    # Fused: one pass over the weights, and the same numbers.
    return kind(model.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay, fused=True)


def _under(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors whose names begin with the prefix, by the rest of their names."""
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
