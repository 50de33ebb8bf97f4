"""Read-only: which certificates end within some time, whose they are, and what renews them.

Reading is the audit's, and so is judging: a certificate is read from AWS once and kept on this machine, and what counts
as expiring is DEVICE_CERTIFICATE_EXPIRING_CHECK. Only of those that end in time it is asked whose they are, or whether
they are in use.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from iotctl import clock, scope
from iotctl.errors import Exit
from iotctl.kept import Kept
from iotctl.reading import Reading
from iotctl.registry import Registry
from iotctl.result import Column, Result, Table
from iotctl.semantics.checks import Rules, State, judge, load
from iotctl.semantics.checks.fleet import Certificate, Fleet
from iotctl.text import count

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from iotctl.context import Context
    from iotctl.pki import certificates as x509
    from iotctl.scope import Scope

CHECK: Final = "DEVICE_CERTIFICATE_EXPIRING_CHECK"
_DAY: Final = timedelta(days=1)
_COLUMNS: Final = (
    Column("thingName", "THING"),
    Column("certificateId", "CERTIFICATE"),
    Column("notAfter", "ENDS"),
    Column("daysLeft", "DAYS LEFT"),
)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What of the registry is read: the certificates of a scope, or all of them."""

    things: Scope | None
    policies: tuple[str, ...] = ()

    @property
    def whole(self) -> bool:
        """Whether it is about every thing."""
        return self.things is None


def expiring(context: Context, chosen: Scope | None, within: timedelta, again: str) -> Result:
    """The certificates in use that end within some time, of the things of a scope; None: of all.

    Args:
        context: of the command.
        chosen: the things.
        within: the time from now.
        again: the command itself, which prints their names with -q.

    Raises:
        NotFound: the scope does not exist. Auth: the credentials are no good.

    """
    aws = context.reading
    with Kept(context.home, aws.target, audits=False) as kept:
        reading = Reading(aws, context.world(), kept, context.tell)
        found = _ending(Registry(reading, Wanted(chosen)), chosen, clock.now() + within)
    fleet = Fleet(now=clock.now(), certificates=found, unread=reading.unread)
    findings, (verdict,) = judge(fleet, Rules(expiring_days=within / _DAY), [load()[CHECK]])
    known = {one.certificate_id: one for one in found}
    rows = [row for finding in findings for row in _rows(known[finding.resource], fleet.now)]
    rows.sort(key=lambda row: (row["notAfter"], row["thingName"]))
    missed = tuple(reading.unread.values())
    code = Exit.PARTIAL if verdict.state is State.UNKNOWN or missed else Exit.DIFFERS if rows else Exit.OK
    words = (*(f"not everything could be read: {why}" for why in missed), *_notes(rows, within, again))
    return Result(
        {"withinDays": round(within / _DAY, 3), "certificates": rows}, Table(_COLUMNS, rows), notes=words, exit=code
    )


def _ending(registry: Registry, chosen: Scope | None, last: datetime) -> list[Certificate]:
    """The certificates that end in time, with their status and their things."""
    reading = registry.reading
    if chosen is None:
        listed = {one["certificateId"]: one for one in registry.certificates()}
        ending = _in_time(registry.pems(list(listed)), last)
        things = registry.things_of(listed[certificate_id]["certificateArn"] for certificate_id in ending)
        states = {certificate_id: str(listed[certificate_id]["status"]) for certificate_id in ending}
    else:
        if chosen.is_one:
            reading.aws.call("iot:DescribeThing", thingName=chosen.thing)  # one that is not there has none, else
        things = registry.certificates_of(scope.resolve(reading.aws, chosen).names)
        ending = _in_time(registry.pems(list(things)), last)
        op = "iot:DescribeCertificate"
        asked = {one: reading.one("certificates", op, certificateId=one) for one in ending}
        states = {one: str(answer["certificateDescription"]["status"]) for one, answer in asked.items() if answer}
    return [
        replace(_says(ending[one]), status=status, things=tuple(sorted(things.get(one, ()))))
        for one, status in states.items()
    ]


def _in_time(pems: Mapping[str, x509.Certificate], end: datetime) -> dict[str, x509.Certificate]:
    return {certificate_id: says for certificate_id, says in pems.items() if says.not_after <= end}


def _says(certificate: x509.Certificate) -> Certificate:
    return Certificate(certificate.certificate_id, not_after=certificate.not_after, key=certificate.key)


def _rows(certificate: Certificate, now: datetime) -> list[dict[str, Any]]:
    end = certificate.not_after
    assert end is not None, "only what could be read is judged"
    row = {
        "certificateId": certificate.certificate_id,
        "notAfter": clock.iso(end),
        "daysLeft": (end - now) // _DAY,
        "status": certificate.status,
    }
    return [{"thingName": name, **row} for name in certificate.things or ("",)]


def _notes(rows: list[dict[str, Any]], within: timedelta, again: str) -> list[str]:
    """How many there are, and what mends them."""
    days = f"{within / _DAY:g} days"
    if not rows:
        return [f"no certificate in use ends within {days}"]
    expired = sum(row["daysLeft"] < 0 for row in rows)
    notes = [f"{count(len(rows), 'certificate')} of things end within {days}; {expired:,} of them have ended"]
    if any(row["thingName"] and row["daysLeft"] >= 0 for row in rows):
        notes.append(f"new ones: {again} -q | iotctl onboard certs rotate --things -")
    if expired:
        notes.append("a device whose certificate has ended cannot come for a new one: it needs a new bundle")
    if any(not row["thingName"] for row in rows):
        notes.append("those of no thing: iotctl audit run --check ORPHAN_CERTIFICATE_CHECK")
    return notes
