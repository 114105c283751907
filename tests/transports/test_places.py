"""What is remembered of where blobs lie: across runs, and whatever happens to the file."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from bundler.content import Job, Outcome, copy
from bundler.oci.digest import Digest
from bundler.transports.docker import places as module
from bundler.transports.docker.places import Places
from bundler.transports.docker.registry import Registry
from tests.hostile.scripted import PLAIN, HonestRegistry, Reply, Request, Scripted, reply_error
from tests.images import image, layer, load
from tests.memory import Memory

HOST = "far.example:5000"
A, B = Digest("sha256:" + "a" * 64), Digest("sha256:" + "b" * 64)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "places.db"


def remembered(path: Path, *noted: tuple[str, Digest, str]) -> None:
    places = Places(path)
    for each in noted:
        places.note(*each)
    places.close()


def test_what_one_run_noted_the_next_one_knows(path: Path) -> None:
    remembered(path, (HOST, A, "library/debian"), (HOST, B, "library/nginx"))
    places = Places(path)
    assert places.origins(HOST, A) == ("library/debian",)
    assert places.origins(HOST, B) == ("library/nginx",)
    assert places.origins("other.example", A) == ()
    places.close()


def test_what_was_seen_last_is_offered_first_and_few_at_all(path: Path) -> None:
    for repository in ("a", "b", "c"):
        remembered(path, (HOST, A, repository))
    places = Places(path)
    assert places.origins(HOST, A) == ("c", "b")
    places.note(HOST, A, "d")
    assert places.origins(HOST, A) == ("d", "c")
    places.close()


def test_a_declined_mount_is_forgotten(path: Path) -> None:
    remembered(path, (HOST, A, "gone"), (HOST, A, "kept"))
    places = Places(path)
    places.forget(HOST, A, "gone")
    assert places.origins(HOST, A) == ("kept",)
    places.close()
    again = Places(path)
    assert again.origins(HOST, A) == ("kept",)
    again.close()


def test_nothing_is_made_where_nothing_is_noted(path: Path) -> None:
    Places(path).close()
    assert not path.parent.exists()


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(b"this is no database at all, but it is long enough to be looked at" * 10, id="not-a-database"),
        pytest.param(b"SQLite format 3\0" + bytes(2000), id="a-header-alone"),
    ],
)
def test_a_damaged_file_is_gone_without_and_replaced_by_the_next_run(path: Path, damage: bytes) -> None:
    path.parent.mkdir()
    path.write_bytes(damage)
    places = Places(path)
    places.note(HOST, A, "x")
    assert places.origins(HOST, B) == ()
    places.close()
    remembered(path, (HOST, A, "y"))
    again = Places(path)
    assert again.origins(HOST, A) == ("y",)
    again.close()


def test_damage_in_the_middle_of_the_file(path: Path) -> None:
    remembered(path, *((HOST, Digest(f"sha256:{number:064x}"), "x") for number in range(500)))
    raw = bytearray(path.read_bytes())
    raw[4096:] = b"\xff" * (len(raw) - 4096)
    path.write_bytes(raw)
    places = Places(path)
    assert places.origins(HOST, Digest(f"sha256:{7:064x}")) == ()
    places.note(HOST, A, "x")
    places.close()
    remembered(path, (HOST, A, "y"))
    again = Places(path)
    assert again.origins(HOST, A) == ("y",)
    again.close()


def test_a_full_disk(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    remembered(path, (HOST, A, "x"))
    monkeypatch.setattr(module, "_SCHEMA", f"PRAGMA max_page_count = 2; {module._SCHEMA}")
    remembered(path, *((HOST, Digest(f"sha256:{number:064x}"), "y") for number in range(500)))
    monkeypatch.undo()
    places = Places(path)
    assert places.origins(HOST, A) == ("x",)
    assert places.origins(HOST, Digest(f"sha256:{1:064x}")) == ()
    places.close()


def test_a_file_that_cannot_be_written(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    remembered(path, (HOST, A, "x"))
    real = sqlite3.connect

    def read_only(file: Path, **options: Any) -> sqlite3.Connection:
        opened: sqlite3.Connection = real(f"file:{file}?mode=ro", uri=True, **options)
        return opened

    monkeypatch.setattr(sqlite3, "connect", read_only)
    places = Places(path)
    assert places.origins(HOST, A) == ("x",)
    places.note(HOST, B, "y")
    places.close()
    again = Places(path)
    assert again.origins(HOST, B) == ()
    again.close()


def test_while_another_process_holds_the_lock(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BUSY_SECONDS", 0.05)
    remembered(path, (HOST, A, "x"))
    holder = (
        "import sqlite3, sys; d = sqlite3.connect(sys.argv[1], isolation_level=None); d.execute('BEGIN EXCLUSIVE');"
        "print('held', flush=True); sys.stdin.read()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", holder, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        places = Places(path)
        assert places.origins(HOST, A) == ()
        places.note(HOST, B, "y")
        places.close()
        process.communicate()
    assert process.returncode == 0
    after = Places(path)
    assert after.origins(HOST, A) == ("x",)
    after.close()


def test_processes_that_end_together(path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from bundler.transports.docker.places import Places\n"
        "places = Places(Path(sys.argv[1]))\n"
        f"for n in range(200): places.note({HOST!r}, f'sha256:{{n:064x}}', sys.argv[2])\n"
        "places.close()"
    )
    running = [subprocess.Popen([sys.executable, "-c", code, path, f"repository-{n}"]) for n in range(4)]
    assert [process.wait(30) for process in running] == [0] * 4
    with sqlite3.connect(path) as database:
        (count,) = database.execute("SELECT COUNT(*) FROM places").fetchone()
    database.close()
    assert count == 4 * 200


def test_a_long_run_does_not_slow_down(path: Path) -> None:
    places = Places(path)
    for number in range(20_000):
        places.note(HOST, Digest(f"sha256:{number:064x}"), "x")
    begun = time.process_time()
    for number in range(0, 20_000, 10):
        assert places.origins(HOST, Digest(f"sha256:{number:064x}")) == ("x",)
    assert time.process_time() - begun < 1
    places.close()


def test_nothing_heavy_is_loaded_before_it_is_needed() -> None:
    code = "import sys; import bundler.transports.docker.registry; sys.exit('sqlite3' in sys.modules)"
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COV")}  # it loads sqlite3
    assert subprocess.run([sys.executable, "-c", code], check=False, env=environment).returncode == 0


def test_another_table_of_that_name(path: Path) -> None:
    path.parent.mkdir()
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE places (something TEXT)")
    database.close()
    remembered(path, (HOST, A, "x"))
    assert Places(path).origins(HOST, A) == ()


def test_a_file_where_a_directory_must_be(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("")
    remembered(tmp_path / "cache" / "places.db", (HOST, A, "x"))
    assert (tmp_path / "cache").read_text() == ""


def test_several_at_once(path: Path) -> None:
    with ThreadPoolExecutor(4) as executor:
        list(executor.map(lambda n: remembered(path, (HOST, A, f"repository-{n}")), range(12)))
    with sqlite3.connect(path) as database:
        (count,) = database.execute("SELECT COUNT(*) FROM places").fetchone()
    database.close()
    assert count == 12


def test_the_oldest_go_when_there_are_too_many(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST", 10)
    for number in range(15):
        remembered(path, (HOST, Digest(f"sha256:{number:064x}"), "x"))
    places = Places(path)
    assert places.origins(HOST, Digest(f"sha256:{14:064x}")) == ("x",)
    assert places.origins(HOST, Digest(f"sha256:{0:064x}")) == ()
    places.close()


class Remembering(Memory):
    """A repository that was told where contents may be."""

    def __init__(self, host: dict[str, Memory], *origins: str) -> None:
        super().__init__("new", host)
        self._origins = origins

    def origins(self, want: object) -> tuple[str, ...]:
        return self._origins


def test_a_copy_mounts_from_what_is_remembered() -> None:
    host: dict[str, Memory] = {}
    wanted = layer("shared", 5_000)
    near, old = Memory("near"), Memory("old", host)
    for memory in (near, old):
        memory.put(wanted.raw, wanted.descriptor.media_type)
    far = Remembering(host, "elsewhere", "old")
    assert copy(Job(near, far, wanted.descriptor)) is Outcome.MOUNTED
    assert near.count("fetch") == 0
    assert [name for verb, name in far.calls if verb == "mount"] == [wanted.descriptor.digest] * 2


def test_a_mount_that_is_declined_everywhere_is_an_upload() -> None:
    wanted, near = layer("alone", 5_000), Memory("near")
    near.put(wanted.raw, wanted.descriptor.media_type)
    assert copy(Job(near, Remembering({}, "elsewhere"), wanted.descriptor)) is Outcome.COPIED


@pytest.fixture
def honest() -> HonestRegistry:
    return HonestRegistry()


@pytest.fixture
def server(honest: HonestRegistry) -> Iterator[Scripted]:
    with Scripted(honest) as server:
        yield server


def copied_to(repository: str, server: Scripted, path: Path) -> Outcome:
    """One run that copies the same layer into a repository of the server."""
    near, wanted = Memory("near"), layer("shared", 100_000)
    near.put(wanted.raw, wanted.descriptor.media_type)
    places = Places(path)
    with Registry(server.host, PLAIN, places=places) as registry:
        outcome = copy(Job(near, registry.repository(repository), wanted.descriptor))
    places.close()
    return outcome


def test_nine_repositories_one_upload(server: Scripted, path: Path) -> None:
    outcomes = [copied_to(f"team/image-{number}", server, path) for number in range(9)]
    assert outcomes == [Outcome.COPIED] + [Outcome.MOUNTED] * 8
    assert server.count("PATCH", "blobs/uploads") + server.count("PUT", "blobs/uploads") <= 2


def test_what_is_there_already_is_remembered_too(server: Scripted, honest: HonestRegistry, path: Path) -> None:
    honest.add_blob("old", layer("shared", 100_000).raw)
    assert copied_to("old", server, path) is Outcome.PRESENT
    assert copied_to("new", server, path) is Outcome.MOUNTED


def test_what_was_collected_as_garbage_costs_one_request_once(
    server: Scripted, honest: HonestRegistry, path: Path
) -> None:
    assert copied_to("old", server, path) is Outcome.COPIED
    honest.blobs.clear()
    del server.seen[:]
    assert copied_to("new", server, path) is Outcome.COPIED
    assert [request.query.get("from") for request in server.seen if request.method == "POST"] == [["old"]]
    del server.seen[:]
    assert copied_to("newest", server, path) is Outcome.MOUNTED
    assert [request.query.get("from") for request in server.seen if request.method == "POST"] == [["new"]]


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 501])
def test_a_registry_that_refuses_to_mount(server: Scripted, honest: HonestRegistry, path: Path, status: int) -> None:
    def refusing(request: Request) -> Reply:
        return reply_error(status, "DENIED") if "mount" in request.query else honest(request)

    server.app = refusing
    assert copied_to("old", server, path) is Outcome.COPIED
    assert copied_to("new", server, path) is Outcome.COPIED
    known = Places(path)
    assert known.origins(server.host, layer("shared", 100_000).descriptor.digest) == ("new",)
    known.close()


def test_small_contents_and_manifests_are_not_remembered(server: Scripted, path: Path) -> None:
    app, places = image(layer("small", 1000)), Places(path)
    with Registry(server.host, PLAIN, places=places) as registry:
        load(registry.repository("old"), {"1": app})
    places.close()
    assert not path.exists()
