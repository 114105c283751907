"""A relay before a registry without TLS, to see what a client asks of it.

with watched(place) as (through, requests):
    Crane(through).copy("a:1", "b:1")
assert uploaded(requests) == []
"""

from __future__ import annotations

import json
import re
import selectors
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from tests.clients import Place
from tests.images import Image
from tests.serving import Site


def layers(held: Image) -> list[str]:
    """Of all its manifests."""
    found = (json.loads(part.raw).get("layers", ()) for part in held.manifests)
    return [layer["digest"] for each in found for layer in each]


def uploaded(requests: list[str]) -> list[str]:
    """The digests that were sent as blobs: those named when an upload was finished."""
    return [
        hit[1].replace("%3A", ":")
        for line in requests
        if (hit := re.search(r"^(?:PUT|POST) \S+/blobs/uploads/\S*[?&]digest=([a-z0-9]+(?::|%3A)[0-9a-f]+)", line))
    ]


@contextmanager
def watched(place: Place) -> Iterator[tuple[Place, list[str]]]:
    """The same place through a relay, and the first lines of the requests that went through it."""
    requests: list[str] = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        host, _, port = place.host.rpartition(":")

        def accept() -> None:
            while True:
                try:
                    near, _ = server.accept()
                except OSError:
                    return
                threading.Thread(target=relay, args=(near, (host, int(port)), requests), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        site = Site("http", f"127.0.0.1:{server.getsockname()[1]}", place.site.log)
        try:
            yield Place(site, place.home), requests
        finally:
            server.shutdown(socket.SHUT_RDWR)


def relay(near: socket.socket, to: tuple[str, int], requests: list[str]) -> None:
    """Bytes both ways until one side ends; the lines that look like the first of a request are written down."""
    with near, socket.create_connection(to) as far, selectors.DefaultSelector() as selector:
        selector.register(near, selectors.EVENT_READ, far)
        selector.register(far, selectors.EVENT_READ, near)
        tail = b""
        while True:
            for key, _ in selector.select():
                try:
                    raw = key.fileobj.recv(65536)  # type: ignore[union-attr]
                    key.data.sendall(raw)
                except OSError:
                    return
                if not raw:
                    return
                if key.fileobj is near:
                    whole = tail + raw
                    done = whole.rfind(b"\n") + 1
                    lines = re.findall(
                        rb"(?:^|\n|[^ -~])((?:GET|HEAD|POST|PUT|PATCH|DELETE) /\S+) HTTP/1\.1\r", whole[:done]
                    )
                    requests.extend(line.decode() for line in lines)
                    tail = whole[done:][-4096:]
