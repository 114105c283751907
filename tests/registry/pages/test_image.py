"""One manifest: image, index or artifact."""

from __future__ import annotations

import pytest

from bundler.oci import mediatype
from bundler.registry.pages.address import Seen
from bundler.registry.pages.image import MOST_ROWS, ImagePage, image_page
from tests.images import Image, artifact, as_json, image, index, layer, part
from tests.registry.pages.shelf import BUNDLE, Shelf, open_contents, with_config

SEEN = Seen("registry.site:5000", tls=True)
BASE, TOP = layer("base", 3_000), layer("top", 1_000)
WEB = image(BASE, TOP, annotations={"z": "1", "a": "2"})
ARM = image(BASE, platform="linux/arm64")


def shown(what: Image, *more: Image, without: tuple[str, ...] = (), by_tag: bool = True) -> ImagePage:
    shelf = Shelf(BUNDLE)
    shelf.put("app", "1", what, without=without)  # type: ignore[arg-type]
    for each in more:
        shelf.put("app", each.root.digest, each)
    with open_contents(shelf) as contents:
        view = image_page(contents, "app", "1" if by_tag else what.root.digest, SEEN, paths=True)
    assert view is not None
    return view


def test_an_image() -> None:
    view = shown(WEB)
    assert (view.kind, view.platform, view.created) == ("image", "linux/amd64", "1970-01-01 00:00 UTC")
    assert [(p.number, p.digest, p.step) for p in view.parts.items] == [
        (1, BASE.descriptor.digest, "tests"),
        (2, TOP.descriptor.digest, "tests"),
    ]
    assert view.annotations.items == (("a", "2"), ("z", "1"))
    assert (view.place.name, view.place.serial) == ("edge", 7)
    assert not view.attached


@pytest.mark.parametrize(("by_tag", "count"), [(True, 2), (False, 1)])
def test_commands_by_tag_and_by_digest(by_tag: bool, count: int) -> None:
    view = shown(WEB, by_tag=by_tag)
    assert view.commands is not None
    commands = view.commands.usual[0].commands
    assert len(commands) == count
    assert commands[-1] == f"podman pull registry.site:5000/app@{WEB.root.digest}"


def test_an_index_and_what_it_lacks() -> None:
    attestation = image(layer("att", 10), platform="unknown/unknown")
    view = shown(index(WEB, ARM, attestation), without=(ARM.root.digest,))  # type: ignore[arg-type]
    assert (view.kind, view.missing, view.whole) == ("index", 1, False)
    assert [(c.platform, c.href) for c in view.children.items] == [
        ("linux/amd64", f"/images/app@{WEB.root.digest}"),
        ("linux/arm64", ""),
        ("", f"/images/app@{attestation.root.digest}"),
    ]


def test_an_artifact() -> None:
    sbom = artifact(b"{}", subject=WEB)
    view = shown(sbom)
    assert (view.kind, view.artifact_type) == ("artifact", "application/vnd.example.sbom.v1+json")
    assert view.subject == (WEB.root.digest, f"/images/app@{WEB.root.digest}")
    assert view.runs is None
    assert view.commands is not None
    assert view.commands.usual[0].name == "oras"


def test_referrers() -> None:
    sbom = artifact(b"{}", subject=WEB)
    assert [each.digest for each in shown(WEB, sbom).attached.referrers.items] == [sbom.root.digest]


def test_history_is_told_beside_the_layers() -> None:
    steps = [{"created_by": "FROM"}, {"created_by": "ENV", "empty_layer": True}, {"created_by": "COPY", "comment": "c"}]
    view = shown(with_config({"history": steps}, BASE, TOP))
    assert [p.step for p in view.parts.items] == ["FROM", "COPY"]
    assert view.runs is not None
    assert [(line.created_by, line.layer, line.empty) for line in view.runs.history.items] == [
        ("FROM", 1, False),
        ("ENV", 0, True),
        ("COPY", 2, False),
    ]


def test_a_history_that_does_not_fit_is_told_alone() -> None:
    view = shown(with_config({"history": [{"created_by": "FROM"}]}, BASE, TOP))
    assert [p.step for p in view.parts.items] == ["", ""]


def test_how_it_runs() -> None:
    config = {
        "config": {"User": "app", "Env": ["A=1"], "Cmd": ["x"], "ExposedPorts": {"80/tcp": {}}, "Labels": {"a": "b"}}
    }
    runs = shown(with_config(config, BASE)).runs
    assert runs is not None
    assert {name: values.items for name, values in runs.facts} == {
        "Command": ("x",),
        "User": ("app",),
        "Exposed ports": ("80/tcp",),
        "Environment": ("A=1",),
    }
    assert runs.labels.items == (("a", "b"),)


BAD = {
    "no JSON": (b"\xff\xfe", "not UTF-8"),
    "a list": (b"[]", "must be an object"),
    "too large": (b" " * (2 << 20), "more than the"),
    "nested": (b"[" * 100_000, "the config: "),
    "markup": (b'{"config": {"<b>": 1, "Env": 5}}', "Env must be a list"),
}


@pytest.mark.parametrize(("raw", "why"), BAD.values(), ids=BAD.keys())
def test_a_bad_config_is_told_and_the_layers_stay(raw: bytes, why: str) -> None:
    view = shown(with_config(None, BASE, raw=raw))
    assert why in view.config_problem
    assert len(view.parts.items) == 1
    assert view.runs is None


def test_a_config_that_is_not_there() -> None:
    bad = with_config({}, BASE)
    view = shown(bad, without=(bad.parts[-2].descriptor.digest,))
    assert view.config_problem == "it is not here, or damaged"


def test_a_manifest_that_is_none() -> None:
    view = shown(with_config({}, BASE, schemaVersion=3))
    assert (view.kind, view.commands) == ("", None)
    assert "schemaVersion" in view.problem


def test_a_damaged_manifest_is_not_there() -> None:
    shelf = Shelf()
    shelf.put("app", "1", WEB)
    shelf.damage(WEB.root.digest)
    with open_contents(shelf) as contents:
        assert image_page(contents, "app", "1", SEEN, paths=True) is None


def test_long_lists_are_cut() -> None:
    many = range(MOST_ROWS + 7)
    config = {"config": {"Labels": {str(n): "" for n in many}, "Env": [str(n) for n in many]}}
    view = shown(with_config(config, *[part(str(n).encode(), mediatype.OCI_LAYER) for n in many]))
    assert (len(view.parts.items), view.parts.more) == (MOST_ROWS, 7)
    assert view.runs is not None
    assert view.runs.labels.more == view.runs.facts[0][1].more == 7
    children = [part(as_json({"n": n}), mediatype.OCI_MANIFEST) for n in many]
    assert shown(index(*[Image(child.descriptor, (child,)) for child in children])).children.more == 7
