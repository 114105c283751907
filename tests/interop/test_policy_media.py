"""Which scope of a policy speaks of an image in a file, a directory or a storage: skopeo and bundler find the same."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from bundler.errors import ConfigError
from bundler.oci import mediatype
from bundler.oci.digest import digest_of
from bundler.policy import read_policy
from tests.images import image, layer, write_dir, write_layout
from tests.interop.deciding import bundler_lets_in, skopeo_lets_in, written
from tests.peers import needs, skopeo

pytestmark = [needs("skopeo"), pytest.mark.slow]
IMAGE = image(layer("medium", 300))
ACCEPT, REJECT = {"type": "insecureAcceptAnything"}, {"type": "reject"}
DIGEST, IMAGE_ID = digest_of(b"a digest"), "a" * 64


@pytest.fixture(scope="module")
def work() -> Iterator[Path]:
    """One image in every medium below ``real/``, where ``link`` leads too. The path is short, as a run root's must be."""
    with TemporaryDirectory(prefix="pol") as short:
        place = Path(short).resolve()
        (place / "real").mkdir()
        (place / "link").symlink_to("real")
        write_dir(place / "real" / "image", IMAGE)
        write_layout(place / "real" / "layout", {"1": IMAGE})
        skopeo("copy", "dir:real/image", "oci-archive:real/oci.tar:1", cwd=place)
        skopeo("copy", "dir:real/image", "docker-archive:real/docker.tar:r.example/app:1", cwd=place)
        (place / "link.tar").symlink_to("real/oci.tar")
        yield place


MEDIA = {
    "dir": (
        ["dir:real/image", "dir:WORK/link/image", "dir:real/../link/image/"],
        ["", "WORK/real/image", "WORK/real", "WORK", "WORK/link", "WORK/re", "/nowhere"],
    ),
    "oci": (
        ["oci:real/layout:1", "oci:link/layout"],
        ["", "WORK/real/layout", "WORK/real", "WORK/link/layout", "WORK/real/layout:1"],
    ),
    "oci-archive": (
        ["oci-archive:real/oci.tar:1", "oci-archive:link.tar"],
        ["", "WORK/real/oci.tar", "WORK/real", "WORK/link.tar", "WORK/real/oci.tar:1"],
    ),
    "docker-archive": (["docker-archive:real/docker.tar", "docker-archive:real/docker.tar:r.example/app:1"], [""]),
}


@pytest.mark.parametrize(("transport", "source"), [(each, source) for each in MEDIA for source in MEDIA[each][0]])
def test_both_find_the_same_scope(transport: str, source: str, work: Path) -> None:
    source, answers = source.replace("WORK", str(work)), set()
    for scope in MEDIA[transport][1]:
        policy = written(work, [REJECT], **{transport: {scope.replace("WORK", str(work)): [ACCEPT]}})
        theirs = skopeo_lets_in(source, policy, work)
        assert bundler_lets_in(source, policy, work) == theirs, scope
        answers.add(theirs)
    assert answers == ({True} if transport == "docker-archive" else {True, False})


def test_both_find_the_same_scope_of_a_storage(work: Path) -> None:
    spec, where = f"[vfs@{work}/root+{work}/run]", f"[vfs@{work}/root]"
    name, repository = "r.example/team/app:1", "r.example/team/app"
    skopeo("copy", "dir:real/image", f"containers-storage:{spec}{name}", cwd=work)
    (config,) = (part.descriptor for part in IMAGE.parts if part.descriptor.media_type == mediatype.OCI_CONFIG)
    ident = config.digest.removeprefix("sha256:")
    scopes = ["", where, f"[{work}/root]", f"[overlay@{work}/root]", f"{where}@{ident}"]
    scopes += [f"{where}{each}" for each in (name, repository, "r.example", "r.example/te")]
    for image_name in (name, f"@{ident}", ident, f"{repository}@{IMAGE.root.digest}"):
        source, answers = f"containers-storage:{spec}{image_name}", set()
        for scope in scopes:
            policy = written(work, [REJECT], **{"containers-storage": {scope: [ACCEPT]}})
            theirs = skopeo_lets_in(source, policy, work)
            assert bundler_lets_in(source, policy, work) == theirs, (image_name, scope)
            answers.add(theirs)
        assert answers == {True, False}
    # Which ID a name has now, only the storage knows: a scope that has both is refused.
    policy = written(work, [ACCEPT], **{"containers-storage": {f"{where}{name}@{ident}": [ACCEPT]}})
    assert not bundler_lets_in(f"containers-storage:{spec}{name}", policy, work)
    assert bundler_lets_in(f"containers-storage:{spec}@{ident}", policy, work)


PATHS = ["/a", "a", "/", "/a/", "/a/../b", "//a", "/a/./b", "/a:b", "/a b", "./a"]
NAMES = ["a/b", "*.example.com", "example*.com", DIGEST, f"sha384:{'a' * 96}", "sha256:abc", "x:1", f"a@{DIGEST}"]
SCOPES = {
    **dict.fromkeys(("dir", "oci", "oci-archive", "sif", "ostree"), PATHS),
    **dict.fromkeys(("docker", "docker-daemon"), NAMES),
    **dict.fromkeys(("docker-archive", "tarball"), PATHS[:2]),
    "containers-storage": [
        *("[/a]", "[vfs@/a]", "[vfs@/a]x", "[vfs@/a]x:1", "[vfs@a]", "[a]", "[vfs@/a", "x", "[@/a]", "[vfs@]", "[]"),
        *("[/a@b]", "[vfs@/a@/b]", "[vfs@/a+/b]x", "[vfs@/a]x@abc", "[vfs@/a]x@", "[vfs@/a][/b]"),
        *(f"[vfs@/a]{each}" for each in (f"x@{IMAGE_ID}", f"x@{DIGEST}", f"x:1@{DIGEST}@{IMAGE_ID}", f"@{IMAGE_ID}")),
        *(f"[vfs@/a]{each}" for each in (f"x@{IMAGE_ID}@{DIGEST}", f"x@{IMAGE_ID}@{IMAGE_ID}", f"x@{DIGEST}@{IMAGE_ID}@{IMAGE_ID}")),
    ],
    "another": ["what it likes"],
}  # fmt: skip
ATOMIC = ["r", "r:5", "*.x", "r/ns", "r/ns/s", "r/ns/s:t", "r/ns/s/more", "r/ns:t", "r/ns/s:t:u", "r//", "r/ns/s@x"]


@pytest.mark.parametrize("transport", SCOPES)
def test_both_read_the_same_scopes(transport: str, work: Path) -> None:
    _compare("skopeo", transport, SCOPES[transport], work)


@needs("skopeo-current")
def test_both_read_the_same_scopes_of_atomic(work: Path) -> None:
    """Debian's skopeo takes anything for one."""
    _compare("skopeo-current", "atomic", ATOMIC, work)


def _compare(program: str, transport: str, scopes: list[str], work: Path) -> None:
    for scope in scopes:
        policy = written(work, [ACCEPT], **{transport: {scope: [REJECT]}})
        source = "docker-archive:real/docker.tar" if transport == "dir" else "dir:real/image"
        theirs = skopeo_lets_in(source, policy, work, program=program)
        try:
            read_policy(policy.read_bytes())
        except ConfigError:
            assert not theirs, scope
        else:
            assert theirs, scope
