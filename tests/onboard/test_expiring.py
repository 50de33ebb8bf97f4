"""`onboard certs expiring`: which certificates end soon, whose they are, what renews them; against the platform."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import boto3
import pytest

from iotctl import clock
from iotctl.target import Platform
from tests.conftest import Ran


@pytest.fixture
def things(
    platform: Platform, iotctl: Callable[..., Ran], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[str, str]]:
    """Two things: the certificate of the first ends in ten days, that of the second next year."""
    monkeypatch.chdir(tmp_path)
    names = (f"e-{uuid.uuid4().hex[:8]}-1", f"e-{uuid.uuid4().hex[:8]}-2")
    runs = []
    for name, days in zip(names, ("10", "400"), strict=True):
        (tmp_path / f"{name}.csv").write_text(f"thing_name\n{name}\n")
        ran = iotctl("onboard", "apply", f"{name}.csv", "--valid-days", days, "--yes", "-o", "json")
        assert 0 == ran.code, ran.stderr
        runs.append((ran.envelope["data"]["runId"], f"{name}-fleet"))
    yield names
    for run, bundles in runs:
        assert 0 == iotctl("onboard", "undo", run, "--bundles", bundles, "--yes").code


def test_those_that_end_in_time_are_listed(iotctl: Callable[..., Ran], things: tuple[str, str], tmp_path: Path) -> None:
    """Exit 4 with thing, certificate, end and days left; 0 where there are none; -q names the things; 8 for nobody.

    Without a scope it is about all certificates in use: one that is switched off is none of them.
    """
    soon, late = things
    (tmp_path / "names.txt").write_text(f"{soon}\n{late}\n")
    words = ("onboard", "certs", "expiring", "--things", "names.txt")

    def named(*words: str) -> tuple[int, list[str]]:
        ran = iotctl(*words, "-o", "json")
        listed = [row["thingName"] for row in ran.envelope["data"]["certificates"]]
        return ran.code, [name for name in listed if name in things]

    found = iotctl(*words, "-o", "json")
    (row,) = found.envelope["data"]["certificates"]
    assert (4, "onboard certs expiring") == (found.code, found.envelope["command"])
    left = (clock.moment(row["notAfter"]) - clock.now()).days
    assert (soon, 9, 9) == (row["thingName"], left, row["daysLeft"])
    told = iotctl(*words, "-q")
    assert (4, f"{soon}\n") == (told.code, told.stdout)
    assert "--things names.txt -q | iotctl onboard certs rotate --things -" in iotctl(*words).stderr
    assert (0, []) == named(*words, "--within", "2d")
    assert (4, [soon, late]) == named(*words, "--within", "500d")
    assert 8 == iotctl("onboard", "certs", "expiring", "nobody-of-this-name").code
    everyone = ("onboard", "certs", "expiring", "--within", "11d")
    assert (4, [soon]) == named(*everyone)
    boto3.client("iot").update_certificate(certificateId=row["certificateId"], newStatus="INACTIVE")
    assert [] == named(*everyone)[1]
    assert (0, []) == named("onboard", "certs", "expiring", soon)
