"""Texts as they come: hostile, broken, huge, not rendered."""

from __future__ import annotations

import time
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bundler.selection.scan import gather, scan_text
from bundler.selection.scan.documents import MAX_DOCUMENTS, SIZE_CAP, lines_with_images

POD = b"apiVersion: v1\nkind: Pod\nspec: {containers: [{image: x:1}]}\n"
BOMB = "a: &a [" + ",".join("x" * 10) + "]\n" + "".join(
    f"{chr(98 + n)}: &{chr(98 + n)} [" + ",".join([f"*{chr(97 + n)}"] * 10) + "]\n" for n in range(9)
)  # fmt: skip


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        pytest.param(BOMB.encode(), "aliases are expanded", id="alias-bomb"),
        pytest.param(b"a: &a\n  b: *a\n", "nested|aliases|recursive", id="alias-of-itself"),
        pytest.param(b"[" * 5000 + b"]" * 5000, "nested more than 100", id="deep-flow"),
        pytest.param(b"".join(b" " * n + b"a:\n" for n in range(300)), "nested more than 100", id="deep-block"),
        pytest.param(b"\x7fELF\x00\x01", "is not text", id="binary"),
        pytest.param(b"kind: \xff\xfe\n", "not UTF-8 at byte 6", id="not-utf8"),
        pytest.param("kind: Pod".encode("utf-16"), "not UTF-8|is not text", id="utf16"),
        pytest.param(b"a" * (SIZE_CAP + 1), "more than the", id="too-large"),
        pytest.param(b"---\na: 1\n" * (MAX_DOCUMENTS + 1), "documents", id="too-many-documents"),
        pytest.param(b"kind: [\n", "not YAML", id="broken"),
        pytest.param(b"kind: \x1b[31m\n", "not YAML", id="control-characters"),
        pytest.param(b"{{- if .Values.a }}\nkind: Pod\n{{- end }}\n", "not rendered", id="template"),
        pytest.param(b"? [a]\n: b\n", "no known type", id="key-that-is-a-list"),
        pytest.param(b"just words\n", "no known type", id="plain-text"),
        pytest.param(b"!!python/object/apply:os.system ['true']\n", "no known type", id="python-tag"),
    ],
)
def test_is_reported_and_what_follows_is_read(raw: bytes, reason: str) -> None:
    found = gather(scan_text(raw, "m.yaml", chosen=True))
    assert found.images == ()
    assert any(any(part in gap.reason for part in reason.split("|")) for gap in found.undecided), found.undecided
    assert all(gap.where.isprintable() and gap.reason.isprintable() for gap in found.undecided)
    if len(raw) < 100_000 and b"\0" not in raw and b"\xff" not in raw:
        both = gather(scan_text(raw + b"\n---\n" + POD, "m.yaml"))
        assert both.names() == ["docker.io/library/x:1"]


def test_a_file_s_name_cannot_act_on_the_terminal() -> None:
    found = gather(scan_text(b"[", "a\x1b[2Jb.yaml"))
    assert found.undecided[0].where == r"a\x1b[2Jb.yaml:2"


def test_lines_count_from_the_text_s_start() -> None:
    found = gather(scan_text(POD + b"---\n" + b"\n" * 7 + b"kind: [\n---\n" + POD, "m"))
    assert [each.where.split(":")[1] for each in found.images[0].findings] == ["3", "16"]
    assert found.undecided[0].where == "m:13"


def test_ten_megabytes_of_manifests_within_memory_and_time() -> None:
    raw = b"---\n" + POD.replace(b"x:1", b"x:1, env: [" + (b"{name: a, value: " + b"b" * 1000 + b"},") * 10 + b"]")
    raw *= (10 << 20) // len(raw)
    tracemalloc.start()
    started = time.monotonic()
    assert gather(scan_text(raw, "m.yaml")).names() == ["docker.io/library/x:1"]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 120 << 20
    assert time.monotonic() - started < 120


@pytest.mark.parametrize(
    "raw",
    [
        b"image: a" + b" " * 300_000 + b"x",
        b"{{" * 300_000,
        b"image: " + b"<" * 300_000,
        b"image: " + b"a." * 300_000,
        b"image: " + b"$(" * 300_000,
        b"services: {a: {image: '" + b"${A:-" * 100_000 + b"'}}",
        b"apiVersion: v1\nkind: ConfigMap\ndata: {a: '" + b" " * 500_000 + b"'}\n",
        b"apiVersion: v1\nkind: ConfigMap\ndata:\n  a: |\n" + b"    image: a:1\n" * 40_000,
        b"a:\n" + b"\n" * 500_000,
    ],
    ids=[
        "spaces",
        "braces",
        "brackets",
        "dots",
        "variables",
        "nested-variables",
        "blank-text",
        "many-lines",
        "empty-lines",
    ],
)
def test_nothing_takes_more_than_linear_time(raw: bytes) -> None:
    started = time.monotonic()
    gather(scan_text(raw, "m.yaml"))
    assert time.monotonic() - started < 20


@given(st.text(max_size=400) | st.binary(max_size=400))
def test_no_text_raises(content: str | bytes) -> None:
    raw = content.encode("utf-8", "surrogatepass") if isinstance(content, str) else content
    for prefix in (
        b"",
        b"apiVersion: v1\nkind: Pod\nspec: ",
        b"services: ",
        b"apiVersion: tekton.dev/v1\nkind: Task\nspec: ",
    ):
        for found in scan_text(prefix + raw, "m.yaml"):
            assert found


def test_lines_with_images() -> None:
    text = 'a\n  - image: \'a/b:1\'  # c\nimage: {{ x }}\n  "image": "c:2",\r\nimages: d\n  image: \n    x: y\n'
    assert list(lines_with_images(text)) == [(2, "a/b:1"), (4, "c:2")]
