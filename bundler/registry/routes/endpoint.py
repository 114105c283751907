"""A request on its way to its handler: who asks, for which repository, and whether they may.

Every endpoint is made by :func:`endpoint`, which takes the right that each method asks for: so none can be reached without
one, and none is given a repository name that the grammar does not allow. Handlers that are plain functions block, and are
called in a worker thread.

    endpoint("/v2/{name:path}/tags/list", access, {"GET": (Right.PULL, self.tags)})
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from bundler.errors import quoted
from bundler.oci.digest import Digest, is_digest
from bundler.registry.access import Access, Right, Visitor
from bundler.registry.failure import Failure
from bundler.registry.names import is_repository, shortened

VISITOR = "bundler.visitor"
"""Where the ASGI scope says who asks, once that is known."""

_DIGITS = re.compile(r"[0-9]{1,9}")


@dataclass(frozen=True, slots=True)
class Asked:
    """A request by somebody who may make it. ``repository`` is empty where the endpoint is about none."""

    request: Request
    repository: str
    visitor: Visitor
    access: Access

    def may(self, right: Right, repository: str) -> bool:
        """Whether who asks has a right elsewhere too."""
        return self.access.may(self.visitor, right, repository)

    def require(self, right: Right, repository: str) -> None:
        """Refuse who asks unless he has a right elsewhere too."""
        if not self.may(right, repository):
            raise self.access.refusal(self.visitor, right, repository)

    @property
    def digest(self) -> Digest:
        """The digest in the path; 400 if it is none."""
        return parse(self.request.path_params["digest"])

    def query_digest(self, name: str) -> Digest | None:
        """A digest in the query, if it is there."""
        return parse(self.request.query_params[name]) if name in self.request.query_params else None

    def number(self, name: str, *, most: int) -> int:
        """A number in the query, at most ``most``, which also stands for none."""
        text = self.request.query_params.get(name, str(most))
        if not _DIGITS.fullmatch(text):
            raise Failure(400, "UNSUPPORTED", f"{name}={quoted(text)} is not a number of entries")
        return min(int(text), most)


Handler = Callable[[Asked], Response] | Callable[[Asked], Awaitable[Response]]
Methods = Mapping[str, tuple[Right | None, Handler]]


def endpoint(path: str, access: Access, methods: Methods) -> Route:
    """A path, and for each method the right that it asks for in the repository of the path, and its handler.

    Without a right anybody may ask who is who they say. A path without ``{name`` is about no repository.
    """
    about_one = "{name" in path

    async def answer(request: Request) -> Response:
        right, handler = methods["GET" if request.method == "HEAD" else request.method]
        repository = request.path_params["name"] if about_one else ""
        if about_one and not is_repository(repository):
            raise Failure(400, "NAME_INVALID", f"{quoted(repository)!r} is not a repository name")
        visitor = await identified(access, request)
        asked = Asked(request, repository, visitor, access)
        if right is not None:
            asked.require(right, repository)
            if right in (Right.PUSH, Right.DELETE) and (short := shortened(repository)):
                asked.require(right, short)  # which shows what is here (:mod:`bundler.registry.names`)
        if inspect.iscoroutinefunction(handler):
            done: Response = await handler(asked)
            return done
        result = await run_in_threadpool(handler, asked)
        assert isinstance(result, Response)
        return result

    return Route(path, answer, methods=list(methods))


async def identified(access: Access, request: Request) -> Visitor:
    """Who asks; :class:`Failure` 401 for credentials that are wrong."""
    said = request.headers.getlist("authorization")
    if len(said) > 1:
        raise Failure(400, "UNAUTHORIZED", "two Authorization headers: which of them holds?")
    visitor = await access.admit(said[0] if said else None)
    request.scope[VISITOR] = visitor
    return visitor


def parse(text: str) -> Digest:
    """A digest that a client gave."""
    if not is_digest(text):
        raise Failure(400, "DIGEST_INVALID", f"{quoted(text)!r} is not a sha256 or sha512 digest")
    return Digest(text)
