"""The ustar dialect: strict both ways, with Python's tarfile and GNU tar as judges."""

from __future__ import annotations

import io
import tarfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bundler.bundle import tar
from bundler.errors import ArchiveError

SHORT = "blobs/sha256/" + "a" * 64
LONG = "blobs/sha512/" + "b" * 128
NAMES = ["oci-layout", "volumes/0001.json", SHORT, SHORT + ".part0001", LONG, LONG + ".part9999", "x" * 100, "y" * 101]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("size", [0, 1, 512, 8 << 30 | 5])
def test_what_is_written_is_read_and_nothing_else(name: str, size: int) -> None:
    if size >= 8 << 30:
        with pytest.raises(ValueError, match="does not fit"):
            tar.header(name, size, mtime=0)
        return
    raw = tar.header(name, size, mtime=1_700_000_000)
    assert len(raw) == tar.header_length(name)
    assert tar.parse(raw) == tar.Member(name, size, 1_700_000_000)


@pytest.mark.parametrize("name", NAMES)
def test_tarfile_sees_a_plain_file(name: str) -> None:
    content = b"content of " + name.encode()
    archive = tar.header(name, len(content), mtime=77) + content + bytes(tar.padding(len(content))) + tar.END
    with tarfile.open(fileobj=io.BytesIO(archive)) as opened:
        (info,) = opened.getmembers()
        file = opened.extractfile(info)
        assert file is not None
        assert file.read() == content
    assert (info.name, info.mode, info.uid, info.gid, info.uname, info.gname, info.mtime, info.type) == (
        name, 0o644, 0, 0, "", "", 77, tarfile.REGTYPE,
    )  # fmt: skip
    assert set(info.pax_headers) <= {"path"}


@given(st.integers(0, 10_000))
def test_padding_fills_a_record(size: int) -> None:
    assert (size + tar.padding(size)) % tar.RECORD == 0
    assert 0 <= tar.padding(size) < tar.RECORD


@pytest.mark.parametrize("name", [SHORT, LONG])
def test_every_changed_byte_is_refused(name: str) -> None:
    raw = tar.header(name, 1234, mtime=5)
    for at in range(len(raw)):
        spoilt = bytearray(raw)
        spoilt[at] ^= 1
        try:
            member = tar.parse(bytes(spoilt))
        except ArchiveError:
            continue
        assert member.name != name, f"byte {at} changed unseen"  # a longer name's tail stands only in the pax record
        assert tar.header(member.name, member.size, mtime=member.mtime) == spoilt


def _foreign(**changes: object) -> bytes:
    info = tarfile.TarInfo("oci-layout")
    info.size = 30
    for name, value in changes.items():
        setattr(info, name, value)
    return info.tobuf(tarfile.USTAR_FORMAT)


def _gnu() -> bytes:
    info = tarfile.TarInfo(LONG)
    info.size = 30
    return info.tobuf(tarfile.GNU_FORMAT)


def _pax(**records: str) -> bytes:
    info = tarfile.TarInfo(LONG)
    info.size = 30
    info.pax_headers = dict(records)
    return info.tobuf(tarfile.PAX_FORMAT)


FOREIGN = {
    "symlink": _foreign(type=tarfile.SYMTYPE, linkname="/etc/passwd"),
    "hardlink": _foreign(type=tarfile.LNKTYPE, linkname="other"),
    "directory": _foreign(type=tarfile.DIRTYPE, size=0),
    "device": _foreign(type=tarfile.CHRTYPE),
    "setuid": _foreign(mode=0o4755),
    "owner": _foreign(uid=1000),
    "user-name": _foreign(uname="root"),
    "old-regular-type": _foreign(type=tarfile.AREGTYPE),
    "gnu-long-name": _gnu(),
    "pax-size": _pax(size="99"),
    "pax-mtime": _pax(mtime="1.5"),
    "empty": b"",
    "zeros": bytes(512),
    "short": tar.header("oci-layout", 30, mtime=0)[:-1],
    "twice": tar.header("oci-layout", 30, mtime=0) * 2,
    "negative-size": tar.header("oci-layout", 30, mtime=0).replace(b"00000000036", b"-0000000036"),
    "non-ascii": tar.header("oci-layout", 30, mtime=0).replace(b"oci-layout", b"oci-layou\xff"),
}


@pytest.mark.parametrize("raw", FOREIGN.values(), ids=FOREIGN)
def test_foreign_headers_are_refused(raw: bytes) -> None:
    with pytest.raises(ArchiveError):
        tar.parse(raw)


@pytest.mark.parametrize(("size", "mtime", "name"), [(-1, 0, "a"), (1, -1, "a"), (1, 1 << 40, "a"), (1, 1, "")])
def test_what_does_not_fit_is_not_written(size: int, mtime: int, name: str) -> None:
    with pytest.raises(ValueError, match="does not fit"):
        tar.header(name, size, mtime=mtime)
