"""The baseline: the declared configuration of a fleet, TOML under version control.

    version = 1

    [certificate]
    keys = ["ec-secp256r1"]          # also expiring_days, age_days
    [alarm]
    stuck = "24h"                    # desired state that nobody reports; silent = "7d"
    [policy.thing]
    template = "thing"               # or file = "thing.json", or document = '{"Version": …}'
    [fleet]                          # every thing; [group.NAME] and [thing.NAME] say it of fewer
    thing_type = "press"
    groups = ["all-presses"]
    policies = ["thing", "!*"]       # and none besides; "!spare": not this one (of groups too)
    firmware = "1.4.2"
    attributes.site = { pattern = "[a-z]+" }
    shadow."desired.rate" = { min = 1, max = 5 }
    named_shadow.config."desired.level" = 3
    components."com.example.Hello" = "1.0.0"
    models.digits = "2.0.0"
    [[membership]]
    group = "oslo"
    where = 'attributes.site == "oslo"'
    [[exemption]]
    until = 2027-01-31
    reason = "spare parts arrive in January"
    thing = "press-7"

A value must be there just so; of a list one must; a table is `equals`, `one_of`, `min`, `max`, `pattern`, `absent`.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING, Any, Final

from iotctl import expression, templates, text
from iotctl.audit import tables
from iotctl.audit.tables import Tables
from iotctl.errors import BadInput, Error, Usage
from iotctl.semantics.checks import Rules, load
from iotctl.semantics.checks.declared import OTHERS, Baseline, Exemption, Key, Membership, Want

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from iotctl.target import Target

VERSION: Final = 1

_TOP: Final = ("version", "certificate", "alarm", "policy", "fleet", "group", "thing", "membership", "exemption")
_SECTION: Final = (
    *("thing_type", "groups", "policies", "firmware", "attributes", "shadow", "named_shadow", "components", "models"),
)
_MAPS: Final = {"attributes": "attribute", "components": "component", "models": "model"}
_WANT: Final = ("equals", "one_of", "min", "max", "pattern", "absent")
_EXEMPTION: Final = ("until", "reason", "check", "thing", "group", "path", "finding")
_SOURCES: Final = ("template", "file", "document")


@dataclass(frozen=True, slots=True)
class Declared:
    """A baseline as it was read: what is wanted, and the limits that it sets."""

    baseline: Baseline
    limits: Mapping[str, Any]

    def rules(self) -> Rules:
        """What the checks go by."""
        conditions = {
            rule.where: expression.parse(rule.where, where="where").holds for rule in self.baseline.memberships
        }
        return Rules(baseline=self.baseline, conditions=conditions, **self.limits)


def read(path: Path, target: Target | None) -> Declared:
    """A baseline from its file.

    Args:
        path: the file; files that it names are beside it.
        target: whose account and region the policies' templates are rendered for.

    Raises:
        BadInput: with every fault of it at once.
        Usage: it cannot be read, or is not TOML.

    """
    document = tables.document(path)
    reading = _Reading(path, target)
    declared = reading.declared(document)
    if reading.faults:
        raise BadInput(f"{path} is not a usable baseline; nothing was read", tuple(reading.faults), on=str(path))
    return declared


class _Reading(Tables):
    """Goes through a document and gathers what is wrong with it."""

    def __init__(self, path: Path, target: Target | None) -> None:
        super().__init__(str(path), "BadBaseline")
        self._path = path
        self._target = target

    def declared(self, document: Mapping[str, Any]) -> Declared:
        self.known(document, _TOP, "")
        if document.get("version") != VERSION:
            self.fault("version", f"it is not {VERSION}: the first line of a baseline is version = {VERSION}")
        certificate = self._table(document, "certificate", ("keys", "expiring_days", "age_days"))
        alarm = self._table(document, "alarm", ("stuck", "silent"))
        limits: dict[str, Any] = {
            name: self.whole(f"certificate.{name}", certificate[name], 1, math.inf, "a whole number of days")
            for name in ("expiring_days", "age_days")
            if name in certificate
        }
        limits |= {
            f"{name}_seconds": self._try(f"alarm.{name}", lambda: text.seconds(str(value)))  # noqa: B023  called at once
            for name, value in alarm.items()
        }
        if "keys" in certificate:
            limits["keys"] = tuple(self.texts("certificate.keys", certificate["keys"]))
        sections = {
            kind: {
                name: self._section(f"{kind}.{name}", section)
                for name, section in self._table(document, kind, None).items()
            }
            for kind in ("group", "thing")
        }
        baseline = Baseline(
            fleet=self._section("fleet", document.get("fleet", {})),
            groups=sections["group"],
            things=sections["thing"],
            policies={
                name: self._policy(name, source) for name, source in self._table(document, "policy", None).items()
            },
            memberships=tuple(self._memberships(document.get("membership", []))),
            exemptions=tuple(self._exemptions(document.get("exemption", []))),
        )
        return Declared(baseline, limits)

    def _section(self, where: str, section: Any) -> dict[Key, Want]:  # noqa: ANN401  TOML is any value
        if not isinstance(section, dict):
            self.fault(where, "it is not a table")
            return {}
        self.known(section, _SECTION, where)
        found: dict[Key, Want] = {}
        for name, kind in (("thing_type", "type"), ("firmware", "firmware")):
            if name in section:
                found[(kind,)] = self._want(f"{where}.{name}", section[name])
        for name, kind in (("groups", "group"), ("policies", "policy")):
            for each in self.texts(f"{where}.{name}", section.get(name, [])):
                if kind == "group" and each == f"!{OTHERS}":
                    self.fault(f"{where}.groups", "of groups [[membership]] says it: exact = true")
                found[kind, each.removeprefix("!")] = Want(absent=each.startswith("!"))
        for name, kind in _MAPS.items():
            for key, value in self._table(section, name, None, where).items():
                found[kind, key] = self._want(f"{where}.{name}.{key}", value)
        found |= self._shadow(f"{where}.shadow", "", section.get("shadow", {}))
        for name, values in self._table(section, "named_shadow", None, where).items():
            found |= self._shadow(f"{where}.named_shadow.{name}", name, values)
        return found

    def _shadow(self, where: str, name: str, values: Any) -> dict[Key, Want]:  # noqa: ANN401  TOML is any value
        if not isinstance(values, dict):
            self.fault(where, "it is not a table")
            return {}
        found: dict[Key, Want] = {}
        for path, value in values.items():
            words = path.split(".")
            if words[0] not in {"desired", "reported"} or len(words) < 2:
                self.fault(f'{where}."{path}"', 'a path begins with desired or reported: "reported.rate"')
            else:
                found["shadow", name, *words] = self._want(f'{where}."{path}"', value)
        return found

    def _want(self, where: str, value: Any) -> Want:  # noqa: ANN401  TOML is any value
        if isinstance(value, list):
            return Want(tuple(value))
        if not isinstance(value, dict):
            return Want((value,))
        self.known(value, _WANT, where)
        values = tuple(value.get("one_of", ())) + ((value["equals"],) if "equals" in value else ())
        pattern = value.get("pattern")
        compiled = None if pattern is None else self._try(f"{where}.pattern", lambda: re.compile(pattern))
        for name in ("min", "max"):
            if not isinstance(value.get(name, 0), int | float):
                self.fault(f"{where}.{name}", "it is not a number")
        return Want(values, value.get("min"), value.get("max"), compiled, absent=value.get("absent") is True)

    def _policy(self, name: str, source: Any) -> Any:  # noqa: ANN401  a policy document
        where = f"policy.{name}"
        if not isinstance(source, dict) or len(source) != 1 or not source.keys() <= set(_SOURCES):
            self.fault(where, f"it has just one of {', '.join(_SOURCES)}")
            return {}
        ((kind, value),) = source.items()
        given = _place(self._target) if self._target else {}
        if kind == "template":
            return self._try(where, lambda: templates.render_json("policies", str(value), **given))
        if kind == "file":
            path = self._path.parent / str(value)
            return self._try(where, lambda: text.loads(_content(path), name=str(path)))
        return self._try(where, lambda: text.loads(str(value), name=where))

    def _memberships(self, rules: Any) -> Iterator[Membership]:  # noqa: ANN401  TOML is any value
        for where, rule in self._each("membership", rules, ("group", "where", "exact")):
            condition = str(rule.get("where", ""))
            if self._try(f"{where}.where", lambda: expression.parse(condition, where="where")):  # noqa: B023  called at once
                yield Membership(str(rule.get("group", "")), condition, exact=rule.get("exact") is True)

    def _exemptions(self, rules: Any) -> Iterator[Exemption]:  # noqa: ANN401  TOML is any value
        for where, rule in self._each("exemption", rules, _EXEMPTION):
            until, reason = rule.get("until"), str(rule.get("reason", "")).strip()
            if isinstance(until, datetime) or not isinstance(until, date):
                self.fault(f"{where}.until", "an exemption ends: until = 2027-01-31")
            elif not reason:
                self.fault(f"{where}.reason", "an exemption has a reason")
            elif not rule.keys() - {"until", "reason"}:
                self.fault(where, "an exemption is about something: check, thing, group, path or finding")
            elif rule.get("check", "") not in {"", *load()}:
                meant = text.nearest(str(rule["check"]), load())
                hint = f"did you mean {meant}?" if meant else "iotctl audit checks lists them"
                self.fault(f"{where}.check", f"there is no such check; {hint}")
            else:
                words = {key: str(value) for key, value in rule.items() if key not in {"until", "reason"}}
                yield Exemption(until, reason, **words)

    def _each(self, name: str, rules: Any, known: tuple[str, ...]) -> Iterator[tuple[str, dict[str, Any]]]:  # noqa: ANN401
        for number, rule in enumerate(rules if isinstance(rules, list) else [rules], 1):
            where = f"{name}[{number}]"
            if isinstance(rule, dict):
                self.known(rule, known, where)
                yield where, rule
            else:
                self.fault(where, f"it is not a table: [[{name}]]")

    def _table(
        self, document: Mapping[str, Any], name: str, known: tuple[str, ...] | None, above: str = ""
    ) -> dict[str, Any]:
        where = f"{above}.{name}" if above else name
        value = document.get(name, {})
        if not isinstance(value, dict):
            self.fault(where, "it is not a table")
            return {}
        if known:
            self.known(value, known, where)
        return value

    def _try(self, where: str, made: Callable[[], Any]) -> Any:  # noqa: ANN401  whatever is made
        try:
            return made()
        except (Error, re.error, ValueError) as error:
            self.fault(where, error.message if isinstance(error, Error) else str(error))
            return None


def _place(target: Target) -> dict[str, str]:
    """What a template of a policy is rendered with."""
    return {"partition": target.partition, "region": target.region, "account": target.account_id}


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise Usage(f"{path} cannot be read: {error.strerror}", on=str(path)) from error
