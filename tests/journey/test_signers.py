from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from bundler.errors import ConfigError
from bundler.journey.files import write_new
from bundler.journey.signers import Signing, open_signers
from bundler.trust.keyfile import write_private_key
from bundler.trust.signing import Signer
from tests.workshop import KEY_PASSWORD, key


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("keys")
    for name, kind in (("ann", "ecdsa-p256"), ("bob", "ed25519")):
        write_new(folder / f"{name}.key", write_private_key(key(name, kind), KEY_PASSWORD), mode=0o600)
        (folder / f"{name}.pub").write_bytes(key(name, kind).public.pem)
    return folder


def never() -> bytes:
    pytest.fail("the password was asked for")


def ready(signing: Signing, password: bytes | None = KEY_PASSWORD) -> tuple[Signer, ...]:
    with ThreadPoolExecutor(1) as executor:
        return open_signers(signing, never if password is None else lambda: password, executor).result()


def test_keys_and_a_program(keys: Path) -> None:
    signers = ready(Signing((keys / "bob.key",), command="true", command_key=keys / "ann.pub"))
    assert [signer.public for signer in signers] == [key("bob", "ed25519").public, key("ann", "ecdsa-p256").public]


def test_a_program_needs_no_password(keys: Path) -> None:
    (signer,) = ready(Signing(command="true", command_key=keys / "ann.pub"), None)
    assert signer.public == key("ann", "ecdsa-p256").public


def test_minisign_wants_ed25519_before_anything_is_written(keys: Path) -> None:
    assert len(ready(Signing((keys / "bob.key",), also=("minisign",)))) == 1
    with pytest.raises(ConfigError, match="minisign knows only Ed25519 keys"):
        ready(Signing((keys / "bob.key", keys / "ann.key"), also=("minisign",)))


CLASH = {
    "a-command-without-its-key": (Signing(command="true"), "need each other"),
    "a-key-without-its-command": (Signing(command_key=Path("k.pub")), "need each other"),
    "gpg-without-its-key": (Signing((Path("k"),), also=("gpg",)), "--also gpg and --gpg-key need each other"),
    "a-gpg-key-for-nothing": (Signing((Path("k"),), gpg_key="A" * 40), "--also gpg and --gpg-key need each other"),
    "nobody-signs": (Signing(also=("sshsig",)), "nobody signs"),
}


@pytest.mark.parametrize(("signing", "message"), CLASH.values(), ids=CLASH)
def test_what_does_not_go_together(signing: Signing, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        ready(signing, None)
