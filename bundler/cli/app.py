"""The application: global options, the families of commands, and the one place where an error becomes an exit status."""

from __future__ import annotations

import io
import os
import signal
import sys
import threading
import traceback
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from bundler.cli.console import Console, Progress
from bundler.cli.options import GLOBALS, duration, spelled_out, with_environment
from bundler.errors import BundlerError, ConfigError, NetworkError

EPILOG = """Exit codes: 0 ok, 1 internal error, 2 CONFIG, 3 AUTH, 4 NET, 5 PROTO, 6 DIGEST, 7 LIMIT, 8 UNSUP, 9 STORE,
10 LOCK, 11 SPACE, 12 IO, 13 RO, 14 ARCHIVE, 15 SIG, 16 TRUST, 17 POLICY, 18 PUSH, 130 interrupted."""
INTERRUPTED = 130
INTERRUPTED_TEXT = "interrupted; run the same command again to go on\n"
PATIENCE = 2.0
"""Seconds that workers have to end after an interrupt."""

HOMES = {
    **dict.fromkeys(("init", "lock", "plan", "pull", "pack", "build"), "near"),
    **dict.fromkeys(("keygen", "sign"), "keys"),
    **dict.fromkeys(("show", "diff"), "far"),
    "verify": "verify",
    "push": "push",
    "scan": "scan",
    "mirror-config": "mirroring",
    "demo": "demo",
    "copy": "copying",
    "sync": "syncing",
    **dict.fromkeys(("inspect", "list-tags", "delete"), "images"),
    **dict.fromkeys(("login", "logout"), "login"),
    **dict.fromkeys(("manifest-digest", "standalone-sign", "standalone-verify"), "signing"),
    "store": "store",
    "registry": "registry",
    "trust": "trust",
}
"""Each command, or family of them, and the module of this room that holds it under its own name."""


def application(only: str = "") -> typer.Typer:
    """The application; with ``only`` that one command of it, if there is one of that name.

    Making all commands takes longer than many of them run, so a run makes the one it needs.
    """
    app = typer.Typer(
        name="bundler",
        help="Carry container images across an air gap: pull, pack, sign; verify and push on the far side.",
        epilog=EPILOG,
        no_args_is_help=True,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(root)
    for name in (only,) if only in HOMES else HOMES:
        module = import_module(f"bundler.cli.{HOMES[name]}")
        if name in ("store", "registry", "trust"):
            app.add_typer(module.app, name=name)
        else:
            app.command(name)(getattr(module, name.replace("-", "_")))
    return app


def _print_version(wanted: bool) -> None:
    if wanted:
        from bundler import __version__

        sys.stdout.write(f"bundler {__version__}\n")
        raise typer.Exit


def root(
    ctx: typer.Context,
    *,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print results and errors only.")] = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", "--debug", help="Print what libraries log, and tracebacks.")
    ] = False,
    progress: Annotated[
        Progress, typer.Option("--progress", help="How to show progress; auto is bars on a terminal, lines elsewhere.")
    ] = Progress.AUTO,
    override_os: Annotated[
        str | None, typer.Option("--override-os", metavar="OS", help="Choose images for this OS, not the running one.")
    ] = None,
    override_arch: Annotated[
        str | None, typer.Option("--override-arch", metavar="ARCH", help="Choose images for this architecture.")
    ] = None,
    override_variant: Annotated[
        str | None, typer.Option("--override-variant", metavar="VARIANT", help="Choose images for this CPU variant.")
    ] = None,
    registries_conf: Annotated[
        Path | None, typer.Option("--registries-conf", help="Read mirrors and aliases from here, not the usual places.")
    ] = None,
    tmpdir: Annotated[Path | None, typer.Option("--tmpdir", help="Where large temporary files go.")] = None,
    command_timeout: Annotated[
        str | None, typer.Option("--command-timeout", metavar="TIME", help="Give up after so long, as 90s or 1h.")
    ] = None,
    policy: Annotated[
        Path | None, typer.Option("--policy", help="Obey this policy.json when copying images, not the usual one.")
    ] = None,
    insecure_policy: Annotated[
        bool, typer.Option("--insecure-policy", help="Obey no policy.json: copy images whatever signed them.")
    ] = False,
    registries_d: Annotated[
        Path | None, typer.Option("--registries.d", help="Read where signatures are kept from this directory.")
    ] = None,
    _version_wanted: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Set up what every command works with: the console that it prints through, and what was said for the whole run."""
    ctx.obj = Console(quiet=quiet, verbose=verbose, progress=progress)
    if policy is not None and insecure_policy:
        raise ConfigError("--policy and --insecure-policy exclude each other")
    if command_timeout is not None:
        _end_after(duration(command_timeout, "--command-timeout"), command_timeout)
    said = (
        override_os,
        override_arch,
        override_variant,
        registries_conf,
        tmpdir,
        policy,
        insecure_policy,
        registries_d,
    )
    if any(said):
        from bundler.journey.access import Surroundings
        from bundler.journey.host import overridden

        platform = overridden(override_os, override_arch, override_variant)
        ctx.meta[GLOBALS] = Surroundings(
            platform, registries_conf, tmpdir, registries_d=registries_d, policy=policy, insecure_policy=insecure_policy
        )


def _end_after(seconds: float, said: str) -> None:
    """Unwind when the time is over; workers that hang are cut off as after an interrupt."""

    def end(*_: object) -> NoReturn:
        _lose_patience(4)
        raise NetworkError(f"the command did not end within {said} (--command-timeout)")

    signal.signal(signal.SIGALRM, end)
    signal.setitimer(signal.ITIMER_REAL, seconds)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a terminal may know fewer characters than names have
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _interrupt)
    for each in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(each) is signal.SIG_DFL:
            signal.signal(each, _terminate)
    _allow_files()
    sys.exit(run(sys.argv[1:] if arguments is None else arguments))


def _interrupt(*_: object) -> NoReturn:
    """Unwind; but a worker may hang on a silent network, and what has not ended in time, or by the next Ctrl-C, is cut off.

    Stores, bundles and registries are sound after that as after any kill.
    """
    signal.signal(signal.SIGINT, _cut_off)
    _lose_patience(INTERRUPTED)
    raise KeyboardInterrupt


def _terminate(number: int, _: object) -> NoReturn:
    """Unwind as after an interrupt, so that nothing half written stays beside the operator's files."""
    signal.signal(number, signal.SIG_DFL)
    _lose_patience(128 + number)
    sys.stderr.write(INTERRUPTED_TEXT)
    raise SystemExit(128 + number)


def _allow_files() -> None:
    """As many open files as the system lets us have: a sync into directories holds one for each image."""
    import resource

    allowed, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if allowed != most:
        with suppress(ValueError, OSError):  # some systems name a limit that they don't allow
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _lose_patience(status: int) -> None:
    patience = threading.Timer(PATIENCE, _end, (status,))
    patience.daemon = True
    patience.start()


def _cut_off(*_: object) -> NoReturn:
    _end(INTERRUPTED)


def _end(status: int) -> NoReturn:
    os.write(2, INTERRUPTED_TEXT.encode())
    os._exit(status)


def program() -> str:
    """The name that the command was called by, of the two that it has."""
    name = os.path.basename(sys.argv[0])  # noqa: PTH119  # a word, no path
    return name if name == "oci-bundler" else "bundler"


VALUED = frozenset(
    {
        "--progress",
        "--override-os",
        "--override-arch",
        "--override-variant",
        "--registries-conf",
        "--tmpdir",
        "--command-timeout",
        "--policy",
        "--registries.d",
    }
)
"""Options before the command that are followed by a value."""


def _command_in(arguments: Sequence[str]) -> str:
    """The command's name, which is the first word that belongs to no option; empty if there is none."""
    before = ""
    for argument in arguments:
        if not argument.startswith("-") and before not in VALUED:
            return argument
        before = argument
    return ""


def run(arguments: Sequence[str]) -> int:
    """Run the command line; the exit status."""
    name = _command_in(arguments)
    command = with_environment(typer.main.get_command(application(name)))
    try:
        command(args=spelled_out(arguments), prog_name=program())
    except (SystemExit, KeyboardInterrupt) as end:
        code = end.code if isinstance(end, SystemExit) else INTERRUPTED
        if code == INTERRUPTED:  # Typer's own way of ending on an interrupt
            sys.stderr.write(INTERRUPTED_TEXT)
        return code if isinstance(code, int) else 1
    except BundlerError as problem:
        _explain(problem)
        return problem.exit_code
    except Exception as problem:  # noqa: BLE001  # the rim: whatever is left is a bug, and is said so
        if os.environ.get("BUNDLER_DEBUG") or "-v" in arguments or "--verbose" in arguments:
            traceback.print_exc()
        sys.stderr.write(f"bundler: INTERNAL: {type(problem).__name__}: {problem}\n")
        sys.stderr.write("  this is a bug in bundler; run again with BUNDLER_DEBUG=1 and report what it prints\n")
        return 1
    return 0


def _explain(problem: BundlerError) -> None:
    sys.stderr.write(f"bundler: {problem.label}: {problem}\n")
    if problem.hint:
        sys.stderr.write(f"  {problem.hint}\n")
    if os.environ.get("BUNDLER_DEBUG"):
        traceback.print_exc()
