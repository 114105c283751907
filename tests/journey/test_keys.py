"""Key pairs on disk, and signing a bundle that lies there."""

from __future__ import annotations

import errno
import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from bundler.bundle.directory import locked
from bundler.errors import ArchiveError, ConfigError, LimitError, LockedError, SignatureError, SpaceError, TrustError
from bundler.journey.far import describe
from bundler.journey.files import write_new
from bundler.journey.keys import generate, open_private_keys, read_public_keys, sign_bundle
from bundler.trust.signing import PrivateKey
from tests.workshop import KEY_PASSWORD, Workshop, contents, key


def opened(*paths: Path, password: bytes = KEY_PASSWORD) -> tuple[PrivateKey, ...]:
    with ThreadPoolExecutor(1) as executor:
        return open_private_keys(paths, lambda: password, executor).result()


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The prefix of a pair."""
    prefix = tmp_path_factory.mktemp("keys") / "release.v1"
    generate(prefix, "ecdsa-p256", KEY_PASSWORD)
    return prefix


def test_a_pair_as_it_lies_there(tmp_path: Path) -> None:
    made = generate(tmp_path / "release.v1", "ed25519", KEY_PASSWORD)
    assert (made.private.name, made.public.name) == ("release.v1.key", "release.v1.pub")
    assert stat.S_IMODE(made.private.stat().st_mode) == 0o600
    assert made.private.read_text().startswith("-----BEGIN ENCRYPTED SIGSTORE PRIVATE KEY-----")
    assert made.public.read_text().startswith("-----BEGIN PUBLIC KEY-----")
    (private,), (public,) = opened(made.private), read_public_keys((made.public,))
    assert private.public.key_id == public.key_id == made.key_id
    public.verify(b"message", private.sign(b"message"))


@pytest.mark.parametrize("taken", ["release.key", "release.pub"])
def test_nothing_is_overwritten(tmp_path: Path, taken: str) -> None:
    (tmp_path / taken).write_text("precious")
    with pytest.raises(ConfigError, match=f"{taken} exists already"):
        generate(tmp_path / "release", "ecdsa-p256", KEY_PASSWORD)
    assert contents(tmp_path) == {taken: b"precious"}


@pytest.mark.parametrize(
    ("prefix", "kind", "password"),
    [
        pytest.param("nowhere/release", "ecdsa-p256", KEY_PASSWORD, id="no-directory"),
        pytest.param("release", "rsa", KEY_PASSWORD, id="another-kind"),
        pytest.param("release", "ecdsa-p256", b"", id="no-password"),
    ],
)
def test_pairs_that_are_not_made(tmp_path: Path, prefix: str, kind: str, password: bytes) -> None:
    with pytest.raises(ConfigError):
        generate(tmp_path / prefix, kind, password)
    assert contents(tmp_path) == {}


@pytest.mark.parametrize("prefix", [".", "/", ""])
def test_a_prefix_without_a_name(prefix: str) -> None:
    with pytest.raises(ConfigError, match="names no file"):
        generate(Path(prefix), "ecdsa-p256", KEY_PASSWORD)


def test_private_keys_that_do_not_open(pair: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="password does not open"):
        opened(Path(f"{pair}.key"), password=b"another")
    with pytest.raises(ConfigError, match=r"release\.v1\.pub: is a public key"):
        opened(Path(f"{pair}.pub"))
    with pytest.raises(ConfigError, match="does not exist") as caught:
        opened(tmp_path / "absent.key")
    assert "PREFIX.key" in (caught.value.hint or "")
    with pytest.raises(ConfigError, match="does not exist") as caught:
        read_public_keys((tmp_path / "absent.pub",))
    assert "PREFIX.pub" in (caught.value.hint or "")
    write_new(tmp_path / "huge.key", b"x" * 70_000, mode=0o600)
    with pytest.raises(LimitError):
        opened(tmp_path / "huge.key")


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o660, 0o602, 0o601], ids=oct)
def test_a_private_key_that_others_can_read_is_refused(pair: Path, tmp_path: Path, mode: int) -> None:
    path = tmp_path / "release.key"
    path.write_bytes(Path(f"{pair}.key").read_bytes())
    path.chmod(mode)
    with pytest.raises(ConfigError, match=f"others can read: its mode is {mode:04o}") as caught:
        opened(path)
    assert f"chmod 600 {path}" in caught.value.hint
    path.chmod(0o400)
    assert len(opened(path)) == 1


def test_a_private_key_through_a_pipe_has_no_mode(pair: Path) -> None:
    reading, writing = os.pipe()
    try:
        os.write(writing, Path(f"{pair}.key").read_bytes())
        os.close(writing)
        assert len(opened(Path(f"/dev/fd/{reading}"))) == 1
    finally:
        os.close(reading)


def test_no_key_asks_for_no_password() -> None:
    def ask() -> bytes:
        raise AssertionError("asked")

    with ThreadPoolExecutor(1) as executor:
        assert open_private_keys((), ask, executor).result() == ()


def test_the_password_is_asked_for_once_for_all_keys(pair: Path) -> None:
    asked: list[int] = []

    def ask() -> bytes:
        asked.append(1)
        return KEY_PASSWORD

    with ThreadPoolExecutor(1) as executor:
        opening = open_private_keys((Path(f"{pair}.key"), Path(f"{pair}.key")), ask, executor)
        assert asked == [1]
        assert len(opening.result()) == 2


@pytest.fixture
def place(tmp_path: Path) -> Workshop:
    place = Workshop(tmp_path)
    place.build()
    return place


def test_a_second_signer_makes_two_of_two(place: Workshop) -> None:
    bundle, second = place.folder / "out", key("second", "ed25519")
    assert sign_bundle(bundle, [second]) == (second.public.key_id,)
    trusted = place.demand(key("release"), second, threshold=2).trust(bundle)
    assert set(trusted.signers) == {key("release").public.key_id, second.public.key_id}
    assert len(describe(bundle).signers) == 2


def test_signing_twice_changes_nothing(place: Workshop) -> None:
    bundle = place.folder / "out"
    before = contents(bundle)
    sign_bundle(bundle, [key("release")])
    assert contents(bundle) == before
    sign_bundle(bundle, [key("second")])
    once = contents(bundle)
    sign_bundle(bundle, [key("second"), key("release")])
    assert contents(bundle) == once


def test_two_signers_in_either_order_leave_the_volumes_alone(place: Workshop) -> None:
    bundle = place.folder / "out"
    before = contents(bundle)
    sign_bundle(bundle, [key("second")])
    after = contents(bundle)
    assert {name for name in after if after[name] != before.get(name)} == {
        "bundle.dsse.json",
        f"SHA256SUMS.{key('second').public.key_id[:16]}.sig",
    }


@pytest.mark.parametrize(
    ("name", "error"),
    [
        pytest.param("bundle.dsse.json", SignatureError, id="an-unfinished-bundle"),
        pytest.param("inventory.json", ArchiveError, id="without-its-inventory"),
        pytest.param("SHA256SUMS", ArchiveError, id="without-its-sums"),
    ],
)
def test_what_is_not_whole_is_not_signed(place: Workshop, name: str, error: type[Exception]) -> None:
    bundle = place.folder / "out"
    (bundle / name).unlink()
    before = contents(bundle)
    with pytest.raises(error):
        sign_bundle(bundle, [key("second")])
    assert contents(bundle) == before


def test_what_does_not_agree_is_not_signed(place: Workshop) -> None:
    sums = place.folder / "out" / "SHA256SUMS"
    was = sums.read_text()
    lines = was.splitlines()
    at = next(n for n, line in enumerate(lines) if "volume-0001" in line)
    lines[at] = ("1" if lines[at][0] == "0" else "0") + lines[at][1:]
    sums.write_text("\n".join(lines) + "\n")
    with pytest.raises(ArchiveError, match=r"volume-0001\.tar\.zst another digest"):
        sign_bundle(place.folder / "out", [key("second")])
    sums.write_text(was)
    inventory = place.folder / "out" / "inventory.json"
    inventory.write_bytes(inventory.read_bytes().replace(b"0", b"1", 1))
    with pytest.raises(ArchiveError, match=r"inventory\.json: not the file"):
        sign_bundle(place.folder / "out", [key("second")])


def test_an_empty_envelope(place: Workshop) -> None:
    (place.folder / "out" / "bundle.dsse.json").write_bytes(b"")
    with pytest.raises(ArchiveError, match=r"bundle\.dsse\.json: not JSON"):
        sign_bundle(place.folder / "out", [key("second")])


def test_a_stranger_s_signature_does_not_help(place: Workshop) -> None:
    sign_bundle(place.folder / "out", [key("stranger")])
    with pytest.raises(TrustError):
        place.demand(key("release"), key("second"), threshold=2).trust(place.folder / "out")


def test_two_who_sign_at_once_do_not_spoil_the_bundle(place: Workshop) -> None:
    with locked(place.folder / "out"), pytest.raises(LockedError, match="another process"):
        sign_bundle(place.folder / "out", [key("second")])
    sign_bundle(place.folder / "out", [key("second")])
    place.demand(key("release"), key("second"), threshold=2).trust(place.folder / "out")


def test_a_key_that_could_not_be_written_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(SpaceError):
        generate(tmp_path / "release", "ed25519", b"secret")
    assert list(tmp_path.iterdir()) == []
    monkeypatch.undo()
    generate(tmp_path / "release", "ed25519", b"secret")


def test_adding_is_refused_to_one_who_has_signed(place: Workshop) -> None:
    bundle, second = place.folder / "out", key("second")
    before = contents(bundle)
    with pytest.raises(ConfigError, match=f"key {key('release').public.key_id} has signed it already"):
        sign_bundle(bundle, [second, key("release")], add=True)
    assert contents(bundle) == before
    assert sign_bundle(bundle, [second], add=True) == (second.public.key_id,)
