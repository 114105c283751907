"""A managed site's verification; tests are named by the step of ``bundler.trust.verify`` that they are about."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from bundler.errors import ArchiveError, LimitError, PolicyError, SignatureError, TrustError
from bundler.oci.digest import digest_of
from bundler.trust import verify as module
from bundler.trust.clock import BUILD
from bundler.trust.dsse import Envelope, Signature, parse_envelope, serialise
from bundler.trust.root import SiteRoot
from bundler.trust.state import State, accepted
from bundler.trust.verify import Documents, Trusted, verify, verify_managed
from tests.trust.papers import NOW, Papers, with_envelope
from tests.trust.roots import ANN, BOB, BOSS, CAT, CHIEF, DAN, EVE, signed_root, trusted_root

SITE = trusted_root()
TWO_OF_THREE = Papers().signed_by(ANN, CAT)


def check(documents: Documents, root: SiteRoot = SITE, **options: Any) -> Trusted:
    options = {"state": State(), "roots": {}, "keep": lambda _: None, "now": NOW, **options}
    return verify_managed(documents, root=root, **options)


def test_two_of_three() -> None:
    trusted = check(TWO_OF_THREE)
    assert set(trusted.signers) == {ANN.public.key_id, CAT.public.key_id}
    assert trusted.signed
    assert trusted.statement == Papers().statement()
    assert trusted.statement_digest == digest_of(Papers().payload())
    assert trusted.clock == NOW
    assert set(check(Papers().signed_by(ANN, BOB, CAT)).signers) == {k.public.key_id for k in (ANN, BOB, CAT)}


# 1  Size caps


def test_1_comes_before_the_roots() -> None:
    with pytest.raises(LimitError):
        check(replace(TWO_OF_THREE, sums=bytes(2 << 20)), roots={2: b"junk"})


# 2  The root of trust


def test_2_walked_and_kept_step_by_step() -> None:
    kept: list[SiteRoot] = []
    roots = {
        2: signed_root(2, root=(CHIEF,), by=(BOSS, CHIEF)),
        3: signed_root(3, root=(CHIEF,), targets=(DAN, EVE), threshold=2),
    }
    trusted = check(Papers().signed_by(DAN, EVE), roots=roots, keep=kept.append)
    assert set(trusted.signers) == {DAN.public.key_id, EVE.public.key_id}
    assert [root.version for root in kept] == [2, 3]
    with pytest.raises(TrustError, match="root 3, targets: signed by 0 of 2 keys"):
        check(TWO_OF_THREE, roots=roots)


def test_2_steps_hold_even_if_the_bundle_fails() -> None:
    kept: list[SiteRoot] = []
    with pytest.raises(TrustError):
        check(Papers().signed_by(EVE), roots={2: signed_root(2)}, keep=kept.append)
    assert [root.version for root in kept] == [2]


def test_2_skipped_and_self_made() -> None:
    with pytest.raises(TrustError, match=r"3\.root\.json: root 2 is missing"):
        check(TWO_OF_THREE, roots={3: signed_root(3)})
    mine = signed_root(1, root=(EVE,), targets=(EVE,), threshold=1)
    with pytest.raises(TrustError, match="self-made"):
        check(Papers().signed_by(EVE), roots={1: mine})


def test_2_expired_root() -> None:
    old = trusted_root(expires=NOW)
    with pytest.raises(PolicyError, match=r"1\.root\.json: expired at 2030-06-01"):
        check(TWO_OF_THREE, old)
    with pytest.raises(PolicyError, match=r"1\.root\.json: expired"):
        check(TWO_OF_THREE, old, allow_expired=True)
    with pytest.raises(PolicyError, match=r"1\.root\.json: expired"):
        check(TWO_OF_THREE, old, now=datetime(1970, 1, 1, tzinfo=UTC), state=State(floor=NOW))
    assert check(TWO_OF_THREE, old, roots={2: signed_root(2)})


# 3  The threshold of signatures


def test_3_too_few_names_who_is_missing() -> None:
    with pytest.raises(TrustError) as caught:
        check(Papers().signed_by(BOB))
    said = str(caught.value)
    assert "targets: signed by 1 of 3 keys" in said
    assert "where 2 are needed" in said
    missing = said.partition("missing: ")[2]
    for who, name in ((ANN, "ann"), (CAT, "cat")):
        assert f"{name} ({who.public.short_id})" in missing
    assert "bob" not in missing


def test_3_unknown_signers_are_named() -> None:
    with pytest.raises(TrustError, match=f"also signed by 1 unknown key: {EVE.public.key_id}"):
        check(Papers().signed_by(ANN, EVE))


def test_3_one_key_under_two_ids_counts_once() -> None:
    envelope = Envelope(Papers().payload())
    value = ANN.sign(envelope.signed_bytes)
    twice = Envelope(envelope.payload, (Signature(ANN.public.key_id, value), Signature("f" * 64, value)))
    with pytest.raises(TrustError, match="signed by 1 of 3 keys"):
        check(Papers().under(twice, [ANN]))


def test_3_a_denied_key_never_counts() -> None:
    root = trusted_root(denied_keys=(ANN,))
    with pytest.raises(TrustError, match=r"signed by 1 of 3 keys \(cat.*denied by the root: ann"):
        check(TWO_OF_THREE, root)
    trusted = check(Papers().signed_by(ANN, BOB, CAT), root)
    assert set(trusted.signers) == {BOB.public.key_id, CAT.public.key_id}
    with pytest.raises(TrustError, match="missing: none that may sign"):
        check(Papers().signed_by(ANN), trusted_root(targets=(ANN,), threshold=1, denied_keys=(ANN,)))
    with pytest.raises(TrustError, match=f"also signed by keys that the root denies: {DAN.public.key_id}$"):
        check(Papers().signed_by(DAN), trusted_root(denied_keys=(DAN,)))


def test_3_a_denial_in_the_bundles_own_root_counts_at_once() -> None:
    with pytest.raises(TrustError, match="denied by the root: ann"):
        check(TWO_OF_THREE, roots={2: signed_root(2, denied_keys=(ANN,))})


def test_3_stripped() -> None:
    with pytest.raises(SignatureError, match="not signed"):
        check(Papers().signed_by())
    with pytest.raises(SignatureError, match="missing or empty"):
        check(with_envelope(TWO_OF_THREE, b""))


def test_3_swapped_between_two_bundles() -> None:
    other = parse_envelope(Papers(serial=8).signed_by(ANN, CAT).envelope)
    with pytest.raises(SignatureError, match="does not match"):
        check(with_envelope(TWO_OF_THREE, serialise(Envelope(Papers().payload(), other.signatures))))


def test_3_many_unknown_signatures_are_not_all_tried() -> None:
    """1024 of them against 200 keys would be 200,000 verifications."""
    envelope = Envelope(Papers().payload(), tuple(Signature(f"{n:064x}", b"x") for n in range(1024)))
    many = (ANN, BOB, CAT, DAN, EVE)
    with pytest.raises(LimitError, match="too many signatures of unknown keys"):
        check(Papers().under(envelope, []), trusted_root(targets=many))


def test_3_nothing_is_parsed_before(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: Any, **__: Any) -> None:
        pytest.fail("parsed before it was verified")

    monkeypatch.setattr(module, "parse_statement", never)
    with pytest.raises(TrustError):
        check(Papers().signed_by(ANN))
    with pytest.raises(TrustError, match=r"targets: signed by 0 .*beta: signed by 1 of 2 keys"):
        check(Papers().signed_by(DAN), trusted_root(channels={"beta": ((DAN, EVE), 2)}))


# 4  The statement, strictly parsed


def test_4_signed_and_no_statement() -> None:
    payload = b"{}"
    envelope = Envelope(payload)
    signatures = tuple(Signature(k.public.key_id, k.sign(envelope.signed_bytes)) for k in (ANN, BOB))
    with pytest.raises(ArchiveError):
        check(Papers().under(Envelope(payload, signatures), [ANN, BOB]))


# 5  Policy


def test_5_a_channel_with_signers_of_its_own() -> None:
    root = trusted_root(channels={"stable": ((DAN, EVE), 1)})
    assert check(Papers().signed_by(DAN), root).signers == (DAN.public.key_id,)
    with pytest.raises(TrustError, match=r"stable: signed by 0 of 2 keys, where 1 are needed; missing: .*dan"):
        check(TWO_OF_THREE, root)
    beta = trusted_root(channels={"beta": ((DAN,), 1)})
    with pytest.raises(TrustError, match="targets: signed by 0 of 3 keys"):
        check(Papers().signed_by(DAN), beta)
    assert check(Papers().signed_by(ANN, CAT, DAN), beta)


def test_5_denied_statement() -> None:
    digest = digest_of(Papers().payload())
    with pytest.raises(PolicyError, match=f"root 1 denies this statement, {digest}"):
        check(TWO_OF_THREE, trusted_root(denied_statements=(digest,)))
    assert check(TWO_OF_THREE, trusted_root(denied_statements=(digest_of(b"another"),)))


def after(serial: int) -> State:
    statement = Papers(serial=serial).statement()
    return accepted(State(), statement, digest_of(Papers(serial=serial).payload()), now=NOW)


def test_5_rollback() -> None:
    assert check(TWO_OF_THREE, state=after(6))
    assert check(TWO_OF_THREE, state=after(7))
    with pytest.raises(PolicyError, match="rollback: edge stable 7"):
        check(TWO_OF_THREE, state=after(8))
    assert check(TWO_OF_THREE, state=after(8), rollback=True)


def test_5_equivocation() -> None:
    other = Papers(volumes=(b"other one", b"volume two")).signed_by(ANN, CAT)
    for rollback in (False, True):
        with pytest.raises(PolicyError, match="ALARM: equivocation"):
            check(other, state=after(7), rollback=rollback)


def test_5_min_serial() -> None:
    assert check(TWO_OF_THREE, min_serial=7)
    with pytest.raises(PolicyError, match="below the serial 8"):
        check(TWO_OF_THREE, min_serial=8)
    with pytest.raises(PolicyError, match="below the serial 8"):
        verify(TWO_OF_THREE, keys=[ANN.public], now=NOW, min_serial=8)


EXPIRING = Papers(expires=NOW).signed_by(ANN, CAT)
CLOCKS = {
    "right": (NOW, None, True),
    "a-second-before": (NOW - timedelta(seconds=1), None, False),
    "1970-of-a-site-that-was-there": (datetime(1970, 1, 1, tzinfo=UTC), NOW, True),
    "1970-of-a-new-site": (datetime(1970, 1, 1, tzinfo=UTC), None, False),
    "2099": (datetime(2099, 1, 1, tzinfo=UTC), None, True),
}


@pytest.mark.parametrize(("now", "floor", "expired"), CLOCKS.values(), ids=CLOCKS)
def test_5_expiry_by_the_floored_clock(now: datetime, floor: datetime | None, expired: bool) -> None:
    root = trusted_root(expires=datetime(2199, 1, 1, tzinfo=UTC))
    if not expired:
        assert check(EXPIRING, root, now=now, state=State(floor=floor))
        return
    with pytest.raises(PolicyError, match="edge stable 7: expired at 2030-06-01"):
        check(EXPIRING, root, now=now, state=State(floor=floor))
    assert check(EXPIRING, root, now=now, state=State(floor=floor), allow_expired=True)


def test_5_expired_before_this_release_was_made() -> None:
    documents = Papers(expires=BUILD).signed_by(ANN, CAT)
    with pytest.raises(PolicyError, match="expired"):
        check(documents, now=datetime(1970, 1, 1, tzinfo=UTC))


def test_5_comes_after_the_signatures() -> None:
    with pytest.raises(TrustError):
        check(Papers(expires=NOW).signed_by(ANN), state=after(8))


# 6  SHA256SUMS and the inventory


def test_6_every_signer_that_counts_signed_the_sums() -> None:
    left = {name: raw for name, raw in TWO_OF_THREE.signatures.items() if ANN.public.short_id not in name}
    with pytest.raises(SignatureError, match="missing, while key"):
        check(replace(TWO_OF_THREE, signatures=left))


def test_6_another_inventory() -> None:
    with pytest.raises(ArchiveError):
        check(replace(TWO_OF_THREE, inventory=b"{}"))
