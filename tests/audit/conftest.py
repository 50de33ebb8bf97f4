"""A platform with planted faults, which the audit commands look at."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from iotctl import pki
from iotctl.local import process
from iotctl.local.state import Ports, State
from tests.local.clients import until
from tests.local.conftest import client

if TYPE_CHECKING:
    from pathlib import Path

    from iotctl.target import Platform

NARROW = (
    '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"iot:Connect","Resource":'
    '"arn:aws:iot:us-east-1:123456789012:client/${iot:Connection.Thing.ThingName}",'
    '"Condition":{"Bool":{"iot:Connection.Thing.IsAttached":"true"}}}]}'
)
WIDE = '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"iot:*","Resource":"*"}]}'


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The IOTCTL_HOME of a platform with twenty good things and one fault of each kind."""
    directory = tmp_path_factory.mktemp("audit")
    state = State(directory / "local")
    state.directory.mkdir(mode=0o700)
    platform = process.background(state, Ports(0, 0, 0), None)
    plant(platform)
    yield directory
    process.stop(state)


def plant(platform: Platform) -> None:
    """Good things p0 to p19, and around them what an audit is there to find."""
    iot, data = client(platform), client(platform, "iot-data")
    factory = pki.Authority.create("factory")
    iot.create_thing_group(thingGroupName="presses")
    for name, document in (("thing", NARROW), ("wide", WIDE)):
        iot.create_policy(policyName=name, policyDocument=document)

    def certificate(days: int = 3650) -> str:
        pem = factory.issue("device", days=days).certificate_pem
        answer = iot.register_certificate_without_ca(certificatePem=pem, status="ACTIVE")
        iot.attach_policy(policyName="thing", target=answer["certificateArn"])
        return str(answer["certificateArn"])

    def thing(name: str, arn: str | None = None, site: str = "oslo", *, grouped: bool = True) -> None:
        iot.create_thing(thingName=name, attributePayload={"attributes": {"site": site}})
        if grouped:
            iot.add_thing_to_thing_group(thingGroupName="presses", thingName=name)
        if arn:
            iot.attach_thing_principal(thingName=name, principal=arn)
        state = {"desired": {"rate": 5}, "reported": {"rate": 5}}
        data.update_thing_shadow(thingName=name, payload=json.dumps({"state": state}))

    for number in range(20):
        thing(f"p{number}", certificate())
    thing("bare")
    thing("outside", certificate(), grouped=False)
    thing("ending", certificate(10))
    thing("elsewhere", certificate(), "rome")
    shared = certificate()
    thing("twin-a", shared)
    thing("twin-b", shared)
    certificate()  # an orphan
    ending = pki.Authority.create("old factory", days=10).certificate_pem
    iot.register_ca_certificate(caCertificate=ending, certificateMode="SNI_ONLY", setAsActive=True)
    iot.set_v2_logging_options(roleArn="arn:aws:iam::123456789012:role/logs", defaultLogLevel="ERROR")
    data.update_thing_shadow(thingName="p7", payload=b'{"state":{"desired":{"rate":6},"reported":{"rate":6}}}')
    iot.create_role_alias(roleAlias="cores", roleArn=f"arn:aws:iam::{platform.account_id}:role/cores")
    iot.update_indexing_configuration(thingIndexingConfiguration={"thingIndexingMode": "REGISTRY_AND_SHADOW"})
    until(lambda: iot.describe_index(indexName="AWS_Things")["indexStatus"] == "ACTIVE")
