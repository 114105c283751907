"""One registries.conf, read by skopeo and by bundler: both end at the same place, or nowhere.

Two registries hold other images under the same names, so that the digest tells which of them was asked.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from bundler.content import Source, read
from bundler.errors import BundlerError, NetworkError, NotFoundError, PolicyError
from bundler.oci.reference import parse_reference
from bundler.transports.docker.mirrored import mirrored
from bundler.transports.docker.redirects import Endpoint
from bundler.transports.docker.registries_conf import endpoints, load
from bundler.transports.docker.registry import Registry
from bundler.transports.docker.settings import Limits, Settings
from tests.images import Image, image, layer, write_layout
from tests.peers import attempt, demand, docker_registry, needs, skopeo

pytestmark = needs("skopeo", "docker-registry")

ORIGIN, MIRROR, COMMON = (image(layer(name, 3_000)) for name in ("origin", "mirror", "common"))


@dataclass(frozen=True, slots=True)
class Sites:
    """The origin and the mirror, and a port where nobody listens."""

    origin: str
    mirror: str
    down: str = "127.0.0.1:1"

    def filled(self, text: str) -> str:
        """``text`` with the hosts put in."""
        return text.replace("ORIGIN", self.origin).replace("MIRROR", self.mirror).replace("DOWN", self.down)


@pytest.fixture(scope="module")
def sites(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sites]:
    """``team/app:1`` differs, ``team/both:1`` is the same, ``team/only:1`` is at the origin alone."""
    demand("skopeo", "docker-registry")
    work = tmp_path_factory.mktemp("sites")
    layout = write_layout(work / "layout", {"origin": ORIGIN, "mirror": MIRROR, "common": COMMON})
    with ExitStack() as stack:
        hosts = [stack.enter_context(docker_registry(work, name=name)).host for name in ("origin", "mirror")]
        found = Sites(*hosts)
        for what, place in (
            ("origin", f"{found.origin}/team/app:1"),
            ("mirror", f"{found.mirror}/team/app:1"),
            ("mirror", f"{found.mirror}/copies/team/app:1"),
            ("common", f"{found.origin}/team/both:1"),
            ("common", f"{found.mirror}/team/both:1"),
            ("origin", f"{found.origin}/team/only:1"),
        ):
            skopeo("copy", "--dest-tls-verify=false", f"oci:{layout}:{what}", f"docker://{place}")
        yield found


def ours(conf: Path, name: str) -> Source:
    """bundler's source, each registry opened as the file says."""
    reference = parse_reference(name)
    found = endpoints(load(conf, environ={}, home=conf.parent, system=conf.parent / "nowhere"), reference)

    def open_repository(endpoint: Endpoint) -> Source:
        settings = Settings(tls_verify=not endpoint.insecure, limits=Limits(attempts=1), home=conf.parent)
        return Registry(endpoint.reference.registry, settings).repository(endpoint.reference.repository)

    return mirrored(reference, found, open_repository)


PRIMARY = '[[registry]]\nlocation = "ORIGIN"\ninsecure = true\n'
WITH_MIRROR = f'{PRIMARY}[[registry.mirror]]\nlocation = "MIRROR"\ninsecure = true\n'
REWRITTEN = '[[registry]]\nprefix = "example.com/was"\nlocation = "MIRROR/copies"\ninsecure = true\n'
DIGEST = f"@{COMMON.root.digest}"

CASES = [
    pytest.param(PRIMARY, "ORIGIN/team/app:1", ORIGIN, id="no mirror"),
    pytest.param(WITH_MIRROR, "ORIGIN/team/app:1", MIRROR, id="mirror hit"),
    pytest.param(WITH_MIRROR, "ORIGIN/team/only:1", ORIGIN, id="mirror has it not"),
    pytest.param(WITH_MIRROR.replace("MIRROR", "DOWN"), "ORIGIN/team/app:1", ORIGIN, id="mirror down"),
    pytest.param(
        f'{PRIMARY}[[registry.mirror]]\nlocation = "MIRROR"\n', "ORIGIN/team/app:1", ORIGIN, id="mirror without TLS"
    ),
    pytest.param(
        f'{WITH_MIRROR.replace("MIRROR", "DOWN")}[[registry.mirror]]\nlocation = "MIRROR/copies"\ninsecure = true\n',
        "ORIGIN/team/app:1",
        MIRROR,
        id="second mirror, in a path",
    ),
    pytest.param(
        f'{WITH_MIRROR}pull-from-mirror = "digest-only"\n', "ORIGIN/team/app:1", ORIGIN, id="mirror for digests, by tag"
    ),
    pytest.param(
        f'{WITH_MIRROR}pull-from-mirror = "tag-only"\n', "ORIGIN/team/app:1", MIRROR, id="mirror for tags, by tag"
    ),
    pytest.param(
        WITH_MIRROR.replace("[[registry.mirror]]", "mirror-by-digest-only = true\n[[registry.mirror]]"),
        "ORIGIN/team/app:1",
        ORIGIN,
        id="all mirrors for digests, by tag",
    ),
    pytest.param(
        WITH_MIRROR.replace("ORIGIN", "DOWN").replace("insecure", "mirror-by-digest-only = true\ninsecure", 1),
        f"DOWN/team/both{DIGEST}",
        COMMON,
        id="all mirrors for digests, by digest",
    ),
    pytest.param(REWRITTEN, "example.com/was/team/app:1", MIRROR, id="rewritten"),
    pytest.param(
        '[[registry]]\nprefix = "docker.io/team"\nlocation = "ORIGIN/team"\ninsecure = true\n',
        "docker.io/team/app:1",
        ORIGIN,
        id="Docker Hub's namespace",
    ),
    pytest.param(
        '[[registry]]\nprefix = "*.example.com"\nlocation = "MIRROR"\ninsecure = true\n',
        "a.b.example.com/team/app:1",
        MIRROR,
        id="wildcard",
    ),
    pytest.param(
        f'{REWRITTEN}[[registry]]\nprefix = "example.com/was/team"\nlocation = "ORIGIN/team"\ninsecure = true\n',
        "example.com/was/team/app:1",
        ORIGIN,
        id="the longest prefix",
    ),
    pytest.param(
        WITH_MIRROR.replace("insecure", "blocked = true\ninsecure", 1), "ORIGIN/team/app:1", MIRROR, id="blocked origin"
    ),
]


@pytest.mark.parametrize(("text", "name", "expected"), CASES)
def test_both_end_at_the_same_place(sites: Sites, tmp_path: Path, text: str, name: str, expected: Image) -> None:
    conf, name = tmp_path / "registries.conf", sites.filled(name)
    conf.write_text(sites.filled(text))
    theirs = skopeo("--registries-conf", conf, "inspect", "--raw", f"docker://{name}", env={"HOME": str(tmp_path)})
    source = ours(conf, name)
    root = source.resolve(parse_reference(name).identifier)
    assert root.digest == expected.root.digest
    assert theirs.encode() == expected.raw
    assert read(source, expected.parts[0].descriptor) == expected.parts[0].raw


@pytest.mark.parametrize(
    ("text", "name", "error"),
    [
        pytest.param(PRIMARY.replace("insecure", "blocked"), "ORIGIN/team/app:1", PolicyError, id="blocked"),
        pytest.param(
            WITH_MIRROR.replace("insecure", "blocked = true\ninsecure", 1), "ORIGIN/team/only:1", PolicyError,
            id="blocked, and no mirror has it",
        ),
        pytest.param(WITH_MIRROR, "ORIGIN/team/none:1", NotFoundError, id="nowhere"),
        pytest.param(WITH_MIRROR.replace("ORIGIN", "DOWN"), "DOWN/team/only:1", NetworkError, id="all down"),
        pytest.param('[[registry]]\nlocation = "ORIGIN"\n', "ORIGIN/team/app:1", BundlerError, id="no TLS, not said"),
        pytest.param('[[registry]]\nprefix = "ORIGIN"\n', "ORIGIN/team/app:1", BundlerError, id="damaged"),
        pytest.param("[[registry]", "ORIGIN/team/app:1", BundlerError, id="torn"),
        pytest.param(
            '[[registry]]\nprefix = "quay.io"\nlocation = "docker.io"\n', "quay.io/app:1", BundlerError, id="half a name"
        ),
    ],
)  # fmt: skip
def test_both_end_nowhere(sites: Sites, tmp_path: Path, text: str, name: str, error: type[BundlerError]) -> None:
    conf, name = tmp_path / "registries.conf", sites.filled(name)
    conf.write_text(sites.filled(text))
    theirs = attempt(
        "skopeo",
        "--registries-conf",
        conf,
        "inspect",
        "--raw",
        f"docker://{name}",
        env={"HOME": str(tmp_path)},
        timeout=60,
    )
    assert theirs.returncode == 1
    with pytest.raises(error):
        ours(conf, name).resolve(parse_reference(name).identifier)
