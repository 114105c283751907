"""trust.yaml, read by the code and by its schema: they agree on good documents, and on each defect that a schema sees."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from jsonschema import Draft202012Validator

from bundler.errors import BundlerError, ConfigError, LimitError, NotFoundError, UnsupportedError
from bundler.oci.digest import digest_of
from bundler.trust.images.identity import Identity
from bundler.trust.images.requirement import AllOf, AnyOf, Attested, Cosign, Gpg, Nothing, Sigstore, Subject
from bundler.trust.policy import KEYS, RULE_KEYS, TrustPolicy, parse_policy
from tests.workshop import key

FOLDER = Path(__file__).parents[2] / "schemas" / "trust-yaml"
SCHEMA = json.loads((FOLDER / "schema.json").read_text("utf-8"))
Draft202012Validator.check_schema(SCHEMA)
VALIDATOR = Draft202012Validator(SCHEMA)

ANN, BOB = key("ann").public, key("bob").public
GPG_KEY = b"-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nxx\n-----END PGP PUBLIC KEY BLOCK-----\n"
FILES = {
    "ann.pub": ANN.pem,
    "bob.pub": BOB.pem,
    "site.asc": GPG_KEY,
    "root.json": b"{}",
    "private.asc": b"-----BEGIN PGP PRIVATE KEY BLOCK-----\n" + GPG_KEY,
    "rubbish": b"rubbish",
    **dict.fromkeys(("keys/hub.pub", "keys/release.pub", "keys/builder.pub", "keys/site.pub"), ANN.pem),
    "keys/quality.pub": BOB.pem,
    "keys/site.asc": GPG_KEY,
    "trusted_root.json": b"{}",
}


def read_file(name: str) -> bytes:
    if name not in FILES:
        raise NotFoundError(f"{name} does not exist")
    return FILES[name]


def parse(text: str) -> TrustPolicy:
    return parse_policy(text.encode(), "trust.yaml", read_file)


def with_rule(rule: str) -> str:
    return f"apiVersion: bundler/v1\nkind: TrustPolicy\nimages:\n- {{match: '**', {rule}}}\n"


def requirement(rule: str) -> object:
    text = with_rule(rule)
    VALIDATOR.validate(yaml.safe_load(text))
    return parse(text).rules[0].requirement


def test_the_readmes_example() -> None:
    text = (FOLDER / "README.md").read_text("utf-8").split("```yaml\n")[1].split("```")[0]
    VALIDATOR.validate(yaml.safe_load(text))
    policy = parse(text)
    assert len(policy.rules) == 5
    assert policy.accepts("lts-26")
    assert not policy.accepts("edge")
    assert policy.rules[1].children == "own"
    assert policy.rules[0].where == "trust.yaml:6"
    rule = policy.rule_for("docker.io/tools/x:1", "tools/x:1")
    assert rule is policy.rules[4]
    assert policy.rule_for("docker.io/tools/x:1", "prod/x:1") is None


def test_the_schema_has_the_codes_keys() -> None:
    assert sorted(SCHEMA["properties"]) == sorted(KEYS)
    assert sorted(SCHEMA["properties"]["images"]["items"]["properties"]) == sorted(RULE_KEYS)


def test_requirements() -> None:
    assert requirement("nothing: true") == Nothing()
    assert requirement("cosign: {keys: [ann.pub]}") == Cosign((ANN,), 1, Identity("matchRepository"))
    assert requirement("cosign: {keys: [ann.pub, bob.pub], threshold: 2, identity: any}") == Cosign(
        (ANN, BOB), 2, Identity("any")
    )
    assert requirement("attestation: {predicate-type: spdx, keys: [bob.pub]}") == Attested("spdx", (BOB,))
    assert requirement("gpg: {keys: [site.asc]}") == Gpg((GPG_KEY,), Identity("matchRepoDigestOrExact"), ("site.asc",))
    assert requirement(
        "sigstore: {issuer: 'https://i', subject: a@b, trusted-root: root.json, predicate-type: 'https://x'}"
    ) == Sigstore("https://i", Subject("a@b"), b"{}", "https://x")
    assert requirement("sigstore: {issuer: 'https://i', subject: {regex: 'a.*'}, trusted-root: root.json}") == Sigstore(
        "https://i", Subject("a.*", is_pattern=True), b"{}"
    )
    assert requirement(
        "sigstore: {issuer: 'https://i', subject: a@b, trusted-root: root.json, identity: matchRepository}"
    ) == Sigstore("https://i", Subject("a@b"), b"{}", identity=Identity("matchRepository"))
    both = "{cosign: {keys: [ann.pub]}}, {any: [{gpg: {keys: [site.asc]}}]}"
    assert isinstance(requirement(f"all: [{both}]"), AllOf)
    assert isinstance(requirement(f"any: [{both}]"), AnyOf)


@pytest.mark.parametrize(
    ("text", "identity"),
    [
        ("{exactReference: 'reg.io/a:1'}", Identity("exactReference", "reg.io/a:1")),
        ("{exactRepository: reg.io/a}", Identity("exactRepository", "reg.io/a")),
        (
            "{remapIdentity: {prefix: m.io/hub, signed-prefix: docker.io}}",
            Identity("remapIdentity", "docker.io", "m.io/hub"),
        ),
    ],
)
def test_identities(text: str, identity: Identity) -> None:
    found = requirement(f"cosign: {{keys: [ann.pub], identity: {text}}}")
    assert isinstance(found, Cosign)
    assert found.identity == identity


def test_a_key_in_place() -> None:
    text = with_rule(f"cosign: {{keys: [{json.dumps(ANN.pem.decode())}]}}")
    found = parse(text).rules[0].requirement
    assert isinstance(found, Cosign)
    assert found.keys == (ANN,)


def test_the_digest_is_the_file_s() -> None:
    text = with_rule("nothing: true")
    assert parse(text).digest == digest_of(text.encode())


def test_the_first_rule_that_fits_decides() -> None:
    policy = parse(
        "apiVersion: bundler/v1\nkind: TrustPolicy\nimages:\n"
        "- {match: a.io/x, nothing: true}\n- {match: a.io/**, cosign: {keys: [ann.pub]}}\n"
    )
    first, second = policy.rules
    assert policy.rule_for("a.io/x:1", "x:1") is first
    assert policy.rule_for("a.io/y:1", "y:1") is second
    assert policy.rule_for("b.io/y:1", "y:1") is None
    assert policy.expiry == "error"
    assert policy.channels is None
    assert policy.accepts("anything")


def test_each_file_is_read_once() -> None:
    asked: list[str] = []

    def counted(name: str) -> bytes:
        asked.append(name)
        return read_file(name)

    text = with_rule("all: [{cosign: {keys: [ann.pub]}}, {attestation: {predicate-type: spdx, keys: [ann.pub]}}]")
    parse_policy(text.encode(), "trust.yaml", counted)
    assert asked == ["ann.pub"]


HEAD = "apiVersion: bundler/v1\nkind: TrustPolicy\n"
BAD: dict[str, tuple[str, str]] = {
    "empty policy": (HEAD, "`images` is missing"),
    "no rules": (HEAD + "images: []", "is empty"),
    "images is nothing": (HEAD + "images:", "must be a list"),
    "no kind": ("apiVersion: bundler/v1\nimages: []", "`kind` is missing"),
    "unknown key": (HEAD + "imagse: []\nimages: []", "did you mean|not a known"),
    "unknown rule key": (with_rule("nothing: true, extra: 1"), "not a known key"),
    "rule without requirement": (with_rule("children: own"), "asks for nothing, and does not say so"),
    "two requirements": (with_rule("nothing: true, cosign: {keys: [ann.pub]}"), "at once"),
    "no match": (HEAD + "images: [{nothing: true}]", "`match` is missing"),
    "match is empty": (HEAD + "images: [{match: [], nothing: true}]", "is empty"),
    "match with a space": (HEAD + "images: [{match: 'a b', nothing: true}]", "without spaces"),
    "match with a control character": (HEAD + 'images: [{match: "a\\u202eb", nothing: true}]', "printable"),
    "nothing: false": (with_rule("nothing: false"), "can only be true"),
    "nothing within any": (with_rule("any: [{nothing: true}, {cosign: {keys: [ann.pub]}}]"), "not a known|alone"),
    "all of none": (with_rule("all: []"), "is empty"),
    "any of none": (with_rule("any: []"), "is empty"),
    "all of two in one": (with_rule("all: [{cosign: {keys: [ann.pub]}, gpg: {keys: [site.asc]}}]"), "at once"),
    "no keys": (with_rule("cosign: {}"), "`keys` is missing"),
    "keys empty": (with_rule("cosign: {keys: []}"), "1 to 100"),
    "keys is text": (with_rule("cosign: {keys: ann.pub}"), "must be a list"),
    "threshold 0": (with_rule("cosign: {keys: [ann.pub], threshold: 0}"), "whole number from 1"),
    "threshold -1": (with_rule("cosign: {keys: [ann.pub], threshold: -1}"), "whole number from 1"),
    "identity unknown": (with_rule("cosign: {keys: [ann.pub], identity: matchAll}"), "not a choice"),
    "identity of two": (
        with_rule("cosign: {keys: [ann.pub], identity: {exactRepository: a.io/b, exactReference: 'a.io/b:1'}}"),
        "one rule",
    ),
    "children unknown": (with_rule("nothing: true, children: all"), "not a choice"),
    "expiry unknown": (HEAD + "expiry: never\nimages: [{match: '**', nothing: true}]", "not a choice"),
    "channels empty": (HEAD + "channels: []\nimages: [{match: '**', nothing: true}]", "is empty"),
    "predicate type unknown": (with_rule("attestation: {predicate-type: sbom, keys: [ann.pub]}"), "not a predicate"),
    "attestation with a threshold": (
        with_rule("attestation: {predicate-type: spdx, keys: [ann.pub], threshold: 1}"), "not a known key"
    ),
    "sigstore without issuer": (with_rule("sigstore: {subject: a, trusted-root: root.json}"), "`issuer`"),
    "sigstore without subject": (with_rule("sigstore: {issuer: a, trusted-root: root.json}"), "`subject`"),
    "sigstore without root": (with_rule("sigstore: {issuer: a, subject: a}"), "`trusted-root`"),
    "sigstore attestation with a name": (
        with_rule("sigstore: {issuer: a, subject: a, trusted-root: root.json, predicate-type: spdx, identity: any}"),
        "an attestation gives none",
    ),
    "subject empty": (with_rule("sigstore: {issuer: a, subject: '', trusted-root: root.json}"), "characters"),
}  # fmt: skip
SEEN_BY_CODE_ONLY: dict[str, tuple[str, str]] = {
    "key twice": (with_rule("nothing: true, nothing: true"), "twice"),
    "key in capitals": (with_rule("nothing: true, Nothing: true"), "also as"),
    "two documents": (with_rule("nothing: true") + "---\n", "second document"),
    "threshold above n": (with_rule("cosign: {keys: [ann.pub, bob.pub], threshold: 3}"), "3 of 2 keys"),
    "one key twice": (with_rule("cosign: {keys: [ann.pub, ann.pub], threshold: 2}"), "counts once"),
    "one key under two names": (with_rule("cosign: {keys: [ann.pub, keys/hub.pub]}"), "counts once"),
    "file missing": (with_rule("cosign: {keys: [nobody.pub]}"), "nobody.pub does not exist"),
    "file is no key": (with_rule("cosign: {keys: [rubbish]}"), "no PEM block"),
    "gpg key in place of PEM": (with_rule("cosign: {keys: [site.asc]}"), "PGP PUBLIC KEY"),
    "PEM in place of a gpg key": (with_rule("gpg: {keys: [ann.pub]}"), "armoured"),
    "private gpg key": (with_rule("gpg: {keys: [private.asc]}"), "armoured"),
    "regex bad": (with_rule("sigstore: {issuer: a, subject: {regex: '('}, trusted-root: root.json}"), "RE2"),
    "regex with a backreference": (
        with_rule("sigstore: {issuer: a, subject: {regex: '(a)\\1'}, trusted-root: root.json}"), "RE2"
    ),
    "reference without a tag": (
        with_rule("cosign: {keys: [ann.pub], identity: {exactReference: reg.io/a}}"), "neither tag nor digest"
    ),
    "repository with a tag": (
        with_rule("cosign: {keys: [ann.pub], identity: {exactRepository: 'reg.io/a:1'}}"), "neither tag nor digest"
    ),
    "stars in a word": (HEAD + "images: [{match: 'a**', nothing: true}]", "stands alone"),
}  # fmt: skip


@pytest.mark.parametrize("defect", BAD)
def test_what_code_and_schema_refuse(defect: str) -> None:
    text, problem = BAD[defect]
    with pytest.raises(ConfigError, match=problem) as caught:
        parse(text)
    assert str(caught.value).startswith("trust.yaml")
    assert str(caught.value).isprintable()
    assert not VALIDATOR.is_valid(yaml.safe_load(text))


@pytest.mark.parametrize("defect", SEEN_BY_CODE_ONLY)
def test_what_only_the_code_refuses(defect: str) -> None:
    text, problem = SEEN_BY_CODE_ONLY[defect]
    with pytest.raises(BundlerError, match=problem) as caught:
        parse(text)
    assert isinstance(caught.value, ConfigError)
    assert "trust.yaml" in str(caught.value)


@pytest.mark.parametrize("text", ["apiVersion: bundler/v2\nkind: TrustPolicy\nimages: [a]", HEAD.replace("Trust", "")])
def test_other_versions_and_kinds(text: str) -> None:
    with pytest.raises(UnsupportedError):
        parse(text if "images" in text else text + "images: [a]")


def test_more_rules_than_allowed() -> None:
    with pytest.raises(LimitError, match="1001 rules"):
        parse(HEAD + "images:\n" + "- {match: '**', nothing: true}\n" * 1001)


def test_what_a_requirement_says_of_itself() -> None:
    found = requirement("all: [{cosign: {keys: [ann.pub, bob.pub], threshold: 2}}, {gpg: {keys: [site.asc]}}]")
    assert str(found) == (
        f"all of (cosign signature by 2 of the keys {ANN.short_id}, {BOB.short_id}, matchRepository; "
        "GPG signature by a key of site.asc, matchRepoDigestOrExact)"
    )
    named = requirement("sigstore: {issuer: i, subject: a@b, trusted-root: root.json, identity: matchExact}")
    assert str(named) == "sigstore signature by a@b (i), matchExact"
    assert str(requirement("sigstore: {issuer: i, subject: a@b, trusted-root: root.json}")).endswith("by a@b (i)")
