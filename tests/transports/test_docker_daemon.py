"""``docker-daemon:`` against a tiny engine on a Unix socket, which answers as Docker does or as a test wants it to."""

from __future__ import annotations

import json
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socketserver import ThreadingMixIn, UnixStreamServer
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import pytest

from bundler.content import read
from bundler.errors import (
    ArchiveError,
    AuthError,
    BundlerError,
    ConfigError,
    DigestError,
    NetworkError,
    NotFoundError,
    ProtocolError,
    PushError,
    UnsupportedError,
)
from bundler.graph import walk
from bundler.medium import Choosy, Closing, Deleter, Remade
from bundler.transports import docker_archive
from bundler.transports.docker_daemon import engine, open_source, open_target, remove, split
from bundler.transports.docker_daemon.engine import Daemon, Engine, find_daemon
from tests.authority import Authority
from tests.images import Image, image, layer
from tests.suites import put as push

DIGEST = "sha256:" + "a" * 64
NAME = "docker.io/acme/app:1"
APP = image(layer("app", 90_000, docker=True, compression="none"), docker=True)
OTHER = image(layer("other", 300, docker=True, compression="none"), docker=True)


def config_of(held: Image) -> str:
    return held.parts[-2].descriptor.digest


@dataclass
class Fake:
    """A daemon: ``archives`` by name or ID, what it was asked, and answers that replace the honest ones.

    An answer is ``(status, body)``; ``cut`` ends the connection after so many bytes of an archive. ``adopts`` says
    whether an archive that is loaded brings its names.
    """

    url: str = ""
    version: str = "1.44"
    archives: dict[str, bytes] = field(default_factory=dict)
    loaded: list[bytes] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    answers: dict[str, tuple[int, bytes]] = field(default_factory=dict)
    cut: int | None = None
    adopts: bool = True


class Handler(BaseHTTPRequestHandler):
    """Answers for :class:`Fake`, which is the server's ``fake``."""

    protocol_version = "HTTP/1.1"

    @property
    def fake(self) -> Fake:
        return self.server.fake  # type: ignore[attr-defined]

    def log_message(self, *args: Any) -> None: ...

    def address_string(self) -> str:
        return "socket"

    def answer(self, status: int, body: bytes, headers: Mapping[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def missing(self, name: str) -> None:
        self.answer(404, json.dumps({"message": f"No such image: {name}"}).encode())

    def handle_one(self) -> None:
        url = urlsplit(self.path)
        path = unquote(url.path)
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.fake.asked.append(f"{self.command} {path}")
        if path == "/_ping":
            status, text = self.fake.answers.get("_ping", (200, b"OK"))
            self.answer(status, text, {"Api-Version": self.fake.version})
            return
        prefix = f"/v{self.fake.version}" if self.fake.version[:1].isdigit() else ""
        if not path.startswith(f"{prefix}/images/"):
            self.answer(400, b'{"message": "client version is too old"}')
            return
        name, _, verb = path.removeprefix(f"{prefix}/images/").rpartition("/")
        if self.command == "DELETE":
            name, verb = f"{name}/{verb}".strip("/"), "delete"
        if path.endswith("/images/load"):
            verb = "load"
        if verb in self.fake.answers:
            self.answer(*self.fake.answers[verb])
            return
        getattr(self, f"do_{verb}_image")(name, body, parse_qs(url.query))

    do_GET = do_POST = do_DELETE = handle_one  # noqa: N815  # names that http.server asks for

    def do_get_image(self, name: str, body: bytes, query: dict[str, list[str]]) -> None:
        if name not in self.fake.archives:
            self.missing(name)
            return
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        raw = self.fake.archives[name]
        sent = raw if self.fake.cut is None else raw[: self.fake.cut]
        for start in range(0, len(sent), 10_000):
            piece = sent[start : start + 10_000]
            self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
        if self.fake.cut is None:
            self.wfile.write(b"0\r\n\r\n")
        self.close_connection = True

    def do_load_image(self, name: str, body: bytes, query: dict[str, list[str]]) -> None:
        self.fake.loaded.append(body)
        with TemporaryDirectory() as folder:
            (Path(folder) / "a.tar").write_bytes(body)
            with closing(docker_archive.open_source(f"{folder}/a.tar")) as archive:
                for each in archive.tags() if self.fake.adopts else ():
                    self.fake.archives[each] = body
        self.answer(200, b'{"stream":"Loading layer"}\r\n{"stream":"Loaded image: x"}\r\n')

    def do_json_image(self, name: str, body: bytes, query: dict[str, list[str]]) -> None:
        if name in self.fake.archives:
            self.answer(200, b'{"Id":"x"}')
        else:
            self.missing(name)

    def do_tag_image(self, name: str, body: bytes, query: dict[str, list[str]]) -> None:
        self.fake.archives[f"{query['repo'][0]}:{query['tag'][0]}"] = self.fake.loaded[-1]
        self.answer(201, b"")

    def do_delete_image(self, name: str, body: bytes, query: dict[str, list[str]]) -> None:
        if self.fake.archives.pop(name, None) is None:
            self.missing(name)
        else:
            self.answer(200, b'[{"Untagged":"x"}]')


class SocketServer(ThreadingMixIn, UnixStreamServer):
    daemon_threads = True


@contextmanager
def served(server: Any, fake: Fake) -> Iterator[Fake]:
    server.fake = fake
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield fake
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def fake() -> Iterator[Fake]:
    with TemporaryDirectory(prefix="eng") as short:
        path = f"{short}/s.sock"
        with served(SocketServer(path, Handler), Fake(url=f"unix://{path}")) as made:
            yield made


def archive_of(tmp_path: Path, images: Mapping[str, Image]) -> bytes:
    path = tmp_path / "saved.tar"
    with docker_archive.open_target(str(path)) as target:
        put(target, images)
    raw = path.read_bytes()
    path.unlink()
    return raw


def put(target: Any, images: Mapping[str, Image]) -> None:
    for name, held in images.items():
        for each in held.parts:
            push(target, each)
        target.tag(name, held.root)


class TestSplit:
    @pytest.mark.parametrize(
        ("rest", "name"),
        [
            ("", ""),
            ("nginx", "docker.io/library/nginx:latest"),
            ("acme/app:1", "docker.io/acme/app:1"),
            ("localhost/app", "localhost/app:latest"),
            ("localhost:5000/app:2", "localhost:5000/app:2"),
            (DIGEST, DIGEST),
            (f"acme/app@{DIGEST}", f"docker.io/acme/app@{DIGEST}"),
        ],
    )
    def test_names_and_ids(self, rest: str, name: str) -> None:
        assert split(rest) == ("", name)

    @pytest.mark.parametrize(
        ("rest", "message"),
        [
            pytest.param("sha256:abc", "64 hexadecimal", id="short-id"),
            pytest.param("sha512:" + "a" * 128, "SHA-256", id="sha512"),
            pytest.param(f"app:1@{DIGEST}", "a tag and a digest", id="tag-and-digest"),
            pytest.param("App", "repository name", id="upper-case"),
        ],
    )
    def test_refused(self, rest: str, message: str) -> None:
        with pytest.raises(ConfigError, match=message):
            split(rest)


class TestFindDaemon:
    @pytest.mark.parametrize(
        ("place", "environ", "wanted"),
        [
            ("", {}, Daemon("unix:///var/run/docker.sock")),
            ("", {"DOCKER_HOST": ""}, Daemon("unix:///var/run/docker.sock")),
            ("unix:///run/d.sock", {"DOCKER_HOST": "tcp://far:1"}, Daemon("unix:///run/d.sock")),
            ("", {"DOCKER_HOST": "unix:///run/p.sock"}, Daemon("unix:///run/p.sock")),
            ("", {"DOCKER_HOST": "tcp://far:2375"}, Daemon("http://far:2375")),
            (
                "",
                {"DOCKER_HOST": "tcp://far:2376", "DOCKER_TLS_VERIFY": "1", "DOCKER_CERT_PATH": "/certs"},
                Daemon("https://far:2376", Path("/certs")),
            ),
            ("tcp://far:2376", {}, Daemon("https://far:2376")),
            ("http://far:2375", {}, Daemon("http://far:2375")),
        ],
    )
    def test_found(self, place: str, environ: Mapping[str, str], wanted: Daemon) -> None:
        assert find_daemon(place, environ=environ) == wanted

    @pytest.mark.parametrize(
        ("place", "error", "message"),
        [
            pytest.param("ssh://host", UnsupportedError, "ssh is not spoken", id="ssh"),
            pytest.param("/var/run/docker.sock", ConfigError, "no daemon's address", id="no-scheme"),
            pytest.param("unix://", ConfigError, "no daemon's address", id="no-path"),
            pytest.param("npipe:////./pipe/docker", ConfigError, "no daemon's address", id="windows"),
        ],
    )
    def test_refused(self, place: str, error: type[BundlerError], message: str) -> None:
        with pytest.raises(error, match=message):
            find_daemon(place, environ={})

    @pytest.mark.parametrize("url", ["http://far:2375/api", "http://user@far:2375", "http://:2375", "http://far:x"])
    def test_no_address_of_a_daemon(self, url: str) -> None:
        with pytest.raises(ConfigError):
            Engine(Daemon(url))


class TestReading:
    def test_an_image_is_saved_once_and_leaves_nothing(self, fake: Fake, tmp_path: Path) -> None:
        fake.archives[NAME] = archive_of(tmp_path, {NAME: APP})
        with closing(open_source(fake.url, tmp=tmp_path)) as source:
            assert isinstance(source, Remade)
            assert isinstance(source, Closing)
            for _ in range(2):
                graph = walk(source, source.resolve(NAME))
                assert read(source, APP.parts[0].descriptor) == APP.parts[0].raw
            assert source.resolve(graph.root.digest) == graph.root
            assert list(tmp_path.iterdir()) == []
        assert fake.asked == ["GET /_ping", f"GET /v1.44/images/{NAME}/get"]

    def test_several_images_from_one_daemon(self, fake: Fake, tmp_path: Path) -> None:
        fake.archives = {NAME: archive_of(tmp_path, {NAME: APP}), "b": archive_of(tmp_path, {"b": OTHER})}
        fake.archives["docker.io/library/b:latest"] = fake.archives["b"]
        with closing(open_source(fake.url)) as source:
            for name, held in ((NAME, APP), ("docker.io/library/b:latest", OTHER)):
                source.resolve(name)
                assert read(source, held.parts[0].descriptor) == held.parts[0].raw
            with pytest.raises(NotFoundError, match="no image that was asked for"):
                read(source, layer("elsewhere", 10).descriptor)

    def test_by_id(self, fake: Fake, tmp_path: Path) -> None:
        fake.archives = {name: archive_of(tmp_path, {"": APP}) for name in (config_of(APP), DIGEST)}
        with closing(open_source(fake.url)) as source:
            source.resolve(config_of(APP))
            with pytest.raises(DigestError, match="another image"):
                source.resolve(DIGEST)

    def test_a_daemon_without_a_version(self, fake: Fake, tmp_path: Path) -> None:
        fake.version = "../../evil"
        fake.archives[NAME] = archive_of(tmp_path, {NAME: APP})
        with closing(open_source(fake.url)) as source:
            source.resolve(NAME)
        assert fake.asked[-1] == f"GET /images/{NAME}/get"

    @pytest.mark.parametrize(
        ("answer", "error", "message"),
        [
            pytest.param((404, b'{"message":"No such image: x"}'), NotFoundError, "No such image", id="missing"),
            pytest.param((500, b'{"message":"No such image: x"}'), NotFoundError, "No such image", id="missing-of-old"),
            pytest.param((500, b'{"message":"disk\\u001b[2J"}'), ProtocolError, r"disk\\x1b", id="broken"),
            pytest.param((502, b"<html>"), ProtocolError, "<html>", id="a-proxy"),
            pytest.param((403, b""), AuthError, "does not say why", id="forbidden"),
            pytest.param((307, b""), ProtocolError, "status 307", id="redirect"),
            pytest.param((200, b"no tar file at all" * 100), ArchiveError, "docker-daemon:docker.io", id="no-archive"),
            pytest.param((200, b""), ArchiveError, "docker-daemon:docker.io", id="nothing"),
        ],
    )
    def test_refused(self, fake: Fake, answer: tuple[int, bytes], error: type[BundlerError], message: str) -> None:
        fake.answers["get"] = answer
        with closing(open_source(fake.url)) as source, pytest.raises(error, match=message):
            source.resolve(NAME)

    @pytest.mark.parametrize("cut", [0, 10_000, 50_000])
    def test_an_archive_that_breaks_off(self, fake: Fake, tmp_path: Path, cut: int) -> None:
        fake.archives[NAME] = archive_of(tmp_path, {NAME: APP})
        fake.cut = cut
        with closing(open_source(fake.url, tmp=tmp_path)) as source, pytest.raises(NetworkError):
            source.resolve(NAME)
        assert list(tmp_path.iterdir()) == []

    def test_no_name(self, fake: Fake) -> None:
        with closing(open_source(fake.url)) as source, pytest.raises(ConfigError, match="have names"):
            source.resolve("")


class TestWriting:
    def test_everything_arrives_in_one_archive(self, fake: Fake, tmp_path: Path) -> None:
        with open_target(fake.url, tmp=tmp_path) as target:
            assert isinstance(target, Choosy)
            assert target.holds.medium == "docker-daemon"
            put(target, {NAME: APP, "other": OTHER})
            assert fake.loaded == []
        assert len(fake.loaded) == 1
        assert list(tmp_path.iterdir()) == []
        assert {NAME, "docker.io/library/other:latest"} <= set(fake.archives)
        assert not any("/tag" in each for each in fake.asked)

    def test_a_daemon_that_takes_no_names_is_told_them(self, fake: Fake) -> None:
        fake.adopts = False
        with open_target(fake.url) as target:
            put(target, {"localhost:5000/app:2": APP})
        assert set(fake.archives) == {"localhost:5000/app:2"}
        assert fake.asked[-1] == f"POST /v1.44/images/{config_of(APP)}/tag"

    @pytest.mark.parametrize(
        ("answer", "message"),
        [
            pytest.param((500, b'{"message":"no space left"}'), "no space left", id="status"),
            pytest.param(
                (200, b'{"stream":"x"}\r\n{"errorDetail":{"message":"invalid diffID"},"error":"y"}\r\n'),
                "invalid diffID",
                id="error-in-the-stream",
            ),
            pytest.param((200, b'{"error":"bad\\u202etar"}'), "bad.+u202etar", id="error-without-detail"),
        ],
    )
    def test_a_refusal(self, fake: Fake, answer: tuple[int, bytes], message: str) -> None:
        fake.answers["load"] = answer
        with pytest.raises(PushError, match=message), open_target(fake.url) as target:
            put(target, {NAME: APP})

    def test_an_answer_that_is_none(self, fake: Fake) -> None:
        fake.answers["load"] = (200, b"<html>\n")
        with pytest.raises(ProtocolError, match="not JSON"), open_target(fake.url) as target:
            put(target, {NAME: APP})

    def test_nothing_is_sent_after_an_error(self, fake: Fake, tmp_path: Path) -> None:
        with pytest.raises(ArchiveError, match="broke"), open_target(fake.url, tmp=tmp_path) as target:
            put(target, {NAME: APP})
            raise ArchiveError("broke")
        assert fake.asked == ["GET /_ping"]
        assert list(tmp_path.iterdir()) == []

    def test_nothing_is_sent_if_nothing_was_named(self, fake: Fake) -> None:
        with open_target(fake.url) as target:
            put_all = APP.parts[0]
            target.push(put_all.descriptor, iter([put_all.raw]))
        assert fake.asked == ["GET /_ping"]

    @pytest.mark.parametrize("name", ["", DIGEST])
    def test_names_are_needed(self, fake: Fake, name: str) -> None:
        with pytest.raises(ConfigError, match="have names"), open_target(fake.url) as target:
            put(target, {name: APP})

    def test_what_it_cannot_hold(self, fake: Fake) -> None:
        packed = layer("gzip", 100, docker=True)
        with pytest.raises(UnsupportedError, match="docker-daemon holds"), open_target(fake.url) as target:
            target.push(packed.descriptor, iter([packed.raw]))


class TestRemoving:
    def test_by_name(self, fake: Fake) -> None:
        fake.archives = {NAME: b"", "other": b""}
        remove(fake.url, NAME)
        assert set(fake.archives) == {"other"}
        with pytest.raises(NotFoundError, match="No such image"):
            remove(fake.url, NAME)

    def test_what_was_resolved(self, fake: Fake, tmp_path: Path) -> None:
        fake.archives[NAME] = archive_of(tmp_path, {NAME: APP})
        with closing(open_source(fake.url)) as source:
            assert isinstance(source, Deleter)
            source.delete(source.resolve(NAME))
            with pytest.raises(NotFoundError):
                source.delete(APP.root)
        assert fake.archives == {}

    def test_in_use(self, fake: Fake) -> None:
        fake.answers["delete"] = (409, b'{"message":"container 1f2e is using it"}')
        with pytest.raises(PushError, match="container 1f2e is using it"):
            remove(fake.url, NAME)

    def test_no_name(self, fake: Fake) -> None:
        with pytest.raises(ConfigError, match="have names"):
            remove(fake.url, "")


class TestConnecting:
    @pytest.fixture
    def connects(self) -> Callable[[str], None]:
        def connect(place: str) -> None:
            with open_target(place):
                pass

        return connect

    def test_no_socket(self, tmp_path: Path, connects: Callable[[str], None]) -> None:
        with pytest.raises(NetworkError, match="No such file") as caught:
            connects(f"unix://{tmp_path}/none.sock")
        assert "systemctl start docker" in caught.value.hint
        assert "DOCKER_HOST" in caught.value.hint

    def test_nobody_listens(self, tmp_path: Path, connects: Callable[[str], None]) -> None:
        with TemporaryDirectory(prefix="eng") as short:
            dead = socket.socket(socket.AF_UNIX)
            dead.bind(f"{short}/s")
            dead.close()
            with pytest.raises(NetworkError, match="refused"):
                connects(f"unix://{short}/s")

    def test_a_path_too_long_for_a_socket(self, connects: Callable[[str], None]) -> None:
        with pytest.raises(NetworkError, match="too long"):
            connects("unix:///" + "x" * 200)

    def test_not_in_the_group(self, monkeypatch: pytest.MonkeyPatch, connects: Callable[[str], None]) -> None:
        class Forbidden(socket.socket):
            def connect(self, address: Any) -> None:
                raise PermissionError(13, "Permission denied")

        monkeypatch.setattr(engine.socket, "socket", Forbidden)
        with pytest.raises(AuthError, match="permission denied") as caught:
            connects("unix:///var/run/docker.sock")
        assert "group docker" in caught.value.hint

    def test_a_closed_port(self, connects: Callable[[str], None]) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            with pytest.raises(NetworkError, match="refused"):
                connects(f"http://127.0.0.1:{free.getsockname()[1]}")

    def test_a_daemon_that_is_not_well(self, fake: Fake, connects: Callable[[str], None]) -> None:
        fake.answers["_ping"] = (500, b"starting")
        with pytest.raises(ProtocolError, match="starting"):
            connects(fake.url)

    def test_docker_host(self, fake: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("DOCKER_HOST", fake.url)
        with open_target("") as target:
            put(target, {NAME: APP})
        assert len(fake.loaded) == 1

    def test_over_tls(self, tmp_path: Path, authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
        certificate, key = authority.issue(tmp_path)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.socket = context.wrap_socket(server.socket, server_side=True)
        certs = tmp_path / "certs"
        certs.mkdir()
        with served(server, Fake(url=f"tcp://127.0.0.1:{server.server_port}")) as fake:
            with pytest.raises(AuthError, match=r"certificate|self-signed"), open_target(fake.url):
                pass
            (certs / "ca.pem").write_bytes(authority.ca.read_bytes())
            with open_target(fake.url, cert_dir=certs) as target:
                put(target, {NAME: APP})
            assert len(fake.loaded) == 1
            monkeypatch.setenv("DOCKER_HOST", fake.url)
            monkeypatch.setenv("DOCKER_TLS_VERIFY", "1")
            monkeypatch.setenv("DOCKER_CERT_PATH", str(certs))
            remove("", NAME)
            assert fake.archives == {}

    def test_no_directory_of_certificates(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match="no directory"):
            open_source("tcp://127.0.0.1:1", cert_dir=tmp_path / "none")


def test_a_copy_is_verified_like_any_other(fake: Fake, tmp_path: Path) -> None:
    fake.archives[NAME] = archive_of(tmp_path, {NAME: APP})
    raw = bytearray(fake.archives[NAME])
    raw[1_000] ^= 1  # within the layer
    fake.archives[NAME] = bytes(raw)
    with closing(open_source(fake.url)) as source:
        source.resolve(NAME)
        with pytest.raises(DigestError):
            read(source, APP.parts[0].descriptor)
