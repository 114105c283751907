"""The choice of an index's children."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bundler.errors import ConfigError, NotFoundError, ProtocolError
from bundler.oci import mediatype
from bundler.oci.descriptor import Descriptor
from bundler.oci.digest import digest_of
from bundler.oci.manifest import Manifest, parse_manifest
from bundler.oci.platform import Platform, parse_platform
from bundler.selection.platforms import Choice, check_config, choose, config_platform, strip

AMD64, ARM64, ARM, S390X = (parse_platform(p) for p in ("linux/amd64", "linux/arm64", "linux/arm/v6", "linux/s390x"))
WINDOWS = Platform("windows", "amd64")


def child(name, platform, **annotations):
    return Descriptor(mediatype.OCI_MANIFEST, digest_of(name.encode()), len(name), platform, annotations=annotations)


def attestation(name, about):
    said = {"vnd.docker.reference.type": "attestation-manifest", "vnd.docker.reference.digest": about.digest}
    return child(name, Platform("unknown", "unknown"), **said)


A, B, C = child("a", AMD64), child("b", ARM64), child("c", ARM)
AA, BB = attestation("aa", A), attestation("bb", B)
W1, W2 = (child(v, Platform("windows", "amd64", os_version=v)) for v in ("10.0.17763.1", "10.0.20348.2"))
BARE = Descriptor(mediatype.OCI_INDEX, digest_of(b"nested"), 6)
INDEX = Manifest(mediatype.OCI_INDEX, manifests=(A, B, C, AA, BB))
MIXED = Manifest(mediatype.OCI_INDEX, manifests=(A, W1, W2, BARE))


@pytest.mark.parametrize(
    ("index", "wanted", "mode", "choice"),
    [
        pytest.param(INDEX, None, "sparse", Choice("keep", INDEX.manifests), id="all"),
        pytest.param(INDEX, None, "strip", Choice("keep", INDEX.manifests), id="all, though strip"),
        pytest.param(INDEX, [ARM64], "sparse", Choice("single", (B,)), id="one"),
        pytest.param(INDEX, [ARM64], "strip", Choice("single", (B,)), id="one, though strip"),
        pytest.param(INDEX, [ARM64], "keep", Choice("keep", INDEX.manifests), id="one, though keep"),
        pytest.param(INDEX, [ARM64, AMD64], "sparse", Choice("sparse", (A, B, AA, BB)), id="several, in index order"),
        pytest.param(INDEX, [ARM64, ARM], "strip", Choice("strip", (B, C, BB)), id="several, stripped"),
        pytest.param(INDEX, [ARM, AMD64, ARM64], "strip", Choice("keep", INDEX.manifests), id="all of them, named"),
        pytest.param(MIXED, [WINDOWS], "sparse", Choice("sparse", (W1, W2)), id="one platform, two OS versions"),
        pytest.param(
            MIXED, [W2.platform], "sparse", Choice("single", (W2,)), id="one platform of one OS version"
        ),
        pytest.param(MIXED, [AMD64, WINDOWS], "sparse", Choice("sparse", (A, W1, W2)), id="a nested index is not meant"),
        pytest.param(
            Manifest(mediatype.OCI_INDEX, manifests=(A, AA)), [AMD64], "sparse", Choice("single", (A,)), id="only one there"
        ),
        pytest.param(
            Manifest(mediatype.OCI_INDEX, manifests=(A, A, B)), [AMD64], "sparse", Choice("single", (A,)), id="listed twice"
        ),
        pytest.param(Manifest(mediatype.OCI_INDEX), None, "sparse", Choice("keep", ()), id="an empty index"),
    ],
)  # fmt: skip
def test_choose(index, wanted, mode, choice):
    assert choose(index, wanted, mode, what="w") == choice


@pytest.mark.parametrize("mode", ["keep", "sparse", "strip"])
@pytest.mark.parametrize(
    ("index", "wanted", "match"),
    [
        (INDEX, [AMD64, S390X], r"^w: has no image for linux/s390x; there are linux/amd64, linux/arm/v6, linux/arm64$"),
        (MIXED, [S390X], r"there are linux/amd64, windows/amd64 \(10.0.17763.1\), windows/amd64 \(10.0.20348.2\)$"),
        (Manifest(mediatype.OCI_INDEX, manifests=(BARE,)), [AMD64], "its index names no platforms"),
        (INDEX, [Platform("unknown", "unknown")], "has no image for unknown/unknown"),
    ],
)
def test_a_platform_that_is_not_there(index, wanted, match, mode):
    with pytest.raises(NotFoundError, match=match) as caught:
        choose(index, wanted, mode, what="w")
    assert "`all`" in caught.value.hint


RAW = json.dumps(
    {
        "schemaVersion": 2,
        "mediaType": mediatype.OCI_INDEX,
        "manifests": [{**one.document(), "x": 1.5} for one in INDEX.manifests],
        "annotations": {"z": "ü", "a": "b"},
        "vendor": {"kept": [True, None]},
    }
).encode()


def test_strip_keeps_everything_else():
    new = strip(RAW, {C.digest, A.digest, AA.digest}, what="w")
    was, now = json.loads(RAW), json.loads(new)
    assert now == {**was, "manifests": [was["manifests"][n] for n in (0, 2, 3)]}
    assert new == strip(json.dumps(was, indent=7).encode(), [AA.digest, C.digest, A.digest], what="w")
    assert new.decode().startswith('{\n  "annotations": {\n    "a": "b",\n    "z": "ü"')
    assert parse_manifest(new, mediatype.OCI_INDEX, what="w").manifests == (A, C, AA)


@pytest.mark.parametrize("keep", [(), (digest_of(b"foreign"),), (A.digest, digest_of(b"foreign"))])
def test_strip_of_what_is_not_listed(keep):
    with pytest.raises(ProtocolError, match="w: does not list"):
        strip(RAW, keep, what="w")


@given(st.sets(st.sampled_from(INDEX.manifests).map(lambda one: one.digest), min_size=1))
def test_strip_lists_what_was_kept(keep):
    manifest = parse_manifest(strip(RAW, keep, what="w"), mediatype.OCI_INDEX, what="w")
    assert [one.digest for one in manifest.manifests] == [one.digest for one in INDEX.manifests if one.digest in keep]


CONFIG = b'{"os": "linux", "architecture": "aarch64", "variant": "v8", "config": {}}'


def test_the_config_says_the_platform():
    assert config_platform(CONFIG, what="w") == ARM64
    assert config_platform(b'{"os": "windows", "architecture": "amd64", "os.version": "10.1"}', what="w") == Platform(
        "windows", "amd64", os_version="10.1"
    )
    for bare in (b"{}", b'{"os": "linux"}', b'{"os": "", "architecture": ""}', b'{"architecture": "amd64"}'):
        assert config_platform(bare, what="w") is None
    with pytest.raises(ProtocolError, match="w: os must be text"):
        config_platform(b'{"os": 1, "architecture": "amd64"}', what="w")


def test_an_image_without_an_index():
    assert check_config(CONFIG, [AMD64, ARM64], what="w") == ARM64
    assert check_config(CONFIG, None, what="w") == ARM64
    assert check_config(b"{}", None, what="w") is None
    with pytest.raises(NotFoundError, match=r"^w: is for linux/arm64 only, not for linux/amd64, linux/arm/v6$"):
        check_config(CONFIG, [AMD64, ARM], what="w")
    with pytest.raises(ConfigError, match="does not say which platform"):
        check_config(b"{}", [AMD64], what="w")
