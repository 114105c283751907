"""The strict reader: whatever two JSON readers may disagree about is refused, everything else is read as Python reads it."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bundler.errors import ArchiveError, BundlerError, ConfigError, LimitError, ProtocolError
from bundler.oci.strict_json import (
    LARGE_VALUES,
    MANIFEST_CAP,
    MAX_DEPTH,
    MAX_MEMBERS,
    MAX_SIZE,
    MAX_VALUES,
    Fields,
    canonical,
    loads,
    spellings,
)

REFUSED = {
    "duplicate-key": b'{"a": 1, "a": 2}',
    "duplicate-key-nested": b'[{"b": {"a": 1, "c": 0, "a": 1}}]',
    "duplicate-key-escaped": b'{"a": 1, "\\u0061": 2}',
    "case-folded": b'{"digest": 1, "Digest": 2}',
    "long-s": '{"size": 1, "\u017fize": 2}'.encode(),
    "kelvin-sign": b'{"k": 1, "\\u212a": 2}',
    "nan": b"NaN",
    "infinity": b'{"a": Infinity}',
    "minus-infinity": b"[-Infinity]",
    "beyond-floats": b"[1e999]",
    "beyond-floats-negative": b"-1e999",
    "byte-order-mark": b"\xef\xbb\xbf{}",
    "utf-16": "{}".encode("utf-16"),
    "latin-1": b'"\xe9"',
    "overlong": b'"\xc0\xaf"',
    "encoded-surrogate": b'"\xed\xa0\x80"',
    "lone-surrogate": b'["\\ud800"]',
    "lone-surrogate-key": b'{"\\udfff": 1}',
    "trailing-data": b"{} {}",
    "trailing-comma": b"[1,]",
    "trailing-nul": b"{}\0",
    "single-quotes": b"{'a': 1}",
    "comment": b"{} // x",
    "control-character": b'"a\nb"',
    "leading-zero": b"01",
    "plus": b"+1",
    "hexadecimal": b"0x10",
    "bare-dot": b".5",
    "huge-integer": b"9" * 5000,
    "empty": b"",
    "cut": b'{"a": ',
}


@pytest.mark.parametrize("raw", REFUSED.values(), ids=REFUSED.keys())
def test_refused(raw: bytes) -> None:
    with pytest.raises(ProtocolError, match=r"^manifest: ") as caught:
        loads(raw, what="manifest")
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("raw", REFUSED.values(), ids=REFUSED.keys())
def test_refused_with_the_given_class(raw: bytes) -> None:
    with pytest.raises(ArchiveError):
        loads(raw, what="inventory", error=ArchiveError)


def test_depth() -> None:
    fits = b"[" * MAX_DEPTH + b"]" * MAX_DEPTH
    assert loads(fits, what="x") == json.loads(fits)
    for deep in (b"[" + fits + b"]", b'{"a":' * 65 + b"1" + b"}" * 65, b"[" * 200_000, b"[" * 9_000 + b"]" * 9_000):
        with pytest.raises(LimitError):
            loads(deep, what="x")


def test_size() -> None:
    assert loads(b'"1234"', what="x", cap=6) == "1234"
    with pytest.raises(LimitError, match="7 bytes, more than the 6"):
        loads(b'"12345"', what="x", cap=6)


@pytest.mark.parametrize("piece", [b"{}", b"[]", b"1", b'{"a":[]}'], ids=["objects", "lists", "numbers", "nested"])
def test_more_values_than_allowed_are_not_parsed(piece: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> None:
        pytest.fail("parsed")

    few = b"[" + b",".join([piece] * 10) + b"]"
    assert loads(few, what="x", values=50) == json.loads(few)
    monkeypatch.setattr(json, "loads", fail)
    with pytest.raises(LimitError, match="more than the 50 values allowed"):
        loads(b"[" + b",".join([piece] * 60) + b"]", what="x", values=50, error=ArchiveError)


def test_larger_documents_may_hold_more_values() -> None:
    raw = b"[" + b",".join([b"1"] * (MAX_VALUES + 1)) + b"]"
    with pytest.raises(LimitError, match=str(MAX_VALUES)):
        loads(raw, what="x")
    assert len(loads(raw, what="x", cap=MANIFEST_CAP + 1)) == MAX_VALUES + 1
    with pytest.raises(LimitError, match=str(LARGE_VALUES)):
        loads(b"[" + b"1," * LARGE_VALUES + b"1]", what="x", cap=MANIFEST_CAP + 1)


def test_one_object_of_endless_members() -> None:
    fits = {str(n): n for n in range(MAX_MEMBERS)}
    assert loads(json.dumps(fits).encode(), what="x") == fits
    with pytest.raises(LimitError, match="an object of more than the 10000 members"):
        loads(json.dumps({**fits, "more": 1}).encode(), what="x")


def test_keys_that_a_document_of_ours_does_not_have() -> None:
    keys = frozenset(("a", "b"))
    assert loads(b'{"a": [{"b": 1}, {}]}', what="x", keys=keys) == {"a": [{"b": 1}, {}]}
    with pytest.raises(ArchiveError, match=r"x: A\\x1b is not a known key"):
        loads(b'{"a": [{"A\\u001b": 1}]}', what="x", keys=keys, error=ArchiveError)


def test_takes_any_buffer() -> None:
    assert loads(memoryview(b'{"a": 1}'), what="x") == loads(bytearray(b'{"a": 1}'), what="x") == {"a": 1}


scalars = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False),
    st.text(st.characters(codec="utf-8")),
)  # fmt: skip


def same_when_folded(keys: list[str]) -> bool:
    return len({key.casefold() for key in keys}) < len(keys)


values = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(st.text(st.characters(codec="utf-8"), max_size=6), inner, max_size=4).filter(
            lambda made: not same_when_folded(list(made))
        ),
    ),
    max_leaves=12,
)


@given(values, st.booleans())
def test_reads_what_python_reads(value: Any, ascii_only: bool) -> None:
    raw = json.dumps(value, ensure_ascii=ascii_only).encode()
    assert loads(raw, what="x") == json.loads(raw) == value


@given(values)
def test_canonical_is_read_back_and_stable(value: Any) -> None:
    raw = canonical(value)
    assert loads(raw, what="x") == value
    assert canonical(loads(raw, what="x")) == raw


json_like = st.lists(
    st.sampled_from(
        ["{", "}", "[", "]", ",", ":", '"', '"a"', '"A"', '"k"', '"\u212a"', "1", "-", "e9", "0", ".", " ", "null", "true", "\\", "NaN",
         "\\u0041", "\n", "\ufeff", "\\ud83d", "\\ude00"]
    ),
    max_size=12,
).map("".join)  # fmt: skip


@given(st.one_of(json_like, st.text(max_size=20)))
def test_takes_nothing_that_python_refuses_and_never_breaks(text: str) -> None:
    raw = text.encode("utf-8", "surrogatepass")
    try:
        value = loads(raw, what="x")
    except BundlerError:
        return
    assert json.loads(raw.decode()) == value


@given(st.text(st.characters(codec="utf-8"), min_size=1, max_size=3))
def test_keys_that_fold_together_are_refused(key: str) -> None:
    other = key.swapcase()
    if other != key and other.casefold() == key.casefold():
        with pytest.raises(ProtocolError, match="appears"):
            loads(json.dumps({key: 1, other: 2}).encode(), what="x")


class TestFields:
    def fields(self, **values: Any) -> Fields:
        return Fields(values, what="manifest")

    def test_typed_access(self) -> None:
        fields = self.fields(t="x", n=3, l=["a"], o={"in": 1}, many=[{"a": 1}], m={"k": "v"}, list=[1])
        assert fields.text("t") == "x"
        assert fields.size("n") == 3
        assert fields.texts("l") == ("a",)
        assert fields.object("o").size("in") == 1
        assert fields.object("o").what == "manifest: o"
        assert [child.what for child in fields.objects("many")] == ["manifest: many[0]"]
        assert fields.text_map("m") == {"k": "v"}
        assert fields.text_map("absent") == {}
        assert fields.array("list") == [1]

    def test_null_is_absent(self) -> None:
        fields = self.fields(a=None)
        assert "a" not in fields
        assert fields.text_map("a") == {}
        with pytest.raises(ProtocolError, match="manifest: a is missing"):
            fields.text("a")

    @pytest.mark.parametrize("key", ["Layers", "LAYERS", "layer\u017f", "S\u212aip"])
    def test_a_known_name_in_another_case_is_refused(self, key: str) -> None:
        names = spellings("layers", "mediaType", "skip")
        self.fields(layers=[], mediaType="x", skip=1, more=1, Other=2).spelled(names)
        with pytest.raises(ProtocolError, match=r"manifest: .* must be spelled (layers|skip)") as caught:
            self.fields(**{key: []}).spelled(names)
        assert key in str(caught.value)

    @pytest.mark.parametrize("value", [-1, MAX_SIZE + 1])
    def test_sizes_have_bounds(self, value: int) -> None:
        with pytest.raises(ProtocolError, match="must be between 0"):
            self.fields(n=value).size("n")
        assert self.fields(n=MAX_SIZE).size("n") == MAX_SIZE
        with pytest.raises(ProtocolError, match="must be between 0 and 9"):
            self.fields(n=10).size("n", most=9)

    @pytest.mark.parametrize("value", [True, 1.0, 1.5, "1", [], {}, math.pi], ids=repr)
    def test_a_size_is_an_exact_integer(self, value: Any) -> None:
        with pytest.raises(ProtocolError, match="n must be a whole number"):
            self.fields(n=value).size("n")

    @pytest.mark.parametrize("value", [1, True, [], {}], ids=repr)
    def test_a_text_is_text(self, value: Any) -> None:
        with pytest.raises(ProtocolError, match="t must be text"):
            self.fields(t=value).text("t")

    @pytest.mark.parametrize(
        ("name", "kind"),
        [
            ("texts", ["a", 1]),
            ("text_map", {"a": 1}),
            ("objects", [1]),
            ("object", []),
            ("array", {}),
            ("text_map", []),
        ],
    )
    def test_what_they_hold_is_checked(self, name: str, kind: Any) -> None:
        with pytest.raises(ProtocolError, match=r"manifest: f"):
            getattr(self.fields(f=kind), name)("f")

    def test_closed_objects_refuse_unknown_keys(self) -> None:
        fields = Fields({"a": "x", "b\x1b": 1}, what="bundle", error=ConfigError)
        fields.text("a")
        with pytest.raises(ConfigError, match=r"bundle: b\\x1b is not a known key"):
            fields.done()
        fine = self.fields(a="x", b=None)
        fine.text("a")
        assert "b" not in fine
        fine.done()

    @pytest.mark.parametrize("value", [[], "x", 1, True, None], ids=repr)
    def test_only_objects_have_fields(self, value: Any) -> None:
        with pytest.raises(ProtocolError, match="must be an object"):
            Fields(value, what="x")
