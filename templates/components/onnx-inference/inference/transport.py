"""Where messages go to and come from.

Greengrass's own IPC on a core with a nucleus; MQTT with mutual TLS on a `local core`; the terminal where there is
neither.
"""

from __future__ import annotations

import collections
import os
import sys
import threading
import time
from collections.abc import Mapping
from typing import Any, Callable, NamedTuple

from inference.log import say
from inference.outbox import Transport

IPC_SOCKET = "AWS_GG_NUCLEUS_DOMAIN_SOCKET_FILEPATH_FOR_COMPONENT"
MQTT_HOST = "IOTCTL_MQTT_HOST"

_CONNECT_SECONDS = 30.0
_KEEP_ALIVE = 60
_SESSION_SECONDS = 3600
_ANSWER_SECONDS = 10.0
_AGAIN_SECONDS = (1.0, 30.0)
"""Between two tries to publish what the nucleus could not take: the first, and the longest."""
_EARLY = 1000
_FAILURES = 128
"""MQTT 5: reason codes from here on are refusals."""

_WINDOW = 100
"""Inputs that were received and are not answered; AWS IoT sends no more than so many on a connection either."""

Received = Callable[..., None]


class Unreachable(Exception):
    """There is no connection, and why."""


def connect(environment: Mapping[str, str], lost: Callable[[str], None]) -> Transport:
    """The transport of this place.

    Args:
        environment: which variables are there decides.
        lost: called with the reason when a connection that does not come back by itself is gone.

    Raises:
        Unreachable: it cannot be had.

    """
    if environment.get(IPC_SOCKET):
        return Greengrass(lost)
    if environment.get(MQTT_HOST):
        return Mqtt(environment)
    return Terminal()


class _Unsent(NamedTuple):
    """A message that the nucleus has not taken yet, and since when there is it."""

    topic: str
    payload: bytes
    qos: int
    done: Callable[[], None]
    since: float


class Greengrass:
    """Publish and subscribe through the nucleus (GreengrassCoreIPCClientV2).

    The nucleus unsubscribes when a component ends, so what is sent while it restarts is lost. What is published while
    there is no connection the classic nucleus spools; nucleus lite answers ServiceError then, so it is kept here.
    """

    keeps = False

    def __init__(self, lost: Callable[[str], None]) -> None:
        from awsiot import greengrasscoreipc
        from awsiot.eventstreamrpc import LifecycleHandler
        from awsiot.greengrasscoreipc.clientv2 import GreengrassCoreIPCClientV2
        from awsiot.greengrasscoreipc.model import QOS, ServiceError

        class Lifecycle(LifecycleHandler):  # type: ignore[misc]  # awsiotsdk is not typed
            """A nucleus that goes away takes its components down; this one comes back with it."""

            def on_disconnect(self, reason: Any, *_: Any) -> None:
                lost(f"the connection to the Greengrass nucleus is gone: {reason}")

        try:
            client = greengrasscoreipc.connect(lifecycle_handler=Lifecycle(), timeout=_CONNECT_SECONDS)
        except Exception as error:
            raise Unreachable(f"the Greengrass nucleus cannot be reached: {error}") from error
        self._client = GreengrassCoreIPCClientV2(client=client)
        self._refusal: type[BaseException] = ServiceError
        self._lock = threading.Lock()
        self._again: list[_Unsent] = []
        """What the nucleus could not take at QoS 1, to be handed over again, in order."""
        self._timer: threading.Timer | None = None
        self._pause = _AGAIN_SECONDS[0]
        self._qos = {0: QOS.AT_MOST_ONCE, 1: QOS.AT_LEAST_ONCE}

    def publish(self, topic: str, payload: bytes, qos: int, done: Callable[[], None]) -> None:
        """Hand a message to the nucleus; at QoS 1 it waits out a connection that the nucleus has lost."""
        self._send(_Unsent(topic, payload, qos, done, time.monotonic()))

    def _send(self, message: _Unsent) -> None:
        topic, payload, qos, done, since = message

        def answered(future: Any) -> None:
            failed = isinstance(future.exception(), self._refusal)
            if failed and qos and time.monotonic() - since < _SESSION_SECONDS:
                self._keep(message)
                return
            if not failed:
                self._reached()
            _settled(future, topic, done)

        self._client.publish_to_iot_core_async(topic_name=topic, qos=self._qos[qos], payload=payload).add_done_callback(
            answered
        )

    def _keep(self, message: _Unsent) -> None:
        with self._lock:
            self._again.append(message)
            if self._timer is None:
                if self._pause == _AGAIN_SECONDS[0]:
                    say("the nucleus cannot publish now, as when it is offline: what it cannot take waits here")
                self._wait()

    def _wait(self) -> None:
        self._timer = threading.Timer(self._pause, self._retry)
        self._timer.daemon = True
        self._timer.start()

    def _reached(self) -> None:
        """The nucleus takes messages: what waits longer than it must goes soon."""
        with self._lock:
            if self._pause == _AGAIN_SECONDS[0]:
                return
            self._pause = _AGAIN_SECONDS[0]
            if self._timer:
                self._timer.cancel()
                self._wait()

    def _retry(self) -> None:
        with self._lock:
            again, self._again, self._timer = self._again, [], None
            self._pause = min(self._pause * 2, _AGAIN_SECONDS[1])
        for message in again:
            self._send(message)

    def subscribe(self, topic: str, received: Received, qos: int) -> None:
        """Subscribe by the nucleus's connection."""

        def on_event(event: Any) -> None:
            received(event.message.topic_name, event.message.payload or b"")

        try:
            self._client.subscribe_to_iot_core(topic_name=topic, qos=self._qos[qos], on_stream_event=on_event)
        except Exception as error:
            raise Unreachable(f"the nucleus refuses a subscription to {topic}: {_words(error)}") from error

    def configuration(self) -> Any:
        """This component's configuration as the nucleus has it."""
        return self._client.get_configuration(key_path=["inference"]).value

    def close(self) -> None:
        """Disconnect; what the nucleus could not take until now goes nowhere."""
        with self._lock:
            if self._timer:
                self._timer.cancel()
            if self._again:
                say(f"{len(self._again)} messages could not be published before the end")
        self._client.close(executor_wait=False)


class Mqtt:
    """An MQTT connection of its own, with the certificate of the core device; it comes back by itself.

    Its session outlives a restart of the program, and what is not acknowledged stays in it: inputs that were sent
    meanwhile, or that the program before had not answered, are received then.
    """

    keeps = True

    def __init__(self, environment: Mapping[str, str]) -> None:
        from awscrt import mqtt5
        from awsiot import mqtt5_client_builder

        self._mqtt5 = mqtt5
        self._subscribed: dict[str, tuple[Received, int]] = {}
        self._early: collections.deque[tuple[Any, ...]] = collections.deque(maxlen=_EARLY)
        """What the session brought before anybody had subscribed again."""
        self._up, self._stopped = threading.Event(), threading.Event()
        self._fault = "no answer"
        self.connections = 0
        """How often the broker had kept the session, and sends again what was not acknowledged."""
        self._client = mqtt5_client_builder.mtls_from_path(
            endpoint=environment[MQTT_HOST],
            port=int(environment.get("IOTCTL_MQTT_PORT", "8883")),
            cert_filepath=environment["IOTCTL_MQTT_CERT"],
            pri_key_filepath=environment["IOTCTL_MQTT_KEY"],
            ca_filepath=environment["IOTCTL_MQTT_CA"],
            client_id=client_id(environment),
            keep_alive_interval_sec=_KEEP_ALIVE,
            session_expiry_interval_sec=_SESSION_SECONDS,
            session_behavior=mqtt5.ClientSessionBehaviorType.REJOIN_ALWAYS,
            receive_maximum=_WINDOW,
            extended_validation_and_flow_control_options=mqtt5.ExtendedValidationAndFlowControlOptions.NONE,
            on_publish_received=self._received,
            on_lifecycle_connection_success=self._connected,
            on_lifecycle_connection_failure=self._failed,
            on_lifecycle_stopped=lambda _: self._stopped.set(),
        )
        self._client.start()
        if not self._up.wait(_CONNECT_SECONDS):
            self.close()
            raise Unreachable(f"{environment[MQTT_HOST]} does not accept the connection: {self._fault}")

    def publish(self, topic: str, payload: bytes, qos: int, done: Callable[[], None]) -> None:
        """Publish; at QoS 1 it waits out a lost connection."""
        packet = self._mqtt5.PublishPacket(topic=topic, qos=self._mqtt5.QoS(qos), payload=payload)
        self._client.publish(packet).add_done_callback(lambda future: _settled(future, topic, done))

    def subscribe(self, topic: str, received: Received, qos: int) -> None:
        """Subscribe, now and after every reconnect that did not find its session."""
        self._subscribed[topic] = received, qos
        while self._early:
            received(*self._early.popleft())
        codes = self._ask(topic, qos).result(_ANSWER_SECONDS).reason_codes
        if any(code >= _FAILURES for code in codes):
            raise Unreachable(f"the subscription to {topic} is refused: the core's policy does not allow it")

    def acknowledge(self, handle: Any) -> None:
        """Tell the broker that a message need not be kept; one of a connection that is gone it sends again."""
        self._client.invoke_publish_acknowledgement(handle)

    def close(self) -> None:
        """Disconnect; what is on its way out gets a moment."""
        self._client.stop()
        self._stopped.wait(_ANSWER_SECONDS)

    def _ask(self, topic: str, qos: int) -> Any:
        wanted = self._mqtt5.Subscription(topic, self._mqtt5.QoS(qos))
        return self._client.subscribe(self._mqtt5.SubscribePacket([wanted]))

    def _connected(self, event: Any) -> None:
        self._up.set()
        if event.connack_packet.session_present:
            self.connections += 1
        else:
            for topic, (_, qos) in self._subscribed.items():
                self._ask(topic, qos)

    def _failed(self, event: Any) -> None:
        answer = event.connack_packet
        self._fault = _words(event.exception) if answer is None else f"refused ({answer.reason_code.name})"

    def _received(self, event: Any) -> None:
        packet = event.publish_packet
        message: tuple[Any, ...] = (packet.topic, packet.payload or b"")
        # None at QoS 0; an older awscrt has no such thing, and acknowledges by itself.
        keep = getattr(event, "acquire_publish_acknowledgement_control", None)
        if keep:
            kept = _Kept(self, keep(), self.connections)
            message = (*message, kept.done, kept.over)
        if not self._subscribed:
            self._early.append(message)
        for received, _ in self._subscribed.values():  # one source has one filter
            received(*message)


class _Kept:
    """A message that the broker keeps until it is acknowledged; one of a connection that is gone it sends again."""

    __slots__ = ("_connection", "_handle", "_owner")

    def __init__(self, owner: Mqtt, handle: Any, connection: int) -> None:
        self._owner, self._handle, self._connection = owner, handle, connection

    def done(self) -> None:
        self._owner.acknowledge(self._handle)

    def over(self) -> bool:
        return self._owner.connections != self._connection


class Terminal:
    """Predictions as lines on stdout: to try the program where there is nothing to connect to."""

    keeps = True

    def publish(self, topic: str, payload: bytes, qos: int, done: Callable[[], None]) -> None:
        """Write a line."""
        del topic, qos
        sys.stdout.buffer.write(payload + b"\n")
        sys.stdout.buffer.flush()
        done()

    def subscribe(self, topic: str, received: Received, qos: int) -> None:
        """There is nobody to send anything."""
        del received, qos
        raise Unreachable(f"{topic} needs a connection: neither {IPC_SOCKET} nor {MQTT_HOST} is set")

    def close(self) -> None:
        """Nothing is open."""


def client_id(environment: Mapping[str, str]) -> str:
    """`<thing>#<component>`: the pattern of the nucleus's own further connections."""
    return f"{environment['AWS_IOT_THING_NAME']}#{environment.get('IOTCTL_COMPONENT') or os.getpid()}"


def _settled(future: Any, topic: str, done: Callable[[], None]) -> None:
    error = future.exception()
    if error:
        say(f"not published to {topic}: {_words(error)}")
    elif code := _refused(future.result()):
        say(f"not published to {topic}: refused ({code}); does the policy of the core's certificate allow it?")
    done()


def _refused(result: Any) -> str:
    """The reason code of a PUBACK that is a refusal; Greengrass IPC raises an error in its place."""
    puback = getattr(result, "puback", None)
    return str(puback.reason_code.name) if puback is not None and puback.reason_code >= _FAILURES else ""


def _words(error: BaseException) -> str:
    message = getattr(error, "message", None) or str(error) or type(error).__name__
    return " ".join(str(message).split())[:300]
