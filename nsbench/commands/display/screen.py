"""The output of commands to a terminal, a pipe or a file: lines, lists, tables of results.

All text reaches a console through ``shown``: as it is, with hidden characters made visible. Nothing in it is taken
for markup, so that a bracket in an error is a bracket.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich import box
from rich.console import Console
from rich.table import Table as Grid
from rich.text import Text

from nsbench.components.rows import TrialResult
from nsbench.names import visible
from nsbench.report.tables import Table, notes, plain, results_tables


def shown(text: str, style: str = "") -> Text:
    """Text for a console: no markup, no emoji codes, hidden characters visible."""
    return Text(visible(text), style=style)


def say(console: Console, *lines: str | Text, wrap: bool = False, style: str = "") -> None:
    """Print lines as they are, with hidden characters made visible. wrap: break those that are too long."""
    for line in lines:
        text = shown(line, style) if isinstance(line, str) else line
        console.print(text, soft_wrap=not (wrap and console.is_terminal))


def show_list(console: Console, headings: Sequence[str], rows: Iterable[Sequence[str]], right: str = "") -> None:
    """Print a table of text. right: the heading of a column of numbers. A pipe gets it at full width."""
    table = Grid(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in headings:
        table.add_column(shown(heading), justify="right" if heading == right else "left")
    for row in rows:
        table.add_row(*map(shown, row))
    if right and not console.is_terminal:
        console.width = _natural_width(console, table)
    console.print(table)


def show_rows(console: Console, rows: Sequence[TrialResult], primary: str = "") -> None:
    """Print the long tables of results: on a terminal as grids that fit its width, as Markdown elsewhere.

    primary: the name of the metric that comes first.
    """
    if not rows:
        return
    for table in results_tables(rows, primary):
        show_table(console, table)
    say(console, *notes(rows), wrap=True, style="dim")


def show_table(console: Console, table: Table) -> None:
    """Print a table as a grid where the terminal has room, in parts where it has not; elsewhere as Markdown."""
    if not console.is_terminal:
        say(console, plain(table) + "\n")
        return
    whole = _grid(table)
    fits = _natural_width(console, whole) <= console.width
    for grid in [whole] if fits else [_grid(table.part(group)) for group in table.groups[1:]]:
        console.print(grid)


def _grid(table: Table) -> Grid:
    grid = Grid(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1))
    for i, heading in enumerate(table.headings):
        grid.add_column(shown(heading), justify="left" if i == 0 else "right", no_wrap=True)
    for row in table.rows:
        grid.add_row(*map(shown, row))
    return grid


def _natural_width(console: Console, grid: Grid) -> int:
    return console.measure(grid, options=console.options.update(width=10_000)).maximum
