"""The steps of a push that wait: for a component to be deployable, for a canary's verdict, for the cores to run it.

They are effects of a plan (`infer:Deployable`, `infer:Listen`, `infer:Judge`, `infer:Await`), carried out by the root
like any other. What is awaited goes on in the cloud and on the cores: a wait that is cut short loses nothing, and the
same command goes on with it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from iotctl import clock, expression, mqtt, text
from iotctl.errors import Error, Integrity, Interrupted, NotFound, RolloutFailed, Temporary, Timeout
from iotctl.inbox import Inbox
from iotctl.infer import observe, plan, predictions, verdict
from iotctl.mqtt import Message

if TYPE_CHECKING:
    import threading

    from iotctl.context import Context
    from iotctl.infer.verdict import Tally

WAITING: Final = 10_000
_DEPLOYABLE_SECONDS: Final = 120.0
_FIRST_SECONDS: Final = 10.0
"""After the deployment; the prediction of the sample has mostly come before that."""
_PAUSES: Final = (0.1, 5.0)
"""Between two reads: the first, and the longest."""
_FAILED: Final = frozenset({"FAILED", "TIMED_OUT", "CANCELED", "REJECTED"})
_LEFT: Final = ("ROLLBACK_NOT_REQUESTED", "UNABLE_TO_ROLLBACK")
"""Of a core's detailed status: what failed is still there."""
_DONE: Final = frozenset({"SUCCEEDED", "COMPLETED"})
_SHOWN: Final = 5

Say = Callable[[Sequence[str]], None]
Effect = Callable[[Sequence[Mapping[str, Any]]], "list[dict[str, Any] | Error]"]


def effects(context: Context, stop: threading.Event, say: Say, stack: contextlib.ExitStack) -> dict[str, Effect]:
    """The effects of this capability's plans, by the names of their steps.

    Args:
        context: of the command.
        stop: set to end a wait early.
        say: words for a person.
        stack: closes what they opened.

    """
    rollout = Rollout(context, stop, say)
    stack.callback(rollout.close)
    return rollout.effects()


class Rollout:
    """One push under way: its connection, once it listens, and what it waits for.

    Args:
        context: of the command.
        stop: set to end a wait early.
        say: words for a person.

    """

    def __init__(self, context: Context, stop: threading.Event, say: Say) -> None:
        self._context, self._stop, self._say = context, stop, say
        self._aws = context.aws
        self._inbox: Inbox[mqtt.Item] = Inbox(WAITING)
        self._connections = contextlib.ExitStack()
        self._listens = False

    def effects(self) -> dict[str, Effect]:
        """Each by the name of its step."""
        return {
            plan.DEPLOYABLE: _each(self._deployable),
            plan.LISTEN: _each(self._listen),
            plan.JUDGE: _each(self._judge),
            plan.AWAIT: _each(self._await),
        }

    def close(self) -> None:
        """Disconnect."""
        self._connections.close()

    def _deployable(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        """AWS looks at a new component version for a moment: at its artifacts, above all."""
        for _ in self._moments(_DEPLOYABLE_SECONDS, "the component version to be deployable"):
            status = self._aws.call("greengrassv2:DescribeComponent", arn=asked["arn"])["status"]
            state = status["componentState"]
            if state == "DEPLOYABLE":
                return {}
            if state in {"FAILED", "DEPRECATED"}:
                errors = "; ".join(f"{uri}: {why}" for uri, why in (status.get("errors") or {}).items())
                raise Integrity(
                    f"Greengrass does not take the component version: {state}",
                    cause=text.sanitize(errors or status.get("message", "")),
                    hint="may these credentials, and Greengrass with them, read the artifacts' bucket?",
                )
        raise AssertionError  # pragma: no cover  the moments end with an error

    def _listen(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        """Subscribe to the model's predictions, before anything is deployed that makes some.

        Without a connection (no permission for it, say) the deployment is awaited all the same.
        """
        if self._listens:
            return {}
        try:
            connection = self._connections.enter_context(self._context.operator(self._inbox))
            connection.subscribe([predictions.topic_filter(model_name=asked["model"])])
        except Error as error:
            self._say([f"predictions cannot be followed: {error.message}"])
        else:
            self._listens = True
        return {}

    def _judge(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        """Follow the canary until enough is known, and refuse to go on where it is not good enough."""
        if not self._listens:
            raise Temporary(
                "the canary's predictions cannot be followed, so it cannot be judged",
                hint="iotctl account iam infer tail: what these credentials need",
            )
        condition = expression.parse(asked["promoteIf"], where="--promote-if")
        tally = verdict.Tally(asked["version"], asked["sha256"])
        target = asked["targetArn"].rpartition("/")[2]
        settled = self._settled(asked, tally)
        self._say([f"the canary {target} runs {asked['model']} {asked['version']} on {text.count(settled, 'core')}"])
        since, counted = clock.monotonic(), "compared" if "agreement" in condition.text else "predictions"
        try:
            for _ in self._moments(asked["seconds"], f"{asked['least']:,} predictions of the canary", tally):
                soaked = clock.monotonic() - since >= asked["soakSeconds"]
                if soaked and tally.facts().get(counted, 0) >= asked["least"]:
                    break
        except Timeout:
            # Enough predictions, and nothing to compare them with, is an answer.
            if tally.predictions < asked["least"]:
                raise
        facts = tally.facts()
        if fault := verdict.fault(facts, condition):
            raise RolloutFailed(
                f"the canary {target} stopped {asked['model']} {asked['version']}: {fault}",
                hint=f"{target} gets back what it had; a better model comes as a new --release",
            )
        self._say([f"the canary {target} is good: {verdict.described(facts)}"])
        return facts

    def _await(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        """Until every core of the target runs it, and the first prediction is here."""
        tally = verdict.Tally(asked["version"], asked["sha256"])
        cores = self._settled(asked, tally)
        if self._listens and cores:
            until = clock.monotonic() + _FIRST_SECONDS
            while tally.first is None and clock.monotonic() < until and not self._stop.is_set():
                self._hear(tally, 0.1)
        first = tally.first
        if first is None:
            return {"cores": cores}
        value = first.confidence
        shown = f"{first.label} {value:.3g}" if value is not None else str(first.label)
        return {"cores": cores, "prediction": text.sanitize(f"{first.thing_name}: {shown}")}

    def _settled(self, asked: Mapping[str, Any], tally: Tally) -> int:
        """Wait until a deployment is on every core of its target; how many those are.

        Raises:
            RolloutFailed: it failed on one, with that core's reason.

        """
        arn, deployment_id = asked["targetArn"], asked["deploymentId"]
        target = arn.rpartition("/")[2]
        what = f"{asked['model']} {asked['version']} to run on {target}"
        told = False
        for _ in self._moments(asked["seconds"], what, tally):
            states = self._states(arn, deployment_id)
            failed = {core: one for core, one in states.items() if one[0] in _FAILED}
            if failed:
                shown = "; ".join(f"{core} {state}: {why}" for core, (state, why) in list(failed.items())[:_SHOWN])
                raise RolloutFailed(
                    f"{asked['model']} {asked['version']} failed on {text.count(len(failed), 'core')} of {target}",
                    cause=text.sanitize(shown),
                    hint=_after(target if arn.rpartition(":")[2].startswith("thing/") else f"-g {target}", failed),
                )
            if states and all(state in _DONE for state, _ in states.values()):
                return len(states)
            if not states and not told:
                told = True
                self._say([f"{target} has no core device that has ever reported; waiting for the first"])
        raise AssertionError  # pragma: no cover  the moments end with an error

    def _states(self, arn: str, deployment_id: str) -> dict[str, tuple[str, str]]:
        """By core: the status of the deployment there, and why."""
        found = {}
        for core in observe.cores(self._aws, arn):
            name = core["coreDeviceThingName"]
            found[name] = ("QUEUED", "")
            with contextlib.suppress(NotFound):
                pages = self._aws.pages("greengrassv2:ListEffectiveDeployments", coreDeviceThingName=name)
                for one in (one for page in pages for one in page.get("effectiveDeployments", ())):
                    if one["deploymentId"] == deployment_id:
                        stack = (one.get("statusDetails") or {}).get("errorStack") or ()
                        why = "; ".join(part for part in (one.get("reason") or "", " > ".join(stack)) if part)
                        found[name] = (one["coreDeviceExecutionStatus"], why)
                        break
        return found

    def _moments(self, seconds: float, what: str, tally: Tally | None = None) -> Iterator[None]:
        """Moments to look again in, ever further apart; what comes meanwhile is counted.

        Raises:
            Timeout: they have lasted so long. Interrupted: the run was stopped.

        """
        until, pause = clock.monotonic() + seconds, _PAUSES[0]
        while True:
            yield
            left = until - clock.monotonic()
            if self._stop.is_set():
                raise Interrupted(f"stopped while waiting for {what}", hint="run the same command again: it goes on")
            if left <= 0:
                raise Timeout(
                    f"waited {seconds:g} s for {what}", hint="it goes on by itself; the same command waits again"
                )
            # Who is heard for the first time runs it, and says so to Greengrass in a moment.
            pause = _PAUSES[0] if self._hear(tally, min(pause, left)) else min(pause * 1.5, _PAUSES[1])

    def _hear(self, tally: Tally | None, seconds: float) -> bool:
        """Take in what comes; the first prediction of the release from a core ends the pause: whether one did."""
        until = clock.monotonic() + seconds
        while (left := until - clock.monotonic()) > 0 and not self._stop.is_set():
            if not self._listens:
                self._stop.wait(left)
                continue
            before = None if tally is None else len(tally.cores)
            for item in mqtt.taken(self._inbox, min(left, 0.5)):
                if isinstance(item, Message) and tally is not None:
                    tally.feed(item.topic, item.payload)
                elif not isinstance(item, Message):
                    self._say([f"{item.kind}: {item.detail}"])
            if tally is not None and len(tally.cores) != before:
                return True
        return False


def _after(target: str, failed: Mapping[str, tuple[str, str]]) -> str:
    """What to do after a failure; nucleus lite 2.6 never rolls back, whatever the deployment's policy asks for."""
    if any(word in why for _, why in failed.values() for word in _LEFT):
        return f"nothing was rolled back there, and it may start at the next boot: iotctl infer rollback {target}"
    return "those cores run what they ran before; the core's log says more"


def _each(act: Callable[[Mapping[str, Any]], dict[str, Any]]) -> Effect:
    """An effect of a function of one."""

    def effect(asked: Sequence[Mapping[str, Any]]) -> list[dict[str, Any] | Error]:
        answers: list[dict[str, Any] | Error] = []
        for one in asked:
            try:
                answers.append(act(one))
            except Error as error:
                answers.append(error)
        return answers

    return effect
