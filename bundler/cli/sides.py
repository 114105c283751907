"""The registry options of commands with two sides, as skopeo names them: ``--src-creds``, ``--dest-tls-verify``.

An option that is given without a prefix, such as ``--authfile``, holds for both sides.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bundler.cli.options import Truth, access
from bundler.errors import ConfigError

if TYPE_CHECKING:
    from bundler.journey.access import Access
    from bundler.journey.demand import Demand

SrcAuthFile = Annotated[Path | None, typer.Option("--src-authfile", help="As --authfile, for the source.")]
SrcCreds = Annotated[
    str | None, typer.Option("--src-creds", "--screds", metavar="USER[:PASSWORD]", help="Credentials for the source.")
]
SrcUsername = Annotated[str | None, typer.Option("--src-username", help="User name at the source.")]
SrcPassword = Annotated[str | None, typer.Option("--src-password", help="Password at the source.")]
SrcRegistryToken = Annotated[
    str | None, typer.Option("--src-registry-token", metavar="TOKEN", help="Bearer token for the source.")
]
SrcNoCreds = Annotated[bool, typer.Option("--src-no-creds", help="Use no credentials for the source.")]
SrcCertDir = Annotated[Path | None, typer.Option("--src-cert-dir", help="Directory of certificates for the source.")]
SrcTlsVerify = Annotated[
    Truth | None, typer.Option("--src-tls-verify", metavar="BOOL", help="Check the source's certificate.")
]
SrcSharedBlobDir = Annotated[
    Path | None, typer.Option("--src-shared-blob-dir", help="Where the blobs of an oci: source are.")
]
SrcDaemonHost = Annotated[
    str | None, typer.Option("--src-daemon-host", metavar="HOST", help="Docker daemon of a docker-daemon: source.")
]
DestAuthFile = Annotated[Path | None, typer.Option("--dest-authfile", help="As --authfile, for the destination.")]
DestCreds = Annotated[
    str | None,
    typer.Option("--dest-creds", "--dcreds", metavar="USER[:PASSWORD]", help="Credentials for the destination."),
]
DestUsername = Annotated[str | None, typer.Option("--dest-username", help="User name at the destination.")]
DestPassword = Annotated[str | None, typer.Option("--dest-password", help="Password at the destination.")]
DestRegistryToken = Annotated[
    str | None, typer.Option("--dest-registry-token", metavar="TOKEN", help="Bearer token for the destination.")
]
DestNoCreds = Annotated[bool, typer.Option("--dest-no-creds", help="Use no credentials for the destination.")]
DestCertDir = Annotated[
    Path | None, typer.Option("--dest-cert-dir", help="Directory of certificates for the destination.")
]
DestTlsVerify = Annotated[
    Truth | None, typer.Option("--dest-tls-verify", metavar="BOOL", help="Check the destination's certificate.")
]
DestSharedBlobDir = Annotated[
    Path | None, typer.Option("--dest-shared-blob-dir", help="Where to put the blobs of an oci: destination.")
]
DestDaemonHost = Annotated[
    str | None,
    typer.Option("--dest-daemon-host", metavar="HOST", help="Docker daemon of a docker-daemon: destination."),
]
DigestFile = Annotated[
    Path | None, typer.Option("--digestfile", help="Write the digest of what was copied to this file.")
]
SignBy = Annotated[
    str | None,
    typer.Option("--sign-by", metavar="FINGERPRINT", help="Sign with this GPG key, where signatures are kept."),
]
SignBySigstoreKey = Annotated[
    Path | None,
    typer.Option("--sign-by-sigstore-private-key", metavar="FILE", help="Sign with this private key, as cosign does."),
]
SignPassphraseFile = Annotated[
    Path | None, typer.Option("--sign-passphrase-file", help="File whose first line is the signing key's passphrase.")
]
RemoveSignatures = Annotated[bool, typer.Option("--remove-signatures", help="Leave the image's signatures behind.")]
PreserveDigests = Annotated[
    bool, typer.Option("--preserve-digests", help="Fail where something would have to be converted.")
]
AllInstances = Annotated[
    bool, typer.Option("--all", "-a", help="Copy all images of an index, not only the one for this system.")
]


def one_side(
    side: str,
    *,
    authfile: Path | None,
    creds: str | None,
    cert_dir: Path | None,
    tls_verify: Truth | None,
    username: str | None = None,
    password: str | None = None,
    registry_token: str | None = None,
    no_creds: bool = False,
    retry_times: int | None = None,
    retry_delay: str | None = None,
    shared_blob_dir: Path | None = None,
    daemon_host: str | None = None,
    token_hosts: list[str] | None = None,
    demand: Demand | None = None,
) -> Access:
    """The access to one side; errors name its options."""
    try:
        return access(
            authfile,
            creds,
            cert_dir,
            tls_verify,
            token_hosts,
            username=username,
            password=password,
            registry_token=registry_token,
            no_creds=no_creds,
            retry_times=retry_times,
            retry_delay=retry_delay,
            shared_blob_dir=shared_blob_dir,
            daemon_host=daemon_host,
            demand=demand,
        )
    except ConfigError as problem:
        raise problem.about(f"{side} side") from None
