"""What a hostile client sends to a real server: nothing outside the store is read, and nothing half is published."""

from __future__ import annotations

import http.client
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bundler.oci.digest import digest_of
from bundler.registry.process import running
from bundler.store import Store
from tests import images

APP = images.image(images.layer("app", 2000))
SECRET = b"outside the store"


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hostile")
    (folder / "secret").write_bytes(SECRET)
    with Store.open(str(folder / "store"), create=True) as store:
        images.load(store, {"app:1": APP})
    return folder


@pytest.fixture(scope="module")
def port(base: Path) -> Iterator[int]:
    with running(base / "store") as url:
        yield int(url.rpartition(":")[2])


def raw_request(port: int, head: bytes, body: bytes = b"") -> bytes:
    """Bytes sent as they are, and the first of the answer."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(head + b"\r\nHost: x\r\nConnection: close\r\n\r\n" + body)
        answer = b""
        while more := connection.recv(65536):
            answer += more
    return answer


def status_of(answer: bytes) -> int:
    assert answer.startswith(b"HTTP/1.1 ")
    return int(answer[9:12])


PATHS = {
    "dots": "/v2/../../secret",
    "dots in the name": "/v2/app/../../manifests/1",
    "dots as tag": "/v2/app/manifests/..",
    "dots as digest": "/v2/app/blobs/sha256:../../../../secret",
    "encoded dots": "/v2/%2e%2e/%2e%2e/manifests/1",
    "encoded slashes": "/v2/app/blobs/sha256:%2e%2e%2f%2e%2e%2f%2e%2e%2f%2e%2e%2fsecret",
    "twice encoded": "/v2/app/blobs/sha256:%252e%252e%252f%252e%252e%252fsecret",
    "nul": "/v2/app%00/manifests/1",
    "nul in the digest": f"/v2/app/blobs/{APP.root.digest}%00",
    "newline in the tag": "/v2/app/manifests/1%0a",
    "newline in the name": "/v2/app%0a/manifests/1",
    "absolute path as digest": "/v2/app/blobs/%2fetc%2fpasswd",
    "backslashes": "/v2/app/blobs/sha256:..%5c..%5csecret",
    "overlong utf-8": "/v2/%c0%ae%c0%ae/manifests/1",
    "full-width digits": "/v2/app/blobs/sha256:" + "%ef%bc%90" * 64,
    "double slash": "/v2//app//manifests/1",
    "upload by path": "/v2/app/blobs/uploads/..%2f..%2findex.json",
    "forged session": "/v2/app/blobs/uploads/" + "0" * 32,
    "empty session": "/v2/app/blobs/uploads/%20",
    "index": "/v2/app/blobs/index.json",
}


@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize("path", PATHS.values(), ids=PATHS.keys())
def test_paths(port: int, base: Path, method: str, path: str) -> None:
    before = sorted(path for path in (base / "store").rglob("*") if path.is_file())
    answer = raw_request(port, f"{method} {path}?digest={digest_of(SECRET)} HTTP/1.1\r\nContent-Length: 0".encode())
    assert 400 <= status_of(answer) < 500, answer
    assert SECRET not in answer
    assert sorted(path for path in (base / "store").rglob("*") if path.is_file()) == before


@settings(max_examples=200)
@given(text=st.text(st.sampled_from("./%2eafA:@sh256\\0_-~"), max_size=40))
def test_any_reference(port: int, text: str) -> None:
    """Only what the grammar allows is ever looked for."""
    for kind in ("blobs", "manifests"):
        answer = raw_request(port, f"GET /v2/app/{kind}/{text} HTTP/1.1".encode())
        assert status_of(answer) in (400, 404, 405) or text == "1"
        assert SECRET not in answer


def test_a_session_belongs_to_its_repository(port: int) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("POST", "/v2/app/blobs/uploads/")
    answer = connection.getresponse()
    answer.read()
    session = answer.headers["Location"].rpartition("/")[2]
    for method in ("GET", "PATCH", "DELETE"):
        connection.request(method, f"/v2/other/blobs/uploads/{session}")
        refused = connection.getresponse()
        refused.read()
        assert refused.status == 404
    connection.request("DELETE", f"/v2/app/blobs/uploads/{session}")
    assert connection.getresponse().status == 204
    connection.close()


def test_an_upload_that_breaks_off_can_go_on(port: int) -> None:
    raw = bytes(range(256)) * 8192
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("POST", "/v2/app/blobs/uploads/")
    answer = connection.getresponse()
    answer.read()
    location = answer.headers["Location"]
    with socket.create_connection(("127.0.0.1", port), timeout=10) as broken:
        head = f"PATCH {location} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(raw)}\r\n\r\n"
        broken.sendall(head.encode() + raw[:1_500_000])
        broken.shutdown(socket.SHUT_WR)
        broken.recv(1000)
    # The next request waits for the turn of the broken one.
    connection.request("PATCH", location, b"", {"Content-Length": "0"})
    answer = connection.getresponse()
    answer.read()
    assert answer.status == 202
    assert answer.headers["Range"] == "0-1499999"
    rest = {"Content-Range": f"1500000-{len(raw) - 1}"}
    connection.request("PUT", f"{location}?digest={digest_of(raw)}", raw[1_500_000:], rest)
    assert connection.getresponse().status == 201
    connection.close()


def test_a_chunked_upload_that_breaks_off(port: int, base: Path) -> None:
    """Even if what arrived is exactly the blob, the missing last chunk means that nothing is published."""
    digest = digest_of(b"hello")
    with socket.create_connection(("127.0.0.1", port), timeout=10) as broken:
        broken.sendall(
            f"POST /v2/app/blobs/uploads/?digest={digest} HTTP/1.1\r\nHost: x\r\n"
            "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n".encode()
        )
        broken.shutdown(socket.SHUT_WR)
        broken.recv(1000)
    assert status_of(raw_request(port, f"GET /v2/app/blobs/{digest} HTTP/1.1".encode())) == 404


def test_headers_without_end(port: int) -> None:
    assert status_of(raw_request(port, b"GET /v2/ HTTP/1.1\r\nX: " + b"a" * 100_000)) == 431


def test_a_manifest_beyond_its_cap(port: int) -> None:
    head = f"PUT /v2/app/manifests/1 HTTP/1.1\r\nContent-Type: {APP.root.media_type}\r\nContent-Length: {5 << 20}"
    assert status_of(raw_request(port, head.encode())) == 413


def test_a_link_in_the_store_is_not_followed(tmp_path: Path, base: Path) -> None:
    layout = images.write_layout(tmp_path / "layout", {"app:1": APP})
    link = layout / "blobs/sha256" / digest_of(SECRET).partition(":")[2]
    link.symlink_to(base / "secret")
    with running(layout) as url:
        answer = raw_request(int(url.rpartition(":")[2]), f"GET /v2/app/blobs/{digest_of(SECRET)} HTTP/1.1".encode())
    assert status_of(answer) == 404
