"""What waits for a reader: bounded, the oldest dropped and counted, notices kept."""

from __future__ import annotations

import threading

from hypothesis import given
from hypothesis import strategies as st

from iotctl import inbox
from iotctl.inbox import Inbox


@given(st.lists(st.one_of(st.integers(0, 9), st.none()), max_size=60), st.integers(1, 5))
def test_nothing_goes_unless_it_is_counted(items: list[int | None], most: int) -> None:
    """The latest messages are there in order, the others are counted, and every notice (None) is kept."""
    box: Inbox[int | None] = Inbox(most)
    for item in items:
        if item is None:
            box.tell(item)
        else:
            box.put(item, 1)
    found = box.take(0)
    messages = [item for item in items if item is not None]
    kept = [item for item in found if item is not None]
    assert (messages[len(messages) - len(kept) :], len(messages) - len(kept)) == (kept, box.dropped)
    assert items.count(None) == found.count(None)
    assert len(kept) <= most


def test_few_large_messages_are_bounded_too() -> None:
    """By their bytes: a flood of the largest messages does not fill the memory."""
    box: Inbox[int] = Inbox(10**6)
    size = 128 * 1024
    number = inbox.MOST_BYTES // size
    for message in range(number + 10):
        box.put(message, size)
    assert (number, 10) == (len(box.take(0)), box.dropped)


def test_a_reader_that_waits_is_woken() -> None:
    """By the first message, from another thread; one that waits for nothing comes back in time."""
    box: Inbox[str] = Inbox(10)
    assert [] == box.take(0.01)
    threading.Timer(0.05, box.put, ("here", 4)).start()
    assert ["here"] == box.take(10)
    assert [] == box.take(0)
