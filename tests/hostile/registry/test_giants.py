"""What is larger than it may be: manifests with and without an end, headers, addresses, lists; and what it costs."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from bundler.oci import mediatype
from bundler.oci.digest import digest_of
from bundler.oci.strict_json import MANIFEST_CAP
from bundler.registry.operations.lingering import MOST_BYTES
from bundler.store import Store
from tests import images
from tests.hostile.registry.host import Host, hosting
from tests.hostile.registry.wire import request, statuses, talk

OCI = f"Content-Type: {mediatype.OCI_MANIFEST}"
PUT = "/v2/app/manifests/1"
CAP_MIB = 200
"""For a process that takes 60 MiB at rest."""


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    with hosting(tmp_path / "store") as host:
        yield host


class TestManifests:
    @pytest.mark.parametrize("length", [MANIFEST_CAP + 1, 1 << 40, (1 << 63) - 1], ids=["one more", "1 TiB", "2^63"])
    def test_too_long_is_said_before_it_comes(self, host: Host, length: int) -> None:
        began = time.monotonic()
        said = talk(host.port, request("PUT", PUT, OCI, f"Content-Length: {length}"), quiet=20)
        assert statuses(said) == [413]
        assert b"SIZE_INVALID" in said
        assert time.monotonic() - began < 15

    @pytest.mark.parametrize("expected", [True, False], ids=["100-continue", "plain"])
    def test_nothing_of_it_is_asked_for(self, host: Host, expected: bool) -> None:
        more = ["Expect: 100-continue"] if expected else []
        said = talk(host.port, request("PUT", PUT, OCI, f"Content-Length: {MANIFEST_CAP + 1}", *more), quiet=20)
        assert statuses(said) == [413]

    def test_one_without_end_is_cut(self, host: Host) -> None:
        sent = 0
        chunk = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
        with socket.create_connection(("127.0.0.1", host.port), timeout=10) as connection:
            connection.sendall(request("PUT", PUT, OCI, "Transfer-Encoding: chunked"))
            with pytest.raises(OSError):
                while sent < 4 * MOST_BYTES:
                    connection.sendall(chunk)
                    sent += 0x10000
        assert sent < 4 * MANIFEST_CAP + MOST_BYTES  # it hears the answer before it is cut off
        assert host.peak() < CAP_MIB
        assert host.ask("GET", "/v2/").status == 200

    def test_many_that_are_never_done(self, host: Host) -> None:
        """What has come of them is held in memory, so only so many may come at a time."""
        with ExitStack() as stack:
            for _ in range(100):
                connection = stack.enter_context(socket.create_connection(("127.0.0.1", host.port), timeout=10))
                connection.settimeout(0.2)
                with suppress(OSError):  # it reads no further, or says that there are too many
                    connection.sendall(
                        request("PUT", PUT, OCI, f"Content-Length: {MANIFEST_CAP}") + b" " * (MANIFEST_CAP - 1)
                    )
            assert host.ask("GET", "/v2/").status == 200
            assert host.peak() < CAP_MIB

    def test_the_most_values_at_once(self, host: Host) -> None:
        """The dearest documents to parse, from many clients at the same time."""
        member = b'{"mediaType":"a","digest":"sha256:%064d","size":1},'
        layers = b"".join(member % n for n in range(34_000))[:-1]
        raw = b'{"schemaVersion":2,"mediaType":"%s","config":{},"layers":[%s]}' % (
            mediatype.OCI_MANIFEST.encode(),
            layers,
        )
        raw += b" " * (MANIFEST_CAP - len(raw))
        assert len(raw) == MANIFEST_CAP
        got: list[int] = []

        def putting() -> None:
            with host.client(seconds=60) as client:
                got.append(client.put("app", "1", raw, mediatype.OCI_MANIFEST).status)

        threads = [threading.Thread(target=putting) for _ in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert set(got) <= {400, 413, 429, 503}
        assert len(got) == 16
        assert host.peak() < CAP_MIB

    def test_many_readers_that_do_not_read(self, tmp_path: Path) -> None:
        """An answer that nobody takes is not held in memory for each of them."""
        noise = "x" * (MANIFEST_CAP - 2000)
        large = images.image(images.layer("app", 100), annotations={"noise": noise})
        with Store.open(str(tmp_path / "large"), create=True) as store:
            images.load(store, {"app:1": large})
        with hosting(tmp_path / "large") as host, ExitStack() as stack:
            assert host.ask("GET", PUT).body == large.raw
            for _ in range(150):
                connection = stack.enter_context(socket.create_connection(("127.0.0.1", host.port), timeout=10))
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                connection.sendall(request("GET", PUT))
            time.sleep(1)
            assert host.ask("GET", "/v2/").status == 200
            assert host.peak() < 400  # where 150 answers would be 600


@pytest.fixture(scope="module")
def any_host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    with hosting(tmp_path_factory.mktemp("heads") / "store") as host:
        yield host


class TestHeads:
    @pytest.fixture
    def host(self, any_host: Host) -> Host:
        return any_host

    def test_one_giant_header(self, host: Host) -> None:
        assert statuses(
            talk(host.port, request("GET", "/v2/", "Connection: close", "X: " + "a" * 40_000), quiet=3)
        ) == [431]

    def test_many_headers(self, host: Host) -> None:
        many = [f"X{n}: a" for n in range(2000)]
        said = talk(host.port, request("GET", "/v2/", "Connection: close", *many), quiet=3)
        assert statuses(said) in ([400], [431])

    def test_headers_without_end(self, host: Host) -> None:
        sent = 0
        with socket.create_connection(("127.0.0.1", host.port), timeout=10) as connection:
            connection.sendall(b"GET /v2/ HTTP/1.1\r\nHost: x\r\n")
            with pytest.raises(OSError):
                while sent < 64 << 20:
                    connection.sendall(b"X: " + b"a" * 4000 + b"\r\n")
                    sent += 4005
        assert sent < 16 << 20
        assert host.peak() < CAP_MIB

    @pytest.mark.parametrize(
        "target",
        [
            "/v2/app/tags/list?last=" + "a" * 200_000,
            "/v2/app/tags/list?" + "&".join(f"a{n}=b" for n in range(20_000)),
            "/v2/app/tags/list?n=" + "9" * 60_000,
            "/v2/" + "a/" * 60_000 + "tags/list",
            "/v2/app/manifests/" + "a" * 60_000,
            "/images/" + "a/" * 30_000,
            "/?q=" + "a" * 60_000,
            "/v2/app/blobs/uploads/?" + "mount=a&" * 8_000,
            "/v2/_catalog?last=" + "%00" * 20_000,
        ],
        ids=["last", "many", "n", "path", "tag", "page", "search", "mount", "catalog"],
    )
    def test_giant_addresses(self, host: Host, target: str) -> None:
        began = time.monotonic()
        said = talk(host.port, request("GET", target, "Connection: close"), quiet=20)
        assert len(statuses(said)) == 1
        assert statuses(said)[0] < 500
        assert len(said) < 400_000  # at most said again in the link to the next page
        assert time.monotonic() - began < 15

    def test_giant_credentials(self, host: Host) -> None:
        said = talk(
            host.port, request("GET", "/v2/", "Connection: close", "Authorization: Basic " + "A" * 30_000), quiet=3
        )
        assert statuses(said) == [200]  # nobody is asked for any


TAGS = [f"t{n:05d}" for n in range(5000)]


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    """5,000 tags, and 1,501 repositories."""
    folder = tmp_path_factory.mktemp("lists") / "store"
    app = images.image(images.layer("app", 100))
    with Store.open(str(folder), create=True) as store:
        images.load(store, {"app:t00000": app})
        store.tag_all([(f"app:{tag}", app.root) for tag in TAGS] + [(f"r{n:04d}/a:1", app.root) for n in range(1500)])
    with hosting(folder) as host:
        yield host


class TestLists:
    @pytest.mark.parametrize("n", ["", "?n=1", "?n=999999999", "?n=1000"], ids=["none", "one", "huge", "most"])
    def test_thousands_page_by_page(self, large: Host, n: str) -> None:
        found: list[str] = []
        target = f"/v2/app/tags/list{n}"
        for _ in range(7 if n != "?n=1" else 3):
            answer = large.ask("GET", target)
            assert answer.status == 200
            page = answer.json["tags"]
            assert 0 < len(page) <= (1 if n == "?n=1" else 1000)
            found += page
            if "link" not in answer.headers:
                break
            target = answer.headers["link"].partition("<")[2].partition(">")[0]
        assert found == TAGS[: len(found)]
        assert len(found) == (3 if n == "?n=1" else 5000)

    @pytest.mark.parametrize("n", ["-1", "+1", "1e3", "0x10", " 1", "\uff11", "9" * 30, "one", "1&n=x", ""])
    def test_numbers_that_are_none(self, large: Host, n: str) -> None:
        for target in ("/v2/app/tags/list", "/v2/_catalog"):
            said = talk(large.port, f"GET {target}?n={n} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
            assert statuses(said) == [400], said

    @pytest.mark.parametrize(
        ("query", "tags", "more"),
        [
            ("n=0", [], False),
            ("n=0&last=t00001", [], False),
            ("n=5&last=zzzz", [], False),
            ("n=5&last=t04999", [], False),
            ("n=2&last=t04997", TAGS[4998:], False),
            ("n=2&last=t04996", TAGS[4997:4999], True),
            ("n=1&last=t00001-and-more", [TAGS[2]], True),
            ("n=1&last=%00", [TAGS[0]], True),
            ("last=" + "z" * 10_000, [], False),
        ],
    )
    def test_last(self, large: Host, query: str, tags: list[str], more: bool) -> None:
        answer = large.ask("GET", f"/v2/app/tags/list?{query}")
        assert (answer.status, answer.json["tags"], "link" in answer.headers) == (200, tags, more)

    def test_thousands_of_repositories(self, large: Host) -> None:
        first = large.ask("GET", "/v2/_catalog")
        assert len(first.json["repositories"]) == 1000
        rest = large.ask("GET", first.headers["link"].partition("<")[2].partition(">")[0])
        assert len(rest.json["repositories"]) == 501
        assert "link" not in rest.headers

    @pytest.mark.parametrize("target", ["/", "/images/app", "/?q=r", "/?page=99999999", "/images/app?page=-1"])
    def test_pages_stay_small(self, large: Host, target: str) -> None:
        answer = large.ask("GET", target)
        assert answer.status in (200, 404)
        assert len(answer.body) < 300_000

    def test_more_tags_with_one_manifest_than_allowed(self, large: Host) -> None:
        app = images.image(images.layer("app", 100))
        query = "&".join(f"tag=n{n}" for n in range(65))
        answer = large.ask(
            "PUT", f"/v2/app/manifests/{digest_of(app.raw)}?{query}", app.raw, {"Content-Type": app.root.media_type}
        )
        assert answer.status == 414
        assert large.ask("GET", "/v2/app/manifests/n1").status == 404
