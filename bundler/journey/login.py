"""Logging in and out: credentials are shown to their registry, and kept only if it takes them.

site = parse_site("registry.example/team")
used = login(site, Credentials("ann", "…"), Access(), place)        # says where they are kept now
logout(site, place)
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from bundler.content import Observer, silent
from bundler.errors import AuthError, ConfigError, quoted
from bundler.oci.reference import parse_reference
from bundler.transports.docker import logins
from bundler.transports.docker.authfile import canonical_registry
from bundler.transports.docker.credentials import Credentials, find_credentials
from bundler.transports.docker.logins import Place

if TYPE_CHECKING:
    from bundler.journey.access import Access, Surroundings


@dataclass(frozen=True, slots=True)
class Site:
    """What to log in to: ``shown`` is the name as it was given, ``name`` what it is kept under."""

    shown: str
    registry: str
    namespace: str = ""

    @property
    def name(self) -> str:
        """``registry[/namespace]``."""
        return f"{self.registry}/{self.namespace}" if self.namespace else self.registry


def parse_site(text: str) -> Site:
    """``registry[/namespace]``, or a URL, of which the host is taken. Raises :class:`ConfigError`."""
    shown = text
    if text.startswith(("https://", "http://")):
        try:
            shown = urlsplit(text).netloc.rpartition("@")[2]
        except ValueError:
            shown = ""
    host, slash, namespace = shown.partition("/")
    what = f"{quoted(text)!r}"
    if not ("." in host or ":" in host or host == "localhost"):
        raise ConfigError(f"{what}: is not a registry's HOST[:PORT]", hint="Docker Hub is docker.io")
    if "@" in namespace or ":" in namespace:
        raise ConfigError(f"{what}: has a tag or digest", hint="log in to a registry, or to a namespace there")
    # Docker Hub's own name would get the library/ that it has for images.
    parse_reference(f"{host}/{namespace if slash else 'any'}", what="registry")
    return Site(shown, canonical_registry(host), namespace)


def keeping_place(authfile: Path | None, compat: Path | None) -> Place:
    """The file to write, of the options and the environment."""
    return logins.keeping_place(authfile, compat, environ=os.environ)


def known(site: Site, place: Place, *, only: bool) -> Credentials | None:
    """The credentials that are kept for a site: at ``place``, else (unless ``only`` that counts) wherever one looks."""
    found = logins.kept(place, site.name, environ=os.environ)
    if found is None and not only:
        found = _elsewhere(site)
    return found


def _elsewhere(site: Site) -> Credentials | None:
    if os.environ.get("REGISTRY_AUTH_FILE"):
        return None
    return find_credentials(site.registry, site.namespace, authfile=None, environ=os.environ, home=Path.home())


def user_of(site: Site, place: Place, *, only: bool) -> str:
    """Who is logged in. Raises :class:`AuthError` if nobody is."""
    found = known(site, place, only=only)
    if found is None or not found.username:
        raise AuthError(f"not logged into {quoted(site.shown)}", hint=f"bundler login {quoted(site.shown)}")
    return found.username


def check(
    site: Site,
    credentials: Credentials,
    access: Access,
    *,
    surroundings: Surroundings | None = None,
    observer: Observer = silent,
) -> None:
    """Show the credentials to the registry. Raises :class:`AuthError` if it refuses them."""
    from bundler.journey.ends import Ends
    from bundler.transports.docker.registries_conf import is_insecure
    from bundler.transports.docker.registry import Registry

    with Ends(access, surroundings=surroundings, observer=observer) as ends:
        settings = ends.registry(site.registry, insecure=is_insecure(ends.config, site.name)).settings
        with Registry(site.registry, replace(settings, credentials=credentials), observer) as registry:
            registry.check()


def login(
    site: Site,
    credentials: Credentials,
    access: Access,
    place: Place,
    *,
    surroundings: Surroundings | None = None,
    observer: Observer = silent,
) -> str:
    """Check, then keep; says where. Nothing is kept that the registry refuses."""
    place.key(site.name)
    check(site, credentials, access, surroundings=surroundings, observer=observer)
    return logins.store(place, site.name, credentials, environ=os.environ)


def logout(site: Site, place: Place, *, only: bool) -> None:
    """Forget what is kept for a site. Raises :class:`AuthError` if nothing is."""
    if logins.forget(place, site.name, environ=os.environ):
        return
    shown = quoted(site.shown)
    if known(site, place, only=only) is not None:
        raise AuthError(
            f"not logged into {shown} in {place.path}; credentials that are used for it are kept under another name, or in"
            " another file",
            hint="log out there: of its registry, by --authfile, or with docker logout",
        )
    raise AuthError(f"not logged into {shown}", hint="")


def logout_of_all(place: Place) -> None:
    """Forget everything that is kept at a place."""
    logins.forget_all(place, environ=os.environ)
