"""cosign 2's signatures under a certificate: what stands in the annotations of a layer, each part of it spoilt."""

from __future__ import annotations

import base64
import copy
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import cache
from typing import Any

import pytest

from bundler.trust.images import sigstore
from bundler.trust.images.cosign import CERTIFICATE, CHAIN, LOG_ENTRY, SIGNATURE
from bundler.trust.images.evidence import DSSE, SIMPLE_SIGNING, Found
from bundler.trust.images.identity import Identity
from bundler.trust.images.judge import Subject as Image
from bundler.trust.images.judge import judge
from bundler.trust.images.requirement import Sigstore, Subject
from tests.trust.images.fulcio import ISSUER, NOW, Fulcio
from tests.trust.images.material import DIGEST, MANIFEST, OTHER, SPDX, attestation, evidence, payload, statement

ME = "me@site.example"
NAME = "reg.io/team/app:1"


@cache
def site(name: str = "site") -> Fulcio:
    return Fulcio()


@dataclass(frozen=True)
class Layer:
    """A layer of a .sig, or of a .att if it has an envelope."""

    content: bytes
    annotations: dict[str, str]

    def changed(self, **annotations: str | None) -> Layer:
        """The same with other annotations; None takes one away."""
        names = {"signature": SIGNATURE, "certificate": CERTIFICATE, "chain": CHAIN, "bundle": LOG_ENTRY}
        said = {**self.annotations, **{names[key]: text for key, text in annotations.items() if text is not None}}
        return Layer(self.content, {k: v for k, v in said.items() if annotations.get(_short(k), "") is not None})

    def entry(self, change: Callable[[dict[str, Any]], None]) -> Layer:
        """The same with a log entry that ``change`` has changed."""
        document = json.loads(self.annotations[LOG_ENTRY])
        change(document)
        return self.changed(bundle=json.dumps(document))


def _short(annotation: str) -> str:
    return annotation.rpartition("/")[2]


def signed(content: bytes | None = None, *subjects: str, by: Fulcio | None = None, **more: Any) -> Layer:
    content = payload() if content is None else content
    return Layer(content, (by or site()).annotated(content, *(subjects or (ME,)), **more))


@cache
def good() -> Layer:
    return signed()


def requirement(predicate_type: str = "", identity: Identity | None = None, subject: str = ME) -> Sigstore:
    return Sigstore(ISSUER, Subject(subject), site().trusted_root, predicate_type, identity or Identity("any"))


def check(layer: Layer, wanted: Sigstore | None = None, name: str = NAME) -> Found:
    piece = evidence("cosign", SIMPLE_SIGNING, layer.content, annotations=layer.annotations)
    return sigstore.check(wanted or requirement(), DIGEST, MANIFEST, name, piece)


def test_a_signature_whose_entry_the_log_promised() -> None:
    found = check(good())
    assert found.problem == ""
    assert found.verified
    assert found.by == (ME,)
    assert found.name == "reg.io/team/app"


def test_it_meets_a_requirement() -> None:
    pieces = [evidence("cosign", SIMPLE_SIGNING, good().content, annotations=good().annotations)]

    def nobody(message: bytes, keys: object) -> tuple[bytes, str]:
        raise AssertionError

    met = judge(requirement(), Image(DIGEST, MANIFEST, NAME), pieces, nobody)
    assert met.met
    assert ME in met.reason
    assert not judge(requirement(subject="you@site"), Image(DIGEST, MANIFEST, NAME), pieces, nobody).met


def test_the_chain_beside_a_certificate_proves_nothing() -> None:
    """What stands above a certificate is for the trusted root to say."""
    foreign = site("other").annotated(payload(), ME)
    assert check(good().changed(chain=foreign[CHAIN])).verified
    assert check(good().changed(chain=None)).verified
    assert check(good().changed(chain="rubbish")).verified
    assert not check(Layer(payload(), {**foreign, CHAIN: good().annotations[CHAIN]})).verified


@pytest.mark.parametrize(
    ("identity", "name", "problem"),
    [
        (Identity("any"), "elsewhere.io/a:1", ""),
        (Identity("matchRepository"), NAME, ""),
        (Identity("matchRepository"), "reg.io/team/other:1", "reg.io/team/app"),
        (Identity("exactRepository", "reg.io/team/app"), "mirror.io/x:1", ""),
        (Identity("exactRepository", "reg.io/team/other"), NAME, "exactRepository"),
    ],
)
def test_which_name_it_may_give(identity: Identity, name: str, problem: str) -> None:
    found = check(good(), requirement(identity=identity), name)
    assert found.verified is not bool(problem)
    assert problem in found.problem


def _other_entry() -> str:
    return signed().annotations[LOG_ENTRY]


def _at(moment: timedelta) -> Fulcio:
    """The same site, when its log took the entry in at another time."""
    moved = Fulcio(NOW + moment)
    moved.ca, moved.ct, moved.rekor, moved.root = site().ca, site().ct, site().rekor, site().root
    return moved


def _log(document: dict[str, Any], **changes: Any) -> None:
    document["Payload"].update(changes)


def _body(document: dict[str, Any], change: Callable[[dict[str, Any]], None]) -> None:
    """Another body, without the log's word for it."""
    body = json.loads(base64.b64decode(document["Payload"]["body"]))
    change(body)
    document["Payload"]["body"] = base64.b64encode(json.dumps(body).encode()).decode()


def _foreign_log() -> Layer:
    """All of the site's, but the log is somebody else's."""
    mixed = copy.copy(site())
    mixed.rekor = site("other").rekor
    return signed(by=mixed)


TAMPERED = base64.b64encode(b"0E\x02\x01\x01").decode()
SPOILT: dict[str, tuple[Callable[[], Layer], str]] = {
    "another image": (lambda: signed(payload(OTHER)), "about another image"),
    "another type": (lambda: signed(payload(type="atomic container signature")), "its type is"),
    "more in the payload": (lambda: signed(payload(extra=1)), "extra"),
    "another subject": (lambda: signed(None, "mallory@site.example"), "is of mallory@"),
    "another issuer": (lambda: signed(issuer="https://evil.example"), "issuer"),
    "two subjects": (lambda: signed(None, ME, "mallory@site.example"), "2 subjects"),
    "no SCT": (lambda: signed(sct=False), "SCT"),
    "foreign site": (lambda: signed(by=site("other")), "chain|SCT|unknown"),
    "foreign log": (_foreign_log, "promise"),
    "no certificate": (lambda: good().changed(certificate=None), "signed by a key"),
    "certificate empty": (lambda: good().changed(certificate=""), "signed by a key"),
    "certificate is rubbish": (lambda: good().changed(certificate="-----BEGIN CERTIFICATE-----"), "PEM"),
    "certificate of a root": (lambda: good().changed(certificate=good().annotations[CHAIN]), "chain|SCT"),
    "certificate is a giant": (lambda: good().changed(certificate=good().annotations[CERTIFICATE] + " " * 70_000), "PEM"),
    "two certificates": (
        lambda: good().changed(certificate=good().annotations[CERTIFICATE] + good().annotations[CHAIN]), "not one"
    ),
    "certificate swapped": (lambda: good().changed(certificate=signed().annotations[CERTIFICATE]), "[Ss]ignature"),
    "no signature": (lambda: good().changed(signature=None), "missing, or not base64"),
    "signature is not base64": (lambda: good().changed(signature="%%"), "missing, or not base64"),
    "signature swapped": (lambda: good().changed(signature=signed().annotations[SIGNATURE]), "[Ss]ignature"),
    "payload changed": (lambda: replace(good(), content=good().content + b" "), "[Ss]ignature"),
    "no entry": (lambda: good().changed(bundle=None), "without the transparency log"),
    "entry empty": (lambda: good().changed(bundle=""), "without the transparency log"),
    "entry is null": (lambda: good().changed(bundle="null"), "must be an object"),
    "entry is a list": (lambda: good().changed(bundle="[]"), "must be an object"),
    "entry is not JSON": (lambda: good().changed(bundle="{"), "not JSON"),
    "entry with trailing data": (lambda: good().changed(bundle=good().annotations[LOG_ENTRY] + "{}"), "not JSON"),
    "entry swapped": (lambda: good().changed(bundle=_other_entry()), "inconsistent"),
    "entry's member in another case": (
        lambda: good().changed(bundle=good().annotations[LOG_ENTRY].replace('"Payload"', '"payload"')), "spelled Payload"
    ),
    "entry's member twice": (
        lambda: good().changed(bundle=good().annotations[LOG_ENTRY].replace('"logID"', '"logId": "", "logID"')), "appears"
    ),
    "no promise": (lambda: good().entry(lambda d: d.pop("SignedEntryTimestamp")), "SignedEntryTimestamp"),
    "promise emptied": (lambda: good().entry(lambda d: d.update(SignedEntryTimestamp="")), "promise"),
    "promise swapped": (
        lambda: good().entry(
            lambda d: d.update(SignedEntryTimestamp=json.loads(_other_entry())["SignedEntryTimestamp"])
        ),
        "promise",
    ),
    "promise is rubbish": (lambda: good().entry(lambda d: d.update(SignedEntryTimestamp=TAMPERED)), "promise"),
    "integrated at another time": (
        lambda: good().entry(lambda d: _log(d, integratedTime=d["Payload"]["integratedTime"] + 60)), "promise"
    ),
    "integrated at 0": (lambda: good().entry(lambda d: _log(d, integratedTime=0)), "with its time"),
    "integrated before 1970": (lambda: good().entry(lambda d: _log(d, integratedTime=-1)), "must be between"),
    "integrated at half a second": (lambda: good().entry(lambda d: _log(d, integratedTime=1.5)), "whole number"),
    "integrated after the certificate's life": (lambda: signed(by=_at(timedelta(minutes=6))), "chain|expired"),
    "integrated before the certificate's life": (lambda: signed(by=_at(timedelta(minutes=-6))), "chain|expired"),
    "another place in the log": (lambda: good().entry(lambda d: _log(d, logIndex=7)), "promise"),
    "another log": (lambda: good().entry(lambda d: _log(d, logID="0" * 64)), "promise"),
    "log's name in capitals": (
        lambda: good().entry(lambda d: _log(d, logID=d["Payload"]["logID"].upper())), "lower-case"
    ),
    "no body": (lambda: good().entry(lambda d: d["Payload"].pop("body")), "body is missing"),
    "body is an object": (lambda: good().entry(lambda d: _log(d, body={})), "body must be text"),
    "body is not base64": (lambda: good().entry(lambda d: _log(d, body="{}")), "standard base64"),
    "body of another kind": (lambda: good().entry(lambda d: _body(d, lambda b: b.update(kind="intoto"))), "hashedrekord"),
    "body of another version": (
        lambda: good().entry(lambda d: _body(d, lambda b: b.update(apiVersion="0.0.2"))), "0.0.1"
    ),
    "body serialised anew": (lambda: good().entry(lambda d: _body(d, lambda b: None)), "promise"),
    "body about another payload": (
        lambda: good().entry(lambda d: _body(d, lambda b: b["spec"]["data"]["hash"].update(value="0" * 64))), "promise"
    ),
}  # fmt: skip


@pytest.mark.parametrize("defect", SPOILT)
def test_a_bad_one_is_told_and_counts_for_nothing(defect: str) -> None:
    layer, problem = SPOILT[defect]
    found = check(layer())
    assert not found.verified, defect
    assert found.problem.isprintable()
    assert re.search(problem, found.problem), found.problem


def test_a_signature_is_no_attestation() -> None:
    found = check(good(), requirement("spdx"))
    assert not found.verified
    assert "not an attestation" in found.problem


# Attestations, in the layers of a .att


def attested(digest: str = DIGEST, kind: str = SPDX, *, by: Fulcio | None = None) -> Layer:
    annotations = (by or site()).annotated(statement(digest, kind), ME, enveloped=True)  # type: ignore[arg-type]
    return Layer(annotations.pop("envelope").encode(), annotations)


def check_attested(layer: Layer, predicate_type: str = "spdx") -> Found:
    piece = evidence("attestation", DSSE, layer.content, annotations=layer.annotations)
    return sigstore.check(requirement(predicate_type), DIGEST, MANIFEST, NAME, piece)


def test_an_attestation_whose_entry_the_log_promised() -> None:
    found = check_attested(attested())
    assert found.problem == ""
    assert found.verified
    assert (found.by, found.predicate_type) == ((ME,), SPDX)


@pytest.mark.parametrize(
    ("layer", "wanted", "problem"),
    [
        pytest.param(lambda: attested(OTHER), "spdx", "another image", id="another image"),
        pytest.param(attested, "cyclonedx", "predicate type", id="another predicate type"),
        pytest.param(lambda: attested(by=site("other")), "spdx", "sigstore: ", id="foreign site"),
        pytest.param(lambda: attested().changed(bundle=None), "spdx", "transparency log", id="no entry"),
        pytest.param(
            lambda: Layer(attested(OTHER).content, attested().annotations), "spdx", "sigstore: ", id="envelope swapped"
        ),
        pytest.param(lambda: Layer(b"{}", attested().annotations), "spdx", "sigstore: ", id="no envelope"),
        pytest.param(lambda: Layer(b"[", attested().annotations), "spdx", "not JSON", id="not JSON"),
        pytest.param(lambda: attested().changed(certificate=None), "spdx", "by a key", id="no certificate"),
    ],
)
def test_a_bad_attestation_is_told(layer: Callable[[], Layer], wanted: str, problem: str) -> None:
    found = check_attested(layer(), wanted)
    assert not found.verified
    assert problem in found.problem


def test_an_attestation_is_no_signature() -> None:
    found = check_attested(attested(), "")
    assert (found.verified, found.problem, found.by) == (False, "", ())
    by_key = sigstore.check(requirement("spdx"), DIGEST, MANIFEST, NAME, attestation())
    assert "by a key" in by_key.problem
