"""Where an audit that watches tells what is new and what is healed: an MQTT topic, SNS, a webhook."""

from __future__ import annotations

import http.client
import json
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol
from urllib.parse import SplitResult, urlsplit

from iotctl.errors import Error, Temporary, Usage
from iotctl.semantics import topics

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from iotctl.audit.history import Changed
    from iotctl.aws import Aws
    from iotctl.context import Context
    from iotctl.mqtt import Connection

MOST: Final = 50
"""Findings in one message: all of them take less than the 128 KiB that MQTT and half of what SNS allows."""

_SECONDS: Final = 10.0
_LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})
_FORMS: Final = "mqtt:TOPIC, sns:TOPIC_ARN, webhook:FILE (a file that holds the address, which is a secret)"


class Notifier(Protocol):
    """Sends one message."""

    def __call__(self, message: bytes) -> None:
        """Send it.

        Raises:
            Error: it may not have arrived.

        """


@dataclass(frozen=True, slots=True)
class Topic:
    """Publishes on an MQTT topic, QoS 1."""

    topic: str
    connection: Callable[[], Connection]

    def __call__(self, message: bytes) -> None:
        """Publish it, and wait for the acknowledgement."""
        try:
            self.connection().publish(self.topic, message).result(_SECONDS)
        except Error:
            raise
        except Exception as error:
            raise Temporary(
                f"no acknowledgement from {self.topic}", code="NotNotified", cause=type(error).__name__
            ) from error


@dataclass(frozen=True, slots=True)
class Sns:
    """Publishes to an SNS topic."""

    arn: str
    aws: Callable[[], Aws]

    def __call__(self, message: bytes) -> None:
        """Publish it."""
        self.aws().call("sns:Publish", TopicArn=self.arn, Subject="iotctl audit", Message=message.decode())


@dataclass(frozen=True, slots=True)
class Webhook:
    """Posts JSON to an address, of which only the host is ever shown."""

    address: SplitResult

    def __call__(self, message: bytes) -> None:
        """Post it; anything but a 2xx is a failure. Redirects are not followed: the address is a secret."""
        host, port, https = self.address.hostname or "", self.address.port, self.address.scheme == "https"
        path = (self.address.path or "/") + (f"?{self.address.query}" if self.address.query else "")
        connection = (
            http.client.HTTPSConnection(host, port, timeout=_SECONDS, context=ssl.create_default_context())
            if https
            else http.client.HTTPConnection(host, port, timeout=_SECONDS)
        )
        try:
            connection.request("POST", path, message, {"Content-Type": "application/json"})
            status = connection.getresponse().status
        except (OSError, http.client.HTTPException) as error:
            raise Temporary(f"the webhook at {host} was not reached", code="NotNotified", cause=str(error)) from error
        finally:
            connection.close()
        if not 200 <= status < 300:
            raise Temporary(f"the webhook at {host} answered {status}", code="NotNotified")


def parse(words: Sequence[str], context: Context, connection: Callable[[], Connection]) -> dict[str, Notifier]:
    """The notifiers of `--notify`, by what names them; nothing is connected yet.

    Args:
        words: as they were given; "terminal" is the stream itself, and adds none.
        context: of the command.
        connection: the operator's MQTT connection, made when it is first asked for.

    Raises:
        Usage: a word is none of the forms.

    """
    found: dict[str, Notifier] = {}
    for word in words:
        kind, _, where = word.partition(":")
        if kind == "mqtt" and where:
            found[f"the topic {where}"] = Topic(_topic(where), connection)
        elif kind == "sns" and where.startswith("arn:"):
            found[where] = Sns(where, lambda: context.sending)
        elif kind == "webhook" and where:
            address = _address(where)
            found[f"the webhook at {address.hostname}"] = Webhook(address)
        elif word != "terminal":
            raise Usage("--notify takes terminal, mqtt:, sns: or webhook:", hint=_FORMS)
    return found


def messages(changed: Changed, where: Mapping[str, str], at: str) -> Iterator[bytes]:
    """What is told of a change, in as many messages as it needs: JSON with AWS's own keys."""
    left = [("new", finding) for finding in changed.new] + [("healed", finding) for finding in changed.healed]
    for start in range(0, len(left), MOST):
        part = left[start : start + MOST]
        told: dict[str, Any] = {"type": "audit", **where, "time": at}
        for event in ("new", "healed"):
            told[event] = [finding for kind, finding in part if kind == event]
        yield json.dumps(told).encode()


def _topic(topic: str) -> str:
    try:
        topics.check_topic(topic)
    except topics.TopicError as error:
        raise Usage(f"{topic!r} is not a topic: {error}") from error
    if topic.startswith("$") and topics.parse_rule(topic) is None:
        raise Usage(f"{topic!r} is AWS's own", hint="mqtt:alerts/audit")
    return topic


def _address(file: str) -> SplitResult:
    if "://" in file:
        raise Usage("a webhook's address is a secret, and others see the command line", hint=_FORMS)
    try:
        written = Path(file).read_text("utf-8").strip()
        address, port = urlsplit(written), urlsplit(written).port
    except (OSError, UnicodeDecodeError, ValueError) as error:
        raise Usage(f"{file} does not hold the address of a webhook", hint=_FORMS, on=file) from error
    local = address.scheme == "http" and address.hostname in _LOOPBACK
    # What an HTTP request cannot hold would end the watch at the first finding.
    can_be = written.isascii() and written.isprintable() and " " not in written
    if not can_be or not address.hostname or port == 0 or not (address.scheme == "https" or local):
        raise Usage(f"{file} does not hold an https address", hint=_FORMS, on=file)
    return address
