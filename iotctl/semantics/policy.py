"""AWS IoT policies: parsed once, bound to a connection once, then asked for every message.

`parse` reads a policy document. `grants` binds a principal's policies to what is known of its connection: variables are
replaced, conditions decided; asking the result costs about a microsecond. `evaluate` does both, for one question.
An explicit deny wins, then any allow; nothing is allowed by default. A resource with a variable that has no value
matches nothing. Sources: the developer guide's iot-policies, iot-policy-actions, iot-action-resources, pub-sub-policy
and *-policy-variables pages; the IAM guide for what they follow (wildcards, NotAction, NotResource, Condition).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any, Final

from iotctl import text
from iotctl.errors import Usage
from iotctl.semantics.policy_condition import Condition, Values, conditions
from iotctl.semantics.policy_pattern import Pattern, Template, template

if TYPE_CHECKING:
    from collections.abc import Iterable

MAX_CHARACTERS: Final = 2048
"""Characters of a policy document, white space not counted."""

_VERSIONS: Final = ("2012-10-17", "2008-10-17")
_POLICY_KEYS: Final = frozenset(("Version", "Id", "Statement"))
_STATEMENT_KEYS: Final = frozenset(
    ("Sid", "Effect", "Action", "NotAction", "Resource", "NotResource", "Condition"),
)
# The job executions' actions have a second prefix, the one that their service's API reference uses.
_JOB_ACTIONS: Final = frozenset(
    ("describejobexecution", "getpendingjobexecutions", "startnextpendingjobexecution", "updatejobexecution")
)
_MAX_CERTIFICATE_VALUE: Final = 1024
_CERTIFICATE_WILDCARDS: Final = frozenset("*$+?#")


class PolicyError(ValueError):
    """A policy document that AWS IoT does not take: its MalformedPolicyException."""


class Decision(Enum):
    """The answer, in the words of TestAuthorization."""

    ALLOWED = "ALLOWED"
    EXPLICIT_DENY = "EXPLICIT_DENY"
    IMPLICIT_DENY = "IMPLICIT_DENY"


@dataclass(frozen=True, slots=True)
class Request:
    """One question: an action (`iot:Publish`), a resource ARN, and what is known of the connection."""

    action: str
    resource: str
    values: Values


@dataclass(frozen=True, slots=True)
class Statement:
    """A statement of a policy; `actions` and `resources` are those it is not about where it says Not."""

    deny: bool
    actions: tuple[Pattern, ...]
    not_action: bool
    resources: tuple[Template, ...]
    not_resource: bool
    conditions: tuple[Condition, ...] = ()
    sid: str | None = None

    def is_about(self, action: str) -> bool:
        """Whether the statement is about an action; case does not count."""
        return any(pattern.matches(name) for pattern in self.actions for name in _spellings(action)) != self.not_action


@dataclass(frozen=True, slots=True)
class Policy:
    """A policy document: its statements in the order written."""

    statements: tuple[Statement, ...]

    @property
    def variables(self) -> frozenset[str]:
        """The names of all values that it asks for."""
        return frozenset[str]().union(
            *(resource.variables for statement in self.statements for resource in statement.resources),
            *(condition.variables for statement in self.statements for condition in statement.conditions),
        )


class Grants:
    """What a principal's policies allow on one connection: policies with their variables and conditions decided."""

    __slots__ = ("_by_action", "_rules")

    def __init__(self, rules: tuple[_Rule, ...]) -> None:
        self._rules = rules
        self._by_action: dict[str, tuple[_Resources, _Resources]] = {}

    def decide(self, action: str, resource: str) -> Decision:
        """The decision on an action (`iot:Publish`) on a resource ARN."""
        denied, allowed = self._by_action.get(action) or self._index(action)
        if denied.covers(resource):
            return Decision.EXPLICIT_DENY
        return Decision.ALLOWED if allowed.covers(resource) else Decision.IMPLICIT_DENY

    def allows(self, action: str, resource: str) -> bool:
        """Whether the action on the resource is allowed."""
        return self.decide(action, resource) is Decision.ALLOWED

    def _index(self, action: str) -> tuple[_Resources, _Resources]:
        about = [rule for rule in self._rules if rule.statement.is_about(action)]
        denied = _resources(rule for rule in about if rule.statement.deny)
        allowed = _resources(rule for rule in about if not rule.statement.deny)
        self._by_action[action] = denied, allowed
        return denied, allowed


def parse(document: str, *, longest: int = MAX_CHARACTERS) -> Policy:
    """Read a policy document.

    Args:
        document: JSON text.
        longest: characters that are not white space; IAM's policies may have more than AWS IoT's.

    Raises:
        PolicyError: with AWS's words and the reason.

    """
    if len("".join(document.split())) > longest:
        raise _malformed(f"it has more than {longest} characters without white space")
    try:
        policy = text.loads(document, name="the policy")
    except Usage as error:
        raise _malformed(error.message) from error
    if not isinstance(policy, dict) or not policy.keys() <= _POLICY_KEYS:
        raise _malformed("Invalid policy syntax.")
    version = policy.get("Version")
    if version not in _VERSIONS:
        raise _malformed(f"Version is not {_VERSIONS[0]}")
    statements = policy.get("Statement")
    if not isinstance(statements, dict | list):
        raise _malformed("it has no Statement")
    each = statements if isinstance(statements, list) else [statements]
    # Variables came with the second version of the policy language; in the first they are plain text.
    return Policy(tuple(_statement(statement, variables=version == _VERSIONS[0]) for statement in each))


def grants(policies: Iterable[Policy], values: Values) -> Grants:
    """Bind policies to what is known of a connection: its variables, and the keys of its conditions.

    Args:
        policies: all that apply to the principal, in any order.
        values: by name, as `iot:ClientId`, `iot:Connection.Thing.ThingName`, `aws:SourceIp`, `iot:ConnectAttributes`;
            those of `iot:Certificate.*` come from `policy_variables`.

    """

    def resolve(name: str) -> str | None:
        return _substitute(name, values)

    rules = []
    for policy in policies:
        for statement in policy.statements:
            if all(condition.holds(values, resolve) for condition in statement.conditions):
                bound = tuple(resource.bind(resolve) for resource in statement.resources)
                rules.append(_Rule(statement, bound))
    return Grants(tuple(rules))


def evaluate(policies: Iterable[Policy], request: Request) -> Decision:
    """The decision on one request."""
    return grants(policies, request.values).decide(request.action, request.resource)


@dataclass(frozen=True, slots=True)
class _Rule:
    statement: Statement
    resources: tuple[Pattern | None, ...]


@dataclass(frozen=True, slots=True)
class _Resources:
    """What one action may (or may not) touch, ordered by how quickly it is found."""

    exact: frozenset[str]
    prefixes: tuple[str, ...]
    patterns: tuple[Pattern, ...]
    exclusions: tuple[tuple[Pattern, ...], ...]

    def covers(self, resource: str) -> bool:
        return (
            resource in self.exact
            or resource.startswith(self.prefixes)
            or any(pattern.matches(resource) for pattern in self.patterns)
            or any(not any(pattern.matches(resource) for pattern in excluded) for excluded in self.exclusions)
        )


def _resources(rules: Iterable[_Rule]) -> _Resources:
    exact, prefixes, patterns, exclusions = [], [], [], []
    for rule in rules:
        known = tuple(pattern for pattern in rule.resources if pattern is not None)
        if rule.statement.not_resource:
            # "All but what I cannot name" allows nothing, and denies all that it can name.
            if rule.statement.deny or len(known) == len(rule.resources):
                exclusions.append(known)
            continue
        for pattern in known:
            if pattern.exact is not None:
                exact.append(pattern.exact)
            elif pattern.prefix is not None:
                prefixes.append(pattern.prefix)
            else:
                patterns.append(pattern)
    return _Resources(frozenset(exact), tuple(prefixes), tuple(patterns), tuple(exclusions))


def _substitute(name: str, values: Values) -> str | None:
    value = values.get(name)
    if not isinstance(value, str):
        return None
    certificate = name.startswith("iot:Certificate.")
    if certificate and (len(value) > _MAX_CERTIFICATE_VALUE or not _CERTIFICATE_WILDCARDS.isdisjoint(value)):
        return None
    return value


def _spellings(action: str) -> tuple[str, ...]:
    folded = action.casefold()
    service, _, name = folded.partition(":")
    if name in _JOB_ACTIONS and service in {"iot", "iotjobsdata"}:
        return f"iot:{name}", f"iotjobsdata:{name}"
    return (folded,)


def _statement(statement: Any, *, variables: bool) -> Statement:  # noqa: ANN401  JSON is any value
    if not isinstance(statement, dict) or not statement.keys() <= _STATEMENT_KEYS:
        raise _malformed("Invalid policy syntax.")
    effect, sid = statement.get("Effect"), statement.get("Sid")
    if effect not in ("Allow", "Deny"):
        raise _malformed("Effect is not Allow or Deny")
    if sid is not None and not isinstance(sid, str):
        raise _malformed("Sid is not text")
    actions, not_action = _one_of(statement, "Action", "NotAction")
    resources, not_resource = _one_of(statement, "Resource", "NotResource")
    if invalid := [action for action in actions if action != "*" and ":" not in action]:
        raise _malformed(f"The following actions are invalid : {', '.join(invalid)}")
    if invalid := [resource for resource in resources if resource != "*" and not resource.startswith("arn:")]:
        raise _malformed(f"The following resources are invalid : {', '.join(invalid)}")
    try:
        return Statement(
            effect == "Deny",
            tuple(_action(action) for action in actions),
            not_action,
            tuple(template(resource, variables=variables) for resource in resources),
            not_resource,
            conditions(statement.get("Condition", {})),
            sid,
        )
    except ValueError as error:
        raise _malformed(str(error)) from error


def _one_of(statement: dict[str, Any], name: str, negated: str) -> tuple[list[str], bool]:
    if (name in statement) == (negated in statement):
        raise _malformed(f"a statement has either {name} or {negated}")
    value = statement.get(name, statement.get(negated))
    texts = value if isinstance(value, list) else [value]
    found = [item for item in texts if isinstance(item, str) and item]
    if not found or len(found) != len(texts):
        raise _malformed(f"{name} is not text or a list of texts")
    return found, negated in statement


def _action(action: str) -> Pattern:
    pattern = template(action.casefold(), variables=False).bind(lambda _: None)
    assert pattern is not None, "a template without variables always binds"
    return pattern


def _malformed(reason: str) -> PolicyError:
    return PolicyError(f"Policy document is Malformed: {reason}")
