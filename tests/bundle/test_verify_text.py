"""VERIFY.txt, followed to the letter with coreutils, openssl, GNU tar, zstd and skopeo; and other eyes on the volumes."""

from __future__ import annotations

import hashlib
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from bundler.bundle.pack import write_signed
from bundler.bundle.statement import CarriedImage
from bundler.bundle.verify_text import verify_text
from bundler.oci import mediatype
from bundler.oci.digest import hex_of
from bundler.trust.signing import generate
from tests.bundle.making import MIB, Made, big, carried, make
from tests.images import Image, family, image, parts_of
from tests.peers import needs, run, skopeo
from tests.verify_txt import blocks


def images() -> dict[str, Image]:
    return {
        **{f"registry.example.com:5000/team/{name}:1.0": image for name, image in family().items() if name != "sbom"},
        "quay.io/acme/giant:2": image(
            big("giant", 2 * MIB + 9), big("text", 70_000, media_type=mediatype.OCI_LAYER, dense=False)
        ),
    }


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """Several volumes with a cut layer."""
    return _made(tmp_path_factory.mktemp("made"), images())


def _made(work: Path, given: dict[str, Image]) -> Made:
    names = [replace(each, target=f"app-{n}:1") for n, each in enumerate(carried(given))]
    return make(work / "edge-stable-000001", given, limit=MIB, carried=tuple(names))


@needs("sha256sum", "openssl", "tar", "zstd", "skopeo")
@pytest.mark.parametrize(("kind", "other"), [("ecdsa-p256", "pkeyutl"), ("ed25519", "openssl dgst")])
def test_every_command_in_it_works(tmp_path: Path, kind: str, other: str) -> None:
    made = _made(tmp_path, images())
    key = generate(kind)
    (made.directory / "KEY.pub").write_bytes(key.public.pem)
    signature = key.sign((made.directory / "SHA256SUMS").read_bytes())
    write_signed(made.directory, (made.directory / "bundle.dsse.json").read_bytes(), {key.public.key_id: signature})
    script = "\n".join(each for each in blocks(made.directory) if other not in each)
    said = run("bash", "-euo", "pipefail", "-c", script, cwd=made.directory)
    assert "volume-0001.tar.zst: OK" in said
    assert "VERIFY.txt: OK" in said
    assert "Verified" in said or "Signature Verified Successfully" in said
    for given in made.images.values():
        assert given.root.digest in said
    layout = made.directory / "layout"
    for digest, raw in made.contents.items():
        path = layout / "blobs" / digest.replace(":", "/")
        assert path.read_bytes() == raw
    assert not list(layout.glob("blobs/*/*.part*"))
    for name, given in made.images.items():
        if given.root.media_type not in (mediatype.OCI_MANIFEST, mediatype.OCI_INDEX):
            continue
        skopeo("copy", "--all", f"oci:{layout}:{name}", f"dir:{tmp_path / 'copied'}")
        assert hashlib.sha256((tmp_path / "copied" / "manifest.json").read_bytes()).hexdigest() == hex_of(
            given.root.digest
        )


@needs("tar", "zstd")
def test_gnu_tar_sees_plain_files_only(made: Made) -> None:
    names = []
    for path in sorted(made.directory.glob("volume-*")):
        listing = run("tar", "--zstd", "--numeric-owner", "--full-time", "-tvf", path, env={"TZ": "UTC"})
        for line in listing.splitlines():
            mode, owner, _, date, time, name = line.split()
            assert (mode, owner, date, time) == ("-rw-r--r--", "0/0", "1970-01-01", "00:00:00")
            names.append(name)
    assert names[:3] == ["volumes/0001.json", "oci-layout", "index.json"]
    assert len(names) == len(set(names))


@needs("tar", "zstd")
def test_sha512_names_survive_gnu_tar(tmp_path: Path) -> None:
    long = big("long", 5_000, algorithm="sha512")
    made = make(tmp_path / "out", {"app": image(long, algorithm="sha512")}, mtime=1_700_000_000)
    (tmp_path / "layout").mkdir()
    run("tar", "--zstd", "-xf", made.directory / "volume-0001.tar.zst", "-C", tmp_path / "layout")
    path = tmp_path / "layout" / "blobs" / "sha512" / hex_of(long.descriptor.digest)
    assert path.read_bytes() == long.raw
    assert path.stat().st_mtime == 1_700_000_000


@needs("zstd")
def test_zstd_finds_nothing_to_complain_about(made: Made) -> None:
    for path in made.directory.glob("volume-*"):
        subprocess.run(["zstd", "-t", "--quiet", path], check=True, capture_output=True)


@needs("zstd")
def test_any_content_can_be_read_alone_by_its_place(made: Made) -> None:
    for row in made.inventory.rows:
        raw = (made.directory / f"volume-{row.volume:04}.tar.zst").read_bytes()[row.offset : row.end]
        content = subprocess.run(["zstd", "-dc"], input=raw, capture_output=True, check=True).stdout
        assert len(content) == row.size
        if row.part is None:
            assert content == made.contents[row.digest]


def test_it_depends_on_contents_alone(made: Made) -> None:
    manifests = [p.descriptor.digest for p in parts_of(made.images) if p.descriptor.is_manifest]
    text = verify_text(made.inventory, made.statement.images, manifests)
    assert text == (made.directory / "VERIFY.txt").read_bytes()
    least = verify_text(replace(made.inventory, sizes=(1,), rows=()), ())
    assert b"1 volume." in least
    assert b"Join" not in least
    assert b"skopeo" not in least


def test_names_cannot_become_commands(made: Made) -> None:
    root = made.statement.images[0].root
    text = verify_text(made.inventory, [CarriedImage("x; rm -rf $HOME `id` 'q'", "x:1", root)]).decode()
    line = next(line for line in text.splitlines() if "x; rm" in line)
    assert run("bash", "-c", line.replace("skopeo", "printf '%s|'")) == "inspect|oci:layout:x; rm -rf $HOME `id` 'q'|"
