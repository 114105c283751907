"""Roots: what is read, what may follow what, and every defect that is signed all the same."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from bundler.errors import BundlerError, ConfigError, LimitError, PolicyError, TrustError
from bundler.oci.digest import digest_of
from bundler.trust import root as module
from bundler.trust.keys import public_key_of
from bundler.trust.root import (
    MAX_STEPS,
    ROOT_CAP,
    SiteRoot,
    check_current,
    default_id,
    parse_root,
    pinned,
    tuf_key,
    version_in,
    walk,
)
from bundler.trust.root_making import draft, lacking, merged, plan_of, with_signatures
from tests.trust.roots import ANN, BOB, BOSS, CAT, CHIEF, DAN, EVE, EXPIRES, signed_root, trusted_root, under

Signed = dict[str, Any]
ONE = trusted_root()


def steps(ours: SiteRoot, *raws: bytes) -> list[int]:
    return [step.version for step in walk(ours, dict(enumerate(raws, start=ours.version + 1)))]


def test_what_a_root_says() -> None:
    digest = digest_of(b"withdrawn")
    root = trusted_root(
        3, channels={"beta": ((DAN,), 1)}, denied_keys=(EVE,), denied_statements=(digest,), root=(BOSS, CHIEF)
    )
    assert root.version == 3
    assert root.expires == EXPIRES
    assert (root.targets.threshold, set(root.targets.keys)) == (2, {ANN.public, BOB.public, CAT.public})
    assert (root.root.threshold, set(root.root.keys)) == (1, {BOSS.public, CHIEF.public})
    assert root.role_for("beta").keys == (DAN.public,)
    assert root.role_for("stable") is root.targets
    assert root.denied_keys == {EVE.public.key_id}
    assert root.denied_statements == {digest}
    assert root.named(ANN.public.key_id) == f"ann ({ANN.public.short_id})"
    assert root.named("0" * 64) == "0" * 64


def test_rsa_keys_are_taken_as_root_keys_and_as_signers() -> None:
    secret = rsa.generate_private_key(public_exponent=65537, key_size=3072)
    der = secret.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    root = trusted_root(targets=(public_key_of(der), ANN), threshold=1)
    assert {key.algorithm for key in root.targets.keys} == {"rsa", "ecdsa-p256"}


def theirs(key_id: str) -> str:
    """The id that TUF's tools give the key."""
    return next(default_id(tuf_key(k.public)) for k in (ANN, BOB, CAT, BOSS, CHIEF) if k.public.key_id == key_id)


def under_their_ids(**options: Any) -> SiteRoot:
    """A root as TUF's own tools make it."""

    def rename(signed: Signed) -> None:
        for role in signed["roles"].values():
            role["keyids"] = [theirs(each) for each in role["keyids"]]
        signed["keys"] = {theirs(each): key for each, key in signed["keys"].items()}

    document = json.loads(signed_root(edit=rename, **options))
    for signature in document["signatures"]:
        signature["keyid"] = theirs(signature["keyid"])
    return pinned(json.dumps(document).encode(), what="root")


def test_ids_as_tufs_own_tools_compute_them() -> None:
    """A root made elsewhere is taken, and its keys are ours under our ids."""
    root = under_their_ids()
    assert set(root.targets.keys) == {ANN.public, BOB.public, CAT.public}
    raw = with_signatures(draft(plan_of(root), 2), [BOSS], previous=root, what="2.root.json")
    assert steps(root, raw) == [2]


def test_a_root_after_one_of_tufs_own_tools_is_finished_when_the_walk_takes_it() -> None:
    """Its keys stand under other ids there: a signature counts under the ids of the root that asks for it."""
    ours = under_their_ids(root=(BOSS, CHIEF), root_threshold=2)
    plan = draft(plan_of(ours), 2)
    here, elsewhere = (with_signatures(plan, [k], previous=ours, what="r") for k in (BOSS, CHIEF))
    whole = merged(parse_root(here, what="r"), parse_root(elsewhere, what="r"), previous=ours, what="copy")
    assert lacking(parse_root(whole, what="r"), previous=ours) == []
    assert steps(ours, whole) == [2]
    document = json.loads(whole)
    document["signatures"] = [each for each in document["signatures"] if each["keyid"] != theirs(CHIEF.public.key_id)]
    left = lacking(parse_root(json.dumps(document).encode(), what="r"), previous=ours)
    assert [(lack.version, lack.missing) for lack in left] == [(1, (CHIEF.public.key_id,))]
    with pytest.raises(TrustError, match=r"signed by 1 .* where 2 are needed; missing: chief"):
        steps(ours, json.dumps(document).encode())


# Walking


def test_walk_over_two_roots_to_new_keys() -> None:
    two = signed_root(2, root=(CHIEF,), by=(BOSS, CHIEF), targets=(DAN, EVE))
    three = signed_root(3, root=(CHIEF,), targets=(DAN,), threshold=1)
    walked = list(walk(ONE, {1: ONE.raw, 2: two, 3: three}))
    assert [step.version for step in walked] == [2, 3]
    assert walked[-1].targets.keys == (DAN.public,)


def test_roots_of_old_do_not_matter() -> None:
    assert list(walk(trusted_root(5), {1: b"junk", 4: b"junk"})) == []


def test_a_copy_of_our_root_with_more_signatures_is_our_root() -> None:
    ours = trusted_root(root=(BOSS, CHIEF), by=(BOSS,))
    assert list(walk(ours, {1: signed_root(root=(BOSS, CHIEF), by=(BOSS, CHIEF))})) == []


WALKS: dict[str, tuple[dict[int, bytes], str]] = {
    "skipped": ({3: signed_root(3)}, r"3\.root\.json: root 2 is missing"),
    "skipped-behind-a-good-one": ({2: signed_root(2), 4: signed_root(4)}, r"4\.root\.json: root 3 is missing"),
    "self-made-first": (
        {1: signed_root(root=(EVE,), targets=(EVE,), threshold=1)},
        r"1\.root\.json: is another root than the 1\.root\.json that this site trusts: self-made",
    ),
    "self-made-next": (
        {2: signed_root(2, root=(EVE,), targets=(EVE,), threshold=1)},
        r"2\.root\.json: signed by 0 of the root keys of root 1.*missing: boss \(",
    ),
    "not-by-its-own": (
        {2: signed_root(2, root=(CHIEF,), by=(BOSS,))},
        r"2\.root\.json: signed by 0 of its own root keys, where 1 are needed; missing: chief \(",
    ),
    "not-by-enough-of-its-own": (
        {2: signed_root(2, root=(BOSS, CHIEF), root_threshold=2, by=(BOSS,))},
        r"signed by 1 of its own root keys, where 2 are needed; missing: chief",
    ),
    "renamed-file": ({2: signed_root(3)}, r"2\.root\.json: says that it is version 3"),
    "version-again": ({2: signed_root(1)}, r"2\.root\.json: says that it is version 1"),
    "unsigned": ({2: signed_root(2, by=())}, "signed by 0 of the root keys of root 1"),
    "not-json": ({2: b"\x00"}, r"2\.root\.json: not JSON"),
}


@pytest.mark.parametrize(("candidates", "message"), WALKS.values(), ids=WALKS)
def test_walk_refused(candidates: dict[int, bytes], message: str) -> None:
    with pytest.raises(TrustError, match=message) as caught:
        list(walk(ONE, candidates))
    assert caught.value.hint


def test_steps_before_a_bad_one_were_given_out() -> None:
    walked = walk(ONE, {2: signed_root(2), 3: signed_root(3, root=(EVE,))})
    assert next(walked).version == 2
    with pytest.raises(TrustError, match=r"3\.root\.json"):
        next(walked)


def test_a_signature_moved_from_another_root() -> None:
    document = json.loads(signed_root(2))
    document["signatures"] = json.loads(signed_root(2, threshold=1))["signatures"]
    with pytest.raises(TrustError, match="signed by 0"):
        steps(ONE, json.dumps(document).encode())


def test_a_foreign_signature_under_a_trusted_id() -> None:
    document = json.loads(signed_root(2, by=(EVE,)))
    document["signatures"][0]["keyid"] = BOSS.public.key_id
    with pytest.raises(TrustError, match="signed by 0"):
        steps(ONE, json.dumps(document).encode())


def test_a_signature_under_a_foreign_id_does_not_count() -> None:
    document = json.loads(signed_root(2))
    document["signatures"][0]["keyid"] = EVE.public.key_id
    with pytest.raises(TrustError, match="signed by 0"):
        steps(ONE, json.dumps(document).encode())


@pytest.mark.parametrize("sig", ["", "zz", "00", "3006020100020100"], ids=["empty", "no-hex", "no-der", "r=0"])
def test_signatures_that_are_none(sig: str) -> None:
    document = json.loads(signed_root(2))
    document["signatures"][0]["sig"] = sig
    with pytest.raises(TrustError, match="signed by 0"):
        steps(ONE, json.dumps(document).encode())


def test_one_key_counts_once_towards_a_root() -> None:
    ours = trusted_root(root=(BOSS, CHIEF), root_threshold=2, by=(BOSS, CHIEF))
    document = json.loads(signed_root(2, root=(BOSS, CHIEF), root_threshold=2, by=(BOSS,)))
    again = {"keyid": default_id(tuf_key(BOSS.public)), "sig": document["signatures"][0]["sig"]}
    document["signatures"].append(again)
    with pytest.raises(TrustError, match=r"signed by 1 .* where 2 are needed; missing: chief"):
        steps(ours, json.dumps(document).encode())


def test_the_old_threshold_counts_though_the_new_one_is_lower() -> None:
    ours = trusted_root(root=(BOSS, CHIEF), root_threshold=2)
    with pytest.raises(TrustError, match=r"signed by 1 of the root keys of root 1.*where 2 are needed; missing: chief"):
        steps(ours, signed_root(2, root=(BOSS, CHIEF), root_threshold=1, by=(BOSS,)))


def test_a_denied_root_key_never_counts() -> None:
    """Neither for the root that denies it, nor for the next one: whoever stole it would make that."""
    two = signed_root(2, root=(BOSS, CHIEF), denied_keys=(BOSS,), by=(BOSS, CHIEF))
    three = signed_root(3, root=(BOSS, CHIEF), targets=(EVE,), threshold=1, by=(BOSS,))
    walked = walk(ONE, {2: two, 3: three})
    assert next(walked).denied_keys == {BOSS.public.key_id}
    with pytest.raises(
        TrustError, match=r"3\.root\.json: signed by 0 of the root keys of root 2.*missing: chief.*denied: boss"
    ):
        next(walked)
    assert steps(ONE, two, signed_root(3, root=(CHIEF,), by=(CHIEF,))) == [2, 3]
    with pytest.raises(
        TrustError, match=r"signed by 0 of its own root keys.*missing: none that may sign; denied: boss"
    ):
        pinned(signed_root(root=(BOSS,), denied_keys=(BOSS,)), what="r")
    left = lacking(parse_root(signed_root(3, root=(BOSS, CHIEF), by=(BOSS,)), what="r"), previous=pinned(two, what="2"))
    assert [(lack.version, lack.missing) for lack in left] == [(2, (CHIEF.public.key_id,))]


def test_a_key_is_denied_by_either_of_its_ids() -> None:
    by_theirs = signed_root(edit=lambda s: s.update({"x-bundler-denied": {"keys": [theirs(ANN.public.key_id)]}}))
    assert parse_root(by_theirs, what="r").denied_keys == {ANN.public.key_id}
    assert under_their_ids(denied_keys=(ANN,)).denied_keys == {ANN.public.key_id}


def test_expired_only_at_the_end() -> None:
    long_ago = EXPIRES - timedelta(days=1000)
    walked = list(walk(ONE, {2: signed_root(2, expires=long_ago), 3: signed_root(3)}))
    assert [step.version for step in walked] == [2, 3]
    check_current(walked[-1], EXPIRES - timedelta(seconds=1))
    with pytest.raises(PolicyError, match=r"3\.root\.json: expired at 2031-01-01T00:00:00Z"):
        check_current(walked[-1], EXPIRES)
    with pytest.raises(PolicyError, match=r"2\.root\.json: expired"):
        check_current(walked[0], long_ago)


def test_more_steps_than_a_run_takes() -> None:
    with pytest.raises(LimitError, match=f"{MAX_STEPS + 1} roots in one walk"):
        list(walk(ONE, dict.fromkeys(range(2, MAX_STEPS + 3), b"")))


# Defects of content, all of them signed by the right key


def to(role: str, **values: Any) -> Callable[[Signed], object]:
    return lambda signed: signed["roles"][role].update(values)


def p384() -> str:
    public = ec.generate_private_key(ec.SECP384R1()).public_key()
    return public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo).decode()


def weak() -> str:
    public = rsa.generate_private_key(public_exponent=65537, key_size=2048).public_key()
    return public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo).decode()


def key_edit(owner: str, **values: Any) -> Callable[[Signed], object]:
    return lambda signed: signed["keys"][owner].update(values)


A, B = ANN.public.key_id, BOB.public.key_id


def twice(signed: Signed) -> None:
    """One key under both ids that it may have."""
    other = default_id(tuf_key(ANN.public))
    signed["keys"][other] = signed["keys"][A]
    signed["roles"]["targets"].update(keyids=[A, other], threshold=2)


def misnamed(signed: Signed) -> None:
    signed["keys"]["0" * 64] = signed["keys"].pop(A)
    signed["roles"]["targets"]["keyids"] = ["0" * 64, B]


DEFECTS: dict[str, tuple[Callable[[Signed], object], str]] = {
    "threshold-0": (to("targets", threshold=0), "threshold must be at least 1"),
    "threshold--1": (to("targets", threshold=-1), "threshold must be between 0"),
    "threshold-above-n": (to("targets", threshold=4), "a threshold of 4 with 3 keys can't be met"),
    "threshold-true": (to("targets", threshold=True), "threshold must be a whole number"),
    "threshold-text": (to("root", threshold="1"), "threshold must be a whole number"),
    "threshold-2.0": (to("root", threshold=2.0), "threshold must be a whole number"),
    "no-signers": (to("targets", keyids=[]), "a threshold of 2 with 0 keys"),
    "key-id-twice": (to("targets", keyids=[A, A]), "name a key twice"),
    "unknown-key-id": (to("targets", keyids=["f" * 64, B]), "key f+ is not there"),
    "one-key-under-two-ids": (twice, "under another id already: it would count twice"),
    "key-under-a-made-up-id": (misnamed, "is not the id of the key that stands under it"),
    "weak-rsa": (
        key_edit(A, keytype="rsa", scheme="rsa-pkcs1v15-sha256", keyval={"public": weak()}),
        "2048 bits",
    ),
    "p-384": (
        key_edit(A, scheme="ecdsa-sha2-nistp384", keyval={"public": p384()}),
        "not a key that can be used",
    ),
    "algorithm-confusion": (key_edit(A, keytype="rsa", scheme="rsa-pkcs1v15-sha256"), "which does not fit"),
    "rsa-pss": (key_edit(A, keytype="rsa", scheme="rsassa-pss-sha256"), "which does not fit"),
    "unknown-scheme": (key_edit(A, scheme="md5"), "not TUF root metadata"),
    "low-order-point": (key_edit(B, keyval={"public": "01" + "00" * 31}), "not of prime order"),
    "short-point": (key_edit(B, keyval={"public": "00"}), "not a key that can be used"),
    "private-key": (
        key_edit(A, keyval={"public": "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----"}),
        "is a private key",
    ),
    "no-keyval": (key_edit(A, keyval={}), "not TUF root metadata"),
    "name-with-control-characters": (key_edit(A, **{"x-bundler-name": "\x1b[2J"}), "printable"),
    "name-no-text": (key_edit(A, **{"x-bundler-name": 5}), "printable"),
    "key-of-another-kind": (
        key_edit(A, keytype="sigstore-oidc", scheme="Fulcio", keyval={"identity": "a", "issuer": "b"}),
        "not a key that can be used|not TUF root metadata",
    ),
    "another-type": (lambda s: s.update(_type="targets"), "_type must be root"),
    "another-spec": (lambda s: s.update(spec_version="2.0.0"), "spec_version must be 1.0"),
    "version-0": (lambda s: s.update(version=0), "version must be from 1"),
    "version-true": (lambda s: s.update(version=True), "whole number"),
    "version-too-high": (lambda s: s.update(version=10**6), "version must be from 1"),
    "no-expiry": (lambda s: s.pop("expires"), "expires is missing"),
    "bad-expiry": (lambda s: s.update(expires="tomorrow"), "not TUF root metadata"),
    "role-missing": (lambda s: s["roles"].pop("snapshot"), "snapshot: must be an object"),
    "role-more": (lambda s: s["roles"].update(mirrors={"keyids": [], "threshold": 1}), "mirrors is not a known key"),
    "float": (lambda s: s.update(more=1.5), "not TUF root metadata"),
    "unknown-member-of-ours": (
        lambda s: s.update({"x-bundler-denyed": {}}),
        "x-bundler-denyed is not known to this version",
    ),
    "channels-no-object": (lambda s: s.update({"x-bundler-channels": []}), "must be an object"),
    "channel-threshold-0": (
        lambda s: s.update({"x-bundler-channels": {"beta": {"keyids": [A], "threshold": 0}}}),
        "threshold must be at least 1",
    ),
    "channel-threshold-above-n": (
        lambda s: s.update({"x-bundler-channels": {"beta": {"keyids": [A], "threshold": 2}}}),
        "role beta: a threshold of 2 with 1 keys",
    ),
    "channel-with-more": (
        lambda s: s.update({"x-bundler-channels": {"beta": {"keyids": [A], "threshold": 1, "x": 1}}}),
        "x is not a known key",
    ),
    "channel-name-with-control-characters": (
        lambda s: s.update({"x-bundler-channels": {"be\nta": {"keyids": [A], "threshold": 1}}}),
        "may hold only letters",
    ),
    "denied-key-no-id": (lambda s: s.update({"x-bundler-denied": {"keys": ["ann"]}}), "64 hexadecimal"),
    "denied-statement-no-digest": (lambda s: s.update({"x-bundler-denied": {"statements": [A]}}), "must be digests"),
    "denied-with-more": (lambda s: s.update({"x-bundler-denied": {"images": []}}), "images is not a known key"),
}  # fmt: skip


@pytest.mark.parametrize(("edit", "message"), DEFECTS.values(), ids=DEFECTS)
def test_defects(edit: Callable[[Signed], object], message: str) -> None:
    raw = signed_root(2, edit=edit)
    with pytest.raises(TrustError, match=message) as caught:
        parse_root(raw, what="2.root.json")
    assert str(caught.value).isprintable()
    assert caught.value.hint
    with pytest.raises(BundlerError):
        steps(ONE, raw)


def test_keys_that_differ_by_case_only() -> None:
    raw = signed_root().replace(b'"keys":', b'"Keys": {}, "keys":')
    with pytest.raises(TrustError, match="appears also as"):
        parse_root(raw, what="r")


def test_duplicate_keys() -> None:
    raw = signed_root().replace(b'"version": 1', b'"version": 9, "version": 1')
    with pytest.raises(TrustError, match="appears twice"):
        parse_root(raw, what="r")


def test_two_signatures_of_one_id() -> None:
    document = json.loads(signed_root())
    document["signatures"] *= 2
    with pytest.raises(TrustError, match="Multiple signatures"):
        parse_root(json.dumps(document).encode(), what="r")


def test_trailing_bytes() -> None:
    with pytest.raises(TrustError, match="not JSON"):
        parse_root(signed_root() + b"{}", what="r")


def test_100_000_signatures() -> None:
    document = json.loads(signed_root())
    document["signatures"] = [{"keyid": f"{n:064x}", "sig": ""} for n in range(100_000)]
    with pytest.raises(LimitError):
        parse_root(json.dumps(document).encode(), what="r")
    document["signatures"] = [{"keyid": f"{n:x}", "sig": ""} for n in range(1025)]
    with pytest.raises(LimitError, match="more than 1024 signatures"):
        parse_root(json.dumps(document).encode(), what="r")


def test_more_keys_than_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_KEYS", 3)
    with pytest.raises(LimitError, match="more than 3 keys"):
        parse_root(signed_root(), what="r")


def test_oversized() -> None:
    with pytest.raises(LimitError, match=f"more than the {ROOT_CAP} allowed"):
        parse_root(signed_root() + b" " * ROOT_CAP, what="r")


def test_reserialised_is_the_same_root() -> None:
    """TUF signs a canonical form, so line breaks do not matter; the fingerprint of the file does change."""
    raw = json.dumps(json.loads(ONE.raw), indent=4).encode()
    other = pinned(raw, what="r")
    assert other.targets == ONE.targets
    assert other.fingerprint != ONE.fingerprint


NAMES_OF_FILES = {
    "1.root.json": 1, "42.root.json": 42, "999999.root.json": 999999, "0.root.json": None, "01.root.json": None,
    "1000000.root.json": None, "root.json": None, "1.root.json.part": None, "x.root.json": None, "-1.root.json": None,
    "٣.root.json": None, "1.ROOT.json": None, ".root.json": None, "1.root.jsonx": None,
}  # fmt: skip


@pytest.mark.parametrize(("name", "version"), NAMES_OF_FILES.items(), ids=NAMES_OF_FILES)
def test_file_names(name: str, version: int | None) -> None:
    assert version_in(name) == version


# Making


def test_what_is_still_to_be_signed() -> None:
    ours = trusted_root(root=(BOSS,))
    plan = plan_of(trusted_root(root=(CHIEF, DAN), root_threshold=2, by=(CHIEF, DAN)))
    raw = draft(plan, 2)
    root = parse_root(raw, what="r")
    assert [(lack.version, lack.needed) for lack in lacking(root, previous=ours)] == [(1, 1), (2, 2)]
    raw = with_signatures(raw, [BOSS, DAN], previous=ours, what="r")
    (left,) = lacking(parse_root(raw, what="r"), previous=ours)
    assert (left.version, left.needed, left.missing) == (2, 1, (CHIEF.public.key_id,))
    elsewhere = with_signatures(draft(plan, 2), [CHIEF], previous=ours, what="r")
    whole = merged(parse_root(raw, what="r"), parse_root(elsewhere, what="r"), previous=ours, what="copy")
    assert lacking(parse_root(whole, what="r"), previous=ours) == []
    assert steps(ours, whole) == [2]


def test_a_copy_of_something_else_is_not_merged() -> None:
    a, b = (parse_root(draft(plan_of(trusted_root(threshold=n)), 2), what="r") for n in (1, 2))
    with pytest.raises(ConfigError, match="is not the root that waits here"):
        merged(a, b, previous=None, what="copy")


def test_only_root_keys_sign_roots() -> None:
    with pytest.raises(ConfigError, match="is no root key of it nor of the root before it"):
        with_signatures(draft(plan_of(ONE), 2), [EVE], previous=ONE, what="2.root.json")


def test_a_denied_key_signs_nothing_more() -> None:
    ours = trusted_root(2, root=(BOSS, CHIEF), denied_keys=(BOSS,), by=(CHIEF,))
    with pytest.raises(ConfigError, match=f"key {BOSS.public.key_id} is denied by root 3, and never counts"):
        with_signatures(draft(plan_of(ours), 3), [BOSS], previous=ours, what="3.root.json")
    # the root that denies it is still due its predecessor's signatures
    raw = with_signatures(draft(plan_of(ours), 2), [BOSS, CHIEF], previous=ONE, what="2.root.json")
    assert steps(ONE, raw) == [2]


@pytest.mark.parametrize("threshold", [0, -1, 4])
def test_thresholds_that_mean_nothing_are_not_made(threshold: int) -> None:
    with pytest.raises(ConfigError, match=f"a threshold of {threshold} with 3 keys"):
        signed_root(threshold=threshold)


def test_one_key_twice_is_not_made() -> None:
    with pytest.raises(ConfigError, match="a key is given twice"):
        signed_root(targets=(ANN, ANN))


def test_the_same_root_is_the_same_bytes() -> None:
    made = [with_signatures(draft(plan_of(ONE), 2), keys, previous=ONE, what="r") for keys in ([BOSS], [BOSS, BOSS])]
    assert made[0] == made[1]


def test_without_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "tuf.api.metadata", None)
    for go in (lambda: parse_root(ONE.raw, what="r"), lambda: draft(plan_of(ONE), 2)):
        with pytest.raises(ConfigError, match="needs python-tuf") as caught:
            go()
        assert "oci-bundler[trust]" in caught.value.hint


def test_under_is_honest() -> None:
    """What the other tests sign with is what the library verifies."""
    assert pinned(under(json.loads(ONE.raw)["signed"], [BOSS]), what="r").version == 1
