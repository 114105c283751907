from __future__ import annotations

from collections.abc import Sequence

import pytest

from bundler.errors import ConfigError, SignatureError, TrustError
from bundler.trust.images.evidence import GPG, Evidence
from bundler.trust.images.identity import Identity
from bundler.trust.images.judge import Subject, Verdict, judge
from bundler.trust.images.requirement import AllOf, AnyOf, Attested, Cosign, Gpg, Nothing, Requirement
from bundler.trust.simple_signing import Payload
from tests.trust.images.material import DIGEST, MANIFEST, OTHER, attestation, bundle, evidence, key, signature

ANN, BOB, MALLORY = key("ann"), key("bob"), key("mallory")
ANY = Identity("any")
SUBJECT = Subject(DIGEST, MANIFEST, "reg.io/team/app:1")
FINGERPRINT = "A" * 40


def opened(message: bytes, keys: Sequence[bytes]) -> tuple[bytes, str]:
    """A stand-in for gpg: the message is its payload, and one that begins with ``bad`` holds no good signature."""
    if message.startswith(b"bad"):
        raise SignatureError("GPG signature: BADSIG")
    if message.startswith(b"foreign"):
        raise TrustError("GPG signature: another key")
    return message, FINGERPRINT


def message(digest: str = DIGEST, reference: str = "reg.io/team/app:1") -> Evidence:
    return evidence("gpg", GPG, Payload(digest, reference).serialised())  # type: ignore[arg-type]


def verdict(requirement: Requirement, *pieces: Evidence) -> Verdict:
    return judge(requirement, SUBJECT, pieces, opened)


COSIGN = Cosign((ANN.public, BOB.public), 1, ANY)
BOTH = Cosign((ANN.public, BOB.public), 2, ANY)
SBOM = Attested("spdx", (BOB.public,))
SITE = Gpg((b"keys",), Identity("matchRepoDigestOrExact"), ("site.asc",))
TABLE: dict[str, tuple[Requirement, list[Evidence], bool]] = {
    "nothing of nothing": (Nothing(), [], True),
    "unsigned": (COSIGN, [], False),
    "one of two keys": (COSIGN, [signature(signer=BOB)], True),
    "only an attestation": (COSIGN, [attestation()], False),
    "a bad one beside a good one": (COSIGN, [signature(text=""), signature(OTHER), signature()], True),
    "only bad ones": (COSIGN, [signature(text=""), signature(OTHER), signature(signer=MALLORY)], False),
    "2 of 2": (BOTH, [signature(signer=ANN), signature(signer=BOB)], True),
    "2 of 2 in both forms": (BOTH, [signature(signer=ANN), bundle(None, BOB)], True),
    "one key twice counts once": (BOTH, [signature(signer=ANN), signature(signer=ANN), bundle(None, ANN)], False),
    "the second is foreign": (BOTH, [signature(signer=ANN), signature(signer=MALLORY)], False),
    "all": (AllOf((COSIGN, SBOM)), [signature(), attestation(signer=BOB)], True),
    "all but one": (AllOf((COSIGN, SBOM)), [signature()], False),
    "all, by the wrong key": (AllOf((COSIGN, SBOM)), [signature(), attestation(signer=ANN)], False),
    "any": (AnyOf((SITE, COSIGN)), [signature()], True),
    "any of none": (AnyOf((SITE, COSIGN)), [], False),
    "all of no parts": (AllOf(()), [signature()], False),
    "any of no parts": (AnyOf(()), [signature()], False),
    "threshold 0": (Cosign((ANN.public,), 0, ANY), [], False),
    "no keys": (Cosign((), 1, ANY), [signature()], False),
    "GPG": (SITE, [message()], True),
    "GPG of another digest": (SITE, [message(OTHER)], False),
    "GPG of another name": (SITE, [message(reference="reg.io/team/app:2")], False),
    "GPG bad beside good": (SITE, [evidence("gpg", GPG, b"bad"), message()], True),
    "GPG foreign": (SITE, [evidence("gpg", GPG, b"foreign")], False),
    "GPG of a payload that is none": (SITE, [evidence("gpg", GPG, b"{}")], False),
    "unreadable": (COSIGN, [signature(problem="can't be read")], False),
}


@pytest.mark.parametrize("case", TABLE)
def test_whether_a_requirement_is_met(case: str) -> None:
    requirement, pieces, met = TABLE[case]
    found = verdict(requirement, *pieces)
    assert found.met is met
    assert found.reason
    assert len(found.found) == len(pieces)


def test_the_reason_names_what_is_missing_and_what_was_wrong() -> None:
    reason = verdict(AllOf((COSIGN, SBOM)), signature(OTHER)).reason
    assert "no cosign signature by 1 of the keys" in reason
    assert "about another image" in reason
    assert "no attestation spdx" in reason
    assert "only 1 of 2 signers" in verdict(BOTH, signature()).reason


def test_what_one_part_found_good_is_told_as_good() -> None:
    found = verdict(AnyOf((Cosign((BOB.public,), 1, ANY), Cosign((ANN.public,), 1, ANY))), signature()).found
    assert [each.verified for each in found] == [True]
    assert found[0].by == (ANN.public.key_id,)


def test_what_is_wrong_at_the_site_is_raised() -> None:
    def broken(message: bytes, keys: Sequence[bytes]) -> tuple[bytes, str]:
        raise ConfigError("key 1: holds no public key of GPG")

    with pytest.raises(ConfigError):
        judge(SITE, SUBJECT, [message()], broken)


def test_strangers_pieces_never_raise() -> None:
    pieces = [
        evidence(kind, "x", content)  # type: ignore[arg-type]
        for kind in ("cosign", "attestation", "bundle", "gpg", "other")
        for content in (b"", b"\xff", b"[" * 5000, b"{}", b"null", b"1e999", b'"\\ud800"')
    ]
    for requirement in (COSIGN, SBOM, SITE, AllOf((COSIGN, SBOM, SITE))):
        found = judge(requirement, SUBJECT, pieces, opened)
        assert not found.met
        assert all(each.problem.isprintable() for each in found.found)
