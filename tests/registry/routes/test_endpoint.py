"""A request on its way to its handler: no endpoint without its right, no name that the grammar does not allow."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from bundler.oci.digest import digest_of
from bundler.registry.failure import Failure
from bundler.registry.routes.endpoint import parse
from bundler.store import Store
from tests.images import image, layer
from tests.registry.caller import Caller, serving
from tests.registry.visitors import Visiting, visitors

APP = image(layer("app", 200))
DIGEST = APP.root.digest
SESSION = "0" * 32
RULES = (
    '- {users: [reader], repositories: ["team/**", "docker.io/**"], may: [pull]}',
    '- {users: [writer], repositories: ["team/**", "docker.io/**"], may: [push]}',
    '- {users: [remover], repositories: ["team/**", "docker.io/**"], may: [delete]}',
    '- {users: [keeper], repositories: ["**"], may: [admin]}',
)
ENDPOINTS = {
    "tags": ("GET", "/v2/team/app/tags/list", "reader"),
    "referrers": ("GET", f"/v2/team/app/referrers/{DIGEST}", "reader"),
    "manifest": ("GET", "/v2/team/app/manifests/1", "reader"),
    "head of a manifest": ("HEAD", "/v2/team/app/manifests/1", "reader"),
    "blob": ("GET", f"/v2/team/app/blobs/{DIGEST}", "reader"),
    "head of a blob": ("HEAD", f"/v2/team/app/blobs/{DIGEST}", "reader"),
    "begin": ("POST", "/v2/team/app/blobs/uploads/", "writer"),
    "begin without a slash": ("POST", "/v2/team/app/blobs/uploads", "writer"),
    "mount": ("POST", f"/v2/team/app/blobs/uploads/?mount={DIGEST}&from=team/app", "writer"),
    "status": ("GET", f"/v2/team/app/blobs/uploads/{SESSION}", "writer"),
    "patch": ("PATCH", f"/v2/team/app/blobs/uploads/{SESSION}", "writer"),
    "finish": ("PUT", f"/v2/team/app/blobs/uploads/{SESSION}?digest={DIGEST}", "writer"),
    "cancel": ("DELETE", f"/v2/team/app/blobs/uploads/{SESSION}", "writer"),
    "put": ("PUT", "/v2/team/app/manifests/1", "writer"),
    "delete a tag": ("DELETE", "/v2/team/app/manifests/1", "remover"),
    "delete a manifest": ("DELETE", f"/v2/team/app/manifests/{DIGEST}", "remover"),
    "delete a blob": ("DELETE", f"/v2/team/app/blobs/{DIGEST}", "remover"),
    "gc": ("POST", "/admin/gc?dry-run=true", "keeper"),
}
EVERYBODY = ("reader", "writer", "remover", "keeper", "nobody")


@pytest.fixture
def registry(store: Store) -> Iterator[Caller]:
    with serving(store) as everybody:
        everybody.push("team/app", "1", APP)
    with serving(store, access=visitors(*RULES)) as registry:
        yield registry


@pytest.mark.parametrize("user", EVERYBODY)
@pytest.mark.parametrize("which", ENDPOINTS)
def test_each_asks_for_its_right(registry: Caller, which: str, user: str) -> None:
    method, target, allowed = ENDPOINTS[which]
    answer = Visiting(registry, user).call(method, target)
    if user == allowed:
        assert answer.status not in (401, 403)
    else:
        assert answer.status == 403
        assert method == "HEAD" or answer.errors == ["DENIED"]


@pytest.mark.parametrize("which", ENDPOINTS)
def test_nobody_without_a_password(registry: Caller, which: str) -> None:
    method, target, _ = ENDPOINTS[which]
    answer = registry.call(method, target)
    assert answer.status == 401
    assert answer.headers["www-authenticate"].startswith("Basic ")


def test_a_refusal_comes_before_anything_is_looked_up(registry: Caller) -> None:
    """Whether it is there is nobody's business."""
    seen = {
        Visiting(registry, "nobody").call("GET", f"/v2/{name}/manifests/{reference}").body
        for name in ("team/app", "team/app")
        for reference in ("1", "2", DIGEST)
    }
    assert len(seen) == 1


def test_no_credentials_are_repeated(registry: Caller) -> None:
    answer = registry.call("GET", "/v2/team/app/tags/list", headers={"Authorization": "Basic !secret!"})
    assert answer.status == 401
    assert b"secret" not in answer.body


@pytest.mark.parametrize(
    ("user", "repository", "status"),
    [
        ("writer", "docker.io/team/app", 202),
        ("writer", "docker.io/library/nginx", 403),  # as library/nginx is not his
        ("writer", "docker.io", 202),
        ("writer", "localhost/team/app", 403),
        ("writer", "team/docker.io/other", 202),
    ],
)
def test_who_pushes_under_a_long_name_pushes_under_the_short_one(
    registry: Caller, user: str, repository: str, status: int
) -> None:
    assert Visiting(registry, user).call("POST", f"/v2/{repository}/blobs/uploads/").status == status


def test_but_reads_under_it_alone(registry: Caller) -> None:
    assert Visiting(registry, "reader").call("GET", "/v2/docker.io/library/nginx/tags/list").status == 404
    assert Visiting(registry, "reader").call("GET", "/v2/library/nginx/tags/list").status == 403


@pytest.mark.parametrize(
    "name",
    [
        "App",
        "-app",
        "app-",
        "a//b",
        "a/../b",
        ".",
        "..",
        "a b",
        "a%0ab",
        "a%00",
        "a:b",
        "a@b",
        "ä",
        "a" * 256,
        "a/%2e%2e",
    ],
)
@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_what_is_no_name(registry: Caller, name: str, method: str) -> None:
    for user in ("reader", "nobody"):
        answer = Visiting(registry, user).call(method, f"/v2/{name}/manifests/1")
        assert (answer.status, answer.errors) in [(400, ["NAME_INVALID"]), (404, ["UNSUPPORTED"])]


@pytest.mark.parametrize("name", ["a/manifests/b", "a/blobs/uploads", "a/tags/list", "blobs", "v2", "a/referrers"])
def test_a_name_that_looks_like_an_endpoint(store: Store, name: str) -> None:
    with serving(store) as registry:
        registry.push(name, "1", APP)
        assert registry.call("GET", f"/v2/{name}/manifests/1").body == APP.raw
        assert registry.call("GET", f"/v2/{name}/tags/list").json == {"name": name, "tags": ["1"]}
        assert registry.call("GET", f"/v2/{name}/blobs/{APP.blobs[0].descriptor.digest}").body == APP.blobs[0].raw


@pytest.mark.parametrize(
    "text", ["", "sha256:", "sha256:abc", "md5:" + "0" * 32, digest_of(b"").upper(), "sha256:../x"]
)
def test_what_is_no_digest(text: str) -> None:
    with pytest.raises(Failure, match="is not a sha256 or sha512 digest") as caught:
        parse(text)
    assert (caught.value.status, caught.value.code) == (400, "DIGEST_INVALID")
