"""What `nsbench compare` prints: a table and a sentence for each metric, or the same for programs."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from rich.console import Console

from nsbench.commands.run import show_table
from nsbench.registry.registry import Registry
from nsbench.report.comparison import comparison_table, sentences, to_csv, to_json
from nsbench.results.comparison import compare
from nsbench.results.stored import Reader, finished
from nsbench.running.run import make_bench
from nsbench.store.workspace import Workspace
from nsbench.suite.planner import Plan

Format = Literal["text", "csv", "json"]


def compare_suite(
    plan: Plan, registry: Registry, root: Path, a: str, b: str, format_name: Format, console: Console
) -> None:
    """Compare two simulators of the plan. Raises CannotCompare or UnreadableResults."""
    workspace = Workspace(root)
    reader = Reader(make_bench(plan, registry, workspace, emit=lambda event: None))
    found = compare(plan, finished(plan, workspace), reader, a, b)
    if format_name != "text":
        text = to_csv(found) if format_name == "csv" else to_json(found)
        console.file.write(text)
        return
    show_table(comparison_table(found), console)
    for line in sentences(found):
        console.print(line, highlight=False, markup=False, soft_wrap=not console.is_terminal)
