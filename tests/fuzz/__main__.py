"""Fuzz one parser with atheris, or write the kept corpus anew.

    python -m tests.fuzz                          the targets
    python -m tests.fuzz envelope -runs=100000    libFuzzer's options follow; the kept corpus is the start
    python -m tests.fuzz --write envelope         make the corpus of this target, or of all, from valid documents

A crash leaves its input in the working directory: keep it as ``tests/fuzz/corpus/TARGET/found-WHAT``, and mend the parser.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from tests.fuzz.targets import CORPUS, TARGETS

LIMITS = ("-timeout=20", "-rss_limit_mb=2048", "-max_len=65536")


def main(words: list[str]) -> int:
    """The exit status; libFuzzer itself ends the process when it is done."""
    if words and words[0] == "--write":
        from tests.fuzz.seeds import write

        for line in write(words[1:]):
            print(line)
        return 0
    if not words or words[0] not in TARGETS:
        print(__doc__, *TARGETS, sep="\n", file=sys.stderr)
        return 2
    import atheris

    target = TARGETS[words[0]]
    with atheris.instrument_imports(include=["bundler"], enable_loader_override=False):
        __import__(target.module)

    def run(raw: bytes) -> None:
        target(raw)

    with tempfile.TemporaryDirectory() as found:
        kept = [str(folder) for folder in (Path(found), CORPUS / words[0]) if folder.is_dir()]
        atheris.Setup([sys.argv[0], *LIMITS, *words[1:], *kept], run)
        atheris.Fuzz()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
