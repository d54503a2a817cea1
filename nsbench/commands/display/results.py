"""The results of a suite on a terminal or in a pipe: the compact matrix of each dataset, or the long tables."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence

from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from nsbench.commands.display.screen import say, show_rows
from nsbench.components.rows import TrialResult
from nsbench.names import printable
from nsbench.outcomes.stored import StoredResults
from nsbench.outcomes.summary import Line, Summary, summarise
from nsbench.report.footnotes import failures, footnotes
from nsbench.report.grid import Entry, Grid, Quantity, heading
from nsbench.report.matrix import matrix
from nsbench.report.series import RULE, curve_sentences, series_sentences
from nsbench.report.verdict import verdict
from nsbench.suite.session import Session

PIPE = 100
"""The width of a matrix that is not printed on a terminal."""

_LABELS = (28, 24, 20, 16)
"""The widths of the rows' names that are tried, one after the other, until all columns fit."""

_NAME = 10
"""The least width at which the heading of a column is broken."""


def show_session(console: Console, session: Session, results: Sequence[TrialResult], *, long: bool) -> None:
    """Print the stored results of a session. results: the rows that were begun or found; nothing is said of none."""
    if results and long:
        show_rows(console, results, session.suite.primary_metric)
    elif results:
        show_results(console, summarise(StoredResults(session)), results)


def show_results(console: Console, summary: Summary, results: Sequence[TrialResult]) -> None:
    """Print a matrix for each dataset, who leads, a line a series, what failed, and footnotes."""
    if not console.is_terminal:
        console.width = PIPE
    for dataset in summary.datasets:
        for block in matrix_blocks(matrix(summary, dataset), console.width):
            console.print(block)
            console.print()
        if sentences := verdict(summary, dataset):
            say(console, *sentences, wrap=True, style="bold")
            console.print()
        if sentences := series_sentences(summary, dataset):
            say(console, *sentences, wrap=True)
            say(console, RULE, wrap=True, style="dim")
            console.print()
        if sentences := curve_sentences(summary, dataset):
            say(console, *sentences, wrap=True)
            console.print()
    say(console, *failures(summary), wrap=True)
    say(console, *footnotes(summary, results, mark="*"), wrap=True, style="dim")


def matrix_blocks(layout: Grid, width: int) -> Iterator[Table]:
    """The matrix as tables no wider than `width`, each with some of its columns; each has at least one column."""
    columns = [_column(line, row) for line, row in zip(layout.lines, layout.cells, strict=True)]
    widths = [1 + max(map(_width, column)) for column in columns]
    for room in _LABELS:
        labels = [_corner(layout, room), *(_label(quantity, room) for quantity in layout.quantities)]
        left = width - max(map(_width, labels))
        if sum(widths) <= left:
            break
    block: list[int] = []
    for k, wide in enumerate(widths):
        if block and sum(widths[i] for i in block) + wide > left:
            yield _table(labels, layout, columns, block)
            block = []
        block.append(k)
    yield _table(labels, layout, columns, block)


def _table(labels: Sequence[Text], layout: Grid, columns: Sequence[Sequence[Text]], block: Sequence[int]) -> Table:
    """The table of some of the matrix's columns, a space apart."""
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=0)
    table.add_column(labels[0], no_wrap=True)
    for k in block:
        apart = layout.lines[k].kind != "simulator"
        table.add_column(columns[k][0], justify="right", no_wrap=True, style="italic" if apart else "")
    for row, label in enumerate(labels[1:], start=1):
        table.add_row(label, *(columns[k][row] for k in block))
    return table


def _corner(layout: Grid, room: int) -> Text:
    return Text("\n".join(_broken(printable(layout.dataset), room)), style="bold")


def _label(quantity: Quantity, room: int) -> Text:
    """The name of a row, with arrow and unit, in lines no longer than `room`."""
    text = printable(" ".join(filter(None, (quantity.heading, quantity.unit))))
    label = Text("\n  ".join(_broken(text, room - 2)), style="bold" if quantity.primary else "")
    if quantity.primary:
        label.append("\n  primary metric", style="not bold dim")
    return label if quantity.main else Text.assemble("  ", label)


def _column(line: Line, entries: Sequence[Entry]) -> list[Text]:
    """The heading of a column, and its entries. A name may be as wide as what stands below it."""
    texts = [_text(entry) for entry in entries]
    parts = _broken(printable(heading(line)), max(_NAME, *(_width(text) - 1 for text in texts)))
    return [Text("\n".join(f"{part} " for part in parts), style="bold"), *texts]


def _text(entry: Entry) -> Text:
    """A value, with a star if it is the best, and its interval below: digits stand below digits."""
    value = Text.assemble((printable(entry.text), "bold" if entry.best else ""), "*" if entry.best else " ")
    around = printable(entry.around.replace(" … ", "…").replace("± ", "±"))
    return value.append(f"\n{around} ", style="dim") if around else value


def _width(text: Text) -> int:
    return max(cell_len(line) for line in text.plain.split("\n"))


def _broken(text: str, room: int) -> list[str]:
    """The text in lines of at most `room` columns, broken at spaces.

    A word that is too long for a line is broken behind hyphens, underscores and slashes, and a part of it that is too
    long is cut into some of about one length, with hyphens.
    """
    lines = [""]
    words = re.findall(r"\s+|\S+", text)
    parts = [[word] if cell_len(word) <= room else re.findall(r"[^_/-]*[_/-]+|[^_/-]+", word) for word in words]
    for word in itertools.chain(*parts):
        for part in _cut(word, room):
            if cell_len(lines[-1] + part.rstrip()) > room and lines[-1].strip():
                lines.append("")
            lines[-1] += part if lines[-1] else part.lstrip()
    return [line.rstrip() for line in lines]


def _cut(word: str, room: int) -> list[str]:
    """The parts of a word that is wider than `room`, all but the last with a hyphen."""
    count = max(1, -(-cell_len(word.rstrip()) // (room - 1))) if cell_len(word.rstrip()) > room else 1
    size = -(-len(word) // count)
    parts = [word[start : start + size] for start in range(0, len(word), size)]
    return [*(f"{part}-" for part in parts[:-1]), parts[-1]]
