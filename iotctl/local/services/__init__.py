"""AWS's services on this machine: one function an operation, named like it, with AWS's own parameter names.

    @operation("iot:AttachThingPrincipal")
    def attach_thing_principal(store: Store, thingName: str, principal: str, thingPrincipalType: str = "…") -> None: ...

Parameters arrive as the service model has them: validated, typed, the absent ones left out. The answer is AWS's output
members; None stands for an absent one. Every operation runs in a transaction of the store; an error takes it back.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

    from iotctl.local.store import Store

_Function = TypeVar("_Function", bound="Callable[..., Any]")


class AwsError(Exception):
    """An error as AWS answers it; the HTTP status is the service model's.

    Attributes:
        code: the name of the error: ResourceNotFoundException.
        message: in words.
        members: what else the error's shape holds: resourceArn, resourceId.

    """

    def __init__(self, code: str, message: str, **members: Any) -> None:  # noqa: ANN401  AWS's own members
        super().__init__(message)
        self.code = code
        self.message = message
        self.members = members


def invalid(message: str) -> AwsError:
    """InvalidRequestException: AWS IoT's word for almost everything that it refuses."""
    return AwsError("InvalidRequestException", message)


def not_found(message: str) -> AwsError:
    """ResourceNotFoundException."""
    return AwsError("ResourceNotFoundException", message)


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation that is built.

    Attributes:
        name: `service:Operation`, e.g. "iot:CreateThing".
        function: called with the store and AWS's parameters.
        prepare: slow work that leaves the store's tables alone; it runs on a thread, before the transaction, and its
            result is passed on as `prepared`.

    """

    name: str
    function: Callable[..., dict[str, Any] | None]
    prepare: Callable[[Store], Any] | None = None

    def __call__(self, store: Store, **parameters: Any) -> dict[str, Any]:  # noqa: ANN401  AWS's own parameters
        """Carry the operation out in one transaction.

        Raises:
            AwsError: it was refused, and nothing was changed.

        """
        with store.transaction():
            return self.function(store, **parameters) or {}


@dataclass(frozen=True, slots=True)
class Message:
    """A message that arrived over MQTT, or an event of the outbox.

    Attributes:
        topic: where it was published.
        payload: its bytes.
        client_id: who published it; empty for the platform itself.
        principal: the certificate id of that client; empty for the platform and for operators.

    """

    topic: str
    payload: bytes
    client_id: str = ""
    principal: str = ""


OPERATIONS: dict[str, Operation] = {}
"""Every operation that is built, by name; filled by importing the modules of this package."""

PREPARED: dict[Callable[..., None], Callable[[Store], Any]] = {}
"""Slow work of listeners that leaves the store's tables alone: it runs on a thread before the listener is called, which
gets its result as `prepared`."""

LISTENERS: list[tuple[str, Callable[[Store, Message], None]]] = []
"""Who listens to which topic filter; filled by importing the modules of this package."""


def operation(name: str, *, prepare: Callable[[Store], Any] | None = None) -> Callable[[_Function], _Function]:
    """Register a function as an operation: `@operation("iot:CreateThing")`."""

    def register(function: _Function) -> _Function:
        OPERATIONS[name] = Operation(name, function, prepare)
        return function

    return register


def on(topic_filter: str, *, prepare: Callable[[Store], Any] | None = None) -> Callable[[_Function], _Function]:
    """Register a function for the messages of a topic filter; one under `$local/` hears what other services did."""

    def register(function: _Function) -> _Function:
        LISTENERS.append((topic_filter, function))
        if prepare is not None:
            PREPARED[function] = prepare
        return function

    return register
