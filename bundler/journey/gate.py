"""The gate: everything that is decided about a bundle before anything of it reaches a registry.

    1  signatures   the documents agree, enough known keys have signed, serial and expiry are as the site wants them
    2  volumes      all of them are there, of this bundle, and as long as they should be
    3  closure      everything that the images need is in the bundle
    4  images       every image has the signatures and attestations that the policy says it must have
    ────────────────────────────────────────────────── a push may write contents from here on
    5  contents     every byte of every volume and content is what was signed; `verify` reads it all, `push` what it sends
    6  accepted     the site remembers the bundle, on disk, before a tag moves
    ────────────────────────────────────────────────── tags

Steps 1 to 4 need the statement, the inventory and the small contents that manifests and signatures are, each verified by
its digest as it is read. They pass as a whole, or the destination is not even asked. What is uploaded afterwards is
verified in the pass that sends it: what does not hold is not stored there, and no tag moves unless everything held.

    findings = Findings()
    with gate(directory, demand, findings=findings) as volumes: …
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING

from bundler.bundle.closure import missing
from bundler.bundle.unpack import Volumes
from bundler.content import read
from bundler.errors import ArchiveError, BundlerError, PolicyError, disk_error
from bundler.push.naming import matching
from bundler.report.report import Outcome

if TYPE_CHECKING:
    from bundler.bundle.check import Report as Contents
    from bundler.bundle.statement import CarriedImage
    from bundler.journey.demand import Demand
    from bundler.journey.image_gate import Assessed, Landing
    from bundler.trust.policy import TrustPolicy
    from bundler.trust.verify import Trusted

POLICY = "trust.yaml"
"""In a site's directory: what bundles and images must have."""
STEPS = ("signatures", "volumes", "closure", "images", "contents")


@dataclass(slots=True)
class Findings:
    """What is known so far, filled step by step, so that a refusal can be reported as well as a pass.

    ``steps`` says how far each step came, ``policy`` is the digest of the site's policy, empty without one,
    ``warns_of_expiry`` whether that lets expired bundles in, ``supersedes`` whether it was given in place of one that the
    site has, and ``refusal`` the error that ended it all.
    """

    steps: dict[str, Outcome] = field(default_factory=lambda: dict.fromkeys(STEPS, "not reached"))
    trusted: Trusted | None = None
    volumes: Volumes | None = None
    rules: TrustPolicy | None = None
    policy: str = ""
    warns_of_expiry: bool = False
    supersedes: bool = False
    assessed: tuple[Assessed, ...] = ()
    contents: Contents | None = None
    refusal: BundlerError | None = None

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Do a step in this; it has failed if it does not end well."""
        self.steps[name] = "failed"
        yield
        self.steps[name] = "passed"


@contextmanager
def gate(
    directory: Path,
    demand: Demand,
    *,
    findings: Findings,
    policy: Path | None = None,
    patterns: Sequence[str] = (),
    landing: Landing = attrgetter("target"),
    tolerant: bool = False,
) -> Iterator[Volumes]:
    """Steps 1 to 4, with the errors of each; then the bundle's contents, to be read while this lasts.

    ``policy`` is the file given by hand; without it the demand's or the site's decides, if it has one. With ``patterns``, steps 3 and 4
    are about the images that match, and nothing else may be used. ``landing`` tells what an image will be called at the far
    registry, where that is not its target. With ``tolerant``, what is wrong with volumes is
    gathered in step 5, and steps 3 and 4 come after it, in :func:`judge_images`.
    """
    trusted = admit(directory, demand, findings=findings, policy=policy)
    # 2  The volumes
    with findings.step("volumes"):
        volumes = findings.volumes = Volumes(directory, trusted, tolerant=tolerant)
    with volumes:
        if not tolerant:
            images = trusted.statement.images
            some = matching(images, patterns) if patterns else images
            judge_images(some, demand, findings=findings, landing=landing)
        yield volumes


def admit(directory: Path, demand: Demand, *, findings: Findings, policy: Path | None = None) -> Trusted:
    """Step 1: signatures, serial and expiry, and the channel; no volume is read. ``policy`` is as for :func:`gate`."""
    # 1  Signatures, serial, expiry, channel
    with findings.step("signatures"):
        rules = _rules(demand, policy, findings)
        if rules is not None and rules.expiry == "warn":
            findings.warns_of_expiry = True
        asked = replace(demand, allow_expired=True) if findings.warns_of_expiry else demand
        trusted = findings.trusted = asked.trust(directory)
        if rules is not None and not rules.accepts(trusted.statement.channel):
            raise PolicyError(
                f"{trusted.statement.name} {trusted.statement.channel} {trusted.statement.serial}: "
                f"{rules.name} takes no bundles of the channel {trusted.statement.channel}",
                hint="ask whoever keeps the policy to accept the channel",
            )
    if not trusted.signed:
        findings.steps["signatures"] = "skipped"
    return trusted


def judge_images(
    images: Sequence[CarriedImage], demand: Demand, *, findings: Findings, landing: Landing = attrgetter("target")
) -> None:
    """Steps 3 and 4, after the two before them."""
    from bundler.journey.image_gate import assess, require

    trusted, volumes = findings.trusted, findings.volumes
    assert trusted is not None
    assert volumes is not None
    # 3  Closure
    with findings.step("closure"):
        some = replace(trusted.statement, images=tuple(images))
        for each in missing(some, sizes=volumes.sizes, read=lambda want: read(volumes, want)):
            raise ArchiveError(str(each), hint="the bundle was built incomplete; ask its builder for another")
    # 4  The images' own signatures
    with findings.step("images"):
        now = trusted.clock or demand.now
        findings.assessed = assess(volumes, images, findings.rules, now=now, landing=landing)
        require(findings.assessed)
    if findings.rules is None:
        findings.steps["images"] = "skipped"


def _rules(demand: Demand, given: Path | None, findings: Findings) -> TrustPolicy | None:
    """The policy: the file given, or else the demand's, or the site's; None if nobody says anything."""
    from bundler.journey.image_gate import read_policy

    path = given or demand.policy
    own = None if demand.site is None else demand.site.directory / POLICY
    if own is not None and not _is_there(own):
        own = None
    decides = path or own
    if decides is None:
        return None
    findings.rules = read_policy(decides)
    findings.policy = findings.rules.digest
    findings.supersedes = own is not None and path is not None and path.resolve() != own.resolve()
    return findings.rules


def _is_there(path: Path) -> bool:
    """Whether there is anything under that name, be it a link that leads nowhere."""
    try:
        path.lstat()
    except FileNotFoundError:
        return False
    except OSError as problem:
        raise disk_error(problem, f"read {path}") from problem
    return True
