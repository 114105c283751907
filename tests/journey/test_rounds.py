from __future__ import annotations

from pathlib import Path

import pytest

from bundler.errors import ConfigError, NotFoundError
from bundler.journey.keys import sign_bundle
from bundler.journey.rooting import Wanted, begin
from bundler.journey.rounds import signing_status
from tests.workshop import NOW, Workshop, contents, key

SIGNERS = ("release", "second", "third")


@pytest.fixture
def place(tmp_path: Path) -> Workshop:
    place = Workshop(tmp_path)
    place.build()
    for name in SIGNERS:
        (tmp_path / f"{name}.pub").write_bytes(key(name).public.pem)
    return place


def test_by_public_keys(place: Workshop) -> None:
    paths = [place.folder / "second.pub", place.folder / "release.pub"]
    found = signing_status(place.folder / "out", keys=paths, threshold=2)
    assert [(seat.name, seat.state) for seat in found.seats] == [("second.pub", "missing"), ("release.pub", "valid")]
    assert not found.complete
    sign_bundle(place.folder / "out", [key("second")])
    assert signing_status(place.folder / "out", keys=paths, threshold=2).complete


def test_by_a_trust_directory(place: Workshop) -> None:
    """Two of three, whose names and whose number the site knows."""
    site, boss = place.folder / "site", key("boss")
    wanted = Wanted(
        keys=tuple(key(name).public for name in SIGNERS),
        threshold=2,
        root_keys=(boss.public,),
        names={key(name).public.key_id: name for name in SIGNERS},
    )
    begin(site, wanted, signers=(boss,), now=NOW)
    before = contents(site)
    found = signing_status(place.folder / "out", trust=site)
    assert {seat.name: seat.state for seat in found.seats} == {
        "release": "valid",
        "second": "missing",
        "third": "missing",
    }
    assert (found.threshold, found.valid, found.complete) == (2, 1, False)
    sign_bundle(place.folder / "out", [key("third")], add=True)
    assert signing_status(place.folder / "out", trust=site).complete
    assert contents(site) == before, "a look changes nothing"


def test_nothing_or_too_much_says_who_the_signers_are(place: Workshop) -> None:
    public = place.folder / "release.pub"
    for keys, trust in (((), None), ((public,), place.folder)):
        with pytest.raises(ConfigError, match="whose signatures are wanted"):
            signing_status(place.folder / "out", keys=keys, trust=trust)
    with pytest.raises(ConfigError, match="has a threshold of its own"):
        signing_status(place.folder / "out", trust=place.folder, threshold=2)
    with pytest.raises(NotFoundError, match="no such bundle directory"):
        signing_status(place.folder / "absent", keys=[public])
