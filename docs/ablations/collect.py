"""What the suites of docs/ablations.md left in a workspace, as the CSV files of this folder.

    python docs/ablations/collect.py nsbench-out

For each suite what `nsbench report --format csv` says; and curves.csv, how KL and ELBO went while the first replicate
of each simulator of suites/ablations.yaml was trained. results.py makes tables and figures of these.
"""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from nsbench import results

HERE = Path(__file__).parent
SUITES = HERE.parents[1] / "suites"
REPORTS: dict[str, tuple[str, tuple[str, ...]]] = {
    "ablations": ("ablations", ()),
    "dropout-schedules": ("dropout-schedules", ()),
    "sampling": ("sampling", ()),
    "sampling-drawn": ("sampling", ("name=sampling-drawn", "protocol.decode=sample")),
    "resolution": ("resolution", ()),
}
"""File -> suite and what is set in it."""

CURVES = {"train/kl": "kl", "val/elbo": "elbo"}


def report(workspace: Path, name: str) -> None:
    suite, overrides = REPORTS[name]
    command = ["nsbench", "report", str(SUITES / f"{suite}.yaml"), "--workspace", str(workspace), "--format", "csv"]
    for override in ("replicates=3", *overrides):
        command += ["--set", override]
    subprocess.run([*command, "--to", str(HERE / f"{name}.csv")], check=True)


def curves(workspace: Path) -> Iterator[tuple[str, str, int, float]]:
    """Simulator, which curve, transitions, value."""
    for row in results.load(workspace / "runs" / "ablations" / "results.jsonl"):
        path = workspace / "store" / "model" / row.keys["model"] / "curves.json"
        if row.replicate == 0 and path.exists():
            for name, value, transitions in json.loads(path.read_text(encoding="utf-8")):
                if name in CURVES:
                    yield row.simulator, CURVES[name], transitions, value


def main(workspace: Path) -> None:
    for name in REPORTS:
        report(workspace, name)
    with open(HERE / "curves.csv", "w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["simulator", "curve", "transitions", "value"])
        writer.writerows((*about, f"{value:.5g}") for *about, value in curves(workspace))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
