"""The progress of a run and the time left: a live display on a terminal, plain lines elsewhere."""

from __future__ import annotations

from rich.console import Console

from nsbench.commands.display.lines import PlainProgress
from nsbench.commands.display.live import LiveProgress


def progress_display(console: Console) -> LiveProgress | PlainProgress:
    """A live display for a terminal, plain lines for any other console."""
    return LiveProgress(console) if console.is_terminal else PlainProgress(console)
