"""A model's component + what a target runs -> a Plan. Pure: made without touching anything.

The steps are AWS operations, and a few effects (iotctl.infer.effects): waiting for a component to be deployable, for
the canary's verdict, for the cores.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from iotctl import text
from iotctl.errors import Usage
from iotctl.infer import deployed
from iotctl.plan import Plan, Ref, Row, Step, run_identity

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from iotctl.infer.deployed import Deployed
    from iotctl.target import Target

DEPLOYABLE: Final = "infer:Deployable"
LISTEN: Final = "infer:Listen"
JUDGE: Final = "infer:Judge"
AWAIT: Final = "infer:Await"
"""The effects: iotctl.infer.effects."""


@dataclass(frozen=True, slots=True)
class File:
    """An artifact to upload."""

    path: str
    size: int
    sha256: str
    key: str


@dataclass(frozen=True, slots=True)
class Release:
    """A component version that runs a model.

    Attributes:
        model: its name.
        component: the component's.
        version: of both.
        sha256: of the model.
        arn: of the component version.
        recipe: to create it from; None: it is there already.
        bucket: of the files.
        files: its artifacts.
        grants: what the recipe lets it publish and subscribe to, in words.

    """

    model: str
    component: str
    version: str
    sha256: str
    arn: str
    recipe: Mapping[str, Any] | None = None
    bucket: str = ""
    files: tuple[File, ...] = ()
    grants: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Canary:
    """A smaller group that gets the model first.

    Attributes:
        now: its own deployment as it is.
        promote_if: the condition on what its cores predict.
        soak_seconds: how long they are listened to, at least.
        least: predictions that are needed to judge.

    """

    now: Deployed
    promote_if: str
    soak_seconds: float
    least: int


@dataclass(frozen=True, slots=True)
class Options:
    """How it is done.

    Attributes:
        command: the words typed.
        wait: until the cores run it.
        seconds: the longest wait, for the canary and for the cores each.
        create: things that a new group, the target, is made of.
        warnings: for the operator.
        follow: the command that follows.
        directory: of its journal and lock: a wait for one target does not hold up another.

    """

    command: str
    wait: bool = False
    seconds: float = 600.0
    create: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    follow: tuple[str, ...] = ()
    directory: str = ""


class _One:
    """The target, as the only row of a plan."""

    def __init__(self, name: str) -> None:
        self._row: Row = {"thingName": name, "line": 1}

    def __len__(self) -> int:
        return 1

    def __iter__(self) -> Iterator[Row]:
        return iter((self._row,))


def putting(release: Release, now: Deployed, target: Target, options: Options, canary: Canary | None = None) -> Plan:
    """Put a release on a target: uploaded, made a component version, tried on the canary, deployed.

    Raises:
        Usage: Greengrass takes no such canary, with the reason.

    """
    wanted = deployed.bringing(now, release.component, release.version)
    if canary:
        check(canary, now)
    identity = {
        "command": options.command,
        "target": target.to_json(),
        "wanted": wanted,
        "before": [now.deployment_id, canary.now.deployment_id if canary else ""],
        "canary": [canary.now.arn, canary.promote_if] if canary else [],
    }
    run_id = run_identity(identity)
    steps = [*_made(release, run_id), *_grouped(now, options)]
    if canary:
        steps += _tried(release, now, canary, options, run_id)
    same = now.stands and deployed.same(now.components, wanted["components"])
    if options.wait:
        steps.append(_listen(release))
    if not same:
        steps.append(Step("greengrassv2:CreateDeployment", {**wanted, "clientToken": run_id}, name="deployment"))
    deployment_id: Any = now.deployment_id if same else Ref("deployment.deploymentId")
    waited = {**_about(release), "deploymentId": deployment_id, "targetArn": now.arn, "seconds": options.seconds}
    shows = {"deploymentId": deployment_id, "modelVersion": release.version, "modelSha256": release.sha256}
    kind = "thing group" if now.is_group else "core device"
    first = f" after the canary {canary.now.target}" if canary else ""
    return Plan(
        command=options.command,
        run_id=run_id,
        target=target,
        summary=f"{release.model} {release.version} ({release.sha256[:12]}) on {kind} {now.target}{first}",
        shared=tuple(steps),
        each=(Step(AWAIT, waited, name="awaited"),) if options.wait else (),
        rows=_One(now.target),
        shows={**shows, "prediction": Ref("awaited.prediction")} if options.wait else shows,
        noun="target",
        bulk=False,
        changes=tuple(_changes(release, now, canary)),
        warnings=options.warnings,
        follow=options.follow,
        directory=options.directory,
    )


def replaced(release: Release, recipe: Mapping[str, Any], files: tuple[File, ...]) -> Release:
    """The same release, to be created."""
    return replace(release, recipe=recipe, files=files)


def _made(release: Release, run_id: str) -> Iterator[Step]:
    """The artifacts in their bucket, and the component version."""
    if release.recipe is None:
        return
    for file in release.files:
        place = {"bucket": release.bucket, "key": file.key}
        yield Step("s3:Upload", {"path": file.path, "size": file.size, "sha256": file.sha256, **place})
    yield Step(
        "greengrassv2:CreateComponentVersion",
        {"inlineRecipe": text.canonical(release.recipe), "clientToken": run_id},
        hint="is the release taken by another model? give a new --release",
    )
    yield Step(DEPLOYABLE, {"arn": release.arn})


def _grouped(now: Deployed, options: Options) -> Iterator[Step]:
    """The group that is made of things that were searched or listed."""
    if options.create:
        yield Step("iot:CreateThingGroup", {"thingGroupName": now.target}, unless_found="iot:DescribeThingGroup")
        yield Step(
            "iot:AddThingToThingGroup",
            {"thingGroupName": now.target, "thingName": Ref("item")},
            for_each=options.create,
        )


def _tried(release: Release, now: Deployed, canary: Canary, options: Options, run_id: str) -> Iterator[Step]:
    """The canary: its sub-deployment, the verdict, and the way back."""
    held = deployed.part_of(canary.now, now)
    wanted = deployed.bringing(held, release.component, release.version, compare=True)
    # Another run may have left the canary with this release: it is not made anew then, only judged.
    same = canary.now.stands and deployed.same(canary.now.components, wanted["components"])
    yield _listen(release)
    if not same:
        token = f"{run_id}-canary"
        yield Step("greengrassv2:CreateDeployment", {**wanted, "clientToken": token}, name="canary")
    before = held.version_of(release.component)
    back = deployed.bringing(held, release.component, before) if before else deployed.parameters(held)
    yield Step(
        JUDGE,
        {
            **_about(release),
            "deploymentId": canary.now.deployment_id if same else Ref("canary.deploymentId"),
            "targetArn": canary.now.arn,
            "promoteIf": canary.promote_if,
            "soakSeconds": canary.soak_seconds,
            "least": canary.least,
            "seconds": options.seconds,
        },
        otherwise=(Step("greengrassv2:CreateDeployment", {**back, "clientToken": f"{run_id}-back"}),),
    )


def check(canary: Canary, now: Deployed) -> None:
    """Refuse what Greengrass would.

    Raises:
        Usage: with its reason.

    """
    said = ""
    if not now.is_group:
        said = "a canary is a sub-deployment, and Greengrass makes those of thing groups only: the target is one thing"
    elif canary.now.arn == now.arn:
        said = f"{now.target} cannot be its own canary"
    elif not now.deployment_id:
        said = f"nothing is deployed to {now.target} yet, and a sub-deployment needs a deployment that it is a part of"
    elif canary.now.deployment_id and canary.now.parent != now.arn:
        said = f"{canary.now.target} has a deployment of its own, so it cannot have a sub-deployment of {now.target}"
    if said:
        raise Usage(said, code="NoCanary", hint="push without --canary, or to another group")


def _listen(release: Release) -> Step:
    return Step(LISTEN, {"model": release.model})


def _about(release: Release) -> dict[str, Any]:
    return {"model": release.model, "version": release.version, "sha256": release.sha256}


def _changes(release: Release, now: Deployed, canary: Canary | None) -> Iterator[str]:
    """What becomes of what is there, a line each."""
    yield f"{now.target}: " + (f"revision {now.revision} and the next" if now.deployment_id else "its first deployment")
    before = now.components.get(release.component, {}).get("componentVersion")
    names = sorted({*now.components, release.component})
    width = max(len(name) for name in names)
    for name in names:
        if name == release.component:
            sign = "+" if before is None else "=" if before == release.version else "~"
            moved = f"{before} -> {release.version}" if sign == "~" else release.version
            yield f"{sign} {name:<{width}}  {moved}"
        else:
            yield f"= {name:<{width}}  {now.components[name]['componentVersion']}, with its configuration"
    kept = [
        word
        for word, value in (
            ("policies", now.policies),
            ("job configuration", now.job_configuration),
            (text.count(len(now.tags), "tag"), now.tags),
            ("parent", now.parent),
        )
        if value
    ]
    if kept:
        yield f"= {', '.join(kept)}"
    if canary:
        yield (
            f"first on {canary.now.target}, a sub-deployment; promoted if {canary.promote_if}"
            f" (at least {canary.least:,} predictions, {canary.soak_seconds:g} s), else it gets {before or 'none'} back"
        )
    yield from release.grants
