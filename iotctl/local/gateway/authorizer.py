"""What a device may do: the policies of its certificate and of its thing's groups, bound to its connection.

Operators (SigV4) may do everything that a client can. What was bound is kept until `forget`.
Sources: AWS IoT developer guide, pages thing-policy-variables, exclusive-thing, basic-policy-variables,
cert-policy-variables, iot-action-resources, connect-policy, reserved-topics.
"""

from __future__ import annotations

import asyncio
import functools
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from iotctl.local.services import certificates, connections, principals
from iotctl.local.services.policy_attachments import policies_of
from iotctl.local.services.provisioning import claims, just_in_time
from iotctl.semantics import policy, topics

if TYPE_CHECKING:
    from iotctl.local.gateway.mqtt.session import Client, Principal
    from iotctl.local.services.connections import Values
    from iotctl.local.store import Store
    from iotctl.semantics.policy import Grants, Policy

log = logging.getLogger(__name__)


_KEPT: Final = 20_000
_BASIC_INGEST: Final = "$aws/rules/"
_parsed = functools.lru_cache(maxsize=1024)(policy.parse)


@dataclass(frozen=True, slots=True)
class _Bound:
    """The policies of one client, and all that is known of it."""

    policies: tuple[Policy, ...]
    values: Values
    grants: Grants


class PolicyAuthorizer:
    """Decides by the policies in the store (`broker.Authorizer`)."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._bound: dict[str, dict[tuple[str, str], _Bound]] = {}
        self._kept = 0
        self._arns = {kind: store.arn(f"{kind}/") for kind in ("client", "topic", "topicfilter")}

    def connect(self, client: Client, *, will: str, persistent: bool) -> bool:
        """iot:Connect; `will` is the topic of the last will, empty: none."""
        if not client.principal.certificate:
            return True
        bound = self._of(client)
        asked = {"LastWill": bool(will), "PersistentConnect": persistent}
        values = {**bound.values, "iot:ConnectAttributes": tuple(name for name, there in asked.items() if there)}
        if will:
            values["iot:LastWillTopic"] = self._arns["topic"] + will
        return policy.grants(bound.policies, values).allows("iot:Connect", self._arns["client"] + client.client_id)

    def publish(self, client: Client, topic: str, *, retain: bool) -> bool:
        """iot:Publish, and iot:RetainPublish for a retained message; nobody publishes where only AWS does."""
        if not topics.is_publishable(topic):
            return False
        if not client.principal.certificate:
            return True
        grants = self._of(client).grants
        resource = self._arns["topic"] + topic
        return grants.allows("iot:Publish", resource) and (not retain or grants.allows("iot:RetainPublish", resource))

    def subscribe(self, client: Client, topic_filter: str) -> bool:
        """iot:Subscribe; a shared subscription comes whole, `$share/NAME/FILTER`."""
        return self._allowed(client, "iot:Subscribe", self._arns["topicfilter"] + topic_filter)

    def receive(self, client: Client, topic: str) -> bool:
        """iot:Receive; nobody receives what was sent to a rule alone (Basic Ingest)."""
        if topic.startswith(_BASIC_INGEST):
            return False
        return self._allowed(client, "iot:Receive", self._arns["topic"] + topic)

    def allows(self, client: Client, action: str, resource: str) -> bool:
        """Any other action, on a resource as `thing/pump-7` or an ARN; "*" where an action has none."""
        whole = resource == "*" or resource.startswith("arn:")
        return self._allowed(client, action, resource if whole else self._store.arn(resource))

    def component(self, name: str) -> str:
        """The ARN that stands for every version of a component of Greengrass."""
        return self._store.arn(f"components:{name}:versions:*", "greengrass")

    def forget(self, certificate_id: str | None = None) -> None:
        """Look again at what a certificate may do; None: at every one."""
        if certificate_id is None:
            self._bound.clear()
            self._kept = 0
        else:
            self._kept -= len(self._bound.pop(certificate_id, {}))

    def active(self, certificate_id: str, certificate: bytes) -> bool:  # noqa: ARG002  the id is the certificate's hash
        """Whether a certificate is registered and ACTIVE, or a provisioning claim (`broker.Principals`)."""
        store = self._store
        return certificates.certificate_active(store, certificate_id) or claims.claim(store, certificate_id) is not None

    def introduce(self, certificate: bytes, server_name: str) -> bool:
        """Let a certificate register itself where its CA is enabled for it; True: its device should come again.

        AWS asks for a server name (SNI) of who registers just in time, in either mode of its CA.
        """
        if not just_in_time.awaited(self._store, certificate):
            return False
        if not server_name:
            log.info("a certificate cannot register itself: its device sent no server name (SNI), as localhost")
            return False
        # Not now: this is in the middle of another's turn.
        asyncio.get_running_loop().call_soon(just_in_time.seen, self._store, certificate)
        return True

    def thing_of(self, principal: Principal) -> str | None:
        """The thing that a principal is exclusively attached to, if there is one."""
        if not principal.certificate:
            return None
        return principals.exclusive_thing(self._store, certificates.arn_of(self._store, principal.identity))

    def _allowed(self, client: Client, action: str, resource: str) -> bool:
        return not client.principal.certificate or self._of(client).grants.allows(action, resource)

    def _of(self, client: Client) -> _Bound:
        identity, key = client.principal.identity, (client.client_id, client.address)
        found = self._bound.get(identity, {}).get(key)
        if found is None:
            if self._kept >= _KEPT:
                self.forget()
            found = self._bound.setdefault(identity, {})[key] = self._bind(client)
            self._kept += 1
        return found

    def _bind(self, client: Client) -> _Bound:
        store, identity = self._store, client.principal.identity
        thing = connections.thing_of(store, identity, client.client_id)
        claim = claims.claim(store, identity)
        if claim is not None:
            documents: tuple[Policy, ...] = (_parsed(claims.policy_of(store, claim["template"])),)
        else:
            documents = tuple(_parsed(document) for document in policies_of(store, identity, thing))
        wanted = frozenset[str]().union(*(document.variables for document in documents))
        values = {
            **connections.values(store, identity, client.client_id, thing, wanted),
            "aws:SourceIp": client.address,
        }
        return _Bound(documents, values, policy.grants(documents, values))
