"""`bundler verify`: the gate's report on a bundle, or a receipt held against the registry."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bundler.cli.console import Console, console_of
from bundler.cli.gates import AllowExpired, ImagePolicy, PublicKeys, Threshold, Unsafe
from bundler.cli.options import (
    LOCAL_JOBS,
    Accept,
    AllowRollback,
    AsJson,
    AuthFile,
    CertDir,
    Creds,
    Jobs,
    MinSerial,
    TlsVerify,
    TokenHosts,
    TrustDir,
    access,
    demanded,
    globals_of,
)
from bundler.cli.sizes import human
from bundler.errors import ConfigError

if TYPE_CHECKING:
    from bundler.journey.access import Access
    from bundler.journey.receipts import Drift


def verify(
    ctx: typer.Context,
    bundle: Annotated[Path | None, typer.Argument(metavar="[OUT]", help="The bundle's directory.")] = None,
    *,
    key: PublicKeys = None,
    threshold: Threshold = 1,
    trust: TrustDir = None,
    policy: ImagePolicy = None,
    min_serial: MinSerial = None,
    allow_rollback: AllowRollback = None,
    accept: Accept = False,
    quick: Annotated[bool, typer.Option("--quick", help="Check everything but the contents of the volumes.")] = False,
    damage: Annotated[
        bool, typer.Option("--damage", help="Go on after the first bad byte and list what is lost.")
    ] = False,
    allow_expired: AllowExpired = False,
    unsafe: Unsafe = False,
    receipt: Annotated[
        Path | None,
        typer.Option(
            "--receipt",
            envvar="BUNDLER_VERIFY_RECEIPT",
            metavar="FILE",
            help="Instead of a bundle: hold a receipt against the registry, and say what to push again.",
        ),
    ] = None,
    report: Annotated[
        Path | None, typer.Option("--report", metavar="FILE", help="Also write the report, as JSON.")
    ] = None,
    as_json: AsJson = False,
    authfile: AuthFile = None,
    creds: Creds = None,
    cert_dir: CertDir = None,
    tls_verify: TlsVerify = None,
    token_host: TokenHosts = None,
    jobs: Jobs = LOCAL_JOBS,
) -> None:
    """Verify a bundle: signatures, policy, every digest, that every image is whole and has what it must have.

    Example: bundler verify edge-000001 --key release.pub

    Example: bundler verify --receipt receipt.json --key receipt.pub
    """
    console = console_of(ctx)
    if (bundle is None) == (receipt is None):
        raise ConfigError("verify takes a bundle's directory, or --receipt: one of them")
    if receipt is not None:
        if accept or unsafe or allow_expired or allow_rollback is not None:
            raise ConfigError("--receipt checks no bundle: it goes with --key or --trust, and the registry's options")
        reach = access(authfile, creds, cert_dir, tls_verify, token_host)
        drift = _drift(ctx, receipt, [*(key or ()), *_receipt_key(trust)], reach, jobs)
        _show_drift(console, drift, report, as_json=as_json)
        return
    assert bundle is not None
    from bundler.journey import far

    demand = demanded(
        key,
        threshold,
        allow_expired=allow_expired,
        unsafe=unsafe,
        trust=trust,
        min_serial=min_serial,
        allow_rollback=allow_rollback,
    )
    with console.watching() as observer, ThreadPoolExecutor(jobs, thread_name_prefix="bundler") as executor:
        verdict = far.examine(
            bundle,
            demand,
            policy=policy,
            quick=quick,
            damage=damage,
            accept=accept,
            executor=executor,
            observer=observer,
        )
    if unsafe:
        console.warn(f"WARNING: anyone could have made this bundle: {far.UNSIGNED}")
    if report is not None:
        _write(report, verdict.document())
    if as_json:
        console.json(verdict.document())
    else:
        for line in verdict.lines(human):
            console.result(line)
    verdict.raise_for_damage()


def _drift(ctx: typer.Context, receipt: Path, keys: list[Path], reach: Access, jobs: int) -> Drift:
    from bundler.journey.ends import Ends
    from bundler.journey.keys import read_public_keys
    from bundler.journey.receipts import recheck

    now = datetime.now(UTC).replace(microsecond=0)
    trusted = read_public_keys(keys)
    with Ends(reach, surroundings=globals_of(ctx)) as ends, ThreadPoolExecutor(jobs) as executor:
        return recheck(receipt, trusted, ends, now=now, executor=executor)


def _receipt_key(trust: Path | None) -> list[Path]:
    """The public key of a site's receipts."""
    if trust is None:
        return []
    from bundler.journey.receipts import PUBLIC_KEY

    path = trust / PUBLIC_KEY
    if not path.is_file():
        raise ConfigError(f"--trust {trust}: holds no {PUBLIC_KEY}", hint="give the receipts' public key with --key")
    return [path]


def _show_drift(console: Console, drift: Drift, report: Path | None, *, as_json: bool) -> None:
    if report is not None:
        _write(report, drift.document())
    if as_json:
        console.json(drift.document())
    else:
        console.figures(drift.figures())
        console.result("")
        console.table(("state", "reference", "left", "now"), drift.table())
        for line in ("", *drift.problems()):
            console.result(line)
        if drift.drifted:
            console.result("")
        console.result(drift.conclusion)
    if not drift.signer:
        console.warn("WARNING: the receipt's signature was not checked: give --key, or --trust")
    drift.raise_for_drift()


def _write(path: Path, document: object) -> None:
    from bundler.journey.files import write_over
    from bundler.oci.strict_json import canonical

    write_over(path, canonical(document))
