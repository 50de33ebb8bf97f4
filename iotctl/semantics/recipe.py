"""Component recipes of AWS IoT Greengrass V2: read, checked as AWS checks them, and matched with a core's platform.

Source: AWS IoT Greengrass V2 developer guide, component-recipe-reference; the checks of nucleus lite where the page
leaves a word open (a manifest without a `runtime` is for the classic nucleus alone). Keys are case-sensitive, as
nucleus lite has them. Recipes are JSON here; YAML is refused.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from iotctl.semantics.versions import Requirement, Version, VersionError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

FORMAT: Final = "2020-01-25"
LARGEST: Final = 16 * 1024
"""Bytes of a recipe (AWS General Reference, Greengrass V2 quotas)."""

LITE_PARTS: Final = 255
LITE_BYTES: Final = 8195
"""What nucleus lite 2.6 reads of a recipe: keys, values and entries together (its object model's limit), and bytes."""

LITE: Final = "aws_nucleus_lite"
CLASSIC: Final = "aws_nucleus_classic"

_NAME: Final = re.compile(r"(?!\.\.?$)[a-zA-Z0-9._-]{1,128}")  # of a directory on a core too
_TYPES: Final = tuple(f"aws.greengrass.{kind}" for kind in ("generic", "lambda", "plugin", "nucleus"))
_DEPENDENCIES: Final = ("HARD", "SOFT")
_SCHEMES: Final = ("s3", "docker")
_UNARCHIVE: Final = ("NONE", "ZIP")
_PERMISSIONS: Final = ("NONE", "OWNER", "ALL")
_TEXTS: Final = ("ComponentDescription", "ComponentPublisher")


class RecipeError(ValueError):
    """A recipe that AWS does not take; the message says where and why."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """A recipe that was checked.

    Attributes:
        name: of the component.
        version: of the component.
        content: the whole JSON object.

    """

    name: str
    version: Version
    content: Mapping[str, Any]

    @property
    def description(self) -> str:
        """ComponentDescription, maybe empty."""
        return str(self.content.get("ComponentDescription") or "")

    @property
    def publisher(self) -> str:
        """ComponentPublisher, maybe empty."""
        return str(self.content.get("ComponentPublisher") or "")

    def artifacts(self) -> Iterator[dict[str, Any]]:
        """The artifacts of every manifest."""
        for manifest in self.content["Manifests"]:
            yield from manifest.get("Artifacts") or ()

    def platforms(self) -> list[dict[str, Any]]:
        """The platforms of the manifests, as DescribeComponent lists them."""
        return [
            {"name": manifest.get("Name"), "attributes": dict(manifest.get("Platform") or {})}
            for manifest in self.content["Manifests"]
        ]

    def runs_on(self, platform: Mapping[str, str]) -> bool:
        """Whether a manifest is for a core: `{"os": "linux", "architecture": "amd64", "runtime": …}`."""
        return any(fits(manifest.get("Platform") or {}, platform) for manifest in self.content["Manifests"])


def parse(text: bytes) -> Recipe:
    """A recipe.

    Raises:
        RecipeError: it is not JSON, or not a recipe.

    """
    if len(text) > LARGEST:
        raise RecipeError(f"the recipe has {len(text)} bytes, more than {LARGEST}")
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise RecipeError(f"the recipe is not JSON ({error}); YAML recipes must be converted to JSON here") from error
    if not isinstance(content, dict):
        raise RecipeError("the recipe is not a JSON object")
    if content.get("RecipeFormatVersion") != FORMAT:
        raise RecipeError(f"RecipeFormatVersion must be {FORMAT}, not {content.get('RecipeFormatVersion')!r}")
    name, kind = content.get("ComponentName"), content.get("ComponentType", _TYPES[0])
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise RecipeError("ComponentName must be 1 to 128 letters, digits, hyphens, underscores and periods")
    if kind not in _TYPES:
        raise RecipeError(f"ComponentType must be one of {', '.join(_TYPES)}, not {kind!r}")
    for key in _TEXTS:
        if not isinstance(content.get(key, ""), str):
            raise RecipeError(f"{key} must be a string")
    _configuration(content.get("ComponentConfiguration", {}))
    _dependencies(content.get("ComponentDependencies") or {})
    _lifecycle("Lifecycle", content.get("Lifecycle", {}))
    manifests = content.get("Manifests")
    if not isinstance(manifests, list) or not manifests:
        raise RecipeError("Manifests must be a list of at least one manifest")
    for number, manifest in enumerate(manifests):
        _manifest(f"Manifests[{number}]", manifest)
    return Recipe(name, _version(content.get("ComponentVersion")), content)


def parts(value: Any) -> int:  # noqa: ANN401  any JSON value
    """How many parts a JSON value has as nucleus lite counts: a key and its value are two, an entry of a list one."""
    if isinstance(value, dict):
        return sum(2 + parts(each) for each in value.values())
    return sum(1 + parts(each) for each in value) if isinstance(value, list) else 0


def too_large_for_lite(recipe: Mapping[str, Any]) -> str:
    """Why nucleus lite could not read a recipe; empty: it can.

    Args:
        recipe: before a component is made of it; the digests of its artifacts, which AWS adds, are counted too.

    """
    digest = {"Digest": "=" * 44, "Algorithm": "SHA-256"}
    made = {
        **recipe,
        "Manifests": [
            {**one, "Artifacts": [{**artifact, **digest} for artifact in one.get("Artifacts") or ()]}
            for one in recipe["Manifests"]
        ],
    }
    count, size = parts(made), len(json.dumps(made, separators=(",", ":")).encode())
    if count > LITE_PARTS:
        return f"it has {count} keys, values and entries, more than {LITE_PARTS}"
    return f"it has {size:,} bytes, more than {LITE_BYTES:,}" if size > LITE_BYTES else ""


def fits(wanted: Mapping[str, Any], platform: Mapping[str, str]) -> bool:
    """Whether a manifest's platform is one of a core's attributes.

    A value is a text, `*` for any, or a regular expression between slashes. A manifest that names no `runtime` is for
    the classic nucleus, which reports none.
    """
    if "runtime" not in wanted and platform.get("runtime", CLASSIC) != CLASSIC:
        return False
    return all(
        _matches(value, platform.get(key, CLASSIC if key == "runtime" else None)) for key, value in wanted.items()
    )


def _matches(wanted: Any, held: str | None) -> bool:  # noqa: ANN401  checked here
    if wanted in {"*", "all"}:
        return True
    if held is None or not isinstance(wanted, str):
        return False
    if len(wanted) > 1 and wanted[0] == wanted[-1] == "/":
        return re.fullmatch(wanted[1:-1], held) is not None
    return wanted == held


def _version(text: Any) -> Version:  # noqa: ANN401  checked here
    try:
        return Version.parse(text if isinstance(text, str) else "")
    except VersionError as error:
        raise RecipeError(f"ComponentVersion: {error}") from error


def _configuration(value: Any) -> None:  # noqa: ANN401  checked here
    if not isinstance(value, dict) or not isinstance(value.get("DefaultConfiguration", {}), dict):
        raise RecipeError("ComponentConfiguration must be an object that holds the object DefaultConfiguration")


def _dependencies(value: Any) -> None:  # noqa: ANN401  checked here
    if not isinstance(value, dict):
        raise RecipeError("ComponentDependencies must be an object of components by name")
    for name, dependency in value.items():
        where = f"ComponentDependencies.{name}"
        if not _NAME.fullmatch(name) or not isinstance(dependency, dict):
            raise RecipeError(f"{where} must be a component's name, and an object")
        if dependency.get("DependencyType", "HARD") not in _DEPENDENCIES:
            raise RecipeError(f"{where}.DependencyType must be HARD or SOFT")
        try:
            Requirement.parse(str(dependency.get("VersionRequirement", "")))
        except VersionError as error:
            raise RecipeError(f"{where}.VersionRequirement: {error}") from error


def _manifest(where: str, manifest: Any) -> None:  # noqa: ANN401  checked here
    if not isinstance(manifest, dict):
        raise RecipeError(f"{where} must be an object")
    platform = manifest.get("Platform") or {}
    if not isinstance(platform, dict) or not all(isinstance(value, str) for value in platform.values()):
        raise RecipeError(f"{where}.Platform must be an object of strings")
    for value in platform.values():
        try:
            re.compile(value[1:-1] if value[:1] == value[-1:] == "/" else "")
        except re.error as error:
            raise RecipeError(f"{where}.Platform has a bad regular expression {value!r}: {error}") from error
    selections = manifest.get("Selections") or []
    if not isinstance(selections, list) or not all(isinstance(one, str) for one in selections):
        raise RecipeError(f"{where}.Selections must be a list of strings")
    _lifecycle(f"{where}.Lifecycle", manifest.get("Lifecycle") or {})
    artifacts = manifest.get("Artifacts") or []
    if not isinstance(artifacts, list):
        raise RecipeError(f"{where}.Artifacts must be a list")
    for number, artifact in enumerate(artifacts):
        _artifact(f"{where}.Artifacts[{number}]", artifact)


def _lifecycle(where: str, lifecycle: Any) -> None:  # noqa: ANN401  checked here
    if not isinstance(lifecycle, dict):
        raise RecipeError(f"{where} must be an object of lifecycle steps")
    steps = {key.lower() for key in lifecycle}
    if {"run", "startup"} <= steps:
        raise RecipeError(f"{where} must have only one of Run and Startup")
    for key, step in lifecycle.items():
        if not isinstance(step, str | dict):
            raise RecipeError(f"{where}.{key} must be a script, or an object that holds one")


def _artifact(where: str, artifact: Any) -> None:  # noqa: ANN401  checked here
    uri = artifact.get("Uri", artifact.get("URI")) if isinstance(artifact, dict) else None
    if not isinstance(uri, str):
        raise RecipeError(f"{where} must be an object with a Uri")
    scheme, _, rest = uri.partition(":")
    if scheme not in _SCHEMES or not rest:
        raise RecipeError(f"{where}.Uri must be s3://BUCKET/KEY or docker:IMAGE, not {uri!r}")
    if scheme == "s3" and s3_place(uri) is None:
        raise RecipeError(f"{where}.Uri must be s3://BUCKET/KEY, not {uri!r}")
    if artifact.get("Unarchive", "NONE") not in _UNARCHIVE:
        raise RecipeError(f"{where}.Unarchive must be NONE or ZIP")
    permission = artifact.get("Permission") or {}
    if not isinstance(permission, dict) or not all(one in _PERMISSIONS for one in permission.values()):
        raise RecipeError(f"{where}.Permission must hold Read and Execute, each NONE, OWNER or ALL")


def s3_place(uri: str) -> tuple[str, str] | None:
    """The bucket and the key of an `s3://` URI; None: it is not one."""
    found = re.fullmatch(r"s3://([^/]+)/(.+)", uri)
    return (found[1], found[2]) if found else None
