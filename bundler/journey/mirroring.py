"""From a receipt to the files that lead the far side's runtimes to what was pushed: `mirror-config`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bundler.errors import ConfigError, disk_error, quoted
from bundler.journey.files import read_file, write_over
from bundler.mirrors.formats import FORMATS
from bundler.mirrors.moves import CAP, read_moves
from bundler.mirrors.site import Output, Site

_CA_CAP = 1 << 20


def mirror_config(
    receipt: Path, *, formats: Sequence[str] = (), insecure: bool = False, ca: Path | None = None
) -> Output:
    """The files of ``formats``, all if none are named, and what they can't say."""
    if insecure and ca is not None:
        raise ConfigError("--insecure and --ca exclude each other")
    unknown = [name for name in formats if name not in FORMATS]
    if unknown:
        raise ConfigError(f"--for {quoted(unknown[0])}: unknown", hint=f"one of {', '.join(FORMATS)}")
    moves = read_moves(read_file(receipt, what="receipt", cap=CAP), str(receipt))
    if not moves.images:
        raise ConfigError(
            f"{receipt}: no image has an old name to be found under", hint="\n  ".join(moves.notes[:10]) or None
        )
    site = Site(insecure, "" if ca is None else _certificate(ca))
    files: dict[str, str] = {}
    notes = list(moves.notes)
    for name in dict.fromkeys(formats or FORMATS):
        made = FORMATS[name](moves, site)
        files |= made.files
        notes += made.notes
    return Output(files, tuple(dict.fromkeys(notes)))


def write_files(output: Output, directory: Path) -> None:
    """Write all files below a directory; those that are there are replaced."""
    for name, text in output.files.items():
        path = directory / name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as problem:
            raise disk_error(problem, f"make {path.parent}") from problem
        write_over(path, text.encode())


def _certificate(path: Path) -> str:
    raw = read_file(path, what="--ca", cap=_CA_CAP)
    if not raw.isascii() or b"-----BEGIN CERTIFICATE-----" not in raw:
        raise ConfigError(f"--ca {path}: is no certificate in PEM", hint="convert it with `openssl x509 -inform DER`")
    return raw.decode("ascii")
