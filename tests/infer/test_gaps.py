"""Gaps and duplicates: what is told is what happened (property Q1)."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from iotctl.infer import gaps
from iotctl.infer.gaps import Gap, Sequence


def followed(arrivals: list[int], ticks: list[bool]) -> tuple[Sequence, int, int, int]:
    """The stream after these arrivals, and what was told of it: lost, duplicate, late; a tick makes holes old."""
    stream, lost, told, now = Sequence(arrivals[0]), 0, {"": 0, "duplicate": 0, "late": 0}, 0.0
    for seq, tick in zip(arrivals[1:], ticks, strict=False):
        told[stream.came(seq, now)] += 1
        if tick:
            now += gaps.SETTLE_SECONDS
            lost += sum(gap.size for gap in stream.overdue(now))
    lost += sum(gap.size for gap in stream.rest())
    return stream, lost, told["duplicate"], told["late"]


@given(st.lists(st.integers(0, 60), min_size=1, max_size=120), st.lists(st.booleans(), min_size=120, max_size=120))
def test_what_is_told_is_the_ground_truth(arrivals: list[int], ticks: list[bool]) -> None:
    """Q1: for any interleaving of loss, duplicates and reordering, the numbers told are those of the sequence."""
    stream, lost, duplicates, late = followed(arrivals, ticks)
    seen = set(arrivals)
    missing = max(seen) - min(seen) + 1 - len(seen)
    assert (missing, missing, len(arrivals) - len(seen), len(arrivals) - len(seen)) == (
        lost - late,
        stream.lost,
        duplicates,
        stream.duplicates,
    )


def test_a_hole_that_is_filled_in_time_is_never_told() -> None:
    """Another order alone is no loss."""
    assert (0, 0, 0) == followed([1, 3, 2, 6, 5, 4], [False] * 5)[1:]


def test_a_hole_is_told_once_and_what_comes_later_is_told_too() -> None:
    """First lost, then found."""
    stream = Sequence(1)
    stream.came(5, 10.0)
    assert [] == stream.overdue(10.0 + gaps.SETTLE_SECONDS / 2)
    assert [Gap(2, 4)] == stream.overdue(10.0 + gaps.SETTLE_SECONDS)
    assert [] == stream.overdue(100.0)
    assert ("late", 2) == (stream.came(3, 100.0), stream.lost)
    assert [] == stream.rest()


def test_memory_is_bounded_however_many_are_lost() -> None:
    """Every second number missing, a hundred thousand times: old holes stay lost, and are forgotten."""
    stream, told = Sequence(0), 0
    for number in range(1, 100_000):
        stream.came(2 * number, number / 1000)
        if number % 100 == 0:
            told += sum(gap.size for gap in stream.overdue(number / 1000))
    told += sum(gap.size for gap in stream.rest())
    assert (99_999, 99_999) == (stream.lost, told)
    assert len(stream._holes) <= gaps.MOST_HOLES


def test_a_jump_costs_nothing() -> None:
    """A hostile number opens one hole."""
    stream = Sequence(0)
    stream.came(2**62, 0.0)
    assert [Gap(1, 2**62 - 1)] == stream.rest()
