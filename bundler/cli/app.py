"""The application: global options, the families of commands, and the one place where an error becomes an exit status."""

from __future__ import annotations

import io
import os
import signal
import sys
import threading
import traceback
from collections.abc import Sequence
from importlib import import_module
from typing import Annotated, NoReturn

import typer

from bundler.cli.console import Console, Progress
from bundler.cli.options import spelled_out, with_environment
from bundler.errors import BundlerError

EPILOG = """Exit codes: 0 ok, 1 internal error, 2 CONFIG, 3 AUTH, 4 NET, 5 PROTO, 6 DIGEST, 7 LIMIT, 8 UNSUP, 9 STORE,
10 LOCK, 11 SPACE, 12 IO, 13 RO, 14 ARCHIVE, 15 SIG, 16 TRUST, 17 POLICY, 18 PUSH, 130 interrupted."""
INTERRUPTED = 130
INTERRUPTED_TEXT = "interrupted; run the same command again to go on\n"
PATIENCE = 2.0
"""Seconds that workers have to end after an interrupt."""

HOMES = {
    **dict.fromkeys(("init", "lock", "plan", "pull", "pack", "build"), "near"),
    **dict.fromkeys(("keygen", "sign"), "keys"),
    **dict.fromkeys(("show", "diff", "verify", "push"), "far"),
    "store": "store",
    "registry": "registry",
    "demo": "demo",
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
        if name in ("store", "registry"):
            app.add_typer(module.app, name=name)
        else:
            app.command(name)(getattr(module, name))
    return app


def _print_version(wanted: bool) -> None:
    if wanted:
        from bundler import __version__

        sys.stdout.write(f"bundler {__version__}\n")
        raise typer.Exit


def root(
    ctx: typer.Context,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print results and errors only.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Print what libraries log, and tracebacks.")] = False,
    progress: Annotated[
        Progress, typer.Option("--progress", help="How to show progress; auto is bars on a terminal, lines elsewhere.")
    ] = Progress.AUTO,
    _version_wanted: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Set up the console that every command prints through."""
    ctx.obj = Console(quiet=quiet, verbose=verbose, progress=progress)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a terminal may know fewer characters than names have
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _interrupt)
    sys.exit(run(sys.argv[1:] if arguments is None else arguments))


def _interrupt(*_: object) -> NoReturn:
    """Unwind; but a worker may hang on a silent network, and what has not ended in time, or by the next Ctrl-C, is cut off.

    Stores, bundles and registries are sound after that as after any kill.
    """
    signal.signal(signal.SIGINT, _cut_off)
    patience = threading.Timer(PATIENCE, _cut_off)
    patience.daemon = True
    patience.start()
    raise KeyboardInterrupt


def _cut_off(*_: object) -> NoReturn:
    os.write(2, INTERRUPTED_TEXT.encode())
    os._exit(INTERRUPTED)


def program() -> str:
    """The name that the command was called by, of the two that it has."""
    name = os.path.basename(sys.argv[0])  # noqa: PTH119  # a word, no path
    return name if name == "oci-bundler" else "bundler"


def run(arguments: Sequence[str]) -> int:
    """Run the command line; the exit status."""
    name = next((argument for argument in arguments if not argument.startswith("-")), "")
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
