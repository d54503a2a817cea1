"""The packages of nsbench in their order, and who imports whom, read off the imports themselves.

    python docs/house.py          writes docs/house.svg, and the tree into docs/architecture.md

tests/test_house.py holds the imports to the order and both documents to what this script would write.
"""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator
from html import escape
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE, PICTURE = ROOT / "docs" / "architecture.md", ROOT / "docs" / "house.svg"
BEGIN, END = "<!-- the house -->\n", "<!-- end -->"

ORDER = {
    "commands": "the command line: a file a command, its options with it",
    "tracking": "the mirror in MLflow; one folder that could be removed",
    "report": "how it is shown: tables, pictures; page/ the HTML file",
    "submissions": "rollouts made elsewhere: cases handed out, files taken in, scored like any other",
    "running": "who makes it, when and where: schedule, executors; workers/ a job and the process that does it",
    "testing": "does a component keep its contract?",
    "outcomes": "what came out, and what may be claimed of it: rows, pairing, statistics, comparison",
    "stages": "how it is made: prepare, fit, simulate, score, one file each, and what they share",
    "suite": "what is asked: a file becomes a suite, a suite becomes trials with keys and seeds",
    "registry": "which plugins there are, and whose code they are",
    "neural": "what neural simulators share",
    "components": "what plugins provide and what they are told; contracts/ what they must return",
    "store": "what has been made, by the digest of what it was made from",
    "trajectories": "what systems are, and what they did: the data that flows",
    "foreign_files": "files of others, opened without waiting and read within limits",
    "errors": "how nsbench refuses",
    "names": "which names are allowed, and which was meant",
    "quantities": "numbers as people read and write them",
}
"""Packages, and at the end the modules that stand beside them: each imports only what stands below it."""

COLOURS = {"paper": "#ffffff", "ink": "#1f2933", "faint": "#e4e7eb", "fill": "#2b6cb0", "bad": "#c53030"}
CELL, LEFT, TOP, RIGHT = 30, 130, 96, 60


def modules() -> dict[str, Path]:
    """Every module of nsbench, by its dotted name."""
    paths = sorted((ROOT / "nsbench").rglob("*.py"))
    return {".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path for path in paths}


def imports() -> Iterator[tuple[str, str]]:
    """(module, the module of nsbench that it imports), lazy imports and those for type checkers included.

    The front door, nsbench/__init__.py, imports from everywhere by design and is left out.
    """
    known = modules()
    for name, path in known.items():
        if name in ("nsbench", "nsbench.__main__"):
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            for target in _targets(node, known):
                if target not in (name, "nsbench"):
                    yield name, target


def _targets(node: ast.AST, known: dict[str, Path]) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names if alias.name in known)
    elif isinstance(node, ast.ImportFrom) and node.module and node.module.partition(".")[0] == "nsbench":
        for alias in node.names:
            inner = f"{node.module}.{alias.name}"
            yield inner if inner in known else node.module


def place(module: str) -> str:
    """The package, or the module beside the packages, that a module of nsbench belongs to."""
    return module.split(".")[1] if "." in module else module


def arrows() -> Counter[tuple[str, str]]:
    """How many imports lead from one package to another."""
    pairs = ((place(a), place(b)) for a, b in set(imports()))
    return Counter((a, b) for a, b in pairs if a != b)


def upward() -> list[tuple[str, str]]:
    """The imports that run against the order."""
    floor = {name: k for k, name in enumerate(ORDER)}
    return sorted((a, b) for a, b in set(imports()) if floor.get(place(b), -1) < floor[place(a)])


def tree() -> str:
    """The packages with a line each, as the page shows them."""
    width = max(map(len, ORDER)) + 3
    lines = ["nsbench/"]
    for name, text in ORDER.items():
        label = f"{name}/" if (ROOT / "nsbench" / name).is_dir() else f"{name}.py"
        lines.append(f"  {label:<{width + 1}}{text}")
    return "```text\n" + "\n".join(lines) + "\n```\n"


def page() -> str:
    """docs/architecture.md with the tree as it is now."""
    text = PAGE.read_text(encoding="utf-8")
    head, _, rest = text.partition(BEGIN)
    _, _, tail = rest.partition(END)
    return f"{head}{BEGIN}{tree()}{END}{tail}"


def picture() -> str:
    """Who imports whom, as a matrix: rows import columns; what lies left of the diagonal would run upward."""
    names, count = list(ORDER), arrows()
    most = max(count.values())
    size = CELL * len(names)
    parts = [f'<rect width="{LEFT + size + RIGHT}" height="{TOP + size + 44}" fill="{COLOURS["paper"]}"/>']
    for k, name in enumerate(names):
        y, x = TOP + k * CELL, LEFT + k * CELL
        parts.append(_text(LEFT - 8, y + CELL * 0.65, name, anchor="end"))
        parts.append(_text(x + CELL * 0.6, TOP - 8, name, turn=-45))
        parts.append(f'<rect x="{LEFT}" y="{y}" width="{size}" height="1" fill="{COLOURS["faint"]}"/>')
        parts.append(f'<rect x="{x}" y="{TOP}" width="1" height="{size}" fill="{COLOURS["faint"]}"/>')
        parts.append(f'<rect x="{x}" y="{y}" width="{CELL}" height="{CELL}" fill="{COLOURS["faint"]}"/>')
    for (importer, imported), number in sorted(count.items()):
        row, column = names.index(importer), names.index(imported)
        x, y = LEFT + column * CELL, TOP + row * CELL
        colour = COLOURS["fill"] if column > row else COLOURS["bad"]
        shade = 0.15 + 0.85 * (number / most) ** 0.5
        parts.append(
            f'<rect x="{x + 1}" y="{y + 1}" width="{CELL - 1}" height="{CELL - 1}" fill="{colour}" '
            f'opacity="{shade:.2f}"/>'
        )
        ink = COLOURS["paper"] if shade > 0.55 else COLOURS["ink"]
        parts.append(_text(x + CELL / 2, y + CELL * 0.65, str(number), anchor="middle", colour=ink))
    parts.append(_text(LEFT, TOP + size + 28, "a row imports its columns; numbers count pairs of modules"))
    width, height = LEFT + size + RIGHT, TOP + size + 44
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        f'font-family="sans-serif" font-size="13" role="img" aria-label="which package imports which">'
        + "\n".join(parts)
        + "</svg>\n"
    )


def _text(x: float, y: float, text: str, *, anchor: str = "start", turn: int = 0, colour: str = COLOURS["ink"]) -> str:
    turned = f' transform="rotate({turn} {x} {y})"' if turn else ""
    return f'<text x="{x}" y="{y}" text-anchor="{anchor}" fill="{colour}"{turned}>{escape(text)}</text>'


def main() -> None:
    PAGE.write_text(page(), encoding="utf-8")
    PICTURE.write_text(picture(), encoding="utf-8")


if __name__ == "__main__":
    main()
