"""Which names of a store a repository path stands for."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bundler.oci.descriptor import Descriptor
from bundler.oci.digest import digest_of
from bundler.oci.mediatype import OCI_MANIFEST
from bundler.registry.names import Named, Names, is_repository, is_tag, names_of, shortened, split_name


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
        pytest.param(f"app@{A.digest}", ("app", A.digest), id="digest"),
        pytest.param(f"h:5/app@{A.digest}", ("h:5/app", A.digest), id="digest-behind-a-port"),
        pytest.param(f"app:1@{A.digest}", ("app", "1"), id="tag-and-digest"),
        pytest.param("app@sha256:abc", None, id="no-digest"),
        pytest.param(f"@{A.digest}", None, id="only-a-digest"),
        pytest.param(":1", None, id="only-a-tag"),
        pytest.param("h:5/app", None, id="port-alone"),
        pytest.param("oci:/srv/build:1", None, id="layout"),
        pytest.param(f"docker-archive:x.tar:app:1@{A.digest}", None, id="archive"),
        pytest.param("oci:1", ("oci", "1"), id="repository-called-like-a-transport"),
        pytest.param("ftp://h/app:1", None, id="unknown-transport"),
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
    assert find(view_of(images), repository, tag) == found


def view_of(images: dict[str, Descriptor]) -> Names:
    return names_of(Named(name, root) for name, root in images.items())


def find(names: Names, repository: str, tag: str) -> Descriptor | None:
    held = names.repository(repository)
    named = None if held is None else held.tags.get(tag)
    return None if named is None else named.root


def tags(names: Names, repository: str) -> list[str] | None:
    held = names.repository(repository)
    return None if held is None else sorted(held.tags)


def test_by_digest() -> None:
    names = view_of({f"app@{A.digest}": A, f"docker.io/app@{B.digest}": B, "app:1": B})
    held = names.repository("app")
    assert held is not None
    assert {digest: named.root for digest, named in held.digests.items()} == {A.digest: A, B.digest: B}
    assert [named.name for named in held.named()] == ["app:1", f"docker.io/app@{B.digest}", f"app@{A.digest}"]
    assert names.meant("app", A.digest) == [f"app@{A.digest}"]
    assert names.meant("app", B.digest) == [f"docker.io/app@{B.digest}"]
    assert names.meant("app", "1") == ["app:1"]
    assert names.meant("app", "2") == []


def test_lists() -> None:
    names = view_of(
        {
            "team/app:2": A,
            "team/app:1": A,
            "docker.io/team/app:3": A,
            "localhost:5000/only/short:1": B,
            "docker.io/x/both:1": A,
            "quay.io/x/both:1": B,
            "latest": A,
        }
    )
    assert tags(names, "team/app") == ["1", "2", "3"]
    assert tags(names, "docker.io/team/app") == ["3"]
    assert tags(names, "x/both") is None
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
    view = view_of(images)
    for repository in view.repositories():
        assert is_repository(repository)
        listed = tags(view, repository)
        assert listed
        for tag in listed:
            assert is_tag(tag)
            assert find(view, repository, tag) in images.values()


@given(st.dictionaries(names, st.sampled_from([A, B]), max_size=12))
def test_every_grammatical_name_is_found_under_itself(images: dict[str, Descriptor]) -> None:
    view = view_of(images)
    for name, found in images.items():
        path, _, tag = name.rpartition(":")
        if is_repository(path):
            assert find(view, path, tag) == found
