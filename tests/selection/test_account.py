"""The account of what is attached: all of it, in a line and as JSON values."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from bundler.oci import mediatype
from bundler.oci.descriptor import Descriptor
from bundler.oci.digest import digest_of
from bundler.oci.platform import Platform
from bundler.selection.account import account, sentence
from bundler.selection.locked import REASONS, Attachment, LeftOut, LockedImage


def manifest(name: str) -> Descriptor:
    return Descriptor(mediatype.OCI_MANIFEST, digest_of(name.encode()), len(name))


ROOT, BILL = manifest("root"), manifest("bill")
SIGNED = Attachment("sha256-x.sig", manifest("sig"), ROOT.digest, "signature")
WEB = LockedImage(
    "docker://reg.io/web:1",
    "web:1",
    ROOT,
    ROOT,
    attachments=(
        SIGNED,
        Attachment("", BILL, ROOT.digest, "sbom"),
        Attachment("", manifest("sig of bill"), BILL.digest, "signature", ("https://p.example",)),
        Attachment("", replace(manifest("scan"), artifact_type="application/x"), ROOT.digest, "other"),
    ),
)
LEFT = (
    LeftOut("platform", manifest("arm").digest, "signature", root=manifest("arm sig")),
    LeftOut("platform", manifest("arm").digest, "signature", "sha256-y.sig", manifest("arm sig 2")),
    LeftOut("unanswered", ROOT.digest),
)


@pytest.mark.parametrize(
    ("image", "line"),
    [
        pytest.param(WEB, "2 signatures, 1 sbom, 1 artifact", id="all-carried"),
        pytest.param(replace(WEB, attachments=()), "nothing attached", id="nothing"),
        pytest.param(
            replace(WEB, attachments=(SIGNED,), left_out=LEFT),
            "1 signature; left out: 2 signatures (about a platform that is not chosen), "
            "1 artifact (where they would be listed, the answer is a refusal)",
            id="left-out",
        ),
        pytest.param(
            replace(WEB, attachments=(), left_out=(LeftOut("unasked", ROOT.digest),)),
            "not looked for: `attachments: none`, so nobody looked",
            id="none",
        ),
        pytest.param(
            replace(
                WEB,
                origin=manifest("index"),
                index="single",
                attachments=(replace(SIGNED, subject=digest_of(b"index")),),
            ),
            "1 signature (1 about the index, which is not carried)",
            id="of-the-index",
        ),
        pytest.param(
            replace(WEB, attachments=(Attachment("sha256-x.att", manifest("old")), Attachment("", manifest("older")))),
            "1 attestation, 1 artifact",
            id="an-older-lock",
        ),
    ],
)
def test_in_a_line(image: LockedImage, line: str) -> None:
    assert sentence(image) == line


def test_attestations_in_an_index_count() -> None:
    child = replace(manifest("buildkit"), platform=Platform("unknown", "unknown"))
    image = replace(
        WEB, attachments=(), index="keep", children=(replace(ROOT, platform=Platform("linux", "amd64")), child)
    )
    assert sentence(image) == "1 attestation"
    assert [one["digest"] for one in account(image)["attested"]] == [child.digest]


def test_as_json_values() -> None:
    found = json.loads(json.dumps(account(replace(WEB, left_out=LEFT))))
    assert (found["name"], found["digest"], found["attested"]) == ("docker://reg.io/web:1", ROOT.digest, [])
    assert found["carried"][2] == {
        "kind": "signature",
        "mediaType": mediatype.OCI_MANIFEST,
        "digest": digest_of(b"sig of bill"),
        "size": 11,
        "subject": BILL.digest,
        "subjectCarried": True,
        "predicates": ["https://p.example"],
    }
    assert found["carried"][3]["artifactType"] == "application/x"
    assert found["leftOut"][1] == {
        "reason": "platform",
        "why": REASONS["platform"],
        "subject": manifest("arm").digest,
        "kind": "signature",
        "tag": "sha256-y.sig",
        "mediaType": mediatype.OCI_MANIFEST,
        "digest": digest_of(b"arm sig 2"),
        "size": 9,
    }
    assert "digest" not in found["leftOut"][2]
