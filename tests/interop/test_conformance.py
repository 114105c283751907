"""The distribution specification's conformance suite against the embedded registry.

Everything that the suite can ask is asked, the sha512 digests and sparse indexes included, and nothing may be skipped.
What a read-only registry can't be asked, the suite calls disabled; that list is written down here.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from tests.authority import Authority
from tests.conformance import PROGRAM, Findings, conformance, read_report
from tests.peers import needs
from tests.serving import Built, build, guarded, serving

pytestmark = pytest.mark.slow
judged = needs(PROGRAM)

_APIS = (
    "BLOBS_ATOMIC", "BLOBS_DELETE", "BLOBS_DIGEST_HEADER", "BLOBS_MOUNT_ANONYMOUS", "BLOBS_UPLOAD_CANCEL",
    "MANIFESTS_ATOMIC", "MANIFESTS_DELETE", "MANIFESTS_DIGEST_HEADER", "MANIFESTS_TAG_PARAM", "PULL", "PUSH", "REFERRER",
    "TAGS_ATOMIC", "TAGS_DELETE", "TAGS_LIST",
)  # fmt: skip
_DATA = (
    "ARTIFACT", "ARTIFACT_LIST", "CUSTOM_FIELDS", "DATA_FIELD", "EMPTY_BLOB", "IMAGE", "INDEX", "INDEX_LIST",
    "NONDISTRIBUTABLE", "NO_LAYERS", "SHA512", "SUBJECT", "SUBJECT_LIST", "SUBJECT_MISSING",
)  # fmt: skip
SPARSE = "Sparse Manifests"
"""Asked for by itself, as :func:`test_sparse` says."""

EVERYTHING = dict.fromkeys([f"OCI_API_{name}" for name in _APIS] + [f"OCI_DATA_{name}" for name in _DATA], "true")
NOT_IN_1_1 = {"Blob upload cancel", "Manifest put with tag params", SPARSE, "Tag Param", "Tag Param sha512"}
"""What the suite itself leaves out for version 1.1 of the specification: it is newer, or not demanded there."""

WRITING = {
    "Blob anonymous mount", "Blob chunked", "Blob delete", "Blob delete atomic", "Blob mount", "Blob post only",
    "Blob post put", "Blob push", "Blob streaming", "Blob upload cancel", "Manifest delete", "Manifest delete atomic",
    "Manifest put by digest", "Manifest put by tag", "Manifest put with subject", "Manifest put with tag params",
    "Tag delete", "Tag delete atomic",
}  # fmt: skip
"""What can't be asked of a registry that takes no writes."""

READING = {
    "Blob get", "Blob head", "Invalid Manifest Digest", "Manifest get by digest", "Manifest get by tag",
    "Manifest head by digest", "Manifest head by tag", "Ping", "Read Only Inputs", "Referrers", "Tag listing",
}  # fmt: skip
"""What can. Ranges of a blob are not among them: the suite tries them only on one that it has pushed itself."""

READ_ONLY = {
    "OCI_VERSION": "dev",
    "OCI_API_PUSH": "false",
    "OCI_API_BLOBS_DELETE": "false",
    "OCI_API_MANIFESTS_DELETE": "false",
    "OCI_API_TAGS_DELETE": "false",
    "OCI_API_BLOBS_UPLOAD_CANCEL": "false",
    # the suite keeps no header of a manifest whose bytes it doesn't know, and then misses it
    "OCI_API_MANIFESTS_DIGEST_HEADER": "false",
}

LAYER_MISSING = {
    "sparse/push/manifest-by-digest", "sparse/push/manifest-by-tag", "sparse/tag-list",
    "sparse/head/manifest-head-by-digest", "sparse/head/manifest-head-by-tag",
    "sparse/pull/manifest-by-digest", "sparse/pull/manifest-by-tag",
}  # fmt: skip
"""The steps of the one image whose layer was never pushed."""


@judged
@pytest.mark.parametrize(
    ("settings", "left_out"),
    [
        pytest.param({"OCI_VERSION": "dev", **EVERYTHING}, {SPARSE}, id="everything"),
        pytest.param({"OCI_VERSION": "stable"}, NOT_IN_1_1, id="version-1.1"),
    ],
)
def test_over_http(settings: dict[str, str], left_out: set[str], tmp_path: Path) -> None:
    with serving(tmp_path / "store", "--allow-delete", work=tmp_path) as site:
        found = conformance(site, tmp_path / "results", **settings)
    assert found.failures() == []
    assert found.states("Skip") | found.states("Unknown") == set()
    assert found.states("Disabled") == left_out
    assert len(found.steps) > 600


@judged
@needs("htpasswd")
def test_over_tls_with_a_user(authority: Authority, tmp_path: Path) -> None:
    with guarded(tmp_path / "store", "--allow-delete", work=tmp_path, authority=authority) as site:
        found = conformance(site, tmp_path / "results", OCI_VERSION="dev", **EVERYTHING)
    assert found.complaints() == [f"{SPARSE}: Disabled"]


@judged
def test_sparse(tmp_path: Path) -> None:
    """An index may lack children, as a mirror of some platforms does; an image that lacks a layer is refused.

    A registry may refuse a manifest whose contents it lacks, says the specification of descriptors that are not a
    ``subject``; the suite asks for both kinds or for neither, and by default for neither.
    """
    only = {"OCI_DATA_SPARSE": "true", "OCI_FILTER_TEST": "OCI Conformance Test/sparse"}
    with serving(tmp_path / "store", "--allow-delete", work=tmp_path) as site:
        found = conformance(site, tmp_path / "results", OCI_VERSION="dev", **only)
    failed = [step for step in found.steps if step.state != "Pass"]
    assert Counter(step.name for step in failed) == dict.fromkeys(LAYER_MISSING, 1)
    assert [step.why for step in failed if step.name == "sparse/tag-list"] == [
        '- missing tag "sparse-image" from listing'
    ]
    assert Counter(found.passed("sparse/"))["manifest-by-digest"] == 4  # an image and the index, pushed and pulled


@judged
@needs("htpasswd")
def test_refused_with_another_password(authority: Authority, tmp_path: Path) -> None:
    with guarded(tmp_path / "store", "--allow-delete", work=tmp_path, authority=authority) as site:
        few = {"OCI_PASSWORD": "something else", "OCI_FILTER_TEST": "OCI Conformance Test/empty"}
        found = conformance(site, tmp_path / "results", **few)
    assert found.states("Pass") == set()
    assert "received 401" in "".join(step.why for step in found.steps)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """A bundle of one repository."""
    return build(tmp_path_factory.mktemp("built"), "team/app")


@pytest.fixture(scope="module")
def bundled(built: Built, tmp_path_factory: pytest.TempPathFactory) -> Findings:
    """What the suite finds in the bundle, served as it lies there."""
    work = tmp_path_factory.mktemp("served")
    images = built.images.values()
    content = {
        "TAGS": built.images,
        "MANIFESTS": {part.descriptor.digest for image in images for part in image.manifests},
        "BLOBS": {part.descriptor.digest for image in images for part in image.blobs},
        "REFERRERS": {image.root.digest for image in images},
    }
    asked = {f"OCI_RO_DATA_{name}": " ".join(values) for name, values in content.items()}
    with serving(built.bundle, "--key", built.key, work=work) as site:
        return conformance(site, work / "results", OCI_REPO1="team/app", **READ_ONLY, **asked)


@judged
class TestBundle:
    """A signed bundle, served straight from its volumes."""

    def test_nothing_fails(self, bundled: Findings) -> None:
        assert bundled.failures() == []

    def test_all_that_reads_passes(self, bundled: Findings) -> None:
        assert bundled.states("Pass") == READING

    def test_only_writes_are_left_out(self, bundled: Findings) -> None:
        assert bundled.states("Disabled") == WRITING
        assert bundled.states("Skip") == set()

    def test_every_content_was_read(self, bundled: Findings, built: Built) -> None:
        manifests = {part.descriptor.digest for image in built.images.values() for part in image.manifests}
        blobs = {part.descriptor.digest for image in built.images.values() for part in image.blobs}
        assert Counter(bundled.passed("read-only/head/")) == {
            "manifest-head-by-tag": len(built.images), "manifest-head-by-digest": len(manifests), "blob-head": len(blobs)
        }  # fmt: skip
        assert Counter(bundled.passed("read-only/pull/")) == {
            "manifest-by-tag": len(built.images), "manifest-by-digest": len(manifests), "blob-get": len(blobs)
        }  # fmt: skip


def test_the_reader_of_reports_tells_what_it_sees() -> None:
    found = read_report(REPORT)
    assert found.complaints() == [
        "Referrers: FAIL",
        "image/push/blob-push: Skip: ",
        "image/referrers: FAIL: - expected 200\nreceived 404",
    ]
    assert found.failures() == ["Referrers: FAIL", "image/referrers: FAIL: - expected 200\nreceived 404"]
    assert [step.name for step in found.steps] == ["ping", "image/push/blob-push", "image/referrers", "last"]
    assert found.passed("") == ["ping", "last"]
    assert found.data == {"Image": "Pass"}


REPORT = """Test results
OCI Conformance Test: FAIL
  OCI Conformance Test/ping: Pass
  OCI Conformance Test/image: FAIL
    OCI Conformance Test/image/push: Skip
      OCI Conformance Test/image/push/blob-push: Skip
    OCI Conformance Test/image/referrers: FAIL
     - expected 200
received 404
  OCI Conformance Test/last: Pass

Configuration:
  registry: localhost
  version: dev

OCI Conformance Result: FAIL
  Pass..........................:          2

API conformance:
  Ping..........................:       Pass
  Referrers.....................:       FAIL

Data conformance:
  Image.........................:       Pass

"""
