"""A repository of a registry, as a Source and a Target (distribution-spec 1.1).

Near side: one GET per name; the manifest's bytes are kept, so that fetching what was just resolved costs nothing. Far
side: HEAD where the registry may have a content, mount or upload, and the manifest once more under its tag. A download
that breaks goes on where it broke; an upload that breaks is the caller's to start over (:class:`bundler.errors.UploadLostError`).
"""

from __future__ import annotations

import re
from collections.abc import Generator, Iterable, Sequence
from contextlib import closing
from dataclasses import replace
from urllib.parse import urlencode

from urllib3 import BaseHTTPResponse
from urllib3 import exceptions as http

from bundler.content import Buffer, read
from bundler.errors import AuthError, ConfigError, DigestError, LimitError, NotFoundError, ProtocolError, quoted
from bundler.oci import mediatype, schema1
from bundler.oci.descriptor import Descriptor
from bundler.oci.digest import Digest, algorithm_of, digest_of, is_digest, parse_digest
from bundler.oci.manifest import parse_manifest, sniff_media_type
from bundler.oci.reference import check_tag
from bundler.oci.strict_json import MANIFEST_CAP, Fields, loads
from bundler.transports.docker import upload
from bundler.transports.docker.client import Call, Client, Reply
from bundler.transports.docker.credentials import Credentials
from bundler.transports.docker.failures import Side, failure
from bundler.transports.docker.origin import Endpoint
from bundler.transports.docker.pages import PAGE_SIZE, collect, pages
from bundler.transports.docker.places import Places
from bundler.transports.docker.rate_limit import RateLimit, rate_limit_of
from bundler.transports.docker.recent import Recent
from bundler.transports.docker.referrers import extended, referrers_tag, subject_of

WORTH_A_MOUNT = 64 << 10
"""Bytes from which a blob is worth remembering where it is."""
PER_ATTEMPT = 64 << 20
"""A large download may break once more for every so many bytes."""

_ACCEPT = (("Accept", ", ".join(mediatype.ACCEPT)),)
_CONTENT_RANGE = re.compile(r"bytes (\d{1,19})-(\d{1,19})/(?:\d{1,19}|\*)")
_SIZE = re.compile(r"[1-9][0-9]{0,9}")
_MOUNT_ANSWERS = frozenset({201, 202, 400, 403, 404, 405, 415, 501})
_NO_REFERRERS = frozenset({400, 404, 405, 501})


class Repository:
    """See the module. Made by :meth:`.registry.Registry.repository`; safe to use from many threads."""

    def __init__(
        self,
        client: Client,
        host: str,
        path: str,
        credentials: Credentials | None,
        recent: Recent,
        *,
        places: Places | None = None,
    ) -> None:
        self._client = client
        self._host = host
        self._places = places
        self._path = path
        self._credentials = credentials
        self._recent = recent
        self._sessions: dict[Digest, Endpoint] = {}
        self._payloads: dict[Digest, Digest] = {}  # of manifests of schema 1, by the digest of their bytes
        self.name = f"{host}/{path}"
        self.rate_limit: RateLimit | None = None

    # Source

    def resolve(self, name: str) -> Descriptor:
        """The manifest of a tag or digest. Raises :class:`NotFoundError`, and :class:`DigestError` if it is another."""
        reply = self._get_manifest(name)
        what = f"{Side.PULL.value} {self.name}: {name}"
        if reply.headers.get("content-type", "").partition(";")[0].strip() in mediatype.SCHEMA1:
            return self._schema1(name, reply, what)
        digest = digest_of(reply.body, algorithm_of(Digest(name)) if is_digest(name) else "sha256")
        if is_digest(name) and digest != name:
            raise DigestError(f"{what}: the manifest received hashes to {digest}")
        said = reply.headers.get("docker-content-digest")
        if said is not None:
            claimed = parse_digest(said, what=f"{what}: Docker-Content-Digest")
            if digest_of(reply.body, algorithm_of(claimed)) != claimed:
                raise DigestError(f"{what}: the manifest received hashes to {digest}, the registry says {claimed}")
        media_type = reply.headers.get("content-type", "").partition(";")[0].strip()
        media_type = media_type or sniff_media_type(reply.body, what=what)
        parse_manifest(reply.body, media_type, what=what)
        self._recent.keep(self._path, digest, reply.body)
        return Descriptor(media_type, digest, len(reply.body))

    def _schema1(self, name: str, reply: Reply, what: str) -> Descriptor:
        """A manifest of schema 1: registries know it by its payload's digest, everything here by that of its bytes."""
        known = schema1.digest(reply.body, what=what)
        said = reply.headers.get("docker-content-digest")
        if known != (name if is_digest(name) else said or known):
            raise DigestError(f"{what}: the payload of the manifest received hashes to {known}")
        media_type = reply.headers["content-type"].partition(";")[0].strip()
        digest = digest_of(reply.body)
        self._payloads[digest] = known
        self._recent.keep(self._path, digest, reply.body)
        return Descriptor(media_type, digest, len(reply.body))

    def peek(self, name: str) -> Descriptor:
        """What a name stands for, by one HEAD and on the registry's word; asks for the manifest if that is not enough."""
        if not is_digest(name):
            check_tag(name, what=self.name)
        call = self._call(Side.PULL, "HEAD", f"manifests/{name}", expect=frozenset({200, 405}))
        reply = self._client.ask(replace(call, headers=_ACCEPT))
        self.rate_limit = rate_limit_of(reply.headers) or self.rate_limit
        digest, size = reply.headers.get("docker-content-digest", ""), reply.headers.get("content-length", "")
        media_type = reply.headers.get("content-type", "").partition(";")[0].strip()
        if reply.status != 200 or not is_digest(digest) or not _SIZE.fullmatch(size):
            return self.resolve(name)
        if not mediatype.is_manifest(media_type) or (is_digest(name) and digest != name):
            return self.resolve(name)
        return Descriptor(media_type, Digest(digest), int(size))

    def fetch(self, want: Descriptor) -> Generator[Buffer, None, None]:
        """The bytes of ``want``, unverified, at most one more than its size."""
        return self.fetch_from(want, 0)

    def fetch_from(self, want: Descriptor, offset: int) -> Generator[Buffer, None, None]:
        """The same from ``offset`` on; goes on by itself where a connection breaks."""
        if want.is_manifest or want.media_type in mediatype.SCHEMA1:
            kept = self._recent.get(self._path, want.digest)
            if kept is None:
                kept = self._get_manifest(self._payloads.get(want.digest, want.digest)).body
            yield memoryview(kept)[offset:]
            return
        yield from self._download(want, offset)

    def _download(self, want: Descriptor, position: int) -> Generator[Buffer, None, None]:
        client = self._client
        unsized = want.size == schema1.UNKNOWN_SIZE
        retry = client.retries(client.settings.limits.attempts + (0 if unsized else want.size // PER_ATTEMPT))
        call = self._call(Side.PULL, "GET", f"blobs/{want.digest}", expect=frozenset({200, 206, 416}))
        while position < want.size or want.size == 0:
            begun = position
            headers = (("Range", f"bytes={position}-"),) if position else ()
            with closing(client.send(replace(call, headers=headers))) as response:
                skip = _start(response, position, call.what)
                try:
                    for chunk in client.chunks(response, want.size + 1 - position + skip):
                        fresh = memoryview(chunk)[skip:]
                        skip = max(0, skip - len(chunk))
                        position += len(fresh)
                        if fresh:
                            yield fresh
                    if unsized or position >= want.size:
                        return
                    if response.status == 200 and "content-length" in response.headers:
                        return
                    problem: http.HTTPError = http.ProtocolError("ended early", http.IncompleteRead(0, 0))
                except http.HTTPError as error:
                    problem = error
            if position > begun:
                retry = retry.new(history=())  # what moves on need not wait longer and longer
            retry = client.after(retry, call, problem, then=f"going on from byte {position} of {want.digest}")

    def tags(self) -> Sequence[str]:
        """Every tag, in the registry's order."""
        found: list[str] = []
        what = f"{Side.PULL.value} {self.name}: tags"
        for reply in pages(self._client, self._call(Side.PULL, "GET", f"tags/list?n={PAGE_SIZE}")):
            fields = Fields(loads(reply.body, what=what, cap=MANIFEST_CAP), what=what)
            page = fields.texts("tags") if "tags" in fields else ()
            collect(found, [_tag(tag, what) for tag in page], what=what)
        return list(dict.fromkeys(found))

    def referrers(self, subject: Digest) -> Sequence[Descriptor]:
        """What refers to ``subject``: by the referrers API, or by its tag scheme where a registry has no such API."""
        what = f"{Side.PULL.value} {self.name}: referrers of {subject}"
        call = self._call(Side.PULL, "GET", f"referrers/{subject}", expect=frozenset({200, *_NO_REFERRERS}))
        found: list[Descriptor] = []
        for reply in pages(self._client, replace(call, headers=(("Accept", mediatype.OCI_INDEX),))):
            if reply.status != 200:
                return self._tagged_referrers(subject, what)
            collect(found, parse_manifest(reply.body, mediatype.OCI_INDEX, what=what).manifests, what=what)
        return found

    def _tagged_referrers(self, subject: Digest, what: str) -> Sequence[Descriptor]:
        """Distribution-spec, "Referrers Tag Schema"."""
        tag = referrers_tag(subject)
        try:
            root = self.resolve(tag)
        except NotFoundError:
            return ()
        if root.media_type != mediatype.OCI_INDEX:
            raise ProtocolError(f"{what}: tag {tag} is no OCI index but {quoted(root.media_type)!r}")
        return parse_manifest(read(self, root), root.media_type, what=what).manifests

    # Target

    def has(self, want: Descriptor) -> bool:
        """Whether the registry says that it has ``want``, in the right size if it names one."""
        target = f"{_kind(want)}/{want.digest}"
        call = self._call(Side.PUSH, "HEAD", target, expect=frozenset({200, 403, 404, 405}))
        reply = self._client.ask(replace(call, headers=_ACCEPT if want.is_manifest else ()))
        if reply.status == 403 and reply.endpoint.origin == self._client.origin:
            raise failure(403, "", b"", side=Side.PUSH, name=self.name)
        found = reply.status == 200 and reply.headers.get("content-length", str(want.size)) == str(want.size)
        if found and not want.is_manifest:
            self._note(want)
        return found

    def push(self, want: Descriptor, content: Iterable[Buffer]) -> None:
        """Upload ``want``; raises what ``content`` raises, and :class:`bundler.errors.UploadLostError` to be called again.

        Raises :class:`bundler.errors.PushError` if the registry refuses it.
        """
        if want.is_manifest:
            if want.size > MANIFEST_CAP:
                raise LimitError(f"{self.name}: {want.digest}: a manifest of more than {MANIFEST_CAP} bytes")
            raw = b"".join(bytes(chunk) for chunk in content)
            reply = self._put_manifest(want.digest, want.media_type, raw)
            self._recent.keep(self._path, want.digest, raw)
            subject = subject_of(raw, want.media_type, what=self.name)
            if subject is not None and "oci-subject" not in reply.headers:
                self._list_referrer(subject, want, raw)
            return
        session = self._sessions.pop(want.digest, None)
        upload.upload(self._client, self._call(Side.PUSH, "POST", "blobs/uploads/"), session, want, content)
        self._note(want)

    def origins(self, want: Descriptor) -> Sequence[str]:
        """Other repositories of this registry that held ``want`` in an earlier run."""
        if self._places is None or want.is_manifest or want.size < WORTH_A_MOUNT:
            return ()
        found = self._places.origins(self._host, want.digest)
        return tuple(repository for repository in found if repository != self._path)

    def _note(self, want: Descriptor) -> None:
        if self._places is not None and want.size >= WORTH_A_MOUNT:
            self._places.note(self._host, want.digest, self._path)

    def tag(self, name: str, root: Descriptor) -> None:
        """Let tag ``name`` stand for ``root``: its bytes once more, under the tag."""
        check_tag(name, what=self.name)
        self._put_manifest(name, root.media_type, self._recent.get(self._path, root.digest) or read(self, root))

    def mount(self, want: Descriptor, origin: str) -> bool:
        """Mount from repository ``origin`` of this registry; if declined, the opened session waits for ``push``."""
        query = urlencode({"mount": want.digest, "from": origin})
        call = self._call(Side.PUSH, "POST", f"blobs/uploads/?{query}", expect=_MOUNT_ANSWERS)
        call = replace(call, scopes=(*call.scopes, f"repository:{origin}:pull"))
        reply: Reply | None
        try:
            reply = self._client.ask(call)
        except AuthError:
            reply = None  # no access to the other repository, which an upload does not need
        if reply is not None and reply.status == 202:
            self._sessions[want.digest] = upload.session_of(self._client, call, reply)
        mounted = reply is not None and reply.status == 201
        if mounted:
            self._note(want)
        elif self._places is not None:
            self._places.forget(self._host, want.digest, origin)
        return mounted

    def delete(self, digest: Digest) -> None:
        """Delete a manifest, and with it every tag that stands for it."""
        call = self._call(Side.DELETE, "DELETE", f"manifests/{digest}", expect=frozenset({200, 202, 204}))
        self._client.ask(call)

    def _list_referrer(self, subject: Digest, want: Descriptor, raw: bytes) -> None:
        """Keep the list of referrers that this registry does not keep itself."""
        tag = referrers_tag(subject)
        what = f"{Side.PUSH.value} {self.name}: {tag}"
        try:
            listing = read(self, self.resolve(tag))
        except NotFoundError:
            listing = None
        new = extended(listing, want, raw, what=what)
        if new is not None:
            self._put_manifest(tag, mediatype.OCI_INDEX, new)

    def _put_manifest(self, name: str, media_type: str, raw: bytes) -> Reply:
        call = self._call(Side.PUSH, "PUT", f"manifests/{name}", expect=frozenset({200, 201, 202, 204}))
        reply = self._client.ask(replace(call, headers=(("Content-Type", media_type),), body=raw))
        said = reply.headers.get("docker-content-digest", "")
        if is_digest(said) and said != digest_of(raw, algorithm_of(Digest(said))):
            raise ProtocolError(f"{call.what}: {name} was stored as {said}, which is another manifest")
        return reply

    # Calls

    def _get_manifest(self, name: str) -> Reply:
        if not is_digest(name):
            check_tag(name, what=self.name)
        call = self._call(Side.PULL, "GET", f"manifests/{name}")
        reply = self._client.ask(replace(call, headers=_ACCEPT), cap=MANIFEST_CAP)
        self.rate_limit = rate_limit_of(reply.headers) or self.rate_limit
        return reply

    def _call(self, side: Side, method: str, target: str, *, expect: frozenset[int] = frozenset({200})) -> Call:
        actions = {Side.PULL: "pull", Side.PUSH: "pull,push", Side.DELETE: "delete,pull"}[side]
        return Call(
            method,
            self._client.endpoint(f"/v2/{self._path}/{target}"),
            side,
            self.name,
            (f"repository:{self._path}:{actions}",),
            self._credentials,
            expect=expect,
        )


def _kind(want: Descriptor) -> str:
    return "manifests" if want.is_manifest else "blobs"


def _tag(tag: str, what: str) -> str:
    try:
        return check_tag(tag, what=what)
    except ConfigError as problem:
        raise ProtocolError(str(problem)) from None


def _start(response: BaseHTTPResponse, position: int, what: str) -> int:
    """How many bytes of the answer to pass over: none if the range was obeyed, all before ``position`` if ignored."""
    if response.status == 206:
        came = _CONTENT_RANGE.fullmatch(response.headers.get("content-range", ""))
        if came is None or int(came[1]) != position:
            said = quoted(response.headers.get("content-range", "none"), 60)
            raise ProtocolError(f"{what}: bytes from {position} were asked for, the range received is {said}")
        return 0
    if response.status == 416:
        raise DigestError(f"{what}: the registry has no byte {position}, so its content is too short")
    return position
