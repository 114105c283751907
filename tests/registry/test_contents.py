"""What the registry holds: names, contents and referrers of several layers as one."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

from bundler.errors import DiskError
from bundler.oci import mediatype
from bundler.oci.descriptor import Descriptor
from bundler.oci.digest import Digest, digest_of
from bundler.registry import contents as module
from bundler.registry.arrivals import Arrivals
from bundler.registry.contents import Contents
from bundler.registry.layers import BLOB, Origin
from bundler.registry.names import Named, Names, names_of, referrers_tag
from tests.images import Image, Part, artifact, as_json, image, index, layer, manifest_document, part

APP = image(layer("app", 300))
OTHER = image(layer("other", 300))
MULTI = index(APP, image(layer("arm", 200), platform="linux/arm64"))


class Shelf:
    """A layer in memory; ``gone`` is set when its medium was taken away."""

    def __init__(self, label: str, **named: Image) -> None:
        self.origin = Origin(label)
        self.damaged = 0
        self.gone = False
        self.raw: dict[Digest, bytes] = {}
        self.reads = 0
        self._named: dict[str, Named] = {}
        self._names = names_of([])
        for name, held in named.items():
            self.put(name.replace("__", "/").replace("_", ":"), held)

    def put(self, name: str, held: Image, *left_out: Digest) -> None:
        self.raw |= {each.descriptor.digest: each.raw for each in held.parts}
        self._named[name] = Named(name, held.root, frozenset(left_out))
        self._names = names_of(self._named.values())

    def take(self, name: str) -> None:
        del self._named[name]
        self._names = names_of(self._named.values())

    def names(self) -> Names:
        return self._names

    def size_of(self, digest: Digest) -> int | None:
        return len(self.raw[digest]) if digest in self.raw else None

    def file(self, digest: Digest) -> Path | None:
        return None

    def fetch(self, want: Descriptor) -> Generator[bytes, None, None]:
        self.reads += 1
        if self.gone:
            raise DiskError("read /media/usb: No such device")
        yield self.raw[want.digest]

    def served(self, digest: Digest, offset: int = 0) -> Generator[bytes, None, None]:
        yield self.raw[digest][offset:]


@pytest.fixture
def arrivals() -> Iterator[Arrivals]:
    arrivals = Arrivals(None)
    yield arrivals
    arrivals.close()


def test_layers_as_one(arrivals: Arrivals) -> None:
    contents = Contents([Shelf("first", app_1=APP), Shelf("second", app_1=OTHER, app_2=OTHER, b_1=APP)], arrivals)
    assert contents.repositories() == ["app", "b"]
    assert contents.tags("app") == ["1", "2"]
    assert contents.tags("nobody") is None
    for reference, held, label in (("1", APP, "first"), ("2", OTHER, "second"), (APP.root.digest, APP, "first")):
        found = contents.manifest("app", reference)
        assert found is not None
        assert (found.root.digest, found.raw, found.origin.label) == (held.root.digest, held.raw, label)
    assert contents.manifest("app", "3") is None
    assert contents.manifest("nobody", "1") is None
    assert contents.manifest("b", OTHER.root.digest) is None


def test_what_the_first_has_not_is_looked_for_in_the_next(arrivals: Arrivals) -> None:
    first, second = Shelf("first", app_1=APP), Shelf("second", base_1=APP)
    blob = APP.blobs[0].descriptor.digest
    del first.raw[blob]
    found = Contents([first, second], arrivals).blob("app", blob)
    assert found is not None
    assert (found.size, found.layer) == (len(APP.blobs[0].raw), second)
    assert Contents([first], arrivals).blob("app", blob) is None


def test_a_digest_is_of_its_repository(arrivals: Arrivals) -> None:
    contents = Contents([Shelf("store", a_1=APP, b_1=OTHER)], arrivals)
    for each in APP.parts:
        assert contents.find("a", each.descriptor.digest) is not None
        assert contents.find("b", each.descriptor.digest) is None
        assert contents.blob("b", each.descriptor.digest) is None
        assert list(contents.holding(each.descriptor.digest)) == ["a"]
    config = APP.blobs[-1]
    assert contents.read("a", config.descriptor, cap=10_000) == config.raw
    assert contents.read("a", config.descriptor, cap=10) is None
    assert contents.read("b", config.descriptor, cap=10_000) is None
    assert list(contents.holding(digest_of(b"absent"))) == []


def test_what_arrived(arrivals: Arrivals) -> None:
    shelf = Shelf("store")
    contents = Contents([shelf], arrivals)
    loose = part(b"loose", BLOB)
    shelf.raw[loose.descriptor.digest] = loose.raw
    assert contents.blob("app", loose.descriptor.digest) is None
    arrivals.note("app", [loose.descriptor])
    assert contents.blob("app", loose.descriptor.digest) is not None
    assert contents.manifest("app", loose.descriptor.digest) is None
    assert list(contents.holding(loose.descriptor.digest)) == ["app"]
    assert contents.repositories() == []
    shelf.raw.clear()  # collected since
    assert contents.blob("app", loose.descriptor.digest) is None
    assert list(contents.holding(loose.descriptor.digest)) == []


def test_a_damaged_manifest_is_read_elsewhere(arrivals: Arrivals) -> None:
    first, second = Shelf("first", app_1=APP), Shelf("second", app_1=APP)
    first.raw[APP.root.digest] = b"x" * len(APP.raw)
    found = Contents([first, second], arrivals).manifest("app", "1")
    assert found is not None
    assert (found.raw, found.origin.label) == (APP.raw, "second")
    assert Contents([first], arrivals).manifest("app", "1") is None


def test_a_medium_that_is_gone(arrivals: Arrivals) -> None:
    """Another layer may have it; else it is no use to say that it isn't there."""
    first, second = Shelf("first", app_1=APP), Shelf("second", app_1=APP)
    first.gone = True
    found = Contents([first, second], arrivals).manifest("app", "1")
    assert found is not None
    assert found.origin.label == "second"
    with pytest.raises(DiskError):
        Contents([first], arrivals).manifest("app", "1")


def test_untagged(arrivals: Arrivals) -> None:
    shelf = Shelf("store", app_1=APP)
    for held in (APP, OTHER):
        shelf.put(f"app@{held.root.digest}", held)
    contents = Contents([shelf], arrivals)
    assert [root.digest for root in contents.untagged("app")] == [OTHER.root.digest]
    assert contents.untagged("nobody") == []
    found = contents.manifest("app", OTHER.root.digest)
    assert found is not None
    assert found.raw == OTHER.raw


def test_the_image_that_is_being_pulled_is_looked_at_first(arrivals: Arrivals) -> None:
    shelf = Shelf("store")
    held = [image(layer(f"{n}", 50)) for n in range(5)]
    for n, each in enumerate(held):
        shelf.put(f"app:{n}", each)
    contents = Contents([shelf], arrivals)
    assert contents.find("app", held[3].blobs[0].descriptor.digest) is not None
    named, _ = next(contents.reaches("app"))
    assert named.name == "app:3"


class TestReferrers:
    SBOM = artifact(b"sbom", subject=APP)
    NOTE = artifact(b"note", subject=APP, artifact_type="application/vnd.example.note", annotations={"a": "b"})

    def digests(self, contents: Contents, subject: Digest = APP.root.digest) -> list[Digest]:
        return [each.digest for each in contents.referrers("app", subject)]

    def test_of_all_layers(self, arrivals: Arrivals) -> None:
        first, second = Shelf("first"), Shelf("second")
        first.put(f"app@{self.SBOM.root.digest}", self.SBOM)
        second.put("app:note", self.NOTE)
        second.put("other:note", artifact(b"elsewhere", subject=APP))
        contents = Contents([first, second], arrivals)
        found = contents.referrers("app", APP.root.digest)
        assert [each.digest for each in found] == sorted([self.SBOM.root.digest, self.NOTE.root.digest])
        described = {each.digest: (each.artifact_type, each.annotations) for each in found}
        assert described[self.NOTE.root.digest] == ("application/vnd.example.note", {"a": "b"})
        assert contents.referrers("app", OTHER.root.digest) == []
        assert contents.referrers("nobody", APP.root.digest) == []

    def test_remembered_until_something_changes(self, arrivals: Arrivals) -> None:
        shelf = Shelf("store")
        shelf.put("app:sbom", self.SBOM)
        contents = Contents([shelf], arrivals)
        assert self.digests(contents) == [self.SBOM.root.digest]
        reads = shelf.reads
        assert self.digests(contents) == [self.SBOM.root.digest]
        assert shelf.reads == reads
        shelf.put("app:note", self.NOTE)
        assert len(self.digests(contents)) == 2
        shelf.take("app:sbom")
        assert self.digests(contents) == [self.NOTE.root.digest]
        contents.changed()
        assert self.digests(contents) == [self.NOTE.root.digest]

    def test_only_so_many_are_remembered(self, arrivals: Arrivals, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(module, "MOST_REMEMBERED", 2)
        contents = Contents([Shelf("store", app_1=self.SBOM)], arrivals)
        for n in range(5):
            contents.referrers(f"r{n}", APP.root.digest)
        assert len(contents._referring) <= 2
        assert self.digests(contents) == [self.SBOM.root.digest]

    def test_those_under_the_referrers_tag(self, arrivals: Arrivals) -> None:
        unlinked = artifact(b"about nothing")
        listing = index(unlinked, OTHER)
        shelf = Shelf("store")
        shelf.put(f"app:{referrers_tag(APP.root.digest)}", listing, OTHER.root.digest)
        assert self.digests(Contents([shelf], arrivals)) == [unlinked.root.digest]

    @pytest.mark.parametrize(
        "one",
        [
            pytest.param(part(b"{", mediatype.OCI_INDEX), id="no-json"),
            pytest.param(part(b'{"schemaVersion":2}', mediatype.OCI_INDEX), id="no-index"),
            pytest.param(part(APP.raw, mediatype.OCI_MANIFEST), id="manifest"),
            pytest.param(part(b"text", "text/plain"), id="text"),
        ],
    )
    def test_a_referrers_tag_that_is_no_index(self, arrivals: Arrivals, one: Part) -> None:
        """A bundle or a store that was pulled into may hold anything."""
        shelf = Shelf("store", app_sbom=self.SBOM)
        shelf.put(f"app:{referrers_tag(APP.root.digest)}", Image(one.descriptor, (one,)))
        assert self.digests(Contents([shelf], arrivals)) == [self.SBOM.root.digest]

    def test_of_a_sha512_subject(self, arrivals: Arrivals) -> None:
        subject = part(APP.raw, mediatype.OCI_MANIFEST, algorithm="sha512").descriptor
        document = manifest_document(mediatype.OCI_MANIFEST, part(b"{}", mediatype.OCI_EMPTY), [])
        root = part(as_json({**document, "subject": subject.document()}), mediatype.OCI_MANIFEST)
        shelf = Shelf("store", app_1=Image(root.descriptor, (root,)))
        tag = referrers_tag(subject.digest)
        assert len(tag) == 128
        shelf.put(f"app:{tag}", index(OTHER))
        found = self.digests(Contents([shelf], arrivals), subject.digest)
        assert found == sorted([root.descriptor.digest, OTHER.root.digest])


def test_a_child_that_was_left_out(arrivals: Arrivals) -> None:
    """It lies there for somebody else."""
    arm = MULTI.manifests[1]
    shelf = Shelf("store", secret_1=MULTI)
    shelf.put("app:1", MULTI, arm.descriptor.digest)
    contents = Contents([shelf], arrivals)
    assert contents.manifest("secret", arm.descriptor.digest) is not None
    assert contents.manifest("app", arm.descriptor.digest) is None
