"""What audits found, from one to the next."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from iotctl.audit import history, verdict
from iotctl.errors import Exit
from iotctl.journal import Journal
from iotctl.semantics.checks import Rules, judge, load
from iotctl.semantics.checks.declared import Exemption
from iotctl.semantics.checks.fleet import Fleet, Thing
from iotctl.target import Target

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NOW = datetime(2026, 6, 1, tzinfo=UTC)
TARGET = Target("aws", "123456789012", "eu-north-1")
SERIES = history.Series("audit run", "all things", TARGET)
CHECKS = ("THING_WITHOUT_CERTIFICATE_CHECK", "THING_OUTSIDE_GROUPS_CHECK")


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    """A journal with nothing in it."""
    with Journal(tmp_path) as one:
        yield one


def audit(*names: str, hours: int = 0, **fleet: Any) -> verdict.Audit:
    """An audit of things that are bare: without certificate, in a group."""
    seen = Fleet(NOW + timedelta(hours=hours), things=[Thing(name, groups=("g",)) for name in names], **fleet)
    findings, verdicts = judge(seen, Rules(), [load()[name] for name in CHECKS])
    return verdict.settled(findings, verdicts, (), seen)


def resources(findings: tuple[dict[str, Any], ...]) -> list[str]:
    """What the findings are about."""
    return [finding["resource"] for finding in findings]


def test_new_and_healed(journal: Journal) -> None:
    """Each once: what stays is neither; what comes back is new again."""
    seen = []
    for number, names in enumerate((("a", "b"), ("a", "b"), ("b", "c"), ("a",))):
        changed = history.record(journal, SERIES, audit(*names, hours=number), Exit.DIFFERS)
        seen.append((resources(changed.new), resources(changed.healed)))

    assert [(["a", "b"], []), ([], []), (["c"], ["a"]), (["a"], ["b", "c"])] == seen
    trend = list(history.trend(journal, TARGET, 10))
    assert [(1, 1, 2), (2, 1, 1), (2, 0, 0), (2, 2, 0)] == [
        (one["findings"], one["new"], one["healed"]) for one in trend
    ]
    assert ["2026-06-01T03:00:00Z"] == [one["time"] for one in history.trend(journal, TARGET, 1)]


def test_what_was_not_looked_at_is_not_healed(journal: Journal) -> None:
    """A check that ended unknown heals nothing; an audit of some things nothing of others, and is no point of it."""
    history.record(journal, SERIES, audit("a", "b", "c"), Exit.DIFFERS)
    unknown = history.record(journal, SERIES, audit(hours=1, unread={"principals": "throttled"}), Exit.PARTIAL)
    some = history.record(journal, SERIES, audit(hours=2), Exit.OK, only={"b"})

    assert ([], ["b"]) == (resources(unknown.healed), resources(some.healed))
    assert 2 == len(list(history.trend(journal, TARGET, 10)))


def test_what_is_exempted_is_neither_healed_nor_new(journal: Journal) -> None:
    """It is still so; when the exemption has lapsed it is new again."""
    history.record(journal, SERIES, audit("a"), Exit.DIFFERS)
    plain = audit("a", hours=1)
    exemption = Exemption(NOW.date(), "known", thing="a")
    exempted = replace(plain, findings=(), exempted=((plain.findings[0], exemption),))

    changed = history.record(journal, SERIES, exempted, Exit.OK)
    assert ((), ()) == (changed.new, changed.healed)
    assert ["a"] == resources(history.record(journal, SERIES, audit("a", hours=2), Exit.DIFFERS).new)


def test_what_is_suppressed_in_device_defender_is_not_healed(journal: Journal) -> None:
    """It is still so there as well."""
    history.record(journal, SERIES, audit("a"), Exit.DIFFERS)
    plain = audit("a", hours=1)
    hidden = replace(plain, findings=(), suppressed=frozenset({plain.findings[0].finding_id}))
    assert () == history.record(journal, SERIES, hidden, Exit.OK).healed


def test_series_are_apart(journal: Journal) -> None:
    """Other words, another command or another region: each has its own idea of what is new."""
    others = [
        history.Series("audit watch", "all things", TARGET),
        history.Series("audit run", "thing group g", TARGET),
        history.Series("audit run", "all things", Target("aws", "123456789012", "us-east-1")),
    ]
    for series in (SERIES, *others):
        assert ["a"] == resources(history.record(journal, series, audit("a"), Exit.DIFFERS).new)
    found = audit("a").findings[0].finding_id
    assert ["a"] == [one["resource"] for one in history.known(journal, TARGET, [found, "nothing"]).values()]
    assert {} == history.known(journal, Target("local", "1", "x"), [found])
