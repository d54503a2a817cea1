"""Where the time of a suite's first run goes, installation left out.

    python benchmarks/first_hour.py                                        # suites/snow.yaml, as a user runs it
    python benchmarks/first_hour.py --transitions 2000 --jobs 1 auto       # short fits; two ways, one after the other
    python benchmarks/first_hour.py --transitions 8000 --beside --jobs 1 2 # how much of their speed fits keep

Each run is the command line's, in a fresh workspace. For each phase it prints the seconds in which it went on (wall),
and those of all processes in it added up (busy), then the overhead: what no phase accounts for. Compare runs of one
call only.

--beside lets a process of another session spin on one core, on and off in turn, while fits go on, and prints the speed
of all fits together beside it as a ratio of their speed without it; the seconds after each change are left out.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from phases import Event, Span, busy, rates, spans, wall

HERE = Path(__file__).parent

SETTLING = 3.0
"""Seconds after a change that count for neither side."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("suite", type=Path, nargs="?", default=HERE.parent / "suites/snow.yaml")
    parser.add_argument("--transitions", type=int, help="budget of each fit; the suite's if not given")
    parser.add_argument("--jobs", nargs="+", default=["auto"], help="values of --jobs, one run each")
    parser.add_argument("--set", action="append", default=[], dest="overrides", metavar="PATH=VALUE")
    parser.add_argument("--no-tracking", action="store_true")
    parser.add_argument(
        "--beside",
        type=float,
        nargs="?",
        const=15.0,
        metavar="SECONDS",
        help="the length of each turn; 15 if not given",
    )
    given = parser.parse_args()
    overrides = [*given.overrides]
    if given.transitions is not None:
        overrides.append(f"budget.transitions={given.transitions}")
    options = [part for override in overrides for part in ("--set", override)]
    options += ["--no-tracking"] if given.no_tracking else []
    for jobs in given.jobs:
        print(f"\n--jobs {jobs}")
        command = [sys.executable, "-m", "nsbench", "run", str(given.suite), "--jobs", jobs, *options]
        print(beside(command, given.beside) if given.beside else phases(command), flush=True)


def phases(command: Sequence[str]) -> str:
    """A run's time by phase, as a table."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        process = started(command, Path(folder))
        if process.wait():
            raise SystemExit(f"the run ended with {process.returncode}: see {folder}")
        events, ended = timeline(Path(folder)), time.monotonic()
    return table(events, began, ended)


def table(events: Sequence[Event], began: float, ended: float) -> str:
    """The time by phase of the run that these events are of. began, ended: when its process did."""
    at = {event["event"]: event["at"] for event in events if event["event"] in ("RunStarted", "RunFinished")}
    work = spans(events)
    lines = [line("start", [Span("start", began, at["RunStarted"])])]
    for phase in dict.fromkeys(span.phase for span in work):
        lines.append(line(phase, [span for span in work if span.phase == phase]))
    lines.append(line("report", [Span("report", at["RunFinished"], ended)]))
    overhead = at["RunFinished"] - at["RunStarted"] - wall(work)
    lines += [f"{'overhead':24} {overhead:8.1f}", f"{'all':24} {ended - began:8.1f} {busy(work):8.1f}"]
    return "\n".join([f"{'phase':24} {'wall s':>8} {'busy s':>8}", *lines])


def line(phase: str, work: Sequence[Span]) -> str:
    return f"{phase:24} {wall(work):8.1f} {busy(work):8.1f}"


def beside(command: Sequence[str], turn: float) -> str:
    """The speed of a run's fits beside a busy process, as a ratio of their speed without it."""
    windows: dict[str, list[tuple[float, float]]] = {"alone": [], "beside": []}
    with tempfile.TemporaryDirectory() as folder:
        run = started(command, Path(folder))
        spinner = subprocess.Popen([sys.executable, "-c", "while True: pass"], start_new_session=True)
        try:
            while run.poll() is None:
                for name, number in (("alone", signal.SIGSTOP), ("beside", signal.SIGCONT)):
                    spinner.send_signal(number)
                    begin = time.monotonic() + SETTLING
                    time.sleep(SETTLING + turn)
                    windows[name].append((begin, time.monotonic()))
        finally:
            spinner.kill()
            spinner.wait()
            run.kill()
            run.wait()
        events = timeline(Path(folder))
    alone, together = (rates(events, windows[name]) for name in ("alone", "beside"))
    return f"{alone:.1f} transitions/s alone, {together:.1f} beside a busy process: {together / alone:.2f}"


def started(command: Sequence[str], folder: Path) -> subprocess.Popen[bytes]:
    """The run in a workspace in the folder, where its timeline is written, too."""
    whole = [*command, "--workspace", str(folder / "w"), "--plugin", str(HERE / "timeline.py")]
    environment = os.environ | {"NSBENCH_TIMELINE": str(folder / "timeline")}
    return subprocess.Popen(whole, env=environment, stdout=subprocess.DEVNULL)


def timeline(folder: Path) -> list[Event]:
    return [json.loads(text) for text in (folder / "timeline").read_text(encoding="utf-8").splitlines()]


if __name__ == "__main__":
    main()
