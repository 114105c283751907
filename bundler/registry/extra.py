"""What the registry needs beyond the core: said by name where it is missing, before anything is begun.

require()       # ConfigError, whose hint is the command that installs it
"""

from __future__ import annotations

from importlib.util import find_spec

from bundler.errors import ConfigError

PACKAGES = ("bcrypt", "granian", "jinja2", "prometheus_client", "starlette")


def require() -> None:
    """Raise :class:`ConfigError` unless everything of the extra ``registry`` is installed."""
    missing = [name for name in PACKAGES if find_spec(name) is None]
    if missing:
        raise ConfigError(
            f"the registry needs {', '.join(missing)}, not installed here: pip install 'oci-bundler[registry]'",
            hint="install the extra `registry` on a machine with a package index, or carry its wheels over",
        )
