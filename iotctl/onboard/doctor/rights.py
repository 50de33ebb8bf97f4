"""What a device must be allowed to do, and whether its policies allow it, with the reason where they do not. Pure.

AWS ends the connection of a client that does what it may not (unless it speaks MQTT 5 and is told so): a topic that is
refused looks like a network that fails.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from iotctl.semantics import policy, topics
from iotctl.semantics.policy import Decision, Policy, PolicyError
from iotctl.semantics.policy_variables import certificate_variables

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from iotctl.semantics.policy_condition import Values
    from iotctl.target import Target

CONNECT: Final = "iot:Connect"
PUBLISH: Final = "iot:Publish"
SUBSCRIBE: Final = "iot:Subscribe"
RECEIVE: Final = "iot:Receive"
ASSUME: Final = "iot:AssumeRoleWithCertificate"

_GREENGRASS: Final = (
    "greengrass:GetComponentVersionArtifact",
    "greengrass:GetDeploymentConfiguration",
    "greengrass:ListThingGroupsForCoreDevice",
    "greengrass:ResolveComponentCandidates",
)
"""What a core asks of the Greengrass data plane (developer guide of Greengrass V2, device-auth)."""

_DEPLOYMENTS: Final = "aws-gg-deployment"
_SHOWN: Final = 3
_THING: Final = "iot:Connection.Thing."


@dataclass(frozen=True, slots=True)
class Right:
    """One thing that a device does: an action, its resource ARN, and what it is about, in a word."""

    action: str
    resource: str
    about: str


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of the connection that is asked about.

    Attributes:
        attached: whether the certificate is attached to the thing: only then do thing variables have values.
        thing: as DescribeThing tells it.
        subject, issuer: of the certificate, by AWS's names of the attributes.

    """

    client_id: str
    certificate_id: str
    serial: str
    attached: bool
    thing: Mapping[str, Any]
    subject: Mapping[str, Sequence[str]]
    issuer: Mapping[str, Sequence[str]]

    def values(self) -> Values:
        """The values of policy variables and condition keys, but for where the connection comes from."""
        found: dict[str, str | tuple[str, ...]] = {
            "iot:ClientId": self.client_id,
            "iot:CertificateId": self.certificate_id,
            "iot:Certificate.SerialNumber": self.serial,
            # Neither a last will nor a session that lasts is asked about.
            "iot:ConnectAttributes": (),
            f"{_THING}IsAttached": "true" if self.attached else "false",
            **certificate_variables("Subject", self.subject),
            **certificate_variables("Issuer", self.issuer),
        }
        if self.attached:
            found[f"{_THING}ThingName"] = self.thing["thingName"]
            if self.thing.get("thingTypeName"):
                found[f"{_THING}ThingTypeName"] = self.thing["thingTypeName"]
            attributes = self.thing.get("attributes", {})
            found |= {f"{_THING}Attributes[{name}]": value for name, value in attributes.items()}
        return found


def of_device(target: Target, thing_name: str, publish: Sequence[str], subscribe: Sequence[str]) -> list[Right]:
    """What a device does: it connects as its thing, and uses its topics.

    Args:
        target: the account.
        thing_name: also its client id.
        publish: the topics that it publishes to.
        subscribe: the filters that it subscribes to; where neither is named, those of its shadow and its jobs.

    """
    if not publish and not subscribe:
        publish = [topics.shadow(thing_name, verb) for verb in ("get", "update")]
        publish += [topics.jobs(thing_name, "get"), topics.jobs(thing_name, "get", "$next")]
        subscribe = [topics.shadow(thing_name, verb) for verb in ("get/accepted", "update/accepted", "update/delta")]
        subscribe += [topics.jobs(thing_name, "get/accepted"), topics.jobs(thing_name, "notify-next")]
    return [
        Right(CONNECT, target.arn(f"client/{thing_name}"), f"the client id {thing_name}"),
        *(Right(PUBLISH, target.arn(f"topic/{topic}"), topic) for topic in publish),
        *(Right(SUBSCRIBE, target.arn(f"topicfilter/{each}"), each) for each in subscribe),
        *(Right(RECEIVE, target.arn(f"topic/{_example(each)}"), _example(each)) for each in subscribe),
    ]


def of_core(target: Target, thing_name: str, role_alias: str) -> list[Right]:
    """What a Greengrass core does besides: deployments by jobs, artifacts, and credentials of its role alias."""
    notify = topics.jobs(thing_name, "notify-next", namespace=_DEPLOYMENTS)
    return [
        Right(SUBSCRIBE, target.arn(f"topicfilter/{notify}"), notify),
        Right(RECEIVE, target.arn(f"topic/{notify}"), notify),
        Right(ASSUME, target.arn(f"rolealias/{role_alias}"), f"the role alias {role_alias}"),
        *(Right(action, "*", "all resources") for action in _GREENGRASS),
    ]


def _example(topic_filter: str) -> str:
    """A topic that a filter matches: whoever subscribes to it must be allowed to receive such topics."""
    _, plain = topics.parse_shared(topic_filter)
    return "/".join("any" if level in {"+", "#"} else level for level in plain.split("/"))


class Rights:
    """The policies of a device, bound to what is known of its connection.

    Attributes:
        unparsed: the names of policies that could not be read here, though AWS took them.

    """

    def __init__(self, documents: Mapping[str, str], known: Known) -> None:
        self.unparsed: list[str] = []
        self._values = known.values()
        self._policies = dict(self._parsed(documents))
        self._grants = policy.grants(self._policies.values(), self._values)

    def _parsed(self, documents: Mapping[str, str]) -> Iterator[tuple[str, Policy]]:
        for name, document in documents.items():
            try:
                yield name, policy.parse(document)
            except PolicyError:
                self.unparsed.append(name)

    def decide(self, right: Right) -> Decision:
        """The decision on one right."""
        return self._grants.decide(right.action, right.resource)

    def why(self, right: Right) -> str:
        """Why it is refused: who denies it, or what is allowed instead, and which variables have no value."""
        about = [
            (name, statement)
            for name, each in self._policies.items()
            for statement in each.statements
            if statement.is_about(right.action)
        ]
        if not about:
            return f"no policy says anything of {right.action}"
        if self.decide(right) is Decision.EXPLICIT_DENY:
            denying = (name for name, each in self._policies.items() if self._denies(each, right))
            return f"the policy {', '.join(denying)} denies it"
        allowing = [(name, statement) for name, statement in about if not statement.deny]
        written = [
            f"{name} allows {'all but ' if statement.not_resource else ''}{resource.text}"
            + (" on a condition" if statement.conditions else "")
            for name, statement in allowing
            for resource in statement.resources
        ]
        wanted = frozenset[str]().union(
            *(resource.variables for _, statement in allowing for resource in statement.resources),
            *(condition.variables for _, statement in allowing for condition in statement.conditions),
        )
        missing = sorted(wanted - self._values.keys())
        more = f", and {len(written) - _SHOWN} more" if len(written) > _SHOWN else ""
        valueless = f"; without a value here: {', '.join(missing)}" if missing else ""
        return f"{'; '.join(written[:_SHOWN])}{more}{valueless}"

    def _denies(self, each: Policy, right: Right) -> bool:
        return policy.grants([each], self._values).decide(right.action, right.resource) is Decision.EXPLICIT_DENY
