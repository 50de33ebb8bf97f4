"""Detect in this process: profiles and their targets, reports, alarms, what the broker counted."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest

from iotctl.local.gateway.mqtt.session import Client, Principal
from iotctl.local.meter import Meter
from iotctl.local.services import LISTENERS, Message
from iotctl.local.services.defender.detect import periods
from iotctl.local.services.defender.detect.periods import Tally
from iotctl.semantics import cbor
from iotctl.semantics.topics import matches
from tests.semantics.test_behaviors import EXAMPLES, behavior, count
from tests.semantics.test_reports import LONG, SHORT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.local.defender.conftest import World

DAY = 86400.0
BATTERY = behavior("batteryPercentage", "greater-than", value={"number": 75})


def on(world: World, topic: str, payload: bytes = b"{}", client: str = "") -> list[tuple[str, bytes]]:
    """Let the services hear a message; what they publish for clients, and their own events to each other."""
    listeners = [one for topic_filter, one in LISTENERS if matches(topic_filter, topic)]
    with world.store.transaction():
        for listener in listeners:
            listener(world.store, Message(topic, payload, client))
    return settle(world)


def settle(world: World) -> list[tuple[str, bytes]]:
    """Deliver the platform's own events; what was published for clients."""
    said: list[tuple[str, bytes]] = []
    while events := world.store.drain():
        for event in events:
            if event.topic.startswith("$local/"):
                on(world, event.topic, event.payload)
            else:
                said.append((event.topic, event.payload))
    return said


def report(world: World, thing: str, content: Any, form: str = "json") -> tuple[str, dict[str, Any]]:
    """Send a report as a device: accepted or rejected, and the answer."""
    payload = content if isinstance(content, bytes) else json.dumps(content).encode()
    topic = f"$aws/things/{thing}/defender/metrics/{form}"
    ((answered, answer),) = on(world, topic, cbor.encode(content) if form == "cbor" else payload, thing)
    return answered.removeprefix(f"{topic}/"), cbor.decode(answer) if form == "cbor" else json.loads(answer)


def profile(world: World, *behaviors: dict[str, Any], name: str = "p", target: str = "all/things", **more: Any) -> None:
    """Create a profile, and attach it."""
    named = [{**one, "name": f"b{number}"} for number, one in enumerate(behaviors)]
    world.call("CreateSecurityProfile", securityProfileName=name, behaviors=named, **more)
    if target:
        arn = world.store.arn(target)
        world.call("AttachSecurityProfile", securityProfileName=name, securityProfileTargetArn=arn)
    settle(world)


def ports(*numbers: int) -> dict[str, Any]:
    """A report of listening ports."""
    return {"hed": {"rid": 1, "v": "1.0"}, "met": {"tp": {"pts": [{"pt": number} for number in numbers]}}}


def alarms(world: World, **more: Any) -> list[tuple[str, str]]:
    """The things and behaviors of the alarms that are on."""
    found = world.call("ListActiveViolations", listSuppressedAlerts=True, **more)["activeViolations"]
    return [(one["thingName"], one["behavior"]["name"]) for one in found]


def events(world: World, **more: Any) -> list[str]:
    """What happened to alarms, the oldest first."""
    span = {"startTime": 0, "endTime": world.time, "listSuppressedAlerts": True, "maxResults": 250}
    found = world.call("ListViolationEvents", **span, **more)["violationEvents"]
    return [one["violationEventType"] for one in reversed(found)]


@pytest.mark.parametrize("form", ["json", "cbor"])
@pytest.mark.parametrize("document", [LONG, SHORT])
def test_a_report_is_accepted(world: World, document: dict[str, Any], form: str) -> None:
    """With long and short names, in both formats, with its id; of it is kept what a profile keeps."""
    profile(world, additionalMetricsToRetain=["aws:all-bytes-in"])
    verb, answer = report(world, "t", document, form)
    assert ("accepted", {"thingName": "t", "status": "ACCEPTED", "reportId": 1530304554}) == (
        verb,
        {key: value for key, value in answer.items() if key != "timestamp"},
    )
    assert int(world.time * 1000) == answer["timestamp"]
    span = {"thingName": "t", "startTime": world.time - 1, "endTime": world.time + 1}
    kept = world.call("ListMetricValues", metricName="aws:all-bytes-in", **span)["metricDatumList"]
    assert [{"count": 29358693495}] == [one["value"] for one in kept]
    assert [] == world.call("ListMetricValues", metricName="aws:all-bytes-out", **span)["metricDatumList"]


@pytest.mark.parametrize(
    ("payload", "form"),
    [
        (b"", "json"),
        (b"{", "json"),
        (b"\xff", "json"),
        (b'{"header":{"report_id":1,"version":"1.0"}}', "json"),
        (b'{"a":' * 100 + b"1" + b"}" * 100, "json"),
        (b"\xff\xff", "cbor"),
        (b"{}", "protobuf"),
    ],
)
def test_a_report_is_rejected(world: World, payload: bytes, form: str) -> None:
    """With the documented code and words, in the format that was asked in."""
    topic = f"$aws/things/t/defender/metrics/{form}"
    ((answered, answer),) = on(world, topic, payload, "t")
    content = cbor.decode(answer) if form == "cbor" else json.loads(answer)
    assert (f"{topic}/rejected", "REJECTED", "InvalidPayload") == (
        answered,
        content["status"],
        content["statusDetails"]["ErrorCode"],
    )
    assert content["statusDetails"]["ErrorMessage"].startswith("Malformed metrics report")
    assert ("rejected", 1) == (report(world, "x" * 129, ports(1))[0], report(world, "x" * 129, ports(1))[1]["reportId"])


def test_profiles_are_kept(world: World) -> None:
    """Created, described, changed by version, listed by dimension and metric, deleted; again is no error."""
    create = "CreateSecurityProfile"
    world.call("CreateDimension", name="Auth", type="TOPIC_FILTER", stringValues=["d/+/auth"], clientRequestToken="t")
    world.call("CreateCustomMetric", metricName="batteryPercentage", metricType="number", clientRequestToken="t")
    retain = [{"metric": "aws:num-messages-sent", "metricDimension": {"dimensionName": "Auth", "operator": "NOT_IN"}}]
    profile(world, EXAMPLES[0], BATTERY, target="", additionalMetricsToRetainV2=retain)
    found = world.call("DescribeSecurityProfile", securityProfileName="p")
    assert (1, ["b0", "b1"], retain) == (
        found["version"],
        [one["name"] for one in found["behaviors"]],
        found["additionalMetricsToRetainV2"],
    )
    assert "ResourceAlreadyExistsException" == world.refused(create, securityProfileName="p")

    def listed(**more: str) -> list[str]:
        return [one["name"] for one in world.call("ListSecurityProfiles", **more)["securityProfileIdentifiers"]]

    assert [["p"], ["p"], ["p"], []] == [
        listed(),
        listed(dimensionName="Auth"),
        listed(metricName="batteryPercentage"),
        listed(metricName="other"),
    ]
    both = {"dimensionName": "Auth", "metricName": "m"}
    assert "InvalidRequestException" == world.refused("ListSecurityProfiles", **both)
    assert "InvalidRequestException" == world.refused("DeleteDimension", name="Auth")
    assert "InvalidRequestException" == world.refused("DeleteCustomMetric", metricName="batteryPercentage")
    change = {"securityProfileName": "p", "behaviors": [EXAMPLES[0]], "deleteAdditionalMetricsToRetain": True}
    assert "VersionConflictException" == world.refused("UpdateSecurityProfile", **change, expectedVersion=2)
    changed = world.call("UpdateSecurityProfile", **change, expectedVersion=1)
    assert (2, []) == (changed["version"], changed["additionalMetricsToRetainV2"])
    world.call("DeleteDimension", name="Auth")
    world.call("DeleteCustomMetric", metricName="batteryPercentage")
    assert "VersionConflictException" == world.refused(
        "DeleteSecurityProfile", securityProfileName="p", expectedVersion=1
    )
    for _ in range(2):
        world.call("DeleteSecurityProfile", securityProfileName="p")
    assert "ResourceNotFoundException" == world.refused("DescribeSecurityProfile", securityProfileName="p")


def test_what_is_not_taken(world: World) -> None:
    """What is wrong is listed; statistical, learned and exported behaviors are not built; nothing of it is kept."""
    wrong = [behavior("aws:num-disconnects", **count(1)), {"name": "x", "metric": "none"}]
    answer = world.call("ValidateSecurityProfileBehaviors", behaviors=wrong)
    assert (False, 2) == (answer["valid"], len(answer["validationErrors"]))
    good = world.call("ValidateSecurityProfileBehaviors", behaviors=[EXAMPLES[0]])
    assert (True, []) == (good["valid"], good["validationErrors"])
    create = "CreateSecurityProfile"
    assert "InvalidRequestException" == world.refused(create, securityProfileName="p", behaviors=wrong)
    for one in EXAMPLES[-3:]:
        assert "NotImplementedException" == world.refused(create, securityProfileName="p", behaviors=[one])
    export = {"mqttTopic": "metrics", "roleArn": "arn:aws:iam::123456789012:role/r"}
    assert "NotImplementedException" == world.refused(create, securityProfileName="p", metricsExportConfig=export)
    assert "InvalidRequestException" == world.refused(
        create, securityProfileName="p", additionalMetricsToRetain=["aws:nothing"]
    )
    assert [] == world.call("ListSecurityProfiles")["securityProfileIdentifiers"]


def test_whom_a_profile_is_about(world: World) -> None:
    """A group and those below it, registered things, all others, or everybody; five profiles of one target."""
    for name, parent in (("plant", None), ("hall", "plant")):
        world.call("CreateThingGroup", thingGroupName=name, **({"parentGroupName": parent} if parent else {}))
    for name in ("press", "robot"):
        world.call("CreateThing", thingName=name)
    world.call("AddThingToThingGroup", thingName="press", thingGroupName="hall")
    only_80 = behavior("aws:listening-tcp-ports", "in-port-set", value={"ports": [80]})
    for name in (
        "all/things",
        "all/registered-things",
        "all/unregistered-things",
        "thinggroup/plant",
        "thinggroup/hall",
    ):
        profile(world, only_80, name=name.replace("/", "-"), target=name)
    violating = {}
    for thing in ("press", "robot", "stranger"):
        assert "accepted" == report(world, thing, ports(23))[0]
        found = world.call("ListActiveViolations", thingName=thing, listSuppressedAlerts=True)["activeViolations"]
        violating[thing] = {one["securityProfileName"] for one in found}
    assert {
        "press": {"all-things", "all-registered-things", "thinggroup-plant", "thinggroup-hall"},
        "robot": {"all-things", "all-registered-things"},
        "stranger": {"all-things", "all-unregistered-things"},
    } == violating
    arn = world.store.arn("thinggroup/plant")
    below = world.call("ListSecurityProfilesForTarget", securityProfileTargetArn=arn, recursive=True)
    names = [one["securityProfileIdentifier"]["name"] for one in below["securityProfileTargetMappings"]]
    assert ["thinggroup-hall", "thinggroup-plant"] == sorted(names)
    targets = world.call("ListTargetsForSecurityProfile", securityProfileName="thinggroup-plant")
    assert [{"arn": arn}] == targets["securityProfileTargets"]
    attach = "AttachSecurityProfile"
    for bad in ("thinggroup/none", "thing/press", "all/of-them"):
        code = world.refused(attach, securityProfileName="all-things", securityProfileTargetArn=world.store.arn(bad))
        assert code in {"ResourceNotFoundException", "InvalidRequestException"}
    for number in range(4):
        world.call("CreateSecurityProfile", securityProfileName=f"p{number}")
        world.call(attach, securityProfileName=f"p{number}", securityProfileTargetArn=arn)
    world.call(attach, securityProfileName="p0", securityProfileTargetArn=arn)
    world.call("CreateSecurityProfile", securityProfileName="p5")
    assert "LimitExceededException" == world.refused(attach, securityProfileName="p5", securityProfileTargetArn=arn)


def test_so_many_datapoints_in_a_row(world: World) -> None:
    """Three bad ones raise the alarm, two good ones clear it; one of the other kind begins the count anew."""
    criteria = {"value": {"ports": [80]}, "comparisonOperator": "in-port-set"}
    counted = {**criteria, "consecutiveDatapointsToAlarm": 3, "consecutiveDatapointsToClear": 2}
    profile(world, {"metric": "aws:listening-tcp-ports", "criteria": counted})
    seen = []
    for numbers in ((23,), (23,), (80,), (23,), (23,), (23,), (80,), (23,), (80,), ()):
        report(world, "t", ports(*numbers))
        world.time += 300
        seen.append(len(alarms(world)))
    assert [0, 0, 0, 0, 0, 1, 1, 1, 1, 0] == seen
    assert ["in-alarm", "alarm-cleared"] == events(world)
    span = {"startTime": 0, "endTime": world.time}
    cleared, raised = world.call("ListViolationEvents", **span)["violationEvents"]
    assert ({"ports": []}, {"ports": [23]}) == (cleared["metricValue"], raised["metricValue"])
    assert [] == events(world, thingName="other")


def test_an_alarm_is_verified(world: World) -> None:
    """Its last value is that of its last bad datapoint; who looked at it says what it was."""
    loud = {**behavior("aws:listening-tcp-ports", "in-port-set", value={"ports": [80]}), "suppressAlerts": False}
    alerts = {"SNS": {"alertTargetArn": "arn:aws:sns:us-east-1:1:t", "roleArn": "arn:aws:iam::123456789012:role/r"}}
    profile(world, loud, alertTargets=alerts)
    report(world, "t", ports(23))
    world.time += 300
    report(world, "t", ports(23, 2323))
    (one,) = world.call("ListActiveViolations")["activeViolations"]
    assert (300, {"ports": [23, 2323]}, "UNKNOWN") == (
        round(one["lastViolationTime"] - one["violationStartTime"]),
        one["lastViolationValue"],
        one["verificationState"],
    )
    put = "PutVerificationStateOnViolation"
    world.call(put, violationId=one["violationId"], verificationState="TRUE_POSITIVE", verificationStateDescription="d")
    (again,) = world.call("ListActiveViolations", verificationState="TRUE_POSITIVE")["activeViolations"]
    assert ("TRUE_POSITIVE", "d") == (again["verificationState"], again["verificationStateDescription"])
    assert [] == world.call("ListActiveViolations", verificationState="UNKNOWN")["activeViolations"]
    assert [] == world.call("ListActiveViolations", behaviorCriteriaType="STATISTICAL")["activeViolations"]
    assert "InvalidRequestException" == world.refused(put, violationId="none", verificationState="UNKNOWN")
    assert "ResourceNotFoundException" == world.refused("ListActiveViolations", securityProfileName="none")


def test_suppressed_alerts_are_listed_on_request(world: World) -> None:
    """The alarm is raised all the same."""
    profile(world, behavior("aws:listening-tcp-ports", "in-port-set", value={"ports": [80]}))
    report(world, "t", ports(23))
    assert [] == world.call("ListActiveViolations")["activeViolations"]
    assert [("t", "b0")] == alarms(world)


def test_what_ends_an_alarm_without_clearing_it(world: World) -> None:
    """Two days of silence, a behavior that is gone, a profile that is detached or deleted."""
    only_80 = behavior("aws:listening-tcp-ports", "in-port-set", value={"ports": [80]})
    for name in ("silent", "changed", "detached", "deleted"):
        profile(world, only_80, name=name)
    report(world, "t", ports(23))
    assert 4 == len(alarms(world))
    world.call("UpdateSecurityProfile", securityProfileName="changed", deleteBehaviors=True)
    arn = world.store.arn("all/things")
    world.call("DetachSecurityProfile", securityProfileName="detached", securityProfileTargetArn=arn)
    world.call("DeleteSecurityProfile", securityProfileName="deleted")
    settle(world)
    assert (1, ["in-alarm"] * 4 + ["alarm-invalidated"] * 3) == (len(alarms(world)), events(world))
    world.later(days=1.9)
    assert 1 == len(alarms(world))
    world.later(days=0.2)
    assert ([], "alarm-invalidated") == (alarms(world), events(world, securityProfileName="silent")[-1])


def test_bytes_are_added_up_over_the_duration(world: World) -> None:
    """Of a quarter of an hour those of the reports in it count together; ports are as they are."""
    profile(
        world,
        behavior("aws:all-bytes-out", **count(250), durationSeconds=900),
        behavior("aws:num-listening-tcp-ports", **count(5), durationSeconds=900),
    )
    seen = []
    for _ in range(4):
        metrics = {"ns": {"bo": 100}, "tp": {"t": 4}}
        report(world, "t", {"hed": {"rid": 1, "v": "1.0"}, "met": metrics})
        world.time += 300
        seen.append(alarms(world))
    assert [[], [], [("t", "b0")], [("t", "b0")]] == seen


def test_custom_metrics(world: World) -> None:
    """Of the declared type they count, else they are left out; the name may be shown otherwise."""
    world.call("CreateCustomMetric", metricName="batteryPercentage", metricType="number", clientRequestToken="t")
    create = {"metricName": "batteryPercentage", "metricType": "number", "clientRequestToken": "u"}
    assert "ResourceAlreadyExistsException" == world.refused("CreateCustomMetric", **create)
    assert "InvalidRequestException" == world.refused("CreateCustomMetric", **{**create, "metricName": "aws:mine"})
    profile(world, BATTERY)

    def battery(**value: Any) -> list[tuple[str, str]]:
        content = {"hed": {"rid": 1, "v": "1.0"}, "cmet": {"batteryPercentage": [value], "other": [{"number": 1}]}}
        assert "accepted" == report(world, "t", content)[0]
        world.time += 300
        return alarms(world)

    assert [[], [("t", "b0")], [("t", "b0")], []] == [
        battery(number=80),
        battery(number=20),
        battery(number_list=[80]),
        battery(number=76),
    ]
    changed = world.call("UpdateCustomMetric", metricName="batteryPercentage", displayName="remaining")
    assert ("remaining", "number") == (changed["displayName"], changed["metricType"])
    assert ["batteryPercentage"] == world.call("ListCustomMetrics")["metricNames"]


def test_dimensions(world: World) -> None:
    """Created once, changed, listed; only topic filters."""
    made = {"name": "Auth", "type": "TOPIC_FILTER", "stringValues": ["d/+/auth"], "clientRequestToken": "t"}
    for _ in range(2):
        world.call("CreateDimension", **made)
    other = {**made, "stringValues": ["x"]}
    assert "ResourceAlreadyExistsException" == world.refused("CreateDimension", **other)
    assert "InvalidRequestException" == world.refused("CreateDimension", **{**made, "stringValues": ["a/#/b"]})
    found = world.call("UpdateDimension", name="Auth", stringValues=["d/${iot:ClientId}/auth"])
    assert (["d/${iot:ClientId}/auth"], ["Auth"]) == (
        found["stringValues"],
        world.call("ListDimensions")["dimensionNames"],
    )
    assert "ResourceNotFoundException" == world.refused("DescribeDimension", name="none")


def tallied(**counts: Any) -> Tally:
    """What a device did in a period."""
    tally = Tally()
    for name, number in counts.items():
        setattr(tally.all, name, number)
    return tally


def test_what_the_broker_counted(world: World) -> None:
    """Every five minutes, or when a longer duration is over; the largest message, or the smallest, is what matters."""
    profile(
        world,
        behavior("aws:num-messages-sent", **count(10), durationSeconds=300),
        behavior("aws:num-disconnects", **count(3), durationSeconds=600),
        behavior("aws:message-byte-size", "less-than", **count(1000)),
        behavior("aws:message-byte-size", "greater-than", **count(10)),
        behavior("aws:source-ip-address", "in-cidr-set", value={"cidrs": ["127.0.0.0/8"]}),
        behavior("aws:num-authorization-failures", "less-than", **count(5), durationSeconds=300),
    )
    ends = (world.time // 600 + 1) * 600 - 300

    def period(**counts: Any) -> set[str]:
        nonlocal ends
        world.time = ends
        with world.store.transaction():
            periods.record(world.store, "t", tallied(**counts), ends)
        ends += 300
        return {name for _, name in alarms(world)}

    # The first ends in the middle of ten minutes.
    assert set() == period(sent=10, least=20, largest=900, addresses={"127.0.0.1"}, ends=9)
    assert {"b0", "b1"} == period(sent=11, ends=1)
    assert {"b1", "b2", "b4", "b5"} == period(sent=1, least=20, largest=1000, addresses={"10.1.1.1"}, refused=5)
    assert {"b3"} == period(sent=1, least=10, largest=20, addresses={"127.0.0.1"})
    span = {"thingName": "t", "startTime": 0, "endTime": world.time}
    sizes = world.call("ListMetricValues", metricName="aws:message-byte-size", **span)["metricDatumList"]
    assert [900, 1000, 20] == [one["value"]["count"] for one in sizes]


class Connected:
    """A broker, as far as a meter asks it."""

    def __init__(self, *clients: Client) -> None:
        self.router = self
        self.meter: Meter | None = None
        self.clients = list(clients)

    def connected(self) -> Iterator[Client]:
        return iter(self.clients)


def test_the_meter(world: World) -> None:
    """It counts while somebody wants it, by dimension too, and hands over at whole five minutes."""
    world.call(
        "CreateDimension",
        name="own",
        type="TOPIC_FILTER",
        stringValues=["d/${iot:ClientId}/#"],
        clientRequestToken="t",
    )
    press, idle = (Client(name, Principal(name), "127.0.0.1") for name in ("press", "idle"))
    broker = Connected(press, idle)
    measured: dict[str, list[float]] = {}

    async def run() -> None:
        meter = Meter(world.store, broker)  # type: ignore[arg-type]  as far as it asks
        meter.look()
        assert broker.router.meter is None
        scoped = [
            {"metric": "aws:num-messages-sent", "metricDimension": {"dimensionName": "own", "operator": operator}}
            for operator in ("IN", "NOT_IN")
        ]
        names = ["sent", "received", "authorization-failures", "connection-attempts", "disconnects"]
        plain = [{"metric": f"aws:num-{'messages-' if name in names[:2] else ''}{name}"} for name in names]
        profile(world, additionalMetricsToRetainV2=[*plain, *scoped])
        meter.look()
        assert broker.router.meter is meter
        meter.attempted(press)
        meter.sent(press, "d/press/a", 10)
        meter.sent(press, "d/idle/a", 20)
        meter.received(press, "x")
        meter.refused(press, "secret")
        meter.refused(press, "")
        meter.ended(press)
        world.time = (world.time // 300 + 1) * 300 - 1
        meter._wake()
        assert [] == values("press", plain[0])
        world.time += 1
        meter._wake()
        for one in (*plain, *scoped):
            measured.setdefault("press", []).append(values("press", one)[0])
            measured.setdefault("idle", []).append(values("idle", one)[0])
        world.call("DeleteSecurityProfile", securityProfileName="p")
        meter.look()
        assert broker.router.meter is None

    def values(thing: str, one: dict[str, Any]) -> list[float]:
        dimension = one.get("metricDimension", {})
        answer = world.call(
            "ListMetricValues",
            thingName=thing,
            metricName=one["metric"],
            startTime=0,
            endTime=world.time,
            **({"dimensionName": "own", "dimensionValueOperator": dimension["operator"]} if dimension else {}),
        )
        return [datum["value"]["count"] for datum in answer["metricDatumList"]]

    asyncio.run(run())
    assert {"press": [2, 1, 2, 1, 1, 1, 1], "idle": [0] * 7} == measured


def test_things_with_alarms_go_into_a_group(world: World) -> None:
    """By alarm or by profile, suppressed ones only if asked for; an action that fails says why, the rest is skipped."""
    role = "arn:aws:iam::123456789012:role/defender"
    world.call("CreateThingGroup", thingGroupName="quarantine")
    for name, group in (("away", "quarantine"), ("lost", "nowhere")):
        params = {"addThingsToThingGroupParams": {"thingGroupNames": [group]}}
        world.call("CreateMitigationAction", actionName=name, roleArn=role, actionParams=params)
    off = {"updateDeviceCertificateParams": {"action": "DEACTIVATE"}}
    world.call("CreateMitigationAction", actionName="off", roleArn=role, actionParams=off)
    for name in ("press", "robot"):
        world.call("CreateThing", thingName=name)
    only_80 = behavior("aws:listening-tcp-ports", "in-port-set", value={"ports": [80]})
    profile(world, {**only_80, "suppressAlerts": False}, name="loud")
    profile(world, only_80, name="quiet", target="all/unregistered-things")
    for name in ("press", "robot", "stranger"):
        report(world, name, ports(23))
    loud = {"securityProfileName": "loud"}

    def start(task_id: str, target: dict[str, Any], *names: str, **more: Any) -> dict[str, Any]:
        asked = {"taskId": task_id, "clientRequestToken": task_id, "target": target, "actions": list(names)}
        world.call("StartDetectMitigationActionsTask", **asked, **more)
        world.later()
        summary: dict[str, Any] = world.call("DescribeDetectMitigationActionsTask", taskId=task_id)["taskSummary"]
        return summary

    def done(**asked: str) -> list[tuple[str, str, str, str | None]]:
        found = world.call("ListDetectMitigationActionsExecutions", **asked)["actionsExecutions"]
        return sorted((one["thingName"], one["actionName"], one["status"], one["errorCode"]) for one in found)

    # A thing that is not registered cannot be in a group.
    summary = start("t1", loud, "away")
    assert ("FAILED", {"actionsExecuted": 2, "actionsSkipped": 0, "actionsFailed": 1}) == (
        summary["taskStatus"],
        summary["taskStatistics"],
    )
    assert ["press", "robot"] == world.call("ListThingsInThingGroup", thingGroupName="quarantine")["things"]
    assert [("stranger", "away", "FAILED", "ResourceNotFoundException")] == done(taskId="t1", thingName="stranger")
    (press,) = world.call("ListActiveViolations", thingName="press")["activeViolations"]
    start("t2", {"violationIds": [press["violationId"]]}, "lost", "away")
    assert [("press", "away", "SKIPPED", None), ("press", "lost", "FAILED", "ResourceNotFoundException")] == done(
        taskId="t2"
    )
    assert 0 == start("t3", {"securityProfileName": "quiet"}, "lost")["taskStatistics"]["actionsFailed"]
    suppressed = start("t4", {"securityProfileName": "quiet"}, "lost", includeSuppressedAlerts=True)
    assert 1 == suppressed["taskStatistics"]["actionsFailed"]
    assert "SUCCESSFUL" == start("t5", {**loud, "behaviorName": "other"}, "away")["taskStatus"]
    span = {"startTime": world.time - DAY, "endTime": world.time}
    assert 5 == len(world.call("ListDetectMitigationActionsTasks", **span)["tasks"])

    def refused(target: dict[str, Any], names: list[str], task_id: str = "x") -> str:
        asked = {"taskId": task_id, "clientRequestToken": task_id, "target": target, "actions": names}
        return world.refused("StartDetectMitigationActionsTask", **asked)

    assert ["InvalidRequestException"] * 3 == [refused(loud, ["off"]), refused(loud, ["none"]), refused({}, ["away"])]
    assert "ResourceNotFoundException" == refused({"securityProfileName": "none"}, ["away"])
    assert "TaskAlreadyExistsException" == refused(loud, ["away"], "t1")
    assert "InvalidRequestException" == world.refused("CancelDetectMitigationActionsTask", taskId="t1")
    world.call("StartDetectMitigationActionsTask", taskId="t6", clientRequestToken="t6", target=loud, actions=["away"])
    world.call("CancelDetectMitigationActionsTask", taskId="t6")
    world.later()
    assert ("CANCELED", 3) == (
        (summary := world.call("DescribeDetectMitigationActionsTask", taskId="t6")["taskSummary"])["taskStatus"],
        summary["taskStatistics"]["actionsSkipped"],
    )
    assert "ResourceNotFoundException" == world.refused("DescribeDetectMitigationActionsTask", taskId="none")
