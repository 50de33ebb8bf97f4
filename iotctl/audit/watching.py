"""Audits again and again, by schedule and on change, of which only what is new and what is healed is told."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from iotctl import clock, mqtt
from iotctl.audit import asked, history, notify
from iotctl.errors import Error, Exit
from iotctl.journal import Journal
from iotctl.mqtt import Notice
from iotctl.result import Failure, Remark, Result
from iotctl.semantics import topics
from iotctl.semantics.checks import Severity, State
from iotctl.text import count

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Mapping, Sequence

    from iotctl.audit.asked import Asked
    from iotctl.audit.notify import Notifier
    from iotctl.context import Context
    from iotctl.mqtt import Connection

_QUIET: Final = 1.0
"""Seconds without another change after which those that came are looked at."""

_PATIENCE: Final = 30.0
"""Seconds after which they are looked at, quiet or not."""

_MOST_CHANGED: Final = 500
"""With more things changed than this, the whole fleet is audited: that costs no more."""

_HOPELESS: Final = (Exit.USAGE, Exit.AUTH, Exit.NOT_FOUND)
"""What a first audit fails with where waiting would not help: a query that is none, no credentials, no such group."""

_CHANGES: Final = (
    topics.shadow("+", "update/documents"),
    topics.shadow("+", "update/documents", "+"),
    topics.thing_event("+", "+"),
    topics.thing_group_membership_event("+", "+", "+"),
    topics.thing_type_association_event("+", "+"),
)
_EVENTS: Final = ("THING", "THING_GROUP_MEMBERSHIP", "THING_TYPE_ASSOCIATION")


@dataclass(frozen=True, slots=True)
class How:
    """How it is watched.

    Attributes:
        every: seconds between two audits of the whole.
        on_change: also audit the things that change, at once.
        most: end after so many audits of the whole; None: never.
        notify: where it is told besides the terminal, as words.

    """

    every: float
    on_change: bool = False
    most: int | None = None
    notify: Sequence[str] = ()


def watch(context: Context, wanted: Asked, how: How) -> Generator[Mapping[str, Any] | Remark, None, Result]:
    """Follow a fleet.

    Yields:
        A row for each finding that is new or healed; a remark for each audit, and for what was not told or missed.

    Returns:
        How many audits there were, and what they found; PARTIAL where the last one was incomplete.

    Raises:
        Usage: at once, where `how.notify` has a word that is none.
        Error: the first audit cannot be made, and would not be by waiting.

    """
    line = _Line(context)
    return _watched(context, wanted, how, line, notify.parse(how.notify, context, line.connection))


def _watched(
    context: Context, wanted: Asked, how: How, line: _Line, notifiers: Mapping[str, Notifier]
) -> Generator[Mapping[str, Any] | Remark, None, Result]:
    with line.stack, Journal(context.home) as journal:
        watcher = _Watcher(context, wanted, journal, notifiers)
        if how.on_change:
            line.connection().subscribe(_CHANGES)
            yield from _events_off(context)
        due, done, code = clock.monotonic(), 0, Exit.OK
        while True:
            code = yield from watcher.audit(wanted, first=not done)
            done, due = done + 1, due + how.every
            if how.most is not None and done >= how.most:
                return Result({"audits": done, **watcher.told}, exit=Exit.PARTIAL if code is Exit.PARTIAL else Exit.OK)
            due = max(due, clock.monotonic())
            while (left := due - clock.monotonic()) > 0:
                if not how.on_change:
                    clock.sleep(left)
                    continue
                changed = _changed(line.connection(), due)
                if isinstance(changed, Remark):
                    yield changed
                    break
                if watcher.inside is not None:
                    changed &= watcher.inside
                if changed:
                    yield from watcher.audit(wanted.about(sorted(changed)), only=changed)


@dataclass
class _Line:
    """The operator's MQTT connection, made when it is first needed."""

    context: Context
    stack: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)
    _made: list[Connection] = field(default_factory=list)

    def connection(self) -> Connection:
        if not self._made:
            self._made.append(self.stack.enter_context(self.context.operator()))
        return self._made[0]


@dataclass
class _Watcher:
    context: Context
    wanted: Asked
    journal: Journal
    notifiers: Mapping[str, Notifier]
    told: dict[str, int] = field(default_factory=lambda: {"new": 0, "healed": 0})
    inside: frozenset[str] | None = None
    """The things that are watched; None: all."""
    _unsent: dict[str, list[bytes]] = field(default_factory=dict)

    def audit(
        self, wanted: Asked, *, only: frozenset[str] | None = None, first: bool = False
    ) -> Generator[Mapping[str, Any] | Remark, None, Exit]:
        """One audit, of all or of some things; how it ended.

        Raises:
            Error: it is the first, and what was typed can make none.

        """
        try:
            audit, seen = asked.audited(self.context, wanted)
        except Error as error:
            if first and error.exit in _HOPELESS:
                raise
            # The next one may go better: a watch is not ended by an hour without a network.
            yield _not_made(error)
            return Exit.PARTIAL
        if only is None and wanted.wanted.things is not None:
            self.inside = frozenset(thing.name for thing in seen.fleet.things)
        code = audit.exit(Severity.LOW, wanted.named)
        series = history.Series("audit watch", self.wanted.words, self.context.target)
        changed = history.record(self.journal, series, audit, code, only=only)
        self.told["new"] += len(changed.new)
        self.told["healed"] += len(changed.healed)
        at = clock.iso(audit.at)
        for event, findings in (("new", changed.new), ("healed", changed.healed)):
            for finding in findings:
                yield {"time": at, "event": event, **finding}
        yield from self._notify(list(notify.messages(changed, self.context.target.to_json(), at)))
        if only is None:
            unknown = sum(one.state is State.UNKNOWN for one in audit.verdicts)
            words = (
                f"{at}: {count(len(audit.findings), 'finding')}, {len(changed.new)} new, {len(changed.healed)} healed"
            )
            words += f"; {count(unknown, 'check')} unknown" if unknown else ""
            data = {"time": at, "findings": len(audit.findings), "unknownChecks": unknown, "exitCode": int(code)}
            yield Remark("audit", words, {**data, "new": len(changed.new), "healed": len(changed.healed)})
        return code

    def _notify(self, messages: list[bytes]) -> Iterable[Remark]:
        """Send what is to be told, and what could not be sent before; what cannot be sent now is tried again later."""
        for name, send in self.notifiers.items():
            left = [*self._unsent.get(name, ()), *messages]
            try:
                while left:
                    send(left[0])
                    del left[0]
            except Error as error:
                words = f"{name} was not told: {error.message}; it is tried again after the next audit"
                yield Remark("notNotified", words, {"notifier": name, "code": error.code, "messages": len(left)})
            self._unsent[name] = left


def _changed(connection: Connection, until: float) -> frozenset[str] | Remark:
    """The things that changed, once it is quiet; none where nothing did by then; a remark where some may be missed."""
    found: set[str] = set()
    begun = last = clock.monotonic()
    while True:
        now = clock.monotonic()
        if found and (now - last >= _QUIET or now - begun >= _PATIENCE):
            return frozenset(found)
        if not found and now >= until:
            return frozenset()
        for item in mqtt.taken(connection.inbox, 0.2 if found else min(0.5, until - now)):
            if isinstance(item, Notice):
                if item.kind != "lost":  # once it is back, all is looked at
                    return Remark(
                        "missed", f"changes may be missed ({item.detail}): all is audited", {"why": item.kind}
                    )
                continue
            last = clock.monotonic()
            begun = begun if found else last
            found |= {name for name in map(_thing_of(item.topic).get, _CHANGES) if name}
            if len(found) > _MOST_CHANGED:
                return Remark("missed", f"more than {_MOST_CHANGED} things changed: all is audited", {"why": "many"})


def _thing_of(topic: str) -> dict[str, str]:
    """The thing that a message is about, by the filter that it came by."""
    at = {_CHANGES[3]: 1}
    return {
        wanted: captured[at.get(wanted, 0)]
        for wanted in _CHANGES
        if (captured := topics.capture(wanted, topic)) is not None
    }


def _events_off(context: Context) -> Iterable[Remark]:
    """Say which changes AWS does not tell of, as they are off."""
    try:
        answer = context.reading.call("iot:DescribeEventConfigurations").get("eventConfigurations", {})
    except Error as error:
        answer, why = {}, error.message
    else:
        why = "they are off in the account's event configuration"
    off = [kind for kind in _EVENTS if not answer.get(kind, {}).get("Enabled")]
    if off:
        words = f"no events of {', '.join(off)}: {why}; such changes are found by the schedule only"
        yield Remark("eventsOff", words, {"eventTypes": off})


def _not_made(error: Error) -> Remark:
    failure = Failure.of(error)
    return Remark("failed", f"no audit could be made: {error.message}", failure.to_json())
