"""What the suites of docs/ablations.md left in a workspace, as the CSV files of this folder.

    python docs/ablations/collect.py nsbench-out

For each suite what `nsbench report --format csv` says; what `nsbench compare --format csv` says of each simulator that
has a likelihood against `cgne-laptop`, in NAME-compared.csv; fits.csv, scores of single fits; and curves.csv, how the
ELBO of validation transitions and the KL, a mean over every 2,000 transitions, went while the simulators of
suites/ablations.yaml were trained. results.py makes tables and figures of these.
"""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from statistics import fmean

from nsbench.components.rows import TrialResult
from nsbench.outcomes import file as results
from nsbench.store.files import whole, write_whole
from nsbench.store.workspace import Workspace

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

BLOCK = 2000
"""Transitions over which the KL of training is averaged."""

FITS = ("ewd", "spread_skill", "posterior_collapse", "latent_neglect", "conditioning")
"""Metrics of which each fit is shown."""


def nsbench(command: str, workspace: Workspace, name: str, *arguments: str) -> str:
    """What a command prints of a suite."""
    suite, overrides = REPORTS[name]
    settings = [word for override in ("replicates=3", *overrides) for word in ("--set", override)]
    path = str(SUITES / f"{suite}.yaml")
    line = ["nsbench", command, path, *arguments, "--workspace", str(workspace.root), "--format", "csv", *settings]
    return subprocess.run(line, check=True, stdout=subprocess.PIPE, text=True).stdout


def compared(workspace: Workspace, name: str, report: str) -> str:
    """Each simulator of a report with a likelihood, against `cgne-laptop`: one heading, a row a dataset and metric."""
    rows = csv.DictReader(report.splitlines())
    others = dict.fromkeys(row["simulator"] for row in rows if row["metric"] == "elbo" and row["value"])
    others.pop("cgne-laptop")
    printed = [nsbench("compare", workspace, name, other, "cgne-laptop").splitlines() for other in others]
    return "\n".join([printed[0][0], *(row for lines in printed for row in lines[1:])]) + "\n"


def curves(workspace: Workspace) -> Iterator[tuple[str, int, str, int, str]]:
    """Simulator, replicate, which curve, transitions, value."""
    for row in finished(workspace, "ablations"):
        path = workspace.store / "model" / row.keys["model"] / "curves.json"
        blocks: dict[int, list[float]] = defaultdict(list)
        for name, value, transitions in json.loads(path.read_text(encoding="utf-8")):
            if name == "val/elbo":
                yield row.simulator, row.replicate, "elbo", transitions, f"{value:.5g}"
            if name == "train/kl":
                blocks[(transitions - 1) // BLOCK].append(value)
        for block, values in blocks.items():
            yield row.simulator, row.replicate, "kl", block * BLOCK + BLOCK // 2, f"{fmean(values):.5g}"


def fits(workspace: Workspace) -> Iterator[tuple[str, str, str, int, str, float]]:
    """Report, dataset, simulator, replicate, metric, value."""
    for name in REPORTS:
        for row in finished(workspace, name):
            for score in row.scores:
                if score.metric in FITS and score.value is not None:
                    yield name, row.dataset, row.simulator, row.replicate, score.metric, score.value


def finished(workspace: Workspace, name: str) -> list[TrialResult]:
    """The trials of a suite that ended well, replicates in order."""
    rows = results.load(workspace.results(name))
    return sorted((row for row in rows if row.status == "ok"), key=lambda row: row.replicate)


def write(name: str, heading: str, rows: Iterable[tuple[object, ...]]) -> None:
    with whole(HERE / name) as draft, open(draft, "w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(heading.split())
        writer.writerows(rows)


def main(workspace: Workspace) -> None:
    for name in REPORTS:
        report = nsbench("report", workspace, name)
        write_whole(HERE / f"{name}.csv", report)
        write_whole(HERE / f"{name}-compared.csv", compared(workspace, name, report))
    write("curves.csv", "simulator replicate curve transitions value", curves(workspace))
    write("fits.csv", "report dataset simulator replicate metric value", fits(workspace))


if __name__ == "__main__":
    main(Workspace(Path(sys.argv[1]).resolve()))
