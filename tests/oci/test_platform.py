"""Platforms: aliases of one machine compare equal."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bundler.errors import ConfigError, ProtocolError
from bundler.oci.platform import Platform, normalised, parse_platform, platform_of
from bundler.oci.strict_json import Fields


@pytest.mark.parametrize(
    ("written", "means"),
    [
        ("linux/amd64", "linux/amd64"),
        ("linux/x86_64", "linux/amd64"),
        ("linux/x86-64", "linux/amd64"),
        ("Linux/AMD64", "linux/amd64"),
        ("linux/amd64/v1", "linux/amd64"),
        ("linux/amd64/v2", "linux/amd64/v2"),
        ("linux/arm64", "linux/arm64"),
        ("linux/aarch64", "linux/arm64"),
        ("linux/arm64/v8", "linux/arm64"),
        ("linux/arm64/8", "linux/arm64"),
        ("linux/arm64/v9", "linux/arm64/v9"),
        ("linux/arm", "linux/arm/v7"),
        ("linux/arm/7", "linux/arm/v7"),
        ("linux/arm/v6", "linux/arm/v6"),
        ("linux/armhf", "linux/arm/v7"),
        ("linux/armel", "linux/arm/v6"),
        ("linux/armel/v5", "linux/arm/v5"),
        ("linux/i386", "linux/386"),
        ("linux/ppc64le", "linux/ppc64le"),
        ("linux/s390x", "linux/s390x"),
        ("windows/amd64", "windows/amd64"),
    ],
)
def test_aliases(written: str, means: str) -> None:
    assert str(parse_platform(written)) == means
    assert parse_platform(written) == parse_platform(means)


@pytest.mark.parametrize(
    "text", ["", "linux", "linux/", "/amd64", "linux/amd64/v2/x", "linux/amd 64", "linux//v8", "l/a/"]
)
def test_refused(text: str) -> None:
    with pytest.raises(ConfigError, match=r"bundle\.yaml:3") as caught:
        parse_platform(text, what="bundle.yaml:3")
    assert "linux/amd64" in caught.value.hint


@given(
    st.sampled_from(["linux", "windows", "Linux"]),
    st.sampled_from(["amd64", "x86_64", "arm", "armel", "armhf", "arm64", "aarch64", "386", "riscv64"]),
    st.sampled_from(["", "v1", "v5", "v6", "v7", "v8", "8", "v9"]),
)
def test_normalising_again_changes_nothing(os: str, architecture: str, variant: str) -> None:
    once = normalised(os, architecture, variant)
    assert normalised(once.os, once.architecture, once.variant) == once
    assert parse_platform(str(once)) == once


def document(**more: Any) -> Fields:
    return Fields({"os": "windows", "architecture": "amd64", **more}, what="index: manifests[0]: platform")


def test_from_a_descriptor() -> None:
    assert platform_of(document()) == Platform("windows", "amd64")
    full = platform_of(document(**{"os.version": "10.0.17763.1", "os.features": ["win32k"], "variant": "v2", "new": 1}))
    assert full == Platform("windows", "amd64", "v2", "10.0.17763.1", ("win32k",))


@pytest.mark.parametrize("wrong", [{"os": 1}, {"variant": []}, {"os.features": "win32k"}, {"os": None}])
def test_malformed_in_a_descriptor(wrong: dict[str, Any]) -> None:
    with pytest.raises(ProtocolError, match=r"manifests\[0\]: platform"):
        platform_of(document(**wrong))


STRANGE: dict[str, dict[str, Any]] = {
    "os-with-a-colour": {"os": "linux\x1b[31m"},
    "architecture-with-a-second-line": {"architecture": "amd64\nVERIFIED"},
    "architecture-that-ends-its-line": {"architecture": "amd64\n"},
    "os-with-a-slash": {"os": "linux/amd64"},
    "os-beyond-ascii": {"os": "l\u0131nux"},
    "endless-os": {"os": "l" * 65},
    "variant-bidi": {"variant": "v7\u202e"},
    "os.version-with-control": {"os.version": "10.0\x07"},
    "os.version-endless": {"os.version": "1" * 256},
    "os.features-with-control": {"os.features": ["win32k", "a\tb"]},
    "os.features-endless": {"os.features": ["w" * 256]},
    "OS": {"OS": "linux"},
}


@pytest.mark.parametrize("wrong", STRANGE.values(), ids=STRANGE)
def test_text_that_no_terminal_should_get(wrong: dict[str, Any]) -> None:
    with pytest.raises(ProtocolError, match=next(iter(wrong))) as caught:
        platform_of(document(**wrong))
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 300


def test_platforms_that_say_nothing_are_taken() -> None:
    assert str(platform_of(document(os="unknown", architecture="unknown"))) == "unknown/unknown"
    assert platform_of(document(os="", architecture="", variant="")) == Platform("", "")


@pytest.mark.parametrize(
    ("has", "wish", "answer"),
    [
        (Platform("linux", "amd64"), Platform("linux", "amd64"), True),
        (Platform("linux", "arm", "v6"), Platform("linux", "arm", "v7"), False),
        (Platform("linux", "amd64"), Platform("windows", "amd64"), False),
        (Platform("windows", "amd64", "", "10.0.1"), Platform("windows", "amd64"), True),
        (Platform("windows", "amd64", "", "10.0.1"), Platform("windows", "amd64", "", "10.0.2"), False),
        (Platform("windows", "amd64"), Platform("windows", "amd64", "", "10.0.2"), False),
    ],
)
def test_offers(has: Platform, wish: Platform, answer: bool) -> None:
    assert has.offers(wish) is answer
