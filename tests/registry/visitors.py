"""Visitors who are believed to be who they say, with rights as a file would give them.

with serving(store, access=visitors('- {users: [ann], repositories: ["team/**"], may: [push]}')) as registry:
    ann = Visiting(registry, "ann")
    assert ann.call("GET", "/v2/team/app/tags/list").status == 403
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Any, cast

from bundler.registry.access import Access
from bundler.registry.access.passwords import Passwords
from bundler.registry.access.rights import Rights, parse_rights
from tests.registry.caller import Answer, Caller


class _AnyPassword:
    def check(self, user: str, password: str) -> bool:
        return True

    def remembers(self, user: str, password: str) -> bool:
        return True


def visitors(*rules: str) -> Access:
    """Access by these rules, each a line of YAML."""
    text = "apiVersion: bundler/v1\nkind: RegistryRights\nrights:\n" + "".join(f"  {rule}\n" for rule in rules)
    parsed = parse_rights(text.encode(), "rights.yaml")
    return Access(cast(Passwords, _AnyPassword()), Rights(lambda: parsed))


class Visiting(Caller):
    """The same registry, asked by one user; by nobody if ``user`` is empty."""

    def __init__(self, registry: Caller, user: str) -> None:
        super().__init__(registry.app)
        said = base64.b64encode(f"{user}:x".encode()).decode()
        self._said = {"Authorization": f"Basic {said}"} if user else {}

    async def ask(
        self,
        method: str,
        target: str,
        body: bytes | Sequence[bytes] = b"",
        headers: Mapping[str, str] | None = None,
        *,
        cut: bool = False,
        messages: list[dict[str, Any]] | None = None,
    ) -> Answer:
        """As that user."""
        return await super().ask(method, target, body, {**self._said, **(headers or {})}, cut=cut, messages=messages)
