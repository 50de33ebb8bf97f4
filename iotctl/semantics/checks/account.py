"""Checks of the account's settings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from iotctl.semantics.checks import Flaw, Rules, Severity, check

if TYPE_CHECKING:
    from collections.abc import Iterator

    from iotctl.semantics.checks.fleet import Fleet


@check("LOGGING_DISABLED_CHECK", severity=Severity.LOW, of="logging")
def logging_disabled(one: bool, fleet: Fleet, rules: Rules) -> Iterator[Flaw]:  # noqa: ARG001
    """Neither version of AWS IoT's logging is on: failed connections leave no trace."""
    if not one:
        yield Flaw(
            "LOGGING_DISABLED",
            {"account": fleet.account_id},
            expected="logging on",
            actual="off",
            mend="aws iot set-v2-logging-options --role-arn ROLE --default-log-level ERROR",
        )
