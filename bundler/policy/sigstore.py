"""Whether a sigstore signature fulfils a ``sigstoreSigned``, and what it vouches for.

1. Everything that the requirement names is read: a key that is broken must be mended, and not only when it is needed.
2. Who may have signed: by key, any of the policy's, or if a log must list the signature, the one that the log names;
   by Fulcio, the key in a certificate that was valid when the log listed the signature;
   by another PKI, the key in a certificate that is valid now.
3. One of these keys signed the payload, whose claim is told.

    layer: payload      annotations: dev.cosignproject.cosign/signature    BASE64
                                     dev.sigstore.cosign/certificate       PEM
                                     dev.sigstore.cosign/chain             PEM, the root last
                                     dev.sigstore.cosign/bundle            what a log says, see rekor

The timestamp of the log that certificates are published in (SCT) is not asked for: Rekor's entry has the certificate.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bundler.errors import SignatureError
from bundler.oci.digest import Digest
from bundler.oci.strict_json import Fields, loads
from bundler.policy.blobs import Attachment, read_attachment, signature_of
from bundler.policy.certificates import Authorities, Certified, read_authorities, read_certified
from bundler.policy.material import Keyring, Material
from bundler.policy.rekor import Entry, read_entry
from bundler.policy.requirements import Fulcio, Pki, SigstoreSigned
from bundler.policy.signer_keys import SignerKey, read_log_key, read_signer_key
from bundler.trust.images import cosign

if TYPE_CHECKING:
    from cryptography.x509 import Certificate


@dataclass(frozen=True, slots=True)
class _Signed:
    """What is to be verified."""

    attachment: Attachment
    signature: bytes

    def entry(self, logs: Sequence[SignerKey]) -> Entry:
        """What one of ``logs`` says of the signature."""
        found = read_entry(self._annotation(cosign.LOG_ENTRY), logs)
        found.check(self.attachment.payload, self.signature)
        return found

    def certified(self) -> Certified:
        """The signer's certificate."""
        chain = self._annotation(cosign.CHAIN) if cosign.CHAIN in self.attachment.annotations else None
        return read_certified(self._annotation(cosign.CERTIFICATE), chain)

    def _annotation(self, name: str) -> bytes:
        if name not in self.attachment.annotations:
            raise SignatureError(f"lacks the annotation {name}")
        return self.attachment.annotations[name].encode()


Signers = Callable[[_Signed], Sequence[SignerKey]]


def verified(requirement: SigstoreSigned, keyring: Keyring, blob: bytes) -> tuple[Digest, str]:
    """The digest and the name that a stored signature vouches for.

    Raises :class:`SignatureError` for what is wrong with it, :class:`ConfigError` for what is with the policy's files,
    and :class:`LimitError`.
    """
    signers = _signers(requirement, keyring)  # step 1
    attachment = read_attachment(blob)
    signed = _Signed(attachment, signature_of(attachment))
    problem = SignatureError("there is no key to verify with")
    for key in signers(signed):  # step 2
        try:
            key.verify(attachment.payload, signed.signature)  # step 3
        except SignatureError as found:
            problem = found
        else:
            claim = cosign.parse_payload(attachment.payload)
            _check_optional(attachment.payload)
            return claim.digest, claim.reference
    raise problem


def _signers(requirement: SigstoreSigned, keyring: Keyring) -> Signers:
    rekor = requirement.rekor
    logs = [read_log_key(raw, what=f"Rekor key {name}") for name, raw in rekor.read(keyring)] if rekor else None
    match requirement.signers:
        case Material() as keys:
            trusted = [read_signer_key(raw, what=f"key {name}") for name, raw in keys.read(keyring)]
            return lambda signed: trusted if logs is None else _listed(trusted, signed.entry(logs))
        case Fulcio() as fulcio:
            authorities = Authorities(_certificates(fulcio.ca, keyring))
            return lambda signed: _by_fulcio(fulcio, authorities, signed.certified(), signed.entry(logs or ()))
        case Pki() as pki:
            known = Authorities(_certificates(pki.roots, keyring), _certificates(pki.intermediates, keyring))
            return lambda signed: _by_pki(pki, known, signed.certified(), keyring)


def _certificates(material: Material, keyring: Keyring) -> list[Certificate]:
    return [each for name, raw in material.read(keyring) for each in read_authorities(raw, what=f"CA {name}")]


def _listed(trusted: Sequence[SignerKey], entry: Entry) -> list[SignerKey]:
    found = [key for key in trusted if key.spki == entry.signer]
    if not found:
        raise SignatureError("log entry: is of a key that the policy does not name")
    return found


def _by_fulcio(fulcio: Fulcio, authorities: Authorities, certified: Certified, entry: Entry) -> list[SignerKey]:
    if entry.signer != certified.der:
        raise SignatureError("log entry: is of another certificate")
    key = certified.key(authorities, entry.integrated)
    certified.check_fulcio(fulcio.issuer, fulcio.email)
    return [key]


def _by_pki(pki: Pki, authorities: Authorities, certified: Certified, keyring: Keyring) -> list[SignerKey]:
    key = certified.key(authorities, keyring.now(), hostname=pki.hostname)
    if pki.email:
        certified.check_email(pki.email)
    return [key]


def _check_optional(payload: bytes) -> None:
    """Refuse what cosign passes over and other readers don't: no optional part, or a malformed creator or timestamp in it."""
    what = "cosign payload"
    document = loads(payload, what=what, error=SignatureError)
    if "optional" not in document:
        raise SignatureError(f"{what}: optional is missing")
    if document["optional"] is not None:
        optional = Fields(document["optional"], what=f"{what}: optional", error=SignatureError)
        if "creator" in optional:
            optional.text("creator")
        if "timestamp" in optional:
            optional.size("timestamp")
