"""What is good for a while, by a clock that is turned: claims for five minutes, tokens for an hour."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from iotctl import clock
from iotctl.local.gateway.authorizer import PolicyAuthorizer
from iotctl.local.services import OPERATIONS, Message
from iotctl.local.services.provisioning import claims, device, due
from tests.local.provisioning.conftest import TEMPLATE
from tests.local.test_certificates import csr

if TYPE_CHECKING:
    from iotctl.local.store import Event, Store


@dataclass
class World:
    """A store, a clock to turn, and what was said."""

    store: Store
    time: float
    said: list[Event] = field(default_factory=list)

    def call(self, name: str, **parameters: Any) -> dict[str, Any]:
        return OPERATIONS[f"iot:{name}"](self.store, **parameters)

    def later(self, seconds: float) -> None:
        """Turn the clock, and do what becomes due on the way."""
        end = self.time + seconds
        while (at := due.next_due(self.store)) is not None and at <= end:
            self.time = max(self.time, at)
            due.run_due(self.store)
        self.time = end
        self.said += self.store.drain()

    def create(self) -> dict[str, Any]:
        """A certificate for a CSR, as a device asks for it."""
        payload = json.dumps({"certificateSigningRequest": csr(ec.generate_private_key(ec.SECP256R1()))})
        return self.answered(device.on_create_from_csr, "$aws/certificates/create-from-csr/json", payload)

    def provision(self, token: str, serial: str) -> dict[str, Any]:
        payload = json.dumps({"certificateOwnershipToken": token, "parameters": {"SerialNumber": serial}})
        return self.answered(device.on_provision, "$aws/provisioning-templates/t/provision/json", payload)

    def answered(self, listener: Any, topic: str, payload: str) -> dict[str, Any]:
        with self.store.transaction():
            listener(self.store, Message(topic, payload.encode(), "c"))
        (answer,) = [event for event in self.store.drain() if event.to]
        assert answer.subscribed
        found: dict[str, Any] = json.loads(answer.payload)
        return found


@pytest.fixture
def world(store: Store, monkeypatch: pytest.MonkeyPatch) -> World:
    """A world with a template `t`."""
    made = World(store, clock.epoch())
    monkeypatch.setattr(clock, "epoch", lambda: made.time)
    role = f"arn:aws:iam::{store.account_id}:role/r"
    body = json.dumps(TEMPLATE)
    made.call("CreateProvisioningTemplate", templateName="t", templateBody=body, provisioningRoleArn=role, enabled=True)
    store.drain()
    return made


def status(world: World, identity: str) -> str | None:
    """The status of a certificate; None: it is gone."""
    row = world.store.row("SELECT status FROM certificate WHERE id = ?", identity)
    return row["status"] if row else None


def test_a_token_is_good_for_an_hour(world: World) -> None:
    """Until then, not after; a certificate that nobody registered by then is deleted, a registered one stays."""
    used, unused = world.create(), world.create()
    world.later(claims.TOKEN_SECONDS - 1)
    assert "pump-1" == world.provision(used["certificateOwnershipToken"], "1")["thingName"]
    world.later(2)
    late = world.provision(unused["certificateOwnershipToken"], "2")
    assert "InvalidCertificateOwnershipToken" == late["errorCode"]
    assert ("ACTIVE", None) == (status(world, used["certificateId"]), status(world, unused["certificateId"]))
    assert None is due.next_due(world.store)


def test_a_certificate_that_is_attached_stays(world: World) -> None:
    """Also where nothing activated it."""
    made = world.create()
    arn = world.store.arn(f"cert/{made['certificateId']}")
    world.call("CreateThing", thingName="x")
    world.call("AttachThingPrincipal", thingName="x", principal=arn)
    world.later(claims.TOKEN_SECONDS + 1)
    assert "PENDING_ACTIVATION" == status(world, made["certificateId"])


def test_a_claim_is_good_for_five_minutes(world: World) -> None:
    """Its connections are active until then; at its end the platform hears that it is gone."""
    identity = world.call("CreateProvisioningClaim", templateName="t")["certificateId"]
    authorizer = PolicyAuthorizer(world.store)
    world.later(claims.CLAIM_SECONDS - 1)
    assert authorizer.active(identity, b"")
    world.said.clear()
    world.later(2)
    assert not authorizer.active(identity, b"")
    gone = [json.loads(event.payload)["status"] for event in world.said if event.topic.endswith(identity)]
    assert ["DELETED"] == gone


def test_tokens_are_not_kept_in_clear(world: World) -> None:
    """Who reads the state directory cannot register a device."""
    token = world.create()["certificateOwnershipToken"]
    assert len(token) > 400
    kept = [row["digest"] for row in world.store.rows("SELECT digest FROM ownership_token")]
    assert (1, False) == (len(kept), token in kept)
