"""Other people's registry clients, all with the same methods: a row of a table each.

    client = Crane(Place(site, logged_in(tmp_path / "home", site)))
    client.push(image, "team/app:1", tmp_path)
    assert client.digest("team/app:1") == image.root.digest

A method that a client lacks is one that it can't do. A Place holds what all of them need to know of a registry; the
programs written in Go trust its CA by ``SSL_CERT_FILE`` and find the login in Docker's ``config.json``.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from bundler.oci.digest import digest_of, hex_of
from tests.images import Image, write_dir, write_layout
from tests.peers import run
from tests.serving import USER, Site

NOT_THERE = re.compile(r"manifest.unknown|not.?found|\b404\b", re.IGNORECASE)
FORBIDDEN = re.compile(r"\b40[35]\b|unsupported|not allowed|denied|forbidden", re.IGNORECASE)
REFUSED = re.compile(
    r"\b401\b|unauthorized|authentication required|credential|invalid username/password", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class Place:
    """A registry as a client sees it; ``home`` holds the login, if there is one."""

    site: Site
    home: Path

    @property
    def host(self) -> str:
        return self.site.host

    @property
    def plain(self) -> bool:
        return self.site.scheme == "http"

    @property
    def env(self) -> dict[str, str]:
        return {"HOME": str(self.home), **self.site.env}

    def at(self, name: str) -> str:
        """``name``, which is ``repository:tag`` or ``repository@digest``, there."""
        return f"{self.host}/{name}"


@dataclass(frozen=True, slots=True)
class Client:
    """A program and a place; the methods of its kinds are the columns of the table."""

    place: Place

    def _run(self, *args: str | Path, stdin: str | None = None, cwd: Path | None = None) -> str:
        return run(*args, env=self.place.env, stdin=stdin, cwd=cwd)


class Skopeo(Client):
    def _flags(self, prefix: str = "") -> list[str]:
        if self.place.plain:
            return [f"--{prefix}tls-verify=false"]
        assert self.place.site.authority is not None
        return [f"--{prefix}cert-dir={self.place.site.authority.cert_dir}"]

    def _copy(self, *args: str | Path) -> None:
        self._run("skopeo", "--insecure-policy", "copy", "-q", "--all", "--preserve-digests", *args)

    def login(self, password: str) -> None:
        authfile = self.place.home / ".docker" / "config.json"
        flags = [*self._flags(), f"--authfile={authfile}"]
        self._run("skopeo", "login", *flags, "-u", USER, "--password-stdin", self.place.host, stdin=password)

    def push(self, held: Image, name: str, work: Path) -> None:
        folder = write_dir(work / "skopeo-dir", held)
        self._copy(*self._flags("dest-"), f"dir:{folder}", f"docker://{self.place.at(name)}")

    def pull(self, name: str, folder: Path) -> None:
        self._copy(*self._flags("src-"), f"docker://{self.place.at(name)}", f"dir:{folder}")

    def copy(self, name: str, to: str) -> None:
        both = [*self._flags("src-"), *self._flags("dest-")]
        self._copy(*both, f"docker://{self.place.at(name)}", f"docker://{self.place.at(to)}")

    def digest(self, name: str) -> str:
        raw = self._run("skopeo", "inspect", "--raw", *self._flags(), f"docker://{self.place.at(name)}")
        return digest_of(raw.encode())

    def tags(self, repository: str) -> list[str]:
        found = json.loads(self._run("skopeo", "list-tags", *self._flags(), f"docker://{self.place.at(repository)}"))
        return list(found["Tags"])

    def config(self, name: str) -> Any:
        return json.loads(self._run("skopeo", "inspect", "--config", *self._flags(), f"docker://{self.place.at(name)}"))

    def delete(self, repository: str, digest: str) -> None:
        self._run("skopeo", "delete", *self._flags(), f"docker://{self.place.at(repository)}@{digest}")


class Crane(Client):
    def _crane(self, *args: str | Path) -> str:
        return self._run("crane", *args)

    def login(self, password: str) -> None:
        self._run("crane", "auth", "login", "-u", USER, "--password-stdin", self.place.host, stdin=password)

    def push(self, held: Image, name: str, work: Path) -> None:
        self._crane("push", write_layout(work / "crane-layout", {"x": held}), self.place.at(name))

    def pull(self, name: str, folder: Path) -> None:
        self._crane("pull", "--format=oci", self.place.at(name), folder)

    def copy(self, name: str, to: str) -> None:
        self._crane("copy", self.place.at(name), self.place.at(to))

    def digest(self, name: str) -> str:
        return self._crane("digest", self.place.at(name)).strip()

    def tags(self, repository: str) -> list[str]:
        return self._crane("ls", self.place.at(repository)).split()

    def repositories(self) -> list[str]:
        return self._crane("catalog", self.place.host).split()

    def config(self, name: str) -> Any:
        return json.loads(self._crane("config", self.place.at(name)))

    def delete(self, repository: str, digest: str) -> None:
        self._crane("delete", f"{self.place.at(repository)}@{digest}")

    def delete_tag(self, repository: str, tag: str) -> None:
        self._crane("delete", f"{self.place.at(repository)}:{tag}")


class Regctl(Client):
    def _regctl(self, *args: str | Path, stdin: str | None = None) -> str:
        tls = [f"--host=reg={self.place.host},tls=disabled"] if self.place.plain else []
        return self._run("regctl", *tls, *args, stdin=stdin)

    def login(self, password: str) -> None:
        self._regctl("registry", "login", "-u", USER, "--pass-stdin", self.place.host, stdin=password)

    def push(self, held: Image, name: str, work: Path) -> None:
        folder = write_layout(work / "regctl-layout", {"x": held})
        self._regctl("image", "copy", f"ocidir://{folder}:x", self.place.at(name))

    def pull(self, name: str, folder: Path) -> None:
        self._regctl("image", "copy", self.place.at(name), f"ocidir://{folder}:x")

    def copy(self, name: str, to: str) -> None:
        self._regctl("image", "copy", self.place.at(name), self.place.at(to))

    def copy_with_referrers(self, name: str, to: str) -> None:
        self._regctl("image", "copy", "--referrers", self.place.at(name), self.place.at(to))

    def copy_with_digest_tags(self, name: str, to: str) -> None:
        self._regctl("image", "copy", "--digest-tags", self.place.at(name), self.place.at(to))

    def digest(self, name: str) -> str:
        return self._regctl("image", "digest", self.place.at(name)).strip()

    def tags(self, repository: str) -> list[str]:
        return self._regctl("tag", "ls", self.place.at(repository)).split()

    def some_tags(self, repository: str, *, limit: int, last: str) -> list[str]:
        return self._regctl("tag", "ls", f"--limit={limit}", f"--last={last}", self.place.at(repository)).split()

    def repositories(self) -> list[str]:
        return self._regctl("repo", "ls", self.place.host).split()

    def config(self, name: str) -> Any:
        return json.loads(self._regctl("image", "inspect", self.place.at(name)))

    def attach(self, name: str, artifact_type: str, content: str, _work: Path) -> None:
        order = ["artifact", "put", f"--artifact-type={artifact_type}", f"--subject={self.place.at(name)}"]
        self._regctl(*order, stdin=content)

    def referrers(self, name: str, artifact_type: str = "") -> list[tuple[str, str]]:
        wanted = [f"--filter-artifact-type={artifact_type}"] if artifact_type else []
        body = self._regctl("artifact", "list", "--format={{json .Descriptors}}", *wanted, self.place.at(name))
        return sorted((each["artifactType"], each["digest"]) for each in json.loads(body) or ())

    def delete(self, repository: str, digest: str) -> None:
        self._regctl("manifest", "delete", f"{self.place.at(repository)}@{digest}")

    def delete_tag(self, repository: str, tag: str) -> None:
        self._regctl("tag", "delete", f"{self.place.at(repository)}:{tag}")

    def delete_blob(self, repository: str, digest: str) -> None:
        self._regctl("blob", "delete", self.place.at(repository), digest)


class Oras(Client):
    def _oras(self, *args: str | Path, cwd: Path | None = None) -> str:
        """``oras ARGS…``; the way to the registry stands behind the verbs, once for each side of a copy."""
        return self._run("oras", *args, cwd=cwd)

    def _plain(self, *prefixes: str) -> list[str]:
        return [f"--{prefix}plain-http" for prefix in prefixes or ("",)] if self.place.plain else []

    def login(self, password: str) -> None:
        order = ["login", *self._plain(), "-u", USER, "--password-stdin", self.place.host]
        self._run("oras", *order, stdin=password)

    def push(self, held: Image, name: str, work: Path) -> None:
        folder = write_layout(work / "oras-layout", {"x": held})
        self._oras("cp", "--no-tty", "--from-oci-layout", *self._plain("to-"), f"{folder}:x", self.place.at(name))

    def pull(self, name: str, folder: Path) -> None:
        self._oras("cp", "--no-tty", *self._plain("from-"), self.place.at(name), "--to-oci-layout", f"{folder}:x")

    def copy(self, name: str, to: str) -> None:
        self._oras("cp", "--no-tty", *self._plain("from-", "to-"), self.place.at(name), self.place.at(to))

    def copy_with_referrers(self, name: str, to: str) -> None:
        self._oras("cp", "-r", "--no-tty", *self._plain("from-", "to-"), self.place.at(name), self.place.at(to))

    def digest(self, name: str) -> str:
        return self._oras("resolve", *self._plain(), self.place.at(name)).strip()

    def tags(self, repository: str) -> list[str]:
        return self._oras("repo", "tags", *self._plain(), self.place.at(repository)).split()

    def repositories(self) -> list[str]:
        return self._oras("repo", "ls", *self._plain(), self.place.host).split()

    def config(self, name: str) -> Any:
        return json.loads(self._oras("manifest", "fetch-config", *self._plain(), self.place.at(name)))

    def attach(self, name: str, artifact_type: str, content: str, work: Path) -> None:
        (work / "attached.txt").write_text(content)
        order = ["attach", *self._plain(), f"--artifact-type={artifact_type}", self.place.at(name), "attached.txt"]
        self._oras(*order, cwd=work)

    def referrers(self, name: str, artifact_type: str = "") -> list[tuple[str, str]]:
        wanted = [f"--artifact-type={artifact_type}"] if artifact_type else []
        found = json.loads(
            self._oras("discover", "--format=json", "--depth=1", *self._plain(), *wanted, self.place.at(name))
        )
        return sorted((each["artifactType"], each["digest"]) for each in found.get("referrers") or ())

    def delete(self, repository: str, digest: str) -> None:
        self._oras("manifest", "delete", "--force", *self._plain(), f"{self.place.at(repository)}@{digest}")

    def delete_blob(self, repository: str, digest: str) -> None:
        self._oras("blob", "delete", "--force", *self._plain(), f"{self.place.at(repository)}@{digest}")


CLIENTS: dict[str, Callable[[Place], Any]] = {"skopeo": Skopeo, "crane": Crane, "regctl": Regctl, "oras": Oras}


def logged_in(home: Path, site: Site) -> Path:
    """A home with the login where Docker's clients and their kin look for it."""
    (home / ".docker").mkdir(parents=True)
    auth = base64.b64encode(site.creds.encode()).decode()
    auths = {site.host: {"auth": auth}} if site.creds else {}
    (home / ".docker" / "config.json").write_text(json.dumps({"auths": auths}))
    return home


def content_of(folder: Path) -> dict[str, bytes]:
    """By the hex digits of their digests, the contents of an OCI layout or of skopeo's ``dir:``."""
    found = {
        path.name.removesuffix(".manifest.json"): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }
    return {name: raw for name, raw in found.items() if re.fullmatch("[0-9a-f]{64}", name)}


def below(held: Image) -> dict[str, bytes]:
    """The same of all that an image needs; the root itself is looked at by its digest."""
    return {hex_of(part.descriptor.digest): part.raw for part in held.parts[:-1]}


def refusal(act: Callable[[], Any]) -> str:
    """What a client says when it fails."""
    with pytest.raises(AssertionError) as caught:
        act()
    return str(caught.value).partition("\n")[2]  # without its command line
