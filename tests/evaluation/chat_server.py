"""A chat endpoint on this machine that behaves as a test tells it to."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Behaviour = Callable[[dict[str, Any], int], tuple[int, bytes, dict[str, str]]]
"""From a request's body and how often it has come before: status, reply, headers."""


def completion(text: str) -> tuple[int, bytes, dict[str, str]]:
    """A reply as OpenAI's API gives it."""
    return 200, json.dumps({"choices": [{"message": {"content": text}}]}).encode(), {}


@dataclass
class Server:
    """What has been asked of it."""

    url: str = ""
    bodies: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    at_once: int = 0
    most_at_once: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)


@contextmanager
def serving(behaviour: Behaviour, drip_s: float = 0.0) -> Iterator[Server]:
    """A server for a block of work; with `drip_s`, it sends a byte so often."""
    server = Server()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            with server.lock:
                server.at_once += 1
                server.most_at_once = max(server.most_at_once, server.at_once)
                before = server.bodies.count(body)
                server.bodies.append(body)
                server.headers.append({k.lower(): v for k, v in self.headers.items()})
            try:
                status, reply, headers = behaviour(body, before)
            finally:
                with server.lock:  # before the reply, whose reader may ask again at once
                    server.at_once -= 1
            with suppress(BrokenPipeError, ConnectionResetError):
                self._send(status, reply, headers)

        def _send(self, status: int, reply: bytes, headers: dict[str, str]) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("content-length", str(len(reply)))
            self.end_headers()
            if not drip_s:
                self.wfile.write(reply)
                return
            for byte in reply:
                self.wfile.write(bytes([byte]))
                self.wfile.flush()
                time.sleep(drip_s)

        def log_message(self, *_: object) -> None:
            pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    server.url = f"http://127.0.0.1:{http.server_port}/v1"
    try:
        yield server
    finally:
        http.shutdown()
        thread.join()
        http.server_close()
