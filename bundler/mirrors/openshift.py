"""OpenShift's mirror sets: one for digests and one for tags, which the cluster turns into registries.conf on each node.

kind: ImageDigestMirrorSet
spec:
  imageDigestMirrors:
  - {source: docker.io, mirrors: [far:5000/hub]}
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bundler.mirrors.mapping import Rule, joined
from bundler.mirrors.moves import Moves
from bundler.mirrors.site import Output, Site

API_VERSION = "config.openshift.io/v1"
_CA = "bundler-registry-ca"


def render(moves: Moves, site: Site) -> Output:
    """The sets, to be applied with ``oc apply -f``; notes on what belongs into the cluster's one image configuration."""
    tagged = [rule for rule in moves.rules if rule.tagged]
    files = {"openshift/idms.yaml": _set("ImageDigestMirrorSet", "imageDigestMirrors", moves.rules, moves)}
    if tagged:
        files["openshift/itms.yaml"] = _set("ImageTagMirrorSet", "imageTagMirrors", tagged, moves)
    notes = []
    patch = "oc patch image.config.openshift.io/cluster --type merge -p "
    if site.ca:
        files["openshift/ca.yaml"] = _authority(moves.far, site.ca)
        notes.append(f'OpenShift: then {patch}\'{{"spec":{{"additionalTrustedCA":{{"name":"{_CA}"}}}}}}\'')
    if site.insecure:
        sources = f'{{"spec":{{"registrySources":{{"insecureRegistries":["{moves.far}"]}}}}}}'
        notes.append(f"OpenShift: insecure registries are said once for the cluster: {patch}'{sources}'")
    return Output(files, tuple(notes))


def _set(kind: str, key: str, rules: Sequence[Rule], moves: Moves) -> str:
    mirrors = [
        {"source": rule.prefix, "mirrors": [joined(moves.far, place) for place in rule.places]} for rule in rules
    ]
    name = f"bundler-{moves.name}".replace("_", "-")
    return _yaml({"apiVersion": API_VERSION, "kind": kind, "metadata": {"name": name}, "spec": {key: mirrors}})


def _authority(far: str, ca: str) -> str:
    # The key is the registry's host, with two dots for the colon that a key can't hold.
    data = {far.replace(":", ".."): ca}
    metadata = {"name": _CA, "namespace": "openshift-config"}
    return _yaml({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data})


def _yaml(document: dict[str, Any]) -> str:
    import yaml

    text: str = yaml.safe_dump(document, sort_keys=False)
    return text
