"""The fake passes the suites that it helps to run, and its faults are what its manual says."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from bundler.content import Source, read
from bundler.errors import DigestError, NetworkError, PushError
from tests.images import Image, family, image, layer, load
from tests.memory import Fault, Memory, Plain, Resumable
from tests.suites import OpenSource, SourceSuite, TargetSuite


class TestMemoryIsASource(SourceSuite):
    @pytest.fixture
    def open_source(self) -> OpenSource:
        def opened(images: Mapping[str, Image]) -> Source:
            memory = Memory(chunk=3_000)
            load(memory, images)
            return memory

        return opened


class TestMemoryIsATarget(TargetSuite):
    @pytest.fixture(params=[Memory, Resumable, lambda: Plain(Memory())], ids=["memory", "resumable", "plain"])
    def target(self, request: pytest.FixtureRequest) -> Memory:
        made: Memory = request.param()
        return made


def test_a_family_is_deterministic_and_shares_its_bases() -> None:
    one, two, other = family(), family(), family("other ")
    assert {name: held.root for name, held in one.items()} == {name: held.root for name, held in two.items()}
    assert one["web"].root != other["web"].root
    base = one["base"].blobs[0].descriptor.digest
    assert all(base in one[name].digests() for name in ("web", "docker", "multi", "zstd"))


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        pytest.param(Fault("fetch", flip=3), DigestError, id="flip"),
        pytest.param(Fault("fetch", cut=1), DigestError, id="cut"),
        pytest.param(Fault("fetch", extra=b"x"), DigestError, id="extra"),
        pytest.param(Fault("fetch", error=NetworkError("reset"), after=10), NetworkError, id="break"),
        pytest.param(Fault("fetch", error=NetworkError("late"), after=1 << 30), NetworkError, id="break-at-the-end"),
    ],
)
def test_faults_of_fetch(fault: Fault, error: type[Exception]) -> None:
    memory = Memory()
    wanted = memory.put(b"some honest bytes")
    fault.times = 1
    memory.faults.append(fault)
    with pytest.raises(error):
        read(memory, wanted)
    assert read(memory, wanted) == b"some honest bytes"


def test_other_faults() -> None:
    host: dict[str, Memory] = {}
    near, far = Memory("near", host), Memory("far", host)
    wanted = near.put(b"blob")
    far.faults = [Fault("mount", decline=True, times=1), Fault("has", wanted.digest, lie=True, times=1)]
    far.faults.append(Fault("push", error=PushError("full"), times=1))
    assert not far.mount(wanted, "near")
    assert far.has(wanted)
    assert not far.has(wanted)
    with pytest.raises(PushError):
        far.push(wanted, iter([b"blob"]))
    assert far.mount(wanted, "near")
    assert far.count("mount") == 2
    assert far.count("mount", "sha256:other") == 0


def test_a_strict_memory_wants_children_first() -> None:
    held = image(layer("child", 100))
    with pytest.raises(PushError, match="MANIFEST_BLOB_UNKNOWN"):
        Memory().push(held.root, iter([held.raw]))
    with pytest.raises(PushError, match="MANIFEST_UNKNOWN"):
        Memory().tag("app", held.root)
    Memory(strict=False).push(held.root, iter([held.raw]))
