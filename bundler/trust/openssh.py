r"""Private keys as ``ssh-keygen`` writes them, encrypted: the frame is read here, within bounds, before the library opens it.

    "openssh-key-v1\0", cipher, KDF, its options (salt, rounds), 1, the public key, the encrypted private key

The frame is OpenSSH's PROTOCOL.key. Each round of its bcrypt costs some milliseconds, and the file says how many: so they
are bounded, before the password is asked for. What the frame shows as the public key must be that of the key inside.
"""

from __future__ import annotations

from collections.abc import Callable

from bundler.errors import ConfigError, quoted
from bundler.trust.pem import write_block
from bundler.trust.signing import PrivateKey, checked
from bundler.trust.ssh_wire import Reader, spki_of

LABEL = "OPENSSH PRIVATE KEY"
MAX_ROUNDS = 1024
"""Half a minute at the most; ssh-keygen writes 16 or 24 unless told otherwise."""

_MAGIC = b"openssh-key-v1\0"
_CIPHERS = (b"aes256-ctr", b"aes256-cbc", b"aes256-gcm@openssh.com")
_TAG = {b"aes256-gcm@openssh.com": 16}


def open_openssh(content: bytes, password: Callable[[], bytes], *, what: str) -> PrivateKey:
    """The key in the content of an ``OPENSSH PRIVATE KEY`` block.

    Raises :class:`ConfigError` for a wrong password, a key without one, and one that bundles are not signed with.
    """
    from cryptography.exceptions import InternalError, InvalidTag, UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_ssh_private_key

    public = _public_in(content, what)
    secret = password()
    if not secret:
        raise wrong_password(what)
    try:
        key = load_ssh_private_key(write_block(LABEL, content), secret)
    except UnsupportedAlgorithm:
        raise ConfigError(
            f"{what}: OpenSSH's encryption needs the package bcrypt, which is not installed",
            hint="pip install 'oci-bundler[trust]'",
        ) from None
    except (InternalError, InvalidTag, ValueError, TypeError):
        raise wrong_password(what) from None
    private = checked(key, what=what)
    if private.public.spki != public:
        raise ConfigError(f"{what}: the public key in it is not that of its private key")
    return private


def wrong_password(what: str) -> ConfigError:
    """The error for a password that does not open a key."""
    return ConfigError(
        f"{what}: the password does not open this key", hint="try again; or the file is damaged, or of a rare kind"
    )


def _public_in(content: bytes, what: str) -> bytes:
    """The DER of the public key that the frame shows, once everything about the frame is in order."""
    if not content.startswith(_MAGIC):
        raise ConfigError(f"{what}: is damaged: not a key of OpenSSH")
    reader = Reader(content[len(_MAGIC) :], what=what)
    cipher, kdf, options, count = reader.string(), reader.string(), reader.string(), reader.number()
    if cipher == b"none" or kdf == b"none":
        raise ConfigError(
            f"{what}: the private key is not encrypted",
            hint="give it a password with `ssh-keygen -p -f FILE`",
        )
    if kdf != b"bcrypt" or cipher not in _CIPHERS:
        names = quoted(f"{cipher.decode('latin-1')} and {kdf.decode('latin-1')}", 80)
        raise ConfigError(
            f"{what}: encrypted with {names}, which is not supported",
            hint="`ssh-keygen -p -Z aes256-ctr -f FILE` encrypts it anew",
        )
    parameters = Reader(options, what=what)
    salt, rounds = parameters.string(), parameters.number()
    parameters.done()
    if not 16 <= len(salt) <= 64 or not 1 <= rounds <= MAX_ROUNDS:
        raise ConfigError(
            f"{what}: {rounds} rounds of bcrypt and a salt of {len(salt)} bytes are not among what is allowed",
            hint=f"`ssh-keygen -p -a 24 -f FILE` encrypts it anew; {MAX_ROUNDS} rounds are the most",
        )
    if count != 1:
        raise ConfigError(f"{what}: holds {count} keys; a key file holds one")
    public = reader.string()
    reader.string()
    if reader.rest != _TAG.get(cipher, 0):
        raise ConfigError(f"{what}: {reader.rest} bytes follow its end")
    return spki_of(public, what=what)
