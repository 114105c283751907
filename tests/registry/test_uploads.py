"""Upload sessions: how many, how long, and whose."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from bundler.errors import DigestError, LockedError
from bundler.oci.digest import digest_of
from bundler.registry import uploads
from bundler.registry.failure import Failure
from bundler.registry.uploads import Uploads
from bundler.store import Store


def test_sessions_that_stand_still(store: Store) -> None:
    """Sessions that stood still are dropped when the next one begins."""
    sessions = Uploads(store, idle=-1.0)
    first = sessions.begin("app", "ann")
    second = sessions.begin("app", "ann")
    assert sessions.find("app", "ann", second.id) is second
    with pytest.raises(Exception, match="no such upload"):
        sessions.find("app", "ann", first.id)
    sessions.close()


def test_whose(store: Store) -> None:
    sessions = Uploads(store)
    upload = sessions.begin("app", "ann")
    assert sessions.find("app", "ann", upload.id) is upload
    for repository, visitor, session in (("app", "bob", upload.id), ("b", "ann", upload.id), ("app", "ann", "0" * 32)):
        with pytest.raises(Failure) as caught:
            sessions.find(repository, visitor, session)
        assert (caught.value.status, caught.value.code) == (404, "BLOB_UPLOAD_UNKNOWN")
    sessions.close()
    assert len(sessions) == 0


def test_what_is_being_begun_counts_too(store: Store) -> None:
    """Many that wait for the store are no way around the cap; and they leave nothing behind if they fail."""
    sessions = Uploads(store, most=2)
    refused: list[int] = []

    def begin() -> None:
        try:
            sessions.begin("app", "ann")
        except Failure as failure:
            refused.append(failure.status)

    with store.exclusive("store gc"):
        threads = [threading.Thread(target=begin) for _ in range(5)]
        for thread in threads:
            thread.start()
        until = time.monotonic() + 5
        while len(refused) < 3 and time.monotonic() < until:
            time.sleep(0.01)
    for thread in threads:
        thread.join()
    assert (refused, len(sessions)) == ([429] * 3, 2)
    sessions.close()


def test_beginning_that_fails_leaves_room(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads, "PATIENCE_SECONDS", 0.01)
    sessions = Uploads(store, most=1)
    for _ in range(3):
        with store.exclusive("store gc"), pytest.raises(LockedError, match="store gc"):
            sessions.begin("app", "ann")
    sessions.begin("app", "ann")
    sessions.close()
    assert list((Path(store.path) / ".bundler/tmp").iterdir()) == []


@pytest.mark.parametrize("started", ["sha256", "sha512"])
@pytest.mark.parametrize("ended", ["sha256", "sha512"])
def test_digests(store: Store, started: str, ended: str) -> None:
    sessions = Uploads(store)
    upload = sessions.begin("app", "ann", algorithm=started)
    upload.write([b"a" * 1000, b"b"])
    upload.check(digest_of(b"a" * 1000 + b"b", ended))
    with pytest.raises(DigestError, match="1001 bytes received"):
        upload.check(digest_of(b"other", ended))
    sessions.close()
