"""What went wrong at a registry, as errors of our tree: the side first, the registry's own code, then what to do.

push to localhost:5000/app: MANIFEST_BLOB_UNKNOWN: blob unknown to registry (404)
"""

from __future__ import annotations

import re
import ssl
from base64 import b64encode
from enum import Enum

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
    quoted,
)
from bundler.oci.strict_json import TOKEN_CAP, Fields, loads
from bundler.transports.docker.body import MalformedError, TooSlowError
from bundler.transports.docker.credentials import Credentials

_AUTHORIZATION = re.compile(r"(?i)\b(basic|bearer)\s+[A-Za-z0-9._~+/=-]{4,}")


class Side(Enum):
    """Which side of a copy a request is for; it decides the words and the class of an error."""

    PULL = "pull from"
    PUSH = "push to"
    DELETE = "delete at"


_HINTS = {
    "MANIFEST_BLOB_UNKNOWN": "the registry lacks something that the manifest lists; if it is an index carried with only "
    "some platforms, this registry refuses sparse indexes: use `index: keep` or `index: strip`",
    "MANIFEST_UNKNOWN": "the registry lacks a manifest that the index lists; if only some platforms are carried, this "
    "registry refuses sparse indexes: use `index: keep` or `index: strip`",
    "MANIFEST_INVALID": "the registry does not take this manifest: its media type may be unknown there, or it refuses "
    "sparse indexes (use `index: keep` or `index: strip`); nothing is converted silently",
    "UNSUPPORTED": "the registry does not allow this: it may be read-only, a cache, or have deletion switched off",
    "NAME_UNKNOWN": "the repository is unknown there; some registries want it, or its project, created first",
    "TOOMANYREQUESTS": "wait, or log in for a higher limit",
    "DENIED": "the account may not do this there; ask for access, or log in with another",
}


_NO_DELETION = (
    "deletion must be enabled there: for docker-registry set storage.delete.enabled: true, or the variable "
    "REGISTRY_STORAGE_DELETE_ENABLED=true, and start it again; its garbage collection then frees the space"
)


def failure(
    status: int, reason: str, body: bytes, *, side: Side, name: str, credentials: Credentials | None = None
) -> BundlerError:
    """The error for an answer that is not what was hoped for. ``name`` is the registry and repository.

    What was shown to the registry, and it may repeat, is blanked out.
    """
    code, message = _registry_error(body)
    said = ": ".join(part for part in (code, message) if part) or quoted(reason) or "failed"
    said = _blanked(said, credentials)
    text = f"{side.value} {name}: {said} ({status})"
    hint = _HINTS.get(code)
    if status in (401, 403):
        return AuthError(text, hint=hint)
    if status == 404 and side is not Side.PUSH:
        return NotFoundError(text)
    if status == 429:
        return NetworkError(text, hint=hint or _HINTS["TOOMANYREQUESTS"])
    if status == 405 and side is Side.DELETE:
        return UnsupportedError(text, hint=_NO_DELETION)
    if status >= 500 or status == 408:
        return NetworkError(text)
    if side is Side.PUSH:
        if status == 413:
            hint = "the registry, or a proxy before it, limits the size of a request; raise that limit"
        elif status == 415:
            hint = _HINTS["MANIFEST_INVALID"]
        return PushError(text, hint=hint or "see the registry's log for why it refused")
    return ProtocolError(text, hint=hint)


def _blanked(text: str, credentials: Credentials | None) -> str:
    """Without anything that lets somebody in."""
    text = _AUTHORIZATION.sub(r"\1 ***", text)
    if credentials is None:
        return text
    pair = f"{credentials.username}:{credentials.password}"
    secrets = (b64encode(pair.encode()).decode(), credentials.password, credentials.identity_token)
    for secret in (*secrets, credentials.registry_token):
        if secret:
            text = text.replace(quoted(secret), "***")
    return text


def _registry_error(body: bytes) -> tuple[str, str]:
    """Code and message of the first error in a registry's error document, empty if it is none."""
    try:
        errors = Fields(loads(body, what="error", cap=TOKEN_CAP), what="error").objects("errors")
        first = errors[0]
        code = first.text("code") if "code" in first else ""
        message = first.text("message") if "message" in first else ""
    except (BundlerError, IndexError):
        return "", ""
    return quoted(code, 60), quoted(message)


def error_code(body: bytes) -> str:
    """The registry's code in an error document, empty if there is none."""
    return _registry_error(body)[0]


_NO_TLS = ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "HTTP_REQUEST", "PACKET_LENGTH_TOO_LONG")
"""OpenSSL's names for bytes that are none of TLS's."""


def broken(error: Exception, *, side: Side, name: str) -> BundlerError:
    """The error for a connection that could not be made or did not hold."""
    text = f"{side.value} {name}: {describe(error)}"
    if is_untrusted(error):
        return ConfigError(
            text,
            hint="give the site's CA with --cert-dir or `ca:`; --tls-verify=false trusts whoever answers",
        )
    if isinstance(error, http.ProxyError):
        return NetworkError(text, hint="check HTTP_PROXY, HTTPS_PROXY and NO_PROXY")
    if isinstance(error, http.SSLError):
        return NetworkError(text, hint="if the registry speaks plain HTTP only, say --tls-verify=false")
    return NetworkError(text)


def is_untrusted(error: BaseException) -> bool:
    """Whether a certificate was refused: no retry makes it better."""
    return isinstance(error, http.SSLError) and any(isinstance(arg, ssl.SSLCertVerificationError) for arg in error.args)


def speaks_no_tls(error: BaseException) -> bool:
    """Whether what answered is no TLS server, as a registry that serves plain HTTP: no retry makes it one."""
    return isinstance(error, http.SSLError) and any(getattr(arg, "reason", None) in _NO_TLS for arg in error.args)


def describe(error: BaseException) -> str:
    """One clause about an exception of urllib3's, without object representations."""
    if isinstance(error, http.ProxyError):
        return f"the proxy cannot be used: {describe(error.original_error)}"
    if isinstance(error, http.NameResolutionError):
        return "the host name cannot be resolved"
    if isinstance(error, http.TimeoutError) and not isinstance(error, http.NewConnectionError):
        return "no connection in time" if isinstance(error, http.ConnectTimeoutError) else "no answer in time"
    if isinstance(error, TooSlowError | MalformedError):
        return str(error)
    if isinstance(error, http.SSLError):
        inner = error.args[0] if error.args else ""
        reason = getattr(inner, "verify_message", None) or getattr(inner, "reason", None) or inner
        return f"TLS: {quoted(str(reason))}"
    for inner in (error.__cause__, *error.args):
        if isinstance(inner, OSError):
            return inner.strerror or type(inner).__name__
    if isinstance(error, http.IncompleteRead) or any(isinstance(arg, http.IncompleteRead) for arg in error.args):
        return "the answer ended early"
    return f"the connection broke ({type(error).__name__})"
