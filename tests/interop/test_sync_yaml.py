"""skopeo's sync YAML means the same images to bundler as to skopeo, against a registry whose tags cover the rules.

What skopeo would copy is read from the log of ``skopeo sync --dry-run``.
"""

from __future__ import annotations

import re
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest

from bundler.content import silent
from bundler.errors import ConfigError
from bundler.journey.access import Access
from bundler.journey.near import make_lock, open_run
from tests.peers import DockerRegistry, attempt, demand, docker_registry, needs, skopeo

pytestmark = needs("skopeo", "docker-registry")

TAGS = {
    "busybox": ["1", "1.10", "1.1", "latest", "musl", "1-musl"],
    "team/nginx": [
        "1.13.1-alpine-perl", "1.13.2-alpine-perl", "1.13.3-alpine-perl", "11.13.1-alpine-perl", "1.13.1-alpine-perl2",
        "1x13.1-alpine-perl", "latest",
    ],
    "team/sub/app": ["v1.0.0", "v1.2.0", "1.2.3", "1.3.0-rc.1", "2.0.0", "v2.1", "3", "01.4.0", "1.2.3.4", "edge", "sha-1a2b"],
    "cased": ["RC1", "rc1", "Rc1", "release-rc", "x"],
}  # fmt: skip
NOW = datetime(2026, 1, 31, tzinfo=UTC)
_WOULD = re.compile(r'msg="Would have copied image[^"]*" from="([^"]+)"')


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory, layout: Path) -> Iterator[DockerRegistry]:
    """One small image under every tag of :data:`TAGS`."""
    demand("skopeo", "docker-registry")
    with docker_registry(tmp_path_factory.mktemp("sync")) as running:
        for repository, tags in TAGS.items():
            skopeo(
                "copy",
                "--dest-tls-verify=false",
                f"oci:{layout}:app",
                f"docker://{running.host}/{repository}:{tags[0]}",
            )
            manifests = f"{running.url}/v2/{repository}/manifests"
            accept = {"Accept": "application/vnd.oci.image.manifest.v1+json"}
            with urllib.request.urlopen(urllib.request.Request(f"{manifests}/{tags[0]}", headers=accept)) as answer:
                raw, media_type = answer.read(), answer.headers["Content-Type"]
            for tag in tags[1:]:
                put = urllib.request.Request(f"{manifests}/{tag}", raw, {"Content-Type": media_type}, method="PUT")
                urllib.request.urlopen(put).close()
        yield running


def digest_of_image(registry: DockerRegistry) -> str:
    return skopeo(
        "inspect", "--tls-verify=false", "--format={{.Digest}}", f"docker://{registry.host}/busybox:1"
    ).strip()


def would_copy(registry: DockerRegistry, document: str, folder: Path) -> list[str]:
    """The images that skopeo takes."""
    (folder / "sync.yaml").write_text(document)
    target = f"{registry.host}/mirror"
    command = ("skopeo", "--insecure-policy", "sync", "--dry-run", "--src=yaml", "--dest=docker")
    done = attempt(*command, folder / "sync.yaml", target)
    assert done.returncode == 0, done.stderr
    return _WOULD.findall(done.stderr)


def taken(document: str, folder: Path) -> list[str]:
    """The images that bundler takes: those of the lock that it makes."""
    path = folder / "sync.yaml"
    path.write_text(document)
    with (
        ThreadPoolExecutor(4) as executor,
        open_run(path, Access(), executor=executor, observer=silent) as run,
    ):
        return [image.source for image in make_lock(run, now=NOW).images]


DOCUMENTS = {
    "every tag": "images: {busybox: []}",
    "every tag, as nothing": "images: {busybox: }",
    "listed tags, text that looks like numbers": "images: {busybox: [1, 1.10, latest]}",
    "a tag twice": "images: {busybox: ['1', 1, 'latest', latest]}",
    "digests among tags": 'images: {busybox: ["1", "DIGEST"]}',
    "a path in the repository": "images: {team/sub/app: [v1.0.0, edge]}",
    "regex of the manual": r"images-by-tag-regex: {team/nginx: '^1\.13\.[12]-alpine-perl$'}",
    "regex without anchors": r"images-by-tag-regex: {team/nginx: '1.13.[12]-alpine-perl'}",
    "regex with its end anchored": "images-by-tag-regex: {team/nginx: 'perl$'}",
    "regex that minds case": "images-by-tag-regex: {cased: 'rc'}",
    "regex that does not": "images-by-tag-regex: {cased: '(?i)^RC'}",
    "regex with classes": r"images-by-tag-regex: {team/sub/app: '^v?\d+\.\d+(\.\d+)?$'}",
    "regex with alternatives": "images-by-tag-regex: {team/sub/app: '^(v1|2|edge)'}",
    "regex for everything": "images-by-tag-regex: {team/sub/app: '.*'}",
    "several sections": "images: {busybox: ['1'], team/sub/app: []}\n  images-by-tag-regex: {team/nginx: perl, cased: x}",
    "sections that overlap": "images: {busybox: [latest, '1']}\n  images-by-tag-regex: {busybox: '^1'}",
    "anchors and merge keys": "images: &all {busybox: ['1'], cased: [x]}\n  images-by-tag-regex: {team/nginx: '2$'}",
}


@pytest.mark.parametrize("case", DOCUMENTS)
def test_same_images(case: str, registry: DockerRegistry, tmp_path: Path) -> None:
    body = DOCUMENTS[case].replace("DIGEST", digest_of_image(registry))
    document = f"{registry.host}:\n  tls-verify: false\n  {body}\n"
    theirs = would_copy(registry, document, tmp_path)
    ours = taken(document, tmp_path)
    assert theirs
    assert sorted(ours) == sorted(set(theirs))


def test_a_host_with_a_path(registry: DockerRegistry, tmp_path: Path) -> None:
    document = f"{registry.host}/team:\n  tls-verify: false\n  images: {{sub/app: [edge], nginx: [latest]}}\n"
    assert sorted(taken(document, tmp_path)) == sorted(would_copy(registry, document, tmp_path))


BY_SEMVER = {
    "*": "v1.0.0 v1.2.0 1.2.3 2.0.0 v2.1 3 01.4.0",
    "^1.2": "v1.2.0 1.2.3 01.4.0",
    ">=1.2 <2": "v1.2.0 1.2.3 01.4.0",
    ">=1.0.0-0, <2": "v1.0.0 v1.2.0 1.2.3 1.3.0-rc.1 01.4.0",
    "1.2.x || 3": "v1.2.0 1.2.3 3",
    "~1.2.0": "v1.2.0 1.2.3",
    "!=1.2.3": "v1.0.0 v1.2.0 2.0.0 v2.1 3 01.4.0",
    "1.2 - 2": "v1.2.0 1.2.3 2.0.0 v2.1 01.4.0",
    "v2": "2.0.0 v2.1",
}
"""What Masterminds/semver v3.5.0 says to the tags of team/sub/app."""


@pytest.mark.parametrize("constraint", BY_SEMVER)
def test_same_images_by_semver(constraint: str, registry: DockerRegistry, tmp_path: Path) -> None:
    document = f"{registry.host}:\n  tls-verify: false\n  images-by-semver: {{team/sub/app: '{constraint}'}}\n"
    expected = sorted(f"docker://{registry.host}/team/sub/app:{tag}" for tag in BY_SEMVER[constraint].split())
    assert sorted(taken(document, tmp_path)) == expected
    theirs = would_copy(registry, document, tmp_path)
    assert sorted(theirs) in ([], expected)  # an older skopeo passes the section over


SKIPPED = {
    "bad repository name": "images: {busybox: ['1'], Bad: ['1']}",
    "image for a repository": "images: {busybox: ['1'], 'cased:x': []}",
    "bad tag": "images: {busybox: ['1', 'not/a/tag']}",
    "tag that is nothing": "images: {busybox: ['1', ~]}",
    "bad regex": "images: {busybox: ['1']}\n  images-by-tag-regex: {cased: '('}",
    "one bad regex among good ones": "images: {busybox: ['1']}\n  images-by-tag-regex: {cased: 'rc', busybox: '['}",
    "regex that matches nothing": "images: {busybox: ['1']}\n  images-by-tag-regex: {cased: '^nothing'}",
    "certificate directory that is not there": "images: {busybox: ['1']}\n  cert-dir: /nonexistent-for-http",
    "unknown key": "images: {busybox: ['1']}\n  image: {cased: []}",
}


@pytest.mark.parametrize("case", SKIPPED)
def test_what_skopeo_skips_is_an_error(case: str, registry: DockerRegistry, tmp_path: Path) -> None:
    document = f"{registry.host}:\n  tls-verify: false\n  {SKIPPED[case]}\n"
    assert f"docker://{registry.host}/busybox:1" in would_copy(registry, document, tmp_path)
    with pytest.raises(ConfigError, match=r"^sync.yaml:\d"):
        taken(document, tmp_path)


def test_a_section_without_images(registry: DockerRegistry, tmp_path: Path) -> None:
    document = f"{registry.host}:\n  tls-verify: false\n"
    assert would_copy(registry, document, tmp_path) == []
    with pytest.raises(ConfigError, match="names no image"):
        taken(document, tmp_path)
