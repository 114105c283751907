"""``bundle.yaml``: bundler's own manifest of images, ``apiVersion: bundler/v1``, ``kind: Bundle``.

Every key is known and every value is checked where it is read, rules included, so that an error carries the line. The
schema is ``schemas/bundle-yaml/``.
"""

from __future__ import annotations

from bundler.errors import ConfigError, UnsupportedError, quoted
from bundler.oci.reference import parse_reference
from bundler.selection.entry import Options, read_entry
from bundler.selection.settings import RegistrySettings
from bundler.selection.wishes import DEFAULT_CHANNEL, NAME_LENGTH, Wishes, is_name
from bundler.selection.yaml_tree import Value

API_VERSION = "bundler/v1"
KIND = "Bundle"
KEYS = ("apiVersion", "kind", "name", "channel", "platforms", "attachments", "index", "registries", "images")
REGISTRY_KEYS = ("tls-verify", "ca", "cert-dir", "token-hosts")
_CREDENTIAL_KEYS = frozenset({"credentials", "username", "password", "identitytoken"})


def read_bundle_yaml(top: Value) -> Wishes:
    """The wishes of a document whose top is a mapping; raises :class:`ConfigError` naming file, line and path."""
    fields = top.fields(KEYS)
    for name, wanted in (("apiVersion", API_VERSION), ("kind", KIND)):
        value = _required(top, fields, name)
        if value.text() != wanted:
            hint = f"write `{name}: {wanted}`"
            raise UnsupportedError(f"{value.what}: {quoted(value.text())!r} is not supported", hint=hint)
    options = Options().overridden(fields)
    images = _required(top, fields, "images")
    items = images.items(hint="write each image on its own line, starting with a dash")
    if not items:
        raise images.fail("holds no image")
    return Wishes(
        name=_name(_required(top, fields, "name")),
        channel=_name(fields["channel"]) if "channel" in fields else DEFAULT_CHANNEL,
        wishes=tuple(read_entry(item, options) for item in items),
        registries=_registries(fields["registries"]) if "registries" in fields else {},
    )


def _required(parent: Value, fields: dict[str, Value], name: str) -> Value:
    if name not in fields:
        raise parent.fail(f"`{name}` is missing")
    return fields[name]


def _name(value: Value) -> str:
    text = value.text()
    if not is_name(text):
        raise value.fail(
            f"{quoted(text)!r} is not a name",
            hint=f"lower-case letters and digits, single . _ - between them, at most {NAME_LENGTH} characters",
        )
    return text


def _registries(value: Value) -> dict[str, RegistrySettings]:
    settings: dict[str, RegistrySettings] = {}
    for host, section in value.entries().items():
        registry = _registry(host, section)
        if registry in settings:
            raise section.fail(f"{registry} was given before under another name")
        if section.kind == "mapping" and _CREDENTIAL_KEYS & section.entries().keys():
            hint = "credentials belong into auth.json: log in with docker, podman or skopeo, or give --creds"
            raise section.fail("holds credentials, and a manifest of images is no place for them", hint=hint)
        fields = section.fields(REGISTRY_KEYS)
        settings[registry] = RegistrySettings(
            tls_verify=fields["tls-verify"].boolean() if "tls-verify" in fields else None,
            ca=path_of(fields["ca"]) if "ca" in fields else None,
            cert_dir=path_of(fields["cert-dir"]) if "cert-dir" in fields else None,
            token_hosts=tuple(_token_host(host) for host in fields["token-hosts"].items())
            if "token-hosts" in fields
            else (),
        )
    return settings


def _token_host(value: Value) -> str:
    return _registry(value.text(), value)


def _registry(host: str, at: Value) -> str:
    """``host`` as references will have it, so ``index.docker.io`` is ``docker.io``."""
    try:
        reference = parse_reference(f"{host}/x/y", what=at.what, default_tag="")
    except ConfigError:
        reference = None
    if "/" in host or reference is None or reference.repository != "x/y":
        raise at.fail(f"{quoted(host)!r} is not a registry's host[:port]")
    return reference.registry


def path_of(value: Value) -> str:
    """The path of a file or directory, as written."""
    text = value.text()
    if not text or not text.isprintable():
        raise value.fail(f"{quoted(text)!r} is not a path")
    return text
