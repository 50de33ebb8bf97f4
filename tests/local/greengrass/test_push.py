"""`infer push` and `infer rollback` on the platform, with a core that does what nucleus lite does."""

from __future__ import annotations

import contextlib
import json
import queue
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import paho.mqtt.client as paho
import pytest

import iotctl.local
from tests.infer import models
from tests.local.clients import Mqtt
from tests.local.greengrass.conftest import Core, health

if TYPE_CHECKING:
    from collections.abc import Callable

    from iotctl.target import Platform
    from tests.conftest import Ran
    from tests.local.conftest import Name

LOCAL = Path(iotctl.local.__file__).parent
DIGITS, WORSE = LOCAL / "digits.onnx", LOCAL / "digits-worse.onnx"
PREFIX = "iotctl.model."
NAMESPACE = "namespace-aws-gg-deployment"


class Nucleus:
    """A core that takes every deployment to its groups, and predicts with what it brings.

    Args:
        core: who it is.
        fails: the releases that it cannot run.
        agreed: of twenty inputs, how many both releases answer alike.
        says: more of its report, which is nucleus lite's.

    """

    def __init__(
        self, core: Core, gg: Any, *, fails: tuple[str, ...] = (), agreed: int = 20, says: dict[str, Any] | None = None
    ) -> None:
        self.core, self._gg, self.fails, self.agreed, self._says = core, gg, fails, agreed, says or {}
        self.took: list[dict[str, Any]] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=core.name)
        self._ready = threading.Event()

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(10)

    def _run(self) -> None:
        jobs = f"$aws/things/{self.core.name}/jobs"
        with Mqtt(self.core.platform, self.core.device, version=paho.MQTTv5) as nucleus:
            nucleus.publish(
                f"$aws/things/{self.core.name}/greengrassv2/health/json", health(self.core.name, **self._says)
            )
            nucleus.subscribe(f"{jobs}/notify-next-{NAMESPACE}", f"{jobs}/$next/{NAMESPACE}/get/accepted")
            nucleus.publish(f"{jobs}/$next/{NAMESPACE}/get", {"jobId": "$next", "includeJobDocument": True})
            self._ready.set()
            done: set[str] = set()
            while not self._stop.is_set():
                with contextlib.suppress(queue.Empty):
                    execution = nucleus._inbox.get(timeout=0.05).json.get("execution")
                    if execution and execution["jobId"] not in done:
                        done.add(execution["jobId"])
                        self._take(nucleus, jobs, execution)

    def _take(self, nucleus: Mqtt, jobs: str, execution: dict[str, Any]) -> None:
        document = execution["jobDocument"]
        self.took.append(document)
        model = next((name for name in document["components"] if name.startswith(PREFIX)), "")
        release = document["components"].get(model, {}).get("version", "")
        failed = release in self.fails
        # As nucleus lite 2.6 says it, whatever happened and whatever the policy asks for.
        details = {"detailedStatus": "FAILED_ROLLBACK_NOT_REQUESTED"}
        status = {"status": "FAILED", "statusDetails": details} if failed else {"status": "SUCCEEDED"}
        nucleus.publish(f"{jobs}/{execution['jobId']}/{NAMESPACE}/update", status)
        if model and not failed:
            for seq in range(21):
                nucleus.send(
                    f"iotctl/predictions/{self.core.name}/{model.removeprefix(PREFIX)}", self._said(model, release, seq)
                )

    def _said(self, model: str, release: str, seq: int) -> bytes:
        arn = (
            next(
                one["arn"]
                for one in self._gg.list_component_versions(
                    arn=f"arn:aws:greengrass:{self.core.platform.region}:{self.core.platform.account_id}:components:{model}"
                )["componentVersions"]
                if one["componentVersion"] == release
            )
            if seq == 0
            else ""
        )
        if arn:
            recipe = json.loads(self._gg.get_component(arn=arn)["recipe"])
            self._sha = recipe["ComponentConfiguration"]["DefaultConfiguration"]["inference"]["model"]["sha256"]
        return json.dumps(
            {
                "modelVersion": release,
                "modelSha256": self._sha,
                "bootId": release,
                "seq": seq,
                "latencyMs": 0.5,
                "predictions": [{"label": "7", "confidence": 0.9}],
                **({"sample": True} if seq == 0 else {"compared": seq, "agreed": min(seq, self.agreed)}),
            }
        ).encode()


@pytest.fixture(scope="session")
def bucket(running: Platform) -> str:
    """The account's own bucket."""
    return f"iotctl-{running.account_id}-{running.region}"


def deployed(gg: Any, arn: str) -> dict[str, Any]:
    """The latest deployment of a target."""
    (one,) = gg.list_deployments(targetArn=arn)["deployments"]
    found: dict[str, Any] = gg.get_deployment(deploymentId=one["deploymentId"])
    return found


@pytest.mark.usefixtures("platform", "bucket")
def test_the_life_of_a_model(
    gg: Any,
    iotctl: Callable[..., Ran],
    core: Callable[..., Core],
    group: Callable[..., str],
    component: Callable[..., str],
    name: Name,
) -> None:
    """Pushed beside what runs, again, stopped by a canary, promoted by one, failed, too large for lite, rolled back."""
    first, second = core("first"), core("second")
    line = group("line", first.name, second.name)
    canary = group("canary", first.name)
    component(name("com.example.App"))
    app = {"componentVersion": "1.0.0", "configurationUpdate": {"merge": '{"a": 1}'}}
    policies = {"failureHandlingPolicy": "DO_NOTHING"}
    gg.create_deployment(
        targetArn=line, components={name("com.example.App"): app}, deploymentPolicies=policies, tags={"owner": "me"}
    )
    digits, component_name = name("digits"), PREFIX + name("digits")
    common = ("--name", digits, "--yes", "--wait", "--timeout", "30s", "-o", "json")
    inputs = ("--labels", str(LOCAL / "digits-labels.txt"), "--sample", str(LOCAL / "digits-sample.json"))
    judged = ("--canary", name("canary"), "--soak", "0s", "--predictions", "20")

    classic = {"runtime": "", "ggcVersion": "2.14.0"}
    with Nucleus(first, gg, fails=("3.0.0",), says=classic) as one, Nucleus(second, gg, fails=("3.0.0",)) as two:
        pushed = iotctl("infer", "push", str(DIGITS), "-g", name("line"), "--release", "1.0.0", *inputs, *common)
        assert 0 == pushed.code, pushed.stderr
        assert pushed.envelope["data"]["prediction"].endswith(": 7 0.9")
        has = deployed(gg, line)
        assert (pushed.envelope["data"]["deploymentId"], app, {"owner": "me"}, "DO_NOTHING") == (
            has["deploymentId"],
            has["components"][name("com.example.App")],
            has["tags"],
            has["deploymentPolicies"]["failureHandlingPolicy"],
        )
        again = iotctl("infer", "push", str(DIGITS), "-g", name("line"), "--release", "1.0.0", *inputs, *common)
        assert (0, has["deploymentId"]) == (again.code, again.envelope["data"]["deploymentId"])

        other = iotctl("infer", "push", str(WORSE), "-g", name("line"), "--release", "1.0.0", *inputs, *common)
        assert (6, "its model, its files, its settings") == (
            other.code,
            other.envelope["errors"][0]["message"].split("another: ")[1],
        )

        one.agreed = 12
        worse = iotctl("infer", "push", str(WORSE), "-g", name("line"), "--release", "2.0.0", *inputs, *judged, *common)
        assert 10 == worse.code, worse.stderr
        assert "agreement 0.6" in worse.envelope["errors"][0]["message"]
        assert has["deploymentId"] == deployed(gg, line)["deploymentId"]
        back = deployed(gg, canary)
        assert (line, "1.0.0", app) == (
            back["parentTargetArn"],
            back["components"][component_name]["componentVersion"],
            back["components"][name("com.example.App")],
        )

        one.agreed = 20
        good = iotctl("infer", "push", str(WORSE), "-g", name("line"), "--release", "2.0.0", *inputs, *judged, *common)
        assert 0 == good.code, good.stderr
        assert "2.0.0" == deployed(gg, line)["components"][component_name]["componentVersion"]
        assert "merge" not in deployed(gg, line)["components"][component_name]["configurationUpdate"]

        bad = iotctl("infer", "push", str(DIGITS), "-g", name("line"), "--release", "3.0.0", *inputs, *common)
        assert 10 == bad.code
        assert "FAILED_ROLLBACK_NOT_REQUESTED" in bad.envelope["errors"][0]["cause"]
        assert f"iotctl infer rollback -g {name('line')}" in bad.envelope["errors"][0]["hint"]
        one.fails = two.fails = ()
        retried = iotctl("infer", "push", str(DIGITS), "-g", name("line"), "--release", "3.0.0", *inputs, *common)
        assert (0, True) == (retried.code, bad.envelope["data"] != retried.envelope["data"]), retried.stderr
        of_lite = ("--canary", group("lite", second.name).rpartition("/")[2])
        refused = iotctl("infer", "push", str(DIGITS), "-g", name("line"), "--release", "4.0.0", *of_lite, *common)
        assert (2, True) == (refused.code, f"{second.name} (nucleus lite)" in refused.stderr)
        many = [word for number in range(30) for word in ("--on", "confidence > 0.9", "--do", f"publish:t/{number}")]
        large = iotctl("infer", "push", str(DIGITS), "-g", name("line"), "--release", "4.0.0", *many, *common)
        assert (2, "RecipeTooLarge") == (large.code, large.envelope["errors"][0]["code"])
        words = ("--name", name("other"), "--release", "1.0.0", "--dry-run", "-o", "json")
        alone = iotctl("infer", "push", str(DIGITS), second.name, *words)
        assert "nucleus lite, which takes deployments to thing groups only" in alone.stdout
        target = ("-g", name("line"), "--yes", "--wait", "-o", "json")
        rolled = iotctl("infer", "rollback", *target)
        assert (0, "2.0.0") == (rolled.code, rolled.envelope["data"]["modelVersion"])
        rolled = iotctl("infer", "rollback", "--to", "1.0.0", *target)
        assert (0, "1.0.0") == (rolled.code, rolled.envelope["data"]["modelVersion"])
        now = deployed(gg, line)["components"]
        assert (app, "1.0.0") == (now[name("com.example.App")], now[component_name]["componentVersion"])
    assert all(name("com.example.App") in document["components"] for document in one.took)


@pytest.mark.usefixtures("platform", "bucket")
def test_what_greengrass_has_no_word_for_is_wrong(
    iotctl: Callable[..., Ran], iot: Any, gg: Any, name: Name, tmp_path: Path
) -> None:
    """A search or a list is no target, but a group made of it is."""
    iot.create_thing(thingName=name("core"))
    (tmp_path / "things.txt").write_text(name("core"))
    words = ("infer", "push", str(DIGITS), "--name", name("m"), "--release", "1.0.0", "--yes")
    listed = ("--things", str(tmp_path / "things.txt"))
    for wrong in (listed, ("--search", "thingName:x"), (name("core"), "--create-group", "g"), ()):
        assert 2 == iotctl(*words, *wrong).code
    assert 2 == iotctl("infer", "push", str(DIGITS), name("core"), "--yes").code
    assert 8 == iotctl(*words, name("nobody")).code
    assert 8 == iotctl(*words, name("core"), "--bucket", "no-such-bucket-at-all").code
    dry = iotctl(*words, *listed, "--create-group", name("line"), "--dry-run", "-o", "json")
    assert (0, 1) == (dry.code, dry.envelope["data"]["operations"]["iot:AddThingToThingGroup"])
    with pytest.raises(iot.exceptions.ResourceNotFoundException):
        iot.describe_thing_group(thingGroupName=name("line"))
    made = iotctl(*words, *listed, "--create-group", name("line"))
    assert 0 == made.code, made.stderr
    assert [name("core")] == iot.list_things_in_thing_group(thingGroupName=name("line"))["things"]
    arn = iot.describe_thing_group(thingGroupName=name("line"))["thingGroupArn"]
    assert [PREFIX + name("m")] == list(deployed(gg, arn)["components"])
    refused = iotctl(*words, name("core"), "--canary", name("line"))
    assert (2, True) == (refused.code, "thing groups only" in refused.stderr)


@pytest.mark.usefixtures("platform", "bucket")
def test_an_unsafe_model_is_never_sent(
    iotctl: Callable[..., Ran], iot: Any, s3: Any, name: Name, tmp_path: Path, bucket: str
) -> None:
    """Exit 9, with the reason; the bucket stays as it was."""
    iot.create_thing(thingName=name("core"))
    before = s3.list_objects_v2(Bucket=bucket).get("KeyCount")
    for content, reason in ((models.external(), "other files"), (models.nan(), "not finite")):
        (tmp_path / "model.onnx").write_bytes(content)
        ran = iotctl(
            *("infer", "push", str(tmp_path / "model.onnx"), name("core"), "--name", "m", "--release", "1.0.0", "--yes")
        )
        assert (9, True) == (ran.code, reason in ran.stderr), ran.stderr
    assert before == s3.list_objects_v2(Bucket=bucket).get("KeyCount")


@pytest.mark.usefixtures("platform")
def test_status_tells_by_digest(
    iotctl: Callable[..., Ran], gg: Any, data: Any, core: Callable[..., Core], name: Name
) -> None:
    """The same model as its release's, another one, or not known; a thing that is no core is told."""
    one = core("core")
    model = name("digits")
    recipe = {
        "RecipeFormatVersion": "2020-01-25",
        "ComponentName": PREFIX + model,
        "ComponentVersion": "1.0.0",
        "ComponentConfiguration": {"DefaultConfiguration": {"inference": {"model": {"sha256": "ab" * 32}}}},
        "Manifests": [{"Platform": {"os": "linux"}}],
    }
    gg.create_component_version(inlineRecipe=json.dumps(recipe).encode())
    installed = {"componentName": PREFIX + model, "version": "1.0.0", "isRoot": True, "status": "RUNNING"}
    assert 0 == iotctl("infer", "status", one.name).code
    with Mqtt(one.platform, one.device, version=paho.MQTTv5) as nucleus:
        topic = f"$aws/things/{one.name}/greengrassv2/health/json"
        nucleus.publish(topic, health(one.name, components=[installed]))

        def row(sha256: str | None) -> dict[str, Any]:
            # What a device writes where an object belongs is no reason to show nothing of a fleet.
            said = {"sha256": sha256, "since": "2026-01-01T00:00:00.000Z", "refused": "nonsense"}
            reported = {"models": {model: said}}
            payload = json.dumps({"state": {"reported": reported if sha256 else None}})
            data.update_thing_shadow(thingName=one.name, shadowName="iotctl-models", payload=payload)
            ran = iotctl("infer", "status", one.name, "--exit-code", "-o", "json")
            (found,) = ran.envelope["data"]["models"]
            return {"code": ran.code, **found}

        same, other, unknown = row("ab" * 32), row("cd" * 32), row(None)
    assert (0, "same", "1.0.0", "RUNNING") == tuple(same[key] for key in ("code", "digest", "modelVersion", "state"))
    assert (4, "differs", "ab" * 32) == tuple(other[key] for key in ("code", "digest", "expectedSha256"))
    assert (0, "unknown") == (unknown["code"], unknown["digest"])
