"""`onboard certs rotate`: devices get new certificates for keys of their own; against the platform and its devices."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest

from iotctl import bundle, fleet_ca
from iotctl.account.needs import OPERATIONS
from iotctl.aws import Aws, service_model
from iotctl.errors import Conflict, Error, Integrity, RolloutFailed
from iotctl.local.devices import roles
from iotctl.onboard import executions, rotation, rotations, signing
from iotctl.onboard import plan as planning
from iotctl.pki import requests
from iotctl.semantics import permissions
from iotctl.target import Platform, Target
from tests.conftest import Ran
from tests.local.devices.test_fleet import playing, until

TARGET = Target("aws", "123456789012", "us-east-1")
CONFIG = {**TARGET.to_json(), "endpoint": "e", "mqttPort": 8883, "httpsPort": 8443}


@dataclass(frozen=True)
class Account:
    """Things and their certificates, as the platform has them."""

    iot: Any
    names: tuple[str, ...]
    bundles: Path

    def states(self, name: str) -> dict[str, str]:
        """The certificates of a thing, and whether they are active."""
        ids = [arn.rpartition("/")[2] for arn in self.iot.list_thing_principals(thingName=name)["principals"]]
        described = (self.iot.describe_certificate(certificateId=one)["certificateDescription"] for one in ids)
        return {one["certificateId"]: one["status"] for one in described}

    def claim(self, name: str) -> str:
        """The certificate that a thing claims."""
        return str(self.iot.describe_thing(thingName=name)["attributes"]["iotctl-cert"])

    def policies(self, certificate_id: str) -> list[str]:
        """The policies of a certificate."""
        (arn,) = [one for one in self._arns() if one.endswith(certificate_id)]
        return [one["policyName"] for one in self.iot.list_attached_policies(target=arn)["policies"]]

    def faults(self, before: dict[str, str], renewed: set[str]) -> list[str]:
        """What is not as it should be with the things, of which some should have new certificates."""
        return [fault for name in self.names for fault in self._faults(name, before[name], rotated=name in renewed)]

    def _faults(self, name: str, before: str, *, rotated: bool) -> list[str]:
        states, claim = self.states(name), self.claim(name)
        newest = bundle.load(bundle.newest(self.bundles / "devices" / name))
        expected = {before: "INACTIVE", claim: "ACTIVE"} if rotated else {before: "ACTIVE"}
        found = [f"{name}: {states}, claims {claim}"] if states != expected else []
        found += [f"{name}: its bundle is of {newest.certificate_id}"] if newest.certificate_id != claim else []
        found += [f"{name}: policies"] if self.policies(claim) != self.policies(before) else []
        found += [f"{name}: a key"] if rotated and (newest.directory / bundle.KEY).exists() else []
        return found

    def _arns(self) -> list[str]:
        pages = self.iot.get_paginator("list_certificates").paginate()
        return [one["certificateArn"] for page in pages for one in page["certificates"]]


@pytest.fixture
def account(platform: Platform, iotctl: Callable[..., Ran], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Account:
    """Seven things that have been onboarded, in a directory of their own."""
    monkeypatch.chdir(tmp_path)
    tag = uuid.uuid4().hex[:8]
    names = tuple(f"r-{tag}-{number}" for number in range(7))
    (tmp_path / "fleet.csv").write_text("thing_name\n" + "\n".join(names))
    assert 0 == iotctl("onboard", "apply", "fleet.csv", "--yes").code
    return Account(boto3.client("iot"), names, tmp_path / "fleet-fleet")


def test_a_fleet_gets_new_certificates(iotctl: Callable[..., Ran], account: Account, tmp_path: Path) -> None:
    """One job; each device makes its key, connects with its new certificate, and then the old one is off.

    What another scope has left is in the way, until it is not gone on with.

    One that refuses and one that is away stay as they were, are counted and named; run again, only they are left. What
    the first run made is made once. The onboarding says that all is the same; taken back, nothing is left.
    """
    before = {name: account.claim(name) for name in account.names}
    (tmp_path / "names").write_text("\n".join(account.names))
    words = ("onboard", "certs", "rotate", "--things", "names", "--yes", "-o", "json")
    *played_names, away = account.names
    parts = roles.roles(played_names, roles.Shares(fail=1 / 6))
    (failing,) = [name for name, role in parts.items() if role.fails]
    alone = iotctl("onboard", "certs", "rotate", away, "--timeout", "0.5s", "--yes", "-o", "json")
    assert (13, "Unanswered") == (alone.code, alone.envelope["errors"][0]["code"]), alone.stderr
    assert 6 == iotctl(*words).code
    dry = iotctl(*words, "--anew", "--dry-run")
    assert (0, 7) == (dry.code, dry.envelope["data"]["things"])
    assert set(permissions.actions(OPERATIONS["onboard certs rotate"])) >= set(dry.envelope["data"]["iamActions"])
    with playing("6", "--bundles", str(account.bundles), "--fail", "16.7%") as played:
        until(lambda: played.connected(6), "connected")
        first = iotctl(*words, "--anew", "--wait", "20s")
        played.stop()
    assert (3, 5, 2, {failing, away}) == (
        first.code,
        first.envelope["data"]["done"],
        first.envelope["data"]["failed"],
        {error["on"] for error in first.envelope["errors"]},
    ), first.stderr
    assert {failing: "DeviceFailed", away: "JobCanceled"} == {
        error["on"]: error["code"] for error in first.envelope["errors"]
    }
    renewed = set(account.names) - {failing, away}
    assert [] == account.faults(before, renewed)
    claims = {name: account.claim(name) for name in renewed}
    # The journal is a cache: without it the same is done.
    (account.bundles / "journal.db").unlink()
    with playing("7", "--sdk", "--bundles", str(account.bundles)) as played:
        until(lambda: played.connected(7), "connected")
        again = iotctl(*words, "--wait", "25s")
        assert (0, 7, first.envelope["data"]["runId"]) == (
            again.code,
            again.envelope["data"]["done"],
            again.envelope["data"]["runId"],
        ), again.stderr
        assert {failing, away} == played.events("certificate-renewed")
        played.stop()
    assert [] == account.faults(before, set(account.names))
    assert claims == {name: account.claim(name) for name in renewed}
    jobs = [f"iotctl-rotate-{again.envelope['data']['runId']}-{number}" for number in (1, 2)]
    targets = [len(account.iot.describe_job(jobId=job)["job"]["targets"]) for job in jobs]
    # One in six that failed was too many: the first job was stopped before the last thing had it.
    assert (
        "CANCELED"
        == account.iot.describe_job(jobId=f"iotctl-rotate-{alone.envelope['data']['runId']}-1")["job"]["status"]
    )
    assert [7, 2] == targets
    run = iotctl("onboard", "apply", "fleet.csv", "--yes", "-o", "json")
    assert (0, 7) == (run.code, run.envelope["data"]["done"])
    assert 2 == iotctl("onboard", "undo", again.envelope["data"]["runId"], "--yes").code
    undone = iotctl("onboard", "undo", run.envelope["data"]["runId"], "--yes")
    assert 0 == undone.code, undone.stderr
    left = {*before.values(), *claims.values()}
    pages = account.iot.get_paginator("list_certificates").paginate()
    assert set() == left & {one["certificateId"] for page in pages for one in page["certificates"]}
    assert [] == [*(account.bundles / "devices").iterdir(), *(account.bundles / "rotating").iterdir()]


def _asked(directory: Path, reported: dict[str, Any] | None, **changes: Any) -> dict[str, Any]:
    authority = fleet_ca.load(directory)
    params = {
        "directory": str(directory),
        "thingName": "pump",
        "rotation": "r2",
        "reported": reported,
        "claim": "adopted:c1",
        "replaces": "c1",
        "before": authority.issue("pump").certificate_pem,
        "keyType": "ec-p256",
        "days": 10,
        "config": CONFIG,
        "rootCa": "CA",
        "certificateArn": "arn:cert/",
    }
    return {**params, **changes}


@pytest.fixture(params=["plain", "encrypted"])
def directory(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """A bundles directory with a fleet CA and the bundle of one thing, whose key may be encrypted."""
    common = {"keyType": "ec-p256", "days": 1, "rootCa": "CA", "certificateArn": "arn:cert/", "config": CONFIG}
    common |= {"encrypted": True} if request.param == "encrypted" else {}
    assert bundle.Publisher(b"open sesame")(
        [{**common, "directory": str(tmp_path), "runId": "r1", "thingName": "pump"}]
    )
    return tmp_path


def _signed(directory: Path, reported: dict[str, Any] | None, **changes: Any) -> dict[str, Any] | Error:
    (answer,) = signing.Signer()([_asked(directory, reported, **changes)])
    return answer


def test_a_csr_is_signed_once(directory: Path) -> None:
    """The same key gets the same certificate, for the thing; another key another one, and the one before is told."""
    _, csr = requests.create("pump", "ec-p256")
    reported = {"rotation": "r2", "state": "requested", "csr": csr}
    first = _signed(directory, reported)
    assert isinstance(first, dict)
    assert (f"adopted:{first['certificateId']}", []) == (first["claim"], first["abandoned"])
    for without in (reported, None, {"rotation": "r2", "state": "renewed", "csr": None}, {"rotation": "r1"}):
        again = _signed(directory, without)
        assert isinstance(again, dict)
        assert (first["certificateId"], True) == (again["certificateId"], first["attempt"] != again["attempt"])
    other = _signed(directory, {**reported, "csr": requests.create("pump", "ec-p256")[1]})
    assert isinstance(other, dict)
    assert [first["certificateId"]] == other["abandoned"]
    where = {"directory": str(directory), "thingName": "pump", "certificateId": other["certificateId"]}
    assert [{"directory": str(directory / "devices" / "pump@2")}] == signing.publish([where])
    config = bundle.load(bundle.newest(directory / "devices" / "pump")).config
    assert ("r1", "r2", "c1", "", other["certificateId"]) == tuple(
        config[key] for key in ("runId", "rotationId", "replaces", "keyFile", "certificateId")
    )
    assert "keyEncrypted" not in config
    assert [] == list((directory / "rotating").iterdir())
    assert {"pump"} == rotations._done(directory, "r2", ["pump"])
    (directory / "devices" / "pump@2" / "config.json").write_bytes(b"[")
    assert set() == rotations._done(directory, "r2", ["pump"]), "damaged: it is not known to be done"


def test_a_hostile_device_gets_nothing(directory: Path) -> None:
    """A CSR with another name, of a weak key, damaged, no text, none at all; one that says that it failed."""

    def asked(csr: Any, **more: Any) -> str:
        answer = _signed(directory, {"rotation": "r2", "state": "requested", "csr": csr, **more})
        assert isinstance(answer, Integrity | RolloutFailed), answer
        return answer.code

    stranger = requests.create("another", "ec-p256")[1]
    good = requests.create("pump", "ec-p256")[1]
    damaged = good.replace(good.splitlines()[2], stranger.splitlines()[2])
    codes = [asked(csr) for csr in (stranger, requests.create("pump", "rsa-2048")[1], damaged, {"a": 1}, None)]
    assert ["CsrName", "CsrKey", "CsrUnreadable", "CsrUnreadable"] == [*codes[:2], *codes[3:]]
    assert codes[2] in {"CsrSignature", "CsrUnreadable", "CsrKey"}
    assert "DeviceFailed" == asked(None, state="failed", reason="no \x1b[2Jroom")
    assert not (directory / "rotating").exists()


def test_which_certificate_is_replaced(directory: Path) -> None:
    """The one that is claimed, else that of the bundle, else the only one; of several strangers none is guessed."""
    own = json.loads((directory / "devices" / "pump" / "config.json").read_text())["certificateId"]

    def chosen(*ids: str, claim: str | None = None, thing: str = "pump") -> Any:
        params = {
            "directory": str(directory),
            "thingName": thing,
            "rotation": "r2",
            "claim": claim,
            "principals": [{"principal": "arn:aws:cognito/x"}, *({"principal": f"arn:cert/{one}"} for one in ids)],
            "certificateArn": "arn:cert/",
        }
        (answer,) = signing.choose([{key: value for key, value in params.items() if value is not None}])
        return answer["certificateId"] if isinstance(answer, dict) else type(answer)

    assert "c2" == chosen("c1", "c2", own, claim="adopted:c2")
    assert own == chosen("c1", own, claim="c3")
    assert "c1" == chosen("c1", thing="other")
    assert Conflict is chosen("c1", "c2", thing="other")
    assert Conflict is chosen(thing="other")
    _signed(directory, {"rotation": "r2", "state": "requested", "csr": requests.create("pump", "ec-p256")[1]})
    assert "c1" == chosen(own, claim=own)
    _signed(directory, None)
    for place in (directory / "rotating").iterdir():
        config = json.loads((place / "config.json").read_text())
        (place / "config.json").write_text(json.dumps({**config, "rotationId": "r3"}))
    assert Conflict is chosen(own, claim=own)


def test_the_old_one_goes_after_the_new_one_was_seen() -> None:
    """Signed and kept, registered, attached, allowed, delivered, seen, told by its device: only then it is off."""
    run = rotation.Run("r2", "pump", ["pump"], frozenset(), "2026-01-01T00:00:00Z", "ec-p256", 10)
    place = planning.Place(TARGET, "/out", CONFIG, "CA")
    plan = rotation.rotating(run, [], [rotation.Job("j", ["arn:t"], 1)], place, wait=5, registered=False)
    steps = [step for step in plan.each if not (step.for_each and "abandoned" in str(step.for_each))]
    assert [
        "file:SignRequest",
        "iot:RegisterCertificateWithoutCA",
        "iot:AttachThingPrincipal",
        "iot:ListAttachedPolicies",
        "iot:AttachPolicy",
        "iot-data:UpdateThingShadow",
        "onboard:Connected",
        "iot-data:GetThingShadow",
        "iot:UpdateThing",
        "iot:UpdateCertificate",
        "iot-data:DeleteThingShadow",
        "file:PublishRotated",
    ] == [step.op for step in steps][6:]
    for step in (*plan.shared, *plan.each):
        service, _, operation = step.op.partition(":")
        if service not in {"file", "onboard"}:
            shape = service_model(service).operation_model(operation).input_shape
            assert (step.op, set()) == (step.op, set(step.params) - set(shape.members))
            assert set(shape.required_members) <= set(step.params)
    registered = rotation.rotating(run, [], [], place, wait=5, registered=True)
    assert "iot:RegisterCertificate" in [step.op for step in registered.each]


def test_an_agent_that_knows_no_rotation_has_failed(platform: Platform) -> None:
    """As AWS IoT Device Client fails the job: nobody waits for it; the exit code does not say that nothing changed."""
    iot = boto3.client("iot")
    name, job = f"agent-{uuid.uuid4().hex[:8]}", f"rotate-{uuid.uuid4().hex[:8]}"
    arn = iot.create_thing(thingName=name)["thingArn"]
    iot.create_job(jobId=job, targets=[arn], document="{}")
    data = boto3.client("iot-jobs-data", endpoint_url=platform.http_url)
    reason = {"reason": "Job returned with status: 255"}
    data.update_job_execution(jobId=job, thingName=name, status="FAILED", statusDetails=reason)
    jobs = executions.Executions(Aws(platform=platform))
    jobs.watch([{"jobs": [job]}])
    (failed,) = jobs.asked([{"thingName": name}])
    assert isinstance(failed, RolloutFailed)
    assert ("DeviceFailed", "reason Job returned with status: 255", 10) == (failed.code, failed.cause, failed.exit)
