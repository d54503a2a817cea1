"""Runs on machines that are not a developer's: long and odd paths, no home, no name, no shared memory, no UTF-8."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from conftest import SUITE
from nsbench.commands import options
from nsbench.commands.export import Exported, reading_lines
from nsbench.commands.main import main
from nsbench.components.dataset import SPLITS
from nsbench.errors import Refusal
from nsbench.registry.plugin_files import name_files
from nsbench.running.run import run
from nsbench.store.workspace import workspace_at
from nsbench.suite.session import open_session
from nsbench.tracking.server import find_tables

TOY = Path(__file__).with_name("toy.py")

ODD = "größe 50% 'a' \"b\" ?x=1&y#z;"
"""What paths may hold and what addresses, shells, formats and YAML take for something else."""

NOBODY = ["unshare", "--user", "--map-user=41003"]
"""Runs a command as a user of whom the system has no entry."""

MOUNTING = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-ec"]

SMALL_SHM = 'mount -t tmpfs -o size=64m none /dev/shm; exec "$@"'
"""What Docker gives a container, unless it is told otherwise."""

NO_SHM = """
mkdir -p dev
mount -t tmpfs none dev
for name in null zero full random urandom; do touch dev/$name; mount --bind /dev/$name dev/$name; done
ln -s /proc/self/fd dev/fd
mount --rbind dev /dev
exec "$@"
"""


def require(*command, cwd=None):
    """Skip the test where this system does not let a command run."""
    there = shutil.which(command[0]) is not None
    if not there or subprocess.run([*command, "true"], cwd=cwd, capture_output=True, check=False).returncode:
        pytest.skip(f"this system does not allow {command[0]}")


@pytest.fixture
def nsbench(tmp_path):
    """Runs a command in a process of its own, in that folder, where a suite lies."""
    (tmp_path / "suite.yaml").write_text(SUITE, encoding="utf-8")

    def go(*words, before=(), without=(), program=("-m", "nsbench"), **variables):
        kept = {name: value for name, value in os.environ.items() if name not in without}
        kept |= {"NSBENCH_PLUGINS": str(TOY), "PYTHONPATH": os.pathsep.join(sys.path), **variables}
        command = [*before, sys.executable, "-P", *program, *map(os.fspath, words)]
        return subprocess.run(command, cwd=tmp_path, env=kept, capture_output=True, check=False)

    return go


RUN = ("run", "suite.yaml", "--workspace", "out", "--no-tracking")


def good(done):
    """The output of a command in which nothing went wrong, and of which nothing is missing."""
    output, errors = done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")
    assert (done.returncode, errors, "note:" in output) == (0, "", False), output + errors
    return output


def printed(workspace):
    """What workers printed, without what nsbench itself writes to their logs."""
    logs = [path.read_text(encoding="utf-8").splitlines() for path in (workspace / "runs/line/logs").iterdir()]
    return [line for log in logs for line in log if ": ok after " not in line]


LITTLE = pytest.mark.parametrize(
    ("script", "length"),
    [(NO_SHM, 200), pytest.param(SMALL_SHM, 90, marks=pytest.mark.slow)],
    ids=["no shared memory", "64 MB of it"],
)


@LITTLE
def test_little_shared_memory_and_a_long_temporary_folder(nsbench, tmp_path, script, length):
    require(*MOUNTING, script, "sh", cwd=tmp_path)
    temporary = tmp_path / ("t" * max(1, length - len(str(tmp_path)) - 1))
    temporary.mkdir()
    good(nsbench(*RUN, before=[*MOUNTING, script, "sh"], TMPDIR=str(temporary)))
    assert (printed(tmp_path / "out"), list(temporary.iterdir())) == ([], [])


TINY = """\
name: line
datasets: [{use: lca, params: {size: 16, train: 8, val: 2, test: {parameters: 2, repeats: 2}}}]
simulators: [{use: cgne-laptop, params: {width: 4, latent_channels: 4}}]
metrics: [ewd, elbo, wall_clock]
protocol: {stride: 10, horizon: 64, bounds: {samples: [1], transitions: 4}}
budget: {transitions: 64}
"""


@pytest.mark.slow
@LITTLE
def test_networks_and_kernels_need_no_shared_memory(nsbench, tmp_path, script, length):
    """Without any, joblib and Numba say in the trial's log that they will not start processes."""
    require(*MOUNTING, script, "sh", cwd=tmp_path)
    (tmp_path / "suite.yaml").write_text(TINY, encoding="utf-8")
    good(nsbench(*RUN, before=[*MOUNTING, script, "sh"]))


NAMES = ("HOME", "USER", "LOGNAME", "LNAME", "USERNAME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME", "MPLCONFIGDIR")


@pytest.mark.parametrize(
    "home", [None, *(pytest.param(name, marks=pytest.mark.slow) for name in ("/proc", "empty"))], ids=str
)
def test_a_user_without_a_name_and_whatever_home(nsbench, tmp_path, empty_database, home):
    """As in a container that is started with a number for a user. No home, one that cannot be written, one that can."""
    require(*NOBODY)
    for name in ("empty", "out"):
        (tmp_path / name).mkdir()
    shutil.copy(empty_database, tmp_path / "out")
    variables = {"HOME": str(tmp_path / home)} if home else {}
    good(nsbench(*RUN[:-1], before=NOBODY, without=NAMES, **variables))
    assert (printed(tmp_path / "out"), list((tmp_path / "empty").iterdir())) == ([], [])
    assert list(find_tables(tmp_path / "out")) == ["line"]


def test_pictures_leave_nothing_in_a_home(nsbench, tmp_path):
    program = ("-c", "from nsbench.report.pictures import _font; print(*_font().getname())")
    (tmp_path / "home").mkdir()
    done = nsbench(without=NAMES, program=program, HOME=str(tmp_path / "home"))
    assert (good(done), list((tmp_path / "home").iterdir())) == ("DejaVu Sans Book\n", [])


def test_a_data_path_below_nobodys_home_is_not_found_and_no_fault(write_suite, registry):
    lines = "datasets: [{use: trajectories, params: {path: ~no-such-user/x, format: npz}}]"
    text = SUITE.replace("  - {use: line, params: {train: 30}}\n", "")
    with pytest.raises(Refusal, match="~no-such-user/x: no such file or folder"):
        open_session(write_suite(text, datasets=lines), registry=registry)


@pytest.fixture
def cli(monkeypatch, registry, tmp_path):
    """Runs a command in this process, in a folder of its own."""
    monkeypatch.setattr(options, "installed", lambda: registry)
    monkeypatch.chdir(tmp_path)

    def go(*words):
        done = CliRunner().invoke(main, list(map(os.fspath, words)))
        assert (done.exit_code, done.stderr) == (0, ""), done.output
        return done.stdout

    return go


def test_odd_letters_in_every_path(cli, tmp_path, empty_database):
    """The workspace's, relative and behind a link; the suite's, that of a suite it extends, and that of its data."""
    workspace, named, suite = tmp_path / "real" / ODD, Path("linked", ODD), Path(ODD, ODD)
    workspace.mkdir(parents=True)
    (tmp_path / "linked").symlink_to("real")
    shutil.copy(empty_database, workspace)
    suite.parent.mkdir()
    suite.write_text(SUITE, encoding="utf-8")
    cli("run", suite, "--workspace", named)
    assert list(find_tables(workspace)) == ["line"]
    words = ("export", "line", "--suite", suite, "--workspace", named, "--format", "well", "--to", Path(ODD, "it's"))
    _, *lines = cli(*words).splitlines()
    rest = SUITE[SUITE.index("simulators") :].splitlines()
    extends = f"extends: {json.dumps(str(suite), ensure_ascii=False)}"
    Path("second.yaml").write_text("\n".join([extends, "name: second", *lines, *rest, ""]), encoding="utf-8")
    cli("run", "second.yaml", "--workspace", named, "--no-tracking", "--executor", "inline")
    for words in (
        ["track", "second.yaml"],
        ["report", suite],
        ["cache", "verify"],
        ["info", "trial", "line/learner/r0", "--suite", suite],
    ):
        cli(*words, "--workspace", named)
    assert sorted(find_tables(workspace)) == ["line", "second"]
    assert {path.name for path in tmp_path.iterdir()} == {"real", "linked", ODD, "second.yaml"}


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("export", "export"),
        ("a/größe", "a/größe"),
        ("1.5", '"1.5"'),
        ("yes", '"yes"'),
        ("1_0", '"1_0"'),
        ("a 😀", '"a 😀"'),
    ],
)
def test_the_lines_that_read_an_export_back_name_its_path(path, line):
    *_, use = reading_lines("d", "npz", Path(path), Exported(1, 1, 1, {}), SPLITS)
    assert f"path: {line}," in use
    assert yaml.safe_load(f"datasets:\n{use}")["datasets"][0]["params"]["path"] == path


BAD = os.fsdecode(b"gr\xf6\xdfe")
"""A name in Latin 1."""


def test_a_name_that_is_no_text_is_refused_for_a_workspace_and_read_elsewhere(tmp_path, registry):
    folder = tmp_path / BAD
    folder.mkdir()
    (folder / "suite.yaml").write_text(SUITE, encoding="utf-8")
    session = open_session(folder / "suite.yaml", tmp_path / "out", registry=registry)
    assert [row.status for row in run(session).rows] == ["ok", "ok"]
    for path in (folder, folder / "below"):
        with pytest.raises(Refusal, match=r"the path of a workspace must be text in UTF-8; choose another folder$"):
            workspace_at(path)


def test_links_in_a_circle_are_no_workspace(tmp_path):
    (tmp_path / "a").symlink_to("a")
    with pytest.raises(Refusal, match="its links lead in a circle"):
        workspace_at(tmp_path / "a" / "b")


def test_a_plugin_in_a_folder_that_paths_are_parted_at_is_refused(tmp_path):
    with pytest.raises(Refusal, match="must have no ':' in its path"):
        name_files([tmp_path / "a:b" / "mine.py"])


CHATTY = """
from nsbench import hookimpl
from nsbench.components.simulator import SimulatorSpec
from toy import Coin

class Chatty(Coin):
    def rollout(self, start, steps, rng):
        print("\\u03c1 is", self.coin)
        return super().rollout(start, steps, rng)

@hookimpl
def nsbench_simulators():
    return [SimulatorSpec("chatty", "chatty:Chatty", "toy:CoinParams")]
"""

PLAIN = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


@pytest.mark.slow
@pytest.mark.parametrize("variables", [{"LC_ALL": "C"}, {"LANG": "POSIX", "LC_ALL": ""}], ids=str)
def test_the_locale_c_has_umlauts_in_its_paths(nsbench, variables):
    good(nsbench(*RUN[:2], "--workspace", "größe", without=["PYTHONUTF8"], **variables))


def test_a_component_may_print_what_a_system_of_plain_letters_has_not(nsbench, tmp_path):
    (tmp_path / "chatty.py").write_text(CHATTY, encoding="utf-8")
    (tmp_path / "suite.yaml").write_text(SUITE.replace("use: learner", "use: chatty"), encoding="utf-8")
    good(nsbench(*RUN, "--plugin", "chatty.py", **PLAIN))
    assert set(printed(tmp_path / "out")) == {"ρ is None"}


def test_a_system_of_plain_letters_takes_no_others_in_a_workspaces_path(nsbench):
    done = nsbench("run", "suite.yaml", "--workspace", "größe", **PLAIN)
    assert done.returncode == 2
    assert done.stderr.endswith(b"choose another folder, or set PYTHONUTF8=1: file names are ascii here\n")


def test_a_terminal_of_plain_letters_shows_others_as_their_numbers(nsbench):
    assert "\\xe9" in good(nsbench("list", PYTHONIOENCODING="ascii", COLUMNS="300"))
