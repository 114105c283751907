"""Roots for tests: sound ones, and ones with a defect that is signed all the same.

signed_root(2, root=(BOSS,), by=(BOSS,), edit=lambda signed: signed.update(version=7))
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from securesystemslib.formats import encode_canonical

from bundler.oci.digest import Digest
from bundler.trust.keys import PublicKey
from bundler.trust.root import Role, SiteRoot, pinned
from bundler.trust.root_making import Plan, draft
from bundler.trust.signing import PrivateKey
from tests.trust.papers import key

ANN, BOB, CAT, DAN, EVE = key("ann"), key("bob", "ed25519"), key("cat"), key("dan"), key("eve")
BOSS, CHIEF = key("boss"), key("chief", "ed25519")
EXPIRES = datetime(2031, 1, 1, tzinfo=UTC)
NAMES = {"ann": ANN, "bob": BOB, "cat": CAT, "dan": DAN, "eve": EVE, "boss": BOSS, "chief": CHIEF}


def role(name: str, keys: Sequence[PrivateKey | PublicKey], threshold: int) -> Role:
    return Role(name, tuple(k.public if isinstance(k, PrivateKey) else k for k in keys), threshold)


def signed_root(
    version: int = 1,
    *,
    root: Sequence[PrivateKey] = (BOSS,),
    root_threshold: int = 1,
    targets: Sequence[PrivateKey | PublicKey] = (ANN, BOB, CAT),
    threshold: int = 2,
    channels: Mapping[str, tuple[Sequence[PrivateKey], int]] | None = None,
    denied_keys: Sequence[PrivateKey] = (),
    denied_statements: Sequence[Digest] = (),
    expires: datetime = EXPIRES,
    by: Sequence[PrivateKey] | None = None,
    edit: Callable[[dict[str, Any]], object] = lambda _: None,
) -> bytes:
    plan = Plan(
        root=role("root", root, root_threshold),
        targets=role("targets", targets, threshold),
        channels={name: role(name, keys, least) for name, (keys, least) in (channels or {}).items()},
        denied_keys=frozenset(k.public.key_id for k in denied_keys),
        denied_statements=frozenset(denied_statements),
        names={k.public.key_id: name for name, k in NAMES.items()},
        expires=expires,
    )
    signed = json.loads(draft(plan, version))["signed"]
    edit(signed)
    return under(signed, root if by is None else by)


def under(signed: dict[str, Any], by: Sequence[PrivateKey]) -> bytes:
    """The metadata with signatures of ``by``, whoever they are."""
    try:
        message = (encode_canonical(signed) or "").encode()
    except Exception:
        message = b""
    signatures = [{"keyid": k.public.key_id, "sig": k.sign(message).hex()} for k in by]
    return json.dumps({"signatures": signatures, "signed": signed}).encode()


def trusted_root(version: int = 1, **options: Any) -> SiteRoot:
    return pinned(signed_root(version, **options), what=f"{version}.root.json")
