"""Simple signatures beside an image: locked, made into their artifact again, carried, and read from a store afterwards."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from bundler.content import Source, read
from bundler.errors import DigestError, NotFoundError
from bundler.oci.descriptor import Descriptor
from bundler.oci.digest import digest_of
from bundler.oci.simple_signatures import EMPTY, EMPTY_CONFIG
from bundler.pull.attachments import Subject, find_attachments
from bundler.pull.beside import with_signatures
from bundler.pull.carry import carry, survey
from bundler.pull.nearest import Nearest
from bundler.selection.locked import LockedImage
from bundler.selection.platforms import Shape
from tests.attachments import Signing
from tests.images import Image, image, index, layer, load
from tests.memory import Memory

WEB, ARM = image(layer("web", 50)), image(layer("arm", 50), platform="linux/arm64")
BOTH = index(WEB, ARM)
ONE, TWO, THREE = b"signature one", b"signature two", b"signature three"


def site() -> Signing:
    memory = Signing({WEB.root.digest: [ONE, TWO], BOTH.root.digest: [THREE]})
    load(memory, {"1": BOTH})
    return memory


def locked(memory: Signing, held: Image = BOTH) -> LockedImage:
    children = (WEB.root, ARM.root) if held is BOTH else ()
    subjects = [Subject(one) for one in (held.root, *children)]
    found = find_attachments(memory, subjects, (), "all", signed=memory)
    shape: Shape = "keep" if held is BOTH else "manifest"
    return LockedImage("docker://reg.io/app:1", "app:1", held.root, held.root, children, shape, found.attachments)


def carried(source: Source, lock: LockedImage, target: Memory) -> None:
    with ThreadPoolExecutor(2) as executor:
        surveyed = survey([lock], lambda _: source, executor=executor)
        carry(surveyed, target, executor=executor)


def test_they_arrive_as_artifacts_about_what_was_signed() -> None:
    memory, store = site(), Memory()
    lock = locked(memory)
    carried(memory, lock, store)
    assert {digest_of(raw) for raw in (ONE, TWO, THREE)} | {EMPTY_CONFIG.digest} <= store.contents.keys()
    assert {one.digest for one in store.referrers(WEB.root.digest)} == {
        one.root.digest for one in lock.attachments if one.subject == WEB.root.digest
    }
    assert len(store.referrers(BOTH.root.digest)) == 1


def test_from_a_store_nobody_is_asked_again() -> None:
    memory, store, far = site(), Memory(), Memory()
    lock = locked(memory)
    carried(memory, lock, store)
    carried(store, lock, far)
    assert far.contents == store.contents


def test_a_pull_that_goes_on_asks_for_what_the_store_lacks() -> None:
    memory, store = site(), Memory()
    lock = locked(memory)
    carried(memory, lock, store)
    del store.contents[digest_of(TWO)]
    gone = Signing({WEB.root.digest: [TWO]})
    carried(Nearest(store, store.has, lambda: gone), lock, store)
    assert store.contents[digest_of(TWO)] == TWO


def test_what_was_signed_since_changes_nothing() -> None:
    lock = locked(site())
    memory, store = site(), Memory()
    memory.beside[WEB.root.digest] = [b"a later one", TWO, b"another", ONE]
    carried(memory, lock, store)
    assert digest_of(b"a later one") not in store.contents
    assert {one.root.digest for one in lock.attachments} <= store.contents.keys()


def test_a_signature_that_was_withdrawn_is_named() -> None:
    lock = locked(site())
    memory = site()
    memory.beside[WEB.root.digest] = [ONE]
    with pytest.raises(NotFoundError, match=digest_of(TWO)) as caught:
        carried(memory, lock, Memory())
    assert "lock --update" in caught.value.hint


def test_an_image_without_any_is_read_as_it_was() -> None:
    memory = Signing({})
    load(memory, {"1": WEB})
    assert with_signatures(memory, locked(memory, WEB)) is memory


def test_a_lock_whose_artifact_is_of_other_signatures() -> None:
    memory = site()
    lock = locked(memory)
    first, *rest = lock.attachments
    bad = replace(first, layers=(replace(first.layers[0], digest=digest_of(b"other")),))
    with pytest.raises(DigestError, match="the lock's signatures make"):
        with_signatures(memory, replace(lock, attachments=(bad, *rest)))


def test_the_rest_is_the_source_s_own() -> None:
    memory = site()
    source = with_signatures(memory, locked(memory))
    assert source.resolve("1") == BOTH.root
    assert read(source, WEB.root) == WEB.raw
    assert read(source, EMPTY_CONFIG) == EMPTY
    with pytest.raises(NotFoundError):
        read(source, Descriptor("x/y", digest_of(b"nowhere"), 7))
