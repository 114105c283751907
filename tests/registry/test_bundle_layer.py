"""A bundle as a layer: served from its volumes, and never wrong bytes to their end."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from bundler.bundle.statement import Attachment, CarriedImage
from bundler.errors import ArchiveError, BundlerError, DigestError
from bundler.oci import mediatype
from bundler.oci.descriptor import Descriptor
from bundler.oci.digest import Digest, digest_of
from bundler.registry.bundle_layer import BundleLayer
from bundler.store import Store
from tests.bundle.making import MIB, Made, big, make
from tests.images import Image, Part, artifact, image, index, layer, part
from tests.registry.bundles import flip, opened, rows, volume
from tests.registry.caller import Caller, serving
from tests.store.invariants import assert_sound

STORED = layer("stored", 1500)
ZSTD = big("compressed", 3 * MIB, media_type=mediatype.OCI_LAYER, dense=False)
LARGE = big("large", 2 * MIB + 5, media_type=mediatype.OCI_LAYER_GZIP)
CUT = big("cut", 3 * MIB, media_type=mediatype.OCI_LAYER_GZIP)
EMPTY = part(b"", mediatype.OCI_LAYER)
APP = image(STORED, ZSTD, LARGE, EMPTY)
ARM = image(layer("arm", 700), platform="linux/arm64")
MULTI = index(image(STORED), ARM)
SBOM = artifact(b"sbom", subject=APP)
ABSENT = digest_of(b"absent")
KINDS = [pytest.param(each, id=name) for name, each in (("stored", STORED), ("zstd", ZSTD), ("large", LARGE))]


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> Made:
    folder = tmp_path_factory.mktemp("bundles") / "edge"
    return make(folder, {"team/app:1": APP, "team/multi:1": MULTI})


@pytest.fixture
def made(packed: Made, tmp_path: Path) -> Made:
    """A copy to be spoilt."""
    shutil.copytree(packed.directory, tmp_path / "edge")
    return replace(packed, directory=tmp_path / "edge")


@pytest.fixture
def bundle(made: Made) -> BundleLayer:
    return opened(made)


@pytest.fixture
def registry(bundle: BundleLayer) -> Iterator[Caller]:
    with serving(None, bundle) as registry:
        yield registry


def blob(one: Part, repository: str = "team/app") -> str:
    return f"/v2/{repository}/blobs/{one.descriptor.digest}"


def test_the_members_are_what_they_are_called(packed: Made) -> None:
    assert {one.method for one in rows(packed, ZSTD.descriptor.digest)} == {"zstd"}
    assert {one.method for one in rows(packed, STORED.descriptor.digest)} == {"stored"}


def test_everything_is_served(registry: Caller) -> None:
    for each in (*APP.parts, *APP.parts):  # the second time from what was found sound
        assert registry.call("GET", blob(each)).body == each.raw
        assert registry.call("GET", blob(each), headers={"Range": "bytes=0-"}).status in (206, 416)
    for each in MULTI.manifests:
        answer = registry.call("GET", f"/v2/team/multi/manifests/{each.descriptor.digest}")
        assert (answer.body, answer.headers["content-type"]) == (each.raw, each.descriptor.media_type)
    assert registry.call("GET", "/v2/_catalog").json == {"repositories": ["team/app", "team/multi"]}
    assert registry.call("GET", "/v2/team/app/tags/list").json["tags"] == ["1"]
    assert registry.call("GET", f"/v2/team/app/blobs/{ABSENT}").status == 404


@pytest.mark.parametrize("one", KINDS)
@pytest.mark.parametrize("known", [False, True], ids=["first", "again"])
@pytest.mark.parametrize("said", ["0-0", "0-9", "1000-1999", "1500-", "-7", "0-99999999"])
def test_parts(registry: Caller, one: Part, known: bool, said: str) -> None:
    if known:
        registry.call("GET", blob(one))
    answer = registry.call("GET", blob(one), headers={"Range": f"bytes={said}"})
    first, _, last = said.partition("-")
    size = len(one.raw)
    start = int(first) if first else size - int(last)
    stop = min(size, int(last) + 1) if first and last else size
    assert (answer.status, answer.body) == (206, one.raw[start:stop])


@pytest.mark.parametrize("one", KINDS)
@pytest.mark.parametrize("framing", [False, True], ids=["content", "framing"])
class TestDamage:
    def test_whole(self, made: Made, one: Part, framing: bool) -> None:
        flip(made, one.descriptor.digest, framing=framing)
        bundle = opened(made)
        with serving(None, bundle) as registry:
            assert registry.call("HEAD", blob(one)).status == 200  # nobody has read it yet
            got = registry.broken(blob(one))
            assert one.raw.startswith(got) or not framing
            assert len(got) < len(one.raw)
            assert bundle.damaged == 1
            for method in ("GET", "HEAD"):
                assert registry.call(method, blob(one)).status == 404
            others = [each for each in APP.blobs if each is not one]
            assert all(registry.call("GET", blob(each)).body == each.raw for each in others)

    @pytest.mark.parametrize("said", ["0-0", "0-9", "10-19", "-1"])
    def test_part(self, made: Made, one: Part, framing: bool, said: str) -> None:
        """A client can't check a part: so it gets nothing of a content that nobody has read yet and that is wrong."""
        flip(made, one.descriptor.digest, framing=framing)
        with serving(None, opened(made)) as registry:
            assert registry.broken(blob(one), {"Range": f"bytes={said}"}) == b""
            assert registry.call("GET", blob(one), headers={"Range": f"bytes={said}"}).status == 404


def test_a_damaged_manifest_is_not_there(made: Made) -> None:
    flip(made, MULTI.root.digest)
    flip(made, ARM.root.digest)
    with serving(None, opened(made)) as registry:
        assert registry.call("GET", "/v2/team/multi/manifests/1").status == 404
        assert registry.call("GET", "/v2/team/app/manifests/1").body == APP.raw


def test_two_at_once_on_the_first_read(bundle: BundleLayer) -> None:
    one, other = bundle.served(LARGE.descriptor.digest), bundle.served(LARGE.descriptor.digest)
    first = [next(one), next(other)]
    assert first[0] == first[1] == LARGE.raw[: len(first[0])]
    assert first[0] + b"".join(one) == first[1] + b"".join(other) == LARGE.raw


def test_two_clients_at_once(registry: Caller) -> None:
    async def both() -> list[bytes]:
        answers = await asyncio.gather(*(registry.ask("GET", blob(LARGE)) for _ in range(2)))
        return [answer.body for answer in answers]

    assert asyncio.run(both()) == [LARGE.raw, LARGE.raw]


def test_two_at_once_on_a_damaged_content(made: Made) -> None:
    flip(made, LARGE.descriptor.digest)
    bundle = opened(made)
    one, other = bundle.served(LARGE.descriptor.digest), bundle.served(LARGE.descriptor.digest)
    next(one), next(other)
    for each in (one, other):
        with pytest.raises(DigestError):
            list(each)
    assert bundle.size_of(LARGE.descriptor.digest) is None


def test_who_leaves_in_the_middle_proves_nothing(bundle: BundleLayer) -> None:
    chunks = bundle.served(LARGE.descriptor.digest)
    next(chunks)
    chunks.close()
    assert bundle.damaged == 0
    assert b"".join(bundle.served(LARGE.descriptor.digest)) == LARGE.raw


class TestCut:
    """A content that lies in several volumes."""

    @pytest.fixture
    def made(self, tmp_path: Path) -> Made:
        made = make(tmp_path / "edge", {"team/app:1": image(CUT)}, limit=2 * MIB)
        assert len(rows(made, CUT.descriptor.digest)) > 1
        return made

    @pytest.mark.parametrize("said", ["", "0-9", f"{2 * MIB - 100}-{2 * MIB + 100}", "-5"])
    def test_read(self, made: Made, said: str) -> None:
        with serving(None, opened(made)) as registry:
            answer = registry.call("GET", blob(CUT), headers={"Range": f"bytes={said}"} if said else {})
            first, _, last = said.partition("-")
            start = int(first) if first else len(CUT.raw) - int(last or len(CUT.raw))
            assert answer.body == CUT.raw[start : int(last) + 1 if first else None]

    def test_the_last_part_is_wrong(self, made: Made) -> None:
        flip(made, CUT.descriptor.digest)
        with serving(None, opened(made)) as registry:
            registry.broken(blob(CUT))
            assert registry.call("HEAD", blob(CUT)).status == 404

    @pytest.mark.parametrize("change", ["removed", "replaced", "link", "shorter"])
    @pytest.mark.parametrize("known", [False, True])
    def test_a_volume_that_changes_while_it_is_served(self, made: Made, change: str, known: bool) -> None:
        last = volume(made, rows(made, CUT.descriptor.digest)[-1].volume)
        with serving(None, opened(made)) as registry:
            assert registry.call("GET", "/v2/team/app/manifests/1").status == 200
            assert registry.call("HEAD", blob(CUT)).status == 200
            if known:
                registry.call("GET", blob(CUT))
            raw = last.read_bytes()
            moved = last.with_name("moved")
            last.rename(moved)
            if change == "replaced":
                last.write_bytes(raw)
            elif change == "link":
                last.symlink_to(moved)
            elif change == "shorter":
                moved.rename(last)
                os.truncate(last, len(raw) - 1000)
            assert CUT.raw.startswith(registry.broken(blob(CUT)))
            answer = registry.call("GET", "/v2/team/app/manifests/1")  # it lies in that volume too
            assert answer.status == (500 if change == "removed" else 404)
            assert registry.call("GET", "/v2/").status == 200

    def test_a_volume_that_comes_back_is_read_again(self, made: Made) -> None:
        last = volume(made, rows(made, CUT.descriptor.digest)[-1].volume)
        bundle = opened(made)
        away = last.rename(last.with_name("away"))
        with pytest.raises(BundlerError):
            list(bundle.served(CUT.descriptor.digest))
        away.rename(last)
        if bundle.damaged == 0:  # a missing file says nothing about the content
            assert b"".join(bundle.served(CUT.descriptor.digest)) == CUT.raw


class TestNames:
    def test_by_the_full_name_and_by_the_target(self, tmp_path: Path) -> None:
        root = Descriptor(APP.root.media_type, APP.root.digest, APP.root.size)
        attached = Attachment("", Descriptor(mediatype.OCI_MANIFEST, SBOM.root.digest, SBOM.root.size))
        carried = (CarriedImage("docker.io/library/app:1", "mirror/app:1", root, attachments=(attached,)),)
        made = make(tmp_path / "edge", {"a": APP, "b": SBOM}, carried=carried)
        with serving(None, opened(made)) as registry:
            assert registry.call("GET", "/v2/_catalog").json["repositories"] == ["docker.io/library/app", "mirror/app"]
            for repository in ("mirror/app", "docker.io/library/app", "library/app"):
                assert registry.call("GET", f"/v2/{repository}/manifests/1").body == APP.raw
                listed = registry.call("GET", f"/v2/{repository}/referrers/{APP.root.digest}").json["manifests"]
                assert [each["digest"] for each in listed] == [SBOM.root.digest], repository
                assert registry.call("GET", f"/v2/{repository}/manifests/{SBOM.root.digest}").body == SBOM.raw

    def test_a_sparse_index(self, tmp_path: Path, store: Store) -> None:
        """What another layer has of it is no part of what was bundled."""
        kept = image(STORED)
        root = Descriptor(MULTI.root.media_type, MULTI.root.digest, MULTI.root.size)
        carried = (CarriedImage("team/multi:1", "team/multi:1", root, children=(kept.root.digest,)),)
        wants = [each.descriptor for each in (*kept.parts, MULTI.parts[-1])]
        made = make(tmp_path / "edge", {"a": MULTI}, wants=wants, carried=carried)
        with serving(store, opened(made)) as registry:
            registry.push("secret", "1", ARM)
            assert registry.call("GET", "/v2/team/multi/manifests/1").body == MULTI.raw
            assert registry.call("GET", f"/v2/team/multi/manifests/{kept.root.digest}").body == kept.raw
            for each in ARM.parts:
                assert registry.call("GET", blob(each, "team/multi")).status == 404

    def test_a_sparse_index_that_is_damaged(self, tmp_path: Path) -> None:
        root = Descriptor(MULTI.root.media_type, MULTI.root.digest, MULTI.root.size)
        carried = (CarriedImage("team/multi:1", "team/multi:1", root, children=(image(STORED).root.digest,)),)
        made = make(tmp_path / "edge", {"a": MULTI}, carried=carried)
        flip(made, MULTI.root.digest)
        assert opened(made).names().repositories() == ["team/multi"]


def all_files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


class TestStoreOverBundle:
    @pytest.fixture
    def registry(self, store: Store, bundle: BundleLayer) -> Iterator[Caller]:
        with serving(store, bundle) as registry:
            yield registry

    def test_what_is_pushed_makes_the_store_whole(self, registry: Caller, store: Store, made: Made) -> None:
        """Its layers were in the bundle only, so no client uploads them; the store is to stand without the bundle."""
        own = layer("own", 300)
        changed = image(STORED, ZSTD, own)
        for each in changed.blobs:
            if registry.call("HEAD", blob(each)).status == 404:
                assert registry.upload("team/app", each.raw, each.descriptor.digest).status == 201
        held = {digest for digest, _ in store.blobs()}
        assert held == {own.descriptor.digest, changed.blobs[-1].descriptor.digest}
        assert registry.put("team/app", "2", changed.raw, changed.root.media_type).status == 201
        assert assert_sound(Path(store.path)) == {"team/app:2": changed.root.digest}
        assert store.check().sound
        shutil.rmtree(made.directory)
        with serving(Store.open(store.path)) as alone:
            for each in changed.parts:
                assert alone.call("GET", blob(each)).body == each.raw

    def test_an_index_over_what_is_in_the_bundle(self, registry: Caller, store: Store) -> None:
        both = index(image(STORED), ARM, annotations={"again": "yes"})
        assert registry.put("team/multi", "2", both.raw, both.root.media_type).status == 201
        assert store.check().sound
        assert {digest for digest, _ in store.blobs()} == both.digests()

    def test_a_mount_out_of_the_bundle(self, registry: Caller, store: Store) -> None:
        for each in ARM.blobs:
            target = f"/v2/mine/blobs/uploads/?mount={each.descriptor.digest}&from=team/multi"
            assert registry.call("POST", target).status == 201
        assert registry.put("mine", "1", ARM.raw, ARM.root.media_type).status == 201
        assert store.check().sound
        assert {digest for digest, _ in store.blobs()} == ARM.digests()

    def test_a_damaged_content_is_not_copied(self, store: Store, made: Made) -> None:
        flip(made, STORED.descriptor.digest)
        changed = image(STORED)
        config = changed.blobs[-1]
        with serving(store, opened(made)) as registry:
            registry.upload("team/app", config.raw, config.descriptor.digest)
            assert registry.put("team/app", "2", changed.raw, changed.root.media_type).status in (400, 500)
            assert registry.call("GET", "/v2/team/app/manifests/2").status == 404
        assert STORED.descriptor.digest not in {digest for digest, _ in store.blobs()}
        assert assert_sound(Path(store.path)) == {}

    def test_a_tag_over_that_of_the_bundle(self, registry: Caller, store: Store) -> None:
        registry.push("team/app", "1", ARM)
        assert registry.call("GET", "/v2/team/app/manifests/1").body == ARM.raw
        answer = registry.call("DELETE", "/v2/team/app/manifests/1")
        assert (answer.status, answer.errors) == (405, ["UNSUPPORTED"])  # that of the bundle would show
        assert registry.call("GET", "/v2/team/app/manifests/1").body == ARM.raw

    @pytest.mark.parametrize(
        "target",
        [
            "manifests/1",
            f"manifests/{APP.root.digest}",
            f"blobs/{STORED.descriptor.digest}",
            f"blobs/{APP.root.digest}",
        ],
    )
    def test_nothing_of_a_bundle_can_be_deleted(self, registry: Caller, store: Store, made: Made, target: str) -> None:
        registry.put("team/app", "own", APP.raw, APP.root.media_type)  # the same manifest, so one delete is about both
        before, notes = all_files(made.directory), registry.arrivals.all()
        index_before = store.index().document
        answer = registry.call("DELETE", f"/v2/team/app/{target}")
        assert (answer.status, answer.headers["allow"]) == (405, "GET, HEAD")
        assert all_files(made.directory) == before
        assert store.index().document == index_before
        assert registry.arrivals.all() == notes
        for reference in ("1", "own", APP.root.digest):
            assert registry.call("GET", f"/v2/team/app/manifests/{reference}").body == APP.raw

    def test_nor_a_child_that_its_index_needs(self, registry: Caller) -> None:
        answer = registry.call("DELETE", f"/v2/team/multi/manifests/{ARM.root.digest}")
        assert (answer.status, answer.errors) == (405, ["UNSUPPORTED"])
        assert registry.call("GET", f"/v2/team/multi/manifests/{ARM.root.digest}").body == ARM.raw

    def test_what_is_damaged_in_the_store_is_read_from_the_bundle(self, store: Store, bundle: BundleLayer) -> None:
        for each in APP.parts:
            store.push(each.descriptor, [each.raw])
        store.tag("team/app:1", APP.root)
        for digest in (APP.root.digest, STORED.descriptor.digest):
            path = Path(store.path) / "blobs/sha256" / digest.partition(":")[2]
            path.write_bytes(b"damaged")
        with serving(store, bundle) as registry:
            assert registry.call("GET", "/v2/team/app/manifests/1").body == APP.raw
            assert registry.call("GET", blob(STORED)).body == STORED.raw


class TestTwoBundles:
    @pytest.fixture
    def older(self, tmp_path: Path) -> BundleLayer:
        old = image(STORED, layer("old", 100))
        return opened(make(tmp_path / "older", {"team/app:1": old, "team/app:0": old}))

    @pytest.fixture
    def newer(self, tmp_path: Path) -> BundleLayer:
        """It builds on the older one, and carries only what that has not."""
        new = self.new()
        wants = [each.descriptor for each in new.parts if each.descriptor.digest != STORED.descriptor.digest]
        return opened(make(tmp_path / "newer", {"team/app:1": new}, wants=wants, serial=2))

    def new(self) -> Image:
        return image(STORED, layer("new", 100))

    def test_the_newest_first(self, older: BundleLayer, newer: BundleLayer) -> None:
        with serving(None, newer, older) as registry:
            assert registry.call("GET", "/v2/team/app/tags/list").json["tags"] == ["0", "1"]
            assert registry.call("GET", "/v2/team/app/manifests/1").body == self.new().raw
            assert registry.call("GET", blob(STORED)).body == STORED.raw
        with serving(None, older, newer) as registry:
            assert registry.call("GET", "/v2/team/app/manifests/1").body != self.new().raw

    def test_without_the_one_behind_it_lacks_what_that_has(self, newer: BundleLayer) -> None:
        with serving(None, newer) as registry:
            assert registry.call("GET", "/v2/team/app/manifests/1").status == 200
            assert registry.call("GET", blob(STORED)).status == 404


def test_errors_name_the_bundle(made: Made, caplog: pytest.LogCaptureFixture) -> None:
    flip(made, STORED.descriptor.digest)
    digest: Digest = STORED.descriptor.digest
    with pytest.raises((DigestError, ArchiveError)):
        list(opened(made).served(digest))
    assert str(made.directory) in caplog.text
    assert digest in caplog.text
