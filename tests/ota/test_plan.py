"""A record becomes a plan: the artifact before the record, the record before the job."""

from __future__ import annotations

from iotctl import plan as plans
from iotctl.ota import agreement, plan
from iotctl.ota.rollout import CANARY, FLEET
from iotctl.plan import Ref
from iotctl.upload import OPERATION, Artifact
from tests.ota.orders import TARGET, drafted


def test_no_device_gets_a_job_before_its_artifact_is_there() -> None:
    """Upload, record, job; the job's own request comes out of the record that everyone agreed on."""
    asked, found, record = drafted(500, canary="20")
    key = plan.record_key(asked.prefix, record)
    made = plan.creating(record, "pump.bin", found.bucket, key, TARGET)
    assert [OPERATION, agreement.OPERATION, "iot:CreateJob"] == [step.op for step in made.each]
    assert Artifact(asked.artifact, 1000, "a" * 64).key(asked.prefix) == made.each[0].params["key"]
    assert f"ota/{'a' * 64}/rollouts/{record.rollout_id}.json" == key
    request = record.request(CANARY, f"s3://{found.bucket}/{key}", "d" * 64)
    assert request == plans.resolve(made.each[2].params, {"agreed": {"request": request}})
    assert {"iot:DescribeJob", "iot:GetJobDocument"} == {expect.op for expect in made.each[2].on_exists}
    assert {"iam:PassRole", "iot:CreateJob", "s3:PutObject"} <= set(made.iam_actions())
    assert [f"{record.rollout_id}-canary"] == [row["thingName"] for row in made.rows]


def test_a_job_of_a_template_is_compared_by_the_template() -> None:
    """Its document is AWS's."""
    arn = "arn:aws:iot:eu-west-1::jobtemplate/AWS-Reboot:1.0"
    _, found, record = drafted(500, template=arn)
    made = plan.creating(record, "pump.bin", found.bucket, "k", TARGET)
    assert ["job.targets", "job.jobTemplateArn"] == [expect.path for expect in made.each[-1].on_exists]
    assert Ref("agreed.request.jobTemplateArn") == made.each[-1].on_exists[1].equals


def test_the_approval_is_noted_before_the_fleet_follows() -> None:
    """On the canary's job, so that a step that was killed in between finds it."""
    _, _, record = drafted(500, canary="20", approve=True)
    request = record.request(FLEET, "s3://b/k", "d" * 64)
    made = plan.advancing(record, request, "arn:job", TARGET, approved="2026-01-31T12:00:00Z")
    assert ["iot:TagResource", "iot:CreateJob"] == [step.op for step in made.each]
    assert ["iot:CreateJob"] == [step.op for step in plan.advancing(record, request, "arn", TARGET, approved="").each]
