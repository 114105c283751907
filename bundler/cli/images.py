"""Commands about one image or repository, with skopeo's options: inspect, list-tags, delete."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bundler.cli.console import console_of
from bundler.cli.options import (
    AuthFile,
    BundleKeys,
    BundlePolicy,
    BundleTrust,
    CertDir,
    Creds,
    DaemonHost,
    NoCreds,
    Password,
    RegistryToken,
    RetryDelay,
    RetryTimes,
    SharedBlobDir,
    TlsVerify,
    TokenHosts,
    UnsafeBundle,
    Username,
    access,
    bundle_demand,
    globals_of,
)
from bundler.errors import AuthError, ConfigError, NotFoundError, quoted

if TYPE_CHECKING:
    from bundler.cli.console import Console
    from bundler.journey.ends import Ends

Image = Annotated[str, typer.Argument(metavar="IMAGE", help="The image, as TRANSPORT:NAME.")]


def inspect(
    ctx: typer.Context,
    image: Image,
    *,
    raw: Annotated[
        bool, typer.Option("--raw", help="Print the manifest as it is, or with --config the config.")
    ] = False,
    config: Annotated[bool, typer.Option("--config", help="Print the image's config as OCI knows it.")] = False,
    format_: Annotated[
        str | None,
        typer.Option("--format", "-f", metavar="TEMPLATE", help="Print with a Go template, as '{{.Digest}}'."),
    ] = None,
    no_tags: Annotated[bool, typer.Option("--no-tags", "-n", help="Do not ask for the repository's tags.")] = False,
    authfile: AuthFile = None,
    creds: Creds = None,
    username: Username = None,
    password: Password = None,
    registry_token: RegistryToken = None,
    no_creds: NoCreds = False,
    cert_dir: CertDir = None,
    tls_verify: TlsVerify = None,
    token_hosts: TokenHosts = None,
    shared_blob_dir: SharedBlobDir = None,
    daemon_host: DaemonHost = None,
    retry_times: RetryTimes = None,
    retry_delay: RetryDelay = None,
    bundle_key: BundleKeys = None,
    bundle_trust: BundleTrust = None,
    bundle_policy: BundlePolicy = None,
    unsafe: UnsafeBundle = False,
) -> None:
    """Print what an image is: digest, tags, platform, layers and configuration, without fetching layers.

    Example: bundler inspect docker://docker.io/library/nginx:1.27 --format '{{.Digest}}'
    """
    from bundler.cli.gotemplate import asks_for_json, parsed, reported
    from bundler.cli.gotemplate.printing import go_json
    from bundler.cli.inspected import configured, inspected
    from bundler.journey import inspecting
    from bundler.journey.ends import Ends
    from bundler.journey.host import running_platform

    console = console_of(ctx)
    if raw and format_ is not None:
        raise ConfigError("--raw and --format exclude each other")
    template = None if format_ is None or asks_for_json(format_) else format_
    parsed(template or "")  # a mistake in it is told before anything is asked
    reach = access(
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
        demand=bundle_demand(bundle_key, unsafe=unsafe, trust=bundle_trust, policy=bundle_policy),
    )
    surroundings = globals_of(ctx)
    with Ends(reach, surroundings=surroundings) as ends:
        source, name = ends.source(image)
        source = inspecting.as_kept(source, name)
        if raw and not config:
            _write(inspecting.raw_manifest(source, name))
            return
        seen = inspecting.look(source, name, surroundings.platform or running_platform(), what=image)
        if raw:
            _write(inspecting.raw_config(source, seen, what=image))
            return
        document: dict[str, Any]
        if config:
            document = inspecting.config_document(source, seen, what=image)
        else:
            repository, tags = _named(ends.meant(image), ends, console, no_tags=no_tags)
            document = inspecting.inspect(source, seen, name=repository, tags=tags, what=image)
    if template is None:
        console.result(go_json(document, 4))
        return
    text = reported(template, configured(document) if config else inspected(document))
    # A terminal would act on what a stranger wrote into a label; a program wants it as it is.
    sys.stdout.write("\n".join(map(quoted_line, text.split("\n"))) if sys.stdout.isatty() else text)


def _named(image: str, ends: Ends, console: Console, *, no_tags: bool) -> tuple[str, list[str] | None]:
    """The repository's name, and all of its tags if it is at a registry; None if they may not be listed."""
    from bundler.journey.inspecting import tags_of
    from bundler.journey.listing import repository_of

    name, reference = repository_of(image)
    if no_tags or reference is None:
        return name, []
    try:
        return name, tags_of(ends.reading(reference))
    except (AuthError, NotFoundError):  # some registries let nobody list tags, or can't
        console.say(f"{name}: its tags may not be listed")
        return name, None


def quoted_line(text: str) -> str:
    """A line that can be shown on a terminal, whole."""
    return quoted(text, max(1, len(text)))


def _write(raw: bytes) -> None:
    sys.stdout.flush()
    sys.stdout.buffer.write(raw)
    sys.stdout.buffer.flush()


def list_tags(
    ctx: typer.Context,
    repository: Annotated[str, typer.Argument(metavar="REPOSITORY", help="docker://NAME, or an archive's file.")],
    *,
    authfile: AuthFile = None,
    creds: Creds = None,
    username: Username = None,
    password: Password = None,
    registry_token: RegistryToken = None,
    no_creds: NoCreds = False,
    cert_dir: CertDir = None,
    tls_verify: TlsVerify = None,
    token_hosts: TokenHosts = None,
    retry_times: RetryTimes = None,
    retry_delay: RetryDelay = None,
    bundle_key: BundleKeys = None,
    bundle_trust: BundleTrust = None,
    bundle_policy: BundlePolicy = None,
    unsafe: UnsafeBundle = False,
) -> None:
    """Print all tags of a repository, or the names in an archive, a layout or a bundle, as JSON.

    Example: bundler list-tags docker://docker.io/library/nginx
    """
    from bundler.cli.gotemplate.printing import go_json
    from bundler.journey.ends import Ends
    from bundler.journey.listing import list_tags as tags_at

    reach = access(
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
        demand=bundle_demand(bundle_key, unsafe=unsafe, trust=bundle_trust, policy=bundle_policy),
    )
    with Ends(reach, surroundings=globals_of(ctx)) as ends:
        console_of(ctx).result(go_json(tags_at(repository, ends), 4))


def delete(
    ctx: typer.Context,
    image: Image,
    *,
    authfile: AuthFile = None,
    creds: Creds = None,
    username: Username = None,
    password: Password = None,
    registry_token: RegistryToken = None,
    no_creds: NoCreds = False,
    cert_dir: CertDir = None,
    tls_verify: TlsVerify = None,
    token_hosts: TokenHosts = None,
    daemon_host: DaemonHost = None,
    retry_times: RetryTimes = None,
    retry_delay: RetryDelay = None,
) -> None:
    """Delete an image from a registry, layout, daemon or storage, with every tag that stands for the same digest.

    Example: bundler delete docker://registry.local:5000/library/nginx:1.27
    """
    from bundler.journey.ends import Ends
    from bundler.journey.listing import delete as delete_at

    reach = access(
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
        daemon_host=daemon_host,
    )
    with Ends(reach, surroundings=globals_of(ctx)) as ends:
        digest = delete_at(image, ends)
    console_of(ctx).say(f"deleted {digest}, and every tag that stood for it")
