"""What `nsbench report` writes: a suite's results as a page, or as a table for papers and programs."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import click

from nsbench.registry.registry import Registry
from nsbench.report.comma_separated import to_csv
from nsbench.report.latex import to_latex
from nsbench.report.markdown import to_markdown
from nsbench.report.tables import notes
from nsbench.results.stored import Finished, Reader, finished
from nsbench.results.summary import Summary, summarise
from nsbench.running.run import make_bench
from nsbench.store.files import write_whole
from nsbench.store.workspace import Workspace
from nsbench.suite.planner import Plan

Format = Literal["html", "md", "latex", "csv"]


class NothingToReport(Exception):
    """A suite of which no trial has a result."""


def report_suite(plan: Plan, registry: Registry, root: Path, format_name: Format, to: Path | None) -> None:
    """Write the report to a file, or text to the terminal. Raises NothingToReport or UnreadableResults."""
    workspace = Workspace(root)
    done = finished(plan, workspace)
    if not done.rows:
        raise NothingToReport(next(f"{trial} {why}" for trial, why in done.open.items()))
    reader = Reader(make_bench(plan, registry, workspace, emit=lambda event: None))
    summary = summarise(plan, done, reader)
    text = _text(plan, done, reader, summary, format_name)
    if to is None and format_name == "html":
        to = workspace.run(plan.suite.name) / "report.html"
    if to is None:
        click.echo(text, nl=False)
        return
    write_whole(to, text)
    click.echo(f"{to}: {len(done.rows):,} trials, {len(text.encode()):,} bytes")


def _text(plan: Plan, done: Finished, reader: Reader, summary: Summary, format_name: Format) -> str:
    if format_name == "csv":
        return to_csv(summary)
    said = notes([row for row in done.rows.values() if row.status == "ok"])
    if format_name == "latex":
        return to_latex(summary, said)
    if format_name == "md":
        return to_markdown(summary, said)
    from nsbench.report.page.page import to_html

    return to_html(plan, done, reader, summary, said)
