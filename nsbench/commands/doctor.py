"""`nsbench doctor`: what this machine has, and what will be slow or missing here."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import click
from rich.console import Console

from nsbench.commands import options
from nsbench.commands.display.screen import show_list
from nsbench.running.side_by_side import room
from nsbench.store.cores import usable_cores
from nsbench.store.environment import cpu_flags, cuda_names, default_threads, processor, wanted_threads
from nsbench.store.workspace import Workspace
from nsbench.suite.devices import resolve_precision

Line = tuple[str, str, str]
"""(what, what there is of it here, what that means)."""


@click.command()
@options.workspace
def command(workspace: Workspace) -> None:
    """Say what this machine has, and what will be slow or missing here. Exits with 1 where results cannot be kept."""
    show_list(Console(), ["what", "here", "what it means"], examined(workspace))
    if not _writable(workspace.root):
        raise SystemExit(1)


def examined(workspace: Workspace) -> Iterator[Line]:
    """What there is, a line each."""
    cores, threads, flags = usable_cores(), default_threads(), cpu_flags()
    simd = next((f", {name}" for name, flag in (("AVX-512", "avx512f"), ("AVX2", "avx2")) if flag in flags), "")
    yield "processor", f"{processor()}{simd}", ""
    jobs, limit = room(wanted_threads() or 1)
    meaning = f"up to {jobs} trials side by side" if jobs > 1 else "trials come one after the other"
    yield "cores", f"{cores.number} ({cores.limit}), {threads} thread{'s' * (threads > 1)}", meaning
    yield _memory(jobs if limit == "memory" else 0)
    native = resolve_precision("auto", "cpu") == "bfloat16"
    meaning = "precision: auto takes it" if native else "precision: auto is float32: fits are slower"
    yield "bfloat16", "yes" if native else "no", meaning
    gpus = ", ".join(cuda_names())
    meaning = "device: auto takes it" if gpus else "laptop suites need none; snow-paper.yaml would take weeks"
    yield "GPU", gpus or _why_no_gpu(), meaning
    yield _place("workspace", workspace.root, "results are kept there", "no results can be kept: see --workspace")
    kernels = Path(os.environ.get("NUMBA_CACHE_DIR", workspace.kernels))
    yield _place("kernels", kernels, "compiled once", "every process compiles them anew, for half a minute")
    yield _package("MLflow", "mlflow", "runs are logged; `nsbench ui` shows them", "pip install -e .")
    yield _package("Ray", "ray", "--executor ray uses several machines", "for several machines: the extra [ray]")
    browser = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    yield "Chromium", browser or "none", "browser tests run" if browser else "only browser tests need it"


def _memory(room: int) -> Line:
    """room: the number of trials at once to which memory limits a run; 0 where it does not."""
    import psutil

    free, total = (size / 1e9 for size in (psutil.virtual_memory().available, psutil.virtual_memory().total))
    meaning = f"room for {room} trial{'s' * (room > 1)} at a time, not for one a core" if room else ""
    return "memory", f"{total:.0f} GB, {free:.0f} free", meaning


def _why_no_gpu() -> str:
    """Whether torch could use one at all."""
    built = version("torch")
    return f"none that torch {built} can use" if built.endswith("+cpu") else "none"


def _place(what: str, folder: Path, fine: str, else_: str) -> Line:
    """A folder that should be writable."""
    writable = _writable(folder)
    return what, f"{folder}{'' if writable else ' cannot be written'}", fine if writable else else_


def _writable(folder: Path) -> bool:
    """Whether files can be made in a folder, or in the nearest one above it that exists; nothing is left there."""
    there = next(path for path in (folder, *folder.resolve().parents) if path.is_dir())
    try:
        with tempfile.TemporaryFile(dir=there):
            return True
    except OSError:
        return False


def _package(what: str, distribution: str, fine: str, cure: str) -> Line:
    try:
        return what, version(distribution), fine
    except PackageNotFoundError:
        return what, "not installed", cure
