"""Closure: whatever an image needs and is nowhere is found, and nothing else is."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from bundler.bundle.closure import missing
from bundler.bundle.statement import Attachment, CarriedImage
from bundler.errors import ArchiveError, ProtocolError
from bundler.oci.descriptor import Descriptor
from bundler.oci.digest import Digest
from tests.bundle.making import statement_of
from tests.images import Image, artifact, image, index, layer, part, parts_of

BASE, WEB, ARM = layer("base", 500), layer("web", 400), layer("arm", 400)
AMD64 = image(BASE, WEB)
ARM64 = image(ARM, platform="linux/arm64")
BOTH = index(AMD64, ARM64)
SBOM = artifact(b"packages", subject=AMD64)
ALL = {part.descriptor.digest: part.raw for part in parts_of({"both": BOTH, "sbom": SBOM})}


def find(
    *images: CarriedImage, without: tuple[Digest, ...] = (), **more: Any
) -> list[tuple[str, Digest, Digest | None]]:
    held = {digest: raw for digest, raw in ALL.items() if digest not in without}
    sizes = {digest: len(raw) for digest, raw in held.items()} | more.pop("sizes", {})
    statement = statement_of(images, sizes, **more)
    found = list(missing(statement, sizes=sizes, read=lambda want: held[want.digest]))
    assert all(str(each).startswith(each.image) and each.want.digest in str(each) for each in found)
    return [(each.image, each.want.digest, each.parent) for each in found]


def carry(name: str, root: Image, **more: Any) -> CarriedImage:
    return CarriedImage(name, name, root.root, **more)


def test_whole_images_lack_nothing() -> None:
    attached = carry("both", BOTH, attachments=(Attachment("", SBOM.root),))
    assert find(attached, carry("amd64", AMD64)) == []


@pytest.mark.parametrize("gone", [BASE, WEB, ARM, *AMD64.blobs[2:]])
def test_a_missing_leaf_is_found_with_its_parent(gone: Any) -> None:
    digest = gone.descriptor.digest
    parent = ARM64 if gone is ARM else AMD64
    assert find(carry("both", BOTH), without=(digest,)) == [("both", digest, parent.root.digest)]


def test_each_image_is_told_of() -> None:
    digest = BASE.descriptor.digest
    found = find(carry("both", BOTH), carry("amd64", AMD64), carry("arm64", ARM64), without=(digest,))
    assert [name for name, _, _ in found] == ["both", "amd64"]


def test_a_missing_root_is_the_statements() -> None:
    assert find(carry("both", BOTH), without=(BOTH.root.digest,)) == [("both", BOTH.root.digest, None)]


def test_a_missing_child_is_not_looked_into() -> None:
    assert find(carry("both", BOTH), without=(ARM64.root.digest, ARM.descriptor.digest)) == [
        ("both", ARM64.root.digest, BOTH.root.digest)
    ]


def test_a_missing_attachment_is_found() -> None:
    attached = carry("amd64", AMD64, attachments=(Attachment("sha256-x.sbom", SBOM.root),))
    blob = SBOM.blobs[0].descriptor.digest
    assert find(attached, without=(blob,)) == [("amd64", blob, SBOM.root.digest)]


def test_of_a_sparse_index_only_the_chosen_are_needed() -> None:
    gone = (ARM64.root.digest, ARM.descriptor.digest)
    assert find(carry("both", BOTH, children=(AMD64.root.digest,)), without=gone) == []
    assert find(carry("both", BOTH, children=(ARM64.root.digest,)), without=gone) == [
        ("both", ARM64.root.digest, BOTH.root.digest)
    ]


def test_a_chosen_child_that_the_index_does_not_list_is_refused() -> None:
    with pytest.raises(ArchiveError, match="which its index does not"):
        find(carry("both", BOTH, children=(SBOM.root.digest,)))


def test_what_is_assumed_is_not_looked_into() -> None:
    gone = (ARM64.root.digest, ARM.descriptor.digest, BASE.descriptor.digest)
    assert find(carry("both", BOTH), without=gone, assumes=(ARM64.root.digest, BASE.descriptor.digest)) == []


def test_a_content_of_another_length_is_not_the_one() -> None:
    digest = BASE.descriptor.digest
    assert find(carry("amd64", AMD64), sizes={digest: 1}) == [("amd64", digest, AMD64.root.digest)]


def test_a_malformed_manifest_is_named() -> None:
    bad = part(b"{}", AMD64.root.media_type)
    statement = statement_of([CarriedImage("bad", "bad", bad.descriptor)], {bad.descriptor.digest: 2})
    with pytest.raises(ProtocolError, match=bad.descriptor.digest):
        list(missing(statement, sizes={bad.descriptor.digest: 2}, read=lambda _: bad.raw))


def test_shared_manifests_are_read_once() -> None:
    reads: list[Descriptor] = []
    sizes = {digest: len(raw) for digest, raw in ALL.items()}

    def read(want: Descriptor) -> bytes:
        reads.append(want)
        return ALL[want.digest]

    images = [carry(f"image-{n}", AMD64) for n in range(5)]
    images.append(replace(images[0], name="again", target="again"))
    assert list(missing(statement_of(images, sizes), sizes=sizes, read=read)) == []
    assert len(reads) == 1
