"""Making and signing roots: what the next root shall say, its metadata, and who still has to sign it.

    plan = plan_of(current)
    raw = draft(replace(plan, targets=…), version=current.version + 1)
    raw = with_signatures(raw, [key], previous=current)
    lacking(raw, previous=current)                  # nothing left: the root is finished

Verification never imports this module. Signatures are deterministic, so two machines that make one root make one file.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from bundler.errors import ConfigError
from bundler.oci.digest import Digest
from bundler.oci.strict_json import canonical
from bundler.trust.root import (
    CHANNELS,
    DENIED,
    NAME,
    Role,
    SiteRoot,
    default_id,
    missing_for,
    needs_tuf,
    parse_root,
    root_name,
    signatures_by,
    tuf_key,
)

if TYPE_CHECKING:
    from bundler.trust.signing import Signer


@dataclass(frozen=True, slots=True)
class Plan:
    """What a root is to say. ``names`` are for people, by key id."""

    root: Role
    targets: Role
    channels: Mapping[str, Role]
    denied_keys: frozenset[str]
    denied_statements: frozenset[Digest]
    names: Mapping[str, str]
    expires: datetime


@dataclass(frozen=True, slots=True)
class Lack:
    """Signatures that a root still needs: ``needed`` more of ``missing``, keys of root ``version``."""

    version: int
    needed: int
    missing: tuple[str, ...]


def plan_of(root: SiteRoot) -> Plan:
    """What a root says, to be changed for the next one."""
    return Plan(
        root.root, root.targets, root.channels, root.denied_keys, root.denied_statements, root.names, root.expires
    )


def draft(plan: Plan, version: int) -> bytes:
    """The root's file without signatures. Raises :class:`ConfigError` for a plan that no root may have."""
    try:
        from tuf.api.metadata import Metadata, Root
        from tuf.api.metadata import Role as TufRole
    except ImportError as problem:
        raise needs_tuf(problem) from None

    roles = [plan.root, plan.targets, *plan.channels.values()]
    for role in roles:
        _check_role(role)
    keys = {}
    for public in sorted({key for role in roles for key in role.keys}, key=lambda key: key.key_id):
        keys[public.key_id] = tuf_key(public)
        if name := plan.names.get(public.key_id, ""):
            keys[public.key_id].unrecognized_fields[NAME] = name
    more: dict[str, Any] = {}
    if plan.channels:
        more[CHANNELS] = {
            name: {"keyids": _ids(role), "threshold": role.threshold} for name, role in plan.channels.items()
        }
    if plan.denied_keys or plan.denied_statements:
        more[DENIED] = {"keys": sorted(plan.denied_keys), "statements": sorted(plan.denied_statements)}
    signed = Root(
        version=version,
        expires=plan.expires.astimezone(UTC),
        keys=keys,
        roles={
            "root": TufRole(_ids(plan.root), plan.root.threshold),
            "targets": TufRole(_ids(plan.targets), plan.targets.threshold),
            "snapshot": TufRole([], 1),  # TUF demands these two; nothing here is signed by them
            "timestamp": TufRole([], 1),
        },
        consistent_snapshot=None,
        unrecognized_fields=more,
    )
    return _written(Metadata(signed), version)


def with_signatures(raw: bytes, keys: Sequence[Signer], *, previous: SiteRoot | None, what: str) -> bytes:
    """The root with a signature of each key, which must be a root key of it or of ``previous``: else :class:`ConfigError`."""
    from securesystemslib.signer import Signature

    root = parse_root(raw, what=what)
    metadata = root.metadata
    for key in keys:
        public = key.public
        standing = {public.key_id, default_id(tuf_key(public))}
        owners = [owner for owner in (root, previous) if owner is not None]
        barred = [owner for owner in owners if public.key_id in owner.denied_keys]
        ids = {
            name
            for owner in owners
            if owner not in barred
            for name in owner.metadata.signed.roles["root"].keyids
            if name in standing
        }
        if not ids:
            raise ConfigError(
                f"{what}: key {public.key_id} "
                + (f"is denied by root {barred[0].version}, and never counts" if barred else "is no root key of it")
                + (" nor of the root before it" if previous and not barred else ""),
                hint="sign with the keys that `bundler trust show` lists as root keys",
            )
        value = key.sign(metadata.signed_bytes, purpose="root").hex()
        metadata.signatures.update({key_id: Signature(key_id, value) for key_id in ids})
    return _written(metadata, root.version)


def merged(ours: SiteRoot, theirs: SiteRoot, *, previous: SiteRoot | None, what: str) -> bytes:
    """Our root with what its copy is signed by. Raises :class:`ConfigError` if it is a copy of another root."""
    if theirs.metadata.signed_bytes != ours.metadata.signed_bytes:
        raise ConfigError(
            f"{what}: is not the root that waits here, but another one",
            hint="whoever signed it signed something else; have one copy go from hand to hand",
        )
    good = {name for owner in (previous, theirs) if owner is not None for name in signatures_by(owner, theirs)}
    metadata = ours.metadata
    metadata.signatures.update({i: each for i, each in theirs.metadata.signatures.items() if i in good})
    return _written(metadata, ours.version)


def lacking(root: SiteRoot, *, previous: SiteRoot | None) -> list[Lack]:
    """What is still to be signed, by the keys of the root before it and by its own; nothing if it is finished."""
    found = []
    for owner in (previous, root):
        if owner is None:
            continue
        signed = signatures_by(owner, root).values()
        if len(signed) < owner.root.threshold:
            missing = tuple(missing_for(owner.root, signed, owner.denied_keys))
            found.append(Lack(owner.version, owner.root.threshold - len(signed), missing))
    return found


def _ids(role: Role) -> list[str]:
    return sorted(key.key_id for key in role.keys)


def _check_role(role: Role) -> None:
    count = len({key.key_id for key in role.keys})
    if count != len(role.keys):
        raise ConfigError(f"role {role.name}: a key is given twice", hint="one key counts once")
    if count == 0:
        option = "--root-key or --root-pub" if role.name == "root" else "--key"
        raise ConfigError(
            f"role {role.name}: no key is left or given", hint=f"name those who are to sign with {option}"
        )
    if not 1 <= role.threshold <= count:
        raise ConfigError(
            f"role {role.name}: a threshold of {role.threshold} with {count} {'key' if count == 1 else 'keys'}",
            hint=f"give a threshold from 1 to {count}, or more keys",
        )


def _written(metadata: Any, version: int) -> bytes:
    metadata.signatures = dict(sorted(metadata.signatures.items()))
    raw = canonical(metadata.to_dict())
    parse_root(raw, what=root_name(version))
    return raw
