"""Rollouts beside the truth, same case, same frame: packed for the page's script, which draws them.

Growth is sent as the frame in which each site attached, labels as the number of their colour, fields as levels of their
first channel; one byte a site, deflated. Pictures are drawn on the domain's lattice by the map from pixels to sites of
nsbench.trajectories.plane.
"""

from __future__ import annotations

import base64
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nsbench.quantities import number
from nsbench.report.colours import label_colours, site_colours
from nsbench.report.page.gather import DatasetPictures
from nsbench.report.pictures import case_title, colour_span, span_ends, spread
from nsbench.trajectories.base import Trajectories
from nsbench.trajectories.growth import GrowthTrajectories
from nsbench.trajectories.labels import LabelTrajectories
from nsbench.trajectories.plane import site_map

PANEL = 168
"""The width of a panel in pixels."""

BUDGET = 1_500_000
"""The largest size of all panels of a dataset together, in bytes before they are deflated."""

NEVER = 255
"""The byte of a site that never attaches."""

FRAMES = 48
"""The largest number of frames of labels and fields."""


def gallery(pictures: DatasetPictures, titles: Mapping[int, str]) -> dict[str, Any]:
    """JSON for the page's script: the lattice's map, the frames, a row of panels for the truth and each simulator.

    titles: of the cases that are shown.
    """
    truth, cases = pictures.truth, np.array(list(titles), dtype=np.int64)
    sides = [("truth", truth), *((side.name, side.rollouts) for side in (*pictures.shown, *pictures.scales))]
    chosen = [(name, side.select(cases)) for name, side in sides]
    last = max(int(side.lengths.max()) for _, side in chosen) - 1
    growth, labels = isinstance(truth, GrowthTrajectories), isinstance(truth, LabelTrajectories)
    coarse, frames = _affordable(truth.domain.shape, len(cases) * len(sides), last, growth=growth)
    span = colour_span(chosen[0][1])
    shape = (-(-truth.domain.shape[0] // coarse), -(-truth.domain.shape[1] // coarse))
    places = site_map(truth.domain.lattice, shape, PANEL)
    return {
        "kind": "growth" if growth else "labels" if labels else "fields",
        "width": places.shape[1],
        "height": places.shape[0],
        "sites": shape[0] * shape[1],
        "map": _packed((places + 1).astype(np.uint16 if places.max() < 65_535 else np.uint32)),
        "wide": bool(places.max() >= 65_535),
        "frames": frames.tolist(),
        "colours": (label_colours() if labels else site_colours()).tolist(),
        "ends": None if growth or labels else span_ends(truth.domain, span),
        "span": float(np.searchsorted(frames, span[1])) if growth else 1.0,
        "titles": list(titles.values()),
        "rows": [{"name": name, "panels": _panels(side, frames, coarse, span)} for name, side in chosen],
    }


def of_all_kinds(pictures: DatasetPictures) -> dict[int, str]:
    """Cases spread over the range of the conditioning parameter, and their titles."""
    return {case: _title(pictures, case) for case in spread(pictures.truth)}


def of_the_worst(pictures: DatasetPictures, metric: str) -> dict[int, str]:
    """The cases in which simulators did worst, and titles that say whose and by how much."""
    said: dict[int, list[str]] = {}
    for worst in pictures.worst:
        said.setdefault(worst.case, []).append(f"{worst.simulator} {number(worst.value)}")
    return {case: f"{_title(pictures, case)}: the worst {metric} of {', '.join(names)}" for case, names in said.items()}


def _title(pictures: DatasetPictures, case: int) -> str:
    return case_title(pictures.truth.domain, pictures.truth.params[case])


def _affordable(shape: tuple[int, int], panels: int, last: int, *, growth: bool) -> tuple[int, NDArray[np.int64]]:
    """(k, frames): draw every k-th site and these frames, so that all panels stay within the budget."""
    coarse = 1
    fewest = 1 if growth else 8
    while -(-shape[0] // coarse) * -(-shape[1] // coarse) * panels * fewest > BUDGET:
        coarse += 1
    frame_size = -(-shape[0] // coarse) * -(-shape[1] // coarse) * panels
    count = NEVER if growth else min(FRAMES, BUDGET // frame_size)
    return coarse, np.unique(np.linspace(0, last, min(last + 1, count)).round().astype(np.int64))


def _panels(side: Trajectories, frames: NDArray[np.int64], coarse: int, span: tuple[float, float]) -> list[str]:
    if isinstance(side, GrowthTrajectories):
        arrival = side.arrival[:, ::coarse, ::coarse]
        shown = np.where(arrival < 0, NEVER, np.searchsorted(frames, arrival)).astype(np.uint8)
        return [_packed(panel) for panel in shown]
    states = np.stack([side.frame(int(t))[:, 0, ::coarse, ::coarse] for t in frames], axis=1)  # [n, frames, h, w]
    if isinstance(side, LabelTrajectories):
        return [_packed(panel) for panel in (states % len(label_colours())).astype(np.uint8)]
    share = np.clip((states - span[0]) / (span[1] - span[0]), 0, 1)
    return [_packed(np.rint(panel * 255).astype(np.uint8)) for panel in share]


def _packed(array: NDArray[Any]) -> str:
    """The array's little-endian bytes, deflated, as base64."""
    plain = array.astype(array.dtype.newbyteorder("<")).tobytes()
    return base64.b64encode(zlib.compress(plain, 9)).decode()
