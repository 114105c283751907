"""Signatures that bundler leaves for other tools, judged by these; and keys that never leave a token."""

from __future__ import annotations

import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from bundler.journey.companions import write_companions
from bundler.journey.keys import sign_bundle
from bundler.trust.minisign import minisign_key
from bundler.trust.ssh_wire import line_of
from bundler.trust.sums import COMPANIONS
from tests.keyring import Keyring, keyring
from tests.peers import attempt, bundler, needs, openssl, run
from tests.verify_txt import block, blocks
from tests.workshop import KEY_PASSWORD, Workshop, key

ROOT = Path(__file__).parents[2]
MODULES = (
    "/usr/lib/softhsm/libsofthsm2.so",
    "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so",
    "/usr/lib64/pkcs11/libsofthsm2.so",
)
KINDS = pytest.mark.parametrize("kind", ["ecdsa-p256", "ed25519"])


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle that two keys, one of each kind, have signed in every form but GPG's, with their public keys beside it."""
    place = Workshop(tmp_path_factory.mktemp("built"))
    bundle = place.build()
    signers = [key("forms", "ecdsa-p256"), key("forms", "ed25519")]
    sign_bundle(bundle, signers)
    write_companions(bundle, signers, ("cosign-bundle", "sshsig"))
    write_companions(bundle, signers[1:], ("minisign",))
    for signer in signers:
        (bundle.parent / f"{signer.public.algorithm}.pub").write_bytes(signer.public.pem)
    return bundle


@pytest.fixture
def bundle(built: Path, tmp_path: Path) -> Path:
    shutil.copytree(built, tmp_path / "out")
    for public in built.parent.glob("*.pub"):
        shutil.copy(public, tmp_path)
    return tmp_path / "out"


def spoil(bundle: Path) -> None:
    sums = bundle / "SHA256SUMS"
    sums.write_bytes(sums.read_bytes().replace(b"0", b"1", 1))


def companion(bundle: Path, kind: str, suffix: str) -> str:
    return f"SHA256SUMS.{key('forms', kind).public.short_id}.{suffix}"


COSIGN = ("cosign", "verify-blob", "--insecure-ignore-tlog")


@needs("cosign")
@KINDS
def test_cosign_accepts_the_bundle_of_each_key(kind: str, bundle: Path) -> None:
    file = companion(bundle, kind, "sigstore.json")
    env = {"HOME": str(bundle.parent)}
    command = (*COSIGN, "--key", bundle.parent / f"{kind}.pub", "--bundle", file, "SHA256SUMS")
    assert attempt(*command, cwd=bundle, env=env).returncode == 0
    other = bundle.parent / ("ed25519.pub" if kind == "ecdsa-p256" else "ecdsa-p256.pub")
    assert attempt(*COSIGN, "--key", other, "--bundle", file, "SHA256SUMS", cwd=bundle, env=env).returncode != 0
    spoil(bundle)
    assert attempt(*command, cwd=bundle, env=env).returncode != 0


@needs("cosign", "unshare")
def test_cosign_needs_no_network_for_it(bundle: Path) -> None:
    if attempt("unshare", "-rn", "true").returncode:
        pytest.skip("this machine gives no network namespaces to its users")
    file = companion(bundle, "ecdsa-p256", "sigstore.json")
    command = (*COSIGN, "--key", bundle.parent / "ecdsa-p256.pub", "--bundle", file, "SHA256SUMS")
    run("unshare", "-rn", *command, cwd=bundle, env={"HOME": str(bundle.parent)})


@needs("cosign", "openssl")
def test_a_key_of_cosign_s_own_signs_a_bundle(bundle: Path) -> None:
    """cosign makes the key pair, bundler signs with it, cosign verifies: its own files at both ends."""
    env = {"HOME": str(bundle.parent), "COSIGN_PASSWORD": "a word", "BUNDLER_PASSWORD": "a word"}
    run("cosign", "generate-key-pair", "--output-key-prefix", "made", cwd=bundle.parent, env=env)
    bundler("sign", "out", "--key", "made.key", "--also", "cosign-bundle", cwd=bundle.parent, env=env)
    (file,) = set(bundle.glob("*.sigstore.json")) - {
        bundle / companion(bundle, kind, "sigstore.json") for kind in ("ecdsa-p256", "ed25519")
    }
    run(*COSIGN, "--key", bundle.parent / "made.pub", "--bundle", file, "SHA256SUMS", cwd=bundle, env=env)


@needs("ssh-keygen")
@KINDS
def test_ssh_keygen_accepts_the_signature_of_each_key(kind: str, bundle: Path) -> None:
    allowed = bundle.parent / "allowed"
    allowed.write_text(f"ann@example {line_of(key('forms', kind).public.spki)}\n")
    file, sums = companion(bundle, kind, "sshsig"), (bundle / "SHA256SUMS").read_text()
    command = ("ssh-keygen", "-Y", "verify", "-f", allowed, "-I", "ann@example", "-s", file, "-n")
    assert 'Good "file" signature for ann@example' in run(*command, "file", cwd=bundle, stdin=sums)
    assert attempt(*command, "git", cwd=bundle, stdin=sums).returncode != 0, "another namespace"
    assert attempt(*command, "file", cwd=bundle, stdin=f"{sums}x").returncode != 0
    allowed.write_text(f"ann@example {line_of(key('stranger', kind).public.spki)}\n")
    assert attempt(*command, "file", cwd=bundle, stdin=sums).returncode != 0


@needs("ssh-keygen")
def test_a_key_of_ssh_keygen_s_own_signs_a_bundle(bundle: Path) -> None:
    env = {"HOME": str(bundle.parent), "BUNDLER_PASSWORD": "a word"}
    run("ssh-keygen", "-q", "-t", "ed25519", "-N", "a word", "-f", "id", cwd=bundle.parent)
    bundler("sign", "out", "--key", "id", "--also", "sshsig", cwd=bundle.parent, env=env)
    said = bundler("verify", "out", "--key", "id.pub", cwd=bundle.parent, env=env)
    assert "VERIFIED" in said
    (bundle.parent / "allowed").write_text(f"ann {(bundle.parent / 'id.pub').read_text()}")
    (file,) = set(bundle.glob("*.sshsig")) - {
        bundle / companion(bundle, kind, "sshsig") for kind in ("ecdsa-p256", "ed25519")
    }
    command = ("ssh-keygen", "-Y", "verify", "-f", "../allowed", "-I", "ann", "-n", "file", "-s", file)
    run(*command, cwd=bundle, stdin=(bundle / "SHA256SUMS").read_text())


@needs("minisign")
def test_minisign_accepts_the_signature(bundle: Path) -> None:
    public, file = minisign_key(key("forms", "ed25519").public), companion(bundle, "ed25519", "minisig")
    command = ("minisign", "-V", "-m", "SHA256SUMS", "-x", file, "-P")
    said = run(*command, public, cwd=bundle)
    assert "Signature and comment signature verified" in said
    assert "file:SHA256SUMS\thashed" in said
    assert attempt(*command, minisign_key(key("stranger", "ed25519").public), cwd=bundle).returncode != 0
    comment = bundle / file
    comment.write_text(comment.read_text().replace("file:SHA256SUMS", "file:SHA256SUMZ"))
    assert attempt(*command, public, cwd=bundle).returncode != 0
    spoil(bundle)
    assert attempt(*command, public, cwd=bundle).returncode != 0


@pytest.fixture
def ann() -> Iterator[tuple[Keyring, str]]:
    with keyring() as keys:
        yield keys, keys.make("ann")


@needs("gpg", "gpgconf", "gpgv")
def test_gpgv_accepts_the_signature(bundle: Path, ann: tuple[Keyring, str]) -> None:
    keys, fingerprint = ann
    (bundle.parent / "ann.gpg").write_bytes(keys.public("ann"))
    env = {"HOME": str(bundle.parent), "GNUPGHOME": str(keys.home), "BUNDLER_PASSWORD": KEY_PASSWORD.decode()}
    bundler("keygen", "second", cwd=bundle.parent, env=env)
    bundler("sign", "out", "--key", "second.key", "--also", "gpg", "--gpg-key", fingerprint, cwd=bundle.parent, env=env)
    file = f"SHA256SUMS.{fingerprint[-16:].lower()}.asc"
    command = ("gpgv", "--keyring", bundle.parent / "ann.gpg", file, "SHA256SUMS")
    run(*command, cwd=bundle, env=env)
    spoil(bundle)
    assert attempt(*command, cwd=bundle, env=env).returncode != 0


BY_HAND = ("bash", "-euo", "pipefail", "-c")


@pytest.fixture
def by_hand(bundle: Path, ann: tuple[Keyring, str]) -> Path:
    """The bundle with GPG's signature too, a KEY.pub to be chosen, and SIGNER.gpg."""
    keys, fingerprint = ann
    (bundle / "SIGNER.gpg").write_bytes(keys.public("ann"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GNUPGHOME", str(keys.home))
        write_companions(bundle, [], ("gpg",), gpg_key=fingerprint)
    return bundle


@needs("cosign", "ssh-keygen", "minisign", "gpg", "gpgconf", "gpgv", "openssl", "base64")
@pytest.mark.parametrize(
    ("kind", "words", "said"),
    [
        ("ecdsa-p256", ("cosign ",), "Verified OK"),
        ("ed25519", ("cosign ",), "Verified OK"),
        ("ecdsa-p256", ("-i -m PKCS8", "-Y verify"), 'Good "file" signature for SIGNER'),
        ("ed25519", ("ssh-ed25519 ", "-Y verify"), 'Good "file" signature for SIGNER'),
        ("ed25519", ("minisign ",), "Signature and comment signature verified"),
        ("ecdsa-p256", ("gpgv ",), "Good signature"),
    ],
)
def test_what_verify_txt_says_of_other_tools(by_hand: Path, kind: str, words: tuple[str, ...], said: str) -> None:
    """Its own words, in the bundle's directory: they hold, and don't hold for another key's owner or another list."""
    env = {"HOME": str(by_hand.parent)}
    choose = "KEY=$(openssl pkey -pubin -in KEY.pub -outform DER | sha256sum | cut -c1-16)"
    assert any(choose in each for each in blocks(by_hand))
    script = "\n".join([choose, *(block(by_hand, word) for word in words)])

    def followed() -> subprocess.CompletedProcess[str]:
        return attempt(*BY_HAND, f"exec 2>&1\n{script}", cwd=by_hand, env=env)

    shutil.copy(by_hand.parent / f"{kind}.pub", by_hand / "KEY.pub")
    done = followed()
    assert (done.returncode, said in done.stdout) == (0, True), done.stdout
    if words != ("gpgv ",):
        number = key("forms", kind).public.short_id
        for name in ("sig", "sigstore.json", "sshsig", "minisig"):  # what is there under a stranger's number
            path = by_hand / f"SHA256SUMS.{number}.{name}"
            if path.exists():
                shutil.copy(path, by_hand / f"SHA256SUMS.{key('stranger', kind).public.short_id}.{name}")
        (by_hand / "KEY.pub").write_bytes(key("stranger", kind).public.pem)
        assert followed().returncode != 0
        shutil.copy(by_hand.parent / f"{kind}.pub", by_hand / "KEY.pub")
    spoil(by_hand)
    assert followed().returncode != 0


@needs("cosign")
def test_verify_txt_names_every_form(by_hand: Path) -> None:
    """And the command in it that lists what is there lists them all."""
    listing = next(each for each in blocks(by_hand) if each.startswith("ls "))
    there = run(*BY_HAND, listing, cwd=by_hand).split()
    assert sorted(there) == sorted(path.name for path in by_hand.glob("SHA256SUMS.*"))
    text = (by_hand / "VERIFY.txt").read_text()
    for suffix in COMPANIONS.values():
        assert any(name.endswith(f".{suffix}") for name in there)
        assert f">.{suffix} is for " in text


@pytest.fixture
def token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The sample script, with a software token of its own in the environment."""
    module = next((path for path in MODULES if Path(path).exists()), None)
    if module is None:
        pytest.skip("SoftHSM2's library is not where this test looks for it")
    (tmp_path / "tokens").mkdir()
    (tmp_path / "softhsm2.conf").write_text(f"directories.tokendir = {tmp_path}/tokens\nobjectstore.backend = file\n")
    for name, value in (
        ("SOFTHSM2_CONF", f"{tmp_path}/softhsm2.conf"),
        ("PKCS11_MODULE", module),
        ("PKCS11_PIN", "1234"),
    ):
        monkeypatch.setenv(name, value)
    run("softhsm2-util", "--init-token", "--free", "--label", "release-token", "--so-pin", "5678", "--pin", "1234")
    return ROOT / "samples/signing/pkcs11.sh"


@needs("softhsm2-util", "pkcs11-tool", "openssl")
def test_a_key_in_a_token_signs_a_bundle(token: Path, bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "token.pub").write_text(run(token, "setup", "release-token", "01"))
    command = f"{shlex.quote(str(token))} sign release-token 01"
    env = {"HOME": str(tmp_path)}
    said = bundler(
        "sign", "out", "--sign-command", command, "--sign-command-key", "token.pub", "--also", "cosign-bundle",
        "--also", "sshsig", cwd=tmp_path, env=env,
    )  # fmt: skip
    short = said.strip()[:16]
    assert "VERIFIED" in bundler("verify", "out", "--key", "token.pub", cwd=tmp_path, env=env)
    signature = f"SHA256SUMS.{short}.sig"
    said = openssl("dgst", "-sha256", "-verify", "../token.pub", "-signature", signature, "SHA256SUMS", cwd=bundle)
    assert said == "Verified OK\n"
    assert (bundle / f"SHA256SUMS.{short}.sigstore.json").exists()
    assert (bundle / f"SHA256SUMS.{short}.sshsig").exists()


@needs("softhsm2-util", "pkcs11-tool", "openssl")
def test_another_key_of_the_token_is_found_out(token: Path, bundle: Path, tmp_path: Path) -> None:
    for number in ("01", "02"):
        (tmp_path / f"{number}.pub").write_text(run(token, "setup", "release-token", number))
    for number, status in (("01", 15), ("02", 0)):
        words = ("--sign-command", f"{shlex.quote(str(token))} sign release-token 02")
        bundler("sign", "out", *words, "--sign-command-key", f"{number}.pub", cwd=tmp_path, status=status)


@needs("softhsm2-util", "pkcs11-tool", "openssl")
def test_a_token_that_refuses_leaves_the_bundle_alone(
    token: Path, bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "token.pub").write_text(run(token, "setup", "release-token", "01"))
    before = {path.name: path.read_bytes() for path in bundle.iterdir()}
    words = ["sign", "out", "--sign-command-key", "token.pub", "--sign-command"]
    from bundler.cli import app

    monkeypatch.chdir(tmp_path)
    for environment, number in (({"PKCS11_PIN": "9999"}, "01"), ({}, "02")):
        with pytest.MonkeyPatch.context() as patch:
            for variable, value in environment.items():
                patch.setenv(variable, value)
            assert app.run([*words, f"{shlex.quote(str(token))} sign release-token {number}"]) == 15
    assert {path.name: path.read_bytes() for path in bundle.iterdir()} == before
