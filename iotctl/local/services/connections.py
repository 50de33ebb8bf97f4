"""What is known of a connection, for the variables and conditions of policies.

Which thing a connection is of: the one that its certificate is exclusively attached to, else the one that its client
id names, if the certificate is attached to it. Only then do thing variables have values and group policies count.
Sources: AWS IoT developer guide, pages thing-policy-variables, exclusive-thing, basic-policy-variables and
cert-policy-variables.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from iotctl.local.services import attributes, certificates, principals, things
from iotctl.pki import certificates as x509
from iotctl.semantics.policy_variables import certificate_variables

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet

    from iotctl.local.store import Store

Values = dict[str, str | tuple[str, ...]]

_THING: Final = "iot:Connection.Thing."


def thing_of(store: Store, certificate_id: str, client_id: str) -> str | None:
    """The thing that a connection is of; none over HTTP, which names no client."""
    if not client_id:
        return None
    principal = certificates.arn_of(store, certificate_id)
    exclusive = principals.exclusive_thing(store, principal)
    if exclusive is not None:
        return exclusive
    return client_id if principals.attached(store, principal, client_id) else None


def values(store: Store, certificate_id: str, client_id: str, thing: str | None, wanted: AbstractSet[str]) -> Values:
    """The values of a connection, but for where it comes from.

    Args:
        store: where.
        certificate_id: of the connection.
        client_id: of the connection; empty over HTTP.
        thing: that it is of.
        wanted: the names of those that are asked for; a certificate is read only where one of its own is among them.

    """
    found: Values = {"iot:CertificateId": certificate_id}
    if client_id:
        found["iot:ClientId"] = client_id
        found |= _thing_values(store, thing)
    if any(name.startswith("iot:Certificate.") for name in wanted):
        found |= _certificate_values(store, certificate_id)
    return found


def _thing_values(store: Store, thing: str | None) -> Values:
    row = things.find(store, thing) if thing is not None else None
    if row is None:
        return {f"{_THING}IsAttached": "false"}
    found: Values = {f"{_THING}IsAttached": "true", f"{_THING}ThingName": row["name"]}
    if row["type_name"]:
        found[f"{_THING}ThingTypeName"] = row["type_name"]
    for name, value in attributes.read(row["attributes"]).items():
        found[f"{_THING}Attributes[{name}]"] = value
    return found


def _certificate_values(store: Store, certificate_id: str) -> Values:
    row = certificates.find(store, certificate_id)
    if row is None:
        return {}
    names = x509.names(row["pem"])
    serial: Values = {"iot:Certificate.SerialNumber": x509.read(row["pem"]).serial}
    return serial | certificate_variables("Subject", names.subject) | certificate_variables("Issuer", names.issuer)
