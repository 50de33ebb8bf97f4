"""Behaviors that devices do not show: Device Defender's alarms that are on, or what happened to them. Read-only."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from iotctl import clock

if TYPE_CHECKING:
    from collections.abc import Container, Iterator, Mapping

    from iotctl.aws import Aws

COLUMNS: Final = ("violationId", "thingName", "securityProfileName", "behavior", "value", "since")
EVENT_COLUMNS: Final = ("violationId", "thingName", "securityProfileName", "behavior", "event", "value", "at")


def active(aws: Aws, *, profile: str | None, things: Container[str] | None, suppressed: bool) -> list[dict[str, Any]]:
    """The alarms that are on, the newest first.

    Args:
        aws: where.
        profile: only those of this security profile.
        things: only those of these; None: of every one.
        suppressed: also those whose alerts are suppressed.

    """
    found = []
    for one in _listed(aws, "iot:ListActiveViolations", "activeViolations", profile, suppressed):
        if things is None or one["thingName"] in things:
            since, last = one.get("violationStartTime"), one.get("lastViolationTime")
            found.append(
                {
                    **_row(one),
                    "value": shown(one.get("lastViolationValue")),
                    "metricValue": one.get("lastViolationValue"),
                    "since": clock.iso(since) if since else None,
                    "last": clock.iso(last) if last else None,
                }
            )
    return found


def events(
    aws: Aws, seconds: float, *, profile: str | None, things: Container[str] | None, suppressed: bool
) -> list[dict[str, Any]]:
    """What happened to alarms in the last so many seconds, the newest first."""
    now = clock.now()
    span = {"startTime": now - timedelta(seconds=seconds), "endTime": now}
    found = []
    for one in _listed(aws, "iot:ListViolationEvents", "violationEvents", profile, suppressed, **span):
        if things is None or one["thingName"] in things:
            at = one.get("violationEventTime")
            found.append(
                {
                    **_row(one),
                    "event": one["violationEventType"],
                    "value": shown(one.get("metricValue")),
                    "metricValue": one.get("metricValue"),
                    "at": clock.iso(at) if at else None,
                }
            )
    return found


def shown(value: Mapping[str, Any] | None) -> str:
    """A MetricValue for people: the number, or the list. Pure."""
    ((_, held),) = value.items() if value else ((None, ""),)
    return ", ".join(map(str, held)) if isinstance(held, list) else str(held)


def _listed(
    aws: Aws,
    op: str,
    member: str,
    profile: str | None,
    suppressed: bool,
    **params: Any,  # noqa: ANN401  AWS's own
) -> Iterator[dict[str, Any]]:
    named = {"securityProfileName": profile} if profile else {}
    for page in aws.pages(op, maxResults=250, listSuppressedAlerts=suppressed, **named, **params):
        yield from page.get(member, ())


def _row(one: Mapping[str, Any]) -> dict[str, Any]:
    behavior = one.get("behavior", {})
    return {
        "violationId": one["violationId"],
        "thingName": one["thingName"],
        "securityProfileName": one["securityProfileName"],
        "behavior": behavior.get("name"),
        "metric": behavior.get("metric"),
        "criteria": behavior.get("criteria"),
        "verificationState": one.get("verificationState"),
    }
