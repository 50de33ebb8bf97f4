"""What a device's last connections left behind: its presence, and the log of AWS IoT."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from iotctl import clock, text
from iotctl.errors import Denied, Error, NoIndex, NotFound, Unsupported
from iotctl.onboard.doctor.check import Check, ok, problem, skipped
from iotctl.semantics import topics

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from iotctl.aws import Aws
    from iotctl.context import Context

LOG_GROUP: Final = "AWSIotLogsV2"
_LOOKS_BACK: Final = timedelta(hours=1)
_DUPLICATE: Final = "DUPLICATE_CLIENTID"
_ONE_TOO_MANY: Final = (
    "stop whoever else connects as it (a copy of its bundle, a second process): each device needs its own;"
    f" aws logs tail {LOG_GROUP} tells both addresses"
)
_SILENT: Final = ("DISABLED", None)
_NOT_CONFIGURED: Final = "NotConfiguredException"


def presence(aws: Aws, thing_name: str) -> tuple[Check, bool]:
    """What is known of the device's last connection; and whether it is connected now."""
    try:
        answer = aws.call("iot:GetThingConnectivityData", thingName=thing_name)
    except NotFound:
        return skipped("presence", "needs the thing"), False
    except NoIndex:
        return _of_broker(aws, thing_name)
    return judge(answer), bool(answer.get("connected"))


def _of_broker(aws: Aws, client_id: str) -> tuple[Check, bool]:
    """The same where fleet indexing does not hold it: the message broker itself knows half an hour back."""
    try:
        answer = aws.call("iot-data:GetConnection", clientId=client_id)
    except NotFound:
        answer = {}
    except (Denied, Unsupported):
        index = "aws iot update-indexing-configuration --thing-indexing-configuration"
        fix = f"{index} thingIndexingMode=REGISTRY,thingConnectivityIndexingMode=STATUS"
        return skipped("presence", "fleet indexing does not hold connectivity", fix), False
    at = answer.get("connectedSince") or answer.get("disconnectedSince")
    known = {**answer, "timestamp": datetime.fromtimestamp(at / 1000, UTC) if at else None}
    return judge(known), bool(answer.get("connected"))


def judge(answer: Mapping[str, Any]) -> Check:
    """What GetThingConnectivityData or GetConnection says of a device."""
    when = answer.get("timestamp")
    # Of a device that never connected AWS gives the beginning of 1970.
    at = f" since {clock.iso(when)}" if when and when.timestamp() else ""
    if answer.get("connected"):
        return ok("presence", f"it is connected{at}")
    reason = answer.get("disconnectReason", "")
    if reason == _DUPLICATE:
        return problem(
            "presence",
            f"it is not connected{at}: another connection with its client id threw it off ({reason})",
            _ONE_TOO_MANY,
        )
    if not at:
        return ok("presence", "nothing is known of a connection of it")
    return ok("presence", f"it is not connected{at}: {reason or 'UNKNOWN'}")


def watched(context: Context, thing_name: str, seconds: float) -> Check:
    """What becomes of the device's connections for a while; one that is thrown off by another ends the wait.

    Args:
        context: of the command; its operator listens.
        thing_name: the client id.
        seconds: how long.

    """
    from iotctl.mqtt import Notice

    came = 0
    with context.operator() as connection:
        connection.subscribe([topics.presence("+", thing_name)])
        for message in connection.listen(until=clock.monotonic() + seconds):
            if isinstance(message, Notice):
                continue
            came += 1
            event = text.loads(message.payload, name="a presence event")
            if event.get("disconnectReason") == _DUPLICATE:
                detail = f"another connection with its client id has just thrown it off ({_DUPLICATE})"
                return problem("presence", detail, _ONE_TOO_MANY)
    return ok("presence", f"{text.count(came, 'event')} of its connection in {seconds:g} s, none of a second one")


def logs(aws: Aws, thing_name: str) -> Check:
    """What AWS IoT logged of the device within an hour, where it logs to CloudWatch."""
    if aws.target.kind == "local":
        return skipped("logs", "there is no CloudWatch here", "iotctl local logs tells what the platform logged")
    try:
        options = aws.call("iot:GetV2LoggingOptions")
    except Error as error:
        if error.code != _NOT_CONFIGURED:
            raise
        options = {}
    if options.get("disableAllLogs") or options.get("defaultLogLevel") in _SILENT:
        fix = "aws iot set-v2-logging-options --role-arn ROLE --default-log-level ERROR, and let it try again"
        return skipped("logs", "AWS IoT does not log", fix)
    since = clock.real_now() - _LOOKS_BACK
    try:
        pages = aws.pages(
            "logs:FilterLogEvents",
            logGroupName=LOG_GROUP,
            filterPattern=f'{{ $.clientId = "{thing_name}" && $.status = "Failure" }}',
            startTime=int(since.timestamp() * 1000),
        )
        events = [event["message"] for page in pages for event in page.get("events", [])]
    except NotFound:
        return skipped("logs", f"there is no log group {LOG_GROUP}: nothing was logged yet")
    return failures(events)


def failures(messages: Sequence[str]) -> Check:
    """What the failures in the log say, the last one in words."""
    if not messages:
        return ok("logs", f"{LOG_GROUP} has no failure of it within an hour")
    try:
        last = json.loads(messages[-1])
        words = " ".join(str(last[key]) for key in ("eventType", "reason", "details", "topicName") if last.get(key))
    except (ValueError, TypeError, AttributeError):
        words = messages[-1][:200]
    told = (
        f"{LOG_GROUP} has {text.count(len(messages), 'failure')} of it within an hour, at last: {text.sanitize(words)}"
    )
    return problem(
        "logs", told, f"aws logs tail {LOG_GROUP} --since 1h; the checks above say what AUTHORIZATION_FAILURE means"
    )
