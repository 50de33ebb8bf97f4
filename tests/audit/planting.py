"""A fleet of good things, and forty faults in it: of every kind that can be planted without waiting for days."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from iotctl import clock, pki
from tests.local.conftest import client

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from iotctl.target import Platform

ALLOWED = "arn:aws:iot:us-east-1:123456789012"
NARROW = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Action": "iot:Connect",
                "Resource": f"{ALLOWED}:client/${{iot:Connection.Thing.ThingName}}",
                "Condition": {"Bool": {"iot:Connection.Thing.IsAttached": "true"}},
            }
        ],
    }
)
WIDE = '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"iot:*","Resource":"*"}]}'
MISTAKEN = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Action": "iot:Subscribe", "Resource": f"{ALLOWED}:topicfilter/building/*"},
            {"Effect": "Deny", "Action": "iot:Subscribe", "Resource": f"{ALLOWED}:topicfilter/building/control_room/#"},
        ],
    }
)
BASELINE = f"""version = 1
[certificate]
keys = ["ec-secp256r1", "rsa-2048"]
[alarm]
stuck = "1s"
[policy.narrow]
document = '''{NARROW}'''
[group.presses]
thing_type = "press"
policies = ["narrow"]
firmware = "1.4.2"
attributes.site = ["oslo", "rome"]
attributes.line = {{ pattern = "[a-z]+" }}
shadow."desired.rate" = {{ min = 1, max = 5 }}
[group.stray]
policies = ["narrow"]
[[membership]]
group = "rome"
where = 'attributes.site == "rome"'
"""
CHANGED = f"""[policy.changed]
document = '''{NARROW}'''
[policy.gone]
document = '''{NARROW}'''
"""
"""What the baseline declares besides, once the faults are there."""

Fault = tuple[str, str]
"""The check that finds it, and the resource that it is found of."""


@dataclass
class Planting:
    """Makes things, and remembers what is to be found."""

    platform: Platform
    faults: list[Fault] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.iot, self.data = client(self.platform), client(self.platform, "iot-data")
        self.factory = pki.Authority.create("factory")
        self.root = pki.Authority.create("root")
        self.line = self.signed(self.root, "line", authority=True)

    def found(self, check: str, resource: str) -> None:
        """Remember a fault."""
        self.faults.append((f"{check}_CHECK", resource))

    def thing(self, name: str, *, pem: str = "", groups: tuple[str, ...] = ("presses",), **changes: Any) -> str:
        """A good thing but for what is changed; the id of its certificate, empty where it has none."""
        attributes = {"site": "oslo", "line": "a", **changes.get("attributes", {})}
        type_name = {"thingTypeName": changes.get("type", "press")}
        self.iot.create_thing(thingName=name, attributePayload={"attributes": attributes}, **type_name)
        for group in groups:
            self.iot.add_thing_to_thing_group(thingGroupName=group, thingName=name)
        desired, reported = {"rate": 5, **changes.get("desired", {})}, {"rate": 5, "fw": "1.4.2"}
        state = {
            "desired": desired,
            "reported": {**reported, **changes.get("desired", {}), **changes.get("reported", {})},
        }
        self.data.update_thing_shadow(thingName=name, payload=json.dumps({"state": state}))
        if changes.get("bare"):
            return ""
        arn = self.certificate(pem)
        self.iot.attach_thing_principal(thingName=name, principal=arn)
        return arn.rpartition("/")[2]

    def certificate(self, pem: str = "") -> str:
        """A registered certificate; its ARN."""
        pem = pem or self.factory.issue("device").certificate_pem
        answer = self.iot.register_certificate_without_ca(certificatePem=pem, status="ACTIVE")
        return str(answer["certificateArn"])

    def authority(self, pem: str) -> str:
        """A registered CA; its id."""
        answer = self.iot.register_ca_certificate(caCertificate=pem, certificateMode="SNI_ONLY", setAsActive=True)
        return str(answer["certificateId"])

    def signed(self, issuer: pki.Authority, common_name: str, *, authority: bool = False) -> pki.Authority:
        """A certificate that an authority signed, with its key."""
        key = pki.new_key("ec-p256")
        return pki.Authority(key, _certificate(issuer, common_name, key.public_key(), authority=authority))

    def revocations(self, path: Path, *revoked: pki.Authority) -> None:
        """The root's revocation list."""
        now = clock.now()
        issuer = x509.load_pem_x509_certificate(self.root.certificate_pem.encode()).subject
        builder = x509.CertificateRevocationListBuilder().issuer_name(issuer)
        builder = builder.last_update(now).next_update(now + timedelta(days=1))
        for one in revoked:
            serial = one._certificate.serial_number
            entry = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(now).build()
            builder = builder.add_revoked_certificate(entry)
        path.write_bytes(builder.sign(self.root._key, hashes.SHA256()).public_bytes(serialization.Encoding.DER))


def fleet(planting: Planting, good: int) -> None:
    """What all share, and so many good things, half of them in a group below."""
    iot = planting.iot
    for group in ("presses", "stray"):
        iot.create_thing_group(thingGroupName=group)
    for group in ("oslo", "rome"):
        iot.create_thing_group(thingGroupName=group, parentGroupName="presses")
    for type_name in ("press", "pump"):
        iot.create_thing_type(thingTypeName=type_name)
    iot.create_policy(policyName="narrow", policyDocument=NARROW)
    iot.attach_policy(policyName="narrow", target=iot.describe_thing_group(thingGroupName="presses")["thingGroupArn"])
    for number in range(good):
        planting.thing(f"good-{number}", groups=("presses",) if number % 2 else ("oslo",))


def faults(planting: Planting, directory: Path) -> None:
    """Forty of them; the baseline and the revocation list that show some of them are in the directory."""
    (directory / "baseline.toml").write_text(BASELINE + CHANGED)
    for plant in (_of_the_account, _of_certificates, _of_revoked, _of_policies, _of_the_registry, _of_the_baseline):
        plant(planting, directory)
    assert 40 == len(planting.faults), len(planting.faults)


def _times(number: int, plant: Callable[[int], None]) -> None:
    for each in range(number):
        plant(each)


def _of_the_account(planting: Planting, _: Path) -> None:
    planting.found("LOGGING_DISABLED", planting.platform.account_id)


def _of_certificates(planting: Planting, _: Path) -> None:
    factory = planting.factory

    def ending(number: int) -> None:
        pem = factory.issue("device", days=5 + number).certificate_pem
        planting.found("DEVICE_CERTIFICATE_EXPIRING", planting.thing(f"ending-{number}", pem=pem))

    def weak(number: int) -> None:
        pem = factory.issue("device", key_type="ec-p384").certificate_pem
        planting.found("WEAK_KEY", planting.thing(f"weak-{number}", pem=pem))

    def guessed(number: int) -> None:
        pem = _pem(_certificate(factory, "device", _factorable(number)))
        planting.found("DEVICE_CERTIFICATE_KEY_QUALITY", planting.thing(f"guessed-{number}", pem=pem))

    def orphan(_: int) -> None:
        planting.found("ORPHAN_CERTIFICATE", planting.certificate().rpartition("/")[2])

    def shared(number: int) -> None:
        certificate_id = planting.thing(f"twin-{number}a")
        arn = planting.iot.describe_certificate(certificateId=certificate_id)["certificateDescription"][
            "certificateArn"
        ]
        planting.thing(f"twin-{number}b", bare=True)
        planting.iot.attach_thing_principal(thingName=f"twin-{number}b", principal=arn)
        planting.found("CERTIFICATE_ON_SEVERAL_THINGS", certificate_id)

    for number, plant in ((3, ending), (2, weak), (2, guessed), (2, orphan), (2, shared)):
        _times(number, plant)
    ending_ca = pki.Authority.create("old factory", days=9).certificate_pem
    planting.found("CA_CERTIFICATE_EXPIRING", planting.authority(ending_ca))
    guessed_ca = _pem(_certificate(planting.root, "guessed", _factorable(7), authority=True))
    planting.found("CA_CERTIFICATE_KEY_QUALITY", planting.authority(guessed_ca))


def _of_revoked(planting: Planting, directory: Path) -> None:
    planting.authority(planting.root.certificate_pem)
    planting.found("REVOKED_CA_CERTIFICATE_STILL_ACTIVE", planting.authority(planting.line.certificate_pem))
    below = planting.signed(planting.line, "below").certificate_pem
    planting.thing("below", pem=below)
    planting.found("INTERMEDIATE_CA_REVOKED_FOR_ACTIVE_DEVICE_CERTIFICATES", "CN=line")
    lost = planting.signed(planting.root, "lost")
    planting.found("REVOKED_DEVICE_CERTIFICATE_STILL_ACTIVE", planting.thing("lost", pem=lost.certificate_pem))
    planting.revocations(directory / "root.crl", planting.line, lost)


def _of_policies(planting: Planting, _: Path) -> None:
    for name, document in (("wide-1", WIDE), ("wide-2", WIDE), ("mistaken", MISTAKEN)):
        planting.iot.create_policy(policyName=name, policyDocument=document)
    planting.iot.create_policy(policyName="changed", policyDocument=NARROW.replace("us-east-1", "eu-north-1"))
    for name in ("wide-1", "wide-2"):
        planting.found("IOT_POLICY_OVERLY_PERMISSIVE", name)
    planting.found("IOT_POLICY_POTENTIAL_MISCONFIGURATION", "mistaken")
    for name in ("changed", "gone"):
        planting.found("POLICY_OFF_BASELINE", name)


def _of_the_registry(planting: Planting, _: Path) -> None:
    def bare(number: int) -> None:
        planting.thing(f"bare-{number}", bare=True)
        planting.found("THING_WITHOUT_CERTIFICATE", f"bare-{number}")

    def outside(number: int) -> None:
        planting.thing(f"outside-{number}", groups=())
        planting.found("THING_OUTSIDE_GROUPS", f"outside-{number}")

    def stuck(number: int) -> None:
        planting.thing(f"stuck-{number}", desired={"mode": "a"}, reported={"mode": "b"})
        planting.found("STUCK_DESIRED_STATE", f"stuck-{number}")

    for number, plant in ((3, bare), (2, outside), (2, stuck)):
        _times(number, plant)


def _of_the_baseline(planting: Planting, _: Path) -> None:
    def off(check: str, name: str, **changes: Any) -> None:
        planting.thing(name, **changes)
        planting.found(f"{check}_OFF_BASELINE", name)

    off("THING_POLICIES", "stray", groups=("stray",))
    for number in (1, 2):
        off("THING_TYPE", f"pump-{number}", type="pump")
    for number in (1, 2):
        off("GROUP_MEMBERSHIP", f"roman-{number}", attributes={"site": "rome"})
    off("ATTRIBUTE", "bergen", attributes={"site": "bergen"})
    off("ATTRIBUTE", "seven", attributes={"line": "7"})
    for number, rate in enumerate((0, 6)):
        off("SHADOW", f"rate-{number}", desired={"rate": rate})
    for number in (1, 2):
        off("VERSION", f"old-{number}", reported={"fw": "1.3.9"})


def _certificate(
    issuer: pki.Authority, common_name: str, key: pki.PublicKey, *, authority: bool = False
) -> x509.Certificate:
    """A certificate of any public key."""
    now = clock.now() - timedelta(hours=1)
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, common_name)]))
        .issuer_name(x509.load_pem_x509_certificate(issuer.certificate_pem.encode()).subject)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now)
        .not_valid_after(now + timedelta(days=3000))
        .add_extension(x509.BasicConstraints(ca=authority, path_length=0 if authority else None), critical=True)
    )
    return builder.sign(issuer._key, hashes.SHA256())


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def _factorable(number: int) -> rsa.RSAPublicKey:
    """A public key with the mark of Infineon's library: 1 modulo every prime that is looked at."""
    product = 1
    for prime in (n for n in range(3, 168) if all(n % divisor for divisor in range(2, int(n**0.5) + 1))):
        product *= prime
    start = 2**2047 // (2 * product) + 1 + number
    return rsa.RSAPublicNumbers(65537, start * 2 * product + 1).public_key()
