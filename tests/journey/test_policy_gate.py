"""The policy before a copy: which place an image is from, which of its parts are judged, and that nothing is written."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from bundler.content import Held
from bundler.errors import ConfigError, PolicyError
from bundler.journey.access import Access, Surroundings
from bundler.journey.copying import Orders, copy
from bundler.journey.ends import Ends
from bundler.journey.fitting import Chosen, Instances, Wanted
from bundler.journey.policy_gate import check_policy, place_of
from bundler.oci.digest import digest_of
from bundler.oci.platform import parse_platform
from bundler.oci.reference import parse_reference
from bundler.policy import Place, anywhere, docker_place, named_place, path_place
from bundler.policy.places import storage_place
from tests.images import family, image, index, layer, write_dir, write_layout
from tests.policy.certified_cases import IMAGE as CERTIFIED
from tests.policy.certified_cases import cases
from tests.workshop import NOW, Workshop, working

FAMILY = family()
WEB, MULTI = FAMILY["web"], FAMILY["multi"]
ACCEPT, REJECT = {"type": "insecureAcceptAnything"}, {"type": "reject"}
SIGNED = {"type": "signedBy", "keyType": "GPGKeys", "keyPath": "/nowhere"}
AMD64 = parse_platform("linux/amd64")
ID = digest_of(b"an image's ID")


def ends(tmp_path: Path, **policy: Any) -> Ends:
    file = tmp_path / "policy.json"
    file.write_text(json.dumps({"default": [REJECT], "transports": policy}))
    return Ends(Access(), surroundings=Surroundings(policy=file))


@pytest.mark.parametrize(
    ("image", "place"),
    [
        ("docker://r.example/app:1", docker_place(parse_reference("r.example/app:1"))),
        ("r.example/app:1", docker_place(parse_reference("r.example/app:1"))),
        ("dir:WORK/a/../link", path_place("dir", "WORK/real")),
        ("oci:WORK/real:name", path_place("oci", "WORK/real")),
        ("oci-archive:WORK/x.tar:name", path_place("oci-archive", "WORK/x.tar")),
        ("bundle:WORK/real:name", path_place("bundle", "WORK/real")),
        ("docker-archive:WORK/x.tar:app:1", named_place("docker-archive", parse_reference("app:1"))),
        ("docker-archive:WORK/x.tar:@0", named_place("docker-archive", None)),
        ("docker-archive:WORK/x.tar", named_place("docker-archive", None)),
        ("docker-daemon:app:1", docker_place(parse_reference("app:1"), "docker-daemon")),
        (f"docker-daemon:{ID}", Place("docker-daemon")),
        ("containers-storage:app:1", anywhere("containers-storage", parse_reference("app:1"))),
        (
            "containers-storage:[vfs@/s+/r]r.example/app",
            storage_place("[vfs@/s]", "r.example/app", parse_reference("r.example/app")),
        ),
    ],
)
def test_where_an_image_is_from(image: str, place: Place, tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    work = str(tmp_path.resolve())
    found = place_of(ends(tmp_path), image.replace("WORK", work))
    scopes = found.scopes
    if place.scopes and place.scopes[0].startswith("WORK"):
        assert scopes[0] == place.scopes[0].replace("WORK", work)
        assert scopes[-1] == "/" + work.split("/")[1]
        assert found.transport == place.transport
    else:
        assert found == place


def _judged(tmp_path: Path, source: Any, chosen: Chosen) -> set[str]:
    """The digests that are judged: each of them is refused in its turn, as nothing is signed."""
    from bundler.journey import policy_gate

    return {each.digest for each in policy_gate._carried(source, chosen)}


NESTED = index(MULTI, image(layer("more", 100)))


@pytest.mark.parametrize(
    ("root", "children", "judged"),
    [
        (WEB, None, {WEB}),
        (MULTI, None, "children"),
        (MULTI, frozenset(), {MULTI}),
        (MULTI, "first", "first"),
        (index(), None, "itself"),
    ],
    ids=["an image", "all of an index", "an index alone", "one of an index", "an empty index"],
)
def test_what_is_judged_is_what_is_carried(root: Any, children: Any, judged: Any, tmp_path: Path) -> None:
    source = Held({part.descriptor.digest: part.raw for part in root.parts})
    manifests = [part.descriptor.digest for part in root.parts[:-1] if part.descriptor.is_manifest]
    if children == "first":
        children = frozenset(manifests[:1])
    expected = {
        "children": set(manifests),
        "first": set(manifests[:1]),
        "itself": {root.root.digest},
    }.get(judged if isinstance(judged, str) else "") or {each.root.digest for each in judged}
    assert _judged(tmp_path, source, Chosen(root.root, children)) == expected


def test_the_images_of_an_index_within_an_index_are_judged(tmp_path: Path) -> None:
    source = Held({part.descriptor.digest: part.raw for part in NESTED.parts})
    leaves = {part.descriptor.digest for part in NESTED.parts if part.descriptor.is_manifest}
    assert _judged(tmp_path, source, Chosen(NESTED.root)) == leaves - {NESTED.root.digest, MULTI.root.digest}


def test_an_index_alone_can_be_refused(tmp_path: Path) -> None:
    write_layout(tmp_path / "layout", {"multi": MULTI})
    with ends(tmp_path, oci={"": [SIGNED]}) as near:
        source, name = near.source(f"oci:{tmp_path}/layout:multi")
        with pytest.raises(PolicyError, match=MULTI.root.digest):
            check_policy(near, f"oci:{tmp_path}/layout:multi", source, Chosen(source.resolve(name), frozenset()))


@pytest.mark.parametrize("medium", ["dir", "oci", "docker-archive"])
def test_nothing_is_written_where_a_copy_is_refused(medium: str, tmp_path: Path) -> None:
    write_dir(tmp_path / "image", WEB)
    with ThreadPoolExecutor(1) as executor, ends(tmp_path) as near, Ends(Access()) as far:
        orders = Orders(Wanted(AMD64, Instances.SYSTEM))
        with pytest.raises(PolicyError, match="no image from there") as refused:
            copy(f"dir:{tmp_path}/image", f"{medium}:{tmp_path}/out", orders, near, far, executor=executor)
    assert not (tmp_path / "out").exists()
    assert refused.value.exit_code == 17


@pytest.mark.parametrize("signed", ["signedBy", "sigstoreSigned"])
def test_a_medium_without_signatures_has_none(signed: str, tmp_path: Path) -> None:
    write_layout(tmp_path / "layout", {"web": WEB})
    rule = {**SIGNED, "type": signed}
    if signed == "sigstoreSigned":
        del rule["keyType"]
    with ends(tmp_path, oci={str(tmp_path.resolve()): [rule]}) as near:
        source, name = near.source(f"oci:{tmp_path}/layout:web")
        with pytest.raises(PolicyError, match=r"it has no (simple|sigstore) signature"):
            check_policy(near, f"oci:{tmp_path}/layout:web", source, Chosen(source.resolve(name)))


def test_a_malformed_policy_stops_every_copy(tmp_path: Path) -> None:
    write_dir(tmp_path / "image", WEB)
    with ends(tmp_path) as near:
        (tmp_path / "policy.json").write_text("{}")
        source, name = near.source(f"dir:{tmp_path}/image")
        with pytest.raises(ConfigError, match="default is missing"):
            check_policy(near, f"dir:{tmp_path}/image", source, Chosen(source.resolve(name)))


def test_pull_asks_before_it_fetches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from bundler.journey import near

    place = Workshop(tmp_path)
    folder = tmp_path / "home" / ".config/containers"
    folder.mkdir(parents=True)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (folder / "policy.json").write_text(json.dumps({"default": [ACCEPT], "transports": {"oci": {"": [REJECT]}}}))
    with working(place.manifest) as run, pytest.raises(PolicyError, match=r"transports\.oci"):
        near.pull(run, tmp_path / "new-store", now=NOW)
    assert not (tmp_path / "new-store").exists()
    (folder / "policy.json").write_text(json.dumps({"default": [REJECT], "transports": {"oci": {"": [ACCEPT]}}}))
    with working(place.manifest) as run:
        near.pull(run, tmp_path / "new-store", now=NOW)


@pytest.mark.parametrize("name", ["below an intermediate", "logged after it expired", "PKI: an e-mail", "PKI: expired"])
def test_certificates_are_judged_before_a_copy(name: str, tmp_path: Path) -> None:
    case = cases()[name]
    write_dir(tmp_path / "image", CERTIFIED)
    (tmp_path / "image" / "signature-1").write_bytes(case.blob)
    orders = Orders(Wanted(AMD64, Instances.SYSTEM), remove_signatures=True)
    with ThreadPoolExecutor(1) as executor, ends(tmp_path, dir={"": [case.rule]}) as near, Ends(Access()) as far:
        if not case.said:
            copy(f"dir:{tmp_path}/image", f"dir:{tmp_path}/out", orders, near, far, executor=executor)
            return
        with pytest.raises(PolicyError, match=f"transports.dir.*sigstoreSigned.*{case.said}"):
            copy(f"dir:{tmp_path}/image", f"dir:{tmp_path}/out", orders, near, far, executor=executor)
    assert not (tmp_path / "out").exists()
