"""What must hold of an onboarding: at any moment (I1 to I6), and when it has ended (P1); each breach as a sentence.

Independent of the tool's own reading: bundles by `cryptography`, the account by boto3, the journal by SQLite.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import sqlite3
import stat
import tempfile
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

import boto3
from botocore.config import Config
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

if TYPE_CHECKING:
    from collections.abc import Sequence

    from iotctl.target import Platform

CLAIM: Final = "iotctl-cert"
BUNDLES: Final = "out"
FILES: Final = {
    "private.pem.key": 0o600,
    "certificate.pem.crt": 0o644,
    "AmazonRootCA1.pem": 0o644,
    "config.json": 0o640,
}
POLICY: Final = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Effect": "Allow",
            "Action": "iot:Connect",
            "Resource": "arn:aws:iot:us-east-1:*:client/${iot:Connection.Thing.ThingName}",
        }
    ],
}


@dataclass(frozen=True, slots=True)
class Declared:
    """A fleet as a file declares it: names that nothing else has, and what they must become.

    Attributes:
        cwd: where `fleet.csv`, the policy's document and the bundles are.
        things: their names.
        tag: the end of every shared name.

    """

    cwd: Path
    things: Sequence[str]
    tag: str

    @classmethod
    def fresh(cls, cwd: Path, count: int) -> Self:
        """A new fleet in a new directory, its files written."""
        tag = uuid.uuid4().hex[:12]
        declared = cls(cwd / tag, [f"pump-{number}-{tag}" for number in range(count)], tag)
        return declared.beside(tag)

    def beside(self, name: str) -> Self:
        """The same fleet in another directory, as on a second machine."""
        other = type(self)(self.cwd.parent / name, self.things, self.tag)
        other.cwd.mkdir(mode=0o700)
        head = "thing_name,thing_type,thing_groups,billing_group,attr:site\n"
        rows = [
            f"{thing},type-{self.tag},near-{self.tag};far-{self.tag},bill-{self.tag},oslo\n" for thing in self.things
        ]
        (other.cwd / "fleet.csv").write_text(head + "".join(rows))
        (other.cwd / f"{self.policy}.json").write_text(json.dumps(POLICY))
        return other

    @property
    def policy(self) -> str:
        """The name of the policy that all things get."""
        return f"allow-{self.tag}"

    @property
    def bundles(self) -> Path:
        """The bundles directory."""
        return self.cwd / BUNDLES

    @property
    def apply(self) -> list[str]:
        """The command line, to run in `cwd`."""
        return [
            "onboard",
            "apply",
            "fleet.csv",
            "--bundles",
            BUNDLES,
            "--policy",
            f"{self.policy}.json",
            "-y",
            "-o",
            "json",
        ]

    def registered(self, certificate_id: str) -> dict[str, Any]:
        """What the account must hold of each thing."""
        return {
            "thingTypeName": f"type-{self.tag}",
            "attributes": {"site": "oslo", CLAIM: certificate_id},
            "billingGroupName": f"bill-{self.tag}",
            "thingGroups": [f"far-{self.tag}", f"near-{self.tag}"],
            "certificates": {certificate_id: ("ACTIVE", [self.policy])},
        }


class Account:
    """What the account holds, by boto3."""

    def __init__(self, platform: Platform) -> None:
        self.iot = boto3.client(
            "iot",
            endpoint_url=platform.http_url,
            region_name=platform.region,
            aws_access_key_id=platform.access_key_id,
            aws_secret_access_key=platform.secret_access_key,
            config=Config(retries={"total_max_attempts": 1}),
        )
        self._prefix = f"arn:aws:iot:{platform.region}:{platform.account_id}:cert/"

    def certificates(self) -> frozenset[str]:
        """The ids of all certificates."""
        pages = self.iot.get_paginator("list_certificates").paginate(PaginationConfig={"PageSize": 250})
        return frozenset(each["certificateId"] for page in pages for each in page["certificates"])

    def thing(self, name: str) -> dict[str, Any] | None:
        """A thing as `Declared.registered` describes it; None where there is none."""
        try:
            found = self.iot.describe_thing(thingName=name)
        except self.iot.exceptions.ResourceNotFoundException:
            return None
        groups = self.iot.list_thing_groups_for_thing(thingName=name)["thingGroups"]
        return {
            "thingTypeName": found.get("thingTypeName"),
            "attributes": found.get("attributes", {}),
            "billingGroupName": found.get("billingGroupName"),
            "thingGroups": sorted(group["groupName"] for group in groups),
            "certificates": {
                arn.rpartition("/")[2]: (self.status(arn), self.policies(arn))
                for arn in self.iot.list_thing_principals(thingName=name)["principals"]
            },
        }

    def status(self, arn: str) -> str:
        """The status of a certificate."""
        found = self.iot.describe_certificate(certificateId=arn.rpartition("/")[2])
        return str(found["certificateDescription"]["status"])

    def policies(self, arn: str) -> list[str]:
        """The names of the policies attached to a certificate."""
        return sorted(each["policyName"] for each in self.iot.list_attached_policies(target=arn)["policies"])

    def arn(self, certificate_id: str) -> str:
        """The ARN of a certificate."""
        return self._prefix + certificate_id


@dataclass(slots=True)
class Watch:
    """One fleet in one account, watched from before its first run."""

    declared: Declared
    account: Account
    _before: frozenset[str] = frozenset()
    _bundles: dict[str, dict[str, str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._before = self.account.certificates()

    def new_certificates(self) -> frozenset[str]:
        """The ids of the certificates that were registered since."""
        return self.account.certificates() - self._before

    def now(self) -> list[str]:
        """Every breach of what must hold at any moment: after a kill, before the next run."""
        certificates = self._bundle_certificates()
        things = {name: self.account.thing(name) for name in self.declared.things}
        new = self.new_certificates()
        return [
            *_modes(self.declared.bundles),
            *_bundles(self.declared.bundles),
            *self._replaced(),
            *self._registered(certificates, things, new),
            *self._journal(certificates, things),
        ]

    def ended(self) -> list[str]:
        """Every breach of what must hold when a run has ended with 0."""
        certificates = self._bundle_certificates()
        new = self.new_certificates()
        found = self.now()
        for name in self.declared.things:
            wanted, thing = self.declared.registered(certificates.get(name, "")), self.account.thing(name)
            if thing != wanted:
                found.append(f"P1: {name} is {thing}, not {wanted}")
        if new != set(certificates.values()):
            found.append(f"P1: {len(new)} certificates were registered for {len(certificates)} bundles")
        if sorted(certificates) != sorted(self.declared.things):
            found.append(f"P1: there are bundles for {sorted(certificates)}")
        document = json.loads(self.account.iot.get_policy(policyName=self.declared.policy)["policyDocument"])
        if document != POLICY:
            found.append(f"P1: the policy is {document}")
        if list(self.declared.bundles.glob(".staging/*")):
            found.append("P1: something is left in .staging")
        return found

    def _bundle_certificates(self) -> dict[str, str]:
        return {
            place.name: _certificate_id(place / "certificate.pem.crt")
            for place in _places(self.declared.bundles)
            if (place / "certificate.pem.crt").exists()
        }

    def _replaced(self) -> Iterator[str]:
        """I3: a published bundle is never modified, replaced or removed."""
        for name, files in self._bundles.items():
            if _hashes(self.declared.bundles / "devices" / name) != files:
                yield f"I3: the bundle of {name} is not what it was"
        self._bundles.update({place.name: _hashes(place) for place in _places(self.declared.bundles)})

    def _registered(
        self, certificates: dict[str, str], things: dict[str, dict[str, Any] | None], new: frozenset[str]
    ) -> Iterator[str]:
        owners = {certificate_id: name for name, certificate_id in certificates.items()}
        for certificate_id in sorted(new):
            name = owners.get(certificate_id)
            if name is None:
                yield f"I1: the certificate {certificate_id[:12]} is registered, and no bundle has it"
                continue
            thing = things.get(name) or {"attributes": {}, "certificates": {}}
            if thing["attributes"].get(CLAIM) != certificate_id:
                yield f"I4: the certificate of {name} is registered, and the thing does not claim it"
            if self.account.policies(self.account.arn(certificate_id)) and (
                thing != self.declared.registered(certificate_id)
            ):
                yield f"I5: the certificate of {name} has its policy before all else is in place: {thing}"

    def _journal(self, certificates: dict[str, str], things: dict[str, dict[str, Any] | None]) -> Iterator[str]:
        """I6: what the journal calls done is done."""
        for name in _done(self.declared.bundles):
            if things.get(name) != self.declared.registered(certificates.get(name, "")):
                yield f"I6: the journal calls {name} done, and it is {things.get(name)}"


def _places(bundles: Path) -> list[Path]:
    devices = bundles / "devices"
    return sorted(devices.iterdir()) if devices.is_dir() else []


def _hashes(place: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(place.glob("*"))}


def _certificate_id(path: Path) -> str:
    return x509.load_pem_x509_certificate(path.read_bytes()).fingerprint(hashes.SHA256()).hex()


def _modes(bundles: Path) -> Iterator[str]:
    """Nobody else reads a key or changes a file at any moment, wherever it stands; the directories are closed."""
    for path in (bundles, *bundles.rglob("*")):
        mode = stat.S_IMODE(path.stat().st_mode) if path.exists() else 0o700
        if (path.is_dir() and mode != 0o700) or (path.suffix == ".key" and mode != 0o600) or mode & 0o022:
            yield f"P1: {path.name} has mode {mode:04o}"


def _bundles(bundles: Path) -> Iterator[str]:
    """I2: a bundle is whole, and its parts belong together."""
    for place in _places(bundles):
        found = {path.name: stat.S_IMODE(path.stat().st_mode) for path in place.iterdir()}
        if found != FILES:
            yield f"I2: the bundle of {place.name} is {found}"
            continue
        key = serialization.load_pem_private_key((place / "private.pem.key").read_bytes(), None)
        certificate = x509.load_pem_x509_certificate((place / "certificate.pem.crt").read_bytes())
        config = json.loads((place / "config.json").read_bytes())
        if key.public_key() != certificate.public_key():
            yield f"I2: the key of {place.name} is not its certificate's"
        if (config["thingName"], config["certificateId"]) != (
            place.name,
            certificate.fingerprint(hashes.SHA256()).hex(),
        ):
            yield f"I2: the config of {place.name} names {config['thingName']}, {config['certificateId']}"


def _done(bundles: Path) -> list[str]:
    """What the journal calls done, read from a copy, so that the next run finds the files as the kill left them."""
    with tempfile.TemporaryDirectory() as directory:
        for path in bundles.glob("journal.db*"):
            shutil.copy(path, directory)
        connection = sqlite3.connect(Path(directory) / "journal.db")
        try:
            if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'row'").fetchone():
                return []
            return [name for (name,) in connection.execute("SELECT thing FROM row WHERE state = 'done'")]
        finally:
            connection.close()
