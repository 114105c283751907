"""What is attached to an image in a layout or a bundle: found by the list of all that is there, as tools write it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from bundler.errors import BundlerError, DigestError, StoreError
from bundler.journey.access import Access
from bundler.oci.attached import companion_tags, referrers_tag
from bundler.oci.digest import algorithm_of, hex_of
from bundler.pull import listed
from bundler.pull.listed import Listed
from bundler.pull.resolve import resolve_wishes
from bundler.selection import read_wishes
from bundler.selection.lock import LockedImage
from bundler.store import Layout
from tests.attachments import attached_to, cosign_image, fallback
from tests.images import Image, artifact, write_layout
from tests.workshop import API, MULTI, WEB, Workshop

HERE = "reg.io/team/web"
TAGS = companion_tags(WEB.root.digest)
ALL = attached_to(WEB)


def nameless(layout: Path, *names: str) -> Path:
    """Take the names of these entries away, as where only what has a tag is named."""
    index = json.loads((layout / "index.json").read_text())
    for entry in index["manifests"]:
        if entry["annotations"]["org.opencontainers.image.ref.name"] in names:
            del entry["annotations"]
    (layout / "index.json").write_text(json.dumps(index))
    return layout


def resolved(folder: Path, *names: str, head: str = "") -> list[LockedImage]:
    """These images of the layout ``folder``, each with what is attached to it."""
    layout = Layout.open(folder)
    lines = "".join(f"  - image: oci:{folder.name}{name and ':'}{name}\n    as: far/app\n" for name in names)
    wishes = read_wishes(
        f"apiVersion: bundler/v1\nkind: Bundle\nname: edge\n{head}images:\n{lines}".encode(), "bundle.yaml"
    )
    with ThreadPoolExecutor(2) as executor:
        return list(
            resolve_wishes(wishes, lambda wish: (layout, wish.name.partition(":")[2]), executor=executor).images
        )


def told(image: LockedImage) -> set[tuple[str, str]]:
    """Tag and digest of each attachment."""
    return {(each.tag, each.root.digest) for each in image.attachments}


def expected(images: Mapping[str, Image] = ALL) -> set[tuple[str, str]]:
    return {(name if name.startswith("sha256-") else "", image.root.digest) for name, image in images.items()}


STYLES: dict[str, tuple[str, Mapping[str, Image], Sequence[str], str]] = {
    # the image's name, everything by the names in the index, which of them have none, what is asked for
    "full names": (
        f"{HERE}:1.0",
        {f"{HERE}:{name}" if name in TAGS.values() else name: image for name, image in ALL.items()},
        [name for name in ALL if name not in TAGS.values()],
        f"{HERE}:1.0",
    ),
    "names by digest": (
        f"{HERE}:1.0",
        {f"{HERE}:{name}" if name in TAGS.values() else f"{HERE}@{image.root.digest}": image for name, image in ALL.items()},
        [],
        f"{HERE}:1.0",
    ),
    "tags": ("1.0", ALL, [name for name in ALL if name not in TAGS.values()], "1.0"),
    "a list of referrers": (
        "1.0",
        {
            **{tag: ALL[tag] for tag in TAGS.values()},
            referrers_tag(WEB.root.digest): fallback(ALL["bundle"], ALL["attested"], ALL["bill"], ALL["scan"]),
            referrers_tag(ALL["scan"].root.digest): fallback(ALL["scan-bundle"]),
        },
        [],
        "1.0",
    ),
    "by the image's digest": (f"{HERE}:1.0", {f"{HERE}:{tag}": ALL[tag] for tag in TAGS.values()}, [], WEB.root.digest),
    "the only image, without a name": ("", {}, [], ""),
}  # fmt: skip


@pytest.mark.parametrize("style", STYLES)
def test_everything_attached_is_found(style: str, tmp_path: Path) -> None:
    name, beside, without, asked = STYLES[style]
    layout = nameless(write_layout(tmp_path / "layout", {name: WEB, **beside}), *without)
    (image,) = resolved(layout, asked)
    held = {entry: each for entry, each in ALL.items() if each.root.digest in {i.root.digest for i in beside.values()}}
    assert told(image) == expected(ALL if style == "a list of referrers" else held)
    assert image.left_out == ()
    if beside:
        assert {each.kind for each in image.attachments} >= {"signature", "attestation", "sbom"}


def test_what_belongs_to_others_stays_there(tmp_path: Path) -> None:
    """Of one digest under two names, each has what lies beside it; a tag without a repository may be anybody's."""
    other = cosign_image(b"of the mirror", "application/vnd.dev.cosign.simplesigning.v1+json")
    sig = TAGS["signature"]
    held = {f"{HERE}:1.0": WEB, "mirror.io/web:1.0": WEB, f"{HERE}:{sig}": ALL[sig], f"mirror.io/web:{sig}": other}
    held |= {f"other.io/x:{TAGS['sbom']}": ALL[TAGS["sbom"]], TAGS["attestation"]: ALL[TAGS["attestation"]]}
    layout = write_layout(tmp_path / "layout", held)
    near, mirror = resolved(layout, f"{HERE}:1.0", "mirror.io/web:1.0")
    anybodys = (TAGS["attestation"], ALL[TAGS["attestation"]].root.digest)
    assert told(near) == {(sig, ALL[sig].root.digest), anybodys}
    assert told(mirror) == {(sig, other.root.digest), anybodys}


def test_children_that_are_carried_and_those_that_are_not(tmp_path: Path) -> None:
    about = artifact(b"about one platform", subject=WEB)
    layout = nameless(write_layout(tmp_path / "layout", {f"{HERE}:1": MULTI, "about": about}), "about")
    (image,) = resolved(layout, f"{HERE}:1", head="platforms: [linux/amd64]\nindex: sparse\n")
    assert told(image) == {("", about.root.digest)}
    (image,) = resolved(layout, f"{HERE}:1", head="platforms: [linux/arm64]\nindex: sparse\n")
    assert told(image) == set()
    assert [(each.reason, each.root.digest) for each in image.left_out if each.root] == [
        ("platform", about.root.digest)
    ]


@pytest.mark.parametrize("wanted", ["none", "[sboms]"])
def test_what_is_not_wanted_is_told(tmp_path: Path, wanted: str) -> None:
    layout = write_layout(
        tmp_path / "layout", {f"{HERE}:1": WEB, f"{HERE}:{TAGS['signature']}": ALL[TAGS["signature"]]}
    )
    (image,) = resolved(layout, f"{HERE}:1", head=f"attachments: {wanted}\n")
    assert image.attachments == ()
    assert [each.reason for each in image.left_out] == ["unasked" if wanted == "none" else "unwanted"]


def _break(layout: Path, image: Image, how: str) -> None:
    path = layout / "blobs" / algorithm_of(image.root.digest) / hex_of(image.root.digest)
    if how == "missing":
        path.unlink()
    else:
        path.write_bytes(b"x" * image.root.size)


@pytest.mark.parametrize(("how", "error"), [("missing", StoreError), ("damaged", DigestError)])
def test_what_may_be_attached_and_is_broken_ends_the_search(
    tmp_path: Path, how: str, error: type[BundlerError]
) -> None:
    layout = nameless(write_layout(tmp_path / "layout", {f"{HERE}:1": WEB, "scan": ALL["scan"]}), "scan")
    _break(layout, ALL["scan"], how)
    with pytest.raises(error, match=f"looking for what is attached.*{ALL['scan'].root.digest}"):
        resolved(layout, f"{HERE}:1")


@pytest.mark.parametrize("how", ["missing", "damaged"])
def test_a_broken_image_of_another_name_is_not_this_one_s_business(tmp_path: Path, how: str) -> None:
    layout = write_layout(tmp_path / "layout", {f"{HERE}:1": WEB, "reg.io/team/api:1": API})
    _break(layout, API, how)
    assert resolved(layout, f"{HERE}:1")[0].attachments == ()


def test_ten_thousand_referrers(tmp_path: Path) -> None:
    """As of a registry: what is carried is bounded, and that there is more is told."""
    held = {f"{HERE}:1": WEB, **{f"n{n}": artifact(b"%d" % n, subject=WEB) for n in range(10_000)}}
    layout = nameless(write_layout(tmp_path / "layout", held), *held.keys() - {f"{HERE}:1"})
    (image,) = resolved(layout, f"{HERE}:1")
    assert len(image.attachments) == 1000
    assert {each.reason for each in image.left_out} == {"cap"}


def test_a_list_that_is_too_long_counts_as_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listed, "MOST_LOOKED_INTO", 2)
    held = {f"{HERE}:1": WEB, **{f"n{n}": artifact(b"%d" % n, subject=WEB) for n in range(2)}}
    layout = nameless(write_layout(tmp_path / "layout", held), "n0", "n1")
    (image,) = resolved(layout, f"{HERE}:1")
    assert image.attachments == ()
    assert [each.reason for each in image.left_out] == ["unanswered"]


def test_the_list_is_looked_through_once(tmp_path: Path) -> None:
    names = [f"{HERE}:{n}" for n in range(5)]
    layout = nameless(write_layout(tmp_path / "layout", {**dict.fromkeys(names, WEB), "scan": ALL["scan"]}), "scan")
    opened = Layout.open(layout)
    asked: list[str] = []
    honest = opened.fetch

    def counted(want: object) -> object:
        asked.append(want.digest)  # type: ignore[attr-defined]
        return honest(want)  # type: ignore[arg-type]

    opened.fetch = counted  # type: ignore[method-assign,assignment]
    found = Listed(opened)
    for name in names:
        beside = found.beside(name, WEB.root)
        assert [each.digest for each in beside.referrers(WEB.root.digest)] == [ALL["scan"].root.digest]
    assert sorted(asked) == sorted([WEB.root.digest, ALL["scan"].root.digest])


# Bundles, and what was pulled before: the whole way


def test_what_came_by_a_bundle_goes_on_by_the_next(tmp_path: Path) -> None:
    held = {f"{HERE}:1.0": WEB}
    held |= {f"{HERE}:{name}" if name in TAGS.values() else name: image for name, image in ALL.items()}
    place = Workshop(tmp_path / "first", f"  - oci:upstream:{HERE}:1.0\n", upstream=held)
    nameless(place.upstream, *(name for name in ALL if name not in TAGS.values()))
    (first,) = place.pull().lock.images
    assert told(first) == expected()
    place.pack("out")
    place.push(f"oci:{place.folder / 'far'}")
    for source in (f"oci:{place.folder / 'far'}:team/web:1.0", f"bundle:{place.folder / 'out'}:team/web:1.0"):
        again = Workshop(
            tmp_path / source.partition(":")[0],
            f"  - image: {source}\n    as: team/web\n",
            upstream={"x": API},
            access=Access(demand=place.demand()),
        )
        (second,) = again.pull().lock.images
        assert told(second) == expected()
        again.pack("out")
        again.push(f"oci:{again.folder / 'far'}")
        there = Layout.open(again.folder / "far")
        assert {name.rpartition(":")[2] for name, _ in there.images()} >= {"1.0", *TAGS.values()}
        assert all(there.size_of(each.root.digest) for each in ALL.values())
