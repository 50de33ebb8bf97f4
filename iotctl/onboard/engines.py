"""A fleet handed to AWS's own engines, for fleets that one machine should not push -> a Plan. Pure.

`aws-bulk`: the rows of a batch become lines of a file in S3, and one StartThingRegistrationTask registers them.
`jitp`: keys and certificates are made here and nothing is called per thing; a thing appears when its device first
connects, by the provisioning template of the fleet's CA.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from iotctl import text
from iotctl.onboard import plan, provisioning, resources
from iotctl.plan import Expect, Plan, Ref, Step

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from iotctl.onboard.plan import Fleet, Keys, Place
    from iotctl.onboard.resources import Missing

BULK: Final = "onboard:RegisterInBulk"
BULK_REQUESTS: Final = "onboard:RegisterRequestsInBulk"
LINES: Final = 500
"""Of a task: a run that is stopped has to look at so many again."""
JUST_IN_TIME: Final = "onboard apply --engine jitp"


def just_in_time(fleet: Fleet, missing: Missing, place: Place, keys: Keys, role: str) -> Plan:
    """Make a fleet's bundles, and let its CA register each certificate when its device first connects.

    Args:
        fleet: the rows: all alike but for their names.
        missing: what they share and the account does not have.
        place: where.
        keys: the CA of its certificates is registered.
        role: the name or ARN of the role that AWS IoT registers things with.

    Raises:
        BadInput: rows differ in more than their name.

    """
    body = text.canonical(provisioning.just_in_time(fleet))
    run_id = plan.identity(fleet.digest, place, keys, "jitp")
    by_itself = {"templateBody": body, "roleArn": place.target.role(role)}
    shared = tuple(resources.shared_steps(missing, run_id, keys, by_itself))
    return Plan(
        command=JUST_IN_TIME,
        run_id=run_id,
        target=place.target,
        summary=f"make the bundles of {text.count(len(fleet), 'thing')}; each is registered when its device connects",
        # The CA last: from then on its devices may come.
        shared=(*resources.authority(place, keys), resources.recorded(place, run_id, shared), *shared[1:], shared[0]),
        each=(plan.bundled(place, keys, run_id, chain=True),),
        rows=fleet,
        directory=place.directory,
        shows={"certificateId": Ref("certificate.certificateId")},
        warnings=tuple(fleet.warnings),
    )


def in_bulk(fleet: Fleet, missing: Missing, place: Place, keys: Keys, role: str, bucket: str) -> Plan:
    """Register a fleet by AWS's bulk registration, one task at a time.

    A line that fails because its thing is there already may be this run's own, of a task whose end it did not see: it
    is compared and completed by the same steps as any other thing. Certificates are of a registered CA, or AWS signs
    the CSR of every row.

    Args:
        fleet: the rows.
        missing: what they share and the account does not have.
        place: where.
        keys: whether the CA of its certificates is registered; else every row has a CSR.
        role: the name or ARN of the role that AWS IoT registers things with.
        bucket: for the input files; empty: the account's own.

    """
    run_id = plan.identity(fleet.digest, place, keys, "aws-bulk")
    shared = tuple(resources.shared_steps(missing, run_id, keys))
    where = {
        "bucket": bucket or place.target.bucket,
        "prefix": f"iotctl/onboard/{run_id}/",
        "roleArn": place.target.role(role),
        "accountId": place.target.account_id,
        "row": Ref("row"),
    }
    *placed, policy = plan.placement()
    shadow = next(step for step in placed if step.op == "iot-data:UpdateThingShadow")
    mending = [step for step in (*placed, policy) if step is not shadow]
    if keys.registered_ca:
        mending = [*plan.registration(keys, exclusive=False), *mending]
        begun = _signed_here(place, keys, run_id, where)
        claimed: tuple[Step, ...] = ()
    else:
        begun = _signed_by_aws(place, keys, run_id, where)
        claimed = (_CLAIMED,)
    there = Expect(f"{begun[-1 if keys.registered_ca else 0].name}.there", True)
    return Plan(
        command="onboard apply --engine aws-bulk",
        run_id=run_id,
        target=place.target,
        summary=f"register {text.count(len(fleet), 'thing')} by AWS's bulk registration",
        shared=(*resources.authority(place, keys), resources.recorded(place, run_id, shared), *shared),
        each=(*begun, *(replace(step, when=there) for step in mending), *claimed, shadow),
        rows=fleet,
        batch=LINES,
        directory=place.directory,
        # Only what is found half done needs calls of its own.
        calls={**dict.fromkeys((step.op for step in mending), 0), "iot-data:UpdateThingShadow": fleet.shadows},
        shows={"certificateId": Ref("certificate.certificateId")},
        warnings=tuple(fleet.warnings),
    )


_CLAIMED: Final = Step(
    "iot:UpdateThing",
    {
        "thingName": Ref("row.thingName"),
        "attributePayload": {"attributes": {plan.CLAIM: Ref("certificate.certificateId")}, "merge": True},
    },
)
"""Who signs decides on the id of a certificate: a thing can carry it once AWS has."""


def _signed_here(place: Place, keys: Keys, run_id: str, where: Mapping[str, Any]) -> tuple[Step, ...]:
    """The bundle first, as ever: then its certificate is registered."""
    more = {"certificate": Ref("certificate"), "authority": Ref("authority.certificatePem")}
    return (plan.bundled(place, keys, run_id), Step(BULK, {**where, **more}, name="bulk"))


def _signed_by_aws(place: Place, keys: Keys, run_id: str, where: Mapping[str, Any]) -> tuple[Step, ...]:
    """AWS signs the CSR; then there is a bundle. The key is the device's own, and not lost with it."""
    more = {"certificateArn": place.target.arn("cert/"), "directory": place.directory, "runId": run_id}
    bundled = plan.bundled(place, keys, run_id)
    certificate = {"certificatePem": Ref("certificate.certificatePem")}
    return (
        Step(BULK_REQUESTS, {**where, **more}, name="certificate"),
        replace(bundled, params={**bundled.params, **certificate}, name="bundle"),
    )
