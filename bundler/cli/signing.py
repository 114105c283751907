"""Simple signatures by hand, on files: manifest-digest, standalone-sign, standalone-verify."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bundler.cli.console import console_of

ManifestFile = Annotated[Path, typer.Argument(metavar="MANIFEST", help="File with the image's manifest.")]
DockerReference = Annotated[
    str, typer.Argument(metavar="DOCKER-REFERENCE", help="The image's name, as registry.example/app:1.")
]


def manifest_digest(
    ctx: typer.Context,
    manifest: ManifestFile,
) -> None:
    """Print the digest of a manifest in a file, as a registry would compute it.

    Example: bundler manifest-digest manifest.json
    """
    from bundler.journey.image_signatures import read_manifest
    from bundler.oci.schema1 import digest

    console_of(ctx).result(digest(read_manifest(manifest)))


def standalone_sign(
    ctx: typer.Context,
    manifest: ManifestFile,
    reference: DockerReference,
    fingerprint: Annotated[str, typer.Argument(metavar="KEY-FINGERPRINT", help="The GPG key to sign with.")],
    *,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="SIGNATURE", help="File to write.")],
    passphrase_file: Annotated[
        Path | None, typer.Option("--passphrase-file", help="File whose first line is the key's passphrase.")
    ] = None,
) -> None:
    """Sign a manifest as an image of a name, with a GPG key; the signature goes to a file of its own.

    Example: bundler standalone-sign manifest.json registry.example/app:1 FINGERPRINT --output app.signature
    """
    from bundler.journey.files import write_over
    from bundler.journey.image_signatures import Signer, passphrase_of, read_manifest
    from bundler.oci.reference import parse_reference

    parse_reference(reference, what="DOCKER-REFERENCE")
    signer = Signer(fingerprint, reference, passphrase_of(passphrase_file))
    write_over(output, signer.sign(read_manifest(manifest)))
    console_of(ctx).say(f"wrote {output}")


def standalone_verify(
    ctx: typer.Context,
    manifest: ManifestFile,
    reference: DockerReference,
    fingerprints: Annotated[
        str, typer.Argument(metavar="KEY-FINGERPRINTS", help="GPG keys with commas between; or any, of a file of keys.")
    ],
    signature: Annotated[Path, typer.Argument(metavar="SIGNATURE", help="File with the signature.")],
    *,
    public_key_file: Annotated[
        Path | None, typer.Option("--public-key-file", help="File of GPG public keys, in place of the user's own.")
    ] = None,
) -> None:
    """Check that a key signed a manifest as the image of a name.

    Example: bundler standalone-verify manifest.json registry.example/app:1 FINGERPRINT app.signature
    """
    from bundler.journey.image_signatures import read_manifest, read_signature, verify_signature

    fingerprint, digest = verify_signature(
        read_manifest(manifest), reference, fingerprints.split(","), read_signature(signature), keys=public_key_file
    )
    console_of(ctx).result(f"Signature verified using fingerprint {fingerprint}, digest {digest}")
