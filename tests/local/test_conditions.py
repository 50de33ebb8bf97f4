"""The conditions of a platform: what is asked for is read, said again, and holds."""

from __future__ import annotations

import http.client
import uuid
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from iotctl import clock
from iotctl.context import Context
from iotctl.errors import Usage
from iotctl.local import conditions, process
from iotctl.local.conditions import KINDS, Fault
from iotctl.local.state import Ports, State
from tests.local.clients import until
from tests.local.conftest import client, send

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from iotctl.target import Platform
    from tests.conftest import Ran

SPEED = 600
WORDS = {
    "throttle": ("iot:ListThingTypes=2",),
    "fault": (
        "iot:ListThings:fail",
        "iot:ListPolicies:unavailable:1",
        "iot:ListCertificates:reset",
        "iot:ListThingGroups:cut",
        "iot:ListBillingGroups:garbage",
        "iot:ListJobs:denied",
        "iot:CreateThingGroup:reset-after",
        "iot:CreateBillingGroup:cut-after",
        "iot:CreateThingType:fail-after",
        "s3:ListBuckets:throttle",
        "s3:CreateBucket:reset-after",
    ),
    "delay": (f"detach={2 * SPEED}", "delete-policy=86400"),
}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> State:
    """The state directory of the platform of this module."""
    return State(tmp_path_factory.mktemp("conditions") / "local")


@pytest.fixture(scope="module")
def hard(home: State) -> Iterator[Platform]:
    """A platform with a fault for every occasion, whose clock goes fast."""
    yield process.background(home, Ports(0, 0, 0), None, conditions.read(**WORDS, clock_speed=SPEED))
    process.stop(home)


def test_words_say_what_was_read() -> None:
    """The options that a platform is started with again in the background mean the same."""
    found = conditions.read(("aws", "iot:CreateThing=5"), ("iot:*:reset-after:0.05",), ("aws", "index=3"), 60)
    words = iter(found.words)
    again: dict[str, list[str]] = {}
    for option, value in zip(words, words, strict=True):
        again.setdefault(option.removeprefix("--").replace("-", "_"), []).append(value)
    assert found == conditions.read(again["throttle"], again["fault"], again["delay"], float(again["clock_speed"][0]))
    assert (Fault("iot:*", "reset-after", 0.05),) == found.faults
    assert [5, 10, None] == [found.rate(f"iot:{name}") for name in ("CreateThing", "CreateJob", "ListFleetMetrics")]
    assert [3, 300, 0] == [found.delay(kind) for kind in ("index", "delete-policy", "nothing")]


def test_presigned_urls_are_https_where_that_is_asked_for() -> None:
    """It is a word of its own, and off unless typed."""
    assert (False, ()) == (conditions.read().https_artifacts, conditions.read().words)
    asked = conditions.read(https_artifacts=True)
    assert (True, ("--https-artifacts",)) == (asked.https_artifacts, asked.words)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ({"throttle": ["iot:CreateThingy=5"]}, "no operation"),
        ({"throttle": ["ioot:CreateThing=5"]}, "no operation"),
        ({"throttle": ["iot:CreateThing"]}, "NAME=NUMBER"),
        ({"throttle": ["iot:CreateThing=0"]}, "above 0"),
        ({"throttle": ["iot:CreateThing=nan"]}, "above 0"),
        ({"fault": ["iot:CreateThing"]}, "OPERATION:KIND"),
        ({"fault": ["iot:CreateThing:explode"]}, "no kind 'explode'"),
        ({"fault": ["iot:CreateThing:reset:2"]}, "up to 1"),
        ({"fault": ["iot:Nothing:reset"]}, "no operation"),
        ({"delay": ["sky=1"]}, "no kind of change"),
        ({"clock_speed": 0}, "--clock-speed"),
    ],
)
def test_what_is_wrong_is_named(words: dict[str, Any], said: str) -> None:
    """A bad option is refused before anything is started."""
    with pytest.raises(Usage, match=said):
        conditions.read(**words)


def test_help_names_every_kind(iotctl: Callable[..., Ran]) -> None:
    """No kind of fault is a secret."""
    said = iotctl("local", "up", "--help").stdout.replace("-after", "")
    assert [] == [kind for kind in KINDS if kind.removesuffix("-after") not in said]


def test_a_rate_is_enforced(hard: Platform) -> None:
    """What exceeds it gets ThrottlingException, 429; what comes later is served again."""
    answers = [send(hard, "GET", "/thing-types") for _ in range(60)]
    assert 200 == answers[0].status
    assert {(200, None), (429, "ThrottlingException")} == {(one.status, one.error or None) for one in answers}
    until(lambda: send(hard, "GET", "/thing-types").status == 200)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/things", (500, "InternalFailureException")),
        ("/policies", (503, "ServiceUnavailableException")),
        ("/jobs", (403, "AccessDeniedException")),
    ],
)
def test_refusals(hard: Platform, path: str, expected: tuple[int, str]) -> None:
    """A refusal has AWS's status and code."""
    answer = send(hard, "GET", path)
    assert expected == (answer.status, answer.error)


@pytest.mark.parametrize(
    ("path", "error"),
    [
        ("/certificates", ConnectionError),
        ("/thing-groups", http.client.IncompleteRead),
    ],
)
def test_broken_connections(hard: Platform, path: str, error: type[Exception]) -> None:
    """A reset is one, and half an answer is half an answer."""
    with pytest.raises(error):
        send(hard, "GET", path)


def test_garbage(hard: Platform) -> None:
    """A portal's page, in the place of the answer."""
    answer = send(hard, "GET", "/billing-groups")
    assert (200, True) == (answer.status, answer.body.startswith(b"<html>"))


def test_what_is_lost_afterwards_was_done(hard: Platform) -> None:
    """With `-after` the operation is carried out, and only the answer does not come."""
    with pytest.raises(ConnectionError):
        send(hard, "POST", "/thing-groups/g", b"{}")
    with pytest.raises(http.client.IncompleteRead):
        send(hard, "POST", "/billing-groups/b", b"{}")
    assert 500 == send(hard, "POST", "/thing-types/t", b"{}").status
    paths = ("/thing-groups/g", "/billing-groups/b", "/thing-types/t")
    assert [200] * 3 == [send(hard, "GET", path).status for path in paths]


def test_s3_has_words_of_its_own(hard: Platform) -> None:
    """A throttled request of S3 is told to slow down; a lost answer's bucket is there."""
    throttled = send(hard, "GET", "/", service="s3")
    assert (503, True) == (throttled.status, b"<Code>SlowDown</Code>" in throttled.body)
    with pytest.raises(ConnectionError):
        send(hard, "PUT", "/bucket-1", service="s3")
    assert 200 == send(hard, "GET", "/bucket-1?list-type=2", service="s3").status


def test_a_detachment_takes_a_while(hard: Platform) -> None:
    """Until it has spread, the principal is still there and the thing cannot be deleted; attached again, it stays."""
    iot = client(hard)
    thing = f"thing-{uuid.uuid4().hex[:8]}"
    iot.create_thing(thingName=thing)
    principal = iot.create_keys_and_certificate(setAsActive=True)["certificateArn"]
    iot.attach_thing_principal(thingName=thing, principal=principal)
    iot.detach_thing_principal(thingName=thing, principal=principal)
    assert [principal] == iot.list_thing_principals(thingName=thing)["principals"]
    with pytest.raises(ClientError, match="InvalidRequestException"):
        iot.delete_thing(thingName=thing)
    until(lambda: not iot.list_thing_principals(thingName=thing)["principals"])
    iot.delete_thing(thingName=thing)


def test_a_policy_that_was_just_detached_cannot_be_deleted(hard: Platform) -> None:
    """DeleteConflictException, as long as the documentation says."""
    iot = client(hard)
    document = '{"Version":"2012-10-17","Statement":[]}'
    document = document.replace("[]", '[{"Effect":"Allow","Action":"iot:Connect","Resource":"*"}]')
    iot.create_policy(policyName="p", policyDocument=document)
    principal = iot.create_keys_and_certificate(setAsActive=True)["certificateArn"]
    iot.attach_policy(policyName="p", target=principal)
    iot.detach_policy(policyName="p", target=principal)
    with pytest.raises(ClientError, match="DeleteConflictException"):
        iot.delete_policy(policyName="p")


def test_a_timeout_passes_quickly(hard: Platform) -> None:
    """An execution with a minute to finish times out in a tenth of a second."""
    iot, data = client(hard), client(hard, "iot-jobs-data")
    iot.create_thing(thingName="late")
    arn = iot.describe_thing(thingName="late")["thingArn"]
    iot.create_job(jobId="slow", targets=[arn], document="{}", timeoutConfig={"inProgressTimeoutInMinutes": 1})
    until(lambda: data.start_next_pending_job_execution(thingName="late").get("execution"))
    until(lambda: "TIMED_OUT" == iot.describe_job_execution(jobId="slow", thingName="late")["execution"]["status"])


def test_status_and_commands_know(hard: Platform, home: State, monkeypatch: pytest.MonkeyPatch) -> None:
    """The conditions are in the status; commands on the platform go by its clock, signatures by the real one."""
    monkeypatch.setenv("IOTCTL_HOME", str(home.directory.parent))
    asked = conditions.read(**WORDS, clock_speed=SPEED)
    assert list(asked.words) == State.here().conditions()
    assert hard.course == Context(local=True).platform.course == clock.course()
    assert (clock.now() - clock.real_now()).total_seconds() > 0
    assert hard.account_id == client(hard, "sts").get_caller_identity()["Account"]


def test_the_clock_never_goes_back(tmp_path: Any) -> None:
    """A platform that starts at another speed goes on from where the clock of the last one would be."""
    state = State(tmp_path)
    assert clock.Course() == state.course(1)
    fast = state.course(1000)
    then = fast.since + 10
    assert fast.at + 10_000 == fast.shown(then)
    slow = state.course(1)
    assert slow.shown(slow.since) == fast.shown(slow.since)
    assert slow == state.course(1)
