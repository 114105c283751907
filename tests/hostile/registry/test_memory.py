"""What many large transfers cost in memory: next to nothing, whatever their size."""

from __future__ import annotations

import hashlib
import shutil
import socket
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bundler.oci.digest import Digest
from tests.hostile.registry.host import Host, hosting
from tests.hostile.registry.wire import request

MIB = 1 << 20
SIZE = 64 * MIB
MANY = 64
CAP_MIB = 200
CHUNK = bytes(MIB)


@pytest.fixture
def room() -> Iterator[Path]:
    """In memory, as disks of test machines are slow; skipped where there is too little."""
    shm = Path("/dev/shm")
    where = shm if shm.is_dir() and shutil.disk_usage(shm).free > (MANY + 8) * SIZE else Path("/var/tmp")
    if shutil.disk_usage(where).free < (MANY + 8) * SIZE:
        pytest.skip(f"less than {(MANY + 8) * SIZE >> 30} GiB free")
    folder = Path(tempfile.mkdtemp(prefix="bundler-memory-", dir=where))
    yield folder
    shutil.rmtree(folder)


def zeros(size: int = SIZE) -> Digest:
    state = hashlib.sha256()
    for _ in range(size // MIB):
        state.update(CHUNK)
    return Digest(f"sha256:{state.hexdigest()}")


def all_at_once(act: Callable[[], None], count: int = MANY) -> None:
    errors: list[BaseException] = []

    def acting() -> None:
        try:
            act()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=acting) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


def upload(host: Host, digest: Digest, size: int = SIZE) -> None:
    with host.client(seconds=300) as client:
        location = client.begin("app")
        body = (CHUNK for _ in range(size // MIB))
        answer = client.ask("PUT", f"{location}?digest={digest}", body, {"Content-Length": str(size)})
        assert answer.status == 201, answer


def download(host: Host, digest: Digest, *headers: str, size: int = SIZE) -> None:
    with socket.create_connection(("127.0.0.1", host.port), timeout=300) as connection:
        connection.sendall(request("GET", f"/v2/app/blobs/{digest}", "Connection: close", *headers))
        buffer = bytearray(MIB)
        count = 0
        while more := connection.recv_into(buffer):
            count += more
    assert size < count < size + 2000


@pytest.mark.slow
def test_many_large_transfers(room: Path) -> None:
    digest = zeros()
    with hosting(room / "store") as host:
        all_at_once(lambda: upload(host, digest))
        uploading = host.peak()
        all_at_once(lambda: download(host, digest))
        downloading = host.peak()
        assert uploading < CAP_MIB
        assert downloading < CAP_MIB


@pytest.mark.slow
def test_many_large_ranges(room: Path) -> None:
    """Those the server reads itself, piece by piece."""
    digest = zeros()
    with hosting(room / "store") as host:
        upload(host, digest)
        all_at_once(lambda: download(host, digest, f"Range: bytes=1-{SIZE}", size=SIZE - 1), count=16)
        assert host.peak() < CAP_MIB
