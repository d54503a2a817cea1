"""What a fit or a dataset left unfinished is used only if it is as it was written; a damaged piece is made again."""

from __future__ import annotations

import random

import numpy as np
import pytest

from nsbench.stages.fit import Journal
from nsbench.store.checked import read_checked, verify_checked, whole_checked, write_checked
from nsbench.store.manifest import Damaged
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


def test_a_damaged_journal_is_set_aside_and_told_once(tmp_path):
    told = []
    with Journal(tmp_path, lambda point: None, told.append) as journal:
        journal.log("loss", 1.0, 1)
    assert Journal(tmp_path, print, told.append).curves() == [("loss", 1.0, 1)]
    flip(tmp_path / "journal.json", 5)
    assert Journal(tmp_path, print, told.append).curves() == []
    assert Journal(tmp_path, print, told.append).curves() == []
    (message,) = told
    assert "journal.json has changed since it was written; moved to journal.json.damaged-" in message
    assert len(list(tmp_path.glob("journal.json.damaged-*"))) == 1
