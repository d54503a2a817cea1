"""`nsbench compare`: a comparison of two simulators, metric by metric, as text, CSV or JSON."""

from __future__ import annotations

from typing import Literal

import click
from rich.console import Console

from nsbench.commands.options import echo, takes_session
from nsbench.commands.screen import say, show_table
from nsbench.outcomes.comparison import compare
from nsbench.outcomes.stored import StoredResults
from nsbench.report.comparison import comparison_table, sentences, to_csv, to_json
from nsbench.suite.session import Session

Format = Literal["text", "csv", "json"]


@click.command()
@takes_session
@click.argument("a")
@click.argument("b")
@click.option("--format", "format_name", type=click.Choice(["text", "csv", "json"]), default="text", show_default=True)
def command(session: Session, a: str, b: str, format_name: Format) -> None:
    """Hold two simulators of a suite against each other, paired over test cases and replicates."""
    compare_suite(session, a, b, format_name, Console())


def compare_suite(session: Session, a: str, b: str, format_name: Format, console: Console) -> None:
    """Print the comparison. Raises CannotCompare or UnreadableResults."""
    stored = StoredResults(session)
    if stored.note:
        echo(stored.note, err=True)
    comparisons = compare(stored, a, b)
    if format_name != "text":
        console.file.write(to_csv(comparisons) if format_name == "csv" else to_json(comparisons))
        return
    show_table(console, comparison_table(comparisons))
    say(console, *sentences(comparisons), wrap=True)
