"""What a bundle must satisfy before anything of it is used: given keys, or a site's trust directory.

    demand = Demand.of((Path("release.pub"),), 1, now=now)
    demand = Demand.of((), 1, now=now, trust=Path("/etc/bundler/site"))
    trusted = demand.trust(Path("edge-000001"))
    demand.accepted(trusted)                         # once the gate has passed as a whole, before the first tag moves

At a managed site a push accepts: the line's mark rises. A verification only looks: it says ``demand.saw(trusted)``, which
lifts no more than the clock's floor, unless it is told to accept (``verify --accept``). Serving a bundle, or copying out of
one, checks the mark and leaves it. Without a site both say nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from bundler.bundle.unpack import read_documents
from bundler.errors import ConfigError, PolicyError
from bundler.journey.keys import read_public_keys
from bundler.journey.trusting import Site, Standing, roots_beside
from bundler.trust.keys import PublicKey
from bundler.trust.state import check_reason, check_serial
from bundler.trust.verify import Trusted, accept_unsigned
from bundler.trust.verify import verify as verify_documents


@dataclass(frozen=True, slots=True)
class Demand:
    """What a bundle must satisfy. Without keys and site it is taken unsigned, which every report then says.

    Of a ``site``, ``keys`` and ``threshold`` are what its root said when it was opened; :meth:`standing` says what counted.
    ``reason`` is why a rollback is allowed, and empty if it is not. ``policy`` is a file that says what images must have,
    in place of the site's: :mod:`bundler.journey.gate` reads it.
    """

    keys: tuple[PublicKey, ...]
    threshold: int
    now: datetime
    allow_expired: bool = False
    site: Site | None = None
    min_serial: int | None = None
    reason: str = ""
    policy: Path | None = None

    @classmethod
    def of(
        cls,
        paths: Sequence[Path],
        threshold: int,
        *,
        now: datetime,
        allow_expired: bool = False,
        unsafe: bool = False,
        trust: Path | None = None,
        min_serial: int | None = None,
        allow_rollback: str | None = None,
        policy: Path | None = None,
    ) -> Demand:
        """The demand of a command line. Raises :class:`ConfigError` unless keys, a trust directory or ``unsafe`` are given."""
        given = [
            option for option, said in (("--key", paths), ("--trust", trust), ("--unsafe-no-signature", unsafe)) if said
        ]
        if len(given) > 1:
            raise ConfigError(f"{' and '.join(given)} exclude each other")
        if not given:
            raise ConfigError(
                "no --key and no --trust given: nothing says whose bundles to trust",
                hint="give the public key of the builder; it must not come from the bundle's own medium",
            )
        if allow_rollback is not None and trust is None:
            raise ConfigError("--allow-rollback needs --trust: without a site, nobody remembers what came before")
        if trust is None:
            keys = read_public_keys(paths)
            return cls(keys, threshold, now, allow_expired, min_serial=min_serial, policy=policy)
        if threshold != 1:
            raise ConfigError(
                "--threshold and --trust exclude each other", hint="the site's root says how many must sign"
            )
        reason = "" if allow_rollback is None else check_reason(allow_rollback)
        site = Site.open(trust)
        return cls(site.keys, site.root.targets.threshold, now, allow_expired, site, min_serial, reason, policy)

    def trust(self, directory: Path) -> Trusted:
        """The bundle's statement and inventory, if they satisfy the demand; no volume is read."""
        documents = read_documents(directory)
        if self.site is not None:
            return self.site.trust(
                documents,
                roots_beside(directory, since=self.site.root.version),
                now=self.now,
                allow_expired=self.allow_expired,
                reason=self.reason,
                min_serial=self.min_serial,
            )
        if not self.keys:
            trusted = accept_unsigned(documents, now=self.now, allow_expired=self.allow_expired)
            check_serial(trusted.statement, self.min_serial)
            return trusted
        return verify_documents(
            documents,
            keys=self.keys,
            threshold=self.threshold,
            now=self.now,
            allow_expired=self.allow_expired,
            min_serial=self.min_serial,
        )

    def accepted(self, trusted: Trusted) -> None:
        """Make it durable that this bundle was accepted. Raises as :meth:`trust` does; on any error the state is as it was."""
        if self.site is not None:
            self.site.accept(trusted, now=self.now, reason=self.reason, min_serial=self.min_serial)

    def check_last(self, trusted: Trusted) -> None:
        """After the tags: :class:`PolicyError` if another run has accepted another bundle of the line since :meth:`accepted`."""
        if self.site is not None and not self.site.is_last(trusted):
            about = f"{trusted.statement.name} {trusted.statement.channel} {trusted.statement.serial}"
            raise PolicyError(
                f"{about}: another bundle of this line was accepted while this one was being pushed: "
                "tags may stand for images of either",
                hint="push the newer one again",
            )

    def saw(self, trusted: Trusted) -> None:
        """Count a verification that passed as a whole as a good run, for the clock's floor alone."""
        if self.site is not None:
            self.site.saw(trusted, now=self.now)

    def standing(self, trusted: Trusted) -> Standing | None:
        """How the bundle stands at the site, to be asked before :meth:`accepted`; None without a site."""
        return None if self.site is None else self.site.standing(trusted, reason=self.reason)
