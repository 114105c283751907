"""What a site remembers between runs: how far each line of bundles has come, the clock's floor, and who overrode what.

    State
    ├── marks        per (name, channel): the highest (epoch, serial) accepted and its statement's digest
    ├── floor        a moment that has certainly passed; see :mod:`bundler.trust.clock`
    ├── overrides    every ``--allow-rollback``, with its reason
    └── pinned       the root that was pinned out of band, where one was

A mark never goes down, not even by an override: that lets one older bundle in, once. The schema is
``schemas/trust-state/schema.json``. The file is the site's own, and read strictly all the same: half of it would be worse
than none.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Literal

from bundler.bundle.members import digest_in, format_time, line_in, time_in
from bundler.bundle.statement import Statement
from bundler.errors import BundlerError, ConfigError, LimitError, PolicyError, TrustError, quoted
from bundler.oci.digest import Digest
from bundler.oci.strict_json import Fields, canonical, loads
from bundler.trust.clock import next_floor

STATE = "state.json"
STATE_CAP = 9 << 20
API_VERSION = "bundler/v1"
KIND = "TrustState"
MAX_MARKS = 10_000
MAX_OVERRIDES = 1000
"""The newest are kept."""
MAX_REASON = 500
_VALUES = 650_000
"""As many as the fullest state has, its reasons made of commas."""
_PUT_BACK = "put the trust directory back from a copy, or make it anew with `bundler trust init`"

Line = tuple[str, str]
"""Name and channel."""
Relation = Literal["first", "newer", "same", "older"]


@dataclass(frozen=True, slots=True)
class Mark:
    """How far a line has come. ``accepted`` is the last statement taken, which an override can make an older one."""

    epoch: int
    serial: int
    statement: Digest
    accepted: Digest
    when: datetime


@dataclass(frozen=True, slots=True)
class Override:
    """An older bundle that was let in, by whose reason."""

    time: datetime
    reason: str
    name: str
    channel: str
    epoch: int
    serial: int
    statement: Digest


@dataclass(frozen=True, slots=True)
class State:
    """The whole of it; ``pinned`` is a root's version and the SHA-256 of its file, hexadecimal."""

    marks: Mapping[Line, Mark] = field(default_factory=dict)
    floor: datetime | None = None
    overrides: tuple[Override, ...] = ()
    pinned: tuple[int, str] | None = None


def judge(
    state: State, statement: Statement, digest: Digest, *, rollback: bool = False, min_serial: int | None = None
) -> Relation:
    """How a statement stands to what its line has come to.

    Raises :class:`PolicyError` for a rollback unless ``rollback`` allows it, for equivocation always, and below
    ``min_serial``.
    """
    check_serial(statement, min_serial)
    mark = state.marks.get((statement.name, statement.channel))
    if mark is None:
        return "first"
    here, there = (statement.epoch, statement.serial), (mark.epoch, mark.serial)
    about = f"{statement.name} {statement.channel} {statement.serial}"
    if here > there:
        return "newer"
    if here == there:
        if digest == mark.statement:
            return "same"
        raise PolicyError(
            f"ALARM: equivocation: {about}: trusted signers have signed two different statements of epoch "
            f"{statement.epoch} serial {statement.serial}: {mark.statement}, which was accepted, and {digest}, which is this",
            hint="take neither on; tell the signers: somebody builds twice under one serial, or a key is in wrong hands",
        )
    if not rollback:
        raise PolicyError(
            f"rollback: {about} (epoch {statement.epoch}) is older than serial {mark.serial} (epoch {mark.epoch}), "
            "which was accepted before",
            hint="ask for the newest bundle; if going back is meant, --allow-rollback REASON takes it and records why",
        )
    return "older"


def check_serial(statement: Statement, least: int | None) -> None:
    """:class:`PolicyError` for a serial below ``--min-serial``."""
    if least is not None and statement.serial < least:
        raise PolicyError(
            f"{statement.name} {statement.channel} {statement.serial}: below the serial {least} that --min-serial demands",
            hint="ask for the newest bundle",
        )


def accepted(
    state: State,
    statement: Statement,
    digest: Digest,
    *,
    now: datetime,
    reason: str = "",
    min_serial: int | None = None,
) -> State:
    """The state after this statement was taken. Raises as :func:`judge` does."""
    relation = judge(state, statement, digest, rollback=bool(reason), min_serial=min_serial)
    line = (statement.name, statement.channel)
    overrides = state.overrides
    if relation == "older":
        mark = replace(state.marks[line], accepted=digest, when=now)
        entry = Override(now, reason, *line, statement.epoch, statement.serial, digest)
        overrides = (*overrides, entry)[-MAX_OVERRIDES:]
    else:
        mark = Mark(statement.epoch, statement.serial, digest, digest, now)
    if len(state.marks) >= MAX_MARKS and line not in state.marks:
        raise LimitError(
            f"{STATE}: knows {MAX_MARKS} lines of bundles already, and takes no more",
            hint="keep other lines in another trust directory: `bundler trust init`",
        )
    return replace(seen(state, statement, now=now), marks={**state.marks, line: mark}, overrides=overrides)


def seen(state: State, statement: Statement, *, now: datetime) -> State:
    """The state after a verification that ended well: only the clock's floor may have risen."""
    floor = next_floor(now, floor=state.floor, issued=statement.issued, expires=statement.expires)
    return replace(state, floor=floor)


def write_state(state: State) -> bytes:
    """The file, the same bytes for the same state."""
    document: dict[str, Any] = {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "marks": [
            {
                "name": name,
                "channel": channel,
                "epoch": mark.epoch,
                "serial": mark.serial,
                "statement": mark.statement,
                "accepted": mark.accepted,
                "when": format_time(mark.when),
            }
            for (name, channel), mark in sorted(state.marks.items())
        ],
        "overrides": [
            {
                "time": format_time(each.time),
                "reason": each.reason,
                "name": each.name,
                "channel": each.channel,
                "epoch": each.epoch,
                "serial": each.serial,
                "statement": each.statement,
            }
            for each in state.overrides
        ],
    }
    if state.floor is not None:
        document["clockFloor"] = format_time(state.floor)
    if state.pinned is not None:
        document["pinned"] = {"version": state.pinned[0], "sha256": state.pinned[1]}
    return canonical(document)


def parse_state(raw: bytes, *, what: str = STATE) -> State:
    """The state in a file. Raises :class:`TrustError`: a site that does not know what it accepted accepts nothing."""
    try:
        value = loads(raw, what=what, cap=STATE_CAP, values=_VALUES, error=_broken)
    except LimitError as problem:
        raise LimitError(str(problem), hint=_PUT_BACK) from None
    fields = Fields(value, what=what, error=_broken)
    for name, wanted in (("apiVersion", API_VERSION), ("kind", KIND)):
        if fields.text(name) != wanted:
            raise fields.fail(name, f"must be {wanted}, not {quoted(fields.text(name))!r}")
    marks: dict[Line, Mark] = {}
    for each in fields.each("marks"):
        line = (line_in(each, "name"), line_in(each, "channel"))
        if line in marks:
            raise each.fail("name", f"and channel {line[0]} {line[1]} are listed twice")
        marks[line] = Mark(
            epoch=each.size("epoch"),
            serial=_serial(each),
            statement=digest_in(each, "statement"),
            accepted=digest_in(each, "accepted"),
            when=time_in(each, "when"),
        )
        each.done()
    state = State(
        marks=marks,
        floor=time_in(fields, "clockFloor") if "clockFloor" in fields else None,
        overrides=tuple(_override(each) for each in fields.each("overrides")),
        pinned=_pinned(fields.object("pinned")) if "pinned" in fields else None,
    )
    if len(state.marks) > MAX_MARKS or len(state.overrides) > MAX_OVERRIDES:
        raise fields.fail("marks", f"may be {MAX_MARKS} at most, and overrides {MAX_OVERRIDES}")
    fields.done()
    return state


def check_reason(reason: str) -> str:
    """A reason that can be recorded: stripped, or :class:`ConfigError`."""
    text = reason.strip()
    if not 0 < len(text) <= MAX_REASON or not text.isprintable():
        raise ConfigError(
            f"--allow-rollback: the reason must be 1 to {MAX_REASON} printable characters",
            hint="say why an older bundle is taken: it is recorded, and `bundler trust show` prints it",
        )
    return text


def _override(fields: Fields) -> Override:
    reason = fields.text("reason")
    if not 0 < len(reason) <= MAX_REASON or not reason.isprintable():
        raise fields.fail("reason", f"must be 1 to {MAX_REASON} printable characters")
    override = Override(
        time=time_in(fields, "time"),
        reason=reason,
        name=line_in(fields, "name"),
        channel=line_in(fields, "channel"),
        epoch=fields.size("epoch"),
        serial=_serial(fields),
        statement=digest_in(fields, "statement"),
    )
    fields.done()
    return override


def _serial(fields: Fields) -> int:
    serial = fields.size("serial")
    if serial < 1:
        raise fields.fail("serial", "must be at least 1")
    return serial


def _pinned(fields: Fields) -> tuple[int, str]:
    version, sha256 = fields.size("version"), fields.text("sha256")
    if version < 1 or len(sha256) != 64 or set(sha256) - set("0123456789abcdef"):
        raise fields.fail("sha256", "must be 64 lower-case hexadecimal characters, and version at least 1")
    fields.done()
    return version, sha256


def _broken(message: str) -> BundlerError:
    return TrustError(message, hint=_PUT_BACK)
