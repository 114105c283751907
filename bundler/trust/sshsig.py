"""A signature over SHA256SUMS in OpenSSH's form (PROTOCOL.sshsig), in the namespace ``file``.

    ssh-keygen -Y verify -f allowed_signers -I ann -n file -s SHA256SUMS.<key>.sshsig < SHA256SUMS

``allowed_signers`` is the verifier's own and names whom to trust: the signer's name, then the key's line.
"""

from __future__ import annotations

import hashlib

from bundler.trust.pem import write_block
from bundler.trust.signing import Signer
from bundler.trust.ssh_wire import public_blob, signature_blob, string

NAMESPACE = b"file"
_MAGIC = b"SSHSIG"
_HASH = b"sha512"


def sshsig(signer: Signer, message: bytes) -> bytes:
    """The signature's file for ``message``."""
    algorithm, public = public_blob(signer.public.spki)
    scope = string(NAMESPACE) + string(b"") + string(_HASH)
    signed = signer.sign(_MAGIC + scope + string(hashlib.sha512(message).digest()), purpose="sshsig")
    version = (1).to_bytes(4)
    blob = _MAGIC + version + string(public) + scope + string(signature_blob(algorithm, signed))
    return write_block("SSH SIGNATURE", blob)
