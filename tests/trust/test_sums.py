from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bundler.errors import ArchiveError, LimitError
from bundler.oci.digest import digest_of
from bundler.trust.sums import parse_sums, signature_name, signer_of, write_sums
from tests.peers import needs, run

ONE = digest_of(b"1").removeprefix("sha256:")
NAMES = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,20}", fullmatch=True)


@given(st.dictionaries(NAMES, st.binary().map(digest_of), min_size=1))
def test_round_trip(sums: dict[str, str]) -> None:
    raw = write_sums(sums)  # type: ignore[arg-type] # a Digest is what digest_of gives
    assert parse_sums(raw) == sums
    assert write_sums(parse_sums(raw)) == raw


GOOD = f"{ONE}  a.txt\n"
BAD = {
    "empty": ("", "newline"),
    "no-final-newline": (GOOD[:-1], "newline"),
    "crlf": (GOOD.replace("\n", "\r\n"), "line 1"),
    "empty-line": (GOOD + "\n", "line 2"),
    "comment": ("# sums\n" + GOOD, "line 1"),
    "one-space": (GOOD.replace("  ", " "), "line 1"),
    "binary-mode": (GOOD.replace("  ", " *"), "line 1"),
    "three-spaces": (GOOD.replace("  ", "   "), "line 1"),
    "capital-hex": (GOOD.upper(), "line 1"),
    "short-digest": (GOOD[1:], "line 1"),
    "sha512": (f"{ONE}{ONE}  a.txt\n", "line 1"),
    "bsd-format": (f"SHA256 (a.txt) = {ONE}\n", "line 1"),
    "escaped-name": (f"\\{ONE}  a\\nb\n", "line 1"),
    "name-with-space": (f"{ONE}  a b\n", "line 1"),
    "name-with-slash": (f"{ONE}  a/b\n", "line 1"),
    "parent-directory": (f"{ONE}  ..\n", "line 1"),
    "hidden-file": (f"{ONE}  .a\n", "line 1"),
    "absolute-path": (f"{ONE}  /etc/passwd\n", "line 1"),
    "option-like-name": (f"{ONE}  -a\n", "line 1"),
    "zero-byte": (f"{ONE}  a\0\n", "line 1"),
    "no-name": (f"{ONE}  \n", "line 1"),
    "not-ascii": (f"{ONE}  ä\n", "line 1"),
    "other-line-ends": (f"{ONE}  a\x85{ONE}  b\n", "line 1"),
    "twice": (GOOD + GOOD, "line 2: a.txt is listed twice"),
    "twice-with-another-digest": (GOOD + GOOD.replace(ONE, "0" * 64), "line 2: a.txt is listed twice"),
}


@pytest.mark.parametrize(("text", "message"), BAD.values(), ids=BAD)
def test_files_that_are_refused(text: str, message: str) -> None:
    with pytest.raises(ArchiveError, match=message) as caught:
        parse_sums(text.encode())
    assert str(caught.value).startswith("SHA256SUMS: ")


def test_a_huge_file_is_refused() -> None:
    with pytest.raises(LimitError):
        parse_sums(b"\n" * ((1 << 20) + 1))


def test_signature_names() -> None:
    key_id = "0123456789abcdef" * 4
    assert signature_name(key_id) == "SHA256SUMS.0123456789abcdef.sig"
    assert signer_of(signature_name(key_id)) == "0123456789abcdef"
    for name in ("SHA256SUMS", "SHA256SUMS.sig", "SHA256SUMS..sig", "SHA256SUMS.0123456789ABCDEF.sig", "x.sig"):
        assert signer_of(name) is None


@needs("sha256sum")
def test_coreutils_check_it(tmp_path: Path) -> None:
    files = {"b.txt": b"two", "a.bin": bytes(range(256))}
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    raw = write_sums({name: digest_of(content) for name, content in files.items()})
    (tmp_path / "SHA256SUMS").write_bytes(raw)
    run("sha256sum", "--strict", "--check", "SHA256SUMS", cwd=tmp_path)
    assert run("sha256sum", "a.bin", "b.txt", cwd=tmp_path).encode() == raw
