r"""skopeo's sync YAML, read to the set of images that ``skopeo sync --src yaml`` takes.

    registry.example.com:
      images: {repo/a: ["1.0", "sha256:…"], repo/b: []}        # an empty list means every tag
      images-by-tag-regex: {repo/c: '^1\.2'}                   # matches anywhere unless anchored
      images-by-semver: {repo/d: '>= 1.2 < 2'}
      tls-verify: true
      cert-dir: /certs
      credentials: {username: u, password: p}

What skopeo skips with a line in its log (a repository, tag, expression or constraint that it can't read, an unknown key, a
section without images, a rule that matches nothing) is an error here.
"""

from __future__ import annotations

from collections.abc import Iterator

from bundler.errors import ConfigError
from bundler.oci.reference import Reference, parse_reference
from bundler.selection.bundle_yaml import path_of
from bundler.selection.entry import regex_of, semver_of, tags_and_digests
from bundler.selection.settings import RegistrySettings
from bundler.selection.tags import TagRule
from bundler.selection.wishes import DEFAULT_CHANNEL, Wish, Wishes, name_from
from bundler.selection.yaml_tree import Value

KEYS = ("images", "images-by-tag-regex", "images-by-semver", "credentials", "tls-verify", "cert-dir")
CREDENTIAL_KEYS = ("username", "password", "identitytoken")


def read_sync_yaml(top: Value) -> Wishes:
    """The wishes of a mapping from registry to section; raises :class:`ConfigError` naming file, line and path."""
    wishes: list[Wish] = []
    registries: dict[str, RegistrySettings] = {}
    sections = top.entries()
    if not sections:
        raise top.fail("names no registry")
    for host, section in sections.items():
        fields = section.fields(KEYS)
        found = list(_wishes(host, fields))
        if not found:
            raise section.fail("names no image", hint="leave the registry out, or give it `images`")
        wishes.extend(found)
        # A section's key may hold a path, so one registry may have several: registry.example.com/team-a and …/team-b.
        registry = parse_reference(found[0].name, default_tag="").registry
        settings = _settings(fields)
        if registries.setdefault(registry, settings) != settings:
            raise section.fail(f"says something else about {registry} than an earlier section does")
    spoken = {registry: settings for registry, settings in registries.items() if settings != RegistrySettings()}
    return Wishes(name_from(top.source), DEFAULT_CHANNEL, tuple(wishes), spoken)


def _wishes(host: str, fields: dict[str, Value]) -> Iterator[Wish]:
    for name, value in _repositories(fields, "images"):
        items = [] if value.kind == "nothing" else value.items(hint="a list of tags, or [] for all of them")
        tags, digests = tags_and_digests(items)
        rule = None if items else TagRule()
        yield Wish("docker", _repository(host, name, value), tags=tags, digests=digests, rule=rule, where=value.where)
    for name, value in _repositories(fields, "images-by-tag-regex"):
        rule = TagRule(regex=regex_of(value))
        yield Wish("docker", _repository(host, name, value), rule=rule, where=value.where)
    for name, value in _repositories(fields, "images-by-semver"):
        rule = TagRule(semver=semver_of(value))
        yield Wish("docker", _repository(host, name, value), rule=rule, where=value.where)


def _repositories(fields: dict[str, Value], key: str) -> list[tuple[str, Value]]:
    if key not in fields or fields[key].kind == "nothing":
        return []
    return list(fields[key].entries().items())


def _repository(host: str, name: str, at: Value) -> str:
    reference: Reference = parse_reference(f"{host}/{name}", what=at.what, default_tag="")
    if reference.identifier:
        raise ConfigError(f"{at.what}: names an image, not a repository", hint="give the tag in the list")
    return reference.name


def _settings(fields: dict[str, Value]) -> RegistrySettings:
    given: dict[str, Value] = {}
    if "credentials" in fields and fields["credentials"].kind != "nothing":
        given = fields["credentials"].fields(CREDENTIAL_KEYS)
    if ("username" in given) != ("password" in given):
        raise fields["credentials"].fail("needs both username and password")
    return RegistrySettings(
        tls_verify=fields["tls-verify"].boolean(loose=True) if "tls-verify" in fields else None,
        cert_dir=path_of(fields["cert-dir"]) if "cert-dir" in fields else None,
        username=given["username"].text() if "username" in given else None,
        password=given["password"].text() if "password" in given else None,
        identity_token=given["identitytoken"].text() if "identitytoken" in given else None,
    )
