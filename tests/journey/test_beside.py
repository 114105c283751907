"""What lies beside a registry's images: lookaside stores and attached signatures, carried in and out."""

from __future__ import annotations

import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from bundler.content import read
from bundler.errors import BundlerError, ConfigError, LimitError, ProtocolError, UnsupportedError
from bundler.journey.access import Access, Surroundings
from bundler.journey.attached_signatures import MAX_LAYERS, attach, attached, tag_of
from bundler.journey.beside import Beside, at_its_place
from bundler.journey.copying import Copied, Orders, copy
from bundler.journey.ends import Ends
from bundler.journey.fitting import Instances, Wanted
from bundler.oci.descriptor import Descriptor
from bundler.oci.digest import digest_of
from bundler.oci.manifest import parse_manifest
from bundler.oci.platform import parse_platform
from bundler.oci.reference import parse_reference
from bundler.policy import RegistriesD
from bundler.policy.blobs import MEDIA_TYPE, Attachment, read_attachment
from bundler.policy.registries_d import Namespace
from bundler.transports.docker.lookaside import Lookaside
from bundler.trust.image_signing import signature_image
from bundler.trust.images.cosign import SIGNATURE
from tests.hostile.scripted import HonestRegistry, Scripted
from tests.images import family, index, load, write_dir
from tests.memory import Memory

FAMILY = family()
WEB, MULTI = FAMILY["web"], FAMILY["multi"]
APP = parse_reference("r.example/team/app:1")
SIMPLE, OTHER = b"\xa3one", b"\xa3two"
PIECE = Attachment(MEDIA_TYPE, b"payload", {SIGNATURE: "c2ln"}).blob()
SECOND = Attachment(MEDIA_TYPE, b"payload", {SIGNATURE: "b3RoZXI="}).blob()


def lookaside(folder: Path, *, attachments: bool | None = None) -> Lookaside:
    registries = RegistriesD(Namespace(f"file://{folder}", attachments=attachments))
    return Lookaside(registries, fallback="file:///nowhere", fetch=lambda *_: None)


class TestAttached:
    """Signatures in the repository."""

    def test_there_are_none_without_a_tag(self) -> None:
        assert attached(Memory(), WEB.root.digest) == []

    def test_what_was_attached_is_found(self) -> None:
        memory = Memory()
        attach(memory, WEB.root.digest, [PIECE, PIECE])  # type: ignore[arg-type]  # a repository in memory
        attach(memory, WEB.root.digest, [SECOND, PIECE])  # type: ignore[arg-type]
        found = [read_attachment(blob) for blob in attached(memory, WEB.root.digest)]
        assert found == [read_attachment(PIECE), read_attachment(SECOND)]
        assert list(memory.names) == [tag_of(WEB.root.digest)] == [f"sha256-{WEB.root.digest[7:]}.sig"]
        root = memory.resolve(tag_of(WEB.root.digest))
        manifest = parse_manifest(read(memory, root), root.media_type, what="signatures")
        assert manifest.config is not None
        config = read(memory, manifest.config)
        assert config.count(manifest.layers[0].digest.encode()) == 2, "each layer is listed"

    def test_there_is_an_end_to_them(self) -> None:
        memory = Memory()
        blobs = [Attachment(MEDIA_TYPE, b"x", {"n": str(n)}).blob() for n in range(MAX_LAYERS + 1)]
        attach(memory, WEB.root.digest, blobs[1:])  # type: ignore[arg-type]
        assert len(attached(memory, WEB.root.digest)) == MAX_LAYERS
        with pytest.raises(LimitError):
            attach(memory, WEB.root.digest, blobs[:1])  # type: ignore[arg-type]
        assert len(attached(memory, WEB.root.digest)) == MAX_LAYERS

    def test_more_of_them_are_not_read(self) -> None:
        memory = Memory(strict=False)
        layers = [Descriptor(MEDIA_TYPE, WEB.root.digest, 1, annotations={"n": str(n)}) for n in range(MAX_LAYERS + 1)]
        made = signature_image(layers)
        memory.push(made.root, [made.manifest])
        memory.tag(tag_of(WEB.root.digest), made.root)
        with pytest.raises(LimitError):
            attached(memory, WEB.root.digest)

    def test_an_index_of_that_name_is_none(self) -> None:
        memory = Memory()
        load(memory, {tag_of(WEB.root.digest): index(WEB)})
        with pytest.raises(ProtocolError, match="where an OCI image"):
            attached(memory, WEB.root.digest)

    def test_a_payload_that_is_too_large_is_not_read(self) -> None:
        memory = Memory()
        attach(memory, WEB.root.digest, [Attachment(MEDIA_TYPE, b"x" * ((4 << 20) + 1)).blob()])  # type: ignore[arg-type]
        with pytest.raises(LimitError):
            attached(memory, WEB.root.digest)

    def test_a_swapped_payload_is_an_error(self) -> None:
        memory = Memory()
        attach(memory, WEB.root.digest, [PIECE])  # type: ignore[arg-type]
        memory.contents[digest_of(b"payload")] = b"swapped"
        with pytest.raises(BundlerError):
            attached(memory, WEB.root.digest)


class TestBeside:
    """Both together."""

    def test_attachments_are_read_where_that_is_said(self, tmp_path: Path) -> None:
        memory = Memory()
        attach(memory, WEB.root.digest, [PIECE])  # type: ignore[arg-type]
        for said, found in ((None, [SIMPLE]), (False, [SIMPLE]), (True, [SIMPLE, PIECE])):
            store = lookaside(tmp_path, attachments=said)
            store.put(APP, WEB.root.digest, [SIMPLE])
            assert Beside(APP, store, memory).signatures(WEB.root) == found

    def test_each_kind_goes_where_it_belongs(self, tmp_path: Path) -> None:
        memory, store = Memory(), lookaside(tmp_path, attachments=True)
        keeps = Beside(APP, store, memory, memory)  # type: ignore[arg-type]
        keeps.put_signatures(WEB.root, [PIECE, SIMPLE, OTHER])
        assert store.signatures(APP, WEB.root.digest) == [SIMPLE, OTHER]
        assert attached(memory, WEB.root.digest) == [PIECE]
        keeps.put_signatures(WEB.root, [SECOND])
        assert keeps.signatures(WEB.root) == [SIMPLE, OTHER, PIECE, SECOND]

    def test_what_cant_be_kept_is_said_before(self, tmp_path: Path) -> None:
        store = lookaside(tmp_path)
        keeps = Beside(APP, store, Memory())
        keeps.check(simple=True, sigstore=False)
        with pytest.raises(UnsupportedError, match="sigstore signatures are not kept there"):
            keeps.check(simple=False, sigstore=True)
        web = Lookaside(RegistriesD(Namespace("https://x.example")), fallback="file:///nowhere", fetch=lambda *_: None)
        with pytest.raises(ConfigError, match="can't be written to https"):
            Beside(APP, web, Memory()).check(simple=True, sigstore=False)
        Beside(APP, web, Memory()).check(simple=False, sigstore=False)

    def test_signatures_are_looked_for_at_the_place_that_was_read(self) -> None:
        with Ends(Access()) as ends:
            source = ends.repository(parse_reference("mirror.example/hub/app"))
            assert at_its_place(APP, source) == parse_reference("mirror.example/hub/app:1")
        assert at_its_place(APP, Memory()) == APP


@pytest.fixture
def far(tmp_path: Path) -> Surroundings:
    """Surroundings whose registries.d says that everything is kept."""
    (tmp_path / "registries.d").mkdir()
    said = f"default-docker: {{lookaside: 'file://{tmp_path}/store', use-sigstore-attachments: true}}"
    (tmp_path / "registries.d" / "all.yaml").write_text(said)
    return Surroundings(registries_d=tmp_path / "registries.d", insecure_policy=True)


def copied(source: str, to: str, around: Surroundings, instances: Instances = Instances.ALL) -> Copied:
    access = Access(tls_verify=False, attempts=1)
    with (
        ThreadPoolExecutor(1) as executor,
        Ends(access, surroundings=around) as near,
        Ends(access, surroundings=around) as there,
    ):
        orders = Orders(Wanted(parse_platform("linux/amd64"), instances))
        return copy(source, to, orders, near, there, executor=executor)


def test_all_signatures_of_an_index_travel_there_and_back(tmp_path: Path, far: Surroundings) -> None:
    write_dir(tmp_path / "image", MULTI)
    arm = next(part.descriptor.digest for part in MULTI.parts if part.descriptor.is_manifest)
    (tmp_path / "image" / "signature-1").write_bytes(SIMPLE)
    (tmp_path / "image" / "signature-2").write_bytes(PIECE)
    (tmp_path / "image" / f"{arm[7:]}.signature-1").write_bytes(OTHER)
    before = {path.name: path.read_bytes() for path in (tmp_path / "image").glob("*signature*")}
    with Scripted(HonestRegistry()) as server:
        copied(f"dir:{tmp_path}/image", f"docker://{server.host}/team/app:1", far)
        copied(f"docker://{server.host}/team/app:1", f"dir:{tmp_path}/back", far)
        after = {path.name: path.read_bytes() for path in (tmp_path / "back").glob("*signature*")}
        assert after == before
        shutil.rmtree(tmp_path / "store")
        copied(f"docker://{server.host}/team/app:1", f"dir:{tmp_path}/rest", far)
    assert [path.read_bytes() for path in (tmp_path / "rest").glob("*signature*")] == [PIECE]
