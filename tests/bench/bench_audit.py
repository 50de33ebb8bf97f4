"""Judging 100,000 things by a baseline of 50 rules, and what an audit costs beyond its reads (pytest -m bench -s).

The fleet is judged in a process of its own, whose peak memory counts: things, certificates and shadows are made there,
as they come out of a reading. The named baselines: the same fleet at a tenth of the size (the ratio must be 10), and a
boto3 program that makes the same read calls and looks at nothing.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import boto3
import pytest

from iotctl import pki

if TYPE_CHECKING:
    from pathlib import Path

    from iotctl.target import Platform

pytestmark = pytest.mark.bench

ROUNDS = 3
THINGS = 2000

BASELINE = (
    """version = 1
[certificate]
keys = ["ec-secp256r1"]
[policy.thing]
template = "thing"
[fleet]
thing_type = "press"
policies = ["thing"]
firmware = "1.4.2"
attributes.serial = { pattern = "[0-9]+" }
attributes.site = ["oslo", "rome", "bergen"]
attributes.line = { pattern = "[a-z]+-[0-9]+" }
shadow."desired.rate" = { min = 1, max = 5 }
shadow."reported.rate" = { min = 1, max = 5 }
named_shadow.config."desired.level" = 3
models.digits = "2.0.0"
"""
    + "".join(
        f"""
[group.site-{number}]
attributes.site = {{ pattern = "[a-z]+" }}
shadow."desired.mode" = ["auto", "hand"]
"""
        for number in range(16)
    )
    + """
[[membership]]
group = "site-0"
where = 'attributes.line == "line-0"'
[[membership]]
group = "site-1"
where = 'attributes.line == "line-1"'
[[membership]]
group = "site-2"
where = 'attributes.line == "line-2"'
[[membership]]
group = "site-3"
where = 'attributes.line == "line-3"'
[[membership]]
group = "site-4"
where = 'attributes.line == "line-4"'
[[exemption]]
thing = "press-7"
until = 2999-01-31
reason = "spare parts"
"""
)

READING = """
import boto3
iot, data = boto3.client("iot"), boto3.client("iot-data")

def listed(op, member, **more):
    return [one for page in iot.get_paginator(op).paginate(**more) for one in page[member]]

things = listed("list_things", "things")
certificates = listed("list_certificates", "certificates")
for group in listed("list_thing_groups", "thingGroups"):
    iot.describe_thing_group(thingGroupName=group["groupName"])
    listed("list_things_in_thing_group", "things", thingGroupName=group["groupName"])
for certificate in certificates:
    iot.list_principal_things(principal=certificate["certificateArn"])
for thing in things:
    try:
        data.get_thing_shadow(thingName=thing["thingName"])["payload"].read()
    except data.exceptions.ResourceNotFoundException:
        pass
for certificate in certificates:
    iot.describe_certificate(certificateId=certificate["certificateId"])
listed("list_ca_certificates", "certificates")
for policy in listed("list_policies", "policies"):
    iot.get_policy(policyName=policy["policyName"])
"""

JUDGING = """
import json, resource, sys, time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from iotctl.audit import baseline, verdict
from iotctl.semantics.checks import judge, load
from iotctl.semantics.checks.fleet import Certificate, Connectivity, Documents, Fleet, Policy, Thing
from iotctl.target import Target

size, now = int(sys.argv[1]), datetime(2026, 6, 1, tzinfo=UTC)
declared = baseline.read(Path(sys.argv[2]), Target("aws", "123456789012", "eu-north-1"))
policy = json.dumps(declared.baseline.policies["thing"])

def shadow(n):
    at = int(now.timestamp()) - 60
    bad = n % 1000 == 0
    reported = {"rate": 5, "mode": "auto", "fw": "1.4.2"}
    state = {"desired": {"rate": 9 if bad else 5, "mode": "auto"}, "reported": reported}
    times = {key: {name: {"timestamp": at} for name in state[key]} for key in state}
    return {"state": state, "metadata": times, "version": 3, "timestamp": at}

def documents(n):
    models = {"state": {"reported": {"models": {"digits": {"release": "2.0.0"}}}}, "version": 1}
    found = {"": shadow(n), "config": {"state": {"desired": {"level": 3}}, "version": 1}, "iotctl-models": models}
    return {name: json.dumps(document) for name, document in found.items()}

texts = [documents(n) for n in range(size)]

class Things:
    # As a reading hands them over: put together one by one, the shadows as the texts that they came as.
    def __iter__(self):
        return (thing(n) for n in range(size))

def thing(n):
    return Thing(
        f"press-{n}", "press",
        {"serial": str(n), "site": ("oslo", "rome", "bergen")[n % 3], "line": f"line-{n % 16}"},
        ("presses", f"site-{n % 16}"), certificates=(f"{n:064x}",), policies=("thing",), shadows=Documents(texts[n]),
        connectivity=Connectivity(True, now),
    )

certificates = [
    Certificate(f"{n:064x}", created=now - timedelta(days=30), not_after=now + timedelta(days=9000 if n % 1000 else 9),
                key="ec-secp256r1", issuer="CN=factory", serial=f"{n:x}", things=(f"press-{n}",))
    for n in range(size)
]
fleet = Fleet(now, "123456789012", Things(), certificates, policies=[Policy("thing", "1", policy)],
              parents={f"site-{n}": "presses" for n in range(16)})
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
started = time.process_time()
findings, verdicts = judge(fleet, declared.rules(), load().values())
audit = verdict.settled(findings, verdicts, declared.baseline.exemptions, fleet)
seconds = time.process_time() - started
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(json.dumps({"seconds": seconds, "findings": len(audit.findings), "fleetMiB": before / 1024,
                  "peakMiB": peak / 1024}))
"""


def test_judging_a_large_fleet(tmp_path: Path) -> None:
    """Seconds and peak memory of 100,000 things, and how many times those of 10,000 they are."""
    (tmp_path / "baseline.toml").write_text(BASELINE)
    seconds: dict[int, float] = {}
    for size in (10_000, 100_000):
        rounds = [judged(size, tmp_path / "baseline.toml") for _ in range(ROUNDS)]
        seconds[size] = statistics.median(one["seconds"] for one in rounds)
        peak = max(one["peakMiB"] for one in rounds)
        fleet = max(one["fleetMiB"] for one in rounds)
        print(
            f"\njudging {size:,} things: {seconds[size]:.2f} s (median of {ROUNDS}), peak {peak:.0f} MiB, of which the"
            f" fleet itself {fleet:.0f} MiB; {rounds[0]['findings']:.0f} findings"
        )
    print(f"\n100,000 things take {seconds[100_000] / seconds[10_000]:.1f} times as long as 10,000 (linear: 10)")


def judged(size: int, baseline: Path) -> dict[str, float]:
    """What one process measured of itself."""
    ran = subprocess.run(
        [sys.executable, "-c", JUDGING, str(size), str(baseline)], check=False, capture_output=True, text=True
    )
    assert 0 == ran.returncode, ran.stderr
    found: dict[str, float] = json.loads(ran.stdout)
    return found


def test_an_audit_over_its_bare_reads(platform: Platform, tmp_path: Path) -> None:
    """Whole processes in turns: a first audit, which reads every certificate, and the reads alone in a boto3 loop."""
    populate()
    ratios, seconds, second = [], [], []
    for number in range(ROUNDS):
        home = tmp_path / str(number)
        bare = timed([sys.executable, "-c", READING], home)
        audit = [sys.executable, "-m", "iotctl", "audit", "run", "-q", "--live"]
        seconds.append(timed(audit, home))
        second.append(timed(audit, home))
        ratios.append(seconds[-1] / bare)
    print(
        f"\naudit run, {THINGS:,} things: {statistics.median(seconds):.1f} s, {statistics.median(ratios):.2f} times its"
        f" bare reads one after the other; again, the certificates being known: {statistics.median(second):.1f} s"
        f" (medians of {ROUNDS})"
    )


def populate() -> None:
    """Things in a group, each with its certificate and its shadow."""
    iot, data, factory = boto3.client("iot"), boto3.client("iot-data"), pki.Authority.create("factory")
    iot.create_thing_group(thingGroupName="audited")
    for number in range(THINGS):
        name = f"audited-{number}"
        iot.create_thing(thingName=name)
        iot.add_thing_to_thing_group(thingName=name, thingGroupName="audited")
        certificate = factory.issue(name).certificate_pem
        arn = iot.register_certificate_without_ca(certificatePem=certificate, status="ACTIVE")["certificateArn"]
        iot.attach_thing_principal(thingName=name, principal=arn)
        state = {"desired": {"rate": 5}, "reported": {"rate": 5}}
        data.update_thing_shadow(thingName=name, payload=json.dumps({"state": state}))


def timed(command: list[str], home: Path) -> float:
    """Wall seconds of a whole process; the first with a home of its own has no certificates there."""
    environment = {**os.environ, "IOTCTL_HOME": str(home), "IOTCTL_TARGET": ""}
    started = time.perf_counter()
    ran = subprocess.run(command, env=environment, check=False, capture_output=True, text=True)
    assert ran.returncode in {0, 4}, ran.stderr
    return time.perf_counter() - started
