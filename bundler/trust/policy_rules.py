"""What a rule of ``trust.yaml`` asks for: exactly one requirement, which ``all`` and ``any`` may be made of several.

nothing: true
cosign: {keys: [a.pub, b.pub], threshold: 2, identity: matchRepository}
sigstore: {issuer: https://…, subject: me@site | {regex: …}, trusted-root: trusted_root.json, identity: matchRepository}
sigstore: {issuer: https://…, subject: me@site, trusted-root: trusted_root.json, predicate-type: spdx}
attestation: {predicate-type: slsa-provenance | spdx | cyclonedx | URI, keys: [builder.pub]}
gpg: {keys: [site.asc], identity: matchRepoDigestOrExact}
all: [{cosign: …}, {attestation: …}]
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from bundler.errors import BundlerError, ConfigError, quoted
from bundler.oci.reference import parse_reference
from bundler.selection.yaml_tree import Value
from bundler.trust.images.identity import BARE, Identity
from bundler.trust.images.requirement import (
    PREDICATES,
    AllOf,
    AnyOf,
    Attested,
    Cosign,
    Gpg,
    Nothing,
    Requirement,
    Sigstore,
    Subject,
)
from bundler.trust.keys import PublicKey, read_public_key

REQUIREMENTS = ("nothing", "cosign", "sigstore", "attestation", "gpg", "all", "any")
MOST_KEYS = 100
MOST_FILES = 1000
REMAP = ("prefix", "signed-prefix")
_INLINE = "-----BEGIN "
_GPG = b"-----BEGIN PGP PUBLIC KEY BLOCK-----"
_MAX_TEXT = 1024
_PATTERN_MEMORY = 1 << 20


class Keyfiles:
    """The files that a policy names, each read once."""

    def __init__(self, read_file: Callable[[str], bytes]) -> None:
        self._read_file = read_file
        self._held: dict[str, bytes] = {}

    def bytes_of(self, value: Value, text: str) -> bytes:
        """The bytes of a file, or of a text that is given in its place."""
        if text.startswith(_INLINE):
            return text.encode("utf-8")
        if not text or len(text) > _MAX_TEXT or not text.isprintable():
            raise value.fail("must name a file, or hold it")
        if text not in self._held:
            if len(self._held) >= MOST_FILES:
                raise value.fail(f"is one of more than {MOST_FILES} files")
            try:
                self._held[text] = self._read_file(text)
            except BundlerError as problem:
                raise problem.about(value.what) from None
        return self._held[text]


def read_requirement(
    value: Value, fields: Mapping[str, Value], files: Keyfiles, *, nested: bool = False
) -> Requirement:
    """The one requirement among the fields of ``value``."""
    given = [name for name in REQUIREMENTS if name in fields]
    if len(given) != 1:
        raise value.fail(
            f"asks for {' and '.join(given)} at once" if given else "asks for nothing, and does not say so",
            hint="join several by `all:` or `any:`" if given else f"one of {', '.join(REQUIREMENTS)}",
        )
    name, inner = given[0], fields[given[0]]
    match name:
        case "nothing":
            if nested:
                raise inner.fail("stands alone, outside of `all` and `any`")
            if not inner.boolean():
                raise inner.fail("can only be true", hint="leave the rule out to refuse its images")
            return Nothing()
        case "cosign":
            return _cosign(inner, files)
        case "sigstore":
            return _sigstore(inner, files)
        case "attestation":
            of = _fields(inner, ("predicate-type", "keys"), ())
            return Attested(_predicate_type(of["predicate-type"]), _keys(of["keys"], files))
        case "gpg":
            return _gpg(inner, files)
    parts = inner.items()
    if not parts:
        raise inner.fail("is empty")
    read = tuple(read_requirement(part, part.fields(REQUIREMENTS), files, nested=True) for part in parts)
    return AllOf(read) if name == "all" else AnyOf(read)


def _cosign(value: Value, files: Keyfiles) -> Cosign:
    of = _fields(value, ("keys",), ("threshold", "identity"))
    keys = _keys(of["keys"], files)
    threshold = of["threshold"].whole(least=1) if "threshold" in of else 1
    if threshold > len(keys):
        raise of["threshold"].fail(f"{threshold} of {len(keys)} keys can't be met")
    return Cosign(keys, threshold, _identity(of["identity"]) if "identity" in of else Identity("matchRepository"))


def _sigstore(value: Value, files: Keyfiles) -> Sigstore:
    of = _fields(value, ("issuer", "subject", "trusted-root"), ("predicate-type", "identity"))
    if "identity" in of and "predicate-type" in of:
        raise of["identity"].fail("is about the name in a signature, and an attestation gives none")
    root = of["trusted-root"].text()
    return Sigstore(
        _text(of["issuer"]),
        _subject(of["subject"]),
        files.bytes_of(of["trusted-root"], root),
        _predicate_type(of["predicate-type"]) if "predicate-type" in of else "",
        _identity(of["identity"]) if "identity" in of else Identity("any"),
    )


def _subject(value: Value) -> Subject:
    if value.kind != "mapping":
        return Subject(_text(value))
    pattern = _fields(value, ("regex",), ())["regex"]
    text = _text(pattern)
    import re2

    options: Any = re2.Options()
    options.log_errors = False
    options.max_mem = _PATTERN_MEMORY
    try:
        re2.compile(text, options)
    except re2.error as problem:
        raise pattern.fail(f"is no regular expression of RE2: {quoted(str(problem))}") from None
    return Subject(text, is_pattern=True)


def _gpg(value: Value, files: Keyfiles) -> Gpg:
    of = _fields(value, ("keys",), ("identity",))
    raws, names = [], []
    for each in _list(of["keys"]):
        text = each.text()
        raw = files.bytes_of(each, text)
        if b"PRIVATE KEY BLOCK" in raw or _GPG not in raw:
            raise each.fail("is not an armoured GPG public key", hint="`gpg --armor --export FINGERPRINT` writes one")
        raws.append(raw)
        names.append("an inline key" if text.startswith(_INLINE) else text)
    identity = _identity(of["identity"]) if "identity" in of else Identity("matchRepoDigestOrExact")
    return Gpg(tuple(raws), identity, tuple(names))


def _identity(value: Value) -> Identity:
    if value.kind != "mapping":
        chosen = value.choice(BARE)
        return Identity(next(name for name in BARE if name == chosen))
    of = value.fields(("exactReference", "exactRepository", "remapIdentity"))
    if len(of) != 1:
        raise value.fail("must be one rule")
    if "remapIdentity" in of:
        pair = _fields(of["remapIdentity"], REMAP, ())
        for each in pair.values():
            _name(each, _text(each).removesuffix("/"), bare=True)
        return Identity("remapIdentity", _text(pair["signed-prefix"]), _text(pair["prefix"]))
    if "exactReference" in of:
        return Identity("exactReference", _name(of["exactReference"], _text(of["exactReference"]), bare=False))
    return Identity("exactRepository", _name(of["exactRepository"], _text(of["exactRepository"]), bare=True))


def _name(value: Value, text: str, *, bare: bool) -> str:
    """A registry's repository, with a tag or digest unless ``bare``. A prefix may be a registry alone."""
    try:
        reference = parse_reference(text if "/" in text or not bare else f"{text}/any", default_tag="")
    except ConfigError as problem:
        raise value.fail(str(problem), hint=problem.hint) from None
    if bare and reference.identifier:
        raise value.fail(f"{quoted(text)!r} must have neither tag nor digest")
    if not bare and not reference.identifier:
        raise value.fail(f"{quoted(text)!r} has neither tag nor digest", hint="exactRepository takes every tag")
    return text


def _keys(value: Value, files: Keyfiles) -> tuple[PublicKey, ...]:
    keys: list[PublicKey] = []
    for each in _list(value):
        text = each.text()
        try:
            key = read_public_key(files.bytes_of(each, text), what=each.what)
        except ConfigError as problem:
            raise ConfigError(str(problem), hint=problem.hint) from None
        if key in keys:
            raise each.fail(f"gives key {key.short_id} a second time: one key counts once")
        keys.append(key)
    return tuple(keys)


def _list(value: Value) -> list[Value]:
    items = value.items(hint="write it as a list: `keys: [FILE]`")
    if not 0 < len(items) <= MOST_KEYS:
        raise value.fail(f"must name 1 to {MOST_KEYS} keys, not {len(items)}")
    return items


def _predicate_type(value: Value) -> str:
    text = _text(value)
    if text not in PREDICATES and ":" not in text:
        raise value.fail(
            f"{quoted(text)!r} is not a predicate type", hint=f"one of {', '.join(PREDICATES)}, or a whole URI"
        )
    return text


def _text(value: Value) -> str:
    text = value.text()
    if not 0 < len(text) <= _MAX_TEXT or not text.isprintable():
        raise value.fail(f"must be 1 to {_MAX_TEXT} printable characters")
    return text


def _fields(value: Value, needed: tuple[str, ...], also: tuple[str, ...]) -> dict[str, Value]:
    fields = value.fields((*needed, *also))
    for name in needed:
        if name not in fields:
            raise value.fail(f"`{name}` is missing")
    return fields
