"""Lists that come in pages, each naming the next one in a Link header (RFC 8288, distribution-spec "Listing Tags").

A list ends: after so many pages, bytes or entries, all pages taken together; when a page names itself or an earlier one as
the next; and never at another origin.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TypeVar

from bundler.errors import LimitError, ProtocolError
from bundler.oci.strict_json import MANIFEST_CAP
from bundler.transports.docker.client import Call, Client, Reply
from bundler.transports.docker.origin import Endpoint, Use, may_send, parse_endpoint

MAX_PAGES = 2000
MAX_BYTES = 16 << 20
MAX_ENTRIES = 100_000
"""Several times what the largest repositories have."""
PAGE_SIZE = 1000
T = TypeVar("T")
_NEXT = re.compile(r"<([^<>]*)>[^<>]*?;\s*rel=\"?next\"?(?=[\s;,]|$)", re.IGNORECASE)


def pages(client: Client, call: Call) -> Iterator[Reply]:
    """Every page from ``call`` on; the caller parses them, and collects their entries with :func:`collect`."""
    size = 0
    seen: set[Endpoint] = set()
    following: Endpoint | None = call.endpoint
    while following is not None:
        if following in seen:
            raise ProtocolError(f"{call.what}: the list's pages go in a circle at {following.shown}")
        if len(seen) == MAX_PAGES:
            raise LimitError(f"{call.what}: a list of more than {MAX_PAGES} pages")
        seen.add(following)
        reply = client.ask(replace(call, endpoint=following), cap=MANIFEST_CAP)
        size += len(reply.body)
        if size > MAX_BYTES:
            raise LimitError(f"{call.what}: a list of more than {MAX_BYTES >> 20} MiB")
        yield reply
        following = _next_page(client, call, reply)


def collect(found: list[T], page: Sequence[T], *, what: str) -> None:
    """Add a page's entries to those ``found`` before; :class:`LimitError` if the list grows beyond all reason."""
    if len(found) + len(page) > MAX_ENTRIES:
        raise LimitError(f"{what}: a list of more than {MAX_ENTRIES} entries")
    found += page


def _next_page(client: Client, call: Call, reply: Reply) -> Endpoint | None:
    link = _NEXT.search(", ".join(reply.headers.getlist("link")))
    if link is None:
        return None
    endpoint = parse_endpoint(link[1], what=f"{call.what}: Link", base=reply.endpoint)
    if not may_send(client.origin, endpoint.origin, Use.PAGE):
        raise ProtocolError(f"{call.what}: the list's next page is at {endpoint.shown}, another origin; refused")
    return endpoint
