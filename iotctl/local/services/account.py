"""Who the caller is, and where devices connect: GetCallerIdentity, DescribeEndpoint."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from iotctl.local.services import invalid, operation

if TYPE_CHECKING:
    from iotctl.local.store import Store

ENDPOINT: Final = "127.0.0.1"
"""The address of every endpoint; the ports are those of the platform's own listeners."""

_ENDPOINT_TYPES: Final = frozenset({"iot:Data", "iot:Data-ATS", "iot:CredentialProvider", "iot:Jobs"})


@operation("iot:DescribeEndpoint")
def describe_endpoint(store: Store, endpointType: str = "iot:Data") -> dict[str, Any]:  # noqa: ARG001  the same for every account
    """Where devices connect."""
    if endpointType not in _ENDPOINT_TYPES:
        raise invalid(f"Endpoint type {endpointType} is invalid; it is one of {', '.join(sorted(_ENDPOINT_TYPES))}")
    return {"endpointAddress": ENDPOINT}


@operation("sts:GetCallerIdentity")
def get_caller_identity(store: Store) -> dict[str, Any]:
    """The one identity that this platform has."""
    arn = f"arn:aws:iam::{store.account_id}:user/iotctl-local"
    return {"UserId": store.access_key_id, "Account": store.account_id, "Arn": arn}
