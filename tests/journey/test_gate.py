"""The gate, step by step: what is refused, in which report, and that nothing has reached the destination by then.

1 signatures, 2 volumes, 3 closure, 4 images, then contents and acceptance; tests carry the number of their step.
"""

from __future__ import annotations

import json
import os
import re
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]  # it has none

from bundler.bundle.pack import write_signed
from bundler.bundle.statement import write_statement
from bundler.bundle.unpack import Volumes, read_documents
from bundler.cli.sizes import human
from bundler.errors import (
    ArchiveError,
    BundlerError,
    ConfigError,
    DigestError,
    DiskError,
    NetworkError,
    PolicyError,
    ReadOnlyError,
    SignatureError,
    TrustError,
)
from bundler.journey import far
from bundler.journey.access import Access
from bundler.journey.demand import Demand
from bundler.journey.ends import Ends
from bundler.journey.far import Route, Verdict, examine, push
from bundler.journey.keys import signed
from bundler.journey.rooting import pin
from bundler.oci.reference import Reference
from bundler.registry.process import running
from bundler.store import Store
from bundler.trust.dsse import Envelope
from bundler.trust.verify import accept_unsigned
from tests.attachments import cosign_image
from tests.images import load
from tests.trust.images.material import key as image_key
from tests.trust.images.material import signature
from tests.trust.roots import ANN, BOB, CAT, DAN, trusted_root
from tests.workshop import API, MULTI, WEB, Workshop

NOW = datetime.fromisoformat("2030-06-01T12:00:00Z")
SCHEMA = json.loads((Path(__file__).parents[2] / "schemas" / "report" / "schema.json").read_text())
VALIDATOR = Draft202012Validator(SCHEMA)
ROUTES = ("patterns", "repair", "renames", "scoped")
SIMPLE_SIGNING = "application/vnd.dev.cosign.simplesigning.v1+json"


@dataclass(frozen=True, slots=True)
class Place:
    """A bundle of three images, of which ``web`` and ``multi`` are signed with cosign, and a site for it."""

    folder: Path
    host: str
    bundle: Path
    site: Path
    policy: Path

    def demand(self, now: datetime = NOW, **options: Any) -> Demand:
        return Demand.of((), 1, now=now, trust=self.site, **options)

    def rules(self, *rules: str, head: str = "", into: Path | None = None) -> Path:
        """A policy of these rules; each is YAML."""
        path = into or self.policy
        lines = "".join(f"- {{{rule}}}\n" for rule in rules)
        path.write_text(f"apiVersion: bundler/v1\nkind: TrustPolicy\n{head}images:\n{lines}")
        (path.parent / "ann.pub").write_bytes(image_key("ann").public.pem)
        return path

    def remade(self, name: str, *, by: tuple[Any, ...] = (ANN, CAT), **changes: Any) -> Path:
        """The same content under another statement."""
        directory = self.folder / name
        directory.mkdir()
        for path in self.bundle.iterdir():
            if "SHA256SUMS." not in path.name and path.name != "bundle.dsse.json":
                os.link(path, directory / path.name)
        documents = read_documents(self.bundle)
        statement = replace(accept_unsigned(documents).statement, **changes)
        write_signed(directory, *signed(Envelope(write_statement(statement)), documents.sums, by))
        return directory

    def examine(self, demand: Demand | None = None, bundle: Path | None = None, **options: Any) -> Verdict:
        """A verdict, whose report is the schema's and can be printed."""
        with ThreadPoolExecutor(2) as executor:
            verdict = examine(bundle or self.bundle, demand or self.demand(), executor=executor, **options)
        VALIDATOR.validate(verdict.document())
        assert all(line.isprintable() for line in verdict.lines(human))
        return verdict

    def push(self, to: str, demand: Demand | None = None, bundle: Path | None = None, **options: Any) -> far.Pushed:
        route = Route(to, **{name: options.pop(name) for name in ROUTES if name in options})
        with ThreadPoolExecutor(3) as executor:
            return push(
                bundle or self.bundle,
                demand or self.demand(),
                route,
                Access(tls_verify=False),
                executor=executor,
                **options,
            )


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The registry upstream."""
    with running(tmp_path_factory.mktemp("upstream")) as url:
        host = url.removeprefix("http://")
        with Ends(Access(tls_verify=False)) as ends:
            for name, held in (("web", WEB), ("multi", MULTI), ("api", API)):
                target = ends.repository(Reference(host, f"near/{name}"))
                load(target, {"1": held})
                if name != "api":
                    piece = signature(held.root.digest, reference=f"{host}/near/{name}")
                    image = cosign_image(piece.content, SIMPLE_SIGNING, piece.annotations)
                    load(target, {f"{held.root.digest.replace(':', '-')}.sig": image})
        yield host


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory, host: str) -> Path:
    """The bundle, signed by two of the three."""
    images = "".join(f"  - {host}/near/{name}:1\n" for name in ("web", "multi", "api"))
    place = Workshop(tmp_path_factory.mktemp("near"), images, access=Access(tls_verify=False))
    place.pull(now=NOW - timedelta(hours=1))
    return place.pack("out", ANN, CAT).directory


@pytest.fixture
def place(tmp_path: Path, built: Path, host: str) -> Place:
    root = trusted_root()
    (tmp_path / "root").write_bytes(root.raw)
    pin(tmp_path / "site", tmp_path / "root", root.fingerprint)
    place = Place(tmp_path, host, built, tmp_path / "site", tmp_path / "trust.yaml")
    place.rules("match: '**', cosign: {keys: [ann.pub]}")
    return place


def outcomes(verdict: Verdict) -> str:
    """How far each step came, in order."""
    return " ".join(step["outcome"] for step in verdict.document()["gate"])


def refused(place: Place, error: type[BundlerError], message: str, **options: Any) -> Verdict:
    """``verify`` and ``push`` both refuse with this, and there is no trace of a push, at the destination or at the site."""
    before = {path: path.read_bytes() for path in place.site.rglob("*") if path.is_file()}
    verdict = place.examine(**options)
    with pytest.raises(error, match=message):
        verdict.raise_for_damage()
    assert verdict.document()["verdict"] == "refused"
    assert verdict.document()["refused"]["class"] == error.label
    with pytest.raises(error, match=message):
        place.push(f"oci:{place.folder / 'nowhere'}", **options)
    assert not (place.folder / "nowhere").exists()
    assert {path: path.read_bytes() for path in place.site.rglob("*") if path.is_file()} == before
    return verdict


# 1


def test_1_too_few_signers(place: Place) -> None:
    verdict = refused(place, TrustError, "missing: ", bundle=place.remade("one", by=(ANN,)))
    assert outcomes(verdict) == "failed" + " not reached" * 4
    assert (verdict.document()["bundle"], verdict.document()["images"]) == (None, [])
    assert verdict.lines(human)[-1] == "REFUSED (TRUST)"


def test_1_a_stripped_signature(place: Place) -> None:
    bundle = place.remade("stripped")
    for path in bundle.glob("SHA256SUMS.*.sig"):
        path.unlink()
    refused(place, SignatureError, "missing", bundle=bundle)


def test_1_rollback(place: Place) -> None:
    newer = place.remade("newer", issued=NOW - timedelta(minutes=5), epoch=1)
    place.push(f"oci:{place.folder / 'far'}", bundle=newer)
    refused(place, PolicyError, "rollback")


def test_1_an_expired_bundle(place: Place) -> None:
    bundle = place.remade("old", expires=NOW - timedelta(minutes=5))
    refused(place, PolicyError, "expired", bundle=bundle)
    verdict = place.examine(place.demand(allow_expired=True), bundle)
    assert verdict.document()["overrides"] == [{"option": "--allow-expired", "reason": None}]
    place.rules("match: '**', nothing: true", head="expiry: warn\n")
    verdict = place.examine(bundle=bundle, policy=place.policy)
    assert [override["option"] for override in verdict.document()["overrides"]] == ["expiry: warn"]
    assert verdict.conclusion == "VERIFIED"


def test_1_a_channel_that_the_policy_does_not_take(place: Place) -> None:
    place.rules("match: '**', nothing: true", head="channels: [lts]\n")
    verdict = refused(place, PolicyError, "takes no bundles of the channel stable", policy=place.policy)
    assert verdict.document()["bundle"]["channel"] == "stable"


@pytest.mark.parametrize("spoil", ["broken", "dangling", "directory"])
def test_1_a_site_s_policy_that_can_not_be_read_is_not_taken_for_none(place: Place, spoil: str) -> None:
    path = place.site / "trust.yaml"
    match spoil:
        case "broken":
            path.write_text("images: []")
        case "dangling":
            path.symlink_to("absent")
        case _:
            path.mkdir()
    refused(place, ConfigError, "trust.yaml|does not exist|is a directory")


# 2 and 3


def test_2_a_missing_volume(place: Place) -> None:
    bundle = place.remade("short")
    (bundle / "volume-0001.tar.zst").unlink()
    verdict = refused(place, ArchiveError, "volume 1 of 1 is missing", bundle=bundle)
    assert outcomes(verdict) == "passed failed" + " not reached" * 3
    assert verdict.document()["bundle"]["serial"] == 1


@pytest.mark.parametrize("spoil", [0, -1, 7], ids=["gone", "short", "long"])
def test_2_a_volume_is_missed_however_it_is_looked_for(place: Place, spoil: int) -> None:
    """With ``damage`` it is listed as lost; that can't be had together with not reading, which would find nothing wrong."""
    bundle = place.remade("short")
    volume = bundle / "volume-0001.tar.zst"
    raw = volume.read_bytes()
    volume.unlink()
    if spoil:
        volume.write_bytes(raw[:spoil] if spoil < 0 else raw + bytes(spoil))
    verdict = place.examine(bundle=bundle, damage=True)
    assert (verdict.document()["verdict"], verdict.sound) == ("damaged", False)
    assert outcomes(verdict) == "passed failed not reached not reached failed"
    assert "every digest compared" not in "\n".join(verdict.lines(human))
    with pytest.raises(ConfigError, match="--quick and --damage exclude each other"):
        place.examine(bundle=bundle, damage=True, quick=True)


def test_3_an_image_that_lacks_a_content(place: Place) -> None:
    """A statement that is signed, and lists a manifest that the volumes don't hold."""
    statement = accept_unsigned(read_documents(place.bundle)).statement
    root = replace(statement.images[0].root, digest="sha256:" + "0" * 64)
    bundle = place.remade("hole", images=(replace(statement.images[0], root=root), *statement.images[1:]))
    refused(place, ArchiveError, "is missing|listed by", bundle=bundle)


def test_3_a_damaged_manifest(place: Place) -> None:
    """Seen before anything is pushed, since step 3 reads it."""
    bundle = place.remade("bent")
    volume = bundle / "volume-0001.tar.zst"
    volume.unlink()
    volume.write_bytes((place.bundle / volume.name).read_bytes())
    trusted = accept_unsigned(read_documents(bundle))
    row = next(row for row in trusted.inventory.rows if row.digest == WEB.root.digest)
    raw = bytearray(volume.read_bytes())
    raw[row.offset + 40] ^= 1
    volume.write_bytes(raw)
    with pytest.raises((DigestError, ArchiveError)):
        place.push(f"oci:{place.folder / 'nowhere'}", bundle=bundle)
    assert not (place.folder / "nowhere").exists()
    found = place.examine(bundle=bundle, damage=True).document()
    assert found["verdict"] == "damaged"
    assert WEB.root.digest in found["contents"]["lost"]
    web = next(image for image in found["images"] if image["digest"] == WEB.root.digest)
    assert (web["size"], web["assessment"]) == (None, None)


# 4


def test_4_an_unsigned_image(place: Place) -> None:
    verdict = refused(place, PolicyError, r"1 of 3 images are not let in.*near/api:1", policy=place.policy)
    assert outcomes(verdict) == "passed passed passed failed not reached"
    images = {image["target"]: image["assessment"] for image in verdict.document()["images"]}
    assert {name: found["passed"] for name, found in images.items()} == {
        "near/api:1": False,
        "near/multi:1": True,
        "near/web:1": True,
    }
    assert images["near/web:1"]["found"][0]["verified"] is True
    assert [cover["passed"] for cover in images["near/multi:1"]["covered"]] == [True, True]
    assert "FAILED" in "\n".join(verdict.lines(human))


def test_4_signed_by_another_key(place: Place) -> None:
    place.rules("match: '**/api:*', nothing: true", "match: '**', cosign: {keys: [mallory.pub]}")
    (place.policy.parent / "mallory.pub").write_bytes(image_key("mallory").public.pem)
    refused(place, PolicyError, "2 of 3 images are not let in", policy=place.policy)


def test_4_nothing_is_asked_of_the_destination(place: Place) -> None:
    """Not even a connection is opened before the gate has passed."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(0.2)
        with pytest.raises(PolicyError):
            place.push(f"docker://127.0.0.1:{listening.getsockname()[1]}", policy=place.policy)
        with pytest.raises(TimeoutError):
            listening.accept()


def test_4_the_site_s_own_policy_holds_without_being_named(place: Place) -> None:
    path = place.rules("match: '**', cosign: {keys: [ann.pub]}", into=place.site / "trust.yaml")
    refused(place, PolicyError, "near/api:1")
    place.rules("match: '**/api:*', nothing: true", "match: '**', cosign: {keys: [ann.pub]}", into=path)
    found = place.examine().document()
    assert found["verdict"] == "verified"
    assert re.fullmatch(r"sha256:[0-9a-f]{64}", found["policy"])
    receipt = place.push(f"oci:{place.folder / 'far'}").receipt
    assert receipt.policy == found["policy"]
    assert receipt.statement == found["bundle"]["statement"]


def test_4_a_policy_in_place_of_the_site_s_is_told(place: Place) -> None:
    """Whoever signs the report off sees that another file decided than the site's own."""
    own = place.rules("match: '**', cosign: {keys: [ann.pub]}", into=place.site / "trust.yaml")
    place.rules("match: '**', nothing: true")
    told = {"option": "--policy", "reason": "in place of the site's own trust.yaml"}
    assert place.examine(policy=place.policy).document()["overrides"] == [told]
    assert place.examine(place.demand(policy=place.policy)).document()["overrides"] == [told]
    receipt = place.push(f"oci:{place.folder / 'far'}", policy=place.policy).receipt
    assert receipt.overrides == ((told["option"], told["reason"]),)
    assert place.examine(policy=own).document()["overrides"] == []  # its own, by name
    own.unlink()
    assert place.examine(policy=place.policy).document()["overrides"] == []


def test_4_some_images_alone(place: Place) -> None:
    """What is not pushed need not pass; and nothing of it is."""
    place.push(f"oci:{place.folder / 'far'}", patterns=("*web*", "*multi*"), policy=place.policy)
    assert not any("api" in name for name, _ in Store.open(str(place.folder / "far")).images())
    with pytest.raises(PolicyError, match=r"1 of 1 images.*near/api:1"):
        place.push(f"oci:{place.folder / 'far'}", patterns=("*api*",), policy=place.policy)


@pytest.mark.parametrize(
    ("to", "route", "name"),
    [
        ("oci:{far}", {"renames": ("near=library",)}, "library/api:1"),
        ("docker://127.0.0.1:9/library", {}, "library/near/api:1"),
        ("oci:{far}", {"scoped": True}, "127.0.0.1-{port}/near/api:1"),
    ],
    ids=["map", "prefix", "scoped"],
)
def test_4_a_push_is_held_against_the_names_as_they_arrive(
    place: Place, to: str, route: dict[str, Any], name: str
) -> None:
    """A rule that lets an image be called ``near/api`` says nothing of what it is called after names were rewritten."""
    open_to = {"near": "target: 'near/**'", "there": f"target: '{name.format(port=place.host.rpartition(':')[2])}'"}
    where = to.format(far=place.folder / "far")
    options: dict[str, Any] = {"patterns": ("*api*",), "policy": place.policy, **route}
    place.rules(f"match: '**', {open_to['near']}, nothing: true")
    with pytest.raises(PolicyError, match="no rule of"):
        place.push(where, **options)
    assert not (place.folder / "far").exists()
    place.rules(f"match: '**', {open_to['there']}, nothing: true")
    if to.startswith("oci:"):
        place.push(where, **options)
    else:  # past the gate, and nobody is there
        with pytest.raises(NetworkError):
            place.push(where, **options)


def test_4_damage_is_listed_before_images_are_judged(place: Place) -> None:
    verdict = place.examine(damage=True, policy=place.policy)
    assert outcomes(verdict) == "passed passed passed failed passed"
    assert verdict.document()["verdict"] == "refused"


def test_without_a_policy_what_is_attached_is_listed(place: Place) -> None:
    found = place.examine().document()
    assert found["verdict"] == "verified"
    assert {step["step"]: step["outcome"] for step in found["gate"]}["images"] == "skipped"
    web = next(image for image in found["images"] if image["target"] == "near/web:1")
    assert [each["kind"] for each in web["attached"]] == ["signature"]
    assert [each["verified"] for each in web["assessment"]["found"]] == [False]
    assert web["size"] == sum(each.descriptor.size for each in WEB.parts)


# 5 and 6


def test_6_accepted_before_the_first_tag(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """The site remembers the bundle when all contents are there, and no tag is."""
    seen: list[tuple[int, list[str]]] = []
    accepted = Demand.accepted

    def watch(demand: Demand, trusted: Any) -> None:
        store = Store.open(str(place.folder / "far"))
        seen.append((len(list(store.blobs())), [name for name, _ in store.images()]))
        accepted(demand, trusted)

    monkeypatch.setattr(Demand, "accepted", watch)
    place.push(f"oci:{place.folder / 'far'}")
    contents = Volumes(place.bundle, accept_unsigned(read_documents(place.bundle))).sizes
    assert seen == [(len(contents), [])]
    assert json.loads((place.site / "state.json").read_text())["marks"][0]["serial"] == 1
    place.push(f"oci:{place.folder / 'far'}")
    assert len(seen) == 2  # with nothing to send, it is accepted all the same


def test_6_a_newer_bundle_that_was_accepted_meanwhile(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two pushes at once: the older one was accepted first, and may have moved tags last. It does not end well."""
    newer = place.remade("newer", epoch=1)
    accepted = Demand.accepted
    runs = iter(["older"])

    def overtaken(demand: Demand, trusted: Any) -> None:
        accepted(demand, trusted)
        if next(runs, ""):
            place.push(f"oci:{place.folder / 'elsewhere'}", bundle=newer)

    monkeypatch.setattr(Demand, "accepted", overtaken)
    with pytest.raises(PolicyError, match="another bundle of this line was accepted while this one") as caught:
        place.push(f"oci:{place.folder / 'far'}")
    assert "newer one" in (caught.value.hint or "")
    place.push(f"oci:{place.folder / 'far'}", bundle=newer)


def test_6_no_tag_moves_if_the_site_can_not_remember(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise DiskError("write state.json: Input/output error")

    monkeypatch.setattr(Demand, "accepted", fail)
    with pytest.raises(DiskError):
        place.push(f"oci:{place.folder / 'far'}")
    assert list(Store.open(str(place.folder / "far")).images()) == []


def test_5_damage_between_contents_is_not_accepted(place: Place) -> None:
    bundle = place.remade("bent")
    volume = bundle / "volume-0001.tar.zst"
    raw = bytearray(volume.read_bytes())
    raw[-40] ^= 1  # in the seek table
    volume.unlink()
    volume.write_bytes(raw)
    before = (place.site / "state.json").read_bytes()
    with pytest.raises(ArchiveError, match="damaged"):
        place.push(f"oci:{place.folder / 'far'}", bundle=bundle)
    assert list(Store.open(str(place.folder / "far")).images()) == []
    assert (place.site / "state.json").read_bytes() == before


def test_accept_needs_a_site_and_all_contents(place: Place) -> None:
    unmanaged = Demand((ANN.public,), 1, NOW)
    cases: list[Callable[[], object]] = [
        lambda: place.examine(accept=True, quick=True),
        lambda: place.examine(unmanaged, accept=True),
    ]
    for case in cases:
        with pytest.raises(ConfigError, match="--accept needs --trust"):
            case()


def test_a_site_that_can_not_be_written_can_be_verified_with(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise ReadOnlyError("write state.json: Read-only file system")

    monkeypatch.setattr("bundler.journey.site_files.write_over", fail)
    assert place.examine().conclusion == "VERIFIED"
    verdict = place.examine(accept=True)
    assert verdict.document()["verdict"] == "refused"
    assert verdict.document()["refused"]["class"] == "RO"
    with pytest.raises(ReadOnlyError):
        verdict.raise_for_damage()


# The report of a managed site


def test_first_contact_then_the_last_accepted(place: Place) -> None:
    first = place.examine()
    assert "bundle      edge stable serial 1, first contact" in first.lines(human)
    assert first.document()["last"] is None
    signatures = first.document()["signatures"]
    assert (signatures["threshold"], signatures["root"]) == (2, 1)
    assert {signer["name"] for signer in signatures["by"]} == {"ann", "cat"}
    assert [signer["name"] for signer in signatures["others"]] == ["bob"]
    place.examine(accept=True)
    again = place.examine()
    assert any("serial 1, last accepted 1, the same bundle" in line for line in again.lines(human))
    assert again.document()["changes"] == []


def test_what_is_new_changed_and_gone(place: Place, host: str) -> None:
    place.examine(accept=True)
    statement = accept_unsigned(read_documents(place.bundle)).statement
    api, multi, web = sorted(statement.images, key=lambda image: image.name)
    images = (replace(api, root=web.root), multi, replace(web, name=f"{host}/near/web:2", target="near/web:2"))
    found = place.examine(bundle=place.remade("next", epoch=1, images=images)).document()
    nothing = {"platforms": None, "attachments": None}
    assert found["changes"] == [
        {"change": "changed", "name": f"{host}/near/api:1", "was": API.root.digest, "now": WEB.root.digest, **nothing},
        {"change": "gone", "name": f"{host}/near/web:1", "was": WEB.root.digest, "now": None, **nothing},
        {"change": "new", "name": f"{host}/near/web:2", "was": None, "now": WEB.root.digest, **nothing},
    ]
    assert found["last"]["serial"] == found["last"]["compared"] == 1


def test_what_changed_without_another_digest(place: Place, host: str) -> None:
    """A signature that does not come any more, and an image that goes to another place."""
    place.examine(accept=True)
    statement = accept_unsigned(read_documents(place.bundle)).statement
    api, multi, web = sorted(statement.images, key=lambda image: image.name)
    images = (replace(api, target="near/db:1"), multi, replace(web, attachments=()))
    verdict = place.examine(bundle=place.remade("next", epoch=1, images=images))
    found = verdict.document()["changes"]
    assert [(change["change"], change["name"]) for change in found] == [
        ("gone", f"{host}/near/api:1 as near/api:1"),
        ("new", f"{host}/near/api:1 as near/db:1"),
        ("changed", f"{host}/near/web:1"),
    ]
    (signature,) = web.attachments
    assert found[-1]["attachments"] == {"new": [], "gone": [signature.root.digest]}
    assert any("carries no more" in line for line in verdict.lines(human))


def test_a_rollback_with_a_reason_is_told_loudly(place: Place) -> None:
    place.examine(bundle=place.remade("newer", epoch=1), accept=True)
    demand = place.demand(allow_rollback="the new one is broken")
    verdict = place.examine(demand)
    assert "OVERRIDE    --allow-rollback: the new one is broken" in verdict.lines(human)
    receipt = place.push(f"oci:{place.folder / 'far'}", demand).receipt
    assert receipt.document()["overrides"] == [{"option": "--allow-rollback", "reason": "the new one is broken"}]


def test_a_clock_that_stopped_in_1970(place: Place) -> None:
    found = place.examine(place.demand(now=datetime.fromisoformat("1970-01-01T00:10:00Z"))).document()["time"]
    assert found["clock"] == "1970-01-01T00:10:00Z"
    assert found["used"] > "2026"
    assert found["floor"]


def test_two_runs_differ_in_time_alone(place: Place, tmp_path: Path) -> None:
    """Acceptance F, for a bundle that passes, one that is refused, and one that is damaged."""
    bent = place.remade("bent")
    volume = bent / "volume-0001.tar.zst"
    raw = bytearray(volume.read_bytes())
    for content in (WEB.blobs[1].raw, API.blobs[1].raw):
        raw[raw.find(content[2600:2640])] ^= 1
    volume.unlink()
    volume.write_bytes(raw)
    place.rules("match: '**', cosign: {keys: [ann.pub]}", into=tmp_path / "strict.yaml")
    for options in ({}, {"policy": tmp_path / "strict.yaml"}, {"bundle": bent, "damage": True}):
        one = place.examine(**options).document()
        two = place.examine(place.demand(now=NOW + timedelta(days=2)), **options).document()
        assert one.pop("time") != two.pop("time")
        assert one == two


def test_unsigned_bundles_pass_the_images_gate_too(place: Place) -> None:
    verdict = place.examine(Demand((), 1, NOW), policy=place.policy)
    with pytest.raises(PolicyError, match="near/api:1"):
        verdict.raise_for_damage()
    assert outcomes(verdict).startswith("skipped passed passed failed")
    assert verdict.document()["overrides"] == [{"option": "--unsafe-no-signature", "reason": None}]


def test_keys_that_are_not_the_site_s(place: Place) -> None:
    """Simple mode shows keys by their ids, those that did not sign among them."""
    demand = Demand((ANN.public, BOB.public, DAN.public, ANN.public), 1, NOW)
    found = place.examine(demand).document()["signatures"]
    assert found["by"] == [{"name": None, "keyId": ANN.public.key_id}]
    assert {each["keyId"] for each in found["others"]} == {BOB.public.key_id, DAN.public.key_id}
