"""The demo: what a newcomer sees first, as a newcomer runs it."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Self

import pytest

from bundler.cli import demo as module
from bundler.cli.demo import DemoError
from bundler.cli.demo_images import sample_images
from bundler.oci.digest import digest_of
from tests.cli.terminal import Terminal
from tests.store.invariants import assert_sound


def test_the_whole_journey(bundler: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    scratch = bundler.folder / "tmp"
    scratch.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    began = time.monotonic()
    said = bundler("demo")
    assert time.monotonic() - began < 90  # four seconds, but not on a machine that is busy with other things
    lines = said.out.splitlines()
    assert lines[-1].startswith("The demo succeeded in ")
    assert [line[0] for line in lines if line[:1].isdigit()] == list("1234567")
    for text in ("VERIFIED", "refused, as it must be", "bundler build", "equal, 8 contents read back"):
        assert text in said.out
    assert "127.0.0.1" not in said.out
    assert list(scratch.iterdir()) == []


def test_a_step_that_goes_wrong_and_what_is_kept(bundler: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TAMPERED_EXIT", 0)
    said = bundler("demo", "--keep", "here", expect=1)
    assert "bundler: INTERNAL: bundler verify ended with 6, not 0" in said.err
    assert "succeeded" not in said.out
    here = bundler.folder / "here"
    assert {"bundle", "tampered", "store", "release.key", "release.pub", "bundle.yaml"} <= {
        p.name for p in here.iterdir()
    }
    published = {image.root.digest for image in sample_images().values()}
    for store in ("store", "near-registry"):
        assert published == set(assert_sound(here / store).values())


def test_an_image_that_arrives_as_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Ends:
        def __init__(self, access: object) -> None: ...
        def __enter__(self) -> Self:
            return self

        def __exit__(self, *error: object) -> None: ...
        def source(self, name: str) -> tuple[object, str]:
            from tests.images import image, layer, load
            from tests.memory import Memory

            memory = Memory()
            load(memory, {"1.0": image(layer("other", 10))})
            return memory, "1.0"

    from bundler.cli.console import Console

    monkeypatch.setattr("bundler.journey.ends.Ends", Ends)
    with pytest.raises(DemoError, match=r"acme/web:1\.0 arrived as "):
        module._Demo(Console(), tmp_path, "near", "far")._compare({"acme/web:1.0": digest_of(b"web")})


def test_the_images_are_the_same_every_time() -> None:
    one, two = sample_images(), sample_images()
    assert one == two
    for image in one.values():
        for want, raw in image.contents:
            assert (digest_of(raw), len(raw)) == (want.digest, want.size)
    shared = [{want.digest for want, _ in image.contents} for image in one.values()]
    assert shared[0] & shared[1] & shared[2]
