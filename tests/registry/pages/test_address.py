"""The host as the browser sees it, and the addresses of the pages."""

from __future__ import annotations

from urllib.parse import unquote

import pytest

from bundler.errors import ConfigError
from bundler.registry.pages.address import (
    Seen,
    manifest_path,
    public_address,
    repository_path,
    seen_host,
    split_path,
    subject_of,
)
from tests.images import layer

DIGEST = layer("x", 10).descriptor.digest
LISTENING = ("10.0.0.5", 5000)

HOSTS = {
    "name and port": ("registry.site:5000", "registry.site:5000"),
    "name": ("registry.site", "registry.site"),
    "upper case": ("Registry.Site:5000", "registry.site:5000"),
    "IPv6": ("[2001:db8::1]:5000", "[2001:db8::1]:5000"),
    "one word alone would be Docker Hub's": ("registry", "registry:80"),
    "localhost": ("localhost", "localhost"),
    "shell": ("registry.site;reboot", "10.0.0.5:5000"),
    "substitution": ("$(reboot)", "10.0.0.5:5000"),
    "markup": ("<script>", "10.0.0.5:5000"),
    "user": ("ann@registry.site", "10.0.0.5:5000"),
    "path": ("registry.site/x", "10.0.0.5:5000"),
    "line feed": ("registry.site\n", "10.0.0.5:5000"),
    "space": ("registry.site --privileged", "10.0.0.5:5000"),
    "option": ("--authfile=x", "10.0.0.5:5000"),
    "port 0": ("registry.site:0", "10.0.0.5:5000"),
    "port too large": ("registry.site:65536", "10.0.0.5:5000"),
    "too long": ("a." * 127 + "a", "10.0.0.5:5000"),
    "other script": ("r\u0435gistry.site", "10.0.0.5:5000"),
    "empty": ("", "10.0.0.5:5000"),
    "none": (None, "10.0.0.5:5000"),
}


@pytest.mark.parametrize(
    ("url", "seen"),
    [
        ("https://registry.site", Seen("registry.site", tls=True)),
        ("https://Registry.site:5443/", Seen("registry.site:5443", tls=True)),
        ("https://registry", Seen("registry:443", tls=True)),
        ("http://[2001:db8::1]:5000", Seen("[2001:db8::1]:5000", tls=False)),
    ],
)
def test_public(url: str, seen: Seen) -> None:
    assert public_address(url) == seen


@pytest.mark.parametrize(
    "url",
    ["registry.site", "ftp://registry.site", "https://", "https://registry.site/v2", "https://ann@registry.site",
     "https://registry.site:0", "https://registry.site:65536", "https://registry.site?x", "https://a;reboot", "https://a\n"],
)  # fmt: skip
def test_not_public(url: str) -> None:
    with pytest.raises(ConfigError, match="is not https"):
        public_address(url)


@pytest.mark.parametrize(("header", "host"), HOSTS.values(), ids=HOSTS.keys())
def test_host(header: str | None, host: str) -> None:
    assert seen_host(header, LISTENING, tls=False) == host


def test_where_it_listens() -> None:
    assert seen_host(None, ("2001:db8::1", 443), tls=True) == "[2001:db8::1]:443"
    assert seen_host(None, ("/run/a socket", None), tls=True) == "localhost"
    assert seen_host("registry", None, tls=True) == "registry:443"


LOOPBACK = {
    "localhost:5000": True, "localhost": True, "127.0.0.2:5000": True, "[::1]:5000": True,
    "registry.site:5000": False, "10.0.0.5:5000": False, "registry.site": False,
}  # fmt: skip


@pytest.mark.parametrize(("host", "is_loopback"), LOOPBACK.items())
def test_loopback(host: str, is_loopback: bool) -> None:
    assert Seen(host, tls=False).is_loopback is is_loopback


PATHS = {
    "repository": ("team/app", ("team/app", "")),
    "tag": ("team/app:1.0", ("team/app", "1.0")),
    "digest": (f"team/app@{DIGEST}", ("team/app", DIGEST)),
    "tag and digest": (f"team/app:1.0@{DIGEST}", None),
    "no name": (":1.0", None),
    "bad tag": ("team/app:1:0", None),
    "empty tag": ("team/app:", None),
    "bad digest": ("team/app@sha256:00", None),
    "upper case": ("Team/app", None),
    "parent": ("team/../app", None),
    "slash at the end": ("team/app/", None),
    "markup": ("<script>", None),
}


@pytest.mark.parametrize(("path", "parts"), PATHS.values(), ids=PATHS.keys())
def test_paths(path: str, parts: tuple[str, str] | None) -> None:
    assert split_path(path) == parts


@pytest.mark.parametrize("reference", ["1.0", DIGEST])
def test_there_and_back(reference: str) -> None:
    path = manifest_path("team/app", reference)
    assert path.startswith(repository_path("team/app"))
    assert split_path(unquote(path).removeprefix("/images/")) == ("team/app", reference)


def test_what_no_grammar_allows_stays_in_its_place() -> None:
    assert repository_path('x"?#<') == "/images/x%22%3F%23%3C"


TAGS = {
    "signature": (f"sha256-{DIGEST[7:]}.sig", "signature"),
    "attestation": (f"sha256-{DIGEST[7:]}.att", "attestation"),
    "SBOM": (f"sha256-{DIGEST[7:]}.sbom", "SBOM"),
    "referrers": (f"sha256-{DIGEST[7:]}", "list of referrers"),
    "another suffix": (f"sha256-{DIGEST[7:]}.new", None),
    "short": ("sha256-00.sig", None),
    "a version": ("1.0", None),
}


@pytest.mark.parametrize(("tag", "kind"), TAGS.values(), ids=TAGS.keys())
def test_tags_that_attach(tag: str, kind: str | None) -> None:
    assert subject_of(tag) == (None if kind is None else (DIGEST, kind))
