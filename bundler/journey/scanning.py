"""Scanning files, directories and charts for images, and writing what was found into a manifest.

scan = scan_paths(["deploy/", "-"], stdin=sys.stdin.buffer)
write_manifest(Path("bundle.yaml"), scan.names(), name="edge", platforms=["linux/amd64"])
extend_manifest(Path("bundle.yaml"), scan.names())

In a directory only files that could be manifests are read. A link is followed only if it leads to a file of the same tree.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from bundler.errors import BundlerError, ConfigError, NotFoundError, disk_error, quoted
from bundler.journey.charts import ARCHIVES, open_chart, render
from bundler.journey.files import read_file, write_new, write_over
from bundler.oci.platform import parse_platform
from bundler.selection import read_wishes
from bundler.selection.scan import Finding, Found, Scan, Undecided, gather, scan_text
from bundler.selection.scan.documents import SIZE_CAP
from bundler.selection.scan.interpolation import read_env
from bundler.selection.wishes import NAME_LENGTH, is_name, name_from

MOST_FILES = 50_000
"""Files of a directory that are looked at, read or not."""
MOST_BYTES = 512 << 20
"""Bytes that one scan reads."""
STDIN = "-"
_SUFFIXES = (".yaml", ".yml", ".json")
_NAMES = ("Kustomization",)
_LEFT_OUT = frozenset({".git", ".hg", ".svn", "node_modules"})


@dataclass(slots=True)
class _Walk:
    """One scan under way: the operator's options, and what it may still read."""

    values: Sequence[Path]
    env_files: Sequence[Path]
    stdin: BinaryIO | None
    files: int = MOST_FILES
    left: int = MOST_BYTES

    def path(self, text: str) -> Iterator[Found]:
        """Everything found at one path of the command line."""
        if text == STDIN:
            if self.stdin is None:
                raise ConfigError("-: there is no standard input")
            yield from scan_text(self.stdin.read(SIZE_CAP + 1), "(stdin)", variables=self._variables(Path()))
            return
        path = Path(text)
        try:
            if not path.exists():
                raise NotFoundError(f"{quoted(text)} does not exist", hint="give a file, a directory, or - for stdin")
            if path.is_dir():
                yield from self._directory(path)
            elif path.name.endswith(ARCHIVES):
                yield from self._chart(path, chosen=True)
            else:
                yield from self._file(path, path, chosen=True)
        except OSError as problem:
            raise disk_error(problem, f"read {quoted(text)}") from problem

    def _directory(self, root: Path) -> Iterator[Found]:
        tree = root.resolve()
        refused: list[OSError] = []
        for folder, below, names in os.walk(root, onerror=refused.append, followlinks=False):
            here = Path(folder)
            if "Chart.yaml" in names:
                below.clear()
                yield from self._chart(here, chosen=True)
                continue
            below[:] = sorted(set(below) - _LEFT_OUT)
            for name in sorted(names):
                self.files -= 1
                if self.files < 0:
                    raise ConfigError(f"{quoted(str(root))}: more than {MOST_FILES} files", hint="scan parts of it")
                if name.endswith(_SUFFIXES) or name in _NAMES:
                    yield from self._member(here / name, tree)
                elif name.endswith(ARCHIVES) and not (here / name).is_symlink() and (here / name).is_file():
                    yield from self._chart(here / name, chosen=False)
        for problem in refused:
            yield Undecided(quoted(str(problem.filename)), f"could not be read: {problem.strerror}")

    def _member(self, path: Path, tree: Path) -> Iterator[Found]:
        """A file of a directory, through a link only if that stays in the tree."""
        try:
            real = path.resolve() if path.is_symlink() else path
        except RuntimeError:  # how pathlib says that links go in circles
            yield Undecided(quoted(str(path)), "is a link that leads nowhere")
            return
        if real is not path and not real.is_relative_to(tree):
            yield Undecided(quoted(str(path)), "is a link that leads out of the directory, and was not followed")
        elif real is not path and not real.exists():
            yield Undecided(quoted(str(path)), "is a link that leads nowhere")
        elif stat.S_ISREG(real.stat().st_mode):
            yield from self._file(path, real, chosen=False)

    def _file(self, path: Path, real: Path, *, chosen: bool) -> Iterator[Found]:
        shown = quoted(str(path))
        try:
            with real.open("rb") as file:
                raw = file.read(SIZE_CAP + 1)
        except OSError as problem:
            yield Undecided(shown, f"could not be read: {problem.strerror}")
            return
        self._spend(len(raw))
        if len(raw) > SIZE_CAP:
            yield Undecided(shown, f"holds more than the {SIZE_CAP} bytes that are read; split it")
            return
        yield from scan_text(raw, str(path), variables=self._variables(path.parent), chosen=chosen)

    def _spend(self, size: int) -> None:
        self.left -= size
        if self.left < 0:
            raise ConfigError(f"the files hold more than {MOST_BYTES} bytes", hint="scan them in parts")

    def _variables(self, folder: Path) -> Mapping[str, str]:
        """What Compose would fill in: the files given, else the ``.env`` beside the Compose file."""
        if not self.env_files:
            beside = folder / ".env"
            if beside.is_symlink() or not beside.is_file():
                return {}
            return read_env(read_file(beside, what=".env", cap=1 << 20).decode("utf-8", "replace"))
        values: dict[str, str] = {}
        for path in self.env_files:
            values |= read_env(read_file(path, what="--env-file", cap=1 << 20).decode("utf-8", "replace"))
        return values

    def _chart(self, path: Path, *, chosen: bool) -> Iterator[Found]:
        """A chart, rendered if that can be done."""
        from bundler.selection.scan.helm import guess_chart

        shown = quoted(str(path))
        try:
            chart = open_chart(path)
        except BundlerError as problem:
            yield Undecided(shown, f"could not be read: {problem}")
            return
        if chart is None:
            if chosen:
                yield Undecided(shown, "is no chart: there is no Chart.yaml in it")
            return
        self._spend(sum(map(len, chart.files.values())))
        for name in chart.refused:
            yield Undecided(shown, f"has a member {name!r}, which is no path within a chart, and was not read")
        rendered = render(path, values=self.values)
        if not rendered.problem:
            yield from scan_text(rendered.output, f"{path} (helm template)")
            return
        given = [(str(each), read_file(each, what="--values", cap=SIZE_CAP)) for each in self.values]
        yield from guess_chart(chart.files, shown, why=rendered.problem, values=given)


def scan_paths(
    paths: Sequence[str],
    *,
    values: Sequence[Path] = (),
    env_files: Sequence[Path] = (),
    stdin: BinaryIO | None = None,
) -> Scan:
    """Everything found in files, in directories and their directories, and in ``-`` for ``stdin``.

    ``values`` are for Helm charts, ``env_files`` for Compose. What a file holds is never an error, only undecided.
    Raises :class:`NotFoundError` for a path that is not there, :class:`ConfigError` for more than a scan reads.
    """
    if list(paths).count(STDIN) > 1:
        raise ConfigError("-: standard input can be read only once")
    for path in values:
        read_file(path, what="--values", cap=SIZE_CAP)
    walk = _Walk(values, env_files, stdin)
    return gather(each for path in paths for each in walk.path(path))


def write_manifest(path: Path, scan: Scan, *, name: str = "", platforms: Sequence[str] = (), uncertain: bool) -> int:
    """Write a new ``bundle.yaml`` and return how many images it names; likely images that are not taken are comments.

    ``name`` is that of the file unless given; without ``platforms`` they are the template's.
    """
    from bundler.selection.template import filled_in

    images = scan.names(uncertain=uncertain)
    if not images:
        raise NotFoundError("no image was found, so there is nothing to write", hint=_HINT)
    chosen = name or name_from(path.name)
    if not is_name(chosen):
        hint = f"lower-case letters and digits, single . _ - between them, at most {NAME_LENGTH} characters"
        raise ConfigError(f"--name: {quoted(chosen)!r} is not a name", hint=hint)
    for platform in platforms:
        if platform != "all" or len(platforms) > 1:
            parse_platform(platform, what="--platform")
    comments = [] if uncertain else [_comment(image.findings[0]) for image in scan.images if not image.certain]
    content = filled_in(name=chosen, platforms=platforms, images=images, comments=comments).encode()
    read_wishes(content, path.name)
    write_new(path, content)
    return len(images)


def extend_manifest(path: Path, images: Sequence[str]) -> list[str]:
    """Add the images that a manifest does not name yet, at the end of its list, and return them.

    Nothing else in the file changes; it is replaced at once, after it was read again and found valid.
    """
    from bundler.selection.scan.manifest import extended

    raw = read_file(path, what="manifest")
    content, added = extended(raw, path.name, images)
    if added:
        write_over(path.resolve(), content)
    return added


_HINT = "see what could not be decided; --include-uncertain takes what is only likely"


def _comment(finding: Finding) -> str:
    return f"- {finding.image}    # perhaps: {quoted(finding.where)}"
