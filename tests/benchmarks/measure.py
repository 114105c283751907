"""Cost of a child process: wall clock, CPU of it and all its descendants, and the largest resident set among them."""

from __future__ import annotations

import json
import os
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Cost:
    """``seconds`` of wall clock, ``cpu`` seconds, ``rss`` in bytes."""

    seconds: float
    cpu: float
    rss: int

    def __add__(self, other: Cost) -> Cost:
        """One after the other."""
        return Cost(self.seconds + other.seconds, self.cpu + other.cpu, max(self.rss, other.rss))


NOTHING = Cost(0, 0, 0)


def median(costs: Iterable[Cost]) -> Cost:
    """The median of each figure; of the resident sets the largest."""
    costs = tuple(costs)
    return Cost(
        statistics.median(cost.seconds for cost in costs),
        statistics.median(cost.cpu for cost in costs),
        max(cost.rss for cost in costs),
    )


LAUNCHER = """
import json, os, subprocess, sys, time
begin = time.monotonic()
process = subprocess.Popen(sys.argv[2:], stdin=subprocess.DEVNULL)
_, status, usage = os.wait4(process.pid, 0)
seconds = time.monotonic() - begin
cost = [os.waitstatus_to_exitcode(status), seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024]
open(sys.argv[1], "w").write(json.dumps(cost))
"""
"""Starts the command from a small process: Linux counts what the parent held at the fork into the child's maximum."""


def child(command: Sequence[str | Path], *, cwd: Path, env: Mapping[str, str]) -> Cost:
    """Run a command that must succeed; its output is shown only if it fails."""
    log, report = cwd / "last-output.txt", cwd / "last-cost.json"
    with log.open("wb") as out:
        launcher = [sys.executable, "-I", "-S", "-c", LAUNCHER, str(report), *map(str, command)]
        subprocess.run(launcher, cwd=cwd, env=env, stdin=subprocess.DEVNULL, stdout=out, stderr=out, check=True)
    status, seconds, cpu, rss = json.loads(report.read_text())
    if status != 0:
        raise SystemExit(f"{' '.join(map(str, command))}: status {status}\n{log.read_text()}")
    return Cost(seconds, cpu, rss)


def shell(script: str, *, cwd: Path, env: Mapping[str, str]) -> Cost:
    """Run a bash script that must succeed in each of its steps."""
    return child(["bash", "-euo", "pipefail", "-c", script], cwd=cwd, env=env)


def until_first_request(
    command: Sequence[str | Path], listener: socket.socket, *, cwd: Path, env: Mapping[str, str]
) -> Cost:
    """From the start of a command to its first connection to ``listener``; it is then ended."""
    begin = time.monotonic()
    process = subprocess.Popen(
        [str(part) for part in command], cwd=cwd, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    listener.settimeout(20)
    connection, _ = listener.accept()
    seconds = time.monotonic() - begin
    process.kill()
    connection.close()
    _, _, usage = os.wait4(process.pid, 0)
    process.returncode = -9
    return Cost(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024)
