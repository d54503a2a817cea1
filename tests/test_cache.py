"""`nsbench cache`: what is there is listed, what is damaged is found, and what somebody needs is not removed."""

from __future__ import annotations

import json
import os
import shutil
import time

import pytest
from click.testing import CliRunner
from rich.console import Console

from nsbench import quantities
from nsbench.commands import cache as command_cache
from nsbench.commands import options
from nsbench.commands.main import main
from nsbench.outcomes.file import suites_by_key
from nsbench.store import inventory as cache
from nsbench.store.locks import Busy
from nsbench.store.store import Store
from nsbench.store.workspace import Workspace
from nsbench.suite.planner import make_plan
from nsbench.suite.reading import read_suite

pytestmark = pytest.mark.usefixtures("quick_disk")

DAY = 86_400


@pytest.fixture
def ran(bench, monkeypatch, registry):
    """A toy suite, run; the commands' registry knows the toy."""
    monkeypatch.setattr(options, "installed", lambda: registry)
    bench()
    return bench


@pytest.fixture
def console():
    return Console(record=True, width=200, force_terminal=False)


def text(console):
    return console.export_text()


def age(workspace, days, *stages):
    """Let artifacts of some stages look as old as that."""
    for entry in cache.artifacts(workspace):
        if entry.kind in stages:
            then = time.time() - days * DAY
            os.utime(entry.folder / "manifest.json", (then, then))


def test_every_artifact_is_listed_in_words_with_its_size_and_the_suites_that_name_it(ran):
    entries = cache.artifacts(ran.workspace, suites_by_key(ran.workspace))
    assert sorted(e.what for e in entries if e.kind != "score") == [
        *("fit of coin", "fit of coin", "fit of learner"),
        *("rollouts of analogue", "rollouts of best_deterministic", "rollouts of climatology", "rollouts of coin"),
        *("rollouts of coin", "rollouts of learner", "rollouts of persistence"),
        *("rollouts of redrawn", "rollouts of redrawn"),
        *("test data of line", "train data of line", "val data of line"),
    ]
    scores = {e.what for e in entries if e.kind == "score"}
    assert {"length of learner", "elbo of coin", "length of climatology", "length of persistence"} <= scores
    for entry in entries:
        files = [path for path in entry.folder.rglob("*") if path.is_file()]
        assert entry.size == sum(len(path.read_bytes()) for path in files)
    named = {
        key
        for row in map(json.loads, ran.workspace.results("line").read_text().splitlines())
        for key in row["keys"].values()
    }
    assert {e.key for e in entries if e.suites == ("line",)} == named & {e.key for e in entries}


def test_sizes_add_up(ran, console):
    entries = cache.artifacts(ran.workspace)
    command_cache.show_sizes(ran.workspace, console)
    lines = [line.split() for line in text(console).splitlines() if line.strip()]
    total = next(line for line in lines if line[0] == "together")
    assert int(total[1]) == len(entries) + len(cache.sources(ran.workspace))


def test_verification_names_the_damage_and_moves_it_only_when_told(ran, console):
    workspace = ran.workspace
    assert command_cache.verify(workspace, console, repair=False) == 0
    victim = next((ran.workspace.store / "evidence").glob("*/rollouts.h5"))
    victim.write_bytes(victim.read_bytes()[:-1] + b"?")
    assert command_cache.verify(workspace, console, repair=False) == 1
    assert f"{victim} has changed since it was written" in text(console)
    assert victim.exists()
    assert command_cache.verify(workspace, console, repair=True) == 0
    assert not victim.exists()
    assert command_cache.verify(workspace, console, repair=False) == 0
    assert [e.kind for e in cache.leftovers(ran.workspace)] == ["damaged"]


def test_a_manifest_in_the_wrong_place_is_damage(ran, console):
    one, other = sorted((ran.workspace.store / "score").iterdir())[:2]
    shutil.copy(one / "manifest.json", other / "manifest.json")
    assert command_cache.verify(ran.workspace, console, repair=False) == 1
    assert "does not belong to its key" in text(console)


def test_prune_shows_and_does_nothing_until_told(ran, console):
    age(ran.workspace, 40, "score")
    before = len(cache.artifacts(ran.workspace))
    assert command_cache.prune(ran.workspace, console, older_than="30d", keep=[], yes=False) == 0
    assert "Nothing was removed: say --yes" in text(console)
    assert len(cache.artifacts(ran.workspace)) == before


def test_what_was_not_used_for_so_long_goes_and_the_rest_stays(ran, console):
    age(ran.workspace, 40, "score", "model")
    age(ran.workspace, 20, "data")
    assert command_cache.prune(ran.workspace, console, older_than="30d", keep=[], yes=True) == 0
    assert {e.kind for e in cache.artifacts(ran.workspace)} == {"data", "evidence"}
    assert cache.leftovers(ran.workspace) == []
    outcome, made, _ = ran()
    assert outcome.exit_code == 0
    assert "fit of learner" not in made  # the evidence was there


def test_what_a_suite_needs_is_kept_with_all_that_it_was_made_from(ran, console, write_suite, registry):
    from conftest import SUITE

    ran(SUITE.replace("budget: {transitions: 100}", "budget: {transitions: 60}").replace("name: line", "name: less"))
    kept = write_suite(name="kept.yaml")
    needed = {a.key.digest for a in make_plan(read_suite(kept, registry), registry).artifacts()}
    there = {e.key for e in cache.artifacts(ran.workspace)}
    assert command_cache.prune(ran.workspace, console, older_than=None, keep=[kept], yes=True) == 0
    assert {e.key for e in cache.artifacts(ran.workspace)} == there & needed
    assert there - needed
    assert ran()[1] == []


def test_a_folder_of_suites_keeps_what_each_of_them_needs(ran, console, write_suite, tmp_path):
    folder = tmp_path / "suites"
    folder.mkdir()
    shutil.move(write_suite(), folder / "suite.yaml")
    assert command_cache.prune(ran.workspace, console, older_than=None, keep=[folder], yes=True) == 0
    assert ran()[1] == []


def test_leftovers_go_without_being_asked_for_and_unfinished_fits_only_when_old(ran, console):
    workspace, store = ran.workspace, Store(ran.workspace.store)
    model = next((store.root / "model").iterdir()).name
    for folder in (
        store.root / "drafts" / "x",
        store.root / "damaged" / "y",
        workspace.work / model,
        workspace.work / ("f" * 32),
    ):
        folder.mkdir(parents=True)
        (folder / "file").write_text("something")
    before = len(cache.artifacts(workspace))
    assert command_cache.prune(workspace, console, older_than=None, keep=[], yes=True) == 0
    assert len(cache.artifacts(workspace)) == before
    assert [(e.kind, e.key) for e in cache.leftovers(workspace)] == [("unfinished work", "f" * 32)]
    for path in (workspace.work / ("f" * 32) / "file", workspace.work / ("f" * 32)):
        os.utime(path, (0, 0))
    assert command_cache.prune(workspace, console, older_than="4w", keep=[], yes=True) == 0
    assert cache.leftovers(workspace) == []


def test_nothing_is_removed_while_a_run_uses_the_store(ran, console):
    age(ran.workspace, 40, "score")
    before = len(cache.artifacts(ran.workspace))
    with Store(ran.workspace.store).in_use():
        assert command_cache.prune(ran.workspace, console, older_than="30d", keep=[], yes=True) == 1
        with pytest.raises(Busy), cache.alone(ran.workspace):
            pass
    assert "is in use by a run" in text(console)
    assert len(cache.artifacts(ran.workspace)) == before


def test_a_draft_that_is_being_written_is_in_use(ran):
    with Store(ran.workspace.store).writing(next_key()) as draft:
        (draft.folder / "half").write_text("ha")
        with pytest.raises(Busy), cache.alone(ran.workspace):
            pass


def next_key():
    from nsbench.store.key import Key

    return Key("model", {"name": "new"})


def test_without_locks_only_what_nobody_touched_for_a_day_goes(ran, console, monkeypatch):
    import errno
    import fcntl

    def refused(*arguments):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refused)
    age(ran.workspace, 40, "score")  # their other files are new
    before = len(cache.artifacts(ran.workspace))
    assert command_cache.prune(ran.workspace, console, older_than="30d", keep=[], yes=True) == 0
    assert "has no locks" in text(console)
    assert len(cache.artifacts(ran.workspace)) == before


def test_a_link_to_a_folder_elsewhere_goes_and_the_folder_stays(ran, console, tmp_path):
    victim = next((ran.workspace.store / "score").iterdir())
    shutil.move(victim, tmp_path / "elsewhere")
    victim.symlink_to(tmp_path / "elsewhere")
    age(ran.workspace, 40, "score")
    assert command_cache.prune(ran.workspace, console, older_than="30d", keep=[], yes=True) == 0
    assert not victim.is_symlink()
    assert (tmp_path / "elsewhere" / "manifest.json").exists()


@pytest.mark.parametrize(("words", "seconds"), [("12h", 43_200), ("30d", 30 * DAY), ("4w", 28 * DAY), ("1 d", DAY)])
def test_ages(words, seconds):
    assert quantities.age(words) == seconds


@pytest.mark.parametrize("words", ["", "30", "d", "-1d", "1.5d", "30 days", "1y", "9999999d"])
def test_what_is_no_age_is_refused(words):
    with pytest.raises(ValueError, match="an age is a number of hours, days or weeks"):
        quantities.age(words)


def test_a_workspace_without_a_store_has_nothing_to_prune(tmp_path, console):
    assert command_cache.prune(Workspace(tmp_path), console, older_than=None, keep=[], yes=True) == 0
    assert list(tmp_path.iterdir()) == []


def test_the_commands_by_the_words_that_a_user_types(ran):
    for words, expected in (
        (["list"], "fit of learner"),
        (["size"], "together"),
        (["verify"], "0 damaged"),
        (["prune"], "may go"),
    ):
        result = CliRunner().invoke(main, ["cache", *words, "--workspace", str(ran.workspace.root)])
        assert result.exit_code == 0, result.output
        assert expected in result.output


def test_a_suite_that_cannot_be_planned_removes_nothing(ran, write_suite):
    before = len(cache.artifacts(ran.workspace))
    suite = write_suite("name: [broken]\n", name="broken.yaml")
    words = ["cache", "prune", "--keep", str(suite), "--yes", "--workspace", str(ran.workspace.root)]
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 2
    assert "nothing was removed" in result.output
    assert len(cache.artifacts(ran.workspace)) == before
