"""The report as one HTML file that needs nothing else: matrices, tables, charts, rollouts.

It asks no network for anything.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from importlib.resources import files

from nsbench.outcomes.stored import StoredResults
from nsbench.outcomes.summary import Line, Summary
from nsbench.report.footnotes import footnotes
from nsbench.report.grid import Entry, Grid, Quantity, grid, heading, legend
from nsbench.report.matrix import matrix
from nsbench.report.page.charts import charts
from nsbench.report.page.cost_quality import cost_quality_section
from nsbench.report.page.escaping import escape, listed
from nsbench.report.page.gallery import gallery, of_all_kinds, of_the_worst
from nsbench.report.page.gather import DatasetPictures, gather
from nsbench.report.page.keys import keys
from nsbench.report.page.tries import series_section
from nsbench.report.verdict import verdict
from nsbench.suite.trials import DataPlan

_POLICY = (
    "default-src 'none'; style-src '{style}'; script-src '{script}'; img-src data:; base-uri 'none'; form-action 'none'"
)
"""What the page may do. Only its own script and style count, by their digests: another would do nothing."""


def to_html(stored: StoredResults, summary: Summary, notes: Sequence[str]) -> str:
    """The page, as HTML text. A sentence takes the place of pictures that the store has no rollouts for."""
    title = escape(f"{summary.suite}: nsbench report")
    here = files("nsbench.report.page")
    style, script = ("\n" + here.joinpath(name).read_text(encoding="utf-8") for name in ("page.css", "page.js"))
    policy = _POLICY.format(style=_digest(style), script=_digest(script))
    body = "\n".join(_body(stored, summary, notes))
    return (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>{title}</title>\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        f"<style>{style}</style>\n</head>\n<body>\n{body}\n<script>{script}</script>\n</body>\n</html>\n"
    )


def _digest(content: str) -> str:
    """The digest of an inline element's content by which a policy names it."""
    return f"sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}"


def _body(stored: StoredResults, summary: Summary, notes: Sequence[str]) -> Iterator[str]:
    yield f"<header><h1>{escape(summary.suite)}</h1><p>{escape(_facts(stored))}</p></header>\n<main>"
    yield from _summary(stored, summary)
    for dataset in summary.datasets:
        yield from series_section(stored, summary, dataset)
        yield from cost_quality_section(stored, summary, dataset)
    for dataset in summary.datasets:
        yield f'<section class="data"><h2>{escape(dataset)}</h2>'
        yield _table(grid(summary, dataset))
        yield listed(legend(summary))
        pictures = gather(stored, summary, dataset)
        yield from _pictures(pictures, summary) if pictures else ["<p>The store holds no rollouts to draw.</p>"]
        yield "</section>"
    if summary.failed:
        yield _failed(summary)
    yield f"<section><h2>Notes</h2>{listed(notes)}"
    suite = escape(stored.plan.suite.to_yaml())
    yield f"<details><summary>The suite</summary><pre>{suite}</pre></details></section></main>"


def _summary(stored: StoredResults, summary: Summary) -> Iterator[str]:
    """The top of the page: what a run prints, a matrix for each dataset, who leads, and footnotes."""
    yield '<section class="summary"><h2>Summary</h2>'
    for dataset in summary.datasets:
        yield f"<h3>{escape(dataset)}</h3>" if len(summary.datasets) > 1 else ""
        yield _table(matrix(summary, dataset))
        yield "".join(f'<p class="verdict">{escape(sentence)}</p>' for sentence in verdict(summary, dataset))
    yield listed(footnotes(summary, [*stored.rows.values(), *stored.submitted], mark="bold"))
    yield "</section>"


def _facts(stored: StoredResults) -> str:
    plan, suite = stored.plan, stored.plan.suite
    ok = sum(row.status == "ok" for row in stored.rows.values())
    parts = [
        f"{ok:,} of {len(plan.trials):,} trials",
        f"{suite.replicates} replicate{'s' * (suite.replicates > 1)}",
        f"{suite.budget.transitions:,} training transitions",
        *_framing(plan.data.values()),
        f"{suite.protocol.members} rollout{'s' * (suite.protocol.members > 1)} a case",
        f"{plan.conditions.device}, {plan.conditions.precision}",
        f"seed {suite.seed}",
    ]
    return " · ".join(parts)


def _framing(datasets: Collection[DataPlan]) -> Iterator[str]:
    """How the datasets are cut into frames: in one sentence, where it is the same for all."""
    said = {
        data.name: f"frames {data.protocol.stride} ticks apart, horizon {data.protocol.horizon}" for data in datasets
    }
    if len(set(said.values())) == 1:
        yield next(iter(said.values()))
    else:
        yield from (f"{name}: {words}" for name, words in said.items())


def _table(layout: Grid) -> str:
    """The grid as an HTML table, the longer side down."""
    names = [(escape(heading(line)), _apart(layout, k)) for k, line in enumerate(layout.lines)]
    headings = [_heading(q) for q in layout.quantities]
    if layout.across:
        head = "".join(f'<th scope="col"{mark}>{name}</th>' for name, mark in names)
        rows = [
            f'<tr class="{"main" if q.main else "own"}"><th scope="row">{heading}</th>'
            + "".join(_entry(row[k], mark) for row, (_, mark) in zip(layout.cells, names, strict=True))
            + "</tr>"
            for k, (q, heading) in enumerate(zip(layout.quantities, headings, strict=True))
        ]
        return _scrolling(f"<thead><tr><th></th>{head}</tr></thead><tbody>{''.join(rows)}</tbody>", "across")
    head = "".join(f'<th scope="col">{heading}</th>' for heading in headings)
    rows = [
        f'<tr{mark}><th scope="row">{name}</th>{"".join(_entry(entry, "") for entry in row)}</tr>'
        for (name, mark), row in zip(names, layout.cells, strict=True)
    ]
    return _scrolling(
        f'<thead><tr><th scope="col">simulator</th>{head}</tr></thead><tbody>{"".join(rows)}</tbody>', "down"
    )


def _heading(quantity: Quantity) -> str:
    mark = "<small>primary metric</small>" if quantity.primary else ""
    return f"{_breakable(quantity.heading)}{_small(quantity.unit)}{mark}"


def _breakable(name: str) -> str:
    """A heading that may be broken at its underscores, and not before its arrow."""
    return escape(name).replace("_", "_<wbr>").replace(" ↓", "&nbsp;↓").replace(" ↑", "&nbsp;↑")


def _small(text: str) -> str:
    return f"<small>{escape(text)}</small>" if text else ""


def _apart(layout: Grid, k: int) -> str:
    """The class attribute that sets an anchor or a null model apart; the first of them begins a new block."""
    line: Line = layout.lines[k]
    if line.kind == "simulator":
        return ""
    first = k > 0 and layout.lines[k - 1].kind == "simulator"
    return f' class="apart{" first" if first else ""}"'


def _entry(entry: Entry, mark: str) -> str:
    text = f"<b>{escape(entry.text)}</b>" if entry.best else escape(entry.text)
    note = f' title="{escape(entry.note)}"' if entry.note else ""
    return f"<td{mark}{note}>{text}{_small(entry.around)}</td>"


def _scrolling(table: str, kind: str) -> str:
    region = '<div class="scroll" tabindex="0" role="region" aria-label="table">'
    return f'{region}<table class="{kind}">{table}</table></div>'


def _pictures(pictures: DatasetPictures, summary: Summary) -> Iterator[str]:
    styles = _styles(pictures, summary)
    yield f'<div class="drawn">{keys([("truth", "truth"), *styles.items()])}'  # a simulator may be called truth
    if pictures.left:
        yield (
            f"<p>{pictures.left:,} more simulators are in the table; the pictures show the best by "
            f"{escape(summary.metrics[0].name)}, the first fit of each.</p>"
        )
    yield f'<div class="charts">{"".join(charts(pictures, summary, styles))}</div></div>'
    if pictures.shown:
        yield _rollouts("Rollouts", pictures, of_all_kinds(pictures))
    if pictures.worst:
        yield _rollouts("Worst cases", pictures, of_the_worst(pictures, summary.primary))


def _styles(pictures: DatasetPictures, summary: Summary) -> dict[str, str]:
    """Simulator -> the class of its series: s0, s1, … for simulators, a0, a1, … for the ground truth's and anchors."""
    kinds = {line.name: line.kind for line in summary.lines if line.dataset == pictures.dataset}
    counts = {"s": 0, "a": 0}
    styles = {}
    for side in (*pictures.shown, *pictures.scales):
        letter = "s" if kinds.get(side.name) == "simulator" else "a"
        styles[side.name] = f"{letter}{counts[letter]}"
        counts[letter] += 1
    return styles


def _rollouts(heading: str, pictures: DatasetPictures, titles: Mapping[int, str]) -> str:
    """A gallery: panels that the page's script fills, case by case, a slider, and the data as JSON."""
    content = gallery(pictures, titles)
    size = f'width="{content["width"]}" height="{content["height"]}"'
    names = [escape(row["name"]) for row in content["rows"]]
    cases = []
    for title in (escape(title) for title in content["titles"]):
        panels = "".join(
            f'<figure><canvas {size} role="img" aria-label="{name}, {title}"></canvas>'
            f"<figcaption>{name}</figcaption></figure>"
            for name in names
        )
        cases.append(f'<h4>{title}</h4><div class="panels">{panels}</div>')
    last = len(content["frames"]) - 1
    bar = f'<canvas width="{len(content["colours"])}" height="1" role="img" aria-label="to"></canvas>'
    ends = f'<p class="ends">{bar.join(map(escape, content["ends"]))}</p>' if content["ends"] else ""
    data = json.dumps(content, separators=(",", ":")).replace("<", "\\u003c")
    return (
        f'<div class="gallery"><h3>{heading}</h3><p class="player"><button type="button">play</button>'
        f'<label><input type="range" min="0" max="{last}" value="{last}" aria-label="frame">'
        f"<output></output></label></p>"
        f'{ends}{"".join(cases)}<script type="application/json">{data}</script></div>'
    )


def _failed(summary: Summary) -> str:
    counts: dict[str, int] = {}
    for _, status, _ in summary.failed:
        counts[status] = counts.get(status, 0) + 1
    text = ", ".join(f"{count} {escape(status)}" for status, count in counts.items())
    rows = "".join(
        f'<tr><th scope="row">{escape(name)}</th><td>{escape(status)}</td><td class="text">{escape(error)}</td></tr>'
        for name, status, error in summary.failed
    )
    table = _scrolling(
        f"<thead><tr><th>trial</th><th>status</th><th>what happened</th></tr></thead><tbody>{rows}</tbody>", "failed"
    )
    return f"<section><h2>Trials without a result: {text}</h2>{table}</section>"
