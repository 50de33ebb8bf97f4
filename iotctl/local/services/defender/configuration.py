"""The account's audit configuration: which checks are enabled, and how they are set.

Source: AWS IoT developer guide, AuditCommands ("Manage audit settings"); API reference, AuditCheckConfiguration.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from iotctl.local.services import invalid, not_found, operation
from iotctl.semantics.checks import Rules, load

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from iotctl.local.store import Store

SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS audit_configuration (
    one INTEGER PRIMARY KEY CHECK (one = 1), role TEXT NOT NULL, targets TEXT NOT NULL, checks TEXT NOT NULL
)
"""

CHECKS: Final = {name: one for name, one in load().items() if not one.ours}
"""The checks of Device Defender, by name."""

_DEFAULTS: Final = Rules()
_SETTINGS: Final = {
    # The name of the setting, and what of the rules it says. Both take from 30 days to ten years, as their pages say:
    # device-certificate-age-check and audit-chk-device-cert-approaching-expiration.
    "DEVICE_CERTIFICATE_AGE_CHECK": ("CERT_AGE_THRESHOLD_IN_DAYS", "age_days"),
    "DEVICE_CERTIFICATE_EXPIRING_CHECK": ("CERT_EXPIRATION_THRESHOLD_IN_DAYS", "expiring_days"),
}
_LEAST_DAYS: Final = 30
_MOST_DAYS: Final = 3652


@dataclass(frozen=True, slots=True)
class Configuration:
    """The audit configuration.

    Attributes:
        role: the role that audits read with; empty: there is no configuration.
        targets: AuditNotificationTargets by type.
        checks: AuditCheckConfigurations of those checks that were configured, by name.

    """

    role: str = ""
    targets: Mapping[str, Any] = field(default_factory=dict)
    checks: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def enabled(self, name: str) -> bool:
        """Whether a check may run."""
        return bool(self.checks.get(name, {}).get("enabled"))

    def rules(self, name: str) -> Rules:
        """What a check goes by: its own setting, which is no other check's."""
        setting, attribute = _SETTINGS.get(name, ("", ""))
        days = self.checks.get(name, {}).get("configuration", {}).get(setting)
        own: dict[str, Any] = {attribute: int(days)} if days else {}
        return replace(_DEFAULTS, **own)


def configured(store: Store) -> Configuration:
    """The configuration in effect."""
    row = store.row("SELECT * FROM audit_configuration")
    return Configuration(row["role"], json.loads(row["targets"]), json.loads(row["checks"])) if row else Configuration()


def known(name: str) -> str:
    """The name of a check.

    Raises:
        AwsError: there is none of this name.

    """
    if name not in CHECKS:
        raise invalid(f"{name} is not a valid check name")
    return name


def all_enabled(store: Store, names: Iterable[str]) -> list[str]:
    """The names of checks that are to run, each once.

    Raises:
        AwsError: one does not exist, or is not enabled; or there are none.

    """
    chosen = [known(name) for name in dict.fromkeys(names)]
    found = configured(store)
    disabled = [name for name in chosen if not found.enabled(name)]
    if disabled or not chosen:
        raise invalid(f"Checks are not enabled for this account: {', '.join(disabled)}" if chosen else "No checks")
    return chosen


@operation("iot:DescribeAccountAuditConfiguration")
def describe_account_audit_configuration(store: Store) -> dict[str, Any]:
    """The configuration, with every check that there is."""
    found = configured(store)
    return {
        "roleArn": found.role or None,
        "auditNotificationTargetConfigurations": dict(found.targets),
        "auditCheckConfigurations": {name: {"enabled": False, **found.checks.get(name, {})} for name in sorted(CHECKS)},
    }


@operation("iot:UpdateAccountAuditConfiguration")
def update_account_audit_configuration(
    store: Store,
    roleArn: str | None = None,
    auditNotificationTargetConfigurations: dict[str, dict[str, Any]] | None = None,
    auditCheckConfigurations: dict[str, dict[str, Any]] | None = None,
) -> None:
    """Configure audits; what is not named stays. The first time needs a role and a check."""
    held, given = configured(store), auditCheckConfigurations or {}
    checks = {**held.checks, **{known(name): _checked(held, name, one) for name, one in given.items()}}
    role = roleArn or held.role
    if not held.role and (not role or not any(one.get("enabled") for one in given.values())):
        raise invalid("The first configuration must specify roleArn and enable at least one check")
    for name, one in given.items():
        if held.enabled(name) and not one.get("enabled"):
            _unused(store, name)
            store.publish(f"$local/audit/{name}", {})
    targets = {**held.targets, **(auditNotificationTargetConfigurations or {})}
    store.execute(
        "INSERT INTO audit_configuration VALUES (1, ?, ?, ?) ON CONFLICT DO UPDATE"
        " SET role = excluded.role, targets = excluded.targets, checks = excluded.checks",
        role,
        json.dumps(targets),
        json.dumps(checks),
    )
    store.publish("$local/audit/configuration", {})


@operation("iot:DeleteAccountAuditConfiguration")
def delete_account_audit_configuration(store: Store, deleteScheduledAudits: bool = False) -> None:
    """Go back to no configuration, every check disabled.

    Scheduled audits that are not to be deleted stand in the way: a check that one of them uses cannot be disabled.
    """
    found = configured(store)
    if not found.role:
        raise not_found("There is no audit configuration for this account")
    if deleteScheduledAudits:
        store.execute("DELETE FROM scheduled_audit")
    for name in found.checks:
        _unused(store, name)
    store.execute("DELETE FROM audit_configuration")
    store.publish("$local/audit/configuration", {})


def _checked(held: Configuration, name: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """A check's configuration after a request, what it does not name as it was."""
    before = held.checks.get(name, {})
    settings = dict(given.get("configuration", before.get("configuration", {})))
    for key, text in settings.items():
        if key != _SETTINGS.get(name, ("",))[0]:
            raise invalid(f"{key} is not a setting of {name}")
        if not text.isdecimal() or not _LEAST_DAYS <= int(text) <= _MOST_DAYS:
            raise invalid(f"{key} must be a number of days from {_LEAST_DAYS} to {_MOST_DAYS}, not {text}")
    merged = {"enabled": bool(given.get("enabled", before.get("enabled", False)))}
    return {**merged, **({"configuration": settings} if settings else {})}


def _unused(store: Store, name: str) -> None:
    row = store.row("SELECT name FROM scheduled_audit, json_each(checks) WHERE value = ?", name)
    if row:
        raise invalid(f"{name} cannot be disabled: the scheduled audit {row['name']} uses it")
