"""Every MQTT topic and topic filter that this tool speaks, built, parsed, matched and checked.

A name or id given to a builder becomes one level; a builder makes a filter when it is given `+`.
Sources: the developer guide's topics, reserved-topics, iot-basic-ingest and mqtt pages (the last with AWS's differences
from MQTT); MQTT 5.0 section 4.7; the Greengrass nucleus' own checks for what counts in a shared or reserved topic.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal

MAX_BYTES: Final = 256
"""Bytes of a topic or a filter, not counting `$aws/rules/<rule>/` and `$share/<group>/`."""
MAX_RESERVED_BYTES: Final = 512
"""Bytes of AWS's own topics: they hold names of up to 128 bytes and can outgrow 256."""
MAX_SLASHES: Final = 7
"""Slashes of a topic or a filter, counted like its bytes."""

ANSWERS: Final = ("accepted", "rejected")
PayloadFormat = Literal["json", "cbor"]

_UNUSABLE = re.compile("[\0\ud800-\udfff]")
_NOTIFY = re.compile(r"(notify|notify-next)(?:-namespace-(.+))?")
_SHADOW_VERBS: Final = frozenset(
    (
        *("get", "get/accepted", "get/rejected", "delete", "delete/accepted", "delete/rejected"),
        *("update", "update/accepted", "update/rejected", "update/delta", "update/documents"),
    )
)
_THING: Final = r"\$aws/things/[^/]+/"
# The reserved-topics page's table of what clients publish to, and the health reports of Greengrass.
_PUBLISHABLE = re.compile(
    rf"{_THING}shadow/(?:name/[^/]+/)?(?:get|update|delete)"
    rf"|{_THING}jobs/(?:get|start-next|[^/]+/(?:namespace-[^/]+/)?(?:get|update))"
    rf"|{_THING}(?:defender/metrics|greengrassv2/health|greengrass/health)/(?:json|cbor)"
    rf"|{_THING}streams/[^/]+/(?:get|describe)/(?:json|cbor)"
    r"|\$aws/certificates/create(?:-from-csr)?/(?:json|cbor)"
    r"|\$aws/provisioning-templates/[^/]+/provision/(?:json|cbor)"
    r"|\$aws/rules/.+"
)


class TopicError(ValueError):
    """A topic or a topic filter that AWS IoT does not take."""


@dataclass(frozen=True, slots=True)
class ShadowTopic:
    """A topic of a thing's shadow; `verb` is what follows the shadow's prefix: `get`, `update/accepted`, ..."""

    thing_name: str
    shadow_name: str | None
    verb: str


@dataclass(frozen=True, slots=True)
class JobsTopic:
    """A topic of a thing's jobs: `verb` is get, start-next, update, notify or notify-next, with its answer if any."""

    thing_name: str
    job_id: str | None
    verb: str
    namespace: str | None = None
    answer: str | None = None


def shadow(thing_name: str, verb: str, shadow_name: str | None = None) -> str:
    """A topic of a thing's classic or named shadow: `verb` is `get`, `update`, `update/accepted`, ..."""
    named = "" if shadow_name is None else f"name/{_level(shadow_name)}/"
    return f"$aws/things/{_level(thing_name)}/shadow/{named}{verb}"


def parse_shadow(topic: str) -> ShadowTopic | None:
    """What a shadow topic is about, None for any other topic."""
    levels = topic.split("/")
    if len(levels) < 5 or levels[0] != "$aws" or levels[1] != "things" or levels[3] != "shadow":
        return None
    named = levels[4] == "name"
    verb = "/".join(levels[6:] if named else levels[4:])
    if verb not in _SHADOW_VERBS or not levels[2] or (named and not levels[5]):
        return None
    return ShadowTopic(levels[2], levels[5] if named else None, verb)


def jobs(thing_name: str, verb: str, job_id: str | None = None, namespace: str | None = None) -> str:
    """A topic of a thing's jobs.

    Args:
        thing_name: the thing, `+` for every thing.
        verb: `notify`, `notify-next`, `get`, `start-next` or, with a job, `get` or `update`; then maybe `/accepted`.
        job_id: the job; `$next` is the next pending one.
        namespace: of service-made jobs, as `aws-gg-deployment` of Greengrass.

    """
    jobs_of_thing = f"$aws/things/{_level(thing_name)}/jobs"
    if job_id is None:
        return f"{jobs_of_thing}/{verb}" + ("" if namespace is None else f"-namespace-{_level(namespace)}")
    kind = "" if namespace is None else f"namespace-{_level(namespace)}/"
    return f"{jobs_of_thing}/{_level(job_id)}/{kind}{verb}"


def parse_jobs(topic: str) -> JobsTopic | None:
    """What a jobs topic is about, None for any other topic."""
    match topic.split("/"):
        case ["$aws", "things", str(thing), "jobs", *rest] if thing:
            return _parsed_jobs(thing, rest)
    return None


def presence(state: Literal["connected", "disconnected", "+"], client_id: str) -> str:
    """The event of a client that connected or disconnected."""
    return f"$aws/events/presence/{state}/{client_id}"


def subscriptions(state: Literal["subscribed", "unsubscribed", "+"], client_id: str) -> str:
    """The event of a client that subscribed or unsubscribed."""
    return f"$aws/events/subscriptions/{state}/{client_id}"


def thing_event(thing_name: str, event: Literal["created", "updated", "deleted", "+"]) -> str:
    """The registry event of a thing."""
    return f"$aws/events/thing/{_level(thing_name)}/{event}"


def thing_group_event(group_name: str, event: Literal["created", "updated", "deleted", "+"]) -> str:
    """The registry event of a thing group."""
    return f"$aws/events/thingGroup/{_level(group_name)}/{event}"


def thing_type_event(type_name: str, event: Literal["created", "updated", "deleted", "+"]) -> str:
    """The registry event of a thing type."""
    return f"$aws/events/thingType/{_level(type_name)}/{event}"


def thing_type_association_event(thing_name: str, type_name: str) -> str:
    """The registry event of a thing that gets or loses a type."""
    return f"$aws/events/thingTypeAssociation/thing/{_level(thing_name)}/{_level(type_name)}"


def thing_group_membership_event(group_name: str, thing_name: str, event: Literal["added", "removed", "+"]) -> str:
    """The registry event of a thing that joins or leaves a group."""
    return f"$aws/events/thingGroupMembership/thingGroup/{_level(group_name)}/thing/{_level(thing_name)}/{event}"


def thing_group_hierarchy_event(parent: str, child: str, event: Literal["added", "removed", "+"]) -> str:
    """The registry event of a group that joins or leaves a parent group."""
    return f"$aws/events/thingGroupHierarchy/thingGroup/{_level(parent)}/childThingGroup/{_level(child)}/{event}"


def job_event(job_id: str, event: str) -> str:
    """The event of a job: completed, canceled, deleted, cancellation_in_progress or deletion_in_progress."""
    return f"$aws/events/job/{_level(job_id)}/{event}"


def job_execution_event(job_id: str, event: str) -> str:
    """The event of a job execution: succeeded, failed, rejected, canceled, timed_out, removed or deleted."""
    return f"$aws/events/jobExecution/{_level(job_id)}/{event}"


def certificate_registered(ca_certificate_id: str) -> str:
    """The event of a certificate that registered itself (just-in-time registration)."""
    return f"$aws/events/certificates/registered/{_level(ca_certificate_id)}"


def defender_metrics(thing_name: str, payload_format: PayloadFormat = "json", answer: str | None = None) -> str:
    """The topic of a device's metrics reports, or of their answers."""
    return _answered(f"$aws/things/{_level(thing_name)}/defender/metrics/{payload_format}", answer)


def create_keys(payload_format: PayloadFormat = "json", answer: str | None = None) -> str:
    """Fleet provisioning: keys and a certificate made by AWS."""
    return _answered(f"$aws/certificates/create/{payload_format}", answer)


def create_from_csr(payload_format: PayloadFormat = "json", answer: str | None = None) -> str:
    """Fleet provisioning: a certificate for the device's own key."""
    return _answered(f"$aws/certificates/create-from-csr/{payload_format}", answer)


def provision(template_name: str, payload_format: PayloadFormat = "json", answer: str | None = None) -> str:
    """Fleet provisioning: register the thing by a template."""
    return _answered(f"$aws/provisioning-templates/{_level(template_name)}/provision/{payload_format}", answer)


def greengrass_health(thing_name: str) -> str:
    """The status reports of a Greengrass core device."""
    return f"$aws/things/{_level(thing_name)}/greengrassv2/health/json"


def predictions(thing_name: str, model_name: str) -> str:
    """What a model on a device predicts: this tool's own topic."""
    return f"iotctl/predictions/{_level(thing_name)}/{_level(model_name)}"


def shared(group: str, topic_filter: str) -> str:
    """The filter of a shared subscription: each message goes to one member of the group."""
    return f"$share/{_level(group)}/{topic_filter}"


def parse_shared(topic_filter: str) -> tuple[str | None, str]:
    """The group of a shared subscription (None when it is not one) and the filter that it subscribes.

    Raises:
        TopicError: when it begins as a shared subscription and is not one.

    """
    if not topic_filter.startswith("$share/"):
        return None, topic_filter
    _, group, *rest = topic_filter.split("/", 2)
    if not group or set(group) & set("+#") or not rest or not rest[0]:
        raise TopicError("a shared subscription is $share/<group>/<topic filter>")
    return group, rest[0]


def parse_rule(topic: str) -> tuple[str, str] | None:
    """The rule of a Basic Ingest topic and the topic that the rule sees; None for any other topic."""
    match topic.split("/", 3):
        case ["$aws", "rules", str(rule), *rest] if rule:
            return rule, rest[0] if rest else ""
    return None


def is_publishable(topic: str) -> bool:
    """Whether a client may publish to it at all: any topic but the reserved ones that AWS answers on."""
    return not topic.startswith("$") or _PUBLISHABLE.fullmatch(topic) is not None


def matches(topic_filter: str, topic: str) -> bool:
    """Whether a message on the topic goes to a subscriber of the filter (not a shared one: see parse_shared).

    As AWS does it, which differs from MQTT in one point: `sensor/#` does not match `sensor`. A filter that begins with
    a wildcard does not match topics that begin with `$`.
    """
    return topic_filter == topic or capture(topic_filter, topic) is not None


def capture(topic_filter: str, topic: str) -> tuple[str, ...] | None:
    """What each wildcard of the filter stands for in the topic, None when it does not match."""
    wanted, levels = topic_filter.split("/"), topic.split("/")
    if topic.startswith("$") and wanted[0] in {"+", "#"}:
        return None
    found: list[str] = []
    for index, want in enumerate(wanted):
        if want == "#":
            return (*found, "/".join(levels[index:])) if index < len(levels) else None
        if index == len(levels):
            return None
        if want == "+":
            found.append(levels[index])
        elif want != levels[index]:
            return None
    return tuple(found) if len(wanted) == len(levels) else None


def check_topic(topic: str) -> None:
    """Check a topic that a client publishes to: its text, bytes and slashes.

    Raises:
        TopicError: with the reason.

    """
    if set(topic) & set("+#"):
        raise TopicError("a topic that is published to holds no wildcards")
    rule = parse_rule(topic)
    _check(topic, topic if rule is None else rule[1], "topic")


def check_filter(topic_filter: str) -> None:
    """Check a topic filter that a client subscribes to: its text, wildcards, bytes and slashes.

    Raises:
        TopicError: with the reason.

    """
    _, plain = parse_shared(topic_filter)
    if parse_rule(plain) is not None:
        raise TopicError("Basic Ingest topics cannot be subscribed to")
    levels = plain.split("/")
    if any(len(level) > 1 and set(level) & set("+#") for level in levels):
        raise TopicError("a wildcard is the only character of its level")
    if "#" in levels[:-1]:
        raise TopicError("# is the last level of a topic filter")
    _check(topic_filter, plain, "topic filter")


def _check(whole: str, counted: str, noun: str) -> None:
    if not whole or _UNUSABLE.search(whole):
        raise TopicError(f"a {noun} is UTF-8 text of at least one character, without NUL")
    limit = MAX_RESERVED_BYTES if counted.startswith("$aws/") else MAX_BYTES
    if len(counted) > limit or len(counted.encode()) > limit:
        raise TopicError(f"the {noun} is longer than {limit} bytes")
    if counted.count("/") > MAX_SLASHES:
        raise TopicError(f"the {noun} has more than {MAX_SLASHES} slashes")


def _level(name: str) -> str:
    if "/" in name:
        raise TopicError(f"{name!r} is not one level of a topic")
    return name


def _answered(topic: str, answer: str | None) -> str:
    return topic if answer is None else f"{topic}/{answer}"


def _parsed_jobs(thing: str, rest: list[str]) -> JobsTopic | None:
    answer = rest.pop() if len(rest) > 1 and rest[-1] in ANSWERS else None
    match rest:
        case ["get" | "start-next" as verb]:
            return JobsTopic(thing, None, verb, None, answer)
        case [notification] if answer is None and (found := _NOTIFY.fullmatch(notification)):
            return JobsTopic(thing, None, found[1], found[2])
        case [job_id, "get" | "update" as verb] if job_id:
            return JobsTopic(thing, job_id, verb, None, answer)
        case [job_id, namespace, "get" | "update" as verb] if job_id and namespace.startswith("namespace-"):
            return JobsTopic(thing, job_id, verb, namespace.removeprefix("namespace-"), answer)
    return None
