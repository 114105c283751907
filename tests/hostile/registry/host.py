"""``bundler registry serve`` in a process of its own that can be hurt: killed, limited, made to fail at chosen calls.

    with hosting(folder / "store", allow_delete=True) as host:
        assert host.ask("GET", "/v2/").status == 200
        print(host.peak())                              # MiB, the most that the process ever took

``values`` sets constants of modules, such as timeouts, or the defaults of keywords; ``faults`` lets a call of ``os`` fail or kill the process, by its
number from :meth:`Host.arm` on; ``ulimits`` are limits of the process.
"""

from __future__ import annotations

import http.client
import importlib
import json
import os
import re
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Self

from bundler.oci.digest import Digest, digest_of
from tests.images import Image

ROOT = Path(__file__).parents[3]
_START_SECONDS = 30.0
_STOP_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back; header names in lower case. ``whole`` is false if the connection broke before the end."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    whole: bool = True

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def codes(self) -> list[str]:
        """Of the error document."""
        return [error["code"] for error in self.json["errors"]]


class Client:
    """One keep-alive connection; not for two threads at once."""

    def __init__(self, port: int, *, auth: str = "", seconds: float = 30.0) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=seconds)
        self._auth = auth

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._connection.close()

    def ask(
        self, method: str, target: str, body: Any = None, headers: Mapping[str, str] | None = None, **options: Any
    ) -> Answer:
        """One request. Anything but an answer raises :class:`OSError` or :class:`http.client.HTTPException`."""
        sent = {**({"Authorization": self._auth} if self._auth else {}), **(headers or {})}
        try:
            with suppress(BrokenPipeError, ConnectionResetError):  # it may have answered before it had all of the body
                self._connection.request(method, target, body, sent, **options)
            answer = self._connection.getresponse()
            try:
                raw, whole = answer.read(), True
            except http.client.IncompleteRead as cut:
                raw, whole = cut.partial, False
        except BaseException:
            self._connection.close()
            raise
        if not whole:
            self._connection.close()
        return Answer(answer.status, {name.lower(): text for name, text in answer.getheaders()}, raw, whole)

    def begin(self, repository: str) -> str:
        """The location of a new upload session."""
        answer = self.ask("POST", f"/v2/{repository}/blobs/uploads/")
        assert answer.status == 202, answer
        return answer.headers["location"]

    def upload(self, repository: str, raw: bytes, digest: Digest | None = None) -> Answer:
        """A blob by POST, PATCH and PUT; the first answer that is no success, or the last."""
        answer = self.ask("POST", f"/v2/{repository}/blobs/uploads/")
        if answer.status != 202:
            return answer
        location = answer.headers["location"]
        answer = self.ask("PATCH", location, raw)
        if answer.status != 202:
            return answer
        return self.ask("PUT", f"{location}?digest={digest or digest_of(raw)}")

    def put(self, repository: str, reference: str, raw: bytes, media_type: str) -> Answer:
        return self.ask("PUT", f"/v2/{repository}/manifests/{reference}", raw, {"Content-Type": media_type})

    def push(self, repository: str, tag: str, image: Image) -> Answer:
        """A whole image, children first; the first answer that is no success, or the last."""
        answer = Answer(0, {}, b"")
        for part in image.blobs:
            answer = self.upload(repository, part.raw, part.descriptor.digest)
            if answer.status != 201:
                return answer
        for part in image.manifests:
            reference = tag if part is image.parts[-1] else part.descriptor.digest
            answer = self.put(repository, reference, part.raw, part.descriptor.media_type)
            if answer.status != 201:
                return answer
        return answer

    def assert_holds(self, repository: str, tag: str, image: Image) -> None:
        """That the tag stands for the image, and all of it can be pulled."""
        named = self.ask("GET", f"/v2/{repository}/manifests/{tag}")
        assert (named.status, named.body) == (200, image.raw), (repository, tag, named)
        self.assert_pulls(repository, image)

    def assert_pulls(self, repository: str, image: Image) -> None:
        """That all of the image can be pulled by digest."""
        for part in image.parts:
            kind = "manifests" if part.descriptor.is_manifest else "blobs"
            got = self.ask("GET", f"/v2/{repository}/{kind}/{part.descriptor.digest}")
            assert (got.status, got.whole, got.body) == (200, True, part.raw), (repository, part.descriptor, got.status)


@dataclass(slots=True)
class Host:
    """A server that runs."""

    port: int
    process: subprocess.Popen[bytes]
    armed: Path
    log: Path

    def client(self, auth: str = "", seconds: float = 30.0) -> Client:
        return Client(self.port, auth=auth, seconds=seconds)

    def ask(
        self,
        method: str,
        target: str,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
        *,
        auth: str = "",
        seconds: float = 30.0,
        **options: Any,
    ) -> Answer:
        """One request over a connection of its own."""
        with self.client(auth, seconds) as client:
            return client.ask(method, target, body, headers, **options)

    def peak(self) -> int:
        """The most memory that the process ever had, in MiB."""
        return self._status("VmHWM") >> 10

    def files(self) -> int:
        """How many descriptors it has open."""
        return len(list(Path(f"/proc/{self.process.pid}/fd").iterdir()))

    def arm(self, name: str, at: int) -> None:
        """Let the ``at``-th call of ``os.name`` from now on be the one, until :meth:`disarm`."""
        fresh = self.armed.with_suffix(".fresh")
        fresh.write_text(f"{name} {at}")
        fresh.replace(self.armed)

    def disarm(self) -> None:
        self.armed.unlink(missing_ok=True)

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def _status(self, name: str) -> int:
        said = Path(f"/proc/{self.process.pid}/status").read_text()
        found = re.search(rf"^{name}:\s+(\d+) kB$", said, re.MULTILINE)
        assert found is not None, said
        return int(found[1])


@contextmanager
def hosting(
    store: Path | None = None,
    *,
    bundles: Iterable[tuple[Path, Path]] = (),
    read_only: bool = False,
    allow_delete: bool = False,
    htpasswd: Path | None = None,
    rights: Path | None = None,
    values: Mapping[str, Any] | None = None,
    faults: Mapping[str, int | None] | None = None,
    ulimits: Mapping[str, int] | None = None,
    work: Path | None = None,
    killed: bool = False,
) -> Iterator[Host]:
    """Serve until the block ends; with a traceback in what it said, the test fails.

    ``bundles`` are directories with the public keys that they are checked with. ``faults`` tell by function of ``os``
    with which errno it will fail; ``None`` kills the process instead. ``killed`` allows for its
    having been killed.
    """
    work = work or (store.parent if store is not None else next(iter(bundles))[0].parent)
    name = f"host-{time.monotonic_ns()}"
    log, armed = work / f"{name}.log", work / f"{name}.armed"
    asked = {
        "store": None if store is None else str(store),
        "bundles": [[str(part) for part in pair] for pair in bundles],
        "read_only": read_only,
        "allow_delete": allow_delete,
        "htpasswd": None if htpasswd is None else str(htpasswd),
        "rights": None if rights is None else str(rights),
        "values": dict(values or {}),
        "faults": dict(faults or {}),
        "ulimits": dict(ulimits or {}),
        "armed": str(armed),
    }
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.hostile.registry.host", json.dumps(asked)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=out,
            cwd=ROOT,
        )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        line = process.stdout.readline().decode()
        assert line.startswith("http://"), f"{line}{log.read_text()}"
        yield Host(int(line.strip().rpartition(":")[2]), process, armed, log)
    finally:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        process.stdin.close()
        process.stdout.close()
        armed.unlink(missing_ok=True)
        armed.with_suffix(".fresh").unlink(missing_ok=True)
    said = log.read_text(errors="replace")
    assert "Traceback" not in said, said
    assert process.returncode == 0 or (killed and process.returncode == -signal.SIGKILL), (process.returncode, said)


# In the process


class _Fault:
    """Counts the calls of one function of ``os`` once it is armed; the one that is asked for fails or kills."""

    def __init__(self, name: str, code: int | None, armed: str) -> None:
        self._name = name
        self._original = getattr(os, name)
        self._stat = os.stat
        self._code = code
        self._armed = armed
        self._seen = (0, 0)
        self._left = 0
        self._lock = threading.Lock()

    def __call__(self, *args: Any, **options: Any) -> Any:
        with self._lock:
            due = self._is_due()
        if due and self._code is None:
            os.kill(os.getpid(), signal.SIGKILL)
            time.sleep(60)
        if due and self._code is not None:
            raise OSError(self._code, os.strerror(self._code))
        return self._original(*args, **options)

    def _is_due(self) -> bool:
        try:
            found = self._stat(self._armed)
            if self._seen != (found.st_ino, found.st_mtime_ns):
                name, at = Path(self._armed).read_text().split()
                self._seen = (found.st_ino, found.st_mtime_ns)
                self._left = int(at) if name == self._name else 0
        except FileNotFoundError:
            return False
        self._left -= 1
        return self._left == 0


def _main(asked: Mapping[str, Any]) -> int:
    from datetime import UTC, datetime

    from bundler.journey.demand import Demand
    from bundler.journey.serving import Serving, Started, serve
    from bundler.registry.serve import Door

    threading.Thread(target=_end_with_parent, daemon=True).start()
    for where, value in asked["values"].items():
        _set(where, value)
    for name, value in asked["ulimits"].items():
        number = getattr(resource, name)
        resource.setrlimit(number, (value, value))
    for name, code in asked["faults"].items():
        setattr(os, name, _Fault(name, code, asked["armed"]))
    keys = [Path(key) for _, key in asked["bundles"]]

    def demanded() -> Demand:
        return Demand.of(keys, 1, now=datetime.now(UTC))

    def ready(started: Started) -> None:
        os.write(1, f"{started.url}\n".encode())

    htpasswd, rights = (None if asked[name] is None else Path(asked[name]) for name in ("htpasswd", "rights"))
    serve(
        [Path(place) for place in [*filter(None, [asked["store"]]), *(bundle for bundle, _ in asked["bundles"])]],
        demanded,
        Serving(
            Door("127.0.0.1:0", grace=1.0),
            read_only=asked["read_only"],
            allow_delete=asked["allow_delete"],
            htpasswd=htpasswd,
            rights=rights,
        ),
        on_ready=ready,
    )
    return 0


def _set(where: str, value: Any) -> None:
    """A constant of a module, or with ``module:Class.method`` the default of a keyword."""
    front, _, name = where.rpartition(".")
    module, _, path = front.partition(":")
    thing = importlib.import_module(module)
    for part in filter(None, path.split(".")):
        thing = getattr(thing, part)
    if path:
        is_span = isinstance(thing.__kwdefaults__[name], timedelta)
        thing.__kwdefaults__[name] = timedelta(seconds=value) if is_span else value
    else:
        assert hasattr(thing, name)
        setattr(thing, name, value)


def _end_with_parent() -> None:
    os.read(0, 1)
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    sys.exit(_main(json.loads(sys.argv[1])))
