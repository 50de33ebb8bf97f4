"""`ota retry`, `ota cancel` and `ota show`: plans out of jobs as they are, and the commands on the platform."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from iotctl import clock
from iotctl.errors import Usage
from iotctl.manifest import Manifest, Targets, sign
from iotctl.ota import again, subject
from iotctl.ota.executions import JOB, Counts, Job, Phase
from iotctl.ota.rollout import Goal, Labels
from iotctl.ota.subject import Subject
from iotctl.pki.signing import SigningKey
from iotctl.plan import resolve
from iotctl.target import Target
from tests.ota import watched as world

if TYPE_CHECKING:
    from collections.abc import Callable

    from iotctl.plan import Plan
    from tests.conftest import Ran
    from tests.ota.watched import Watched

watched = world.watched
NOW = datetime(2026, 6, 1, tzinfo=UTC)
TARGET = Target("aws", "123456789012", "eu-west-1")
DESCRIBED = {
    "jobId": "j",
    "description": "new firmware",
    "timeoutConfig": {"inProgressTimeoutInMinutes": 5},
    "abortConfig": {
        "criteriaList": [
            {"failureType": "ALL", "action": "CANCEL", "thresholdPercentage": 10, "minNumberOfExecutedThings": 50}
        ]
    },
}


def alone(counts: Counts | None = None, status: str = "IN_PROGRESS", **more: Any) -> Subject:
    """A job that is no rollout of ours."""
    return Subject("j", (Phase(JOB, Job("j", status, counts or Counts(), **more)),), {"j": DESCRIBED})


def requests(plan: Plan) -> list[dict[str, Any]]:
    """The parameters of each CreateJob."""
    return [resolve(plan.each[0].params, {"row": row}) for row in plan.rows]


def names(number: int) -> list[str]:
    """So many names, sorted."""
    return [f"t{one:04}" for one in range(number)]


def test_a_retry_is_for_the_failed_things_only() -> None:
    """The same document and timers; criteria that can decide with so few; a description that names the things."""
    (made,) = requests(again.retrying(alone(), ["b", "a"], "{}", TARGET, NOW))

    assert {
        "jobId": "j-retry",
        "targets": ["arn:aws:iot:eu-west-1:123456789012:thing/a", "arn:aws:iot:eu-west-1:123456789012:thing/b"],
        "targetSelection": "SNAPSHOT",
        "document": "{}",
        "timeoutConfig": {"inProgressTimeoutInMinutes": 5},
        "abortConfig": {
            "criteriaList": [
                {"failureType": "ALL", "action": "CANCEL", "thresholdPercentage": 10, "minNumberOfExecutedThings": 2}
            ]
        },
        "description": made["description"],
    } == made
    assert made["description"].startswith("new firmware; retry of j: 2 things, sha256 ")


def test_more_than_a_job_may_name_are_several_jobs() -> None:
    """Each thing once, a hundred a job, numbered on from the retries that there were."""
    before = Phase("retry", Job("j-retry", "COMPLETED"))
    found = replace(alone(), phases=(*alone().phases, before))
    made = requests(again.retrying(found, names(250), "{}", TARGET, NOW))

    assert ["j-retry-2", "j-retry-3", "j-retry-4"] == [each["jobId"] for each in made]
    assert names(250) == [target.rpartition("/")[2] for each in made for target in each["targets"]]
    assert [100, 100, 50] == [len(each["targets"]) for each in made]


def test_the_same_retry_is_the_same_run() -> None:
    """Of whoever asks; other things, or the next retry, are another."""
    one = again.retrying(alone(), names(3), "{}", TARGET, NOW)

    assert one.run_id == again.retrying(alone(), names(3)[::-1], "{}", TARGET, NOW).run_id
    assert one.run_id != again.retrying(alone(), names(4), "{}", TARGET, NOW).run_id
    assert (
        requests(one)[0]["description"]
        != requests(again.retrying(alone(), names(4), "{}", TARGET, NOW))[0]["description"]
    )


def test_too_many_are_not_tried_again_one_by_one() -> None:
    """9,900 are the most that 99 jobs have."""
    assert 99 == len(again.retrying(alone(), names(9_900), "{}", TARGET, NOW).rows)
    with pytest.raises(Usage, match="more than can be tried again"):
        again.retrying(alone(), names(9_901), "{}", TARGET, NOW)


def test_a_retry_of_a_rollout_is_part_of_it() -> None:
    """By its id and its tags; of a long job id that is none of ours, by as much of it as fits."""
    labels = Labels("fw-1-0123456789ab", "fleet", "fw", "1", 500, Goal(), "s3://b/k", "0" * 64)
    job = Job("fw-1-0123456789ab-fleet", "COMPLETED")
    found = Subject(labels.rollout_id, (Phase("fleet", job),), {job.job_id: DESCRIBED}, labels)
    (made,) = requests(again.retrying(found, names(2), "{}", TARGET, NOW))

    assert ("fw-1-0123456789ab-retry", replace(labels, phase="retry", things=2)) == (
        made["jobId"],
        Labels.parse(made["tags"]),
    )
    long = replace(alone(), name="x" * 64)
    assert len(long.retry(99)[1]) <= 64
    assert long.retry(1)[1] != replace(alone(), name="x" * 63 + "y").retry(1)[1]


def test_a_retry_that_every_device_must_refuse_is_told_of() -> None:
    """A signature that has run out; and that a schedule is not kept."""

    def warnings(expires: datetime, **more: Any) -> tuple[str, ...]:
        manifest = Manifest("fw", "1.0", 1, "0" * 64, Targets(thing_names=("*",)), expires, NOW - timedelta(days=9))
        document = json.dumps({"operation": "install", **sign(manifest, SigningKey.create()).to_json()})
        found = replace(alone(), described={"j": {**DESCRIBED, **more}})
        return again.retrying(found, ["t"], document, TARGET, NOW).warnings

    assert () == warnings(NOW + timedelta(seconds=1))
    (expired,) = warnings(NOW)
    assert "has run out on 2026-06-01T00:00:00Z: every device will refuse it" in expired
    (scheduled,) = warnings(NOW + timedelta(days=1), schedulingConfig={"startTime": "2026-01-01 00:00"})
    assert "starts at once" in scheduled


@pytest.mark.parametrize(
    ("counts", "force", "expected"),
    [
        (Counts(queued=2), False, ["2 things that have not begun will not get it"]),
        (Counts(in_progress=3), False, ["3 things at it go on, and may still install it"]),
        (Counts(in_progress=3), True, ["3 things at it lose it: AWS takes no report of theirs any more"]),
        (Counts(succeeded=1), False, ["1 thing that have it keep it"]),
    ],
)
def test_a_cancel_says_what_it_stops_and_what_not(counts: Counts, force: bool, expected: list[str]) -> None:
    """Before anybody says yes."""
    plan = again.canceling(alone(counts), TARGET, "", NOW, force=force)

    assert len(expected) == len(plan.warnings)
    assert all(warning.startswith(start) for warning, start in zip(plan.warnings, expected, strict=True))


def test_what_a_cancel_is_for() -> None:
    """What is open; with force also what was canceled without, while things are at it."""
    canceled = alone(Counts(in_progress=1), "CANCELED")

    assert [] == again.cancelable(canceled, force=False)
    assert ["j"] == [job.job_id for job in again.cancelable(canceled, force=True)]
    assert [] == again.cancelable(alone(Counts(in_progress=1), "CANCELED", forced=True), force=True)
    assert [] == again.cancelable(alone(status="COMPLETED"), force=True)


def test_a_canary_whose_fleet_is_to_come_is_marked_first() -> None:
    """Also where it is over: then there is nothing to cancel, and still no fleet may follow; once is enough."""

    def plan(status: str, stopped: str = "") -> Plan:
        labels = Labels("r", "canary", "fw", "1", 5, Goal(), "s3://b/k", "0" * 64, stopped=stopped)
        job = Job("r-canary", status, Counts(succeeded=5))
        found = Subject("r", (Phase("canary", job),), {"r-canary": {"jobArn": "arn"}}, labels)
        assert found.may_go_on is not bool(stopped)
        return again.canceling(found, TARGET, "", NOW, force=False)

    ended, running = plan("COMPLETED"), plan("IN_PROGRESS")
    assert (["iot:TagResource"], ["iot:TagResource", "iot:CancelJob"]) == (
        list(ended.operations()),
        list(running.operations()),
    )
    assert "the fleet does not follow the canary any more" in ended.warnings
    assert ["iot:CancelJob"] == list(plan("IN_PROGRESS", "2026-01-01T00:00:00Z").operations())


def test_a_thing_that_is_tried_again_is_in_one_group() -> None:
    """By job, the things that later jobs have again."""
    arn = TARGET.arn("thing/")
    phases = (*alone().phases, *(Phase(name, Job(f"j-{name}", "COMPLETED")) for name in ("retry", "retry-2")))
    described = {
        "j": DESCRIBED,
        "j-retry": {"targets": [arn + "a", arn + "b"]},
        "j-retry-2": {"targets": [arn + "b"]},
    }
    assert {"j": {"a", "b"}, "j-retry": {"b"}, "j-retry-2": set()} == Subject("j", phases, described).again


def test_a_retry_on_the_platform(watched: Watched, iotctl: Callable[..., Ran]) -> None:
    """Only what failed gets it again; twice is once; the verdict is on both jobs; what was canceled is still failed."""
    things = watched.things(4)
    job = watched.job("j", things)
    watched.report(job, things[:2])
    watched.report(job, things[2:], "FAILED", reason="DISK")
    assert 10 == iotctl("ota", "watch", job).code
    dry = iotctl("ota", "retry", job, "--dry-run")
    assert (0, "iot:CreateJob\t1\n") == (dry.code, dry.stdout)
    ran = iotctl("ota", "retry", job, "--yes")
    assert (0, f"{job}-retry\tdone\t2\n") == (ran.code, ran.stdout)
    again_ = iotctl("ota", "retry", job, "--yes")
    assert (0, "") == (again_.code, again_.stdout)
    assert 0 == iotctl("ota", "cancel", f"{job}-retry", "--yes").code
    assert f"{job}-retry-2\tdone\t2\n" == iotctl("ota", "retry", job, "--yes").stdout
    watched.report(f"{job}-retry-2", things[2:])

    watched = iotctl("ota", "watch", job, "-o", "json")
    data = json.loads(watched.stdout.splitlines()[-1])["data"]
    assert (0, 4, 0, []) == (watched.code, data["succeeded"], data["failed"], data["failures"])


def test_a_retry_that_somebody_else_made(watched: Watched, iotctl: Callable[..., Ran], monkeypatch: Any) -> None:
    """The same things: it is done. Others: a conflict, and nothing is made."""
    things = watched.things(3)
    job = watched.job("j", things)
    watched.report(job, things, "FAILED")
    blind = subject.find
    unaware = lambda aws, typed: replace(found := blind(aws, typed), phases=found.phases[:1])  # noqa: E731
    assert 0 == iotctl("ota", "retry", job, "--yes").code
    monkeypatch.setattr(subject, "find", unaware)
    assert 0 == iotctl("ota", "retry", job, "--yes").code
    monkeypatch.setattr(subject, "failed", lambda *_: things[:2])

    assert 6 == iotctl("ota", "retry", job, "--yes").code


def test_a_cancel_on_the_platform(watched: Watched, iotctl: Callable[..., Ran]) -> None:
    """What has not begun is canceled, what is at it goes on; with force it does not; then nothing is open."""
    things = watched.things(3)
    job = watched.job("j", things)
    watched.report(job, things[:1], "IN_PROGRESS")
    ran = iotctl("ota", "cancel", job, "--comment", "wrong build", "--yes", "--dry-run")
    assert (0, True) == (ran.code, "1 thing at it go on" in ran.stderr)
    assert "IN_PROGRESS" == watched.iot.describe_job(jobId=job)["job"]["status"]

    def counts(*words: str) -> tuple[int, int]:
        assert 0 == iotctl("ota", "cancel", job, *words, "--yes").code
        details = watched.iot.describe_job(jobId=job)["job"]["jobProcessDetails"]
        return details["numberOfInProgressThings"], details["numberOfCanceledThings"]

    assert (1, 2) == counts("--comment", "wrong build")
    assert "wrong build" == watched.iot.describe_job(jobId=job)["job"]["comment"]
    assert (0, 3) == counts("--force")
    assert "is open" in iotctl("ota", "cancel", job, "--force", "--yes").stderr
    assert 10 == iotctl("ota", "watch", job).code


def test_a_job_and_a_device_are_shown(watched: Watched, iotctl: Callable[..., Ran]) -> None:
    """Configuration, document, reasons; one device of it, and one device of every job."""
    things = watched.things(2)
    abort = DESCRIBED["abortConfig"]
    job = watched.job(
        "j", things, document='{"operation":"x","url":"https://h/?X-Amz-Signature=abc"}', abortConfig=abort
    )
    watched.report(job, things[:1], "FAILED", reason="DISK")
    shown = iotctl("ota", "show", job, "-o", "json")
    data = shown.envelope["data"]

    assert (0, "x", "https://h/?X-Amz-Signature=[redacted]") == (
        shown.code,
        data["jobDocument"]["operation"],
        data["jobDocument"]["url"],
    )
    assert (job, "DISK", 1) == (data["jobId"], data["failures"][0]["reason"], data["neverReached"])
    assert "ALL of 10 % stops it, once 50 have ended" in shown.stderr
    device = iotctl("ota", "show", job, "--thing", things[0], "-o", "json").envelope["data"]["executions"]
    assert [(job, "FAILED", {"reason": "DISK"})] == [
        (each["jobId"], each["status"], each["statusDetails"]) for each in device
    ]
    assert iotctl("ota", "show", "--thing", things[1]).stdout.startswith(f"{job}\tQUEUED\t")
    other = watched.things(1)[0]
    assert (8, 8, 2) == (
        iotctl("ota", "show", job, "--thing", other).code,
        iotctl("ota", "show", job, "--thing", "nobody").code,
        iotctl("ota", "show").code,
    )
    assert clock.now().year >= int(data["phases"][0]["job"]["createdAt"][:4])
