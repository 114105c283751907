"""The fewest prefixes that lead to every image."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations, product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bundler.mirrors.mapping import Moved, Places, Rule, located, rules_for
from bundler.oci.digest import Digest

DIGEST = Digest("sha256:" + "0" * 64)


def moved(name: str, far: str, tag: str = "1") -> Moved:
    host, _, repository = name.partition("/")
    return Moved(host, repository, tag, far, DIGEST)


def prefixes(images: Mapping[str, str]) -> dict[str, Places]:
    return {rule.prefix: rule.places for rule in rules_for(moved(name, far) for name, far in images.items())}


@pytest.mark.parametrize(
    ("images", "expected"),
    [
        pytest.param({"a.io/x": "x"}, {"a.io": ("",)}, id="kept"),
        pytest.param({"a.io/x": "site/x", "a.io/y/z": "site/y/z"}, {"a.io": ("site",)}, id="below-a-path"),
        pytest.param(
            {"a.io/x": "hub/a.io/x", "b.io:5000/x": "hub/b.io-5000/x"},
            {"a.io": ("hub/a.io",), "b.io:5000": ("hub/b.io-5000",)},
            id="scoped",
        ),
        pytest.param(
            {"a.io/lib/x": "mirror/x", "a.io/lib/y": "mirror/y"}, {"a.io/lib": ("mirror",)}, id="a-path-was-replaced"
        ),
        pytest.param({"a.io/lib/x": "x", "a.io/lib/y": "y"}, {"a.io/lib": ("",)}, id="a-path-was-dropped"),
        pytest.param({"a.io/lib/x": "web"}, {"a.io/lib/x": ("web",)}, id="renamed"),
        pytest.param({"a.io/lib/x": "shop/x"}, {"a.io/lib/x": ("shop/x",)}, id="one-image-proves-no-path"),
        pytest.param(
            {"a.io/lib/x": "lib/x", "a.io/lib/y": "lib/y", "a.io/lib/z": "web"},
            {"a.io": ("",), "a.io/lib/z": ("web",)},
            id="one-of-many-renamed",
        ),
        pytest.param(
            {"a.io/x": "x", "a.io/x/y": "x/y", "a.io/x/z": "other"},
            {"a.io": ("",), "a.io/x/z": ("other",)},
            id="a-repository-that-is-a-path",
        ),
        pytest.param(
            {"a.io/x": "web", "a.io/x/y": "x/y", "a.io/x/z": "x/z"},
            {"a.io/x": ("web",), "a.io/x/y": ("x/y",), "a.io/x/z": ("x/z",)},
            id="a-path-that-moved-without-its-children",
        ),
        pytest.param({"a.io/x": "xx", "a.io/xx": "x"}, {"a.io/x": ("xx",), "a.io/xx": ("x",)}, id="swapped"),
    ],
)
def test_the_fewest_prefixes(images: dict[str, str], expected: dict[str, Places]) -> None:
    assert prefixes(images) == expected
    rules = rules_for(moved(name, far) for name, far in images.items())
    assert all(located(rules, moved(name, far)) == (far,) for name, far in images.items())


def test_an_image_at_two_places_has_both_the_fuller_first() -> None:
    images = [moved("a.io/x", "one/x", "1"), moved("a.io/x", "two/x", "2"), moved("a.io/x", "two/x", "3")]
    assert rules_for(images) == (Rule("a.io", "", ("two", "one")),)


def test_what_has_no_tag_is_for_digests_only() -> None:
    images = [moved("a.io/x", "x", ""), moved("b.io/x", "x", ""), moved("b.io/y", "y"), moved("b.io/z", "z-", "")]
    assert [(rule.prefix, rule.tagged) for rule in rules_for(images)] == [
        ("a.io", False),
        ("b.io", True),
        ("b.io/z", False),
    ]


PATHS = st.lists(st.sampled_from(["x", "y", "z"]), min_size=1, max_size=3).map("/".join)


@given(st.dictionaries(PATHS, PATHS, min_size=1, max_size=8))
def test_every_image_is_found_where_it_is(images: dict[str, str]) -> None:
    rules = rules_for(moved(f"a.io/{path}", far) for path, far in images.items())
    assert all(located(rules, moved(f"a.io/{path}", far)) == (far,) for path, far in images.items())


@given(st.dictionaries(PATHS, PATHS, min_size=1, max_size=4))
def test_no_smaller_set_of_rules_would_do(images: dict[str, str]) -> None:
    ours = rules_for(moved(f"a.io/{path}", far) for path, far in images.items())
    nodes = {path: sorted(_places(path, images)) for path in _paths(images)}
    for size in range(len(ours)):
        for chosen in combinations(nodes, size):
            for places in product(*(nodes[path] for path in chosen)):
                rules = [Rule("a.io", path, (place,)) for path, place in zip(chosen, places, strict=True)]
                assert not all(_leads(rules, path, far) for path, far in images.items()), rules


def _paths(images: Mapping[str, str]) -> list[str]:
    return sorted({"/".join(path.split("/")[:n]) for path in images for n in range(path.count("/") + 2)})


def _places(path: str, images: Mapping[str, str]) -> set[str]:
    """All that could lead to some image below."""
    found = set()
    for repository, far in images.items():
        if not path or repository == path or repository.startswith(f"{path}/"):
            rest = repository[len(path) :].strip("/")
            if not rest or far == rest:
                found.add("" if rest else far)
            elif far.endswith(f"/{rest}"):
                found.add(far[: -len(rest) - 1])
    return found


def _leads(rules: list[Rule], path: str, far: str) -> bool:
    fitting = [rule for rule in rules if not rule.path or path == rule.path or path.startswith(f"{rule.path}/")]
    return bool(fitting) and located(rules, moved(f"a.io/{path}", far)) == (far,)
