"""`nsbench ui`: MLflow's server on a workspace's database, behind a door, and the addresses of its tables."""

from __future__ import annotations

import os
import shlex
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from http.client import HTTPException
from pathlib import Path
from urllib.parse import quote, urlencode

from nsbench.errors import Refusal
from nsbench.store.files import short_place
from nsbench.tracking.content import CURRENT_RUNS
from nsbench.tracking.destination import quiet, sqlite_uri
from nsbench.tracking.door import open_door
from nsbench.tracking.relay import UnixConnection
from nsbench.tracking.view import VIEW, VIEW_TAG

LONGEST_SOCKET = 103
"""The most bytes of a Unix socket's path that every system takes; Linux takes four more."""


class UIError(Refusal):
    """The interface cannot be shown; the message says why and what would help."""


def serve(
    workspace: Path,
    suite: str | None = None,
    *,
    host: str = "127.0.0.1",
    port: int = 5000,
    say: Callable[[str], None] = print,
    ready: Callable[[str], None] = lambda address: None,
    patience: float = 120.0,
) -> int:
    """Run MLflow's server until interrupted; returns 0.

    suite: the suite whose table is shown; None for all. port: 0 for any that is free. say: called with the lines to
    print, once the server answers. ready: called then with the first table's address, e.g. to open a browser. patience:
    seconds that the server may take to start. Raises UIError.
    """
    workspace = workspace.absolute()
    tables = find_tables(workspace, suite)
    log = workspace / "mlflow-server.log"
    try:
        with (
            _interruptible(),
            _socket() as path,
            open_door(host, port, path) as door,
            _server(workspace, path, log) as server,
        ):
            _wait_until_up(server, path, patience, log)
            addresses = {name: door.address(fragment) for name, fragment in tables.items()}
            for name, address in addresses.items():
                say(f"{name}: {address}")
            say("Whoever knows such an address sees and changes everything here. Ctrl-C ends it.")
            ready(next(iter(addresses.values())))
            while not _has_ended(server):
                time.sleep(0.2)
    except KeyboardInterrupt:
        return 0
    raise UIError(f"MLflow's server ended by itself; see {log}")


def find_tables(workspace: Path, suite: str | None = None) -> dict[str, str]:
    """The tables' places by suite's name, of one suite or of all, each what follows `#` in its address.

    Raises UIError if there is no table.
    """
    database = workspace / "mlflow.db"
    if not database.exists():
        raise UIError(f"{workspace} holds no tracked results yet: run a suite first (nsbench run SUITE.yaml)")
    # MLflow's own client would take seconds to import; these columns are as old as its databases.
    query = """
        SELECT name, experiment_id, EXISTS (
            SELECT 1 FROM experiment_tags t WHERE t.experiment_id = e.experiment_id AND t.key = ?
        ) FROM experiments e WHERE lifecycle_stage = 'active' AND name != 'Default' ORDER BY experiment_id
    """
    try:
        with closing(sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True)) as connection:
            experiments = connection.execute(query, [VIEW_TAG]).fetchall()
    except sqlite3.Error as error:
        raise UIError(f"{database} is no MLflow database: {error}") from error
    tables = {name: table_fragment(str(key), arranged=bool(view)) for name, key, view in experiments}
    if suite is not None and suite not in tables:
        present = f"it has {', '.join(tables)}" if tables else "it has none at all"
        raise UIError(f"no tracked results of suite {suite!r} in {workspace}: {present}")
    if not tables:
        raise UIError(f"{workspace} holds no tracked results yet: run a suite first (nsbench run SUITE.yaml)")
    return tables if suite is None else {suite: tables[suite]}


def table_fragment(experiment: str, *, arranged: bool) -> str:
    """The fragment of the address of an experiment's table of runs. arranged: whether it has a leaderboard to show."""
    view = {"viewStateShareKey": VIEW} if arranged else {"searchFilter": CURRENT_RUNS}
    query = {"workflowType": "machine_learning"} | view
    return f"/experiments/{experiment}/runs?{urlencode(query, quote_via=quote)}"


@contextmanager
def _socket() -> Iterator[Path]:
    """The path of a socket to be, in a new folder that nobody else may enter; the folder goes with the block."""
    with tempfile.TemporaryDirectory(prefix="nsbench-", dir=_short_place(), ignore_cleanup_errors=True) as folder:
        yield Path(folder) / "mlflow"  # the folder's mode is 0700; that of its socket would let everybody in


def _short_place() -> str:
    """A folder for a socket's folder: the user's own for such things, or one for temporary files. Raises UIError."""
    longest = LONGEST_SOCKET - len("/nsbench-12345678/mlflow")
    places = (os.environ.get("XDG_RUNTIME_DIR", ""), tempfile.gettempdir(), "/tmp")
    if (place := short_place(places, longest)) is not None:
        return place
    raise UIError(
        f"there is no folder for a socket: {tempfile.gettempdir()} and /tmp cannot be written, or their paths have "
        f"more than {longest} bytes; set TMPDIR to a folder of yours with a shorter path"
    )


@contextmanager
def _server(workspace: Path, path: Path, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """The server as a child in a session of its own, ended with all of its own children at the end.

    path: the socket at which it listens, in an empty folder, where it also works: uvicorn imports what lies there.
    """
    command = [sys.executable, "-P", "-m", "mlflow", "server", "--workers", "1"]
    command += ["--backend-store-uri", sqlite_uri(workspace / "mlflow.db")]
    command += ["--artifacts-destination", (workspace / "mlartifacts").as_uri()]
    command += ["--uvicorn-opts", f"--uds {shlex.quote(str(path))} --no-proxy-headers --log-level warning"]
    settings = {
        "PYTHONSAFEPATH": "1",  # for the server that MLflow starts, as -P for MLflow
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_ENABLE_AI_GATEWAY": "false",
        "MLFLOW_ENABLE_REMOTE_ASSISTANT": "false",  # and a client at a Unix socket counts as remote
        "MLFLOW_SERVER_ALLOWED_HOSTS": "localhost",  # what the door says
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # for LLM judges; it would start processes of its own
        "MLFLOW_LOGGING_LEVEL": "WARNING",
    }
    quiet()
    with log.open("wb") as output:
        server = subprocess.Popen(
            command,
            cwd=path.parent,
            env=os.environ | settings,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        yield server
    finally:
        _end(server)


@contextmanager
def _interruptible() -> Iterator[None]:
    """Let SIGTERM and a lost terminal interrupt like Ctrl-C, and Ctrl-C even where a shell has it ignored."""
    signals = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:  # which is what nohup asks for
        signals.append(signal.SIGHUP)
    before = {number: signal.signal(number, signal.default_int_handler) for number in signals}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _end(server: subprocess.Popen[bytes], grace: float = 5.0) -> None:
    """End the server and all processes that it started."""
    _signal(server, signal.SIGTERM)
    deadline = time.monotonic() + grace
    try:
        while not _has_ended(server) and time.monotonic() < deadline:
            time.sleep(0.05)
    finally:  # a second Ctrl-C cuts the waiting short
        _signal(server, signal.SIGKILL)  # whatever is left of its session
        server.wait()


def _has_ended(server: subprocess.Popen[bytes]) -> bool:
    """Whether the server has ended. It is not reaped here, so that no other process can get its id."""
    return os.waitid(os.P_PID, server.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def _signal(server: subprocess.Popen[bytes], number: int) -> None:
    os.killpg(server.pid, number)  # the child leads a session of its own, so no other process is in the group


def _wait_until_up(server: subprocess.Popen[bytes], path: Path, patience: float, log: Path) -> None:
    """Return when the server answers. Raises UIError when it ends, or takes longer than `patience` seconds."""
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        if _has_ended(server):
            raise UIError(f"MLflow's server ended before it answered; see {log}")
        try:
            with closing(UnixConnection(path, timeout=2)) as connection:
                connection.request("GET", "/health")
                if connection.getresponse().status == 200:
                    return
        except (HTTPException, OSError):
            pass
        time.sleep(0.2)
    raise UIError(f"MLflow's server did not answer within {patience:.0f} s; see {log}")
