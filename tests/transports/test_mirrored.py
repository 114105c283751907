"""A repository read through its mirrors: which place is asked, and what happens when one breaks."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing

import pytest

from bundler.content import Event, Job, Note, Outcome, Ranged, Referred, Source, Tagged, copy, read, verified
from bundler.errors import (
    AuthError,
    BundlerError,
    ConfigError,
    DigestError,
    NetworkError,
    NotFoundError,
    PolicyError,
    ProtocolError,
    UnsupportedError,
)
from bundler.medium import Peeking
from bundler.oci import mediatype
from bundler.oci.descriptor import Descriptor
from bundler.oci.reference import parse_reference
from bundler.transports.docker.mirrored import Mirrored, mirrored
from bundler.transports.docker.redirects import Endpoint
from tests.images import Image, artifact, image, layer, load
from tests.memory import Fault, Memory, Plain
from tests.suites import OpenSource, SourceSuite

REFERENCE = parse_reference("origin.io/app:1")
HOSTS = ("one.io", "two.io", "origin.io")
APP = image(layer("app", 50_000))
BLOB = max(APP.blobs, key=lambda part: part.descriptor.size)


class Places:
    """Two mirrors and the origin: memories that are opened as they are asked for."""

    def __init__(self, *, blocked: tuple[str, ...] = ()) -> None:
        self.at = {host: Memory(f"{host}/app", chunk=1000) for host in HOSTS}
        self.opened: list[str] = []
        self.notes: list[str] = []
        self.blocked = blocked

    def source(self, *hosts: str, plain: bool = False) -> Mirrored:
        endpoints = [
            Endpoint(
                parse_reference(f"{host}/app:1"),
                is_mirror=host != "origin.io",
                blocked="x.conf" if host in self.blocked else "",
            )
            for host in hosts or HOSTS
        ]

        def open_repository(endpoint: Endpoint) -> Source:
            host = endpoint.reference.registry
            self.opened.append(host)
            return Plain(self.at[host]) if plain else self.at[host]

        return Mirrored(REFERENCE, endpoints, open_repository, observer=self._see)

    def hold(self, *hosts: str, images: Mapping[str, Image] | None = None) -> None:
        for host in hosts:
            load(self.at[host], images or {"1": APP})

    def break_(self, host: str, verb: str, error: BundlerError, **how: int) -> None:
        self.at[host].faults.append(Fault(verb, error=error, **how))  # type: ignore[arg-type]

    def asked(self, verb: str) -> list[str]:
        return [host for host in HOSTS if self.at[host].count(verb)]  # type: ignore[arg-type]

    def _see(self, event: Event) -> None:
        if isinstance(event, Note):
            self.notes.append(event.text)


@pytest.fixture
def places() -> Places:
    return Places()


class TestMirroredIsASource(SourceSuite):
    @pytest.fixture
    def open_source(self, places: Places) -> OpenSource:
        def opened(images: Mapping[str, Image]) -> Source:
            places.hold("two.io", "origin.io", images=images)
            return places.source()

        return opened


class TestMirrorsThatOnlyStartAtTheBeginning(SourceSuite):
    @pytest.fixture
    def open_source(self, places: Places) -> OpenSource:
        def opened(images: Mapping[str, Image]) -> Source:
            places.hold("two.io", images=images)
            return places.source("one.io", "two.io", plain=True)

        return opened

    def test_tagged_lists_each_name_once(self, source: Source, images: Mapping[str, Image]) -> None:
        assert isinstance(source, Tagged)
        with pytest.raises(UnsupportedError, match="can't be listed"):
            source.tags()

    def test_referred_finds_what_is_about_an_image(self, source: Source, images: Mapping[str, Image]) -> None:
        assert isinstance(source, Referred)
        assert source.referrers(images["web"].root.digest) == ()


def test_it_has_the_powers_of_a_repository(places: Places) -> None:
    source = places.source()
    assert all(isinstance(source, power) for power in (Ranged, Tagged, Referred, Peeking))


def test_one_place_is_the_repository_itself(places: Places) -> None:
    endpoint = Endpoint(REFERENCE)
    assert mirrored(REFERENCE, [endpoint], lambda _: places.at["one.io"]) is places.at["one.io"]


def test_the_first_mirror_answers_and_nobody_else_is_opened(places: Places) -> None:
    places.hold(*HOSTS)
    source = places.source()
    assert source.resolve("1") == APP.root
    assert read(source, BLOB.descriptor) == BLOB.raw
    assert (places.opened, places.notes) == (["one.io"], [])


@pytest.mark.parametrize(
    "error",
    [NotFoundError("no 1"), NetworkError("down"), AuthError("who?"), ProtocolError("odd"), DigestError("other bytes")],
    ids=lambda error: type(error).__name__,
)
def test_the_next_place_is_asked_and_kept(places: Places, error: BundlerError) -> None:
    places.hold("two.io", "origin.io")
    places.break_("one.io", "resolve", error)
    source = places.source()
    assert source.resolve("1") == APP.root
    assert read(source, BLOB.descriptor) == BLOB.raw
    assert (places.asked("resolve"), places.asked("fetch")) == (["one.io", "two.io"], ["two.io"])
    assert places.notes == [f"one.io/app: {error}; trying two.io/app"]


def test_a_fault_of_our_own_is_no_reason_to_go_on(places: Places) -> None:
    places.hold(*HOSTS)
    places.break_("one.io", "resolve", ConfigError("auth.json: damaged"))
    with pytest.raises(ConfigError, match=r"^auth\.json: damaged$"):
        places.source().resolve("1")
    assert places.asked("resolve") == ["one.io"]


def test_the_last_error_is_the_origins_and_names_all(places: Places) -> None:
    places.break_("one.io", "resolve", NetworkError("down"))
    places.break_("origin.io", "resolve", AuthError("pull from origin.io/app: denied", hint="log in"))
    with pytest.raises(AuthError) as caught:
        places.source().resolve("1")
    said = str(caught.value)
    assert said.startswith("pull from origin.io/app: denied (tried before: one.io/app: down; two.io/app: ")
    assert caught.value.hint == "log in"


def test_opening_a_place_may_fail_too(places: Places) -> None:
    places.hold("origin.io")

    def open_repository(endpoint: Endpoint) -> Source:
        if endpoint.is_mirror:
            raise AuthError("helper failed")
        return places.at["origin.io"]

    endpoints = [Endpoint(parse_reference("one.io/app:1"), is_mirror=True), Endpoint(REFERENCE)]
    assert mirrored(REFERENCE, endpoints, open_repository).resolve("1") == APP.root


@pytest.mark.parametrize("plain", [False, True], ids=["by range", "from the beginning"])
def test_a_break_in_a_blob_goes_on_elsewhere(places: Places, plain: bool) -> None:
    places.hold("one.io", "origin.io")
    source = places.source(plain=plain)
    source.resolve("1")
    places.break_("one.io", "fetch", NetworkError("reset"), after=10_500)
    with closing(source.fetch(BLOB.descriptor)) as chunks:
        got = [bytes(chunk) for chunk in verified(BLOB.descriptor, chunks)]
    assert b"".join(got) == BLOB.raw
    assert len(got[10]) == 500
    assert [note.partition(";")[0] for note in places.notes] == [
        "one.io/app: reset",
        f"two.io/app: two.io/app: no {BLOB.descriptor.digest}",
    ]


def test_a_blob_that_ends_early_goes_on_elsewhere(places: Places) -> None:
    places.hold("one.io", "two.io")
    source = places.source()
    places.at["one.io"].faults.append(Fault("fetch", cut=100))
    assert read(source, BLOB.descriptor) == BLOB.raw
    assert "ends after" in places.notes[0]


def test_an_offset_is_kept_across_places(places: Places) -> None:
    places.hold("one.io", "two.io")
    places.break_("one.io", "fetch", NetworkError("reset"), after=30_000)
    with closing(places.source().fetch_from(BLOB.descriptor, 25_000)) as chunks:
        assert b"".join(bytes(chunk) for chunk in chunks) == BLOB.raw[25_000:]


def test_a_blob_that_is_nowhere(places: Places) -> None:
    with pytest.raises(NotFoundError, match=r"^origin\.io/app: no .*tried before: one\.io/app: .*; two\.io/app: "):
        read(places.source(), BLOB.descriptor)


def test_a_mirror_with_other_bytes_is_found_out(places: Places) -> None:
    places.hold(*HOSTS)
    places.at["one.io"].faults.append(Fault("fetch", flip=7))
    with pytest.raises(DigestError):
        copy(Job(places.source(), Memory(), BLOB.descriptor))


def test_a_copy_over_a_break_is_whole(places: Places) -> None:
    places.hold("one.io", "origin.io")
    places.break_("one.io", "fetch", NetworkError("reset"), after=7)
    target = Memory()
    assert copy(Job(places.source(), target, BLOB.descriptor)) is Outcome.COPIED
    assert target.contents[BLOB.descriptor.digest] == BLOB.raw


def test_tags_are_never_asked_of_mirrors(places: Places) -> None:
    places.hold(*HOSTS)
    places.at["origin.io"].names["2"] = APP.root
    assert places.source().tags() == ["1", "2"]
    assert places.opened == ["origin.io"]


def test_what_belongs_to_an_image_is_asked_where_the_image_is(places: Places) -> None:
    signature = artifact(b"signed", artifact_type="application/x", subject=APP)
    companion = APP.root.digest.replace(":", "-") + ".sig"
    places.hold("origin.io", images={"1": APP, companion: signature})
    places.hold("two.io")
    source = places.source()
    assert source.resolve("1") == APP.root
    with pytest.raises(NotFoundError, match=r"^two\.io"):
        source.resolve(companion)
    assert source.referrers(APP.root.digest) == []
    assert "origin.io" not in places.opened


def test_without_an_image_before_it_a_signature_is_looked_for_everywhere(places: Places) -> None:
    signature = artifact(b"signed", artifact_type="application/x", subject=APP)
    companion = APP.root.digest.replace(":", "-") + ".sig"
    places.hold("two.io", images={"1": APP, companion: signature})
    source = places.source()
    assert source.resolve(companion) == signature.root
    assert [found.digest for found in source.referrers(APP.root.digest)] == [signature.root.digest]
    assert places.asked("referrers") == ["two.io"]


def test_peek_is_asked_in_turn(places: Places) -> None:
    class Peeker(Memory):
        def peek(self, name: str) -> Descriptor:
            return Descriptor(mediatype.OCI_MANIFEST, self.resolve(name).digest, 1)

    places.at["two.io"] = Peeker("two.io/app")
    places.hold("two.io")
    source = places.source()
    assert source.peek("1").size == 1
    assert read(source, BLOB.descriptor) == BLOB.raw
    assert places.asked("fetch") == ["two.io"]


def test_a_blocked_place_is_never_opened() -> None:
    places = Places(blocked=("one.io", "origin.io"))
    places.hold("one.io", "origin.io")
    source = places.source()
    with pytest.raises(PolicyError, match=r"^origin\.io/app: blocked by x\.conf \(tried before: one\.io/app: "):
        source.resolve("1")
    with pytest.raises(PolicyError, match=r"origin\.io/app: blocked"):
        source.tags()
    places.hold("two.io")
    assert source.resolve("1") == APP.root
    assert places.opened == ["two.io"]


def test_a_lone_blocked_place_is_refused(places: Places) -> None:
    source = mirrored(REFERENCE, [Endpoint(REFERENCE, blocked="x.conf")], lambda _: places.at["one.io"])
    with pytest.raises(PolicyError, match=r"^origin\.io/app: blocked by x\.conf$"):
        source.resolve("1")
