"""A client of the session's platform, names that no other test has, and a platform of one's own."""

from __future__ import annotations

import contextlib
import http.client
import json
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import boto3
import pytest
from botocore.config import Config

from iotctl import pki
from iotctl.local import process
from iotctl.local.platform import open_store
from iotctl.local.state import Ports, State
from tests.local.clients import Device, register

if TYPE_CHECKING:
    from pathlib import Path

    from iotctl.local.store import Store
    from iotctl.target import Platform

Name = Callable[[str], str]


@pytest.fixture
def name() -> Name:
    """Names that no other test has: `name("pump")`."""
    tag = uuid.uuid4().hex[:10]
    return lambda stem: f"{stem}-{tag}"


@pytest.fixture(scope="session")
def iot(running: Platform) -> Any:
    """A boto3 client of the session's platform that leaves every check to the platform, and never tries again."""
    return client(running)


def client(platform: Platform, service: str = "iot") -> Any:
    """A boto3 client of a platform that leaves every check to it, and never tries again."""
    return boto3.client(
        service,
        endpoint_url=platform.http_url,
        region_name=platform.region,
        aws_access_key_id=platform.access_key_id,
        aws_secret_access_key=platform.secret_access_key,
        config=Config(parameter_validation=False, retries={"total_max_attempts": 1}),
    )


@dataclass(frozen=True)
class Refusal:
    """An error as AWS answers it."""

    code: str
    status: int
    message: str
    members: dict[str, Any] = field(default_factory=dict)


def refused(method: Callable[..., Any], /, **parameters: Any) -> Refusal:
    """The error of a call that must be refused."""
    try:
        answer = method(**parameters)
    except Exception as error:
        response = getattr(error, "response", None)
        if response is None:
            raise
        metadata, said = response["ResponseMetadata"], response["Error"]
        assert said["Code"] == metadata["HTTPHeaders"].get("x-amzn-errortype", said["Code"])
        members = {key: value for key, value in response.items() if key not in {"ResponseMetadata", "Error", "message"}}
        return Refusal(said["Code"], metadata["HTTPStatusCode"], said["Message"], members)
    raise AssertionError(f"it was not refused: {answer}")


def without_metadata(answer: dict[str, Any]) -> dict[str, Any]:
    """An answer of boto3 without what HTTP adds."""
    return {key: value for key, value in answer.items() if key != "ResponseMetadata"}


@dataclass(frozen=True)
class Raw:
    """A raw HTTP answer."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def error(self) -> str:
        """The name of the error, from the header."""
        return self.headers.get("x-amzn-errortype", "")

    @property
    def json(self) -> Any:
        """The body."""
        return json.loads(self.body)


@pytest.fixture
def raw(running: Platform) -> Callable[..., Raw]:
    """Send a raw request to the session's platform."""
    return lambda *arguments, **options: send(running, *arguments, **options)


def send(
    platform: Platform,
    method: str,
    path: str,
    body: bytes = b"",
    *,
    service: str = "iot",
    key: str | None = None,
    region: str | None = None,
    headers: dict[str, str] | None = None,
) -> Raw:
    """Send one raw request, signed (in name only) for a service."""
    scope = f"{key or platform.access_key_id}/20260101/{region or platform.region}/{service}/aws4_request"
    signed = {"Authorization": f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=0"}
    address = urlsplit(platform.http_url)
    with contextlib.closing(http.client.HTTPConnection(address.hostname or "", address.port, timeout=10)) as connection:
        connection.request(method, path, body, {**signed, **(headers or {})})
        response = connection.getresponse()
        return Raw(response.status, {key.lower(): value for key, value in response.getheaders()}, response.read())


@pytest.fixture(scope="session")
def signer() -> pki.Authority:
    """A CA that the platform does not know."""
    return pki.Authority.create("a factory's own CA")


@pytest.fixture
def certificate(iot: Any, signer: pki.Authority) -> Callable[..., dict[str, str]]:
    """Register a new certificate; its id and ARN."""

    def register(status: str = "ACTIVE") -> dict[str, str]:
        pem = signer.issue(uuid.uuid4().hex).certificate_pem
        return without_metadata(iot.register_certificate_without_ca(certificatePem=pem, status=status))

    return register


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """A store of one's own, in this process, with every service's tables."""
    opened = open_store(State(tmp_path))
    yield opened
    opened.close()


@pytest.fixture
def own_platform(tmp_path: Path) -> Iterator[tuple[State, Platform]]:
    """A platform of one's own, in a process of its own."""
    state = State(tmp_path / "home" / "local")
    state.directory.mkdir(parents=True, mode=0o700)
    yield state, process.background(state, Ports(0, 0, 0), None)
    if state.running():
        process.stop(state)


@pytest.fixture
def device(iot: Any, signer: pki.Authority, tmp_path: Path, name: Name) -> Callable[..., Device]:
    """Register a thing with a certificate on the session's platform; by default with the policy template `thing`."""
    return lambda stem="pump", policy=None: register(iot, signer, tmp_path, name(stem), policy)


@pytest.fixture(scope="session")
def data(running: Platform) -> Any:
    """A boto3 client of the session's platform's data plane."""
    return client(running, "iot-data")
