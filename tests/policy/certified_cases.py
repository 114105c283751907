"""Sigstore signatures that a policy has to decide on, by name: under Fulcio's certificates, under a PKI's, and listed by a log.

:mod:`tests.policy.test_sigstore` decides on each, and the tests with real programs let those decide too.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

from bundler.oci.digest import digest_of
from bundler.trust.images.cosign import CERTIFICATE, CHAIN, LOG_ENTRY, SIGNATURE, TYPE
from tests.images import image, layer
from tests.policy.authorities import (
    ANY,
    EMAIL,
    ISSUER,
    LOGGED,
    SERVER,
    V1,
    V2,
    Authority,
    Case,
    Log,
    Signer,
    b64,
    key,
    public,
    signed,
    utf8,
)

IMAGE = image(layer("certified", 300))
NAME = "r.example/team/app:1"
MINUTES, YEARS = timedelta(minutes=10), timedelta(days=3650)
NOW = datetime.now(UTC).replace(microsecond=0)
DAY = timedelta(days=1)
CRITICAL = (x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\0"), True)
LONG_ISSUER = "https://login.site.example/" + "realm/" * 30


def claim(**changes: Any) -> bytes:
    """What is signed."""
    document = {
        "critical": {
            "identity": {"docker-reference": NAME},
            "image": {"docker-manifest-digest": IMAGE.root.digest},
            "type": TYPE,
        },
        "optional": None,
        **changes,
    }
    return json.dumps({name: value for name, value in document.items() if value != "absent"}).encode()


PAYLOAD = claim()
IDENTITY = {"signedIdentity": {"type": "exactReference", "dockerReference": NAME}}
ROOT, LOG = Authority.root(), Log()
ISSUING = ROOT.below("issuing")
GOOD = ROOT.issue(EMAIL)
BELOW = ISSUING.issue(EMAIL)
KEY = key("bare")


def fulcio(*roots: Authority, log: Log = LOG, **changes: Any) -> dict[str, Any]:
    ca = b64(b"".join(each.pem for each in roots or (ROOT,)))
    block = {"caData": ca, "oidcIssuer": ISSUER, "subjectEmail": EMAIL, **changes}
    return {"type": "sigstoreSigned", "fulcio": block, "rekorPublicKeyData": b64(log.public), **IDENTITY}


def pki(*roots: Authority, intermediates: tuple[Authority, ...] = (), **subjects: str) -> dict[str, Any]:
    block = {"caRootsData": b64(b"".join(each.pem for each in roots or (ROOT,)))}
    if intermediates:
        block["caIntermediatesData"] = b64(b"".join(each.pem for each in intermediates))
    return {"type": "sigstoreSigned", "pki": {**block, **(subjects or {"subjectEmail": EMAIL})}, **IDENTITY}


def keys(*names: bytes, logs: tuple[bytes, ...] = ()) -> dict[str, Any]:
    rule: dict[str, Any] = {"type": "sigstoreSigned", "keyDatas": [b64(each) for each in names or (public(KEY),)]}
    if logs:
        rule["rekorPublicKeyDatas"] = [b64(each) for each in logs]
    return {**rule, **IDENTITY}


def by_fulcio(signer: Signer = GOOD, rule: dict[str, Any] | None = None, said: str = "", **how: Any) -> Case:
    elsewhere, payload = how.pop("elsewhere", None), how.pop("of", PAYLOAD)
    how.setdefault("log", LOG)
    return Case(rule or fulcio(), signed(payload, signer, **how).blob(), said, elsewhere)


def by_pki(signer: Signer, rule: dict[str, Any] | None = None, said: str = "", **how: Any) -> Case:
    elsewhere = how.pop("elsewhere", None)
    return Case(rule or pki(), signed(PAYLOAD, signer, **how).blob(), said, elsewhere)


def by_key(rule: dict[str, Any], said: str = "", signer: Any = KEY, **how: Any) -> Case:
    elsewhere, payload = how.pop("elsewhere", None), how.pop("of", PAYLOAD)
    return Case(rule, signed(payload, signer, **how).blob(), said, elsewhere)


def set_to(**members: Any) -> Callable[[Any], object]:
    """A change that sets members, by paths with underscores; ``None`` removes one."""

    def change(document: Any) -> None:
        for path, value in members.items():
            *parents, last = path.split("__")
            place = document
            for each in parents:
                place = place[each]
            place[last] = value
            if value is None:
                del place[last]

    return change


def zero(which: int) -> Callable[[bytes], bytes]:
    """A signature whose r or s is 0."""

    def forge(raw: bytes) -> bytes:
        pair = list(decode_dss_signature(raw))
        pair[which] = 0
        return encode_dss_signature(*pair)

    return forge


def padded(raw: bytes) -> bytes:
    """The same pair in BER: r gets another zero in front."""
    size = raw[3]
    return b"\x30" + bytes([raw[1] + 1, 0x02, size + 1, 0]) + raw[4:]


def constrained(**subtrees: str) -> Authority:
    """An authority that may not name everybody."""
    said = {f"{name}_subtrees": [x509.RFC822Name(text)] for name, text in subtrees.items()}
    limits = x509.NameConstraints(**{"permitted_subtrees": None, "excluded_subtrees": None, **said})
    return ROOT.below("constrained", more=[(limits, True)])


def chain_of(length: int) -> list[Authority]:
    """Authorities, each below the next; the last is the root."""
    found = [ROOT]
    for number in range(length):
        found.insert(0, found[0].below(f"level {number}"))
    return found


def _fulcio_cases() -> dict[str, Case]:
    other, twin = Authority.root("other"), Authority.root("another")
    impostor = Authority(twin.key, twin.certificate, "root")
    old = ROOT.below("old", end=LOGGED - DAY)
    aged = Authority.root("aged", end=LOGGED - DAY)
    server = (x509.ExtendedKeyUsage([SERVER]), False)
    deep = ROOT.below("deep", constraints=x509.BasicConstraints(ca=True, path_length=0)).below("deeper")
    shallow = [deep, ROOT.below("deep", constraints=x509.BasicConstraints(ca=True, path_length=0)), ROOT]
    not_a_ca = ROOT.below("no authority", constraints=x509.BasicConstraints(ca=False, path_length=None), use=())
    unsaid = ROOT.below("unsaid", constraints=None)
    useless = ROOT.below("useless", use=("digital_signature",))
    for_servers = ROOT.below("for servers", more=[server])
    critical = ROOT.below("critical", more=[CRITICAL])
    limited, excluded = constrained(permitted="elsewhere.example"), constrained(excluded="site.example")
    p384 = Authority.root("p384", kind="p384")
    long = ROOT.issue(EMAIL, issuers={V2: utf8(LONG_ISSUER)})
    none, four, five = "no authority that the policy names vouches for it", chain_of(4), chain_of(5)
    return {
        "a good one": by_fulcio(),
        "a good one with the root along": by_fulcio(chain=[ROOT]),
        "below an intermediate": by_fulcio(BELOW, chain=[ISSUING, ROOT]),
        "one of two authorities": by_fulcio(rule=fulcio(other, ROOT)),
        "an intermediate as the policy's authority": by_fulcio(BELOW, fulcio(ISSUING)),
        "an authority with P-384": by_fulcio(p384.issue(EMAIL), fulcio(p384)),
        "four intermediates": by_fulcio(four[0].issue(EMAIL), chain=four),
        "five intermediates": by_fulcio(five[0].issue(EMAIL), None, "more than 4", chain=five, elsewhere=True),
        "another authority": by_fulcio(rule=fulcio(other), said=none),
        "another authority of the same name": by_fulcio(impostor.issue(EMAIL), None, none),
        "another authority's chain along": by_fulcio(other.issue(EMAIL), None, none, chain=[other, other]),
        "no chain": by_fulcio(BELOW, None, none),
        "a chain that is not of it": by_fulcio(BELOW, None, none, chain=[other, ROOT]),
        "a chain without its root": by_fulcio(BELOW, None, none, chain=[ISSUING]),
        "an empty chain": by_fulcio(annotations={CHAIN: ""}),
        "a chain of nonsense": by_fulcio(annotations={CHAIN: "nonsense"}, said="can't be read"),
        "a chain that is cut": by_fulcio(BELOW, None, "can't be read", chain=ISSUING.pem.decode()[:300]),
        "a certificate that signs itself": by_fulcio(
            Authority(key("signer"), GOOD.certificate, "self").issue(EMAIL), None, none
        ),
        "logged before it was valid": by_fulcio(at=LOGGED - MINUTES, said=none),
        "logged after it expired": by_fulcio(at=LOGGED + MINUTES, said=none),
        "logged in its last second": by_fulcio(at=LOGGED + MINUTES / 2),
        "an intermediate that had expired": by_fulcio(old.issue(EMAIL), None, none, chain=[old, ROOT]),
        "an authority that had expired": by_fulcio(aged.issue(EMAIL), fulcio(aged), none),
        "an intermediate that is no authority": by_fulcio(not_a_ca.issue(EMAIL), None, none, chain=[not_a_ca, ROOT]),
        "an intermediate that does not say that it is one": by_fulcio(
            unsaid.issue(EMAIL), None, none, chain=[unsaid, ROOT]
        ),
        "an intermediate that may not sign certificates": by_fulcio(
            useless.issue(EMAIL), None, "sign certificates", chain=[useless, ROOT]
        ),
        "an intermediate below one that allows none": by_fulcio(deep.issue(EMAIL), None, none, chain=shallow),
        "an intermediate for servers": by_fulcio(
            for_servers.issue(EMAIL), None, "code signing", chain=[for_servers, ROOT]
        ),
        "an intermediate with something critical and unknown": by_fulcio(
            critical.issue(EMAIL), None, none, chain=[critical, ROOT]
        ),
        "an intermediate for other names": by_fulcio(limited.issue(EMAIL), None, none, chain=[limited, ROOT]),
        "an intermediate that may not give this name": by_fulcio(excluded.issue(EMAIL), None, none, chain=[excluded, ROOT]),
        "something critical and unknown": by_fulcio(ROOT.issue(EMAIL, more=[CRITICAL]), None, none),
        "for any use": by_fulcio(ROOT.issue(EMAIL, uses=[ANY])),
        "for no use in particular": by_fulcio(ROOT.issue(EMAIL, uses=[])),
        "for servers": by_fulcio(ROOT.issue(EMAIL, uses=[SERVER]), None, "code signing"),
        "the issuer in the old form alone": by_fulcio(ROOT.issue(EMAIL, issuers={V1: ISSUER.encode()})),
        "the issuer in the new form alone": by_fulcio(ROOT.issue(EMAIL, issuers={V2: utf8(ISSUER)})),
        "a long issuer": by_fulcio(long, fulcio(oidcIssuer=LONG_ISSUER)),
        "another issuer": by_fulcio(rule=fulcio(oidcIssuer="https://login.elsewhere.example"), said="not https://login.elsewhere"),
        "half of the issuer": by_fulcio(rule=fulcio(oidcIssuer=ISSUER[:-1]), said="is of a subject whom"),
        "no issuer": by_fulcio(ROOT.issue(EMAIL, issuers={}), None, "none of Fulcio's"),
        "two issuers": by_fulcio(
            ROOT.issue(EMAIL, issuers={V1: ISSUER.encode(), V2: utf8("https://evil.example")}), None, "evil.example"
        ),
        "two issuers, the other way round": by_fulcio(
            ROOT.issue(EMAIL, issuers={V1: b"https://evil.example", V2: utf8(ISSUER)}), None, "evil.example"
        ),
        "an issuer with something behind it": by_fulcio(
            ROOT.issue(EMAIL, issuers={V2: utf8(ISSUER) + b"\0"}), None, "is of a subject whom"
        ),
        "an issuer that is not DER": by_fulcio(ROOT.issue(EMAIL, issuers={V2: ISSUER.encode()}), None, "is of a subject whom"),
        "another e-mail": by_fulcio(ROOT.issue("you@site.example"), None, "is of 'you@site.example', not of me@site.example"),
        "the e-mail in other letters": by_fulcio(ROOT.issue("Me@site.example"), None, "not of me@site.example"),
        "two e-mails": by_fulcio(ROOT.issue(EMAIL, "you@site.example"), None, "has 2 subjects", elsewhere=True),
        "two subjects": by_fulcio(ROOT.issue(EMAIL, "https://site.example/me"), None, "has 2 subjects", elsewhere=True),
        "a URI": by_fulcio(ROOT.issue("https://site.example/me"), None, "not of me@site.example"),
        "no subject": by_fulcio(ROOT.issue(), None, "certificate"),
        "the e-mail as a common name": by_fulcio(
            ROOT.issue("you@site.example", common_name=EMAIL), None, "not of me@site.example"
        ),
        "a signer with P-384": by_fulcio(ROOT.issue(EMAIL, kind="p384")),
        "a signer with P-521": by_fulcio(ROOT.issue(EMAIL, kind="p521")),
        "a signer with Ed25519": by_fulcio(ROOT.issue(EMAIL, kind="ed25519")),
        "a signer with RSA of 2048 bits": by_fulcio(ROOT.issue(EMAIL, kind="rsa2048")),
        "a signer with RSA of 1024 bits": by_fulcio(ROOT.issue(EMAIL, kind="rsa1024"), None, "1024 bits", elsewhere=True),
        "no certificate": by_fulcio(annotations={CERTIFICATE: None}, said=f"lacks the annotation {CERTIFICATE}"),
        "two certificates": by_fulcio(annotations={CERTIFICATE: (GOOD.pem * 2).decode()}, said="2 PEM blocks"),
        "a key for a certificate": by_fulcio(annotations={CERTIFICATE: public(KEY).decode()}, said="is a 'PUBLIC KEY'"),
        "nonsense for a certificate": by_fulcio(
            annotations={CERTIFICATE: "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"}, said="can't be read"
        ),
        "another certificate of the same signer": by_fulcio(
            annotations={CERTIFICATE: ROOT.issue(EMAIL).pem.decode()}, said="is of another certificate"
        ),
        "signed by another key": by_fulcio(
            Signer(key("thief"), GOOD.certificate), None, "is not one of"
        ),
        "other content signed": by_fulcio(over=claim(optional={}), said="is not one of"),
        "r is 0": by_fulcio(forged=zero(0), said="is not one of"),
        "s is 0": by_fulcio(forged=zero(1), said="is not one of"),
        "a signature in BER": by_fulcio(forged=padded, said="is not one of"),
        "an empty signature": by_fulcio(annotations={SIGNATURE: ""}, said="is about another signature"),
    }  # fmt: skip


def _log_cases() -> dict[str, Case]:
    stranger, other = Log("stranger"), claim(optional={"creator": "me"})
    hidden = "is not signed by the Rekor log"
    hash_path = "spec__data__hash__"
    return {
        "another log": by_fulcio(log=stranger, said=hidden),
        "one of two logs": by_fulcio(
            rule={**{k: v for k, v in fulcio().items() if k != "rekorPublicKeyData"},
                  "rekorPublicKeyDatas": [b64(stranger.public), b64(LOG.public)]}
        ),
        "a log with P-384": by_fulcio(rule=fulcio(log=Log("large", "p384")), log=Log("large", "p384")),
        "no entry": by_fulcio(annotations={LOG_ENTRY: None}, said=f"lacks the annotation {LOG_ENTRY}"),
        "an empty entry": by_fulcio(annotations={LOG_ENTRY: ""}, said="not JSON"),
        "a null entry": by_fulcio(annotations={LOG_ENTRY: "null"}, said="must be an object"),
        "an entry in another order": by_fulcio(told=lambda d: json.dumps(dict(reversed(d.items())), indent=3)),
        "an unknown member beside it": by_fulcio(told=set_to(Extra=1), said="Extra is not a known key"),
        "an unknown member in what is signed": by_fulcio(promised=set_to(extra=1), said="extra is not a known key"),
        "an unknown member in what is told": by_fulcio(told=set_to(Payload__extra=1), said="extra is not a known key"),
        "a member in other letters": by_fulcio(told=set_to(signedEntryTimestamp="AAAA"), said="also as"),
        "no promise": by_fulcio(told=set_to(SignedEntryTimestamp=None), said="SignedEntryTimestamp is missing"),
        "no payload": by_fulcio(told=set_to(Payload=None), said="Payload"),
        "no time": by_fulcio(promised=set_to(integratedTime=None), said="integratedTime is missing"),
        "no index": by_fulcio(promised=set_to(logIndex=None), said="logIndex is missing"),
        "no log": by_fulcio(promised=set_to(logID=None), said="logID is missing"),
        "no body": by_fulcio(promised=set_to(body=None), said="body is missing"),
        "a promise of another entry": by_fulcio(told=set_to(Payload__logIndex=8), said=hidden),
        "another time told than signed": by_fulcio(told=set_to(Payload__integratedTime=1), said=hidden),
        "a promise with r of 0": by_fulcio(promise=zero(0), said=hidden),
        "a promise with s of 0": by_fulcio(promise=zero(1), said=hidden),
        "a promise in BER": by_fulcio(promise=padded, said=hidden),
        "an empty promise": by_fulcio(promise=lambda raw: b"", said=hidden),
        "an ID of a log with letters to escape": by_fulcio(promised=set_to(logID='é"\\\n\u007f\u2028😀')),
        "the time as text": by_fulcio(promised=set_to(integratedTime="1717243200"), said="must be a whole number"),
        "the time with a fraction": by_fulcio(promised=set_to(integratedTime=1717243200.5), said="must be a whole number"),
        "a time before time": by_fulcio(at=-1, said="must be between"),
        "a time beyond the years": by_fulcio(at=1 << 62, said="must be between"),
        "the body in two members": by_fulcio(
            told=lambda d: json.dumps(d).replace('"body":', '"body": "AAAA", "body":'), said="twice"
        ),
        "the body not base64": by_fulcio(promised=set_to(body="!"), said="not base64"),
        "the body not JSON": by_fulcio(body=lambda d: b"nonsense", said="not JSON"),
        "a body of another kind": by_fulcio(body=set_to(kind="intoto"), said="is a 'intoto'"),
        "a body of another version": by_fulcio(body=set_to(apiVersion="0.0.2"), said="'0.0.2'"),
        "a body with a member twice": by_fulcio(
            body=lambda d: json.dumps(d).replace('"kind":', '"kind": "x", "kind":').encode(), said="twice", elsewhere=True
        ),
        "a body with more in it": by_fulcio(body=set_to(later=1, spec__later=1, spec__data__later={})),
        "another hash": by_fulcio(body=set_to(**{f"{hash_path}algorithm": "sha512"}), said="sha256 is wanted"),
        "no hash": by_fulcio(body=set_to(spec__data={}), said="hash"),
        "no data": by_fulcio(body=set_to(spec__data=None), said="data"),
        "no signature in it": by_fulcio(body=set_to(spec__signature=None), said="signature"),
        "no key in it": by_fulcio(body=set_to(spec__signature__publicKey=None), said="publicKey"),
        "a key in it that is none": by_fulcio(body=set_to(spec__signature__publicKey__content=b64(b"x")), said="no PEM block"),
        "the body of another signature": by_fulcio(listed_signature=b"\x30\0", said="is about another signature"),
        "the body of another payload": by_fulcio(listed_payload=other, said="is about other content"),
        "the body of another certificate": by_fulcio(listed=BELOW, said="is of another certificate"),
        "the body of the bare key": by_fulcio(listed=key("signer"), said="is of another certificate"),
        "the hash in capitals": by_fulcio(
            body=lambda d: d["spec"]["data"]["hash"].update(value=d["spec"]["data"]["hash"]["value"].upper())
        ),
        "a key, listed": by_key(keys(logs=(LOG.public,)), log=LOG),
        "a key, listed by one of two logs": by_key(keys(logs=(stranger.public, LOG.public)), log=LOG),
        "two keys, the second listed": by_key(keys(public(key("thief")), public(KEY), logs=(LOG.public,)), log=LOG),
        "a key, not listed": by_key(keys(logs=(LOG.public,)), f"lacks the annotation {LOG_ENTRY}"),
        "a key, listed by another log": by_key(keys(logs=(LOG.public,)), hidden, log=stranger),
        "a key, another one listed": by_key(
            keys(public(KEY), logs=(LOG.public,)), "is of a key that the policy does not name", log=LOG, listed=key("thief")
        ),
        "a key, another one of the policy's listed": by_key(
            keys(public(KEY), public(key("thief")), logs=(LOG.public,)), "is not one of", log=LOG, listed=key("thief")
        ),
        "a key, another signature listed": by_key(
            keys(logs=(LOG.public,)), "is about another signature", log=LOG, listed_signature=b"\x30\0"
        ),
        "a key, another payload listed": by_key(keys(logs=(LOG.public,)), "is about other content", log=LOG, listed_payload=other),
        "a key that need not be listed, with a bad entry": by_key(keys(), log=stranger),
    }  # fmt: skip


def _pki_cases() -> dict[str, Case]:
    def now(*subjects: str, of: Authority = ROOT, **more: Any) -> Signer:
        return of.issue(*subjects, **{"at": NOW, "life": YEARS, "issuers": {}, **more})

    other = Authority.root("other")
    old = ROOT.below("old", end=NOW - DAY)
    none, host = "no authority that the policy names vouches for it", "build.site.example"
    strange = constrained(permitted="elsewhere.example")
    return {
        "PKI: an e-mail": by_pki(now(EMAIL)),
        "PKI: one of two e-mails": by_pki(now("you@site.example", EMAIL)),
        "PKI: an e-mail beside a host": by_pki(now(host, EMAIL)),
        "PKI: a host": by_pki(now(host), pki(subjectHostname=host)),
        "PKI: a host in other letters": by_pki(now(host), pki(subjectHostname="BUILD.site.example")),
        "PKI: a host by a wildcard": by_pki(now("*.site.example"), pki(subjectHostname=host)),
        "PKI: both": by_pki(now(host, EMAIL), pki(subjectHostname=host, subjectEmail=EMAIL)),
        "PKI: an address": by_pki(now("10.1.2.3"), pki(subjectHostname="10.1.2.3")),
        "PKI: an address of version 6": by_pki(now("fd00::1"), pki(subjectHostname="[fd00::1]")),
        "PKI: an intermediate of the policy's": by_pki(now(EMAIL, of=ISSUING), pki(intermediates=(ISSUING,))),
        "PKI: an intermediate along": by_pki(now(EMAIL, of=ISSUING), chain=[ISSUING, ROOT]),
        "PKI: one of two roots": by_pki(now(EMAIL), pki(other, ROOT)),
        "PKI: a log's entry that nobody asked for": by_pki(now(EMAIL), log=Log("stranger")),
        "PKI: no chain": by_pki(now(EMAIL, of=ISSUING), None, none),
        "PKI: a chain without its root": by_pki(now(EMAIL, of=ISSUING), None, none, chain=[ISSUING]),
        "PKI: another root": by_pki(now(EMAIL), pki(other), none),
        "PKI: an intermediate is not a root": by_pki(now(EMAIL), pki(other, intermediates=(ROOT,)), none),
        "PKI: expired": by_pki(now(EMAIL, life=MINUTES, at=LOGGED), None, none),
        "PKI: not yet valid": by_pki(now(EMAIL, at=NOW + 2 * YEARS), None, none),
        "PKI: expired when it was not listed": by_pki(now(EMAIL, life=MINUTES, at=LOGGED), None, none, log=LOG),
        "PKI: an intermediate that expired": by_pki(now(EMAIL, of=old), pki(intermediates=(old,)), none),
        "PKI: an intermediate for other names": by_pki(now(EMAIL, of=strange), pki(intermediates=(strange,)), none),
        "PKI: another e-mail": by_pki(now("you@site.example"), None, "is of you@site.example, not of me@site.example"),
        "PKI: an e-mail for a host": by_pki(now(EMAIL), pki(subjectHostname=host), none),
        "PKI: a host for an e-mail": by_pki(now(host), None, "nobody with an e-mail address"),
        "PKI: another host": by_pki(now("other.site.example"), pki(subjectHostname=host), none),
        "PKI: a host below": by_pki(now("a.build.site.example"), pki(subjectHostname=host), none),
        "PKI: a wildcard for two parts": by_pki(now("*.example"), pki(subjectHostname=host), none),
        "PKI: the host as a common name": by_pki(now(EMAIL, common_name=host), pki(subjectHostname=host), none),
        "PKI: one of both is missing": by_pki(now(host), pki(subjectHostname=host, subjectEmail=EMAIL), "e-mail"),
        "PKI: the other of both is missing": by_pki(now(EMAIL), pki(subjectHostname=host, subjectEmail=EMAIL), none),
        "PKI: another address": by_pki(now("10.1.2.4"), pki(subjectHostname="10.1.2.3"), none),
        "PKI: for servers": by_pki(now(host, uses=[SERVER]), pki(subjectHostname=host), "code signing"),
        "PKI: no names": by_pki(now(), None, none, elsewhere=False),
        "PKI: signed by another key": by_pki(Signer(key("thief"), now(EMAIL).certificate), None, "is not one of"),
        "PKI: no certificate": by_pki(now(EMAIL), None, "lacks the annotation", annotations={CERTIFICATE: None}),
    }


def _key_cases() -> dict[str, Case]:
    wide = {kind: key("wide", kind) for kind in ("p384", "p521", "ed25519", "rsa2048", "rsa3072")}
    odd = {
        "no optional part": ("optional", "absent", "optional is missing"),
        "an empty optional part": ("optional", {}, ""),
        "an optional part with more": ("optional", {"creator": "me", "timestamp": 1, "tag": [1]}, ""),
        "a creator that is a number": ("optional", {"creator": 1}, "creator"),
        "a time that is text": ("optional", {"timestamp": "1"}, "timestamp"),
        "a time with a fraction": ("optional", {"timestamp": 1.5}, "timestamp"),
    }
    found = {f"by {kind}": by_key(keys(public(each)), signer=each) for kind, each in wide.items()}
    found |= {
        f"by {kind}, r is 0": by_key(keys(public(wide[kind])), "is not one of", wide[kind], forged=zero(0))
        for kind in ("p384", "p521")
    }
    found |= {
        f"by {kind}, in BER": by_key(keys(public(wide[kind])), "is not one of", wide[kind], forged=padded)
        for kind in ("p384",)
    }
    found |= {what: by_key(keys(), said, of=claim(**{name: value})) for what, (name, value, said) in odd.items()}
    return found | {
        "by the second key": by_key(keys(public(key("thief")), public(KEY))),
        "by neither key": by_key(keys(public(key("thief")), public(key("signer"))), "is not one of"),
        "by a certificate's key": by_fulcio(rule=keys(public(key("signer")))),
        "about another image": by_key(keys(), "is about", of=PAYLOAD.replace(IMAGE.root.digest.encode(), digest_of(b"").encode())),
        "under another name": by_key(keys(), "is not accepted as the name", of=PAYLOAD.replace(b"app:1", b"app:2")),
    }  # fmt: skip


@cache
def cases() -> dict[str, Case]:
    """All of them."""
    return _fulcio_cases() | _log_cases() | _pki_cases() | _key_cases()


CASES = tuple(cases())
