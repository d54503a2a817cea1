"""What each dependency costs: megabytes on disk, with what it alone needs, and seconds to import; and who needs it.

    python benchmarks/dependencies.py            # the table of docs/performance.md
    python benchmarks/dependencies.py --rounds 5 # imports, the least of five processes

Sizes are those of the installed files, byte code included. "with its own" adds the distributions that would go with it:
those that nothing else which nsbench requires needs. Seconds are the processor's, of `import` in a new process, after
one that filled the disk's cache, less an empty process's; a package that imports another one pays for it too. "comes
with" names the others that need the package, so that nothing is saved by leaving it out alone.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
from collections.abc import Iterable
from functools import cache
from importlib.metadata import PackageNotFoundError, distribution, requires
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

DEPENDENCIES = {
    "click": ("click", "all"),
    "h5py": ("h5py", "run, report, export, score"),
    "matplotlib": ("matplotlib.figure", "run, report: figures"),
    "mlflow": ("mlflow", "run, track, ui"),
    "numba": ("numba", "run, prepare, check: the systems' kernels"),
    "numpy": ("numpy", "all that plan or read results"),
    "pandas": ("pandas", "from Python: results as a frame"),
    "pillow": ("PIL.Image", "report, track: pictures"),
    "pluggy": ("pluggy", "all"),
    "pot": ("ot", "run: ewd, transport distances"),
    "psutil": ("psutil", "run, doctor"),
    "pydantic": ("pydantic", "all that read a suite"),
    "pyyaml": ("yaml", "all that read a suite"),
    "rich": ("rich.console", "all"),
    "safetensors": ("safetensors", "run: checkpoints, weights"),
    "scikit-image": ("skimage.metrics", "run: ssim, shapes"),
    "scipy": ("scipy.stats", "run, compare, report"),
    "torch": ("torch", "run: networks"),
}
"""Distribution -> the module that nsbench imports of it, and the commands that need it."""


def needs(name: str) -> set[str]:
    """The distributions that one requires here, extras left out."""
    try:
        lines = requires(name) or []
    except PackageNotFoundError:
        return set()
    wanted = (Requirement(line) for line in lines)
    return {canonicalize_name(one.name) for one in wanted if one.marker is None or one.marker.evaluate({"extra": ""})}


def closure(names: Iterable[str], without: str = "") -> set[str]:
    """The distributions that are installed for these, themselves included. without: one that is not followed."""
    found: set[str] = set()
    waiting = [canonicalize_name(name) for name in names if name != without]
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += [other for other in needs(name) if other != without]
    return found


@cache
def megabytes(name: str) -> float:
    """The size of a distribution's files; 0 where it is not installed."""
    try:
        files = distribution(name).files or []
    except PackageNotFoundError:
        return 0.0
    paths = (Path(str(file.locate())) for file in files)
    return sum(path.stat().st_size for path in paths if path.is_file()) / 1e6


def seconds(code: str, rounds: int) -> float:
    """Processor seconds of a process that runs a line of Python: the least of several, after one for the disk."""
    took = []
    for _ in range(rounds + 1):
        before = processor_seconds()
        subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
        took.append(processor_seconds() - before)
    return min(took[1:])


def processor_seconds() -> float:
    """What the processes that this one has waited for have used."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    nothing = seconds("pass", given.rounds)
    every = closure(DEPENDENCIES)
    print(f"{len(every)} distributions, {sum(map(megabytes, every)):,.0f} MB\n")
    print(
        "| package | MB | with its own | import, s | commands | comes with |\n| --- | ---: | ---: | ---: | --- | --- |"
    )
    for name in sorted(DEPENDENCIES, key=lambda name: -sum(map(megabytes, own(name, every)))):
        module, commands = DEPENDENCIES[name]
        took = seconds(f"import {module}", given.rounds) - nothing
        sizes = f"{megabytes(name):,.0f} | {sum(map(megabytes, own(name, every))):,.0f}"
        others = ", ".join(other for other in DEPENDENCIES if other != name and name in closure([other]))
        print(f"| {name} | {sizes} | {max(0.0, took):.2f} | {commands} | {others} |", flush=True)


def own(name: str, every: set[str]) -> set[str]:
    """The distributions of all that would not be installed without this one."""
    return every - closure((other for other in DEPENDENCIES if other != name), without=name)


if __name__ == "__main__":
    main()
