"""The Condition block of a policy statement: operators, keys and values.

Operators: String*, Arn*, Bool, IpAddress, Null, with `ForAllValues:`, `ForAnyValue:` and `IfExists`, as the developer
guide's policy examples use them and the IAM guide's "Condition operators" and "Multivalued context keys" define them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import TYPE_CHECKING, Final, TypeAlias

from iotctl.semantics.policy_pattern import Template, arn_parts, template

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

Values: TypeAlias = "Mapping[str, str | tuple[str, ...]]"
"""What is known of a request and its connection: one text for a key, or several for a key with many values."""

_OPERATOR = re.compile(r"(?:(ForAllValues|ForAnyValue):)?(\w+?)(IfExists)?")
_NEGATED: Final = {
    "StringNotEquals": "StringEquals",
    "StringNotEqualsIgnoreCase": "StringEqualsIgnoreCase",
    "StringNotLike": "StringLike",
    "ArnNotEquals": "ArnLike",
    "ArnNotLike": "ArnLike",
    "NotIpAddress": "IpAddress",
}
_PLAIN: Final = frozenset(
    ("StringEquals", "StringEqualsIgnoreCase", "StringLike", "ArnEquals", "ArnLike", "Bool", "IpAddress", "Null")
)


@dataclass(frozen=True, slots=True)
class Condition:
    """One operator on one key. It holds when the key's value matches one of the wanted values."""

    quantifier: str | None
    test: str
    negated: bool
    if_exists: bool
    key: str
    wanted: tuple[Template, ...]
    networks: tuple[IPv4Network | IPv6Network, ...] = ()

    @property
    def variables(self) -> frozenset[str]:
        """The key, and the variables in the wanted values."""
        return frozenset((self.key,)).union(*(value.variables for value in self.wanted))

    def holds(self, values: Values, resolve: Callable[[str], str | None]) -> bool:
        """Whether the condition holds for these values; `resolve` gives the value of a policy variable."""
        found = values.get(self.key, ())
        actual = (found,) if isinstance(found, str) else found
        if self.test == "Null":
            return any(value.text.lower() == "true" for value in self.wanted) == (self.key not in values)
        if self.quantifier == "ForAllValues":
            return all(self._hit(value, resolve) != self.negated for value in actual)
        if not actual:
            return self.if_exists or (self.negated and self.quantifier is None)
        if self.quantifier == "ForAnyValue":
            return any(self._hit(value, resolve) != self.negated for value in actual)
        return any(self._hit(value, resolve) for value in actual) != self.negated

    def _hit(self, actual: str, resolve: Callable[[str], str | None]) -> bool:
        if self.test == "IpAddress":
            return _in_networks(actual, self.networks)
        return any(_matches(self.test, wanted, actual, resolve) for wanted in self.wanted)


def conditions(block: object) -> tuple[Condition, ...]:
    """Read a Condition block.

    Raises:
        ValueError: with the reason.

    """
    if not isinstance(block, dict):
        raise ValueError("Condition is not an object")  # noqa: TRY004  a malformed policy, whatever its types
    found = []
    for operator, keys in block.items():
        if not isinstance(keys, dict):
            raise ValueError(f"{operator} is not an object")  # noqa: TRY004  as above
        found += [_condition(operator, key, wanted) for key, wanted in keys.items()]
    return tuple(found)


def _condition(operator: str, key: str, wanted: object) -> Condition:
    parsed = _OPERATOR.fullmatch(operator)
    quantifier, name, if_exists = parsed.groups() if parsed else (None, "", None)
    test = _NEGATED.get(name, "ArnLike" if name == "ArnEquals" else name)
    if test not in _PLAIN:
        raise ValueError(f"{operator} is not a condition operator")
    texts = [_text(value) for value in (wanted if isinstance(wanted, list) else [wanted])]
    if test == "IpAddress":
        networks = tuple(ip_network(value, strict=False) for value in texts)
        return Condition(quantifier, test, name in _NEGATED, bool(if_exists), key, (), networks)
    wildcards = test in {"StringLike", "ArnLike"}
    values = tuple(template(value, wildcards=wildcards) for value in texts)
    return Condition(quantifier, test, name in _NEGATED, bool(if_exists), key, values)


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str | int | float):
        return str(value)
    raise ValueError(f"{value!r} is not a condition value")


def _matches(test: str, wanted: Template, actual: str, resolve: Callable[[str], str | None]) -> bool:
    pattern = wanted.bind(resolve)
    if pattern is None:
        return False
    if test in {"StringEqualsIgnoreCase", "Bool"}:
        return (pattern.exact or "").casefold() == actual.casefold()
    if test == "ArnLike":
        # Each part of an ARN is matched by itself, so that a wildcard does not reach over a colon into the next.
        ours, theirs = arn_parts(wanted.text), arn_parts(actual)
        bound = [template(part).bind(resolve) for part in ours]
        return len(ours) == len(theirs) and all(p and p.matches(t) for p, t in zip(bound, theirs, strict=True))
    return pattern.matches(actual)


def _in_networks(actual: str, networks: tuple[IPv4Network | IPv6Network, ...]) -> bool:
    try:
        address = ip_address(actual)
    except ValueError:
        return False
    return any(address in network for network in networks)
