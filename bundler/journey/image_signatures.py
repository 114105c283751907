"""Simple signatures of images: made and checked as ``skopeo standalone-sign`` and ``standalone-verify`` do.

A signature is a GPG message about a manifest's digest and the name that the signer gave it.
"""

from __future__ import annotations

import base64
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from bundler import __version__, gpg
from bundler.errors import ConfigError, SignatureError, quoted
from bundler.journey.files import read_file
from bundler.journey.keys import private_keys
from bundler.oci import schema1
from bundler.oci.digest import Digest
from bundler.oci.reference import parse_reference, split_transport
from bundler.oci.strict_json import MANIFEST_CAP
from bundler.policy.blobs import MEDIA_TYPE, Attachment
from bundler.trust.simple_signing import Payload, parse_payload

if TYPE_CHECKING:
    from bundler.trust.signing import Signer as Key

ANY = "any"
SIGNATURE_CAP = 4 << 20


@dataclass(frozen=True, slots=True)
class Signer:
    """Signs manifests as images called ``reference``, as it is written, with one GPG key."""

    fingerprint: str
    reference: str
    passphrase: bytes | None = field(default=None, repr=False)

    attaches = False
    """Whether what it makes is attached to the image in its repository."""

    def sign(self, manifest: bytes) -> bytes:
        """The signature of a manifest."""
        digest = schema1.digest(manifest)
        payload = Payload(digest, self.reference, f"bundler {__version__}", int(time.time()))
        return gpg.sign(payload.serialised(), self.fingerprint, passphrase=self.passphrase)


@dataclass(frozen=True, slots=True)
class SigstoreSigner:
    """Signs manifests as cosign does, as images called ``reference``, with a private key."""

    key: Key = field(repr=False)
    reference: str

    attaches = True

    def sign(self, manifest: bytes) -> bytes:
        """The signature of a manifest, as :class:`bundler.policy.blobs.Attachment` stores it."""
        from bundler.trust.image_signing import cosign_payload
        from bundler.trust.images.cosign import SIGNATURE

        payload = cosign_payload(schema1.digest(manifest), self.reference, timestamp=int(time.time()))
        value = base64.b64encode(self.key.sign(payload, purpose="image")).decode("ascii")
        return Attachment(MEDIA_TYPE, payload, {SIGNATURE: value}).blob()


def sigstore_signer(key: Path, reference: str, passphrase_file: Path | None) -> SigstoreSigner:
    """The signer with a private key in a file, of any kind that bundles are signed with."""
    word = passphrase_of(passphrase_file) or b""
    (opened,) = private_keys([key], lambda: word)()
    return SigstoreSigner(opened, reference)


def signer_of(fingerprint: str | None, identity: str | None, passphrase_file: Path | None, to: str) -> Signer | None:
    """The signer that a command line asks for: by ``--sign-identity``, else by the name of the destination ``to``.

    Raises :class:`ConfigError` where nothing says what the image is called.
    """
    if fingerprint is None:
        check_signing(fingerprint, None, identity, passphrase_file)
        return None
    return Signer(fingerprint, signed_name(identity, to), passphrase_of(passphrase_file))


def check_signing(
    fingerprint: str | None, key: Path | None, identity: str | None, passphrase_file: Path | None
) -> None:
    """Raise :class:`ConfigError` for options of signing that don't go together."""
    if fingerprint is None and key is None and (identity is not None or passphrase_file is not None):
        raise ConfigError("--sign-identity and --sign-passphrase-file need --sign-by or --sign-by-sigstore-private-key")
    if fingerprint is not None and key is not None and passphrase_file is not None:
        raise ConfigError(
            "--sign-passphrase-file: opens one key, and two are asked for",
            hint="sign twice, once with each; signatures are kept",
        )


def signed_name(identity: str | None, to: str) -> str:
    """What a signature calls the image: ``--sign-identity``, else the name of the destination ``to``."""
    if identity is not None:
        reference = parse_reference(identity, what="--sign-identity", default_tag="")
        if not reference.identifier:
            raise ConfigError(
                f"--sign-identity: {quoted(identity)} has neither tag nor digest", hint="sign one image of a repository"
            )
        return str(reference)
    transport, rest = split_transport(to)
    if transport != "docker":
        raise ConfigError(
            f"--sign-by: {quoted(to)} is no name to sign the image under", hint="give it with --sign-identity"
        )
    return str(parse_reference(rest))


def passphrase_of(path: Path | None) -> bytes | None:
    """The first line of a passphrase file."""
    return None if path is None else read_file(path, what="passphrase file", cap=4096).partition(b"\n")[0]


def read_manifest(path: Path) -> bytes:
    """A manifest in a file."""
    return read_file(path, what="manifest", cap=MANIFEST_CAP)


def read_signature(path: Path) -> bytes:
    """A signature in a file."""
    return read_file(path, what="signature", cap=SIGNATURE_CAP)


def verify_signature(
    manifest: bytes, reference: str, fingerprints: Sequence[str], signature: bytes, *, keys: Path | None = None
) -> tuple[str, Digest]:
    """The fingerprint of the key that signed ``manifest`` under the name ``reference``, and the manifest's digest.

    ``fingerprints`` are those of which one must have; ``any`` takes every key of the file ``keys``. Raises
    :class:`SignatureError` where the signature is bad or about something else, :class:`TrustError` where another key
    made it.
    """
    wanted = str(parse_reference(reference, default_tag=""))
    allowed = None if list(fingerprints) == [ANY] else fingerprints
    if allowed is None and keys is None:
        raise ConfigError("any key is taken only out of a file of public keys", hint="give --public-key-file")
    verified = gpg.verify(signature, allowed=allowed, keys=keys)
    payload = parse_payload(verified.payload)
    digest = schema1.digest(manifest)
    if payload.digest != digest:
        raise _about_another(payload.digest, digest)
    try:
        signed = str(parse_reference(payload.reference, default_tag=""))
    except ConfigError as problem:
        raise SignatureError(f"signed payload: {problem}") from None
    if signed != wanted:
        raise _about_another(signed, wanted)
    return verified.named, digest


def _about_another(signed: str, wanted: str) -> SignatureError:
    return SignatureError(
        f"the signature is about {quoted(signed)}, not {quoted(wanted)}",
        hint="check the name that was given, and that manifest and signature belong together",
    )
