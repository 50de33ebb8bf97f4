"""Requests per second that AWS allows by default."""

from __future__ import annotations

from iotctl.aws import service_model
from iotctl.semantics import quotas


def test_every_quota_is_of_an_operation_that_exists() -> None:
    """A misspelt operation would never be paced."""
    known = {f"iot:{name}" for name in service_model("iot").operation_names}
    assert set() == set(quotas.DEFAULTS) - known


def test_every_quota_allows_something() -> None:
    """Zero would wait for ever."""
    assert {} == {op: rate for op, rate in quotas.DEFAULTS.items() if rate <= 0}


def test_rates_as_service_quotas_names_them() -> None:
    """Those of operations are told from limits of other kinds."""
    found = [{"QuotaName": "CreateThing API TPS", "Value": 250.0}, {"QuotaName": "Maximum thing groups", "Value": 9.0}]
    assert {"iot:CreateThing": 250.0} == quotas.rates(found)
