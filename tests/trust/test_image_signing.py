"""Signing images as cosign does: what verification makes of it, and that the same comes out every time."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bundler.errors import BundlerError, ConfigError, LimitError, SignatureError, TrustError
from bundler.oci import mediatype
from bundler.oci.descriptor import Descriptor
from bundler.oci.digest import Digest, digest_of
from bundler.oci.manifest import parse_manifest
from bundler.trust.image_signing import (
    MAX_LAYERS,
    check_key,
    cosign_payload,
    cosign_signature,
    joined,
    signature_image,
)
from bundler.trust.images.cosign import SIGNATURE, parse_payload, verify_payload
from tests.workshop import key

DIGEST, OTHER = digest_of(b"a manifest"), digest_of(b"another")
NAME = "registry.site:5000/acme/nginx:1.0"


def test_verification_takes_what_was_signed() -> None:
    layer, payload = cosign_signature(DIGEST, NAME, key("site"))
    found = verify_payload(payload, layer.annotations[SIGNATURE], keys=[key("site").public], digest=DIGEST)
    assert (found.digest, found.reference) == (DIGEST, NAME)
    assert (layer.digest, layer.size) == (digest_of(payload), len(payload))


@pytest.mark.parametrize(
    ("signer", "digest", "change", "error"),
    [
        pytest.param("other", DIGEST, lambda raw: raw, TrustError, id="another key"),
        pytest.param("site", OTHER, lambda raw: raw, SignatureError, id="another image"),
        pytest.param("site", DIGEST, lambda raw: raw + b" ", TrustError, id="a trailing byte"),
        pytest.param("site", DIGEST, lambda raw: json.dumps(json.loads(raw)).encode(), TrustError, id="re-serialised"),
        pytest.param("site", DIGEST, lambda raw: raw.replace(b":1.0", b":1.1"), TrustError, id="re-tagged"),
    ],
)
def test_and_nothing_else(signer: str, digest: Digest, change: Any, error: type[BundlerError]) -> None:
    layer, payload = cosign_signature(DIGEST, NAME, key(signer))
    with pytest.raises(error):
        verify_payload(change(payload), layer.annotations[SIGNATURE], keys=[key("site").public], digest=digest)


def test_the_payload_is_cosign_s() -> None:
    assert json.loads(cosign_payload(DIGEST, NAME)) == {
        "critical": {
            "identity": {"docker-reference": NAME},
            "image": {"docker-manifest-digest": DIGEST},
            "type": "cosign container image signature",
        },
        "optional": {"creator": "bundler"},
    }
    assert json.loads(cosign_payload(DIGEST, NAME, timestamp=7))["optional"]["timestamp"] == 7
    assert parse_payload(cosign_payload(DIGEST, NAME)).digest == DIGEST


def test_signing_twice_makes_the_same_bytes() -> None:
    first, second = (cosign_signature(DIGEST, NAME, key("site")) for _ in range(2))
    assert first == second
    assert first[0].annotations == second[0].annotations
    assert signature_image([first[0]]) == signature_image([second[0]])
    assert len(joined([first[0]], [second[0]])) == 1


def test_two_keys_over_one_payload_are_two_signatures() -> None:
    first, second = (cosign_signature(DIGEST, NAME, key(name))[0] for name in ("site", "other"))
    assert first.digest == second.digest
    found = joined([first], [second, first])
    assert [layer.annotations for layer in found] == [first.annotations, second.annotations]
    image = signature_image(found)
    listed = parse_manifest(image.manifest, image.root.media_type, what="sig").layers
    assert [layer.annotations for layer in listed] == [first.annotations, second.annotations]


def test_the_image_is_one() -> None:
    layer, payload = cosign_signature(DIGEST, NAME, key("site"))
    image = signature_image([layer])
    assert (image.root.digest, image.root.size) == (digest_of(image.manifest), len(image.manifest))
    manifest = parse_manifest(image.manifest, mediatype.OCI_MANIFEST, what="sig")
    assert manifest.config == image.config
    assert image.config.digest == digest_of(image.config_bytes)
    assert json.loads(image.config_bytes)["rootfs"] == {"type": "layers", "diff_ids": [digest_of(payload)]}
    assert manifest.subject is None


def test_no_more_than_a_reader_takes() -> None:
    layers = [Descriptor("text/plain", digest_of(b"%d" % number), 1) for number in range(MAX_LAYERS + 1)]
    assert len(joined(layers[1:])) == MAX_LAYERS
    with pytest.raises(LimitError, match=r"app:x\.sig: more than 128"):
        joined(layers, what="app:x.sig")


def test_keys_that_every_verifier_takes() -> None:
    assert check_key(key("site").public, what="site.key") == key("site").public
    with pytest.raises(ConfigError, match=r"site\.key: an ed25519 key"):
        check_key(key("site", "ed25519").public, what="site.key")
