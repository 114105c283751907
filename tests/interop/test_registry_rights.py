"""Other people's clients against a registry where not everybody may do everything.

ann may do all; bob what he likes in ``bobs/`` and, like anybody, pull from ``public/``. Nothing of ``secret/`` may reach
bob, not even the fact that a layer is there already.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from tests.clients import CLIENTS, FORBIDDEN, NOT_THERE, REFUSED, Place, below, content_of, logged_in, refusal
from tests.images import image, layer
from tests.peers import demand, needs, run
from tests.relay import layers, uploaded, watched
from tests.serving import Site, serving

pytestmark = [pytest.mark.slow, needs("htpasswd", "skopeo")]

SECRET = image(layer("a secret", 3000), layer("another", 3000))
PUBLIC = image(layer("no secret", 3000))
PASSWORDS = {"ann": "ann's word", "bob": "bob's word"}
RIGHTS = """
apiVersion: bundler/v1
kind: RegistryRights
rights:
  - {users: [ann], repositories: ["**"], may: [pull, push, delete]}
  - {users: [bob], repositories: ["bobs/**"], may: [pull, push]}
  - {anonymous: true, repositories: ["public/**"], may: [pull]}
"""


@dataclass(frozen=True, slots=True)
class Visits:
    """The registry as each user sees it, and as nobody does (``""``)."""

    site: Site
    work: Path

    def by(self, user: str) -> Place:
        home = self.work / f"home of {user or 'nobody'}"
        creds = f"{user}:{PASSWORDS[user]}" if user else ""
        site = Site(self.site.scheme, self.site.host, self.site.log, creds=creds)
        return Place(site, home if home.exists() else logged_in(home, site))


@pytest.fixture(scope="module")
def visits(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Visits]:
    demand("htpasswd", "skopeo")
    work = tmp_path_factory.mktemp("rights")
    (work / "users").touch()
    for user, password in PASSWORDS.items():
        run("htpasswd", "-Bi", "-C", "5", work / "users", user, stdin=password)
    (work / "rights.yaml").write_text(RIGHTS)
    options = ("--allow-delete", "--htpasswd", work / "users", "--rights", work / "rights.yaml")
    with serving(work / "store", *options, work=work) as site:
        made = Visits(site, work)
        ann = CLIENTS["skopeo"](made.by("ann"))
        ann.push(SECRET, "secret/app:1", work / "secret")
        ann.push(PUBLIC, "public/app:1", work / "public")
        yield made


@pytest.mark.parametrize("program", [pytest.param(name, id=name, marks=needs(name)) for name in CLIENTS])
class TestRights:
    """One client each."""

    @pytest.mark.parametrize("user", ["bob", ""])
    def test_no_pull_of_what_is_not_theirs(self, program: str, visits: Visits, user: str, tmp_path: Path) -> None:
        client = CLIENTS[program](visits.by(user))
        for act in (
            lambda: client.digest("secret/app:1"),
            lambda: client.pull(f"secret/app@{SECRET.root.digest}", tmp_path / "pulled"),
            lambda: client.tags("secret/app"),
        ):
            refused(act)

    @pytest.mark.parametrize("user", ["bob", ""])
    def test_no_write_either(self, program: str, visits: Visits, user: str, tmp_path: Path) -> None:
        client = CLIENTS[program](visits.by(user))
        refused(lambda: client.push(SECRET, "public/app:1", tmp_path))
        refused(lambda: client.delete("public/app", PUBLIC.root.digest))
        assert client.digest("public/app:1") == PUBLIC.root.digest

    def test_a_copy_of_what_may_be_pulled(self, program: str, visits: Visits, tmp_path: Path) -> None:
        client = CLIENTS[program](visits.by("bob"))
        client.copy("public/app:1", f"bobs/{program}:copied")
        client.pull(f"bobs/{program}:copied", tmp_path / "pulled")
        assert content_of(tmp_path / "pulled").items() >= below(PUBLIC).items()

    def test_no_copy_of_what_may_not(self, program: str, visits: Visits) -> None:
        client = CLIENTS[program](visits.by("bob"))
        refused(lambda: client.copy("secret/app:1", f"bobs/{program}:stolen"))

    def test_what_bob_has_too_is_sent_whole(self, program: str, visits: Visits, tmp_path: Path) -> None:
        # else a digest that somebody wrote down would open what it stands for
        held = image(layer(f"only ann has this of {program}", 3000))
        CLIENTS["skopeo"](visits.by("ann")).push(held, f"secret/{program}:1", tmp_path / "ann")
        with watched(visits.by("bob")) as (through, requests):
            home = logged_in(tmp_path / "home", replace(through.site, creds=f"bob:{PASSWORDS['bob']}"))
            CLIENTS[program](Place(through.site, home)).push(held, f"bobs/{program}/own:1", tmp_path)
        assert set(layers(held)) <= set(uploaded(requests))


@pytest.mark.parametrize(
    "program", [pytest.param(name, id=name, marks=needs(name)) for name in ("crane", "regctl", "oras")]
)
@pytest.mark.parametrize(("user", "hidden"), [("ann", set()), ("bob", {"secret/app"})])
def test_lists_only_what_may_be_pulled(program: str, visits: Visits, user: str, hidden: set[str]) -> None:
    found = set(CLIENTS[program](visits.by(user)).repositories())
    assert found & {"secret/app", "public/app"} == {"secret/app", "public/app"} - hidden


def refused(act: Any) -> None:
    said = refusal(act)
    assert any(pattern.search(said) for pattern in (REFUSED, FORBIDDEN, NOT_THERE)), said
