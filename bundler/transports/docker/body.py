"""The body of an answer as chunks: bounded in length, and in time by a minimum rate for each of them.

urllib3's ``read`` without decoding hands on what http.client read, in one piece. That was measured to cost no more than
``readinto`` a buffer of our own, and with TLS half of what ``read1`` costs, which returns with every record.
"""

from __future__ import annotations

import time
from collections.abc import Generator

from urllib3 import BaseHTTPResponse
from urllib3 import exceptions as http

from bundler.content import CHUNK
from bundler.transports.docker.settings import Limits
from bundler.transports.docker.watchdog import OverstayedError, Watchdog

FIRST = 64 << 10
"""Bytes of the first chunk. A slow peer keeps getting such small ones, so that progress shows, a fast one larger ones."""

QUICK = 0.05
"""Seconds within which a chunk must come for the next one to be larger."""


class TooSlowError(http.ProtocolError):
    """A body came slower than the minimum rate, and its connection was cut."""


class MalformedError(http.ProtocolError):
    """A body's chunks have lengths that can't be: below zero, or beyond what a machine can count."""


def chunks(response: BaseHTTPResponse, most: int, limits: Limits, watchdog: Watchdog) -> Generator[bytes, None, None]:
    """At most ``most`` bytes of the body. Raises urllib3's errors if the connection breaks or is too slow.

    The connection goes back to its pool if the body ended, and is closed by whoever closes the response if not.
    """
    size = FIRST
    while most > 0:
        amount = min(size, most)
        begun = time.monotonic()
        try:
            with watchdog.limit(max(limits.window, amount / limits.rate), response.shutdown):
                data = response.read(amount, decode_content=False)
        except OverstayedError:
            raise TooSlowError(f"less than {limits.rate:g} bytes per second") from None
        except (ValueError, OverflowError):  # http.client takes any number for a chunk's length
            raise MalformedError("a chunk of impossible length") from None
        if not data:
            return
        most -= len(data)
        yield data
        size = min(CHUNK, size * 2) if time.monotonic() - begun < QUICK else FIRST
