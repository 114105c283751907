"""Contents that rot on the disk, before the server starts and while it runs: none is ever served, by no address."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bundler.oci.digest import Digest, algorithm_of, hex_of
from bundler.store import Store
from tests import images
from tests.hostile.registry.host import Host, hosting
from tests.peers import bundler

WEB = images.image(images.layer("web", 3_000_000), images.layer("small", 500), labels={"mark": "of-the-config"})
SBOM = images.artifact(b'{"packages": []}', subject=WEB, annotations={"mark": "of-the-referrer"})
LAYER, SMALL, CONFIG = (part.descriptor.digest for part in WEB.blobs)
RAW = {part.descriptor.digest: part.raw for part in (*WEB.parts, *SBOM.parts)}


def flip(raw: bytes) -> bytes:
    """One bit of the last byte but one: a client that is sent all but the last piece has been sent nothing wrong yet."""
    return raw[:-2] + bytes([raw[-2] ^ 1]) + raw[-1:]


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "a bit": flip,
    "the first bit": lambda raw: bytes([raw[0] ^ 128]) + raw[1:],
    "nothing left": lambda raw: b"",
    "cut": lambda raw: raw[:-1],
    "longer": lambda raw: raw + b"\0",
    "zeros": lambda raw: bytes(len(raw)),
}


@contextmanager
def stored(work: Path) -> Iterator[tuple[Path, Callable[[Digest, Callable[[bytes], bytes]], None]]]:
    folder = work / "store"
    with Store.open(str(folder), create=True) as store:
        images.load(store, {"app:1": WEB, f"app@{SBOM.root.digest}": SBOM})

    def spoil(digest: Digest, damage: Callable[[bytes], bytes]) -> None:
        path = folder / "blobs" / algorithm_of(digest) / hex_of(digest)
        path.write_bytes(damage(RAW[digest]))

    yield folder, spoil


def assert_not_served(host: Host, digest: Digest, *, tagged: bool = False) -> None:
    """By no address is there a whole answer of it. A connection that breaks is what a client of a rotten bundle sees."""
    raw = RAW[digest]
    asked: list[tuple[str, str, dict[str, str]]] = [
        ("GET", f"/v2/app/{kind}/{digest}", {}) for kind in ("blobs", "manifests")
    ]
    asked += [("GET", f"/v2/app/blobs/{digest}", {"Range": text}) for text in ("bytes=-1", "bytes=0-3", "bytes=5-")]
    if tagged:
        asked += [("GET", "/v2/app/manifests/1", {}), ("HEAD", "/v2/app/manifests/1", {})]
    for method, target, headers in asked:
        try:
            answer = host.ask(method, target, headers=headers)
        except OSError:
            continue
        assert not answer.whole or answer.status >= 400, (method, target, headers, answer.status)
        assert raw not in answer.body
    head = host.ask("HEAD", f"/v2/app/blobs/{digest}")  # known to be damaged by now
    assert head.status == 404


class TestStore:
    @pytest.mark.parametrize("digest", [LAYER, CONFIG, WEB.root.digest], ids=["layer", "config", "manifest"])
    def test_while_it_runs(self, tmp_path: Path, digest: Digest) -> None:
        with stored(tmp_path) as (folder, spoil), hosting(folder) as host, host.client() as client:
            for damage in DAMAGE.values():
                client.assert_holds("app", "1", WEB)
                spoil(digest, damage)
                assert_not_served(host, digest, tagged=digest == WEB.root.digest)
                if digest != WEB.root.digest:  # without it, nothing is known to belong to it
                    for other in WEB.blobs:
                        answer = client.ask("GET", f"/v2/app/blobs/{other.descriptor.digest}")
                        assert answer.body == other.raw or other.descriptor.digest == digest
                assert client.push("app", "1", WEB).status == 201  # the same again repairs it

    def test_before_it_starts(self, tmp_path: Path) -> None:
        with stored(tmp_path) as (folder, spoil):
            for digest in (LAYER, WEB.root.digest):
                spoil(digest, flip)
            with hosting(folder) as host:
                for digest in (LAYER, WEB.root.digest):
                    assert_not_served(host, digest, tagged=True)

    @pytest.mark.parametrize("running", [True, False], ids=["running", "before"])
    def test_a_referrer(self, tmp_path: Path, running: bool) -> None:
        target = f"/v2/app/referrers/{WEB.root.digest}"
        with stored(tmp_path) as (folder, spoil):
            if not running:
                spoil(SBOM.root.digest, lambda raw: raw.replace(b"of-the-referrer", b"of-the-attacker"))
            with hosting(folder) as host:
                if running:
                    assert host.ask("GET", target).json["manifests"][0]["annotations"] == {"mark": "of-the-referrer"}
                    spoil(SBOM.root.digest, lambda raw: raw.replace(b"of-the-referrer", b"of-the-attacker"))
                assert_not_served(host, SBOM.root.digest)
                listed = host.ask("GET", target)
                assert listed.status == 200
                assert b"of-the-attacker" not in listed.body
                assert b"of-the-attacker" not in host.ask("GET", f"/images/app@{WEB.root.digest}").body
                assert host.ask("GET", f"/v2/app/manifests/{SBOM.root.digest}").status == 404

    @pytest.mark.parametrize("digest", [CONFIG, WEB.root.digest], ids=["config", "manifest"])
    def test_pages(self, tmp_path: Path, digest: Digest) -> None:
        with stored(tmp_path) as (folder, spoil), hosting(folder) as host:
            shown = host.ask("GET", "/images/app:1")
            assert shown.status == 200
            assert b"of-the-config" in shown.body
            spoil(digest, lambda raw: raw.replace(b"of-the-config", b"of-the-attack").replace(b"amd64", b"evil0"))
            spoiled = host.ask("GET", "/images/app:1")
            assert spoiled.status in (200, 404)
            assert b"of-the-attack" not in spoiled.body
            assert b"evil0" not in spoiled.body
            assert host.ask("GET", "/").status == host.ask("GET", "/images/app").status == 200

    def test_it_is_counted(self, tmp_path: Path) -> None:
        with stored(tmp_path) as (folder, spoil), hosting(folder) as host:
            spoil(LAYER, flip)
            assert_not_served(host, LAYER)
            assert b"damaged_contents 1" in host.ask("GET", "/metrics").body


class Bundle:
    """A signed bundle whose contents lie stored in its volumes, one after the other."""

    def __init__(self, work: Path) -> None:
        env = {"HOME": str(work), "BUNDLER_PASSWORD": "a password for the key"}
        images.write_layout(work / "upstream", {"reg.io/app:1": WEB, "reg.io/app:sbom": SBOM})
        (work / "bundle.yaml").write_text(
            "apiVersion: bundler/v1\nkind: Bundle\nname: edge\nimages:\n"
            "  - oci:upstream:reg.io/app:1\n  - oci:upstream:reg.io/app:sbom\n"
        )
        bundler("keygen", "release", cwd=work, env=env)
        bundler("build", "bundle.yaml", "-o", "out", "--key", "release.key", "--store", "near", cwd=work, env=env)
        self.pair = (work / "out", work / "release.pub")
        self._volume = next(path for path in (work / "out").glob("volume-*"))
        self._sound = self._volume.read_bytes()

    def spoil(self, digest: Digest, *, at: int) -> None:
        """Change one byte of a content in place, as a bad sector does: size and inode stay."""
        place = self._sound.find(RAW[digest][:4096])
        assert place >= 0, "the content is not stored as it is"
        with self._volume.open("r+b") as out:
            out.seek(place + at)
            old = self._sound[place + at]
            out.write(bytes([old ^ 1]))

    def repair(self) -> None:
        with self._volume.open("r+b") as out:
            out.write(self._sound)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return Bundle(tmp_path_factory.mktemp("rot"))


class TestBundle:
    @pytest.mark.parametrize("read_before", [True, False], ids=["read-before", "never-read"])
    @pytest.mark.parametrize("first", ["whole", "range", "head of it"])
    def test_a_layer(self, bundle: Bundle, tmp_path: Path, read_before: bool, first: str) -> None:
        target = f"/v2/app/blobs/{LAYER}"
        try:
            with hosting(bundles=[bundle.pair], work=tmp_path) as host:
                if read_before:
                    assert host.ask("GET", target).body == RAW[LAYER]
                    assert host.ask("GET", target, headers={"Range": "bytes=7-"}).body == RAW[LAYER][7:]
                bundle.spoil(LAYER, at=1_000_000)
                headers = {"whole": {}, "range": {"Range": "bytes=7-"}, "head of it": {"Range": "bytes=0-9"}}[first]
                try:
                    answer = host.ask("GET", target, headers=headers)
                    assert not answer.whole or answer.status >= 400
                except OSError:
                    pass
                assert_not_served(host, LAYER)
                assert host.ask("GET", f"/v2/app/blobs/{SMALL}").body == RAW[SMALL]
                assert b"damaged_contents 1" in host.ask("GET", "/metrics").body
        finally:
            bundle.repair()

    def test_a_volume_that_was_cut_while_it_is_served(self, bundle: Bundle, tmp_path: Path) -> None:
        volume, sound = bundle._volume, bundle._sound
        try:
            with hosting(bundles=[bundle.pair], work=tmp_path) as host:
                assert host.ask("GET", f"/v2/app/blobs/{LAYER}").body == RAW[LAYER]
                os.truncate(volume, len(sound) // 2)
                assert_not_served(host, LAYER)
                assert host.ask("GET", "/v2/").status == 200
        finally:
            volume.write_bytes(sound)
