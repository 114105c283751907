"""A stream that can be read once, as a temporary file that can be read anywhere: a daemon's answer, a pipe.

The file has no name, so it is gone with the process; and it leaves some room on the disk for everybody else.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import IO

from bundler.content import Buffer
from bundler.errors import SpaceError, disk_error

RESERVE = 64 << 20
"""Bytes that stay free on the disk of the temporary files."""
_LOOK = 64 << 20


def spooled(chunks: Iterable[Buffer], *, tmp: Path | None, what: str) -> IO[bytes]:
    """All of ``chunks`` in a file, for the caller to close.

    Raises :class:`SpaceError` before the disk is full, and whatever reading raises.
    """
    place = tmp or Path(tempfile.gettempdir())
    try:
        file: IO[bytes] = tempfile.TemporaryFile(dir=tmp, prefix="bundler-")  # noqa: SIM115  # the caller's to close
    except OSError as problem:
        raise disk_error(problem, f"make a temporary file in {place}") from None
    try:
        since = _LOOK
        for chunk in chunks:
            if since >= _LOOK:
                _check_room(file, place, what)
                since = 0
            since += len(chunk)
            try:
                file.write(chunk)
            except OSError as problem:
                raise disk_error(problem, f"write {what} to a temporary file in {place}") from None
        try:
            file.flush()
        except OSError as problem:
            raise disk_error(problem, f"write {what} to a temporary file in {place}") from None
    except BaseException:
        file.close()
        raise
    return file


def _check_room(file: IO[bytes], place: Path, what: str) -> None:
    found = os.fstatvfs(file.fileno())
    if found.f_bavail * found.f_frsize < RESERVE:
        raise SpaceError(
            f"{what}: {file.tell()} bytes are in {place} and less than {RESERVE >> 20} MiB are left there",
            hint="free some room, or name a larger place for temporary files with --tmpdir",
        )
