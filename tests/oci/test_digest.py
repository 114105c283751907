"""Digests: nothing that is not exactly one gets past the parser."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bundler.errors import ProtocolError
from bundler.oci.digest import algorithm_of, digest_of, hex_of, is_digest, parse_digest

A = "a" * 64


@given(st.binary(max_size=100), st.sampled_from(["sha256", "sha512"]))
def test_round_trip(content: bytes, algorithm: str) -> None:
    digest = digest_of(content, algorithm)
    assert parse_digest(digest) == digest
    assert is_digest(digest)
    assert (algorithm_of(digest), hex_of(digest)) == (algorithm, hashlib.new(algorithm, content).hexdigest())
    assert digest_of(memoryview(content), algorithm) == digest


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="empty"),
        pytest.param(A, id="no-algorithm"),
        pytest.param(f"sha256:{A[:-1]}", id="short"),
        pytest.param(f"sha256:{A}a", id="long"),
        pytest.param(f"sha256:{A.upper()}", id="upper-case"),
        pytest.param(f"SHA256:{A}", id="upper-case-algorithm"),
        pytest.param(f"sha512:{A}", id="sha256-length-for-sha512"),
        pytest.param(f"sha384:{'a' * 96}", id="unregistered"),
        pytest.param(f"md5:{'a' * 32}", id="broken-algorithm"),
        pytest.param(f"sha256:{'../' * 21}a", id="path"),
        pytest.param(f"sha256:{A[:-1]}\n", id="newline"),
        pytest.param(f"sha256:{A}\n", id="trailing-newline"),
        pytest.param(f" sha256:{A}", id="leading-space"),
        pytest.param("sha256:" + "\u0661" * 64, id="arabic-digits"),
        pytest.param(f"sha256:{'g' * 64}", id="not-hexadecimal"),
        pytest.param(f"sha256:sha256:{A}", id="twice"),
    ],
)
def test_refused(text: str) -> None:
    assert not is_digest(text)
    with pytest.raises(ProtocolError, match="layer 3"):
        parse_digest(text, what="layer 3")


def test_refuses_what_is_no_text() -> None:
    with pytest.raises(ProtocolError, match="not int"):
        parse_digest(5)


@given(st.text())
def test_both_questions_agree(text: str) -> None:
    try:
        parse_digest(text)
        taken = True
    except ProtocolError:
        taken = False
    assert taken == is_digest(text)
