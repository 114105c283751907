"""``policy.json`` and ``registries.d`` for the nodes of a site: what the images of one registry must be signed with.

    {"default": [{"type": "reject"}],
     "transports": {"docker": {"registry.site:5000": [{"type": "signedBy", "keyType": "GPGKeys", "keyData": "…"},
                                                      {"type": "sigstoreSigned", "keyData": "…"}]}}}

Keys stand in the policy itself, so that the file can be put anywhere. Every requirement must be fulfilled, each under the
very name that an image is asked for by. What an existing policy says of other places is kept.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from bundler.oci.strict_json import canonical, loads
from bundler.policy.policy_json import CAP, read_policy
from bundler.policy.registries_d import read_registries_d

Default = Literal["reject", "accept"]
"""What holds for all that no scope speaks of."""
DEFAULTS: tuple[Default, ...] = ("reject", "accept")
_TYPES: Mapping[Default, str] = {"reject": "reject", "accept": "insecureAcceptAnything"}
_IDENTITY: Mapping[str, str] = {"type": "matchRepoDigestOrExact"}
_NOTHING: Mapping[str, str] = {}


@dataclass(frozen=True, slots=True)
class Keys:
    """Public keys: of GPG, as `gpg --export` writes them, and cosign's, as PEM. Those that are there must have signed."""

    gpg: bytes = field(default=b"", repr=False)
    cosign: bytes = field(default=b"", repr=False)

    def requirements(self, identity: Mapping[str, str] = _IDENTITY) -> list[dict[str, Any]]:
        """As ``policy.json`` writes them; without a key, nothing is let in."""
        found: list[dict[str, Any]] = []
        if self.gpg:
            found.append({"type": "signedBy", "keyType": "GPGKeys", "keyData": _text(self.gpg)})
        if self.cosign:
            found.append({"type": "sigstoreSigned", "keyData": _text(self.cosign)})
        return [{**each, "signedIdentity": dict(identity)} for each in found] or [{"type": "reject"}]


def write_policy(
    registry: str,
    keys: Keys,
    *,
    mirrored: Mapping[str, str] = _NOTHING,
    default: Default | None = None,
    existing: bytes | None = None,
) -> bytes:
    """A policy by which images of ``registry``, given as HOST[:PORT], must be signed.

    ``mirrored`` are beginnings of names under which nodes ask for images that a mirror has, each with what the signed
    name begins with in its stead: runtimes look up the policy by the name that was asked for.

    ``existing`` is the policy to which that is added, and which keeps what it says of other places; also its default,
    unless one is given. Raises :class:`ConfigError` if it is none, or if the scope can't be written.
    """
    document: dict[str, Any] = {"default": [{"type": _TYPES[default or "reject"]}], "transports": {}}
    if existing is not None:
        read_policy(existing)
        document = loads(existing, what="policy.json", cap=CAP)
        if default is not None:
            document["default"] = [{"type": _TYPES[default]}]
    scopes = document.setdefault("transports", {}).setdefault("docker", {})
    scopes[registry] = keys.requirements()
    for prefix, signed in mirrored.items():
        scopes[prefix] = keys.requirements({"type": "remapIdentity", "prefix": prefix, "signedPrefix": signed})
    raw = canonical(document)
    read_policy(raw)
    return raw


def write_registries_d(registry: str, *, lookaside: str = "", attachments: bool = False) -> bytes:
    """The file that says where signatures of a registry's images are: below the URL ``lookaside``, beside the images, or both."""
    lines = ["docker:", f"  {json.dumps(registry)}:"]
    if lookaside:
        lines.append(f"    lookaside: {json.dumps(lookaside)}")
    lines.append(f"    use-sigstore-attachments: {'true' if attachments else 'false'}")
    raw = "\n".join([*lines, ""]).encode()
    read_registries_d([("registries.d", raw)])
    return raw


def _text(raw: bytes) -> str:
    return base64.b64encode(raw).decode("ascii")
