"""The commands of the embedded registry, as they are typed."""

from __future__ import annotations

import json
import ssl
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bundler.oci.descriptor import Descriptor
from bundler.oci.digest import digest_of
from bundler.registry.access import Passwords
from bundler.store import Store
from tests.cli.terminal import Terminal, ended, process
from tests.workshop import MULTI, WEB, Workshop


@contextmanager
def serving(place: Path, *arguments: str) -> Iterator[tuple[str, list[str]]]:
    """The command until the end of the block: its address, and the lines that it said before."""
    started = process("registry", "serve", *arguments, "--listen", "127.0.0.1:0", cwd=place)
    assert started.stderr is not None
    said: list[str] = []
    try:
        for line in started.stderr:
            said.append(line.rstrip())
            if " at http" in line:
                break
        else:
            pytest.fail("\n".join(said))
        yield said[-1].rpartition(" at ")[2], said
    finally:
        started.terminate()
        assert ended(started).code == 0


def get(url: str, context: ssl.SSLContext | None = None) -> bytes:
    with urllib.request.urlopen(url, timeout=10, context=context) as answer:
        return bytes(answer.read())


def test_a_bundle_as_it_came(place: Workshop) -> None:
    place.build()
    with serving(place.folder, "out", "--key", "release.pub") as (url, said):
        assert said == [f"serving out at {url}"]
        assert get(f"{url}/v2/team/web/manifests/1.0") == WEB.raw
        assert json.loads(get(f"{url}/v2/_catalog"))["repositories"] == [
            "team/api",
            "team/multi",
            "team/note",
            "team/web",
        ]
        assert b"team/web" in get(f"{url}/")
        assert get(f"{url}/healthz") == b"ok\n"


def test_a_store_over_a_bundle(place: Workshop) -> None:
    place.build()
    with serving(place.folder, "local", "out", "--key", "release.pub", "--allow-delete") as (url, _):
        raw = b"pushed"
        begin = urllib.request.Request(f"{url}/v2/mine/blobs/uploads/?digest={digest_of(raw)}", raw, method="POST")
        with urllib.request.urlopen(begin, timeout=10) as answer:
            assert answer.status == 201
        assert get(f"{url}/v2/team/multi/manifests/3.0") == MULTI.raw
    assert Store.open(str(place.folder / "local")).size_of(digest_of(raw)) == len(raw)


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        pytest.param(["out"], 2, "no --key and no --trust given", id="no-key"),
        pytest.param(["out", "--key", "stranger.pub"], 16, "unknown key", id="a-stranger's-key"),
        pytest.param(["a", "b"], 2, "only one store", id="two-stores"),
        pytest.param(["oot", "--key", "release.pub"], 2, "oot: is not there", id="a-bundle-mistyped"),
        pytest.param(["oot", "--trust", "site"], 2, "oot: is not there", id="a-bundle-mistyped-with-a-site"),
        pytest.param(["out", "--key", "release.pub", "--allow-delete"], 2, "nothing can be deleted", id="deletion"),
        pytest.param(["store", "--rights", "r.yaml"], 2, "of no use without passwords", id="rights-alone"),
        pytest.param(["store", "--public-url", "registry.site"], 2, "is not https://host", id="no-url"),
        pytest.param(["store", "--self-signed", "--tls-cert", "x"], 2, "exclude each other", id="two-certificates"),
    ],
)
def test_refused(arguments: list[str], status: int, said: str, place: Workshop, bundler: Terminal) -> None:
    place.build()
    assert said in bundler("registry", "serve", *arguments, expect=status).err


def test_a_certificate_of_its_own(place: Workshop) -> None:
    with serving(place.folder, "local", "--self-signed") as (url, said):
        file, fingerprint = said[0].removeprefix("certificate ").split(", SHA-256 ")
        assert file == "local/.bundler/tls/registry.crt"
        context = ssl.create_default_context(cafile=str(place.folder / file))
        assert get(f"{url}/v2/", context) == b"{}"
    with serving(place.folder, "local", "--self-signed") as (_, again):
        assert again[0].endswith(fingerprint)


def test_behind_a_proxy(place: Workshop) -> None:
    place.build()
    with serving(place.folder, "out", "--key", "release.pub", "--public-url", "https://registry.site") as (url, _):
        assert b"podman pull registry.site/team/web:1.0" in get(f"{url}/images/team/web:1.0")


def test_access_log(place: Workshop) -> None:
    with serving(place.folder, "local", "--access-log", "log.jsonl") as (url, _):
        get(f"{url}/v2/_catalog?n=5")
    (line,) = (place.folder / "log.jsonl").read_text().splitlines()
    entry = json.loads(line)
    assert (entry["method"], entry["path"], entry["query"], entry["status"]) == ("GET", "/v2/_catalog", "n=5", 200)


# passwd


def test_passwords(place: Workshop, bundler: Terminal) -> None:
    (place.folder / "first").write_text("s3cret\n")
    said = bundler("registry", "passwd", "users", "ann", "--password-file", "first")
    assert "s3cret" not in said.out + said.err
    assert "set the password of ann in users" in said.err
    assert Passwords.open(place.folder / "users").check("ann", "s3cret")
    bundler("registry", "passwd", "users", "bob", "--password-file", "first")
    bundler("registry", "passwd", "users", "bob", "--remove")
    assert Passwords.open(place.folder / "users").users() == {"ann"}
    assert "nobody" in bundler("registry", "passwd", "users", "nobody", "--remove", expect=2).err


# gc


def test_gc(place: Workshop, bundler: Terminal) -> None:
    place.pull()
    raw = b"needed by nobody"
    store = Store.open(str(place.folder / "store"))
    with store.incoming() as file:
        file.write(raw)
        store.commit(Descriptor("application/octet-stream", digest_of(raw), len(raw)), file)
    said = bundler("registry", "gc", "store", "--dry-run")
    assert said.out == f"{digest_of(raw)}  16 B\n"
    assert "would free 16 B: 1 blobs, 0 leftovers" in said.err
    found = json.loads(bundler("registry", "gc", "store", "--json").out)
    assert found == {
        "dryRun": False,
        "names": [],
        "blobs": [{"digest": digest_of(raw), "size": len(raw)}],
        "leftovers": [],
        "size": len(raw),
    }
    assert bundler("registry", "gc", "store").out == ""


def test_gc_of_a_served_store(place: Workshop, bundler: Terminal) -> None:
    place.pull()
    with serving(place.folder, "store") as (url, _):
        host = url.removeprefix("http://")
        said = bundler("registry", "gc", f"docker://{host}", "--tls-verify=false", "--json", "--untagged")
    assert json.loads(said.out) == {"dryRun": False, "names": [], "blobs": [], "leftovers": [], "size": 0}


def test_gc_by_somebody_who_may_not(place: Workshop, bundler: Terminal) -> None:
    (place.folder / "password").write_text("s3cret")
    bundler("registry", "passwd", "users", "ann", "--password-file", "password")
    with serving(place.folder, "store", "--htpasswd", "users") as (url, _):
        place_of = f"docker://{url.removeprefix('http://')}"
        said = bundler("registry", "gc", place_of, "--tls-verify=false", "--creds", "ann:s3cret", expect=3)
        assert "s3cret" not in said.err
        (place.folder / "rights.yaml").write_text(
            "apiVersion: bundler/v1\nkind: RegistryRights\n"
            'rights: [{users: [ann], repositories: ["**"], may: [admin]}]\n'
        )
    with serving(place.folder, "store", "--htpasswd", "users", "--rights", "rights.yaml") as (url, _):
        place_of = f"docker://{url.removeprefix('http://')}"
        assert bundler("registry", "gc", place_of, "--tls-verify=false", "--creds", "ann:s3cret").out == ""


def test_gc_of_nothing(bundler: Terminal) -> None:
    assert "no such directory" in bundler("registry", "gc", "nowhere", expect=2).err
