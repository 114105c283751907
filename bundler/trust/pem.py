"""One PEM block, strictly (RFC 7468): base64 text between two lines that name what it is.

A key file holds one key. With several blocks it would depend on the reader which of them counts, so that is an error.
"""

from __future__ import annotations

import base64
import binascii
import re

from bundler.errors import ConfigError, LimitError, quoted

PEM_CAP = 64 << 10
_BLOCK = re.compile(r"-----BEGIN ([A-Z0-9 ]{1,64})-----\r?\n([A-Za-z0-9+/=\r\n]*)-----END \1-----")


def read_block(raw: bytes, *, what: str) -> tuple[str, bytes]:
    """The label and the content of the file's one block. ``what`` names the file in the :class:`ConfigError`."""
    if len(raw) > PEM_CAP:
        raise LimitError(f"{what}: {len(raw)} bytes, more than the {PEM_CAP} allowed for a key file")
    text = raw.decode("latin-1")
    begins = text.count("-----BEGIN ")
    if begins != 1:
        found = "no PEM block" if begins == 0 else f"{begins} PEM blocks"
        raise ConfigError(f"{what}: holds {found}; a key file holds one", hint="give each key in a file of its own")
    match = _BLOCK.search(text)
    if match is None:
        label = quoted(text.partition("-----BEGIN ")[2].partition("-----")[0], 64)
        raise ConfigError(
            f"{what}: the PEM block {label!r} is damaged, or encrypted in the way of old OpenSSL versions"
        )
    try:
        content = base64.b64decode(re.sub(r"[\r\n]", "", match[2]), validate=True)
    except binascii.Error:
        raise ConfigError(f"{what}: the PEM block {match[1]!r} is not base64") from None
    return match[1], content


def write_block(label: str, content: bytes) -> bytes:
    """A block with 64 characters to a line and a final newline."""
    text = base64.b64encode(content).decode("ascii")
    lines = [text[start : start + 64] for start in range(0, len(text), 64)]
    return "\n".join([f"-----BEGIN {label}-----", *lines, f"-----END {label}-----", ""]).encode("ascii")
