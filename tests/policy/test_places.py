"""Which scopes speak of an image, the most specific first."""

from __future__ import annotations

import pytest

from bundler.oci.digest import digest_of
from bundler.oci.reference import parse_reference
from bundler.policy.places import Place, anywhere, docker_place, named_place, path_place, scope_fault

DIGEST = digest_of(b"")


@pytest.mark.parametrize(
    ("name", "scopes"),
    [
        (
            "a.b.example:5000/team/sub/app:1",
            [
                *("a.b.example:5000/team/sub/app:1", "a.b.example:5000/team/sub/app", "a.b.example:5000/team/sub"),
                *("a.b.example:5000/team", "a.b.example:5000", "*.b.example", "*.example"),
            ],
        ),
        ("busybox", ["docker.io/library/busybox:latest", "docker.io/library/busybox", "docker.io/library", "docker.io", "*.io"]),
        (f"localhost/x@{DIGEST}", [f"localhost/x@{DIGEST}", "localhost/x", "localhost"]),
        (f"localhost/x:1@{DIGEST}", [f"localhost/x@{DIGEST}", "localhost/x", "localhost"]),
    ],
)  # fmt: skip
def test_names(name: str, scopes: list[str]) -> None:
    assert list(docker_place(parse_reference(name)).scopes) == scopes


@pytest.mark.parametrize(("path", "scopes"), [("/a/b/c", ["/a/b/c", "/a/b", "/a"]), ("/a", ["/a"]), ("/", [])])
def test_paths(path: str, scopes: list[str]) -> None:
    assert list(path_place("dir", path).scopes) == scopes


def test_archives_have_a_name_and_no_scopes() -> None:
    reference = parse_reference("app:1")
    assert named_place("docker-archive", reference) == Place("docker-archive", (), reference)
    assert not anywhere("containers-storage").knows_scopes


@pytest.mark.parametrize(
    ("transport", "scope", "is_one"),
    [
        ("docker", "anything/at all", True),
        ("docker", "", True),
        ("docker", "a\nb", False),
        ("docker", "\u202eoci", False),
        ("dir", "/a/b", True),
        ("dir", "a", False),
        ("dir", "/", False),
        ("dir", "/a/", False),
        ("dir", "/a/../b", False),
        ("dir", "//a", False),
        ("oci", "/a:b", True),
        ("oci-archive", "./a", False),
        ("bundle", "/media", True),
        ("docker-archive", "/a.tar", False),
        ("docker-archive", "", True),
        ("docker-daemon", str(DIGEST), False),
        ("docker-daemon", "docker.io/library", True),
        ("containers-storage", "[overlay@/var/lib]docker.io", True),
        ("containers-storage", "docker.io", False),
        ("atomic", "registry/ns", True),
        ("later", "what it likes", True),
    ],
)
def test_what_may_be_a_scope(transport: str, scope: str, is_one: bool) -> None:
    assert (scope_fault(transport, scope) == "") is is_one
