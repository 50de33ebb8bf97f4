"""Jobs, templates and executions for operators: what is refused, what is listed, what is canceled and deleted."""

from __future__ import annotations

from typing import Any

import pytest

from tests.local.jobs.conftest import DOCUMENT, World

ROLE = {"roleArn": "arn:aws:iam::123456789012:role/jobs"}
PLACEHOLDER = "${aws:iot:s3-presigned-url:https://s3.us-east-1.amazonaws.com/b/k}"
CRITERION = {"failureType": "ALL", "action": "CANCEL", "thresholdPercentage": 1.0, "minNumberOfExecutedThings": 1}


@pytest.mark.parametrize(
    "wrong",
    [
        {"document": "{"},
        {"document": "[]"},
        {"document": '{"u":"' + "x" * 32_768 + '"}'},
        {"document": None},
        {"documentSource": "https://s3.us-east-1.amazonaws.com/b/k"},
        {"document": None, "documentSource": "https://example.com/k"},
        {"document": f'{{"u":"{PLACEHOLDER}"}}'},
        {"document": '{"u":"${aws:iot:s3-presigned-url:http://example.com}"}', "presignedUrlConfig": ROLE},
        {"document": f'{{"u":"{PLACEHOLDER * 11}"}}', "presignedUrlConfig": ROLE},
        {"documentParameters": {"a": "b"}},
        {"jobExecutionsRolloutConfig": {"maximumPerMinute": 1001}},
        {"abortConfig": {"criteriaList": [{**CRITERION, "thresholdPercentage": 1.234}]}},
        {"timeoutConfig": {"inProgressTimeoutInMinutes": 0}},
        {"timeoutConfig": {"inProgressTimeoutInMinutes": 10081}},
        {"jobExecutionsRetryConfig": {"criteriaList": [{"failureType": "ALL", "numberOfRetries": 11}]}},
        {"schedulingConfig": {"startTime": "2030-03-17T18:00:00Z"}},
        {"schedulingConfig": {"maintenanceWindows": [{"startTime": "never", "durationInMinutes": 1}]}},
        {"destinationPackageVersions": ["arn:aws:iot:us-east-1:123456789012:package/p/version/1"] * 26},
        {"targets": ["arn:aws:iot:us-east-1:123456789012:thing/t"]},
        {"targets": ["t"]},
    ],
)
def test_jobs_that_are_refused(world: World, wrong: dict[str, Any]) -> None:
    """InvalidRequestException, and there is no job."""
    wanted = {"jobId": "j", "targets": [world.store.arn("thing/t")], "document": DOCUMENT, **wrong}
    given = {key: value for key, value in wanted.items() if value is not None}
    assert "InvalidRequestException" == world.refused("CreateJob", **given)
    assert [] == world.call("ListJobs")["jobs"]


def test_targets_that_are_not_there(world: World) -> None:
    """A thing, a group, and more of them than a job can have."""
    for kind in ("thing", "thinggroup"):
        wanted = {"jobId": "j", "targets": [world.store.arn(f"{kind}/none")], "document": DOCUMENT}
        assert "ResourceNotFoundException" == world.refused("CreateJob", **wanted)
    many = world.things(*(f"t{number}" for number in range(101)))
    assert "LimitExceededException" == world.refused("CreateJob", jobId="j", targets=many, document=DOCUMENT)
    world.call("CreateJob", jobId="j", targets=many[:100], document=DOCUMENT)


def test_a_job_exists_once(world: World) -> None:
    """Whatever it holds."""
    world.job("j", "t")
    wanted = {"jobId": "j", "targets": [world.store.arn("thing/t")], "document": DOCUMENT}
    assert "ResourceAlreadyExistsException" == world.refused("CreateJob", **wanted)


def test_a_job_is_described_as_it_was_made(world: World) -> None:
    """Every part of its configuration, its targets and its numbers."""
    configuration = {
        "description": "d",
        "presignedUrlConfig": {**ROLE, "expiresInSec": 60},
        "jobExecutionsRolloutConfig": {"maximumPerMinute": 1},
        "abortConfig": {"criteriaList": [CRITERION]},
        "timeoutConfig": {"inProgressTimeoutInMinutes": 5},
        "jobExecutionsRetryConfig": {"criteriaList": [{"failureType": "FAILED", "numberOfRetries": 1}]},
    }
    world.things("u")
    world.job("j", "t", "u", "t", namespaceId="n", **configuration)
    job = world.describe("j")
    targets = [world.store.arn("thing/t"), world.store.arn("thing/u")]
    assert configuration == {key: job[key] for key in configuration}
    assert (targets, "n", "SNAPSHOT", True, targets, 1) == (
        job["targets"],
        job["namespaceId"],
        job["targetSelection"],
        job["isConcurrent"],
        job["jobProcessDetails"]["processingTargets"],
        job["jobProcessDetails"]["numberOfQueuedThings"],
    )


def test_jobs_are_listed_by_what_they_are(world: World) -> None:
    """The newest first, in pages, by status, selection, group and namespace; scheduled ones too."""
    world.things("u", group="g")
    for number in range(3):
        world.later(seconds=1)
        world.job(f"j{number}", "group/g", targetSelection="CONTINUOUS" if number else "SNAPSHOT")
    world.later(seconds=1)
    world.job("later", "group/g", schedulingConfig={"startTime": "2030-03-18T00:00:00Z"})
    world.job("other", "t", namespaceId="n")
    world.call("CancelJob", jobId="j2")
    group = world.call("DescribeThingGroup", thingGroupName="g")["thingGroupId"]

    def listed(**asked: Any) -> list[str]:
        return [one["jobId"] for one in world.call("ListJobs", **asked)["jobs"]]

    assert ["later", "j2", "j1", "j0"] == listed(thingGroupName="g") == listed(thingGroupId=group)
    assert ["j2"] == listed(status="CANCELED")
    assert ["j2", "j1"] == listed(targetSelection="CONTINUOUS")
    assert ["other"] == listed(namespaceId="n")
    first = world.call("ListJobs", thingGroupName="g", maxResults=3)
    assert ["j0"] == listed(thingGroupName="g", maxResults=3, nextToken=first["nextToken"])
    assert "ResourceNotFoundException" == world.refused("ListJobs", thingGroupId="none")


def test_executions_are_listed(world: World) -> None:
    """Of a job by thing, of a thing the last first, and by status."""
    world.things("u")
    world.job("a", "t", "u")
    world.later(seconds=1)
    world.job("b", "t")
    world.report("t", "a", "FAILED")
    assert {"t": "FAILED", "u": "QUEUED"} == world.statuses("a")

    def of_thing(**asked: Any) -> list[str]:
        found = world.call("ListJobExecutionsForThing", thingName="t", **asked)["executionSummaries"]
        return [one["jobId"] for one in found]

    assert (["b", "a"], ["a"], ["b"]) == (of_thing(), of_thing(status="FAILED"), of_thing(jobId="b"))
    assert 1 == len(world.call("ListJobExecutionsForJob", jobId="a", status="QUEUED")["executionSummaries"])
    assert "ResourceNotFoundException" == world.refused("ListJobExecutionsForJob", jobId="none")
    assert "ResourceNotFoundException" == world.refused("ListJobExecutionsForThing", thingName="none")
    assert "ResourceNotFoundException" == world.refused("DescribeJobExecution", jobId="b", thingName="u")


@pytest.mark.parametrize(("force", "status"), [(False, "IN_PROGRESS"), (True, "CANCELED")])
def test_cancel_a_job(world: World, force: bool, status: str) -> None:
    """Queued executions, and with force those in progress; the device hears of what it has to do no more."""
    world.things("u")
    world.job("j", "t", "u")
    world.ask("t", "start-next")
    world.notices()
    world.call("CancelJob", jobId="j", force=force, reasonCode="WHY", comment="because")
    job = world.describe("j")
    assert ("CANCELED", force or None, "WHY", "because") == tuple(
        job[key] for key in ("status", "forceCanceled", "reasonCode", "comment")
    )
    assert {"t": status, "u": "CANCELED"} == world.statuses("j")
    assert ["notify", "notify-next"] * (2 if force else 1) == world.topics()
    if force:
        assert "InvalidStateTransition" == world.ask("t", "j/update", {"status": "SUCCEEDED"})[1]["code"]
        assert "InvalidRequestException" == world.refused("CancelJob", jobId="j", force=True)
    else:
        world.call("CancelJob", jobId="j", force=True)
        assert {"CANCELED"} == set(world.statuses("j").values())


def test_what_has_ended_is_not_canceled(world: World) -> None:
    """Nor updated."""
    world.job("j", "t")
    world.report("t", "j", "SUCCEEDED")
    for operation in ("CancelJob", "UpdateJob"):
        assert "InvalidRequestException" == world.refused(operation, jobId="j")
        assert "ResourceNotFoundException" == world.refused(operation, jobId="none")


def test_cancel_an_execution(world: World) -> None:
    """Queued without force, in progress with it; a version that is not expected is refused."""
    world.job("j", "t")
    both = {"jobId": "j", "thingName": "t"}
    world.ask("t", "start-next")
    assert "InvalidStateTransitionException" == world.refused("CancelJobExecution", **both)
    assert "VersionConflictException" == world.refused("CancelJobExecution", **both, force=True, expectedVersion=1)
    many = {f"k{number}": "v" for number in range(11)}
    assert "InvalidRequestException" == world.refused("CancelJobExecution", **both, force=True, statusDetails=many)
    world.call("CancelJobExecution", **both, force=True, expectedVersion=2, statusDetails={"a": "b"})
    found = world.execution("j", "t")
    assert ("CANCELED", True, {"a": "b"}) == (
        found["status"],
        found["forceCanceled"],
        found["statusDetails"]["detailsMap"],
    )
    assert "COMPLETED" == world.status("j")
    assert "InvalidStateTransitionException" == world.refused("CancelJobExecution", **both, force=True)


def test_delete_an_execution(world: World) -> None:
    """One that has ended, with force any, by its number."""
    world.job("j", "t", targetSelection="SNAPSHOT")
    both = {"jobId": "j", "thingName": "t"}
    assert "InvalidStateTransitionException" == world.refused("DeleteJobExecution", **both, executionNumber=1)
    assert "ResourceNotFoundException" == world.refused("DeleteJobExecution", **both, executionNumber=2, force=True)
    assert "InvalidRequestException" == world.refused("DeleteJobExecution", **both, executionNumber=1, namespaceId="n")
    world.report("t", "j", "FAILED")
    world.call("DeleteJobExecution", **both, executionNumber=1)
    assert {} == world.statuses("j")


def test_delete_a_job(world: World) -> None:
    """One that has ended, with force any; ten at most at the same time."""
    world.job("j", "t")
    assert "InvalidStateTransitionException" == world.refused("DeleteJob", jobId="j")
    assert "ResourceNotFoundException" == world.refused("DeleteJob", jobId="j", force=True, namespaceId="n")
    world.call("DeleteJob", jobId="j", force=True)
    assert "DELETION_IN_PROGRESS" == world.status("j")
    for operation in ("DeleteJob", "CancelJob"):
        assert "InvalidRequestException" == world.refused(operation, jobId="j", force=True)
    for number in range(10):
        world.job(f"j{number}", "t")
    for number in range(9):
        world.call("DeleteJob", jobId=f"j{number}", force=True)
    assert "LimitExceededException" == world.refused("DeleteJob", jobId="j9", force=True)
    world.later()
    world.call("DeleteJob", jobId="j9", force=True)


def test_an_update_changes_what_it_names(world: World) -> None:
    """And checks it as CreateJob does."""
    world.job("j", "t", description="old", timeoutConfig={"inProgressTimeoutInMinutes": 5})
    world.call("UpdateJob", jobId="j", description="new")
    job = world.describe("j")
    assert ("new", {"inProgressTimeoutInMinutes": 5}) == (job["description"], job["timeoutConfig"])
    wrong = {"inProgressTimeoutInMinutes": 0}
    assert "InvalidRequestException" == world.refused("UpdateJob", jobId="j", timeoutConfig=wrong)


def test_templates_of_aws(world: World) -> None:
    """Listed, described, and made into a job: its document has the parameters, an empty text for what is not given."""
    listed = world.call("ListManagedJobTemplates")["managedJobTemplates"]
    assert ("AWS-Download-File", 7) == (listed[0]["templateName"], len(listed))
    found = world.call("DescribeManagedJobTemplate", templateName="AWS-Download-File")
    required = [one["key"] for one in found["documentParameters"] if not one["optional"]]
    assert (["downloadUrl", "filePath"], "1.0") == (required, found["templateVersion"])
    assert "ResourceNotFoundException" == world.refused("DescribeManagedJobTemplate", templateName="AWS-Fly")
    arn, given = found["templateArn"], {"downloadUrl": 'https://x/"f"', "filePath": "/f", "pathToHandler": "/h"}
    targets = [world.store.arn("thing/t")]
    refusals = [{}, {**given, "other": "x"}, {**given, "runAsUser": "x" * 257}]
    assert ["InvalidRequestException"] * 3 == [
        world.refused("CreateJob", jobId="j", targets=targets, jobTemplateArn=arn, documentParameters=each)
        for each in refusals
    ]
    missing = arn.replace("Download-File", "Fly")
    assert "ResourceNotFoundException" == world.refused("CreateJob", jobId="j", targets=targets, jobTemplateArn=missing)
    world.call("CreateJob", jobId="j", targets=targets, jobTemplateArn=arn, documentParameters=given)
    assert (arn, given) == tuple(world.describe("j")[key] for key in ("jobTemplateArn", "documentParameters"))
    _, answer = world.ask("t", "start-next")
    assert {
        "name": "Download-File",
        "type": "runHandler",
        "input": {"handler": "download-file.sh", "args": ['https://x/"f"', "/f"], "path": "/h"},
        "runAsUser": "",
    } == answer["execution"]["jobDocument"]["steps"][0]["action"]
    assert found["document"] == world.call("GetJobDocument", jobId="j", beforeSubstitution=True)["document"]
    assert found["document"] != world.call("GetJobDocument", jobId="j")["document"]


def test_templates(world: World) -> None:
    """Made of a document or of a job, listed, described, used, deleted."""
    windows = [{"startTime": "0 22 * * ? *", "durationInMinutes": 60}]
    made = world.call(
        "CreateJobTemplate",
        jobTemplateId="nightly",
        description="d",
        document=DOCUMENT,
        maintenanceWindows=windows,
        timeoutConfig={"inProgressTimeoutInMinutes": 5},
    )
    assert world.store.arn("jobtemplate/nightly") == made["jobTemplateArn"]
    world.call(
        "CreateJob",
        jobId="j",
        targets=[world.store.arn("thing/t")],
        jobTemplateArn=made["jobTemplateArn"],
        timeoutConfig={"inProgressTimeoutInMinutes": 7},
    )
    job = world.describe("j")
    assert ("SCHEDULED", "d", 7, made["jobTemplateArn"]) == (
        job["status"],
        job["description"],
        job["timeoutConfig"]["inProgressTimeoutInMinutes"],
        job["jobTemplateArn"],
    )
    world.call("CreateJobTemplate", jobTemplateId="copy", description="c", jobArn=job["jobArn"])
    copy = world.call("DescribeJobTemplate", jobTemplateId="copy")
    assert ("c", DOCUMENT, {"inProgressTimeoutInMinutes": 7}, None) == tuple(
        copy[key] for key in ("description", "document", "timeoutConfig", "maintenanceWindows")
    )
    described = world.call("DescribeJobTemplate", jobTemplateId="nightly")
    assert (windows, world.time) == (described["maintenanceWindows"], described["createdAt"])
    listed = world.call("ListJobTemplates")["jobTemplates"]
    assert ["copy", "nightly"] == [one["jobTemplateId"] for one in listed]
    world.call("DeleteJobTemplate", jobTemplateId="copy")
    assert "ResourceNotFoundException" == world.refused("DescribeJobTemplate", jobTemplateId="copy")


def test_templates_that_are_refused(world: World) -> None:
    """Twice the same, of nothing, of what is not there."""
    world.call("CreateJobTemplate", jobTemplateId="a", description="d", document=DOCUMENT)
    for code, more in (
        ("ConflictException", {"jobTemplateId": "a", "document": DOCUMENT}),
        ("InvalidRequestException", {"jobTemplateId": "b"}),
        ("InvalidRequestException", {"jobTemplateId": "b", "jobArn": "arn:aws:iot:x"}),
        ("ResourceNotFoundException", {"jobTemplateId": "b", "jobArn": world.store.arn("job/none")}),
    ):
        assert code == world.refused("CreateJobTemplate", description="d", **more)
    wanted = {"jobId": "j", "targets": [world.store.arn("thing/t")]}
    none = world.store.arn("jobtemplate/none")
    assert "ResourceNotFoundException" == world.refused("CreateJob", **wanted, jobTemplateArn=none)


def test_jobs_and_templates_have_tags(world: World) -> None:
    """And lose them when they are deleted."""
    tags = [{"Key": "team", "Value": "edge"}]
    world.job("j", "t", tags=tags)
    world.call("CreateJobTemplate", jobTemplateId="a", description="d", document=DOCUMENT, tags=tags)
    for resource in ("job/j", "jobtemplate/a"):
        assert tags == world.call("ListTagsForResource", resourceArn=world.store.arn(resource))["tags"]
    world.call("DeleteJobTemplate", jobTemplateId="a")
    world.call("DeleteJob", jobId="j", force=True)
    world.later()
    world.job("j", "t")
    assert [] == world.call("ListTagsForResource", resourceArn=world.store.arn("job/j"))["tags"]
