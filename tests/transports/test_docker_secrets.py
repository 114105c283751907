"""A registry may repeat in its errors what it was shown; nobody else gets to see it."""

from __future__ import annotations

from base64 import b64encode

import pytest

from bundler.errors import ConfigError, PolicyError
from bundler.journey.access import Access, Surroundings
from bundler.journey.ends import Ends
from bundler.oci.reference import parse_reference
from bundler.transports.docker.credentials import Credentials
from bundler.transports.docker.failures import Side, failure

ANN = Credentials("ann", "S3CRET word")


@pytest.mark.parametrize(
    ("said", "credentials"),
    [
        pytest.param("bad password S3CRET word", ANN, id="password"),
        pytest.param("Authorization: Basic " + b64encode(b"ann:S3CRET word").decode(), ANN, id="header"),
        pytest.param("you sent " + b64encode(b"ann:S3CRET word").decode(), ANN, id="base64"),
        pytest.param("token S3CRET.t0ken is old", Credentials(registry_token="S3CRET.t0ken"), id="registry-token"),
        pytest.param("identity S3CRET-id", Credentials(identity_token="S3CRET-id"), id="identity-token"),
        pytest.param("Bearer S3CRET.of.somebody expired", None, id="a-bearer-token"),
    ],
)
def test_what_a_registry_repeats_is_blanked(said: str, credentials: Credentials | None) -> None:
    body = b'{"errors": [{"code": "DENIED", "message": "%s"}]}' % said.encode()
    error = failure(403, "", body, side=Side.PULL, name="r.example/app", credentials=credentials)
    assert "***" in str(error)
    assert "S3CRET" not in f"{error} {error.hint}"
    assert b64encode(b"ann:S3CRET word").decode() not in str(error)


def conf(tmp_path_text: str, tmp_path: object) -> Surroundings:
    path = tmp_path / "registries.conf"  # type: ignore[operator]
    path.write_text(tmp_path_text)
    return Surroundings(registries_conf=path)


def test_credentials_are_not_shown_to_every_place_of_a_short_name(tmp_path: object) -> None:
    ends = Ends(
        Access(credentials=ANN),
        surroundings=conf('unqualified-search-registries = ["a.example", "b.example"]\n', tmp_path),
    )
    with pytest.raises(ConfigError, match="2 registries"):
        ends.source("app:1")


def test_a_blocked_registry_is_not_written_either(tmp_path: object) -> None:
    ends = Ends(
        Access(), surroundings=conf('[[registry]]\nlocation = "far.example/blocked"\nblocked = true\n', tmp_path)
    )
    with pytest.raises(PolicyError, match="blocked by"):
        ends.repository(parse_reference("far.example/blocked/app"))
    assert ends.repository(parse_reference("far.example/other"))
