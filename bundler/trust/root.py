"""A site's root of trust: TUF root metadata that says whose bundles are taken, and which root may follow it.

    root.roles.root              who signs roots, and how many of them must
    root.roles.targets           who signs bundles: keys and threshold
    root.x-bundler-channels      {channel: {keyids, threshold}}: who signs bundles of that channel instead
    root.x-bundler-denied        {keys: [id, …], statements: [digest, …]}: what never counts, whoever signed it

    for step in walk(ours, {2: raw2, 3: raw3}):     # each is signed by its predecessor's threshold and by its own
        keep(step)                                  # and holds from then on, whatever becomes of the bundle
    check_current(step, now)

Reading, canonical form and signatures are python-tuf's (TUF specification 1.0.31, sections 4.3 and 5.3); every key must be
one that :mod:`bundler.trust.keys` takes, and must stand under its own id: its bundler id, or the one TUF's tools compute.
A key that a root denies does not count towards that root's own threshold, nor towards the next one's.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from bundler.bundle.members import format_time, line_in
from bundler.errors import BundlerError, ConfigError, LimitError, PolicyError, TrustError, quoted
from bundler.oci.digest import Digest, is_digest
from bundler.oci.strict_json import Fields, loads
from bundler.trust.keys import PublicKey, public_key_of, read_public_key

if TYPE_CHECKING:
    from tuf.api.metadata import Metadata, Root

ROOT_CAP = 256 << 10
"""Bytes of one root."""
MAX_STEPS = 256
"""Roots walked in one run."""
MAX_VERSION = 999_999
MAX_KEYS = 256
MAX_SIGNATURES = 1024
CHANNELS = "x-bundler-channels"
DENIED = "x-bundler-denied"
NAME = "x-bundler-name"
MAX_NAME = 100
"""Characters of a key's name."""
_VALUES = 20_000
_ASK = "do not use it: get the root again from where it was made, or from a copy that was kept"
_ED25519 = bytes.fromhex("302a300506032b6570032100")
SCHEMES = {
    "ecdsa-p256": ("ecdsa", "ecdsa-sha2-nistp256"),
    "ed25519": ("ed25519", "ed25519"),
    "rsa": ("rsa", "rsa-pkcs1v15-sha256"),
}
"""TUF's key type and scheme for each algorithm."""


@dataclass(frozen=True, slots=True)
class Role:
    """Keys of which ``threshold`` must have signed; none is there twice. ``name`` is targets, root or the channel's."""

    name: str
    keys: tuple[PublicKey, ...]
    threshold: int


@dataclass(frozen=True, slots=True)
class SiteRoot:
    """A root that was read; whether it is to be trusted is said by whoever gives it away: :func:`pinned`, :func:`walk`."""

    raw: bytes = field(repr=False)
    version: int
    expires: datetime
    root: Role
    targets: Role
    channels: Mapping[str, Role]
    denied_keys: frozenset[str]
    denied_statements: frozenset[Digest]
    names: Mapping[str, str]
    metadata: Metadata[Root] = field(repr=False, compare=False)

    @property
    def fingerprint(self) -> str:
        """The SHA-256 of the file, as ``sha256sum`` prints it."""
        return hashlib.sha256(self.raw).hexdigest()

    @property
    def file_name(self) -> str:
        """``N.root.json``."""
        return root_name(self.version)

    def role_for(self, channel: str) -> Role:
        """Who signs bundles of this channel."""
        return self.channels.get(channel, self.targets)

    def named(self, key_id: str) -> str:
        """A key as a person knows it: its name and the start of its id."""
        name = self.names.get(key_id, "")
        return f"{name} ({key_id[:16]})" if name else key_id


def root_name(version: int) -> str:
    """The file of that version, here and in a bundle."""
    return f"{version}.root.json"


def version_in(name: str) -> int | None:
    """The version that a file name claims; None for any other name."""
    digits, dot, rest = name.partition(".")
    if not dot or rest != "root.json" or not digits.isascii() or not digits.isdigit():
        return None
    return int(digits) if len(digits) <= 6 and digits == str(int(digits)) and int(digits) else None


def parse_root(raw: bytes, *, what: str) -> SiteRoot:
    """A root's content, nothing of it trusted.

    Raises :class:`TrustError` if it is not root metadata that bundler takes, :class:`LimitError` beyond 256 KiB, and
    :class:`ConfigError` where python-tuf is not installed.
    """
    try:
        value = loads(raw, what=what, cap=ROOT_CAP, values=_VALUES, error=_unfit)
    except LimitError as problem:
        raise LimitError(str(problem), hint=_ASK) from None
    fields = Fields(value, what=what, error=_unfit)
    signed = fields.object("signed")
    _check_frame(fields, signed)
    for name in value["signed"]:
        if name.startswith("x-bundler-") and name not in (CHANNELS, DENIED):
            raise signed.fail(quoted(name), "is not known to this version: what it demands can't be obeyed")
    channels = _channels(signed, value["signed"])
    denied_keys, denied_statements = _denied(signed)
    metadata = _metadata(value, what)
    keys, names, known = _keys(metadata.signed, what)
    own, targets = metadata.signed.roles["root"], metadata.signed.roles["targets"]
    return SiteRoot(
        raw=raw,
        version=metadata.signed.version,
        expires=metadata.signed.expires,
        root=_role("root", own.keyids, own.threshold, keys, what),
        targets=_role("targets", targets.keyids, targets.threshold, keys, what),
        channels={name: _role(name, ids, threshold, keys, what) for name, (ids, threshold) in channels.items()},
        denied_keys=frozenset(known.get(name, name) for name in denied_keys),
        denied_statements=denied_statements,
        names=names,
        metadata=metadata,
    )


def pinned(raw: bytes, *, what: str) -> SiteRoot:
    """A root that was got out of band, or is ours already: it must satisfy its own threshold."""
    root = parse_root(raw, what=what)
    _check_signed(root, root, what)
    return root


def walk(trusted: SiteRoot, candidates: Mapping[int, bytes]) -> Iterator[SiteRoot]:
    """Each root that follows ``trusted`` among ``candidates`` (by the version that their file names claim), in order.

    Every step is signed by the threshold of the root before it and by its own, and its version is the next (TUF, 5.3.4 and
    5.3.5). Expiry is not looked at on the way, but at the end: :func:`check_current`. A candidate of our own version must
    say what ours says. Raises :class:`TrustError` naming the file, :class:`LimitError` beyond 256 steps.
    """
    ahead = [version for version in sorted(candidates) if version >= trusted.version]
    if len(ahead) > MAX_STEPS:
        raise LimitError(
            f"{root_name(ahead[-1])}: {len(ahead)} roots in one walk, more than the {MAX_STEPS} allowed",
            hint="verify an older bundle first, which carries fewer of them, or pin a newer root with `bundler trust init`",
        )
    for version in ahead:
        what = root_name(version)
        if version > trusted.version + 1:
            raise TrustError(
                f"{what}: root {trusted.version + 1} is missing, which must come between it and root {trusted.version}",
                hint="ask for a bundle that carries every root; copy all N.root.json files of the bundle",
            )
        root = parse_root(candidates[version], what=what)
        if root.version != version:
            raise _unfit(f"{what}: says that it is version {root.version}")
        if version == trusted.version:
            if root.metadata.signed_bytes != trusted.metadata.signed_bytes:
                raise TrustError(
                    f"{what}: is another root than the {what} that this site trusts: self-made, or of another site",
                    hint="do not use this bundle; if its site was set up anew, pin the new root with `bundler trust init`",
                )
            continue
        _check_signed(root, trusted, what)
        _check_signed(root, root, what)
        trusted = root
        yield root


def check_current(root: SiteRoot, now: datetime) -> None:
    """:class:`PolicyError` if the last root of the walk has expired (TUF, 5.3.10)."""
    if now >= root.expires:
        raise PolicyError(
            f"{root.file_name}: expired at {format_time(root.expires)}, and now it is {format_time(now)}",
            hint="`bundler trust rotate` makes a newer root where bundles are built; check this machine's clock, too",
        )


def missing_for(role: Role, signed: Collection[str], denied: frozenset[str] = frozenset()) -> list[str]:
    """The ids of those keys of a role that have not signed and may."""
    return [key.key_id for key in role.keys if key.key_id not in signed and key.key_id not in denied]


def signatures_by(owner: SiteRoot, root: SiteRoot) -> dict[str, str]:
    """Signatures of ``owner``'s root keys that hold over ``root``: the id that each is under, and its key's bundler id.

    The ids are those that the keys stand under in ``owner``, as TUF counts them. Keys that ``owner`` denies are left out.
    """
    role = owner.metadata.signed.roles["root"]
    keys = dict(zip(role.keyids, owner.root.keys, strict=True))
    result = owner.metadata.signed.get_verification_result("root", root.metadata.signed_bytes, root.metadata.signatures)
    ids = {name: keys[name].key_id for name in result.signed}
    return {name: key_id for name, key_id in ids.items() if key_id not in owner.denied_keys}


def _check_signed(root: SiteRoot, owner: SiteRoot, what: str) -> None:
    """The threshold of ``owner``'s root role for ``root``; ``owner`` is the root itself or its predecessor."""
    role = owner.root
    signed = signatures_by(owner, root).values()
    if len(signed) >= role.threshold:
        return
    missing = ", ".join(owner.named(key_id) for key_id in missing_for(role, signed, owner.denied_keys))
    denied = ", ".join(owner.named(key.key_id) for key in role.keys if key.key_id in owner.denied_keys)
    whose = "its own root keys" if owner is root else f"the root keys of root {owner.version}, which this site trusts"
    raise TrustError(
        f"{what}: signed by {len(signed)} of {whose}, where {role.threshold} are needed; "
        f"missing: {missing or 'none that may sign'}" + (f"; denied: {denied}" if denied else ""),
        hint="it is self-made, of another site, or not finished: `bundler trust sign` adds signatures where the keys are",
    )


def tuf_key(key: PublicKey) -> Any:
    """The key as securesystemslib's, under its bundler id."""
    from securesystemslib.signer import SSlibKey

    kind, scheme = SCHEMES[key.algorithm]
    public = key.spki[len(_ED25519) :].hex() if key.algorithm == "ed25519" else key.pem.decode("ascii")
    return SSlibKey(key.key_id, kind, scheme, {"public": public})


def default_id(key: Any) -> str:
    """The id that TUF's own tools give a key: the SHA-256 of its canonical JSON."""
    from securesystemslib.formats import encode_canonical

    text = encode_canonical({"keytype": key.keytype, "scheme": key.scheme, "keyval": key.keyval}) or ""
    return hashlib.sha256(text.encode()).hexdigest()


def needs_tuf(problem: ImportError) -> BundlerError:
    """What to say where the libraries are not there."""
    return ConfigError(
        f"a trust directory needs python-tuf, which is not installed ({problem})",
        hint="pip install 'oci-bundler[trust]'",
    )


def _unfit(message: str) -> TrustError:
    """What to say of a file that is no root which bundler takes."""
    return TrustError(message, hint=_ASK)


def _metadata(value: Any, what: str) -> Metadata[Root]:
    try:
        from tuf.api.metadata import Metadata
    except ImportError as problem:
        raise needs_tuf(problem) from None
    try:
        metadata: Metadata[Root] = Metadata.from_dict(value)
        _ = metadata.signed_bytes  # canonical JSON has no floats
    except Exception as problem:  # noqa: BLE001  # the library names no classes of its own here
        raise _unfit(f"{what}: not TUF root metadata: {quoted(f'{type(problem).__name__}: {problem}')}") from None
    return metadata


def _check_frame(fields: Fields, signed: Fields) -> None:
    """What the library leaves open: exact types, bounds, and members of ours that this version does not know."""
    if (kind := signed.text("_type")) != "root":
        raise signed.fail("_type", f"must be root, not {quoted(kind)!r}")
    if not 1 <= signed.size("version") <= MAX_VERSION:
        raise signed.fail("version", f"must be from 1 to {MAX_VERSION}")
    if signed.text("spec_version").split(".")[:2] != ["1", "0"]:
        raise signed.fail("spec_version", f"must be 1.0, not {quoted(signed.text('spec_version'))!r}")
    signed.text("expires")
    if len(fields.array("signatures")) > MAX_SIGNATURES:
        raise LimitError(f"{fields.what}: more than {MAX_SIGNATURES} signatures", hint=_ASK)
    roles = signed.object("roles")
    for name in ("root", "targets", "snapshot", "timestamp"):
        _role_fields(roles.object(name))
    roles.done()
    for each in fields.each("signatures"):
        each.text("keyid")
        each.text("sig")


def _role_fields(fields: Fields) -> tuple[tuple[str, ...], int]:
    ids, threshold = fields.texts("keyids"), fields.size("threshold")
    if threshold < 1:
        raise fields.fail("threshold", "must be at least 1")
    if len(set(ids)) != len(ids):
        raise fields.fail("keyids", "name a key twice")
    return ids, threshold


def _channels(signed: Fields, members: Mapping[str, Any]) -> dict[str, tuple[tuple[str, ...], int]]:
    if CHANNELS not in signed:
        return {}
    channels = signed.object(CHANNELS)
    found = {}
    for name in members[CHANNELS]:
        line_in(Fields({"channel": name}, what=channels.what, error=_unfit), "channel")
        role = channels.object(name)
        found[name] = _role_fields(role)
        role.done()
    return found


def _denied(signed: Fields) -> tuple[tuple[str, ...], frozenset[Digest]]:
    if DENIED not in signed:
        return (), frozenset()
    denied = signed.object(DENIED)
    keys = denied.texts("keys") if "keys" in denied else ()
    statements = denied.texts("statements") if "statements" in denied else ()
    denied.done()
    for key in keys:
        if len(key) != 64 or set(key) - set("0123456789abcdef"):
            raise denied.fail("keys", f"must be ids of 64 hexadecimal characters, not {quoted(key, 80)!r}")
    for digest in statements:
        if not is_digest(digest):
            raise denied.fail("statements", f"must be digests, not {quoted(digest, 80)!r}")
    return keys, frozenset(Digest(digest) for digest in statements)


def _keys(root: Root, what: str) -> tuple[dict[str, PublicKey], dict[str, str], dict[str, str]]:
    """The keys by the id they stand under, their names by bundler id, and bundler ids by all ids that a key is known under."""
    keys: dict[str, PublicKey] = {}
    names: dict[str, str] = {}
    known: dict[str, str] = {}
    if len(root.keys) > MAX_KEYS:
        raise LimitError(f"{what}: more than {MAX_KEYS} keys", hint=_ASK)
    for key_id, key in root.keys.items():
        about = f"{what}: key {quoted(key_id, 80)}"
        public = _public_key(key, about)
        if key_id not in (public.key_id, default_id(key)):
            raise _unfit(f"{about}: is not the id of the key that stands under it, {public.key_id}")
        if public in keys.values():
            raise _unfit(f"{about}: a key that is there under another id already: it would count twice")
        keys[key_id] = public
        name = key.unrecognized_fields.get(NAME, "")
        if not isinstance(name, str) or len(name) > MAX_NAME or not name.isprintable():
            raise _unfit(f"{about}: {NAME} must be at most {MAX_NAME} printable characters")
        names[public.key_id] = name
        known |= dict.fromkeys((public.key_id, default_id(key), default_id(tuf_key(public))), public.key_id)
    return keys, names, known


def _public_key(key: Any, about: str) -> PublicKey:
    """The key under our own rules, of the algorithm that its type and scheme say."""
    public = key.keyval.get("public", "")
    try:
        if key.keytype == "ed25519":
            found = public_key_of(_ED25519 + bytes.fromhex(public), what=about)
        else:
            found = read_public_key(public.encode("utf-8"), what=about)
    except (ConfigError, ValueError) as problem:
        raise _unfit(f"{about}: not a key that can be used: {quoted(str(problem))}") from None
    if (key.keytype, key.scheme) != SCHEMES[found.algorithm]:
        raise _unfit(
            f"{about}: {quoted(key.keytype)}/{quoted(key.scheme)}, which does not fit an {found.algorithm} key"
        )
    return found


def _role(name: str, ids: Any, threshold: int, keys: Mapping[str, PublicKey], what: str) -> Role:
    unknown = [key_id for key_id in ids if key_id not in keys]
    if unknown:
        raise _unfit(f"{what}: role {name}: key {quoted(unknown[0], 80)} is not there")
    if threshold > len(ids):
        raise _unfit(f"{what}: role {name}: a threshold of {threshold} with {len(ids)} keys can't be met")
    return Role(name, tuple(keys[key_id] for key_id in ids), threshold)
