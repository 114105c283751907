"""The command copy: one image, from any transport to any other, with skopeo's options."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Annotated

import typer

from bundler.cli.console import console_of
from bundler.cli.options import (
    AuthFile,
    BundleKeys,
    BundlePolicy,
    BundleTrust,
    RetryDelay,
    RetryTimes,
    TokenHosts,
    UnsafeBundle,
    bundle_demand,
    globals_of,
)
from bundler.cli.sides import (
    AllInstances,
    DestAuthFile,
    DestCertDir,
    DestCreds,
    DestDaemonHost,
    DestNoCreds,
    DestPassword,
    DestRegistryToken,
    DestSharedBlobDir,
    DestTlsVerify,
    DestUsername,
    DigestFile,
    PreserveDigests,
    RemoveSignatures,
    SignBy,
    SignBySigstoreKey,
    SignPassphraseFile,
    SrcAuthFile,
    SrcCertDir,
    SrcCreds,
    SrcDaemonHost,
    SrcNoCreds,
    SrcPassword,
    SrcRegistryToken,
    SrcSharedBlobDir,
    SrcTlsVerify,
    SrcUsername,
    one_side,
)
from bundler.errors import ConfigError, UnsupportedError, quoted

if TYPE_CHECKING:
    from bundler.convert import Recipe
    from bundler.medium import Compression, Format

SKOPEO_JOBS = 6


def copy(
    ctx: typer.Context,
    source: Annotated[str, typer.Argument(metavar="SOURCE-IMAGE", help="Image to copy, as TRANSPORT:NAME.")],
    destination: Annotated[str, typer.Argument(metavar="DESTINATION-IMAGE", help="Where to copy it.")],
    *,
    all_instances: AllInstances = False,
    multi_arch: Annotated[
        str | None,
        typer.Option(
            "--multi-arch", metavar="WHICH", help="system, all, index-only, or platforms such as linux/arm64."
        ),
    ] = None,
    format_: Annotated[
        str | None, typer.Option("--format", "-f", metavar="FORMAT", help="Convert the manifest: oci or v2s2.")
    ] = None,
    preserve_digests: PreserveDigests = False,
    dest_compress: Annotated[
        bool, typer.Option("--dest-compress", help="Compress the layers that are not compressed, with gzip.")
    ] = False,
    dest_decompress: Annotated[bool, typer.Option("--dest-decompress", help="Decompress the layers.")] = False,
    dest_compress_format: Annotated[
        str | None, typer.Option("--dest-compress-format", metavar="FORMAT", help="Compress layers with gzip or zstd.")
    ] = None,
    dest_compress_level: Annotated[
        int | None, typer.Option("--dest-compress-level", metavar="LEVEL", help="gzip 1 to 9, zstd 1 to 22.")
    ] = None,
    dest_force_compress_format: Annotated[
        bool, typer.Option("--dest-force-compress-format", help="Need every layer in the --dest-compress-format.")
    ] = False,
    dest_oci_accept_uncompressed_layers: Annotated[
        bool, typer.Option("--dest-oci-accept-uncompressed-layers", help="Leave plain layers plain in OCI layouts.")
    ] = False,
    dest_precompute_digests: Annotated[  # noqa: ARG001
        bool, typer.Option("--dest-precompute-digests", help="Accepted for skopeo's sake: digests are always known.")
    ] = False,
    additional_tag: Annotated[
        list[str] | None,
        typer.Option("--additional-tag", metavar="NAME", help="One more name for it; repeat for more."),
    ] = None,
    digestfile: DigestFile = None,
    remove_signatures: RemoveSignatures = False,
    sign_by: SignBy = None,
    sign_by_sigstore_private_key: SignBySigstoreKey = None,
    sign_identity: Annotated[
        str | None, typer.Option("--sign-identity", metavar="REFERENCE", help="Sign it as the image of this name.")
    ] = None,
    sign_passphrase_file: SignPassphraseFile = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print errors only.")] = False,
    image_parallel_copies: Annotated[
        int, typer.Option("--image-parallel-copies", "--jobs", min=1, max=64, help="How many contents to move at once.")
    ] = SKOPEO_JOBS,
    retry_times: RetryTimes = None,
    retry_delay: RetryDelay = None,
    authfile: AuthFile = None,
    src_authfile: SrcAuthFile = None,
    src_creds: SrcCreds = None,
    src_username: SrcUsername = None,
    src_password: SrcPassword = None,
    src_registry_token: SrcRegistryToken = None,
    src_no_creds: SrcNoCreds = False,
    src_cert_dir: SrcCertDir = None,
    src_tls_verify: SrcTlsVerify = None,
    src_shared_blob_dir: SrcSharedBlobDir = None,
    src_daemon_host: SrcDaemonHost = None,
    dest_authfile: DestAuthFile = None,
    dest_creds: DestCreds = None,
    dest_username: DestUsername = None,
    dest_password: DestPassword = None,
    dest_registry_token: DestRegistryToken = None,
    dest_no_creds: DestNoCreds = False,
    dest_cert_dir: DestCertDir = None,
    dest_tls_verify: DestTlsVerify = None,
    dest_shared_blob_dir: DestSharedBlobDir = None,
    dest_daemon_host: DestDaemonHost = None,
    token_hosts: TokenHosts = None,
    bundle_key: BundleKeys = None,
    bundle_trust: BundleTrust = None,
    bundle_policy: BundlePolicy = None,
    unsafe: UnsafeBundle = False,
) -> None:
    """Copy an image from any transport to any other; the bytes stay as they are unless a change is needed or asked for.

    Example: bundler copy docker://docker.io/library/nginx:1.27 docker-archive:nginx.tar:nginx:1.27
    """
    from bundler.content import silent
    from bundler.journey.copying import Orders
    from bundler.journey.copying import copy as copy_image
    from bundler.journey.ends import Ends
    from bundler.journey.files import write_over
    from bundler.journey.fitting import Wanted, parse_instances
    from bundler.journey.host import running_platform
    from bundler.journey.image_signatures import check_signing, signed_name, signer_of, sigstore_signer

    console = console_of(ctx)
    surroundings = globals_of(ctx)
    recipe = recipe_of(
        format_,
        compress=dest_compress,
        decompress=dest_decompress,
        compress_format=dest_compress_format,
        level=dest_compress_level,
        force=dest_force_compress_format,
        keep_plain=dest_oci_accept_uncompressed_layers,
    )
    check_signing(sign_by, sign_by_sigstore_private_key, sign_identity, sign_passphrase_file)
    orders = Orders(
        Wanted(
            surroundings.platform or running_platform(),
            parse_instances(multi_arch, all_of_them=all_instances),
            recipe,
            preserve_digests,
        ),
        tuple(additional_tag or ()),
        remove_signatures,
        None if sign_by is None else signer_of(sign_by, sign_identity, sign_passphrase_file, destination),
        None
        if sign_by_sigstore_private_key is None
        else sigstore_signer(
            sign_by_sigstore_private_key, signed_name(sign_identity, destination), sign_passphrase_file
        ),
    )
    near = one_side(
        "source",
        authfile=src_authfile or authfile,
        creds=src_creds,
        cert_dir=src_cert_dir,
        tls_verify=src_tls_verify,
        username=src_username,
        password=src_password,
        registry_token=src_registry_token,
        no_creds=src_no_creds,
        retry_times=retry_times,
        retry_delay=retry_delay,
        shared_blob_dir=src_shared_blob_dir,
        daemon_host=src_daemon_host,
        token_hosts=token_hosts,
        demand=bundle_demand(bundle_key, unsafe=unsafe, trust=bundle_trust, policy=bundle_policy),
    )
    far = one_side(
        "destination",
        authfile=dest_authfile or authfile,
        creds=dest_creds,
        cert_dir=dest_cert_dir,
        tls_verify=dest_tls_verify,
        username=dest_username,
        password=dest_password,
        registry_token=dest_registry_token,
        no_creds=dest_no_creds,
        retry_times=retry_times,
        retry_delay=retry_delay,
        shared_blob_dir=dest_shared_blob_dir,
        daemon_host=dest_daemon_host,
        token_hosts=token_hosts,
    )
    with (
        ThreadPoolExecutor(image_parallel_copies) as executor,
        console.watching() as shown,
    ):
        observer = silent if quiet else shown
        with (
            Ends(near, surroundings=surroundings, observer=observer) as source_ends,
            Ends(far, surroundings=surroundings, observer=observer) as dest_ends,
        ):
            done = copy_image(source, destination, orders, source_ends, dest_ends, executor=executor, observer=observer)
    if digestfile is not None:
        write_over(digestfile, done.digest.encode())
    if not quiet:
        console.say(f"{destination}: {done.digest}")


def recipe_of(
    format_: str | None,
    *,
    compress: bool = False,
    decompress: bool = False,
    compress_format: str | None = None,
    level: int | None = None,
    force: bool = False,
    keep_plain: bool = False,
) -> Recipe:
    """The conversions that the options ask for. Raises :class:`ConfigError` where they exclude each other."""
    from bundler.convert import Recipe

    if decompress and (compress or compress_format or keep_plain):
        raise ConfigError("--dest-decompress excludes the options that compress")
    if compress and keep_plain:
        raise ConfigError("--dest-compress and --dest-oci-accept-uncompressed-layers exclude each other")
    if force and compress_format is None:
        raise ConfigError("--dest-force-compress-format needs --dest-compress-format")
    compression: Compression | None = "none" if decompress else None
    if compress_format in ("gzip", "zstd"):
        compression = "zstd" if compress_format == "zstd" else "gzip"
    elif compress_format is not None:
        raise UnsupportedError(
            f"--dest-compress-format {quoted(compress_format)!r}: layers are compressed with gzip or zstd only"
        )
    return Recipe(
        format=format_of(format_),
        compression=compression,
        level=level,
        force=force,
        compress_plain=True if compress else False if keep_plain else None,
    )


def format_of(text: str | None) -> Format | None:
    """``--format`` of a copy."""
    if text is None or text in ("oci", "v2s2"):
        return None if text is None else "oci" if text == "oci" else "v2s2"
    if text == "v2s1":
        raise UnsupportedError(
            "--format v2s1: Docker schema 1 can be read, but is not written any more", hint="write oci or v2s2"
        )
    raise ConfigError(f"--format {quoted(text)!r}: must be oci or v2s2")
