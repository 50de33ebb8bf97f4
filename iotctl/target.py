"""Where a command acts: an AWS account and region, or the local platform. A value; nothing is looked up here."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from iotctl.clock import Course
from iotctl.errors import Auth, Local

LOCAL_KEY_PREFIX = "IOTCTLLOCAL"

# The IAM roles that `account template` makes: the commands that hand AWS IoT a role look for these when none is named.
JOB_PRESIGN_ROLE = "iotctl-job-presign"
REGISTRATION_ROLE = "iotctl-registration"
AUDIT_ROLE = "iotctl-audit"
CORE_ROLE = "iotctl-token-exchange"
"""The role of Greengrass cores, and its role alias."""

_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


@dataclass(frozen=True, slots=True)
class Platform:
    """A running local platform, as `iotctl local status -o json` prints it.

    Attributes:
        http_url: where AWS's HTTP APIs are served, e.g. http://127.0.0.1:4510.
        mqtt_port: MQTT with mutual TLS.
        https_port: HTTPS with mutual TLS where a certificate is offered, and MQTT over WebSocket.
        ca_file: the CA of its server certificate (PEM).
        account_id: twelve digits, made when its state was.
        access_key_id: its own, with a prefix that AWS never issues.
        secret_access_key: never printed but by `local env`.
        course: how its clock goes.

    """

    http_url: str
    mqtt_port: int
    https_port: int
    ca_file: str
    account_id: str
    region: str
    pid: int
    access_key_id: str
    secret_access_key: str = field(repr=False)
    course: Course = field(default_factory=Course)

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Platform:
        """The content of the platform's state file.

        Raises:
            Local: it is not one.

        """
        try:
            return cls(
                http_url=value["httpUrl"],
                mqtt_port=value["mqttPort"],
                https_port=value["httpsPort"],
                ca_file=value["caFile"],
                account_id=value["accountId"],
                region=value["region"],
                pid=value["pid"],
                access_key_id=value["accessKeyId"],
                secret_access_key=value["secretAccessKey"],
                course=Course(**value.get("clock", {})),
            )
        except (KeyError, TypeError) as error:
            raise Local("the local platform's state file is damaged", hint="iotctl local reset") from error


@dataclass(frozen=True, slots=True)
class Target:
    """An account in a region.

    Attributes:
        kind: "aws" or "local".
        account_id: twelve digits.
        partition: aws, aws-cn, aws-us-gov.

    """

    kind: str
    account_id: str
    region: str
    partition: str = "aws"

    def __str__(self) -> str:
        where = "the local platform" if self.kind == "local" else "AWS"
        return f"{where}, account {self.account_id}, region {self.region}"

    def arn(self, resource: str, service: str = "iot") -> str:
        """The ARN of a resource here: `arn("thing/pump-7")`."""
        return f"arn:{self.partition}:{service}:{self.region}:{self.account_id}:{resource}"

    def role(self, name: str) -> str:
        """The ARN of an IAM role of this account, by its name; an ARN stays what it is."""
        return name if name.startswith("arn:") else f"arn:{self.partition}:iam::{self.account_id}:role/{name}"

    @property
    def bucket(self) -> str:
        """The bucket of this account's artifacts in this region, as `account template` makes it.

        Anyone may take the name first: who begins to use it asks whose it is (HeadBucket's ExpectedBucketOwner).
        """
        return f"iotctl-{self.account_id}-{self.region}"

    def to_json(self) -> dict[str, str]:
        """The target as plans, journals and bundles name it."""
        return {"kind": self.kind, "accountId": self.account_id, "region": self.region}


def kind_of(access_key_id: str, endpoint_url: str | None) -> str:
    """Which kind of place these credentials and this endpoint mean, refused where the two do not belong together.

    Raises:
        Auth: the platform's key would go to AWS, or a key of AWS to a server on this machine.

    """
    local_key = access_key_id.startswith(LOCAL_KEY_PREFIX)
    loopback = endpoint_url is not None and urlsplit(endpoint_url).hostname in _LOOPBACK
    if local_key and not loopback:
        raise Auth(
            "these are the local platform's credentials, and the endpoint is not the local platform",
            hint='eval "$(iotctl local env)" sets both; or unset AWS_ACCESS_KEY_ID to act on AWS',
        )
    if loopback and not local_key:
        raise Auth(
            f"the endpoint {endpoint_url} is on this machine, and the credentials are not the local platform's",
            hint="add --local to act on the local platform, or unset AWS_ENDPOINT_URL to act on AWS",
        )
    return "local" if local_key else "aws"
