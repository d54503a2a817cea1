"""A simulator that takes its time over every batch, and writes down each call: what long stages are interrupted in."""

from __future__ import annotations

import os
import time

import toy
from nsbench import hookimpl
from nsbench.components.simulator import SimulatorSpec
from nsbench.stages import parts

CALL_SECONDS = 0.05

parts.SECONDS, parts.WRITING_SHARE = 0.0, 1e9  # a part for every batch


class Crawler(toy.Coin):
    """A coin whose bound is drawn: every batch of it depends on all that was drawn before, by children too."""

    likelihood = "elbo"

    def rollout(self, start, steps, rng):
        self.note(f"rollout of {len(start)}, {steps} steps")
        return super().rollout(start, steps, rng)

    def log_likelihood(self, x, x_next, params, samples, rng):
        self.note(f"likelihood of {len(x)}, {samples} samples")
        child = rng.spawn(1)[0]
        drawn = rng.random((len(x), samples)) + child.random((len(x), samples))
        return super().log_likelihood(x, x_next, params, samples, rng) - drawn.mean(axis=1)

    def note(self, call):
        time.sleep(CALL_SECONDS)
        if log := os.environ.get("CRAWLER_LOG"):
            with open(log, "a") as file:
                print(call, file=file)


class Quick(Crawler):
    calls = ()

    def note(self, call):
        self.calls = [*self.calls, call]


@hookimpl
def nsbench_simulators():
    return [SimulatorSpec("crawler", "crawler:Crawler", "toy:CoinParams")]
