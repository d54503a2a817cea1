"""Results that are added to while machines die, disks fill, and another run does the same."""

from __future__ import annotations

import errno
import os
from dataclasses import replace

import pytest

from nsbench.components.rows import TrialResult
from nsbench.outcomes import file as results
from nsbench.outcomes.file import ResultsFile, append, load

ROWS = [TrialResult(f"d/µ{i}/r0", "d", f"µ{i}", 0, "ok", {"model": "k"}, seconds=float(i)) for i in range(2)]


def test_a_file_cut_at_any_byte_keeps_the_rows_before_and_takes_the_next(tmp_path):
    path = tmp_path / "results.jsonl"
    first, second = ((row.to_json() + "\n").encode() for row in ROWS)
    for cut in range(len(second)):
        path.write_bytes(first + second[:cut])
        whole = cut == len(second) - 1  # only the end of the line is missing
        assert load(path) == ROWS[: 1 + whole]
        append(path, ROWS[1])
        assert load(path) == ROWS


def test_a_row_that_finds_no_room_is_taken_back(tmp_path, monkeypatch):
    path = tmp_path / "results.jsonl"
    append(path, ROWS[0])
    before = path.read_bytes()

    def full(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(results.os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        append(path, ROWS[1])
    assert path.read_bytes() == before


def test_what_is_known_is_not_added_again_also_when_another_run_added_it(tmp_path):
    path = tmp_path / "results.jsonl"
    one, other = ResultsFile(path), ResultsFile(path)
    one.add(ROWS[0])
    other.add(replace(ROWS[0], seconds=9.0))
    other.add(ROWS[1])
    one.add(ROWS[1])
    assert len(path.read_text().splitlines()) == 2


def test_an_interruption_does_not_replace_what_another_run_finished(tmp_path):
    path = tmp_path / "results.jsonl"
    one, other = ResultsFile(path), ResultsFile(path)
    one.add(ROWS[0])
    other.add(replace(ROWS[0], status="interrupted"))
    assert load(path)[0].status == "ok"
    other.add(replace(ROWS[0], status="interrupted", keys={"model": "another"}))
    assert load(path)[0].status == "interrupted"
