"""A registry in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from bundler.errors import NetworkError
from bundler.registry import process
from bundler.registry.process import running
from tests.authority import Authority
from tests.peers import run


def test_it_ends_with_the_block(tmp_path: Path) -> None:
    with running(tmp_path / "store") as url, urllib.request.urlopen(f"{url}/v2/", timeout=10) as answer:
        assert answer.read() == b"{}"
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(f"{url}/v2/", timeout=10)


def test_it_ends_with_a_block_that_fails(tmp_path: Path) -> None:
    with pytest.raises(KeyError), running(tmp_path / "store") as url:
        raise KeyError
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(f"{url}/v2/", timeout=10)


def test_tls_and_read_only(tmp_path: Path, authority: Authority) -> None:
    import ssl

    from bundler.store import Store

    Store.open(str(tmp_path / "store"), create=True)
    certificate, key = authority.issue(tmp_path)
    with running(tmp_path / "store", read_only=True, tls_cert=certificate, tls_key=key) as url:
        request = urllib.request.Request(f"{url}/v2/app/blobs/uploads/", method="POST")
        context = ssl.create_default_context(cafile=str(authority.ca))
        with pytest.raises(urllib.error.HTTPError, match="405") as caught:
            urllib.request.urlopen(request, timeout=10, context=context)
        caught.value.close()


def test_what_it_cannot_serve(tmp_path: Path) -> None:
    (tmp_path / "note.txt").write_text("not a store")
    with pytest.raises(NetworkError, match="neither empty nor an OCI layout"), running(tmp_path):
        pass


def test_it_ends_when_its_parent_was_killed(tmp_path: Path) -> None:
    code = (
        "import os, signal\n"
        "from bundler.registry.process import running\n"
        f"with running({str(tmp_path / 'store')!r}) as url:\n"
        "    print(url, flush=True)\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    killed = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, check=False)
    url = killed.stdout.decode().strip()
    assert killed.returncode == -9
    until = time.monotonic() + 15
    while time.monotonic() < until:
        try:
            urllib.request.urlopen(f"{url}/v2/", timeout=10).close()
        except OSError:
            return
        time.sleep(0.05)
    pytest.fail(f"{url} still answers")


def test_importing_it_loads_no_server() -> None:
    code = "import sys, bundler.registry.process; print([m for m in ('granian', 'starlette', 'anyio') if m in sys.modules])"
    assert run(sys.executable, "-c", code, env={"PYTHONPATH": os.pathsep.join(sys.path)}).strip() == "[]"


def test_a_process_that_does_not_end_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "_STOP_SECONDS", 0.2)
    code = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(flush=True); time.sleep(60)"
    deaf = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert deaf.stdout is not None
    deaf.stdout.readline()
    process._stop(deaf)
    assert deaf.returncode == -9


def test_a_process_that_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "_START_SECONDS", 0.2)
    silent = subprocess.Popen(["sleep", "60"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    with pytest.raises(NetworkError, match="said nothing"):
        process._address(silent)
    process._stop(silent)
