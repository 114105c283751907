"""Judging images: steps 1 to 3, with a keyring that opens what it is told to."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest

from bundler.errors import ConfigError, PolicyError, SignatureError, TrustError
from bundler.oci.digest import Digest, digest_of
from bundler.oci.reference import parse_reference
from bundler.policy import Candidate, docker_place, judge, path_place, read_policy
from bundler.policy.blobs import MEDIA_TYPE, SIGSTORE, SIMPLE, Attachment, read_attachment
from bundler.trust.images.cosign import SIGNATURE, TYPE
from bundler.trust.simple_signing import Payload
from tests.workshop import key

MANIFEST = b'{"schemaVersion": 2}'
DIGEST = digest_of(MANIFEST)
NAME = "r.example/team/app:1"
ANN, BOB = b"key of ann", b"key of bob"
PAIR, OTHER = key("judged"), key("another")
FILES = {"/ann": ANN, "/bob": BOB, "/pair": PAIR.public.pem, "/other": OTHER.public.pem, "/junk": b"junk"}


def simple(who: bytes, *, name: str = NAME, digest: Digest = DIGEST) -> bytes:
    """A message that :class:`Ring` opens with the key ``who``."""
    return b"\xa3" + who + b"|" + Payload(digest, name).serialised()


def attached(signer: Any = PAIR, *, name: str = NAME, digest: str = DIGEST, kind: str = TYPE, **changes: Any) -> bytes:
    document = {
        "critical": {"identity": {"docker-reference": name}, "image": {"docker-manifest-digest": digest}, "type": kind},
        "optional": None,
        **changes,
    }
    payload = json.dumps(document).encode()
    value = base64.b64encode(signer.sign(payload)).decode()
    return Attachment(MEDIA_TYPE, payload, {SIGNATURE: value}).blob()


class Ring:
    """Knows the files, and opens what one of the keys signed."""

    def read(self, path: str) -> bytes:
        if path not in FILES:
            raise ConfigError(f"key: {path} does not exist")
        return FILES[path]

    def opened(self, message: bytes, keys: Sequence[bytes]) -> bytes:
        who, bar, payload = message[1:].partition(b"|")
        if not bar:
            raise SignatureError("GPG signature: BADSIG")
        if who not in keys:
            raise TrustError("GPG signature: made by another key")
        return payload

    def now(self) -> datetime:
        raise AssertionError


def signed_by(*paths: str, **identity: str) -> dict[str, Any]:
    rule: dict[str, Any] = {"type": "signedBy", "keyType": "GPGKeys", "keyPaths": list(paths)}
    return {**rule, "signedIdentity": identity} if identity else rule


def sigstore(*paths: str, **identity: str) -> dict[str, Any]:
    return {**signed_by(*paths, **identity), "type": "sigstoreSigned"} | {"keyType": None}


def decide(rules: list[dict[str, Any]], *blobs: bytes, name: str = NAME, manifest: bytes = MANIFEST) -> str:
    """Why the image is refused; nothing if it is let in."""
    cleaned = [{member: value for member, value in rule.items() if value is not None} for rule in rules]
    policy = read_policy(json.dumps({"default": cleaned}).encode(), source="policy.json")
    image = Candidate(
        f"docker://{name}", DIGEST, docker_place(parse_reference(name)), lambda: manifest, lambda: list(blobs)
    )
    try:
        judge(policy, image, Ring())
    except PolicyError as refused:
        said = str(refused)
    else:
        return ""
    assert said.startswith(f"docker://{name} ({DIGEST}): refused by policy.json, default: requirement ")
    assert said.isprintable()
    return said.partition(": requirement ")[2]


ACCEPT, REJECT = {"type": "insecureAcceptAnything"}, {"type": "reject"}
BASE = {"type": "signedBaseLayer", "baseLayerIdentity": {"type": "matchExact"}}


def test_step_2_each_requirement_must_hold() -> None:
    assert decide([ACCEPT]) == ""
    assert decide([REJECT]).startswith("1 of 1, reject: ")
    assert decide([ACCEPT, REJECT]).startswith("2 of 2, reject: ")
    assert decide([BASE], simple(ANN)).startswith("1 of 1, signedBaseLayer: ")
    assert decide([signed_by("/ann"), signed_by("/bob")], simple(ANN), simple(BOB)) == ""
    assert decide([signed_by("/ann"), signed_by("/bob")], simple(ANN)).startswith("2 of 2, signedBy: ")
    assert decide([signed_by("/ann"), signed_by("/ann", "/bob")], simple(ANN)) == "", "one signature may fulfil both"


def test_step_2_nothing_is_asked_where_nothing_is_required() -> None:
    def never() -> Any:
        raise AssertionError

    policy = read_policy(json.dumps({"default": [ACCEPT]}).encode())
    image = Candidate(NAME, DIGEST, path_place("dir", "/a"), never, never)
    judge(policy, image, Ring())
    judge(replace(policy, default=(*policy.default, *policy.default)), image, Ring())
    with pytest.raises(PolicyError, match="accepts nothing"):
        judge(replace(policy, default=()), image, Ring())


@pytest.mark.parametrize(
    ("blobs", "said"),
    [
        ([], "it has no simple signature"),
        ([attached()], "it has no simple signature, only 1 of another kind"),
        ([simple(BOB)], "made by another key"),
        ([b"\xa3nonsense"], "BADSIG"),
        ([b"\xa3" + ANN + b"|{}"], "signed payload"),
        ([simple(ANN, digest=digest_of(b"other"))], f"is about {digest_of(b'other')}, not {DIGEST}"),
        ([simple(ANN, digest=digest_of(MANIFEST, "sha512"))], "is about sha512:"),
        ([simple(ANN, name="r.example/team/app:2")], "'r.example/team/app:2', which is not accepted"),
        ([simple(ANN, name="r.example/team/app:1\n")], "which is not accepted"),
        ([simple(BOB), simple(ANN, name="x:1")], "none of 2 signatures is accepted: "),
        ([simple(BOB)] * 200, "none of 200 signatures is accepted: "),
    ],
)
def test_step_3_what_is_no_signature_of_the_image(blobs: list[bytes], said: str) -> None:
    found = decide([signed_by("/ann")], *blobs)
    assert said in found
    assert len(found) < 4000
    assert decide([signed_by("/ann")], *blobs, simple(ANN)) == "", "a good one beside them is enough"


def test_step_3_the_manifest_decides_and_not_what_it_is_called() -> None:
    assert "is about" in decide([signed_by("/ann")], simple(ANN), manifest=b"swapped")


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        (signed_by("/gone"), "/gone does not exist"),
        (signed_by("/ann", "/gone"), "/gone does not exist"),
        ({**signed_by("/ann"), "keyType": "X509Certificates"}, "X509Certificates"),
        ({**signed_by("/ann"), "keyType": "signedByGPGKeys"}, "signedByGPGKeys"),
        (signed_by("/ann", type="matchExact") | {"signedIdentity": {"type": "exactRepository", "dockerRepository": "a.b/c"}}, "not accepted"),
    ],
)  # fmt: skip
def test_step_3_keys_and_identities(rule: dict[str, Any], said: str) -> None:
    assert said in decide([rule], simple(ANN))


def test_step_3_a_line_may_say_what_kind_a_signature_is() -> None:
    assert decide([signed_by("/ann")], SIMPLE + simple(ANN)) == ""
    assert "no simple signature" in decide([signed_by("/ann")], b"\0other-kind\n" + simple(ANN))


@pytest.mark.parametrize(
    ("blob", "said"),
    [
        (simple(ANN), "it has no sigstore signature, only 1 of another kind"),
        (attached(OTHER), "is not one of key"),
        (attached(digest=digest_of(b"x")), "is about"),
        (attached(name="r.example/team/app"), "not accepted"),
        (attached(kind="atomic container signature"), "its type is"),
        (attached(extra=1), "is not a known key"),
        (attached(digest="sha256:short"), "is not a digest"),
        (SIGSTORE + b"{}", "mimeType"),
        (SIGSTORE + b"nonsense", "not JSON"),
        (SIGSTORE + b'{"mimeType": "a", "payload": "!", "annotations": {}}', "not base64"),
        (Attachment("application/vnd.in-toto+json", b"{}", {}).blob(), "is no signature but"),
        (Attachment(MEDIA_TYPE, b"{}", {}).blob(), "lacks the annotation"),
        (Attachment(MEDIA_TYPE, b"{}", {SIGNATURE: "!"}).blob(), "not base64"),
        (Attachment(MEDIA_TYPE, b"{}", {SIGNATURE: ""}).blob(), "is not one of key"),
    ],
)
def test_step_3_sigstore_signatures(blob: bytes, said: str) -> None:
    assert decide([sigstore("/pair")], attached()) == ""
    assert said in decide([sigstore("/pair")], blob)
    assert decide([sigstore("/pair")], blob, attached()) == ""


def test_step_3_the_signature_is_of_the_bytes_and_not_of_their_meaning() -> None:
    good = read_attachment(attached())
    again = json.dumps(json.loads(good.payload), indent=1).encode()
    assert "is not one of key" in decide([sigstore("/pair")], replace(good, payload=again).blob())


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        (sigstore("/other", "/pair"), ""),
        (sigstore("/other"), "is not one of key"),
        (sigstore("/pair", "/junk"), "key /junk: holds no PEM block"),
        ({**sigstore("/pair"), "rekorPublicKeyPath": "/junk"}, "Rekor key /junk: holds no PEM block"),
        ({**sigstore("/pair"), "rekorPublicKeyPath": "/gone"}, "/gone does not exist"),
    ],
)
def test_step_3_every_key_that_is_named_must_be_one(rule: dict[str, Any], said: str) -> None:
    found = decide([rule], attached())
    assert (said in found) if said else (found == "")


@pytest.mark.parametrize(
    ("rule", "blobs", "place", "hint"),
    [
        (sigstore("/pair"), [], docker_place(parse_reference(NAME)), "use-sigstore-attachments: true"),
        (signed_by("/ann"), [], docker_place(parse_reference(NAME)), "lookaside"),
        (signed_by("/ann"), [], path_place("dir", "/a"), "publisher"),
        (sigstore("/gone"), [attached()], path_place("dir", "/a"), "mend what the policy names"),
        (sigstore("/junk"), [attached(), SIGSTORE], path_place("dir", "/a"), "a file of its own"),
        (sigstore("/pair"), [attached(OTHER)], path_place("dir", "/a"), "publisher"),
        ({"type": "reject"}, [], path_place("dir", "/a"), "whoever keeps the policy"),
        (BASE, [], path_place("dir", "/a"), "another requirement"),
    ],
)
def test_a_refusal_says_what_to_do_next(rule: dict[str, Any], blobs: list[bytes], place: Any, hint: str) -> None:
    cleaned = {member: value for member, value in rule.items() if value is not None}
    policy = read_policy(json.dumps({"default": [cleaned]}).encode())
    with pytest.raises(PolicyError) as refused:
        judge(policy, Candidate(NAME, DIGEST, place, lambda: MANIFEST, lambda: blobs), Ring())
    assert hint in refused.value.hint
