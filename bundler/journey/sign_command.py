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
import errno
import os
import selectors
import shlex
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
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
_PAUSE = 0.1
_LIKE = "give a program and its arguments, as in --sign-command './sign.sh release'"


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
            raise ConfigError(f"--sign-command {quoted(command)}: {problem}", hint=_LIKE) from None
        if not words or "\0" in command:
            raise ConfigError(f"--sign-command {quoted(command)}: names no program", hint=_LIKE)
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
        with _file_of(message, program) as given:
            process = _started(self.command, given, environment, program)
        try:
            answer = b"".join(_pieces(process, end))
            if len(answer) > ANSWER_CAP:
                raise LimitError(
                    f"{program}: answers with more than {ANSWER_CAP} bytes, which is no signature",
                    hint="it must print the signature and nothing else; for all it has to say there is standard error",
                )
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
            ended = f"ended with status {status}" if status > 0 else f"was killed by signal {-status}"
            raise SignatureError(f"{program}: {ended}", hint="nothing was written; see what the program said above")
        return answer


def _file_of(message: bytes, program: str) -> IO[bytes]:
    try:
        given = tempfile.TemporaryFile()  # noqa: SIM115  # closed by whoever asked for it
        given.write(message)
        given.seek(0)
    except OSError as problem:
        raise disk_error(problem, f"write what {program} is to sign") from problem
    return given


def _started(
    command: tuple[str, ...], given: IO[bytes], environment: Mapping[str, str], program: str
) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(command, stdin=given, stdout=subprocess.PIPE, env=environment)
    except (FileNotFoundError, NotADirectoryError):
        raise ConfigError(
            f"{program}: there is no such program, or not the one that its first line names",
            hint=_LIKE,
        ) from None
    except PermissionError:
        raise ConfigError(
            f"{program}: may not be run", hint="it must be a file that you may run: chmod +x FILE"
        ) from None
    except OSError as problem:
        if problem.errno != errno.ENOEXEC:
            raise disk_error(problem, f"start {program}") from problem
        raise ConfigError(
            f"{program}: is no program that this machine runs", hint="a script begins with a line like #!/bin/sh"
        ) from None


def _pieces(process: subprocess.Popen[bytes], end: float) -> Iterator[bytes]:
    """What the program prints until it closes its output or ends, or a little more than the cap.

    A helper that it left running in the background, an agent for a card, may hold the output open: nobody waits for that.
    Raises :class:`TimeoutError` at ``end``.
    """
    stream = process.stdout
    assert stream is not None
    left = ANSWER_CAP + 1
    with selectors.DefaultSelector() as selector:
        selector.register(stream, selectors.EVENT_READ)
        while left > 0:
            ended = process.poll() is not None  # asked first: what it wrote before is there to be read then
            pause = min(_PAUSE, max(0.0, end - time.monotonic()))
            if not selector.select(0 if ended else pause):
                if ended:
                    return
                if time.monotonic() >= end:
                    raise TimeoutError
                continue
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
