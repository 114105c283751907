"""The one fake: a repository in memory that speaks every protocol of ``bundler.content``, honestly or not.

Manual
------
``Memory()`` is an empty repository and is a Source, a Target, and all further powers. Fill it with
``tests.images.load(memory, images)``, or with ``memory.put(raw, media_type)``. What it holds is in ``contents`` (digest
to bytes) and ``names`` (tag to root); what was asked of it, in order, in ``calls``, as ``("fetch", digest)`` pairs.

Like a registry it takes bytes only if they hash to their digest, shows nothing before it has them all, and refuses a
manifest whose children are missing. ``Memory(strict=False)`` drops the last rule, as a layout does.

Several repositories of one registry share a ``host``, a dictionary, and can mount from each other::

    host: dict[str, Memory] = {}
    near, far = Memory("team/near", host), Memory("team/far", host)
    far.mount(descriptor, "team/near")

Faults are added per content, each before or after the honest answer. The first that matches is used up when its
``times`` are::

    memory.faults.append(Fault("fetch", digest, flip=10))                 a wrong byte, every time
    memory.faults.append(Fault("fetch", digest, cut=10))                  ten bytes missing at the end
    memory.faults.append(Fault("fetch", digest, extra=b"x"))              a trailing byte
    memory.faults.append(Fault("fetch", digest, error=NetworkError("reset"), after=10, times=1))    breaks, once
    memory.faults.append(Fault("push", None, error=SpaceError("full")))   any push fails, after reading everything
    memory.faults.append(Fault("mount", None, decline=True))              no mounts here
    memory.faults.append(Fault("has", digest, lie=True))                  says yes to what it has not

``Plain(memory)`` is the same with the five methods of Source and Target only, for code that looks for further powers;
``Resumable()`` is a Memory that keeps what arrived before a break.
"""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from bundler.content import CHUNK, Buffer
from bundler.errors import BundlerError, DigestError, NotFoundError, PushError
from bundler.oci import mediatype
from bundler.oci.descriptor import Descriptor
from bundler.oci.digest import Digest, algorithm_of, digest_of, is_digest
from bundler.oci.manifest import parse_manifest

Verb = Literal["resolve", "fetch", "has", "push", "tag", "mount", "tags", "referrers"]


@dataclass(slots=True)
class Fault:
    """What goes wrong with ``verb`` on ``digest`` (None: on any), ``times`` times (None: always).

    ``after`` is how many bytes are honest before ``error`` is raised; pushes always raise after reading everything.
    """

    verb: Verb
    digest: Digest | None = None
    times: int | None = None
    error: BundlerError | OSError | None = None
    after: int = 0
    flip: int | None = None
    cut: int = 0
    extra: bytes = b""
    lie: bool = False
    decline: bool = False


class Memory:
    """A repository in memory; see the manual above. ``chunk`` is the length of the buffers that it yields, in bytes."""

    def __init__(
        self, repository: str = "app", host: dict[str, Memory] | None = None, *, strict: bool = True, chunk: int = CHUNK
    ) -> None:
        self.repository = repository
        self.host = {} if host is None else host
        self.host[repository] = self
        self.strict = strict
        self.chunk = chunk
        self.contents: dict[Digest, bytes] = {}
        self.media_types: dict[Digest, str] = {}
        self.names: dict[str, Descriptor] = {}
        self.faults: list[Fault] = []
        self.calls: list[tuple[Verb, str]] = []
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return f"<Memory {self.repository}: {len(self.contents)} contents, {len(self.names)} names>"

    # Source, Ranged, Tagged, Referred

    def resolve(self, name: str) -> Descriptor:
        """The root of a tag or a digest."""
        self._asked("resolve", name)
        if is_digest(name) and (digest := Digest(name)) in self.contents:
            return Descriptor(self.media_types[digest], digest, len(self.contents[digest]))
        if name not in self.names:
            raise NotFoundError(f"{self.repository}: no {name}")
        return self.names[name]

    def fetch(self, want: Descriptor) -> Generator[Buffer, None, None]:
        """The bytes."""
        return self.fetch_from(want, 0)

    def fetch_from(self, want: Descriptor, offset: int) -> Generator[Buffer, None, None]:
        """The bytes from ``offset`` on."""
        fault = self._asked("fetch", want.digest)
        if want.digest not in self.contents:
            raise NotFoundError(f"{self.repository}: no {want.digest}")
        raw = self.contents[want.digest]
        if fault is not None:
            raw = _spoilt(raw, fault)
        for start in range(offset, len(raw), self.chunk):
            chunk = raw[start : start + self.chunk]
            if fault is not None and fault.error is not None and start + len(chunk) > fault.after:
                if start < fault.after:
                    yield chunk[: fault.after - start]
                break
            yield chunk
        if fault is not None and fault.error is not None:
            raise fault.error

    def tags(self) -> Sequence[str]:
        """Every name, sorted, as a registry lists them."""
        self._asked("tags", "")
        return sorted(self.names)

    def referrers(self, subject: Digest) -> Sequence[Descriptor]:
        """The manifests held here whose subject is ``subject``."""
        self._asked("referrers", subject)
        found = []
        for digest, raw in list(self.contents.items()):
            media_type = self.media_types[digest]
            if not mediatype.is_manifest(media_type):
                continue
            manifest = parse_manifest(raw, media_type, what=digest)
            if manifest.subject is not None and manifest.subject.digest == subject:
                kind = manifest.artifact_type or (manifest.config.media_type if manifest.config else "")
                found.append(Descriptor(media_type, digest, len(raw), artifact_type=kind))
        return found

    # Target, Mounter

    def has(self, want: Descriptor) -> bool:
        """Whether it is here, as a manifest if it is wanted as one."""
        fault = self._asked("has", want.digest)
        return (fault is not None and fault.lie) or self._holds(want)

    def push(self, want: Descriptor, content: Iterable[Buffer]) -> None:
        """Take it, after the last byte."""
        fault = self._asked("push", want.digest)
        self._commit(want, b"".join(bytes(chunk) for chunk in content), fault)

    def tag(self, name: str, root: Descriptor) -> None:
        """Let ``name`` stand for ``root``."""
        self._asked("tag", name)
        if root.digest not in self.contents:
            raise PushError(f"{self.repository}: MANIFEST_UNKNOWN: {root.digest} cannot be named {name}")
        self.names[name] = root

    def mount(self, want: Descriptor, origin: str) -> bool:
        """Take a blob from another repository of the same host."""
        fault = self._asked("mount", want.digest)
        neighbour = self.host.get(origin)
        if neighbour is None or want.digest not in neighbour.contents or (fault is not None and fault.decline):
            return False
        with self._lock:
            self.contents[want.digest] = neighbour.contents[want.digest]
            self.media_types[want.digest] = want.media_type
        return True

    # for tests

    def put(self, raw: bytes, media_type: str = "application/octet-stream", *, algorithm: str = "sha256") -> Descriptor:
        """Hold ``raw`` without asking anything of it; the descriptor under which it can be fetched."""
        digest = digest_of(raw, algorithm)
        self.contents[digest] = raw
        self.media_types[digest] = media_type
        return Descriptor(media_type, digest, len(raw))

    def count(self, verb: Verb, name: str | None = None) -> int:
        """How often ``verb`` was called, on ``name`` if given."""
        return sum(1 for done, on in self.calls if done == verb and name in (None, on))

    def _holds(self, want: Descriptor) -> bool:
        if want.digest not in self.contents:
            return False
        return not want.is_manifest or mediatype.is_manifest(self.media_types[want.digest])

    def _commit(self, want: Descriptor, raw: bytes, fault: Fault | None) -> None:
        if fault is not None and fault.error is not None:
            raise fault.error
        if digest_of(raw, algorithm_of(want.digest)) != want.digest:
            raise DigestError(f"{self.repository}: DIGEST_INVALID: {len(raw)} bytes are not {want.digest}")
        if self.strict and want.is_manifest:
            for child in parse_manifest(raw, want.media_type, what=want.digest).children():
                if not self._holds(child):
                    raise PushError(f"{self.repository}: MANIFEST_BLOB_UNKNOWN: {child.digest}")
        with self._lock:
            self.contents[want.digest] = raw
            if want.is_manifest or want.digest not in self.media_types:  # both at once: a manifest is a blob as well
                self.media_types[want.digest] = want.media_type

    def _asked(self, verb: Verb, name: str) -> Fault | None:
        with self._lock:
            self.calls.append((verb, name))
            for fault in self.faults:
                if fault.verb == verb and fault.digest in (None, name) and fault.times != 0:
                    if fault.times is not None:
                        fault.times -= 1
                    break
            else:
                return None
        if verb not in ("fetch", "push") and fault.error is not None:
            raise fault.error
        return fault


class Resumable(Memory):
    """A Memory that is also :class:`bundler.content.Resuming`: ``partial`` holds what arrived before a break."""

    def __init__(self, repository: str = "app", host: dict[str, Memory] | None = None, **options: bool | int) -> None:
        super().__init__(repository, host, strict=bool(options.get("strict", True)), chunk=options.get("chunk", CHUNK))
        self.partial: dict[Digest, bytes] = {}

    def push(self, want: Descriptor, content: Iterable[Buffer]) -> None:
        """As Memory, keeping the beginning if it breaks."""
        self._asked("push", want.digest)
        self._collect(want, b"", content)

    def held(self, want: Descriptor) -> int:
        """How many bytes are kept."""
        return len(self.partial.get(want.digest, b""))

    def head(self, want: Descriptor, length: int) -> Generator[Buffer, None, None]:
        """The kept bytes."""
        yield self.partial[want.digest][:length]

    def append(self, want: Descriptor, length: int, rest: Iterable[Buffer]) -> None:
        """The rest."""
        self._asked("push", want.digest)
        self._collect(want, self.partial[want.digest][:length], rest)

    def _collect(self, want: Descriptor, kept: bytes, content: Iterable[Buffer]) -> None:
        raw = bytearray(kept)
        try:
            for chunk in content:
                raw += chunk
        except DigestError:
            self.partial.pop(want.digest, None)  # not the beginning of anything
            raise
        except BaseException:
            self.partial[want.digest] = bytes(raw)
            raise
        self._commit(want, bytes(raw), None)
        self.partial.pop(want.digest, None)


class Plain:
    """A Memory seen through Source and Target alone."""

    def __init__(self, memory: Memory) -> None:
        self.memory = memory

    def resolve(self, name: str) -> Descriptor:
        """As the Memory."""
        return self.memory.resolve(name)

    def fetch(self, want: Descriptor) -> Generator[Buffer, None, None]:
        """As the Memory."""
        return self.memory.fetch(want)

    def has(self, want: Descriptor) -> bool:
        """As the Memory."""
        return self.memory.has(want)

    def push(self, want: Descriptor, content: Iterable[Buffer]) -> None:
        """As the Memory."""
        self.memory.push(want, content)

    def tag(self, name: str, root: Descriptor) -> None:
        """As the Memory."""
        self.memory.tag(name, root)


def _spoilt(raw: bytes, fault: Fault) -> bytes:
    changed = bytearray(raw)
    if fault.flip is not None:
        changed[fault.flip] ^= 1
    if fault.cut:
        del changed[-fault.cut :]
    return bytes(changed) + fault.extra
