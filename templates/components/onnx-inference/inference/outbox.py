"""What is to be published, at the pace that a connection may have; bounded, so that being offline costs no memory."""

from __future__ import annotations

import collections
import functools
import time
from typing import Any, Callable, NamedTuple, Protocol


class Transport(Protocol):
    """Where messages go to and come from."""

    def publish(self, topic: str, payload: bytes, qos: int, done: Callable[[], None]) -> None:
        """Publish, without waiting; `done` is called, from any thread, when it is settled either way."""

    keeps: bool
    """Whether what is sent to a subscription of QoS 1 while this program is not there is kept for it."""

    def subscribe(self, topic: str, received: Callable[..., None], qos: int) -> None:
        """Subscribe; what comes is handed over on a thread of the transport's own.

        `received` gets topic and payload, and where the message is kept until then: what tells that it is done, and
        what tells whether it is going to come again.
        """

    def close(self) -> None:
        """Disconnect."""


_BURST_SECONDS = 0.25
_LARGEST = 128 * 1024  # AWS IoT's limit of a payload


class _Message(NamedTuple):
    topic: str
    payload: bytes
    qos: int
    done: Callable[[], Any] | None = None


class Outbox:
    """Messages on their way out; predictions may be dropped, the oldest first, all else is kept.

    Attributes:
        dropped: how many did not go out. Who reads the predictions sees them as a gap in `seq`.

    """

    def __init__(
        self, transport: Transport, wake: Callable[[], Any], *, per_second: float, most: int = 1000, flight: int = 100
    ) -> None:
        self._transport, self._wake = transport, wake
        self._rate, self._most, self._flight = per_second, most, flight
        self._tokens = self._burst = max(1.0, per_second * _BURST_SECONDS)
        self._filled = time.monotonic()
        self._important: collections.deque[_Message] = collections.deque()
        self._predictions: collections.deque[_Message] = collections.deque()
        self._settled: collections.deque[None] = collections.deque()  # of other threads: append and pop are atomic
        self._flying = 0
        self.dropped = 0

    def prediction(self, topic: str, payload: bytes, qos: int, done: Callable[[], Any] | None = None) -> None:
        """One of many; `done` is called when it is out, or dropped."""
        message = _Message(topic, payload, qos, done)
        if len(payload) > _LARGEST:
            self._drop(message)
            return
        if len(self._predictions) >= self._most:
            self._drop(self._predictions.popleft())
        self._predictions.append(message)

    def important(self, topic: str, payload: bytes) -> None:
        """A report or an action; from any thread."""
        self._important.append(_Message(topic, payload, 1))
        self._wake()

    def step(self) -> float:
        """Publish what may go now; seconds until more may."""
        while self._settled:
            self._settled.pop()
            self._flying -= 1
        now = time.monotonic()
        self._tokens = min(self._burst, self._tokens + (now - self._filled) * self._rate)
        self._filled = now
        while self._flying < self._flight and (self._important or self._predictions):
            if self._rate and self._tokens < 1.0:
                return (1.0 - self._tokens) / self._rate
            self._tokens -= 1.0
            topic, payload, qos, done = (self._important or self._predictions).popleft()
            self._flying += 1
            self._transport.publish(topic, payload, qos, functools.partial(self._done, done) if done else self._done)
        return 60.0

    @property
    def idle(self) -> bool:
        """Whether all went out."""
        return not (self._important or self._predictions or self._flying - len(self._settled))

    def _drop(self, message: _Message) -> None:
        self.dropped += 1
        if message.done:
            message.done()

    def _done(self, done: Callable[[], Any] | None = None) -> None:
        self._settled.append(None)
        if done:
            done()
        if self._important or self._predictions:
            self._wake()
