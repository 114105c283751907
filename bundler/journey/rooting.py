"""Making a site's roots: the first one, the next ones, and their signatures, in rounds where keys lie far apart.

    made = begin(directory, Wanted(keys=(ann, bob, cat), threshold=2, root_keys=(boss,)), signers=[…], now=now)
    made = change(directory, Change(add=(dan,)), signers=[…], now=now)
    made.lacks                       # empty: N.root.json is there; else N.root.json.part waits for `trust sign`

A root becomes ``N.root.json`` only when the root before it and it itself are satisfied, and never changes after that, so
that the SHA-256 of its file can be read out over a telephone. A change to a root that waits drops the signatures it has.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bundler.bundle.members import line_in
from bundler.errors import BundlerError, ConfigError, NotFoundError, TrustError, disk_error, quoted
from bundler.journey.files import read_file
from bundler.journey.keys import read_public_keys
from bundler.journey.site_files import LEFT, is_kept, locked, move_kept, no_site, read_kept, sweep, write_kept
from bundler.journey.trusting import first_state, newest_root, read_state, root_versions, site_roots
from bundler.oci.digest import Digest, is_digest
from bundler.oci.strict_json import Fields
from bundler.trust.keys import PublicKey
from bundler.trust.root import MAX_NAME, ROOT_CAP, Role, SiteRoot, check_current, parse_root, pinned, root_name
from bundler.trust.root_making import Lack, Plan, draft, lacking, merged, plan_of, with_signatures
from bundler.trust.state import STATE, State, write_state

if TYPE_CHECKING:
    from bundler.trust.signing import Signer

PART = ".part"
VALID_FOR = 1825
"""Days that a root is good for unless told otherwise."""
_TARGETS = "targets"


@dataclass(frozen=True, slots=True)
class Wanted:
    """The first root: bundle signers and threshold, root keys and theirs. ``valid_for`` in days."""

    keys: tuple[PublicKey, ...]
    threshold: int
    root_keys: tuple[PublicKey, ...]
    root_threshold: int = 1
    names: Mapping[str, str] = field(default_factory=dict)
    valid_for: int = VALID_FOR


@dataclass(frozen=True, slots=True)
class Change:
    """What the next root says otherwise. ``channel`` empty means the targets role; None leaves a part as it is.

    ``keys`` replace the role's signers, ``add`` and ``remove`` (ids, or the start of one) change them; a channel that had no
    role of its own gets one, and one without keys loses it.
    """

    channel: str = ""
    keys: tuple[PublicKey, ...] | None = None
    add: tuple[PublicKey, ...] = ()
    remove: tuple[str, ...] = ()
    threshold: int | None = None
    root_keys: tuple[PublicKey, ...] | None = None
    root_threshold: int | None = None
    deny_keys: tuple[str, ...] = ()
    deny_statements: tuple[str, ...] = ()
    names: Mapping[str, str] = field(default_factory=dict)
    valid_for: int = VALID_FOR


@dataclass(frozen=True, slots=True)
class Made:
    """A root that was made or signed. With ``lacks`` it still waits; ``dropped`` says that signatures were lost by a change."""

    root: SiteRoot
    path: Path
    lacks: tuple[Lack, ...]
    named: Mapping[str, str]
    dropped: bool = False

    def document(self) -> dict[str, Any]:
        """The result as JSON values."""
        return {
            "file": str(self.path),
            "version": self.root.version,
            "complete": not self.lacks,
            "fingerprint": None if self.lacks else self.root.fingerprint,
            "lacks": [{"root": lack.version, "needed": lack.needed, "keys": list(lack.missing)} for lack in self.lacks],
        }


@dataclass(frozen=True, slots=True)
class Shown:
    """A trust directory as it stands: every root, the one that waits, and what is remembered."""

    directory: Path
    roots: tuple[SiteRoot, ...]
    waiting: Made | None
    state: State | None


def named_keys(paths: Sequence[Path]) -> tuple[tuple[PublicKey, ...], dict[str, str]]:
    """Public keys from files, and the keys' names: see :func:`name_of`."""
    keys = read_public_keys(paths)
    return keys, {key.key_id: name_of(path) for key, path in zip(keys, paths, strict=True)}


def name_of(path: Path) -> str:
    """A key's name for people: its file's without the ending, as far as a root holds it; empty if it can't be printed."""
    return path.stem[:MAX_NAME] if path.stem.isprintable() else ""


def begin(directory: Path, wanted: Wanted, *, signers: Sequence[Signer], now: datetime) -> Made:
    """Make a trust directory and its first root. Raises :class:`ConfigError` if something is there already."""
    plan = Plan(
        root=Role("root", wanted.root_keys, wanted.root_threshold),
        targets=Role(_TARGETS, wanted.keys, wanted.threshold),
        channels={},
        denied_keys=frozenset(),
        denied_statements=frozenset(),
        names=wanted.names,
        expires=_expiry(now, wanted.valid_for),
    )
    raw = with_signatures(draft(plan, 1), signers, previous=None, what=root_name(1))
    _make(directory)
    with locked(directory):
        _check_empty(directory)
        _write_state(directory, None)
        return _settle(directory, raw, None)


def pin(directory: Path, root: Path, fingerprint: str) -> SiteRoot:
    """Make a trust directory around a root whose SHA-256 was told by another way than the file itself.

    Again over the same root, as long as nothing has been accepted there, it changes nothing.
    """
    raw = read_file(root, what="--root", cap=ROOT_CAP)
    wanted = "".join(fingerprint.split()).replace(":", "").lower().removeprefix("sha256")
    found = hashlib.sha256(raw).hexdigest()
    if len(wanted) != len(found) or set(wanted) - set("0123456789abcdef"):
        raise ConfigError(
            f"--fingerprint {quoted(fingerprint)!r}: must be a SHA-256, 64 hexadecimal characters",
            hint="`bundler trust show` prints it where the root was made; `sha256sum` prints that of a file",
        )
    if found != wanted:
        raise TrustError(
            f"{root}: its SHA-256 is {found}, and not {wanted}: it is not the root that you were told of",
            hint="do not trust this file; ask its maker for the root and, by another way, for its fingerprint",
        )
    trusted = pinned(raw, what=str(root))
    _make(directory)
    with locked(directory):
        _check_empty(directory, but=trusted)
        _write_state(directory, trusted)
        write_kept(directory / trusted.file_name, raw)
    return trusted


def change(directory: Path, wanted: Change, *, signers: Sequence[Signer], now: datetime) -> Made:
    """Make the next root, or change the one that waits. It may then wait for signatures."""
    with locked(directory):
        current = newest_root(directory)
        waiting = _waiting(directory, current)
        plan = _changed(plan_of(waiting or current), wanted, now)
        raw = with_signatures(
            draft(plan, current.version + 1), signers, previous=current, what=root_name(current.version + 1)
        )
        made = _settle(directory, raw, current)
        return replace(made, dropped=waiting is not None and bool(waiting.metadata.signatures))


def sign(directory: Path, *, signers: Sequence[Signer], others: Sequence[Path] = ()) -> Made:
    """Add signatures to the root that waits: of ``signers``, and those in copies of it that were signed elsewhere."""
    with locked(directory):
        current = newest_root(directory) if root_versions(directory) else None
        waiting = _waiting(directory, current)
        if waiting is None:
            raise NotFoundError(
                f"{directory}: no root waits for signatures",
                hint="`bundler trust rotate` makes the next root; bring N.root.json.part here to sign it here",
            )
        raw = waiting.raw
        for path in others:
            raw = _merged(raw, path, current)
        raw = with_signatures(raw, signers, previous=current, what=root_name(waiting.version))
        if current is None and not is_kept(directory / STATE):
            _write_state(directory, None)
        return _settle(directory, raw, current)


def show(directory: Path) -> Shown:
    """What a trust directory holds; every root is verified again, each by the one before it."""
    with locked(directory):
        roots = site_roots(directory) if root_versions(directory) else []
        current = roots[-1] if roots else None
        waiting = _waiting(directory, current)
        made = None if waiting is None else _made(directory, waiting, current)
        if not roots and made is None:
            raise no_site(directory)
        state = read_state(directory) if roots or is_kept(directory / STATE) else None
    return Shown(directory, tuple(roots), made, state)


def travelling(directory: Path, *, now: datetime) -> dict[str, bytes]:
    """The finished roots of a site by file name, to be put beside a bundle.

    Raises as :func:`show` does, and :class:`bundler.errors.PolicyError` if the last one has expired: no site takes a bundle
    that brings no newer one.
    """
    shown = show(directory)
    if not shown.roots:
        raise TrustError(
            f"{directory}: its first root still waits for signatures",
            hint=f"bundler trust sign {directory} --root-key …",
        )
    check_current(shown.roots[-1], now)
    return {root.file_name: root.raw for root in shown.roots}


def _changed(plan: Plan, wanted: Change, now: datetime) -> Plan:
    """The plan after the change. A key that is denied leaves every role: it can't be one of those who must sign."""
    role = _changed_role(plan, wanted)
    channels = {name: each for name, each in plan.channels.items() if name != wanted.channel}
    if wanted.channel and role.keys:
        channels[wanted.channel] = role
    root = Role("root", wanted.root_keys if wanted.root_keys is not None else plan.root.keys, plan.root.threshold)
    if wanted.root_threshold is not None:
        root = replace(root, threshold=wanted.root_threshold)
    known = {key.key_id for each in (plan.root, plan.targets, role, root, *channels.values()) for key in each.keys}
    denied = plan.denied_keys | {_key_id(known, text) for text in wanted.deny_keys}
    for key in (*(wanted.keys or ()), *wanted.add, *(wanted.root_keys or ())):
        if key.key_id in denied:
            raise ConfigError(
                f"key {key.key_id}: is denied, and never counts",
                hint="have its owner make a new one: denials are not lifted",
            )
    return replace(
        plan,
        root=_without(root, denied),
        targets=_without(plan.targets if wanted.channel else role, denied),
        channels={name: _without(each, denied) for name, each in channels.items()},
        denied_keys=denied,
        denied_statements=plan.denied_statements | {_statement(text) for text in wanted.deny_statements},
        names={**plan.names, **wanted.names},
        expires=_expiry(now, wanted.valid_for),
    )


def _without(role: Role, denied: frozenset[str]) -> Role:
    return replace(role, keys=tuple(key for key in role.keys if key.key_id not in denied))


def _changed_role(plan: Plan, wanted: Change) -> Role:
    """The role of the channel, or targets, after the change."""
    if wanted.channel:
        line_in(Fields({"--channel": wanted.channel}, what="trust", error=ConfigError), "--channel")
    old = plan.channels.get(wanted.channel) if wanted.channel else plan.targets
    role = old or Role(wanted.channel, (), 1)
    keys = {key.key_id: key for key in (role.keys if wanted.keys is None else wanted.keys)}
    keys.update({key.key_id: key for key in wanted.add})
    for text in wanted.remove:
        del keys[_key_id(keys, text, must=True)]
    return Role(role.name, tuple(keys.values()), role.threshold if wanted.threshold is None else wanted.threshold)


def _key_id(known: Iterable[str], text: str, *, must: bool = False) -> str:
    """A whole id from one, or from the first 16 characters and more of one that the root knows."""
    lower = text.lower()
    found = [each for each in known if len(lower) >= 16 and each.startswith(lower)]
    if len(found) == 1:
        return found[0]
    if must or len(lower) != 64 or set(lower) - set("0123456789abcdef"):
        raise ConfigError(
            f"key {quoted(text)!r}: is no key of this root", hint="give an id as `bundler trust show` prints it"
        )
    return lower


def _statement(text: str) -> Digest:
    """A statement is known by its SHA-256 alone: a denial of anything else would deny nothing."""
    if not is_digest(text) or not text.startswith("sha256:"):
        raise ConfigError(
            f"--deny-statement {quoted(text)!r}: must be a SHA-256 like sha256:…",
            hint="`bundler verify` and `bundler trust show` print a statement's digest",
        )
    return Digest(text)


def _expiry(now: datetime, days: int) -> datetime:
    return now.replace(microsecond=0) + timedelta(days=days)


def _waiting(directory: Path, current: SiteRoot | None) -> SiteRoot | None:
    version = 1 if current is None else current.version + 1
    path = directory / f"{root_name(version)}{PART}"
    if not is_kept(path):
        return None
    root = parse_root(read_kept(path, cap=ROOT_CAP), what=str(path))
    if root.version != version:
        raise TrustError(f"{path}: says that it is version {root.version}", hint="remove it, and make it again")
    return root


def _settle(directory: Path, raw: bytes, current: SiteRoot | None) -> Made:
    """Write the root where it belongs: as one that waits, and from there as finished, so that never both are there."""
    version = 1 if current is None else current.version + 1
    root = parse_root(raw, what=root_name(version))
    made = _made(directory, root, current)
    sweep(directory, LEFT.fullmatch)
    part = directory / f"{root.file_name}{PART}"
    write_kept(part, raw)
    if not made.lacks:
        move_kept(part, made.path)
    return made


def _made(directory: Path, root: SiteRoot, current: SiteRoot | None) -> Made:
    lacks = tuple(lacking(root, previous=current))
    names = {**(current.names if current else {}), **root.names}
    return Made(root, directory / (root.file_name + (PART if lacks else "")), lacks, names)


def _merged(raw: bytes, path: Path, current: SiteRoot | None) -> bytes:
    """The root with the signatures of a copy of it, those that hold."""
    copy = parse_root(read_file(path, what="--from", cap=ROOT_CAP), what=str(path))
    return merged(parse_root(raw, what="root"), copy, previous=current, what=str(path))


def _make(directory: Path) -> None:
    try:
        directory.mkdir(mode=0o755, parents=True, exist_ok=True)
    except OSError as problem:
        raise disk_error(problem, f"make {directory}") from problem


def _check_empty(directory: Path, *, but: SiteRoot | None = None) -> None:
    """Nothing is there, so that no old root or state is taken for the new one's.

    But for what a killed run of the same command left: a state that remembers nothing yet, and the root that was to be
    pinned.
    """
    try:
        there = {name for name in os.listdir(directory) if not LEFT.fullmatch(name)}  # noqa: PTH208  # names are enough
    except OSError as problem:
        raise disk_error(problem, f"read {directory}") from problem
    with suppress(BundlerError):
        if but is not None and but.file_name in there and read_kept(directory / but.file_name, cap=ROOT_CAP) == but.raw:
            there.remove(but.file_name)
        if STATE in there and read_state(directory) == first_state(but):
            there.remove(STATE)
    if there:
        raise ConfigError(
            f"{directory}: is not empty",
            hint="`bundler trust show` prints what a trust directory holds; it is never made over: choose another directory",
        )
    sweep(directory, LEFT.fullmatch)


def _write_state(directory: Path, root: SiteRoot | None) -> None:
    write_kept(directory / STATE, write_state(first_state(root)))
