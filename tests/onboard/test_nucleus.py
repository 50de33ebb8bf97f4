"""The configuration of a Greengrass nucleus lite, from the bundle of an onboarded core."""

from __future__ import annotations

import json
import uuid
from typing import TYPE_CHECKING, Any

import boto3
import pytest

from iotctl.errors import Local, Usage
from iotctl.onboard.nucleus import configuration

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from iotctl.target import Platform
    from tests.conftest import Ran

BUNDLE = {
    "kind": "aws",
    "thingName": "core-1",
    "region": "eu-west-1",
    "endpoint": "a1-ats.iot.eu-west-1.amazonaws.com",
    "mqttPort": 8883,
    "httpsPort": 8443,
    "keyFile": "private.pem.key",
    "certificateFile": "certificate.pem.crt",
    "rootCaFile": "AmazonRootCA1.pem",
}
CREDENTIALS = "c1.credentials.iot.eu-west-1.amazonaws.com"


def made(credentials: str = CREDENTIALS, **bundle: Any) -> dict[str, Any]:
    """The configuration of the usual core."""
    return configuration({**BUNDLE, **bundle}, credentials, "tes", "/gg", "app:app")


def client(platform: Platform) -> Any:
    """AWS's own client of the registry, on the platform."""
    return boto3.client(
        "iot",
        endpoint_url=platform.http_url,
        region_name=platform.region,
        aws_access_key_id=platform.access_key_id,
        aws_secret_access_key=platform.secret_access_key,
    )


def test_the_configuration_is_the_one_of_nucleus_lite() -> None:
    """Its own keys; on AWS the endpoints as they are, on the platform the port with the one that has no key for it."""
    found = made()
    assert ("/gg/private.pem.key", "/gg/certificate.pem.crt", "/gg/AmazonRootCA1.pem", "/gg", "core-1") == tuple(
        found["system"].values()
    )
    service = found["services"]["aws.greengrass.NucleusLite"]
    assert "NUCLEUS" == service["componentType"]
    assert {
        "awsRegion": "eu-west-1",
        "iotCredEndpoint": CREDENTIALS,
        "iotDataEndpoint": BUNDLE["endpoint"],
        "iotRoleAlias": "tes",
        "runWithDefault": {"posixUser": "app:app"},
        "greengrassDataPlanePort": "8443",
    } == service["configuration"]
    local = made("127.0.0.1", kind="local", endpoint="127.0.0.1", httpsPort=9443)["services"][
        "aws.greengrass.NucleusLite"
    ]["configuration"]
    assert ("127.0.0.1:9443", "127.0.0.1", "9443") == tuple(
        local[key] for key in ("iotCredEndpoint", "iotDataEndpoint", "greengrassDataPlanePort")
    )


def test_what_nucleus_lite_could_not_use_is_told() -> None:
    """It has one port for MQTT, and needs a key."""
    with pytest.raises(Local, match="port 8883 only, and this platform listens on 41000"):
        made(kind="local", mqttPort=41000)
    with pytest.raises(Usage, match="its row brought a CSR"):
        made(keyFile="")


def test_a_core_without_bundle_or_role_alias_is_told(
    platform: Platform, iotctl: Callable[..., Ran], tmp_path: Path
) -> None:
    """Exit 8 with what makes it; on a platform with ports of its own, exit 12."""
    core, alias = (f"{what}-{uuid.uuid4().hex[:8]}" for what in ("core", "tes"))
    fleet = tmp_path / "cores.csv"
    fleet.write_text(f"thing_name,policy\n{core},greengrass-core\n")
    assert 0 == iotctl("onboard", "apply", str(fleet), "--yes", "--bundles", str(tmp_path / "cores-fleet")).code
    words = (
        "onboard",
        "nucleus",
        "--bundles",
        str(tmp_path / "cores-fleet"),
        "--role-alias",
        alias,
        "-o",
        "json",
    )
    codes = []
    for thing in ("nobody", core):
        ran = iotctl(*words, thing)
        codes.append((ran.code, ran.envelope["errors"][0]["message"].partition(" of ")[0]))
    assert [
        (8, "there is no bundle"),
        (8, f"there is no role alias {alias}, so the core would get no credentials"),
    ] == codes
    client(platform).create_role_alias(roleAlias=alias, roleArn=f"arn:aws:iam::{platform.account_id}:role/tes")
    ran = iotctl(*words, core)
    assert (12, True) == (ran.code, "connects to port 8883 only" in json.dumps(ran.envelope["errors"]))
