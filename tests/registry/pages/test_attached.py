"""What is attached to a manifest."""

from __future__ import annotations

import pytest

from bundler.errors import LimitError
from bundler.oci.descriptor import Descriptor
from bundler.registry.contents import Contents
from bundler.registry.pages.attached import MOST_REFERRERS, attachments, label_of
from tests.images import artifact, image, layer, part
from tests.registry.pages.shelf import Shelf, open_contents, with_config

WEB = image(layer("web", 3_000))
SBOM = artifact(b"{}", subject=WEB, annotations={"a": "b"})
ON_SBOM = artifact(b"s", subject=SBOM, artifact_type="application/vnd.cncf.notary.signature")
ON_THAT = artifact(b"t", subject=ON_SBOM, artifact_type="application/vnd.cncf.notary.signature")


def test_referrers_and_theirs() -> None:
    shelf = Shelf()
    shelf.put("app", "1", WEB)
    for each in (SBOM, ON_SBOM, ON_THAT):
        shelf.put("app", each.root.digest, each)
    with open_contents(shelf) as contents:
        found = attachments(contents, "app", WEB.root.digest)
    (sbom,) = found.referrers.items
    assert (sbom.label, sbom.kind, sbom.digest) == ("SBOM", "application/vnd.example.sbom.v1+json", SBOM.root.digest)
    assert (sbom.href, sbom.annotations.items) == (f"/images/app@{SBOM.root.digest}", (("a", "b"),))
    assert [(each.label, each.digest) for each in sbom.below.items] == [("signature", ON_SBOM.root.digest)]
    assert not sbom.below.items[0].below.total


def test_another_repository_says_nothing() -> None:
    shelf = Shelf()
    shelf.put("app", "1", WEB)
    shelf.put("secret", "1", SBOM)
    with open_contents(shelf) as contents:
        assert not attachments(contents, "app", WEB.root.digest)


def test_what_cosign_attached() -> None:
    shelf = Shelf()
    shelf.put("app", "1", WEB)
    stem = f"sha256-{WEB.root.digest[7:]}"
    cosigned = with_config({}, part(b"payload", "application/vnd.dev.cosign.simplesigning.v1+json"))
    for tag in (f"{stem}.att", f"{stem}.sig", f"{stem}.other"):
        shelf.put("app", tag, cosigned)
    with open_contents(shelf) as contents:
        tags = attachments(contents, "app", WEB.root.digest).tags
    assert tags == (
        (f"{stem}.sig", "signature", f"/images/app:{stem}.sig"),
        (f"{stem}.att", "attestation", f"/images/app:{stem}.att"),
    )


def test_many_are_cut() -> None:
    shelf = Shelf()
    shelf.put("app", "1", WEB)
    for n in range(MOST_REFERRERS + 5):
        each = artifact(str(n).encode(), subject=WEB)
        shelf.put("app", each.root.digest, each)
    with open_contents(shelf) as contents:
        found = attachments(contents, "app", WEB.root.digest).referrers
    assert (len(found.items), found.more) == (MOST_REFERRERS, 5)


def test_what_can_not_be_listed_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: Contents, repository: str, subject: str) -> list[Descriptor]:
        raise LimitError("more than can be listed")

    monkeypatch.setattr(Contents, "referrers", fail)
    shelf = Shelf()
    shelf.put("app", "1", WEB)
    with open_contents(shelf) as contents:
        found = attachments(contents, "app", WEB.root.digest)
    assert found.problem == "more than can be listed"
    assert found


LABELS = {
    "application/spdx+json": "SBOM",
    "application/vnd.cyclonedx+json": "SBOM",
    "application/vnd.in-toto+json": "attestation",
    "application/vnd.dev.sigstore.bundle.v0.3+json": "Sigstore bundle",
    "application/vnd.cncf.notary.signature": "signature",
    "application/vnd.example.design": "",
}


@pytest.mark.parametrize(("kind", "label"), LABELS.items())
def test_words(kind: str, label: str) -> None:
    assert label_of(kind) == label
