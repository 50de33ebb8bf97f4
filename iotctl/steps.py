"""One step of one thing, as a journey: what it calls, how often it tries, and what counts as success.

A step asks for its calls and gets their answers; who makes them, and when, is not its business. What is temporary is
tried again a few times; what AWS does not let happen yet, for as long as the step says; what exists already is success
where it is what was expected.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Generator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from iotctl import clock
from iotctl.errors import Conflict, Error, Exists, Integrity, NotFound, Refused, Temporary, Timeout, Unanswered
from iotctl.expectations import confirm, equal, hold, short
from iotctl.lines import Ask, Journey, Pause
from iotctl.plan import lookup, resolve

if TYPE_CHECKING:
    from iotctl.plan import Adopt, Expect, Step
    from iotctl.world import World

WAITS: Final = (0.2, 0.6, 1.5, 3.0)
SETTLING: Final = (0.2, 0.5, 1.0, 2.0, 5.0)
"""Seconds between two tries of what AWS does not let happen yet; the last again and again."""

_LOOK: Final = 0.5
_AGAIN: Final = "it may still: run the same command again, it resumes"
_UNSETTLED: Final = frozenset({"CertificateStateException", "DeleteConflictException", "InvalidRequestException"})

_Answering = Generator[Ask | Pause, dict[str, Any], dict[str, Any]]
"""A part of a journey, with the answer that it comes to."""


class Steps:
    """Performs the steps of a run.

    Args:
        world: what is called, and who is told.
        creates: whether the run makes what it reads afterwards: AWS's registry may not know of it at once.

    """

    def __init__(self, world: World, *, creates: bool) -> None:
        self._world = world
        self._creates = creates

    def sequence(self, steps: Sequence[Step], scope: dict[str, Any]) -> Journey:
        """The steps of one thing, one after the other."""
        for step in steps:
            yield from self.perform(step, scope)

    def perform(self, step: Step, scope: dict[str, Any]) -> Journey:
        """Do it, once for each item; the answer goes into the scope under the step's name.

        Raises:
            Error: it failed, after the retries that make sense for it.

        """
        if step.when and not equal(resolve(step.when.equals, scope), lookup(step.when.path, scope)):
            return
        for item in _items(step, scope):
            within = {**scope, "item": item} if step.for_each else scope
            params = resolve(step.params, within)
            if step.unless_found and (yield from self._found(step, params)):
                continue
            try:
                how = self._awaited if step.until else self._verified if step.verifies else self._expected
                answer = yield from how(step, params, within)
            except Exists as taken:
                answer = yield from self._judge(step, params, within, taken)
            except NotFound as missing:
                if not step.absent_is_done:
                    missing.hint = step.hint or missing.hint
                    raise
                answer = {}
            except Refused as refused:
                refused.hint = refused.hint or step.hint
                raise
            if step.name:
                scope[step.name] = answer

    def _awaited(self, step: Step, params: Mapping[str, Any], scope: Mapping[str, Any]) -> _Answering:
        """An operation, or an effect, that is done again and again until its answer is as it should be."""
        expect, ends = step.until, clock.monotonic() + step.settles
        assert expect is not None
        wanted, own = resolve(expect.equals, scope), step.op in self._world.effects
        in_vain: Error | None = None
        for wait in itertools.chain(SETTLING, itertools.repeat(SETTLING[-1])):
            answer: dict[str, Any] = {}
            with contextlib.suppress(NotFound):
                done = self._perform(step, params) if own else self._call(step.op, params, believe=True)
                answer = yield from done
            if equal(wanted, lookup(expect.path, answer)):
                return answer
            if in_vain is not None:
                raise in_vain
            # What ends it may have come after the look: it is looked at once more.
            in_vain = self._in_vain(step, params)
            if in_vain is not None:
                continue
            # To look on this machine costs nothing.
            pause = min(wait, _LOOK) if own else wait
            if clock.monotonic() + pause > ends:
                raise Unanswered(f"{step.hint} within {step.settles:g} s", hint=_AGAIN)
            yield Pause(pause)
        raise AssertionError(step.op)  # pragma: no cover  the waits never end

    def _in_vain(self, step: Step, params: Mapping[str, Any]) -> Error | None:
        if not step.gives_up:
            return None
        (answer,) = self._world.effects[step.gives_up]([params])
        return answer if isinstance(answer, Error) else None

    def _judge(self, step: Step, params: Mapping[str, Any], scope: Mapping[str, Any], taken: Exists) -> _Answering:
        """The name is taken: success if everything that was expected of it holds."""
        answer: dict[str, Any] = {}
        if not step.on_exists:
            raise taken
        if step.adopt:
            yield from self._adopt(step.adopt, step.on_exists[0], params, scope)
        for expect in step.on_exists:
            answer = yield from self._read(expect, params, scope)
            hold(f"{step.op}: it exists, and", expect, answer, scope, taken.cause)
        return answer

    def _adopt(self, adopt: Adopt, read: Expect, params: Mapping[str, Any], scope: Mapping[str, Any]) -> Journey:
        """Make what is there ours, if nobody has claimed it; whoever changes it meanwhile is seen."""
        for _ in WAITS:
            found = yield from self._read(read, params, scope)
            if lookup(adopt.unclaimed, found) is not None:
                return
            for expect in adopt.keeps:
                hold(f"{adopt.step.op} would change it:", expect, found, scope)
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
            confirm(step, answer, scope)
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
        return (yield from self._call(step.op, params, believe=step.absent_is_done))

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
                    return short(found[0] if isinstance(found, list) else found)
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


def _items(step: Step, scope: Mapping[str, Any]) -> Sequence[Any]:
    if step.for_each is None:
        return (None,)
    value = resolve(step.for_each, scope)
    if value is None or value in ({}, "", []):
        return ()
    return value if isinstance(value, list | tuple) else (value,)
