"""Commands of the connected side: init, lock, plan, pull, pack, build."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bundler.cli.console import Console, console_of
from bundler.cli.options import (
    DEFAULT_JOBS,
    LOCAL_JOBS,
    AsJson,
    AuthFile,
    BundleKeys,
    BundlePolicy,
    BundleTrust,
    CertDir,
    Creds,
    Jobs,
    Manifest,
    PasswordFd,
    PasswordFile,
    SiteRoots,
    StoreDir,
    TlsVerify,
    TokenHosts,
    UnsafeBundle,
    access,
    bundle_demand,
    globals_of,
    store_directory,
)
from bundler.cli.signers import (
    Also,
    GpgKey,
    KeyFiles,
    SignCommand,
    SignCommandKey,
    getting_ready,
    signing_of,
    write_also,
)
from bundler.cli.sizes import human, parse_size
from bundler.errors import ConfigError, quoted

if TYPE_CHECKING:
    from bundler.journey.access import Access
    from bundler.journey.near import Run
    from bundler.journey.packing import Packed
    from bundler.selection.lock import Lock, LockedImage

MAX_SERIAL = 999_999_999
"""The most that a lock and a statement take."""

VolumeSize = Annotated[
    str, typer.Option("--volume-size", metavar="SIZE", help="Most bytes in a volume; 4GiB stays FAT32's limit.")
]
Level = Annotated[int, typer.Option("--level", min=1, max=19, help="zstd level for what is not compressed already.")]
Serial = Annotated[
    int | None, typer.Option("--serial", min=1, max=MAX_SERIAL, help="Use this serial instead of the lock's.")
]
ValidFor = Annotated[
    int | None,
    typer.Option(
        "--valid-for", min=1, max=36_500, metavar="DAYS", help="Days until the release expires. [default: never]"
    ),
]
Update = Annotated[
    list[str] | None, typer.Option("--update", metavar="NAME", help="Resolve images matching NAME again; '*' for all.")
]
DEFAULT_VOLUME = "4GiB"


def init(
    ctx: typer.Context,
    file: Annotated[Path, typer.Argument(help="Where to write it.")] = Path("bundle.yaml"),
) -> None:
    """Write a commented bundle.yaml to start from.

    Example: bundler init bundle.yaml
    """
    from bundler.journey.files import write_new
    from bundler.selection.template import TEMPLATE

    write_new(file, TEMPLATE.encode())
    console_of(ctx).say(f"wrote {file}; name your images in it, then: bundler lock {file}")


def lock(
    ctx: typer.Context,
    manifest: Manifest,
    *,
    update: Update = None,
    check: Annotated[bool, typer.Option("--check", help="Write nothing; fail if the registries moved on.")] = False,
    serial: Serial = None,
    valid_for: ValidFor = None,
    as_json: AsJson = False,
    authfile: AuthFile = None,
    creds: Creds = None,
    cert_dir: CertDir = None,
    tls_verify: TlsVerify = None,
    token_host: TokenHosts = None,
    bundle_key: BundleKeys = None,
    bundle_trust: BundleTrust = None,
    bundle_policy: BundlePolicy = None,
    unsafe: UnsafeBundle = False,
    jobs: Jobs = DEFAULT_JOBS,
) -> None:
    """Resolve every name to digests and write the lock file beside the manifest.

    Images that the lock holds already keep their digests unless --update names them.

    Example: bundler lock bundle.yaml --update '*nginx*'
    """
    from bundler.journey import near
    from bundler.selection.lock import write_lock

    console = console_of(ctx)
    demand = bundle_demand(bundle_key, unsafe=unsafe, trust=bundle_trust, policy=bundle_policy)
    reach = access(authfile, creds, cert_dir, tls_verify, token_host, demand=demand)
    with _running(ctx, manifest, reach, jobs) as run:
        if check:
            near.check_lock(run)
            console.say(f"{run.lock_path} is what the registries hold")
            return
        made = near.make_lock(run, update=update, now=_now(), valid_for=valid_for, serial=serial)
    if as_json:
        console.result(write_lock(made).decode())
    else:
        _show_lock(console, made)
        console.say(f"wrote {run.lock_path}")


def plan(
    ctx: typer.Context,
    manifest: Manifest,
    *,
    volume_size: VolumeSize = DEFAULT_VOLUME,
    store: StoreDir = None,
    as_json: AsJson = False,
    authfile: AuthFile = None,
    creds: Creds = None,
    cert_dir: CertDir = None,
    tls_verify: TlsVerify = None,
    token_host: TokenHosts = None,
    bundle_key: BundleKeys = None,
    bundle_trust: BundleTrust = None,
    bundle_policy: BundlePolicy = None,
    unsafe: UnsafeBundle = False,
    jobs: Jobs = DEFAULT_JOBS,
) -> None:
    """Say what a bundle will cost before any layer is fetched: sizes, sharing, volumes, disk, registry pulls.

    Example: bundler plan bundle.yaml --volume-size 650MB
    """
    from bundler.journey.forecast import forecast

    console = console_of(ctx)
    demand = bundle_demand(bundle_key, unsafe=unsafe, trust=bundle_trust, policy=bundle_policy)
    reach = access(authfile, creds, cert_dir, tls_verify, token_host, demand=demand)
    limit = parse_size(volume_size, what="--volume-size")
    with _running(ctx, manifest, reach, jobs) as run:
        expected = forecast(run, limit=limit, store=store_directory(store), now=_now())
    if as_json:
        console.json(expected.document())
        return
    rows = [(share.name, human(share.size), human(share.unique)) for share in expected.shares]
    console.table(("image", "size", "only here"), rows)
    console.result("")
    console.figures(expected.figures(human))
    _show_attached(console, expected.images)


def pull(
    ctx: typer.Context,
    manifest: Manifest,
    *,
    store: StoreDir = None,
    as_json: AsJson = False,
    authfile: AuthFile = None,
    creds: Creds = None,
    cert_dir: CertDir = None,
    tls_verify: TlsVerify = None,
    token_host: TokenHosts = None,
    bundle_key: BundleKeys = None,
    bundle_trust: BundleTrust = None,
    bundle_policy: BundlePolicy = None,
    unsafe: UnsafeBundle = False,
    jobs: Jobs = DEFAULT_JOBS,
) -> None:
    """Fetch what the lock names into the store; made first if there is none. Repeat to resume.

    Example: bundler pull bundle.yaml --store /srv/store
    """
    from bundler.cli.progress import outcome_counts
    from bundler.journey import near

    console = console_of(ctx)
    demand = bundle_demand(bundle_key, unsafe=unsafe, trust=bundle_trust, policy=bundle_policy)
    reach = access(authfile, creds, cert_dir, tls_verify, token_host, demand=demand)
    with _running(ctx, manifest, reach, jobs) as run:
        pulled = near.pull(run, store_directory(store), now=_now())
    if as_json:
        console.json(pulled.document())
        return
    _show_attached(console, pulled.lock.images)
    console.say(f"{len(pulled.lock.images)} images in {pulled.store}: {outcome_counts(pulled.outcomes)}")


def pack(
    ctx: typer.Context,
    manifest: Manifest,
    *,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="The bundle's directory.")] = None,
    store: StoreDir = None,
    volume_size: VolumeSize = DEFAULT_VOLUME,
    level: Level = 3,
    serial: Serial = None,
    key: KeyFiles = None,
    sign_command: SignCommand = None,
    sign_command_key: SignCommandKey = None,
    also: Also = None,
    gpg_key: GpgKey = None,
    trust: SiteRoots = None,
    password_file: PasswordFile = None,
    password_fd: PasswordFd = None,
    as_json: AsJson = False,
    jobs: Jobs = LOCAL_JOBS,
) -> None:
    """Write the bundle of the lock from what the store holds; without --key, sign it afterwards with `bundler sign`.

    Example: bundler pack bundle.yaml --store /srv/store -o edge-000001 --key release.key
    """
    console = console_of(ctx)
    limit = parse_size(volume_size, what="--volume-size")
    signing = signing_of(key, sign_command, sign_command_key, also, gpg_key)
    roots = _roots_of(trust)
    with getting_ready(signing, password_file, password_fd) as signers:
        from bundler.journey.access import Access
        from bundler.journey.packing import Shape
        from bundler.journey.packing import pack as write

        with _running(ctx, manifest, Access(), jobs) as run:
            packed = write(run, store_directory(store), output, Shape(limit, level, signers, roots), serial=serial)
    write_also(console, packed.directory, signers.result(), signing)
    _show_packed(console, packed, as_json=as_json)


def build(
    ctx: typer.Context,
    manifest: Manifest,
    *,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="The bundle's directory.")] = None,
    key: KeyFiles = None,
    sign_command: SignCommand = None,
    sign_command_key: SignCommandKey = None,
    also: Also = None,
    gpg_key: GpgKey = None,
    trust: SiteRoots = None,
    store: StoreDir = None,
    no_store: Annotated[
        bool, typer.Option("--no-store", help="Write volumes straight from the registry, keeping nothing.")
    ] = False,
    volume_size: VolumeSize = DEFAULT_VOLUME,
    level: Level = 3,
    serial: Serial = None,
    valid_for: ValidFor = None,
    update: Update = None,
    password_file: PasswordFile = None,
    password_fd: PasswordFd = None,
    as_json: AsJson = False,
    authfile: AuthFile = None,
    creds: Creds = None,
    cert_dir: CertDir = None,
    tls_verify: TlsVerify = None,
    token_host: TokenHosts = None,
    bundle_key: BundleKeys = None,
    bundle_trust: BundleTrust = None,
    bundle_policy: BundlePolicy = None,
    unsafe: UnsafeBundle = False,
    jobs: Jobs = DEFAULT_JOBS,
) -> None:
    """Lock, pull, pack and sign in one go.

    Example: bundler build bundle.yaml -o edge-000001 --key release.key
    """
    console = console_of(ctx)
    demand = bundle_demand(bundle_key, unsafe=unsafe, trust=bundle_trust, policy=bundle_policy)
    reach = access(authfile, creds, cert_dir, tls_verify, token_host, demand=demand)
    limit = parse_size(volume_size, what="--volume-size")
    signing = signing_of(key, sign_command, sign_command_key, also, gpg_key)
    if not key and sign_command is None:
        raise ConfigError(
            "build: no --key given", hint="make one with `bundler keygen release`, then --key release.key"
        )
    if no_store and store is not None:
        raise ConfigError("--store and --no-store exclude each other")
    roots = _roots_of(trust)
    with getting_ready(signing, password_file, password_fd) as signers:
        from bundler.journey import near, packing

        with _running(ctx, manifest, reach, jobs) as run:
            run.observer = packing.stopping(run.observer, signers)  # a wrong password ends the pull, too
            made = near.ensure_lock(run, update=update, now=_now(), valid_for=valid_for, serial=serial)
            shape = packing.Shape(limit, level, signers, roots)
            if no_store:
                packed = packing.pack_from_registries(run, output, shape)
            else:
                directory = store_directory(store)
                near.pull(run, directory, now=_now())
                with ThreadPoolExecutor(LOCAL_JOBS, thread_name_prefix="bundler-pack") as local:
                    packed = packing.pack(replace(run, executor=local), directory, output, shape)
    _show_attached(console, made.images)
    write_also(console, packed.directory, signers.result(), signing)
    _show_packed(console, packed, as_json=as_json)


def _roots_of(trust: Path | None) -> dict[str, bytes]:
    """The roots that the bundle will carry."""
    if trust is None:
        return {}
    from bundler.journey.rooting import travelling

    return travelling(trust, now=_now())


@contextmanager
def _running(ctx: typer.Context, manifest: Path, reach: Access, jobs: int) -> Iterator[Run]:
    """The manifest read, registries reachable, workers waiting and progress shown."""
    from bundler.journey.near import open_run

    with (
        console_of(ctx).watching() as observer,
        ThreadPoolExecutor(jobs, thread_name_prefix="bundler") as executor,
        open_run(manifest, reach, surroundings=globals_of(ctx), executor=executor, observer=observer) as run,
    ):
        yield run


def _now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)


def _show_lock(console: Console, made: Lock) -> None:
    console.table(
        ("image", "digest", "platforms"),
        [
            (quoted(image.source), image.root.digest[:19], quoted(", ".join(map(str, image.platforms))) or "-")
            for image in made.images
        ],
    )
    _show_attached(console, made.images)
    console.say(f"{made.name} {made.channel} serial {made.serial}: {len(made.images)} images")


def _show_attached(console: Console, images: Sequence[LockedImage]) -> None:
    """What is attached to each image, and what of it stays behind."""
    from bundler.selection.account import sentence

    for image in images:
        if image.attachments or image.left_out:
            console.say(f"{quoted(image.source)}: {sentence(image)}")


def _show_packed(console: Console, packed: Packed, *, as_json: bool) -> None:
    if as_json:
        console.json(packed.document())
        return
    console.result(str(packed.directory))
    volumes = "volume" if packed.volumes == 1 else "volumes"
    signed = ", ".join(f"signed by {signer[:16]}" for signer in packed.signers) or "not signed yet: bundler sign"
    console.say(f"{packed.images} images in {packed.volumes} {volumes}, {human(packed.size)}; {signed}")
