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

from bundler.errors import ConfigError, LimitError, PolicyError, SignatureError, TrustError, quoted
from bundler.oci import schema1
from bundler.oci.digest import Digest
from bundler.policy.blobs import is_attachment, is_simple, simple_message
from bundler.policy.identities import Identity
from bundler.policy.material import Keyring
from bundler.policy.places import Place
from bundler.policy.policy_json import Policy
from bundler.policy.requirements import Accept, Reject, Requirement, SignedBaseLayer, SignedBy, SigstoreSigned
from bundler.trust.simple_signing import parse_payload

MAX_REASONS = 5
"""The most that a message tells."""


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
        raise _refused(policy, image, scope, _Missing("nothing is required, which accepts nothing", _ASK))
    for number, requirement in enumerate(requirements, 1):  # step 2
        missing = _missing(requirement, image, keyring)
        if missing is not None:
            which = f"requirement {number} of {len(requirements)}, {requirement.name}: "
            raise _refused(policy, image, scope, _Missing(which + missing.why, missing.hint))


@dataclass(frozen=True, slots=True)
class _Missing:
    """Why an image does not fulfil a requirement, and what could be done."""

    why: str
    hint: str


_ASK = "ask the image's publisher for a signature that fits, or whoever keeps the policy to change it"
_MEND = "mend what the policy names, or let whoever keeps the policy name another"
_NOT_IN = "ask whoever keeps the policy whether images from there may be let in"
_UNKNOWN = "whoever keeps the policy has to put another requirement in its place"


def _missing(requirement: Requirement, image: Candidate, keyring: Keyring) -> _Missing | None:
    if isinstance(requirement, Accept):
        return None
    if isinstance(requirement, Reject):
        return _Missing("no image from there is let in", _NOT_IN)
    if isinstance(requirement, SignedBaseLayer):
        return _Missing("is not implemented by anyone, so that nothing fulfils it", _UNKNOWN)
    if isinstance(requirement, SignedBy):
        if requirement.key_type != "GPGKeys":
            return _Missing(f"keys of the type {requirement.key_type} can't be verified with", _UNKNOWN)
        check, kind = _gpg(requirement, keyring), _SIMPLE
    else:
        check, kind = _sigstore(requirement, keyring), _SIGSTORE
    blobs = image.signatures()
    fitting = (blob for blob in blobs if kind.fits(blob))
    reasons = list(_reasons(fitting, check, image, requirement.identity))  # step 3
    if not reasons:
        told = f"it has no {kind.name}" + (f", only {len(blobs)} of another kind" if blobs else "")
        return _Missing(told, kind.hint if image.place.transport == "docker" else _ASK)
    if reasons[-1] is None:
        return None
    told = "; ".join(each.why for each in reasons[:MAX_REASONS] if each) + ("; …" if len(reasons) > MAX_REASONS else "")
    hint = next((each.hint for each in reasons if each and each.hint != _ASK), _ASK)
    return _Missing(told if len(reasons) == 1 else f"none of {len(reasons)} signatures is accepted: {told}", hint)


@dataclass(frozen=True, slots=True)
class _Kind:
    """A kind of signatures; ``hint`` is for a registry that has none of an image."""

    name: str
    fits: Callable[[bytes], bool]
    hint: str


_SIMPLE = _Kind(
    "simple signature",
    is_simple,
    "see that registries.d says in which lookaside store signatures of that registry are kept; "
    "else ask the image's publisher to sign it",
)
_SIGSTORE = _Kind(
    "sigstore signature",
    is_attachment,
    "see that registries.d says use-sigstore-attachments: true for that registry; else ask the image's publisher to sign it",
)

Check = Callable[[bytes], tuple[Digest, str]]
"""The digest and the name that a stored signature vouches for, if it holds."""


def _reasons(blobs: Iterator[bytes], check: Check, image: Candidate, identity: Identity) -> Iterator[_Missing | None]:
    """Why each signature is not accepted, up to the first that is."""
    for blob in blobs:
        try:
            digest, name = check(blob)
            manifest = schema1.digest(image.manifest())
        except (SignatureError, TrustError, LimitError) as problem:
            yield _Missing(quoted(str(problem), 500), _ASK)
            continue
        except ConfigError as problem:
            yield _Missing(quoted(str(problem), 500), problem.hint or _MEND)
            continue
        if digest != manifest:
            yield _Missing(f"the signature is about {digest}, not {manifest}", _ASK)
        elif not identity.accepts(image.place.reference, name):
            yield _Missing(
                f"the signature is for {quoted(name)!r}, which is not accepted as the name of this image", _ASK
            )
        else:
            yield None
            return


def _gpg(requirement: SignedBy, keyring: Keyring) -> Check:
    def check(blob: bytes) -> tuple[Digest, str]:
        keys = [raw for _, raw in requirement.keys.read(keyring)]
        payload = parse_payload(keyring.opened(simple_message(blob), keys))
        return payload.digest, payload.reference

    return check


def _sigstore(requirement: SigstoreSigned, keyring: Keyring) -> Check:
    def check(blob: bytes) -> tuple[Digest, str]:
        from bundler.policy.sigstore import verified

        return verified(requirement, keyring, blob)

    return check


def _refused(policy: Policy, image: Candidate, scope: str, missing: _Missing) -> PolicyError:
    return PolicyError(
        f"{quoted(image.name, 500)} ({image.digest}): refused by {quoted(policy.source)}, {scope}: {missing.why}",
        hint=missing.hint,
    )
