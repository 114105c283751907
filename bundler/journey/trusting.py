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

import fcntl
import os
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from bundler.bundle.statement import STATEMENT_CAP, Statement, parse_statement
from bundler.bundle.unpack import opened
from bundler.errors import BundlerError, LockedError, NotFoundError, ReadOnlyError, TrustError, disk_error
from bundler.journey.files import read_file, write_over
from bundler.oci.digest import digest_of, hex_of
from bundler.trust import state as states
from bundler.trust.keys import PublicKey
from bundler.trust.root import MAX_STEPS, ROOT_CAP, SiteRoot, pinned, root_name, version_in
from bundler.trust.state import STATE, STATE_CAP, Mark, Relation, State, parse_state, write_state
from bundler.trust.verify import Documents, Trusted, verify_managed

ACCEPTED = "accepted"
PATIENCE = 10.0
_PAUSE = 0.02
_LEFT = re.compile(r"\.(state\.json|[0-9]{1,6}\.root\.json(\.part)?)\.\w+")
"""Names of files that were being written."""


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
            raw = read_file(path, what="accepted statement", cap=STATEMENT_CAP)
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
            _make(folder)
            mark = state.marks[statement.name, statement.channel]
            write_over(folder / _kept_name(mark), trusted.payload)
            self._write(state)
            wanted = {_kept_name(each) for each in state.marks.values()}
            _sweep(folder, lambda name: name not in wanted)

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
            _sweep(self.directory, _LEFT.fullmatch)
            yield

    def _read(self) -> None:
        self.root, self.state = newest_root(self.directory), read_state(self.directory)

    def _keep(self, step: SiteRoot) -> None:
        write_over(self.directory / step.file_name, step.raw)
        self.root = step

    def _write(self, state: State) -> None:
        write_over(self.directory / STATE, write_state(state))
        self.state = state


@contextmanager
def locked(directory: Path, *, patience: float = PATIENCE) -> Iterator[None]:
    """Be the only one who works in a trust directory; :class:`LockedError` after ``patience`` seconds of waiting."""
    try:
        fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        raise _no_site(directory) from None
    except OSError as problem:
        raise disk_error(problem, f"open the trust directory {directory}") from problem
    try:
        until = time.monotonic() + patience
        while not _try_lock(fd, directory):
            if time.monotonic() >= until:
                raise LockedError(f"{directory}: another process works in this trust directory")
            time.sleep(_PAUSE)
        yield
    finally:
        os.close(fd)


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


def newest_root(directory: Path) -> SiteRoot:
    """The root that counts. Raises :class:`NotFoundError` where there is none."""
    versions = root_versions(directory)
    if not versions:
        raise _no_site(directory)
    root = pinned(read_root(directory, versions[-1]), what=str(directory / root_name(versions[-1])))
    if root.version != versions[-1]:
        raise TrustError(f"{directory / root_name(versions[-1])}: says that it is version {root.version}")
    return root


def read_state(directory: Path) -> State:
    """What the site remembers; :class:`TrustError` where that is gone or damaged."""
    path = directory / STATE
    if not path.exists():
        raise TrustError(
            f"{path}: is missing, so nothing says how far this site has come",
            hint="put it back from a copy, or make the site anew with `bundler trust init`, --min-serial and a new pin",
        )
    return parse_state(read_file(path, what=STATE, cap=STATE_CAP), what=str(path))


def first_state(root: SiteRoot | None) -> State:
    """The state of a new site; ``root`` was pinned out of band, or made here if it is None."""
    return State() if root is None else replace(State(), pinned=(root.version, root.fingerprint))


def _no_site(directory: Path) -> NotFoundError:
    return NotFoundError(
        f"{directory}: is no trust directory: it holds no N.root.json",
        hint=f"make one with `bundler trust init {directory} --root N.root.json --fingerprint SHA256`",
    )


def _try_lock(fd: int, directory: Path) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as problem:
        raise disk_error(problem, f"lock the trust directory {directory}") from problem
    return True


def _kept_name(mark: Mark) -> str:
    return f"{hex_of(mark.accepted)}.json"


def _make(folder: Path) -> None:
    try:
        folder.mkdir(exist_ok=True)
    except OSError as problem:
        raise disk_error(problem, f"make {folder}") from problem


def _sweep(folder: Path, unwanted: Callable[[str], object]) -> None:
    """Remove what a killed run left half written, or no mark names any more. What can't be removed does no harm."""
    with suppress(OSError):
        for path in folder.iterdir():
            if unwanted(path.name):
                path.unlink()
