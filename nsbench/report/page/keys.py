"""The legend of a section's charts: buttons that hide lines and points, and show them again."""

from __future__ import annotations

from collections.abc import Iterable

from nsbench.report.page.escaping import escape


def keys(styles: Iterable[tuple[str, str]]) -> str:
    """A button for each (name, class of what is drawn)."""
    buttons = [
        f'<button type="button" aria-pressed="true" data-series="{style}">'
        f'<i class="{style}"></i>{escape(name)}</button>'
        for name, style in styles
    ]
    return f'<div class="keys">{"".join(buttons)}</div>'
