"""Schemas and code agree: on good documents, and on every defect that a schema can see."""

from __future__ import annotations

import json
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from bundler.content import Outcome
from bundler.oci.attached import KINDS
from bundler.oci.digest import digest_of
from bundler.push.receipt import Landed, Receipt
from bundler.selection import read_wishes
from bundler.selection.bundle_yaml import KEYS, REGISTRY_KEYS
from bundler.selection.entry import IMAGE_KEYS, RULE_KEYS
from bundler.selection.lock import write_lock
from bundler.selection.locked import REASONS
from bundler.selection.template import TEMPLATE
from tests.selection import test_bundle_yaml, test_lock

SCHEMAS = Path(__file__).parents[2] / "schemas"


def validator(folder):
    schema = json.loads((SCHEMAS / folder / "schema.json").read_text("utf-8"))
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


MANIFEST, LOCK, RECEIPT = (validator(folder) for folder in ("bundle-yaml", "bundle-lock", "receipt"))


@pytest.mark.parametrize("text", [test_bundle_yaml.FULL, TEMPLATE], ids=["full", "template"])
def test_good_manifests(text):
    read_wishes(text.encode(), "b.yaml")
    MANIFEST.validate(yaml.safe_load(text))


def test_keys():
    schema = MANIFEST.schema
    image = schema["properties"]["images"]["items"]["oneOf"][1]["properties"]
    registry = schema["properties"]["registries"]["additionalProperties"]["properties"]
    assert sorted(schema["properties"]) == sorted(KEYS)
    assert sorted(image) == sorted(IMAGE_KEYS)
    assert sorted(registry) == sorted(REGISTRY_KEYS)
    assert sorted(schema["$defs"]["rule"]["properties"]) == sorted(RULE_KEYS)


SEEN_BY_CODE_ONLY = {
    "regex bad", "exclude bad", "semver bad", "tags twice", "tags of a file", "registry twice", "duplicate key",
}  # fmt: skip


@pytest.mark.parametrize("case", [*test_bundle_yaml.BAD, *test_bundle_yaml.BAD_AFTER_HEAD])
def test_bad_manifests(case):
    if case in test_bundle_yaml.BAD:
        raw = test_bundle_yaml.BAD[case][0].encode()
    else:
        raw = test_bundle_yaml.head(test_bundle_yaml.BAD_AFTER_HEAD[case][0])
    assert MANIFEST.is_valid(yaml.safe_load(raw)) is (case in SEEN_BY_CODE_ONLY)


names = st.from_regex(r"[a-z0-9]{1,5}([._-][a-z0-9]{1,3})?", fullmatch=True)
hosts = st.sampled_from(["docker.io/", "localhost/", "quay.io:443/", "[::1]:5000/", "Example.COM/", "acme/", ""])
tags = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,6}", fullmatch=True)
digests = st.binary(max_size=2).map(digest_of)
bare = st.tuples(st.sampled_from(["", "docker://"]), hosts, names).map("".join)
references = st.tuples(bare, tags.map(":{}".format) | st.just(""), digests.map("@{}".format) | st.just("")).map("".join)
platforms = st.just("all") | st.lists(
    st.sampled_from(["linux/amd64", "linux/arm/v7", "Windows/x86_64"]), min_size=1, max_size=3
)
attachments = st.sampled_from(["all", "none"]) | st.lists(st.sampled_from(["sboms", "signatures", "referrers"]))
options = {
    "platforms": platforms,
    "attachments": attachments,
    "index": st.sampled_from(["keep", "sparse", "strip"]),
}
rules = st.fixed_dictionaries(
    {"newest": st.integers(1, 999_999_999)},
    optional={"regex": st.just("^1"), "semver": st.sampled_from(["^1", 1]), "exclude": st.lists(st.just("-rc"))},
)
entries = st.fixed_dictionaries(
    {"image": bare},
    optional={
        **options,
        "tags": rules | st.lists(tags | digests | st.integers(0, 99) | st.sampled_from([1.5, 0.25]), min_size=1),
        "as": names,
        "optional": st.booleans(),
    },
)
registries = st.dictionaries(
    st.sampled_from(["quay.io", "localhost", "localhost:5000", "[::1]", "[::1]:443", "a:1"]),
    st.fixed_dictionaries(
        {},
        optional={
            "tls-verify": st.booleans(),
            "ca": st.just("a b.pem"),
            "cert-dir": st.just("/c"),
            "token-hosts": st.lists(st.sampled_from(["auth.example.com", "auth.example.com:8443"])),
        },
    ),
)
manifests = st.fixed_dictionaries(
    {
        "apiVersion": st.just("bundler/v1"),
        "kind": st.just("Bundle"),
        "name": names,
        "images": st.lists(references | entries | st.just("oci:./a b:c"), min_size=1, max_size=4),
    },
    optional={**options, "channel": names, "registries": registries},
)


@given(manifests)
def test_what_the_schema_takes_the_code_takes(document):
    MANIFEST.validate(document)
    wishes = read_wishes(json.dumps(document).encode(), "b.yaml")
    assert len(wishes.wishes) == len(document["images"])
    assert wishes == read_wishes(yaml.safe_dump(document).encode(), "b.yaml")


def test_good_locks():
    LOCK.validate(json.loads(write_lock(test_lock.locked())))
    LOCK.validate(json.loads(write_lock(test_lock.locked(expires=None))))


def test_words_of_a_lock():
    assert LOCK.schema["$defs"]["leftOut"]["properties"]["reason"]["enum"] == list(REASONS)
    assert LOCK.schema["$defs"]["kind"]["enum"] == list(KINDS)
    readme = (SCHEMAS / "bundle-lock" / "README.md").read_text("utf-8")
    assert all(f"| `{reason}` |" in readme for reason in REASONS)


LOCKS_SEEN_BY_CODE_ONLY = {"issued date", "expires", "root is not origin"}


@pytest.mark.parametrize("case", test_lock.BAD)
def test_bad_locks(case):
    document = json.loads(write_lock(test_lock.locked(test_lock.SPARSE)))
    test_lock.BAD[case][0](document)
    assert LOCK.is_valid(document) is (case in LOCKS_SEEN_BY_CODE_ONLY)


def test_receipts():
    zeros = digest_of(b"")
    receipt = Receipt(
        bundle_id=zeros,
        name="edge",
        channel="stable",
        serial=7,
        pushed=datetime(2026, 1, 31, tzinfo=UTC),
        destination="docker://registry.local:5000/site",
        images=(Landed("docker.io/library/nginx:1.27", "registry.local:5000/site/library/nginx:1.27", zeros),),
        outcomes=Counter({Outcome.COPIED: 3}),
        signers=("ab" * 32,),
    )
    document = json.loads(receipt.serialised())
    RECEIPT.validate(document)
    for key in document:
        assert not RECEIPT.is_valid({name: value for name, value in document.items() if name != key})
    assert not RECEIPT.is_valid({**document, "extra": 1})
    assert not RECEIPT.is_valid({**document, "blobs": {**document["blobs"], "present": -1}})


@pytest.mark.parametrize("folder", ["bundle-yaml", "bundle-lock", "receipt"])
def test_every_format_is_explained(folder):
    readme = (SCHEMAS / folder / "README.md").read_text("utf-8")
    schema = json.loads((SCHEMAS / folder / "schema.json").read_text("utf-8"))
    said = [key for key in schema["properties"] if key not in ("apiVersion", "kind")]
    assert [key for key in said if key not in readme] == []
    assert folder in (SCHEMAS / "README.md").read_text("utf-8")
