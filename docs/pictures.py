"""Pictures of README.md and docs/simulators.md, drawn from what a workspace's store holds.

    python docs/pictures.py crystals nsbench-out    # crystals.png, after nsbench run suites/snow.yaml
    python docs/pictures.py report nsbench-out      # report.png, after nsbench report suites/snow.yaml --format html
    python docs/pictures.py costs nsbench-out       # costs.png, after nsbench run suites/families.yaml

The second needs Chromium.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes

import nsbench
from nsbench.outcomes.cost_quality import CostQuality, Point, cost_quality, truth_ms
from nsbench.outcomes.stored import StoredResults
from nsbench.outcomes.summary import spoken, summarise
from nsbench.quantities import number
from nsbench.report.page.gather import gather
from nsbench.report.pictures import case_title, spread
from nsbench.trajectories.growth import GrowthTrajectories
from nsbench.trajectories.plane import draw_sites

HERE = Path(__file__).parent
SUITES = HERE.parent / "suites"
WINDOW = (1300, 1050)


def crystals(root: Path) -> None:
    """How crystals of suites/snow.yaml end: the truth, the truth redrawn and each network, of the same four cases."""
    stored = StoredResults(nsbench.open_session(SUITES / "snow.yaml", root))
    pictures = gather(stored, summarise(stored), "snow32")
    if pictures is None:
        raise SystemExit(f"{root}: nsbench run suites/snow.yaml first")
    rollouts = {one.name: one.rollouts for one in (*pictures.shown, *pictures.scales)}
    rows = {"truth": pictures.truth, "truth redrawn": rollouts["floor"]}
    rows |= {name: rollouts[name] for name in ("cgne-laptop", "pns-laptop")}
    cases = spread(pictures.truth, 6)[1:-1]
    figure, axes = plt.subplots(len(rows), len(cases), figsize=(7.2, 6.2), layout="constrained")
    for (name, side), row in zip(rows.items(), axes, strict=True):
        assert isinstance(side, GrowthTrajectories)
        for case, axis in zip(cases, row, strict=True):
            arrival = np.where(side.arrival[case] < 0, np.nan, side.arrival[case].astype(float))
            axis.imshow(draw_sites(arrival, side.domain.lattice, 240, np.nan), cmap="Blues_r")
            axis.set_xticks([], [])
            axis.set_yticks([], [])
            axis.spines[:].set_visible(False)
        row[0].set_ylabel(name, fontsize=9)
    for case, axis in zip(cases, axes[0], strict=True):
        axis.set_title(case_title(pictures.truth.domain, pictures.truth.params[case]), fontsize=9)
    figure.savefig(HERE / "crystals.png", dpi=80, metadata={"Software": None})


def report(root: Path) -> None:
    """The beginning of the page of suites/snow.yaml, as Chromium shows it."""
    browser, file = shutil.which("chromium"), root.resolve() / "runs/snow/report.html"
    if browser is None or not file.exists():
        raise SystemExit(f"needs Chromium and {file}: nsbench report suites/snow.yaml --format html")
    options = ["--headless", "--no-sandbox", "--hide-scrollbars", f"--window-size={WINDOW[0]},{WINDOW[1]}"]
    subprocess.run([browser, *options, f"--screenshot={HERE / 'report.png'}", file.as_uri()], check=True)


def costs(root: Path) -> None:
    """The primary metric of suites/families.yaml against time, a panel for each dataset."""
    stored = StoredResults(nsbench.open_session(SUITES / "families.yaml", root))
    summary = summarise(stored)
    entries = [entry for name in summary.datasets for entry in cost_quality(summary, name)]
    figure, axes = plt.subplots(1, len(entries), figsize=(4.6 * len(entries), 4.2), layout="constrained")
    for entry, axis in zip(entries, axes, strict=True):
        _costs(axis, entry, truth_ms(stored, entry.dataset))
    figure.savefig(HERE / "costs.png", dpi=80, metadata={"Software": None})


def _costs(axis: Axes, entry: CostQuality, truth: float | None) -> None:
    """A line for each curve, points for other simulators; dashed: anchors that a logarithmic axis can show."""
    for curve in entry.curves:
        places = [_place(point) for point in curve.points]
        axis.plot(*zip(*places, strict=True), "o-", label=f"{curve.name}, by {', '.join(curve.parameters)}")
        for point, place in zip(curve.points, places, strict=True):
            axis.annotate(point.setting, place, (3, 5), textcoords="offset points", fontsize=8)
    for point in entry.others:
        axis.plot(*_place(point), "o", color="grey", markersize=4)
        axis.annotate(point.simulator, _place(point), (5, -3), textcoords="offset points", fontsize=7)
    for anchor, value in entry.scales.items():
        if value > 0.3:
            axis.axhline(value, linestyle="--", color="black", linewidth=0.8)
            axis.annotate(spoken(anchor), (0, value), (3, 3), ("axes fraction", "data"), "offset points", fontsize=8)
    times, scores = zip(
        *map(_place, [*entry.others, *(p for curve in entry.curves for p in curve.points)]), strict=True
    )
    ticks = [m * 10.0**e for e in (-1, 0, 1, 2) for m in (1, 2, 5)]
    axis.set(xscale="log", yscale="log")
    axis.set_xticks(ticks, [f"{t:g}" for t in ticks])
    axis.set_yticks(ticks, [f"{t:g}" for t in ticks])
    axis.minorticks_off()
    axis.set_xlim(min(times) / 1.3, max(times) * 1.8)
    axis.set_ylim(min(*scores, *(v for v in entry.scales.values() if v > 0.3)) / 1.3, max(scores) * 1.5)
    axis.set_title(f"{entry.dataset}; the truth takes {number(truth or 0.0)} ms", fontsize=10)
    axis.set(xlabel="milliseconds a trajectory", ylabel=f"{entry.metric.name}, {entry.metric.unit}")
    axis.legend(fontsize=8)


def _place(point: Point) -> tuple[float, float]:
    assert point.ms is not None
    assert point.score.value is not None
    return point.ms, point.score.value


if __name__ == "__main__":
    {"crystals": crystals, "report": report, "costs": costs}[sys.argv[1]](Path(sys.argv[2]))
