"""A sync between repositories in memory: what is carried, what is left alone, what becomes of failures."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest

from bundler.convert import Recipe
from bundler.errors import ConfigError, NetworkError, NotFoundError
from bundler.graph import walk
from bundler.journey.access import Access
from bundler.journey.destination import Held
from bundler.journey.ends import Ends
from bundler.journey.fitting import Instances, Wanted
from bundler.journey.sync_list import Item
from bundler.journey.syncing import Entry, Rules, Synced, entries_of, surplus, sync
from bundler.medium import EVERYTHING, Holds
from bundler.oci.descriptor import Descriptor
from bundler.oci.digest import Digest
from bundler.oci.platform import parse_platform
from bundler.oci.reference import parse_reference
from bundler.push import Shipment
from tests.images import family, load
from tests.memory import Fault, Memory

IMAGES = family()
PLATFORM = parse_platform("linux/amd64")


class Site:
    """A destination of repositories in memory."""

    name = "site.example.com"
    prefix = "mirror"
    colons = False
    by_digest = True

    def __init__(self) -> None:
        self.repositories: dict[str, Memory] = {}

    @contextmanager
    def at_work(self) -> Iterator[None]:
        yield

    def holds(self) -> Holds:
        return EVERYTHING

    def berth(self, load: Shipment) -> Shipment:
        return load

    def target(self, key: str) -> Memory:
        return self.repositories.setdefault(key, Memory(key))

    def keeper(self, load: Shipment) -> None:
        """Nothing keeps signatures."""

    def keep(self, roots: Iterable[tuple[str, Descriptor]]) -> None:
        """Nothing to do."""

    def found(self, load: Shipment) -> Digest | None:
        try:
            return self.target(load.repository).resolve(load.tag or load.root.digest).digest
        except NotFoundError:
            return None

    def listed(self, repository: str) -> list[Held]:
        names = self.target(repository).names
        return [Held(f"{repository}:{tag}", root.digest, lambda tag=tag: names.pop(tag)) for tag, root in names.items()]

    def has_all(self, load: Shipment, root: Descriptor, chosen: frozenset[Digest] | None) -> bool:
        held = self.target(load.repository).contents
        return all(node.digest in held for node in walk(self.target(load.repository), root, chosen=chosen).nodes)

    def reached(self, repository: str, roots: Iterable[Digest]) -> set[Digest]:
        return set(roots)

    def tags(self) -> dict[str, str]:
        """Every name with its digest."""
        return {
            f"{key}:{tag}": root.digest
            for key, memory in self.repositories.items()
            for tag, root in memory.names.items()
        }


@pytest.fixture
def source() -> Memory:
    memory = Memory("acme/app")
    load(memory, {"1": IMAGES["web"], "2": IMAGES["docker"], "all": IMAGES["multi"]})
    return memory


@pytest.fixture
def site() -> Site:
    return Site()


def items(source: Memory, *tags: str, path: str = "acme/app") -> list[Item]:
    host = "registry.example.com"
    return [
        Item(
            f"docker://{host}/{path}:{tag}", source, tag, host, path, tag, None, parse_reference(f"{host}/{path}:{tag}")
        )
        for tag in tags
    ]


def rules(**options: Any) -> Rules:
    wanted = Wanted(PLATFORM, options.pop("instances", Instances.SYSTEM), options.pop("recipe", Recipe()))
    return Rules(wanted, **options)


def run(listed: list[Item], site: Site, orders: Rules) -> Synced:
    with ThreadPoolExecutor(4) as executor:
        return sync(
            entries_of(listed, site, orders), site, orders, near=Ends(Access()), transport="docker", executor=executor
        )


def test_what_is_missing_is_carried_and_the_rest_is_left_alone(source: Memory, site: Site) -> None:
    first = run(items(source, "1", "2"), site, rules())
    assert (first.copied, first.unchanged) == (2, 0)
    assert site.tags() == {
        "mirror/app:1": IMAGES["web"].root.digest,
        "mirror/app:2": IMAGES["docker"].root.digest,
    }
    calls = len(site.target("mirror/app").calls)
    source.calls.clear()
    second = run(items(source, "1", "2"), site, rules())
    assert (second.copied, second.unchanged) == (0, 2)
    assert second.landed == first.landed
    assert not source.count("fetch")
    assert {verb for verb, _ in site.target("mirror/app").calls[calls:]} == {"resolve"}


def test_a_tag_that_moved_is_carried(source: Memory, site: Site) -> None:
    run(items(source, "1", "2"), site, rules())
    source.names["1"] = IMAGES["docker"].root
    done = run(items(source, "1", "2"), site, rules())
    assert (done.copied, done.unchanged) == (1, 1)
    assert site.tags()["mirror/app:1"] == IMAGES["docker"].root.digest


@pytest.mark.parametrize(
    ("instances", "digest"),
    [
        pytest.param(Instances.SYSTEM, IMAGES["web"].root.digest, id="for-this-system"),
        pytest.param(Instances.ALL, IMAGES["multi"].root.digest, id="all"),
    ],
)
def test_an_index(instances: Instances, digest: str, source: Memory, site: Site) -> None:
    for unchanged in (0, 1):
        done = run(items(source, "all"), site, rules(instances=instances))
        assert site.tags() == {"mirror/app:all": digest}
        assert done.unchanged == unchanged


@pytest.mark.parametrize(
    ("orders", "name"),
    [
        pytest.param(rules(), "mirror/app:1", id="the-last-part"),
        pytest.param(rules(scoped=True), "mirror/registry.example.com/acme/app:1", id="scoped"),
        pytest.param(rules(suffix="-x"), "mirror/app:1-x", id="suffix"),
    ],
)
def test_names(orders: Rules, name: str, source: Memory, site: Site) -> None:
    run(items(source, "1"), site, orders)
    assert list(site.tags()) == [name]


def test_a_conversion_is_made_each_time(source: Memory, site: Site) -> None:
    orders = rules(recipe=Recipe(format="v2s2"))
    done = run(items(source, "1"), site, orders)
    ((name, digest),) = done.landed
    assert (name, site.tags()) == ("mirror/app:1", {"mirror/app:1": digest})
    assert digest != IMAGES["web"].root.digest


def test_no_tag_moves_unless_all_arrived(source: Memory, site: Site) -> None:
    base = IMAGES["docker"].blobs[1].descriptor.digest
    source.faults.append(Fault("fetch", base, error=NetworkError("reset")))
    with pytest.raises(NetworkError, match="reset"):
        run(items(source, "1", "2"), site, rules())
    assert site.tags() == {}


def test_going_on_gathers_the_failures(source: Memory, site: Site) -> None:
    base = IMAGES["docker"].blobs[1].descriptor.digest
    source.faults.append(Fault("fetch", base, error=NetworkError("reset")))
    done = run(items(source, "nothing", "2", "1"), site, rules(keep_going=True))
    assert list(site.tags()) == ["mirror/app:1"]
    assert [image.rpartition(":")[2] for image, _ in done.failed] == ["nothing", "2"]
    with pytest.raises(NotFoundError, match=r"2 images failed; the first, .*app:nothing"):
        done.raise_for_failures()


def test_wrong_bytes_never_become_a_name(source: Memory, site: Site) -> None:
    source.faults.append(Fault("fetch", IMAGES["web"].blobs[0].descriptor.digest, flip=10))
    done = run(items(source, "1"), site, rules(keep_going=True))
    assert site.tags() == {}
    assert len(done.failed) == 1


def test_two_images_that_would_get_one_name(source: Memory, site: Site) -> None:
    both = [*items(source, "1"), *items(source, "1", path="other/app")]
    with pytest.raises(ConfigError, match="would both become mirror/app:1"):
        entries_of(both, site, rules())
    assert len(entries_of(both, site, rules(scoped=True))) == 2


def test_what_the_list_no_longer_names(source: Memory, site: Site) -> None:
    far = site.target("mirror/app")
    load(far, {"1": IMAGES["web"], "old": IMAGES["zstd"], "also-1": IMAGES["web"]})
    load(site.target("mirror/other"), {"1": IMAGES["zstd"]})
    entries: list[Entry] = entries_of(items(source, "1"), site, rules())
    assert [each.name for each in surplus(entries, {}, site)] == ["mirror/app:old"]  # also-1 is 1's digest
    surplus(entries, {}, site)[0].remove()
    assert sorted(far.names) == ["1", "also-1"]
