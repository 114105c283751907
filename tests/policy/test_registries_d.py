"""registries.d: what is said of an image, by whom, and what is a mistake."""

from __future__ import annotations

import pytest

from bundler.errors import BundlerError, ConfigError
from bundler.oci.reference import parse_reference
from bundler.policy import read_registries_d
from bundler.policy.registries_d import RegistriesD

FILES = [
    (
        "a.yaml",
        b"""# comment
default-docker:
  lookaside: https://default.example
  lookaside-staging: file:///staging
docker:
  r.example/team: {sigstore: https://old.example, use-sigstore-attachments: true}
  r.example/team/app: {lookaside-staging: file:///app, later: {added: true}}
""",
    ),
    ("b.yaml", b"docker:\n  r.example/team/app:1:\n    use-sigstore-attachments: false\n  '*.example': {lookaside: http://w}\n"),
    ("c.yaml", b"# nothing\n---\n\n"),
    ("d.yaml", b""),
    ("e.yaml", b"docker:\ndefault-docker:\n"),
    ("f.yaml", b"something-new: 1\n"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "reading", "writing", "attachments"),
    [
        ("r.example/team/app:1", "https://old.example", "file:///app", False),
        ("r.example/team/app:2", "https://old.example", "file:///app", True),
        ("r.example/team/other:1", "https://old.example", "https://old.example", True),
        ("s.example/x:1", "http://w", "http://w", False),
        ("s.other/x:1", "https://default.example", "file:///staging", False),
    ],
)
def test_the_most_specific_that_says_something(name: str, reading: str, writing: str, attachments: bool) -> None:
    found, reference = read_registries_d(FILES), parse_reference(name)
    assert found.lookaside(reference) == reading
    assert found.lookaside(reference, writing=True) == writing
    assert found.attachments(reference) is attachments


def test_nothing_is_said_without_files() -> None:
    found = read_registries_d([])
    assert found == RegistriesD()
    assert (found.lookaside(parse_reference("x")), found.attachments(parse_reference("x"))) == ("", False)


def test_the_newer_names_win() -> None:
    raw = b"default-docker: {lookaside: https://new, sigstore: https://old, sigstore-staging: file:///old}"
    found = read_registries_d([("a.yaml", raw)])
    assert found.lookaside(parse_reference("x")) == "https://new"
    assert found.lookaside(parse_reference("x"), writing=True) == "file:///old"


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ([("a.yaml", b"default-docker: {}"), ("b.yaml", b"default-docker: {}")], "default-docker.*a.yaml"),
        ([("a.yaml", b"docker: {x: {}}"), ("b.yaml", b"docker: {x: {}}")], "docker: x.*a.yaml"),
        ([("a.yaml", b"docker: {x: {}, x: {}}")], "twice"),
        ([("a.yaml", b"docker: [x]")], "mapping"),
        ([("a.yaml", b"docker: {x: https://y}")], "mapping"),
        ([("a.yaml", b"default-docker: {lookaside: [x]}")], "text"),
        ([("a.yaml", b"default-docker: {use-sigstore-attachments: maybe}")], "true or false"),
        ([("a.yaml", b"- docker")], "mapping"),
        ([("a.yaml", b"Default-Docker: {lookaside: x}")], "a.yaml.*Default-Docker must be spelled default-docker"),
        ([("a.yaml", b"default-docker: {Lookaside: x}")], "a.yaml.*Lookaside must be spelled lookaside"),
        ([("a.yaml", b"docker: {x: {use-Sigstore-attachments: true}}")], "must be spelled use-sigstore-attachments"),
        ([("a.yaml", b"docker: {x: &a {lookaside: *a}}")], "a.yaml"),
        ([("a.yaml", b"a: 1\n---\nb: 1\n")], "second document"),
        ([("a.yaml", b"\xff")], "UTF-8"),
        ([("a.yaml", b"{" * 200)], "a.yaml"),
    ],
)
def test_mistakes_name_the_file(files: list[tuple[str, bytes]], said: str) -> None:
    with pytest.raises(BundlerError, match=said) as refused:
        read_registries_d(files)
    assert refused.value.exit_code in (2, 7)
    assert isinstance(refused.value, ConfigError) or "deep" in str(refused.value)
