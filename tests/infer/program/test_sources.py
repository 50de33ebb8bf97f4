"""Where inputs come from: files that arrive, lines, and a topic that does not wait."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from inference.child import Item
from inference.configuration import Source
from inference.outbox import Outbox
from inference.sources import Directory, Inbox, Stream


def test_a_topic_does_not_wait() -> None:
    """The oldest are dropped and counted; bytes count too."""
    inbox = Inbox(lambda: None, most=3, most_bytes=100)
    for number in range(5):
        inbox.offer(Item(b"%d" % number))
    assert ([b"2", b"3"], 2) == ([item.payload for item in inbox.take(2)], inbox.dropped)
    inbox.offer(Item(b"x" * 100))
    assert ([b"x" * 100], 3) == ([item.payload for item in inbox.take(9)], inbox.dropped)


def test_a_file_is_taken_when_it_is_whole(tmp_path: Path) -> None:
    """Its size the same at two looks; once; again when it changes; hidden and other files are not."""
    place, work = tmp_path / "in", tmp_path / "work"
    place.mkdir()
    work.mkdir()
    inbox = Inbox(lambda: None)
    directory = Directory(Source("directory", path=str(place), pattern="*.json"), inbox, str(work))
    for name in ("a.json", ".b.json", "c.txt"):
        (place / name).write_text("[1]")
    directory.look()
    assert [] == inbox.take(9)
    directory.look()
    (one,) = inbox.take(9)
    assert ("a.json", b"[1]") == (one.name, one.payload)
    directory.look()
    assert [] == inbox.take(9)
    one.done()
    (place / "a.json").write_text("[2, 3]")
    directory.look()
    directory.look()
    assert [b"[2, 3]"] == [item.payload for item in inbox.take(9)]


@pytest.mark.parametrize(("after", "left"), [("keep", {"a"}), ("delete", set()), ("move", {"done"})])
def test_a_file_that_is_done(tmp_path: Path, after: str, left: set[str]) -> None:
    """Stays, goes, or is moved; and is not taken again by the next start."""
    place, work = tmp_path / "in", tmp_path / "work"
    place.mkdir()
    work.mkdir()
    (place / "a").write_text("1,2")
    inbox = Inbox(lambda: None)
    directory = Directory(Source("directory", path=str(place), after=after), inbox, str(work))
    directory.look()
    directory.look()
    inbox.take(1)[0].done()
    assert left == {path.name for path in place.iterdir()}
    again = Directory(Source("directory", path=str(place), after=after), inbox, str(work))
    again.look()
    again.look()
    assert [] == inbox.take(9)


def test_a_stream_goes_on_where_it_was(tmp_path: Path) -> None:
    """Lines that were answered are not taken again; a header names the columns."""
    path = tmp_path / "in.csv"
    path.write_text('a,b\n1,2\n3,"4"\n')
    settings = Source("stream", path=str(path), header=True, follow=False)
    inbox = Inbox(lambda: None)
    Stream(settings, inbox, str(tmp_path)).read()
    first, second = inbox.take(9)
    assert [{"a": "1", "b": "2"}, {"a": "3", "b": "4"}] == [json.loads(item.payload) for item in (first, second)]
    assert inbox.ended
    first.done()
    again = Inbox(lambda: None)
    Stream(settings, again, str(tmp_path)).read()
    assert [{"a": "3", "b": "4"}] == [json.loads(item.payload) for item in again.take(9)]


class Sent:
    """A transport that keeps what is published; nothing settles before it is told, and nothing else may be asked."""

    def __init__(self) -> None:
        self.topics: list[str] = []
        self.open: list[Any] = []

    def publish(self, topic: str, payload: bytes, qos: int, done: Any) -> None:
        self.topics.append(topic)
        self.open.append(done)

    def subscribe(self, topic: str, received: Any) -> None:
        raise NotImplementedError

    def close(self) -> None:
        raise NotImplementedError


def test_predictions_are_dropped_and_reports_are_kept() -> None:
    """The oldest first; what is important goes first; no more is under way than may be."""
    transport = Sent()
    outbox = Outbox(transport, lambda: None, per_second=0, most=3, flight=4)
    for number in range(5):
        outbox.prediction(f"p{number}", b"", 1)
    outbox.important("report", b"")
    outbox.prediction("large", b"x" * 200_000, 1)
    outbox.step()
    assert (["report", "p2", "p3", "p4"], 3) == (transport.topics, outbox.dropped)
    outbox.important("more", b"")
    outbox.step()
    assert 4 == len(transport.topics)
    transport.open[0]()
    outbox.step()
    assert "more" == transport.topics[-1]
    for done in transport.open[1:]:
        done()
    assert outbox.idle


def test_the_pace_is_that_of_a_connection() -> None:
    """A burst of a quarter of a second, then one after the other."""
    transport = Sent()
    outbox = Outbox(transport, lambda: None, per_second=100)
    for number in range(100):
        outbox.prediction(f"p{number}", b"", 1)
    wait = outbox.step()
    assert 25 <= len(transport.topics) <= 30
    assert 0 < wait <= 0.01
