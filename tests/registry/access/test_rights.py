"""The file of rights: what it grants, and what it refuses to be."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from bundler.errors import BundlerError, ConfigError, LimitError, UnsupportedError
from bundler.registry.access.rights import Right, Rights, parse_rights

HEAD = "apiVersion: bundler/v1\nkind: RegistryRights\n"
FULL = f"""{HEAD}rights:
  - users: [ann, bob]
    repositories: ["team/**", "library/*"]
    may: [pull, push, delete]
  - users: ["*"]
    repositories: ["shared/**"]
    may: [pull]
  - anonymous: true
    repositories: ["public/**"]
    may: [pull]
  - users: [writer]
    repositories: ["drop/*"]
    may: [push]
  - users: [root]
    repositories: ["**"]
    may: [admin]
"""

PULL, PUSH, DELETE, ADMIN = Right
ASKED = {
    "named user": ("ann", PULL, "team/app", True),
    "named user pushes": ("bob", PUSH, "library/nginx", True),
    "named user deletes": ("bob", DELETE, "library/nginx", True),
    "deeper than the pattern": ("ann", PULL, "library/nginx/old", False),
    "another user": ("eve", PULL, "team/app", False),
    "another user, granted to everybody": ("eve", PULL, "shared/a/b", True),
    "everybody may only pull": ("eve", PUSH, "shared/a", False),
    "everybody is not the anonymous": (None, PULL, "shared/a", False),
    "anonymous": (None, PULL, "public/a", True),
    "anonymous may only pull": (None, PUSH, "public/a", False),
    "what is anonymous is a user's too": ("eve", PULL, "public/a", True),
    "push is not pull": ("writer", PULL, "drop/a", False),
    "push": ("writer", PUSH, "drop/a", True),
    "admin": ("root", ADMIN, "", True),
    "admin is not pull": ("root", PULL, "team/app", False),
    "no admin": ("ann", ADMIN, "", False),
    "anonymous is no admin": (None, ADMIN, "", False),
    "an empty name is not everybody": (None, PULL, "", False),
    "a user called as the wildcard": ("*", PULL, "team/app", False),
    "case counts": ("Ann", PULL, "team/app", False),
}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "rights.yaml"
    path.write_text(FULL)
    return path


@pytest.mark.parametrize("case", ASKED)
def test_what_is_granted(file: Path, case: str) -> None:
    user, right, repository, granted = ASKED[case]
    assert Rights.open(file).may(user, right, repository) is granted


def test_without_a_file() -> None:
    rights = Rights.of_a_site()
    assert [rights.may("ann", right, "a/b") for right in Right] == [True, True, True, False]
    assert not any(rights.may(None, right, "a/b") for right in Right)


def rule(text: str) -> str:
    return f"{HEAD}rights:\n  - {text}\n"


BAD = {
    "no version": ("kind: RegistryRights\nrights: []\n", r"^r.yaml:1: `apiVersion` is missing"),
    "another version": ("apiVersion: bundler/v2\nkind: RegistryRights\nrights: []\n", r"1: apiVersion: 'bundler/v2' is not supp"),
    "another kind": ("apiVersion: bundler/v1\nkind: Bundle\nrights: []\n", r":2: kind: 'Bundle' is not supported"),
    "no rights": (HEAD, "`rights` is missing"),
    "rights empty": (f"{HEAD}rights: []\n", r":3: rights: is empty"),
    "rights a mapping": (f"{HEAD}rights: {{}}\n", "must be a list"),
    "rule a text": (rule("pull"), r":4: rights\[0\]: must be a mapping"),
    "unknown key": (rule('{users: [a], repositories: ["**"], may: [pull], deny: true}'), r"'deny' is not a known key"),
    "no repositories": (rule("{users: [a], may: [pull]}"), "`repositories` is missing"),
    "no may": (rule('{users: [a], repositories: ["**"]}'), "`may` is missing"),
    "nobody": (rule('{repositories: ["**"], may: [pull]}'), "needs either"),
    "users and anonymous": (rule('{users: [a], anonymous: true, repositories: ["**"], may: [pull]}'), "needs either"),
    "anonymous false": (rule('{anonymous: false, repositories: ["**"], may: [pull]}'), "can only be true"),
    "anonymous a text": (rule('{anonymous: "true", repositories: ["**"], may: [pull]}'), "must be true or false"),
    "users empty": (rule('{users: [], repositories: ["**"], may: [pull]}'), r"rights\[0\].users: is empty"),
    "users a text": (rule('{users: ann, repositories: ["**"], may: [pull]}'), "must be a list, not text"),
    "user null": (rule('{users: [~], repositories: ["**"], may: [pull]}'), "must be text, not nothing"),
    "user empty": (rule("{users: [''], repositories: ['**'], may: [pull]}"), "user's name is empty"),
    "user with colon": (rule("{users: ['a:b'], repositories: ['**'], may: [pull]}"), "colon"),
    "user with control": (rule('{users: ["a\\x07"], repositories: ["**"], may: [pull]}'), "control"),
    "user like a comment": (rule("{users: ['#a'], repositories: ['**'], may: [pull]}"), "starts with #"),
    "user too long": (rule(f"{{users: [{'a' * 256}], repositories: ['**'], may: [pull]}}"), "longer than 255"),
    "repositories empty": (rule("{users: [a], repositories: [], may: [pull]}"), "repositories: is empty"),
    "pattern upper case": (rule("{users: [a], repositories: [Team/app], may: [pull]}"), "not a pattern"),
    "pattern a regex": (rule("{users: [a], repositories: ['team/.+'], may: [pull]}"), "not a pattern"),
    "pattern with a tag": (rule("{users: [a], repositories: ['app:1'], may: [pull]}"), "not a pattern"),
    "may empty": (rule("{users: [a], repositories: ['**'], may: []}"), "may: is empty"),
    "may unknown": (rule("{users: [a], repositories: ['**'], may: [write]}"), "'write' is not a choice"),
    "may twice": (rule("{users: [a], repositories: ['**'], may: [pull, pull]}"), r"may\[1\]: pull was given before"),
    "admin of a part": (rule("{users: [a], repositories: ['team/**'], may: [admin]}"), "whole registry"),
    "admin anonymous": (rule("{anonymous: true, repositories: ['**'], may: [pull, admin]}"), "whole registry"),
    "key twice": (rule("{users: [a], Users: [b], repositories: ['**'], may: [pull]}"), "also as 'users'"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_bad_documents(case: str) -> None:
    text, said = BAD[case]
    with pytest.raises((ConfigError, UnsupportedError), match=said) as caught:
        parse_rights(text.encode(), "r.yaml")
    assert str(caught.value).startswith("r.yaml:")


HOSTILE = {
    "too many rules": f"{HEAD}rights: [{','.join(['{users: [a], repositories: [b], may: [pull]}'] * 1001)}]".encode(),
    "too large": b"#" * ((1 << 20) + 1),
    "too deep": f"{HEAD}rights: {'[' * 40}{']' * 40}".encode(),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_documents(case: str) -> None:
    with pytest.raises(LimitError):
        parse_rights(HOSTILE[case], "r.yaml")


def test_more_patterns_than_re2_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    patterns = [f"{'-'.join('*' * 60)}{number}" for number in range(6000)]
    document = f"{HEAD}rights: [{{users: [a], may: [pull], repositories: {patterns}}}]"
    with pytest.raises(ConfigError, match=r"r.yaml:3: rights\[0\].repositories: too many patterns"):
        parse_rights(document.encode(), "r.yaml")


def test_text_stays_text(tmp_path: Path) -> None:
    path = tmp_path / "rights.yaml"
    path.write_text(rule("{users: [007, no], repositories: [1.10], may: [pull]}"))
    rights = Rights.open(path)
    assert rights.may("007", PULL, "1.10")
    assert rights.may("no", PULL, "1.10")
    assert not rights.may("7", PULL, "1.10")


def test_users_without_a_password(file: Path) -> None:
    rights = Rights.open(file)
    rights.check_users({"ann", "bob", "writer", "root"}, of="site.htpasswd")
    with pytest.raises(
        ConfigError, match=r"rights.yaml:4: rights\[0\].users\[1\]: user 'bob' has no password in s"
    ) as e:
        rights.check_users({"ann", "bobby", "writer", "root"}, of="site.htpasswd")
    assert "did you mean `bobby`?" in e.value.hint


def test_a_change_counts_at_once(file: Path) -> None:
    rights = Rights.open(file)
    assert not rights.may("eve", PUSH, "a")
    file.write_text(rule("{users: [eve], repositories: ['**'], may: [push]}"))
    assert rights.may("eve", PUSH, "a")
    assert not rights.may("ann", PULL, "team/app")


def test_a_broken_change_counts_for_nothing(file: Path, caplog: pytest.LogCaptureFixture) -> None:
    rights = Rights.open(file)
    file.write_text("rights: [")
    for _ in range(3):
        assert rights.may("ann", PULL, "team/app")
    file.unlink()
    assert rights.may("ann", PULL, "team/app")
    assert [record.levelname for record in caplog.records] == ["ERROR", "ERROR"]
    assert "rights.yaml:" in caplog.text
    assert "does not exist; what it said before stays in force" in caplog.text


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(BundlerError, match=r"file of rights: .*nowhere\.yaml does not exist"):
        Rights.open(os.fspath(tmp_path / "nowhere.yaml"))
