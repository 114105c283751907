"""The whole journey with the real commands and real peers, as two operators would make it.

One journey per way of logging in: skopeo fills the near registry; bundler builds, verifies and pushes into the far one;
skopeo then judges what came out.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from tests.corpus import Corpus, open_corpus
from tests.peers import attempt, bundler, bundler_path, demand, needs, skopeo
from tests.roundtrip import FAR, NEAR, PASSWORD, Journey, open_side, travel

pytestmark = [needs("skopeo", "docker-registry", "htpasswd"), pytest.mark.slow]

VOLUME = 40 << 20


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    demand("skopeo")
    return open_corpus(tmp_path_factory.mktemp("corpus"))


@pytest.fixture(scope="module", params=["htpasswd", "tokens"])
def journey(
    request: pytest.FixtureRequest, corpus: Corpus, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Journey]:
    """The journey with htpasswd, and with Bearer tokens."""
    work = tmp_path_factory.mktemp(request.param)
    with ExitStack() as stack:
        near, far = (
            open_side(stack, work, name, creds, request.param) for name, creds in (("near", NEAR), ("far", FAR))
        )
        corpus.push(near.registry, *near.flags("dest-"))
        if near.tokens is not None:
            near.tokens.asked.clear()
        yield travel(work, corpus, near, far)


class TestBothLogins:
    """Everything between two real registries, with the real commands."""

    def test_several_volumes_none_above_the_limit(self, journey: Journey) -> None:
        volumes = sorted(journey.bundle.glob("volume-*.tar.zst"))
        assert len(volumes) > 1
        assert all(volume.stat().st_size <= VOLUME for volume in volumes)

    def test_the_same_digests_on_both_sides(self, journey: Journey) -> None:
        for name, digest in journey.corpus.digests.items():
            raw = [skopeo("inspect", "--raw", *side.flags(), side.image(name)) for side in (journey.near, journey.far)]
            assert raw[0] == raw[1]
            assert f"sha256:{hashlib.sha256(raw[1].encode()).hexdigest()}" == digest

    def test_skopeo_pulls_every_image_from_the_far_side(self, journey: Journey, tmp_path: Path) -> None:
        for name, digest in journey.corpus.digests.items():
            skopeo("copy", "-q", "--all", *journey.far.flags("src-"), journey.far.image(name), f"dir:{tmp_path / name}")
            manifest = (tmp_path / name / "manifest.json").read_bytes()
            assert f"sha256:{hashlib.sha256(manifest).hexdigest()}" == digest

    def test_no_secret_in_what_was_said_or_written(self, journey: Journey) -> None:
        secrets = [creds.partition(":")[2].encode() for creds in (NEAR, FAR)] + [PASSWORD["BUNDLER_PASSWORD"].encode()]
        written = [path.read_bytes() for path in journey.bundle.iterdir() if not path.name.startswith("volume")]
        written += [(journey.work / name).read_bytes() for name in ("bundle.lock.json", "receipt.json")]
        written += [said.encode() for said in journey.said.values()]
        assert not [secret for secret in secrets for text in written if secret in text]

    def test_the_receipt_names_each_image_and_its_digest(self, journey: Journey) -> None:
        receipt = json.loads((journey.work / "receipt.json").read_text())
        text = json.dumps(receipt)
        for name, digest in journey.corpus.digests.items():
            assert f"corpus/{name}" in text
            assert digest in text

    def test_a_second_push_uploads_nothing(self, journey: Journey) -> None:
        before = listing(journey.far.registry.root)
        to = ["--to", f"docker://{journey.far.registry.host}", *journey.far.flags()]
        bundler("push", journey.bundle, "--key", "release.pub", *to, cwd=journey.work, env=journey.env)
        assert {name for name in listing(journey.far.registry.root) if name.endswith("/data")} == {
            name for name in before if name.endswith("/data")
        }

    def test_wrong_credentials_are_refused_by_class(self, journey: Journey) -> None:
        to = ["--to", f"docker://{journey.far.registry.host}", "--cert-dir", str(journey.far.authority.cert_dir)]
        done = run_bundler(journey, "push", journey.bundle, "--key", "release.pub", *to, "--creds", "site:wrong-word")
        assert done.returncode == 3
        assert "wrong-word" not in done.stderr
        assert journey.far.registry.host in done.stderr

    def test_an_unknown_authority_is_refused(self, journey: Journey) -> None:
        to = ["--to", f"docker://{journey.far.registry.host}", "--cert-dir", str(journey.near.authority.cert_dir)]
        done = run_bundler(journey, "push", journey.bundle, "--key", "release.pub", *to, "--creds", FAR)
        assert done.returncode not in (0, 1)
        assert "certificate" in done.stderr.lower()


@pytest.mark.parametrize("journey", ["tokens"], indirect=True)
class TestTokens:
    """Who asked the token servers, and for what."""

    @pytest.mark.parametrize(("side", "user"), [("near", "builder"), ("far", "site")])
    def test_only_the_side_s_own_user_asked(self, journey: Journey, side: str, user: str) -> None:
        assert {ask.user for ask in journey.asks[side] if ask.granted} == {user}

    def test_the_near_side_asked_to_pull_and_once_for_each_image(self, journey: Journey) -> None:
        scopes = [scope for ask in journey.asks["near"] for scope in ask.scopes]
        # `build` locks and pulls in one process: one token per repository
        assert sorted(scopes) == sorted(f"repository:corpus/{name}:pull" for name in journey.corpus.digests)

    def test_the_far_side_asked_to_push(self, journey: Journey) -> None:
        scopes = {scope for ask in journey.asks["far"] for scope in ask.scopes}
        for name in journey.corpus.digests:
            assert any(scope.startswith(f"repository:corpus/{name}:") and "push" in scope for scope in scopes)


def listing(folder: Path) -> set[str]:
    """Every file below ``folder``."""
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def run_bundler(journey: Journey, *args: str | Path) -> CompletedProcess[str]:
    return attempt(bundler_path(), *args, cwd=journey.work, env=journey.env)
