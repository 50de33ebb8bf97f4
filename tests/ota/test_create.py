"""`ota create` on the platform: one rollout, however often and wherever it is made."""

from __future__ import annotations

import hashlib
import json
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest

from iotctl.aws import Aws
from iotctl.errors import Integrity
from iotctl.ota import agreement, rollout
from iotctl.ota.rollout import Labels
from tests.conftest import Ran, run_iotctl
from tests.ota.pumps import BUCKET, Pumps, at_once, client

Make = Callable[..., Pumps]


def test_creating_twice_is_one_rollout(make: Make) -> None:
    """The second finds the first's record and job, though it signs at another moment; nothing is made anew."""
    pumps = make(4)
    made = pumps.create("--canary", "2", "--soak", "10m")
    document = client("iot").get_job_document(jobId=f"{made}-canary")["document"]
    assert made == pumps.create("--canary", "2", "--soak", "600s")
    assert (["canary"], document) == (
        pumps.jobs(made),
        client("iot").get_job_document(jobId=f"{made}-canary")["document"],
    )
    assert made != pumps.create("--canary", "2", "--soak", "10m", "--again", "1")


def test_what_step_needs_is_in_tags_and_beside_the_artifact(make: Make) -> None:
    """The tags name the record and its digest; the record holds both requests, the artifact lies beside it.

    A role may be given by its name.
    """
    pumps = make(4)
    made = pumps.create(
        "--canary",
        "2",
        "--pass",
        "75%",
        "--deadline",
        "24h",
        "--gate",
        'reported.fw == "1.4.0"',
        "--job-role",
        "signer",
    )
    iot = client("iot")
    job = iot.describe_job(jobId=f"{made}-canary")["job"]
    labels = Labels.parse(iot.list_tags_for_resource(resourceArn=job["jobArn"])["tags"])
    assert labels is not None
    found = agreement.read(Aws(), labels.record, labels.digest)
    assert found is not None
    assert (made, "75", 86400, True, 2) == (
        labels.rollout_id,
        str(labels.goal.passing),
        labels.goal.deadline,
        labels.gate_elsewhere,
        labels.things,
    )
    assert ('reported.fw == "1.4.0"', 4) == (found.record.goal.gate, found.record.things[rollout.FLEET])
    bucket, _, key = found.record.place.removeprefix("s3://").partition("/")
    content = client("s3").get_object(Bucket=bucket, Key=key)["Body"].read()
    assert (pumps.directory / "pump.bin").read_bytes() == content
    assert hashlib.sha256(content).hexdigest() == found.record.sha256
    assert labels.record.startswith(f"s3://{bucket}/ota/{found.record.sha256}/")
    assert f"arn:aws:iam::{pumps.platform.account_id}:role/signer" == job["presignedUrlConfig"]["roleArn"]


def test_a_rollout_by_a_job_template_of_aws(make: Make) -> None:
    """What the template wants is named before anything starts; then the device gets the artifact's URL by it."""
    pumps = make(1)
    arn = f"arn:aws:iot:{client('iot').meta.region_name}::jobtemplate/AWS-Download-File:1.0"
    words = ("--template", arn, "--parameter", "filePath=/opt/pump.bin")
    ran = pumps.ota("create", *words, "-y")
    assert (2, True) == (ran.code, "needs downloadUrl" in ran.stderr)
    ran = pumps.ota("create", "--template", arn.replace("Download-File", "Fly"), "-y")
    assert (8, True) == (ran.code, "list-managed-job-templates" in ran.stderr)
    pumps.create(*words, "--parameter", "downloadUrl={url}")
    devices = client("iot-jobs-data")
    found = devices.start_next_pending_job_execution(thingName=pumps.names[0])["execution"]
    url, path = json.loads(found["jobDocument"])["steps"][0]["action"]["input"]["args"]
    with urllib.request.urlopen(url, timeout=10) as response:
        assert (pumps.directory / "pump.bin").read_bytes() == response.read()
    assert "/opt/pump.bin" == path


def test_many_machines_at_once_make_one_rollout(make: Make) -> None:
    """All end well, whoever's record was first, and there is one job."""
    pumps = make(2)
    argv = ("ota", "create", *pumps.common, "--key-file", pumps.key, "-q")
    runs = at_once([argv] * 3, pumps.directory)
    assert [0, 0, 0] == [ran.returncode for ran in runs], [ran.stderr for ran in runs]
    (job,) = {ran.stdout.strip() for ran in runs}
    assert ["fleet"] == pumps.jobs(job.rpartition("-")[0])
    listed = client("iot").list_jobs(thingGroupName=pumps.group)["jobs"]
    assert [job] == [each["jobId"] for each in listed]


def test_another_job_of_the_same_id_is_a_conflict(make: Make) -> None:
    """Someone else's job is not taken for ours: both documents are told by their digests, nothing is changed."""
    pumps = make(2)
    dry = pumps.ota("create", "--dry-run", "-q")
    iot = client("iot")
    arn = iot.describe_thing_group(thingGroupName=pumps.group)["thingGroupArn"]
    iot.create_job(jobId=dry.stdout.strip(), targets=[arn], document='{"operation": "other"}')
    ran = pumps.ota("create", "-y", "-o", "json")
    assert (6, "Conflict") == (ran.code, ran.envelope["errors"][0]["code"])
    assert "sha256" in ran.envelope["errors"][0]["message"]


def test_a_rollout_that_was_stopped_is_not_made_again(make: Make) -> None:
    """It is said, with what to type to do it once more."""
    pumps = make(2)
    made = pumps.create()
    client("iot").cancel_job(jobId=f"{made}-fleet", comment="it leaks")
    ran = pumps.ota("create", "-y")
    assert (6, True, True) == (ran.code, "it leaks" in ran.stderr, "--again 1" in ran.stderr)


def test_what_is_missing_is_named_before_anything_starts(make: Make, tmp_path: Path) -> None:
    """The bucket and every thing that is not there, all at once; nothing is uploaded, no job is made."""
    pumps = make(1)
    names = tmp_path / "things.txt"
    names.write_text(f"{pumps.names[0]}\nnobody-1\nnobody-2\n")
    ran = run_iotctl(
        "ota", "create", pumps.artifact, "--things", str(names), "--release", "1", "--key-file", pumps.key,
        "--bucket", "no-such-bucket-here", "-y", "-o", "json",
    )  # fmt: skip
    said = [error["message"] for error in ran.envelope["errors"]]
    assert 2 == ran.code
    assert [
        "there is no bucket no-such-bucket-here",
        "there is no thing nobody-1",
        "there is no thing nobody-2",
    ] == sorted(said[1:])


@pytest.mark.parametrize(
    ("words", "code"),
    [(("--start", "2020-01-01T00:00Z"), "REFUSED"), (("--canary", "4"), "Usage"), (("--template", "none"), "Usage")],
)
def test_what_cannot_go_well_is_refused_before_anything_starts(make: Make, words: tuple[str, ...], code: str) -> None:
    """By its own code, and with exit 2."""
    ran = make(2).ota("create", *words, "-y", "-o", "json")
    assert (2, code) == (ran.code, ran.envelope["errors"][0]["code"])


def test_a_replaced_record_is_refused(make: Make) -> None:
    """Who can only write to the bucket cannot change what the fleet gets: the tags name the record's digest."""
    pumps = make(2)
    made = pumps.create("--canary", "1")
    iot, s3 = client("iot"), client("s3")
    arn = iot.describe_job(jobId=f"{made}-canary")["job"]["jobArn"]
    labels = Labels.parse(iot.list_tags_for_resource(resourceArn=arn)["tags"])
    assert labels is not None
    bucket, _, key = labels.record.removeprefix("s3://").partition("/")
    content = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
    s3.put_object(Bucket=bucket, Key=key, Body=content.replace(b'"CANCEL"', b'"CANCEL "'))
    pumps.play(*pumps.names)
    ran = pumps.step(made)
    assert (9, ["canary"]) == (ran.code, pumps.jobs(made))
    with pytest.raises(Integrity, match="is not the record"):
        agreement.read(Aws(), labels.record, labels.digest)


def test_the_first_record_is_everyones(make: Make) -> None:
    """Whoever comes later goes on with it; the record of another rollout is not taken for it."""
    pumps = make(1)
    made = pumps.create()
    iot = client("iot")
    arn = iot.describe_job(jobId=f"{made}-fleet")["job"]["jobArn"]
    labels = Labels.parse(iot.list_tags_for_resource(resourceArn=arn)["tags"])
    assert labels is not None
    bucket, _, key = labels.record.removeprefix("s3://").partition("/")
    first = client("s3").get_object(Bucket=bucket, Key=key)["Body"].read().decode()
    asked = {"bucket": bucket, "key": key, "phase": "fleet"}
    later = first.replace('"created":"2', '"created":"3')
    (answer,) = agreement.Agreement(Aws())([asked | {"content": later}])
    assert isinstance(answer, dict)
    assert {"Key": "iotctl:record-sha256", "Value": labels.digest} in answer["request"]["tags"]
    (refused,) = agreement.Agreement(Aws())([asked | {"content": first.replace(made, "other-0123456789ab")}])
    assert isinstance(refused, Integrity)


def test_a_dry_run_shows_everything_and_does_nothing(make: Make) -> None:
    """No object, no job."""
    pumps = make(2)
    ran = pumps.ota("create", "--canary", "1", "--dry-run", "-o", "json")
    assert (0, {"s3:Upload": 1, "ota:AgreeOnRecord": 1, "iot:CreateJob": 1}) == (
        ran.code,
        ran.envelope["data"]["operations"],
    )
    digest = hashlib.sha256((pumps.directory / "pump.bin").read_bytes()).hexdigest()
    assert 0 == client("s3").list_objects_v2(Bucket=BUCKET, Prefix=f"ota/{digest}")["KeyCount"]


def test_a_saved_plan_is_carried_out_while_it_is_true(make: Make, iotctl: Callable[..., Ran]) -> None:
    """What `plan -o json` saved is what `create --plan` makes; once a thing has joined it is stale."""
    pumps = make(3)
    planned = pumps.ota("plan", "--canary", "1", "--soak", "10m", "-o", "json")
    assert 0 == planned.code
    saved = pumps.directory / "plan.json"
    saved.write_text(planned.stdout)
    made = iotctl("ota", "create", "--plan", str(saved), "--key-file", pumps.key, "-y", "-q")
    assert (0, f"{planned.envelope['data']['rolloutId']}-canary") == (made.code, made.stdout.strip())
    beside = iotctl("ota", "create", "--plan", str(saved), "--key-file", pumps.key, "--again", "1", "-y")
    assert (2, True) == (beside.code, "decides again" in beside.stderr)
    iot = client("iot")
    iot.create_thing(thingName=f"{pumps.group}-new")
    iot.add_thing_to_thing_group(thingGroupName=pumps.group, thingName=f"{pumps.group}-new")
    stale = iotctl("ota", "create", "--plan", str(saved), "--key-file", pumps.key, "-y", "-o", "json")
    assert (2, "StalePlan", True) == (
        stale.code,
        stale.envelope["errors"][0]["code"],
        "things was 3, and is 4" in stale.envelope["errors"][0]["cause"],
    )


def test_a_plan_needs_no_key_and_tells_how_far_a_bad_release_comes(make: Make, iotctl: Callable[..., Ran]) -> None:
    """Read-only, with the minutes, the reach and the findings."""
    pumps = make(6)
    ran = iotctl("ota", "plan", *pumps.common, "--canary", "2", "--soak", "30m", "-o", "json")
    data = ran.envelope["data"]
    assert (0, None) == (ran.code, data["rolloutId"])
    assert (2, "canary", "ABORT") == tuple(data["badRelease"][key] for key in ("reached", "phase", "stoppedBy"))
    assert 60 == data["hangingRelease"]["minute"]
    assert (2, 6) == (data["forecast"]["canary"]["reached"], data["forecast"]["fleet"]["reached"])
    assert {"NO_DEADLINE", "GROUPS_AS_ONBOARDED"} <= {finding["code"] for finding in data["findings"]}
