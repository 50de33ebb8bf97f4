"""`ota watch` on the platform: rollouts, jobs that are none, their verdicts, events, and the report."""

from __future__ import annotations

import threading
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

import pytest

from iotctl.ota import following
from iotctl.ota.rollout import CANARY, FLEET, Goal, Labels, job_id, rollout_id
from tests.local.clients import until
from tests.ota import watched as world

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.conftest import Ran
    from tests.ota.watched import Watched

lines, watched = world.lines, world.watched
ABORT = {
    "criteriaList": [
        {"failureType": "ALL", "action": "CANCEL", "thresholdPercentage": 20.0, "minNumberOfExecutedThings": 5}
    ]
}


def test_a_job_that_is_done(watched: Watched, iotctl: Callable[..., Ran]) -> None:
    """One row in a pipe, the verdict on stderr, 0."""
    names = watched.things(3)
    job = watched.job("j", names)
    watched.report(job, names)
    ran = iotctl("ota", "watch", job)

    assert (0, [job, "job", "COMPLETED", "3", "3"]) == (ran.code, ran.stdout.split("\t")[:5])
    assert "passed: 3 of 3 things succeeded (100 %)" in ran.stderr


def test_things_that_never_come(watched: Watched, iotctl: Callable[..., Ran]) -> None:
    """With a share to pass they are no failure; without one it is still running; at the deadline it has failed."""
    names = watched.things(10)
    job = watched.job("j", names)
    watched.report(job, names[:9])

    assert [0, 13, 10] == [
        iotctl("ota", "watch", job, *words).code
        for words in (("--pass", "90%"), ("--timeout", "0.1s"), ("--deadline", "0.01s"))
    ]
    ran = iotctl("ota", "watch", job, "--timeout", "0.1s", "-o", "json")
    assert "still running: 9 of 10 things succeeded (90 %), 1 never reached" in ran.stderr
    assert f"iotctl ota watch {job}" in ran.stderr


def test_its_own_criteria_stop_it(watched: Watched, iotctl: Callable[..., Ran], lines: Any) -> None:
    """10, with the reasons by how many things had them; those that it never came to are told apart."""
    names = watched.things(10)
    job = watched.job("j", names, abortConfig=ABORT)
    watched.report(job, names[:3])
    watched.report(job, names[3:5], "FAILED", reason="DISK", detail="full")
    ran = iotctl("ota", "watch", job, "-o", "json")
    ending = lines(ran.stdout)[-1]

    assert (10, "failed", 10) == (ran.code, ending["data"]["verdict"]["state"], ending["exitCode"])
    assert (2, 3, 5) == tuple(ending["data"][key] for key in ("failed", "succeeded", "canceled"))
    assert [("DISK", "FAILED", 2, sorted(names[3:5]))] == [
        (each["reason"], each["status"], each["count"], each["things"]) for each in ending["data"]["failures"]
    ]
    assert "2 FAILED DISK: full" in ran.stderr
    assert f"iotctl ota retry {job}" in ending["errors"][0]["hint"]


@pytest.fixture
def events(watched: Watched) -> Iterator[None]:
    """Job events are switched on for the account."""
    kinds = ("JOB", "JOB_EXECUTION")
    watched.iot.update_event_configurations(eventConfigurations={kind: {"Enabled": True} for kind in kinds})
    yield
    watched.iot.update_event_configurations(eventConfigurations={kind: {"Enabled": False} for kind in kinds})


class Watching:
    """`ota watch` in a thread of its own."""

    def __init__(self, iotctl: Callable[..., Ran], *words: str) -> None:
        self.ran: list[Ran] = []
        self._thread = threading.Thread(target=lambda: self.ran.append(iotctl("ota", "watch", *words)))
        self._thread.start()

    def end(self) -> Ran:
        """How it ended."""
        self._thread.join(20)
        return self.ran[0]


def test_events_say_when_and_why(
    watched: Watched, events: None, iotctl: Callable[..., Ran], lines: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a look every quarter of a minute only, each change is seen at once; no reason is asked for."""
    monkeypatch.setattr(following.Rhythm, "is_due", lambda self, _: self._hurried)
    subscribed = threading.Event()
    subscribe = following.mqtt.Connection.subscribe

    def subscribing(self: Any, filters: Any) -> None:
        subscribe(self, filters)
        subscribed.set()

    monkeypatch.setattr(following.mqtt.Connection, "subscribe", subscribing)
    names = watched.things(4)
    job = watched.job("j", names)
    watching = Watching(iotctl, job, "-o", "json", "--reasons", "0", "--pass", "50%")
    assert subscribed.wait(10)
    watched.report(job, names[:2], "IN_PROGRESS")
    watched.report(job, names[:2], "FAILED", reason="DISK")
    watched.report(job, names[2:])
    ran = watching.end()

    assert (0, "DISK") == (ran.code, lines(ran.stdout)[-1]["data"]["failures"][0]["reason"])


def test_changes_are_rows(watched: Watched, iotctl: Callable[..., Ran], lines: Any) -> None:
    """Without events too: one row for each change that was seen, none where nothing changed, the last as it ended."""
    names = watched.things(4)
    job = watched.job("j", names)
    watching = Watching(iotctl, job, "-o", "json")
    watched.report(job, names[:2], "IN_PROGRESS")
    until(lambda: watched.iot.describe_job(jobId=job)["job"]["jobProcessDetails"]["numberOfQueuedThings"] != 4, 5)
    watched.report(job, names)
    ran = watching.end()
    *rows, ending = lines(ran.stdout)

    numbers = [{key: value for key, value in row.items() if key in {"succeeded", "inProgress"}} for row in rows]
    assert (0, {"succeeded": 4, "inProgress": 0}) == (ran.code, numbers[-1])
    assert len(numbers) == len({tuple(each.items()) for each in numbers})
    assert {"row"} == {row["type"] for row in rows}
    assert {"state": "passed", "reason": "4 of 4 things succeeded (100 %)"} == ending["data"]["verdict"]


def test_things_of_a_group_that_wait_to_be_notified_are_counted(watched: Watched, iotctl: Callable[..., Ran]) -> None:
    """Two a minute of five: no share is reached by those that came first."""
    names, group = watched.things(5), f"{watched.prefix}-g"
    arn = watched.iot.create_thing_group(thingGroupName=group)["thingGroupArn"]
    for name in names:
        watched.iot.add_thing_to_thing_group(thingGroupName=group, thingName=name)
    job = f"{watched.prefix}-j"
    watched.iot.create_job(jobId=job, targets=[arn], document="{}", jobExecutionsRolloutConfig={"maximumPerMinute": 2})
    notified = watched.iot.list_job_executions_for_job(jobId=job)["executionSummaries"]
    watched.report(job, [one["thingArn"].rpartition("/")[2] for one in notified])
    ran = iotctl("ota", "watch", job, "--timeout", "0.1s")

    assert (13, ["5", "2"], "3") == (ran.code, ran.stdout.split("\t")[3:5], ran.stdout.split("\t")[10])


def test_a_continuous_job_is_judged_though_it_never_completes(watched: Watched, iotctl: Callable[..., Ran]) -> None:
    """Once everything that it is for now has it; who comes later gets it, and that is told."""
    (name,), group = watched.things(1), f"{watched.prefix}-c"
    arn = watched.iot.create_thing_group(thingGroupName=group)["thingGroupArn"]
    watched.iot.add_thing_to_thing_group(thingGroupName=group, thingName=name)
    job = f"{watched.prefix}-j"
    watched.iot.create_job(jobId=job, targets=[arn], document="{}", targetSelection="CONTINUOUS")
    watched.report(job, [name])
    ran = iotctl("ota", "watch", job)

    assert (0, True) == (ran.code, "is still IN_PROGRESS: things that come later get it" in ran.stderr)


def rolled_out(watched: Watched, names: list[str], canary: int, **goal: Any) -> tuple[str, Callable[[str], str]]:
    """A rollout as `ota create` and `ota step` leave it: its id, and what makes a phase's job."""
    rollout = rollout_id("fw", "1.0", {"test": watched.prefix})
    labels = Labels(rollout, CANARY, "fw", "1.0", canary, Goal(**goal), "s3://b/k.json", "0" * 64)

    def make(phase: str) -> str:
        things = names[:canary] if phase == CANARY else names
        tags = replace(labels, phase=phase, things=len(things)).tags()
        watched.iot.create_job(
            jobId=job_id(rollout, phase), targets=watched.arns(things), document='{"operation":"x"}', tags=tags
        )
        return job_id(rollout, phase)

    return rollout, make


def test_a_rollout_is_followed_from_its_canary_into_the_fleet(
    watched: Watched, iotctl: Callable[..., Ran], lines: Any
) -> None:
    """A canary that is done is no verdict; the fleet's job is found when it comes; its tags say what passes."""
    names = watched.things(10)
    rollout, make = rolled_out(watched, names, 2, passing=Decimal(90))
    canary = make(CANARY)
    watched.report(canary, names[:2])
    alone = iotctl("ota", "watch", rollout, "--timeout", "0.1s")
    assert (13, True) == (alone.code, "canary done, the next phase is to come" in alone.stderr)
    assert 2 == alone.stderr.count(f"iotctl ota step {rollout} goes on to the fleet"), "as it happens, and at the end"
    watching = Watching(iotctl, canary, "-o", "json")
    watched.report(make(FLEET), names[:9])
    ran = watching.end()
    *rows, ending = lines(ran.stdout)

    assert (0, rollout, 10, 1) == (
        ran.code,
        *(ending["data"][key] for key in ("rolloutId", "things", "neverReached")),
    )
    assert [CANARY, FLEET] == list(dict.fromkeys(row["phase"] for row in rows if row["type"] == "row"))
    shown = iotctl("ota", "show", rollout, "-o", "json").envelope["data"]
    assert ({"name": "fw", "release": "1.0"}, "90") == (shown["artifact"], shown["goal"]["pass"])


@pytest.mark.parametrize("ended", [True, False], ids=["ended", "at it"])
def test_a_rollout_that_is_canceled_in_its_canary_stays_there(
    watched: Watched, iotctl: Callable[..., Ran], ended: bool
) -> None:
    """Though enough of the canary have it, no step goes on, on any machine; and it is told as failed."""
    names = watched.things(6)
    rollout, make = rolled_out(watched, names, 2, passing=Decimal(50))
    watched.report(make(CANARY), names[: 2 if ended else 1])
    canceled = iotctl("ota", "cancel", rollout, "--yes")
    assert (0, True) == (canceled.code, "the fleet does not follow" in canceled.stderr)

    step, watch = iotctl("ota", "step", rollout, "--yes"), iotctl("ota", "watch", rollout)
    assert (10, 10) == (step.code, watch.code)
    assert "stopped before the fleet" in watch.stderr
    assert "is open" in iotctl("ota", "cancel", rollout, "--yes").stderr
    assert 1 == sum(job["jobId"].startswith(rollout) for job in watched.iot.list_jobs()["jobs"])


def test_a_canary_that_fails_is_a_rollout_that_fails(watched: Watched, iotctl: Callable[..., Ran]) -> None:
    """Nothing is waited for that will not come."""
    names = watched.things(4)
    rollout, make = rolled_out(watched, names, 2)
    canary = make(CANARY)
    watched.report(canary, names[:1])
    watched.report(canary, names[1:2], "REJECTED")

    assert 10 == iotctl("ota", "watch", rollout).code


@pytest.mark.parametrize(("share", "code", "outcome"), [("100%", 10, "failure"), ("50%", 0, "skipped")])
def test_the_report_says_what_the_exit_code_says(
    watched: Watched, iotctl: Callable[..., Ran], tmp_path: Path, share: str, code: int, outcome: str
) -> None:
    """A case for each thing and one for the verdict; a failure that the share allows for fails no build."""
    names = watched.things(4)
    job = watched.job("j", names)
    watched.report(job, names[:2])
    watched.report(job, names[2:3], "FAILED", reason="DISK <&", detail="full")
    path = tmp_path / "r.xml"
    ran = iotctl("ota", "watch", job, "--pass", share, "--report", f"junit={path}", "--timeout", "0.1s")
    root = ET.parse(path).getroot()
    cases = {case.get("name"): case for case in root.iter("testcase")}

    assert (code, {*names, f"verdict on {job}"}) == (ran.code, set(cases))
    failed = cases[names[2]].find(outcome)
    assert failed is not None
    assert ("FAILED DISK <&", "detail: full\nreason: DISK <&") == (failed.get("message"), failed.text)
    assert [[], ["skipped"]] == [[part.tag for part in cases[name]] for name in (names[0], names[3])]
    assert (code == 10) == any(int(suite.get("failures", 0)) for suite in root)


def test_what_is_not_there(watched: Watched, iotctl: Callable[..., Ran]) -> None:
    """8, with where to look; 8 too for one that is deleted under the watcher's eyes."""
    ran = iotctl("ota", "watch", f"{watched.prefix}-none")
    assert (8, True) == (ran.code, "iotctl ota list" in ran.stderr)
    job = watched.job("j", watched.things(1))
    watching = Watching(iotctl, job)
    watched.iot.delete_job(jobId=job, force=True)
    assert watching.end().code in {8, 10}


@pytest.mark.parametrize("words", [("--pass", "0%"), ("--timeout", "x"), ("--report", "junit"), ("--report", "html=x")])
def test_words_that_mean_nothing(iotctl: Callable[..., Ran], words: tuple[str, str]) -> None:
    """2, before anything is asked."""
    assert 2 == iotctl("ota", "watch", "x", *words).code
