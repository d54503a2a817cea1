"""Trial imports: before a plugin is imported here, it is imported and asked in a child process, which it may end.

What cannot be caught is found out there: a plugin that crashes, hangs, ends the process, or changes what other
components compute with is named and not imported. A verdict is reached once; a run hands its own on to its workers.
"""

from __future__ import annotations

import contextlib
import faulthandler
import json
import os
import resource
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import EntryPoint
from pathlib import Path

from nsbench.registry import hooks
from nsbench.registry.plugin_files import load_file, place_of
from nsbench.registry.process_state import Keeper

DEADLINE = 20.0
"""The seconds that a plugin may take to be imported and to list what it provides."""

_verdicts: dict[str, str] = {}
_HOOKS = tuple(name for name in vars(hooks) if name.startswith("nsbench_") and name != "nsbench_event")


@dataclass(frozen=True)
class Candidate:
    """A plugin to be imported. file: its path, if it is one file and not installed; else ""."""

    name: str
    value: str
    file: str = ""

    @property
    def key(self) -> str:
        return self.file or f"{self.name} = {self.value}"

    def load(self) -> object:
        """The plugin's module or object. Raises whatever its import raises."""
        if self.file:
            return load_file(Path(self.file))
        return EntryPoint(self.name, self.value, "nsbench").load()

    def is_imported(self) -> bool:
        return self.value.partition(":")[0] in sys.modules


def verdicts() -> dict[str, str]:
    """The verdicts so far, by the candidates' keys: why a plugin must not be imported, or ""."""
    return dict(_verdicts)


def take_over(found: Mapping[str, str]) -> None:
    """Take another process's verdicts for one's own, so that the same plugins are not tried again."""
    _verdicts.update(found)


def verdict(candidates: Sequence[Candidate]) -> dict[str, str]:
    """The verdict on each candidate. Plugins that are imported already, or were tried, are not tried again."""
    _verdicts.update({each.key: "" for each in candidates if each.key not in _verdicts and each.is_imported()})
    untried = [each for each in candidates if each.key not in _verdicts]
    while untried:
        reached = _try(untried)
        _verdicts.update(zip((each.key for each in untried), reached, strict=False))
        untried = untried[len(reached) :]
    return {each.key: _verdicts[each.key] for each in candidates}


def _try(candidates: Sequence[Candidate]) -> list[str]:
    """The verdicts of one child process on the first candidates: up to one that ends it, at least one."""
    with _child(candidates) as (pid, pipe):
        reached: list[str] = []
        where, rest, deadline = "before it is imported", b"", time.monotonic() + DEADLINE
        while len(reached) < len(candidates):
            ready, _, _ = select.select([pipe], [], [], max(0.0, deadline - time.monotonic()))
            if not ready:
                return [*reached, f"it takes longer than {DEADLINE:g} s {where}, and was not waited for"]
            data = os.read(pipe, 1 << 16)
            if not data:
                return [*reached, f"it {_end(pid)} {where}"]
            *lines, rest = (rest + data).split(b"\n")
            for message in map(json.loads, lines):
                where = message.get("where", where)
                if "verdict" in message:
                    reached.append(message["verdict"])
                    deadline = time.monotonic() + DEADLINE
        return reached


def _end(pid: int) -> str:
    """The end of a child that has closed its pipe, in words."""
    for _ in range(50):
        status = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        if status is not None:
            if status.si_code == os.CLD_EXITED:
                return f"ends the process (exit status {status.si_status})"
            return f"crashes the process ({signal.Signals(status.si_status).name})"
        time.sleep(0.02)
    return "closes what is not its own"


@contextlib.contextmanager
def _child(candidates: Sequence[Candidate]) -> Iterator[tuple[int, int]]:
    """A child that tries candidates: its number, and the pipe that it reports to. It is killed with all it started."""
    reading, writing = os.pipe()
    pid = 0
    try:
        pid = _forked(candidates, writing) if _may_fork() else _started(candidates, writing)
        os.close(writing)
        writing = -1
        yield pid, reading
    finally:
        if pid:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(pid, signal.SIGKILL)
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)  # it has no group yet
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, 0)
        os.close(reading)
        if writing >= 0:
            os.close(writing)


def _may_fork() -> bool:
    """Return whether a fork of this process can work: threads, torch's among them, would be missing in it."""
    return threading.active_count() == 1 and "torch" not in sys.modules


def _forked(candidates: Sequence[Candidate], writing: int) -> int:
    pid = os.fork()
    if pid:
        return pid
    try:
        os.setsid()  # Ctrl-C is for the command
        _try_here(candidates, writing)
    finally:
        os._exit(0)  # the parent's buffers and exit handlers are the parent's


def _started(candidates: Sequence[Candidate], writing: int) -> int:
    task = json.dumps({"path": sys.path, "candidates": [asdict(each) for each in candidates]})
    command = [sys.executable, "-P", "-m", "nsbench.registry.trial_import", str(writing), task]
    quiet = subprocess.DEVNULL
    process = subprocess.Popen(
        command, stdin=quiet, stdout=quiet, stderr=quiet, pass_fds=(writing,), start_new_session=True
    )
    process.returncode = 0  # it is waited for by its number
    return process.pid


def _try_here(candidates: Sequence[Candidate], writing: int) -> None:
    """Import the candidates in this process, which was made for it, and report."""
    faulthandler.disable()
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
    nothing = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nothing, descriptor)
    sys.stdout = sys.stderr = os.fdopen(
        nothing, "w", closefd=False
    )  # what is printed will be printed by the import itself
    signal.signal(signal.SIGINT, signal.default_int_handler)

    def tell(**message: str) -> None:
        os.write(writing, json.dumps(message).encode() + b"\n")

    for candidate in candidates:
        tell(verdict=_fault(candidate, lambda where: tell(where=where)))


def _fault(candidate: Candidate, at: Callable[[str], None]) -> str:
    """The reason why a candidate must not be imported; "" where it may, with errors too that can be caught there."""
    if candidate.file:
        sys.path.append(str(Path(candidate.file).parent))  # as `load_file` may: that is no doing of the plugin's
    keeper = Keeper()
    where = "when it is imported"
    at(where)
    try:
        implementation = candidate.load()
        for hook in _HOOKS:
            if callable(function := getattr(implementation, hook, None)):
                where = f"in {hook}"
                at(where)
                with contextlib.suppress(Exception):
                    function()
    except (Exception, SystemExit) as error:
        if isinstance(error, SystemExit) and where != "when it is imported":
            return f"it raises SystemExit {where}"
    except BaseException as error:
        place = place_of(error, Path(candidate.file)) if candidate.file else ""
        return f"{place}it raises {type(error).__name__} {where}"
    changed = keeper.put_back(everything=True)
    right = "leave that to the components that need it, which import what does so"
    return f"it changes what all components share {where} ({'; '.join(changed)}): {right}" if changed else ""


def main() -> None:
    """Try the candidates that the command line names, for a process that cannot be forked."""
    task = json.loads(sys.argv[2])
    sys.path[:] = task["path"]
    _try_here([Candidate(**each) for each in task["candidates"]], int(sys.argv[1]))
    os._exit(0)


if __name__ == "__main__":
    main()
