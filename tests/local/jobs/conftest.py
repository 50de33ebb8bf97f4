"""A world of jobs in this process: the store with its services, a clock to turn, and what is heard of it."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from iotctl import clock
from iotctl.local.services import LISTENERS, OPERATIONS, AwsError, Message
from iotctl.local.services.jobs import rolling
from iotctl.semantics.topics import matches

if TYPE_CHECKING:
    from iotctl.local.store import Event, Store

EPOCH = 1_900_000_000.0  # 2030-03-17T17:46:40Z
DOCUMENT = '{"operation":"test"}'


@dataclass
class World:
    """Operators, devices and the passing of time, on one store."""

    store: Store
    time: float = EPOCH
    heard: list[Event] = field(default_factory=list)

    def call(self, operation: str, **parameters: Any) -> dict[str, Any]:
        """Call an operation of `iot`, or of the service that is named."""
        name = operation if ":" in operation else f"iot:{operation}"
        answer = OPERATIONS[name](self.store, **parameters)
        self._pass_on()
        return answer

    def refused(self, operation: str, **parameters: Any) -> str:
        """The error of an operation that must be refused."""
        try:
            answer = self.call(operation, **parameters)
        except AwsError as error:
            return error.code
        raise AssertionError(f"it was not refused: {answer}")

    def things(self, *names: str, group: str | None = None) -> list[str]:
        """Create things, in a group if one is named; their ARNs."""
        if group:
            self.call("CreateThingGroup", thingGroupName=group)
        for name in names:
            self.call("CreateThing", thingName=name)
            if group:
                self.call("AddThingToThingGroup", thingName=name, thingGroupName=group)
        return [self.store.arn(f"thing/{name}") for name in names]

    def job(self, job_id: str, *targets: str, **more: Any) -> None:
        """Create a job for things by name, or for groups by `group/NAME`."""
        arns = [
            self.store.arn(f"thinggroup/{target[6:]}" if target.startswith("group/") else f"thing/{target}")
            for target in targets
        ]
        self.call("CreateJob", jobId=job_id, targets=arns, **{"document": DOCUMENT, **more})

    def describe(self, job_id: str) -> dict[str, Any]:
        """The job."""
        found: dict[str, Any] = self.call("DescribeJob", jobId=job_id)["job"]
        return found

    def status(self, job_id: str) -> str:
        """The status of a job."""
        return str(self.describe(job_id)["status"])

    def statuses(self, job_id: str) -> dict[str, str]:
        """The status of each thing's execution."""
        found = self.call("ListJobExecutionsForJob", jobId=job_id, maxResults=250)["executionSummaries"]
        return {one["thingArn"].rpartition("/")[2]: one["jobExecutionSummary"]["status"] for one in found}

    def execution(self, job_id: str, thing: str) -> dict[str, Any]:
        """An execution as operators see it."""
        found: dict[str, Any] = self.call("DescribeJobExecution", jobId=job_id, thingName=thing)["execution"]
        return found

    def ask(self, thing: str, verb: str, payload: Any = b"", client: str = "device") -> tuple[str, dict[str, Any]]:
        """Publish to a jobs topic as a device: accepted or rejected, and the answer, which nobody else gets."""
        topic = f"$aws/things/{thing}/jobs/{verb}"
        content = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
        listeners = [listener for topic_filter, listener in LISTENERS if matches(topic_filter, topic)]
        assert len(listeners) == 1
        with self.store.transaction():
            listeners[0](self.store, Message(topic, content, client))
        answers = [event for event in self._pass_on() if event.to]
        assert [client] == [event.to for event in answers]
        return answers[0].topic.removeprefix(f"{topic}/"), json.loads(answers[0].payload)

    def report(self, thing: str, job_id: str, status: str, **more: Any) -> dict[str, Any]:
        """Report a status, which must be accepted."""
        verb, answer = self.ask(thing, f"{job_id}/update", {"status": status, **more})
        assert verb == "accepted", answer
        return answer

    def later(self, minutes: float = 0, seconds: float = 0) -> None:
        """Turn the clock, and do what becomes due on the way at its time."""
        end = self.time + minutes * 60 + seconds
        while (due := rolling.next_due(self.store)) is not None and due <= end:
            self.time = max(self.time, due)
            rolling.run_due(self.store)
            self._pass_on()
        self.time = end

    def notices(self) -> list[tuple[str, dict[str, Any]]]:
        """What subscribers heard since the last call: topics without what comes before the job's part, and payloads."""
        heard, self.heard = self.heard, []
        return [
            (event.topic.partition("/jobs/")[2] or event.topic, json.loads(event.payload))
            for event in heard
            if "/jobs/" in event.topic or event.topic.startswith("$aws/events/job")
        ]

    def topics(self) -> list[str]:
        """The topics of `notices`."""
        return [topic for topic, _ in self.notices()]

    def _pass_on(self) -> list[Event]:
        """Give services what is theirs, and keep what subscribers hear."""
        came: list[Event] = []
        while events := self.store.drain():
            for event in events:
                for topic_filter, listener in LISTENERS:
                    if event.topic.startswith("$local/") and matches(topic_filter, event.topic):
                        with self.store.transaction():
                            listener(self.store, Message(event.topic, event.payload))
                came.append(event)
        self.heard += [event for event in came if not event.to and not event.topic.startswith("$local/")]
        return came


@pytest.fixture
def world(store: Store, monkeypatch: pytest.MonkeyPatch) -> World:
    """A new world, with one thing `t`."""
    made = World(store)
    monkeypatch.setattr(clock, "epoch", lambda: made.time)
    made.things("t")
    made.notices()
    return made
