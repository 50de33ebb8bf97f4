"""What audits found, kept in the journal: what is new since the last one of its series, what is healed, and the trend.

Audits of the same words on the same account and region are a series. A finding is healed only where its check was made
again and does not find it: what could not be looked at is as it was.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from iotctl import clock, text
from iotctl.semantics.checks import Severity, State

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from iotctl.audit.verdict import Audit
    from iotctl.errors import Exit
    from iotctl.journal import Journal
    from iotctl.target import Target

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS audit (
    id INTEGER PRIMARY KEY, series TEXT NOT NULL, words TEXT NOT NULL, target TEXT NOT NULL, at TEXT NOT NULL,
    exit_code INTEGER NOT NULL, found TEXT NOT NULL, new INTEGER NOT NULL, healed INTEGER NOT NULL,
    unknown INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS finding (
    series TEXT NOT NULL, id TEXT NOT NULL, target TEXT NOT NULL, data TEXT NOT NULL, since TEXT NOT NULL, healed TEXT,
    PRIMARY KEY (series, id)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS finding_by_id ON finding (id);
"""


@dataclass(frozen=True, slots=True)
class Series:
    """A series of audits.

    Attributes:
        command: "audit run", "audit watch": each has its own idea of what is new.
        words: what the audits are about.

    """

    command: str
    words: str
    target: Target

    @property
    def key(self) -> str:
        """What tells it from other series."""
        identity = text.canonical([self.command, self.words, self.target.to_json()])
        return hashlib.sha256(identity.encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class Changed:
    """What is not as it was at the last audit of a series: findings as `Finding.to_json` has them."""

    new: tuple[dict[str, Any], ...]
    healed: tuple[dict[str, Any], ...]


def record(
    journal: Journal, series: Series, audit: Audit, code: Exit, *, only: Collection[str] | None = None
) -> Changed:
    """Keep what an audit found, and tell what has changed since the last one of its series.

    Args:
        journal: where it is kept.
        series: which audits it is one of.
        audit: what was found.
        code: how it ended.
        only: the things that were looked at; None: all of the series. An audit of a few is no point of the trend.

    """
    now = {finding.finding_id: finding.to_json() for finding in audit.findings}
    judged = {one.check.name for one in audit.verdicts if one.state in {State.PASS, State.FINDING}}
    at = clock.iso(audit.at)
    with journal.own(_SCHEMA) as tables:
        rows = tables.execute("SELECT id, data FROM finding WHERE series = ? AND healed IS NULL", (series.key,))
        before = {finding_id: json.loads(data) for finding_id, data in rows}
        new = [finding for finding_id, finding in now.items() if finding_id not in before]
        gone = [
            finding
            for finding_id, finding in before.items()
            if finding_id not in now
            and finding["checkName"] in judged
            and (only is None or not set(finding["thingNames"]).isdisjoint(only))
        ]
        # What is suppressed or exempted is still so: it is new again on the day after the exemption's last.
        exempted = {finding.finding_id for finding, _ in audit.exempted} | audit.suppressed
        healed = [finding for finding in gone if finding["findingId"] not in exempted]
        tables.executemany(
            "INSERT INTO finding VALUES (?, ?, ?, ?, ?, NULL) ON CONFLICT (series, id) DO UPDATE SET"
            " data = excluded.data, since = iif(healed IS NULL, since, excluded.since), healed = NULL",
            ((series.key, one, _named(series.target), json.dumps(finding), at) for one, finding in now.items()),
        )
        tables.executemany(
            "UPDATE finding SET healed = ? WHERE series = ? AND id = ?",
            ((at, series.key, finding["findingId"]) for finding in gone),
        )
        if only is None:
            found = Counter(str(finding.check.severity) for finding in audit.findings)
            unknown = sum(one.state is State.UNKNOWN for one in audit.verdicts)
            values = (series.key, f"{series.command}: {series.words}", _named(series.target), at, int(code))
            tables.execute(
                "INSERT INTO audit VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (*values, json.dumps(found), len(new), len(healed), unknown),
            )
    return Changed(tuple(new), tuple(sorted(healed, key=_order)))


def trend(journal: Journal, target: Target, most: int) -> Iterator[dict[str, Any]]:
    """The last audits of an account and region, the newest first: findings by severity, new ones and healed ones."""
    with journal.own(_SCHEMA) as tables:
        rows = tables.execute(
            "SELECT words, at, exit_code, found, new, healed, unknown FROM audit WHERE target = ?"
            " ORDER BY id DESC LIMIT ?",
            (_named(target), most),
        ).fetchall()
    for words, at, code, found, new, healed, unknown in rows:
        counts = json.loads(found)
        yield {
            "time": at,
            "findings": sum(counts.values()),
            **{str(severity).lower(): counts.get(str(severity), 0) for severity in Severity},
            "new": new,
            "healed": healed,
            "unknownChecks": unknown,
            "exitCode": code,
            "audit": words,
        }


def known(journal: Journal, target: Target, ids: Collection[str]) -> dict[str, dict[str, Any]]:
    """Those of these findings that any audit of the account and region has found, healed or not, by id."""
    with journal.own(_SCHEMA) as tables:
        rows = tables.execute(
            "SELECT id, data FROM finding WHERE target = ? AND id IN (SELECT value FROM json_each(?))",
            (_named(target), json.dumps(list(ids))),
        ).fetchall()
    return {finding_id: json.loads(data) for finding_id, data in rows}


def _named(target: Target) -> str:
    return f"{target.kind} {target.account_id} {target.region}"


def _order(finding: dict[str, Any]) -> tuple[Any, ...]:
    return Severity(finding["severity"]).rank, finding["checkName"], finding["resource"], finding["findingId"]
