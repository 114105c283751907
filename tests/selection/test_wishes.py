"""What identifies a wish, and names."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bundler.oci.platform import Platform
from bundler.selection.settings import RegistrySettings
from bundler.selection.tags import TagRule
from bundler.selection.wishes import Wish, is_name, name_from

WISH = Wish("docker", "quay.io/a", tags=("1",), where="b.yaml:1")
CHANGES = {
    "transport": {"transport": "oci"},
    "name": {"name": "quay.io/b"},
    "tags": {"tags": ("2",)},
    "digests": {"digests": ("sha256:" + "0" * 64,)},
    "rule": {"rule": TagRule()},
    "regex": {"rule": TagRule(regex="a")},
    "platforms": {"platforms": (Platform("linux", "amd64"),)},
    "index": {"index": "keep"},
    "attachments": {"attachments": "none"},
    "some attachments": {"attachments": ("sboms",)},
    "target": {"target": "x"},
    "pin": {"pin": "sha256:" + "0" * 64},
}


def test_fingerprints_differ_by_what_is_wished():
    prints = {name: replace(WISH, **change).fingerprint for name, change in CHANGES.items()}
    assert len({WISH.fingerprint, *prints.values()}) == len(CHANGES) + 1


def test_fingerprints_ignore_the_line_and_leniency():
    assert replace(WISH, where="other:9", optional=True).fingerprint == WISH.fingerprint
    assert replace(WISH, where="other:9") == WISH
    assert WISH.fingerprint == "35ee9ee3843547c9"  # locks hold these: they must not change


@pytest.mark.parametrize(
    ("filename", "name"),
    [("sync.yaml", "sync"), ("a/B c.txt", "b-c"), ("c:\\x\\Y.yml", "y"), ("-", "bundle"), ("", "bundle"),
     ("--x--.y.z", "x"), ("é.txt", "bundle"), ("a" * 99, "a" * 63)],
)  # fmt: skip
def test_name_from(filename, name):
    assert name_from(filename) == name
    assert is_name(name)


@pytest.mark.parametrize("text", ["", "A", "a/b", "..", "-a", "a-", "a--b", "a b", "a\n", "a" * 64])
def test_no_name(text):
    assert not is_name(text)


def test_secrets_are_not_shown():
    assert "hush" not in repr(RegistrySettings(username="u", password="hush", identity_token="hush"))
