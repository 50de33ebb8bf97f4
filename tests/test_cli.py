"""The root: what becomes of a run whose changes are made."""

from __future__ import annotations

from typing import Any

from iotctl import cli
from iotctl.errors import Auth, Exit, Timeout
from iotctl.plan import Expect, Plan, Wait
from iotctl.target import Target
from iotctl.world import World

WAIT = Wait("iot-data:GetThingShadow", {}, (Expect("done", equals=True),), 0.01, "reported it")
ROWS = ({"thingName": "a", "line": 1}, {"thingName": "b", "line": 2})
PLAN = Plan("shadow set", "r", Target("aws", "123456789012", "us-east-1"), "set", rows=ROWS, wait=WAIT)


def world(answer: dict[str, Any] | Exception) -> World:
    """An account that always answers so."""

    def call(_op: str, **_: Any) -> dict[str, Any]:
        if isinstance(answer, Exception):
            raise answer
        return answer

    return World(call=call, members=lambda _: frozenset())


def test_a_wait_that_fails_ends_the_run_in_order() -> None:
    """What was changed is told and journalled all the same: credentials may run out while devices are waited for."""
    expired = Auth("the credentials have run out")
    assert expired is cli._awaited(PLAN, world(expired), [])
    assert cli._awaited(PLAN, world({"done": True}), []) is None
    late = cli._awaited(PLAN, world({}), [])
    assert isinstance(late, Timeout)
    assert "2 of 2 things have not reported it within 0.01 s (a, b); they may still" == late.message


def test_a_wait_that_is_interrupted_says_so() -> None:
    """Nobody is said to be late who was not waited for: the change is made, and that is told."""
    interrupted = world({})
    interrupted.stop.set()
    assert cli._awaited(PLAN, interrupted, []) is None
    ended = cli._summary(PLAN, {"done": 2, "conflict": 0, "failed": 0}, [], None, Exit.INTERRUPTED, {})
    assert ["2 done of 2 things (run r)"] == list(ended.notes[:1])
    assert "interrupted while it waited; the change is made" in ended.notes[1]
