"""What the account holds of a device: its thing, its certificate, its policies; read only."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from iotctl import clock
from iotctl.errors import Error, NotFound
from iotctl.onboard.doctor import awaited, held, rights
from iotctl.onboard.doctor.check import Check, State, guarded, ok, problem, skipped, unknown, unread
from iotctl.onboard.plan import ADOPTED, CLAIM
from iotctl.pki import certificates as x509
from iotctl.semantics.policy import Decision
from iotctl.text import count

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from iotctl.aws import Aws
    from iotctl.onboard.doctor.rights import Right, Rights

_MOST_ASKED: Final = 10
"""Questions in one TestAuthorization."""
_ACTIONS: Final = {
    rights.CONNECT: ("connect", "CONNECT"),
    rights.PUBLISH: ("publish", "PUBLISH"),
    rights.SUBSCRIBE: ("subscribe", "SUBSCRIBE"),
    rights.RECEIVE: ("receive", "RECEIVE"),
}
"""The check, and TestAuthorization's word."""
_SHOWN: Final = 3
_POLICY: Final = "iotctl-thing"


@dataclass(slots=True)
class Registered:
    """What is known of a device in the account, filled in as the checks go on.

    Attributes:
        thing: as DescribeThing tells it; empty: it is not there.
        principals: the ARNs that are attached to it; None: they could not be read.
        authority_id: of the CA that its bundle shows with the certificate, to be registered by it; empty: none.
        awaited: whether it is registered when the device first connects.
        certificate_id: of the certificate that it shows; empty: none is known.
        certificate: as DescribeCertificate tells it; empty: it is not registered, or could not be read.
        documents: the policies that count, by name; None: they could not be read.

    """

    thing_name: str
    thing: Mapping[str, Any] = field(default_factory=dict)
    principals: Sequence[str] | None = None
    certificate_id: str = ""
    authority_id: str = ""
    awaited: bool = False
    certificate: Mapping[str, Any] = field(default_factory=dict)
    documents: Mapping[str, str] | None = None

    @property
    def attached(self) -> bool:
        """Whether the certificate is attached to the thing."""
        return any(arn.endswith(f"cert/{self.certificate_id}") for arn in self.principals or ())

    def arn(self, aws: Aws) -> str:
        """The ARN of its certificate."""
        return aws.target.arn(f"cert/{self.certificate_id}")


def look(aws: Aws, thing_name: str, certificate_id: str) -> tuple[Registered, list[Check]]:
    """What the account has of a thing; and what of it could not be read.

    Args:
        aws: the account.
        thing_name: the thing.
        certificate_id: that its bundle holds; where it is empty, the one that the thing claims, or its only one.

    """
    found, gaps = Registered(thing_name, certificate_id=certificate_id), []
    try:
        found.thing = aws.call("iot:DescribeThing", thingName=thing_name)
        pages = aws.pages("iot:ListThingPrincipals", thingName=thing_name, maxResults=250)
        found.principals = [arn for page in pages for arn in page.get("principals", [])]
    except NotFound:
        pass
    except Error as error:
        gaps.append(unread("thing" if not found.thing else "attached", error))
    if not found.certificate_id:
        claimed = found.thing.get("attributes", {}).get(CLAIM, "").removeprefix(ADOPTED)
        attached = [arn.rpartition("/")[2] for arn in found.principals or () if ":cert/" in arn]
        found.certificate_id = claimed or (attached[0] if attached else "")
    return found, gaps


def certificate(aws: Aws, found: Registered, *, in_bundle: bool) -> Iterator[Check]:
    """Whether the certificate is registered, and ACTIVE; of one without a bundle also whether it is still valid."""
    if not found.certificate_id:
        fix = "iotctl onboard apply FILE (with --adopt, for a thing that something else made)"
        yield problem("registered", "nothing says which certificate it has: none is attached to the thing", fix)
        yield skipped("active", "needs the certificate")
        return
    shown = f"{found.certificate_id[:12]}…"
    try:
        answer = aws.call("iot:DescribeCertificate", certificateId=found.certificate_id)["certificateDescription"]
    except NotFound:
        if found.authority_id:
            for check in guarded("registered", lambda: awaited.look(aws, found.authority_id)):
                found.awaited = check.state is State.OK
                yield check
            yield skipped("active", "needs the certificate to be registered")
            return
        detail = f"the certificate {shown} is not registered in {aws.target}"
        yield problem("registered", detail, "iotctl onboard apply FILE (running it again registers it)")
        yield skipped("active", "needs the certificate to be registered")
        return
    except Error as error:
        yield unread("registered", error)
        yield skipped("active", "could not be read")
        return
    found.certificate = answer
    mode = (
        " (SNI_ONLY: the device must name the endpoint in TLS)" if answer.get("certificateMode") == "SNI_ONLY" else ""
    )
    yield ok("registered", f"{found.certificate_id}{mode}")
    if not in_bundle:
        says = x509.read(answer["certificatePem"])
        yield held.valid(says, clock.now(), held.renewal_of(found.thing_name))
    if answer["status"] == "ACTIVE":
        yield ok("active", "ACTIVE")
    else:
        fix = f"aws iot update-certificate --certificate-id {found.certificate_id} --new-status ACTIVE"
        yield problem("active", f"it is {answer['status']}: AWS IoT lets it do nothing", fix)


def thing(aws: Aws, found: Registered, gaps: Sequence[Check]) -> Iterator[Check]:
    """Whether the thing is there, and the certificate attached to it."""
    yield from gaps
    unknown_ones = {gap.check for gap in gaps}
    if "thing" not in unknown_ones:
        if found.awaited:
            yield skipped("thing", "it is made when the device first connects")
        elif not found.thing:
            yield problem(
                "thing", f"there is no thing {found.thing_name} in {aws.target}", "iotctl onboard apply FILE (again)"
            )
        else:
            claim = found.thing.get("attributes", {}).get(CLAIM, "").removeprefix(ADOPTED)
            if claim and found.certificate_id and claim != found.certificate_id:
                detail = f"it claims the certificate {claim[:12]}…, and the bundle holds {found.certificate_id[:12]}…"
                yield problem("thing", detail, "give the device the newest bundle: iotctl onboard status --bundles DIR")
            else:
                yield ok("thing", "it is there" + (", with this certificate's claim" if claim else ""))
    if not found.thing or not found.certificate or "attached" in unknown_ones:
        yield skipped("attached", "needs the thing and its registered certificate")
    elif found.attached:
        yield ok("attached", "the certificate is attached to the thing")
    else:
        fix = f"aws iot attach-thing-principal --thing-name {found.thing_name} --principal {found.arn(aws)}"
        yield problem("attached", "the certificate is not attached to the thing: thing variables have no value", fix)


def policies(aws: Aws, found: Registered) -> Check:
    """Which policies count for the device: its certificate's, and those of the thing's groups."""
    if not found.certificate:
        return skipped("policies", "needs the registered certificate")
    about: dict[str, Any] = {"thingName": found.thing_name} if found.attached else {}
    answer = aws.call("iot:GetEffectivePolicies", principal=found.arn(aws), **about)["effectivePolicies"]
    found.documents = {one["policyName"]: one["policyDocument"] for one in answer}
    if not found.documents:
        fix = f"aws iot attach-policy --policy-name {_POLICY} --target {found.arn(aws)} (or: iotctl onboard apply FILE)"
        return problem("policies", "no policy is attached to the certificate, nor to a group of the thing", fix)
    return ok("policies", ", ".join(found.documents))


def allowed(aws: Aws, found: Registered, policies: Rights, wanted: Sequence[Right]) -> Iterator[Check]:
    """Whether the policies allow what the device does, by AWS's own word (TestAuthorization) where it can be had."""
    asked = [right for right in wanted if right.action in _ACTIONS]
    told, why_not = _tested(aws, found, asked)
    for action, (check, _) in _ACTIONS.items():
        of_action = [right for right in asked if right.action == action]
        refused = [right for right in of_action if told.get(right, policies.decide(right)) is not Decision.ALLOWED]
        differs = [right for right in of_action if right in told and told[right] is not policies.decide(right)]
        yield _verdict(check, of_action, refused, policies, found)
        if differs and not refused:
            one = differs[0]
            detail = f"AWS allows {one.about}; read from the policies it would be refused: {policies.why(one)}"
            yield unknown(check, detail, "try it: iotctl onboard doctor --connect")
    if why_not:
        yield why_not


def _verdict(
    check: str, wanted: Sequence[Right], refused: Sequence[Right], policies: Rights, found: Registered
) -> Check:
    if not refused:
        return ok(check, ", ".join(right.about for right in wanted[:_SHOWN]) + (", …" if len(wanted) > _SHOWN else ""))
    first = refused[0]
    more = f" and {count(len(refused) - 1, 'other')}" if len(refused) > 1 else ""
    name = next(iter(found.documents or {}), _POLICY)
    return problem(
        check,
        f"{first.action} on {first.resource}{more} is refused: {policies.why(first)}",
        f"aws iot create-policy-version --policy-name {name} --policy-document file://policy.json --set-as-default",
    )


def others(wanted: Sequence[Right], policies: Rights, found: Registered) -> Check:
    """Whether the policies allow a core what TestAuthorization cannot be asked about."""
    beyond = [right for right in wanted if right.action not in _ACTIONS]
    return _verdict("core", beyond, [r for r in beyond if policies.decide(r) is not Decision.ALLOWED], policies, found)


def _tested(aws: Aws, found: Registered, wanted: Sequence[Right]) -> tuple[dict[Right, Decision], Check | None]:
    """AWS's own decisions; where they cannot be had, a word on it."""
    told: dict[Right, Decision] = {}
    for start in range(0, len(wanted), _MOST_ASKED):
        part = wanted[start : start + _MOST_ASKED]
        try:
            answer = aws.call(
                "iot:TestAuthorization",
                principal=found.arn(aws),
                clientId=found.thing_name,
                authInfos=[{"actionType": _ACTIONS[one.action][1], "resources": [one.resource]} for one in part],
            )
        except Error as error:
            detail = f"read from the policies only: {error.message}"
            return told, skipped("authorization", detail, error.hint)
        results = zip(part, answer["authResults"], strict=True)
        told |= {right: Decision(result["authDecision"]) for right, result in results}
    return told, None


def sharing(aws: Aws, found: Registered) -> Iterator[Check]:
    """Whether the certificate is one thing's only."""
    if not found.certificate:
        yield skipped("sharing", "needs the registered certificate")
        return

    def shared() -> Check:
        pages = aws.pages("iot:ListPrincipalThings", principal=found.arn(aws), maxResults=250)
        names = sorted({name for page in pages for name in page.get("things", [])} - {found.thing_name})
        if not names:
            return ok("sharing", "no other thing has this certificate")
        detail = (
            f"{count(len(names), 'other thing')} has this certificate too ({', '.join(names[:_SHOWN])}): devices that"
        )
        fix = f"aws iot detach-thing-principal --thing-name {names[0]} --principal {found.arn(aws)}"
        return problem("sharing", f"{detail} hold it can throw each other off", f"{fix}; and onboard it by itself")

    yield from guarded("sharing", shared)
