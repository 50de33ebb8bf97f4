"""The options of plan and apply together, on the platform: adopting, verifying, policies on groups, saved plans."""

from __future__ import annotations

import json
import uuid
from typing import TYPE_CHECKING, Any

import boto3
import pytest

from iotctl.errors import Usage
from iotctl.onboard.request import Request

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from iotctl.target import Platform
    from tests.conftest import Ran


@pytest.fixture
def iot(platform: Platform) -> Any:
    """The platform's registry, by boto3."""
    return boto3.client("iot")


@pytest.fixture
def tag(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The end of every name of one test, in a directory of its own."""
    monkeypatch.chdir(tmp_path)
    return uuid.uuid4().hex[:10]


def run_of(directory: Path) -> str:
    """The id of the only run there."""
    (record,) = (directory / "runs").iterdir()
    return record.stem


def test_a_thing_that_was_there_is_adopted_and_given_back(
    iotctl: Callable[..., Ran], iot: Any, tag: str, tmp_path: Path
) -> None:
    """It keeps what it had; when the run is taken back it stays, without our certificate and without the claim."""
    name = f"old-{tag}"
    iot.create_thing(thingName=name, attributePayload={"attributes": {"owner": "them"}})
    (tmp_path / "fleet.csv").write_text(f"thing_name,attr:site\n{name},oslo\nnew-{tag},oslo\n")
    assert 6 == iotctl("onboard", "plan", "fleet.csv").code
    assert 3 == iotctl("onboard", "apply", "fleet.csv", "-y").code
    planned = iotctl("onboard", "plan", "fleet.csv", "--adopt")
    assert (0, ["adopt", "same"]) == (
        planned.code,
        sorted(line.split("\t")[1] for line in planned.stdout.splitlines()),
    )
    for _ in range(2):
        assert 0 == iotctl("onboard", "apply", "fleet.csv", "--adopt", "--verify", "-y").code
    thing = iot.describe_thing(thingName=name)
    (principal,) = iot.list_thing_principals(thingName=name)["principals"]
    claim = f"adopted:{principal.rpartition('/')[2]}"
    assert {"owner": "them", "site": "oslo", "iotctl-cert": claim} == thing["attributes"]
    assert 0 == iotctl("onboard", "undo", run_of(tmp_path / "fleet-fleet"), "-y").code
    assert {"owner": "them", "site": "oslo"} == iot.describe_thing(thingName=name)["attributes"]
    assert [] == iot.list_thing_principals(thingName=name)["principals"]
    with pytest.raises(iot.exceptions.ResourceNotFoundException):
        iot.describe_thing(thingName=f"new-{tag}")


def test_what_was_done_is_verified(iotctl: Callable[..., Ran], iot: Any, tag: str, tmp_path: Path) -> None:
    """Another certificate of the thing, or one that was turned off, is told; without a claim it is always looked at."""
    name = f"thing-{tag}"
    (tmp_path / "fleet.csv").write_text(f"thing_name,attr:a,attr:b,attr:c\n{name},1,2,3\n")
    assert 2 == iotctl("onboard", "check", "fleet.csv").code
    assert 0 == iotctl("onboard", "apply", "fleet.csv", "--no-claim", "-y").code
    assert {"a": "1", "b": "2", "c": "3"} == iot.describe_thing(thingName=name)["attributes"]
    other = iot.create_keys_and_certificate(setAsActive=False)["certificateArn"]
    iot.attach_thing_principal(thingName=name, principal=other)
    ran = iotctl("onboard", "apply", "fleet.csv", "--no-claim", "-y", "-o", "json")
    assert (3, [("Verify", name)]) == (ran.code, [(error["code"], error["on"]) for error in ran.envelope["errors"]])


def test_a_group_carries_the_policy_only_where_nobody_elses_rights_change(
    iotctl: Callable[..., Ran], iot: Any, tag: str, tmp_path: Path
) -> None:
    """A new group does; one that was there does where it has the policy; all others leave it to the certificate."""
    new, theirs, having, mixed = (f"{kind}-{tag}" for kind in ("new", "theirs", "having", "mixed"))
    (tmp_path / f"p-{tag}.json").write_text(json.dumps({"Version": "2012-10-17", "Statement": []}))
    iot.create_policy(policyName=f"q-{tag}", policyDocument='{"Version": "2012-10-17", "Statement": []}')
    iot.create_policy(policyName=f"p-{tag}", policyDocument='{"Version": "2012-10-17", "Statement": []}')
    iot.create_thing_group(thingGroupName=theirs)
    arn = iot.create_thing_group(thingGroupName=having)["thingGroupArn"]
    iot.attach_policy(policyName=f"p-{tag}", target=arn)
    rows = [(new, ""), (theirs, ""), (having, ""), (mixed, ""), (mixed, f"q-{tag}")]
    (tmp_path / "fleet.csv").write_text(
        "thing_name,thing_groups,policy\n"
        + "".join(f"t{number}-{tag},{group},{policy}\n" for number, (group, policy) in enumerate(rows))
    )
    words = ("onboard", "apply", "fleet.csv", "--policy", f"p-{tag}.json", "--policy-on", "group", "--verify", "-y")
    for _ in range(2):
        assert 0 == iotctl(*words).code
    targets = {target.rpartition("/")[2] for target in iot.list_targets_for_policy(policyName=f"p-{tag}")["targets"]}
    certificates = {}
    for number in range(len(rows)):
        (principal,) = iot.list_thing_principals(thingName=f"t{number}-{tag}")["principals"]
        certificates[number] = principal.rpartition("/")[2]
    assert {new, having, certificates[1], certificates[3]} == targets
    assert 0 == iotctl("onboard", "undo", run_of(tmp_path / "fleet-fleet"), "-y").code
    assert [arn] == iot.list_targets_for_policy(policyName=f"p-{tag}")["targets"]
    assert [] == iot.list_thing_groups(namePrefixFilter=new)["thingGroups"]


def test_a_saved_plan_is_carried_out_and_refused_when_it_is_stale(
    iotctl: Callable[..., Ran], iot: Any, tag: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With all its options, from any directory, again as its own resume; other rows or another need are refused."""
    path = tmp_path / "fleet.csv"
    path.write_text(f"serial;thing_groups\na-{tag};g-{tag}\nb-{tag};\nc-{tag};\n")
    planned = iotctl(
        "onboard", "plan", "fleet.csv", "--map", "serial=thing_name", "--delimiter", ";", "--limit", "2", "-o", "json"
    )
    lines = [json.loads(line) for line in planned.stdout.splitlines()]
    assert [("row", "create"), ("row", "create"), ("result", None)] == [
        (line["type"], line.get("action")) for line in lines
    ]
    (tmp_path / "plan.json").write_text(planned.stdout)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    for _ in range(2):
        ran = iotctl("onboard", "apply", "--plan", "../plan.json", "-y", "-o", "json")
        assert (0, 2, lines[-1]["data"]["runId"]) == (
            ran.code,
            ran.envelope["data"]["done"],
            ran.envelope["data"]["runId"],
        )
    with pytest.raises(iot.exceptions.ResourceNotFoundException):
        iot.describe_thing(thingName=f"c-{tag}")
    path.write_text(f"serial;thing_groups\na-{tag};g-{tag}\nx-{tag};other-{tag}\n")
    ran = iotctl("onboard", "apply", "--plan", "../plan.json", "-y", "-o", "json")
    assert (6, "StalePlan") == (ran.code, ran.envelope["errors"][0]["code"])
    for why in ("the rows, or how keys are made, have changed", f"iot:CreateThingGroup other-{tag} is needed too"):
        assert why in ran.envelope["errors"][0]["message"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "which things?"),
        (("fleet.csv", "--plan", "plan.json"), "names its own file"),
        (("--plan", "plan.json"), "is not a plan that was saved"),
        (("fleet.csv", "--policy-on", "thing"), "--policy-on takes certificate or group"),
        (("fleet.csv", "--adopt", "--no-claim"), "give one of them"),
    ],
)
def test_words_that_make_no_sense(
    iotctl: Callable[..., Ran], tag: str, tmp_path: Path, words: tuple[str, ...], message: str
) -> None:
    """Exit 2 before anything is called."""
    (tmp_path / "fleet.csv").write_text("thing_name\na\n")
    (tmp_path / "plan.json").write_text('{"type": "result", "data": {"runId": "r"}}\n')
    ran = iotctl("onboard", "apply", *words, "-y")
    assert (2, True) == (ran.code, message in ran.stderr)


@pytest.mark.parametrize(
    ("file", "expected"), [("fleet.csv", "fleet-fleet"), ("a/b.csv.gz", "b-fleet"), ("x", "x-fleet")]
)
def test_where_the_bundles_go(file: str, expected: str) -> None:
    """Beside where one is, named after the file."""
    assert expected == str(Request(file).directory)
    with pytest.raises(Usage):
        _ = Request("-").directory
