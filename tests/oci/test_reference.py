"""Image names: Docker Hub's defaults, the grammar, and errors that say which part is wrong."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bundler.errors import ConfigError
from bundler.oci.digest import Digest
from bundler.oci.reference import (
    TRANSPORTS,
    Reference,
    check_repository,
    check_tag,
    parse_reference,
    split_transport,
)

DIGEST = Digest("sha256:" + "0123456789abcdef" * 4)


@pytest.mark.parametrize(
    ("written", "means"),
    [
        ("nginx", "docker.io/library/nginx:latest"),
        ("nginx:1.27", "docker.io/library/nginx:1.27"),
        ("acme/api", "docker.io/acme/api:latest"),
        ("docker.io/nginx", "docker.io/library/nginx:latest"),
        ("index.docker.io/nginx", "docker.io/library/nginx:latest"),
        ("registry-1.docker.io/acme/api:2", "docker.io/acme/api:2"),
        ("quay.io/acme/web", "quay.io/acme/web:latest"),
        ("quay.io/web:1", "quay.io/web:1"),
        ("localhost/app", "localhost/app:latest"),
        ("localhost:5000/app:1", "localhost:5000/app:1"),
        ("127.0.0.1:5000/a/b/c", "127.0.0.1:5000/a/b/c:latest"),
        ("[::1]:5000/app", "[::1]:5000/app:latest"),
        ("Registry/app", "Registry/app:latest"),
        (f"nginx@{DIGEST}", f"docker.io/library/nginx@{DIGEST}"),
        (f"quay.io/web:1@{DIGEST}", f"quay.io/web:1@{DIGEST}"),
        ("a__b/c-d/e.f:T_a.g-1", "docker.io/a__b/c-d/e.f:T_a.g-1"),
        ("a---b", "docker.io/library/a---b:latest"),
    ],
)
def test_parsed(written: str, means: str) -> None:
    assert str(parse_reference(written)) == means


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("", "repository name", id="empty"),
        pytest.param("Nginx", "repository name", id="upper-case"),
        pytest.param("quay.io/", "repository name", id="no-repository"),
        pytest.param("quay.io//web", "repository name", id="empty-component"),
        pytest.param("quay.io/web/", "repository name", id="trailing-slash"),
        pytest.param("quay.io/../web", "repository name", id="dots"),
        pytest.param("quay.io/a___b", "repository name", id="three-underscores"),
        pytest.param("quay.io/-a", "repository name", id="leading-dash"),
        pytest.param("quay.io/a b", "repository name", id="space"),
        pytest.param("quay.io/" + "a" * 256, "repository name", id="too-long"),
        pytest.param("quay.io/web:", "not a tag", id="empty-tag"),
        pytest.param("quay.io/web:-1", "not a tag", id="tag-starts-with-dash"),
        pytest.param("quay.io/web:" + "t" * 129, "not a tag", id="long-tag"),
        pytest.param("quay.io/web:a:b", "not a tag", id="two-tags"),
        pytest.param("quay.io/web@sha256:12", "follows the @", id="short-digest"),
        pytest.param(f"quay.io/web@{DIGEST}@{DIGEST}", "follows the @", id="two-digests"),
        pytest.param("quay.io/web@", "follows the @", id="empty-digest"),
        pytest.param("quay.io:port/web", "host", id="port-is-no-number"),
        pytest.param("quay.io:65536/web", "between 1 and 65535", id="port-too-large"),
        pytest.param("quay.io:0/web", "between 1 and 65535", id="port-zero"),
        pytest.param("-quay.io/web", "host", id="host-starts-with-dash"),
        pytest.param("user@quay.io/web", "follows the @", id="user"),
        pytest.param("quay.io/web\n", "repository name", id="newline"),
        pytest.param("quay.io/web:1\n", "not a tag", id="newline-after-tag"),
        pytest.param("[::1/web", "host", id="open-bracket"),
    ],
)
def test_refused(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=rf"bundle\.yaml:7.*{message}"):
        parse_reference(text, what="bundle.yaml:7")


def test_hints_at_lower_case() -> None:
    with pytest.raises(ConfigError) as caught:
        parse_reference("quay.io/Acme/Web")
    assert "lower case" in caught.value.hint


def test_a_bare_repository() -> None:
    bare = parse_reference("quay.io/web", default_tag="")
    assert (bare.name, bare.tag, bare.identifier) == ("quay.io/web", "", "")
    assert str(bare) == "quay.io/web"


def test_the_digest_decides() -> None:
    both = parse_reference(f"quay.io/web:1@{DIGEST}")
    assert (both.tag, both.digest, both.identifier) == ("1", DIGEST, DIGEST)
    assert str(both.at(tag="2")) == "quay.io/web:2"
    assert both.at(digest=DIGEST).identifier == DIGEST


component = st.from_regex(r"[a-z0-9]{1,5}((\.|_|__|-{1,3})[a-z0-9]{1,5}){0,2}", fullmatch=True)
registry = st.one_of(
    st.just("docker.io"),
    st.from_regex(r"[a-z0-9]{1,6}\.[a-z]{2,4}(:[1-9][0-9]{0,3})?", fullmatch=True),
    st.from_regex(r"[A-Z][a-z]{1,5}:[1-9][0-9]{1,3}", fullmatch=True),
    st.just("localhost"),
)


@given(
    registry,
    st.lists(component, min_size=1, max_size=4),
    st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,12}", fullmatch=True),
    st.sampled_from([None, DIGEST]),
    st.booleans(),
)
def test_round_trip(host: str, path: list[str], tag: str, digest: Digest | None, tagged: bool) -> None:
    if host == "docker.io" and len(path) == 1:
        path = ["library", *path]
    reference = Reference(host, "/".join(path), tag if tagged or digest is None else "", digest)
    assert parse_reference(str(reference)) == reference


@given(st.text(st.characters(codec="ascii"), max_size=40))
def test_whatever_parses_is_stable_and_safe(text: str) -> None:
    try:
        reference = parse_reference(text)
    except ConfigError:
        return
    assert parse_reference(str(reference)) == reference
    assert not {".", "..", ""}.intersection(reference.repository.split("/"))
    assert str(reference).isprintable()


@pytest.mark.parametrize(
    ("text", "transport", "rest"),
    [
        ("nginx", "docker", "nginx"),
        ("localhost:5000/app:1", "docker", "localhost:5000/app:1"),
        ("docker://quay.io/web:1", "docker", "quay.io/web:1"),
        ("oci:./build/app:latest", "oci", "./build/app:latest"),
        ("dir:/tmp/x", "dir", "/tmp/x"),
        ("oci-archive:a.tar:1", "oci-archive", "a.tar:1"),
        ("containers-storage:[overlay@/x]y", "containers-storage", "[overlay@/x]y"),
    ],
)
def test_split_transport(text: str, transport: str, rest: str) -> None:
    assert split_transport(text) == (transport, rest)


@pytest.mark.parametrize(
    ("text", "hint"),
    [("docker:quay.io/web", ""), ("http://quay.io/web", TRANSPORTS[0]), ("docekr://quay.io/web", TRANSPORTS[0])],
)
def test_split_transport_refuses(text: str, hint: str) -> None:
    with pytest.raises(ConfigError) as caught:
        split_transport(text)
    assert hint in caught.value.hint


def test_checks_return_what_they_allow() -> None:
    assert check_repository("a/b", what="x") == "a/b"
    assert check_tag("1.0", what="x") == "1.0"
