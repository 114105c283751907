"""The command line as tests run it: in this process, or as a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from bundler.cli import app
from tests.peers import hidden

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class Ended:
    """What a command said, and how it ended."""

    code: int
    out: str
    err: str


class Terminal:
    """Runs commands in this process, in ``folder``."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder, self._capsys = folder, capsys

    def __call__(self, *arguments: str | Path, expect: int = 0) -> Ended:
        self._capsys.readouterr()
        code = app.run([str(argument) for argument in arguments])
        out, err = self._capsys.readouterr()
        assert code == expect, f"{arguments}: {code}\n{out}{err}"
        assert "Traceback" not in err
        return Ended(code, out, err)


def process(*arguments: str | Path, cwd: Path, **environment: str) -> subprocess.Popen[str]:
    """The same as a process, with pipes; its standard input is empty."""
    return subprocess.Popen(
        [sys.executable, "-m", "bundler", *map(str, arguments)],
        cwd=cwd,
        env={**{n: v for n, v in os.environ.items() if not hidden(n)}, "PYTHONPATH": str(ROOT), **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def ended(started: subprocess.Popen[str], timeout: float = 60) -> Ended:
    """What became of it."""
    with started:
        out, err = started.communicate(timeout=timeout)
    return Ended(started.returncode, out, err)
