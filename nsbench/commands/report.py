"""`nsbench report`: a suite's results as a page, or as a table for papers and programs."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import click

from nsbench.commands.options import echo, takes_session
from nsbench.errors import Refusal
from nsbench.outcomes.stored import StoredResults
from nsbench.outcomes.summary import Summary, summarise
from nsbench.report.comma_separated import to_csv
from nsbench.report.latex import to_latex
from nsbench.report.markdown import to_markdown
from nsbench.report.tables import notes
from nsbench.store.files import write_whole
from nsbench.suite.session import Session

Format = Literal["html", "md", "latex", "csv"]


@click.command()
@takes_session
@click.option(
    "--format", "format_name", type=click.Choice(["html", "md", "latex", "csv"]), default="html", show_default=True
)
@click.option(
    "--to", type=click.Path(path_type=Path, dir_okay=False), help="File; the run's folder (html) or here if not given."
)
def command(session: Session, format_name: Format, to: Path | None) -> None:
    """Report on finished trials: a page with pictures, or a table for papers and programs."""
    report_suite(session, format_name, to)


def report_suite(session: Session, format_name: Format, to: Path | None) -> None:
    """Write the report to a file, or text to the terminal. Raises Refusal if no trial has a result."""
    stored = StoredResults(session)
    if stored.note:
        echo(stored.note, err=True)
    if not stored.rows:
        trial, reason = next(iter(stored.open.items()))
        file = session.file or session.suite.name
        raise Refusal(f"{file}: nothing to report: {trial} {reason}; `nsbench run {file}` first")
    text = _text(stored, summarise(stored), format_name)
    if to is None and format_name == "html":
        to = session.workspace.run(session.suite.name) / "report.html"
    if to is None:
        echo(text, nl=False)
        return
    write_whole(to, text)
    echo(f"{to}: {len(stored.rows):,} trials, {len(text.encode()):,} bytes")


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
