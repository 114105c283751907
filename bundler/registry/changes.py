"""What clients change: blobs that arrive or are mounted, manifests and tags that are put, and what is deleted.

All of it goes into the store, which is the first layer. Every change holds the store together with others for as long as
it takes, so garbage is collected between two changes, never within one. A manifest is taken only if all that it needs is
in its repository; what of it lies in a bundle behind the store is copied into the store then, so that whatever the store
names it also holds. Children of an index may be absent: a sparse index is what a selection of platforms makes.

A manifest that was pushed by its digest alone has a name of that kind. The name goes when an index comes that lists it:
from then on it lives as long as the index, as everybody who pushes an image for several platforms expects.

Deleting takes names away. The bytes stay until garbage is collected.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass

from bundler.content import verified
from bundler.errors import LimitError, NotFoundError, ProtocolError, UnsupportedError, quoted
from bundler.oci.descriptor import Descriptor
from bundler.oci.digest import Digest, digest_of
from bundler.oci.manifest import Manifest, parse_manifest, sniff_media_type
from bundler.registry.contents import Contents
from bundler.registry.failure import Failure
from bundler.registry.layers import BLOB, Blob
from bundler.registry.names import Named, is_referrers_tag, split_name
from bundler.registry.store_layer import StoreLayer
from bundler.registry.uploads import PATIENCE_SECONDS, Upload
from bundler.store import Store


def _anything(_repository: str) -> None:
    """Nobody is kept from anything."""


@dataclass(frozen=True, slots=True)
class Put:
    """What a manifest became, and whose referrer it is, if it is one."""

    root: Descriptor
    subject: Digest | None


class Changes:
    """Every method blocks on the disk; threads may share one."""

    def __init__(self, contents: Contents, layer: StoreLayer) -> None:
        """``layer`` is the first of ``contents``."""
        self._contents = contents
        self._layer = layer
        self._store: Store = layer.store
        self._arrivals = contents.arrivals
        self._tagging = threading.Lock()

    @contextmanager
    def _changing(self) -> Iterator[None]:
        with self._store.shared("registry serve", patience=PATIENCE_SECONDS):
            yield

    # What arrives

    def commit(self, upload: Upload, digest: Digest) -> None:
        """Make what arrived the blob ``digest``; :class:`bundler.errors.DigestError` if it is something else."""
        upload.check(digest)
        want = Descriptor(BLOB, digest, upload.offset)
        with self._changing():
            if not self._store.has(want):
                self._store.commit(want, upload.file)
            self._arrivals.note(upload.repository, [want])

    def mount(self, repository: str, digest: Digest, origins: Iterable[str]) -> bool:
        """Let a blob of one of ``origins`` be in ``repository`` too; false if none has it."""
        with self._changing():
            for origin in origins:
                blob = self._contents.blob(origin, digest)
                if blob is not None:
                    self._arrivals.note(repository, [Descriptor(BLOB, digest, blob.size)])
                    return True
        return False

    def keep(self, repository: str, digest: Digest) -> Blob | None:
        """A blob of ``repository``, for somebody who may push: who is told that it is here relies on it."""
        with self._changing():
            blob = self._contents.blob(repository, digest)
            if blob is not None:
                self._arrivals.note(repository, [Descriptor(BLOB, digest, blob.size)])
            return blob

    def put(
        self,
        repository: str,
        raw: bytes,
        media_type: str,
        *,
        algorithm: str = "sha256",
        tags: Sequence[str] = (),
        allowed: Callable[[Digest | None], bool] = lambda _current: True,
    ) -> Put:
        """Store a manifest under ``tags``, or under its digest if there are none.

        ``allowed`` is asked about what each tag stands for. Raises :class:`Failure` 400 for a manifest that can't be taken
        as ``media_type``, or that needs what is not here, and 412 where a tag is not allowed to be moved.
        """
        root = Descriptor(media_type, digest_of(raw, algorithm), len(raw))
        what = f"{repository}: {root.digest}"
        try:
            manifest = _parsed(raw, media_type, what=what)
            self._enter(repository, (root, raw, manifest), tags, allowed)
        except LimitError as error:
            raise Failure(413, "MANIFEST_INVALID", str(error)) from error
        except (ProtocolError, UnsupportedError) as error:
            raise Failure(400, "MANIFEST_INVALID", str(error)) from error
        self._contents.changed()
        return Put(root, None if manifest.subject is None else manifest.subject.digest)

    def _enter(
        self,
        repository: str,
        document: tuple[Descriptor, bytes, Manifest],
        tags: Sequence[str],
        allowed: Callable[[Digest | None], bool],
    ) -> None:
        root, raw, manifest = document
        names = [f"{repository}:{tag}" for tag in tags] or [f"{repository}@{root.digest}"]
        with self._changing():
            outside = self._gather(repository, manifest)
            if not self._store.has(root):
                self._store.push(root, [raw])
            reach = self._contents.reach(Named(names[0], root, outside))  # which fails beyond the caps
            led_to = () if any(map(is_referrers_tag, tags)) else [f"{repository}@{each}" for each in reach.manifests]
            led_to = [name for name in led_to if name not in names]
            with self._tagging:
                replaced = {tag: self._contents.tagged(repository, tag) for tag in tags}
                for tag, named in replaced.items():
                    if not allowed(_root(named)):
                        raise Failure(
                            412, "DENIED", f"{repository}:{tag} stands for {_root(named) or 'nothing'} by now"
                        )
                for named in replaced.values():
                    if named is not None and named.root.digest != root.digest:
                        self._keep_all(repository, named)
                self._store.tag_all([(name, root) for name in names], without=outside, instead_of=led_to)
                self._arrivals.note(repository, [root])

    def _gather(self, repository: str, manifest: Manifest) -> frozenset[Digest]:
        """Require what a manifest needs to be in the repository, and bring it into the store.

        Gives the children of indexes that are not: what others have put into the store is nothing of this repository.
        """
        needed = () if manifest.is_index else manifest.children()
        absent = [want.digest for want in needed if not self._holds(repository, want)]
        if absent:
            raise Failure(
                400,
                "MANIFEST_BLOB_UNKNOWN",
                f"{repository}: {len(absent)} of the contents that the manifest needs are not there, "
                "or not of the size it says",
                detail=[{"digest": digest} for digest in absent],
            )
        outside: set[Digest] = set()
        seen: set[tuple[bool, tuple[bool, Digest]]] = set()
        stack = [manifest]
        while stack:
            listed = stack.pop()
            for want in listed.children():
                key = (listed.is_index, want.key)
                if key in seen:
                    continue
                seen.add(key)
                if listed.is_index and not self._holds(repository, want):
                    outside.add(want.digest)
                    continue
                self._bring(want)
                if listed.is_index and want.is_manifest:
                    child = self._contents.manifest(repository, want.digest)
                    assert child is not None
                    stack.append(parse_manifest(child.raw, want.media_type, what=want.digest))
        return frozenset(outside)

    def _holds(self, repository: str, want: Descriptor) -> bool:
        """Whether ``want`` is in a repository: a manifest as one, and of the size it should have."""
        if want.is_manifest:
            manifest = self._contents.manifest(repository, want.digest)
            return manifest is not None and manifest.root.size == want.size
        blob = self._contents.blob(repository, want.digest)
        return blob is not None and blob.size == want.size

    def _bring(self, want: Descriptor) -> None:
        """Copy a content that only a bundle has into the store."""
        if self._store.has(want):
            return
        source = next((layer for layer in self._contents.layers if layer.size_of(want.digest) == want.size), None)
        if source is not None:
            with closing(source.fetch(want)) as chunks:
                self._store.push(want, verified(want, chunks))

    # What is deleted

    def delete_tag(self, repository: str, tag: str, *, require: Callable[[str], None] = _anything) -> None:
        """Take a tag away; 404 if it isn't there. What it stood for stays in the repository until garbage is collected.

        ``require`` raises unless the same may be done in a repository that the tag comes from under a shorter path.
        """
        with self._deleting():
            named = self._contents.tagged(repository, tag)
            if named is None:
                raise Failure(404, "MANIFEST_UNKNOWN", f"{repository} has no tag {tag}")
            doomed = self._doomed(repository, [tag], require)
            self._keep_all(repository, named)
            self._store.untag(doomed)

    def delete_manifest(self, repository: str, digest: Digest, *, require: Callable[[str], None] = _anything) -> None:
        """Take a manifest with all its tags out of a repository; 404 if it isn't there. See :meth:`delete_tag`.

        An index that lists it goes on without it, as a sparse one.
        """
        with self._deleting():
            if self._contents.find(repository, digest, manifest=True) is None:
                raise Failure(404, "MANIFEST_UNKNOWN", f"{repository} has no manifest {digest}")
            tags = self._contents.tags(repository) or []
            stands_for = [tag for tag in tags if _root(self._contents.tagged(repository, tag)) == digest]
            parents = [
                named.name
                for named, reach in self._contents.reaches(repository)
                if digest in reach.manifests and named.root.digest != digest
            ]
            self._require_own(repository, parents, require)
            doomed = self._doomed(repository, [*stands_for, digest], require)
            if parents:
                self._store.leave_out(digest, parents)
            if doomed:
                self._store.untag(doomed)
            self._arrivals.forget(repository, digest)

    def delete_blob(self, repository: str, digest: Digest) -> None:
        """Take a blob out of a repository; 404 if it isn't there, 405 if an image there needs it."""
        with self._deleting():
            if self._contents.find(repository, digest) is None:
                raise Failure(404, "BLOB_UNKNOWN", f"{repository} has no blob {digest}")
            for named, reach in self._contents.reaches(repository):
                if reach.find(digest) is not None:
                    raise _fixed("DENIED", f"{quoted(named.name)} needs {digest}; delete that first")
            self._arrivals.forget(repository, digest)

    @contextmanager
    def _deleting(self) -> Iterator[None]:
        """What is there is looked at and taken away in one step."""
        with self._changing(), self._tagging:
            try:
                yield
            except NotFoundError as error:  # another process that serves the store was faster
                raise Failure(404, "MANIFEST_UNKNOWN", str(error)) from error
        self._contents.changed()

    def _keep_all(self, repository: str, named: Named) -> None:
        """Let what a name leads to stay in the repository for a while: somebody may be pulling it right now."""
        reach = self._contents.reach(named)
        blobs = (Descriptor(BLOB, each.digest, each.size) for each in reach.blobs.values())
        self._arrivals.note(repository, [*blobs, *reach.manifests.values()])

    def _doomed(self, repository: str, references: Sequence[str], require: Callable[[str], None]) -> list[str]:
        """The names that are to go with tags and digests; 405 where they are in a bundle."""
        for layer in self._contents.layers[1:]:
            for reference in references:
                if layer.names().meant(repository, reference):
                    raise _fixed(
                        "UNSUPPORTED",
                        f"{repository}: {reference} is in a bundle, which nothing can be deleted from",
                    )
        names = [name for reference in references for name in self._layer.names().meant(repository, reference)]
        _require(repository, names, require)
        return names

    def _require_own(self, repository: str, names: Sequence[str], require: Callable[[str], None]) -> None:
        own = {named.name for named in self._layer.named(repository)}
        for name in names:
            if name not in own:
                raise _fixed("UNSUPPORTED", f"{quoted(name)} is in a bundle and needs it")
        _require(repository, names, require)


def _require(repository: str, names: Iterable[str], require: Callable[[str], None]) -> None:
    for name in names:
        split = split_name(name)
        if split is not None and split[0] != repository:
            require(split[0])


def _fixed(code: str, message: str) -> Failure:
    return Failure(405, code, message, headers={"Allow": "GET, HEAD"})


def _root(named: Named | None) -> Digest | None:
    return None if named is None else named.root.digest


def _parsed(raw: bytes, media_type: str, *, what: str) -> Manifest:
    said = sniff_media_type(raw, what=what)
    if said != media_type:
        raise ProtocolError(f"{what}: reads as {quoted(said)!r} and came as {quoted(media_type)!r}")
    manifest = parse_manifest(raw, media_type, what=what)
    if not manifest.is_index and any(child.is_manifest for child in manifest.children()):
        # What reads it would go on to what that manifest lists, which nobody has looked for here.
        raise ProtocolError(f"{what}: has a manifest for its config or a layer")
    return manifest
