"""A site's trust directory under verifications, pushes and everything that goes wrong with it."""

from __future__ import annotations

import errno
import json
import os
import tempfile
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from bundler.bundle.pack import write_signed
from bundler.bundle.statement import write_statement
from bundler.bundle.unpack import read_documents
from bundler.errors import (
    ArchiveError,
    BundlerError,
    ConfigError,
    DiskError,
    LimitError,
    LockedError,
    NotFoundError,
    PolicyError,
    ReadOnlyError,
    TrustError,
)
from bundler.journey import trusting
from bundler.journey.access import Access
from bundler.journey.demand import Demand
from bundler.journey.far import Route, push, verify
from bundler.journey.keys import signed
from bundler.journey.rooting import pin
from bundler.journey.trusting import Site, locked, read_state, roots_beside
from bundler.trust.clock import BUILD
from bundler.trust.dsse import Envelope
from bundler.trust.state import STATE
from bundler.trust.sums import parse_sums
from bundler.trust.verify import accept_unsigned
from tests.trust.roots import ANN, BOB, BOSS, CAT, CHIEF, DAN, EVE, signed_root, trusted_root
from tests.workshop import Workshop

NOW = datetime(2030, 6, 1, tzinfo=UTC)
ISSUED = NOW - timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Far:
    """A site and bundles for it: each is the same content under another statement."""

    folder: Path
    bundle: Path
    site: Path

    def of(self, name: str, *, by: Any = (ANN, CAT), roots: dict[int, bytes] | None = None, **changes: Any) -> Path:
        """A bundle with these changes to its statement; a serial changes its id, so it must be one that was packed."""
        directory = self.folder / name
        directory.mkdir()
        for path in self.bundle.iterdir():
            if "SHA256SUMS." not in path.name and path.name != "bundle.dsse.json":
                os.link(path, directory / path.name)
        documents = read_documents(self.bundle)
        statement = replace(accept_unsigned(documents).statement, **changes)
        assert parse_sums(documents.sums)
        write_signed(directory, *signed(Envelope(write_statement(statement)), documents.sums, by))
        for version, raw in (roots or {}).items():
            (directory / f"{version}.root.json").write_bytes(raw)
        return directory

    def demand(self, now: datetime = NOW, **options: Any) -> Demand:
        return Demand.of((), 1, now=now, trust=self.site, **options)

    @property
    def state(self) -> bytes:
        return (self.site / STATE).read_bytes()

    def take(self, bundle: Path, now: datetime = NOW, **options: Any) -> None:
        demand = self.demand(now, **options)
        demand.accepted(demand.trust(bundle))


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = Workshop(tmp_path_factory.mktemp("near"))
    place.pull(now=ISSUED)
    return place.pack("out", ANN, CAT).directory


@pytest.fixture
def far(bundle: Path, tmp_path: Path) -> Far:
    root = trusted_root()
    (tmp_path / "1.root.json").write_bytes(root.raw)
    pin(tmp_path / "site", tmp_path / "1.root.json", root.fingerprint)
    return Far(tmp_path, bundle, tmp_path / "site")


def unchanged(far: Far, error: type[BundlerError], message: str, go: Callable[[], object]) -> None:
    """``go`` fails so, and the state is what it was, to the byte."""
    before = far.state
    with pytest.raises(error, match=message):
        go()
    assert far.state == before


# Roots


def test_pinned(far: Far) -> None:
    site = Site.open(far.site)
    assert site.root.version == 1
    assert site.state.pinned == (1, site.root.fingerprint)
    assert {key.key_id for key in site.keys} == {key.public.key_id for key in (ANN, BOB, CAT)}


def test_two_of_three(far: Far) -> None:
    trusted = far.demand().trust(far.bundle)
    assert set(trusted.signers) == {ANN.public.key_id, CAT.public.key_id}
    one = far.of("one", by=(ANN,))
    unchanged(
        far, TrustError, r"ann .*where 2 are needed; missing: (bob|cat) .*, (bob|cat) ", lambda: far.demand().trust(one)
    )


def test_rotation_over_two_roots_from_a_bundle_alone(far: Far) -> None:
    two = signed_root(2, root=(CHIEF,), by=(BOSS, CHIEF))
    three = signed_root(3, root=(CHIEF,), targets=(DAN, EVE))
    rotated = far.of("rotated", by=(DAN, EVE), roots={1: trusted_root().raw, 2: two, 3: three})
    before = far.state
    assert far.demand().trust(rotated)
    assert (far.site / "2.root.json").read_bytes() == two
    assert (far.site / "3.root.json").read_bytes() == three
    assert far.state == before
    unchanged(far, TrustError, "root 3, targets", lambda: far.demand().trust(far.bundle))


BAD_ROOTS = {
    "skipped": ({3: signed_root(3)}, r"3\.root\.json: root 2 is missing"),
    "self-made": ({1: signed_root(1, root=(EVE,), targets=(EVE,), threshold=1)}, r"1\.root\.json: .*self-made"),
    "self-made-next": ({2: signed_root(2, root=(EVE,), targets=(EVE,), threshold=1)}, r"2\.root\.json: signed by 0"),
    "cut": ({2: signed_root(2)[:-20]}, r"2\.root\.json: not JSON"),
}


@pytest.mark.parametrize(("roots", "message"), BAD_ROOTS.values(), ids=BAD_ROOTS)
def test_bad_roots_in_a_bundle(far: Far, roots: dict[int, bytes], message: str) -> None:
    bad = far.of("bad", roots=roots)
    unchanged(far, TrustError, message, lambda: far.demand().trust(bad))
    assert sorted(path.name for path in far.site.iterdir()) == ["1.root.json", STATE]


def test_a_step_is_kept_though_the_bundle_fails(far: Far) -> None:
    """Whoever stole a key can't hold a site back by spoiling the bundle that tells of it."""
    spoilt = far.of("spoilt", by=(EVE,), roots={2: signed_root(2, denied_keys=(ANN,))})
    unchanged(far, TrustError, "signed by 0", lambda: far.demand().trust(spoilt))
    assert Site.open(far.site).root.version == 2
    unchanged(far, TrustError, "denied by the root: ann", lambda: far.demand().trust(far.bundle))


def test_a_root_that_is_a_link_or_too_large(far: Far) -> None:
    linked = far.of("linked")
    (linked / "2.root.json").symlink_to("/etc/passwd")
    with pytest.raises(BundlerError, match=r"2\.root\.json"):
        far.demand().trust(linked)
    large = far.of("large", roots={2: b" " * ((256 << 10) + 1)})
    with pytest.raises(LimitError):
        far.demand().trust(large)


def test_only_as_many_roots_are_read_as_a_walk_takes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trusting, "MAX_STEPS", 2)
    for version in (1, 2, 3, 4, 5, 10):
        (tmp_path / f"{version}.root.json").write_bytes(b"x")
    assert list(roots_beside(tmp_path, since=2)) == [2, 3, 4]


# Marks


def test_a_verification_leaves_the_mark_and_lifts_the_floor(far: Far) -> None:
    demand = far.demand()
    trusted = demand.trust(far.bundle)
    demand.saw(trusted)
    state = read_state(far.site)
    assert state.marks == {}
    assert state.floor == NOW


def test_rollback_and_equivocation(far: Far) -> None:
    statement = accept_unsigned(read_documents(far.bundle)).statement
    first = far.demand().standing(far.demand().trust(far.bundle))
    assert first is not None
    assert (first.relation, first.mark, first.previous) == ("first", None, None)
    far.take(far.bundle)
    newer = far.of("newer", epoch=1)
    older = far.bundle
    demand = far.demand()
    standing = demand.standing(demand.trust(newer))
    assert standing is not None
    assert standing.relation == "newer"
    assert standing.previous == statement
    assert [(signer.name, signer.signed) for signer in standing.signers] == [
        (name, name in ("ann", "cat")) for name in [s.name for s in standing.signers]
    ]
    far.take(newer)
    unchanged(far, PolicyError, "rollback", lambda: far.demand().trust(older))
    other = far.of("other", epoch=1, issued=statement.issued + timedelta(hours=2))
    unchanged(far, PolicyError, "ALARM: equivocation", lambda: far.demand().trust(other))
    unchanged(far, PolicyError, "ALARM", lambda: far.demand(allow_rollback="no matter").trust(other))
    far.take(newer)
    demand = far.demand(allow_rollback="the new one does not start")
    trusted = demand.trust(older)
    said = demand.standing(trusted)
    assert said is not None
    assert (said.relation, said.reason) == ("older", "the new one does not start")
    demand.accepted(trusted)
    state = read_state(far.site)
    assert state.marks["edge", "stable"].epoch == 1
    assert [override.reason for override in state.overrides] == ["the new one does not start"]
    assert Site.open(far.site).previous("edge", "stable") == statement
    unchanged(far, PolicyError, "rollback", lambda: far.demand().trust(older))
    assert len(list((far.site / "accepted").iterdir())) == 1


def test_a_newer_one_that_was_accepted_meanwhile_wins(far: Far) -> None:
    newer = far.of("newer", epoch=1)
    slow = far.demand()
    trusted = slow.trust(far.bundle)
    far.take(newer)
    unchanged(far, PolicyError, "rollback", lambda: slow.accepted(trusted))


def test_a_root_that_came_meanwhile_is_not_overlooked(far: Far) -> None:
    slow = far.demand()
    trusted = slow.trust(far.bundle)
    far.demand().trust(far.of("newer", roots={2: signed_root(2)}))
    unchanged(far, LockedError, "has brought root 2 meanwhile", lambda: slow.accepted(trusted))


def test_min_serial_for_a_first_contact(far: Far) -> None:
    unchanged(far, PolicyError, "below the serial 2", lambda: far.demand(min_serial=2).trust(far.bundle))
    far.take(far.bundle, min_serial=1)
    with pytest.raises(PolicyError, match="below the serial 2"):
        Demand((ANN.public,), 1, NOW, min_serial=2).trust(far.bundle)
    with pytest.raises(PolicyError, match="below the serial 2"):
        Demand((), 1, NOW, min_serial=2).trust(far.bundle)


def test_lines_do_not_touch_each_other(far: Far) -> None:
    far.take(far.of("high", epoch=9))
    far.take(far.of("beta", channel="beta"))
    far.take(far.of("case", channel="Stable"))
    assert len(read_state(far.site).marks) == 3


# Clocks


def test_clocks(far: Far) -> None:
    expiring = far.of("expiring", expires=NOW + timedelta(days=30))
    early, late = datetime(1970, 1, 1, tzinfo=UTC), datetime(2099, 1, 1, tzinfo=UTC)
    unchanged(far, PolicyError, "expired", lambda: far.demand(late).trust(expiring))
    far.take(expiring, now=early)
    assert read_state(far.site).floor == BUILD + timedelta(hours=24)
    far.take(expiring)
    assert read_state(far.site).floor == NOW
    expired = far.of("expired", epoch=1, expires=NOW)
    for now in (early, NOW, late):
        unchanged(far, PolicyError, "expired", lambda now=now: far.demand(now).trust(expired))
    assert far.demand(allow_expired=True).trust(expired)


def test_a_clock_at_2099_leaves_a_day_at_most(far: Far) -> None:
    """A bundle without expiry passes then, and the next one with an expiry passes once the clock is right."""
    root = trusted_root(expires=datetime(2199, 1, 1, tzinfo=UTC))
    (far.folder / "site2").mkdir()
    (far.folder / "long.json").write_bytes(root.raw)
    pin(far.folder / "site2", far.folder / "long.json", root.fingerprint)
    elsewhere = replace(far, site=far.folder / "site2")
    elsewhere.take(far.bundle, now=datetime(2099, 1, 1, tzinfo=UTC))
    assert read_state(elsewhere.site).floor == ISSUED + timedelta(hours=24)
    expiring = far.of("expiring", epoch=1, expires=NOW + timedelta(days=2))
    elsewhere.take(expiring)


def test_a_statement_from_2099_leaves_a_day_at_most(far: Far) -> None:
    future = far.of("future", issued=datetime(2099, 1, 1, tzinfo=UTC))
    for _ in range(3):
        far.take(future)
    assert read_state(far.site).floor == NOW + timedelta(hours=24)
    far.take(far.of("expiring", epoch=1, expires=NOW + timedelta(days=2)))


# The directory


def test_no_site(tmp_path: Path) -> None:
    for place in (tmp_path / "absent", tmp_path):
        with pytest.raises(NotFoundError, match="is no trust directory") as caught:
            Site.open(place)
        assert "trust init" in caught.value.hint


@pytest.mark.parametrize("damage", ["gone", "empty", "cut", "link", "link-to-nowhere", "pipe", "directory"])
def test_a_site_that_has_forgotten_accepts_nothing(far: Far, damage: str) -> None:
    path = far.site / STATE
    raw = path.read_bytes()
    path.unlink()
    match damage:
        case "pipe":
            os.mkfifo(path)
        case "link":
            (far.folder / "state.json").write_bytes(raw)
            path.symlink_to(far.folder / "state.json")
        case "empty":
            path.write_bytes(b"")
        case "cut":
            path.write_bytes(raw[:-4])
        case "link-to-nowhere":
            path.symlink_to(far.folder / "nowhere")
        case "directory":
            path.mkdir()
    with pytest.raises(TrustError, match=r"state\.json") as caught:
        far.demand()
    assert "from a copy" in caught.value.hint


def test_a_root_file_that_was_edited(far: Far) -> None:
    (far.site / "1.root.json").write_bytes(trusted_root().raw.replace(b'"threshold": 2', b'"threshold": 1'))
    with pytest.raises(TrustError, match="not the root that was pinned here"):
        far.demand()
    (far.site / "1.root.json").unlink()
    with pytest.raises(NotFoundError, match="is no trust directory"):
        far.demand()


def test_every_root_is_held_against_the_one_before_it(far: Far) -> None:
    """Somebody copied the roots off a medium into the site: a self-made one still counts for nothing."""
    (far.site / "2.root.json").write_bytes(signed_root(2, root=(EVE,), targets=(EVE,), threshold=1))
    with pytest.raises(TrustError, match=r"site: 2\.root\.json: signed by 0 of the root keys of root 1"):
        far.demand()
    (far.site / "2.root.json").unlink()
    (far.site / "3.root.json").write_bytes(signed_root(3))
    with pytest.raises(TrustError, match=r"site: 3\.root\.json: root 2 is missing") as caught:
        far.demand()
    assert caught.value.hint
    (far.site / "2.root.json").write_bytes(signed_root(2))
    assert Site.open(far.site).root.version == 3


def test_the_pinned_root_stays(far: Far) -> None:
    far.demand().trust(far.of("newer", roots={2: signed_root(2)}))
    assert Site.open(far.site).root.version == 2
    (far.site / "1.root.json").write_bytes(signed_root(threshold=1))  # our keys, and not what was pinned
    with pytest.raises(TrustError, match="not the root that was pinned here, whose SHA-256 is"):
        far.demand()
    (far.site / "1.root.json").unlink()
    with pytest.raises(TrustError, match=r"1\.root\.json: is missing") as caught:
        far.demand()
    assert "put it back" in caught.value.hint


def test_roots_before_the_pinned_one_do_not_matter(tmp_path: Path) -> None:
    raw = signed_root(3)
    (tmp_path / "3.root.json").write_bytes(raw)
    pin(tmp_path / "site", tmp_path / "3.root.json", trusted_root(3).fingerprint)
    (tmp_path / "site" / "1.root.json").write_bytes(b"junk")
    assert Site.open(tmp_path / "site").root.version == 3
    (tmp_path / "site" / "3.root.json").unlink()
    with pytest.raises(TrustError, match=r"3\.root\.json: is missing"):
        Site.open(tmp_path / "site")


def test_what_is_kept_elsewhere_is_left_alone(far: Far) -> None:
    """A link in place of accepted/ is not followed, and in it nobody's own files are swept away."""
    elsewhere = far.folder / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "precious").touch()
    (far.site / "accepted").symlink_to(elsewhere)
    unchanged(far, TrustError, "accepted: is a link or a file", lambda: far.take(far.bundle))
    assert [path.name for path in elsewhere.iterdir()] == ["precious"]
    (far.site / "accepted").unlink()
    far.take(far.bundle)
    (far.site / "accepted" / "README").touch()
    (far.site / "accepted" / f"{'0' * 64}.json").touch()
    (far.site / "accepted" / f".{'0' * 64}.json.x1_y").touch()
    far.take(far.bundle)
    names = sorted(path.name for path in (far.site / "accepted").iterdir())
    assert len(names) == 2
    assert "README" in names


def test_a_copy_that_is_a_pipe_is_not_waited_for(far: Far) -> None:
    far.take(far.bundle)
    (kept,) = (far.site / "accepted").iterdir()
    kept.unlink()
    os.mkfifo(kept)
    assert Site.open(far.site).previous("edge", "stable") is None


def test_another_process_works_there(far: Far, monkeypatch: pytest.MonkeyPatch) -> None:
    demand = far.demand()
    trusted = demand.trust(far.bundle)
    with locked(far.site), pytest.raises(LockedError, match="another process works"), locked(far.site, patience=0.05):
        pytest.fail("two at once")
    waiting = threading.Event()
    with locked(far.site):
        thread = threading.Thread(target=lambda: (waiting.set(), demand.accepted(trusted)))
        thread.start()
        waiting.wait()
        assert read_state(far.site).marks == {}
    thread.join(20)
    assert read_state(far.site).marks


def test_many_at_once(far: Far) -> None:
    bundles = [far.of(f"b{n}", epoch=n) for n in range(8)]

    def take(bundle: Path) -> None:
        try:
            far.take(bundle)
        except PolicyError as problem:
            assert "rollback" in str(problem)  # noqa: PT017

    with ThreadPoolExecutor(8) as executor:
        list(executor.map(take, bundles))
    assert read_state(far.site).marks["edge", "stable"].epoch == 7


@pytest.mark.parametrize("call", ["replace", "fsync", "fchmod"])
@pytest.mark.parametrize("fail_at", range(1, 5))
def test_the_disk_fails(far: Far, monkeypatch: pytest.MonkeyPatch, call: str, fail_at: int) -> None:
    """The k-th call fails: the state is the old one, or wholly the new one where only its confirmation failed."""
    demand = far.demand()
    trusted = demand.trust(far.bundle)
    before, calls, real = far.state, iter(range(1, 100)), getattr(os, call)

    def failing(*args: Any, **named: Any) -> Any:
        if next(calls) == fail_at:
            raise OSError(5, "Input/output error")
        return real(*args, **named)

    monkeypatch.setattr(os, call, failing)
    try:
        demand.accepted(trusted)
        failed = False
    except DiskError:
        failed = True
    monkeypatch.undo()
    confirmed = call == "fsync" and fail_at == 4  # the directory's, after the rename
    if failed and not confirmed:
        assert far.state == before
    else:
        assert read_state(far.site).marks
    far.take(far.bundle)
    assert read_state(far.site).marks
    assert not [path for path in far.site.iterdir() if path.name.startswith(".")]


def test_who_only_looks_needs_no_right_to_write(far: Far, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: Any, **__: Any) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    demand = far.demand()
    trusted = demand.trust(far.bundle)
    monkeypatch.setattr(tempfile, "mkstemp", refused)
    before = far.state
    demand.saw(trusted)
    assert far.state == before
    unchanged(far, ReadOnlyError, "Read-only file system", lambda: demand.accepted(trusted))
    new = far.of("new", roots={2: signed_root(2)})
    unchanged(far, ReadOnlyError, r"2\.root\.json", lambda: far.demand().trust(new))


# Demands


def test_what_excludes_each_other(far: Far, tmp_path: Path) -> None:
    (tmp_path / "ann.pub").write_bytes(ANN.public.pem)
    keys = (tmp_path / "ann.pub",)
    cases: list[tuple[str, Callable[[], Demand]]] = [
        ("--key and --trust exclude", lambda: Demand.of(keys, 1, now=NOW, trust=far.site)),
        ("--trust and --unsafe-no-signature exclude", lambda: far.demand(unsafe=True)),
        ("--key and --unsafe-no-signature exclude", lambda: Demand.of(keys, 1, now=NOW, unsafe=True)),
        ("no --key and no --trust given", lambda: Demand.of((), 1, now=NOW)),
        ("--threshold and --trust exclude", lambda: Demand.of((), 2, now=NOW, trust=far.site)),
        ("--allow-rollback needs --trust", lambda: Demand.of(keys, 1, now=NOW, allow_rollback="so")),
    ]
    for message, go in cases:
        with pytest.raises(ConfigError, match=message):
            go()
    with pytest.raises(ConfigError, match="the reason must be"):
        far.demand(allow_rollback=" ")


def test_without_a_site_nothing_is_remembered(far: Far) -> None:
    demand = Demand((ANN.public,), 1, NOW)
    trusted = demand.trust(far.bundle)
    demand.accepted(trusted)
    demand.saw(trusted)
    assert demand.standing(trusted) is None


# Verify and push


@pytest.fixture
def executor() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(2) as made:
        yield made


def test_verify_looks_and_push_accepts(far: Far, executor: ThreadPoolExecutor) -> None:
    verify(far.bundle, far.demand(), executor=executor)
    assert read_state(far.site).marks == {}
    to = Route(f"oci:{far.folder / 'far'}")
    push(far.bundle, far.demand(), to, Access(), executor=executor)
    assert read_state(far.site).marks["edge", "stable"].serial == 1
    push(far.bundle, far.demand(), to, Access(), executor=executor)
    older = far.of("older", epoch=0, issued=ISSUED - timedelta(days=1))
    unchanged(far, PolicyError, "ALARM", lambda: push(older, far.demand(), to, Access(), executor=executor))


def test_a_push_that_fails_accepts_nothing(far: Far, executor: ThreadPoolExecutor) -> None:
    damaged = far.of("damaged")
    volume = damaged / "volume-0001.tar.zst"
    raw = bytearray(volume.read_bytes())
    raw[len(raw) // 2] ^= 1
    volume.unlink()
    volume.write_bytes(raw)
    to = Route(f"oci:{far.folder / 'far'}")
    before = far.state
    with pytest.raises(BundlerError):
        push(damaged, far.demand(), to, Access(), executor=executor)
    with pytest.raises(BundlerError):
        verify(damaged, far.demand(), executor=executor)
    assert far.state == before
    index = far.folder / "far" / "index.json"
    assert not index.exists() or json.loads(index.read_bytes())["manifests"] == []


def test_a_copy_of_the_payload_that_was_lost_only_costs_the_comparison(far: Far) -> None:
    far.take(far.bundle)
    (kept,) = (far.site / "accepted").iterdir()
    assert Site.open(far.site).previous("edge", "stable")
    kept.write_bytes(kept.read_bytes().replace(b'"serial": 1', b'"serial": 2'))
    assert Site.open(far.site).previous("edge", "stable") is None
    kept.unlink()
    assert Site.open(far.site).previous("edge", "stable") is None
    far.take(far.bundle)
    assert Site.open(far.site).previous("edge", "stable")


def test_archive_errors_stay_what_they_are(far: Far) -> None:
    broken = far.of("broken")
    (broken / "inventory.json").unlink()
    unchanged(far, ArchiveError, r"inventory\.json is missing", lambda: far.demand().trust(broken))
