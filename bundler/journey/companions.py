"""Signatures over a bundle's SHA256SUMS for other tools: cosign, ssh-keygen, minisign and gpgv.

    for made in write_companions(Path("edge-000001"), signers, ("cosign-bundle", "sshsig")):
        print(made.path, made.check)

They are written only on request, and beside bundler's own: these alone decide about a bundle.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bundler.errors import ConfigError, SignatureError, quoted
from bundler.journey.keys import existing
from bundler.trust.sums import COMPANIONS, SUMS, companion_name, signature_name

if TYPE_CHECKING:
    from bundler.trust.signing import Signer
    from bundler.trust.verify import Documents


@dataclass(frozen=True, slots=True)
class Companion:
    """A signature for another tool that was written; ``check`` is how that tool verifies it, in the bundle's directory."""

    path: Path
    check: str


def write_companions(
    directory: Path, signers: Sequence[Signer], also: Sequence[str], *, gpg_key: str | None = None
) -> tuple[Companion, ...]:
    """Write each signer's signature over a bundle's SHA256SUMS in the forms named by ``also``, for other tools.

    The bundle must have been signed by them. GPG's is made once, with ``gpg_key``, by the ``gpg`` of whoever runs this.
    """
    from bundler.bundle.directory import locked, write_files
    from bundler.bundle.unpack import read_documents

    if unknown := [form for form in also if form not in COMPANIONS]:
        raise ConfigError(f"--also {quoted(unknown[0])}: no such form of signatures", hint=", ".join(COMPANIONS))
    if not also:
        return ()
    with locked(existing(directory)):
        documents = read_documents(directory)
        _require_signed(documents, signers)
        sums = documents.sums
        made = [each for form in dict.fromkeys(also) for each in _companions(form, signers, sums, gpg_key)]
        write_files(directory, {name: content for name, content, _ in made})
    return tuple(Companion(directory / name, check) for name, _, check in made)


def _require_signed(documents: Documents, signers: Sequence[Signer]) -> None:
    """What is signed here is what the same keys have signed as a whole bundle, and nothing that came in between."""
    for signer in signers:
        name = signature_name(signer.public.key_id)
        if name not in documents.signatures:
            raise SignatureError(f"{name}: missing", hint="sign the bundle with `bundler sign` first")
        signer.public.verify(documents.sums, documents.signatures[name])


def _companions(form: str, signers: Sequence[Signer], sums: bytes, gpg_key: str | None) -> list[tuple[str, bytes, str]]:
    """``(file name, content, command that checks it)`` of one form."""
    if form == "gpg":
        from bundler.gpg import sign_detached

        made, content = "".join((gpg_key or "").split()).lower().removeprefix("0x"), sign_detached(sums, gpg_key or "")
        name = companion_name(made[-16:], form)
        return [(name, content, f"gpgv --keyring SIGNER.gpg {name} {SUMS}")]
    return [_companion(form, signer, sums, companion_name(signer.public.key_id, form)) for signer in signers]


def _companion(form: str, signer: Signer, sums: bytes, name: str) -> tuple[str, bytes, str]:
    if form == "cosign-bundle":
        from bundler.trust.sigstore_bundle import sigstore_bundle

        check = f"cosign verify-blob --key SIGNER.pub --bundle {name} --insecure-ignore-tlog {SUMS}"
        return name, sigstore_bundle(signer, sums), check
    if form == "sshsig":
        from bundler.trust.sshsig import sshsig

        check = f"ssh-keygen -Y verify -f ALLOWED_SIGNERS -I SIGNER -n file -s {name} < {SUMS}"
        return name, sshsig(signer, sums), check
    from bundler.trust.minisign import minisign_key, minisign_signature

    check = f"minisign -V -P {minisign_key(signer.public)} -x {name} -m {SUMS}"
    return name, minisign_signature(signer, sums, SUMS), check
