"""Components for a core, and what operators see of it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from tests.local.conftest import Name, client

if TYPE_CHECKING:
    from iotctl.target import Platform

BUCKET = "core-artifacts"


@dataclass(frozen=True)
class Operator:
    """Greengrass and S3 as an operator has them."""

    gg: Any
    s3: Any
    iot: Any
    platform: Platform

    def component(self, name: str, version: str, lifecycle: dict[str, Any], *uris: str, **more: Any) -> str:
        """Create a component version for Linux; its ARN."""
        manifest: dict[str, Any] = {"Platform": {"os": "linux"}, "Lifecycle": lifecycle}
        if uris:
            manifest["Artifacts"] = [{"Uri": uri} for uri in uris]
        recipe = {
            "RecipeFormatVersion": "2020-01-25",
            "ComponentName": name,
            "ComponentVersion": version,
            "ComponentDescription": "a test",
            "ComponentPublisher": "iotctl",
            "Manifests": [manifest],
            **more,
        }
        text = json.dumps(recipe).encode()
        return str(self.gg.create_component_version(inlineRecipe=text)["arn"])

    def put(self, key: str, content: bytes) -> str:
        """Put an object; its URI."""
        self.s3.put_object(Bucket=BUCKET, Key=key, Body=content)
        return f"s3://{BUCKET}/{key}"

    def arn(self, target: str) -> str:
        """Of a target: `thing/NAME` or `thinggroup/NAME`."""
        return f"arn:aws:iot:{self.platform.region}:{self.platform.account_id}:{target}"

    def deploy(self, target: str, components: dict[str, Any], **more: Any) -> str:
        """Deploy versions by name, or whole component entries; the deployment's id."""
        wanted = {
            name: {"componentVersion": given} if isinstance(given, str) else given for name, given in components.items()
        }
        created = self.gg.create_deployment(targetArn=self.arn(target), components=wanted, **more)
        return str(created["deploymentId"])

    def effective(self, core: str) -> dict[str, tuple[str, str | None]]:
        """What became of deployments on a core: status and reason by their id."""
        found = self.gg.list_effective_deployments(coreDeviceThingName=core)["effectiveDeployments"]
        return {one["deploymentId"]: (one["coreDeviceExecutionStatus"], one.get("reason")) for one in found}

    def installed(self, core: str) -> dict[str, tuple[str, str]]:
        """Version and state of a core's components."""
        found = self.gg.list_installed_components(coreDeviceThingName=core, topologyFilter="ALL")
        return {
            one["componentName"]: (one["componentVersion"], one["lifecycleState"])
            for one in found["installedComponents"]
        }


@pytest.fixture(scope="session")
def operator(running: Platform) -> Operator:
    """An operator of the session's platform."""
    s3 = client(running, "s3")
    s3.create_bucket(Bucket=BUCKET)
    return Operator(client(running, "greengrassv2"), s3, client(running), running)


def forever(word: str) -> dict[str, Any]:
    """A lifecycle that says a word and goes on until it is ended."""
    return {"run": {"Script": f"echo {word}; exec sleep 1000"}}


__all__ = ["BUCKET", "Name", "Operator", "forever"]
