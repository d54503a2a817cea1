"""Servers in MLflow's place that behave badly: silent, dripping, or of another mind about one trial."""

from __future__ import annotations

import json
import socket
import threading
import time
import uuid
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@contextmanager
def raw_server(serve):
    """A server that hands each connection to a function; yields its address."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def accept():
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                threading.Thread(target=serve, args=[connection], daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        listener.shutdown(socket.SHUT_RDWR)


def silent(connection):
    """Take the request, and never answer."""
    time.sleep(600)
    connection.close()


def drip(connection):
    """Answer with a byte each 50 ms, without end: no single read takes long."""
    try:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
        while True:
            connection.sendall(b" ")
            time.sleep(0.05)
    except OSError:
        connection.close()


class Choosy(ThreadingHTTPServer):
    """As much of MLflow's REST interface as the mirror needs, and a list of what was asked.

    refuse: (trial, request) -> a status, None to accept. location: run -> the address that its files should go to.
    elsewhere: the server that requests are sent on to. answer: what is said to all of them instead. asked: (method, path, headers and certificate, body) of each.
    """

    daemon_threads = True

    def __init__(self, files, refuse):
        super().__init__(("127.0.0.1", 0), Answer)
        self.files, self.refuse = files, refuse
        self.trials, self.ended = {}, {}  # by run: the trial, the status
        self.location = lambda run: (files / run).as_uri()
        self.elsewhere, self.answer, self.asked, self.scheme = None, None, [], "http"

    @property
    def uri(self):
        return f"{self.scheme}://127.0.0.1:{self.server_port}"

    def everything(self):
        """All that was asked, as one text."""
        return "\n".join(f"{m} {path}\n{headers}\n{body.decode('latin-1')}" for m, path, headers, body in self.asked)

    def complete(self):
        """The trials whose runs have ended as they should."""
        return {self.trials[run] for run, status in self.ended.items() if status == "FINISHED"}


class Answer(BaseHTTPRequestHandler):
    def do_GET(self):
        self.reply()

    def do_POST(self):
        self.reply()

    def do_PUT(self):
        self.reply()

    def reply(self):
        length = int(self.headers["Content-Length"] or 0)
        content = self.rfile.read(length)
        certificate = getattr(self.connection, "getpeercert", dict)() or "no certificate"
        self.server.asked.append((self.command, self.path, f"{self.headers}{certificate}", content))
        body = json.loads(content or b"{}") if self.command == "POST" else {}
        if self.server.elsewhere:
            self.send_response(307)
            self.send_header("Location", self.server.elsewhere + self.path)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        server, path = self.server, self.path.partition("?")[0]
        status, answer = 200, {}
        if path.endswith("experiments/get-by-name"):
            experiment = {"experiment_id": "1", "name": "line", "lifecycle_stage": "active"}
            answer = {"experiment": experiment | {"artifact_location": server.location("")}}
        elif path.endswith("runs/create"):
            run = uuid.uuid4().hex  # MLflow's client remembers runs by their ids alone
            server.trials[run] = next(tag["value"] for tag in body["tags"] if tag["key"] == "nsbench.trial")
            answer = {"run": self.run_of(run)}
        elif path.endswith("runs/get"):
            answer = {"run": self.run_of(self.path.partition("run_id=")[2].partition("&")[0])}
        elif refused := server.refuse(server.trials.get(body.get("run_id")), body):
            status, answer = refused, {"error_code": "INVALID_PARAMETER_VALUE", "message": "not this one"}
        elif path.endswith("runs/update"):
            server.ended[body["run_id"]] = body["status"]
        content = json.dumps(answer).encode() if server.answer is None else server.answer
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def run_of(self, run):
        info = {"run_id": run, "experiment_id": "1", "status": "RUNNING", "lifecycle_stage": "active"}
        return {"info": info | {"artifact_uri": self.server.location(run)}, "data": {}}

    def log_message(self, *arguments):
        """Say nothing."""


@contextmanager
def choosy(files, refuse=lambda trial, body: None, tls=None):
    """A server that refuses some requests; yields it. tls: its SSLContext, for https."""
    server = Choosy(files, refuse)
    if tls is not None:
        server.socket, server.scheme = tls.wrap_socket(server.socket, server_side=True), "https"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()
