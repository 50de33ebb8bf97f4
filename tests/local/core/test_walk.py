"""A core device from its thing to deployments that run: by job, by shadow, rolled back, after a restart, offline."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.local.clients import until
from tests.local.core.conftest import Operator, forever

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.cores import RunningCore
    from tests.local.conftest import Name

Start = Callable[..., "RunningCore"] if TYPE_CHECKING else None


def test_a_group_deployment_runs_and_operators_see_it(start_core: Start, operator: Operator, name: Name) -> None:
    """Job, groups, candidates, artifact with the role's credentials, variables, states, health, status of the job."""
    app, base, group = name("com.example.App"), name("com.example.Base"), name("cores")
    uri = operator.put(f"{name('k')}/hello.txt", b"hello from S3")
    operator.component(base, "1.0.1", {"install": "echo base for {iot:thingName}"})
    operator.component(
        app,
        "1.0.0",
        {
            "Setenv": {"GREETING": "{configuration:/greeting}"},
            "run": {"Script": "cat {artifacts:path}/hello.txt; echo; echo $GREETING; exec sleep 1000"},
        },
        uri,
        ComponentDependencies={base: {"VersionRequirement": "^1.0.0"}},
        ComponentConfiguration={"DefaultConfiguration": {"greeting": "hi", "kept": 1}},
    )
    core = start_core(name("core"), group)
    core.until("connected")
    update = {"componentVersion": "1.0.0", "configurationUpdate": {"merge": '{"greeting": "good day"}'}}
    deployment = operator.deploy(f"thinggroup/{group}", {app: update})
    core.until("deployment-succeeded", deployment)
    until(lambda: operator.effective(core.name)[deployment][0] == "SUCCEEDED")

    assert ["hello from S3", "good day"] == core.log(app).splitlines()
    assert [f"base for {core.name}"] == core.log(base).splitlines()
    assert {app: ("1.0.0", "RUNNING"), base: ("1.0.1", "FINISHED")} == operator.installed(core.name)
    device = operator.gg.get_core_device(coreDeviceThingName=core.name)
    assert ("HEALTHY", "linux") == (device["status"], device["platform"])


def test_a_thing_deployment_by_shadow_and_one_that_fails_rolls_back(
    start_core: Start, operator: Operator, name: Name
) -> None:
    """The failing version is tried three times, then the one before runs again, and the shadow says so."""
    app = name("com.example.App")
    operator.component(app, "1.0.0", forever("one"))
    operator.component(app, "2.0.0", {"startup": "echo it is no good >&2; exit 3"})
    core = start_core(name("core"))
    core.until("connected")
    first = operator.deploy(f"thing/{core.name}", {app: "1.0.0"})
    core.until("deployment-succeeded", first)
    second = operator.deploy(f"thing/{core.name}", {app: "2.0.0"})
    core.until("deployment-failed", second)

    assert 3 == len(core.told("ERRORED", f"{app} 2.0.0")) + len(core.told("BROKEN", f"{app} 2.0.0"))
    until(lambda: operator.effective(core.name)[second][0] == "FAILED")
    assert {app: ("1.0.0", "RUNNING")} == until(lambda: operator.installed(core.name))
    reason = operator.effective(core.name)[second][1] or ""
    assert reason.startswith(f"{app} 2.0.0 is broken: startup ended with code 3; it wrote: ")
    assert reason.endswith("it is no good")
    assert "one\none" in core.log(app).replace("it is no good\n", "")

    policies = {"failureHandlingPolicy": "DO_NOTHING"}
    third = operator.deploy(f"thing/{core.name}", {app: "2.0.0"}, deploymentPolicies=policies)
    core.until("deployment-failed", third)
    until(lambda: operator.installed(core.name) == {app: ("2.0.0", "BROKEN")})
    assert "UNHEALTHY" == operator.gg.get_core_device(coreDeviceThingName=core.name)["status"]
    assert "FAILED_ROLLBACK_NOT_REQUESTED" in core.told("deployment-failed", third)[0]["detail"]
    core.until("deployment-succeeded", operator.deploy(f"thing/{core.name}", {app: "1.0.0"}))
    assert {app: ("1.0.0", "RUNNING")} == until(lambda: operator.installed(core.name))
