"""policy.json: what is read, what is refused, and which scope decides."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bundler.errors import BundlerError, ConfigError, LimitError, PolicyError
from bundler.oci.reference import parse_reference
from bundler.policy import anywhere, docker_place, named_place, path_place, read_policy
from bundler.policy.material import Material
from bundler.policy.requirements import Accept, Fulcio, Pki, Reject, SignedBaseLayer, SignedBy, SigstoreSigned

ACCEPT, REJECT = {"type": "insecureAcceptAnything"}, {"type": "reject"}
KEY = base64.b64encode(b"a key").decode()
SIGNED = {"type": "signedBy", "keyType": "GPGKeys", "keyPath": "/k.gpg"}
SIGSTORE = {"type": "sigstoreSigned", "keyPath": "/k.pub"}
CERTIFIED = Fulcio(Material(paths=("/ca",)), "https://issuer.example", "a@b.example")
FULCIO = {"caPath": "/ca", "oidcIssuer": "https://issuer.example", "subjectEmail": "a@b.example"}
PKI = {"caRootsPath": "/ca", "subjectHostname": "b.example"}


def policy(document: Any) -> Any:
    return read_policy(json.dumps(document).encode(), source="/etc/policy.json")


@pytest.mark.parametrize(
    ("rule", "read"),
    [
        (ACCEPT, Accept()),
        (REJECT, Reject()),
        (SIGNED, SignedBy("GPGKeys", Material(paths=("/k.gpg",)))),
        ({**SIGNED, "keyType": "signedByGPGKeys"}, SignedBy("signedByGPGKeys", Material(paths=("/k.gpg",)))),
        (
            {"type": "signedBy", "keyType": "GPGKeys", "keyData": KEY[:4] + "\n" + KEY[4:]},
            SignedBy("GPGKeys", Material(contents=(b"a key",))),
        ),
        (
            {"type": "signedBy", "keyType": "GPGKeys", "keyPaths": ["/a", "/b"]},
            SignedBy("GPGKeys", Material(paths=("/a", "/b"))),
        ),
        (SIGSTORE, SigstoreSigned(Material(paths=("/k.pub",)))),
        (
            {"type": "sigstoreSigned", "keyDatas": [KEY, KEY]},
            SigstoreSigned(Material(contents=(b"a key", b"a key"))),
        ),
        (
            {**SIGSTORE, "rekorPublicKeyPath": "/r.pub"},
            SigstoreSigned(Material(paths=("/k.pub",)), Material(paths=("/r.pub",))),
        ),
        (
            {"type": "sigstoreSigned", "fulcio": FULCIO, "rekorPublicKeyData": KEY},
            SigstoreSigned(CERTIFIED, Material(contents=(b"a key",))),
        ),
        (
            {
                "type": "sigstoreSigned",
                "fulcio": {**FULCIO, "caPath": None, "caData": KEY},
                "rekorPublicKeyPaths": ["/a", "/b"],
            },
            SigstoreSigned(replace(CERTIFIED, ca=Material(contents=(b"a key",))), Material(paths=("/a", "/b"))),
        ),
        (
            {**SIGSTORE, "rekorPublicKeyDatas": [KEY, KEY]},
            SigstoreSigned(Material(paths=("/k.pub",)), Material(contents=(b"a key", b"a key"))),
        ),
        ({"type": "sigstoreSigned", "pki": PKI}, SigstoreSigned(Pki(Material(paths=("/ca",)), hostname="b.example"))),
        (
            {
                "type": "sigstoreSigned",
                "pki": {"caRootsData": KEY, "caIntermediatesPath": "/i", "subjectEmail": "a@b", "subjectHostname": "b"},
            },
            SigstoreSigned(Pki(Material(contents=(b"a key",)), Material(paths=("/i",)), "a@b", "b")),
        ),
    ],
)
def test_requirements(rule: dict[str, Any], read: Any) -> None:
    assert policy({"default": [_without_none(rule)]}).default == (read,)


def _without_none(rule: Any) -> Any:
    return {k: _without_none(v) for k, v in rule.items() if v is not None} if isinstance(rule, dict) else rule


def test_a_base_layer_has_an_identity() -> None:
    (found,) = policy({"default": [{"type": "signedBaseLayer", "baseLayerIdentity": {"type": "matchExact"}}]}).default
    assert isinstance(found, SignedBaseLayer)


@pytest.mark.parametrize(
    "document",
    [
        [],
        None,
        "default",
        {},
        {"transports": {}},
        {"default": None},
        {"default": {}},
        {"default": []},
        {"default": ACCEPT},
        {"default": [[ACCEPT]]},
        {"default": ["insecureAcceptAnything"]},
        {"default": [ACCEPT], "extra": 1},
        {"default": [ACCEPT], "transports": None},
        {"default": [ACCEPT], "transports": []},
        {"default": [ACCEPT], "transports": {"docker": []}},
        {"default": [ACCEPT], "transports": {"docker": {"": []}}},
        {"default": [ACCEPT], "transports": {"docker": {"": ACCEPT}}},
        {"default": [ACCEPT], "transports": {"docker": {"a\u202eb": [ACCEPT]}}},
        {"default": [ACCEPT], "transports": {"doc\nker": {}}},
        {"default": [ACCEPT], "transports": {"dir": {"relative": [ACCEPT]}}},
        {"default": [{}]},
        {"default": [{"type": "insecureacceptanything"}]},
        {"default": [{"type": 1}]},
        {"default": [{"type": True}]},
        {"default": [{"TYPE": "reject"}]},
        {"default": [{**ACCEPT, "keyPath": "/k"}]},
        {"default": [{**REJECT, "comment": "no"}]},
        {"default": [{**SIGNED, "keyData": KEY}]},
        {"default": [{**SIGNED, "keyPaths": ["/k"]}]},
        {"default": [{**SIGNED, "keyDatas": [KEY]}]},
        {"default": [{"type": "signedBy", "keyType": "GPGKeys"}]},
        {"default": [{"type": "signedBy", "keyPath": "/k"}]},
        {"default": [{**SIGNED, "keyType": "gpgkeys"}]},
        {"default": [{**SIGNED, "keyPath": ""}]},
        {"default": [{**SIGNED, "keyPath": None}]},
        {"default": [{**SIGNED, "keyPath": "/k\0"}]},
        {"default": [{**SIGNED, "keyPath": ["/k"]}]},
        {"default": [{"type": "signedBy", "keyType": "GPGKeys", "keyPaths": []}]},
        {"default": [{"type": "signedBy", "keyType": "GPGKeys", "keyPaths": ["/k", 1]}]},
        {"default": [{"type": "signedBy", "keyType": "GPGKeys", "keyPaths": "/k"}]},
        {"default": [{"type": "signedBy", "keyType": "GPGKeys", "keyData": "not base64!"}]},
        {"default": [{"type": "signedBy", "keyType": "GPGKeys", "keyData": ""}]},
        {"default": [{**SIGNED, "signedIdentity": None}]},
        {"default": [{**SIGNED, "signedIdentity": "matchExact"}]},
        {"default": [{**SIGNED, "signedIdentity": {"type": "no"}}]},
        {"default": [{"type": "signedBaseLayer"}]},
        {"default": [{"type": "sigstoreSigned"}]},
        {"default": [{**SIGSTORE, "keyType": "GPGKeys"}]},
        {"default": [{**SIGSTORE, "keyData": KEY}]},
        {"default": [{**SIGSTORE, "fulcio": FULCIO}]},
        {"default": [{**SIGSTORE, "rekorPublicKeyPath": "/a", "rekorPublicKeyData": KEY}]},
        {"default": [{"type": "sigstoreSigned", "keyDatas": []}]},
        {"default": [{"type": "sigstoreSigned", "fulcio": FULCIO}]},
        {"default": [{"type": "sigstoreSigned", "fulcio": {}, "rekorPublicKeyPath": "/r"}]},
        {"default": [{"type": "sigstoreSigned", "fulcio": {**FULCIO, "caData": KEY}, "rekorPublicKeyPath": "/r"}]},
        {"default": [{"type": "sigstoreSigned", "fulcio": {**FULCIO, "oidcIssuer": ""}, "rekorPublicKeyPath": "/r"}]},
        {"default": [{"type": "sigstoreSigned", "fulcio": {**FULCIO, "x": 1}, "rekorPublicKeyPath": "/r"}]},
        {"default": [{"type": "sigstoreSigned", "pki": PKI, "rekorPublicKeyPath": "/r"}]},
        {"default": [{"type": "sigstoreSigned", "pki": {"caRootsPath": "/ca"}}]},
        {"default": [{"type": "sigstoreSigned", "pki": {**PKI, "caRootsData": KEY}}]},
        {
            "default": [
                {"type": "sigstoreSigned", "pki": {**PKI, "caIntermediatesPath": "/i", "caIntermediatesData": KEY}}
            ]
        },
        {"default": [{"type": "sigstoreSigned", "pki": {**PKI, "subjectEmail": ""}}]},
        {"default": [{"type": "sigstoreSigned", "pki": {**PKI, "oidcIssuer": "x"}}]},
        {"default": [{"type": "sigstoreSigned", "pki": PKI, "fulcio": FULCIO, "rekorPublicKeyPath": "/r"}]},
        {"default": [{"type": "sigstoreSigned", "fulcio": {**FULCIO, "caData": "!"}, "rekorPublicKeyPath": "/r"}]},
        {
            "default": [
                {"type": "sigstoreSigned", "fulcio": {**FULCIO, "subjectEmail": ["a@b"]}, "rekorPublicKeyPath": "/r"}
            ]
        },
        {"default": [{"type": "sigstoreSigned", "rekorPublicKeyPath": "/r"}]},
        {"default": [{**SIGSTORE, "rekorPublicKeyPaths": []}]},
        {"default": [{**SIGSTORE, "rekorPublicKeyDatas": [KEY, ""]}]},
        {"default": [{"type": "sigstoreSigned", "pki": {"subjectEmail": "a@b.example"}}]},
    ],
    ids=lambda document: json.dumps(document)[:90],
)
def test_what_is_refused(document: Any) -> None:
    with pytest.raises(ConfigError, match=r"policy\.json") as refused:
        policy(document)
    assert str(refused.value).isprintable()


@pytest.mark.parametrize(
    "raw",
    [
        b'{"default": [{"type": "reject"}], "default": [{"type": "insecureAcceptAnything"}]}',
        b'{"default": [{"type": "reject"}], "Default": [{"type": "insecureAcceptAnything"}]}',
        b'{"default": [{"type": "reject", "type": "insecureAcceptAnything"}]}',
        '{"default": [{"type": "reject"}], "tran\u017fports": {}}'.encode(),
        b'{"default": [{"type": "reject"}], "transports": {"docker": {"a": [], "a": []}}}',
        b'{"default": [{"type": "reject"}]} {}',
        b'{"default": [{"type": "reject"}],}',
        b'\xef\xbb\xbf{"default": [{"type": "reject"}]}',
        b'{"default": [NaN]}',
        b'{"default": [{"type": "\xff"}]}',
        b"",
        b"default: [reject]",
    ],
)
def test_what_two_readers_could_read_otherwise_is_refused(raw: bytes) -> None:
    with pytest.raises(ConfigError):
        read_policy(raw)


@pytest.mark.parametrize(
    ("document", "error"),
    [
        (json.dumps({"default": [ACCEPT] * 1001}), ConfigError),
        ("[" * 100 + "]" * 100, LimitError),
        (" " * (4 << 20) + "{}", LimitError),
        (json.dumps({"default": [{"type": "signedBy", "keyType": "GPGKeys", "keyPaths": ["/k"] * 1001}]}), ConfigError),
    ],
    ids=["requirements", "depth", "size", "keys"],
)
def test_bounds(document: str, error: type[BundlerError]) -> None:
    with pytest.raises(error):
        read_policy(document.encode())


SCOPED = {
    "default": [REJECT],
    "transports": {
        "docker": {"r.example/team": [ACCEPT], "r.example/team/app:1": [REJECT, REJECT], "*.example": [SIGNED]},
        "dir": {"/srv": [ACCEPT]},
        "oci": {"": [ACCEPT]},
        "containers-storage": {"[vfs@/x]": [ACCEPT]},
        "docker-archive": {"": [ACCEPT]},
    },
}


@pytest.mark.parametrize(
    ("place", "scope", "count"),
    [
        (docker_place(parse_reference("r.example/team/app:1")), "transports.docker['r.example/team/app:1']", 2),
        (docker_place(parse_reference("r.example/team/app:2")), "transports.docker['r.example/team']", 1),
        (docker_place(parse_reference("r.example/teams/app:2")), "transports.docker['*.example']", 1),
        (docker_place(parse_reference("r.other/team/app:1")), "default", 1),
        (path_place("dir", "/srv/a/b"), "transports.dir['/srv']", 1),
        (path_place("dir", "/srv2"), "default", 1),
        (path_place("oci", "/any"), "transports.oci['']", 1),
        (path_place("bundle", "/any"), "default", 1),
        (named_place("docker-archive", None), "transports.docker-archive['']", 1),
    ],
)
def test_the_most_specific_scope_decides(place: Any, scope: str, count: int) -> None:
    where, requirements = policy(SCOPED).requirements(place)
    assert (where, len(requirements)) == (scope, count)


def test_scopes_that_cant_be_told_are_refused() -> None:
    with pytest.raises(PolicyError, match=r"containers-storage\['\[vfs@/x\]'\]: it can't be told") as refused:
        policy(SCOPED).requirements(anywhere("containers-storage"))
    assert "[DRIVER@ROOT]HOST/NAME:TAG" in refused.value.hint
    assert policy({"default": [ACCEPT]}).requirements(anywhere("containers-storage"))[0] == "default"


def test_accepting_all_takes_every_requirement() -> None:
    place = path_place("dir", "/a")
    assert policy({"default": [ACCEPT, ACCEPT]}).accepts_all(place)
    assert not policy({"default": [ACCEPT, REJECT]}).accepts_all(place)


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.sampled_from(["reject", "signedBy", "/k", "GPGKeys"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["default", "transports", "docker", "", "type", "keyType", "keyPath", "signedIdentity"])
            | st.text(max_size=4),
            inner,
            max_size=4,
        )
    ),
    max_leaves=20,
)


@given(_VALUES)
def test_any_document_is_read_or_refused(document: Any) -> None:
    try:
        found = read_policy(json.dumps(document).encode())
    except (ConfigError, LimitError):
        return
    assert found.default
