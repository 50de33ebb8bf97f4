"""Several groups, sub-deployments, cancelled deployments, and what components find in their environment."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

from iotctl import templates
from tests.local.clients import until
from tests.local.core.conftest import BUCKET, Operator, forever

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.cores import RunningCore
    from tests.local.conftest import Name


def test_deployments_of_several_groups_are_one_whole(
    start_core: Callable[..., RunningCore], operator: Operator, name: Name
) -> None:
    """Each group's run beside the others'; a canary's replace its parent's; who leaves a group loses its components."""
    one, two, shared = (name(f"com.example.{word}") for word in ("One", "Two", "Shared"))
    a, b, canary = (name(word) for word in ("a", "b", "canary"))
    for version in ("1.0.0", "1.1.0", "2.0.0"):
        operator.component(shared, version, {"install": f"echo {version}"})
    needs = {shared: {"VersionRequirement": "<2.0.0"}}
    operator.component(one, "1.0.0", forever("one"), ComponentDependencies=needs)
    uri = operator.put(f"{name('k')}/file", b"content")
    needs = {shared: {"VersionRequirement": "^1.0.0"}}
    operator.component(two, "1.0.0", forever("two"), uri, ComponentDependencies=needs)
    operator.component(two, "2.0.0", forever("canary"), uri)
    core = start_core(name("core"), a, b, canary)
    core.until("connected")
    core.until("deployment-succeeded", operator.deploy(f"thinggroup/{a}", {one: "1.0.0"}))
    core.until("deployment-succeeded", operator.deploy(f"thinggroup/{b}", {two: "1.0.0"}))
    assert {one, two, shared} == set(operator.installed(core.name))
    assert "1.1.0" == operator.installed(core.name)[shared][0]

    parent = operator.arn(f"thinggroup/{b}")
    tried = operator.deploy(f"thinggroup/{canary}", {two: "2.0.0"}, parentTargetArn=parent)
    core.until("deployment-succeeded", tried)
    assert {"one", "canary"} == {core.log(one).split()[0], core.log(two).split()[-1]}
    assert 1 == len(core.told("RUNNING", one))

    operator.iot.remove_thing_from_thing_group(thingGroupName=a, thingName=core.name)
    last = operator.deploy(f"thing/{core.name}", {})
    core.until("deployment-succeeded", last)
    until(lambda: {two: ("2.0.0", "RUNNING")} == operator.installed(core.name))
    assert [f"{two}/2.0.0/file"] == [
        str(place.relative_to(core.root / "packages/artifacts")) for place in core.root.rglob("file")
    ]


def test_a_deployment_that_is_cancelled_while_it_waits_is_not_carried_out(
    start_core: Callable[..., RunningCore], operator: Operator, name: Name
) -> None:
    """Without the data plane it waits for ever; cancelled it ends, by job and by shadow, and the next one is done."""
    app, group = name("com.example.App"), name("cores")
    operator.component(app, "1.0.0", forever("one"))
    core = start_core(name("core"), group)
    core.until("connected")
    core.stop()
    whole = core.settings
    core.settings = replace(whole, https_port=1)
    core.start()
    by_job = operator.deploy(f"thinggroup/{group}", {app: "1.0.0"})
    core.until("waiting", by_job)
    job = operator.gg.get_deployment(deploymentId=by_job)["iotJobId"]
    operator.iot.cancel_job(jobId=job, force=True)
    core.until("cancelled", by_job)
    by_shadow = operator.deploy(f"thing/{core.name}", {app: "1.0.0"})
    core.until("waiting", by_shadow)
    operator.gg.cancel_deployment(deploymentId=by_shadow)
    core.until("cancelled", by_shadow)
    core.stop()
    core.settings = whole
    core.start()
    again = operator.deploy(f"thing/{core.name}", {app: "1.0.0"})
    core.until("deployment-succeeded", again)

    found = operator.effective(core.name)
    assert ["CANCELED", "CANCELED"] == [found[one][0] for one in (by_job, by_shadow)]
    assert ["one"] == core.log(app).split()


def test_a_component_puts_objects_with_the_role_of_the_core(
    start_core: Callable[..., RunningCore], operator: Operator, name: Name
) -> None:
    """As models send samples back, with the very code that they do it with; what was not sent back is not theirs."""
    app, key = name("com.example.App"), f"feedback/{name('sample')}"
    program = templates.archive("components/onnx-inference", "inference")
    uri = operator.put(f"{name('k')}/inference.zip", program)
    put = f'from inference.s3 import Bucket, Failed; bucket = Bucket("{BUCKET}")'
    script = f"""{put}
bucket.put("{key}", b"a sample", "text/plain")
try:
    bucket.put("models/{key}", b"another model", "text/plain")
except Failed as error:
    print(error)"""
    run = {"Setenv": {"PYTHONPATH": "{artifacts:path}/inference.zip"}, "Script": f"python3 -c '{script}'"}
    operator.component(app, "1.0.0", {"install": run}, uri)
    core = start_core(name("core"))
    core.until("connected")
    core.until("deployment-succeeded", operator.deploy(f"thing/{core.name}", {app: "1.0.0"}))

    assert b"a sample" == operator.s3.get_object(Bucket=BUCKET, Key=key)["Body"].read()
    assert "AccessDenied" in core.log(app)
    assert [key] == [
        one["Key"] for one in operator.s3.list_objects_v2(Bucket=BUCKET).get("Contents", ()) if key in one["Key"]
    ]


def test_components_find_credentials_and_mqtt(
    start_core: Callable[..., RunningCore], operator: Operator, name: Name
) -> None:
    """The role's credentials by their own token only; MQTT as a client of the core's; nothing of an operator's."""
    app = name("com.example.App")
    script = """
import json, os, ssl, urllib.request, urllib.error
import paho.mqtt.client as paho
e = os.environ
def asked(token):
    request = urllib.request.Request(e["AWS_CONTAINER_CREDENTIALS_FULL_URI"], headers={"Authorization": token})
    try:
        return json.load(urllib.request.urlopen(request))
    except urllib.error.HTTPError as error:
        return error.code
found = asked(e["AWS_CONTAINER_AUTHORIZATION_TOKEN"])
name = e["AWS_IOT_THING_NAME"]
client = paho.Client(paho.CallbackAPIVersion.VERSION2, name + "#" + e["IOTCTL_COMPONENT"])
client.tls_set(e["IOTCTL_MQTT_CA"], e["IOTCTL_MQTT_CERT"], e["IOTCTL_MQTT_KEY"])
client.connect(e["IOTCTL_MQTT_HOST"], int(e["IOTCTL_MQTT_PORT"]))
client.loop_start()
message = client.publish("iotctl/predictions/" + name + "/m", "{}", 1)
message.wait_for_publish(10)
client.disconnect()
print(json.dumps({"keys": sorted(found), "other": asked("other"), "published": message.is_published(),
                  "secrets": [key for key in e if key.startswith("AWS_") and "ACCESS" in key]}))
"""
    operator.component(app, "1.0.0", {"run": "python3 -c '" + script.replace("'", '"') + "'"})
    core = start_core(name("core"))
    core.until("connected")
    core.until("deployment-succeeded", operator.deploy(f"thing/{core.name}", {app: "1.0.0"}))
    core.until("FINISHED", app)

    assert {
        "keys": ["AccessKeyId", "Expiration", "SecretAccessKey", "Token"],
        "other": 403,
        "published": True,
        "secrets": [],
    } == json.loads(core.log(app))
