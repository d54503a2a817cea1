"""How fast CGNE and PNS train and step, each way side by side in one run.

    python benchmarks/training.py                       # laptop widths, 32 × 32
    python benchmarks/training.py --reference           # the papers' widths, 64 × 64
    python benchmarks/training.py --widths 8 16 --batches 16 64 --threads 2
    python benchmarks/training.py --reference --only cgne/bfloat16   # its memory
    python benchmarks/training.py --device cuda --reference          # on a GPU

Prints, for each simulator, width, batch and precision: training transitions a second (loss, gradients,
clipping, optimizer step), and milliseconds a sampled step of one trajectory, the best of several rounds; and
the same of a plain implementation (``plain.py``). The rounds of the variants take turns, so that whatever else
the machine does falls on all of them alike. Then what a checkpoint costs, and the most memory that the process held,
all variants together (on a GPU: that torch took of it): ask for one by ``--only`` to know its own.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import plain
import torch

from nsbench.components.protocol import Conditions, Device, Precision
from nsbench.neural.checkpoint import optimizer_tensors, write_checkpoint
from nsbench.neural.devices import autocast
from nsbench.neural.model import TransitionModel
from nsbench.neural.randomness import initialised
from nsbench.neural.states.growth import Growth
from nsbench.neural.training import CHECKPOINT_SECONDS, make_optimizer
from nsbench_cgne.laptop import LaptopParams as CGNELaptop
from nsbench_cgne.params import CGNEParams
from nsbench_cgne.simulator import CGNE
from nsbench_pns.laptop import LaptopParams as PNSLaptop
from nsbench_pns.params import PNSParams
from nsbench_pns.simulator import PNS


@dataclass
class Variant:
    """A network at a batch and a precision, with the best time that each kind of work took, seconds."""

    name: str
    model: TransitionModel
    params: CGNEParams | PNSParams
    inputs: int
    batch: int
    side: int
    precision: Precision
    device: Device
    best: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.noise = torch.Generator(self.device).manual_seed(0)
        self.model.to(self.device)
        shape = (self.batch, 1, self.side, self.side)
        self.x = (torch.rand(shape, generator=self.noise, device=self.device) < 0.3).float()
        growth = torch.rand(shape, generator=self.noise, device=self.device) < 0.1
        self.x_next = torch.maximum(self.x, growth.float())
        self.y = torch.randn(self.batch, self.inputs, generator=self.noise, device=self.device)
        self.optimizer = make_optimizer(self.model, self.params)

    def train(self) -> None:
        self.optimizer.zero_grad(set_to_none=True)
        with autocast(self.conditions):
            loss = self.model.loss(self.x, self.x_next, self.y, 1.0, self.noise).total
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 0.25)
        self.optimizer.step()

    def sample(self) -> None:
        with torch.inference_mode(), autocast(self.conditions):
            self.model.output(self.x, self.y, self.noise)

    def checkpoint(self, path: Path) -> str:
        """Writes one as a fit does, averaged weights and all; says how long it took."""
        tensors = {f"model.{name}": value for name, value in self.model.state_dict().items()}
        tensors |= {f"average.{name}": value.clone() for name, value in self.model.state_dict().items()}
        tensors |= {f"optimizer.{name}": value for name, value in optimizer_tensors(self.optimizer).items()}
        self.time("checkpoint", lambda: write_checkpoint(path, tensors, {}))
        seconds, size = self.best["checkpoint"], path.stat().st_size / 1e6
        return f"{self.name}: a checkpoint takes {seconds:.3f} s ({size:.0f} MB), {seconds / CHECKPOINT_SECONDS:.2%}"

    def time(self, name: str, work: Callable[[], None]) -> None:
        self.finish()
        began = time.perf_counter()
        work()
        self.finish()
        self.best[name] = min(self.best.get(name, float("inf")), time.perf_counter() - began)

    def report(self) -> str:
        rate, step = self.batch / self.best["train"], 1000 * self.best["sample"] / self.batch
        return f"{self.name:24} {self.batch:5} {self.kind:9} {rate:10.1f} {step:10.3f}"

    def finish(self) -> None:
        """Waits until the device has done what was asked of it."""
        if self.device == "cuda":
            torch.cuda.synchronize()

    @property
    def conditions(self) -> Conditions:
        return Conditions(device=self.device, precision=self.precision)

    @property
    def kind(self) -> str:
        return self.precision


@dataclass
class Plain(Variant):
    """The same network by torch's own operations, in float32."""

    def __post_init__(self) -> None:
        super().__post_init__()
        plain.contiguous(self.model)
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=1e-3, foreach=False)

    def train(self) -> None:
        with plain.plainly():
            plain.train(self.model, self.optimizer, self.x, self.x_next, self.y, self.noise)

    def sample(self) -> None:
        with plain.plainly():
            super().sample()

    @property
    def kind(self) -> str:
        return "plain"


def build(simulator: str, width: int, reference: bool, batch: int, kind: str, device: Device) -> Variant:
    inputs, side = (7, 64) if reference else (1, 32)
    if simulator == "cgne":
        cgne = CGNE(CGNEParams() if reference else CGNELaptop(width=width))
        model, params = initialised(lambda: cgne.build(Growth(), inputs), 0), cgne.params
    else:
        pns = PNS(PNSParams() if reference else PNSLaptop(width=width))
        model, params = initialised(lambda: pns.build(Growth(), inputs), 0), pns.params
    make, precision = (Plain, "float32") if kind == "plain" else (Variant, kind)
    return make(f"{simulator}, width {width}", model, params, inputs, batch, side, precision, device)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reference", action="store_true", help="the papers' widths on 64 × 64")
    parser.add_argument("--widths", type=int, nargs="+", default=[16])
    parser.add_argument("--batches", type=int, nargs="+", default=[16, 64])
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--only", help="one simulator and kind, such as cgne/bfloat16")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    sizes = {"cgne": [64], "pns": [128]} if given.reference else {"cgne": given.widths, "pns": given.widths}
    variants = [
        build(simulator, width, given.reference, batch, kind, given.device)
        for simulator, widths in sizes.items()
        for width in widths
        for batch in given.batches
        for kind in ("plain", "float32", "bfloat16")
        if given.only in (None, f"{simulator}/{kind}")
    ]
    for variant in variants:  # warm-up
        variant.train()
        variant.sample()
    for _ in range(given.rounds):
        for variant in variants:
            variant.time("train", variant.train)
            variant.time("sample", variant.sample)
    on_gpu = given.device == "cuda"
    print(f"torch {torch.__version__}, {torch.cuda.get_device_name() if on_gpu else f'{given.threads} threads'}")
    print(f"{'':24} {'batch':>5} {'':9} {'transit./s':>10} {'ms a step':>10}")
    for variant in variants:
        print(variant.report())
    with tempfile.TemporaryDirectory() as folder:
        for variant in variants:
            if variant.kind == "bfloat16" and variant.batch == given.batches[0]:
                print(variant.checkpoint(Path(folder) / "checkpoint.safetensors"))
    peak = torch.cuda.max_memory_allocated() if on_gpu else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(f"peak memory {peak / 1024**3:.2f} GiB")


if __name__ == "__main__":
    main()
