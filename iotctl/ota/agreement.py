"""One record for everyone: the first that is put is what all of them go on with.

Two machines that create the same rollout sign it at different moments, so their documents differ. S3 takes one record
(`If-None-Match: *`); whoever comes later reads that one. A record that was put, and whose answer was lost, is found
again in the same way.
"""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from iotctl import upload
from iotctl.errors import Conflict, Denied, Error, Integrity, NotFound
from iotctl.ota.rollout import Record

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from iotctl.aws import Aws

OPERATION: Final = "ota:AgreeOnRecord"
"""The effect of a plan's step that puts the record, or finds it put."""


@dataclass(frozen=True, slots=True)
class Agreed:
    """The record that everyone goes on with, and the SHA-256 of its content (hex)."""

    record: Record
    digest: str


@dataclass(slots=True)
class Agreement:
    """The effect `ota:AgreeOnRecord`: its params `bucket`, `key`, `content`, `phase`."""

    aws: Aws

    def __call__(self, asked: Sequence[Mapping[str, Any]]) -> list[dict[str, Any] | Error]:
        """For each, `request`: CreateJob's parameters by the record that counts; or why there is none."""
        answers: list[dict[str, Any] | Error] = []
        for one in asked:
            try:
                agreed = self._agree(one["bucket"], one["key"], one["content"].encode())
            except Error as error:
                answers.append(error)
            else:
                place = f"s3://{one['bucket']}/{one['key']}"
                answers.append({"request": agreed.record.request(one["phase"], place, agreed.digest)})
        return answers

    def _agree(self, bucket: str, key: str, content: bytes) -> Agreed:
        place = f"s3://{bucket}/{key}"
        mine = Record.parse(content)
        found = read(self.aws, place)
        if found is None:
            try:
                self.aws.call(
                    "s3:PutObject",
                    Bucket=bucket,
                    Key=key,
                    Body=content,
                    ChecksumSHA256=base64.b64encode(hashlib.sha256(content).digest()).decode(),
                    ContentType="application/json",
                    IfNoneMatch="*",
                )
            except Conflict:
                found = read(self.aws, place)
                if found is None:
                    raise
            else:
                return Agreed(mine, hashlib.sha256(content).hexdigest())
        if found.record.rollout_id != mine.rollout_id:
            raise Integrity(f"{place} is the record of {found.record.rollout_id}", hint="someone put it there")
        return found


def read(aws: Aws, place: str, digest: str = "") -> Agreed | None:
    """The record at a place; None: there is none, or it may not be looked for.

    Args:
        aws: the account.
        place: `s3://BUCKET/KEY`.
        digest: the SHA-256 that it must have, hex; empty: any.

    Raises:
        Integrity: it is damaged, or not what the tags of the rollout's jobs name.

    """
    bucket, key = upload.split(place)
    try:
        content: bytes = aws.call("s3:GetObject", Bucket=bucket, Key=key)["Body"]
    except NotFound:
        return None
    except Denied:
        # Without s3:ListBucket a missing object is answered like a forbidden one.
        if digest:
            raise
        return None
    found = hashlib.sha256(content).hexdigest()
    if digest and found != digest:
        raise Integrity(
            f"{place} is not the record that the rollout began with",
            cause=f"its SHA-256 is {found}, and the tags of the job say {digest}",
            hint="someone replaced it: the rollout cannot be gone on with",
        )
    return Agreed(Record.parse(content), found)
