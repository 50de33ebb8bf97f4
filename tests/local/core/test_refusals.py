"""Deployments that fail before anything is changed: what ran goes on, and the reason is told."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from tests.local.clients import until
from tests.local.core.conftest import BUCKET, Operator, forever

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.cores import RunningCore
    from tests.local.conftest import Name


def test_what_cannot_be_done_changes_nothing(
    start_core: Callable[..., RunningCore], operator: Operator, name: Name
) -> None:
    """A changed artifact, Docker, another IPC, no version, a part of this core: each with its error stack."""
    app = name("com.example.App")
    key = f"{name('k')}/model.bin"
    uri = operator.put(key, b"the model that was meant")
    operator.component(app, "1.0.0", forever("one"))
    operator.component(app, "1.1.0", forever("changed"), uri)
    operator.component(app, "1.2.0", {}, "docker:registry.example.com/image:1")
    access = {"aws.greengrass.ipc.pubsub": {}}
    configuration = {"DefaultConfiguration": {"accessControl": access}}
    operator.component(app, "1.3.0", forever("ipc"), ComponentConfiguration=configuration)
    nucleus = {"aws.greengrass.Nucleus": {"VersionRequirement": ">=99.0.0", "DependencyType": "SOFT"}}
    operator.component(app, "1.4.0", forever("newer"), ComponentDependencies=nucleus)
    operator.component(app, "1.5.0", {"bootstrap": "reboot"})
    operator.s3.put_object(Bucket=BUCKET, Key=key, Body=b"another model than was meant")
    core = start_core(name("core"))
    core.until("connected")
    first = operator.deploy(f"thing/{core.name}", {app: "1.0.0"})
    core.until("deployment-succeeded", first)

    stacks, reasons = {}, {}
    for version in ("1.1.0", "1.2.0", "1.3.0", "1.4.0", "1.5.0", "1.9.0"):
        with contextlib.suppress(operator.gg.exceptions.ValidationException):
            deployment = operator.deploy(f"thing/{core.name}", {app: version})
        core.until("deployment-failed", deployment)
        found = until(lambda made=deployment: _failed(operator, core.name, made))
        assert "FAILED_NO_STATE_CHANGE" in core.told("deployment-failed", deployment)[0]["detail"]
        stacks[version], reasons[version] = found["statusDetails"]["errorStack"][1:], found["reason"]

    assert {
        "1.1.0": ["ARTIFACT_DOWNLOAD_ERROR", "ARTIFACT_CHECKSUM_MISMATCH"],
        "1.2.0": ["DOCKER_ERROR"],
        "1.3.0": ["CUSTOM_PLUGIN_NOT_SUPPORTED"],
        "1.4.0": ["NO_AVAILABLE_COMPONENT_VERSION", "COMPONENT_VERSION_REQUIREMENTS_NOT_MET"],
        "1.5.0": ["CUSTOM_PLUGIN_NOT_SUPPORTED"],
        "1.9.0": ["NO_AVAILABLE_COMPONENT_VERSION", "COMPONENT_VERSION_REQUIREMENTS_NOT_MET"],
    } == stacks
    assert "needs Docker" in reasons["1.2.0"]
    assert "needs Greengrass IPC (aws.greengrass.ipc.pubsub)" in reasons["1.3.0"]
    assert "this core stands in for" in reasons["1.4.0"]
    assert (["one"], 1) == (core.log(app).split(), len(core.told("RUNNING")))
    assert [] == list(core.root.rglob("model.bin*"))


def _failed(operator: Operator, core: str, deployment: str) -> dict[str, Any] | None:
    found = operator.gg.list_effective_deployments(coreDeviceThingName=core)["effectiveDeployments"]
    return next(
        (
            one
            for one in found
            if one["deploymentId"] == deployment and one["coreDeviceExecutionStatus"] == "FAILED" and one.get("reason")
        ),
        None,
    )
