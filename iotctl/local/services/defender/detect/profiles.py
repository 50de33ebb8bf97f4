"""Security profiles: how devices should behave, and which metrics are kept of them.

Source: AWS IoT developer guide, detect-concepts, detect-behaviors, detect-HowToHowTo; API reference.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from iotctl.local.services import AwsError, invalid, operation
from iotctl.local.services.defender.detect import custom_metrics, dimensions
from iotctl.local.services.named import Named
from iotctl.local.services.paging import page
from iotctl.local.services.tags import forget_tags, put_tags, taggable
from iotctl.semantics.behaviors import criteria_type, faults, metric

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator, Mapping, Sequence

    from iotctl.local.store import Store

SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS security_profile (
    name TEXT PRIMARY KEY, description TEXT, behaviors TEXT NOT NULL, alerts TEXT NOT NULL, retain TEXT NOT NULL,
    version INTEGER NOT NULL, created REAL NOT NULL, modified REAL NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS security_profile_metric (
    profile TEXT NOT NULL REFERENCES security_profile (name) ON DELETE CASCADE, metric TEXT NOT NULL,
    dimension TEXT NOT NULL, PRIMARY KEY (profile, metric, dimension)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS security_profile_by_metric ON security_profile_metric (metric, profile);
CREATE INDEX IF NOT EXISTS security_profile_by_dimension ON security_profile_metric (dimension, profile)
"""
# `retain`: MetricToRetain; `security_profile_metric`: what its behaviors and it name, `dimension` empty for none.

_PROFILES: Final = Named("security_profile", "securityprofile", "The security profile {} cannot be found")
arn, known = _PROFILES.arn, _PROFILES.known

_NOT_BUILT: Final = {"STATISTICAL": "Statistical thresholds are", "MACHINE_LEARNING": "ML Detect is"}


@dataclass(frozen=True, slots=True)
class Profile:
    """A security profile.

    Attributes:
        behaviors: as AWS has them.
        alerts: AlertTargets by type.
        retain: metrics to keep besides those of the behaviors: MetricToRetain.

    """

    name: str
    behaviors: Sequence[Mapping[str, Any]]
    alerts: Mapping[str, Mapping[str, str]]
    retain: Sequence[Mapping[str, Any]]

    def measured(self) -> Iterator[tuple[str, str, str]]:
        """Each metric that is kept, with its dimension and operator (both empty: none)."""
        for one in (*self.behaviors, *self.retain):
            yield scope_of(one)


def scope_of(one: Mapping[str, Any]) -> tuple[str, str, str]:
    """The metric of a behavior or a MetricToRetain, its dimension and operator."""
    dimension = one.get("metricDimension") or {}
    name = dimension.get("dimensionName", "")
    return one["metric"], name, dimension.get("operator", "IN") if name else ""


@operation("iot:ValidateSecurityProfileBehaviors")
def validate_security_profile_behaviors(store: Store, behaviors: list[dict[str, Any]]) -> dict[str, Any]:
    """Whether behaviors would be taken, and what is wrong with them."""
    found = list(faults(behaviors, custom_metrics.types(store), dimensions.filters(store)))
    return {"valid": not found, "validationErrors": [{"errorMessage": fault} for fault in found]}


@operation("iot:CreateSecurityProfile")
def create_security_profile(
    store: Store,
    *,
    securityProfileName: str,
    securityProfileDescription: str | None = None,
    behaviors: list[dict[str, Any]] | None = None,
    alertTargets: dict[str, dict[str, str]] | None = None,
    additionalMetricsToRetain: list[str] | None = None,
    additionalMetricsToRetainV2: list[dict[str, Any]] | None = None,
    tags: list[dict[str, str]] | None = None,
    metricsExportConfig: dict[str, str] | None = None,
) -> dict[str, Any]:
    """Create a profile, its first version."""
    if _PROFILES.find(store, securityProfileName):
        raise AwsError(
            "ResourceAlreadyExistsException",
            f"The security profile {securityProfileName} already exists",
            resourceId=securityProfileName,
            resourceArn=arn(store, securityProfileName),
        )
    _no_export(metricsExportConfig)
    retain = _retained(store, additionalMetricsToRetain, additionalMetricsToRetainV2)
    now = store.now()
    store.execute(
        "INSERT INTO security_profile VALUES (?, ?, '[]', ?, ?, 1, ?, ?)",
        securityProfileName,
        securityProfileDescription,
        json.dumps(alertTargets or {}),
        json.dumps(retain or []),
        now,
        now,
    )
    _keep(store, securityProfileName, behaviors or [])
    put_tags(store, arn(store, securityProfileName), tags)
    return {"securityProfileName": securityProfileName, "securityProfileArn": arn(store, securityProfileName)}


@operation("iot:UpdateSecurityProfile")
def update_security_profile(
    store: Store,
    *,
    securityProfileName: str,
    securityProfileDescription: str | None = None,
    behaviors: list[dict[str, Any]] | None = None,
    alertTargets: dict[str, dict[str, str]] | None = None,
    additionalMetricsToRetain: list[str] | None = None,
    additionalMetricsToRetainV2: list[dict[str, Any]] | None = None,
    deleteBehaviors: bool = False,
    deleteAlertTargets: bool = False,
    deleteAdditionalMetricsToRetain: bool = False,
    expectedVersion: int | None = None,
    metricsExportConfig: dict[str, str] | None = None,
    deleteMetricsExportConfig: bool = False,  # noqa: ARG001  there is none to be deleted
) -> dict[str, Any]:
    """Change a profile; what is not named stays."""
    row = known(store, securityProfileName)
    _expected(row, expectedVersion)
    _no_export(metricsExportConfig)
    retain = _retained(store, additionalMetricsToRetain, additionalMetricsToRetainV2)
    pairs = (
        ("behaviors", behaviors, deleteBehaviors),
        ("alertTargets", alertTargets, deleteAlertTargets),
        ("additionalMetricsToRetain", retain, deleteAdditionalMetricsToRetain),
    )
    for name, given, deleted in pairs:
        if given and deleted:
            raise invalid(f"{name} cannot be both given and deleted")
    store.execute(
        "UPDATE security_profile SET description = coalesce(?, description), alerts = coalesce(?, alerts),"
        " retain = coalesce(?, retain), version = version + 1, modified = ? WHERE name = ?",
        securityProfileDescription,
        "{}" if deleteAlertTargets else None if alertTargets is None else json.dumps(alertTargets),
        "[]" if deleteAdditionalMetricsToRetain else None if retain is None else json.dumps(retain),
        store.now(),
        securityProfileName,
    )
    held = json.loads(row["behaviors"])
    _keep(store, securityProfileName, [] if deleteBehaviors else held if behaviors is None else behaviors)
    return describe_security_profile(store, securityProfileName)


@operation("iot:DescribeSecurityProfile")
def describe_security_profile(store: Store, securityProfileName: str) -> dict[str, Any]:
    """What a profile says."""
    row = known(store, securityProfileName)
    retain = json.loads(row["retain"])
    return {
        "securityProfileName": row["name"],
        "securityProfileArn": arn(store, row["name"]),
        "securityProfileDescription": row["description"],
        "behaviors": json.loads(row["behaviors"]),
        "alertTargets": json.loads(row["alerts"]),
        "additionalMetricsToRetain": [one["metric"] for one in retain if "metricDimension" not in one],
        "additionalMetricsToRetainV2": retain,
        "version": row["version"],
        "creationDate": row["created"],
        "lastModifiedDate": row["modified"],
    }


@operation("iot:ListSecurityProfiles")
def list_security_profiles(
    store: Store,
    *,
    nextToken: str | None = None,
    maxResults: int | None = None,
    dimensionName: str | None = None,
    metricName: str | None = None,
) -> dict[str, Any]:
    """Profiles by name; those that use a dimension, or a custom metric."""
    if dimensionName is not None and metricName is not None:
        raise invalid("dimensionName and metricName cannot both be specified")
    select, parameters = "SELECT name FROM security_profile", list[Any]()
    if dimensionName is not None or metricName is not None:
        column = "metric" if dimensionName is None else "dimension"
        select += f" WHERE name IN (SELECT profile FROM security_profile_metric WHERE {column} = ?)"  # noqa: S608  one of two
        parameters.append(metricName if dimensionName is None else dimensionName)
    rows, token = page(store, select, parameters, by=("name",), size=maxResults, token=nextToken)
    return {"securityProfileIdentifiers": [identifier(store, row["name"]) for row in rows], "nextToken": token}


@operation("iot:DeleteSecurityProfile")
def delete_security_profile(store: Store, securityProfileName: str, expectedVersion: int | None = None) -> None:
    """Delete a profile, whatever it is attached to; one that is not there is no error, as the operation knows none."""
    row = _PROFILES.find(store, securityProfileName)
    if row is None:
        return
    _expected(row, expectedVersion)
    forget_tags(store, arn(store, securityProfileName))
    store.execute("DELETE FROM security_profile WHERE name = ?", securityProfileName)
    _changed(store, securityProfileName)


def profile(row: sqlite3.Row) -> Profile:
    """A profile's row as a value."""
    retain = json.loads(row["retain"])
    return Profile(row["name"], json.loads(row["behaviors"]), json.loads(row["alerts"]), retain)


def behaviors_of(store: Store, name: str) -> list[dict[str, Any]]:
    """The behaviors of a profile; none where it is not there."""
    row = _PROFILES.find(store, name)
    found: list[dict[str, Any]] = json.loads(row["behaviors"]) if row else []
    return found


def identifier(store: Store, name: str) -> dict[str, str]:
    """A profile as the listings show it."""
    return {"name": name, "arn": arn(store, name)}


def _keep(store: Store, name: str, behaviors: list[dict[str, Any]]) -> None:
    """Keep the behaviors of a profile, checked, and what it measures by them."""
    found = list(faults(behaviors, custom_metrics.types(store), dimensions.filters(store)))
    if found:
        raise invalid("; ".join(found))
    for one in behaviors:
        kind = criteria_type(one["criteria"])
        if kind in _NOT_BUILT:
            raise AwsError("NotImplementedException", f"{_NOT_BUILT[kind]} not built on this platform: {one['name']}")
    store.execute("UPDATE security_profile SET behaviors = ? WHERE name = ?", json.dumps(behaviors), name)
    store.execute("DELETE FROM security_profile_metric WHERE profile = ?", name)
    for measured, dimension, _ in profile(known(store, name)).measured():
        store.execute("INSERT OR IGNORE INTO security_profile_metric VALUES (?, ?, ?)", name, measured, dimension)
    _changed(store, name)


def _retained(
    store: Store, plain: list[str] | None, scoped: list[dict[str, Any]] | None
) -> list[dict[str, Any]] | None:
    """The metrics to keep, of both lists; None: neither was given."""
    if plain is None and scoped is None:
        return None
    given = [*({"metric": name} for name in plain or ()), *(scoped or ())]
    found = list({scope_of(one): one for one in given}.values())
    types, filters = custom_metrics.types(store), dimensions.filters(store)
    for one in found:
        measured, dimension, _ = scope_of(one)
        what = metric(measured, types)
        if what is None:
            raise invalid(f"There is no metric {measured}")
        if dimension and (not what.scoped or dimension not in filters):
            raise invalid(f"{measured} cannot have the dimension {dimension}")
    return found


def _no_export(configuration: Mapping[str, str] | None) -> None:
    if configuration:
        raise AwsError("NotImplementedException", "The export of metrics is not built on this platform")


def _expected(row: sqlite3.Row, version: int | None) -> None:
    if version is not None and version != row["version"]:
        raise AwsError("VersionConflictException", f"The version of {row['name']} is {row['version']}, not {version}")


def _changed(store: Store, name: str) -> None:
    """Tell the platform that other things are measured, or violated, than before."""
    store.publish(f"$local/detect/{name}", {})


taggable("securityprofile", _PROFILES.exists)
