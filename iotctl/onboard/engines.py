"""A fleet handed to AWS's own engines, for fleets that one machine should not push -> a Plan. Pure.

`aws-bulk`: the rows of a batch become lines of a file in S3, and one StartThingRegistrationTask registers them.
`jitp`: keys and certificates are made here and nothing is called per thing; a thing appears when its device first
connects, by the provisioning template of the fleet's CA.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from iotctl import text
from iotctl.onboard import plan, provisioning
from iotctl.plan import Expect, Plan, Ref, Step

if TYPE_CHECKING:
    from iotctl.onboard.plan import Fleet, Keys, Missing, Place

BULK: Final = "onboard:RegisterInBulk"
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
    shared = tuple(plan.shared_steps(missing, run_id, keys, by_itself))
    return Plan(
        command=JUST_IN_TIME,
        run_id=run_id,
        target=place.target,
        summary=f"make the bundles of {text.count(len(fleet), 'thing')}; each is registered when its device connects",
        # The CA last: from then on its devices may come.
        shared=(*plan.authority(place, keys), plan.recorded(place, run_id, shared), *shared[1:], shared[0]),
        each=(plan.bundled(place, keys, run_id, chain=True),),
        rows=fleet,
        directory=place.directory,
        shows={"certificateId": Ref("certificate.certificateId")},
        warnings=tuple(fleet.warnings),
    )


def in_bulk(fleet: Fleet, missing: Missing, place: Place, keys: Keys, role: str, bucket: str) -> Plan:
    """Register a fleet by AWS's bulk registration, one task at a time.

    A line that fails because its thing is there already may be this run's own, of a task whose end it did not see: it
    is compared and completed by the same steps as any other thing.

    Args:
        fleet: the rows.
        missing: what they share and the account does not have.
        place: where.
        keys: the CA of its certificates is registered.
        role: the name or ARN of the role that AWS IoT registers things with.
        bucket: for the input files; empty: the account's own.

    """
    run_id = plan.identity(fleet.digest, place, keys, "aws-bulk")
    shared = tuple(plan.shared_steps(missing, run_id, keys))
    bulk = Step(
        BULK,
        {
            "bucket": bucket or place.target.bucket,
            "prefix": f"iotctl/onboard/{run_id}/",
            "roleArn": place.target.role(role),
            "accountId": place.target.account_id,
            "row": Ref("row"),
            "certificate": Ref("certificate"),
            "authority": Ref("authority.certificatePem"),
        },
        name="bulk",
    )
    *placed, policy = plan.placement()
    shadow = next(step for step in placed if step.op == "iot-data:UpdateThingShadow")
    there = Expect("bulk.there", True)
    steps = (*plan.registration(keys, exclusive=False), *placed, policy)
    mending = [replace(step, when=there) for step in steps if step is not shadow]
    return Plan(
        command="onboard apply --engine aws-bulk",
        run_id=run_id,
        target=place.target,
        summary=f"register {text.count(len(fleet), 'thing')} by AWS's bulk registration",
        shared=(*plan.authority(place, keys), plan.recorded(place, run_id, shared), *shared),
        each=(plan.bundled(place, keys, run_id), bulk, *mending, shadow),
        rows=fleet,
        directory=place.directory,
        # Only what is found half done needs calls of its own.
        calls={**dict.fromkeys((step.op for step in mending), 0), "iot-data:UpdateThingShadow": fleet.shadows},
        shows={"certificateId": Ref("certificate.certificateId")},
        warnings=tuple(fleet.warnings),
    )
