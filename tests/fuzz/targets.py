"""What is fuzzed: every parser of documents from outside, as a function of bytes. A new parser is one more row.

    "sums": Target("bundler.trust.sums", lambda raw, module: module.parse_sums(raw)),

A target may return, or raise a :class:`BundlerError`; anything else that it raises is a crash. Its module is imported when
it is first called, so that a fuzzer that instruments imports sees it, and one whose package is not installed is skipped.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from typing import Any

from bundler.errors import BundlerError, ConfigError

CORPUS = Path(__file__).with_name("corpus")
AT = datetime(2026, 1, 31, 12, tzinfo=UTC)


class AskedError(BundlerError):
    """A key file asked for its password: what it costs to open it has been allowed by then."""


@dataclass(frozen=True, slots=True)
class Target:
    """``entry`` gets the bytes and the imported ``module``. ``needs`` is a package that not every installation has."""

    module: str
    entry: Callable[[bytes, ModuleType], object]
    needs: str = ""

    def __call__(self, raw: bytes) -> bool:
        """Whether the document was taken; false if it was refused with an error of ours."""
        module = importlib.import_module(self.module)
        try:
            self.entry(raw, module)
        except AskedError:
            return True
        except BundlerError as problem:
            _check_message(problem)
            return False
        return True


def _check_message(problem: BundlerError) -> None:
    assert str(problem).isprintable(), f"a message with control characters: {problem!r}"


def _ask() -> bytes:
    raise AskedError("password")


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")


def _no_file(name: str) -> bytes:
    if name != "k.pub":
        raise ConfigError("no such file")
    return (CORPUS / "public-key" / "good-ecdsa").read_bytes()


def _volume(raw: bytes, module: ModuleType) -> None:
    """A compressed frame of a thousand bytes, as the inventory would have promised."""
    for _ in module.decompressed(iter([memoryview(raw)]), 1000):
        pass


def _walk(raw: bytes, module: ModuleType) -> None:
    """The root that is trusted, and after zero bytes those that a bundle carries."""
    first, *carried = raw.split(b"\0")
    ours = module.pinned(first, what="1.root.json")
    for _ in module.walk(ours, dict(enumerate(carried, start=ours.version + 1))):
        pass


def _json(raw: bytes, module: ModuleType) -> None:
    value: Any = module.loads(raw, what="document")
    if isinstance(value, dict):
        fields = module.Fields(value, what="document")
        for name in filter(str.isprintable, value):  # names are the reader's own, as a rule
            for read in (fields.text, fields.size, fields.array, fields.object, fields.text_map):
                try:
                    read(name)
                except BundlerError as problem:
                    _check_message(problem)
        fields.done()


class _AnyLog:
    """A log whose every signature holds, so that what it signed is read."""

    spki = b""

    def verify(self, message: bytes, signature: bytes) -> None:
        """Say nothing against it."""


def _certificate(raw: bytes, module: ModuleType) -> None:
    """A certificate (DER) in all that is asked of one; it is also the authority that is trusted."""
    from bundler.trust.pem import write_block

    pem = write_block("CERTIFICATE", raw)
    certified = module.read_certified(pem, pem)
    trusted = module.Authorities(module.read_authorities(pem, what="authority"))
    for ask in (
        lambda: certified.check_fulcio("https://login.site.example", "me@site.example"),
        lambda: certified.check_email("me@site.example"),
        lambda: certified.key(trusted, AT, hostname="site.example"),
    ):
        try:
            ask()
        except BundlerError as problem:
            _check_message(problem)
    certified.key(trusted, AT)


TARGETS: dict[str, Target] = {
    "strict-json": Target("bundler.oci.strict_json", _json),
    "manifest": Target(
        "bundler.oci.manifest",
        lambda raw, m: m.parse_manifest(raw, "application/vnd.oci.image.manifest.v1+json", what="manifest"),
    ),
    "index": Target(
        "bundler.oci.manifest",
        lambda raw, m: m.parse_manifest(raw, "application/vnd.oci.image.index.v1+json", what="index"),
    ),
    "schema1": Target("bundler.oci.schema1", lambda raw, m: m.parse_schema1(raw, what="manifest")),
    "reference": Target("bundler.oci.reference", lambda raw, m: m.parse_reference(_text(raw))),
    "statement": Target("bundler.bundle.statement", lambda raw, m: m.parse_statement(raw)),
    "inventory": Target("bundler.bundle.inventory", lambda raw, m: m.parse_inventory(raw)),
    "volume-label": Target("bundler.bundle.volume", lambda raw, m: m.read_label(raw)),
    "tar-header": Target("bundler.bundle.tar", lambda raw, m: m.parse(raw)),
    "frame": Target("bundler.bundle.frames", _volume),
    "envelope": Target("bundler.trust.dsse", lambda raw, m: m.parse_envelope(raw)),
    "sums": Target("bundler.trust.sums", lambda raw, m: m.parse_sums(raw)),
    "public-key": Target("bundler.trust.keys", lambda raw, m: m.read_public_key(raw)),
    "private-key": Target("bundler.trust.keyfile", lambda raw, m: m.read_private_key(raw, _ask)),
    "private-key-der": Target("bundler.trust.signing", lambda raw, m: m.private_key_of(raw, what="key")),
    "simple-signing-payload": Target("bundler.trust.simple_signing", lambda raw, m: m.parse_payload(raw)),
    "cosign-payload": Target("bundler.trust.images.cosign", lambda raw, m: m.parse_payload(raw)),
    "image-envelope": Target("bundler.trust.images.envelope", lambda raw, m: m.read_envelope(raw)),
    "sigstore-bundle": Target("bundler.trust.images.envelope", lambda raw, m: m.read_bundle(raw)),
    "annotated-entry": Target(
        "bundler.trust.images.annotated", lambda raw, m: m.log_entry(raw.decode("utf-8", "replace")), needs="sigstore"
    ),
    "attestation": Target(
        "bundler.trust.images.attestation", lambda raw, m: m.parse_statement("application/vnd.in-toto+json", raw)
    ),
    "trust-root": Target("bundler.trust.root", lambda raw, m: m.pinned(raw, what="1.root.json"), needs="tuf"),
    "trust-walk": Target("bundler.trust.root", _walk, needs="tuf"),
    "trust-state": Target("bundler.trust.state", lambda raw, m: m.parse_state(raw)),
    "trust-yaml": Target("bundler.trust.policy", lambda raw, m: m.parse_policy(raw, "trust.yaml", _no_file)),
    "policy-json": Target("bundler.policy.policy_json", lambda raw, m: m.read_policy(raw)),
    "registries-d": Target("bundler.policy.registries_d", lambda raw, m: m.read_registries_d([("a.yaml", raw)])),
    "signer-key": Target("bundler.policy.signer_keys", lambda raw, m: m.read_signer_key(raw, what="key")),
    "log-entry": Target("bundler.policy.rekor", lambda raw, m: m.read_entry(raw, [_AnyLog()])),
    "certificate": Target("bundler.policy.certificates", _certificate),
    "stored-signature": Target("bundler.policy.blobs", lambda raw, m: m.read_attachment(raw)),
    "bundle-yaml": Target("bundler.selection", lambda raw, m: m.read_wishes(raw, "bundle.yaml")),
    "lock": Target("bundler.selection.lock", lambda raw, m: m.read_lock(raw, "bundle.lock.json")),
    "receipt": Target("bundler.push.receipt", lambda raw, m: m.parse_receipt(raw, "receipt.json")),
    "index-json": Target("bundler.store.index", lambda raw, m: m.parse_index(raw, what="index.json")),
    "authfile": Target("bundler.transports.docker.authfile", lambda raw, m: m.parse_authfile(raw, what="auth.json")),
    "registries-conf": Target(
        "bundler.transports.docker.registries_conf", lambda raw, m: m.parse(raw, "registries.conf")
    ),
    "challenge": Target("bundler.transports.docker.auth", lambda raw, m: m.parse_challenges([raw.decode("latin-1")])),
    "moves": Target("bundler.mirrors.moves", lambda raw, m: m.read_moves(raw, "moves.json")),
}
