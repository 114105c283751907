"""Commands for a site's trust directory: init, add, remove, rotate, sign, show."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bundler.cli.console import Console, console_of
from bundler.cli.options import AsJson, PasswordFd, PasswordFile
from bundler.cli.signers import SignCommand, SignCommandKey, getting_ready, signing_of
from bundler.cli.trust_shown import say_lacks, show_site
from bundler.errors import ConfigError

if TYPE_CHECKING:
    from bundler.journey.rooting import Made
    from bundler.trust.keys import PublicKey
    from bundler.trust.signing import Signer

app = typer.Typer(
    help="Look after a site's trust directory: whose bundles are taken.", no_args_is_help=True, rich_markup_mode=None
)

Site = Annotated[Path, typer.Argument(metavar="DIR", help="The site's trust directory.")]
Keys = Annotated[
    list[Path] | None, typer.Option("--key", metavar="PUB", help="Public key of a bundle signer; repeat for more.")
]
KeyThreshold = Annotated[int | None, typer.Option("--threshold", min=1, help="How many bundle signers must sign.")]
RootKeys = Annotated[
    list[Path] | None,
    typer.Option("--root-key", metavar="PRIV", help="Private key to sign the root with; repeat for more."),
]
RootPubs = Annotated[
    list[Path] | None,
    typer.Option(
        "--root-pub", metavar="PUB", help="Public key that is a root key and signs elsewhere; repeat for more."
    ),
]
RootThreshold = Annotated[
    int | None, typer.Option("--root-threshold", min=1, help="How many root keys must sign a root.")
]
Channel = Annotated[
    str, typer.Option("--channel", help="Signers of this channel alone, in place of those of all channels.")
]
ValidFor = Annotated[
    int, typer.Option("--valid-for", min=1, max=36_500, metavar="DAYS", help="Days until the root expires.")
]
DEFAULT_DAYS = 1825


@app.callback()
def family() -> None:
    """Look after a site's trust directory: whose bundles are taken, how many must sign, how far it has come."""


@app.command()
def init(
    ctx: typer.Context,
    site: Site,
    *,
    key: Keys = None,
    threshold: KeyThreshold = None,
    root_key: RootKeys = None,
    root_pub: RootPubs = None,
    root_threshold: RootThreshold = None,
    valid_for: ValidFor = DEFAULT_DAYS,
    root: Annotated[
        Path | None, typer.Option("--root", metavar="FILE", help="Pin this N.root.json instead of making one.")
    ] = None,
    fingerprint: Annotated[
        str | None, typer.Option("--fingerprint", metavar="SHA256", help="SHA-256 of that file, told by another way.")
    ] = None,
    sign_command: SignCommand = None,
    sign_command_key: SignCommandKey = None,
    password_file: PasswordFile = None,
    password_fd: PasswordFd = None,
    as_json: AsJson = False,
) -> None:
    """Make a trust directory: where bundles are built with a first root, on the far side around that root.

    Example: bundler trust init site --key ann.pub --key bob.pub --key cat.pub --threshold 2 --root-key boss.key
    """
    from bundler.journey import rooting

    console = console_of(ctx)
    making = ("key", "threshold", "root_key", "root_pub", "root_threshold", "sign_command")
    makes = any(_is_said(ctx, name) for name in making)  # the environment may hold keys for other commands
    if root is not None or fingerprint is not None:
        if makes:
            raise ConfigError("--root pins a root that was made elsewhere; --key and the like make one: choose")
        if root is None or fingerprint is None:
            raise ConfigError(
                "--root and --fingerprint need each other: a root is pinned by what was told of it another way",
                hint="`bundler trust show` prints the fingerprint where the root was made",
            )
        pinned = rooting.pin(site, root, fingerprint)
        if as_json:
            console.json(
                {
                    "file": str(site / pinned.file_name),
                    "version": pinned.version,
                    "complete": True,
                    "fingerprint": pinned.fingerprint,
                    "lacks": [],
                }
            )
            return
        console.say(f"pinned root {pinned.version} in {site}")
        return
    if not key:
        raise ConfigError(
            "trust init: whose bundles are to be trusted?",
            hint="--key PUB for each signer and --root-key PRIV to make a root; --root FILE --fingerprint SHA256 to pin one",
        )
    keys, names = rooting.named_keys(key)
    publics, root_names = rooting.named_keys(root_pub or ())
    with _signers(root_key, sign_command, sign_command_key, password_file, password_fd) as (signers, signer_names):
        root_keys = _distinct([*(signer.public for signer in signers), *publics])
        wanted = rooting.Wanted(
            keys=keys,
            threshold=threshold or 1,
            root_keys=root_keys,
            root_threshold=root_threshold or 1,
            names={**signer_names, **root_names, **names},
            valid_for=valid_for,
        )
        made = rooting.begin(site, wanted, signers=signers, now=_now())
    _say(console, made, as_json=as_json)


@app.command()
def add(
    ctx: typer.Context,
    site: Site,
    *,
    key: Keys = None,
    channel: Channel = "",
    threshold: KeyThreshold = None,
    root_key: RootKeys = None,
    valid_for: ValidFor = DEFAULT_DAYS,
    sign_command: SignCommand = None,
    sign_command_key: SignCommandKey = None,
    password_file: PasswordFile = None,
    password_fd: PasswordFd = None,
    as_json: AsJson = False,
) -> None:
    """Add bundle signers, in the next root.

    Example: bundler trust add site --key dan.pub --root-key boss.key
    """
    from bundler.journey import rooting

    if not key:
        raise ConfigError("trust add: no --key given")
    keys, names = rooting.named_keys(key)
    wanted = rooting.Change(channel=channel, add=keys, threshold=threshold, names=names, valid_for=valid_for)
    with _signers(root_key, sign_command, sign_command_key, password_file, password_fd) as (signers, _):
        made = rooting.change(site, wanted, signers=signers, now=_now())
    _say(console_of(ctx), made, as_json=as_json)


@app.command()
def remove(
    ctx: typer.Context,
    site: Site,
    *,
    key_id: Annotated[
        list[str], typer.Option("--key-id", metavar="ID", help="A signer's id, or its first 16 characters; repeat.")
    ],
    channel: Channel = "",
    threshold: KeyThreshold = None,
    root_key: RootKeys = None,
    valid_for: ValidFor = DEFAULT_DAYS,
    sign_command: SignCommand = None,
    sign_command_key: SignCommandKey = None,
    password_file: PasswordFile = None,
    password_fd: PasswordFd = None,
    as_json: AsJson = False,
) -> None:
    """Remove bundle signers, in the next root; a channel without signers falls back to those of all channels.

    Example: bundler trust remove site --key-id 0123456789abcdef --root-key boss.key
    """
    from bundler.journey import rooting

    wanted = rooting.Change(channel=channel, remove=tuple(key_id), threshold=threshold, valid_for=valid_for)
    with _signers(root_key, sign_command, sign_command_key, password_file, password_fd) as (signers, _):
        made = rooting.change(site, wanted, signers=signers, now=_now())
    _say(console_of(ctx), made, as_json=as_json)


@app.command()
def rotate(
    ctx: typer.Context,
    site: Site,
    *,
    key: Keys = None,
    channel: Channel = "",
    threshold: KeyThreshold = None,
    root_key: RootKeys = None,
    root_pub: RootPubs = None,
    root_threshold: RootThreshold = None,
    deny_key: Annotated[
        list[str] | None, typer.Option("--deny-key", metavar="ID", help="A key that never counts again; repeat.")
    ] = None,
    deny_statement: Annotated[
        list[str] | None,
        typer.Option("--deny-statement", metavar="DIGEST", help="A statement that is withdrawn; repeat for more."),
    ] = None,
    valid_for: ValidFor = DEFAULT_DAYS,
    sign_command: SignCommand = None,
    sign_command_key: SignCommandKey = None,
    password_file: PasswordFile = None,
    password_fd: PasswordFd = None,
    as_json: AsJson = False,
) -> None:
    """Make the next root: with --key other signers, with --root-pub other root keys, with neither a longer life.

    It counts once enough root keys have signed it, of the root before it and of its own: --root-key for those at hand.

    Example: bundler trust rotate site --key dan.pub --key eve.pub --threshold 2 --root-key boss.key
    """
    from bundler.journey import rooting

    keys, names = rooting.named_keys(key or ())
    publics, root_names = rooting.named_keys(root_pub or ())
    wanted = rooting.Change(
        channel=channel,
        keys=keys if key else None,
        threshold=threshold,
        root_keys=publics if root_pub else None,
        root_threshold=root_threshold,
        deny_keys=tuple(deny_key or ()),
        deny_statements=tuple(deny_statement or ()),
        names={**root_names, **names},
        valid_for=valid_for,
    )
    with _signers(root_key, sign_command, sign_command_key, password_file, password_fd) as (signers, _):
        made = rooting.change(site, wanted, signers=signers, now=_now())
    _say(console_of(ctx), made, as_json=as_json)


@app.command()
def sign(
    ctx: typer.Context,
    site: Site,
    *,
    root_key: RootKeys = None,
    copies: Annotated[
        list[Path] | None,
        typer.Option("--from", metavar="FILE", help="A copy of N.root.json.part that was signed elsewhere; repeat."),
    ] = None,
    sign_command: SignCommand = None,
    sign_command_key: SignCommandKey = None,
    password_file: PasswordFile = None,
    password_fd: PasswordFd = None,
    as_json: AsJson = False,
) -> None:
    """Add signatures to a root that waits for them; with the last one it becomes N.root.json.

    Read first what it says, and so what is signed: bundler trust show prints it.

    Example: bundler trust sign site --root-key boss.key
    """
    from bundler.journey import rooting

    if not root_key and not copies and sign_command is None:
        raise ConfigError("trust sign: neither --root-key nor --from given")
    with _signers(root_key, sign_command, sign_command_key, password_file, password_fd) as (signers, _):
        made = rooting.sign(site, signers=signers, others=copies or ())
    _say(console_of(ctx), made, as_json=as_json)


@app.command()
def show(ctx: typer.Context, site: Site, *, as_json: AsJson = False) -> None:
    """Print what a trust directory holds: roots and fingerprints, signers, denials, and how far each line has come.

    Example: bundler trust show site
    """
    from bundler.journey import rooting

    console = console_of(ctx)
    shown = rooting.show(site)
    if as_json:
        from bundler.journey.site_document import document

        console.json(document(shown))
        return
    show_site(console, shown)


def _is_said(ctx: typer.Context, name: str) -> bool:
    source = ctx.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


@contextmanager
def _signers(
    paths: list[Path] | None,
    command: str | None,
    command_key: Path | None,
    password_file: Path | None,
    password_fd: int | None,
) -> Iterator[tuple[tuple[Signer, ...], dict[str, str]]]:
    """Those who sign the root, and the names of their files."""
    from bundler.journey.rooting import name_of

    signing = signing_of(paths, command, command_key, None, None)
    with getting_ready(signing, password_file, password_fd) as opening:
        signers = opening.result()
        yield signers, {signer.public.key_id: name_of(path) for signer, path in zip(signers, paths or (), strict=False)}


def _distinct(keys: list[PublicKey]) -> tuple[PublicKey, ...]:
    return tuple({key.key_id: key for key in keys}.values())


def _now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)


def _say(console: Console, made: Made, *, as_json: bool) -> None:
    if made.dropped:
        console.warn("WARNING: the root that waited was changed: the signatures it had are gone")
    if as_json:
        console.json(made.document())
        return
    console.result(str(made.path))
    if made.lacks:
        say_lacks(console, made)
        return
    console.figures([("fingerprint", made.root.fingerprint)])
    console.say(
        "tell the far side this fingerprint by another way than the file's"
        if made.root.version == 1
        else "the next bundle built with --trust carries it"
    )
