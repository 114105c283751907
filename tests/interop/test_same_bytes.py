"""Two builds from one lock, on two stores, are the same bytes, signatures included."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from tests.peers import bundler, needs, run

pytestmark = [needs("skopeo", "docker-registry"), pytest.mark.slow]


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_two_stores_give_one_bundle(built: Any) -> None:
    again = built.build("again", "--store", "other-store")
    assert contents(again).keys() == contents(built.bundle).keys()
    differ = [name for name, raw in contents(again).items() if raw != (built.bundle / name).read_bytes()]
    assert differ == []
    run("diff", "-r", built.bundle, again)


def test_without_a_store_too(built: Any) -> None:
    again = built.build("streamed", "--no-store")
    assert [name for name, raw in contents(again).items() if raw != (built.bundle / name).read_bytes()] == []


def test_time_place_and_umask_leave_no_trace(built: Any) -> None:
    before = os.umask(0o077)
    try:
        bundler(
            "pack", "bundle.yaml", "-o", "elsewhere", "--store", "store", "--key", "release.key", "--volume-size", "9MiB",
            "--jobs", "1", cwd=built.work, env={**built.env, "TZ": "Pacific/Auckland", "LC_ALL": "C", "USER": "other"},
        )  # fmt: skip
    finally:
        os.umask(before)
    assert contents(built.work / "elsewhere") == contents(built.bundle)


def test_the_lock_stays_as_it_was(built: Any) -> None:
    lock = built.work / "bundle.lock.json"
    before = lock.read_bytes()
    bundler("lock", "bundle.yaml", cwd=built.work, env=built.env)
    assert lock.read_bytes() == before
    bundler("lock", "bundle.yaml", "--check", cwd=built.work, env=built.env)
