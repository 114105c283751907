"""The steps are numbered as in the body: (1) the image's own manifest, (2) children listed, (3) children by themselves."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from bundler.bundle.statement import Attachment, CarriedImage
from bundler.errors import ConfigError, PolicyError, ProtocolError
from bundler.journey.image_gate import Assessed, assess, read_policy, require
from bundler.oci.digest import Digest
from bundler.trust.images.evidence import GPG
from bundler.trust.policy import TrustPolicy
from bundler.trust.simple_signing import Payload
from tests.images import Image, image, index, layer
from tests.journey.attaching import Attaching
from tests.keyring import Keyring, keyring
from tests.trust.images.fulcio import ISSUER, Fulcio
from tests.trust.images.material import SPDX, attestation, bundle, evidence, key, signature, statement
from tests.workshop import API, MULTI, NOW, WEB

NAME = "reg.io/team/app:1"
AMD, ARM = (Digest(child["digest"]) for child in json.loads(MULTI.raw)["manifests"])


@pytest.fixture
def place() -> Attaching:
    return Attaching()


def policy(folder: Path, rules: str) -> TrustPolicy:
    (folder / "ann.pub").write_bytes(key("ann").public.pem)
    path = folder / "trust.yaml"
    path.write_text(f"apiVersion: bundler/v1\nkind: TrustPolicy\nimages:\n{rules}\n")
    return read_policy(path)


def by_ann(folder: Path, more: str = "") -> TrustPolicy:
    return policy(folder, f"- {{match: 'reg.io/**', cosign: {{keys: [ann.pub]}}{more}}}")


def one(place: Attaching, given: TrustPolicy | None, carried: CarriedImage, *, now: datetime = NOW) -> Assessed:
    (found,) = assess(place.memory, [carried], given, now=now)
    assert found.document()["passed"] is found.passed
    json.dumps(found.document())
    return found


def sign(place: Attaching, digest: Digest, **more: object) -> None:
    place.attach(digest, signature(digest, **more))  # type: ignore[arg-type]


def test_1_a_signed_image_passes(place: Attaching, tmp_path: Path) -> None:
    sign(place, WEB.root.digest)
    found = one(place, by_ann(tmp_path), place.carried(NAME, WEB))
    assert found.passed
    assert found.found[0].verified
    assert found.rule == f"{tmp_path}/trust.yaml:4"
    assert "cosign signature by key" in found.requirement
    require([found])


def test_1_an_unsigned_image_fails(place: Attaching, tmp_path: Path) -> None:
    found = one(place, by_ann(tmp_path), place.carried(NAME, WEB))
    assert not found.passed
    with pytest.raises(PolicyError, match=r"1 of 1 images.*reg.io/team/app:1: no cosign signature") as caught:
        require([found])
    assert caught.value.exit_code == 17


def test_1_a_signature_by_another_key_fails(place: Attaching, tmp_path: Path) -> None:
    sign(place, WEB.root.digest, signer=key("mallory"))
    assert not one(place, by_ann(tmp_path), place.carried(NAME, WEB)).passed


def test_1_a_signature_for_another_digest_fails(place: Attaching, tmp_path: Path) -> None:
    """Re-tagged: the signature of one image under the tag of another."""
    place.attach(WEB.root.digest, signature(API.root.digest))
    found = one(place, by_ann(tmp_path), place.carried(NAME, WEB))
    assert not found.passed
    assert "another image" in found.reason


def test_1_a_signature_for_another_name_fails(place: Attaching, tmp_path: Path) -> None:
    """Re-tagged: a signed image under the name of another."""
    sign(place, WEB.root.digest, reference="reg.io/team/other")
    found = one(place, by_ann(tmp_path), place.carried(NAME, WEB))
    assert not found.passed
    assert "reg.io/team/other" in found.reason


@pytest.mark.parametrize("rule", ["cosign: {keys: [ann.pub]}", "nothing: true"])
@pytest.mark.parametrize("tag", ["2", "latest", "sha256-abc.sig", f"sha1-{'0' * 40}.sig"])
def test_1_an_image_under_its_own_tag_is_nothing_that_is_attached(
    place: Attaching, tmp_path: Path, rule: str, tag: str
) -> None:
    """It would be published beside the signed one, and no rule would have been asked about it."""
    sign(place, WEB.root.digest)
    place.load(API)
    place.attachments.append(Attachment(tag, API.root))
    found = one(place, policy(tmp_path, f"- {{match: 'reg.io/**', {rule}}}"), place.carried(NAME, WEB))
    assert not found.passed
    assert API.root.digest in found.reason
    assert tag in found.reason


def test_1_what_claims_to_be_about_another_manifest_is_told_only(place: Attaching, tmp_path: Path) -> None:
    place.refer(API.root, bundle(statement(WEB.root.digest)))
    found = one(place, by_ann(tmp_path), place.carried(NAME, WEB))
    assert not found.passed
    assert [(each.verified, each.problem) for each in found.found] == [(False, "")]


def test_the_reason_says_what_there_is_instead(place: Attaching, tmp_path: Path) -> None:
    """An index was signed, and one image of it is carried alone."""
    sign(place, MULTI.root.digest)
    found = one(place, by_ann(tmp_path), place.carried(NAME, WEB))
    assert f"what is attached is about {MULTI.root.digest}, not about {WEB.root.digest}" in found.reason
    sign(place, ARM)
    assert f"{MULTI.root.digest} and 1 others" in one(place, by_ann(tmp_path), place.carried(NAME, WEB)).reason
    empty = Attaching()
    assert one(empty, by_ann(tmp_path), empty.carried(NAME, WEB)).reason.endswith("; nothing is attached")


def test_rules_by_target_are_about_the_name_where_it_arrives(place: Attaching, tmp_path: Path) -> None:
    given = policy(
        tmp_path,
        "- {match: '**', target: 'tools/**', nothing: true}\n- {match: '**', target: 'team/**', cosign: {keys: [ann.pub]}}",
    )
    carried = place.carried("reg.io/team/app:1", WEB)

    def at(name: str) -> Assessed:
        (found,) = assess(place.memory, [carried], given, now=NOW, landing=lambda image: name)
        assert found.target == "team/app:1", "the report is about the bundle"
        return found

    assert at("tools/app:1").passed
    assert not at("team/app:1").passed
    assert not at("team/tools/app:1").passed
    assert "no rule of" in at("site/tools/app:1").reason
    assert "site/tools/app:1" in at("site/tools/app:1").reason


def test_an_image_that_no_rule_fits_is_refused(place: Attaching, tmp_path: Path) -> None:
    sign(place, WEB.root.digest)
    found = one(place, by_ann(tmp_path), place.carried("quay.io/team/app:1", WEB))
    assert not found.passed
    assert "no rule of" in found.reason


def test_nothing_is_asked_where_the_policy_says_so(place: Attaching, tmp_path: Path) -> None:
    sign(place, WEB.root.digest)
    place.attach(WEB.root.digest, attestation(WEB.root.digest))
    found = one(place, policy(tmp_path, "- {match: '**', nothing: true}"), place.carried(NAME, WEB))
    assert found.passed
    assert [(each.kind, each.verified, each.predicate_type) for each in found.found] == [
        ("cosign", False, ""),
        ("attestation", False, SPDX),
    ]


def test_without_a_policy_all_is_listed(place: Attaching) -> None:
    sign(place, WEB.root.digest)
    found = one(place, None, place.carried(NAME, WEB))
    assert found.passed
    assert found.requirement == "nothing: no policy was given"
    assert len(found.found) == 1


def test_every_image_that_failed_is_named(place: Attaching, tmp_path: Path) -> None:
    sign(place, WEB.root.digest)
    names = ("reg.io/team/app:1", "reg.io/bad/a:1", "quay.io/bad/b:1")
    found = assess(place.memory, [place.carried(name, WEB) for name in names], by_ann(tmp_path), now=NOW)
    assert [each.image for each in found] == list(names)
    assert [each.passed for each in found] == [True, False, False]
    with pytest.raises(PolicyError, match=r"2 of 3 .*reg.io/bad/a:1.*quay.io/bad/b:1"):
        require(found)


# Indexes


def test_of_very_many_that_failed_the_first_are_named() -> None:
    found = [Assessed(f"reg.io/app:{n}", "", WEB.root.digest, "", (), passed=False, reason="no") for n in range(9999)]
    with pytest.raises(PolicyError, match=r"^9999 of 9999 .*reg.io/app:9: no and 9989 more$") as refused:
        require(found)
    assert len(str(refused.value)) < 1000


def test_1_and_2_a_signed_index_covers_its_children(place: Attaching, tmp_path: Path) -> None:
    sign(place, MULTI.root.digest)
    found = one(place, by_ann(tmp_path), place.carried(NAME, MULTI))
    assert found.passed
    assert [(each.digest, each.passed, each.reason) for each in found.children] == [
        (AMD, True, "is listed in the index"),
        (ARM, True, "is listed in the index"),
    ]


def test_1_signed_children_do_not_cover_their_index(place: Attaching, tmp_path: Path) -> None:
    sign(place, AMD)
    sign(place, ARM)
    found = one(place, by_ann(tmp_path), place.carried(NAME, MULTI))
    assert not found.passed
    assert not any(each.passed for each in found.children)


def test_2_only_chosen_children_are_looked_at(place: Attaching, tmp_path: Path) -> None:
    sign(place, MULTI.root.digest)
    carried = place.carried(NAME, MULTI, children=(ARM,))
    del place.memory.contents[AMD]
    assert [each.digest for each in one(place, by_ann(tmp_path), carried).children] == [ARM]


def test_2_a_child_that_the_index_does_not_list(place: Attaching, tmp_path: Path) -> None:
    sign(place, MULTI.root.digest)
    with pytest.raises(ProtocolError, match="does not list"):
        one(place, by_ann(tmp_path), place.carried(NAME, MULTI, children=(API.root.digest,)))


def test_2_an_index_whose_child_was_swapped_is_another_index(place: Attaching, tmp_path: Path) -> None:
    """Digests bind: the signature of the honest index says nothing of the one with a foreign child."""
    swapped = index(API, image(layer("workshop arm", 1_000), platform="linux/arm64"))
    place.attach(swapped.root.digest, signature(MULTI.root.digest))
    found = one(place, by_ann(tmp_path), place.carried(NAME, swapped))
    assert not found.passed
    assert "another image" in found.reason


def test_3_children_with_signatures_of_their_own(place: Attaching, tmp_path: Path) -> None:
    for digest in (MULTI.root.digest, AMD, ARM):
        sign(place, digest)
    found = one(place, by_ann(tmp_path, ", children: own"), place.carried(NAME, MULTI))
    assert found.passed
    assert [each.verified for each in found.found] == [True, True, True]
    assert "by" in found.children[0].reason


def test_3_one_child_without_a_signature_of_its_own(place: Attaching, tmp_path: Path) -> None:
    for digest in (MULTI.root.digest, AMD):
        sign(place, digest)
    found = one(place, by_ann(tmp_path, ", children: own"), place.carried(NAME, MULTI))
    assert not found.passed
    assert [each.passed for each in found.children] == [True, False]
    assert ARM in found.reason
    sparse = one(place, by_ann(tmp_path, ", children: own"), place.carried(NAME, MULTI, children=(AMD,)))
    assert sparse.passed


def test_3_buildkits_attestations_need_only_be_listed(place: Attaching, tmp_path: Path) -> None:
    attested = json.loads(MULTI.raw)
    attested["manifests"][1]["platform"] = {"os": "unknown", "architecture": "unknown"}
    raw = json.dumps(attested).encode()
    root = place.memory.put(raw, MULTI.root.media_type)
    both = Image(root, MULTI.parts)
    for digest in (root.digest, AMD):
        sign(place, digest)
    assert one(place, by_ann(tmp_path, ", children: own"), place.carried(NAME, both)).passed


def test_3_an_image_that_is_listed_as_an_attestation_too_is_an_image(place: Attaching, tmp_path: Path) -> None:
    listed = json.loads(MULTI.raw)
    again = {**listed["manifests"][1], "platform": {"os": "unknown", "architecture": "unknown"}}
    half = {**listed["manifests"][0], "platform": {"os": "unknown", "architecture": "amd64"}}
    for children in ([*listed["manifests"], again], [half, listed["manifests"][1]]):
        raw = json.dumps({**listed, "manifests": children}).encode()
        root = place.memory.put(raw, MULTI.root.media_type)
        sign(place, root.digest)
        sign(place, AMD if children[-1] is again else ARM)
        found = one(place, by_ann(tmp_path, ", children: own"), place.carried(NAME, Image(root, MULTI.parts)))
        assert not found.passed
        place.attachments.clear()


def test_a_child_alone_needs_what_is_attached_to_itself(place: Attaching, tmp_path: Path) -> None:
    sign(place, MULTI.root.digest)
    assert not one(place, by_ann(tmp_path), place.carried(NAME, WEB)).passed
    sign(place, WEB.root.digest)
    assert one(place, by_ann(tmp_path), place.carried(NAME, WEB)).passed


# The other kinds


def test_a_sigstore_signature(place: Attaching, tmp_path: Path) -> None:
    site = Fulcio()
    (tmp_path / "trusted_root.json").write_bytes(site.trusted_root)
    given = policy(
        tmp_path,
        f"- {{match: '**', sigstore: {{issuer: '{ISSUER}', subject: me@site, trusted-root: trusted_root.json}}}}",
    )
    place.refer(WEB.root, bundle(document=Fulcio().bundle(statement(WEB.root.digest), "me@site")))
    assert not one(place, given, place.carried(NAME, WEB)).passed
    place.refer(WEB.root, bundle(document=site.bundle(statement(WEB.root.digest), "me@site")))
    found = one(place, given, place.carried(NAME, WEB))
    assert found.passed
    assert [each.verified for each in found.found] == [False, True]
    assert found.found[1].by == ("me@site",)


@pytest.fixture
def keys() -> Sequence[Keyring]:
    with keyring() as made:
        yield made  # type: ignore[misc]


def gpg_policy(folder: Path, made: Keyring, *names: str) -> TrustPolicy:
    (folder / "site.asc").write_bytes(made("--armor", "--export", *names))
    return policy(folder, "- {match: '**', gpg: {keys: [site.asc]}}")


def message(made: Keyring, name: str, digest: Digest, reference: str = NAME) -> bytes:
    return made.sign(Payload(digest, reference).serialised(), name)


@pytest.mark.peer("gpg", "gpgconf")
def test_gpg_signatures(place: Attaching, tmp_path: Path, keys: Keyring) -> None:
    fingerprint = keys.make("ann")
    keys.make("mallory")
    given = gpg_policy(tmp_path, keys, "ann")
    pieces = {
        "stripped": b"",
        "foreign": message(keys, "mallory", WEB.root.digest),
        "another digest": message(keys, "ann", API.root.digest),
        "another name": message(keys, "ann", WEB.root.digest, "reg.io/team/other:1"),
        "lax payload": keys.sign(Payload(WEB.root.digest, NAME).serialised().replace(b'"optional"', b'"Optional"'), "ann"),
        "armoured": keys("--passphrase", "", "-u", "ann", "--armor", "--sign", stdin=Payload(WEB.root.digest, NAME).serialised()),
    }  # fmt: skip
    for defect, raw in pieces.items():
        if raw:
            place.refer(WEB.root, evidence("gpg", GPG, raw))
        assert not one(place, given, place.carried(NAME, WEB)).passed, defect
    place.refer(WEB.root, evidence("gpg", GPG, message(keys, "ann", WEB.root.digest)))
    found = one(place, given, place.carried(NAME, WEB))
    assert found.passed
    assert found.found[-1].by == (fingerprint,)
    assert all(each.problem for each in found.found[:-1])


@pytest.mark.peer("gpg", "gpgconf")
def test_gpg_keys_must_be_valid_at_the_time_of_the_run(place: Attaching, tmp_path: Path, keys: Keyring) -> None:
    keys.make("ann", now="20260101T000000", life="2026-03-01")
    when = ("--faked-system-time", "20260131T000000!")
    content = Payload(WEB.root.digest, NAME).serialised()
    signed = keys(*when, "--passphrase", "", "--local-user", "ann", "--sign", stdin=content)
    place.refer(WEB.root, evidence("gpg", GPG, signed))
    given, carried = gpg_policy(tmp_path, keys, "ann"), place.carried(NAME, WEB)
    assert one(place, given, carried, now=NOW).passed
    assert one(place, given, carried, now=datetime(1970, 1, 2, tzinfo=UTC)).passed, "a clock behind is no reason"
    assert not one(place, given, carried, now=NOW + timedelta(days=60)).passed


@pytest.mark.peer("gpg", "gpgconf")
def test_a_key_file_that_gpg_cannot_read_is_the_sites_own_error(place: Attaching, tmp_path: Path) -> None:
    (tmp_path / "site.asc").write_bytes(
        b"-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nAAAA\n-----END PGP PUBLIC KEY BLOCK-----\n"
    )
    given = policy(tmp_path, "- {match: '**', gpg: {keys: [site.asc]}}")
    place.refer(WEB.root, evidence("gpg", GPG, b"\x90\x0d\x03"))
    with pytest.raises(ConfigError, match="no public key"):
        one(place, given, place.carried(NAME, WEB))


def test_a_key_file_that_is_missing(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"trust.yaml:4: .*nobody.pub"):
        policy(tmp_path, "- {match: '**', cosign: {keys: [nobody.pub]}}")
