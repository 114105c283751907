"""Signing at export: each image of a push is signed under its name at the far registry, for the tools of the far side.

    --sign-by FINGERPRINT     GPG simple signatures ──▶ LOOKASIDE/acme/nginx@sha256=HEX/signature-1
    --sign-cosign-key KEY     cosign's              ──▶ registry.site:5000/acme/nginx:sha256-HEX.sig
    --sign-policy DIR         policy.json, registries.d/ and public keys, by which skopeo, podman and CRI-O demand them

1. Keys are opened before the bundle is.
2. When the bundle passed the gate, everything is signed in memory: the manifest that a name stands for, and of an index
   each image that is carried, as clients look at the one that they choose. Signatures of others stay: those that the
   bundle carries, that the registry has, that lie in the lookaside store.
3. When all contents have arrived, and before a tag moves, the files are written: signatures, then the policy. Not if
   somebody else has signed one of the images meanwhile, whose signature would get lost.
4. ``.sig`` tags are written before those of the images.

So a push that fails leaves at most signatures of what is to come, and the same command goes on from there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from bundler.content import Note
from bundler.errors import ConfigError, quoted
from bundler.journey.cargo import Cargo
from bundler.journey.export_names import named_manifests
from bundler.oci.digest import Digest
from bundler.oci.reference import parse_reference, split_transport

if TYPE_CHECKING:
    from bundler.journey.ends import Ends
    from bundler.policy.writing import Default
    from bundler.transports.docker.lookaside import Lookaside
    from bundler.trust.keyfile import Password
    from bundler.trust.signing import PrivateKey


_SUBKEY = "many skopeo, podman and CRI-O refuse signatures but of primary keys"


@dataclass(frozen=True, slots=True)
class ImageSigning:
    """What a command line says of signing at export.

    ``gpg_key`` is a fingerprint. ``lookaside`` is the directory for its signatures, and ``lookaside_url`` where the far
    side's nodes read it; without the former, registries.d decides as for a copy. ``default`` is what the policy says of
    all else, None for what is there or else to reject. With ``mirrored``, it speaks of the images' old names as well.
    """

    gpg_key: str | None = None
    passphrase_file: Path | None = None
    lookaside: Path | None = None
    lookaside_url: str | None = None
    cosign_key: Path | None = None
    policy: Path | None = None
    default: Default | None = None
    mirrored: bool = False

    @property
    def asked(self) -> bool:
        """Whether anything is to be signed."""
        return self.gpg_key is not None or self.cosign_key is not None

    def check(self, to: str) -> None:
        """Raise :class:`ConfigError` for what does not go together, or with the destination ``to``."""
        for option, needed, given in (
            ("--sign-passphrase-file", "--sign-by", self.passphrase_file is not None and self.gpg_key is None),
            ("--lookaside", "--sign-by", self.lookaside is not None and self.gpg_key is None),
            ("--lookaside-url", "--lookaside", self.lookaside_url is not None and self.lookaside is None),
            ("--sign-policy", "--sign-by or --sign-cosign-key", self.policy is not None and not self.asked),
            ("--sign-policy-default", "--sign-policy", self.default is not None and self.policy is None),
            ("--sign-policy-mirrored", "--sign-policy", self.mirrored and self.policy is None),
            (
                "--sign-policy with --sign-by",
                "--lookaside",
                self.policy is not None and self.gpg_key is not None and self.lookaside is None,
            ),
        ):
            if given:
                raise ConfigError(f"{option} needs {needed}")
        for option, folder in (("--lookaside", self.lookaside), ("--sign-policy", self.policy)):
            if folder is not None and folder.exists() and not folder.is_dir():
                raise ConfigError(f"{option} {quoted(str(folder))}: is no directory", hint="name another place")
        if self.asked:
            _check_registry(to)
        if self.lookaside_url is not None and not self.lookaside_url.startswith(("file:///", "http://", "https://")):
            raise ConfigError(f"--lookaside-url {quoted(self.lookaside_url)}: is no file://, http:// or https:// URL")


@dataclass(frozen=True, slots=True)
class ImageSigners:
    """Who signs, ready to."""

    signing: ImageSigning
    passphrase: bytes | None = field(default=None, repr=False)
    key: PrivateKey | None = field(default=None, repr=False)


def open_image_signers(signing: ImageSigning, to: str, password: Password) -> ImageSigners | None:
    """Step 1; None if nobody is to sign. Raises what reading keys raises."""
    signing.check(to)
    if not signing.asked:
        return None
    from bundler.journey.image_signatures import passphrase_of
    from bundler.journey.keys import private_keys

    key = None
    if signing.cosign_key is not None:
        from bundler.trust.image_signing import check_key

        (key,) = private_keys((signing.cosign_key,), password)()
        check_key(key.public, what=str(signing.cosign_key))
    return ImageSigners(signing, passphrase_of(signing.passphrase_file), key)


@dataclass(frozen=True, slots=True)
class Export:
    """A cargo with its signatures. ``signers`` are as the receipt names them: ``gpg:FINGERPRINT``, ``cosign:KEY-ID``.

    ``attached`` are the roots of ``.sig`` images by the source of the image that they are about, and ``write`` is step 3,
    which may be done twice.
    """

    cargo: Cargo
    signers: tuple[str, ...] = ()
    attached: Mapping[str, frozenset[Digest]] = field(default_factory=dict)
    write: Callable[[], None] = lambda: None


def signed(
    cargo: Cargo, registry: str, ends: Ends, signers: ImageSigners | None, *, now: datetime, executor: Executor
) -> Export:
    """Step 2: sign everything that is about to be delivered to ``registry``, a HOST[:PORT]. Nothing is delivered yet.

    Raises :class:`ConfigError` for a key that can't be used, and what reading the bundle, the registry and the lookaside
    store raises.
    """
    named = [] if signers is None else named_manifests(cargo, registry)
    if signers is None or not named:
        return Export(cargo)
    signing, key = signers.signing, signers.key
    made: list[str] = []
    writes: list[Callable[[], None]] = []
    attached: Mapping[str, frozenset[Digest]] = {}
    gpg_key = ""
    if signing.gpg_key is not None:
        from bundler.journey.export_simple import SimpleSigner

        simple = SimpleSigner(signing.gpg_key, _store(signing, ends), now, signers.passphrase)
        by, write = simple.sign_all(named, executor)
        gpg_key = by.fingerprint
        if by.subkey != by.fingerprint:
            ends.observer(Note(f"GPG key {gpg_key} signs with its subkey {by.subkey}: {_SUBKEY}"))
        made.append(f"gpg:{gpg_key}")
        writes.append(write)
    if key is not None:
        from bundler.journey.export_cosign import with_signature_images

        signing_images = with_signature_images(cargo, named, key, ends, executor)
        cargo, attached = signing_images.cargo, signing_images.attached
        writes.insert(0, signing_images.check)
        made.append(f"cosign:{key.public.key_id}")
    if signing.policy is not None:
        from bundler.journey.export_policy import mirrored_names, policy_files

        files = policy_files(
            signing.policy,
            registry,
            gpg_key=gpg_key,
            public=None if key is None else key.public,
            lookaside="" if signing.lookaside is None else signing.lookaside_url or _url(signing.lookaside),
            mirrored=mirrored_names(cargo, registry) if signing.mirrored else {},
            default=signing.default,
        )
        files.check_writable()
        writes.append(files.write)

    def write_all() -> None:
        for write in writes:
            write()

    return Export(cargo, tuple(made), attached, write_all)


def _check_registry(to: str) -> None:
    """Raise :class:`ConfigError` unless images there have names that mean the same to whoever pulls them."""
    transport, rest = split_transport(to)
    if transport != "docker":
        raise ConfigError(
            f"--to {quoted(to)}: images are signed under their names at a registry, and this is none",
            hint="`bundler copy --sign-by` signs into a dir:",
        )
    registry = rest.partition("/")[0]
    meant = parse_reference(f"{registry}/x/y", what="--to").registry
    if meant != registry:
        raise ConfigError(
            f"--to {quoted(to)}: other tools read names at {quoted(registry)} as ones at {meant}",
            hint=f"say {meant}, if that is meant, or give the registry with its port or its full name",
        )


def _store(signing: ImageSigning, ends: Ends) -> Lookaside:
    """The lookaside store that the operator named, or those of registries.d."""
    if signing.lookaside is None:
        return ends.rules.lookaside
    from bundler.policy.registries_d import RegistriesD
    from bundler.transports.docker.lookaside import Lookaside

    def no_web(*_: object) -> None:
        raise AssertionError("a directory is not on the web")

    return Lookaside(RegistriesD(), fallback=_url(signing.lookaside), fetch=no_web)


def _url(folder: Path) -> str:
    return folder.absolute().as_uri()
