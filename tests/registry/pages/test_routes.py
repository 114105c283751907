"""The pages as a browser gets them: headers, rights, errors, and nothing from an image that becomes markup."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import bcrypt
import pytest

from bundler.errors import DiskError, LimitError
from bundler.oci.digest import Digest
from bundler.registry.access import Access
from bundler.registry.contents import Contents
from bundler.registry.pages.address import public_address
from bundler.registry.pages.routes import HEADERS
from tests.images import Image, image, layer
from tests.registry.caller import Answer, Caller
from tests.registry.pages.reading_html import Read, check_page
from tests.registry.pages.shelf import BUNDLE, LABELS, SCRIPT, UNSIGNED, Shelf, open_pages, site

WEB = image(layer("web", 3_000))
ABSENT = "sha256:" + "0" * 64
RIGHTS = """apiVersion: bundler/v1
kind: RegistryRights
rights:
  - {users: [ann], repositories: ["team/**"], may: [pull]}
  - {users: [root], repositories: ["**"], may: [pull, admin]}
  - {anonymous: true, repositories: ["public/**"], may: [pull]}
"""


class Site(NamedTuple):
    pages: Caller
    images: dict[str, Image]

    def get(self, path: str, status: int = 200) -> Read:
        return get(self.pages, path, status)[1]


def get(
    pages: Caller, path: str, status: int = 200, *, user: str = "", host: str = "registry.site:5000"
) -> tuple[Answer, Read]:
    """A page with every header that it must have."""
    headers = {"host": host}
    if user:
        headers["authorization"] = "Basic " + base64.b64encode(f"{user}:secret".encode()).decode()
    answer = pages.call("GET", path, headers=headers)
    assert answer.status == status, answer.body
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["cache-control"] == "no-store"
    for name, value in HEADERS.items():
        assert answer.headers[name.lower()] == value
    return answer, check_page(answer.body)


@pytest.fixture(scope="module")
def whole() -> Iterator[Site]:
    store, bundle, unsigned = Shelf(), Shelf(BUNDLE), Shelf(UNSIGNED)
    images = site(store, bundle)
    with open_pages(store, bundle, unsigned) as pages:
        yield Site(pages, images)


def test_the_policy() -> None:
    policy = dict(part.strip().split(" ", 1) for part in HEADERS["Content-Security-Policy"].split(";"))
    assert policy == {
        "default-src": "'none'",
        "style-src": "'self'",
        "base-uri": "'none'",
        "form-action": "'self'",
        "frame-ancestors": "'none'",
    }


def test_home(whole: Site) -> None:
    page = whole.get("/")
    assert "/images/evil/app" in page.links
    assert "134 repositories · 1 to 100" in page.text
    assert {"/srv/registry/store", *BUNDLE.signers} <= set(page.codes)
    assert "unsigned" in page.text
    assert "/?page=2" in page.links
    assert "101 to 134" in whole.get("/?page=2").text


def test_search(whole: Site) -> None:
    page = whole.get("/?q=team")
    assert {link for link in page.links if link.startswith("/images")} == {"/images/team/web", "/images/team/docs"}
    fields = [given for name, given in page.elements if name == "input"]
    assert [each["value"] for each in fields] == ["team"]
    assert "/?q=docker.io&page=2" in whole.get("/?q=docker.io").links


def test_a_search_is_text(whole: Site) -> None:
    page = whole.get("/?q=%22%3E%3Cscript%3E%E2%80%AE")
    assert '“"><script>\\u202e”' in page.text
    assert [given["value"] for name, given in page.elements if name == "input"] == ['"><script>\\u202e']


def test_a_repository(whole: Site) -> None:
    page = whole.get("/images/team/web")
    assert "/images/team/web:1.12" in page.links
    assert f"/images/team/web@{whole.images['sbom'].root.digest}" in page.links
    assert "podman pull --tls-verify=false registry.site:5000/team/web:latest" in page.codes
    assert whole.images["multi"].root.digest in page.codes


def test_an_index(whole: Site) -> None:
    page = whole.get("/images/team/web:1.12")
    digest = whole.images["multi"].root.digest
    assert f"/images/team/web@{whole.images['web'].root.digest}" in page.links
    assert f"/images/team/web:sha256-{digest[7:]}.sig" in page.links
    assert f"docker pull registry.site:5000/team/web@{digest}" in page.codes
    for link in [link for link in page.links if link.startswith("/images")]:
        whole.get(link)


def test_a_sparse_index(whole: Site) -> None:
    page = whole.get("/images/team/web:latest")
    assert "1 manifest of this index is not here" in page.text
    assert f"/images/team/web@{whole.images['absent'].root.digest}" not in page.links
    assert whole.images["absent"].root.digest in page.codes


def test_an_artifact(whole: Site) -> None:
    page = whole.get(f"/images/team/web@{whole.images['sbom'].root.digest}")
    assert "Blobs" in page.text
    assert f"/images/team/web@{whole.images['multi'].root.digest}" in page.links


def test_a_hostile_image_is_text(whole: Site) -> None:
    page = whole.get("/images/evil/app:1.0")
    assert page.titles == ["evil/app:1.0 · registry.site:5000"]
    assert page.text.count(SCRIPT) > 60
    for harmless in (
        "javascript:document.title='owned'",
        "data:text/html,<b>source</b>",
        "{{ 7 * 7 }}{% raw %}",
        "&lt;b&gt;",
    ):
        assert harmless in page.text
    assert "invoice\\u202egnp.exe" in page.text
    assert "… (5,000 characters)" in page.text
    assert LABELS["org.example.long"] not in page.text
    assert all(link.startswith(("/", "#")) for link in page.links)
    assert page.text.replace("\n", "").isprintable()
    assert not {"img", "script"} & {name for name, _ in page.elements}


@pytest.mark.parametrize("header", ["registry.site;reboot", '"><script>', "--authfile=x", ""])
def test_a_hostile_host(whole: Site, header: str) -> None:
    answer, page = get(whole.pages, "/images/team/web:1.12", host=header)
    assert "podman pull --tls-verify=false localhost/team/web:1.12" in page.codes
    assert not header or header.encode() not in answer.body


def test_behind_a_proxy() -> None:
    shelf = Shelf()
    shelf.put("team/web", "1", WEB)
    with open_pages(shelf, public=public_address("https://registry.site")) as pages:
        page = get(pages, "/images/team/web:1", host="127.0.0.1:5000")[1]
    assert "podman pull registry.site/team/web:1" in page.codes
    assert not [code for code in page.codes if "127.0.0.1" in code or "tls" in code]


MISSING = {
    "repository": "/images/nope",
    "tag": "/images/team/web:nope",
    "digest": f"/images/team/web@{ABSENT}",
    "repository and tag": "/images/nope:1",
    "no name": "/images/%3Cscript%3E",
    "parent": "/images/../etc",
    "bad digest": "/images/team/web@sha256:00",
    "NUL": "/images/team/web%00",
    "override": "/images/%E2%80%AE",
    "long": "/images/" + "a" * 5000,
}


@pytest.mark.parametrize("path", MISSING.values(), ids=MISSING.keys())
def test_what_is_not_there(whole: Site, path: str) -> None:
    page = whole.get(path, 404)
    assert "Not here" in page.text
    assert "/" in page.links


def test_a_damaged_manifest_is_said_to_be() -> None:
    shelf = Shelf()
    shelf.put("app", "1", WEB)
    shelf.damage(WEB.root.digest)
    with open_pages(shelf) as pages:
        assert "its manifest is missing or damaged" in get(pages, "/images/app:1", 404)[1].text
        assert "its manifest is missing or damaged" in get(pages, "/images/app")[1].text


def test_an_empty_registry() -> None:
    with open_pages(Shelf(), read_only=False, deletion=True) as pages:
        page = get(pages, "/")[1]
    assert "There is nothing here yet. Push an image to registry.site:5000, and it appears." in page.text
    assert "Images can be pushed here and deleted." in page.text


def test_other_addresses(whole: Site) -> None:
    for path in ("/images", "/images/", "/login"):
        answer = whole.pages.call("GET", path)
        assert (answer.status, answer.headers["location"]) == (303, "/")
    head = whole.pages.call("HEAD", "/images/team/web")
    assert (head.status, head.headers["content-security-policy"]) == (200, HEADERS["Content-Security-Policy"])
    assert whole.pages.call("POST", "/").status == 405


def test_the_stylesheet_is_found_and_kept(whole: Site) -> None:
    (address,) = whole.get("/").assets
    answer = whole.pages.call("GET", address)
    assert (answer.status, answer.headers["content-type"]) == (200, "text/css; charset=utf-8")
    assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_faults_of_the_disk_are_told_to_an_admin_alone(guarded: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: Contents, repository: str) -> list[str]:
        raise DiskError("read /srv/registry: I/O error")

    monkeypatch.setattr(Contents, "tags", fail)
    assert "/srv" in get(guarded, "/images/team/web", 500, user="root")[1].text
    assert "/srv" not in get(guarded, "/images/team/web", 500, user="ann")[1].text


FAULTS = {"disk": (DiskError("read /srv: <b>I/O</b> error"), 500), "limit": (LimitError("too deep"), 413)}


@pytest.mark.parametrize(("error", "status"), FAULTS.values(), ids=FAULTS.keys())
def test_what_goes_wrong_below_is_a_page(monkeypatch: pytest.MonkeyPatch, error: Exception, status: int) -> None:
    def fail(self: Contents, repository: str) -> list[str]:
        raise error

    monkeypatch.setattr(Contents, "tags", fail)
    shelf = Shelf()
    shelf.put("app", "1", WEB)
    with open_pages(shelf) as pages:
        assert str(error) in get(pages, "/images/app", status)[1].text


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[Caller]:
    users = tmp_path / "users"
    hashed = bcrypt.hashpw(b"secret", bcrypt.gensalt(4)).decode()
    users.write_text("".join(f"{name}:{hashed}\n" for name in ("ann", "bob", "root")))
    rights = tmp_path / "rights.yaml"
    rights.write_text(RIGHTS)
    shelf, bundle = Shelf(), Shelf(BUNDLE)
    shelf.put("team/web", "1", WEB)
    shelf.put("public/web", "1", WEB)
    bundle.put("secret/web", "1", WEB)
    with open_pages(shelf, bundle, access=Access.of_files(users, rights)) as pages:
        yield pages


def repositories(page: Read) -> set[str]:
    return {link for link in page.links if link.startswith("/images/")}


def test_each_sees_what_he_may(guarded: Caller) -> None:
    assert repositories(get(guarded, "/")[1]) == {"/images/public/web"}
    assert repositories(get(guarded, "/", user="ann")[1]) == {"/images/public/web", "/images/team/web"}
    assert len(repositories(get(guarded, "/", user="root")[1])) == 3


def test_only_an_admin_sees_paths(guarded: Caller) -> None:
    for path in ("/", "/images/team/web:1"):
        assert "/srv/registry/store" not in get(guarded, path, user="ann")[1].text
    assert "/srv/registry/store" in get(guarded, "/", user="root")[1].text


@pytest.mark.parametrize("tail", ["", ":1", ":none", f"@{WEB.root.digest}", f"@{ABSENT}"])
def test_hidden_and_absent_are_one(guarded: Caller, tail: str) -> None:
    hidden, absent = f"/images/secret/web{tail}", f"/images/secret/xyz{tail}"
    for user, status in (("", 401), ("ann", 404)):
        one, other = (get(guarded, path, status, user=user)[0] for path in (hidden, absent))
        assert one.body.replace(b"secret/web", b"secret/xyz") == other.body
        assert {**one.headers, "content-length": ""} == {**other.headers, "content-length": ""}


def test_a_visitor_without_a_password_is_asked_for_one(guarded: Caller) -> None:
    for path in ("/images/team/web", "/login"):
        answer, page = get(guarded, path, 401)
        assert answer.headers["www-authenticate"] == 'Basic realm="bundler", charset="UTF-8"'
        assert "/login" in page.links
    assert guarded.call("GET", "/style.css").status == 200


def test_who_may_nothing_is_asked_at_once(tmp_path: Path) -> None:
    users = tmp_path / "users"
    users.write_text(f"ann:{bcrypt.hashpw(b'secret', bcrypt.gensalt(4)).decode()}\n")
    shelf = Shelf()
    shelf.put("app", "1", WEB)
    with open_pages(shelf, access=Access.of_files(users)) as pages:
        assert "app" not in get(pages, "/", 401)[1].text
        page = get(pages, "/", user="ann")[1]
        assert "logged in as ann" in page.text
        assert pages.call("GET", "/login", headers={"authorization": "Basic YW5uOnNlY3JldA=="}).status == 303


def test_a_wrong_password_is_a_page(guarded: Caller) -> None:
    headers = {"authorization": "Basic " + base64.b64encode(b"ann:wrong").decode()}
    answer = guarded.call("GET", "/", headers=headers)
    assert answer.status == 401
    assert "www-authenticate" in answer.headers
    assert "user name or password is wrong" in check_page(answer.body).text


def test_digests_are_looked_up_in_their_repository(guarded: Caller) -> None:
    other = Digest(ABSENT)
    assert "has no" in get(guarded, f"/images/team/web@{other}", 404, user="ann")[1].text
