"""The watchdog ends what overstays, and nothing else."""

from __future__ import annotations

import threading
import time

import pytest

from bundler.transports.docker.watchdog import OverstayedError, Watchdog


def watchdogs() -> int:
    return sum(thread.name == "watchdog" for thread in threading.enumerate())


def test_what_is_quick_is_left_alone() -> None:
    dog, cut = Watchdog(0.01), threading.Event()
    with dog.limit(5, cut.set):
        pass
    dog.close()
    assert not cut.is_set()


def test_what_overstays_is_cut() -> None:
    dog, cut = Watchdog(0.01), threading.Event()
    with pytest.raises(OverstayedError), dog.limit(0.02, cut.set):
        assert cut.wait(5)
    dog.close()


def test_an_error_of_what_was_cut_is_replaced() -> None:
    dog, cut = Watchdog(0.01), threading.Event()
    with pytest.raises(OverstayedError), dog.limit(0.02, cut.set):
        cut.wait(5)
        raise OSError("shut down")
    dog.close()


def test_an_error_in_time_is_passed_on() -> None:
    dog = Watchdog(0.01)
    with pytest.raises(OSError, match="other"), dog.limit(5, lambda: None):
        raise OSError("other")
    dog.close()


def test_a_failing_cut_does_not_stop_the_watch() -> None:
    dog, cut = Watchdog(0.01), threading.Event()

    def fail() -> None:
        raise OSError("closed already")

    with pytest.raises(OverstayedError), dog.limit(0.01, fail):
        time.sleep(0.1)
    with pytest.raises(OverstayedError), dog.limit(0.01, cut.set):
        assert cut.wait(5)
    dog.close()


def test_one_thread_for_many_and_none_after_close() -> None:
    deadline = time.monotonic() + 5
    while watchdogs() and time.monotonic() < deadline:
        time.sleep(0.01)  # those of other tests' registries, which are ending
    before, dog = watchdogs(), Watchdog(0.01)
    with dog.limit(5, lambda: None), dog.limit(5, lambda: None):
        assert watchdogs() == before + 1
    dog.close()
    dog.close()
    deadline = time.monotonic() + 5
    while watchdogs() > before and time.monotonic() < deadline:
        time.sleep(0.01)
    assert watchdogs() == before
