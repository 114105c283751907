"""The far side's policy, written by the push whose images it lets in.

DIR/policy.json                       for /etc/containers/ of every node; what an earlier one says of other places is kept
DIR/registries.d/registry.site-5000.yaml
DIR/keys/                             the public keys once more, for people and for `cosign verify --key`
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from bundler import gpg
from bundler.errors import quoted
from bundler.journey.cargo import Cargo
from bundler.journey.files import read_file, write_over
from bundler.mirrors.mapping import Moved, joined, rules_for
from bundler.oci.reference import parse_reference, split_transport
from bundler.policy.policy_json import CAP
from bundler.policy.writing import Default, Keys, write_policy, write_registries_d
from bundler.store.directory import disk
from bundler.trust.keys import PublicKey


@dataclass(frozen=True, slots=True)
class PolicyFiles:
    """Files to be written, by their path below ``folder``."""

    folder: Path
    files: Mapping[str, bytes] = field(repr=False)

    def check_writable(self) -> None:
        """Make the directories."""
        for name in self.files:
            parent = (self.folder / name).parent
            with disk(f"create {quoted(str(parent))}"):
                parent.mkdir(parents=True, exist_ok=True)

    def write(self) -> None:
        """Write them, each whole or not at all; the policy last, when what it speaks of is there."""
        for name, content in self.files.items():
            write_over(self.folder / name, content)


def policy_files(
    folder: Path,
    registry: str,
    *,
    gpg_key: str,
    public: PublicKey | None,
    lookaside: str,
    mirrored: Mapping[str, str],
    default: Default | None,
) -> PolicyFiles:
    """The policy by which images of ``registry`` must be signed by all of the keys given.

    ``gpg_key`` is a fingerprint, or empty, and ``lookaside`` the URL of its signatures; for ``mirrored`` see
    :func:`bundler.policy.writing.write_policy`. Raises :class:`ConfigError` if the
    key can't be exported, or if ``folder`` holds a policy that can't be read.
    """
    simple = gpg.export_key(gpg_key) if gpg_key else b""
    pem = b"" if public is None else public.pem
    path = folder / "policy.json"
    existing = read_file(path, what="policy", cap=CAP) if os.path.lexists(path) else None
    where = write_registries_d(registry, lookaside=lookaside, attachments=bool(pem))
    files = {f"registries.d/{registry.replace(':', '-')}.yaml": where}
    if simple:
        files[f"keys/{gpg_key}.gpg"] = simple
    if public is not None:
        files[f"keys/{public.short_id}.pub"] = pem
    files["policy.json"] = write_policy(
        registry, Keys(simple, pem), mirrored=mirrored, default=default, existing=existing
    )
    return PolicyFiles(folder, files)


def mirrored_names(cargo: Cargo, registry: str) -> dict[str, str]:
    """How the old names of images begin, and what those at ``registry`` begin with, as `mirror-config` leads nodes there."""
    moved = []
    for load in cargo.shipments:
        if not load.attached and split_transport(load.source)[0] == "docker":
            old = parse_reference(split_transport(load.source)[1], default_tag="")
            if old.registry != registry:  # there, a name has one meaning
                moved.append(Moved(old.registry, old.repository, old.tag, load.repository, load.root.digest))
    return {rule.prefix: joined(registry, rule.places[0]) for rule in rules_for(moved)}
