"""containers' ``policy.json``: which images may be copied, and what must have signed them.

    read_policy(bytes) ──▶ Policy ── requirements for a Place ──▶ judge(policy, Candidate, Keyring)
    docker://registry.example/team/app:1     transports.docker, from the most specific scope:
                                             registry.example/team/app:1, …/team/app, …/team, registry.example, *.example
                                             then "", then default

Pure: key files are read, GPG is run and the clock is looked at by the :class:`Keyring` of whoever calls :func:`judge`.
Semantics are those of containers-policy.json(5) and containers-registries.d(5), of which no leniency is taken over:

    an authority's keys may be of RSA from 2048 bits, or of ECDSA on P-256, P-384 and P-521
    a certificate of Fulcio's has one subject
    at most four certificates stand between a root and a signer's
"""

from __future__ import annotations

from bundler.policy.judging import Candidate, judge
from bundler.policy.material import Keyring
from bundler.policy.places import Place, anywhere, docker_place, named_place, path_place
from bundler.policy.policy_json import Policy, read_policy
from bundler.policy.registries_d import RegistriesD, read_registries_d

__all__ = [
    "Candidate",
    "Keyring",
    "Place",
    "Policy",
    "RegistriesD",
    "anywhere",
    "docker_place",
    "judge",
    "named_place",
    "path_place",
    "read_policy",
    "read_registries_d",
]
