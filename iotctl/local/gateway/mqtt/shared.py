"""Shared subscriptions, `$share/NAME/FILTER`: each message for one member of the group.

As on AWS (developer guide, "MQTT", "Shared subscriptions"): for MQTT 3.1.1 too, the member is chosen by chance among
the connected ones, and QoS 1 waits for a member where one has a persistent session and none is connected.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from iotctl import clock
from iotctl.local.gateway.mqtt.limits import split_share
from iotctl.local.gateway.mqtt.session import aged
from iotctl.local.gateway.mqtt.store import Backlog, Message, SessionStore, Stored
from iotctl.local.gateway.mqtt.trie import Trie

if TYPE_CHECKING:
    from collections.abc import Callable

    from iotctl.local.gateway.mqtt.limits import Limits
    from iotctl.local.gateway.mqtt.session import Client, Subscription, Wire


@dataclass(slots=True)
class _Group:
    """One shared subscription, by its whole filter: its members, and what waits while none is connected."""

    owner: str
    members: dict[str, Subscription] = field(default_factory=dict)
    waiting: int = 0
    last: int = 0


class SharedSubscriptions:
    """The groups of a broker.

    Args:
        may_receive: whether a client may receive a topic.
        store: where messages wait for a group.
        limits: how many.

    """

    def __init__(self, may_receive: Callable[[Client, str], bool], store: SessionStore, limits: Limits) -> None:
        self._may_receive = may_receive
        self._store = store
        self._limits = limits
        self._groups: dict[str, _Group] = {}
        self._filters: Trie[_Group] = Trie()

    def join(self, subscription: Subscription) -> None:
        """A session becomes a member, or changes how it is one."""
        topic_filter = subscription.request.topic_filter
        group = self._groups.get(topic_filter)
        if group is None:
            group = self._groups[topic_filter] = _Group(topic_filter)
            share, inner = split_share(topic_filter)
            self._filters.add(inner, share, group)
        group.members[subscription.session.client.client_id] = subscription

    def leave(self, topic_filter: str, client_id: str) -> None:
        """A member leaves; what waits for a group without members is dropped."""
        group = self._groups[topic_filter]
        del group.members[client_id]
        if not group.members:
            del self._groups[topic_filter]
            share, inner = split_share(topic_filter)
            self._filters.remove(inner, share)
            if group.waiting:
                self._store.drop_owner(topic_filter)

    def restore(self, owner: str, backlog: Backlog) -> bool:
        """Take over what the store holds for a group; False: there is no such group."""
        group = self._groups.get(owner)
        if group is None:
            return False
        group.waiting, group.last = backlog.messages, backlog.last
        return True

    def heard(self, topic: str) -> bool:
        """Whether a group would get a message of a topic."""
        return bool(self._groups and self._filters.match(topic))

    def route(self, message: Message, wire: Wire) -> None:
        """Give a message to one member of each group that it concerns."""
        if self._groups:
            for group in self._filters.match(message.topic):
                self._share(group, message, wire)

    def again(self, owner: str, message: Message) -> None:
        """Give a message to another member, as one went without acknowledging it; no group: nothing."""
        group = self._groups.get(owner)
        if group is not None:
            self._share(group, message, {})

    def drain(self, topic_filter: str) -> None:
        """Give out what waited, as a member of the group is there."""
        group = self._groups[topic_filter]
        if not group.waiting:
            return
        waiting = self._store.messages(group.owner)
        self._store.drop_owner(group.owner)
        group.waiting = 0
        now = clock.epoch()
        for _, message, _ in waiting:
            if message.expires_at is None or message.expires_at > now:
                self._share(group, aged(message), {})

    def _share(self, group: _Group, message: Message, wire: Wire) -> None:
        members = group.members.values()
        connected = [
            each
            for each in members
            if each.session.link is not None and each.session.may_receive(message.topic, self._may_receive)
        ]
        if connected:
            quick = [each for each in connected if not each.session.congested]
            chosen = random.choice(quick or connected)  # noqa: S311 -- spreads load, keeps no secret
            qos = min(message.qos, chosen.request.qos)
            identifiers = (chosen.identifier,) if chosen.identifier else ()
            retain = message.retain and chosen.request.retain_as_published
            chosen.session.deliver(message, qos, retain, identifiers, wire, group.owner)
            return
        persistent = any(each.session.expiry for each in members)
        if message.qos and persistent and group.waiting < self._limits.queued_messages:
            group.waiting += 1
            group.last += 1
            self._store.save_message(group.owner, Stored(group.last, message, ()))
