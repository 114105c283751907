"""From wishes to names."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bundler.errors import ConfigError, NotFoundError, ProtocolError
from bundler.selection.expand import expand
from bundler.selection.lock import check_target
from bundler.selection.tags import TagRule
from bundler.selection.wishes import Wish

ZEROS = "sha256:" + "0" * 64


def names(*found):
    return [(named.source, named.target) for named in found]


@pytest.mark.parametrize(
    ("wish", "expected"),
    [
        pytest.param(
            Wish("docker", "docker.io/library/nginx", tags=("1.27",)),
            [("docker://docker.io/library/nginx:1.27", "library/nginx:1.27")],
            id="tag",
        ),
        pytest.param(
            Wish("docker", "ghcr.io/acme/api", digests=(ZEROS,)),
            [(f"docker://ghcr.io/acme/api@{ZEROS}", f"acme/api@{ZEROS}")],
            id="digest",
        ),
        pytest.param(
            Wish("docker", "ghcr.io/acme/api", tags=("1",), pin=ZEROS),
            [(f"docker://ghcr.io/acme/api:1@{ZEROS}", "acme/api:1")],
            id="tag and digest",
        ),
        pytest.param(
            Wish("docker", "localhost:5000/a", tags=("1", "2", "1"), digests=(ZEROS,), target="b/c"),
            [
                ("docker://localhost:5000/a:1", "b/c:1"),
                ("docker://localhost:5000/a:2", "b/c:2"),
                (f"docker://localhost:5000/a@{ZEROS}", f"b/c@{ZEROS}"),
            ],
            id="several under another path",
        ),
        pytest.param(Wish("oci", "./build/App:latest"), [("oci:./build/App:latest", "app:latest")], id="layout"),
        pytest.param(Wish("oci", "/srv/app"), [("oci:/srv/app", "app:latest")], id="layout without a name"),
        pytest.param(Wish("oci", "/srv/app/"), [("oci:/srv/app/", "app:latest")], id="layout with a slash"),
        pytest.param(
            Wish("oci", "/srv/store:docker.io/library/nginx:1.27"),
            [("oci:/srv/store:docker.io/library/nginx:1.27", "library/nginx:1.27")],
            id="layout with full names",
        ),
        pytest.param(Wish("oci-archive", "app.oci.tar:v1"), [("oci-archive:app.oci.tar:v1", "app:v1")], id="archive"),
        pytest.param(
            Wish("docker-archive", "save.tar:acme/app:2"),
            [("docker-archive:save.tar:acme/app:2", "acme/app:2")],
            id="archive with a full name",
        ),
        pytest.param(
            Wish("docker-archive", "save.tar:acme/app:2", target="x/y"),
            [("docker-archive:save.tar:acme/app:2", "x/y:2")],
            id="archive under another path",
        ),
        pytest.param(Wish("dir", "/srv/app"), [("dir:/srv/app", "app:latest")], id="dir"),
        pytest.param(Wish("dir", "/srv/_x_", target="x"), [("dir:/srv/_x_", "x:latest")], id="dir under another path"),
        pytest.param(Wish("docker-daemon", "app:1"), [("docker-daemon:app:1", "library/app:1")], id="daemon"),
        pytest.param(
            Wish("containers-storage", "[overlay@/var/lib]localhost/app"),
            [("containers-storage:[overlay@/var/lib]localhost/app", "app:latest")],
            id="storage",
        ),
    ],
)
def test_expand(wish, expected):
    found = expand(wish)
    assert names(*found) == expected
    for named in found:
        assert named.wish is wish
        assert (named.reference is not None) == (wish.transport == "docker")
        assert check_target(named.target, what="target") == named.target


def test_a_rule_is_applied():
    wish = Wish("docker", "quay.io/a", rule=TagRule(regex="^1"))
    assert names(*expand(wish, ["1", "2", "1.5", "1"])) == [
        ("docker://quay.io/a:1", "a:1"),
        ("docker://quay.io/a:1.5", "a:1.5"),
    ]


def test_a_rule_that_means_nothing():
    wish = Wish("docker", "quay.io/a", rule=TagRule(regex="^9"), where="b.yaml:7")
    with pytest.raises(NotFoundError, match=r"^b.yaml:7: quay.io/a: none of 2 tags"):
        expand(wish, ["1", "2"])
    assert expand(Wish("docker", "quay.io/a", rule=TagRule(regex="^9"), optional=True), ["1"]) == []


def test_a_registry_may_list_anything():
    with pytest.raises(ProtocolError, match=r"x1b\[2J' is not a tag .*; the registry listed it"):
        expand(Wish("docker", "quay.io/a", rule=TagRule()), ["1\x1b[2J"])


@pytest.mark.parametrize(
    "wish",
    [Wish("dir", "/"), Wish("oci", ":x"), Wish("oci", "_x_:1"), Wish("oci", "a:b c"), Wish("docker-daemon", "A:1")],
)
def test_what_has_no_name_needs_one(wish):
    with pytest.raises(ConfigError) as caught:
        expand(wish)
    assert "`as:`" in caught.value.hint


@given(st.text(max_size=30))
def test_foreign_names_give_good_targets_or_our_own_error(name):
    for transport in ("oci", "oci-archive", "docker-archive", "dir", "docker-daemon", "containers-storage"):
        try:
            (named,) = expand(Wish(transport, name))
        except ConfigError:
            continue
        assert check_target(named.target, what="target")
