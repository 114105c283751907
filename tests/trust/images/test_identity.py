from __future__ import annotations

import pytest

from bundler.trust.images.identity import Identity

D, E = "sha256:" + "a" * 64, "sha256:" + "b" * 64
TABLE = [
    # rule, signed, image, whether it fits
    (Identity("any"), "", "reg.io/app:1", True),
    (Identity("any"), "reg.io/other", "reg.io/app:1", True),
    (Identity("matchRepository"), "reg.io/app", "reg.io/app:1", True),
    (Identity("matchRepository"), "reg.io/app:2", "reg.io/app:1", True),
    (Identity("matchRepository"), "index.docker.io/library/nginx", "docker.io/library/nginx:1.27", True),
    (Identity("matchRepository"), "nginx", "docker.io/library/nginx:1.27", True),
    (Identity("matchRepository"), "reg.io/apps", "reg.io/app:1", False),
    (Identity("matchRepository"), "reg.io/app/x", "reg.io/app:1", False),
    (Identity("matchRepository"), "evil.io/app", "reg.io/app:1", False),
    (Identity("matchRepository"), "", "reg.io/app:1", False),
    (Identity("matchRepository"), "Reg.io/App", "reg.io/app:1", False),
    (Identity("matchRepository"), "reg.io/app\u202e", "reg.io/app:1", False),
    (Identity("matchRepository"), "reg.io/app", "oci:./layout:reg.io/app:1", False),
    (Identity("matchExact"), "reg.io/app:1", "reg.io/app:1", True),
    (Identity("matchExact"), "reg.io/app", "reg.io/app:latest", False),
    (Identity("matchExact"), "reg.io/app:2", "reg.io/app:1", False),
    (Identity("matchExact"), f"reg.io/app@{D}", f"reg.io/app@{D}", True),
    (Identity("matchExact"), f"reg.io/app@{E}", f"reg.io/app@{D}", False),
    (Identity("matchExact"), "reg.io/app:1", f"reg.io/app@{D}", False),
    (Identity("matchRepoDigestOrExact"), "reg.io/app:1", f"reg.io/app@{D}", True),
    (Identity("matchRepoDigestOrExact"), "reg.io/app", f"reg.io/app@{D}", False),
    (Identity("matchRepoDigestOrExact"), "reg.io/app:1", "reg.io/app:1", True),
    (Identity("matchRepoDigestOrExact"), "reg.io/app:1", f"reg.io/app:1@{D}", True),
    (Identity("matchRepoDigestOrExact"), f"reg.io/app:1@{E}", f"reg.io/app:1@{D}", False),
    (Identity("matchRepoDigestOrExact"), "reg.io/app:2", "reg.io/app:1", False),
    (Identity("exactReference", "reg.io/app:1"), "reg.io/app:1", "mirror.io/copy:9", True),
    (Identity("exactReference", "reg.io/app:1"), "reg.io/app:2", "reg.io/app:2", False),
    (Identity("exactRepository", "reg.io/app"), "reg.io/app:7", "mirror.io/copy:9", True),
    (Identity("exactRepository", "reg.io/app"), "mirror.io/copy:9", "mirror.io/copy:9", False),
    (Identity("remapIdentity", "reg.io", "mirror.io/hub"), "reg.io/app:1", "mirror.io/hub/app:1", True),
    (Identity("remapIdentity", "reg.io", "mirror.io/hub"), "reg.io/app:1", "mirror.io/hubby/app:1", False),
    (Identity("remapIdentity", "reg.io", "mirror.io/hub"), "else.io/app:1", "else.io/app:1", True),
    (Identity("remapIdentity", "reg.io", "mirror.io/hub"), "reg.io/app:2", "mirror.io/hub/app:1", False),
]


@pytest.mark.parametrize(("rule", "signed", "image", "fits"), TABLE)
def test_which_name_is_taken(rule: Identity, signed: str, image: str, fits: bool) -> None:
    problem = rule.problem(signed, image)
    assert (problem == "") is fits
    assert problem.isprintable()


def test_a_nameless_signature_says_how_to_take_it() -> None:
    assert "identity: any" in Identity("matchRepository").problem("", "reg.io/app:1")
