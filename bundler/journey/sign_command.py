"""A signer outside: a program that has the key, in a token, a card or a service, and is handed the bytes to sign.

    signer = CommandSigner.of("./pkcs11.sh release", read_public_key(pem))
    signer.sign(message, purpose="sums")

The program gets exactly the signed bytes on its standard input, and in its environment BUNDLER_SIGN_FOR (``statement``,
``sums`` and so on) and BUNDLER_SIGN_KEY (the key's id). Its standard output is the signature: DER, the bare numbers r and
s of ECDSA as tokens give them, Ed25519's or RSA's own bytes, or any of these in base64. It may ask for a PIN or a touch
on the terminal, for which it has five minutes. What it answers is verified with the public key before anything is written.
"""

from __future__ import annotations

import base64
import binascii
import os
import selectors
import shlex
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import IO

from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from bundler.errors import ConfigError, LimitError, SignatureError, disk_error, quoted
from bundler.trust.keys import PublicKey
from bundler.trust.signing import Purpose

SECONDS = 300.0
ANSWER_CAP = 8 << 10
"""Bytes: the signature of the largest RSA key in base64, with line breaks."""
_HALF = 32


@dataclass(frozen=True, slots=True)
class CommandSigner:
    """``command`` is a program and its arguments, started without a shell; ``public`` is the key that it must sign with."""

    command: tuple[str, ...]
    public: PublicKey
    seconds: float = SECONDS

    @classmethod
    def of(cls, command: str, public: PublicKey) -> CommandSigner:
        """The signer of a command line, taken apart as a shell takes it, quotes included and nothing expanded."""
        try:
            words = shlex.split(command)
        except ValueError as problem:
            raise ConfigError(f"--sign-command {quoted(command)}: {problem}") from None
        if not words or "\0" in command:
            raise ConfigError(f"--sign-command {quoted(command)}: names no program")
        return cls(tuple(words), public)

    def sign(self, message: bytes, *, purpose: Purpose = "sums") -> bytes:
        """The program's signature, verified. Raises :class:`SignatureError` if it is not one of the key over ``message``."""
        answer = self._ask(message, purpose)
        for candidate in _readings(answer, self.public):
            try:
                self.public.verify(message, candidate)
            except SignatureError:
                continue
            return candidate
        raise SignatureError(
            f"--sign-command {quoted(self.command[0])}: its answer of {len(answer)} bytes is no signature of key "
            f"{self.public.short_id} over the {purpose}",
            hint="does --sign-command-key belong to the program's key? it signs with SHA-256, or Ed25519 without any hash",
        )

    def _ask(self, message: bytes, purpose: Purpose) -> bytes:
        end = time.monotonic() + self.seconds
        environment = {**os.environ, "BUNDLER_SIGN_FOR": purpose, "BUNDLER_SIGN_KEY": self.public.key_id}
        environment.pop("BUNDLER_PASSWORD", None)
        program = f"--sign-command {quoted(self.command[0])}"
        try:
            with tempfile.TemporaryFile() as given:
                given.write(message)
                given.seek(0)
                process = subprocess.Popen(self.command, stdin=given, stdout=subprocess.PIPE, env=environment)
        except FileNotFoundError:
            raise ConfigError(f"{program}: there is no such program") from None
        except OSError as problem:
            raise disk_error(problem, f"start {program}") from problem
        try:
            assert process.stdout is not None
            answer = b"".join(_pieces(process.stdout, end))
            if len(answer) > ANSWER_CAP:
                raise LimitError(f"{program}: answers with more than {ANSWER_CAP} bytes, which is no signature")
            status = process.wait(max(0.0, end - time.monotonic()))
        except (TimeoutError, subprocess.TimeoutExpired):
            raise SignatureError(
                f"{program}: no signature within {self.seconds:g} s", hint="run the same command again, and be there"
            ) from None
        finally:
            process.kill()
            process.wait()
            assert process.stdout is not None
            process.stdout.close()
        if status != 0:
            raise SignatureError(
                f"{program}: ended with status {status}", hint="nothing was written; see what the program said above"
            )
        return answer


def _pieces(stream: IO[bytes], end: float) -> Iterator[bytes]:
    """What comes until the stream's end, or a little more than the cap. Raises :class:`TimeoutError` at ``end``."""
    left = ANSWER_CAP + 1
    with selectors.DefaultSelector() as selector:
        selector.register(stream, selectors.EVENT_READ)
        while left > 0:
            if not selector.select(max(0.0, end - time.monotonic())):
                raise TimeoutError
            piece = os.read(stream.fileno(), left)
            if not piece:
                return
            left -= len(piece)
            yield piece


def _readings(answer: bytes, public: PublicKey) -> Iterator[bytes]:
    """What an answer may mean: itself or base64 of it, and each of these as r and s."""
    forms = [answer]
    with suppress(binascii.Error):
        forms.append(base64.b64decode(b"".join(answer.split()), validate=True))
    for form in forms:
        yield form
        if public.algorithm == "ecdsa-p256" and len(form) == 2 * _HALF:
            yield encode_dss_signature(int.from_bytes(form[:_HALF]), int.from_bytes(form[_HALF:]))
