"""GPG simple signatures at export: made before anything is delivered, put into the lookaside store before a tag moves.

Signatures of others in the store stay. A name that the key has signed before is not signed again: GPG's signatures hold the
time, and each push would add some.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from datetime import datetime

from bundler import __version__, gpg
from bundler.errors import BundlerError, LimitError
from bundler.journey.export_names import Named
from bundler.oci.digest import Digest
from bundler.oci.reference import Reference
from bundler.policy.blobs import is_simple
from bundler.transports.docker.lookaside import MAX_SIGNATURES, Lookaside
from bundler.trust.simple_signing import Payload, parse_payload


@dataclass(frozen=True, slots=True)
class SimpleSigner:
    """Signs with the GPG key ``fingerprint``, into ``store``."""

    fingerprint: str
    store: Lookaside
    now: datetime
    passphrase: bytes | None = field(default=None, repr=False)

    def sign(self, digest: Digest, name: Reference) -> bytes:
        """The signature of a manifest under one name. Raises :class:`ConfigError` if the key can't be used."""
        payload = Payload(digest, str(name), f"bundler {__version__}", int(self.now.timestamp()))
        return gpg.sign(payload.serialised(), self.fingerprint, passphrase=self.passphrase)

    def sign_all(self, named: Sequence[Named], executor: Executor) -> tuple[gpg.Verified, Callable[[], None]]:
        """A signature, verified, which says by which key they all are; and what puts the signatures of all manifests into the store.

        Raises as :meth:`sign` does, :class:`ConfigError` for a store that can't be written, :class:`LimitError` for one that
        holds too many, and what reading it raises.
        """
        first = named[0]
        by = gpg.verify(self.sign(first.digest, first.place))  # which key it is, however the operator named it
        for place in {each.place for each in named}:
            self.store.check_writable(place)

        def ready(each: Named) -> list[bytes]:
            kept = self.store.signatures(each.place, each.digest)
            known = _signed_names(kept, each.digest, {by.fingerprint, by.subkey})
            unsigned = [name for name in each.names if str(name) not in known]
            if len(kept) + len(unsigned) > MAX_SIGNATURES:
                raise LimitError(
                    f"{each.place}: {len(kept)} signatures of {each.digest} are in the lookaside store, and nobody reads more "
                    f"than {MAX_SIGNATURES}",
                    hint="take those away that nobody needs any more",
                )
            return [self.sign(each.digest, name) for name in unsigned]

        made = list(zip(named, executor.map(ready, named), strict=True))

        def write() -> None:
            for each, new in made:
                if new:  # the store is read once more: others may have signed while contents were on their way
                    kept = self.store.signatures(each.place, each.digest)
                    self.store.put(each.place, each.digest, kept + [one for one in new if one not in kept])

        return by, write


def _signed_names(messages: Iterable[bytes], digest: Digest, keys: set[str]) -> set[str]:
    """The names under which one of ``keys`` has signed a manifest before."""
    found = set()
    for message in messages:
        try:
            if not is_simple(message):
                continue
            by = gpg.verify(message)
            payload = parse_payload(by.payload)
        except BundlerError:
            continue  # another's, or damaged: it stays, and proves nothing
        if payload.digest == digest and {by.fingerprint, by.subkey} & keys:
            found.add(payload.reference)
    return found
