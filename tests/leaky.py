"""A plugin whose components change their process, each in one way, and one whose numbers show it."""

from __future__ import annotations

import decimal
import importlib
import locale
import os
import random
import signal
import sys
import warnings
from pathlib import Path

import numpy as np
from pydantic import Field

import toy
from nsbench import hookimpl
from nsbench.components.component import Params
from nsbench.components.dataset import DatasetSpec, SimulatorReference
from nsbench.components.metric import Metric, MetricSpec, Score
from nsbench.components.simulator import SimulatorSpec


class Late:
    """A library that is imported when it is first used: most workers do without."""

    def __init__(self, name):
        self._name = name

    def __getattr__(self, name):
        return getattr(importlib.import_module(self._name), name)


numba, torch = Late("numba"), Late("torch")


def third():
    """A number that depends on how exactly the process divides."""
    return float(decimal.Decimal(1) / 3)


def enter(block):
    """Enter a block that is never left."""
    block.__enter__()
    _BLOCKS.append(block)


_BLOCKS: list = []

CHANGES = {
    "random": (lambda: random.random(), "random: the global generator was used"),
    "numpy.random": (lambda: np.random.random(), "numpy.random: the global generator was used"),  # noqa: NPY002
    "numpy.seed": (lambda: np.random.seed(3), "numpy.random: the global generator was used"),  # noqa: NPY002
    "torch.random": (lambda: torch.rand(1), "torch.random: the global generator was used"),
    "seterr": (lambda: np.seterr(under="raise"), "numpy.seterr: under ignore -> raise"),
    "printoptions": (lambda: np.set_printoptions(precision=3), "numpy.printoptions: precision 8 -> 3"),
    "dtype": (lambda: torch.set_default_dtype(torch.float64), "torch.default_dtype: torch.float32 -> torch.float64"),
    "device": (lambda: torch.set_default_device("meta"), "torch.default_device: cpu -> meta"),
    "matmul": (
        lambda: torch.set_float32_matmul_precision("medium"),
        "torch.float32_matmul_precision: highest -> medium",
    ),
    "tf32": (
        lambda: setattr(torch.backends.cudnn, "allow_tf32", False),
        "torch.backends.cudnn.",
    ),
    "benchmark": (
        lambda: setattr(torch.backends.cudnn, "benchmark", True),
        "torch.backends.cudnn.benchmark: False -> True",
    ),
    "deterministic": (
        lambda: torch.use_deterministic_algorithms(True),
        "torch.deterministic_algorithms: (False, False) -> (True, False)",
    ),
    "grad": (lambda: torch.set_grad_enabled(False), "torch.grad_enabled: True -> False"),
    "inference": (lambda: enter(torch.inference_mode()), "torch.inference_mode: False -> True"),
    "anomaly": (lambda: torch.autograd.set_detect_anomaly(True), "torch.anomaly_enabled: False -> True"),
    "threads": (lambda: torch.set_num_threads(1), "torch.num_threads: 2 -> 1"),
    "numba threads": (lambda: numba.set_num_threads(1), "numba threads: 2 -> 1"),
    "denormal": (lambda: torch.set_flush_denormal(True), "denormal numbers are 0: False -> True"),
    "environment": (lambda: os.environ.update(LEAKED="yes"), "os.environ: LEAKED not set -> 'yes'"),
    "folder": (lambda: os.chdir("/"), "working directory: "),
    "umask": (lambda: os.umask(0o027), "umask: "),
    "warnings": (lambda: warnings.simplefilter("error"), "warnings: others than before are errors"),
    "locale": (lambda: locale.setlocale(locale.LC_ALL, "C.UTF-8"), "locale: "),
    "signal": (lambda: signal.signal(signal.SIGUSR1, signal.SIG_IGN), "signals: SIGUSR1 handled otherwise"),
    "path": (lambda: sys.path.append("/nowhere"), "sys.path: + /nowhere"),
    "recursion": (lambda: sys.setrecursionlimit(5000), "recursion limit: 1000 -> 5000"),
    "decimal": (lambda: setattr(decimal.getcontext(), "prec", 5), "decimal: prec 28 -> 5"),
}
"""How a component changes its process, by name, and how the row begins to say so."""


class LeakyParams(Params):
    changes: str = ""
    notes: str = Field("", description="a folder to leave the number of the process in")
    label: str = ""


class Setter(toy.Coin):
    """Changes its process when it is fitted."""

    coin = None
    likelihood = None

    def fit(self, train, val, ctx):
        self.note()
        if self.params.changes:
            CHANGES[self.params.changes][0]()

    def note(self):
        if self.params.notes:
            (Path(self.params.notes) / f"{self.params.label}-{os.getpid()}").touch()


class SetterInRollout(Setter):
    """Changes its process when it simulates."""

    def fit(self, train, val, ctx):
        pass

    def rollout(self, start, steps, rng):
        Setter.fit(self, None, None, None)
        return super().rollout(start, steps, rng)


class Reader(Setter):
    """Learns a number that depends on how the process divides."""

    learned = None

    @property
    def coin(self):
        return self.learned

    def fit(self, train, val, ctx):
        self.note()
        self.learned = third()

    def save(self, directory):
        (directory / "coin").write_text(repr(self.learned))

    def load(self, directory):
        self.learned = float((directory / "coin").read_text())


class Touchy(Metric):
    """A number that depends on how the process divides, whatever the metric is shown."""

    direction = "min"
    unit = "1"

    def score(self, evidence, reference, rng):
        return Score(third())


class LeakyMetric(Metric):
    direction = "min"
    unit = "1"

    def score(self, evidence, reference, rng):
        np.seterr(under="raise")
        return Score(abs(toy.length(evidence.rollouts.final()).mean() - toy.length(reference.final()).mean()))


class LeakyLine(toy.Line):
    def prepare(self, split, rng):
        os.environ["LEAKED"] = split
        return super().prepare(split, rng)


@hookimpl
def nsbench_datasets():
    return [DatasetSpec("leaky", "leaky:LeakyLine", "toy:LineParams", floor=SimulatorReference("coin"))]


@hookimpl
def nsbench_simulators():
    classes = {"setter": "Setter", "setter-in-rollout": "SetterInRollout", "reader": "Reader"}
    return [SimulatorSpec(name, f"leaky:{cls}", "leaky:LeakyParams") for name, cls in classes.items()]


@hookimpl
def nsbench_metrics():
    return [MetricSpec("touchy", "leaky:Touchy"), MetricSpec("leaky", "leaky:LeakyMetric")]
