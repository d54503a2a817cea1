"""A server that only a suite names gets results after the user has agreed, and nothing that is the user's, ever."""

from __future__ import annotations

import base64
import datetime
import ipaddress
import json
import os
import pty
import shutil
import ssl
import stat
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType, SimpleNamespace

import psutil
import pytest
from click.testing import CliRunner

from conftest import SUITE
from mlflow_servers import choosy
from nsbench.components.events import TrialFinished
from nsbench.errors import Refusal
from nsbench.running.run import run
from nsbench.store.workspace import Workspace
from nsbench.suite.planner import make_plan
from nsbench.suite.reading import read_suite
from nsbench.suite.session import Session
from nsbench.suite.yaml import SuiteError
from nsbench.tracking.address import label, origin, without_secrets
from nsbench.tracking.consent import agreed_destination
from nsbench.tracking.destination import destination
from nsbench.tracking.tracker import Tracker
from test_tracking import RECORD, RESULT, TRIAL, free_port, play

SECRET = "hunter2"

VARIABLES = ("MLFLOW_TRACKING_URI", "MLFLOW_WORKSPACE", "NETRC", "XDG_CONFIG_HOME", "NSBENCH_WORKSPACE")

pytestmark = pytest.mark.usefixtures("quick_disk", "user")


@pytest.fixture
def user(monkeypatch, tmp_path):
    """A user with a home of their own, who has named nothing."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    (tmp_path / "home").mkdir()
    return tmp_path / "home"


@pytest.fixture
def server(tmp_path):
    with choosy(tmp_path / "files") as there:
        there.location = lambda run: f"mlflow-artifacts:/1/{run}/artifacts"
        yield there


@pytest.fixture
def other(tmp_path):
    with choosy(tmp_path / "files of the other") as there:
        yield there


def mirror(workspace, target, *, suite="snow", record=RECORD, result=RESULT):
    """What is said while a trial is mirrored."""
    said = []
    workspace.mkdir(exist_ok=True)
    ledger = workspace / "tracked.json"
    play(
        Tracker(
            workspace, suite, lambda row: replace(record, result=row), ledger=ledger, target=target, notify=said.append
        ),
        TrialFinished(result),
    )
    return said


def mirror_as_suite(workspace, uri, **given):
    """The same, where only a suite names the server."""
    return mirror(workspace, destination(workspace, suite_uri=uri), **given)


# What a server that only a suite names is sent.


class Signed:
    """Adds a signature, as plugins for requests do."""

    def __init__(self, service=""):
        pass

    def __call__(self, request):
        request.headers["Authorization"] = SECRET
        return request


def password(monkeypatch, home):
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "me")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", SECRET)


def token(monkeypatch, home):
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", SECRET)


def credentials_file(monkeypatch, home):
    (home / ".mlflow").mkdir()
    text = f"[mlflow]\nmlflow_tracking_username = me\nmlflow_tracking_password = {SECRET}\n"
    (home / ".mlflow" / "credentials").write_text(text)


def netrc(monkeypatch, home):
    (home / ".netrc").write_text(f"machine 127.0.0.1 login me password {SECRET}\n")


def netrc_elsewhere(monkeypatch, home):
    (home / "netrc").write_text(f"default login me password {SECRET}\n")
    monkeypatch.setenv("NETRC", str(home / "netrc"))


def signature(monkeypatch, home):
    module = ModuleType("requests_auth_aws_sigv4")
    module.AWSSigV4 = Signed
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setenv("MLFLOW_TRACKING_AWS_SIGV4", "true")


def plugin_of_signatures(monkeypatch, home):
    from mlflow.tracking.request_auth import registry

    provider = SimpleNamespace(get_name=lambda: "mine", get_auth=Signed)
    monkeypatch.setattr(registry._request_auth_provider_registry, "_registry", [provider])
    monkeypatch.setenv("MLFLOW_TRACKING_AUTH", "mine")


def plugin_of_headers(monkeypatch, home):
    from mlflow.tracking.request_header import registry

    provider = SimpleNamespace(in_context=lambda: True, request_headers=lambda: {"X-Mine": SECRET})
    monkeypatch.setattr(registry._request_header_provider_registry, "_registry", [provider])


def name_of_workspace(monkeypatch, home):
    monkeypatch.setenv("MLFLOW_WORKSPACE", SECRET)


def number_of_traffic(monkeypatch, home):
    monkeypatch.setenv("MLFLOW_DATABRICKS_TRAFFIC_ID", SECRET)


CREDENTIALS = [
    *(password, token, credentials_file, netrc, netrc_elsewhere, signature),
    *(plugin_of_signatures, plugin_of_headers, name_of_workspace, number_of_traffic),
]


def given_away(server):
    """Whether any request held the secret, or says who the user is."""
    text = server.everything()
    encoded = base64.b64encode(f"me:{SECRET}".encode()).decode()
    return any(word in text for word in (SECRET, encoded)) or "authorization:" in text.lower()


@pytest.mark.parametrize("give", CREDENTIALS, ids=lambda give: give.__name__)
def test_credentials_go_to_the_server_that_the_user_names_alone(server, tmp_path, user, monkeypatch, give):
    give(monkeypatch, user)
    said = mirror_as_suite(tmp_path / "a", server.uri)
    assert not given_away(server)
    assert (said, server.complete()) == ([], {TRIAL})
    assert {path.rpartition("/")[2] for method, path, _, _ in server.asked if method == "PUT"} >= {"rollouts.gif"}
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"{server.uri}/")
    mirror_as_suite(tmp_path / "b", server.uri)
    assert given_away(server)


def test_all_credentials_at_once_stay_here(server, tmp_path, user, monkeypatch):
    for give in CREDENTIALS:
        give(monkeypatch, user)
    assert mirror_as_suite(tmp_path / "a", server.uri) == []
    assert (server.complete(), given_away(server)) == ({TRIAL}, False)


@pytest.fixture
def certificate(tmp_path):
    """A file with a certificate of 127.0.0.1 and of a user, and its key."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key, name = (
        ec.generate_private_key(ec.SECP256R1()),
        x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, SECRET)]),
    )
    now, day = datetime.datetime.now(datetime.UTC), datetime.timedelta(days=1)
    address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(1).not_valid_before(now - day).not_valid_after(now + day)
    builder = builder.add_extension(address, critical=False)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    plain = serialization.NoEncryption()
    text = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
    text += builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    (tmp_path / "certificate.pem").write_bytes(text)
    return tmp_path / "certificate.pem"


def test_a_client_certificate_goes_to_the_server_that_the_user_names_alone(tmp_path, certificate, monkeypatch):
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate)
    tls.load_verify_locations(certificate)
    tls.verify_mode = ssl.CERT_OPTIONAL
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    monkeypatch.setenv("MLFLOW_TRACKING_CLIENT_CERT_PATH", str(certificate))
    with choosy(tmp_path / "files", tls=tls) as server:
        server.location = lambda run: "mlflow-artifacts:/1"
        assert mirror_as_suite(tmp_path / "a", server.uri) == []
        assert (server.complete(), given_away(server)) == ({TRIAL}, False)
        mirror(tmp_path / "b", destination(tmp_path, server.uri))
        assert given_away(server)


def test_a_redirect_is_not_followed(server, other, tmp_path, user, monkeypatch):
    netrc(monkeypatch, user)
    password(monkeypatch, user)
    server.elsewhere = other.uri
    (message,) = mirror_as_suite(tmp_path / "a", server.uri)
    assert f"it leads elsewhere, to '{other.uri}/" in message
    assert other.asked == []
    assert not given_away(server)


# Where its files go.

ELSEWHERE = [
    *("file://{folder}", "{folder}", "file:{folder}", "s3://bucket/x", "r2://bucket@account/x", "b2://bucket/x", "gs://bucket/x"),
    *("wasbs://c@a.blob.core.windows.net/x", "abfss://c@a.dfs.core.windows.net/x", "dbfs:/x", "ftp://127.0.0.1:{other}/x"),
    *("sftp://127.0.0.1:{other}/x", "hdfs://127.0.0.1:{other}/x", "viewfs://127.0.0.1:{other}/x", "runs:/0123/x"),
    *("models:/m/1", "http://127.0.0.1:{other}/x", "https://127.0.0.1:{here}/x", "http://localhost:{here}/x"),
    *("mlflow-artifacts://127.0.0.1:{other}/x", "http://127.0.0.1:{here}@127.0.0.1:{other}/x", "http://[/x", "plugin:x", ""),
]  # fmt: skip


@pytest.mark.parametrize("location", ELSEWHERE)
def test_files_go_to_the_server_itself_or_nowhere(server, other, tmp_path, monkeypatch, location):
    from mlflow.store.artifact.artifact_repository_registry import ArtifactRepositoryRegistry as Registry

    folder, built, real = tmp_path / "project", [], Registry.get_artifact_repository
    folder.mkdir()
    (folder / "suite.yaml").write_text("mine")
    monkeypatch.chdir(folder)

    def build(self, uri, *rest, **options):
        built.append(uri)
        return real(self, uri, *rest, **options)

    monkeypatch.setattr(Registry, "get_artifact_repository", build)
    uri = location.format(folder=folder, other=other.server_port, here=server.server_port)
    server.location = lambda run: uri
    said = []
    target = destination(tmp_path, suite_uri=server.uri)
    listener = Tracker(
        tmp_path,
        "snow",
        lambda row: replace(RECORD, result=row),
        ledger=tmp_path / "l",
        target=target,
        notify=said.append,
    )
    play(listener, TrialFinished(RESULT), TrialFinished(replace(RESULT, trial="snow32/pns/r0")))
    assert built == []
    assert [path.name for path in folder.iterdir()] == ["suite.yaml"]
    assert (folder / "suite.yaml").read_text() == "mine"
    assert other.asked == []
    assert [path for method, path, _, _ in server.asked if method == "PUT"] == []
    assert server.complete() == {TRIAL, "snow32/pns/r0"}
    (message,) = said
    assert f"wants files at {uri}, not at itself: it gets numbers, and no files" in message


@pytest.mark.parametrize(
    ("location", "place"),
    [
        ("mlflow-artifacts:/1/r/artifacts", "/api/2.0/mlflow-artifacts/artifacts/1/r/artifacts"),
        ("mlflow-artifacts://127.0.0.1:{here}/1/r/artifacts", "/api/2.0/mlflow-artifacts/artifacts/1/r/artifacts"),
        ("http://127.0.0.1:{here}/files/a b/r", "/files/a%20b/r"),
        ("http://127.0.0.1:{other}\\@127.0.0.1:{here}/files", "/files"),
    ],
)
def test_files_reach_the_server_itself_and_no_third_that_it_names(
    server, other, tmp_path, monkeypatch, location, place
):
    """Uploads in parts would go wherever the server's answer says."""
    monkeypatch.setenv("MLFLOW_ENABLE_PROXY_MULTIPART_UPLOAD", "true")
    monkeypatch.setenv("MLFLOW_MULTIPART_UPLOAD_MINIMUM_FILE_SIZE", "1")
    server.location = lambda run: location.format(here=server.server_port, other=other.server_port)
    assert mirror_as_suite(tmp_path / "a", server.uri) == []
    sent = {path: body for method, path, _, body in server.asked if method == "PUT"}
    assert {f"{place}/{name}": content for name, content in RECORD.artifacts.items()}.items() <= sent.items()
    assert other.asked == []
    assert "/mpu/" not in server.everything()


@pytest.mark.parametrize(
    "answer", ["[]", "{", "[" * 100_000, '{"experiment": 1}', " " * (1 << 21)], ids=lambda a: a[:20]
)
def test_an_answer_that_is_none_of_mlflows_is_told_as_such(server, tmp_path, answer):
    server.answer = answer.encode()
    (message,) = mirror_as_suite(tmp_path / "a", server.uri)
    assert "is none of MLflow's" in message or "more than 1,048,576 bytes" in message


def test_a_server_that_wants_a_password_is_told_with_the_option_that_sends_one(tmp_path):
    with choosy(tmp_path, lambda trial, body: 401) as server:
        message, *_ = mirror_as_suite(tmp_path / "a", server.uri)
    assert f"it asks who you are; `--tracking-uri {server.uri}` sends it MLflow's credentials too" in message


SERVER = """
from werkzeug.serving import make_server
from mlflow.server import app
server = make_server("127.0.0.1", 0, app, threaded=True)
print(server.server_port, flush=True)
server.serve_forever()
"""


@pytest.fixture
def mlflows_own(tmp_path, empty_database):
    """The address of MLflow's own server."""
    folder = tmp_path / "served"
    folder.mkdir()
    shutil.copy(empty_database, folder)
    settings = {
        "_MLFLOW_SERVER_FILE_STORE": f"sqlite:///{folder}/mlflow.db",
        "_MLFLOW_SERVER_ARTIFACT_ROOT": "mlflow-artifacts:/",
        "_MLFLOW_SERVER_ARTIFACT_DESTINATION": str(folder / "files"),
        "_MLFLOW_SERVER_SERVE_ARTIFACTS": "true",
    }
    with (folder / "log").open("wb") as log:
        command = [sys.executable, "-P", "-c", SERVER]
        process = subprocess.Popen(command, env=os.environ | settings, stdout=subprocess.PIPE, stderr=log, text=True)
        yield f"http://127.0.0.1:{process.stdout.readline().strip()}"
        process.kill()
        process.communicate()


@pytest.mark.slow
def test_mlflows_own_server_holds_the_same_whichever_client_sent_it(mlflows_own, tmp_path):
    """The whole conversation: an experiment made, found again, a run logged, found again, superseded."""
    from mlflow import MlflowClient

    curves = (("train/loss", float("nan"), 1), ("train/loss", float("-inf"), 2), ("train/loss", 1e-300, 3))
    record = replace(
        RECORD, curves=curves, artifacts=RECORD.artifacts | {"images/rollouts~frames+step+0+timestamp+0+1.png": b"PNG"}
    )
    own, strange = destination(tmp_path, mlflows_own), destination(tmp_path, suite_uri=mlflows_own)
    client, runs = MlflowClient(mlflows_own), {}
    for suite, target in (("snow", own), ("rain", strange)):
        for workspace in ("one", "two"):  # the second has no ledger, so the server is asked
            assert mirror(tmp_path / f"{suite} {workspace}", target, suite=suite, record=record) == []
        experiment = client.get_experiment_by_name(suite)
        (run,) = client.search_runs([experiment.experiment_id])
        files = Path(client.download_artifacts(run.info.run_id, "", tmp_path / f"{suite} one"))
        runs[suite] = (
            (run.data.params, run.data.tags, repr(sorted(run.data.metrics.items()))),
            repr([(m.value, m.step) for m in client.get_metric_history(run.info.run_id, "train/loss")]),
            repr([each.to_dictionary() for each in run.inputs.dataset_inputs]),
            {name: (files / name).read_bytes() for name in record.artifacts},
            (run.info.status, run.info.start_time, run.info.end_time, run.info.run_name),
            experiment.tags,
        )
    again = mirror(tmp_path / "rain one", strange, suite="rain", record=record, result=replace(RESULT, status="oom"))
    (old,) = client.search_runs([experiment.experiment_id], "tags.`nsbench.superseded` = 'true'")
    assert (again, old.info.run_id) == ([], run.info.run_id)
    assert runs["snow"] == runs["rain"]
    assert runs["rain"][3] == record.artifacts


# What the user is asked.


@pytest.fixture(scope="module")
def finished(tmp_path_factory, registry):
    """The toy suite's finished workspace."""
    folder = tmp_path_factory.mktemp("finished")
    (folder / "suite.yaml").write_text(SUITE)
    plan = make_plan(read_suite(folder / "suite.yaml", registry), registry)
    run(Session(plan, registry, Workspace(folder / "w")))
    return folder / "w"


@pytest.fixture
def nsbench(monkeypatch, registry):
    """Types a command. terminal: whether there is somebody who can be asked."""
    from nsbench.commands.main import main

    monkeypatch.setattr("nsbench.commands.options.registry", lambda: registry)

    def command(*words, answer="", terminal=False):
        stdin = SimpleNamespace(isatty=lambda: terminal)
        monkeypatch.setattr("nsbench.tracking.consent.sys", SimpleNamespace(stdin=stdin))
        return CliRunner().invoke(main, list(map(str, words)), input=answer, catch_exceptions=False)

    return command


@pytest.fixture
def track(nsbench, write_suite, server, finished, tmp_path):
    """`nsbench track` of the finished suite, which names the server."""
    suite = write_suite(SUITE + f"tracking: {{uri: {server.uri}}}\n")

    def command(*words, answer="", terminal=False):
        shutil.rmtree(tmp_path / "w", ignore_errors=True)
        shutil.copytree(finished, tmp_path / "w")
        return nsbench("track", suite, "--workspace", tmp_path / "w", *words, answer=answer, terminal=terminal)

    return command


def test_a_yes_is_remembered_and_lets_no_credentials_go(track, server, user, monkeypatch):
    password(monkeypatch, user)
    done = track(terminal=True, answer="y\n")
    assert f"suite.yaml wants its results sent to {server.uri}. Send? [y/N]: y" in done.output
    assert (done.exit_code, len(server.complete())) == (0, 2)
    file = user / ".config" / "nsbench" / "servers.json"
    assert json.loads(file.read_text()) == [server.uri]
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    server.ended.clear()
    done = track()
    assert (done.exit_code, len(server.complete())) == (0, 2)
    assert "Send?" not in done.output
    assert not given_away(server)


def test_no_is_the_answer_if_none_is_given_and_nothing_is_sent_or_remembered(track, server, user):
    for answer in ("n\n", "\n"):
        done = track(terminal=True, answer=answer)
        assert (done.exit_code, server.asked) == (2, [])
        assert "nothing is sent" in done.stderr
    assert list(user.iterdir()) == []


@pytest.mark.parametrize(
    "command", [["run"], ["track"], ["score", "rollouts.h5", "--as", "mine", "--suite"]], ids=lambda c: c[0]
)
def test_without_a_terminal_the_flags_are_named_and_nothing_is_done(nsbench, server, write_suite, tmp_path, command):
    suite = write_suite(SUITE + f"tracking: {{uri: {server.uri}}}\n")
    done = nsbench(*command, suite, "--workspace", tmp_path / "w")
    assert (done.exit_code, server.asked) == (2, [])
    for flag in ("--yes", "--tracking-uri", "--no-tracking"):
        assert flag in done.stderr
    assert not (tmp_path / "w" / "store").exists()


def test_yes_on_the_command_line_answers_for_this_call(track, server, user, monkeypatch):
    password(monkeypatch, user)
    assert track("--yes").exit_code == 0
    assert (len(server.complete()), given_away(server)) == (2, False)
    assert list(user.iterdir()) == []


@pytest.fixture
def session_of(write_suite, registry, tmp_path):
    """The session of the toy suite with lines added."""

    def make(lines):
        plan = make_plan(read_suite(write_suite(SUITE + lines), registry), registry)
        return Session(plan, registry, Workspace(tmp_path / "w"))

    return make


@pytest.fixture
def agree(session_of, monkeypatch):
    """Asks for consent; returns the questions that were put to the user, who says yes. alone: without a terminal."""

    def ask(uri, *, alone=False):
        asked = []
        stdin = SimpleNamespace(isatty=lambda: not alone)
        monkeypatch.setattr("nsbench.tracking.consent.sys", SimpleNamespace(stdin=stdin))
        monkeypatch.setattr("click.confirm", lambda question, err: asked.append(question) or True)
        assert agreed_destination(session_of(f"tracking: {{uri: '{uri}'}}\n"), None, yes=False).stranger
        return asked

    return ask


def test_a_yes_is_for_one_scheme_host_and_port(agree):
    assert len(agree("https://host/one")) == 1
    for uri in ("https://host:443/two", "https://HOST"):
        assert agree(uri, alone=True) == []
    for uri in ("http://host/one", "https://host:444/one", "https://host.org/one", "https://[::1]/one"):
        with pytest.raises(Refusal, match="nobody is there to be asked"):
            agree(uri, alone=True)
        assert (len(agree(uri)), agree(uri, alone=True)) == (1, [])
    assert agree("https://host", alone=True) == []


@pytest.mark.parametrize("place", ["/proc/nowhere", "relative"])
def test_where_nothing_can_be_remembered_the_question_comes_again(agree, monkeypatch, place):
    monkeypatch.setenv("XDG_CONFIG_HOME", place)
    monkeypatch.setenv("HOME", "/proc/nobody")
    assert [len(agree("https://host")) for _ in range(2)] == [1, 1]
    assert not Path(place).exists()


@pytest.mark.parametrize("content", ["{", '{"a": 1}', "[1, null]", "\0", "[" * 100_000], ids=lambda text: text[:10])
def test_a_list_of_answers_that_cannot_be_read_is_no_answer(agree, tmp_path, monkeypatch, content):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    (tmp_path / "nsbench").mkdir()
    (tmp_path / "nsbench" / "servers.json").write_text(content)
    assert [len(agree("https://host")) for _ in range(2)] == [1, 0]


def test_the_question_is_put_to_a_terminal(session_of, monkeypatch, capsys):
    ours, theirs = pty.openpty()
    with open(theirs, closefd=True) as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        os.write(ours, b"y\n")
        target = agreed_destination(session_of("tracking: {uri: 'https://host/mlflow'}\n"), None, yes=False)
    os.close(ours)
    assert target.stranger
    assert "line wants its results sent to https://host/mlflow. Send? [y/N]:" in capsys.readouterr().err


def test_the_users_own_servers_need_no_question(session_of, monkeypatch):
    session = session_of("tracking: {uri: 'https://Host/mlflow'}\n")
    with pytest.raises(Refusal, match="nobody is there"):
        agreed_destination(session, None, yes=False)
    assert agreed_destination(session, "https://mine", yes=False).uri == "https://mine"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://me:word@host:443/")
    target = agreed_destination(session, None, yes=False)
    assert (target.uri, target.label, target.stranger) == (
        "https://me:word@host:443/mlflow",
        "https://host:443/mlflow",
        False,
    )
    assert agreed_destination(session_of(""), None, yes=False).uri == "https://me:word@host:443/"
    for uri in (
        "http://host/",
        "https://host:444/",
        "https://host.org/",
        "databricks",
        "sqlite:///x.db",
        "https://[",
        "file:x",
    ):
        monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
        with pytest.raises(Refusal, match="nobody is there"):
            agreed_destination(session, None, yes=False)


def test_what_the_user_names_wins_over_a_suite_that_wants_no_tracking(track, other, server):
    assert track("--tracking-uri", other.uri, "--set", "tracking.enabled=false").exit_code == 0
    assert (server.asked, len(other.complete())) == ([], 2)


def test_an_address_and_none_exclude_each_other(nsbench, write_suite):
    for words in (
        ["--no-tracking", "--tracking-uri", "https://host"],
        ["--tracking-uri", "https://host", "--no-tracking"],
    ):
        done = nsbench("run", write_suite(), *words)
        assert (done.exit_code, "exclude each other" in done.stderr) == (2, True)


# Passwords in addresses.


@pytest.mark.parametrize(
    "uri",
    [
        *(f"https://me:{SECRET}@host/mlflow", f"https://{SECRET}@host", f"http://host/?token={SECRET}", f"http://host/#{SECRET}"),
        *(f"https://host/api;token={SECRET}", f"https://host/token={SECRET}", f"https://me:{SECRET}%40@host", f"https://host/%{SECRET}"),
    ],
)  # fmt: skip
def test_a_suite_holds_no_password(write_suite, registry, uri):
    with pytest.raises(SuiteError) as caught:
        read_suite(write_suite(SUITE + f"tracking: {{uri: '{uri}'}}\n"), registry)
    assert "suite.yaml:10: tracking.uri: a suite's server is named by host, port and path alone" in str(caught.value)
    assert "MLFLOW_TRACKING_PASSWORD" in str(caught.value)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    "uri", ["https://host:99999", "https://host:0", "https://[::x]", "https://höst", "https://host:٣"]
)
def test_what_leads_to_no_server_is_no_suites_server(write_suite, registry, uri):
    with pytest.raises(SuiteError, match=r"suite.yaml:10: tracking.uri: must be the http or https address"):
        read_suite(write_suite(SUITE + f"tracking: {{uri: '{uri}'}}\n"), registry)


def test_two_addresses_that_lead_nowhere_are_not_the_same_server(tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "databricks")
    assert destination(tmp_path, suite_uri="https://host:99999").stranger


@pytest.mark.parametrize("uri", ["databricks", "databricks://profile"])
def test_a_suite_does_not_name_databricks(write_suite, registry, uri):
    with pytest.raises(
        SuiteError, match=r"suite.yaml:10: tracking.uri: .*only you can name it: --tracking-uri databricks"
    ):
        read_suite(write_suite(SUITE + f"tracking: {{uri: '{uri}'}}\n"), registry)


@pytest.mark.parametrize(
    "uri", ["https://host", "http://10.0.0.1:5000", "https://[::1]:5000/", "https://a-b.example.org/mlflow/v1.0_x~/"]
)
def test_a_plain_address_is_taken(write_suite, registry, uri):
    assert read_suite(write_suite(SUITE + f"tracking: {{uri: '{uri}'}}\n"), registry).tracking.uri == uri


@pytest.mark.parametrize(
    ("lines", "overrides"),
    [
        (f"tracking: https://me:{SECRET}@host\n", []),
        (f"tracking: https://me:{SECRET * 20}@host\n", []),
        (f"tracking: [https://me:{SECRET}@host]\n", []),
        (f"tracking: {{url: 'https://me:{SECRET}@host'}}\n", []),
        (f"tracking: {{enabled: 'https://me:{SECRET * 20}@host'}}\n", []),
        ("", [f"tracking.uri=https://me:{SECRET}@host"]),
        ("", [f"tracking.uri=https://host/?token={SECRET}"]),
        (f"tracking: 'https://me:{SECRET * 9}@host'\n", ["tracking.uri.x=1"]),
    ],
)
def test_no_fault_repeats_a_password_wherever_it_was_written(write_suite, registry, lines, overrides):
    with pytest.raises(SuiteError) as caught:
        read_suite(write_suite(SUITE + lines), registry, overrides)
    assert SECRET not in str(caught.value)


def test_a_password_that_the_user_names_is_nowhere_below_the_workspace_and_in_no_output(
    nsbench, server, write_suite, tmp_path, monkeypatch
):
    """Processes' titles included: everybody on a machine can read them."""
    workspace, titles = tmp_path / "w", []
    uri = f"http://me:{SECRET}@127.0.0.1:{server.server_port}"

    def look(trial, body):
        titles.extend(word for child in psutil.Process().children(recursive=True) for word in child.cmdline())

    server.refuse = look
    monkeypatch.setenv("NSBENCH_PLUGINS", str(Path(__file__).with_name("toy.py")))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    suite = write_suite()
    output = ""
    for command in (["run", suite], ["track", suite, "--tracking-uri", uri], ["report", suite]):
        done = nsbench(*command, "--workspace", workspace)
        assert done.exit_code == 0, done.output
        output += done.output
    assert (len(server.complete()), given_away(server)) == (2, True)
    assert f"http://127.0.0.1:{server.server_port}" in output
    files = [path for path in workspace.rglob("*") if path.is_file()]
    assert len(files) > 20
    assert [path for path in files if SECRET.encode() in path.read_bytes()] == []
    assert SECRET not in output
    assert titles
    assert SECRET not in " ".join(titles)
    assert SECRET not in "".join(body.decode("latin-1") for _, _, _, body in server.asked)


def test_an_error_is_cut_after_its_password_is_out(tmp_path, monkeypatch):
    """Half a password would not be recognised."""
    uri = f"http://{'m' * 200}:{SECRET * 20}@127.0.0.1:{free_port()}"
    (message,) = mirror(tmp_path / "a", destination(tmp_path, uri))
    assert SECRET not in message
    assert "127.0.0.1" in message


@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        (f"https://me:{SECRET}@host:8443/mlflow?token={SECRET}#{SECRET}", "https://host:8443/mlflow"),
        (f"https://{SECRET}@host", "https://host"),
        (f"mysql+pymysql://me:{SECRET}@host/db?ssl_key={SECRET}&host=b", "mysql+pymysql://host/db?host=b"),
        (f"postgresql://me:#/?@{SECRET}@host/db", "postgresql://host/db"),
        (f"postgresql:///db?host=a&user=me&password={SECRET}@", "postgresql:///db?host=a"),
        (f"sqlite+pysqlcipher://:{SECRET}@/x.db", "sqlite+pysqlcipher:///x.db"),
        ("sqlite:////home/me@work/x.db?mode=ro", "sqlite:////home/me@work/x.db?mode=ro"),
        ("databricks://profile", "databricks://profile"),
        ("databricks", "databricks"),
    ],
)
def test_what_is_shown_of_an_address_says_where_and_not_who(uri, shown):
    assert label(uri) == shown
    assert SECRET not in without_secrets(f"it fails: {uri}", uri)


def test_the_same_server_is_known_by_scheme_host_and_port():
    assert origin("HTTPS://me:x@Host/a") == origin("https://host:443/b") == "https://host:443"
    assert origin("http://[::1]:5000/") == "http://[::1]:5000"
    assert {origin(uri) for uri in ("", "host", "databricks", "ftp://host", "http://", "http://[", "http://h:x")} == {
        None
    }


# Addresses that MLflow cannot log to.

NOWHERE = [
    *(("file:///results", "names a folder"), ("/results", "names a folder"), ("./mlruns", "names a folder")),
    *(("file:mlruns", "names a folder"), ("localhost:5000", "begins with 'localhost', which MLflow does not know")),
    *(("ftp://host", "it knows http, https, databricks, sqlite"), ("https://", "is no address of a server")),
    *((f"https://me:a#{SECRET}@host", "write @ : / ? # % as"), (f"https://me:1#{SECRET}@host", "write @ : / ? # % as")),
    *((f"https://me:1/{SECRET}@host", "write @ : / ? # % as"), (f"https://me:1?{SECRET}@host", "write @ : / ? # % as")),
]


@pytest.mark.parametrize(("uri", "reason"), NOWHERE)
def test_an_address_that_mlflow_cannot_log_to_is_refused(tmp_path, monkeypatch, uri, reason):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    for named, source in ((None, "MLFLOW_TRACKING_URI"), (uri, "--tracking-uri")):
        with pytest.raises(Refusal) as caught:
            destination(tmp_path, named)
        assert source in str(caught.value)
        assert reason in str(caught.value)
        assert SECRET not in str(caught.value)


@pytest.mark.parametrize("command", ["run", "track"])
def test_a_folder_named_for_mlflow_is_refused_before_anything_is_computed(
    nsbench, write_suite, tmp_path, monkeypatch, command
):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", (tmp_path / "mlruns").as_uri())
    done = nsbench(command, write_suite(), "--workspace", tmp_path / "w")
    assert (done.exit_code, len(done.stderr.splitlines())) == (2, 1)
    assert "sqlite:////path/to/mlflow.db" in done.stderr
    assert not (tmp_path / "w" / "store").exists()


def test_without_tracking_no_address_is_looked_at(nsbench, write_suite, tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "/results")
    words = ("run", write_suite(), "--workspace", tmp_path / "w", "--executor", "inline", "--no-tracking")
    assert nsbench(*words).exit_code == 0


def test_an_address_that_a_plugin_of_mlflow_knows_is_taken(tmp_path, monkeypatch):
    monkeypatch.setattr(
        "nsbench.tracking.destination.entry_points", lambda group, name: [(group, name)] * (name == "azureml")
    )
    assert destination(tmp_path, "azureml://host/mlflow").uri == "azureml://host/mlflow"
