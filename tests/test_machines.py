"""Runs on machines that are not a developer's: long and odd paths, no home, no name, no shared memory, no UTF-8."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from conftest import SUITE
from nsbench.tracking.server import find_tables

PROGRAM = """
import sys
sys.path[:0] = [{tests!r}]
from importlib.metadata import entry_points
from conftest import TOY
from nsbench.registry import registry
made = registry.Registry([*entry_points(group="nsbench"), TOY])
registry.installed = lambda: made
from nsbench.commands.main import main
main(sys.argv[1:])
"""

ODD = "größe 50% 'a' \"b\" ?x=1&y#z;"
"""What paths may hold and what addresses, shells, formats and YAML take for something else."""

NOBODY = ["unshare", "--user", "--map-user=41003"]
"""Runs a command as a user of whom the system has no entry."""

MOUNTING = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-ec"]

SMALL_SHM = 'mount -t tmpfs -o size=64m none /dev/shm; exec "$@"'
"""What Docker gives a container, unless it is told otherwise."""

NO_SHM = """
mkdir dev
mount -t tmpfs none dev
for name in null zero full random urandom; do touch dev/$name; mount --bind /dev/$name dev/$name; done
ln -s /proc/self/fd dev/fd
mount --rbind dev /dev
exec "$@"
"""


def require(*command, cwd=None):
    """Skip the test where this system does not let a command run."""
    if (
        shutil.which(command[0]) is None
        or subprocess.run([*command, "true"], cwd=cwd, capture_output=True, check=False).returncode
    ):
        pytest.skip(f"this system does not allow {command[0]}")


@pytest.fixture
def place():
    """A folder where everybody can be."""
    folder = Path(tempfile.mkdtemp(prefix="nsbench-machines-"))
    folder.chmod(0o777)
    yield folder
    subprocess.run(["rm", "-rf", folder], check=True)


@pytest.fixture
def nsbench(place, empty_database):
    """Runs a command in a process of its own, in that folder, where a suite and a database lie."""
    (place / "suite.yaml").write_text(SUITE, encoding="utf-8")

    def go(*words, before=(), without=(), program=None, cwd=None, **variables):
        kept = {name: value for name, value in os.environ.items() if name not in without}
        code = program or PROGRAM.format(tests=str(Path(__file__).parent))
        command = [*before, sys.executable, "-c", code, *map(os.fspath, words)]
        return subprocess.run(command, cwd=cwd or place, env=kept | variables, capture_output=True, check=False)

    def workspace(name="out"):
        folder = place / name
        folder.mkdir(parents=True)
        shutil.copy(empty_database, folder)
        folder.chmod(0o777)
        (folder / "mlflow.db").chmod(0o666)
        return folder

    go.workspace = workspace
    return go


def good(done):
    """The output of a run in which nothing went wrong, and of which nothing is missing."""
    output, errors = done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")
    assert done.returncode == 0, output + errors
    assert "compare in MLflow" in output or "--no-tracking" in done.args, output + errors
    assert errors == "" and "not logged" not in output and "Traceback" not in output, output + errors
    return output


def logs(workspace):
    """What workers printed."""
    return "".join(p.read_text(encoding="utf-8") for p in sorted((workspace / "runs/line/logs").iterdir()))


@pytest.mark.parametrize("length", [90, 200])
def test_a_long_temporary_folder(nsbench, place, length):
    temporary = place / ("t" * (length - len(str(place)) - 1))
    temporary.mkdir()
    workspace = nsbench.workspace()
    good(nsbench("run", "suite.yaml", "--workspace", workspace, "--jobs", "2", TMPDIR=str(temporary)))
    assert (logs(workspace), list(temporary.iterdir())) == ("", [])


@pytest.mark.parametrize("script", [NO_SHM, SMALL_SHM], ids=["no shared memory", "64 MB of it"])
def test_little_shared_memory(nsbench, place, script):
    require(*MOUNTING, script, "sh", cwd=place)
    shutil.rmtree(place / "dev", ignore_errors=True)
    words = ("run", "suite.yaml", "--workspace", nsbench.workspace(), "--jobs", "2")
    good(nsbench(*words, before=[*MOUNTING, script, "sh"]))
    assert logs(place / "out") == ""


TINY = """\
name: line
datasets: [{use: lca, params: {size: 16, train: 8, val: 2, test: {parameters: 2, repeats: 2}}}]
simulators: [{use: cgne, params: {width: 4, latent_channels: 4}}]
metrics: [ewd, elbo, wall_clock]
protocol: {stride: 10, horizon: 64, bounds: {samples: [1], transitions: 4}}
budget: {transitions: 64}
"""


@pytest.mark.slow
@pytest.mark.parametrize("script", [NO_SHM, SMALL_SHM], ids=["no shared memory", "64 MB of it"])
def test_networks_and_kernels_need_no_shared_memory(nsbench, place, script):
    require(*MOUNTING, script, "sh", cwd=place)
    shutil.rmtree(place / "dev", ignore_errors=True)
    (place / "suite.yaml").write_text(TINY, encoding="utf-8")
    good(nsbench("run", "suite.yaml", "--workspace", nsbench.workspace(), before=[*MOUNTING, script, "sh"]))
    assert logs(place / "out") == ""


HOMES = {"no home": None, "a home that cannot be written": "/proc", "an empty home": "home"}


@pytest.mark.parametrize("home", HOMES)
def test_a_user_without_a_name_and_whatever_home(nsbench, place, home):
    """As in a container that is started with a number for a user. What MLflow and matplotlib look for is not there."""
    require(*NOBODY)
    (place / "home").mkdir()
    variables = {} if HOMES[home] is None else {"HOME": str(place / HOMES[home])}
    nameless = ("HOME", "USER", "LOGNAME", "LNAME", "USERNAME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME", "MPLCONFIGDIR")
    words = ("run", "suite.yaml", "--workspace", nsbench.workspace())
    good(nsbench(*words, before=NOBODY, without=nameless, **variables))
    assert (logs(place / "out"), list((place / "home").iterdir())) == ("", [])


def test_pictures_need_no_home(nsbench, place):
    require(*NOBODY)
    program = "from nsbench.report.pictures import _font; print(_font().getname())"
    done = nsbench(before=NOBODY, without=("HOME", "MPLCONFIGDIR", "XDG_CONFIG_HOME"), program=program)
    assert (done.returncode, done.stdout) == (0, b"('DejaVu Sans', 'Book')\n"), done.stderr.decode()


def test_a_data_path_below_nobodys_home_is_not_found_and_no_fault(nsbench, place):
    text = SUITE.replace(
        "{use: line, params: {train: 30}}", "{use: trajectories, params: {path: ~no-such-user/x, format: npz}}"
    )
    (place / "suite.yaml").write_text(text, encoding="utf-8")
    done = nsbench("plan", "suite.yaml")
    assert (done.returncode, done.stderr) == (2, b"suite.yaml: ~no-such-user/x: no such file or folder\n")


def test_odd_letters_in_every_path(nsbench, place):
    """The workspace's, relative and behind a link; the suite's, that of a suite it extends, and that of its data."""
    (place / "real").mkdir()
    (place / "linked").symlink_to("real")
    workspace = nsbench.workspace(f"real/{ODD}")
    named = Path("linked", ODD)
    (place / ODD).mkdir()
    (place / ODD / ODD).write_text(SUITE, encoding="utf-8")
    done = nsbench("run", Path(ODD, ODD), "--workspace", named)
    good(done)
    assert list(find_tables(workspace)) == ["line"]
    exported = nsbench(
        "export", "line", "--suite", Path(ODD, ODD), "--workspace", named, "--format", "well", "--to", Path(ODD, "it's")
    )
    _, *lines = exported.stdout.decode().splitlines()
    rest = SUITE[SUITE.index("simulators") :]
    text = f"extends: {json.dumps(ODD + '/' + ODD, ensure_ascii=False)}\nname: line2\n" + "\n".join(lines) + "\n" + rest
    (place / "second.yaml").write_text(text, encoding="utf-8")
    good(nsbench("run", "second.yaml", "--workspace", named, "--no-tracking"))
    for words in (
        ["track", "second.yaml"],
        ["report", Path(ODD, ODD)],
        ["cache", "verify"],
        ["info", "trial", "line2/learner/r0"],
    ):
        done = nsbench(*words, "--workspace", named)
        assert (done.returncode, done.stderr) == (0, b""), (words, done.stdout, done.stderr)
    assert {path.name for path in place.iterdir()} == {"real", "linked", ODD, "suite.yaml", "second.yaml"}


BAD = os.fsdecode(b"gr\xf6\xdfe")
"""A name in Latin 1."""


def test_a_name_that_is_no_text_is_refused_for_a_workspace_and_read_elsewhere(nsbench, place):
    done = nsbench("run", "suite.yaml", "--workspace", BAD, "--no-tracking")
    assert done.returncode == 2
    assert b"gr\\udcf6\\udcdfe: the path of a workspace must be text in UTF-8; choose another folder\n" in done.stderr
    assert not (place / BAD).exists()
    (place / BAD).mkdir()
    (place / BAD / "suite.yaml").write_text(SUITE, encoding="utf-8")
    good(nsbench("run", Path(BAD, "suite.yaml"), "--workspace", nsbench.workspace()))


def test_links_in_a_circle_are_no_workspace(nsbench, place):
    (place / "a").symlink_to("a")
    done = nsbench("plan", "suite.yaml", "--workspace", "a")
    assert (done.returncode, done.stderr) == (2, b"a: its links lead in a circle\n")


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


@pytest.mark.parametrize("variables", [{"LC_ALL": "C"}, {"LANG": "POSIX", "LC_ALL": ""}], ids=str)
def test_the_locale_c_has_umlauts_in_its_paths(nsbench, variables):
    good(nsbench("run", "suite.yaml", "--workspace", nsbench.workspace("größe"), without=["PYTHONUTF8"], **variables))


def test_a_component_may_print_what_a_system_of_plain_letters_has_not(nsbench, place):
    (place / "chatty.py").write_text(CHATTY, encoding="utf-8")
    (place / "suite.yaml").write_text(SUITE.replace("use: learner", "use: chatty"), encoding="utf-8")
    words = ("run", "suite.yaml", "--workspace", nsbench.workspace(), "--plugin", "chatty.py")
    good(nsbench(*words, **PLAIN))
    assert "ρ is None\n" in logs(place / "out")


def test_a_system_of_plain_letters_takes_no_others_in_a_workspaces_path(nsbench):
    done = nsbench("run", "suite.yaml", "--workspace", "größe", **PLAIN)
    assert done.returncode == 2
    assert done.stderr.endswith(b"choose another folder, or set PYTHONUTF8=1: file names are ascii here\n")


def test_help_is_shown_to_a_terminal_of_plain_letters(nsbench):
    for words in (["--help"], ["run", "--help"], ["list"], ["info", "cgne"]):
        done = nsbench(*words, PYTHONIOENCODING="ascii")
        assert (done.returncode, done.stderr) == (0, b""), (words, done.stderr)
