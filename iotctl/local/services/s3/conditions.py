"""Conditional requests and ranges: RFC 7232 and RFC 7233, as Amazon S3 has them. Pure."""

from __future__ import annotations

import re
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Final

from iotctl.local.services import AwsError

_RANGE: Final = re.compile(r"bytes=(\d{0,19})-(\d{0,19})")


def check_write(etag: str | None, if_match: str | None, if_none_match: str | None) -> None:
    """Refuse to write an object whose condition does not hold.

    Args:
        etag: of what is there; None: nothing is.
        if_match: the object must be there with this ETag.
        if_none_match: `*`: nothing may be there; S3 knows no other.

    Raises:
        AwsError: PreconditionFailed; NoSuchKey where nothing can match; NotImplemented.

    """
    if if_none_match is not None and if_none_match.strip('"') != "*":
        raise AwsError("NotImplemented", "If-None-Match of a write takes * only", Header="If-None-Match")
    if if_none_match is not None and etag is not None:
        raise _failed("If-None-Match")
    if if_match is not None and etag is None:
        raise AwsError("NoSuchKey", "The specified key does not exist.")
    if if_match is not None and not _among(etag or "", if_match):
        raise _failed("If-Match")


def check_read(
    etag: str,
    modified: float,
    *,
    if_match: str | None,
    if_none_match: str | None,
    if_modified_since: str | None,
    if_unmodified_since: str | None,
) -> None:
    """Refuse to read an object whose condition does not hold; a date that is none means nothing.

    Raises:
        AwsError: PreconditionFailed, NotModified.

    """
    changed = int(modified)
    since, until = _date(if_modified_since), _date(if_unmodified_since)
    if if_match is not None:
        if not _among(etag, if_match):
            raise _failed("If-Match")
    elif until is not None and changed > until:
        raise _failed("If-Unmodified-Since")
    if if_none_match is not None:
        if _among(etag, if_none_match):
            raise AwsError("NotModified", "Not Modified", ETag=f'"{etag}"')
    elif since is not None and changed <= since:
        raise AwsError("NotModified", "Not Modified", ETag=f'"{etag}"')


def span(asked: str | None, size: int) -> tuple[int, int] | None:
    """The first byte and the length that a Range header asks for; None: the whole, as for several ranges at once.

    Raises:
        AwsError: InvalidRange: there is none of it.

    """
    found = _RANGE.fullmatch(asked.strip()) if asked else None
    if found is None or not (found[1] or found[2]):
        return None
    if found[1]:
        first = int(found[1])
        last = min(int(found[2]), size - 1) if found[2] else size - 1
        if found[2] and int(found[2]) < first:
            return None
    else:
        first, last = max(size - int(found[2]), 0), size - 1
        if not int(found[2]):
            first = size
    if first >= size:
        message = "The requested range is not satisfiable"
        raise AwsError("InvalidRange", message, RangeRequested=asked, ActualObjectSize=str(size))
    return first, last - first + 1


def _among(etag: str, asked: str) -> bool:
    given = {one.strip().removeprefix("W/").strip('"') for one in asked.split(",")}
    return "*" in given or etag in given


def _date(value: str | None) -> float | None:
    try:
        moment = parsedate_to_datetime(value) if value else None
    except ValueError:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() if moment else None


def _failed(condition: str) -> AwsError:
    message = "At least one of the pre-conditions you specified did not hold"
    return AwsError("PreconditionFailed", message, Condition=condition)
