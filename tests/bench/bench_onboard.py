"""`onboard apply` of 1,000 things against a plain boto3 loop that makes the same calls (run: pytest -m bench -s).

The loop has its bundles on disk already; `apply` makes keys, certificates and durable files too. Both are whole
processes, in turns, against one platform.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from iotctl.target import Platform

pytestmark = pytest.mark.bench

THINGS = 1000
ROUNDS = 3

PLAIN_LOOP = """
import json, pathlib, sys
import boto3
iot = boto3.client("iot")
for place in sorted(pathlib.Path(sys.argv[1], "devices").iterdir()):
    config = json.loads((place / "config.json").read_text())
    name, prefix = config["thingName"], sys.argv[2]
    attributes = {"site": "oslo", "iotctl-cert": config["certificateId"]}
    iot.create_thing(thingName=prefix + name, thingTypeName="press", attributePayload={"attributes": attributes})
    pem = (place / "certificate.pem.crt").read_text()
    registered = iot.register_certificate_without_ca(certificatePem=pem, status="ACTIVE")
    arn = registered["certificateArn"]
    iot.attach_thing_principal(thingName=prefix + name, principal=arn, thingPrincipalType="EXCLUSIVE_THING")
    iot.add_thing_to_thing_group(thingName=prefix + name, thingGroupName="bench")
    iot.attach_policy(policyName="iotctl-thing", target=arn)
"""


def test_apply_against_a_plain_boto3_loop(platform: Platform, tmp_path: Path) -> None:
    """The same five calls for each of 1,000 things; the ratio is the median of the rounds."""
    ratios, rates = [], []
    for turn in range(ROUNDS):
        rows = "".join(f"bench-{turn}-{number},press,bench,oslo\n" for number in range(THINGS))
        (tmp_path / "fleet.csv").write_text(f"thing_name,thing_type,thing_groups,attr:site\n{rows}")
        # The loop's bundles come from an onboarding whose certificates are then taken away again: the same files.
        apply = [sys.executable, "-m", "iotctl", "onboard", "apply", "fleet.csv", "--yes", "--bundles", f"out-{turn}"]
        ours = timed(apply, tmp_path)
        forget_certificates(platform)
        plain = timed([sys.executable, "-c", PLAIN_LOOP, f"out-{turn}", "plain-"], tmp_path)
        ratios.append(ours / plain)
        rates.append(THINGS / ours)
    print(
        f"\nonboard apply: {statistics.median(rates):,.0f} things/s ({5 * statistics.median(rates):,.0f} calls/s);"
        f" {statistics.median(ratios):.2f} times the plain loop's time (median of {ROUNDS}: {ratios})"
    )


def forget_certificates(platform: Platform) -> None:
    """Detach and delete every certificate, so that the loop can register the same ones."""
    import boto3

    iot = boto3.client("iot")
    things = [thing["thingName"] for page in iot.get_paginator("list_things").paginate() for thing in page["things"]]
    for thing in things:
        for principal in iot.list_thing_principals(thingName=thing)["principals"]:
            iot.detach_thing_principal(thingName=thing, principal=principal)
            certificate_id = principal.rpartition("/")[2]
            iot.detach_policy(policyName="iotctl-thing", target=principal)
            iot.update_certificate(certificateId=certificate_id, newStatus="INACTIVE")
            iot.delete_certificate(certificateId=certificate_id)


def timed(command: list[str], directory: Path) -> float:
    """Wall seconds of a whole process."""
    started = time.perf_counter()
    subprocess.run(command, cwd=directory, env=dict(os.environ), check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - started
