"""`nsbench report`: a suite's results as a page, as a table for papers and programs, or on the terminal."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Literal

import click
from rich.console import Console

from nsbench.commands.display.results import show_results
from nsbench.commands.display.screen import show_rows
from nsbench.commands.options import echo, long, takes_session
from nsbench.errors import Refusal
from nsbench.outcomes.stored import StoredResults
from nsbench.outcomes.summary import Summary, summarise
from nsbench.report.comma_separated import to_csv
from nsbench.report.latex import to_latex
from nsbench.report.markdown import to_markdown
from nsbench.report.tables import notes
from nsbench.store.files import write_whole
from nsbench.suite.session import Session

Format = Literal["html", "md", "latex", "csv", "text"]


@click.command()
@takes_session
@click.option(
    "--format",
    "format_name",
    type=click.Choice(["html", "md", "latex", "csv", "text"]),
    help="html (the default), md, latex and csv hold all numbers; text is what a run prints.",
)
@click.option(
    "--to", type=click.Path(path_type=Path, dir_okay=False), help="File; the run's folder (html) or here if not given."
)
@long
def command(session: Session, format_name: Format | None, to: Path | None, long: bool) -> None:
    """Report on finished trials: a page with pictures, or a table for papers, programs and the terminal."""
    if long and format_name not in (None, "text"):
        raise click.UsageError(f"--long is text on the terminal; {format_name} holds all numbers as it is")
    report_suite(session, format_name or ("text" if long else "html"), to, long=long)


def report_suite(session: Session, format_name: Format, to: Path | None, *, long: bool = False) -> None:
    """Write the report to a file, or text to the terminal. Raises Refusal if no trial has a result.

    long: the text is all numbers, not the compact matrix.
    """
    stored = StoredResults(session)
    if stored.note:
        echo(stored.note, err=True)
    if not stored.rows:
        trial, reason = next(iter(stored.open.items()))
        file = session.file or session.suite.name
        raise Refusal(f"{file}: nothing to report: {trial} {reason}; `nsbench run {file}` first")
    if format_name == "text" and to is None:
        _show(stored, Console(), long=long)
        return
    text = _on_paper(stored, long=long) if format_name == "text" else _text(stored, summarise(stored), format_name)
    if to is None and format_name == "html":
        to = session.workspace.run(session.suite.name) / "report.html"
    if to is None:
        echo(text, nl=False)
        return
    write_whole(to, text)
    echo(f"{to}: {len(stored.rows):,} trials, {len(text.encode()):,} bytes")


def _show(stored: StoredResults, console: Console, *, long: bool) -> None:
    results = [*stored.rows.values(), *stored.submitted]
    if long:
        show_rows(console, results, stored.plan.suite.primary_metric)
    else:
        show_results(console, summarise(stored), results)


def _on_paper(stored: StoredResults, *, long: bool) -> str:
    """The text that a pipe would get."""
    console = Console(file=io.StringIO())
    with console.capture() as captured:
        _show(stored, console, long=long)
    return captured.get()


def _text(stored: StoredResults, summary: Summary, format_name: Format) -> str:
    if format_name == "csv":
        return to_csv(summary)
    lines = notes([row for row in stored.rows.values() if row.status == "ok"])
    if format_name == "latex":
        return to_latex(summary, lines)
    if format_name == "md":
        return to_markdown(summary, lines)
    from nsbench.report.page.page import to_html

    return to_html(stored, summary, lines)
