"""What a prediction sets off on the device: the words of `--on` and `--do` -> a condition, a topic, a payload. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from iotctl import expression, text
from iotctl.errors import Usage
from iotctl.semantics import names, topics

if TYPE_CHECKING:
    from iotctl.semantics.state import JsonObject

THING: Final = "{iot:thingName}"
"""The core device itself, in a topic: Greengrass's own recipe variable, which the program resolves too."""

_EXAMPLE: Final = "shadow:desired.running=false@press-4, or publish:alarms/press-4=stop"


@dataclass(frozen=True, slots=True)
class Action:
    """What is published when a condition becomes true.

    Attributes:
        on: the condition, over the fields of a prediction.
        topic: where to.
        payload: JSON text; None publishes the prediction itself.

    """

    on: str
    topic: str
    payload: str | None = None

    def to_json(self) -> dict[str, Any]:
        """As the inference program reads it."""
        return {"on": self.on, "topic": self.topic, "payload": self.payload}


def parse(on: str, do: str) -> Action:
    """The action that one `--on` and its `--do` ask for.

    Args:
        on: a condition, for example `confidence>0.9 and label=="anomaly"`.
        do: `shadow:desired.a.b=VALUE[@THING[/SHADOW]]` or `publish:TOPIC[=PAYLOAD]`.

    Raises:
        Usage: one of them cannot be read, or AWS would not take the topic.

    """
    kind, colon, rest = do.partition(":")
    expression.parse(on, where="--on")
    if colon and kind == "shadow":
        return _shadow(on, rest, do)
    if colon and kind == "publish":
        topic, equals, payload = rest.partition("=")
        return Action(on, _checked(topic, do), payload if equals else None)
    raise Usage(f"--do {do!r} is neither shadow:… nor publish:…", hint=_EXAMPLE)


def _shadow(on: str, rest: str, do: str) -> Action:
    assignment, at, where = rest.rpartition("@")
    if not at:
        assignment, where = rest, THING
    path, equals, value = assignment.partition("=")
    keys = path.split(".")
    thing_name, _, shadow_name = where.partition("/")
    if equals and path and not all(keys):
        raise Usage(f"--do {do!r} has an empty key in its path", hint=_EXAMPLE)
    if not equals or keys[0] not in {"desired", "reported"} or len(keys) < 2:
        raise Usage(f"--do {do!r} does not set desired.… or reported.…", hint=_EXAMPLE)
    fault = "" if thing_name == THING else names.THING_NAME.fault(thing_name)
    if fault:
        raise Usage(f"--do {do!r}: {fault}", hint=_EXAMPLE)
    state: Any = _value(value)
    for key in reversed(keys):
        state = {key: state}
    body: JsonObject = {"state": state}
    return Action(on, _checked(topics.shadow(thing_name, "update", shadow_name or None), do), text.canonical(body))


def _checked(topic: str, do: str) -> str:
    try:
        topics.check_topic(topic)
    except topics.TopicError as error:
        raise Usage(f"--do {do!r} names a topic that AWS IoT does not take: {error}", hint=_EXAMPLE) from error
    return topic


def _value(word: str) -> Any:  # noqa: ANN401  any JSON value
    try:
        return text.loads(word)
    except Usage:
        return word
