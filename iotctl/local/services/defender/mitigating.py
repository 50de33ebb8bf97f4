"""Mitigation actions are carried out, one finding at a time, by the operations that anybody could call.

Source: AWS IoT developer guide, dd-mitigation-actions: actions in the order given; after one that failed the rest is
skipped for that finding and goes on for the others; the task has failed if one action has.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from iotctl.local.services import (
    AwsError,
    ca_certificates,
    certificates,
    group_members,
    logging_options,
    not_found,
    policies,
)
from iotctl.local.services.defender import findings, fleet
from iotctl.local.services.defender.actions import TYPES

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Mapping

    from iotctl.local.store import Store

_NEXT_TASK: Final = "SELECT * FROM mitigation_task WHERE status = 'IN_PROGRESS' ORDER BY started LIMIT 1"
_PENDING: Final = "SELECT * FROM mitigation_execution WHERE task_id = ? AND status = 'PENDING'"
_BLANK_POLICY: Final = '{"Version":"2012-10-17","Statement":[]}'


def next_due(store: Store) -> float | None:
    """When there is something to do: a task in progress goes on at once."""
    row = store.row(_NEXT_TASK)
    return row["started"] if row else None


def go_on(store: Store) -> None:
    """Do all that is to be done about one finding."""
    task = store.row(_NEXT_TASK)
    if task is None:
        return
    first = store.row(f"{_PENDING} ORDER BY finding_id LIMIT 1", task["id"])
    if first is None:
        _end(store, task)
        return
    definitions = json.loads(task["definitions"])
    failed = False
    for row in store.rows(f"{_PENDING} AND finding_id = ? ORDER BY number", task["id"], first["finding_id"]):
        if failed:
            _settle(store, row, "SKIPPED")
            continue
        error = _attempt(store, definitions[row["action"]]["actionParams"], row["finding_id"])
        failed = error is not None
        _settle(store, row, "FAILED" if error else "COMPLETED", error)


def attempt(
    store: Store, params: Mapping[str, Any], resource: Mapping[str, Any], things: tuple[str, ...]
) -> AwsError | None:
    """Carry out an action whole, or nothing of it; why it could not be.

    Args:
        store: where.
        params: MitigationActionParams.
        resource: the ResourceIdentifier that it is done to.
        things: the things that have to do with it.

    """
    try:
        with store.attempt():
            apply(store, params, resource, things)
    except AwsError as error:
        return error
    return None


def apply(store: Store, params: Mapping[str, Any], resource: Mapping[str, Any], things: tuple[str, ...]) -> None:
    """Carry out an action on a resource and the things that have to do with it.

    Raises:
        AwsError: it cannot be carried out.

    """
    ((member, given),) = params.items()
    kind = TYPES[member]
    if kind == "UPDATE_DEVICE_CERTIFICATE":
        certificates.update_certificate(store, resource["deviceCertificateId"], "INACTIVE")
    elif kind == "UPDATE_CA_CERTIFICATE":
        ca_certificates.update_ca_certificate(store, certificateId=resource["caCertificateId"], newStatus="INACTIVE")
    elif kind == "ADD_THINGS_TO_THING_GROUP":
        _add_to_groups(store, given, things)
    elif kind == "REPLACE_DEFAULT_POLICY_VERSION":
        name = resource["policyVersionIdentifier"]["policyName"]
        policies.create_policy_version(store, name, _BLANK_POLICY, setAsDefault=True)
    elif kind == "ENABLE_IOT_LOGGING":
        logging_options.set_v2_logging_options(store, given["roleArnForLogging"], given["logLevel"])
    else:
        raise AwsError(
            "EndpointNotFound", f"There is no Amazon SNS on this machine: nothing went to {given['topicArn']}"
        )


def _attempt(store: Store, params: Mapping[str, Any], finding_id: str) -> AwsError | None:
    resource = json.loads(findings.known(store, finding_id)["resource"])
    certificate_id = resource.get("deviceCertificateId")
    return attempt(store, params, resource, fleet.things_of(store, certificate_id) if certificate_id else ())


def _add_to_groups(store: Store, given: Mapping[str, Any], things: tuple[str, ...]) -> None:
    if not things:
        raise not_found("The certificate is attached to no thing")
    for thing in things:
        for group in given["thingGroupNames"]:
            override = bool(given.get("overrideDynamicGroups"))
            group_members.add_thing_to_thing_group(
                store, thingGroupName=group, thingName=thing, overrideDynamicGroups=override
            )


def _settle(store: Store, row: sqlite3.Row, status: str, error: AwsError | None = None) -> None:
    now = store.now()
    store.execute(
        "UPDATE mitigation_execution SET status = ?, started = ?, ended = ?, error = ?, message = ?"
        " WHERE task_id = ? AND finding_id = ? AND number = ?",
        status,
        now,
        now,
        error.code if error else None,
        error.message if error else None,
        row["task_id"],
        row["finding_id"],
        row["number"],
    )


def _end(store: Store, task: sqlite3.Row) -> None:
    failed = store.row("SELECT 1 FROM mitigation_execution WHERE task_id = ? AND status = 'FAILED'", task["id"])
    status = "FAILED" if failed else "COMPLETED"
    store.execute("UPDATE mitigation_task SET status = ?, ended = ? WHERE id = ?", status, store.now(), task["id"])
