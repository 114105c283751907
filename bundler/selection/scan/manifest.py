"""Images written into manifests: a new ``bundle.yaml``, or lines added to one that is there.

Added text is all that changes: comments, order and spacing of the operator stay byte for byte. Where the list ends is
taken from YAML's own events, so a list within quotes or comments is not mistaken for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from bundler.errors import ConfigError, UnsupportedError, quoted
from bundler.oci.reference import parse_reference
from bundler.selection import Wishes, read_wishes
from bundler.selection.plain_list import looks_like_list
from bundler.selection.wishes import Wish


def missing(wishes: Wishes, images: Iterable[str]) -> list[str]:
    """Those of ``images`` that the wishes don't name. A rule with ``newest`` names no tag for sure."""
    return [image for image in images if not any(_names(wish, image) for wish in wishes.wishes)]


def _names(wish: Wish, image: str) -> bool:
    reference = parse_reference(image.removeprefix("docker://"))
    if wish.transport != "docker" or wish.name != reference.name:
        return False
    if wish.rule is not None:
        from bundler.selection.tags import choose

        if wish.rule.newest is not None or reference.digest or not reference.tag:
            return False
        return choose(wish.rule, [reference.tag], what=wish.where, optional=True) != []
    if reference.digest:
        return reference.digest in wish.digests or reference.digest == wish.pin
    return reference.tag in wish.tags


def extended(raw: bytes, filename: str, images: Sequence[str]) -> tuple[bytes, list[str]]:
    """The document with the images that it did not name, and which these are.

    Raises :class:`ConfigError` for a document that is not valid, or whose ``images`` is not a list of lines with dashes;
    :class:`UnsupportedError` for skopeo's sync YAML.
    """
    added = missing(read_wishes(raw, filename), images)
    if not added:
        return raw, []
    text = raw.decode("utf-8-sig")
    bom = raw[:3] if raw.startswith(b"\xef\xbb\xbf") else b""
    if looks_like_list(text):
        at, lead = len(text), ""
    else:
        at, column = _end_of_list(text, filename)
        lead = " " * column + "- "
    end = "\r\n" if "\r\n" in text else "\n"
    before = text[:at]
    joint = "" if not before or before.endswith("\n") else end
    grown = f"{before}{joint}{''.join(f'{lead}{image}{end}' for image in added)}{text[at:]}"
    result = bom + grown.encode()
    left = missing(read_wishes(result, filename), images)
    if left:
        raise ConfigError(f"{quoted(filename)}: could not be extended with {left[0]}", hint="add the images by hand")
    return result, added


def _end_of_list(text: str, filename: str) -> tuple[int, int]:
    """Where the next item of the top-level ``images`` goes, and the column of its dash."""
    import yaml

    depth = column = end = 0
    key, is_key, inside = "", True, False
    # Marks of the pure loader count characters, those of libyaml do not everywhere.
    events: Any = yaml.parse(text, Loader=yaml.SafeLoader)
    for event in events:
        kind = type(event).__name__
        if depth == 1 and not inside and kind != "MappingEndEvent":
            if is_key:
                key = event.value if kind == "ScalarEvent" else ""
            elif key == "images" and kind == "SequenceStartEvent":
                if event.flow_style:
                    raise ConfigError(
                        f"{quoted(filename)}:{event.start_mark.line + 1}: `images` is written between brackets",
                        hint="write each image on its own line, starting with a dash",
                    )
                inside, column = True, event.start_mark.column
            is_key = not is_key
        if inside:
            end = max(end, _end(event))
        if kind in ("MappingStartEvent", "SequenceStartEvent"):
            depth += 1
        elif kind in ("MappingEndEvent", "SequenceEndEvent"):
            depth -= 1
            if inside and depth == 1:
                break
    if not inside:
        raise UnsupportedError(
            f"{quoted(filename)}: has no list `images` to extend", hint="only bundle.yaml and plain lists are extended"
        )
    if text[end - 1] != "\n":
        newline = text.find("\n", end)
        end = len(text) if newline < 0 else newline + 1
    return end, column


def _end(event: Any) -> int:
    """Where the text of an event ends; the end of a block is found only after comments, so it is no end."""
    start, end = event.start_mark.index, event.end_mark.index
    return int(end) if end > start and not type(event).__name__.endswith("StartEvent") else 0
