"""Three kinds of document, told apart by what is in them, and the plain list among them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bundler.errors import BundlerError, ConfigError, LimitError
from bundler.selection import Wish, read_wishes
from bundler.selection.tags import TagRule

ZEROS = "sha256:" + "0" * 64


def docker(name, **more):
    return Wish("docker", name, **more)


@pytest.mark.parametrize("filename", ["bundle.yaml", "sync.yml", "list.txt", "-"])
@pytest.mark.parametrize(
    ("text", "wish"),
    [
        pytest.param(
            "apiVersion: bundler/v1\nkind: Bundle\nname: b\nimages: [quay.io/a:1]",
            docker("quay.io/a", tags=("1",)),
            id="bundle.yaml",
        ),
        pytest.param("quay.io:\n  images: {a: []}", docker("quay.io/a", rule=TagRule()), id="sync YAML"),
        pytest.param("quay.io: {images: {a: ['1']}}", docker("quay.io/a", tags=("1",)), id="sync YAML in one line"),
        pytest.param("quay.io/a:1\n", docker("quay.io/a", tags=("1",)), id="list"),
        pytest.param("\n# why\n  quay.io/a:1   # so\n", docker("quay.io/a", tags=("1",)), id="list with comments"),
        pytest.param("quay.io/a", docker("quay.io/a", tags=("latest",)), id="list of one bare name"),
        pytest.param("quay.io/a:1\r\n\r\n", docker("quay.io/a", tags=("1",)), id="list from Windows"),
        pytest.param("\ufeffquay.io/a:1\n", docker("quay.io/a", tags=("1",)), id="list with a byte-order mark"),
        pytest.param(f"docker://quay.io/a@{ZEROS}", docker("quay.io/a", digests=(ZEROS,)), id="list with transport"),
        pytest.param("oci:./layout:app", Wish("oci", "./layout:app"), id="list of another transport"),
    ],
)
def test_told_apart(text, wish, filename):
    assert read_wishes(text.encode(), filename).wishes == (wish,)


def test_a_list_keeps_lines_and_order():
    wishes = read_wishes(b"# a\n\nnginx:1\nredis\nnginx:1\n", "/srv/Edge Images.2024.txt")
    assert [(str(wish), wish.where) for wish in wishes.wishes] == [
        ("docker://docker.io/library/nginx", "Edge Images.2024.txt:3"),
        ("docker://docker.io/library/redis", "Edge Images.2024.txt:4"),
        ("docker://docker.io/library/nginx", "Edge Images.2024.txt:5"),
    ]
    assert (wishes.name, wishes.channel) == ("edge-images", "stable")


@pytest.mark.parametrize(
    ("text", "match"),
    [
        pytest.param("nginx\nquay.io/a b\n", r"^f.txt:2: 'quay.io/a b': one image name per line", id="two names"),
        pytest.param("nginx\nquay.io/A\n", r"^f.txt:2: 'quay.io/A'", id="upper case"),
        pytest.param("nginx\nftp://x/y\n", r"^f.txt:2: 'ftp://x/y': unknown transport", id="transport"),
        pytest.param("- nginx\n- redis\n", r"^f.txt:1: holds a list at its top", id="YAML list"),
        pytest.param("~\n", r"^f.txt:1: holds nothing at its top", id="nothing"),
        pytest.param("", r"^f.txt: is empty", id="empty"),
        pytest.param("# only this\n", r"^f.txt: is empty", id="only comments"),
        pytest.param("'#'", r"f.txt", id="a quoted hash"),
        pytest.param("Kind: Bundle\n", r"^f.txt:1: 'Kind' is not a known key", id="bundle.yaml with a slip"),
        pytest.param("images:\n- nginx\n", r"`apiVersion` is missing", id="bundle.yaml without its head"),
        pytest.param("nginx:\n", r"must be a mapping", id="a key alone"),
        pytest.param("nginx\nfoo: bar\n", r"^f.txt:2: not YAML", id="list and mapping"),
    ],
)
def test_defects(text, match):
    with pytest.raises(ConfigError, match=match):
        read_wishes(text.encode(), "dir/f.txt")


def test_size():
    with pytest.raises(LimitError):
        read_wishes(b"nginx\n" * 200_000, "f.txt")


@given(st.text(max_size=80) | st.text(alphabet="ab:-[]{}/.@ \n#\"'&*", max_size=80))
def test_never_more_than_our_own_errors(text):
    try:
        wishes = read_wishes(text.encode("utf-8", "replace"), "f.yaml")
    except BundlerError:
        return
    assert wishes.wishes
