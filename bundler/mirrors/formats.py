"""The formats by the names of those who read them.

>>> list(FORMATS)
['podman', 'containerd', 'k3s', 'rke2', 'crio', 'docker', 'openshift']
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from bundler.mirrors import containerd, crio, docker, openshift, rancher, registries_conf
from bundler.mirrors.moves import Moves
from bundler.mirrors.site import Output, Site

FORMATS: Mapping[str, Callable[[Moves, Site], Output]] = {
    "podman": registries_conf.render,
    "containerd": containerd.render,
    "k3s": rancher.k3s,
    "rke2": rancher.rke2,
    "crio": crio.render,
    "docker": docker.render,
    "openshift": openshift.render,
}
