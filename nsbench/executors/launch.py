"""`python -m nsbench.executors.launch CHANNEL LIFELINE`: how a worker process begins."""

from __future__ import annotations

import sys

from nsbench.executors.lifeline import tie_group_to


def main() -> None:
    watcher = tie_group_to(int(sys.argv[2]))  # before there is anything that a fork could upset
    from nsbench.executors.worker import serve

    serve(int(sys.argv[1]), watcher)


if __name__ == "__main__":
    main()
