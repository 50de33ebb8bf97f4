"""A world of audits in this process: the store with its services, and a clock to turn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from iotctl import clock, pki
from iotctl.local.services import OPERATIONS, AwsError
from iotctl.local.services.defender import due

if TYPE_CHECKING:
    from iotctl.local.store import Store

ROLE = "arn:aws:iam::123456789012:role/iotctl-audit"


@dataclass
class World:
    """Operators and the passing of time, on one store."""

    store: Store
    time: float

    def call(self, operation: str, **parameters: Any) -> dict[str, Any]:
        """Call an operation of `iot`."""
        return OPERATIONS[f"iot:{operation}"](self.store, **parameters)

    def refused(self, operation: str, **parameters: Any) -> str:
        """The error of an operation that must be refused."""
        try:
            answer = self.call(operation, **parameters)
        except AwsError as error:
            return error.code
        raise AssertionError(f"it was not refused: {answer}")

    def enable(self, *checks: str, **configuration: dict[str, str]) -> None:
        """Enable checks; `configuration` by the name of the check."""
        wanted = {
            name: {"enabled": True, **({"configuration": configuration[name]} if name in configuration else {})}
            for name in checks
        }
        self.call("UpdateAccountAuditConfiguration", roleArn=ROLE, auditCheckConfigurations=wanted)

    def audit(self, *checks: str) -> dict[str, Any]:
        """Run an audit to its end: what DescribeAuditTask says, with its id."""
        task_id = self.call("StartOnDemandAuditTask", targetCheckNames=list(checks))["taskId"]
        self.later()
        return {"taskId": task_id, **self.call("DescribeAuditTask", taskId=task_id)}

    def findings(self, task_id: str, **more: Any) -> list[dict[str, Any]]:
        """What an audit found."""
        found: list[dict[str, Any]] = self.call("ListAuditFindings", taskId=task_id, maxResults=250, **more)["findings"]
        return found

    def certificate(self, *things: str, days: int = 3650, authority: pki.Authority | None = None) -> str:
        """Register an active certificate for things, which are made; its id."""
        pem = (authority or AUTHORITY).issue("device", days=days).certificate_pem
        answer = self.call("RegisterCertificateWithoutCA", certificatePem=pem, status="ACTIVE")
        for thing in things:
            self.call("CreateThing", thingName=thing)
            self.call("AttachThingPrincipal", thingName=thing, principal=answer["certificateArn"])
        return str(answer["certificateId"])

    def later(self, days: float = 0) -> None:
        """Turn the clock, and do what becomes due on the way at its time."""
        end = self.time + days * 86400
        while (moment := due.next_due(self.store)) is not None and moment <= end:
            self.time = max(self.time, moment)
            due.run_due(self.store)
        self.time = end


AUTHORITY = pki.Authority.create("factory")


@pytest.fixture
def world(store: Store, monkeypatch: pytest.MonkeyPatch) -> World:
    """A new world."""
    # Certificates are of the machine's own time, so that the world begins now.
    made = World(store, clock.epoch())
    monkeypatch.setattr(clock, "epoch", lambda: made.time)
    return made
