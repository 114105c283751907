"""A certificate of the registry's own, for sites without an authority: made once, then kept.

    made = self_signed(Path("/etc/bundler/tls"), ["registry.site", "10.0.0.5"])
    made.cert            …/registry.crt, which is also what clients trust: `--cert-dir`, certs.d/HOST/ca.crt, curl --cacert
    made.fingerprint     "3A:07:…", to compare by telephone; `openssl x509 -noout -fingerprint -sha256` prints the same

It can sign nothing but itself, so a client that trusts it trusts this registry and no other. The same files serve until
they near their end or the hosts change; every client must then trust the new certificate, so that is said in the log.
"""

from __future__ import annotations

import datetime as dt
import ipaddress
import logging
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from bundler.errors import BundlerError, ConfigError, disk_error, quoted
from bundler.registry.access.files import changing, read_file, write_whole

CERT_NAME = "registry.crt"
KEY_NAME = "registry-key.pem"
"""Not ``*.key``: a directory that is given as ``--cert-dir`` would be searched for that client's certificate."""
ALWAYS = ("localhost", "127.0.0.1", "::1")
LIFETIME = dt.timedelta(days=825)
RENEWAL = dt.timedelta(days=30)
"""A certificate with less left than this is replaced at the start."""

_BACKDATED = dt.timedelta(days=1)  # clocks without a network differ
_CAP = 1 << 20
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9])?")
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class SelfSigned:
    """Certificate and key as PEM files, and the certificate's SHA-256 as ``AB:CD:…``."""

    cert: Path
    key: Path
    fingerprint: str


def self_signed(directory: str | os.PathLike[str], hosts: Iterable[str]) -> SelfSigned:
    """The certificate kept in ``directory``, made if it isn't there or no longer fits: P-256, for ``hosts`` and localhost.

    ``hosts`` are DNS names and addresses as clients write them, without port. Raises :class:`ConfigError` for one that
    can't be in a certificate, and disk errors.
    """
    names = _names([*hosts, *ALWAYS])
    folder = Path(directory)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as problem:
        raise disk_error(problem, f"make {quoted(str(folder))}") from None
    cert, key = folder / CERT_NAME, folder / KEY_NAME
    with changing(folder):
        found = _kept(cert, key)
        reason = "" if found is None else _misfit(found, names)
        if found is None or reason:
            if reason:
                _log.warning("%s is replaced: %s; clients must trust the new one", quoted(str(cert)), reason)
            found = _make(cert, key, names)
    return SelfSigned(cert, key, _fingerprint(found))


def fingerprint_of(path: str | os.PathLike[str]) -> str:
    """The SHA-256 of the first certificate in a PEM file, as ``AB:CD:…``; :class:`ConfigError` if there is none."""
    return _fingerprint(_read_certificate(Path(path)))


def _fingerprint(certificate: x509.Certificate) -> str:
    return certificate.fingerprint(hashes.SHA256()).hex(":").upper()


def _names(hosts: Iterable[str]) -> list[x509.GeneralName]:
    return list(dict.fromkeys(map(_name, hosts)))


def _name(host: str) -> x509.GeneralName:
    try:
        address = ipaddress.ip_address(host.removeprefix("[").removesuffix("]"))
    except ValueError:
        return x509.DNSName(_dns(host))
    if address.is_unspecified or getattr(address, "scope_id", None):
        raise ConfigError(
            f"{quoted(host)!r}: no client can write this address",
            hint="name the addresses and host names that clients use",
        )
    return x509.IPAddress(address)


def _dns(host: str) -> str:
    name = host.lower().removesuffix(".")
    labels = name.split(".")
    if len(name) > 253 or not all(map(_LABEL.fullmatch, labels)) or labels[-1].isdigit():
        raise ConfigError(
            f"{quoted(host)!r} is not a host name or an address",
            hint="without scheme and port; names with other letters in their xn-- form",
        )
    return name


def _kept(cert: Path, key: Path) -> x509.Certificate | None:
    """The certificate that is there, if any, with its key; a damaged or unmatched pair is none, and that is said."""
    if not cert.exists() and not key.exists():
        return None
    try:
        certificate = _read_certificate(cert)
        raw, found = read_file(key, what="key", cap=_CAP)
        private = serialization.load_pem_private_key(raw, None)
    except (BundlerError, ValueError, TypeError, UnsupportedAlgorithm) as problem:
        # An own error names the file; the library's would only confuse.
        said = str(problem) if isinstance(problem, BundlerError) else f"{quoted(str(key))} is no key"
        _log.warning("a new certificate is made: %s", said)
        return None
    if not isinstance(private, ec.EllipticCurvePrivateKey) or private.public_key() != certificate.public_key():
        _log.warning("a new certificate is made: %s is not the key of %s", quoted(str(key)), quoted(str(cert)))
        return None
    if found.st_mode & 0o077:
        _log.warning("%s could be read by others; only its owner can now", quoted(str(key)))
        try:
            key.chmod(0o600)
        except OSError as problem:
            raise disk_error(problem, f"change the mode of {quoted(str(key))}") from None
    if _now() < certificate.not_valid_before_utc:
        # Kept: a machine that lost its clock must not lose the trust of clients that didn't.
        start = f"{certificate.not_valid_before_utc:%Y-%m-%d}"
        _log.warning(
            "%s is valid from %s: set the clock, or remove the file if the clock is right", quoted(str(cert)), start
        )
    return certificate


def _misfit(certificate: x509.Certificate, names: list[x509.GeneralName]) -> str:
    """Why a certificate can't serve any longer; empty if it can."""
    until = certificate.not_valid_after_utc
    if _now() > until - RENEWAL:
        return f"it is valid until {until:%Y-%m-%d} only"
    try:
        held = set(certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value)
    except (x509.ExtensionNotFound, ValueError):
        return "it names no host"
    return "" if held == set(names) else "it is for other hosts"


def _make(cert: Path, key: Path, names: list[x509.GeneralName]) -> x509.Certificate:
    private = ec.generate_private_key(ec.SECP256R1())
    certificate = _certificate(private, names)
    write_whole(
        key,
        private.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ),
        mode=0o600,
    )
    write_whole(cert, certificate.public_bytes(serialization.Encoding.PEM), mode=0o644)
    return certificate


def _certificate(private: ec.EllipticCurvePrivateKey, names: list[x509.GeneralName]) -> x509.Certificate:
    public = private.public_key()
    serial = x509.random_serial_number()
    # A name of its own: two of one name in a client's bundle would be taken for one another.
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"bundler registry {serial % 2**32:08x}")])
    start = _now().replace(microsecond=0) - _BACKDATED
    usage = x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=False,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(public)
        .serial_number(serial)
        .not_valid_before(start)
        .not_valid_after(start + LIFETIME - dt.timedelta(seconds=1))  # the last second counts
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(public), critical=False)
        .sign(private, hashes.SHA256())
    )


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


def _read_certificate(path: Path) -> x509.Certificate:
    raw, _ = read_file(path, what="certificate", cap=_CAP)
    try:
        return x509.load_pem_x509_certificate(raw)
    except (ValueError, UnsupportedAlgorithm):
        raise ConfigError(
            f"{quoted(str(path))} holds no certificate", hint="a PEM file that starts with -----BEGIN CERTIFICATE-----"
        ) from None
