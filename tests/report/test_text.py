"""The report as people read it: a hundred columns, nothing left out that decides, the verdict last."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from bundler.cli.sizes import human
from bundler.report import Change, Report
from bundler.report.report import Attached, Clock, Evidence, Last, Override, Refusal, Signer, Signing, Verdict
from bundler.report.text import WIDTH, lines
from tests.report.samples import CHILD, DAMAGED, INDEX, NOW, RELEASE, REPORT, SIGNATURE, SIGNED, STEPS


def text(report: Report) -> str:
    return "\n".join(lines(report, human))


def test_all_of_it() -> None:
    assert (
        text(REPORT)
        == f"""\
bundle      edge stable serial 7, last accepted 6
id          {RELEASE.bundle_id}
statement   {RELEASE.statement}
issued      2026-01-29T12:00:00Z
expires     2026-02-12T15:00:00Z, in 12 days
clock       2026-01-31T12:00:00Z taken for now, by what this site saw before; this machine says
            1971-04-30T12:00:00Z
signed by   ann (abababababababab), bob (cdcdcdcdcdcdcdcd) (2 of 3 keys needed)
also known  cat (efefefefefefefef)
by root     3, which expires 2026-01-31T12:00:00Z
policy      {REPORT.policy}
content     2 images, 10 contents, 85.3 MiB
volumes     3, 85.8 MiB read, every digest compared
OVERRIDE    --allow-expired
OVERRIDE    --allow-rollback: the new one is broken
gate        signatures ok, volumes ok, closure ok, images ok, contents ok

docker.io/library/api:1
  target     library/api:1
  digest     {CHILD}
  platforms  -
  size       unknown
  requires   cosign signature by key 0123456789abcdef
  FAILED     no signature is attached

docker.io/library/nginx:1.27
  target     library/nginx:1.27
  digest     {INDEX}
  platforms  linux/amd64, linux/arm64
  size       57.2 MiB
  carries    cosign {SIGNATURE[:19]}, library/nginx, verified by 0123456789abcdef
             sbom {CHILD[:19]}
  requires   cosign signature by key 0123456789abcdef
  ok         signed by 0123456789abcdef

since serial 6, the last accepted:
  new     docker.io/library/api:1
          {CHILD}
  changed docker.io/library/nginx:1.27
          was {SIGNATURE}
          now {INDEX}
  gone    docker.io/library/old:1
  changed docker.io/library/same:1
          platforms were linux/amd64, now -
          carries no more {SIGNATURE}
          carries as well {CHILD}

VERIFIED"""
    )


@pytest.mark.parametrize(
    ("verdict", "said"),
    [
        ("verified", "VERIFIED"),
        ("trusted", "TRUSTED; the volumes' contents were not read (--quick)"),
        ("intact", "INTACT, and anyone could have made it: no signature was checked (--unsafe-no-signature)"),
        ("unread", "UNREAD, and anyone could have made it: no signature was checked (--unsafe-no-signature)"),
        ("damaged", "DAMAGED"),
    ],
)
def test_the_verdict_is_the_last_line(verdict: Verdict, said: str) -> None:
    assert lines(replace(REPORT, verdict=verdict), human)[-1] == said


def test_a_refusal() -> None:
    report = Report(
        Clock(NOW, NOW), "refused", STEPS[:1], refused=Refusal("SIG", "it is\nnot signed " + "x " * 90, "y")
    )
    found = lines(report, human)
    assert found[0] == "gate  signatures ok"
    assert "SIG: it is" in found
    assert found[-3:] == ["  y", "", "REFUSED (SIG)"]
    assert max(map(len, found)) <= WIDTH


@pytest.mark.parametrize(
    ("report", "said"),
    [
        pytest.param(replace(REPORT, last=None), "serial 7, first contact", id="first"),
        pytest.param(replace(REPORT, managed=False, last=None), "bundle      edge stable serial 7\n", id="no-site"),
        pytest.param(
            replace(REPORT, last=Last(0, 7, RELEASE.statement, 7), changes=()),
            "7, last accepted 7, the same",
            id="same",
        ),
        pytest.param(replace(REPORT, last=Last(1, 2, "x", 2)), "7 of epoch 0, last accepted 2 of epoch 1", id="epochs"),
        pytest.param(replace(REPORT, last=Last(0, 6, "x", None)), "what changed is not known", id="lost-statement"),
        pytest.param(replace(REPORT, changes=()), "  nothing changed", id="nothing-changed"),
        pytest.param(replace(REPORT, release=replace(RELEASE, expires=None)), "expires     never", id="never"),
        pytest.param(
            replace(REPORT, release=replace(RELEASE, expires=NOW - timedelta(days=3))), "EXPIRED 3 days", id="expired"
        ),
        pytest.param(replace(REPORT, release=replace(RELEASE, expires=NOW)), "Z, EXPIRED\n", id="this-second"),
        pytest.param(replace(REPORT, signing=None), "NOT CHECKED (--unsafe-no-signature)", id="unsigned"),
        pytest.param(replace(REPORT, reading=DAMAGED), f"LOST {INDEX}", id="lost-content"),
        pytest.param(replace(REPORT, reading=DAMAGED), "LOST image nginx", id="lost-image"),
        pytest.param(
            replace(REPORT, reading=DAMAGED), "volumes     3, read as far as they can be, and NOT", id="unsound"
        ),
        pytest.param(replace(REPORT, policy=""), "policy      none", id="no-policy"),
    ],
)
def test_what_else_is_said(report: Report, said: str) -> None:
    assert said in text(report)


def test_without_a_policy_nobody_is_told_what_is_required() -> None:
    assert "requires" not in text(replace(REPORT, policy=""))
    assert "carries" in text(replace(REPORT, policy=""))


def test_what_nobody_knows_by_its_content_is_called_what_its_manifest_says() -> None:
    assert SIGNED.assessment is not None
    found = Evidence("other", CHILD, INDEX)
    image = replace(SIGNED, assessment=replace(SIGNED.assessment, evidence=(found,)))
    assert f"carries    sbom {CHILD[:19]}" in text(replace(REPORT, images=(image,)))


def test_nothing_from_outside_speaks_to_the_terminal() -> None:
    assert SIGNED.assessment is not None
    evil = "evil\x1b[31m\u202e"
    report = replace(
        REPORT,
        images=(
            replace(
                SIGNED,
                name=evil,
                platforms=(evil,),
                attached=(Attached("other", CHILD, evil),),
                assessment=replace(
                    SIGNED.assessment,
                    reason=evil,
                    evidence=(replace(SIGNED.assessment.evidence[0], what=evil, by=(evil,), problem=evil),),
                ),
            ),
        ),
        overrides=(Override("--allow-rollback", evil),),
        signing=Signing(1, (Signer(evil, "ab" * 32),), (Signer(evil, "cd" * 32),)),
        refused=Refusal("SIG", f"{evil}\r{evil}\x0b\n{evil}", evil),
        changes=(Change(evil, evil, CHILD, ((evil,), (evil,)), (evil,), (evil,)),),
        reading=replace(DAMAGED, lost_images=(evil,)),
    )
    assert all(line.isprintable() for line in lines(report, human))
