r"""Go's text/template, as far as ``--format`` of container tools uses it, over plain JSON values.

    render(parse("{{.Name}} {{range .Layers}}{{.}} {{end}}"), document)
    reported(r"{{.Name}}\t{{.Digest}}", document)                       # with what container tools add

Actions: fields, variables, pipelines, if, range, with, else, break, continue, the functions of :mod:`.functions` and the
methods of :mod:`.times`. Defined templates are left out. A field that the document lacks is an error, as it is for a Go
struct.
"""

from bundler.cli.gotemplate.parser import parse
from bundler.cli.gotemplate.render import render
from bundler.cli.gotemplate.report import asks_for_json, parsed, reported

__all__ = ["asks_for_json", "parse", "parsed", "render", "reported"]
