"""policy.json and registries.d as they are written: read back by what obeys them."""

from __future__ import annotations

import base64
import json

import pytest

from bundler.errors import ConfigError
from bundler.oci.reference import parse_reference
from bundler.policy import docker_place, path_place, read_policy, read_registries_d
from bundler.policy.identities import MatchRepoDigestOrExact
from bundler.policy.material import Material
from bundler.policy.requirements import Accept, Reject, SignedBy, SigstoreSigned
from bundler.policy.writing import DEFAULTS, Keys, write_policy, write_registries_d

HOST = "registry.site:5000"
BOTH = Keys(gpg=b"\x99gpg", cosign=b"-----BEGIN PUBLIC KEY-----\n")
HERE = docker_place(parse_reference(f"{HOST}/acme/nginx:1.0"))
ELSEWHERE = docker_place(parse_reference("docker.io/library/nginx:1.0"))


def test_both_keys_must_have_signed() -> None:
    scope, (simple, sigstore) = read_policy(write_policy(HOST, BOTH)).requirements(HERE)
    assert scope == f"transports.docker['{HOST}']"
    assert isinstance(simple, SignedBy)
    assert (simple.key_type, simple.keys.contents, simple.identity) == (
        "GPGKeys",
        (BOTH.gpg,),
        MatchRepoDigestOrExact(),
    )
    assert isinstance(sigstore, SigstoreSigned)
    assert isinstance(sigstore.signers, Material)
    assert (sigstore.signers.contents, sigstore.identity) == ((BOTH.cosign,), MatchRepoDigestOrExact())


@pytest.mark.parametrize(
    ("keys", "kinds"),
    [
        pytest.param(Keys(gpg=b"g"), ["signedBy"], id="gpg"),
        pytest.param(Keys(cosign=b"c"), ["sigstoreSigned"], id="cosign"),
        pytest.param(Keys(), ["reject"], id="no key lets nothing in"),
    ],
)
def test_one_key_or_none(keys: Keys, kinds: list[str]) -> None:
    assert [each.name for each in read_policy(write_policy(HOST, keys)).requirements(HERE)[1]] == kinds


def test_everything_else_is_rejected_unless_said() -> None:
    assert DEFAULTS == ("reject", "accept")
    for place in (ELSEWHERE, path_place("dir", "/tmp/x")):
        assert read_policy(write_policy(HOST, BOTH)).requirements(place) == ("default", (Reject(),))
        assert read_policy(write_policy(HOST, BOTH, default="accept")).requirements(place) == ("default", (Accept(),))


def test_what_is_said_of_other_places_stays() -> None:
    other = write_policy("docker.io", Keys(gpg=b"g"), default="accept")
    both = write_policy(HOST, BOTH, existing=other)
    assert read_policy(both).requirements(ELSEWHERE)[1] == read_policy(other).requirements(ELSEWHERE)[1]
    assert json.loads(both)["default"] == [{"type": "insecureAcceptAnything"}]
    assert json.loads(write_policy(HOST, BOTH, existing=both, default="reject"))["default"] == [{"type": "reject"}]
    replaced = read_policy(write_policy(HOST, Keys(cosign=b"new"), existing=both)).requirements(HERE)[1]
    assert [each.name for each in replaced] == ["sigstoreSigned"]


def test_old_names_that_mirrors_lead_here() -> None:
    raw = write_policy(HOST, BOTH, mirrored={"docker.io": f"{HOST}/hub", "docker.io/team": f"{HOST}/team"})
    scope, requirements = read_policy(raw).requirements(ELSEWHERE)
    assert scope == "transports.docker['docker.io']"
    for each in requirements:
        assert isinstance(each, SignedBy | SigstoreSigned)
        asked = parse_reference("docker.io/library/nginx:1.0")
        assert each.identity.accepts(asked, f"{HOST}/hub/library/nginx:1.0")
        assert not each.identity.accepts(asked, f"{HOST}/hub/library/nginx:1.1")
        assert not each.identity.accepts(asked, "docker.io/library/nginx:1.0")


def test_writing_again_changes_nothing() -> None:
    first = write_policy(HOST, BOTH)
    assert write_policy(HOST, BOTH, existing=first) == first


@pytest.mark.parametrize(
    "existing",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b'{"default": []}', id="an empty list"),
        pytest.param(b'{"default": [{"type": "reject"}], "Default": []}', id="a case-folded key"),
        pytest.param(b'{"default": [{"type": "reject"}], "default": [{"type": "reject"}]}', id="a duplicate key"),
        pytest.param(b'{"default": [{"type": "reject"}], "transports": null}', id="a null"),
        pytest.param(b'{"default": [{"type": "trustMe"}]}', id="an unknown requirement"),
        pytest.param(b'{"default": [{"type": "reject"}]} {}', id="trailing bytes"),
    ],
)
def test_a_policy_that_is_none_is_not_added_to(existing: bytes) -> None:
    with pytest.raises(ConfigError):
        write_policy(HOST, BOTH, existing=existing)


def test_keys_stand_in_the_policy_itself() -> None:
    found = json.loads(write_policy(HOST, BOTH))["transports"]["docker"][HOST]
    assert [base64.b64decode(each["keyData"]) for each in found] == [BOTH.gpg, BOTH.cosign]
    assert not any("keyPath" in each for each in found)


@pytest.mark.parametrize(
    ("lookaside", "attachments"),
    [
        ("file:///srv/lookaside", False),
        ("https://signatures.site/a%20b?#x: {y}", True),
        ("", True),
    ],
)
def test_where_signatures_are(lookaside: str, attachments: bool) -> None:
    raw = write_registries_d(HOST, lookaside=lookaside, attachments=attachments)
    found, reference = read_registries_d([("r.yaml", raw)]), parse_reference(f"{HOST}/acme/nginx:1.0")
    assert found.lookaside(reference) == lookaside
    assert found.attachments(reference) is attachments
    assert list(found.docker) == [HOST]


def test_a_host_in_brackets_is_one_word() -> None:
    raw = write_registries_d("[::1]:5000", attachments=True)
    assert list(read_registries_d([("r.yaml", raw)]).docker) == ["[::1]:5000"]
