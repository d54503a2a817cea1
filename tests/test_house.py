"""The house: packages in one order, no import that runs upward, no circle, nothing that has grown too large."""

from __future__ import annotations

import ast
import runpy
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
HOUSE = runpy.run_path(str(ROOT / "docs" / "house.py"))


def test_every_package_has_its_place_in_the_order():
    beside = {"__init__.py", "__main__.py", "__pycache__"}
    there = {path.name.removesuffix(".py") for path in (ROOT / "nsbench").iterdir() if path.name not in beside}
    assert there == set(HOUSE["ORDER"])


def test_no_import_runs_upward():
    assert HOUSE["upward"]() == []


def test_no_modules_import_each_other_in_a_circle():
    graph: dict[str, set[str]] = {}
    for module, imported in HOUSE["imports"]():
        graph.setdefault(module, set()).add(imported)
    assert TopologicalSorter(graph).prepare() is None  # raises CycleError, which names the circle


def test_nothing_in_nsbench_imports_a_plugin_or_its_own_front_door():
    plugins = {path.name for path in (ROOT / "plugins").iterdir()}
    for name, path in HOUSE["modules"]().items():
        if name in ("nsbench", "nsbench.registry.source"):  # the digest looks names up at the front door
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else names
            assert not {n.partition(".")[0] for n in names} & plugins, name
            assert "nsbench" not in names or all(
                (path.parents[0] / f"{a.name}.py").exists()
                or (ROOT / "nsbench" / a.name).exists()
                or (ROOT / "nsbench" / f"{a.name}.py").exists()
                for a in node.names
            ), name


@pytest.mark.parametrize("package", sorted(p.parent for p in (ROOT / "nsbench").rglob("__init__.py")), ids=str)
def test_a_packages_init_is_a_docstring_that_lists_its_rooms(package):
    if package.name == "nsbench":
        return
    tree = ast.parse((package / "__init__.py").read_text())
    assert len(tree.body) == 1
    text = ast.get_docstring(tree)
    rooms = [p.stem for p in package.glob("*.py") if p.stem != "__init__"]
    rooms += [p.name for p in package.iterdir() if (p / "__init__.py").exists()]
    assert [room for room in rooms if room not in text.replace(",", " ").replace("/", " ").split()] == []


def test_no_folder_has_more_rooms_than_can_be_taken_in():
    folders = [p.parent for base in ("nsbench", "plugins") for p in (ROOT / base).rglob("__init__.py")]
    counts = {folder.relative_to(ROOT).as_posix(): len(list(folder.glob("*.py"))) - 1 for folder in folders}
    one_a_metric = {"plugins/nsbench_metrics"}  # thirty files of one kind, each called what it is
    assert {name: count for name, count in counts.items() if count > 24 and name not in one_a_metric} == {}


def test_no_module_is_longer_than_four_hundred_lines():
    paths = [path for base in ("nsbench", "plugins") for path in (ROOT / base).rglob("*.py")]
    lengths = {path.relative_to(ROOT).as_posix(): len(path.read_text().splitlines()) for path in paths}
    assert {name: length for name, length in lengths.items() if length > 400} == {}


def test_the_documents_show_the_house_as_it_is():
    """Made by `python docs/house.py`."""
    assert HOUSE["PAGE"].read_text() == HOUSE["page"]()
    assert HOUSE["PICTURE"].read_text() == HOUSE["picture"]()
