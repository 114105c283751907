"""Opening what is served: a store, bundles, or both, in the right order."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from bundler.errors import ArchiveError, ConfigError, LockedError, NotFoundError
from bundler.registry.arrivals import NAME
from bundler.registry.opening import opened
from bundler.store import Store
from tests.bundle.making import BUNDLE_TIME, Made, make, trusted
from tests.images import image, layer, load
from tests.registry.bundles import volume

OLD, NEW, OWN = image(layer("old", 100)), image(layer("new", 100)), image(layer("own", 100))


def bundle(folder: Path, serial: int, *, hours: int = 0) -> Made:
    what = NEW if serial > 1 else OLD
    issued = BUNDLE_TIME + timedelta(hours=hours)
    return make(folder, {"app:1": what, f"app:b{serial}": what}, serial=serial, issued=issued)


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("hours", [0, 1], ids=["by-serial", "by-time"])
def test_the_newest_bundle_first(tmp_path: Path, turned: bool, hours: int) -> None:
    made = [bundle(tmp_path / "old", 1), bundle(tmp_path / "new", 2, hours=hours)]
    pairs = [(each.directory, trusted(each.directory)) for each in (made[::-1] if turned else made)]
    with opened(bundles=pairs) as (contents, writable):
        assert writable is None
        assert [layer.origin.label for layer in contents.layers] == [str(tmp_path / "new"), str(tmp_path / "old")]
        found = contents.manifest("app", "1")
        assert found is not None
        assert found.raw == NEW.raw
        assert (found.origin.name, found.origin.channel, found.origin.serial) == ("edge", "stable", 2)
        assert (found.origin.signed, found.origin.signers) == (False, ())
        assert found.origin.issued == BUNDLE_TIME + timedelta(hours=hours)
        assert contents.tags("app") == ["1", "b1", "b2"]


def test_the_store_before_all(tmp_path: Path) -> None:
    made = bundle(tmp_path / "new", 2)
    with Store.open(tmp_path / "store", create=True) as store:
        load(store, {"app:1": OWN})
    with opened(tmp_path / "store", bundles=[(made.directory, trusted(made.directory))]) as (contents, writable):
        assert writable is contents.layers[0]
        found = contents.manifest("app", "1")
        assert found is not None
        assert (found.raw, found.origin.label) == (OWN.raw, str(tmp_path / "store"))
        assert (tmp_path / "store/.bundler" / NAME).exists()


def test_a_store_is_made(tmp_path: Path) -> None:
    with opened(tmp_path / "store") as (contents, writable):
        assert writable is not None
        assert contents.repositories() == []
    assert (tmp_path / "store/oci-layout").exists()


def test_not_to_be_read_only(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError), opened(tmp_path / "store", read_only=True):
        pass
    assert not (tmp_path / "store").exists()
    Store.open(tmp_path / "store", create=True)
    with opened(tmp_path / "store", read_only=True) as (_, writable):
        assert writable is None
        assert not (tmp_path / "store/.bundler" / NAME).exists()


def test_a_store_that_somebody_holds(tmp_path: Path) -> None:
    store = Store.open(tmp_path / "store", create=True)
    with (
        store.exclusive("store check --repair"),
        pytest.raises(LockedError, match="store check --repair"),
        opened(tmp_path / "store"),
    ):
        pass


def test_what_is_no_store(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(ConfigError), opened(tmp_path):
        pass


def test_a_bundle_without_a_volume(tmp_path: Path) -> None:
    made = bundle(tmp_path / "new", 2)
    documents = trusted(made.directory)
    volume(made).unlink()
    with pytest.raises(ArchiveError, match="volume 1 of 1 is missing"), opened(bundles=[(made.directory, documents)]):
        pass


def test_nothing_at_all() -> None:
    with opened() as (contents, writable):
        assert (contents.layers, writable, contents.repositories()) == ((), None, [])
