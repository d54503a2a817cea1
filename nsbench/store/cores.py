"""The cores that this process may use, which are fewer than the machine has in a container or under a scheduler."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from nsbench.store.cgroups import folders


@dataclass(frozen=True)
class Cores:
    """A number of cores, and what limits it to that, in words."""

    number: int
    limit: str


def usable_cores(
    root: Path = Path("/"),
    variables: Mapping[str, str] = os.environ,
    seen: int | None = None,
    machine: int | None = None,
) -> Cores:
    """The smallest of what the kernel, a container and Slurm allow; what cannot be read or understood limits nothing.

    A quota is rounded up: with 1.5 cores two threads run three quarters of the time and pause together for the rest,
    and one would leave a third of it unused. root: of the file system. seen: the cores that libraries find, those of
    this process's affinity. machine: those of the machine.
    """
    seen, machine = seen or cores_seen(), machine or os.cpu_count() or 1
    limits = [Cores(seen, "all that this machine has" if seen >= machine else "affinity")]
    limits += [Cores(quota, "cgroup quota") for quota in _quotas(root)]
    limits += _slurms(variables)
    return min(limits, key=lambda limit: limit.number)


def cores_seen() -> int:
    """The cores that this process's affinity allows, which is what libraries start threads for."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _quotas(root: Path) -> Iterator[int]:
    """The quotas of this process's groups and of all that these lie in, in cores, rounded up."""
    for folder in folders("cpu", root):
        for names in (["cpu.max"], ["cpu.cfs_quota_us", "cpu.cfs_period_us"]):
            with suppress(OSError, ValueError, ZeroDivisionError):  # ValueError also where there is none: "max"
                quota, period = " ".join((folder / name).read_text(encoding="ascii") for name in names).split()
                if (cores := -(-int(quota) // int(period))) > 0:  # version 1 has -1 where there is none
                    yield cores


def _slurms(variables: Mapping[str, str]) -> list[Cores]:
    """The cores that Slurm gave this task or, where none were asked for by task, its job on this node.

    Slurm binds tasks to them on most clusters, and trusts them on the others.
    """
    for name in ("SLURM_CPUS_PER_TASK", "SLURM_CPUS_ON_NODE"):
        with suppress(ValueError):
            if (number := int(variables.get(name, ""))) > 0:
                return [Cores(number, name)]
    return []
