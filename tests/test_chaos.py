"""Twenty blows to a run, and the table that comes out in the end: the one of a run that was left alone.

A few minutes: `pytest -m slow -s tests/test_chaos.py`. The disks that are full or read-only are a small tmpfs, for which
it must be root; those tests are skipped otherwise.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

pytestmark = pytest.mark.slow

BLOWS = 21
SEED = 20

SUITE = """\
name: chaos
datasets:
  - {use: line, params: {train: 400}}
simulators:
  - {use: coin, as: truth}
  - {use: slow, as: one, params: {rho: 0.3}}
  - {use: slow, as: two, params: {rho: 0.4}}
  - {use: slow, as: three, params: {rho: 0.5}}
metrics: [length, elbo, crps]
protocol: {stride: 1, horizon: 6, members: 2, bounds: null}
budget: {transitions: 400}
"""

RUN = """
import sys
from functools import partial
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from nsbench.running.local import Local
from nsbench.suite.planner import make_plan
from nsbench.registry.registry import Registry
from nsbench.running.run import run
from nsbench.suite.reading import read_suite
from nsbench.suite.session import Session
from nsbench.store.workspace import Workspace

registry = Registry([*entry_points(group="nsbench"), *(EntryPoint(n, n, "nsbench") for n in ("toy", "dawdler"))])
try:
    plan = make_plan(read_suite(Path(sys.argv[1]), registry), registry)
    outcome = run(Session(plan, registry, Workspace(Path(sys.argv[2]))), executor=partial(Local, parallel=int(sys.argv[3])))
except OSError as error:
    sys.exit(f"nsbench: {error}")  # as the command line says it
except KeyboardInterrupt:
    sys.exit(130)
for row in outcome.rows:
    print(row.trial, row.status, row.error)
sys.exit(outcome.exit_code)
"""


class Place:
    """A workspace that is run in, and hit."""

    def __init__(self, root: Path, suite: Path) -> None:
        self.root, self.suite = root, suite
        self.counts: dict[str, int] = {}

    def begin(self, jobs: int = 1) -> subprocess.Popen[str]:
        path = os.pathsep.join([os.path.dirname(__file__), os.environ.get("PYTHONPATH", "")])
        command = [sys.executable, "-c", RUN, str(self.suite), str(self.root), str(jobs)]
        environment = os.environ | {"PYTHONPATH": path}
        return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def finish(self) -> None:
        process = self.begin()
        output, _ = process.communicate(timeout=120)
        assert process.returncode == 0, output

    def table(self) -> dict[str, object]:
        """What the results say, last row of each trial: status and scores, not when and how fast."""
        lines = (self.root / "runs" / "chaos" / "results.jsonl").read_bytes().splitlines()
        rows = {}
        for line in lines:
            with contextlib.suppress(ValueError):  # a line that was torn
                row = json.loads(line)
                rows[row["trial"]] = (row["status"], row["keys"], row["scores"])
        return rows

    def files(self) -> dict[str, bytes]:
        """The content of the store: everything but what says when and where it was made."""
        store = self.root / "store"
        made = [p for p in store.rglob("*") if p.is_file() and "drafts" not in p.parts]
        return {str(p.relative_to(store)): p.read_bytes() for p in made if p.name not in ("manifest.json", "cost.json")}

    def drafts(self) -> list[Path]:
        return list((self.root / "store" / "drafts").glob("*"))


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("undisturbed")
    place = Place(folder / "w", suite_in(folder))
    place.finish()
    return place


def suite_in(folder: Path) -> Path:
    path = folder / "suite.yaml"
    path.write_text(SUITE)
    return path


def workers(run: int) -> list[psutil.Process]:
    try:
        return psutil.Process(run).children()
    except psutil.NoSuchProcess:
        return []


def kill_the_run(place: Place, process: subprocess.Popen[str], chance: random.Random) -> bool:
    time.sleep(chance.uniform(0.3, 2.5))
    process.kill()
    return process.wait() != 0


def kill_a_worker(place: Place, process: subprocess.Popen[str], chance: random.Random) -> bool:
    time.sleep(chance.uniform(0.6, 2.5))
    found = workers(process.pid)
    if not found:
        return False
    with contextlib.suppress(psutil.NoSuchProcess):
        chance.choice(found).kill()
    return True


def kill_the_writer(place: Place, process: subprocess.Popen[str], chance: random.Random) -> bool:
    """The worker, at the moment at which a draft lies in the store, a random number of drafts from now."""
    skip, seen = chance.randrange(6), set()
    while process.poll() is None:
        seen |= set(place.drafts())
        if len(seen) > skip and place.drafts():
            for worker in workers(process.pid):
                with contextlib.suppress(psutil.NoSuchProcess):
                    worker.kill()
            return True
    return False


def interrupt(place: Place, process: subprocess.Popen[str], chance: random.Random) -> bool:
    while process.poll() is None and not workers(process.pid):
        time.sleep(0.02)  # it still imports, and takes a signal as Python does
    time.sleep(chance.uniform(0.0, 1.2))
    process.send_signal(chance.choice([signal.SIGINT, signal.SIGTERM]))
    return process.wait() == 130


def flip_a_bit(place: Place, process: subprocess.Popen[str], chance: random.Random) -> bool:
    """In an artifact that is there already."""
    time.sleep(chance.uniform(0.5, 2.0))
    process.kill()
    if process.wait() == 0:
        return False  # it was through already
    files = sorted(p for p in (place.root / "store").glob("[dems]*/*/*") if p.is_file() and p.parts[-3] != "damaged")
    files = [path for path in files if path.parent.parent.name in ("data", "model", "evidence", "score")]
    if not files:
        return False
    flip(chance.choice(files), chance)
    return True


def flip_a_bit_of_unfinished_work(place: Place, process: subprocess.Popen[str], chance: random.Random) -> bool:
    """In the journal of a fit, which is interrupted as soon as it has one."""
    begun = time.time()
    while process.poll() is None and not any(at > begun for at in checkpoints(place)):
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)  # at which the journal is written
    process.wait()
    journals = sorted((place.root / "work").glob("*/journal.json"))
    if not journals:
        return False
    flip(chance.choice(journals), chance)
    return True


def checkpoints(place: Place) -> list[float]:
    """The times at which the checkpoints of unfinished fits were written."""
    times = []
    for path in (place.root / "work").glob("*/checkpoints/sum.json"):
        with contextlib.suppress(FileNotFoundError):  # the fit has ended
            times.append(path.stat().st_mtime)
    return times


def flip(path: Path, chance: random.Random) -> None:
    content = bytearray(path.read_bytes())
    content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
    path.write_bytes(content)


def tear_the_results(place: Place, process: subprocess.Popen[str], chance: random.Random) -> bool:
    time.sleep(chance.uniform(1.0, 2.5))
    process.kill()
    if process.wait() == 0:
        return False
    path = place.root / "runs" / "chaos" / "results.jsonl"
    if not path.exists() or not path.stat().st_size:
        return False
    os.truncate(path, chance.randrange(path.stat().st_size))
    return True


WAYS = (
    kill_the_run,
    kill_a_worker,
    kill_the_writer,
    interrupt,
    flip_a_bit,
    flip_a_bit_of_unfinished_work,
    tear_the_results,
)


def test_after_many_blows_the_table_is_that_of_an_undisturbed_run(tmp_path, undisturbed):
    """Each blow falls on a run that is under way; whenever one survives to its end, the store begins anew."""
    chance, place, rounds = random.Random(SEED), Place(tmp_path / "w0", suite_in(tmp_path)), 0
    counts: dict[str, int] = {way.__name__: 0 for way in WAYS}
    before = time.monotonic()
    while sum(counts.values()) < BLOWS:
        way = min(WAYS, key=lambda w: (counts[w.__name__], chance.random()))
        process = place.begin(jobs=chance.choice([1, 2]))
        struck = way(place, process, chance)
        output, _ = process.communicate(timeout=120)
        assert "Traceback" not in output, output
        counts[way.__name__] += struck
        if process.returncode == 0:  # it got through: compare, and begin with an empty workspace
            assert place.table() == undisturbed.table()
            rounds += 1
            place = Place(tmp_path / f"w{rounds}", place.suite)
    place.finish()
    assert place.table() == undisturbed.table()
    assert place.files() == undisturbed.files()
    print(f"\n{sum(counts.values())} blows: {counts}; {rounds + 1} tables, {time.monotonic() - before:.0f} s")


@pytest.fixture
def small_disk(tmp_path):
    """A file system of its own: makes it that large, or read-only."""
    folder = tmp_path / "disk"
    folder.mkdir()

    def mount(*options: str) -> None:
        subprocess.run(["mount", *options, str(folder)], check=True, capture_output=True)

    try:
        mount("-t", "tmpfs", "-o", "size=64m", "tmpfs")
    except (subprocess.CalledProcessError, FileNotFoundError):
        pytest.skip("needs to mount a tmpfs")

    def remount(options: str) -> None:
        """Read-only only when nobody writes any more: workers that were just killed may take a moment."""
        for _ in range(50):
            with contextlib.suppress(subprocess.CalledProcessError):
                return mount("-o", f"remount,{options}")
            time.sleep(0.1)
        raise AssertionError(f"remount,{options} is refused")

    yield folder, remount
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.mark.parametrize("kilobytes", [40, 80, 120, 160, 200])
def test_a_full_disk_is_said_and_with_room_the_run_ends_as_if_nothing_had_been(
    small_disk, tmp_path, undisturbed, kilobytes
):
    folder, remount = small_disk
    place = Place(folder / "w", suite_in(tmp_path))
    remount(f"size={kilobytes}k")
    process = place.begin()
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 1
    assert "No space left on device" in output
    assert "Traceback" not in output
    remount("size=64m")
    place.finish()
    assert place.table() == undisturbed.table()
    assert place.files() == undisturbed.files()


def test_a_disk_that_becomes_read_only_is_said_and_costs_nothing_that_was_done(small_disk, tmp_path, undisturbed):
    folder, remount = small_disk
    place = Place(folder / "w", suite_in(tmp_path))
    process = place.begin()
    while not (place.root / "store" / "model").exists():
        assert process.poll() is None
        time.sleep(0.01)
    process.kill()
    process.communicate()
    done = place.files()
    remount("ro")
    process = place.begin()
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 1
    assert "Read-only file system" in output
    assert "Traceback" not in output
    remount("rw")
    place.finish()
    assert place.table() == undisturbed.table()
    assert done.items() <= place.files().items()


def test_a_read_only_store_is_read_and_its_damage_is_said(small_disk, tmp_path, undisturbed):
    """Only the store: what it holds serves, what it lacks fails in words."""
    folder, remount = small_disk
    place = Place(tmp_path / "w", suite_in(tmp_path))
    place.root.mkdir()
    (place.root / "store").symlink_to(folder)
    place.finish()
    score = next(folder.glob("score/*"))
    for file in score.iterdir():
        file.unlink()
    score.rmdir()
    remount("ro")
    process = place.begin()
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 1
    assert "Read-only file system" in output
    assert output.count(" ok ") == 3
    remount("rw")
    place.finish()
    assert place.table() == undisturbed.table()
