"""The host as the browser sees it, and the addresses of the pages.

A Host header is anybody's text, and ends up in commands that people copy into a shell: only what is plainly a host with a
port is taken, else the address that the server listens on.

>>> seen_host("registry.site:5000", ("10.0.0.5", 5000), tls=False)
'registry.site:5000'
>>> seen_host("registry.site;reboot", ("10.0.0.5", 5000), tls=False)
'10.0.0.5:5000'
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from urllib.parse import quote

from bundler.errors import ConfigError, quoted
from bundler.oci.attached import companion_of
from bundler.oci.digest import Digest, is_digest
from bundler.registry.names import is_repository, is_tag

_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_HOST = re.compile(rf"({_LABEL}(?:\.{_LABEL}){{0,126}}|\[[0-9a-fA-F:]{{2,39}}\])(?::([0-9]{{1,5}}))?")
_PORT = re.compile(r":[0-9]+\Z")


@dataclass(frozen=True, slots=True)
class Seen:
    """This registry as the visitor reaches it. ``host`` is ``name[:port]`` as image references need it."""

    host: str
    tls: bool

    @property
    def is_loopback(self) -> bool:
        """Whether the visitor sits at the machine itself; docker then takes plain HTTP unasked."""
        name = _PORT.sub("", self.host).strip("[]")
        try:
            return ipaddress.ip_address(name).is_loopback
        except ValueError:
            return name == "localhost"

    def reference(self, repository: str, reference: str) -> str:
        """``host/repository:tag`` or ``host/repository@digest``."""
        return f"{self.host}/{repository}{'@' if is_digest(reference) else ':'}{reference}"


def seen_host(header: str | None, listening: tuple[str, int | None] | None, *, tls: bool) -> str:
    """The host to be written into image references; ``header`` is the Host header."""
    match = _HOST.fullmatch(header or "")
    port = int(match[2]) if match and match[2] else None
    if match and len(match[1]) <= 253 and (port is None or 0 < port < 65_536):
        return _referable(match[1].lower(), port, tls=tls)
    name, port = listening or ("localhost", None)
    name = f"[{name}]" if ":" in name else name
    return _referable(name if _HOST.fullmatch(name) else "localhost", port, tls=tls)


def public_address(url: str) -> Seen:
    """The registry as a proxy lets it be reached; :class:`ConfigError` for anything but ``https://host[:port]`` or http.

    >>> public_address("https://registry.site")
    Seen(host='registry.site', tls=True)
    """
    scheme, _, host = url.rstrip("/").partition("://")
    match = _HOST.fullmatch(host)
    if scheme not in ("http", "https") or match is None or not 0 < int(match[2] or 1) < 65_536:
        raise ConfigError(
            f"{quoted(url)!r} is not https://host[:port]", hint="write it like https://registry.example.com"
        )
    tls = scheme == "https"
    return Seen(seen_host(host, None, tls=tls), tls=tls)


def _referable(name: str, port: int | None, *, tls: bool) -> str:
    """With a port where the name alone would be taken for a repository of Docker Hub."""
    if port is None and "." not in name and name != "localhost":
        port = 443 if tls else 80
    return name if port is None else f"{name}:{port}"


def repository_path(repository: str) -> str:
    """The page of a repository."""
    return f"/images/{quote(repository, safe='/')}"


def manifest_path(repository: str, reference: str) -> str:
    """The page of a tag or a digest."""
    mark = "@" if is_digest(reference) else ":"
    return f"{repository_path(repository)}{mark}{quote(reference, safe=':')}"


def split_path(path: str) -> tuple[str, str] | None:
    """``(repository, tag, digest or "")`` of what follows ``/images/``; ``None`` if the grammar does not allow it."""
    repository, at, reference = path.partition("@")
    if at:
        good = is_digest(reference)
    else:
        repository, colon, reference = path.partition(":")
        good = not colon or is_tag(reference)
    return (repository, reference) if good and is_repository(repository) else None


def subject_of(tag: str) -> tuple[Digest, str] | None:
    """Whom a tag ``sha256-<hex>[.sig|.att|.sbom]`` is about, and what it brings; nothing for any other tag.

    cosign attaches by such tags, and clients list referrers under the bare one (distribution-spec 1.1).
    """
    found = companion_of(tag)
    return (found[0], KINDS[found[1]]) if found and found[1] in KINDS else None


KINDS = {"sig": "signature", "att": "attestation", "sbom": "SBOM", "": "list of referrers"}
"""What the suffixes of such tags mean."""
