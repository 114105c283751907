"""`bundler verify`: the gate's report on a bundle, or a receipt held against the registry."""

from __future__ import annotations

from collections.abc import Sequence
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
    Truth,
    access,
    demanded,
    globals_of,
)
from bundler.cli.sizes import human
from bundler.errors import BundlerError, ConfigError

if TYPE_CHECKING:
    from bundler.journey.access import Access
    from bundler.journey.drift import Drift
    from bundler.journey.far import Verdict


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
    if report is not None:
        from bundler.journey.files import check_writable

        check_writable(report, what="--report")
    if receipt is not None:
        if accept or unsafe or allow_expired or allow_rollback is not None:
            raise ConfigError("--receipt checks no bundle: it goes with --key or --trust, and the registry's options")
        reach = access(authfile, creds, cert_dir, tls_verify, token_host)
        again = _push_options(trust, authfile, cert_dir, tls_verify)
        drift = _drift(ctx, receipt, [*(key or ()), *_receipt_key(trust)], reach, jobs=jobs, again=again)
        _show_drift(console, drift, report, as_json=as_json)
        return
    assert bundle is not None
    from bundler.journey import far

    try:
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
    except BundlerError as problem:  # before the gate: a program that reads reports gets one all the same
        if as_json or report is not None:
            now = datetime.now(UTC).replace(microsecond=0)
            _tell(console, far.turned_away(problem, now=now, managed=trust is not None), report, as_json=as_json)
        raise
    if unsafe:
        console.warn(f"WARNING: anyone could have made this bundle: {far.UNSIGNED}")
    _tell(console, verdict, report, as_json=as_json)
    verdict.raise_for_damage()


def _tell(console: Console, verdict: Verdict, report: Path | None, *, as_json: bool) -> None:
    """Print the report whether or not it can be written as well."""
    try:
        if report is not None:
            _write(report, verdict.document())
    finally:
        if as_json:
            console.json(verdict.document())
        else:
            for line in verdict.lines(human):
                console.result(line)


def _push_options(
    trust: Path | None, authfile: Path | None, cert_dir: Path | None, tls_verify: Truth | None
) -> list[str]:
    """What a push to the same registry must be told as well, as this command was."""
    from bundler.journey.drift import BY_KEY

    words = [*BY_KEY] if trust is None else ["--trust", str(trust)]
    for option, path in (("--authfile", authfile), ("--cert-dir", cert_dir)):
        words += [] if path is None else [option, str(path)]
    return words if tls_verify is None else [*words, f"--tls-verify={tls_verify.value}"]


def _drift(
    ctx: typer.Context, receipt: Path, keys: list[Path], reach: Access, *, jobs: int, again: Sequence[str]
) -> Drift:
    from bundler.journey.ends import Ends
    from bundler.journey.keys import read_public_keys
    from bundler.journey.receipts import recheck

    now = datetime.now(UTC).replace(microsecond=0)
    trusted = read_public_keys(keys)
    with Ends(reach, surroundings=globals_of(ctx)) as ends, ThreadPoolExecutor(jobs) as executor:
        return recheck(receipt, trusted, ends, now=now, executor=executor, options=again)


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
    try:
        if report is not None:
            _write(report, drift.document())
    finally:
        _print_drift(console, drift, as_json=as_json)
    if not drift.signer:
        console.warn("WARNING: the receipt's signature was not checked: give --key, or --trust")
    drift.raise_for_drift()


def _print_drift(console: Console, drift: Drift, *, as_json: bool) -> None:
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


def _write(path: Path, document: object) -> None:
    from bundler.journey.files import write_over
    from bundler.oci.strict_json import canonical

    write_over(path, canonical(document))
