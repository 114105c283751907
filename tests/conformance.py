"""The distribution specification's own conformance suite as a judge of a registry.

    found = conformance(site, tmp_path / "results", OCI_VERSION="dev")
    assert found.complaints() == []

The suite tells what became of each API, of each kind of content and of every single step. It counts an answer such as
405 as "not supported" and skips the rest, so a pass is only a pass if nothing was skipped. What it prints is read rather
than its ``results.yaml`` and ``junit.xml``: with ``OCI_API_PUSH=false`` this version ends by a nil pointer before it has
written them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.peers import attempt
from tests.serving import Site

PROGRAM = "conformance"
_NODE = re.compile(r"^( *)(OCI Conformance Test.*): (Pass|Skip|Disabled|FAIL|Error|Unknown)$", re.MULTILINE)
_ROW = re.compile(r"^  (.+?)\.*: +(\w+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Step:
    """One request or check of the suite: its path of names, its state, and why if that is not Pass."""

    name: str
    state: str
    why: str = ""


@dataclass(frozen=True, slots=True)
class Findings:
    """What the suite says in its own words; a state is Pass, Skip, Disabled, FAIL, Error or (never reached) Unknown."""

    apis: Mapping[str, str]
    data: Mapping[str, str]
    steps: Sequence[Step]

    def complaints(self) -> list[str]:
        """Every line of the report that is not a pass, for a run that may leave nothing out."""
        return self._except("Pass")

    def failures(self) -> list[str]:
        """Those that are worse than left out."""
        return self._except("Pass", "Skip", "Disabled", "Unknown")

    def states(self, state: str) -> set[str]:
        """The APIs and kinds of content in that state."""
        return {name for name, found in {**self.apis, **self.data}.items() if found == state}

    def passed(self, prefix: str) -> list[str]:
        """The last names of the steps below ``prefix`` that passed."""
        return [
            step.name.rpartition("/")[2] for step in self.steps if step.name.startswith(prefix) and step.state == "Pass"
        ]

    def _except(self, *good: str) -> list[str]:
        states = [f"{name}: {state}" for name, state in sorted({**self.apis, **self.data}.items()) if state not in good]
        return states + [f"{step.name}: {step.state}: {step.why}" for step in self.steps if step.state not in good]


def conformance(site: Site, results: Path, **settings: str) -> Findings:
    """Run the suite with these environment variables of its own; it writes ``report.html`` into ``results``."""
    user, _, password = site.creds.partition(":")
    login = {"OCI_USERNAME": user, "OCI_PASSWORD": password} if user else {}
    env = {
        "OCI_REGISTRY": site.host,
        "OCI_TLS": "disabled" if site.scheme == "http" else "enabled",
        "OCI_RESULTS_DIR": str(results),
        **login,
        **site.env,
        **settings,
    }
    results.mkdir(parents=True, exist_ok=True)
    done = attempt(PROGRAM, cwd=results, env=env)
    return read_report(done.stdout)


def read_report(said: str) -> Findings:
    """What the suite printed: the tree of its steps, then one table of APIs and one of contents."""
    tree, found, rest = said.partition("\nConfiguration:\n")
    _, _, tables = rest.partition("\nAPI conformance:\n")
    apis, _, data = tables.partition("\nData conformance:\n")
    assert all((found, apis, data)), f"the suite gave no whole report:\n{said[-2000:]}"
    return Findings(dict(_ROW.findall(apis)), dict(_ROW.findall(data)), _leaves(tree))


def _leaves(tree: str) -> list[Step]:
    """Those without others below them: a line ``name: state``, two spaces deeper than its parent's, and its errors."""
    lines = list(_NODE.finditer(tree))
    ends = [line.start() for line in lines[1:]] + [len(tree)]
    depths = [len(line[1]) for line in lines[1:]] + [0]
    return [
        Step(line[2].removeprefix("OCI Conformance Test/"), line[3], tree[line.end() : end].strip()[:500])
        for line, end, next_depth in zip(lines, ends, depths, strict=True)
        if next_depth <= len(line[1])
    ]
