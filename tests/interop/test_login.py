"""Logging in with skopeo and with bundler: the same lines, and files that either of them reads."""

from __future__ import annotations

import base64
import json
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests import images
from tests.authority import Authority
from tests.peers import DockerRegistry, attempt, bundler_path, docker_registry, needs, run
from tests.tokens import TokenServer

USER, PASSWORD = "ann", "s3cret: pässwört"
PROGRAMS = {"skopeo": Path("skopeo"), "bundler": bundler_path()}
BOTH = pytest.mark.parametrize("program", PROGRAMS)

pytestmark = needs("skopeo", "docker-registry", "htpasswd")


@dataclass(frozen=True, slots=True)
class Operator:
    """Someone with a home and directories for each program alone."""

    registry: DockerRegistry
    work: Path
    cert_dir: Path

    def env(self, program: str) -> dict[str, str]:
        home = self.work / program
        (home / "run").mkdir(parents=True, exist_ok=True)
        return {"HOME": str(home), "XDG_RUNTIME_DIR": str(home / "run")}

    def file(self, program: str) -> Path:
        """Where it keeps credentials unless told otherwise."""
        return self.work / program / "run" / "containers" / "auth.json"

    def __call__(self, program: str, *arguments: str | Path, status: int = 0, stdin: str = "") -> str:
        said = run(PROGRAMS[program], *arguments, env=self.env(program), status=status, stdin=stdin)
        return said.replace(str(self.work / program), "HOME")

    def login(self, program: str, *arguments: str | Path, status: int = 0, stdin: str = PASSWORD) -> str:
        given = ("-u", USER, "--password-stdin", "--cert-dir", self.cert_dir)
        return self(program, "login", *given, *arguments, status=status, stdin=stdin)

    def same(self, *arguments: str | Path) -> str:
        """What both say, which must be the same."""
        ours, theirs = self("bundler", *arguments), self("skopeo", *arguments)
        assert ours == theirs != ""
        return ours


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory, authority: Authority) -> Iterator[DockerRegistry]:
    with docker_registry(tmp_path_factory.mktemp("login"), tls=authority, htpasswd={USER: PASSWORD}) as made:
        yield made


@pytest.fixture
def operator(registry: DockerRegistry, tmp_path: Path, authority: Authority) -> Operator:
    return Operator(registry, tmp_path, authority.cert_dir)


def test_the_same_lines(operator: Operator) -> None:
    host = operator.registry.host
    given = ("login", "--username", USER, "--password", PASSWORD, "--cert-dir", operator.cert_dir)
    assert operator.same(*given, host) == "Login Succeeded!\n"
    assert operator.same("login", "--get-login", host) == f"{USER}\n"
    assert operator.same("login", "--get-login", f"{host}/team") == f"{USER}\n"
    assert operator.same(*given, "--verbose", host) == "Used:  HOME/run/containers/auth.json\nLogin Succeeded!\n"
    assert "Existing credentials are valid" in operator.same("login", "--cert-dir", operator.cert_dir, host)
    assert operator.same("logout", host) == f"Removed login credentials for {host}\n"
    assert operator.same(*given, f"{host}/team/app") == "Login Succeeded!\n"
    assert operator.same("logout", f"{host}/team/app") == f"Removed login credentials for {host}/team/app\n"
    assert operator.same(*given, f"https://{host}/v2/") == "Login Succeeded!\n"
    assert operator.same("logout", "--all") == "Removed login credentials for all registries\n"


def test_the_same_file(operator: Operator) -> None:
    for name in (operator.registry.host, f"{operator.registry.host}/team"):
        for program in PROGRAMS:
            operator.login(program, name)
    ours, theirs = operator.file("bundler"), operator.file("skopeo")
    assert ours.read_bytes().rstrip() == theirs.read_bytes().rstrip()
    assert stat.S_IMODE(ours.stat().st_mode) == 0o600
    assert stat.S_IMODE(ours.parent.stat().st_mode) == 0o700
    pair = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
    assert json.loads(ours.read_text())["auths"][operator.registry.host] == {"auth": pair}


@BOTH
def test_each_uses_what_the_other_has_written(operator: Operator, program: str, tmp_path: Path) -> None:
    other = next(name for name in PROGRAMS if name != program)
    file, host = tmp_path / "shared.json", operator.registry.host
    assert operator.login(program, "--authfile", file, f"{host}/team") == "Login Succeeded!\n"
    image = images.write_dir(tmp_path / "image", images.image(images.layer("base", 100)))
    at = f"docker://{host}/team/{program}:1"
    run(
        "skopeo", "--insecure-policy", "copy", "--dest-authfile", file, "--dest-cert-dir", operator.cert_dir,
        f"dir:{image}", at,
    )  # fmt: skip
    asked = ("list-tags", "--authfile", file, "--cert-dir", operator.cert_dir, at.removesuffix(":1"))
    assert json.loads(operator(other, *asked))["Tags"] == ["1"]
    assert operator(other, "login", "--get-login", "--authfile", file, f"{host}/team") == f"{USER}\n"
    operator(other, "logout", "--authfile", file, f"{host}/team")
    assert json.loads(file.read_text())["auths"] == {}
    refused = attempt(PROGRAMS[other], *asked, env=operator.env(other))
    assert refused.returncode != 0


@BOTH
def test_a_wrong_password_is_refused_and_not_kept(operator: Operator, program: str) -> None:
    status = {"skopeo": 1, "bundler": 3}[program]
    assert operator.login(program, operator.registry.host, status=status, stdin="wrong") == ""
    assert not operator.file(program).exists()


@BOTH
def test_a_wrong_password_does_not_replace_a_right_one(operator: Operator, program: str) -> None:
    operator.login(program, operator.registry.host)
    before = operator.file(program).read_bytes()
    operator.login(program, operator.registry.host, status={"skopeo": 1, "bundler": 3}[program], stdin="wrong")
    assert operator.file(program).read_bytes() == before


@BOTH
@pytest.mark.parametrize(
    "arguments",
    [
        ("login", "--get-login", "registry.example"),
        ("logout", "registry.example"),
        ("logout",),
        ("logout", "--all", "registry.example"),
        ("logout", "--authfile", "missing.json", "registry.example"),
        ("login",),
        ("login", "registry.example/app:1", "-u", "ann", "-p", "x"),
        ("login", "--password-stdin", "registry.example"),
        ("login", "--password-stdin", "-p", "x", "-u", "ann", "registry.example"),
    ],
)
def test_what_both_refuse(operator: Operator, program: str, arguments: tuple[str, ...]) -> None:
    done = attempt(PROGRAMS[program], *arguments, env=operator.env(program), cwd=operator.work)
    assert (done.returncode != 0, done.stdout) == (True, "")


@BOTH
def test_an_authority_that_is_not_known(operator: Operator, program: str) -> None:
    host = operator.registry.host
    given = ("login", "-u", USER, "-p", PASSWORD, host)
    assert attempt(PROGRAMS[program], *given, env=operator.env(program)).returncode != 0
    assert not operator.file(program).exists()
    assert operator(program, *given, "--tls-verify=false") == "Login Succeeded!\n"


@BOTH
def test_a_registry_that_wants_no_log_in(program: str, tmp_path: Path) -> None:
    with docker_registry(tmp_path) as made:
        operator = Operator(made, tmp_path, tmp_path / "certs")
        (tmp_path / "certs").mkdir()
        assert operator.login(program, "--tls-verify=false", made.host) == "Login Succeeded!\n"
        assert made.host in json.loads(operator.file(program).read_text())["auths"]


@BOTH
def test_a_token_server(program: str, tmp_path: Path, authority: Authority) -> None:
    tokens = TokenServer(users={USER: PASSWORD}, anonymous=True, tls=authority)
    with tokens.running(tmp_path / "tokens"), docker_registry(tmp_path, tls=authority, token=tokens) as made:
        operator = Operator(made, tmp_path, authority.cert_dir)
        allowed = ("--token-host", tokens.realm.split("/")[2]) if program == "bundler" else ()
        env = {"skopeo": {"SSL_CERT_FILE": str(authority.ca)}, "bundler": {}}[program]
        given = ("login", "-u", USER, "--cert-dir", authority.cert_dir, *allowed, made.host, "-p")
        wrong = attempt(PROGRAMS[program], *given, "wrong", env={**operator.env(program), **env})
        assert (wrong.returncode != 0, wrong.stdout) == (True, "")
        assert not operator.file(program).exists()
        right = run(PROGRAMS[program], *given, PASSWORD, env={**operator.env(program), **env})
        assert right == "Login Succeeded!\n"
        assert {ask.user for ask in tokens.asked if ask.granted} == {USER}


def test_a_file_that_docker_reads(operator: Operator, tmp_path: Path) -> None:
    """Debian's skopeo writes none; what docker has there besides must stay, and skopeo must read the entry."""
    file, host = tmp_path / "config.json", operator.registry.host
    file.write_text(json.dumps({"auths": {"other.example": {"auth": "eDp5"}}, "psFormat": "table", "HttpHeaders": {}}))
    assert operator.login("bundler", "--compat-auth-file", file, host) == "Login Succeeded!\n"
    written = json.loads(file.read_text())
    assert set(written["auths"]) == {"other.example", host}
    assert (written["psFormat"], written["HttpHeaders"]) == ("table", {})
    assert operator("skopeo", "login", "--get-login", "--authfile", file, host) == f"{USER}\n"
    operator("bundler", "logout", "--compat-auth-file", file, host)
    assert set(json.loads(file.read_text())["auths"]) == {"other.example"}
