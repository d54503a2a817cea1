"""Figures beside scores. matplotlib is imported when there is something to draw."""

from __future__ import annotations

from io import BytesIO
from typing import Any

TRUTH, SIMULATOR = "#888888", "#1f6fb4"
"""The colours of the two sides in every figure."""


def figure(panels: int) -> tuple[Any, Any]:
    """A figure and its axes, so many panels side by side."""
    from matplotlib.figure import Figure

    drawing = Figure(figsize=(4 * panels, 3.4), layout="tight")
    return drawing, drawing.subplots(1, panels, squeeze=False)[0]


def png(drawing: Any) -> bytes:
    """The figure as PNG, the same bytes for the same figure."""
    image = BytesIO()
    drawing.savefig(image, format="png", dpi=110, metadata={"Software": None})
    return image.getvalue()
