"""A token server as the distribution project specifies it: Bearer tokens that docker-registry checks for itself.

Both flows of the specification: GET with Basic credentials, and OAuth2 POST with ``grant_type`` ``password`` or
``refresh_token``. Tokens are JWTs signed with ES256; the signer's certificate travels in ``x5c`` and is the registry's
``rootcertbundle``. Every request is kept in ``asked``, so that a test can say who asked for what, and how often.

    with TokenServer(users={"ann": "secret"}).running() as tokens, docker_registry(tmp_path, token=tokens) as near:
        …
    assert {ask.user for ask in tokens.asked} == {"ann"}
"""

from __future__ import annotations

import base64
import json
import secrets
import ssl
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from tests.authority import Authority, self_signed

ISSUER = "tokens of the tests"
SERVICE = "registry of the tests"


@dataclass(frozen=True, slots=True)
class Ask:
    """One request for a token: ``user`` is empty if anonymous, ``granted`` false if it was refused."""

    method: str
    user: str
    scopes: tuple[str, ...]
    granted: bool


@dataclass(slots=True)
class TokenServer:
    """``users`` maps names to passwords; ``anonymous`` lets anyone pull; tokens live ``lifetime`` seconds.

    ``oauth`` false answers POST with 404, as old token servers do. ``tls`` serves https with a certificate of that CA.
    """

    users: Mapping[str, str]
    anonymous: bool = False
    lifetime: int = 300
    oauth: bool = True
    tls: Authority | None = None
    asked: list[Ask] = field(default_factory=list)
    realm: str = ""
    _refresh: dict[str, str] = field(default_factory=dict)
    _signer: tuple[x509.Certificate, ec.EllipticCurvePrivateKey] = field(default_factory=lambda: self_signed(ISSUER))

    @contextmanager
    def running(self, work: Path | None = None) -> Iterator[TokenServer]:
        """Serve until the block ends; ``realm`` is the URL to ask. ``work`` takes the certificate if ``tls`` is set."""
        server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        scheme = "http"
        if self.tls is not None:
            assert work is not None, "a token server with TLS needs a folder for its certificate"
            work.mkdir(parents=True, exist_ok=True)
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*self.tls.issue(work))
            server.socket = context.wrap_socket(server.socket, server_side=True)
            scheme = "https"
        self.realm = f"{scheme}://127.0.0.1:{server.server_port}/token"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield self
        finally:
            server.shutdown()
            thread.join()
            server.server_close()

    def registry_settings(self, folder: Path) -> dict[str, str]:
        """The ``auth.token`` section of docker-registry; the signer's certificate is written into ``folder``."""
        bundle = folder / "tokens.crt"
        bundle.write_bytes(self._signer[0].public_bytes(serialization.Encoding.PEM))
        return {"realm": self.realm, "service": SERVICE, "issuer": ISSUER, "rootcertbundle": str(bundle)}

    def user_of(self, authorization: str) -> str | None:
        """The user of a Basic header, empty for none, or None if the password is wrong."""
        if not authorization:
            return ""
        kind, _, value = authorization.partition(" ")
        user, _, password = base64.b64decode(value).decode().partition(":")
        return user if kind == "Basic" and self.users.get(user) == password else None

    def user_of_form(self, form: Mapping[str, str]) -> str | None:
        """The user of an OAuth2 form, or None if it is refused."""
        if form.get("grant_type") == "refresh_token":
            return self._refresh.get(form.get("refresh_token", ""))
        user = form.get("username", "")
        return user if user and self.users.get(user) == form.get("password") else None

    def answer(self, user: str, service: str, scopes: tuple[str, ...], *, offline: bool) -> dict[str, Any]:
        """The JSON of a granted request."""
        token = self.token(user, service, scopes)
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        answer = {"token": token, "access_token": token, "expires_in": self.lifetime, "issued_at": now}
        if offline and user:
            refresh = secrets.token_hex(16)
            self._refresh[refresh] = user
            answer["refresh_token"] = refresh
        return answer

    def token(self, user: str, service: str, scopes: tuple[str, ...]) -> str:
        """A signed JWT that grants ``scopes`` (``repository:name:pull,push``), as far as ``user`` may."""
        certificate, key = self._signer
        x5c = base64.b64encode(certificate.public_bytes(serialization.Encoding.DER)).decode()
        now = int(time.time())
        claims = {
            "iss": ISSUER, "sub": user, "aud": service, "jti": secrets.token_hex(8),
            "nbf": now - 10, "iat": now, "exp": now + self.lifetime,
            "access": [access for scope in scopes if (access := self._access(user, scope))["actions"]],
        }  # fmt: skip
        signed = f"{_b64(_json({'typ': 'JWT', 'alg': 'ES256', 'x5c': [x5c]}))}.{_b64(_json(claims))}"
        r, s = decode_dss_signature(key.sign(signed.encode(), ec.ECDSA(hashes.SHA256())))
        return f"{signed}.{_b64(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))}"

    @staticmethod
    def _access(user: str, scope: str) -> dict[str, Any]:
        kind, _, rest = scope.partition(":")
        name, _, actions = rest.rpartition(":")
        allowed = actions.split(",") if user else [action for action in actions.split(",") if action == "pull"]
        return {"type": kind, "name": name, "actions": allowed}


def _handler(tokens: TokenServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            query = parse_qs(urlsplit(self.path).query)
            user = tokens.user_of(self.headers.get("Authorization", ""))
            offline = query.get("offline_token") == ["true"]
            self._answer(user, query.get("service", [""])[0], query.get("scope", []), offline=offline)

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", "0"))).decode()
            if not tokens.oauth:
                self._send(404, {})
                return
            form = parse_qs(body)
            user = tokens.user_of_form({name: values[0] for name, values in form.items()})
            offline = form.get("access_type") == ["offline"]
            # one parameter with spaces, says OAuth2; repeated ones are seen as well
            scopes = " ".join(form.get("scope", [])).split()
            self._answer(user, form.get("service", [""])[0], scopes, offline=offline)

        def _answer(self, user: str | None, service: str, scopes: list[str], *, offline: bool) -> None:
            asked = tuple(part for scope in scopes for part in scope.split())
            granted = user is not None and (user != "" or tokens.anonymous)
            tokens.asked.append(Ask(self.command, user or "", asked, granted))
            if granted:
                self._send(200, tokens.answer(user or "", service, asked, offline=offline))
            else:
                self._send(401, {"errors": [{"code": "UNAUTHORIZED", "message": "wrong user or password"}]})

        def _send(self, status: int, value: dict[str, Any]) -> None:
            body = _json(value)
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the parent's name for it
            """Say nothing; ``asked`` tells."""

    return Handler


def _json(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def _b64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
