"""One table of forged and malformed signatures, put wherever bundler takes one: the envelope, SHA256SUMS, a signer outside.

Each case is named by its defect and made from what the right signer, or someone else, really signed.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.serialization import load_der_private_key
from nacl.bindings import crypto_scalarmult_ed25519_base_noclamp

from bundler.bundle.statement import PAYLOAD_TYPE
from bundler.errors import BundlerError, LimitError, SignatureError, TrustError
from bundler.trust.dsse import Envelope, Signature, pae, parse_envelope, serialise
from bundler.trust.keys import P256_ORDER
from bundler.trust.signing import PrivateKey
from bundler.trust.sums import signature_name
from bundler.trust.verify import verify
from tests.trust.papers import NOW, Papers, key, with_envelope

ANN, BOB, EVE = key("ann"), key("bob", "ed25519"), key("eve")
PAPERS = Papers()
OTHER = Papers(serial=8, volumes=(b"another volume",))
ED_ORDER = 2**252 + 27742317777372353535851937790883648493
WEAK = rsa.generate_private_key(65537, 1024)


def ecdsa(message: bytes, algorithm: ec.EllipticCurveSignatureAlgorithm) -> bytes:
    plain = load_der_private_key(ANN.pkcs8(), None)
    assert isinstance(plain, ec.EllipticCurvePrivateKey)
    return plain.sign(message, algorithm)


def numbers(message: bytes) -> tuple[int, int]:
    return decode_dss_signature(ANN.sign(message))


def variant(message: bytes, *, prehashed: bool, context: bytes = b"") -> bytes:
    """Ed25519ph or Ed25519ctx with Bob's key (RFC 8032, section 5.1)."""
    seed = BOB.pkcs8()[-32:]
    digest = hashlib.sha512(seed).digest()
    scalar = int.from_bytes(digest[:32], "little") & ((1 << 254) - 8) | 1 << 254
    domain = b"SigEd25519 no Ed25519 collisions" + bytes([prehashed, len(context)]) + context
    message = hashlib.sha512(message).digest() if prehashed else message

    def hashed(*parts: bytes) -> int:
        return int.from_bytes(hashlib.sha512(b"".join((domain, *parts))).digest(), "little") % ED_ORDER

    r = hashed(digest[32:], message)
    point = crypto_scalarmult_ed25519_base_noclamp(r.to_bytes(32, "little"))
    s = (r + hashed(point, BOB.public.spki[-32:], message) * scalar) % ED_ORDER
    return point + s.to_bytes(32, "little")


def padded(good: bytes) -> bytes:
    """A zero byte too much before r."""
    return good[:1] + bytes([good[1] + 1, 2, good[3] + 1, 0]) + good[4:]


def above_the_order(good: bytes) -> bytes:
    """The same s, with the order added to it."""
    return good[:32] + (int.from_bytes(good[32:], "little") + ED_ORDER).to_bytes(32, "little")


@dataclass(frozen=True, slots=True)
class Place:
    """Where a signature is put: what is signed there, the same of another bundle, and what checks it."""

    signed: Callable[[Papers], bytes]
    check: Callable[[PrivateKey, bytes], None]


def by_ann(place: Place) -> bytes:
    """The right signature."""
    return ANN.sign(place.signed(PAPERS))


def in_envelope(signer: PrivateKey, value: bytes) -> None:
    envelope = Envelope(PAPERS.payload(), (Signature(signer.public.key_id, value),))
    verify(PAPERS.under(envelope, [signer]), keys=[signer.public], now=NOW)


def in_file(signer: PrivateKey, value: bytes) -> None:
    good = PAPERS.signed_by(signer)
    documents = replace(good, signatures={signature_name(signer.public.key_id): value})
    verify(documents, keys=[signer.public], now=NOW)


PLACES = {
    "envelope": Place(lambda papers: pae(PAYLOAD_TYPE, papers.payload()), in_envelope),
    "sums": Place(lambda papers: papers.sums(), in_file),
}

ED_SMALL = b"\1" + bytes(31)
"""The neutral element: a point of order 1."""

Forge = Callable[[Place], bytes]
FORGED: dict[str, tuple[PrivateKey, Forge]] = {
    "empty": (ANN, lambda _: b""),
    "foreign": (ANN, lambda place: EVE.sign(place.signed(PAPERS))),
    "swapped-between-two-bundles": (ANN, lambda place: ANN.sign(place.signed(OTHER))),
    "statement-for-sums-and-sums-for-statement": (
        ANN,
        lambda place: ANN.sign(PLACES["sums" if place is PLACES["envelope"] else "envelope"].signed(PAPERS)),
    ),
    "without-the-encoding": (ANN, lambda _: ANN.sign(PAPERS.payload())),
    "other-payload-type": (ANN, lambda _: ANN.sign(pae("application/vnd.in-toto+jsom", PAPERS.payload()))),
    "multi-byte-pae-counted-in-characters": (
        ANN,
        lambda _: ANN.sign(
            b"DSSEv1 28 application/vnd.in-toto+json %d " % len(PAPERS.payload().decode()) + PAPERS.payload()
        ),
    ),
    "reserialised": (
        ANN,
        lambda _: ANN.sign(pae(PAYLOAD_TYPE, json.dumps(json.loads(PAPERS.payload()), indent=1).encode())),
    ),
    "pae-in-capitals": (ANN, lambda place: ANN.sign(place.signed(PAPERS).replace(b"DSSEv1", b"DSSEV1"))
                        if place is PLACES["envelope"] else b"x"),
    "sha1": (ANN, lambda place: ecdsa(place.signed(PAPERS), ec.ECDSA(hashes.SHA1()))),
    "sha512": (ANN, lambda place: ecdsa(place.signed(PAPERS), ec.ECDSA(hashes.SHA512()))),
    "hashed-twice": (
        ANN,
        lambda place: ecdsa(hashlib.sha256(place.signed(PAPERS)).digest(), ec.ECDSA(hashes.SHA256())),
    ),
    "r-0": (ANN, lambda place: encode_dss_signature(0, numbers(place.signed(PAPERS))[1])),
    "s-0": (ANN, lambda place: encode_dss_signature(numbers(place.signed(PAPERS))[0], 0)),
    "r-n": (ANN, lambda place: encode_dss_signature(P256_ORDER, numbers(place.signed(PAPERS))[1])),
    "s-above-n": (
        ANN,
        lambda place: encode_dss_signature(
            numbers(place.signed(PAPERS))[0], numbers(place.signed(PAPERS))[1] + P256_ORDER
        ),
    ),
    "r-and-s-bare": (
        ANN,
        lambda place: b"".join(number.to_bytes(32) for number in numbers(place.signed(PAPERS))),
    ),
    "ber-long-length": (ANN, lambda place: b"\x30\x81" + by_ann(place)[1:]),
    "ber-indefinite-length": (
        ANN,
        lambda place: b"\x30\x80" + by_ann(place)[2:] + b"\0\0",
    ),
    "ber-padded-integer": (
        ANN,
        lambda place: padded(by_ann(place)),
    ),
    "trailing-byte": (ANN, lambda place: ANN.sign(place.signed(PAPERS)) + b"\0"),
    "leading-byte": (ANN, lambda place: b"\0" + ANN.sign(place.signed(PAPERS))),
    "cut": (ANN, lambda place: ANN.sign(place.signed(PAPERS))[:-1]),
    "twice": (ANN, lambda place: ANN.sign(place.signed(PAPERS)) * 2),
    "armored": (ANN, lambda _: b"-----BEGIN SSH SIGNATURE-----\n"),
    "algorithm-confusion-ed25519-for-ecdsa": (ANN, lambda place: BOB.sign(place.signed(PAPERS))),
    "algorithm-confusion-ecdsa-for-ed25519": (BOB, lambda place: ANN.sign(place.signed(PAPERS))),
    "algorithm-confusion-rsa-for-ecdsa": (
        ANN,
        lambda place: WEAK.sign(place.signed(PAPERS), padding.PKCS1v15(), hashes.SHA256()),
    ),
    "algorithm-confusion-hmac-with-the-public-key": (
        ANN,
        lambda place: hashlib.blake2b(place.signed(PAPERS), key=ANN.public.spki[:64]).digest(),
    ),
    "ed25519ph": (BOB, lambda place: variant(place.signed(PAPERS), prehashed=True)),
    "ed25519ph-with-a-context": (BOB, lambda place: variant(place.signed(PAPERS), prehashed=True, context=b"file")),
    "ed25519ctx": (BOB, lambda place: variant(place.signed(PAPERS), prehashed=False, context=b"bundle")),
    "ed25519-of-the-hash": (BOB, lambda place: BOB.sign(hashlib.sha512(place.signed(PAPERS)).digest())),
    "ed25519-s-above-the-order": (
        BOB,
        lambda place: above_the_order(BOB.sign(place.signed(PAPERS))),
    ),
    "ed25519-low-order-point": (BOB, lambda _: ED_SMALL + bytes(32)),
    "ed25519-trailing-byte": (BOB, lambda place: BOB.sign(place.signed(PAPERS)) + b"\0"),
    "ed25519-zeros": (BOB, lambda _: bytes(64)),
}  # fmt: skip


@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)
@pytest.mark.parametrize(("signer", "forge"), FORGED.values(), ids=FORGED)
def test_forged_signatures(signer: PrivateKey, forge: Forge, place: Place) -> None:
    place.check(signer, signer.sign(place.signed(PAPERS)))  # the right one passes, so it is the forgery that fails
    value = forge(place)
    if not value:
        with pytest.raises(BundlerError):
            place.check(signer, value)
        return
    with pytest.raises(SignatureError):
        place.check(signer, value)


def test_the_variants_are_what_they_are_called() -> None:
    """The forger's own arithmetic is right: libsodium takes its Ed25519ph."""
    from nacl.bindings import (
        crypto_sign_ed25519ph_final_verify,
        crypto_sign_ed25519ph_state,
        crypto_sign_ed25519ph_update,
    )

    state = crypto_sign_ed25519ph_state()
    crypto_sign_ed25519ph_update(state, b"message")
    signature = variant(b"message", prehashed=True)
    assert crypto_sign_ed25519ph_final_verify(state, signature, BOB.public.spki[-32:])


def test_a_digest_that_was_signed_as_such_is_the_same_signature() -> None:
    """A signer outside may hash by itself or be handed the hash: ECDSA can't tell, and need not."""
    message = pae(PAYLOAD_TYPE, PAPERS.payload())
    value = ecdsa(hashlib.sha256(message).digest(), ec.ECDSA(Prehashed(hashes.SHA256())))
    in_envelope(ANN, value)


def test_100_000_signatures_are_refused_before_one_is_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    good = PAPERS.signed_by(ANN)
    envelope = json.loads(good.envelope)
    envelope["signatures"] *= 100_000
    raw = json.dumps(envelope).encode()
    started = time.process_time()
    with pytest.raises(LimitError):
        verify(with_envelope(good, raw), keys=[ANN.public], now=NOW)
    short = {**envelope, "signatures": [{"sig": "cw=="}] * 100_000}
    with pytest.raises(LimitError):
        parse_envelope(json.dumps(short).encode())
    assert time.process_time() - started < 5


def test_100_000_signature_files_are_refused() -> None:
    good = PAPERS.signed_by(ANN)
    many = {f"SHA256SUMS.{number:016x}.sig": b"s" for number in range(100_000)}
    with pytest.raises(LimitError):
        verify(replace(good, signatures=many), keys=[ANN.public], now=NOW)


def test_a_key_id_in_capitals_is_another_id_and_the_same_key() -> None:
    envelope = Envelope(PAPERS.payload())
    value = ANN.sign(envelope.signed_bytes)
    twice = Envelope(
        envelope.payload, (Signature(ANN.public.key_id, value), Signature(ANN.public.key_id.upper(), value))
    )
    documents = PAPERS.under(twice, [ANN])
    with pytest.raises(TrustError, match="signed by 1 of the given keys, where 2 are needed"):
        verify(documents, keys=[ANN.public, BOB.public], threshold=2, now=NOW)
    assert verify(with_envelope(documents, serialise(twice)), keys=[ANN.public], now=NOW).signers == (
        ANN.public.key_id,
    )
