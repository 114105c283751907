"""The directory that a bundle is written to: claimed by one process, free of anything else, and every file durable."""

from __future__ import annotations

import fcntl
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from bundler.errors import ConfigError, LockedError, disk_error, quoted
from bundler.trust.sums import ENVELOPE

_OURS = re.compile(
    r"(volume-[0-9]{4}\.tar\.zst(\.[0-9]{6}\.spool)?|inventory\.json|VERIFY\.txt|SHA256SUMS(\.[0-9a-f]{16}\.sig)?"
    r"|bundle\.dsse\.json|[1-9][0-9]{0,5}\.root\.json)(\.part)?"
)


def claim(directory: Path) -> tuple[int, bool]:
    """``(locked descriptor, whether we made it)`` of a directory without anything that is not an unfinished bundle's."""
    try:
        made = not directory.exists()
        directory.mkdir(mode=0o755, parents=True, exist_ok=True)
        fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as problem:
        raise disk_error(problem, f"make the directory {directory}") from problem
    try:
        _lock(fd, directory)
        names = sorted(os.listdir(fd))  # noqa: PTH208 - of the directory that is locked, whatever its path is by now
        if ENVELOPE in names:
            raise ConfigError(
                f"{directory}: holds a finished bundle", hint="choose another directory, or remove this bundle first"
            )
        foreign = [name for name in names if not _OURS.fullmatch(name)]
        if foreign:
            raise ConfigError(
                f"{directory}: is not empty: it holds {quoted(foreign[0])}",
                hint="choose a directory that is empty or does not exist yet",
            )
        sweep(directory)
    except BaseException:
        os.close(fd)
        raise
    return fd, made


def _lock(fd: int, directory: Path) -> None:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise LockedError(f"{directory}: another process is writing a bundle there") from None
    except OSError as problem:
        raise disk_error(problem, f"lock the directory {directory}") from problem


@contextmanager
def locked(directory: Path) -> Iterator[None]:
    """Be the only one who changes a bundle that lies there. Raises :class:`LockedError` if another process does."""
    try:
        fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as problem:
        raise disk_error(problem, f"open the directory {directory}") from problem
    try:
        _lock(fd, directory)
        yield
    finally:
        os.close(fd)


def sweep(directory: Path) -> None:
    """Remove the files of an unfinished bundle."""
    try:
        for path in directory.iterdir():
            if _OURS.fullmatch(path.name):
                path.unlink()
    except OSError as problem:
        raise disk_error(problem, f"remove the unfinished bundle in {directory}") from problem


def write_files(directory: Path, files: Mapping[str, bytes]) -> None:
    """Each file as ``.part``, synced and renamed; then the directory itself is synced."""
    name = ""
    try:
        for name, raw in files.items():
            part = directory / f"{name}.part"
            fd = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
            with os.fdopen(fd, "wb") as file:
                file.write(raw)
                file.flush()
                os.fsync(fd)
            part.rename(directory / name)
        fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)
    except OSError as problem:
        raise disk_error(problem, f"write {directory / name}") from problem
