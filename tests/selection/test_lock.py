"""The lock file: written, read strictly, and its serial."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bundler.errors import ConfigError, LimitError, UnsupportedError
from bundler.oci import mediatype
from bundler.oci.descriptor import Descriptor
from bundler.oci.digest import digest_of
from bundler.oci.platform import Platform, parse_platform
from bundler.oci.simple_signatures import SIGNATURE_TYPE
from bundler.selection.lock import (
    Attachment,
    LeftOut,
    Lock,
    LockedImage,
    check_target,
    next_lock,
    read_lock,
    write_lock,
)

NOW = datetime(2026, 1, 31, 12, 0, 0, tzinfo=UTC)
LATER = NOW + timedelta(days=90)
WISH = "0123456789abcdef"


def manifest(name, platform=None, media_type=mediatype.OCI_MANIFEST):
    return Descriptor(media_type, digest_of(name.encode()), len(name), parse_platform(platform) if platform else None)


def index(name):
    return manifest(name, media_type=mediatype.OCI_INDEX)


A, B = manifest("a", "linux/amd64"), manifest("b", "linux/arm64")
PLAIN = LockedImage("docker://docker.io/library/nginx:1.27", "library/nginx:1.27", A, A, wish=WISH)
SPARSE = LockedImage("docker://quay.io/a:1", "a:1", index("i"), index("i"), (A, B), "sparse", wish=WISH)
STRIPPED = LockedImage("docker://quay.io/b:1", "b:1", index("i"), index("s"), (A, B), "strip")
SINGLE = LockedImage("docker://quay.io/c:1", "c:1", index("i"), A, (), "single", (
    Attachment("", manifest("referrer")), Attachment(f"sha256-{A.digest[7:]}.sig", manifest("signature"))))  # fmt: skip
WHOLE = LockedImage("oci:./app:latest", f"app@{A.digest}", index("w"), index("w"), (A, B), "keep")
SIGNATURE_LAYER = Descriptor(SIGNATURE_TYPE, digest_of(b"signed"), 6)
TOLD = LockedImage("docker://quay.io/d:1", "d:1", A, A, attachments=(
    Attachment("", manifest("simple"), A.digest, "signature", layers=(SIGNATURE_LAYER,)),
    Attachment("", replace(manifest("att"), artifact_type="application/x"), A.digest, "attestation", ("a", "b")),
    Attachment(f"sha256-{A.digest[7:]}.sig", manifest("signature"), A.digest, "signature")),
    left_out=(
        LeftOut("missing", A.digest, "sbom", f"sha256-{A.digest[7:]}.sbom"),
        LeftOut("platform", B.digest, "other", root=Descriptor("application/old", digest_of(b"old"), 3, artifact_type="x/y")),
        LeftOut("unanswered", B.digest)))  # fmt: skip
IMAGES = (PLAIN, SPARSE, STRIPPED, SINGLE, TOLD, WHOLE)


def locked(*images, previous=None, **more):
    given = {"name": "edge", "channel": "stable", "issued": NOW, "expires": LATER, **more}
    return next_lock(previous, images=images or IMAGES, **given)


def test_there_and_back():
    lock = locked()
    raw = write_lock(lock)
    assert read_lock(raw, "bundle.lock.json") == lock
    assert [image.target for image in lock.images] == sorted(image.target for image in IMAGES)
    assert sorted(lock.images, key=id) != []
    assert set(lock.images) == set(IMAGES)
    assert raw.startswith(
        b'{\n  "apiVersion": "bundler/v1",\n  "channel": "stable",\n  "expires": "2026-05-01T12:00:00Z"'
    )
    assert raw.endswith(b"}\n")
    assert json.loads(raw)["issued"] == "2026-01-31T12:00:00Z"


def test_the_same_images_give_the_same_bytes_in_any_order():
    assert write_lock(locked(*IMAGES)) == write_lock(locked(*reversed(IMAGES), *IMAGES))
    unordered = replace(locked(), images=tuple(reversed(IMAGES)))
    assert write_lock(unordered) == write_lock(locked())


def test_annotations_and_urls_stay_out():
    noisy = replace(A, annotations={"b": "c"}, urls=("https://x.example/",))
    assert b"annotations" not in write_lock(locked(replace(PLAIN, root=noisy, origin=noisy)))


def test_times_are_whole_seconds_in_utc():
    lock = locked(issued=datetime(2026, 1, 31, 14, 0, 0, 999, tzinfo=timezone(timedelta(hours=2))), expires=None)
    assert (lock.issued, lock.expires) == (NOW, None)
    assert b"expires" not in write_lock(lock)


def test_platforms_of_an_image():
    unknown = Descriptor(mediatype.OCI_MANIFEST, digest_of(b"att"), 3, Platform("unknown", "unknown"))
    assert PLAIN.platforms == SINGLE.platforms == (A.platform,)
    assert replace(SPARSE, children=(A, B, unknown)).platforms == (A.platform, B.platform)
    assert LockedImage("x:y", "y:1", manifest("z"), manifest("z")).platforms == ()


class TestSerial:
    """``next_lock``."""

    def test_starts_at_one(self):
        assert locked().serial == 1

    def test_same_images_same_lock(self):
        first = locked()
        again = locked(previous=first, issued=LATER, expires=None)
        assert again is first

    @pytest.mark.parametrize(
        "images", [IMAGES[1:], (*IMAGES[1:], replace(PLAIN, origin=B, root=B)), (*IMAGES, replace(PLAIN, target="x:1"))]
    )
    def test_other_images_next_serial(self, images):
        first = locked()
        second = locked(*images, previous=first, issued=LATER, expires=None)
        assert (second.serial, second.issued, second.expires) == (2, LATER, None)

    def test_an_attachment_is_content(self):
        more = replace(PLAIN, attachments=(Attachment("", manifest("late")),))
        assert locked(*IMAGES[1:], more, previous=locked()).serial == 2

    def test_what_an_attachment_is_is_content_as_bundles_say_it(self):
        told = replace(TOLD, attachments=(replace(TOLD.attachments[0], kind="other"), *TOLD.attachments[1:]))
        assert locked(*IMAGES[:4], told, previous=locked(*IMAGES[:5])).serial == 2

    def test_what_is_left_out_is_not_content(self):
        first = locked()
        other = locked(*(replace(image, left_out=()) for image in IMAGES), previous=first, issued=LATER)
        assert (other.serial, other.issued) == (1, first.issued)
        assert not any(image.left_out for image in other.images)

    def test_other_wishes_for_the_same_images_are_the_same_release(self):
        first = locked()
        other = locked(*(replace(image, wish="f" * 16) for image in IMAGES), previous=first, issued=LATER)
        assert (other.serial, other.issued, other.expires) == (1, first.issued, first.expires)
        assert {image.wish for image in other.images} == {"f" * 16}

    def test_renewal(self):
        again = locked(previous=locked(), issued=LATER, expires=None, renew=True)
        assert (again.serial, again.issued) == (2, LATER)

    @pytest.mark.parametrize("line", [{"name": "core"}, {"channel": "beta"}])
    def test_another_line_starts_again(self, line):
        assert locked(previous=replace(locked(), serial=41), **line).serial == 1

    def test_expiry_before_issue(self):
        with pytest.raises(ConfigError, match=r"^edge: expires 2026-01-31T12:00:00Z, not after it is issued"):
            locked(expires=NOW)


@pytest.mark.parametrize(
    ("other", "match"),
    [
        (replace(PLAIN, source="docker://ghcr.io/nginx:1", origin=B, root=B), "and the second is another image"),
        (replace(SPARSE, target=PLAIN.target), "another image"),
    ],
)
def test_two_images_for_one_target(other, match):
    with pytest.raises(ConfigError, match=match) as caught:
        locked(PLAIN, other)
    assert PLAIN.source in str(caught.value)
    assert other.source in str(caught.value)
    assert "`as:`" in caught.value.hint


def test_one_image_with_two_choices_of_platforms_for_one_target():
    with pytest.raises(ConfigError, match="other platforms of it"):
        locked(SPARSE, replace(SPARSE, children=(A,)))


def test_one_content_under_one_target_from_two_places():
    mirror = replace(PLAIN, source="docker://mirror.example/library/nginx:1.27")
    assert set(locked(PLAIN, mirror).images) == {PLAIN, mirror}


@pytest.mark.parametrize("target", ["a:1", "a/b-c/d_e:V1.2", f"a@{A.digest}", "a@sha512:" + "0" * 128])
def test_targets(target):
    assert check_target(target, what="t") == target


def edit(path, value):
    """A change of a good lock: ``value`` at ``path``; ``None`` takes it away."""

    def change(document):
        *parents, last = path
        for step in parents:
            document = document[step]
        if value is None:
            del document[last]
        else:
            document[last] = value

    return change


FIRST = ("images", 0)
LAYER = {"mediaType": SIGNATURE_TYPE, "digest": A.digest, "size": 1}


def attached(**members):
    return edit([*FIRST, "attachments"], [{"root": A.document(), **members}])


def left_out(**members):
    value = {"reason": "cap", "subject": A.digest, **members}
    return edit([*FIRST, "leftOut"], [{name: one for name, one in value.items() if one is not None}])


BAD = {
    "api version": (edit(["apiVersion"], "bundler/v2"), "apiVersion is 'bundler/v2', not 'bundler/v1'"),
    "kind": (edit(["kind"], "Bundle"), "kind is 'Bundle'"),
    "no name": (edit(["name"], None), "name is missing"),
    "bad name": (edit(["name"], "../x"), "name is '../x', which is no name"),
    "bad channel": (edit(["channel"], "a b"), "channel is"),
    "no serial": (edit(["serial"], None), "serial is missing"),
    "serial zero": (edit(["serial"], 0), "serial must be at least 1"),
    "serial huge": (edit(["serial"], 10**9), "serial must be between"),
    "serial text": (edit(["serial"], "1"), "serial must be a whole number"),
    "serial fraction": (edit(["serial"], 1.5), "serial must be a whole number"),
    "issued": (edit(["issued"], "2026-01-31"), "issued is '2026-01-31', not like"),
    "issued date": (edit(["issued"], "2026-02-30T00:00:00Z"), "issued is"),
    "issued digits": (edit(["issued"], "\uff12026-01-01T00:00:00Z"), "issued is"),
    "expires": (edit(["expires"], "2026-01-31T12:00:00Z"), "expires is not after issued"),
    "unknown key": (edit(["extra"], 1), "extra is not a known key"),
    "no images": (edit(["images"], None), "images is missing"),
    "empty images": (edit(["images"], []), "images is empty"),
    "image is text": (edit(["images"], ["x"]), r"images\[0\]: must be an object"),
    "unknown image key": (edit([*FIRST, "extra"], 1), r"images\[0\] extra is not a known|images\[0\]: extra is not"),
    "bad index": (edit([*FIRST, "index"], "some"), "index is 'some', not one of"),
    "no source": (edit([*FIRST, "source"], None), "source is missing"),
    "bad source": (edit([*FIRST, "source"], "a\x1b:b"), "which is no image name"),
    "target without tag": (edit([*FIRST, "target"], "a"), "is not a tag"),
    "target climbs": (edit([*FIRST, "target"], "../a:1"), "is not a repository name"),
    "target digest": (edit([*FIRST, "target"], "a@sha256:1"), "needs 64"),
    "digest": (edit([*FIRST, "root", "digest"], "sha256:1"), "needs 64"),
    "size": (edit([*FIRST, "root", "size"], -1), "size must be between"),
    "blob as root": (edit([*FIRST, "root", "mediaType"], mediatype.OCI_LAYER), "which is no manifest"),
    "annotations": (edit([*FIRST, "root", "annotations"], {"a": "b"}), "holds more than"),
    "unknown descriptor key": (edit([*FIRST, "root", "data"], "eA=="), "holds more than"),
    "unknown platform key": (edit([*FIRST, "children", 0, "platform", "x"], 1), "holds more than"),
    "platform alias": (edit([*FIRST, "children", 0, "platform", "architecture"], "x86_64"), "holds more than"),
    "root is not origin": (edit([*FIRST, "root", "digest"], B.digest), "differs from origin"),
    "no children": (edit([*FIRST, "children"], None), "children must be there"),
    "children of a manifest": (edit([*FIRST, "index"], "manifest"), "children must be there"),
    "wish": (edit([*FIRST, "wish"], "xyz"), "wish is no fingerprint"),
    "attachment tag": (edit([*FIRST, "attachments"], [{"tag": "-", "root": A.document()}]), "is not a tag"),
    "attachment kind": (attached(kind="virus"), "kind is 'virus', not one of signature"),
    "attachment subject": (attached(subject="sha1:1"), "subject"),
    "attachment predicates": (attached(predicates="x"), "predicates must be a list"),
    "layers with a tag": (attached(layers=[LAYER], subject=A.digest, tag="a"), "layers must come with a subject"),
    "layers without a subject": (attached(layers=[LAYER]), "layers must come with a subject"),
    "layers of another type": (attached(layers=[{**LAYER, "mediaType": "x/y"}], subject=A.digest), "is 'x/y', not"),
    "reason": (left_out(reason="laziness"), "reason is 'laziness', not one of unwanted"),
    "no reason": (left_out(reason=None), "reason is missing"),
    "left out of nothing": (left_out(subject=None), "subject is missing"),
    "left out kind": (left_out(kind="x"), "kind is 'x'"),
    "left out tag": (left_out(tag="-"), "is not a tag"),
    "left out key": (left_out(x=1), "x is not a known key"),
    "left out root": (left_out(root={**LAYER, "urls": ["https://x.example"]}), "holds more than"),
    "attachment key": (edit([*FIRST, "attachments"], [{"x": "-", "root": A.document()}]), "x is not a known key"),
}


@pytest.mark.parametrize("case", BAD)
def test_defects(case):
    change, match = BAD[case]
    document = json.loads(write_lock(locked(SPARSE)))
    change(document)
    with pytest.raises((ConfigError, UnsupportedError), match=match) as caught:
        read_lock(json.dumps(document).encode(), "b.lock.json")
    assert str(caught.value).startswith("b.lock.json")


def test_a_stripped_index_may_differ_from_its_origin():
    document = json.loads(write_lock(locked(STRIPPED)))
    assert read_lock(json.dumps(document).encode(), "l").images == (STRIPPED,)


@pytest.mark.parametrize(
    ("raw", "match"),
    [(b"", "not JSON"), (b"[]", "must be an object"), (b'{"kind": 1, "Kind": 2}', "key 'Kind' appears also as 'kind'")],
)
def test_what_is_no_json(raw, match):
    with pytest.raises(ConfigError, match=match):
        read_lock(raw, "l")


def test_a_lock_of_before_attachments_were_accounted_for():
    document = json.loads(write_lock(locked(TOLD)))
    del document["images"][0]["leftOut"]
    for attachment in document["images"][0]["attachments"]:
        for later in ("subject", "kind", "predicates", "layers"):
            attachment.pop(later, None)
    (old,) = read_lock(json.dumps(document).encode(), "l").images
    assert (old.left_out, {one.kind for one in old.attachments}) == ((), {""})
    assert [one.root for one in old.attachments] == [one.root for one in TOLD.attachments]
    assert json.loads(write_lock(read_lock(json.dumps(document).encode(), "l"))) == document


def test_size():
    with pytest.raises(LimitError):
        read_lock(b" " * ((64 << 20) + 1), "l")


platforms = st.sampled_from(["linux/amd64", "linux/arm64", "linux/arm/v7", "windows/amd64"])
manifests = st.builds(manifest, st.text("xyz", min_size=1), platforms)
attachments = st.lists(st.builds(Attachment, st.sampled_from(["", "sha256-a.sig"]), st.builds(manifest, st.text("uv"))))
images = st.builds(
    lambda name, children, found: LockedImage(
        f"docker://quay.io/{name}:1",
        f"{name}:1",
        index(name),
        index(name),
        tuple(children),
        "sparse",
        tuple(found),
        WISH,
    ),
    st.text("abc", min_size=1),
    st.lists(manifests, min_size=1, unique_by=lambda one: one.digest),
    attachments,
)


@given(st.lists(images, min_size=1, unique_by=lambda image: image.target))
def test_what_was_written_is_what_is_read(some):
    lock = locked(*some)
    raw = write_lock(lock)
    assert isinstance(lock, Lock)
    assert write_lock(read_lock(raw, "l")) == raw
    assert next_lock(lock, name="edge", channel="stable", images=some, issued=LATER, expires=None) is lock
