"""The names that a signature may give an image, by each kind of identity."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bundler.errors import ConfigError
from bundler.oci.digest import digest_of
from bundler.oci.reference import parse_reference
from bundler.oci.strict_json import Fields
from bundler.policy.identities import read_identity

DIGEST, OTHER = digest_of(b"one"), digest_of(b"two")


def identity(**members: Any) -> Any:
    return read_identity(Fields(members, what="signedIdentity", error=ConfigError))


EXACT, REPO_DIGEST, REPOSITORY = (
    {"type": kind} for kind in ("matchExact", "matchRepoDigestOrExact", "matchRepository")
)
ONE = {"type": "exactReference", "dockerReference": "r.example/app:1"}
ALL = {"type": "exactRepository", "dockerRepository": "r.example/app"}
REMAP = {"type": "remapIdentity", "prefix": "mirror.example/hub", "signedPrefix": "docker.io"}


@pytest.mark.parametrize(
    ("rule", "intended", "signed", "accepted"),
    [
        (EXACT, "r.example/app:1", "r.example/app:1", True),
        (EXACT, "r.example/app:1", "r.example/app:2", False),
        (EXACT, "r.example/app:1", "r.example/app", False),
        (EXACT, "busybox:latest", "docker.io/library/busybox:latest", True),
        (EXACT, "docker.io/library/busybox:latest", "busybox:latest", True),
        (EXACT, f"r.example/app@{DIGEST}", "r.example/app:1", False),
        (EXACT, f"r.example/app@{DIGEST}", f"r.example/app@{DIGEST}", True),
        (EXACT, f"r.example/app@{DIGEST}", f"r.example/app@{OTHER}", False),
        (EXACT, None, "r.example/app:1", False),
        (REPO_DIGEST, "r.example/app:1", "r.example/app:1", True),
        (REPO_DIGEST, "r.example/app:1", "r.example/app:2", False),
        (REPO_DIGEST, "r.example/app:1", f"r.example/app@{DIGEST}", False),
        (REPO_DIGEST, f"r.example/app@{DIGEST}", "r.example/app:1", True),
        (REPO_DIGEST, f"r.example/app@{DIGEST}", "r.example/app", False),
        (REPO_DIGEST, f"r.example/app@{DIGEST}", "r.example/apps:1", False),
        (REPO_DIGEST, None, "r.example/app:1", False),
        (REPOSITORY, "r.example/app:1", "r.example/app:2", True),
        (REPOSITORY, "r.example/app:1", "r.example/app", True),
        (REPOSITORY, "r.example/app:1", "r.example/other:1", False),
        (REPOSITORY, "docker.io/library/x:1", "registry-1.docker.io/library/x:1", False),
        (REPOSITORY, None, "r.example/app:1", False),
        (ONE, "elsewhere.example/x:9", "r.example/app:1", True),
        (ONE, None, "r.example/app:1", True),
        (ONE, "r.example/app:2", "r.example/app:2", False),
        (ALL, None, "r.example/app:7", True),
        (ALL, None, "r.example/app", True),
        (ALL, "r.example/app:1", "r.example/app2:1", False),
        (REMAP, "mirror.example/hub/library/x:1", "docker.io/library/x:1", True),
        (REMAP, "mirror.example/hub/library/x:1", "mirror.example/hub/library/x:1", False),
        (REMAP, "mirror.example/hub/library/x:1", "docker.io/library/x:2", False),
        (REMAP, "mirror.example/hubs/library/x:1", "docker.ios/library/x:1", False),
        (REMAP, "other.example/x:1", "other.example/x:1", True),
        (REMAP, f"mirror.example/hub/library/x@{DIGEST}", "docker.io/library/x:2", True),
        (REMAP, None, "docker.io/library/x:1", False),
    ],
)
def test_names(rule: dict[str, str], intended: str | None, signed: str, accepted: bool) -> None:
    image = None if intended is None else parse_reference(intended)
    assert identity(**rule).accepts(image, signed) is accepted


@pytest.mark.parametrize("rule", [EXACT, REPO_DIGEST, REPOSITORY, ONE, ALL, REMAP])
@pytest.mark.parametrize(
    "signed", ["", "UPPER/x:1", "r.example/app:1\n", "r.example/app:1\0", "docker://r.example/app:1", "r.example/../app:1", "\u202e"]
)  # fmt: skip
def test_what_is_no_name_is_never_accepted(rule: dict[str, str], signed: str) -> None:
    assert not identity(**rule).accepts(parse_reference("r.example/app:1"), signed)


@pytest.mark.parametrize(
    ("prefix", "signed_prefix"),
    [("r.example/team", "team"), ("r.example/team/app", "s.example"), ("r.example", "library")],
)
def test_a_name_is_never_completed_after_its_prefix_was_replaced(prefix: str, signed_prefix: str) -> None:
    rule = identity(type="remapIdentity", prefix=prefix, signedPrefix=signed_prefix)
    intended = parse_reference("r.example/team/app:1")
    for signed in ("team/app:1", "docker.io/team/app:1", "s.example:1", "library/team/app:1"):
        assert not rule.accepts(intended, signed)


@pytest.mark.parametrize(
    "members",
    [
        {},
        {"type": ""},
        {"type": "matchexact"},
        {"type": "matchExact", "dockerReference": "a:1"},
        {"type": ["matchExact"]},
        {"type": "exactReference"},
        {"type": "exactReference", "dockerReference": "r.example/app"},
        {"type": "exactReference", "dockerReference": "UPPER"},
        {"type": "exactReference", "dockerReference": 1},
        {"type": "exactRepository", "dockerRepository": ""},
        {"type": "exactRepository", "dockerReference": "r.example/app"},
        {"type": "remapIdentity", "prefix": "r.example"},
        {"type": "remapIdentity", "prefix": "r.example", "signedPrefix": ""},
        {"type": "remapIdentity", "prefix": "r.example/", "signedPrefix": "s.example"},
        {"type": "remapIdentity", "prefix": "r.example", "signedPrefix": "s.example/x:1"},
        {"type": "remapIdentity", "prefix": "*.example", "signedPrefix": "s.example"},
        {"type": "remapIdentity", "prefix": "r.example\n", "signedPrefix": "s.example"},
        {"type": "remapIdentity", "prefix": "a/" * 400 + "a", "signedPrefix": "s.example"},
    ],
    ids=json.dumps,
)
def test_what_is_no_identity(members: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="signedIdentity"):
        identity(**members)


def test_a_long_prefix_with_a_mistake_is_refused_at_once() -> None:
    """A name of 200 letters, read by a careless expression, takes longer than there is time."""
    with pytest.raises(ConfigError, match="prefix"):
        identity(type="remapIdentity", prefix="r.example/" + "a" * 200 + "!", signedPrefix="s.example")
    assert identity(type="remapIdentity", prefix="r.example/a--b/c__d.e-f", signedPrefix="s.example")
