"""Mitigation actions: what is to be done about findings, under names of one's own.

Source: AWS IoT developer guide, dd-mitigation-actions.
"""

from __future__ import annotations

import json
import uuid
from typing import TYPE_CHECKING, Any, Final

from iotctl.local.services import AwsError, invalid, operation
from iotctl.local.services.defender import configuration
from iotctl.local.services.named import Named
from iotctl.local.services.paging import page
from iotctl.local.services.tags import forget_tags, put_tags, taggable

if TYPE_CHECKING:
    import sqlite3

    from iotctl.local.store import Store

SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS mitigation_action (
    name TEXT PRIMARY KEY, id TEXT NOT NULL, type TEXT NOT NULL, role TEXT NOT NULL, params TEXT NOT NULL,
    created REAL NOT NULL, modified REAL NOT NULL
) WITHOUT ROWID
"""

_ACTIONS: Final = Named("mitigation_action", "mitigationaction", "The mitigation action {} cannot be found")
find, known = _ACTIONS.find, _ACTIONS.known

TYPES: Final = {
    "updateDeviceCertificateParams": "UPDATE_DEVICE_CERTIFICATE",
    "updateCACertificateParams": "UPDATE_CA_CERTIFICATE",
    "addThingsToThingGroupParams": "ADD_THINGS_TO_THING_GROUP",
    "replaceDefaultPolicyVersionParams": "REPLACE_DEFAULT_POLICY_VERSION",
    "enableIoTLoggingParams": "ENABLE_IOT_LOGGING",
    "publishFindingToSnsParams": "PUBLISH_FINDING_TO_SNS",
}
_ANY: Final = "PUBLISH_FINDING_TO_SNS"
_BY_RESOURCE: Final = {
    "DEVICE_CERTIFICATE": {"UPDATE_DEVICE_CERTIFICATE", "ADD_THINGS_TO_THING_GROUP"},
    "CA_CERTIFICATE": {"UPDATE_CA_CERTIFICATE"},
    "ACCOUNT_SETTINGS": {"ENABLE_IOT_LOGGING"},
}


def supported(check_name: str) -> set[str]:
    """The types of actions that a check's findings take ("Audit check to mitigation action mapping").

    The page has no row for DEVICE_CERTIFICATE_AGE, IOT_POLICY_POTENTIAL_MISCONFIGURATION and INTERMEDIATE_CA_…: the
    first is taken as the other checks of device certificates are, for the other two only what all checks support.
    """
    if check_name == "IOT_POLICY_OVERLY_PERMISSIVE_CHECK":
        return {_ANY, "REPLACE_DEFAULT_POLICY_VERSION"}
    return {_ANY, *_BY_RESOURCE.get(configuration.CHECKS[check_name].resource_type, ())}


@operation("iot:CreateMitigationAction")
def create_mitigation_action(
    store: Store,
    actionName: str,
    roleArn: str,
    actionParams: dict[str, Any],
    tags: list[dict[str, str]] | None = None,
) -> dict[str, Any]:
    """Define an action; it is done in the role's name, which nobody checks here."""
    if find(store, actionName):
        raise AwsError(
            "ResourceAlreadyExistsException",
            f"The mitigation action {actionName} already exists",
            resourceId=actionName,
            resourceArn=_ACTIONS.arn(store, actionName),
        )
    kind, action_id, now = _checked(actionParams), str(uuid.uuid4()), store.now()
    params = json.dumps(actionParams)
    store.execute(
        "INSERT INTO mitigation_action VALUES (?, ?, ?, ?, ?, ?, ?)",
        actionName,
        action_id,
        kind,
        roleArn,
        params,
        now,
        now,
    )
    put_tags(store, _ACTIONS.arn(store, actionName), tags)
    return {"actionArn": _ACTIONS.arn(store, actionName), "actionId": action_id}


@operation("iot:UpdateMitigationAction")
def update_mitigation_action(
    store: Store, actionName: str, roleArn: str | None = None, actionParams: dict[str, Any] | None = None
) -> dict[str, Any]:
    """Change an action; its type stays."""
    row = known(store, actionName)
    if actionParams is not None and _checked(actionParams) != row["type"]:
        raise invalid(f"The type of {actionName} is {row['type']} and cannot be changed")
    store.execute(
        "UPDATE mitigation_action SET role = ?, params = ?, modified = ? WHERE name = ?",
        roleArn or row["role"],
        row["params"] if actionParams is None else json.dumps(actionParams),
        store.now(),
        actionName,
    )
    return {"actionArn": _ACTIONS.arn(store, actionName), "actionId": row["id"]}


@operation("iot:DescribeMitigationAction")
def describe_mitigation_action(store: Store, actionName: str) -> dict[str, Any]:
    """What an action does."""
    row = known(store, actionName)
    return {
        "actionName": actionName,
        "actionType": row["type"],
        "actionArn": _ACTIONS.arn(store, actionName),
        "actionId": row["id"],
        "roleArn": row["role"],
        "actionParams": json.loads(row["params"]),
        "creationDate": row["created"],
        "lastModifiedDate": row["modified"],
    }


@operation("iot:ListMitigationActions")
def list_mitigation_actions(
    store: Store, actionType: str | None = None, maxResults: int | None = None, nextToken: str | None = None
) -> dict[str, Any]:
    """Actions by name."""
    select = "SELECT * FROM mitigation_action WHERE type = coalesce(?, type)"
    rows, token = page(store, select, [actionType], by=("name",), size=maxResults, token=nextToken)
    found = [
        {"actionName": row["name"], "actionArn": _ACTIONS.arn(store, row["name"]), "creationDate": row["created"]}
        for row in rows
    ]
    return {"actionIdentifiers": found, "nextToken": token}


@operation("iot:DeleteMitigationAction")
def delete_mitigation_action(store: Store, actionName: str) -> None:
    """Delete an action; one that is not there is no error, as the operation knows none for it."""
    forget_tags(store, _ACTIONS.arn(store, actionName))
    store.execute("DELETE FROM mitigation_action WHERE name = ?", actionName)


def definition(row: sqlite3.Row) -> dict[str, Any]:
    """An action as tasks keep and show it."""
    return {"name": row["name"], "id": row["id"], "roleArn": row["role"], "actionParams": json.loads(row["params"])}


def _checked(params: dict[str, Any]) -> str:
    """The type of an action."""
    if len(params) != 1:
        raise invalid("actionParams must hold the parameters of exactly one type of action")
    if params.get("enableIoTLoggingParams", {}).get("logLevel") == "DISABLED":
        raise invalid("The log level of ENABLE_IOT_LOGGING cannot be DISABLED")
    return TYPES[next(iter(params))]


taggable("mitigationaction", _ACTIONS.exists)
