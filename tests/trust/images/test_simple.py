from __future__ import annotations

from collections.abc import Sequence

import pytest

from bundler.errors import BundlerError, LimitError, SignatureError, TrustError, UnsupportedError
from bundler.trust.images import simple
from bundler.trust.images.evidence import GPG, Found
from bundler.trust.images.identity import Identity
from bundler.trust.images.requirement import Gpg
from bundler.trust.simple_signing import Payload
from tests.trust.images.material import DIGEST, OTHER, evidence

NAME, FINGERPRINT = "reg.io/team/app:1", "A" * 40
SITE = Gpg((b"one", b"two"), Identity("matchRepoDigestOrExact"), ("one.asc", "two.asc"))
GOOD = Payload(DIGEST, NAME).serialised()


def check(content: bytes, *, error: BundlerError | None = None) -> Found:
    asked: list[Sequence[bytes]] = []

    def opened(message: bytes, keys: Sequence[bytes]) -> tuple[bytes, str]:
        asked.append(keys)
        if error is not None:
            raise error
        return message, FINGERPRINT

    found = simple.check(SITE, DIGEST, NAME, evidence("gpg", GPG, content), opened)
    assert asked == [(b"one", b"two")]
    return found


def test_a_good_message() -> None:
    found = check(GOOD)
    assert (found.verified, found.by, found.name, found.problem) == (True, (FINGERPRINT,), NAME, "")


@pytest.mark.parametrize("error", [SignatureError("BADSIG"), TrustError("foreign"), LimitError("large")])
def test_a_message_that_gpg_refuses_is_told(error: BundlerError) -> None:
    found = check(GOOD, error=error)
    assert (found.verified, found.by, found.problem) == (False, (), str(error))


def test_what_is_wrong_at_the_site_is_raised() -> None:
    with pytest.raises(UnsupportedError):
        check(GOOD, error=UnsupportedError("gpg is not installed"))


SPOILT = {
    "another digest": Payload(OTHER, NAME).serialised(),
    "another name": Payload(DIGEST, "reg.io/team/app:2").serialised(),
    "no tag": Payload(DIGEST, "reg.io/team/app").serialised(),
    "no name": Payload(DIGEST, "").serialised(),
    "control characters": Payload(DIGEST, "reg.io/team/app:1\u202e").serialised(),
    "cosign's type": GOOD.replace(b"atomic container", b"cosign container image"),
    "member in capitals": GOOD.replace(b'"critical"', b'"Critical"'),
    "member twice": GOOD.replace(b'"critical"', b'"critical": {}, "critical"', 1),
    "more in critical": GOOD.replace(b'"type"', b'"extra": 1, "type"'),
    "no optional": GOOD.replace(b'"optional"', b'"optionel"'),
    "trailing bytes": GOOD + b"{}",
    "empty": b"",
    "digest in capitals": GOOD.replace(DIGEST.encode(), DIGEST.upper().encode()),
}


@pytest.mark.parametrize("defect", SPOILT)
def test_a_bad_payload_is_told_and_counts_for_nothing(defect: str) -> None:
    found = check(SPOILT[defect])
    assert not found.verified
    assert found.problem
    assert found.problem.isprintable()
    assert found.name.isprintable()
