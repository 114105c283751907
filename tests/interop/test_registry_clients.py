"""Other people's clients against ``bundler registry serve``: a table of clients and of what each can do.

Each client runs against a registry behind TLS with a user (``tls``) and against one without either (``plain``), deletion
allowed in both. What one client did is seen through another's eyes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.authority import Authority
from tests.clients import (
    CLIENTS,
    FORBIDDEN,
    NOT_THERE,
    REFUSED,
    Oras,
    Place,
    Regctl,
    Skopeo,
    below,
    content_of,
    logged_in,
    refusal,
)
from tests.images import Image, artifact, family, image, layer
from tests.peers import demand, needs, podman, run
from tests.relay import layers, uploaded, watched
from tests.serving import PASSWORD, USER, Site, guarded, serving

pytestmark = pytest.mark.slow

FAMILY = family(size=5000)
WEB, MULTI = FAMILY["web"], FAMILY["multi"]
KINDS = {**FAMILY, "sbom": artifact(b"{}")}  # oras copies no artifact out of a layout that lacks its subject

PLAIN = pytest.mark.parametrize("place", ["plain"], indirect=True)
"""For tests that read what goes by, or that one place is enough for."""

TLS = pytest.mark.parametrize("place", ["tls"], indirect=True)
"""For tests of who may do what."""


def table(*names: str) -> pytest.MarkDecorator:
    """One case for each client, which it needs: all of them, or these."""
    cases = [pytest.param(name, id=name, marks=needs(name)) for name in names or CLIENTS]
    return pytest.mark.parametrize("client", cases, indirect=True)


@pytest.fixture(scope="module", params=["tls", "plain"])
def place(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """A registry with deletion, and a home that is logged in to it."""
    work = tmp_path_factory.mktemp(request.param)
    with open_site(work, request.param) as site:
        yield Place(site, logged_in(work / "home", site))


@contextmanager
def open_site(work: Path, kind: str) -> Iterator[Site]:
    if kind == "plain":
        with serving(work / "store", "--allow-delete", work=work) as site:
            yield site
    else:
        authority = Authority.create(work / "ca")
        with guarded(work / "store", "--allow-delete", work=work, authority=authority) as site:
            yield site


@pytest.fixture
def client(request: pytest.FixtureRequest, place: Place) -> Any:
    return CLIENTS[request.param](place)


@pytest.fixture
def other(request: pytest.FixtureRequest, client: Any, place: Place) -> Any:
    """Another client than the one that acts."""
    name = "crane" if isinstance(client, Skopeo) else "skopeo"
    demand(name)
    return CLIENTS[name](place)


@pytest.fixture
def repository(request: pytest.FixtureRequest) -> str:
    """A repository of this test's own."""
    return "clients/" + re.sub(r"[^a-z0-9]+", "-", request.node.name.removeprefix("test_").lower()).strip("-")


def push(place: Place, held: Image, name: str, work: Path) -> None:
    """Something for a client to work on, put there by the first client that is at hand."""
    demand("skopeo")
    Skopeo(place).push(held, name, work)


class TestContents:
    """What goes in comes out."""

    @table()
    @pytest.mark.parametrize("kind", KINDS)
    def test_push_and_pull(self, client: Any, other: Any, repository: str, kind: str, tmp_path: Path) -> None:
        held = KINDS[kind]
        client.push(held, f"{repository}:1", tmp_path)
        assert client.digest(f"{repository}:1") == held.root.digest
        assert other.digest(f"{repository}:1") == held.root.digest
        client.pull(f"{repository}:1", tmp_path / "pulled")
        assert content_of(tmp_path / "pulled").items() >= below(held).items()

    @table()
    def test_a_second_push_is_taken(self, client: Any, repository: str, tmp_path: Path) -> None:
        for attempt_number in ("first", "second"):
            (tmp_path / attempt_number).mkdir()
            client.push(MULTI, f"{repository}:1", tmp_path / attempt_number)
        assert client.tags(repository) == ["1"]

    @table()
    def test_a_tag_moves(self, client: Any, other: Any, repository: str, tmp_path: Path) -> None:
        for kind in ("web", "zstd"):
            (tmp_path / kind).mkdir()
            client.push(FAMILY[kind], f"{repository}:latest", tmp_path / kind)
            assert other.digest(f"{repository}:latest") == FAMILY[kind].root.digest
        assert other.digest(f"{repository}@{WEB.root.digest}") == WEB.root.digest


class TestLists:
    """Tags, repositories and configs."""

    @table()
    def test_tags(self, client: Any, repository: str, tmp_path: Path) -> None:
        push(client.place, WEB, f"{repository}:b", tmp_path)
        for tag in ("c", "a"):
            client.copy(f"{repository}:b", f"{repository}:{tag}")
        assert sorted(client.tags(repository)) == ["a", "b", "c"]

    @table("regctl")
    def test_tags_by_pages(self, client: Any, repository: str, tmp_path: Path) -> None:
        push(client.place, WEB, f"{repository}:b", tmp_path)
        for tag in ("a", "c", "d"):
            client.copy(f"{repository}:b", f"{repository}:{tag}")
        assert client.some_tags(repository, limit=2, last="a") == ["b", "c"]

    @table("crane", "regctl", "oras")
    def test_repositories(self, client: Any, repository: str, tmp_path: Path) -> None:
        push(client.place, WEB, f"{repository}/below:1", tmp_path)
        assert f"{repository}/below" in client.repositories()

    @table()
    def test_config(self, client: Any, repository: str, tmp_path: Path) -> None:
        push(client.place, WEB, f"{repository}:1", tmp_path)
        assert client.config(f"{repository}:1")["config"]["Labels"] == {"is": "web"}

    @table()
    def test_what_is_not_there(self, client: Any, repository: str, tmp_path: Path) -> None:
        assert NOT_THERE.search(refusal(lambda: client.digest(f"{repository}:1")))
        push(client.place, WEB, f"{repository}:1", tmp_path)
        assert NOT_THERE.search(refusal(lambda: client.digest(f"{repository}:2")))
        assert NOT_THERE.search(refusal(lambda: client.digest(f"{repository}@{MULTI.root.digest}")))


class TestMounts:
    """A copy within the registry sends no layer again."""

    @PLAIN
    @table()
    def test_no_layer_is_sent_twice(self, client: Any, place: Place, repository: str, tmp_path: Path) -> None:
        with watched(place) as (through, requests):
            mine = type(client)(through)
            # of its own: what any repository has already needs no upload either
            held = image(layer(f"{repository} 1", 3000), layer(f"{repository} 2", 3000))
            mine.push(held, f"{repository}/from:1", tmp_path)
            assert set(layers(held)) <= set(uploaded(requests))
            requests.clear()
            mine.copy(f"{repository}/from:1", f"{repository}/to:1")
        assert not set(layers(held)) & set(uploaded(requests))
        assert client.digest(f"{repository}/to:1") == held.root.digest


class TestReferrers:
    """Signatures, SBOMs and the like, that are found by what they are about."""

    @table("regctl", "oras")
    def test_attach_and_list(self, client: Any, place: Place, repository: str, tmp_path: Path) -> None:
        push(place, MULTI, f"{repository}:1", tmp_path)
        for number, kind in enumerate(("application/vnd.example.sbom", "application/vnd.example.scan")):
            client.attach(f"{repository}:1", kind, f"content {number}", tmp_path)
        reader = CLIENTS["oras" if isinstance(client, Regctl) else "regctl"](place)
        for each in (client, reader):
            found = each.referrers(f"{repository}:1")
            assert [kind for kind, _ in found] == ["application/vnd.example.sbom", "application/vnd.example.scan"]
            assert each.referrers(f"{repository}:1", "application/vnd.example.scan") == found[1:]
            assert each.referrers(f"{repository}:1", "application/vnd.example.other") == []
        # a client that finds no referrers API keeps a tag sha256-… instead
        assert client.tags(repository) == ["1"]

    @table("regctl", "oras")
    def test_copy_with_referrers(self, client: Any, place: Place, repository: str, tmp_path: Path) -> None:
        push(place, WEB, f"{repository}/from:1", tmp_path)
        client.attach(f"{repository}/from:1", "application/vnd.example.sbom", "first", tmp_path)
        found = client.referrers(f"{repository}/from:1")
        client.attach(
            f"{repository}/from@{found[0][1]}", "application/vnd.example.signature", "its signature", tmp_path
        )
        client.copy_with_referrers(f"{repository}/from:1", f"{repository}/to:1")
        assert client.referrers(f"{repository}/to:1") == found
        assert [kind for kind, _ in client.referrers(f"{repository}/to@{found[0][1]}")] == [
            "application/vnd.example.signature"
        ]

    @needs("regctl", "oras")
    @table("skopeo", "crane", "regctl")
    def test_pushed_before_what_it_is_about(self, client: Any, place: Place, repository: str, tmp_path: Path) -> None:
        early = artifact(b"early", subject=WEB, artifact_type="application/vnd.example.early")
        for held, tag in ((early, "early"), (WEB, "web")):
            (tmp_path / tag).mkdir()
            client.push(held, f"{repository}:{tag}", tmp_path / tag)
        for reader in (Regctl(place), Oras(place)):
            assert reader.referrers(f"{repository}:web") == [("application/vnd.example.early", early.root.digest)]

    @table("regctl", "oras")
    def test_a_repository_of_its_own(self, client: Any, place: Place, repository: str, tmp_path: Path) -> None:
        for name in ("mine", "yours"):
            push(place, WEB, f"{repository}/{name}:1", tmp_path / name)
        client.attach(f"{repository}/mine:1", "application/vnd.example.sbom", "mine", tmp_path)
        assert len(client.referrers(f"{repository}/mine:1")) == 1
        assert client.referrers(f"{repository}/yours:1") == []

    @table("regctl", "oras")
    def test_gone_once_deleted(self, client: Any, place: Place, repository: str, tmp_path: Path) -> None:
        push(place, WEB, f"{repository}:1", tmp_path)
        client.attach(f"{repository}:1", "application/vnd.example.sbom", "soon gone", tmp_path)
        [(_, digest)] = client.referrers(f"{repository}:1")
        client.delete(repository, digest)
        assert client.referrers(f"{repository}:1") == []

    @table("regctl")
    def test_tags_made_of_digests(self, client: Any, place: Place, other: Any, repository: str, tmp_path: Path) -> None:
        tag = WEB.root.digest.replace(":", "-") + ".sig"
        signature = image(layer("a signature", 100))
        push(place, WEB, f"{repository}/from:1", tmp_path / "web")
        push(place, signature, f"{repository}/from:{tag}", tmp_path / "signature")
        client.copy_with_digest_tags(f"{repository}/from:1", f"{repository}/to:1")
        assert other.digest(f"{repository}/to:{tag}") == signature.root.digest


class TestDeletion:
    """What one client removes, no other finds."""

    @table("crane", "regctl")
    def test_a_tag(self, client: Any, other: Any, place: Place, repository: str, tmp_path: Path) -> None:
        push(place, WEB, f"{repository}:going", tmp_path)
        client.copy(f"{repository}:going", f"{repository}:staying")
        client.delete_tag(repository, "going")
        assert NOT_THERE.search(refusal(lambda: other.digest(f"{repository}:going")))
        assert other.digest(f"{repository}:staying") == WEB.root.digest
        assert other.tags(repository) == ["staying"]

    @table()
    def test_a_manifest(self, client: Any, other: Any, place: Place, repository: str, tmp_path: Path) -> None:
        push(place, MULTI, f"{repository}/mine:1", tmp_path / "mine")
        push(place, MULTI, f"{repository}/yours:1", tmp_path / "yours")
        client.delete(f"{repository}/mine", MULTI.root.digest)
        for name in (f"{repository}/mine:1", f"{repository}/mine@{MULTI.root.digest}"):
            assert NOT_THERE.search(refusal(partial(other.digest, name)))
        other.pull(f"{repository}/yours:1", tmp_path / "pulled")

    @table("regctl", "oras")
    def test_a_blob(self, client: Any, other: Any, place: Place, repository: str, tmp_path: Path) -> None:
        push(place, WEB, f"{repository}/mine:1", tmp_path / "mine")
        push(place, WEB, f"{repository}/yours:1", tmp_path / "yours")
        client.delete(f"{repository}/mine", WEB.root.digest)
        for digest in layers(WEB):
            client.delete_blob(f"{repository}/mine", digest)
        other.pull(f"{repository}/yours:1", tmp_path / "pulled")
        client.push(WEB, f"{repository}/mine:2", tmp_path)
        other.pull(f"{repository}/mine:2", tmp_path / "again")

    @PLAIN
    @table()
    def test_not_unless_allowed(self, client: Any, tmp_path: Path) -> None:
        with serving(tmp_path / "store", work=tmp_path) as site:
            mine = type(client)(Place(site, logged_in(tmp_path / "home", site)))
            mine.push(WEB, "kept:1", tmp_path)
            said = refusal(lambda: mine.delete("kept", WEB.root.digest))
            assert FORBIDDEN.search(said), said
            assert mine.digest("kept:1") == WEB.root.digest


class TestLogin:
    """Who has no login, or a wrong one, gets and gives nothing."""

    @TLS
    @table()
    def test_login(self, client: Any, place: Place, tmp_path: Path) -> None:
        stranger = type(client)(Place(place.site, logged_in(tmp_path / "home", nobody(place.site))))
        said = refusal(lambda: stranger.push(WEB, "strangers/web:1", tmp_path))
        assert REFUSED.search(said), said
        stranger.login(PASSWORD)
        stranger.push(WEB, "strangers/web:1", tmp_path)
        assert stranger.digest("strangers/web:1") == WEB.root.digest

    @TLS
    @table()
    def test_wrong_password(self, client: Any, place: Place, tmp_path: Path) -> None:
        push(place, WEB, "guarded/web:1", tmp_path / "right")
        wrong = Site(place.site.scheme, place.host, place.site.log, place.site.authority, f"{USER}:not this")
        intruder = type(client)(Place(wrong, logged_in(tmp_path / "home", wrong)))
        for act in (
            lambda: intruder.pull("guarded/web:1", tmp_path / "pulled"),
            lambda: intruder.push(MULTI, "guarded/web:1", tmp_path),
            lambda: intruder.delete("guarded/web", WEB.root.digest),
        ):
            said = refusal(act)
            assert REFUSED.search(said), said
        assert Skopeo(place).digest("guarded/web:1") == WEB.root.digest


def nobody(site: Site) -> Site:
    return Site(site.scheme, site.host, site.log, site.authority)


class TestContainers:
    """podman and buildah, which unpack what they pull and pack what they push."""

    @needs("podman", "skopeo")
    def test_podman(self, place: Place, tmp_path: Path) -> None:
        push(place, MULTI, "podman/multi:1", tmp_path)
        with podman() as pod:
            pod("pull", "-q", *engine_flags(place), place.at("podman/multi:1"))
            found = pod.inspect(place.at("podman/multi:1"))
            assert f"{place.at('podman/multi')}@{MULTI.root.digest}" in found["RepoDigests"]
            pod("tag", place.at("podman/multi:1"), place.at("podman/again:2"))
            digestfile = tmp_path / "digest"
            pod("push", "-q", *engine_flags(place), "--digestfile", digestfile, place.at("podman/again:2"))
            assert Skopeo(place).digest("podman/again:2") == digestfile.read_text()
            pod("rmi", "-a", "-f")
            pod("pull", "-q", *engine_flags(place), f"{place.at('podman/again')}@{digestfile.read_text()}")

    @needs("buildah", "skopeo")
    @pytest.mark.parametrize("compression", ["gzip", "zstd"])
    def test_buildah(self, place: Place, tmp_path: Path, compression: str) -> None:
        push(place, WEB, f"buildah/{compression}/web:1", tmp_path)
        with podman() as short:  # a storage under a short path
            order = [
                "buildah",
                "--root",
                f"{short.root}/root",
                "--runroot",
                f"{short.root}/run",
                "--storage-driver",
                "vfs",
            ]

            def buildah(*args: str | Path) -> str:
                return run(*order, *args, env={**short.env, "BUILDAH_ISOLATION": "chroot"}).strip()

            made = buildah("from", "-q", *engine_flags(place), f"docker://{place.at(f'buildah/{compression}/web:1')}")
            (tmp_path / "file.txt").write_text("by buildah")
            buildah("copy", made, tmp_path / "file.txt", "/srv/")
            buildah("commit", "-q", made, "built")
            to, digestfile = place.at(f"buildah/{compression}/built:1"), tmp_path / "digest"
            flags: list[str | Path] = [
                *engine_flags(place),
                "--compression-format",
                compression,
                "--digestfile",
                digestfile,
            ]
            buildah("push", "-q", *flags, "built", f"docker://{to}")
        assert Skopeo(place).digest(f"buildah/{compression}/built:1") == digestfile.read_text()
        Skopeo(place).pull(f"buildah/{compression}/built:1", tmp_path / "pulled")
        types = {each["mediaType"].rpartition(".")[2] for each in manifest(tmp_path / "pulled")["layers"]}
        assert any(compression in each for each in types)


def engine_flags(place: Place) -> list[str]:
    """How podman and buildah are told of a registry."""
    if place.site.authority is None:
        return ["--tls-verify=false"]
    return [f"--cert-dir={place.site.authority.cert_dir}", f"--creds={place.site.creds}"]


def manifest(folder: Path) -> Any:
    return json.loads((folder / "manifest.json").read_text())
