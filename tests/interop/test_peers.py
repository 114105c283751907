"""The test ground itself: the peers' registries do what the tests of bundler take for granted."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.authority import Authority
from tests.conftest import StartRegistry
from tests.images import Image, family, write_dir, write_layout
from tests.peers import attempt, needs, skopeo, umoci
from tests.tokens import TokenServer


@pytest.fixture(scope="module")
def images() -> dict[str, Image]:
    return family()


@pytest.fixture(scope="module")
def held(images: dict[str, Image], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_layout(tmp_path_factory.mktemp("family"), images)


@needs("skopeo", "docker-registry")
class TestRegistries:
    def push(self, layout: Path, where: str, *options: str | Path) -> None:
        skopeo("copy", *options, f"oci:{layout}:app", f"docker://{where}/app:1")

    def test_plain(self, layout: Path, start_registry: StartRegistry) -> None:
        self.push(layout, start_registry().host, "--dest-tls-verify=false")

    def test_tls_and_htpasswd(self, layout: Path, authority: Authority, start_registry: StartRegistry) -> None:
        near = start_registry(tls=authority, htpasswd={"ann": "secret"})
        self.push(layout, near.host, "--dest-cert-dir", authority.cert_dir, "--dest-creds", "ann:secret")
        wrong = ["--cert-dir", str(authority.cert_dir), "--creds", "ann:wrong", f"docker://{near.host}/app:1"]
        assert "unauthorized" in attempt("skopeo", "inspect", *wrong).stderr

    @pytest.mark.parametrize("oauth", [True, False], ids=["oauth", "get-only"])
    def test_tokens(
        self, layout: Path, tmp_path: Path, authority: Authority, start_registry: StartRegistry, oauth: bool
    ) -> None:
        server = TokenServer(users={"ann": "secret"}, tls=authority, oauth=oauth)
        with server.running(tmp_path / "tokens") as tokens:
            near = start_registry(tls=authority, token=tokens)
            self.push(layout, near.host, "--dest-cert-dir", authority.cert_dir, "--dest-creds", "ann:secret")
            wrong = ["--cert-dir", str(authority.cert_dir), "--creds", "ann:wrong", f"docker://{near.host}/app:1"]
            assert attempt("skopeo", "inspect", *wrong).returncode == 1
        assert {ask.user for ask in tokens.asked if ask.granted} == {"ann"}
        assert any(scope.startswith("repository:app:") for ask in tokens.asked for scope in ask.scopes)


@needs("skopeo", "umoci", "docker-registry")
class TestImages:
    def test_skopeo_copies_each_and_keeps_its_digest(
        self, held: Path, images: dict[str, Image], tmp_path: Path, start_registry: StartRegistry
    ) -> None:
        far = start_registry()
        for name in ("base", "web", "docker", "multi", "multi-docker", "zstd"):
            where = f"docker://{far.host}/{name}:1"
            origin = f"oci:{held}:{name}"
            if "docker" in name:
                origin = f"dir:{write_dir(tmp_path / name, images[name])}"
            skopeo("copy", "--all", "--preserve-digests", "--dest-tls-verify=false", origin, where)
            raw = skopeo("inspect", "--raw", "--tls-verify=false", where)
            assert raw.encode() == images[name].raw

    def test_umoci_unpacks(self, held: Path, tmp_path: Path) -> None:
        umoci("unpack", "--rootless", "--image", f"{held}:web", tmp_path / "out")
        assert (tmp_path / "out/rootfs/srv/web/noise.bin").stat().st_size == 10_000
