"""The door before MLflow's server: who comes in, and that what goes through it arrives as it was sent."""

from __future__ import annotations

import json
import socket
import threading
from contextlib import closing
from hashlib import sha256
from http.client import HTTPConnection, IncompleteRead
from http.server import BaseHTTPRequestHandler
from socketserver import ThreadingUnixStreamServer
from urllib.parse import urlsplit

import pytest

from nsbench.tracking.door import REFUSAL, DoorError, open_door

BIG = 64 << 20


class Behind(ThreadingUnixStreamServer):
    """A server on a Unix socket that says what it was asked. requests: (method, path, headers) of all requests."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, path):
        super().__init__(str(path), Echo)
        self.requests, self.sent, self.go_on = [], 0, threading.Event()

    def handle_error(self, request, client_address):
        """Say nothing."""


class Echo(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def body(self):
        if "Transfer-Encoding" not in self.headers:
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        pieces = []
        while size := int(self.rfile.readline(), 16):
            pieces.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(pieces)

    def answer(self):
        self.server.requests.append((self.command, self.path, dict(self.headers.items())))
        work = getattr(self, self.path.strip("/").partition("?")[0] or "echo", self.echo)
        work()

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = do_PATCH = do_OPTIONS = answer

    def head(self, status=200, **headers):
        self.send_response_only(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), str(value))
        self.end_headers()

    def echo(self):
        text = json.dumps([self.command, self.path, sha256(self.body()).hexdigest()]).encode()
        self.head(Content_Length=len(text), X_Of_Server="yes", Connection="close")
        if self.command != "HEAD":
            self.wfile.write(text)

    def slow(self):
        self.head(Transfer_Encoding="chunked")
        self.wfile.write(b"5\r\nfirst\r\n")
        assert self.server.go_on.wait(10)
        self.wfile.write(b"6\r\nsecond\r\n0\r\n\r\n")

    def endless(self):
        """As HTTP/1.0 does it: the end of the connection ends the body."""
        self.head()
        self.wfile.write(b"all of it")
        self.close_connection = True

    def big(self):
        self.head(Content_Length=BIG)
        for _ in range(BIG >> 16):
            self.wfile.write(bytes(1 << 16))
            self.server.sent += 1 << 16

    def cut(self):
        self.head(Content_Length=1000)
        self.wfile.write(b"only this")
        self.close_connection = True

    def cut_chunk(self):
        self.head(Transfer_Encoding="chunked")
        self.wfile.write(b"64\r\nonly this")
        self.close_connection = True

    def deaf(self):
        """Refuse without reading on."""
        self.head(413, Content_Length=3, Connection="close")
        self.wfile.write(b"no!")
        self.close_connection = True

    def empty(self):
        self.head(204)

    def unchanged(self):
        self.head(304, ETag="x", Content_Length=1000)

    def log_message(self, *arguments):
        """Say nothing."""


@pytest.fixture
def behind(tmp_path):
    with Behind(tmp_path / "socket") as server:
        threading.Thread(target=server.serve_forever, args=[0.01], daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture
def door(tmp_path, behind):
    with open_door("127.0.0.1", 0, tmp_path / "socket") as door:
        yield door


@pytest.fixture
def connection(door):
    with closing(HTTPConnection("127.0.0.1", door.port, timeout=10)) as connection:
        yield connection


@pytest.fixture
def pass_(door):
    return {"Authorization": f"Bearer {door.token}"}


def ask(connection, method="GET", path="/", **given):
    connection.request(method, path, **given)
    answer = connection.getresponse()
    return answer.status, answer.read(), answer.headers


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_without_the_token_nothing_gets_through(connection, behind, method):
    for path in ("/", "/health", "/?token=", "/?token=wrong", "/?token=wrong&token=wrong"):
        status, text, headers = ask(connection, method, path)
        assert (status, text.decode()) == (403, "" if method == "HEAD" else f"{REFUSAL}\n")
        assert headers["Content-Type"] == "text/plain; charset=utf-8"
        assert "Set-Cookie" not in headers
    assert behind.requests == []


def test_what_resembles_the_token_is_not_the_token(connection, door, behind):
    token = door.token
    for text in ("", "x", f"{token}x", token[:-1], f"{token}\xe4", f"x {token}", token.swapcase()):
        attempts = [{"Authorization": f"Bearer {text}"}, {"Cookie": f"nsbench-{door.port}={text}"}]
        attempts += [{"Authorization": token}, {"Authorization": f"Basic {token}"}, {"Cookie": token}]
        for headers in attempts:
            assert ask(connection, headers=headers)[0] == 403
    assert behind.requests == []


def test_each_door_has_a_token_of_its_own(door, tmp_path):
    with open_door("127.0.0.1", 0, tmp_path / "socket") as other:
        assert other.token != door.token
        assert len(other.token) >= 43  # 256 bits


def test_the_address_is_exchanged_for_a_cookie_that_scripts_and_other_sites_cannot_use(connection, door, behind):
    address = urlsplit(door.address("/experiments/1"))
    assert (address.netloc, address.fragment) == (f"127.0.0.1:{door.port}", "/experiments/1")
    status, page, headers = ask(connection, path=f"{address.path}?{address.query}")
    assert (status, headers["Referrer-Policy"], headers["Cache-Control"]) == (200, "no-referrer", "no-store")
    assert door.token not in page.decode()
    cookie, *attributes = headers["Set-Cookie"].split("; ")
    assert cookie == f"nsbench-{door.port}={door.token}"
    assert set(attributes) == {"Path=/", "HttpOnly", "SameSite=Strict"}
    assert behind.requests == [], "the server never sees the address"
    status, text, _ = ask(connection, path="/health", headers={"Cookie": f"a=1; {cookie}; b=2"})
    assert (status, json.loads(text)[:2]) == (200, ["GET", "/health"])
    assert behind.requests[0][2]["Cookie"] == "a=1; b=2"


def test_the_cookie_is_called_by_the_port_that_the_browser_sees(connection, door):
    """Browsers send a machine's cookies to all of its ports; through tunnels, two doors have other ports there."""
    _, _, headers = ask(connection, path=f"/?token={door.token}", headers={"Host": "localhost:8123"})
    assert headers["Set-Cookie"].startswith("nsbench-8123=")


def test_the_server_behind_never_learns_the_token(connection, door, behind, pass_):
    assert ask(connection, headers=pass_ | {"Cookie": f"nsbench-{door.port}={door.token}"})[0] == 200
    assert door.token not in str(behind.requests)
    assert behind.requests[0][2]["Host"] == "localhost"


def test_nothing_is_logged(connection, door, capfd):
    for path in (f"/?token={door.token}", "/?token=x", "/%zz"):
        ask(connection, path=path)
    assert capfd.readouterr() == ("", "")


def test_names_that_others_can_point_here_are_refused(connection, door, behind, pass_):
    """DNS rebinding: a page of evil.example whose name now leads to 127.0.0.1."""
    evil = (
        "evil.example",
        f"evil.example:{door.port}",
        "localhost.evil.example",
        "",
        "x y",
        "[::1",
        "a:b",
        "localhost:b",
    )
    for host in evil:
        for path in ("/", f"/?token={door.token}"):
            assert ask(connection, path=path, headers=pass_ | {"Host": host})[0] == 403
    assert behind.requests == []


def test_addresses_and_this_machines_names_are_taken(connection, pass_):
    for host in ("127.0.0.1", "localhost:8080", "LocalHost", "[::1]:8080", "192.168.1.7:5000", socket.gethostname()):
        assert ask(connection, headers=pass_ | {"Host": host})[0] == 200


def test_pages_of_other_ports_and_sites_are_refused(connection, door, behind, pass_):
    """A cookie of the same machine comes along with what another account's page at another port asks for."""
    for origin in ("http://127.0.0.1:1", f"http://localhost:{door.port}", "http://evil.example", "null", ""):
        for method in ("GET", "POST"):
            headers = pass_ | {"Origin": origin}
            assert ask(connection, method, "/ajax-api/2.0/mlflow/runs/delete", headers=headers)[0] == 403
    assert behind.requests == []


def test_the_page_itself_may_ask(connection, door, behind, pass_):
    assert ask(connection, "POST", "/x", headers=pass_ | {"Origin": f"http://127.0.0.1:{door.port}"})[0] == 200
    assert "Origin" not in behind.requests[0][2]


def test_bodies_arrive_as_they_were_sent_over_one_connection(connection, pass_):
    body = bytes(range(256)) * 4000
    digest = sha256(body).hexdigest()
    pieces = lambda: iter([body[:1], body[1:70_000], body[70_000:]])  # noqa: E731
    ask(connection, headers=pass_)
    kept = connection.sock
    for method in ("POST", "PUT", "PATCH", "DELETE"):
        status, text, headers = ask(connection, method, "/a%20b?c=%2F&d=%C3%A9", body=body, headers=pass_)
        assert (status, headers["X-Of-Server"]) == (200, "yes")
        assert json.loads(text) == [method, "/a%20b?c=%2F&d=%C3%A9", digest]
        _, text, _ = ask(connection, method, "/x", body=pieces(), headers=pass_, encode_chunked=True)
        assert json.loads(text) == [method, "/x", digest]
    assert connection.sock is kept


def test_answers_without_a_body_keep_the_connection(connection, pass_):
    ask(connection, headers=pass_)
    kept = connection.sock
    status, text, headers = ask(connection, "HEAD", "/echo", headers=pass_)
    assert (status, text, headers["X-Of-Server"]) == (200, b"", "yes")
    assert int(headers["Content-Length"]) > 0
    assert ask(connection, path="/empty", headers=pass_)[:2] == (204, b"")
    status, text, headers = ask(connection, path="/unchanged", headers=pass_)
    assert (status, text, headers["ETag"]) == (304, b"", "x")
    assert connection.sock is kept


def test_what_the_server_says_is_passed_on_at_once(connection, behind, pass_):
    connection.request("GET", "/slow", headers=pass_)
    answer = connection.getresponse()
    assert answer.read1() == b"first"
    behind.go_on.set()
    assert answer.read() == b"second"
    assert ask(connection, path="/endless", headers=pass_)[1] == b"all of it"


def test_a_large_file_is_never_held(connection, behind, pass_):
    """Whoever does not read on, makes the server wait."""
    connection.request("GET", "/big", headers=pass_)
    answer = connection.getresponse()
    before = -1
    while before < behind.sent:
        before = behind.sent
        threading.Event().wait(0.3)
    assert behind.sent < BIG / 2, "what the sockets themselves hold is a few MiB"
    assert sum(map(len, iter(lambda: answer.read(1 << 20), b""))) == BIG


@pytest.mark.parametrize("path", ["/cut", "/cut_chunk"])
def test_what_breaks_off_is_not_taken_for_the_whole(connection, pass_, path):
    with pytest.raises(IncompleteRead):
        ask(connection, path=path, headers=pass_)


def test_a_server_that_refuses_a_body_unread_is_heard(connection, pass_):
    assert ask(connection, "POST", "/deaf", body=bytes(1000), headers=pass_)[:2] == (413, b"no!")


@pytest.mark.parametrize(
    "rest",
    [
        "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        "Content-Length: -5\r\n\r\nhello",
        "Content-Length: 0x5\r\n\r\nhello",
        "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        "Transfer-Encoding: chunked\r\n\r\n-1\r\n\r\n",
        "Transfer-Encoding: chunked\r\n\r\n1_0\r\n\r\n",
        "Transfer-Encoding: chunked\r\n\r\n2\r\nhello\r\n0\r\n\r\n",
    ],
)
def test_requests_whose_end_is_not_clear_are_refused(door, behind, rest):
    """And what follows in the same connection is not taken for another request."""
    head = f"POST / HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {door.token}\r\n"
    with socket.create_connection(("127.0.0.1", door.port), 10) as client:
        client.sendall(f"{head}{rest}GET /hidden HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        with client.makefile("rb") as stream:
            assert stream.readline() == b"HTTP/1.1 400 Bad Request\r\n"
    assert "/hidden" not in str(behind.requests)


def test_a_request_for_another_server_is_refused(door, behind):
    head = f"GET http://elsewhere.example/ HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {door.token}\r\n\r\n"
    with socket.create_connection(("127.0.0.1", door.port), 10) as client:
        client.sendall(head.encode())
        assert client.recv(100).startswith(b"HTTP/1.1 403 ")
    assert behind.requests == []


def test_a_server_that_is_gone_is_said_to_be(connection, tmp_path, pass_):
    (tmp_path / "socket").unlink()
    assert ask(connection, headers=pass_)[:2] == (502, b"MLflow's server does not answer.\n")


def test_a_port_that_is_taken_is_said_to_be(door, tmp_path):
    with pytest.raises(DoorError, match="--port"), open_door("127.0.0.1", door.port, tmp_path / "socket"):
        pass


def test_a_door_to_the_network_asks_for_the_token_too(tmp_path, behind):
    with open_door("0.0.0.0", 0, tmp_path / "socket") as door:
        assert door.address("").startswith(f"http://{socket.gethostname()}:{door.port}/?token=")
        with closing(HTTPConnection("127.0.0.1", door.port, timeout=10)) as connection:
            for host in (socket.gethostname(), socket.getfqdn(), "10.0.0.7"):
                assert ask(connection, headers={"Host": host})[:2] == (403, f"{REFUSAL}\n".encode())
                assert ask(connection, headers={"Host": host, "Authorization": f"Bearer {door.token}"})[0] == 200
