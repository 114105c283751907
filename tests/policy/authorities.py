"""Certificate authorities and a transparency log of a test's own, and the layers of a ``.sig`` that are signed with them.

    root = Authority.root()
    issuing = root.below("issuing")
    signer = issuing.issue("me@site.example")           # as Fulcio does: for minutes, with the OIDC issuer
    log = Log()
    signed(PAYLOAD, signer, log=log, chain=[issuing, root])      # an Attachment, as cosign attaches it

Everything is valid unless it is asked for otherwise.
"""

from __future__ import annotations

import base64
import hashlib
import ipaddress
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from bundler.policy.blobs import MEDIA_TYPE, Attachment
from bundler.trust.images.cosign import CERTIFICATE, CHAIN, LOG_ENTRY, SIGNATURE

LOGGED = datetime(2024, 6, 1, 12, tzinfo=UTC)
"""When logs list signatures, and certificates of Fulcio's kind are valid."""
ISSUER = "https://login.site.example"
EMAIL = "me@site.example"
V1, V2 = x509.ObjectIdentifier("1.3.6.1.4.1.57264.1.1"), x509.ObjectIdentifier("1.3.6.1.4.1.57264.1.8")
CODE_SIGNING, SERVER, ANY = (
    ExtendedKeyUsageOID.CODE_SIGNING,
    ExtendedKeyUsageOID.SERVER_AUTH,
    ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE,
)
Key = Any
Extension = tuple[x509.ExtensionType, bool]


def key(name: str, kind: str = "p256") -> Key:
    """The private key of that name, the same all through a test run."""
    return _key(name, kind)


@cache
def _key(name: str, kind: str) -> Key:
    curves = {"p256": ec.SECP256R1(), "p384": ec.SECP384R1(), "p521": ec.SECP521R1(), "secp256k1": ec.SECP256K1()}
    if kind in curves:
        return ec.generate_private_key(curves[kind])
    if kind == "ed25519":
        return ed25519.Ed25519PrivateKey.generate()
    return rsa.generate_private_key(65537, int(kind.removeprefix("rsa")))


def public(private: Key) -> bytes:
    """PEM."""
    raw: bytes = private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return raw


def sign(private: Key, message: bytes) -> bytes:
    """As cosign does, whatever the key: over SHA-256."""
    found: bytes
    match private:
        case ec.EllipticCurvePrivateKey():
            found = private.sign(message, ec.ECDSA(hashes.SHA256()))
        case rsa.RSAPrivateKey():
            found = private.sign(message, padding.PKCS1v15(), hashes.SHA256())
        case _:
            found = private.sign(message)
    return found


def b64(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def usage(*allowed: str) -> Extension:
    """A critical key usage."""
    names = ("digital_signature", "key_cert_sign", "crl_sign", "content_commitment", "key_encipherment")
    names += ("data_encipherment", "key_agreement", "encipher_only", "decipher_only")
    return x509.KeyUsage(**{name: name in allowed for name in names}), True


def utf8(text: str) -> bytes:
    """DER."""
    raw = text.encode()
    return b"\x0c" + (bytes([len(raw)]) if len(raw) < 128 else b"\x81" + bytes([len(raw)])) + raw


def subject(name: str) -> x509.GeneralName:
    """What kind of name it looks like."""
    if "://" in name:
        return x509.UniformResourceIdentifier(name)
    if "@" in name:
        return x509.RFC822Name(name)
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def certificate(
    name: str,
    issuer: str,
    public_key: Key,
    signer: Key,
    extensions: Sequence[Extension],
    valid: tuple[datetime, datetime],
) -> x509.Certificate:
    """Any certificate; an empty ``name`` is none."""
    named = [[x509.NameAttribute(NameOID.COMMON_NAME, each)] if each else [] for each in (name, issuer)]
    builder = x509.CertificateBuilder(
        x509.Name(named[1]), x509.Name(named[0]), public_key, x509.random_serial_number(), *valid
    )
    for value, critical in extensions:
        builder = builder.add_extension(value, critical)
    hashed = None if isinstance(signer, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    return builder.sign(signer, hashed)


@dataclass(frozen=True)
class Signer:
    """A key and its certificate."""

    key: Key
    certificate: x509.Certificate

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(Encoding.PEM)


@dataclass(frozen=True)
class Authority(Signer):
    """Also issues certificates."""

    name: str = "root"

    @classmethod
    def root(cls, name: str = "root", *, kind: str = "p256", **changes: Any) -> Authority:
        own = key(f"authority {name}", kind)
        return cls(own, _authority(name, name, own.public_key(), own, **changes), name)

    def below(self, name: str, **changes: Any) -> Authority:
        own = key(f"authority {name}")
        return Authority(own, _authority(name, self.name, own.public_key(), self.key, **changes), name)

    def issue(
        self,
        *subjects: str,
        kind: str = "p256",
        who: str = "signer",
        issuers: dict[x509.ObjectIdentifier, bytes] | None = None,
        uses: Sequence[x509.ObjectIdentifier] = (CODE_SIGNING,),
        more: Sequence[Extension] = (),
        at: datetime = LOGGED,
        life: timedelta = timedelta(minutes=10),
        common_name: str = "",
    ) -> Signer:
        """A certificate around the moment ``at``; ``issuers`` are what it says of the OIDC issuer, in both forms if not given."""
        own = key(who, kind)
        if issuers is None:
            issuers = {V1: ISSUER.encode(), V2: utf8(ISSUER)}
        extensions: list[Extension] = [usage("digital_signature")]
        extensions += [(x509.UnrecognizedExtension(*each), False) for each in issuers.items()]
        if uses:
            extensions.append((x509.ExtendedKeyUsage(uses), False))
        if subjects:
            extensions.append((x509.SubjectAlternativeName([subject(each) for each in subjects]), not common_name))
        valid = (at - life / 2, at + life / 2)
        return Signer(own, certificate(common_name, self.name, own.public_key(), self.key, [*extensions, *more], valid))


def _authority(
    name: str,
    issuer: str,
    public_key: Key,
    signer: Key,
    *,
    constraints: x509.BasicConstraints | None = x509.BasicConstraints(ca=True, path_length=None),  # noqa: B008
    use: Sequence[str] = ("key_cert_sign", "crl_sign"),
    more: Sequence[Extension] = (),
    start: datetime = LOGGED - timedelta(days=365),
    end: datetime = LOGGED + timedelta(days=36500),
) -> x509.Certificate:
    extensions: list[Extension] = [] if constraints is None else [(constraints, True)]
    if use:
        extensions.append(usage(*use))
    return certificate(name, issuer, public_key, signer, [*extensions, *more], (start, end))


Change = Callable[[Any], object]


def _same(document: Any) -> None:
    pass


@dataclass(frozen=True)
class Log:
    """A Rekor log."""

    name: str = "log"
    kind: str = "p256"

    @property
    def key(self) -> Key:
        return key(f"log {self.name}", self.kind)

    @property
    def public(self) -> bytes:
        return public(self.key)

    def entry(
        self,
        payload: bytes,
        signature: bytes,
        signer: bytes,
        *,
        at: datetime | int = LOGGED,
        body: Change = _same,
        promised: Change = _same,
        told: Change = _same,
        promise: Callable[[bytes], bytes] = lambda raw: raw,
    ) -> str:
        """The annotation, for what was signed with ``signer`` (PEM).

        ``body`` and ``promised`` change what the log signs, ``told`` what it says with that, ``promise`` its signature.
        """
        record = {
            "apiVersion": "0.0.1",
            "kind": "hashedrekord",
            "spec": {
                "data": {"hash": {"algorithm": "sha256", "value": hashlib.sha256(payload).hexdigest()}},
                "signature": {"content": b64(signature), "publicKey": {"content": b64(signer)}},
            },
        }
        raw = body(record)
        content = raw if isinstance(raw, bytes) else json.dumps(record).encode()
        entry: dict[str, Any] = {
            "body": b64(content),
            "integratedTime": int(at.timestamp()) if isinstance(at, datetime) else at,
            "logIndex": 7,
            "logID": "c0d23d6ad406973f9559f3ba2d1ca01f84147d8ffc5b8445c224f98b9591801d",
        }
        promised(entry)
        canonical = json.dumps(entry, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
        said = {"SignedEntryTimestamp": b64(promise(sign(self.key, canonical))), "Payload": entry}
        text = told(said)
        return text if isinstance(text, str) else json.dumps(said)


def signed(
    payload: bytes,
    signer: Signer | Key,
    *,
    log: Log | None = None,
    chain: Sequence[Signer] | str | None = None,
    over: bytes | None = None,
    forged: Callable[[bytes], bytes] = lambda raw: raw,
    listed: Any = None,
    listed_payload: bytes | None = None,
    listed_signature: bytes | None = None,
    annotations: dict[str, str | None] | None = None,
    **entry: Any,
) -> Attachment:
    """A layer, signed ``over`` something else if that is given.

    The ``listed`` things are what the log takes for signer, payload and signature, and the ``entry`` is changed as
    :meth:`Log.entry` says; ``annotations`` replace those that would be there.
    """
    certified = isinstance(signer, Signer)
    value = forged(sign(signer.key if certified else signer, payload if over is None else over))
    found: dict[str, str | None] = {SIGNATURE: b64(value)}
    if certified:
        found[CERTIFICATE] = signer.pem.decode()
    if chain is not None:
        found[CHAIN] = chain if isinstance(chain, str) else "".join(each.pem.decode() for each in chain)
    if log is not None:
        found[LOG_ENTRY] = log.entry(
            payload if listed_payload is None else listed_payload,
            value if listed_signature is None else listed_signature,
            _pem(signer if listed is None else listed),
            **entry,
        )
    found.update(annotations or {})
    return Attachment(MEDIA_TYPE, payload, {name: text for name, text in found.items() if text is not None})


def _pem(signer: Signer | Key) -> bytes:
    return signer.pem if isinstance(signer, Signer) else public(signer)


@dataclass(frozen=True)
class Case:
    """A requirement and a signature; ``said`` is in the reason against it, which is empty if it is accepted.

    ``elsewhere`` is what other programs do of which it is known that they are more lenient or more strict.
    """

    rule: dict[str, Any] = field(repr=False)
    blob: bytes = field(repr=False)
    said: str = ""
    elsewhere: bool | None = None

    @property
    def accepted_elsewhere(self) -> bool:
        return self.said == "" if self.elsewhere is None else self.elsewhere
