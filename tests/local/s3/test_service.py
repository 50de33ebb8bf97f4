"""What only shows between the begin and the end of an upload."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from iotctl.local.services import OPERATIONS, AwsError
from iotctl.local.services.s3 import content
from iotctl.local.services.s3.content import SOURCES, Slice, Writing

if TYPE_CHECKING:
    from pathlib import Path

    from iotctl.local.store import Store


@pytest.fixture
def bucketed(store: Store) -> Store:
    """A store with a bucket and an object `k`."""
    content.prepare(store)
    OPERATIONS["s3:CreateBucket"](store, Bucket="bucket")
    OPERATIONS["s3:PutObject"](store, Bucket="bucket", Key="k", Body=written(store))
    return store


def written(store: Store) -> content.Content:
    """Some content on the disk."""
    writing = Writing(store, ())
    writing.write(b"hello")
    return writing.finish()


def test_deleted_meanwhile(bucketed: Store) -> None:
    """An object that is deleted while its successor comes is 409, as S3 has it, and 404 if it was never there."""
    asked = {"Bucket": "bucket", "Key": "k", "IfMatch": "*"}
    SOURCES["s3:PutObject"](bucketed, **asked)
    body = written(bucketed)
    OPERATIONS["s3:DeleteObject"](bucketed, Bucket="bucket", Key="k")
    with pytest.raises(AwsError) as refused:
        OPERATIONS["s3:PutObject"](bucketed, **asked, Body=body)
    assert "ConditionalRequestConflict" == refused.value.code
    with pytest.raises(AwsError) as refused:
        SOURCES["s3:PutObject"](bucketed, **asked)
    assert "NoSuchKey" == refused.value.code


def test_written_meanwhile(bucketed: Store) -> None:
    """Whoever comes second where nothing may be is 412."""
    asked = {"Bucket": "bucket", "Key": "new", "IfNoneMatch": "*"}
    SOURCES["s3:PutObject"](bucketed, **asked)
    OPERATIONS["s3:PutObject"](bucketed, **asked, Body=written(bucketed))
    with pytest.raises(AwsError) as refused:
        OPERATIONS["s3:PutObject"](bucketed, **asked, Body=written(bucketed))
    assert "PreconditionFailed" == refused.value.code


def test_a_bucket_that_goes_meanwhile(bucketed: Store) -> None:
    """An upload into a bucket that is gone at its end is refused, and its file settled away."""
    body = written(bucketed)
    OPERATIONS["s3:DeleteObject"](bucketed, Bucket="bucket", Key="k")
    OPERATIONS["s3:DeleteBucket"](bucketed, Bucket="bucket")
    with pytest.raises(AwsError) as refused:
        OPERATIONS["s3:PutObject"](bucketed, Bucket="bucket", Key="k", Body=body)
    assert "NoSuchBucket" == refused.value.code
    content.settle(bucketed, body)
    assert not content.path(bucketed, body.file).exists()


def test_a_source_that_goes_meanwhile(bucketed: Store, tmp_path: Path) -> None:
    """A copy of what is deleted at that moment is refused, and leaves nothing."""
    before = set(content.directory(bucketed).iterdir())
    with pytest.raises(AwsError) as refused:
        content.copied(bucketed, [Slice(tmp_path / "gone", 0, 1)], ())
    assert "OperationAborted" == refused.value.code
    assert before == set(content.directory(bucketed).iterdir())


def test_prepare_keeps_what_is_named(bucketed: Store) -> None:
    """After a crash only the files that no row names are removed."""
    stray = written(bucketed)
    content.prepare(bucketed)
    assert not content.path(bucketed, stray.file).exists()
    assert 1 == len(list(content.directory(bucketed).iterdir()))
