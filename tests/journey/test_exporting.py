"""Signing at export: what is signed under which names, in which order it lands, and that nothing does if signing fails."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from bundler import gpg
from bundler.content import Event, Note, read, silent
from bundler.errors import (
    ArchiveError,
    BundlerError,
    ConfigError,
    DigestError,
    LimitError,
    ProtocolError,
    PushError,
    SignatureError,
    UnsupportedError,
)
from bundler.journey.access import Access, Surroundings
from bundler.journey.demand import Demand
from bundler.journey.ends import Ends
from bundler.journey.exporting import ImageSigners, ImageSigning, open_image_signers
from bundler.journey.far import Pushed, Route, push
from bundler.journey.receipts import recheck, write_receipt
from bundler.oci.attached import companion_tags
from bundler.oci.digest import Digest
from bundler.oci.manifest import parse_manifest
from bundler.oci.reference import Reference
from bundler.policy import docker_place, read_policy
from bundler.registry.process import running
from bundler.transports.docker.lookaside import Lookaside
from bundler.transports.docker.registry import Registry
from bundler.transports.docker.repository import Repository
from bundler.transports.docker.settings import Settings
from bundler.trust.image_signing import cosign_signature, signature_image
from bundler.trust.images.cosign import SIGNATURE, verify_payload
from bundler.trust.keyfile import write_private_key
from bundler.trust.simple_signing import parse_payload
from tests.images import image, index, layer, load
from tests.keyring import Keyring, keyring
from tests.peers import demand, needs
from tests.workshop import API, KEY_PASSWORD, MULTI, NOW, WEB, Workshop, contents, key

KEY = key("site")


def sig_of(digest: Digest) -> str:
    return companion_tags(digest)["signature"]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    place = Workshop(tmp_path_factory.mktemp("built"))
    place.build()
    return place


@pytest.fixture
def host(tmp_path: Path) -> Iterator[str]:
    """The host of an empty registry."""
    with running(tmp_path / "registry") as url:
        yield url.removeprefix("http://")


@pytest.fixture(scope="module")
def ring() -> Iterator[Keyring]:
    with keyring() as made:
        made.make("ann")
        yield made


@pytest.fixture
def ann(ring: Keyring, monkeypatch: pytest.MonkeyPatch) -> str:
    """The fingerprint of the user's GPG key."""
    demand("gpg", "gpgconf")
    monkeypatch.setenv("GNUPGHOME", str(ring.home))
    return ring.fingerprints("ann")[0]


def sent(
    place: Workshop,
    host: str,
    signers: ImageSigners | None,
    *,
    observer: Callable[[Event], None] = silent,
    surroundings: Surroundings | None = None,
    **route: tuple[str, ...],
) -> Pushed:
    with ThreadPoolExecutor(3) as executor:
        return push(
            place.folder / "out",
            place.demand(),
            Route(f"docker://{host}/site", **route),
            Access(tls_verify=False),
            signers=signers,
            surroundings=surroundings,
            executor=executor,
            observer=observer,
        )


def by_cosign(**more: object) -> ImageSigners:
    return ImageSigners(ImageSigning(cosign_key=Path("site.key"), **more), key=KEY)  # type: ignore[arg-type]


def repository(host: str, path: str) -> Repository:
    return Registry(host, Settings(tls_verify=False, proxies={})).repository(path)


def tags(host: str, path: str) -> list[str]:
    try:
        return sorted(repository(host, path).tags())
    except BundlerError:
        return []


def signed_names(host: str, path: str, digest: Digest) -> list[str]:
    """The names that our key gave a manifest."""
    there = repository(host, path)
    root = there.resolve(sig_of(digest))
    layers = parse_manifest(read(there, root), root.media_type, what="sig").layers
    return [
        verify_payload(read(there, each), each.annotations[SIGNATURE], keys=[KEY.public], digest=digest).reference
        for each in layers
    ]


# What a command line says


@pytest.mark.parametrize(
    ("signing", "to", "said"),
    [
        pytest.param({"passphrase_file": Path("p")}, "docker://r.site", "--sign-passphrase-file needs --sign-by", id="word"),
        pytest.param({"lookaside": Path("d")}, "docker://r.site", "--lookaside needs --sign-by", id="lookaside"),
        pytest.param({"gpg_key": "A", "lookaside_url": "file:///x"}, "docker://r.site", "needs --lookaside", id="url"),
        pytest.param({"policy": Path("d")}, "docker://r.site", "--sign-policy needs --sign-by or", id="policy of nobody"),
        pytest.param({"cosign_key": Path("k"), "default": "accept"}, "docker://r.site", "needs --sign-policy", id="default"),
        pytest.param({"cosign_key": Path("k"), "mirrored": True}, "docker://r.site", "needs --sign-policy", id="mirrored"),
        pytest.param({"gpg_key": "A", "policy": Path("d")}, "docker://r.site", "needs --lookaside", id="policy without place"),
        pytest.param({"gpg_key": "A"}, "dir:/x", "and this is none", id="no registry"),
        pytest.param({"cosign_key": Path("k")}, "oci:/x", "and this is none", id="a layout"),
        pytest.param({"cosign_key": Path("k")}, "docker://far/x", "as ones at docker.io", id="a short host"),
        pytest.param({"gpg_key": "A"}, "docker://index.docker.io", "as ones at docker.io", id="an alias"),
        pytest.param(
            {"gpg_key": "A", "lookaside": Path("d"), "lookaside_url": "ftp://x"}, "docker://r.site", "no file://", id="ftp"
        ),
    ],
)  # fmt: skip
def test_what_does_not_go_together(signing: dict[str, object], to: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        open_image_signers(ImageSigning(**signing), to, lambda: b"")  # type: ignore[arg-type]


@pytest.mark.parametrize("option", ["lookaside", "policy"])
def test_a_directory_that_is_a_file(tmp_path: Path, option: str) -> None:
    (tmp_path / "file").touch()
    signing = ImageSigning(gpg_key="A", **{"lookaside": tmp_path / "d", option: tmp_path / "file"})  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="file: is no directory"):
        open_image_signers(signing, "docker://r.site", lambda: b"")


def test_nobody_signs_unless_asked(built: Workshop, host: str) -> None:
    def unasked() -> bytes:
        raise AssertionError("a password was asked for")

    assert open_image_signers(ImageSigning(), "dir:/x", unasked) is None
    pushed = sent(built, host, None)
    assert pushed.receipt.image_signers == ()
    assert tags(host, "site/team/web") == ["1.0"]


def test_a_key_is_opened_before_anything_else(tmp_path: Path) -> None:
    path = tmp_path / "site.key"
    path.touch(mode=0o600)
    signing = ImageSigning(cosign_key=path)
    path.write_bytes(write_private_key(KEY, KEY_PASSWORD))
    opened = open_image_signers(signing, "docker://r.site", lambda: KEY_PASSWORD)
    assert opened is not None
    assert opened.key is not None
    assert opened.key.public == KEY.public
    assert "PrivateKey(ecdsa" not in repr(opened)
    with pytest.raises(ConfigError, match="password"):
        open_image_signers(signing, "docker://r.site", lambda: b"wrong")
    path.write_bytes(write_private_key(key("site", "ed25519"), KEY_PASSWORD))
    with pytest.raises(ConfigError, match="ECDSA P-256"):
        open_image_signers(signing, "docker://r.site", lambda: KEY_PASSWORD)


# cosign


def test_each_image_and_each_of_an_index_is_signed_under_its_full_name(built: Workshop, host: str) -> None:
    pushed = sent(built, host, by_cosign())
    for path, name, digest in (
        ("site/team/web", "1.0", WEB.root.digest),
        ("site/team/multi", "3.0", MULTI.root.digest),
        *(("site/team/multi", "3.0", part.descriptor.digest) for part in MULTI.manifests),
    ):
        assert signed_names(host, path, digest) == [f"{host}/{path}:{name}"]
    assert pushed.receipt.image_signers == (f"cosign:{KEY.public.key_id}",)
    (multi,) = (landed for landed in pushed.receipt.images if "multi" in landed.name)
    assert {each.reference for each in multi.attachments} == {
        f"{host}/site/team/multi:{sig_of(part.descriptor.digest)}" for part in MULTI.manifests
    }


def test_pushing_again_changes_nothing(built: Workshop, host: str) -> None:
    first = sent(built, host, by_cosign())
    again = sent(built, host, by_cosign())
    assert again.outcomes == {}
    assert again.receipt.images == first.receipt.images


def test_one_image_of_two_names_is_signed_under_both(tmp_path: Path, host: str) -> None:
    place = Workshop(tmp_path / "two", upstream={"team/app:1": WEB, "team/app:2": WEB}, images=_listed("1", "2"))
    place.build()
    pushed = sent(place, host, by_cosign())
    assert signed_names(host, "site/team/app", WEB.root.digest) == [f"{host}/site/team/app:{tag}" for tag in "12"]
    assert [len(landed.attachments) for landed in pushed.receipt.images] == [1, 1]


def _listed(*tags: str) -> str:
    return "".join(f"  - image: oci:upstream:team/app:{tag}\n    as: team/app\n" for tag in tags)


def test_of_a_sparse_index_what_is_carried(tmp_path: Path, host: str) -> None:
    arms = [image(layer(f"sparse {n}", 100), platform=f"linux/{n}") for n in ("amd64", "arm64", "s390x")]
    listed = "  - image: oci:upstream\n    as: app\n    platforms: [linux/amd64, linux/arm64]\n"
    place = Workshop(tmp_path / "sparse", listed, upstream={"app": index(*arms)})
    place.build()
    sent(place, host, by_cosign())
    found = tags(host, "site/app")
    assert [sig_of(each.root.digest) in found for each in arms] == [True, True, False]
    assert sig_of(index(*arms).root.digest) in found


def test_an_image_without_a_tag_is_signed_by_its_digest(tmp_path: Path, host: str) -> None:
    place = Workshop(tmp_path / "untagged", "  - oci:upstream:reg.io/team/web:1.0\n")
    place.pull()
    lock = json.loads(place.lock_path.read_text())
    lock["images"][0]["target"] = f"team/web@{WEB.root.digest}"
    place.lock_path.write_text(json.dumps(lock))
    place.pack()
    sent(place, host, by_cosign())
    assert signed_names(host, "site/team/web", WEB.root.digest) == [f"{host}/site/team/web@{WEB.root.digest}"]


def test_a_signature_that_is_there_stays(built: Workshop, host: str) -> None:
    theirs, payload = cosign_signature(WEB.root.digest, "elsewhere/web:1", key("theirs"))
    _put_signatures(host, [(theirs, payload)])
    sent(built, host, by_cosign())
    there = repository(host, "site/team/web")
    root = there.resolve(sig_of(WEB.root.digest))
    layers = parse_manifest(read(there, root), root.media_type, what="sig").layers
    assert [each.annotations for each in layers][:1] == [theirs.annotations]
    assert len(layers) == 2


def _put_signatures(host: str, signatures: list[tuple[object, bytes]]) -> None:
    there = repository(host, "site/team/web")
    made = signature_image([each for each, _ in signatures])  # type: ignore[misc]
    for want, raw in (*signatures, (made.config, made.config_bytes), (made.root, made.manifest)):
        there.push(want, [raw])  # type: ignore[arg-type]
    there.tag(sig_of(WEB.root.digest), made.root)


def test_whoever_signs_during_a_push_keeps_the_signature(
    built: Workshop, host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A registry knows no `only if it is still so`: the push ends before a tag moves, and goes on with both signatures."""
    theirs, payload = cosign_signature(WEB.root.digest, "elsewhere/web:1", key("theirs"))

    def meanwhile(*_: object) -> None:
        _put_signatures(host, [(theirs, payload)])

    monkeypatch.setattr("bundler.journey.far.check_framing", meanwhile)
    with pytest.raises(PushError, match=r"team/web:sha256-.*\.sig: somebody else has signed this image"):
        sent(built, host, by_cosign())
    assert tags(host, "site/team/web") == [sig_of(WEB.root.digest)]
    assert tags(host, "site/team/api") == []
    sent(built, host, by_cosign())
    there = repository(host, "site/team/web")
    root = there.resolve(sig_of(WEB.root.digest))
    layers = parse_manifest(read(there, root), root.media_type, what="sig").layers
    assert [each.annotations for each in layers][:1] == [theirs.annotations]
    assert len(layers) == 2


def test_an_index_in_place_of_signatures(built: Workshop, host: str) -> None:
    load(repository(host, "site/team/web"), {sig_of(WEB.root.digest): MULTI})
    with pytest.raises(ProtocolError, match="where an image with signatures is expected"):
        sent(built, host, by_cosign())
    assert tags(host, "site/team/web") == [sig_of(WEB.root.digest)]


def test_too_many_signatures_are_there(built: Workshop, host: str) -> None:
    _put_signatures(host, [cosign_signature(WEB.root.digest, f"a/b:{n}", KEY) for n in range(128)])
    with pytest.raises(LimitError, match="more than 128 signatures"):
        sent(built, host, by_cosign())
    assert tags(host, "site/team/web") == [sig_of(WEB.root.digest)]


def test_a_digest_that_cosign_has_no_tag_for(tmp_path: Path, host: str) -> None:
    place = Workshop(
        tmp_path / "long", _listed("1"), upstream={"team/app:1": image(layer("long", 50), algorithm="sha512")}
    )
    place.build()
    with pytest.raises(UnsupportedError, match="too long"):
        sent(place, host, by_cosign())
    assert tags(host, "site/team/app") == []


def test_a_receipt_tells_when_a_signature_was_taken_away(built: Workshop, host: str, tmp_path: Path) -> None:
    path = tmp_path / "receipt.json"
    pushed = sent(built, host, by_cosign(), patterns=("*web*",))
    write_receipt(path, pushed.receipt, None)
    load(repository(host, "site/team/web"), {sig_of(WEB.root.digest): API})
    with ThreadPoolExecutor(2) as executor, Ends(Access(tls_verify=False)) as ends:
        drift = recheck(path, (), ends, now=NOW, executor=executor)
    assert [row.state for row in drift.drifted] == ["moved"]
    assert drift.again.endswith("--sign-cosign-key KEY")
    gpg_too = replace(pushed.receipt, image_signers=(f"gpg:{'AB' * 20}",))
    again = f"--sign-by {'AB' * 20} --lookaside LOOKASIDE"
    assert replace(drift, receipt=gpg_too).again.endswith(again)


# GPG


def by_gpg(fingerprint: str, folder: Path, **more: object) -> ImageSigners:
    signing = ImageSigning(gpg_key=fingerprint, lookaside=folder, **more)  # type: ignore[arg-type]
    return ImageSigners(signing)


def payloads(folder: Path, path: str, digest: Digest) -> list[tuple[Digest, str]]:
    files = sorted((folder / f"{path}@{digest.replace(':', '=')}").iterdir())
    found = [parse_payload(gpg.verify(file.read_bytes()).payload) for file in files]
    return [(each.digest, each.reference) for each in found]


@needs("gpg")
def test_simple_signatures_lie_beside_the_registry(built: Workshop, host: str, ann: str, tmp_path: Path) -> None:
    folder = tmp_path / "lookaside"
    pushed = sent(built, host, by_gpg(ann, folder))
    assert pushed.receipt.image_signers == (f"gpg:{ann}",)
    assert payloads(folder, "site/team/web", WEB.root.digest) == [(WEB.root.digest, f"{host}/site/team/web:1.0")]
    for part in MULTI.manifests:
        digest = part.descriptor.digest
        assert payloads(folder, "site/team/multi", digest) == [(digest, f"{host}/site/team/multi:3.0")]
    assert tags(host, "site/team/web") == ["1.0"]
    before = contents(folder)
    again = sent(built, host, by_gpg(ann, folder))
    assert contents(folder) == before
    assert again.receipt.images == pushed.receipt.images
    shutil.rmtree(folder)  # lost: made again, although every image is there
    sent(built, host, by_gpg(ann, folder))
    assert set(contents(folder)) == set(before)


@needs("gpg")
def test_signatures_of_others_stay_and_prove_nothing(built: Workshop, host: str, ann: str, tmp_path: Path) -> None:
    folder = tmp_path / "lookaside" / f"site/team/web@{WEB.root.digest.replace(':', '=')}"
    folder.mkdir(parents=True)
    theirs = (b"\x90 of another", gpg.sign(b"{}", ann))
    for number, raw in enumerate(theirs, 1):
        (folder / f"signature-{number}").write_bytes(raw)
    sent(built, host, by_gpg(ann, tmp_path / "lookaside"), patterns=("*web*",))
    assert [(folder / f"signature-{n}").read_bytes() for n in (1, 2)] == list(theirs)
    assert parse_payload(gpg.verify((folder / "signature-3").read_bytes()).payload).digest == WEB.root.digest


@needs("gpg")
def test_whoever_signs_beside_the_registry_during_a_push_keeps_the_signature(
    built: Workshop, host: str, ann: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "lookaside" / f"site/team/web@{WEB.root.digest.replace(':', '=')}"

    def meanwhile(*_: object) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "signature-1").write_bytes(b"\x90 of another")

    monkeypatch.setattr("bundler.journey.far.check_framing", meanwhile)
    sent(built, host, by_gpg(ann, tmp_path / "lookaside"), patterns=("*web*",))
    assert (folder / "signature-1").read_bytes() == b"\x90 of another"
    assert parse_payload(gpg.verify((folder / "signature-2").read_bytes()).payload).digest == WEB.root.digest
    assert len(list(folder.iterdir())) == 2


@needs("gpg")
def test_one_signature_more_than_anybody_reads(built: Workshop, host: str, ann: str, tmp_path: Path) -> None:
    """It would make all of them unreadable, for everybody."""
    folder = tmp_path / "lookaside" / f"site/team/web@{WEB.root.digest.replace(':', '=')}"
    folder.mkdir(parents=True)
    for number in range(1, 129):
        (folder / f"signature-{number}").write_bytes(b"\x90 of another")
    with pytest.raises(LimitError, match="nobody reads more than 128"):
        sent(built, host, by_gpg(ann, tmp_path / "lookaside"), patterns=("*web*",))
    assert len(list(folder.iterdir())) == 128
    assert tags(host, "site/team/web") == []


@needs("gpg")
def test_without_a_directory_registries_d_decides(built: Workshop, host: str, ann: str, tmp_path: Path) -> None:
    (tmp_path / "registries.d").mkdir()
    (tmp_path / "registries.d" / "here.yaml").write_text(f"docker:\n  {host}: {{lookaside: file://{tmp_path}/there}}\n")
    around = Surroundings(registries_d=tmp_path / "registries.d")
    sent(built, host, ImageSigners(ImageSigning(gpg_key=ann)), surroundings=around)
    assert payloads(tmp_path / "there", "site/team/web", WEB.root.digest)


@needs("gpg")
def test_a_subkey_is_warned_about(built: Workshop, host: str, ann: str, ring: Keyring, tmp_path: Path) -> None:
    carol = ring.make("carol")
    ring("--passphrase", "", "--quick-add-key", carol, "ed25519", "sign", "0")
    seen: list[Event] = []
    pushed = sent(built, host, by_gpg(carol, tmp_path / "d"), observer=seen.append, patterns=("*web*",))
    assert pushed.receipt.image_signers == (f"gpg:{carol}",)
    assert [event for event in seen if isinstance(event, Note) and "signs with its subkey" in event.text]


@needs("gpg")
def test_a_key_with_a_passphrase(built: Workshop, host: str, ann: str, ring: Keyring, tmp_path: Path) -> None:
    dora = ring.make("dora", passphrase="a long word")
    word = tmp_path / "word"
    signing = ImageSigning(gpg_key=dora, passphrase_file=word, lookaside=tmp_path / "d")
    for given in ("wrong", "a long word"):
        ring.forget_passphrases()
        word.write_text(f"{given}\n")
        signers = open_image_signers(signing, f"docker://{host}", lambda: b"")
        assert given not in repr(signers)
        if given == "wrong":
            with pytest.raises(ConfigError, match="nothing was signed"):
                sent(built, host, signers, patterns=("*web*",))
            assert tags(host, "site/team/web") == []
        else:
            sent(built, host, signers, patterns=("*web*",))
            assert payloads(tmp_path / "d", "site/team/web", WEB.root.digest)


# Order, and what fails


@needs("gpg")
def test_files_then_signatures_then_images(
    built: Workshop, host: str, ann: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []

    def put(self: Lookaside, *args: object, _real: Callable[..., None] = Lookaside.put) -> None:
        done.append("file")
        _real(self, *args)

    def tag(self: Repository, name: str, *args: object, _real: Callable[..., None] = Repository.tag) -> None:
        done.append("signature" if name.endswith(".sig") else "image")
        _real(self, name, *args)

    monkeypatch.setattr(Lookaside, "put", put)
    monkeypatch.setattr(Repository, "tag", tag)
    signers = replace(by_gpg(ann, tmp_path / "d", policy=tmp_path / "policy"), key=KEY)
    pushed = sent(built, host, signers)
    assert done == sorted(done, key=["file", "signature", "image"].index)
    assert set(done) == {"file", "signature", "image"}
    assert pushed.receipt.image_signers == (f"gpg:{ann}", f"cosign:{KEY.public.key_id}")


@needs("gpg")
@pytest.mark.parametrize("fingerprint", ["AB" * 20, "not a key"])
def test_a_key_that_cannot_sign_sends_nothing(
    built: Workshop, host: str, ann: str, tmp_path: Path, fingerprint: str
) -> None:
    with pytest.raises(ConfigError, match="GPG key"):
        sent(built, host, by_gpg(fingerprint, tmp_path / "d"))
    assert not (tmp_path / "d").exists()
    assert tags(host, "site/team/web") == []
    assert not repository(host, "site/team/web").has(WEB.blobs[0].descriptor)


@needs("gpg")
def test_a_place_for_signatures_that_is_none_sends_nothing(
    built: Workshop, host: str, ann: str, tmp_path: Path
) -> None:
    (tmp_path / "d").write_text("a file")
    with pytest.raises(BundlerError):
        sent(built, host, by_gpg(ann, tmp_path / "d"))
    assert not repository(host, "site/team/web").has(WEB.blobs[0].descriptor)


@needs("gpg")
def test_a_damaged_bundle_leaves_no_signature(built: Workshop, host: str, ann: str, tmp_path: Path) -> None:
    place = Workshop(tmp_path / "copy")
    shutil.copytree(built.folder / "out", place.folder / "out")
    volume = place.folder / "out" / "volume-0001.tar.zst"
    raw = bytearray(volume.read_bytes())
    at = raw.index(API.blobs[1].raw)
    raw[at + 20] ^= 1
    volume.write_bytes(raw)
    signers = replace(by_gpg(ann, tmp_path / "d", policy=tmp_path / "policy"), key=KEY)
    with pytest.raises((DigestError, ArchiveError)):
        sent(place, host, signers)
    assert [path for path in (tmp_path / "d").rglob("*") if path.is_file()] == []
    assert [path for path in (tmp_path / "policy").rglob("*") if path.is_file()] == []
    assert tags(host, "site/team/web") == tags(host, "site/team/api") == []


def test_an_unsigned_bundle_is_not_signed_on(built: Workshop, host: str, tmp_path: Path) -> None:
    place = Workshop(tmp_path / "copy")
    shutil.copytree(built.folder / "out", place.folder / "out")
    for path in (place.folder / "out").glob("*.sig"):
        path.unlink()
    with pytest.raises(SignatureError):
        sent(place, host, by_cosign(policy=tmp_path / "policy"))
    assert not (tmp_path / "policy").exists()
    assert tags(host, "site/team/web") == []


def test_what_anyone_could_have_made_is_not_signed(built: Workshop, host: str) -> None:
    unsafe = Demand.of((), 1, now=NOW, unsafe=True)
    with ThreadPoolExecutor(1) as executor, pytest.raises(ConfigError, match="anyone could have made"):
        push(
            built.folder / "out",
            unsafe,
            Route(f"docker://{host}/site"),
            Access(tls_verify=False),
            signers=by_cosign(),
            executor=executor,
        )
    assert tags(host, "site/team/web") == []


# The policy


@needs("gpg")
def test_the_policy_is_written_with_its_keys(built: Workshop, host: str, ann: str, tmp_path: Path) -> None:
    url = "https://signatures.site/store"
    signing = ImageSigning(gpg_key=ann, lookaside=tmp_path / "d", lookaside_url=url, policy=tmp_path / "policy")
    sent(built, host, ImageSigners(signing, key=KEY), patterns=("*web*",))
    written = contents(tmp_path / "policy")
    where = f"registries.d/{host.replace(':', '-')}.yaml"
    assert set(written) == {"policy.json", where, f"keys/{ann}.gpg", f"keys/{KEY.public.short_id}.pub"}
    assert url in written[where].decode()
    assert b"use-sigstore-attachments: true" in written[where]
    assert written[f"keys/{KEY.public.short_id}.pub"] == KEY.public.pem
    place = docker_place(Reference(host, "site/team/web", "1.0"))
    scope, requirements = read_policy(written["policy.json"]).requirements(place)
    assert (scope, [each.name for each in requirements]) == (
        f"transports.docker['{host}']",
        ["signedBy", "sigstoreSigned"],
    )
    sent(built, host, ImageSigners(signing, key=KEY), patterns=("*web*",))
    assert contents(tmp_path / "policy") == written


def test_a_policy_that_is_none_sends_nothing(built: Workshop, host: str, tmp_path: Path) -> None:
    (tmp_path / "policy").mkdir()
    (tmp_path / "policy" / "policy.json").write_text('{"default": []}')
    with pytest.raises(ConfigError):
        sent(built, host, by_cosign(policy=tmp_path / "policy"))
    assert contents(tmp_path / "policy") == {"policy.json": b'{"default": []}'}
    assert tags(host, "site/team/web") == []
