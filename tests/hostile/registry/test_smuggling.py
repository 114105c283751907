"""Requests that two servers in a row could read differently: where does one end, and is the rest taken for another?

Each is followed by a request that would leave a trace if it were answered: a mark in its address.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from bundler.oci.digest import digest_of
from tests.hostile.registry.host import Host, hosting
from tests.hostile.registry.wire import request, statuses, talk

HIDDEN = request("POST", "/v2/smuggled/blobs/uploads/", "Content-Length: 0")
START = "POST /v2/app/blobs/uploads/?digest={} HTTP/1.1\r\nHost: x\r\n"
BLOB = b"hello"
LINE = START.replace("{}", digest_of(BLOB)).encode()


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    with hosting(tmp_path_factory.mktemp("smuggling") / "store") as host:
        yield host


REFUSED = {
    "two lengths": b"Content-Length: 5\r\nContent-Length: 0\r\n\r\nhello",
    "two lengths, the longer last": b"Content-Length: 0\r\nContent-Length: 5\r\n\r\nhello",
    "a list of lengths": b"Content-Length: 5, 0\r\n\r\nhello",
    "a negative length": b"Content-Length: -5\r\n\r\nhello",
    "a signed length": b"Content-Length: +5\r\n\r\nhello",
    "a length in hexadecimal": b"Content-Length: 0x5\r\n\r\nhello",
    "a length with a blank": b"Content-Length: 5 5\r\n\r\nhello",
    "a length beyond 64 bits": b"Content-Length: 99999999999999999999\r\n\r\nhello",
    "no digits": b"Content-Length: \r\n\r\nhello",
    "a blank before the colon": b"Content-Length : 5\r\n\r\nhello",
    "a folded header": b"X: a\r\n b\r\nContent-Length: 5\r\n\r\nhello",
    "a nul in a name": b"Content\0-Length: 5\r\n\r\nhello",
    "a bare return": b"X: a\rContent-Length: 5\r\n\r\nhello",
    "chunked is not last": b"Transfer-Encoding: chunked, gzip\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    "an unknown coding": b"Transfer-Encoding: xchunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    "a size that is none": b"Transfer-Encoding: chunked\r\n\r\nzz\r\nhello\r\n0\r\n\r\n",
    "a negative size": b"Transfer-Encoding: chunked\r\n\r\n-5\r\nhello\r\n0\r\n\r\n",
    "a size beyond 64 bits": b"Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\nhello\r\n0\r\n\r\n",
    "a size with a prefix": b"Transfer-Encoding: chunked\r\n\r\n0x5\r\nhello\r\n0\r\n\r\n",
    "a chunk longer than its size": b"Transfer-Encoding: chunked\r\n\r\n4\r\nhello\r\n0\r\n\r\n",
    "a chunk without its end": b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello0\r\n\r\n",
}


@pytest.mark.parametrize("rest", REFUSED.values(), ids=REFUSED.keys())
def test_refused_and_closed(host: Host, rest: bytes) -> None:
    before = len(statuses(talk(host.port, HIDDEN, quiet=0.2)))  # the trace, when it is looked for rightly
    assert before == 1
    said = talk(host.port, LINE + rest + HIDDEN, quiet=0.5)
    assert b"smuggled" not in said
    assert all(400 <= status < 500 for status in statuses(said)), said
    assert len(statuses(said)) <= 1, said
    assert host.ask("GET", f"/v2/app/blobs/{digest_of(BLOB)}").status == 404


def test_a_length_beside_chunks(host: Host) -> None:
    """The chunks win or the request is refused (RFC 9112, 6.3); what follows is never a second request."""
    for order in (
        b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n",
        b"Content-Length: 5\r\nTransfer-Encoding: identity, chunked\r\n\r\n",
        b"Content-Length: 5\r\ntransfer-encoding:\tchunked\r\n\r\n",
    ):
        # By its length the body is "0\\r\\n\\r\\n", and the rest is another request; by its chunks it is nothing, too.
        said = talk(host.port, LINE + order + b"0\r\n\r\n" + HIDDEN, quiet=0.5)
        first = statuses(said)[0]
        assert 400 <= first < 500, said
        # By its length, the hidden request would come second; by its chunks, it is part of the body.
        inside = b"%x\r\n" % len(HIDDEN) + HIDDEN + b"\r\n0\r\n\r\n"
        said = talk(host.port, LINE + order.replace(b": 5", b": %d" % len(b"%x\r\n" % len(HIDDEN))) + inside, quiet=0.5)
        assert b"smuggled" not in said, said
        assert len(statuses(said)) == 1, said


def test_a_body_where_none_belongs(host: Host) -> None:
    """Its bytes are the body, and no request."""
    for method, target in (
        ("GET", "/v2/"),
        ("HEAD", "/v2/"),
        ("DELETE", "/v2/app/blobs/uploads/0"),
        ("GET", "/healthz"),
    ):
        asked = request(method, target, f"Content-Length: {len(HIDDEN)}", body=HIDDEN)
        said = talk(host.port, asked + request("GET", "/v2/second/tags/list"), quiet=0.5)
        assert b"smuggled" not in said, (method, target, said)
        assert len(statuses(said)) in (1, 2), (method, target, said)


def test_a_refused_body_is_no_request(host: Host) -> None:
    """Answered before its body was read: whatever of it comes then is still its body."""
    for target, headers, times in (
        ("/v2/app/manifests/.bad", "Content-Type: text/plain", 1),
        ("/v2/app/manifests/.bad", "Content-Type: text/plain", 1000),
        ("/v2/app/manifests/1", "Content-Type: application/vnd.oci.image.manifest.v1+json", 100_000),
    ):
        body = HIDDEN * times
        said = talk(host.port, request("PUT", target, headers, f"Content-Length: {len(body)}", body=body), quiet=0.5)
        assert b"smuggled" not in said, said[-300:]
        assert statuses(said) in ([400], [413]), said


def test_answers_stay_in_order(host: Host) -> None:
    """Requests in one breath are answered one after the other, each by its own answer."""
    names = [f"name{number}" for number in range(20)]
    said = talk(host.port, b"".join(request("GET", f"/v2/{name}/tags/list") for name in names), quiet=0.5)
    assert statuses(said) == [404] * 20
    places = [said.index(f'repository {name}"'.encode()) for name in names]
    assert places == sorted(places)


def test_protocols_that_are_not_spoken(host: Host) -> None:
    for opening in (
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET /v2/ HTTP/0.9\r\n\r\n",
        b"GET /v2/\r\n",
        b"GET /v2/ HTTP/3.0\r\nHost: x\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"\0" * 100,
        b"CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\n\r\n",
    ):
        assert all(status >= 400 for status in statuses(talk(host.port, opening, quiet=0.3))), opening
    upgrade = (
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: " + "A" * 22 + "==",
    )
    assert statuses(talk(host.port, request("GET", "/v2/", *upgrade), quiet=0.3)) in ([200], [400], [426])
    assert host.ask("GET", "/v2/").status == 200


def test_many_at_once(host: Host) -> None:
    """None of all that hurt a server that does other work meanwhile."""
    failed: list[int] = []

    def working() -> None:
        with host.client() as client:
            failed.extend(status for _ in range(40) if (status := client.ask("GET", "/v2/app/tags/list").status) != 404)

    threads = [threading.Thread(target=working) for _ in range(4)]
    for thread in threads:
        thread.start()
    for rest in REFUSED.values():
        talk(host.port, LINE + rest + HIDDEN, quiet=0.05)
    for thread in threads:
        thread.join()
    assert failed == []
