"""Keys, certificates and durable files per second, against a loop that syncs every file, and the openssl command line.

Run: pytest -m bench -s. Goals: 3 times the loop, 60 times openssl; the ratio of processor time is the one that other
work on the machine disturbs least.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import statistics
import subprocess
import time
from typing import TYPE_CHECKING, Any

import pytest

from iotctl import bundle, pki

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.bench

THINGS = 500
ROUNDS = 5
OPENSSL_THINGS = 25
OPENSSL = """
set -eu
for name in "$@"; do
    mkdir "$name"
    openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$name/private.pem.key" 2>/dev/null
    openssl req -new -key "$name/private.pem.key" -subj "/CN=$name" -out "$name/request.csr"
    openssl x509 -req -in "$name/request.csr" -CA ca.crt -CAkey ca.key -CAcreateserial -days 365 \\
        -out "$name/certificate.pem.crt" 2>/dev/null
done
"""
"""What people write: a key, a request, a certificate. Nothing is synced, and no config is written."""


def test_bundles_against_a_loop_that_syncs_every_file(tmp_path: Path) -> None:
    """The publisher and the plain loop take turns, 500 things each; the ratio is the median of the rounds."""
    publisher, authority = bundle.Publisher(), pki.Authority.create("bench")
    root_ca = bundle.amazon_root_ca()
    ratios, rates = [], []
    for turn in range(ROUNDS):
        names = [f"round-{turn}-thing-{number}" for number in range(THINGS)]
        ours = timed(lambda: publisher([params(tmp_path / "ours", name, root_ca) for name in names]))
        plain = timed(lambda: plain_loop(tmp_path / "plain", names, authority, root_ca))
        ratios.append(plain / ours)
        rates.append(THINGS / ours)
    print(
        f"\nbundles: {statistics.median(rates):,.0f} things/s durable;"
        f" {statistics.median(ratios):.1f} times a loop that syncs every file (median of {ROUNDS})"
    )


@pytest.mark.skipif(not shutil.which("openssl"), reason="openssl is not installed")
def test_bundles_against_the_openssl_command_line(tmp_path: Path) -> None:
    """Ours with all that makes them durable, theirs without; in turns, told by processor and by wall."""
    publisher, authority = bundle.Publisher(), pki.Authority.create("bench")
    root_ca, theirs = bundle.amazon_root_ca(), tmp_path / "theirs"
    theirs.mkdir()
    (theirs / "ca.crt").write_text(authority.certificate_pem)
    (theirs / "ca.key").write_bytes(authority.key_pem())
    walls, works, rates = [], [], []
    for turn in range(ROUNDS):
        names = [f"round-{turn}-thing-{number}" for number in range(THINGS)]
        began = worked()
        ours = timed(lambda: publisher([params(tmp_path / "ours", name, root_ca) for name in names])) / THINGS
        between = worked()
        command = ["sh", "-c", OPENSSL, "sh", *names[:OPENSSL_THINGS]]
        plain = timed(lambda: subprocess.run(command, cwd=theirs, check=True)) / OPENSSL_THINGS
        works.append((worked() - between) / OPENSSL_THINGS / ((between - began) / THINGS))
        walls.append(plain / ours)
        rates.append(THINGS / (between - began))
    print(
        f"\nbundles: {statistics.median(rates):,.0f} things per second of processor;"
        f" {statistics.median(works):.0f} times openssl by processor, {statistics.median(walls):.0f} times by wall"
        f" (median of {ROUNDS})"
    )


def worked() -> float:
    """Seconds of processor that this process and its children have had."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


def plain_loop(directory: Path, names: list[str], authority: pki.Authority, root_ca: str) -> None:
    """The usual way: each of the four files written and synced, then the directory."""
    for name in names:
        issued = authority.issue(name)
        place = directory / name
        place.mkdir(parents=True)
        for file_name, data in (
            (bundle.KEY, issued.private_key_pem),
            (bundle.CERTIFICATE, issued.certificate_pem.encode()),
            (bundle.ROOT_CA, root_ca.encode()),
            (bundle.CONFIG, json.dumps({"thingName": name, "certificateId": issued.certificate_id}).encode()),
        ):
            descriptor = os.open(place / file_name, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
            os.write(descriptor, data)
            os.fsync(descriptor)
            os.close(descriptor)


def params(directory: Path, thing_name: str, root_ca: str) -> dict[str, Any]:
    """What the plan hands to the publisher for one thing."""
    directory.mkdir(mode=0o700, exist_ok=True)
    return {
        "directory": str(directory),
        "thingName": thing_name,
        "keyType": "ec-p256",
        "days": 365,
        "rootCa": root_ca,
        "certificateArn": "arn:aws:iot:us-east-1:123456789012:cert/",
        "config": {"accountId": "123456789012", "region": "us-east-1", "kind": "local", "endpoint": "127.0.0.1"},
    }


def timed(work: Any) -> float:
    """Wall seconds."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started
