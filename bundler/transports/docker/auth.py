"""How a registry's 401 is answered, without any I/O: a generator says what to send, and is told what came back.

Follows RFC 9110, 11.6 (challenges, Basic by RFC 7617) and the distribution project's "Token Authentication" (GET) and
"OAuth2 Token Authentication" (POST, for identity tokens). The caller's loop:

    with closing(auth.flow(scopes, credentials, side=…)) as flow:
        step = next(flow)
        while True:
            if isinstance(step, TokenRequest):
                step = flow.send(the answer of the token host, as an Answer)
            else:                                    # an Attempt
                response = the request, with step.authorization
                if response.status != 401:
                    break
                step = flow.send(the 401, as an Answer)

Invariants: one token per (credentials, scopes), even if many threads ask at once; a 401 renews once, a second one is an
:class:`AuthError`; credentials reach only what ``origin.may_send`` allows; no secret is in any message or ``repr``.
"""

from __future__ import annotations

import re
import threading
import time
from base64 import b64encode
from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import dataclass, field
from urllib.parse import urlencode
from urllib.request import parse_http_list

from bundler.errors import AuthError, ProtocolError, quoted
from bundler.oci.strict_json import TOKEN_CAP, Fields, loads
from bundler.transports.docker.credentials import Credentials
from bundler.transports.docker.origin import Endpoint, Origin, Use, may_send, parse_endpoint

CLIENT_ID = "bundler"
DEFAULT_LIFE = 60
LONGEST_LIFE = 86400
_NO_CREDENTIALS = Credentials()
_CHALLENGE = re.compile(r"([A-Za-z0-9!#$%&'*+.^_`|~-]+)(?:\s+(.*))?", re.DOTALL)
_TOKEN = re.compile(r"[\x21-\x7e]{1,65536}")


@dataclass(frozen=True, slots=True)
class Challenge:
    """One way to authenticate; ``scheme`` in lower case."""

    scheme: str
    realm: str = ""
    service: str = ""


@dataclass(frozen=True, slots=True)
class Attempt:
    """Send the request, with this ``Authorization`` if it is not empty."""

    authorization: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class TokenRequest:
    """Ask for a token: GET, or POST if there is a form."""

    endpoint: Endpoint
    authorization: str = field(default="", repr=False)
    form: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back: ``challenges`` are the WWW-Authenticate headers."""

    status: int
    body: bytes = field(default=b"", repr=False)
    challenges: tuple[str, ...] = ()


Step = Attempt | TokenRequest
Flow = Generator[Step, Answer, None]


@dataclass(frozen=True, slots=True)
class _Token:
    value: str = field(repr=False)
    good_until: float


def parse_challenges(headers: Iterable[str]) -> list[Challenge]:
    """The challenges of WWW-Authenticate headers, in order; each header may hold several."""
    found: list[tuple[str, dict[str, str]]] = []
    for header in headers:
        for item in parse_http_list(header):
            name, equals, value = item.partition("=")
            if not equals or " " in name.strip():
                start = _CHALLENGE.fullmatch(item.strip())
                if start is None:
                    continue
                found.append((start[1].lower(), {}))
                name, equals, value = (start[2] or "").partition("=")
            if found and equals:
                found[-1][1].setdefault(name.strip().lower(), _unquoted(value.strip()))
    return [Challenge(scheme, some.get("realm", ""), some.get("service", "")) for scheme, some in found]


def _unquoted(value: str) -> str:
    if len(value) >= 2 and value[0] == value[-1] == '"':
        return re.sub(r"\\(.)", r"\1", value[1:-1])
    return value


def basic(credentials: Credentials) -> str:
    """The ``Authorization`` of RFC 7617."""
    return "Basic " + b64encode(f"{credentials.username}:{credentials.password}".encode()).decode("ascii")


class Authenticator:
    """What is known about getting into one registry. Safe to use from many threads.

    ``registry`` is its origin, and ``token_hosts`` are further hosts that may see the credentials.
    """

    def __init__(
        self,
        registry: Callable[[], Origin],
        *,
        token_hosts: frozenset[str] = frozenset(),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._registry = registry
        self._token_hosts = token_hosts
        self._clock = clock
        self._challenge: Challenge | None = None
        self._tokens: dict[tuple[Credentials, tuple[str, ...]], _Token] = {}
        self._locks: dict[tuple[Credentials, tuple[str, ...]], threading.Lock] = {}
        self._lock = threading.Lock()

    def flow(self, scopes: Sequence[str], credentials: Credentials | None, *, what: str) -> Flow:
        """What to send for a request that needs ``scopes`` (``repository:a/b:pull``); ``what`` is the side and name."""
        key = (credentials or _NO_CREDENTIALS, tuple(scopes))
        if key[0].registry_token:
            yield Attempt(f"Bearer {key[0].registry_token}")
            raise AuthError(f"{what}: the registry token was refused", hint="get a new one, or log in instead")
        first = yield from self._authorization(key, what)
        refused = yield Attempt(first)
        self._learn(refused.challenges, key[0], what)
        renewed = yield from self._authorization(key, what, stale=first)
        yield Attempt(renewed)
        if renewed.startswith("Basic "):
            raise _wrong_password(what, key[0])
        raise AuthError(
            f"{what}: refused, although a token was given for {', '.join(scopes) or 'it'}",
            hint="the account may not do this; ask for access, or log in with another" if key[0] else None,
        )

    def forget(self, scopes: Sequence[str], credentials: Credentials | None) -> None:
        """Drop the token for ``scopes``: it was refused in the middle of something that can't be sent again."""
        self._tokens.pop((credentials or _NO_CREDENTIALS, tuple(scopes)), None)

    def _learn(self, headers: Sequence[str], credentials: Credentials, what: str) -> None:
        known = [challenge for challenge in parse_challenges(headers) if challenge.scheme in ("bearer", "basic")]
        if not known:
            if self._challenge is not None:
                return
            raise AuthError(f"{what}: refused, and no way to log in is offered that is known here (Basic, Bearer)")
        usable = [challenge for challenge in known if challenge.scheme == "bearer" or credentials.username]
        self._challenge = min(usable or known, key=lambda challenge: challenge.scheme != "bearer")

    def _authorization(
        self, key: tuple[Credentials, tuple[str, ...]], what: str, *, stale: str | None = None
    ) -> Generator[Step, Answer, str]:
        """What to send; ``stale`` is what was refused just now."""
        challenge, credentials = self._challenge, key[0]
        if challenge is None:
            return ""
        if challenge.scheme == "basic":
            if not credentials.username:
                if stale is None:
                    return ""  # what one place demands, another may give to anyone
                raise AuthError(f"{what}: the registry wants a user name and a password")
            if stale:
                raise _wrong_password(what, credentials)
            return basic(credentials)
        with self._lock:
            lock = self._locks.setdefault(key, threading.Lock())
        with lock:
            token = self._tokens.get(key)
            if token is None or token.good_until <= self._clock() or f"Bearer {token.value}" == stale:
                answer = yield self._token_request(challenge, credentials, key[1], what)
                token = self._tokens[key] = self._token(answer, what, credentials, challenge)
            return f"Bearer {token.value}"

    def _token_request(
        self, challenge: Challenge, credentials: Credentials, scopes: tuple[str, ...], what: str
    ) -> TokenRequest:
        realm = parse_endpoint(challenge.realm, what=f"{what}: token realm")
        registry = self._registry()
        use = Use.REALM if credentials else Use.ANONYMOUS
        if not may_send(registry, realm.origin, use, token_hosts=self._token_hosts):
            raise AuthError(
                f"{what}: the registry sends {use.value} to {quoted(str(realm.origin))}, which is not allowed",
                hint=f"if that is really where {registry.host} keeps its log-in, name {quoted(realm.origin.netloc)} "
                "as one of its token hosts; it must speak https",
            )
        if credentials.identity_token:
            form = {
                "grant_type": "refresh_token", "service": challenge.service, "client_id": CLIENT_ID,
                "scope": " ".join(scopes), "refresh_token": credentials.identity_token,
            }  # fmt: skip
            return TokenRequest(realm, form=urlencode(form).encode())
        query = [("service", challenge.service)] if challenge.service else []
        query += [("scope", scope) for scope in scopes]
        if credentials.username:
            query.append(("account", credentials.username))
        query.append(("client_id", CLIENT_ID))
        authorization = basic(credentials) if credentials.username else ""
        return TokenRequest(realm.with_query(urlencode(query)), authorization)

    def _token(self, answer: Answer, what: str, credentials: Credentials, challenge: Challenge) -> _Token:
        if answer.status != 200:
            who = f"user {quoted(credentials.username)!r}" if credentials.username else "the log-in"
            if not credentials:
                who = "a token without a log-in"
            raise AuthError(f"{what}: the token host of {quoted(challenge.realm)} refused {who} ({answer.status})")
        fields = Fields(loads(answer.body, what=f"{what}: token", cap=TOKEN_CAP), what=f"{what}: token")
        name = "token" if "token" in fields else "access_token"
        value = fields.text(name)
        if not _TOKEN.fullmatch(value):
            raise ProtocolError(f"{what}: token: {name} is empty or not printable ASCII")
        life = fields.size("expires_in") if "expires_in" in fields else 0
        # Used for nine tenths of its life, so that none expires on its way to the registry.
        return _Token(value, self._clock() + 0.9 * min(life or DEFAULT_LIFE, LONGEST_LIFE))


def _wrong_password(what: str, credentials: Credentials) -> AuthError:
    return AuthError(f"{what}: the registry refused user {quoted(credentials.username)!r} or the password")
