"""policy.json and registries.d: whatever skopeo lets in or refuses, bundler does as well, and each takes the other's signatures.

One registry and one lookaside directory serve both. skopeo runs as a program; of bundler the journey behind ``copy`` runs
in the matrix, and the program itself in the tests after it.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from bundler.errors import PolicyError
from bundler.journey.access import Access, Surroundings
from bundler.journey.copying import Orders, copy
from bundler.journey.ends import Ends
from bundler.journey.fitting import Instances, Wanted
from bundler.journey.host import running_platform
from bundler.transports.docker.registry import Registry
from bundler.transports.docker.settings import Settings
from bundler.trust.keyfile import write_private_key
from tests.images import image, index, layer, load
from tests.keyring import Keyring, keyring
from tests.peers import attempt, bundler, bundler_path, demand, docker_registry, needs, run, skopeo, skopeo_current
from tests.workshop import key

pytestmark = needs("skopeo", "docker-registry", "gpg")
APP, OTHER, ARM = image(layer("app", 900)), image(layer("other", 900)), image(layer("arm", 900), platform="linux/arm64")
BARE = image(layer("bare", 900))
MULTI = index(image(layer("amd", 900)), ARM)


@dataclass(frozen=True, slots=True)
class Place:
    """A registry with signatures beside it, and who made them."""

    host: str
    work: Path
    ring: Keyring
    ann: str
    bob: str
    settings: Path | None = None
    """Another registries.d than the usual one."""

    @property
    def store(self) -> Path:
        return self.work / "lookaside"

    @property
    def registries_d(self) -> Path:
        return self.settings or self.work / "registries.d"

    @property
    def env(self) -> dict[str, str]:
        return {"GNUPGHOME": str(self.ring.home)}

    def policy(self, document: Mapping[str, Any]) -> Path:
        path = self.work / "policy.json"
        path.write_text(json.dumps(document))
        return path

    def skopeo_takes(self, name: str, policy: Path, *options: str, program: str = "skopeo") -> bool:
        shutil.rmtree(self.work / "theirs", ignore_errors=True)
        done = attempt(
            program,
            *("--policy", policy, "--registries.d", self.registries_d),
            *("copy", *options, "--remove-signatures", "--src-tls-verify=false"),
            *(f"docker://{self.host}/{name}", f"dir:{self.work / 'theirs'}"),
        )
        assert done.returncode in (0, 1), done.stderr
        return done.returncode == 0

    def bundler_takes(self, name: str, policy: Path, instances: Instances = Instances.SYSTEM) -> bool:
        shutil.rmtree(self.work / "ours", ignore_errors=True)
        around = Surroundings(policy=policy, registries_d=self.registries_d)
        orders = Orders(Wanted(running_platform(), instances), remove_signatures=True)
        with (
            ThreadPoolExecutor(1) as executor,
            Ends(Access(tls_verify=False), surroundings=around) as near,
            Ends(Access()) as far,
        ):
            place = f"dir:{self.work / 'ours'}"
            try:
                copy(f"docker://{self.host}/{name}", place, orders, near, far, executor=executor)
            except PolicyError:
                assert not (self.work / "ours").exists(), "refused, and still written"
                return False
        return True


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """Images under several names, signed by skopeo or by bundler."""
    demand("skopeo", "docker-registry", "gpg")
    work = tmp_path_factory.mktemp("policy")
    with docker_registry(work) as running, keyring() as ring:
        made = Place(running.host, work, ring, ring.make("ann", kind="rsa3072"), ring.make("bob", kind="rsa3072"))
        made.registries_d.mkdir()
        (made.registries_d / "here.yaml").write_text(
            f"docker:\n  {running.host}:\n    lookaside: file://{made.store}\n    use-sigstore-attachments: true\n"
        )
        for name in ("ann", "bob"):
            (work / f"{name}.gpg").write_bytes(ring.public(name))
        with Registry(running.host, Settings(tls_verify=False, proxies={})) as registry:
            load(registry.repository("team/app"), {"bare": BARE, "src": APP, "src2": OTHER, "list-only": MULTI})
            load(registry.repository("team/copy"), {"1": APP})
        base = f"docker://{running.host}/team/app"
        sign = ("--registries.d", made.registries_d, "copy", "--src-tls-verify=false", "--dest-tls-verify=false")
        skopeo(*sign, "--sign-by", made.ann, f"{base}:src", f"{base}:ann", env=made.env)
        bundler(*sign, "--sign-by", made.bob, f"{base}:src2", f"{base}:bob", env=made.env)
        bundler(*sign, "--sign-by", made.ann, f"{base}:bob", f"{base}:both", env=made.env)
        skopeo(*sign, "--all", "--sign-by", made.ann, f"{base}:list-only", f"{base}:multi", env=made.env)
        shutil.copytree(made.store / "team", work / "elsewhere")
        shutil.move(_of(work / "elsewhere", "app", APP.root.digest), _of(made.store / "team", "copy", APP.root.digest))
        yield made


def _of(folder: Path, name: str, digest: str) -> Path:
    return folder / f"{name}@{digest.replace(':', '=')}"


NAMES = ["team/app:ann", "team/app:src", "team/app:bob", "team/app:both", "team/app:bare", "team/copy:1"]
NAMES += [
    f"team/app@{APP.root.digest}",
    f"team/copy@{APP.root.digest}",
    f"team/app@{BARE.root.digest}",
    "team/app:multi",
]


def _signed(who: str = "ann", **identity: str) -> dict[str, Any]:
    rule: dict[str, Any] = {"type": "signedBy", "keyType": "GPGKeys", "keyPath": f"WORK/{who}.gpg"}
    if identity:
        rule["signedIdentity"] = identity
    return rule


ACCEPT, REJECT = {"type": "insecureAcceptAnything"}, {"type": "reject"}
REQUIREMENTS: dict[str, list[dict[str, Any]]] = {
    "accept": [ACCEPT],
    "reject": [REJECT],
    "accept and reject": [ACCEPT, REJECT],
    "ann": [_signed()],
    "bob": [_signed("bob")],
    "ann and bob": [_signed(), _signed("bob", type="matchRepository")],
    "accept and ann": [ACCEPT, _signed()],
    "one of two keys": [{"type": "signedBy", "keyType": "GPGKeys", "keyPaths": ["WORK/bob.gpg", "WORK/ann.gpg"]}],
    "no such key": [_signed("nobody")],
    "no key in the file": [{**_signed(), "keyPath": "/etc/passwd"}],
    "X.509": [{**_signed(), "keyType": "X509Certificates"}],
    "base layer": [{"type": "signedBaseLayer", "baseLayerIdentity": {"type": "matchExact"}}],
    "matchExact": [_signed(type="matchExact")],
    "matchRepoDigestOrExact": [_signed(type="matchRepoDigestOrExact")],
    "matchRepository": [_signed(type="matchRepository")],
    "exactReference": [_signed(type="exactReference", dockerReference="HOST/team/app:ann")],
    "exactReference, another": [_signed(type="exactReference", dockerReference="HOST/team/app:src")],
    "exactRepository": [_signed(type="exactRepository", dockerRepository="HOST/team/app")],
    "exactRepository, another": [_signed(type="exactRepository", dockerRepository="HOST/team")],
    "remap": [_signed(type="remapIdentity", prefix="HOST/team/copy", signedPrefix="HOST/team/app")],
    "remap, a host": [_signed(type="remapIdentity", prefix="HOST", signedPrefix="HOST")],
    "remap, half a word": [_signed(type="remapIdentity", prefix="HOST/team/co", signedPrefix="HOST/team/ap")],
    "remap, to a short name": [_signed(type="remapIdentity", prefix="HOST/team/copy", signedPrefix="team/app")],
}


def _filled(place: Place, document: Any) -> Any:
    text = json.dumps(document).replace("WORK", str(place.work)).replace("HOST", place.host)
    return json.loads(text)


@pytest.mark.parametrize("name", REQUIREMENTS)
def test_both_take_and_refuse_the_same(name: str, place: Place) -> None:
    policy = place.policy(_filled(place, {"default": [REJECT], "transports": {"docker": {"": REQUIREMENTS[name]}}}))
    names = NAMES if "signedBy" in str(REQUIREMENTS[name]) else NAMES[:2]
    theirs = {image: place.skopeo_takes(image, policy) for image in names}
    assert {image: place.bundler_takes(image, policy) for image in names} == theirs


def test_the_matrix_has_both_answers(place: Place) -> None:
    policy = place.policy(_filled(place, {"default": [_signed()]}))
    taken = {image for image in NAMES if place.skopeo_takes(image, policy)}
    assert taken == {"team/app:ann", f"team/app@{APP.root.digest}", "team/app:both", "team/app:multi"}


SCOPES: dict[str, dict[str, list[dict[str, Any]]]] = {
    "the tag before the repository": {"HOST/team/app:ann": [ACCEPT], "HOST/team/app": [REJECT], "": [REJECT]},
    "a digest": {f"HOST/team/app@{APP.root.digest}": [ACCEPT], "HOST": [REJECT]},
    "the repository before its parent": {"HOST/team/app": [ACCEPT], "HOST/team": [REJECT]},
    "a parent before the host": {"HOST/team": [ACCEPT], "HOST": [REJECT]},
    "the host before a wildcard": {"HOST": [ACCEPT], "*.0.0.1": [REJECT]},
    "the longer wildcard": {"*.0.0.1": [ACCEPT], "*.0.1": [REJECT]},
    "a wildcard before nothing": {"*.1": [ACCEPT], "": [REJECT]},
    "nothing but another host": {"registry.example": [ACCEPT]},
    "half a word": {"HOST/te": [ACCEPT]},
    "a host without its port": {"127.0.0.1": [ACCEPT]},
}


@pytest.mark.parametrize("name", SCOPES)
def test_both_find_the_same_scope(name: str, place: Place) -> None:
    policy = place.policy(_filled(place, {"default": [REJECT], "transports": {"docker": SCOPES[name]}}))
    images = ["team/app:ann", f"team/app@{APP.root.digest}", "team/copy:1"]
    theirs = {image: place.skopeo_takes(image, policy) for image in images}
    assert {image: place.bundler_takes(image, policy) for image in images} == theirs


@pytest.mark.parametrize("how", [(), ("--all",)])
def test_of_an_index_its_images_are_judged(how: tuple[str, ...], place: Place) -> None:
    policy = place.policy(_filled(place, {"default": [_signed(type="matchRepository")]}))
    instances = Instances.ALL if how else Instances.SYSTEM
    folders = [_of(place.store / "team", "app", each.digest) for each in (MULTI.root, ARM.root)]
    for gone in folders:
        hidden = gone.with_name("hidden")
        gone.rename(hidden)
        try:
            theirs = place.skopeo_takes("team/app:multi", policy, *how)
            assert place.bundler_takes("team/app:multi", policy, instances) == theirs
            assert theirs == (gone is folders[0] or not how)
        finally:
            hidden.rename(gone)


MALFORMED = {
    "no default": {"transports": {}},
    "an empty list": {"default": []},
    "an empty list of a scope": {"default": [ACCEPT], "transports": {"docker": {"": []}}},
    "a null": {"default": [ACCEPT], "transports": None},
    "an unknown member": {"default": [ACCEPT], "defaults": []},
    "an unknown member of a requirement": {"default": [{**ACCEPT, "keyPath": "/k"}]},
    "an unknown type": {"default": [{"type": "accept"}]},
    "a type in another case": {"default": [{"Type": "reject"}]},
    "two keys": {"default": [{**_signed(), "keyData": "AAAA"}]},
    "no key": {"default": [{"type": "signedBy", "keyType": "GPGKeys"}]},
    "a reference without a tag": {"default": [_signed(type="exactReference", dockerReference="a.example/b")]},
    "a relative path": {"default": [ACCEPT], "transports": {"dir": {"a/b": [ACCEPT]}}},
    "the root": {"default": [ACCEPT], "transports": {"oci": {"/": [ACCEPT]}}},
    "a path with dots": {"default": [ACCEPT], "transports": {"dir": {"/a/../b": [ACCEPT]}}},
    "a scope of docker-archive": {"default": [ACCEPT], "transports": {"docker-archive": {"/a": [ACCEPT]}}},
    "a scope that is an ID": {"default": [ACCEPT], "transports": {"docker-daemon": {APP.root.digest: [ACCEPT]}}},
    "a bad prefix": {"default": [_signed(type="remapIdentity", prefix="a b", signedPrefix="c")]},
}


@pytest.mark.parametrize("name", MALFORMED)
def test_both_refuse_a_malformed_policy(name: str, place: Place) -> None:
    policy = place.policy(_filled(place, MALFORMED[name]))
    assert not place.skopeo_takes("team/app:ann", policy)
    done = attempt(
        bundler_path(),
        *("--policy", policy, "copy", "--src-tls-verify=false"),
        *(f"docker://{place.host}/team/app:ann", f"dir:{place.work / 'never'}"),
    )
    assert (done.returncode, (place.work / "never").exists()) == (2, False), done.stderr
    assert "policy.json" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_program_refuses_by_name_before_anything_is_written(place: Place, tmp_path: Path) -> None:
    policy = place.policy(_filled(place, {"default": [ACCEPT], "transports": {"docker": {"HOST/team": [_signed()]}}}))
    options = ("--policy", policy, "--registries.d", place.registries_d)
    wrong = (f"docker://{place.host}/team/app:bare", f"dir:{tmp_path / 'out'}")
    done = attempt(bundler_path(), *options, "copy", "--src-tls-verify=false", *wrong)
    assert done.returncode == 17
    for part in (
        f"{place.host}/team/app:bare",
        BARE.root.digest,
        f"{place.host}/team'",
        "signedBy",
        "no simple signature",
    ):
        assert part in done.stderr, part
    assert not (tmp_path / "out").exists()
    run(bundler_path(), "--insecure-policy", "copy", "--src-tls-verify=false", *wrong)


def test_sync_refuses_all_before_anything_is_written(place: Place, tmp_path: Path) -> None:
    policy = place.policy(_filled(place, {"default": [_signed()]}))
    options = ("--policy", policy, "--registries.d", place.registries_d, "sync", "--src", "docker", "--dest", "dir")
    source = ("--src-tls-verify=false", f"{place.host}/team/app", tmp_path / "out")
    run(bundler_path(), *options, *source, status=17)
    assert not any(tmp_path.rglob("manifest.json"))
    done = attempt(bundler_path(), *options, "--keep-going", *source)
    assert done.returncode == 17
    assert {each.parent.name for each in tmp_path.rglob("manifest.json")} == {
        "app:ann",
        "app:both",
        "app:list-only",
        "app:multi",
    } - {"app:list-only"}


def test_sync_signs_each_image_under_its_new_name(place: Place) -> None:
    bundler(
        *("--insecure-policy", "--registries.d", place.registries_d, "sync", "--src", "docker", "--dest", "docker"),
        *("--src-tls-verify=false", "--dest-tls-verify=false", "--sign-by", place.ann, "--all"),
        *(f"{place.host}/team/app", f"{place.host}/mirror"),
        env=place.env,
    )
    policy = place.policy(_filled(place, {"default": [_signed(type="matchExact")]}))
    for name in ("mirror/app:bare", "mirror/app:bob", "mirror/app:list-only"):
        assert place.skopeo_takes(name, policy)
        assert place.bundler_takes(name, policy)
    assert not place.bundler_takes("team/app:bare", policy)


def test_the_users_own_policy_is_obeyed_and_its_absence_is_not_missed(place: Place, tmp_path: Path) -> None:
    image = f"docker://{place.host}/team/app:bare"
    home = tmp_path / "home"
    folder = home / ".config" / "containers"
    folder.mkdir(parents=True)
    env = {"HOME": str(home)}
    copying = ("copy", "--src-tls-verify=false", image)
    run(bundler_path(), *copying, f"dir:{tmp_path / '1'}", env=env)
    (folder / "policy.json").write_text(json.dumps({"default": [REJECT]}))
    run(bundler_path(), *copying, f"dir:{tmp_path / '2'}", env=env, status=17)
    run(bundler_path(), "--insecure-policy", *copying, f"dir:{tmp_path / '3'}", env=env)
    both = ("--insecure-policy", "--policy", folder / "policy.json")
    run(bundler_path(), *both, *copying, f"dir:{tmp_path / '4'}", env=env, status=2)
    (folder / "policy.json").unlink()
    (folder / "policy.json").symlink_to(home / "gone")
    run(bundler_path(), *copying, f"dir:{tmp_path / '4'}", env=env, status=2)


def test_signatures_travel_from_the_registry_to_a_directory_and_back(place: Place, tmp_path: Path) -> None:
    options = ("--insecure-policy", "--registries.d", place.registries_d, "copy")
    there, back = ("--src-tls-verify=false",), ("--dest-tls-verify=false",)
    source, folder = f"docker://{place.host}/team/app:both", f"dir:{tmp_path / 'both'}"
    kept = _of(place.store / "team", "app", OTHER.root.digest)
    signatures = [path.read_bytes() for path in sorted(kept.iterdir())]
    assert len(signatures) == 2
    bundler(*options, *there, source, folder)
    assert [path.read_bytes() for path in sorted((tmp_path / "both").glob("signature-*"))] == signatures
    for program in (skopeo, bundler):
        shutil.rmtree(kept)
        program("--registries.d", place.registries_d, "copy", *back, folder, f"docker://{place.host}/team/app:both")
        assert [path.read_bytes() for path in sorted(kept.iterdir())] == signatures


def test_a_mirror_has_the_signatures_and_the_policy_speaks_of_the_name(place: Place, tmp_path: Path) -> None:
    conf = tmp_path / "registries.conf"
    conf.write_text(
        '[[registry]]\nprefix = "hub.invalid/team"\nlocation = "gone.invalid/x"\n'
        f'[[registry.mirror]]\nlocation = "{place.host}/team"\ninsecure = true\n'
        f'[[registry]]\nprefix = "moved.invalid/team"\nlocation = "{place.host}/team"\ninsecure = true\n'
    )
    remap = {"type": "remapIdentity", "prefix": "hub.invalid", "signedPrefix": place.host}
    rules = {
        "hub.invalid/team": [_filled(place, _signed(**remap))],
        "moved.invalid/team": [_filled(place, _signed(**{**remap, "prefix": "moved.invalid"}))],
        "": [REJECT],
    }
    policy = place.policy({"default": [REJECT], "transports": {"docker": rules}})
    options = ("--policy", policy, "--registries.d", place.registries_d, "--registries-conf", conf, "copy")
    for host in ("hub.invalid", "moved.invalid"):
        for name, taken in (("ann", True), ("bob", False), ("src", False)):
            for program in ("skopeo", bundler_path()):
                out = tmp_path / f"{host}-{name}-{Path(program).name}"
                done = attempt(
                    program, *options, "--remove-signatures", f"docker://{host}/team/app:{name}", f"dir:{out}"
                )
                assert (done.returncode == 0) is taken, done.stderr


def test_a_store_on_the_web(place: Place, tmp_path: Path) -> None:
    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(place.store))) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            (tmp_path / "web.yaml").write_text(
                f"default-docker:\n  sigstore: http://127.0.0.1:{server.server_port}\n  lookaside-staging: file:///gone\n"
            )
            elsewhere = replace(place, settings=tmp_path)
            policy = place.policy(_filled(place, {"default": [_signed()]}))
            theirs = {name: elsewhere.skopeo_takes(name, policy) for name in NAMES}
            assert {name: elsewhere.bundler_takes(name, policy) for name in NAMES} == theirs
            assert theirs["team/app:ann"]
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize("given", ["keyData", "armored"])
def test_keys_within_the_policy(given: str, place: Place) -> None:
    raw = place.ring.public("ann") if given == "keyData" else place.ring("--armor", "--export", "ann")
    rule = {"type": "signedBy", "keyType": "GPGKeys", "keyData": base64.b64encode(raw).decode()}
    policy = place.policy({"default": [rule]})
    for name, taken in (("team/app:ann", True), ("team/app:bob", False)):
        assert place.skopeo_takes(name, policy) == place.bundler_takes(name, policy) == taken


@needs("skopeo-current")
def test_sigstore_signatures_of_each_are_taken_by_the_other(place: Place, tmp_path: Path) -> None:
    pair, stranger = key("attach"), key("stranger")
    private, public, other = tmp_path / "k.private", tmp_path / "k.pub", tmp_path / "other.pub"
    private.write_bytes(write_private_key(pair, b"word"))
    private.chmod(0o600)
    public.write_bytes(pair.public.pem)
    other.write_bytes(stranger.public.pem)
    (tmp_path / "word").write_text("word")
    signing = ("--sign-by-sigstore-private-key", private, "--sign-passphrase-file", tmp_path / "word")
    base = f"docker://{place.host}/team/sigstore"
    for name, program, source in (("theirs", skopeo_current, "bare"), ("ours", bundler, "bob")):
        program(
            *("--registries.d", place.registries_d, "copy", "--src-tls-verify=false", "--dest-tls-verify=false"),
            *("--remove-signatures", *signing, f"docker://{place.host}/team/app:{source}", f"{base}:{name}"),
            env=place.env,
        )
    rule = {"type": "sigstoreSigned", "keyPath": str(public)}
    answers = {
        "this key": ([rule], True),
        "this key, in the policy": (
            [{"type": "sigstoreSigned", "keyData": base64.b64encode(public.read_bytes()).decode()}], True,
        ),
        "another key": ([{"type": "sigstoreSigned", "keyPath": str(other)}], False),
        "one of two keys": ([{"type": "sigstoreSigned", "keyPaths": [str(other), str(public)]}], True),
        "another repository": (
            [{**rule, "signedIdentity": {"type": "exactRepository", "dockerRepository": "a.example/b"}}], False,
        ),
        "a simple signature as well": ([rule, _filled(place, _signed())], False),
    }  # fmt: skip
    for what, (requirements, taken) in answers.items():
        policy = place.policy({"default": requirements})
        for name in ("theirs", "ours"):
            image = f"team/sigstore:{name}"
            assert place.skopeo_takes(image, policy, program="skopeo-current") == taken, (what, name)
            assert place.bundler_takes(image, policy) == taken, (what, name)
    assert not place.bundler_takes("team/app:ann", place.policy({"default": [rule]}))
    # there and back through a directory, with both kinds of signatures
    options = ("--insecure-policy", "--registries.d", place.registries_d, "copy")
    bundler(*options, "--src-tls-verify=false", f"{base}:theirs", f"dir:{tmp_path / 'kept'}")
    bundler(*options, "--dest-tls-verify=false", f"dir:{tmp_path / 'kept'}", f"docker://{place.host}/team/back:theirs")
    policy = place.policy({"default": [{**rule, "signedIdentity": {
        "type": "remapIdentity", "prefix": f"{place.host}/team/back", "signedPrefix": f"{place.host}/team/sigstore",
    }}]})  # fmt: skip
    assert place.skopeo_takes("team/back:theirs", policy, program="skopeo-current")
    assert place.bundler_takes("team/back:theirs", policy)


@needs("skopeo-current", "cosign")
def test_cosign_takes_what_bundler_attached(place: Place, tmp_path: Path) -> None:
    pair = key("cosigned")
    (tmp_path / "k").write_bytes(write_private_key(pair, b"word"))
    (tmp_path / "k").chmod(0o600)
    (tmp_path / "k.pub").write_bytes(pair.public.pem)
    (tmp_path / "word").write_text("word")
    target = f"{place.host}/team/cosign:1"
    bundler(
        *("--registries.d", place.registries_d, "copy", "--remove-signatures"),
        *("--src-tls-verify=false", "--dest-tls-verify=false"),
        *("--sign-by-sigstore-private-key", tmp_path / "k", "--sign-passphrase-file", tmp_path / "word"),
        *(f"docker://{place.host}/team/app:bare", f"docker://{target}"),
    )
    verify = ("cosign", "verify", "--insecure-ignore-tlog", "--allow-http-registry", "--key", tmp_path / "k.pub")
    run(*verify, target, env={"HOME": str(tmp_path), "PATH": os.environ["PATH"]})
