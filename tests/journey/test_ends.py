"""Opening the ends of a copy by name, with the credentials and settings that belong to each."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest

from bundler.content import Durable, Mounter, verified
from bundler.errors import ConfigError, LockedError, NotFoundError, UnsupportedError
from bundler.journey.ends import Access, Destination, Ends, check_one_origin, unsupported
from bundler.oci.reference import parse_reference
from bundler.selection.settings import RegistrySettings
from bundler.store import Store
from bundler.transports.docker.credentials import Credentials
from bundler.transports.docker.repository import Repository
from tests.images import Image, image, layer, write_layout
from tests.workshop import IMAGES, WEB

ANN = Credentials("ann", "s3cret")


def credentials(ends: Ends, name: str) -> Credentials | None:
    return ends._credentials(parse_reference(name))


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


@pytest.mark.parametrize(
    "name", ["dir:x", "docker-daemon:x:1", "oci-archive:x.tar", "containers-storage:x", "ostree:x"]
)
def test_sources_that_are_not_read(name: str) -> None:
    with pytest.raises(UnsupportedError, match="does not read images from this transport") as caught:
        Ends(Access()).source(name)
    assert ("2025" in caught.value.hint) == name.startswith("ostree")


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


# Destinations


@pytest.mark.parametrize(
    ("place", "name", "prefix"),
    [
        ("docker://far.example:5000", "far.example:5000", ""),
        ("docker://far.example:5000/", "far.example:5000", ""),
        ("docker://far.example/site/a", "far.example", "site/a"),
        ("docker://localhost/", "localhost", ""),
        ("far.example", "far.example", ""),
    ],
)
def test_a_registry_with_a_prefix(place: str, name: str, prefix: str) -> None:
    destination = Destination(place, Ends(Access()))
    assert (destination.name, destination.prefix) == (name, prefix)
    target = destination.target("library/nginx")
    assert isinstance(target, Mounter)
    assert not isinstance(target, Durable)
    with destination.at_work():
        destination.keep([("library/nginx", WEB.root)])


@pytest.mark.parametrize(
    ("place", "error"),
    [
        ("docker://", ConfigError),
        ("docker:///site", ConfigError),
        ("docker://far.example/UPPER", ConfigError),
        ("docker://far.example//x", ConfigError),
        ("docker:far.example", ConfigError),
        ("oci:", ConfigError),
        ("oci:somewhere:name", ConfigError),
        ("s3://bucket", ConfigError),
        ("dir:x", UnsupportedError),
        ("docker-daemon:x", UnsupportedError),
    ],
)
def test_places_that_are_none(
    place: str, error: type[Exception], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(error):
        Destination(place, Ends(Access()))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("place", ["docker://user@far.example", "docker://far.example:99999999", "docker://fa r"])
def test_hosts_that_are_none(place: str) -> None:
    with pytest.raises(ConfigError):
        Destination(place, Ends(Access())).target("a")


def put(destination: Destination, repository: str, held: Image) -> None:
    target = destination.target(repository)
    for part in held.parts:
        assert not target.has(part.descriptor)
        target.push(part.descriptor, verified(part.descriptor, [part.raw]))


def test_a_layout_names_images_by_repository(tmp_path: Path) -> None:
    destination = Destination(f"oci:{tmp_path / 'far'}", Ends(Access()))
    target = destination.target("team/web")
    with destination.at_work():
        put(destination, "team/web", WEB)
        for name in ("1.0", WEB.root.digest):
            with pytest.raises(NotFoundError):
                target.resolve(name)  # type: ignore[attr-defined]  # a Shelf
        target.tag("1.0", WEB.root)
        destination.keep([("team/web", WEB.root)])
        assert isinstance(target, Durable)
        target.flush()
    for name in ("1.0", WEB.root.digest):
        assert target.resolve(name).digest == WEB.root.digest  # type: ignore[attr-defined]  # a Shelf
    names = [name for name, _ in Store.open(str(tmp_path / "far")).images()]
    assert names == ["team/web:1.0", f"team/web@{WEB.root.digest}"]


def test_what_has_no_tag_survives_gc(tmp_path: Path) -> None:
    destination = Destination(f"oci:{tmp_path / 'far'}", Ends(Access()))
    with destination.at_work():
        put(destination, "team/web", WEB)
        destination.keep([("team/web", WEB.root)])
    store = Store.open(str(tmp_path / "far"))
    assert store.gc().blobs == ()
    assert store.has(WEB.root)


def test_a_layout_is_not_collected_during_a_push(tmp_path: Path) -> None:
    destination = Destination(f"oci:{tmp_path / 'far'}", Ends(Access()))
    store = Store.open(str(tmp_path / "far"))
    with destination.at_work(), pytest.raises(LockedError):
        store.gc()
    store.gc()


def test_the_hint_of_what_is_not_supported() -> None:
    assert "OCI layout" in unsupported("dir", "read images from").hint
    assert image(layer("x", 10)).root.is_manifest
