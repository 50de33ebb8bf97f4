"""Connect, subscribe, publish: the one door to MQTT (awsiotsdk), for operators and for devices, here and on AWS.

A connection reconnects by itself, subscribes again, and says so: what was missed in between is never hidden. It speaks
MQTT 5. Operators come over WebSocket with signed requests, devices with mutual TLS.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Self

from awscrt import auth, exceptions, mqtt5
from awsiot import mqtt5_client_builder

from iotctl import clock
from iotctl.errors import Auth, Error, Temporary
from iotctl.inbox import Inbox
from iotctl.text import sanitize

if TYPE_CHECKING:
    from pathlib import Path

CONNECT_SECONDS: Final = 15.0
LOOK_SECONDS: Final = 2.0
"""After so long without a connection the server's certificate is looked at: awscrt tells of a bad one only half a
minute later, as its TLS library holds failures back on purpose."""
ANSWER_SECONDS: Final = 10.0
KEEP_ALIVE: Final = 60
QUEUED: Final = 1000
REFUSALS: Final = 3

_REFUSED: Final = frozenset(
    {
        mqtt5.ConnectReasonCode.NOT_AUTHORIZED,
        mqtt5.ConnectReasonCode.BAD_USERNAME_OR_PASSWORD,
        mqtt5.ConnectReasonCode.BANNED,
        mqtt5.ConnectReasonCode.CLIENT_IDENTIFIER_NOT_VALID,
    }
)
_MOST_IN_SUBSCRIBE: Final = 8  # AWS IoT's limit of filters in one SUBSCRIBE

Credentials = Callable[[], tuple[str, str, str | None]]


class Message(NamedTuple):
    """A message as it came."""

    topic: str
    payload: bytes
    retained: bool


@dataclass(frozen=True, slots=True)
class Notice:
    """Something a reader must know: messages may be missing.

    Attributes:
        kind: "lost" (the connection), "back" (it is up again), "dropped" (the reader is too slow).
        detail: why, how long, how many.

    """

    kind: str
    detail: str


Item = Message | Notice | Error


class Connection:
    """One MQTT connection. Use it as a context manager; entering connects.

    Attributes:
        inbox: what came; several connections may share one, and then it is read itself.
        received: messages that came until now.

    """

    def __init__(
        self,
        build: Callable[..., mqtt5.Client],
        endpoint: str,
        client_id: str,
        *,
        inbox: Inbox[Item] | None = None,
        **settings: Any,  # noqa: ANN401  awscrt's
    ) -> None:
        self.client_id = client_id
        self.inbox = inbox or Inbox(QUEUED)
        self.received = 0
        self._endpoint = endpoint
        self._port: int = settings["port"]
        self._ca_file: str | None = settings.get("ca_filepath")
        self._filters: dict[str, mqtt5.QoS] = {}
        self._up: Future[None] = Future()
        self._stopped: Future[None] = Future()
        self._waiting: Iterator[Message | Notice] = iter(())
        self._refusals = 0
        self._lost_at: float | None = None
        self._last_fault = ""
        self._unsigned: Error | None = None
        self._client = build(
            endpoint=endpoint,
            client_id=client_id,
            keep_alive_interval_sec=KEEP_ALIVE,
            on_publish_received=self._received,
            on_lifecycle_connection_success=self._connected,
            on_lifecycle_connection_failure=self._failed,
            on_lifecycle_disconnection=self._disconnected,
            on_lifecycle_stopped=lambda _: _settle(self._stopped),
            **settings,
        )

    @classmethod
    def operator(
        cls,
        endpoint: str,
        port: int,
        *,
        region: str,
        credentials: Credentials,
        ca_file: str | None = None,
        paced: bool = True,
        inbox: Inbox[Item] | None = None,
    ) -> Self:
        """A connection over WebSocket, signed anew at every reconnect.

        Args:
            endpoint: host name.
            port: of its HTTPS side.
            region: for the signature.
            credentials: asked at every connect, so that those that expire are renewed.
            ca_file: the endpoint's CA where the system does not have it.
            paced: keep to AWS IoT's limits of a connection (100 publishes a second).
            inbox: where what comes is put; one of its own where None.

        """

        def current() -> auth.AwsCredentials:
            try:
                found = credentials()
            except Error as error:
                # What is raised here awscrt prints, with its traceback, at each of its tries. So it is sent with none
                # that are good, and `_failed` tells why.
                connection._unsigned, found = error, ("none", "none", None)
            else:
                connection._unsigned = None
            return auth.AwsCredentials(*found)

        connection = cls(
            mqtt5_client_builder.websockets_with_default_aws_signing,
            endpoint,
            f"iotctl-{uuid.uuid4().hex[:8]}",
            port=port,
            region=region,
            credentials_provider=auth.AwsCredentialsProvider.new_delegate(current),
            inbox=inbox,
            **_common(ca_file, paced=paced),
        )
        return connection

    @classmethod
    def device(
        cls,
        endpoint: str,
        port: int,
        client_id: str,
        *,
        certificate: Path,
        key: Path | bytes,
        ca_file: Path,
        paced: bool = True,
        inbox: Inbox[Item] | None = None,
    ) -> Self:
        """A connection with mutual TLS, with the files of a bundle; a device's client id is its thing's name.

        Args:
            endpoint: host name.
            port: of MQTT with mutual TLS.
            client_id: the thing's name.
            certificate: its file (PEM).
            key: the file of the private key, or its PEM itself where that was encrypted.
            ca_file: the endpoint's CA.
            paced: keep to AWS IoT's limits of a connection (100 publishes a second).
            inbox: where what comes is put; one of its own where None.

        """
        if isinstance(key, bytes):
            build = mqtt5_client_builder.mtls_from_bytes
            files: dict[str, Any] = {"cert_bytes": certificate.read_bytes(), "pri_key_bytes": key}
        else:
            build = mqtt5_client_builder.mtls_from_path
            files = {"cert_filepath": str(certificate), "pri_key_filepath": str(key)}
        return cls(
            build,
            endpoint,
            client_id,
            port=port,
            **files,
            inbox=inbox,
            **_common(str(ca_file), paced=paced),
        )

    def __enter__(self) -> Self:
        """Connect.

        Raises:
            Auth: the credentials, the certificate or the policy are refused. Temporary: it cannot be reached.

        """
        self._client.start()
        try:
            try:
                self._up.result(LOOK_SECONDS)
            except FutureTimeoutError:
                _check_server(self._endpoint, self._port, self._ca_file)
                self._up.result(CONNECT_SECONDS - LOOK_SECONDS)
        except FutureTimeoutError as error:
            self._client.stop()
            raise Temporary(
                f"{self._endpoint} did not accept an MQTT connection within {CONNECT_SECONDS:g} s",
                code="Unreachable",
                cause=self._last_fault,
            ) from error
        except Error:
            self._client.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Disconnect."""
        self._client.stop()
        with contextlib.suppress(FutureTimeoutError):
            self._stopped.result(ANSWER_SECONDS)

    def subscribe(self, filters: Sequence[str], *, qos: int = 1) -> None:
        """Subscribe, now and after every reconnect.

        Raises:
            Auth: a filter is refused. Temporary: no answer.

        """
        for part in _parts({topic_filter: mqtt5.QoS(qos) for topic_filter in filters}):
            refused = _refusal(part, self._answered(self._subscribe(part), "SUBSCRIBE"))
            if refused:
                raise refused
            self._filters |= part

    def publish(self, topic: str, payload: bytes, *, qos: int = 1, retain: bool = False) -> Future[Any]:
        """Publish; the future settles with the acknowledgement (QoS 1) or once it is sent (QoS 0)."""
        packet = mqtt5.PublishPacket(topic=topic, payload=payload, qos=mqtt5.QoS(qos), retain=retain)
        sent: Future[Any] = self._client.publish(packet)
        return sent

    def listen(self, *, until: float | None = None) -> Iterator[Message | Notice]:
        """Messages as they come, and notices of what may be missing between them.

        Args:
            until: a `clock.monotonic()` at which to end; for ever where None.

        Raises:
            Auth: the connection was lost and is refused since.

        """
        while True:
            for item in self._waiting:
                yield item
                if until is not None and clock.monotonic() >= until:
                    return
            if until is not None and clock.monotonic() >= until:
                return
            # A bounded wait, so that Ctrl-C is not held up by a quiet topic.
            self._waiting = taken(self.inbox, 0.2 if until is None else min(0.2, until - clock.monotonic()))

    def _subscribe(self, filters: Mapping[str, mqtt5.QoS]) -> Future[Any]:
        wanted = [mqtt5.Subscription(topic_filter=name, qos=qos) for name, qos in filters.items()]
        asked: Future[Any] = self._client.subscribe(mqtt5.SubscribePacket(subscriptions=wanted))
        return asked

    def _answered(self, future: Future[Any], what: str) -> Any:  # noqa: ANN401  a packet of awscrt's
        try:
            return future.result(ANSWER_SECONDS)
        except FutureTimeoutError as error:
            raise Temporary(
                f"{self._endpoint} did not answer {what}", code="NoAnswer", cause=self._last_fault
            ) from error
        except exceptions.AwsCrtError as error:
            raise Temporary(f"{what} failed", code=error.name, cause=sanitize(error.message)) from error

    def _received(self, data: mqtt5.PublishReceivedData) -> None:
        packet = data.publish_packet
        payload = bytes(packet.payload or b"")
        self.received += 1
        self.inbox.put(Message(packet.topic, payload, bool(packet.retain)), len(payload) + len(packet.topic))

    def _connected(self, _: mqtt5.LifecycleConnectSuccessData) -> None:
        self._refusals = 0
        if self._lost_at is not None:
            away, self._lost_at = clock.monotonic() - self._lost_at, None
            for part in _parts(dict(self._filters)):
                self._subscribe(part).add_done_callback(partial(self._subscribed_again, part))
            self.inbox.tell(Notice("back", f"reconnected after {away:.1f} s; what came in between is missing"))
        _settle(self._up)

    def _subscribed_again(self, part: Mapping[str, mqtt5.QoS], future: Future[Any]) -> None:
        """Tell the reader of a filter that is refused by now; without an answer, the next reconnect asks again."""
        if not future.exception() and (refused := _refusal(part, future.result())):
            self.inbox.tell(refused)

    def _failed(self, data: mqtt5.LifecycleConnectFailureData) -> None:
        fault, self._last_fault = _fault(self._endpoint, data), sanitize(str(data.exception))
        if unsigned := self._unsigned:  # what the server said of that is no news
            fault, self._last_fault = unsigned if isinstance(unsigned, Auth) else None, unsigned.message
        if fault is None:
            return
        self._refusals += 1
        if not self._up.done():
            self._up.set_exception(fault)
        elif self._refusals >= REFUSALS:
            self._client.stop()
            self.inbox.tell(fault)

    def _disconnected(self, data: mqtt5.LifecycleDisconnectData) -> None:
        if self._stopped.done() or self._lost_at is not None:
            return
        self._lost_at = clock.monotonic()
        reason = data.disconnect_packet.reason_code.name if data.disconnect_packet else str(data.exception)
        self.inbox.tell(Notice("lost", sanitize(reason)))


def taken(inbox: Inbox[Item], seconds: float) -> Iterator[Message | Notice]:
    """What waits in an inbox, or comes within so many seconds; first how many messages were dropped, if any.

    Raises:
        Auth: a connection was lost and is refused since; what came before that has been given.

    """
    items = inbox.take(seconds)
    if inbox.dropped:
        dropped, inbox.dropped = inbox.dropped, 0
        yield Notice("dropped", f"{dropped} messages: this reader is too slow")
    for item in items:
        if isinstance(item, Error):
            raise item
        yield item


def _parts(filters: Mapping[str, mqtt5.QoS]) -> Iterator[dict[str, mqtt5.QoS]]:
    """As many filters each as one SUBSCRIBE may hold."""
    left = list(filters.items())
    for start in range(0, len(left), _MOST_IN_SUBSCRIBE):
        yield dict(left[start : start + _MOST_IN_SUBSCRIBE])


def _refusal(part: Mapping[str, mqtt5.QoS], answer: mqtt5.SubackPacket) -> Auth | None:
    """The first filter that an answer refuses; None: it grants all of them."""
    for topic_filter, code in zip(part, answer.reason_codes, strict=True):
        if code > mqtt5.SubackReasonCode.GRANTED_QOS_2:
            return Auth(
                f"the subscription to {topic_filter} was refused ({code.name})",
                code="SubscribeRefused",
                hint="the credentials or the policy do not allow iot:Subscribe on it",
                on=topic_filter,
            )
    return None


def _common(ca_file: str | None, *, paced: bool) -> dict[str, Any]:
    flow = mqtt5.ExtendedValidationAndFlowControlOptions
    chosen = flow.AWS_IOT_CORE_DEFAULTS if paced else flow.NONE
    settings: dict[str, Any] = {"extended_validation_and_flow_control_options": chosen}
    return settings | ({"ca_filepath": ca_file} if ca_file else {})


def _fault(endpoint: str, data: mqtt5.LifecycleConnectFailureData) -> Error | None:
    """Why the connection is refused; None for what a retry may mend."""
    name = getattr(data.exception, "name", "")
    cause = sanitize(f"{name}: {data.exception}")
    if data.connack_packet is not None and data.connack_packet.reason_code in _REFUSED:
        reason = data.connack_packet.reason_string or data.connack_packet.reason_code.name
        return Auth(f"{endpoint} refused the MQTT connection: {sanitize(reason)}", code="ConnectRefused", cause=cause)
    if "TLS" in name:
        hint = "check the CA file, the certificate and the clock"
        return Auth(f"no trusted TLS connection to {endpoint}", code="Tls", cause=cause, hint=hint)
    if "UPGRADE" in name:
        hint = "check the credentials and their permission iot:Connect"
        return Auth(f"{endpoint} refused the WebSocket", code="ConnectRefused", cause=cause, hint=hint)
    return None


def _check_server(endpoint: str, port: int, ca_file: str | None) -> None:
    """Shake hands with the server as far as its certificate goes.

    Raises:
        Auth: the certificate is not trusted, has run out, or is another host's; with the reason.

    """
    context = ssl.create_default_context(cafile=ca_file)
    try:
        with (
            socket.create_connection((endpoint, port), timeout=LOOK_SECONDS) as plain,
            context.wrap_socket(plain, server_hostname=endpoint),
        ):
            return
    except ssl.SSLCertVerificationError as error:
        raise Auth(
            f"the certificate of {endpoint} is refused",
            code="Tls",
            cause=error.verify_message,
            hint="check the CA file and the clock of this machine",
        ) from error
    except OSError:
        return


def _settle(future: Future[None]) -> None:
    if not future.done():
        future.set_result(None)
