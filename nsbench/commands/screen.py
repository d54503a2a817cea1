"""The output of commands to a terminal, a pipe or a file: lines, lists, tables of results."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table as Grid

from nsbench.components.rows import TrialResult
from nsbench.report.tables import Table, notes, plain, results_tables


def say(console: Console, *lines: str) -> None:
    """Print lines as they are: without markup, and without breaks in long ones."""
    for line in lines:
        console.print(line, highlight=False, markup=False, soft_wrap=True)


def show_list(console: Console, headings: Sequence[str], rows: Iterable[Sequence[str]], right: str = "") -> None:
    """Print a table of text. right: the heading of a column of numbers. A pipe gets it at full width."""
    table = Grid(*headings, box=box.SIMPLE_HEAD, pad_edge=False)
    if right:
        table.columns[list(headings).index(right)].justify = "right"
    for row in rows:
        table.add_row(*map(escape, row))
    if right and not console.is_terminal:
        console.width = _natural_width(console, table)
    console.print(table)


def show_rows(console: Console, rows: Sequence[TrialResult]) -> None:
    """Print the tables of results: on a terminal as grids that fit its width, as Markdown elsewhere."""
    if not rows:
        return
    for table in results_tables(rows):
        show_table(console, table)
    for note in notes(rows):
        console.print(note, highlight=False, markup=False, soft_wrap=not console.is_terminal, style="dim")


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
        grid.add_column(heading, justify="left" if i == 0 else "right", no_wrap=True)
    for row in table.rows:
        grid.add_row(*row)
    return grid


def _natural_width(console: Console, grid: Grid) -> int:
    return console.measure(grid, options=console.options.update(width=10_000)).maximum
