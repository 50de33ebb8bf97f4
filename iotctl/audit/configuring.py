"""The account's audit configuration as an audit needs it: what has to change, the change, and taking it back.

What it was is kept in a file until it is restored: a run that was killed is put right by the next one.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from iotctl import files
from iotctl.errors import Error, Usage
from iotctl.semantics.checks import Rules
from iotctl.text import count

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from iotctl.aws import Aws
    from iotctl.semantics.checks import Check

HISTORY: Final = frozenset({"takeovers", "sharings"})
"""What is collected from when a check that looks at it is enabled: enabling it for one audit would find nothing."""

_SETTINGS: Final = {
    "DEVICE_CERTIFICATE_AGE_CHECK": ("CERT_AGE_THRESHOLD_IN_DAYS", "age_days"),
    "DEVICE_CERTIFICATE_EXPIRING_CHECK": ("CERT_EXPIRATION_THRESHOLD_IN_DAYS", "expiring_days"),
}
_DEFAULTS: Final = Rules()
_LEAST_DAYS: Final = 30
_MOST_DAYS: Final = 3652


@dataclass(frozen=True, slots=True)
class Change:
    """What of the account's audit configuration has to change for an audit.

    Attributes:
        enable: checks that are not enabled.
        settings: settings of checks that are not as the baseline says: their configuration by the name of the check.
        role: the role to set, where none is; empty: one is.

    """

    enable: tuple[str, ...] = ()
    settings: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    role: str = ""

    def __bool__(self) -> bool:
        return bool(self.enable or self.settings or self.role)

    def words(self, *, short: bool = False) -> str:
        """The change, for people; `short`: with how many checks, not which."""
        names = count(len(self.enable), "check") if short and len(self.enable) > 1 else ", ".join(self.enable)
        said = [f"enable {names}"] if self.enable else []
        said += [f"set {key} of {name} to {value}" for name, one in self.settings.items() for key, value in one.items()]
        said += [f"let it read as the role {self.role}"] if self.role else []
        return "; ".join(said)


def change(held: Mapping[str, Any], checks: Sequence[Check], rules: Rules, role: str) -> Change:
    """What has to change for these checks to run by these rules. Pure.

    Args:
        held: the answer of DescribeAccountAuditConfiguration.
        checks: those to run.
        rules: the thresholds.
        role: the ARN of the role to read with, where the account has none.

    Raises:
        Usage: Device Defender does not take such a threshold.

    """
    enable, settings = [], {}
    for one in checks:
        before = held["auditCheckConfigurations"].get(one.name, {})
        if one.of in HISTORY:
            continue
        if not before.get("enabled"):
            enable.append(one.name)
        if one.name in _SETTINGS:
            key, attribute = _SETTINGS[one.name]
            days = f"{getattr(rules, attribute):g}"
            if not _LEAST_DAYS <= float(days) <= _MOST_DAYS:
                raise Usage(
                    f"Device Defender takes {_LEAST_DAYS} to {_MOST_DAYS} days for {one.name}, and the baseline says"
                    f" {days}",
                    hint="--engine iotctl takes any number",
                )
            if before.get("configuration", {}).get(key, str(getattr(_DEFAULTS, attribute))) != days:
                settings[one.name] = {key: days}
    # A role alone is no configuration: AWS takes the first one only with a check that is enabled.
    return Change(tuple(enable), settings, role if (enable or settings) and not held.get("roleArn") else "")


def undone(held: Mapping[str, Any], changed: Change) -> dict[str, Any]:
    """The parameters of UpdateAccountAuditConfiguration that take a change back; none: nothing was configured. Pure."""
    if not held.get("roleArn"):
        return {}
    configurations: dict[str, dict[str, Any]] = {}
    for name in dict.fromkeys((*changed.enable, *changed.settings)):
        before = held["auditCheckConfigurations"].get(name, {})
        configurations[name] = {"enabled": bool(before.get("enabled"))}
        if name in changed.settings:
            key, attribute = _SETTINGS[name]
            default = {key: str(getattr(_DEFAULTS, attribute))}
            configurations[name]["configuration"] = dict(before.get("configuration") or default)
    return {"auditCheckConfigurations": configurations}


def apply(aws: Aws, kept: Path, held: Mapping[str, Any], wanted: Change) -> None:
    """Change the configuration; before that, keep how to take it back."""
    files.replace(kept, json.dumps({"undo": undone(held, wanted)}).encode())
    names = dict.fromkeys((*wanted.enable, *wanted.settings))
    configurations = {
        name: {"enabled": True, **({"configuration": dict(wanted.settings[name])} if name in wanted.settings else {})}
        for name in names
    }
    parameters: dict[str, Any] = {"auditCheckConfigurations": configurations}
    if wanted.role:
        parameters["roleArn"] = wanted.role
    try:
        aws.call("iot:UpdateAccountAuditConfiguration", **parameters)
    except Error as error:
        if wanted.role:
            error.hint = error.hint or "iotctl account template makes the role that Device Defender reads with"
        raise


def restore(aws: Aws, kept: Path) -> None:
    """Take back what this run, or one that was killed, changed.

    Raises:
        Error: it could not be; the file stays, and the next run with --configure does it.

    """
    try:
        undo = json.loads(kept.read_bytes())["undo"]
    except FileNotFoundError:
        return
    if undo:
        aws.call("iot:UpdateAccountAuditConfiguration", **undo)
    elif aws.call("iot:DescribeAccountAuditConfiguration").get("roleArn"):
        aws.call("iot:DeleteAccountAuditConfiguration")
    kept.unlink()
