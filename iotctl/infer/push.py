"""What `infer push` was asked -> a Plan: the model is read and tried, the target looked at."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from iotctl import files, scope, text
from iotctl.errors import Conflict, NotFound, Usage
from iotctl.infer import component, model, observe, plan, preflight, sources, trial, words
from iotctl.infer.deployed import Deployed
from iotctl.semantics.recipe import LARGEST, too_large_for_lite

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from iotctl.aws import Aws
    from iotctl.context import Context
    from iotctl.infer.component import Component
    from iotctl.plan import Plan

ALIKE: Final = "errorRate <= 0.01 and agreement >= 0.9"
"""The default condition where a release runs already; without one there is nothing to agree with."""
GOOD: Final = "errorRate <= 0.01"
_OWN_TOPICS: Final = ("predictions", "inputs", "feedback")
KEPT: Final = "models"
"""The directory of fetched models and of artifacts that are made, by content."""


@dataclass(frozen=True, slots=True)
class Where:
    """The target as it was typed: exactly one of the first four.

    Attributes:
        create_group: a group to make of what was searched or listed.

    """

    thing: str | None = None
    thing_group: str | None = None
    search: str | None = None
    things: str | None = None
    create_group: str | None = None


@dataclass(frozen=True, slots=True)
class Rolling:
    """How it is rolled out.

    Attributes:
        canary: a smaller thing group that gets it first.
        promote_if: None: by default, as there is a release to agree with.
        seconds: the longest wait.

    """

    canary: str | None = None
    promote_if: str | None = None
    soak_seconds: float = 60.0
    least: int = 20
    wait: bool = False
    tail: bool = False
    seconds: float = 600.0


@dataclass(frozen=True, slots=True)
class Asked:
    """A push as it was typed.

    Attributes:
        model: a path or `s3://BUCKET/KEY`.
        training_job: a SageMaker training job in its place.
        bucket: for the artifacts; empty: the account's own.

    """

    name: str
    release: str
    where: Where
    model: str | None = None
    training_job: str | None = None
    labels: str | None = None
    sample: str | None = None
    bucket: str = ""
    options: component.Options = field(default_factory=component.Options)
    rolling: Rolling = field(default_factory=Rolling)


def pushing(context: Context, asked: Asked) -> Plan:
    """The plan of a push.

    Raises:
        Integrity: the model is not one that is sent to a device (exit 9). Usage, NotFound, Conflict: with the reason.

    """
    plain_target(asked.where)
    aws, kept = context.aws, context.home / KEPT
    path = sources.model_file(aws, asked.model, asked.training_job, kept)
    found = model.read(path, name=asked.name, release=asked.release, labels=asked.labels, sample=asked.sample)
    made = component.component(found, asked.options)
    bucket = asked.bucket or aws.target.bucket
    with trial.begun(made) as tried_out:
        preflight.bucket(aws, bucket)
        now, new = target(aws, asked.where)
        release = _release(aws, made, found, bucket, kept)
        _refuse_for_lite(aws, now, release)
        if now.stands and now.version_of(release.component) == release.version and observe.failed(aws, now):
            now = replace(now, status="FAILED")  # what is wanted is there and failed: it is deployed again
        canary = _canary(aws, asked.rolling, now, release.component)
        refuse_others(aws, now, release, new)
        # What is a component version already was tried when it was made one.
        tried = tried_out() if release.recipe is not None else None
    options = plan.Options(
        "infer push",
        asked.rolling.wait or asked.rolling.tail,
        asked.rolling.seconds,
        new,
        (*_warnings(aws, asked, bucket, found, tried), *_unreached(aws, now), *_unallowed(aws, now, made, new)),
        tail(now, asked.name) if asked.rolling.tail else (),
        str(context.home / "infer" / now.target),
    )
    return plan.putting(release, now, aws.target, options, canary)


def plain_target(where: Where, *, groups: bool = True) -> None:
    """Refuse what Greengrass has no word for; `groups`: whether a group can be made for it.

    Raises:
        Usage: with what to give.

    """
    scope.Scope(where.thing, where.thing_group, where.search, where.things)
    listed = where.search is not None or where.things is not None
    if listed and where.create_group is None:
        raise Usage(
            "Greengrass deploys to a core device or to a thing group, not to a search or a list",
            hint="--create-group NAME makes a group of them, and deploys to that"
            if groups
            else "name the group that it was deployed to: --thing-group NAME",
        )
    if where.create_group is not None and not listed:
        raise Usage("--create-group makes a group of what --search or --things names")


def target(aws: Aws, where: Where) -> tuple[Deployed, tuple[str, ...]]:
    """The target's deployment as it is, and the things to make a group of."""
    if where.create_group is None:
        return observe.deployed(aws, observe.target_arn(aws, where.thing, where.thing_group)), ()
    named = scope.resolve(aws, scope.Scope(search=where.search, things=where.things))
    try:
        now = observe.deployed(aws, observe.target_arn(aws, None, where.create_group))
    except NotFound:
        now = Deployed(aws.target.arn(f"thinggroup/{where.create_group}"))
    return now, tuple(named.names)


def _release(aws: Aws, made: Component, found: model.Model, bucket: str, kept: Path) -> plan.Release:
    """What is to be created; where the same is there already, only what it is.

    Raises:
        Conflict: the release is there, and is another.

    """
    recipe = made.recipe(bucket)
    size = len(text.canonical(recipe).encode())
    if size > LARGEST:
        raise Usage(
            f"the recipe would have {size:,} bytes, more than Greengrass' {LARGEST:,}: fewer wheels or settings"
        )
    before = observe.recipe(aws, made.name, made.version)
    if before is not None and (differing := list(_differing(recipe, before))):
        raise Conflict(
            f"{found.name} {found.release} exists, and is another: {', '.join(differing)}",
            hint="a release never changes: give a new --release",
        )
    grants = [f"grants: it may publish to {', '.join(made.publishes)}"]
    grants += [f"        and subscribe to {', '.join(made.subscribes)}"] if made.subscribes else []
    arn = aws.target.arn(f"components:{made.name}:versions:{made.version}", "greengrass")
    release = plan.Release(found.name, made.name, made.version, found.sha256, arn, bucket=bucket, grants=tuple(grants))
    if before is not None:
        return release
    return plan.replaced(release, recipe, tuple(_kept(artifact, kept) for artifact in made.artifacts))


def _refuse_for_lite(aws: Aws, now: Deployed, release: plan.Release) -> None:
    """Refuse what a core of the target could not read: its deployment would fail, and say nothing of the cause.

    Raises:
        Usage: a core runs nucleus lite, and the recipe is too large for that.

    """
    reason = too_large_for_lite(release.recipe) if release.recipe is not None else ""
    lite = [core for core in observe.cores(aws, now.arn) if core.get("runtime") == observe.LITE] if reason else []
    if lite:
        named = f"{lite[0]['coreDeviceThingName']} runs nucleus lite, which cannot read the recipe: {reason}"
        raise Usage(named, code="RecipeTooLarge", hint="fewer wheels (of fewer architectures), actions or settings")


def _kept(artifact: component.Artifact, kept: Path) -> plan.File:
    """An artifact as a file: what was made here is written by its content, so that a push that stopped goes on."""
    source = artifact.source
    if isinstance(source, bytes):
        path = files.private_directory(kept) / f"{artifact.sha256}-{artifact.name}"
        if not path.exists():
            files.replace(path, source)
        source = path
    return plan.File(str(source), artifact.size, artifact.sha256, artifact.key)


def _differing(wanted: Mapping[str, Any], found: Mapping[str, Any]) -> Iterator[str]:
    """What of a recipe is another, in words; artifacts are named by their content, so their places tell."""

    def of(recipe: Mapping[str, Any]) -> dict[str, Any]:
        manifests = recipe.get("Manifests") or ()
        uris = [{one.get("Uri", one.get("URI")) for one in manifest.get("Artifacts") or ()} for manifest in manifests]
        configuration = recipe.get("ComponentConfiguration", {}).get("DefaultConfiguration", {})
        return {
            "its model": configuration.get("inference", {}).get("model", {}).get("sha256"),
            "its files": [sorted(map(str, each)) for each in uris],
            "its settings": configuration,
            "how it is run": [manifest.get("Lifecycle") for manifest in manifests],
            "what it depends on": recipe.get("ComponentDependencies") or {},
        }

    ours, theirs = of(wanted), of(found)
    yield from (word for word in ours if ours[word] != theirs[word])


def refuse_others(aws: Aws, now: Deployed, release: plan.Release, new: tuple[str, ...] = ()) -> None:
    """Refuse what the cores could not resolve.

    Raises:
        Conflict: another deployment brings another version to the same core.

    """
    names = [core["coreDeviceThingName"] for core in observe.cores(aws, now.arn)]
    if others := observe.others(aws, [*names, *new], now.arn, release.component, release.version):
        raise Conflict(
            f"Greengrass cannot meet two deployments: {'; '.join(others)}",
            hint="deploy it to the same target as before, or take it out of the other deployment",
        )


def _canary(aws: Aws, rolling: Rolling, now: Deployed, of: str) -> plan.Canary | None:
    if rolling.canary is None:
        return None
    condition = words.condition(rolling.promote_if or (ALIKE if now.version_of(of) else GOOD))
    held = observe.deployed(aws, observe.target_arn(aws, None, rolling.canary))
    canary = plan.Canary(held, condition, rolling.soak_seconds, rolling.least)
    plan.check(canary, now)
    strangers = observe.members(aws, rolling.canary) - observe.members(aws, now.target)
    if strangers:
        raise Usage(
            f"{min(strangers)} is in {rolling.canary} and not in {now.target}: a canary is a part of its target",
            code="NoCanary",
        )
    if old := observe.older_nuclei(aws, held.arn):
        raise Usage(f"sub-deployments need the Greengrass nucleus 2.9 or newer: {', '.join(old)}", code="NoCanary")
    return canary


def _warnings(aws: Aws, asked: Asked, bucket: str, found: model.Model, tried: trial.Tried | None) -> Iterator[str]:
    feedback = asked.options.feedback
    yield from preflight.token_exchange(aws, bucket, "s3:GetObject", "models/any")
    if feedback:
        yield from preflight.token_exchange(aws, feedback.bucket, "s3:PutObject", f"{feedback.prefix}/any")
    if found.sample is None and asked.options.interval:
        yield "there is no --sample: every interval repeats an input of zeros"
    if tried and tried.kind == "classification" and not found.labels:
        yield "there are no --labels: classes are numbers"


def _unreached(aws: Aws, now: Deployed) -> Iterator[str]:
    """A deployment to a single core comes by its shadow, and nucleus lite (as of 2.6) listens for jobs only."""
    if ":thing/" in now.arn and any(core.get("runtime") == observe.LITE for core in observe.cores(aws, now.arn)):
        yield f"{now.target} runs nucleus lite, which takes deployments to thing groups only: -g GROUP reaches it"


def _unallowed(aws: Aws, now: Deployed, made: Component, new: tuple[str, ...]) -> Iterator[str]:
    """What the cores' own policies refuse; asked only of topics that the policy template does not have."""
    own = ("$aws/things/{iot:thingName}/", *(f"iotctl/{what}/{{iot:thingName}}/" for what in _OWN_TOPICS))
    others = [[topic for topic in topics if not topic.startswith(own)] for topics in (made.publishes, made.subscribes)]
    if any(others):
        names = [*(core["coreDeviceThingName"] for core in observe.cores(aws, now.arn)), *new]
        yield from preflight.core_policies(aws, names, *others)


def tail(now: Deployed, name: str) -> tuple[str, ...]:
    """The words that follow the predictions of a target's model."""
    target = ("--thing-group", now.target) if now.is_group else (now.target,)
    return ("infer", "tail", *target, "--model", name)
