"""The best try of each series, in a line each."""

from __future__ import annotations

from nsbench.outcomes.series import Series, series_of
from nsbench.outcomes.summary import Summary
from nsbench.quantities import number

RULE = (
    "A best try looks better on the cases that it was chosen by than it is: score it again by a suite of another seed."
)


def series_sentences(summary: Summary, dataset: str) -> list[str]:
    """A line for each series of a dataset: its best try, its value, of how many; nothing where there are none."""
    return [_sentence(series) for series in series_of(summary, dataset)]


def title(series: Series) -> str:
    """The name of a series, with the kind of its scores where they are of several."""
    return f"{series.name}, {series.kind}" if series.kind else series.name


def _sentence(series: Series) -> str:
    tries = "1 try" if len(series.tries) == 1 else f"{len(series.tries)} tries"
    best, metric = series.best, series.metric
    more = f"; {series.open} more not made yet" if series.open else ""
    if best is None or best.value is None:
        return f"{title(series)}: no score in {tries}{more}."
    value = f"{metric.name} {number(best.value)} {metric.unit}".rstrip()
    return f"{title(series)}: best of {tries}: {best.simulator}, {value}{more}."
