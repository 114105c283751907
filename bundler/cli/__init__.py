"""The command line: parses, opens, prints, exits; the only place that does.

One module per family of commands. Each command's function imports what it needs when it runs, so that ``bundler --help``
starts at once.
"""

from bundler.cli.app import main

__all__ = ["main"]
