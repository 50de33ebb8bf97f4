"""AWS IoT's limits of size and shape on messages, topics, sessions and connections.

Sources: AWS General Reference, "AWS IoT Core message broker and protocol limits and quotas"; developer guide, pages
"MQTT" (session and message expiry, topic aliases, shared subscriptions) and "Reserved topics".
"""

from __future__ import annotations

from dataclasses import dataclass

from iotctl.local.gateway.mqtt.packets import Code

SHARE = "$share/"
_BASIC_INGEST = "$aws/rules/"


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of the broker: sizes in bytes, durations in seconds; the defaults are AWS's unless noted."""

    payload: int = 128 * 1024
    packet: int = 149_504  # what CONNACK announces: a full payload and its headers
    client_id: int = 128
    topic: int = 256
    slashes: int = 7
    share_name: int = 128
    filters_per_subscribe: int = 8
    subscriptions: int = 50
    topic_aliases: int = 8
    in_flight: int = 100
    keep_alive_least: int = 30
    keep_alive_most: int = 1200
    session_expiry: int = 3600
    message_expiry_most: int = 604_800
    subscription_identifiers: bool = False
    connect_within: float = 5.0
    publishes_per_second: float | None = None  # AWS allows 100 on a connection, each way; nothing is refused by default
    # AWS publishes no figure for these; they bound the memory and the disk that one client can take.
    queued_messages: int = 10_000
    queued_bytes: int = 8 * 1024 * 1024
    retained_messages: int = 100_000
    # Ours: how long a TLS handshake may take when a fleet arrives at once, and how often timers are looked at.
    handshake_within: float = 60.0
    sweep_every: float = 0.5

    def topic_fault(self, topic: str) -> Code:
        """What is wrong with a topic that a client publishes to; SUCCESS: nothing."""
        if topic.startswith("$"):
            if not topic.startswith("$aws/") or topic.startswith("$aws/events/"):
                return Code.TOPIC_NAME_INVALID
            if topic.startswith(_BASIC_INGEST):
                topic = topic.split("/", 3)[-1]
        return Code.SUCCESS if self._fits(topic) else Code.TOPIC_NAME_INVALID

    def filter_fault(self, topic_filter: str) -> Code:
        """What is wrong with a filter that a client subscribes to; SUCCESS: nothing."""
        share, topic_filter = split_share(topic_filter)
        reserved = topic_filter.startswith("$") and not topic_filter.startswith("$aws/")
        fits = self._fits(topic_filter) and len(share) <= self.share_name
        return Code.SUCCESS if fits and not reserved else Code.TOPIC_FILTER_INVALID

    def message_expiry(self, interval: int | None) -> int | None:
        """The message expiry interval that AWS makes of a client's, in seconds."""
        return None if interval is None else min(max(interval, 1), self.message_expiry_most)

    def keep_alive(self, asked: int) -> int:
        """The keep-alive that AWS makes of a client's, in seconds; 0 asks for the longest."""
        if not asked or asked > self.keep_alive_most:
            return self.keep_alive_most
        return max(asked, self.keep_alive_least)

    def _fits(self, topic: str) -> bool:
        return len(topic.encode()) <= self.topic and topic.count("/") <= self.slashes


def split_share(topic_filter: str) -> tuple[str, str]:
    """The share name (empty: not shared) and the filter proper of `$share/NAME/FILTER`."""
    if not topic_filter.startswith(SHARE):
        return "", topic_filter
    _, share, topic_filter = topic_filter.split("/", 2)
    return share, topic_filter
