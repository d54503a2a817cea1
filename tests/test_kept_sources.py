"""The code behind a number is kept with it: a digest can be opened, and what comes out has that digest."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import subprocess
import sys
import textwrap
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path

import pytest
from click.testing import CliRunner
from rich.console import Console

from conftest import SUITE, TOY
from nsbench.commands import cache as command_cache
from nsbench.commands.info import command as info
from nsbench.errors import Refusal
from nsbench.outcomes.file import load
from nsbench.registry.registry import Registry
from nsbench.running.run import run
from nsbench.stages import sources as keeping
from nsbench.stages.sources import keep_sources
from nsbench.store import inventory
from nsbench.store.inventory import prunable, remove
from nsbench.store.manifest import read_manifest
from nsbench.store.source_tree import INDEX, write_sources
from nsbench.store.sources import (
    blobs_of,
    damage,
    digest_at,
    has_listing,
    listing_files,
    named_digests,
    read_listing,
    sweep,
)
from nsbench.store.store import Store
from nsbench.store.workspace import Workspace
from nsbench.suite.planner import make_plan
from nsbench.suite.reading import read_suite
from nsbench.suite.session import Session

pytestmark = pytest.mark.usefixtures("quick_disk")

TRIAL = "line/mine/r0"
FILES = {
    "__init__.py": """
        from nsbench import SimulatorSpec, hookimpl

        @hookimpl
        def nsbench_simulators():
            return [SimulatorSpec("mine", "{name}.mine:Mine", "{name}.params:MineParams")]
    """,
    "params.py": """
        from nsbench import Params

        class MineParams(Params):
            rho: float = 0.5
    """,
    "mine.py": """
        from toy import Coin
        from {name}.deep.half import HALF

        class Mine(Coin):
            # a comment that no digest sees
            half = HALF
    """,
    "deep/__init__.py": "",
    "deep/half.py": "HALF = 0.5",
}
DIGEST = """
import json, sys
from pathlib import Path
import nsbench
from nsbench.registry.source import Sources
tree, packages, targets = json.loads(sys.argv[1])
nsbench.__spec__.submodule_search_locations[:] = [str(Path(tree) / "nsbench")]  # all but this program is of the tree
sys.path.insert(0, tree)
print(json.dumps([Sources(packages).digest(code)[0] for code in targets]))
"""


class Bench:
    """A plugin on disk, and a workspace in which a suite of it was run."""

    def __init__(self, folder: Path) -> None:
        self.name = f"kept_{os.getpid()}_{abs(hash(folder))}"
        self.folder, self.workspace = folder / self.name, Workspace(folder / "w")
        for path, text in FILES.items():
            self.write(path, text)
        (folder / "suite.yaml").write_text(SUITE.replace("use: learner", "use: mine"))
        self.suite = folder / "suite.yaml"
        sys.path.insert(0, str(folder))

    def write(self, path, text):
        file = self.folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(textwrap.dedent(text).replace("{name}", self.name))

    def session(self):
        registry = Registry([*entry_points(group="nsbench"), TOY, EntryPoint(self.name, self.name, "nsbench")])
        return Session(make_plan(read_suite(self.suite, registry), registry), registry, self.workspace)

    def run(self):
        self.forget()
        outcome = run(self.session())
        assert [row.status for row in outcome.rows] == ["ok", "ok"]
        return next(row for row in outcome.rows if row.trial == TRIAL)

    def forget(self):
        for module in [m for m in sys.modules if m.partition(".")[0] == self.name]:
            del sys.modules[module]

    def prune(self, **how):
        pruning = prunable(self.workspace, **how)
        return remove(self.workspace, pruning, locks=True)


@pytest.fixture
def bench(tmp_path):
    made = Bench(tmp_path)
    yield made
    made.forget()
    sys.path.remove(str(tmp_path))


def digests_of(tree, name, targets):
    """The digests of the code in a folder, read by a process to which this folder is all that there is of it."""
    argument = json.dumps([str(tree), ["nsbench", "toy", name], targets])
    environment = os.environ | {"PYTHONPATH": ""}
    done = subprocess.run(
        [sys.executable, "-P", "-c", DIGEST, argument], capture_output=True, text=True, check=True, env=environment
    )
    return json.loads(done.stdout)


def contents(folder):
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_what_is_written_out_has_the_digest_that_stands_in_the_key(bench, tmp_path):
    row = bench.run()
    written, missing = write_sources(bench.workspace.store, row.keys, tmp_path / "out")
    assert missing == []
    assert len(written) == 2
    index = json.loads((tmp_path / "out" / INDEX).read_text())
    pieces = index["code"]
    assert {piece["artifact"] for piece in pieces} == row.keys.keys()
    for piece in pieces:
        manifest = read_manifest(bench.workspace.store / piece["artifact"].partition("/")[0] / piece["key"])
        assert piece["digest"] in named_digests(manifest["fields"])
    digests = digests_of(tmp_path / "out" / "code", bench.name, [piece["targets"] for piece in pieces])
    assert digests == [piece["digest"] for piece in pieces]


def test_the_tree_is_the_code_byte_for_byte_comments_included(bench, tmp_path):
    write_sources(bench.workspace.store, bench.run().keys, tmp_path / "out")
    tree = tmp_path / "out" / "code"
    for path in ("mine.py", "params.py", "deep/__init__.py", "deep/half.py", "__init__.py"):
        assert (tree / bench.name / path).read_bytes() == (bench.folder / path).read_bytes()
    assert (tree / "toy.py").read_bytes() == (Path(__file__).parent / "toy.py").read_bytes()
    root = Path(__file__).parents[1]
    modules = list((tree / "nsbench").rglob("*.py"))
    assert len(modules) > 10
    for path in modules:
        assert path.read_bytes() == (root / path.relative_to(tree)).read_bytes()


def test_the_code_of_an_earlier_number_opens_after_an_edit(bench, tmp_path):
    before = bench.run()
    bench.write("deep/half.py", "HALF = 0.25")
    after = bench.run()
    assert before.keys["model"] != after.keys["model"]
    for row, text in ((before, "HALF = 0.5"), (after, "HALF = 0.25")):
        out = tmp_path / text
        assert write_sources(bench.workspace.store, row.keys, out)[1] == []
        assert (out / "code" / bench.name / "deep" / "half.py").read_text() == text


def test_a_file_that_was_edited_between_two_artifacts_lies_in_two_trees(bench, tmp_path):
    before = bench.run()
    bench.write("deep/half.py", "HALF = 0.25")
    after = bench.run()
    keys = {"model": before.keys["model"], "model/later": after.keys["model"], "evidence": after.keys["evidence"]}
    write_sources(bench.workspace.store, keys, tmp_path / "out")
    halves = {p.parent.parent.parent.name: p.read_text() for p in (tmp_path / "out").rglob("half.py")}
    assert halves == {"code": "HALF = 0.5", "code-2": "HALF = 0.25"}
    pieces = json.loads((tmp_path / "out" / INDEX).read_text())["code"]
    for tree in ("code", "code-2"):
        here = [piece for piece in pieces if piece["folder"] == tree]
        digests = digests_of(tmp_path / "out" / tree, bench.name, [piece["targets"] for piece in here])
        assert digests == [piece["digest"] for piece in here] != []


def test_every_digest_of_every_artifact_is_kept_once_and_nothing_is_read_twice(bench, monkeypatch):
    bench.run()
    store = bench.workspace.store
    manifests = [read_manifest(path.parent) for path in store.glob("*/*/manifest.json")]
    named = set().union(*(named_digests(manifest["fields"]) for manifest in manifests))
    assert len(named) >= 5
    assert named <= {digest_at(path) for path in listing_files(store)}
    blobs = [path.stem for path in (store / "sources" / "blobs").iterdir()]
    assert sorted(blobs) == sorted(
        {c for path in listing_files(store) for c in json.loads(path.read_text())["files"].values()}
    )
    monkeypatch.setattr(keeping, "Sources", lambda packages: pytest.fail("what is kept is read again"))
    bench.run()


def test_the_same_code_is_kept_as_the_same_bytes(bench, tmp_path):
    bench.run()
    elsewhere = Workspace(tmp_path / "elsewhere")
    keep_sources(bench.session(), Store(elsewhere.store), pytest.fail)
    assert contents(elsewhere.store / "sources") == contents(bench.workspace.store / "sources")
    assert list((elsewhere.store / "drafts").iterdir()) == []


def test_code_that_changed_since_it_was_planned_is_not_kept_under_the_planned_digest(bench):
    session, told = bench.session(), []
    digest = next(trial.part.source for trial in session.plan.trials if trial.id == TRIAL)
    bench.write("deep/half.py", "HALF = 0.125")
    keep_sources(session, Store(bench.workspace.store), told.append)
    assert not has_listing(bench.workspace.store, digest)
    assert [line for line in told if f"{bench.name}.mine:Mine" in line and "is not kept" in line]


def test_a_file_that_is_too_large_is_listed_as_left_out(bench, tmp_path, monkeypatch):
    monkeypatch.setattr(keeping, "MAX_BYTES", 60)
    row = bench.run()
    digest = read_manifest(bench.workspace.store / "model" / row.keys["model"])["fields"]["source"]
    listing = read_listing(bench.workspace.store, digest)
    assert f"{bench.name}/deep/half.py" in listing.files
    assert listing.left_out[f"{bench.name}/mine.py"] == (bench.folder / "mine.py").stat().st_size
    _, missing = write_sources(bench.workspace.store, row.keys, tmp_path / "out")
    assert any(line.startswith(f"{bench.name}/mine.py: ") and "too large" in line for line in missing)


def test_a_store_that_may_only_be_read_stays_as_it_is(bench, monkeypatch):
    def refuse(root, sources):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(keeping, "keep", refuse)
    keep_sources(bench.session(), Store(bench.workspace.store), pytest.fail)


def test_a_full_disk_costs_the_sources_and_not_the_run(bench, monkeypatch):
    def refuse(root, sources):
        raise OSError(errno.ENOSPC, "No space left on device")

    told = []
    monkeypatch.setattr(keeping, "keep", refuse)
    keep_sources(bench.session(), Store(bench.workspace.store), told.append)
    assert told == [
        "the code of this run could not be kept ([Errno 28] No space left on device): the next run in this workspace "
        "keeps it"
    ]
    bench.run()


def test_nothing_goes_because_a_listing_could_not_be_read(bench, monkeypatch):
    row = bench.run()
    store = bench.workspace.store
    digest = read_manifest(store / "model" / row.keys["model"])["fields"]["source"]
    shutil.rmtree(store / "model" / row.keys["model"])
    before = contents(store / "sources")
    read = Path.read_bytes

    def unreadable(path):
        if path.suffix == ".json" and path.parent.name == "sources":
            raise OSError(errno.EREMOTEIO, "Remote I/O error", str(path))
        return read(path)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "read_bytes", unreadable)
        assert bench.prune() == []
        sweep(store, locks=True)
        console = Console(record=True, width=300)
        assert command_cache.verify(bench.workspace, console, repair=True) == 1
        assert "could not be read (Remote I/O error): not checked" in console.export_text()
    assert contents(store / "sources") == before
    assert [entry.key for entry in bench.prune()] == [digest]


def test_the_command_writes_a_tree_once_and_says_what_is_missing(bench, tmp_path, monkeypatch):
    row = bench.run()
    bench.write("mine.py", "this is no Python")  # the code of today does not matter
    words = ["trial", TRIAL, "--workspace", str(bench.workspace.root), "--sources", str(tmp_path / "out")]
    result = CliRunner().invoke(info, words)
    assert result.exit_code == 0, result.output
    assert (tmp_path / "out" / "code" / bench.name / "mine.py").is_file()
    with pytest.raises(Refusal, match="not an empty folder: nothing is overwritten"):
        write_sources(bench.workspace.store, row.keys, tmp_path / "out")
    shutil.rmtree(bench.workspace.store / "sources")
    words[-1] = str(tmp_path / "again")
    result = CliRunner().invoke(info, words)
    assert result.exit_code == 1
    assert "missing: the code of model, merkle1:" in result.output.replace("\n", " ")
    assert CliRunner().invoke(info, ["mine", "--sources", str(tmp_path / "third")]).exit_code == 2


def test_prune_keeps_the_sources_of_artifacts_that_stay_and_drops_the_others(bench, tmp_path):
    before = bench.run()
    bench.write("deep/half.py", "HALF = 0.25")
    after = bench.run()
    store = bench.workspace.store
    assert bench.prune() == []
    old = read_manifest(store / "model" / before.keys["model"])["fields"]["source"]
    new = read_manifest(store / "model" / after.keys["model"])["fields"]["source"]
    half = hashlib.sha256(b"HALF = 0.5").hexdigest()
    assert (store / "sources" / "blobs" / f"{half}.gz").is_file()
    keys = {artifact.key.digest for artifact in bench.session().plan.artifacts()}
    removed = bench.prune(keep=keys)
    assert [entry.key for entry in removed if entry.kind == "sources"] == [old]
    assert (has_listing(store, old), has_listing(store, new)) == (False, True)
    assert not (store / "sources" / "blobs" / f"{half}.gz").exists()
    assert write_sources(store, after.keys, tmp_path / "out")[1] == []
    bench.prune(older_than=-1.0)
    assert contents(store / "sources") == {}


def test_no_sources_go_while_an_artifact_cannot_say_what_it_names(bench):
    row = bench.run()
    manifest = bench.workspace.store / "model" / row.keys["model"] / "manifest.json"
    text = manifest.read_text()
    manifest.write_text(text.replace("merkle1", "markle1"))
    assert [entry for entry in bench.prune() if entry.kind == "sources"] == []
    shutil.rmtree(manifest.parent)
    assert [entry.kind for entry in bench.prune()] == ["sources"]


def test_sizes_count_each_file_once(bench):
    bench.run()
    total = sum(entry.size for entry in inventory.sources(bench.workspace))
    assert total == sum(len(content) for content in contents(bench.workspace.store / "sources").values())


def spoil(path):
    path.write_bytes(path.read_bytes()[:-9] + b"?" + path.read_bytes()[-8:])


def test_damage_is_named_and_after_a_repair_the_next_run_keeps_the_code_again(bench, tmp_path):
    row = bench.run()
    store = bench.workspace.store
    whole = contents(store / "sources")
    blob = store / "sources" / "blobs" / f"{hashlib.sha256(b'HALF = 0.5').hexdigest()}.gz"
    listing = next(path for path in listing_files(store) if blob not in blobs_of(store, path))
    spoil(blob)
    spoil(listing)
    assert {path for path, _ in damage(store)} == {blob, listing}
    _, missing = write_sources(store, row.keys, tmp_path / "out")
    assert any(str(blob) in line for line in missing)
    console = Console(record=True, width=300)
    assert command_cache.verify(bench.workspace, console, repair=False) == 1
    text = console.export_text()
    assert str(blob) in text
    assert str(listing) in text
    assert command_cache.verify(bench.workspace, console, repair=True) == 0
    assert command_cache.verify(bench.workspace, console, repair=False) == 0
    bench.run()
    assert contents(store / "sources") == whole
    assert load(bench.workspace.results("line"))
