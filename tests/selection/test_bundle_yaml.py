"""bundle.yaml, read whole."""

from __future__ import annotations

import pytest

from bundler.errors import ConfigError, UnsupportedError
from bundler.oci.platform import Platform
from bundler.selection import Wish, read_wishes
from bundler.selection.settings import RegistrySettings
from bundler.selection.tags import TagRule

ZEROS = "sha256:" + "0" * 64
ONES = "sha512:" + "1" * 128
AMD64 = Platform("linux", "amd64")
ARM64 = Platform("linux", "arm64")

FULL = f"""\
apiVersion: bundler/v1
kind: Bundle
name: edge-platform
channel: beta
platforms: [linux/amd64, linux/aarch64, linux/arm64/v8]
attachments: [sboms, signatures]
index: strip
registries:
  registry.example.com: {{tls-verify: true, ca: certs/site.pem}}
  localhost:5000: {{tls-verify: false, cert-dir: /certs}}
  index.docker.io: {{}}
images:
  - docker.io/library/nginx:1.27
  - ghcr.io/acme/api@{ZEROS}
  - ghcr.io/acme/api:2@{ZEROS}
  - image: quay.io/acme/web
    tags: [1.10, "1.5", {ONES}, 1.10]
    platforms: all
    attachments: none
    index: keep
    as: acme/web
    optional: true
  - image: docker.io/library/httpd
    tags: {{regex: '^2', semver: '>=2.4.50 <3', newest: 3, exclude: ['-rc']}}
  - image: oci:./build/app:latest
  - docker://redis
  - containers-storage:localhost/app:1
"""


def head(rest: str) -> bytes:
    """A document that is complete but for its images."""
    return f"apiVersion: bundler/v1\nkind: Bundle\nname: x\n{rest}".encode()


def test_everything():
    wishes = read_wishes(FULL.encode(), "dir/bundle.yaml")
    usual = {"platforms": (AMD64, ARM64), "index": "strip", "attachments": ("signatures", "sboms")}
    assert (wishes.name, wishes.channel) == ("edge-platform", "beta")
    assert wishes.registries == {
        "registry.example.com": RegistrySettings(tls_verify=True, ca="certs/site.pem"),
        "localhost:5000": RegistrySettings(tls_verify=False, cert_dir="/certs"),
        "docker.io": RegistrySettings(),
    }
    assert wishes.wishes == (
        Wish("docker", "docker.io/library/nginx", tags=("1.27",), **usual),
        Wish("docker", "ghcr.io/acme/api", digests=(ZEROS,), **usual),
        Wish("docker", "ghcr.io/acme/api", tags=("2",), pin=ZEROS, **usual),
        Wish("docker", "quay.io/acme/web", tags=("1.10", "1.5"), digests=(ONES,), platforms=None, attachments="none",
             index="keep", target="acme/web", optional=True),
        Wish("docker", "docker.io/library/httpd", rule=TagRule("^2", ">=2.4.50 <3", 3, ("-rc",)), **usual),
        Wish("oci", "./build/app:latest", **usual),
        Wish("docker", "docker.io/library/redis", tags=("latest",), **usual),
        Wish("containers-storage", "localhost/app:1", **usual),
    )  # fmt: skip
    assert [wish.where for wish in wishes.wishes[:5]] == [f"bundle.yaml:{line}" for line in (13, 14, 15, 16, 23)]


def test_defaults():
    wishes = read_wishes(head("images: [nginx]"), "bundle.yaml")
    assert wishes.channel == "stable"
    assert wishes.registries == {}
    assert wishes.wishes == (Wish("docker", "docker.io/library/nginx", tags=("latest",), platforms=None),)
    assert (wishes.wishes[0].index, wishes.wishes[0].attachments) == ("sparse", "all")


def test_json_is_yaml():
    raw = b'{"apiVersion": "bundler/v1", "kind": "Bundle", "name": "x", "images": ["nginx:1.10"]}'
    assert read_wishes(raw, "bundle.json").wishes[0].tags == ("1.10",)


def test_an_empty_list_of_attachments_is_none():
    assert read_wishes(head("attachments: []\nimages: [nginx]"), "b.yaml").wishes[0].attachments == "none"


BAD = {
    "no apiVersion": ("kind: Bundle\nname: x\nimages: [a]", r"^b.yaml:1: `apiVersion` is missing$", None),
    "no kind": ("apiVersion: bundler/v1\nname: x\nimages: [a]", "`kind` is missing", None),
    "no name": ("apiVersion: bundler/v1\nkind: Bundle\nimages: [a]", "`name` is missing", None),
    "no images": ("apiVersion: bundler/v1\nkind: Bundle\nname: x", "`images` is missing", None),
    "other version": (
        "apiVersion: bundler/v2\nkind: Bundle\nname: x\nimages: [a]",
        r"^b.yaml:1: apiVersion: 'bundler/v2' is not supported$",
        "write `apiVersion: bundler/v1`",
    ),
    "other kind": ("apiVersion: bundler/v1\nkind: Lock\nname: x\nimages: [a]", "kind: 'Lock' is not supported", None),
}
BAD_AFTER_HEAD = {
    "bad channel": ("channel: Stable\nimages: [a]", r"^b.yaml:4: channel: 'Stable' is not a name$", "lower-case"),
    "dots in channel": ("channel: ../x\nimages: [a]", "is not a name", "lower-case"),
    "empty images": ("images: []", "^b.yaml:4: images: holds no image$", None),
    "images is a mapping": ("images: {a: b}", "images: must be a list, not a mapping", "starting with a dash"),
    "images is nothing": ("images:", "images: must be a list, not nothing", None),
    "unknown key": ("imagse: []\nimages: [a]", r"^b.yaml:4: 'imagse' is not a known key$", "did you mean `images`"),
    "unknown image key": (
        "images:\n- image: a\n  platfroms: [linux/amd64]",
        r"^b.yaml:6: images\[0\]: 'platfroms' is not a known key$",
        "did you mean `platforms`",
    ),
    "unknown rule key": ("images: [{image: a, tags: {regexp: x}}]", "'regexp' is not a known", "did you mean `regex`"),
    "image missing": ("images: [{tags: [a]}]", r"images\[0\]: `image` is missing", None),
    "image is a list": ("images: [[a]]", r"images\[0\]: must be a mapping", None),
    "image is nothing": ("images:\n-\n", r"images\[0\]: must be a mapping \(key: value\), not nothing", None),
    "upper case": ("images:\n- a\n- Docker.io/A/B", r"^b.yaml:6: images\[1\]: 'Docker.io/A/B'", "lower case"),
    "not a host": ("images: ['a..b/c']", "is not a host", None),
    "bad digest": ("images: ['a@sha256:12']", "what follows the @", None),
    "bad tag in name": ("images: ['quay.io/a/b:-x']", "is not a tag", None),
    "unknown transport": ("images: ['http://quay.io/a']", r"images\[0\]: 'http://quay.io/a': unknown transport", "oci"),
    "docker without slashes": ("images: ['docker:nginx']", "write docker://nginx", None),
    "ostree": ("images: ['ostree:x']", "ostree: was removed upstream", None),
    "empty file name": ("images: ['oci:']", "names no image", None),
    "tags of a file": ("images: [{image: 'oci:x', tags: [a]}]", "only images of a registry have tags", None),
    "tags twice": ("images: [{image: 'a:1', tags: ['2']}]", r"tags: 'a:1' names a tag or digest", "leave one"),
    "tags empty": ("images: [{image: a, tags: []}]", "tags: chooses no tag", "regex: '.*'"),
    "tags is text": ("images: [{image: a, tags: '1'}]", "tags: must be a list, not text", "a list such as"),
    "tag with a slash": ("images: [{image: a, tags: [a/b]}]", r"images\[0\].tags\[0\]: 'a/b' is not a tag", None),
    "tag is nothing": ("images: [{image: a, tags: [~]}]", r"tags\[0\]: must be text, not nothing", None),
    "rule empty": ("images: [{image: a, tags: {}}]", "tags: is a rule without conditions", "'.*'"),
    "regex bad": (
        "images:\n- image: a\n  tags:\n    regex: '('",
        r"^b.yaml:7: images\[0\].tags.regex: '\(' is not a regular expression: missing \)",
        "RE2",
    ),
    "regex empty": ("images: [{image: a, tags: {regex: ''}}]", "tags.regex: is an empty expression", "'.*'"),
    "exclude bad": ("images: [{image: a, tags: {exclude: [a, '[']}}]", r"tags.exclude\[1\]: '\['", "RE2"),
    "exclude is text": ("images: [{image: a, tags: {exclude: a}}]", "exclude: must be a list", None),
    "semver bad": ("images: [{image: a, tags: {semver: new}}]", r"tags.semver: 'new' is not a version con", ">=1.2"),
    "newest zero": ("images: [{image: a, tags: {newest: 0}}]", "tags.newest: must be a whole number from 1", None),
    "newest text": ("images: [{image: a, tags: {newest: two}}]", "tags.newest: must be a whole number", None),
    "platforms text": ("platforms: linux/amd64\nimages: [a]", "must be a list or `all`", r"\[linux/amd64\]"),
    "platforms empty": ("platforms: []\nimages: [a]", "chooses no platform", "`all`"),
    "platform bad": ("platforms: [amd64]\nimages: [a]", r"^b.yaml:4: platforms\[0\]: 'amd64' is not os", None),
    "attachments bad": ("attachments: some\nimages: [a]", "'some' is not a choice", "all, none"),
    "attachment bad": ("attachments: [sbom]\nimages: [a]", r"attachments\[0\]: 'sbom' is not", "`sboms`"),
    "index bad": ("index: stripp\nimages: [a]", "index: 'stripp' is not a choice", "`strip`"),
    "as with a tag": ("images: [{image: a, as: 'b:1'}]", r"images\[0\].as: 'b:1' is more than a path", "stays"),
    "as upper case": ("images: [{image: a, as: B}]", r"as: 'B' is not a repository name", "lower case"),
    "as climbs": ("images: [{image: a, as: ../b}]", "is not a repository name", None),
    "optional text": ("images: [{image: a, optional: 'true'}]", "must be true or false", "without quotes"),
    "registry with a path": ("registries: {quay.io/a: {}}\nimages: [a]", "'quay.io/a' is not a registry's", None),
    "registry is a word": ("registries: {quay: {}}\nimages: [a]", "'quay' is not a registry's host", None),
    "registry twice": ("registries: {docker.io: {}, index.docker.io: {}}\nimages: [a]", "was given before", None),
    "registry settings": ("registries: {quay.io: {tls_verify: true}}\nimages: [a]", "not a known", "`tls-verify`"),
    "credentials": ("registries: {quay.io: {password: p}}\nimages: [a]", "holds credentials", "auth.json"),
    "ca empty": ("registries: {quay.io: {ca: ''}}\nimages: [a]", "ca: '' is not a path", None),
    "registry is nothing": ("registries: {quay.io: }\nimages: [a]", "must be a mapping", None),
    "duplicate key": ("images: [a]\nimages: [b]", "^b.yaml:5: key 'images' appears twice$", None),
    "key differs by case": ("images: [a]\nImages: [b]", "key 'Images' appears also as 'images'", None),
}  # fmt: skip


@pytest.mark.parametrize("case", [*BAD, *BAD_AFTER_HEAD])
def test_defects(case):
    text, match, hint = BAD.get(case) or BAD_AFTER_HEAD[case]
    raw = text.encode() if case in BAD else head(text)
    with pytest.raises((ConfigError, UnsupportedError), match=match) as caught:
        read_wishes(raw, "b.yaml")
    assert str(caught.value).startswith("b.yaml:")
    if hint:
        import re

        assert re.search(hint, caught.value.hint)
