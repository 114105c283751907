"""How to reach one registry, as far as the operator's document says; the client fills in the rest.

Paths are as written: whoever opens them takes them relative to the document's directory.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class RegistrySettings:
    """What a document said about one registry; ``None`` and empty text mean that it said nothing.

    ``ca`` is a file of PEM certificates, ``cert_dir`` a directory as skopeo's ``--src-cert-dir`` takes it,
    ``token_hosts`` the hosts of token servers that may see its credentials. ``username``,
    ``password`` and ``identity_token`` come from skopeo's sync YAML only and are kept out of ``repr``.
    """

    tls_verify: bool | None = None
    ca: str | None = None
    cert_dir: str | None = None
    token_hosts: tuple[str, ...] = ()
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    identity_token: str | None = field(default=None, repr=False)
