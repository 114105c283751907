"""What tests of the whole journey share: a manifest over a layout, a run over it, keys, bundles, and files compared.

place = Workshop(tmp_path)                                 # bundle.yaml over the layout upstream/, which holds IMAGES
place.pull(); place.pack("out"); place.verify("out")
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

from bundler.content import Observer, silent
from bundler.journey import near, packing
from bundler.journey.access import Access
from bundler.journey.demand import Demand
from bundler.journey.far import Pushed, Route, Verdict, push, verify
from bundler.journey.near import Pulled, Run, open_run
from bundler.journey.packing import Packed, Shape
from bundler.selection.lock import Lock
from bundler.trust.signing import PrivateKey, generate
from tests.images import Image, artifact, image, index, layer, write_layout

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
MIB = 1 << 20
_BASE = layer("workshop base", 4_000)
WEB = image(_BASE, layer("workshop web", 2_000))
API = image(_BASE, layer("workshop api", 3_000))
MULTI = index(WEB, image(layer("workshop arm", 1_000), platform="linux/arm64"))
IMAGES: Mapping[str, Image] = {
    "reg.io/team/web:1.0": WEB,
    "reg.io/team/api:2.0": API,
    "reg.io/team/multi:3.0": MULTI,
    "reg.io/team/note:1": artifact(b"a note", artifact_type="application/vnd.example.note"),
}
EVERYTHING = "".join(f"  - oci:upstream:{name}\n" for name in IMAGES)
KEY_PASSWORD = b"a password for tests"


@cache
def key(name: str, kind: str = "ecdsa-p256") -> PrivateKey:
    """The key of that name, the same all through a test run."""
    return generate(kind)


def ready(*keys: PrivateKey) -> Future[tuple[PrivateKey, ...]]:
    """Keys that have been opened."""
    future: Future[tuple[PrivateKey, ...]] = Future()
    future.set_result(keys)
    return future


def write_manifest(folder: Path, images: str, *, head: str = "", name: str = "bundle.yaml") -> Path:
    """A bundle.yaml named ``edge``; ``images`` are the lines below that key."""
    path = folder / name
    path.write_text(f"apiVersion: bundler/v1\nkind: Bundle\nname: edge\n{head}images:\n{images}")
    return path


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below a folder."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@contextmanager
def working(
    path: Path, access: Access | None = None, *, observer: Observer = silent, executor: Executor | None = None
) -> Iterator[Run]:
    """A run over a manifest."""
    with (
        ThreadPoolExecutor(3) as own,
        open_run(path, access or Access(), executor=executor or own, observer=observer) as run,
    ):
        yield run


class Workshop:
    """One folder with a manifest, and the steps of the journey as they are called from there."""

    def __init__(
        self,
        folder: Path,
        images: str = EVERYTHING,
        *,
        head: str = "",
        upstream: Mapping[str, Image] = IMAGES,
        access: Access | None = None,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.access = access or Access()
        self.upstream = write_layout(folder / "upstream", upstream)
        self.manifest = write_manifest(folder, images, head=head)
        self.store = folder / "store"
        self.lock_path = folder / "bundle.lock.json"

    @contextmanager
    def run(self, observer: Observer = silent) -> Iterator[Run]:
        """A run."""
        with working(self.manifest, self.access, observer=observer) as run:
            yield run

    def lock(self, now: datetime = NOW, **options: object) -> Lock:
        """The lock, made or kept."""
        with self.run() as run:
            return near.make_lock(run, now=now, **options)  # type: ignore[arg-type]  # passed through

    def pull(self, now: datetime = NOW, observer: Observer = silent) -> Pulled:
        """All of it in the store."""
        with self.run(observer) as run:
            return near.pull(run, self.store, now=now)

    def pack(self, name: str = "out", *keys: PrivateKey, limit: int = MIB, serial: int | None = None) -> Packed:
        """A bundle in the folder ``name``, signed with :func:`key` ``release`` unless others are given."""
        with self.run() as run:
            shape = Shape(limit, 3, ready(*(keys or (key("release"),))))
            return packing.pack(run, self.store, self.folder / name, shape, serial=serial)

    def stream(self, name: str = "out", *, limit: int = MIB) -> Packed:
        """The same without a store."""
        with self.run() as run:
            near.ensure_lock(run, now=NOW)
            return packing.pack_from_registries(run, self.folder / name, Shape(limit, 3, ready(key("release"))))

    def build(self, name: str = "out") -> Path:
        """A bundle from nothing."""
        self.pull()
        return self.pack(name).directory

    def demand(self, *keys: PrivateKey, threshold: int = 1, now: datetime = NOW, allow_expired: bool = False) -> Demand:
        """What a bundle must satisfy."""
        return Demand(tuple(k.public for k in keys or (key("release"),)), threshold, now, allow_expired)

    def verify(self, name: str = "out", *, quick: bool = False, damage: bool = False) -> Verdict:
        """A verdict on a bundle in the folder ``name``."""
        with ThreadPoolExecutor(2) as executor:
            return verify(self.folder / name, self.demand(), quick=quick, damage=damage, executor=executor)

    def push(
        self, to: str, name: str = "out", *, access: Access | None = None, **route: Sequence[str] | bool
    ) -> Pushed:
        """A bundle at its destination."""
        with ThreadPoolExecutor(3) as executor:
            return push(
                self.folder / name,
                self.demand(),
                Route(to, **route),  # type: ignore[arg-type]  # passed through
                access or Access(tls_verify=False),
                executor=executor,
            )
