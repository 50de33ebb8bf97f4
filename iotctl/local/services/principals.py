"""Which principals are attached to which things.

Source: AWS IoT developer guide, attach-thing-principal and exclusive-thing: an exclusive attachment means that the
thing is the only thing that the certificate is attached to.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from iotctl.local.services import certificates, invalid, not_found, operation, things
from iotctl.local.services.paging import page

if TYPE_CHECKING:
    from iotctl.local.store import Store

SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS thing_principal (
    thing_name TEXT NOT NULL REFERENCES thing (name), principal TEXT NOT NULL, type TEXT NOT NULL,
    PRIMARY KEY (thing_name, principal)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS thing_principal_by_principal ON thing_principal (principal, thing_name);
CREATE TABLE IF NOT EXISTS leaving_principal (
    thing_name TEXT NOT NULL, principal TEXT NOT NULL, due REAL NOT NULL, PRIMARY KEY (thing_name, principal),
    FOREIGN KEY (thing_name, principal) REFERENCES thing_principal (thing_name, principal) ON DELETE CASCADE
) WITHOUT ROWID
"""

EXCLUSIVE: Final = "EXCLUSIVE_THING"
NON_EXCLUSIVE: Final = "NON_EXCLUSIVE_THING"


@operation("iot:AttachThingPrincipal")
def attach_thing_principal(
    store: Store, thingName: str, principal: str, thingPrincipalType: str = NON_EXCLUSIVE
) -> None:
    """Attach a certificate or a Cognito identity to a thing; again, in the same way, is no error."""
    certificates.principal(store, principal)
    things.known(store, thingName)
    for row in store.rows("SELECT thing_name, type FROM thing_principal WHERE principal = ? LIMIT 2", principal):
        if row["thing_name"] == thingName and row["type"] == thingPrincipalType:
            store.execute("DELETE FROM leaving_principal WHERE thing_name = ? AND principal = ?", thingName, principal)
            return
        if EXCLUSIVE in {row["type"], thingPrincipalType}:
            message = (
                f"Cannot attach: the principal is attached to thing {row['thing_name']} as {row['type']},"
                " and an exclusive thing is the only one of its principal"
            )
            raise invalid(message)
    store.execute(
        "INSERT INTO thing_principal VALUES (?, ?, ?) ON CONFLICT DO NOTHING", thingName, principal, thingPrincipalType
    )
    store.publish(f"$local/principal/{thingName}", {"principal": principal, "operation": "ATTACHED"})


@operation("iot:DetachThingPrincipal")
def detach_thing_principal(store: Store, thingName: str, principal: str) -> None:
    """Detach a principal from a thing: "it might take several seconds for the detachment to propagate"."""
    things.known(store, thingName)
    if not attached(store, principal, thingName):
        raise not_found(f"The principal {principal} is not attached to thing {thingName}")
    due = store.now() + store.delays.get("detach", 0.0)
    store.execute("INSERT INTO leaving_principal VALUES (?, ?, ?) ON CONFLICT DO NOTHING", thingName, principal, due)
    run_due(store)
    store.publish("$local/due/principal", {})


def next_due(store: Store) -> float | None:
    """When the next detached principal is gone, in seconds since 1970; None: none is leaving."""
    row = store.row("SELECT min(due) AS due FROM leaving_principal")
    return row["due"] if row else None


def run_due(store: Store) -> None:
    """Let the principals be gone whose time has come."""
    with store.transaction():
        for thing_name, principal, _ in store.rows("SELECT * FROM leaving_principal WHERE due <= ?", store.now()):
            store.execute("DELETE FROM thing_principal WHERE thing_name = ? AND principal = ?", thing_name, principal)
            store.publish(f"$local/principal/{thing_name}", {"principal": principal, "operation": "DETACHED"})


@operation("iot:ListThingPrincipals")
def list_thing_principals(
    store: Store, thingName: str, nextToken: str | None = None, maxResults: int | None = None
) -> dict[str, Any]:
    """The principals of a thing."""
    found = list_thing_principals_v2(store, thingName, nextToken, maxResults)
    return {"principals": [one["principal"] for one in found["thingPrincipalObjects"]], "nextToken": found["nextToken"]}


@operation("iot:ListThingPrincipalsV2")
def list_thing_principals_v2(
    store: Store,
    thingName: str,
    nextToken: str | None = None,
    maxResults: int | None = None,
    thingPrincipalType: str | None = None,
) -> dict[str, Any]:
    """The principals of a thing and how they are attached."""
    things.known(store, thingName)
    rows, token = page(
        store,
        "SELECT principal, type FROM thing_principal WHERE thing_name = ? AND type = coalesce(?, type)",
        [thingName, thingPrincipalType],
        by=("principal",),
        size=maxResults,
        token=nextToken,
    )
    objects = [{"principal": row["principal"], "thingPrincipalType": row["type"]} for row in rows]
    return {"thingPrincipalObjects": objects, "nextToken": token}


@operation("iot:ListPrincipalThings")
def list_principal_things(
    store: Store, principal: str, nextToken: str | None = None, maxResults: int | None = None
) -> dict[str, Any]:
    """The things of a principal."""
    found = list_principal_things_v2(store, principal, nextToken, maxResults)
    return {"things": [one["thingName"] for one in found["principalThingObjects"]], "nextToken": found["nextToken"]}


@operation("iot:ListPrincipalThingsV2")
def list_principal_things_v2(
    store: Store,
    principal: str,
    nextToken: str | None = None,
    maxResults: int | None = None,
    thingPrincipalType: str | None = None,
) -> dict[str, Any]:
    """The things of a principal and how it is attached to them."""
    certificates.principal(store, principal)
    rows, token = page(
        store,
        "SELECT thing_name, type FROM thing_principal WHERE principal = ? AND type = coalesce(?, type)",
        [principal, thingPrincipalType],
        by=("thing_name",),
        size=maxResults,
        token=nextToken,
    )
    objects = [{"thingName": row["thing_name"], "thingPrincipalType": row["type"]} for row in rows]
    return {"principalThingObjects": objects, "nextToken": token}


def attached(store: Store, principal: str, thing: str) -> bool:
    """Whether a principal is attached to a thing."""
    return (
        store.row("SELECT 1 FROM thing_principal WHERE thing_name = ? AND principal = ?", thing, principal) is not None
    )


def of(store: Store, thing: str) -> list[str]:
    """The principals of a thing."""
    return [row["principal"] for row in store.rows("SELECT principal FROM thing_principal WHERE thing_name = ?", thing)]


def exclusive_thing(store: Store, principal: str) -> str | None:
    """The thing that a principal is exclusively attached to, if there is one."""
    row = store.row("SELECT thing_name FROM thing_principal WHERE principal = ? AND type = ?", principal, EXCLUSIVE)
    return str(row["thing_name"]) if row else None
