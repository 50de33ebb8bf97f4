"""Audits on a running platform, over HTTP, with devices that really connect."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.local.clients import Mqtt, allow, create_policy, until
from tests.local.defender.conftest import ROLE

if TYPE_CHECKING:
    from collections.abc import Callable

    from iotctl.target import Platform
    from tests.local.clients import Device

TAKEN, SHARED = "CONFLICTING_CLIENT_IDS_CHECK", "DEVICE_CERTIFICATE_SHARED_CHECK"


def test_takeovers_and_shared_keys_are_seen(running: Platform, device: Callable[..., Device], iot: Any) -> None:
    """One client id from two connections, one certificate on two: each is found, by an audit that ends by itself."""
    on = {name: {"enabled": True} for name in (TAKEN, SHARED)}
    iot.update_account_audit_configuration(roleArn=ROLE, auditCheckConfigurations=on)
    policy = create_policy(iot, allow("iot:*"))
    taken, copied, good = device("taken", policy), device("copied", policy), device("good", policy)
    with Mqtt(running, taken), Mqtt(running, good, taken.name):
        pass
    with Mqtt(running, copied), Mqtt(running, copied, f"{copied.name}-2"):
        pass
    found = {one["checkName"]: one for one in audited(iot, TAKEN, SHARED)}
    identity = {name: one["nonCompliantResource"]["resourceIdentifier"] for name, one in found.items()}
    assert {TAKEN: {"clientId": taken.name}, SHARED: {"deviceCertificateId": copied.certificate_id}} == identity
    ids = {one["resourceIdentifier"]["deviceCertificateId"] for one in found[TAKEN]["relatedResources"]}
    assert {taken.certificate_id, good.certificate_id} == ids
    clients = {one["resourceIdentifier"]["clientId"] for one in found[SHARED]["relatedResources"]}
    assert {copied.name, f"{copied.name}-2"} == clients
    iot.delete_account_audit_configuration()
    iot.update_account_audit_configuration(roleArn=ROLE, auditCheckConfigurations=on)
    assert [] == audited(iot, TAKEN, SHARED)


def audited(iot: Any, *checks: str) -> list[dict[str, Any]]:
    """Run an audit; its findings."""
    task_id = iot.start_on_demand_audit_task(targetCheckNames=list(checks))["taskId"]
    assert until(lambda: iot.describe_audit_task(taskId=task_id)["taskStatus"] == "COMPLETED")
    found: list[dict[str, Any]] = iot.list_audit_findings(taskId=task_id)["findings"]
    return found
