"""`nsbench ui`: MLflow's server on a workspace's database, and the addresses of its tables."""

from __future__ import annotations

import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.error import URLError
from urllib.parse import quote, urlencode
from urllib.request import ProxyHandler, build_opener

from nsbench.errors import Refusal
from nsbench.tracking.content import CURRENT_RUNS
from nsbench.tracking.destination import sqlite_uri
from nsbench.tracking.view import VIEW, VIEW_TAG


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
    patience: float = 60.0,
) -> int:
    """Run MLflow's server until interrupted; returns 0.

    suite: the suite whose table is shown; None for all. say: called with the lines to print, once the server
    answers. ready: called then with the first table's address, e.g. to open a browser. patience: seconds that the
    server may take to start. Raises UIError.
    """
    workspace = workspace.absolute()
    tables = find_tables(workspace, suite)
    log = workspace / "mlflow-server.log"
    _require_free(host, port)
    base = f"http://{f'[{host}]' if ':' in host else host}:{port}"
    with _server(workspace, host, port, log) as server, _interruptible():
        try:
            _wait_until_up(server, base, patience, log)
            addresses = {name: base + path for name, path in tables.items()}
            for name, address in addresses.items():
                say(f"{name}: {address}")
            say("Ctrl-C ends it.")
            ready(next(iter(addresses.values())))
            while not _has_ended(server):
                time.sleep(0.2)
        except KeyboardInterrupt:
            return 0
    raise UIError(f"MLflow's server ended by itself; see {log}")


def find_tables(workspace: Path, suite: str | None = None) -> dict[str, str]:
    """The paths of tables by suite's name, of one suite or of all. Raises UIError if there is no table."""
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
    tables = {name: table_path(str(key), arranged=bool(view)) for name, key, view in experiments}
    if suite is not None and suite not in tables:
        present = f"it has {', '.join(tables)}" if tables else "it has none at all"
        raise UIError(f"no tracked results of suite {suite!r} in {workspace}: {present}")
    if not tables:
        raise UIError(f"{workspace} holds no tracked results yet: run a suite first (nsbench run SUITE.yaml)")
    return tables if suite is None else {suite: tables[suite]}


def table_path(experiment: str, *, arranged: bool) -> str:
    """The path and fragment of an experiment's table of runs. arranged: whether it has a leaderboard to show."""
    view = {"viewStateShareKey": VIEW} if arranged else {"searchFilter": CURRENT_RUNS}
    query = {"workflowType": "machine_learning"} | view
    return f"/#/experiments/{experiment}/runs?{urlencode(query, quote_via=quote)}"


@contextmanager
def _server(workspace: Path, host: str, port: int, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """The server as a child in a session of its own, ended with all of its own children at the end."""
    command = [sys.executable, "-m", "mlflow", "server", "--host", host, "--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", sqlite_uri(workspace / "mlflow.db")]
    command += ["--artifacts-destination", (workspace / "mlartifacts").as_uri()]
    command += ["--uvicorn-opts", "--log-level warning"]
    settings = {
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # for LLM judges; it would start processes of its own
        "MLFLOW_LOGGING_LEVEL": "WARNING",
    }
    with log.open("wb") as output:
        server = subprocess.Popen(
            command, env=os.environ | settings, stdout=output, stderr=output, start_new_session=True
        )
    try:
        yield server
    finally:
        _end(server)


@contextmanager
def _interruptible() -> Iterator[None]:
    """Let SIGTERM interrupt like Ctrl-C, and both even where a shell has them ignored."""
    signals = (signal.SIGINT, signal.SIGTERM)
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


def _require_free(host: str, port: int) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with closing(socket.socket(family, socket.SOCK_STREAM)) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise UIError(f"cannot listen at {host}:{port}: {error.strerror}; choose another with --port") from error


def _wait_until_up(server: subprocess.Popen[bytes], base: str, patience: float, log: Path) -> None:
    """Return when the server answers. Raises UIError when it ends, or takes longer than `patience` seconds."""
    direct = build_opener(ProxyHandler({}))  # the loopback is not reached through a proxy
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        if _has_ended(server):
            raise UIError(f"MLflow's server ended before it answered; see {log}")
        try:
            with direct.open(f"{base}/health", timeout=2):
                return
        except (URLError, OSError):
            time.sleep(0.2)
    raise UIError(f"MLflow's server did not answer within {patience:.0f} s at {base}; see {log}")
