"""Who signs a bundle: private keys in files, and a program that has one elsewhere.

    who = Signing(keys=(Path("release.key"),), also=("sshsig",))
    signers = open_signers(who, password, executor).result()

Opening a key is slow on purpose, so it goes on beside other work; what can't be made with a key is found out with it.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bundler.errors import ConfigError
from bundler.journey.keys import private_keys, read_public_keys

if TYPE_CHECKING:
    from bundler.trust.keyfile import Password
    from bundler.trust.signing import Signer


@dataclass(frozen=True, slots=True)
class Signing:
    """Who signs and in which forms: key files, a program with the public key of its own, and a GPG key for ``gpg``.

    ``also`` are forms of :data:`bundler.trust.sums.COMPANIONS`, written beside bundler's own signatures.
    """

    keys: Sequence[Path] = ()
    command: str | None = None
    command_key: Path | None = None
    also: Sequence[str] = ()
    gpg_key: str | None = None

    def check(self) -> None:
        """Raise :class:`ConfigError` where what was said does not go together."""
        if (self.command is None) != (self.command_key is None):
            raise ConfigError(
                "--sign-command and --sign-command-key need each other",
                hint="the public key of the program's key is what its signatures are verified with",
            )
        if ("gpg" in self.also) != (self.gpg_key is not None):
            raise ConfigError("--also gpg and --gpg-key need each other", hint="see gpg --list-secret-keys")
        if self.also and not self.keys and self.command is None:
            raise ConfigError("--also writes signatures, and nobody signs", hint="give --key or --sign-command")


def open_signers(signing: Signing, password: Password, executor: Executor) -> Future[tuple[Signer, ...]]:
    """Get all who sign ready, each key with the same password, beside other work: deriving a key is slow on purpose.

    Files are read and the password is asked for before this returns; a form that a key can't make is an error at once.
    """
    signing.check()
    outside: list[Signer] = []
    if signing.command is not None and signing.command_key is not None:
        from bundler.journey.sign_command import CommandSigner

        outside.append(CommandSigner.of(signing.command, *read_public_keys((signing.command_key,))))
    derive = private_keys(signing.keys, password)

    def ready() -> tuple[Signer, ...]:
        signers = (*derive(), *outside)
        if "minisign" in signing.also:
            from bundler.trust.minisign import minisign_key

            for signer in signers:
                minisign_key(signer.public)
        return signers

    return executor.submit(ready)
