"""The access log: a line of JSON for each finished request, for people with jq and for programs.

    {"time":"2026-03-01T09:14:07.312Z","id":"5f0c…","remote":"10.1.2.3","user":"ann","method":"GET",
     "path":"/v2/team/app/manifests/1.0","query":"","status":200,"received":0,"sent":1187,"ms":2.1,
     "agent":"containers/5.29","ended":"complete"}

It has no headers in it but the user agent, and no parameter of a query but those known to hold nothing secret. Whatever a
client sends, it stays one line of ASCII of bounded length. A thread writes, so that a slow disk delays no request; lines
that can't be written, or come faster than that, are counted and dropped.
"""

from __future__ import annotations

import json
import logging
import os
import queue
import threading
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC
from io import TextIOWrapper
from logging.handlers import WatchedFileHandler
from typing import Any
from urllib.parse import parse_qsl, urlencode

from bundler.errors import disk_error, quoted
from bundler.registry.operations.watch import Request

STDERR, STDOUT = "", "-"
FILE_MODE = 0o640
KNOWN_PARAMETERS = frozenset({"artifactType", "digest", "from", "last", "mount", "n"})
"""What a query may say in the log; anything else could be a secret and is left out."""

_MOST_TEXT = 512
_MOST_LINES = 8192
_STOP_SECONDS = 2.0

_log = logging.getLogger(__name__)


class AccessLog:
    """An observer of :class:`bundler.registry.operations.watch.Watch`; close it to have the last lines written.

    ``to`` is a file, ``-`` for standard output, or empty for standard error. A file is opened for appending, and again
    when it was renamed or removed: nothing needs to be told when logs are rotated. Raises what
    :func:`bundler.errors.disk_error` makes of a file that can't be opened.
    """

    def __init__(self, to: str | os.PathLike[str] = STDERR) -> None:
        where = os.fspath(to)
        self._file = _open(where) if where not in (STDERR, STDOUT) else None
        self._write: Callable[[str], None] = self._file.write if self._file else _Stream(1 if where == STDOUT else 2)
        self._lines: queue.Queue[str | None] = queue.Queue(_MOST_LINES)
        self._lost = 0
        self._thread = threading.Thread(target=self._run, name="access log", daemon=True)
        self._thread.start()

    @property
    def lost(self) -> int:
        """How many lines could not be written."""
        return self._lost

    def begun(self, _family: str) -> None:
        """Nothing yet."""

    def finished(self, request: Request) -> None:
        """Take a line."""
        try:
            self._lines.put_nowait(line_of(request))
        except queue.Full:
            self._lose("they come faster than they can be written")

    def close(self) -> None:
        """Write what is left, for a moment at most."""
        try:
            self._lines.put(None, timeout=_STOP_SECONDS)
        except queue.Full:
            return  # whoever reads it has stopped reading
        self._thread.join(_STOP_SECONDS)
        if self._file and not self._thread.is_alive():
            with suppress(OSError):  # a full disk: counted already
                self._file.close()

    def _run(self) -> None:
        while (line := self._lines.get()) is not None:
            try:
                self._write(line)
            except (OSError, ValueError) as error:  # ValueError: a stream that was closed
                self._lose(str(error))

    def _lose(self, why: str) -> None:
        if self._lost == 0:
            _log.warning("lines of the access log are lost: %s", quoted(why))
        self._lost += 1


def line_of(request: Request) -> str:
    """The line, without its end."""
    said: dict[str, Any] = {
        "time": request.began.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "id": request.id,
        "remote": quoted(request.remote, 64),
        "user": quoted(request.user, 128),
        "method": quoted(request.method, 16),
        "path": quoted(request.path, _MOST_TEXT),
        "query": harmless(request.query),
        "status": request.status,
        "received": request.received,
        "sent": request.sent,
        "ms": round(request.seconds * 1000, 1),
        "agent": quoted(request.user_agent),
        "ended": request.ended,
    }
    return json.dumps(said, ensure_ascii=True, separators=(",", ":"))


def harmless(query: str) -> str:
    """A query string with the known parameters alone."""
    try:
        pairs = parse_qsl(query[: 8 * _MOST_TEXT], keep_blank_values=True, max_num_fields=32)
    except ValueError:  # more of them than anybody needs
        return ""
    return quoted(urlencode([pair for pair in pairs if pair[0] in KNOWN_PARAMETERS], safe=":/"), _MOST_TEXT)


class _File(WatchedFileHandler):
    """The standard library's handler does the opening and reopening; its errors come here instead of to stderr."""

    def write(self, line: str) -> None:
        self.handle(logging.makeLogRecord({"msg": line}))

    def handleError(self, _record: logging.LogRecord) -> None:  # noqa: N802 - logging's own name
        raise  # noqa: PLE0704 - it is called while handling the error

    def _open(self) -> TextIOWrapper:
        return open(self.baseFilename, "a", encoding="ascii", opener=_private)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_CLOEXEC, FILE_MODE)


def _open(path: str) -> _File:
    try:
        return _File(path)
    except OSError as error:
        raise disk_error(error, f"open the access log {quoted(path)}") from error


class _Stream:
    """Standard output or error, past any buffer."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def __call__(self, line: str) -> None:
        rest = f"{line}\n".encode("ascii")
        while rest:
            rest = rest[os.write(self._descriptor, rest) :]
