"""Making roots: first ones, next ones, and signatures in rounds."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from bundler.errors import BundlerError, ConfigError, NotFoundError, PolicyError, TrustError
from bundler.journey import rooting
from bundler.journey.rooting import Change, Made, Wanted
from bundler.journey.site_document import document
from bundler.journey.trusting import Site, read_state
from bundler.oci.digest import digest_of
from bundler.trust.signing import PrivateKey
from bundler.trust.state import STATE
from tests.trust.roots import ANN, BOB, BOSS, CAT, CHIEF, DAN, EVE, signed_root
from tests.workshop import contents

NOW = datetime(2030, 6, 1, tzinfo=UTC)
THREE = Wanted(
    keys=(ANN.public, BOB.public, CAT.public),
    threshold=2,
    root_keys=(BOSS.public,),
    names={ANN.public.key_id: "ann", BOSS.public.key_id: "boss"},
)
TWO_BOSSES = replace(THREE, root_keys=(BOSS.public, CHIEF.public), root_threshold=2)


def begin(site: Path, wanted: Wanted = THREE, *signers: PrivateKey) -> Made:
    return rooting.begin(site, wanted, signers=signers or (BOSS,), now=NOW)


def change(site: Path, wanted: Change, *signers: PrivateKey) -> Made:
    return rooting.change(site, wanted, signers=signers, now=NOW)


def names(site: Path) -> list[str]:
    return sorted(path.name for path in site.iterdir())


def test_a_first_root(tmp_path: Path) -> None:
    made = begin(tmp_path / "site")
    assert made.lacks == ()
    assert made.path == tmp_path / "site" / "1.root.json"
    assert names(tmp_path / "site") == ["1.root.json", STATE]
    root = Site.open(tmp_path / "site").root
    assert set(root.targets.keys) == set(THREE.keys)
    assert root.expires == NOW + timedelta(days=1825)
    assert made.document()["fingerprint"] == root.fingerprint


def test_a_directory_is_never_made_over(tmp_path: Path) -> None:
    begin(tmp_path / "site")
    before = (tmp_path / "site" / "1.root.json").read_bytes()
    with pytest.raises(ConfigError, match="is not empty"):
        begin(tmp_path / "site")
    root = Site.open(tmp_path / "site").root
    with pytest.raises(ConfigError, match="is not empty"):
        rooting.pin(tmp_path / "site", tmp_path / "site" / "1.root.json", root.fingerprint)
    assert (tmp_path / "site" / "1.root.json").read_bytes() == before


def test_signed_in_rounds_on_two_machines(tmp_path: Path) -> None:
    site, other = tmp_path / "site", tmp_path / "other"
    made = begin(site, TWO_BOSSES, BOSS)
    assert [(lack.version, lack.needed, lack.missing) for lack in made.lacks] == [(1, 1, (CHIEF.public.key_id,))]
    assert names(site) == ["1.root.json.part", STATE]
    with pytest.raises(NotFoundError, match="is no trust directory"):
        Site.open(site)
    other.mkdir()
    (other / "1.root.json.part").write_bytes((site / "1.root.json.part").read_bytes())
    assert rooting.sign(other, signers=(CHIEF,)).lacks == ()
    assert rooting.sign(site, signers=(), others=(other / "1.root.json",)).lacks == ()
    assert (site / "1.root.json").read_bytes() == (other / "1.root.json").read_bytes()
    assert names(site) == names(other) == ["1.root.json", STATE]


def test_two_machines_sign_at_once(tmp_path: Path) -> None:
    site, other = tmp_path / "site", tmp_path / "other"
    begin(site, replace(TWO_BOSSES, root_keys=(BOSS.public, CHIEF.public, DAN.public), root_threshold=3), BOSS)
    other.mkdir()
    (other / "1.root.json.part").write_bytes((site / "1.root.json.part").read_bytes())
    assert rooting.sign(site, signers=(DAN,)).lacks
    assert rooting.sign(other, signers=(CHIEF,)).lacks
    assert rooting.sign(site, signers=(), others=(other / "1.root.json.part",)).lacks == ()


def test_nothing_waits(tmp_path: Path) -> None:
    begin(tmp_path / "site")
    with pytest.raises(NotFoundError, match="no root waits for signatures"):
        rooting.sign(tmp_path / "site", signers=(BOSS,))


def test_adding_and_removing(tmp_path: Path) -> None:
    begin(tmp_path / "site")
    change(tmp_path / "site", Change(add=(DAN.public,), names={DAN.public.key_id: "dan"}), BOSS)
    root = Site.open(tmp_path / "site").root
    assert (root.version, len(root.targets.keys), root.targets.threshold) == (2, 4, 2)
    assert root.names[DAN.public.key_id] == "dan"
    assert root.names[ANN.public.key_id] == "ann"
    change(tmp_path / "site", Change(remove=(ANN.public.short_id, BOB.public.key_id), threshold=1), BOSS)
    root = Site.open(tmp_path / "site").root
    assert (root.version, set(root.targets.keys)) == (3, {CAT.public, DAN.public})
    assert ANN.public.key_id not in root.metadata.signed.keys


def test_channels(tmp_path: Path) -> None:
    begin(tmp_path / "site")
    change(tmp_path / "site", Change(channel="beta", add=(DAN.public,)), BOSS)
    root = Site.open(tmp_path / "site").root
    assert root.role_for("beta").keys == (DAN.public,)
    assert len(root.targets.keys) == 3
    change(tmp_path / "site", Change(channel="beta", remove=(DAN.public.key_id,)), BOSS)
    assert Site.open(tmp_path / "site").root.channels == {}


def test_new_root_keys_need_both_sides(tmp_path: Path) -> None:
    site = tmp_path / "site"
    begin(site)
    made = change(site, Change(root_keys=(CHIEF.public,)), BOSS)
    assert [(lack.version, lack.missing) for lack in made.lacks] == [(2, (CHIEF.public.key_id,))]
    assert Site.open(site).root.version == 1
    assert rooting.sign(site, signers=(CHIEF,)).lacks == ()
    assert Site.open(site).root.root.keys == (CHIEF.public,)
    made = change(site, Change(threshold=1), CHIEF)
    assert made.root.version == 3
    with pytest.raises(ConfigError, match="is no root key"):
        change(site, Change(threshold=1), BOSS)


def test_a_change_to_a_root_that_waits_drops_its_signatures(tmp_path: Path) -> None:
    site = tmp_path / "site"
    begin(site, TWO_BOSSES, BOSS, CHIEF)
    assert not change(site, Change(add=(DAN.public,)), BOSS).dropped
    made = change(site, Change(add=(EVE.public,)), CHIEF)
    assert made.dropped
    assert [lack.missing for lack in made.lacks] == [(BOSS.public.key_id,)] * 2
    assert set(made.root.targets.keys) == {k.public for k in (ANN, BOB, CAT, DAN, EVE)}
    assert rooting.sign(site, signers=(BOSS,)).root.version == 2


def test_denials_add_up(tmp_path: Path) -> None:
    site = tmp_path / "site"
    begin(site)
    one, two = digest_of(b"one"), digest_of(b"two")
    change(site, Change(deny_keys=(ANN.public.short_id,), deny_statements=(one,)), BOSS)
    change(site, Change(deny_keys=("f" * 64,), deny_statements=(two,)), BOSS)
    root = Site.open(site).root
    assert root.denied_keys == {ANN.public.key_id, "f" * 64}
    assert root.denied_statements == {one, two}


def test_a_denied_key_leaves_every_role(tmp_path: Path) -> None:
    site = tmp_path / "site"
    begin(site, replace(TWO_BOSSES, root_keys=(BOSS.public, CHIEF.public), root_threshold=1))
    change(site, Change(channel="beta", add=(ANN.public, DAN.public)), BOSS)
    change(site, Change(deny_keys=(ANN.public.key_id, BOSS.public.key_id)), BOSS, CHIEF)
    root = Site.open(site).root
    assert set(root.targets.keys) == {BOB.public, CAT.public}
    assert root.channels["beta"].keys == (DAN.public,)
    assert root.root.keys == (CHIEF.public,)
    with pytest.raises(ConfigError, match=f"key {BOSS.public.key_id} is denied"):
        change(site, Change(threshold=1), BOSS)
    for wanted in (Change(add=(ANN.public,)), Change(keys=(ANN.public,)), Change(root_keys=(BOSS.public,))):
        with pytest.raises(ConfigError, match="is denied, and never counts") as caught:
            change(site, wanted, CHIEF)
        assert caught.value.hint
    assert Site.open(site).root.version == 3


DENIED_TOO_MANY: dict[str, tuple[Change, str]] = {
    "signers": (Change(deny_keys=(ANN.public.key_id, BOB.public.key_id)), "role targets: a threshold of 2 with 1 key"),
    "root-keys": (Change(deny_keys=(BOSS.public.key_id,)), "role root: no key is left"),
    "a-channel's": (Change(deny_keys=(DAN.public.key_id,)), "role beta: no key is left"),
}


@pytest.mark.parametrize(("wanted", "message"), DENIED_TOO_MANY.values(), ids=DENIED_TOO_MANY)
def test_a_denial_does_not_leave_too_few(tmp_path: Path, wanted: Change, message: str) -> None:
    """Nothing could be signed any more; and a channel's bundles would be everybody's."""
    site = tmp_path / "site"
    begin(site)
    change(site, Change(channel="beta", add=(DAN.public,)), BOSS)
    with pytest.raises(ConfigError, match=message) as caught:
        change(site, wanted, BOSS)
    assert caught.value.hint
    assert Site.open(site).root.version == 2


WRONG: dict[str, tuple[Change, str]] = {
    "channel-no-name": (Change(channel="be ta", add=(DAN.public,)), "--channel 'be ta' may hold only letters"),
    "threshold-0": (Change(threshold=0), "a threshold of 0 with 3 keys"),
    "threshold--1": (Change(threshold=-1), "a threshold of -1"),
    "threshold-above-n": (Change(threshold=4), "a threshold of 4 with 3 keys"),
    "root-threshold-above-n": (Change(root_threshold=2), "role root: a threshold of 2 with 1 key$"),
    "nobody-left": (Change(keys=()), "role targets: no key is left or given"),
    "removed-too-many": (Change(remove=(ANN.public.key_id, BOB.public.key_id)), "a threshold of 2 with 1 key$"),
    "remove-a-stranger": (Change(remove=(EVE.public.key_id,)), "is no key of this root"),
    "remove-by-a-short-start": (Change(remove=(ANN.public.key_id[:15],)), "is no key of this root"),
    "deny-no-id": (Change(deny_keys=("ann",)), "is no key of this root"),
    "deny-no-digest": (Change(deny_statements=("latest",)), "must be a SHA-256"),
    "deny-another-digest": (Change(deny_statements=(f"sha512:{'0' * 128}",)), "must be a SHA-256"),
    "key-twice": (Change(keys=(ANN.public, ANN.public)), "a threshold of 2 with 1 key$"),
}


@pytest.mark.parametrize(("wanted", "message"), WRONG.values(), ids=WRONG)
def test_wrong_changes(tmp_path: Path, wanted: Change, message: str) -> None:
    site = tmp_path / "site"
    begin(site)
    before = names(site)
    with pytest.raises(ConfigError, match=message):
        change(site, wanted, BOSS)
    assert names(site) == before


# Pinning


def written(folder: Path, raw: bytes) -> Path:
    path = folder / "pinned.json"
    path.write_bytes(raw)
    return path


def test_pinned_again(tmp_path: Path) -> None:
    """After a run that was killed, the same command does it; over anything else it does not."""
    made = begin(tmp_path / "near")
    far = tmp_path / "far"
    for _ in range(2):
        rooting.pin(far, made.path, made.root.fingerprint)
    other = written(tmp_path, signed_root(threshold=1))
    with pytest.raises(ConfigError, match="is not empty") as caught:
        rooting.pin(far, other, digest_of(other.read_bytes()).removeprefix("sha256:"))
    assert "trust show" in caught.value.hint
    state = far / STATE
    state.write_bytes(state.read_bytes().replace(b'"overrides"', b'"clockFloor": "2030-01-01T00:00:00Z", "overrides"'))
    before = contents(far)
    with pytest.raises(ConfigError, match="is not empty"):
        rooting.pin(far, made.path, made.root.fingerprint)
    assert contents(far) == before


def test_somebody_else_s_files_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / STATE).write_bytes(b"{}")  # another program's
    (tmp_path / ".state.json.x1").touch()
    before = contents(tmp_path)
    with pytest.raises(ConfigError, match="is not empty"):
        begin(tmp_path)
    assert contents(tmp_path) == before


def test_a_directory_is_made_so_that_it_is_believed(tmp_path: Path) -> None:
    old = os.umask(0)
    try:
        begin(tmp_path / "deep" / "site")
    finally:
        os.umask(old)
    assert Site.open(tmp_path / "deep" / "site").root.version == 1


def test_pinned(tmp_path: Path) -> None:
    made = begin(tmp_path / "near")
    spoken = made.root.fingerprint.upper()
    for n, text in enumerate(
        [made.root.fingerprint, f"sha256:{made.root.fingerprint}", f"{spoken[:32]} {spoken[32:]}\n"]
    ):
        rooting.pin(tmp_path / f"far{n}", made.path, text)
        assert (tmp_path / f"far{n}" / "1.root.json").read_bytes() == made.path.read_bytes()
        assert read_state(tmp_path / f"far{n}").pinned == (1, made.root.fingerprint)


def test_any_root_can_be_pinned(tmp_path: Path) -> None:
    raw = signed_root(5)
    root = rooting.pin(tmp_path / "far", written(tmp_path, raw), digest_of(raw).removeprefix("sha256:"))
    assert root.version == 5
    assert names(tmp_path / "far") == ["5.root.json", STATE]


NOT_PINNED: dict[str, tuple[bytes, Callable[[str], str], type[BundlerError], str]] = {
    "another-fingerprint": (signed_root(), lambda _: "0" * 64, TrustError, "is not the root that you were told of"),
    "short-fingerprint": (signed_root(), lambda f: f[:16], ConfigError, "must be a SHA-256"),
    "no-fingerprint": (signed_root(), lambda _: "", ConfigError, "must be a SHA-256"),
    "unsigned": (signed_root(by=()), lambda f: f, TrustError, "signed by 0 of its own root keys"),
    "signed-by-others": (signed_root(by=(EVE,)), lambda f: f, TrustError, "signed by 0"),
    "no-root": (b"{}", lambda f: f, TrustError, "signed: must be an object"),
}


@pytest.mark.parametrize(("raw", "told", "error", "message"), NOT_PINNED.values(), ids=NOT_PINNED)
def test_not_pinned(
    tmp_path: Path, raw: bytes, told: Callable[[str], str], error: type[BundlerError], message: str
) -> None:
    with pytest.raises(error, match=message):
        rooting.pin(tmp_path / "far", written(tmp_path, raw), told(digest_of(raw).removeprefix("sha256:")))
    assert not (tmp_path / "far").exists()


# Showing and travelling


def test_shown(tmp_path: Path) -> None:
    site = tmp_path / "site"
    begin(site)
    change(site, Change(channel="beta", add=(DAN.public,)), BOSS)
    change(site, Change(root_keys=(CHIEF.public,)), BOSS)
    shown = rooting.show(site)
    assert [root.version for root in shown.roots] == [1, 2]
    assert shown.waiting is not None
    said: dict[str, Any] = json.loads(json.dumps(document(shown)))
    assert said["root"]["targets"]["threshold"] == 2
    assert {key["name"] for key in said["root"]["targets"]["keys"]} == {"ann", ""}
    assert list(said["root"]["channels"]) == ["beta"]
    assert said["waiting"]["lacks"] == [{"root": 3, "needed": 1, "keys": [CHIEF.public.key_id]}]
    assert [key["id"] for key in said["waiting"]["root"]["root"]["keys"]] == [CHIEF.public.key_id]
    assert said["state"] == {"clockFloor": None, "pinned": None, "lines": [], "overrides": []}
    assert list(rooting.travelling(site, now=NOW)) == ["1.root.json", "2.root.json"]


def test_a_first_root_that_waits_is_shown_and_does_not_travel(tmp_path: Path) -> None:
    begin(tmp_path / "site", TWO_BOSSES, BOSS)
    shown = rooting.show(tmp_path / "site")
    assert shown.roots == ()
    assert document(shown)["root"] is None
    with pytest.raises(TrustError, match="still waits for signatures"):
        rooting.travelling(tmp_path / "site", now=NOW)


def test_an_expired_root_does_not_travel(tmp_path: Path) -> None:
    """No site would take the bundle: better here than after the journey."""
    begin(tmp_path / "site", replace(THREE, valid_for=1))
    with pytest.raises(PolicyError, match=r"1\.root\.json: expired") as caught:
        rooting.travelling(tmp_path / "site", now=NOW + timedelta(days=1))
    assert "trust rotate" in caught.value.hint
    change(tmp_path / "site", Change(), BOSS)
    assert list(rooting.travelling(tmp_path / "site", now=NOW + timedelta(days=1))) == ["1.root.json", "2.root.json"]


def test_nothing_to_show(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="is no trust directory"):
        rooting.show(tmp_path)


def test_a_chain_with_a_hole_is_shown_as_broken(tmp_path: Path) -> None:
    site = tmp_path / "site"
    begin(site)
    change(site, Change(threshold=1), BOSS)
    change(site, Change(threshold=2), BOSS)
    (site / "2.root.json").unlink()
    with pytest.raises(TrustError, match=r"3\.root\.json: root 2 is missing"):
        rooting.show(site)


@pytest.mark.parametrize("raw", [b"", b"{}", signed_root(7)], ids=["empty", "no-root", "another-version"])
def test_a_damaged_root_that_waits(tmp_path: Path, raw: bytes) -> None:
    site = tmp_path / "site"
    begin(site)
    (site / "2.root.json.part").write_bytes(raw)
    for go in (lambda: rooting.show(site), lambda: rooting.sign(site, signers=(BOSS,)), lambda: change(site, Change())):
        with pytest.raises(TrustError, match=r"2\.root\.json\.part"):
            go()


def test_a_root_that_waits_and_is_no_file(tmp_path: Path) -> None:
    site = tmp_path / "site"
    begin(site)
    os.mkfifo(site / "2.root.json.part")
    for go in (lambda: rooting.show(site), lambda: rooting.sign(site, signers=(BOSS,)), lambda: change(site, Change())):
        with pytest.raises(TrustError, match=r"2\.root\.json\.part: is a link or a special file"):
            go()


def test_signing_a_root_does_not_make_a_state_that_was_lost(tmp_path: Path) -> None:
    """On a machine for signing only, nothing of the site need be known; at a site, what is gone stays missed."""
    site = tmp_path / "site"
    begin(site)
    change(site, Change(root_keys=(CHIEF.public,)), BOSS)
    (site / STATE).unlink()
    assert rooting.sign(site, signers=(CHIEF,)).lacks == ()
    with pytest.raises(TrustError, match=r"state\.json: is missing"):
        Site.open(site)


NAMES: dict[str, tuple[str, str]] = {
    "long": ("a" * 150, "a" * 100),
    "newline": ("a\nb", ""),
    "escape": ("a\x1b[2J", ""),
    "no-utf-8": (os.fsdecode(b"a\xff"), ""),
}


@pytest.mark.parametrize(("stem", "name"), NAMES.values(), ids=NAMES)
def test_names_that_a_root_can_not_hold(stem: str, name: str) -> None:
    assert rooting.name_of(Path(f"{stem}.pub")) == name


def test_names_come_from_files(tmp_path: Path) -> None:
    (tmp_path / "ann.smith.pub").write_bytes(ANN.public.pem)
    keys, named = rooting.named_keys([tmp_path / "ann.smith.pub"])
    assert keys == (ANN.public,)
    assert named == {ANN.public.key_id: "ann.smith"}
