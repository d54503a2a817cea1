"""What a site-step of every system costs: its kernel beside plain numpy and beside the processor's limits, in Markdown.

    python benchmarks/systems.py [--rounds 5] [system ...]

A system is a module plain_<system>.py beside this file, with a function workload(). After a warm-up the kernel on one
thread, on all, and plain numpy take turns, `rounds` times; every ratio is one within a round, and the median counts.
The limit of one core is the larger of a site-step's operations at the rate of a single-precision matrix product, and
its bytes at the bandwidth of the first-level cache, both measured here. Run it on a machine that does nothing else.
"""

from __future__ import annotations

import argparse
import importlib
import time
from collections.abc import Callable
from statistics import median

import numba
from lca import access, operation
from workload import Workload

from nsbench.store.environment import cores, processor

SYSTEMS = ("open", "gusts", "grains", "spinodal", "dendrite")


def workload_of(system: str) -> Workload | str:
    """The workload of a system, or a line that says why there is none."""
    try:
        module = importlib.import_module(f"plain_{system}")
    except ModuleNotFoundError as error:
        if error.name != f"plain_{system}":
            raise
        return f"{system} is left out: there is no benchmarks/plain_{system}.py"
    if not hasattr(module, "workload"):
        return f"{system} is left out: plain_{system}.py has no workload()"
    workload: Workload = module.workload()
    return workload


def each(work: Callable[[], int], threads: int) -> float:
    """The ns of a site-step, by the clock, on so many threads."""
    numba.set_num_threads(threads)
    before = time.perf_counter()
    done = work()
    return 1e9 * (time.perf_counter() - before) / done


def row(workload: Workload, rounds: int, threads: int) -> str:
    """A system's row of the table."""
    for work in (workload.compiled, workload.plain):
        work()
    turns = [
        (each(workload.compiled, 1), each(workload.compiled, threads), each(workload.plain, 1)) for _ in range(rounds)
    ]
    one, many, plain = (median(column) for column in zip(*turns, strict=True))
    gain, faster = median(t[0] / t[1] for t in turns), median(t[2] / t[0] for t in turns)
    arithmetic, bandwidth = workload.operations * operation(), workload.bytes / 4 * access()
    above = one / max(arithmetic, bandwidth)
    return (
        f"| {workload.name} | {one:.3g} | {many:.3g} | {gain:.2f} | {plain:.3g} | {faster:.0f} | {arithmetic:.2g} | "
        f"{bandwidth:.2g} | {above:.1f} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("system", nargs="*", default=SYSTEMS)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    threads = min(cores(), numba.config.NUMBA_NUM_THREADS)
    print(f"{processor()}, {cores()} cores, numba {numba.__version__}; ns a site-step, medians of {arguments.rounds}\n")
    print(
        f"| | 1 thread | {threads} threads | 1 ÷ {threads} threads | plain numpy | plain ÷ 1 thread | arithmetic limit "
        "| bandwidth limit | 1 thread ÷ limit |"
    )
    print("| --- |" + " ---: |" * 8)
    missing = []
    for system in arguments.system:
        workload = workload_of(system)
        if isinstance(workload, str):
            missing.append(workload)
        else:
            print(row(workload, arguments.rounds, threads), flush=True)
    print("".join(f"\n{line}" for line in missing))


if __name__ == "__main__":
    main()
