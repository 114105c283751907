"""Upload sessions that are forged, foreign, over or left alone, and chunks that lie about where they belong."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from bundler.oci.digest import digest_of
from bundler.registry.access import set_password
from bundler.store import Store
from bundler.store.locks import exclusive
from tests.hostile.registry.host import Host, hosting
from tests.hostile.registry.wire import request, statuses, talk

RAW = bytes(range(256)) * 40
HALF = len(RAW) // 2
ANN, BOB = "Basic YW5uOmE=", "Basic Ym9iOmI="


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    with hosting(tmp_path_factory.mktemp("sessions") / "store", allow_delete=True) as host:
        yield host


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    work = tmp_path_factory.mktemp("guarded")
    for user, password in (("ann", "a"), ("bob", "b")):
        set_password(work / "users", user, password, cost=4)
    with hosting(work / "store", htpasswd=work / "users") as host:
        yield host


def temporary(folder: Path) -> list[Path]:
    return list((folder / ".bundler" / "tmp").iterdir())


def everything(host: Host, location: str, auth: str = "") -> set[tuple[int, str]]:
    """What each thing that can be done with a session is answered."""
    asked = [
        ("GET", location),
        ("PATCH", location),
        ("PUT", f"{location}?digest={digest_of(RAW)}"),
        ("DELETE", location),
    ]
    answers = [
        host.ask(method, target, RAW if method in ("PATCH", "PUT") else None, auth=auth) for method, target in asked
    ]
    return {(answer.status, answer.codes[0]) for answer in answers}


UNKNOWN = {(404, "BLOB_UPLOAD_UNKNOWN")}


class TestWhoseSession:
    def test_of_another_repository(self, host: Host) -> None:
        with host.client() as client:
            location = client.begin("app")
        assert everything(host, location.replace("/app/", "/other/")) == UNKNOWN
        assert host.ask("GET", location).status == 204

    def test_of_another_user(self, guarded: Host) -> None:
        with guarded.client(ANN) as client:
            location = client.begin("app")
            assert client.ask("PATCH", location, RAW[:HALF]).status == 202
        assert everything(guarded, location, BOB) == UNKNOWN
        assert everything(guarded, location.rpartition("/")[0] + "/" + "0" * 32, BOB) == UNKNOWN  # the same answer
        assert guarded.ask("PUT", f"{location}?digest={digest_of(RAW)}", RAW[HALF:], auth=ANN).status == 201

    def test_of_nobody(self, guarded: Host) -> None:
        with guarded.client(ANN) as client:
            location = client.begin("app")
        for method in ("GET", "PATCH", "PUT", "DELETE"):
            answer = guarded.ask(method, location)
            assert answer.status == 401
            assert "www-authenticate" in answer.headers

    @pytest.mark.parametrize("end", ["finished", "cancelled", "refused"])
    def test_one_that_is_over(self, host: Host, end: str) -> None:
        with host.client() as client:
            location = client.begin("app")
            if end == "cancelled":
                assert client.ask("DELETE", location).status == 204
            else:
                wanted = digest_of(RAW if end == "finished" else b"something else")
                assert client.ask("PUT", f"{location}?digest={wanted}", RAW).status == (
                    201 if end == "finished" else 400
                )
        assert everything(host, location) == UNKNOWN

    def test_guessed(self, host: Host) -> None:
        with host.client() as client:
            location = client.begin("app")
            front, _, session = location.rpartition("/")
            assert len(session) == 32
            guesses = [
                session[:-1],
                session + "0",
                session.upper() + "x",
                "",
                "0",
                "-1",
                f"{int(session, 16) + 1:032x}",
            ]
            for guess in guesses:
                assert client.ask("GET", f"{front}/{guess}").status in (404, 405), guess
            assert client.ask("GET", location).status == 204

    def test_ids_have_nothing_in_common(self, host: Host) -> None:
        with host.client() as client:
            ids = {client.begin("app").rpartition("/")[2] for _ in range(20)}
            for each in ids:
                assert client.ask("DELETE", f"/v2/app/blobs/uploads/{each}").status == 204
        assert len({each[:8] for each in ids}) == len({each[-8:] for each in ids}) == 20


LAST = len(RAW) - 1
RANGES = {
    "overlapping": f"{HALF - 1}-{LAST}",
    "again": f"0-{HALF - 1}",
    "behind a gap": f"{HALF + 1}-{LAST}",
    "far behind a gap": "999999999999999999-999999999999999999",
    "shorter than the body": f"{HALF}-{LAST - 1}",
    "longer than the body": f"{HALF}-{LAST + 1}",
    "backwards": f"{LAST}-{HALF}",
    "negative": f"-{HALF}-{LAST}",
    "negative end": f"{HALF}--1",
    "huge": f"{HALF}-{'9' * 18}",
    "beyond 64 bits": f"{HALF}-{'9' * 40}",
    "words": "all of it",
    "empty": "",
    "hexadecimal": f"0x{HALF:x}-0x{LAST:x}",
    "two": f"{HALF}-{HALF + 1},{HALF + 2}-{LAST}",
    "arabic digits": "\u0660-\u0661",
}


class TestRanges:
    @pytest.mark.parametrize("method", ["PATCH", "PUT"])
    @pytest.mark.parametrize("streamed", [False, True], ids=["counted", "chunked"])
    @pytest.mark.parametrize("said", RANGES.values(), ids=RANGES.keys())
    def test_a_lie_is_refused_and_the_session_goes_on(self, host: Host, said: str, streamed: bool, method: str) -> None:
        with host.client() as client:
            location = client.begin("app")
            assert client.ask("PATCH", location, RAW[:HALF]).status == 202
            target = location if method == "PATCH" else f"{location}?digest={digest_of(RAW)}"
            body = iter([RAW[HALF:]]) if streamed else RAW[HALF:]
            answer = client.ask(
                method, target, body, {"Content-Range": said.encode().decode("latin-1")}, encode_chunked=streamed
            )
            assert answer.status in (400, 416), answer
            now = client.ask("GET", location)
            assert now.status == 204
            at = int(now.headers["range"].partition("-")[2]) + 1
            assert HALF <= at <= len(RAW)
            if answer.status == 416:
                assert answer.headers["range"] == now.headers["range"] == f"0-{HALF - 1}"
            rest = {"Content-Range": f"{at}-{LAST}"} if at < len(RAW) else {}
            assert client.ask("PUT", f"{location}?digest={digest_of(RAW)}", RAW[at:], rest).status == 201
            assert client.ask("GET", f"/v2/app/blobs/{digest_of(RAW)}").body == RAW

    @pytest.mark.parametrize("method", ["PATCH", "PUT"])
    def test_two_ranges_in_one_request(self, host: Host, method: str) -> None:
        with host.client() as client:
            location = client.begin("app")
            said = [f"Content-Range: 0-{LAST}", f"Content-Range: 5-{LAST + 5}", f"Content-Length: {len(RAW)}"]
            target = location if method == "PATCH" else f"{location}?digest={digest_of(RAW)}"
            answer = statuses(talk(host.port, request(method, target, *said, "Connection: close", body=RAW)))
            assert answer == [400]
            assert client.ask("GET", location).headers["range"] == "0-0"

    def test_a_body_shorter_than_its_length(self, host: Host) -> None:
        raw = b"short" + RAW
        with host.client() as client:
            location = client.begin("app")
            with socket.create_connection(("127.0.0.1", host.port), timeout=10) as broken:
                head = request("PUT", f"{location}?digest={digest_of(raw)}", f"Content-Length: {len(raw) + 1}")
                broken.sendall(head + raw)
                broken.shutdown(socket.SHUT_WR)
                while broken.recv(1000):
                    pass
            assert client.ask("PATCH", location, b"").headers["range"] == f"0-{len(raw) - 1}"  # in turn behind it
            assert client.ask("HEAD", f"/v2/app/blobs/{digest_of(raw)}").status == 404
            assert client.ask("PUT", f"{location}?digest={digest_of(raw)}").status == 201


class TestAbandoned:
    def test_it_ends_and_its_file_goes(self, tmp_path: Path) -> None:
        values = {"bundler.registry.uploads:Uploads.__init__.idle": 1.0, "bundler.registry.serve.PURGE_SECONDS": 0.2}
        with hosting(tmp_path / "store", values=values) as host, host.client() as client:
            left = client.begin("app")
            used = client.begin("app")
            assert client.ask("PATCH", left, RAW).status == 202
            assert len(temporary(tmp_path / "store")) == 2
            for at in range(5):
                time.sleep(0.4)
                assert client.ask("PATCH", used, RAW).status == 202, at
            assert client.ask("GET", left).status == 404
            assert len(temporary(tmp_path / "store")) == 1
            assert client.ask("DELETE", used).status == 204
            assert temporary(tmp_path / "store") == []

    def test_too_many(self, tmp_path: Path) -> None:
        with (
            hosting(tmp_path / "store", values={"bundler.registry.uploads:Uploads.__init__.most": 20}) as host,
            host.client() as client,
        ):
            locations = [client.begin("app") for _ in range(20)]
            files = host.files()
            for target in ("/v2/app/blobs/uploads/", f"/v2/app/blobs/uploads/?digest={digest_of(RAW)}"):
                answer = client.ask("POST", target)
                assert (answer.status, answer.codes) == (429, ["TOOMANYREQUESTS"])
                assert int(answer.headers["retry-after"]) > 0
            assert host.files() <= files
            assert len(temporary(tmp_path / "store")) == 20
            assert client.ask("DELETE", locations[0]).status == 204
            assert client.upload("app", RAW).status == 201
            assert client.ask("PUT", f"{locations[1]}?digest={digest_of(b'')}").status == 201

    def test_stopping_takes_them_away(self, tmp_path: Path) -> None:
        with hosting(tmp_path / "store") as host, host.client() as client:
            assert client.ask("PATCH", client.begin("app"), RAW).status == 202
        assert temporary(tmp_path / "store") == []

    def test_a_store_that_is_held_stops_nobody_else(self, tmp_path: Path) -> None:
        """Whoever begins an upload waits for garbage to be collected; nobody waits for them."""
        with hosting(tmp_path / "store") as host, host.client() as waiting, host.client(seconds=20) as client:
            location = client.begin("app")
            store = Store.open(tmp_path / "store")
            assert store.private is not None
            with exclusive(store.private, "test"):
                waiting_for = socket.create_connection(("127.0.0.1", host.port), timeout=10)
                waiting_for.sendall(request("POST", "/v2/app/blobs/uploads/", "Content-Length: 0"))
                time.sleep(0.3)
                began = time.monotonic()
                assert client.ask("GET", location).status == 204
                assert client.ask("GET", "/v2/").status == 200
                assert time.monotonic() - began < 10
            assert waiting_for.recv(4096).startswith(b"HTTP/1.1 202 ")
            waiting_for.close()
            assert waiting.ask("GET", "/v2/").status == 200
