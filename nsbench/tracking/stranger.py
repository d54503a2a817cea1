"""A client of an MLflow server that the user has not named: it gets results, and nothing that is the user's.

MLflow's own client adds to each request what it finds: passwords and tokens of the environment, of ~/.netrc and
~/.mlflow/credentials, certificates, signatures, a workspace's name, headers of its plugins. It follows redirects, and
writes files wherever the server says, on this machine too, or to a cloud with the user's keys. This client speaks
MLflow's REST interface by itself. It has nothing to add, follows no redirect, and sends files to the server itself or
not at all. Of the environment it takes proxies and certificate authorities, without which a server may be out of reach.
"""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable, Iterable, Mapping
from operator import attrgetter
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote, urlsplit

from nsbench.tracking.address import origin, split

_TIMEOUT = 15.0
"""Seconds for which a server may be silent."""

_LONGEST_ANSWER = 1 << 20
"""Bytes of an answer. The longest that is asked for is one run with its parameters, metrics and tags."""

_NOT_THERE = "RESOURCE_DOES_NOT_EXIST"

_ARTIFACTS = "/api/2.0/mlflow-artifacts/artifacts/"


class Stranger:
    """A client whose methods are those of mlflow.MlflowClient that the mirror calls.

    What the server refuses, and what it answers that MLflow would not, raises MlflowException.
    """

    def __init__(self, uri: str, say: Callable[[str], None]) -> None:
        """say: called with what a person should know."""
        import requests

        self._uri, self._say, self._told = uri.rstrip("/"), say, False
        self._session = requests.Session()
        self._session.trust_env = False  # or requests would read ~/.netrc
        self._session.headers.update({"User-Agent": "nsbench", "Accept-Encoding": "identity"})
        self._session.proxies = requests.utils.get_environ_proxies(uri)
        authorities = os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE")
        self._session.verify = authorities or True

    def get_experiment_by_name(self, name: str) -> Any:
        from mlflow.exceptions import MlflowException

        needs = ("experiment.experiment_id", "experiment.lifecycle_stage")
        try:
            return self._get("experiments/get-by-name", {"experiment_name": name}, *needs).experiment
        except MlflowException as error:
            if error.error_code == _NOT_THERE:
                return None
            raise

    def create_experiment(self, name: str, *, artifact_location: None, tags: Mapping[str, str]) -> str:
        """artifact_location: None, because the server chooses it."""
        answer = self._post("experiments/create", {"name": name, "tags": _pairs(tags.items())}, "experiment_id")
        return str(answer.experiment_id)

    def restore_experiment(self, experiment_id: str) -> None:
        self._post("experiments/restore", {"experiment_id": experiment_id})

    def set_experiment_tag(self, experiment_id: str, key: str, value: str) -> None:
        self._post("experiments/set-experiment-tag", {"experiment_id": experiment_id, "key": key, "value": value})

    def create_run(self, experiment_id: str, start_time: int, tags: Mapping[str, str], run_name: str) -> Any:
        content = {"experiment_id": experiment_id, "start_time": start_time, "run_name": run_name}
        return self._post("runs/create", content | {"tags": _pairs(tags.items())}, "run.info.run_id").run

    def get_run(self, run_id: str) -> Any:
        needs = ("run.info.status", "run.info.lifecycle_stage", "run.info.artifact_uri")
        return self._get("runs/get", {"run_id": run_id}, *needs).run

    def search_runs(self, experiment_ids: list[str], *, filter_string: str, max_results: int) -> list[Any]:
        content = {"experiment_ids": experiment_ids, "filter": filter_string, "max_results": max_results}
        answer = self._post("runs/search", content)
        return list(getattr(answer, "runs", ()))

    def log_batch(
        self,
        run_id: str,
        *,
        metrics: Iterable[Any] = (),
        params: Iterable[Any] = (),
        tags: Iterable[Any] = (),
        synchronous: bool,
    ) -> None:
        """synchronous: as with MLflow's client; all is there when this returns."""
        points = [
            {"key": point.key, "value": _number(point.value), "timestamp": point.timestamp, "step": point.step}
            for point in metrics
        ]
        pairs = {"params": _pairs(map(attrgetter("key", "value"), params))}
        pairs |= {"tags": _pairs(map(attrgetter("key", "value"), tags))}
        self._post("runs/log-batch", {"run_id": run_id, "metrics": points} | pairs)

    def log_inputs(self, run_id: str, datasets: Iterable[Any]) -> None:
        fields = ("name", "digest", "source_type", "source", "profile")
        content = [
            {
                "dataset": {name: getattr(each.dataset, name) for name in fields},
                "tags": _pairs(map(attrgetter("key", "value"), each.tags)),
            }
            for each in datasets
        ]
        self._post("runs/log-inputs", {"run_id": run_id, "datasets": content})

    def set_tag(self, run_id: str, key: str, value: str) -> None:
        self._post("runs/set-tag", {"run_id": run_id, "key": key, "value": value})

    def set_terminated(self, run_id: str, status: str, end_time: int | None = None) -> None:
        end = int(time.time() * 1000) if end_time is None else end_time
        self._post("runs/update", {"run_id": run_id, "status": status, "end_time": end})

    def log_artifacts(self, run_id: str, folder: str) -> None:
        """Send the files of a folder, unless the server wants them elsewhere, which is told once."""
        location = str(self.get_run(run_id).info.artifact_uri)
        place = self._place(location)
        if place is None:
            self._tell(f"{self._uri} wants files at {location:.200}, not at itself: it gets numbers, and no files")
            return
        for file in sorted(path for path in Path(folder).rglob("*") if path.is_file()):
            self._send("PUT", place + quote(file.relative_to(folder).as_posix()), data=file.read_bytes())

    def _place(self, location: str) -> str | None:
        """The address below which a run's files go; None if it is not on this server.

        The server says the path. The host is the one that was named, not the one that the server repeats.
        """
        parts, own = split(location), urlsplit(self._uri)
        if parts is None:
            return None
        path = quote(parts.path.strip("/"), safe="/%") + "/"
        if parts.scheme == "mlflow-artifacts":
            here = not parts.netloc or origin(f"{own.scheme}://{parts.netloc}") == origin(self._uri)
            return self._uri + _ARTIFACTS + path if here else None
        return f"{own.scheme}://{own.netloc}/{path}" if origin(location) == origin(self._uri) else None

    def _tell(self, message: str) -> None:
        if not self._told:
            self._told = True
            self._say(message)

    def _get(self, verb: str, content: Mapping[str, Any], *needs: str) -> Any:
        return self._call("GET", verb, needs, params=content)

    def _post(self, verb: str, content: Mapping[str, Any], *needs: str) -> Any:
        return self._call("POST", verb, needs, json=content)

    def _call(self, method: str, verb: str, needs: tuple[str, ...], **content: Any) -> Any:
        """MLflow's answer to a request. needs: what it must hold, "run.info.run_id"."""
        from mlflow.exceptions import MlflowException

        text = self._send(method, f"{self._uri}/api/2.0/mlflow/{verb}", **content)
        try:
            answer = json.loads(text, object_hook=lambda fields: SimpleNamespace(**fields))
            for need in needs:
                attrgetter(need)(answer)
        except (ValueError, AttributeError, RecursionError):
            raise MlflowException(f"the answer to {verb} is none of MLflow's") from None
        return answer

    def _send(self, method: str, url: str, **content: Any) -> bytes:
        from mlflow.exceptions import MlflowException

        options: dict[str, Any] = {"timeout": _TIMEOUT, "allow_redirects": False, "stream": True}
        with self._session.request(method, url, **options, **content) as answer:
            text = b""
            for part in answer.iter_content(1 << 16):
                text += part
                if len(text) > _LONGEST_ANSWER:
                    raise MlflowException(f"its answer has more than {_LONGEST_ANSWER:,} bytes")
        if answer.status_code < 300:
            return text
        if answer.status_code < 400:
            raise MlflowException(
                f"it leads elsewhere, to {answer.headers.get('Location', '')!r:.200}; name that address"
            )
        if answer.status_code in (401, 403):
            raise MlflowException(
                f"it asks who you are; `--tracking-uri {self._uri}` sends it MLflow's credentials too"
            )
        raise _error(answer.status_code, text)


def _error(status: int, text: bytes) -> Exception:
    """The error that a server tells in MLflow's way, or in its own."""
    from mlflow.exceptions import MlflowException
    from mlflow.protos.databricks_pb2 import INTERNAL_ERROR, RESOURCE_DOES_NOT_EXIST

    try:
        told = json.loads(text)
    except (ValueError, RecursionError):
        told = None
    told = told if isinstance(told, dict) else {}
    code = RESOURCE_DOES_NOT_EXIST if told.get("error_code") == _NOT_THERE else INTERNAL_ERROR
    return MlflowException(f"error {status}: {told.get('message') or 'without a word'}", code)


def _pairs(items: Iterable[tuple[str, Any]]) -> list[dict[str, Any]]:
    return [{"key": key, "value": value} for key, value in items]


def _number(value: float) -> float | str:
    """A number as MLflow's JSON has it, which writes those that are not finite as words."""
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
