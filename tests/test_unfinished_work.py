"""What a fit or a dataset left unfinished is used only if it is as it was written; a damaged piece is made again."""

from __future__ import annotations

import random
from importlib.metadata import EntryPoint, entry_points

import numpy as np
import pytest

from conftest import SUITE
from nsbench.components.events import Notice
from nsbench.registry.registry import Registry
from nsbench.running.run import run
from nsbench.stages.fit import Journal
from nsbench.store.checked import read_checked, verify_checked, whole_checked, write_checked
from nsbench.store.inventory import leftovers
from nsbench.store.manifest import Damaged
from nsbench.store.workspace import Workspace
from nsbench.suite.planner import make_plan
from nsbench.suite.reading import read_suite
from nsbench.suite.session import Session
from nsbench.trajectories.hdf5 import read_trajectories, write_trajectories

CONTENT = b"a" * 3_000


def flip(path, position, bit=0):
    content = bytearray(path.read_bytes())
    content[position] ^= 1 << bit
    path.write_bytes(content)


def test_every_flipped_bit_is_found_wherever_it_is(tmp_path):
    path, chance = tmp_path / "work", random.Random(1)
    write_checked(path, CONTENT)
    size = path.stat().st_size
    for position in [*range(0, size, 97), *range(len(CONTENT), size)]:
        write_checked(path, CONTENT)
        assert read_checked(path) == CONTENT
        verify_checked(path)
        flip(path, position, chance.randrange(8))
        for check in (read_checked, verify_checked):
            with pytest.raises(Damaged, match="work has changed since it was written"):
                check(path)


@pytest.mark.parametrize("length", [0, 1, 60, 71, 72, 2_000])
def test_a_file_cut_short_is_found(tmp_path, length):
    write_checked(tmp_path / "work", CONTENT)
    (tmp_path / "work").write_bytes((tmp_path / "work").read_bytes()[:length])
    for check in (read_checked, verify_checked):
        with pytest.raises(Damaged):
            check(tmp_path / "work")


def test_hdf5_passes_the_checksum_over(tmp_path, crystals):
    path = tmp_path / "part.h5"
    with whole_checked(path) as draft:
        write_trajectories(draft, crystals[1])
    verify_checked(path)
    read = read_trajectories(path, crystals[1].domain)
    np.testing.assert_array_equal(read.arrival, crystals[1].arrival)


def test_a_fit_whose_journal_is_damaged_begins_anew(tmp_path, write_suite):
    """Its checkpoint is whole, and is not gone on from: curves and seconds of what led there are lost."""
    registry = Registry([*entry_points(group="nsbench"), *(EntryPoint(n, n, "nsbench") for n in ("toy", "dawdler"))])
    text = SUITE.replace("{use: learner}", "{use: slow, as: learner, params: {rho: 0.4}}")
    plan = make_plan(read_suite(write_suite(text), registry), registry)
    sessions = [Session(plan, registry, Workspace(tmp_path / name)) for name in ("whole", "damaged")]
    work = sessions[1].workspace.work / next(trial.model.digest for trial in plan.trials if "learner" in trial.id)
    with Journal(make(work), print) as journal:
        journal.log("train/sum", 7.0, 1)
    flip(work / "journal.json", 5)
    (make(work / "checkpoints") / "sum.json").write_text("[19, 100.0]")
    notices = []
    for session in sessions:
        assert run(session, [lambda event: notices.append(event) if isinstance(event, Notice) else None]).exit_code == 0
    (notice,) = notices
    assert "journal.json has changed since it was written; moved with its folder to" in notice.message
    curves = [next(session.workspace.store.glob(f"model/{work.name}/curves.json")) for session in sessions]
    assert curves[0].read_bytes() == curves[1].read_bytes()
    (aside,) = sessions[1].workspace.work.iterdir()
    assert sorted(path.name for path in aside.iterdir()) == ["checkpoints", "journal.json"]
    (entry,) = (entry for entry in leftovers(sessions[1].workspace) if entry.kind == "damaged")
    assert entry.folder == aside


def make(folder):
    folder.mkdir(parents=True, exist_ok=True)
    return folder
