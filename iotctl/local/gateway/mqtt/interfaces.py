"""What a broker asks of the platform around it, and how it shows it a message."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from iotctl.local.gateway.mqtt.packets import Properties
    from iotctl.local.gateway.mqtt.session import Client


class Authorizer(Protocol):
    """What clients may do: the IoT policies. Answers are remembered until `Broker.policies_changed`."""

    def connect(self, client: Client, *, will: str, persistent: bool) -> bool:
        """iot:Connect, with what the conditions of a policy may ask for; `will`: its topic, empty: none."""

    def publish(self, client: Client, topic: str, *, retain: bool) -> bool:
        """iot:Publish, and iot:RetainPublish where the message is to be retained."""

    def subscribe(self, client: Client, topic_filter: str) -> bool:
        """iot:Subscribe; a shared subscription comes whole, `$share/NAME/FILTER`."""

    def receive(self, client: Client, topic: str) -> bool:
        """iot:Receive, asked for each topic that a message comes from."""


class Principals(Protocol):
    """The certificates."""

    def active(self, certificate_id: str, certificate: bytes) -> bool:
        """Whether a certificate (its id, its DER) is registered and ACTIVE."""

    def introduce(self, certificate: bytes, server_name: str) -> bool:
        """Look at a certificate (DER) that is not active; True: it will be, and its device should come again.

        Args:
            certificate: what the client showed.
            server_name: whom the client asked for in TLS (SNI); empty: it did not say.

        """


class Meter(Protocol):
    """Whoever counts what clients do; it is told, and changes nothing."""

    def attempted(self, client: Client) -> None:
        """A client with a known certificate wants to connect."""

    def ended(self, client: Client) -> None:
        """A connection ended."""

    def sent(self, client: Client, topic: str, size: int) -> None:
        """A client published a message, of so many bytes."""

    def received(self, client: Client, topic: str) -> None:
        """A message went to a client."""

    def refused(self, client: Client, topic: str) -> None:
        """A policy does not allow what a client asked for: on a topic or filter, empty where it was to connect."""


class Incoming(NamedTuple):
    """A published message as a service sees it; `client` None: a service published it."""

    topic: str
    payload: bytes
    client: Client | None
    qos: int
    retain: bool
    properties: Properties
