"""Where policy.json and registries.d are looked for, and what becomes of them when they are broken."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from bundler.content import silent
from bundler.errors import BundlerError, ConfigError
from bundler.journey import signature_rules
from bundler.journey.access import Surroundings
from bundler.journey.signature_rules import KeyFiles, SignatureRules, load_policy, load_registries_d
from bundler.oci.reference import parse_reference
from bundler.transports.docker.settings import Settings
from bundler.trust.clock import BUILD

REJECT = '{"default": [{"type": "reject"}]}'
APP = parse_reference("r.example/app:1")


@pytest.fixture
def system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """In place of /etc/containers."""
    monkeypatch.setattr(signature_rules, "SYSTEM", tmp_path / "etc")
    (tmp_path / "etc").mkdir()
    return tmp_path / "etc"


@pytest.fixture
def user(tmp_path: Path) -> Path:
    folder = tmp_path / ".config/containers"
    folder.mkdir(parents=True)
    return folder


def _source(given: Surroundings, home: Path) -> str | None:
    found = load_policy(given, home=home)
    return None if found is None else found.source


def test_the_policy_that_is_nearest(tmp_path: Path, system: Path, user: Path) -> None:
    assert _source(Surroundings(), tmp_path) is None
    for place in (system / "policy.json", user / "policy.json", tmp_path / "given.json"):
        place.write_text(REJECT)
        given = Surroundings(policy=place if place.name == "given.json" else None)
        assert _source(given, tmp_path) == str(place)
    assert _source(Surroundings(insecure_policy=True), tmp_path) is None


@pytest.mark.parametrize("broken", ["", "{}", "link", "folder"])
def test_a_policy_that_cant_be_read_is_no_absent_one(broken: str, tmp_path: Path, system: Path, user: Path) -> None:
    (system / "policy.json").write_text(REJECT.replace("reject", "insecureAcceptAnything"))
    place = user / "policy.json"
    if broken == "link":
        place.symlink_to(tmp_path / "gone")
    elif broken == "folder":
        place.mkdir()
    else:
        place.write_text(broken)
    with pytest.raises(ConfigError, match=r"policy"):
        load_policy(Surroundings(), home=tmp_path)
    with pytest.raises(ConfigError, match=r"missing\.json"):
        load_policy(Surroundings(policy=tmp_path / "missing.json"), home=tmp_path)


def test_the_registries_d_that_is_nearest(tmp_path: Path, system: Path, user: Path) -> None:
    assert load_registries_d(None, home=tmp_path).lookaside(APP) == ""
    for place in (system / "registries.d", user / "registries.d", tmp_path / "given"):
        place.mkdir()
        (place / "x.yaml").write_text(f"default-docker: {{lookaside: 'file://{place}'}}")
        (place / "x.yml").write_text("not read: [")
        given = place if place.name == "given" else None
        assert load_registries_d(given, home=tmp_path).lookaside(APP) == f"file://{place}"


@pytest.mark.parametrize("broken", ["file", "missing", "yaml", "many"])
def test_a_broken_registries_d(broken: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signature_rules, "MOST_FILES", 2)
    place = tmp_path / "given"
    if broken == "file":
        place.write_text("")
    elif broken != "missing":
        place.mkdir()
        for n in range(3 if broken == "many" else 1):
            (place / f"{n}.yaml").write_text("{" if broken == "yaml" else "")
    with pytest.raises(ConfigError, match="given"):
        load_registries_d(place, home=tmp_path)


def test_both_are_read_once_and_late(tmp_path: Path, system: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (system / "policy.json").write_text(REJECT)
    rules = SignatureRules(Surroundings(), lambda _: Settings(), silent)
    policy, lookaside = rules.policy, rules.lookaside
    (system / "policy.json").write_text("broken")
    assert (rules.policy, rules.lookaside) == (policy, lookaside)
    assert rules.policy is not None
    rules.close()


def test_key_files_are_read_once(tmp_path: Path) -> None:
    keys = KeyFiles()
    (tmp_path / "k").write_bytes(b"one")
    assert keys.read(str(tmp_path / "k")) == b"one"
    (tmp_path / "k").write_bytes(b"two")
    assert keys.read(str(tmp_path / "k")) == b"one"
    with pytest.raises(BundlerError, match="gone"):
        keys.read(str(tmp_path / "gone"))
    with pytest.raises(ConfigError, match="no key"):
        keys.opened(b"\xa3", [])


def test_a_clock_that_was_set_back_makes_no_certificate_valid_again(monkeypatch: pytest.MonkeyPatch) -> None:
    for clock, known in (
        (datetime(1970, 1, 1, tzinfo=UTC), BUILD),
        (BUILD.replace(year=2099), BUILD.replace(year=2099)),
    ):

        class Stopped(datetime):
            @classmethod
            def now(cls, tz: Any = None, clock: datetime = clock) -> Any:
                return clock.astimezone(tz)

        monkeypatch.setattr(signature_rules, "datetime", Stopped)
        assert KeyFiles().now() == known
