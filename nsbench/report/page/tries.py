"""The charts of a dataset's series: the expected best of n tries, against n and against the seconds of their fits."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from nsbench.outcomes.series import Series as Tries
from nsbench.outcomes.series import fit_seconds, series_of
from nsbench.outcomes.stored import StoredResults
from nsbench.outcomes.summary import Summary
from nsbench.quantities import number
from nsbench.report.page.escaping import escape, listed
from nsbench.report.page.gather import SHOWN
from nsbench.report.page.keys import keys
from nsbench.report.page.svg import NO_PLACE, Axis, Series, axis, chart, is_wide
from nsbench.report.series import RULE, series_sentences, title

Array = NDArray[np.float64]

LEGEND = (
    "Lines: the best of n tries that is to be expected, the mean over all choices of n of a series' tries. "
    "Dots: the tries themselves. Dashed: the floor. "
    "The end of a line is a single try: how far a luckier search would come is not in it."
)


def series_section(stored: StoredResults, summary: Summary, dataset: str) -> Iterator[str]:
    """The section of a dataset's series: the best try of each, and charts; nothing where it has none."""
    found = series_of(summary, dataset)
    if not found:
        return
    drawn = _shown(found)
    styles = [(title(series), f"s{k}") for k, series in enumerate(drawn)]
    said = [*series_sentences(summary, dataset), *_left(found, drawn), LEGEND, *_floor(drawn), RULE]
    yield f'<section class="tries"><h2>Best of n tries: {escape(dataset)}</h2>'
    yield listed(said)
    if drawn:
        y, seconds = _values(drawn), [fit_seconds(stored, series) for series in drawn]
        charts = [_by_tries(drawn, y), *_by_seconds(drawn, y, seconds)]
        yield f'{keys(styles)}<div class="charts">{"".join(charts)}</div>'
    yield "</section>"


def _shown(found: Sequence[Tries]) -> list[Tries]:
    """The series with scores, in the suite's order; of too many those with the best tries."""
    values = {id(series): series.best.value for series in found if series.best and series.best.value is not None}
    sign = 1 if found[0].metric.direction == "min" else -1
    chosen = sorted(values, key=lambda key: sign * values[key])[:SHOWN]
    return [series for series in found if id(series) in chosen]


def _left(found: Sequence[Tries], drawn: Sequence[Tries]) -> Iterator[str]:
    if len(found) > len(drawn) == SHOWN:
        yield f"The charts show the {SHOWN} series with the best tries, of {len(found)}."


def _floor(drawn: Sequence[Tries]) -> Iterator[str]:
    """A sentence on a floor that a logarithmic axis has no place for."""
    floor = drawn[0].floor if drawn else None
    if floor is not None and floor <= 0 and _is_wide(drawn):
        yield f"The floor is {number(floor)}, {NO_PLACE}."


def _by_tries(found: Sequence[Tries], y: Axis) -> str:
    metric, most = found[0].metric.name, max(len(series.tries) for series in found)
    x = Axis("tries, n", 0.5, most + 0.5, whole=True)
    lines = [np.arange(1.0, len(series.tries) + 1) for series in found]
    dots = [np.ones(len(series.tries)) for series in found]
    return chart(f"{metric}: expected best of n tries", x, y, _drawn(found, x, y, lines, dots))


def _by_seconds(found: Sequence[Tries], y: Axis, seconds: Sequence[Sequence[float | None]]) -> Iterator[str]:
    """The chart against n times the mean time of a try's fits; none where the time of no series is known."""
    known = [(s, of) for s, of in zip(found, map(_numbers, seconds), strict=True)]
    spent = [
        np.arange(1.0, len(s.tries) + 1) * (np.nanmean(of) if np.isfinite(of).any() else np.nan) for s, of in known
    ]
    if not np.isfinite(np.concatenate(spent)).any():
        return
    x = axis("seconds of fitting", np.concatenate([*spent, *(of for _, of in known)]), zero=True)
    series = _drawn(found, x, y, spent, [of for _, of in known])
    yield chart(f"{found[0].metric.name}: expected best by time spent", x, y, series)


def _values(found: Sequence[Tries]) -> Axis:
    """The axis of the metric, which holds the lines and the floor; a try that is far worse may leave it.

    It is logarithmic where lines fall to a tenth or less; a floor of 0 or less is then not on it.
    """
    metric, floor = found[0].metric, found[0].floor
    label = f"{metric.name}, {metric.unit}" if metric.unit else metric.name
    values = np.concatenate([series.expected for series in found])
    log = _is_wide(found)
    if floor is not None and (floor > 0 or not log):
        values = np.append(values, floor)
    return axis(label, values, log=log)


def _is_wide(found: Sequence[Tries]) -> bool:
    """Whether only a logarithmic axis shows the ends of the lines, and all tries have a place on one."""
    tries = [attempt.value for series in found for attempt in series.tries if attempt.value is not None]
    return is_wide(np.concatenate([series.expected for series in found]), np.array(tries))


def _drawn(found: Sequence[Tries], x: Axis, y: Axis, lines: Sequence[Array], dots: Sequence[Array]) -> list[Series]:
    """The floor, and a line and dots for each series. lines, dots: the places of both on the axis x."""
    floor = found[0].floor
    series = (
        []
        if floor is None or not _is_on(y, floor)
        else [Series(np.array([x.low, x.high]), np.full(2, floor), "a0", "line")]
    )
    for k, (tries, along, at) in enumerate(zip(found, lines, dots, strict=True)):
        series.append(_known(along, tries.expected, f"s{k}", "line"))
        series.append(_known(at, _numbers([attempt.value for attempt in tries.tries]), f"s{k}", "points"))
    return series


def _is_on(y: Axis, floor: float) -> bool:
    return floor > 0 or not y.log


def _known(x: Array, y: Array, style: str, kind: Literal["line", "points"]) -> Series:
    """The points whose place is known."""
    there = np.isfinite(x) & np.isfinite(y)
    return Series(x[there], y[there], style, kind)


def _numbers(values: Sequence[float | None]) -> Array:
    return np.array([np.nan if value is None else value for value in values])
