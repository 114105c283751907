"""Whether a policy lets an image in.

1. The requirements are those of the most specific scope that speaks of the image.
2. Every one of them must be fulfilled; ``insecureAcceptAnything`` is, ``reject`` and ``signedBaseLayer`` never are.
3. A requirement for signatures is fulfilled by one of them: made by one of its keys, about the manifest's very digest, and
   under a name that its identity accepts. One signature may fulfil several requirements.

Whatever keeps a signature from being verified is a reason against it, and all reasons are told.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from bundler.errors import BundlerError, ConfigError, LimitError, PolicyError, SignatureError, TrustError, quoted
from bundler.oci import schema1
from bundler.oci.digest import Digest
from bundler.policy.blobs import is_attachment, is_simple, read_attachment, signature_of, simple_message
from bundler.policy.identities import Identity
from bundler.policy.places import Place
from bundler.policy.policy_json import Policy
from bundler.policy.requirements import Accept, Material, Reject, Requirement, SignedBaseLayer, SignedBy
from bundler.trust.images import cosign
from bundler.trust.keys import read_public_key
from bundler.trust.simple_signing import parse_payload

MAX_REASONS = 5
"""The most that a message tells."""


class Keyring(Protocol):
    """What judging needs of the world."""

    def read(self, path: str) -> bytes:
        """The content of a key file. Raises :class:`ConfigError` if it can't be read."""
        ...

    def opened(self, message: bytes, keys: Sequence[bytes]) -> bytes:
        """What a GPG message says, if its one signature is good and made by one of ``keys``, else :class:`SignatureError`."""
        ...


@dataclass(frozen=True, slots=True)
class Candidate:
    """An image that asks to be let in: ``name`` as the operator gave it, ``digest`` of the manifest that was chosen.

    ``manifest`` and ``signatures`` are only called where a requirement needs to see them.
    """

    name: str
    digest: Digest
    place: Place
    manifest: Callable[[], bytes]
    signatures: Callable[[], Sequence[bytes]]


def judge(policy: Policy, image: Candidate, keyring: Keyring) -> None:
    """Return if the policy lets the image in. Raises :class:`PolicyError` that names image, scope and requirement."""
    scope, requirements = policy.requirements(image.place)  # step 1
    if not requirements:
        raise _refused(policy, image, scope, "nothing is required, which accepts nothing")
    for number, requirement in enumerate(requirements, 1):  # step 2
        why = _missing(requirement, image, keyring)
        if why:
            which = f"requirement {number} of {len(requirements)}, {requirement.name}: {why}"
            raise _refused(policy, image, scope, which)


def _missing(requirement: Requirement, image: Candidate, keyring: Keyring) -> str:
    """Why an image does not fulfil a requirement; empty if it does."""
    if isinstance(requirement, Accept):
        return ""
    if isinstance(requirement, Reject):
        return "no image from there is let in"
    if isinstance(requirement, SignedBaseLayer):
        return "is not implemented by anyone, so that nothing fulfils it"
    if isinstance(requirement, SignedBy):
        if requirement.key_type != "GPGKeys":
            return f"keys of the type {requirement.key_type} can't be verified with"
        check, fits, kind = _gpg(requirement.keys, keyring), is_simple, "simple signature"
    else:
        if requirement.certificate:
            return f"signatures under a certificate ({requirement.certificate}) can't be verified here"
        if requirement.rekor is not None or requirement.keys is None:
            return "entries of a Rekor log can't be verified here"
        check, fits, kind = _sigstore(requirement.keys, keyring), is_attachment, "sigstore signature"
    blobs = image.signatures()
    reasons = list(_reasons((blob for blob in blobs if fits(blob)), check, image, requirement.identity))  # step 3
    if not reasons:
        return f"it has no {kind}" + (f", only {len(blobs)} of another kind" if blobs else "")
    if reasons[-1] == "":
        return ""
    told = "; ".join(reasons[:MAX_REASONS]) + ("; …" if len(reasons) > MAX_REASONS else "")
    return told if len(reasons) == 1 else f"none of {len(reasons)} signatures is accepted: {told}"


Check = Callable[[bytes], tuple[Digest, str]]
"""The digest and the name that a stored signature vouches for, if it holds."""


def _reasons(blobs: Iterator[bytes], check: Check, image: Candidate, identity: Identity) -> Iterator[str]:
    """Why each signature is not accepted, up to the first that is, for which the reason is empty."""
    for blob in blobs:
        try:
            digest, name = check(blob)
            manifest = schema1.digest(image.manifest())
        except (SignatureError, TrustError, ConfigError, LimitError) as problem:
            yield quoted(str(problem), 500)
            continue
        if digest != manifest:
            yield f"the signature is about {digest}, not {manifest}"
        elif not identity.accepts(image.place.reference, name):
            yield f"the signature is for {quoted(name)!r}, which is not accepted as the name of this image"
        else:
            yield ""
            return


def _gpg(keys: Material, keyring: Keyring) -> Check:
    def check(blob: bytes) -> tuple[Digest, str]:
        payload = parse_payload(keyring.opened(simple_message(blob), _contents(keys, keyring)))
        return payload.digest, payload.reference

    return check


def _sigstore(keys: Material, keyring: Keyring) -> Check:
    def check(blob: bytes) -> tuple[Digest, str]:
        # Every key is read before any is used: one that is broken must be mended, and not only when it is needed.
        trusted = [read_public_key(raw, what=f"key {n}") for n, raw in enumerate(_contents(keys, keyring), 1)]
        attachment = read_attachment(blob)
        signature = signature_of(attachment)
        problem: BundlerError = SignatureError("there is no key to verify with")
        for key in trusted:
            try:
                key.verify(attachment.payload, signature)
            except SignatureError as found:
                problem = found
            else:
                claim = cosign.parse_payload(attachment.payload)
                return claim.digest, claim.reference
        raise problem

    return check


def _contents(keys: Material, keyring: Keyring) -> list[bytes]:
    return [*keys.contents, *(keyring.read(path) for path in keys.paths)]


def _refused(policy: Policy, image: Candidate, scope: str, why: str) -> PolicyError:
    return PolicyError(
        f"{quoted(image.name, 500)} ({image.digest}): refused by {quoted(policy.source)}, {scope}: {why}",
        hint="ask the image's publisher for a signature that fits, or whoever keeps the policy to change it",
    )
