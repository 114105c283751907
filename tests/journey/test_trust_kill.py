"""A site's state under kill -9: at whichever system call it comes, the state is wholly old or wholly new."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from bundler.journey.demand import Demand
from bundler.journey.rooting import pin
from bundler.journey.trusting import Site, read_state
from bundler.trust.state import STATE
from tests.trust.roots import ANN, CAT, signed_root, trusted_root
from tests.workshop import Workshop

NOW = datetime(2030, 6, 1, tzinfo=UTC)
CALLS = ("open", "write", "fsync", "fchmod", "replace", "unlink", "mkdir", "listdir")
CHILD = """
import io, os, signal, sys, tempfile
from datetime import UTC, datetime
from pathlib import Path
from bundler.journey.demand import Demand

site, bundle, what, fatal = sys.argv[1:]
count = 0

def deadly(real):
    def call(*args, **named):
        global count
        count += 1
        if count == int(fatal):
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*args, **named)
    return call

def arm():
    for name in os.environ["CALLS"].split():
        setattr(os, name, deadly(getattr(os, name)))

demand = Demand.of((), 1, now=datetime(2030, 6, 1, tzinfo=UTC), trust=Path(site))
if what == "walk":
    arm()
    demand.trust(Path(bundle))
else:
    trusted = demand.trust(Path(bundle))
    arm()
    demand.accepted(trusted)
print(count)
"""


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = Workshop(tmp_path_factory.mktemp("near"))
    place.pull(now=NOW)
    directory = place.pack("out", ANN, CAT).directory
    (directory / "2.root.json").write_bytes(signed_root(2))
    return directory


def made(folder: Path) -> Path:
    root = trusted_root()
    folder.mkdir()
    (folder / "1.root.json").write_bytes(root.raw)
    pin(folder / "site", folder / "1.root.json", root.fingerprint)
    return folder / "site"


def child(site: Path, bundle: Path, what: str, fatal: int) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", CHILD, str(site), str(bundle), what, str(fatal)],
        env={**os.environ, "CALLS": " ".join(CALLS)},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.slow
def test_accepting(bundle: Path, tmp_path: Path) -> None:
    done = child(made(tmp_path / "whole"), bundle, "accept", 0)
    calls = int(done.stdout)
    assert calls > 8, done.stderr
    seen = set()
    for fatal in range(1, calls + 1):
        site = made(tmp_path / str(fatal))
        Demand.of((), 1, now=NOW, trust=site).trust(bundle)
        before = (site / STATE).read_bytes()
        assert child(site, bundle, "accept", fatal).returncode == -signal.SIGKILL
        new = (site / STATE).read_bytes() != before
        seen.add(new)
        state = read_state(site)
        assert set(state.marks) == ({("edge", "stable")} if new else set())
        if new:  # what the report compares with is there as soon as the state names it
            assert Site.open(site).previous("edge", "stable")
        again = Demand.of((), 1, now=NOW, trust=site)
        again.accepted(again.trust(bundle))
        assert read_state(site).marks
        assert sorted(path.name for path in site.iterdir()) == ["1.root.json", "2.root.json", "accepted", STATE]
        assert len(list((site / "accepted").iterdir())) == 1
    assert seen == {False, True}


@pytest.mark.slow
def test_walking(bundle: Path, tmp_path: Path) -> None:
    calls = int(child(made(tmp_path / "whole"), bundle, "walk", 0).stdout)
    versions = set()
    for fatal in range(1, calls + 1):
        site = made(tmp_path / str(fatal))
        before = (site / STATE).read_bytes()
        assert child(site, bundle, "walk", fatal).returncode == -signal.SIGKILL
        assert (site / STATE).read_bytes() == before
        versions.add(Site.open(site).root.version)
        assert Demand.of((), 1, now=NOW, trust=site).trust(bundle)
        assert Site.open(site).root.version == 2
    assert versions == {1, 2}
