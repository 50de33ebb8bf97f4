"""Component versions: created from recipes, described, listed, deleted.

A version is DEPLOYABLE as soon as it is made; AWS answers REQUESTED first, and so does this. Components of AWS itself
(`aws.greengrass.…`) are not here: a core has those that it is made of.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from iotctl.local.services import AwsError, operation
from iotctl.local.services.greengrass import artifacts, names, tokens
from iotctl.local.services.greengrass.names import component_of, conflict, not_found, put_tags, validation
from iotctl.local.services.tags import forget_tags, held_tags
from iotctl.semantics.recipe import Recipe, RecipeError, parse
from iotctl.semantics.versions import Version

if TYPE_CHECKING:
    import sqlite3

    from iotctl.local.store import Store

SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS greengrass_component (
    name TEXT NOT NULL, version TEXT NOT NULL, sort_key TEXT NOT NULL, recipe TEXT NOT NULL, created REAL NOT NULL,
    PRIMARY KEY (name, version)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS greengrass_component_by_version ON greengrass_component (name, sort_key)
"""


@dataclass(frozen=True, slots=True)
class Component:
    """A component version."""

    arn: str
    recipe: Recipe
    created: float


@operation("greengrassv2:CreateComponentVersion")
def create_component_version(
    store: Store,
    inlineRecipe: bytes | None = None,
    lambdaFunction: dict[str, Any] | None = None,
    tags: dict[str, str] | None = None,
    clientToken: str | None = None,
) -> dict[str, Any]:
    """Create a component version from a recipe in JSON, its artifacts' digests taken from S3."""
    if lambdaFunction is not None or inlineRecipe is None:
        raise validation("inlineRecipe must be specified: Lambda functions are not a part of the local platform")
    given = {"inlineRecipe": inlineRecipe, "tags": tags}
    return tokens.once(store, "CreateComponentVersion", clientToken, given, lambda: _create(store, inlineRecipe, tags))


@operation("greengrassv2:DescribeComponent")
def describe_component(store: Store, arn: str) -> dict[str, Any]:
    """What is known of a component version."""
    found = known(store, arn)
    return {
        "arn": found.arn,
        "componentName": found.recipe.name,
        "componentVersion": str(found.recipe.content["ComponentVersion"]),
        "creationTimestamp": found.created,
        **_words(found.recipe),
        "status": {"componentState": "DEPLOYABLE", "message": "NONE", "errors": {}, "vendorGuidance": "ACTIVE"},
        "platforms": found.recipe.platforms(),
        "tags": held_tags(store, found.arn),
    }


@operation("greengrassv2:GetComponent")
def get_component(store: Store, arn: str, recipeOutputFormat: str = "JSON") -> dict[str, Any]:
    """A component version's recipe, with the digests of its artifacts."""
    if recipeOutputFormat != "JSON":
        raise validation("recipeOutputFormat must be JSON: the local platform writes no YAML")
    found = known(store, arn)
    recipe = json.dumps(found.recipe.content).encode()
    return {"recipeOutputFormat": "JSON", "recipe": recipe, "tags": held_tags(store, found.arn)}


@operation("greengrassv2:GetComponentVersionArtifact")
def get_component_version_artifact(
    store: Store,
    arn: str,
    artifactName: str,
    s3EndpointType: str | None = None,  # noqa: ARG001  there is one endpoint here
    iotEndpointType: str | None = None,  # noqa: ARG001  as above
) -> dict[str, Any]:
    """A URL that gives an artifact to whoever has it.

    Nucleus lite 2.6 asks with the ARN of the version that it resolved last, also for the files of an older one whose
    recipe it still has: a rollback after a failure. Of a component on AWS it would get them from S3 itself, so here a
    file that another version has is found there.
    """
    wanted = artifactName.lstrip("/")
    name, _ = component_of(store, arn)
    own = [known(store, arn)] if exists(store, arn) else []
    url = artifacts.presigned(store, own[0].recipe, wanted) if own else None
    others = (artifacts.placed(store, other.recipe, wanted) for other in versions_of(store, name) if url is None)
    url = url or next(filter(None, others), None)
    if url is None:
        raise not_found("Artifact", f"{arn}/{artifactName}") if own else not_found("Component", arn)
    return {"preSignedUrl": url}


@operation("greengrassv2:ListComponents")
def list_components(
    store: Store, scope: str = "PRIVATE", maxResults: int | None = None, nextToken: str | None = None
) -> dict[str, Any]:
    """Components by name, each with its greatest version; there are no public ones here."""
    if scope == "PUBLIC":
        return {"components": []}
    select = "SELECT name, max(sort_key) AS latest FROM greengrass_component GROUP BY name"
    rows, token = names.page(store, select, [], by=("name",), size=maxResults, token=nextToken)
    return {"components": [_listed(store, row) for row in rows], "nextToken": token}


@operation("greengrassv2:ListComponentVersions")
def list_component_versions(
    store: Store, arn: str, maxResults: int | None = None, nextToken: str | None = None
) -> dict[str, Any]:
    """The versions of a component, the greatest first."""
    name, _ = component_of(store, arn)
    if not store.row("SELECT 1 FROM greengrass_component WHERE name = ?", name):
        raise not_found("Component", arn)
    select = "SELECT name, version, sort_key FROM greengrass_component WHERE name = ?"
    rows, token = names.page(
        store, select, [name], by=("sort_key", "version"), size=maxResults, token=nextToken, ascending=False
    )
    versions = [
        {
            "componentName": row["name"],
            "componentVersion": row["version"],
            "arn": version_arn(store, row["name"], row["version"]),
        }
        for row in rows
    ]
    return {"componentVersions": versions, "nextToken": token}


@operation("greengrassv2:DeleteComponent")
def delete_component(store: Store, arn: str) -> None:
    """Delete a component version; deployments that name it fail from then on."""
    name, version = component_of(store, arn)
    if not store.execute("DELETE FROM greengrass_component WHERE name = ? AND version = ?", name, version):
        raise not_found("Component", arn)
    forget_tags(store, arn)


def known(store: Store, arn: str) -> Component:
    """A component version.

    Raises:
        AwsError: ResourceNotFoundException.

    """
    row = store.row("SELECT * FROM greengrass_component WHERE name = ? AND version = ?", *component_of(store, arn))
    if row is None:
        raise not_found("Component", arn)
    return _component(store, row)


def versions_of(store: Store, name: str) -> list[Component]:
    """The versions of a component, the greatest first."""
    rows = store.rows("SELECT * FROM greengrass_component WHERE name = ? ORDER BY sort_key DESC", name)
    return [_component(store, row) for row in rows]


def exists(store: Store, arn: str) -> bool:
    """Whether there is such a component version."""
    try:
        known(store, arn)
    except AwsError:
        return False
    return True


def version_arn(store: Store, name: str, version: str) -> str:
    """The ARN of a component version."""
    return names.arn(store, f"components:{name}:versions:{version}")


def _create(store: Store, text: bytes, tags: dict[str, str] | None) -> dict[str, Any]:
    try:
        recipe = parse(text)
    except RecipeError as error:
        raise validation(f"The recipe is not valid: {error}") from error
    name, version = recipe.name, str(recipe.content["ComponentVersion"])
    arn = version_arn(store, name, version)
    if exists(store, arn):
        state = f"already exists with state: [DEPLOYABLE] for account [{store.account_id}]"
        raise conflict("Component", arn, f"Component [{name} : {version}] {state}")
    content, now = artifacts.digested(store, recipe), store.now()
    store.execute(
        "INSERT INTO greengrass_component VALUES (?, ?, ?, ?, ?)",
        name,
        version,
        recipe.version.sort_key,
        json.dumps(content),
        now,
    )
    put_tags(store, arn, tags)
    return {
        "arn": arn,
        "componentName": name,
        "componentVersion": version,
        "creationTimestamp": now,
        "status": {"componentState": "REQUESTED", "message": "NONE", "errors": {}, "vendorGuidance": "ACTIVE"},
    }


def _listed(store: Store, row: sqlite3.Row) -> dict[str, Any]:
    latest = store.row("SELECT * FROM greengrass_component WHERE name = ? AND sort_key = ?", row["name"], row["latest"])
    assert latest is not None, "it is one of the rows that were grouped"
    found = _component(store, latest)
    return {
        "arn": names.arn(store, f"components:{row['name']}"),
        "componentName": row["name"],
        "latestVersion": {
            "arn": found.arn,
            "componentVersion": latest["version"],
            "creationTimestamp": found.created,
            **_words(found.recipe),
            "platforms": found.recipe.platforms(),
        },
    }


def _words(recipe: Recipe) -> dict[str, Any]:
    return {"description": recipe.description or None, "publisher": recipe.publisher or None}


def _component(store: Store, row: sqlite3.Row) -> Component:
    content = json.loads(row["recipe"])
    recipe = Recipe(row["name"], Version.parse(row["version"]), content)
    return Component(version_arn(store, row["name"], row["version"]), recipe, row["created"])
