"""GnuPG with a home of its own, for tests that sign.

    with keyring() as keys:
        fingerprint = keys.make("ann")
        message = keys("--local-user", fingerprint, "--sign", stdin=b"…")

The home lies under a short path, because the agent's socket does, and the agent ends with the ``with`` block.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.peers import demand


@dataclass(frozen=True, slots=True)
class Keyring:
    """``home`` is the value of GNUPGHOME."""

    home: Path

    def __call__(self, *options: str, stdin: bytes = b"", status: int = 0) -> bytes:
        """What ``gpg`` prints."""
        done = subprocess.run(
            ["gpg", "--homedir", self.home, "--batch", "--no-tty", "--pinentry-mode", "loopback", *options],
            input=stdin,
            capture_output=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == status, done.stderr.decode(errors="replace")
        return done.stdout

    def make(self, name: str, *, passphrase: str = "", life: str = "0", now: str = "", kind: str = "ed25519") -> str:
        """A new key; its fingerprint. ``now`` is when it is made, as ``20200101T000000``."""
        when = ["--faked-system-time", f"{now}!"] if now else []
        self(*when, "--passphrase", passphrase, "--quick-gen-key", name, kind, "sign", life)
        return self.fingerprints(name)[0]

    def fingerprints(self, name: str = "") -> list[str]:
        """Of the primary key and then of its subkeys."""
        lines = self("--with-colons", "--list-keys", *([name] if name else [])).decode().splitlines()
        return [line.split(":")[9] for line in lines if line.startswith("fpr:")]

    def public(self, *names: str) -> bytes:
        """Public keys, to be imported elsewhere."""
        return self("--export", *names)

    def sign(self, payload: bytes, *names: str, options: tuple[str, ...] = ("--sign",)) -> bytes:
        """A message signed by keys without a passphrase, made with the program alone."""
        users = [option for name in names for option in ("--local-user", name)]
        return self("--passphrase", "", *users, *options, stdin=payload)

    def forget_passphrases(self) -> None:
        """End the agent; the next call starts another."""
        subprocess.run(
            ["gpgconf", "--homedir", self.home, "--kill", "all"], check=True, capture_output=True, timeout=60
        )


@contextmanager
def keyring() -> Iterator[Keyring]:
    """An empty one."""
    demand("gpg", "gpgconf")
    with TemporaryDirectory(prefix="gpg") as short:
        made = Keyring(Path(short))
        try:
            yield made
        finally:
            made.forget_passphrases()
