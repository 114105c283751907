"""Bytes to a server as they are, and all that comes back.

assert statuses(talk(port, b"GET /v2/ HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n")) == [200]
"""

from __future__ import annotations

import re
import socket
import time

_STATUS = re.compile(rb"HTTP/1\.1 ([0-9]{3}) ")

FIRST_SECONDS = 10.0


def talk(port: int, *pieces: bytes, quiet: float = 1.0, most: float = 15.0) -> bytes:
    """What the server says to these bytes until it closes the connection, or says nothing more for ``quiet`` seconds.

    The first word has longer, as the machine may be busy.
    """
    said = b""
    until = time.monotonic() + most
    with socket.create_connection(("127.0.0.1", port), timeout=most) as connection:
        try:
            for piece in pieces:
                connection.sendall(piece)
        except OSError:  # it has closed already, maybe with an answer before
            pass
        connection.settimeout(max(quiet, FIRST_SECONDS))
        try:
            while time.monotonic() < until and (more := connection.recv(65536)):
                said += more
                connection.settimeout(quiet)
        except OSError:
            pass
    return said


def request(method: str, target: str, *headers: str, body: bytes = b"") -> bytes:
    """A request as bytes; nothing is added but a Host."""
    head = "\r\n".join([f"{method} {target} HTTP/1.1", "Host: x", *headers, "", ""])
    return head.encode("latin-1") + body


def statuses(said: bytes) -> list[int]:
    """Of every answer in there, in order. The bodies of this registry hold no such line."""
    return [int(status) for status in _STATUS.findall(said)]
