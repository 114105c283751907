"""What the operator asks of a conversion, with what the destination needs besides."""

from __future__ import annotations

from dataclasses import dataclass

from bundler.errors import ConfigError, UnsupportedError
from bundler.medium import Compression, Format, Holds
from bundler.oci import mediatype

LEVELS = {"gzip": (1, 9), "zstd": (1, 22)}


@dataclass(frozen=True, slots=True)
class Recipe:
    """What is asked for; a plain one leaves everything as it is.

    ``compression`` is what every layer shall have, ``none`` for plain tar. ``compress_plain`` says whether layers without
    compression get some: None leaves it to what the source is, as a medium that keeps no manifests has no digest to keep.
    ``level`` is the compressor's. ``force`` changes nothing, as layers of another compression are always made anew.
    ``usual`` is the format that images get where none is asked for; artifacts, which have no other form, stay as they are.

    Raises :class:`ConfigError` for a level that the compression does not have.
    """

    format: Format | None = None
    compression: Compression | None = None
    level: int | None = None
    force: bool = False
    compress_plain: bool | None = None
    usual: Format | None = None

    def __post_init__(self) -> None:
        method = "zstd" if self.compression == "zstd" else "gzip"
        least, most = LEVELS[method]
        if self.level is not None and not least <= self.level <= most:
            raise ConfigError(f"compression level {self.level}: {method} has {least} to {most}")
        if self.format == "v2s2" and self.compression == "zstd":
            raise UnsupportedError(
                "Docker schema 2 has no layers with zstd", hint="write OCI manifests (--format oci), or use gzip"
            )


def format_of(media_type: str) -> Format | None:
    """The format of a manifest or an index; None for schema 1, which is read only."""
    if media_type in (mediatype.OCI_MANIFEST, mediatype.OCI_INDEX):
        return "oci"
    return "v2s2" if media_type in (mediatype.DOCKER_MANIFEST, mediatype.DOCKER_INDEX) else None


def wanted_format(media_type: str, recipe: Recipe, holds: Holds) -> Format:
    """The format that a manifest is to have. Raises :class:`UnsupportedError` if the destination can't hold it."""
    if recipe.format is not None:
        if recipe.format not in holds.formats:
            raise UnsupportedError(
                f"{holds.medium} can't hold manifests of the format {recipe.format}", hint="leave --format out"
            )
        return recipe.format
    own = recipe.usual or format_of(media_type) or "v2s2"
    if recipe.compression == "zstd":
        own = "oci"  # the only format that has a name for it
    if own in holds.formats:
        return own
    return "v2s2" if "v2s2" in holds.formats else "oci"


def wanted_compression(media_type: str, recipe: Recipe, holds: Holds, *, format_: Format, remade: bool) -> Compression:
    """The compression that a layer is to have, by its media type.

    Raises :class:`UnsupportedError` if the destination can't hold what is asked for.
    """
    own = compression_of(media_type)
    wanted = own if recipe.compression is None else recipe.compression
    if (
        recipe.compression is None
        and own == "none"
        and (remade if recipe.compress_plain is None else recipe.compress_plain)
    ):
        wanted = "gzip"
    if wanted == "zstd" and format_ == "v2s2" and recipe.compression is None:
        wanted = "gzip"  # Docker's schema 2 has no name for it
    if wanted in holds.compressions and not (wanted == "zstd" and format_ == "v2s2"):
        return wanted
    if recipe.compression is not None:
        raise UnsupportedError(
            f"{holds.medium} can't hold layers with the compression {wanted}",
            hint="leave out the options that compress or decompress",
        )
    return "none" if "none" in holds.compressions else "gzip"


def compression_of(media_type: str) -> Compression:
    """The compression that a layer's media type names."""
    if media_type.endswith(("+zstd", ".zstd")):
        return "zstd"
    return "gzip" if media_type.endswith(("+gzip", ".gzip")) else "none"
