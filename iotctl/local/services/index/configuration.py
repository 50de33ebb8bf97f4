"""What is indexed: off at first, as on AWS; a change of it rebuilds the index."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from iotctl.local.services import AwsError, invalid, not_found, operation

if TYPE_CHECKING:
    from collections.abc import Mapping

    from iotctl.local.store import Store

SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS index_configuration (
    only INTEGER PRIMARY KEY CHECK (only = 1), things TEXT NOT NULL, groups TEXT NOT NULL, status TEXT NOT NULL
)
"""

THINGS: Final = "AWS_Things"
GROUPS: Final = "AWS_ThingGroups"

_MOST_CUSTOM_FIELDS: Final = 5
_MOST_NAMED_SHADOWS: Final = 10
_TYPES: Final = {"Number", "String", "Boolean"}
_MANAGED: Final = (
    ("thingId", "String"),
    ("thingName", "String"),
    ("registry.version", "Number"),
    ("registry.thingTypeName", "String"),
    ("registry.thingGroupNames", "String"),
)
_MANAGED_SHADOW: Final = (("shadow.version", "Number"), ("shadow.hasDelta", "Boolean"))
_MANAGED_NAMED: Final = (("shadow.name.*.version", "Number"), ("shadow.name.*.hasDelta", "Boolean"))
_MANAGED_CONNECTIVITY: Final = (
    ("connectivity.timestamp", "Number"),
    ("connectivity.version", "Number"),
    ("connectivity.connected", "Boolean"),
    ("connectivity.disconnectReason", "String"),
)


@dataclass(frozen=True, slots=True)
class Configuration:
    """The configuration of the thing index.

    Attributes:
        building: its entries are not all made yet: nothing can be searched.
        named: the named shadows that are indexed.
        custom: the fields that may be aggregated besides the managed ones, with their types.

    """

    on: bool = False
    shadow: bool = False
    connectivity: bool = False
    named: tuple[str, ...] = ()
    custom: dict[str, str] = field(default_factory=dict)
    building: bool = False

    @property
    def managed(self) -> dict[str, str]:
        """The managed fields of what is indexed, with their types."""
        parts = (
            *_MANAGED,
            *(_MANAGED_SHADOW if self.shadow else ()),
            *(_MANAGED_NAMED if self.named else ()),
            *(_MANAGED_CONNECTIVITY if self.connectivity else ()),
        )
        return dict(parts if self.on else ())


@operation("iot:UpdateIndexingConfiguration")
def update_indexing_configuration(
    store: Store,
    thingIndexingConfiguration: dict[str, Any] | None = None,
    thingGroupIndexingConfiguration: dict[str, Any] | None = None,
) -> None:
    """Say what is indexed; the index is then built anew."""
    held = _held(store)
    things = thingIndexingConfiguration if thingIndexingConfiguration is not None else held["things"]
    groups = thingGroupIndexingConfiguration if thingGroupIndexingConfiguration is not None else held["groups"]
    _check(things)
    if things["thingIndexingMode"] == "OFF" and store.row("SELECT 1 FROM dynamic_group"):
        raise invalid("Cannot disable thing indexing while dynamic thing groups exist")
    status = "REBUILDING" if held["things"]["thingIndexingMode"] != "OFF" else "BUILDING"
    store.execute(
        "INSERT INTO index_configuration VALUES (1, ?, ?, ?) ON CONFLICT DO UPDATE"
        " SET things = excluded.things, groups = excluded.groups, status = excluded.status",
        json.dumps({key: value for key, value in things.items() if key != "managedFields"}),
        json.dumps({key: value for key, value in groups.items() if key != "managedFields"}),
        status,
    )
    store.publish("$local/index/configuration", b"{}")


@operation("iot:GetIndexingConfiguration")
def get_indexing_configuration(store: Store) -> dict[str, Any]:
    """What is indexed, and which fields there are."""
    held = _held(store)
    managed = [{"name": name, "type": kind} for name, kind in configured(store).managed.items()]
    return {
        "thingIndexingConfiguration": {**held["things"], **({"managedFields": managed} if managed else {})},
        "thingGroupIndexingConfiguration": held["groups"],
    }


@operation("iot:DescribeIndex")
def describe_index(store: Store, indexName: str) -> dict[str, Any]:
    """Whether the index can be searched, and what is in it."""
    if indexName not in names(store):
        raise not_found(f"Index {indexName} does not exist")
    held = _held(store)
    return {"indexName": indexName, "indexStatus": held["status"], "schema": _schema(configured(store))}


@operation("iot:ListIndices")
def list_indices(
    store: Store,
    nextToken: str | None = None,  # noqa: ARG001  two names are one page
    maxResults: int | None = None,  # noqa: ARG001  as above
) -> dict[str, Any]:
    """The indices that are on."""
    return {"indexNames": names(store)}


def names(store: Store) -> list[str]:
    """The names of the indices that are on."""
    return [THINGS] if configured(store).on else []


def configured(store: Store) -> Configuration:
    """The configuration of the thing index."""
    held = _held(store)
    things = held["things"]
    on = things["thingIndexingMode"] != "OFF"
    named = (
        things.get("filter", {}).get("namedShadowNames", ()) if things.get("namedShadowIndexingMode") == "ON" else ()
    )
    return Configuration(
        on=on,
        shadow=things["thingIndexingMode"] == "REGISTRY_AND_SHADOW",
        connectivity=on and things.get("thingConnectivityIndexingMode") == "STATUS",
        named=tuple(named) if on else (),
        custom={one["name"]: one.get("type", "String") for one in things.get("customFields", ())},
        building=held["status"] == "BUILDING",
    )


def built(store: Store) -> None:
    """Every entry of the index is made."""
    store.execute("UPDATE index_configuration SET status = 'ACTIVE' WHERE status <> 'ACTIVE'")


def ready(store: Store, index_name: str) -> Configuration:
    """The configuration of an index that can be searched.

    Raises:
        AwsError: ResourceNotFoundException: there is none of this name, or it is off; IndexNotReadyException: it is
            being built for the first time.

    """
    found = configured(store)
    if index_name != THINGS or not found.on:
        raise not_found(f"Index {index_name} does not exist")
    if found.building:
        raise AwsError("IndexNotReadyException", f"Index {index_name} is not ready: it is being built")
    return found


def _held(store: Store) -> dict[str, Any]:
    row = store.row("SELECT * FROM index_configuration")
    if row is None:
        return {
            "things": {"thingIndexingMode": "OFF"},
            "groups": {"thingGroupIndexingMode": "OFF"},
            "status": "ACTIVE",
        }
    return {"things": json.loads(row["things"]), "groups": json.loads(row["groups"]), "status": row["status"]}


def _check(things: Mapping[str, Any]) -> None:
    mode = things.get("thingIndexingMode")
    if mode is None:
        raise invalid("thingIndexingMode must be specified")
    custom = things.get("customFields", ())
    named = things.get("filter", {}).get("namedShadowNames", ())
    if mode == "OFF" and (custom or named or _is_on(things)):
        raise invalid("Nothing can be indexed while thingIndexingMode is OFF")
    if len(custom) > _MOST_CUSTOM_FIELDS:
        raise invalid(f"There are at most {_MOST_CUSTOM_FIELDS} custom fields")
    if len(named) > _MOST_NAMED_SHADOWS:
        raise invalid(f"At most {_MOST_NAMED_SHADOWS} named shadows can be indexed")
    if things.get("namedShadowIndexingMode") == "ON" and not named:
        raise invalid("filter.namedShadowNames must be specified where namedShadowIndexingMode is ON")
    for one in custom:
        _check_custom(str(one.get("name", "")), one.get("type"), mode, named)


def _check_custom(name: str, kind: Any, mode: str, named: list[str]) -> None:  # noqa: ANN401  what a client sent
    wanted = r"attributes\.[a-zA-Z0-9_-]+|shadow\.(?:name\.(?P<named>[^.]+)\.)?(?:desired|reported)\.[a-zA-Z0-9_.-]+"
    found = re.fullmatch(wanted, name)
    if found is None or kind not in _TYPES:
        raise invalid(f"{name} is not a custom field: attributes.NAME or shadow.desired.NAME with one of {_TYPES}")
    of_classic = name.startswith("shadow.") and found["named"] is None
    if (of_classic and mode != "REGISTRY_AND_SHADOW") or (found["named"] and found["named"] not in named):
        raise invalid(f"The custom field {name} is not indexed in this configuration")


def _is_on(things: Mapping[str, Any]) -> bool:
    return any(
        things.get(mode) not in {None, "OFF"} for mode in ("thingConnectivityIndexingMode", "namedShadowIndexingMode")
    )


def _schema(found: Configuration) -> str:
    if found.named:
        return "MULTI_INDEXING_MODE"
    parts = ["REGISTRY", *(["SHADOW"] if found.shadow else [])]
    if found.connectivity:
        parts.append("CONNECTIVITY_STATUS" if found.shadow else "CONNECTIVITY")
    return "_AND_".join(parts)
