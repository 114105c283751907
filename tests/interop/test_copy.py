"""``copy``: the same command line by skopeo and by bundler leaves the same bytes, digests and media types."""

from __future__ import annotations

import json
import shutil
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bundler.transports.docker.registry import Registry
from bundler.transports.docker.settings import Settings
from tests.authority import Authority
from tests.conftest import StartRegistry
from tests.images import family, image, layer, load, write_dir, write_layout
from tests.interop.sameness import BOTH, Pair, Side, contents
from tests.peers import DockerRegistry, demand, docker_registry, needs

pytestmark = needs("skopeo", "docker-registry")
IMAGES = family()


@pytest.fixture(scope="module")
def near(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DockerRegistry]:
    """A registry with one image of each kind, as ``team/NAME:1``."""
    demand("skopeo", "docker-registry")
    with docker_registry(tmp_path_factory.mktemp("near")) as running:
        settings = Settings(tls_verify=False, proxies={})
        with Registry(running.host, settings) as registry:
            for name, made in IMAGES.items():
                load(registry.repository(f"team/{name}"), {"1": made})
        yield running


@pytest.fixture(params=BOTH)
def pair(request: pytest.FixtureRequest, tmp_path: Path) -> Pair:
    """bundler beside each skopeo."""
    return Pair(request.param, tmp_path)


TO_DIR = {
    "an OCI image": ("web", ""),
    "a Docker image": ("docker", ""),
    "zstd layers": ("zstd", ""),
    "an index, for this system": ("multi", ""),
    "an index, for another architecture": ("multi", "--override-arch=arm64"),
    "a list, for a variant": ("multi-docker", "--override-arch=arm --override-variant=v7"),
    "a whole index": ("multi", "--all"),
    "a whole list": ("multi-docker", "--all"),
    "digests preserved": ("multi-docker", "--all --preserve-digests"),
    "OCI to Docker": ("web", "--format=v2s2"),
    "OCI to OCI": ("web", "--format=oci"),
    "Docker to Docker": ("docker", "--format=v2s2"),
    "layers decompressed": ("web", "--dest-decompress"),
    "Docker layers decompressed": ("docker", "--dest-decompress"),
}


def global_first(options: str) -> tuple[list[str], list[str]]:
    """skopeo's --override-… stand before the command."""
    words = options.split()
    return [word for word in words if word.startswith("--override")], [
        word for word in words if not word.startswith("--override")
    ]


@pytest.mark.parametrize("case", TO_DIR)
def test_to_a_directory(case: str, pair: Pair, near: DockerRegistry) -> None:
    name, options = TO_DIR[case]
    before, after = global_first(options)
    source = f"docker://{near.host}/team/{name}:1"
    pair(*before, "copy", "--src-tls-verify=false", *after, "--digestfile={to}.digest", source, "dir:{to}")
    assert pair.ours.tree() == pair.theirs.tree()
    assert pair.ours.digest == pair.theirs.digest


def test_an_index_to_a_list(pair: Pair, near: DockerRegistry) -> None:
    source = f"docker://{near.host}/team/multi:1"
    pair("copy", "--src-tls-verify=false", "--all", "--format=v2s2", source, "dir:{to}")
    theirs, ours = pair.theirs.tree(), pair.ours.tree()
    assert ours.pop("manifest.json")
    assert theirs.pop("manifest.json")
    assert ours == theirs
    assert document(pair.ours) == document(pair.theirs)  # as values: the order of a platform's fields is free


@pytest.mark.parametrize("name", ["docker", "multi-docker"])
def test_docker_to_oci(name: str, pair: Pair, near: DockerRegistry) -> None:
    """skopeo writes the config anew and drops what OCI has no field for; bundler keeps its bytes, and so the image ID."""
    pair("copy", "--src-tls-verify=false", "--format=oci", f"docker://{near.host}/team/{name}:1", "dir:{to}")
    theirs, ours = document(pair.theirs), document(pair.ours)
    assert ours["layers"] == theirs["layers"]
    assert ours["config"]["mediaType"] == theirs["config"]["mediaType"]
    assert ours["config"]["digest"] in IMAGES["docker"].digests()
    for option in ([], ["--config"]):
        pair("inspect", *option, "dir:{to}")
        said = [json.loads(side.out) for side in (pair.theirs, pair.ours)]
        for each in said:
            each.pop("Digest", None)
            each.pop("LayersData", None)
            each.pop("Name", None)
            each["Labels"] = each.get("Labels") or None
        assert said[1] == said[0]


def document(side: Side) -> Any:
    """The manifest in a directory."""
    return json.loads((side.place / "manifest.json").read_text())


TO_REGISTRY = {
    "an OCI image": ("web", ""),
    "a Docker image": ("docker", ""),
    "an index, for this system": ("multi", ""),
    "a whole index": ("multi", "--all"),
    "a whole list": ("multi-docker", "--all --preserve-digests"),
    "OCI to Docker": ("web", "--format=v2s2"),
}


@pytest.mark.parametrize("case", TO_REGISTRY)
def test_to_a_registry(case: str, pair: Pair, near: DockerRegistry, start_registry: StartRegistry) -> None:
    name, options = TO_REGISTRY[case]
    far = start_registry("theirs-far"), start_registry("ours-far")
    source = f"docker://{near.host}/team/{name}:1"
    pair(
        "copy",
        "--src-tls-verify=false",
        "--dest-tls-verify=false",
        *options.split(),
        source,
        "docker://{to}/x/app:2",
        to=(far[0].host, far[1].host),
    )
    assert list(contents(far[0])) == ["x/app:2"]
    assert contents(far[1]) == contents(far[0])


@pytest.mark.parametrize("name", ["web", "multi"])
def test_to_a_layout(name: str, pair: Pair, near: DockerRegistry) -> None:
    pair("copy", "--src-tls-verify=false", "--all", f"docker://{near.host}/team/{name}:1", "oci:{to}:v1")
    assert pair.ours.tree("blobs") == pair.theirs.tree("blobs")
    theirs, ours = (json.loads((side.place / "index.json").read_text()) for side in (pair.theirs, pair.ours))
    called = "org.opencontainers.image.ref.name"
    assert [(each["digest"], each["annotations"][called]) for each in ours["manifests"]] == [
        (each["digest"], each["annotations"][called]) for each in theirs["manifests"]
    ]


def test_shared_blobs(pair: Pair, near: DockerRegistry, tmp_path: Path) -> None:
    source = f"docker://{near.host}/team/web:1"
    pair.theirs.place.mkdir()  # skopeo makes the last directory of a path alone
    for name in ("one", "two"):
        pair(
            "copy", "--src-tls-verify=false", "--dest-shared-blob-dir={to}-blobs", source, f"oci:{{to}}/{name}:v1"
        )  # fmt: skip
    theirs, ours = ({path.name for path in tmp_path.glob(f"{who}/there-blobs/sha256/*")} for who in ("theirs", "ours"))
    assert ours == theirs
    assert not (pair.ours.place / "one" / "blobs").exists() or not list(pair.ours.place.glob("one/blobs/*/*"))
    pair("copy", "--src-shared-blob-dir={to}-blobs", "oci:{to}/two:v1", "dir:{to}-dir")
    for who in (pair.theirs, pair.ours):
        shutil.rmtree(who.place)
        (who.place.parent / "there-dir").rename(who.place)
    assert pair.ours.tree() == pair.theirs.tree()


def test_plain_layers_compressed(pair: Pair, tmp_path: Path) -> None:
    plain = image(layer("plain", 40_000, compression="none"))
    source = write_layout(tmp_path / "source", {"plain": plain})
    pair("copy", "--dest-compress", f"oci:{source}:plain", "dir:{to}")
    theirs, ours = (json.loads((side.place / "manifest.json").read_text()) for side in (pair.theirs, pair.ours))
    assert [each["mediaType"] for each in ours["layers"]] == [each["mediaType"] for each in theirs["layers"]]
    assert ours["config"] == theirs["config"]  # the compressed bytes are each program's own
    pair.ours.run("copy", "--dest-decompress", "dir:{to}", f"dir:{tmp_path}/again")
    assert (tmp_path / "again" / plain.blobs[0].descriptor.digest.partition(":")[2]).is_file()


def test_plain_layers_stay_plain_in_a_directory(pair: Pair, tmp_path: Path) -> None:
    plain = image(layer("plain", 40_000, compression="none"))
    source = write_layout(tmp_path / "source", {"plain": plain})
    pair("copy", f"oci:{source}:plain", "dir:{to}")
    assert pair.ours.tree() == pair.theirs.tree()


def test_further_tags_of_a_docker_archive(pair: Pair, near: DockerRegistry) -> None:
    further = ["--additional-tag=example.com/app:2", "--additional-tag=example.com/other:latest"]
    source = f"docker://{near.host}/team/docker:1"
    pair("copy", "--src-tls-verify=false", *further, source, "docker-archive:{to}:example.com/app:1")
    listed = []
    for side in (pair.theirs, pair.ours):
        with tarfile.open(side.place) as archive:
            member = archive.extractfile("manifest.json")
            assert member is not None
            (entry,) = json.load(member)
            listed.append((entry["Config"], sorted(entry["RepoTags"])))
    assert listed[1] == listed[0]
    pair("list-tags", "docker-archive:{to}")
    assert sorted(json.loads(pair.ours.out)["Tags"]) == sorted(json.loads(pair.theirs.out)["Tags"])


def test_an_index_for_no_such_platform(pair: Pair, near: DockerRegistry) -> None:
    pair(
        "--override-arch=s390x",
        "copy",
        "--src-tls-verify=false",
        f"docker://{near.host}/team/multi:1",
        "dir:{to}",
        status=None,
    )


def test_a_change_where_digests_are_preserved(pair: Pair, near: DockerRegistry) -> None:
    source = f"docker://{near.host}/team/docker:1"
    orders = ["copy", "--src-tls-verify=false", "--preserve-digests"]
    pair(*orders, source, "oci:{to}:v1")
    digests = [json.loads((side.place / "index.json").read_text())["manifests"][0]["digest"] for side in pair.sides]
    assert digests == [IMAGES["docker"].root.digest] * 2
    done = pair.ours.run(*orders, "--format=oci", source, "dir:{to}-dir", status=None)  # skopeo passes over --format
    assert "--preserve-digests" in done.stderr


@needs("htpasswd")
@pytest.mark.parametrize("how", ["creds", "authfile", "dest-authfile", "username"])
def test_users_and_tls(
    how: str, pair: Pair, authority: Authority, start_registry: StartRegistry, tmp_path: Path
) -> None:
    if how in ("dest-authfile", "username") and not pair.is_current:
        pytest.skip("Debian's skopeo has --dest-username, and the authfile was tried")
    site = {"tls": authority, "htpasswd": {"ann": "secret:with a colon"}}
    far = start_registry("theirs-far", **site), start_registry("ours-far", **site)
    source = write_dir(tmp_path / "source", IMAGES["web"])
    kept = tmp_path / "auth.json"
    pair_of = "YW5uOnNlY3JldDp3aXRoIGEgY29sb24="
    kept.write_text(json.dumps({"auths": {each.host: {"auth": pair_of} for each in far}}))
    options = {
        "creds": ["--dest-creds=ann:secret:with a colon"],
        "authfile": [f"--authfile={kept}"],
        "dest-authfile": [f"--dest-authfile={kept}"],
        "username": ["--dest-username=ann", "--dest-password=secret:with a colon"],
    }[how]
    hosts = far[0].host, far[1].host
    to = "docker://{to}/app:1"
    pair("copy", f"--dest-cert-dir={authority.cert_dir}", *options, f"dir:{source}", to, to=hosts)
    from_far = [each.replace("--dest-", "--src-") for each in options]
    for side, host in zip((pair.theirs, pair.ours), hosts, strict=True):
        side.run(
            "copy", f"--src-cert-dir={authority.cert_dir}", *from_far, f"docker://{host}/app:1", f"dir:{side.place}"
        )
    assert pair.ours.tree() == pair.theirs.tree()
    pair("copy", *options, f"dir:{source}", to, to=hosts, status=None)  # nobody vouches for the certificate
    pair("copy", f"--dest-cert-dir={authority.cert_dir}", f"dir:{source}", to, to=hosts, status=None)  # no user
