"""What a report says besides the bundle: whose keys count, which clock, what was accepted before, what was given up.

found = circumstances(demand, trusted, warns_of_expiry=False)          # before demand.accepted(trusted)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bundler.report.report import Clock, Last, Override, Signer, Signing

if TYPE_CHECKING:
    from bundler.bundle.statement import CarriedImage
    from bundler.journey.demand import Demand
    from bundler.journey.trusting import Standing
    from bundler.trust.verify import Trusted

UNSAFE = "--unsafe-no-signature"


@dataclass(frozen=True, slots=True)
class Circumstances:
    """``before`` are the images of the last accepted bundle, where its statement is known."""

    clock: Clock
    last: Last | None = None
    before: tuple[CarriedImage, ...] = ()
    signing: Signing | None = None
    overrides: tuple[Override, ...] = ()


def circumstances(
    demand: Demand, trusted: Trusted | None, *, warns_of_expiry: bool = False, supersedes: bool = False
) -> Circumstances:
    """The circumstances; if the bundle is not trusted, those that don't depend on it.

    ``warns_of_expiry`` says that the policy lets expired bundles in, ``supersedes`` that it was given in place of the site's.
    """
    given_up = _overrides(demand, supersedes=supersedes)
    if trusted is None:
        return Circumstances(Clock(demand.now, demand.now), overrides=given_up)
    standing = demand.standing(trusted)
    mark = None if standing is None else standing.mark
    previous = None if standing is None else standing.previous
    overrides = list(given_up)
    if standing is not None and standing.reason:
        overrides.append(Override("--allow-rollback", standing.reason))
    clock = _clock(demand, trusted, standing)
    expires = trusted.statement.expires
    if warns_of_expiry and not demand.allow_expired and expires is not None and clock.used >= expires:
        overrides.append(Override("expiry: warn", "expired, of which the policy only warns"))
    return Circumstances(
        clock=clock,
        last=None
        if mark is None
        else Last(mark.epoch, mark.serial, mark.statement, None if previous is None else previous.serial),
        before=() if previous is None else previous.images,
        signing=_signing(demand, trusted, standing),
        overrides=tuple(overrides),
    )


def _overrides(demand: Demand, *, supersedes: bool) -> tuple[Override, ...]:
    found = []
    if supersedes:
        found.append(Override("--policy", "in place of the site's own trust.yaml"))
    if demand.site is None and not demand.keys:
        found.append(Override(UNSAFE))
    if demand.allow_expired:
        found.append(Override("--allow-expired"))
    return tuple(found)


def _clock(demand: Demand, trusted: Trusted, standing: Standing | None) -> Clock:
    """What was taken for now, and by which of the moments that have certainly passed."""
    used = trusted.clock or demand.now
    if used <= demand.now:
        return Clock(demand.now, demand.now)
    if standing is not None and used == standing.floor:
        return Clock(demand.now, used, "what this site saw before")
    within = used == trusted.statement.issued
    return Clock(demand.now, used, "when this bundle was issued" if within else "when this release of bundler was made")


def _signing(demand: Demand, trusted: Trusted, standing: Standing | None) -> Signing | None:
    if not trusted.signed:
        return None
    if standing is None:
        known = [Signer("", key_id) for key_id in dict.fromkeys(key.key_id for key in demand.keys)]
        threshold, version, expires = demand.threshold, 0, None
    else:
        known = [Signer(each.name, each.key_id) for each in standing.signers if not each.denied]
        threshold, version, expires = standing.threshold, standing.root_version, standing.root_expires
    signed = set(trusted.signers)
    return Signing(
        threshold=threshold,
        signed=tuple(signer for signer in known if signer.key_id in signed),
        others=tuple(signer for signer in known if signer.key_id not in signed),
        root=version,
        root_expires=expires,
    )
