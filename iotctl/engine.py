"""Carry out a plan: ordered within a thing, parallel across things, paced by quota; and wait for states (tenacity).

Shared steps run first. Then things, a batch ahead of the calls: effects on this machine on the caller's thread (signing
beside busy threads is a hundred times slower), then the AWS steps of each thing, in the traffic of all of them. A
failing thing stops only itself. What a run did is told as one Outcome per thing, as it settles; the caller records and
shows it.
"""

from __future__ import annotations

import contextlib
import itertools
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar

import tenacity

from iotctl import clock
from iotctl.breaker import Breaker
from iotctl.errors import Conflict, Error, Interrupted, NotFound, RolloutFailed, Timeout
from iotctl.expectations import equal
from iotctl.journal import Outcome
from iotctl.plan import Plan, Row, Step, lookup, resolve
from iotctl.result import Failure
from iotctl.steps import Steps

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence

    from iotctl.world import Effect, World

BATCH: Final = 500
FIRST_BATCH: Final = 32
"""Things whose bundles are made before the first call goes out; each later batch is twice as large, up to `BATCH`."""
TICK: Final = 0.25
CLOSED_AT_ONCE: Final = 50

_Answer = TypeVar("_Answer")


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
    breaker, left = Breaker(), len(plan.rows)
    with _Batches(world, plan.operations()) as batches:
        for step in plan.shared:
            batches.once(step, shared)
        for batch in batches.ahead(plan.rows, plan.batch):
            done = world.settled([row["thingName"] for row in batch])
            scopes = [{**shared, "row": row} for row in batch if row["thingName"] not in done]
            left -= len(batch) - len(scopes)
            for scope, error in _prepare(leading, scopes, world.effects):
                if error is None:
                    batches.begin(sequence, scope)
                else:
                    yield _outcome(plan, scope, error)
                    breaker.watch(error)
            for settled in batches.settled(CLOSED_AT_ONCE if closing else 1):
                good = [scope for scope, error in settled if error is None]
                told = [(scope, error) for scope, error in settled if error is not None]
                for scope, error in (*told, *_prepare(closing, good, world.effects)):
                    left -= error is None
                    yield _outcome(plan, scope, error)
                    breaker.watch(error)
        for step in plan.after if not left else ():
            if not world.stop.is_set():
                batches.once(step, shared)


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
    named, breaker = replace(step, name="answer"), Breaker()
    with _Batches(world, (step.op,)) as batches:
        for batch in batches.ahead(rows):
            for row in batch:
                batches.begin((named,), {"row": row})
            for settled in batches.settled(1):
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
        return all(equal(expect.equals, lookup(expect.path, answer)) for expect in wait.holds)

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


class _Batches:
    """Things, a batch after the other, and their steps, in one traffic."""

    def __init__(self, world: World, operations: Iterable[str]) -> None:
        self._world = world
        order = [op for op in operations if op not in world.effects]
        creates = any(op.partition(":")[2].startswith(("Create", "Register")) for op in order)
        self._steps = Steps(world, creates=creates)
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
            self.traffic.drive(self._steps.perform(step, scope))
        except RolloutFailed:
            for other in step.otherwise:
                self.traffic.drive(self._steps.perform(other, scope))
            raise

    def begin(self, sequence: Sequence[Step], scope: dict[str, Any]) -> None:
        """Let the steps of one thing begin."""
        self.traffic.submit(scope, self._steps.sequence(sequence, scope))

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


def _raised(error: BaseException | None) -> Error | None:
    """An error of ours is a thing's outcome; any other is a bug, and ends the run."""
    if error is None or isinstance(error, Error):
        return error
    raise error


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
