"""Signatures under a certificate ("keyless"), verified offline with sigstore-python against the site's trusted root file.

The library does what is sigstore's: the certificate chain at the time of signing, the certificate's timestamp, inclusion
in the transparency log with its checkpoint and promise, and the signature. Added here: who may have signed, and that what
was signed is this image.

    root file ──▶ verifier ──▶ chain, SCT, log entry, signature ──▶ issuer and subject ──▶ digest (and predicate type)

Taken are bundles of v0.1 to v0.3 with their inclusion proof. cosign 2 keeps certificates in annotations without such a
proof; these are reported, and not taken.
"""

from __future__ import annotations

import logging
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from bundler.errors import BundlerError, ConfigError, quoted
from bundler.oci.digest import Digest
from bundler.oci.strict_json import loads
from bundler.trust.images.attestation import COSIGN_SIGN, parse_statement
from bundler.trust.images.cosign import CERTIFICATE
from bundler.trust.images.envelope import read_bundle
from bundler.trust.images.evidence import Evidence, Found
from bundler.trust.images.requirement import Sigstore, Subject

if TYPE_CHECKING:
    from cryptography.x509 import Certificate
    from sigstore.verify import Verifier

ROOT_CAP = 1 << 20
_OTHER_NAME = "1.3.6.1.4.1.57264.1.7"
_log = logging.getLogger(__name__)


@lru_cache(maxsize=16)
def verifier_of(trusted_root: bytes) -> Verifier:
    """The library's verifier under a trusted root file.

    Raises :class:`ConfigError` if the file is none, or the library isn't installed.
    """
    try:
        from sigstore.models import TrustedRoot
        from sigstore.verify import Verifier
        from sigstore_models.trustroot.v1 import TrustedRoot as Document
    except ImportError:
        raise ConfigError(
            "the policy asks for sigstore signatures, and the library to verify them is not installed",
            hint="pip install 'oci-bundler[trust]'",
        ) from None
    loads(trusted_root, what="trusted root", cap=ROOT_CAP, error=ConfigError)
    try:
        return Verifier(trusted_root=TrustedRoot(Document.from_json(trusted_root)))
    except Exception as error:  # noqa: BLE001  # what the library raises for a bad file is not of one kind
        raise ConfigError(
            f"trusted root: can't be used: {quoted(_line(error))}",
            hint="it is the trusted_root.json that a sigstore TUF repository serves",
        ) from None


def check(requirement: Sigstore, digest: Digest, manifest: bytes, evidence: Evidence) -> Found:
    """What one attached content is worth to a requirement for a certificate's signature.

    ``manifest`` is the bytes that hash to ``digest``. Raises only for a bad trusted root.
    """
    verifier = verifier_of(requirement.trusted_root)
    if evidence.kind == "cosign":
        has_certificate = CERTIFICATE in evidence.annotations
        return evidence.found(
            problem="has its certificate in annotations, without the inclusion proof that offline verification needs"
            if has_certificate
            else "is signed by a key, not under a certificate"
        )
    try:
        bundle = read_bundle(evidence.content)
    except BundlerError as error:
        return evidence.found(problem=str(error))
    if not bundle.certified:
        return evidence.found(problem="is signed by a key, not under a certificate")
    certificate = _Certificate(requirement)
    try:
        signed = _verified(verifier, evidence.content, certificate, manifest, enveloped=bundle.envelope is not None)
    except Exception as error:  # noqa: BLE001  # a stranger's certificate can break the library in many ways
        _log.debug("sigstore bundle %s refused", evidence.digest, exc_info=True)
        return evidence.found(problem=f"sigstore: {quoted(_line(error), 300)}")
    by = (quoted(certificate.name),)
    wanted = requirement.predicate_type or COSIGN_SIGN
    if signed is None:
        problem = "is a signature, not an attestation" if requirement.predicate_type else ""
        return evidence.found(verified=not problem, by=by, problem=problem)
    try:
        about = parse_statement(*signed)
    except BundlerError as error:
        return evidence.found(by=by, problem=str(error))
    problem = about.problem(digest, wanted)
    return evidence.found(verified=not problem, by=by, predicate_type=quoted(about.predicate_type), problem=problem)


def _verified(
    verifier: Verifier, raw: bytes, certificate: _Certificate, manifest: bytes, *, enveloped: bool
) -> tuple[str, bytes] | None:
    """Type and payload of an envelope that was verified; None for a verified signature over the manifest itself."""
    from sigstore.models import Bundle

    bundle = Bundle.from_json(raw)
    if enveloped:
        return verifier.verify_dsse(bundle, certificate)
    verifier.verify_artifact(manifest, bundle, certificate)
    return None


class _Certificate:
    """What the library asks about the certificate: its issuer, and its one subject, which is kept in ``name``."""

    def __init__(self, requirement: Sigstore) -> None:
        self._issuer = requirement.issuer
        self._subject = requirement.subject
        self.name = ""

    def verify(self, cert: Certificate) -> None:
        """Called by the library once the certificate's chain holds (``sigstore.verify.policy.VerificationPolicy``)."""
        from sigstore.errors import VerificationError
        from sigstore.verify.policy import AnyOf, OIDCIssuer, OIDCIssuerV2

        try:
            AnyOf([OIDCIssuerV2(self._issuer), OIDCIssuer(self._issuer)]).verify(cert)
        except VerificationError:
            raise VerificationError(f"the certificate's issuer is not {self._issuer}") from None
        names = _names(cert)
        if len(names) != 1:
            raise VerificationError(f"the certificate has {len(names)} subjects, and must have one")
        if not _fits(self._subject, names[0]):
            raise VerificationError(f"the certificate is of {quoted(names[0])}, not of {self._subject}")
        self.name = names[0]


def _names(cert: Certificate) -> list[str]:
    """Every subject that a Fulcio certificate can have (its oid-info.md)."""
    from cryptography.hazmat import asn1
    from cryptography.x509 import OtherName, RFC822Name, SubjectAlternativeName, UniformResourceIdentifier

    names: Any = cert.extensions.get_extension_for_class(SubjectAlternativeName).value
    found: list[str] = []
    for name in names:
        match name:
            case RFC822Name() | UniformResourceIdentifier():
                found.append(name.value)
            case OtherName() if name.type_id.dotted_string == _OTHER_NAME:
                found.append(asn1.decode_der(str, name.value))
            case _:
                found.append(f"another kind of name ({type(name).__name__})")
    return found


def _fits(subject: Subject, name: str) -> bool:
    if not subject.is_pattern:
        return name == subject.text
    import re2

    return re2.fullmatch(subject.text, name) is not None


def _line(problem: Exception) -> str:
    """An error's first line, or its kind if it says nothing."""
    return next(iter(str(problem).splitlines()), "") or type(problem).__name__
