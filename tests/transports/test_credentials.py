from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from bundler.errors import AuthError, BundlerError, ConfigError
from bundler.transports.docker import credentials
from bundler.transports.docker.credentials import Credentials, ask_helper, find_credentials


def auth(text: str) -> dict[str, str]:
    return {"auth": base64.b64encode(text.encode()).decode()}


class Home:
    """An operator's directories, with files to put into them and helper programs that log what they are asked."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.bin = root / "bin"
        self.bin.mkdir()
        self.environ = {
            "XDG_RUNTIME_DIR": str(root / "run"),
            "XDG_CONFIG_HOME": str(root / "config"),
            "PATH": f"{self.bin}:/usr/bin:/bin",
            "ASKED": str(root / "asked"),
        }

    def file(self, name: str, document: Any) -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(document if isinstance(document, bytes) else json.dumps(document).encode())
        return path

    def helper(self, name: str, script: str) -> None:
        path = self.bin / f"docker-credential-{name}"
        path.write_text(f'#!/bin/sh\nread server; echo "$1 $server" >> "$ASKED"\n{script}\n')
        path.chmod(0o755)

    def asked(self) -> list[str]:
        path = self.root / "asked"
        return path.read_text().splitlines() if path.exists() else []

    def find(self, registry: str, repository: str = "app", *, authfile: Path | None = None) -> Credentials | None:
        return find_credentials(registry, repository, authfile=authfile, environ=self.environ, home=self.root)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


def answer(username: str, secret: str) -> str:
    return f"echo '{json.dumps({'ServerURL': 'x', 'Username': username, 'Secret': secret})}'"


def test_nothing_anywhere(home: Home) -> None:
    assert home.find("r.example") is None


def test_repr_never_shows_secrets() -> None:
    shown = f"{Credentials('ann', 's3cret', 't0ken')!r}"
    assert "ann" in shown
    assert "s3cret" not in shown
    assert "t0ken" not in shown


ENTRIES: dict[str, tuple[dict[str, Any], Credentials | None]] = {
    "auth": (auth("ann:pw"), Credentials("ann", "pw")),
    "colons-in-the-password": (auth("ann:p:w:"), Credentials("ann", "p:w:")),
    "empty-password": (auth("ann:"), Credentials("ann", "")),
    "padded-password": (auth("ann:pw\0\0"), Credentials("ann", "pw")),
    "not-ascii": (auth("ann:pässwört"), Credentials("ann", "pässwört")),
    "plain-fields": ({"username": "ann", "password": "pw"}, Credentials("ann", "pw")),
    "auth-beats-plain-fields": ({"username": "x", "password": "y", **auth("ann:pw")}, Credentials("ann", "pw")),
    "identity-token": ({**auth("ann:"), "identitytoken": "t"}, Credentials("ann", "", "t")),
    "identity-token-alone": ({"identitytoken": "t"}, Credentials("", "", "t")),
    "unknown-keys": ({**auth("ann:pw"), "email": "a@b"}, Credentials("ann", "pw")),
    "empty-entry": ({}, None),
    "empty-auth": ({"auth": ""}, None),
}


@pytest.mark.parametrize(("entry", "wanted"), ENTRIES.values(), ids=ENTRIES)
def test_entries(home: Home, entry: dict[str, Any], wanted: Credentials | None) -> None:
    home.file("run/containers/auth.json", {"auths": {"r.example": entry}})
    assert home.find("r.example") == wanted


BAD_ENTRIES: dict[str, tuple[Any, type[BundlerError]]] = {
    "not-an-object": ("YTpi", ConfigError),
    "not-base64": ({"auth": "%%%"}, ConfigError),
    "cut-base64": ({"auth": "YTpiYw"}, ConfigError),
    "url-safe-base64": ({"auth": "YTp-_w=="}, ConfigError),
    "not-utf-8": ({"auth": base64.b64encode(b"a:\xff").decode()}, ConfigError),
    "no-colon": (auth("annpw"), ConfigError),
    "token-as-password": (auth("<token>:t0ken"), ConfigError),
    "auth-a-number": ({"auth": 7}, ConfigError),
}


@pytest.mark.parametrize(("entry", "kind"), BAD_ENTRIES.values(), ids=BAD_ENTRIES)
def test_a_bad_entry_is_an_error_that_names_file_and_entry_but_no_secret(
    home: Home, entry: Any, kind: type[BundlerError]
) -> None:
    path = home.file("run/containers/auth.json", {"auths": {"r.example": entry}})
    with pytest.raises(kind) as caught:
        home.find("r.example")
    assert str(path) in str(caught.value)
    assert "r.example" in str(caught.value)
    assert "annpw" not in str(caught.value)
    assert "t0ken" not in str(caught.value)


def test_anothers_bad_entry_does_no_harm(home: Home) -> None:
    home.file("run/containers/auth.json", {"auths": {"r.example": auth("ann:pw"), "bad.example": {"auth": "%"}}})
    assert home.find("r.example") == Credentials("ann", "pw")


PLACES = ("run/containers/auth.json", "config/containers/auth.json", ".docker/config.json", ".dockercfg")


@pytest.mark.parametrize("first", range(4), ids=PLACES)
def test_the_first_file_with_something_decides(home: Home, first: int) -> None:
    for number, place in enumerate(PLACES):
        entries = {"r.example": auth(f"u{number}:pw") if number >= first else {}}
        home.file(place, entries if place == ".dockercfg" else {"auths": entries})
    assert home.find("r.example") == Credentials(f"u{first}", "pw")


def test_a_named_file_hides_the_others(home: Home) -> None:
    home.file("run/containers/auth.json", {"auths": {"r.example": auth("ann:pw")}})
    named = home.file("other.json", {"auths": {"s.example": auth("bob:pw")}})
    assert home.find("r.example", authfile=named) is None
    assert home.find("s.example", authfile=named) == Credentials("bob", "pw")
    home.environ["REGISTRY_AUTH_FILE"] = str(named)
    assert home.find("s.example") == Credentials("bob", "pw")


def test_a_named_file_must_exist(home: Home) -> None:
    with pytest.raises(ConfigError, match=r"no\.json"):
        home.find("r.example", authfile=home.root / "no.json")


def test_a_damaged_file_before_the_right_one_is_not_skipped(home: Home) -> None:
    home.file("run/containers/auth.json", b"{")
    home.file(".docker/config.json", {"auths": {"r.example": auth("ann:pw")}})
    with pytest.raises(ConfigError, match=r"run/containers/auth\.json"):
        home.find("r.example")


def test_home_comes_from_the_environment_unless_given(home: Home) -> None:
    home.file(".docker/config.json", {"auths": {"r.example": auth("ann:pw")}})
    environ = {**home.environ, "HOME": str(home.root)}
    assert find_credentials("r.example", "", authfile=None, environ=environ) == Credentials("ann", "pw")


def test_most_specific_entry(home: Home) -> None:
    home.file("run/containers/auth.json", {
        "auths": {"r.example": auth("all:pw"), "r.example/team": auth("team:pw"), "r.example/team/app": auth("app:pw")}
    })  # fmt: skip
    found = [home.find("r.example", name) for name in ("other/app", "team/web", "team/app")]
    assert [each.username for each in found if each] == ["all", "team", "app"]


@pytest.mark.parametrize("key", ["docker.io", "index.docker.io", "https://index.docker.io/v1/"])
@pytest.mark.parametrize("registry", ["docker.io", "registry-1.docker.io"])
def test_docker_hub_under_all_its_names(home: Home, key: str, registry: str) -> None:
    home.file(".docker/config.json", {"auths": {key: auth("ann:pw")}})
    assert home.find(registry, "library/nginx") == Credentials("ann", "pw")


def test_a_registrys_helper_beats_its_entry(home: Home) -> None:
    home.helper("one", answer("ann", "pw"))
    home.file(
        ".docker/config.json",
        {"credHelpers": {"r.example": "one"}, "credsStore": "none", "auths": {"r.example": auth("x:y")}},
    )
    assert home.find("r.example", "team/app") == Credentials("ann", "pw")
    assert home.asked() == ["get r.example"]


def test_the_general_helper_comes_last(home: Home) -> None:
    home.helper("all", answer("ann", "pw"))
    home.file(".docker/config.json", {"credsStore": "all", "auths": {"r.example": {}, "s.example": auth("bob:pw")}})
    assert home.find("s.example") == Credentials("bob", "pw")
    assert home.asked() == []
    assert home.find("r.example") == Credentials("ann", "pw")


def test_a_helper_may_give_an_identity_token(home: Home) -> None:
    home.helper("one", answer("<token>", "t0ken"))
    home.file(".docker/config.json", {"credHelpers": {"r.example": "one"}})
    assert home.find("r.example") == Credentials(identity_token="t0ken")


def test_helpers_know_docker_hub_by_two_names(home: Home) -> None:
    home.helper("one", f'[ "$server" = docker.io ] || {{ echo credentials not found; exit 1; }}\n{answer("ann", "pw")}')
    home.file(".docker/config.json", {"credHelpers": {"docker.io": "one"}})
    assert home.find("docker.io") == Credentials("ann", "pw")
    assert home.asked() == ["get https://index.docker.io/v1/", "get docker.io"]


def test_a_helper_with_nothing_sends_us_to_the_next_file(home: Home) -> None:
    home.helper("one", "echo credentials not found in native keychain; exit 1")
    home.file("config/containers/auth.json", {"credHelpers": {"r.example": "one"}})
    home.file(".docker/config.json", {"auths": {"r.example": auth("ann:pw")}})
    assert home.find("r.example") == Credentials("ann", "pw")


FAILURES = {
    "says-why": ("echo 'vault is sealed'; exit 3", r"\(exit 3\): vault is sealed"),
    "says-nothing": ("exit 1", "without a message"),
    "escapes-its-terminal": (r"printf '\033[31mred\n'; exit 1", r"\\x1b\[31mred"),
    "not-json": ("echo hello", "not JSON"),
    "no-object": ("echo '[]'", "must be an object"),
    "secret-a-number": ("""echo '{"Username": "a", "Secret": 7}'""", "Secret must be text"),
    "keys-in-two-cases": ("""echo '{"Secret": "a", "secret": "b"}'""", "appears also as"),
}


@pytest.mark.parametrize(("script", "message"), FAILURES.values(), ids=FAILURES)
def test_a_failing_helper_is_named(home: Home, script: str, message: str) -> None:
    home.helper("one", script)
    home.file(".docker/config.json", {"credHelpers": {"r.example": "one"}})
    with pytest.raises(AuthError, match=message) as caught:
        home.find("r.example")
    assert "docker-credential-one" in str(caught.value)


def test_a_helper_that_answers_with_nothing_has_nothing(home: Home) -> None:
    home.helper("one", answer("", ""))
    assert ask_helper("one", "r", environ=home.environ, what="f") is None
    home.helper("one", answer("<token>", ""))
    assert ask_helper("one", "r", environ=home.environ, what="f") is None


def test_stderr_of_a_helper_goes_nowhere(home: Home, capfd: pytest.CaptureFixture[str]) -> None:
    home.helper("one", f"echo s3cret >&2\n{answer('ann', 'pw')}")
    assert ask_helper("one", "r", environ=home.environ, what="f") == Credentials("ann", "pw")
    assert capfd.readouterr() == ("", "")


def test_a_helper_that_hangs_is_ended(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(credentials, "HELPER_SECONDS", 0.1)
    home.helper("one", "exec sleep 60")
    with pytest.raises(AuthError, match=r"no answer within 0\.1 s"):
        ask_helper("one", "r", environ=home.environ, what="f")


def test_a_helper_that_cannot_be_started(home: Home) -> None:
    path = home.bin / "docker-credential-one"
    path.write_text("#!/no/such/interpreter\n")
    path.chmod(0o755)
    with pytest.raises(AuthError, match="could not be started"):
        ask_helper("one", "r", environ=home.environ, what="f")


def test_a_helper_that_is_not_installed(home: Home) -> None:
    with pytest.raises(ConfigError, match="docker-credential-one is not installed"):
        ask_helper("one", "r", environ=home.environ, what="f")


@pytest.mark.parametrize("name", ["../evil", "a/b", "", "-x", ".x", "a b", "a;b", "a\n", "é", "a" * 101])
def test_a_helper_must_have_a_plain_name(home: Home, name: str) -> None:
    with pytest.raises(ConfigError, match="not the name of a credential helper"):
        ask_helper(name, "r", environ=home.environ, what="f")


def test_a_registry_token_is_used_as_it_is(home: Home) -> None:
    home.file("run/containers/auth.json", {"auths": {"r.example": {"registrytoken": "t0ken"}}})
    found = home.find("r.example")
    assert found == Credentials(registry_token="t0ken")
    assert "t0ken" not in repr(found)
