"""Credentials written: which file, what stays in it, who may read it, and what a helper is told."""

from __future__ import annotations

import base64
import fcntl
import json
import os
import stat
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from bundler.errors import AuthError, BundlerError, ConfigError, LimitError, LockedError
from bundler.transports.docker import credentials, keepers, logins
from bundler.transports.docker.credentials import Credentials, find_credentials
from bundler.transports.docker.logins import Place, forget, forget_all, keeping_place, kept, store

ANN = Credentials("ann", "s3cret: pässwört")
HUB = "https://index.docker.io/v1/"


def entry(username: str, password: str) -> dict[str, str]:
    return {"auth": base64.b64encode(f"{username}:{password}".encode()).decode()}


OTHERS = {"other.example": entry("bob", "pw")}
MINE = entry("ann", ANN.password)


class Home:
    """A folder with an auth.json, and helper programs that note what they are told."""

    def __init__(self, root: Path) -> None:
        self.root, self.path = root, root / "auth.json"
        self.bin, self.told = root / "bin", root / "told"
        self.bin.mkdir()
        self.environ = {"PATH": f"{self.bin}:/usr/bin:/bin", "TOLD": str(self.told), "HOME": str(root)}

    def write(self, document: Any) -> None:
        self.path.write_bytes(document if isinstance(document, bytes) else json.dumps(document).encode())

    @property
    def document(self) -> Any:
        return json.loads(self.path.read_bytes())

    def helper(self, name: str, script: str = "exit 0") -> None:
        """``script`` runs with the verb in ``$1``; what comes on stdin is noted after it."""
        path = self.bin / f"docker-credential-{name}"
        path.write_text(f'#!/bin/sh\nsaid=$(cat); echo "$1 $said" >> "$TOLD"\n{script}\n')
        path.chmod(0o755)

    def heard(self, verb: str) -> list[str]:
        lines = self.told.read_text().splitlines() if self.told.exists() else []
        return [line.partition(" ")[2] for line in lines if line.startswith(f"{verb} ")]

    def store(self, name: str, who: Credentials = ANN, *, docker: bool = False) -> str:
        return store(Place(self.path, docker), name, who, environ=self.environ)

    def forget(self, name: str, *, docker: bool = False) -> bool:
        return forget(Place(self.path, docker), name, environ=self.environ)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


# Where


@pytest.mark.parametrize(
    ("authfile", "compat", "environ", "place"),
    [
        ("a", None, {}, Place(Path("a"))),
        (None, "c", {}, Place(Path("c"), docker=True)),
        ("a", None, {"REGISTRY_AUTH_FILE": "r", "DOCKER_CONFIG": "d"}, Place(Path("a"))),
        (None, "c", {"REGISTRY_AUTH_FILE": "r"}, Place(Path("c"), docker=True)),
        (None, None, {"REGISTRY_AUTH_FILE": "r", "DOCKER_CONFIG": "d"}, Place(Path("r"))),
        (None, None, {"DOCKER_CONFIG": "d", "XDG_RUNTIME_DIR": "/"}, Place(Path("d/config.json"), docker=True)),
        (None, None, {"XDG_RUNTIME_DIR": "/"}, Place(Path("/containers/auth.json"))),
        (None, None, {}, Place(Path(f"/run/containers/{os.getuid()}/auth.json"))),
        (None, None, {"REGISTRY_AUTH_FILE": "", "XDG_RUNTIME_DIR": ""}, Place(Path(f"/run/containers/{os.getuid()}/auth.json"))),
    ],
)  # fmt: skip
def test_the_place(authfile: str | None, compat: str | None, environ: dict[str, str], place: Place) -> None:
    given = (None if name is None else Path(name) for name in (authfile, compat))
    assert keeping_place(*given, environ=environ) == place


def test_places_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="exclude each other"):
        keeping_place(Path("a"), Path("c"), environ={})
    with pytest.raises(ConfigError, match="XDG_RUNTIME_DIR"):
        keeping_place(None, None, environ={"XDG_RUNTIME_DIR": str(tmp_path / "missing")})


# What


@pytest.mark.parametrize("name", ["r.example", "r.example:5000", "localhost:1/a/b", "docker.io", "docker.io/vendor"])
def test_what_is_stored_is_found(home: Home, name: str) -> None:
    assert home.store(name) == str(home.path)
    assert home.document == {"auths": {name: MINE}}
    assert kept(Place(home.path), name, environ=home.environ) == ANN
    registry, _, namespace = name.partition("/")
    assert find_credentials(registry, namespace or "any", authfile=home.path, environ=home.environ) == ANN
    assert home.forget(name)
    assert home.document == {"auths": {}}
    assert not home.forget(name)


def test_nothing_else_in_the_file_changes(home: Home) -> None:
    before = {
        "auths": OTHERS,
        "credHelpers": {"h.example": "x"},
        "psFormat": "ü",
        "detachKeys": None,
        "n": [1, {"a": 2.5}],
    }
    home.write(before)
    home.store("r.example")
    assert home.document == {**before, "auths": {**OTHERS, "r.example": MINE}}
    assert home.forget("r.example")
    assert home.document == before


def test_an_entry_is_replaced_in_place_of_its_secrets(home: Home) -> None:
    old = {
        **entry("old", "old"),
        "identitytoken": "t",
        "username": "u",
        "password": "p",
        "registrytoken": "r",
        "email": "e",
    }
    home.write({"auths": {"r.example": old}})
    home.store("r.example")
    assert home.document == {"auths": {"r.example": {**MINE, "email": "e"}}}


@pytest.mark.parametrize("old", [f"http://{'r.example'}", "https://r.example/v1/", "https://r.example"])
def test_an_entry_of_an_older_docker_is_not_left_beside_the_new_one(home: Home, old: str) -> None:
    home.write({"auths": {old: entry("old", "old")}})
    home.store("r.example")
    assert home.document == {"auths": {"r.example": MINE}}
    home.write({"auths": {old: entry("old", "old")}})
    assert home.forget("r.example")
    assert home.document == {"auths": {}}


def test_docker_hub_has_its_own_name_in_dockers_file(home: Home) -> None:
    home.store("docker.io", docker=True)
    assert home.document == {"auths": {HUB: MINE}}
    assert kept(Place(home.path, docker=True), "docker.io", environ=home.environ) == ANN
    assert home.forget("docker.io", docker=True)
    assert home.document == {"auths": {}}


def test_dockers_file_knows_no_namespaces(home: Home) -> None:
    for do in (home.store, home.forget):
        with pytest.raises(ConfigError, match="whole registries"):
            do("r.example/team", docker=True)
    assert not home.path.exists()


def test_only_the_very_name_is_forgotten(home: Home) -> None:
    for name in ("r.example", "r.example/a", "r.example/a/b"):
        home.store(name)
    assert home.forget("r.example/a")
    assert set(home.document["auths"]) == {"r.example", "r.example/a/b"}
    assert not home.forget("r.example/c")
    assert not home.forget("example")


def test_nothing_is_made_where_nothing_is_forgotten(home: Home) -> None:
    assert not home.forget("r.example")
    forget_all(Place(home.path), environ=home.environ)
    assert not home.path.exists()


def test_all_is_forgotten(home: Home) -> None:
    home.write({"auths": {**OTHERS, "r.example": MINE}, "psFormat": "x"})
    forget_all(Place(home.path), environ=home.environ)
    assert home.document == {"auths": {}, "psFormat": "x"}


@pytest.mark.parametrize("who", [Credentials("", "pw"), Credentials("a:b", "pw")])
def test_user_names_that_cant_be_kept(home: Home, who: Credentials) -> None:
    with pytest.raises(ConfigError, match="user name"):
        home.store("r.example", who)
    assert not home.path.exists()


DAMAGED: dict[str, bytes] = {
    "empty": b"",
    "not JSON": b"{",
    "a list": b"[]",
    "auths is a list": b'{"auths": []}',
    "an entry is text": b'{"auths": {"other.example": "x"}}',
    "a key twice": b'{"auths": {"a": {}, "a": {}}}',
    "trailing data": b"{}{}",
    "credHelpers is text": b'{"credHelpers": "x"}',
    "credsStore is a number": b'{"credsStore": 1}',
}


@pytest.mark.parametrize("raw", DAMAGED.values(), ids=DAMAGED.keys())
def test_a_damaged_file_is_left_as_it_is(home: Home, raw: bytes) -> None:
    home.write(raw)
    with pytest.raises(ConfigError, match=r"auth\.json"):
        home.store("r.example")
    assert home.path.read_bytes() == raw
    assert sorted(home.root.iterdir()) == sorted([home.path, home.bin])


def test_a_file_too_large(home: Home) -> None:
    home.write(b" " * (1 << 20) + b"{}")
    with pytest.raises(LimitError):
        home.store("r.example")


def test_auths_may_be_null(home: Home) -> None:
    home.write({"auths": None})
    home.store("r.example")
    assert home.document == {"auths": {"r.example": MINE}}


# How


def test_files_and_directories_are_for_their_owner_only(home: Home) -> None:
    home.path = home.root / "a" / "b" / "auth.json"
    before = os.umask(0)
    try:
        home.store("r.example")
    finally:
        os.umask(before)
    modes = [stat.S_IMODE(path.stat().st_mode) for path in (home.path, home.path.parent, home.root / "a")]
    assert modes == [0o600, 0o700, 0o700]


def test_a_file_that_all_could_read_is_theirs_no_more(home: Home) -> None:
    home.write({})
    for _ in range(2):  # the second log-in changes nothing else
        home.path.chmod(0o644)
        home.store("r.example")
        assert stat.S_IMODE(home.path.stat().st_mode) == 0o600


def test_directories_that_are_there_keep_their_mode(home: Home) -> None:
    home.root.chmod(0o755)
    home.store("r.example")
    assert stat.S_IMODE(home.root.stat().st_mode) == 0o755


def test_a_link_stays_and_what_it_names_changes(home: Home) -> None:
    real = home.root / "elsewhere" / "real.json"
    real.parent.mkdir()
    real.write_text(json.dumps({"auths": OTHERS}))
    home.path.symlink_to("elsewhere/real.json")
    home.store("r.example")
    assert home.path.is_symlink()
    assert json.loads(real.read_text()) == {"auths": {**OTHERS, "r.example": MINE}}
    assert list(real.parent.iterdir()) == [real]


def test_a_link_to_nothing_yet(home: Home) -> None:
    home.path.symlink_to("new/real.json")
    home.store("r.example")
    assert home.path.is_symlink()
    assert home.document == {"auths": {"r.example": MINE}}


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_failed_write_leaves_the_old_file_alone(home: Home, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    home.write({"auths": OTHERS})

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail) if step == "fsync" else monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(BundlerError, match="No space left"):
        home.store("r.example")
    monkeypatch.undo()
    assert home.document == {"auths": OTHERS}
    assert sorted(home.root.iterdir()) == sorted([home.path, home.bin])


def test_no_log_in_is_lost_to_another(home: Home) -> None:
    names = [f"r{n}.example" for n in range(24)]
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(home.store, names))
    assert sorted(home.document["auths"]) == sorted(names)


def test_who_holds_the_file_is_waited_for(home: Home) -> None:
    holder = os.open(home.root, os.O_RDONLY)
    fcntl.flock(holder, fcntl.LOCK_EX)
    release = threading.Timer(0.2, os.close, (holder,))
    release.start()
    home.store("r.example")
    release.join()
    assert home.document == {"auths": {"r.example": MINE}}


def test_nobody_waits_forever(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logins, "PATIENCE", 0.1)
    holder = os.open(home.root, os.O_RDONLY)
    try:
        fcntl.flock(holder, fcntl.LOCK_EX)
        with pytest.raises(LockedError):
            home.store("r.example")
    finally:
        os.close(holder)
    assert not home.path.exists()


def test_a_directory_in_the_file_s_place(home: Home) -> None:
    home.path.mkdir()
    with pytest.raises(BundlerError, match=r"auth\.json"):
        home.store("r.example")
    assert home.path.is_dir()


# Helpers


@pytest.mark.parametrize("document", [{"credHelpers": {"r.example": "safe"}}, {"credsStore": "safe"}])
def test_a_helper_keeps_the_password_and_the_file_never_sees_it(home: Home, document: Any) -> None:
    home.write(document)
    home.helper("safe")
    assert home.store("r.example") == "credential helper: safe"
    (told,) = home.heard("store")
    assert json.loads(told) == {"ServerURL": "r.example", "Username": ANN.username, "Secret": ANN.password}
    assert MINE["auth"] not in home.path.read_text()


def test_dockers_store_leaves_an_empty_entry(home: Home) -> None:
    home.write({"credsStore": "safe", "auths": {"docker.io": MINE}})
    home.helper("safe")
    home.store("docker.io", docker=True)
    assert json.loads(home.heard("store")[0])["ServerURL"] == HUB
    assert home.document == {"credsStore": "safe", "auths": {HUB: {}}}


def test_helpers_know_no_namespaces(home: Home) -> None:
    home.write({"credHelpers": {"r.example": "safe"}})
    home.helper("safe")
    with pytest.raises(ConfigError, match="whole registries"):
        home.store("r.example/team")
    assert home.heard("store") == []


HOLDING = """case "$1" in get) if [ "$said" = r.example ]; then echo '{"Username": "ann", "Secret": "x"}';
else echo "credentials not found in native keychain"; exit 1; fi;; esac"""


@pytest.mark.parametrize("document", [{"credHelpers": {"r.example": "safe"}}, {"credsStore": "safe"}])
def test_a_helper_forgets(home: Home, document: Any) -> None:
    home.write({**document, "auths": {"r.example": {}, **OTHERS}})
    home.helper("safe", HOLDING)
    assert home.forget("r.example")
    assert home.heard("erase") == ["r.example"]
    assert home.document == {**document, "auths": OTHERS}


def test_a_helper_that_has_nothing_is_not_asked_to_erase(home: Home) -> None:
    home.write({"credsStore": "safe"})
    home.helper("safe", HOLDING)
    assert not home.forget("s.example")
    assert home.heard("erase") == []


def test_helpers_forget_all(home: Home) -> None:
    home.write({"credHelpers": {"r.example": "safe"}, "auths": OTHERS})
    home.helper("safe", HOLDING)
    forget_all(Place(home.path), environ=home.environ)
    assert home.heard("erase") == ["r.example"]
    assert home.document == {"credHelpers": {"r.example": "safe"}, "auths": {}}


FAILING = {
    "fails": ('echo "no $said"; exit 1', AuthError),
    "fails and tells on stderr": ('echo "no $said" >&2; exit 3', AuthError),
    "hangs": ("exec sleep 60", AuthError),
}


@pytest.mark.parametrize(("script", "error"), FAILING.values(), ids=FAILING.keys())
def test_a_helper_that_does_not_keep(
    home: Home, monkeypatch: pytest.MonkeyPatch, script: str, error: type[BundlerError]
) -> None:
    monkeypatch.setattr(credentials, "HELPER_SECONDS", 0.5)
    home.write(before := {"credHelpers": {"r.example": "safe"}, "auths": OTHERS})
    home.helper("safe", script)
    with pytest.raises(error, match="docker-credential-safe") as refused:
        home.store("r.example")
    assert ANN.password not in f"{refused.value}{refused.value.hint}"
    assert home.document == before


@pytest.mark.parametrize("name", ["missing", "", "../evil", "/bin/evil", "a b", "-x", "x;y"])
def test_helpers_that_are_none(home: Home, name: str) -> None:
    (home.root / "docker-credential-evil").write_text("#!/bin/sh\ntouch evil\n")
    for do in (keepers.store_in, keepers.erase_from):
        rest = (ANN,) if do is keepers.store_in else ()
        with pytest.raises(ConfigError):
            do(name, "r.example", *rest, environ=home.environ, what="auth.json")  # type: ignore[operator]


def test_passwords_are_in_no_argument_of_a_helper(home: Home) -> None:
    home.write({"credHelpers": {"r.example": "safe"}})
    home.helper("safe", 'echo "args $*" >> "$TOLD"; env >> "$TOLD.env"')
    home.store("r.example")
    assert home.heard("args") == ["store"]
    assert ANN.password not in home.told.with_suffix(".env").read_text()
