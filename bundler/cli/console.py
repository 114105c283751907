"""What a command prints through: results to stdout, everything else to stderr."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from bundler.content import Observer


PIPE_CLOSED = 141
"""The exit status when nobody reads the results any more: what a shell makes of SIGPIPE."""
_NUMBER = re.compile(r"[0-9.]+( [KMGT]?i?B)?")


class Progress(StrEnum):
    """How progress is shown."""

    AUTO = "auto"
    BARS = "bars"
    LINES = "lines"
    JSON = "json"
    NONE = "none"


class Console:
    """The printer of one run."""

    def __init__(self, *, quiet: bool = False, verbose: bool = False, progress: Progress = Progress.AUTO) -> None:
        self._quiet = quiet
        self._progress = progress
        if verbose:
            import logging

            logging.basicConfig(level=logging.DEBUG, stream=sys.stderr, format="%(name)s: %(message)s")
            logging.getLogger("urllib3").setLevel(logging.WARNING)  # below that it prints URLs with signatures in them

    def result(self, text: str) -> None:
        """One line of what was asked for."""
        try:
            sys.stdout.write(text + "\n")
            sys.stdout.flush()
        except BrokenPipeError:  # the reader has seen enough; the interpreter must not try again at its end
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit(PIPE_CLOSED) from None

    def json(self, value: Any) -> None:
        """What was asked for, as JSON."""
        self.result(json.dumps(value, indent=2, ensure_ascii=True))

    def say(self, text: str) -> None:
        """A line for a person who watches."""
        if not self._quiet:
            sys.stderr.write(text + "\n")
            sys.stderr.flush()

    def warn(self, text: str) -> None:
        """A line that nobody may miss, however quiet the run."""
        sys.stderr.write(text + "\n")
        sys.stderr.flush()

    def table(self, head: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
        """Aligned columns; sizes and numbers are flushed right."""
        rows = [list(row) for row in rows]
        if not rows:
            return
        widths = [max(len(row[n]) for row in [list(head), *rows]) for n in range(len(head))]
        right = [all(_NUMBER.fullmatch(row[n]) for row in rows) for n in range(len(head))]
        for row in [list(head), *rows]:
            cells = (c.rjust(w) if r else c.ljust(w) for c, w, r in zip(row, widths, right, strict=True))
            self.result("  ".join(cells).rstrip())

    def figures(self, lines: Sequence[tuple[str, str]]) -> None:
        """Names and what they are, a line each."""
        width = max(len(name) for name, _ in lines)
        for name, value in lines:
            self.result(f"{name.ljust(width)}  {value}")

    def watching(self) -> AbstractContextManager[Observer]:
        """An observer that shows progress while the context lasts."""
        from bundler.content import silent

        mode = self._progress
        if mode is Progress.AUTO:
            mode = Progress.NONE if self._quiet else Progress.BARS if sys.stderr.isatty() else Progress.LINES
        if mode is Progress.NONE:
            return nullcontext(silent)
        from bundler.cli.progress import bars, json_lines, lines

        return {Progress.BARS: bars, Progress.LINES: lines, Progress.JSON: json_lines}[mode]()


def console_of(ctx: typer.Context) -> Console:
    """The console of the command that is running."""
    console = ctx.find_object(Console)
    assert console is not None, "the root command makes one"
    return console
