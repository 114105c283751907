"""What a run obeys about signatures: ``policy.json`` says what must be signed, ``registries.d`` where signatures are kept.

policy.json      --policy FILE, else ~/.config/containers/policy.json, else /etc/containers/policy.json
registries.d     --registries.d DIR, else ~/.config/containers/registries.d, else /etc/containers/registries.d

Where there is no policy everything is allowed, as it is under ``--insecure-policy``. Each is read when it is first needed.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from bundler.content import Observer
from bundler.errors import ConfigError, disk_error, quoted
from bundler.journey.files import read_file
from bundler.policy import Policy, RegistriesD, read_policy, read_registries_d
from bundler.trust.clock import reckoned

if TYPE_CHECKING:
    from bundler.journey.access import Surroundings
    from bundler.transports.docker.lookaside import Lookaside, Web
    from bundler.transports.docker.settings import Settings

SYSTEM = Path("/etc/containers")
USER = Path(".config/containers")
MOST_FILES = 1000
_FILE_CAP = 1 << 20
_POLICY_CAP = 4 << 20
_KEY_CAP = 16 << 20


@dataclass(frozen=True, slots=True)
class KeyFiles:
    """Key files, each read once, and GnuPG: the :class:`bundler.policy.Keyring` of a run."""

    _read: dict[str, bytes] = field(default_factory=dict)

    def read(self, path: str) -> bytes:
        """A key file."""
        if path not in self._read:
            self._read[path] = read_file(Path(path), what="key", cap=_KEY_CAP)
        return self._read[path]

    def opened(self, message: bytes, keys: Sequence[bytes]) -> bytes:
        """What a message says, if one of ``keys`` signed it."""
        from bundler import gpg

        if not keys:
            raise ConfigError("there is no key to verify with")
        return gpg.verify(message, keys=keys).payload

    def now(self) -> datetime:
        """The system's clock, and no earlier than the day of this release."""
        return reckoned(datetime.now(UTC))


class SignatureRules:
    """See the module. ``settings_of`` gives a registry's settings, for signature stores on the web."""

    def __init__(self, surroundings: Surroundings, settings_of: Callable[[str], Settings], observer: Observer) -> None:
        self.keys = KeyFiles()
        self._surroundings = surroundings
        self._settings_of = settings_of
        self._observer = observer
        self._lock = threading.RLock()
        self._lookaside: Lookaside | None = None
        self._web: Web | None = None
        self._policy: tuple[Policy | None] | None = None

    @property
    def lookaside(self) -> Lookaside:
        """The signature stores."""
        with self._lock:
            if self._lookaside is None:
                from bundler.transports.docker.lookaside import Lookaside, Web, usual_store

                home = Path.home()
                registries = load_registries_d(self._surroundings.registries_d, home=home)
                self._web = Web(self._settings_of, self._observer)
                self._lookaside = Lookaside(registries, fallback=usual_store(home, os.geteuid()), fetch=self._web)
            return self._lookaside

    @property
    def policy(self) -> Policy | None:
        """The policy; nothing where there is none."""
        with self._lock:
            if self._policy is None:
                self._policy = (load_policy(self._surroundings, home=Path.home()),)
            return self._policy[0]

    def close(self) -> None:
        """Give back connections."""
        if self._web is not None:
            self._web.close()


def load_policy(surroundings: Surroundings, *, home: Path) -> Policy | None:
    """The policy that holds for a run; nothing where none does. Raises :class:`ConfigError` for one that can't be read."""
    if surroundings.insecure_policy:
        return None
    path = surroundings.policy
    if path is None:
        places = (home / USER / "policy.json", SYSTEM / "policy.json")
        path = next((place for place in places if os.path.lexists(place)), None)
    if path is None:
        return None
    return read_policy(read_file(path, what="policy", cap=_POLICY_CAP), source=quoted(str(path), 500))


def load_registries_d(given: Path | None, *, home: Path) -> RegistriesD:
    """The configuration of signature stores; of none where there is no directory."""
    if given is None:
        places = (home / USER / "registries.d", SYSTEM / "registries.d")
        given = next((place for place in places if os.path.lexists(place)), None)
    if given is None:
        return RegistriesD()
    if not given.is_dir():
        raise ConfigError(f"registries.d: {quoted(str(given))} is not a directory")
    try:
        names = sorted(name for name in os.listdir(given) if name.endswith(".yaml"))  # noqa: PTH208
    except OSError as problem:
        raise disk_error(problem, f"read {quoted(str(given))}") from problem
    if len(names) > MOST_FILES:
        raise ConfigError(f"registries.d: {quoted(str(given))} holds more than {MOST_FILES} files")
    return read_registries_d(
        (quoted(str(given / name), 500), read_file(given / name, what="registries.d", cap=_FILE_CAP)) for name in names
    )
