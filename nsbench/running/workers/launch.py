"""The program of a worker process: `python -m nsbench.running.workers.launch CHANNEL LIFELINE BYTECODE`, two file
descriptors and the folder of byte code."""

from __future__ import annotations

import sys
from pathlib import Path

from nsbench.running.workers.lifeline import watched_by_parent


def main() -> None:
    """Tie this process to the run, then do the run's jobs."""
    watched_by_parent(int(sys.argv[2]))  # before there is anything that a fork could upset
    load_from_sources(Path(sys.argv[3]))
    from nsbench.running.workers.worker import serve

    serve(int(sys.argv[1]))


def load_from_sources(folder: Path) -> None:
    """Load nsbench from its sources, also the modules that Python has loaded by itself. folder: of byte code."""
    from nsbench.registry import bytecode, imports

    bytecode.run_sources(folder)
    kept = {imports.__name__, bytecode.__name__}  # they hold what was loaded, and compute nothing
    for name in [name for name in sys.modules if name.partition(".")[0] == "nsbench" and name not in kept]:
        del sys.modules[name]


if __name__ == "__main__":
    main()
