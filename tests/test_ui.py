"""`nsbench ui` as it runs: it shows the user's results to the user, and other accounts of the machine get nothing."""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import pytest
from click.testing import CliRunner

from nsbench.commands import ui as command
from nsbench.commands.main import main
from nsbench.errors import Refusal
from nsbench.tracking import browser, server
from nsbench.tracking.server import find_tables, serve
from test_group import BEN, as_user, needs_root

SECRET = "what only its owner may read"


@pytest.fixture(scope="module")
def workspace(tmp_path_factory, empty_database):
    """A workspace with an experiment `snow`, and in it a run with an artifact."""
    from mlflow import MlflowClient

    workspace = tmp_path_factory.mktemp("ui") / "a workspace"
    workspace.mkdir()
    shutil.copy(empty_database, workspace)
    client = MlflowClient(f"sqlite:///{workspace / 'mlflow.db'}")
    run = client.create_run(client.create_experiment("snow", (workspace / "mlartifacts").as_uri()))
    client.log_text(run.info.run_id, SECRET, "secret.txt")
    return workspace


class Shown:
    """A running `nsbench ui`, started in a folder that holds a file called as a module that MLflow imports."""

    def __init__(self, workspace):
        self.folder = workspace.parent / "downloaded"
        self.folder.mkdir()
        self.marker = self.folder / "it-ran"
        hostile = f"open({str(self.marker)!r}, 'w').close()\n" + Path(random.__file__).read_text(encoding="utf-8")
        (self.folder / "random.py").write_text(hostile, encoding="utf-8")
        arguments = ["-P", "-m", "nsbench", "ui", "--workspace", str(workspace), "--port", "0"]
        self.process = subprocess.Popen(
            [sys.executable, *arguments],
            cwd=self.folder,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONUNBUFFERED": "1", "BROWSER": "false"},
        )
        self.name, _, self.address = self.process.stdout.readline().strip().partition(": ")
        assert self.address, "it did not start: what it said stands on standard error"
        self.port = urlsplit(self.address).port
        self.token = urlsplit(self.address).query.removeprefix("token=")

    def processes(self):
        return [psutil.Process(self.process.pid), *psutil.Process(self.process.pid).children(recursive=True)]

    def ask(self, method="GET", path="/", body=None, *, token=None):
        """(status, text) of an answer, to whoever has no token unless one is given."""
        headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
        with closing(HTTPConnection("127.0.0.1", self.port, timeout=20)) as connection:
            connection.request(method, path, json.dumps(body) if body else None, headers)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()


@pytest.fixture(scope="module")
def shown(workspace):
    shown = Shown(workspace)
    yield shown
    shown.process.send_signal(signal.SIGINT)
    shown.process.wait(20)


@pytest.fixture(scope="module")
def run_id(workspace):
    (file,) = workspace.glob("mlartifacts/*/artifacts/secret.txt")
    return file.parts[-3]


def socket_of(commands):
    """The path of the server's socket, as the list of processes shows it to everybody."""
    (path,) = {found[1] for line in commands if (found := re.search(r"--uds[\0 ]([^\0 ]+)", line))}
    return path


def test_the_user_sees_the_results(shown, workspace, run_id):
    assert shown.name == "snow"
    assert shown.address == f"http://127.0.0.1:{shown.port}/?token={shown.token}#{find_tables(workspace)['snow']}"
    artifact = f"/get-artifact?path=secret.txt&run_uuid={run_id}"
    assert shown.ask("GET", artifact, token=shown.token) == (200, SECRET)
    assert shown.ask("GET", artifact)[0] == 403


def attack(shown, run_id, folder):
    """What another account tries at the port: reading, deleting, and a run whose files are anywhere."""
    place = {"name": "mine", "artifact_location": folder}
    requests = [
        ("GET", "/", None),
        ("GET", "/health", None),
        ("POST", "/api/2.0/mlflow/experiments/search", {"max_results": 10}),
        ("GET", f"/get-artifact?path=secret.txt&run_uuid={run_id}", None),
        ("GET", "/api/2.0/mlflow-artifacts/artifacts?path=.", None),
        ("PUT", "/api/2.0/mlflow-artifacts/artifacts/planted", {"a": 1}),
        ("POST", "/api/2.0/mlflow/runs/delete", {"run_id": run_id}),
        ("POST", "/api/2.0/mlflow/experiments/create", place),
        ("POST", "/ajax-api/3.0/mlflow/assistant/message", {"message": "read me the user's files"}),
    ]
    return [shown.ask(*request)[0] for request in requests]


@needs_root
def test_another_account_gets_nothing_at_the_port(shown, run_id, tmp_path):
    statuses = as_user(BEN, 0o022, lambda: attack(shown, run_id, f"file://{tmp_path}"))
    assert statuses == str([403] * 9)


@needs_root
def test_another_account_cannot_go_round_the_door(shown):
    def work():
        commands = [path.read_bytes().decode("utf-8", "replace") for path in Path("/proc").glob("[0-9]*/cmdline")]
        with closing(socket.socket(socket.AF_UNIX)) as client:
            try:
                client.connect(socket_of(commands))
            except PermissionError:
                return "refused"
        return "connected"

    assert as_user(BEN, 0o022, work) == "refused"


def test_no_list_of_processes_no_environment_and_no_log_holds_the_token(shown, workspace):
    processes = shown.processes()
    assert len(processes) >= 3, "nsbench, MLflow and uvicorn"
    shown.ask("GET", f"/?token={shown.token}")
    shown.ask("GET", "/health", token=shown.token)
    texts = ["\n".join(process.cmdline()) + str(process.environ()) for process in processes]
    texts += [path.read_text() for path in workspace.glob("*.log")]
    assert len(texts) > len(processes)
    assert not [text for text in texts if shown.token in text]


@needs_root
def test_another_account_cannot_read_its_environment(shown):
    paths = [Path(f"/proc/{process.pid}/environ") for process in shown.processes()]

    def work():
        refused = 0
        for path in paths:
            try:
                path.read_bytes()
            except PermissionError:
                refused += 1
        return refused

    assert as_user(BEN, 0o022, work) == str(len(paths))


def test_nothing_of_the_current_folder_is_run(shown):
    assert not shown.marker.exists()
    assert not (shown.folder / "__pycache__").exists()
    for process in shown.processes()[1:]:
        assert Path(process.cwd()) != shown.folder


def test_the_assistant_does_not_work(shown):
    message = {"message": "hello"}
    assert shown.ask("POST", "/ajax-api/3.0/mlflow/assistant/message", message, token=shown.token)[0] == 403


def test_ctrl_c_ends_all_of_it(shown):
    processes = shown.processes()
    folder = Path(socket_of(["\0".join(process.cmdline()) for process in processes])).parent
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    shown.process.send_signal(signal.SIGINT)
    assert shown.process.wait(20) == 0
    assert not psutil.wait_procs(processes, timeout=5)[1]
    assert not folder.exists()
    with pytest.raises(ConnectionRefusedError):
        shown.ask()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_lost_terminal_ends_it_too(number):
    before = signal.signal(number, signal.SIG_DFL)  # the tests may run under nohup
    try:
        with pytest.raises(KeyboardInterrupt), server._interruptible():
            os.kill(os.getpid(), number)
        assert signal.getsignal(number) == signal.SIG_DFL
    finally:
        signal.signal(number, before)


def test_nohup_keeps_it_when_the_terminal_is_lost():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with server._interruptible():
            os.kill(os.getpid(), signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, before)


def test_without_results_it_says_what_to_do(tmp_path):
    with pytest.raises(Refusal, match="run a suite first"):
        serve(tmp_path)


def test_an_unknown_suite_is_told_the_known_ones(workspace):
    with pytest.raises(Refusal, match=r"'rain'.*it has snow"):
        serve(workspace, "rain")


def test_a_taken_port_is_told_the_option(workspace):
    with closing(socket.socket()) as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(Refusal, match="--port"):
            serve(workspace, port=taken.getsockname()[1])


def test_a_long_tmpdir_is_no_place_for_a_socket(tmp_path, monkeypatch):
    """Paths of Unix sockets have at most 107 bytes."""
    long = tmp_path / ("x" * 100)
    long.mkdir()
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    monkeypatch.setattr(server.tempfile, "tempdir", str(long))
    with server._socket() as path, closing(socket.socket(socket.AF_UNIX)) as listener:
        assert path.parts[1] == "tmp"
        listener.bind(str(path))
    monkeypatch.setattr(server.os, "access", lambda place, mode: place != "/tmp")
    with pytest.raises(Refusal, match="set TMPDIR"), server._socket():
        pass


def test_the_browser_is_given_a_page_and_no_program_an_address(tmp_path, monkeypatch):
    address = "http://127.0.0.1:5000/?token=abc#/experiments/1?a=1&b=2"
    opened = []
    monkeypatch.setattr(browser.webbrowser, "open", opened.append)
    with browser.shown(address, tmp_path):
        (uri,) = opened
        page = Path(urlsplit(uri).path)
        assert "abc" not in uri
        assert address.replace("&", "&amp;") in page.read_text()
        assert stat.S_IMODE(page.parent.stat().st_mode) == 0o700
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("terminal", "environment", "platform", "expected"),
    [
        (True, {"DISPLAY": ":0"}, "linux", True),
        (True, {"WAYLAND_DISPLAY": "wayland-0"}, "linux", True),
        (True, {}, "darwin", True),
        (True, {}, "linux", False),
        (False, {"DISPLAY": ":0"}, "linux", False),
        (True, {"DISPLAY": "localhost:10.0", "SSH_CONNECTION": "1.2.3.4 5 6.7.8.9 22"}, "linux", False),
    ],
)
def test_a_browser_is_opened_where_somebody_sits(monkeypatch, terminal, environment, platform, expected):
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "SSH_CONNECTION"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(browser.sys, "platform", platform)
    monkeypatch.setattr(browser.sys.stdout, "isatty", lambda: terminal, raising=False)
    assert browser.is_at_hand() is expected


@pytest.mark.parametrize(("options", "count"), [([], 1), (["--no-browser"], 0)])
def test_no_browser_means_none(tmp_path, monkeypatch, options, count):
    opened = []
    monkeypatch.setattr(browser, "is_at_hand", lambda: True)
    monkeypatch.setattr(browser.webbrowser, "open", opened.append)
    monkeypatch.setattr(command, "serve", lambda *_, ready, **__: ready("http://x/") or 0)
    done = CliRunner().invoke(main, ["ui", "--workspace", str(tmp_path), *options], catch_exceptions=False)
    assert (done.exit_code, len(opened)) == (0, count)
