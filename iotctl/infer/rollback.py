"""What `infer rollback` was asked -> a Plan: the release that was there before, in the place of the one that is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from iotctl.errors import NotFound, Usage
from iotctl.infer import component, observe, plan
from iotctl.infer.push import plain_target, refuse_others, tail, target

if TYPE_CHECKING:
    from iotctl.aws import Aws
    from iotctl.context import Context
    from iotctl.infer.deployed import Deployed
    from iotctl.infer.push import Rolling, Where
    from iotctl.plan import Plan


def rolling_back(context: Context, where: Where, name: str | None, to: str | None, rolling: Rolling) -> Plan:
    """The plan of going back to a release that was there before.

    Raises:
        NotFound: there is none. Usage: which model is meant is not clear.

    """
    plain_target(where, groups=False)
    aws = context.aws
    now, _ = target(aws, where)
    which = _model_of(now, name)
    of = component.PREFIX + which
    current = now.version_of(of)
    version = to or _before(aws, now, of, current)
    recipe = observe.recipe(aws, of, version)
    if recipe is None:
        known = ", ".join(observe.versions(aws, of)) or "none"
        raise NotFound(f"there is no release {version} of {which}", hint=f"--to one of: {known}")
    arn = aws.target.arn(f"components:{of}:versions:{version}", "greengrass")
    release = plan.Release(which, of, version, observe.expected_digest(recipe), arn)
    refuse_others(aws, now, release)
    directory = str(context.home / "infer" / now.target)
    follow = tail(now, which) if rolling.tail else ()
    waits = rolling.wait or rolling.tail
    options = plan.Options("infer rollback", waits, rolling.seconds, follow=follow, directory=directory)
    return plan.putting(release, now, aws.target, options)


def _model_of(now: Deployed, name: str | None) -> str:
    """The model that is meant: the one that is named, or the only one."""
    there = sorted(each.removeprefix(component.PREFIX) for each in now.components if each.startswith(component.PREFIX))
    if name is not None and name not in there:
        raise NotFound(f"no model {name} is deployed to {now.target}", hint=f"there are: {', '.join(there) or 'none'}")
    if name is None and len(there) != 1:
        what = f"{len(there)} models are" if there else "no model is"
        raise (Usage if there else NotFound)(
            f"{what} deployed to {now.target}", hint=f"--name one of: {', '.join(there)}" if there else ""
        )
    return name or there[0]


def _before(aws: Aws, now: Deployed, of: str, current: str) -> str:
    """The release that the target had before the one that it has, and that did not fail there."""
    for one in observe.history(aws, now.arn):
        version = one.version_of(of)
        if version and version != current and one.status not in {"FAILED", "CANCELED"}:
            return version
    known = ", ".join(version for version in observe.versions(aws, of) if version != current)
    raise NotFound(
        f"{now.target} has had no other release of {of.removeprefix(component.PREFIX)}",
        hint=f"--to one of: {known}" if known else "",
    )
