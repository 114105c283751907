"""Signatures under certificates and in logs: each case is decided as its name says, and for the right reason."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from bundler.errors import ConfigError, PolicyError
from bundler.policy import Candidate, judge, path_place, read_policy
from bundler.trust.pem import write_block
from tests.policy.authorities import Authority, Case, key, public, signed
from tests.policy.certified_cases import (
    CASES,
    EMAIL,
    GOOD,
    IMAGE,
    ISSUING,
    KEY,
    LOG,
    PAYLOAD,
    ROOT,
    cases,
    fulcio,
    keys,
    pki,
)


class Ring:
    """Knows files by name, and what time it is."""

    def __init__(self, **files: bytes) -> None:
        self.files = {f"/{name}": raw for name, raw in files.items()}

    def read(self, path: str) -> bytes:
        if path not in self.files:
            raise ConfigError(f"key: {path} does not exist")
        return self.files[path]

    def opened(self, message: bytes, keys: Sequence[bytes]) -> bytes:
        raise AssertionError

    def now(self) -> datetime:
        return datetime.now(UTC)


def decide(rule: dict[str, Any], *blobs: bytes, ring: Ring | None = None) -> str:
    """Why the image is refused; nothing if it is let in."""
    policy = read_policy(json.dumps({"default": [rule]}).encode())
    manifest = next(part.raw for part in IMAGE.parts if part.descriptor == IMAGE.root)
    image = Candidate("dir:/a", IMAGE.root.digest, path_place("dir", "/a"), lambda: manifest, lambda: list(blobs))
    try:
        judge(policy, image, ring or Ring())
    except PolicyError as problem:
        refused = problem
    else:
        return ""
    assert str(refused).isprintable()
    assert refused.hint
    return str(refused).partition("sigstoreSigned: ")[2]


@pytest.mark.parametrize("name", CASES)
def test_each_case(name: str) -> None:
    case: Case = cases()[name]
    found = decide(case.rule, case.blob)
    assert bool(found) is bool(case.said), found
    assert case.said in found


GOOD_BLOB = signed(PAYLOAD, GOOD, log=LOG).blob()


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ({**fulcio(), "fulcio": {"caPath": "/ca", "oidcIssuer": "x", "subjectEmail": "y"}}, "/ca does not exist"),
        ({**fulcio(), "fulcio": {"caPath": "/junk", "oidcIssuer": "x", "subjectEmail": "y"}}, "CA /junk: is not a list of certificates"),
        ({**fulcio(), "fulcio": {"caPath": "/cut", "oidcIssuer": "x", "subjectEmail": "y"}}, "CA /cut: is not a list of certificates"),
        ({**fulcio(), "fulcio": {"caPath": "/key", "oidcIssuer": "x", "subjectEmail": "y"}}, "CA /key: is not a list of certificates"),
        ({**fulcio(), "fulcio": {"caPath": "/many", "oidcIssuer": "x", "subjectEmail": "y"}}, "more than the 1000 certificates"),
        ({**pki(), "pki": {"caRootsPath": "/root", "caIntermediatesPath": "/junk", "subjectEmail": "y"}}, "CA /junk: is not a list"),
        ({**pki(), "pki": {"caRootsPath": "/root", "subjectHostname": "a host"}}, "'a host' is not the name of a host"),
        ({**keys(logs=(public(key("log", "rsa2048")),))}, "Rekor key number 1 in the policy: is not the key of a Rekor log"),
        ({**keys(logs=(public(key("log", "ed25519")),))}, "is not the key of a Rekor log"),
        (keys(public(key("weak", "rsa1024"))), "1024 bits"),
        (keys(public(key("odd", "secp256k1"))), "a kind of key that is not supported"),
        (keys(public(KEY), public(key("weak", "rsa1024"))), "key number 2 in the policy: an RSA key of 1024 bits"),
        (keys(GOOD.pem), "holds a 'CERTIFICATE', where a PUBLIC KEY is wanted"),
        (keys(public(KEY) * 2), "holds 2 PEM blocks"),
    ],
)  # fmt: skip
def test_step_1_what_the_policy_names_must_be_right(rule: dict[str, Any], said: str) -> None:
    ring = Ring(junk=b"junk", cut=ROOT.pem[:-40], key=public(KEY), root=ROOT.pem, many=ROOT.pem * 1001)
    assert said in decide(rule, GOOD_BLOB, ring=ring)


def test_step_2_text_around_certificates_is_passed_over() -> None:
    ring = Ring(ca=b"the site's authority\n" + ISSUING.pem + b"\nsubject: root\n" + ROOT.pem)
    rule = {**fulcio(), "fulcio": {"caPath": "/ca", "oidcIssuer": "https://login.site.example", "subjectEmail": EMAIL}}
    assert decide(rule, GOOD_BLOB, ring=ring) == ""


def test_step_2_a_certificate_is_judged_by_the_given_time() -> None:
    class Later(Ring):
        def now(self) -> datetime:
            return datetime(2224, 1, 1, tzinfo=UTC)

    rule = cases()["PKI: an e-mail"].rule
    assert decide(rule, cases()["PKI: an e-mail"].blob) == ""
    assert "at 2224-01-01T00:00:00Z" in decide(rule, cases()["PKI: an e-mail"].blob, ring=Later())


def test_step_2_authorities_that_vouch_for_each_other_end_somewhere() -> None:
    """Each certificate could follow each other one: paths are tried, but not all that there could be."""
    loop = Authority.root("loop")
    chain = [Authority.root("loop") for _ in range(4)]
    blob = signed(PAYLOAD, loop.issue(EMAIL), log=LOG, chain=[*chain, ROOT]).blob()
    assert "no authority that the policy names" in decide(fulcio(), *[blob] * 8)


def test_one_good_signature_among_many_is_enough() -> None:
    bad = [case.blob for case in cases().values() if case.said and case.rule == fulcio()][:20]
    assert decide(fulcio(), *bad, GOOD_BLOB) == ""
    assert "none of 20 signatures is accepted" in decide(fulcio(), *bad)


def test_a_certificate_that_breaks_the_rules_is_refused_without_a_warning() -> None:
    """Outside of the tests warnings are printed, and not errors; so this is asked of an interpreter of its own."""
    der = GOOD.certificate.public_bytes(Encoding.DER)
    serial = der.index(b"\xa0\x03\x02\x01\x02") + 5
    size = der[serial + 1]
    negative = der[: serial + 2] + b"\x80" + der[serial + 3 :]
    zero = der[: serial + 2] + bytes(size) + der[serial + 2 + size :]
    program = (
        "import sys; from bundler.errors import *; from bundler.policy.certificates import *\n"
        "raw = sys.stdin.buffer.read()\n"
        "for read, error in ((lambda: read_certified(raw, raw), SignatureError), "
        "(lambda: read_authorities(raw, what='CA'), ConfigError)):\n"
        "    try: read()\n"
        "    except error as problem: print(problem)\n"
    )
    for raw in (negative, zero):
        done = subprocess.run(
            [sys.executable, "-c", program], input=write_block("CERTIFICATE", raw), capture_output=True, check=False
        )
        assert (done.returncode, done.stderr) == (0, b""), done.stderr
        first, second = done.stdout.decode().splitlines()
        assert first.startswith("certificate: can't be read: ")
        assert second.startswith("CA: is not a list of certificates")
