"""The command sync: many images at once, from a list, a repository or a directory, with skopeo's options."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bundler.cli.console import console_of
from bundler.cli.copying import format_of
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
    DestNoCreds,
    DestPassword,
    DestRegistryToken,
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
    SrcNoCreds,
    SrcPassword,
    SrcRegistryToken,
    SrcTlsVerify,
    SrcUsername,
    one_side,
)
from bundler.errors import ConfigError, UnsupportedError, quoted

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bundler.cli.console import Console
    from bundler.journey.destination import Destination
    from bundler.journey.sync_list import SourceKind
    from bundler.journey.syncing import Entry
    from bundler.oci.digest import Digest

SYNC_JOBS = 6
DESTINATION_KINDS = ("docker", "dir", "oci")


def sync(
    ctx: typer.Context,
    source: Annotated[str, typer.Argument(metavar="SOURCE", help="What --src says: repository, file or directory.")],
    destination: Annotated[str, typer.Argument(metavar="DESTINATION", help="Registry with a path, or directory.")],
    *,
    src: Annotated[str, typer.Option("--src", "-s", metavar="KIND", help="docker, yaml, dir, oci or bundle.")],
    dest: Annotated[str, typer.Option("--dest", "-d", metavar="KIND", help="docker, dir or oci.")],
    all_instances: AllInstances = False,
    scoped: Annotated[
        bool, typer.Option("--scoped", help="Keep the whole name, with the registry, in the destination's path.")
    ] = False,
    append_suffix: Annotated[
        str, typer.Option("--append-suffix", metavar="TEXT", help="Put this behind every tag at the destination.")
    ] = "",
    keep_going: Annotated[
        bool, typer.Option("--keep-going", help="Go on with the others where an image fails; the exit status tells.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="List what would be copied and removed; write nothing anywhere.")
    ] = False,
    prune: Annotated[
        bool, typer.Option("--prune", help="Then remove, in these repositories, what the source no longer names.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Prune without asking.")] = False,
    format_: Annotated[
        str | None, typer.Option("--format", "-f", metavar="FORMAT", help="Convert the manifests: oci or v2s2.")
    ] = None,
    preserve_digests: PreserveDigests = False,
    digestfile: DigestFile = None,
    remove_signatures: RemoveSignatures = False,
    sign_by: SignBy = None,
    sign_by_sigstore_private_key: SignBySigstoreKey = None,
    sign_passphrase_file: SignPassphraseFile = None,
    jobs: Annotated[int, typer.Option("--jobs", min=1, max=64, help="How many contents to move at once.")] = SYNC_JOBS,
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
    dest_authfile: DestAuthFile = None,
    dest_creds: DestCreds = None,
    dest_username: DestUsername = None,
    dest_password: DestPassword = None,
    dest_registry_token: DestRegistryToken = None,
    dest_no_creds: DestNoCreds = False,
    dest_cert_dir: DestCertDir = None,
    dest_tls_verify: DestTlsVerify = None,
    token_hosts: TokenHosts = None,
    bundle_key: BundleKeys = None,
    bundle_trust: BundleTrust = None,
    bundle_policy: BundlePolicy = None,
    unsafe: UnsafeBundle = False,
) -> None:
    """Copy every image that a list, repository, directory, layout or bundle names; what is unchanged is not touched.

    Example: bundler sync --src yaml --dest docker --scoped images.yaml registry.local:5000/mirror
    """
    from bundler.convert import Recipe
    from bundler.journey.destinations import open_destination
    from bundler.journey.ends import Ends
    from bundler.journey.fitting import Instances, Wanted
    from bundler.journey.host import running_platform
    from bundler.journey.image_signatures import Signer, check_signing, passphrase_of, sigstore_signer
    from bundler.journey.sync_list import items_of, read_list
    from bundler.journey.syncing import Rules, entries_of
    from bundler.journey.syncing import sync as sync_images

    console = console_of(ctx)
    surroundings = globals_of(ctx)
    kind = _source_kind(src)
    place = _destination(dest, destination)
    check_signing(sign_by, sign_by_sigstore_private_key, None, sign_passphrase_file)
    rules = Rules(
        Wanted(
            surroundings.platform or running_platform(),
            Instances.ALL if all_instances else Instances.SYSTEM,
            Recipe(format=format_of(format_)),
            preserve_digests,
        ),
        scoped,
        append_suffix,
        keep_going,
        remove_signatures,
        None if sign_by is None else Signer(sign_by, "", passphrase_of(sign_passphrase_file)),
        None
        if sign_by_sigstore_private_key is None
        else sigstore_signer(sign_by_sigstore_private_key, "", sign_passphrase_file),
    )
    if prune and not (yes or dry_run) and not sys.stdin.isatty():
        raise ConfigError("--prune: there is no terminal to ask on", hint="look with --dry-run, then give --yes")
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
        token_hosts=token_hosts,
    )
    wishes = read_list(Path(source), near) if kind == "yaml" else None
    with (
        ThreadPoolExecutor(jobs) as executor,
        console.watching() as observer,
        Ends(
            near,
            surroundings=surroundings,
            registries=None if wishes is None else wishes.registries,
            base=Path() if wishes is None else Path(source).parent,
            observer=observer,
        ) as source_ends,
        Ends(far, surroundings=surroundings, observer=observer) as dest_ends,
    ):
        target = open_destination(place, dest_ends, option="destination")
        entries = entries_of(items_of(kind, source, source_ends, wishes, executor), target, rules)
        shown = f"{dest}://{target.name}" if dest == "docker" else target.name
        if dry_run:
            for entry in entries:
                console.result(f"{quoted(entry.item.image, 500)} -> {_landed(shown, entry.load.name)}")
            console.say(f"{len(entries)} images would be copied where they are not there already; nothing was written")
            if prune:
                _prune(console, entries, {}, target, shown, ask=False, dry_run=True)
            return
        done = sync_images(
            entries,
            target,
            rules,
            near=source_ends,
            transport=dest,
            tmp=surroundings.tmp,
            executor=executor,
            observer=observer,
        )
        if digestfile is not None:
            from bundler.journey.files import write_over

            lines = "".join(f"{digest} {_landed(shown, name)}\n" for name, digest in done.landed)
            write_over(digestfile, lines.encode())
        failed = f", {len(done.failed)} failed" if done.failed else ""
        console.say(f"{done.copied} images copied to {shown}, {done.unchanged} unchanged{failed}")
        done.raise_for_failures()
        if prune:
            _prune(console, entries, dict(done.landed), target, shown, ask=not yes, dry_run=False)


def _landed(shown: str, name: str) -> str:
    return f"{shown}/{name}" if shown.startswith(("docker:", "dir:")) else f"{shown}:{name}"


def _prune(
    console: Console,
    entries: Sequence[Entry],
    landed: Mapping[str, Digest],
    target: Destination,
    shown: str,
    *,
    ask: bool,
    dry_run: bool,
) -> None:
    from bundler.journey.syncing import surplus

    extra = surplus(entries, landed, target)
    for each in extra:
        console.result(f"{'would remove' if dry_run else 'remove'} {_landed(shown, each.name)} {each.digest}")
    if dry_run or not extra:
        return
    if ask and not typer.confirm(f"Remove these {len(extra)} images?", err=True):
        console.say("nothing was removed")
        return
    removed: set[tuple[str, str]] = set()
    for each in extra:
        repository = each.name.partition("@")[0].rpartition(":")[0]
        if not target.by_digest or (repository, each.digest) not in removed:
            each.remove()
        removed.add((repository, each.digest))
    console.say(f"{len(extra)} images removed from {shown}")


def _source_kind(text: str) -> SourceKind:
    from bundler.journey.sync_list import SOURCE_KINDS

    for kind in SOURCE_KINDS:
        if text == kind:
            return kind
    raise ConfigError(f"--src {quoted(text)!r}: must be one of {', '.join(SOURCE_KINDS)}")


def _destination(kind: str, text: str) -> str:
    """The destination with its transport, which may be given in the text as well."""
    if kind not in DESTINATION_KINDS:
        raise UnsupportedError(f"--dest {quoted(kind)!r}: must be one of {', '.join(DESTINATION_KINDS)}")
    start = "docker://" if kind == "docker" else f"{kind}:"
    return text if text.startswith(start) else f"{start}{text}"
