"""A thing's agent in conversation with the jobs engine itself: messages in, messages out."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from iotctl import clock
from iotctl.local.devices import agent as agents
from iotctl.local.devices.agent import Action, Agent, Install, Pause, Reboot
from iotctl.local.devices.installer import Outcome
from iotctl.local.devices.roles import OBEDIENT, Role
from iotctl.local.devices.thing import Publish, Told
from iotctl.local.platform import open_store
from iotctl.local.services import LISTENERS, Message
from iotctl.local.state import State
from iotctl.local.store import Store
from iotctl.semantics.topics import matches
from tests.local.jobs.conftest import EPOCH, World

DONE = Outcome("SUCCEEDED", {"artifact": "fw", "release": "2", "sha256": "ab", "step": "installed"}, switched=True)
BAD = Outcome("FAILED", {"reason": "DIGEST_MISMATCH", "detail": "other bytes"})
STALE = Outcome("FAILED", {"reason": "DOWNLOAD_FAILED", "detail": "403"}, stale_url=True)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """A store of one's own, in this process, with every service's tables."""
    opened = open_store(State(tmp_path))
    yield opened
    opened.close()


@pytest.fixture
def world(store: Store, monkeypatch: pytest.MonkeyPatch) -> World:
    """A world with one thing `t`."""
    made = World(store)
    monkeypatch.setattr(clock, "epoch", lambda: made.time)
    monkeypatch.setattr(clock, "now", lambda: clock.datetime.fromtimestamp(made.time, clock.UTC))
    made.things("t")
    made.heard.clear()
    assert EPOCH == made.time
    return made


class Line:
    """The connection between the agent and the engine; what is to be installed waits for the test's word."""

    def __init__(self, world: World, role: Role = OBEDIENT) -> None:
        self.world = world
        self.agent = Agent("t", role)
        self.up = False
        self.told: list[tuple[str, str]] = []
        self.installs: list[Install] = []
        self.pauses: list[float] = []
        self.sent: list[str] = []

    def connect(self) -> None:
        """The thing connects; what came while it was away is lost to it."""
        self.up = True
        self.world.heard.clear()
        self.perform(self.agent.connected())

    def installed(self, outcome: Outcome) -> None:
        """An installation ends."""
        self.installs.pop(0)
        self.perform(self.agent.installed(outcome))

    def flow(self) -> None:
        """Give the thing what the engine published."""
        heard, self.world.heard = deque(self.world.heard), []
        while heard:
            event = heard.popleft()
            if self.up and any(matches(each, event.topic) for each in self.agent.filters):
                self.perform(self.agent.received(event.topic, bytes(event.payload)))

    def perform(self, actions: list[Action]) -> None:
        """Carry out what the thing does, in order."""
        for action in actions:
            match action:
                case Publish(topic, payload):
                    self.send(topic, payload)
                case Told(event, _, detail, _):
                    self.told.append((event, detail))
                case Install():
                    self.installs.append(action)
                case Pause(seconds):
                    self.pauses.append(seconds)
                case Reboot():
                    self.up = False
                    self.agent = Agent("t", self.agent.role)
        self.flow()

    def send(self, topic: str, payload: bytes) -> None:
        """Publish to the engine; the answer comes at once."""
        self.sent.append(topic.partition("/jobs/")[2])
        if not self.up:
            return
        store = self.world.store
        with store.transaction():
            for topic_filter, listener in LISTENERS:
                if matches(topic_filter, topic):
                    listener(store, Message(topic, payload, "t"))
        for event in self.world._pass_on():
            if event.to == "t":
                self.perform(self.agent.received(event.topic, bytes(event.payload)))


def details(world: World, job_id: str) -> dict[str, str]:
    """What the thing reported of a job."""
    found: dict[str, str] = world.execution(job_id, "t")["statusDetails"]["detailsMap"]
    return found


def test_a_job_is_done(world: World) -> None:
    """Delivered, installed, reported; each is told with its job."""
    line = Line(world)
    line.connect()
    world.job("j1", "t")
    line.flow()
    assert {"operation": "test"} == line.installs[0].document
    assert "IN_PROGRESS" == world.execution("j1", "t")["status"]
    line.installed(DONE)
    assert "SUCCEEDED" == world.execution("j1", "t")["status"]
    assert dict(DONE.details) == details(world, "j1")
    assert [("job-delivered", "test"), ("job-succeeded", "fw 2; installed")] == line.told
    assert "COMPLETED" == world.status("j1")


def test_three_jobs_are_done_in_their_order(world: World) -> None:
    """One at a time, and no question more than AWS's own workflow needs."""
    line = Line(world)
    line.connect()
    for job_id in ("j1", "j2", "j3"):
        world.later(seconds=1)
        world.job(job_id, "t")
        line.flow()
    for outcome in (DONE, BAD, DONE):
        assert 1 == len(line.installs)
        line.installed(outcome)
    statuses = [world.execution(job_id, "t")["status"] for job_id in ("j1", "j2", "j3")]
    assert ["SUCCEEDED", "FAILED", "SUCCEEDED"] == statuses
    assert ("job-failed", "DIGEST_MISMATCH: other bytes") in line.told
    expected = ["start-next", *(word for job_id in ("j1", "j2", "j3") for word in ("start-next", f"{job_id}/update"))]
    assert expected == line.sent


def test_a_thing_that_was_away_catches_up(world: World) -> None:
    """It asks at its next connect."""
    line = Line(world)
    world.job("j1", "t")
    line.connect()
    line.installed(DONE)
    assert "SUCCEEDED" == world.execution("j1", "t")["status"]


def test_a_connection_that_is_lost_while_it_installs(world: World) -> None:
    """The report waits for the next connection; nothing is installed twice."""
    line = Line(world)
    line.connect()
    world.job("j1", "t")
    line.flow()
    line.up = False
    line.installed(DONE)
    assert "IN_PROGRESS" == world.execution("j1", "t")["status"]
    line.connect()
    assert ("SUCCEEDED", []) == (world.execution("j1", "t")["status"], line.installs)


def test_a_connection_that_comes_back_while_it_installs(world: World) -> None:
    """The same execution is given again; it is not begun again, and the report has its newest version."""
    line = Line(world)
    line.connect()
    world.job("j1", "t")
    line.flow()
    line.connect()
    world.report("t", "j1", "IN_PROGRESS", statusDetails={"step": "somebody else's"})
    assert 1 == len(line.installs)
    line.installed(DONE)
    assert "SUCCEEDED" == world.execution("j1", "t")["status"]
    assert [4, 2] == [line.sent.count("start-next"), line.sent.count("j1/update")]


def test_a_reboot_in_the_middle(world: World) -> None:
    """It is installed, the thing is away, and then it finds it installed."""
    line = Line(world, Role(reboots=True))
    line.connect()
    world.job("j1", "t")
    line.flow()
    line.installed(DONE)
    assert (False, "rebooting") == (line.up, details(world, "j1")["step"])
    line.connect()
    line.installed(Outcome("SUCCEEDED", {**DONE.details, "step": "was installed already"}))
    assert "SUCCEEDED" == world.execution("j1", "t")["status"]
    assert ["job-delivered", "job-resumed", "job-succeeded"] == [event for event, _ in line.told]


def test_what_fails_does_not_reboot(world: World) -> None:
    """Nothing was switched to."""
    line = Line(world, Role(reboots=True))
    line.connect()
    world.job("j1", "t")
    line.flow()
    line.installed(BAD)
    assert (True, "FAILED") == (line.up, world.execution("j1", "t")["status"])


def test_a_slow_thing(world: World) -> None:
    """It has started, and acts when its time has come."""
    line = Line(world, Role(delay=7))
    line.connect()
    world.job("j1", "t")
    line.flow()
    assert ([7], []) == (line.pauses, line.installs)
    line.perform(line.agent.resume())
    line.installed(DONE)
    assert "SUCCEEDED" == world.execution("j1", "t")["status"]


def test_a_job_that_is_canceled_while_it_installs(world: World) -> None:
    """With force: the report is refused, which is told; the next job's turn comes."""
    line = Line(world)
    line.connect()
    world.job("j1", "t")
    line.flow()
    world.later(seconds=1)
    world.job("j2", "t")
    world.call("CancelJob", jobId="j1", force=True)
    line.flow()
    line.installed(DONE)
    assert "job-lost" in [event for event, _ in line.told]
    assert 1 == len(line.installs)
    line.installed(DONE)
    assert ["CANCELED", "SUCCEEDED"] == [world.execution(job_id, "t")["status"] for job_id in ("j1", "j2")]


def test_a_canceled_job_is_forgotten_at_the_next_connect(world: World) -> None:
    """Even while it is being installed: its outcome is nobody's business any more."""
    line = Line(world)
    line.connect()
    world.job("j1", "t")
    line.flow()
    world.call("CancelJob", jobId="j1", force=True)
    line.connect()
    world.job("j2", "t")
    line.flow()
    line.installed(DONE)
    line.installed(DONE)
    assert ["CANCELED", "SUCCEEDED"] == [world.execution(job_id, "t")["status"] for job_id in ("j1", "j2")]


def test_a_failure_is_tried_again(world: World) -> None:
    """By AWS, with a new execution number."""
    line = Line(world)
    line.connect()
    retry = {"criteriaList": [{"failureType": "FAILED", "numberOfRetries": 1}]}
    world.job("j1", "t", jobExecutionsRetryConfig=retry)
    line.flow()
    line.installed(BAD)
    world.later(minutes=10)
    line.flow()
    line.installed(DONE)
    assert "SUCCEEDED" == world.execution("j1", "t")["status"]


def test_a_url_that_has_run_out_is_asked_for_anew(world: World) -> None:
    """A few times, with the document; then it has failed."""
    line = Line(world)
    line.connect()
    world.job("j1", "t")
    line.flow()
    for _ in range(agents.RENEWALS):
        line.installed(STALE)
    assert agents.RENEWALS == line.sent.count("j1/get")
    line.installed(STALE)
    assert "FAILED" == world.execution("j1", "t")["status"]


def test_throttling_is_waited_for() -> None:
    """AWS IoT's own limit of an account: the same is asked again later."""
    agent = Agent("t")
    (first,) = agent.connected()
    said = json.dumps({"code": "RequestThrottled", "message": "slow down"}).encode()
    (pause,) = agent.received("$aws/things/t/jobs/start-next/rejected", said)
    assert isinstance(pause, Pause)
    (again,) = agent.resume()
    assert isinstance(first, Publish)
    assert isinstance(again, Publish)
    assert first.topic == again.topic


@pytest.mark.parametrize("payload", [b"", b"{", b"[]", b'{"execution":7}', b'{"execution":{}}', b'{"code":1}', b"\xff"])
@pytest.mark.parametrize("verb", ["notify-next", "start-next/accepted", "start-next/rejected", "j/get/accepted"])
def test_what_cannot_be_read_is_told(verb: str, payload: bytes) -> None:
    """Nothing else happens, whoever sent it."""
    agent = Agent("t")
    agent.connected()
    found: list[Any] = agent.received(f"$aws/things/t/jobs/{verb}", payload)
    assert all(isinstance(action, Told | Publish) for action in found)


def test_others_messages_are_nothing_to_it() -> None:
    """Another thing's, another service's jobs, and no jobs at all."""
    agent = Agent("t")
    for topic in ("$aws/things/u/jobs/notify-next", "$aws/things/t/jobs/notify-next-namespace-x", "a/b"):
        assert [] == agent.received(topic, b'{"execution":{"jobId":"j"}}')
