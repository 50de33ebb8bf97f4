"""Topics and topic filters: the tables of reserved-topics, the rules of MQTT, and where AWS differs from them."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iotctl.semantics import topics
from iotctl.semantics.topics import JobsTopic, ShadowTopic, TopicError
from tests import vectors

LEVELS = st.sampled_from(["", "a", "b", "ab", "$aws", "$x"])
TOPICS = st.lists(LEVELS, min_size=1, max_size=4).map("/".join)
FILTERS = st.tuples(
    st.lists(st.one_of(LEVELS, st.just("+")), max_size=3), st.sampled_from([[], ["#"], ["+"], ["a"]])
).map(lambda parts: "/".join([*parts[0], *parts[1]]))
VERBS = ["get", "get/accepted", "update", "update/delta", "update/documents", "update/rejected", "delete/accepted"]
NAMESPACE = "aws-gg-deployment"
GG = {"namespace": NAMESPACE}


@vectors.rows(
    ("topic_filter", "topic", "expected"),
    [
        ("sensor/#", "sensor/", True),
        ("sensor/#", "sensor/temperature", True),
        ("sensor/#", "sensor/temperature/room1", True),
        ("sensor/#", "sensor", False),
        ("sensor/+/room1", "sensor/temperature/room1", True),
        ("sensor/+/room1", "sensor/humidity/room1", True),
        ("sensor/+/room1", "sensor/temperature/room2", False),
        ("sensor/+/room1", "sensor/humidity/room2", False),
        ("+", "sport", True),
        ("+", "sport/", False),
        ("sport/+", "sport", False),
        ("sport/+", "sport/", True),
        ("+/+", "/finance", True),
        ("/+", "/finance", True),
        ("+", "/finance", False),
        ("+/tennis/#", "sport/tennis/player1", True),
        ("#", "$aws/things/t/shadow/get", False),
        ("+/things/#", "$aws/things/t/shadow/get", False),
        ("$aws/#", "$aws/things/t/shadow/get", True),
        ("$aws/things/+/shadow/+", "$aws/things/t/shadow/get", True),
        ("sport", "Sport", False),
    ],
)
def test_filters_match_as_the_pages_say(topic_filter: str, topic: str, expected: bool) -> None:
    """The topics page's and MQTT 4.7's examples; `sensor/#` without `sensor` is AWS's difference."""
    assert expected == topics.matches(topic_filter, topic)


@given(FILTERS, TOPICS)
def test_filters_match_like_a_brute_force_model(topic_filter: str, topic: str) -> None:
    """L9: `+` and `#` by trying every way to fill them in."""
    assert _model_matches(topic_filter, topic) == topics.matches(topic_filter, topic)


@given(FILTERS, TOPICS)
def test_what_wildcards_capture_makes_the_topic_again(topic_filter: str, topic: str) -> None:
    """Filling the captures into the filter gives the topic."""
    found = topics.capture(topic_filter, topic)
    if found is None:
        assert not topics.matches(topic_filter, topic)
        return
    values = iter(found)
    assert topic == "/".join(next(values) if level in {"+", "#"} else level for level in topic_filter.split("/"))


@vectors.rows("verb", VERBS)
@vectors.rows("shadow_name", [None, "config", "name", "$iot"])
def test_shadow_topics_read_back(verb: str, shadow_name: str | None) -> None:
    """Classic and named shadows have the same topics under two prefixes."""
    topic = topics.shadow("pump-7", verb, shadow_name)
    expected = f"$aws/things/pump-7/shadow/{'' if shadow_name is None else f'name/{shadow_name}/'}{verb}"
    assert expected == topic
    assert ShadowTopic("pump-7", shadow_name, verb) == topics.parse_shadow(topic)


@vectors.rows(
    "topic",
    [
        "$aws/things/t/shadow",
        "$aws/things/t/shadow/",
        "$aws/things/t/shadow/gets",
        "$aws/things/t/shadow/update/delta/more",
        "$aws/things//shadow/get",
        "$aws/things/t/shadow/name//get",
        "$aws/things/t/shadow/name/s",
        "$aws/things/t/jobs/get",
        "aws/things/t/shadow/get",
    ],
)
def test_other_topics_are_no_shadow_topics(topic: str) -> None:
    """A topic that is like one is not one."""
    assert topics.parse_shadow(topic) is None


@vectors.rows(
    ("topic", "expected"),
    [
        (topics.jobs("t", "notify"), JobsTopic("t", None, "notify")),
        (topics.jobs("t", "notify-next"), JobsTopic("t", None, "notify-next")),
        (topics.jobs("t", "notify-next", None, NAMESPACE), JobsTopic("t", None, "notify-next", NAMESPACE)),
        (topics.jobs("t", "get"), JobsTopic("t", None, "get")),
        (topics.jobs("t", "get/rejected"), JobsTopic("t", None, "get", None, "rejected")),
        (topics.jobs("t", "start-next/accepted"), JobsTopic("t", None, "start-next", None, "accepted")),
        (topics.jobs("t", "get", "$next"), JobsTopic("t", "$next", "get")),
        (topics.jobs("t", "update", "job-1"), JobsTopic("t", "job-1", "update")),
        (topics.jobs("t", "update/rejected", "job-1"), JobsTopic("t", "job-1", "update", None, "rejected")),
        (topics.jobs("t", "get", "get"), JobsTopic("t", "get", "get")),
        (topics.jobs("t", "get", "$next", NAMESPACE), JobsTopic("t", "$next", "get", NAMESPACE)),
        (topics.jobs("t", "get/accepted", "j", NAMESPACE), JobsTopic("t", "j", "get", NAMESPACE, "accepted")),
        ("$aws/things/t/jobs", None),
        ("$aws/things/t/jobs/accepted", None),
        ("$aws/things/t/jobs/notify/accepted", None),
        ("$aws/things/t/jobs/j/cancel", None),
        ("$aws/things/t/jobs/j/other/get", None),
        ("$aws/things//jobs/get", None),
    ],
)
def test_jobs_topics_read_back(topic: str, expected: JobsTopic | None) -> None:
    """Each topic of the jobs MQTT API, with and without a namespace, and what is none."""
    assert expected == topics.parse_jobs(topic)


@vectors.rows(
    ("expected", "topic"),
    [
        ("$aws/things/t/jobs/$next/namespace-aws-gg-deployment/get", topics.jobs("t", "get", "$next", NAMESPACE)),
        (
            "$aws/things/t/jobs/notify-next-namespace-aws-gg-deployment",
            topics.jobs("t", "notify-next", None, NAMESPACE),
        ),
        ("$aws/events/presence/connected/client/1", topics.presence("connected", "client/1")),
        ("$aws/events/subscriptions/unsubscribed/c", topics.subscriptions("unsubscribed", "c")),
        ("$aws/events/thing/t/created", topics.thing_event("t", "created")),
        ("$aws/events/thingGroup/g/updated", topics.thing_group_event("g", "updated")),
        ("$aws/events/thingType/y/deleted", topics.thing_type_event("y", "deleted")),
        ("$aws/events/thingTypeAssociation/thing/t/y", topics.thing_type_association_event("t", "y")),
        (
            "$aws/events/thingGroupMembership/thingGroup/g/thing/t/added",
            topics.thing_group_membership_event("g", "t", "added"),
        ),
        (
            "$aws/events/thingGroupHierarchy/thingGroup/p/childThingGroup/c/removed",
            topics.thing_group_hierarchy_event("p", "c", "removed"),
        ),
        ("$aws/events/job/j/cancellation_in_progress", topics.job_event("j", "cancellation_in_progress")),
        ("$aws/events/jobExecution/j/timed_out", topics.job_execution_event("j", "timed_out")),
        ("$aws/events/certificates/registered/ca", topics.certificate_registered("ca")),
        ("$aws/things/t/defender/metrics/json", topics.defender_metrics("t")),
        ("$aws/things/t/defender/metrics/cbor/rejected", topics.defender_metrics("t", "cbor", "rejected")),
        ("$aws/certificates/create/json/accepted", topics.create_keys("json", "accepted")),
        ("$aws/certificates/create-from-csr/cbor", topics.create_from_csr("cbor")),
        ("$aws/provisioning-templates/p/provision/json", topics.provision("p")),
        ("$aws/things/t/greengrassv2/health/json", topics.greengrass_health("t")),
        ("iotctl/predictions/t/m", topics.predictions("t", "m")),
        ("$share/g/$aws/events/presence/+/#", topics.shared("g", topics.presence("+", "#"))),
    ],
)
def test_topics_are_those_of_the_tables(expected: str, topic: str) -> None:
    """reserved-topics, life-cycle-events, registry-events, events-jobs and the Greengrass wire protocol."""
    assert expected == topic


def test_a_name_is_one_level() -> None:
    """A name with a slash cannot make another topic."""
    with pytest.raises(TopicError, match="not one level"):
        topics.shadow("t/shadow/get", "get")


@vectors.rows(
    ("topic_filter", "expected"),
    [("$share/g/a/+/#", ("g", "a/+/#")), ("a/b", (None, "a/b")), ("$shared/a", (None, "$shared/a"))],
)
def test_shared_subscriptions_name_a_group_and_a_filter(topic_filter: str, expected: tuple[str | None, str]) -> None:
    """MQTT 4.8.2: $share/<group>/<filter>."""
    assert expected == topics.parse_shared(topic_filter)


@vectors.rows("topic_filter", ["$share/g", "$share/g/", "$share//a", "$share/g+/a", "$share/#/a"])
def test_malformed_shared_subscriptions_are_refused(topic_filter: str) -> None:
    """MQTT 4.8.2: a group of at least one character without wildcards, and a filter."""
    with pytest.raises(TopicError, match="shared subscription"):
        topics.check_filter(topic_filter)


@vectors.rows(
    ("topic", "expected"),
    [
        ("$aws/rules/BuildingManager/Buildings/Building5/Lights", ("BuildingManager", "Buildings/Building5/Lights")),
        ("$aws/rules/R", ("R", "")),
        ("$aws/rules/", None),
        ("rules/R/a", None),
    ],
)
def test_basic_ingest_topics_name_a_rule(topic: str, expected: tuple[str, str] | None) -> None:
    """iot-basic-ingest: the first three levels are the rule, the rest is the topic that the rule sees."""
    assert expected == topics.parse_rule(topic)


@vectors.rows(
    "topic",
    [
        "a",
        "/",
        "a/b/c/d/e/f/g/h",
        "x" * 256,
        "ü" * 128,
        "$aws/things/t/shadow/name/s/update/accepted",
        "$aws/rules/r/" + "a/b/c/d/e/f/g/h",
        "$aws/rules/r/" + "x" * 256,
        topics.thing_group_membership_event("g" * 128, "t" * 128, "removed"),
    ],
)
def test_topics_up_to_the_limits_are_taken(topic: str) -> None:
    """256 bytes and 7 slashes, without $aws/rules/<rule>/; AWS's own topics may be longer."""
    topics.check_topic(topic)


@vectors.rows(
    ("topic", "reason"),
    [
        ("", "UTF-8"),
        ("a\0b", "UTF-8"),
        ("\ud800", "UTF-8"),
        ("a/+", "wildcards"),
        ("a#", "wildcards"),
        ("x" * 257, "256 bytes"),
        ("ü" * 129, "256 bytes"),
        ("a/b/c/d/e/f/g/h/i", "7 slashes"),
        ("$aws/rules/r/a/b/c/d/e/f/g/h/i", "7 slashes"),
        ("$aws/rules/r/" + "x" * 257, "256 bytes"),
        ("$aws/" + "x" * 512, "512 bytes"),
    ],
)
def test_topics_beyond_the_limits_are_refused(topic: str, reason: str) -> None:
    """Each limit by its reason."""
    with pytest.raises(TopicError, match=reason):
        topics.check_topic(topic)


@vectors.rows(
    "topic_filter", ["#", "+", "+/+/#", "/+", "a/b/c/d/e/f/g/#", "$share/g/a/b/c/d/e/f/g/h", "$share/g/" + "x" * 256]
)
def test_filters_up_to_the_limits_are_taken(topic_filter: str) -> None:
    """$share/<group>/ counts neither for the slashes nor for the bytes."""
    topics.check_filter(topic_filter)


@vectors.rows(
    ("topic_filter", "reason"),
    [
        ("a/#/b", "last level"),
        ("a#", "only character"),
        ("a/b+", "only character"),
        ("a/##", "only character"),
        ("$share/g/a/b/c/d/e/f/g/h/i", "7 slashes"),
        ("$aws/rules/r/a", "Basic Ingest"),
        ("", "UTF-8"),
    ],
)
def test_malformed_filters_are_refused(topic_filter: str, reason: str) -> None:
    """MQTT 4.7.1, the limits, and iot-basic-ingest."""
    with pytest.raises(TopicError, match=reason):
        topics.check_filter(topic_filter)


@vectors.rows(
    ("topic", "expected"),
    [
        ("a/b", True),
        ("iotctl/predictions/t/m", True),
        ("$aws/things/t/shadow/update", True),
        ("$aws/things/t/shadow/name/s/get", True),
        ("$aws/things/t/jobs/start-next", True),
        ("$aws/things/t/jobs/j/update", True),
        ("$aws/things/t/jobs/$next/namespace-aws-gg-deployment/get", True),
        ("$aws/things/t/defender/metrics/cbor", True),
        ("$aws/things/t/greengrassv2/health/json", True),
        ("$aws/certificates/create-from-csr/json", True),
        ("$aws/provisioning-templates/p/provision/cbor", True),
        ("$aws/rules/r/a", True),
        ("$aws/things/t/shadow/update/accepted", False),
        ("$aws/things/t/jobs/notify", False),
        ("$aws/events/presence/connected/c", False),
        ("$aws/certificates/create/json/accepted", False),
        ("$aws/other", False),
        ("$SYS/broker", False),
    ],
)
def test_clients_publish_to_requests_only(topic: str, expected: bool) -> None:
    """reserved-topics: "Client operations allowed"."""
    assert expected == topics.is_publishable(topic)


def _model_matches(topic_filter: str, topic: str) -> bool:
    levels, wanted = topic.split("/"), topic_filter.split("/")
    if topic.startswith("$") and topic_filter[:1] in {"+", "#"}:
        return False
    counts = range(1, len(levels) + 1) if wanted[-1] == "#" else [0]
    for count in counts:
        plain = [*wanted[:-1], *["+"] * count] if count else wanted
        choices = [levels if want == "+" else [want] for want in plain]
        if any(list(choice) == levels for choice in itertools.product(*choices)):
            return True
    return False
