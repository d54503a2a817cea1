"""What displays say of stages and trials, in words."""

from __future__ import annotations

from dataclasses import dataclass, field

from nsbench.components.events import CurvePoint, StageFinished, TrialFinished
from nsbench.quantities import duration, number

_VALIDATION = "val/"
"""The beginning of the names of curves that are of validation."""


@dataclass
class Validation:
    """The latest point of each trial's validation, and the one before it."""

    _points: dict[str, list[CurvePoint]] = field(default_factory=dict)

    def hear(self, point: CurvePoint) -> None:
        """Take note of a point of a curve; the first curve of validation that a trial logs counts."""
        points = self._points.setdefault(point.trial, [])
        if point.name.startswith(_VALIDATION) and (not points or points[0].name == point.name):
            self._points[point.trial] = [*points[-1:], point]

    def forget(self, trial: str) -> None:
        """Forget a trial's points, because its fit has ended."""
        self._points.pop(trial, None)

    def text(self, trial: str) -> str:
        """ ", val/elbo -17.3 after -18.2"; "" where a trial has logged nothing of the kind."""
        points = self._points.get(trial)
        if not points:
            return ""
        before = f" after {number(points[0].value)}" if len(points) > 1 else ""
        return f", {points[-1].name} {number(points[-1].value)}{before}"


def stage_line(event: StageFinished) -> str:
    """A line about a finished stage and its duration."""
    return f"{event.what}: {duration(event.seconds)}"


def trial_line(event: TrialFinished, done: int, total: int) -> str:
    """A line about a finished trial, the `done`-th of `total`, and its error if it failed."""
    result = event.result
    text = f"[{done}/{total}] {result.trial}: {result.status}"
    return f"{text}: {result.error}" if result.error else text
