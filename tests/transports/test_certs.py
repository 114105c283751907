from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization

from bundler.errors import BundlerError, ConfigError, DiskError, UnsupportedError
from bundler.transports.docker.certs import tls_context
from tests.authority import Authority, self_signed, write_pair


@contextmanager
def server(cert: Path, key: Path, *, client_ca: Path | None = None) -> Iterator[int]:
    """A TLS server for any number of handshakes; it sends the common name of the client's certificate, or nobody."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    if client_ca is not None:
        context.load_verify_locations(client_ca)
        context.verify_mode = ssl.CERT_REQUIRED
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                plain, _ = listener.accept()
            except OSError:
                return
            with plain:
                plain.settimeout(10)
                try:
                    with context.wrap_socket(plain, server_side=True) as tls:
                        shown: Any = (tls.getpeercert() or {}).get("subject", ())
                        names = [value for ((kind, value),) in shown if kind == "commonName"]
                        tls.sendall("".join(names or ["nobody"]).encode())
                except OSError:
                    continue

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()


def ask(port: int, context: ssl.SSLContext, name: str = "localhost") -> str:
    with (
        socket.create_connection(("127.0.0.1", port), timeout=10) as plain,
        context.wrap_socket(plain, server_hostname=name) as tls,
    ):
        return tls.recv(100).decode()


@pytest.fixture(scope="module")
def pair(authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return authority.issue(tmp_path_factory.mktemp("server"), hosts=("localhost", "127.0.0.1"))


@pytest.fixture(scope="module")
def port(pair: tuple[Path, Path]) -> Iterator[int]:
    with server(*pair) as number:
        yield number


def test_an_unknown_authority_is_refused(port: int, tmp_path: Path) -> None:
    with pytest.raises(ssl.SSLCertVerificationError, match="CERTIFICATE_VERIFY_FAILED"):
        ask(port, tls_context("localhost", home=tmp_path, system_dirs=()))


def test_a_site_ca_is_added(port: int, authority: Authority, tmp_path: Path) -> None:
    context = tls_context("localhost", ca=authority.ca, home=tmp_path, system_dirs=())
    assert ask(port, context) == "nobody"


def test_the_systems_trust_store_stays(port: int, authority: Authority, tmp_path: Path) -> None:
    plain = tls_context("localhost", home=tmp_path, system_dirs=())
    with_ca = tls_context("localhost", ca=authority.ca, home=tmp_path, system_dirs=())
    assert with_ca.cert_store_stats()["x509"] == plain.cert_store_stats()["x509"] + 1


def test_the_name_is_checked(port: int, authority: Authority, tmp_path: Path) -> None:
    context = tls_context("localhost", ca=authority.ca, home=tmp_path, system_dirs=())
    with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
        ask(port, context, "elsewhere.example")


def test_a_common_name_alone_names_no_host(authority: Authority, tmp_path: Path) -> None:
    certificate, key = self_signed("localhost")
    cert_path, key_path = write_pair(tmp_path, "server", certificate, key)
    with server(cert_path, key_path) as port, pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
        ask(port, tls_context("localhost", ca=cert_path, home=tmp_path, system_dirs=()))


def test_a_servers_own_certificate_can_be_the_anchor(port: int, pair: tuple[Path, Path], tmp_path: Path) -> None:
    context = tls_context("localhost", ca=pair[0], home=tmp_path, system_dirs=())
    assert ask(port, context) == "nobody"


def test_without_verification_anyone_is_taken(port: int, tmp_path: Path) -> None:
    context = tls_context("localhost", verify=False, home=tmp_path, system_dirs=())
    assert ask(port, context, "elsewhere.example") == "nobody"


@pytest.mark.parametrize("verify", [True, False])
def test_old_tls_versions_are_refused(verify: bool, tmp_path: Path) -> None:
    context = tls_context("localhost", verify=verify, home=tmp_path, system_dirs=())
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2


def place(directory: Path, authority: Authority) -> Path:
    directory.mkdir(parents=True)
    (directory / "site.crt").write_bytes(authority.ca.read_bytes())
    return directory


def test_certs_d_of_the_user_comes_before_the_systems(port: int, authority: Authority, tmp_path: Path) -> None:
    system = (tmp_path / "etc1", tmp_path / "etc2")
    host = f"localhost:{port}"
    place(system[1] / host, authority)
    assert ask(port, tls_context(host, home=tmp_path, system_dirs=system)) == "nobody"
    # An earlier folder hides the later ones: they are not merged.
    (tmp_path / ".config/containers/certs.d" / host).mkdir(parents=True)
    with pytest.raises(ssl.SSLCertVerificationError):
        ask(port, tls_context(host, home=tmp_path, system_dirs=system))


def test_certs_d_is_by_host_and_port(port: int, authority: Authority, tmp_path: Path) -> None:
    place(tmp_path / "etc" / "localhost", authority)
    with pytest.raises(ssl.SSLCertVerificationError):
        ask(port, tls_context(f"localhost:{port}", home=tmp_path, system_dirs=(tmp_path / "etc",)))


def test_cert_dir_replaces_the_look_up(port: int, authority: Authority, tmp_path: Path) -> None:
    host = f"localhost:{port}"
    (tmp_path / "etc" / host).mkdir(parents=True)
    context = tls_context(host, cert_dir=authority.cert_dir, home=tmp_path, system_dirs=(tmp_path / "etc",))
    assert ask(port, context) == "nobody"


def test_other_files_are_left_alone(port: int, authority: Authority, tmp_path: Path) -> None:
    directory = place(tmp_path / "d", authority)
    (directory / "README").write_text("not a certificate")
    (directory / "old.crt.bak").write_text("not a certificate")
    assert ask(port, tls_context("localhost", cert_dir=directory, home=tmp_path)) == "nobody"


def test_several_certificates_in_one_file(port: int, authority: Authority, tmp_path: Path) -> None:
    other = Authority.create(tmp_path / "other", name="another CA")
    both = tmp_path / "both.pem"
    both.write_bytes("# Fürst\n".encode() + other.ca.read_bytes() + b"\n# second\n" + authority.ca.read_bytes())
    assert ask(port, tls_context("localhost", ca=both, home=tmp_path, system_dirs=())) == "nobody"


@pytest.mark.parametrize("verify", [True, False])
def test_a_client_certificate_is_shown(
    verify: bool, pair: tuple[Path, Path], authority: Authority, tmp_path: Path
) -> None:
    directory = place(tmp_path / "d", authority)
    authority.issue(directory, client="ann")
    with server(*pair, client_ca=authority.ca) as port:
        context = tls_context("localhost", verify=verify, cert_dir=directory, home=tmp_path)
        assert ask(port, context) == "ann"


def test_a_certificate_without_its_key(authority: Authority, tmp_path: Path) -> None:
    _, key = authority.issue(tmp_path / "", client="ann")
    key.unlink()
    with pytest.raises(ConfigError, match=r"client\.key: missing"):
        tls_context("localhost", cert_dir=tmp_path, home=tmp_path)


def test_a_key_without_its_certificate(authority: Authority, tmp_path: Path) -> None:
    certificate, _ = authority.issue(tmp_path, client="ann")
    certificate.unlink()
    with pytest.raises(ConfigError, match=r"client\.cert: missing"):
        tls_context("localhost", cert_dir=tmp_path, home=tmp_path, verify=False)


def test_several_client_certificates(authority: Authority, tmp_path: Path) -> None:
    for name in ("b", "a"):
        (tmp_path / f"{name}.cert").touch()
        (tmp_path / f"{name}.key").touch()
    with pytest.raises(UnsupportedError, match=r"a\.cert, b\.cert"):
        tls_context("localhost", cert_dir=tmp_path, home=tmp_path)


def test_certificate_and_key_of_different_pairs(authority: Authority, tmp_path: Path) -> None:
    _, key = authority.issue(tmp_path, client="ann")
    saved = key.read_bytes()
    authority.issue(tmp_path, client="bob")
    key.write_bytes(saved)
    with pytest.raises(ConfigError, match=r"client\.cert: not usable with client\.key"):
        tls_context("localhost", cert_dir=tmp_path, home=tmp_path)


def test_an_encrypted_client_key_does_not_ask_the_terminal(authority: Authority, tmp_path: Path) -> None:
    _, path = authority.issue(tmp_path, client="ann")
    key = serialization.load_pem_private_key(path.read_bytes(), None)
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"s3cret"),
        )
    )
    with pytest.raises(ConfigError, match=r"client\.key: the client key is encrypted"):
        tls_context("localhost", cert_dir=tmp_path, home=tmp_path)


def test_a_key_that_is_a_dangling_link(authority: Authority, tmp_path: Path) -> None:
    _, key = authority.issue(tmp_path, client="ann")
    key.unlink()
    key.symlink_to(tmp_path / "gone")
    with pytest.raises(ConfigError, match=r"client\.cert or client\.key can't be read"):
        tls_context("localhost", cert_dir=tmp_path, home=tmp_path)


NO_CA = {
    "empty": b"",
    "text": b"hello",
    "binary": bytes(range(256)),
    "a-key": b"-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIA==\n-----END PRIVATE KEY-----\n",
    "cut": b"-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n",
}


@pytest.mark.parametrize("raw", NO_CA.values(), ids=NO_CA)
def test_a_file_that_holds_no_certificate(raw: bytes, tmp_path: Path) -> None:
    path = tmp_path / "site.crt"
    path.write_bytes(raw)
    variants: list[dict[str, Any]] = [{"ca": path}, {"cert_dir": tmp_path}]
    for options in variants:
        with pytest.raises(ConfigError, match=r"site\.crt: no PEM certificates"):
            tls_context("localhost", home=tmp_path / "home", system_dirs=(), **options)


@pytest.mark.parametrize("option", ["ca", "cert_dir"])
def test_a_named_path_must_exist(option: str, tmp_path: Path) -> None:
    named: dict[str, Any] = {option: tmp_path / "gone"}
    with pytest.raises(ConfigError, match=r"gone: the .* can't be read"):
        tls_context("localhost", home=tmp_path, system_dirs=(), **named)


FAILURES: dict[str, tuple[OSError, type[BundlerError]]] = {
    "no-permission": (PermissionError(13, "Permission denied"), ConfigError),
    "bad-disk": (OSError(5, "Input/output error"), DiskError),
}


@pytest.mark.parametrize(("problem", "kind"), FAILURES.values(), ids=FAILURES)
def test_an_unreadable_named_directory(
    problem: OSError, kind: type[BundlerError], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def fail(_: Path) -> None:
        raise problem

    monkeypatch.setattr(Path, "iterdir", fail)
    with pytest.raises(kind, match="/d"):
        tls_context("localhost", cert_dir=tmp_path / "d", home=tmp_path)


def test_a_system_directory_of_anothers_is_skipped_with_a_warning(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(_: Path) -> bool:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "is_dir", fail)
    tls_context("localhost", home=tmp_path)
    assert "/etc/docker/certs.d/localhost: skipped: Permission denied" in caplog.text


@pytest.mark.parametrize("host", ["", "..", "../x", "a/b", "a\0b", ".hidden"])
def test_a_host_is_never_a_path(host: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"not a host\[:port\]"):
        tls_context(host, home=tmp_path)
