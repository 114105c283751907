"""TUF's own client as the judge of our roots: it walks the chain that we made, and stops where we stop."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tuf.api.exceptions import DownloadError, DownloadHTTPError, RepositoryError
from tuf.ngclient import FetcherInterface, Updater

from bundler.errors import TrustError
from bundler.journey import rooting
from bundler.journey.rooting import Change, Wanted
from bundler.trust.root import pinned, walk
from tests.trust.roots import ANN, BOB, BOSS, CHIEF, DAN, EVE, signed_root

NOW = datetime.now(UTC)


class Shelf(FetcherInterface):
    """A repository that holds these files and no other."""

    def __init__(self, files: Mapping[str, bytes]) -> None:
        self._files = files

    def _fetch(self, url: str) -> Iterator[bytes]:
        name = url.rpartition("/")[2]
        if name not in self._files:
            raise DownloadHTTPError("not found", 404)
        yield self._files[name]


def walked(folder: Path, first: bytes, files: Mapping[str, bytes]) -> bytes:
    """The root that the client trusts in the end; there is nothing behind the roots, which it is told last."""
    updater = Updater(str(folder), "http://shelf/", fetcher=Shelf(files), bootstrap=first)
    with pytest.raises(DownloadError):
        updater.refresh()
    return (folder / "root.json").read_bytes()


def test_it_walks_what_we_made(tmp_path: Path) -> None:
    site = tmp_path / "site"
    wanted = Wanted(
        keys=(ANN.public, BOB.public, DAN.public),
        threshold=2,
        root_keys=(BOSS.public,),
        names={ANN.public.key_id: "änn"},
    )
    rooting.begin(site, wanted, signers=(BOSS,), now=NOW)
    rooting.change(site, Change(channel="beta", add=(DAN.public,)), signers=(BOSS,), now=NOW)
    more = Change(root_keys=(CHIEF.public, EVE.public), root_threshold=2, deny_keys=(ANN.public.key_id,))
    rooting.change(site, more, signers=(BOSS, CHIEF, EVE), now=NOW)
    files = rooting.travelling(site, now=NOW)
    assert list(files) == ["1.root.json", "2.root.json", "3.root.json"]
    assert walked(tmp_path / "client", files["1.root.json"], files) == files["3.root.json"]


def test_it_counts_no_root_key_that_we_denied(tmp_path: Path) -> None:
    site = tmp_path / "site"
    wanted = Wanted(keys=(ANN.public,), threshold=1, root_keys=(BOSS.public, CHIEF.public))
    rooting.begin(site, wanted, signers=(BOSS,), now=NOW)
    rooting.change(site, Change(deny_keys=(BOSS.public.key_id,)), signers=(BOSS, CHIEF), now=NOW)
    files = rooting.travelling(site, now=NOW)
    stolen = signed_root(3, root=(BOSS, CHIEF), by=(BOSS,))
    updater = Updater(
        str(tmp_path / "client"),
        "http://shelf/",
        fetcher=Shelf({"2.root.json": files["2.root.json"], "3.root.json": stolen}),
        bootstrap=files["1.root.json"],
    )
    with pytest.raises(RepositoryError, match=r"root was signed by 0/1 keys"):
        updater.refresh()


REFUSED = {
    "self-made": signed_root(2, root=(EVE,)),
    "not-by-its-own": signed_root(2, root=(CHIEF,), by=(BOSS,)),
    "version-again": signed_root(1),
    "version-skipped": signed_root(3),
    "unsigned": signed_root(2, by=()),
}


@pytest.mark.parametrize("raw", REFUSED.values(), ids=REFUSED)
def test_it_refuses_what_we_refuse(tmp_path: Path, raw: bytes) -> None:
    first = signed_root()
    updater = Updater(str(tmp_path), "http://shelf/", fetcher=Shelf({"2.root.json": raw}), bootstrap=first)
    with pytest.raises(RepositoryError):
        updater.refresh()
    with pytest.raises(TrustError):
        list(walk(pinned(first, what="1.root.json"), {2: raw}))
    assert (tmp_path / "root.json").read_bytes() == first
