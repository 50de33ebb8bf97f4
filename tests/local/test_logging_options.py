"""Logging options: off until they are configured."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from iotctl.local.services import OPERATIONS, AwsError

if TYPE_CHECKING:
    from iotctl.local.store import Store

ROLE = "arn:aws:iam::123456789012:role/logs"


@pytest.fixture
def call(store: Store) -> Callable[..., dict[str, Any]]:
    """Call an operation on a store of one's own."""
    return lambda name, **parameters: OPERATIONS[f"iot:{name}"](store, **parameters)


def test_the_first_version(call: Callable[..., dict[str, Any]]) -> None:
    """Disabled, then as it was set."""
    assert {"logLevel": "DISABLED"} == call("GetLoggingOptions")
    call("SetLoggingOptions", loggingOptionsPayload={"roleArn": ROLE, "logLevel": "INFO"})
    assert {"roleArn": ROLE, "logLevel": "INFO"} == call("GetLoggingOptions")


def test_the_second_version(call: Callable[..., dict[str, Any]]) -> None:
    """Not configured; then as it was set, what is not named staying."""
    with pytest.raises(AwsError) as caught:
        call("GetV2LoggingOptions")
    assert "NotConfiguredException" == caught.value.code
    with pytest.raises(AwsError):
        call("SetV2LoggingOptions", defaultLogLevel="ERROR")

    call("SetV2LoggingOptions", roleArn=ROLE, defaultLogLevel="ERROR")
    call("SetV2LoggingOptions", disableAllLogs=True)

    assert {"roleArn": ROLE, "defaultLogLevel": "ERROR", "disableAllLogs": True} == call("GetV2LoggingOptions")
