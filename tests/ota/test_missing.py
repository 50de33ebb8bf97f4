"""What a rollout needs of an account is looked at before anything begins."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest

from iotctl.errors import Conflict, Error, NotFound
from iotctl.ota import observe
from tests.answering import answering
from tests.ota.orders import facts, ordered

if TYPE_CHECKING:
    from collections.abc import Sequence

_ROLE = "arn:aws:iam::123456789012:role/iotctl-job-presign"
_NO_SUCH_ROLE = b"<ErrorResponse><Error><Code>NoSuchEntity</Code><Message>no</Message></Error></ErrorResponse>"
_NOT_ALLOWED = b"<ErrorResponse><Error><Code>AccessDenied</Code><Message>no</Message></Error></ErrorResponse>"


def _role(service: str) -> bytes:
    """GetRole's answer: a role that a service may take for this account."""
    source = {"StringEquals": {"aws:SourceAccount": "123456789012"}}
    allowed = {"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole", "Condition": source}
    trust = quote(json.dumps({"Version": "2012-10-17", "Statement": [allowed]}))
    role = f"<Role><Arn>{_ROLE}</Arn><AssumeRolePolicyDocument>{trust}</AssumeRolePolicyDocument></Role>"
    return f"<GetRoleResponse><GetRoleResult>{role}</GetRoleResult></GetRoleResponse>".encode()


@pytest.mark.parametrize(
    ("status", "answer", "expected"),
    [
        (404, _NO_SUCH_ROLE, [(NotFound, f"there is no role {_ROLE} that AWS IoT presigns with")]),
        (200, _role("lambda.amazonaws.com"), [(Conflict, f"{_ROLE}: ")]),
        (200, _role("iot.amazonaws.com"), []),
        (403, _NOT_ALLOWED, []),
    ],
)
def test_the_role_that_presigns(status: int, answer: bytes, expected: Sequence[tuple[type[Error], str]]) -> None:
    """One that is missing or that AWS IoT may not take is named; one that may not be read is not."""
    asked = ordered(bucket="releases")
    with answering() as server:
        server.answer(200, b"")
        server.answer(status, answer, content_type="text/xml")
        world: Any = None
        faults = observe.missing(server.aws(), world, asked, facts(asked), presigned=True)
    assert ["/releases", "/"] == server.paths[:2]
    assert [kind for kind, _ in expected] == [type(fault) for fault in faults]
    assert all(fault.message.startswith(words) for fault, (_, words) in zip(faults, expected, strict=True))
    assert all("--job-role ARN" in (fault.hint or "") for fault in faults)


@pytest.mark.parametrize(
    ("region", "expected"), [("us-west-2", ["is in us-west-2, not in eu-west-1"]), ("eu-west-1", [])]
)
def test_a_bucket_of_another_region(region: str, expected: list[str]) -> None:
    """S3 redirects a presigned URL that names another region, and no device follows: said before anything begins."""
    asked = ordered(bucket="releases")
    with answering() as server:
        server.answer(200, b"", **{"x-amz-bucket-region": region})
        world: Any = None
        faults = observe.missing(server.aws(), world, asked, facts(asked), presigned=False)
    assert [True] * len(expected) == [
        isinstance(fault, Conflict) and words in fault.message for fault, words in zip(faults, expected, strict=True)
    ]
