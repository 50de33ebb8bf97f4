"""A simulated thing on awsiotsdk: a thread and a full AWS client for each, so for a few."""

from __future__ import annotations

from typing import TYPE_CHECKING

from iotctl import clock
from iotctl.errors import Error, Temporary
from iotctl.local.devices.thing import Action, Publish, Thing, Told, Wait
from iotctl.mqtt import Connection, Notice

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterable

    from iotctl.local.devices.session import Identity
    from iotctl.local.devices.tally import Tally

_LISTEN_SECONDS = 0.2
_RETRY_SECONDS = 5.0


def carry(
    identity: Identity,
    thing: Thing,
    tally: Tally,
    say: Callable[..., object],
    stopping: threading.Event,
    *,
    paced: bool,
) -> None:
    """Connect the thing and let it act, until told to stop; runs in a thread of its own.

    Args:
        identity: who connects, and where.
        thing: what acts.
        tally: is told what happens.
        say: calls a method of the tally with its arguments, where the tally lives.
        stopping: ends it.
        paced: keep to AWS IoT's limits of a connection.

    """
    while not stopping.is_set():
        try:
            with Connection.device(
                identity.endpoint,
                identity.port,
                identity.thing_name,
                certificate=identity.certificate,
                key=identity.key,
                ca_file=identity.ca_file,
                paced=paced,
            ) as connection:
                connection.subscribe(thing.filters)
                _live(connection, thing, tally, say, stopping)
        except Error as error:
            say(tally.down, thing.name, error)
            stopping.wait(_RETRY_SECONDS)


def _live(
    connection: Connection, thing: Thing, tally: Tally, say: Callable[..., object], stopping: threading.Event
) -> None:
    waiting: list[tuple[float, str | None]] = []

    def perform(actions: Iterable[Action]) -> None:
        for action in actions:
            match action:
                case Publish(topic, payload):
                    connection.publish(topic, payload)
                case Wait(seconds, shadow_name):
                    waiting.append((clock.monotonic() + seconds, shadow_name))
                case Told():
                    say(tally.told, thing.name, action)

    def connected() -> None:
        say(tally.up, thing.name)
        perform(thing.connected())

    connected()
    while not stopping.is_set():
        for item in connection.listen(until=clock.monotonic() + _LISTEN_SECONDS):
            if not isinstance(item, Notice):
                perform(thing.received(item.topic, item.payload))
            elif item.kind == "lost":
                say(tally.down, thing.name, Temporary("the connection was lost", code="Lost", cause=item.detail))
            else:
                connected()
        for each in [each for each in waiting if each[0] <= clock.monotonic()]:
            waiting.remove(each)
            perform(thing.due(each[1]))
