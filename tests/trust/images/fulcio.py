"""A sigstore of one's own, in memory: a certificate authority, a certificate log and a transparency log of two entries.

    site = Fulcio()
    site.trusted_root                                           # the bytes of a trusted_root.json
    site.bundle(statement(DIGEST), "me@site")                   # a v0.3 bundle around a statement, as JSON values
    site.bundle(MANIFEST, "me@site", enveloped=False)           # the same with a signature over the manifest
    site.annotated(payload(DIGEST), "me@site")                  # a .sig's layer: its annotations, as cosign 2 writes them

Everything that sigstore-python wants is there and right: chain, embedded SCT, log entry with inclusion proof, signed
checkpoint and promise. Two sites trust nothing of each other.
"""

from __future__ import annotations

import base64
import hashlib
import json
import struct
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from bundler.trust.dsse import pae
from tests.trust.images.material import BUNDLE_TYPE, IN_TOTO, b64

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
ISSUER = "https://login.site.example"
_SCT_LIST = x509.ObjectIdentifier("1.3.6.1.4.1.11129.2.4.2")
_ISSUER_V1 = x509.ObjectIdentifier("1.3.6.1.4.1.57264.1.1")
_ISSUER_V2 = x509.ObjectIdentifier("1.3.6.1.4.1.57264.1.8")


def _spki(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _key_id(key: ec.EllipticCurvePrivateKey) -> bytes:
    return hashlib.sha256(_spki(key)).digest()


def _signed(key: ec.EllipticCurvePrivateKey, message: bytes) -> bytes:
    return key.sign(message, ec.ECDSA(hashes.SHA256()))


def _der(tag: int, content: bytes) -> bytes:
    assert len(content) < 1 << 16
    if len(content) < 0x80:
        return bytes([tag, len(content)]) + content
    return bytes([tag, 0x82]) + struct.pack(">H", len(content)) + content


class Fulcio:
    """One site; ``integrated`` is when its entries were logged."""

    def __init__(self, integrated: datetime = NOW) -> None:
        self.integrated = integrated
        self.ca, self.ct, self.rekor = (ec.generate_private_key(ec.SECP256R1()) for _ in range(3))
        self.name = x509.Name(
            [x509.NameAttribute(NameOID.ORGANIZATION_NAME, "site"), x509.NameAttribute(NameOID.COMMON_NAME, "site ca")]
        )
        ski = x509.SubjectKeyIdentifier.from_public_key(self.ca.public_key())
        self.root = (
            x509.CertificateBuilder(self.name, self.name, self.ca.public_key(), 1)
            .not_valid_before(NOW - timedelta(days=365))
            .not_valid_after(NOW + timedelta(days=3650))
            .add_extension(x509.BasicConstraints(ca=True, path_length=1), critical=True)
            .add_extension(_usage(certificates=True), critical=True)
            .add_extension(ski, critical=False)
            .sign(self.ca, hashes.SHA256())
        )

    @property
    def trusted_root(self) -> bytes:
        """What a site's ``trusted_root.json`` holds."""

        def log(key: ec.EllipticCurvePrivateKey, url: str) -> dict[str, Any]:
            return {
                "baseUrl": url,
                "hashAlgorithm": "SHA2_256",
                "publicKey": {
                    "rawBytes": b64(_spki(key)),
                    "keyDetails": "PKIX_ECDSA_P256_SHA_256",
                    "validFor": {"start": "2020-01-01T00:00:00Z"},
                },
                "logId": {"keyId": b64(_key_id(key))},
            }

        return json.dumps(
            {
                "mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
                "tlogs": [log(self.rekor, "https://rekor.site.example")],
                "certificateAuthorities": [
                    {
                        "subject": {"organization": "site", "commonName": "site ca"},
                        "uri": "https://fulcio.site.example",
                        "certChain": {"certificates": [{"rawBytes": b64(self.root.public_bytes(Encoding.DER))}]},
                        "validFor": {"start": "2020-01-01T00:00:00Z"},
                    }
                ],
                "ctlogs": [log(self.ct, "https://ct.site.example")],
                "timestampAuthorities": [],
            }
        ).encode()

    def certificate(
        self, key: ec.EllipticCurvePrivateKey, *subjects: str, issuer: str = ISSUER, sct: bool = True
    ) -> x509.Certificate:
        """A certificate for ten minutes, with its timestamp from the certificate log."""
        names = [x509.RFC822Name(s) if "@" in s else x509.UniformResourceIdentifier(s) for s in subjects]
        authority = x509.AuthorityKeyIdentifier.from_issuer_public_key(self.ca.public_key())
        builder = (
            x509.CertificateBuilder(self.name, x509.Name([]), key.public_key(), 2)
            .not_valid_before(NOW - timedelta(minutes=5))
            .not_valid_after(NOW + timedelta(minutes=5))
            .add_extension(_usage(certificates=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CODE_SIGNING]), critical=False)
            .add_extension(authority, critical=False)
            .add_extension(x509.SubjectAlternativeName(names), critical=True)
            .add_extension(x509.UnrecognizedExtension(_ISSUER_V1, issuer.encode()), critical=False)
            .add_extension(x509.UnrecognizedExtension(_ISSUER_V2, _der(0x0C, issuer.encode())), critical=False)
        )
        if not sct:
            return builder.sign(self.ca, hashes.SHA256())

        def with_sct(signature: bytes) -> x509.Certificate:
            extension = x509.UnrecognizedExtension(_SCT_LIST, self._sct_list(signature))
            return builder.add_extension(extension, critical=False).sign(self.ca, hashes.SHA256())

        return with_sct(_signed(self.ct, self._sct_message(with_sct(b"").tbs_precertificate_bytes)))

    def _sct_message(self, tbs: bytes) -> bytes:
        """RFC 6962, 3.2: what the certificate log signs about a precertificate."""
        entry = _key_id(self.ca) + len(tbs).to_bytes(3, "big") + tbs
        return struct.pack(">BBQH", 0, 0, self._millis, 1) + entry + b"\0\0"

    def _sct_list(self, signature: bytes) -> bytes:
        sct = b"\0" + _key_id(self.ct) + struct.pack(">QH", self._millis, 0) + b"\x04\x03"
        sct += struct.pack(">H", len(signature)) + signature
        listed = struct.pack(">H", len(sct)) + sct
        return _der(0x04, struct.pack(">H", len(listed)) + listed)

    @property
    def _millis(self) -> int:
        return int(NOW.timestamp() * 1000)

    def bundle(
        self,
        content: bytes,
        *subjects: str,
        enveloped: bool = True,
        payload_type: str = IN_TOTO,
        issuer: str = ISSUER,
        sct: bool = True,
    ) -> dict[str, Any]:
        """A bundle around ``content``: in an envelope, or as what a bare signature is over."""
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = self.certificate(key, *subjects, issuer=issuer, sct=sct)
        pem = b64(certificate.public_bytes(Encoding.PEM))
        signature = _signed(key, pae(payload_type, content) if enveloped else content)
        hashed = {"algorithm": "sha256", "value": hashlib.sha256(content).hexdigest()}
        if enveloped:
            kind = "dsse"
            spec: dict[str, Any] = {
                "envelopeHash": hashed,
                "payloadHash": hashed,
                "signatures": [{"signature": b64(signature), "verifier": pem}],
            }
            signed: dict[str, Any] = {
                "dsseEnvelope": {
                    "payload": b64(content),
                    "payloadType": payload_type,
                    "signatures": [{"sig": b64(signature)}],
                }
            }
        else:
            kind = "hashedrekord"
            spec = {"data": {"hash": hashed}, "signature": {"content": b64(signature), "publicKey": {"content": pem}}}
            digest = base64.b64encode(hashlib.sha256(content).digest()).decode()
            signed = {
                "messageSignature": {
                    "messageDigest": {"algorithm": "SHA2_256", "digest": digest},
                    "signature": b64(signature),
                }
            }
        body = json.dumps(
            {"apiVersion": "0.0.1", "kind": kind, "spec": spec}, sort_keys=True, separators=(",", ":")
        ).encode()
        return {
            "mediaType": BUNDLE_TYPE,
            "verificationMaterial": {
                "certificate": {"rawBytes": b64(certificate.public_bytes(Encoding.DER))},
                "tlogEntries": [self.entry(kind, body)],
            },
            **signed,
        }

    def annotated(self, content: bytes, *subjects: str, enveloped: bool = False, **more: Any) -> dict[str, str]:
        """The annotations of a layer in a .sig; of one in a .att, with the ``envelope`` that is its content."""
        document = self.bundle(content, *subjects, enveloped=enveloped, **more)
        certificate = x509.load_der_x509_certificate(
            base64.b64decode(document["verificationMaterial"]["certificate"]["rawBytes"])
        )
        (entry,) = document["verificationMaterial"]["tlogEntries"]
        said = {
            "SignedEntryTimestamp": entry["inclusionPromise"]["signedEntryTimestamp"],
            "Payload": {
                "body": entry["canonicalizedBody"],
                "integratedTime": int(entry["integratedTime"]),
                "logIndex": int(entry["logIndex"]),
                "logID": base64.b64decode(entry["logId"]["keyId"]).hex(),
            },
        }
        found = {
            "dev.cosignproject.cosign/signature": "" if enveloped else document["messageSignature"]["signature"],
            "dev.sigstore.cosign/certificate": certificate.public_bytes(Encoding.PEM).decode(),
            "dev.sigstore.cosign/chain": self.root.public_bytes(Encoding.PEM).decode(),
            "dev.sigstore.cosign/bundle": json.dumps(said),
        }
        return {**found, "envelope": json.dumps(document["dsseEnvelope"])} if enveloped else found

    def entry(self, kind: str, body: bytes) -> dict[str, Any]:
        """The second entry of a log of size 2 (RFC 6962, 2.1): Go's encoder leaves out an index of 0."""
        first, leaf = (hashlib.sha256(b"\0" + content).digest() for content in (b"the first", body))
        root = hashlib.sha256(b"\1" + first + leaf).digest()
        note = f"rekor.site.example - 1\n2\n{b64(root)}\n"
        mark = b64(_key_id(self.rekor)[:4] + _signed(self.rekor, note.encode()))
        when = int(self.integrated.timestamp())
        promise = json.dumps(
            {"body": b64(body), "integratedTime": when, "logID": _key_id(self.rekor).hex(), "logIndex": 1},
            sort_keys=True,
            separators=(",", ":"),
        )
        return {
            "logIndex": "1",
            "logId": {"keyId": b64(_key_id(self.rekor))},
            "kindVersion": {"kind": kind, "version": "0.0.1"},
            "integratedTime": str(when),
            "inclusionPromise": {"signedEntryTimestamp": b64(_signed(self.rekor, promise.encode()))},
            "inclusionProof": {
                "logIndex": "1",
                "rootHash": b64(root),
                "treeSize": "2",
                "hashes": [b64(first)],
                "checkpoint": {"envelope": f"{note}\n\u2014 rekor.site.example {mark}\n"},
            },
            "canonicalizedBody": b64(body),
        }


def _usage(*, certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=certificates,
        crl_sign=certificates,
        encipher_only=False,
        decipher_only=False,
    )
