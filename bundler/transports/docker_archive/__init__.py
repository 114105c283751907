"""``docker-archive:path[:reference|:@index]``: what ``docker save`` writes and ``docker load`` reads.

    manifest.json     for each image its config, names and layers, as members of the archive
    HEX.json          a config
    HEX.tar           a layer, without compression

No manifest is kept, so the reader makes one up (Docker's schema 2, with the layers as they lie there).
"""

from bundler.transports.docker_archive.names import split
from bundler.transports.docker_archive.reading import Archive, open_source, opened, spooled_tarball
from bundler.transports.docker_archive.writing import NewArchive, open_target, spooled_archive

__all__ = [
    "Archive",
    "NewArchive",
    "open_source",
    "open_target",
    "opened",
    "split",
    "spooled_archive",
    "spooled_tarball",
]
