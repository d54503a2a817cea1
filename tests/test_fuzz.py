"""Suites and stores that were damaged at random: an answer or a message, never a traceback, a hang or another number.

The default run tries a few; `pytest -m slow tests/test_fuzz.py` tries 500 suites and 200 stores, others each time.
"""

from __future__ import annotations

import json
import re
import shutil
import tempfile
import time
from importlib.metadata import entry_points
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from conftest import SUITE, TOY
from nsbench.commands.main import main
from nsbench.registry.registry import Registry, installed
from nsbench.running.run import run
from nsbench.store.key import digest_of
from nsbench.store.workspace import Workspace
from nsbench.suite.planner import make_plan
from nsbench.suite.reading import read_suite
from nsbench.suite.session import Session

pytestmark = pytest.mark.usefixtures("quick_disk")

ROOT = Path(__file__).parents[1]
SMOKE = (ROOT / "suites" / "smoke.yaml").read_text()
SECONDS = 10.0
"""Of this process's time; more is a hang: a suite is read and planned in a twentieth of a second."""

few = settings(max_examples=25, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
many = settings(max_examples=500, deadline=None, suppress_health_check=list(HealthCheck))
few_stores = settings(few, max_examples=6)
many_stores = settings(many, max_examples=200)

BOMB = "bomb: &a0 [x, x]\n" + "".join(f"b{k}: &a{k} [{', '.join([f'*a{k - 1}'] * 9)}]\n" for k in range(1, 12))

VALUES = [
    *("", "null", "~", "true", "yes", "0", "-1", "1", "1.5", "1e-3", "1e999", ".nan", "-.inf", "9" * 30, "9" * 6000),
    *("0x" + "F" * 4000, "0o17", "0b11", "1_000", "12:30:45", "2026-01-01", "''", "'..'", "'../../up'", "'/etc/passwd'"),
    *("'-rf'", "'a b'", "'$(id)'", "'`id`'", '"a\\nb"', '"\\e[31m"', '"\\0"', '"\\ud800"', "'\u202ename'", "'\u00fc'"),
    *("'" + "x" * 300 + "'", "[]", "{}", "[1, [2, [3]]]", "{a: {b: 1}}", "[" * 40 + "]" * 40, "[" * 4000, "{" * 500),
    *("!!python/object/apply:os.system ['id']", "!!python/name:os.system", "!!binary aGk=", "!!set {a}", "!x y", "!!int x"),
    *("&a 1", "*a", "&a [*a]", "<<", "? x", "|\n  text", ">\n  text", "'unclosed", '"unclosed', "%YAML 1.1", "---", "..."),
    *("lca", "cgne", "ewd", "[ewd, ewd]", "{use: lca}", "[{use: lca}]", "on", "off", "auto", "cuda"),
]  # fmt: skip

LINES = [
    *("name: other", "seed: 1", "extends: smoke.yaml", "extends: .", "extends: /dev/zero", "extends: [x]", "? [a, b]\n: 1"),
    *("replicates: 1000000000", "schema: 2", "tracking: {uri: 'file:///etc'}", "tracking: {enabled: 0}", "compute: {threads: 0}"),
    *("simulators: [{use: lca, grid: {sigma: [0, 0.1]}}]", "simulators: [{use: pns, params: 3, grid: {width: [8]}}]"),
    *("simulators: [{use: lca, grid: {sigma: 3}}]", "simulators: [{use: pns, grid: {width: [8, x], levels: [1, 2, 3]}}]"),
    *("simulators: [{use: lca, on: [snow16, none]}]", "datasets: [{use: trajectories, params: {path: /dev/null/nowhere, format: npz}}]"),
    *("datasets: [{use: lca, fit_on: lca}]", "<<: {seed: 3}", "\tname: tab", "  - {use: lca}", "# a comment", "...", "---"),
    BOMB,
]  # fmt: skip

PIECES = st.one_of(st.sampled_from(["\0", "\ufeff", "\x85", "\u2028", "\t", "\r", "{", "}", "[", "]", ":", ",", "&", "*", "!", "'", '"', "\x1b", "\U0001f600"]), st.characters(codec="utf-8"))  # fmt: skip


@st.composite
def suites(draw) -> bytes:
    """suites/smoke.yaml, changed in one to four ways."""
    text = SMOKE
    for _ in range(draw(st.integers(1, 4))):
        text = draw(st.sampled_from(CHANGES))(draw, text)
    ending = draw(st.sampled_from(["\n"] * 8 + ["\r\n", "\r"]))
    encoding = draw(st.sampled_from(["utf-8"] * 12 + ["utf-8-sig", "utf-16", "latin-1"]))
    return text.replace("\n", ending).encode(encoding, errors="replace")


def _line(draw, lines):
    return draw(st.integers(0, max(0, len(lines) - 1)))


def delete_line(draw, text):
    lines = text.split("\n")
    del lines[_line(draw, lines)]
    return "\n".join(lines)


def duplicate_line(draw, text):
    lines = text.split("\n")
    lines.insert(_line(draw, lines), lines[_line(draw, lines)])
    return "\n".join(lines)


def add_line(draw, text):
    lines = text.split("\n")
    lines.insert(_line(draw, lines) + draw(st.integers(0, 1)), draw(st.sampled_from(LINES)))
    return "\n".join(lines)


def indent_line(draw, text):
    lines = text.split("\n")
    i = _line(draw, lines)
    lines[i] = draw(st.sampled_from([" ", "    ", "\t", "- "])) + lines[i]
    return "\n".join(lines)


def change_word(draw, text):
    """A key or a value becomes something else."""
    words = list(re.finditer(r"[\w.-]+", text))
    if not words:
        return text
    word = words[draw(st.integers(0, len(words) - 1))]
    value = draw(st.one_of(st.sampled_from(VALUES), st.integers().map(str), st.floats().map(str), st.text(max_size=8)))
    return text[: word.start()] + value + text[word.end() :]


def change_value(draw, text):
    """A whole value becomes something else, whatever its type was."""
    values = list(re.finditer(r"(?<=: )[^,}\n]+", text))
    if not values:
        return text
    value = values[draw(st.integers(0, len(values) - 1))]
    return text[: value.start()] + draw(st.sampled_from(VALUES)) + text[value.end() :]


def insert_piece(draw, text):
    at = draw(st.integers(0, len(text)))
    return text[:at] + draw(PIECES) + text[at:]


def cut(draw, text):
    return text[: draw(st.integers(0, len(text)))]


CHANGES = [delete_line, duplicate_line, add_line, indent_line, change_word, change_word, change_value, change_value, insert_piece, cut]  # fmt: skip


def planned_by_a_user(content: bytes) -> None:
    """`nsbench plan` on such a file: a plan, or faults each in a line that names the file and, in it, the line."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "suite.yaml"
        path.write_bytes(content)
        (Path(folder) / "smoke.yaml").write_text(SMOKE)
        before = time.process_time()
        result = CliRunner().invoke(main, ["plan", str(path), "--workspace", f"{folder}/out"])
        assert time.process_time() - before < SECONDS
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exc_info
        assert result.exit_code in (0, 2), result.output
        assert sorted(p.name for p in Path(folder).iterdir()) == ["smoke.yaml", "suite.yaml"]
        if result.exit_code == 2:
            whole = rf"{re.escape(str(path))}: (the file is empty|dataset |.*cannot be read)"
            placed = rf"{re.escape(folder)}/(suite|smoke)\.yaml:[0-9]+: "
            for line in result.stderr.rstrip("\n").split("\n"):
                assert re.match(rf"{placed}|{whole}", line), line
                assert line.isprintable(), line
        else:
            means_what_it_says(path)


def means_what_it_says(path: Path) -> None:
    """An accepted suite is the one that another reader of YAML finds, and its resolved copy has the same keys."""
    suite = read_suite(path, installed())
    text = path.read_bytes().decode()
    data = yaml.safe_load(text)
    if "extends" not in data:
        if isinstance(data["name"], str):  # to us a date is a word
            assert suite.name == data["name"]
        if isinstance(data.get("seed"), int):
            assert suite.seed == data["seed"]
        uses = [entry["use"] for entry in data["simulators"] if not entry.get("grid")]
        assert [use.use for use in suite.simulators][: len(uses)] == uses or any(
            e.get("grid") for e in data["simulators"]
        )
        assert len(suite.metrics) == len(data["metrics"])
    (path.parent / "resolved.yaml").write_text(suite.to_yaml(), encoding="utf-8")
    again = make_plan(read_suite(path.parent / "resolved.yaml", installed()), installed())
    assert all_keys(again) == all_keys(make_plan(suite, installed()))


def all_keys(plan):
    return {trial.id: [artifact.key.digest for artifact in trial.artifacts()] for trial in plan.trials}


@few
@given(suites())
def test_a_damaged_suite_is_planned_or_explained(content):
    planned_by_a_user(content)


@pytest.mark.slow
@many
@given(suites())
def test_many_damaged_suites_are_planned_or_explained(content):
    planned_by_a_user(content)


@pytest.mark.parametrize("line", [*LINES, *(f"seed: {value}" for value in VALUES)])
def test_each_of_the_odd_lines_is_planned_or_explained(line):
    key = line.partition(":")[0]
    text = re.sub(rf"^{re.escape(key)}:.*(\n  .*)*\n", "", SMOKE, flags=re.M) if key else SMOKE
    planned_by_a_user((text + line + "\n").encode(errors="replace"))


# Stores

TEXT = SUITE.replace("[length, elbo, wall_clock]", "[length, elbo]")
STAGES = ["data", "model", "evidence", "score"]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory, quick_disk):
    """A toy suite, planned and run: (plan, registry, workspace, rows)."""
    folder = tmp_path_factory.mktemp("undisturbed")
    (folder / "suite.yaml").write_text(TEXT)
    registry = Registry([*entry_points(group="nsbench"), TOY])
    plan = make_plan(read_suite(folder / "suite.yaml", registry), registry)
    workspace = Workspace(folder / "out")
    return plan, registry, workspace, table(run(Session(plan, registry, workspace)))


def table(outcome):
    return [(row.trial, row.status, row.error, row.scores, row.keys) for row in outcome.rows]


@st.composite
def damages(draw):
    """(which stages' artifacts are taken away, so that others are read; what is done to which files)."""
    gone = draw(st.sampled_from([[], ["score"], ["score", "evidence"], ["score", "evidence", "model"]]))
    place = st.tuples(
        st.integers(0, 10**6), st.floats(0, 1), st.binary(min_size=1, max_size=6), st.sampled_from(DAMAGES)
    )
    return gone, draw(st.lists(place, min_size=1, max_size=4))


def flip(path, at, content):
    data = bytearray(path.read_bytes())
    if data:
        data[min(int(at * len(data)), len(data) - 1)] ^= 1 << (content[0] % 8)
    path.write_bytes(data)


def truncate(path, at, content):
    path.write_bytes(path.read_bytes()[: int(at * path.stat().st_size)])


def append(path, at, content):
    path.write_bytes(path.read_bytes() + content)


def overwrite(path, at, content):
    data = path.read_bytes()
    k = int(at * len(data))
    path.write_bytes(data[:k] + content + data[k + len(content) :])


def delete(path, at, content):
    path.unlink()


def rename(path, at, content):
    path.rename(path.with_name(f"{content.hex()}{path.suffix}"))


def add_beside(path, at, content):
    (path.parent / f"figure{content.hex()}.png").write_bytes(content)


def become_a_folder(path, at, content):
    path.unlink()
    path.mkdir()


def become_a_link(path, at, content):
    path.unlink()
    path.symlink_to("/etc/hostname")


def become_another(path, at, content):
    """The whole artifact takes the place of the next one of its stage."""
    folder = next(p for p in path.parents if p.parent.name in STAGES)
    others = sorted(p for p in folder.parent.iterdir() if p != folder)
    if others:
        other = others[int(at * (len(others) - 1))]
        shutil.rmtree(other)
        shutil.copytree(folder, other, symlinks=True)


def _edit(path, change, *, consistent):
    folder = next(p for p in path.parents if p.parent.name in STAGES)
    manifest = json.loads((folder / "manifest.json").read_text())
    if not isinstance(manifest, dict):
        return
    change(manifest)
    if consistent:
        manifest.pop("digest", None)
        manifest["digest"] = digest_of(manifest)
    (folder / "manifest.json").write_text(json.dumps(manifest))


def edit_manifest(path, at, content):
    _edit(path, lambda m: m.update({sorted(m)[int(at * (len(m) - 1))]: content.hex()}), consistent=False)


def edit_manifest_consistently(path, at, content):
    """Other key fields, stage, key or files, under a digest that fits."""
    names = ["stage", "key", "fields", "files"]
    values = [content.hex(), None, [], {}, {content.hex(): content.hex()}]
    name, value = names[int(at * 3.999)], values[content[0] % len(values)]
    _edit(path, lambda m: m.update({name: value}), consistent=True)


DAMAGES = [flip, flip, truncate, append, overwrite, delete, rename, add_beside, become_a_folder, become_a_link, become_another, edit_manifest, edit_manifest_consistently]  # fmt: skip


def comes_out_the_same(undisturbed, damage):
    """Run on a damaged copy: the same table, by making again what was harmed; and then nothing more to make."""
    plan, registry, workspace, expected = undisturbed
    gone, places = damage
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(workspace.root, Path(folder) / "out")
        copy = Workspace(Path(folder) / "out")
        for stage in gone:
            shutil.rmtree(copy.store / stage)
        for which, at, content, harm in places:
            files = sorted(
                p
                for p in copy.store.rglob("*")
                if p.is_file() and not p.is_symlink() and p.parent.parent.name != "store"
            )
            files = [p for p in files if any(stage in p.relative_to(copy.store).parts[:1] for stage in STAGES)]
            try:
                harm(files[which % len(files)], at, content)
            except (OSError, ValueError):
                continue  # the file is as broken as this harm could make it
        before = time.process_time()
        assert table(run(Session(plan, registry, copy))) == expected
        assert table(run(Session(plan, registry, copy))) == expected
        assert time.process_time() - before < SECONDS


@few_stores
@given(damage=damages())
def test_a_damaged_store_changes_no_result(undisturbed, damage):
    comes_out_the_same(undisturbed, damage)


@pytest.mark.slow
@many_stores
@given(damage=damages())
def test_many_damaged_stores_change_no_result(undisturbed, damage):
    comes_out_the_same(undisturbed, damage)
