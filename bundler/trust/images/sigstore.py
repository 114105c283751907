"""Signatures under a certificate ("keyless"), verified offline with sigstore-python against the site's trusted root file.

The library does what is sigstore's: the certificate chain at the time of signing, the certificate's timestamp, inclusion
in the transparency log with its checkpoint and promise, and the signature. Added here: who may have signed, and that what
was signed is this image.

    root file ──▶ verifier ──▶ chain, SCT, log entry, signature ──▶ issuer and subject ──▶ digest (and predicate type)

Taken are bundles of v0.1 to v0.3 with their inclusion proof, and what cosign 2 keeps in a layer's annotations, for which
the log's promise stands in place of the proof (:mod:`bundler.trust.images.annotated`).
"""

from __future__ import annotations

import logging
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from bundler.errors import BundlerError, ConfigError, quoted
from bundler.oci.digest import Digest
from bundler.oci.strict_json import loads
from bundler.trust.images.attestation import COSIGN_SIGN, parse_statement
from bundler.trust.images.cosign import CERTIFICATE, parse_payload
from bundler.trust.images.envelope import read_bundle
from bundler.trust.images.evidence import Evidence, Found
from bundler.trust.images.requirement import Sigstore, Subject

if TYPE_CHECKING:
    from cryptography.x509 import Certificate
    from sigstore.models import Bundle
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


def check(requirement: Sigstore, digest: Digest, manifest: bytes, image: str, evidence: Evidence) -> Found:
    """What one attached content is worth to a requirement for a certificate's signature of ``image``, its full name.

    ``manifest`` is the bytes that hash to ``digest``. Raises only for a bad trusted root.
    """
    verifier = verifier_of(requirement.trusted_root)
    if evidence.kind == "attestation" and not requirement.predicate_type:
        return evidence.found()
    certificate = _Certificate(requirement)
    try:
        opened = _opened(evidence)
        if opened is None:
            return evidence.found(problem="is signed by a key, not under a certificate")
        bundle, enveloped = opened
        if enveloped:
            signed = verifier.verify_dsse(bundle, certificate)
        else:
            signed = None
            verifier.verify_artifact(evidence.content if evidence.kind == "cosign" else manifest, bundle, certificate)
    except BundlerError as error:
        return evidence.found(problem=str(error))
    except Exception as error:  # noqa: BLE001  # a stranger's certificate can break the library in many ways
        _log.debug("sigstore signature %s refused", evidence.digest, exc_info=True)
        return evidence.found(problem=f"sigstore: {quoted(_line(error), 300)}")
    found = evidence.found(by=(quoted(certificate.name),))
    if requirement.predicate_type and signed is None:
        return found.spoilt("is a signature, not an attestation")
    try:
        if signed is not None:
            return _of_statement(requirement, digest, image, signed, found)
        return _of_payload(requirement, digest, image, evidence, found)
    except BundlerError as error:
        return found.spoilt(str(error))


def _opened(evidence: Evidence) -> tuple[Bundle, bool] | None:
    """The library's bundle, and whether it is around an envelope; None for one that is signed by a key."""
    if evidence.kind == "bundle":
        from sigstore.models import Bundle

        said = read_bundle(evidence.content)
        return (Bundle.from_json(evidence.content), said.envelope is not None) if said.certified else None
    from bundler.trust.images.annotated import read_annotated

    return (read_annotated(evidence), evidence.kind == "attestation") if evidence.annotations.get(CERTIFICATE) else None


def _of_statement(requirement: Sigstore, digest: Digest, image: str, signed: tuple[str, bytes], found: Found) -> Found:
    """What a verified envelope is worth. A statement that the image was signed gives it no name."""
    about = parse_statement(*signed)
    problem = about.problem(digest, requirement.predicate_type or COSIGN_SIGN)
    if not problem and not requirement.predicate_type:
        problem = requirement.identity.problem("", image)
    return replace(found, verified=not problem, predicate_type=quoted(about.predicate_type), problem=problem)


def _of_payload(requirement: Sigstore, digest: Digest, image: str, evidence: Evidence, found: Found) -> Found:
    """What a verified signature is worth: of cosign's payload, or of the manifest itself, which gives the image no name."""
    reference = ""
    if evidence.kind == "cosign":
        parsed = parse_payload(evidence.content)
        reference, found = parsed.reference, replace(found, name=quoted(parsed.reference))
        if parsed.digest != digest:
            return found.spoilt(f"cosign signature: is about another image, {parsed.digest}")
    problem = requirement.identity.problem(reference, image)
    return replace(found, verified=not problem, problem=problem)


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
