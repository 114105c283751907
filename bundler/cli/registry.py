"""Commands of the embedded registry: serve, gc, passwd."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bundler.cli.console import console_of
from bundler.cli.garbage import show
from bundler.cli.gates import AllowExpired, ImagePolicy, PublicKeys, Threshold, Unsafe
from bundler.cli.options import (
    AllowRollback,
    AsJson,
    AuthFile,
    CertDir,
    Creds,
    MinSerial,
    PasswordFd,
    PasswordFile,
    TlsVerify,
    TrustDir,
    access,
    demanded,
    globals_of,
    new_password,
)

if TYPE_CHECKING:
    from bundler.journey.serving import Started

app = typer.Typer(help="Serve a store and bundles as a registry.", no_args_is_help=True, rich_markup_mode=None)
_DOCKER = "docker://"


@app.callback()
def family() -> None:
    """Serve a store and bundles as a registry."""


@app.command()
def serve(
    ctx: typer.Context,
    places: Annotated[
        list[Path],
        typer.Argument(metavar="DIR|BUNDLE...", help="Bundles, and at most one store; the store is made if absent."),
    ],
    *,
    listen: Annotated[
        str, typer.Option("--listen", metavar="HOST:PORT", help="Port 0 takes a free one.")
    ] = "127.0.0.1:5000",
    public_url: Annotated[
        str, typer.Option("--public-url", metavar="URL", help="Where a proxy lets people reach it, for its pages.")
    ] = "",
    read_only: Annotated[bool, typer.Option("--read-only", help="Refuse every write.")] = False,
    allow_delete: Annotated[
        bool, typer.Option("--allow-delete", help="Let clients delete tags, manifests and blobs.")
    ] = False,
    tls_cert: Annotated[Path | None, typer.Option("--tls-cert", help="Certificate chain, PEM.")] = None,
    tls_key: Annotated[Path | None, typer.Option("--tls-key", help="The certificate's private key, PEM.")] = None,
    self_signed: Annotated[
        bool, typer.Option("--self-signed", help="Make a certificate, keep it, and print its fingerprint.")
    ] = False,
    htpasswd: Annotated[
        Path | None, typer.Option("--htpasswd", help="File of users and their bcrypt passwords.")
    ] = None,
    rights: Annotated[
        Path | None, typer.Option("--rights", help="YAML file: who may pull, push, delete and administer what.")
    ] = None,
    access_log: Annotated[
        str, typer.Option("--access-log", metavar="FILE", help="A JSON object per request; - is standard output.")
    ] = "",
    grace: Annotated[
        float, typer.Option("--grace", metavar="SECONDS", min=0, help="How long transfers may go on after SIGTERM.")
    ] = 30.0,
    key: PublicKeys = None,
    threshold: Threshold = 1,
    trust: TrustDir = None,
    policy: ImagePolicy = None,
    min_serial: MinSerial = None,
    allow_rollback: AllowRollback = None,
    allow_expired: AllowExpired = False,
    unsafe: Unsafe = False,
    insecure: Annotated[
        bool, typer.Option("--insecure", help="Allow an address other machines can reach, without TLS or passwords.")
    ] = False,
) -> None:
    """Serve a store, bundles as they came, or both as a registry until interrupted.

    A bundle passes the gate first, and is then served from its volumes; nothing is unpacked.

    Example: bundler registry serve /srv/store /media/usb/edge-000007 --key release.pub
    """
    from bundler.journey.serving import Serving
    from bundler.journey.serving import serve as run
    from bundler.registry.serve import Door

    console = console_of(ctx)

    def ready(started: Started) -> None:
        if started.certificate is not None:
            console.say(f"certificate {started.certificate.cert}, SHA-256 {started.certificate.fingerprint}")
        listed = " and ".join(str(place) for place in places)
        console.say(f"serving {listed} at {started.url}")

    run(
        places,
        lambda: demanded(
            key,
            threshold,
            allow_expired=allow_expired,
            unsafe=unsafe,
            trust=trust,
            min_serial=min_serial,
            allow_rollback=allow_rollback,
            policy=policy,
        ),
        Serving(
            Door(listen, tls_cert=tls_cert, tls_key=tls_key, insecure=insecure, grace=grace, public_url=public_url),
            read_only=read_only,
            allow_delete=allow_delete,
            self_signed=self_signed,
            htpasswd=htpasswd,
            rights=rights,
            access_log=access_log,
            expects_bundle=bool(key or trust),
        ),
        on_ready=ready,
    )


@app.command()
def gc(
    ctx: typer.Context,
    place: Annotated[
        str, typer.Argument(metavar="DIR|docker://HOST[:PORT]", help="The store, or a registry that serves one.")
    ],
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would go, and keep it.")] = False,
    untagged: Annotated[
        bool, typer.Option("--untagged", help="Also manifests that were pushed by digest and that nothing leads to.")
    ] = False,
    as_json: AsJson = False,
    authfile: AuthFile = None,
    creds: Creds = None,
    cert_dir: CertDir = None,
    tls_verify: TlsVerify = None,
) -> None:
    """Remove what no image needs, beside a registry that goes on serving; what came within the last hour is kept.

    Example: bundler registry gc /srv/store --dry-run
    """
    from bundler.journey.serving import collect_garbage, collect_garbage_at

    console = console_of(ctx)
    if place.startswith(_DOCKER):
        asked = access(authfile, creds, cert_dir, tls_verify)
        registry = place.removeprefix(_DOCKER).rstrip("/")
        with console.watching() as observer:
            gone = collect_garbage_at(
                registry, asked, dry_run=dry_run, untagged=untagged, surroundings=globals_of(ctx), observer=observer
            )
    else:
        gone = collect_garbage(Path(place), dry_run=dry_run, untagged=untagged)
    show(console, gone, dry_run=dry_run, as_json=as_json)


@app.command()
def passwd(
    ctx: typer.Context,
    file: Annotated[Path, typer.Argument(help="The password file; made if absent. Apache's htpasswd -B reads it too.")],
    user: Annotated[str, typer.Argument(help="Whose password.")],
    *,
    remove: Annotated[bool, typer.Option("--remove", help="Take the user out.")] = False,
    password_file: PasswordFile = None,
    password_fd: PasswordFd = None,
) -> None:
    """Set or remove a user's password for `registry serve --htpasswd`.

    Example: bundler registry passwd /etc/bundler/htpasswd ann
    """
    from bundler.registry.access import remove_user, set_password
    from bundler.registry.extra import require

    require()
    console = console_of(ctx)
    if remove:
        remove_user(file, user)
        console.say(f"removed {user} from {file}")
        return
    set_password(file, user, new_password(password_file, password_fd, what=f"Password of {user}").decode())
    console.say(f"set the password of {user} in {file}")
