"""VERIFY.txt: how to check and unpack a bundle with coreutils, openssl, tar and zstd alone.

The commands in it are meant to be copied. They depend on what the bundle holds and not on who signs it, so the text is
the same whoever builds, and SHA256SUMS can list it: signatures come later, and it says how to see which are there. Lines
that begin with four spaces are commands.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from bundler.bundle.inventory import Inventory
from bundler.bundle.statement import CarriedImage, volume_name
from bundler.bundle.volume import member_name, ref_names
from bundler.errors import quoted
from bundler.oci.digest import Digest, algorithm_of, hex_of
from bundler.oci.mediatype import DOCKER_INDEX, DOCKER_MANIFEST


def verify_text(inventory: Inventory, images: Sequence[CarriedImage], manifests: Sequence[Digest] = ()) -> bytes:
    """The text for a bundle, ASCII but for the names of images. ``manifests`` are all manifests and indexes in it."""
    count = len(inventory.sizes)
    cut = [(digest, len(rows)) for digest, rows in inventory.contents() if rows[0].part is not None]
    parts = [_CHECK.format(volumes=f"{count} volume" if count == 1 else f"{count} volumes"), _SIGNATURE, _OTHERS]
    parts.append(_UNPACK + "".join(f"    tar --zstd -xf {volume_name(n)} -C layout\n" for n in range(1, count + 1)))
    if cut:
        parts.append(_JOIN + "".join(_join(digest, number) for digest, number in cut))
    named = ref_names(images)
    docker = [image for _, image in named if _is_docker(image)]
    if len(docker) < len(named):
        parts.append(_USE + "".join(_inspect(name) for name, image in named if not _is_docker(image)))
    if docker:
        parts.append(_DOCKER + _as_directory(docker, manifests))
    return "\n".join(parts).encode()


def _is_docker(image: CarriedImage) -> bool:
    return image.root.media_type in (DOCKER_MANIFEST, DOCKER_INDEX)


def _inspect(name: str) -> str:
    return f"    skopeo inspect {shlex.quote(f'oci:layout:{name}')}\n"


def _as_directory(images: Sequence[CarriedImage], manifests: Sequence[Digest]) -> str:
    """What makes of the layout a directory for skopeo's ``dir:``, which is one image at a time."""
    lines = ["mkdir images", "cp -l layout/blobs/sha256/* images/"]
    lines += [
        f"cp -l images/{hex_of(digest)} images/{hex_of(digest)}.manifest.json"
        for digest in manifests
        if algorithm_of(digest) == "sha256"
    ]
    for image in images:
        lines.append(f"cp images/{hex_of(image.root.digest)} images/manifest.json")
        lines.append(f"skopeo inspect dir:images   # {quoted(image.name)}")
    return "".join(f"    {line}\n" for line in lines)


def _join(digest: Digest, count: int) -> str:
    name = f"layout/{member_name(digest)}"
    pieces = " ".join(f"layout/{member_name(digest, part)}" for part in range(1, count + 1))
    check = f"{algorithm_of(digest)}sum -c"
    return f"    cat {pieces} > {name}\n    rm {pieces}\n    echo '{hex_of(digest)}  {name}' | {check}\n"


_CHECK = """\
HOW TO CHECK AND UNPACK THIS BUNDLE WITHOUT BUNDLER

Needed: sha256sum, openssl, GNU tar and zstd. Run all commands in this directory. It holds {volumes}.

1. Nothing was damaged. Every line must end with "OK":

    sha256sum -c SHA256SUMS
"""

_SIGNATURE = """\
2. The list of checksums is from someone you trust. There is one signature per signer, SHA256SUMS.<key>.sig, where <key> is
   the first 16 characters of the SHA-256 of the signer's public key in DER form. With a public key that you got on another
   way than this bundle, say in KEY.pub, print its <key>:

    KEY=$(openssl pkey -pubin -in KEY.pub -outform DER | sha256sum | cut -c1-16); echo $KEY

   and check the signature, which must say "Verified OK" (a key of type ECDSA or RSA):

    openssl dgst -sha256 -verify KEY.pub -signature SHA256SUMS.$KEY.sig SHA256SUMS

   For a key of type Ed25519 it is this command, which must say "Signature Verified Successfully":

    openssl pkeyutl -verify -pubin -inkey KEY.pub -rawin -in SHA256SUMS -sigfile SHA256SUMS.$KEY.sig
"""

_OTHERS = r"""   The same signers may have left signatures for other tools, each over the same list. See which are here:

    ls SHA256SUMS.*

   SHA256SUMS.<key>.sigstore.json is for cosign, which must say "Verified OK":

    cosign verify-blob --key KEY.pub --bundle SHA256SUMS.$KEY.sigstore.json --insecure-ignore-tlog SHA256SUMS

   SHA256SUMS.<key>.sshsig is for ssh-keygen. It wants the key as a line of a file, behind a name. The line is made of KEY.pub
   by the first of these for a key of type ECDSA, and by the other two for Ed25519:

    echo "SIGNER $(ssh-keygen -i -m PKCS8 -f KEY.pub)" > ALLOWED

    POINT=$({ printf '\0\0\0\13ssh-ed25519\0\0\0\40'; openssl pkey -pubin -in KEY.pub -outform DER | tail -c 32; } | base64 -w 0)
    echo "SIGNER ssh-ed25519 $POINT" > ALLOWED

   and then this must say: Good "file" signature for SIGNER

    ssh-keygen -Y verify -f ALLOWED -I SIGNER -n file -s SHA256SUMS.$KEY.sshsig < SHA256SUMS

   SHA256SUMS.<key>.minisig is for minisign, with keys of type Ed25519. It must say "Signature and comment signature verified":

    NUMBER=$(openssl pkey -pubin -in KEY.pub -outform DER | openssl dgst -sha256 -binary | head -c 8 | base64)
    POINT=$(openssl pkey -pubin -in KEY.pub -outform DER | tail -c 32 | base64)
    PUBLIC=$({ printf Ed; echo $NUMBER | base64 -d; echo $POINT | base64 -d; } | base64)
    minisign -V -P "$PUBLIC" -x SHA256SUMS.$KEY.minisig -m SHA256SUMS

   SHA256SUMS.<end of the fingerprint>.asc is for GnuPG. With the signer's public key as `gpg --export` writes it, got on another
   way than this bundle, say in SIGNER.gpg, this must say "Good signature":

    for SIGNATURE in SHA256SUMS.*.asc; do gpgv --keyring ./SIGNER.gpg "$SIGNATURE" SHA256SUMS; done
"""

_UNPACK = """\
3. Unpack every volume into one directory, which then is an OCI image layout:

    mkdir layout
"""

_JOIN = """\
4. Some contents are larger than a volume and were cut. Join their parts:

"""

_USE = """\
5. Look at the images, or copy them to a registry with `skopeo copy --all`:

"""

_DOCKER = """\
6. These images are in Docker's own format, which skopeo does not read out of an OCI image layout. Make a directory for its
   transport `dir:`, in which manifest.json is the image to look at or to copy:

"""
