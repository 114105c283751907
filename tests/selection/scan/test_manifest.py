"""Images added to manifests without touching what is there."""

from __future__ import annotations

import pytest

from bundler.errors import ConfigError, UnsupportedError
from bundler.selection import read_wishes
from bundler.selection.scan.manifest import extended, missing
from bundler.selection.template import TEMPLATE, filled_in

HEAD = "apiVersion: bundler/v1\nkind: Bundle\nname: x\n"
NEW = ["docker.io/acme/new:1"]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param("images:\n  - a:1\n", "images:\n  - a:1\n  - {}\n", id="indented"),
        pytest.param("images:\n- a:1\n", "images:\n- a:1\n- {}\n", id="not-indented"),
        pytest.param("images:\n  - a:1", "images:\n  - a:1\n  - {}\n", id="no-newline"),
        pytest.param("images:\n  - a:1  # why\n\n  # more\nchannel: c\n", "images:\n  - a:1  # why\n  - {}\n\n  # more\nchannel: c\n", id="comments"),
        pytest.param("images:\r\n  - a:1\r\n", "images:\r\n  - a:1\r\n  - {}\r\n", id="crlf"),
        pytest.param("images:\n  - image: a\n    tags: [x,\n      y]\n", "images:\n  - image: a\n    tags: [x,\n      y]\n  - {}\n", id="over-lines"),
        pytest.param("images:\n  - image: a\n    tags:\n    - 'x'\n# end\n", "images:\n  - image: a\n    tags:\n    - 'x'\n  - {}\n# end\n", id="nested-list"),
        pytest.param("images:\n  - &a a:1\n  - *a\n", "images:\n  - &a a:1\n  - *a\n  - {}\n", id="alias"),
        pytest.param("images:\n  - >-\n    a:1\n\n# c\n", "images:\n  - >-\n    a:1\n\n  - {}\n# c\n", id="block-scalar"),
        pytest.param("# ä images:\n'images':\n  - a:1 # ü\n", "# ä images:\n'images':\n  - a:1 # ü\n  - {}\n", id="unicode"),
    ],
)  # fmt: skip
def test_only_lines_are_added(before: str, after: str) -> None:
    head = HEAD.replace("\n", "\r\n") if "\r\n" in before else HEAD
    content, added = extended((head + before).encode(), "b.yaml", NEW)
    assert content.decode() == head + after.replace("{}", NEW[0])
    assert added == NEW
    assert missing(read_wishes(content, "b.yaml"), NEW) == []
    assert extended(content, "b.yaml", NEW) == (content, [])


def test_the_template_and_a_mark_at_its_start() -> None:
    raw = b"\xef\xbb\xbf" + TEMPLATE.encode()
    content, _ = extended(
        raw, "b.yaml", [*NEW, "docker.io/library/nginx:1.27", "quay.io/prometheus/node-exporter:v1.8.2"]
    )
    assert content.startswith(raw[:200])
    assert content.decode("utf-8-sig").replace(f"  - {NEW[0]}\n", "") == TEMPLATE


@pytest.mark.parametrize(
    ("images", "left"),
    [
        ("[a:1]", True),
        ("['acme/new:1']", False),
        ("[acme/new:2]", True),
        ("[{image: acme/new, tags: ['1', '2']}]", False),
        ("[{image: acme/new, tags: {regex: '^1$'}}]", False),
        ("[{image: acme/new, tags: {regex: '^2$'}}]", True),
        ("[{image: acme/new, tags: {newest: 3}}]", True),
        (f"['acme/new:1@sha256:{'0' * 64}']", False),
        ("['oci:new:1']", True),
    ],
)
def test_what_a_manifest_names_already(images: str, left: bool) -> None:
    wishes = read_wishes(f"{HEAD}images: {images}\n".encode(), "b")
    assert missing(wishes, NEW) == (NEW if left else [])


def test_digests_are_told_apart() -> None:
    image = f"docker.io/acme/new@sha256:{'0' * 64}"
    assert missing(read_wishes(f"{HEAD}images: [acme/new:1]\n".encode(), "b"), [image]) == [image]
    assert missing(read_wishes(f"{HEAD}images: ['{image}']\n".encode(), "b"), [image]) == []


def test_a_plain_list() -> None:
    assert extended(b"# mine\na:1", "l.txt", NEW)[0] == b"# mine\na:1\ndocker.io/acme/new:1\n"


@pytest.mark.parametrize(
    ("text", "error", "match"),
    [
        (f"{HEAD}images: [a:1]\n", ConfigError, "between brackets"),
        ("docker.io: {images: {a: ['1']}}\n", UnsupportedError, "no list `images`"),
        (f"{HEAD}images:\n  - A:1\n", ConfigError, "not a repository name"),
        ("", ConfigError, "empty"),
    ],
)
def test_what_cannot_be_extended(text: str, error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match):
        extended(text.encode(), "b.yaml", NEW)


@pytest.mark.parametrize("platforms", [[], ["linux/amd64", "linux/arm64"], ["all"]])
def test_a_new_manifest(platforms: list[str]) -> None:
    text = filled_in(name="edge", platforms=platforms, images=NEW, comments=["- acme/other:1"])
    wishes = read_wishes(text.encode(), "b")
    assert (wishes.name, [str(wish) for wish in wishes.wishes]) == ("edge", ["docker://docker.io/acme/new"])
    expected = {"all": None, "": ("linux/amd64",)}.get(
        platforms[0] if len(platforms) == 1 else "" if not platforms else "-", tuple(platforms)
    )
    found = wishes.wishes[0].platforms
    assert (found if found is None else tuple(map(str, found))) == expected
    assert "# - acme/other:1" in text
    assert "node-exporter" not in text
