"""The client's own list of referrers: under which tag, with which entries, and when it is kept at all."""

from __future__ import annotations

import json

import pytest

from bundler.content import verified
from bundler.errors import ProtocolError
from bundler.oci import mediatype
from bundler.oci.descriptor import Descriptor
from bundler.oci.digest import digest_of
from bundler.oci.strict_json import canonical
from bundler.transports.docker.referrers import extended, referrers_tag, subject_of
from bundler.transports.docker.registry import Registry
from bundler.transports.docker.settings import Settings
from tests.conftest import StartRegistry
from tests.images import image, layer, load
from tests.peers import needs

SUBJECT = Descriptor(mediatype.OCI_MANIFEST, digest_of(b"subject"), 7)
EMPTY = Descriptor(mediatype.OCI_EMPTY, digest_of(b"{}"), 2)


def referrer(name: str, *, subject: Descriptor = SUBJECT) -> tuple[Descriptor, bytes]:
    raw = canonical({
        "schemaVersion": 2,
        "mediaType": mediatype.OCI_MANIFEST,
        "artifactType": f"application/{name}",
        "config": EMPTY.document(),
        "layers": [],
        "subject": subject.document(),
        "annotations": {"name": name},
    })  # fmt: skip
    return Descriptor(mediatype.OCI_MANIFEST, digest_of(raw), len(raw)), raw


def test_the_tag() -> None:
    assert referrers_tag(digest_of(b"")) == "sha256-" + digest_of(b"").partition(":")[2]
    assert referrers_tag(digest_of(b"", "sha512")) == "sha512-" + digest_of(b"", "sha512").partition(":")[2][:64]


def test_subjects() -> None:
    want, raw = referrer("sbom")
    assert subject_of(raw, want.media_type, what="x") == SUBJECT.digest
    assert subject_of(image(layer("a", 10)).raw, want.media_type, what="x") is None


def test_the_list_grows_and_keeps_what_it_had() -> None:
    first, second = referrer("sbom"), referrer("signature")
    one = extended(None, *first, what="x")
    assert one is not None
    two = extended(one, *second, what="x")
    assert two is not None
    entries = json.loads(two)["manifests"]
    assert [entry["digest"] for entry in entries] == [first[0].digest, second[0].digest]
    assert entries[0] == {
        "mediaType": mediatype.OCI_MANIFEST,
        "digest": first[0].digest,
        "size": first[0].size,
        "artifactType": "application/sbom",
        "annotations": {"name": "sbom"},
    }
    assert extended(two, *first, what="x") is None


def test_a_list_that_is_none_is_refused() -> None:
    with pytest.raises(ProtocolError, match=r"x: manifests"):
        extended(b'{"schemaVersion": 2, "layers": []}', *referrer("sbom"), what="x")


@needs("docker-registry")
def test_a_registry_without_the_api_lists_what_was_pushed(start_registry: StartRegistry) -> None:
    served = start_registry()
    with Registry(served.host, Settings(tls_verify=False)) as registry:
        repository = registry.repository("acme/app")
        app = image(layer("app", 100))
        load(repository, {"1": app})
        root = repository.resolve("1")
        repository.push(EMPTY, verified(EMPTY, [b"{}"]))
        for name in ("sbom", "signature", "sbom"):
            want, raw = referrer(name, subject=root)
            repository.push(want, verified(want, [raw]))
        found = registry.repository("acme/app").referrers(root.digest)
        assert [each.artifact_type for each in found] == ["application/sbom", "application/signature"]
