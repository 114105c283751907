"""Certificates that vouch for who signed an image: of Fulcio, for minutes and logged, or of a site's own authority.

    root that the policy names ──▶ its intermediates, and those that came with the signature ──▶ the signer's certificate

Every certificate must be valid at the given time, the root too. Authorities must be allowed to sign certificates, and
whoever says at all what keys are for must say code signing. Names that an authority may not give are refused.

Of the chain that came along, the last one is passed over: it is what the signer holds for the root. How many there may be
is bounded, because paths are tried one after the other.

Specification: containers-policy.json(5); RFC 5280, 6.1; Fulcio, oid-info.md.
"""

from __future__ import annotations

import ipaddress
import logging
import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.utils import CryptographyDeprecationWarning
from cryptography.x509 import verification
from cryptography.x509.oid import ExtendedKeyUsageOID

from bundler.errors import ConfigError, SignatureError, quoted
from bundler.policy.signer_keys import SignerKey, signer_key_of
from bundler.trust.pem import read_block

MAX_CHAIN = 4
"""Intermediate certificates that may come with a signature, and that may stand between a root and a signer."""
MAX_AUTHORITIES = 1000
_CHAIN_CAP = 64 << 10
_ISSUER = x509.ObjectIdentifier("1.3.6.1.4.1.57264.1.1")
_ISSUER_V2 = x509.ObjectIdentifier("1.3.6.1.4.1.57264.1.8")
_WHAT = "certificate"
_USES = frozenset({ExtendedKeyUsageOID.CODE_SIGNING, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE})
_log = logging.getLogger(__name__)
# What the library will refuse one day, as a serial number below 1, is refused, and no warning printed of it.
warnings.filterwarnings("error", category=CryptographyDeprecationWarning, module=re.escape(__name__))


@dataclass(frozen=True, slots=True)
class Certified:
    """What came with a signature: the signer's certificate in its one encoding, and what may stand above it."""

    der: bytes = field(repr=False)
    _leaf: x509.Certificate = field(repr=False)
    _above: Sequence[x509.Certificate] = field(repr=False)

    def key(self, authorities: Authorities, at: datetime, *, hostname: str = "") -> SignerKey:
        """The signer's key, if one of the authorities vouches for it: with ``hostname``, as that one's.

        Raises :class:`SignatureError`, and :class:`ConfigError` for a ``hostname`` that is none.
        """
        try:
            _verify(authorities, self._leaf, self._above, at, hostname)
            der = self._leaf.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        except (ConfigError, SignatureError):
            raise
        except Exception as problem:  # noqa: BLE001  # a stranger's certificate can break the library in many ways
            raise _unreadable(problem) from None
        try:
            return signer_key_of(der, what=f"{_WHAT}'s key")
        except ConfigError as problem:
            raise SignatureError(str(problem)) from None

    def check_fulcio(self, issuer: str, email: str) -> None:
        """Raise :class:`SignatureError` unless ``email`` is its one subject, as ``issuer`` knows it."""
        try:
            said = {
                each.oid: each.value.value
                for each in self._leaf.extensions
                if isinstance(each.value, x509.UnrecognizedExtension) and each.oid in (_ISSUER, _ISSUER_V2)
            }
            names = _names(self._leaf)
        except Exception as problem:  # noqa: BLE001  # as above
            raise _unreadable(problem) from None
        if not said:
            raise SignatureError(f"{_WHAT}: does not say who knows its subject: it is none of Fulcio's")
        text = issuer.encode()
        for oid, value in said.items():
            if value != (text if oid == _ISSUER else _utf8_string(text)):
                raise SignatureError(
                    f"{_WHAT}: is of a subject whom {quoted(value.decode('utf-8', 'replace'))!r} knows, not {quoted(issuer)}"
                )
        if len(names) != 1:
            raise SignatureError(f"{_WHAT}: has {len(names)} subjects, where Fulcio names one")
        if not isinstance(names[0], x509.RFC822Name) or names[0].value != email:
            raise SignatureError(f"{_WHAT}: is of {quoted(str(names[0].value))!r}, not of {quoted(email)}")

    def check_email(self, email: str) -> None:
        """Raise :class:`SignatureError` unless ``email`` is one of its subjects."""
        try:
            emails = [each.value for each in _names(self._leaf) if isinstance(each, x509.RFC822Name)]
        except Exception as problem:  # noqa: BLE001  # as above
            raise _unreadable(problem) from None
        if email not in emails:
            told = ", ".join(quoted(each) for each in emails[:5]) or "nobody with an e-mail address"
            raise SignatureError(f"{_WHAT}: is of {told}, not of {quoted(email)}")


@dataclass(frozen=True, slots=True)
class Authorities:
    """Whom a policy trusts to issue certificates; ``intermediates`` are known, and not trusted by themselves."""

    roots: Sequence[x509.Certificate] = field(repr=False)
    intermediates: Sequence[x509.Certificate] = field(default=(), repr=False)


def read_certified(certificate: bytes, chain: bytes | None) -> Certified:
    """A certificate and its chain, both PEM, as the annotations have them. Raises :class:`SignatureError`."""
    try:
        label, der = read_block(certificate, what=_WHAT)
    except ConfigError as problem:
        raise SignatureError(str(problem)) from None
    if label != "CERTIFICATE":
        raise SignatureError(f"{_WHAT}: is a {quoted(label)!r}")
    if chain is not None and len(chain) > _CHAIN_CAP:
        raise SignatureError(f"{_WHAT}: its chain is more than {_CHAIN_CAP} bytes")
    try:
        leaf = x509.load_der_x509_certificate(der)
        above = x509.load_pem_x509_certificates(chain)[:-1] if chain else []
    except Exception as problem:  # noqa: BLE001  # as above
        raise _unreadable(problem) from None
    if len(above) > MAX_CHAIN:
        raise SignatureError(f"{_WHAT}: its chain has more than {MAX_CHAIN} certificates below the root")
    return Certified(der, leaf, above)


def read_authorities(raw: bytes, *, what: str) -> list[x509.Certificate]:
    """The certificates of a file, PEM. Raises :class:`ConfigError`."""
    try:
        found = x509.load_pem_x509_certificates(raw)
    except (ValueError, CryptographyDeprecationWarning) as problem:
        raise ConfigError(
            f"{what}: is not a list of certificates in PEM: {quoted(str(problem))}",
            hint="see `openssl x509 -noout -text -in FILE`",
        ) from None
    if len(found) > MAX_AUTHORITIES:
        raise ConfigError(f"{what}: holds more than the {MAX_AUTHORITIES} certificates allowed")
    return found


def _verify(
    authorities: Authorities, leaf: x509.Certificate, above: Sequence[x509.Certificate], at: datetime, hostname: str
) -> None:
    known = [*authorities.intermediates, *above]
    anyhow = verification.Criticality.AGNOSTIC
    plain = verification.ExtensionPolicy.permit_all().may_be_present(x509.ExtendedKeyUsage, anyhow, _signs_code)
    authority = plain.require_present(x509.BasicConstraints, anyhow, None).may_be_present(
        x509.KeyUsage, anyhow, _signs_certificates
    )
    signer = plain.require_present(x509.SubjectAlternativeName, anyhow, None)
    builder = (
        verification.PolicyBuilder()
        .store(verification.Store(list(authorities.roots)))
        .time(at)
        .max_chain_depth(MAX_CHAIN)
        .extension_policies(ca_policy=authority, ee_policy=signer)
    )
    try:
        verifier = builder.build_server_verifier(_host(hostname)) if hostname else builder.build_client_verifier()
    except ValueError:
        raise ConfigError(f"subjectHostname: {quoted(hostname)!r} is not the name of a host") from None
    try:
        verifier.verify(leaf, known)
    except verification.VerificationError as problem:
        _log.debug("certificate refused", exc_info=True)
        raise SignatureError(
            f"{_WHAT}: no authority that the policy names vouches for it"
            f"{f' as {quoted(hostname)}' if hostname else ''} at {at:%Y-%m-%dT%H:%M:%SZ}: {quoted(_why(problem), 300)}"
        ) from None


def _host(hostname: str) -> verification.Subject:
    try:
        return x509.IPAddress(ipaddress.ip_address(hostname.removeprefix("[").removesuffix("]")))
    except ValueError:
        return x509.DNSName(hostname)


def _signs_code(
    policy: verification.Policy,  # noqa: ARG001  # the library's order
    certificate: x509.Certificate,  # noqa: ARG001
    usage: x509.ExtendedKeyUsage | None,
) -> None:
    if usage is not None and not _USES.intersection(usage):
        raise ValueError("its extended key usage is not code signing")


def _signs_certificates(
    policy: verification.Policy,  # noqa: ARG001
    certificate: x509.Certificate,  # noqa: ARG001
    usage: x509.KeyUsage | None,
) -> None:
    if usage is not None and not usage.key_cert_sign:
        raise ValueError("its key usage is not to sign certificates")


def _names(certificate: x509.Certificate) -> list[x509.GeneralName]:
    return list(certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value)


def _utf8_string(text: bytes) -> bytes:
    """A UTF8String in DER, which has but one form (X.690, 10.1): compared with, so that nothing has to be parsed."""
    length = len(text).to_bytes(4, "big").lstrip(b"\0")
    return b"\x0c" + (bytes([len(text)]) if len(text) < 0x80 else bytes([0x80 | len(length)]) + length) + text


def _why(problem: Exception) -> str:
    return str(problem).partition(" (encountered processing")[0].removeprefix("validation failed: ")


def _unreadable(problem: Exception) -> SignatureError:
    return SignatureError(f"{_WHAT}: can't be read: {quoted(str(problem) or type(problem).__name__, 300)}")
