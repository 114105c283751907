"""Lookaside stores, in directories and on the web."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from bundler.errors import BundlerError, ConfigError, LimitError, NetworkError, ProtocolError, StoreError
from bundler.oci.digest import Digest, digest_of
from bundler.oci.reference import Reference, parse_reference
from bundler.policy import RegistriesD
from bundler.policy.blobs import SIGSTORE, SIMPLE
from bundler.policy.registries_d import Namespace
from bundler.transports.docker.lookaside import (
    MAX_SIGNATURE,
    MAX_SIGNATURES,
    Lookaside,
    Web,
    usual_store,
)
from bundler.transports.docker.settings import Limits, Settings

DIGEST = digest_of(b"manifest")
APP = parse_reference("r.example/team/app:1")
ONE, TWO, THREE = b"\xa3one", b"\x90two", SIGSTORE + b"{}"


def nowhere(_reference: Reference, _endpoint: Any) -> bytes | None:
    raise AssertionError("the web was asked")


def store(reading: str, writing: str = "", fetch: Any = nowhere) -> Lookaside:
    registries = RegistriesD(docker={"r.example": Namespace(reading, writing)})
    return Lookaside(registries, fallback="file:///nowhere/at/all", fetch=fetch)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / f"team/app@sha256={DIGEST[7:]}"


def test_what_was_put_is_read(tmp_path: Path, folder: Path) -> None:
    there = store(f"file://{tmp_path}")
    assert there.signatures(APP, DIGEST) == []
    there.put(APP, DIGEST, [ONE, TWO, THREE])
    assert sorted(path.name for path in folder.iterdir()) == ["signature-1", "signature-2", "signature-3"]
    assert there.signatures(APP, DIGEST) == [ONE, TWO, THREE]
    assert there.signatures(parse_reference("r.example/team/app:other"), DIGEST) == [ONE, TWO, THREE]
    assert there.signatures(parse_reference("r.example/team/apps:1"), DIGEST) == []
    assert there.signatures(APP, digest_of(b"other")) == []


def test_fewer_replace_more(tmp_path: Path, folder: Path) -> None:
    there = store(f"file://{tmp_path}")
    there.put(APP, DIGEST, [ONE, TWO, THREE])
    there.put(APP, DIGEST, [TWO])
    assert there.signatures(APP, DIGEST) == [TWO]
    assert [path.name for path in folder.iterdir()] == ["signature-1"]


def test_they_end_at_the_first_gap(tmp_path: Path, folder: Path) -> None:
    there = store(f"file://{tmp_path}")
    there.put(APP, DIGEST, [ONE, TWO, THREE])
    (folder / "signature-2").unlink()
    assert there.signatures(APP, DIGEST) == [ONE]


def test_writing_goes_to_the_staging_store(tmp_path: Path) -> None:
    there = store("https://r.example/signatures", f"file://{tmp_path}/staged%20here", lambda *_: None)
    there.put(APP, DIGEST, [ONE])
    assert (tmp_path / f"staged here/team/app@sha256={DIGEST[7:]}/signature-1").read_bytes() == ONE
    assert there.signatures(APP, DIGEST) == []


def test_the_usual_store_is_for_what_nobody_speaks_of(tmp_path: Path) -> None:
    assert usual_store(tmp_path, 1000) == f"file://{tmp_path}/.local/share/containers/sigstore"
    assert usual_store(tmp_path, 0) == "file:///var/lib/containers/sigstore"
    there = Lookaside(RegistriesD(), fallback=usual_store(tmp_path, 1000), fetch=nowhere)
    there.put(APP, DIGEST, [ONE])
    assert there.signatures(APP, DIGEST) == [ONE]


def test_a_kind_may_be_written_before_a_simple_one(tmp_path: Path, folder: Path) -> None:
    folder.mkdir(parents=True)
    (folder / "signature-1").write_bytes(SIMPLE + ONE)
    assert store(f"file://{tmp_path}").signatures(APP, DIGEST) == [ONE]


def _link(path: Path) -> None:
    path.symlink_to("/etc/passwd")


def _sparse(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(MAX_SIGNATURE + 1)


@pytest.mark.parametrize(
    ("make", "error"),
    [
        (lambda path: path.write_bytes(b""), ProtocolError),
        (lambda path: path.write_bytes(b"-----BEGIN PGP MESSAGE-----"), ProtocolError),
        (lambda path: path.write_bytes(b"\0later-kind\n"), ProtocolError),
        (lambda path: path.write_bytes(b"<html>"), ProtocolError),
        (_sparse, LimitError),
        (_link, StoreError),
        (os.mkfifo, StoreError),
        (Path.mkdir, StoreError),
    ],
    ids=["empty", "armored", "unknown", "html", "large", "link", "fifo", "directory"],
)
def test_what_is_no_signature_is_an_error(tmp_path: Path, folder: Path, make: Any, error: type[BundlerError]) -> None:
    folder.mkdir(parents=True)
    make(folder / "signature-1")
    with pytest.raises(error):
        store(f"file://{tmp_path}").signatures(APP, DIGEST)


def test_there_is_an_end_to_them(tmp_path: Path, folder: Path) -> None:
    there = store(f"file://{tmp_path}")
    there.put(APP, DIGEST, [ONE] * MAX_SIGNATURES)
    assert len(there.signatures(APP, DIGEST)) == MAX_SIGNATURES
    (folder / f"signature-{MAX_SIGNATURES + 1}").write_bytes(ONE)
    with pytest.raises(LimitError):
        there.signatures(APP, DIGEST)


@pytest.mark.parametrize(
    "base",
    ["/srv", "srv", "file:srv", "file://host/srv", "file:///srv?x", "file:///srv#x", "file:///a%00b", "ftp://x/y", "s3://x",
     "https://", "https://user@x/y", "https://x/y?z", "https://x:99999/"],
)  # fmt: skip
def test_what_is_no_place_of_a_store(base: str) -> None:
    with pytest.raises(ConfigError) as refused:
        store(base).signatures(APP, DIGEST)
    assert str(refused.value).isprintable()


@pytest.mark.parametrize("base", ["https://r.example", "http://r.example/x"])
def test_the_web_is_not_written_to(base: str) -> None:
    for act in (lambda there: there.check_writable(APP), lambda there: there.put(APP, DIGEST, [ONE])):
        with pytest.raises(ConfigError, match=r"only to a file://") as refused:
            act(store(base))
        assert "lookaside-staging" in refused.value.hint


@pytest.mark.parametrize(
    ("reference", "digest"),
    [
        (Reference("r.example", "../../etc"), DIGEST),
        (Reference("r.example", "team//app"), DIGEST),
        (Reference("r.example", "/etc"), DIGEST),
        (APP, Digest("sha256:../../../x")),
        (APP, Digest("sha256:" + "A" * 64)),
        (APP, Digest("md5:" + "a" * 32)),
    ],
)
def test_no_path_is_made_of_what_was_not_parsed(tmp_path: Path, reference: Reference, digest: Digest) -> None:
    there = store(f"file://{tmp_path}")
    for act in (lambda: there.signatures(reference, digest), lambda: there.put(reference, digest, [ONE])):
        with pytest.raises(BundlerError):
            act()
    assert not list(tmp_path.iterdir())


@contextmanager
def web(answers: dict[str, tuple[int, bytes]]) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """A server on the loopback interface, and what it was asked for with which credentials."""
    asked: list[tuple[str, str]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append((self.path, self.headers.get("Authorization", "")))
            status, body = answers.get(self.path, (404, b"not here"))
            self.send_response(status)
            if status in (301, 302):
                self.send_header("Location", body.decode())
                body = b""
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def reading(base: str) -> tuple[Lookaside, Web]:
    client = Web(lambda _: Settings(proxies={}, limits=Limits(attempts=1)))
    return store(base, fetch=client), client


FOLDER = f"/sigs/team/app@sha256={DIGEST[7:]}"


@pytest.mark.parametrize("slash", ["", "/"])
def test_a_store_on_the_web(slash: str) -> None:
    answers = {f"{FOLDER}/signature-1": (200, ONE), f"{FOLDER}/signature-2": (200, TWO)}
    with web(answers) as (url, asked):
        there, client = reading(f"{url}/sigs{slash}")
        assert there.signatures(APP, DIGEST) == [ONE, TWO]
        client.close()
    assert asked == [(f"{FOLDER}/signature-{n}", "") for n in (1, 2, 3)]


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        ((200, b"<html>"), ProtocolError),
        ((200, b"\xa3" * (MAX_SIGNATURE + 1)), LimitError),
        ((500, b""), NetworkError),
        ((403, b""), BundlerError),
        ((302, b"file:///etc/passwd"), ProtocolError),
    ],
    ids=["html", "large", "broken", "forbidden", "to a file"],
)
def test_a_bad_answer_is_an_error(answer: tuple[int, bytes], error: type[BundlerError]) -> None:
    with web({f"{FOLDER}/signature-1": answer}) as (url, _):
        there, client = reading(f"{url}/sigs")
        with pytest.raises(error):
            there.signatures(APP, DIGEST)
        client.close()


def test_there_is_an_end_to_them_on_the_web() -> None:
    answers = {f"{FOLDER}/signature-{n}": (200, ONE) for n in range(1, 200)}
    with web(answers) as (url, asked):
        there, client = reading(f"{url}/sigs")
        with pytest.raises(LimitError):
            there.signatures(APP, DIGEST)
        client.close()
    assert len(asked) == MAX_SIGNATURES + 1
