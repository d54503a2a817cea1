"""The destination of runs: the workspace's database, or a server; and the suite's experiment there."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, field
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit, urlunsplit

from nsbench.errors import Refusal
from nsbench.store.locks import locked_if_possible
from nsbench.tracking.address import label, origin, split, without_secrets
from nsbench.tracking.stranger import Stranger

_NOTE = """\
One run a trial of an nsbench suite: a simulator on a dataset, once. `score/<metric>` is the value; beside it stand
`_low` and `_high` (95 %), `_floor` (the ground truth against itself, redrawn) and `_skill` (1 at the floor, 0 at the
metric's own zero). `nsbench ui` prints the address of the leaderboard.
"""
"""The description of a new experiment."""


_VARIABLE = "MLFLOW_TRACKING_URI"

_SERVERS = ("http", "https", "databricks")
_DATABASES = ("sqlite", "postgresql", "mysql", "mssql")


@dataclass(frozen=True)
class Destination:
    """A database or server to which runs are logged.

    uri        its address, as MLflow takes it.
    label      the address for files and messages: without a password, and for the workspace's own database
               without the workspace's path, so that a workspace can move.
    artifacts  the folder for the files of a new experiment; None if a server chooses it.
    database   the file of the workspace's own database, without which nothing counts as tracked; None for others.
    stranger   whether only a suite names this server: it gets results, and nothing that is the user's.
    """

    uri: str = field(repr=False)
    label: str
    artifacts: Path | None = None
    database: Path | None = None
    stranger: bool = False

    def without_password(self, text: str) -> str:
        """A message without the secrets that the address holds."""
        return without_secrets(text, self.uri)


def destination(workspace: Path, uri: str | None = None, suite_uri: str | None = None) -> Destination:
    """The destination of runs: `uri`, which the user names, else the suite's, else MLFLOW_TRACKING_URI's, else the
    workspace's SQLite database.

    A suite's server counts as the user's if MLFLOW_TRACKING_URI leads to the same scheme, host and port. Raises Refusal
    for an address that MLflow cannot log to.
    """
    workspace, source = workspace.absolute(), "--tracking-uri"
    if uri is None:
        uri, source = os.environ.get(_VARIABLE), _VARIABLE
        if suite_uri is not None:
            if uri is None or origin(suite_uri) not in {origin(uri)} - {None}:
                return Destination(suite_uri, suite_uri, stranger=True)
            uri = _with_user_of(uri, suite_uri)
    if not uri:
        database = workspace / "mlflow.db"
        return Destination(sqlite_uri(database), database.name, workspace / "mlartifacts", database)
    served = _scheme(uri, source) in _SERVERS
    return Destination(uri, label(uri), None if served else workspace / "mlartifacts")


def _with_user_of(named: str, uri: str) -> str:
    """The suite's address with the user and password of the address that the user named on the same server."""
    return urlunsplit(urlsplit(uri)._replace(netloc=urlsplit(named).netloc))


def _scheme(uri: str, source: str) -> str:
    """The scheme of an address that MLflow can log to. Raises Refusal, without repeating the address, for any other."""
    match = re.match(r"([A-Za-z][\w.-]*)(\+\w+)?:", uri)
    scheme = match.group(1).lower() if match else uri if uri == "databricks" else "file"
    if scheme == "file":
        raise Refusal(
            f"{source} names a folder, where MLflow keeps no results any more: leave it out for the workspace's own "
            "database, or name a database, sqlite:////path/to/mlflow.db, or a server, https://host"
        )
    if scheme in ("http", "https") and not _is_clear(uri):
        raise Refusal(
            f"{source} is no address of a server, {scheme}://host:port/path; in a password before the host write "
            "@ : / ? # % as %40 %3A %2F %3F %23 %25"
        )
    if scheme in (*_SERVERS, *_DATABASES) or entry_points(group="mlflow.tracking_store", name=scheme):
        return scheme
    known = ", ".join((*_SERVERS, *_DATABASES))
    raise Refusal(f"{source} begins with {scheme!r:.40}, which MLflow does not know: it knows {known}")


def _is_clear(uri: str) -> bool:
    """Whether an http address has a host, and no "@" behind it: there it would end a password that is not encoded."""
    parts = split(uri)
    return parts is not None and origin(uri) is not None and "@" not in parts.path + parts.query + parts.fragment


def sqlite_uri(database: Path) -> str:
    """The address of a database file, as MLflow takes it.

    SQLAlchemy takes "?" for the end of the path, and decodes "%". MLflow makes the folders above an address that
    begins with "sqlite:///" without decoding it; one that names the driver it leaves alone.
    """
    path = str(database)
    return f"sqlite+pysqlite:///{quote(path)}" if {"?", "%"} & set(path) else f"sqlite:///{path}"


def quiet() -> None:
    """Set what MLflow is to do, unless the user has said otherwise: no telemetry, no talk, no long waits.

    It asks for a home as soon as it is imported: who has none gets the one that containers give.
    """
    if os.path.expanduser("~") == "~":
        os.environ["HOME"] = os.path.abspath(os.sep)
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "15")
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")  # the display is the run's own


def connect(target: Destination, suite: str, lock: Path, say: Callable[[str], None] = print) -> tuple[Any, str]:
    """A client and the suite's experiment, made if it is not there. The client is MLflow's own, or a Stranger's.

    lock: a file; processes that share it set up a new database one after another. A server is nobody's to set up, and
    one that is silent holds no lock. say: called with what a person should know.
    """
    quiet()
    with nullcontext() if target.artifacts is None else locked_if_possible(lock):
        from mlflow import MlflowClient

        client = Stranger(target.uri, say) if target.stranger else MlflowClient(tracking_uri=target.uri)
        return client, _experiment(client, suite, target.artifacts)


def _experiment(client: Any, name: str, artifacts: Path | None) -> str:
    from mlflow.exceptions import MlflowException

    experiment = client.get_experiment_by_name(name)
    if experiment is None:
        location = None if artifacts is None else artifacts.as_uri()
        tags = {"mlflow.experimentKind": "custom_model_development"}  # the UI's view for models, not for LLMs
        tags["mlflow.note.content"] = _NOTE
        try:
            return str(client.create_experiment(name, artifact_location=location, tags=tags))
        except MlflowException:
            experiment = client.get_experiment_by_name(name)  # on a server, another process may have been faster
            if experiment is None:
                raise
    if experiment.lifecycle_stage == "deleted":
        client.restore_experiment(experiment.experiment_id)
    return str(experiment.experiment_id)
