"""SIGKILL at many points of pull, pack and push, then the same command again: what SECURITY demands holds each time.

The commands run as processes against embedded registries, are killed at moments spread over what they take unharmed, and
go on where the last one was killed. What lies there is judged without bundler's own code.

I1 nothing else was touched · I2 blobs hash to their names · I3 the index leads to nothing missing · I4 what was complete
stays · I5 no secret was said or written · I8 no tag before everything is there · I9 nothing unfinished looks finished ·
I10 the same command ends the work
"""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from bundler.journey.access import Access
from bundler.journey.ends import Ends
from bundler.journey.files import write_new
from bundler.oci.reference import Reference
from bundler.registry.process import running
from bundler.trust.keyfile import write_private_key
from tests.cli.terminal import Ended, ended, process
from tests.images import Image, image, index, layer, load
from tests.store.invariants import assert_sound, blobs
from tests.workshop import KEY_PASSWORD, contents, key, write_manifest

ROUNDS = 6
SECRET = "a s3cret of the registry"
_BASE = layer("kill base", 400_000)
IMAGES: dict[str, Image] = {
    **{f"app{n}:1.{n}": image(_BASE, *(layer(f"kill {n} {k}", 150_000) for k in range(4))) for n in range(6)},
    "multi:2.0": index(
        image(_BASE, layer("kill amd", 200_000)),
        image(layer("kill arm", 500_000), platform="linux/arm64"),
    ),
}
ALL = {digest for held in IMAGES.values() for digest in held.digests()}


@pytest.fixture(scope="module")
def near(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A registry that holds the images."""
    with running(tmp_path_factory.mktemp("near")) as url:
        host = url.removeprefix("http://")
        with Ends(Access(tls_verify=False)) as ends:
            for name, held in IMAGES.items():
                repository, _, tag = name.partition(":")
                load(ends.repository(Reference(host, repository)), {tag: held})
        yield host


@pytest.fixture(scope="module")
def built(near: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder where everything was done once without harm: ``store``, ``out``, the lock, the keys."""
    folder = tmp_path_factory.mktemp("built")
    write_manifest(folder, "".join(f"  - {near}/{name}\n" for name in IMAGES))
    write_new(folder / "release.key", write_private_key(key("release"), KEY_PASSWORD), mode=0o600)
    (folder / "release.pub").write_bytes(key("release").public.pem)
    finished(PULL, folder)
    finished(PACK, folder)
    return folder


@pytest.fixture
def folder(built: Path, tmp_path: Path) -> Path:
    """The same with nothing done yet but the lock."""
    for name in ("bundle.yaml", "bundle.lock.json", "release.key", "release.pub"):
        shutil.copy(built / name, tmp_path)
    return tmp_path


JOBS = ("--jobs", "3")
PULL = ["pull", "bundle.yaml", "--store", "store", "--tls-verify=false", *JOBS, "--creds", f"builder:{SECRET}"]
PACK = ["pack", "bundle.yaml", "--store", "store", "-o", "out", "--key", "release.key", "--volume-size", "2MiB", *JOBS]
PUSH = ["push", "out", "--key", "release.pub", "--tls-verify=false", *JOBS, "--receipt", "receipt.json"]


def push(host: str) -> list[str]:
    return [*PUSH, "--to", f"docker://{host}/site", "--creds", f"site:{SECRET}"]


def start(command: list[str], folder: Path) -> subprocess.Popen[str]:
    return process("--progress", "json", *command, cwd=folder, BUNDLER_PASSWORD=KEY_PASSWORD.decode())


def finished(command: list[str], folder: Path) -> Ended:
    """I10, and I5 for what was said."""
    said = ended(start(command, folder))
    assert said.code == 0, said.err
    assert_no_secret(said, folder)
    return said


def assert_no_secret(said: Ended, folder: Path) -> None:
    written = [(path, path.read_bytes()) for path in folder.rglob("*") if path.is_file() and "blobs" not in path.parts]
    for word in (SECRET, KEY_PASSWORD.decode()):
        assert word not in said.out + said.err
        assert [path for path, raw in written if word.encode() in raw] == []


def seconds(command: list[str], folder: Path) -> float:
    began = time.monotonic()
    finished(command, folder)
    return time.monotonic() - began


def killed(command: list[str], folder: Path, after: float) -> bool:
    """Run it and kill it; whether that came before its end."""
    started = start(command, folder)
    time.sleep(after)
    started.kill()
    said = ended(started)
    assert said.code in (-9, 0), said.err
    assert_no_secret(said, folder)
    return said.code == -9


class Moments:
    """When to kill: spread from the end of the start-up to the end, of a run that takes ``whole`` seconds.

    The machine may be faster by now than when that was measured: each run that came to its end draws the rest together.
    """

    def __init__(self, whole: float) -> None:
        self._left = [whole * (0.35 + 0.65 * n / ROUNDS) for n in range(ROUNDS)]
        self.deaths = 0

    def __bool__(self) -> bool:
        return bool(self._left)

    def kill(self, command: list[str], folder: Path) -> None:
        if killed(command, folder, self._left.pop(0)):
            self.deaths += 1
        else:
            self._left = [moment * 0.8 for moment in self._left]


def assert_only(folder: Path, *names: str) -> None:
    """I1."""
    always = {"bundle.yaml", "bundle.lock.json", "release.key", "release.pub"}
    assert {path.name for path in folder.iterdir()} <= always | set(names)


def test_pull(built: Path, folder: Path) -> None:
    before = {name: (folder / name).read_bytes() for name in ("bundle.yaml", "bundle.lock.json", "release.key")}
    whole = seconds(PULL, folder)
    names = assert_sound(folder / "store")
    assert set(names.values()) == {held.root.digest for held in IMAGES.values()}
    done: dict[str, str] = {}
    number = 0
    moments = Moments(whole)
    while moments:
        store = f"store{number}"
        moments.kill([store if word == "store" else word for word in PULL], folder)
        assert_only(folder, "store", *(f"store{n}" for n in range(number + 1)))
        assert {name: (folder / name).read_bytes() for name in before} == before
        now = assert_sound(folder / store) if (folder / store).exists() else {}  # I2, I3
        assert done.items() <= now.items()  # I4
        assert now in ({}, names)
        done = now
        if now:
            number, done = number + 1, {}
    assert moments.deaths >= 2
    finished([f"store{number}" if word == "store" else word for word in PULL], folder)
    assert assert_sound(folder / f"store{number}") == names
    assert set(blobs(folder / f"store{number}")) == ALL
    assert not any((folder / f"store{number}" / ".bundler" / "leases").iterdir())


def test_the_lock_is_whole_or_not_there(built: Path, folder: Path) -> None:
    wanted = json.loads((built / "bundle.lock.json").read_text())
    command = ["lock", "bundle.yaml", "--tls-verify=false"]
    (folder / "bundle.lock.json").unlink()
    whole = seconds(command, folder)
    moments = Moments(whole)
    for _ in range(3):
        (folder / "bundle.lock.json").unlink(missing_ok=True)
        moments.kill(command, folder)
        if (folder / "bundle.lock.json").exists():
            assert json.loads((folder / "bundle.lock.json").read_text())["images"] == wanted["images"]
    finished(command, folder)
    assert json.loads((folder / "bundle.lock.json").read_text())["images"] == wanted["images"]


def test_pack(built: Path, folder: Path) -> None:
    (folder / "store").symlink_to(built / "store")
    wanted = contents(built / "out")
    store = _state(built / "store")
    whole = seconds(PACK, folder)
    assert contents(folder / "out") == wanted
    number = 0
    moments = Moments(whole)
    while moments:
        out = folder / f"out{number}"
        moments.kill([out.name if word == "out" else word for word in PACK], folder)
        assert_only(folder, "store", "out", *(f"out{n}" for n in range(number + 1)))
        assert _state(built / "store") == store
        if not out.exists():
            continue
        whole_names = {name for name in contents(out) if not name.endswith((".part", ".spool"))}
        for name in whole_names:  # I9: whatever has its final name is what it will be
            assert contents(out)[name] == wanted[name], name
        if "bundle.dsse.json" in whole_names:
            assert contents(out) == wanted
            number += 1
        else:
            said = ended(start(["verify", out.name, "--key", "release.pub"], folder))
            assert (said.code, "unfinished" in said.err) == (15, True)
    assert moments.deaths >= 2
    finished([f"out{number}" if word == "out" else word for word in PACK], folder)
    assert contents(folder / f"out{number}") == wanted


def _state(store: Path) -> dict[str, tuple[int, int]]:
    """What a pack must leave alone: all but the store's own lock file."""
    found = [path for path in store.rglob("*") if path.is_file() and path.name not in ("lock", "index.lock")]
    return {str(path): (path.stat().st_size, path.stat().st_mtime_ns) for path in found}


def test_push(built: Path, folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    (folder / "out").symlink_to(built / "out")
    wanted = {f"site/{name}": held.root.digest for name, held in IMAGES.items()}
    bundle = hashlib.sha256(b"".join(contents(built / "out").values())).digest()

    def judged(far: Path) -> dict[str, str]:
        # A manifest that is there by its digest alone has a name of that kind, until the index comes that lists it.
        named = {name: root for name, root in assert_sound(far).items() if "@" not in name}
        if named:  # I8: the tags come when the content of all images is there
            assert set(blobs(far)) >= ALL
        assert named.items() <= wanted.items()
        assert hashlib.sha256(b"".join(contents(built / "out").values())).digest() == bundle
        assert_only(folder, "out", "receipt.json")
        if (folder / "receipt.json").exists():  # I9: only a finished push has one
            assert named == wanted
            json.loads((folder / "receipt.json").read_text())
        return named

    def forget_receipt() -> None:
        (folder / "receipt.json").unlink(missing_ok=True)

    far = tmp_path_factory.mktemp("far")
    with running(far) as url:
        whole = seconds(push(url.removeprefix("http://")), folder)
        assert judged(far) == wanted
    forget_receipt()
    moments = Moments(whole)
    while moments:
        far = tmp_path_factory.mktemp("far")
        with running(far) as url:
            host = url.removeprefix("http://")
            done: dict[str, str] = {}
            while moments and done != wanted:
                moments.kill(push(host), folder)
                now = judged(far)
                assert done.items() <= now.items()  # I4
                done = now
            forget_receipt()
            finished(push(host), folder)
            assert judged(far) == wanted
            forget_receipt()
    assert moments.deaths >= 2
