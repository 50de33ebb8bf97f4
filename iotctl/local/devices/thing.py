"""A simulated thing: what it says and does, message by message; how messages travel is somebody else's.

It gets its shadow when it connects, acts on every delta of its classic and named shadows, and reports the new values.
Sources: the developer guide's device-shadow-mqtt, -data-flow and -document pages.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from iotctl import text
from iotctl.errors import Usage
from iotctl.local.devices.roles import OBEDIENT
from iotctl.semantics import topics
from iotctl.semantics.state import merge, same

if TYPE_CHECKING:
    from iotctl.local.devices.roles import Role
    from iotctl.semantics.state import JsonObject

REFUSAL: Final[dict[str, str]] = {"code": "SIMULATED", "message": "this simulated thing refuses every change"}
"""What a thing that fails reports as `error`."""

_VERBS = ("get/accepted", "get/rejected", "update/accepted", "update/rejected", "update/delta")
_NO_SHADOW = 404
_LONGEST_DETAIL = 160


@dataclass(frozen=True, slots=True)
class Publish:
    """Publish this, with QoS 1."""

    topic: str
    payload: bytes


@dataclass(frozen=True, slots=True)
class Wait:
    """Call `due` for this shadow (None: the classic one) in so many seconds."""

    seconds: float
    shadow_name: str | None


@dataclass(frozen=True, slots=True)
class Told:
    """Something worth telling: waiting, reported, refused, rejected, unreadable; of a job job-delivered and so on."""

    event: str
    shadow_name: str | None
    detail: str
    job_id: str = ""


Action: TypeAlias = Publish | Wait | Told


class Thing:
    """A thing and what it knows of its shadows. No I/O, no clock: messages in, actions out."""

    __slots__ = ("_awaited", "_pending", "_refused", "_reported", "_tokens", "name", "role")

    def __init__(self, name: str, role: Role = OBEDIENT) -> None:
        self.name = name
        self.role = role
        self._reported: dict[str | None, JsonObject] = {}
        self._pending: dict[str | None, JsonObject] = {}
        self._refused: dict[str | None, JsonObject] = {}
        self._awaited: set[str] = set()
        self._tokens = 0

    @property
    def filters(self) -> tuple[str, ...]:
        """What it subscribes to: the answers to its own requests, and the deltas, of every shadow that it has."""
        return tuple(topics.shadow(self.name, verb, shadow) for shadow in (None, "+") for verb in _VERBS)

    def connected(self) -> list[Action]:
        """It is connected and subscribed: it asks for its shadows, the classic one and those that it has met."""
        self._awaited.clear()
        self._refused.clear()
        shadows = {None: True, **dict.fromkeys(self._reported, True)}
        return [Publish(topics.shadow(self.name, "get", shadow), b"") for shadow in shadows]

    def received(self, topic: str, payload: bytes) -> list[Action]:
        """What it does about a message."""
        about = topics.parse_shadow(topic)
        if about is None or about.thing_name != self.name:
            return []
        shadow = about.shadow_name
        try:
            message = text.loads(payload)
            return self._answer(about.verb, shadow, message)
        except (Usage, AttributeError, KeyError, TypeError):
            return [Told("unreadable", shadow, text.shown(payload, _LONGEST_DETAIL))]

    def due(self, shadow_name: str | None) -> list[Action]:
        """A slow thing's time has come: it acts on the newest delta that it has."""
        delta = self._pending.pop(shadow_name, None)
        return [] if delta is None else self._act(shadow_name, delta)

    def tell(self, patch: JsonObject) -> list[Action]:
        """It reports something of its own accord, in its classic shadow."""
        return [self._report(None, patch)]

    def _answer(self, verb: str, shadow: str | None, message: dict[str, Any]) -> list[Action]:
        match verb:
            case "update/delta":
                return self._behind(shadow, _object(message["state"]))
            case "get/accepted":
                state = _object(message["state"])
                self._reported[shadow] = _object(state.get("reported", {}))
                return self._behind(shadow, _object(state["delta"])) if "delta" in state else []
            case "update/accepted":
                return self._accepted(shadow, message)
            case "get/rejected" if message["code"] == _NO_SHADOW:
                return []
            case "get/rejected" | "update/rejected":
                return [Told("rejected", shadow, f"{message['code']} {message['message']}")]
        return []

    def _accepted(self, shadow: str | None, message: dict[str, Any]) -> list[Action]:
        """Keep what is reported, by whomever; tell of its own reports."""
        sections = {"reported": None} if message["state"] is None else _object(message["state"])
        if "reported" not in sections:
            return []
        patch = sections["reported"]
        self._reported[shadow] = {} if patch is None else merge(self._reported.get(shadow, {}), _object(patch))
        token = message.get("clientToken")
        if token not in self._awaited:
            return []
        self._awaited.remove(token)
        event = "refused" if self.role.fails else "reported"
        return [Told(event, shadow, text.shown(text.canonical(patch).encode(), _LONGEST_DETAIL))]

    def _behind(self, shadow: str | None, delta: JsonObject) -> list[Action]:
        # A report that does not close the gap is answered by the same delta: without this it would never end.
        if self.role.fails and same(delta, self._refused.get(shadow)):
            return []
        if not self.role.delay:
            return self._act(shadow, delta)
        waits = shadow in self._pending
        self._pending[shadow] = delta
        if waits:
            return []
        return [
            Wait(self.role.delay, shadow),
            Told("waiting", shadow, f"it will act in {self.role.delay:.0f} s"),
        ]

    def _act(self, shadow: str | None, delta: JsonObject) -> list[Action]:
        reported = self._reported.get(shadow, {})
        if self.role.fails:
            self._refused[shadow] = delta
            return [self._report(shadow, held(delta, reported) | {"error": REFUSAL})]
        healed: JsonObject = {"error": None} if same(reported.get("error"), REFUSAL) else {}
        return [self._report(shadow, healed | delta)]

    def _report(self, shadow: str | None, patch: JsonObject) -> Publish:
        self._tokens += 1
        token = f"{self.name[:32]}-{self._tokens}"
        self._awaited.add(token)
        update = {"state": {"reported": patch}, "clientToken": token}
        return Publish(topics.shadow(self.name, "update", shadow), text.canonical(update).encode())


def held(delta: JsonObject, reported: JsonObject) -> JsonObject:
    """The values that a thing has now at the places that a delta names; a place that it has not is left out."""
    found: JsonObject = {}
    for key, wanted in delta.items():
        if key not in reported:
            continue
        actual = reported[key]
        if isinstance(wanted, dict) and isinstance(actual, dict):
            if inner := held(wanted, actual):
                found[key] = inner
        else:
            found[key] = actual
    return found


def _object(value: Any) -> JsonObject:  # noqa: ANN401  JSON is any value
    if not isinstance(value, dict):
        raise TypeError("not a JSON object")
    return value
