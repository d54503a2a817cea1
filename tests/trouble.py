"""A plugin whose simulators get into every kind of trouble. Each notes the process that it ran in."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Literal

from pydantic import Field

import toy
from nsbench import hookimpl
from nsbench.components.component import Params, Unavailable
from nsbench.components.dataset import Dataset, DatasetSpec, SimulatorReference
from nsbench.components.simulator import SimulatorSpec

How = Literal[
    "fine", "exit", "segfault", "sigkill", "allocate", "memory error", "python", "native", "child", "once", "nowhere",
    "print", "meet",
]  # fmt: skip


class TroubleParams(Params):
    how: How = "fine"
    notes: str = Field(description="a folder to leave notes in")
    label: str = Field("", description="tells one from another")


class Trouble(toy.Coin):
    """Fits as it is told to; rolls out like the coin."""

    coin = None

    def fit(self, train, val, ctx):
        notes = Path(self.params.notes)
        (notes / f"{self.params.how}-{os.getpid()}").touch()
        getattr(self, self.params.how.replace(" ", "_"))(notes, ctx)

    def fine(self, notes, ctx):
        pass

    def exit(self, notes, ctx):
        os._exit(3)

    def segfault(self, notes, ctx):
        ctypes.string_at(0)

    def sigkill(self, notes, ctx):
        os.kill(os.getpid(), signal.SIGKILL)

    def allocate(self, notes, ctx):
        held = []
        while True:
            held.append(bytearray(os.urandom(1 << 20) * 20))
            time.sleep(0.01)

    def memory_error(self, notes, ctx):
        raise MemoryError("a huge array")

    def python(self, notes, ctx):
        while True:
            time.sleep(0.01)

    def native(self, notes, ctx):
        """C code that never returns and never lets another Python thread run."""
        ctypes.PyDLL(None).sleep(1000)

    def child(self, notes, ctx):
        process = subprocess.Popen(["sleep", "1000"])
        (notes / "child").write_text(str(process.pid))
        process.wait()

    def once(self, notes, ctx):
        if not (notes / "tried").exists():
            (notes / "tried").touch()
            raise RuntimeError("bad luck")

    def nowhere(self, notes, ctx):
        raise Unavailable("this needs a quantum computer")

    def meet(self, notes, ctx):
        """Two of these, in different processes, at the same time."""
        until = time.monotonic() + 60
        while len(list(notes.glob("meet-*"))) < 2:
            assert time.monotonic() < until
            time.sleep(0.01)

    def print(self, notes, ctx):
        print("from Python")
        ctypes.CDLL(None).puts(b"from C")


class Broken(Dataset):
    """Cannot be made."""

    domain = toy.Line.domain
    params: toy.LineParams

    def prepare(self, split, rng):
        raise OSError("the instrument is off")


@hookimpl
def nsbench_datasets():
    return [DatasetSpec("broken", "trouble:Broken", "toy:LineParams", floor=SimulatorReference("coin"))]


@hookimpl
def nsbench_simulators():
    return [
        SimulatorSpec("trouble", "trouble:Trouble", "trouble:TroubleParams"),
        SimulatorSpec("extra", "needs_an_extra:Extra", "trouble:TroubleParams"),
    ]
