"""The store: a deduplicated OCI layout that survives whatever happens to the process that writes it.

Blobs before manifests before the index: a blob gets its name only when it is whole, verified and synced; a name gets into
``index.json`` only when everything it needs is there. So a store is sound after every kill and every full disk, and the
same command again goes on where the first one was.

    with Store.open("store", create=True) as store, store.shared("pull"), store.lease(digests):
        copy_all((Job(source, store, want) for want in blobs), executor=executor)
        store.flush()
        copy_all((Job(source, store, want) for want in manifests), executor=executor)
        store.tag_all([("docker.io/library/nginx:1.27", root)])
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Collection, Generator, Iterable, Iterator
from concurrent.futures import Executor
from contextlib import AbstractContextManager, closing, contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from bundler.content import Buffer, Note, Observer, silent
from bundler.errors import (
    BundlerError,
    ConfigError,
    DigestError,
    LimitError,
    LockedError,
    NotFoundError,
    ReadOnlyError,
    quoted,
)
from bundler.oci.descriptor import Descriptor
from bundler.oci.digest import HEX_LENGTHS, Digest, algorithm_of, hex_of
from bundler.oci.strict_json import canonical
from bundler.store import incoming, leases, locks
from bundler.store import state as _state
from bundler.store.closure import left_out, remembering
from bundler.store.directory import AbsentError, Directory, disk
from bundler.store.incoming import PARTIAL_FROM, Incoming, partial_name
from bundler.store.index import EMPTY, INDEX_CAP, Entry, Index, entry, unnamed
from bundler.store.journal import Journal
from bundler.store.layout import BLOBS, INDEX, MARKER, VERSION, Layout, check_marker, open_directory
from bundler.store.state import State

if TYPE_CHECKING:
    from bundler.store.check import Check, Usage
    from bundler.store.gc import Collected, Marks

_OURS = frozenset({BLOBS, INDEX, MARKER, _state.NAME})
_IGNORED = frozenset({"lost+found"})  # an empty file system has one


class Store(Layout):
    """An OCI layout to read and write: ``Source``, ``Target``, ``Ranged``, ``Resuming``, ``Tagged``.

    Threads may share one and push at once. Whoever writes holds :meth:`shared` meanwhile, so that gc stays away.
    """

    def __init__(self, root: Directory, state: State | None, observer: Observer) -> None:
        super().__init__(root)
        self._private = state
        self._observer = observer
        self._journal = Journal(None if state is None else state.root)
        self._unsynced: set[str] = set()
        self._writing = threading.Lock()

    @classmethod
    def open(cls, path: str | Path, *, create: bool = False, observer: Observer = silent) -> Self:
        """The store at ``path``; with ``create``, made where there is nothing or an empty directory.

        A layout that another tool made becomes a store by being opened. ``observer`` hears of blobs that were put into
        quarantine. Raises :class:`ConfigError` for a directory that holds other things, :class:`NotFoundError` where
        nothing is.
        """
        path = str(path)
        if create:
            _make(path)
        root = open_directory(path)
        if root.stat(MARKER) is None and not _is_empty(root):
            raise ConfigError(
                f"{quoted(path)}: neither empty nor an OCI layout", hint="choose another directory for the store"
            )
        if create and root.stat(MARKER) is None:
            _lay_out(root)
        check_marker(root)
        return cls(root, _state.open_state(root), observer)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.flush()

    @property
    def _state(self) -> State:
        if self._private is None:
            raise ReadOnlyError(f"{quoted(self.path)}: the store can't be written")
        return self._private

    # Being at work

    @contextmanager
    def shared(self, command: str, *, patience: float = 0.0) -> Iterator[None]:
        """Be at work here together with others.

        Raises :class:`LockedError` naming who still holds the store alone after ``patience`` seconds.
        """
        if self._private is None:  # nobody can write here, so nobody needs to be kept away
            yield
            return
        with locks.shared(self._private.root, command, patience=patience):
            yield

    def exclusive(self, command: str, *, patience: float = 0.0) -> AbstractContextManager[None]:
        """Be at work here alone. Raises :class:`LockedError` naming who else still is after ``patience`` seconds."""
        return locks.exclusive(self._state.root, command, patience=patience)

    def lease(self, digests: Iterable[Digest]) -> AbstractContextManager[None]:
        """Keep ``digests`` from gc until the block ends; for a week, if it ends by an error or a kill."""
        return leases.lease(self._state.leases, digests, via=self._state.tmp)

    # Target

    def has(self, want: Descriptor) -> bool:
        """Whether ``want`` is there and was verified; a file that nobody vouches for is hashed, once.

        A file that isn't what its name says goes into quarantine, and the observer hears of it.
        """
        directory = self._algorithm(algorithm_of(want.digest))
        found = None if directory is None else directory.stat(hex_of(want.digest))
        if directory is None or found is None:
            return False
        if not self._journal.knows(want.digest, found):
            problem = self.damage(want.digest)
            if problem:
                self._quarantine(directory, want.digest, found, problem)
                return False
            self._vouch(want.digest, found)
        return found.st_size == want.size

    def push(self, want: Descriptor, content: Iterable[Buffer]) -> None:
        """Store ``want``. If ``content`` breaks off, a large blob's leading bytes are kept to be continued."""
        file = None
        if want.size >= PARTIAL_FROM:
            file = Incoming.resumable(self._state.partial, want.digest)
        self._take(want, file or self.incoming(), content)

    def tag(self, name: str, root: Descriptor) -> None:
        """Let the full ``name`` stand for ``root``, or list it without a name; durable when this returns. See :meth:`tag_all`."""
        self.tag_all([(name, root)])

    def tag_all(
        self,
        tags: Iterable[tuple[str, Descriptor]],
        *,
        without: Collection[Digest] = (),
        instead_of: Collection[str] = (),
    ) -> None:
        """Let full names (``docker.io/library/nginx:1.27``) stand for roots, in one change of ``index.json``.

        Children of an index that aren't wholly there, or that are among ``without``, are taken to be left out. Names among
        ``instead_of`` go in the same change. Raises
        :class:`bundler.errors.StoreError` if a root or anything else that it needs isn't there.
        """
        children = remembering(self)
        missing = [
            (name, root, left_out(root, present=self.has, children=children).union(without)) for name, root in tags
        ]
        entries = [entry(name, root, gone) if name else unnamed(root, gone) for name, root, gone in missing]
        # All of them: what another process has just stored may not be durable yet, and is relied on all the same.
        self._sync(HEX_LENGTHS)
        self._change(lambda index: index.without(instead_of).tagged(entries))

    def untag(self, names: Collection[str]) -> None:
        """Take names away; the content stays until gc. An entry that nobody named goes by its digest.

        Raises :class:`NotFoundError` unless all are there.
        """
        entries = self.index().entries
        for name in names:
            if not any(entry.goes_by((name,)) for entry in entries):
                self.resolve(name)  # its error tells what there is
                raise NotFoundError(f"{quoted(self.path)}: no image is called {quoted(name)!r}")
        self._change(lambda index: index.without(names))

    def leave_out(self, digest: Digest, names: Collection[str]) -> None:
        """Let the images called ``names`` do without ``digest``, a child of their indexes, from now on."""
        children = remembering(self)

        def left_of(image: Entry) -> frozenset[Digest]:
            if image.left_out is not None:  # some may be here all the same, for other images
                return image.left_out
            return left_out(image.root, present=self.has, children=children)

        def changed(index: Index) -> Index:
            touched = [each for each in index.entries if each.name and each.name in names]
            return index.tagged(entry(each.name, each.root, left_of(each) | {digest}) for each in touched)

        self._change(changed)

    @property
    def private(self) -> Directory | None:
        """The directory for what belongs to this store alone and is no part of the layout; nothing if it can't be written."""
        return None if self._private is None else self._private.root

    @property
    def quarantined(self) -> int:
        """How many blobs were found damaged and moved out of the way."""
        return 0 if self._private is None else len(self._private.quarantine.names())

    def flush(self) -> None:
        """Make everything pushed so far durable: one sync of each directory, one of the journal."""
        self._sync(())

    def _sync(self, algorithms: Iterable[str]) -> None:
        with self._writing:
            waiting, self._unsynced = self._unsynced, set()
            try:
                for algorithm in sorted(waiting.union(algorithms)):
                    directory = self._algorithm(algorithm)
                    if directory is not None:
                        directory.sync()
                self._journal.sync()
            except BaseException:
                self._unsynced |= waiting
                raise

    # Resuming

    def held(self, want: Descriptor) -> int:
        """How many leading bytes of ``want`` can be continued; always fewer than all, so that a range can ask for the rest."""
        if self._private is None:
            return 0
        return max(0, min(incoming.held(self._private.partial, want.digest), want.size - 1))

    def head(self, want: Descriptor, length: int) -> Generator[Buffer, None, None]:
        """The first ``length`` kept bytes."""
        with closing(self._state.partial.chunks(partial_name(want.digest), 0, length)) as chunks:
            try:
                yield from chunks
            except AbsentError:
                return

    def append(self, want: Descriptor, length: int, rest: Iterable[Buffer]) -> None:
        """Store ``want`` from its ``length`` kept bytes and ``rest``. If the whole turns out wrong, all of it is dropped."""
        file = Incoming.resumed(self._state.partial, want.digest, length)
        if file is None:
            raise LockedError(f"{quoted(self.path)}: {want.digest} is being fetched by another process")
        self._take(want, file, rest)

    # Uploads whose digest is known only at the end

    def incoming(self) -> Incoming:
        """A nameless file to write to, for :meth:`commit`; use it as a context manager."""
        return Incoming.new(self._state.tmp)

    def commit(self, want: Descriptor, file: Incoming) -> None:
        """Store what was written to ``file`` as ``want``; the caller has verified it."""
        if file.size != want.size:
            raise DigestError(f"{want.digest}: {file.size} of {want.size} bytes were written")
        algorithm = algorithm_of(want.digest)
        directory = self._algorithm(algorithm) or self._root.make(BLOBS).make(algorithm)
        found = file.commit(directory, hex_of(want.digest))
        with self._writing:
            self._unsynced.add(algorithm)
        self._journal.add(want.digest, found)

    def _take(self, want: Descriptor, file: Incoming, content: Iterable[Buffer]) -> None:
        with file:
            for chunk in content:
                file.write(chunk)
            self.commit(want, file)

    # Upkeep

    def check(self, *, repair: bool = False, executor: Executor | None = None) -> Check:
        """Hash every blob again and look for everything the index leads to. ``repair`` puts bad blobs into quarantine."""
        from bundler.store.check import check

        with self.exclusive("store check --repair") if repair else self.shared("store check"):
            report = check(self, executor=executor)
            for bad in report.bad if repair else ():
                directory = self._algorithm(algorithm_of(bad.digest))
                found = None if directory is None else directory.stat(hex_of(bad.digest))
                if directory is not None and found is not None:
                    self._quarantine(directory, bad.digest, found, bad.problem)
            return report

    def usage(self) -> list[Usage]:
        """How much room each image takes, and how much of it alone; in the order of the index."""
        from bundler.store.check import usage

        return usage(self)

    def gc(
        self,
        *,
        dry_run: bool = False,
        grace: timedelta = leases.GRACE,
        keep: Callable[[], Iterable[Descriptor]] = tuple,
        without: Collection[str] = (),
        patience: float = 0.0,
    ) -> Collected:
        """Remove what neither the index leads to nor a lease names, and broken work older than ``grace``.

        ``keep`` tells, once the store is held alone, what else is to stay with all that it leads to. Images called
        ``without`` are passed over. The store is looked through before it is held, so that whoever waits for it meanwhile
        waits only for what has changed since.
        """
        from bundler.store.gc import gc, marked

        children = remembering(self)

        def look() -> Marks:
            return marked(self, self._state, children=children, keep=keep(), without=without, grace=grace)

        with suppress(BundlerError):  # what is being changed at this very moment looks incomplete
            look()
        with self.exclusive("store gc", patience=patience):
            marks = look()
            return gc(marks, self._state, self._journal, discard=self._discard, dry_run=dry_run, grace=grace)

    def remove(self, names: Collection[str]) -> None:
        """Take names away while nobody else is at work; see :meth:`untag`. gc then frees the room."""
        with self.exclusive("store rm"):
            self.untag(names)

    def _discard(self, digest: Digest) -> None:
        directory = self._algorithm(algorithm_of(digest))
        if directory is not None:
            directory.remove(hex_of(digest))

    def _change(self, change: Callable[[Index], Index]) -> None:
        state = self._state
        with locks.index_lock(state.root):
            index = self.index()
            changed = change(index)
            if changed.document != index.document:
                raw = changed.serialised()
                if len(raw) > INDEX_CAP:  # nobody could read it any more
                    raise LimitError(
                        f"{self._root.about(INDEX)}: would have {len(raw)} bytes, more than the {INDEX_CAP} allowed",
                        hint="remove images that nobody needs, or use another store",
                    )
                self._wrote_index(self._root.write(INDEX, raw, via=state.tmp), changed)

    def _vouch(self, digest: Digest, found: os.stat_result) -> None:
        try:
            self._journal.add(digest, found)
        except ReadOnlyError:
            return  # known to this process all the same

    def _quarantine(self, directory: Directory, digest: Digest, found: os.stat_result, problem: str) -> None:
        name = partial_name(digest)
        quarantine = self._state.quarantine
        directory.move(hex_of(digest), quarantine, name)
        moved = quarantine.stat(name)
        if moved is not None and not os.path.samestat(moved, found):  # replaced by another process in between
            quarantine.move(name, directory, hex_of(digest))
            return
        self._observer(Note(f"{digest}: {problem}; moved to {quarantine.about(name)}"))


def _make(path: str) -> None:
    if "\0" in path:
        raise ConfigError(f"{quoted(path)}: not a path")
    with disk(f"create {quoted(path)}"):
        try:
            # One by one: whatever the umask allows, nobody else may write in them.
            for place in reversed((Path(path), *Path(path).parents)):
                place.mkdir(mode=0o755, exist_ok=True)
        except (FileExistsError, NotADirectoryError):
            raise ConfigError(f"{quoted(path)}: not a directory", hint="choose another place for the store") from None


def _is_empty(root: Directory) -> bool:
    """Whether a store can be laid out here: nothing, or what a laying out that broke has left."""
    names = set(root.names()) - _IGNORED
    return not names or (_state.NAME in names and names <= _OURS)


def _lay_out(root: Directory) -> None:
    """Make an empty layout. ``.bundler`` comes first and marks what follows as ours, the marker file last."""
    state = _state.open_state(root)
    if state is None:
        raise ReadOnlyError(f"{quoted(root.path)}: can't be written")
    root.make(BLOBS).make("sha256")
    with locks.index_lock(state.root):  # two may be at it
        if root.stat(INDEX) is None:
            root.write(INDEX, canonical(EMPTY), via=state.tmp)
        if root.stat(MARKER) is None:
            root.write(MARKER, canonical({"imageLayoutVersion": VERSION}), via=state.tmp)
