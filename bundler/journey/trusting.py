"""A site's trust directory: the roots it trusts, and what it remembers; changed by one process at a time, never in part.

    1.root.json … N.root.json    the roots, as they were pinned and walked; N is the one that counts
    state.json                   marks, clock floor, overrides (schemas/trust-state/)
    accepted/<sha256>.json       for each line, the statement that was taken last: for reports

    site = Site.open(directory)
    trusted = site.trust(documents, roots_beside(bundle), now=now)      # roots are kept at once, the rest is not
    site.accept(trusted, now=now)                                       # durable when it returns, or unchanged

Files are replaced as wholes and synced. ``flock`` on the directory itself keeps others out, so nothing has to be written
to read there. A directory that lacks its state is not believed: an attacker's first wish is a site that has forgotten.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from bundler.bundle.statement import STATEMENT_CAP, Statement, parse_statement
from bundler.bundle.unpack import opened
from bundler.errors import (
    BundlerError,
    LockedError,
    NotFoundError,
    ReadOnlyError,
    TrustError,
    disk_error,
)
from bundler.journey.site_files import (
    LEFT,
    is_kept,
    locked,
    make_folder,
    no_site,
    read_kept,
    sweep,
    write_kept,
)
from bundler.oci.digest import digest_of, hex_of
from bundler.trust import state as states
from bundler.trust.keys import PublicKey
from bundler.trust.root import MAX_STEPS, ROOT_CAP, SiteRoot, pinned, root_name, version_in, walk
from bundler.trust.state import STATE, STATE_CAP, Mark, Relation, State, parse_state, write_state
from bundler.trust.verify import Documents, Trusted, verify_managed

ACCEPTED = "accepted"
_KEPT = re.compile(r"[0-9a-f]{64,128}\.json|\.[0-9a-f]{64,128}\.json\.\w+")
"""Names in that folder, half written ones included; anything else there is somebody's own, and left alone."""
_PUT_BACK = "put it back from a copy, or make the trust directory anew with `bundler trust init`"


@dataclass(frozen=True, slots=True)
class Signer:
    """One who may sign; ``name`` may be empty. ``denied`` keys never count."""

    key_id: str
    name: str
    signed: bool
    denied: bool


@dataclass(frozen=True, slots=True)
class Standing:
    """How a trusted bundle stands at this site, for a report.

    ``role`` is targets or the channel; ``mark`` and ``previous`` are what was accepted before, if anything was.
    """

    root_version: int
    root_expires: datetime
    role: str
    threshold: int
    signers: tuple[Signer, ...]
    relation: Relation
    mark: Mark | None
    previous: Statement | None
    floor: datetime | None
    reason: str = ""


class Site:
    """An opened trust directory. ``root`` and ``state`` are as last read; :meth:`trust` moves ``root`` on."""

    def __init__(self, directory: Path, root: SiteRoot, state: State) -> None:
        self.directory = directory
        self.root = root
        self.state = state

    @classmethod
    def open(cls, directory: Path) -> Site:
        """Read a trust directory.

        Raises :class:`NotFoundError` if it is none, :class:`TrustError` if its files are damaged, and
        :class:`bundler.errors.ConfigError` where python-tuf is not installed.
        """
        with locked(directory):
            return cls(directory, newest_root(directory), read_state(directory))

    @property
    def keys(self) -> tuple[PublicKey, ...]:
        """Everyone whose signature on a bundle may count at present."""
        roles = [self.root.targets, *self.root.channels.values()]
        found = {key.key_id: key for role in roles for key in role.keys if key.key_id not in self.root.denied_keys}
        return tuple(found.values())

    def trust(
        self,
        documents: Documents,
        roots: Mapping[int, bytes],
        *,
        now: datetime,
        allow_expired: bool = False,
        reason: str = "",
        min_serial: int | None = None,
    ) -> Trusted:
        """The bundle, if this site takes it; see :func:`bundler.trust.verify.verify_managed`. Roots it walked are kept."""
        with locked(self.directory):
            self._read()
            return verify_managed(
                documents,
                root=self.root,
                state=self.state,
                roots=roots,
                keep=self._keep,
                now=now,
                allow_expired=allow_expired,
                rollback=bool(reason),
                min_serial=min_serial,
            )

    def standing(self, trusted: Trusted, *, reason: str = "") -> Standing:
        """What a report says of a bundle that :meth:`trust` gave out; after :meth:`accept` it is that bundle's own mark."""
        statement = trusted.statement
        role = self.root.role_for(statement.channel)
        relation = states.judge(self.state, statement, trusted.statement_digest, rollback=True)
        return Standing(
            root_version=self.root.version,
            root_expires=self.root.expires,
            role=role.name,
            threshold=role.threshold,
            signers=tuple(
                Signer(
                    key.key_id,
                    self.root.names.get(key.key_id, ""),
                    key.key_id in trusted.signers,
                    key.key_id in self.root.denied_keys,
                )
                for key in role.keys
            ),
            relation=relation,
            mark=self.state.marks.get((statement.name, statement.channel)),
            previous=self.previous(statement.name, statement.channel),
            floor=self.state.floor,
            reason=reason if relation == "older" else "",
        )

    def previous(self, name: str, channel: str) -> Statement | None:
        """The statement of this line that was taken last; None if none was, or its copy is gone."""
        mark = self.state.marks.get((name, channel))
        if mark is None:
            return None
        path = self.directory / ACCEPTED / _kept_name(mark)
        try:
            raw = read_kept(path, cap=STATEMENT_CAP)
            return parse_statement(raw, what=str(path)) if digest_of(raw) == mark.accepted else None
        except BundlerError:  # a report without its comparison is better than none
            return None

    def accept(self, trusted: Trusted, *, now: datetime, reason: str = "", min_serial: int | None = None) -> None:
        """Take the bundle as accepted: its line's mark rises, durably, before this returns.

        Judged once more, since another run may have accepted a newer one meanwhile. On any error the state is as it was.
        """
        statement, digest = trusted.statement, trusted.statement_digest
        with self._changing():
            state = states.accepted(self.state, statement, digest, now=now, reason=reason, min_serial=min_serial)
            folder = self.directory / ACCEPTED
            make_folder(folder)
            mark = state.marks[statement.name, statement.channel]
            write_kept(folder / _kept_name(mark), trusted.payload)
            self._write(state)
            wanted = {_kept_name(each) for each in state.marks.values()}
            sweep(folder, lambda name: name not in wanted and _KEPT.fullmatch(name))

    def is_last(self, trusted: Trusted) -> bool:
        """Whether the bundle is still the one of its line that was taken last, by whichever run."""
        with locked(self.directory):
            self._read()
        mark = self.state.marks.get((trusted.statement.name, trusted.statement.channel))
        return mark is not None and mark.accepted == trusted.statement_digest

    def saw(self, trusted: Trusted, *, now: datetime) -> None:
        """Count a verification that ended well as a good run: the clock's floor may rise, and nothing else.

        A directory that can't be written is left as it is: who only looks needs no right to write.
        """
        with suppress(ReadOnlyError), self._changing():
            state = states.seen(self.state, trusted.statement, now=now)
            if state != self.state:
                self._write(state)

    @contextmanager
    def _changing(self) -> Iterator[None]:
        before = self.root.fingerprint
        with locked(self.directory):
            self._read()
            if self.root.fingerprint != before:
                raise LockedError(
                    f"{self.directory}: another run has brought root {self.root.version} meanwhile",
                    hint="run the same command again: the bundle must satisfy the new root",
                )
            sweep(self.directory, LEFT.fullmatch)
            yield

    def _read(self) -> None:
        self.root, self.state = newest_root(self.directory, self.root), read_state(self.directory)

    def _keep(self, step: SiteRoot) -> None:
        write_kept(self.directory / step.file_name, step.raw)
        self.root = step

    def _write(self, state: State) -> None:
        write_kept(self.directory / STATE, write_state(state))
        self.state = state


def root_versions(directory: Path) -> list[int]:
    """The versions of the files ``N.root.json`` in a trust directory or a bundle, rising."""
    try:
        names = os.listdir(directory)  # noqa: PTH208  # names are all that is wanted
    except (FileNotFoundError, NotADirectoryError):
        raise NotFoundError(f"{directory}: no such directory", hint="check the path") from None
    except OSError as problem:
        raise disk_error(problem, f"read {directory}") from problem
    return sorted(version for name in names if (version := version_in(name)) is not None)


def roots_beside(directory: Path, *, since: int = 1) -> dict[int, bytes]:
    """The roots that a bundle carries, from version ``since`` on; untrusted, each read with a cap."""
    versions = [version for version in root_versions(directory) if version >= since]
    return {version: read_root(directory, version) for version in versions[: MAX_STEPS + 1]}


def read_root(directory: Path, version: int) -> bytes:
    """A root's file; links and other special files are refused."""
    with opened(directory / root_name(version)) as (fd, _):
        parts, left = [], ROOT_CAP + 1  # one more than allowed: whoever parses it says so
        while left and (part := os.read(fd, left)):
            parts.append(part)
            left -= len(part)
        return b"".join(parts)


def site_roots(directory: Path) -> list[SiteRoot]:
    """The roots of a trust directory, each signed by the one before it; the last one counts.

    They begin with the one that was pinned. Raises :class:`NotFoundError` where there is none, :class:`TrustError` for one
    that is damaged, missing in between, not signed by its predecessor, or not the one that was pinned.
    """
    versions = root_versions(directory)
    if not versions:
        raise no_site(directory)
    pin = read_state(directory).pinned if is_kept(directory / STATE) else None
    if pin is not None:
        versions = [version for version in versions if version >= pin[0]]
        if versions[:1] != [pin[0]] or hashlib.sha256(_own_root(directory, pin[0])).hexdigest() != pin[1]:
            raise TrustError(
                f"{directory / root_name(pin[0])}: is missing, or not the root that was pinned here, whose SHA-256 is {pin[1]}",
                hint=f"put it back: every bundle of the site carries it; or make {directory} anew",
            )
    roots: list[SiteRoot] = []
    for version in versions:
        raw = _own_root(directory, version)
        try:
            roots.append(_following(roots[-1] if roots else None, version, raw))
        except TrustError as problem:
            raise problem.about(str(directory)) from None
    return roots


def newest_root(directory: Path, known: SiteRoot | None = None) -> SiteRoot:
    """The last of :func:`site_roots`. If that is ``known``, which was one before, nothing is verified again."""
    versions = root_versions(directory)
    if (
        known is not None
        and versions
        and versions[-1] == known.version
        and _own_root(directory, known.version) == known.raw
    ):
        return known
    return site_roots(directory)[-1]


def _following(before: SiteRoot | None, version: int, raw: bytes) -> SiteRoot:
    what = root_name(version)
    if before is None:
        root = pinned(raw, what=what)
        if root.version != version:
            raise TrustError(f"{what}: says that it is version {root.version}", hint=_PUT_BACK)
        return root
    if version > before.version + 1:
        raise TrustError(f"{what}: root {before.version + 1} is missing, which must come before it", hint=_PUT_BACK)
    (root,) = walk(before, {version: raw})
    return root


def _own_root(directory: Path, version: int) -> bytes:
    return read_kept(directory / root_name(version), cap=ROOT_CAP)


def read_state(directory: Path) -> State:
    """What the site remembers; :class:`TrustError` where that is gone or damaged."""
    path = directory / STATE
    if not is_kept(path):
        raise TrustError(
            f"{path}: is missing, so nothing says how far this site has come",
            hint="put it back from a copy, or make the site anew with `bundler trust init`, --min-serial and a new pin",
        )
    return parse_state(read_kept(path, cap=STATE_CAP), what=str(path))


def first_state(root: SiteRoot | None) -> State:
    """The state of a new site; ``root`` was pinned out of band, or made here if it is None."""
    return State() if root is None else replace(State(), pinned=(root.version, root.fingerprint))


def _kept_name(mark: Mark) -> str:
    return f"{hex_of(mark.accepted)}.json"
