"""A simulated device's part in the rotation of its certificate (`iotctl.rotation`), message by message.

No I/O, no clock: messages in, actions out. What it forgets when it restarts it finds again: its job is given to it once
more, the key of a rotation is made once, and the shadow holds what the operator wants of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from iotctl import rotation, text
from iotctl.errors import Usage
from iotctl.local.devices.credentials import Work
from iotctl.local.devices.installer import LONGEST_DETAIL, Outcome
from iotctl.local.devices.roles import OBEDIENT
from iotctl.local.devices.thing import REFUSAL, Publish, Told
from iotctl.manifest import Reason
from iotctl.rotation import SHADOW, Delivery, Order
from iotctl.semantics import topics

if TYPE_CHECKING:
    from collections.abc import Mapping

    from iotctl.local.devices.credentials import Worked
    from iotctl.local.devices.roles import Role

_STEP: Final = "certificate renewed"


@dataclass(frozen=True, slots=True)
class Reconnect:
    """Leave, and connect again with what is to be tried next."""


@dataclass(frozen=True, slots=True)
class Ended:
    """The job is over."""

    outcome: Outcome


Action: TypeAlias = Publish | Told | Work | Reconnect | Ended


class Renewal:
    """What a device does about the rotation of its certificate."""

    __slots__ = ("_certificate_id", "_order", "_taken", "name", "role")

    def __init__(self, name: str, role: Role = OBEDIENT) -> None:
        self.name = name
        self.role = role
        self._certificate_id = ""
        self._order: Order | None = None
        self._taken: Delivery | None = None  # and not answered yet

    def begin(self, document: Mapping[str, Any]) -> list[Action]:
        """A job asks for it."""
        self._order = order = Order.of(document)
        if order is None:
            return [Ended(_refused(Reason.UNSUPPORTED, "a rotation of another protocol"))]
        if self.role.fails:
            return self._fail("REJECTED", REFUSAL["message"])
        return [Work(order.rotation, order.key_type)]

    def connected(self, certificate_id: str, *, renewed: bool) -> list[Action]:
        """It is connected and subscribed, with this certificate; it asks what it may have missed.

        Args:
            certificate_id: of the certificate.
            renewed: whether it is another one than that which it was made with: without a job nobody asks it then.

        """
        self._certificate_id = certificate_id
        taken, self._taken = self._taken, None
        if taken is not None and taken.certificate_id == certificate_id:
            return self._answer(taken)
        return [self._get()] if renewed or self._order is not None else []

    def received(self, verb: str, payload: bytes) -> list[Action]:
        """What it does about a message of the rotation's shadow."""
        try:
            message = text.loads(payload)
            if verb == "update/delta":
                return [self._get()]  # a delta has only what differs
            if verb == "get/accepted":
                return self._wanted(Delivery.of(message["state"].get("desired") or {}), message["state"])
            if verb == "update/rejected":
                return [Told("rejected", SHADOW, text.sanitize(f"{message['code']} {message['message']}"))]
        except (Usage, AttributeError, KeyError, TypeError):
            return [Told("unreadable", SHADOW, text.shown(payload, 160))]
        return []

    def worked(self, done: Worked) -> list[Action]:
        """A piece of work is done."""
        delivery = done.work.delivery
        if done.fault:
            self._taken = None
            return self._fail("FAILED", done.fault)
        if delivery is None:
            asked = self._report(rotation.requested(done.work.rotation, done.csr))
            return [asked, Told("certificate-requested", SHADOW, done.work.rotation)]
        return [Told("certificate-stored", SHADOW, delivery.certificate_id), Reconnect()]

    def _wanted(self, delivery: Delivery | None, state: Mapping[str, Any]) -> list[Action]:
        """Act on a delivery that is not answered yet."""
        answered = (state.get("reported") or {}).get("attempt")
        if delivery is None or delivery.attempt == answered or delivery == self._taken:
            return []
        if delivery.certificate_id == self._certificate_id:
            self._taken = delivery
            return [Reconnect()]
        if self._order is not None and self._order.rotation == delivery.rotation:
            self._taken = delivery
            return [Work(delivery.rotation, delivery=delivery)]
        return []

    def _answer(self, delivery: Delivery) -> list[Action]:
        """It is connected with the new certificate."""
        told = Told("certificate-renewed", SHADOW, delivery.certificate_id)
        return [self._report(delivery.renewed()), told, *self._end(delivery)]

    def _end(self, delivery: Delivery) -> list[Action]:
        if self._order is None or self._order.rotation != delivery.rotation:
            return []
        self._order = None
        return [Ended(Outcome("SUCCEEDED", {"step": _STEP, "certificateId": delivery.certificate_id}))]

    def _fail(self, status: str, reason: str) -> list[Action]:
        order, self._order = self._order, None
        if order is None:
            return [Told("rejected", SHADOW, text.sanitize(reason))]
        why = text.sanitize(reason)[:LONGEST_DETAIL]
        refused = Outcome(status, {"reason": Reason.SELF_CHECK_FAILED.value, "detail": why})
        return [self._report(rotation.failed(order.rotation, why)), Ended(refused)]

    def _get(self) -> Publish:
        return Publish(topics.shadow(self.name, "get", SHADOW), b"")

    def _report(self, patch: Mapping[str, Any]) -> Publish:
        update = {"state": {"reported": patch}}
        return Publish(topics.shadow(self.name, "update", SHADOW), text.canonical(update).encode())


def _refused(reason: Reason, detail: str) -> Outcome:
    return Outcome("REJECTED", {"reason": reason.value, "detail": detail})
