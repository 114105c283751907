"""What changed between two bundles, locks or receipts."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from bundler.errors import BundlerError, ConfigError, SignatureError, UnsupportedError
from bundler.journey.compare import Change, compare
from tests.images import write_layout
from tests.workshop import API, IMAGES, MULTI, NOW, WEB, Workshop, write_manifest


@pytest.fixture
def place(tmp_path: Path) -> Workshop:
    """Bundles ``one`` and ``two`` with locks and receipts of the same names."""
    place = Workshop(tmp_path, "  - oci:upstream:reg.io/team/web:1.0\n  - oci:upstream:reg.io/team/api:2.0\n")
    for name in ("one", "two"):
        place.build(name)
        (tmp_path / f"{name}.lock.json").write_bytes(place.lock_path.read_bytes())
        receipt = place.push(f"oci:{tmp_path / 'far'}", name).receipt
        (tmp_path / f"{name}.json").write_bytes(receipt.serialised())
        write_layout(place.upstream, {**IMAGES, "reg.io/team/web:1.0": MULTI})
        write_manifest(tmp_path, "  - oci:upstream:reg.io/team/web:1.0\n  - oci:upstream:reg.io/team/multi:3.0\n")
        place.lock(NOW, update=["*"])
    return place


EXPECTED = [
    Change("oci:upstream:reg.io/team/api:2.0", API.root.digest, ""),
    Change("oci:upstream:reg.io/team/multi:3.0", "", MULTI.root.digest),
    Change("oci:upstream:reg.io/team/web:1.0", WEB.root.digest, MULTI.root.digest),
]


@pytest.mark.parametrize("old", ["one", "one.lock.json", "one.json"])
@pytest.mark.parametrize("new", ["two", "two.lock.json", "two.json"])
def test_every_kind_with_every_other(place: Workshop, old: str, new: str) -> None:
    found = compare(place.folder / old, place.folder / new)
    assert [replace(change, platforms=None) for change in found] == EXPECTED
    told = (old, new) == ("one", "two")  # only bundles say it in one way
    assert found[-1].platforms == ((("linux/amd64",), ("linux/amd64", "linux/arm64")) if told else None)
    assert compare(place.folder / old, place.folder / old) == []
    assert [change.kind for change in EXPECTED] == ["gone", "new", "changed"]


def test_rows_and_json() -> None:
    gone, new, changed = EXPECTED
    assert gone.row() == ("gone", gone.name, API.root.digest[:19], "-", "")
    assert new.row() == ("new", new.name, "-", MULTI.root.digest[:19], "")
    assert changed.document() == {
        "change": "changed",
        "name": changed.name,
        "was": WEB.root.digest,
        "now": MULTI.root.digest,
        "platforms": None,
        "attachments": None,
    }
    assert gone.document()["now"] is None


def test_a_name_of_several_contents_in_every_kind(tmp_path: Path) -> None:
    """One name under two targets: neither hides the other."""
    twice = "  - {{image: 'oci:upstream:reg.io/team/multi:3.0', platforms: [linux/{}], as: team/{}}}\n"
    place = Workshop(tmp_path, twice.format("amd64", "one") + twice.format("arm64", "two"))
    place.build("one")
    (tmp_path / "one.lock.json").write_bytes(place.lock_path.read_bytes())
    (tmp_path / "one.json").write_bytes(place.push(f"oci:{tmp_path / 'far'}", "one").receipt.serialised())
    for kind in ("one", "one.lock.json", "one.json"):
        (tmp_path / "none.json").write_text(
            json.dumps({**json.loads((tmp_path / "one.json").read_text()), "images": []})
        )
        assert len(compare(tmp_path / "none.json", tmp_path / kind)) == 2


@pytest.mark.parametrize(
    ("content", "error", "said"),
    [
        pytest.param('{"kind": "Pod\\u001b"}', ConfigError, r"is a 'Pod.*x1b', not a bundle", id="something-else"),
        pytest.param("{}", ConfigError, "kind is missing", id="nothing"),
        pytest.param("kind: Lock", ConfigError, "not JSON", id="no-json"),
        pytest.param('{"kind": "Lock"}', (ConfigError, UnsupportedError), "apiVersion", id="half-a-lock"),
        pytest.param('{"kind": "Receipt"}', ConfigError, "apiVersion is missing", id="half-a-receipt"),
    ],
)
def test_files_that_are_neither(tmp_path: Path, content: str, error: type[BundlerError], said: str) -> None:
    (tmp_path / "f").write_text(content)
    with pytest.raises(error, match=said):
        compare(tmp_path / "f", tmp_path / "f")


def test_paths_that_lead_nowhere(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="does not exist"):
        compare(tmp_path / "absent", tmp_path)
    with pytest.raises(SignatureError, match="unfinished"):
        compare(tmp_path, tmp_path)
