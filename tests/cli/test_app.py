"""The application as a whole: help, exit codes, what an error looks like, and how it ends."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from importlib.metadata import version
from pathlib import Path

import pytest
import typer

from bundler import errors
from bundler.cli import app as application
from bundler.cli.app import EPILOG
from bundler.journey import far
from bundler.store import Store
from tests.cli.answering import answering
from tests.cli.terminal import Terminal, ended, process
from tests.cli.test_options import every_command
from tests.images import write_layout
from tests.workshop import API, IMAGES, Workshop, write_manifest

COMMANDS = {
    " ".join(path): command for path, command in every_command(typer.main.get_command(application.application()))
}


# Help


@pytest.mark.parametrize("name", [name for name, command in COMMANDS.items() if not hasattr(command, "commands")])
def test_every_command_has_an_example_that_names_it(name: str, bundler: Terminal) -> None:
    for flag in ("--help", "-h"):
        said = bundler(*name.split(), flag).out
        assert f"Example: bundler {name}" in " ".join(said.split())


@pytest.mark.parametrize("name", [name for name, command in COMMANDS.items() if not hasattr(command, "commands")])
def test_the_example_s_options_exist(name: str) -> None:
    command = COMMANDS[name]
    example = " ".join(command.help.partition("Example:")[2].split())
    used = {word.partition("=")[0] for word in example.split() if word.startswith("-")}
    assert used <= {option for parameter in command.params for option in parameter.opts}


def test_the_commands_of_the_job() -> None:
    wanted = [
        "init",
        "lock",
        "plan",
        "pull",
        "pack",
        "sign",
        "build",
        "show",
        "diff",
        "verify",
        "push",
        "keygen",
        "demo",
    ]
    assert {*wanted, "store ls", "store check", "store gc", "store rm", "registry serve"} <= COMMANDS.keys()


def test_help_names_every_exit_code(bundler: Terminal) -> None:
    said = " ".join(bundler("--help").out.split())
    classes = [c for c in vars(errors).values() if isinstance(c, type) and issubclass(c, errors.BundlerError)]
    for each in classes:
        if each.exit_code != 1:
            assert f"{each.exit_code} {each.label}" in " ".join(EPILOG.split())
            assert f"{each.exit_code} {each.label}" in said


def test_version(bundler: Terminal) -> None:
    assert bundler("--version").out == f"bundler {version('oci-bundler')}\n"


# Exit codes


@contextmanager
def damaged(place: Workshop, name: str) -> Iterator[list[str]]:
    place.build()
    path = place.folder / "out" / name
    if name.startswith("volume"):
        raw = bytearray(path.read_bytes())
        raw[raw.find(API.blobs[1].raw[2600:2640])] ^= 1
        path.write_bytes(raw)
    else:
        path.unlink()
    yield ["verify", "out", "--key", "release.pub"]


@contextmanager
def answered(place: Workshop, status: dict[str, int], command: str = "lock", **more: object) -> Iterator[list[str]]:
    if command == "push":
        place.build()
    with answering(status, **more) as host:  # type: ignore[arg-type]  # passed through
        write_manifest(place.folder, f"  - {host}/app:1\n")
        arguments = {
            "lock": ["lock", "bundle.yaml"],
            "push": ["push", "out", "--key", "release.pub", "--to", f"docker://{host}"],
        }
        yield [*arguments[command], "--tls-verify=false"]


@contextmanager
def locked(place: Workshop) -> Iterator[list[str]]:
    place.pull()
    with Store.open(str(place.store)).exclusive("store gc"):
        yield ["pull", "bundle.yaml", "--store", "store"]


@contextmanager
def failing(place: Workshop, number: int) -> Iterator[list[str]]:
    def fail(descriptor: int) -> None:
        raise OSError(number, os.strerror(number))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("bundler.journey.files.os.fsync", fail)
        yield ["init", "new.yaml"]


@contextmanager
def drifted(place: Workshop) -> Iterator[list[str]]:
    place.lock()
    write_layout(place.upstream, {**IMAGES, "reg.io/team/web:1.0": API})
    yield ["lock", "bundle.yaml", "--check"]


@contextmanager
def plain(
    place: Workshop, *arguments: str, prepare: Callable[[Workshop], object] = lambda p: None
) -> Iterator[list[str]]:
    prepare(place)
    yield list(arguments)


CASES: dict[str, tuple[int, Callable[[Workshop], AbstractContextManager[list[str]]]]] = {
    "CONFIG: a manifest that is not there": (2, lambda p: plain(p, "lock", "absent.yaml")),
    "CONFIG: an image that is not there": (
        2,
        lambda p: plain(
            p, "lock", "bundle.yaml", prepare=lambda p: write_manifest(p.folder, "  - oci:upstream:absent:1\n")
        ),
    ),
    "CONFIG: no key": (2, lambda p: plain(p, "build", "bundle.yaml")),
    "CONFIG: a size": (2, lambda p: plain(p, "plan", "bundle.yaml", "--volume-size", "much")),
    "CONFIG: both or neither": (
        2,
        lambda p: plain(p, *["build", "bundle.yaml", "--key", "k", "--store", "s", "--no-store"]),
    ),
    "AUTH: 401": (3, lambda p: answered(p, {"GET": 401})),
    "AUTH: 403": (3, lambda p: answered(p, {"GET": 403})),
    "PROTO: no manifest": (
        5,
        lambda p: answered(p, {"GET": 200}, body=b"[]", media_type="application/vnd.oci.image.index.v1+json"),
    ),
    "DIGEST: a flipped bit": (6, lambda p: damaged(p, "volume-0001.tar.zst")),
    "LIMIT: a manifest without end": (
        7,
        lambda p: plain(p, "lock", "huge", prepare=lambda p: (p.folder / "huge").write_bytes(b"#" * ((64 << 20) + 1))),
    ),
    "UNSUP: a transport": (
        8,
        lambda p: plain(
            p, "lock", "list.txt", prepare=lambda p: (p.folder / "list.txt").write_text("ostree:somewhere\n")
        ),
    ),
    "STORE: no layout": (
        9,
        lambda p: plain(
            p,
            *["store", "check", "--store", "store"],
            prepare=lambda p: (p.pull(), (p.store / "index.json").write_text("[]")),
        ),
    ),
    "LOCK: another process": (10, locked),
    "SPACE: a full disk": (11, lambda p: failing(p, 28)),
    "IO: a broken disk": (12, lambda p: failing(p, 5)),
    "RO: a read-only file system": (13, lambda p: failing(p, 30)),
    "ARCHIVE: a missing volume": (
        14,
        lambda p: plain(
            p,
            *["verify", "out", "--key", "release.pub", "--quick"],
            prepare=lambda p: (p.build() / "volume-0001.tar.zst").unlink(),
        ),
    ),
    "ARCHIVE: a missing inventory": (14, lambda p: damaged(p, "inventory.json")),
    "SIG: no statement": (15, lambda p: damaged(p, "bundle.dsse.json")),
    "TRUST: a stranger's key": (
        16,
        lambda p: plain(p, *["verify", "out", "--key", "stranger.pub"], prepare=lambda p: p.build()),
    ),
    "POLICY: the registry moved on": (17, drifted),
    "PUSH: refused": (18, lambda p: answered(p, {"POST": 400}, "push")),
}


@pytest.mark.parametrize("case", CASES)
def test_exit_codes(case: str, place: Workshop, bundler: Terminal) -> None:
    code, prepare = CASES[case]
    label = case.partition(":")[0]
    with prepare(place) as arguments:
        said = bundler(*arguments, expect=code)
    reported = said.out.endswith(f"\nREFUSED ({label})\n")  # the gate's report, as far as it got
    assert said.out == "" or reported or label in ("DIGEST", "STORE")
    last = [line for line in said.err.splitlines() if line.startswith("bundler: ")]
    assert last[-1].startswith(f"bundler: {label}: ")
    assert "INTERNAL" not in said.err
    assert all(line.isprintable() for line in said.err.splitlines())


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param(["bulid"], id="a-command"),
        pytest.param(["lock"], id="no-argument"),
        pytest.param(["lock", "a", "b"], id="too-many"),
        pytest.param(["lock", "--nonsense", "a"], id="an-option"),
        pytest.param(["keygen", "x", "--type", "rsa"], id="a-choice"),
        pytest.param(["pull", "x", "--jobs", "0"], id="a-number"),
        pytest.param(["keygen", "x", "--password-fd", "-1"], id="a-descriptor"),
        pytest.param(["verify", "x", "--tls-verify=maybe"], id="no-boolean"),
        pytest.param(["--progress", "loud", "init"], id="a-global-choice"),
    ],
)
def test_usage_errors(arguments: list[str], bundler: Terminal) -> None:
    said = bundler(*arguments, expect=2)
    assert said.out == ""
    assert "Error" in said.err or "Usage" in said.err


def test_a_command_misspelt_is_suggested(bundler: Terminal) -> None:
    assert "'build'" in bundler("bulid", expect=2).err


def test_no_command_prints_help(bundler: Terminal) -> None:
    said = bundler(expect=2)
    assert "Usage: bundler" in said.out + said.err


# Errors


def test_an_error_has_one_line_and_its_hint(bundler: Terminal) -> None:
    said = bundler("verify", "out", expect=2).err
    assert said.splitlines() == [
        "bundler: CONFIG: no --key and no --trust given: nothing says whose bundles to trust",
        "  give the public key of the builder; it must not come from the bundle's own medium",
    ]


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> None:
    def describe(path: Path) -> None:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr(far, "describe", describe)


def test_a_bug_is_said_to_be_one(broken: None, bundler: Terminal) -> None:
    assert bundler("show", "out", expect=1).err.splitlines() == [
        "bundler: INTERNAL: ZeroDivisionError: a bug",
        "  this is a bug in bundler; run again with BUNDLER_DEBUG=1 and report what it prints",
    ]


@pytest.mark.parametrize("way", ["environment", "-v", "--verbose"])
def test_a_traceback_only_where_it_is_asked_for(
    way: str, broken: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    if way == "environment":
        monkeypatch.setenv("BUNDLER_DEBUG", "1")
    assert application.run([*([] if way == "environment" else [way]), "show", "out"]) == 1
    assert "Traceback" in capsys.readouterr().err


def test_debug_shows_where_an_error_came_from(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv("BUNDLER_DEBUG", "1")
    assert application.run(["show", str(tmp_path / "absent")]) == 2
    err = capsys.readouterr().err
    assert err.startswith("bundler: CONFIG: ")
    assert "Traceback" in err


def test_main_exits(bundler: Terminal, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["bundler", "--version"])
    with pytest.raises(SystemExit) as caught:
        application.main()
    assert caught.value.code == 0
    with pytest.raises(SystemExit) as caught:
        application.main(["show", "absent"])
    assert caught.value.code == 2


@pytest.mark.parametrize(("code", "status"), [(None, 1), ("text", 1), (7, 7), (0, 0)])
def test_whatever_typer_ends_with(code: object, status: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def end(**arguments: object) -> None:
        raise SystemExit(code)

    monkeypatch.setattr(application, "with_environment", lambda command: end)
    assert application.run([]) == status


def test_a_command_that_just_returns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(application, "with_environment", lambda command: lambda **arguments: None)
    assert application.run([]) == 0


# The environment


def test_options_come_from_the_environment(place: Workshop, bundler: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BUNDLER_STORE", "elsewhere")
    monkeypatch.setenv("BUNDLER_QUIET", "1")
    assert bundler("pull", "bundle.yaml").err == ""
    assert (place.folder / "elsewhere" / "oci-layout").exists()
    monkeypatch.setenv("BUNDLER_JSON", "1")
    assert len(json.loads(bundler("store", "ls").out)) == len(IMAGES)
    monkeypatch.setenv("BUNDLER_JOBS", "none")
    assert "BUNDLER_JOBS" in bundler("pull", "bundle.yaml", expect=2).err
    bundler("pull", "bundle.yaml", "--jobs", "2")


def test_keys_and_booleans_come_from_the_environment(
    place: Workshop, bundler: Terminal, monkeypatch: pytest.MonkeyPatch, registry: Callable[[str], str]
) -> None:
    place.build()
    monkeypatch.setenv("BUNDLER_KEY", "release.pub")
    monkeypatch.setenv("BUNDLER_TLS_VERIFY", "false")
    monkeypatch.setenv("BUNDLER_TO", f"docker://{registry('env')}")
    assert len(bundler("push", "out").out.splitlines()) == len(IMAGES)


def test_tls_verify_without_a_value_is_true(bundler: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    """So a registry that speaks plain HTTP is not talked to."""
    monkeypatch.setattr("urllib3.Retry.sleep", lambda *arguments: None)
    with answering({}) as host:
        write_manifest(bundler.folder, f"  - {host}/app:1\n")
        assert "(404)" in bundler("lock", "bundle.yaml", "--tls-verify=false", expect=2).err
        assert "--tls-verify=false" in bundler("lock", "bundle.yaml", "--tls-verify", expect=4).err


# Processes


def test_python_m_bundler(tmp_path: Path) -> None:
    said = ended(process("--version", cwd=tmp_path))
    assert (said.code, said.out) == (0, f"bundler {version('oci-bundler')}\n")
    assert ended(process("nonsense", cwd=tmp_path)).code == 2


@pytest.mark.parametrize("script", ["bundler", "oci-bundler"])
def test_both_scripts(script: str, tmp_path: Path) -> None:
    path = Path(sys.executable).with_name(script)
    done = subprocess.run([path, "--version"], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert done.stdout.startswith("bundler ")


def test_help_starts_without_what_is_heavy() -> None:
    code = (
        "import sys\n"
        "from bundler.cli import app\n"
        "assert app.run(['--help']) == 0\n"
        "heavy = ('cryptography', 'nacl', 'granian', 'starlette', 'urllib3', 'yaml', 'zstandard', 're2', "
        "'semantic_version', 'tqdm', 'platformdirs', 'ssl')\n"
        "print(sorted(name for name in heavy if name in sys.modules), file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "[]"


def test_an_interrupt_ends_with_130(tmp_path: Path) -> None:
    started = process("registry", "serve", "store", "--listen", "127.0.0.1:0", cwd=tmp_path)
    assert started.stderr is not None
    assert "serving" in started.stderr.readline()
    started.send_signal(signal.SIGINT)
    assert ended(started).code in (0, 130)


@pytest.mark.parametrize("times", [1, 2])
def test_an_interrupt_does_not_wait_for_a_silent_registry(tmp_path: Path, times: int) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        write_manifest(tmp_path, f"  - 127.0.0.1:{silent.getsockname()[1]}/app:1\n")
        started = process("lock", "bundle.yaml", "--tls-verify=false", cwd=tmp_path)
        silent.settimeout(20)
        connection, _ = silent.accept()
        with connection:
            connection.recv(100)
            for _ in range(times):
                started.send_signal(signal.SIGINT)
                time.sleep(0.1)
            began = time.monotonic()
            said = ended(started, timeout=20)
    assert time.monotonic() - began < (5 if times == 2 else 15)
    assert said.code == 130
    assert said.err == "interrupted; run the same command again to go on\n"


def test_a_reader_that_goes_away(place: Workshop) -> None:
    """As with ``bundler show out | head -1``."""
    place.build()
    started = process("show", "out", "--json", cwd=place.folder)
    assert started.stdout is not None
    started.stdout.close()
    assert started.stderr is not None
    err = started.stderr.read()
    assert started.wait(30) == 141
    assert err == ""
    started.stderr.close()


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion(shell: str, tmp_path: Path) -> None:
    shown = ended(process(cwd=tmp_path, _BUNDLER_COMPLETE=f"source_{shell}"))
    assert "_BUNDLER_COMPLETE" in shown.out
    listed = ended(
        process(
            cwd=tmp_path,
            _BUNDLER_COMPLETE=f"complete_{shell}",
            COMP_WORDS="bundler ver",
            COMP_CWORD="1",
            _TYPER_COMPLETE_ARGS="bundler ver",
            _TYPER_COMPLETE_FISH_ACTION="get-args",
        )
    )
    assert "verify" in listed.out


def test_show_completion(tmp_path: Path) -> None:
    said = ended(process("--show-completion", "bash", cwd=tmp_path, _TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION="1"))
    assert said.code == 0
    assert "complete -o default -F" in said.out


def test_options_before_the_command_that_take_a_value() -> None:
    root = typer.main.get_command(application.application("init"))
    valued = {
        name
        for parameter in root.params
        for name in parameter.opts
        if name.startswith("--") and not getattr(parameter, "is_flag", False) and not parameter.is_eager
    }
    assert valued == application.VALUED


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        (["inspect", "x"], "inspect"),
        (["--override-os", "linux", "inspect", "x"], "inspect"),
        (["--override-os=linux", "-q", "copy"], "copy"),
        (["--tmpdir", "/x", "--debug", "sync"], "sync"),
        (["--version"], ""),
        ([], ""),
    ],
)
def test_the_command_among_the_arguments(arguments: list[str], name: str) -> None:
    assert application._command_in(arguments) == name


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_command_that_is_ended_leaves_nothing_half_written(tmp_path: Path, number: signal.Signals) -> None:
    write_layout(tmp_path / "layout", IMAGES)
    code = (
        "import os, signal, sys\n"
        "from bundler.cli import main\n"
        "from bundler.transports import tarball\n"
        "whole = tarball.NewTarball.append\n"
        f"once = iter([{int(number)}])\n"
        "def append(self, *what):\n"
        "    whole(self, *what)\n"
        "    for number in once:\n"
        "        os.kill(os.getpid(), number)\n"
        "tarball.NewTarball.append = append\n"
        "main(['copy', 'oci:layout:reg.io/team/web:1.0', 'oci-archive:out.tar:x'])\n"
    )
    environment = {name: text for name, text in os.environ.items() if not name.startswith("COV")}  # has a handler too
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 128 + number, done.stderr
    assert "interrupted" in done.stderr
    assert [each.name for each in tmp_path.iterdir()] == ["layout"]
