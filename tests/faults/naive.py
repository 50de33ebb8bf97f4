"""The negative control: onboarding as one would first write it, which the harness must find at fault.

AWS makes key and certificate; the thing, the principal and the policy follow; a line in `done.txt` marks a thing as
done, so that the same command goes on. Shared resources are made first; bundles are laid out as the tool's.
"""

from __future__ import annotations

import contextlib
import csv
import hashlib
import json
import os
import ssl
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3

if TYPE_CHECKING:
    from collections.abc import Sequence


def run(argv: Sequence[str]) -> int:
    """Onboard `fleet.csv` of the current directory; argv as `invariants.Declared.apply` has it."""
    bundles, policy_file = Path(argv[argv.index("--bundles") + 1]), Path(argv[argv.index("--policy") + 1])
    iot: Any = boto3.client("iot", region_name=os.environ["AWS_REGION"])
    with Path("fleet.csv").open() as file:
        rows = list(csv.DictReader(file))
    done = Path("done.txt")
    finished = done.read_text().split() if done.exists() else []
    (bundles / ".staging").mkdir(0o700, parents=True, exist_ok=True)
    (bundles / "devices").mkdir(0o700, exist_ok=True)
    for directory in (bundles, bundles / "devices", bundles / ".staging"):
        directory.chmod(0o700)
    _shared(iot, rows, policy_file)
    for row in rows:
        if row["thing_name"] not in finished:
            _onboard(iot, row, bundles / "devices" / row["thing_name"], policy_file.stem)
            with done.open("a") as file:
                file.write(f"{row['thing_name']}\n")
    return 0


def _shared(iot: Any, rows: Sequence[dict[str, str]], policy_file: Path) -> None:
    for row in rows:
        iot.create_thing_type(thingTypeName=row["thing_type"])
        iot.create_billing_group(billingGroupName=row["billing_group"])
        for group in row["thing_groups"].split(";"):
            iot.create_thing_group(thingGroupName=group)
    with contextlib.suppress(iot.exceptions.ResourceAlreadyExistsException):
        iot.create_policy(policyName=policy_file.stem, policyDocument=policy_file.read_text())


def _onboard(iot: Any, row: dict[str, str], place: Path, policy: str) -> None:
    made = iot.create_keys_and_certificate(setAsActive=True)
    _write(place, row["thing_name"], made)
    with contextlib.suppress(iot.exceptions.ResourceAlreadyExistsException):
        iot.create_thing(
            thingName=row["thing_name"],
            thingTypeName=row["thing_type"],
            attributePayload={"attributes": {"site": row["attr:site"], "iotctl-cert": made["certificateId"]}},
        )
    iot.attach_thing_principal(thingName=row["thing_name"], principal=made["certificateArn"])
    for group in row["thing_groups"].split(";"):
        iot.add_thing_to_thing_group(thingName=row["thing_name"], thingGroupName=group)
    iot.add_thing_to_billing_group(thingName=row["thing_name"], billingGroupName=row["billing_group"])
    iot.attach_policy(policyName=policy, target=made["certificateArn"])


def _write(place: Path, thing_name: str, made: dict[str, Any]) -> None:
    certificate_id = hashlib.sha256(ssl.PEM_cert_to_DER_cert(made["certificatePem"])).hexdigest()
    contents = {
        "private.pem.key": (made["keyPair"]["PrivateKey"], 0o600),
        "certificate.pem.crt": (made["certificatePem"], 0o644),
        "AmazonRootCA1.pem": ("", 0o644),
        "config.json": (json.dumps({"thingName": thing_name, "certificateId": certificate_id}), 0o640),
    }
    place.mkdir(0o700, exist_ok=True)
    for name, (content, mode) in contents.items():
        (place / name).write_text(content)
        (place / name).chmod(mode)
