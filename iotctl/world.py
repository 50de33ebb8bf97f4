"""What a run needs of the world: who is called, at which pace, who is told."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from iotctl.traffic import Traffic

if TYPE_CHECKING:
    from iotctl.errors import Error
    from iotctl.lines import Flow

Call = Callable[..., dict[str, Any]]
Effect = Callable[[Sequence[Mapping[str, Any]]], "list[dict[str, Any] | Error]"]


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
