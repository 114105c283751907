"""Reports for tests: one of a managed site with all there can be, and what makes others of it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from bundler.oci.digest import digest_of
from bundler.report import Change, Report
from bundler.report.report import (
    Assessment,
    Attached,
    Clock,
    Cover,
    Damage,
    Evidence,
    ImageLine,
    Last,
    Override,
    Reading,
    Release,
    Signer,
    Signing,
    Step,
)

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
SIGNATURE, INDEX, CHILD = (digest_of(each) for each in (b"signature", b"index", b"child"))
RELEASE = Release(
    name="edge",
    channel="stable",
    epoch=0,
    serial=7,
    bundle_id=digest_of(b"bundle"),
    statement=digest_of(b"statement"),
    issued=NOW - timedelta(days=2),
    expires=NOW + timedelta(days=12, hours=3),
    size=89_400_000,
    contents=10,
    volumes=3,
)
SIGNED = ImageLine(
    name="docker.io/library/nginx:1.27",
    target="library/nginx:1.27",
    digest=INDEX,
    platforms=("linux/amd64", "linux/arm64"),
    size=60_000_000,
    attached=(Attached("signature", SIGNATURE, "sha256-x.sig", INDEX), Attached("sbom", CHILD)),
    assessment=Assessment(
        requirement="cosign signature by key 0123456789abcdef",
        passed=True,
        reason="signed by 0123456789abcdef",
        rule="trust.yaml:4",
        evidence=(Evidence("cosign", SIGNATURE, CHILD, verified=True, by=("0123456789abcdef",), what="library/nginx"),),
        covered=(Cover(CHILD, passed=True, reason="is listed in the index"),),
    ),
)
UNSIGNED = ImageLine(
    name="docker.io/library/api:1",
    target="library/api:1",
    digest=CHILD,
    platforms=(),
    assessment=Assessment("cosign signature by key 0123456789abcdef", passed=False, reason="no signature is attached"),
)
STEPS = tuple(Step(name, "passed") for name in ("signatures", "volumes", "closure", "images", "contents"))
REPORT = Report(
    time=Clock(NOW - timedelta(days=20_000), NOW, "what this site saw before"),
    verdict="verified",
    steps=STEPS,
    managed=True,
    release=RELEASE,
    last=Last(0, 6, digest_of(b"before"), 6),
    signing=Signing(2, (Signer("ann", "ab" * 32), Signer("bob", "cd" * 32)), (Signer("cat", "ef" * 32),), 3, NOW),
    overrides=(Override("--allow-rollback", "the new one is broken"), Override("--allow-expired")),
    policy=digest_of(b"policy"),
    images=(SIGNED, UNSIGNED),
    changes=(
        Change("docker.io/library/api:1", "", CHILD),
        Change("docker.io/library/nginx:1.27", SIGNATURE, INDEX),
        Change("docker.io/library/old:1", INDEX, ""),
        Change("docker.io/library/same:1", INDEX, INDEX, (("linux/amd64",), ()), (CHILD,), (SIGNATURE,)),
    ),
    reading=Reading(3, 90_000_000),
)
DAMAGED = Reading(
    3, 90_000_000, (Damage(2, 4096, INDEX, "volume-0002.tar.zst: damaged at offset 4096"),), (INDEX,), ("nginx",)
)
