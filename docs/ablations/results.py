"""The tables and figures of docs/ablations.md, from what collect.py wrote into this folder.

    python docs/ablations/results.py

Writes the figures beside itself and fills the tables of ablations.md between their marks,
`<!-- table NAME -->` and `<!-- end -->`. Intervals are the report's, of 95 %: "±" is Student's t over fits,
"low … high" a bootstrap over test cases of one fit, which does not know what another fit would give.
"""

from __future__ import annotations

import csv
import math
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import matplotlib.pyplot as plt
from matplotlib.axes import Axes

from nsbench.quantities import number, signed
from nsbench.report.tables import Table, plain
from nsbench.store.files import write_whole

HERE = Path(__file__).parent
PAGE = HERE.parent / "ablations.md"

HEADINGS = {
    "ewd": "EWD ↓, sites",
    "elbo": "ELBO ↑, nats",
    "crps": "CRPS ↓, sites",
    "variogram_score": "variogram score ↓",
    "spread_skill": "spread-skill ↓",
    "mmd": "MMD² ↓",
    "growth_rate": "growth rate ↓, sites/frame",
    "posterior_collapse": "KL, nats",
    "posterior_collapse: active latents": "active latents",
    "latent_neglect": "z redrawn, sites",
    "latent_neglect: z shuffled": "z shuffled, sites",
    "identity_collapse": "nothing attaches",
    "identity_collapse: deadlocked": "deadlocked",
    "melting": "melting",
    "orphans": "orphans",
    "conditioning": "slope off by",
    "conditioning: rank correlation": "rank correlation",
}
SCORES = ("ewd", "elbo", "crps", "variogram_score", "spread_skill", "mmd")
LATENTS = (
    *("posterior_collapse", "posterior_collapse: active latents"),
    *("latent_neglect", "latent_neglect: z shuffled"),
)
GROWTH = ("identity_collapse", "identity_collapse: deadlocked", "melting", "orphans")
AREA = ("conditioning", "conditioning: rank correlation")
SIZES = [32, 64, 128]
DRAWN = ("ewd", "elbo", "crps", "spread_skill", "mmd", "growth_rate", *GROWTH)
CARRIED = ("ewd", "elbo", "crps", "spread_skill", "growth_rate", "latent_neglect", *GROWTH[:2], "orphans", *AREA)
TABLES: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "variants": ("ablations", "snow32", SCORES),
    "latents": ("ablations", "snow32", LATENTS),
    "growth": ("ablations", "snow32", GROWTH + AREA),
    "schedules": ("dropout-schedules", "snow32", (*SCORES[:3], "spread_skill", *LATENTS)),
    "sampling": ("sampling", "snow32", DRAWN),
    "sampling-drawn": ("sampling-drawn", "snow32", DRAWN),
} | {f"resolution-{size}": ("resolution", f"snow{size}", CARRIED) for size in SIZES}
"""Name -> report, dataset, columns."""

COMPARED = {
    "variants-compared": ("ablations", "snow32"),
    "schedules-compared": ("dropout-schedules", "snow32"),
    "sampling-compared": ("sampling", "snow32"),
    "sampling-drawn-compared": ("sampling-drawn", "snow32"),
} | {f"resolution-{size}-compared": ("resolution", f"snow{size}") for size in SIZES[1:]}
"""Name -> report, dataset: of these, each simulator against CGNE."""


@dataclass(frozen=True)
class Number:
    """A cell of the report: its value and interval, NaN where there is none; over replicates or over test cases."""

    value: float
    low: float
    high: float
    exact: bool = False
    replicates: bool = False


NOTHING = Number(*3 * (math.nan,))

PALE, DARK = "#8fb3d9", "#174a7c"
"""Single fits, and their means."""


class Results:
    """A suite's report: numbers by dataset, simulator and metric, in the report's order; of some also each fit's."""

    def __init__(self, suite: str) -> None:
        self.numbers: dict[tuple[str, str, str], Number] = {}
        self.fits: dict[tuple[str, str, str], list[float]] = defaultdict(list)
        with open(HERE / f"{suite}.csv", newline="") as file:
            for row in csv.DictReader(file):
                key = row["dataset"], row["simulator"], row["metric"]
                value, low, high = (float(row[name] or "nan") for name in ("value", "low", "high"))
                self.numbers[key] = Number(value, low, high, row["kind"] == "exact", row["interval"] == "replicates")
        with open(HERE / "fits.csv", newline="") as file:
            for row in csv.DictReader(file):
                if row["report"] == suite:
                    self.fits[row["dataset"], row["simulator"], row["metric"]].append(float(row["value"]))

    def simulators(self, dataset: str) -> list[str]:
        return list(dict.fromkeys(name for own, name, _ in self.numbers if own == dataset))

    def number(self, dataset: str, simulator: str, metric: str) -> Number:
        return self.numbers.get((dataset, simulator, metric), NOTHING)


def table(results: Results, dataset: str, columns: tuple[str, ...]) -> str:
    """Rows are simulators that have any of the columns."""
    rows = []
    for simulator in results.simulators(dataset):
        cells = [cell(results.number(dataset, simulator, metric)) for metric in columns]
        if any(cell != "–" for cell in cells):
            rows.append([simulator, *cells])
    return markdown(["", *(HEADINGS[metric] for metric in columns)], rows)


def markdown(headings: list[str], rows: list[list[str]]) -> str:
    return plain(Table(headings, rows, groups=[]))


def fits(*found: Results) -> str:
    """KL, what redrawing z changes and EWD of each fit; a row a simulator with latents and several fits."""
    metrics = ("posterior_collapse", "latent_neglect", "ewd")
    rows: dict[str, list[str]] = {}
    for results in found:
        for name in results.simulators("snow32"):
            values = [results.fits["snow32", name, metric] for metric in metrics]
            if len(values[0]) > 1:  # what several suites have is the same fit
                rows[name] = [name, *(", ".join(map(number, row)) for row in values)]
    return markdown(["", *(f"{HEADINGS[metric]}: each fit" for metric in metrics)], list(rows.values()))


def cell(found: Number) -> str:
    """The value and its interval."""
    if math.isnan(found.value):
        return "–"
    text = number(found.value) + (" (exact)" if found.exact else "")
    if math.isnan(found.low):
        return text
    if found.replicates:
        half = (found.high - found.low) / 2
        equal = half < 1e-9 * abs(found.value)  # fits may be equal but for the last bit
        return f"{text} ± {number(0.0 if equal else half)}"
    return f"{text} ({number(found.low)} … {number(found.high)})"


def compared(report: str, dataset: str) -> str:
    """Differences from CGNE with their intervals, bold where the test decides; a row a simulator."""
    metrics = ("ewd", "elbo", "crps", "variogram_score", "mmd")
    found: dict[str, dict[str, str]] = defaultdict(dict)
    with open(HERE / f"{report}-compared.csv", newline="") as file:
        for row in csv.DictReader(file):
            if row["dataset"] == dataset and row["metric"] in metrics and row["difference"]:
                value, low, high = (
                    signed(float(row[name])) for name in ("difference", "difference_low", "difference_high")
                )
                text = f"**{value}** ({low} … {high})" if row["verdict"] == "better" else f"{value} ({low} … {high})"
                found[row["a"]][row["metric"]] = text
                found[row["a"]]["fits"] = row["over"].partition(" × ")[2].removesuffix(" replicates") or "1"
    columns = [metric for metric in metrics if any(metric in row for row in found.values())]
    rows = [[name, *(row.get(column, "–") for column in ("fits", *columns))] for name, row in found.items()]
    return markdown(["minus cgne-laptop", "fits", *(HEADINGS[metric] for metric in columns)], rows)


def panel(axes: Axes, results: Results, dataset: str, names: list[str], metric: str, title: str) -> None:
    """Means, a simulator a row, with their fits; of one fit its interval. The truth's as lines where it has one."""
    for row, name in enumerate(names):
        found, each = results.number(dataset, name, metric), results.fits[dataset, name, metric]
        if len(each) == 1:
            axes.plot([found.low, found.high], [row, row], color=PALE, linewidth=4, solid_capstyle="butt")
        axes.plot(each, [row] * len(each), "o", color=PALE, markersize=5)
        axes.plot(found.value, row, "D", color=DARK, markersize=4)
    for name, style in (("floor", ":"), ("noise-free", "--")):
        line = results.number(dataset, name, metric)
        axes.axvline(line.value, color="grey", linestyle=style, linewidth=1, label=name)
    axes.set_yticks(range(len(names)), names)
    axes.set_title(title, fontsize=10)
    axes.grid(axis="x", alpha=0.3)


def draw_variants(results: Results) -> None:
    left_out = {"floor", "noise-free", "climatology", "persistence", "frozen-neighbour", "stochastic-nca"}
    names = [name for name in results.simulators("snow32") if name not in left_out]
    figure, axes = plt.subplots(1, 3, figsize=(11, 4.2), sharey=True, layout="constrained")
    panel(axes[0], results, "snow32", names, "ewd", "EWD, sites (lower is better)")
    panel(axes[1], results, "snow32", names, "spread_skill", "spread-skill (0: as spread as the truth)")
    panel(axes[2], results, "snow32", names, "latent_neglect", "sites that decide otherwise\nwhen z is drawn again")
    axes[0].invert_yaxis()
    axes[0].legend(fontsize=8, loc="lower left")
    save(figure, "variants")


def draw_training(names: list[str]) -> None:
    """KL and the ELBO of validation transitions during training: a line a fit."""
    read: dict[tuple[str, str, str], list[tuple[float, float]]] = defaultdict(list)
    with open(HERE / "curves.csv", newline="") as file:
        for row in csv.DictReader(file):
            point = int(row["transitions"]) / 1000, float(row["value"])
            read[row["curve"], row["simulator"], row["replicate"]].append(point)
    figure, axes = plt.subplots(1, 2, figsize=(11, 3.8), layout="constrained")
    for axis, curve in zip(axes, ("kl", "elbo"), strict=True):
        for (own, name, replicate), points in read.items():
            if own == curve and name in names:
                label = name if replicate == "0" else None
                axis.plot(*zip(*points, strict=True), color=f"C{names.index(name)}", label=label, linewidth=1.2)
        axis.set_xlabel("thousand transitions of training")
        axis.grid(alpha=0.3)
    axes[0].set_yscale("log")
    axes[0].set_title("KL, nats a transition", fontsize=10)
    axes[0].legend(fontsize=8)
    axes[1].set_title("ELBO of validation transitions, nats a transition", fontsize=10)
    axes[1].set_ylim(-25, -14)
    save(figure, "training")


def draw_schedules(results: Results, reference: dict[str, float]) -> None:
    """A column for each of the schedule's numbers, with the suite's own, `cgne-laptop`, among its values."""
    figure, axes = plt.subplots(2, len(reference), figsize=(11, 5), sharey="row", layout="constrained")
    for column, (name, own) in zip(axes.T, reference.items(), strict=True):
        values = dict(sorted(schedule(results, name, own)))
        for axis, metric in zip(column, ("ewd", "latent_neglect"), strict=True):
            means = [results.number("snow32", simulator, metric).value for simulator in values.values()]
            axis.plot(list(values), means, "D-", color=DARK, markersize=4)
            for value, simulator in values.items():
                each = results.fits["snow32", simulator, metric]
                axis.plot([value] * len(each), each, "o", color=PALE, markersize=5)
            axis.axhline(results.number("snow32", "cgne-no-dropout", metric).value, color="grey", label="no dropout")
            axis.grid(alpha=0.3)
        column[1].set_xlabel(f"{name} (cgne-laptop: {own:g})")
    axes[0, 0].set_ylabel("EWD, sites")
    axes[1, 0].set_ylabel("sites that decide otherwise\nwhen z is drawn again")
    axes[0, 0].legend(fontsize=8)
    save(figure, "schedules")


def schedule(results: Results, name: str, own: float) -> Iterator[tuple[float, str]]:
    yield own, "cgne-laptop"
    for simulator in results.simulators("snow32"):
        if simulator.startswith(f"{name}-"):
            yield float(simulator.removeprefix(f"{name}-")), simulator


def draw_resolution(results: Results, sizes: list[int]) -> None:
    names = ["floor", "noise-free", "cgne-laptop", "pns-laptop", "stochastic-nca", "frozen-neighbour"]
    panels = {"ewd": "EWD, sites", "spread_skill": "spread-skill", "conditioning": "slope of area over ρ, off by"}
    figure, axes = plt.subplots(1, len(panels), figsize=(11, 3.8), layout="constrained")
    for axis, (metric, title) in zip(axes, panels.items(), strict=True):
        for name in names:
            means = [results.number(f"snow{size}", name, metric).value for size in sizes]
            style = {"color": "grey", "linestyle": ":" if name == "floor" else "--"} if name in names[:2] else {}
            (line,) = axis.plot(sizes, means, marker="D", markersize=3, label=name, **style)
            for size in sizes:
                each = results.fits[f"snow{size}", name, metric]
                axis.plot([size] * len(each), each, "o", color=line.get_color(), markersize=4, alpha=0.4)
        axis.set_xscale("log", base=2)
        axis.set_xticks(sizes, sizes)
        axis.set_xlabel("lattice, N × N")
        axis.set_title(title, fontsize=10)
        axis.grid(alpha=0.3)
    axes[0].set_yscale("log")
    axes[0].legend(fontsize=8, loc="lower right")
    save(figure, "resolution")


def save(figure: plt.Figure, name: str) -> None:
    figure.savefig(HERE / f"{name}.png", dpi=110, metadata={"Software": None})


def filled(page: str, tables: dict[str, str]) -> str:
    """The page with each table in its place. Raises ValueError where a table has none."""
    for name, text in tables.items():
        before, mark, rest = page.partition(f"<!-- table {name} -->\n")
        _, end, after = rest.partition("<!-- end -->\n")
        if not (mark and end):
            raise ValueError(f"{PAGE.name}: no place for the table {name!r}")
        page = f"{before}{mark}{text}\n{end}{after}"
    return page


def tables(found: dict[str, Results]) -> dict[str, str]:
    """Every table of the page by its name."""
    scores = {name: table(found[suite], dataset, columns) for name, (suite, dataset, columns) in TABLES.items()}
    differences = {name: compared(*of) for name, of in COMPARED.items()}
    return scores | differences | {"fits": fits(found["ablations"], found["dropout-schedules"])}


def read() -> dict[str, Results]:
    return {suite: Results(suite) for suite in {suite for suite, _, _ in TABLES.values()}}


def main() -> None:
    found = read()
    write_whole(PAGE, filled(PAGE.read_text(encoding="utf-8"), tables(found)))
    draw_variants(found["ablations"])
    draw_training(["cgne-laptop", "cgne-no-dropout", "cgne-no-annealing", "cgne-vector-z", "cgne-no-regressor"])
    draw_schedules(found["dropout-schedules"], {"start": 1.0, "hold": 0.03, "decay": 0.05, "final": 0.05})
    draw_resolution(found["resolution"], SIZES)


if __name__ == "__main__":
    main()
