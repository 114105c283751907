"""registries.d: skopeo and bundler look for signatures at the same place, and refuse the same files.

An image is let in where its one signature is found, which lies in ``STORE``. Those that are marked with a program are read
otherwise by Debian's skopeo, which is older than the rule.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from bundler.transports.docker.registry import Registry
from bundler.transports.docker.settings import Settings
from bundler.trust.simple_signing import Payload
from tests.images import image, layer, load
from tests.interop.deciding import bundler_lets_in, skopeo_lets_in, written
from tests.keyring import keyring
from tests.peers import demand, docker_registry, needs

pytestmark = needs("skopeo", "docker-registry", "gpg")
IMAGE = image(layer("registries.d", 300))
GOOD = "default-docker: {lookaside: STORE}"


@dataclass(frozen=True)
class Site:
    host: str
    work: Path
    policy: Path

    def folder(self, files: dict[str, str]) -> Path:
        folder = self.work / "registries.d"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        for name, content in files.items():
            text = content.replace("HOST", self.host).replace("STORE", f"file://{self.work}/store")
            (folder / name).write_text(text.replace("PATH", f"{self.work}/store"), newline="")
        return folder


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    demand("skopeo", "docker-registry", "gpg")
    work = tmp_path_factory.mktemp("registries")
    with docker_registry(work) as running, keyring() as ring:
        ring.make("ann", kind="rsa3072")
        (work / "ann.gpg").write_bytes(ring.public("ann"))
        with Registry(running.host, Settings(tls_verify=False, proxies={})) as registry:
            load(registry.repository("team/app"), {"1": IMAGE})
        kept = work / "store" / "team" / f"app@{IMAGE.root.digest.replace(':', '=')}"
        kept.mkdir(parents=True)
        payload = Payload(IMAGE.root.digest, f"{running.host}/team/app:1").serialised()
        (kept / "signature-1").write_bytes(ring.sign(payload, "ann"))
        rule = {"type": "signedBy", "keyType": "GPGKeys", "keyPath": str(work / "ann.gpg")}
        yield Site(running.host, work, written(work, [rule]))


FOUND: dict[str, str | dict[str, str]] = {
    "default-docker": GOOD,
    "by its older name": "default-docker: {sigstore: STORE}",
    "the host": "docker: {'HOST': {lookaside: STORE}}",
    "a namespace": "docker: {'HOST/team': {lookaside: STORE}}",
    "the repository": "docker: {'HOST/team/app': {lookaside: STORE}}",
    "the tag": "docker: {'HOST/team/app:1': {lookaside: STORE}}",
    "a wildcard": "docker: {'*.0.0.1': {lookaside: STORE}}",
    "the longer wildcard": "docker: {'*.0.0.1': {lookaside: STORE}, '*.0.1': {lookaside: 'file:///nowhere'}}",
    "a host before the default": "default-docker: {lookaside: 'file:///nowhere'}\ndocker: {'HOST': {sigstore: STORE}}",
    "a namespace that says something else": "docker: {'HOST': {lookaside: STORE}, 'HOST/team': {use-sigstore-attachments: false}}",
    "a namespace that says nothing": "docker: {'HOST': {lookaside: STORE}, 'HOST/team': }",
    "a namespace with an empty text": "docker: {'HOST': {lookaside: STORE}, 'HOST/team': {lookaside: ''}}",
    "a namespace with a null": "docker: {'HOST': {lookaside: STORE}, 'HOST/team': {lookaside: }}",
    "the newer name of two": "default-docker: {sigstore: 'file:///nowhere', lookaside: STORE}",
    "a staging area beside it": "default-docker: {lookaside-staging: 'file:///nowhere', lookaside: STORE}",
    "two files": {
        "a.yaml": "docker: {'HOST/team': {lookaside: STORE}}",
        "b.yaml": "docker: {'HOST': {lookaside: 'file:///nowhere'}}",
    },
    "an empty file beside it": {"a.yaml": "", "b.yaml": "# nothing\n", "c.yaml": "~", "d.yaml": GOOD},
    "a default without content beside it": {"a.yaml": "default-docker:", "b.yaml": GOOD},
    "a broken file of another kind": {"a.txt": "{{{", "b.yaml": GOOD},
    "a hidden file": {".a.yaml": GOOD},
    "what is unknown beside it": f"{GOOD}\nlater: [1]\ndocker: {{'HOST': {{later: 1}}}}",
    "a slash at the end": "default-docker: {lookaside: STORE/}",
    "an anchor": "x: &s {lookaside: STORE}\ndocker: {'HOST': *s}",
    "a merge": "x: &s {lookaside: STORE}\ndocker: {'HOST': {<<: *s}}",
    "JSON": '{"default-docker": {"lookaside": "STORE"}}',
    "lines of DOS": "default-docker:\r\n  lookaside: STORE\r\n",
    "a byte-order mark": f"\ufeff{GOOD}",
    "marks of a document": f"---\n{GOOD}\n...\n",
    "yes for true": "default-docker: {lookaside: STORE, use-sigstore-attachments: yes}",
}
MISSED: dict[str, str | dict[str, str]] = {
    "another tag": "docker: {'HOST/team/app:2': {lookaside: STORE}}",
    "half a word": "docker: {'HOST/te': {lookaside: STORE}}",
    "a host without its port": "docker: {'127.0.0.1': {lookaside: STORE}}",
    "a short name": "docker: {'app': {lookaside: STORE}}",
    "another place for the namespace": "docker: {'HOST': {lookaside: STORE}, 'HOST/team': {lookaside: 'file:///nowhere'}}",
    "the older name of two": "default-docker: {sigstore: STORE, lookaside: 'file:///nowhere'}",
    "a staging area alone": "default-docker: {lookaside-staging: STORE}",
    "another suffix": {"a.yml": GOOD, "b.YAML": GOOD},
    "nothing": {},
    "a namespace in two files": dict.fromkeys(("a.yaml", "b.yaml"), "docker: {'HOST': {lookaside: STORE}}"),
    "a namespace in two parts": {
        "a.yaml": "docker: {'HOST': {lookaside: STORE}}",
        "b.yaml": "docker: {'HOST': {use-sigstore-attachments: true}}",
    },
    "the default in two files": {"a.yaml": GOOD, "b.yaml": "default-docker: {}"},
    "a broken file": {"a.yaml": "{{{", "b.yaml": GOOD},
    "no scheme": "default-docker: {lookaside: PATH}",
    "a list of places": "default-docker: {lookaside: [STORE]}",
    "a list of namespaces": "docker: [HOST]",
    "a text for a namespace": "docker: {'HOST': STORE}",
    "a list": "- docker",
    "a text": "docker",
    "a number for true": "default-docker: {lookaside: STORE, use-sigstore-attachments: 1}",
    "a text for true": "default-docker: {lookaside: STORE, use-sigstore-attachments: 'true'}",
    "a namespace twice": "docker: {'HOST': {lookaside: STORE}, 'HOST': {lookaside: STORE}}",
    "a member twice": "docker: {'HOST': {lookaside: STORE, lookaside: STORE}}",
    "capitals": "Default-Docker: {lookaside: STORE}",
    "capitals inside": "default-docker: {Lookaside: STORE}",
}
NEWER = ("a namespace twice", "a member twice", "capitals", "capitals inside")
"""Debian's skopeo reads these, a current one does not."""


@pytest.mark.parametrize("what", [*FOUND, *MISSED])
def test_both_look_at_the_same_place(what: str, site: Site) -> None:
    given = (FOUND | MISSED)[what]
    folder = site.folder(given if isinstance(given, dict) else {"a.yaml": given})
    source = f"docker://{site.host}/team/app:1"
    assert bundler_lets_in(source, site.policy, site.work, folder) is (what in FOUND)
    assert skopeo_lets_in(source, site.policy, site.work, folder) is (what in FOUND or what in NEWER)


@needs("skopeo-current", "docker-registry", "gpg")
@pytest.mark.parametrize("what", [*FOUND, *MISSED])
def test_a_current_skopeo_does_as_well(what: str, site: Site) -> None:
    given = (FOUND | MISSED)[what]
    folder = site.folder(given if isinstance(given, dict) else {"a.yaml": given})
    source = f"docker://{site.host}/team/app:1"
    assert skopeo_lets_in(source, site.policy, site.work, folder, program="skopeo-current") is (what in FOUND)
