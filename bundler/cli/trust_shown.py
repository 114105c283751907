"""What a trust directory holds, as lines and tables; and who must still sign a root."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bundler.bundle.members import format_time
from bundler.cli.console import Console
from bundler.errors import quoted

if TYPE_CHECKING:
    from bundler.journey.rooting import Made, Shown
    from bundler.trust.root import Role, SiteRoot


def show_site(console: Console, shown: Shown) -> None:
    """Roots and fingerprints, signers, denials, marks, the clock's floor, overrides, and the root that waits."""
    _show_roots(console, shown)
    _show_state(console, shown)
    if shown.waiting is not None:
        root = shown.waiting.root
        if shown.roots:
            console.result("")
        console.figures([("root that waits", f"{root.version}, would expire {format_time(root.expires)}")])
        _show_roles(console, root, shown)
        say_lacks(console, shown.waiting)


def say_lacks(console: Console, made: Made) -> None:
    """Who must still sign a root that waits."""
    for lack in made.lacks:
        who = ", ".join(quoted(_label(made, key_id)) for key_id in lack.missing)
        console.say(f"{made.path.name} waits for {lack.needed} more by root {lack.version}'s root keys, of: {who}")


def _label(made: Made, key_id: str) -> str:
    name = made.named.get(key_id, "")
    return f"{name} ({key_id[:16]})" if name else key_id


def _show_roots(console: Console, shown: Shown) -> None:
    if not shown.roots:
        return
    root = shown.roots[-1]
    console.figures(
        [
            ("root", f"{root.version}, expires {format_time(root.expires)}"),
            *((each.file_name, each.fingerprint) for each in shown.roots),
        ]
    )
    _show_roles(console, root, shown)


def _show_roles(console: Console, root: SiteRoot, shown: Shown) -> None:
    """Who signs what by this root, and what it denies; keys that it denies have their names from earlier roots."""
    console.result("")
    roles = [root.root, root.targets, *root.channels.values()]
    console.table(("role", "key", "name", "kind"), [row for role in roles for row in _rows(root, role)])
    named = {key_id: each for each in (root, *shown.roots) for key_id, name in each.names.items() if name}
    denied = [("denied key", named.get(key_id, root).named(key_id)) for key_id in sorted(root.denied_keys)]
    denied += [("denied statement", digest) for digest in sorted(root.denied_statements)]
    if denied:
        console.result("")
        console.figures(denied)


def _rows(root: SiteRoot, role: Role) -> list[tuple[str, str, str, str]]:
    needed = f"{quoted(role.name)}: {role.threshold} of {len(role.keys)}"
    return [(needed, key.key_id, quoted(root.names.get(key.key_id, "")) or "-", key.algorithm) for key in role.keys]


def _show_state(console: Console, shown: Shown) -> None:
    state = shown.state
    if state is None:
        return
    lines = [
        (f"{name} {channel}", f"serial {mark.serial}, epoch {mark.epoch}, {mark.statement}")
        for (name, channel), mark in sorted(state.marks.items())
    ]
    if state.floor is not None:
        lines.append(("clock floor", format_time(state.floor)))
    lines += [
        (
            f"rollback {format_time(each.time)}",
            f"{each.name} {each.channel} serial {each.serial}: {quoted(each.reason)}",
        )
        for each in state.overrides
    ]
    if lines:
        console.result("")
        console.figures(lines)
