"""The README says what the program does: commands, exit codes, links and the two commands of the first page."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

import bundler
from bundler import errors
from bundler.cli.app import application

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()


def commands(group: Any, prefix: str = "") -> Iterator[tuple[str, str]]:
    """Every command with the first paragraph of its help."""
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, f"{prefix}{name} ")
        else:
            yield f"{prefix}{name}", " ".join((command.help or "").partition("\n\n")[0].split())


def rows(head: str) -> list[list[str]]:
    """The cells of the table that begins with ``head``."""
    lines = iter(README.splitlines())
    for line in lines:
        if line == head:
            break
    next(lines)
    found = []
    for line in lines:
        if not line.startswith("|"):
            break
        found.append([cell.strip() for cell in line.strip("|").split("|")])
    return found


def test_the_table_of_commands_is_what_help_says() -> None:
    said = [(command.strip("`"), text) for command, text in rows("| command | does |")]
    assert said == list(commands(typer.main.get_command(application())))


def test_the_table_of_exit_codes_is_that_of_the_error_classes() -> None:
    classes = {errors.BundlerError, *errors.BundlerError.__subclasses__()}
    wanted = {(str(each.exit_code), each.label) for each in classes if each.__module__ == "bundler.errors"}
    said = {(code, label) for code, label, _ in rows("| exit code | class | what happened |") if label}
    assert said == wanted


def test_every_room_is_in_the_layout() -> None:
    layout = README.partition("bundler/\n")[2].partition("```")[0]
    rooms = {line.split()[0].rstrip("/") for line in layout.splitlines() if line.startswith("  ")}
    there = {
        p.name
        for p in Path(bundler.__file__).parent.iterdir()
        if not p.name.startswith("_") and p.suffix in ("", ".py")
    }
    assert rooms == there


def test_links_lead_somewhere() -> None:
    targets = re.findall(r"\]\((?!https?:)([^)#]+)", README)
    assert targets
    assert [target for target in targets if not (ROOT / target).exists()] == []


def test_the_first_page_has_the_two_commands() -> None:
    blocks = re.findall(r"```sh\n(.*?)```", README, re.DOTALL)
    assert [len(block.strip().splitlines()) for block in blocks] == [1, 1]
    assert "bundler demo" in blocks[0]
    assert "pytest" in blocks[1]
