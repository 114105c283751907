"""SHA256SUMS: what coreutils check on a machine without bundler, read in the one form that pack writes.

A line is 64 lower-case hexadecimal characters, two spaces, a file name and a newline; the names are those of a bundle's
own files, each once. Beside it lies one ``SHA256SUMS.<key>.sig`` per signer, over the file's exact bytes.

On request the same signers leave signatures for other tools' verifiers there, ``SHA256SUMS.<key>.<suffix>``. They never
count for bundler's own verification, which neither needs nor reads them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType

from bundler.bundle.statement import INVENTORY_NAME
from bundler.errors import ArchiveError, LimitError, quoted
from bundler.oci.digest import Digest, hex_of

SUMS = "SHA256SUMS"
ENVELOPE = "bundle.dsse.json"
INVENTORY = INVENTORY_NAME
VERIFY = "VERIFY.txt"
SUMS_CAP = 1 << 20
VERIFY_CAP = 16 << 20
COMPANIONS: Mapping[str, str] = MappingProxyType(
    {"cosign-bundle": "sigstore.json", "sshsig": "sshsig", "minisign": "minisig", "gpg": "asc"}
)
"""Forms of signatures for other tools, and the suffix of each one's file."""

_LINE = re.compile(r"([0-9a-f]{64})  ([A-Za-z0-9][A-Za-z0-9._-]{0,254})")
_SIGNATURE = re.compile(r"SHA256SUMS\.([0-9a-f]{16})\.sig")
_COMPANION = re.compile(rf"SHA256SUMS\.[0-9a-f]{{16}}\.(?:{'|'.join(map(re.escape, COMPANIONS.values()))})")


def signature_name(key_id: str) -> str:
    """The file of a signer's signature over SHA256SUMS: ``<key>`` is the first 16 characters of the key's id."""
    return f"{SUMS}.{key_id[:16]}.sig"


def signer_of(name: str) -> str | None:
    """The ``<key>`` in the name of such a file; ``None`` for any other name."""
    match = _SIGNATURE.fullmatch(name)
    return match[1] if match else None


def companion_name(key_id: str, form: str) -> str:
    """The file of a signer's signature in another tool's form, a key of :data:`COMPANIONS`."""
    return f"{SUMS}.{key_id[:16]}.{COMPANIONS[form]}"


def is_companion(name: str) -> bool:
    """Whether a file is by its name a signature for another tool."""
    return _COMPANION.fullmatch(name) is not None


def parse_sums(raw: bytes, *, what: str = SUMS) -> dict[str, Digest]:
    """File name to digest, in the file's order. Raises :class:`ArchiveError` naming the line."""
    if len(raw) > SUMS_CAP:
        raise LimitError(f"{what}: {len(raw)} bytes, more than the {SUMS_CAP} allowed")
    *lines, rest = raw.decode("latin-1").split("\n")
    if rest or not lines:
        raise ArchiveError(f"{what}: does not end with a newline")
    sums: dict[str, Digest] = {}
    for number, line in enumerate(lines, start=1):
        match = _LINE.fullmatch(line)
        if match is None:
            raise ArchiveError(f"{what}: line {number}: {quoted(line, 100)!r} is not a digest and a file name")
        digest, name = match.groups()
        if name in sums:
            raise ArchiveError(f"{what}: line {number}: {name} is listed twice")
        sums[name] = Digest(f"sha256:{digest}")
    return sums


def write_sums(sums: Mapping[str, Digest]) -> bytes:
    """The file, sorted by name."""
    return "".join(f"{hex_of(sums[name])}  {name}\n" for name in sorted(sums)).encode("ascii")
