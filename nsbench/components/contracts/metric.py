"""A check of the score that a metric returns."""

from __future__ import annotations

import math

import numpy as np

from nsbench.components.contracts.broken import BrokenContract, kind_of
from nsbench.components.contracts.numbers import real
from nsbench.components.metric import Metric, Score


def require_score(metric: Metric, score: object) -> Score:
    """The score, its numbers as plain floats. Raises BrokenContract."""

    def number(value: object, name: str) -> float:
        number = real(value)
        if number is None or not math.isfinite(number):
            got = f"returned {value!r:.60} for {name}"
            raise BrokenContract(
                metric, "score", got, "it must be a finite number; raise NotApplicable where there is none"
            )
        return number

    if not isinstance(score, Score):
        raise BrokenContract(metric, "score", f"returned {kind_of(score)}", "it must return a nsbench.Score")
    interval = score.interval
    if interval is not None and (not isinstance(interval, tuple | list) or len(interval) != 2):
        raise BrokenContract(
            metric, "score", f"returned {interval!r:.60} for its interval", "it must be (low, high), or None"
        )
    if not isinstance(score.items, np.ndarray) or score.items.dtype.kind not in "fiub":
        raise BrokenContract(
            metric, "score", f"returned {kind_of(score.items)} for its items", "they must be float64[k]"
        )
    if score.figure is not None and not callable(score.figure):
        require_figure(metric, score.figure)
    for name, curve in score.by_lead.items():
        if not isinstance(curve, np.ndarray) or curve.dtype.kind not in "fiu" or curve.ndim != 1 or not len(curve):
            raise BrokenContract(
                metric, "score", f"returned {kind_of(curve)} for {name!r} by lead time", "it must be float64[L]"
            )
        if not np.isfinite(curve).all():
            got = f"returned a number that is not finite for {name!r} by lead time"
            raise BrokenContract(metric, "score", got, "all of them must be finite; leave out what has no value")
    return Score(
        value=number(score.value, "its value"),
        interval=None
        if interval is None
        else (number(interval[0], "its low end"), number(interval[1], "its high end")),
        items=score.items,
        extras={str(name): number(value, f"its extra {name!r}") for name, value in score.extras.items()},
        figure=score.figure,
        label=score.label,
        unit=score.unit,
        by_lead={str(name): curve.astype(np.float64) for name, curve in score.by_lead.items()},
    )


def require_figure(metric: Metric, figure: object) -> bytes:
    """The figure, a PNG's bytes. Raises BrokenContract."""
    if not isinstance(figure, bytes):
        raise BrokenContract(metric, "score", f"returned {kind_of(figure)} for its figure", "it must be a PNG's bytes")
    return figure
