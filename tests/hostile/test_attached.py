"""Registries that answer badly when they are asked what is attached: the image is locked, and the account says so."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from bundler.oci import mediatype
from bundler.oci.attached import companion_tags, referrers_tag
from bundler.oci.descriptor import Descriptor
from bundler.oci.digest import digest_of
from bundler.pull.attachments import Found, Subject, find_attachments
from bundler.transports.docker.registry import Registry
from tests.hostile.scripted import PLAIN, HonestRegistry, Reply, Request, Scripted

HTML = (("Content-Type", "text/html"),)
INDEX = (("Content-Type", mediatype.OCI_INDEX),)
TWICE = b'{"schemaVersion": 2, "manifests": [], "Manifests": [{}]}'


@pytest.fixture
def honest() -> HonestRegistry:
    return HonestRegistry()


@pytest.fixture
def server(honest: HonestRegistry) -> Iterator[Scripted]:
    with Scripted(honest) as server:
        yield server


def look(server: Scripted, root: Descriptor) -> Found:
    with Registry(server.host, PLAIN) as registry:
        repository = registry.repository("app")
        return find_attachments(repository, [Subject(root)], repository.tags(), "all")


@pytest.mark.parametrize("listed", [False, True], ids=["no-list", "a-list-under-the-tag"])
@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(Reply(403), id="forbidden"),
        pytest.param(Reply(200, HTML, b"<html>welcome</html>"), id="a-web-page"),
        pytest.param(Reply(302, (("Location", "/login"),)), id="a-login-page"),
        pytest.param(Reply(200, INDEX, b'{"schemaVersion": 2, "layers": []}'), id="no-index"),
        pytest.param(Reply(200, INDEX, TWICE), id="two-readings"),
        pytest.param(Reply(200, INDEX, b" " * (5 << 20)), id="five-mebibytes"),
    ],
)
def test_an_answer_that_tells_nothing(honest: HonestRegistry, server: Scripted, answer: Reply, listed: bool) -> None:
    root = honest.add_image("app", "1")
    signature = honest.add_image("app", companion_tags(root.digest)["signature"])
    referrer = honest.add_manifest(
        "app", {"schemaVersion": 2, "config": root.document(), "layers": [], "subject": root.document()}
    )
    if listed:
        listing = {"schemaVersion": 2, "manifests": [referrer.document()]}
        honest.add_manifest("app", listing, referrers_tag(root.digest), mediatype.OCI_INDEX)

    def app(request: Request) -> Reply:
        if f"/referrers/{root.digest}" in request.path or request.path == "/login":
            return Reply(200, HTML, b"<html>") if request.path == "/login" else answer
        return honest(request)

    server.app = app
    found = look(server, root)
    assert {one.root.digest for one in found.attachments} == {signature.digest, *([referrer.digest] if listed else [])}
    assert [(one.reason, one.subject) for one in found.left_out] == ([] if listed else [("unanswered", root.digest)])


def test_a_list_that_has_no_end(honest: HonestRegistry, server: Scripted) -> None:
    root = honest.add_image("app", "1")
    entry = {"mediaType": "application/x", "size": 1}
    many = {"schemaVersion": 2, "manifests": [{**entry, "digest": digest_of(str(n).encode())} for n in range(20_000)]}
    honest.add_manifest("app", many, referrers_tag(root.digest), mediatype.OCI_INDEX)
    honest.referrers_api = False
    found = look(server, root)
    assert found.attachments == ()
    assert len(found.left_out) == 1001
    assert len(server.seen) < 10
