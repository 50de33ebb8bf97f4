"""What stands between a request and its operation: the account's quotas, and the faults that a test asked for."""

from __future__ import annotations

import asyncio
import random
import socket
import struct
from typing import Final

from aiohttp import web

from iotctl.local.conditions import BREAKS, NONE, Conditions
from iotctl.local.gateway.answers import Answer
from iotctl.local.gateway.rates import Bucket
from iotctl.local.services import AwsError

_SAID: Final = {
    "throttle": ("ThrottlingException", "Rate exceeded"),
    "fail": ("InternalFailureException", "An unexpected error has occurred."),
    "unavailable": ("ServiceUnavailableException", "The service is temporarily unavailable."),
    "expired": ("ExpiredTokenException", "The security token included in the request is expired"),
    "denied": ("AccessDeniedException", "User is not authorized to perform this operation"),
    "limit": ("LimitExceededException", "The limit is exceeded"),
    "not-found": ("ResourceNotFoundException", "The resource does not exist"),
}
STATUSES: Final = {
    "ThrottlingException": 429,
    "InternalFailureException": 500,
    "ServiceUnavailableException": 503,
    "ExpiredTokenException": 403,
    "AccessDeniedException": 403,
    "LimitExceededException": 410,
    "ResourceNotFoundException": 404,
}
"""Of these errors, where a service's model does not declare them."""

S3_CODES: Final = {
    "ThrottlingException": "SlowDown",
    "InternalFailureException": "InternalError",
    "ServiceUnavailableException": "ServiceUnavailable",
    "ExpiredTokenException": "ExpiredToken",
    "AccessDeniedException": "AccessDenied",
    "LimitExceededException": "ServiceUnavailable",
    "ResourceNotFoundException": "NoSuchKey",
}
"""What Amazon S3 says for them (API reference, "Error responses")."""

_PORTAL: Final = b"<html><body>Please sign in to the network</body></html>"
_LOOK_SECONDS: Final = 0.1
_SEED: Final = 20_260_131


class BrokenError(Exception):
    """The connection of a request comes to grief.

    Attributes:
        how: one of BREAKS.
        answer: what would have been said, where the operation was carried out.

    """

    def __init__(self, how: str, answer: Answer | None = None) -> None:
        super().__init__(how)
        self.how = how
        self.answer = answer


class Hindrance:
    """Refuses and breaks calls as the conditions say; the same calls in the same order meet the same faults.

    Args:
        conditions: of the platform.

    """

    def __init__(self, conditions: Conditions = NONE) -> None:
        self._conditions = conditions
        self._dice = random.Random(_SEED)  # noqa: S311  no secret
        self._buckets: dict[str, Bucket] = {}
        self._idle = not (conditions.throttle or conditions.as_aws or conditions.faults)

    def before(self, operation: str) -> str:
        """Let a call through, or not; the kind of fault that it meets when it is done, empty: none.

        Raises:
            AwsError: it is refused, and nothing was done.
            BrokenError: its connection breaks, and nothing was done.

        """
        if self._idle:
            return ""
        rate = self._conditions.rate(operation)
        if rate is not None:
            bucket = self._buckets.get(operation)
            if bucket is None:
                bucket = self._buckets[operation] = Bucket(rate)
            if not bucket.take():
                raise AwsError(*_SAID["throttle"])
        for fault in self._conditions.faults:
            if fault.strikes(operation) and self._dice.random() < fault.share:
                if fault.kind.endswith("-after"):
                    return fault.kind.removesuffix("-after")
                strike(fault.kind)
        return ""


def strike(kind: str, answer: Answer | None = None) -> None:
    """Raise what a kind of fault is; an empty one is none."""
    if kind in BREAKS:
        raise BrokenError(kind, answer)
    if kind:
        raise AwsError(*_SAID[kind])


async def break_off(request: web.BaseRequest, broken: BrokenError) -> web.StreamResponse:
    """Let the connection of a request come to grief."""
    how, answer, transport = broken.how, broken.answer or Answer(body=b"{}"), request.transport
    if how == "garbage" or transport is None:
        return web.Response(body=_PORTAL, content_type="text/html")
    if how == "hang":
        while not transport.is_closing():  # noqa: ASYNC110  nobody tells that the client has gone
            await asyncio.sleep(_LOOK_SECONDS)
    elif how == "cut":
        half = web.StreamResponse(status=answer.status, headers={**answer.headers, "Content-Type": answer.content_type})
        half.content_length = max(2, len(answer.body))
        await half.prepare(request)
        await half.write(answer.body[: half.content_length // 2] or b"{")
        transport.close()  # an orderly end: harder to notice than a reset
        return half
    elif how == "reset":
        raw = transport.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()
    return web.Response()
