"""Opening the ends of a copy by name, with the credentials and settings that belong to each."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest

from bundler.errors import ConfigError, NotFoundError, UnsupportedError
from bundler.journey.access import Access, Surroundings
from bundler.journey.ends import Ends, check_one_origin
from bundler.oci.reference import parse_reference
from bundler.selection.settings import RegistrySettings
from bundler.transports.docker.credentials import Credentials
from bundler.transports.docker.registries_conf import endpoints
from bundler.transports.docker.repository import Repository
from tests.images import write_layout
from tests.workshop import IMAGES, WEB

ANN = Credentials("ann", "s3cret")


def credentials(ends: Ends, name: str) -> Credentials | None:
    return ends.credentials(parse_reference(name))


def settings(ends: Ends, name: str) -> object:
    return ends.repository(parse_reference(name))._client.settings


# Sources


def test_one_registry_and_one_layout_for_a_run(tmp_path: Path) -> None:
    write_layout(tmp_path / "layout", IMAGES)
    with Ends(Access(), base=tmp_path) as ends:
        first, name = ends.source("docker://reg.io/a:1")
        assert name == "1"
        assert isinstance(first, Repository)
        assert ends.source("reg.io/a:2") == (first, "2")
        other, digest = ends.source(f"docker://reg.io/b:1@{WEB.root.digest}")
        assert digest == WEB.root.digest
        assert other is not first
        assert other._client is first._client  # type: ignore[attr-defined]  # both are repositories
        layout, held = ends.source("oci:layout:reg.io/team/web:1.0")
        assert layout.resolve(held).digest == WEB.root.digest
        assert ends.source("oci:layout")[0] is layout


def test_relative_paths_start_where_the_manifest_lies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_layout(tmp_path / "site" / "layout", IMAGES)
    monkeypatch.chdir("/")
    assert Ends(Access(), base=tmp_path / "site").source("oci:layout")[0]
    assert Ends(Access(), base=Path("/nowhere")).source(f"oci:{tmp_path}/site/layout")[0]


@pytest.mark.parametrize("name", ["dir:x", "oci:x", "oci-archive:x.tar", "docker-archive:x.tar:a/b:1"])
def test_files_that_are_not_there(name: str, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError):
        Ends(Access(), base=tmp_path).source(name)


def test_a_bundle_needs_somebody_to_trust(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="nothing says whose bundles to trust"):
        Ends(Access(), base=tmp_path).source("bundle:out:library/nginx:1")


# Credentials: the command line overrules the document, which overrules auth files


def test_where_credentials_come_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    auth = base64.b64encode(b"bob:from file").decode()
    (tmp_path / "auth.json").write_text(json.dumps({"auths": {"reg.io": {"auth": auth}}}))
    said = {"reg.io": RegistrySettings(username="doc", password="ument")}
    file = Access(authfile=tmp_path / "auth.json")
    assert credentials(Ends(Access()), "reg.io/a") is None
    assert credentials(Ends(file), "reg.io/a") == Credentials("bob", "from file")
    assert credentials(Ends(file), "other.io/a") is None
    assert credentials(Ends(file, registries=said), "reg.io/a") == Credentials("doc", "ument")
    assert credentials(Ends(file, registries=said), "other.io/a") is None
    assert credentials(Ends(Access(credentials=ANN), registries=said), "reg.io/a") == ANN
    token = {"reg.io": RegistrySettings(identity_token="tok")}
    assert credentials(Ends(Access(), registries=token), "reg.io/a") == Credentials("", "", "tok")
    monkeypatch.setenv("REGISTRY_AUTH_FILE", str(tmp_path / "auth.json"))
    assert credentials(Ends(Access()), "reg.io/a") == Credentials("bob", "from file")


def test_secrets_are_not_shown() -> None:
    assert "s3cret" not in repr(Access(credentials=ANN))


def test_one_origin_is_enough_for_creds_and_two_are_too_many() -> None:
    access = Access(credentials=ANN)
    check_one_origin(access, ["a.io", "a.io"])
    check_one_origin(Access(), ["a.io", "b.io"])
    with pytest.raises(ConfigError, match=r"2 registries: a\.io, b\.io"):
        check_one_origin(access, ["b.io", "a.io", "b.io"])


# TLS


@pytest.mark.parametrize(
    ("access", "said", "verify"),
    [
        pytest.param(Access(), RegistrySettings(), True, id="nobody-said"),
        pytest.param(Access(), RegistrySettings(tls_verify=False), False, id="the-document"),
        pytest.param(
            Access(tls_verify=True), RegistrySettings(tls_verify=False), True, id="the-command-line-overrules"
        ),
        pytest.param(Access(tls_verify=False), RegistrySettings(tls_verify=True), False, id="either-way"),
    ],
)
def test_whether_certificates_are_checked(access: Access, said: RegistrySettings, verify: bool) -> None:
    ends = Ends(access, registries={"reg.io": said})
    assert settings(ends, "reg.io/a").tls_verify is verify  # type: ignore[attr-defined]  # Settings
    assert settings(Ends(access), "other.io/a").tls_verify is (access.tls_verify is not False)  # type: ignore[attr-defined]  # Settings


def test_which_certificates(tmp_path: Path) -> None:
    (tmp_path / "flag").mkdir()
    said = {"reg.io": RegistrySettings(cert_dir="certs")}
    (tmp_path / "certs").mkdir()
    assert settings(Ends(Access(), registries=said, base=tmp_path), "reg.io/a").cert_dir == tmp_path / "certs"  # type: ignore[attr-defined]  # Settings
    flag = Ends(Access(cert_dir=tmp_path / "flag"), registries=said, base=tmp_path)
    assert settings(flag, "reg.io/a").cert_dir == tmp_path / "flag"  # type: ignore[attr-defined]  # Settings


def test_no_registry_has_said_its_limit() -> None:
    ends = Ends(Access())
    ends.repository(parse_reference("reg.io/a"))
    assert ends.rate_limits() == {}


def test_ostree_is_gone() -> None:
    with pytest.raises(UnsupportedError, match="ostree") as caught:
        Ends(Access()).source("ostree:x@/repo")
    assert "2025" in caught.value.hint


def test_a_mirror_is_shown_no_credentials_that_were_given(tmp_path: Path) -> None:
    conf = tmp_path / "registries.conf"
    conf.write_text(
        '[[registry]]\nprefix = "a.example"\nlocation = "a.example"\n'
        '[[registry.mirror]]\nlocation = "mirror.example"\ninsecure = true\n'
    )
    ends = Ends(Access(credentials=ANN), surroundings=Surroundings(registries_conf=conf))
    reference = parse_reference("a.example/x:1")
    mirror, primary = endpoints(ends.config, reference)
    assert ends._at(reference, mirror)._credentials is None
    assert ends._at(reference, primary)._credentials == ANN


def test_a_short_name_without_a_transport_means_its_alias(tmp_path: Path) -> None:
    conf = tmp_path / "registries.conf"
    conf.write_text('[aliases]\n"nginx" = "reg.example/library/nginx"\n')
    ends = Ends(Access(), surroundings=Surroundings(registries_conf=conf))
    assert repository_name(ends.source("nginx:1")[0]) == "reg.example/library/nginx"
    assert ends.meant("nginx:1") == "docker://reg.example/library/nginx:1"
    assert ends.meant("docker://nginx:1") == "docker://nginx:1"
    assert repository_name(ends.source("docker://nginx:1")[0]) == "docker.io/library/nginx"


def repository_name(source: object) -> str:
    assert isinstance(source, Repository)
    return source.name
