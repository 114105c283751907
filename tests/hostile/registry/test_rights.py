"""What a visitor may not is refused, and the refusal does not tell whether there is anything to be refused.

secret/app   ann's alone          team/app   bob's to push and pull          public/app   everybody's to pull
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path

import pytest

from bundler.oci.digest import digest_of
from bundler.registry.access import set_password
from tests import images
from tests.hostile.registry.host import Answer, Host, hosting

SECRET = images.image(images.layer("secret", 2000), labels={"is": "secret"})
SBOM = images.artifact(b"{}", subject=SECRET)
OPEN = images.image(images.layer("open", 2000))
LAYER = SECRET.blobs[0].descriptor.digest
ABSENT = digest_of(b"nowhere at all")
SESSION = "{session}"
RIGHTS = """\
apiVersion: bundler/v1
kind: RegistryRights
rights:
  - {users: [ann], repositories: ["**"], may: [pull, push, delete]}
  - {users: [root], repositories: ["**"], may: [admin]}
  - {users: [bob], repositories: ["team/**"], may: [pull, push]}
  - {users: [eve], repositories: ["team/**"], may: [pull]}
  - {anonymous: true, repositories: ["public/**"], may: [pull]}
"""


def basic(user: str, password: str = "") -> str:
    return "Basic " + base64.b64encode(f"{user}:{password or user * 2}".encode()).decode()


ANN, BOB, EVE, ROOT, NOBODY = basic("ann"), basic("bob"), basic("eve"), basic("root"), ""


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    work = tmp_path_factory.mktemp("rights")
    for user in ("ann", "bob", "eve", "root"):
        set_password(work / "users", user, user * 2, cost=4)
    (work / "rights.yaml").write_text(RIGHTS)
    values = {"bundler.registry.access.access.REFUSED_SECONDS": 0.0}
    users, rights = work / "users", work / "rights.yaml"
    with hosting(work / "store", allow_delete=True, values=values, htpasswd=users, rights=rights) as host:
        with host.client(ANN) as client:
            for repository, image in (("secret/app", SECRET), ("team/app", OPEN), ("public/app", OPEN)):
                assert client.push(repository, "1", image).status == 201
            for part in SBOM.blobs:
                assert client.upload("secret/app", part.raw).status == 201
            assert client.put("secret/app", SBOM.root.digest, SBOM.raw, SBOM.root.media_type).status == 201
        yield host


@pytest.fixture(scope="module")
def session(host: Host) -> str:
    """Of an upload by ann."""
    with host.client(ANN) as client:
        return client.begin("secret/app").rpartition("/")[2]


# What is there, and the same question about what is not.
READING = {
    "manifest by tag": ("GET", "/v2/secret/app/manifests/1", "/v2/secret/none/manifests/1"),
    "head by tag": ("HEAD", "/v2/secret/app/manifests/1", "/v2/secret/none/manifests/1"),
    "manifest by digest": (
        "GET",
        f"/v2/secret/app/manifests/{SECRET.root.digest}",
        f"/v2/secret/none/manifests/{ABSENT}",
    ),
    "blob": ("GET", f"/v2/secret/app/blobs/{LAYER}", f"/v2/secret/app/blobs/{ABSENT}"),
    "head of a blob": ("HEAD", f"/v2/secret/app/blobs/{LAYER}", f"/v2/secret/none/blobs/{ABSENT}"),
    "tags": ("GET", "/v2/secret/app/tags/list", "/v2/secret/none/tags/list"),
    "referrers": ("GET", f"/v2/secret/app/referrers/{SECRET.root.digest}", f"/v2/secret/none/referrers/{ABSENT}"),
}
WRITING = {
    "begin": ("POST", "/v2/secret/app/blobs/uploads/", "/v2/secret/none/blobs/uploads/"),
    "at once": (
        "POST",
        f"/v2/secret/app/blobs/uploads/?digest={LAYER}",
        f"/v2/secret/none/blobs/uploads/?digest={ABSENT}",
    ),
    "status": ("GET", f"/v2/secret/app/blobs/uploads/{SESSION}", "/v2/secret/app/blobs/uploads/" + "0" * 32),
    "more": ("PATCH", f"/v2/secret/app/blobs/uploads/{SESSION}", "/v2/secret/app/blobs/uploads/" + "0" * 32),
    "end": (
        "PUT",
        f"/v2/secret/app/blobs/uploads/{SESSION}?digest={LAYER}",
        f"/v2/secret/none/blobs/uploads/0?digest={LAYER}",
    ),
    "cancel": ("DELETE", f"/v2/secret/app/blobs/uploads/{SESSION}", "/v2/secret/app/blobs/uploads/" + "0" * 32),
    "put": ("PUT", "/v2/secret/app/manifests/1", "/v2/secret/none/manifests/1"),
    "put by digest": ("PUT", f"/v2/secret/app/manifests/{SECRET.root.digest}", f"/v2/secret/none/manifests/{ABSENT}"),
}
DELETING = {
    "tag": ("DELETE", "/v2/secret/app/manifests/1", "/v2/secret/none/manifests/1"),
    "manifest": ("DELETE", f"/v2/secret/app/manifests/{SECRET.root.digest}", f"/v2/secret/app/manifests/{ABSENT}"),
    "blob": ("DELETE", f"/v2/secret/app/blobs/{LAYER}", f"/v2/secret/app/blobs/{ABSENT}"),
}
ALL = {**READING, **WRITING, **DELETING}


def alike(answer: Answer) -> tuple[object, ...]:
    """What an answer tells, but for the name that was asked for, the time and the request's own number."""
    passing = {"date", "x-request-id", "content-length"}
    headers = {name: text for name, text in answer.headers.items() if name not in passing}
    return answer.status, headers, answer.body.replace(b"secret/none", b"secret/app").replace(b"other/x", b"secret/app")


def refused(host: Host, method: str, target: str, auth: str) -> Answer:
    answer = host.ask(method, target, headers={"Content-Length": "0"} if method != "GET" else {}, auth=auth)
    assert answer.status == (403 if auth else 401), (method, target, answer)
    assert ("www-authenticate" in answer.headers) == (not auth)
    assert answer.headers.get("www-authenticate", "Basic ").startswith("Basic ")
    if method != "HEAD":
        assert answer.codes == ["DENIED" if auth else "UNAUTHORIZED"]
    return answer


@pytest.mark.parametrize("auth", [NOBODY, BOB, EVE, ROOT], ids=["anonymous", "bob", "eve", "admin"])
@pytest.mark.parametrize(("method", "there", "absent"), ALL.values(), ids=ALL.keys())
def test_refused_alike(host: Host, session: str, auth: str, method: str, there: str, absent: str) -> None:
    first = refused(host, method, there.replace(SESSION, session), auth)
    assert alike(first) == alike(refused(host, method, absent, auth))
    assert host.ask("GET", f"/v2/secret/app/blobs/uploads/{session}", auth=ANN).status == 204
    with host.client(ANN) as client:
        client.assert_holds("secret/app", "1", SECRET)


@pytest.mark.parametrize("auth", [NOBODY, BOB, EVE, ANN], ids=["anonymous", "bob", "eve", "ann"])
@pytest.mark.parametrize(
    ("method", "target"),
    [
        ("POST", "/admin/gc"),
        ("POST", "/admin/gc?dry-run=true"),
        ("POST", "/admin/gc?dry-run=maybe"),
        ("GET", "/metrics"),
    ],
)
def test_only_for_admins(host: Host, auth: str, method: str, target: str) -> None:
    refused(host, method, target, auth)


def test_what_an_admin_may(host: Host) -> None:
    assert host.ask("POST", "/admin/gc?dry-run=true", auth=ROOT).status == 200
    assert host.ask("GET", "/metrics", auth=ROOT).status == 200


@pytest.mark.parametrize(("auth", "deleting"), [(BOB, DELETING), (EVE, {**DELETING, **WRITING})], ids=["bob", "eve"])
def test_who_may_pull_may_not_do_more(host: Host, auth: str, deleting: dict[str, tuple[str, str, str]]) -> None:
    assert host.ask("GET", "/v2/team/app/manifests/1", auth=auth).status == 200
    for method, there, absent in deleting.values():
        for target in (there, absent):
            refused(host, method, target.replace("secret", "team"), auth)
    assert host.ask("GET", "/v2/team/app/manifests/1", auth=auth).status == 200


class TestMounts:
    @pytest.mark.parametrize(
        "query",
        [f"mount={LAYER}&from=secret/app", f"mount={LAYER}", f"from=secret/app&mount={SECRET.root.digest}"],
        ids=["named", "from anywhere", "manifest"],
    )
    def test_from_where_one_may_not_read(self, host: Host, query: str) -> None:
        """Answered as if there were nothing: by an upload of one's own."""
        there = host.ask("POST", f"/v2/team/app/blobs/uploads/?{query}", auth=BOB)
        absent = host.ask("POST", f"/v2/team/app/blobs/uploads/?mount={ABSENT}&from=secret/app", auth=BOB)
        assert there.status == absent.status == 202
        assert there.headers.keys() == absent.headers.keys()
        assert host.ask("GET", f"/v2/team/app/blobs/{LAYER}", auth=BOB).status == 404
        assert host.ask("HEAD", f"/v2/team/app/blobs/{LAYER}", auth=BOB).status == 404

    def test_from_where_one_may(self, host: Host) -> None:
        shared = OPEN.blobs[0].descriptor.digest
        assert host.ask("POST", f"/v2/team/new/blobs/uploads/?mount={shared}&from=team/app", auth=BOB).status == 201
        assert host.ask("POST", f"/v2/secret/new/blobs/uploads/?mount={shared}&from=team/app", auth=BOB).status == 403

    def test_a_manifest_that_lists_what_one_may_not_read(self, host: Host) -> None:
        with host.client(BOB) as client:
            config = SECRET.blobs[-1]
            answer = client.put("team/app", "stolen", SECRET.raw, SECRET.root.media_type)
            assert (answer.status, answer.codes) == (400, ["MANIFEST_BLOB_UNKNOWN"])
            index = images.index(SECRET)
            assert client.put("team/app", "sparse", index.raw, index.root.media_type).status == 201
            for digest in (SECRET.root.digest, LAYER, config.descriptor.digest):
                assert client.ask("GET", f"/v2/team/app/manifests/{digest}").status == 404
                assert client.ask("GET", f"/v2/team/app/blobs/{digest}").status == 404
            assert client.ask("GET", f"/v2/team/app/referrers/{SECRET.root.digest}").json["manifests"] == []
            shown = client.ask("GET", "/images/team/app:sparse")
            assert shown.status == 200
            assert config.descriptor.digest.encode() not in shown.body


class TestLists:
    @pytest.mark.parametrize("auth", [BOB, EVE], ids=["bob", "eve"])
    def test_catalog(self, host: Host, auth: str) -> None:
        found = host.ask("GET", "/v2/_catalog", auth=auth).json["repositories"]
        assert "secret/app" not in found
        assert {"team/app", "public/app"} <= set(found)
        assert host.ask("GET", "/v2/_catalog?n=1&last=public/zzz", auth=auth).json["repositories"] == ["team/app"]

    def test_catalog_of_nobody(self, host: Host) -> None:
        answer = host.ask("GET", "/v2/_catalog")
        assert answer.status == 401
        assert "www-authenticate" in answer.headers
        assert b"secret" not in answer.body

    def test_public_is_for_everybody(self, host: Host) -> None:
        with host.client() as client:
            client.assert_holds("public/app", "1", OPEN)

    @pytest.mark.parametrize("auth", [NOBODY, BOB, EVE, ROOT], ids=["anonymous", "bob", "eve", "admin"])
    def test_pages(self, host: Host, auth: str) -> None:
        for target in ("/", "/?q=secret"):
            assert b"secret/app" not in host.ask("GET", target, auth=auth).body
        places = ("secret/app", "secret/app:1", f"secret/app@{SECRET.root.digest}", "secret/app:none")
        answers = {alike(host.ask("GET", f"/images/{place}", auth=auth))[0] for place in places}
        answers |= {alike(host.ask("GET", f"/images/{place.replace('app', 'none')}", auth=auth))[0] for place in places}
        assert answers == {404 if auth else 401}
        there = host.ask("GET", "/images/secret/app:1", auth=auth)
        absent = host.ask("GET", "/images/secret/none:1", auth=auth)
        assert alike(there)[2] == alike(absent)[2]
        assert ("www-authenticate" in there.headers) == (not auth)

    def test_health_tells_nothing(self, host: Host) -> None:
        assert host.ask("GET", "/healthz").body == b"ok\n"
        assert host.ask("GET", "/readyz").body == b"[]"


@pytest.mark.parametrize(
    "header",
    [
        "Bearer " + base64.b64encode(b"ann:annann").decode(),
        "Basic",
        "Basic " + base64.b64encode(b"ann").decode(),
        "Basic " + base64.b64encode(b"ann:annann").decode() + "====",
        "Basic " + base64.b64encode(b"ann\0:annann").decode(),
        "Basic " + base64.b64encode(b"*:").decode(),
        "Basic " + base64.b64encode(b":annann").decode(),
        "Basic " + base64.b64encode(b"\xff:\xff").decode(),
        "basic " + base64.b64encode(b"ANN:annann").decode(),
        "Basic " + "QQ" * 5000,
    ],
    ids=["bearer", "nothing", "no colon", "padding", "nul", "everybody", "no user", "latin-1", "case", "giant"],
)
def test_credentials_that_are_none(host: Host, header: str) -> None:
    for target in (
        "/v2/",
        "/v2/secret/app/manifests/1",
        "/v2/public/app/manifests/1",
        "/images/public/app",
        "/metrics",
    ):
        answer = host.ask("GET", target, auth=header)
        assert answer.status == 401, (target, answer)
        assert "www-authenticate" in answer.headers
        assert b"annann" not in answer.body


def test_two_logins_at_once(host: Host) -> None:
    from tests.hostile.registry.wire import request, statuses, talk

    said = talk(
        host.port, request("GET", "/v2/secret/app/manifests/1", f"Authorization: {BOB}", f"Authorization: {ANN}")
    )
    assert statuses(said) == [400]


def test_a_user_who_is_taken_out_is_out_at_once(tmp_path: Path) -> None:
    from bundler.registry.access import remove_user

    for user in ("ann", "bob"):
        set_password(tmp_path / "users", user, user * 2, cost=4)
    with hosting(tmp_path / "store", htpasswd=tmp_path / "users") as host, host.client(BOB) as client:
        location = client.begin("app")
        remove_user(tmp_path / "users", "bob")
        assert client.ask("PATCH", location, b"x").status == 401
        assert client.ask("GET", "/v2/").status == 401
        assert host.ask("GET", "/v2/", auth=ANN).status == 200
