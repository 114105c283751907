"""The visitor behind a request, what he may do, and how he is refused."""

from __future__ import annotations

import asyncio
import base64
import itertools
import json
import re
import sys
import threading
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import bcrypt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bundler.errors import ConfigError
from bundler.registry.access import Access, Right, Visitor
from bundler.registry.access.access import HEADER_LENGTH, parse_basic
from bundler.registry.failure import Failure
from tests.peers import attempt, needs, run

CHALLENGE = {"WWW-Authenticate": 'Basic realm="bundler", charset="UTF-8"'}
RIGHTS = """apiVersion: bundler/v1
kind: RegistryRights
rights:
  - {users: [ann], repositories: ["team/**"], may: [pull, push]}
  - {anonymous: true, repositories: ["public/**"], may: [pull]}
  - {users: [root], repositories: ["**"], may: [admin]}
"""


def basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


@pytest.fixture
def passwords(tmp_path: Path) -> Path:
    path = tmp_path / "users"
    given = {"ann": "secret", "root": "a:b:c", "jürgen": "pässword"}
    path.write_text("".join(f"{u}:{bcrypt.hashpw(p.encode(), bcrypt.gensalt(4)).decode()}\n" for u, p in given.items()))
    return path


@pytest.fixture
def access(passwords: Path) -> Access:
    rights = passwords.parent / "rights.yaml"
    rights.write_text(RIGHTS)
    return Access.of_files(passwords, rights)


TAKEN = {
    "plain": (basic("ann", "secret"), "ann"),
    "scheme in lower case": (basic("ann", "secret").replace("Basic", "basic"), "ann"),
    "several spaces": (basic("ann", "secret").replace(" ", "   "), "ann"),
    "colons in the password": (basic("root", "a:b:c"), "root"),
    "UTF-8": (basic("jürgen", "pässword"), "jürgen"),
    "no header": (None, ""),
    "no name and no password": (basic("", ""), ""),
}


@pytest.mark.parametrize("case", TAKEN)
def test_who_asks(access: Access, case: str) -> None:
    header, name = TAKEN[case]
    assert access.authenticate(header) == Visitor(name)
    assert access.recall(header) == Visitor(name)


def encoded(raw: bytes) -> str:
    return "Basic " + base64.b64encode(raw).decode()


MALFORMED = {
    "empty": "",
    "scheme alone": "Basic",
    "scheme and a space": "Basic ",
    "no space": "BasicYW5uOnNlY3JldA==",
    "tab for a space": "Basic\tYW5uOnNlY3JldA==",
    "space in front": " Basic YW5uOnNlY3JldA==",
    "space behind": "Basic YW5uOnNlY3JldA== ",
    "newline behind": "Basic YW5uOnNlY3JldA==\n",
    "Bearer": "Bearer YW5uOnNlY3JldA==",
    "Digest": 'Digest username="ann"',
    "Negotiate": "Negotiate YW5uOnNlY3JldA==",
    "two credentials": "Basic YW5uOnNlY3JldA==, Basic YW5uOnNlY3JldA==",
    "padding missing": "Basic YW5uOnNlY3JldA",
    "padding halved": "Basic YW5uOnNlY3JldA=",
    "padding too long": "Basic YW5uOnNlY3JldA===",
    "padding in the middle": "Basic YW5=uOnNlY3JldA==",
    "padding alone": "Basic ====",
    "bits left over": "Basic YW5uOnNlY3JldB==",
    "one letter": "Basic Y",
    "not base64": "Basic ann:secret",
    "letters of the URL alphabet": "Basic _-_-",
    "newline within": "Basic YW5u\nOnNlY3JldA==",
    "space within": "Basic YW5u OnNlY3JldA==",
    "not ASCII": "Basic YW5uOnNlY3Jlü===",
    "digits that are no ASCII": "Basic " + "\u0661" * 4,
    "no colon": encoded(b"ann"),
    "nothing": encoded(b""),
    "Latin-1": encoded("jürgen:pässword".encode("latin-1")),
    "overlong UTF-8": encoded(b"ann\xc0\xba:secret"),
    "surrogate in UTF-8": encoded(b"ann:\xed\xa0\x80"),
    "NUL in the name": encoded(b"ann\0:secret"),
    "NUL in the password": encoded(b"ann:secret\0"),
    "newline in the name": encoded(b"ann\n:secret"),
    "delete in the password": encoded(b"ann:secret\x7f"),
    "password without a name": encoded(b":secret"),
    "too long": encoded(b"ann:" + b"x" * HEADER_LENGTH),
    "far too long": "Basic " + "A" * (1 << 20),
    "surrogate in the header": "Basic \ud800",
}


@pytest.mark.parametrize("case", MALFORMED)
def test_malformed_headers(access: Access, case: str) -> None:
    for ask in (access.authenticate, access.recall):
        with pytest.raises(Failure, match="is not Basic with user name and password") as caught:
            ask(MALFORMED[case])
        assert (caught.value.status, caught.value.code) == (401, "UNAUTHORIZED")
        assert caught.value.headers == CHALLENGE


@given(st.text(max_size=40) | st.binary(max_size=40).map(encoded) | st.text(max_size=40).map("Basic {}".format))
def test_any_header_is_credentials_or_a_refusal(header: str) -> None:
    try:
        user, password = parse_basic(header)
    except Failure as failure:
        refused = failure.status
    else:
        refused = 401
        assert header.lower().startswith("basic ")
        assert basic(user, password).split()[1] == header.split()[1]
    assert refused == 401


WRONG = {
    "wrong password": basic("ann", "Secret"),
    "unknown user": basic("eve", "secret"),
    "no password": basic("ann", ""),
}


def test_wrong_ones_get_one_answer(access: Access) -> None:
    answers = set()
    for header in WRONG.values():
        assert access.recall(header) is None
        with pytest.raises(Failure) as caught:
            access.authenticate(header)
        failure = caught.value
        answers.add((failure.status, failure.code, str(failure), str(failure.detail), tuple(failure.headers.items())))
    assert answers == {
        (401, "UNAUTHORIZED", "user name or password is wrong", "None", tuple(CHALLENGE.items())),
    }


def test_recalling_computes_nothing(access: Access, monkeypatch: pytest.MonkeyPatch) -> None:
    assert access.recall(basic("ann", "secret")) is None
    assert access.authenticate(basic("ann", "secret")) == Visitor("ann")
    monkeypatch.setattr(bcrypt, "checkpw", None)
    assert access.recall(basic("ann", "secret")) == Visitor("ann")
    assert access.recall(basic("ann", "wrong")) is None


def test_admitting_leaves_the_loop_free(access: Access, monkeypatch: pytest.MonkeyPatch) -> None:
    checkpw, threads, hold = bcrypt.checkpw, set(), threading.Event()

    def slow(password: bytes, hashed: bytes) -> bool:
        threads.add(threading.current_thread())
        assert hold.wait(20)
        return checkpw(password, hashed)

    monkeypatch.setattr(bcrypt, "checkpw", slow)

    async def ask() -> list[Visitor | BaseException]:
        headers = [basic("ann", "secret"), *(basic("eve", f"{number}") for number in range(99))]
        asked = [asyncio.ensure_future(access.admit(each)) for each in headers]
        for refusal in itertools.islice(asyncio.as_completed(asked, timeout=20), 34):
            with pytest.raises(Failure):  # all have come once those beyond the queue are refused
                await refusal
        assert await asyncio.to_thread(lambda: "another thread's work") == "another thread's work"
        assert await access.admit(None) == Visitor()
        hold.set()
        return await asyncio.gather(*asked, return_exceptions=True)

    answers = asyncio.run(ask())
    assert answers[0] == Visitor("ann")
    refused = [each.status for each in answers[1:] if isinstance(each, Failure)]
    assert refused.count(401) == 65
    assert refused.count(429) == 34
    assert threading.main_thread() not in threads
    assert asyncio.run(access.admit(basic("ann", "secret"))) == Visitor("ann")  # another loop


ASKED = {
    "granted": ("ann", Right.PULL, "team/app", None),
    "granted to anybody": ("", Right.PULL, "public/app", None),
    "granted to anybody, so to a user": ("ann", Right.PULL, "public/app", None),
    "administers": ("root", Right.ADMIN, "", None),
    "user refused": ("ann", Right.DELETE, "team/app", (403, "DENIED", "ann may not delete from team/app")),
    "user may not push": ("ann", Right.PUSH, "public/app", (403, "DENIED", "ann may not push to public/app")),
    "user no admin": ("ann", Right.ADMIN, "", (403, "DENIED", "ann may not administer this registry")),
    "anonymous refused": ("", Right.PULL, "team/app", (401, "UNAUTHORIZED", "log in to pull from team/app")),
    "anonymous no admin": ("", Right.ADMIN, "", (401, "UNAUTHORIZED", "log in to administer this registry")),
    "whole registry": ("ann", Right.PULL, "", (403, "DENIED", "ann may not pull from this registry")),
    "hostile name": ("ann", Right.PULL, "a\x1b[0m", (403, "DENIED", r"ann may not pull from a\x1b[0m")),
}


@pytest.mark.parametrize("case", ASKED)
def test_what_a_visitor_may_do(access: Access, case: str) -> None:
    name, right, repository, refused = ASKED[case]
    visitor = Visitor(name)
    assert access.may(visitor, right, repository) is (refused is None)
    if refused is not None:
        failure = access.refusal(visitor, right, repository)
        assert (failure.status, failure.code, str(failure)) == refused
        assert failure.headers == (CHALLENGE if failure.status == 401 else {})


def test_everyone() -> None:
    access = Access.everyone()
    assert (access.open, access.challenges_base) == (True, False)
    for header in (None, basic("ann", "secret"), "Bearer x", ""):
        assert access.authenticate(header) == access.recall(header) == asyncio.run(access.admit(header)) == Visitor()
    assert all(access.may(Visitor(), right, "a") for right in Right)


def test_passwords_alone(passwords: Path) -> None:
    access = Access.of_files(passwords)
    assert (access.open, access.challenges_base) == (False, True)
    assert [access.may(Visitor("ann"), right, "a") for right in Right] == [True, True, True, False]
    assert not any(access.may(Visitor(), right, "a") for right in Right)


def test_the_base_is_challenged(access: Access) -> None:
    assert access.challenges_base
    failure = access.challenge()
    assert (failure.status, failure.code, failure.headers) == (401, "UNAUTHORIZED", CHALLENGE)


def test_neither_file() -> None:
    assert Access.of_files(None).open


def test_rights_without_passwords(passwords: Path) -> None:
    with pytest.raises(ConfigError, match="rights are of no use without passwords"):
        Access.of_files(None, passwords.parent / "rights.yaml")


def test_rights_of_a_user_without_a_password(passwords: Path) -> None:
    rights = passwords.parent / "rights.yaml"
    rights.write_text(RIGHTS.replace("[ann]", "[anne]"))
    with pytest.raises(
        ConfigError, match=r"rights.yaml:4: rights\[0\].users\[0\]: user 'anne' has no password in .*users"
    ):
        Access.of_files(passwords, rights)


def test_a_rights_file_that_is_broken_at_the_start(passwords: Path) -> None:
    (passwords.parent / "rights.yaml").write_text("rights: {}\n")
    with pytest.raises(ConfigError, match="is missing"):
        Access.of_files(passwords, passwords.parent / "rights.yaml")


def test_importing_it_loads_little() -> None:
    heavy = ("bcrypt", "re2", "yaml", "anyio", "starlette", "granian", "cryptography")
    code = f"import sys, bundler.registry.access; print([m for m in {heavy} if m in sys.modules])"
    assert run(sys.executable, "-c", code, env={"PYTHONPATH": ":".join(sys.path)}).strip() == "[]"


class _Door(BaseHTTPRequestHandler):
    """As little of a registry as a client needs to see whether it is let in."""

    access: Access
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        repository = self.path.removeprefix("/v2/").partition("/manifests/")[0]
        try:
            visitor = self.access.authenticate(self.headers.get("Authorization"))
            if not repository and self.access.challenges_base and not visitor.name:
                raise self.access.challenge()
            if repository and not self.access.may(visitor, Right.PULL, repository):
                raise self.access.refusal(visitor, Right.PULL, repository)
            self.answer(404 if repository else 200, {"errors": [{"code": "MANIFEST_UNKNOWN", "message": "let in"}]}, {})
        except Failure as failure:
            self.answer(failure.status, failure.document(), failure.headers)

    def answer(self, status: int, document: Any, headers: Mapping[str, str]) -> None:
        raw = json.dumps(document).encode()
        self.send_response(status)
        for name, value in {**headers, "Content-Type": "application/json", "Content-Length": str(len(raw))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(raw)

    def log_message(self, *args: Any) -> None:
        pass


@pytest.fixture
def door(access: Access) -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), type("Door", (_Door,), {"access": access})) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@needs("skopeo")
def test_skopeo_logs_in(door: str, tmp_path: Path) -> None:
    kept = ("--tls-verify=false", "--authfile", tmp_path / "auth.json", door)
    for user, password in (("ann", "wrong"), ("eve", "secret")):
        said = attempt("skopeo", "login", "-u", user, "-p", password, *kept)
        assert said.returncode != 0
        assert "invalid username/password" in said.stderr
    assert "Login Succeeded" in run("skopeo", "login", "-u", "jürgen", "--password-stdin", *kept, stdin="pässword\n")


LET_IN = {
    "public, without a password": ("public/app", "", "let in"),
    "public, with a password": ("public/app", "ann:secret", "let in"),
    "own": ("team/app", "ann:secret", "let in"),
    "own, without a password": ("team/app", "", "authentication required|log in to pull|unauthorized"),
    "another's": ("team/app", "jürgen:pässword", "access to the resource is denied|may not pull"),
    "public, with a wrong password": ("public/app", "ann:wrong", "invalid username/password|unauthorized|is wrong"),
}


@needs("skopeo")
@pytest.mark.parametrize("case", LET_IN)
def test_skopeo_is_let_in_or_not(door: str, case: str) -> None:
    repository, creds, said = LET_IN[case]
    given = ["--creds", creds] if creds else ["--no-creds"]
    answer = attempt("skopeo", "inspect", "--tls-verify=false", *given, f"docker://{door}/{repository}:1")
    assert re.search(said, answer.stderr), answer.stderr


@needs("curl")
def test_curl_is_let_in_or_not(door: str) -> None:
    for creds, status in (([], "401"), (["-u", "ann:secret"], "200"), (["-u", "ann:wrong"], "401")):
        command = ["curl", "-sS", "-o", "/dev/null", "-w", "%{http_code}", *creds, f"http://{door}/v2/"]
        assert run(*command) == status
