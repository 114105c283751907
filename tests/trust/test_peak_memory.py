"""Documents made to take as much memory as they can, each in a process of its own: none takes more than 200 MiB.

The peak is the kernel's ``VmHWM``: that of ``getrusage`` would begin with the parent's.
"""

from __future__ import annotations

import subprocess
import sys

import pytest

PROGRAM = r"""
import sys
from bundler.bundle.inventory import INVENTORY_CAP, MAX_ROWS, parse_inventory
from bundler.bundle.statement import STATEMENT_CAP, parse_statement
from bundler.errors import BundlerError
from bundler.oci.manifest import parse_manifest
from bundler.oci.mediatype import OCI_MANIFEST
from bundler.oci.strict_json import MANIFEST_CAP
from bundler.trust.dsse import ENVELOPE_CAP, parse_envelope

parse, cap = {
    "manifest": (lambda raw: parse_manifest(raw, OCI_MANIFEST, what="m"), MANIFEST_CAP),
    "envelope": (parse_envelope, ENVELOPE_CAP),
    "statement": (parse_statement, STATEMENT_CAP),
    "inventory": (parse_inventory, INVENTORY_CAP),
}[sys.argv[1]]

def repeated(piece):
    return piece * ((cap - 100) // len(piece))

def keys(count, each):  # objects of `each` keys that occur nowhere else
    from io import BytesIO
    out = BytesIO()
    for start in range(0, count, each):
        out.write(b'{"%06d":1' % start)
        for key in range(start + 1, min(count, start + each)):
            out.write(b',"%06d":%d' % (key, key + 1000))
        out.write(b"},")
    return out.getvalue()

def rows():
    from io import BytesIO
    out = BytesIO()
    end = 0
    for n in range(MAX_ROWS):
        out.write(b'\n    {\n      "digest": "sha256:%064x",\n      "length": %d,\n      "method": "zstd",\n' % (n, 2000 + n % 99))
        out.write(b'      "offset": %d,\n      "size": %d,\n      "volume": 1\n    },' % (end, 9000 + n))
        end += 2000 + n % 99
    return out.getvalue()[:-1], end

if sys.argv[2] == "real":
    listed, end = rows()
    raw = b'{"bundleId": "sha256:%064x", "format": "urn:oci-bundler:inventory:v1", "mtime": 0, "rows": [%b], ' % (1, listed)
    raw += b'"volumes": [{"size": %d}]}' % end
    del listed
else:
    body = {
        "braces": lambda: repeated(b"{},"),
        "keys": lambda: keys(120_000 if cap == MANIFEST_CAP else 290_000, 100),
        "one-object": lambda: keys(120_000 if cap == MANIFEST_CAP else 290_000, 1 << 30),
        "rows-of-other-keys": lambda: keys(7 * MAX_ROWS, 7),
        "beyond-ascii": lambda: b'"' + "\U0001f600".encode() + repeated(b"a") + b'",',
    }[sys.argv[2]]()
    raw = b'{"rows": [' + body[:-1] + b"]}"
    raw += b" " * (cap - len(raw))
    del body
try:
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")  # what making the document took is not what reading it takes
except OSError:
    pass
try:
    parse(raw)
    print("taken")
except BundlerError as problem:
    print(f"{problem.label} {problem}")
print(next(int(line.split()[1]) >> 10 for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""

HOSTILE = {
    "manifest": ("braces", "keys", "one-object"),
    "envelope": ("braces", "beyond-ascii"),
    "statement": ("keys", "beyond-ascii"),
    "inventory": ("braces", "one-object", "beyond-ascii", "rows-of-other-keys"),
}


def peak(document: str, kind: str) -> tuple[str, int]:
    """What reading it said, and the most memory of the process in MiB."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, document, kind], capture_output=True, text=True, check=True, timeout=60
    )
    said, memory = done.stdout.splitlines()
    return said, int(memory)


@pytest.mark.parametrize(("document", "kind"), [(name, kind) for name, kinds in HOSTILE.items() for kind in kinds])
def test_a_hostile_document_takes_little_memory(document: str, kind: str) -> None:
    said, memory = peak(document, kind)
    assert said.startswith(("LIMIT", "ARCHIVE", "PROTO"))
    assert memory < 200


def test_an_inventory_of_100_000_contents_is_read_in_little_memory() -> None:
    said, memory = peak("inventory", "real")
    assert said == "taken"
    assert memory < 200
