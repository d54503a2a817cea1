"""The connection to a Ray cluster: to one that the run starts for itself, or to the one at an address.

The run's own cluster is on this machine and nowhere else: its servers listen to the loopback, they ask for a token, and
token, sockets and session lie in a folder that no other user may enter. No cluster that runs already is looked for,
and nothing of this one is left when the run ends.
"""

from __future__ import annotations

import logging
import os
import secrets
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from nsbench.errors import Refusal
from nsbench.store.environment import cores
from nsbench.store.files import short_place

_LOGGER = logging.getLogger(__name__)

_LONGEST_PLACE = 20
"""Bytes of the longest path below which the folder may lie: the path of a socket has 107, and Ray's names take most."""

_LEADS_ELSEWHERE = ("RAY_ADDRESS", "RAY_REDIS_ADDRESS", "RAY_AUTH_TOKEN")
"""Variables that would lead the run's own cluster to another, or to a token that others know."""

_REMOVING_SECONDS = 5.0


@contextmanager
def own_cluster() -> Iterator[Any]:
    """A cluster on this machine, for this process alone, that ends with the block; yields Ray's module.

    Raises Refusal where it could not be kept from others.
    """
    folder = _private_folder()
    try:
        token = folder / "token"
        token.touch(mode=0o600)
        token.write_text(_token(), encoding="utf-8")
        settings = {
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN_PATH": str(token),
            "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # on every system: a cluster of one machine, on the loopback
            "RAY_USAGE_STATS_ENABLED": "0",
        }
        with _environment(settings, without=_LEADS_ELSEWHERE):
            ray = _ray_for_own_cluster()
            # Ray opens the folder that it is given to everybody, so that it is given one below the private folder.
            options = {"address": "local", "num_cpus": cores(), "_temp_dir": str(folder / "s")}
            with _connected(ray, "Ray could not start a cluster on this machine", **options):
                yield ray
    finally:
        _remove(folder)


@contextmanager
def joined_cluster(address: str) -> Iterator[Any]:
    """The cluster at an address, left when the block ends; yields Ray's module. Raises Refusal if it lets nobody in."""
    with _environment({"RAY_USAGE_STATS_ENABLED": "0"}):
        ray = _ray()
        failure = (
            f"no Ray cluster could be joined at {address} (if it asks for a token, RAY_AUTH_MODE=token and "
            "RAY_AUTH_TOKEN_PATH must be set here as on its nodes)"
        )
        with _connected(ray, failure, address=address):
            yield ray


@contextmanager
def _connected(ray: Any, failure: str, **options: Any) -> Iterator[None]:
    """A connection of this process to a cluster; a cluster that it has started ends with it.

    failure: said, with Ray's own words, when there is none. Raises Refusal.
    """
    if ray.is_initialized():
        raise Refusal("this process is connected to a Ray cluster: end that with ray.shutdown() before a run with Ray")
    handler = signal.getsignal(signal.SIGTERM)
    try:
        try:
            ray.init(include_dashboard=False, log_to_driver=False, logging_level="error", **options)
        except (ray.exceptions.RayError, OSError, RuntimeError, ValueError) as error:
            first = (str(error).strip().splitlines() or [""])[0]
            raise Refusal(f"{failure}: {type(error).__name__}: {first}") from error
        signal.signal(signal.SIGTERM, handler)  # Ray has taken it over
        yield
    finally:
        ray.shutdown()


@cache
def _ray_for_own_cluster() -> Any:
    """Ray's module, imported while the variables are set that it reads only then. Raises Refusal if it was before."""
    if "ray" in sys.modules:
        raise Refusal(
            "Ray was imported before this run could tell it to listen to this machine alone: "
            "leave the import to nsbench, or give the address of a cluster"
        )
    return _ray()


def _ray() -> Any:
    import ray

    if not hasattr(ray.exceptions, "AuthenticationError"):
        raise Refusal(f"Ray {ray.__version__} knows no tokens: pip install 'nsbench[ray]' installs one that does")
    return ray


@cache
def _token() -> str:
    """The token of this process's clusters. There is one, since Ray reads it once a process."""
    return secrets.token_hex(32)


def _private_folder() -> Path:
    """A new folder that only this user may enter, with a path that is short enough for sockets in it."""
    places = [tempfile.gettempdir(), "/tmp", "/var/tmp", os.environ.get("XDG_RUNTIME_DIR", "")]
    if (place := short_place(places, _LONGEST_PLACE)) is not None:
        return Path(tempfile.mkdtemp(prefix="nsbench-", dir=place))
    raise Refusal(
        f"none of {', '.join(filter(None, places))} can be written to and has a path of at most {_LONGEST_PLACE} "
        "bytes, as Ray's sockets need: set TMPDIR to such a folder"
    )


def _remove(folder: Path) -> None:
    """Remove the private folder, to which processes of the cluster that are ending may add for a moment yet."""
    until = time.monotonic() + _REMOVING_SECONDS
    while folder.exists():
        try:
            shutil.rmtree(folder)
        except OSError as error:
            if time.monotonic() > until:
                _LOGGER.warning("the folder of the run's Ray cluster is left behind: %s", error)
                return
            time.sleep(0.05)


@contextmanager
def _environment(settings: dict[str, str], without: tuple[str, ...] = ()) -> Iterator[None]:
    """This process's variables with some set and some missing, as they were again after the block."""
    before = {name: os.environ.get(name) for name in (*settings, *without)}
    for name in without:
        os.environ.pop(name, None)
    os.environ.update(settings)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
