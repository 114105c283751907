"""What a user does without bundler: skopeo, tar, zstd, coreutils and openssl, each step as it is usually done."""

from __future__ import annotations

from pathlib import Path

from tests.benchmarks.ground import Ground
from tests.benchmarks.measure import Cost, shell
from tests.peers import DockerRegistry

SKOPEO = "skopeo copy -q --insecure-policy"


def _each(ground: Ground, line: str, registry: DockerRegistry) -> str:
    return "\n".join(line.format(name=name, where=f"docker://{ground.image(registry, name)}") for name in ground.names)


def pull(ground: Ground, work: Path) -> Cost:
    """Every image into one layout; a second time finds them there."""
    script = _each(ground, SKOPEO + " --src-tls-verify=false {where} oci:layout:{name}", ground.near)
    return shell(script, cwd=work, env=ground.env)


def pack(ground: Ground, work: Path) -> Cost:
    """One archive, its checksum, its signature."""
    return shell(
        "tar -C layout -cf - . | zstd -q -1 -T0 -f -o b.tar.zst\n"
        "sha256sum b.tar.zst >SHA256SUMS\n"
        f"openssl dgst -sha256 -sign {ground.work}/peer.pem -out SHA256SUMS.sig SHA256SUMS",
        cwd=work,
        env=ground.env,
    )


def verify(ground: Ground, work: Path) -> Cost:
    """Signature and checksum."""
    return shell(
        f"openssl dgst -sha256 -verify {ground.work}/peer.pub -signature SHA256SUMS.sig SHA256SUMS\n"
        "sha256sum --quiet -c SHA256SUMS",
        cwd=work,
        env=ground.env,
    )


def unpack(ground: Ground, work: Path) -> Cost:
    """The layout again."""
    return shell(
        "rm -rf far-layout; mkdir far-layout; zstd -dc b.tar.zst | tar -C far-layout -xf -", cwd=work, env=ground.env
    )


def push(ground: Ground, work: Path, far: DockerRegistry) -> Cost:
    """Every image from the layout."""
    script = _each(ground, SKOPEO + " --dest-tls-verify=false oci:far-layout:{name} {where}", far)
    return shell(script, cwd=work, env=ground.env)
