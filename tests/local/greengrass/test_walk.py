"""A whole deployment as nucleus lite does it, request for request; and by shadow, as the classic nucleus does."""

from __future__ import annotations

import base64
import hashlib
import json
import urllib.request
from typing import TYPE_CHECKING, Any

import boto3
import paho.mqtt.client as paho

from iotctl.local.services import OPERATIONS
from tests.local.clients import Mqtt
from tests.local.greengrass.conftest import BUCKET, Core, health

if TYPE_CHECKING:
    from collections.abc import Callable

    from iotctl.local.store import Store
    from iotctl.target import Platform
    from tests.local.conftest import Name

NAMESPACE = "namespace-aws-gg-deployment"


def fetched(url: str) -> bytes:
    """What a presigned URL gives."""
    with urllib.request.urlopen(url, timeout=10) as response:
        found: bytes = response.read()
    return found


def test_a_group_deployment_as_nucleus_lite_does_it(
    gg: Any,
    s3: Any,
    iot: Any,
    running: Platform,
    core: Callable[..., Core],
    group: Callable[..., str],
    component: Callable[..., str],
    name: Name,
) -> None:
    """Job, thing groups, candidates, artifact by presigned URL, credentials, status, health; then operators see it."""
    one, app, model = core(), name("com.example.App"), f"{name('m')}/model.onnx"
    content = b"a model" * 100
    s3.put_object(Bucket=BUCKET, Key=model, Body=content)
    arn = component(app, "1.0.0", f"s3://{BUCKET}/{model}")
    target = group("cores", one.name)
    jobs = f"$aws/things/{one.name}/jobs"
    with Mqtt(running, one.device, version=paho.MQTTv5) as nucleus:
        nucleus.publish(f"$aws/things/{one.name}/greengrassv2/health/json", health(one.name))
        nucleus.subscribe(f"{jobs}/notify-next-{NAMESPACE}", f"{jobs}/$next/{NAMESPACE}/get/+")
        asked = {
            "jobId": "$next",
            "thingName": one.name,
            "includeJobDocument": True,
            "clientToken": "jobs-nucleus-lite",
        }
        nucleus.publish(f"{jobs}/$next/{NAMESPACE}/get", asked)
        assert "execution" not in nucleus.next().json
        created = gg.create_deployment(
            targetArn=target,
            deploymentName="first",
            components={
                app: {
                    "componentVersion": "1.0.0",
                    "configurationUpdate": {"merge": '{"interval": 5}', "reset": ["/old"]},
                }
            },
        )
        execution = nucleus.next().json["execution"]
        document = execution["jobDocument"]
        expected = {
            "deploymentId": created["deploymentId"],
            "configurationArn": f"{gg_arn(running)}:configuration:thinggroup/{name('cores')}:1",
            "components": {
                app: {"version": "1.0.0", "configurationUpdate": {"merge": {"interval": 5}, "reset": ["/old"]}}
            },
            "creationTimestamp": document["creationTimestamp"],
            "failureHandlingPolicy": "ROLLBACK",
            "componentUpdatePolicy": {"timeout": 60, "action": "NOTIFY_COMPONENTS"},
            "configurationValidationPolicy": {"timeout": 30},
        }
        assert (created["iotJobId"], "QUEUED", expected) == (execution["jobId"], execution["status"], document)
        assert len(json.dumps(execution)) < 4096

        update = f"{jobs}/{execution['jobId']}/{NAMESPACE}/update"
        nucleus.publish(update, {"status": "IN_PROGRESS", "clientToken": "jobs-nucleus-lite"})
        assert (f"{update}/accepted", "jobs-nucleus-lite") == (
            (answer := nucleus.next()).topic,
            answer.json["clientToken"],
        )
        groups = one.https("GET", f"/greengrass/v2/coreDevices/{one.name}/thingGroups").json["thingGroups"]
        assert [{"thingGroupName": name("cores"), "thingGroupArn": target, "rootThingGroupArn": target}] == groups

        found = one.resolved(app, requirements="1.0.0")
        (artifact,) = found["recipe"]["Manifests"][0]["Artifacts"]
        digest = base64.b64encode(hashlib.sha256(content).digest()).decode()
        assert (arn, "1.0.0", {"Uri": f"greengrass:{BUCKET}/{model}", "Digest": digest, "Algorithm": "SHA-256"}) == (
            found["arn"],
            found["componentVersion"],
            artifact,
        )
        url = one.artifact(arn, f"{BUCKET}/{model}").json["preSignedUrl"]
        assert (content, True) == (fetched(url), len(url) < 2000)
        # The ARN of a version that has gone, or that failed: nucleus lite asks so for what it had before.
        assert content == fetched(one.artifact(f"{arn[:-5]}9.9.9", f"{BUCKET}/{model}").json["preSignedUrl"])
        assert [404, 404] == [one.artifact(f"{arn[:-5]}9.9.9", other).status for other in ("x", model[-5:])]

        iot.create_role_alias(roleAlias=name("tes"), roleArn=f"arn:aws:iam::{running.account_id}:role/TES")
        path = f"/role-aliases/{name('tes')}/credentials"
        for other in (name("other"), "\xff"):
            assert 403 == one.https("GET", path, headers={"x-amzn-iot-thingname": other}).status
        given = one.https("GET", path, headers={"x-amzn-iot-thingname": one.name}).json["credentials"]
        reader = boto3.client(
            "s3",
            endpoint_url=running.http_url,
            region_name=running.region,
            aws_access_key_id=given["accessKeyId"],
            aws_secret_access_key=given["secretAccessKey"],
            aws_session_token=given["sessionToken"],
        )
        assert content == reader.get_object(Bucket=BUCKET, Key=model)["Body"].read()

        running_app = {
            "componentName": app,
            "version": "1.0.0",
            "fleetConfigArns": [document["configurationArn"]],
            "isRoot": True,
            "status": "RUNNING",
        }
        information = {
            "status": "SUCCEEDED",
            "statusDetails": {"detailedStatus": "SUCCESSFUL"},
            "fleetConfigurationArnForStatus": document["configurationArn"],
            "deploymentId": created["deploymentId"],
            "unchangedRootComponents": [],
        }
        report = health(
            one.name,
            2,
            messageType="PARTIAL",
            trigger="THING_GROUP_DEPLOYMENT",
            components=[running_app],
            deploymentInformation=information,
        )
        nucleus.publish(f"$aws/things/{one.name}/greengrassv2/health/json", report)
        nucleus.publish(update, {"status": "SUCCEEDED", "clientToken": "jobs-nucleus-lite"})
        following, accepted = nucleus.take(2)
        assert (f"{update}/accepted", {"timestamp"}) == (accepted.topic, set(following.json))

    (effective,) = gg.list_effective_deployments(coreDeviceThingName=one.name)["effectiveDeployments"]
    assert (created["deploymentId"], "SUCCEEDED", "SUCCESSFUL", target) == (
        effective["deploymentId"],
        effective["coreDeviceExecutionStatus"],
        effective["reason"],
        effective["targetArn"],
    )
    (installed,) = gg.list_installed_components(coreDeviceThingName=one.name)["installedComponents"]
    assert (app, "1.0.0", "RUNNING", True, created["deploymentId"]) == tuple(
        installed[key]
        for key in ("componentName", "componentVersion", "lifecycleState", "isRoot", "lastInstallationSource")
    )
    device = gg.get_core_device(coreDeviceThingName=one.name)
    assert ("2.5.0", "HEALTHY", "aws_nucleus_lite") == (device["coreVersion"], device["status"], device["runtime"])


def gg_arn(platform: Platform) -> str:
    """The beginning of Greengrass' ARNs."""
    return f"arn:aws:greengrass:{platform.region}:{platform.account_id}"


def test_a_shadow_that_says_nonsense_is_no_report(store: Store) -> None:
    """What a device writes into its own shadow cannot fail the operators' calls."""
    thing = OPERATIONS["iot:CreateThing"](store, thingName="core")["thingArn"]
    made = OPERATIONS["greengrassv2:CreateDeployment"](store, targetArn=thing, components={})["deploymentId"]
    configuration = f"{store.arn('configuration', 'greengrass')}:thing/core:1"
    for status, details in ([], {}), ("LOST", {}), ("FAILED", "x"):
        reported = {"fleetConfigurationArnForStatus": configuration, "status": status, "statusDetails": details}
        state = json.dumps({"state": {"reported": reported}}).encode()
        OPERATIONS["iot-data:UpdateThingShadow"](
            store, thingName="core", shadowName="AWSManagedGreengrassV2Deployment", payload=state
        )
        found = OPERATIONS["greengrassv2:GetDeployment"](store, deploymentId=made)["deploymentStatus"]
        assert ("FAILED" if status == "FAILED" else "ACTIVE") == found
