"""A component's artifacts: their digests, taken from S3 when the component is made, and where a core gets them.

The objects are read where they lie, within the request: some hundred megabytes a second.
"""

from __future__ import annotations

import base64
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final

from iotctl.local.services import AwsError
from iotctl.local.services.greengrass.names import validation
from iotctl.local.services.s3 import content, objects
from iotctl.local.services.s3.presigned import presigned_get
from iotctl.semantics.recipe import s3_place

if TYPE_CHECKING:
    from collections.abc import Mapping

    from iotctl.local.store import Store
    from iotctl.semantics.recipe import Recipe

ALGORITHM: Final = "SHA-256"
GREENGRASS: Final = "greengrass:"

_PRESIGNED_SECONDS: Final = 3600


def presigned(store: Store, recipe: Recipe, name: str) -> str | None:
    """A URL that gives an artifact to whoever has it; None: the recipe has none of that name.

    Args:
        store: where.
        recipe: of the component.
        name: the artifact's place, `BUCKET/KEY`, or its file name where only one has it.

    """
    found = [place for place in _places(recipe) if place[1].rpartition("/")[2] == name]
    return placed(store, recipe, name) or (_given(store, found[0]) if len(found) == 1 else None)


def placed(store: Store, recipe: Recipe, name: str) -> str | None:
    """A URL of the artifact at exactly one place, `BUCKET/KEY`; None: the recipe has none there."""
    return next((_given(store, place) for place in _places(recipe) if "/".join(place) == name), None)


def _places(recipe: Recipe) -> list[tuple[str, str]]:
    return list(dict.fromkeys(place for one in recipe.artifacts() if (place := s3_place(_uri(one)))))


def _given(store: Store, place: tuple[str, str]) -> str:
    return presigned_get(store, *place, _PRESIGNED_SECONDS)


def digested(store: Store, recipe: Recipe) -> dict[str, Any]:
    """A recipe's content with the digest of every artifact in S3.

    Raises:
        AwsError: ValidationException: an artifact is not there.

    """
    digests: dict[str, str] = {}
    missing: dict[str, str] = {}
    for artifact in recipe.artifacts():
        uri = _uri(artifact)
        place = s3_place(uri)
        if place and uri not in digests:
            try:
                digests[uri] = _digest(store, *place)
            except AwsError:
                missing[uri] = "Specified artifact resource cannot be accessed"
    if missing:
        said = ", ".join(f"{uri} = {reason}" for uri, reason in missing.items())
        raise validation(f"Invalid Input: Encountered following errors in Artifacts: {{{said}}}")
    return _changed(
        recipe.content, lambda uri: {"Digest": digests[uri], "Algorithm": ALGORITHM} if uri in digests else {}
    )


def through_greengrass(recipe: Mapping[str, Any]) -> dict[str, Any]:
    """A recipe whose artifacts come by GetComponentVersionArtifact, `greengrass:BUCKET/KEY`, in place of from S3.

    Nucleus lite gets an `s3://` artifact from AWS's own host name over its own trust store, which cannot be this
    machine; as it gets AWS's public components, it gets these.
    """
    return _changed(recipe, lambda uri: {"Uri": GREENGRASS + "/".join(place)} if (place := s3_place(uri)) else {})


def _changed(recipe: Mapping[str, Any], more: Any) -> dict[str, Any]:  # noqa: ANN401  of a URI: the members to set
    manifests = []
    for manifest in recipe["Manifests"]:
        artifacts = [{**_named(one), **more(_uri(one))} for one in manifest.get("Artifacts") or ()]
        manifests.append({**manifest, "Artifacts": artifacts} if artifacts else manifest)
    return {**recipe, "Manifests": manifests}


def _named(artifact: Mapping[str, Any]) -> dict[str, Any]:
    """An artifact whose URI is called `Uri`, as AWS hands recipes out."""
    return {"Uri": _uri(artifact), **{key: value for key, value in artifact.items() if key not in {"Uri", "URI"}}}


def _uri(artifact: Mapping[str, Any]) -> str:
    return str(artifact.get("Uri", artifact.get("URI")))


def _digest(store: Store, bucket: str, key: str) -> str:
    body = objects.get_object(store, Bucket=bucket, Key=key)["Body"]
    found = sha256()
    for block in content.blocks(body):
        found.update(block)
    return base64.b64encode(found.digest()).decode()
