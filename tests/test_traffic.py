"""Calls on their way: lines, threads, stops; with real threads and short waits."""

from __future__ import annotations

import math
import threading
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from iotctl import clock
from iotctl.errors import Interrupted, Refused, Throttled
from iotctl.lines import Ask, Pause
from iotctl.pace import FULL_CREDIT
from iotctl.traffic import Traffic

if TYPE_CHECKING:
    from collections.abc import Callable

    from iotctl.lines import Journey

OPERATIONS = ("iot:A", "iot:B", "iot:C")


class Account:
    """Takes its time, and counts who calls at once."""

    def __init__(self, seconds: float, answer: Callable[[str, int], None] = lambda *_: None) -> None:
        self.counts: Counter[str] = Counter()
        self.threads: set[str] = set()
        self.most = 0
        self._flying = 0
        self._seconds = seconds
        self._answer = answer
        self._lock = threading.Lock()

    def __call__(self, op: str, *, once: bool, **params: Any) -> dict[str, Any]:
        with self._lock:
            self.counts[op] += 1
            number = self.counts[op]
            self._flying += 1
            self.most = max(self.most, self._flying)
            self.threads.add(threading.current_thread().name)
        try:
            clock.sleep(self._seconds)
            self._answer(op, number)
        finally:
            with self._lock:
                self._flying -= 1
        return {"from": op}


def traffic(account: Account, **changes: Any) -> Traffic[int]:
    """Traffic to an account."""
    values: dict[str, Any] = {"rates": {}, "starts": {}, "order": OPERATIONS, **changes}
    return Traffic(account, values.pop("stop", threading.Event()), **values)


def journey(*asked: str | Pause) -> Journey:
    """One that asks for these, one after the other."""
    for each in asked:
        answer = yield each if isinstance(each, Pause) else Ask(each, {})
        assert answer == ({} if isinstance(each, Pause) else {"from": each})


def settled(lines: Traffic[int]) -> dict[int, BaseException | None]:
    """All that settle."""
    found: dict[int, BaseException | None] = {}
    while lines.pending:
        found.update(lines.settle(100, 1.0))
    return found


@pytest.mark.parametrize("seconds", [0.0, 0.02])
def test_every_journey_settles_once(seconds: float) -> None:
    """Whether the caller's thread does it all or many do, with pauses and throttles on the way."""

    def answer(op: str, number: int) -> None:
        if number % 7 == 0:
            raise Throttled("slow down")

    account = Account(seconds, answer)
    with traffic(account, rates=dict.fromkeys(OPERATIONS, 2000.0)) as lines:
        for number in range(60):
            lines.submit(number, journey("iot:A", Pause(0.01), "iot:B", "iot:C"))
        found = settled(lines)
        flows = lines.flows()
    assert dict.fromkeys(range(60)) == found
    assert dict.fromkeys(OPERATIONS, 60) == {op: flows[op].done for op in OPERATIONS}
    assert (1 < account.most) == (seconds > 0)


def test_an_operation_that_is_slow_holds_up_no_other() -> None:
    """While all wait for the one whose quota binds, nothing else is idle: it takes what that quota alone allows."""
    account = Account(0.01)
    began = clock.monotonic()
    with traffic(account, rates={"iot:A": 400.0, "iot:B": 40.0, "iot:C": 400.0}) as lines:
        for number in range(80):
            lines.submit(number, journey(*OPERATIONS))
        assert dict.fromkeys(range(80)) == settled(lines)
    took = clock.monotonic() - began
    assert (80 - 1) / 40 - FULL_CREDIT <= took < 3.0


def test_an_error_is_raised_where_it_was_asked_for() -> None:
    """A journey may go on after one; what it does not catch is how it settles."""

    def answer(op: str, number: int) -> None:
        if op == "iot:B":
            raise Refused("no")

    def careful() -> Journey:
        with pytest.raises(Refused):
            yield Ask("iot:B", {})
        yield Ask("iot:C", {})

    with traffic(Account(0.0, answer)) as lines:
        lines.submit(1, careful())
        lines.submit(2, journey("iot:B", "iot:C"))
        found = settled(lines)
    assert (None, True) == (found[1], isinstance(found[2], Refused))


@pytest.mark.parametrize("seconds", [0.0, 0.02])
def test_a_stop_ends_what_waits_and_lets_a_call_finish(seconds: float) -> None:
    """Those in a line, and those that pause, are interrupted at once; no thread is left."""
    stop = threading.Event()

    def answer(op: str, number: int) -> None:
        if number == 10:
            stop.set()

    account = Account(seconds, answer)
    before = threading.active_count()
    with traffic(account, stop=stop, rates={"iot:B": 1.0}) as lines:
        for number in range(100):
            lines.submit(number, journey("iot:A", Pause(60.0) if number % 2 else "iot:B", "iot:C"))
        found = settled(lines)
    assert set(range(100)) == set(found)
    assert {Interrupted, type(None)} >= {type(error) for error in found.values()}
    assert 90 <= sum(isinstance(error, Interrupted) for error in found.values())
    assert before == threading.active_count()


def test_one_journey_may_be_made_alone() -> None:
    """On the caller's thread, paced and tried again like all others; its error is raised there."""

    def answer(op: str, number: int) -> None:
        if op == "iot:A" and number < 3:
            raise Throttled("slow down")
        if op == "iot:C":
            raise Refused("no")

    account = Account(0.0, answer)
    with traffic(account) as lines:
        lines.drive(journey("iot:A", Pause(0.001), "iot:B"))
        with pytest.raises(Refused):
            lines.drive(journey("iot:C"))
    assert {"iot:A": 3, "iot:B": 1, "iot:C": 1} == account.counts
    assert {threading.main_thread().name} == account.threads


def test_nothing_settles_in_time_where_nothing_is_due() -> None:
    """The caller gets its turn back, and shows how things are."""
    with traffic(Account(0.0), rates={"iot:A": 0.1}) as lines:
        for number in range(2):
            lines.submit(number, journey("iot:A"))
        assert [(0, None)] == lines.settle(1, 0.05)
        assert [] == lines.settle(1, 0.05)
        assert (1, math.inf) == (lines.pending, lines.flows().get("iot:B", lines._lines.line("iot:B").pacer).rate)
