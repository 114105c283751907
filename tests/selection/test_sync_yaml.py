"""skopeo's sync YAML, without skopeo; tests/interop/test_sync_yaml.py has it as the judge."""

from __future__ import annotations

import re

import pytest

from bundler.errors import ConfigError
from bundler.selection import Wish, read_wishes
from bundler.selection.settings import RegistrySettings
from bundler.selection.tags import TagRule

ZEROS = "sha256:" + "0" * 64

FULL = f"""\
registry.example.com:
  images:
    busybox: []
    alpine:
    redis: [1.10, "2.0", "{ZEROS}", 1.10]
  images-by-tag-regex:
    nginx: ^1\\.13\\.[12]-alpine-perl$
  images-by-semver:
    alpine: ">= 3.12.0"
  credentials:
    username: john
    password: this is a secret
  tls-verify: true
  cert-dir: /home/john/certs
quay.io:
  tls-verify: no
  images:
    coreos/etcd:
      - latest
docker.io:
  credentials:
  images-by-tag-regex:
  images: {{nginx: [yes]}}
ghcr.io/acme:
  images: {{api: [v1]}}
"""


def test_everything():
    wishes = read_wishes(FULL.encode(), "sync.yml")

    def docker(name, line, **more):
        return Wish("docker", name, **more), f"sync.yml:{line}"

    assert [(wish, wish.where) for wish in wishes.wishes] == [
        docker("registry.example.com/busybox", 3, rule=TagRule()),
        docker("registry.example.com/alpine", 4, rule=TagRule()),
        docker("registry.example.com/redis", 5, tags=("1.10", "2.0"), digests=(ZEROS,)),
        docker("registry.example.com/nginx", 7, rule=TagRule(regex=r"^1\.13\.[12]-alpine-perl$")),
        docker("registry.example.com/alpine", 9, rule=TagRule(semver=">= 3.12.0")),
        docker("quay.io/coreos/etcd", 19, tags=("latest",)),
        docker("docker.io/library/nginx", 23, tags=("yes",)),
        docker("ghcr.io/acme/api", 25, tags=("v1",)),
    ]
    assert wishes.registries == {
        "registry.example.com": RegistrySettings(
            tls_verify=True, cert_dir="/home/john/certs", username="john", password="this is a secret"
        ),
        "quay.io": RegistrySettings(tls_verify=False),
    }
    assert (wishes.name, wishes.channel) == ("sync", "stable")


def test_an_identity_token_needs_no_user():
    raw = b"quay.io: {images: {a: []}, credentials: {identitytoken: t}}"
    assert read_wishes(raw, "s.yaml").registries["quay.io"] == RegistrySettings(identity_token="t")


SKIPPED_BY_SKOPEO = {
    "repository name": ("quay.io: {images: {A: ['1']}}", r'"quay.io"\]\.images\.A.* is not a repository name', "lower"),
    "image where a repository is meant": ("quay.io: {images: {'a:1': []}}", "names an image, not a repository", "list"),
    "digest in the name": (f"quay.io: {{images: {{'a@{ZEROS}': []}}}}", "names an image", None),
    "tag": ("quay.io: {images: {a: ['1', -x]}}", r"a\[1\]: '-x' is not a tag", None),
    "empty tag": ("quay.io: {images: {a: [~]}}", r"a\[0\]: must be text, not nothing", None),
    "short digest": ("quay.io: {images: {a: ['sha256:12']}}", "is not a tag", None),
    "regex": ("quay.io:\n  images-by-tag-regex:\n    a: '('", r"^s.yaml:3: .*is not a regular expression", "RE2"),
    "one bad regex spoils no other": ("quay.io: {images-by-tag-regex: {a: ok, b: '['}}", r"\.b: '\['", None),
    "empty regex": ("quay.io: {images-by-tag-regex: {a: }}", "must be text, not nothing", None),
    "semver": ("quay.io: {images-by-semver: {a: new}}", r"\.a: 'new' is not a version constraint", None),
    "semver repository": ("quay.io: {images-by-semver: {A: '1'}}", "is not a repository name", None),
    "unknown key": ("quay.io: {image: {a: []}}", r'^s.yaml:1: \["quay.io"\]: \'image\' is not', "did you mean `images`"),
    "key in other case": ("quay.io: {Images: {a: []}}", "'Images' is not a known key", "did you mean `images`"),
    "empty section": ("quay.io: {}", "names no image", "leave the registry out"),
    "section with settings only": ("quay.io: {tls-verify: true}", "names no image", None),
    "empty maps": ("quay.io: {images: {}, images-by-semver: {}}", "names no image", None),
    "nothing": ("{}", "names no registry", None),
    "section is nothing": ("quay.io:", "must be a mapping", None),
    "host": ("'quay..io': {images: {a: []}}", "is not a host", None),
    "tags as text": ("quay.io: {images: {a: latest}}", "must be a list, not text", "for all"),
    "tls-verify": ("quay.io: {tls-verify: 'true', images: {a: []}}", "must be true or false", "quotes"),
    "credentials by half": ("quay.io: {credentials: {username: u}, images: {a: []}}", "needs both", None),
    "unknown credential": ("quay.io: {credentials: {pasword: u}, images: {a: []}}", "not a known", "`password`"),
    "cert-dir": ("quay.io: {cert-dir: '', images: {a: []}}", "is not a path", None),
    "two sections of one registry that differ": (
        "quay.io/a: {images: {b: []}}\nquay.io/c: {images: {b: []}, tls-verify: false}",
        "^s.yaml:2: .*says something else about quay.io",
        None,
    ),
    "host twice": ("quay.io: {images: {a: []}}\nquay.io: {images: {b: []}}", "^s.yaml:2: key 'quay.io' appears tw", None),
}  # fmt: skip


@pytest.mark.parametrize("case", SKIPPED_BY_SKOPEO)
def test_what_skopeo_skips_is_an_error(case):
    text, match, hint = SKIPPED_BY_SKOPEO[case]
    with pytest.raises(ConfigError, match=match) as caught:
        read_wishes(text.encode(), "s.yaml")
    assert str(caught.value).startswith("s.yaml:")
    assert not hint or re.search(hint, caught.value.hint)
