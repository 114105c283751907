"""``index.json`` as a value: what is kept, what is replaced, in which order."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bundler.oci import mediatype
from bundler.oci.descriptor import Descriptor
from bundler.oci.digest import digest_of
from bundler.oci.strict_json import canonical
from bundler.store.index import CONTAINERD_NAME, EMPTY, LEFT_OUT, REF_NAME, entry, parse_index


def root(n: int, media_type: str = mediatype.OCI_MANIFEST) -> Descriptor:
    return Descriptor(media_type, digest_of(b"%d" % n), n)


def index_of(*entries: dict[str, Any], **more: Any) -> bytes:
    return json.dumps({"schemaVersion": 2, "manifests": list(entries), **more}).encode()


FOREIGN = {
    **root(1).document(),
    "annotations": {REF_NAME: "theirs", "x": "y"},
    "data": "e30=",
    "unknown": {"deep": [1, None, True]},
}


def test_what_others_wrote_stays() -> None:
    parsed = parse_index(index_of(FOREIGN, annotations={"by": "them"}, subject=None, odd=[1]), what="x")
    written = json.loads(parsed.tagged([entry("ours", root(2), ())]).serialised())
    assert FOREIGN in written["manifests"]
    assert (written["annotations"], written["odd"]) == ({"by": "them"}, [1])
    assert parse_index(json.dumps(written).encode(), what="x").without({"ours"}).document["manifests"] == [FOREIGN]


@pytest.mark.parametrize(
    "names",
    [{REF_NAME: "app"}, {REF_NAME: "1", CONTAINERD_NAME: "app"}, {REF_NAME: "app", CONTAINERD_NAME: "app"}],
    ids=["ref-name", "containerd", "both"],
)
def test_an_entry_of_the_same_name_is_replaced(names: dict[str, str]) -> None:
    parsed = parse_index(index_of({**root(1).document(), "annotations": names}), what="x")
    changed = parsed.tagged([entry("app", root(2), ())])
    assert [each.root.digest for each in changed.entries] == [root(2).digest]


def test_entries_without_a_name_stay_and_are_called_by_their_digest() -> None:
    parsed = parse_index(index_of(root(1).document()), what="x").tagged([entry("app", root(1), ())])
    assert [each.label for each in parsed.entries] == [root(1).digest, "app"]
    assert parsed.entries[0].left_out is None


def test_an_index_says_what_was_left_out_and_a_manifest_does_not() -> None:
    multi = entry("multi", root(3, mediatype.OCI_INDEX), [root(9).digest, root(8).digest])
    assert multi.raw["annotations"][LEFT_OUT] == " ".join(sorted([root(8).digest, root(9).digest]))
    assert multi.left_out == frozenset({root(8).digest, root(9).digest})
    assert entry("all", root(3, mediatype.DOCKER_INDEX), []).left_out == frozenset()
    assert entry("app", root(2), []).left_out is None


def test_annotations_of_an_earlier_layout_do_not_travel() -> None:
    said = {REF_NAME: "old", CONTAINERD_NAME: "old", LEFT_OUT: "", "keep": "me"}
    moved = entry("new", Descriptor(mediatype.OCI_MANIFEST, digest_of(b""), 0, annotations=said), ())
    assert moved.raw["annotations"] == {REF_NAME: "new", CONTAINERD_NAME: "new", "keep": "me"}
    assert moved.root.annotations == {"keep": "me"}


NAMES = st.lists(st.sampled_from("abcde"), max_size=8)


@given(NAMES, st.randoms())
def test_the_last_tag_of_each_name_wins_in_any_order_of_names(names: list[str], random: Any) -> None:
    empty = parse_index(index_of(), what="x")
    wanted = {name: root(n) for n, name in enumerate(names)}
    one_by_one = empty
    for n, name in enumerate(names):
        one_by_one = one_by_one.tagged([entry(name, root(n), ())])
    shuffled = list(wanted.items())
    random.shuffle(shuffled)
    at_once = empty.tagged(entry(name, each, ()) for name, each in shuffled)
    assert one_by_one.serialised() == at_once.serialised()
    assert parse_index(at_once.serialised(), what="x") == at_once


@given(
    st.dictionaries(st.text('ab:/é"\\', min_size=1, max_size=6), st.sampled_from([1, 2]), max_size=6), st.integers(0, 5)
)
def test_written_as_all_documents_are(names: dict[str, int], gone: int) -> None:
    """Piece by piece, with pieces of the file before, it is the canonical form of the document."""
    index = parse_index(canonical({**EMPTY, "annotations": {"a": ["b"]}}), what="index.json")
    for name, size in names.items():
        index = index.tagged(
            [entry(name, Descriptor(mediatype.OCI_INDEX, digest_of(name.encode()), size), [digest_of(b"gone")])]
        )
        assert index.serialised() == canonical(index.document)
    index = index.without(sorted(names)[:gone])
    assert index.serialised() == canonical(index.document)
    assert parse_index(index.serialised(), what="index.json").entries == index.entries
