"""What is attached to an image: found whatever way it is attached, and accounted for whatever becomes of it."""

from __future__ import annotations

import pytest

from bundler.content import Source
from bundler.errors import (
    AuthError,
    BundlerError,
    DigestError,
    LimitError,
    NetworkError,
    NotFoundError,
    ProtocolError,
    UnsupportedError,
)
from bundler.oci import mediatype
from bundler.oci.attached import SIMPLE_SIGNATURES, companion_tags, referrers_tag
from bundler.oci.descriptor import Descriptor
from bundler.oci.digest import Digest, digest_of
from bundler.oci.manifest import parse_manifest
from bundler.oci.simple_signatures import write_simple_signatures
from bundler.pull import attachments
from bundler.pull.attachments import MAX_DEPTH, Found, Subject, find_attachments
from bundler.pull.beside import own_signatures
from bundler.selection.locked import Reason
from bundler.selection.wishes import Attachments
from tests.attachments import COSIGN_SIGNED, PROVENANCE, SCAN, SPDX, Listless, Signing, attached_to, bundle, fallback
from tests.images import Image, artifact, as_json, image, index, layer, load, part
from tests.memory import Fault, Memory, Plain

WEB = image(layer("web", 50))
ARM = image(layer("arm", 50), platform="linux/arm64")
BOTH = index(WEB, ARM)
ALL = attached_to(WEB)
SIG, ATT, SBOM = companion_tags(WEB.root.digest).values()
LIST = referrers_tag(WEB.root.digest)
UNTAGGED = ("bundle", "attested", "bill", "scan", "scan-bundle")


def holding(memory: Memory | None = None, **more: Image) -> Memory:
    """WEB with everything attached; what has no tag of its own is held without any."""
    memory = memory or Memory()
    load(memory, {"1.0": WEB, **ALL, **more})
    for name in UNTAGGED:
        del memory.names[name]
    memory.calls.clear()
    return memory


def look(
    source: Source,
    *subjects: Image,
    wanted: Attachments = "all",
    lost: Reason | None = None,
    tags: Memory | None = None,
) -> Found:
    held = tags or source
    listed = held.names if isinstance(held, Memory) else ()
    looked_at = [Subject(one.root, lost) for one in subjects or (WEB,)]
    found = find_attachments(source, looked_at, list(listed), wanted, signed=own_signatures("", source))
    assert len(set(found.attachments)) == len(found.attachments)
    return found


def names(found: Found) -> set[str]:
    """What is carried, by the names of ALL."""
    known = {(tag if tag not in UNTAGGED else "", one.root.digest): tag for tag, one in ALL.items()}
    return {known[one.tag, one.root.digest] for one in found.attachments}


def left(found: Found) -> set[tuple[str, str, Digest | None]]:
    return {(one.reason, one.kind, None if one.root is None else one.root.digest) for one in found.left_out}


def test_everything_is_found_with_what_it_is_and_what_it_is_about() -> None:
    found = look(holding())
    assert names(found) == set(ALL)
    assert found.left_out == ()
    said = {
        one.root.digest: (one.kind, one.root.artifact_type, one.predicates, one.subject) for one in found.attachments
    }
    sigstore, web = "application/vnd.dev.sigstore.bundle.v0.3+json", WEB.root.digest
    assert said == {
        ALL[SIG].root.digest: ("signature", "", (), web),
        ALL[ATT].root.digest: ("attestation", "", (PROVENANCE,), web),
        ALL[SBOM].root.digest: ("sbom", "", (), web),
        ALL["bundle"].root.digest: ("signature", sigstore, (COSIGN_SIGNED,), web),
        ALL["attested"].root.digest: ("attestation", sigstore, (SPDX,), web),
        ALL["bill"].root.digest: ("sbom", "application/spdx+json", (), web),
        ALL["scan"].root.digest: ("other", SCAN, (), web),
        ALL["scan-bundle"].root.digest: ("signature", sigstore, (COSIGN_SIGNED,), ALL["scan"].root.digest),
    }


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        pytest.param("all", set(ALL), id="all"),
        pytest.param(("signatures",), {SIG, "bundle"}, id="signatures"),
        pytest.param(("sboms", "attestations"), {SBOM, ATT, "bill", "attested"}, id="two-kinds"),
        pytest.param(("referrers",), set(UNTAGGED), id="referrers"),
        pytest.param(("referrers", "signatures"), {SIG, *UNTAGGED}, id="referrers-and-signatures"),
    ],
)
def test_what_is_of_no_wanted_kind_is_left_out_and_told(wanted: Attachments, expected: set[str]) -> None:
    found = look(holding(), wanted=wanted)
    assert names(found) == expected
    # what is about something that stays behind is not looked for
    missed = set(ALL) - expected - {"scan-bundle"}
    assert {one.root.digest for one in found.left_out if one.root} == {ALL[name].root.digest for name in missed}
    assert {one.reason for one in found.left_out} <= {"unwanted"}


def test_nothing_is_asked_for_that_the_tag_list_lacks() -> None:
    memory = holding()
    del memory.names[SIG]
    assert SIG not in names(look(memory))
    assert {name for verb, name in memory.calls if verb == "resolve"} == {ATT, SBOM}


@pytest.mark.parametrize("kind", [Listless, Memory], ids=["no-api", "api-too"])
def test_the_list_under_the_fallback_tag_is_read_and_not_carried(kind: type[Memory]) -> None:
    scan_list = {referrers_tag(ALL["scan"].root.digest): fallback(ALL["scan-bundle"])}
    memory = holding(kind(), **{LIST: fallback(*(ALL[name] for name in UNTAGGED[:-1]))}, **scan_list)
    found = look(memory)
    assert names(found) == set(ALL)
    assert found.left_out == ()


def test_a_signature_on_a_signature_on_an_image_to_a_depth() -> None:
    chain = [WEB]
    for number in range(MAX_DEPTH + 2):
        chain.append(artifact(f"about {number}".encode(), subject=chain[-1]))
    memory = Memory()
    load(memory, {str(n): one for n, one in enumerate(chain)})
    found = look(memory)
    assert [one.root.digest for one in found.attachments] == [one.root.digest for one in chain[1 : MAX_DEPTH + 1]]
    assert left(found) == {("cap", "sbom", chain[MAX_DEPTH + 1].root.digest)}


def test_no_more_than_one_image_may_have(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attachments, "MAX_ATTACHED", 3)
    memory = Memory()
    load(memory, {str(n): artifact(str(n).encode(), subject=WEB) for n in range(20)} | {"web": WEB})
    found = look(memory)
    assert len(found.attachments) == 3
    assert {one.reason for one in found.left_out} == {"cap"}
    assert len(found.left_out) == 4  # three by their digests, one entry for all the rest
    assert sum(one.root is None for one in found.left_out) == 1


def test_what_is_about_a_platform_that_is_not_chosen() -> None:
    tag = companion_tags(ARM.root.digest)["signature"]
    scan = artifact(b"arm", subject=ARM, artifact_type=SCAN)
    memory = Signing({ARM.root.digest: [b"signed arm"]})
    load(memory, {"1": BOTH, tag: ALL[SIG], "scan": scan, "deep": artifact(b"about the scan", subject=scan)})
    subjects = [Subject(BOTH.root), Subject(WEB.root), Subject(ARM.root, "platform")]
    found = find_attachments(memory, subjects, list(memory.names), "all", signed=memory)
    assert found.attachments == ()
    assert {(one.reason, one.kind, one.tag, one.subject) for one in found.left_out} == {
        ("platform", "signature", tag, ARM.root.digest),
        ("platform", "other", "", ARM.root.digest),
        ("platform", "signature", "", ARM.root.digest),
    }
    assert {one.root.digest for one in found.left_out if one.root} >= {ALL[SIG].root.digest, scan.root.digest}


@pytest.mark.parametrize(
    "error",
    [AuthError("no"), ProtocolError("html"), UnsupportedError("what"), LimitError("much")],
    ids=lambda e: e.label,
)
def test_a_registry_that_refuses_to_say_what_refers(error: BundlerError) -> None:
    memory = holding()
    memory.faults.append(Fault("referrers", None, error=error))
    found = look(memory)
    assert names(found) == {SIG, ATT, SBOM}
    assert {(one.reason, one.subject) for one in found.left_out} == {
        ("unanswered", digest) for digest in (WEB.root.digest, *(ALL[tag].root.digest for tag in (SIG, ATT, SBOM)))
    }


def test_one_that_refuses_and_has_the_list_under_its_tag_did_answer() -> None:
    memory = holding(None, **{LIST: fallback(ALL["bill"])})
    memory.faults.append(Fault("referrers", WEB.root.digest, error=AuthError("no")))
    found = look(memory)
    assert names(found) == {SIG, ATT, SBOM, "bill"}
    assert found.left_out == ()


@pytest.mark.parametrize(
    "fault",
    [
        Fault("referrers", WEB.root.digest, error=NetworkError("reset")),
        Fault("resolve", None, error=NetworkError("reset")),
        Fault("fetch", ALL["bill"].root.digest, error=NetworkError("reset")),
        Fault("fetch", ALL["bill"].root.digest, flip=3),
        Fault("fetch", ALL[SIG].root.digest, flip=3),
    ],
    ids=["referrers", "resolve", "fetch", "damaged-referrer", "damaged-signature"],
)
def test_what_may_pass_ends_the_search_as_nothing_may_be_missed(fault: Fault) -> None:
    memory = holding()
    memory.faults.append(fault)
    with pytest.raises((NetworkError, DigestError)):
        look(memory)


class Liar(Memory):
    """A registry whose list of what refers to WEB is made up."""

    said: tuple[Descriptor, ...] = ()

    def referrers(self, subject: Digest) -> tuple[Descriptor, ...]:
        return self.said if subject == WEB.root.digest else ()


ABOUT_ARM = artifact(b"about arm", subject=ARM, artifact_type=SCAN)
ABOUT_NOTHING = artifact(b"about nothing", artifact_type=SCAN)
RUBBISH = part(b"{}", mediatype.OCI_MANIFEST)
TWO_FACED = part(as_json({"schemaVersion": 2, "manifests": [], "layers": []}), mediatype.OCI_MANIFEST)


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        pytest.param(ABOUT_ARM.root, "foreign", id="about-another"),
        pytest.param(ABOUT_NOTHING.root, "foreign", id="about-nothing"),
        pytest.param(WEB.root, "foreign", id="the-image-itself"),
        pytest.param(RUBBISH.descriptor, "unreadable", id="no-manifest-in-it"),
        pytest.param(TWO_FACED.descriptor, "unreadable", id="two-readings"),
        pytest.param(
            Descriptor("application/vnd.oci.artifact.manifest.v1+json", digest_of(b"a"), 1), "unreadable", id="old"
        ),
        pytest.param(Descriptor("application/x", digest_of(b"a"), 1), "unreadable", id="a-blob"),
        pytest.param(Descriptor(mediatype.OCI_MANIFEST, digest_of(b"gone"), 4), "missing", id="gone"),
        pytest.param(Descriptor(mediatype.OCI_MANIFEST, digest_of(b"big"), 1 << 40), "unreadable", id="a-terabyte"),
    ],
)
def test_what_is_listed_and_is_not_so(entry: Descriptor, reason: str) -> None:
    memory = Liar()
    load(memory, {"web": WEB, "arm": ABOUT_ARM, "nothing": ABOUT_NOTHING})
    for raw in (RUBBISH, TWO_FACED):
        memory.put(raw.raw, mediatype.OCI_MANIFEST)
    memory.said = (entry, entry)
    found = look(memory, tags=Memory())
    assert found.attachments == ()
    assert [(one.reason, one.root and one.root.digest) for one in found.left_out] == [(reason, entry.digest)]


def test_types_that_would_act_on_a_terminal_are_not_kept() -> None:
    memory = Liar()
    load(memory, {"web": WEB})
    memory.said = (
        Descriptor("x/\x1b[2J", digest_of(b"a"), 1),
        Descriptor("x/y", digest_of(b"b"), 1, artifact_type="\u202e"),
    )
    first, second = look(memory, tags=Memory()).left_out
    assert first.root is None
    assert second.root is not None
    assert second.root.artifact_type == ""


@pytest.mark.parametrize("what", [WEB, ABOUT_ARM], ids=["an-image", "an-artifact"])
def test_something_else_under_the_tag_of_the_list(what: Image) -> None:
    found = look(holding(None, **{LIST: what}))
    assert names(found) == set(ALL)
    assert [(one.reason, one.tag) for one in found.left_out] == [("unreadable", LIST)]


def test_a_tag_that_is_listed_and_gone() -> None:
    memory = holding()
    memory.faults.append(Fault("resolve", None, error=NotFoundError("gone"), times=1))
    found = look(memory)
    assert [(one.reason, one.kind, one.tag) for one in found.left_out] == [("missing", "signature", SIG)]


def test_a_medium_without_referrers() -> None:
    memory = holding()
    assert names(look(Plain(memory), tags=memory)) == {SIG, ATT, SBOM}


def test_each_subject_is_looked_at_and_each_attachment_comes_once() -> None:
    tag = companion_tags(ARM.root.digest)["signature"]
    found = look(holding(None, **{"arm": ARM, tag: ALL[SIG]}), WEB, ARM, WEB)
    assert {(one.tag, one.subject) for one in found.attachments if one.root.digest == ALL[SIG].root.digest} == {
        (SIG, WEB.root.digest),
        (tag, ARM.root.digest),
    }
    assert len(found.attachments) == len(ALL) + 1


# Simple signatures


def test_simple_signatures_become_one_artifact_the_same_every_time() -> None:
    first = look(Signing({WEB.root.digest: [b"two", b"one"]}))
    again = look(Signing({WEB.root.digest: [b"one", b"two", b"one"]}))
    assert first == again
    (made,) = first.attachments
    assert (made.kind, made.tag, made.subject, made.root.artifact_type) == (
        "signature", "", WEB.root.digest, SIMPLE_SIGNATURES,
    )  # fmt: skip
    root, raw = write_simple_signatures(WEB.root, made.layers)
    assert root == made.root
    manifest = parse_manifest(raw, root.media_type, what="made")
    assert manifest.layers == made.layers
    assert manifest.artifact_type == SIMPLE_SIGNATURES
    assert {one.digest for one in made.layers} == {digest_of(b"one"), digest_of(b"two")}
    assert manifest.subject is not None
    assert manifest.subject.digest == WEB.root.digest
    assert manifest.config is not None
    assert manifest.config.media_type == mediatype.OCI_EMPTY


@pytest.mark.parametrize(
    ("wanted", "carried"),
    [("all", 1), (("signatures",), 1), (("sboms", "referrers"), 0)],
    ids=["all", "signatures", "others"],
)
def test_simple_signatures_are_signatures(wanted: Attachments, carried: int) -> None:
    found = look(Signing({WEB.root.digest: [b"one"]}), wanted=wanted)
    assert (len(found.attachments), len(found.left_out)) == (carried, 1 - carried)


@pytest.mark.parametrize(
    "beside", [[b"x" * 70_000, b"one"], [str(n).encode() for n in range(129)]], ids=["long", "many"]
)
def test_simple_signatures_beyond_reason(beside: list[bytes]) -> None:
    found = look(Signing({WEB.root.digest: beside}))
    assert [one.reason for one in found.left_out] == ["cap"]
    assert len(found.attachments[0].layers) == min(128, sum(len(raw) < 70_000 for raw in beside))


def test_another_format_in_the_place_of_signatures_is_passed_over() -> None:
    found = look(Signing({WEB.root.digest: [b"\0sigstore-json\nx"]}))
    assert found == Found((), ())


@pytest.mark.parametrize("error", [AuthError("no"), NetworkError("reset")], ids=lambda e: e.label)
def test_a_signature_store_that_refuses(error: BundlerError) -> None:
    class Closed(Signing):
        def signatures(self, root: Descriptor) -> list[bytes]:
            raise error

    memory = holding(Closed({}))
    if isinstance(error, NetworkError):
        with pytest.raises(NetworkError):
            look(memory)
        return
    found = look(memory)
    assert names(found) == set(ALL)
    assert [(one.reason, one.kind, one.subject) for one in found.left_out] == [
        ("unanswered", "signature", WEB.root.digest)
    ]


def test_no_simple_signatures_of_artifacts_are_asked_for() -> None:
    memory = holding(Signing({ALL["scan"].root.digest: [b"one"]}))
    assert names(look(memory)) == set(ALL)


def test_a_bundle_says_by_its_predicate_what_it_is() -> None:
    memory = Memory()
    load(memory, {"web": WEB, "one": bundle(WEB, PROVENANCE)})
    (found,) = look(memory).attachments
    assert (found.kind, found.predicates) == ("attestation", (PROVENANCE,))
