"""New, changed and gone, and names that stand for several contents."""

from __future__ import annotations

from bundler.bundle.statement import CarriedImage
from bundler.oci import mediatype
from bundler.oci.descriptor import Descriptor
from bundler.oci.digest import digest_of
from bundler.report import changes, digests_by_name


def carried(name: str, target: str, content: bytes) -> CarriedImage:
    return CarriedImage(name, target, Descriptor(mediatype.OCI_MANIFEST, digest_of(content), len(content)))


def test_a_name_that_stands_for_several_contents_is_told_apart() -> None:
    images = [carried("a:1", "a-amd64:1", b"amd"), carried("a:1", "a-arm64:1", b"arm"), carried("b:1", "b:1", b"b")]
    assert digests_by_name(images) == {
        "a:1 as a-amd64:1": digest_of(b"amd"),
        "a:1 as a-arm64:1": digest_of(b"arm"),
        "b:1": digest_of(b"b"),
    }
    swapped = [carried("a:1", "a-amd64:1", b"amd"), carried("a:1", "a-arm64:1", b"other"), images[2]]
    (change,) = changes(digests_by_name(images), digests_by_name(swapped))
    assert (change.kind, change.name) == ("changed", "a:1 as a-arm64:1")


def test_equal_sets_have_no_changes() -> None:
    assert changes({"a": "1"}, {"a": "1"}) == []
    assert changes({}, {}) == []
