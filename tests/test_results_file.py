"""Results that are added to while machines die, disks fill, and another run does the same."""

from __future__ import annotations

import errno
import os
from dataclasses import replace

import pytest

from nsbench.components.rows import TrialResult
from nsbench.outcomes import file as results
from nsbench.outcomes.file import ResultsFile, UnreadableResults, append, load, read

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


def test_a_failure_to_make_again_what_was_made_does_not_replace_it(tmp_path):
    path = tmp_path / "results.jsonl"
    file = ResultsFile(path)
    file.add(ROWS[0])
    file.add(replace(ROWS[0], status="failed", error="OSError: Input/output error"))
    assert load(path) == [ROWS[0]]


LATER_SCORE = '{"metric": "ewd", "unit": "", "direction": "min", "value": 1.5, "colour": "red"}'
OF_A_LATER_VERSION = ROWS[1].to_json()[:-1] + f', "energy": 3.5, "scores": [{LATER_SCORE}]}}'


@pytest.mark.parametrize(
    "foreign",
    [
        b"\0" * 700,
        b'{"trial": 3}',
        b'{"trial": "d/x/r0", "dataset": "d"}',
        b"\xff\xfe",
        b"[1, 2]",
        b"<html>",
        b"7",
        b"[" * 9_000,
    ],
)
def test_lines_that_are_no_rows_cost_nothing_but_themselves(tmp_path, foreign):
    path = tmp_path / "results.jsonl"
    first, second = (row.to_json().encode() for row in ROWS)
    before = first + b"\n" + foreign + b"\n" + second + b"\n"
    path.write_bytes(before)
    content = read(path)
    assert list(content.rows) == ROWS
    zeros = not foreign.strip(b"\0")
    assert zeros == (content.note == "")
    assert zeros or "a line is no result, left out and kept as they are: 2 (line 2: " in content.note
    later = replace(ROWS[1], status="failed", keys={"model": "other"})
    ResultsFile(path).add(later)
    assert path.read_bytes() == before + later.to_json().encode() + b"\n"


def test_a_row_of_a_later_version_is_read_by_the_fields_that_are_known(tmp_path):
    path = tmp_path / "results.jsonl"
    path.write_text(OF_A_LATER_VERSION + "\n")
    (row,) = load(path)
    assert (row.trial, row.scores[0].metric, row.scores[0].value) == (ROWS[1].trial, "ewd", 1.5)


def test_zeros_before_the_first_row_and_after_the_last_are_passed_over(tmp_path):
    path = tmp_path / "results.jsonl"
    path.write_bytes(b"\0" * 40 + b"\n" + ROWS[0].to_json().encode() + b"\n" + b"\0" * 40)
    append(path, ROWS[1])
    assert load(path) == ROWS


def test_a_file_in_which_nothing_is_a_row_is_refused(tmp_path):
    path = tmp_path / "results.jsonl"
    path.write_text("shopping list\n")
    with pytest.raises(UnreadableResults, match=r"results\.jsonl:1: not a result"):
        ResultsFile(path)
