"""The one ustar dialect of volumes: what its writer never writes, its reader refuses.

Regular files only, mode 0644, uid and gid 0, no user names, one modification time for all. A name of more than 100
characters, which only sha512 blobs have, is preceded by a pax header with the single record ``path``. There are no GNU
extensions, and GNU tar reads it. Reading is strict in the simplest way: the header is written again from what it says
and must come out the same.

Specification: POSIX.1-2017, pax, "ustar Interchange Format" and "pax Interchange Format".

>>> len(header("oci-layout", 30, mtime=0))
512
"""

from __future__ import annotations

from dataclasses import dataclass

from bundler.errors import ArchiveError

RECORD = 512
END = bytes(2 * RECORD)
"""The end of an archive."""
_NAME = 100
_MAX_SIZE = 0o77777777777


@dataclass(frozen=True, slots=True)
class Member:
    """A file in an archive. ``size`` is in bytes, ``mtime`` in seconds since 1970."""

    name: str
    size: int
    mtime: int


def header(name: str, size: int, *, mtime: int) -> bytes:
    """What stands before a member's data: 512 bytes, or 1536 with a pax header. ``name`` is ASCII."""
    if len(name) <= _NAME:
        return _ustar(name, size, mtime, b"0")
    record = _pax_record(name)
    pax = _ustar(f"PaxHeaders/{name}"[:_NAME], len(record), mtime, b"x")
    return pax + record + bytes(padding(len(record))) + _ustar(name[:_NAME], size, mtime, b"0")


def header_length(name: str) -> int:
    """The length of :func:`header` for a name."""
    if len(name) <= _NAME:
        return RECORD
    record = len(_pax_record(name))
    return 2 * RECORD + record + padding(record)


def padding(size: int) -> int:
    """How many zero bytes follow a member's data."""
    return -size % RECORD


def parse(raw: bytes) -> Member:
    """The member whose whole header is ``raw``; :class:`ArchiveError` unless :func:`header` would write the same."""
    last = raw[-RECORD:]
    try:
        name = last[:_NAME].rstrip(b"\0").decode("ascii")
        if len(raw) > RECORD:
            length = int(raw[124:135], 8)
            name = raw[RECORD : RECORD + length].decode("ascii").partition(" path=")[2].removesuffix("\n")
        member = Member(name, int(last[124:135], 8), int(last[136:147], 8))
        same = header(member.name, member.size, mtime=member.mtime) == raw
    except ValueError:
        same = False
    if not same:
        raise ArchiveError("not a tar header that bundler writes")
    return member


def _pax_record(name: str) -> bytes:
    rest = len(f" path={name}\n")
    length = rest + len(str(rest))
    length = rest + len(str(length))
    return f"{length} path={name}\n".encode("ascii")


def _ustar(name: str, size: int, mtime: int, kind: bytes) -> bytes:
    if not 0 <= size <= _MAX_SIZE or not 0 <= mtime <= _MAX_SIZE or not name:
        raise ValueError(f"{name!r} of {size} bytes does not fit a ustar header")
    raw = bytearray(RECORD)
    raw[0 : len(name)] = name.encode("ascii")
    raw[100:124] = b"0000644\x000000000\x000000000\x00"  # hexadecimal escapes: an octal one would eat the digits
    raw[124:148] = b"%011o\0%011o\0" % (size, mtime)
    raw[148:157] = b" " * 8 + kind  # the checksum counts itself as spaces
    raw[257:265] = b"ustar\x0000"
    raw[329:345] = b"0000000\x000000000\x00"
    raw[148:156] = b"%06o\0 " % sum(raw)
    return bytes(raw)
