"""What is due of a rollout: nothing, or the fleet's job. Pure; the same facts always say the same."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from iotctl import clock, text
from iotctl.ota.standing import State

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from decimal import Decimal

    from iotctl.ota.rollout import Goal
    from iotctl.ota.standing import Verdict


class Stage(StrEnum):
    """How far a rollout is."""

    CANARY = "canary"
    """The canary's devices are at it."""
    SOAKING = "soaking"
    """The canary has gone well, and must go on doing so for a while."""
    GATED = "gated"
    """The canary's shadows do not yet say what the gate asks for."""
    UNAPPROVED = "unapproved"
    """Someone must say yes."""
    DUE = "due"
    """The fleet's job is to be made now."""
    FLEET = "fleet"
    """The fleet's devices are at it."""
    SUCCEEDED = "succeeded"
    FAILED = "failed"

    @property
    def is_over(self) -> bool:
        """Whether it has a verdict."""
        return self in {Stage.SUCCEEDED, Stage.FAILED}


@dataclass(frozen=True, slots=True)
class Waiting:
    """How far a rollout is, what it waits for in words, and until when at least or at most."""

    stage: Stage
    words: str
    until: datetime | None = None

    def to_json(self) -> dict[str, Any]:
        """The same as the envelope holds it."""
        return {
            "stage": self.stage.value,
            "waitsFor": self.words,
            "until": clock.iso(self.until) if self.until else None,
        }


@dataclass(frozen=True, slots=True)
class Canary:
    """A canary that has gone well.

    Attributes:
        things: how many it is for.
        deadline: when it was to be judged, in seconds since 1970; None: never.
        approved: whether someone has said yes.
        ended: when each of its things succeeded; asked only where it counts.
        holding: how many of some things the gate holds for; asked only where it counts.

    """

    things: int
    deadline: float | None
    approved: bool
    ended: Callable[[], Mapping[str, datetime]]
    holding: Callable[[list[str]], int]


def judged(verdict: Verdict, stage: Stage) -> Waiting | None:
    """How far a rollout is by the verdict on its last phase; None: that has gone well, as a canary does.

    Args:
        verdict: on the phase.
        stage: CANARY or FLEET.

    """
    if verdict.state is State.FAILED:
        return Waiting(Stage.FAILED, f"the {stage} has not gone well: {verdict.reason}")
    if verdict.state is State.RUNNING:
        return Waiting(stage, f"the {stage} is at it: {verdict.reason}")
    return None if stage is Stage.CANARY else Waiting(Stage.SUCCEEDED, f"the fleet has gone well: {verdict.reason}")


def following(canary: Canary, goal: Goal, now: datetime) -> Waiting:
    """What the fleet waits for once its canary has gone well: one thing at a time."""
    good = canary.ended()
    # Where the counts are ahead of the list of executions, the canary has gone well only now.
    soaked = (_passed(good.values(), canary.things, goal.passing) or now) + timedelta(seconds=goal.soak)
    if now < soaked:
        return Waiting(Stage.SOAKING, f"the canary has gone well, and soaks until {clock.iso(soaked)}", soaked)
    if goal.gate:
        number = canary.holding(sorted(good))
        if not _is_enough(number, canary.things, goal.passing):
            held = f"the gate holds for {number:,} of {text.count(canary.things, 'thing')}: {goal.gate}"
            due = datetime.fromtimestamp(canary.deadline, UTC) if canary.deadline is not None else None
            if due is not None and now >= max(due, soaked):
                return Waiting(Stage.FAILED, f"{held}; its deadline was {clock.iso(due)}")
            return Waiting(Stage.GATED, held, due)
    if goal.approve and not canary.approved:
        return Waiting(Stage.UNAPPROVED, "someone must say yes")
    return Waiting(Stage.DUE, "the fleet follows")


def _passed(ended: Iterable[datetime], things: int, share: Decimal) -> datetime | None:
    """When the last of the things that were needed succeeded; None: too few have."""
    for number, moment in enumerate(sorted(ended), 1):
        if _is_enough(number, things, share):
            return moment
    return None


def _is_enough(number: int, things: int, share: Decimal) -> bool:
    return things > 0 and number * 100 >= share * things
