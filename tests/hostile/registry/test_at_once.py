"""Pushes, pulls and garbage collection at the same time, from several processes: whatever was acknowledged is whole."""

from __future__ import annotations

import json
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from bundler.store import Store
from tests import images
from tests.hostile.registry.host import hosting
from tests.peers import bundler_path
from tests.store.invariants import assert_sound

BASE = images.layer("base", 30_000)
SECONDS = 3.0


def numbered(number: int, *more: images.Part) -> images.Image:
    return images.image(BASE, images.layer(f"n{number}", 2000), *more)


def split(name: str) -> tuple[str, str]:
    """Repository and tag."""
    repository, _, tag = name.partition(":")
    return repository, tag


class Crew:
    """Threads that work until they are told to stop; what one of them raises is raised at the end."""

    def __init__(self) -> None:
        self.stop = threading.Event()
        self._threads: list[threading.Thread] = []
        self._errors: list[BaseException] = []

    def hire(self, work: Callable[[], None]) -> None:
        def working() -> None:
            try:
                while not self.stop.is_set():
                    work()
            except BaseException as error:
                self._errors.append(error)
                self.stop.set()

        self._threads.append(threading.Thread(target=working))

    def run(self, seconds: float, enough: Callable[[], bool]) -> None:
        """For so long, and on a busy machine until there is enough."""
        for thread in self._threads:
            thread.start()
        until = time.monotonic() + 20 * seconds
        self.stop.wait(seconds)
        while not enough() and time.monotonic() < until and not self.stop.wait(0.1):
            pass
        self.stop.set()
        for thread in self._threads:
            thread.join()
        if self._errors:
            raise self._errors[0]


@pytest.mark.slow
@pytest.mark.parametrize("grace", ["an-hour", "none"])
def test_garbage_is_collected_during_pushes(tmp_path: Path, grace: str) -> None:
    """Even where nothing but the tags keeps anything: a push that was acknowledged is whole, and one that met the
    collection is refused, not half done."""
    folder = tmp_path / "store"
    values = {} if grace == "an-hour" else {"bundler.registry.upkeep:collect.grace": 0}
    crew = Crew()
    pushed: dict[str, images.Image] = {}
    counts = {"push": 0, "refused": 0, "http": 0, "command": 0}
    lock = threading.Lock()
    numbers = iter(range(1_000_000))
    with hosting(
        folder, values={**values, "bundler.registry.changes.PATIENCE_SECONDS": 20.0}, allow_delete=True
    ) as host:

        def push(repository: str) -> None:
            with lock:
                number = next(numbers)
            image = numbered(number)
            tag = f"t{number % 4}"
            with host.client() as client:
                answer = client.push(repository, tag, image)
                if answer.status != 201:
                    assert grace == "none", answer
                    assert answer.codes == ["MANIFEST_BLOB_UNKNOWN"], answer
                    counts["refused"] += 1
                    return
                counts["push"] += 1
                pushed[f"{repository}:{tag}"] = image
                client.assert_holds(repository, tag, image)

        def collect() -> None:
            before = counts["push"]
            answer = host.ask("POST", "/admin/gc?untagged=true", seconds=60)
            assert answer.status == 200, answer
            counts["http"] += 1
            # A busy machine may need longer for a push than there is between two collections.
            while counts["push"] == before and counts["refused"] > counts["push"] and not crew.stop.wait(0.01):
                pass

        def command() -> None:
            done = subprocess.run(
                [bundler_path(), "registry", "gc", str(folder), "--json"], capture_output=True, check=False, timeout=60
            )
            assert done.returncode == 0, done.stderr
            counts["command"] += 1

        for n in range(4):
            crew.hire(lambda n=n: push(f"r{n}"))  # type: ignore[misc]
        crew.hire(collect)
        if grace == "an-hour":  # the command knows no other
            crew.hire(command)
        crew.run(
            SECONDS,
            lambda: counts["push"] >= 3 and counts["http"] >= 1 and counts["command"] >= (grace == "an-hour"),
        )
        assert counts["push"] >= 3, counts
        assert counts["http"] >= 1, counts
        assert counts["command"] >= (grace == "an-hour"), counts
        with host.client() as client:
            for name, image in pushed.items():
                client.assert_holds(*split(name), image)
            assert client.ask("POST", "/admin/gc").status == 200
            for name, image in pushed.items():
                client.assert_holds(*split(name), image)
    assert assert_sound(folder).items() >= {name: image.root.digest for name, image in pushed.items()}.items()
    assert Store.open(folder).check().sound
    assert list((folder / ".bundler/tmp").iterdir()) == []


def test_one_tag_by_twenty(tmp_path: Path) -> None:
    """The tag is one of them, and each that was pushed can still be pulled by its digest."""
    folder = tmp_path / "store"
    crowd = [numbered(n) for n in range(20)]
    barrier = threading.Barrier(20)
    failed: list[object] = []
    with hosting(folder) as host:

        def push(image: images.Image) -> None:
            with host.client() as client:
                for part in image.blobs:
                    client.upload("app", part.raw, part.descriptor.digest)
                barrier.wait()
                answer = client.put("app", "one", image.raw, image.root.media_type)
                if answer.status != 201 or answer.headers["docker-content-digest"] != image.root.digest:
                    failed.append(answer)

        threads = [threading.Thread(target=push, args=(image,)) for image in crowd]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert failed == []
        with host.client() as client:
            tag = client.ask("GET", "/v2/app/manifests/one")
            assert tag.body in {image.raw for image in crowd}
            assert client.ask("GET", "/v2/app/tags/list").json["tags"] == ["one"]
            assert client.ask("POST", "/admin/gc?untagged=true").status == 200
            for image in crowd:
                client.assert_pulls("app", image)
    named = assert_sound(folder)
    assert named["app:one"] == tag.headers["docker-content-digest"]
    index = json.loads((folder / "index.json").read_text())
    assert index["schemaVersion"] == 2
    assert len([entry for entry in index["manifests"] if entry["digest"] == named["app:one"]]) == 1


def test_many_tags_at_once(tmp_path: Path) -> None:
    """None of them gets lost."""
    folder = tmp_path / "store"
    image = numbered(0)
    with hosting(folder) as host:
        with host.client() as client:
            assert client.push("app", "0", image).status == 201

        def tag(name: str) -> None:
            with host.client() as client:
                for n in range(8):
                    assert client.put("app", f"{name}-{n}", image.raw, image.root.media_type).status == 201

        threads = [threading.Thread(target=tag, args=(f"w{n}",)) for n in range(12)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(host.ask("GET", "/v2/app/tags/list").json["tags"]) == 1 + 12 * 8
    assert len(assert_sound(folder)) == 1 + 12 * 8


def test_only_one_of_those_who_expect_the_old_moves_a_tag(tmp_path: Path) -> None:
    crowd = [numbered(n) for n in range(8)]
    with hosting(tmp_path / "store") as host:
        with host.client() as client:
            for image in crowd:
                assert client.push("app", "1", image).status == 201
        expected = {"If-Match": f'"{crowd[-1].root.digest}"'}
        got: list[int] = []
        barrier = threading.Barrier(7)

        def move(image: images.Image) -> None:
            barrier.wait()
            headers = {"Content-Type": image.root.media_type, **expected}
            got.append(host.ask("PUT", "/v2/app/manifests/1", image.raw, headers).status)

        threads = [threading.Thread(target=move, args=(image,)) for image in crowd[:-1]]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(got) == [201] + [412] * 6


def test_one_blob_by_many(tmp_path: Path) -> None:
    """Uploads of the same content get in nobody's way, and pulls of it meanwhile are whole or not there."""
    blob = images.layer("same", 1_500_000)
    target = f"/v2/app/blobs/{blob.descriptor.digest}"
    with hosting(tmp_path / "store") as host:
        got: list[int] = []
        pulled: list[bool] = []
        done = threading.Event()

        def upload() -> None:
            with host.client() as client:
                got.append(client.upload("app", blob.raw).status)

        def pull() -> None:
            while not done.is_set():
                answer = host.ask("GET", target)
                pulled.append(answer.status == 404 or (answer.status == 200 and answer.body == blob.raw))

        puller = threading.Thread(target=pull)
        puller.start()
        threads = [threading.Thread(target=upload) for _ in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        time.sleep(0.1)
        done.set()
        puller.join()
        assert got == [201] * 16
        assert all(pulled)
        assert host.ask("GET", target).body == blob.raw
    assert len(list((tmp_path / "store/blobs/sha256").iterdir())) == 1
    assert list((tmp_path / "store/.bundler/tmp").iterdir()) == []
