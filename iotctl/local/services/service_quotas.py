"""Service Quotas, read: the rates of AWS IoT Core, under AWS's own names and codes.

The applied quotas are those that this platform enforces (`iotctl local up --throttle`): of a quota that it does not
enforce no applied value is available, as the service model says of some of AWS's. The defaults are AWS's.
"""

from __future__ import annotations

import base64
import binascii
import functools
from typing import TYPE_CHECKING, Any, Final

from iotctl.local.services import AwsError, Operation
from iotctl.semantics import quotas

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from iotctl.local.store import Store

    Rate = Callable[[str], float | None]

_NAME: Final = "AWS IoT Core"
_PAGE: Final = 100
_CODES: Final = {
    "AddThingToBillingGroup": "L-1F4BE39E",
    "AddThingToThingGroup": "L-2904683A",
    "AttachPolicy": "L-CA7D4E3E",
    "AttachThingPrincipal": "L-F64D1AA6",
    "CreateBillingGroup": "L-F2D09BC8",
    "CreateCertificateFromCsr": "L-01BCDDCA",
    "CreateDynamicThingGroup": "L-7E0F5745",
    "CreateKeysAndCertificate": "L-40B55430",
    "CreatePolicy": "L-1B2EEF52",
    "CreatePolicyVersion": "L-BD4A365E",
    "CreateProvisioningClaim": "L-33A2AE15",
    "CreateProvisioningTemplate": "L-0DF9E6AC",
    "CreateProvisioningTemplateVersion": "L-7C43D13A",
    "CreateThing": "L-64CBACAC",
    "CreateThingGroup": "L-512F449C",
    "CreateThingType": "L-8650816F",
    "DeleteBillingGroup": "L-6C20C764",
    "DeleteCACertificate": "L-944099F0",
    "DeleteCertificate": "L-EEB8F0B1",
    "DeleteDynamicThingGroup": "L-9DF61146",
    "DeletePolicy": "L-58129C66",
    "DeletePolicyVersion": "L-2990EF9F",
    "DeleteProvisioningTemplate": "L-066C37B5",
    "DeleteThing": "L-889800F7",
    "DeleteThingGroup": "L-FCAB1AF4",
    "DeleteThingType": "L-CFBDB489",
    "DeprecateThingType": "L-7F1DBFAE",
    "DescribeBillingGroup": "L-23DF46E7",
    "DescribeCACertificate": "L-E72BB356",
    "DescribeCertificate": "L-FC864907",
    "DescribeEndpoint": "L-F30831DF",
    "DescribeThing": "L-0EF0F5EE",
    "DescribeThingGroup": "L-52E1E197",
    "DescribeThingRegistrationTask": "L-4673EACA",
    "DescribeThingType": "L-DDCF8E97",
    "DetachPolicy": "L-EC88D510",
    "DetachThingPrincipal": "L-B5EE4A16",
    "GetEffectivePolicies": "L-CE45290D",
    "GetPolicy": "L-5CE9072D",
    "GetPolicyVersion": "L-1FE17093",
    "GetRegistrationCode": "L-83705EE2",
    "ListAttachedPolicies": "L-B2DA2A45",
    "ListBillingGroups": "L-BB923BC2",
    "ListCACertificates": "L-15185D92",
    "ListCertificates": "L-97DA2C60",
    "ListCertificatesByCA": "L-5A0AFD83",
    "ListPolicies": "L-2B86A5A0",
    "ListPolicyVersions": "L-E67DF416",
    "ListPrincipalThings": "L-C481616A",
    "ListPrincipalThingsV2": "L-ED45A70B",
    "ListTagsForResource": "L-D127B7BE",
    "ListTargetsForPolicy": "L-D7C50543",
    "ListThingGroups": "L-1E5260D6",
    "ListThingGroupsForThing": "L-75F129AD",
    "ListThingPrincipals": "L-FC3EF4D9",
    "ListThingPrincipalsV2": "L-00ACEBE9",
    "ListThingTypes": "L-F9EBF527",
    "ListThings": "L-57AAC135",
    "ListThingsInBillingGroup": "L-E8797DCC",
    "ListThingsInThingGroup": "L-D33FD5F9",
    "RegisterCACertificate": "L-B3AC62F0",
    "RegisterCertificate": "L-8C0011A3",
    "RegisterCertificateWithoutCA": "L-4671C7C8",
    "RegisterThing": "L-C0B2EF8B",
    "RemoveThingFromBillingGroup": "L-FAF5733F",
    "RemoveThingFromThingGroup": "L-2A81A394",
    "SetDefaultPolicyVersion": "L-4F16A45D",
    "StartThingRegistrationTask": "L-7278F198",
    "StopThingRegistrationTask": "L-DADCC3DA",
    "TagResource": "L-06E76376",
    "TestAuthorization": "L-31D9CC26",
    "UntagResource": "L-8996ACA8",
    "UpdateBillingGroup": "L-88CA286A",
    "UpdateCACertificate": "L-A755E860",
    "UpdateCertificate": "L-77B523DC",
    "UpdateDynamicThingGroup": "L-E06BBD5F",
    "UpdateThing": "L-211F680E",
    "UpdateThingGroup": "L-5D84F9FE",
    "UpdateThingGroupsForThing": "L-638916DB",
}
"""By operation. Operations that are AWS IoT Device Management's (jobs, the fleet index) are another service's there."""


def operations(applied: Rate) -> dict[str, Operation]:
    """The operations, by name.

    Args:
        applied: requests a second that this platform allows of an operation (`iot:CreateThing`); None: no limit.

    """
    functions: dict[str, Callable[..., dict[str, Any]]] = {
        "ListServiceQuotas": functools.partial(_list, applied),
        "GetServiceQuota": functools.partial(_get, applied),
        "ListAWSDefaultServiceQuotas": functools.partial(_list, quotas.DEFAULTS.get),
        "GetAWSDefaultServiceQuota": functools.partial(_get, quotas.DEFAULTS.get),
    }
    return {f"service-quotas:{name}": Operation(f"service-quotas:{name}", each) for name, each in functions.items()}


def _list(
    rate: Rate,
    store: Store,
    *,
    ServiceCode: str,
    MaxResults: int = _PAGE,
    NextToken: str = "",
    QuotaCode: str | None = None,
    QuotaAppliedAtLevel: str = "ACCOUNT",
) -> dict[str, Any]:
    """Quotas by name; every one is of the account."""
    found = _quotas(rate, store, ServiceCode) if QuotaAppliedAtLevel in {"ACCOUNT", "ALL"} else {}
    after = _opened(NextToken) if NextToken else ""
    names = sorted(name for name, each in found.items() if name > after and QuotaCode in {None, each["QuotaCode"]})
    shown = names[:MaxResults]
    token = base64.b64encode(shown[-1].encode()).decode() if len(names) > MaxResults else None
    return {"Quotas": [found[name] for name in shown], "NextToken": token}


def _get(
    rate: Rate,
    store: Store,
    *,
    ServiceCode: str,
    QuotaCode: str,
    ContextId: str | None = None,  # noqa: ARG001  quotas of resources; these are the account's
) -> dict[str, Any]:
    """One quota by its code."""
    for quota in _quotas(rate, store, ServiceCode).values():
        if quota["QuotaCode"] == QuotaCode:
            return {"Quota": quota}
    raise AwsError("NoSuchResourceException", f"There is no value of the quota {QuotaCode} of {ServiceCode}")


def _quotas(rate: Rate, store: Store, service: str) -> Mapping[str, dict[str, Any]]:
    """The quotas that have a value, by the operation that they are of."""
    if service != quotas.SERVICE:
        raise AwsError("NoSuchResourceException", f"The service {service} has no quotas on the local platform")
    found = {name: rate(f"iot:{name}") for name in _CODES}
    return {name: _described(store, name, value) for name, value in found.items() if value is not None}


def _described(store: Store, name: str, value: float) -> dict[str, Any]:
    code = _CODES[name]
    return {
        "ServiceCode": quotas.SERVICE,
        "ServiceName": _NAME,
        "QuotaArn": store.arn(f"{quotas.SERVICE}/{code}", "servicequotas"),
        "QuotaCode": code,
        "QuotaName": quotas.name(name),
        "Value": value,
        "Unit": "None",
        "Adjustable": True,
        "GlobalQuota": False,
        "QuotaAppliedAtLevel": "ACCOUNT",
    }


def _opened(token: str) -> str:
    try:
        return base64.b64decode(token, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError) as error:
        raise AwsError("InvalidPaginationTokenException", "The token is not one of this listing") from error
