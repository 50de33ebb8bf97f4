"""Carry out a plan: ordered within a thing, parallel across things, paced by quota; and wait for states (tenacity).

Shared steps run first. Then things, a batch ahead of the calls: effects on this machine on the caller's thread (signing
beside busy threads is a hundred times slower), then the AWS steps of each thing, in the traffic of all of them. A
failing thing stops only itself. What a run did is told as one Outcome per thing, as it settles; the caller records and
shows it.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
import threading
from collections.abc import Callable, Container, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, Self, TypeVar

import tenacity

from iotctl import clock
from iotctl.errors import (
    Auth,
    Conflict,
    Denied,
    Error,
    Exists,
    Integrity,
    Interrupted,
    Local,
    NotFound,
    Refused,
    RolloutFailed,
    Temporary,
    Timeout,
)
from iotctl.journal import Outcome
from iotctl.lines import Ask, Flow, Journey, Pause
from iotctl.plan import Adopt, Either, Expect, Plan, Row, Step, lookup, resolve
from iotctl.result import Failure
from iotctl.traffic import Traffic

BATCH: Final = 500
FIRST_BATCH: Final = 32
"""Things whose bundles are made before the first call goes out; each later batch is twice as large, up to `BATCH`."""
TICK: Final = 0.25
CLOSED_AT_ONCE: Final = 50
WAITS: Final = (0.2, 0.6, 1.5, 3.0)
SETTLING: Final = (0.2, 0.5, 1.0, 2.0, 5.0)
"""Seconds between two tries of what AWS does not let happen yet; the last again and again."""
EQUAL_FAILURES: Final = 20
DENIALS: Final = 3

_UNSETTLED: Final = frozenset({"CertificateStateException", "DeleteConflictException", "InvalidRequestException"})

Call = Callable[..., dict[str, Any]]
Effect = Callable[[Sequence[Mapping[str, Any]]], "list[dict[str, Any] | Error]"]
_Answer = TypeVar("_Answer")
_Answering = Generator[Ask | Pause, dict[str, Any], dict[str, Any]]
"""A part of a journey, with the answer that it comes to."""


@dataclass(slots=True)
class World:
    """What a run needs of the world.

    Attributes:
        call: `call(op, **params)`, one attempt; `iotctl.aws.Aws.call`.
        members: the parameter names of an operation; `iotctl.aws.Aws.members`.
        effects: steps that are not AWS operations, by name.
        rates: calls per second that are allowed, by operation.
        starts: calls per second to begin with, where the quota is not known; it is found. An operation that is in
            neither is held by its refusals only.
        settled: which of these things are done already, and are skipped.
        stop: set to end the run early; what is in flight finishes.
        say: told what a person should know of a step.
        watch: called a few times a second, with a function that gives how each operation fares.
        traffic: what lets the calls go; with threads, unless a simulation has them in a time of its own.

    """

    call: Call
    members: Callable[[str], frozenset[str]]
    effects: Mapping[str, Effect] = field(default_factory=dict)
    rates: Mapping[str, float] = field(default_factory=dict)
    starts: Mapping[str, float] = field(default_factory=dict)
    settled: Callable[[list[str]], frozenset[str]] = lambda _: frozenset()
    stop: threading.Event = field(default_factory=threading.Event)
    say: Callable[[str], None] = lambda _: None
    watch: Callable[[Callable[[], Mapping[str, Flow]]], None] = lambda _: None
    traffic: Callable[..., Traffic[dict[str, Any]]] = Traffic


def run(plan: Plan, world: World) -> Iterator[Outcome]:
    """Carry out a plan.

    Yields:
        One Outcome per thing that was tried, in the order in which they settle.

    Raises:
        Error: a shared step failed, or something ended the whole run: credentials, the disk, twenty equal failures in
            a row. What was done until then has been yielded; the rest stays as it was.

    """
    shared: dict[str, Any] = {}
    leading, sequence, closing = _phases(plan.each, world.effects)
    breaker, left = _Breaker(), len(plan.rows)
    with _Steps(world, plan.operations()) as steps:
        for step in plan.shared:
            steps.once(step, shared)
        for batch in steps.ahead(plan.rows, plan.batch):
            done = world.settled([row["thingName"] for row in batch])
            scopes = [{**shared, "row": row} for row in batch if row["thingName"] not in done]
            left -= len(batch) - len(scopes)
            for scope, error in _prepare(leading, scopes, world.effects):
                if error is None:
                    steps.begin(sequence, scope)
                else:
                    yield _outcome(plan, scope, error)
                    breaker.watch(error)
            for settled in steps.settled(CLOSED_AT_ONCE if closing else 1):
                good = [scope for scope, error in settled if error is None]
                told = [(scope, error) for scope, error in settled if error is not None]
                for scope, error in (*told, *_prepare(closing, good, world.effects)):
                    left -= error is None
                    yield _outcome(plan, scope, error)
                    breaker.watch(error)
        for step in plan.after if not left else ():
            if not world.stop.is_set():
                steps.once(step, shared)


def _phases(each: Sequence[Step], effects: Container[str]) -> tuple[Sequence[Step], Sequence[Step], Sequence[Step]]:
    """The effects that come before the operations, the operations, and the effects after them."""

    def of_this_machine(step: Step) -> bool:
        return step.op in effects

    leading = len(list(itertools.takewhile(of_this_machine, each)))
    closing = len(list(itertools.takewhile(of_this_machine, reversed(each[leading:]))))
    return each[:leading], each[leading : len(each) - closing], each[len(each) - closing :]


def answers(step: Step, rows: Iterable[Row], world: World) -> Iterator[tuple[Row, dict[str, Any] | Error]]:
    """The answer of one read for each row, paced and retried as a plan's steps are.

    Yields:
        The row with its answer, or with the error of this one row; in the order in which they settle.

    Raises:
        Error: credentials, or equal failures in a row, as for `run`.

    """
    named, breaker = replace(step, name="answer"), _Breaker()
    with _Steps(world, (step.op,)) as steps:
        for batch in steps.ahead(rows):
            for row in batch:
                steps.begin((named,), {"row": row})
            for settled in steps.settled(1):
                for scope, error in settled:
                    yield scope["row"], error if error is not None else scope["answer"]
                    if not isinstance(error, NotFound):
                        breaker.watch(error)


def poll(
    read: Callable[[], _Answer], done: Callable[[_Answer], bool], *, seconds: float, what: str, every: float = 0.5
) -> _Answer:
    """Read until it is as it should be; the waits grow from `every` to ten times that.

    Raises:
        Timeout: it is not so after this many seconds.

    """
    retrying = tenacity.Retrying(
        retry=tenacity.retry_if_result(lambda answer: not done(answer)),
        wait=tenacity.wait_exponential(multiplier=every, max=every * 10) + tenacity.wait_random(0, every),
        stop=tenacity.stop_after_delay(seconds),
        sleep=clock.sleep,
    )
    try:
        return retrying(read)
    except tenacity.RetryError as error:
        raise Timeout(
            f"{what} did not happen within {seconds:g} s; it may still", hint="run the same command again"
        ) from error


def still_waiting(plan: Plan, world: World, failed: Container[str]) -> list[str]:
    """Wait for what must become true after a plan's steps; the things for which it did not, in time.

    Args:
        plan: with a `wait`.
        world: as for `run`.
        failed: things whose steps failed; nothing is waited for there.

    """
    wait = plan.wait
    assert wait is not None
    left = [row for row in plan.rows if row["thingName"] not in failed]
    step = Step(wait.op, wait.params)

    def holds(answer: dict[str, Any] | Error) -> bool:
        if isinstance(answer, Error):
            return False
        return all(_equal(expect.equals, lookup(expect.path, answer)) for expect in wait.holds)

    def those_left() -> list[Row]:
        nonlocal left
        left = [row for row, answer in answers(step, left, world) if not holds(answer)]
        return left

    with contextlib.suppress(Timeout):
        poll(
            those_left,
            lambda waiting: not waiting or world.stop.is_set(),
            seconds=wait.seconds,
            what=wait.what,
        )
    return sorted(row["thingName"] for row in left)


class _Steps:
    """Performs steps for things, with their retries and their idea of success, in one traffic."""

    def __init__(self, world: World, operations: Iterable[str]) -> None:
        self._world = world
        order = [op for op in operations if op not in world.effects]
        self._creates = any(op.partition(":")[2].startswith(("Create", "Register")) for op in order)
        self.traffic = world.traffic(world.call, world.stop, rates=world.rates, starts=world.starts, order=order)
        self._more = True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.traffic.__exit__(*error)

    def ahead(self, rows: Iterable[Row], size: int = 0) -> Iterator[list[Row]]:
        """The rows in batches, of one size or growing; the last one is empty, for what is still on its way then."""
        waiting, growing = iter(rows), FIRST_BATCH
        while (batch := list(itertools.islice(waiting, size or growing))) and not self._world.stop.is_set():
            yield batch
            growing = min(BATCH, growing * 2)
        self._more = False
        yield []

    def once(self, step: Step, scope: dict[str, Any]) -> None:
        """A step that is done once for all things; where its verdict is no, what is declared for that, first.

        A wait that is stopped, or lasted too long, is no verdict: the same command goes on with it.
        """
        try:
            self.traffic.drive(self.perform(step, scope))
        except RolloutFailed:
            for other in step.otherwise:
                self.traffic.drive(self.perform(other, scope))
            raise

    def begin(self, sequence: Sequence[Step], scope: dict[str, Any]) -> None:
        """Let the steps of one thing begin."""
        self.traffic.submit(scope, self._journey(sequence, scope))

    def settled(self, most: int) -> Iterator[list[tuple[dict[str, Any], Error | None]]]:
        """What settles, until the next batch is wanted; after the last one, all of it.

        Raises:
            BaseException: what went wrong is no error of ours.

        """
        enough, looked = BATCH // 2 if self._more else 0, False
        # However few there are yet, their calls go out before the next batch is made.
        while self.traffic.pending > (enough if looked else 0):
            found = [(scope, _raised(fault)) for scope, fault in self.traffic.settle(most, TICK)]
            self._world.watch(self.traffic.flows)
            if found:
                yield found
            looked = True

    def _journey(self, sequence: Sequence[Step], scope: dict[str, Any]) -> Journey:
        for step in sequence:
            yield from self.perform(step, scope)

    def perform(self, step: Step, scope: dict[str, Any]) -> Journey:
        """Do it, once for each item; the answer goes into the scope under the step's name.

        Raises:
            Error: it failed, after the retries that make sense for it.

        """
        if step.when and not _equal(resolve(step.when.equals, scope), lookup(step.when.path, scope)):
            return
        for item in _items(step, scope):
            within = {**scope, "item": item} if step.for_each else scope
            params = resolve(step.params, within)
            if step.unless_found and (yield from self._found(step, params)):
                continue
            try:
                answer = yield from (self._verified if step.verifies else self._expected)(step, params, within)
            except Exists as taken:
                answer = yield from self._judge(step, params, within, taken)
            except NotFound as missing:
                if not step.absent_is_done:
                    missing.hint = step.hint or missing.hint
                    raise
                answer = {}
            if step.name:
                scope[step.name] = answer

    def _judge(self, step: Step, params: Mapping[str, Any], scope: Mapping[str, Any], taken: Exists) -> _Answering:
        """The name is taken: success if everything that was expected of it holds."""
        answer: dict[str, Any] = {}
        if not step.on_exists:
            raise taken
        if step.adopt:
            yield from self._adopt(step.adopt, step.on_exists[0], params, scope)
        for expect in step.on_exists:
            answer = yield from self._read(expect, params, scope)
            _hold(f"{step.op}: it exists, and", expect, answer, scope, taken.cause)
        return answer

    def _adopt(self, adopt: Adopt, read: Expect, params: Mapping[str, Any], scope: Mapping[str, Any]) -> Journey:
        """Make what is there ours, if nobody has claimed it; whoever changes it meanwhile is seen."""
        for _ in WAITS:
            found = yield from self._read(read, params, scope)
            if lookup(adopt.unclaimed, found) is not None:
                return
            for expect in adopt.keeps:
                _hold(f"{adopt.step.op} would change it:", expect, found, scope)
            try:
                yield from self.perform(adopt.step, {**scope, "found": found})
            except Conflict as error:
                if error.code != "VersionConflictException":
                    raise
            else:
                return

    def _expected(self, step: Step, params: Mapping[str, Any], scope: Mapping[str, Any]) -> _Answering:
        answer = yield from self._perform(step, params)
        if step.expect:
            _confirm(step, answer, scope)
        return answer

    def _verified(self, step: Step, params: Mapping[str, Any], scope: Mapping[str, Any]) -> _Answering:
        """A read of what was done: AWS's registry is eventually consistent, so a difference is looked at again."""
        for wait in (*WAITS, None):
            try:
                return (yield from self._expected(step, params, scope))
            except (Integrity, Temporary) as error:
                if wait is None:
                    raise Integrity(error.message, code="Verify", cause=error.cause) from error
            yield Pause(wait)
        raise AssertionError(step.op)  # pragma: no cover  the last wait is None, and raises

    def _read(self, expect: Expect, params: Mapping[str, Any], scope: Mapping[str, Any]) -> _Answering:
        op = str(expect.op)
        shared = {key: value for key, value in params.items() if key in self._world.members(op)}
        return (yield from self._call(op, {**shared, **resolve(expect.params, scope)}))

    def _perform(self, step: Step, params: Mapping[str, Any]) -> _Answering:
        if step.op in self._world.effects:
            (answer,) = self._world.effects[step.op]([params])
            if isinstance(answer, Error):
                raise answer
            return answer
        if step.settles or step.unless_used:
            return (yield from self._settling(step, params))
        return (yield from self._call(step.op, params))

    def _settling(self, step: Step, params: Mapping[str, Any]) -> _Answering:
        """An operation that what was done just before may still stand in the way of, or that others may."""
        ends = clock.monotonic() + step.settles
        for wait in itertools.chain(SETTLING, itertools.repeat(SETTLING[-1])):
            late = clock.monotonic() + wait > ends
            user = yield from self._user(step, params)
            if user and late:
                self._world.say(f"{next(iter(params.values()))} stays: {user} still uses it ({step.op})")
                return {}
            try:
                if not user:
                    return (yield from self._call(step.op, params))
            except (Conflict, Refused) as error:
                if error.code not in _UNSETTLED:
                    raise
                if late:
                    name = next(iter(params.values()))
                    raise Timeout(
                        f"{step.op} of {name}: AWS did not let it happen within {step.settles:g} s",
                        code=error.code,
                        cause=error.cause,
                        hint=step.hint or "it may take minutes to let go: run the same command again, it resumes",
                    ) from error
            yield Pause(wait)
        raise AssertionError(step.op)  # pragma: no cover  the waits never end

    def _user(self, step: Step, params: Mapping[str, Any]) -> Generator[Ask | Pause, dict[str, Any], str]:
        """Who still uses what the step removes, as the reads find it; empty: nobody."""
        for use in step.unless_used:
            shared = {key: value for key, value in params.items() if key in self._world.members(use.op)}
            with contextlib.suppress(NotFound):
                answer = yield from self._call(use.op, {**shared, **use.params}, believe=True)
                found = lookup(use.path, answer)
                if found:
                    return _short(found[0] if isinstance(found, list) else found)
        return ""

    def _found(self, step: Step, params: Mapping[str, Any]) -> Generator[Ask | Pause, dict[str, Any], bool]:
        op = str(step.unless_found)
        shared = {key: value for key, value in params.items() if key in self._world.members(op)}
        try:
            yield from self._call(op, shared, believe=True)
        except NotFound:
            return False
        return True

    def _call(self, op: str, params: Mapping[str, Any], *, believe: bool = False) -> _Answering:
        """One operation; what is temporary is tried again a few times.

        A NotFound in a plan that creates is not believed at once either: AWS's registry is eventually consistent.
        """
        for wait in (*WAITS, None):
            try:
                return (yield Ask(op, params))
            except (Temporary, NotFound) as error:
                if wait is None or (isinstance(error, NotFound) and (believe or not self._creates)):
                    raise
            yield Pause(wait)
        raise AssertionError(op)  # pragma: no cover  the last wait is None, and raises


def _raised(error: BaseException | None) -> Error | None:
    """An error of ours is a thing's outcome; any other is a bug, and ends the run."""
    if error is None or isinstance(error, Error):
        return error
    raise error


class _Breaker:
    """Ends a run that cannot succeed: bad credentials or a full disk at once, equal failures after a few."""

    def __init__(self) -> None:
        self._code = ""
        self._count = 0

    def watch(self, error: Error | None) -> None:
        """Count a settled thing.

        Raises:
            Error: the run must end.

        """
        if error is None or isinstance(error, Interrupted):
            self._count = 0
            return
        self._count = self._count + 1 if error.code == self._code else 1
        self._code = error.code
        if isinstance(error, Denied):
            if self._count >= DENIALS:
                raise error
        elif isinstance(error, Auth | Local):
            raise error
        elif self._count >= EQUAL_FAILURES and not isinstance(error, Conflict):
            raise type(error)(
                f"{self._count} things in a row failed alike; the last: {error.message}",
                code=error.code,
                cause=error.cause,
                hint=error.hint or "mend the cause, then run the same command again; it resumes",
            )


def _prepare(
    effects: Sequence[Step], scopes: list[dict[str, Any]], known: Mapping[str, Effect]
) -> Iterator[tuple[dict[str, Any], Error | None]]:
    """Run the leading effects on a whole batch of things at once."""
    failed: list[tuple[dict[str, Any], Error]] = []
    for step in effects:
        if not scopes:
            break
        answers = known[step.op]([resolve(step.params, scope) for scope in scopes])
        good = []
        for scope, answer in zip(scopes, answers, strict=True):
            if isinstance(answer, Error):
                failed.append((scope, answer))
            else:
                scope[step.name] = answer
                good.append(scope)
        scopes = good
    yield from failed
    for scope in scopes:
        yield scope, None


def _outcome(plan: Plan, scope: Mapping[str, Any], error: Error | None) -> Outcome:
    row: Row = scope["row"]
    shown = {key: value for key, value in resolve(plan.shows, scope).items() if value}
    if error is None:
        return Outcome(row["thingName"], row.get("line", 0), "done", shown)
    state = "planned" if isinstance(error, Interrupted) else "conflict" if isinstance(error, Conflict) else "failed"
    return Outcome(row["thingName"], row.get("line", 0), state, shown, Failure.of(error, on=row["thingName"]))


def _items(step: Step, scope: Mapping[str, Any]) -> Sequence[Any]:
    if step.for_each is None:
        return (None,)
    value = resolve(step.for_each, scope)
    if value is None or value in ({}, "", []):
        return ()
    return value if isinstance(value, list | tuple) else (value,)


def _hold(what: str, expect: Expect, answer: Mapping[str, Any], scope: Mapping[str, Any], cause: str = "") -> None:
    """What is there is what was expected.

    Raises:
        Conflict: it is not.

    """
    wanted, found = resolve(expect.equals, scope), lookup(expect.path, answer)
    if not _equal(wanted, found):
        raise Conflict(
            f"{what} {expect.path} is {_short(found)}, not {_short(wanted)}",
            code="Conflict",
            cause=cause,
            hint="someone else made it, or the input has changed since: compare, then rename or delete one",
        )


def _confirm(step: Step, answer: Mapping[str, Any], scope: Mapping[str, Any]) -> None:
    expect = step.expect
    assert expect is not None
    wanted, found = resolve(expect.equals, scope), lookup(expect.path, answer)
    if found is None:
        raise Temporary(
            f"{step.op} answered without {expect.path}", code="NoUsableAnswer", hint="is a proxy in between?"
        )
    if not (any(_equal(wanted, one) for one in found) if expect.within else _equal(wanted, found)):
        raise Integrity(f"{step.op} answered {expect.path} {_short(found)}, not {_short(wanted)}")


def _equal(wanted: Any, found: Any) -> bool:  # noqa: ANN401  JSON values
    """Whether what was found is what was declared: objects by the keys that were named, JSON texts as JSON."""
    if wanted is None:
        return True
    if isinstance(wanted, Either):
        return any(_equal(option, found) for option in wanted.options)
    if isinstance(wanted, Mapping):
        return isinstance(found, Mapping) and all(_equal(value, found.get(key)) for key, value in wanted.items())
    if isinstance(wanted, str) and isinstance(found, str) and wanted != found:
        try:
            return bool(json.loads(wanted) == json.loads(found))
        except ValueError:
            return False
    return bool(wanted == found)


def _short(value: Any) -> str:  # noqa: ANN401  a JSON value
    if isinstance(value, Either):
        value = value.options[0]
    if value is None:
        return "absent"
    text = value if isinstance(value, str) else json.dumps(value, default=str)
    # What is too long to be read is told by its digest.
    return text if len(text) <= 80 else f"{text[:40]}… (sha256 {hashlib.sha256(text.encode()).hexdigest()[:16]})"
