"""Text in HTML and SVG: the one way by which words of results, data files and plugins get into a page."""

from __future__ import annotations

import html
from collections.abc import Sequence

from nsbench.names import visible


def escape(text: str) -> str:
    """The text for an element or a quoted attribute: nothing in it is a tag, and no hidden character stays hidden."""
    return html.escape(visible(text), quote=True)


def listed(lines: Sequence[str]) -> str:
    """The lines as a list of sentences; nothing without any."""
    return f'<ul class="said">{"".join(f"<li>{escape(line)}</li>" for line in lines)}</ul>' if lines else ""
