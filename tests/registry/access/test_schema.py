"""Schema and code agree about the file of rights: on what is good, and on every defect that a schema can see."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]  # it has none

from bundler.registry.access.rights import KEYS, MOST_RULES, RULE_KEYS, Right, parse_rights
from tests.registry.access import test_rights

FOLDER = Path(__file__).parents[3] / "schemas" / "registry-rights"
SCHEMA = json.loads((FOLDER / "schema.json").read_text("utf-8"))
Draft202012Validator.check_schema(SCHEMA)
VALIDATOR = Draft202012Validator(SCHEMA)
SEEN_BY_CODE_ONLY: set[str] = set()


def test_keys() -> None:
    rules = SCHEMA["properties"]["rights"]
    fields = rules["items"]["properties"]
    assert sorted(SCHEMA["properties"]) == sorted(KEYS)
    assert sorted(fields) == sorted(RULE_KEYS)
    assert fields["may"]["items"]["enum"] == [right.value for right in Right]
    assert rules["maxItems"] == MOST_RULES


def test_the_full_document() -> None:
    VALIDATOR.validate(yaml.safe_load(test_rights.FULL))


def test_the_example_of_the_readme() -> None:
    (example,) = re.findall(r"```yaml\n(.*?)```", (FOLDER / "README.md").read_text("utf-8"), re.DOTALL)
    VALIDATOR.validate(yaml.safe_load(example))
    assert len(parse_rights(example.encode(), "README.md")) == 4


def test_the_example_of_the_module() -> None:
    from bundler.registry.access import rights

    example = "\n".join(line[4:] for line in (rights.__doc__ or "").splitlines() if line.startswith("    "))
    VALIDATOR.validate(yaml.safe_load(example))
    assert len(parse_rights(example.encode(), "rights.py")) == 3


@pytest.mark.parametrize("case", test_rights.BAD)
def test_bad_documents(case: str) -> None:
    document = yaml.safe_load(test_rights.BAD[case][0])
    assert VALIDATOR.is_valid(document) is (case in SEEN_BY_CODE_ONLY)


users = st.text("aZ09.-_@ ü*#:", min_size=1, max_size=6) | st.just("*")
patterns = st.text("a0.-*/", min_size=1, max_size=8) | st.sampled_from(["**", "team/**", "*", "A", ""])
rules = st.fixed_dictionaries(
    {
        "repositories": st.lists(patterns, min_size=1, max_size=3),
        "may": st.lists(st.sampled_from([right.value for right in Right]), min_size=1, max_size=3),
    },
    optional={"users": st.lists(users, min_size=1, max_size=3), "anonymous": st.just(True)},
)
documents = st.builds(
    lambda rules: {"apiVersion": "bundler/v1", "kind": "RegistryRights", "rights": rules},
    st.lists(rules, min_size=1, max_size=2),
)


@given(documents)
def test_they_agree(document: Any) -> None:
    from bundler.errors import ConfigError

    try:
        parse_rights(json.dumps(document).encode(), "r.yaml")
    except ConfigError:
        good = False
    else:
        good = True
    assert VALIDATOR.is_valid(document) is good
