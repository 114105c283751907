"""SIGKILL of the server, at random and at chosen calls, while clients push: what was acknowledged is there, and whole."""

from __future__ import annotations

import http.client
import random
import threading
import time
from collections.abc import Collection, Mapping
from pathlib import Path

import pytest

from bundler.store import Store
from tests import images
from tests.hostile.registry.host import Host, hosting
from tests.store.invariants import assert_sound

CALLS = ["open", "write", "fsync", "rename"]
BASE = images.layer("base", 40_000)
SECONDS = 6.0
BROKEN = (OSError, http.client.HTTPException)


def numbered(number: int) -> images.Image:
    """One of as many images as there are numbers, all with one base."""
    return images.image(BASE, images.layer(f"n{number}", 3000))


def assert_whole(folder: Path, *, named: Mapping[str, Collection[str]]) -> None:
    """Every name stands for one of the digests that it may stand for, and the store's own check agrees."""
    found = assert_sound(folder)
    for name, digests in named.items():
        assert found.get(name, "") in digests, (name, found.get(name), digests)
    assert Store.open(folder).check().sound


@pytest.mark.slow
@pytest.mark.parametrize("name", CALLS)
def test_at_each_call_of_a_push(tmp_path: Path, name: str) -> None:
    """The tag is moved from one image to the next; a kill at the k-th call leaves it at the old or the new."""
    folder = tmp_path / "store"
    was = numbered(0)
    killed = 0
    k = 1
    until = time.monotonic() + SECONDS / 3
    while time.monotonic() < until:
        with hosting(folder, faults={name: None}, killed=True) as host, host.client() as client:
            assert client.push("app", "1", was).status == 201
            becomes = numbered(k)
            host.arm(name, k)
            try:
                answer = client.push("app", "1", becomes)
                assert answer.status == 201
                acknowledged = True
            except BROKEN:
                acknowledged = False
                killed += 1
            host.disarm()
            if not acknowledged:
                host.process.wait(10)
        may = {becomes.root.digest} if acknowledged else {was.root.digest, becomes.root.digest}
        assert_whole(folder, named={"app:1": may})
        if acknowledged:
            k = 0
        was = becomes
        k += 1 if name == "rename" else 3
    assert killed >= 1
    with hosting(folder) as host, host.client() as client:
        assert client.push("app", "1", was).status == 201
        client.assert_holds("app", "1", was)
    Store.open(folder).gc()
    assert list((folder / ".bundler/tmp").iterdir()) == []


@pytest.mark.slow
def test_at_any_moment(tmp_path: Path) -> None:
    """Three clients push in loops, one deletes; the server is killed and started again and again."""
    folder = tmp_path / "store"
    moments = random.Random(7)
    acknowledged: dict[str, images.Image] = {}
    under_way: dict[str, images.Image] = {}
    counter = iter(range(1, 1_000_000))
    lock = threading.Lock()
    kills = 0

    def pushing(host: Host, repository: str, stop: threading.Event) -> None:
        with host.client(seconds=10) as client:
            while not stop.is_set():
                with lock:
                    image = numbered(next(counter))
                    tag = f"t{moments.randrange(3)}"
                    under_way[f"{repository}:{tag}"] = image
                try:
                    if client.push(repository, tag, image).status != 201:
                        return
                except BROKEN:
                    return
                with lock:
                    acknowledged[f"{repository}:{tag}"] = image

    until = time.monotonic() + SECONDS
    while time.monotonic() < until:
        stop = threading.Event()
        with hosting(folder, killed=True) as host:
            threads = [threading.Thread(target=pushing, args=(host, f"r{n}", stop)) for n in range(3)]
            for thread in threads:
                thread.start()
            time.sleep(moments.uniform(0.05, 0.6))
            host.kill()
            stop.set()
            for thread in threads:
                thread.join()
        kills += 1
        named = {name: {acknowledged[name].root.digest, under_way[name].root.digest} for name in acknowledged}
        assert_whole(folder, named=named)
        found = assert_sound(folder)
        for name, digest in found.items():  # whichever of the two it is stays from now on
            for image in (acknowledged.get(name), under_way.get(name)):
                if image is not None and image.root.digest == digest:
                    acknowledged[name] = under_way[name] = image
    assert kills >= 3
    assert len(acknowledged) >= 3
    with hosting(folder) as host, host.client() as client:
        for name, image in acknowledged.items():
            repository, _, tag = name.partition(":")
            client.assert_holds(repository, tag, image)
        last = numbered(0)
        assert client.push("app", "1", last).status == 201
        client.assert_holds("app", "1", last)
        gone = client.ask("POST", "/admin/gc")
        assert gone.status == 200
        assert list((folder / ".bundler/tmp").iterdir()) == []
        for name, image in acknowledged.items():
            repository, _, tag = name.partition(":")
            client.assert_holds(repository, tag, image)
    assert Store.open(folder).check().sound
