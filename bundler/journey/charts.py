"""Helm charts: rendered by Helm where it is installed, else read for guesses; archives are read in memory only.

    chart = open_chart(Path("web-1.2.0.tgz"))      ──▶ its files by their path in the chart, or None if it is no chart
    render(Path("web-1.2.0.tgz"), values=())       ──▶ what `helm template` prints, or why it did not

Helm runs without a shell, with a home of its own, so that neither plugins nor a cluster's credentials reach it.
"""

from __future__ import annotations

import gzip
import os
import shutil
import signal
import subprocess
import tarfile
import tempfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

from bundler.errors import ConfigError, LimitError, quoted
from bundler.selection.scan.documents import SIZE_CAP

ARCHIVES = (".tgz", ".tar.gz")
MOST_HEADERS = 100
MOST_MEMBERS = 10_000
MOST_UNPACKED = 64 << 20
"""Bytes of an archive once they are unpacked, those passed over included."""
HELM_TIME = 120.0
_HELM_ENVIRONMENT = ("PATH", "LANG", "TMPDIR")
_WANTED = (".yaml", ".yml", ".tpl", ".json")


@dataclass(frozen=True, slots=True)
class Chart:
    """Files by their path in the chart, and members of its archive that were left out for their names."""

    files: dict[str, bytes]
    refused: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Rendered:
    """What Helm printed; or, with ``problem``, why there is nothing."""

    output: bytes = b""
    problem: str = ""


def open_chart(path: Path) -> Chart | None:
    """The texts of a chart's directory or archive; None if there is no ``Chart.yaml`` in it.

    Raises :class:`LimitError` for one that unpacks to too much, :class:`ConfigError` for a damaged archive.
    """
    chart = _of_directory(path) if path.is_dir() else _of_archive(path)
    return chart if "Chart.yaml" in chart.files else None


def _of_directory(root: Path) -> Chart:
    files: dict[str, bytes] = {}
    total = 0
    for folder, below, names in os.walk(root, followlinks=False):
        below.sort()
        for name in sorted(names):
            path = Path(folder) / name
            inner = path.relative_to(root).as_posix()
            if not _is_wanted(inner) or path.is_symlink() or not path.is_file():
                continue
            with path.open("rb") as file:
                files[inner] = file.read(SIZE_CAP + 1)
            total += len(files[inner])
            if total > MOST_UNPACKED or len(files) > MOST_MEMBERS:
                raise LimitError(
                    f"{quoted(str(root))}: a chart of more than {MOST_UNPACKED} bytes or {MOST_MEMBERS} files"
                )
    return Chart(files)


def _of_archive(path: Path) -> Chart:
    what = quoted(str(path))
    files: dict[str, bytes] = {}
    refused: list[str] = []
    try:
        with gzip.open(path, "rb") as plain:
            capped = cast("IO[bytes]", _Capped(cast("IO[bytes]", plain), what))
            with tarfile.open(fileobj=capped, mode="r|", errorlevel=0) as archive:
                for count, member in enumerate(archive):
                    if count >= MOST_MEMBERS:
                        raise LimitError(f"{what}: more than {MOST_MEMBERS} members")
                    archive.pax_headers = {}  # global headers that pile up
                    archive.members = []  # type: ignore[attr-defined]  # else it keeps them all
                    if len(member.pax_headers) > MOST_HEADERS:
                        raise LimitError(f"{what}: a member with more than {MOST_HEADERS} extended headers")
                    inner = member.name.partition("/")[2]
                    if not _is_plain(member.name):
                        refused.append(quoted(member.name, 80))
                    elif member.isreg() and _is_wanted(inner) and (content := archive.extractfile(member)) is not None:
                        files[inner] = content.read(SIZE_CAP + 1)
    except (tarfile.TarError, gzip.BadGzipFile, zlib.error, EOFError, ValueError, OverflowError) as problem:
        raise ConfigError(f"{what}: a damaged archive: {quoted(str(problem))}") from None
    return Chart(files, tuple(refused))


class _Capped:
    """A stream that ends with :class:`LimitError` rather than give more than :data:`MOST_UNPACKED` bytes."""

    def __init__(self, stream: IO[bytes], what: str) -> None:
        self._stream, self._what, self._left = stream, what, MOST_UNPACKED

    def read(self, size: int = -1) -> bytes:
        data = self._stream.read(min(size, self._left + 1) if size >= 0 else self._left + 1)
        self._left -= len(data)
        if self._left < 0:
            raise LimitError(f"{self._what}: unpacks to more than {MOST_UNPACKED} bytes")
        return data


def _is_plain(name: str) -> bool:
    """Whether a member's name is a path below the chart's own folder; it is only ever shown, never opened."""
    parts = name.removesuffix("/").split("/")
    return (
        name.isprintable() and not name.startswith("/") and ".." not in parts and "" not in parts and len(name) < 1024
    )


def _is_wanted(inner: str) -> bool:
    parts = inner.split("/")
    return parts[-1] in ("Chart.yaml", "values.yaml") or ("templates" in parts and inner.endswith(_WANTED))


def _leading_out(root: Path) -> str | None:
    """A link in a chart's directory that leads out of it, if there is one."""
    real = os.path.realpath(root)
    for folder, below, names in os.walk(root, followlinks=False):
        for name in (*below, *names):
            path = Path(folder) / name
            target = os.path.realpath(path) if path.is_symlink() else real
            if target != real and not target.startswith(f"{real}/"):
                return path.relative_to(root).as_posix()
    return None


def helm() -> str | None:
    """Where Helm is installed, if it is."""
    return shutil.which("helm")


def render(chart: Path, *, values: Sequence[Path] = (), patience: float = HELM_TIME) -> Rendered:
    """What ``helm template`` prints for a chart's directory or archive."""
    program = helm()
    if program is None:
        return Rendered(problem="helm is not installed")
    if chart.is_dir() and (link := _leading_out(chart)) is not None:
        return Rendered(problem=f"helm would follow {quoted(link)}, a link that leads out of the chart")
    command = [program, "template", "release", str(chart.absolute()), "--include-crds=false"]
    command += [word for path in values for word in ("--values", str(path.absolute()))]
    with tempfile.TemporaryDirectory(prefix="bundler-helm-") as home:
        environment = {name: os.environ[name] for name in _HELM_ENVIRONMENT if name in os.environ}
        environment |= {"HOME": home} | {f"HELM_{kind}_HOME": f"{home}/{kind}" for kind in ("CONFIG", "CACHE", "DATA")}
        environment["KUBECONFIG"] = f"{home}/none"
        with (
            tempfile.TemporaryFile() as said,
            subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=said,
                env=environment,
                cwd=home,
                start_new_session=True,
            ) as process,
        ):
            output, problem = _output(process, patience)
            if not problem and process.returncode:
                said.seek(0)
                line = said.read(4096).decode("utf-8", "replace").strip().splitlines()
                problem = f"helm could not render it ({quoted(line[0]) if line else f'status {process.returncode}'})"
    return Rendered(problem=problem) if problem else Rendered(output)


def _output(process: subprocess.Popen[bytes], patience: float) -> tuple[bytes, str]:
    """Standard output up to the cap; and why it was cut off, if it was."""
    import threading

    assert process.stdout is not None
    expired = threading.Event()

    def end() -> None:
        expired.set()
        os.killpg(process.pid, signal.SIGKILL)

    timer = threading.Timer(patience, end)
    timer.start()
    try:
        output = process.stdout.read(SIZE_CAP + 1)
        if len(output) > SIZE_CAP:
            process.kill()
        process.wait()
    finally:
        timer.cancel()
    if expired.is_set():
        return b"", f"helm did not end within {patience:g} seconds"
    if len(output) > SIZE_CAP:
        return b"", f"helm printed more than {SIZE_CAP} bytes"
    return output, ""
