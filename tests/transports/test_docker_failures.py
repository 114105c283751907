"""Which error an answer or a broken connection becomes, and what the operator is told."""

from __future__ import annotations

import errno
import json
import socket
import ssl

import pytest
from urllib3 import exceptions as http

from bundler.errors import (
    AuthError,
    BundlerError,
    ConfigError,
    NetworkError,
    NotFoundError,
    ProtocolError,
    PushError,
    UnsupportedError,
)
from bundler.transports.docker.body import TooSlowError
from bundler.transports.docker.failures import Side, broken, describe, error_code, failure, is_untrusted

NAME = "localhost:5000/app"


def document(code: str, message: str = "") -> bytes:
    return json.dumps({"errors": [{"code": code, "message": message}]}).encode()


@pytest.mark.parametrize(
    ("status", "side", "error"),
    [
        (400, Side.PULL, ProtocolError), (400, Side.PUSH, PushError), (401, Side.PULL, AuthError),
        (403, Side.PUSH, AuthError), (404, Side.PULL, NotFoundError), (404, Side.PUSH, PushError),
        (404, Side.DELETE, NotFoundError), (405, Side.DELETE, UnsupportedError), (405, Side.PUSH, PushError),
        (408, Side.PULL, NetworkError), (413, Side.PUSH, PushError), (415, Side.PUSH, PushError),
        (429, Side.PUSH, NetworkError), (500, Side.PUSH, NetworkError), (503, Side.PULL, NetworkError),
    ],
)  # fmt: skip
def test_statuses(status: int, side: Side, error: type[BundlerError]) -> None:
    problem = failure(status, "Some Reason", b"", side=side, name=NAME)
    assert type(problem) is error
    assert str(problem) == f"{side.value} {NAME}: Some Reason ({status})"
    assert problem.hint


def test_the_registry_is_quoted_after_the_side() -> None:
    problem = failure(400, "", document("MANIFEST_BLOB_UNKNOWN", "blob unknown"), side=Side.PUSH, name=NAME)
    assert str(problem) == f"push to {NAME}: MANIFEST_BLOB_UNKNOWN: blob unknown (400)"
    assert "`index: keep`" in problem.hint


def test_what_a_registry_says_is_made_safe_to_print() -> None:
    problem = failure(400, "", document("X\x1b[2J", "\u202e" * 500), side=Side.PUSH, name=NAME)
    assert str(problem).isprintable() or "…" in str(problem)
    assert "\x1b" not in str(problem)
    assert len(str(problem)) < 5000


def test_nothing_said_at_all() -> None:
    assert str(failure(400, "", b"", side=Side.PULL, name=NAME)) == f"pull from {NAME}: failed (400)"


@pytest.mark.parametrize(
    ("body", "code"), [(document("DENIED"), "DENIED"), (b"{}", ""), (b"<html>", ""), (b'{"errors":[null]}', "")]
)
def test_codes(body: bytes, code: str) -> None:
    assert error_code(body) == code


REFUSED = ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused")
UNTRUSTED = ssl.SSLCertVerificationError(1, "certificate verify failed")


def refused() -> http.NewConnectionError:
    error = http.NewConnectionError(None, "x")  # type: ignore[arg-type] # the connection is not looked at
    error.__cause__ = REFUSED
    return error


@pytest.mark.parametrize(
    ("error", "text"),
    [
        pytest.param(http.NameResolutionError("h", None, socket.gaierror()), "cannot be resolved", id="name"),  # type: ignore[arg-type] # not looked at
        pytest.param(refused(), "Connection refused", id="refused"),
        pytest.param(http.ConnectTimeoutError("x"), "no connection in time", id="connect-time-out"),
        pytest.param(http.ReadTimeoutError(None, "", ""), "no answer in time", id="read-time-out"),  # type: ignore[arg-type] # not looked at
        pytest.param(http.ProtocolError("x", ConnectionResetError(104, "reset by peer")), "reset by peer", id="reset"),
        pytest.param(http.ProtocolError("x", http.IncompleteRead(1, 2)), "ended early", id="ended-early"),
        pytest.param(http.ProtocolError("x"), "broke", id="anything-else"),
        pytest.param(TooSlowError("less than 5 bytes per second"), "less than 5", id="too-slow"),
        pytest.param(http.SSLError(ssl.SSLError(1, "[SSL] wrong version number")), "TLS: ", id="tls"),
        pytest.param(http.ProxyError("x", REFUSED), "the proxy cannot be used", id="proxy"),
    ],
)
def test_connections_that_break(error: http.HTTPError, text: str) -> None:
    problem = broken(error, side=Side.PULL, name=NAME)
    assert type(problem) is NetworkError
    assert text in str(problem)
    assert "object at" not in str(problem)
    assert problem.hint


def test_an_untrusted_certificate_is_a_matter_of_configuration() -> None:
    error = http.SSLError(UNTRUSTED)
    assert is_untrusted(error)
    assert isinstance(broken(error, side=Side.PULL, name=NAME), ConfigError)
    assert describe(error).startswith("TLS: ")
