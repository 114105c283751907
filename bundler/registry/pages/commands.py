"""How to pull an image from here, for the tools that people have: commands to be copied as they stand.

Every part was checked before (host, repository, tag, digest by their grammars), so no part needs quoting in a shell.

    pull_commands(Seen("registry.site:5000", tls=False), "team/app", ("1.0", "sha256:…"), artifact=False)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bundler.registry.pages.address import Seen


@dataclass(frozen=True, slots=True)
class Tool:
    """One tool with its commands, one for each reference, and what must be said or configured before."""

    name: str
    commands: tuple[str, ...]
    note: str = ""
    file: str = ""
    lines: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Commands:
    """``usual`` are shown at once, the others on demand."""

    usual: tuple[Tool, ...]
    others: tuple[Tool, ...] = ()


def pull_commands(seen: Seen, repository: str, references: Sequence[str], *, artifact: bool) -> Commands:
    """For each of ``references`` (tags or digests). An ``artifact`` is nothing that container engines would take."""
    images = tuple(seen.reference(repository, reference) for reference in references)
    folder = f"{repository.rpartition('/')[2]}-dir"
    skopeo = _tool("skopeo", images, "skopeo copy --all{} docker://{} dir:" + folder, seen, "--src-tls-verify=false")
    if artifact:
        return Commands((_tool("oras", images, "oras pull{} {}", seen, "--plain-http"), skopeo))
    podman = _tool("podman", images, "podman pull{} {}", seen, "--tls-verify=false")
    return Commands(
        (podman, _docker(seen, images)),
        (
            skopeo,
            _tool("nerdctl", images, "nerdctl pull{} {}", seen, "--insecure-registry"),
            _tool("containerd (ctr)", images, "ctr images pull{} {}", seen, "--plain-http"),
            _crictl(seen, images),
        ),
    )


def _tool(name: str, images: Sequence[str], command: str, seen: Seen, plain: str) -> Tool:
    """``plain`` is the option for a registry without TLS."""
    option = "" if seen.tls else f" {plain}"
    return Tool(name, tuple(command.format(option, image) for image in images))


def _docker(seen: Seen, images: Sequence[str]) -> Tool:
    commands = tuple(f"docker pull {image}" for image in images)
    if seen.tls or seen.is_loopback:
        return Tool("docker", commands)
    return Tool(
        "docker",
        commands,
        "This registry speaks plain HTTP, which Docker takes only if its daemon is told so. Add this, then restart it:",
        "/etc/docker/daemon.json",
        (f'{{"insecure-registries": ["{seen.host}"]}}',),
    )


def _crictl(seen: Seen, images: Sequence[str]) -> Tool:
    commands = tuple(f"crictl pull {image}" for image in images)
    scheme = "https" if seen.tls else "http"
    return Tool(
        "Kubernetes node (crictl)",
        commands,
        "containerd reads this file if config_path is set to /etc/containerd/certs.d. `bundler mirror-config` writes such "
        "files so that images are found here under their old names.",
        f"/etc/containerd/certs.d/{seen.host}/hosts.toml",
        (
            f'server = "{scheme}://{seen.host}"',
            "",
            f'[host."{scheme}://{seen.host}"]',
            '  capabilities = ["pull", "resolve"]',
        ),
    )
