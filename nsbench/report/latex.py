"""The report as LaTeX: a table for each dataset, for \\usepackage{booktabs}."""

from __future__ import annotations

from collections.abc import Sequence

from nsbench.names import printable
from nsbench.outcomes.summary import Summary
from nsbench.report.grid import Entry, Grid, grid, heading, legend

_ESCAPES = {
    "\\": r"\textbackslash{}",
    **{c: f"\\{c}" for c in "&%$#_{}"},
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "…": r"\dots{}",
    "±": r"$\pm$",
    "†": r"\textdagger{}",
    "‡": r"\textdaggerdbl{}",
    "×": r"$\times$",
    "↓": r"$\downarrow$",
    "↑": r"$\uparrow$",
    "²": r"$^2$",
    "–": "--",
    "<": r"$<$",
    ">": r"$>$",
}


def to_latex(summary: Summary, notes: Sequence[str]) -> str:
    """The LaTeX text: comments with notes and failed trials, then a table and its caption for each dataset."""
    lines = ["needs \\usepackage{booktabs}", *notes]
    lines += [f"{trial}: {status}: {' '.join(error.split())}" for trial, status, error in summary.failed]
    head = [f"% {printable(line)}" for line in lines]  # a line break would end the comment
    return "\n".join([*head, *(_environment(summary, dataset) for dataset in summary.datasets)]) + "\n"


def _environment(summary: Summary, dataset: str) -> str:
    layout = grid(summary, dataset)
    caption = escape(f"{summary.suite}, {dataset}. {' '.join(legend(summary))}")
    body = _across(layout) if layout.across else _down(layout)
    return "\n".join([r"\begin{table}", r"\centering", *body, rf"\caption{{{caption}}}", r"\end{table}"])


def _down(layout: Grid) -> list[str]:
    """The lines of a table with a row for each simulator; anchors and null models are below a rule."""
    lines = [r"\begin{tabular}{l" + "r" * len(layout.quantities) + "}", r"\toprule"]
    lines += [_row(["simulator", *(_heading(layout, k) for k in range(len(layout.quantities)))]), r"\midrule"]
    for k, line in enumerate(layout.lines):
        if k and line.kind != "simulator" and layout.lines[k - 1].kind == "simulator":
            lines.append(r"\midrule")
        lines.append(_row([escape(heading(line)), *(_entry(entry) for entry in layout.cells[k])]))
    return [*lines, r"\bottomrule", r"\end{tabular}"]


def _across(layout: Grid) -> list[str]:
    """The lines of a table with a column for each simulator; anchors and null models follow a gap."""
    first = next((k for k, line in enumerate(layout.lines) if line.kind != "simulator"), len(layout.lines))
    gap = r"@{\hskip 2em}" if 0 < first < len(layout.lines) else ""
    lines = [r"\begin{tabular}{l" + "r" * first + gap + "r" * (len(layout.lines) - first) + "}", r"\toprule"]
    lines += [_row(["", *(escape(heading(line)) for line in layout.lines)]), r"\midrule"]
    for k in range(len(layout.quantities)):
        lines.append(_row([_heading(layout, k), *(_entry(row[k]) for row in layout.cells)]))
    return [*lines, r"\bottomrule", r"\end{tabular}"]


def _heading(layout: Grid, k: int) -> str:
    quantity = layout.quantities[k]
    text = escape(" ".join(filter(None, (quantity.heading, quantity.unit))))
    return text if quantity.main else rf"\quad {text}"


def _entry(entry: Entry) -> str:
    value = rf"\textbf{{{escape(entry.text)}}}" if entry.best else escape(entry.text)
    return rf"{value} {{\scriptsize {escape(entry.around)}}}" if entry.around else value


def _row(cells: Sequence[str]) -> str:
    return " & ".join(cells) + r" \\"


def escape(text: str) -> str:
    """The text in one line, with LaTeX's special characters escaped and hidden ones visible."""
    return "".join(_ESCAPES.get(c, c) for c in printable(text))
