"""Commands of the far side: show, diff, verify, push."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bundler.cli.console import Console, console_of
from bundler.cli.options import (
    LOCAL_JOBS,
    PUSH_JOBS,
    AsJson,
    AuthFile,
    CertDir,
    Creds,
    Jobs,
    TlsVerify,
    TokenHosts,
    access,
    demanded,
    globals_of,
)
from bundler.cli.sizes import human
from bundler.errors import ConfigError, quoted

if TYPE_CHECKING:
    from bundler.journey.far import Verdict

Bundle = Annotated[Path, typer.Argument(metavar="OUT", help="The bundle's directory.")]
PublicKeys = Annotated[list[Path] | None, typer.Option("--key", help="Trusted public key; repeat for several.")]
Threshold = Annotated[int, typer.Option("--threshold", help="How many of the keys must have signed.")]
AllowExpired = Annotated[bool, typer.Option("--allow-expired", help="Take a bundle whose expiry has passed.")]
Unsafe = Annotated[
    bool, typer.Option("--unsafe-no-signature", help="Take an unsigned bundle. Anyone could have made it.")
]


def show(ctx: typer.Context, bundle: Bundle, *, as_json: AsJson = False) -> None:
    """Print what a bundle says it holds. Nothing is verified: use `bundler verify` for that.

    Example: bundler show edge-000001
    """
    from bundler.journey.far import describe

    console = console_of(ctx)
    description = describe(bundle)
    if as_json:
        console.json(description.document())
        return
    console.figures(description.figures(human))
    console.result("")
    console.table(("image", "target", "digest", "platforms"), description.rows())
    console.say("not verified: this is what the bundle says of itself")


def diff(
    ctx: typer.Context,
    old: Annotated[Path, typer.Argument(help="A bundle's directory, a lock file or a receipt.")],
    new: Annotated[Path, typer.Argument(help="Another one.")],
    *,
    as_json: AsJson = False,
) -> None:
    """Print which images are new, changed and gone between two bundles, locks or receipts.

    Example: bundler diff edge-000001 edge-000002
    """
    from bundler.journey.compare import compare

    console = console_of(ctx)
    changes = compare(old, new)
    if as_json:
        console.json([change.document() for change in changes])
        return
    console.table(("change", "image", "was", "is"), [change.row() for change in changes])
    console.say(f"{len(changes)} differences")


def verify(
    ctx: typer.Context,
    bundle: Bundle,
    *,
    key: PublicKeys = None,
    threshold: Threshold = 1,
    quick: Annotated[bool, typer.Option("--quick", help="Check everything but the contents of the volumes.")] = False,
    damage: Annotated[
        bool, typer.Option("--damage", help="Go on after the first bad byte and list what is lost.")
    ] = False,
    allow_expired: AllowExpired = False,
    unsafe: Unsafe = False,
    as_json: AsJson = False,
    jobs: Jobs = LOCAL_JOBS,
) -> None:
    """Verify a bundle: signatures, checksums, every digest, and that every image is whole.

    Example: bundler verify edge-000001 --key release.pub
    """
    from bundler.journey import far

    console = console_of(ctx)
    demand = demanded(key, threshold, allow_expired=allow_expired, unsafe=unsafe)
    with console.watching() as observer, ThreadPoolExecutor(jobs, thread_name_prefix="bundler") as executor:
        verdict = far.verify(bundle, demand, quick=quick, damage=damage, executor=executor, observer=observer)
    if not demand.keys:
        console.warn(f"WARNING: anyone could have made this bundle: {far.UNSIGNED}")
    if as_json:
        console.json(verdict.document())
    else:
        _show_verdict(console, verdict)
    verdict.raise_for_damage()


def push(
    ctx: typer.Context,
    bundle: Bundle,
    *,
    to: Annotated[
        str,
        typer.Option(
            "--to", metavar="DEST", help="docker://HOST[:PORT][/PREFIX], oci:DIR, dir:DIR, docker-archive:FILE, …"
        ),
    ],
    key: PublicKeys = None,
    threshold: Threshold = 1,
    scoped: Annotated[bool, typer.Option("--scoped", help="Keep the origin's host in the path.")] = False,
    rename: Annotated[
        list[str] | None, typer.Option("--map", metavar="FROM=TO", help="Replace a leading path; repeat for more.")
    ] = None,
    image: Annotated[
        list[str] | None,
        typer.Option("--image", metavar="PATTERN", help="Push only images that match; repeat for more."),
    ] = None,
    receipt: Annotated[Path | None, typer.Option("--receipt", help="Write a receipt of what landed where.")] = None,
    allow_expired: AllowExpired = False,
    unsafe: Unsafe = False,
    as_json: AsJson = False,
    authfile: AuthFile = None,
    creds: Creds = None,
    cert_dir: CertDir = None,
    tls_verify: TlsVerify = None,
    token_host: TokenHosts = None,
    jobs: Jobs = PUSH_JOBS,
) -> None:
    """Verify a bundle and push its images into a registry in one read; tags are written last. Repeat to resume.

    Example: bundler push edge-000001 --key release.pub --to docker://registry.local:5000
    """
    from bundler.cli.progress import outcome_counts
    from bundler.journey import far

    console = console_of(ctx)
    demand = demanded(key, threshold, allow_expired=allow_expired, unsafe=unsafe)
    route = far.Route(to, scoped=scoped, renames=tuple(rename or ()), patterns=tuple(image or ()))
    reach = access(authfile, creds, cert_dir, tls_verify, token_host)
    if receipt is not None and not os.access(receipt.parent, os.W_OK):
        raise ConfigError(f"--receipt {receipt}: its directory is not there, or can't be written")
    with console.watching() as observer, ThreadPoolExecutor(jobs, thread_name_prefix="bundler") as executor:
        pushed = far.push(
            bundle, demand, route, reach, surroundings=globals_of(ctx), executor=executor, observer=observer
        )
    if receipt is not None:
        from bundler.journey.files import write_over

        write_over(receipt, pushed.receipt.serialised())
    if not demand.keys:
        console.warn(f"WARNING: anyone could have made this bundle: {far.UNSIGNED}")
    if as_json:
        console.json(pushed.receipt.document())
        return
    for landed in pushed.receipt.images:
        console.result(f"{landed.reference}  {landed.digest}")
    unchanged = f"; {pushed.unchanged} were there already" if pushed.unchanged else ""
    console.say(f"{len(pushed.receipt.images)} images at {to}: {outcome_counts(pushed.outcomes)}{unchanged}")


def _show_verdict(console: Console, verdict: Verdict) -> None:
    console.figures(verdict.figures(human))
    console.result("")
    console.table(("image", "digest", "platforms"), verdict.rows())
    for loss in verdict.losses:
        console.result(f"LOST {quoted(loss, 500)}")
    console.result("")
    console.result(verdict.conclusion)
