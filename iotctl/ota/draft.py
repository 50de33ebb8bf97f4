"""An order, and what was found of the world, become a rollout's record: identified, signed, its jobs' requests made."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from iotctl import clock, jobs, manifest
from iotctl.errors import Usage
from iotctl.manifest import Manifest, Targets
from iotctl.ota import document, job
from iotctl.ota.rollout import CANARY, FLEET, Record, rollout_id
from iotctl.upload import Place

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from iotctl.ota.document import Template
    from iotctl.ota.order import Order
    from iotctl.pki.signing import SigningKey
    from iotctl.target import Target
    from iotctl.upload import Artifact


@dataclass(frozen=True, slots=True)
class Facts:
    """What an order was found to mean.

    Attributes:
        target: the account and region.
        artifact: the file, hashed.
        names: the things of the scope, sorted.
        groups: the group of the scope and those below it; empty where the scope is none.
        template: of the job document.
        bucket: that the artifact goes to.
        role: the ARN of the role that AWS IoT presigns with.
        key: that signs; None: none was named.
        now: the time.
        pretended: whether the key is one that nobody has.

    """

    target: Target
    artifact: Artifact
    names: Sequence[str]
    groups: Sequence[str]
    template: Template
    bucket: str
    role: str
    key: SigningKey | None
    now: datetime
    pretended: bool = False

    @property
    def key_id(self) -> str:
        """Of the key; empty: there is none, or the template has no use for one."""
        return self.key.key_id if self.key and self.template.is_signed and not self.pretended else ""


def identity(order: Order, facts: Facts) -> str:
    """The id of the rollout that they are."""
    inputs = order.identity(facts.names) | {
        "target": facts.target.to_json(),
        "sha256": facts.artifact.sha256,
        "template": facts.template.digest,
        "key": facts.key_id,
    }
    return rollout_id(order.name, order.release, inputs)


def expiry(order: Order, facts: Facts) -> datetime:
    """When no device begins to install it any more."""
    return (facts.now + timedelta(seconds=order.expires)).replace(microsecond=0)


def draft(order: Order, facts: Facts) -> Record:
    """The record of the rollout, its manifest signed now.

    Raises:
        Usage: the template, the key, the canary or the targets cannot be so.

    """
    place = Place(facts.bucket, facts.artifact.key(order.prefix), facts.target.region, facts.target.partition)
    found = identity(order, facts)
    values = _values(order, facts, place, found)
    written = document.rendered(facts.template, values) if facts.template.path else ""
    parameters = document.filled(order.parameters, values) if facts.template.arn else {}
    if parameters and not facts.template.is_managed:
        raise Usage("only job templates that AWS manages take parameters", hint="leave --parameter away")
    presigned = job.placeholders(written + json.dumps(parameters)) > 0
    phases = _phases(order, facts)

    def request(phase: str) -> dict[str, Any]:
        targets, things = phases[phase]
        # A canary is few things: all of them at once.
        at_once = replace(order.brakes, rate=max(order.brakes.rate, order.brakes.most))
        return jobs.request(
            targets,
            things,
            at_once if phase == CANARY else order.brakes,
            scheduling=order.times.scheduling(first=phase == next(iter(phases)), last=phase == FLEET),
            role=facts.role if presigned else "",
            url_seconds=order.url_seconds,
            description=f"{order.name} {order.release}: the {phase} of the rollout {found}",
            continuous=order.continuous and phase == FLEET,
            template=facts.template.arn,
            parameters=parameters,
        )

    return Record(
        rollout_id=found,
        name=order.name,
        release=order.release,
        sha256=facts.artifact.sha256,
        size=facts.artifact.size,
        place=str(place),
        scope=str(order.scope),
        things={phase: things for phase, (_, things) in phases.items()},
        goal=order.goal,
        document=written,
        requests={phase: request(phase) for phase in phases},
        created=clock.iso(facts.now),
    )


def _phases(order: Order, facts: Facts) -> dict[str, tuple[list[str], int]]:
    """The targets of each phase, and how many things they are; in order."""
    arns = [facts.target.arn(f"thing/{name}") for name in facts.names]
    group = order.scope.thing_group
    fleet = [facts.target.arn(f"thinggroup/{group}")] if group is not None else arns
    found = {FLEET: (fleet, len(facts.names))}
    if order.canary:
        few = job.spread(facts.names, job.canary_size(order.canary, len(facts.names)))
        found = {CANARY: ([facts.target.arn(f"thing/{name}") for name in few], len(few)), **found}
    return found


def _values(order: Order, facts: Facts, place: Place, rollout: str) -> dict[str, str]:
    """What a template may use."""
    values = {
        "artifact": order.name,
        "release": order.release,
        "sha256": facts.artifact.sha256,
        "size": str(facts.artifact.size),
        "fileName": place.key.rpartition("/")[2],
        "url": job.placeholder(place),
        "rolloutId": rollout,
    }
    if facts.template.path:
        values = {**order.parameters, **values}
    if facts.key is None or not facts.template.is_signed:
        return values
    wanted = Manifest(
        artifact=order.name,
        release=order.release,
        size=facts.artifact.size,
        sha256=facts.artifact.sha256,
        targets=order.intended or _intended(order, facts),
        expires=expiry(order, facts),
        created=facts.now.replace(microsecond=0),
        least=order.least,
        reports=order.reports,
    )
    return values | manifest.sign(wanted, facts.key).to_json() | {"keyId": facts.key.key_id}


def _intended(order: Order, facts: Facts) -> Targets:
    """Who may install it where nobody said: the groups of the scope, or its things by name."""
    if order.scope.thing_group is not None:
        return Targets(thing_groups=tuple(facts.groups))
    return Targets(thing_names=tuple(facts.names))
