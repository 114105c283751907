"""Simple signatures as GPG makes them, good ones and others: skopeo, by gpgme, and bundler, by gpg, decide the same."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from bundler.trust.simple_signing import TYPE
from tests.images import image, layer, write_dir
from tests.interop.deciding import bundler_lets_in, skopeo_lets_in, written
from tests.keyring import Keyring, keyring
from tests.peers import demand, needs

pytestmark = [needs("skopeo", "gpg"), pytest.mark.slow]
IMAGE = image(layer("gpg", 300))
NAME = "r.example/team/app:1"
THEN = "20200601T000000!"


def payload(**changes: Any) -> bytes:
    document = {
        "critical": {
            "identity": {"docker-reference": NAME},
            "image": {"docker-manifest-digest": IMAGE.root.digest},
            "type": TYPE,
        },
        "optional": {},
        **changes,
    }
    return json.dumps({name: value for name, value in document.items() if value != "absent"}).encode()


@dataclass(frozen=True)
class Site:
    """A ring with keys of every condition, and an image without its signature."""

    work: Path
    ring: Keyring
    known: dict[str, str] = field(default_factory=dict)

    def sign(self, *names: str, options: tuple[str, ...] = ("--sign",), content: bytes | None = None) -> bytes:
        return self.ring.sign(payload() if content is None else content, *names, options=options)

    def at(self, when: str, who: str, *options: str) -> bytes:
        """Signed when the clock said so."""
        return self.ring(
            *("--ignore-time-conflict", "--faked-system-time", when, "--passphrase", ""),
            *("--local-user", self.known[who] + "!", *options, "--sign"),
            stdin=payload(),
        )

    def decide(self, blob: bytes, **keys: Any) -> tuple[bool, bool]:
        """skopeo's answer, and bundler's."""
        (self.work / "image" / "signature-1").write_bytes(blob)
        identity = {"signedIdentity": {"type": "exactReference", "dockerReference": NAME}}
        policy = written(self.work, [{"type": "signedBy", "keyType": "GPGKeys", **keys, **identity}])
        return skopeo_lets_in("dir:image", policy, self.work), bundler_lets_in("dir:image", policy, self.work)

    def file(self, name: str, content: bytes) -> str:
        path = self.work / name
        path.write_bytes(content)
        return str(path)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    demand("skopeo", "gpg")
    work = tmp_path_factory.mktemp("gpg")
    write_dir(work / "image", IMAGE)
    with keyring() as ring:
        made = Site(work, ring)
        for name in ("ann", "bob", "revoked"):
            made.known[name] = ring.make(name, kind="rsa3072")
        made.known["curve"] = ring.make("curve")
        made.known["expired"] = ring.make("expired", kind="rsa3072", life="1y", now="20200101T000000")
        for name, life in (("subkey", "0"), ("old-subkey", "1y")):
            primary = ring.make(name, kind="rsa3072", now="20200101T000000")
            ring(
                "--faked-system-time",
                "20200101T000000!",
                "--passphrase",
                "",
                "--quick-add-key",
                primary,
                "rsa3072",
                "sign",
                life,
            )
            made.known[name] = ring.fingerprints(name)[1]
            made.known[f"{name}'s primary"] = primary
        (work / "revoked.sig").write_bytes(made.sign("revoked"))
        certificate = ring.home / "openpgp-revocs.d" / f"{made.known['revoked']}.rev"
        ring("--import", stdin=certificate.read_bytes().replace(b":-----BEGIN", b"-----BEGIN"))
        yield made


SIGNATURES: dict[str, tuple[bool, tuple[str, ...], Callable[[Site], bytes]]] = {
    "a good one": (True, ("ann",), lambda s: s.sign("ann")),
    "on a curve": (True, ("curve",), lambda s: s.sign("curve")),
    "by one of the keys in a ring": (True, ("bob", "ann", "curve"), lambda s: s.sign("ann")),
    "by another key": (False, ("bob",), lambda s: s.sign("ann")),
    "by a key that expired, before it did": (False, ("expired",), lambda s: s.at(THEN, "expired")),
    "by a good key beside one that expired": (True, ("expired", "ann"), lambda s: s.sign("ann")),
    "by a key that was revoked": (False, ("revoked",), lambda s: (s.work / "revoked.sig").read_bytes()),
    "by a good key beside one that was revoked": (True, ("revoked", "ann"), lambda s: s.sign("ann")),
    "by a primary key that has a subkey": (True, ("subkey",), lambda s: s.at(THEN, "subkey's primary")),
    "by a subkey that expired": (False, ("old-subkey",), lambda s: s.at(THEN, "old-subkey")),
    "that expired itself": (
        False, ("subkey",), lambda s: s.at(THEN, "subkey's primary", "--default-sig-expire", "1d")
    ),
    "of the future": (True, ("ann",), lambda s: s.at("20300101T000000!", "ann")),
    "by two": (False, ("ann", "bob"), lambda s: s.sign("ann", "bob")),
    "by two of whom one is known": (False, ("ann",), lambda s: s.sign("ann", "bob")),
    "in armor": (False, ("ann",), lambda s: s.sign("ann", options=("--armor", "--sign"))),
    "in clear": (False, ("ann",), lambda s: s.sign("ann", options=("--clear-sign",))),
    "beside its text": (False, ("ann",), lambda s: s.sign("ann", options=("--detach-sign",))),
    "not compressed": (True, ("ann",), lambda s: s.sign("ann", options=("-z", "0", "--sign"))),
    "with a bit flipped": (False, ("ann",), lambda s: s.sign("ann")[:-9] + b"\0" + s.sign("ann")[-8:]),
    "of nothing": (False, ("ann",), lambda s: b"\xa3"),
    "without the optional part": (False, ("ann",), lambda s: s.sign("ann", content=payload(optional="absent"))),
    "with null for it": (False, ("ann",), lambda s: s.sign("ann", content=payload(optional=None))),
    "with more in it": (True, ("ann",), lambda s: s.sign("ann", content=payload(optional={"a": [1]}))),
    "with a creator that is a number": (False, ("ann",), lambda s: s.sign("ann", content=payload(optional={"creator": 1}))),
    "with a fraction of a second": (False, ("ann",), lambda s: s.sign("ann", content=payload(optional={"timestamp": 1.5}))),
    "with an unknown member": (False, ("ann",), lambda s: s.sign("ann", content=payload(extra=1))),
    "with a member twice": (
        False, ("ann",), lambda s: s.sign("ann", content=payload().replace(b'"optional":', b'"optional": {}, "optional":'))
    ),
    "with something behind it": (False, ("ann",), lambda s: s.sign("ann", content=payload() + b"{}")),
    "for another name": (False, ("ann",), lambda s: s.sign("ann", content=payload().replace(b"app:1", b"app:2"))),
}  # fmt: skip


@pytest.mark.parametrize("what", SIGNATURES)
def test_signatures(what: str, site: Site) -> None:
    taken, ring, make = SIGNATURES[what]
    assert site.decide(make(site), keyPath=site.file("ring", site.ring.public(*ring))) == (taken, taken)


def test_a_subkey_signs_for_its_key(site: Site) -> None:
    """Debian's skopeo knows primary keys alone; later ones look up whose subkey it is."""
    blob = site.at(THEN, "subkey")
    assert site.decide(blob, keyPath=site.file("ring", site.ring.public("subkey"))) == (False, True)


def test_keys_in_armor_and_in_several_files(site: Site) -> None:
    ann, bob = (site.ring("--armor", "--export", each) for each in ("ann", "bob"))
    files = [site.file("bob", site.ring.public("bob")), site.file("ann", ann)]
    blob = site.sign("ann")
    for keys, taken in (
        ({"keyPath": files[1]}, True),
        ({"keyPath": site.file("both", bob + ann)}, True),
        ({"keyPaths": files}, True),
        ({"keyPaths": files[:1]}, False),
        ({"keyPaths": [*files, str(site.work / "gone")]}, False),
        ({"keyPath": site.file("junk", b"junk")}, False),
        ({"keyPath": site.file("empty", b"")}, False),
    ):
        assert site.decide(blob, **keys) == (taken, taken), keys
