"""The report as LaTeX: a table for each dataset, for \\usepackage{booktabs}."""

from __future__ import annotations

from collections.abc import Sequence

from nsbench.report.grid import Entry, Grid, grid, legend
from nsbench.results.summary import Summary

_ESCAPES = {
    "\\": r"\textbackslash{}",
    **{c: f"\\{c}" for c in "&%$#_{}"},
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "…": r"\dots{}",
    "±": r"$\pm$",
    "×": r"$\times$",
    "↓": r"$\downarrow$",
    "↑": r"$\uparrow$",
    "²": r"$^2$",
    "–": "--",
    "<": r"$<$",
    ">": r"$>$",
}


def to_latex(summary: Summary, notes: Sequence[str]) -> str:
    """Tables with captions; what must be said stands in comments above and captions below."""
    head = [f"% {line}" for line in ("needs \\usepackage{booktabs}", *notes)]
    head += [f"% {trial}: {status}: {' '.join(error.split())}" for trial, status, error in summary.failed]
    return "\n".join([*head, *(_environment(summary, dataset) for dataset in summary.datasets)]) + "\n"


def _environment(summary: Summary, dataset: str) -> str:
    found = grid(summary, dataset)
    caption = escape(f"{summary.suite}, {dataset}. {' '.join(legend(summary))}")
    body = _across(found) if found.across else _down(found)
    return "\n".join([r"\begin{table}", r"\centering", *body, rf"\caption{{{caption}}}", r"\end{table}"])


def _down(found: Grid) -> list[str]:
    """Simulators below each other; anchors and null models below a rule."""
    lines = [r"\begin{tabular}{l" + "r" * len(found.quantities) + "}", r"\toprule"]
    lines += [_row(["simulator", *(_heading(found, k) for k in range(len(found.quantities)))]), r"\midrule"]
    for k, line in enumerate(found.lines):
        if k and line.kind != "simulator" and found.lines[k - 1].kind == "simulator":
            lines.append(r"\midrule")
        lines.append(_row([escape(line.name), *(_entry(entry) for entry in found.cells[k])]))
    return [*lines, r"\bottomrule", r"\end{tabular}"]


def _across(found: Grid) -> list[str]:
    """Simulators beside each other; anchors and null models with a gap before them."""
    first = next((k for k, line in enumerate(found.lines) if line.kind != "simulator"), len(found.lines))
    gap = r"@{\hskip 2em}" if 0 < first < len(found.lines) else ""
    lines = [r"\begin{tabular}{l" + "r" * first + gap + "r" * (len(found.lines) - first) + "}", r"\toprule"]
    lines += [_row(["", *(escape(line.name) for line in found.lines)]), r"\midrule"]
    for k in range(len(found.quantities)):
        lines.append(_row([_heading(found, k), *(_entry(row[k]) for row in found.cells)]))
    return [*lines, r"\bottomrule", r"\end{tabular}"]


def _heading(found: Grid, k: int) -> str:
    quantity = found.quantities[k]
    text = escape(" ".join(filter(None, (quantity.heading, quantity.unit))))
    return text if quantity.main else rf"\quad {text}"


def _entry(entry: Entry) -> str:
    value = rf"\textbf{{{escape(entry.text)}}}" if entry.best else escape(entry.text)
    return rf"{value} {{\scriptsize {escape(entry.around)}}}" if entry.around else value


def _row(cells: Sequence[str]) -> str:
    return " & ".join(cells) + r" \\"


def escape(text: str) -> str:
    """Text that LaTeX sets as it stands."""
    return "".join(_ESCAPES.get(c, c) for c in text)
