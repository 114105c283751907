from __future__ import annotations

import pytest

from bundler.errors import ConfigError
from bundler.trust.images.pattern import compiled, problem_of

D = "sha256:" + "a" * 64
MATCHES = [
    ("**", "docker.io/library/nginx:1.27", True),
    ("**", "oci:./build/app:latest", True),
    ("docker.io/library/nginx", "docker.io/library/nginx:1.27", True),
    ("docker.io/library/nginx", f"docker.io/library/nginx@{D}", True),
    ("docker.io/library/nginx", f"docker.io/library/nginx:1@{D}", True),
    ("docker.io/library/nginx", "docker.io/library/nginx-evil:1", False),
    ("docker.io/library/nginx:1.*", "docker.io/library/nginx:1.27", True),
    ("docker.io/library/nginx:1.*", f"docker.io/library/nginx:1.27@{D}", True),
    ("docker.io/library/nginx:1.*", "docker.io/library/nginx:2.27", False),
    ("docker.io/library/nginx:1.*", "docker.io/library/nginx:1x27", False),
    ("ghcr.io/acme/**", "ghcr.io/acme/a/b:1", True),
    ("ghcr.io/acme/**", "ghcr.io/acme:1", True),
    ("ghcr.io/acme/**", "ghcr.io/acmes/a:1", False),
    ("ghcr.io/acme/*", "ghcr.io/acme/a/b:1", False),
    ("*/library/*", "reg.io:5000/library/x:1", True),
    ("reg.io:5000/app", "reg.io:5000/app:1", True),
    ("reg.io/app", "reg.io:5000/app:1", False),
    ("ghcr.io/acme", "evil.io/ghcr.io/acme:1", False),
    ("ghcr.io/acme", "ghcr.io/acme\n:1", False),
    ("ghcr.io/acme/**", "GHCR.io/acme/app:1", True),
    ("ghcr.io/acme/**", "ghcr.io:443/acme/app:1", True),
    ("GHCR.io:443/acme/**", "ghcr.io/acme/app:1", True),
    ("*.site.io/app", "Reg.Site.io/app:1", True),
    ("ghcr.io/acme/**", "ghcr.io:4430/acme/app:1", False),
    ("ghcr.io/acme/app:v1", "ghcr.io/acme/app:V1", False),
    ("[fd00::a]:443/app", "[FD00::A]/app:1", True),
    ("oci:Build.d/app", "oci:build.d/app:1", False),
    ("library/nginx", "library/nginx:1", True),
]


@pytest.mark.parametrize(("pattern", "name", "fits"), MATCHES)
def test_what_a_pattern_fits(pattern: str, name: str, fits: bool) -> None:
    assert problem_of(pattern) == ""
    assert compiled([pattern]).matches(name) is fits


def test_any_of_several_fits() -> None:
    patterns = compiled(["a.io/x", "b.io/**"])
    assert patterns.matches("b.io/y:1")
    assert not patterns.matches("a.io/y:1")


@pytest.mark.parametrize("text", ["", "a//b", "/a", "a/", "a**", "**a/b", "a b", "ä/b", "a\nb", "x" * 600])
def test_what_is_no_pattern(text: str) -> None:
    assert problem_of(text)


def test_patterns_that_are_too_large_together() -> None:
    with pytest.raises(ConfigError, match="too many"):
        compiled([f"{n}/{'*x' * 200}" for n in range(20_000)])
