from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bundler.errors import BundlerError, ConfigError, DiskError, LimitError
from bundler.transports.docker.authfile import Location, canonical_registry, locations, parse_authfile, read_authfile


def paths(**environ: str) -> list[Path]:
    return [location.path for location in locations(None, environ=environ, home=Path("/home/ann"))]


def test_look_up_order_with_xdg_directories() -> None:
    assert paths(XDG_RUNTIME_DIR="/run/user/7", XDG_CONFIG_HOME="/cfg", DOCKER_CONFIG="/dock") == [
        Path("/run/user/7/containers/auth.json"),
        Path("/cfg/containers/auth.json"),
        Path("/dock/config.json"),
        Path("/home/ann/.dockercfg"),
    ]


def test_look_up_order_with_nothing_set() -> None:
    assert paths() == [
        Path(f"/run/containers/{os.getuid()}/auth.json"),
        Path("/home/ann/.config/containers/auth.json"),
        Path("/home/ann/.docker/config.json"),
        Path("/home/ann/.dockercfg"),
    ]


def test_empty_variables_count_as_unset() -> None:
    assert paths(XDG_RUNTIME_DIR="", XDG_CONFIG_HOME="", DOCKER_CONFIG="", REGISTRY_AUTH_FILE="") == paths()


def test_only_the_last_place_has_the_legacy_form() -> None:
    found = list(locations(None, environ={}, home=Path("/h")))
    assert [location.legacy for location in found] == [False, False, False, True]
    assert not any(location.must_exist for location in found)


def test_a_named_file_is_the_only_one() -> None:
    named = Location(Path("/a.json"), must_exist=True)
    environ = {"XDG_RUNTIME_DIR": "/run/user/7", "REGISTRY_AUTH_FILE": "/b.json"}
    assert list(locations(Path("/a.json"), environ=environ, home=Path("/h"))) == [named]
    assert list(locations(None, environ={"REGISTRY_AUTH_FILE": "/a.json"}, home=Path("/h"))) == [named]


def keys_for(auths: dict[str, Any], registry: str, repository: str, *, legacy: bool = False) -> list[str]:
    document = auths if legacy else {"auths": auths}
    file = parse_authfile(json.dumps(document).encode(), what="f", legacy=legacy)
    return [fields.what.removeprefix("f: ") for fields in file.entries_for(registry, repository)]


CHOICES = {
    "registry": (["r.example", "s.example"], "r.example", "a/b", ["r.example"]),
    "port-belongs-to-the-name": (["r.example"], "r.example:5000", "a", []),
    "namespace-before-registry": (["r.example", "r.example/a"], "r.example", "a/b", ["r.example/a", "r.example"]),
    "repository-before-namespace": (
        ["r.example/a", "r.example/a/b", "r.example"],
        "r.example",
        "a/b",
        ["r.example/a/b", "r.example/a", "r.example"],
    ),
    "not-a-prefix-of-a-word": (["r.example/a"], "r.example", "ab", []),
    "not-a-deeper-repository": (["r.example/a/b"], "r.example", "a", []),
    "no-repository": (["r.example/a", "r.example"], "r.example", "", ["r.example"]),
    "hub-legacy-url": (["https://index.docker.io/v1/"], "docker.io", "library/x", ["https://index.docker.io/v1/"]),
    "hub-by-its-api-host": (["registry-1.docker.io"], "docker.io", "library/x", ["registry-1.docker.io"]),
    "hub-namespace": (["docker.io/acme", "docker.io"], "docker.io", "acme/x", ["docker.io/acme", "docker.io"]),
    "plain-name-before-url": (
        ["https://index.docker.io/v1/", "docker.io"],
        "docker.io",
        "a/b",
        ["docker.io", "https://index.docker.io/v1/"],
    ),
    "url-stands-for-its-host": (["https://r.example/v2/"], "r.example", "v2/b", ["https://r.example/v2/"]),
    "another-host-with-the-same-end": (["evil-r.example"], "r.example", "a", []),
    "host-inside-a-path": (["evil.example/r.example"], "r.example", "a", []),
}


@pytest.mark.parametrize(("keys", "registry", "repository", "wanted"), CHOICES.values(), ids=CHOICES)
def test_which_entry_is_whose(keys: list[str], registry: str, repository: str, wanted: list[str]) -> None:
    assert keys_for({key: {} for key in keys}, registry, repository) == wanted


def test_legacy_entries_stand_for_hosts() -> None:
    auths: dict[str, Any] = {"https://r.example/v1/": {}, "s.example/v1/": {}}
    assert keys_for(auths, "r.example", "a", legacy=True) == ["https://r.example/v1/"]
    assert keys_for(auths, "s.example", "v1", legacy=True) == ["s.example/v1/"]


PART = st.from_regex(r"[a-z]{1,3}", fullmatch=True)


@given(st.lists(st.lists(PART, min_size=1, max_size=3), max_size=6), st.lists(PART, min_size=1, max_size=3))
def test_entries_are_prefixes_and_come_longest_first(keys: list[list[str]], repository: list[str]) -> None:
    path = ["r.example", *repository]
    auths: dict[str, Any] = {"/".join(["r.example", *key[1:]]): {} for key in keys}
    found = [key.split("/") for key in keys_for(auths, "r.example", "/".join(repository))]
    assert all(path[: len(key)] == key for key in found)
    assert [len(key) for key in found] == sorted((len(key) for key in found), reverse=True)
    assert len(found) == sum(path[: len(key.split("/"))] == key.split("/") for key in auths)


def test_unknown_keys_and_nulls_are_left_alone() -> None:
    file = parse_authfile(b'{"auths": null, "currentContext": "x", "psFormat": {"a": [1]}}', what="f")
    assert not file.entries
    assert file.store == ""
    assert file.helper("r.example") == ""


def test_helpers_are_for_whole_registries() -> None:
    document = {"credHelpers": {"r.example": "pass", "https://index.docker.io/v1/": "hub"}, "credsStore": "all"}
    file = parse_authfile(json.dumps(document).encode(), what="f")
    assert (file.helper("r.example"), file.helper("docker.io"), file.helper("s.example")) == ("pass", "hub", "")
    assert file.store == "all"


def test_repr_shows_no_entries() -> None:
    file = parse_authfile(b'{"auths": {"r": {"auth": "c2VjcmV0"}}}', what="f")
    assert "c2VjcmV0" not in repr(file)


DAMAGED: dict[str, bytes] = {
    "empty": b"",
    "cut": b'{"auths": {"r": {"auth": "YTpi"}',
    "not-an-object": b"[]",
    "auths-a-list": b'{"auths": []}',
    "helpers-a-list": b'{"credHelpers": []}',
    "helper-a-number": b'{"credHelpers": {"r": 1}}',
    "store-a-list": b'{"credsStore": []}',
    "key-twice": b'{"auths": {"r": {}, "r": {}}}',
    "key-in-two-cases": b'{"auths": {}, "Auths": {}}',
    "trailing-data": b"{} {}",
    "byte-order-mark": b"\xef\xbb\xbf{}",
    "not-utf-8": b'{"auths": {"\xff": {}}}',
}


@pytest.mark.parametrize("raw", DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_file_is_an_error_that_names_it(tmp_path: Path, raw: bytes) -> None:
    path = tmp_path / "auth.json"
    path.write_bytes(raw)
    with pytest.raises(ConfigError) as caught:
        read_authfile(Location(path))
    assert str(path) in str(caught.value)
    assert caught.value.hint


def test_a_huge_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "auth.json"
    path.write_bytes(b" " * ((1 << 20) + 1))
    with pytest.raises(LimitError, match=r"auth\.json"):
        read_authfile(Location(path))


def test_a_missing_file_is_an_error_only_if_named(tmp_path: Path) -> None:
    (tmp_path / "plain").touch()
    for path in (tmp_path / "no.json", tmp_path / "plain" / "auth.json"):
        assert read_authfile(Location(path)) is None
        with pytest.raises(ConfigError, match="no such credentials file"):
            read_authfile(Location(path, must_exist=True))


def test_a_directory_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="can't be read"):
        read_authfile(Location(tmp_path))


FAILURES: dict[str, tuple[OSError, type[BundlerError]]] = {
    "no-permission": (PermissionError(13, "Permission denied"), ConfigError),
    "bad-disk": (OSError(5, "Input/output error"), DiskError),
}


@pytest.mark.parametrize(("problem", "kind"), FAILURES.values(), ids=FAILURES)
def test_an_unreadable_file_is_never_skipped(
    monkeypatch: pytest.MonkeyPatch, problem: OSError, kind: type[BundlerError]
) -> None:
    def fail(*_: Any) -> None:
        raise problem

    monkeypatch.setattr(Path, "open", fail)
    with pytest.raises(kind, match=r"/secret/auth\.json"):
        read_authfile(Location(Path("/secret/auth.json")))


def test_hub_has_one_name() -> None:
    assert canonical_registry("index.docker.io") == canonical_registry("docker.io") == "docker.io"
    assert canonical_registry("r.example:5000") == "r.example:5000"
