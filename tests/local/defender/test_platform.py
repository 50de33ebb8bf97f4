"""Audits on a running platform, over HTTP, with devices that really connect."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from iotctl.semantics import cbor
from tests.local.clients import Mqtt, allow, create_policy, until
from tests.local.defender.conftest import ROLE

if TYPE_CHECKING:
    from collections.abc import Callable

    from iotctl.target import Platform
    from tests.local.clients import Device
    from tests.local.conftest import Name

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


def test_a_device_reports_over_mqtt(running: Platform, device: Callable[..., Device], iot: Any, name: Name) -> None:
    """JSON and CBOR, each answered where it came from; a port that should not be open is an alarm that ends again."""
    pump = device("pump", create_policy(iot, allow("iot:*")))
    group = name("pumps")
    target = iot.create_thing_group(thingGroupName=group)["thingGroupArn"]
    iot.add_thing_to_thing_group(thingGroupName=group, thingName=pump.name)
    only_80 = {"comparisonOperator": "in-port-set", "value": {"ports": [80]}}
    behaviors = [{"name": "ports", "metric": "aws:listening-tcp-ports", "criteria": only_80}]
    iot.create_security_profile(securityProfileName=name("p"), behaviors=behaviors, tags=[{"Key": "k", "Value": "v"}])
    iot.attach_security_profile(securityProfileName=name("p"), securityProfileTargetArn=target)
    base = f"$aws/things/{pump.name}/defender/metrics"

    def active() -> list[str]:
        found = iot.list_active_violations(thingName=pump.name)["activeViolations"]
        return [one["behavior"]["name"] for one in found]

    with Mqtt(running, pump) as connected:
        connected.subscribe(f"{base}/json/+", f"{base}/cbor/+")
        connected.publish(f"{base}/json", ports(23))
        answer = connected.next()
        assert (f"{base}/json/accepted", 7) == (answer.topic, answer.json["reportId"])
        assert ["ports"] == active()
        connected.publish(f"{base}/cbor", cbor.encode(ports(80)))
        answer = connected.next()
        assert (f"{base}/cbor/accepted", "ACCEPTED") == (answer.topic, cbor.decode(answer.payload)["status"])
        assert [] == active()
        connected.publish(f"{base}/json", {"header": {}})
        answer = connected.next()
        assert (f"{base}/json/rejected", "InvalidPayload") == (answer.topic, answer.json["statusDetails"]["ErrorCode"])
    iot.delete_security_profile(securityProfileName=name("p"))


def ports(*numbers: int) -> dict[str, Any]:
    """A report of listening ports."""
    metrics = {"listening_tcp_ports": {"ports": [{"port": number} for number in numbers], "total": len(numbers)}}
    return {"header": {"report_id": 7, "version": "1.0"}, "metrics": metrics}
