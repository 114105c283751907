"""Whatever is done to a store in whatever order, it keeps I2, I3 and I4 (Hypothesis, stateful)."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from bundler.content import Buffer, verified
from bundler.errors import DigestError, NetworkError, StoreError
from bundler.oci.digest import hex_of
from bundler.store import Store
from bundler.store import incoming as incoming_module
from bundler.store import store as store_module
from tests.images import Image, Part, family, parts_of
from tests.store.invariants import assert_sound

IMAGES: dict[str, Image] = family(size=400)
PARTS = parts_of(IMAGES)
NAMES = st.sampled_from(sorted(IMAGES))


class StoreMachine(RuleBasedStateMachine):
    """A store, and what should be in it: ``named`` is what was tagged, ``damaged`` what the test has spoilt since."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="bundler-store-"))
        self.patch = pytest.MonkeyPatch()
        self.patch.setattr(store_module, "PARTIAL_FROM", 300)  # so that small blobs are resumed
        self.patch.setattr(incoming_module, "PARTIAL_FROM", 100)
        self.named: dict[str, str] = {}
        self.damaged: set[str] = set()

    def teardown(self) -> None:
        self.patch.undo()
        shutil.rmtree(self.folder)

    @initialize()
    def begin(self) -> None:
        self.reopen()

    @rule()
    def reopen(self) -> None:
        """As another process would."""
        self.store = Store.open(self.folder, create=True)

    @rule(wanted=st.sampled_from(PARTS))
    def push(self, wanted: Part) -> None:
        if not self.store.has(wanted.descriptor):
            self.store.push(wanted.descriptor, verified(wanted.descriptor, [wanted.raw]))
        self.damaged.discard(wanted.descriptor.digest)
        assert self.store.has(wanted.descriptor)

    @rule(wanted=st.sampled_from(PARTS), cut=st.floats(0, 1))
    def break_off(self, wanted: Part, cut: float) -> None:
        def content() -> Iterator[Buffer]:
            yield wanted.raw[: int(len(wanted.raw) * cut)]
            raise NetworkError("reset")

        with suppress(NetworkError):
            self.store.push(wanted.descriptor, content())

    @rule(wanted=st.sampled_from(PARTS), cut=st.floats(0, 1), spoil=st.booleans())
    def resume(self, wanted: Part, cut: float, spoil: bool) -> None:
        length = int(self.store.held(wanted.descriptor) * cut)
        if not length:
            return
        rest = bytearray(wanted.raw[length:])
        rest[-1] ^= spoil
        head = self.store.head(wanted.descriptor, length)
        try:
            self.store.append(wanted.descriptor, length, verified(wanted.descriptor, [rest], head=head))
        except DigestError:
            assert spoil
            assert self.store.held(wanted.descriptor) == 0
        else:
            assert not spoil
            self.damaged.discard(wanted.descriptor.digest)

    @rule(wanted=st.sampled_from(PARTS))
    def push_wrong(self, wanted: Part) -> None:
        with suppress(DigestError):
            self.store.push(wanted.descriptor, verified(wanted.descriptor, [wanted.raw[::-1]]))

    @rule(name=NAMES)
    def pull(self, name: str) -> None:
        for wanted in IMAGES[name].parts:
            self.push(wanted)
        self.tag(name)
        assert self.named[name] == IMAGES[name].root.digest

    @rule(name=NAMES)
    def tag(self, name: str) -> None:
        complete = all(self.store.has(wanted.descriptor) for wanted in IMAGES[name].parts)
        try:
            self.store.tag(name, IMAGES[name].root)
        except StoreError:
            assert not complete
        else:
            assert complete or IMAGES[name].root.media_type.endswith(("index.v1+json", "list.v2+json"))
            self.named[name] = IMAGES[name].root.digest

    @precondition(lambda self: self.named)
    @rule(data=st.data())
    def remove(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(sorted(self.named)))
        self.store.remove([name])
        del self.named[name]

    @rule(dry_run=st.booleans(), hours=st.sampled_from([-1, 24]))
    def gc(self, dry_run: bool, hours: int) -> None:
        with suppress(StoreError):  # something is lacking
            self.store.gc(dry_run=dry_run, grace=timedelta(hours=hours))

    @rule(wanted=st.sampled_from(PARTS), zero=st.booleans())
    def corrupt(self, wanted: Part, zero: bool) -> None:
        path = self.folder / "blobs" / "sha256" / hex_of(wanted.descriptor.digest)
        if path.exists() and wanted.raw:
            path.write_bytes(bytes(len(wanted.raw)) if zero else wanted.raw[:-1])
            os.utime(path, (0, 0))  # not within the same tick of the clock as the write that was verified
            self.damaged.add(wanted.descriptor.digest)

    @rule()
    def repair(self) -> None:
        report = self.store.check(repair=True)
        assert {bad.digest for bad in report.bad} <= self.damaged
        self.store = Store.open(self.folder)

    @rule()
    def mend(self) -> None:
        """What an operator does after damage: check, repair, pull again."""
        self.repair()
        for name in list(self.named):
            self.pull(name)
        self.damaged &= {digest for digest, _ in self.store.blobs()}
        assert not self.damaged
        assert self.store.check().sound

    @invariant()
    def keeps_its_promises(self) -> None:
        if (self.folder / "index.json").exists():
            assert assert_sound(self.folder, damaged=frozenset(self.damaged)) == self.named


TestStoreMachine = StoreMachine.TestCase
TestStoreMachine.settings = settings(max_examples=30, stateful_step_count=25, deadline=None)
