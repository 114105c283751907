"""A registry in a process of its own for as long as a ``with`` block lasts: for the demo, and for tests.

    with running(directory) as url:        # http://127.0.0.1:41291, answering
        ...

The process ends with the block, by SIGTERM and if need be by SIGKILL; and by itself when this process is gone, since it
holds the other end of a pipe.
"""

from __future__ import annotations

import json
import os
import selectors
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bundler.errors import BundlerError, NetworkError

_START_SECONDS = 30.0
_STOP_SECONDS = 10.0


@contextmanager
def running(
    directory: str | os.PathLike[str],
    *,
    read_only: bool = False,
    allow_delete: bool = False,
    tls_cert: str | os.PathLike[str] | None = None,
    tls_key: str | os.PathLike[str] | None = None,
    htpasswd: str | os.PathLike[str] | None = None,
    rights: str | os.PathLike[str] | None = None,
) -> Iterator[str]:
    """Serve the store in ``directory`` on a free port of 127.0.0.1, and yield the base address.

    Raises :class:`NetworkError` with what the process said if it does not come up.
    """
    files = {"tls_cert": tls_cert, "tls_key": tls_key, "htpasswd": htpasswd, "rights": rights}
    asked = {
        "directory": os.fspath(directory),
        "read_only": read_only,
        "allow_delete": allow_delete,
        **{name: None if file is None else os.fspath(file) for name, file in files.items()},
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "bundler.registry.process", json.dumps(asked)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    try:
        yield _address(process)
    finally:
        _stop(process)


def _address(process: subprocess.Popen[bytes]) -> str:
    """The one line that the process says when it is ready; anything else is its error."""
    assert process.stdout is not None
    until = time.monotonic() + _START_SECONDS
    said = b""
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        while b"\n" not in said and selector.select(until - time.monotonic()):
            more = os.read(process.stdout.fileno(), 4096)
            if not more:
                break
            said += more
    line = said.decode(errors="replace").strip()
    if not line.startswith(("http://", "https://")):
        raise NetworkError(f"the registry did not start: {line or 'it said nothing'}", hint="")
    return line


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            pipe.close()


def _main(asked: Mapping[str, Any]) -> int:
    from bundler.registry.access import Access
    from bundler.registry.extra import require
    from bundler.registry.opening import opened
    from bundler.registry.serve import Door, serve

    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        require()
        access = Access.of_files(asked["htpasswd"], asked["rights"])
        cert, key = (None if asked[name] is None else Path(asked[name]) for name in ("tls_cert", "tls_key"))
        with opened(asked["directory"], read_only=asked["read_only"]) as (contents, writable):
            door = Door("127.0.0.1:0", tls_cert=cert, tls_key=key)
            serve(contents, writable, door, access=access, allow_delete=asked["allow_delete"], on_ready=_say)
    except BundlerError as error:
        _say(str(error))
        return error.exit_code
    return 0


def _say(line: str) -> None:
    """One line through the pipe to the parent."""
    os.write(1, f"{line}\n".encode())


def _end_with_parent() -> None:
    """Standard input stays open and silent as long as the parent lives."""
    os.read(0, 1)
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    sys.exit(_main(json.loads(sys.argv[1])))
