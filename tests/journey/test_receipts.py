"""Receipts against a registry and a layout that were left alone, and against ones where somebody was at work."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]  # it has none

from bundler.errors import BundlerError, ConfigError, PolicyError, SignatureError, UnsupportedError
from bundler.journey.access import Access
from bundler.journey.drift import Drift
from bundler.journey.ends import Ends
from bundler.journey.receipts import recheck, signature_path, write_receipt
from bundler.oci import mediatype
from bundler.oci.attached import referrers_tag
from bundler.oci.digest import hex_of
from bundler.oci.reference import Reference
from bundler.push.receipt import Landed, Receipt
from bundler.registry.process import running
from bundler.store import Store
from bundler.transports.docker.credentials import Credentials
from bundler.trust.keys import PublicKey
from tests.hostile.scripted import HonestRegistry, Reply, Request, Scripted
from tests.images import artifact, image, index, layer, load
from tests.workshop import API, IMAGES, MULTI, NOW, WEB, Workshop, key

SCHEMA = Path(__file__).parents[2] / "schemas" / "receipt-check"
VALIDATOR = Draft202012Validator(json.loads((SCHEMA / "schema.json").read_text()))


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    """A bundle ``out``."""
    place = Workshop(tmp_path_factory.mktemp("built"))
    place.build()
    return place


@pytest.fixture
def far(tmp_path: Path) -> Iterator[str]:
    """The host of an embedded registry, whose store is ``registry``."""
    with running(tmp_path / "registry") as url:
        yield url.removeprefix("http://")


def check(path: Path, *keys: PublicKey) -> Drift:
    with Ends(Access(tls_verify=False)) as ends, ThreadPoolExecutor(2) as executor:
        drift = recheck(path, keys, ends, now=NOW, executor=executor)
    VALIDATOR.validate(drift.document())
    return drift


def pushed(built: Workshop, to: str, path: Path) -> Path:
    write_receipt(path, built.push(to).receipt, None)
    return path


def states(drift: Drift) -> dict[str, str]:
    return {row.reference.partition("/")[2]: row.state for row in drift.drifted}


# At a registry


def test_a_registry_that_was_left_alone(built: Workshop, far: str, tmp_path: Path) -> None:
    drift = check(pushed(built, f"docker://{far}/site", tmp_path / "r.json"))
    assert [row.state for row in drift.rows] == ["ok"] * len(IMAGES)
    assert (drift.added, drift.again, drift.signer) == ((), "", "")
    assert drift.conclusion == "UNCHANGED: all 4"
    assert drift.document()["verdict"] == "unchanged"
    drift.raise_for_drift()


def test_everything_that_can_happen_to_a_registry(built: Workshop, far: str, tmp_path: Path) -> None:
    path = pushed(built, f"docker://{far}/site", tmp_path / "r.json")
    with Ends(Access(tls_verify=False)) as ends:
        web = ends.repository(Reference(far, "site/team/web"))
        load(web, {"1.0": MULTI, "stranger": WEB})
        load(ends.repository(Reference(far, "site/other")), {"1": WEB})
    (blob, *_) = sorted(part.descriptor.digest for part in MULTI.blobs if part not in WEB.blobs)
    note = IMAGES["reg.io/team/note:1"].root.digest
    store = tmp_path / "registry" / "blobs" / "sha256"
    (store / hex_of(blob)).unlink()
    (store / hex_of(note)).unlink()
    drift = check(path)
    assert states(drift) == {
        "site/team/web:1.0": "moved",
        "site/team/multi:3.0": "incomplete",
        "site/team/note:1": "missing",
    }
    moved = next(row for row in drift.rows if row.state == "moved")
    assert moved.now == MULTI.root.digest
    assert drift.added == (f"{far}/site/team/web:stranger",)
    with pytest.raises(PolicyError, match=r"drifted from the receipt: .*web:1\.0") as caught:
        drift.raise_for_drift()
    assert caught.value.exit_code == 17
    assert drift.again in (caught.value.hint or "")


def test_what_it_says_to_push_again_puts_it_back(built: Workshop, far: str, tmp_path: Path) -> None:
    path = pushed(built, f"docker://{far}/site", tmp_path / "r.json")
    layer_gone = WEB.blobs[1].descriptor.digest
    with Ends(Access(tls_verify=False)) as ends:
        load(ends.repository(Reference(far, "site/team/note")), {"1": WEB})
    (tmp_path / "registry" / "blobs" / "sha256" / hex_of(layer_gone)).unlink()
    again = shlex.split(check(path).again)
    assert again[:7] == ["bundler", "push", "OUT", "--key", "PUB", "--to", f"docker://{far}/site"]
    assert again[-1] == "--repair"
    patterns = tuple(word for word, before in zip(again[1:], again, strict=False) if before == "--image")
    assert "oci:upstream:reg.io/team/note:1" in patterns
    assert built.push(f"docker://{far}/site", patterns=patterns).unchanged >= 1  # as far as tags tell
    assert check(path).drifted
    built.push(f"docker://{far}/site", patterns=patterns, repair=True)
    drift = check(path)
    assert drift.drifted == ()
    assert drift.added == ()


def test_attachments_are_looked_for(far: str, tmp_path: Path) -> None:
    signature, sbom = artifact(b"signed"), artifact(b"{}", subject=MULTI)
    tag = f"{MULTI.root.digest.replace(':', '-')}.sig"
    with Ends(Access(tls_verify=False)) as ends:
        near = ends.repository(Reference(far, "near/multi"))
        load(near, {"3.0": MULTI, tag: signature})
        load(near, {"sbom": sbom})
    place = Workshop(tmp_path, f"  - {far}/near/multi:3.0\n", access=Access(tls_verify=False))
    place.build()
    path = pushed(place, f"docker://{far}/far", tmp_path / "r.json")
    (landed,) = json.loads(path.read_text())["images"]
    assert {(a["reference"], a["digest"]) for a in landed["attachments"]} == {
        (f"{far}/far/near/multi:{tag}", signature.root.digest),
        (f"{far}/far/near/multi@{sbom.root.digest}", sbom.root.digest),
    }
    assert not check(path).drifted
    with Ends(Access(tls_verify=False)) as ends:
        load(ends.repository(Reference(far, "far/near/multi")), {tag: WEB})
    drift = check(path)
    assert [(row.state, row.attached, row.image) for row in drift.drifted] == [("moved", True, landed["name"])]


def test_a_sparse_index_needs_what_came_with_it(far: str, tmp_path: Path) -> None:
    arms = [image(layer(f"sparse {n}", 100), platform=f"linux/{n}") for n in ("amd64", "arm64", "s390x")]
    listed = "  - image: oci:upstream\n    as: multi\n    platforms: [linux/amd64, linux/arm64]\n"
    place = Workshop(tmp_path, listed, upstream={"multi": index(*arms)})
    place.build()
    path = pushed(place, f"docker://{far}", tmp_path / "r.json")
    (landed,) = json.loads(path.read_text())["images"]
    assert set(landed["children"]) == {arm.root.digest for arm in arms[:2]}
    assert not check(path).drifted


@pytest.fixture
def old() -> Iterator[tuple[HonestRegistry, Scripted]]:
    """A registry without a referrers API: clients keep the lists of what is attached themselves."""
    registry = HonestRegistry(referrers_api=False)
    with Scripted(registry) as server:
        yield registry, server


def test_the_lists_that_clients_keep(old: tuple[HonestRegistry, Scripted], tmp_path: Path) -> None:
    """They are nobody's addition, and without them nobody finds what is attached."""
    registry, server = old
    sbom = artifact(b"{}", subject=WEB)
    with Ends(Access(tls_verify=False)) as ends:
        near = ends.repository(Reference(server.host, "near/web"))
        load(near, {"1": WEB})
        for each in sbom.parts:
            near.push(each.descriptor, [each.raw])
    place = Workshop(tmp_path, f"  - {server.host}/near/web:1\n", access=Access(tls_verify=False))
    place.build()
    path = pushed(place, f"docker://{server.host}/far", tmp_path / "r.json")
    drift = check(path)
    assert (drift.drifted, drift.added) == ((), ())
    del registry.manifests["far/near/web", referrers_tag(WEB.root.digest)]
    drift = check(path)
    assert [(row.state, row.digest) for row in drift.drifted] == [("unlisted", sbom.root.digest)]
    assert "--repair" not in drift.again
    place.push(f"docker://{server.host}/far")
    assert check(path).drifted == ()
    registry.manifests["far/near/web", referrers_tag(WEB.root.digest)] = (mediatype.OCI_INDEX, b"not JSON")
    assert [row.state for row in check(path).drifted] == ["unlisted"]


@pytest.mark.parametrize("lie", ["head", "both", "digest", "nonsense", "damaged", "huge"])
def test_a_registry_that_lies(built: Workshop, tmp_path: Path, lie: str) -> None:
    """The right digest in its headers is worth nothing: what it hands out for the tag is hashed."""
    registry = HonestRegistry()
    lying = False

    def app(request: Request) -> Reply:
        about = "/team/web/manifests/" in request.path
        by_tag = request.path.endswith("/1.0")
        if not (lying and about and request.method in ("GET", "HEAD") and (by_tag or lie == "damaged")):
            return registry(request)
        right = ("Docker-Content-Digest", WEB.root.digest)
        kind = ("Content-Type", API.root.media_type)
        if lie == "head":
            claimed = right if request.method == "HEAD" else ("Docker-Content-Digest", API.root.digest)
            return Reply(200, (kind, claimed), API.raw)
        if lie == "digest":
            return Reply(200, (kind, ("Docker-Content-Digest", "sha256:1")), WEB.raw)
        body = {"both": API.raw, "nonsense": b"{}", "damaged": WEB.raw[:-1] + b" "}.get(lie, b" " * (5 << 20))
        return Reply(200, (kind, right), body)

    with Scripted(app) as server:
        path = pushed(built, f"docker://{server.host}/site", tmp_path / "r.json")
        assert not check(path).drifted
        lying = True
        drift = check(path)
    (row,) = drift.drifted
    assert row.reference == f"{server.host}/site/team/web:1.0"
    assert row.state == ("moved" if lie == "head" else "unreadable")
    assert len(drift.rows) == len(IMAGES), "one liar does not hide the others"
    assert "--image" in drift.again


def test_a_damaged_manifest_below_an_index(built: Workshop, tmp_path: Path) -> None:
    registry = HonestRegistry()
    with Scripted(registry) as server:
        path = pushed(built, f"docker://{server.host}", tmp_path / "r.json")
        child = next(part.descriptor for part in MULTI.parts if part.descriptor.media_type == WEB.root.media_type)
        kind, raw = registry.manifests["team/multi", child.digest]
        registry.manifests["team/multi", child.digest] = (kind, raw[:-1] + b" ")
        drift = check(path)
        assert states(drift) == {"team/multi:3.0": "incomplete"}
        built.push(f"docker://{server.host}", patterns=("*multi*",), repair=True)
        assert not check(path).drifted


def test_the_command_that_puts_it_back_says_whom_to_trust_and_how_to_get_there(
    built: Workshop, far: str, tmp_path: Path
) -> None:
    path = pushed(built, f"docker://{far}/site", tmp_path / "r.json")
    with Ends(Access(tls_verify=False)) as ends:
        load(ends.repository(Reference(far, "site/team/web")), {"1.0": MULTI})
        options = ("--trust", "a site", "--tls-verify=false")
        with ThreadPoolExecutor(2) as executor:
            drift = recheck(path, (), ends, now=NOW, executor=executor, options=options)
    assert drift.again.startswith("bundler push OUT --trust 'a site' --tls-verify=false --to ")
    with pytest.raises(PolicyError) as caught:
        drift.raise_for_drift()
    assert "newer bundle" in (caught.value.hint or "")


def test_if_everything_is_gone_no_image_is_named(built: Workshop, tmp_path: Path) -> None:
    """Ten thousand names would be more than a command line can hold."""
    registry = HonestRegistry()
    with Scripted(registry) as server:
        path = pushed(built, f"docker://{server.host}", tmp_path / "r.json")
        registry.manifests.clear()
        again = check(path).again
        assert again == f"bundler push OUT --key PUB --to docker://{server.host}"
        built.push(f"docker://{server.host}")
        assert not check(path).drifted


# At a layout


def test_a_layout(built: Workshop, tmp_path: Path) -> None:
    path = pushed(built, f"oci:{tmp_path / 'far'}", tmp_path / "r.json")
    assert not check(path).drifted
    (tmp_path / "far" / "blobs" / "sha256" / hex_of(WEB.blobs[1].descriptor.digest)).write_bytes(b"short")
    found = json.loads((tmp_path / "far" / "index.json").read_text())
    found["manifests"] = [m for m in found["manifests"] if "note" not in json.dumps(m)]
    (tmp_path / "far" / "index.json").write_text(json.dumps(found))
    drift = check(path)
    by_name = {row.reference.rpartition("/")[2]: row.state for row in drift.drifted}
    assert by_name["note:1"] == "missing"
    assert by_name["web:1.0"] == "incomplete"
    assert "--repair" in drift.again


def test_places_that_can_not_be_looked_at(built: Workshop, tmp_path: Path) -> None:
    path = pushed(built, f"dir:{tmp_path / 'far'}", tmp_path / "r.json")
    with pytest.raises(UnsupportedError, match="can't be held against a receipt"):
        check(path)


# Signatures


@pytest.mark.parametrize("kind", ["ecdsa-p256", "ed25519"])
def test_a_signed_receipt(built: Workshop, tmp_path: Path, kind: str) -> None:
    signer = key(f"receipts {kind}", kind)
    path = tmp_path / "r.json"
    write_receipt(path, built.push(f"oci:{tmp_path / 'far'}").receipt, signer)
    assert check(path, key("stranger").public, signer.public).signer == signer.public.key_id
    assert check(path).signer == ""
    with pytest.raises(SignatureError, match="by any of the given keys"):
        check(path, key("stranger").public)
    path.write_bytes(path.read_bytes().replace(b'"serial": 1', b'"serial": 2'))
    with pytest.raises(SignatureError, match="by any of the given keys"):
        check(path, signer.public)


def test_a_stripped_signature(built: Workshop, tmp_path: Path) -> None:
    path = pushed(built, f"oci:{tmp_path / 'far'}", tmp_path / "r.json")
    with pytest.raises(SignatureError, match="the receipt is not signed"):
        check(path, key("receipts").public)


def test_a_signature_of_another_receipt_does_not_stay_behind(built: Workshop, tmp_path: Path) -> None:
    path = tmp_path / "r.json"
    receipt = built.push(f"oci:{tmp_path / 'far'}").receipt
    write_receipt(path, receipt, key("receipts"))
    assert signature_path(path).exists()
    write_receipt(path, receipt, None)
    assert not signature_path(path).exists()


# What is no receipt of this place


@pytest.mark.parametrize(
    "reference",
    ["other.site/x:1", "{far}/../x:1", "{far}/X:1", "{far}", "{far}/x:1 2", "{far}@sha256:1"],
)
def test_references_that_lead_elsewhere(far: str, tmp_path: Path, reference: str) -> None:
    landed = Landed("docker.io/x:1", reference.format(far=far), WEB.root.digest, size=WEB.root.size)
    receipt = Receipt(WEB.root.digest, "edge", "stable", 1, NOW, far, (landed,), {}, ())
    write_receipt(tmp_path / "r.json", receipt, None)
    with pytest.raises(BundlerError) as caught:
        check(tmp_path / "r.json")
    assert isinstance(caught.value, ConfigError)


def test_credentials_go_to_no_registry_that_an_unchecked_receipt_names(tmp_path: Path) -> None:
    landed = Landed("docker.io/x:1", "evil.example/x:1", WEB.root.digest, size=WEB.root.size)
    receipt = Receipt(WEB.root.digest, "edge", "stable", 1, NOW, "evil.example", (landed,), {}, ())
    write_receipt(tmp_path / "r.json", receipt, None)
    access = Access(credentials=Credentials("ann", "secret"))
    with Ends(access) as ends, ThreadPoolExecutor(1) as executor, pytest.raises(ConfigError, match="credentials"):
        recheck(tmp_path / "r.json", (), ends, now=NOW, executor=executor)


def test_names_with_wildcards_are_taken_literally(tmp_path: Path) -> None:
    name = "oci:a[1]*?:x"
    landed = Landed(name, f"oci:{tmp_path}/a:x", WEB.root.digest)
    with Store.open(str(tmp_path), create=True) as store:
        for each in WEB.parts:
            store.push(each.descriptor, [each.raw])
        store.tag("b:x", WEB.root)
    other = Landed("b", f"oci:{tmp_path}/b:x", WEB.root.digest, WEB.root.media_type, WEB.root.size)
    receipt = Receipt(WEB.root.digest, "edge", "stable", 1, NOW, f"oci:{tmp_path}", (landed, other), {}, ())
    write_receipt(tmp_path / "r.json", receipt, None)
    assert re.search(r"--image 'oci:a\[\[\]1\]\[\*\]\[\?\]:x'", check(tmp_path / "r.json").again)


def test_two_runs_differ_in_time_alone(built: Workshop, far: str, tmp_path: Path) -> None:
    """Acceptance F: into the same place, wiped in between, and once more over what is there."""
    to = f"oci:{tmp_path / 'same'}"
    first = built.push(to).receipt
    kept = built.push(to).receipt
    (tmp_path / "same").rename(tmp_path / "gone")
    second = built.push(to).receipt
    later = replace(second, pushed=NOW.replace(year=2027)).document()
    assert later.pop("pushed") != first.document()["pushed"]
    assert later == {name: value for name, value in first.document().items() if name != "pushed"}
    assert {name for name in later if later[name] != kept.document()[name]} == {"blobs"}
    one, two = (built.push(f"docker://{far}/{n}").receipt.document() for n in ("one", "two"))
    assert json.dumps(one["images"]).replace("/one/", "/two/") == json.dumps(two["images"])
