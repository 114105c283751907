"""``containers-storage:``: what the program that does the work is asked for, and what becomes of what it says.

Copies through a real storage are in the interop tests.
"""

from __future__ import annotations

import json
import os
import stat
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from bundler.content import Ranged, read
from bundler.errors import BundlerError, ConfigError, DiskError, NotFoundError, UnsupportedError
from bundler.graph import walk
from bundler.medium import Choosy, Closing, Deleter, Remade
from bundler.oci import mediatype as mt
from bundler.transports.containers_storage import open_source, open_target, split
from bundler.transports.dir import open_source as open_dir
from tests.images import Image, family, image, layer, load, part, write_dir

SPEC = "[overlay@/srv/root+/srv/run]"
DOCKER = family()["docker"]
MANIFEST, CONFIG = DOCKER.raw.decode(), DOCKER.parts[-2].raw.decode()


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A skopeo that copies directories: a storage's image NAME lies in ``storage/NAME``. It writes down what it was asked."""
    folder = tmp_path / "bin"
    (tmp_path / "storage").mkdir()
    folder.mkdir()
    script = folder / "skopeo"
    script.write_text(
        f"""#!/bin/sh
echo "$*" >> {tmp_path}/asked
for last; do :; done
case "$*" in
*fails*) echo "time=1 level=info msg=starting" >&2; echo "FATA[0000] no space left on device" >&2; exit 1;;
*logs*) echo 'time="2020-01-01T00:00:00Z" level=fatal msg="writing \\"x\\": no room"' >&2; exit 1;;
*missing*) echo 'reading: identifier is not an image' >&2; exit 1;;
*silent*) exit 3;;
*" delete "*) exit 0;;
*" --config "*) printf %s '{CONFIG}';;
*" inspect "*) printf %s '{MANIFEST}';;
*"copy --quiet containers-storage:"*)
    name="${{4#containers-storage:}}"; cp -r "{tmp_path}/storage/${{name##*]}}" "${{5#dir:}}";;
*) cp -r "${{4#dir:}}" "{tmp_path}/storage/${{5##*]}}";;
esac
"""
    )
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{folder}:/bin:/usr/bin")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    return tmp_path


def asked(program: Path) -> list[str]:
    return (program / "asked").read_text().splitlines()


@pytest.mark.parametrize(
    ("rest", "place", "name"),
    [
        ("app:1", "", "app:1"),
        (f"{SPEC}localhost/app:1", SPEC, "localhost/app:1"),
        (f"{SPEC}", SPEC, ""),
        ("[vfs@/a+/b:opt=1,x=2]app@sha256:00", "[vfs@/a+/b:opt=1,x=2]", "app@sha256:00"),
        ("@0123abcd", "", "@0123abcd"),
    ],
)
def test_split(rest: str, place: str, name: str) -> None:
    assert split(rest) == (place, name)


@pytest.mark.parametrize(
    ("rest", "said"),
    [("[vfs@/a", "not closed"), ("--help", "not the name"), (f"{SPEC}-x", "not the name"), ("a\nb", "not the name")],
)
def test_what_is_no_name(rest: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        split(rest)


class TestReading:
    def test_an_image(self, program: Path) -> None:
        write_dir(program / "storage/app:1", DOCKER)
        source = open_source(SPEC, tmp=program)
        for power in (Ranged, Closing, Deleter, Remade):
            assert isinstance(source, power)
        graph = walk(source, source.resolve("app:1"))
        assert graph.root.digest == DOCKER.root.digest
        for each in DOCKER.parts:
            assert read(source, each.descriptor) == each.raw
        assert source.resolve("app:1") == graph.root
        assert len(asked(program)) == 1
        assert asked(program)[0].startswith(f"--insecure-policy copy --quiet containers-storage:{SPEC}app:1 dir:")
        source.close()
        assert not list(program.glob("bundler-*"))

    @pytest.mark.parametrize("docker", [True, False])
    @pytest.mark.parametrize("called", ["gzip", "zstd"])
    def test_layers_without_compression_are_called_so(self, program: Path, docker: bool, called: str) -> None:
        """Some releases of skopeo leave them the names that they had when they were pulled."""
        held = mislabelled(docker=docker, called=called)
        write_dir(program / "storage/app", held)
        source = open_source("", tmp=program)
        root = source.resolve("app")
        (only,) = walk(source, root).manifests[root.digest][1].layers
        assert only.media_type == (mt.DOCKER_LAYER if docker else mt.OCI_LAYER)
        assert read(source, only) == held.parts[0].raw
        source.close()

    def test_many_threads_copy_once(self, program: Path) -> None:
        write_dir(program / "storage/app", DOCKER)
        source = open_source("", tmp=program)
        with ThreadPoolExecutor(6) as executor:
            roots = list(executor.map(source.resolve, ["app"] * 6))
        assert {root.digest for root in roots} == {DOCKER.root.digest}
        assert len(asked(program)) == 1
        source.close()

    def test_no_name(self, program: Path) -> None:
        source = open_source(SPEC, tmp=program)
        with pytest.raises(NotFoundError, match="names no image") as caught:
            source.resolve("")
        assert "containers-storage:NAME" in caught.value.hint
        source.close()

    def test_content_of_no_image(self, program: Path) -> None:
        source = open_source(SPEC, tmp=program)
        with pytest.raises(NotFoundError, match="in no image"):
            read(source, DOCKER.parts[0].descriptor)
        source.close()

    def test_delete(self, program: Path) -> None:
        write_dir(program / "storage/app", DOCKER)
        source = open_source(SPEC, tmp=program)
        source.delete(source.resolve("app"))
        assert asked(program)[-1] == f"--insecure-policy delete containers-storage:{SPEC}app"
        source.close()


def mislabelled(*, docker: bool, called: str) -> Image:
    """An image of a plain layer that its manifest calls compressed."""
    plain = layer("plain", 2000, compression="none", docker=docker)
    held = image(plain, docker=docker)
    values = json.loads(held.raw)
    values["layers"][0]["mediaType"] += f".{called}" if docker else f"+{called}"
    if docker and called == "zstd":
        values["layers"][0]["mediaType"] = mt.DOCKER_LAYER_GZIP
    raw = json.dumps(values).encode()
    root = part(raw, held.root.media_type)
    return Image(root.descriptor, (*held.parts[:-1], root))


class TestWriting:
    def test_an_image_under_two_names(self, program: Path) -> None:
        with open_target(SPEC, tmp=program) as target:
            assert isinstance(target, Choosy)
            load(target, {"a": DOCKER, "b": DOCKER})
            assert target.has(DOCKER.parts[0].descriptor)
            assert not (program / "asked").exists()
        for name in ("a", "b"):
            source = open_dir(str(program / "storage" / name))
            assert source.resolve().digest == DOCKER.root.digest
            for each in DOCKER.parts:
                assert read(source, each.descriptor) == each.raw
        assert not list(program.glob("bundler-*"))

    def test_without_a_name(self, program: Path) -> None:
        with pytest.raises(ConfigError, match="needs a name"), open_target(SPEC, tmp=program) as target:
            load(target, {"": DOCKER})
        assert not (program / "asked").exists()

    def test_an_error_before_the_end(self, program: Path) -> None:
        with pytest.raises(RuntimeError), open_target(SPEC, tmp=program) as target:
            load(target, {"a": DOCKER})
            raise RuntimeError
        assert not (program / "asked").exists()
        assert not list(program.glob("bundler-*"))


@pytest.mark.parametrize(
    ("name", "error", "said"),
    [
        ("fails", DiskError, "no space left on device"),
        ("missing", NotFoundError, "identifier is not an image"),
        ("silent", DiskError, "no reason given"),
        ("logs", DiskError, 'containers-storage:logs: writing "x": no room$'),
    ],
)
def test_what_the_program_says(program: Path, name: str, error: type[BundlerError], said: str) -> None:
    source = open_source("", tmp=program)
    with pytest.raises(error, match=said) as caught:
        source.resolve(name)
    assert str(caught.value).startswith(f"containers-storage:{name}: ")
    assert "dir:" not in str(caught.value)
    assert caught.value.hint
    source.close()


def test_no_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    source = open_source("", tmp=tmp_path)
    with pytest.raises(UnsupportedError, match="neither is installed") as caught:
        source.resolve("app")
    assert "docker-archive:" in caught.value.hint
    source.close()
    with pytest.raises(UnsupportedError, match="neither is installed"), open_target("", tmp=tmp_path):
        pytest.fail("this is known before anything is copied")


class TestAsKept:
    def test_manifest_and_config_as_they_came(self, program: Path) -> None:
        source = open_source(SPEC, tmp=program)
        kept = source.as_kept("app:1")
        root = kept.resolve("app:1")
        assert root == replace(DOCKER.root, platform=None)
        assert read(kept, root) == DOCKER.raw
        assert read(kept, DOCKER.parts[-2].descriptor) == DOCKER.parts[-2].raw
        with pytest.raises(NotFoundError):
            read(kept, DOCKER.parts[0].descriptor)
        assert [each.split()[1] for each in asked(program)] == ["inspect", "inspect"]
        source.close()

    def test_a_deletion_without_a_copy(self, program: Path) -> None:
        source = open_source(SPEC, tmp=program)
        source.delete(source.as_kept("app").resolve("app"))
        assert asked(program)[-1] == f"--insecure-policy delete containers-storage:{SPEC}app"
        assert not [each for each in asked(program) if "copy" in each]
        source.close()


@pytest.fixture
def podman(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A podman, and no skopeo: images lie in ``storage``, and it writes down what it was asked."""
    (tmp_path / "storage").mkdir()
    tools = tmp_path / "bin"
    tools.mkdir()
    for tool in ("cp", "rm"):
        (tools / tool).symlink_to(f"/bin/{tool}")
    script = tools / "podman"
    script.write_text(
        f"""#!/bin/sh
echo "$*" >> {tmp_path}/asked
while [ "$1" != -- ]; do shift; done
case "$(printf %s "$*")" in
*missing*) echo 'Error: missing: image not known' >&2; exit 125;;
"-- dir:"*) cp -r "${{2#dir:}}" "{tmp_path}/storage/new"; echo {"a" * 64};;
*" dir:"*) cp -r "{tmp_path}/storage/$2" "${{3#dir:}}";;
esac
"""
    )
    script.chmod(0o755)
    monkeypatch.setenv("PATH", str(tools))
    return tmp_path


class TestPodmanAlone:
    def test_reading(self, podman: Path) -> None:
        write_dir(podman / "storage/app:1", DOCKER)
        source = open_source(SPEC, tmp=podman)
        assert source.as_kept("app:1") is source
        root = source.resolve("app:1")
        assert root.digest == DOCKER.root.digest
        assert asked(podman)[0].startswith(
            "--storage-driver=overlay --root=/srv/root --runroot=/srv/run push --quiet -- app:1 dir:"
        )
        source.delete(root)
        assert asked(podman)[-1].endswith(" rmi -- app:1")
        source.close()

    def test_an_id(self, podman: Path) -> None:
        write_dir(podman / "storage/0123abcd", DOCKER)
        source = open_source("", tmp=podman)
        source.resolve("@0123abcd")
        assert asked(podman)[0].startswith("push --quiet -- 0123abcd dir:")
        source.close()

    def test_writing(self, podman: Path) -> None:
        with open_target("[/srv/root:mount_program=/x,ignore=y]", tmp=podman) as target:
            load(target, {"app:1": DOCKER})
        assert open_dir(str(podman / "storage/new")).resolve().digest == DOCKER.root.digest
        options = "--root=/srv/root --storage-opt=mount_program=/x --storage-opt=ignore=y"
        assert asked(podman)[0].startswith(f"{options} pull --quiet -- dir:")
        assert asked(podman)[1:] == [f"{options} tag -- {'a' * 64} app:1"]

    def test_what_it_says(self, podman: Path) -> None:
        source = open_source("", tmp=podman)
        with pytest.raises(NotFoundError, match=r"^containers-storage:missing: .*image not known"):
            source.resolve("missing")
        source.close()

    def test_an_image_that_it_took_without_a_word(self, podman: Path) -> None:
        (podman / "bin/podman").write_text("#!/bin/sh\n")
        with pytest.raises(DiskError, match="did not say which image"), open_target("", tmp=podman) as target:
            load(target, {"app:1": DOCKER})


def test_as_another_user_podman_enters_its_id_range(program: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    podman = program / "bin/podman"
    podman.write_text(f'#!/bin/sh\necho "podman $1" >> {program}/asked\nshift\nexec "$@"\n')
    podman.chmod(0o755)
    write_dir(program / "storage/app", DOCKER)
    source = open_source("", tmp=program)
    source.resolve("app")
    assert asked(program)[0] == "podman unshare"
    source.close()
