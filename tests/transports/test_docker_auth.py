"""The authorisation flow, driven by hand: no socket is needed to say what must be sent."""

from __future__ import annotations

import json
import threading
from base64 import b64encode
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from urllib.parse import parse_qs, urlsplit

import pytest

from bundler.errors import AuthError, BundlerError, LimitError, ProtocolError
from bundler.transports.docker.auth import (
    Answer,
    Attempt,
    Authenticator,
    Challenge,
    TokenRequest,
    parse_challenges,
)
from bundler.transports.docker.credentials import Credentials
from bundler.transports.docker.origin import parse_endpoint

REGISTRY = parse_endpoint("https://registry.example.com", what="test").origin
REALM = "https://registry.example.com/token"
BEARER = f'Bearer realm="{REALM}",service="the registry",scope="repository:other:pull"'
BASIC = 'Basic realm="site"'
ANN = Credentials("ann", "secret")
SCOPE = ("repository:app:pull",)
REFUSED = Answer(401, challenges=(BEARER,))


class Clock:
    """A clock that a test moves."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


def authenticator(clock: Clock | None = None, token_hosts: frozenset[str] = frozenset()) -> Authenticator:
    return Authenticator(lambda: REGISTRY, clock=clock or Clock(), token_hosts=token_hosts)


def token(value: str, **more: object) -> Answer:
    return Answer(200, json.dumps({"token": value, **more}).encode())


def log_in(auth: Authenticator, answer: Answer, credentials: Credentials | None = None) -> str:
    """One whole flow whose first attempt is refused if nothing is known yet; the authorization that it ends with."""
    with closing(auth.flow(SCOPE, credentials, what="pull from x")) as flow:
        step = next(flow)
        if isinstance(step, Attempt) and not step.authorization:
            step = flow.send(REFUSED)
        if isinstance(step, TokenRequest):
            step = flow.send(answer)
        assert isinstance(step, Attempt)
        return step.authorization


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        pytest.param(
            ['Bearer realm="https://a/t",service="s",scope="repository:a:pull,push"'],
            [Challenge("bearer", "https://a/t", "s")],
            id="commas-in-quotes",
        ),
        pytest.param(
            ['Basic realm="x, y", Bearer realm="https://a/t",service="s",error="insufficient_scope"'],
            [Challenge("basic", "x, y"), Challenge("bearer", "https://a/t", "s")],
            id="two-in-one-header",
        ),
        pytest.param(['Negotiate, Basic realm="x"'], [Challenge("negotiate"), Challenge("basic", "x")], id="bare-scheme"),
        pytest.param(['BASIC realm="x"', "Bearer realm=https://a"], [Challenge("basic", "x"), Challenge("bearer", "https://a")], id="two-headers"),
        pytest.param([r'Basic realm="say \"hi\""'], [Challenge("basic", 'say "hi"')], id="escaped-quotes"),
        pytest.param(['Bearer realm="https://a",realm="https://evil"'], [Challenge("bearer", "https://a")], id="repeated"),
        pytest.param(['realm="nobody"', "", ",,,", "{}"], [], id="nonsense"),
    ],
)  # fmt: skip
def test_challenges(headers: list[str], expected: list[Challenge]) -> None:
    assert parse_challenges(headers) == expected


def test_nothing_is_sent_before_it_is_asked_for() -> None:
    with closing(authenticator().flow(SCOPE, ANN, what="x")) as flow:
        assert next(flow) == Attempt("")


def test_basic() -> None:
    with closing(authenticator().flow(SCOPE, ANN, what="x")) as flow:
        next(flow)
        expected = "Basic " + b64encode(b"ann:secret").decode()
        assert flow.send(Answer(401, challenges=(BASIC,))) == Attempt(expected)
        with pytest.raises(AuthError, match="'ann'") as caught:
            flow.send(Answer(401, challenges=(BASIC,)))
        assert "secret" not in str(caught.value)


def test_basic_is_sent_at_once_from_then_on_and_not_twice() -> None:
    auth = authenticator()
    with closing(auth.flow(SCOPE, ANN, what="x")) as flow:
        next(flow)
        flow.send(Answer(401, challenges=(BASIC,)))
    with closing(auth.flow(SCOPE, ANN, what="x")) as flow:
        step = next(flow)
        assert isinstance(step, Attempt)
        assert step.authorization.startswith("Basic ")
        with pytest.raises(AuthError):
            flow.send(Answer(401, challenges=(BASIC,)))


def test_a_place_without_credentials_is_tried_whatever_another_demanded() -> None:
    auth = authenticator()
    with closing(auth.flow(SCOPE, ANN, what="x")) as flow:
        next(flow)
        flow.send(Answer(401, challenges=(BASIC,)))
    with closing(auth.flow(("repository:public:pull",), None, what="x")) as flow:
        assert next(flow) == Attempt("")


def test_basic_without_credentials() -> None:
    with closing(authenticator().flow(SCOPE, None, what="x")) as flow:
        next(flow)
        with pytest.raises(AuthError, match="wants a user name"):
            flow.send(Answer(401, challenges=(BASIC,)))


def test_bearer_get_asks_for_our_scope_and_no_other() -> None:
    with closing(authenticator().flow(("repository:app:pull,push", "repository:b:pull"), ANN, what="x")) as flow:
        next(flow)
        request = flow.send(REFUSED)
        assert isinstance(request, TokenRequest)
        assert request.form is None
        assert request.authorization == "Basic " + b64encode(b"ann:secret").decode()
        assert parse_qs(urlsplit(str(request.endpoint)).query) == {
            "service": ["the registry"],
            "scope": ["repository:app:pull,push", "repository:b:pull"],
            "account": ["ann"],
            "client_id": ["bundler"],
        }
        assert "secret" not in repr(request)
        assert flow.send(token("t1")) == Attempt("Bearer t1")


def test_anonymous_bearer_shows_nothing() -> None:
    with closing(authenticator().flow(SCOPE, None, what="x")) as flow:
        next(flow)
        request = flow.send(REFUSED)
        assert isinstance(request, TokenRequest)
        assert request.authorization == ""
        assert "account" not in str(request.endpoint)


def test_identity_token_is_posted() -> None:
    with closing(authenticator().flow(SCOPE, Credentials(identity_token="refresh me"), what="x")) as flow:
        next(flow)
        request = flow.send(REFUSED)
        assert isinstance(request, TokenRequest)
        assert request.form is not None
        assert str(request.endpoint) == REALM
        assert parse_qs(request.form.decode()) == {
            "grant_type": ["refresh_token"],
            "service": ["the registry"],
            "client_id": ["bundler"],
            "scope": ["repository:app:pull"],
            "refresh_token": ["refresh me"],
        }
        assert flow.send(Answer(200, b'{"access_token": "t1", "expires_in": 300}')) == Attempt("Bearer t1")


def test_bearer_is_preferred_to_basic() -> None:
    with closing(authenticator().flow(SCOPE, ANN, what="x")) as flow:
        next(flow)
        assert isinstance(flow.send(Answer(401, challenges=(BASIC, BEARER))), TokenRequest)


def test_a_token_is_kept_and_used_at_once() -> None:
    auth = authenticator()
    assert log_in(auth, token("t1")) == "Bearer t1"
    with closing(auth.flow(SCOPE, None, what="x")) as flow:
        assert next(flow) == Attempt("Bearer t1")


@pytest.mark.parametrize(("life", "kept", "gone"), [(300, 269, 271), (0, 53, 55), (10, 8, 10), (10**9, 77000, 78000)])
def test_a_token_is_renewed_before_it_expires(life: int, kept: float, gone: float) -> None:
    clock = Clock()
    auth = authenticator(clock)
    log_in(auth, token("t1", expires_in=life))
    clock.now += kept
    assert log_in(auth, token("t2")) == "Bearer t1"
    clock.now += gone - kept
    assert log_in(auth, token("t2")) == "Bearer t2"


def test_a_refused_token_is_renewed_once() -> None:
    auth = authenticator()
    log_in(auth, token("t1"))
    with closing(auth.flow(SCOPE, None, what="pull from x")) as flow:
        assert next(flow) == Attempt("Bearer t1")
        assert isinstance(flow.send(REFUSED), TokenRequest)
        assert flow.send(token("t2")) == Attempt("Bearer t2")
        with pytest.raises(AuthError, match="repository:app:pull"):
            flow.send(REFUSED)


def test_a_refusal_without_a_challenge_renews_too() -> None:
    auth = authenticator()
    log_in(auth, token("t1"))
    with closing(auth.flow(SCOPE, None, what="x")) as flow:
        next(flow)
        assert isinstance(flow.send(Answer(401)), TokenRequest)


def test_forgotten_tokens_are_asked_for_again() -> None:
    auth = authenticator()
    log_in(auth, token("t1"))
    auth.forget(SCOPE, None)
    assert log_in(auth, token("t2")) == "Bearer t2"


def test_tokens_are_kept_per_scope_and_credentials() -> None:
    auth = authenticator()
    log_in(auth, token("anonymous"))
    assert log_in(auth, token("for ann".replace(" ", "-")), ANN) == "Bearer for-ann"
    with closing(auth.flow(("repository:other:pull",), None, what="x")) as flow:
        assert isinstance(next(flow), TokenRequest)


def test_one_token_for_eight_threads() -> None:
    auth, asked, barrier = authenticator(), [], threading.Barrier(8)
    log_in(auth, token("old", expires_in=1))
    auth.forget(SCOPE, None)

    def one(_: int) -> str:
        barrier.wait()
        with closing(auth.flow(SCOPE, None, what="x")) as flow:
            step = next(flow)
            if isinstance(step, TokenRequest):
                asked.append(step)
                step = flow.send(token("shared"))
            assert isinstance(step, Attempt)
            return step.authorization

    with ThreadPoolExecutor(8) as executor:
        assert set(executor.map(one, range(8))) == {"Bearer shared"}
    assert len(asked) == 1


def test_a_failed_token_request_lets_the_next_thread_try() -> None:
    auth = authenticator()
    flow = auth.flow(SCOPE, None, what="x")
    next(flow)
    flow.send(REFUSED)
    flow.close()
    assert log_in(auth, token("t1")) == "Bearer t1"


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        pytest.param(Answer(200, b"{}"), ProtocolError, id="no-token-field"),
        pytest.param(Answer(200, b'{"token": ""}'), ProtocolError, id="empty-token"),
        pytest.param(Answer(200, b'{"token": 5}'), ProtocolError, id="token-is-a-number"),
        pytest.param(Answer(200, b'{"token": "a\\r\\nX: y"}'), ProtocolError, id="header-smuggled-in-token"),
        pytest.param(Answer(200, b'{"token": "a", "Token": "b"}'), ProtocolError, id="case-folded-keys"),
        pytest.param(Answer(200, b'{"token": "a", "expires_in": -1}'), ProtocolError, id="negative-life"),
        pytest.param(Answer(200, b"<html>"), ProtocolError, id="not-json"),
        pytest.param(Answer(200, b"[" * 2000), LimitError, id="nested"),
        pytest.param(Answer(401, b"{}"), AuthError, id="refused"),
        pytest.param(Answer(400, b'{"error": "invalid_grant"}'), AuthError, id="bad-request"),
    ],
)
def test_what_a_token_host_may_get_wrong(answer: Answer, error: type[BundlerError]) -> None:
    with pytest.raises(error):
        log_in(authenticator(), answer, ANN)


@pytest.mark.parametrize(
    ("realm", "credentials", "allowed"),
    [
        pytest.param("https://registry.example.com:8443/t", ANN, True, id="same-host-other-port"),
        pytest.param("http://registry.example.com/t", ANN, False, id="downgraded"),
        pytest.param("https://evil.org/t", ANN, False, id="foreign-host"),
        pytest.param("https://evil.org/t", Credentials(identity_token="x"), False, id="foreign-host-identity-token"),
        pytest.param("https://auth.site.org/t", ANN, True, id="named-by-the-operator"),
        pytest.param("https://evil.org/t", None, True, id="foreign-host-anonymous"),
        pytest.param("http://evil.org/t", None, False, id="foreign-host-anonymous-downgraded"),
    ],
)
def test_realms(realm: str, credentials: Credentials | None, allowed: bool) -> None:
    auth = authenticator(token_hosts=frozenset({"auth.site.org"}))
    with closing(auth.flow(SCOPE, credentials, what="pull from x")) as flow:
        next(flow)
        refused = Answer(401, challenges=(f'Bearer realm="{realm}"',))
        if allowed:
            assert isinstance(flow.send(refused), TokenRequest)
            return
        with pytest.raises(AuthError, match="not allowed") as caught:
            flow.send(refused)
        assert "token host" in caught.value.hint


@pytest.mark.parametrize(
    ("challenges", "error"),
    [
        pytest.param((), AuthError, id="none"),
        pytest.param(("Negotiate",), AuthError, id="unknown"),
        pytest.param(("Bearer service=x",), ProtocolError, id="bearer-without-realm"),
        pytest.param(('Bearer realm="file:///etc/passwd"',), ProtocolError, id="file-realm"),
    ],
)
def test_challenges_that_lead_nowhere(challenges: tuple[str, ...], error: type[BundlerError]) -> None:
    with closing(authenticator().flow(SCOPE, None, what="x")) as flow:
        next(flow)
        with pytest.raises(error):
            flow.send(Answer(401, challenges=challenges))
