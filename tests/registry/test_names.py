"""Which names of a store a repository path stands for."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bundler.oci.descriptor import Descriptor
from bundler.oci.digest import digest_of
from bundler.oci.mediatype import OCI_MANIFEST
from bundler.registry.names import is_repository, is_tag, names_of, shortened, split_name


def root(seed: str) -> Descriptor:
    return Descriptor(OCI_MANIFEST, digest_of(seed.encode()), 1)


A, B = root("a"), root("b")


@pytest.mark.parametrize(
    ("name", "split"),
    [
        pytest.param("library/nginx:1.27", ("library/nginx", "1.27"), id="short"),
        pytest.param("localhost:5000/app:1", ("localhost:5000/app", "1"), id="port"),
        pytest.param("localhost:5000/app", None, id="port-and-no-tag"),
        pytest.param("latest", None, id="tag-alone"),
        pytest.param("", None, id="nameless"),
        pytest.param(f"app@{A.digest}", None, id="digest"),
        pytest.param("app:", None, id="empty-tag"),
    ],
)
def test_split_name(name: str, split: tuple[str, str] | None) -> None:
    assert split_name(name) == split


@pytest.mark.parametrize(
    ("path", "short"),
    [
        ("docker.io/library/nginx", "library/nginx"),
        ("localhost/app", "app"),
        ("localhost:5000/app", "app"),
        ("library/nginx", ""),
        ("nginx", ""),
        ("quay.io", ""),
    ],
)
def test_shortened(path: str, short: str) -> None:
    assert shortened(path) == short


FIND = {
    "pushed": ({"team/app:1": A}, "team/app", "1", A),
    "full path": ({"docker.io/library/nginx:1": A}, "docker.io/library/nginx", "1", A),
    "short path": ({"docker.io/library/nginx:1": A}, "library/nginx", "1", A),
    "registry with a port": ({"localhost:5000/app:1": A}, "app", "1", A),
    "ambiguous": ({"docker.io/x/app:1": A, "quay.io/x/app:1": B}, "x/app", "1", None),
    "ambiguous in one tag only": ({"docker.io/x/app:1": A, "quay.io/x/app:2": B}, "x/app", "2", B),
    "the same image twice": ({"docker.io/x/app:1": A, "quay.io/x/app:1": A}, "x/app", "1", A),
    "three, the third like the first": (
        {"docker.io/x/app:1": A, "ghcr.io/x/app:1": B, "quay.io/x/app:1": A},
        "x/app",
        "1",
        None,
    ),
    "pushed wins over shortened": ({"x/app:1": B, "docker.io/x/app:1": A}, "x/app", "1", B),
    "other tag": ({"team/app:1": A}, "team/app", "2", None),
    "part of a path": ({"team/app:1": A}, "team", "1", None),
    "nobody's": ({}, "team/app", "1", None),
}


@pytest.mark.parametrize(("images", "repository", "tag", "found"), FIND.values(), ids=FIND.keys())
def test_find(images: dict[str, Descriptor], repository: str, tag: str, found: Descriptor | None) -> None:
    assert names_of(images.items()).find(repository, tag) == found


def test_lists() -> None:
    names = names_of(
        [
            ("team/app:2", A),
            ("team/app:1", A),
            ("docker.io/team/app:3", A),
            ("localhost:5000/only/short:1", B),
            ("docker.io/x/both:1", A),
            ("quay.io/x/both:1", B),
            ("latest", A),
        ]
    )
    assert names.tags("team/app") == ["1", "2", "3"]
    assert names.tags("docker.io/team/app") == ["3"]
    assert names.tags("x/both") is None
    assert names.repositories() == [
        "docker.io/team/app",
        "docker.io/x/both",
        "only/short",
        "quay.io/x/both",
        "team/app",
    ]


paths = st.sampled_from(["app", "x/app", "docker.io/x/app", "quay.io/x/app", "h:5/x/app", "localhost/app", "UP/app"])
names = st.builds("{}:{}".format, paths, st.sampled_from(["1", "2", "latest"]))


@given(st.dictionaries(names, st.sampled_from([A, B]), max_size=12))
def test_what_is_listed_is_found(images: dict[str, Descriptor]) -> None:
    view = names_of(images.items())
    for repository in view.repositories():
        assert is_repository(repository)
        tags = view.tags(repository)
        assert tags
        assert tags == sorted(tags)
        for tag in tags:
            assert is_tag(tag)
            assert view.find(repository, tag) in images.values()


@given(st.dictionaries(names, st.sampled_from([A, B]), max_size=12))
def test_every_grammatical_name_is_found_under_itself(images: dict[str, Descriptor]) -> None:
    view = names_of(images.items())
    for name, found in images.items():
        path, _, tag = name.rpartition(":")
        if is_repository(path):
            assert view.find(path, tag) == found
