"""mirror-config: a receipt in, files out."""

from __future__ import annotations

from pathlib import Path

import pytest

from bundler.errors import BundlerError, ConfigError
from bundler.journey.mirroring import mirror_config, write_files
from bundler.mirrors.formats import FORMATS
from bundler.mirrors.site import Output
from tests.authority import Authority
from tests.mirrors.receipts import FAR, KEPT, RENAMED, receipt


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "receipt.json"
    file.write_bytes(receipt(RENAMED))
    return file


def test_all_formats_unless_some_are_named(path: Path) -> None:
    assert {name.partition("/")[0] for name in mirror_config(path).files} == set(FORMATS)
    some = mirror_config(path, formats=["k3s", "docker", "k3s"])
    assert [name.partition("/")[0] for name in some.files] == ["k3s", "docker"]


def test_notes_are_the_formats_own_and_the_receipts(tmp_path: Path, path: Path) -> None:
    path.write_bytes(receipt({**KEPT, "oci:app:1": "app:1"}))
    assert [note.partition(" ")[0] for note in mirror_config(path).notes] == ["oci:app:1:", "docker"]
    assert [note.partition(" ")[0] for note in mirror_config(path, formats=["podman"]).notes] == ["oci:app:1:"]


def test_files_are_written_below_a_directory_and_replaced(path: Path, tmp_path: Path, authority: Authority) -> None:
    for _ in range(2):
        made = mirror_config(path, ca=authority.ca)
        write_files(made, tmp_path / "deep" / "out")
    found = {str(file.relative_to(tmp_path / "deep/out")) for file in (tmp_path / "deep").rglob("*") if file.is_file()}
    assert found == set(made.files)
    copy = tmp_path / f"deep/out/docker/etc/docker/certs.d/{FAR}/ca.crt"
    assert copy.read_bytes() == authority.ca.read_bytes()


def test_a_directory_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(BundlerError, match=r"make .*file"):
        write_files(Output({"podman/x": "\n"}), tmp_path / "file")


@pytest.mark.parametrize(
    "content", [b"", b"\x30\x82\xff", b"-----BEGIN PRIVATE KEY-----\n"], ids=["empty", "DER", "key"]
)
def test_an_authority_that_is_none(path: Path, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "ca").write_bytes(content)
    with pytest.raises(ConfigError, match="is no certificate in PEM"):
        mirror_config(path, ca=tmp_path / "ca")


def test_a_receipt_of_images_that_have_no_old_name(path: Path) -> None:
    path.write_bytes(receipt({"oci:app:1": "app:1"}))
    with pytest.raises(ConfigError, match="no image has an old name") as caught:
        mirror_config(path)
    assert "oci:app:1: came from no registry" in caught.value.hint


def test_what_excludes_each_other_and_what_is_unknown(path: Path, authority: Authority) -> None:
    with pytest.raises(ConfigError, match="--insecure and --ca"):
        mirror_config(path, insecure=True, ca=authority.ca)
    with pytest.raises(ConfigError, match="--for nomad: unknown"):
        mirror_config(path, formats=["nomad"])
    with pytest.raises(ConfigError, match="does not exist"):
        mirror_config(path.with_name("other.json"))
