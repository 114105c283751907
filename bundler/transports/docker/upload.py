"""Blobs on their way into a registry: POST opens a session, PATCH streams, PUT commits (distribution-spec, "Push").

The bytes of a large blob go straight from the buffers that they were read into to the socket, and can be sent only
once; if the session is lost meanwhile, :class:`bundler.errors.UploadLostError` asks whoever has the source to start
over, which :func:`bundler.content.copy` does. A small blob is sent with the PUT, one round trip less.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import replace
from urllib.parse import quote

from bundler.content import Buffer
from bundler.errors import BundlerError, ProtocolError, UploadLostError
from bundler.oci.descriptor import Descriptor
from bundler.transports.docker.client import Call, Client, Reply
from bundler.transports.docker.failures import error_code, failure
from bundler.transports.docker.origin import Endpoint, Use, may_send, parse_endpoint

SMALL = 256 << 10
"""Bytes up to which a blob is sent in one piece."""

_OCTETS = (("Content-Type", "application/octet-stream"),)
_LOST = frozenset({"BLOB_UPLOAD_UNKNOWN", "BLOB_UPLOAD_INVALID"})


def open_session(client: Client, call: Call) -> Endpoint:
    """A new upload session; ``call`` is the POST."""
    return session_of(client, call, client.ask(replace(call, method="POST", expect=frozenset({202}))))


def session_of(client: Client, call: Call, reply: Reply) -> Endpoint:
    """Where an answer says the upload goes on: at the registry's own origin, or :class:`ProtocolError`."""
    location = reply.headers.get("location")
    if location is None:
        raise ProtocolError(f"{call.what}: an upload without a Location")
    session = parse_endpoint(location, what=f"{call.what}: upload Location", base=call.endpoint)
    if not may_send(client.origin, session.origin, Use.UPLOAD):
        raise ProtocolError(
            f"{call.what}: the upload is sent on to {session.shown}, another origin; refused",
            hint="a registry behind a proxy must be told its outer scheme, host and port",
        )
    return session


def upload(client: Client, call: Call, session: Endpoint | None, want: Descriptor, content: Iterable[Buffer]) -> None:
    """Bring ``want`` in. ``call`` is the POST that opens a session, ``session`` one that is open already.

    Commits only after ``content`` is exhausted. Raises what ``content`` raises, and :class:`UploadLostError` if it
    must be sent once more.
    """
    if want.size <= SMALL:
        small = b"".join(bytes(chunk) for chunk in content)
        commit(client, call, session or open_session(client, call), want, small)
        return
    session = session or open_session(client, call)
    whole = _Whole(content)
    patch = replace(
        call,
        method="PATCH",
        endpoint=session,
        headers=(*_OCTETS, ("Content-Length", str(want.size))),
        body=whole,
        expect=frozenset({202, 201, 204, 400, 404, 410, 416}),
    )
    try:
        reply = client.ask(patch)
    except UploadLostError:
        raise
    except Exception:
        cancel(client, call, session)
        raise
    _check(patch, reply)
    if not whole.exhausted:
        raise UploadLostError(f"{call.what}: the registry stopped reading in the middle of {want.digest}")
    commit(client, call, session_of(client, patch, reply), want, b"")


class _Whole:
    """An iterable that knows whether it was read to its end, where what verifies it speaks."""

    def __init__(self, content: Iterable[Buffer]) -> None:
        self._content = content
        self.exhausted = False

    def __iter__(self) -> Iterator[Buffer]:
        yield from self._content
        self.exhausted = True


def commit(client: Client, call: Call, session: Endpoint, want: Descriptor, content: bytes) -> None:
    """End a session with its digest, and with ``content`` if there is more to send."""
    put = replace(
        call,
        method="PUT",
        endpoint=session.with_query(f"digest={quote(want.digest, safe='')}"),
        headers=_OCTETS,
        body=content,
        expect=frozenset({201, 204, 400, 404, 410, 416}),
        seconds=client.settings.limits.answer,
    )
    _check(put, client.ask(put))


def cancel(client: Client, call: Call, session: Endpoint) -> None:
    """Give a session up, if the registry lets us: it would clean up by itself some day."""
    with suppress(BundlerError):
        client.ask(replace(call, method="DELETE", endpoint=session, expect=frozenset(range(200, 600)), attempts=1))


def _check(call: Call, reply: Reply) -> None:
    if reply.status < 400:
        return
    error = failure(reply.status, "", reply.body, side=call.side, name=call.name, credentials=call.credentials)
    lost = reply.status in (404, 410, 416) or error_code(reply.body) in _LOST
    raise UploadLostError(str(error)) if lost else error
