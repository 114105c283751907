"""Where the kept corpus comes from: a valid document or two of each kind, and each with every usual defect.

    python -m tests.fuzz --write [TARGET …]

Files are named ``good-NAME`` (taken), ``bad-NAME-DEFECT`` (refused) or ``any-NAME-DEFECT`` (either is right). What a fuzzer
found is kept beside them as ``found-NAME``.
"""

from __future__ import annotations

import base64
import json
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_der_private_key,
)

from bundler.trust.signing import PrivateKey, generate
from tests.fuzz.targets import CORPUS, TARGETS

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
KEEP = 64 << 10
"""Bytes of one entry."""


def write(names: list[str]) -> Iterator[str]:
    """Write the seeds of these targets anew, or of all; what was found stays. Yields each target's name and number."""
    with tempfile.TemporaryDirectory() as work:
        made = documents(Path(work))
    assert set(made) == set(TARGETS), f"no seeds for {set(TARGETS) ^ set(made)}"
    for name in names or TARGETS:
        folder = CORPUS / name
        folder.mkdir(parents=True, exist_ok=True)
        for old in folder.iterdir():
            if not old.name.startswith("found-"):
                old.unlink()
        entries = {f"good-{label}": raw for label, raw in made[name].items()}
        for label, raw in made[name].items():
            for defect, spoilt in defects(raw).items():
                try:
                    verdict = "any" if TARGETS[name](spoilt) else "bad"
                except Exception as crash:  # kept, for the test to fail on until the parser is mended
                    print(f"{name}: {label}-{defect}: {crash!r}")
                    verdict = "found"
                entries.setdefault(f"{verdict}-{label}-{defect}", spoilt)
        kept: dict[bytes, str] = {}
        for label, raw in entries.items():
            if len(raw) <= KEEP and raw not in kept:
                kept[raw] = label
                (folder / label).write_bytes(raw)
        yield f"{name}: {len(kept)}"


def defects(raw: bytes) -> dict[str, bytes]:
    """The document with one thing wrong at a time."""
    middle = len(raw) // 2
    made = {
        "empty": b"",
        "cut": raw[:middle],
        "last-byte-gone": raw[:-1],
        "trailing-byte": raw + b"\0",
        "trailing-newline": raw + b"\n",
        "twice": raw * 2,
        "byte-order-mark": b"\xef\xbb\xbf" + raw,
        "flipped": raw[:middle] + bytes([raw[middle] ^ 0x80]) + raw[middle + 1 :],
        "zeroed": bytes(len(raw)),
        "not-utf-8": raw[:middle] + b"\xff\xfe" + raw[middle:],
        "utf-16": raw.decode("latin-1").encode("utf-16"),
        "carriage-returns": raw.replace(b"\n", b"\r\n"),
    }
    try:
        value = json.loads(raw)
    except ValueError:
        value = None
    if isinstance(value, dict):
        made |= json_defects(raw, value)
    return made


def json_defects(raw: bytes, value: dict[str, Any]) -> dict[str, bytes]:
    """The same for JSON: what two readers could read differently, and what each member could be instead."""
    first = next(iter(value))
    name = json.dumps(first).encode()
    made = {
        "reserialised": json.dumps(value, indent=3).encode(),
        "duplicate-key": raw.replace(name, name + b": null, " + name, 1),
        "case-folded-key": raw.replace(name, json.dumps(first.swapcase()).encode() + b": null, " + name, 1),
        "long-s-key": raw.replace(name, json.dumps(first.replace("s", "\u017f"), ensure_ascii=False).encode(), 1),
        "unknown-key": raw.replace(b"{", b'{"\\u001b[31m": 1, ', 1),
        "deep": raw.replace(b"{", b'{"a": ' + b"[" * 100 + b"]" * 100 + b", ", 1),
        "not-a-number": raw.replace(b"{", b'{"a": NaN, ', 1),
        "lone-surrogate": raw.replace(b"{", b'{"a": "\\ud800", ', 1),
        "a-list": b"[" + raw + b"]",
        "null": b"null",
    }
    hostile: dict[str, Any] = {
        "null": None,
        "huge": 1 << 70,
        "negative": -1,
        "fraction": 1.5,
        "exponent": 1e308,
        "true": True,
        "text": "\x1b[2J\u202e/../../etc/passwd\0",
        "list": [[]],
        "object": {"": {}},
    }
    for at, key in enumerate(list(value)[:12]):
        kind = list(hostile)[at % len(hostile)]
        made[f"{at}-{kind}"] = json.dumps({**value, key: hostile[kind]}).encode()
        made[f"{at}-absent"] = json.dumps({k: v for k, v in value.items() if k != key}).encode()
    return made


def documents(work: Path) -> Mapping[str, Mapping[str, bytes]]:
    """Valid documents for every target, most of them out of a bundle made here."""
    from bundler.trust.keyfile import write_private_key

    ecdsa, ed25519 = generate("ecdsa-p256"), generate("ed25519")
    return {
        **_of_a_bundle(work, ecdsa, ed25519),
        **_of_images(ecdsa),
        **_of_a_site(work, ecdsa),
        **_of_signers(),
        "public-key": _public_keys(ecdsa, ed25519),
        "private-key": {
            "cosign": write_private_key(ecdsa, b"a word"),
            "pkcs8": _private(ecdsa, PrivateFormat.PKCS8),
            "openssh": _private(ed25519, PrivateFormat.OpenSSH),
        },
        "private-key-der": {"ecdsa": ecdsa.pkcs8(), "ed25519": ed25519.pkcs8()},
        "strict-json": {"every-kind": b'{"a": "\\u00e9\xc3\xa9", "b": 12, "c": [{}], "d": {"e": "f"}}'},
        "reference": {
            "tag": b"docker.io/library/nginx:1.27",
            "digest": b"[::1]:5000/a/b@sha256:" + b"0" * 64,
            "short": b"nginx",
        },
        "challenge": {"bearer": b'Bearer realm="https://auth.example/token",service="r",scope="repository:a:pull"'},
        "registries-conf": {
            "mirrors": b'unqualified-search-registries = ["docker.io"]\n[[registry]]\nlocation = "a.example"\n'
            b'[[registry.mirror]]\nlocation = "m.example/a"\ninsecure = true\n'
        },
        "authfile": {"one": _json({"auths": {"a.example": {"auth": base64.b64encode(b"ann:secret").decode()}}})},
    }


def _json(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def _private(key: PrivateKey, form: PrivateFormat) -> bytes:
    return load_der_private_key(key.pkcs8(), None).private_bytes(Encoding.PEM, form, BestAvailableEncryption(b"a word"))


def _public_keys(ecdsa: PrivateKey, ed25519: PrivateKey) -> Mapping[str, bytes]:
    from bundler.trust.ssh_wire import line_of

    return {
        "ecdsa": ecdsa.public.pem,
        "ed25519": ed25519.public.pem,
        "ssh-ecdsa": f"{line_of(ecdsa.public.spki)} ann\n".encode(),
        "ssh-ed25519": f"{line_of(ed25519.public.spki)} ann\n".encode(),
    }


def _of_a_bundle(work: Path, *keys: PrivateKey) -> Mapping[str, Mapping[str, bytes]]:
    from bundler.bundle import frames, tar
    from bundler.trust.dsse import parse_envelope
    from tests.push.test_receipt import RECEIPT
    from tests.workshop import WEB, Workshop

    place = Workshop(work / "shop")
    place.pull()
    bundle = place.pack("out", *keys).directory
    envelope = (bundle / "bundle.dsse.json").read_bytes()
    text = b"what can be made smaller " * 40
    receipt = RECEIPT.serialised()
    return {
        "envelope": {"two-signers": envelope},
        "statement": {"bundle": parse_envelope(envelope).payload},
        "inventory": {"bundle": (bundle / "inventory.json").read_bytes()},
        "sums": {"bundle": (bundle / "SHA256SUMS").read_bytes()},
        "volume-label": {"first": (bundle / "volume-0001.tar.zst").read_bytes()[:2048]},
        "tar-header": {
            "blob": tar.header(f"blobs/sha256/{'0' * 64}", 1234, mtime=0),
            "pax": tar.header(f"blobs/sha512/{'0' * 128}", 1, mtime=7),
        },
        "frame": {"text": b"".join(frames.compressed([text], len(text)))},
        "lock": {"bundle": place.lock_path.read_bytes()},
        "bundle-yaml": {
            "manifest": place.manifest.read_bytes(),
            "rules": b"apiVersion: bundler/v1\nkind: Bundle\nname: edge\nchannel: stable\nplatforms: [linux/amd64]\n"
            b"images:\n  - image: docker.io/library/httpd\n    tags: {regex: '^2', semver: '>=2 <3', newest: 3}\n",
            "skopeo": b"quay.io:\n  tls-verify: false\n  images:\n    a/b: ['1.0']\n  images-by-tag-regex:\n    c: ^1\n",
            "list": b"# images\ndocker.io/library/nginx:1.27\nquay.io/a/b\n",
        },
        "receipt": {"pushed": receipt},
        "moves": {"pushed": receipt},
        "manifest": {"image": WEB.raw},
        "index-json": {"layout": (place.store / "index.json").read_bytes()},
    }


def _of_images(key: PrivateKey) -> Mapping[str, Mapping[str, bytes]]:
    from bundler.oci.digest import digest_of
    from bundler.trust.dsse import pae
    from bundler.trust.images.cosign import LOG_ENTRY
    from bundler.trust.sigstore_bundle import sigstore_bundle
    from bundler.trust.simple_signing import Payload
    from tests.trust.images.fulcio import Fulcio
    from tests.workshop import MULTI

    digest = digest_of(b"an image")
    simple = Payload(digest, "registry.example/app:1", "bundler", 1_700_000_000).serialised()
    cosign = json.loads(simple)
    cosign["critical"]["type"] = "cosign container image signature"
    statement = _json(
        {
            "_type": "https://in-toto.io/Statement/v1",
            "subject": [{"name": "app", "digest": {"sha256": digest.removeprefix("sha256:")}}],
            "predicateType": "https://slsa.dev/provenance/v1",
            "predicate": {"a": 1},
        }
    )
    kind = "application/vnd.in-toto+json"
    signature = base64.b64encode(key.sign(pae(kind, statement))).decode()
    envelope = {
        "payloadType": kind,
        "payload": base64.b64encode(statement).decode(),
        "signatures": [{"keyid": "", "sig": signature}],
    }
    bundle = sigstore_bundle(key, simple)
    attested = {
        "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
        "verificationMaterial": {"publicKey": {"hint": "x"}},
        "dsseEnvelope": envelope,
    }
    return {
        "simple-signing-payload": {"image": simple},
        "cosign-payload": {"image": _json(cosign)},
        "attestation": {"provenance": statement},
        "image-envelope": {"provenance": _json(envelope)},
        "sigstore-bundle": {"message": bundle, "envelope": _json(attested)},
        "annotated-entry": {"image": Fulcio(NOW).annotated(b"payload", "me@site")[LOG_ENTRY].encode()},
        "stored-signature": {
            "cosign": b"\0sigstore-json\n"
            + _json(
                {
                    "mimeType": "application/vnd.dev.cosign.simplesigning.v1+json",
                    "payload": base64.b64encode(simple).decode(),
                    "annotations": {"dev.cosignproject.cosign/signature": signature},
                }
            )
        },
        "index": {"two-platforms": MULTI.raw},
        "schema1": {
            "unsigned": _json(
                {
                    "schemaVersion": 1,
                    "name": "a/b",
                    "tag": "1",
                    "architecture": "amd64",
                    "fsLayers": [{"blobSum": digest}],
                    "history": [{"v1Compatibility": json.dumps({"id": "0" * 64})}],
                }
            )
        },
    }


def _of_a_site(work: Path, key: PrivateKey) -> Mapping[str, Mapping[str, bytes]]:
    from bundler.journey.rooting import Change, Wanted, begin, change
    from bundler.oci.digest import digest_of
    from bundler.trust.state import Mark, Override, State, write_state

    site, other, denied = work / "site", generate("ed25519"), generate()
    wanted = Wanted(
        keys=(key.public, denied.public), threshold=1, root_keys=(key.public,), names={key.public.key_id: "ann \u00fc"}
    )
    begin(site, wanted, signers=(key,), now=NOW)
    two = Change(channel="beta", add=(other.public,), deny_keys=(denied.public.key_id,))
    change(site, replace(two, deny_statements=(digest_of(b"withdrawn"),)), signers=(key,), now=NOW)
    change(site, Change(root_keys=(other.public,)), signers=(key, other), now=NOW)
    roots = [(site / f"{version}.root.json").read_bytes() for version in (1, 2, 3)]
    one = digest_of(b"one")
    state = State(
        marks={("edge", "stable"): Mark(1, 7, one, one, NOW), ("edge", "beta"): Mark(0, 1, one, one, NOW)},
        floor=NOW,
        overrides=(Override(NOW, "the disk died, \u00fc", "edge", "stable", 1, 6, one),),
        pinned=(1, one.removeprefix("sha256:")),
    )
    return {
        "trust-root": {"first": roots[0], "channels-and-denials": roots[1]},
        "trust-walk": {"two-steps": b"\0".join(roots), "no-step": roots[0]},
        "trust-state": {"new": (site / "state.json").read_bytes(), "full": write_state(state)},
        "trust-yaml": {
            "rules": b"apiVersion: bundler/v1\nkind: TrustPolicy\nchannels: [stable, 'lts-*']\nexpiry: warn\nimages:\n"
            b"  - match: docker.io/library/**\n    cosign: {keys: [k.pub]}\n  - match: '**'\n    nothing: true\n"
        },
        "policy-json": {
            "every-type": _json(
                {
                    "default": [{"type": "reject"}],
                    "transports": {
                        "docker": {
                            "docker.io/library": [
                                {
                                    "type": "signedBy",
                                    "keyType": "GPGKeys",
                                    "keyPath": "/etc/keys.gpg",
                                    "signedIdentity": {
                                        "type": "remapIdentity",
                                        "prefix": "docker.io",
                                        "signedPrefix": "vendor.example",
                                    },
                                }
                            ],
                            "a.example": [{"type": "sigstoreSigned", "keyPath": "/etc/k.pub"}],
                            "b.example": [
                                {
                                    "type": "sigstoreSigned",
                                    "fulcio": {
                                        "caPath": "/ca",
                                        "oidcIssuer": "https://i.example",
                                        "subjectEmail": "a@b",
                                    },
                                    "rekorPublicKeyDatas": ["YQ==", "Yg=="],
                                }
                            ],
                            "c.example": [
                                {
                                    "type": "sigstoreSigned",
                                    "pki": {"caRootsData": "YQ==", "caIntermediatesPath": "/i", "subjectHostname": "b"},
                                }
                            ],
                        },
                        "dir": {"": [{"type": "insecureAcceptAnything"}]},
                    },
                }
            )
        },
        "registries-d": {
            "two": b"default-docker: {lookaside-staging: 'file:///var/lib/s'}\ndocker:\n"
            b"  a.example/b: {lookaside: 'https://s.example', use-sigstore-attachments: true}\n"
        },
    }


def _of_signers() -> Mapping[str, Mapping[str, bytes]]:
    from tests.policy.authorities import ISSUER, V1, Authority, Log, key, public, sign

    root = Authority.root("seed")
    log, signer = Log("seed"), root.issue("me@site.example", at=NOW, life=timedelta(days=3650))
    plain = root.issue("site.example", "me@site.example", at=NOW, issuers={V1: ISSUER.encode()}, common_name="site")
    return {
        "signer-key": {kind: public(key("seed", kind)) for kind in ("p256", "p384", "ed25519", "rsa2048", "rsa3072")},
        "log-entry": {
            "certificate": log.entry(b"payload", sign(signer.key, b"payload"), signer.pem, at=NOW).encode(),
            "key": log.entry(b"payload", sign(signer.key, b"payload"), public(signer.key), at=NOW).encode(),
        },
        "certificate": {
            "fulcio": signer.certificate.public_bytes(Encoding.DER),
            "pki": plain.certificate.public_bytes(Encoding.DER),
        },
    }
