"""Small files of the operator: manifests, locks, keys, receipts; read with a cap, written whole or not at all."""

from __future__ import annotations

import os
import stat
import tempfile
from pathlib import Path

from bundler.errors import ConfigError, LimitError, disk_error

CAP = 64 << 20


def read_file(path: Path, *, what: str, cap: int = CAP, hint: str = "check the path") -> bytes:
    """The content of a file or a pipe. ``what`` says what it is in errors, ``hint`` what to do if it is not there.

    Raises :class:`ConfigError` if it is not there, :class:`LimitError` beyond ``cap`` bytes.
    """
    try:
        with path.open("rb") as file:
            raw = file.read(cap + 1)
    except FileNotFoundError:
        raise ConfigError(f"{what}: {path} does not exist", hint=hint) from None
    except IsADirectoryError:
        raise ConfigError(f"{what}: {path} is a directory", hint=hint) from None
    except OSError as problem:
        raise disk_error(problem, f"read {path}") from problem
    if len(raw) > cap:
        raise LimitError(f"{what}: {path} holds more than {cap} bytes")
    return raw


def write_new(path: Path, content: bytes, *, mode: int = 0o644) -> None:
    """Write a file that must not be there yet."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(descriptor)
        except BaseException:
            path.unlink(missing_ok=True)  # so that the same command can be given again
            raise
    except FileExistsError:
        raise ConfigError(f"{path} exists already", hint="choose another name, or remove it first") from None
    except FileNotFoundError:
        raise ConfigError(f"{path.parent} is not a directory") from None
    except OSError as problem:
        raise disk_error(problem, f"write {path}") from problem


def write_over(path: Path, content: bytes) -> None:
    """Replace a file, or make it: the old content or the new one is there at any moment.

    Only a regular file is ever replaced: root would otherwise do away with a device that was named to drop the output.
    """
    try:
        _check_replaceable(path, what=str(path))
        descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
                file.flush()
                os.fchmod(descriptor, 0o644)
                os.fsync(descriptor)
            os.replace(name, path)  # noqa: PTH105  # names, not paths, come from mkstemp
        except BaseException:
            os.unlink(name)  # noqa: PTH108
            raise
        sync_directory(path.parent)
    except FileNotFoundError:
        raise ConfigError(f"{path.parent} is not a directory") from None
    except OSError as problem:
        raise disk_error(problem, f"write {path}") from problem


def check_writable(path: Path, *, what: str) -> None:
    """Raise :class:`ConfigError` where :func:`write_over` could write no file, found out by writing one beside it.

    For what is written at the end of long work: nobody shall hear only then that it goes nowhere.
    """
    try:
        _check_replaceable(path, what=f"{what} {path}")
        descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        os.close(descriptor)
        os.unlink(name)  # noqa: PTH108
    except (FileNotFoundError, NotADirectoryError):
        raise ConfigError(
            f"{what} {path}: {path.parent} is not a directory", hint="make it first, or name another place"
        ) from None
    except OSError as problem:
        raise disk_error(problem, f"{what} {path}: write into {path.parent}") from problem


def _check_replaceable(path: Path, *, what: str) -> None:
    try:
        found = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return
    if not stat.S_ISREG(found.st_mode):
        kind = "a directory" if stat.S_ISDIR(found.st_mode) else "no regular file"
        raise ConfigError(f"{what}: is {kind}", hint="name a file")


def sync_directory(path: Path) -> None:
    """Make the names in a directory durable; :class:`OSError` is the caller's."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
