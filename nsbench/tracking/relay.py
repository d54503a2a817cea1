"""The relay of an HTTP request to a server on a Unix socket, and of the answer to it: piece by piece, nothing is kept.

Each request has a connection to the server of its own, so that no request can hide in another's body.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Iterable, Iterator
from contextlib import closing
from http.client import HTTPConnection, HTTPException, HTTPResponse, InvalidURL
from http.server import BaseHTTPRequestHandler
from io import BufferedIOBase
from pathlib import Path

_PIECE = 1 << 16
_LINE = 1 << 12
_OF_ONE_CONNECTION = frozenset(
    ["connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection"]
).union(["te", "trailer", "transfer-encoding", "upgrade"])
"""Headers that speak of one connection and not of the message (RFC 9110, section 7.6.1)."""


class UnixConnection(HTTPConnection):
    """An HTTP connection to a server that listens on a Unix socket."""

    def __init__(self, path: Path, timeout: float | None = None) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


def relay(request: BaseHTTPRequestHandler, headers: Iterable[tuple[str, str]], server: Path) -> None:
    """Send a request on with these headers in place of its own, and the answer back.

    What is not HTTP is answered with 400, and where the server does not answer, 502 is. An answer that breaks off ends
    the connection, so that nobody takes it for the whole.
    """
    with closing(UnixConnection(server)) as connection:
        try:
            _send_on(request, headers, connection)
            answer = connection.getresponse()
        except EOFError:  # whoever asked is gone
            request.close_connection = True
        except (ValueError, InvalidURL) as error:
            reply(request, 400, f"This is not HTTP as it should be: {error}.")
        except (HTTPException, OSError):
            reply(request, 502, "MLflow's server does not answer.")
        else:
            with answer:
                _send_back(answer, request)


def reply(request: BaseHTTPRequestHandler, status: int, text: str, kind: str = "plain", **headers: str) -> None:
    """Answer a request with a text, and end the connection, for the request's body may not have been read.

    kind: of text, `plain` or `html`. headers: further ones, with `_` for `-` in their names.
    """
    body = f"{text}\n".encode()
    headers = {"Content_Type": f"text/{kind}; charset=utf-8", "Content_Length": str(len(body))} | headers
    headers |= {"Cache_Control": "no-store", "X_Content_Type_Options": "nosniff", "Connection": "close"}
    request.send_response_only(status)
    for name, value in headers.items():
        request.send_header(name.replace("_", "-"), value)
    request.end_headers()
    if request.command != "HEAD":
        request.wfile.write(body)


def _send_on(request: BaseHTTPRequestHandler, headers: Iterable[tuple[str, str]], connection: HTTPConnection) -> None:
    """Send a request to the server. Raises EOFError if it breaks off, ValueError if it is malformed."""
    body, chunked = _body(request)
    connection.putrequest(request.command, request.path, skip_host=True, skip_accept_encoding=True)
    named = {name.strip().lower() for name in request.headers.get("Connection", "").split(",")}
    for name, value in headers:
        if name.lower() not in _OF_ONE_CONNECTION | named:
            connection.putheader(name, value)
    connection.putheader("Connection", "close")
    if chunked:
        connection.putheader("Transfer-Encoding", "chunked")
    connection.endheaders()
    try:
        for piece in body:
            connection.send(_chunk(piece) if chunked else piece)
        if chunked:
            connection.send(_chunk(b""))
    except (BrokenPipeError, ConnectionResetError):  # the server has heard enough, and may have said why
        request.close_connection = True


def _send_back(answer: HTTPResponse, request: BaseHTTPRequestHandler) -> None:
    """Send the server's answer to whoever asked."""
    rest = answer.length  # 0 where there is no body, whatever the headers say; None where the end will tell
    chunked = rest is None and request.request_version != "HTTP/1.0"
    request.send_response_only(answer.status, answer.reason)
    for name, value in answer.getheaders():
        if name.lower() not in _OF_ONE_CONNECTION:
            request.send_header(name, value)
    if chunked:
        request.send_header("Transfer-Encoding", "chunked")
    if request.close_connection or (rest is None and not chunked):
        request.send_header("Connection", "close")
    request.end_headers()
    try:
        while piece := answer.read1(_PIECE):
            request.wfile.write(_chunk(piece) if chunked else piece)
            rest = None if rest is None else rest - len(piece)
        if chunked:
            request.wfile.write(_chunk(b""))
    except (HTTPException, OSError):  # one of the two is gone
        request.close_connection = True
    if rest:
        request.close_connection = True


def _chunk(piece: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(piece), piece)


def _body(request: BaseHTTPRequestHandler) -> tuple[Iterator[bytes], bool]:
    """The pieces of a request's body, and whether it is chunked, so that its length is not known yet."""
    codings = request.headers.get_all("Transfer-Encoding", [])
    lengths = request.headers.get_all("Content-Length", [])
    if len(codings) + len(lengths) > 1:
        raise ValueError("it has more than one length")
    stream: BufferedIOBase = request.rfile
    if codings:
        if codings[0].strip().lower() != "chunked":
            raise ValueError("its transfer coding is not `chunked`")
        return _chunks(stream), True
    length = lengths[0].strip() if lengths else "0"
    if not re.fullmatch("[0-9]{1,18}", length):
        raise ValueError("its length is no number")
    return _pieces(stream, int(length)), False


def _pieces(stream: BufferedIOBase, size: int) -> Iterator[bytes]:
    """The next `size` bytes, as they come."""
    while size:
        try:
            piece = stream.read1(min(size, _PIECE))
        except OSError as error:
            raise EOFError from error
        if not piece:
            raise EOFError
        size -= len(piece)
        yield piece


def _chunks(stream: BufferedIOBase) -> Iterator[bytes]:
    """The bytes of a chunked body."""
    while size := _chunk_size(_line(stream)):
        yield from _pieces(stream, size)
        if _line(stream).strip():
            raise ValueError("a chunk is longer than it says")
    while _line(stream).strip():  # trailers
        pass


def _chunk_size(line: bytes) -> int:
    if not (size := re.fullmatch(rb"([0-9a-fA-F]{1,15})[ \t]*(;.*)?\r?\n", line)):
        raise ValueError("a chunk does not say how long it is")
    return int(size[1], 16)


def _line(stream: BufferedIOBase) -> bytes:
    try:
        line = stream.readline(_LINE)
    except OSError as error:
        raise EOFError from error
    if not line:
        raise EOFError
    return line
