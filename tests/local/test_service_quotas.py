"""Service Quotas, read: what this platform enforces, and AWS's defaults."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from iotctl.local.conditions import read
from iotctl.local.services import AwsError, service_quotas
from iotctl.semantics import quotas
from tests.local.conftest import Raw, client, refused

if TYPE_CHECKING:
    from collections.abc import Callable

    from iotctl.local.store import Store
    from iotctl.target import Platform


@pytest.fixture
def reader(running: Platform) -> Any:
    """A boto3 client of Service Quotas."""
    return client(running, "service-quotas")


def test_the_defaults_are_awss(reader: Any, running: Platform) -> None:
    """Page by page, by AWS's names and codes, as commands read them."""
    pages = reader.get_paginator("list_aws_default_service_quotas").paginate(
        ServiceCode="iotcore", PaginationConfig={"PageSize": 7}
    )
    found = [quota for page in pages for quota in page["Quotas"]]
    rates = quotas.rates(found)
    assert len(rates) == len(found) > 30
    assert rates == {name: rate for name, rate in quotas.DEFAULTS.items() if name in rates}
    one = reader.get_aws_default_service_quota(ServiceCode="iotcore", QuotaCode="L-64CBACAC")["Quota"]
    assert ("CreateThing API TPS", 100.0, "AWS IoT Core", True) == tuple(
        one[key] for key in ("QuotaName", "Value", "ServiceName", "Adjustable")
    )
    arn = f"arn:aws:servicequotas:{running.region}:{running.account_id}:iotcore/L-64CBACAC"
    assert arn == one["QuotaArn"]


def test_what_is_not_enforced_has_no_applied_value(reader: Any) -> None:
    """This platform was not told to throttle, and says so."""
    assert [] == reader.list_service_quotas(ServiceCode="iotcore")["Quotas"]
    refusal = refused(reader.get_service_quota, ServiceCode="iotcore", QuotaCode="L-64CBACAC")
    assert "NoSuchResourceException" == refusal.code
    for service in ("iot", "ec2"):
        assert "NoSuchResourceException" == refused(reader.list_service_quotas, ServiceCode=service).code
    refusal = refused(reader.list_service_quotas, ServiceCode="iotcore", NextToken="####")
    assert "IllegalArgumentException" == refusal.code
    refusal = refused(reader.list_service_quotas, ServiceCode="iotcore", NextToken="//8=")
    assert "InvalidPaginationTokenException" == refusal.code


def test_what_is_enforced_is_applied(store: Store) -> None:
    """With `--throttle aws --throttle iot:CreateThing=5`."""
    conditions = read(throttle=["aws", "iot:CreateThing=5", "iot:CreatePolicy=2"])
    operations = service_quotas.operations(conditions.rate)
    found = operations["service-quotas:ListServiceQuotas"](store, ServiceCode="iotcore")["Quotas"]
    rates = quotas.rates(found)
    assert (5, 2, 350) == tuple(rates[f"iot:{name}"] for name in ("CreateThing", "CreatePolicy", "DescribeThing"))
    get = operations["service-quotas:GetServiceQuota"]
    assert 5 == get(store, ServiceCode="iotcore", QuotaCode="L-64CBACAC")["Quota"]["Value"]
    listed = operations["service-quotas:ListServiceQuotas"]
    assert [2] == [one["Value"] for one in listed(store, ServiceCode="iotcore", QuotaCode="L-1B2EEF52")["Quotas"]]
    assert [] == listed(store, ServiceCode="iotcore", QuotaAppliedAtLevel="RESOURCE")["Quotas"]
    with pytest.raises(AwsError):
        get(store, ServiceCode="iotcore", QuotaCode="L-00000000")


@pytest.mark.parametrize("target", ["", "ServiceQuotasV20190624.Nothing", "Other.ListServiceQuotas"])
def test_a_target_that_is_none(raw: Callable[..., Raw], target: str) -> None:
    """The operation is named by a header; without a known one nothing is done."""
    answer = raw("POST", "/", b"{}", service="servicequotas", headers={"X-Amz-Target": target} if target else {})
    assert (404, "UnknownOperationException") == (answer.status, answer.error)
