"""Bulk registration: a task reads its lines from S3 and reports on each."""

from __future__ import annotations

import json
import urllib.request
import uuid
from typing import TYPE_CHECKING, Any

import pytest

from iotctl import clock
from iotctl.local.platform import open_store
from iotctl.local.services import OPERATIONS, AwsError
from iotctl.local.services.provisioning import due, reports
from iotctl.local.services.s3 import content
from iotctl.local.state import State
from tests.local.clients import until
from tests.local.conftest import Name, client, refused

if TYPE_CHECKING:
    from pathlib import Path

    from iotctl.local.store import Store
    from iotctl.target import Platform

TEMPLATE = {
    "Parameters": {"ThingName": {"Type": "String"}, "Site": {"Type": "String", "Default": "oslo"}},
    "Resources": {
        "thing": {
            "Type": "AWS::IoT::Thing",
            "Properties": {"ThingName": {"Ref": "ThingName"}, "AttributePayload": {"site": {"Ref": "Site"}}},
        }
    },
}
BODY = json.dumps(TEMPLATE)


@pytest.fixture
def bucket(running: Platform, name: Name) -> str:
    """A bucket of S3."""
    client(running, "s3").create_bucket(Bucket=name("bulk"))
    return name("bulk")


def lines(link: str) -> list[dict[str, Any]]:
    """What a report says, read by its URL alone."""
    with urllib.request.urlopen(link, timeout=10) as response:
        return [json.loads(line) for line in response.read().splitlines()]


def test_a_file_of_things(running: Platform, iot: Any, bucket: str, name: Name, role: str) -> None:
    """Each line is registered or reported, by its number and the offset of its end; the rest goes on."""
    things = [name("a"), name("b"), name("c")]
    text = [
        json.dumps({"ThingName": things[0]}),
        "{'no': 'json'}",
        json.dumps({"ThingName": "not a name"}),
        "",
        json.dumps({"ThingName": things[1], "Site": "bergen"}),
        json.dumps({"ThingName": 7}),
        json.dumps({"ThingName": "x" * 300_000}),
        json.dumps({"ThingName": things[2]}),
    ]
    client(running, "s3").put_object(Bucket=bucket, Key="in.json", Body="\n".join(text).encode())
    task = iot.start_thing_registration_task(
        templateBody=BODY, inputFileBucket=bucket, inputFileKey="in.json", roleArn=role
    )["taskId"]
    client(running, "s3").delete_object(Bucket=bucket, Key="in.json")  # the task has it already

    def described() -> Any:
        found = iot.describe_thing_registration_task(taskId=task)
        return found if found["status"] == "Completed" else None

    done = until(described)
    assert (3, 4, 100, bucket, "in.json", BODY) == tuple(
        done[key]
        for key in (
            *("successCount", "failureCount", "percentageProgress", "inputFileBucket", "inputFileKey"),
            "templateBody",
        )
    )
    assert ["oslo", "bergen", "oslo"] == [iot.describe_thing(thingName=one)["attributes"]["site"] for one in things]
    assert task in iot.list_thing_registration_tasks(status="Completed", maxResults=250)["taskIds"]
    found = {
        kind: iot.list_thing_registration_task_reports(taskId=task, reportType=kind)["resourceLinks"]
        for kind in ("RESULTS", "ERRORS")
    }
    results, errors = (lines(links[0]) for links in (found["RESULTS"], found["ERRORS"]))
    ends = [sum(len(one) + 1 for one in text[: number + 1]) for number in range(len(text))]
    ends[-1] -= 1  # the last line has no end
    assert [(1, ends[0]), (5, ends[4]), (8, ends[7])] == [(one["lineNumber"], one["offset"]) for one in results]
    arn = iot.describe_thing(thingName=things[0])["thingArn"]
    assert (None, {"thing": arn}) == (results[0]["errorMessage"], results[0]["response"]["ResourceArns"])
    assert [2, 3, 6, 7] == [one["lineNumber"] for one in errors]
    assert [True] * 4 == ["Error Code: InvalidRequestException;" in one["errorMessage"] for one in errors]
    assert errors[0]["errorMessage"].startswith("com.amazonaws.services.iot.model.InvalidRequestException: ")
    assert {"errorMessage", "lineNumber", "offset", "response"} == errors[0].keys()
    shown = [one["Name"] for one in client(running, "s3").list_buckets()["Buckets"]]
    assert bucket in shown
    assert "aws-iot-reports" not in shown
    refusal = refused(client(running, "s3").create_bucket, Bucket="aws-iot-reports")
    assert "BucketAlreadyExists" == refusal.code
    refusal = refused(iot.stop_thing_registration_task, taskId=task)
    assert "InvalidRequestException" == refusal.code


def test_what_cannot_begin(iot: Any, bucket: str, role: str) -> None:
    """A template that is wrong, a file that is not there, a role of another account, a task that nobody knows."""
    given = {"templateBody": BODY, "inputFileBucket": bucket, "inputFileKey": "none", "roleArn": role}
    assert "cannot be read" in refused(iot.start_thing_registration_task, **given).message
    for wrong in ({"templateBody": "{}"}, {"roleArn": "arn:aws:iam::123456789012:role/r"}):
        assert "InvalidRequestException" == refused(iot.start_thing_registration_task, **given | wrong).code
    nobody = str(uuid.uuid4())
    for method in (iot.describe_thing_registration_task, iot.stop_thing_registration_task):
        assert "ResourceNotFoundException" == refused(method, taskId=nobody).code


class Bulk:
    """A task on a store of one's own, turn by turn."""

    def __init__(self, store: Store, count: int) -> None:
        self.store = store
        content.prepare(store)
        self.call("s3:CreateBucket", Bucket="bulk")
        text = b"".join(json.dumps({"ThingName": f"t-{number}"}).encode() + b"\n" for number in range(count))
        writing = content.Writing(store, ())
        writing.write(text)
        self.call("s3:PutObject", Bucket="bulk", Key="in", Body=writing.finish())
        self.role = f"arn:aws:iam::{store.account_id}:role/r"
        self.task = self.start()

    def call(self, name: str, **parameters: Any) -> dict[str, Any]:
        return OPERATIONS[name](self.store, **parameters)

    def start(self) -> str:
        given = {"templateBody": BODY, "inputFileBucket": "bulk", "inputFileKey": "in", "roleArn": self.role}
        return str(self.call("iot:StartThingRegistrationTask", **given)["taskId"])

    def turn(self) -> None:
        """What is due next, when it is."""
        until(lambda: (at := due.next_due(self.store)) is not None and at <= self.store.now())
        due.run_due(self.store)

    def described(self) -> dict[str, Any]:
        return self.call("iot:DescribeThingRegistrationTask", taskId=self.task)

    def parts(self, kind: str = "RESULTS") -> int:
        given = {"taskId": self.task, "reportType": kind}
        return len(self.call("iot:ListThingRegistrationTaskReports", **given)["resourceLinks"])

    def things(self) -> int:
        row = self.store.row("SELECT count(*) AS n FROM thing")
        return int(row["n"]) if row else 0


def test_one_task_at_a_time(store: Store) -> None:
    """A second one is refused until the first is done or stopped; a stopped one keeps what it registered."""
    bulk = Bulk(store, 3000)
    with pytest.raises(AwsError) as caught:
        bulk.start()
    assert "only one can run at a time" in caught.value.message
    bulk.turn()
    half = bulk.described()
    assert half["status"] == "InProgress"
    assert 0 < half["successCount"] < 3000
    bulk.call("iot:StopThingRegistrationTask", taskId=bulk.task)
    assert "Cancelling" == bulk.described()["status"]
    bulk.turn()
    stopped = bulk.described()
    assert ("Cancelled", half["successCount"]) == (stopped["status"], stopped["successCount"])
    assert half["successCount"] == bulk.things()
    assert 1 == bulk.parts()
    bulk.start()


def test_a_restart_goes_on_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No line is lost and none is done twice; large reports are in parts."""
    monkeypatch.setattr(reports, "_LINES_OF_PART", 100)
    store = open_store(State(tmp_path))
    bulk = Bulk(store, 600)
    bulk.turn()
    before = bulk.described()["successCount"]
    store.close()
    bulk.store = store = open_store(State(tmp_path))
    while bulk.described()["status"] == "InProgress":
        bulk.turn()
    done = bulk.described()
    assert ("Completed", 600, 0) == (done["status"], done["successCount"], done["failureCount"])
    assert (600, True) == (bulk.things(), 0 < before <= 600)
    assert bulk.parts() > 1
    assert [] == list((store.directory / "registration").iterdir())
    store.close()


@pytest.mark.parametrize(("rate", "expected"), [(10.0, 20), (0.5, 1), (250.0, 500)])
def test_lines_are_as_slow_as_register_thing(
    store: Store, monkeypatch: pytest.MonkeyPatch, rate: float, expected: int
) -> None:
    """Where `--throttle` limits RegisterThing, a task registers as many things in a second; two seconds of it."""
    time = clock.epoch()
    monkeypatch.setattr(clock, "epoch", lambda: time)
    store.rate = {"iot:RegisterThing": rate}.get
    bulk = Bulk(store, 600)
    end = time + 2.0001
    while (at := due.next_due(store)) is not None and at <= end:
        time = max(time, at)
        due.run_due(store)
    assert expected == bulk.described()["successCount"]
    bulk.call("iot:StopThingRegistrationTask", taskId=bulk.task)
    due.run_due(store)
    assert "Cancelled" == bulk.described()["status"]


def test_data_is_kept_for_thirty_days(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Then the task and its reports are gone; a task that takes as long fails."""
    bulk = Bulk(store, 2000)
    bulk.turn()
    later = clock.epoch() + 30 * 86_400 + 1
    monkeypatch.setattr(clock, "epoch", lambda: later)
    due.run_due(store)
    failed = bulk.described()
    assert ("Failed", "The task was not done within thirty days") == (failed["status"], failed["message"])
    assert [] != list((store.directory / "s3").iterdir())
    monkeypatch.setattr(clock, "epoch", lambda: later + 30 * 86_400 + 1)
    assert due.next_due(store) == later + 30 * 86_400
    due.run_due(store)
    with pytest.raises(AwsError) as caught:
        bulk.described()
    assert "ResourceNotFoundException" == caught.value.code
    assert None is store.row("SELECT 1 FROM s3_object WHERE bucket = 'aws-iot-reports'")
