"""``bundler trust show --json``: a trust directory as JSON values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bundler.bundle.members import format_time

if TYPE_CHECKING:
    from bundler.journey.rooting import Shown
    from bundler.trust.root import Role, SiteRoot
    from bundler.trust.state import State


def document(shown: Shown) -> dict[str, Any]:
    """Every root's fingerprint, what the last one says, the root that waits, and the state; what isn't there is null."""
    root = shown.roots[-1] if shown.roots else None
    return {
        "directory": str(shown.directory),
        "roots": [
            {"version": each.version, "fingerprint": each.fingerprint, "expires": format_time(each.expires)}
            for each in shown.roots
        ],
        "root": None if root is None else _root(root),
        "waiting": None if shown.waiting is None else {**shown.waiting.document(), "root": _root(shown.waiting.root)},
        "state": None if shown.state is None else _state(shown.state),
    }


def _root(root: SiteRoot) -> dict[str, Any]:
    return {
        "version": root.version,
        "root": _role(root, root.root),
        "targets": _role(root, root.targets),
        "channels": {name: _role(root, role) for name, role in sorted(root.channels.items())},
        "denied": {"keys": sorted(root.denied_keys), "statements": sorted(root.denied_statements)},
    }


def _role(root: SiteRoot, role: Role) -> dict[str, Any]:
    return {
        "threshold": role.threshold,
        "keys": [
            {"id": key.key_id, "name": root.names.get(key.key_id, ""), "algorithm": key.algorithm} for key in role.keys
        ],
    }


def _state(state: State) -> dict[str, Any]:
    return {
        "clockFloor": None if state.floor is None else format_time(state.floor),
        "pinned": None if state.pinned is None else {"version": state.pinned[0], "sha256": state.pinned[1]},
        "lines": [
            {
                "name": name,
                "channel": channel,
                "epoch": mark.epoch,
                "serial": mark.serial,
                "statement": mark.statement,
                "accepted": mark.accepted,
            }
            for (name, channel), mark in sorted(state.marks.items())
        ],
        "overrides": [
            {
                "time": format_time(each.time),
                "reason": each.reason,
                "name": each.name,
                "channel": each.channel,
                "serial": each.serial,
                "statement": each.statement,
            }
            for each in state.overrides
        ],
    }
