from __future__ import annotations

from dataclasses import replace

import pytest

from bundler.errors import ArchiveError, ConfigError
from bundler.trust.dsse import Envelope, Signature, parse_envelope, serialise
from bundler.trust.rounds import Round, has_signed, survey
from bundler.trust.signing import PrivateKey, sign_envelope
from bundler.trust.sums import signature_name
from bundler.trust.verify import Documents
from tests.trust.papers import Papers, key, with_envelope

ANN, BOB, CAT = key("ann"), key("bob", "ed25519"), key("cat")
NAMED = [("ann.pub", ANN.public), ("bob.pub", BOB.public), ("cat.pub", CAT.public)]


def seen(documents: Documents, threshold: int = 2) -> Round:
    return survey(documents, NAMED, threshold=threshold)


def states(documents: Documents) -> dict[str, str]:
    return {seat.name: seat.state for seat in seen(documents).seats}


@pytest.mark.parametrize(
    ("signers", "valid", "complete"),
    [((), 0, False), ((ANN,), 1, False), ((ANN, CAT), 2, True), ((ANN, BOB, CAT), 3, True)],
)
def test_who_has_signed(signers: tuple[PrivateKey, ...], valid: int, complete: bool) -> None:
    found = seen(Papers().signed_by(*signers))
    assert (found.valid, found.complete, found.strangers) == (valid, complete, ())
    assert [seat.state == "valid" for seat in found.seats] == [key in signers for key in (ANN, BOB, CAT)]
    assert {seat.state for seat in found.seats} <= {"valid", "missing"}


def test_strangers_are_named_by_what_they_claim() -> None:
    eve = key("eve")
    found = seen(Papers().signed_by(ANN, eve))
    assert found.strangers == (eve.public.key_id,)
    assert found.valid == 1


def test_a_signature_under_a_foreign_id_counts_as_in_verification() -> None:
    good = Papers().signed_by(ANN)
    envelope = parse_envelope(good.envelope)
    renamed = Envelope(envelope.payload, (Signature("x", envelope.signatures[0].value),))
    found = seen(with_envelope(good, serialise(renamed)))
    assert states(with_envelope(good, serialise(renamed)))["ann.pub"] == "valid"
    assert found.strangers == ("x",)


def test_one_key_under_two_names_is_one_signer() -> None:
    found = survey(Papers().signed_by(ANN), [("ann.pub", ANN.public), ("again.pub", ANN.public)], threshold=1)
    assert [seat.name for seat in found.seats] == ["ann.pub"]
    with pytest.raises(ConfigError, match="where 1 different keys are given"):
        survey(Papers().signed_by(ANN), [("ann.pub", ANN.public), ("again.pub", ANN.public)], threshold=2)


@pytest.mark.parametrize("threshold", [0, -1, 4], ids=["0", "-1", "above-n"])
def test_a_threshold_that_means_nothing(threshold: int) -> None:
    with pytest.raises(ConfigError, match="a threshold of"):
        seen(Papers().signed_by(ANN), threshold)


def foreign(documents: Documents) -> Documents:
    envelope = parse_envelope(documents.envelope)
    return with_envelope(
        documents,
        serialise(envelope.with_signature(Signature(ANN.public.key_id, CAT.sign(envelope.signed_bytes)))),
    )


NAME = signature_name(ANN.public.key_id)
OTHER = Papers(volumes=(b"another volume",))
WRONG = {
    "foreign": (foreign, "not one over the statement"),
    "stripped-sums-signature": (lambda d: replace(d, signatures={}), "is missing"),
    "swapped-between-two-bundles": (
        lambda d: replace(d, signatures={**d.signatures, NAME: OTHER.signed_by(ANN).signatures[NAME]}),
        "not one over SHA256SUMS",
    ),
    "foreign-sums-signature": (
        lambda d: replace(d, signatures={**d.signatures, NAME: CAT.sign(d.sums)}),
        "not one over SHA256SUMS",
    ),
    "statement-of-another-bundle": (
        lambda d: with_envelope(
            d, serialise(Envelope(OTHER.payload(), parse_envelope(d.envelope).signatures))
        ),
        "not one over the statement",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("change", "detail"), WRONG.values(), ids=WRONG)
def test_wrong_signatures_are_told_from_missing_ones(change: object, detail: str) -> None:
    found = seen(change(Papers().signed_by(ANN, CAT)), 1)  # type: ignore[operator]  # a function of the table
    ann = found.seats[0]
    assert ann.state == "wrong"
    assert detail in ann.detail
    assert not found.complete


def test_a_damaged_envelope() -> None:
    with pytest.raises(ArchiveError):
        seen(with_envelope(Papers().signed_by(ANN), b"{}"))


def test_document() -> None:
    document = seen(Papers().signed_by(ANN)).document()
    assert (document["threshold"], document["valid"], document["complete"], document["others"]) == (2, 1, False, [])
    assert document["signers"][1] == {
        "name": "bob.pub",
        "keyId": BOB.public.key_id,
        "algorithm": "ed25519",
        "state": "missing",
        "detail": "",
    }


def test_has_signed() -> None:
    envelope = sign_envelope(Envelope(b"p"), ANN)
    assert has_signed(envelope, ANN.public)
    assert not has_signed(envelope, BOB.public)


def test_a_denied_key_never_counts() -> None:
    denied = frozenset([ANN.public.key_id])
    found = survey(Papers().signed_by(ANN, CAT), NAMED, threshold=2, denied=denied)
    assert [seat.state for seat in found.seats] == ["denied", "missing", "valid"]
    assert not found.complete
