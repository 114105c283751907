"""The files of a site's trust directory: its own, in one piece, and changed by one process at a time.

    with locked(directory):
        raw = read_kept(directory / "state.json", cap=STATE_CAP)
        write_kept(directory / "state.json", raw)

Whoever can write here can decide what is trusted. So a directory or a file that everybody may write to is not believed, and
neither is a link or anything else that is not a plain file. Who owns it, and which group may write, is the site's affair.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from bundler.errors import (
    BundlerError,
    LimitError,
    LockedError,
    NotFoundError,
    ReadOnlyError,
    TrustError,
    disk_error,
)
from bundler.journey.files import sync_directory, write_over

PATIENCE = 10.0
_PAUSE = 0.02
LEFT = re.compile(r"\.(state\.json|[0-9]{1,6}\.root\.json(\.part)?)\.\w+")
"""Names of files that were being written."""
_ASK = "put it back from a copy, or make the trust directory anew with `bundler trust init`"


@contextmanager
def locked(directory: Path, *, patience: float = PATIENCE) -> Iterator[None]:
    """Be the only one who works in a trust directory; :class:`LockedError` after ``patience`` seconds of waiting.

    ``flock`` on the directory itself, so that nothing has to be written to read there. Raises :class:`NotFoundError` if
    there is none, and :class:`TrustError` if everybody may write to it.
    """
    try:
        fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        raise no_site(directory) from None
    except OSError as problem:
        raise _unreadable(problem, f"open the trust directory {directory}", directory) from problem
    try:
        _check_mode(directory, os.fstat(fd).st_mode)
        until = time.monotonic() + patience
        while not _try_lock(fd, directory):
            if time.monotonic() >= until:
                raise LockedError(f"{directory}: another process works in this trust directory")
            time.sleep(_PAUSE)
        yield
    finally:
        os.close(fd)


def no_site(directory: Path) -> NotFoundError:
    """What to say of a directory that is no trust directory."""
    return NotFoundError(
        f"{directory}: is no trust directory: it holds no N.root.json",
        hint=f"make one with `bundler trust init {directory} --root N.root.json --fingerprint SHA256`",
    )


def is_kept(path: Path) -> bool:
    """Whether something of that name is there, were it only a link to nothing."""
    return os.path.lexists(path)


def read_kept(path: Path, *, cap: int) -> bytes:
    """A file of the trust directory that is there.

    Raises :class:`TrustError` for a link, for what is no plain file, and for one that everybody may write to,
    :class:`LimitError` beyond ``cap`` bytes.
    """
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as problem:
        if problem.errno in (errno.ELOOP, errno.ENXIO):  # a link, a socket
            raise _no_file(path) from None
        raise _unreadable(problem, f"read {path}", path.parent) from problem
    try:
        mode = os.fstat(fd).st_mode
        if not stat.S_ISREG(mode):
            raise _no_file(path)
        _check_mode(path, mode)
        with open(fd, "rb", closefd=False) as file:
            raw = file.read(cap + 1)
    except OSError as problem:
        raise disk_error(problem, f"read {path}") from problem
    finally:
        os.close(fd)
    if len(raw) > cap:
        raise LimitError(f"{path}: more than the {cap} bytes allowed", hint=_ASK)
    return raw


def write_kept(path: Path, content: bytes) -> None:
    """Replace a file of the trust directory as a whole, durably."""
    try:
        write_over(path, content)
    except ReadOnlyError as problem:
        raise unwritable(problem, path.parent) from problem


def move_kept(path: Path, target: Path) -> None:
    """Give a file of the trust directory another name there, durably, in place of what had it."""
    try:
        path.replace(target)
        sync_directory(target.parent)
    except OSError as problem:
        raise disk_error(problem, f"write {target}") from problem


def unwritable(problem: BundlerError, directory: Path) -> ReadOnlyError:
    """What to say where a site can't remember what it must."""
    return ReadOnlyError(
        str(problem), hint=f"run it as one who may write in {directory}: what does not stay there does not count"
    )


def make_folder(path: Path) -> None:
    """A directory of bundler's own in the trust directory. Raises :class:`TrustError` if another thing has its name."""
    try:
        with suppress(FileExistsError):
            path.mkdir(mode=0o755)
        found = path.lstat().st_mode
    except OSError as problem:
        raise disk_error(problem, f"make {path}") from problem
    if not stat.S_ISDIR(found):
        raise TrustError(f"{path}: is a link or a file, where a directory belongs", hint="remove it: it is made anew")


def sweep(folder: Path, unwanted: Callable[[str], object]) -> None:
    """Remove what a killed run left half written, or nothing names any more. What can't be removed does no harm."""
    with suppress(OSError):
        for path in folder.iterdir():
            if unwanted(path.name):
                path.unlink()


def _check_mode(path: Path, mode: int) -> None:
    if mode & stat.S_IWOTH:
        raise TrustError(
            f"{path}: everybody on this machine may write to it: its mode is {stat.S_IMODE(mode):04o}",
            hint=f"chmod o-w {path}; and if others did, make the trust directory anew with `bundler trust init`",
        )


def _no_file(path: Path) -> TrustError:
    return TrustError(f"{path}: is a link or a special file, where a plain file belongs", hint=_ASK)


def _unreadable(problem: OSError, what: str, directory: Path) -> BundlerError:
    error = disk_error(problem, what)
    if isinstance(error, ReadOnlyError):
        error.hint = f"run it as one who may read {directory}"
    return error


def _try_lock(fd: int, directory: Path) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as problem:
        raise disk_error(problem, f"lock the trust directory {directory}") from problem
    return True
