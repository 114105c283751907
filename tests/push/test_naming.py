"""Where each image goes: prefix, origin host, renames, and the choice of some."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bundler.bundle.statement import Attachment, CarriedImage
from bundler.errors import ConfigError, NotFoundError
from bundler.oci import mediatype
from bundler.oci.descriptor import Descriptor
from bundler.oci.digest import digest_of
from bundler.oci.reference import check_repository
from bundler.push import Shipment, shipments
from bundler.push.naming import parse_renames


def root(seed: str) -> Descriptor:
    return Descriptor(mediatype.OCI_MANIFEST, digest_of(seed.encode()), 100)


def carried(name: str, target: str, seed: str = "", **more: Any) -> CarriedImage:
    return replace(CarriedImage(name, target, root(seed or name)), **more)


NGINX = carried("docker.io/library/nginx:1.27", "library/nginx:1.27")
API = carried("ghcr.io/acme/api:2.0", "acme/api:2.0")
PORT = carried("127.0.0.1:5000/team/app:1", "team/app:1")
PINNED = carried(f"ghcr.io/acme/tool@{root('tool').digest}", f"acme/tool@{root('tool').digest}", "tool")
BUILT = carried("oci:./build/app:latest", "app:latest")
ALL = (NGINX, API, PORT, PINNED, BUILT)


def names(*images: CarriedImage, **options: Any) -> list[str]:
    return [shipment.name for shipment in shipments(images or ALL, **options)]


def test_by_default_the_targets() -> None:
    assert names() == [image.target for image in ALL]


@pytest.mark.parametrize(
    ("image", "options", "expected"),
    [
        pytest.param(NGINX, {"prefix": "site"}, "site/library/nginx:1.27", id="prefix"),
        pytest.param(NGINX, {"prefix": "/site/a/"}, "site/a/library/nginx:1.27", id="prefix-with-slashes"),
        pytest.param(NGINX, {"scoped": True}, "docker.io/library/nginx:1.27", id="scoped"),
        pytest.param(PORT, {"scoped": True}, "127.0.0.1-5000/team/app:1", id="scoped-with-a-port"),
        pytest.param(BUILT, {"scoped": True}, "oci/app:latest", id="scoped-from-a-layout"),
        pytest.param(
            carried("Registry.Example/x:1", "x:1"), {"scoped": True}, "registry.example/x:1", id="scoped-upper-case"
        ),
        pytest.param(PINNED, {"scoped": True}, f"ghcr.io/{PINNED.target}", id="scoped-by-digest"),
        pytest.param(
            PORT, {"scoped": True, "prefix": "site"}, "site/127.0.0.1-5000/team/app:1", id="prefix-before-the-host"
        ),
        pytest.param(NGINX, {"renames": {"library": "mirror"}}, "mirror/nginx:1.27", id="map-a-folder"),
        pytest.param(NGINX, {"renames": {"library/nginx": "web"}}, "web:1.27", id="map-a-whole-path"),
        pytest.param(
            NGINX, {"renames": {"library": "short", "library/nginx": "long"}}, "long:1.27", id="map-the-longest-wins"
        ),
        pytest.param(NGINX, {"renames": {"lib": "no"}}, "library/nginx:1.27", id="map-whole-parts-only"),
        pytest.param(NGINX, {"renames": {"nginx": "no"}}, "library/nginx:1.27", id="map-leading-parts-only"),
        pytest.param(NGINX, {"renames": {"library": ""}}, "nginx:1.27", id="map-to-nothing"),
        pytest.param(NGINX, {"renames": {"library": "/a/b/"}}, "a/b/nginx:1.27", id="map-to-slashes"),
        pytest.param(
            API, {"renames": {"acme": "own"}, "scoped": True, "prefix": "p"}, "p/ghcr.io/own/api:2.0", id="all-at-once"
        ),
        pytest.param(PINNED, {"renames": {"acme": "own"}}, f"own/tool@{root('tool').digest}", id="map-by-digest"),
    ],
)
def test_the_name_at_the_destination(image: CarriedImage, options: Mapping[str, Any], expected: str) -> None:
    assert names(image, **options) == [expected]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        pytest.param({"renames": {"library/nginx": ""}}, "'' is not a repository name", id="nothing-is-left"),
        pytest.param({"renames": {"library": "UPPER"}}, "write it in lower case", id="upper-case"),
        pytest.param({"renames": {"library": "a//b"}}, "not a repository name", id="an-empty-part"),
        pytest.param({"renames": {"library": "../../etc"}}, "not a repository name", id="dots"),
        pytest.param({"prefix": "x" * 300}, "not a repository name", id="too-long"),
    ],
)
def test_names_that_the_grammar_does_not_allow(options: Mapping[str, Any], said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        names(NGINX, **options)
    assert said in f"{caught.value} {caught.value.hint}"
    assert "docker.io/library/nginx:1.27" in str(caught.value)


# Shipments


def test_what_a_shipment_says() -> None:
    (tagged, pinned) = shipments([NGINX, PINNED])
    assert tagged == Shipment("docker.io/library/nginx:1.27", NGINX.root, "library/nginx", "1.27")
    assert (pinned.repository, pinned.tag, pinned.chosen) == ("acme/tool", None, None)


def test_a_sparse_index_keeps_what_was_chosen() -> None:
    children = (root("a").digest, root("b").digest)
    (shipment,) = shipments([replace(NGINX, children=children)])
    assert shipment.chosen == frozenset(children)


def test_attachments_travel_to_the_image_s_repository() -> None:
    image = replace(API, attachments=(Attachment("sha256-aa.sig", root("sig")), Attachment("", root("sbom"))))
    found = shipments([image], prefix="p")
    assert [shipment.name for shipment in found] == [
        "p/acme/api:2.0",
        "p/acme/api:sha256-aa.sig",
        f"p/acme/api@{root('sbom').digest}",
    ]
    assert [shipment.attached for shipment in found] == [False, True, True]
    assert {shipment.source for shipment in found} == {API.name}


def test_an_attachment_of_two_images_of_one_repository_travels_once() -> None:
    both = tuple(
        carried(f"ghcr.io/acme/api:{tag}", f"acme/api:{tag}", "same", attachments=(Attachment("s.sig", root("sig")),))
        for tag in ("1", "2")
    )
    assert names(*both) == ["acme/api:1", "acme/api:s.sig", "acme/api:2"]


# Clashes


def test_two_images_with_one_name_are_refused() -> None:
    first = carried("docker.io/library/app:1", "library/app:1")
    second = carried("quay.io/team/app:1", "team/app:1")
    renames = {"library": "x", "team": "x"}
    with pytest.raises(
        ConfigError, match=r"docker\.io/library/app:1 and quay\.io/team/app:1 would both become x/app:1"
    ):
        names(first, second, renames=renames)
    assert names(first, second, renames=renames, scoped=True) == ["docker.io/x/app:1", "quay.io/x/app:1"]
    assert names(first, second, renames=renames, patterns=["quay.io/*"]) == ["x/app:1"]


def test_one_image_under_one_name_twice_is_one() -> None:
    same = (carried("a.io/app:1", "a/app:1", "same"), carried("b.io/app:1", "b/app:1", "same"))
    assert names(*same, renames={"b": "a"}) == ["a/app:1"]


def test_one_index_with_other_platforms_under_one_name_is_refused() -> None:
    """Whichever came first would have decided which platforms arrive."""
    some = carried("a.io/app:1", "a/app:1", "same", children=(root("amd64").digest,))
    for others in (None, (root("arm64").digest,)):
        with pytest.raises(ConfigError, match="would both become a/app:1"):
            names(some, carried("b.io/app:1", "b/app:1", "same", children=others), renames={"b": "a"})


# Patterns


@pytest.mark.parametrize(
    ("patterns", "expected"),
    [
        pytest.param(["*nginx*"], [NGINX], id="stars"),
        pytest.param(["library/nginx:1.27"], [NGINX], id="a-target"),
        pytest.param(["docker.io/library/nginx:1.27"], [NGINX], id="a-name"),
        pytest.param(["docker://docker.io/library/nginx:1.27"], [NGINX], id="a-name-with-its-transport"),
        pytest.param(["docker://ghcr.io/*"], [API, PINNED], id="a-pattern-with-a-transport"),
        pytest.param(["acme/*"], [API, PINNED], id="a-folder"),
        pytest.param(["acme/api:[0-9].0"], [API], id="a-range"),
        pytest.param(["oci:*"], [BUILT], id="a-transport"),
        pytest.param(["*/app:1", "acme/api:*"], [API, PORT], id="in-the-bundle-s-order"),
        pytest.param(["*", "*nginx*"], list(ALL), id="each-once"),
    ],
)
def test_which_images(patterns: list[str], expected: list[CarriedImage]) -> None:
    assert [shipment.source for shipment in shipments(ALL, patterns=patterns)] == [image.name for image in expected]


@pytest.mark.parametrize("pattern", ["nothing", "NGINX*", "library/nginx", ""])
def test_a_pattern_that_matches_nothing(pattern: str) -> None:
    with pytest.raises(NotFoundError, match="matches no image") as caught:
        shipments(ALL, patterns=["*app*", pattern])
    assert "library/nginx:1.27" in caught.value.hint


def test_a_pattern_is_escaped_before_it_is_printed() -> None:
    with pytest.raises(NotFoundError, match=r"\\x1b\[31m"):
        shipments(ALL, patterns=["\x1b[31m"])


# Options


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        pytest.param([], {}, id="none"),
        pytest.param(["a=b"], {"a": "b"}, id="one"),
        pytest.param(["/a/b/=c/d"], {"a/b": "c/d"}, id="slashes"),
        pytest.param(["a="], {"a": ""}, id="to-nothing"),
        pytest.param(["a=b=c"], {"a": "b=c"}, id="the-first-sign-divides"),
    ],
)
def test_parse_renames(texts: list[str], expected: dict[str, str]) -> None:
    assert parse_renames(texts) == expected


@pytest.mark.parametrize("text", ["", "a", "=b", "/=b"])
def test_options_that_are_no_renames(text: str) -> None:
    with pytest.raises(ConfigError, match="must be FROM=TO"):
        parse_renames([text])


PATH = st.lists(st.sampled_from(["a", "b", "library", "x-1"]), min_size=1, max_size=3).map("/".join)


@given(PATH, st.dictionaries(PATH, PATH, max_size=3), st.booleans(), st.sampled_from(["", "p", "p/q"]))
def test_whatever_is_asked_for_the_name_is_one_or_it_is_refused(
    path: str, renames: dict[str, str], scoped: bool, prefix: str
) -> None:
    image = carried(f"reg.io:443/{path}:1", f"{path}:1")
    (shipment,) = shipments([image], prefix=prefix, scoped=scoped, renames=renames)
    check_repository(shipment.repository, what="test")
    assert shipment.repository.startswith(prefix)
    assert ("reg.io-443" in shipment.repository) is scoped
    assert shipment.tag == "1"
