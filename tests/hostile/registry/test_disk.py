"""A disk that is full, or fails: nothing half is published, the error says whose fault it is, the same again succeeds."""

from __future__ import annotations

import errno
import os
import resource
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from bundler.oci.digest import hex_of
from bundler.store import Store
from tests import images
from tests.hostile.registry.host import Answer, Host, hosting
from tests.store.invariants import assert_sound

OLD = images.image(images.layer("old", 20_000))
NEW = images.image(images.layer("new", 900_000), images.layer("more", 1000))
MIB = 1 << 20


def mounted(what: str, on: Path, *options: str) -> None:
    done = subprocess.run(["mount", *options, what, str(on)], check=False, capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"mounting is not permitted here: {done.stderr.strip()}")


@contextmanager
def small_disk(on: Path, size: int) -> Iterator[Path]:
    on.mkdir()
    mounted("none", on, "-t", "tmpfs", "-o", f"size={size}")
    try:
        yield on
    finally:
        subprocess.run(["umount", "-l", str(on)], check=True)


def fill(folder: Path, *, leave: int = 0) -> Path:
    """Take all room but ``leave`` bytes."""
    filler = folder / "filler"
    with filler.open("wb", buffering=0) as out, suppress(OSError):
        while True:
            out.write(b"\1" * 4096)
    if leave:
        os.truncate(filler, filler.stat().st_size - leave)
    return filler


def pushed(host: Host, tag: str, image: images.Image) -> Answer:
    with host.client() as client:
        return client.push("app", tag, image)


FULL = {  # where on its way a push meets the end of the disk
    "at once": 0,
    "at the first bytes": 8192,
    "in the layer": MIB // 2,
    "behind the layer": MIB // 10 * 9 + 16_384,
}


@pytest.mark.parametrize("left", FULL.values(), ids=FULL.keys())
def test_a_full_disk(tmp_path: Path, left: int) -> None:
    with small_disk(tmp_path / "disk", 8 * MIB) as disk, hosting(disk / "store", work=tmp_path) as host:
        assert pushed(host, "1", OLD).status == 201
        filler = fill(disk, leave=left)
        answer = pushed(host, "1", NEW)
        assert answer.status in (413, 507), answer
        assert answer.codes[0] in ("DENIED", "SIZE_INVALID")
        assert b"room" in answer.body
        assert str(disk).encode() not in answer.body
        assert assert_sound(disk / "store") == {"app:1": OLD.root.digest}
        with host.client() as client:
            client.assert_holds("app", "1", OLD)
            assert client.ask("GET", "/v2/app/tags/list").json["tags"] == ["1"]
            assert client.ask("GET", "/images/app:1").status == 200
            assert client.ask("GET", "/readyz").status == 503
            assert client.ask("GET", "/healthz").status == 200
        filler.unlink()
        assert pushed(host, "1", NEW).status == 201
        with host.client() as client:
            client.assert_holds("app", "1", NEW)
            client.assert_pulls("app", OLD)
        assert assert_sound(disk / "store") == {"app:1": NEW.root.digest}
        assert list((disk / "store/.bundler/tmp").iterdir()) == []


def test_every_page_of_the_disk(tmp_path: Path) -> None:
    """The disk is full after one more page each time: whatever the last thing was that still fitted, the tag is old or new."""
    small = images.image(images.layer("small", 200))
    refused = 0
    with small_disk(tmp_path / "disk", 4 * MIB) as disk, hosting(disk / "store", work=tmp_path) as host:
        assert pushed(host, "1", OLD).status == 201
        for pages in range(30):
            filler = fill(disk, leave=4096 * pages)
            answer = pushed(host, f"t{pages}", small)
            named = assert_sound(disk / "store")
            assert named["app:1"] == OLD.root.digest
            if answer.status == 201:
                assert named[f"app:t{pages}"] == small.root.digest
                with host.client() as client:
                    filler.unlink()
                    client.assert_holds("app", f"t{pages}", small)
                break
            assert answer.status == 507, (pages, answer)
            refused += 1
            filler.unlink()
        else:
            pytest.fail("it never fitted")
        assert refused >= 2


def test_a_file_as_large_as_they_may_be(tmp_path: Path) -> None:
    with hosting(tmp_path / "store", ulimits={"RLIMIT_FSIZE": MIB // 2}) as host:
        assert pushed(host, "1", OLD).status == 201
        answer = pushed(host, "1", NEW)
        assert answer.status >= 400
        assert assert_sound(tmp_path / "store") == {"app:1": OLD.root.digest}
        with host.client() as client:
            client.assert_holds("app", "1", OLD)
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] != MIB // 2
    with hosting(tmp_path / "store") as host:
        assert pushed(host, "1", NEW).status == 201


WRITES = ["open", "write", "fsync", "rename", "fchmod"]


@pytest.mark.slow
def test_a_write_that_fails(tmp_path: Path) -> None:
    """The k-th of each kind, for each k until a push gets by without it."""
    folder, was, number = tmp_path / "store", OLD, 0
    with hosting(folder, faults=dict.fromkeys(WRITES, errno.EIO)) as host, host.client() as client:
        assert client.push("app", "1", OLD).status == 201
        for name in WRITES:
            failed = 0
            for k in range(1, 40):
                number += 1
                small = images.image(images.layer(f"small{number}", 200))
                host.arm(name, k)
                answer = client.push("app", "1", small)
                host.disarm()
                named = assert_sound(folder)
                # An error when the name is written, but not known to be durable: either may stand there, and is whole.
                assert answer.status in (201, 500), answer
                assert named["app:1"] in {small.root.digest, *([was.root.digest] if answer.status == 500 else [])}
                client.assert_holds("app", "1", was if named["app:1"] == was.root.digest else small)
                assert client.push("app", "1", small).status == 201
                assert assert_sound(folder) == {"app:1": small.root.digest}
                assert list((folder / ".bundler/tmp").iterdir()) == []
                was = small
                failed += answer.status == 500
                if answer.status == 201 and k > 8:  # some calls serve messages only, and may fail
                    break
            assert failed >= 2, name


@pytest.mark.parametrize("kind", ["whole", "range", "manifest", "head"])
def test_a_read_that_fails(tmp_path: Path, kind: str) -> None:
    """A call of the server's own reading; the server's sending of files is below."""
    with Store.open(str(tmp_path / "store"), create=True) as store:
        images.load(store, {"app:1": NEW})
    journal = tmp_path / "store/.bundler/journal"
    journal.unlink()  # so that the first to ask has it read
    digest = NEW.blobs[0].descriptor.digest
    target = "/v2/app/manifests/1" if kind == "manifest" else f"/v2/app/blobs/{digest}"
    headers = {"Range": "bytes=5-"} if kind == "range" else {}
    with hosting(tmp_path / "store", faults={"preadv": errno.EIO}) as host:
        host.arm("preadv", 1)
        answer = host.ask("HEAD" if kind == "head" else "GET", target, headers=headers)
        assert answer.status == 500
        host.disarm()
        with host.client() as client:
            client.assert_holds("app", "1", NEW)
    assert not list((tmp_path / "store/.bundler/quarantine").iterdir())  # nobody knows what is wrong with it


@contextmanager
def failing_disk(tmp_path: Path, content: dict[str, images.Image]) -> Iterator[tuple[Path, Path]]:
    """A store on a file system whose later half can't be read any more, once its image file was cut."""
    image, folder = tmp_path / "disk.img", tmp_path / "disk"
    folder.mkdir()
    with image.open("wb") as out:
        out.truncate(32 * MIB)
    if subprocess.run(["mkfs.ext4", "-q", "-m0", str(image)], check=False, capture_output=True).returncode:
        pytest.skip("there is no mkfs.ext4")
    mounted(str(image), folder, "-o", "loop")
    try:
        with Store.open(str(folder / "store"), create=True) as store:
            images.load(store, content)
        yield folder / "store", image
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_medium_that_breaks_under_the_server(tmp_path: Path) -> None:
    """Real I/O errors while blobs are sent: no client ever gets a whole body."""
    large = images.image(images.layer("large", 12 * MIB))
    large_layer, small = large.blobs[0], OLD.blobs[0]
    try:
        with (
            failing_disk(tmp_path, {"app:1": OLD, "app:large": large}) as (folder, image),
            hosting(folder, work=tmp_path, read_only=True) as host,
        ):
            target = f"/v2/app/blobs/{large_layer.descriptor.digest}"
            assert host.ask("GET", target).body == large_layer.raw
            subprocess.run(["sync"], check=True)
            with image.open("r+b") as out:
                out.truncate(12 * MIB)
            forget(folder / "blobs/sha256" / hex_of(large_layer.descriptor.digest))
            for headers in ({}, {"Range": "bytes=0-"}, {"Range": "bytes=-1000"}):
                try:
                    answer = host.ask("GET", target, headers=headers)
                except OSError:
                    continue
                assert not answer.whole or answer.status >= 400, headers
                assert len(answer.body) < len(large_layer.raw)
            got = host.ask("GET", f"/v2/app/blobs/{small.descriptor.digest}")
            assert (got.status, got.body) == (200, small.raw)
            assert host.ask("GET", "/v2/").status == 200
    finally:
        (tmp_path / "disk.img").unlink(missing_ok=True)


def forget(path: Path) -> None:
    """Let the next who reads a file read the medium."""
    fd = os.open(path, os.O_RDONLY)
    try:
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(fd)
