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
from bundler.journey.rooting import Change, Wanted, begin, change, pin, sign
from bundler.journey.trusting import Site, read_state
from bundler.trust.state import STATE
from tests.trust.roots import ANN, BOSS, CAT, CHIEF, signed_root, trusted_root
from tests.workshop import Workshop, contents

NOW = datetime(2030, 6, 1, tzinfo=UTC)
CALLS = ("open", "write", "fsync", "fchmod", "replace", "unlink", "mkdir", "listdir")
CHILD = """
import io, os, signal, sys, tempfile
from datetime import UTC, datetime
from pathlib import Path
from bundler.journey import rooting
from bundler.journey.demand import Demand
from bundler.trust.signing import private_key_of

site, bundle, what, fatal = sys.argv[1:]
now = datetime(2030, 6, 1, tzinfo=UTC)
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

if what in ("walk", "accept"):
    demand = Demand.of((), 1, now=now, trust=Path(site))
    if what == "walk":
        arm()
        demand.trust(Path(bundle))
    else:
        trusted = demand.trust(Path(bundle))
        arm()
        demand.accepted(trusted)
elif what == "pin":
    fingerprint = Path(bundle).with_suffix(".sha256").read_text()
    arm()
    rooting.pin(Path(site), Path(bundle), fingerprint)
else:
    key = private_key_of(Path(bundle).read_bytes(), what="key")
    wanted = rooting.Wanted(keys=(key.public,), threshold=1, root_keys=(key.public,))
    arm()
    if what == "begin":
        rooting.begin(Path(site), wanted, signers=(key,), now=now)
    else:
        rooting.sign(Path(site), signers=(key,))
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


@pytest.mark.slow
def test_pinning(tmp_path: Path) -> None:
    """Given again, the command makes the directory, whatever was there already."""
    root = trusted_root()
    (tmp_path / "1.root.json").write_bytes(root.raw)
    (tmp_path / "1.root.sha256").write_text(root.fingerprint)
    calls = int(child(tmp_path / "whole", tmp_path / "1.root.json", "pin", 0).stdout)
    whole = contents(tmp_path / "whole")
    seen = set()
    for fatal in range(1, calls + 1):
        site = tmp_path / str(fatal)
        assert child(site, tmp_path / "1.root.json", "pin", fatal).returncode == -signal.SIGKILL
        seen.add(tuple(sorted(name for name in contents(site) if not name.startswith("."))) if site.exists() else ())
        pin(site, tmp_path / "1.root.json", root.fingerprint)
        assert contents(site) == whole
        assert Site.open(site).root.version == 1
    assert seen >= {(), (STATE,), ("1.root.json", STATE)}


@pytest.mark.slow
def test_making_a_first_root(tmp_path: Path) -> None:
    (tmp_path / "key").write_bytes(BOSS.pkcs8())
    wanted = Wanted(keys=(BOSS.public,), threshold=1, root_keys=(BOSS.public,))
    calls = int(child(tmp_path / "whole", tmp_path / "key", "begin", 0).stdout)
    whole = contents(tmp_path / "whole")
    outcomes = set()
    for fatal in range(1, calls + 1):
        site = tmp_path / str(fatal)
        assert child(site, tmp_path / "key", "begin", fatal).returncode == -signal.SIGKILL
        if (site / "1.root.json.part").exists():  # all its signatures are there
            outcomes.add("waits")
            assert not sign(site, signers=(BOSS,)).lacks
        elif (site / "1.root.json").exists():
            outcomes.add("done")
        else:
            outcomes.add("again")
            begin(site, wanted, signers=(BOSS,), now=NOW)
        assert contents(site) == whole
        assert Site.open(site).root.version == 1
    assert outcomes == {"again", "waits", "done"}


@pytest.mark.slow
def test_signing_a_root(tmp_path: Path) -> None:
    """A root waits, or is finished, and never both."""
    (tmp_path / "key").write_bytes(CHIEF.pkcs8())

    def waiting(site: Path) -> Path:
        wanted = Wanted(keys=(ANN.public,), threshold=1, root_keys=(BOSS.public,))
        begin(site, wanted, signers=(BOSS,), now=NOW)
        assert change(site, Change(root_keys=(CHIEF.public,)), signers=(BOSS,), now=NOW).lacks
        return site

    calls = int(child(waiting(tmp_path / "whole"), tmp_path / "key", "sign", 0).stdout)
    whole = contents(tmp_path / "whole")
    versions = set()
    for fatal in range(1, calls + 1):
        site = waiting(tmp_path / str(fatal))
        assert child(site, tmp_path / "key", "sign", fatal).returncode == -signal.SIGKILL
        version = Site.open(site).root.version
        versions.add(version)
        assert (site / "2.root.json.part").exists() is (version == 1)
        if version == 1:
            assert not sign(site, signers=(CHIEF,)).lacks
        assert contents(site) == whole
    assert versions == {1, 2}
