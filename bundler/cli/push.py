"""`bundler push`: through the gate and into a registry, with a receipt."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bundler.cli.console import console_of
from bundler.cli.exports import (
    Lookaside,
    LookasideUrl,
    SignCosignKey,
    SignPolicy,
    SignPolicyDefault,
    SignPolicyMirrored,
    asked_once,
)
from bundler.cli.gates import AllowExpired, Bundle, ImagePolicy, PublicKeys, Threshold, Unsafe
from bundler.cli.options import (
    PUSH_JOBS,
    AllowRollback,
    AsJson,
    AuthFile,
    CertDir,
    Creds,
    Jobs,
    MinSerial,
    PasswordFd,
    PasswordFile,
    TlsVerify,
    TokenHosts,
    TrustDir,
    access,
    demanded,
    globals_of,
    password_from,
)
from bundler.cli.sides import SignBy, SignPassphraseFile
from bundler.errors import BundlerError, ConfigError

if TYPE_CHECKING:
    from bundler.trust.signing import Signer

_UNSIGNED = "give --receipt-key, so that it can be told from another's"
_NO_SITE_KEY = "the trust directory holds no receipt.key; put one there, or give --receipt-key"


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
    trust: TrustDir = None,
    policy: ImagePolicy = None,
    min_serial: MinSerial = None,
    allow_rollback: AllowRollback = None,
    scoped: Annotated[bool, typer.Option("--scoped", help="Keep the origin's host in the path.")] = False,
    rename: Annotated[
        list[str] | None, typer.Option("--map", metavar="FROM=TO", help="Replace a leading path; repeat for more.")
    ] = None,
    image: Annotated[
        list[str] | None,
        typer.Option("--image", metavar="PATTERN", help="Push only images that match; repeat for more."),
    ] = None,
    repair: Annotated[
        bool, typer.Option("--repair", help="Look for every content, also of images that seem to be there.")
    ] = False,
    receipt: Annotated[Path | None, typer.Option("--receipt", help="Write a receipt of what landed where.")] = None,
    receipt_key: Annotated[
        Path | None,
        typer.Option("--receipt-key", help="Private key that signs the receipt. [default: receipt.key in --trust]"),
    ] = None,
    sign_by: SignBy = None,
    sign_passphrase_file: SignPassphraseFile = None,
    lookaside: Lookaside = None,
    lookaside_url: LookasideUrl = None,
    sign_cosign_key: SignCosignKey = None,
    sign_policy: SignPolicy = None,
    sign_policy_default: SignPolicyDefault = None,
    sign_policy_mirrored: SignPolicyMirrored = False,
    password_file: PasswordFile = None,
    password_fd: PasswordFd = None,
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
    from bundler.journey.exporting import ImageSigning, open_image_signers

    console = console_of(ctx)
    demand = demanded(
        key,
        threshold,
        allow_expired=allow_expired,
        unsafe=unsafe,
        trust=trust,
        min_serial=min_serial,
        allow_rollback=allow_rollback,
    )
    route = far.Route(to, scoped, tuple(rename or ()), tuple(image or ()), repair)
    signing = ImageSigning(
        gpg_key=sign_by,
        passphrase_file=sign_passphrase_file,
        lookaside=lookaside,
        lookaside_url=lookaside_url,
        cosign_key=sign_cosign_key,
        policy=sign_policy,
        default=sign_policy_default,
        mirrored=sign_policy_mirrored,
    )
    password = asked_once(password_from(password_file, password_fd))
    reach = access(authfile, creds, cert_dir, tls_verify, token_host)
    if receipt is not None:
        from bundler.journey.receipts import check_receipt_place

        check_receipt_place(receipt)
    with (
        _receipt_signer(receipt, receipt_key, trust, password) as signer,
        console.watching() as observer,
        ThreadPoolExecutor(jobs, thread_name_prefix="bundler") as executor,
    ):
        pushed = far.push(
            bundle,
            demand,
            route,
            reach,
            policy=policy,
            signers=open_image_signers(signing, to, password),
            surroundings=globals_of(ctx),
            executor=executor,
            observer=observer,
        )
        if receipt is not None:
            from bundler.journey.receipts import write_receipt

            try:
                write_receipt(receipt, pushed.receipt, signer())
            except BundlerError as problem:
                raise problem.about("all images have arrived, and the receipt is missing") from problem
            if signer() is None:
                console.say(f"{receipt} is not signed: {_UNSIGNED if trust is None else _NO_SITE_KEY}")
    if unsafe:
        console.warn(f"WARNING: anyone could have made this bundle: {far.UNSIGNED}")
    if as_json:
        console.json(pushed.receipt.document())
        return
    for landed in pushed.receipt.images:
        console.result(f"{landed.reference}  {landed.digest}")
    unchanged = f"; {pushed.unchanged} were there already" if pushed.unchanged else ""
    console.say(f"{len(pushed.receipt.images)} images at {to}: {outcome_counts(pushed.outcomes)}{unchanged}")


@contextmanager
def _receipt_signer(
    receipt: Path | None,
    given: Path | None,
    trust: Path | None,
    password: Callable[[], bytes],
) -> Iterator[Callable[[], Signer | None]]:
    """Who signs the receipt, if anybody does: asked for the password at once, and got ready beside the push."""
    from bundler.journey.receipts import PRIVATE_KEY

    if given is not None and receipt is None:
        raise ConfigError("--receipt-key signs a receipt, and none is written", hint="give --receipt FILE")
    path = given
    if path is None and trust is not None and os.path.lexists(trust / PRIVATE_KEY):
        path = trust / PRIVATE_KEY
    if path is None or receipt is None:
        yield lambda: None
        return
    from bundler.journey.keys import open_private_keys

    with ThreadPoolExecutor(1, thread_name_prefix="bundler-key") as executor:
        opened = open_private_keys((path,), password, executor)
        opened.result()  # a wrong password is found out before anything is sent
        yield lambda: opened.result()[0]
