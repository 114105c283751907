"""Requests to one registry: authorised, redirected by hand, retried, with every body bounded.

    send(call)      one request whose answer's body is still to be read; the caller closes it
    ask(call)       the same for small documents: status, headers and the body as bytes

A request goes through three loops, from the outside in: retries (``urllib3.util.Retry`` says whether and how long to
wait), authorisation (:mod:`.auth` says what to send), redirects (:mod:`.origin` says what may go where).
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Generator, Iterable
from contextlib import closing
from dataclasses import dataclass, field, replace
from typing import TypeVar

from urllib3 import BaseHTTPResponse, HTTPHeaderDict, Retry, Timeout
from urllib3 import exceptions as http

from bundler.content import Buffer, Note, Observer
from bundler.errors import BundlerError, ConfigError, LimitError, NetworkError, ProtocolError, UploadLostError, quoted
from bundler.oci.strict_json import TOKEN_CAP
from bundler.transports.docker.auth import Answer, Attempt, Authenticator, Step, TokenRequest
from bundler.transports.docker.body import chunks
from bundler.transports.docker.connections import Connections
from bundler.transports.docker.credentials import Credentials
from bundler.transports.docker.failures import Side, broken, describe, failure, is_untrusted, speaks_no_tls
from bundler.transports.docker.origin import PORTS, Endpoint, Origin, Use, may_send, parse_endpoint
from bundler.transports.docker.settings import Settings

MAX_REDIRECTS = 5
CONNECT_ATTEMPTS = 3
"""Tries where no connection can be made: a wrong name or port is common, and should not cost half a minute."""
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_TRANSIENT = frozenset({408, 429, 500, 502, 503, 504})
_FORM = "application/x-www-form-urlencoded"

T = TypeVar("T")
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Call:
    """One request. ``name`` is the registry and repository for messages; ``expect`` the statuses that are no failure.

    ``body`` is bytes, or an iterable that can be sent once; that one is never retried. ``seconds`` replaces the read
    time-out, ``attempts`` the number of tries.
    """

    method: str
    endpoint: Endpoint
    side: Side
    name: str
    scopes: tuple[str, ...] = ()
    credentials: Credentials | None = None
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes | Iterable[Buffer] | None = field(default=None, repr=False)
    expect: frozenset[int] = frozenset({200})
    seconds: float | None = None
    attempts: int | None = None

    @property
    def what(self) -> str:
        """Side and name."""
        return f"{self.side.value} {self.name}"

    @property
    def streams(self) -> bool:
        """Whether the body can be sent only once."""
        return not isinstance(self.body, bytes | None)


@dataclass(frozen=True, slots=True)
class Reply:
    """A small answer, whole."""

    status: int
    headers: HTTPHeaderDict
    body: bytes
    endpoint: Endpoint


class _Again(Exception):  # noqa: N818 - no error but a wish, for the retry loop alone
    """A transient failure: ``response`` (its body read already) or ``error`` says which, ``final`` what it amounts to."""

    def __init__(
        self, final: BundlerError, *, response: BaseHTTPResponse | None = None, error: Exception | None = None
    ) -> None:
        super().__init__(str(final))
        self.final = final
        self.response = response
        self.error = error


def _wait(retry: Retry, again: _Again) -> None:
    try:
        retry.sleep(again.response)
    except (http.InvalidHeader, ValueError, OverflowError):  # no number, no date, or one beyond all reason
        retry.sleep()


def _secure(host: str, api_host: str) -> Origin:
    try:
        return parse_endpoint(f"https://{api_host}", what=host).origin
    except ProtocolError:
        raise ConfigError(
            f"{quoted(host)}: not a registry's HOST[:PORT]", hint="check the name; a port is between 1 and 65535"
        ) from None


class Client:
    """One registry's HTTP. ``host`` is ``host[:port]`` as in image names; ``api_host`` is where its API really is."""

    def __init__(
        self, host: str, api_host: str, settings: Settings, observer: Observer, *, origin: Origin | None = None
    ) -> None:
        """``origin`` is given where the scheme is known, so that nothing else is tried."""
        self.settings = settings
        self._api_host = api_host
        self._secure = _secure(host, api_host)
        self._observer = observer
        self._connections = Connections(settings, host)
        self._auth = Authenticator(lambda: self.origin, token_hosts=settings.token_hosts)
        self._origin = origin
        self._warned = False
        self._lock = threading.Lock()

    @property
    def origin(self) -> Origin:
        """The registry's origin; with TLS optional, whichever of https and http answers, asked once."""
        with self._lock:
            if self._origin is None:
                self._origin = self._secure if self.settings.tls_verify else self._find(self._secure)
            return self._origin

    def endpoint(self, target: str) -> Endpoint:
        """A path at the registry."""
        return Endpoint(self.origin, target)

    def close(self) -> None:
        """Close the idle connections."""
        self._connections.close()

    def send(self, call: Call) -> BaseHTTPResponse:
        """The answer, if its status is expected, with its body unread. Close it, or read it to its end.

        Raises what :func:`.failures.failure` and :func:`.failures.broken` make of anything else;
        :class:`bundler.errors.UploadLostError` if a body that streams could not be delivered.
        """
        return self._retried(call, lambda response, _: response)

    def ask(self, call: Call, *, cap: int = TOKEN_CAP) -> Reply:
        """The answer as a whole; :class:`LimitError` if its body is larger than ``cap`` bytes."""
        return self._retried(
            call,
            lambda response, at: Reply(response.status, response.headers, self._whole(call, response, cap), at),
        )

    def chunks(self, response: BaseHTTPResponse, most: int) -> Generator[bytes, None, None]:
        """At most ``most`` bytes of a body, in pieces, no slower than the limits allow; else urllib3's errors."""
        return chunks(response, most, self.settings.limits, self._connections.watchdog)

    def note(self, text: str) -> None:
        """Tell the observer."""
        _log.info("%s", text)
        self._observer(Note(text))

    # Retries

    def retries(self, attempts: int | None = None) -> Retry:
        """How often, and after which waits, something is tried again."""
        limits = self.settings.limits
        attempts = attempts or limits.attempts
        return Retry(
            total=attempts - 1,
            connect=min(CONNECT_ATTEMPTS, attempts) - 1,
            allowed_methods=None,
            backoff_factor=limits.backoff,
            backoff_jitter=limits.backoff,
            backoff_max=limits.retry_after,
            retry_after_max=limits.retry_after,
        )

    def after(self, retry: Retry, call: Call, problem: http.HTTPError, *, then: str = "trying again") -> Retry:
        """The retries left after a broken connection, when the wait is over; the error if none are."""
        final = broken(problem, side=call.side, name=call.name)
        if is_untrusted(problem) or speaks_no_tls(problem):
            raise final from None
        return self._next(retry, call, _Again(final, error=problem), then)

    def _retried(self, call: Call, finish: Callable[[BaseHTTPResponse, Endpoint], T]) -> T:
        retry = self.retries(call.attempts)
        while True:
            try:
                response, at = self._authorised(call)
                return finish(response, at)
            except http.HTTPError as problem:
                retry = self.after(retry, call, problem)
            except _Again as again:
                retry = self._next(retry, call, again)

    def _next(self, retry: Retry, call: Call, again: _Again, then: str = "trying again") -> Retry:
        if call.streams:
            if again.response is not None and "retry-after" in again.response.headers:
                _wait(retry, again)
            raise UploadLostError(str(again.final), hint=again.final.hint) from again.error
        try:
            retry = retry.increment(call.method, call.endpoint.target, response=again.response, error=again.error)
        except http.HTTPError:
            raise again.final from again.error
        self.note(f"{again.final}; {then}")
        _wait(retry, again)
        return retry

    # Authorisation

    def _authorised(self, call: Call) -> tuple[BaseHTTPResponse, Endpoint]:
        with closing(self._auth.flow(call.scopes, call.credentials, what=call.what)) as flow:
            step: Step = next(flow)
            while True:
                if isinstance(step, TokenRequest):
                    if step.authorization or step.form is not None:
                        self._warn(step.endpoint.origin)
                    step = flow.send(self._token_answer(call, step))
                    continue
                if step.authorization and call.credentials:
                    self._warn(call.endpoint.origin)
                response, at = self._redirected(call, step)
                if response.status != 401:
                    return self._judged(call, response), at
                challenges = tuple(response.headers.getlist("www-authenticate"))
                self._error_body(response)
                if call.streams:
                    self._auth.forget(call.scopes, call.credentials)
                    raise UploadLostError(f"{call.what}: the token expired during the upload")
                step = flow.send(Answer(401, challenges=challenges))

    def _warn(self, to: Origin) -> None:
        """Say once that secrets are about to travel in the open: plain HTTP is the operator's choice, and may be news."""
        if to.scheme != "http":
            return
        with self._lock:
            warned, self._warned = self._warned, True
        if not warned:
            self.note(f"credentials go to {quoted(to.netloc)} over plain HTTP, readable by anyone on the way")

    def _token_answer(self, call: Call, request: TokenRequest) -> Answer:
        headers = (("Accept", "application/json"),)
        asking = Call(
            "GET" if request.form is None else "POST",
            request.endpoint,
            call.side,
            f"{call.name}: token from {quoted(str(request.endpoint.origin))}",
            headers=headers if request.form is None else (*headers, ("Content-Type", _FORM)),
            body=request.form,
            expect=frozenset({200, *range(400, 408), *range(409, 429), *range(430, 500)}),
        )

        response, _ = self._redirected(asking, Attempt(request.authorization))
        return Answer(response.status, self._whole(asking, self._judged(asking, response), TOKEN_CAP))

    def _judged(self, call: Call, response: BaseHTTPResponse) -> BaseHTTPResponse:
        """The response if it is expected."""
        if response.status in call.expect:
            encoding = response.headers.get("content-encoding", "identity")
            if encoding.lower() != "identity":
                response.close()
                raise ProtocolError(
                    f"{call.what}: the answer is encoded as {quoted(encoding)!r}, although identity was asked for"
                )
            return response
        body = self._error_body(response)
        final = failure(
            response.status,
            response.reason or "",
            body,
            side=call.side,
            name=call.name,
            credentials=call.credentials,
        )
        if response.status in _TRANSIENT:
            wait = response.headers.get("retry-after", "")
            if wait:
                final = NetworkError(f"{final}, asks to wait {quoted(wait, 40)}", hint=final.hint)
            raise _Again(final, response=response)
        raise final

    # Redirects

    def _redirected(self, call: Call, attempt: Attempt) -> tuple[BaseHTTPResponse, Endpoint]:
        endpoint, authorization = call.endpoint, attempt.authorization
        for _ in range(MAX_REDIRECTS + 1):
            response = self._sent(call, endpoint, authorization)
            if response.status not in _REDIRECTS or response.status in call.expect:
                return response, endpoint
            location = response.headers.get("location")
            self._error_body(response)
            if call.method not in ("GET", "HEAD"):
                raise ProtocolError(f"{call.what}: {call.method} is redirected ({response.status}), which is refused")
            if location is None:
                raise ProtocolError(f"{call.what}: a redirect without a Location")
            following = parse_endpoint(location, what=f"{call.what}: redirect", base=endpoint)
            if not may_send(endpoint.origin, following.origin, Use.REDIRECT):
                raise ProtocolError(f"{call.what}: redirected from https to {following.shown}; refused")
            if not may_send(call.endpoint.origin, following.origin, Use.AUTHORIZATION):
                authorization = ""
            endpoint = following
        raise ProtocolError(f"{call.what}: more than {MAX_REDIRECTS} redirects")

    def _sent(self, call: Call, endpoint: Endpoint, authorization: str) -> BaseHTTPResponse:
        manager = self._connections.to(endpoint.origin, self.origin)
        headers = HTTPHeaderDict(manager.headers)
        headers.extend(call.headers)
        if authorization:
            headers["Authorization"] = authorization
        limits = self.settings.limits
        return manager.urlopen(
            call.method,
            str(endpoint),
            redirect=False,
            retries=False,
            headers=headers,
            body=call.body,
            preload_content=False,
            decode_content=False,
            timeout=Timeout(connect=limits.connect, read=call.seconds or limits.read),
        )

    # Small bodies

    def _whole(self, call: Call, response: BaseHTTPResponse, cap: int) -> bytes:
        with closing(response):
            body = b"".join(self.chunks(response, cap + 1))
            if len(body) > cap:
                raise LimitError(f"{call.what}: an answer of more than {cap} bytes")
        return body

    def _error_body(self, response: BaseHTTPResponse) -> bytes:
        """Up to the cap of an error's body; whatever is wrong with it matters less than the error."""
        with closing(response):
            try:
                return b"".join(self.chunks(response, TOKEN_CAP))
            except http.HTTPError:
                return b""

    # TLS optional

    def _find(self, secure: Origin) -> Origin:
        """With ``tls_verify=False``: https if anything answers there, else http on the same port, or on port 80."""
        port = secure.port if secure.port != PORTS["https"] else PORTS["http"]
        plain = replace(secure, scheme="http", port=port)
        problems = []
        for origin in (secure, plain):
            manager = self._connections.to(origin, origin)
            limits = self.settings.limits
            try:
                response = manager.urlopen(
                    "GET", f"{origin}/v2/", redirect=False, retries=False, preload_content=False,
                    timeout=Timeout(connect=limits.connect, read=limits.read),
                )  # fmt: skip
            except http.HTTPError as problem:
                problems.append(describe(problem))
            else:
                response.close()
                return origin
        raise NetworkError(f"{self._api_host}: neither https ({problems[0]}) nor http ({problems[1]}) answers")
