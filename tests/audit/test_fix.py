"""`audit fix` and `audit undo`: what mends a finding, that it does, and that it is taken back."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from iotctl import pki
from iotctl.audit import baseline, mend, plan
from iotctl.errors import Usage
from iotctl.semantics.checks import Finding, judge, load
from iotctl.semantics.checks.fleet import CaCertificate, Certificate, Fleet, Policy, Thing
from iotctl.target import Target
from tests.botocores import client

if TYPE_CHECKING:
    from iotctl.target import Platform
    from tests.conftest import Ran

    Iotctl = Callable[..., Ran]

NOW = datetime(2026, 6, 1, tzinfo=UTC)
TARGET = Target("aws", "123456789012", "eu-north-1")
NARROW = (
    '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"iot:Connect","Resource":'
    '"arn:aws:iot:us-east-1:123456789012:client/${iot:Connection.Thing.ThingName}",'
    '"Condition":{"Bool":{"iot:Connection.Thing.IsAttached":"true"}}}]}'
)
WIDE = '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"iot:*","Resource":"*"}]}'
BASELINE = f"""version = 1
[policy.declared]
document = '''{NARROW}'''
[fleet]
thing_type = "press"
groups = ["all", "!spare"]
policies = ["declared"]
attributes.site = "oslo"
attributes.line = {{ pattern = "[a-z]+" }}
shadow."desired.a.rate" = 5
named_shadow.config."desired.level" = {{ min = 3 }}
"""


def findings(directory: Path, **fleet: Any) -> tuple[dict[str, Finding], mend.Known]:
    """What all checks find of a fleet, by reason code, and what is known of it."""
    (directory / "b.toml").write_text(BASELINE)
    rules = baseline.read(directory / "b.toml", TARGET).rules()
    seen = Fleet(NOW, "123456789012", **fleet)
    found, _ = judge(seen, rules, load().values())
    known = mend.Known(
        TARGET,
        seen,
        rules,
        {thing.name: thing for thing in seen.things},
        {one.certificate_id: one for one in seen.certificates},
        {one.certificate_id: one for one in seen.ca_certificates},
        {"wide": [Policy("wide", "3", WIDE), Policy("wide", "2", NARROW)], "declared": [Policy("declared", "1", WIDE)]},
    )
    return {f"{one.flaw.reason} {one.flaw.key}".strip(): one for one in found}, known


THING = Thing(
    "p1",
    "pump",
    {"site": "rome", "line": "7"},
    ("spare",),
    certificates=("c1",),
    shadows={"": {"state": {"desired": {"a": {"rate": 6}}}}, "config": {"state": {"desired": {"level": 1}}}},
)
FLEET: dict[str, Any] = {
    "things": [THING],
    "certificates": [Certificate("c1", things=("p1",)), Certificate("c2")],
    "ca_certificates": [CaCertificate("ca", not_after=NOW + timedelta(days=3))],
    "policies": [Policy("wide", "3", WIDE), Policy("declared", "1", WIDE)],
}


def test_what_mends_each_kind_of_finding(tmp_path: Path) -> None:
    """The operation with its parameters, and the one that takes it back with what was there before."""
    found, known = findings(tmp_path, **FLEET)
    shadow = {"thingName": "p1"}
    wide = next(key for key in found if key.startswith("ALLOWS_BROAD") and "wide" in found[key].resource)
    expected: dict[str, tuple[tuple[mend.Call, ...], tuple[mend.Call, ...]]] = {
        "THING_TYPE_DIFFERS type": (
            (("iot:UpdateThing", {"thingName": "p1", "thingTypeName": "press"}),),
            (("iot:UpdateThing", {"thingName": "p1", "thingTypeName": "pump"}),),
        ),
        "NOT_IN_GROUP group.all": (
            (("iot:AddThingToThingGroup", {"thingGroupName": "all", "thingName": "p1"}),),
            (("iot:RemoveThingFromThingGroup", {"thingGroupName": "all", "thingName": "p1"}),),
        ),
        "IN_WRONG_GROUP group.spare": (
            (("iot:RemoveThingFromThingGroup", {"thingGroupName": "spare", "thingName": "p1"}),),
            (("iot:AddThingToThingGroup", {"thingGroupName": "spare", "thingName": "p1"}),),
        ),
        "SHADOW_VALUE_DIFFERS shadow.desired.a.rate": (
            (("iot-data:UpdateThingShadow", {**shadow, "payload": '{"state":{"desired":{"a":{"rate":5}}}}'}),),
            (("iot-data:UpdateThingShadow", {**shadow, "payload": '{"state":{"desired":{"a":{"rate":6}}}}'}),),
        ),
        "POLICY_DIFFERS": (
            (("iot:CreatePolicyVersion", {"policyName": "declared", "setAsDefault": True}),),
            (("iot:SetDefaultPolicyVersion", {"policyName": "declared", "policyVersionId": "1"}),),
        ),
        wide: (
            (("iot:SetDefaultPolicyVersion", {"policyName": "wide", "policyVersionId": "2"}),),
            (("iot:SetDefaultPolicyVersion", {"policyName": "wide", "policyVersionId": "3"}),),
        ),
        "ACTIVE_CERTIFICATE_WITHOUT_THING": (
            (("iot:UpdateCertificate", {"certificateId": "c2", "newStatus": "INACTIVE"}),),
            (("iot:UpdateCertificate", {"certificateId": "c2", "newStatus": "ACTIVE"}),),
        ),
        "CERTIFICATE_APPROACHING_EXPIRATION": (
            (("iot:UpdateCACertificate", {"certificateId": "ca", "newStatus": "INACTIVE"}),),
            (("iot:UpdateCACertificate", {"certificateId": "ca", "newStatus": "ACTIVE"}),),
        ),
    }
    for reason, (calls, undo) in expected.items():
        made = mend.mended(found[reason], known)
        shown = tuple(
            (op, {key: value for key, value in given.items() if key != "policyDocument"}) for op, given in made.calls
        )
        assert (reason, calls, undo) == (reason, shown, made.undo)


def test_a_thing_moves_down_its_hierarchy(tmp_path: Path) -> None:
    """AWS has it in one group of a hierarchy: it leaves the group above first; from another branch people move it."""
    parents = {"all": "site", "spare": "elsewhere", "oslo": "site"}

    def mended(group: str) -> mend.Mend:
        things = [replace(THING, groups=(group,))]
        found, known = findings(tmp_path, things=things, certificates=[], parents=parents)
        return mend.mended(found["NOT_IN_GROUP group.all"], known)

    def call(verb: str, group: str) -> mend.Call:
        return f"iot:{verb}ThingGroup", {"thingGroupName": group, "thingName": "p1"}

    made = mended("site")
    assert "move p1 from site down to all" == made.does
    assert (call("RemoveThingFrom", "site"), call("AddThingTo", "all")) == made.calls
    assert (call("RemoveThingFrom", "all"), call("AddThingTo", "site")) == made.undo
    operations = [step.op for step in plan.fixing([made], TARGET).each]
    assert operations.index("iot:RemoveThingFromThingGroup") < operations.index("iot:AddThingToThingGroup")
    with pytest.raises(Usage, match="p1 is in oslo, of the same hierarchy"):
        mended("oslo")


def test_one_job_for_several_findings_is_canceled_once(tmp_path: Path) -> None:
    """Each of them can be taken back, and the job is one."""
    found, _ = findings(tmp_path, **FLEET)
    two = [mend.Mend(found[key], "a job", ()) for key in ("THING_TYPE_DIFFERS type", "NOT_IN_GROUP group.all")]
    rows = list(plan.fixing(two, TARGET, job="{}").rows)
    assert [1, 1] == [len(row["undo"]) for row in rows]
    assert {"iot:CancelJob": 1} == {
        op: number for op, number in plan.undoing("r", rows, TARGET).calls.items() if number
    }


@pytest.mark.parametrize(
    "reason",
    ["ATTRIBUTE_DIFFERS attribute.line", "SHADOW_VALUE_DIFFERS shadow.config.desired.level"],
)
def test_a_choice_is_left_to_people(tmp_path: Path, reason: str) -> None:
    """A pattern or a range names no value: refused, with how to do it by hand and what may be chosen."""
    found, known = findings(tmp_path, **FLEET)
    with pytest.raises(Usage) as caught:
        mend.mended(found[reason], known)
    assert "by hand: " in (caught.value.hint or "")
    assert found[reason].finding_id in caught.value.message


def test_every_operation_of_a_mend_is_a_step(tmp_path: Path) -> None:
    """And each has only parameters that the step hands on: else something would be left out in silence."""
    found, known = findings(tmp_path, **FLEET)
    mends = [mend.mended(one, known) for reason, one in found.items() if _has_a_mend(one, known)]
    assert len(mends) >= 9
    for one in mends:
        for op, params in (*one.calls, *one.undo):
            assert params.keys() <= set(plan._PARAMETERS[op]), op


def _has_a_mend(one: Finding, known: mend.Known) -> bool:
    try:
        mend.mended(one, known)
    except Usage:
        return False
    return True


@pytest.fixture
def group(platform: Platform, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A group with one thing that is off its baseline in five ways, and a journal of this test's own."""
    iot, data, name = client("iot"), client("iot-data"), f"f-{uuid.uuid4().hex[:8]}"
    for each in (name, f"{name}-all"):
        iot.create_thing_group(thingGroupName=each)
    iot.create_thing_type(thingTypeName=f"{name}-press")
    iot.create_policy(policyName=name, policyDocument=NARROW)
    pem = pki.Authority.create("factory").issue("device").certificate_pem
    arn = iot.register_certificate_without_ca(certificatePem=pem, status="ACTIVE")["certificateArn"]
    iot.create_thing(thingName=name, attributePayload={"attributes": {"site": "rome"}})
    iot.add_thing_to_thing_group(thingGroupName=name, thingName=name)
    iot.attach_thing_principal(thingName=name, principal=arn)
    data.update_thing_shadow(thingName=name, payload=b'{"state":{"desired":{"rate":6}}}')
    (tmp_path / "b.toml").write_text(
        f'version = 1\n[fleet]\nthing_type = "{name}-press"\ngroups = ["{name}-all"]\npolicies = ["{name}"]\n'
        'attributes.site = "oslo"\nshadow."desired.rate" = 5\n'
    )
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    (home / "local").symlink_to(Path(platform.ca_file).parents[1])
    monkeypatch.setenv("IOTCTL_HOME", str(home))
    monkeypatch.setenv("IOTCTL_TARGET", "")
    return name


def state(name: str) -> tuple[Any, ...]:
    """What a thing is: type, site, groups, policies of its certificate, desired rate."""
    iot, data = client("iot"), client("iot-data")
    thing = iot.describe_thing(thingName=name)
    groups = iot.list_thing_groups_for_thing(thingName=name)["thingGroups"]
    (principal,) = iot.list_thing_principals(thingName=name)["principals"]
    policies = iot.list_attached_policies(target=principal)["policies"]
    shadow = json.loads(data.get_thing_shadow(thingName=name)["payload"].read())["state"]["desired"]
    return (
        thing.get("thingTypeName"),
        thing["attributes"].get("site"),
        sorted(one["groupName"] for one in groups),
        [one["policyName"] for one in policies],
        shadow.get("rate"),
    )


def test_findings_are_mended_and_taken_back(iotctl: Iotctl, group: str, tmp_path: Path) -> None:
    """Dry first; then done, so that nothing is found; again they are healed; undone, the thing is as it was."""
    words = ("--baseline", str(tmp_path / "b.toml"))
    drift = [word for name in load() if "_OFF_BASELINE_" in name for word in ("--check", name)]
    found = iotctl("audit", "run", "-g", group, *words, *drift, "-q").stdout.split()
    before = state(group)
    dry = iotctl("audit", "fix", *found, *words, "--dry-run", "-o", "json")
    assert (5, 0, 5, before) == (len(found), dry.code, dry.envelope["data"]["things"], state(group))

    assert 2 == iotctl("audit", "fix", *found, *words).code
    done = iotctl("audit", "fix", *found, *words, "--yes", "-o", "json")
    assert 0 == done.code, done.stderr
    assert (f"{group}-press", "oslo", sorted([group, f"{group}-all"]), [group], 5) == state(group)
    assert 0 == iotctl("audit", "run", "-g", group, *words, *drift).code
    again = iotctl("audit", "fix", *found, *words, "--yes")
    assert (0, True) == (again.code, "not found any more" in again.stderr)

    run = done.envelope["data"]["runId"]
    undone = iotctl("audit", "undo", run, "--yes")
    assert (0, before) == (undone.code, state(group)), undone.stderr
    assert sorted(found) == sorted(iotctl("audit", "run", "-g", group, *words, *drift, "-q").stdout.split())


def test_choices(iotctl: Iotctl, group: str, tmp_path: Path) -> None:
    """A quarantine, which is made; a job for the things; the certificates off; each may be taken back."""
    iot, words = client("iot"), ("--baseline", str(tmp_path / "b.toml"))
    check = ("--check", "ATTRIBUTE_OFF_BASELINE_CHECK")
    (found,) = iotctl("audit", "run", "-g", group, *words, *check, "-q").stdout.split()
    (tmp_path / "job.json").write_text('{"operation": "reset"}')
    (principal,) = iot.list_thing_principals(thingName=group)["principals"]
    certificate = principal.rpartition("/")[2]
    runs = {}
    for choice in (("--quarantine", f"{group}-held"), ("--job", str(tmp_path / "job.json")), ("--deactivate",)):
        ran = iotctl("audit", "fix", found, *words, *choice, "-g", group, "--yes", "-o", "json")
        assert 0 == ran.code, ran.stderr
        runs[choice[0]] = ran.envelope["data"]["runId"]

    def seen() -> tuple[bool, str, str]:
        held = iot.list_things_in_thing_group(thingGroupName=f"{group}-held")["things"]
        job = iot.describe_job(jobId=f"iotctl-fix-{runs['--job']}-0")["job"]["status"]
        status = iot.describe_certificate(certificateId=certificate)["certificateDescription"]["status"]
        return group in held, job, status

    assert (True, "IN_PROGRESS", "INACTIVE") == seen()
    for run in runs.values():
        assert 0 == iotctl("audit", "undo", run, "--yes").code
    assert (False, "CANCELED", "ACTIVE") == seen()
    assert 2 == iotctl("audit", "fix", found, *words, "--deactivate", "--quarantine", "x").code


def test_what_is_not_there(iotctl: Iotctl, group: str, tmp_path: Path) -> None:
    """An id that no audit found, a run that never was; a finding that needs its baseline to be looked at again."""
    words = ("-g", group, "--baseline", str(tmp_path / "b.toml"), "--check", "ATTRIBUTE_OFF_BASELINE_CHECK")
    (found,) = iotctl("audit", "run", *words, "-q").stdout.split()
    assert 8 == iotctl("audit", "fix", "000000000000", "-g", group, "--yes").code
    assert 8 == iotctl("audit", "undo", "000000000000", "--yes").code
    without = iotctl("audit", "fix", found, "--yes")
    assert (2, True) == (without.code, "no baseline was given (--baseline)" in without.stderr)
    assert f"by hand: aws iot update-thing --thing-name {group}" in without.stderr
