"""Whether a password is right, what that costs, and what is remembered."""

from __future__ import annotations

import statistics
import threading
import time
from pathlib import Path
from typing import Any

import bcrypt
import pytest

from bundler.registry.access import passwords as module
from bundler.registry.access.htpasswd import parse_passwords
from bundler.registry.access.passwords import Passwords, set_password
from bundler.registry.failure import Failure

CHECKPW = bcrypt.checkpw


def line(user: str, password: str, cost: int = 4) -> str:
    return f"{user}:{bcrypt.hashpw(password.encode(), bcrypt.gensalt(cost)).decode()}\n"


class Computations(list[int]):
    """The costs of all that bcrypt was asked to compute, and how many at once."""

    def __init__(self) -> None:
        super().__init__()
        self.most_at_once = self.now = 0
        self.hold: threading.Event | None = None
        self._lock = threading.Lock()

    def __call__(self, password: bytes, hashed: bytes) -> bool:
        with self._lock:
            self.append(int(hashed[4:6]))
            self.now += 1
            self.most_at_once = max(self.most_at_once, self.now)
        try:
            if self.hold is not None:
                assert self.hold.wait(20)
            return CHECKPW(password, hashed)
        finally:
            with self._lock:
                self.now -= 1


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch) -> Computations:
    counting = Computations()
    monkeypatch.setattr(bcrypt, "checkpw", counting)
    return counting


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time, to be moved."""
    now = [1000.0]

    class Clock:
        @staticmethod
        def monotonic() -> float:
            return now[0]

    monkeypatch.setattr(module, "time", Clock)
    return now


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "users"
    path.write_text(line("ann", "secret") + line("jürgen", "pässword"))
    return path


CHECKED: dict[str, tuple[str, str, bool]] = {
    "right": ("ann", "secret", True),
    "right in UTF-8": ("jürgen", "pässword", True),
    "wrong": ("ann", "Secret", False),
    "another's": ("ann", "pässword", False),
    "unknown user": ("eve", "secret", False),
    "user in another case": ("Ann", "secret", False),
    "user empty": ("", "secret", False),
    "user decomposed": ("ju\u0308rgen", "pässword", False),
    "password empty": ("ann", "", False),
    "password with NUL at the end": ("ann", "secret\0", False),
    "password repeated as bcrypt does": ("ann", "secret\0secret", False),
    "password in front of a NUL": ("ann", "secret\0x", False),
    "NUL alone": ("ann", "\0", False),
    "NUL beyond what is looked at": ("ann", "x" * 72 + "\0", False),
    "longer than bcrypt takes": ("ann", "x" * 73, False),
    "megabyte": ("ann", "x" * (1 << 20), False),
    "surrogate": ("ann", "\ud800", False),
    "user with a surrogate": ("\ud800", "secret", False),
    "every byte": ("ann", bytes(range(256)).decode("latin-1"), False),
    "hash for password": ("ann", "$2b$04$" + "a" * 53, False),
}


@pytest.mark.parametrize("case", CHECKED)
def test_checking(file: Path, case: str, computed: Computations) -> None:
    user, password, right = CHECKED[case]
    passwords = Passwords.open(file)
    assert passwords.check(user, password) is right
    assert computed == [4]
    assert passwords.remembers(user, password) is right


def test_what_was_made_of_an_empty_password_opens_nothing(tmp_path: Path) -> None:
    (tmp_path / "users").write_text(line("ann", ""))
    assert not Passwords.open(tmp_path / "users").check("ann", "")


def test_72_bytes_count_as_to_apache(tmp_path: Path) -> None:
    (tmp_path / "users").write_text(line("ann", "x" * 72))
    passwords = Passwords.open(tmp_path / "users")
    assert passwords.check("ann", "x" * 72 + "whatever")
    assert not passwords.check("ann", "x" * 71)


@pytest.mark.parametrize("user", ["ann", "eve"])
def test_a_failure_is_one_computation_whether_or_not_the_user_exists(
    file: Path, computed: Computations, user: str
) -> None:
    assert not Passwords.open(file).check(user, "wrong")
    assert computed == [4]


COSTS = {"cheap": [4, 4, 5, 6], "middle": [6, 6], "dear": [7], "unknown": [7]}


@pytest.mark.parametrize("user", COSTS)
def test_a_failure_costs_what_the_dearest_hash_costs(tmp_path: Path, computed: Computations, user: str) -> None:
    (tmp_path / "users").write_text(line("cheap", "a", 4) + line("dear", "a", 7) + line("middle", "a", 6))
    passwords = Passwords.open(tmp_path / "users")
    assert not passwords.check(user, "wrong")
    assert computed == COSTS[user]
    assert sum(2**cost for cost in computed) == 2**7


def test_time_does_not_tell_users(tmp_path: Path) -> None:
    (tmp_path / "users").write_text(line("ann", "a", 8) + line("cheap", "a", 4))
    passwords = Passwords.open(tmp_path / "users")

    def median(user: str) -> float:
        times = []
        for number in range(9):
            start = time.thread_time()
            passwords.check(user, f"wrong {number}")
            times.append(time.thread_time() - start)
        return statistics.median(times)

    known, cheap, unknown = median("ann"), median("cheap"), median("eve")
    assert unknown > 0.002  # something was computed
    assert 0.4 < known / unknown < 2.5
    assert 0.4 < cheap / unknown < 2.5


def test_a_right_password_is_computed_once(file: Path, computed: Computations) -> None:
    passwords = Passwords.open(file)
    assert all(passwords.check("ann", "secret") for _ in range(5))
    assert computed == [4]
    assert passwords.remembers("ann", "secret")
    assert not passwords.remembers("ann", "Secret")
    assert not passwords.remembers("jürgen", "secret")


def test_a_wrong_one_is_computed_every_time(file: Path, computed: Computations) -> None:
    passwords = Passwords.open(file)
    assert not any(passwords.check("ann", "wrong") for _ in range(5))
    assert len(computed) == 5


def test_five_minutes(file: Path, computed: Computations, clock: list[float]) -> None:
    passwords = Passwords.open(file)
    for later, count in ((0, 1), (299, 1), (2, 2)):
        clock[0] += later
        assert passwords.check("ann", "secret")
        assert len(computed) == count


def test_users_with_one_hash_are_two(tmp_path: Path, computed: Computations) -> None:
    shared = line("ann", "secret")
    (tmp_path / "users").write_text(shared + shared.replace("ann", "bob"))
    passwords = Passwords.open(tmp_path / "users")
    assert passwords.check("ann", "secret")
    assert not passwords.remembers("bob", "secret")


def test_a_changed_password_counts_at_once(file: Path) -> None:
    passwords = Passwords.open(file)
    assert passwords.check("ann", "secret")
    set_password(file, "ann", "changed", cost=4)
    assert not passwords.remembers("ann", "secret")
    assert not passwords.check("ann", "secret")
    assert passwords.check("ann", "changed")


def test_a_removed_user_is_out_at_once(file: Path) -> None:
    passwords = Passwords.open(file)
    assert passwords.check("ann", "secret")
    module.remove_user(file, "ann")
    assert not passwords.remembers("ann", "secret")
    assert not passwords.check("ann", "secret")
    assert passwords.users() == {"jürgen"}


def test_a_broken_file_keeps_the_users(file: Path, caplog: pytest.LogCaptureFixture) -> None:
    passwords = Passwords.open(file)
    file.write_text("ann:plain\n")
    assert not passwords.check("ann", "plain")
    assert passwords.check("ann", "secret")
    assert "users:1: the hash of 'ann' is not bcrypt; what it said before stays in force" in caplog.text


def test_a_link_that_moves(file: Path) -> None:
    (file.parent / "other").write_text(line("bob", "secret"))
    link = file.parent / "link"
    link.symlink_to("users")
    passwords = Passwords.open(link)
    assert passwords.check("ann", "secret")
    link.unlink()
    link.symlink_to("other")
    assert passwords.check("bob", "secret")
    assert not passwords.check("ann", "secret")


def test_no_password_is_kept(file: Path) -> None:
    passwords = Passwords.open(file)
    assert passwords.check("ann", "secret")
    kept = list(passwords._right._until)
    assert [len(ticket) for ticket in kept] == [32]
    other = Passwords.open(file)
    assert other.check("ann", "secret")
    assert list(other._right._until) != kept  # a key of its own


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch, clock: list[float]) -> None:
    monkeypatch.setattr(module, "MOST_REMEMBERED", 3)
    remembered = module._Remembered()
    for name in "abcde":
        remembered.add(name, "hash", b"x")
        clock[0] += 1
    assert [remembered.has(name, "hash", b"x") for name in "abcde"] == [False, False, True, True, True]
    clock[0] += 299
    remembered.add("f", "hash", b"x")
    assert len(remembered._until) == 1


def test_the_stand_in_is_a_hash_that_bcrypt_takes() -> None:
    for cost in range(4, 15):
        assert parse_passwords(f"ann:{module._dummy(cost)}".encode(), "u")
    assert CHECKPW(b"x", module._dummy(4).encode()) is False


def started(count: int, work: Any) -> list[threading.Thread]:
    threads = [threading.Thread(target=work, args=(number,), daemon=True) for number in range(count)]
    for thread in threads:
        thread.start()
    return threads


def until(condition: Any) -> None:
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)


def test_two_at_once_64_in_the_queue_and_then_no_more(file: Path, computed: Computations) -> None:
    passwords = Passwords.open(file)
    computed.hold = threading.Event()
    answers: list[bool] = []
    threads = started(66, lambda number: answers.append(passwords.check("eve", f"wrong {number}")))
    until(lambda: passwords._turns._all._value == 0)
    with pytest.raises(Failure) as caught:
        passwords.check("ann", "secret")
    assert (caught.value.status, caught.value.code) == (429, "TOOMANYREQUESTS")
    assert caught.value.headers == {"Retry-After": "5"}
    assert len(computed) == 2
    computed.hold.set()
    for thread in threads:
        thread.join(20)
    assert answers == [False] * 66
    assert computed.most_at_once == 2
    assert passwords.check("ann", "secret")


def test_who_was_there_before_gets_past_the_queue(file: Path, computed: Computations) -> None:
    passwords = Passwords.open(file)
    assert passwords.check("ann", "secret")
    computed.hold = threading.Event()
    threads = started(66, lambda number: passwords.check("eve", f"wrong {number}"))
    until(lambda: passwords._turns._all._value == 0)
    assert passwords.check("ann", "secret")
    computed.hold.set()
    for thread in threads:
        thread.join(20)


def test_one_client_with_many_connections(file: Path, computed: Computations) -> None:
    passwords = Passwords.open(file)
    computed.hold = threading.Event()
    threads = started(10, lambda number: passwords.check("ann", "secret"))
    until(lambda: passwords._turns._all._value == 56)
    computed.hold.set()
    for thread in threads:
        thread.join(20)
    assert len(computed) == 2


def test_a_computation_that_fails_gives_its_turn_back(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    passwords = Passwords.open(file)

    def broken(password: bytes, hashed: bytes) -> bool:
        raise MemoryError

    with monkeypatch.context() as patched:
        patched.setattr(bcrypt, "checkpw", broken)
        for _ in range(70):
            with pytest.raises(MemoryError):
                passwords.check("ann", "secret")
    assert passwords.check("ann", "secret")
