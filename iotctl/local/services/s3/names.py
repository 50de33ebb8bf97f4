"""Names of buckets and keys: which are allowed, and which bucket a Host header names. Pure.

Sources: Amazon S3 user guide, "General purpose bucket naming rules", "Naming Amazon S3 objects", "Virtual hosting".
"""

from __future__ import annotations

import re
from typing import Final

from iotctl.local.services import AwsError

LONGEST_KEY: Final = 1024
"""Bytes of UTF-8."""

_BUCKET: Final = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_ADDRESS: Final = re.compile(r"\d+\.\d+\.\d+\.\d+")
_PREFIXES: Final = ("xn--", "sthree-", "amzn-s3-demo-")
_SUFFIXES: Final = ("-s3alias", "--ol-s3", ".mrap", "--x-s3", "--table-s3")


def is_bucket(name: str) -> bool:
    """Whether a bucket may be called this."""
    if not _BUCKET.fullmatch(name) or _ADDRESS.fullmatch(name) or ".." in name:
        return False
    return not name.startswith(_PREFIXES) and not name.endswith(_SUFFIXES)


def check_bucket(name: str) -> None:
    """Refuse what no bucket is called.

    Raises:
        AwsError: InvalidBucketName.

    """
    if not is_bucket(name):
        raise AwsError("InvalidBucketName", "The specified bucket is not valid.", BucketName=name)


def check_key(key: str) -> None:
    """Refuse what no object is called; what a path means to a file system means nothing here.

    Raises:
        AwsError: KeyTooLongError.

    """
    size = len(key.encode())
    if size > LONGEST_KEY:
        raise AwsError("KeyTooLongError", "Your key is too long", Size=str(size), MaxSizeAllowed=str(LONGEST_KEY))


def host_bucket(host: str, region: str) -> str | None:
    """The bucket that a host name stands for; empty: S3 itself, with the bucket in the path; None: it is not S3's.

    Args:
        host: without a port.
        region: of the platform; other regions' names are not ours.

    """
    for domain in (f"s3.{region}.amazonaws.com", "s3.amazonaws.com"):
        if host == domain:
            return ""
        name = host.removesuffix(f".{domain}")
        if name != host:
            return name if is_bucket(name) else None
    name = host.removesuffix(".localhost")
    return name if name != host and is_bucket(name) else None


def successor(prefix: str) -> str | None:
    """The smallest text after every text with this prefix, in the order of UTF-8; None: there is none."""
    while prefix:
        last = ord(prefix[-1]) + 1
        if last == 0xD800:
            last = 0xE000
        if last <= 0x10FFFF:
            return prefix[:-1] + chr(last)
        prefix = prefix[:-1]
    return None
