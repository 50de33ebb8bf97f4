"""Requests per second that AWS IoT allows by default, per account, region and operation.

Sources: the quota tables of the AWS IoT developer guide and of Service Quotas; the newer wins where they differ.
An operation that is not here has no published default: nothing is assumed of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

SERVICE: Final = "iotcore"
"""The code of AWS IoT Core in Service Quotas."""

_RATE: Final = " API TPS"  # the names of its rates there: "CreateThing API TPS"

PUBLISHES_PER_CONNECTION: Final = 100.0
"""PUBLISH packets a second on one MQTT connection, each way; "publish requests that exceed that quota are discarded"
(AWS General Reference, AWS IoT Core message broker quotas)."""

DEFAULTS: Final[dict[str, float]] = {
    "iot:AddThingToBillingGroup": 15,
    "iot:AddThingToThingGroup": 100,
    "iot:AttachPolicy": 15,
    "iot:AttachThingPrincipal": 100,
    "iot:CancelJob": 10,
    "iot:CreateBillingGroup": 25,
    "iot:CreateCertificateFromCsr": 15,
    "iot:CreateJob": 10,
    "iot:CreatePolicy": 10,
    "iot:CreatePolicyVersion": 10,
    "iot:CreateThing": 100,
    "iot:CreateThingGroup": 25,
    "iot:CreateThingType": 15,
    "iot:DeleteCertificate": 10,
    "iot:DeleteJob": 10,
    "iot:DeleteThing": 100,
    "iot:DescribeCertificate": 10,
    "iot:DescribeJob": 10,
    "iot:DescribeJobExecution": 10,
    "iot:DescribeThing": 350,
    "iot:DescribeThingType": 100,
    "iot:DetachPolicy": 15,
    "iot:DetachThingPrincipal": 100,
    "iot:GetEffectivePolicies": 50,
    "iot:GetJobDocument": 10,
    "iot:GetPolicy": 10,
    "iot:ListAttachedPolicies": 15,
    "iot:ListJobExecutionsForJob": 10,
    "iot:ListJobExecutionsForThing": 10,
    "iot:ListJobs": 10,
    "iot:ListPrincipalThings": 10,
    "iot:ListTagsForResource": 10,
    "iot:ListThingGroups": 10,
    "iot:ListThingGroupsForThing": 100,
    "iot:ListThingPrincipals": 10,
    "iot:ListThingTypes": 10,
    "iot:ListThings": 10,
    "iot:ListThingsInThingGroup": 25,
    "iot:RegisterCertificate": 10,
    "iot:RegisterCertificateWithoutCA": 10,
    "iot:RegisterThing": 10,
    "iot:RemoveThingFromThingGroup": 100,
    "iot:SearchIndex": 15,
    "iot:SetDefaultPolicyVersion": 10,
    "iot:TagResource": 10,
    "iot:UpdateCertificate": 10,
    "iot:UpdateJob": 10,
    "iot:UpdateThing": 100,
}


def name(operation: str) -> str:
    """What Service Quotas calls the rate of an operation (without its service): `CreateThing API TPS`."""
    return f"{operation}{_RATE}"


def rates(found: Iterable[Mapping[str, Any]]) -> dict[str, float]:
    """Calls per second of those operations whose quota is among Service Quotas' own `Quotas`."""
    return {
        f"iot:{quota['QuotaName'].removesuffix(_RATE)}": float(quota["Value"])
        for quota in found
        if quota["QuotaName"].endswith(_RATE)
    }
