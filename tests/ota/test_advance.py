"""`ota step` on the platform: from the canary to the fleet, once, when it is due."""

from __future__ import annotations

from collections.abc import Callable

from tests.conftest import Ran
from tests.ota.pumps import Pumps, at_once, client

Make = Callable[..., Pumps]


def _stage(ran: Ran) -> tuple[int, str]:
    return ran.code, ran.envelope["data"]["stage"]


def test_a_rollout_from_its_canary_to_its_end(make: Make) -> None:
    """Waiting, then the fleet's job once, then done; repeating a step changes nothing."""
    pumps = make(4)
    made = pumps.create("--canary", "2", "--pass", "75%", "--deadline", "24h")
    assert (0, "canary") == _stage(pumps.step(made))
    assert 2 == pumps.play(*pumps.names)
    advanced = pumps.step(made)
    assert (0, 1) == (advanced.code, advanced.envelope["data"]["done"])
    fleet_job = client("iot").describe_job(jobId=f"{made}-fleet")["job"]
    assert [f"thinggroup/{pumps.group}"] == [target.rpartition(":")[2] for target in fleet_job["targets"]]
    assert (0, "fleet") == _stage(pumps.step(made))
    # The canary's things get the fleet's job too; three of four are enough.
    assert 3 == pumps.play(*pumps.names[:3])
    assert (0, "succeeded") == _stage(pumps.step(f"{made}-canary"))
    assert ["canary", "fleet"] == pumps.jobs(made)


def test_a_canary_that_fails_ends_the_rollout(make: Make) -> None:
    """Exit 10, and no fleet job, however often it is asked."""
    pumps = make(4)
    made = pumps.create("--canary", "2")
    pumps.play(*pumps.names, status="FAILED")
    for _ in range(2):
        assert (10, "failed") == _stage(pumps.step(made))
    assert ["canary"] == pumps.jobs(made)


def test_the_fleet_waits_for_the_gate_and_for_a_yes(make: Make) -> None:
    """The shadows of the canary's things must say so, then a person; the yes is noted on the job."""
    pumps = make(3)
    made = pumps.create("--canary", "2", "--gate", 'reported.fw == "1.4.0"', "--approve")
    few = [target.rpartition("/")[2] for target in client("iot").describe_job(jobId=f"{made}-canary")["job"]["targets"]]
    early = pumps.step(made, "--approve")
    assert ((0, "canary"), True) == (_stage(early), "the approval was not noted" in early.stderr)
    pumps.play(*few)
    pumps.report(few[0], fw="1.4.0")
    assert (0, "gated") == _stage(pumps.step(made))
    pumps.report(few[1], fw="1.4.0")
    assert (0, "unapproved") == _stage(pumps.step(made))
    assert ["canary"] == pumps.jobs(made)
    assert 0 == pumps.step(made, "--approve").code
    assert ["canary", "fleet"] == pumps.jobs(made)


def test_the_canary_soaks(make: Make) -> None:
    """From the moment when enough had succeeded."""
    pumps = make(3)
    made = pumps.create("--canary", "1", "--soak", "30m")
    pumps.play(*pumps.names)
    ran = pumps.step(made)
    assert (0, "soaking") == _stage(ran)
    assert ran.envelope["data"]["until"] > "2020"


def test_who_is_under_way_is_listed(make: Make, iotctl: Callable[..., Ran]) -> None:
    """A canary that went well and waits for its fleet is; one that failed is not."""
    pumps = make(3)
    waiting, failed = pumps.create("--canary", "1", "--soak", "30m"), pumps.create("--canary", "2")
    pumps.play(*pumps.targets(f"{failed}-canary"), status="FAILED", job_id=f"{failed}-canary")
    pumps.play(*pumps.names)
    shown = {row["rolloutId"]: row for row in iotctl("ota", "list", "-o", "json").envelope["data"]["rollouts"]}
    assert (True, False) == (waiting in shown, failed in shown)
    assert ("canary", "COMPLETED") == (shown[waiting]["phase"], shown[waiting]["status"])
    assert failed in iotctl("ota", "list", "--all", "-q").stdout.split()


def test_two_steppers_at_once_make_one_fleet_job(make: Make) -> None:
    """On two machines: both end well, the fleet's job is made once."""
    pumps = make(3)
    made = pumps.create("--canary", "1")
    pumps.play(*pumps.names)
    runs = at_once([("ota", "step", made, "-q")] * 2, pumps.directory)
    assert [0, 0] == [ran.returncode for ran in runs], [ran.stderr for ran in runs]
    listed = client("iot").list_jobs(thingGroupName=pumps.group)["jobs"]
    assert [f"{made}-fleet"] == [each["jobId"] for each in listed]


def test_what_is_no_rollout(iotctl: Callable[..., Ran], platform: object) -> None:
    """Not found, or no id at all."""
    assert 8 == iotctl("ota", "step", "pump-1-0123456789ab").code
    assert 2 == iotctl("ota", "step", "pump").code
