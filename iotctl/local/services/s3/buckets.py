"""Buckets: created, found, listed, deleted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from iotctl.local.services import AwsError, operation
from iotctl.local.services.s3 import content, names
from iotctl.local.store import DEFAULT_REGION

if TYPE_CHECKING:
    from iotctl.local.store import Store

SCHEMA: Final = "CREATE TABLE IF NOT EXISTS s3_bucket (name TEXT PRIMARY KEY, created REAL NOT NULL) WITHOUT ROWID"

OF_SERVICES: Final = "aws-iot-reports"
"""A bucket of AWS's own services: it can be read by presigned URLs; nobody has it, and no listing shows it."""
_MOST: Final = 10_000


def check(store: Store, name: str) -> None:
    """Refuse a bucket that is not there.

    Raises:
        AwsError: NoSuchBucket.

    """
    if store.row("SELECT 1 FROM s3_bucket WHERE name = ?", name) is None:
        raise AwsError("NoSuchBucket", "The specified bucket does not exist", BucketName=name)


def of_services(store: Store) -> None:
    """Make the bucket of AWS's own services where it is not there."""
    store.execute("INSERT OR IGNORE INTO s3_bucket VALUES (?, ?)", OF_SERVICES, store.now())


def of_account(store: Store, name: str) -> None:
    """Make the bucket that `account template` makes on AWS, where it is not there."""
    store.execute("INSERT OR IGNORE INTO s3_bucket VALUES (?, ?)", name, store.now())


@operation("s3:CreateBucket")
def create_bucket(
    store: Store, *, Bucket: str, CreateBucketConfiguration: dict[str, Any] | None = None
) -> dict[str, Any]:
    """Create a bucket of this region; in us-east-1 creating one's own again succeeds."""
    names.check_bucket(Bucket)
    if Bucket == OF_SERVICES:
        message = "The requested bucket name is not available. Select a different name and try again."
        raise AwsError("BucketAlreadyExists", message, BucketName=Bucket)
    wanted = (CreateBucketConfiguration or {}).get("LocationConstraint")
    own = None if store.region == DEFAULT_REGION else store.region
    if wanted != own:
        message = f"The {wanted or 'unspecified'} location constraint is incompatible: this platform is {store.region}."
        raise AwsError("IllegalLocationConstraintException", message)
    made = store.execute("INSERT OR IGNORE INTO s3_bucket VALUES (?, ?)", Bucket, store.now())
    if not made and store.region != DEFAULT_REGION:
        message = "Your previous request to create the named bucket succeeded and you already own it."
        raise AwsError("BucketAlreadyOwnedByYou", message, BucketName=Bucket)
    return {"Location": f"/{Bucket}"}


@operation("s3:HeadBucket")
def head_bucket(store: Store, *, Bucket: str) -> dict[str, Any]:
    """Whether a bucket is there."""
    check(store, Bucket)
    return {"BucketRegion": store.region}


@operation("s3:ListBuckets")
def list_buckets(
    store: Store, *, MaxBuckets: int | None = None, ContinuationToken: str = "", Prefix: str | None = None
) -> dict[str, Any]:
    """The buckets by name."""
    limit = _MOST if MaxBuckets is None else MaxBuckets
    if not 1 <= limit <= _MOST:
        raise AwsError("InvalidArgument", f"MaxBuckets must be an integer between 1 and {_MOST}, inclusive")
    start, end = Prefix or "", names.successor(Prefix or "") or "\U0010ffff"
    rows = store.rows(
        "SELECT * FROM s3_bucket WHERE name >= ? AND name < ? AND name > ? AND name <> ? ORDER BY name LIMIT ?",
        start,
        end,
        ContinuationToken,
        OF_SERVICES,
        limit + 1,
    )
    shown = rows[:limit]
    return {
        "Buckets": [{"Name": row["name"], "CreationDate": row["created"]} for row in shown],
        "Owner": {"ID": store.account_id},
        "ContinuationToken": shown[-1]["name"] if len(rows) > limit else None,
        "Prefix": Prefix,
    }


@operation("s3:DeleteBucket")
def delete_bucket(store: Store, *, Bucket: str) -> None:
    """Delete a bucket without objects; uploads to it that were not completed go with it."""
    check(store, Bucket)
    if store.row("SELECT 1 FROM s3_object WHERE bucket = ?", Bucket):
        raise AwsError("BucketNotEmpty", "The bucket you tried to delete is not empty", BucketName=Bucket)
    for row in store.rows("SELECT file FROM s3_part JOIN s3_upload ON id = upload WHERE bucket = ?", Bucket):
        content.forget(store, row["file"])
    store.execute("DELETE FROM s3_upload WHERE bucket = ?", Bucket)
    store.execute("DELETE FROM s3_bucket WHERE name = ?", Bucket)


@operation("s3:GetBucketLocation")
def get_bucket_location(store: Store, *, Bucket: str) -> dict[str, Any]:
    """The region of a bucket; empty for us-east-1."""
    check(store, Bucket)
    return {"LocationConstraint": "" if store.region == DEFAULT_REGION else store.region}


@operation("s3:GetBucketVersioning")
def get_bucket_versioning(store: Store, *, Bucket: str) -> dict[str, Any]:
    """No bucket here has versions: an empty answer, as AWS gives it."""
    check(store, Bucket)
    return {}
