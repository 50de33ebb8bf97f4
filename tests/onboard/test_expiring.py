"""`onboard certs expiring`: which certificates end soon, whose they are, what renews them; against the platform.

That without a scope it is about the whole fleet is tested where a platform has few certificates: tests/audit.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from pathlib import Path

import boto3
import pytest

from iotctl import clock
from iotctl.target import Platform
from tests.conftest import Ran


def test_those_that_end_in_time_are_listed(
    platform: Platform, iotctl: Callable[..., Ran], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exit 4 with thing, certificate, end and days left; 0 where there is none in time, or in use; 8 for nobody."""
    monkeypatch.chdir(tmp_path)
    name = f"e-{uuid.uuid4().hex[:8]}"
    (tmp_path / "fleet.csv").write_text(f"thing_name\n{name}\n")
    (tmp_path / "names").write_text(f"{name}\n")
    assert 0 == iotctl("onboard", "apply", "fleet.csv", "--valid-days", "10", "--yes").code
    words = ("onboard", "certs", "expiring")

    found = iotctl(*words, "--things", "names", "-o", "json")

    (row,) = found.envelope["data"]["certificates"]
    assert (4, "onboard certs expiring") == (found.code, found.envelope["command"])
    left = (clock.moment(row["notAfter"]) - clock.now()).days
    assert (name, 9, 9) == (row["thingName"], left, row["daysLeft"])
    assert "--things names -q | iotctl onboard certs rotate --things -" in found.stderr
    told = iotctl(*words, name, "-q")
    assert (4, f"{name}\n") == (told.code, told.stdout)
    assert 0 == iotctl(*words, name, "--within", "8d").code
    assert 8 == iotctl(*words, "nobody-of-this-name").code
    boto3.client("iot").update_certificate(certificateId=row["certificateId"], newStatus="INACTIVE")
    assert 0 == iotctl(*words, name).code
