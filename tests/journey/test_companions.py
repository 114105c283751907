"""Signatures for other tools beside a bundle's own; that the tools accept them is seen in interop."""

from __future__ import annotations

from pathlib import Path

import pytest

from bundler.bundle.unpack import Volumes, read_documents
from bundler.errors import BundlerError, ConfigError, NotFoundError, SignatureError
from bundler.journey.companions import write_companions
from bundler.trust.sums import is_companion, signature_name
from bundler.trust.verify import Trusted, verify
from tests.keyring import keyring
from tests.peers import needs
from tests.workshop import NOW, Workshop, contents, key

ED = key("second", "ed25519")
FORMS = ("cosign-bundle", "sshsig", "minisign")


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    place = Workshop(tmp_path)
    place.pull()
    return place.pack("out", ED).directory


def test_each_form_is_a_file_of_the_signer(bundle: Path) -> None:
    before = contents(bundle)
    made = write_companions(bundle, [ED], FORMS)
    assert [each.path.name.removeprefix(f"SHA256SUMS.{ED.public.short_id}.") for each in made] == [
        "sigstore.json",
        "sshsig",
        "minisig",
    ]
    assert all(each.path.name in each.check for each in made)
    after = contents(bundle)
    assert {name: after[name] for name in before} == before
    assert set(after) - set(before) == {each.path.name for each in made}


def test_writing_them_again_changes_nothing(bundle: Path) -> None:
    write_companions(bundle, [ED], FORMS)
    once = contents(bundle)
    write_companions(bundle, [ED], (*FORMS, *FORMS))
    assert contents(bundle) == once


def test_nothing_asked_for_nothing_written(bundle: Path) -> None:
    before = contents(bundle)
    assert write_companions(bundle, [ED], ()) == ()
    assert contents(bundle) == before


def test_they_never_count_in_bundler_s_own_verification(bundle: Path) -> None:
    write_companions(bundle, [ED], FORMS)
    trusted = trust(bundle)
    with Volumes(bundle, trusted) as volumes:
        assert dict(volumes.names) == {1: "volume-0001.tar.zst"}
    spoilt = [bundle / name for name in contents(bundle) if is_companion(name)]
    assert len(spoilt) == 3
    spoilt[0].write_bytes(b"")
    spoilt[1].write_bytes(b"\0" * 3_000_000)
    spoilt[2].write_bytes((bundle / "volume-0001.tar.zst").read_bytes())
    trusted = trust(bundle)
    with Volumes(bundle, trusted) as volumes:
        assert dict(volumes.names) == {1: "volume-0001.tar.zst"}
    (bundle / signature_name(ED.public.key_id)).unlink()
    with pytest.raises(SignatureError):
        trust(bundle)


def trust(bundle: Path) -> Trusted:
    return verify(read_documents(bundle), keys=[ED.public], now=NOW)


def test_who_has_not_signed_the_bundle_writes_none(bundle: Path) -> None:
    before = contents(bundle)
    with pytest.raises(SignatureError, match="missing"):
        write_companions(bundle, [key("other", "ed25519")], FORMS)
    assert contents(bundle) == before


def test_sums_that_were_changed_since_are_not_signed(bundle: Path) -> None:
    sums = bundle / "SHA256SUMS"
    sums.write_bytes(sums.read_bytes().replace(b"0", b"1", 1))
    with pytest.raises(SignatureError, match=ED.public.short_id):
        write_companions(bundle, [ED], FORMS)


def test_no_bundle_and_no_such_form(bundle: Path, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError):
        write_companions(tmp_path / "absent", [ED], FORMS)
    with pytest.raises(ConfigError, match="--also pgp"):
        write_companions(bundle, [ED], ("sshsig", "pgp"))
    assert not list(bundle.glob("*.sshsig")), "all or nothing"


@needs("gpg", "gpgconf")
def test_gpg(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with keyring() as keys:
        fingerprint = keys.make("ann")
        monkeypatch.setenv("GNUPGHOME", str(keys.home))
        spaced = " ".join(fingerprint[at : at + 4] for at in range(0, 40, 4))
        for given in (fingerprint, spaced, f"0x{fingerprint.lower()}"):
            (made,) = write_companions(bundle, [ED], ("gpg",), gpg_key=given)
            assert made.path.name == f"SHA256SUMS.{fingerprint[-16:].lower()}.asc"
            assert made.path.read_bytes().startswith(b"-----BEGIN PGP SIGNATURE-----\n")
            keys("--verify", str(made.path), str(bundle / "SHA256SUMS"))
        assert list(bundle.glob("*.asc")) == [made.path]
        for wrong in ("B" * 40, "ann", ""):
            with pytest.raises(BundlerError):
                write_companions(bundle, [ED], ("gpg",), gpg_key=wrong)
