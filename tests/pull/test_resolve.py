"""From wishes to locked images: what is asked for, what is kept, and what errors say."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import pytest

from bundler.content import Source
from bundler.errors import AuthError, BundlerError, ConfigError, DigestError, NotFoundError, ProtocolError
from bundler.oci import mediatype
from bundler.oci.digest import Digest, digest_of
from bundler.oci.platform import Platform, parse_platform
from bundler.oci.reference import parse_reference
from bundler.pull import resolve as resolving
from bundler.pull.resolve import Resolved, resolve_wishes
from bundler.selection import Wishes, read_wishes
from bundler.selection.lock import Lock, next_lock
from bundler.selection.wishes import Wish
from tests.attachments import Signing
from tests.images import Image, artifact, as_json, image, index, layer, load, part
from tests.memory import Fault, Memory, Plain

NOW = datetime(2026, 1, 31, tzinfo=UTC)
AMD, ARM, ARM7 = (parse_platform(f"linux/{name}") for name in ("amd64", "arm64", "arm/v7"))


def app(seed: str, platform: str = "linux/amd64", *, docker: bool = False) -> Image:
    return image(layer(f"{seed} {platform}", 60, docker=docker), platform=platform, docker=docker)


def multi(seed: str) -> Image:
    return index(*(app(seed, str(platform)) for platform in (AMD, ARM, ARM7)))


@dataclass
class Site:
    """Registries in memory: repositories by ``registry/repository``, each a Memory."""

    repositories: dict[str, Memory] = field(default_factory=dict)
    opened: list[str] = field(default_factory=list)

    def hold(self, name: str, images: Mapping[str, Image]) -> Memory:
        memory = self.repositories.setdefault(name, Memory(name))
        load(memory, images)
        memory.calls.clear()
        return memory

    def open_source(self, wish: Wish) -> tuple[Source, str]:
        self.opened.append(wish.name)
        if wish.transport == "docker":
            return self.repositories[wish.name], ""
        place, _, name = wish.name.partition(":")
        return Plain(self.repositories[place]), name

    def calls(self) -> list[tuple[str, str]]:
        return [call for memory in self.repositories.values() for call in memory.calls]

    def forget(self) -> None:
        self.opened.clear()
        for memory in self.repositories.values():
            memory.calls.clear()


def wished(images: str, head: str = "") -> Wishes:
    text = f"apiVersion: bundler/v1\nkind: Bundle\nname: edge\n{head}images:\n{images}\n"
    return read_wishes(text.encode(), "bundle.yaml")


def resolve(
    site: Site, wishes: Wishes, previous: Lock | None = None, update: tuple[str, ...] = (), jobs: int = 3
) -> Resolved:
    with ThreadPoolExecutor(jobs) as executor:
        return resolve_wishes(wishes, site.open_source, executor=executor, previous=previous, update=update)


def locked(site: Site, wishes: Wishes, previous: Lock | None = None, update: tuple[str, ...] = ()) -> Lock:
    found = resolve(site, wishes, previous, update)
    return next_lock(previous, name="edge", channel="stable", images=found.images, issued=NOW, expires=None)


@pytest.fixture
def site() -> Site:
    """Two registries with some tags."""
    site = Site()
    site.hold("reg.io/web", {f"1.{n}": app(f"web{n}") for n in range(12)} | {"latest": app("web11")})
    site.hold("other.io/team/api", {"2.0": multi("api"), "docker": app("api", docker=True)})
    return site


# Names


def test_names_become_digests_in_the_order_of_the_wishes(site: Site) -> None:
    wishes = wished("  - other.io/team/api:2.0\n  - reg.io/web:1.3\n  - reg.io/web")
    images = resolve(site, wishes).images
    assert [image.source for image in images] == [
        "docker://other.io/team/api:2.0",
        "docker://reg.io/web:1.3",
        "docker://reg.io/web:latest",
    ]
    assert [image.target for image in images] == ["team/api:2.0", "web:1.3", "web:latest"]
    assert images[1].origin.digest == images[1].root.digest == app("web3").root.digest
    assert images[1].root.platform == AMD
    assert images[0].wish == wishes.wishes[0].fingerprint


def test_a_digest_and_a_pinned_tag(site: Site) -> None:
    digest = app("web3").root.digest
    images = resolve(site, wished(f"  - reg.io/web@{digest}\n  - reg.io/web:1.3@{digest}")).images
    assert {image.root.digest for image in images} == {digest}
    assert [image.target for image in images] == [f"web@{digest}", "web:1.3"]
    assert site.repositories["reg.io/web"].count("resolve", "1.3") == 0


def test_one_image_wished_for_twice_is_asked_for_once(site: Site) -> None:
    wishes = wished("  - reg.io/web:1.3\n  - image: reg.io/web\n    tags: ['1.3', '1.4']", "attachments: none\n")
    assert [image.target for image in resolve(site, wishes).images] == ["web:1.3", "web:1.4"]
    assert site.repositories["reg.io/web"].count("resolve", "1.3") == 1


def test_a_layout_s_name_is_the_medium_s_business(site: Site) -> None:
    site.hold("build", {"app:1": app("built")})
    (found,) = resolve(site, wished("  - image: oci:build:app:1\n    as: acme/app")).images
    assert (found.source, found.target) == ("oci:build:app:1", "acme/app:1")
    assert found.root.digest == app("built").root.digest


def test_small_contents_that_were_read_are_handed_on(site: Site) -> None:
    found = resolve(site, wished("  - reg.io/web:1.3"))
    config = app("web3").parts[-2]
    assert found.known == {config.descriptor.digest: config.raw}


def test_an_artifact_has_no_platform(site: Site) -> None:
    chart = artifact(b"a chart", artifact_type="application/vnd.example.chart")
    site.hold("reg.io/chart", {"1": chart})
    wishes = wished("  - reg.io/chart:1", "platforms: [linux/s390x]\n")
    assert resolve(site, wishes).images[0].root.platform is None


# Rules


@pytest.mark.parametrize(
    ("rule", "tags"),
    [
        pytest.param(r"{regex: '^1\.1[01]$'}", ["1.10", "1.11"], id="regex"),
        pytest.param("{semver: '>=1.9 <2'}", ["1.10", "1.11", "1.9"], id="semver"),
        pytest.param("{semver: '>=1.0', newest: 2}", ["1.11", "1.10"], id="newest-by-version-not-by-text"),
        pytest.param(r"{regex: '^1\.', exclude: ['1$', '0$']}", [f"1.{n}" for n in range(2, 10)], id="exclude"),
        pytest.param("['1.3', '1.1']", ["1.3", "1.1"], id="a-list"),
    ],
)
def test_which_tags(site: Site, rule: str, tags: list[str]) -> None:
    images = resolve(site, wished(f"  - image: reg.io/web\n    tags: {rule}")).images
    assert [image.target for image in images] == [f"web:{tag}" for tag in tags]


def test_the_tag_list_is_asked_for_once_per_repository(site: Site) -> None:
    """However many images come from it, and however many workers need it at the same moment."""
    memory = site.repositories["reg.io/web"]
    together = threading.Barrier(6, timeout=0.2)
    honest = memory.tags

    def slow() -> object:
        found = honest()
        with suppress(threading.BrokenBarrierError):
            together.wait()  # only a second asker ends the wait early
        return found

    memory.tags = slow  # type: ignore[method-assign,assignment]  # to make a race sure
    resolve(site, wished("  - image: reg.io/web\n    tags: ['1.1', '1.2', '1.3', '1.4', '1.5', '1.6']"), jobs=6)
    assert memory.count("tags") == 1


def test_no_tag_list_where_nothing_needs_one(site: Site) -> None:
    resolve(site, wished("  - reg.io/web:1.3", "attachments: none\n"))
    assert site.repositories["reg.io/web"].count("tags") == 0


def test_a_rule_that_means_nothing_fails_with_its_line(site: Site) -> None:
    with pytest.raises(NotFoundError, match=r"bundle\.yaml:5: reg\.io/web: none of 13 tags"):
        resolve(site, wished("  - image: reg.io/web\n    tags: {regex: '^9'}"))


def test_an_optional_rule_may_mean_nothing(site: Site) -> None:
    nothing = "  - image: reg.io/web\n    tags: {regex: '^9'}\n    optional: true\n"
    assert [i.target for i in resolve(site, wished(nothing + "  - reg.io/web:1.3")).images] == ["web:1.3"]
    with pytest.raises(ConfigError, match="edge: no image is left"):
        resolve(site, wished(nothing))


def test_an_optional_tag_may_be_absent(site: Site) -> None:
    listed = "  - {image: reg.io/web, tags: ['1.3', '9.9'], optional: true}\n"
    assert [i.target for i in resolve(site, wished(listed)).images] == ["web:1.3"]
    with pytest.raises(ConfigError, match="edge: no image is left"):
        resolve(site, wished("  - {image: reg.io/web, tags: ['9.9'], optional: true}\n"))
    site.repositories["reg.io/web"].faults.append(Fault("resolve", error=AuthError("denied")))
    with pytest.raises(AuthError):
        resolve(site, wished(listed))


def test_a_rule_needs_a_medium_with_a_tag_list(site: Site) -> None:
    wishes = wished("  - image: reg.io/web\n    tags: {regex: '1'}")
    plain = Plain(site.repositories["reg.io/web"])
    with ThreadPoolExecutor(1) as executor, pytest.raises(ConfigError, match=r"bundle\.yaml:5.*no list of tags"):
        resolve_wishes(wishes, lambda wish: (plain, ""), executor=executor)


# Platforms


@pytest.mark.parametrize(
    ("options", "shape", "carried"),
    [
        pytest.param("", "keep", [AMD, ARM, ARM7], id="all"),
        pytest.param("platforms: all", "keep", [AMD, ARM, ARM7], id="all-said-so"),
        pytest.param("platforms: [linux/arm64]", "single", [], id="one"),
        pytest.param("platforms: [linux/amd64, linux/arm64]", "sparse", [AMD, ARM], id="some-sparse-by-default"),
        pytest.param(
            "platforms: [linux/amd64, linux/arm64]\n    index: strip", "strip", [AMD, ARM], id="some-stripped"
        ),
        pytest.param("platforms: [linux/arm64]\n    index: keep", "keep", [AMD, ARM, ARM7], id="one-kept-whole"),
        pytest.param(
            "platforms: [linux/amd64, linux/aarch64, linux/arm]", "keep", [AMD, ARM, ARM7], id="every-one-by-name"
        ),
    ],
)
def test_what_is_carried_of_an_index(site: Site, options: str, shape: str, carried: list[Platform]) -> None:
    whole = multi("api")
    (found,) = resolve(site, wished(f"  - image: other.io/team/api\n    tags: ['2.0']\n    {options}")).images
    assert found.index == shape
    assert found.origin.digest == whole.root.digest
    assert [child.platform for child in found.children] == carried
    if shape == "single":
        assert found.root.digest == app("api", "linux/arm64").root.digest
        assert found.platforms == (ARM,)
    elif shape == "strip":
        assert found.root.digest not in {whole.root.digest, *(child.digest for child in found.children)}
    else:
        assert found.root.digest == whole.root.digest


def test_of_an_index_only_the_index_is_read(site: Site) -> None:
    resolve(site, wished("  - image: other.io/team/api:2.0\n    attachments: none"))
    assert [call for call in site.calls() if call[0] == "fetch"] == [("fetch", multi("api").root.digest)]


@pytest.mark.parametrize(
    ("item", "said"),
    [
        pytest.param("other.io/team/api:2.0", "has no image for linux/s390x; there are linux/amd64", id="index"),
        pytest.param("reg.io/web:1.3", "is for linux/amd64 only, not for linux/s390x", id="manifest"),
        pytest.param("other.io/team/api:docker", "is for linux/amd64 only, not for linux/s390x", id="docker-schema-2"),
    ],
)
def test_a_platform_that_is_not_there(site: Site, item: str, said: str) -> None:
    with pytest.raises(NotFoundError) as caught:
        resolve(site, wished(f"  - {item}", "platforms: [linux/s390x]\n"))
    assert str(caught.value).startswith(f"bundle.yaml:6: docker://{item}: ")
    assert said in str(caught.value)


# Attachments: which are asked for; tests/pull/test_attachments.py tells which are found


def test_attachments_of_index_and_chosen_children(site: Site) -> None:
    whole, arm = multi("api"), app("api", "linux/arm64")
    tag = f"{arm.root.digest.replace(':', '-')}.sig"
    sbom = artifact(b"{}", subject=whole)
    memory = site.hold("other.io/team/api", {tag: artifact(b"signed"), "x-sbom": sbom})
    wishes = wished("  - other.io/team/api:2.0", "platforms: [linux/arm64, linux/amd64]\n")
    (found,) = resolve(site, wishes).images
    assert {(a.tag, a.root.digest) for a in found.attachments} == {
        (tag, artifact(b"signed").root.digest),
        ("", sbom.root.digest),
    }
    memory.calls.clear()
    wishes = wished("  - image: other.io/team/api:2.0\n    attachments: none")
    (found,) = resolve(site, wishes).images
    assert found.attachments == ()
    assert [(one.reason, one.subject) for one in found.left_out] == [("unasked", whole.root.digest)]
    assert memory.count("tags") == memory.count("referrers") == 0


def test_attachments_follow_what_is_carried_in_place_of_the_index(site: Site) -> None:
    """Those of the index itself too: they are about what the name stood for."""
    arm = app("api", "linux/arm64")
    names = {subject: f"{subject.root.digest.replace(':', '-')}.sig" for subject in (multi("api"), arm)}
    site.hold("other.io/team/api", {name: artifact(name.encode()) for name in names.values()})
    (found,) = resolve(site, wished("  - other.io/team/api:2.0", "platforms: [linux/arm64]\n")).images
    assert {a.tag for a in found.attachments} == set(names.values())


def test_what_is_about_a_platform_that_is_not_chosen_is_told_of(site: Site) -> None:
    tags = {
        str(platform): f"{app('api', str(platform)).root.digest.replace(':', '-')}.sig" for platform in (AMD, ARM, ARM7)
    }
    site.hold("other.io/team/api", {name: artifact(name.encode()) for name in tags.values()})
    (found,) = resolve(site, wished("  - other.io/team/api:2.0", "platforms: [linux/arm64, linux/amd64]\n")).images
    assert {a.tag for a in found.attachments} == {tags["linux/amd64"], tags["linux/arm64"]}
    assert [(one.reason, one.kind, one.tag) for one in found.left_out] == [
        ("platform", "signature", tags["linux/arm/v7"])
    ]


@pytest.mark.parametrize(
    ("platforms", "reasons"),
    [
        pytest.param("all", [], id="all"),
        pytest.param("[linux/arm64, linux/amd64]", ["platform"], id="sparse"),
        pytest.param("[linux/arm64]", ["platform", "index", "platform"], id="single"),
    ],
)
def test_attestations_that_an_index_lists(site: Site, platforms: str, reasons: list[str]) -> None:
    children = [app("kit", str(platform)) for platform in (AMD, ARM, ARM7)]
    raw = json.loads(index(*children).raw)
    notes = [artifact(f"about {n}".encode()) for n in range(3)]
    for child, note in zip(children, notes, strict=True):
        entry = {**note.root.document(), "platform": {"os": "unknown", "architecture": "unknown"}}
        said = {"vnd.docker.reference.type": "attestation-manifest", "vnd.docker.reference.digest": child.root.digest}
        raw["manifests"].append({**entry, "annotations": said})
    root = part(as_json(raw), mediatype.OCI_INDEX)
    parts = tuple(dict.fromkeys(each for held in (*children, *notes) for each in held.parts))
    site.hold("other.io/team/kit", {"1": Image(root.descriptor, (*parts, root))})
    (found,) = resolve(site, wished(f"  - image: other.io/team/kit:1\n    platforms: {platforms}")).images
    assert [one.reason for one in found.left_out] == reasons
    assert {(one.kind, one.subject) for one in found.left_out if one.reason == "index"} <= {
        ("attestation", children[1].root.digest)
    }


def test_an_index_of_too_many_platforms_to_look_at(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resolving, "MOST_OTHERS", 1)
    memory = site.hold("other.io/team/api", {})
    (found,) = resolve(site, wished("  - image: other.io/team/api:2.0\n    platforms: [linux/arm64]")).images
    assert memory.count("referrers") == 3  # of the index, of the one that is carried, and of one that is not
    assert [(one.reason, one.subject) for one in found.left_out] == [("cap", multi("api").root.digest)]


def test_simple_signatures_are_asked_for_where_they_are_kept(site: Site) -> None:
    keeper = Signing({multi("api").root.digest: [b"signed"]})
    asked = []

    def signed(image: str, source: Source) -> Signing:
        asked.append((image, source))
        return keeper

    with ThreadPoolExecutor(2) as executor:
        (found,) = resolve_wishes(
            wished("  - other.io/team/api:2.0"), site.open_source, executor=executor, signed=signed
        ).images
    assert asked == [("docker://other.io/team/api:2.0", site.repositories["other.io/team/api"])]
    assert [(one.kind, one.subject) for one in found.attachments] == [("signature", multi("api").root.digest)]


# An earlier lock


THREE = "  - reg.io/web:1.3\n  - reg.io/web:latest\n  - other.io/team/api:2.0"


def test_what_is_locked_touches_nothing(site: Site) -> None:
    wishes = wished(THREE)
    lock = locked(site, wishes)
    site.forget()
    assert set(resolve(site, wishes, lock).images) == set(lock.images)
    assert site.calls() == []
    assert site.opened == []


def test_a_locked_rule_does_not_ask_for_tags_again(site: Site) -> None:
    wishes = wished(r"  - {image: reg.io/web, tags: {semver: '>=1.9'}}")
    lock = locked(site, wishes)
    site.hold("reg.io/web", {"1.12": app("web12")})
    site.forget()
    assert locked(site, wishes, lock) == lock
    assert site.calls() == []
    assert "web:1.12" in [image.target for image in locked(site, wishes, lock, ("*",)).images]


def test_a_new_wish_touches_only_its_own_repository(site: Site) -> None:
    lock = locked(site, wished("  - reg.io/web:1.3\n  - reg.io/web:latest"))
    site.hold("reg.io/web", {"1.3": app("moved")})
    site.forget()
    new = locked(site, wished(THREE), lock)
    assert site.opened
    assert set(site.opened) == {"other.io/team/api"}
    assert site.repositories["reg.io/web"].calls == []
    assert set(lock.images) < set(new.images)
    assert new.serial == 2


def test_a_changed_wish_is_asked_for_again(site: Site) -> None:
    lock = locked(site, wished("  - other.io/team/api:2.0"))
    new = locked(site, wished("  - other.io/team/api:2.0", "platforms: [linux/arm64]\n"), lock)
    assert (lock.images[0].index, new.images[0].index) == ("keep", "single")


@pytest.mark.parametrize(
    ("pattern", "moved"),
    [
        pytest.param("*", {"web:1.3", "web:latest", "team/api:2.0"}, id="all"),
        pytest.param("web", {"web:1.3", "web:latest"}, id="a-repository"),
        pytest.param("web:1.*", {"web:1.3"}, id="a-tag"),
        pytest.param("docker://other.io/team/api:2.0", {"team/api:2.0"}, id="a-full-name"),
        pytest.param("other.io/*", {"team/api:2.0"}, id="a-registry"),
        pytest.param("nothing", set(), id="nothing"),
    ],
)
def test_update_moves_what_it_names(site: Site, pattern: str, moved: set[str]) -> None:
    wishes = wished(THREE)
    lock = locked(site, wishes)
    site.hold("reg.io/web", {"1.3": app("moved"), "latest": app("moved")})
    site.hold("other.io/team/api", {"2.0": multi("moved")})
    before = {image.target: image for image in lock.images}
    after = {image.target: image for image in resolve(site, wishes, lock, (pattern,)).images}
    assert before.keys() == after.keys()
    assert {name for name in after if after[name] != before[name]} == moved


def test_update_of_one_tag_of_a_list_keeps_the_others(site: Site) -> None:
    wishes = wished("  - {image: reg.io/web, tags: ['1.3', '1.4', '1.5']}")
    lock = locked(site, wishes)
    site.forget()
    assert locked(site, wishes, lock, ("*1.4",)) == lock
    assert [name for verb, name in site.calls() if verb == "resolve"] == ["1.4"]


# Errors


@contextmanager
def saying(error: type[BundlerError], *words: str) -> Iterator[None]:
    with pytest.raises(error) as caught:
        yield
    for word in words:
        assert word in str(caught.value)


NAMED = ("bundle.yaml:6: docker://reg.io/web:1.3: ",)


@pytest.mark.parametrize(
    ("spoil", "error"),
    [
        pytest.param(lambda memory: memory.names.clear(), NotFoundError, id="a-tag-that-is-not-there"),
        pytest.param(
            lambda memory: memory.faults.append(Fault("resolve", error=AuthError("denied"))), AuthError, id="refused"
        ),
        pytest.param(lambda memory: memory.faults.append(Fault("fetch", flip=2)), DigestError, id="a-damaged-manifest"),
        pytest.param(
            lambda memory: memory.names.update({"1.3": memory.put(b"[]", mediatype.OCI_MANIFEST)}),
            ProtocolError,
            id="no-manifest-at-all",
        ),
        pytest.param(
            lambda memory: memory.faults.append(Fault("tags", error=AuthError("no list for you"))),
            AuthError,
            id="no-tag-list-for-attachments",
        ),
    ],
)
def test_errors_name_file_line_and_image(
    site: Site, spoil: Callable[[Memory], object], error: type[BundlerError]
) -> None:
    spoil(site.repositories["reg.io/web"])
    with saying(error, *NAMED):
        resolve(site, wished("  - other.io/team/api:2.0\n  - reg.io/web:1.3"))


def test_a_tag_list_that_cannot_be_had_names_file_line_and_repository(site: Site) -> None:
    site.repositories["reg.io/web"].faults.append(Fault("tags", error=AuthError("no list for you")))
    with saying(AuthError, "bundle.yaml:6: ", "reg.io/web", "no list for you"):
        resolve(site, wished("  - other.io/team/api:2.0\n  - {image: reg.io/web, tags: {regex: '^1'}}"))


def test_a_pin_that_the_tag_does_not_have(site: Site) -> None:
    absent = digest_of(b"something else")
    with saying(NotFoundError, f"bundle.yaml:5: docker://reg.io/web:1.3@{absent}: "):
        resolve(site, wished(f"  - reg.io/web:1.3@{absent}"))


def test_a_sparse_index_that_lists_one_platform_twice(site: Site) -> None:
    """Both are carried: nothing says which one a puller takes."""
    twins = index(app("one"), app("two"), app("one", "linux/arm64"))
    site.hold("reg.io/twins", {"1": twins})
    (found,) = resolve(site, wished("  - reg.io/twins:1", "platforms: [linux/amd64]\n")).images
    assert found.index == "sparse"
    assert {child.digest for child in found.children} == {app("one").root.digest, app("two").root.digest}


def test_a_plain_list_has_lines_too(site: Site) -> None:
    wishes = read_wishes(b"reg.io/web:1.3\nreg.io/web:gone\n", "list.txt")
    with saying(NotFoundError, "list.txt:2: docker://reg.io/web:gone"):
        resolve(site, wishes)


def test_a_lock_says_the_same_when_made_again(site: Site) -> None:
    wishes = wished(THREE)
    lock = locked(site, wishes)
    assert locked(site, wishes, lock) is lock
    assert locked(site, wishes, lock, ("*",)) is lock
    moved = replace(lock.images[0], root=replace(lock.images[0].root, digest=Digest("sha256:" + "1" * 64)))
    assert lock.images[0] != moved
    assert parse_reference("reg.io/web:1.3").name in site.repositories


# Memory


def test_configs_beyond_what_is_remembered_are_left_to_the_pull(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    wishes = wished("  - {image: reg.io/web, tags: ['1.0', '1.1', '1.2']}")
    sizes = [len(raw) for raw in resolve(site, wishes).known.values()]
    assert len(sizes) == 3
    monkeypatch.setattr("bundler.pull.resolve.MOST_KNOWN", sum(sizes) - 1)
    found = resolve(site, wishes)
    assert len(found.images) == 3
    assert len(found.known) == 2


def test_tag_lists_beyond_what_is_remembered_are_asked_for_again(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a", "b"):
        site.hold(f"reg.io/{name}", {f"1.{n}": app(f"{name}{n}") for n in range(5)})
    rules = [f"  - {{image: reg.io/{name}, tags: {{regex: '1.{n}'}}}}" for n in range(2) for name in ("a", "b")]
    wishes = wished("\n".join(rules))
    asked = []
    for most in (100, 6):
        monkeypatch.setattr("bundler.pull.resolve.MOST_TAGS", most)
        site.forget()
        assert len(resolve(site, wishes, jobs=1).images) == 4
        asked.append(sum(verb == "tags" for verb, _ in site.calls()))
    assert asked == [2, 8]  # for the rules, and for what is attached
