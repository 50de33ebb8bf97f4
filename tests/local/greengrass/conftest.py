"""A core of the session's platform: a thing with a certificate, HTTPS as it speaks it, and components to deploy."""

from __future__ import annotations

import base64
import http.client
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest

from tests.local.clients import Device, create_policy, register
from tests.local.conftest import Name, Raw, client

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable
    from pathlib import Path

    from iotctl import pki
    from iotctl.target import Platform

CORE = ("greengrass:*", "iot:*")
LITE = {"os": "linux", "architecture": "amd64", "runtime": "aws_nucleus_lite"}
BUCKET = "greengrass-artifacts"


def recipe(name: str, version: str, *uris: str, **more: Any) -> dict[str, Any]:
    """A recipe for any core on Linux."""
    manifest: dict[str, Any] = {
        "Platform": {"os": "linux", "runtime": "*"},
        "Lifecycle": {"Run": {"Script": "echo {artifacts:path}", "RequiresPrivilege": "false"}},
    }
    if uris:
        manifest["Artifacts"] = [{"Uri": uri} for uri in uris]
    return {
        "RecipeFormatVersion": "2020-01-25",
        "ComponentName": name,
        "ComponentVersion": version,
        "ComponentDescription": "a test",
        "ComponentPublisher": "iotctl",
        "Manifests": [manifest],
        **more,
    }


@dataclass(frozen=True)
class Core:
    """A core device, over HTTPS with its certificate."""

    device: Device
    platform: Platform

    @property
    def name(self) -> str:
        """Its thing."""
        return self.device.name

    def https(self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None) -> Raw:
        """One request."""
        return send(self.platform, self.device.tls(self.platform), method, path, body, headers)

    def resolve(self, name: str, platform: dict[str, str] | None = None, **requirements: str) -> Raw:
        """ResolveComponentCandidates as nucleus lite sends it: one component a call."""
        body = {
            "componentCandidates": [{"componentName": name, "versionRequirements": requirements}],
            "platform": {"name": "linux", "attributes": platform or LITE},
        }
        return self.https("POST", "/greengrass/v2/resolveComponentCandidates", body)

    def resolved(self, name: str, platform: dict[str, str] | None = None, **requirements: str) -> dict[str, Any]:
        """The one version that it is answered, its recipe decoded."""
        answer = self.resolve(name, platform, **requirements)
        assert answer.status == 200, answer.body
        (found,) = answer.json["resolvedComponentVersions"]
        return {**found, "recipe": json.loads(base64.b64decode(found["recipe"]))}

    def artifact(self, arn: str, name: str) -> Raw:
        """GetComponentVersionArtifact, the ARN sent as it is."""
        return self.https("GET", f"/greengrass/v2/components/{arn}/artifacts/{quote(name)}")


def send(
    platform: Platform,
    tls: ssl.SSLContext,
    method: str,
    path: str,
    body: Any = None,
    headers: dict[str, str] | None = None,
) -> Raw:
    """One HTTPS request to the platform."""
    connection = http.client.HTTPSConnection("127.0.0.1", platform.https_port, context=tls, timeout=10)
    try:
        connection.request(method, path, None if body is None else json.dumps(body), headers or {})
        response = connection.getresponse()
        found = {key.lower(): value for key, value in response.getheaders()}
        return Raw(response.status, found, response.read())
    finally:
        connection.close()


@pytest.fixture(scope="session")
def gg(running: Platform) -> Any:
    """A boto3 client of Greengrass."""
    return client(running, "greengrassv2")


@pytest.fixture(scope="session")
def s3(running: Platform) -> Any:
    """A boto3 client of S3, with the bucket of the tests."""
    found = client(running, "s3")
    found.create_bucket(Bucket=BUCKET)
    return found


@pytest.fixture
def core(iot: Any, running: Platform, signer: pki.Authority, tmp_path: Path, name: Name) -> Callable[..., Core]:
    """Register a core; by default it may do everything."""

    def make(stem: str = "core", *statements: dict[str, Any]) -> Core:
        allowed = statements or ({"Effect": "Allow", "Action": list(CORE), "Resource": "*"},)
        device = register(iot, signer, tmp_path, name(stem), create_policy(iot, *allowed))
        return Core(device, running)

    return make


@pytest.fixture
def group(iot: Any, name: Name) -> Callable[..., str]:
    """Create a thing group of things; its ARN."""

    def make(stem: str, *things: str, parent: str | None = None) -> str:
        of = {"parentGroupName": parent} if parent else {}
        arn: str = iot.create_thing_group(thingGroupName=name(stem), **of)["thingGroupArn"]
        for thing in things:
            iot.add_thing_to_thing_group(thingGroupName=name(stem), thingName=thing)
        return arn

    return make


@pytest.fixture
def component(gg: Any) -> Callable[..., str]:
    """Create a component version; its ARN."""

    def make(name: str, version: str = "1.0.0", *uris: str, **more: Any) -> str:
        text = json.dumps(recipe(name, version, *uris, **more)).encode()
        return str(gg.create_component_version(inlineRecipe=text)["arn"])

    return make


def health(core: str, sequence: int = 1, **more: Any) -> dict[str, Any]:
    """A report as nucleus lite publishes it."""
    return {
        "ggcVersion": "2.5.0",
        "platform": "linux",
        "architecture": "x86_64",
        "runtime": "aws_nucleus_lite",
        "thing": core,
        "sequenceNumber": sequence,
        "timestamp": 1_900_000_000_000 + sequence,
        "messageType": "COMPLETE",
        "trigger": "NUCLEUS_LAUNCH",
        "overallDeviceStatus": "HEALTHY",
        "components": [],
        "deploymentInformation": {},
        **more,
    }
