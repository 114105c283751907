"""What a policy may require of an image, as ``policy.json`` writes it.

insecureAcceptAnything   nothing
reject                   what no image has
signedBy                 a simple signature by a GPG key
sigstoreSigned           a sigstore signature: by a key, under a certificate of Fulcio's, or under one of another PKI
signedBaseLayer          known, and never fulfilled: nobody built it
"""

from __future__ import annotations

from dataclasses import dataclass, field

from bundler.errors import quoted
from bundler.oci.strict_json import Fields
from bundler.policy.identities import DEFAULT, Identity, read_identity
from bundler.policy.material import Material, filled, one_of

KEY_TYPES = ("GPGKeys", "signedByGPGKeys", "X509Certificates", "signedByX509CAs")
"""The names that are known; only the first can be verified by, here and elsewhere."""
_KEYS = ("keyPath", "keyPaths", "keyData", "keyDatas")
_REKOR = ("rekorPublicKeyPath", "rekorPublicKeyPaths", "rekorPublicKeyData", "rekorPublicKeyDatas")


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
class Fulcio:
    """Whoever has a certificate of the authority ``ca`` that says: ``issuer`` knows this one as ``email``."""

    ca: Material
    issuer: str
    email: str


@dataclass(frozen=True, slots=True)
class Pki:
    """Whoever has a certificate under one of ``roots`` for all of ``email`` and ``hostname`` that are not empty."""

    roots: Material
    intermediates: Material = field(default_factory=Material)
    email: str = ""
    hostname: str = ""


@dataclass(frozen=True, slots=True)
class SigstoreSigned:
    """sigstoreSigned: by one of ``signers``; ``rekor`` are the keys of logs of which one must list the signature."""

    signers: Material | Fulcio | Pki
    rekor: Material | None = None
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
        case "sigstoreSigned":
            found = _sigstore_signed(fields)
        case "signedBaseLayer":
            found = SignedBaseLayer(read_identity(fields.object("baseLayerIdentity")))
        case _:
            raise fields.fail("type", f"{quoted(kind)!r} is not a kind of requirement")
    fields.done()
    return found


def _signed_by(fields: Fields) -> SignedBy:
    key_type = fields.text("keyType")
    if key_type not in KEY_TYPES:
        raise fields.fail("keyType", f"{quoted(key_type)!r} is not a kind of key")
    keys = one_of(fields, "keyPath", "keyPaths", "keyData")
    if keys is None:
        raise fields.fail("keyPath, keyPaths or keyData", "is missing: exactly one must be there")
    return SignedBy(key_type, keys, _identity(fields))


def _sigstore_signed(fields: Fields) -> SigstoreSigned:
    keys, rekor = one_of(fields, *_KEYS), one_of(fields, *_REKOR)
    fulcio = _fulcio(fields.object("fulcio")) if "fulcio" in fields else None
    pki = _pki(fields.object("pki")) if "pki" in fields else None
    match [each for each in (keys, fulcio, pki) if each is not None]:
        case [signers]:
            pass
        case _:
            raise fields.fail(", ".join((*_KEYS, "fulcio, pki")), "must be there exactly once")
    if fulcio is not None and rekor is None:
        raise fields.fail("fulcio", f"needs the public key of a Rekor log beside it: {', '.join(_REKOR)}")
    if pki is not None and rekor is not None:
        raise fields.fail("pki", "excludes the public key of a Rekor log")
    return SigstoreSigned(signers, rekor, _identity(fields))


def _fulcio(fields: Fields) -> Fulcio:
    ca = one_of(fields, "caPath", "caData")
    if ca is None:
        raise fields.fail("caPath or caData", "is missing")
    found = Fulcio(ca, filled(fields, "oidcIssuer"), filled(fields, "subjectEmail"))
    fields.done()
    return found


def _pki(fields: Fields) -> Pki:
    roots = one_of(fields, "caRootsPath", "caRootsData")
    if roots is None:
        raise fields.fail("caRootsPath or caRootsData", "is missing")
    intermediates = one_of(fields, "caIntermediatesPath", "caIntermediatesData") or Material()
    email, hostname = (filled(fields, name) if name in fields else "" for name in ("subjectEmail", "subjectHostname"))
    if not email and not hostname:
        raise fields.fail("subjectEmail or subjectHostname", "is missing")
    fields.done()
    return Pki(roots, intermediates, email, hostname)


def _identity(fields: Fields) -> Identity:
    return read_identity(fields.object("signedIdentity")) if "signedIdentity" in fields else DEFAULT
