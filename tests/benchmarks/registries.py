"""The embedded registry beside docker-registry: the same client, curl, sends and gets the same bytes.

Blobs are random, so that nobody gains by compressing. An upload is what clients make of it: POST, PATCH, PUT. Eight at once
are eight processes. Two hundred small manifests go over one connection, each under a tag of its own.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from bundler.oci import mediatype
from bundler.oci.digest import digest_of
from tests.benchmarks.ground import Ground
from tests.benchmarks.measure import Cost, shell

MiB = 1 << 20
LARGE = 512 * MiB
STREAMS = 8
MANIFESTS = 200

_UPLOAD = r"""
place() { tr -d '\r' | awk -v base="$url" 'tolower($1) == "location:" { print ($2 ~ /^\//) ? base $2 : $2 }'; }
upload() { # FILE DIGEST
  local where
  where=$(curl -fsS -X POST -D - -o /dev/null "$url/v2/app/blobs/uploads/" | place)
  where=$(curl -fsS -X PATCH -H 'Expect:' -H 'Content-Type: application/octet-stream' -T "$1" -D - -o /dev/null "$where" | place)
  case $where in *\?*) where="$where&digest=$2" ;; *) where="$where?digest=$2" ;; esac
  curl -fsS -X PUT -o /dev/null "$where"
}
download() { curl -fsS -o /dev/null "$url/v2/app/blobs/$1"; } # DIGEST
"""

STEPS = {
    "upload, one stream": 'upload large "$(cat large.txt)"',
    "upload, eight": 'ids=(); while read -r f d; do upload $f $d & ids+=($!); done <small.txt; wait "${ids[@]}"',
    "download, one stream": 'download "$(cat large.txt)"',
    "download, eight": 'ids=(); while read -r f d; do download $d & ids+=($!); done <small.txt; wait "${ids[@]}"',
    "200 small manifests": "curl -fsS --config manifests.curl",
}
TARGETS = {
    "upload, one stream": 1 / 1.2,
    "upload, eight": 1 / 1.2,
    "download, one stream": 1.0,
    "download, eight": 1.0,
    "200 small manifests": 2.0,
}
"""The peer's throughput times 1.2 is its time by 1.2."""


def measure(ground: Ground, url: str, work: Path) -> dict[str, Cost]:
    """Every step against the registry at ``url``, in order."""
    _write_manifests(work, url)
    prologue = f"url={url}\n{_UPLOAD}\n"
    shell(f"{prologue}while read -r f d; do upload $f $d; done <needed.txt", cwd=work, env=ground.env)
    return {step: shell(prologue + script, cwd=work, env=ground.env) for step, script in STEPS.items()}


def prepare(work: Path) -> None:
    """The blobs, their digests, and the manifests."""
    names = {"large": LARGE, **{f"small-{n}": LARGE // STREAMS for n in range(STREAMS)}}
    for name, size in names.items():
        with (work / name).open("wb") as file:
            for _ in range(size // MiB):
                file.write(os.urandom(MiB))
    digests = {name: _digest(work / name) for name in names}
    (work / "large.txt").write_text(digests.pop("large"))
    (work / "small.txt").write_text("".join(f"{name} {digest}\n" for name, digest in digests.items()))
    for name, raw in (("config", b"{}"), ("layer", b"layer")):
        (work / name).write_bytes(raw)
    (work / "needed.txt").write_text("".join(f"{name} {_digest(work / name)}\n" for name in ("config", "layer")))


def _write_manifests(work: Path, url: str) -> None:
    lines = []
    for n in range(MANIFESTS):
        raw = json.dumps(
            {
                "schemaVersion": 2,
                "mediaType": mediatype.OCI_MANIFEST,
                "config": _described(work / "config", mediatype.OCI_CONFIG),
                "layers": [_described(work / "layer", mediatype.OCI_LAYER)],
                "annotations": {"number": str(n)},
            }
        )
        file = work / f"manifest-{n}.json"
        file.write_text(raw)
        lines.append(
            f'upload-file = "{file}"\nurl = "{url}/v2/app/manifests/{n}"\nheader = "Content-Type: {mediatype.OCI_MANIFEST}"\n'
            'header = "Expect:"\noutput = "/dev/null"\n'
        )
    (work / "manifests.curl").write_text("next\n".join(lines))


def _described(file: Path, media_type: str) -> dict[str, object]:
    return {"mediaType": media_type, "digest": _digest(file), "size": file.stat().st_size}


def _digest(file: Path) -> str:
    return digest_of(file.read_bytes())
