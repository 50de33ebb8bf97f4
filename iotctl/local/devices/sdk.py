"""A simulated thing on awsiotsdk: a thread and a full AWS client for each, so for a few."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from iotctl import bundle, clock
from iotctl.errors import Error, Interrupted, Temporary
from iotctl.local.devices.agent import Install, Pause, Reboot
from iotctl.local.devices.credentials import Work
from iotctl.local.devices.renewal import Reconnect
from iotctl.local.devices.thing import Publish, Told, Wait
from iotctl.mqtt import Connection, Notice

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterable, Mapping

    from iotctl.local.devices.credentials import Credentials
    from iotctl.local.devices.device import Action, Device
    from iotctl.local.devices.installer import Outcome
    from iotctl.local.devices.tally import Tally

_LISTEN_SECONDS = 0.2
_RETRY_SECONDS = 5.0


def carry(
    credentials: Credentials,
    device: Device,
    install: Callable[[Mapping[str, Any]], Outcome],
    tally: Tally,
    say: Callable[..., object],
    stopping: threading.Event,
    *,
    paced: bool,
) -> None:
    """Connect the device and let it act, until told to stop; runs in a thread of its own.

    Args:
        credentials: who connects, and where.
        device: what acts.
        install: installs what a job document says; meanwhile nothing else happens.
        tally: is told what happens.
        say: calls a method of the tally with its arguments, where the tally lives.
        stopping: ends it.
        paced: keep to AWS IoT's limits of a connection.

    """
    while not stopping.is_set():
        away, identity = 0.0, credentials.identity()
        try:
            with Connection.device(
                identity.endpoint,
                identity.port,
                identity.thing_name,
                certificate=identity.certificate,
                key=bundle.private_key(identity.key, identity.passphrase) if identity.passphrase else identity.key,
                ca_file=identity.ca_file,
                paced=paced,
            ) as connection:
                connection.subscribe(device.filters)
                credentials.connected()
                life = _Life(connection, device, install, tally, say, credentials)
                away = life.live(identity.certificate_id, stopping)
        except Error as error:
            credentials.down()
            say(tally.down, device.name, error)
            away = _RETRY_SECONDS
        stopping.wait(away)


class _Life:
    """One connection of a device, from its beginning to its end or to a reboot."""

    def __init__(
        self,
        connection: Connection,
        device: Device,
        install: Callable[[Mapping[str, Any]], Outcome],
        tally: Tally,
        say: Callable[..., object],
        credentials: Credentials,
    ) -> None:
        self._credentials = credentials
        self._connection = connection
        self._device = device
        self._install = install
        self._tally = tally
        self._say = say
        self._waiting: list[tuple[float, Wait | Pause]] = []
        self._away = 0.0
        self._over = ""
        self._certificate_id = ""

    def live(self, certificate_id: str, stopping: threading.Event) -> float:
        """Act until told to stop, until a reboot, or until it wants another connection; seconds to stay away."""
        self._certificate_id = certificate_id
        self._connected()
        while not (stopping.is_set() or self._ended()):
            for item in self._connection.listen(until=clock.monotonic() + _LISTEN_SECONDS):
                if not isinstance(item, Notice):
                    self._perform(self._device.received(item.topic, item.payload))
                elif item.kind == "lost":
                    self._lost(item.detail)
                else:
                    self._connected()
                if self._ended():
                    break
            for each in [each for each in self._waiting if each[0] <= clock.monotonic()]:
                self._waiting.remove(each)
                again = each[1]
                self._perform(self._device.due(again.shadow_name) if isinstance(again, Wait) else self._device.resume())
        if self._ended():
            self._lost(self._over)
        return self._away

    def _ended(self) -> bool:
        return bool(self._over)

    def _connected(self) -> None:
        self._say(self._tally.up, self._device.name)
        renewed = self._credentials.renewed
        self._perform(self._device.connected(self._certificate_id, renewed=renewed))

    def _lost(self, why: str) -> None:
        error = Temporary("the connection was lost", code="Lost", cause=why)
        self._say(self._tally.down, self._device.name, error)

    def _perform(self, actions: Iterable[Action]) -> None:
        for action in actions:
            match action:
                case Publish(topic, payload):
                    self._connection.publish(topic, payload)
                case Wait() | Pause():
                    self._waiting.append((clock.monotonic() + action.seconds, action))
                case Told():
                    self._say(self._tally.told, self._device.name, action)
                case Install(document):
                    with contextlib.suppress(Interrupted):
                        self._perform(self._device.installed(self._install(document)))
                case Reboot(seconds):
                    self._device.rebooted()
                    self._away, self._over = seconds, "it reboots"
                case Work():
                    self._perform(self._device.worked(self._credentials.perform(action)))
                case Reconnect():
                    self._over = "it connects with its new certificate"
