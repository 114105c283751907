"""Locks compared: with each other, with wishes, with patterns."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from bundler.errors import NotFoundError
from bundler.oci import mediatype
from bundler.oci.descriptor import Descriptor
from bundler.oci.digest import digest_of
from bundler.oci.platform import parse_platform
from bundler.selection.drift import drift, is_match, locked_for, matching, stale
from bundler.selection.lock import Attachment, Lock, LockedImage
from bundler.selection.tags import TagRule
from bundler.selection.wishes import Wish, Wishes

NOW = datetime(2026, 1, 31, tzinfo=UTC)


def manifest(name, platform="linux/amd64"):
    return Descriptor(mediatype.OCI_MANIFEST, digest_of(name.encode()), len(name), parse_platform(platform))


def lock(*images, name="edge"):
    return Lock(name, "stable", 1, NOW, None, images)


A, B, INDEX, OTHER_INDEX = manifest("a"), manifest("b", "linux/arm64"), manifest("i"), manifest("j")
NGINX = LockedImage("docker://docker.io/library/nginx:1.27", "library/nginx:1.27", A, A)
APP = LockedImage("docker://quay.io/acme/app:2", "acme/app:2", INDEX, INDEX, (A, B), "sparse")


@pytest.mark.parametrize(
    ("old", "new", "lines"),
    [
        pytest.param(lock(NGINX, APP), lock(APP, NGINX), [], id="the same"),
        pytest.param(lock(NGINX), lock(replace(NGINX, wish="f" * 16)), [], id="another wish for the same"),
        pytest.param(lock(), lock(APP), [f"docker://quay.io/acme/app:2 (acme/app:2): new, {INDEX.digest}"], id="new"),
        pytest.param(lock(APP), lock(), [f"docker://quay.io/acme/app:2 (acme/app:2): gone, was {INDEX.digest}"], id="gone"),
        pytest.param(
            lock(NGINX),
            lock(replace(NGINX, origin=B, root=B)),
            [f"docker://docker.io/library/nginx:1.27 (library/nginx:1.27): moved upstream from {A.digest} to {B.digest}"],
            id="moved",
        ),
        pytest.param(
            lock(APP),
            lock(replace(APP, origin=OTHER_INDEX, root=OTHER_INDEX, children=(B,))),
            [f"docker://quay.io/acme/app:2 (acme/app:2): moved upstream from {INDEX.digest} to {OTHER_INDEX.digest}"],
            id="moved with its children",
        ),
        pytest.param(
            lock(APP),
            lock(replace(APP, children=(A,))),
            ["docker://quay.io/acme/app:2 (acme/app:2): carries sparse (linux/amd64), was sparse (linux/amd64, linux/arm64)"],
            id="other platforms",
        ),
        pytest.param(
            lock(APP),
            lock(replace(APP, root=OTHER_INDEX, index="strip")),
            [
                f"docker://quay.io/acme/app:2 (acme/app:2): carried as {OTHER_INDEX.digest}, was {INDEX.digest}",
                ("docker://quay.io/acme/app:2 (acme/app:2): carries strip (linux/amd64, linux/arm64), "
                "was sparse (linux/amd64, linux/arm64)"),
            ],
            id="stripped",
        ),
        pytest.param(
            lock(replace(NGINX, attachments=(Attachment("s.sig", A), Attachment("", B)))),
            lock(replace(NGINX, attachments=(Attachment("s.sig", B), Attachment("", B)))),
            [
                "docker://docker.io/library/nginx:1.27 (library/nginx:1.27): attachment s.sig new",
                "docker://docker.io/library/nginx:1.27 (library/nginx:1.27): attachment s.sig gone",
            ],
            id="attachments",
        ),
        pytest.param(
            lock(NGINX),
            lock(replace(NGINX, attachments=(Attachment("", B),))),
            [f"docker://docker.io/library/nginx:1.27 (library/nginx:1.27): attachment {B.digest} new"],
            id="referrer",
        ),
        pytest.param(
            lock(NGINX), lock(NGINX, name="core"), ["the line is core stable, was edge stable"], id="another line"
        ),
    ],
)  # fmt: skip
def test_drift(old, new, lines):
    assert drift(old, new) == lines


WISH = Wish("docker", "docker.io/library/nginx", tags=("1.27",), where="b.yaml:7")
RULE = Wish("docker", "docker.io/library/nginx", rule=TagRule(regex="1.27"), where="b.yaml:8")
OTHER = Wish("docker", "quay.io/acme/app", tags=("2",), where="b.yaml:9")


def wishes(*some, name="edge"):
    return Wishes(name, "stable", some, {})


def test_stale():
    made = lock(replace(NGINX, wish=WISH.fingerprint), replace(APP, wish=OTHER.fingerprint))
    assert stale(made, wishes(WISH, OTHER)) == []
    assert stale(made, wishes(WISH, OTHER, RULE)) == []  # whatever it means may be there already
    assert stale(made, wishes(WISH, OTHER, replace(RULE, name="x/y", optional=True))) == []
    assert stale(made, wishes(WISH)) == ["docker://quay.io/acme/app:2 is no longer wished for"]
    assert stale(made, wishes(WISH, OTHER, replace(OTHER, tags=("3",), target="z"))) == [
        "b.yaml:9: docker://quay.io/acme/app is new or changed since the lock was made"
    ]
    assert stale(made, wishes(WISH, OTHER, name="core")) == ["the lock is of edge stable, not of core stable"]


def test_locked_for():
    made = lock(replace(NGINX, wish=WISH.fingerprint), APP)
    assert locked_for(made, WISH) == made.images[:1]
    assert locked_for(made, OTHER) == ()


MATCHES = [
    "nginx", "nginx:1.27", "library/nginx", "library/nginx:1.*", "docker.io/library/nginx", "*nginx*", "docker.io/*",
    "docker.io/library/nginx:1.27", "docker://docker.io/library/nginx:1.27", "docker://*", "*", "ngin?", "ngin[xy]",
]  # fmt: skip


@pytest.mark.parametrize("pattern", MATCHES)
def test_patterns_that_match(pattern):
    assert is_match(NGINX, pattern)


@pytest.mark.parametrize("pattern", ["ngin", "Nginx", "1.27", "library", "nginx:1.2", "quay.io/*", ""])
def test_patterns_that_do_not(pattern):
    assert not is_match(NGINX, pattern)


def test_matching():
    made = lock(NGINX, APP)
    assert matching(made, "acme/*") == (APP,)
    with pytest.raises(NotFoundError, match=r"^the lock has no image 'library/ngnix'$") as caught:
        matching(made, "library/ngnix")
    assert caught.value.hint == "did you mean `library/nginx`?"
