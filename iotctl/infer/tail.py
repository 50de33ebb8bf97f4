"""Prediction topics, live: one connection or several, recorded where wanted, or played again from a record."""

from __future__ import annotations

import base64
import contextlib
import json
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TextIO

from iotctl import clock, files, mqtt, text
from iotctl.errors import Auth, Exit, Local, Usage
from iotctl.inbox import Inbox
from iotctl.infer import lanes, predictions
from iotctl.infer.follower import Follower
from iotctl.mqtt import Message, Notice
from iotctl.result import Failure, Result
from iotctl.semantics import topics

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Mapping, Sequence

    from iotctl.context import Context
    from iotctl.expression import Expression
    from iotctl.infer.follower import Row
    from iotctl.result import Remark

WAITING: Final = 10_000
"""Messages that may wait for the reader, half a second of 20,000 a second; beyond, the oldest go and are counted."""
LIMIT: Final = 100
"""Messages a second that AWS IoT sends on one connection; more are discarded (quotas page, "Outbound publish requests
per second per connection")."""

_FEW: Final = 20
_GATHER_SECONDS: Final = 0.02
_TICK_SECONDS: Final = 0.2


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be followed, and until when.

    Attributes:
        things: the core devices by name; None: all of them.
        model: one model by name; `+`: every one.
        where: which predictions are shown and counted.
        until: end with the first that this holds of.
        count: end after so many.
        seconds: end after so long; 0: never.
        connections: to share the messages over.
        record: a file to keep every message in.
        expected: the digest that a model should have, by thing and model name.
        rows: whether rows are shown, or only what is told between them.

    """

    things: Sequence[str] | None = None
    model: str = "+"
    where: Expression | None = None
    until: Expression | None = None
    count: int | None = None
    seconds: float = 0.0
    connections: int = 1
    record: str | None = None
    expected: Mapping[tuple[str, str], str] = field(default_factory=dict)
    rows: bool = True

    def follower(self) -> Follower:
        """What follows it."""
        where = self.where.holds if self.where else None
        return Follower(where=where, expected=self.expected, rows=self.rows or self.until is not None)


def live(context: Context, wanted: Wanted, follower: Follower) -> Generator[Sequence[Row | Remark], None, Result]:
    """Follow the topics of a running fleet.

    Raises:
        Auth: the connection or the subscription is refused, with the IAM statement that would allow it.

    """
    with contextlib.ExitStack() as stack:
        recorder = stack.enter_context(_recorder(wanted.record)) if wanted.record else None
        inbox: Inbox[mqtt.Item] = Inbox(WAITING)
        connections = _connect(context, wanted, inbox, stack)
        return (yield from _followed(_arriving(inbox, connections, wanted, recorder), wanted, follower))


def replayed(path: str, wanted: Wanted, follower: Follower) -> Generator[Sequence[Row | Remark], None, Result]:
    """Follow what `--record` kept: the same messages and notices, at the times of then, as fast as they can be read.

    Raises:
        Usage: the file is no record.

    """
    return (yield from _followed(_recorded(path), wanted, follower))


@dataclass(frozen=True, slots=True)
class _Arrived:
    """What came until a moment; `limited`: on a connection just as much as AWS allows."""

    now: float
    items: Sequence[Message | Notice] = ()
    limited: bool = False


def _followed(
    arriving: Iterator[_Arrived], wanted: Wanted, follower: Follower
) -> Generator[Sequence[Row | Remark], None, Result]:
    """The rows and remarks of what comes, until it is enough; Ctrl-C ends it well."""
    names = frozenset(wanted.things) if wanted.things is not None else None
    now = ticked = 0.0
    enough = False
    try:
        for arrived in arriving:
            now = arrived.now
            batch: list[Row | Remark] = []
            for item in arrived.items:
                if isinstance(item, Notice):
                    batch.append(follower.notice(item.kind, item.detail))
                    continue
                if names is not None and names.isdisjoint(item.topic.split("/")[2:3]):
                    continue
                row = follower.feed(item.topic, item.payload, now)
                if row is None:
                    enough = wanted.count is not None and follower.shown >= wanted.count
                else:
                    if wanted.rows:
                        batch.append(row)
                    enough = _is_enough(row, wanted, follower)
                if enough:
                    break
            if enough or now - ticked >= _TICK_SECONDS:
                batch += follower.tick(now, limited=arrived.limited)
                ticked = now
            yield batch
            if enough:
                break
    except KeyboardInterrupt:
        enough = True
    yield list(follower.end(now))
    return _closing(wanted, follower, enough=enough)


def _is_enough(row: Row, wanted: Wanted, follower: Follower) -> bool:
    if row.get("sample"):
        return False
    counted = wanted.count is not None and follower.shown >= wanted.count
    return counted or (wanted.until is not None and wanted.until.holds(row))


def _closing(wanted: Wanted, follower: Follower, *, enough: bool) -> Result:
    """How it ended: figures, and a failure where what was waited for did not come."""
    failures: tuple[Failure, ...] = ()
    if not enough and (wanted.count is not None or wanted.until is not None):
        came = (
            f"{follower.shown:,} of {text.count(wanted.count, 'prediction')}"
            if wanted.count
            else "nothing --until wants"
        )
        when = f"within {wanted.seconds:g} s" if wanted.seconds else "before the record ended"
        samples = f"; {text.count(follower.samples, 'sample')} did not count" if follower.samples else ""
        failures = (Failure("Timeout", f"{came} came {when}{samples}", exit=Exit.TIMEOUT),)
    ordered = sorted(follower.lanes.values(), key=lambda lane: (lane.thing_name, lane.model_name))
    data = {
        "predictions": follower.shown,
        "dropped": follower.dropped,
        "reconnects": follower.reconnects,
        "lanes": [lane.to_json() for lane in ordered],
    }
    table = None if wanted.rows else lanes.table(ordered)
    return Result(data, table, notes=(lanes.summary(follower, over=True),), failures=failures)


def _connect(
    context: Context, wanted: Wanted, inbox: Inbox[mqtt.Item], stack: contextlib.ExitStack
) -> list[mqtt.Connection]:
    filters = _filters(wanted)
    if wanted.connections > 1:
        group = f"iotctl-{uuid.uuid4().hex[:8]}"
        filters = [topics.shared(group, each) for each in filters]
    connections = []
    try:
        for _ in range(wanted.connections):
            connections.append(stack.enter_context(context.operator(inbox)))
            connections[-1].subscribe(filters)
    except Auth as error:
        if error.code in {"ConnectRefused", "SubscribeRefused"}:
            statement = json.dumps(_statement(context, _filters(wanted), shared=wanted.connections > 1))
            error.hint = f"allow it to these credentials, in an IAM policy: {statement}"
        raise
    return connections


def _filters(wanted: Wanted) -> list[str]:
    """A filter for each thing where they are few; else one for all, and the others' messages are passed over."""
    whose = wanted.things if wanted.things is not None and len(wanted.things) <= _FEW else ["+"]
    return [predictions.topic_filter(name, wanted.model) for name in whose]


def _statement(context: Context, filters: Sequence[str], *, shared: bool) -> list[dict[str, Any]]:
    """What IAM must allow: IoT policy actions on the client id, the filters and the topics behind them."""
    arn = context.target.arn
    subscribed = [f"$share/iotctl-*/{each}" for each in filters] if shared else filters
    received = [each.replace("+", "*") for each in filters]
    return [
        {"Effect": "Allow", "Action": "iot:Connect", "Resource": arn("client/iotctl-*")},
        {"Effect": "Allow", "Action": "iot:Subscribe", "Resource": [arn(f"topicfilter/{each}") for each in subscribed]},
        {"Effect": "Allow", "Action": "iot:Receive", "Resource": [arn(f"topic/{each}") for each in received]},
    ]


def _arriving(
    inbox: Inbox[mqtt.Item], connections: Sequence[mqtt.Connection], wanted: Wanted, recorder: _Recorder | None
) -> Iterator[_Arrived]:
    """What comes, gathered for a moment so that thousands a second cost few turns; at the latest after a tick."""
    until = clock.monotonic() + wanted.seconds if wanted.seconds else None
    rates = _Rates(connections)
    while until is None or clock.monotonic() < until:
        left = _TICK_SECONDS if until is None else min(_TICK_SECONDS, until - clock.monotonic())
        items = list(mqtt.taken(inbox, left))
        now = clock.epoch()
        if recorder:
            recorder.keep(now, items)
        yield _Arrived(now, items, rates.at_limit(clock.monotonic()))
        if len(items) > 1:
            clock.sleep(_GATHER_SECONDS)


class _Rates:
    """Whether a connection receives just what AWS sends it at most: not fewer, and not more than there can be."""

    def __init__(self, connections: Sequence[mqtt.Connection]) -> None:
        self._connections = connections
        self._since = clock.monotonic()
        self._received = [each.received for each in connections]
        self._found = False

    def at_limit(self, now: float) -> bool:
        """Asked as often as one likes; judged once a second."""
        seconds = now - self._since
        if seconds >= 1.0:
            counts = [each.received for each in self._connections]
            rates = [(new - old) / seconds for new, old in zip(counts, self._received, strict=True)]
            self._found = any(0.95 * LIMIT <= rate <= 1.05 * LIMIT for rate in rates)
            self._since, self._received = now, counts
        return self._found


class _Recorder:
    """Keeps messages (`{time, topic, payload}`, the payload in base64) and notices as JSON lines."""

    def __init__(self, file: TextIO) -> None:
        self._file = file

    def keep(self, now: float, items: Sequence[Message | Notice]) -> None:
        """Write what came, and hand it to the system."""
        for item in items:
            if isinstance(item, Message):
                value = {"topic": item.topic, "payload": base64.b64encode(item.payload).decode()}
            else:
                value = {"notice": item.kind, "detail": item.detail}
            self._file.write(json.dumps({"time": round(now, 3), **value}) + "\n")
        if items:
            self._file.flush()


@contextlib.contextmanager
def _recorder(path: str) -> Iterator[_Recorder]:
    with files.explained(Path(path)):
        try:
            file = Path(path).open("x", encoding="utf-8")  # noqa: SIM115  the `with` below closes it
        except FileExistsError as error:
            raise Local(f"{path} exists already", hint="--record another file; none is replaced", on=path) from error
        with file:
            yield _Recorder(file)


def _recorded(path: str) -> Iterator[_Arrived]:
    try:
        with Path(path).open("rb") as file:
            for number, line in enumerate(file, 1):
                yield _line(line, f"{path}:{number}")
    except OSError as error:
        raise Usage(f"{path} cannot be read: {error.strerror}", on=path) from error


def _line(line: bytes, where: str) -> _Arrived:
    value = text.loads(line, name=where)
    try:
        if "notice" in value:
            return _Arrived(float(value["time"]), (Notice(str(value["notice"]), str(value["detail"])),))
        payload = base64.b64decode(value["payload"], validate=True)
        return _Arrived(float(value["time"]), (Message(str(value["topic"]), payload, retained=False),))
    except (KeyError, TypeError, ValueError) as error:
        raise Usage(f"{where} is no line of a record", hint="iotctl infer tail … --record FILE makes one") from error
