"""Which operation of S3 a request is, and its parameters: from botocore's service model."""

from __future__ import annotations

import functools
import inspect
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qsl, unquote_to_bytes

from iotctl.aws import service_model
from iotctl.local.services import AwsError
from iotctl.local.services.s3 import names
from iotctl.local.services.s3.objects import SEVERAL

if TYPE_CHECKING:
    from collections.abc import Mapping

    from botocore.model import OperationModel

    from iotctl.local.services import Operation

_UNSENDABLE: Final = re.compile("[\x00-\x08\x0a-\x1f\x7f\ud800-\udfff]")
_SHAPES: Final = {"/": 0, "/{Bucket}": 1, "/{Bucket}/{Key+}": 2}
_OBJECT: Final = 2
_WITHOUT_EFFECT: Final[dict[str, frozenset[str] | None]] = {
    "ACL": frozenset({"private", "bucket-owner-full-control"}),
    "BucketKeyEnabled": None,
    "ChecksumAlgorithm": None,
    "ContentLength": None,
    "ContentMD5": None,
    "ObjectLockEnabledForBucket": frozenset({"false"}),
    "ObjectOwnership": None,
    "OptionalObjectAttributes": None,
    "RequestPayer": None,
    "ServerSideEncryption": frozenset({"AES256"}),
    "StorageClass": frozenset({"STANDARD"}),
}
"""Members that may be given without changing anything here, with the values that are true here; None: any. Those of
checksums are heeded where the body is read."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A request of S3 before its operation is known.

    Attributes:
        method: of HTTP.
        bucket: empty for the service itself.
        key: empty for a bucket.
        query: decoded; the first of several.
        headers: looked up without regard to case.

    """

    method: str
    bucket: str
    key: str
    query: Mapping[str, str]
    headers: Mapping[str, str]

    @classmethod
    def of(cls, method: str, raw_path: str, headers: Mapping[str, str], bucket: str) -> Asked:
        """A request.

        Args:
            method: of HTTP.
            raw_path: path and query as they were sent.
            headers: of the request.
            bucket: that the Host header names; empty: the path does.

        Raises:
            AwsError: InvalidURI: it is not UTF-8.

        """
        path, _, query = raw_path.partition("?")
        try:
            place = unquote_to_bytes(path.removeprefix("/")).decode()
            pairs = parse_qsl(query, keep_blank_values=True, errors="strict")
        except ValueError as error:
            raise AwsError("InvalidURI", "Couldn't parse the specified URI.") from error
        key = place
        if not bucket:
            bucket, _, key = place.partition("/")
        return cls(method, bucket, key, dict(reversed(pairs)), headers)


@dataclass(frozen=True, slots=True)
class _Route:
    method: str
    level: int
    query: tuple[tuple[str, str | None], ...]
    headers: tuple[str, ...]
    name: str

    def leads(self, asked: Asked, level: int) -> bool:
        """Whether a request is this operation, or a more special one."""
        return (
            (asked.method, level) == (self.method, self.level)
            and all(asked.query.get(key) == value if value else key in asked.query for key, value in self.query)
            and all(name in asked.headers for name in self.headers)
        )


def operation(asked: Asked) -> OperationModel:
    """The operation of a request.

    Raises:
        AwsError: MethodNotAllowed.

    """
    level = 0 if not asked.bucket else 1 if not asked.key else _OBJECT
    found = next((route for route in _routes() if route.leads(asked, level)), None)
    if found is None:
        message = "The specified method is not allowed against this resource."
        raise AwsError("MethodNotAllowed", message, Method=asked.method)
    return _model(found.name)


def parameters(asked: Asked, model: OperationModel, built: Operation, account: str) -> dict[str, Any]:
    """The parameters of a request that are not in its body.

    Args:
        asked: the request.
        model: of its operation.
        built: its operation; what it does not take is refused, unless it changes nothing.
        account: whose buckets these are.

    Raises:
        AwsError: NotImplemented, InvalidArgument, AccessDenied, InvalidBucketName.

    """
    given = {name: value for name, value in (("Bucket", asked.bucket), ("Key", asked.key)) if value}
    if asked.bucket and asked.method == "PUT":
        names.check_bucket(asked.bucket)
    takes = _takes(built)
    found: dict[str, Any] = {}
    shape = model.input_shape
    for name, member in shape.members.items() if shape else ():
        value = _value(asked, member)
        if value is None:
            continue
        if name == "ExpectedBucketOwner":
            if value != account:
                raise AwsError("AccessDenied", "Access Denied: the bucket belongs to another account")
        elif name in takes:
            found[name] = _typed(name, member, value)
        elif not _is_without_effect(name, value):
            message = f"{name} of {model.name} is not built in the local platform; nothing was done"
            raise AwsError("NotImplemented", message)
    return {**found, **given}


def _value(asked: Asked, member: Any) -> Any:  # noqa: ANN401  a shape of botocore's
    """What a request says of a member; None: nothing."""
    place, name = member.serialization.get("location"), member.serialization.get("name", "")
    if place == "querystring":
        return asked.query.get(name)
    if place == "header":
        return asked.headers.get(name)
    if place == "headers":
        pairs = ((header.lower(), value) for header, value in asked.headers.items())
        return {key.removeprefix(name): value for key, value in pairs if key.startswith(name)} or None
    return None


def _typed(name: str, member: Any, value: Any) -> Any:  # noqa: ANN401  any shape and its value
    if isinstance(value, dict):
        return {key: _sendable(name, each) for key, each in value.items()}
    if member.type_name in {"integer", "long"}:
        if not re.fullmatch(r"-?[0-9]{1,18}", value):
            raise AwsError("InvalidArgument", f"Provided {name} not an integer or within integer range")
        return int(value)
    if member.type_name == "boolean":
        return value.lower() == "true"
    # What an answer's headers will hold: a line break there would begin another header.
    in_header = member.serialization.get("location") == "header" or name.startswith("Response")
    return _sendable(name, value) if in_header else value


def _sendable(name: str, value: str) -> str:
    if _UNSENDABLE.search(value):
        raise AwsError("InvalidArgument", f"{name} holds characters that a header cannot")
    return value


def _is_without_effect(name: str, value: Any) -> bool:  # noqa: ANN401  any member's
    if name.startswith("Checksum"):
        return True
    true = _WITHOUT_EFFECT.get(name, frozenset())
    return true is None or value in true


@functools.cache
def _takes(built: Operation) -> frozenset[str]:
    taken = inspect.signature(built.function).parameters
    return frozenset(taken).union(*(SEVERAL[name] for name in taken if name in SEVERAL))


@functools.cache
def _routes() -> tuple[_Route, ...]:
    """Every operation, the special ones before those that also match."""
    found = []
    service = service_model("s3")
    for name in service.operation_names:
        model = service.operation_model(name)
        path, _, query = model.http["requestUri"].partition("?")
        shape = model.input_shape
        if path not in _SHAPES or model.deprecated:
            continue
        fixed: list[tuple[str, str | None]] = [(key, value) for key, value in parse_qsl(query, keep_blank_values=True)]
        headers = []
        for member in shape.required_members if shape else ():
            at = shape.members[member].serialization if shape else {}
            if at.get("location") == "querystring":
                fixed.append((at["name"], None))
            elif at.get("location") == "header":
                headers.append(at["name"])
        found.append(_Route(model.http["method"], _SHAPES[path], tuple(fixed), tuple(headers), name))
    return tuple(sorted(found, key=lambda route: (-len(route.query) - len(route.headers), "Directory" in route.name)))


@functools.cache
def _model(name: str) -> OperationModel:
    return service_model("s3").operation_model(name)
