"""A sigstore of one's own that answers over HTTP, so that the real cosign signs with a certificate and never leaves the machine.

    with sigstore_site(tmp_path, "me@site.example") as site:
        run("cosign", "sign", *site.sign, IMAGE, env=site.env)         # whoever asks is the one subject
        run("cosign", "verify", *site.verify, IMAGE, env=site.env)

It speaks what cosign asks of a certificate authority (fulcio, ``signingCert`` of API v1 and v2) and of a transparency log
(rekor, ``log/entries``). Tokens are taken as they come: who is who is not what is tested.
"""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_der_public_key,
    load_pem_public_key,
)

from tests.trust.images.fulcio import ISSUER, Fulcio


@dataclass(frozen=True, slots=True)
class SigstoreSite:
    """A running site; ``env`` is by what cosign trusts it while it signs."""

    fulcio: Fulcio
    url: str
    subject: str
    root: Path
    env: dict[str, str]

    @property
    def sign(self) -> tuple[str, ...]:
        """Options of ``cosign sign`` and ``attest``."""
        said = {"iss": ISSUER, "sub": self.subject, "email": self.subject, "email_verified": True}
        claims = (_segment({"alg": "RS256"}), _segment({**said, "aud": "sigstore", "exp": 4102444800}), _text(b"none"))
        where = ("--fulcio-url", self.url, "--rekor-url", self.url, "--use-signing-config=false", "--yes")
        return *where, "--identity-token", ".".join(claims), "--allow-http-registry"

    @property
    def verify(self) -> tuple[str, ...]:
        """Options of ``cosign verify`` and ``verify-attestation``."""
        who = ("--certificate-identity", self.subject, "--certificate-oidc-issuer", ISSUER)
        return *who, "--trusted-root", str(self.root), "--allow-http-registry"


@contextmanager
def sigstore_site(folder: Path, subject: str) -> Iterator[SigstoreSite]:
    """A site whose keys and trusted root lie in ``folder``, until the block ends."""
    fulcio = Fulcio()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(fulcio, subject))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    env = {"SIGSTORE_ROOT_FILE": folder / "fulcio.pem"}
    env["SIGSTORE_ROOT_FILE"].write_bytes(fulcio.root.public_bytes(Encoding.PEM))
    for name, key in (("SIGSTORE_CT_LOG_PUBLIC_KEY_FILE", fulcio.ct), ("SIGSTORE_REKOR_PUBLIC_KEY", fulcio.rekor)):
        env[name] = folder / f"{name}.pem"
        env[name].write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    root = folder / "trusted_root.json"
    root.write_bytes(fulcio.trusted_root)
    try:
        url = f"http://127.0.0.1:{server.server_port}"
        yield SigstoreSite(fulcio, url, subject, root, {name: str(path) for name, path in env.items()})
    finally:
        server.shutdown()
        server.server_close()


@dataclass(frozen=True)
class _Asked:
    """Stands where a private key does, of whose public half a certificate is made."""

    public: Any

    def public_key(self) -> Any:
        return self.public


def _handler(fulcio: Fulcio, subject: str) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            pass

        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            match self.path:
                case "/api/v1/signingCert":
                    public = load_der_public_key(base64.b64decode(asked["publicKey"]["content"]))
                    self._answer(201, "".join(_certificates(fulcio, subject, public)).encode())
                case "/api/v2/signingCert":
                    public = load_pem_public_key(asked["publicKeyRequest"]["publicKey"]["content"].encode())
                    chain = {"chain": {"certificates": _certificates(fulcio, subject, public)}}
                    self._answer(200, json.dumps({"signedCertificateEmbeddedSct": chain}).encode())
                case "/api/v1/log/entries":
                    uuid, entry = _logged(fulcio, asked)
                    self._answer(201, json.dumps({uuid: entry}).encode(), uuid)
                case _:
                    self._answer(404, b"{}")

        def _answer(self, status: int, body: bytes, uuid: str = "") -> None:
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            if uuid:
                self.send_header("ETag", uuid)
                self.send_header("Location", f"{self.path}/{uuid}")
            self.end_headers()
            self.wfile.write(body)

    return Handler


def _certificates(fulcio: Fulcio, subject: str, public: Any) -> list[str]:
    made = fulcio.certificate(_Asked(public), subject)  # type: ignore[arg-type]  # only its public half is asked for
    return [each.public_bytes(Encoding.PEM).decode() for each in (made, fulcio.root)]


def _logged(fulcio: Fulcio, proposed: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """What rekor makes of a proposed entry: its canonical body, and the entry as its API tells it."""
    spec = proposed["spec"]
    if proposed["kind"] == "dsse":
        content = spec["proposedContent"]
        envelope = json.loads(content["envelope"])
        spec = {
            "envelopeHash": _hash(content["envelope"].encode()),
            "payloadHash": _hash(base64.b64decode(envelope["payload"])),
            "signatures": [{"signature": envelope["signatures"][0]["sig"], "verifier": content["verifiers"][0]}],
        }
    body = {"apiVersion": proposed["apiVersion"], "kind": proposed["kind"], "spec": spec}
    raw = json.dumps(body, sort_keys=True, separators=(",", ":")).encode()
    entry = fulcio.entry(proposed["kind"], raw)
    proof = entry["inclusionProof"]
    return hashlib.sha256(b"\0" + raw).hexdigest(), {
        "body": entry["canonicalizedBody"],
        "integratedTime": int(entry["integratedTime"]),
        "logID": base64.b64decode(entry["logId"]["keyId"]).hex(),
        "logIndex": int(entry["logIndex"]),
        "verification": {
            "signedEntryTimestamp": entry["inclusionPromise"]["signedEntryTimestamp"],
            "inclusionProof": {
                "checkpoint": proof["checkpoint"]["envelope"],
                "hashes": [base64.b64decode(each).hex() for each in proof["hashes"]],
                "logIndex": int(proof["logIndex"]),
                "rootHash": base64.b64decode(proof["rootHash"]).hex(),
                "treeSize": int(proof["treeSize"]),
            },
        },
    }


def _hash(content: bytes) -> dict[str, str]:
    return {"algorithm": "sha256", "value": hashlib.sha256(content).hexdigest()}


def _segment(value: dict[str, Any]) -> str:
    return _text(json.dumps(value).encode())


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")
