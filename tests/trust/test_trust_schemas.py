"""Schemas and code agree about the files of a trust directory, but for what the READMEs say is the code's alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from bundler.oci.digest import digest_of
from bundler.trust.root import CHANNELS, DENIED, MAX_KEYS, MAX_SIGNATURES, MAX_VERSION, SCHEMES
from bundler.trust.state import MAX_MARKS, MAX_OVERRIDES, MAX_REASON, write_state
from tests.trust import test_root, test_state
from tests.trust.roots import ANN, BOSS, CHIEF, DAN, signed_root

FOLDER = Path(__file__).parents[2] / "schemas"


def validator(name: str) -> Draft202012Validator:
    schema = json.loads((FOLDER / name / "schema.json").read_text("utf-8"))
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


STATE, ROOT = validator("trust-state"), validator("trust-root")
STATE_CODE_ONLY = {"line-twice"}
ROOT_CODE_ONLY = {
    "threshold-above-n", "threshold-2.0", "unknown-key-id", "one-key-under-two-ids", "key-under-a-made-up-id", "weak-rsa",
    "algorithm-confusion", "low-order-point", "private-key", "float", "channel-threshold-above-n",
}  # fmt: skip


def test_what_they_bound() -> None:
    assert STATE.schema["properties"]["marks"]["maxItems"] == MAX_MARKS
    overrides = STATE.schema["properties"]["overrides"]
    assert overrides["maxItems"] == MAX_OVERRIDES
    assert overrides["items"]["properties"]["reason"]["maxLength"] == MAX_REASON
    signed = ROOT.schema["properties"]["signed"]["properties"]
    assert signed["version"]["maximum"] == MAX_VERSION
    assert signed["keys"]["maxProperties"] == MAX_KEYS
    assert ROOT.schema["properties"]["signatures"]["maxItems"] == MAX_SIGNATURES
    assert {name for name in signed if name.startswith("x-")} == {CHANNELS, DENIED}
    kinds = signed["keys"]["additionalProperties"]["oneOf"]
    assert {(k["properties"]["keytype"]["const"], k["properties"]["scheme"]["const"]) for k in kinds} == set(
        SCHEMES.values()
    )


@pytest.mark.parametrize("state", [test_state.State(), test_state.HERE, test_state.FULL], ids=["empty", "one", "full"])
def test_good_states(state: Any) -> None:
    STATE.validate(json.loads(write_state(state)))


@pytest.mark.parametrize("case", test_state.BAD)
def test_bad_states(case: str) -> None:
    assert STATE.is_valid(json.loads(test_state.changed(test_state.BAD[case]))) is (case in STATE_CODE_ONLY)


def test_good_roots() -> None:
    ROOT.validate(json.loads(signed_root()))
    full = signed_root(
        9,
        root=(BOSS, CHIEF),
        channels={"beta": ((DAN,), 1)},
        denied_keys=(ANN,),
        denied_statements=(digest_of(b"x"),),
    )
    ROOT.validate(json.loads(full))


@pytest.mark.parametrize("case", test_root.DEFECTS)
def test_bad_roots(case: str) -> None:
    document = json.loads(signed_root(2, edit=test_root.DEFECTS[case][0]))
    assert ROOT.is_valid(document) is (case in ROOT_CODE_ONLY)
