"""Follow what a fleet predicts: messages in, rows and remarks out, a lane for each model on each core device. Pure.

What is missing, came twice or changed is told between the rows, several of a kind at once; nothing is left out.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Final

from iotctl import text
from iotctl.infer import predictions
from iotctl.infer.gaps import SETTLE_SECONDS, Gap, Sequence
from iotctl.infer.predictions import Prediction, Unreadable
from iotctl.infer.statistics import Statistics
from iotctl.result import Remark

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

MOST_LANES: Final = 10_000
"""Models on core devices that are followed one by one; of further ones the rows are shown, and nothing is counted."""
MOST_BOOTS: Final = 4
"""Starts of one program whose numbers are remembered: the last messages of one may come after the first of the next."""
_RATE_SECONDS: Final = 1.0

Row = dict[str, Any]


class Lane:
    """One model on one core device.

    Attributes:
        version, sha256: of the model that its latest message names.
        label, confidence: of its latest prediction.
        rate: predictions a second, lately.
        lost, duplicates, limited: messages; those of `lost` that AWS's limit of a connection held back are `limited`.

    """

    def __init__(self, thing_name: str, model_name: str) -> None:
        self.thing_name = thing_name
        self.model_name = model_name
        self.statistics = Statistics()
        self.version = self.sha256 = ""
        self.label: str | None = None
        self.confidence: float | None = None
        self.rate = 0.0
        self.limited = 0
        self.streams: dict[str, Sequence] = {}
        self.pending: Counter[str] = Counter()
        self.unreadable = ""
        self._gone = (0, 0)
        self._counted = (0, 0.0)

    @property
    def lost(self) -> int:
        """Messages that have not come."""
        return self._gone[0] + sum(stream.lost for stream in self.streams.values())

    @property
    def duplicates(self) -> int:
        """Messages that came again."""
        return self._gone[1] + sum(stream.duplicates for stream in self.streams.values())

    def came(self, found: Prediction, now: float) -> Sequence | None:
        """Take the number of a message; a stream that is forgotten for it, of a start long ago."""
        stream = self.streams.get(found.boot_id)
        if stream is not None:
            if word := stream.came(found.seq, now):
                self.pending[word] += 1
            return None
        if self.streams:
            self.pending["restarted"] += 1
        self.streams[found.boot_id] = Sequence(found.seq)
        if len(self.streams) <= MOST_BOOTS:
            return None
        oldest = self.streams.pop(next(iter(self.streams)))
        self._gone = (self._gone[0] + oldest.lost, self._gone[1] + oldest.duplicates)
        return oldest

    def measure(self, now: float) -> None:
        """Take the rate of the last moments."""
        count, since = self._counted
        if now - since >= _RATE_SECONDS:
            self.rate = (self.statistics.count - count) / (now - since) if since else self.statistics.rate
            self._counted = (self.statistics.count, now)

    def to_json(self) -> dict[str, Any]:
        """The lane at the end."""
        return {
            "thingName": self.thing_name,
            "modelName": self.model_name,
            "modelVersion": self.version,
            "modelSha256": self.sha256,
            **self.statistics.to_json(),
            "lost": self.lost,
            "limited": self.limited,
            "duplicates": self.duplicates,
        }


class Follower:
    """All lanes.

    Args:
        where: which predictions count and are shown; gaps are told of all.
        expected: the digest that a model should have: by thing and model name.
        rows: whether rows are wanted at all; where only figures are shown, making them is work for nothing.

    Attributes:
        shown: predictions that `where` let through; samples are counted apart, in `samples`.
        dropped: messages that this reader was too slow for.

    """

    def __init__(
        self,
        *,
        where: Callable[[Mapping[str, Any]], bool] | None = None,
        expected: Mapping[tuple[str, str], str] | None = None,
        rows: bool = True,
    ) -> None:
        self.lanes: dict[tuple[str, str], Lane] = {}
        self.shown = self.samples = self.dropped = self.reconnects = 0
        self._where = where
        self._expected = expected or {}
        self._rows = rows
        self._told: set[tuple[str, str, str]] = set()
        self._forgotten: list[tuple[Lane, str, Sequence]] = []
        self._unfollowed = 0
        self._limited_at = float("-inf")

    def feed(self, topic: str, payload: bytes, now: float) -> Row | None:
        """Take a message; its row where it is a prediction that is shown and rows are wanted."""
        found = predictions.parse(topic, payload)
        if found is None:
            return None
        lane = self.lanes.get((found.thing_name, found.model_name)) or self._lane(found)
        if isinstance(found, Unreadable):
            lane.pending["unreadable"] += 1
            lane.unreadable = f"{found.reason}: {found.shown}"
            return None
        boot = next(iter(lane.streams), "")
        if forgotten := lane.came(found, now):
            self._forgotten.append((lane, boot, forgotten))
        lane.version, lane.sha256 = found.model_version, found.model_sha256
        return self._counted(lane, found, now)

    def _counted(self, lane: Lane, found: Prediction, now: float) -> Row | None:
        row = found.row() if self._rows or self._where else None
        if self._where and not self._where(row or {}):
            return None
        if found.sample:
            self.samples += 1
        else:
            self.shown += 1
            lane.label, lane.confidence = found.label, found.confidence
            if found.error:
                lane.statistics.failed()
            else:
                lane.statistics.add(now, found.label, found.confidence, found.latency_ms)
        if self._expected:
            self._compare(lane, found, row)
        return row if self._rows else None

    def notice(self, kind: str, detail: str) -> Remark:
        """What a connection told of itself: `lost`, `back`, `dropped`."""
        if kind == "back":
            self.reconnects += 1
            return Remark("reconnected", detail, {"detail": detail})
        if kind == "dropped":
            number = int(detail.split(maxsplit=1)[0])
            self.dropped += number
            return Remark("dropped", f"dropped: {detail}", {"messages": number})
        return Remark("disconnected", f"the connection was lost: {detail}", {"detail": detail})

    def tick(self, now: float, *, limited: bool = False) -> Iterator[Remark]:
        """What is to be told by now; to be asked a few times a second.

        Args:
            now: the time, as given with the messages.
            limited: a connection receives just what AWS allows one, so that more is being held back.

        """
        if limited:
            self._limited_at = now
        for lane, boot, stream in self._forgotten:
            yield from self._gaps(lane, boot, stream.rest(), now)
        self._forgotten.clear()
        for lane in self.lanes.values():
            lane.measure(now)
            for boot, stream in lane.streams.items():
                if gaps := stream.overdue(now):
                    yield from self._gaps(lane, boot, gaps, now)
            if lane.pending:
                yield from _pending(lane)
        if self._unfollowed:
            number, self._unfollowed = self._unfollowed, 0
            words = f"{text.count(number, 'message')} of further core devices: more than {MOST_LANES:,} are not counted"
            yield Remark("unfollowed", words, {"messages": number})

    def end(self, now: float) -> Iterator[Remark]:
        """The rest of what is to be told."""
        for lane in self.lanes.values():
            for boot, stream in lane.streams.items():
                yield from self._gaps(lane, boot, stream.rest(), now)
        yield from self.tick(now)

    def _lane(self, found: Prediction | Unreadable) -> Lane:
        lane = Lane(found.thing_name, found.model_name)
        if len(self.lanes) < MOST_LANES:
            self.lanes[found.thing_name, found.model_name] = lane
        else:
            self._unfollowed += 1
        return lane

    def _compare(self, lane: Lane, found: Prediction, row: Row | None) -> None:
        wanted = self._expected.get((found.thing_name, found.model_name))
        if wanted is None or wanted == found.model_sha256:
            return
        if row is not None:
            row["unexpected"] = True
        told = (found.thing_name, found.model_name, found.model_sha256)
        if told not in self._told and len(self._told) < MOST_LANES:
            self._told.add(told)
            lane.pending["unexpected"] += 1

    def _gaps(self, lane: Lane, boot: str, gaps: Iterable[Gap], now: float) -> Iterator[Remark]:
        limited = now - self._limited_at <= 2 * SETTLE_SECONDS
        for gap in gaps:
            data = {**_about(lane), "bootId": boot, "firstSeq": gap.first, "lastSeq": gap.last, "lost": gap.size}
            number = text.count(gap.size, "message")
            if limited:
                lane.limited += gap.size
                words = (
                    f"limited: {number} of {_named(lane)} were held back by AWS's limit of 100 a second on a connection"
                )
                yield Remark("limited", f"{words}; --connections N has more of them", data)
            else:
                yield Remark("gap", f"gap: {number} of {_named(lane)} lost (seq {gap.first} to {gap.last})", data)


def _pending(lane: Lane) -> Iterator[Remark]:
    """What happened to a lane since it was last told, several of a kind at once."""
    for word, number in lane.pending.items():
        data = {**_about(lane), "messages": number}
        if word == "restarted":
            words = f"restarted: {_named(lane)} now runs {lane.version or '?'} ({lane.sha256[:12]})"
            data |= {"modelVersion": lane.version, "modelSha256": lane.sha256}
        elif word == "unexpected":
            words = f"unexpected: {_named(lane)} runs {lane.sha256[:12]}, which is not the model that is deployed there"
            data |= {"modelSha256": lane.sha256}
        elif word == "unreadable":
            words = f"unreadable: {text.count(number, 'message')} of {_named(lane)}, the last: {lane.unreadable}"
            data |= {"detail": lane.unreadable}
        elif word == "late":
            words = f"late: {text.count(number, 'message')} of {_named(lane)} came after having been told as lost"
        else:
            words = f"{word}: {text.count(number, 'message')} of {_named(lane)} came again"
        yield Remark(word, words, data)
    lane.pending.clear()


def _about(lane: Lane) -> dict[str, Any]:
    return {"thingName": lane.thing_name, "modelName": lane.model_name}


def _named(lane: Lane) -> str:
    return f"{lane.thing_name}/{lane.model_name}"
