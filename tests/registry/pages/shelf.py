"""A layer in memory, as the pages see a store or a bundle; and images whose makers wish the reader ill.

shelf = Shelf(STORE); shelf.put("team/app", "1.0", image)
pages = open_pages(shelf)                     # a Caller over the pages alone
pages.call("GET", "/images/team/app:1.0").body
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from starlette.applications import Starlette

from bundler.errors import NotFoundError
from bundler.oci import mediatype
from bundler.oci.descriptor import Descriptor
from bundler.oci.digest import Digest
from bundler.registry.access import Access
from bundler.registry.answers import HANDLERS
from bundler.registry.arrivals import Arrivals
from bundler.registry.contents import Contents
from bundler.registry.layers import Origin
from bundler.registry.names import Named, Names, names_of
from bundler.registry.pages.address import Seen
from bundler.registry.pages.routes import page_routes
from tests.images import Image, Part, artifact, as_json, image, index, layer, manifest_document, part
from tests.registry.caller import Caller

STORE = Origin("/srv/registry/store")
BUNDLE = Origin(
    "/media/usb/edge-000007",
    "edge/stable/7",
    "edge",
    "stable",
    7,
    datetime(2026, 1, 31, 12, tzinfo=UTC),
    ("3f9a1c0d5e7b2468", "aa11bb22cc33dd44"),
    signed=True,
)
UNSIGNED = replace(BUNDLE, label="/media/usb/lab-000001", bundle_id="lab/dev/1", name="lab", signers=(), signed=False)

SCRIPT = "<script>document.title='owned'</script>"
LABELS = {
    "org.example.script": SCRIPT,
    "org.example.break\"out='>": "\"><img src=x onerror=document.title='owned'>",
    "org.opencontainers.image.url": "javascript:document.title='owned'",
    "org.opencontainers.image.source": "data:text/html,<b>source</b>",
    "org.example.spoof": "invoice\u202egnp.exe",
    "org.example.zalgo": "a" + "\u0301" * 60,
    "org.example.long": "0123456789" * 500,
    "org.example.words": "many words " * 60,
    "org.example.controls": "one\ntwo\x1b[31mred\x00\u200bend",
    "org.example.template": "{{ 7 * 7 }}{% raw %}",
    "org.example.entity": "&lt;b&gt; &amp; \u05e9\u05dc\u05d5\u05dd",
}


class Shelf:
    """A :class:`bundler.registry.layers.Layer`."""

    def __init__(self, origin: Origin = STORE) -> None:
        self._origin = origin
        self._raw: dict[Digest, bytes] = {}
        self._named: dict[str, Named] = {}
        self._names = names_of([])

    @property
    def origin(self) -> Origin:
        return self._origin

    def put(self, repository: str, reference: str, what: Image, *, without: tuple[Digest, ...] = ()) -> None:
        """``what`` under a tag or digest, except for the contents that it is to lack."""
        for each in what.parts:
            if each.descriptor.digest not in without:
                self._raw[each.descriptor.digest] = each.raw
        name = f"{repository}{'@' if ':' in reference else ':'}{reference}"
        self._named[name] = Named(name, replace(what.root, annotations={}))
        self._names = names_of(self._named.values())

    def damage(self, digest: Digest) -> None:
        """One bit of a content."""
        raw = self._raw[digest]
        self._raw[digest] = bytes([raw[0] ^ 1]) + raw[1:]

    def names(self) -> Names:
        return self._names

    def size_of(self, digest: Digest) -> int | None:
        return len(self._raw[digest]) if digest in self._raw else None

    def file(self, digest: Digest) -> Path | None:
        return None

    def fetch(self, want: Descriptor) -> Generator[bytes, None, None]:
        if want.digest not in self._raw:
            raise NotFoundError(want.digest)
        yield self._raw[want.digest]

    def served(self, digest: Digest, offset: int = 0) -> Generator[bytes, None, None]:
        yield self._raw[digest][offset:]


@contextmanager
def open_contents(*shelves: Shelf) -> Generator[Contents, None, None]:
    """The shelves as the registry sees them."""
    arrivals = Arrivals(None)
    try:
        yield Contents(shelves, arrivals)
    finally:
        arrivals.close()


@contextmanager
def open_pages(
    *shelves: Shelf,
    access: Access | None = None,
    read_only: bool = True,
    deletion: bool = False,
    public: Seen | None = None,
) -> Generator[Caller, None, None]:
    """The pages over the shelves, without the rest of the registry."""
    with open_contents(*shelves) as contents:
        routes = page_routes(
            contents, access or Access.everyone(), read_only=read_only, deletion=deletion, public=public
        )
        app = Starlette(routes=routes, exception_handlers=HANDLERS)
        app.router.redirect_slashes = False
        yield Caller(app)


def with_config(
    config: Any, *layers: Part, raw: bytes | None = None, kind: str = mediatype.OCI_CONFIG, **manifest: Any
) -> Image:
    """An image whose config is ``config``, or these very bytes, of media type ``kind``."""
    about = part(as_json(config) if raw is None else raw, kind)
    document = {**manifest_document(mediatype.OCI_MANIFEST, about, layers), **manifest}
    root = part(as_json(document), mediatype.OCI_MANIFEST)
    return Image(root.descriptor, (*layers, about, root))


def hostile_image(layers: int = 60) -> Image:
    """Everything in it that a page prints tries something."""
    parts = [layer(f"hostile {n}", 200 + 37 * n) for n in range(layers)]
    steps: list[dict[str, Any]] = []
    for n in range(layers):
        made = {"created": "2026-01-30T10:11:12.5Z", "created_by": f"RUN step {n} && echo {SCRIPT}"}
        steps += [made, {"created_by": f"ENV N={n}", "empty_layer": True}] if n % 10 == 0 else [made]
    steps[1]["created_by"] = "COPY " + "/a/very/long/path/without/any/space" * 40
    config = {
        "created": "2026-01-30T10:11:12Z",
        "author": SCRIPT,
        "architecture": SCRIPT,
        "os": "linux",
        "config": {
            "User": "65532:65532",
            "Entrypoint": ["/bin/app", "--flag", SCRIPT],
            "Cmd": ["serve", "--listen=:8080"],
            "Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin", f"EVIL={SCRIPT}", "LONG=" + "x" * 3000],
            "ExposedPorts": {"8080/tcp": {}, "\"onclick='": {}},
            "WorkingDir": "/srv",
            "Labels": LABELS,
        },
        "rootfs": {"type": "layers", "diff_ids": [each.diff_id for each in parts]},
        "history": steps,
    }
    return with_config(config, *parts, annotations=LABELS)


def site(shelf: Shelf, bundle: Shelf) -> dict[str, Image]:
    """A site's registry with good and bad in it; what is there by name."""
    hostile = hostile_image()
    base = layer("base", 40_000)
    web = image(base, layer("web", 9_000), labels={"org.opencontainers.image.title": "web"})
    arm = image(layer("base-arm", 38_000), layer("web-arm", 9_000), platform="linux/arm64")
    windows = image(layer("windows", 50_000), platform="windows/amd64")
    multi = index(web, arm, windows, annotations={"org.opencontainers.image.created": "2026-01-29T08:00:00Z"})
    sbom = artifact(b'{"packages": []}', subject=multi, annotations={"org.example.note": SCRIPT})
    signature = artifact(b"signature", subject=multi, artifact_type="application/vnd.dev.cosign.artifact.sig.v1+json")
    on_sbom = artifact(b"signed too", subject=sbom, artifact_type="application/vnd.cncf.notary.signature")
    shelf.put("evil/app", "1.0", hostile)
    for number in range(1, 13):
        bundle.put("team/web", f"1.{number}", multi if number > 9 else web)
    absent = image(layer("absent", 3_000), platform="linux/s390x")
    sparse = index(web, absent)
    bundle.put("team/web", "latest", sparse, without=tuple(absent.digests()))
    for each in (sbom, signature, on_sbom):
        bundle.put("team/web", each.root.digest, each)
    cosigned = with_config({}, part(b"payload", "application/vnd.dev.cosign.simplesigning.v1+json"))
    bundle.put("team/web", f"sha256-{multi.root.digest[7:]}.sig", cosigned)
    shelf.put("team/docs", "2026", sbom)
    for n in range(130):
        bundle.put(f"mirror/docker.io/library/part-{n:03d}", "1", web)
    bundle.put("a-repository-with-a-very-long-name-in-one-piece-that-must-wrap/" + "and-more" * 12, "1", web)
    return {"hostile": hostile, "multi": multi, "web": web, "sbom": sbom, "sparse": sparse, "absent": absent}
