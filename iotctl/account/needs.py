"""What the commands need of an account, and whether it is there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from iotctl.errors import Denied, Error, Unsupported

if TYPE_CHECKING:
    from collections.abc import Iterator

    from iotctl.aws import Aws

_SHARED: Final = (
    "iot:DescribeEndpoint",
    "iot:DescribeThingType",
    "iot:DescribeThingGroup",
    "iot:DescribeBillingGroup",
    "iot:GetPolicy",
    "sts:GetCallerIdentity",
)

_SCOPE: Final = ("iot:ListThingsInThingGroup", "iot:SearchIndex", "sts:GetCallerIdentity")

_FLEET: Final = (
    "iot:DescribeCertificate",
    "iot:DescribeThing",
    "iot:DescribeThingGroup",
    "iot:GetPolicy",
    "iot:ListCertificates",
    "iot:ListPolicies",
    "iot:ListPrincipalThings",
    "iot:ListTargetsForPolicy",
    "iot:ListThingGroups",
    "iot:ListThingPrincipals",
    "iot:ListThings",
    "iot-data:GetThingShadow",
)

OPERATIONS: Final[dict[str, tuple[str, ...]]] = {
    "onboard plan": (*_SHARED, "iot:DescribeThing"),
    "onboard apply": (
        *_SHARED,
        "iot:AddThingToBillingGroup",
        "iot:AddThingToThingGroup",
        "iot:AttachPolicy",
        "iot:AttachThingPrincipal",
        "iot:CreateBillingGroup",
        "iot:CreatePolicy",
        "iot:CreateThing",
        "iot:CreateThingGroup",
        "iot:CreateThingType",
        "iot:DescribeCertificate",
        "iot:DescribeThing",
        "iot:RegisterCertificateWithoutCA",
        "iot-data:GetThingShadow",
        "iot-data:UpdateThingShadow",
    ),
    "shadow get": ("iot-data:GetThingShadow",),
    "shadow set": (*_SCOPE, "iot-data:GetThingShadow", "iot-data:UpdateThingShadow"),
    "shadow diff": (*_SCOPE, "iot-data:GetThingShadow", "iot:GetIndexingConfiguration", "iot:ListThingGroups"),
    "shadow list": ("iot:DescribeThing", "iot-data:GetThingShadow", "iot-data:ListNamedShadowsForThing"),
    "shadow delete": (*_SCOPE, "iot-data:DeleteThingShadow"),
    # An operator's MQTT connection is allowed by IAM too, with the actions of IoT policies.
    "shadow watch": (*_SCOPE, "iot:Connect", "iot:DescribeEndpoint", "iot:Receive", "iot:Subscribe"),
    "audit baseline": (*_SCOPE, *_FLEET),
    "audit run": (
        *_SCOPE,
        *_FLEET,
        "iot:DescribeCACertificate",
        "iot:GetLoggingOptions",
        "iot:GetThingConnectivityData",
        "iot:GetV2LoggingOptions",
        "iot:ListCACertificates",
    ),
    "account check": (
        "iot:DescribeEndpoint",
        "iot:GetIndexingConfiguration",
        "iot:ListPolicies",
        "iot:ListThings",
        "sts:GetCallerIdentity",
    ),
}
"""The operations of each command that calls AWS, those that it only may need too."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One check: ok, missing, or unknown (it could not be read)."""

    check: str
    state: str
    detail: str


def check(aws: Aws) -> Iterator[Answer]:
    """Look at the account, read-only.

    Raises:
        Auth: there are no usable credentials; nothing else can be said then.

    """
    yield Answer("identity", "ok", f"{aws.identity} on {aws.target}")
    yield from _read(aws, "data endpoint", "iot:DescribeEndpoint", "endpointAddress", endpointType="iot:Data-ATS")
    yield from _read(aws, "registry", "iot:ListThings", None, maxResults=1)
    yield from _read(aws, "policies", "iot:ListPolicies", None, pageSize=1)
    yield from _indexing(aws)


def _read(aws: Aws, name: str, op: str, member: str | None, **params: Any) -> Iterator[Answer]:  # noqa: ANN401  AWS's own shapes
    try:
        answer = aws.call(op, **params)
    except Error as error:
        yield _unread(name, op, error)
    else:
        yield Answer(name, "ok", str(answer[member]) if member else f"{op} is allowed")


def _indexing(aws: Aws) -> Iterator[Answer]:
    name, op = "fleet indexing", "iot:GetIndexingConfiguration"
    try:
        mode = aws.call(op).get("thingIndexingConfiguration", {}).get("thingIndexingMode", "OFF")
    except Error as error:
        yield _unread(name, op, error)
    else:
        state = "missing" if mode == "OFF" else "ok"
        hint = "; --search and dynamic groups need it (aws iot update-indexing-configuration)" if mode == "OFF" else ""
        yield Answer(name, state, f"{mode}{hint}")


def _unread(name: str, op: str, error: Error) -> Answer:
    if isinstance(error, Denied):
        return Answer(name, "missing", f"{op} is not allowed: iotctl account iam {op}")
    if isinstance(error, Unsupported):
        return Answer(name, "unknown", f"{op} is not built on this platform")
    return Answer(name, "unknown", error.message)
