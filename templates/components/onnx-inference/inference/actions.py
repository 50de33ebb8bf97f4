"""What predictions set off, here on the device: once when a condition becomes true, again when it was false between."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from inference import expression

if TYPE_CHECKING:
    from inference.configuration import Action


class _Watched(NamedTuple):
    condition: expression.Condition
    action: Action


class Actions:
    """The actions of one model."""

    def __init__(self, actions: Sequence[Action]) -> None:
        self._watched = [_Watched(expression.parse(action.on), action) for action in actions]
        self._held: list[bool] = [False] * len(actions)

    def __bool__(self) -> bool:
        return bool(self._watched)

    def due(self, message: Mapping[str, Any], text: bytes) -> Iterator[tuple[str, bytes]]:
        """What to publish for one prediction: topic and payload.

        A sample sets off nothing. A condition sees the message's own members, and at the top those of its first, most
        confident prediction: `label`, `confidence`, `value`.
        """
        if message.get("sample"):
            return
        first: Mapping[str, Any] = next(iter(message.get("predictions") or ()), {})
        seen = {**message, **first}
        for place, (condition, action) in enumerate(self._watched):
            before, self._held[place] = self._held[place], condition(seen)
            if self._held[place] and not before:
                yield action.topic, text if action.payload is None else action.payload.encode()
