"""What gets out of the store by its name: dots, slashes, NULs and the like, in every part of every address."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from bundler.oci.digest import digest_of
from bundler.store import Store
from tests import images
from tests.hostile.registry.host import Host, hosting
from tests.hostile.registry.wire import request, statuses, talk

APP = images.image(images.layer("app", 2000))
SECRET = b"outside the store"
GOOD = APP.blobs[0].descriptor.digest

BAD = {
    "dots": "../../../../secret",
    "dots and digest": f"../../other@{GOOD}",
    "encoded": "%2e%2e%2f%2e%2e%2f%2e%2e%2fsecret",
    "twice encoded": "%252e%252e%252f%252e%252e%252fsecret",
    "nul": "%00",
    "nul behind": "app%00.json",
    "backslashes": "..%5c..%5csecret",
    "overlong utf-8": "%c0%ae%c0%ae%c0%af%c0%ae%c0%ae%c0%afsecret",
    "broken utf-8": "%ff%fe",
    "full-width dots": quote("\uff0e\uff0e\uff0f\uff0e\uff0e\uff0fsecret"),
    "absolute": "%2fetc%2fpasswd",
    "absolute plain": "/etc/passwd",
    "newline": "app%0d%0aX-Bad:%201",
    "only a dot": ".",
    "sha256 and dots": "sha256:../../../../secret",
    "sha256 and encoded": "sha256:%2e%2e%2f%2e%2e%2f%2e%2e%2f%2e%2e%2fsecret",
    "unknown algorithm": "..:" + "0" * 64,
    "nothing": "%20",
    "surrogate": "%ed%a0%80",
    "state": "..%2f.bundler%2fjournal",
}
PLACES = {
    "repository of a manifest": ("GET", "/v2/{}/manifests/1"),
    "repository to push to": ("PUT", "/v2/{}/manifests/1"),
    "repository of a blob": ("GET", f"/v2/{{}}/blobs/{GOOD}"),
    "repository to upload to": ("POST", "/v2/{}/blobs/uploads/"),
    "repository of tags": ("GET", "/v2/{}/tags/list"),
    "repository of referrers": ("GET", f"/v2/{{}}/referrers/{GOOD}"),
    "reference": ("GET", "/v2/app/manifests/{}"),
    "reference to push": ("PUT", "/v2/app/manifests/{}"),
    "reference to delete": ("DELETE", "/v2/app/manifests/{}"),
    "blob": ("GET", "/v2/app/blobs/{}"),
    "blob to delete": ("DELETE", "/v2/app/blobs/{}"),
    "subject": ("GET", "/v2/app/referrers/{}"),
    "session": ("GET", "/v2/app/blobs/uploads/{}"),
    "session to write": ("PATCH", "/v2/app/blobs/uploads/{}"),
    "session to end": ("PUT", f"/v2/app/blobs/uploads/{{}}?digest={GOOD}"),
    "session to cancel": ("DELETE", "/v2/app/blobs/uploads/{}"),
    "digest of an upload": ("POST", "/v2/app/blobs/uploads/?digest={}"),
    "digest to mount": ("POST", "/v2/app/blobs/uploads/?mount={}&from=app"),
    "repository to mount from": ("POST", f"/v2/new/blobs/uploads/?mount={GOOD}&from={{}}"),
    "algorithm": ("POST", "/v2/app/blobs/uploads/?digest-algorithm={}"),
    "tag of a manifest": ("PUT", f"/v2/app/manifests/{APP.root.digest}?tag={{}}"),
    "digest of a manifest": ("PUT", "/v2/app/manifests/1?digest={}"),
    "number": ("GET", "/v2/app/tags/list?n={}"),
    "flag of gc": ("POST", "/admin/gc?dry-run={}"),
    "page": ("GET", "/images/{}"),
    "page of a tag": ("GET", "/images/app:{}"),
    "page of a digest": ("GET", "/images/app@{}"),
    "page of a repository": ("GET", "/images/{}:1"),
    "anything": ("GET", "/{}"),
}
HARMLESS = {  # only compared with names, never a part of one
    "tags after": "/v2/app/tags/list?last={}",
    "repositories after": "/v2/_catalog?last={}",
    "referrers after": f"/v2/app/referrers/{GOOD}?last={{}}",
    "referrers of a type": f"/v2/app/referrers/{GOOD}?artifactType={{}}",
    "search": "/?q={}",
    "page of the list": "/?page={}",
    "page of a repository": "/images/app?page={}",
}


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("paths")
    (folder / "secret").write_bytes(SECRET)
    with Store.open(str(folder / "store"), create=True) as store:
        images.load(store, {"app:1": APP})
    return folder


@pytest.fixture(scope="module")
def host(base: Path) -> Iterator[Host]:
    with hosting(base / "store", allow_delete=True) as host:
        yield host


def tree(base: Path) -> dict[Path, bytes]:
    """Everything that is there, but for who has locked what and the notes' own log."""
    passing = {"lock", "index.lock", "registry.sqlite-wal", "registry.sqlite-shm"}
    return {path: path.read_bytes() for path in base.rglob("*") if path.is_file() and path.name not in passing}


def held(base: Path) -> dict[Path, bytes]:
    return {path: raw for path, raw in tree(base).items() if not path.name.startswith("host-")}


@pytest.mark.parametrize(("method", "place"), PLACES.values(), ids=PLACES.keys())
def test_places(host: Host, base: Path, method: str, place: str) -> None:
    before = held(base)
    for name, bad in BAD.items():
        said = talk(host.port, request(method, place.replace("{}", bad), "Content-Length: 0", "Connection: close"))
        assert len(statuses(said)) == 1, (name, said)
        assert 400 <= statuses(said)[0] < 500, (name, said)
        assert SECRET not in said
        assert b"root:" not in said
        assert b"\nX-Bad" not in said, name
    assert held(base) == before


@pytest.mark.parametrize("place", HARMLESS.values(), ids=HARMLESS.keys())
def test_what_is_only_compared(host: Host, base: Path, place: str) -> None:
    before = held(base)
    for name, bad in BAD.items():
        said = talk(host.port, request("GET", place.replace("{}", bad), "Connection: close"))
        assert statuses(said)[0] < 500, (name, said)
        assert SECRET not in said
        assert b"\nX-Bad" not in said, name
    assert held(base) == before


@pytest.mark.parametrize("target", ["http://other/v2/../secret", "*", "//etc/passwd", "/v2/app/blobs/../../../secret"])
def test_targets_of_other_forms(host: Host, target: str) -> None:
    said = talk(host.port, request("GET", target, "Connection: close"))
    assert 400 <= statuses(said)[0] < 500
    assert SECRET not in said


def test_a_link_put_there_while_it_runs(host: Host, base: Path) -> None:
    digest = digest_of(SECRET)
    link = base / "store/blobs/sha256" / digest.partition(":")[2]
    link.symlink_to(base / "secret")
    try:
        document = images.artifact(SECRET)
        for part in document.blobs[1:]:
            assert host.ask("GET", f"/v2/app/blobs/{digest}").status == 404
            with host.client() as client:
                assert client.upload("app", part.raw).status == 201
        with host.client() as client:
            refused = client.put("app", "linked", document.raw, document.root.media_type)
        assert refused.codes == ["MANIFEST_BLOB_UNKNOWN"]
    finally:
        link.unlink()
    assert (base / "secret").read_bytes() == SECRET
