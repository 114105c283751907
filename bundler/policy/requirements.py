"""What a policy may require of an image, as ``policy.json`` writes it.

insecureAcceptAnything   nothing
reject                   what no image has
signedBy                 a simple signature by a GPG key
sigstoreSigned           a sigstore signature by a key, or under a certificate
signedBaseLayer          known, and never fulfilled: nobody built it
"""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass

from bundler.errors import quoted
from bundler.oci.strict_json import Fields
from bundler.policy.identities import DEFAULT, Identity, read_identity

KEY_TYPES = ("GPGKeys", "signedByGPGKeys", "X509Certificates", "signedByX509CAs")
"""The names that are known; only the first can be verified by, here and elsewhere."""
MAX_KEYS = 1000


@dataclass(frozen=True, slots=True)
class Material:
    """Keys or certificates: files by their ``paths``, or the content itself."""

    paths: tuple[str, ...] = ()
    contents: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class Accept:
    """insecureAcceptAnything."""

    name = "insecureAcceptAnything"


@dataclass(frozen=True, slots=True)
class Reject:
    """reject."""

    name = "reject"


@dataclass(frozen=True, slots=True)
class SignedBy:
    """signedBy."""

    key_type: str
    keys: Material
    identity: Identity = DEFAULT

    name = "signedBy"


@dataclass(frozen=True, slots=True)
class SignedBaseLayer:
    """signedBaseLayer."""

    identity: Identity

    name = "signedBaseLayer"


@dataclass(frozen=True, slots=True)
class SigstoreSigned:
    """sigstoreSigned: by ``keys``, or else under a certificate; ``rekor`` are the keys of a log that must list it."""

    keys: Material | None = None
    rekor: Material | None = None
    certificate: str = ""
    """``fulcio`` or ``pki``, where that is what must have certified the signer's key."""
    identity: Identity = DEFAULT

    name = "sigstoreSigned"


Requirement = Accept | Reject | SignedBy | SignedBaseLayer | SigstoreSigned


def read_requirement(fields: Fields) -> Requirement:
    """One requirement. Raises :class:`ConfigError` for an unknown type, and for members that are not its own."""
    kind = fields.text("type")
    found: Requirement
    match kind:
        case "insecureAcceptAnything":
            found = Accept()
        case "reject":
            found = Reject()
        case "signedBy":
            found = _signed_by(fields)
        case "signedBaseLayer":
            found = SignedBaseLayer(read_identity(fields.object("baseLayerIdentity")))
        case "sigstoreSigned":
            found = _sigstore_signed(fields)
        case _:
            raise fields.fail("type", f"{quoted(kind)!r} is not a kind of requirement")
    fields.done()
    return found


def _signed_by(fields: Fields) -> SignedBy:
    key_type = fields.text("keyType")
    if key_type not in KEY_TYPES:
        raise fields.fail("keyType", f"{quoted(key_type)!r} is not a kind of key")
    keys = _one_of(fields, "keyPath", "keyPaths", "keyData")
    if keys is None:
        raise fields.fail("keyPath, keyPaths or keyData", "is missing: exactly one must be there")
    return SignedBy(key_type, keys, _identity(fields))


def _sigstore_signed(fields: Fields) -> SigstoreSigned:
    sources = ("keyPath", "keyPaths", "keyData", "keyDatas", "fulcio", "pki")
    if sum(name in fields for name in sources) != 1:
        raise fields.fail(", ".join(sources), "must be there exactly once")
    keys = _one_of(fields, *sources[:4])
    rekor = _one_of(fields, "rekorPublicKeyPath", "rekorPublicKeyPaths", "rekorPublicKeyData", "rekorPublicKeyDatas")
    certificate = "fulcio" if "fulcio" in fields else "pki" if "pki" in fields else ""
    if certificate == "fulcio":
        _check_fulcio(fields.object("fulcio"))
        if rekor is None:
            raise fields.fail("fulcio", "needs the public key of a Rekor log beside it")
    if certificate == "pki":
        _check_pki(fields.object("pki"))
        if rekor is not None:
            raise fields.fail("pki", "excludes the public key of a Rekor log")
    return SigstoreSigned(keys, rekor, certificate, _identity(fields))


def _check_fulcio(fields: Fields) -> None:
    if _one_of(fields, "caPath", "caData") is None:
        raise fields.fail("caPath or caData", "is missing")
    for name in ("oidcIssuer", "subjectEmail"):
        _filled(fields, name)
    fields.done()


def _check_pki(fields: Fields) -> None:
    if _one_of(fields, "caRootsPath", "caRootsData") is None:
        raise fields.fail("caRootsPath or caRootsData", "is missing")
    _one_of(fields, "caIntermediatesPath", "caIntermediatesData")
    subjects = [name for name in ("subjectEmail", "subjectHostname") if name in fields]
    if not subjects:
        raise fields.fail("subjectEmail or subjectHostname", "is missing")
    for name in subjects:
        _filled(fields, name)
    fields.done()


def _identity(fields: Fields) -> Identity:
    return read_identity(fields.object("signedIdentity")) if "signedIdentity" in fields else DEFAULT


def _one_of(fields: Fields, *names: str) -> Material | None:
    """The one of these members that is there; each kind of them is known by how its name ends."""
    given = [name for name in names if name in fields]
    if len(given) > 1:
        raise fields.fail(" and ".join(given), "exclude each other")
    if not given:
        return None
    (name,) = given
    if name.endswith("Path"):
        return Material(paths=(_filled(fields, name),))
    if name.endswith("Paths"):
        return Material(paths=_bounded(fields, name, fields.texts(name)))
    if name.endswith("Data"):
        return Material(contents=(_decoded(fields, name, fields.text(name)),))
    return Material(contents=tuple(_decoded(fields, name, text) for text in _bounded(fields, name, fields.texts(name))))


def _filled(fields: Fields, name: str) -> str:
    text = fields.text(name)
    if not text:
        raise fields.fail(name, "is empty")
    if "\0" in text:
        raise fields.fail(name, f"{quoted(text)!r} holds a null byte")
    return text


def _bounded(fields: Fields, name: str, texts: tuple[str, ...]) -> tuple[str, ...]:
    if len(texts) > MAX_KEYS:
        raise fields.fail(name, f"holds more than the {MAX_KEYS} keys allowed")
    if not texts:
        raise fields.fail(name, "is an empty list, by which nothing could ever be accepted")
    if any(not text or "\0" in text for text in texts):
        raise fields.fail(name, "holds an empty text, or one with a null byte")
    return texts


def _decoded(fields: Fields, name: str, text: str) -> bytes:
    try:
        found = base64.b64decode(re.sub(r"[\r\n]", "", text), validate=True)
    except (binascii.Error, ValueError):
        raise fields.fail(name, "is not base64") from None
    if not found:
        raise fields.fail(name, "is empty")
    return found
