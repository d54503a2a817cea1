"""The destination of runs: the workspace's database, or a server; and the suite's experiment there."""

from __future__ import annotations

import os
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit, urlunsplit

from nsbench.store.locks import locked_if_possible

_NOTE = """\
One run a trial of an nsbench suite: a simulator on a dataset, once. `score/<metric>` is the value; beside it stand
`_low` and `_high` (95 %), `_floor` (the ground truth against itself, redrawn) and `_skill` (1 at the floor, 0 at the
metric's own zero). `nsbench ui` prints the address of the leaderboard.
"""
"""The description of a new experiment."""


@dataclass(frozen=True)
class Destination:
    """A database or server to which runs are logged.

    uri        its address, as MLflow takes it.
    label      the address for files and messages: without a password, and for the workspace's own database
               without the workspace's path, so that a workspace can move.
    artifacts  the folder for the files of a new experiment; None if a server chooses it.
    database   the file of the workspace's own database, without which nothing counts as tracked; None for others.
    """

    uri: str
    label: str
    artifacts: Path | None = None
    database: Path | None = None

    def without_password(self, text: str) -> str:
        """A message without the user and password that the URI holds before its "@"."""
        user, at, _ = urlsplit(self.uri).netloc.rpartition("@")
        return text.replace(user + at, "") if user else text


def destination(workspace: Path, uri: str | None = None) -> Destination:
    """The server at `uri`, else at MLFLOW_TRACKING_URI, else the workspace's SQLite database."""
    workspace = workspace.absolute()
    uri = uri or os.environ.get("MLFLOW_TRACKING_URI")
    if not uri:
        database = workspace / "mlflow.db"
        return Destination(sqlite_uri(database), database.name, workspace / "mlartifacts", database)
    parts = urlsplit(uri)
    label = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
    served = parts.scheme in ("http", "https", "databricks") or uri == "databricks"
    return Destination(uri, label, None if served else workspace / "mlartifacts")


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


def connect(target: Destination, suite: str, lock: Path) -> tuple[Any, str]:
    """An MlflowClient and the suite's experiment, made if it is not there.

    lock: a file; processes that share it set up a new database one after another. A server is nobody's to set up, and
    one that is silent holds no lock.
    """
    quiet()
    with nullcontext() if target.artifacts is None else locked_if_possible(lock):
        from mlflow import MlflowClient

        client = MlflowClient(tracking_uri=target.uri)
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
