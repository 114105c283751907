"""TLS contexts: the system's trust store, plus a site's CA, plus what lies in a registry's ``certs.d`` directory.

Follows containers-certs.d(5): of the directories below, the first that exists is used, and only that one.

    --cert-dir                                      used as it is
    ~/.config/containers/certs.d/HOST:PORT
    /etc/containers/certs.d/HOST:PORT
    /etc/docker/certs.d/HOST:PORT

In it every ``*.crt`` is a CA, and ``NAME.cert`` with ``NAME.key`` is what the client shows; anything else is left alone.
Certificates given here are anchors, as they are to the programs that share these directories: one that is not a root,
such as a registry's own certificate, is trusted by being there.
"""

from __future__ import annotations

import logging
import ssl
from collections.abc import Iterator
from pathlib import Path

from bundler.errors import BundlerError, ConfigError, UnsupportedError, disk_error, quoted

_log = logging.getLogger(__name__)

SYSTEM_DIRS = (Path("/etc/containers/certs.d"), Path("/etc/docker/certs.d"))
CERTIFICATES_CAP = 4 << 20


def tls_context(
    host: str,
    *,
    verify: bool = True,
    ca: Path | None = None,
    cert_dir: Path | None = None,
    home: Path,
    system_dirs: tuple[Path, ...] = SYSTEM_DIRS,
) -> ssl.SSLContext:
    """A client context for the registry ``host`` (``host[:port]`` as in image names): TLS 1.2 or newer.

    ``ca`` is a PEM file with one or more certificates, ``cert_dir`` a directory that replaces the look-up. With
    ``verify=False`` neither chain nor host name is checked, but a client certificate is still shown. Raises
    :class:`ConfigError` for files that are missing, unreadable or no certificates, naming them.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.hostname_checks_common_name = False
    directory = cert_dir or _directory(host, home, system_dirs)
    files = _listed(directory) if directory else []
    if verify:
        context.load_default_certs(ssl.Purpose.SERVER_AUTH)
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        if ca is not None:
            _trust(context, ca)
        for file in files:
            if file.suffix == ".crt":
                _trust(context, file)
    else:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    _identify(context, files)
    return context


def _directory(host: str, home: Path, system_dirs: tuple[Path, ...]) -> Path | None:
    if not host or "/" in host or "\0" in host or host.startswith("."):
        raise ConfigError(f"{quoted(host)!r} is not a host[:port]")
    for base in (home / ".config" / "containers" / "certs.d", *system_dirs):
        try:
            if (base / host).is_dir():
                return base / host
        except OSError as problem:
            # Another user's or root's own: without it the worst is a certificate that is refused.
            _log.warning("%s: skipped: %s", base / host, problem.strerror)
    return None


def _listed(directory: Path) -> list[Path]:
    try:
        return sorted(directory.iterdir())
    except OSError as problem:
        raise _unreadable(problem, directory, "certificate directory") from problem


def _unreadable(problem: OSError, path: Path, kind: str) -> BundlerError:
    if isinstance(problem, FileNotFoundError | NotADirectoryError | PermissionError | IsADirectoryError):
        return ConfigError(
            f"{path}: the {kind} can't be read: {problem.strerror}", hint="correct the path or its permissions"
        )
    return disk_error(problem, f"reading {path}")


def _trust(context: ssl.SSLContext, path: Path) -> None:
    try:
        with path.open("rb") as file:
            raw = file.read(CERTIFICATES_CAP)
    except OSError as problem:
        raise _unreadable(problem, path, "CA file") from problem
    try:
        # Comments between the blocks may be in any encoding; the blocks are ASCII.
        context.load_verify_locations(cadata=raw.decode("ascii", "replace").replace("\ufffd", "?"))
    except (ssl.SSLError, ValueError) as problem:
        raise ConfigError(
            f"{path}: no PEM certificates in the CA file ({problem})",
            hint="a CA file holds blocks that begin with -----BEGIN CERTIFICATE-----",
        ) from None


def _pairs(files: list[Path]) -> Iterator[tuple[Path, Path]]:
    names = set(files)
    for path in files:
        if path.suffix == ".cert":
            key = path.with_suffix(".key")
            if key not in names:
                raise ConfigError(f"{key}: missing; it is the key of the client certificate {path.name}")
            yield path, key
        elif path.suffix == ".key" and (certificate := path.with_suffix(".cert")) not in names:
            raise ConfigError(
                f"{certificate}: missing; it is the client certificate of the key {path.name}",
                hint="a client certificate ends in .cert; files ending in .crt are CA certificates",
            )


def _identify(context: ssl.SSLContext, files: list[Path]) -> None:
    pairs = list(_pairs(files))
    if len(pairs) > 1:
        names = ", ".join(quoted(certificate.name) for certificate, _ in pairs)
        raise UnsupportedError(
            f"{pairs[0][0].parent}: holds several client certificates: {names}",
            hint="keep the one that this registry asks for, or give a directory with it as --cert-dir",
        )
    for certificate, key in pairs:

        def encrypted(key: Path = key) -> str:
            # Without a callable, OpenSSL would ask on the terminal and wait.
            raise ConfigError(f"{key}: the client key is encrypted", hint="give an unencrypted copy, with mode 0600")

        try:
            context.load_cert_chain(certificate, key, password=encrypted)
        except ssl.SSLError as problem:
            raise ConfigError(
                f"{certificate}: not usable with {key.name}: {problem.reason or problem}",
                hint="both must be PEM, and belong together",
            ) from None
        except OSError as problem:
            raise ConfigError(
                f"{certificate} or {key.name} can't be read: {problem.strerror}", hint="correct their permissions"
            ) from None
