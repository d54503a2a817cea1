"""`nsbench compare`: simulators held against a baseline, as text, CSV or JSON."""

from __future__ import annotations

from typing import Literal

import click
from rich.console import Console

from nsbench.commands.display.screen import say, show_table
from nsbench.commands.options import echo, takes_session
from nsbench.outcomes.comparison import compare
from nsbench.outcomes.stored import StoredResults
from nsbench.report.comparison import comparison_table, sentences, to_csv, to_json
from nsbench.suite.session import Session

Format = Literal["text", "csv", "json"]


@click.command()
@takes_session
@click.argument("a")
@click.argument("b", required=False)
@click.option(
    "--margin",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    metavar="SHARE",
    help="Share of the baseline's score within which simulators count as equivalent, e.g. 0.1.",
)
@click.option("--format", "format_name", type=click.Choice(["text", "csv", "json"]), default="text", show_default=True)
def command(session: Session, a: str, b: str | None, margin: float | None, format_name: Format) -> None:
    """Hold a simulator A of a suite against a baseline B, metric by metric, paired over test cases and replicates.

    With one name, that of the baseline: all simulators against it, by the suite's primary metric.
    """
    pair = (a, b) if b else ("", a)
    compare_suite(session, *pair, margin, format_name, Console())


def compare_suite(
    session: Session, a: str, b: str, margin: float | None, format_name: Format, console: Console
) -> None:
    """Print the comparison. Raises CannotCompare or UnreadableResults."""
    stored = StoredResults(session)
    if stored.note:
        echo(stored.note, err=True)
    comparisons = compare(stored, a, b, margin)
    if format_name != "text":
        console.file.write(to_csv(comparisons) if format_name == "csv" else to_json(comparisons))
        return
    show_table(console, comparison_table(comparisons))
    say(console, *sentences(comparisons), wrap=True)
