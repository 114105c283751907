"""New, changed and gone; names that stand for several contents, and images that change without another digest."""

from __future__ import annotations

from dataclasses import replace

from bundler.bundle.statement import Attachment, CarriedImage
from bundler.oci import mediatype
from bundler.oci.descriptor import Descriptor
from bundler.oci.digest import digest_of
from bundler.report import Change, changed_images, changes


def root(content: bytes) -> Descriptor:
    return Descriptor(mediatype.OCI_MANIFEST, digest_of(content), len(content))


def carried(name: str, target: str, content: bytes) -> CarriedImage:
    return CarriedImage(name, target, root(content))


def test_a_name_that_stands_for_several_contents_is_told_apart() -> None:
    images = [carried("a:1", "a-amd64:1", b"amd"), carried("a:1", "a-arm64:1", b"arm"), carried("b:1", "b:1", b"b")]
    swapped = [images[0], carried("a:1", "a-arm64:1", b"other"), images[2]]
    assert changed_images(images, swapped) == [Change("a:1 as a-arm64:1", digest_of(b"arm"), digest_of(b"other"))]
    assert changed_images(images, images[:1]) == [
        Change("a:1 as a-arm64:1", digest_of(b"arm"), ""),
        Change("b:1", digest_of(b"b"), ""),
    ]


def test_an_image_that_goes_elsewhere_is_gone_and_new() -> None:
    """Its digest and full name are the same; what it is called at the far side is not."""
    assert changed_images([carried("a:1", "a:1", b"a")], [carried("a:1", "prod/db:9", b"a")]) == [
        Change("a:1 as a:1", digest_of(b"a"), ""),
        Change("a:1 as prod/db:9", "", digest_of(b"a")),
    ]


def test_other_parts_of_one_index() -> None:
    before = replace(carried("a:1", "a:1", b"index"), platforms=("linux/amd64",), children=(digest_of(b"amd"),))
    after = replace(before, platforms=("linux/amd64", "linux/arm64"), children=None)
    (change,) = changed_images([before], [after])
    assert (change.kind, change.was, change.now) == ("changed", digest_of(b"index"), digest_of(b"index"))
    assert change.document()["platforms"] == {"was": ["linux/amd64"], "now": ["linux/amd64", "linux/arm64"]}
    assert change.row()[-1] == "platforms"
    (change,) = changed_images([before], [replace(before, children=(digest_of(b"arm"),))])
    assert change.platforms == (("linux/amd64",), ("linux/amd64",))
    shuffled = replace(after, platforms=after.platforms[::-1])
    assert changed_images([after], [shuffled]) == []


def test_a_signature_that_is_gone() -> None:
    signature, sbom = (Attachment("", root(content)) for content in (b"signature", b"sbom"))
    signed = replace(carried("a:1", "a:1", b"a"), attachments=(signature,))
    (change,) = changed_images([signed], [replace(signed, attachments=(sbom,))])
    assert change.document()["attachments"] == {"new": [sbom.root.digest], "gone": [signature.root.digest]}
    assert (change.kind, change.row()[-1], change.platforms) == ("changed", "attachments", None)


def test_equal_sets_have_no_changes() -> None:
    assert changes({"a": "1"}, {"a": "1"}) == []
    assert changes({}, {}) == []
    assert changed_images([carried("a:1", "a:1", b"a")], [carried("a:1", "a:1", b"a")]) == []
