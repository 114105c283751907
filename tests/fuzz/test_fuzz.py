"""The kept corpus through every target, without a fuzzer; and each target fuzzed for a moment where atheris is installed."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fuzz.targets import CORPUS, TARGETS, Target

ROOT = Path(__file__).parents[2]
NAMES = pytest.mark.parametrize("name", TARGETS)
RUNS = 3000


def ready(name: str) -> Target:
    target = TARGETS[name]
    if target.needs:
        pytest.importorskip(target.needs)
    return target


def entries(name: str) -> list[Path]:
    return sorted((CORPUS / name).iterdir())


@NAMES
def test_the_kept_corpus(name: str) -> None:
    """No entry makes a parser raise anything but an error of ours, and each is judged as its name says."""
    target = ready(name)
    for path in entries(name):
        taken = target(path.read_bytes())
        verdict = path.name.partition("-")[0]
        assert verdict in ("good", "bad", "any", "found")
        assert taken is (verdict == "good") or verdict in ("any", "found"), f"{path.name}: {taken}"


@NAMES
def test_the_corpus_has_both_sides(name: str) -> None:
    kinds = {path.name.partition("-")[0] for path in entries(name)}
    assert "good" in kinds
    assert {"bad", "any"} & kinds
    assert all(path.stat().st_size <= 1 << 16 for path in entries(name))


def test_every_corpus_has_its_target() -> None:
    assert {path.name for path in CORPUS.iterdir()} == set(TARGETS)


def test_a_crash_is_seen() -> None:
    """The harness itself: anything but an error of ours gets through."""
    with pytest.raises(ZeroDivisionError):
        Target("bundler.errors", lambda _, __: 1 // 0)(b"")
    with pytest.raises(AssertionError, match="control characters"):
        Target("bundler.errors", _raise_raw)(b"\x1b[2J")
    assert Target("bundler.errors", lambda *_: None)(b"")


def _raise_raw(raw: bytes, module: object) -> None:
    from bundler.errors import ConfigError

    raise ConfigError(raw.decode())


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("atheris") is None, reason="needs the package atheris")
@NAMES
def test_a_moment_of_fuzzing(name: str, tmp_path: Path) -> None:
    ready(name)
    done = subprocess.run(
        [sys.executable, "-m", "tests.fuzz", name, f"-runs={RUNS}", "-seed=1", "-max_total_time=60"],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin", "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    assert "Done" in done.stderr
    assert not [path.name for path in tmp_path.iterdir() if path.name.startswith(("crash-", "timeout-", "oom-"))]
