"""SIGKILL at random moments of a pull, again and again: the store is sound each time, and the last run completes it."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

from tests.store.invariants import assert_sound

PULL = """
import sys
from concurrent.futures import ThreadPoolExecutor
from bundler.content import CHUNK, Job, copy_all
from bundler.store import Store
from tests.images import family, image, layer, parts_of
from tests.memory import Memory

images = {**family(size=2000), **{f"big:{n}": image(layer(f"big {n}", 3 * CHUNK)) for n in range(3)}}
memory = Memory(strict=False, chunk=1 << 16)
parts = parts_of(images)
for part in parts:
    memory.put(part.raw, part.descriptor.media_type)
print("begin", flush=True)
with Store.open(sys.argv[1], create=True) as store, ThreadPoolExecutor(3) as executor:
    with store.shared("pull"), store.lease(part.descriptor.digest for part in parts):
        for manifests in (False, True):
            jobs = [Job(memory, store, p.descriptor) for p in parts if p.descriptor.is_manifest is manifests]
            copy_all(jobs, executor=executor)
            store.flush()
        for name, each in images.items():
            store.tag(name, each.root)
    print("done", len(images), flush=True)
"""
SECONDS = 4.0
ROOT = Path(__file__).parents[2]


def started(folder: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen([sys.executable, "-c", PULL, folder], stdout=subprocess.PIPE, text=True, cwd=ROOT)
    assert process.stdout is not None
    assert process.stdout.readline() == "begin\n"
    return process


def test_killed_pulls(tmp_path: Path) -> None:
    folder = tmp_path / "store"
    moments = random.Random(20)
    until = time.monotonic() + SECONDS
    tries = killed = 0
    named: dict[str, str] = {}
    while time.monotonic() < until:
        tries += 1
        process = started(folder)
        time.sleep(moments.uniform(0, 0.12))
        process.send_signal(signal.SIGKILL)
        killed += process.wait() == -signal.SIGKILL
        process.communicate()
        if not folder.exists():
            continue
        now = assert_sound(folder)
        assert named.items() <= now.items()  # I4
        named = now
        if len(named) == 10:
            folder, named = tmp_path / f"store-{tries}", {}
    assert killed >= 3
    with started(folder) as last:
        assert last.stdout is not None
        assert last.stdout.read() == "done 10\n"  # by the same buffer as "begin"
    assert len(assert_sound(folder)) == 10
    assert list((folder / ".bundler" / "partial").iterdir()) == []
    assert list((folder / ".bundler" / "leases").iterdir()) == []
