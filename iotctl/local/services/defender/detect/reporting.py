"""What devices report of themselves over MQTT, in JSON or CBOR: kept, compared, and answered in the same format.

Source: AWS IoT developer guide, detect-device-side-metrics; reserved-topics; device-defender-troubleshoot, which has
the answers (it names one error code, InvalidPayload). A report every five minutes is what AWS asks for; more often "may
be throttled", which is not done here.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from iotctl import text
from iotctl.errors import Usage
from iotctl.local.services import on
from iotctl.local.services.defender.detect import custom_metrics, profiles, targets, values, violations
from iotctl.semantics import cbor, reports, topics
from iotctl.semantics.behaviors import metric

if TYPE_CHECKING:
    from iotctl.local.services import Message
    from iotctl.local.store import Store
    from iotctl.semantics.reports import Report

_FILTER: Final = "$aws/things/+/defender/metrics/+"
_LONGEST_NAME: Final = 128
_MALFORMED: Final = "Malformed metrics report"


@on(_FILTER)
def on_report(store: Store, message: Message) -> None:
    """Take a report, of the device itself or of one that it speaks for."""
    captured = topics.capture(_FILTER, message.topic)
    assert captured is not None, "it is the filter that brought the message"
    thing, form = captured
    content: Any = None
    answer: dict[str, Any] = {"thingName": thing}
    try:
        content = _decoded(message.payload, form)
        _check_name(thing)
        _take(store, thing, reports.read(content))
        verb, answer["status"] = "accepted", "ACCEPTED"
    except (reports.ReportError, cbor.CborError, Usage, UnicodeDecodeError, RecursionError) as error:
        verb, answer["status"] = "rejected", "REJECTED"
        why = error.message if isinstance(error, Usage) else str(error)
        answer["statusDetails"] = {"ErrorCode": "InvalidPayload", "ErrorMessage": f"{_MALFORMED}: {why}"}
    number = reports.report_id(content)
    if number is not None:
        answer["reportId"] = number
    answer["timestamp"] = int(store.now() * 1000)
    payload = cbor.encode(answer) if form == "cbor" else json.dumps(answer).encode()
    store.publish(f"{message.topic}/{verb}", payload)


def _check_name(thing: str) -> None:
    if len(thing.encode()) > _LONGEST_NAME or not thing.isprintable():
        raise reports.ReportError("the thing name is longer than 128 bytes or has control characters")


def _take(store: Store, thing: str, report: Report) -> None:
    """Keep what a profile keeps of a report, and compare it with how the device should behave."""
    declared = custom_metrics.types(store)
    measured = {
        name: value
        for name, value in report.values.items()
        if name not in report.custom or declared.get(name) == report.custom[name]
    }
    now = store.now()
    applying = targets.profiles_of(store, thing)
    kept = {scope[0] for profile in applying for scope in profile.measured()}
    for name in kept & measured.keys():
        values.keep(store, thing, (name, "", ""), now, measured[name])
    for profile in applying:
        for behavior in profile.behaviors:
            name, dimension, _ = profiles.scope_of(behavior)
            what = metric(name, declared)
            if what is None or what.cloud or dimension or name not in measured:
                continue
            value = measured[name]
            if what.timed:
                after = now - behavior["criteria"]["durationSeconds"]
                value = values.together(values.since(store, thing, (name, "", ""), after), "")
            violations.datapoint(store, profile, behavior, thing, value)


def _decoded(payload: bytes, form: str) -> object:
    if form == "cbor":
        return cbor.decode(payload)
    if form != "json":
        raise reports.ReportError(f"the format {form} is neither json nor cbor")
    content: object = text.loads(payload.rstrip(b"\0"), name="the report")
    return content
