"""What is attached to an image, and how it is found."""

from __future__ import annotations

import pytest

from bundler.content import Source
from bundler.oci.digest import Digest
from bundler.pull.attachments import find_attachments
from bundler.selection.lock import Attachment
from bundler.selection.wishes import Attachments
from tests.images import Image, artifact, image, index, layer, load
from tests.memory import Memory, Plain

WEB = image(layer("web", 50))
BASE = WEB.root.digest.replace(":", "-")
SIG, ATT, SBOM, REF, ABOUT_OTHER = (artifact(name.encode()) for name in ("sig", "att", "sbom", "ref", "other"))
REFERRER = artifact(b"a referrer", subject=WEB)
TAGS = {
    f"{BASE}.sig": SIG,
    f"{BASE}.att": ATT,
    f"{BASE}.sbom": SBOM,
    f"{BASE}.other": ABOUT_OTHER,
    "1.0": WEB,
    f"sha256-{'0' * 64}.sig": ABOUT_OTHER,
}


def repository(**more: Image) -> Memory:
    memory = Memory()
    load(memory, {**TAGS, "referrer": REFERRER, **more})
    memory.calls.clear()
    return memory


def found(
    source: Source, wanted: Attachments, *subjects: Digest, names: Memory | None = None
) -> set[tuple[str, Digest]]:
    held = names or source
    tags = list(held.names) if isinstance(held, Memory) else []
    answer = find_attachments(source, subjects or (WEB.root.digest,), tags, wanted)
    assert len(set(answer)) == len(answer)
    return {(attachment.tag, attachment.root.digest) for attachment in answer}


SIGNATURE = (f"{BASE}.sig", SIG.root.digest)
ATTESTATION = (f"{BASE}.att", ATT.root.digest)
BILL = (f"{BASE}.sbom", SBOM.root.digest)
REFERS = ("", REFERRER.root.digest)


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        pytest.param("all", {SIGNATURE, ATTESTATION, BILL, REFERS}, id="all"),
        pytest.param("none", set(), id="none"),
        pytest.param(("signatures",), {SIGNATURE}, id="signatures"),
        pytest.param(("sboms", "attestations"), {ATTESTATION, BILL}, id="two-kinds"),
        pytest.param(("referrers",), {REFERS}, id="referrers"),
    ],
)
def test_the_kinds_that_are_wanted(wanted: Attachments, expected: set[tuple[str, Digest]]) -> None:
    assert found(repository(), wanted) == expected


def test_nothing_is_asked_for_that_the_tag_list_lacks() -> None:
    memory = repository()
    del memory.names[f"{BASE}.sig"]
    assert found(memory, ("signatures", "attestations")) == {ATTESTATION}
    assert [name for verb, name in memory.calls if verb == "resolve"] == [f"{BASE}.att"]


def test_the_fallback_tag_stands_for_the_referrers_api() -> None:
    fallback = index(REFERRER)
    memory = repository(**{BASE: fallback})
    assert found(memory, ("referrers",)) == {(BASE, fallback.root.digest)}
    assert memory.count("referrers") == 0


def test_a_medium_without_referrers() -> None:
    memory = repository()
    assert found(Plain(memory), ("referrers", "signatures"), names=memory) == {SIGNATURE}


def test_each_subject_is_looked_at_and_each_attachment_comes_once() -> None:
    other = image(layer("other", 50))
    memory = repository(other=other, **{f"{other.root.digest.replace(':', '-')}.sig": SIG})
    both = found(memory, "all", WEB.root.digest, other.root.digest, WEB.root.digest)
    assert both == {
        SIGNATURE,
        ATTESTATION,
        BILL,
        REFERS,
        (f"{other.root.digest.replace(':', '-')}.sig", SIG.root.digest),
    }


def test_the_answer_holds_attachments() -> None:
    (only,) = find_attachments(repository(), [WEB.root.digest], [f"{BASE}.sig"], ("signatures",))
    assert isinstance(only, Attachment)
    assert only.root.digest == SIG.root.digest
