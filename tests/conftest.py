"""What every test may ask for: the site's authority, registries of the peers, and the rule for missing programs."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import Any, Protocol

import pytest
from hypothesis import HealthCheck, settings

from tests import images, peers
from tests.authority import Authority

settings.register_profile("quick", max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("deep", max_examples=2000, deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "quick"))


def pytest_addoption(parser: pytest.Parser) -> None:
    """``--require-peers``, for CI."""
    parser.addoption(
        "--require-peers", action="store_true", help="fail, rather than skip, a test whose program is not on PATH"
    )


def pytest_configure(config: pytest.Config) -> None:
    """Let fixtures and xdist's workers know."""
    if config.getoption("--require-peers"):
        os.environ[peers.REQUIRED] = "1"


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip or fail a test that :data:`tests.peers.needs` programs which are not there."""
    for marker in item.iter_markers("peer"):
        peers.demand(*marker.args)


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """The site CA of this test run."""
    return Authority.create(tmp_path_factory.mktemp("site-ca"))


class StartRegistry(Protocol):
    """The type of :func:`start_registry`."""

    def __call__(self, name: str = "registry", **options: Any) -> peers.DockerRegistry:
        """Start one; ``options`` are those of :func:`tests.peers.docker_registry`."""
        ...


@pytest.fixture
def start_registry(tmp_path: Path) -> Iterator[StartRegistry]:
    """``start_registry("near", tls=authority, …)``: a docker-registry that ends with the test."""
    with ExitStack() as stack:

        def start(name: str = "registry", **options: Any) -> peers.DockerRegistry:
            manager: AbstractContextManager[peers.DockerRegistry] = peers.docker_registry(
                tmp_path, name=name, **options
            )
            return stack.enter_context(manager)

        yield start


@pytest.fixture(autouse=True)
def _clean_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test sees the operator's logins, data or proxies, and none leaves anything there."""
    home = tmp_path_factory.mktemp("home")
    for name in [name for name in os.environ if peers.hidden(name)]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(home))


@pytest.fixture(scope="session")
def layout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An OCI layout with one small image, ``app``. Don't write to it."""
    small = images.image(images.layer("base", 20_000), images.layer("app", 5_000))
    return images.write_layout(tmp_path_factory.mktemp("layout"), {"app": small})
