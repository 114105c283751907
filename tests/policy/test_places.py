"""Which scopes speak of an image, the most specific first."""

from __future__ import annotations

import pytest

from bundler.errors import ConfigError
from bundler.oci.digest import digest_of
from bundler.oci.reference import parse_reference
from bundler.policy.places import Place, anywhere, docker_place, named_place, path_place, scope_fault, storage_place

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
    assert anywhere("containers-storage").doubtful(["", "[/x]"]) == "[/x]"
    assert anywhere("containers-storage").doubtful([""]) is None


STORE = "[overlay@/var/lib/x]"


@pytest.mark.parametrize(
    ("storage", "name", "scopes"),
    [
        (STORE, "a.b:5/c/d:1", ["a.b:5/c/d:1", "a.b:5/c/d", "a.b:5/c", "a.b:5", "", "[/var/lib/x]"]),
        ("[overlay@/var/lib/x+/run/x:o=1,p]", "localhost/x:1", ["localhost/x:1", "localhost/x", "localhost", "", "[/var/lib/x]"]),
        ("[overlay@/var//lib/x/]", "localhost/x:1", ["localhost/x:1", "localhost/x", "localhost", "", "[/var/lib/x]"]),
        (STORE, f"localhost/x@{DIGEST}", [f"localhost/x@{DIGEST}", "localhost/x", "localhost", "", "[/var/lib/x]"]),
        (STORE, f"localhost/x:1@{DIGEST}", [f"localhost/x:1@{DIGEST}", "localhost/x:1", "localhost/x", "localhost", "", "[/var/lib/x]"]),
        (STORE, "@" + "a" * 64, ["@" + "a" * 64, "", "[/var/lib/x]"]),
        (STORE, "a" * 64, ["@" + "a" * 64, "", "[/var/lib/x]"]),
        (STORE, "@abc", None),
        (STORE, "abc", None),
        (STORE, "localhost/x@" + "a" * 64, None),
        ("[/var/lib/x]", "localhost/x:1", None),
        ("[overlay@]", "localhost/x:1", None),
        ("", "localhost/x:1", None),
    ],
)  # fmt: skip
def test_storages(storage: str, name: str, scopes: list[str] | None) -> None:
    try:
        reference = parse_reference(name)
    except ConfigError:
        reference = None
    place = storage_place(storage, name, reference)
    if scopes is None:
        assert place == anywhere("containers-storage", reference)
    else:
        assert list(place.scopes) == [each if each.startswith("[") else STORE + each for each in scopes]
        assert place.doubtful([STORE, f"{STORE}localhost/x:1"]) is None
        by_id = f"{STORE}localhost/x:1@{'b' * 64}"
        assert place.doubtful([by_id]) == (None if "a" * 64 in name else by_id)


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
        ("containers-storage", "[/var/lib]", True),
        ("containers-storage", "[overlay@/var/lib]", True),
        ("containers-storage", f"[overlay@/var/lib]x@{'a' * 64}", True),
        ("containers-storage", f"[overlay@/var/lib]x@{DIGEST}", True),
        ("containers-storage", f"[overlay@/var/lib]x:1@{DIGEST}@{'a' * 64}", True),
        ("containers-storage", f"[overlay@/var/lib]x@{'a' * 64}@{DIGEST}", False),
        ("containers-storage", "[overlay@/var/lib]x@abc", False),
        ("containers-storage", "[overlay@/var/lib]x@", False),
        ("containers-storage", f"[overlay@/var/lib]x@{'a' * 64}@{'a' * 64}@{'a' * 64}", False),
        ("containers-storage", "[overlay@var/lib]x", False),
        ("containers-storage", "[var/lib]x", False),
        ("containers-storage", "[overlay@/var/lib", False),
        ("containers-storage", "[@/var/lib]", False),
        ("containers-storage", "[overlay@]", False),
        ("containers-storage", "[]", False),
        ("containers-storage", "[overlay@/a@/b]", True),
        ("containers-storage", "[/a@b]", False),
        ("sif", "/a", True),
        ("sif", "a", False),
        ("docker-daemon", "sha384:" + "a" * 96, False),
        ("tarball", "/a.tar", False),
        ("atomic", "registry:5000/ns/stream:tag", True),
        ("atomic", "registry/ns", True),
        ("atomic", "registry/ns/stream/more", False),
        ("atomic", "registry/ns:tag", False),
        ("atomic", "*.example.com", True),
        ("later", "what it likes", True),
    ],
)
def test_what_may_be_a_scope(transport: str, scope: str, is_one: bool) -> None:
    assert (scope_fault(transport, scope) == "") is is_one
