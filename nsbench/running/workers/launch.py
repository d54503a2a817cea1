"""The program of a worker process: `python -m nsbench.running.workers.launch CHANNEL LIFELINE`, file descriptors."""

from __future__ import annotations

import sys

from nsbench.running.workers.lifeline import watched_by_parent


def main() -> None:
    """Tie this process to the run, then do the run's jobs."""
    watched_by_parent(int(sys.argv[2]))  # before there is anything that a fork could upset
    from nsbench.running.workers.worker import serve

    serve(int(sys.argv[1]))


if __name__ == "__main__":
    main()
