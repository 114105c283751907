"""VERIFY.txt as those read it who follow it: blocks of commands, each below the sentence that says what it is for.

blocks(bundle)                    every block, in order; what needs openssl and coreutils, and what needs other tools
block(bundle, "minisign")         the one that has this word in it
"""

from __future__ import annotations

from itertools import groupby
from pathlib import Path

OTHER_TOOLS = ("cosign ", "ssh-keygen ", "ssh-ed25519 ", "minisign ", "gpgv ")


def blocks(bundle: Path, *, others: bool = False) -> list[str]:
    """The blocks for the tools that every site has, or those for the others."""
    lines = (bundle / "VERIFY.txt").read_text().splitlines()
    groups = groupby(lines, key=lambda line: line.startswith("    "))
    found = ["\n".join(line[4:] for line in group) for is_command, group in groups if is_command]
    return [each for each in found if any(tool in each for tool in OTHER_TOOLS) == others]


def block(bundle: Path, word: str) -> str:
    """The one block for another tool that has this word."""
    (found,) = (each for each in blocks(bundle, others=True) if word in each)
    return found
