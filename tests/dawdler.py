"""A learner that takes its time, in steps between which it can be stopped: what chaos is made in."""

from __future__ import annotations

import json
import time

import numpy as np

import toy
from nsbench import hookimpl
from nsbench.components.simulator import SimulatorSpec
from nsbench.store.files import write_whole

STEPS, SECONDS = 20, 0.02


class Dawdler(toy.Learner):
    """Adds up random numbers, one a step; its checkpoint is the sum. The sum sets its coin."""

    def fit(self, train, val, ctx):
        path = ctx.workdir / "sum.json"
        step, total = json.loads(path.read_text()) if path.exists() else (0, 0.0)
        draws = np.random.default_rng(ctx.rng.integers(2**63)).random(STEPS)
        while step < STEPS:
            time.sleep(SECONDS)
            total += float(draws[step])
            step += 1
            write_whole(path, json.dumps([step, total]))
            ctx.log("train/sum", total, step)
            ctx.progress(step, STEPS)
            if ctx.stopping():
                raise KeyboardInterrupt
        self.learned = self.params.rho / 2 + total / STEPS / 2


@hookimpl
def nsbench_simulators():
    return [SimulatorSpec("slow", "dawdler:Dawdler", "toy:CoinParams")]
