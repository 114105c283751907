"""``bundle:``: the images of a bundle by name, once its signature held and the policy let them in."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from bundler.bundle.statement import CarriedImage
from bundler.content import read
from bundler.errors import ArchiveError, BundlerError, ConfigError, NotFoundError, PolicyError, TrustError
from bundler.graph import walk
from bundler.journey import bundles
from bundler.journey.bundles import open_bundle, split
from bundler.journey.demand import Demand
from tests.workshop import NOW, WEB, Workshop, key

DEMAND = Demand((key("release").public,), 1, NOW)


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A signed bundle of several images. Don't write to it."""
    return Workshop(tmp_path_factory.mktemp("bundle")).build("out")


@pytest.mark.parametrize(
    ("rest", "place", "name"),
    [
        ("out", "out", ""),
        ("out:", "out", ""),
        ("/srv/out:library/nginx:1.27", "/srv/out", "library/nginx:1.27"),
        (f"out:sha256:{'a' * 64}", "out", f"sha256:{'a' * 64}"),
    ],
)
def test_split(rest: str, place: str, name: str) -> None:
    assert split(rest) == (place, name)


@pytest.mark.parametrize("rest", ["", ":name"])
def test_no_directory(rest: str) -> None:
    with pytest.raises(ConfigError, match="names no directory"):
        split(rest)


def test_each_image_by_its_names(out: Path) -> None:
    bundle = open_bundle(out, DEMAND)
    assert len(bundle.tags()) > 1
    for image in bundle.statement.images:
        for name in (image.target, image.name, image.root.digest):
            assert bundle.resolve(name).digest == image.root.digest
        graph = walk(bundle, image.root)
        for node in graph.nodes:
            read(bundle, node)


def test_several_images_and_no_name(out: Path) -> None:
    with pytest.raises(NotFoundError, match="so one must be named") as caught:
        open_bundle(out, DEMAND).resolve("")
    assert open_bundle(out, DEMAND).tags()[0] in caught.value.hint


def test_a_name_that_is_not_there(out: Path) -> None:
    with pytest.raises(NotFoundError):
        open_bundle(out, DEMAND).resolve("missing:1")


def test_nobody_said_whom_to_trust(out: Path) -> None:
    with pytest.raises(ConfigError, match="whose bundles to trust") as caught:
        open_bundle(out, None)
    assert "--bundle-key" in caught.value.hint


def test_somebody_else_s_key(out: Path) -> None:
    with pytest.raises(BundlerError) as caught:
        open_bundle(out, Demand((key("stranger").public,), 1, NOW))
    assert isinstance(caught.value, TrustError)


# The policy


def demand(folder: Path, rules: str, head: str = "") -> Demand:
    (folder / "trust.yaml").write_text(f"apiVersion: bundler/v1\nkind: TrustPolicy\n{head}images:\n{rules}")
    (folder / "ann.pub").write_bytes(key("ann").public.pem)
    return Demand((key("release").public,), 1, NOW, policy=folder / "trust.yaml")


STRICT = "- {match: '**', cosign: {keys: [ann.pub]}}\n"
WEB_ALONE = "- {match: 'oci:upstream:reg.io/team/web', nothing: true}\n"


def test_an_image_that_the_policy_refuses_has_no_name(out: Path, tmp_path: Path) -> None:
    bundle = open_bundle(out, demand(tmp_path, WEB_ALONE + STRICT))
    for image in bundle.statement.images:
        for name in (image.target, image.name, image.root.digest):
            if "web" in image.name:
                assert bundle.resolve(name) == image.root
            else:
                with pytest.raises(PolicyError, match=image.name):
                    bundle.resolve(name)
    assert len(bundle.tags()) > 1, "what there is can be told"


def test_the_only_image_needs_no_name_and_the_policy_s_consent(tmp_path: Path) -> None:
    out = Workshop(tmp_path / "one", "  - oci:upstream:reg.io/team/web:1.0\n").build("out")
    assert open_bundle(out, demand(tmp_path, WEB_ALONE)).resolve().digest == WEB.root.digest
    with pytest.raises(PolicyError, match="nothing is attached"):
        open_bundle(out, demand(tmp_path, STRICT)).resolve()


def test_an_image_without_a_rule_is_refused(out: Path, tmp_path: Path) -> None:
    with pytest.raises(PolicyError, match="no rule of"):
        open_bundle(out, demand(tmp_path, WEB_ALONE)).resolve("team/api:2.0")


def test_one_digest_under_two_names_needs_the_consent_to_both(tmp_path: Path) -> None:
    """Whoever asks by digest gets it under either of them."""
    names = ("oci:upstream:reg.io/team/web:1.0", "oci:upstream:reg.io/team/again:1.0")
    place = Workshop(
        tmp_path / "two",
        "".join(f"  - {name}\n" for name in names),
        upstream={name.removeprefix("oci:upstream:"): WEB for name in names},
    )
    bundle = open_bundle(place.build("out"), demand(tmp_path, WEB_ALONE + STRICT))
    assert bundle.resolve("team/web:1.0").digest == WEB.root.digest
    for name in ("team/again:1.0", WEB.root.digest):
        with pytest.raises(PolicyError, match="team/again"):
            bundle.resolve(name)


def test_an_incomplete_image_is_not_let_in(out: Path, tmp_path: Path) -> None:
    bundle = open_bundle(out, demand(tmp_path, "- {match: '**', nothing: true}\n"))
    config = next(node for node in walk(bundle, WEB.root).nodes if not node.is_manifest)
    del bundle._sizes[config.digest]  # type: ignore[attr-defined]
    with pytest.raises(ArchiveError, match=f"{config.digest}.*is missing"):
        bundle.resolve("team/web:1.0")


def test_the_policy_s_channels_and_expiry(out: Path, tmp_path: Path) -> None:
    open_bundle(out, demand(tmp_path, STRICT, "channels: [stable]\n"))
    with pytest.raises(PolicyError, match="takes no bundles of the channel"):
        open_bundle(out, demand(tmp_path, STRICT, "channels: [lts]\n"))


def test_names_are_judged_once(out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []
    honest = bundles.judge_images

    def counted(images: Sequence[CarriedImage], *args: Any, **more: Any) -> None:
        calls.append(len(images))
        honest(images, *args, **more)

    monkeypatch.setattr(bundles, "judge_images", counted)
    bundle = open_bundle(out, demand(tmp_path, WEB_ALONE))
    for _ in range(3):
        bundle.resolve("team/web:1.0")
    assert calls == [1]
    open_bundle(out, DEMAND).resolve("team/web:1.0")
    assert calls == [1], "without a policy nobody is asked"
