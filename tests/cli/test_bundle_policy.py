"""What else takes images out of a bundle obeys the site's trust.yaml as well: copy, sync, pull, and serving it.

One policy lets in one of the bundle's four images, ``team/api``; each command is tried with it, and with what it refuses.
"""

from __future__ import annotations

import sys
import urllib.error
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from bundler.journey.rooting import pin
from tests.cli.terminal import ROOT, Terminal
from tests.cli.test_registry import get, serving
from tests.peers import attempt
from tests.trust.roots import trusted_root
from tests.workshop import API, WEB, Workshop, key, write_manifest

BY = ("--bundle-key", "release.pub")
STRICT = "- {match: 'oci:upstream:reg.io/team/api', nothing: true}\n- {match: '**', cosign: {keys: [release.pub]}}\n"
OPEN = "- {match: '**', nothing: true}\n"


def policy(folder: Path, name: str, rules: str) -> str:
    (folder / name).write_text(f"apiVersion: bundler/v1\nkind: TrustPolicy\nimages:\n{rules}")
    return name


@pytest.fixture
def built(place: Workshop) -> Workshop:
    """The bundle ``out``, policies ``strict.yaml`` and ``open.yaml``, and a site that has the strict one."""
    place.build()
    policy(place.folder, "strict.yaml", STRICT)
    policy(place.folder, "open.yaml", OPEN)
    root = trusted_root(targets=(key("release"),), threshold=1)
    (place.folder / "root").write_bytes(root.raw)
    pin(place.folder / "site", place.folder / "root", root.fingerprint)
    policy(place.folder / "site", "trust.yaml", STRICT)
    (place.folder / "site" / "release.pub").write_bytes((place.folder / "release.pub").read_bytes())
    return place


GIVEN = [("--bundle-trust", "site"), (*BY, "--bundle-policy", "strict.yaml")]


@pytest.mark.parametrize("given", GIVEN, ids=["site", "file"])
@pytest.mark.parametrize(
    "name", ["team/web:1.0", "oci:upstream:reg.io/team/web:1.0", WEB.root.digest, "team/multi:3.0"]
)
def test_copy_of_an_image_that_is_refused(
    built: Workshop, bundler: Terminal, given: tuple[str, ...], name: str
) -> None:
    said = bundler("copy", f"bundle:out:{name}", "oci:far:x", *given, expect=17)
    assert "not let in by the trust policy" in said.err
    assert "no cosign signature by key" in said.err
    assert "nothing is attached" in said.err
    assert not (built.folder / "far").exists()


@pytest.mark.parametrize("given", [*GIVEN, BY, (*BY, "--bundle-policy", "open.yaml")])
def test_copy_of_an_image_that_is_let_in(built: Workshop, bundler: Terminal, given: tuple[str, ...]) -> None:
    assert API.root.digest in bundler("copy", "bundle:out:team/api:2.0", "oci:far:x", *given).err


def test_a_policy_given_by_hand_stands_in_for_the_site_s(built: Workshop, bundler: Terminal) -> None:
    bundler("copy", "bundle:out:team/web:1.0", "oci:far:x", "--bundle-trust", "site", "--bundle-policy", "open.yaml")


@pytest.mark.parametrize("given", GIVEN, ids=["site", "file"])
def test_sync(built: Workshop, bundler: Terminal, given: tuple[str, ...]) -> None:
    said = bundler("sync", "--src", "bundle", "--dest", "oci", "out", "far", *given, expect=17)
    assert "not let in by the trust policy: oci:upstream:reg.io/team/" in said.err
    assert not (built.folder / "far").exists()
    bundler("sync", "--src", "bundle", "--dest", "oci", "--keep-going", "out", "far", *given, expect=17)
    assert bundler("list-tags", "oci:far").out.count("team/") == 0
    assert '"api:2.0"' in bundler("list-tags", "oci:far").out
    bundler("sync", "--src", "bundle", "--dest", "oci", "out", "open", *BY, "--bundle-policy", "open.yaml")


def test_inspect(built: Workshop, bundler: Terminal) -> None:
    bundler("inspect", "bundle:out:team/web:1.0", *GIVEN[1], expect=17)
    bundler("inspect", "bundle:out:team/api:2.0", *GIVEN[1])
    assert "team/web:1.0" in bundler("list-tags", "bundle:out", *GIVEN[1]).out


def test_a_foreign_channel(built: Workshop, bundler: Terminal) -> None:
    policy(built.folder, "other.yaml", OPEN)
    text = (built.folder / "other.yaml").read_text()
    (built.folder / "other.yaml").write_text(f"channels: [lts]\n{text}")
    options = (*BY, "--bundle-policy", "other.yaml")
    assert (
        "takes no bundles of the channel"
        in bundler("copy", "bundle:out:team/api:2.0", "oci:far:x", *options, expect=17).err
    )
    said = not_served(built.folder, "out", "--key", "release.pub", "--policy", "other.yaml")
    assert "takes no bundles of the channel" in said


@pytest.mark.parametrize("command", ["lock", "plan", "pull", "build"])
def test_a_bundle_that_is_pulled_from(built: Workshop, bundler: Terminal, command: str) -> None:
    write_manifest(built.folder, "  - bundle:out:team/web:1.0\n", name="again.yaml")
    options = {"build": ("-o", "new", "--store", "other", "--key", "release.key"), "pull": ("--store", "other")}
    said = bundler(command, "again.yaml", *options.get(command, ()), *GIVEN[1], expect=17)
    assert "reg.io/team/web" in said.err
    for left in ("again.lock.json", "new", "other"):
        assert not (built.folder / left).exists()


def test_a_lock_is_no_way_round(built: Workshop, bundler: Terminal) -> None:
    """It holds the digest already, so nobody asks the bundle for the name again."""
    write_manifest(built.folder, "  - bundle:out:team/web:1.0\n", name="again.yaml")
    bundler("lock", "again.yaml", *BY)
    said = bundler("pull", "again.yaml", "--store", "other", *GIVEN[1], expect=17)
    assert "reg.io/team/web" in said.err
    assert "reg.io" not in bundler("store", "ls", "--store", "other").out
    bundler("pull", "again.yaml", "--store", "other", *BY)


# registry serve


def not_served(folder: Path, *arguments: str, env: Mapping[str, str] | None = None) -> str:
    """What the command says that must end by itself, before it serves anything; a process, so that it can't go on for ever."""
    command = (sys.executable, "-m", "bundler", "registry", "serve", *arguments, "--listen", "127.0.0.1:0")
    done = attempt(*command, cwd=folder, env={"PYTHONPATH": str(ROOT), **(env or {})}, timeout=60)
    assert done.returncode == 17, done.stderr
    assert " at http" not in done.stderr
    return done.stderr


@contextmanager
def served(folder: Path, *options: str) -> Iterator[str]:
    with serving(folder, "out", "--key", "release.pub", *options) as (url, _):
        yield url


@pytest.mark.parametrize(
    "options", [("--trust", "site"), ("--key", "release.pub", "--policy", "strict.yaml")], ids=["site", "file"]
)
def test_nothing_is_served_of_a_bundle_that_is_refused(built: Workshop, options: tuple[str, ...]) -> None:
    assert "3 of 4 images are not let in" in not_served(built.folder, "local", "out", *options)
    assert not (built.folder / "local").exists()


def test_a_bundle_that_is_let_in_is_served(built: Workshop) -> None:
    with served(built.folder, "--policy", "open.yaml") as url:
        assert get(f"{url}/v2/team/web/manifests/1.0") == WEB.raw


def test_the_policy_of_the_environment(built: Workshop) -> None:
    assert "not let in" in not_served(
        built.folder, "out", "--key", "release.pub", env={"BUNDLER_TRUST_POLICY": "strict.yaml"}
    )


def test_names_that_no_rule_was_asked_about_lead_nowhere(place: Workshop) -> None:
    """A rule by target is about the name at this registry, so an image's own full name is none here."""
    write_manifest(place.folder, "  - image: oci:upstream:reg.io/team/web:1.0\n    as: evil.io/library/nginx\n")
    place.build()
    rules = "- {match: '**', target: 'library/**', cosign: {keys: [release.pub]}}\n- {match: '**', nothing: true}\n"
    policy(place.folder, "targets.yaml", rules)
    with served(place.folder, "--policy", "targets.yaml") as url:
        assert get(f"{url}/v2/evil.io/library/nginx/manifests/1.0") == WEB.raw
        with pytest.raises(urllib.error.HTTPError, match="404"):
            get(f"{url}/v2/library/nginx/manifests/1.0")
    with served(place.folder) as url:
        assert get(f"{url}/v2/library/nginx/manifests/1.0") == WEB.raw
