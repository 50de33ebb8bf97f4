"""Why a device cannot connect: each fault planted once on a platform, and exactly its verdicts."""

from __future__ import annotations

import dataclasses
import json
import shutil
import socket
import uuid
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import pytest

from iotctl import bundle, clock, pki
from iotctl.context import Context
from iotctl.errors import Auth, Conflict, NotFound
from iotctl.mqtt import Connection
from iotctl.onboard import doctor
from iotctl.onboard.doctor import core, held, reach, rights, traces, trial
from iotctl.onboard.doctor.check import Check, State
from iotctl.onboard.doctor.examination import Asked
from iotctl.pki import certificates as x509
from iotctl.target import Target
from tests.conftest import run_iotctl

if TYPE_CHECKING:
    from collections.abc import Callable

    from iotctl.result import Result
    from iotctl.target import Platform
    from tests.conftest import Ran

TARGET = Target("aws", "123456789012", "us-east-1")
ARN = "arn:aws:iot:us-east-1:123456789012"


@dataclass
class Clinic:
    """An onboarded fleet, one device for each fault."""

    directory: Path
    prefix: str
    context: Context
    iot: Any = None

    def name(self, fault: str) -> str:
        """The thing that a fault is planted in."""
        return f"{self.prefix}-{fault}"

    def place(self, fault: str) -> Path:
        """Its bundle."""
        return self.directory / "devices" / self.name(fault)

    def arn(self, fault: str) -> str:
        """The ARN of its certificate."""
        (found,) = self.iot.list_thing_principals(thingName=self.name(fault))["principals"]
        return str(found)

    def examined(self, fault: str, **asked: Any) -> Result:
        """What the doctor says."""
        asked = {"bundles": self.directory, **asked}
        return doctor.examine(self.context, Asked(self.name(fault), **asked))


FAULTS = (
    *("none", "endpoint", "port", "ca", "key", "lost", "readable", "swapped", "damaged", "expired", "gone", "inactive"),
    *("detached", "nopolicy", "narrow", "denied", "shared", "core", "nothing"),
)


@pytest.fixture(scope="module")
def fleet(platform_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Clinic:
    """One device for each fault, onboarded at once."""
    here, prefix = tmp_path_factory.mktemp("clinic"), f"dr-{uuid.uuid4().hex[:6]}"
    rows = "".join(f"{prefix}-{fault},{'greengrass-core' if fault == 'core' else ''}\n" for fault in FAULTS)
    (here / "fleet.csv").write_text(f"thing_name,policy\n{rows}")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("IOTCTL_HOME", str(platform_home))
        ran = run_iotctl("onboard", "apply", str(here / "fleet.csv"), "--bundles", str(here / "out"), "--local", "-y")
        context = Context(local=True)
        assert context.target.kind == "local"
    assert 0 == ran.code, ran.stderr
    return Clinic(here / "out", prefix, context)


@pytest.fixture
def clinic(platform: Platform, fleet: Clinic) -> Clinic:
    """The fleet, and the account that it is in."""
    fleet.iot = fleet.iot or boto3.client("iot")
    return fleet


def found(result: Result, state: State = State.PROBLEM) -> set[str]:
    """The checks that ended so."""
    return {row["check"] for row in result.data["checks"] if row["state"] == state}


def config(clinic: Clinic, fault: str, **changes: Any) -> None:
    """Change a bundle's config.json."""
    path = clinic.place(fault) / bundle.CONFIG
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def document(*statements: dict[str, Any]) -> str:
    """A policy of these statements."""
    return json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", **each} for each in statements]})


def with_policy(clinic: Clinic, fault: str, *statements: dict[str, Any]) -> None:
    """Give a device this policy in place of its own."""
    clinic.iot.create_policy(policyName=clinic.name(fault), policyDocument=document(*statements))
    clinic.iot.detach_policy(policyName="iotctl-thing", target=clinic.arn(fault))
    clinic.iot.attach_policy(policyName=clinic.name(fault), target=clinic.arn(fault))


def unused_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def plant(clinic: Clinic, fault: str) -> None:
    """Plant one fault in its device."""
    in_bundle(clinic, fault, clinic.place(fault))
    in_account(clinic, fault, clinic.iot)


def in_bundle(clinic: Clinic, fault: str, place: Path) -> None:
    """Those of the bundle."""
    match fault:
        case "endpoint":
            config(clinic, fault, endpoint="localhost")
        case "port":
            config(clinic, fault, mqttPort=unused_port())
        case "ca":
            (place / bundle.ROOT_CA).write_text(pki.Authority.create("another").certificate_pem)
        case "key":
            shutil.copyfile(clinic.place("none") / bundle.KEY, place / bundle.KEY)
        case "lost":
            (place / bundle.KEY).unlink()
        case "readable":
            (place / bundle.KEY).chmod(0o644)
        case "swapped":
            config(clinic, fault, certificateId="0" * 64)
        case "damaged":
            (place / bundle.CONFIG).write_text("{")
        case "expired":
            issued = pki.Authority.create("factory").issue(clinic.name(fault), days=1 / 1440)
            (place / bundle.CERTIFICATE).write_text(issued.certificate_pem)
            (place / bundle.KEY).write_bytes(issued.private_key_pem)
            config(clinic, fault, certificateId=issued.certificate_id)


def in_account(clinic: Clinic, fault: str, iot: Any) -> None:
    """Those of the account."""
    match fault:
        case "gone":
            arn = clinic.arn(fault)
            iot.update_certificate(certificateId=arn.rpartition("/")[2], newStatus="INACTIVE")
            iot.detach_thing_principal(thingName=clinic.name(fault), principal=arn)
            iot.delete_certificate(certificateId=arn.rpartition("/")[2], forceDelete=True)
        case "inactive":
            iot.update_certificate(certificateId=clinic.arn(fault).rpartition("/")[2], newStatus="INACTIVE")
        case "detached":
            iot.detach_thing_principal(thingName=clinic.name(fault), principal=clinic.arn(fault))
        case "nopolicy":
            iot.detach_policy(policyName="iotctl-thing", target=clinic.arn(fault))
        case "narrow":
            own = {"Action": "iot:Connect", "Resource": "*"}
            with_policy(clinic, fault, own, {"Action": ["iot:Publish", "iot:Receive"], "Resource": "*"})
        case "denied":
            deny = {"Effect": "Deny", "Action": "iot:Connect", "Resource": "*"}
            with_policy(clinic, fault, {"Action": "iot:*", "Resource": "*"}, deny)
        case "shared":
            name, arn = clinic.name(fault), clinic.arn(fault)
            iot.detach_thing_principal(thingName=name, principal=arn)
            iot.create_thing(thingName=f"{name}-twin")
            for each in (name, f"{name}-twin"):
                iot.attach_thing_principal(thingName=each, principal=arn)


@pytest.mark.parametrize(
    ("fault", "problems"),
    [
        ("endpoint", {"endpoint"}),
        ("port", {"endpoint", "port"}),
        ("ca", {"server"}),
        ("key", {"key"}),
        ("lost", {"key"}),
        ("readable", {"key"}),
        ("swapped", {"certificate", "registered", "thing"}),
        ("damaged", {"bundle"}),
        ("expired", {"certificate", "registered", "thing"}),
        ("gone", {"registered"}),
        ("inactive", {"active"}),
        ("detached", {"attached", "connect", "publish", "subscribe", "receive"}),
        ("nopolicy", {"policies"}),
        ("narrow", {"subscribe"}),
        ("denied", {"connect"}),
        ("shared", {"sharing"}),
    ],
)
def test_a_fault_has_exactly_its_verdicts(clinic: Clinic, fault: str, problems: set[str]) -> None:
    """Exit 4; each problem comes with what mends it, and none of the other checks is one."""
    plant(clinic, fault)
    result = clinic.examined(fault)
    assert (problems, set(), 4) == (found(result), found(result, State.UNKNOWN), result.exit)
    assert clinic.context.aws.read_only
    assert all(row["fix"] for row in result.data["checks"] if row["state"] == State.PROBLEM)


def test_a_healthy_device(clinic: Clinic, iotctl: Callable[..., Ran]) -> None:
    """Exit 0: every check is good, but for the log that this platform does not have; it connects as a stranger."""
    ran = iotctl("onboard", "doctor", clinic.name("none"), "--bundles", str(clinic.directory), "-o", "json")
    checks = {row["check"]: row for row in ran.envelope["data"]["checks"]}
    assert (0, {"logs"}) == (ran.code, {name for name, row in checks.items() if row["state"] != "ok"})
    assert "as its policies say" in checks["connection"]["detail"]
    order = ["endpoint", "name", "port", "server", "clock", "key", "certificate", "registered", "active", "thing"]
    order += ["attached", "policies", "connect", "publish", "subscribe", "receive", "sharing", "presence", "logs"]
    assert [*order, "connection"] == list(checks)


def test_without_its_bundle(clinic: Clinic, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The account tells its certificate; what needs the key is skipped, and says so."""
    monkeypatch.chdir(tmp_path)
    result = clinic.examined("none", bundles=None)
    assert (0, {"bundle", "logs", "connection"}) == (result.exit, found(result, State.SKIPPED))


def test_its_own_client_id_only_while_it_is_away(clinic: Clinic, platform: Platform) -> None:
    """`--connect` takes the device's client id; where the device is connected, it is left alone."""
    by_itself = clinic.examined("none", connect=True).data["checks"][-1]
    place = clinic.place("none")
    with Connection.device(
        "127.0.0.1",
        platform.mqtt_port,
        clinic.name("none"),
        certificate=place / bundle.CERTIFICATE,
        key=place / bundle.KEY,
        ca_file=place / bundle.ROOT_CA,
    ):
        *_, presence, _, connection = clinic.examined("none", connect=True).data["checks"]
    assert ("ok", f"connected as {clinic.name('none')}") == (by_itself["state"], by_itself["detail"])
    assert ("ok", "skipped") == (presence["state"], connection["state"])
    assert "it is connected since" in presence["detail"]


def test_a_device_that_registers_itself(
    clinic: Clinic, iotctl: Callable[..., Ran], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Just in time: before it first connects it is healthy as long as its CA registers it; trying would register it."""
    name = f"{clinic.prefix}-new"
    (tmp_path / "new.csv").write_text(f"thing_name\n{name}\n")
    monkeypatch.chdir(tmp_path)
    made = iotctl("onboard", "apply", "new.csv", "--engine", "jitp", "--ca", "registered", "-y")
    asked, context = Asked(name, tmp_path / "new-fleet"), clinic.context
    healthy = doctor.examine(context, asked)
    assert (0, 0, {"registered"}) == (made.code, healthy.exit, found(healthy, State.OK) & {"registered", "thing"})
    assert "trying could register it" in healthy.data["checks"][-1]["detail"]

    (authority,) = (tmp_path / "new-fleet" / "ca").glob("*.crt")
    which = {"certificateId": x509.read(authority.read_bytes()).certificate_id}
    for change in ({"newAutoRegistrationStatus": "DISABLE"}, {"newStatus": "INACTIVE"}):
        clinic.iot.update_ca_certificate(**which, **change)
        assert "registered" in found(doctor.examine(context, asked))
    clinic.iot.delete_ca_certificate(**which)
    assert "registered" in found(doctor.examine(context, asked))


def test_topics_of_its_own(clinic: Clinic) -> None:
    """The topics that are named are asked about, in place of those of shadow and jobs."""
    own = f"things/{clinic.name('none')}/#"
    fine = clinic.examined("none", subscribe=(own,))
    refused = clinic.examined("none", publish=("cmd/all",), subscribe=("cmd/+/x",))
    assert (set(), {"publish", "subscribe", "receive"}) == (found(fine), found(refused))
    by_check = {row["check"]: row["detail"] for row in refused.data["checks"]}
    assert "topicfilter/cmd/+/x is refused: iotctl-thing allows" in by_check["subscribe"]
    assert "topic/cmd/any/x is refused" in by_check["receive"]


def test_a_greengrass_core(clinic: Clinic) -> None:
    """Its policy says what it is; its role alias is looked for, and IAM is not, where there is none."""
    before = clinic.examined("core")
    clinic.iot.create_role_alias(roleAlias="dr-alias", roleArn=clinic.context.target.role("dr"))
    after = clinic.examined("core", role_alias="dr-alias")
    clinic.iot.delete_role_alias(roleAlias="dr-alias")
    assert "core" in found(before, State.OK)
    assert {"role alias"} >= found(before)
    assert (set(), {"role", "artifacts", "logs"}) == (found(after), found(after, State.SKIPPED))


def test_what_nobody_knows(clinic: Clinic, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No thing and no bundle: not found; a bundle of another account: a conflict, before anything is said of it."""
    with pytest.raises(NotFound, match="has no bundle"):
        clinic.examined("stranger")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(NotFound, match="there is no thing"):
        clinic.examined("stranger", bundles=None)
    config(clinic, "nothing", region="eu-west-1")
    with pytest.raises(Conflict, match="eu-west-1"):
        clinic.examined("nothing")


def test_a_name_without_an_address() -> None:
    """What comes after it needs the address."""
    place = reach.Place(f"{'x' * 64}.invalid", 8883, "", "ca.pem", "")
    assert [("name", "problem"), ("port", "skipped"), ("server", "skipped")] == [
        (check.check, check.state.value) for check in reach.network(place)
    ]


def test_the_endpoint_of_before() -> None:
    """The account's old endpoint is told as such: the bundle's CA did not sign its certificate."""
    now = reach.Place("abc-ats.iot.eu-west-1.amazonaws.com", 8883, "", "", "")
    old = dataclasses.replace(now, endpoint="abc.iot.eu-west-1.amazonaws.com")
    assert "did not sign" in reach.endpoint(old, now, "").detail
    assert [State.OK, State.UNKNOWN] == [reach.endpoint(now, now, "").state, reach.endpoint(now, None, "no").state]


@pytest.mark.parametrize(
    ("seconds", "state"),
    [(None, "unknown"), (0.4, "ok"), (-299, "ok"), (300, "problem"), (-86400, "problem")],
)
def test_clocks(seconds: float | None, state: str) -> None:
    """From five minutes on AWS refuses what this machine signs."""
    assert state == reach.clocks(seconds).state


def test_the_days_of_a_certificate() -> None:
    """Not yet, now, no more."""
    certificate = x509.read(pki.Authority.create("factory").issue("x", days=30).certificate_pem)
    days = (-1, 1, 31)
    assert ["problem", "ok", "problem"] == [
        held.valid(certificate, clock.now() + timedelta(days=day), "renew").state.value for day in days
    ]


def known(**changes: Any) -> rights.Known:
    """What is known of the connection of pump-7."""
    thing = {"thingName": "pump-7", "thingTypeName": "pump", "attributes": {"site": "oslo"}}
    return dataclasses.replace(
        rights.Known("pump-7", "c" * 64, "1f", attached=True, thing=thing, subject={}, issuer={}), **changes
    )


@pytest.mark.parametrize(
    ("statement", "changes", "why"),
    [
        ({"Action": "iot:Connect", "Resource": f"{ARN}:client/${{iot:Connection.Thing.ThingName}}"}, {}, ""),
        ({"Action": "iot:Connect", "Resource": f"{ARN}:client/${{iot:Connection.Thing.ThingTypeName}}-*"}, {}, ""),
        (
            {"Action": "iot:Connect", "Resource": f"{ARN}:client/${{iot:Connection.Thing.ThingName}}"},
            {"attached": False},
            "without a value here: iot:Connection.Thing.ThingName",
        ),
        (
            {"Action": "iot:Connect", "Resource": f"{ARN}:client/${{iot:Certificate.Subject.CommonName}}"},
            {"subject": {"CommonName": ["pump-8"]}},
            "p allows",
        ),
        ({"Action": "iot:Publish", "Resource": "*"}, {}, "no policy says anything of iot:Connect"),
        ({"Effect": "Deny", "Action": "iot:*", "Resource": "*"}, {}, "the policy p denies it"),
        (
            {"Action": "iot:Connect", "Resource": "*", "Condition": {"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}},
            {},
            "p allows * on a condition; without a value here: aws:SourceIp",
        ),
    ],
)
def test_why_a_right_is_refused(statement: dict[str, Any], changes: dict[str, Any], why: str) -> None:
    """AWS's variables have the values of the connection, and what has none is named."""
    right = rights.of_device(TARGET, "pump-7", (), ())[0]
    bound = rights.Rights({"p": document(statement)}, known(**changes))
    allowed = bound.decide(right).value == "ALLOWED"
    assert (not why, True) == (allowed, allowed or why in bound.why(right))


def test_a_policy_that_cannot_be_read() -> None:
    """It is named, and the others count."""
    bound = rights.Rights({"odd": "{}", "p": document({"Action": "iot:*", "Resource": "*"})}, known())
    assert (["odd"], "ALLOWED") == (
        bound.unparsed,
        bound.decide(rights.Right("iot:Connect", f"{ARN}:client/x", "x")).value,
    )


@pytest.mark.parametrize(
    ("answer", "state", "words"),
    [
        ({"connected": True, "timestamp": clock.moment("2026-01-01T00:00:00Z")}, "ok", "since 2026-01-01"),
        ({"connected": False, "disconnectReason": "DUPLICATE_CLIENTID"}, "problem", "threw it off"),
        ({"connected": False}, "ok", "nothing is known"),
        (
            {"connected": False, "timestamp": clock.moment("1970-01-01T00:00:00Z"), "disconnectReason": "UNKNOWN"},
            "ok",
            "nothing is known",
        ),
        (
            {"timestamp": clock.moment("2026-01-01T00:00:00Z"), "disconnectReason": "MQTT_KEEP_ALIVE_TIMEOUT"},
            "ok",
            "MQTT_KEEP_ALIVE_TIMEOUT",
        ),
    ],
)
def test_its_last_connection(answer: dict[str, Any], state: str, words: str) -> None:
    """Another connection with its client id is a problem; how the last one ended else is only told."""
    check = traces.judge(answer)
    assert (state, True) == (check.state, words in check.detail)


def test_another_that_throws_it_off(clinic: Clinic, platform: Platform) -> None:
    """`--watch` sees two that are the same device, and ends as soon as it has."""
    place = clinic.place("none")

    def device() -> Connection:
        files = {"certificate": place / bundle.CERTIFICATE, "key": place / bundle.KEY}
        name, port = clinic.name("none"), platform.mqtt_port
        return Connection.device("127.0.0.1", port, name, ca_file=place / bundle.ROOT_CA, **files)

    with device(), device():
        result = clinic.examined("none", watch=30)
    assert {"presence"} == found(result)


def test_what_the_log_says() -> None:
    """The last failure in its own words; what is no JSON is told as it is."""
    line = json.dumps({"eventType": "Connect", "status": "Failure", "reason": "AUTHORIZATION_FAILURE"})
    assert ["ok", "problem", "problem"] == [traces.failures(each).state.value for each in ((), (line,), ("x\x1b",))]
    assert (
        "2 failures of it within an hour, at last: Connect AUTHORIZATION_FAILURE"
        in traces.failures((line, line)).detail
    )


@pytest.mark.parametrize(
    ("code", "allowed", "state"),
    [("ConnectRefused", False, "ok"), ("ConnectRefused", True, "problem"), ("Tls", False, "problem")],
)
def test_a_refusal(code: str, allowed: bool, state: str) -> None:
    """That of a client id which no policy allows says that the rest is right; any other one is a problem."""
    assert state == trial.refused(Auth("no", code=code), "x", allowed=allowed).state


def test_the_role_of_a_core() -> None:
    """Who may take it, and what it may fetch."""
    takes = {"Effect": "Allow", "Principal": {"Service": "credentials.iot.amazonaws.com"}, "Action": "sts:AssumeRole"}
    role = {"Arn": "arn:aws:iam::1:role/r", "RoleName": "r", "AssumeRolePolicyDocument": {"Statement": [takes]}}
    others = role | {"AssumeRolePolicyDocument": {"Statement": []}}
    allowed, denied = ({"EvaluationResults": [{"EvalDecision": each}]} for each in ("allowed", "implicitDeny"))
    checks: list[Check] = [core.trusts(one, "1") for one in (role, others)]
    checks += [core.granted(one, "arn:aws:iam::1:role/r", "b") for one in (allowed, denied)]
    assert ["ok", "problem", "ok", "problem"] == [check.state.value for check in checks]
