"""Models to HTML: the templates, with everything that they print escaped.

Each text passes :func:`bundler.registry.pages.text.visible` and then autoescape on its way out, whatever the template says,
so that none can be forgotten. A name that a template has wrong is an error, never an empty text.

    Renderer().page("overview.html", title="Images", view=model, …)
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from importlib.resources import files
from typing import Any
from urllib.parse import urlencode

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from bundler.registry.pages.address import repository_path
from bundler.registry.pages.text import counted, short_digest, visible


class Renderer:
    """The templates, compiled once. Threads may share one."""

    def __init__(self) -> None:
        environment = Environment(
            loader=PackageLoader("bundler.registry.pages"),
            autoescape=True,
            undefined=StrictUndefined,
            finalize=_printed,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
        )
        environment.filters.update(short=short_digest, visible=visible)
        environment.globals.update(counted=counted, query=urlencode, repository_path=repository_path)
        self._environment = environment
        self.style = files("bundler.registry.pages").joinpath("templates/style.css").read_bytes()
        environment.globals["style"] = f"/style.css?{self.style_tag}"

    @property
    def style_tag(self) -> str:
        """What tells one stylesheet from that of another version."""
        return hashlib.sha256(self.style).hexdigest()[:12]

    def page(self, template: str, values: Mapping[str, Any]) -> str:
        """One page."""
        return self._environment.get_template(template).render(values)


def _printed(value: Any) -> Any:
    """Called by the templates on all that they print, before it is escaped."""
    if isinstance(value, str) and not isinstance(value, Markup):
        return visible(value)
    return value
