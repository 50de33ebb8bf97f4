"""Audit finding suppressions: what audits find of a resource goes on being found, and does not count.

Source: AWS IoT developer guide, audit-finding-suppressions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from iotctl import text
from iotctl.local.services import AwsError, invalid, not_found, operation
from iotctl.local.services.defender import configuration
from iotctl.local.services.paging import page

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Mapping

    from iotctl.local.store import Store

SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS audit_suppression (
    check_name TEXT NOT NULL, resource TEXT NOT NULL, expires REAL, description TEXT, token TEXT NOT NULL,
    PRIMARY KEY (check_name, resource)
) WITHOUT ROWID;
CREATE UNIQUE INDEX IF NOT EXISTS audit_suppression_by_token ON audit_suppression (token)
"""
# `expires` NULL: never.

IDENTIFIERS: Final = {
    "DEVICE_CERTIFICATE": "deviceCertificateId",
    "CA_CERTIFICATE": "caCertificateId",
    "IOT_POLICY": "policyVersionIdentifier",
    "COGNITO_IDENTITY_POOL": "cognitoIdentityPoolId",
    "CLIENT_ID": "clientId",
    "ROLE_ALIAS": "roleAliasArn",
    "ACCOUNT_SETTINGS": "account",
    "ISSUER_CERTIFICATE": "issuerCertificateIdentifier",
}
"""The member of ResourceIdentifier that names a resource of each type."""


@operation("iot:CreateAuditSuppression")
def create_audit_suppression(
    store: Store,
    *,
    checkName: str,
    resourceIdentifier: dict[str, Any],
    clientRequestToken: str,
    expirationDate: float | None = None,
    suppressIndefinitely: bool = False,
    description: str | None = None,
) -> None:
    """Suppress what a check finds of a resource, until a date or for good."""
    resource = _resource(checkName, resourceIdentifier)
    used = store.row("SELECT 1 FROM audit_suppression WHERE token = ?", clientRequestToken)
    if _find(store, checkName, resource) or used:
        raise AwsError("ResourceAlreadyExistsException", "The audit suppression already exists")
    expires = _expires(store, expirationDate, indefinitely=suppressIndefinitely)
    store.execute(
        "INSERT INTO audit_suppression VALUES (?, ?, ?, ?, ?)",
        checkName,
        resource,
        expires,
        description,
        clientRequestToken,
    )


@operation("iot:UpdateAuditSuppression")
def update_audit_suppression(
    store: Store,
    *,
    checkName: str,
    resourceIdentifier: dict[str, Any],
    expirationDate: float | None = None,
    suppressIndefinitely: bool = False,
    description: str | None = None,
) -> None:
    """Change until when, or why; what is not named stays."""
    row = _known(store, checkName, resourceIdentifier)
    expires = row["expires"]
    if expirationDate is not None or suppressIndefinitely:
        expires = _expires(store, expirationDate, indefinitely=suppressIndefinitely)
    store.execute(
        "UPDATE audit_suppression SET expires = ?, description = ? WHERE check_name = ? AND resource = ?",
        expires,
        row["description"] if description is None else description,
        checkName,
        row["resource"],
    )


@operation("iot:DescribeAuditSuppression")
def describe_audit_suppression(store: Store, checkName: str, resourceIdentifier: dict[str, Any]) -> dict[str, Any]:
    """What is known of a suppression."""
    return _described(_known(store, checkName, resourceIdentifier))


@operation("iot:ListAuditSuppressions")
def list_audit_suppressions(
    store: Store,
    *,
    checkName: str | None = None,
    resourceIdentifier: dict[str, Any] | None = None,
    ascendingOrder: bool = False,
    nextToken: str | None = None,
    maxResults: int | None = None,
) -> dict[str, Any]:
    """Suppressions, those that end first at the end unless asked otherwise."""
    select, parameters = "SELECT *, coalesce(expires, 9e99) AS ends FROM audit_suppression WHERE true", list[Any]()
    if checkName is not None:
        select += " AND check_name = ?"
        parameters.append(configuration.known(checkName))
    if resourceIdentifier is not None:
        select += " AND resource = ?"
        parameters.append(text.canonical(resourceIdentifier))
    rows, token = page(
        store,
        select,
        parameters,
        by=("ends", "check_name", "resource"),
        size=maxResults,
        token=nextToken,
        ascending=ascendingOrder,
    )
    return {"suppressions": [_described(row) for row in rows], "nextToken": token}


@operation("iot:DeleteAuditSuppression")
def delete_audit_suppression(store: Store, checkName: str, resourceIdentifier: dict[str, Any]) -> None:
    """Let findings count again; one that is not there is no error, as the operation knows none for it."""
    resource = _resource(checkName, resourceIdentifier)
    store.execute("DELETE FROM audit_suppression WHERE check_name = ? AND resource = ?", checkName, resource)


def suppressed(store: Store, check_name: str) -> set[str]:
    """The resources of which a check's findings do not count now, as canonical JSON."""
    rows = store.rows(
        "SELECT resource FROM audit_suppression WHERE check_name = ? AND (expires IS NULL OR expires > ?)",
        check_name,
        store.now(),
    )
    return {row["resource"] for row in rows}


def _resource(check_name: str, identifier: Mapping[str, Any]) -> str:
    member = IDENTIFIERS[configuration.CHECKS[configuration.known(check_name)].resource_type]
    if list(identifier) != [member]:
        raise invalid(f"The resource identifier of {check_name} is {member}")
    return text.canonical(dict(identifier))


def _expires(store: Store, date: float | None, *, indefinitely: bool) -> float | None:
    if (date is not None) == indefinitely:
        raise invalid("One of expirationDate and suppressIndefinitely must be specified")
    if date is not None and date <= store.now():
        raise invalid("expirationDate must be in the future")
    return date


def _find(store: Store, check_name: str, resource: str) -> sqlite3.Row | None:
    return store.row("SELECT * FROM audit_suppression WHERE check_name = ? AND resource = ?", check_name, resource)


def _known(store: Store, check_name: str, identifier: Mapping[str, Any]) -> sqlite3.Row:
    row = _find(store, check_name, _resource(check_name, identifier))
    if row is None:
        raise not_found("The audit suppression cannot be found")
    return row


def _described(row: sqlite3.Row) -> dict[str, Any]:
    return {
        "checkName": row["check_name"],
        "resourceIdentifier": text.loads(row["resource"], name="resource"),
        "expirationDate": row["expires"],
        "suppressIndefinitely": row["expires"] is None,
        "description": row["description"],
    }
