"""Tags of the resources that have them: TagResource, UntagResource, ListTagsForResource."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from iotctl.local.services import AwsError, invalid, not_found, operation
from iotctl.local.services.paging import page

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from iotctl.local.store import Store

SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS tag (
    arn TEXT NOT NULL, key TEXT NOT NULL, value TEXT NOT NULL,
    PRIMARY KEY (arn, key)
) WITHOUT ROWID
"""

_MOST: Final = 50
_EXISTS: Final[dict[str, Callable[[Store, str], bool]]] = {}


def taggable(kind: str, exists: Callable[[Store, str], bool]) -> None:
    """Let resources of a kind have tags: `taggable("thinggroup", …)` for `arn:aws:iot:…:thinggroup/NAME`."""
    _EXISTS[kind] = exists


def put_tags(store: Store, arn: str, tags: Iterable[Mapping[str, str]] | None) -> None:
    """Set tags of a resource.

    Raises:
        AwsError: a key of AWS's own, or more tags than a resource holds.

    """
    wanted = requested_tags(tags)
    for key, value in wanted.items():
        store.execute(
            "INSERT INTO tag VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET value = excluded.value", arn, key, value
        )
    if wanted and len(held_tags(store, arn)) > _MOST:
        raise AwsError("LimitExceededException", f"A resource cannot have more than {_MOST} tags")


def requested_tags(tags: Iterable[Mapping[str, str]] | None) -> dict[str, str]:
    """A request's tags by key.

    Raises:
        AwsError: a key begins with `aws:`, or is there twice.

    """
    found: dict[str, str] = {}
    for tag in tags or ():
        key = tag["Key"]
        if key.lower().startswith("aws:"):
            raise invalid(f"The tag key {key} begins with aws:, which is reserved")
        if key in found:
            raise invalid(f"The tag key {key} is there twice")
        found[key] = tag.get("Value", "")
    return found


def held_tags(store: Store, arn: str) -> dict[str, str]:
    """The tags of a resource by key."""
    return {row["key"]: row["value"] for row in store.rows("SELECT key, value FROM tag WHERE arn = ?", arn)}


def forget_tags(store: Store, arn: str) -> None:
    """Remove the tags of a resource that is going away."""
    store.execute("DELETE FROM tag WHERE arn = ?", arn)


@operation("iot:TagResource")
def tag_resource(store: Store, resourceArn: str, tags: list[dict[str, str]]) -> None:
    """Add or change tags."""
    put_tags(store, _known(store, resourceArn), tags)


@operation("iot:UntagResource")
def untag_resource(store: Store, resourceArn: str, tagKeys: list[str]) -> None:
    """Remove tags; one that is not there is no error."""
    arn = _known(store, resourceArn)
    for key in tagKeys:
        store.execute("DELETE FROM tag WHERE arn = ? AND key = ?", arn, key)


@operation("iot:ListTagsForResource")
def list_tags_for_resource(store: Store, resourceArn: str, nextToken: str | None = None) -> dict[str, Any]:
    """The tags of a resource, a page at a time."""
    arn = _known(store, resourceArn)
    rows, token = page(
        store, "SELECT key, value FROM tag WHERE arn = ?", [arn], by=("key",), size=None, token=nextToken
    )
    return {"tags": [{"Key": row["key"], "Value": row["value"]} for row in rows], "nextToken": token}


def _known(store: Store, arn: str) -> str:
    prefix = store.arn("")
    kind, _, name = arn.removeprefix(prefix).partition("/")
    if not arn.startswith(prefix) or kind not in _EXISTS:
        raise invalid(f"{arn} is not the ARN of a resource that can have tags")
    if not _EXISTS[kind](store, name):
        raise not_found(f"The resource {arn} does not exist")
    return arn
