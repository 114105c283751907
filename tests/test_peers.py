"""The rule for missing programs: skipped with the name, failed where peers are required, all skipped where told so."""

from __future__ import annotations

import pytest

from tests.peers import REQUIRED, attempt, demand, hidden, missing, run


def test_a_missing_program_skips_with_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(REQUIRED, raising=False)
    with pytest.raises(pytest.skip.Exception, match="no-such-program"):
        demand("sh", "no-such-program")


def test_a_missing_program_fails_where_peers_are_required(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(REQUIRED, "1")
    demand("sh")
    with pytest.raises(pytest.fail.Exception, match="no-such-program"):
        demand("sh", "no-such-program")


def test_all_programs_can_be_taken_for_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(REQUIRED, "0")
    with pytest.raises(pytest.skip.Exception, match="sh"):
        demand("sh")
    assert missing(["sh"]) == []


def test_a_run_shows_what_a_failed_program_said() -> None:
    assert run("sh", "-c", "echo $WORD", env={"WORD": "yes"}) == "yes\n"
    assert run("cat", stdin="in") == "in"
    with pytest.raises(AssertionError, match="status 3, not 0\nout\nerr"):
        run("sh", "-c", "echo out; echo err >&2; exit 3")
    assert attempt("sh", "-c", "exit 3").returncode == 3


@pytest.mark.parametrize(
    ("name", "answer"),
    [("https_proxy", True), ("BUNDLER_STORE", True), (REQUIRED, False), ("PATH", False), ("XDG_DATA_HOME", True)],
)
def test_the_operator_s_environment_is_hidden(name: str, answer: bool) -> None:
    assert hidden(name) is answer
