"""Logging in and out: what a site is called, who is shown what, and what is kept afterwards."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from bundler.errors import AuthError, ConfigError, NetworkError
from bundler.journey import login as journey
from bundler.journey.access import Access, Surroundings
from bundler.journey.login import Site, keeping_place, known, login, logout, logout_of_all, parse_site, user_of
from bundler.transports.docker import logins
from bundler.transports.docker.credentials import Credentials
from bundler.transports.docker.logins import Place
from tests.basic import FrontDoor, front_door

ANN = Credentials("ann", "s3cret: pässwört")
OPEN = Access(tls_verify=False)


@pytest.fixture
def door() -> Iterator[FrontDoor]:
    with front_door({ANN.username: ANN.password}) as made:
        yield made


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path / "auth.json")


@pytest.fixture(autouse=True)
def run_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "run"
    folder.mkdir()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(folder))
    return folder


@pytest.mark.parametrize(
    ("text", "shown", "name"),
    [
        ("r.example", "r.example", "r.example"),
        ("r.example:5000", "r.example:5000", "r.example:5000"),
        ("localhost", "localhost", "localhost"),
        ("r.example/team/app", "r.example/team/app", "r.example/team/app"),
        ("docker.io", "docker.io", "docker.io"),
        ("index.docker.io", "index.docker.io", "docker.io"),
        ("docker.io/vendor", "docker.io/vendor", "docker.io/vendor"),
        ("https://r.example/v2/", "r.example", "r.example"),
        ("http://r.example:5000", "r.example:5000", "r.example:5000"),
        ("https://ann:secret@r.example/", "r.example", "r.example"),
        ("https://index.docker.io/v1/", "index.docker.io", "docker.io"),
        ("[::1]:5000", "[::1]:5000", "[::1]:5000"),
    ],
)
def test_what_a_site_is_called(text: str, shown: str, name: str) -> None:
    site = parse_site(text)
    assert (site.shown, site.name) == (shown, name)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "/",
        "nginx",
        "team/app",
        "r.example/",
        "r.example//a",
        "r.example/app:1",
        f"r.example/app@sha256:{'0' * 64}",
        "r.example/UPPER",
        "r.example/../x",
        "r.example:port",
        "r.example:70000",
        "https://",
        "https://[",
        "ftp://r.example",
        "ann@r.example",
        "r.example\n",
        "r.example\x1b[2J",
        "--authfile",
        "docker://r.example",
    ],
)
def test_what_is_no_site(text: str) -> None:
    with pytest.raises(ConfigError) as refused:
        parse_site(text)
    assert str(refused.value).isprintable()


def test_in_and_out(door: FrontDoor, place: Place) -> None:
    site = parse_site(door.host)
    assert login(site, ANN, OPEN, place) == str(place.path)
    assert door.shown == [f"{ANN.username}:{ANN.password}"]
    assert user_of(site, place, only=True) == "ann"
    assert known(site, place, only=True) == ANN
    logout(site, place, only=True)
    with pytest.raises(AuthError, match="not logged into"):
        user_of(site, place, only=True)
    with pytest.raises(AuthError, match="not logged into"):
        logout(site, place, only=True)


def test_what_the_registry_refuses_is_not_kept(door: FrontDoor, place: Place) -> None:
    site = parse_site(door.host)
    with pytest.raises(AuthError) as refused:
        login(site, Credentials("ann", "wr0ng"), OPEN, place)
    assert "wr0ng" not in f"{refused.value}{refused.value.hint}"
    assert not place.path.exists()
    login(site, ANN, OPEN, place)
    with pytest.raises(AuthError):
        login(site, Credentials("ann", "wr0ng"), OPEN, place)
    assert known(site, place, only=True) == ANN


def test_what_cant_be_kept_is_shown_to_nobody(door: FrontDoor, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="whole registries"):
        login(parse_site(f"{door.host}/team"), ANN, OPEN, Place(tmp_path / "config.json", docker=True))
    assert door.shown == []


def test_a_registry_that_admits_everyone(place: Place) -> None:
    with front_door(None) as door:
        login(parse_site(door.host), ANN, OPEN, place)
        assert known(parse_site(door.host), place, only=True) == ANN


def test_nobody_there(place: Place) -> None:
    with front_door(None) as door:
        gone = parse_site(door.host)
    with pytest.raises(NetworkError):
        login(gone, ANN, Access(tls_verify=False, attempts=1), place)
    assert not place.path.exists()


def test_passwords_are_not_shown_without_tls_unless_allowed(door: FrontDoor, place: Place, tmp_path: Path) -> None:
    strict = Access(attempts=1)
    with pytest.raises(NetworkError):
        login(parse_site(door.host), ANN, strict, place)
    assert door.shown == []
    conf = tmp_path / "registries.conf"
    conf.write_text(f'[[registry]]\nlocation = "{door.host}"\ninsecure = true\n')
    login(parse_site(door.host), ANN, strict, place, surroundings=Surroundings(registries_conf=conf))
    assert known(parse_site(door.host), place, only=True) == ANN


def test_a_namespace_is_kept_apart(door: FrontDoor, place: Place) -> None:
    site = parse_site(f"{door.host}/team")
    login(site, ANN, OPEN, place)
    assert user_of(parse_site(f"{door.host}/team/app"), place, only=True) == "ann"
    with pytest.raises(AuthError):
        user_of(parse_site(door.host), place, only=True)


def test_the_usual_place_and_where_else_one_looks(
    door: FrontDoor, run_directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site, usual = parse_site(door.host), keeping_place(None, None)
    assert usual == Place(run_directory / "containers" / "auth.json")
    docker = Path.home() / ".docker" / "config.json"
    logins.store(Place(docker, docker=True), site.name, ANN, environ={})
    assert user_of(site, usual, only=False) == "ann"
    with pytest.raises(AuthError):
        user_of(site, usual, only=True)
    with pytest.raises(AuthError, match="another file") as refused:
        logout(site, usual, only=False)
    assert "docker logout" in refused.value.hint
    assert json.loads(docker.read_text())["auths"]
    monkeypatch.setenv("REGISTRY_AUTH_FILE", str(run_directory / "named.json"))
    with pytest.raises(AuthError):
        user_of(site, keeping_place(None, None), only=False)


def test_out_of_all(place: Place) -> None:
    for host in ("r.example", "s.example/team"):
        logins.store(place, host, ANN, environ={})
    logout_of_all(place)
    assert json.loads(place.path.read_text()) == {"auths": {}}


def test_sites_are_plain_values() -> None:
    assert Site("a.example/b", "a.example", "b") == parse_site("a.example/b")
    assert journey.parse_site("a.example").namespace == ""
