"""Audit checks over a fleet, one function each; its docstring is the help that people read.

    @check("DEVICE_CERTIFICATE_EXPIRING_CHECK", severity=Severity.MEDIUM, of="certificates")
    def device_certificate_expiring(one: Certificate, fleet: Fleet, rules: Rules) -> Iterator[Flaw]: ...

Those of Device Defender carry its identifiers, severities and reason codes, and serve the tool and the platform alike.
Sources: the developer guide's device-defender-audit-checks and audit-chk-* pages.
"""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final, TypeVar

from iotctl import text

if TYPE_CHECKING:
    from datetime import datetime

    from iotctl.semantics.checks.declared import Baseline, Membership
    from iotctl.semantics.checks.fleet import Fleet, Thing

_Check = TypeVar("_Check", bound=Callable[..., Iterator[Any]])


class Severity(StrEnum):
    """How bad it is, in AWS's words."""

    CRITICAL = "CRITICAL"
    HIGH = "HIGH"
    MEDIUM = "MEDIUM"
    LOW = "LOW"

    @property
    def rank(self) -> int:
        """0 is the worst."""
        return list(Severity).index(self)


class State(StrEnum):
    """How a check ended; always in exactly one of these."""

    PASS = "pass"  # noqa: S105  no password
    FINDING = "finding"
    SKIPPED = "skipped"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Rules:
    """What the checks go by.

    Attributes:
        expiring_days: a certificate that expires within so many days is found (CERT_EXPIRATION_THRESHOLD_IN_DAYS).
        age_days: an active certificate as old as this is found (CERT_AGE_THRESHOLD_IN_DAYS, 30 to 3652).
        keys: the kinds of keys that are strong enough, e.g. "ec-secp256r1"; empty: every kind that AWS IoT takes.
        stuck_seconds: desired state that was not reported for so long is stuck.
        silent_seconds: a device that neither connected nor reported for so long is silent.
        baseline: what was declared; None: the checks that need one are skipped.
        conditions: the conditions of its membership rules, by their text, ready to be asked.

    """

    expiring_days: float = 30
    age_days: int = 365
    keys: tuple[str, ...] = ()
    stuck_seconds: float = 24 * 3600
    silent_seconds: float = 7 * 24 * 3600
    baseline: Baseline | None = None
    conditions: Mapping[str, Callable[[Mapping[str, Any]], bool]] = field(default_factory=dict)

    def belonging(self, thing: Thing) -> Iterator[tuple[Membership, bool]]:
        """Each membership rule of the baseline, and whether the thing belongs in its group."""
        if self.baseline and self.baseline.memberships:
            known = {"thingName": thing.name, "thingTypeName": thing.type_name, "attributes": thing.attributes}
            for rule in self.baseline.memberships:
                yield rule, self.conditions[rule.where](known)


@dataclass(frozen=True, slots=True)
class Related:
    """Another resource that a flaw concerns: AWS's RelatedResource.

    Attributes:
        resource_type: AWS's ResourceType.
        resource: AWS's ResourceIdentifier: {"clientId": …}.
        details: additionalInfo, in AWS's words.

    """

    resource_type: str
    resource: Mapping[str, str]
    details: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Flaw:
    """What one check found of one resource.

    Attributes:
        reason: its reasonForNonComplianceCode.
        resource: AWS's ResourceIdentifier: {"deviceCertificateId": …}; of a thing {"thingName": …}. Its first text is
            the name that people see.
        expected: what should be, in words or as the value itself.
        actual: what is.
        since: since when it is so, where that is known.
        things: the things that it concerns.
        mend: the command that mends it, capitals standing for what it cannot know.
        key: what tells it from other flaws of the same check and resource: a path, a name.
        details: additionalInfo, in AWS's words.
        related: other resources that it concerns.

    """

    reason: str
    resource: Mapping[str, Any]
    expected: str
    actual: str
    mend: str
    since: datetime | None = None
    things: tuple[str, ...] = ()
    key: str = ""
    details: Mapping[str, str] = field(default_factory=dict)
    related: tuple[Related, ...] = ()


@dataclass(frozen=True, slots=True)
class Check:
    """A check: how it is called, how bad its findings are, and what it needs.

    Attributes:
        of: the attribute of the fleet whose elements it judges one by one.
        needs: those attributes that it cannot do without, `of` among them.
        resource_type: AWS's ResourceType: DEVICE_CERTIFICATE; THING of our own.
        ours: whether Device Defender has no such check.
        function: `(element, fleet, rules)` to flaws.

    """

    name: str
    severity: Severity
    of: str
    needs: tuple[str, ...]
    resource_type: str
    ours: bool
    function: Callable[[Any, Fleet, Rules], Iterator[Flaw]]

    @property
    def help(self) -> str:
        """What it finds, and why that matters."""
        return inspect.cleandoc(self.function.__doc__ or "")


@dataclass(frozen=True, slots=True)
class Finding:
    """A flaw, with the check that found it."""

    check: Check
    flaw: Flaw

    @property
    def finding_id(self) -> str:
        """Twelve hex digits, the same in every run: of the check, the resource and what is wrong with it."""
        return self._id(self.flaw.key)

    @property
    def resource_id(self) -> str:
        """The id of a finding by Device Defender of the same: it does not say where in the resource the flaw is."""
        return self._id("")

    def _id(self, key: str) -> str:
        identity = text.canonical([self.check.name, self.resource, self.flaw.reason, key])
        return hashlib.sha256(identity.encode()).hexdigest()[:12]

    @property
    def resource(self) -> str:
        """The name of the resource, for people."""
        value: Any = self.flaw.resource
        while isinstance(value, Mapping):
            value = next(iter(value.values()))
        return str(value)

    def order(self) -> tuple[Any, ...]:
        """What findings are sorted by: the worst first, then by name."""
        return self.check.severity.rank, self.check.name, self.resource, self.flaw.reason, self.flaw.key

    def to_json(self) -> dict[str, Any]:
        """The finding with AWS's own keys where AWS has them."""
        flaw = self.flaw
        return {
            "findingId": self.finding_id,
            "checkName": self.check.name,
            "severity": str(self.check.severity),
            "reasonForNonComplianceCode": flaw.reason,
            "resourceType": self.check.resource_type,
            "resource": self.resource,
            "resourceIdentifier": dict(flaw.resource),
            "thingNames": list(flaw.things),
            "expected": flaw.expected,
            "actual": flaw.actual,
            "since": flaw.since.isoformat() if flaw.since else None,
            "mend": flaw.mend,
            "additionalInfo": dict(flaw.details),
        }


@dataclass(frozen=True, slots=True)
class Verdict:
    """How a check ended.

    Attributes:
        reason: why it was skipped or is unknown.
        checked: how many resources it looked at.
        found: how many of them it found something about.

    """

    check: Check
    state: State
    reason: str = ""
    checked: int = 0
    found: int = 0

    def to_json(self) -> dict[str, Any]:
        """The verdict as a row."""
        return {
            "checkName": self.check.name,
            "severity": str(self.check.severity),
            "state": str(self.state),
            "reason": self.reason,
            "checked": self.checked,
            "nonCompliant": self.found,
        }


CHECKS: Final[dict[str, Check]] = {}
"""Every check by its name; filled by importing the modules of this package (`load`)."""

_RESOURCES: Final = {
    "certificates": "DEVICE_CERTIFICATE",
    "sharings": "DEVICE_CERTIFICATE",
    "ca_certificates": "CA_CERTIFICATE",
    "policies": "IOT_POLICY",
    "identity_pools": "COGNITO_IDENTITY_POOL",
    "role_aliases": "ROLE_ALIAS",
    "takeovers": "CLIENT_ID",
    "logging": "ACCOUNT_SETTINGS",
    "things": "THING",
}


def check(
    name: str, *, severity: Severity, of: str, needs: tuple[str, ...] = (), resource: str = "", ours: bool = False
) -> Callable[[_Check], _Check]:
    """Register a check of the elements of one attribute of the fleet."""

    def register(function: _Check) -> _Check:
        CHECKS[name] = Check(name, severity, of, (of, *needs), resource or _RESOURCES[of], ours, function)
        return function

    return register


def option(name: str, value: str) -> str:
    """An option of a command to paste; a value may begin with what looks like another option."""
    return f"--{name}{'=' if value.startswith('-') else ' '}{value}"


def argument(value: str) -> str:
    """The last words of a command to paste, likewise."""
    return f"-- {value}" if value.startswith("-") else value


def milliseconds(moment: datetime) -> str:
    """A moment as additionalInfo has it: milliseconds since 1970."""
    return str(int(moment.timestamp() * 1000))


def load() -> Mapping[str, Check]:
    """Every check, by name."""
    from iotctl.semantics.checks import (  # noqa: F401  importing them registers their checks
        account,
        certificates,
        connections,
        drift,
        policies,
        registry,
        roles,
    )

    return CHECKS


def judge(fleet: Fleet, rules: Rules, checks: Iterable[Check]) -> tuple[list[Finding], list[Verdict]]:
    """Every finding of these checks, sorted, and how each check ended, in the order given.

    Each collection of the fleet is gone through once, for all the checks that look at it.
    """
    chosen = list(checks)
    ended = {one.name: stopped for one in chosen if (stopped := _cannot(one, fleet))}
    running = [one for one in chosen if one.name not in ended]
    findings: list[Finding] = []
    checked: dict[str, int] = {}
    found = dict.fromkeys((one.name for one in running), 0)
    for attribute in dict.fromkeys(one.of for one in running):
        functions = [(one, one.function) for one in running if one.of == attribute]
        number = 0
        for number, element in enumerate(_elements(fleet, attribute), 1):  # noqa: B007  the last one is used
            for one, function in functions:
                if flaws := [*function(element, fleet, rules)]:
                    findings += [Finding(one, flaw) for flaw in flaws]
                    found[one.name] += 1
        checked[attribute] = number
    for one in running:
        state = State.FINDING if found[one.name] else State.PASS
        ended[one.name] = Verdict(one, state, "", checked[one.of], found[one.name])
    findings.sort(key=Finding.order)
    return findings, [ended[one.name] for one in chosen]


def _elements(fleet: Fleet, attribute: str) -> Iterable[Any]:
    value = getattr(fleet, attribute)
    return (value,) if isinstance(value, bool) else value


def _cannot(one: Check, fleet: Fleet) -> Verdict | None:
    """How a check ends that lacks something: what failed to be read counts before what could not be."""
    for state, missing in ((State.UNKNOWN, fleet.unread), (State.SKIPPED, fleet.beyond)):
        reasons = [missing[need] for need in one.needs if need in missing]
        if reasons:
            return Verdict(one, state, "; ".join(dict.fromkeys(reasons)))
    return None
