from __future__ import annotations

import base64
import errno
import json
import os
import shlex
import signal
import sys
import tempfile
import time
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from bundler.errors import BundlerError, ConfigError, LimitError, SignatureError, SpaceError
from bundler.journey.sign_command import ANSWER_CAP, CommandSigner
from bundler.trust.keys import P256_ORDER, PublicKey, public_key_of
from bundler.trust.signing import PrivateKey
from tests.workshop import key

MESSAGE = b"the bytes\0to sign\n" * 50_000
EC, ED = key("outside"), key("outside", "ed25519")


def answering(folder: Path, answer: bytes, public: PublicKey, *, seconds: float = 20) -> CommandSigner:
    """A signer whose program reads everything, notes what it was given, and answers ``answer``."""
    (folder / "answer").write_bytes(answer)
    script = (
        "import os,sys,json;"
        "raw=sys.stdin.buffer.read();"
        "open('given','wb').write(raw);"
        "json.dump({k:v for k,v in os.environ.items() if k.startswith('BUNDLER_')},open('env','w'));"
        "sys.stdout.buffer.write(open('answer','rb').read())"
    )
    return CommandSigner((sys.executable, "-c", script), public, seconds)


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def raw(signature: bytes) -> bytes:
    return b"".join(number.to_bytes(32) for number in decode_dss_signature(signature))


def wrapped(signature: bytes) -> bytes:
    return base64.encodebytes(signature)


FORMS = {
    "der": (EC, lambda s: s),
    "der-in-base64": (EC, wrapped),
    "r-and-s": (EC, raw),
    "r-and-s-in-base64": (EC, lambda s: wrapped(raw(s))),
    "ed25519": (ED, lambda s: s),
    "ed25519-in-base64": (ED, lambda s: base64.b64encode(s) + b"\r\n"),
}


@pytest.mark.parametrize(("signer", "form"), FORMS.values(), ids=FORMS)
def test_forms_of_answers(signer: PrivateKey, form: object, tmp_path: Path) -> None:
    good = signer.sign(MESSAGE)
    command = answering(tmp_path, form(good), signer.public)  # type: ignore[operator]  # a function of the table
    assert command.sign(MESSAGE) == good


def test_an_rsa_key_outside(tmp_path: Path) -> None:
    private = rsa.generate_private_key(65537, 3072)
    public = public_key_of(private.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))
    good = private.sign(MESSAGE, padding.PKCS1v15(), hashes.SHA256())
    assert answering(tmp_path, good, public).sign(MESSAGE) == good


@pytest.mark.parametrize("purpose", ["statement", "sums"])
def test_what_the_program_is_given(purpose: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BUNDLER_PASSWORD", "not for others")
    answering(tmp_path, EC.sign(MESSAGE), EC.public).sign(MESSAGE, purpose=purpose)  # type: ignore[arg-type]
    assert (tmp_path / "given").read_bytes() == MESSAGE
    given = json.loads((tmp_path / "env").read_text())
    assert given["BUNDLER_SIGN_FOR"] == purpose
    assert given["BUNDLER_SIGN_KEY"] == EC.public.key_id
    assert "BUNDLER_PASSWORD" not in given


R, S = decode_dss_signature(EC.sign(MESSAGE))
WRONG = {
    "empty": b"",
    "text": b"error: no card\n",
    "another-message": EC.sign(b"x"),
    "another-key": key("stranger").sign(MESSAGE),
    "another-algorithm": ED.sign(MESSAGE),
    "trailing-byte": EC.sign(MESSAGE) + b"\0",
    "trailing-newline": EC.sign(MESSAGE) + b"\n",
    "r-0": bytes(32) + S.to_bytes(32),
    "s-0": R.to_bytes(32) + bytes(32),
    "r-n": P256_ORDER.to_bytes(32) + S.to_bytes(32),
    "r-and-s-of-66-bytes": b"\0" + R.to_bytes(32) + b"\0" + S.to_bytes(32),
    "base64-twice": base64.b64encode(base64.b64encode(EC.sign(MESSAGE))),
}


@pytest.mark.parametrize("answer", WRONG.values(), ids=WRONG)
def test_a_wrong_answer_is_never_taken(answer: bytes, tmp_path: Path) -> None:
    with pytest.raises(SignatureError, match=f"is no signature of key {EC.public.short_id} over the sums") as caught:
        answering(tmp_path, answer, EC.public).sign(MESSAGE)
    assert "--sign-command-key" in caught.value.hint


def test_an_endless_answer(tmp_path: Path) -> None:
    with pytest.raises(LimitError, match=f"more than {ANSWER_CAP} bytes"):
        CommandSigner(("yes",), EC.public, 20).sign(MESSAGE)


@pytest.mark.parametrize("script", ["sleep 30", "exec >&-; sleep 30", "sleep 30; :"], ids=["silent", "closed", "child"])
def test_a_program_that_does_not_come_to_an_end(script: str) -> None:
    started = time.monotonic()
    with pytest.raises(SignatureError, match=r"no signature within 0\.3 s"):
        CommandSigner(("sh", "-c", script), EC.public, 0.3).sign(MESSAGE)
    assert time.monotonic() - started < 10


def test_a_helper_left_in_the_background_is_not_waited_for(tmp_path: Path) -> None:
    """It holds the output open, as an agent for a card may; the signature is there when the program ends."""
    (tmp_path / "answer").write_bytes(EC.sign(MESSAGE))
    script = "sleep 60 & echo $! >helper; cat answer"
    try:
        assert CommandSigner(("sh", "-c", script), EC.public, 50).sign(MESSAGE) == EC.sign(MESSAGE)
        os.kill(int((tmp_path / "helper").read_text()), 0)  # it is still there
    finally:
        os.kill(int((tmp_path / "helper").read_text()), signal.SIGKILL)


def test_a_program_that_is_killed() -> None:
    with pytest.raises(SignatureError, match="was killed by signal 9"):
        CommandSigner(("sh", "-c", "kill -9 $$"), EC.public).sign(MESSAGE)


def test_a_program_that_reads_nothing_of_its_input(tmp_path: Path) -> None:
    (tmp_path / "answer").write_bytes(EC.sign(MESSAGE))
    assert CommandSigner(("cat", "answer"), EC.public).sign(MESSAGE) == EC.sign(MESSAGE)


def test_a_right_signature_and_a_bad_end(tmp_path: Path) -> None:
    (tmp_path / "answer").write_bytes(EC.sign(MESSAGE))
    with pytest.raises(SignatureError, match="ended with status 3"):
        CommandSigner(("sh", "-c", "cat answer; exit 3"), EC.public).sign(MESSAGE)


STARTS: dict[str, tuple[str, type[BundlerError], str]] = {
    "no-such-program": ("./absent x", ConfigError, "there is no such program"),
    "not-executable": ("./plain", ConfigError, r"--sign-command ./plain: may not be run"),
    "a-directory": ("./folder", ConfigError, "may not be run"),
    "below-a-file": ("./plain/x", ConfigError, "there is no such program"),
    "no-interpreter": ("./strange", ConfigError, "there is no such program, or not the one that its first line names"),
    "no-format": ("./broken", ConfigError, "is no program that this machine runs"),
    "empty": ("", ConfigError, "names no program"),
    "open-quote": ("a 'b", ConfigError, "No closing quotation"),
    "zero-byte": ("a\0b", ConfigError, r"a.x00b: names no program"),
}


@pytest.mark.parametrize(("command", "kind", "message"), STARTS.values(), ids=STARTS)
def test_commands_that_do_not_start(command: str, kind: type[BundlerError], message: str, tmp_path: Path) -> None:
    (tmp_path / "plain").write_text("no program")
    (tmp_path / "folder").mkdir()
    for name, text in (("strange", "#!/no/such/interpreter\n"), ("broken", "\x7fELF")):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    with pytest.raises(kind, match=message) as caught:
        CommandSigner.of(command, EC.public).sign(b"m")
    assert caught.value.hint


def test_no_room_for_what_is_to_be_signed(monkeypatch: pytest.MonkeyPatch) -> None:
    def full() -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(tempfile, "TemporaryFile", full)
    with pytest.raises(SpaceError, match="write what --sign-command cat is to sign"):
        CommandSigner(("cat",), EC.public).sign(b"m")


def test_no_shell_reads_the_command(tmp_path: Path) -> None:
    program = tmp_path / "a program"
    program.write_text('#!/bin/sh\nprintf "%s|" "$@" >args\ncat answer\n')
    program.chmod(0o755)
    (tmp_path / "answer").write_bytes(EC.sign(MESSAGE))
    command = f"{shlex.quote(str(program))} '$HOME' ;touch '*' \"two words\" `id`"
    assert CommandSigner.of(command, EC.public).sign(MESSAGE) == EC.sign(MESSAGE)
    assert (tmp_path / "args").read_text() == "$HOME|;touch|*|two words|`id`|"
