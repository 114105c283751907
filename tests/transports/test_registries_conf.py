"""registries.conf: which files are read, what they mean, and what is wrong with some of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from bundler.errors import BundlerError, ConfigError, PolicyError, UnsupportedError
from bundler.oci.reference import parse_reference
from bundler.transports.docker.redirects import AUTH_FILES, namespace_of
from bundler.transports.docker.registries_conf import CAP, blocked_by, endpoints, is_insecure, load, parse, short_names

DIGEST = "sha256:" + "a" * 64
MAN_PAGE = """
[[registry]]
prefix = "example.com/foo"
location = "internal.example.net/bar"
[[registry.mirror]]
location = "mirror-0.local/mirror-for-foo"
[[registry.mirror]]
location = "mirror-1.local/mirrors/foo"
insecure = true

[[registry]]
location = "registry.com"
[[registry.mirror]]
location = "mirror.registry.com"
"""
PULLS = """
[[registry]]
location = "example.com"
[[registry.mirror]]
location = "all.local"
[[registry.mirror]]
location = "digests.local"
pull-from-mirror = "digest-only"
[[registry.mirror]]
location = "tags.local"
pull-from-mirror = "tag-only"
[[registry.mirror]]
location = "said.local"
pull-from-mirror = "all"
[[registry]]
prefix = "example.com/strict"
location = "example.com/strict"
mirror-by-digest-only = true
[[registry.mirror]]
location = "strict.local"
"""
WILDCARD = """
[[registry]]
prefix = "*.example.com"
insecure = true
[[registry]]
prefix = "*.corp.example.com"
location = "corp.local/all"
[[registry]]
location = "plain.example.com"
"""


def places(text: str, image: str) -> list[str]:
    return [str(endpoint.reference) for endpoint in endpoints(parse(text.encode(), "conf"), parse_reference(image))]


@pytest.mark.parametrize(
    ("text", "image", "expected"),
    [
        pytest.param("", "example.com/a:1", ["example.com/a:1"], id="nothing-said"),
        pytest.param(
            MAN_PAGE,
            "example.com/foo/image:latest",
            [
                "mirror-0.local/mirror-for-foo/image:latest",
                "mirror-1.local/mirrors/foo/image:latest",
                "internal.example.net/bar/image:latest",
            ],
            id="mirrors-then-location",
        ),
        pytest.param(MAN_PAGE, "example.com/foobar/x:1", ["example.com/foobar/x:1"], id="prefix-ends-at-a-slash"),
        pytest.param(MAN_PAGE, "example.com/a/foo:1", ["example.com/a/foo:1"], id="prefix-starts-at-the-start"),
        pytest.param(
            MAN_PAGE,
            "registry.com/image:1",
            ["mirror.registry.com/image:1", "registry.com/image:1"],
            id="prefix-defaults-to-location",
        ),
        pytest.param(MAN_PAGE, "xregistry.com/image:1", ["xregistry.com/image:1"], id="another-host"),
        pytest.param(
            PULLS,
            "example.com/a:1",
            ["all.local/a:1", "tags.local/a:1", "said.local/a:1", "example.com/a:1"],
            id="by-tag",
        ),
        pytest.param(
            PULLS,
            f"example.com/a@{DIGEST}",
            [f"{host}/a@{DIGEST}" for host in ("all.local", "digests.local", "said.local", "example.com")],
            id="by-digest",
        ),
        pytest.param(
            PULLS,
            f"example.com/a:1@{DIGEST}",
            [f"{host}/a:1@{DIGEST}" for host in ("all.local", "digests.local", "said.local", "example.com")],
            id="by-both-the-digest-decides",
        ),
        pytest.param(PULLS, "example.com/strict/a:1", ["example.com/strict/a:1"], id="mirror-by-digest-only-tag"),
        pytest.param(
            PULLS,
            f"example.com/strict/a@{DIGEST}",
            [f"strict.local/a@{DIGEST}", f"example.com/strict/a@{DIGEST}"],
            id="mirror-by-digest-only-digest",
        ),
        pytest.param(WILDCARD, "a.example.com/x/y:1", ["a.example.com/x/y:1"], id="wildcard-rewrites-nothing"),
        pytest.param(WILDCARD, "a.b.corp.example.com/x:1", ["corp.local/all/x:1"], id="wildcard-many-labels"),
        pytest.param(WILDCARD, "example.com/x:1", ["example.com/x:1"], id="wildcard-needs-a-label"),
        pytest.param(
            '[[registry]]\nprefix="docker.io"\nlocation="hub.local:5000/hub"\n',
            "nginx:1.27",
            ["hub.local:5000/hub/library/nginx:1.27"],
            id="docker-hub-library",
        ),
        pytest.param(
            '[[registry]]\nprefix="docker.io/library/nginx"\nlocation="web.local/nginx"\n',
            "docker.io/nginx:1",
            ["web.local/nginx:1"],
            id="one-repository",
        ),
        pytest.param(
            '[[registry]]\nlocation="localhost"\n', "localhost:5000/a:1", ["localhost:5000/a:1"], id="any-port"
        ),
        pytest.param(
            '[[registry]]\nprefix="a.io"\nlocation="one.io"\n[[registry]]\nprefix="a.io"\nlocation="two.io"\n',
            "a.io/x:1",
            ["one.io/x:1"],
            id="the-first-of-one-prefix",
        ),
        pytest.param('[[Registry]]\nLocation="b.io"\nPREFIX="a.io"\n', "a.io/x:1", ["b.io/x:1"], id="keys-in-any-case"),
        pytest.param(
            'new-thing = 1\n[[registry]]\nlocation="a.io/"\nfuture = [1]\n', "a.io/x:1", ["a.io/x:1"], id="unknown-keys"
        ),
    ],
)
def test_places_are_tried_in_order(text: str, image: str, expected: list[str]) -> None:
    assert places(text, image) == expected


def test_each_place_has_its_own_security() -> None:
    found = endpoints(parse(MAN_PAGE.encode(), "conf"), parse_reference("example.com/foo/x:1"))
    assert [(one.insecure, one.is_mirror) for one in found] == [(False, True), (True, True), (False, False)]


def test_insecure_is_said_of_hosts_and_repositories() -> None:
    config = parse(WILDCARD.encode(), "conf")
    names = ("a.example.com", "a.example.com:5000/x", "plain.example.com", "example.com", "b.corp.example.com/x")
    assert [is_insecure(config, name) for name in names] == [True, True, False, False, False]


def test_the_longest_prefix_decides_whatever_the_order() -> None:
    tables = [f'[[registry]]\nlocation="a.io{path}"\n' for path in ("", "/x", "/x/y")]
    for order in (tables, tables[::-1]):
        config = parse("".join(order).encode(), "conf")
        for name, prefix in (("a.io/x/y/z", "a.io/x/y"), ("a.io/x/z", "a.io/x"), ("a.io/z", "a.io"), ("a.io", "a.io")):
            found = namespace_of(config, name)
            assert found is not None
            assert found.prefix == prefix


BLOCKED = """
[[registry]]
location = "bad.io"
blocked = true
[[registry]]
prefix = "never.io"
location = "never.io"
blocked = true
[[registry.mirror]]
location = "good.io/never"
[[registry.mirror]]
location = "bad.io/never"
"""


def test_blocked_is_refused_with_its_file() -> None:
    config = parse(BLOCKED.encode(), "/etc/x.conf")
    with pytest.raises(PolicyError, match=r"bad\.io/x: blocked by /etc/x\.conf"):
        endpoints(config, parse_reference("bad.io/x:1"))
    assert [blocked_by(config, name) for name in ("bad.io", "good.io")] == ["/etc/x.conf", ""]


def test_a_blocked_origin_can_have_mirrors() -> None:
    found = endpoints(parse(BLOCKED.encode(), "conf"), parse_reference("never.io/x:1"))
    assert [(str(one.reference), one.blocked) for one in found] == [
        ("good.io/never/x:1", ""),
        ("bad.io/never/x:1", "conf"),
        ("never.io/x:1", "conf"),
    ]


SEARCH = """
unqualified-search-registries = ["one.io", "two.io:5000/"]
[aliases]
web = "quay.io/site/web"
"team/app" = "docker.io/app"
gone = ""
"""


@pytest.mark.parametrize(
    ("text", "name", "expected"),
    [
        ("", "nginx", ["docker.io/library/nginx"]),
        ("", "team/nginx:1", ["docker.io/team/nginx:1"]),
        ("", "quay.io/a:1", ["quay.io/a:1"]),
        ("", "localhost/a", ["localhost/a"]),
        ("", "localhost:5000/a", ["localhost:5000/a"]),
        (SEARCH, "nginx:1", ["one.io/nginx:1", "two.io:5000/nginx:1"]),
        (SEARCH, "web", ["quay.io/site/web"]),
        (SEARCH, f"web:1@{DIGEST}", [f"quay.io/site/web:1@{DIGEST}"]),
        (SEARCH, f"web@{DIGEST}", [f"quay.io/site/web@{DIGEST}"]),
        (SEARCH, "team/app:2", ["docker.io/library/app:2"]),
        (SEARCH, "gone:1", ["one.io/gone:1", "two.io:5000/gone:1"]),
        ('unqualified-search-registries = ["docker.io"]', "nginx", ["docker.io/library/nginx"]),
        ('unqualified-search-registries = ["a.io"]\nshort-name-mode="enforcing"', "x", ["a.io/x"]),
    ],
)
def test_short_names(text: str, name: str, expected: list[str]) -> None:
    assert list(short_names(parse(text.encode(), "conf"), name)) == expected


def test_an_ambiguous_short_name_is_refused_where_that_is_demanded() -> None:
    config = parse(b'unqualified-search-registries = ["a.io", "b.io"]\nshort-name-mode = "enforcing"', "conf")
    with pytest.raises(ConfigError, match=r"x: may be at a\.io, b\.io"):
        short_names(config, "x")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        pytest.param('[[registry]]\nlocation = "a', "at end of document", id="torn"),
        pytest.param("\n\nx = = 1", "line 3", id="no-toml"),
        pytest.param("x = 1\nx = 2", "not TOML", id="a-key-twice"),
        pytest.param('[[registry]]\nlocation="a.io"\nBlocked=true\nblocked=false', "twice", id="a-key-in-two-cases"),
        pytest.param("x = " + "[" * 5000, "nested|TOML", id="nested"),
        pytest.param("x = " + "9" * 6000, "TOML", id="a-huge-number"),
        pytest.param("[[registry]]\n", "registry 1: has neither prefix nor location", id="empty-table"),
        pytest.param('[[registry]]\nprefix="a.io"', r"\(a\.io\): has no location", id="no-location"),
        pytest.param('[[registry]]\nprefix="*.a.io/x"', "wildcard", id="wildcard-with-a-path"),
        pytest.param('[[registry]]\nprefix="*.a.io:5000"', "wildcard", id="wildcard-with-a-port"),
        pytest.param('[[registry]]\nlocation="https://a.io"', "without http", id="a-url"),
        pytest.param('[[registry]]\nlocation="a.io"\ninsecure="true"', "true or false", id="text-for-a-flag"),
        pytest.param('[[registry]]\nlocation="a.io"\nblocked=1', "true or false", id="number-for-a-flag"),
        pytest.param('[[registry]]\nlocation=["a.io"]', "location must be text", id="list-for-a-text"),
        pytest.param('[registry]\nlocation="a.io"', "array of tables", id="one-table"),
        pytest.param("registry = [1]", "only tables", id="numbers-for-tables"),
        pytest.param(
            '[[registry]]\nlocation="a.io"\n[[registry.mirror]]\n', "mirror 1: has no location", id="no-mirror"
        ),
        pytest.param(
            '[[registry]]\nlocation="a.io"\npull-from-mirror="all"', "belongs to a mirror", id="no-mirror-key"
        ),
        pytest.param(
            '[[registry]]\nlocation="a.io"\n[[registry.mirror]]\nlocation="b.io"\npull-from-mirror="never"',
            "not one of all",
            id="unknown-pull",
        ),
        pytest.param(
            '[[registry]]\nlocation="a.io"\nmirror-by-digest-only=true\n'
            '[[registry.mirror]]\nlocation="b.io"\npull-from-mirror="all"',
            "beside mirror-by-digest-only",
            id="two-rules",
        ),
        pytest.param(
            '[[registry]]\nlocation="a.io"\n[[registry]]\nprefix="b.io"\nlocation="a.io"\nblocked=true',
            "different 'blocked'",
            id="allowed-and-blocked",
        ),
        pytest.param(
            '[[registry]]\nlocation="a.io"\n[[registry]]\nprefix="b.io"\nlocation="a.io"\ninsecure=true',
            "different 'insecure'",
            id="secure-and-insecure",
        ),
        pytest.param('unqualified-search-registries=["a/b"]', "not a host", id="search-in-a-path"),
        pytest.param('unqualified-search-registries=["a.io/../x"]', "not a host", id="search-in-a-folder"),
        pytest.param("unqualified-search-registries=[1]", "only text", id="search-in-a-number"),
        pytest.param('short-name-mode="maybe"', "not one of enforcing", id="unknown-mode"),
        pytest.param("[aliases]\nx=1", "must be text", id="alias-to-a-number"),
        pytest.param('[aliases]\nx="nginx"', "registry/repository", id="alias-to-a-short-name"),
        pytest.param('[aliases]\nx="a.io/x:1"', "registry/repository", id="alias-to-a-tag"),
        pytest.param('[aliases]\n"a.io/x"="b.io/x"', "no registry", id="alias-of-a-full-name"),
        pytest.param('[aliases]\n"x:1"="b.io/x"', "not a repository name", id="alias-of-a-tag"),
        pytest.param('[aliases]\n"x\\u001b[31m"="b.io/x"', r"x\\x1b", id="alias-that-paints"),
    ],
)
def test_what_is_wrong_is_said(text: str, problem: str) -> None:
    with pytest.raises(ConfigError, match=problem) as caught:
        parse(text.encode(), "some.conf")
    assert str(caught.value).startswith("some.conf")
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    ("location", "image"),
    [("docker.io", "a.io/x:1"), ("short", "a.io/x:1"), ("b.io:99999", "a.io/x:1"), ("b.io/UPPER", "a.io/x:1"),
     ("b.io/../x", "a.io/x:1"), ("b.io?x=", "a.io/x:1")],
)  # fmt: skip
def test_a_location_that_makes_no_name_is_refused(location: str, image: str) -> None:
    config = parse(f'[[registry]]\nprefix = "a.io"\nlocation = "{location}"\n'.encode(), "some.conf")
    with pytest.raises(ConfigError, match=r"^some\.conf"):
        endpoints(config, parse_reference(image))


def test_bytes_that_are_no_text_are_refused_with_their_line() -> None:
    with pytest.raises(ConfigError, match="not UTF-8 at line 2"):
        parse(b'# good\nx = "\xff"', "conf")


@pytest.mark.parametrize("kind", ["search", "insecure", "block"])
def test_version_1_is_not_read(kind: str) -> None:
    with pytest.raises(UnsupportedError, match="version 1"):
        parse(f"[registries.{kind}]\nregistries = ['a.io']".encode(), "conf")


# Files


@pytest.fixture
def home(tmp_path: Path) -> Path:
    for folder in ("etc/registries.conf.d", "home/.config/containers/registries.conf.d"):
        (tmp_path / folder).mkdir(parents=True)
    return tmp_path


def write(home: Path, **files: str) -> None:
    names = {
        "system": "etc/registries.conf",
        "system_d": "etc/registries.conf.d/50-site.conf",
        "user": "home/.config/containers/registries.conf",
        "user_d": "home/.config/containers/registries.conf.d/10-own.conf",
        "named": "named.conf",
    }
    for name, host in files.items():
        text = f'unqualified-search-registries = ["{host}"]\n[[registry]]\nlocation = "{host}"\n'
        (home / names[name]).write_text(text)


def hosts(home: Path, named: Path | None = None, **environ: str) -> tuple[list[str], tuple[str, ...]]:
    config = load(named, environ=environ, home=home / "home", system=home / "etc")
    return [namespace.prefix for namespace in config.registries], config.search


ALL = {"system": "s.io", "system_d": "sd.io", "user": "u.io", "user_d": "ud.io", "named": "n.io"}


@pytest.mark.parametrize(
    ("files", "how", "expected"),
    [
        ((), "", ([], ())),
        (("system",), "", (["s.io"], ("s.io",))),
        (("system", "system_d", "user_d"), "", (["s.io", "sd.io", "ud.io"], ("ud.io",))),
        (("system", "system_d", "user", "user_d"), "", (["u.io", "ud.io"], ("ud.io",))),
        (("system_d",), "", (["sd.io"], ("sd.io",))),
        (tuple(ALL), "option", (["n.io", "sd.io", "ud.io"], ("ud.io",))),
        (tuple(ALL), "environment", (["n.io", "sd.io", "ud.io"], ("ud.io",))),
    ],
)
def test_the_files_that_are_read(
    home: Path, files: tuple[str, ...], how: str, expected: tuple[list[str], tuple[str, ...]]
) -> None:
    write(home, **{name: ALL[name] for name in files})
    named = home / "named.conf"
    environ = {"CONTAINERS_REGISTRIES_CONF": str(named)} if how == "environment" else {}
    assert hosts(home, named if how == "option" else None, **environ) == expected


def test_the_option_comes_before_the_environment(home: Path) -> None:
    write(home, named="n.io")
    assert hosts(home, home / "named.conf", CONTAINERS_REGISTRIES_CONF="/nowhere")[0] == ["n.io"]


def test_drop_ins_replace_what_came_before(home: Path) -> None:
    (home / "etc/registries.conf").write_text(
        'short-name-mode = "disabled"\ncredential-helpers = ["pass"]\n'
        '[[registry]]\nlocation = "a.io"\nblocked = true\n[aliases]\nx = "a.io/x"\ny = "a.io/y"\n'
    )
    folder = home / "etc/registries.conf.d"
    (folder / "20.conf").write_text('short-name-mode = "enforcing"\n[aliases]\nx = ""\n')
    (folder / "10.conf").write_text(
        'short-name-mode = "permissive"\n[[registry]]\nlocation = "a.io"\ninsecure = true\n'
    )
    (folder / "30.conf.off").write_text("not TOML at all")
    (folder / "sub.conf").mkdir()
    config = load(None, environ={}, home=home / "home", system=home / "etc")
    assert config.short_name_mode == "enforcing"
    assert config.credential_helpers == ("pass",)
    assert config.aliases == {"y": "a.io/y"}
    assert [(n.blocked, n.insecure, Path(n.file).name) for n in config.registries] == [(False, True, "10.conf")]


def test_helpers_are_the_auth_files_unless_said(home: Path) -> None:
    (home / "etc/registries.conf").write_text('credential-helpers = ["pass"]\n')
    (home / "etc/registries.conf.d/1.conf").write_text("credential-helpers = []\n")
    assert load(None, environ={}, home=home / "home", system=home / "etc").credential_helpers == (AUTH_FILES,)


@pytest.mark.parametrize("damage", ["missing", "directory", "unreadable", "too-large"])
def test_a_named_file_that_cannot_be_read_is_an_error(home: Path, damage: str) -> None:
    path = home / "named.conf"
    if damage == "directory":
        path.mkdir()
    elif damage == "too-large":
        path.write_bytes(b"#" * (CAP + 1))
    elif damage == "unreadable":
        path = Path("/proc/self/mem")
    with pytest.raises(BundlerError, match=str(path)):
        load(path, environ={}, home=home / "home", system=home / "etc")


def test_a_damaged_drop_in_is_named(home: Path) -> None:
    (home / "etc/registries.conf.d/50-bad.conf").write_text("registry = ")
    with pytest.raises(ConfigError, match=r"50-bad\.conf: not TOML.*end of document"):
        hosts(home)
