"""A certificate of the registry's own: what is in it, when it is kept, and who takes it."""

from __future__ import annotations

import datetime as dt
import json
import logging
import os
import ssl
import stat
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID

from bundler.errors import BundlerError, ConfigError
from bundler.registry import certificate
from bundler.registry.certificate import SelfSigned, fingerprint_of, self_signed
from bundler.registry.process import running
from tests.authority import Authority
from tests.peers import attempt, needs, openssl, podman, run, skopeo

HOSTS = ["Registry.Site.", "10.0.0.5", "[fe80::1]", "registry.site"]


@pytest.fixture
def made(tmp_path: Path) -> SelfSigned:
    return self_signed(tmp_path / "tls", HOSTS)


def held(made: SelfSigned) -> x509.Certificate:
    return x509.load_pem_x509_certificate(made.cert.read_bytes())


def extension(made: SelfSigned, kind: Any) -> Any:
    return held(made).extensions.get_extension_for_class(kind).value


def test_what_is_in_it(made: SelfSigned) -> None:
    names = extension(made, x509.SubjectAlternativeName)
    assert names.get_values_for_type(x509.DNSName) == ["registry.site", "localhost"]
    addresses = [str(each) for each in names.get_values_for_type(x509.IPAddress)]
    assert addresses == ["10.0.0.5", "fe80::1", "127.0.0.1", "::1"]
    assert not extension(made, x509.BasicConstraints).ca
    assert list(extension(made, x509.ExtendedKeyUsage)) == [ExtendedKeyUsageOID.SERVER_AUTH]
    assert not extension(made, x509.KeyUsage).key_cert_sign
    public = held(made).public_key()
    assert isinstance(public, ec.EllipticCurvePublicKey)
    assert isinstance(public.curve, ec.SECP256R1)


def test_how_long_it_lasts(made: SelfSigned) -> None:
    start, end = held(made).not_valid_before_utc, held(made).not_valid_after_utc
    now = dt.datetime.now(dt.UTC)
    assert start < now - dt.timedelta(hours=12)
    assert end > now + dt.timedelta(days=800)
    assert end - start < dt.timedelta(days=825)


def test_its_files(made: SelfSigned, tmp_path: Path) -> None:
    assert sorted(each.name for each in (tmp_path / "tls").iterdir()) == ["registry-key.pem", "registry.crt"]
    assert stat.S_IMODE(made.key.stat().st_mode) == 0o600
    assert stat.S_IMODE(made.cert.stat().st_mode) == 0o644


def test_it_is_kept(made: SelfSigned, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    before = made.cert.read_bytes(), made.key.read_bytes()
    again = self_signed(tmp_path / "tls", ["fe80::1", "localhost", "registry.site", "10.0.0.5"])
    assert again == made
    assert (made.cert.read_bytes(), made.key.read_bytes()) == before
    assert not caplog.records


OTHER_HOSTS = {"another": ["elsewhere"], "one more": [*HOSTS, "elsewhere"], "one less": HOSTS[1:3], "none": []}


@pytest.mark.parametrize("case", OTHER_HOSTS)
def test_other_hosts_need_another(
    made: SelfSigned, tmp_path: Path, caplog: pytest.LogCaptureFixture, case: str
) -> None:
    again = self_signed(tmp_path / "tls", OTHER_HOSTS[case])
    assert fingerprint_of(made.cert) == again.fingerprint != made.fingerprint
    assert "is replaced: it is for other hosts; clients must trust the new one" in caplog.text


def test_it_is_replaced_before_it_ends(
    made: SelfSigned, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = dt.datetime.now(dt.UTC)
    monkeypatch.setattr(certificate, "_now", lambda: now + dt.timedelta(days=793))
    assert self_signed(tmp_path / "tls", HOSTS) == made
    monkeypatch.setattr(certificate, "_now", lambda: now + dt.timedelta(days=795))
    assert self_signed(tmp_path / "tls", HOSTS).fingerprint != made.fingerprint
    assert "is replaced: it is valid until" in caplog.text


def test_a_machine_that_lost_its_clock_keeps_it(
    made: SelfSigned, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(certificate, "_now", lambda: dt.datetime(2000, 1, 1, tzinfo=dt.UTC))
    assert self_signed(tmp_path / "tls", HOSTS) == made
    assert "set the clock, or remove the file" in caplog.text


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:60])


DAMAGE = {
    "certificate gone": (lambda made: made.cert.unlink(), "registry.crt does not exist"),
    "certificate cut": (lambda made: cut(made.cert), "registry.crt holds no certificate"),
    "certificate empty": (lambda made: made.cert.write_bytes(b""), "holds no certificate"),
    "certificate huge": (lambda made: made.cert.write_bytes(b"x" * ((1 << 20) + 1)), "holds more than"),
    "key gone": (lambda made: made.key.unlink(), "registry-key.pem does not exist"),
    "key cut": (lambda made: cut(made.key), "registry-key.pem is no key"),
    "key a certificate": (lambda made: made.key.write_bytes(made.cert.read_bytes()), "registry-key.pem is no key"),
}


@pytest.mark.parametrize("case", DAMAGE)
def test_damaged_files_are_replaced(
    made: SelfSigned, tmp_path: Path, caplog: pytest.LogCaptureFixture, case: str
) -> None:
    damage, said = DAMAGE[case]
    damage(made)
    again = self_signed(tmp_path / "tls", HOSTS)
    assert again.fingerprint != made.fingerprint
    assert said in caplog.text
    caplog.clear()
    assert self_signed(tmp_path / "tls", HOSTS) == again
    assert not caplog.records


def test_a_key_of_another_certificate(made: SelfSigned, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """As a power cut between the two writes leaves them."""
    other = self_signed(tmp_path / "other", HOSTS)
    other.key.replace(made.key)
    assert self_signed(tmp_path / "tls", HOSTS).fingerprint != made.fingerprint
    assert "is not the key of" in caplog.text


def test_a_key_that_others_could_read(made: SelfSigned, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    made.key.chmod(0o644)
    assert self_signed(tmp_path / "tls", HOSTS) == made
    assert stat.S_IMODE(made.key.stat().st_mode) == 0o600
    assert "could be read by others" in caplog.text


def test_the_first_start_says_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    self_signed(tmp_path / "a" / "b", [])
    assert not caplog.records


BAD_HOSTS = ["", ".", "a..b", "-a", "a b", "registry:5000", "https://registry", "a/b", "*.site", "münchen.site", "1.2.3", "256.1.1.1", "0.0.0.0", "::", "fe80::1%eth0", "a" * 64, "a." * 127 + "a", "a\n", "a\0"]  # fmt: skip


@pytest.mark.parametrize("host", BAD_HOSTS)
def test_hosts_that_cannot_be_in_one(tmp_path: Path, host: str) -> None:
    with pytest.raises(ConfigError) as caught:
        self_signed(tmp_path / "tls", [host])
    assert caught.value.hint
    assert str(caught.value).isprintable()
    assert not list(tmp_path.iterdir())


def test_a_directory_that_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(BundlerError, match=r"make .*file"):
        self_signed(tmp_path / "file", [])


def test_a_failed_write_leaves_the_old_ones(made: SelfSigned, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = made.cert.read_bytes(), made.key.read_bytes()

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(BundlerError, match="No space left"):
        self_signed(tmp_path / "tls", ["elsewhere"])
    assert (made.cert.read_bytes(), made.key.read_bytes()) == before
    assert len(list((tmp_path / "tls").iterdir())) == 2


def test_fingerprints_of_what_holds_none(tmp_path: Path) -> None:
    (tmp_path / "text.pem").write_text("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    with pytest.raises(ConfigError, match=r"text\.pem holds no certificate"):
        fingerprint_of(tmp_path / "text.pem")
    with pytest.raises(ConfigError, match=r"none\.pem does not exist"):
        fingerprint_of(tmp_path / "none.pem")


def test_the_fingerprint_of_a_chain_is_its_first(tmp_path: Path, authority: Authority) -> None:
    leaf, _ = authority.issue(tmp_path)
    (tmp_path / "chain.pem").write_bytes(b"a comment\n" + leaf.read_bytes() + authority.ca.read_bytes())
    assert fingerprint_of(tmp_path / "chain.pem") == fingerprint_of(leaf)


@needs("openssl")
def test_openssl_takes_it(made: SelfSigned) -> None:
    said = openssl("x509", "-in", made.cert, "-noout", "-fingerprint", "-sha256")
    assert said.strip().partition("=")[2] == made.fingerprint
    trusted = ("-x509_strict", "-purpose", "sslserver", "-CAfile", made.cert, made.cert)
    for check in (("-verify_hostname", "registry.site"), ("-verify_ip", "10.0.0.5"), ("-verify_ip", "::1")):
        assert "OK" in openssl("verify", *check, *trusted)
    assert attempt("openssl", "verify", "-verify_hostname", "elsewhere", *trusted).returncode == 2


@needs("openssl")
def test_it_can_sign_nothing_else(made: SelfSigned, tmp_path: Path) -> None:
    openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=evil", "-keyout", tmp_path / "e.key", "-out", tmp_path / "e.csr")  # fmt: skip
    openssl("x509", "-req", "-in", tmp_path / "e.csr", "-CA", made.cert, "-CAkey", made.key, "-out", tmp_path / "e.crt")
    assert attempt("openssl", "verify", "-CAfile", made.cert, tmp_path / "e.crt").returncode == 2


@pytest.fixture
def served(made: SelfSigned, tmp_path: Path) -> Iterator[str]:
    with running(tmp_path / "store", tls_cert=made.cert, tls_key=made.key) as url:
        yield url


@pytest.mark.parametrize("flags", [0, ssl.VERIFY_X509_STRICT], ids=["as always", "strict"])
def test_python_takes_it(made: SelfSigned, served: str, flags: int) -> None:
    context = ssl.create_default_context(cafile=str(made.cert))
    context.verify_flags |= flags
    with urllib.request.urlopen(f"{served}/v2/", context=context, timeout=10) as answer:
        assert answer.status == 200


@needs("curl")
def test_curl_takes_it(made: SelfSigned, served: str) -> None:
    for host in ("127.0.0.1", "localhost"):
        url = served.replace("127.0.0.1", host)
        assert run("curl", "-sS", "--ipv4", "--cacert", made.cert, f"{url}/v2/") == "{}"
    assert attempt("curl", "-sS", f"{served}/v2/").returncode == 60


@needs("skopeo")
def test_skopeo_takes_its_directory(made: SelfSigned, served: str, layout: Path) -> None:
    host = served.removeprefix("https://")
    trust = f"--dest-cert-dir={made.cert.parent}"
    skopeo("copy", trust, f"oci:{layout}:app", f"docker://{host}/app:1")
    said = json.loads(skopeo("inspect", f"--cert-dir={made.cert.parent}", f"docker://{host}/app:1"))
    assert said["Name"] == f"{host}/app"
    assert attempt("skopeo", "--insecure-policy", "inspect", f"docker://{host}/app:1").returncode != 0


@needs("podman", "skopeo")
def test_podman_takes_its_directory(made: SelfSigned, served: str, layout: Path) -> None:
    host = served.removeprefix("https://")
    skopeo("copy", f"--dest-cert-dir={made.cert.parent}", f"oci:{layout}:app", f"docker://{host}/app:1")
    with podman() as program:
        program("pull", f"--cert-dir={made.cert.parent}", f"docker://{host}/app:1")
        assert program.inspect(f"{host}/app:1")["RepoTags"] == [f"{host}/app:1"]
