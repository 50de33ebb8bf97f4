"""The program as a whole: inputs to the runner, and what comes of them to whom it concerns."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import time
import uuid
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Callable

from inference import frames
from inference.actions import Actions
from inference.child import Item, Who
from inference.feedback import Uploader
from inference.log import say
from inference.outbox import Outbox
from inference.releases import Damaged, Release, Releases
from inference.runner import CRASHED, REFUSED, REVERTED, RUNNING, Broken, Runner
from inference.sources import Inbox, start
from inference.transport import connect

if TYPE_CHECKING:
    from inference.configuration import Configuration

SHADOW = "iotctl-models"
"""The named shadow that says what runs here, by digest."""

_DRAIN_SECONDS = 10.0
_LONGEST_WAIT = 1.0


class Place:
    """Where the program runs: its device, its directories, its environment."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self.environment = environment
        self.thing_name = environment.get("AWS_IOT_THING_NAME") or socket.gethostname()
        self.artifacts = environment.get("IOTCTL_ARTIFACTS") or "."
        self.work = environment.get("IOTCTL_WORK") or "."
        os.makedirs(self.work, mode=0o700, exist_ok=True)


class Agent:
    """One model at work on a core device."""

    def __init__(self, configuration: Configuration, place: Place) -> None:
        self._configuration = configuration
        self._place = place
        self._boot_id = uuid.uuid4().hex[:16]
        self._listened = os.path.join(place.work, "listened")
        """Its time is when this program last listened."""
        self._stopping = 0.0
        self._lost = ""
        self._states: dict[str, Any] = {}
        # Signals and other threads wake the loop through this pair.
        self._bell, self._button = socket.socketpair()
        self._bell.setblocking(False)
        self._button.setblocking(False)
        self._actions = Actions(configuration.actions)
        self._transport = connect(place.environment, self._gone)
        self._outbox = Outbox(self._transport, self.wake, per_second=configuration.publish.max_per_second)
        self._inbox = Inbox(self.wake)
        self._note_done: Callable[[], None] = lambda: None
        self._feedback: Uploader | None = None
        if configuration.feedback:
            say_of = self._outbox.important
            self._feedback = Uploader(configuration.feedback, place.thing_name, place.work, say_of)
        self._releases = Releases(os.path.join(place.work, "releases"), place.thing_name)
        scratch = os.path.join(place.work, "workers")
        shutil.rmtree(scratch, ignore_errors=True)  # what a killed program left
        os.makedirs(scratch, mode=0o700)
        self._runner = Runner(
            self._releases,
            Who(place.thing_name, self._boot_id),
            scratch,
            answered=self._answered,
            failed=self._failed,
            event=self._happened,
        )
        self._runner.watch(self._bell, self._woken)

    def wake(self) -> None:
        """There is something to do; from any thread."""
        try:
            self._button.send(b"!")
        except (BlockingIOError, OSError):
            return  # it rings already, or the program ends

    def stop(self, *_: object) -> None:
        """End when what is under way is answered; what its source keeps stays there, for the next start."""
        self._stopping = self._stopping or time.monotonic()
        self.wake()

    def run(self) -> int:
        """Until stopped, or the source has no more; the exit code."""
        signal.signal(signal.SIGTERM, self.stop)
        signal.signal(signal.SIGINT, self.stop)
        try:
            self._begin()
            self._note_done = start(self._configuration.source, self._inbox, self._transport, self._place.work)
            self._say_what_was_missed()
            repeat = time.monotonic() + self._configuration.interval
            while not self._over():
                if self._stopping and not self._inbox.left:
                    self._inbox.leave()
                    self._runner.leave()
                self._runner.give(self._inbox.take(self._runner.room))
                wait = self._outbox.step()
                if self._configuration.interval:
                    if time.monotonic() >= repeat:
                        repeat = time.monotonic() + self._configuration.interval
                        self._runner.sample()
                    wait = min(wait, max(0.0, repeat - time.monotonic()))
                self._runner.step(min(wait, _LONGEST_WAIT))
        except Broken as error:
            say(f"no model runs: {error}")
            return self._end(1)
        return self._end(1 if self._lost else 0)

    def _begin(self) -> None:
        """The release that ran before serves at once; the one that came with the component is tried beside it."""
        before = self._releases.current()
        try:
            given = self._releases.keep(self._configuration, self._place.artifacts)
        except Damaged as error:
            if before is None:
                raise Broken(str(error)) from error
            self._happened(REFUSED, Release("", "", self._configuration), str(error))
            given = before
        if before and before.id != given.id:
            self._runner.resume(before)
        elif self._configuration.compare:
            earlier = self._releases.previous()
            if earlier:
                self._runner.compare(earlier)
        self._runner.offer(given)

    def _say_what_was_missed(self) -> None:
        """Nobody keeps some inputs while this program restarts: that is said, and how long it was."""
        source = self._configuration.source
        if source.kind != "topic" or (self._transport.keeps and source.qos):
            return
        with contextlib.suppress(FileNotFoundError):
            away = max(0.0, time.time() - os.path.getmtime(self._listened))
            say(f"what was sent to {source.topic} within {away:.1f} s, while this program was not there, is lost")
        self._note_listening()

    def _note_listening(self) -> None:
        with open(self._listened, "wb"):
            os.utime(self._listened)

    def _over(self) -> bool:
        if self._lost or (self._stopping and time.monotonic() - self._stopping > _DRAIN_SECONDS):
            return True
        if not (self._inbox.left or self._inbox.ended):
            return False
        return not self._inbox and self._runner.idle

    def _end(self, code: int) -> int:
        self._runner.close()
        self._send_the_rest()
        if self._feedback:
            self._feedback.stop(_DRAIN_SECONDS)
            self._send_the_rest()
        self._note_done()
        self._note_listening()
        self._transport.close()
        for dropped, words in (
            (self._inbox.dropped, "inputs came faster than the model is and were dropped"),
            (self._outbox.dropped, "predictions were faster than publish.maxPerSecond and were dropped"),
        ):
            if dropped:
                say(f"{dropped} {words}")
        if self._lost:
            say(self._lost)
        return code

    def _send_the_rest(self) -> None:
        until = time.monotonic() + _DRAIN_SECONDS
        while not self._outbox.idle and not self._lost and time.monotonic() < until:
            time.sleep(min(self._outbox.step(), 0.01))  # the outbox says when it may send again

    def _woken(self) -> None:
        self._bell.recv(4096)

    def _gone(self, reason: str) -> None:
        if not self._stopping:
            self._lost = reason
            self.wake()

    def _answered(self, item: Item, flag: int, text: bytes) -> None:
        self._outbox.prediction(self._configuration.topic, text, self._configuration.publish.qos, item.done)
        if self._actions:
            for topic, payload in self._actions.due(json.loads(text), text):
                self._outbox.important(topic, payload)
        if self._feedback and flag == frames.SAMPLED:
            self._feedback.take(item.payload, item.name, text)
        elif self._feedback and flag == frames.DROPPED:
            self._feedback.leave_out(text)

    def _failed(self, release: Release, item: Item, seq: int, reason: str) -> None:
        """A worker ended on this input; it is answered with the reason, and not tried again."""
        model = release.configuration.model
        message = {
            "thingName": self._place.thing_name,
            "modelName": model.name,
            "modelVersion": model.release,
            "modelSha256": model.sha256,
            "bootId": self._boot_id,
            "seq": seq,
            "timestamp": _now(),
            "latencyMs": None,
            "predictions": [],
            "error": reason,
        }
        self._outbox.prediction(
            self._configuration.topic, json.dumps(message).encode(), self._configuration.publish.qos, item.done
        )

    def _happened(self, kind: str, release: Release, reason: str) -> None:
        """Tell the log, and the shadow what runs here and what does not."""
        model = release.configuration.model
        shown = f"{model.name} {model.release} ({model.sha256[:12]})"
        say(f"{shown} {_WORDS[kind]}" + (f": {reason}" if reason else ""))
        facts = {"release": model.release, "sha256": model.sha256, "since": _now()}
        if kind == RUNNING:
            self._states.update({**facts, "state": "running", "bootId": self._boot_id})
            self._runner.sample()
        elif kind == CRASHED:
            self._states["lastCrash"] = {**facts, "reason": reason}
        else:
            self._states["refused"] = {**facts, "reason": reason}
        if kind == RUNNING and self._states.get("refused", {}).get("sha256") == model.sha256:
            self._states["refused"] = None
        update = {"state": {"reported": {"models": {self._configuration.model.name: self._states}}}}
        topic = f"$aws/things/{self._place.thing_name}/shadow/name/{SHADOW}/update"
        self._outbox.important(topic, json.dumps(update).encode())


_WORDS = {
    RUNNING: "runs",
    REFUSED: "is refused",
    CRASHED: "crashed",
    REVERTED: "is taken back, the release before runs again",
}


def check(configuration: Configuration, place: Place) -> dict[str, Any]:
    """Load the model and try it with its sample, as `run` would, and nothing else.

    A component's install step runs it: a model that is no good fails its deployment, before it has replaced anything.

    Returns:
        What it is (`inputs`, `outputs`, `kind`, `latencyMs`) and the prediction; or `fault`, why it is no good.

    """
    import tempfile

    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(dir=place.work) as scratch:
        releases = Releases(os.path.join(scratch, "releases"), place.thing_name)
        runner = Runner(
            releases,
            Who(place.thing_name, "check"),
            scratch,
            answered=lambda _, __, text: found.update(prediction=json.loads(text)),
            failed=lambda *failed: found.update(fault=failed[-1]),
            event=lambda kind, _, reason: found.update(fault=reason) if kind == REFUSED else None,
        )
        try:
            runner.offer(releases.keep(configuration, place.artifacts))
            while runner.active is None:
                runner.step(_LONGEST_WAIT)
            found.update(runner.active.ready or {})
            runner.sample()
            while not ("prediction" in found or "fault" in found):
                runner.step(_LONGEST_WAIT)
        except (Broken, Damaged) as error:
            found["fault"] = str(error)
        finally:
            runner.close()
    return {"fault": found["fault"]} if "fault" in found else found


def _now() -> str:
    now = time.time()
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(now))}.{int(now % 1 * 1000):03d}Z"
