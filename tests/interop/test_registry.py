"""Other people's clients against the embedded registry."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from bundler.registry.process import running
from bundler.store import Store
from tests.authority import Authority
from tests.images import Image, family, write_dir, write_layout
from tests.peers import needs, run, skopeo

FAMILY = family(size=5000)
PLAIN = ("--src-tls-verify=false", "--dest-tls-verify=false")


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running(tmp_path_factory.mktemp("registry") / "store") as url:
        yield url.removeprefix("http://")


def raw_manifest(where: str) -> bytes:
    return skopeo("inspect", "--raw", "--tls-verify=false", where).encode()


@needs("skopeo")
@pytest.mark.parametrize("image", FAMILY.values(), ids=FAMILY.keys())
def test_skopeo_pushes_and_pulls(host: str, tmp_path: Path, image: Image) -> None:
    write_dir(tmp_path / "near", image)
    name = f"docker://{host}/team/{image.root.digest[7:15]}:1"
    skopeo("copy", "--all", "--preserve-digests", *PLAIN, f"dir:{tmp_path / 'near'}", name)
    assert raw_manifest(name) == image.raw
    skopeo("copy", "--all", "--preserve-digests", *PLAIN, name, f"dir:{tmp_path / 'far'}")
    assert (tmp_path / "far" / "manifest.json").read_bytes() == image.raw


@needs("skopeo")
def test_skopeo_lists_and_copies_within(host: str, tmp_path: Path) -> None:
    layout = write_layout(tmp_path / "layout", {"web": FAMILY["web"]})
    for tag in ("1", "2"):
        skopeo("copy", *PLAIN, f"oci:{layout}:web", f"docker://{host}/lists/web:{tag}")
    skopeo("copy", *PLAIN, f"docker://{host}/lists/web:1", f"docker://{host}/lists/other:3")
    listed = json.loads(skopeo("list-tags", "--tls-verify=false", f"docker://{host}/lists/web"))
    assert listed["Tags"] == ["1", "2"]
    assert raw_manifest(f"docker://{host}/lists/other:3") == FAMILY["web"].raw


@needs("skopeo")
def test_skopeo_over_tls(tmp_path: Path, authority: Authority) -> None:
    layout = write_layout(tmp_path / "layout", {"web": FAMILY["web"]})
    certificate, key = authority.issue(tmp_path)
    with running(tmp_path / "store", tls_cert=certificate, tls_key=key) as url:
        name = f"docker://{url.removeprefix('https://')}/web:1"
        skopeo("copy", "--dest-cert-dir", authority.cert_dir, f"oci:{layout}:web", name)
        skopeo("inspect", "--cert-dir", authority.cert_dir, name)


@needs("skopeo")
def test_the_store_is_read_as_it_stands(tmp_path: Path) -> None:
    layout = write_layout(tmp_path / "layout", {"multi": FAMILY["multi"]})
    with running(tmp_path / "store") as url:
        host = url.removeprefix("http://")
        skopeo("copy", "--all", *PLAIN, f"oci:{layout}:multi", f"docker://{host}/multi:1")
    assert skopeo("inspect", "--raw", f"oci:{tmp_path / 'store'}:multi:1").encode() == FAMILY["multi"].raw
    assert Store.open(str(tmp_path / "store")).check().bad == ()


@needs("crane")
def test_crane(host: str, tmp_path: Path) -> None:
    layout = write_layout(tmp_path / "layout", {"multi": FAMILY["multi"]})
    run("crane", "push", "--index", layout, f"{host}/crane/multi:1")
    run("crane", "copy", f"{host}/crane/multi:1", f"{host}/crane/copy:2")
    run("crane", "validate", "--remote", f"{host}/crane/copy:2")
    run("crane", "tag", f"{host}/crane/copy:2", "3")
    assert run("crane", "ls", f"{host}/crane/copy").split() == ["2", "3"]
    assert {"crane/copy", "crane/multi"} <= set(run("crane", "catalog", host).split())
