"""Conversions of images, and nothing that is not asked for: formats of manifests, compression of layers.

Pure: contents come from a source, and what is new waits in a :class:`Scratch` that the caller gives. What does the work is
loaded when something must be converted, since most copies need none of it.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from bundler.convert.recipe import Recipe
from bundler.convert.scratch import Scratch

if TYPE_CHECKING:
    from bundler.convert.conversion import Converted, convert, reasons

__all__ = ["Converted", "Recipe", "Scratch", "convert", "reasons"]


def __getattr__(name: str) -> Any:
    if name in ("Converted", "convert", "reasons"):
        return getattr(import_module("bundler.convert.conversion"), name)
    raise AttributeError(name)
