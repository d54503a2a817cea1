"""A lock keeps processes apart, and is gone when its holder is, however it went."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import threading
import time

import pytest

from nsbench.store import locks
from nsbench.store.locks import Busy, held, held_at_once, is_held

HOLD = """
import sys, time
from pathlib import Path
from nsbench.store.locks import held
with held(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(100)
"""


@pytest.fixture
def holder(tmp_path):
    """A process that holds the lock."""
    process = subprocess.Popen([sys.executable, "-c", HOLD, tmp_path / "lock"], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.communicate()


def test_a_killed_holder_leaves_no_lock(tmp_path, holder):
    path, waited = tmp_path / "lock", []

    def waiting(owner):
        waited.append(time.monotonic())
        holder.kill()

    assert is_held(path)
    with held(path, waiting=waiting) as alone:
        assert alone
        assert waited
        assert is_held(path)
    assert not is_held(path)
    assert not path.exists()


def test_at_once_or_not_at_all(tmp_path, holder):
    with pytest.raises(Busy), held_at_once(tmp_path / "lock"):
        pass
    holder.kill()
    holder.wait()
    with held_at_once(tmp_path / "lock") as alone:
        assert alone
    assert not (tmp_path / "lock").exists()


def test_whoever_asks_is_no_holder(tmp_path, monkeypatch):
    """Two ask at the same time: the second, while the first has the file open and locked."""
    (tmp_path / "lock").touch()
    close, answers = os.close, []

    def ask_first(descriptor):
        monkeypatch.setattr(locks.os, "close", close)
        answers.append(is_held(tmp_path / "lock"))
        close(descriptor)

    monkeypatch.setattr(locks.os, "close", ask_first)
    answers.append(is_held(tmp_path / "lock"))
    assert answers == [False, False]


def test_whoever_waits_may_give_up(tmp_path, holder):
    def tired(owner):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), held(tmp_path / "lock", waiting=tired):
        pass
    assert is_held(tmp_path / "lock")


def test_many_come_in_one_by_one_though_the_file_is_removed_each_time(tmp_path, monkeypatch):
    monkeypatch.setattr(locks, "_POLL_SECONDS", 0.001)
    inside, most = [], []

    def enter():
        for _ in range(20):
            with held(tmp_path / "lock"):
                inside.append(1)
                most.append(len(inside))
                time.sleep(0.0005)
                inside.pop()

    threads = [threading.Thread(target=enter) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1] * 160


def test_a_file_system_without_locks_is_lived_with(tmp_path, monkeypatch):
    def unsupported(descriptor, operation):
        raise OSError(errno.ENOLCK, "no locks available")

    monkeypatch.setattr(locks.fcntl, "flock", unsupported)
    with held(tmp_path / "lock") as alone:
        assert not alone
