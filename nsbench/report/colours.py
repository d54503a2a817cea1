"""Colours of sites in pictures, on a dark background."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Colours = NDArray[np.uint8]

BACKGROUND, EMPTY, INK = (11, 17, 30), (22, 31, 50), (226, 232, 240)
"""What lies around the panels, a site of growth that has not attached, and text."""

LEVELS = 32
"""The number of colours from low to high."""

_ICE = np.array([(24, 58, 122), (38, 120, 190), (102, 200, 232), (255, 255, 255)])

_LABELS = (
    "3c96f0 fff02d e14b3c 008700 ffd2ff 872d96 00fff0 b4a569 695a4b d278f0 004bb4 4bd269 "
    "00a596 961e3c b47896 e1f0c3 96c3e1 ff9687 ffb400 6969a5 a56900 c33c87 006978 a5ff87"
)
"""Each the farthest, in OKLab (Ottosson 2020), from the background and from all before it, among muted ones."""


def site_colours() -> Colours:
    """The colours of sites, uint8[levels, 3], from old (or low) to new (or high)."""
    at = np.linspace(0, len(_ICE) - 1, LEVELS)
    return np.stack([np.interp(at, range(len(_ICE)), _ICE[:, c]) for c in range(3)], axis=1).astype(np.uint8)


def label_colours() -> Colours:
    """The colours of labels, uint8[24, 3]. Label k has colour k mod 24 in every picture and frame."""
    return np.array([list(bytes.fromhex(colour)) for colour in _LABELS.split()], np.uint8)
