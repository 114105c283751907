"""One tree of errors; each class has its exit code and a hint for the operator.

The people who run bundler get one truck journey per try, so an error names the object, the cause and the next step. The
class decides the exit code (a stable interface, listed in the README); the instance carries the message and may replace
the hint. Only ``bundler.cli`` turns an error into output and an exit status.

    BundlerError                 1  INTERNAL
    ├── ConfigError              2  CONFIG    usage, manifest, or a key given wrongly
    │   └── NotFoundError        2  CONFIG    a name that does not exist where it was looked for
    ├── AuthError                3  AUTH      credentials missing or refused
    ├── NetworkError             4  NET       transient, and the retries are used up
    │   └── UploadLostError      4  NET       an upload session is gone; its content must be sent again
    ├── ProtocolError            5  PROTO     a registry broke the protocol, or an image its specification
    ├── DigestError              6  DIGEST    bytes are not the ones asked for
    ├── LimitError               7  LIMIT     larger, longer or deeper than allowed
    ├── UnsupportedError         8  UNSUP     known, and not done
    ├── StoreError               9  STORE     the store is damaged or is no store
    ├── LockedError             10  LOCK      another process holds the store
    ├── SpaceError              11  SPACE     the disk or the quota is full
    ├── DiskError               12  IO        reading or writing failed
    ├── ReadOnlyError           13  RO        the file system is read-only, or writing is not permitted
    ├── ArchiveError            14  ARCHIVE   a volume or its inventory is damaged
    ├── SignatureError          15  SIG       a signature is missing or wrong
    ├── TrustError              16  TRUST     the signers are not trusted, or too few of them
    ├── PolicyError             17  POLICY    rollback, expiry, equivocation, missing image signature
    └── PushError               18  PUSH      the destination refused the content
"""

from __future__ import annotations

import errno
from collections.abc import Sequence
from typing import ClassVar


class BundlerError(Exception):
    """The root: something that bundler can explain.

    ``str(error)`` is one line for the operator, with control characters already escaped by whoever quoted outside text
    (see :func:`quoted`). ``hint`` says what to do next and may be empty.
    """

    exit_code: ClassVar[int] = 1
    label: ClassVar[str] = "INTERNAL"
    default_hint: ClassVar[str] = ""

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.hint = self.default_hint if hint is None else hint

    def about(self, what: str) -> BundlerError:
        """The same error with ``what`` (a side, an image, a volume) named in front."""
        return type(self)(f"{what}: {self}", hint=self.hint)


class ConfigError(BundlerError):
    """Usage, a manifest or a key was given wrongly."""

    exit_code = 2
    label = "CONFIG"


class NotFoundError(ConfigError):
    """A name does not exist where it was looked for."""

    default_hint = "check the spelling of the name and the tag, and that it is there"


class AuthError(BundlerError):
    """Credentials are missing, wrong, or not enough."""

    exit_code = 3
    label = "AUTH"
    default_hint = "give --creds or --authfile, or log in with `docker login`, `podman login` or `skopeo login`"


class NetworkError(BundlerError):
    """A transient failure outlasted the retries."""

    exit_code = 4
    label = "NET"
    default_hint = "run the same command again; finished work is kept"


class UploadLostError(NetworkError):
    """An upload session is gone. The content is a one-shot stream, so whoever has its source must send it again."""


class ProtocolError(BundlerError):
    """A registry, or a document from one, broke its specification."""

    exit_code = 5
    label = "PROTO"
    default_hint = "the other side is at fault; report it to whoever runs it"


class DigestError(BundlerError):
    """Bytes are not the ones that were asked for."""

    exit_code = 6
    label = "DIGEST"
    default_hint = "the content was damaged or replaced on its way; fetch it again from a source you trust"


class LimitError(BundlerError):
    """Something is larger, longer or deeper than allowed."""

    exit_code = 7
    label = "LIMIT"


class UnsupportedError(BundlerError):
    """Known, and not done."""

    exit_code = 8
    label = "UNSUP"


class StoreError(BundlerError):
    """The store is damaged, or is not a store."""

    exit_code = 9
    label = "STORE"
    default_hint = "run `bundler store check` on it"


class LockedError(BundlerError):
    """Another process holds the store."""

    exit_code = 10
    label = "LOCK"
    default_hint = "wait for the other process to end, then run the same command again"


class SpaceError(BundlerError):
    """The disk or the quota is full."""

    exit_code = 11
    label = "SPACE"
    default_hint = "free some room and run the same command again; finished work is kept"


class DiskError(BundlerError):
    """Reading or writing failed below us."""

    exit_code = 12
    label = "IO"
    default_hint = "check the medium and the system log, then run the same command again"


class ReadOnlyError(BundlerError):
    """The file system is read-only, or writing there is not permitted."""

    exit_code = 13
    label = "RO"
    default_hint = "choose a directory that can be written"


class ArchiveError(BundlerError):
    """A volume or an inventory is damaged, incomplete or foreign."""

    exit_code = 14
    label = "ARCHIVE"
    default_hint = "copy the bundle again from where it was built"


class SignatureError(BundlerError):
    """A signature is missing or does not match."""

    exit_code = 15
    label = "SIG"
    default_hint = "do not use this bundle; ask its builder for a signed copy"


class TrustError(BundlerError):
    """The signers are not trusted, or there are too few of them."""

    exit_code = 16
    label = "TRUST"


class PolicyError(BundlerError):
    """Properly signed, and still not allowed in."""

    exit_code = 17
    label = "POLICY"


class PushError(BundlerError):
    """The destination refused the content."""

    exit_code = 18
    label = "PUSH"


def disk_error(error: OSError, what: str) -> BundlerError:
    """The error class for a failed system call; ``what`` says what was being done to which path."""
    message = f"{what}: {error.strerror or error}"
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):  # the last: a limit on the size of one file
        return SpaceError(message)
    if error.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
        return ReadOnlyError(message)
    return DiskError(message)


def quoted(text: str, limit: int = 200) -> str:
    """Outside text made safe to print: control, bidirectional and unpaired characters escaped, cut at ``limit``.

    The result of ``str.isprintable`` decides, which is false for everything a terminal could act on.
    """
    cut = text if len(text) <= limit else text[:limit] + "…"
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in cut)


def first_of(texts: Sequence[str], *, joined: str = ", ", most: int = 10) -> str:
    """The first of many texts, and how many more there are.

    >>> first_of(["a", "b", "c"], most=2)
    'a, b and 1 more'
    """
    more = f" and {len(texts) - most} more" if len(texts) > most else ""
    return joined.join(texts[:most]) + more
