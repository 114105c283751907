"""GnuPG at work: what is signed, what is believed, and what is not."""

from __future__ import annotations

import stat
import sys
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from bundler import gpg
from bundler.errors import BundlerError, ConfigError, LimitError, SignatureError, TrustError, UnsupportedError
from tests.keyring import Keyring, keyring
from tests.peers import needs

PAYLOAD = b'{"critical": "\xc3\xa4"}\r\n \n'
SECRET = "correct horse"


@dataclass(frozen=True, slots=True)
class People(Keyring):
    """ann, bob and carol, who signs with a subkey."""

    ann: str
    bob: str
    carol: str
    carols: str


@pytest.fixture(scope="module")
def people() -> Iterator[People]:
    with keyring() as made:
        ann, bob, carol = (made.make(name) for name in ("ann", "bob", "carol"))
        made("--passphrase", "", "--quick-add-key", carol, "ed25519", "sign", "0")
        yield People(made.home, ann, bob, carol, made.fingerprints("carol")[1])


@pytest.fixture
def keys(people: People, monkeypatch: pytest.MonkeyPatch) -> People:
    monkeypatch.setenv("GNUPGHOME", str(people.home))
    return people


@needs("gpg")
def test_what_is_signed_is_verified(keys: People) -> None:
    message = gpg.sign(PAYLOAD, keys.ann)
    assert message[0] & 0x80, "binary, not armored"
    assert gpg.verify(message) == gpg.Verified(PAYLOAD, keys.ann, keys.ann, keys.ann)
    assert keys("--decrypt", stdin=message) == PAYLOAD


@needs("gpg")
def test_configuration_does_not_make_it_text(keys: People, monkeypatch: pytest.MonkeyPatch) -> None:
    config = keys.home / "gpg.conf"
    config.write_text("armor\ntextmode\n")
    try:
        assert gpg.verify(gpg.sign(PAYLOAD, keys.ann)).payload == PAYLOAD
    finally:
        config.unlink()


@needs("gpg")
@pytest.mark.parametrize(
    ("allowed", "named"),
    [
        (lambda keys: None, "carol"),
        (lambda keys: [keys.carol], "carol"),
        (lambda keys: [keys.carols], "carols"),
        (lambda keys: [keys.carol, keys.carols], "carols"),
        (lambda keys: [keys.bob, keys.carol], "carol"),
        (lambda keys: [keys.carol.lower()], "carol"),
        (lambda keys: [f"0x{keys.carol}"], "carol"),
        (lambda keys: [" ".join((keys.carol[:20], keys.carol[20:]))], "carol"),
    ],
)
def test_a_subkey_signs_for_its_primary_key(
    keys: People, allowed: Callable[[People], list[str] | None], named: str
) -> None:
    verified = gpg.verify(gpg.sign(PAYLOAD, keys.carol), allowed=allowed(keys))
    assert (verified.fingerprint, verified.subkey) == (keys.carol, keys.carols)
    assert verified.named == getattr(keys, named)


@needs("gpg")
def test_another_key_is_not_trusted(keys: People) -> None:
    message = gpg.sign(PAYLOAD, keys.ann)
    for others in ([keys.bob], [keys.bob, keys.carol], []):
        with pytest.raises(TrustError, match=keys.ann):
            gpg.verify(message, allowed=others)


@pytest.mark.parametrize(
    "name", ["", "any", "ann", "--output", "F" * 8, "F" * 16, "F" * 39, "F" * 41, "G" * 40, "F" * 39 + "\n", "F" * 80]
)
def test_trust_takes_a_whole_fingerprint(name: str) -> None:
    with pytest.raises(ConfigError, match="fingerprint"):
        gpg.verify(b"\x90", allowed=["F" * 40, name])


@pytest.mark.parametrize("name", ["", "ann", "--output", "-u", "F" * 8, "F" * 41, "G" * 40])
def test_signing_takes_a_fingerprint(name: str) -> None:
    with pytest.raises(ConfigError, match="fingerprint"):
        gpg.sign(PAYLOAD, name)


def _compressed(content: bytes) -> bytes:
    """An old-format packet of compressed data that lasts to the end."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    return b"\xa3\x01" + packer.compress(content) + packer.flush()


def _stored(keys: People, payload: bytes) -> bytes:
    return keys("-z", "0", "--store", stdin=payload)


def _plain(keys: People, payload: bytes = PAYLOAD) -> bytes:
    """A signed message without compression."""
    return keys.sign(payload, keys.ann, options=("-z", "0", "--sign"))


def _flipped(message: bytes) -> bytes:
    at = message.index(PAYLOAD)
    return message[:at] + bytes([message[at] ^ 1]) + message[at + 1 :]


HOSTILE: dict[str, Callable[[People], bytes]] = {
    "empty": lambda keys: b"",
    "a zero byte": lambda keys: b"\0",
    "no OpenPGP": lambda keys: b"\xff" * 300,
    "only a packet's head": lambda keys: b"\x90",
    "unsigned": lambda keys: _stored(keys, PAYLOAD),
    "unsigned and compressed": lambda keys: keys("--store", stdin=PAYLOAD),
    "detached": lambda keys: keys.sign(PAYLOAD, keys.ann, options=("--detach-sign",)),
    "cleartext signature": lambda keys: keys.sign(PAYLOAD, keys.ann, options=("--clear-sign",)),
    "armored": lambda keys: keys.sign(PAYLOAD, keys.ann, options=("--armor", "--sign")),
    "two signatures": lambda keys: keys.sign(PAYLOAD, keys.ann, keys.bob),
    "two signatures of one key's": lambda keys: keys.sign(PAYLOAD, keys.carol + "!", keys.carols + "!"),
    "two messages": lambda keys: _plain(keys) + _plain(keys, b"other"),
    "two messages, compressed": lambda keys: _compressed(_plain(keys) + _plain(keys, b"other")),
    "unsigned text before the signed": lambda keys: _stored(keys, b"{}") + _plain(keys),
    "unsigned text after the signed": lambda keys: _plain(keys) + _stored(keys, b"{}"),
    "both compressed, unsigned first": lambda keys: _compressed(_stored(keys, b"{}") + _plain(keys)),
    "both compressed, unsigned last": lambda keys: _compressed(_plain(keys) + _stored(keys, b"{}")),
    "a flipped bit of the payload": lambda keys: _flipped(_plain(keys)),
    "a flipped bit of the signature": lambda keys: (m := _plain(keys))[:-1] + bytes([m[-1] ^ 1]),
    "cut by a byte": lambda keys: _plain(keys)[:-1],
    "cut to the payload": lambda keys: _plain(keys)[: -len(PAYLOAD)],
    "encrypted by a password": lambda keys: keys("--passphrase", "x", "--symmetric", stdin=PAYLOAD),
    "signed, then encrypted": lambda keys: keys(
        "--passphrase", "x", "--symmetric", "--local-user", keys.ann, "--sign", stdin=PAYLOAD
    ),
    "a public key": lambda keys: keys.public(keys.ann),
    "a payload without end": lambda keys: keys.sign(b"\0" * (gpg._CAP + 1), keys.ann),
}


@needs("gpg")
@pytest.mark.parametrize("make", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_messages_are_refused(keys: People, make: Callable[[People], bytes]) -> None:
    message = make(keys)
    with pytest.raises(SignatureError) as refused:
        gpg.verify(message)
    assert str(refused.value).isprintable()


@needs("gpg")
def test_what_follows_a_compressed_message_is_never_the_payload(keys: People) -> None:
    message = gpg.sign(PAYLOAD, keys.ann)
    for tail in (b"\0\0", message, gpg.sign(b"other", keys.bob), _stored(keys, b"other")):
        assert gpg.verify(message + tail) == gpg.verify(message)


@needs("gpg")
def test_a_signed_message_in_a_signed_message_stays_a_message(keys: People) -> None:
    inner = gpg.sign(PAYLOAD, keys.ann)
    verified = gpg.verify(gpg.sign(inner, keys.bob))
    assert (verified.payload, verified.fingerprint) == (inner, keys.bob)


@needs("gpg")
def test_an_expired_key_is_refused(keys: People) -> None:
    old = "20200101T000000"
    key = keys.make("dave", life="1d", now=old)
    message = keys("--faked-system-time", f"{old}!", "--passphrase", "", "-u", key, "--sign", stdin=PAYLOAD)
    with pytest.raises(SignatureError, match="EXPKEYSIG"):
        gpg.verify(message, allowed=[key])


@needs("gpg")
def test_an_expired_signature_is_refused(keys: People) -> None:
    old = "20200101T000000"
    key = keys.make("erin", now=old)
    lasting = ("--faked-system-time", f"{old}!", "--default-sig-expire", "1d", "--passphrase", "", "-u", key, "--sign")
    message = keys(*lasting, stdin=PAYLOAD)
    with pytest.raises(SignatureError, match="EXPSIG"):
        gpg.verify(message, allowed=[key])


@needs("gpg")
def test_a_revoked_key_is_refused(keys: People) -> None:
    key = keys.make("frank")
    message = gpg.sign(PAYLOAD, key)
    assert gpg.verify(message, allowed=[key])
    certificate = (keys.home / "openpgp-revocs.d" / f"{key}.rev").read_text()
    keys("--import", stdin=certificate.replace(":-----BEGIN", "-----BEGIN").encode())
    with pytest.raises(SignatureError, match="REVKEYSIG"):
        gpg.verify(message, allowed=[key])


@needs("gpg")
def test_a_file_of_keys_stands_in_for_the_users_own(keys: People, tmp_path: Path) -> None:
    file = tmp_path / "keys.gpg"
    file.write_bytes(keys.public(keys.ann, keys.carol))
    before = keys.fingerprints()
    assert gpg.verify(gpg.sign(PAYLOAD, keys.carol), keys=file).fingerprint == keys.carol
    with pytest.raises(SignatureError, match=keys.bob):
        gpg.verify(gpg.sign(PAYLOAD, keys.bob), keys=file)
    assert keys.fingerprints() == before


@needs("gpg")
def test_keys_of_a_file_are_not_kept(keys: People, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    message, file = gpg.sign(PAYLOAD, keys.ann), tmp_path / "keys.asc"
    file.write_bytes(keys("--armor", "--export", keys.ann))
    with keyring() as empty:
        monkeypatch.setenv("GNUPGHOME", str(empty.home))
        assert gpg.verify(message, keys=file, allowed=[keys.ann]).fingerprint == keys.ann
        assert empty.fingerprints() == []
        with pytest.raises(SignatureError, match="ERRSIG"):
            gpg.verify(message)


@needs("gpg")
@pytest.mark.parametrize(
    ("content", "error"),
    [(None, ConfigError), (b"", ConfigError), (b"no key", ConfigError), (b"\xff" * 2000, LimitError)],
    ids=["missing", "empty", "no key", "too large"],
)
def test_files_without_keys_are_refused(
    keys: People, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes | None, error: type[BundlerError]
) -> None:
    monkeypatch.setattr(gpg, "_KEYS_CAP", 1000)
    file = tmp_path / "keys.gpg"
    if content is not None:
        file.write_bytes(content)
    message = gpg.sign(PAYLOAD, keys.ann)
    with pytest.raises(error, match=r"keys\.gpg"):
        gpg.verify(message, keys=file)


@needs("gpg")
def test_passphrases(keys: People) -> None:
    key = keys.make("grace", passphrase=SECRET)
    keys.forget_passphrases()
    with pytest.raises(ConfigError, match="nothing was signed") as refused:
        gpg.sign(PAYLOAD, key, passphrase=b"wrong")
    assert "wrong" not in f"{refused.value}{refused.value.hint}"
    assert gpg.verify(gpg.sign(PAYLOAD, key, passphrase=SECRET.encode())).fingerprint == key


@needs("gpg")
def test_keys_that_are_not_there_sign_nothing(keys: People) -> None:
    with pytest.raises(ConfigError, match="nothing was signed"):
        gpg.sign(PAYLOAD, "F" * 40)


# What gpg says, said by a script in its place

FPR = "A" * 40
SUB = "B" * 40
GOOD = f"GOODSIG {SUB[:16]} Ann <ann@example.com>"
VALID = f"VALIDSIG {SUB} 2026-01-01 1767225600 0 4 0 22 10 00 {FPR}"
PLAIN = "PLAINTEXT 62 1767225600 "

Stub = Callable[..., None]


@pytest.fixture
def stub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stub:
    """``stub(lines, out=…, says=…, code=…)`` puts a gpg on PATH that reports these status lines."""

    def install(*lines: str, out: bytes = PAYLOAD, says: str = "", code: int = 0, body: str = "") -> None:
        folder = tmp_path / "bin"
        folder.mkdir()
        status = "".join(f"[GNUPG:] {line}\n" for line in lines).encode()
        program = folder / "gpg"
        program.write_text(
            f"#!{sys.executable}\nimport os, sys\nsys.stdin.buffer.read()\n{body}\n"
            f"os.write(int(sys.argv[sys.argv.index('--status-fd') + 1]), {status!r})\n"
            f"sys.stderr.write({says!r})\nsys.stdout.buffer.write({out!r})\nsys.stdout.flush()\nsys.exit({code})\n"
        )
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
        monkeypatch.setenv("PATH", str(folder))

    return install


def test_status_lines_are_believed(stub: Stub) -> None:
    stub("NEWSIG", "KEY_CONSIDERED x 0", "SIG_ID x", GOOD, VALID, PLAIN, "TRUST_UNDEFINED 0 pgp")
    assert gpg.verify(b"\x90") == gpg.Verified(PAYLOAD, FPR, SUB, FPR)


LIES: dict[str, tuple[str, ...]] = {
    "nothing": (),
    "no GOODSIG": (VALID, PLAIN),
    "no VALIDSIG": (GOOD, PLAIN),
    "no PLAINTEXT": (GOOD, VALID),
    "two GOODSIG": (GOOD, GOOD, VALID, PLAIN),
    "two VALIDSIG": (GOOD, VALID, VALID, PLAIN),
    "two PLAINTEXT": (PLAIN, GOOD, VALID, PLAIN),
    "a short VALIDSIG": (GOOD, f"VALIDSIG {SUB}", PLAIN),
    "words that only begin so": ("GOODSIGN x", VALID, PLAIN),
    **{
        f"{word} besides": (GOOD, VALID, PLAIN, f"{word} {SUB[:16]} x")
        for word in ("BADSIG", "ERRSIG", "EXPSIG", "EXPKEYSIG", "REVKEYSIG", "NO_PUBKEY", "NODATA", "UNEXPECTED")
    },
    "a key that is never to be trusted": (GOOD, VALID, PLAIN, "TRUST_NEVER 0 pgp"),
}


@pytest.mark.parametrize("lines", LIES.values(), ids=LIES.keys())
def test_anything_but_one_good_signature_is_refused(stub: Stub, lines: tuple[str, ...]) -> None:
    stub(*lines)
    with pytest.raises(SignatureError):
        gpg.verify(b"\x90")


def test_a_failed_run_is_refused(stub: Stub) -> None:
    stub(GOOD, VALID, PLAIN, code=2)
    with pytest.raises(SignatureError, match="status 2"):
        gpg.verify(b"\x90")


def test_status_is_read_from_its_own_descriptor_only(stub: Stub) -> None:
    lines = "".join(f"[GNUPG:] {line}\n" for line in (GOOD, VALID, PLAIN))
    stub(out=lines.encode(), says=lines)
    with pytest.raises(SignatureError):
        gpg.verify(b"\x90")


def test_names_of_keys_cant_forge_a_message_on_the_terminal(stub: Stub) -> None:
    stub("BADSIG 0 \x1b[2Jverified\u202e")
    with pytest.raises(SignatureError) as refused:
        gpg.verify(b"\x90")
    assert str(refused.value).isprintable()


def test_passphrases_are_in_no_argument_and_no_environment(stub: Stub, tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    fd = "int(sys.argv[sys.argv.index('--passphrase-fd') + 1])"
    stub(
        "SIG_CREATED S",
        body=f"open({str(seen)!r}, 'w').write(repr((sys.argv, dict(os.environ), os.read({fd}, 99).decode())))",
    )
    assert gpg.sign(PAYLOAD, FPR, passphrase=SECRET.encode()) == PAYLOAD
    argv, environment, given = eval(seen.read_text())
    assert given == f"{SECRET}\n"
    assert SECRET not in f"{argv}{environment}"
    assert environment["LC_ALL"] == "C"
    assert "--batch" in argv


def test_a_signature_that_was_not_made_is_not_returned(stub: Stub) -> None:
    stub("FAILURE sign 17", out=b"half")
    with pytest.raises(ConfigError, match="FAILURE sign 17"):
        gpg.sign(PAYLOAD, FPR)


def test_an_empty_signature_is_none(stub: Stub) -> None:
    stub("SIG_CREATED S", out=b"")
    with pytest.raises(ConfigError, match="nothing was signed"):
        gpg.sign(PAYLOAD, FPR)


def test_a_program_that_hangs_is_given_up(stub: Stub, monkeypatch: pytest.MonkeyPatch) -> None:
    stub(body="import time; time.sleep(60)")
    monkeypatch.setattr(gpg, "SECONDS", 0.5)
    with pytest.raises(SignatureError, match=r"0\.5 s"):
        gpg.verify(b"\x90")


@pytest.mark.parametrize("call", [lambda: gpg.sign(PAYLOAD, FPR), lambda: gpg.verify(b"\x90")])
def test_without_the_program_its_package_is_named(
    call: Callable[[], object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UnsupportedError) as refused:
        call()
    assert "gnupg" in refused.value.hint


@needs("gpg")
def test_nothing_is_left_running_or_lying_about(
    keys: People, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, scratch = tmp_path / "keys.gpg", tmp_path / "scratch"
    file.write_bytes(keys.public(keys.ann))
    message = gpg.sign(PAYLOAD, keys.ann)
    scratch.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    before = sorted(Path("/proc/self/fd").iterdir())
    gpg.verify(message, keys=file)
    assert list(scratch.iterdir()) == []
    assert sorted(Path("/proc/self/fd").iterdir()) == before


@needs("gpg")
def test_a_public_key_is_exported_for_those_who_verify(people: People, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GNUPGHOME", str(people.home))
    raw = gpg.export_key(people.ann)
    assert b"PRIVATE" not in raw
    message = gpg.sign(PAYLOAD, people.ann)
    monkeypatch.delenv("GNUPGHOME")
    assert gpg.verify(message, keys=[raw], allowed=[people.ann]).payload == PAYLOAD


@needs("gpg")
@pytest.mark.parametrize("named", ["ab" * 20, "ann", "", "ab" * 8])
def test_no_such_public_key(named: str, people: People, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GNUPGHOME", str(people.home))
    with pytest.raises(ConfigError):
        gpg.export_key(named)
