"""What Device Defender's audit finds wrong with a policy, decided by asking the policy.

Two checks, their ids and reason codes as the audit reports them. Each asks whether the policy lets a device do what it
should not: touch the shadow or the jobs of some other thing, or receive what a statement meant to deny.
Sources: the developer guide's audit-chk-iot-policy-permissive and audit-chk-iot-misconfigured-policies pages.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from iotctl.semantics import topics
from iotctl.semantics.policy_pattern import Pattern, Template, Wildcard, arn_parts, template

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from iotctl.semantics.policy import Policy, Statement

OVERLY_PERMISSIVE: Final = "IOT_POLICY_OVERLY_PERMISSIVE_CHECK"
POTENTIAL_MISCONFIGURATION: Final = "IOT_POLICY_POTENTIAL_MISCONFIGURATION_CHECK"
BROAD_ACCESS: Final = "ALLOWS_BROAD_ACCESS_TO_IOT_DATA_PLANE_ACTIONS"
WILDCARDS_IN_DENY: Final = "POLICY_CONTAINS_MQTT_WILDCARDS_IN_DENY_STATEMENT"
DENY_ESCAPED: Final = "TOPIC_FILTERS_INTENDED_TO_DENY_ALLOWED_USING_WILDCARDS"

# No name of a policy looks like these, so that only a wildcard reaches them.
_ANY: Final = "\x01any"
_STAND_IN: Final = "\x02"
_IS_ATTACHED: Final = "iot:Connection.Thing.IsAttached"

_OTHER_THINGS: Final = tuple(
    [topics.shadow(_ANY, verb, name) for verb in ("get", "update", "delete") for name in (None, _ANY)]
    + [topics.jobs(_ANY, verb) for verb in ("get", "start-next")]
    + [topics.jobs(_ANY, verb, _ANY) for verb in ("get", "update")]
)
_ANSWERS: Final = tuple(
    [f"{topic}/accepted" for topic in _OTHER_THINGS]
    + [topics.shadow(_ANY, f"update/{verb}", name) for verb in ("delta", "documents") for name in (None, _ANY)]
    + [topics.jobs(_ANY, verb) for verb in ("notify", "notify-next")]
)
_FILTERS: Final = (
    *_ANSWERS,
    *_OTHER_THINGS,
    *(topic.replace(_ANY, "+") for topic in (*_ANSWERS, *_OTHER_THINGS)),
    *(topics.shadow("+", verb) for verb in ("#", "+")),
    *(topics.jobs("+", verb) for verb in ("#", "+")),
    *("$aws/things/+/#", "$aws/things/#", "$aws/#"),
)
ANY_THING: Final = (f"thing/{_ANY}", f"thing/{_ANY}/{_ANY}")
"""Things, and what they have by name, of which only a wildcard knows."""

_TARGETS: Final = {
    "iot:Connect": (f"client/{_ANY}",),
    "iot:Publish": tuple(f"topic/{topic}" for topic in _OTHER_THINGS),
    "iot:Subscribe": tuple(f"topicfilter/{topic_filter}" for topic_filter in _FILTERS),
} | dict.fromkeys(
    (
        *("iot:DeleteThingShadow", "iot:GetThingShadow", "iot:UpdateThingShadow", "iot:DescribeJobExecution"),
        *("iot:GetPendingJobExecutions", "iot:StartNextPendingJobExecution", "iot:UpdateJobExecution"),
    ),
    ANY_THING,
)
# Names that begin with a wildcard are of any thing, even where a shadow or a job is named after them.
_OPEN_NAMES: Final = {
    "iot:Connect": ("client/*", "client/?"),
    "iot:Publish": ("topic/$aws/things/*", "topic/$aws/things/?"),
    "iot:Subscribe": tuple(f"topicfilter/$aws/things/{wildcard}" for wildcard in "*?+#"),
}
_OPEN_THINGS: Final = ("thing/*", "thing/?")


@dataclass(frozen=True, slots=True)
class Flaw:
    """One finding about a policy.

    Attributes:
        check: the id of the audit check.
        reason: its reasonForNonComplianceCode.
        statement: the index of the statement, from 0.
        resource: the resource as the statement has it.
        message: what it means, in a sentence.

    """

    check: str
    reason: str
    statement: int
    resource: str
    message: str


def lint(policy: Policy) -> tuple[Flaw, ...]:
    """Every finding about a policy, by check and then by statement."""
    return (*overly_permissive(policy), *misconfigured(policy))


def overly_permissive(policy: Policy) -> Iterator[Flaw]:
    """Allow statements that let a device connect as any client, or reach the shadows and jobs of any thing."""
    for index, resource, action in broad_access(policy, _TARGETS):
        message = f"{action} on {resource} is not limited to the device's own thing"
        yield Flaw(OVERLY_PERMISSIVE, BROAD_ACCESS, index, resource, message)


def broad_access(policy: Policy, targets: Mapping[str, tuple[str, ...]]) -> Iterator[tuple[int, str, str]]:
    """The Allow statements that reach what no statement of a narrow policy would.

    Args:
        policy: one that is not narrowed by others.
        targets: action -> resources of any thing, as `ANY_THING` is.

    Yields:
        The index of the statement, its resource, and the first action that reaches something there.

    """
    denials = [s for s in policy.statements if s.deny and not s.conditions]
    for index, statement in enumerate(policy.statements):
        if statement.deny:
            continue
        reached: dict[str, str] = {}
        for action, wanted in targets.items():
            if statement.is_about(action):
                open_targets = [target for target in wanted if not _covered(denials, action, target)]
                for resource in _reaching(statement, action, open_targets):
                    reached.setdefault(resource, action)
        for resource, action in reached.items():
            yield index, resource, action


def misconfigured(policy: Policy) -> Iterator[Flaw]:
    """Deny statements that deny less than they seem to."""
    for index, statement in enumerate(policy.statements):
        if not statement.deny:
            continue
        for resource in statement.resources:
            if _has_mqtt_wildcard(resource):
                message = (
                    f"+ and # are plain characters in a policy: {resource.text} denies only what is spelled like it"
                )
                yield Flaw(POTENTIAL_MISCONFIGURATION, WILDCARDS_IN_DENY, index, resource.text, message)
            elif statement.is_about("iot:Subscribe") and (escape := _escape(policy, statement, resource)):
                message = f"a subscription to {escape} receives what {resource.text} is meant to deny"
                yield Flaw(POTENTIAL_MISCONFIGURATION, DENY_ESCAPED, index, resource.text, message)


def _reaching(statement: Statement, action: str, targets: Iterable[str]) -> Iterator[str]:
    own = {"iot:ClientId": _ANY} if action == "iot:Connect" and not _wants_attached(statement) else {}
    patterns = [(resource.text, _bound(resource, own)) for resource in statement.resources]
    for target in targets:
        matching = [text for text, pattern in patterns if _reaches(action, pattern, target) or _is_open(action, text)]
        if not statement.not_resource:
            yield from matching
        elif not matching:
            yield f"everything but {', '.join(text for text, _ in patterns)}"


def _is_open(action: str, resource: str) -> bool:
    return _resource_of(resource).startswith(_OPEN_NAMES.get(action, _OPEN_THINGS))


def _reaches(action: str, pattern: Pattern, target: str) -> bool:
    if pattern.matches(target):
        return True
    if action != "iot:Subscribe" or pattern.exact is None:
        return False
    _, _, topic_filter = pattern.exact.partition("topicfilter/")
    return topics.matches(topic_filter, target.removeprefix("topicfilter/"))


def _covered(statements: Iterable[Statement], action: str, target: str) -> bool:
    return any(
        any(_bound(resource).matches(target) for resource in statement.resources) != statement.not_resource
        for statement in statements
        if statement.is_about(action)
    )


def _escape(policy: Policy, statement: Statement, resource: Template) -> str | None:
    """A topic filter that the policy lets a device subscribe to and that takes in a topic the statement denies."""
    kind, _, denied = _resource_of(resource.text).partition("/")
    if kind != "topicfilter" or statement.not_resource:
        return None
    topic = "".join(_sample(part) for part in template(denied).parts)
    allowing = [s for s in policy.statements if not s.deny]
    denying = [s for s in policy.statements if s.deny]

    def allowed(action: str, target: str) -> bool:
        return _covered(allowing, action, target) and not _covered(denying, action, target)

    if not allowed("iot:Receive", f"topic/{topic}"):
        return None
    candidates = (candidate for candidate in _taking_in(topic) if allowed("iot:Subscribe", f"topicfilter/{candidate}"))
    return next(candidates, None)


def _taking_in(topic: str) -> Iterator[str]:
    levels = topic.split("/")
    for index in reversed(range(len(levels))):
        yield "/".join((*levels[:index], "#"))
        yield "/".join((*levels[:index], "+", *levels[index + 1 :]))


def _sample(part: object) -> str:
    if isinstance(part, str):
        return part
    return "x" if isinstance(part, Wildcard) else _STAND_IN


def _bound(resource: Template, values: dict[str, str] | None = None) -> Pattern:
    known = values or {}
    pattern = template(_resource_of(resource.text)).bind(lambda name: known.get(name, _STAND_IN))
    assert pattern is not None, "every variable has a stand-in"
    return pattern


def _resource_of(resource: str) -> str:
    """What stands after region and account: `topic/a/b`; `*` where the ARN ends sooner."""
    parts = arn_parts(resource)
    return parts[5] if len(parts) == 6 else "*"


def _has_mqtt_wildcard(resource: Template) -> bool:
    kind, _, topic = _resource_of(resource.text).partition("/")
    parts = template(topic).parts
    return kind in {"topic", "topicfilter"} and any(isinstance(part, str) and set(part) & set("+#") for part in parts)


def _wants_attached(statement: Statement) -> bool:
    return any(
        condition.test == "Bool"
        and condition.key == _IS_ATTACHED
        and [v.text.lower() for v in condition.wanted] == ["true"]
        for condition in statement.conditions
    )
