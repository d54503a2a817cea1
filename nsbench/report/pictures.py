"""Pictures of rollouts beside the truth: an animation (GIF) and a still of the final states (PNG).

A picture is a grid of panels, the truth above, the simulator below, one column for each case. Panels are drawn
on the domain's lattice: square sites, hexagonal sites, or the whole six-fold shape of a quadrant. Growth is coloured by
arrival, labels each in a colour of its own, fields by their first channel with a colour bar below.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nsbench.report.colours import BACKGROUND, EMPTY, INK, LEVELS, label_colours, site_colours
from nsbench.trajectories.base import Trajectories
from nsbench.trajectories.domain import Domain
from nsbench.trajectories.fields import FieldTrajectories
from nsbench.trajectories.growth import GrowthTrajectories
from nsbench.trajectories.labels import LabelTrajectories
from nsbench.trajectories.plane import draw_sites, site_map

Labels = tuple[str, str]
Pixels = NDArray[np.uint8]

_GREYS = 16
_BACKGROUND, _EMPTY, _TEXT = 0, 1, 2  # first entry of each part of the palette
_SITES = _TEXT + _GREYS
_LABELS = _SITES + LEVELS

_BAR = 96
"""The width of a colour bar in pixels."""

_FONT_SIZE, _GAP = 14, 8

_THUMBNAIL = 512


@dataclass(frozen=True)
class Picture:
    """A PNG, and a WebP of it of at most 512 × 512 pixels."""

    png: bytes
    thumbnail: bytes


def animate(
    truth: Trajectories,
    rollouts: Trajectories,
    *,
    cases: Sequence[int],
    labels: Labels = ("truth", "simulator"),
    members: int = 1,
    panel: int = 180,
    seconds: float = 4.0,
    limit: int = 80,
) -> bytes:
    """An endless GIF of the rollouts of `cases` beside their truth.

    truth: one trajectory for each case. rollouts: `members` in a row for each case, of which the first is shown.
    panel: the width of a panel in pixels. seconds: the duration of the whole; the last frame is held longer.
    limit: the largest number of frames, evenly spaced in longer trajectories. Growth maps are coloured by arrival,
    the newest sites bright; labels have the colours of ``label_colours``; fields are coloured by their first channel,
    on the truth's range, which the colour bar shows.
    """
    from PIL import Image

    sheet = _sheet(truth, rollouts, cases, labels, members, panel)
    last = max(int(sheet.truth.lengths.max()), int(sheet.rollouts.lengths.max())) - 1
    times = np.unique(np.linspace(0, last, min(last + 1, limit)).round().astype(int))
    images = [_image(sheet.draw(t, f"frame {t} of {last}"), Image) for t in times]
    pause = int(np.clip(1000 * seconds / len(times), 40, 250))
    file = BytesIO()
    images[0].save(
        file,
        "GIF",
        save_all=True,
        append_images=images[1:],
        duration=[pause] * (len(images) - 1) + [1500],
        loop=0,
        optimize=True,
    )
    return file.getvalue()


def still(
    truth: Trajectories,
    rollouts: Trajectories,
    *,
    cases: Sequence[int],
    labels: Labels = ("truth", "simulator"),
    members: int = 1,
    panel: int = 180,
) -> bytes:
    """A PNG of the final states of `cases` beside their truth; see ``animate``."""
    from PIL import Image

    sheet = _sheet(truth, rollouts, cases, labels, members, panel)
    last = max(int(sheet.truth.lengths.max()), int(sheet.rollouts.lengths.max())) - 1
    file = BytesIO()
    _image(sheet.draw(last, "final states"), Image).save(file, "PNG", optimize=True)
    return file.getvalue()


def by_frame(
    truth: Trajectories,
    rollouts: Trajectories,
    *,
    cases: Sequence[int],
    labels: Labels = ("truth", "simulator"),
    members: int = 1,
    panel: int = 180,
    count: int = 8,
) -> dict[int, Picture]:
    """Pictures by frame's number: `count` frames of ``animate``, evenly spaced over the length of the truth.

    The numbers depend on the truth alone: pictures of several simulators can be compared frame by frame.
    """
    from PIL import Image

    sheet = _sheet(truth, rollouts, cases, labels, members, panel)
    last = int(truth.lengths.max()) - 1
    times = np.unique(np.linspace(0, last, min(last + 1, count)).round().astype(int)).tolist()
    return {t: _picture(_image(sheet.draw(t, f"frame {t} of {last}"), Image)) for t in times}


def _picture(image: Any) -> Picture:
    whole, small, thumbnail = BytesIO(), BytesIO(), image.convert("RGB")
    image.save(whole, "PNG", optimize=True)
    thumbnail.thumbnail((_THUMBNAIL, _THUMBNAIL))
    thumbnail.save(small, "WEBP")
    return Picture(whole.getvalue(), small.getvalue())


def spread(trajectories: Trajectories, count: int = 4) -> tuple[int, ...]:
    """Up to `count` cases whose conditioning parameter is spread over its range, in rising order."""
    domain = trajectories.domain
    values = trajectories.params[:, domain.column(domain.condition)]
    targets = np.linspace(values.min(), values.max(), count)
    return tuple(dict.fromkeys(int(np.abs(values - value).argmin()) for value in targets))


@dataclass(frozen=True, eq=False)
class _Sheet:
    """The trajectories of the cases to show, and the part of the picture that does not change."""

    truth: Trajectories
    rollouts: Trajectories
    canvas: Pixels
    corners: tuple[tuple[tuple[int, int], ...], tuple[tuple[int, int], ...]]  # (top, left) by row and case
    panel: int
    scale: tuple[float, float]

    def draw(self, t: int, caption: str) -> Pixels:
        """Palette indices uint8[height, width] at frame t."""
        canvas = self.canvas.copy()
        for trajectories, corners in zip((self.truth, self.rollouts), self.corners, strict=True):
            for case, (top, left) in enumerate(corners):
                levels = _levels(trajectories, case, t, self.scale)
                image = draw_sites(levels, trajectories.domain.lattice, self.panel, np.uint8(_BACKGROUND))
                canvas[top : top + image.shape[0], left : left + image.shape[1]] = image
        _write(canvas, caption, _GAP, canvas.shape[0] - _line() - _GAP // 2)
        return canvas


def _sheet(
    truth: Trajectories, rollouts: Trajectories, cases: Sequence[int], labels: Labels, members: int, panel: int
) -> _Sheet:
    if not len(cases):
        raise ValueError("no cases to draw")
    if (truth.domain.lattice, truth.domain.shape) != (rollouts.domain.lattice, rollouts.domain.shape):
        raise ValueError(
            "truth and rollouts must share a lattice, got "
            f"{truth.domain.lattice} {truth.domain.shape} and {rollouts.domain.lattice} {rollouts.domain.shape}"
        )
    chosen = np.asarray(cases, dtype=np.int64)
    truth, rollouts = truth.select(chosen), rollouts.select(chosen * members)
    height, width = site_map(truth.domain.lattice, truth.domain.shape, panel).shape
    margin = max(_text(label).shape[1] for label in labels) + 2 * _GAP
    tops = [_line() + 2 * _GAP + row * (height + _GAP) for row in range(2)]
    lefts = [margin + column * (width + _GAP) for column in range(len(cases))]
    scale = colour_span(truth)
    bar = _colour_bar(truth, scale)
    bottom = tops[1] + height + _GAP
    size = bottom + bar.shape[0] + _line() + _GAP, max(lefts[-1] + width, _GAP + bar.shape[1]) + _GAP
    canvas = np.full(size, _BACKGROUND, np.uint8)
    _put(canvas, bar, _GAP, bottom)
    for top, label in zip(tops, labels, strict=True):
        _write(canvas, label, _GAP, top + height // 2 - _line() // 2)
    for case, left in enumerate(lefts):
        title = case_title(truth.domain, truth.params[case])
        _write(canvas, title, left + max(width - _text(title).shape[1], 0) // 2, _GAP)
    corners = (tuple((tops[0], left) for left in lefts), tuple((tops[1], left) for left in lefts))
    return _Sheet(truth, rollouts, canvas, corners, panel, scale)


def colour_span(truth: Trajectories) -> tuple[float, float]:
    """(low, high) that the colours span: frames of growth, or values of a field's first channel."""
    if not isinstance(truth, FieldTrajectories):
        return 0.0, float(truth.lengths.max())
    shown = [truth.values[k, :length, 0] for k, length in enumerate(truth.lengths)]
    low, high = float(min(v.min() for v in shown)), float(max(v.max() for v in shown))
    return low, high if high > low else low + 1.0


def _levels(trajectories: Trajectories, case: int, t: int, scale: tuple[float, float]) -> Pixels:
    """Palette indices of a trajectory's sites at frame t, uint8[H, W]."""
    t = min(t, int(trajectories.lengths[case]) - 1)
    if isinstance(trajectories, GrowthTrajectories):
        arrival = trajectories.arrival[case]
        settled = (arrival * (LEVELS * 3 / 4 / scale[1])).astype(np.int64)
        fresh = np.maximum(LEVELS - 1 - (t - arrival) * (LEVELS // 8), 0)
        level = _SITES + np.maximum(settled, fresh).clip(max=LEVELS - 1)
        return np.where((arrival < 0) | (arrival > t), _EMPTY, level).astype(np.uint8)
    if isinstance(trajectories, LabelTrajectories):
        return (_LABELS + trajectories.labels[case, t] % len(label_colours())).astype(np.uint8)
    values = trajectories.at(np.array([case]), np.array([t]))[0, 0]
    share = np.clip((values - scale[0]) / (scale[1] - scale[0]), 0, 1)
    return (_SITES + np.rint(share * (LEVELS - 1))).astype(np.uint8)


def span_ends(domain: Domain, span: tuple[float, float]) -> tuple[str, str]:
    """The ends of a colour bar in words, e.g. ("u −1.2", "3.4 K"): channel and low end, high end and unit."""
    unit = domain.units[0] if domain.units else "1"
    low, high = (f"{value:.3g}".replace("-", "−") for value in span)
    return f"{domain.channels[0]} {low}", high if unit == "1" else f"{high} {unit}"


def _colour_bar(truth: Trajectories, scale: tuple[float, float]) -> Pixels:
    """The colour bar of fields between its ends, uint8[line height, width]; nothing, uint8[0, 0], for other states."""
    if not isinstance(truth, FieldTrajectories):
        return np.empty((0, 0), np.uint8)
    low, high = span_ends(truth.domain, scale)
    bar = np.full((_line(), _BAR + 2 * _GAP), _BACKGROUND, np.uint8)
    bar[3:-3, _GAP:-_GAP] = _SITES + np.arange(_BAR) * LEVELS // _BAR
    return np.concatenate([_text(low), bar, _text(high)], axis=1)


def case_title(domain: Domain, params: NDArray[np.float64]) -> str:
    """The title of a case: the value of its condition, e.g. "ρ = 0.41"."""
    return f"{symbol(domain.condition)} = {params[domain.column(domain.condition)]:.4g}"


def symbol(parameter: str) -> str:
    """The symbol of a parameter in formulas, e.g. θ for theta."""
    try:
        return unicodedata.lookup(f"GREEK SMALL LETTER {parameter}")
    except KeyError:
        return parameter


def _write(canvas: Pixels, text: str, left: int, top: int) -> None:
    """Write text onto a canvas, cut at the canvas's edge."""
    _put(canvas, _text(text), left, top)


def _put(canvas: Pixels, ink: Pixels, left: int, top: int) -> None:
    """Put an image onto a canvas, cut at the canvas's edge."""
    ink = ink[: canvas.shape[0] - top, : canvas.shape[1] - left]
    canvas[top : top + ink.shape[0], left : left + ink.shape[1]] = ink


@lru_cache(maxsize=256)
def _text(text: str) -> Pixels:
    """A line of text as palette indices, uint8[line height, width]."""
    from PIL import Image, ImageDraw

    font = _font()
    image = Image.new("L", (int(font.getlength(text)) + 1, _line()))
    ImageDraw.Draw(image).text((0, 0), text, fill=255, font=font)
    grey = np.asarray(image, dtype=np.int64) * _GREYS // 256
    return np.where(grey > 0, _TEXT + grey, _BACKGROUND).astype(np.uint8)


@lru_cache(maxsize=1)
def _font() -> Any:
    """DejaVu Sans, which matplotlib brings along and which has the Greek letters."""
    from importlib.util import find_spec
    from pathlib import Path

    from PIL import ImageFont

    spec = find_spec("matplotlib")
    assert spec is not None
    place = Path(str(spec.origin)).parent  # imported, it would look for settings in a home folder, and make some
    return ImageFont.truetype(place / "mpl-data" / "fonts" / "ttf" / "DejaVuSans.ttf", _FONT_SIZE)


def _line() -> int:
    return _FONT_SIZE + 4


def _image(indices: Pixels, library: Any) -> Any:
    image = library.fromarray(indices)
    image.putpalette(_palette().tobytes())
    return image


@lru_cache(maxsize=1)
def _palette() -> Pixels:
    """The palette, uint8[n, 3]: background, empty sites, greys of text, sites from old to new, labels."""
    grey = np.linspace(0, 1, _GREYS)[:, None]
    background = np.array(BACKGROUND)
    greys = background + grey * (np.array(INK) - background)
    palette: Pixels = np.concatenate([[BACKGROUND, EMPTY], greys, site_colours(), label_colours()]).astype(np.uint8)
    return palette
