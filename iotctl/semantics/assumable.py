"""Whether a service may assume an IAM role, and for whom. Pure.

Sources: IAM user guide, "The confused deputy problem"; AWS IoT developer guide, cross-service-confused-deputy-
prevention.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with who may assume a role.

    Attributes:
        words: what it is.
        by_others_too: the service may, and so it may for any other account.

    """

    words: str
    by_others_too: bool = False


def fault(role: Mapping[str, Any], service: str, account_id: str) -> Fault | None:
    """What keeps a service from assuming a role for this account, and for no other; None: nothing.

    Args:
        role: as iam:GetRole describes it.
        service: `iot.amazonaws.com`.
        account_id: twelve digits.

    """
    statements = role.get("AssumeRolePolicyDocument", {}).get("Statement", [])
    allowing = [
        statement
        for statement in (statements if isinstance(statements, list) else [statements])
        if statement.get("Effect") == "Allow" and service in _services(statement)
    ]
    if not allowing:
        return Fault(f"{service} may not assume it")
    if not all(_bound(statement, account_id) for statement in allowing):
        words = "any account's AWS IoT may assume it: add the condition aws:SourceAccount (confused deputy)"
        return Fault(words, by_others_too=True)
    return None


def _services(statement: Mapping[str, Any]) -> list[str]:
    principal = statement.get("Principal", {})
    services = principal.get("Service", []) if isinstance(principal, dict) else []
    return services if isinstance(services, list) else [services]


def _bound(statement: Mapping[str, Any], account_id: str) -> bool:
    """Whether the service may assume the role for this account's resources only."""
    return any(
        key.lower() in {"aws:sourceaccount", "aws:sourcearn"} and account_id in str(values)
        for operator, keys in statement.get("Condition", {}).items()
        if not operator.startswith(("StringNot", "ArnNot"))
        for key, values in keys.items()
    )
