"""A registry without TLS that only knows who may come in: the front door of the real ones, for logging in.

with front_door({"ann": "secret"}) as door:
    …
assert door.shown == ["ann:secret"]
"""

from __future__ import annotations

import base64
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass(slots=True)
class FrontDoor:
    """``host`` is ``127.0.0.1:port``; ``shown`` is each ``user:password`` that came, right or wrong."""

    users: Mapping[str, str] | None
    host: str = ""
    shown: list[str] = field(default_factory=list)

    def admits(self, authorization: str) -> bool:
        """Whether the header is that of a user; ``users`` is None where everyone may come in."""
        if authorization:
            self.shown.append(base64.b64decode(authorization.partition(" ")[2]).decode())
            user, _, password = self.shown[-1].partition(":")
            return self.users is None or self.users.get(user) == password
        return self.users is None


@contextmanager
def front_door(users: Mapping[str, str] | None) -> Iterator[FrontDoor]:
    """Open until the block ends."""
    door = FrontDoor(users)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            admitted = door.admits(self.headers.get("Authorization", ""))
            self.send_response(200 if admitted else 401)
            if not admitted:
                self.send_header("WWW-Authenticate", 'Basic realm="tests"')
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # as the base class has it
            """Say nothing."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request: object, client_address: object) -> None:
            """Clients may hang up, and try TLS first."""

    server = Server(("127.0.0.1", 0), Handler)
    door.host = f"127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield door
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
