"""Images signed on push, and a policy written with them: skopeo, podman and cosign take these and refuse all others.

One bundle is pushed into one registry: signed by GPG and cosign's key at once, with the policy that demands both, and then
with each alone for the tools that know one. Debian 12's skopeo and podman are built without sigstore signatures, so those
are for a newer one, and for `bundler copy`, which obeys such policies as well. Beside the images lie one that nobody signed,
one under another name, and one that another key signed.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from bundler.content import read
from bundler.oci.attached import companion_tags
from bundler.transports.docker.registry import Registry
from bundler.transports.docker.settings import Settings
from bundler.trust.keyfile import write_private_key
from tests.images import image, layer, load
from tests.keyring import Keyring, keyring
from tests.peers import attempt, bundler, bundler_path, demand, docker_registry, needs, podman, run
from tests.workshop import API, KEY_PASSWORD, MULTI, WEB, Workshop, contents, key

pytestmark = needs("skopeo", "docker-registry", "gpg")
STRANGE = image(layer("exporting strange", 700))
NAMES = ("team/web:1.0", "team/api:2.0", "team/multi:3.0", f"team/multi@{MULTI.root.digest}")
HOWS = ("both", "gpg", "cosign")
Judge = tuple[str, str]
"""A way to sign, and a program that obeys the policy for it."""
_NEWER = needs("skopeo-current")
JUDGES = [
    pytest.param(("gpg", "skopeo"), id="gpg"),
    *(pytest.param((how, "skopeo-current"), id=f"{how}, newer", marks=_NEWER) for how in HOWS),
    *(pytest.param((how, "bundler"), id=f"{how}, bundler") for how in HOWS),
]
REFUSED = re.compile(r"bundler: POLICY: .*refused by|Source image rejected: (?!Debian)")


@dataclass(frozen=True, slots=True)
class Site:
    """A far registry with signed images in it, and for each way to sign the policy that was written."""

    host: str
    work: Path
    ring: Keyring
    ann: str

    def policy(self, how: str) -> Path:
        return self.work / f"policy-{how}"

    @property
    def env(self) -> dict[str, str]:
        return {
            "GNUPGHOME": str(self.ring.home),
            "HOME": str(self.work / "home"),
            "BUNDLER_PASSWORD": KEY_PASSWORD.decode(),
        }

    def push(
        self, how: str, *options: str | Path, prefix: str = "", gpg_key: str = "", cosign_key: str = "site"
    ) -> str:
        """Push the bundle, signed; what the command said."""
        signing: list[str | Path] = []
        if how in ("both", "gpg"):
            signing += ["--sign-by", gpg_key or self.ann, "--lookaside", self.work / "lookaside"]
        if how in ("both", "cosign"):
            signing += ["--sign-cosign-key", self.work / f"{cosign_key}.key"]
        return bundler(
            *("push", self.work / "out", "--key", self.work / "release.pub", "--tls-verify=false"),
            *("--to", f"docker://{self.host}/{prefix}", *signing, *options),
            env=self.env,
        )

    def takes(self, judge: Judge, name: str, *options: str) -> bool:
        """Whether a program copies an image under a policy."""
        how, program = judge
        target = self.work / "theirs"
        shutil.rmtree(target, ignore_errors=True)
        done = attempt(
            bundler_path() if program == "bundler" else program,
            *("--policy", self.policy(how) / "policy.json", "--registries.d", self.policy(how) / "registries.d"),
            *("copy", *options, "--remove-signatures", "--src-tls-verify=false"),
            *(f"docker://{self.host}/{name}", f"dir:{target}"),
            env={"HOME": str(self.work / "home")},
        )
        if done.returncode:
            assert REFUSED.search(done.stderr), done.stderr
        return done.returncode == 0


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    demand("skopeo", "docker-registry", "gpg", "gpgconf")
    work = tmp_path_factory.mktemp("exporting")
    (work / "home").mkdir()
    Workshop(work).build()
    (work / "release.pub").write_bytes(key("release").public.pem)
    for name in ("site", "stranger"):
        (work / f"{name}.key").touch(mode=0o600)
        (work / f"{name}.key").write_bytes(write_private_key(key(name), KEY_PASSWORD))
    with docker_registry(work) as running, keyring() as ring:
        made = Site(running.host, work, ring, ring.make("ann", kind="rsa3072"))
        for how in HOWS:
            made.push(how, "--sign-policy", made.policy(how), "--receipt", work / f"receipt-{how}.json")
        mallory = ring.make("mallory", kind="rsa3072")
        made.push("both", prefix="foreign", gpg_key=mallory, cosign_key="stranger")
        with Registry(running.host, Settings(tls_verify=False, proxies={})) as registry:
            web = registry.repository("team/web")
            load(web, {"unsigned": STRANGE, "renamed": WEB})
            load(registry.repository("team/copied"), {"1.0": WEB})
        # The same image in another repository, with its signatures: they name the place where they were made.
        tag = companion_tags(WEB.root.digest)["signature"]
        options = ("copy", "--src-tls-verify=false", "--dest-tls-verify=false")
        run(
            *("skopeo", "--insecure-policy", *options),
            *(f"docker://{running.host}/team/web:{tag}", f"docker://{running.host}/team/copied:{tag}"),
        )
        folder = WEB.root.digest.replace(":", "=")
        shutil.copytree(work / "lookaside" / f"team/web@{folder}", work / "lookaside" / f"team/copied@{folder}")
        yield made


@pytest.mark.parametrize("judge", JUDGES)
@pytest.mark.parametrize("name", NAMES)
def test_what_was_signed_is_taken(judge: Judge, name: str, site: Site) -> None:
    assert site.takes(judge, name)


@pytest.mark.parametrize("judge", JUDGES)
@pytest.mark.parametrize(
    "name",
    [
        pytest.param("team/web:unsigned", id="not signed"),
        pytest.param("team/web:renamed", id="under another tag"),
        pytest.param("team/copied:1.0", id="in another repository, with its signatures"),
        pytest.param("foreign/team/web:1.0", id="signed by another key"),
        pytest.param("foreign/team/multi:3.0", id="an index signed by another key"),
    ],
)
def test_what_was_not_is_refused(judge: Judge, name: str, site: Site) -> None:
    assert not site.takes(judge, name)


@pytest.mark.parametrize("judge", JUDGES)
def test_the_index_itself_is_signed_too(judge: Judge, site: Site) -> None:
    assert site.takes(judge, "team/multi:3.0", "--all")


@needs("podman")
def test_podman_obeys_as_well(site: Site) -> None:
    with podman() as box:
        folder = box.root / ".config" / "containers"
        folder.mkdir(parents=True)
        shutil.copytree(site.policy("gpg") / "registries.d", folder / "registries.d")
        pull = ("pull", "--tls-verify=false", "--signature-policy", site.policy("gpg") / "policy.json")
        box(*pull, f"{site.host}/team/web:1.0")
        refused = attempt(*box.command(*pull, f"{site.host}/team/web:renamed"), env=box.env)
        assert refused.returncode
        assert REFUSED.search(refused.stderr), refused.stderr


@needs("cosign")
@pytest.mark.parametrize("name", NAMES)
def test_cosign_verifies(name: str, site: Site) -> None:
    public = next((site.policy("cosign") / "keys").glob("*.pub"))
    verify = ("cosign", "verify", "--allow-http-registry", "--insecure-ignore-tlog", "--key", public)
    said = json.loads(run(*verify, f"{site.host}/{name}", env=site.env))
    assert said[0]["critical"]["identity"]["docker-reference"].startswith(f"{site.host}/team/")
    assert attempt(*verify, f"{site.host}/foreign/{name}", env=site.env).returncode
    assert attempt(*verify, f"{site.host}/team/web:unsigned", env=site.env).returncode


@needs("cosign")
def test_signatures_of_cosign_that_are_there_or_carried_stay(site: Site, tmp_path: Path) -> None:
    local = ("--allow-http-registry", "--use-signing-config=false", "--tlog-upload=false", "--yes")
    old = ("--new-bundle-format=false", *local)
    env = {**site.env, "COSIGN_PASSWORD": "a word"}
    run("cosign", "generate-key-pair", "--output-key-prefix", tmp_path / "near", env=env)
    run("cosign", "generate-key-pair", "--output-key-prefix", tmp_path / "far", env=env)
    with Registry(site.host, Settings(tls_verify=False, proxies={})) as registry:
        load(registry.repository("near/app"), {"1": API})
        load(registry.repository("far/near/app"), {"0": API})
    by_digest = f"near/app@{API.root.digest}"
    run("cosign", "sign", *old, "--key", tmp_path / "near.key", f"{site.host}/{by_digest}", env=env)
    run("cosign", "sign", *old, "--key", tmp_path / "far.key", f"{site.host}/far/{by_digest}", env=env)
    (tmp_path / "bundle.yaml").write_text(
        "apiVersion: bundler/v1\nkind: Bundle\nname: signed\nregistries:\n"
        f"  '{site.host}': {{tls-verify: false}}\nimages:\n  - {site.host}/near/app:1\n"
    )
    (tmp_path / "release.key").touch(mode=0o600)
    (tmp_path / "release.key").write_bytes(write_private_key(key("release"), KEY_PASSWORD))
    bundler("build", "bundle.yaml", "-o", "out", "--key", "release.key", cwd=tmp_path, env=site.env)
    push = ("push", tmp_path / "out", "--key", site.work / "release.pub", "--tls-verify=false")
    push = (*push, "--to", f"docker://{site.host}/far", "--sign-cosign-key", site.work / "site.key")
    for number in (1, 2):  # the second time, nothing more
        bundler(*push, "--receipt", tmp_path / f"receipt-{number}.json", env=site.env)
    public = next((site.policy("cosign") / "keys").glob("*.pub"))
    for each in (tmp_path / "near.pub", tmp_path / "far.pub", public):
        verify = ("cosign", "verify", "--allow-http-registry", "--insecure-ignore-tlog", "--key", each)
        run(*verify, f"{site.host}/far/near/app:1", env=env)
    with Registry(site.host, Settings(tls_verify=False, proxies={})) as registry:
        repository = registry.repository("far/near/app")
        root = repository.resolve(companion_tags(API.root.digest)["signature"])
        assert len(json.loads(read(repository, root))["layers"]) == 3
    first, second = (json.loads((tmp_path / f"receipt-{number}.json").read_text()) for number in (1, 2))
    assert first["images"] == second["images"]
    assert [each["digest"] for each in first["images"][0]["attachments"]] == [root.digest]


def test_the_receipt_says_who_signed_and_is_true(site: Site) -> None:
    receipt = json.loads((site.work / "receipt-both.json").read_text())
    assert receipt["imageSigners"] == [f"cosign:{key('site').public.key_id}", f"gpg:{site.ann}"]
    assert all(image["attachments"] for image in receipt["images"])
    bundler("verify", "--receipt", site.work / "receipt-both.json", "--tls-verify=false", env=site.env)


def test_signing_again_adds_nothing(site: Site) -> None:
    before = contents(site.work / "lookaside")
    said = site.push("both")
    assert contents(site.work / "lookaside") == before
    assert said


MIRRORED = [pytest.param(each, id=each) for each in ("skopeo", "bundler")]
MIRRORED += [pytest.param("skopeo-current", marks=_NEWER)]


@pytest.mark.parametrize("program", MIRRORED)
def test_old_names_are_found_through_a_mirror_and_judged(program: str, site: Site, tmp_path: Path) -> None:
    (tmp_path / "release.key").touch(mode=0o600)
    (tmp_path / "release.key").write_bytes(write_private_key(key("release"), KEY_PASSWORD))
    with docker_registry(tmp_path, name="near") as near:
        with Registry(near.host, Settings(tls_verify=False, proxies={})) as registry:
            load(registry.repository("lib/app"), {"1": WEB})
        (tmp_path / "bundle.yaml").write_text(
            "apiVersion: bundler/v1\nkind: Bundle\nname: old\nregistries:\n"
            f"  '{near.host}': {{tls-verify: false}}\nimages:\n  - {near.host}/lib/app:1\n"
        )
        bundler("build", "bundle.yaml", "-o", "out", "--key", "release.key", cwd=tmp_path, env=site.env)
    where = f"{site.host}/mirror-{program}"
    policy = tmp_path / "policy"
    bundler(
        *("push", tmp_path / "out", "--key", site.work / "release.pub", "--tls-verify=false"),
        *("--to", f"docker://{where}", "--sign-by", site.ann, "--lookaside", tmp_path / "lookaside"),
        *("--sign-policy", policy, "--sign-policy-mirrored"),
        env=site.env,
    )
    with Registry(site.host, Settings(tls_verify=False, proxies={})) as registry:
        load(registry.repository(f"mirror-{program}/lib/app"), {"2": STRANGE, "3": WEB})
    conf = tmp_path / "registries.conf"
    conf.write_text(
        f'[[registry]]\nlocation = "{near.host}"\n[[registry.mirror]]\nlocation = "{where}"\ninsecure = true\n'
    )
    taken = {}
    for tag in "123":
        done = attempt(
            bundler_path() if program == "bundler" else program,
            *("--policy", policy / "policy.json", "--registries.d", policy / "registries.d", "--registries-conf", conf),
            *("copy", "--remove-signatures", f"docker://{near.host}/lib/app:{tag}", f"dir:{tmp_path / tag}"),
            env={"HOME": str(site.work / "home")},
        )
        taken[tag] = done.returncode == 0
        assert taken[tag] or REFUSED.search(done.stderr), done.stderr
    assert taken == {"1": True, "2": False, "3": False}
