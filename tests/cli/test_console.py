"""What a command prints through."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator

import pytest
import typer

from bundler.cli.console import PIPE_CLOSED, Console, Progress
from bundler.content import silent


@pytest.fixture(autouse=True)
def _logging() -> Iterator[None]:
    before = logging.getLogger().handlers[:], logging.getLogger().level
    yield
    logging.getLogger().handlers[:] = before[0]
    logging.getLogger().setLevel(before[1])


def test_results_go_to_stdout_and_the_rest_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    console = Console()
    console.result("result")
    console.say("said")
    console.json({"ä": [1]})
    out, err = capsys.readouterr()
    assert err == "said\n"
    assert out.startswith("result\n")
    assert json.loads(out.removeprefix("result\n")) == {"ä": [1]}
    assert "\\u00e4" in out  # nothing in JSON can act on a terminal


def test_quiet_prints_results_only(capsys: pytest.CaptureFixture[str]) -> None:
    console = Console(quiet=True)
    console.result("result")
    console.say("said")
    assert capsys.readouterr() == ("result\n", "")


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        pytest.param([], "", id="none"),
        pytest.param(
            [("a", "1.0 KiB"), ("long", "20 B")], "name     size\na     1.0 KiB\nlong     20 B\n", id="sizes-right"
        ),
        pytest.param([("a", "1"), ("b", "22")], "name  size\na        1\nb       22\n", id="numbers-right"),
        pytest.param([("a", "1"), ("b", "no")], "name  size\na     1\nb     no\n", id="mixed-left"),
        pytest.param([("a name", "-")], "name    size\na name  -\n", id="wider-than-its-head"),
    ],
)
def test_tables(rows: list[tuple[str, str]], expected: str, capsys: pytest.CaptureFixture[str]) -> None:
    Console().table(("name", "size"), iter(rows))
    assert capsys.readouterr().out == expected


def test_figures(capsys: pytest.CaptureFixture[str]) -> None:
    Console().figures([("a", "1"), ("long name", "2")])
    assert capsys.readouterr().out == "a          1\nlong name  2\n"


def test_verbose_prints_what_libraries_log(capsys: pytest.CaptureFixture[str]) -> None:
    logging.getLogger().handlers.clear()
    Console(verbose=True)
    logging.getLogger("bundler.transports").debug("a detail")
    assert capsys.readouterr().err == "bundler.transports: a detail\n"


@pytest.mark.parametrize(
    ("quiet", "progress", "terminal", "expected"),
    [
        pytest.param(False, Progress.AUTO, True, "bars", id="a-terminal"),
        pytest.param(False, Progress.AUTO, False, "lines", id="no-terminal"),
        pytest.param(True, Progress.AUTO, True, None, id="quiet"),
        pytest.param(True, Progress.JSON, False, "json_lines", id="quiet-but-asked-for"),
        pytest.param(False, Progress.BARS, False, "bars", id="bars"),
        pytest.param(False, Progress.LINES, True, "lines", id="lines"),
        pytest.param(False, Progress.NONE, True, None, id="none"),
    ],
)
def test_which_progress(
    quiet: bool, progress: Progress, terminal: bool, expected: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: terminal)
    watching = Console(quiet=quiet, progress=progress).watching()
    if expected is None:
        with watching as observer:
            assert observer is silent
    else:
        assert watching.gen.__name__ == expected  # type: ignore[attr-defined]  # of a generator


def test_a_reader_that_has_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    replaced: list[tuple[int, int]] = []

    class Gone:
        def write(self, text: str) -> None:
            raise BrokenPipeError

        def fileno(self) -> int:
            return 77

    monkeypatch.setattr("sys.stdout", Gone())
    monkeypatch.setattr("bundler.cli.console.os.dup2", lambda old, new: replaced.append((old, new)))
    with pytest.raises(typer.Exit) as caught:
        Console().result("text")
    assert caught.value.exit_code == PIPE_CLOSED
    assert replaced[0][1] == 77
