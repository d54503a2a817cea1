"""The front door: what users import is in nsbench itself, is there, is documented, and costs nothing until it is used."""

from __future__ import annotations

import ast
import pkgutil
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import nsbench

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize("name", nsbench.__all__)
def test_a_public_name_is_what_its_home_defines(name):
    assert getattr(nsbench, name) is getattr(import_module(nsbench.HOMES[name]), name)
    public = getattr(nsbench, name)
    assert not isinstance(public, type) or public.__module__ == nsbench.HOMES[name]


def test_editors_and_python_are_told_the_same():
    """The block for type checkers, the table, and __all__."""
    tree = ast.parse(Path(nsbench.__file__).read_text())
    block = next(node for node in tree.body if isinstance(node, ast.If))
    told = {alias.name: node.module for node in block.body for alias in node.names}
    assert told == nsbench.HOMES
    assert sorted(nsbench.HOMES) == sorted(nsbench.__all__)
    assert set(nsbench.__all__) <= set(dir(nsbench))


def test_no_room_hides_a_public_name():
    """An imported submodule becomes an attribute of its package, in the place of what stood there."""
    rooms = {module.name for module in pkgutil.iter_modules(nsbench.__path__)}
    assert "outcomes" in rooms
    assert rooms.isdisjoint(nsbench.__all__)


def test_there_are_not_many():
    assert len(nsbench.__all__) <= 47


def test_every_public_name_is_in_the_page_on_plugins_and_no_other():
    page = (ROOT / "docs" / "plugins.md").read_text().split("## Public names")[1].split("In a notebook")[0]
    named = [
        name
        for line in page.splitlines()
        if line.startswith("| `")
        for name in re.findall(r"`(\w+)`", line.split("|")[1])
    ]
    assert sorted(named) == sorted(nsbench.__all__)


def test_public_things_say_what_they_are():
    public = [getattr(nsbench, name) for name in nsbench.__all__]
    assert [thing for thing in public if callable(thing) and not (thing.__doc__ or "").strip()] == []


def test_another_name_is_refused_as_of_any_module():
    with pytest.raises(AttributeError, match="module 'nsbench' has no attribute 'simulator'"):
        _ = nsbench.simulator


def test_importing_nsbench_imports_nothing_else():
    code = "import sys; before = set(sys.modules); import nsbench; print(*(set(sys.modules) - before))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    heavy = {"numpy", "torch", "pydantic", "pluggy", "click", "mlflow", "pandas"}
    assert [name for name in done.stdout.split() if name in heavy or name.startswith("nsbench.")] == []


@pytest.mark.parametrize("path", ["README.md", "docs", "nsbench/commands/templates"])
def test_what_users_copy_imports_from_the_front_door_alone(path):
    files = [ROOT / path] if (ROOT / path).is_file() else [*(ROOT / path).rglob("*.md"), *(ROOT / path).rglob("*.in")]
    deep = {f.name: re.findall(r"^\s*(?:from|import) nsbench\.\S+", f.read_text(), re.MULTILINE) for f in files}
    assert {name: lines for name, lines in deep.items() if lines} == {}


def test_the_notebook_of_the_documents_runs(tmp_path, monkeypatch, one_thread, capsys):
    """As it stands in docs/plugins.md, on a shorter suite."""
    page = (ROOT / "docs" / "plugins.md").read_text()
    code = page.split("<!-- notebook -->")[1].split("```python\n")[1].split("```")[0]
    (tmp_path / "short.yaml").write_text(
        f"extends: {ROOT}/suites/smoke.yaml\nname: short\nsimulators: [{{use: lca, as: floor}}, {{use: persistence}}]\n"
        "datasets: [{use: lca, as: snow16, params: {size: 16, train: 24, val: 8, test: {parameters: 6, repeats: 2}}}]\n"
        "metrics: [ewd, crps]\nprotocol: {horizon: 12}\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NSBENCH_WORKSPACE", str(tmp_path / "w"))
    names: dict[str, object] = {}
    exec(code.replace("suites/smoke.yaml", "short.yaml"), names)
    frame = names["frame"]
    assert set(frame["simulator"]) == {"floor", "persistence"}
    assert set(frame["metric"]) == {"ewd", "crps"}
    floor = frame[(frame["simulator"] == "floor") & (frame["metric"] == "ewd")].iloc[0]
    assert floor["floor"] == frame[frame["metric"] == "ewd"].iloc[-1]["floor"]
    assert floor["low"] <= floor["value"] <= floor["high"]
    assert (frame["status"] == "ok").all()
