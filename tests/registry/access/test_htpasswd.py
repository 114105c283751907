"""The file of passwords: read strictly, changed line by line, and the same file to Apache."""

from __future__ import annotations

import os
import stat
import threading
from pathlib import Path

import bcrypt
import pytest

from bundler.errors import BundlerError, ConfigError, LimitError, NotFoundError
from bundler.registry.access import Passwords, htpasswd
from bundler.registry.access.htpasswd import cost_of, parse_passwords, remove_user, set_password
from tests.peers import attempt, htpasswd_line, needs, run

HASH = bcrypt.hashpw(b"secret", bcrypt.gensalt(4)).decode()


def reads(text: str | bytes) -> dict[str, str]:
    return parse_passwords(text if isinstance(text, bytes) else text.encode(), "u")


GOOD = {
    "one user": f"ann:{HASH}\n",
    "no newline at the end": f"ann:{HASH}",
    "comments and empty lines": f"# users\n\n  # more: of it\nann:{HASH}\n\n",
    "carriage returns": f"ann:{HASH}\r\n",
    "byte-order mark": f"\ufeffann:{HASH}\n",
    "spaces around": f" ann:{HASH}\t \n",
}


@pytest.mark.parametrize("case", GOOD)
def test_what_is_read(case: str) -> None:
    assert reads(GOOD[case]) == {"ann": HASH}


@pytest.mark.parametrize("kind", ["$2a$", "$2b$", "$2y$"])
def test_kinds_of_bcrypt(kind: str) -> None:
    assert cost_of(reads(f"ann:{kind}{HASH[4:]}")["ann"]) == 4


def test_names() -> None:
    assert list(reads(f"jürgen m.:{HASH}\na@site:{HASH}")) == ["jürgen m.", "a@site"]


BAD = {
    "empty": ("", "u: holds no user"),
    "only a comment": ("# none\n", "u: holds no user"),
    "no colon": (f"ann:{HASH}\nbob\n", "u:2: is not `user:hash`"),
    "no user": (f":{HASH}", "u:1: the user's name is empty"),
    "no hash": ("ann:", "the hash of 'ann' is not bcrypt"),
    "plain text": ("ann:secret", "is not bcrypt"),
    "MD5 of Apache": ("ann:$apr1$pIQl7tIU$SZBwrbUWBJEGwHXh0cJhC/", "is not bcrypt"),
    "SHA-1": ("ann:{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=", "is not bcrypt"),
    "crypt": ("ann:rl.3StKT.4T8M", "is not bcrypt"),
    "bcrypt of the broken kind": (f"ann:$2x${HASH[4:]}", "is not bcrypt"),
    "bcrypt cut": (f"ann:{HASH[:-1]}", "is not bcrypt"),
    "bcrypt and more": (f"ann:{HASH}a", "is not bcrypt"),
    "bcrypt with a third field": (f"ann:{HASH}:x", "is not bcrypt"),
    "bcrypt with a bad salt": (f"ann:{HASH[:28]}z{HASH[29:]}", "is not bcrypt"),
    "bcrypt that nothing hashes to": (f"ann:{HASH[:-1]}b", "is not bcrypt"),
    "bcrypt without enough rounds": (f"ann:$2b$03{HASH[6:]}", "is not bcrypt"),
    "twice": (f"ann:{HASH}\nbob:{HASH}\nann:{HASH}", "u:3: user 'ann' was given before"),
    "control character": (f"a\x1bn:{HASH}", r"u:1: 'a\\\\x1bn' is not a user's name"),
    "line separator": (f"a\u2028n:{HASH}", "is not a user's name"),
    "everybody": (f"*:{HASH}", "stands for everybody"),
    "too long": (f"{'ü' * 128}:{HASH}", "longer than 255 bytes"),
    "not UTF-8": (b"ann:" + HASH.encode() + b"\n\xff:x", "u:2: not UTF-8"),
    "UTF-16": (f"ann:{HASH}".encode("utf-16"), "u:1: not UTF-8"),
    "NUL": (f"ann\0:{HASH}", "control character"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_is_refused(case: str) -> None:
    text, said = BAD[case]
    with pytest.raises(ConfigError, match=said) as caught:
        reads(text)
    if "bcrypt" in said:
        assert caught.value.hint == "make it with `htpasswd -B` or `bundler registry passwd`"


@pytest.mark.parametrize("cost", [15, 31, 39])
def test_a_cost_that_takes_seconds(cost: int) -> None:
    with pytest.raises(LimitError, match=f"u:1: the hash of 'ann' has cost {cost}"):
        reads(f"ann:$2y${cost}{HASH[6:]}")
    assert reads(f"ann:$2y$14{HASH[6:]}")


def test_no_secret_in_an_error() -> None:
    with pytest.raises(ConfigError) as caught:
        reads("ann:hunter2")
    assert "hunter2" not in f"{caught.value}{caught.value.hint}"


def test_a_new_file(tmp_path: Path) -> None:
    path = tmp_path / "users"
    set_password(path, "ann", "secret", cost=4)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert Passwords.open(path).check("ann", "secret")
    assert [each.name for each in tmp_path.iterdir()] == ["users"]


def test_other_lines_stay(tmp_path: Path) -> None:
    path = tmp_path / "users"
    path.write_bytes(f"# ann: the first\r\nann:{HASH}\r\n\n# \xff\nbob:$apr1$old\nzoe:{HASH}".encode("latin-1"))
    path.chmod(0o640)
    set_password(path, "ann", "new", cost=4)
    set_password(path, "eve", "eve's", cost=5)
    lines = path.read_bytes().split(b"\n")
    assert lines[0] == b"# ann: the first\r"
    assert bcrypt.checkpw(b"new", lines[1].removeprefix(b"ann:"))
    assert lines[2:6] == [b"", b"# \xff", b"bob:$apr1$old", f"zoe:{HASH}".encode()]
    assert bcrypt.checkpw(b"eve's", lines[6].removeprefix(b"eve:"))
    assert lines[7:] == [b""]
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_a_user_who_was_there_twice_is_there_once(tmp_path: Path) -> None:
    path = tmp_path / "users"
    path.write_text(f"ann:{HASH}\nbob:{HASH}\nann:x\n")
    set_password(path, "ann", "new", cost=4)
    assert list(reads(path.read_bytes())) == ["ann", "bob"]


def test_what_is_still_wrong_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "users"
    path.write_text("ann:old\nbob:old\n")
    set_password(path, "ann", "new", cost=4)
    assert "users:2: the hash of 'bob' is not bcrypt; the registry refuses" in caplog.text
    caplog.clear()
    set_password(path, "bob", "new", cost=4)
    assert not caplog.records


def test_removing(tmp_path: Path) -> None:
    path = tmp_path / "users"
    path.write_text(f"# users\nann:{HASH}\nbob:{HASH}\n")
    remove_user(path, "ann")
    assert path.read_text() == f"# users\nbob:{HASH}\n"
    with pytest.raises(NotFoundError, match="there is no user 'ann'"):
        remove_user(path, "ann")
    with pytest.raises(ConfigError, match="'bob' is the only user"):
        remove_user(path, "bob")
    assert path.read_text() == f"# users\nbob:{HASH}\n"


REFUSED = {
    "user empty": ("", "p", "name is empty"),
    "user with colon": ("a:b", "p", "a colon or"),
    "user with newline": ("a\nb", "p", "a colon or"),
    "user with a surrogate": ("a\ud800", "p", "a colon or"),
    "user like a comment": ("#a", "p", "starts with #"),
    "user with a space in front": (" a", "p", "starts with"),
    "user with a space at the end": ("a ", "p", "ends with a space"),
    "user everybody": ("*", "p", "everybody"),
    "user too long": ("a" * 256, "p", "longer than 255 bytes"),
    "password empty": ("ann", "", "is empty"),
    "password with NUL": ("ann", "a\0b", "control character"),
    "password with newline": ("ann", "a\n", "control character"),
    "password with a surrogate": ("ann", "a\ud800", "not UTF-8"),
    "password too long": ("ann", "a" * 73, "longer than the 72 bytes"),
    "password too long in UTF-8": ("ann", "ü" * 37, "longer than the 72 bytes"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_set(tmp_path: Path, case: str) -> None:
    user, password, said = REFUSED[case]
    with pytest.raises(BundlerError, match=said) as caught:
        set_password(tmp_path / "users", user, password, cost=4)
    assert caught.value.hint
    assert not password or f"'{password}'" not in str(caught.value)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("cost", [3, 15])
def test_costs_that_cannot_be_set(tmp_path: Path, cost: int) -> None:
    with pytest.raises(ConfigError, match=f"cost {cost} is not from 4 to 14"):
        set_password(tmp_path / "users", "ann", "p", cost=cost)


def test_the_longest(tmp_path: Path) -> None:
    set_password(tmp_path / "users", "a" * 255, "ü" * 36, cost=4)
    assert Passwords.open(tmp_path / "users").check("a" * 255, "ü" * 36)


def test_a_link_stays_one(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    link = tmp_path / "users"
    link.symlink_to("real/users")
    set_password(link, "ann", "one", cost=4)  # a link to nothing yet
    set_password(link, "bob", "two", cost=4)
    assert link.is_symlink()
    assert list(reads((tmp_path / "real" / "users").read_bytes())) == ["ann", "bob"]
    assert [each.name for each in (tmp_path / "real").iterdir()] == ["users"]


def test_a_link_to_itself(tmp_path: Path) -> None:
    (tmp_path / "users").symlink_to("users")
    with pytest.raises(BundlerError, match="users"):
        set_password(tmp_path / "users", "ann", "p", cost=4)


PLACES = {"directory": "is a directory", "pipe": "is not a file", "none/users": "is not a directory"}


@pytest.mark.parametrize("name", PLACES)
def test_places_where_there_can_be_none(tmp_path: Path, name: str) -> None:
    (tmp_path / "directory").mkdir()
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ConfigError, match=PLACES[name]):
        set_password(tmp_path / name, "ann", "p", cost=4)


def test_a_failed_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "users"
    path.write_text(f"ann:{HASH}\n")

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(BundlerError, match="No space left"):
        set_password(path, "ann", "new", cost=4)
    assert path.read_text() == f"ann:{HASH}\n"
    assert [each.name for each in tmp_path.iterdir()] == ["users"]


def test_no_change_is_lost_to_another(tmp_path: Path) -> None:
    path = tmp_path / "users"
    names = [f"user{number}" for number in range(12)]
    threads = [threading.Thread(target=set_password, args=(path, n, "p"), kwargs={"cost": 4}) for n in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(reads(path.read_bytes())) == sorted(names)


def test_the_default_cost_is_the_one_of_the_docs() -> None:
    assert htpasswd.DEFAULT_COST == 12


@needs("htpasswd")
def test_a_file_of_apache(tmp_path: Path) -> None:
    path = tmp_path / "users"
    run("htpasswd", "-cbB", path, "ann", "secret")
    run("htpasswd", "-bB", "-C", "6", path, "jürgen", "pässword")
    path.write_text(path.read_text() + htpasswd_line("long", "x" * 80) + "\n")
    passwords = Passwords.open(path)
    assert [passwords.check(*pair) for pair in [("ann", "secret"), ("jürgen", "pässword"), ("ann", "pässword")]] == [
        True,
        True,
        False,
    ]
    for tail, right in (("x" * 8, True), ("y" * 8, True), ("", True)):
        assert passwords.check("long", "x" * 72 + tail) is right
        assert attempt("htpasswd", "-vb", path, "long", "x" * 72 + tail).returncode == 0
    assert not passwords.check("long", "x" * 71)


@needs("htpasswd")
def test_apache_reads_what_is_written(tmp_path: Path) -> None:
    path = tmp_path / "users"
    for user, password in (("ann", "secret"), ("bob", "ü" * 36), ("ann", "changed")):
        set_password(path, user, password, cost=5)
    for user, password, status in (("ann", "changed", 0), ("bob", "ü" * 36, 0), ("ann", "secret", 3), ("eve", "x", 6)):
        assert attempt("htpasswd", "-vb", path, user, password).returncode == status, (user, password)
    run("htpasswd", "-D", path, "ann")
    assert list(reads(path.read_bytes())) == ["bob"]
