"""Fleets handed to AWS's own engines: bulk registration, and just-in-time provisioning, on the platform."""

from __future__ import annotations

import itertools
import json
import shutil
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from iotctl import bundle, pki
from iotctl.errors import BadInput
from iotctl.onboard import provisioning, signing
from iotctl.onboard.tasks import Tasks
from iotctl.pki import certificates as x509
from iotctl.pki import requests as asking
from tests.botocores import client
from tests.conftest import run_iotctl
from tests.local.clients import until
from tests.local.test_certificates import csr

if TYPE_CHECKING:
    from collections.abc import Callable

    from iotctl.target import Platform
    from tests.conftest import Ran


@pytest.fixture
def things(platform: Platform, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of three things, one of them in another place; `fleet.csv` of this directory has them."""
    monkeypatch.chdir(tmp_path)
    mark = uuid.uuid4().hex[:8]
    names = [f"{mark}-{number}" for number in range(3)]
    lines = ["thing_name,thing_type,thing_groups,attr:site,shadow:rate"]
    lines += [f"{name},type-{mark},group-{mark},{site},1" for name, site in zip(names, ("a", "a", ""), strict=True)]
    Path("fleet.csv").write_text("\n".join(lines) + "\n")
    return names


def _apply(*words: str) -> Ran:
    return run_iotctl("onboard", "apply", "fleet.csv", "--ca", "registered", "--yes", "-o", "json", *words)


def _described(name: str) -> dict[str, Any]:
    iot = client("iot")
    found = iot.describe_thing(thingName=name)
    (principal,) = iot.list_thing_principals(thingName=name)["principals"]
    certificate = iot.describe_certificate(certificateId=principal.rpartition("/")[2])["certificateDescription"]
    return {
        "type": found.get("thingTypeName"),
        "attributes": {key: value for key, value in found["attributes"].items() if key != "iotctl-cert"},
        "claimed": found["attributes"]["iotctl-cert"] == certificate["certificateId"],
        "status": certificate["status"],
        "ca": bool(certificate.get("caCertificateId")),
        "policies": [one["policyName"] for one in iot.list_attached_policies(target=principal)["policies"]],
        "groups": [one["groupName"] for one in iot.list_thing_groups_for_thing(thingName=name)["thingGroups"]],
    }


def _expected(name: str, site: str) -> dict[str, Any]:
    mark = name.partition("-")[0]
    return {
        "type": f"type-{mark}",
        "attributes": {"site": site} if site else {},
        "claimed": True,
        "status": "ACTIVE",
        "ca": True,
        "policies": ["iotctl-thing"],
        "groups": [f"group-{mark}"],
    }


@pytest.mark.parametrize("engine", [(), ("--engine", "aws-bulk")], ids=["iotctl", "aws-bulk"])
def test_things_of_a_registered_ca(things: list[str], engine: tuple[str, ...]) -> None:
    """Both engines make the same; again, without a journal, nothing is made twice; undo leaves no thing and no CA."""
    iot = client("iot")
    first = _apply(*engine)
    assert (0, 3) == (first.code, first.envelope["data"]["done"]), first.stderr
    wanted = [_expected(name, site) for name, site in zip(things, ("a", "a", ""), strict=True)]
    assert wanted == [_described(name) for name in things]
    shadow = client("iot-data").get_thing_shadow(thingName=things[0])["payload"].read()
    assert b'"desired":{"rate":1}' in shadow

    Path("fleet-fleet/journal.db").unlink()
    again = _apply(*engine)
    assert (0, 3) == (again.code, again.envelope["data"]["done"]), again.stderr
    assert wanted == [_described(name) for name in things]
    run = again.envelope["data"]["runId"]
    authority = x509.read(Path("fleet-fleet/ca/fleet-ca.pem.crt").read_bytes()).certificate_id
    # AWS deletes the thing type five minutes later, and that is not waited for.
    assert 13 == run_iotctl("onboard", "undo", run, "--wait", "0s", "--yes").code
    assert [] == [name for name in things if _exists(name)]
    with pytest.raises(iot.exceptions.ResourceNotFoundException):
        iot.describe_ca_certificate(certificateId=authority)


def test_what_bulk_registration_began_is_ended_by_it(things: list[str]) -> None:
    """Our own engine attaches exclusively, which AWS refuses by then: what to do is told, and nothing is changed."""
    assert 0 == _apply("--engine", "aws-bulk").code
    before = [_described(name) for name in things]
    ran = _apply()
    hints = {failure["hint"] for failure in ran.envelope["errors"]}
    assert (3, 3) == (ran.code, ran.envelope["data"]["failed"])
    assert ["--engine" in hint for hint in hints] == [True]
    assert before == [_described(name) for name in things]
    assert 0 == _apply("--engine", "aws-bulk").code


def test_a_thing_of_someone_else(things: list[str]) -> None:
    """It is left as it is: its row is a conflict, the others are registered."""
    client("iot").create_thing(thingName=things[1], attributePayload={"attributes": {"owner": "me"}})
    ran = _apply("--engine", "aws-bulk")
    assert (3, 2, 1) == (ran.code, ran.envelope["data"]["done"], ran.envelope["data"]["conflict"])
    assert {"owner": "me"} == client("iot").describe_thing(thingName=things[1])["attributes"]


def test_a_line_that_is_refused(things: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Someone deprecates a type meanwhile: the reason of AWS's report is its row's; the others are registered."""
    iot, kind = client("iot"), f"gone-{things[0]}"
    iot.create_thing_type(thingTypeName=kind)
    monkeypatch.setattr(Tasks, "wait_for_others", lambda _: iot.deprecate_thing_type(thingTypeName=kind))
    Path("fleet.csv").write_text(f"thing_name,thing_type\n{things[0]},{kind}\n{things[1]},\n")
    ran = _apply("--engine", "aws-bulk")
    assert (3, 1, 1) == (ran.code, ran.envelope["data"]["done"], ran.envelope["data"]["failed"])
    (error,) = ran.envelope["errors"]
    assert (things[0], True) == (error["on"], "deprecated" in error["cause"].lower())
    assert "amazonaws" not in ran.stdout


def test_things_that_appear_when_their_device_connects(things: list[str], iotctl: Callable[..., Ran]) -> None:
    """No call for a thing is made; the first connection makes it, and status says which have come."""
    mark = things[0].partition("-")[0]
    rows = "".join(f"{name},type-{mark},group-{mark},a\n" for name in things)
    Path("fleet.csv").write_text(f"thing_name,thing_type,thing_groups,attr:site\n{rows}")
    ran = _apply("--engine", "jitp")
    assert (0, 3) == (ran.code, ran.envelope["data"]["done"]), ran.stderr
    run = ran.envelope["data"]["runId"]
    before = iotctl("onboard", "status", run, "--bundles", "fleet-fleet", "-o", "json")
    assert (3, {"waiting"}) == (before.code, {row["state"] for row in before.envelope["data"]["rows"]})

    assert 0 == iotctl("local", "devices", "2", "--bundles", "fleet-fleet", "--for", "6s").code
    after = until(lambda: _states(iotctl("onboard", "status", run, "--bundles", "fleet-fleet", "-o", "json")))
    assert ["registered", "registered", "waiting"] == after
    came = [name for name in things if _exists(name)]
    assert [_expected(name, "a") for name in came] == [_described(name) for name in came]


@pytest.fixture
def requests(things: list[str]) -> dict[str, Any]:
    """Three things whose devices keep their keys: `fleet.csv` names their CSRs; the keys, by thing."""
    keys = {name: pki.new_key("ec-p256") for name in things}
    for name, key in keys.items():
        Path(f"{name}.csr").write_text(csr(key))
    lines = [f"{name},group-{name.partition('-')[0]},a,{name}.csr" for name in things]
    Path("fleet.csv").write_text("\n".join(("thing_name,thing_groups,attr:site,csr", *lines)) + "\n")
    return keys


def _signed(name: str) -> dict[str, Any]:
    """What is there of a thing whose CSR was signed by AWS, and what its bundle says."""
    place = Path("fleet-fleet/devices") / name
    found = bundle.load(place)
    principals = client("iot").list_thing_principals(thingName=name)["principals"]
    described = _described(name)
    return {
        **{key: described[key] for key in ("claimed", "status", "ca", "policies")},
        "files": sorted(one.name for one in place.iterdir()),
        "attached": [one.rpartition("/")[2] for one in principals] == [found.certificate_id],
        "key": pki.csr_matches(Path(f"{name}.csr").read_text(), found.certificate_pem),
    }


_SIGNED: dict[str, Any] = {
    "claimed": True,
    "status": "ACTIVE",
    "ca": False,
    "policies": ["iotctl-thing"],
    "files": ["AmazonRootCA1.pem", "certificate.pem.crt", "config.json"],
    "attached": True,
    "key": True,
}


def test_csrs_are_signed_by_aws(requests: dict[str, Any]) -> None:
    """Their certificates, of AWS's own CA, go into the bundles; no fleet CA is made, and undo takes all of it back."""
    ran = run_iotctl("onboard", "apply", "fleet.csv", "--engine", "aws-bulk", "--yes", "-o", "json")
    assert (0, 3) == (ran.code, ran.envelope["data"]["done"]), ran.stderr
    assert [_SIGNED] * 3 == [_signed(name) for name in requests]
    assert not Path("fleet-fleet/ca").exists()
    assert 0 == run_iotctl("onboard", "undo", ran.envelope["data"]["runId"], "--yes").code
    assert [] == [name for name in requests if _exists(name)]


@pytest.mark.parametrize("left", ["devices", "journal.db"])
def test_what_was_signed_and_not_seen_is_found(requests: dict[str, Any], left: str) -> None:
    """A run whose end was lost, with its bundles or its journal: the same certificates again, and no others."""
    argv = ("onboard", "apply", "fleet.csv", "--engine", "aws-bulk", "--yes", "-o", "json")
    assert 0 == run_iotctl(*argv).code
    before = {name: bundle.load(Path("fleet-fleet/devices") / name).certificate_id for name in requests}
    for gone in {"fleet-fleet/journal.db", f"fleet-fleet/{left}"}:
        shutil.rmtree(gone) if Path(gone).is_dir() else Path(gone).unlink()
    certificates = _certificates()
    # As the task leaves it: the id of its certificate is not known to the thing yet.
    asked = Path(f"{next(iter(requests))}.csr").read_text()
    client("iot").update_thing(
        thingName=next(iter(requests)),
        attributePayload={"attributes": {"iotctl-cert": provisioning.claim(asked)}, "merge": True},
    )
    again = run_iotctl(*argv)
    assert (0, 3) == (again.code, again.envelope["data"]["done"]), again.stderr
    assert [_SIGNED] * 3 == [_signed(name) for name in requests]
    assert before == {name: bundle.load(Path("fleet-fleet/devices") / name).certificate_id for name in requests}
    assert certificates == _certificates()


def test_a_csr_for_a_thing_of_someone_else(requests: dict[str, Any]) -> None:
    """It is left as it is, and its row a conflict; so is one that carries our claim and no certificate of the CSR."""
    foreign, half, _ = requests
    iot = client("iot")
    iot.create_thing(thingName=foreign)
    claim = provisioning.claim(Path(f"{half}.csr").read_text())
    iot.create_thing(thingName=half, attributePayload={"attributes": {"iotctl-cert": claim}})
    ran = run_iotctl("onboard", "apply", "fleet.csv", "--engine", "aws-bulk", "--yes", "-o", "json")
    assert (3, 1, 2) == (ran.code, ran.envelope["data"]["done"], ran.envelope["data"]["conflict"])
    assert {} == iot.describe_thing(thingName=foreign)["attributes"]


def test_a_row_without_a_csr_is_refused(requests: dict[str, Any]) -> None:
    """Exit 2, naming its line and the option that helps, before anything is made."""
    rows = Path("fleet.csv").read_text()
    Path("fleet.csv").write_text(rows[: rows.rindex(",") + 1] + "\n")
    ran = run_iotctl("onboard", "apply", "fleet.csv", "--engine", "aws-bulk", "--yes")
    assert (2, True, True) == (ran.code, "line 4" in ran.stderr, "--ca registered" in ran.stderr)
    assert not Path("fleet-fleet").exists()


def _rotate(name: str, directory: Path) -> dict[str, str]:
    """What `certs rotate` does for one thing, the device's part included; how its certificates are then."""
    iot = client("iot")
    old = bundle.load(bundle.newest(directory / "devices" / name))
    arn = str(iot.describe_certificate(certificateId=old.certificate_id)["certificateDescription"]["certificateArn"])
    prefix = arn.removesuffix(old.certificate_id)
    order = {"rotation": "r", "state": "requested", "csr": asking.create(name, "ec-p256")[1]}
    place = {key: old.config[key] for key in ("kind", "accountId", "region", "endpoint", "mqttPort", "httpsPort")}
    asked = {
        "directory": str(directory),
        "thingName": name,
        "rotation": "r",
        "reported": order,
        "keyType": "ec-p256",
        "claim": old.certificate_id,
        "replaces": old.certificate_id,
        "before": old.certificate_pem,
        "days": 9,
        "config": place,
        "rootCa": "CA",
        "certificateArn": prefix,
    }
    (new,) = signing.Signer()([asked])
    assert isinstance(new, dict), new
    iot.register_certificate_without_ca(certificatePem=new["certificatePem"], status="ACTIVE")
    (held,) = iot.list_thing_principals_v2(thingName=name)["thingPrincipalObjects"]
    (chosen,) = signing.choose([{**asked, "principals": [held]}])
    assert isinstance(chosen, dict), chosen
    kind = chosen["thingPrincipalType"]
    assert (old.certificate_id, held["thingPrincipalType"]) == (chosen["certificateId"], kind)
    iot.attach_thing_principal(thingName=name, principal=new["certificateArn"], thingPrincipalType=kind)
    for policy in iot.list_attached_policies(target=arn)["policies"]:
        iot.attach_policy(policyName=policy["policyName"], target=new["certificateArn"])
    iot.update_thing(thingName=name, attributePayload={"attributes": {"iotctl-cert": new["claim"]}, "merge": True})
    iot.update_certificate(certificateId=old.certificate_id, newStatus="INACTIVE")
    signing.publish([{**asked, "certificateId": new["certificateId"]}])
    return {old.certificate_id: "INACTIVE", new["certificateId"]: "ACTIVE"}


def _came(name: str) -> None:
    """What just-in-time provisioning makes when a device first connects."""
    iot, made = client("iot"), bundle.load(Path("fleet-fleet/devices") / name)
    iot.create_thing(thingName=name, attributePayload={"attributes": {"iotctl-cert": made.certificate_id}})
    registered = iot.register_certificate_without_ca(certificatePem=made.certificate_pem, status="ACTIVE")
    iot.attach_thing_principal(thingName=name, principal=registered["certificateArn"])
    iot.attach_policy(policyName="iotctl-thing", target=registered["certificateArn"])


@pytest.mark.parametrize("engine", ["registered", "bulk", "bulk-csr", "jitp"])
def test_again_after_a_rotation(engine: str, request: pytest.FixtureRequest) -> None:
    """Every engine finds the certificate that replaced the one it made: the same, nothing new; undo takes both away."""
    names = list(request.getfixturevalue("requests" if engine == "bulk-csr" else "things"))
    words = {
        "registered": ("--ca", "registered"),
        "bulk": ("--ca", "registered", "--engine", "aws-bulk"),
        "bulk-csr": ("--engine", "aws-bulk"),
        "jitp": ("--ca", "registered", "--engine", "jitp"),
    }[engine]
    if engine == "jitp":
        Path("fleet.csv").write_text("\n".join(["thing_name", *names]))
    argv = ("onboard", "apply", "fleet.csv", *words, "--yes", "-o", "json")
    first = run_iotctl(*argv)
    assert 0 == first.code, first.stderr
    if engine == "jitp":
        _came(names[0])
    wanted, before = _rotate(names[0], Path("fleet-fleet")), _certificates()
    status = run_iotctl("onboard", "status", first.envelope["data"]["runId"], "-o", "json")
    assert engine != "jitp" or ["registered", "waiting", "waiting"] == [
        row["state"] for row in status.envelope["data"]["rows"]
    ]
    planned = [
        json.loads(line) for line in run_iotctl("onboard", "plan", "fleet.csv", "-o", "json").stdout.split("\n")[:3]
    ]
    assert ["same", *["create" if engine == "jitp" else "same"] * 2] == [row["action"] for row in planned]
    again = run_iotctl(*argv)
    assert (0, 3) == (again.code, again.envelope["data"]["done"]), again.stderr
    assert (wanted, before) == (_states_of(names[0]), _certificates())
    if engine == "registered":
        told = run_iotctl("onboard", "plan", "fleet.csv", "--ca", "registered").stderr
        assert "iot:RegisterCACertificate of the fleet CA" in told
    (current,) = [one for one, state in wanted.items() if state == "ACTIVE"]
    assert current == client("iot").describe_thing(thingName=names[0])["attributes"]["iotctl-cert"]
    assert run_iotctl("onboard", "undo", first.envelope["data"]["runId"], "--wait", "0s", "--yes").code in {0, 13}
    assert set() == set(wanted) & _certificates()
    assert [] == [name for name in names if _exists(name)]


def _states_of(name: str) -> dict[str, str]:
    iot = client("iot")
    ids = [arn.rpartition("/")[2] for arn in iot.list_thing_principals(thingName=name)["principals"]]
    return {one: iot.describe_certificate(certificateId=one)["certificateDescription"]["status"] for one in ids}


def _certificates() -> set[str]:
    pages = client("iot").get_paginator("list_certificates").paginate()
    return {one["certificateId"] for page in pages for one in page["certificates"]}


def _states(ran: Ran) -> list[str] | None:
    states = sorted(row["state"] for row in ran.envelope["data"]["rows"])
    return states if states.count("registered") == 2 else None


def _exists(name: str) -> bool:
    iot = client("iot")
    try:
        return bool(iot.describe_thing(thingName=name))
    except iot.exceptions.ResourceNotFoundException:
        return False


@pytest.mark.parametrize("engine", ["aws-bulk", "jitp"])
def test_certificates_of_no_registered_ca_are_refused(things: list[str], engine: str) -> None:
    """Exit 2, with the option that helps, before anything is made."""
    ran = run_iotctl("onboard", "apply", "fleet.csv", "--engine", engine, "--yes")
    assert (2, True) == (ran.code, "--ca registered" in ran.stderr)
    assert not Path("fleet-fleet").exists()


def test_rows_that_just_in_time_provisioning_cannot_tell_apart() -> None:
    """Every line that differs from the first is named, and names that no certificate holds."""
    alike = {"thingType": "t", "thingGroups": ["g"], "policyName": "p", "attributes": {}, "shadow": None}
    rows = [
        {**alike, "thingName": "a", "line": 2},
        {**alike, "thingName": "b", "line": 3, "thingType": "u"},
        {**alike, "thingName": "c" * 65, "line": 4},
        {**alike, "thingName": "d", "line": 5, "shadow": "{}"},
    ]
    with pytest.raises(BadInput) as caught:
        provisioning.just_in_time(rows)
    assert ["line 3", "line 4", "line 5"] == [error.message.partition(":")[0] for error in caught.value.lines]


def test_a_bulk_template_has_a_parameter_for_all_that_a_line_says() -> None:
    """Whatever a row has or lacks."""
    whole = {"thingType": "t", "thingGroups": ["g", "h"], "billingGroup": "b", "attributes": {"z": "1", "a": "2"}}
    certificate = {"certificateId": "c", "certificatePem": "PEM"}
    for left_out in itertools.chain.from_iterable(itertools.combinations(whole, size) for size in range(5)):
        row = {"thingName": "n", "policyName": "p", **{key: whole[key] for key in whole if key not in left_out}}
        line = provisioning.parameters(row, certificate, "CA")
        template = provisioning.in_bulk(row.get("attributes", {}), list(line))
        used = set(_refs(template["Resources"]))
        assert set(line) == set(template["Parameters"]) == used
        values = {key: line[one["Ref"]] for key, one in _attributes(template).items()}
        assert {**row.get("attributes", {}), "iotctl-cert": "c"} == values
        asked = provisioning.requested({**row, "csr": "CSR"})
        template = provisioning.in_bulk(row.get("attributes", {}), list(asked))
        assert set(asked) == set(template["Parameters"]) == set(_refs(template["Resources"]))


def _attributes(template: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = template["Resources"]["thing"]["Properties"]["AttributePayload"]
    return found


def _refs(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [value["Ref"]] if set(value) == {"Ref"} else [ref for one in value.values() for ref in _refs(one)]
    return [ref for one in value for ref in _refs(one)] if isinstance(value, list) else []
