"""Whether to trust a bundle, in the order that SECURITY demands; only here is a :class:`Trusted` made.

    1  size caps                        kilobytes; nothing else of the bundle has been read
    2  the root of trust                the operator's keys and how many of them must have signed; or, of a managed site,
                                        its root, walked on along those that the bundle carries
    3  the threshold of signatures      over the payload's exact bytes; a denied key never counts
    4  the statement, strictly parsed   which only now is known to be the signers'
    5  policy                           its expiry; at a managed site its channel's signers, denials, rollback and
                                        equivocation before that
    6  SHA256SUMS and the inventory     agree with the statement, and VERIFY.txt with SHA256SUMS

What follows in that order needs the volumes: their digests and those of their contents while streaming, the closure of
every image, then push, then tags. Those steps take a :class:`Trusted`, and there is no other way to one.

    trusted = verify(documents, keys=[read_public_key(pem)], threshold=1, now=datetime.now(UTC))
    trusted = verify_managed(documents, root=root, state=state, roots={2: raw}, keep=write, now=datetime.now(UTC))
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import InitVar, dataclass, field
from datetime import datetime
from typing import final

from bundler.bundle.inventory import INVENTORY_CAP, Inventory, parse_inventory
from bundler.bundle.members import format_time
from bundler.bundle.statement import Statement, parse_statement
from bundler.bundle.volume import check_agreement
from bundler.errors import ArchiveError, ConfigError, LimitError, PolicyError, SignatureError, TrustError, quoted
from bundler.oci.digest import Digest, digest_of
from bundler.trust.clock import reckoned
from bundler.trust.dsse import ENVELOPE_CAP, MAX_SIGNATURE, MAX_SIGNATURES, Envelope, Signature, parse_envelope
from bundler.trust.keys import PublicKey
from bundler.trust.root import Role, SiteRoot, check_current, missing_for, walk
from bundler.trust.state import State, check_serial, judge
from bundler.trust.sums import ENVELOPE, INVENTORY, SUMS, SUMS_CAP, VERIFY, VERIFY_CAP, parse_sums, signature_name

_SEAL = object()
_MAX_TRIES = 4096
"""How often a signature is held against a key: those under unknown ids are tried with every key."""


@dataclass(frozen=True, slots=True)
class Documents:
    """A bundle's small files, as bytes: the envelope, the inventory, SHA256SUMS, VERIFY.txt, and the signatures by name.

    ``text`` is VERIFY.txt: nobody here reads it, but people copy commands out of it.
    """

    envelope: bytes
    inventory: bytes
    sums: bytes
    text: bytes
    signatures: Mapping[str, bytes]


@final
@dataclass(frozen=True, slots=True)
class Trusted:
    """What a verified bundle says. ``signers`` are the ids of the keys that were counted, none if not ``signed``.

    ``sums`` gives the digest of every file but the envelope and the signatures. ``payload`` is the statement's exact
    bytes, ``clock`` the time that its expiry was judged by. Only this module can make one.
    """

    statement: Statement
    inventory: Inventory
    sums: Mapping[str, Digest]
    signers: tuple[str, ...]
    signed: bool
    seal: InitVar[object]
    payload: bytes = field(default=b"", repr=False, kw_only=True)
    clock: datetime | None = field(default=None, kw_only=True)

    def __post_init__(self, seal: object) -> None:
        if seal is not _SEAL:
            raise TypeError("a Trusted bundle is made by bundler.trust.verify alone")

    @property
    def statement_digest(self) -> Digest:
        """The SHA-256 of the payload: what marks, denials and the next statement's ``previous`` name it by."""
        return digest_of(self.payload)


def verify(
    documents: Documents,
    *,
    keys: Sequence[PublicKey],
    threshold: int = 1,
    now: datetime,
    allow_expired: bool = False,
    min_serial: int | None = None,
) -> Trusted:
    """The bundle, if at least ``threshold`` of ``keys`` have signed it and nothing in it contradicts itself.

    ``now`` is the system clock, which is not believed where it says less than this release's day (:mod:`bundler.trust.clock`).
    Raises, by step: :class:`LimitError` (1), :class:`ConfigError` (2), :class:`SignatureError` for a signature that is
    missing or wrong and :class:`TrustError` for signers that are not among ``keys`` (3), :class:`ArchiveError` or
    :class:`bundler.errors.UnsupportedError` (4), :class:`PolicyError` (5), :class:`ArchiveError` or
    :class:`SignatureError` (6).
    """
    # 1  Size caps
    _check_sizes(documents)
    # 2  The root of trust
    roots = _roots(keys, threshold)
    # 3  The threshold of signatures, over the exact bytes
    if not documents.envelope:
        raise SignatureError(f"{ENVELOPE}: missing or empty: the bundle is unfinished, or not signed")
    envelope = parse_envelope(documents.envelope, what=ENVELOPE)
    signers, unknown = _signers(envelope, roots)
    if len(signers) < threshold:
        raise _too_few(len(signers), threshold, unknown)
    # 4  The statement, strictly parsed
    statement = parse_statement(envelope.payload, what=ENVELOPE)
    # 5  Policy
    check_serial(statement, min_serial)
    clock = reckoned(now, issued=statement.issued)
    if not allow_expired:
        _check_expiry(statement, clock)
    # 6  SHA256SUMS and the inventory agree with the statement
    return _agreed(documents, envelope, statement, list(signers.values()), clock=clock)


def verify_managed(
    documents: Documents,
    *,
    root: SiteRoot,
    state: State,
    roots: Mapping[int, bytes],
    keep: Callable[[SiteRoot], None],
    now: datetime,
    allow_expired: bool = False,
    rollback: bool = False,
    min_serial: int | None = None,
) -> Trusted:
    """The bundle, if a site takes it that trusts ``root`` and has come as far as ``state``; ``now`` is the system clock.

    ``roots`` are those that the bundle carries, by the version in their file names. ``keep`` makes each that is walked to
    durable before anything else is believed by it: it holds even if the bundle fails, so that a revoked key stays revoked.
    Raises as :func:`verify` does, and further by step: :class:`TrustError` for a root that is skipped, self-made or not
    signed by enough, :class:`PolicyError` for an expired one (2); :class:`TrustError` naming the signers that are missing
    (3, 5); :class:`PolicyError` for a denied statement, a rollback unless ``rollback`` is set, and equivocation (5).
    """
    # 1  Size caps
    _check_sizes(documents)
    # 2  The root of trust, walked step by step
    for step in walk(root, roots):
        keep(step)
        root = step
    check_current(root, reckoned(now, floor=state.floor))
    # 3  The threshold of signatures, over the exact bytes: of one role at least, and in step 5 of the channel's
    if not documents.envelope:
        raise SignatureError(f"{ENVELOPE}: missing or empty: the bundle is unfinished, or not signed")
    envelope = parse_envelope(documents.envelope, what=ENVELOPE)
    roles = [root.targets, *root.channels.values()]
    known = {key.key_id: key for role in roles for key in role.keys if key.key_id not in root.denied_keys}
    signers, unknown = _signers(envelope, known)
    if not any(_met(role, signers) for role in roles):
        raise _lacking(roles, root, signers, unknown)
    # 4  The statement, strictly parsed
    statement = parse_statement(envelope.payload, what=ENVELOPE)
    # 5  Policy: the channel's own signers, denials, rollback and equivocation, expiry
    role = root.role_for(statement.channel)
    if not _met(role, signers):
        raise _lacking([role], root, signers, unknown)
    digest = digest_of(envelope.payload)
    if digest in root.denied_statements:
        raise PolicyError(
            f"{statement.name} {statement.channel} {statement.serial}: root {root.version} denies this statement, {digest}",
            hint="it was withdrawn by its signers: ask for a newer bundle",
        )
    judge(state, statement, digest, rollback=rollback, min_serial=min_serial)
    clock = reckoned(now, floor=state.floor, issued=statement.issued)
    if not allow_expired:
        _check_expiry(statement, clock)
    # 6  SHA256SUMS and the inventory agree with the statement
    counted = [key for key in role.keys if key.key_id in signers]
    return _agreed(documents, envelope, statement, counted, clock=clock)


def accept_unsigned(documents: Documents, *, now: datetime | None = None, allow_expired: bool = False) -> Trusted:
    """The bundle, whoever made it: for ``--unsafe-no-signature`` alone. ``signed`` is false, for every report to show.

    Nothing stands for its origin; but its parts must still agree. Expiry is looked at if ``now`` is given.
    """
    # 1  Size caps; steps 2 and 3 are what is given up
    _check_sizes(documents)
    envelope = parse_envelope(documents.envelope, what=ENVELOPE)
    # 4  The statement, strictly parsed
    statement = parse_statement(envelope.payload, what=ENVELOPE)
    # 5  Policy; nobody vouches for when it was issued
    clock = None if now is None else reckoned(now)
    if clock is not None and not allow_expired:
        _check_expiry(statement, clock)
    # 6  SHA256SUMS and the inventory agree with the statement
    _check_present(documents)
    sums = _agreed_sums(documents, statement)
    inventory = _agreed_inventory(documents, statement)
    return Trusted(statement, inventory, sums, (), signed=False, seal=_SEAL, payload=envelope.payload, clock=clock)


def _agreed(
    documents: Documents, envelope: Envelope, statement: Statement, signers: Sequence[PublicKey], *, clock: datetime
) -> Trusted:
    """Step 6."""
    _check_present(documents)
    _check_sums_signatures(documents, envelope, signers)
    sums = _agreed_sums(documents, statement)
    inventory = _agreed_inventory(documents, statement)
    ids = tuple(key.key_id for key in signers)
    return Trusted(statement, inventory, sums, ids, signed=True, seal=_SEAL, payload=envelope.payload, clock=clock)


def _check_sizes(documents: Documents) -> None:
    sizes = [
        (ENVELOPE, documents.envelope, ENVELOPE_CAP),
        (INVENTORY, documents.inventory, INVENTORY_CAP),
        (SUMS, documents.sums, SUMS_CAP),
        (VERIFY, documents.text, VERIFY_CAP),
        *((quoted(name), content, MAX_SIGNATURE) for name, content in documents.signatures.items()),
    ]
    for name, content, cap in sizes:
        if len(content) > cap:
            raise LimitError(f"{name}: {len(content)} bytes, more than the {cap} allowed")
    if len(documents.signatures) > MAX_SIGNATURES:
        raise LimitError(f"{SUMS}: more than {MAX_SIGNATURES} signatures")


def _roots(keys: Sequence[PublicKey], threshold: int) -> dict[str, PublicKey]:
    """The distinct keys by id: one given twice, or under two names, counts once."""
    roots = {key.key_id: key for key in keys}
    if not roots:
        raise ConfigError("no key to verify the bundle with", hint="give its builder's public key with --key")
    if not 1 <= threshold <= len(roots):
        raise ConfigError(
            f"a threshold of {threshold} with {_count(len(roots), 'key')}",
            hint=f"give a --threshold from 1 to {len(roots)}; the same key given twice counts once",
        )
    return roots


def _signers(envelope: Envelope, roots: Mapping[str, PublicKey]) -> tuple[dict[str, PublicKey], list[Signature]]:
    """The keys that signed, each once however often it signed and under which id; and signatures of none of them."""
    if not envelope.signatures:
        raise SignatureError(f"{ENVELOPE}: the bundle is not signed")
    message = envelope.signed_bytes
    signers: dict[str, PublicKey] = {}
    unknown: list[Signature] = []
    tries = 0
    for signature in envelope.signatures:
        # An id only says which key to try first: a signature under no known id may still be a known key's.
        claimed = roots.get(signature.key_id)
        candidates = [claimed] if claimed else list(roots.values())
        tries += len(candidates)
        if tries > _MAX_TRIES:
            raise LimitError(f"{ENVELOPE}: too many signatures of unknown keys to try them all")
        signer = next((key for key in candidates if _is_by(key, message, signature.value)), None)
        if signer is not None:
            signers[signer.key_id] = signer
        elif claimed is not None:
            raise SignatureError(f"{ENVELOPE}: the signature of key {signature.key_id} does not match the statement")
        else:
            unknown.append(signature)
    return signers, unknown


def _met(role: Role, signers: Iterable[str]) -> bool:
    return len({key.key_id for key in role.keys} & set(signers)) >= role.threshold


def _lacking(
    roles: Sequence[Role], root: SiteRoot, signers: Mapping[str, PublicKey], unknown: Sequence[Signature]
) -> TrustError:
    """Which signatures are missing, key by key: for each role, if no bundle's channel is known yet."""
    parts = []
    for role in roles:
        found = [root.named(key.key_id) for key in role.keys if key.key_id in signers]
        missing = [root.named(key_id) for key_id in missing_for(role, set(signers), root.denied_keys)]
        denied = [root.named(key.key_id) for key in role.keys if key.key_id in root.denied_keys]
        parts.append(
            f"{role.name}: signed by {len(found)} of {_count(len(role.keys), 'key')}"
            + (f" ({', '.join(found)})" if found else "")
            + f", where {role.threshold} are needed; missing: {', '.join(missing) or 'none that may sign'}"
            + (f"; denied by the root: {', '.join(denied)}" if denied else "")
        )
    barred = sorted({each.key_id for each in unknown} & root.denied_keys)
    others = f"; also signed by keys that the root denies: {', '.join(barred[:10])}" if barred else ""
    return TrustError(
        f"{ENVELOPE}: root {root.version}, {'; '.join(parts)}{others}"
        + _strangers([each for each in unknown if each.key_id not in root.denied_keys]),
        hint="have those who are missing sign it: `bundler sign OUT --add --key THEIRS.key`",
    )


def _is_by(key: PublicKey, message: bytes, signature: bytes) -> bool:
    try:
        key.verify(message, signature)
    except SignatureError:
        return False
    return True


def _strangers(unknown: Sequence[Signature], words: str = "; also signed by") -> str:
    ids = sorted({quoted(each.key_id, 64) or "(without an id)" for each in unknown})
    return f"{words} {_count(len(ids), 'unknown key')}: {', '.join(ids[:10])}" if ids else ""


def _too_few(found: int, threshold: int, unknown: Sequence[Signature]) -> TrustError:
    if found == 0:
        return TrustError(
            f"{ENVELOPE}:{_strangers(unknown, ' signed only by')}",
            hint="if you trust one of them, give its public key with --key; a key's id is the SHA-256 of its DER form",
        )
    return TrustError(
        f"{ENVELOPE}: signed by {found} of the given keys, where {threshold} are needed{_strangers(unknown)}",
        hint="ask for the missing signatures, or give the public keys of further trusted signers with --key",
    )


def _check_expiry(statement: Statement, now: datetime) -> None:
    if statement.expires is not None and now >= statement.expires:
        raise PolicyError(
            f"{statement.name} {statement.channel} {statement.serial}: expired at {format_time(statement.expires)}, "
            f"and now it is {format_time(now)}",
            hint="ask for a newer bundle and check this machine's clock; --allow-expired takes this one all the same",
        )


def _check_present(documents: Documents) -> None:
    for name, content in ((SUMS, documents.sums), (INVENTORY, documents.inventory), (VERIFY, documents.text)):
        if not content:
            raise ArchiveError(f"{name}: missing or empty")


def _check_sums_signatures(documents: Documents, envelope: Envelope, signers: Iterable[PublicKey]) -> None:
    """Each signer that was counted has signed SHA256SUMS too, and nobody has who did not sign the statement."""
    expected = {signature_name(key.key_id): key for key in signers}
    for name, key in expected.items():
        if name not in documents.signatures:
            raise SignatureError(f"{name}: missing, while key {key.key_id} has signed the statement")
        if not _is_by(key, documents.sums, documents.signatures[name]):
            raise SignatureError(f"{name}: not the signature of key {key.key_id} over {SUMS}")
    claimed = {signature_name(each.key_id) for each in envelope.signatures}
    for name in documents.signatures:
        if name not in expected and name not in claimed:
            raise SignatureError(f"{quoted(name)}: of a key that has not signed the statement")


def _agreed_sums(documents: Documents, statement: Statement) -> dict[str, Digest]:
    sums = parse_sums(documents.sums)
    wanted = {subject.name: Digest(f"sha256:{subject.sha256}") for subject in statement.subjects}
    for name, digest in wanted.items():
        if name not in sums:
            raise ArchiveError(f"{SUMS}: {name} is missing")
        if sums[name] != digest:
            raise ArchiveError(f"{SUMS}: gives {name} another digest than the signed statement")
    if VERIFY not in sums:
        raise ArchiveError(f"{SUMS}: {VERIFY} is missing")
    if sums[VERIFY] != digest_of(documents.text):
        raise ArchiveError(
            f"{VERIFY}: not the file that {SUMS} lists: it was changed",
            hint="run none of the commands in it; copy the bundle again from where it was built",
        )
    if more := sorted(sums.keys() - wanted.keys() - {VERIFY}):
        raise ArchiveError(f"{SUMS}: lists {more[0]}, which is no file of this bundle")
    return sums


def _agreed_inventory(documents: Documents, statement: Statement) -> Inventory:
    found = digest_of(documents.inventory)
    if found != f"sha256:{statement.inventory_sha256}":
        raise ArchiveError(f"{INVENTORY}: not the file that the statement names; it hashes to {found}")
    inventory = parse_inventory(documents.inventory, what=INVENTORY)
    check_agreement(statement, inventory)
    return inventory


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
