"""What a platform does by itself when time passes, on one whose clock goes sixty thousand times as fast."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from iotctl.local import conditions, process
from iotctl.local.state import Ports, State
from tests.local.clients import Mqtt, allow, create_policy, register, until
from tests.local.conftest import client
from tests.local.defender.conftest import ROLE

if TYPE_CHECKING:
    from pathlib import Path

    from iotctl import pki

SPEED = 60_000.0  # five minutes are five milliseconds, a day is a second and a half
LOGGING = "LOGGING_DISABLED_CHECK"
SPAN = {"startTime": datetime.now(UTC) - timedelta(days=30), "endTime": datetime.now(UTC) + timedelta(days=300)}


def test_days_and_minutes_pass(signer: pki.Authority, tmp_path: Path) -> None:
    """Audits begin by their schedule; who sends too much in five minutes, or is refused, has an alarm, which clears."""
    state = State(tmp_path / "home" / "local")
    state.directory.mkdir(parents=True, mode=0o700)
    platform = process.background(state, Ports(0, 0, 0), None, conditions.read(clock_speed=SPEED))
    try:
        iot = client(platform)
        iot.update_account_audit_configuration(roleArn=ROLE, auditCheckConfigurations={LOGGING: {"enabled": True}})
        iot.create_scheduled_audit(scheduledAuditName="nightly", frequency="DAILY", targetCheckNames=[LOGGING])
        policy = create_policy(iot, allow("iot:Connect"), allow("iot:Publish", "iot:Receive", resource="*"))
        press = register(iot, signer, tmp_path, "press", policy)
        iot.create_security_profile(
            securityProfileName="presses",
            behaviors=[
                behavior("chatter", "aws:num-messages-sent", 3),
                behavior("refusals", "aws:num-authorization-failures", 0),
                behavior("calm", "aws:num-messages-sent", 10_000),
            ],
        )
        arn = f"arn:aws:iot:{platform.region}:{platform.account_id}:all/registered-things"
        iot.attach_security_profile(securityProfileName="presses", securityProfileTargetArn=arn)
        with Mqtt(platform, press) as connected:
            raised: set[str] = set()

            def alarmed() -> bool:
                for _ in range(50):
                    connected.send("t", b"x")
                assert [False] == connected.subscribe("secret")
                raised.update(events(iot, "in-alarm"))
                return {"chatter", "refusals"} <= raised

            assert until(alarmed)
            assert until(lambda: {"chatter", "refusals"} <= events(iot, "alarm-cleared"))
        assert raised == {"chatter", "refusals"}

        def nightly() -> list[dict[str, Any]]:
            found: list[dict[str, Any]] = iot.list_audit_tasks(**SPAN, taskStatus="COMPLETED")["tasks"]
            return found

        task = until(nightly)[0]
        assert "SCHEDULED_AUDIT_TASK" == task["taskType"]
        details = iot.describe_audit_task(taskId=task["taskId"])
        assert ("nightly", "COMPLETED_NON_COMPLIANT") == (
            details["scheduledAuditName"],
            details["auditDetails"][LOGGING]["checkRunStatus"],
        )
    finally:
        process.stop(state)


def behavior(name: str, metric: str, most: int) -> dict[str, Any]:
    """At most so many in five minutes."""
    criteria = {"comparisonOperator": "less-than-equals", "value": {"count": most}, "durationSeconds": 300}
    return {"name": name, "metric": metric, "criteria": criteria}


def events(iot: Any, kind: str) -> set[str]:
    """The behaviors whose alarms did this."""
    found = iot.list_violation_events(**SPAN, maxResults=250)["violationEvents"]
    return {one["behavior"]["name"] for one in found if one["violationEventType"] == kind}
