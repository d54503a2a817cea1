"""The door to MLflow's server: whoever knows its token comes in, and everybody else gets one sentence.

The server itself listens on a Unix socket in a folder of the user's own. Ports of the loopback are open to all accounts
of a machine, so at this one a token is asked for, made anew each time: in the address that is printed, which a browser
exchanges for a cookie, or in an `Authorization: Bearer` header.
"""

from __future__ import annotations

import hmac
import ipaddress
import secrets
import socket
import sys
import threading
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import ThreadingTCPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from nsbench.errors import Refusal
from nsbench.tracking.relay import relay, reply

REFUSAL = "Nothing is shown here without the token: open the address that `nsbench ui` has printed."

_SCRIPT = """\
try { localStorage.setItem("mlflow.assistant.fab.autoOpenedOnFirstLoad_v1", "true"); } catch {}
location.replace("/" + location.hash);"""
_WELCOME = f"<!doctype html><title>MLflow</title><script>{_SCRIPT}</script>"
"""The page that leads on. A redirect would not do: a browser that comes from another site, as from a terminal in a web
page, follows it without the cookie. MLflow's assistant, which is off, is kept from opening by itself."""
_POLICY = f"default-src 'none'; script-src 'sha256-{b64encode(sha256(_SCRIPT.encode()).digest()).decode()}'"


class DoorError(Refusal):
    """A place where nobody can listen, or where somebody else does; the message says why and what would help."""


class Door(ThreadingTCPServer):
    """A listening door. behind: the server's Unix socket. port: where it listens, also if 0 was asked for.

    Raises OSError if it cannot listen there.
    """

    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, host: str, port: int, behind: Path) -> None:
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.token = secrets.token_urlsafe(32)
        self.behind = behind
        everywhere = host in ("0.0.0.0", "::")
        shown = socket.gethostname() if everywhere else host
        self.names = {"localhost", socket.gethostname().lower(), shown.lower()}
        self.names |= {socket.getfqdn().lower()} if everywhere else set()
        super().__init__((host, port), _Visit)
        self.port: int = self.server_address[1]
        self._base = f"http://{f'[{shown}]' if ':' in shown else shown}:{self.port}"

    def address(self, fragment: str) -> str:
        """The address to open, which holds the token. fragment: what follows `#`."""
        return f"{self._base}/?token={self.token}#{fragment}"

    def admits(self, token: str) -> bool:
        """Whether this is the token; how long the answer takes does not say how near it was."""
        return hmac.compare_digest(token.encode("utf-8", "replace"), self.token.encode())

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exception(), (ConnectionError, TimeoutError)):  # visitors come and go
            super().handle_error(request, client_address)


@contextmanager
def open_door(host: str, port: int, behind: Path) -> Iterator[Door]:
    """A door that answers until the end of the block. Raises DoorError if it cannot listen there."""
    try:
        door = Door(host, port, behind)
    except OSError as error:
        raise DoorError(f"cannot listen at {host}:{port}: {error.strerror}; choose another with --port") from error
    with door:
        threading.Thread(target=door.serve_forever, args=[0.05], daemon=True).start()
        try:
            yield door
        finally:
            door.shutdown()


class _Visit(BaseHTTPRequestHandler):
    """A connection of a visitor, with a request after another."""

    server: Door
    protocol_version = "HTTP/1.1"
    timeout = 120
    disable_nagle_algorithm = True

    def answer(self) -> None:
        """Answer a request: by the server behind the door, by the page that leads there, or not at all."""
        path, _, query = self.path.partition("?")
        token = parse_qs(query).get("token", [""])[0] if path == "/" else ""
        if refusal := self._refusal():
            reply(self, 403, refusal)
        elif self.server.admits(token):
            cookie = f"{self._cookie}={token}; Path=/; HttpOnly; SameSite=Strict"
            further = {"Content_Security_Policy": _POLICY, "Referrer_Policy": "no-referrer"}
            reply(self, 200, _WELCOME, "html", Set_Cookie=cookie, **further)
        elif any(map(self.server.admits, (self._bearer(), self._cookies().get(self._cookie, "")))):
            relay(self, self._headers_to_send(), self.server.behind)
        else:
            reply(self, 403, REFUSAL)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = answer

    def log_message(self, *arguments: object) -> None:
        """Write no log: addresses may hold the token."""

    def _refusal(self) -> str:
        """The reason not to answer whoever comes by way of another site; empty if there is none."""
        hosts, origins = self.headers.get_all("Host", []), self.headers.get_all("Origin", [])
        if len(hosts) != 1 or not _names_this_machine(hosts[0], self.server.names):
            return "The request's Host is no name of this machine."
        if any(origin.partition("://")[2] != hosts[0] for origin in origins):
            return "The request was made by a page of another site."
        return "" if self.path.startswith("/") else "The request is for another server."

    @property
    def _cookie(self) -> str:
        """The name of the cookie: browsers send those of a machine to all of its ports, so that it holds the port.

        It is the port that the browser sees: through a tunnel, another than the door's.
        """
        return f"nsbench-{urlsplit('//' + self.headers['Host']).port or 80}"

    def _cookies(self) -> dict[str, str]:
        """All cookies that came along, by name."""
        pairs = "; ".join(self.headers.get_all("Cookie", [])).split(";")
        return {name.strip(): value.strip() for name, _, value in (pair.partition("=") for pair in pairs) if name}

    def _bearer(self) -> str:
        scheme, _, token = self.headers.get("Authorization", "").partition(" ")
        return token.strip() if scheme.lower() == "bearer" else ""

    def _headers_to_send(self) -> list[tuple[str, str]]:
        """The headers without what was meant for the door: the server behind it never learns the token."""
        private = {"host", "origin", "authorization", "cookie"}
        headers = [(name, value) for name, value in self.headers.items() if name.lower() not in private]
        others = [f"{name}={value}" for name, value in self._cookies().items() if name != self._cookie]
        return [("Host", "localhost"), *headers, *([("Cookie", "; ".join(others))] if others else [])]


def _names_this_machine(host: str, names: set[str]) -> bool:
    """Whether a Host header holds an address, or one of these names: those that no other site can point here."""
    try:
        split = urlsplit(f"//{host}")
        name, _ = split.hostname or "", split.port  # a port that is no number raises ValueError
    except ValueError:
        return False
    try:
        return bool(ipaddress.ip_address(name))
    except ValueError:
        return name in names
