"""Things, and the devices that have their keys -> the Plan that gives them new certificates. Pure.

The order within a thing is what makes it safe to stop anywhere: the certificate that was signed is on disk before it is
registered; it has all that the old one has before the device gets it; and the old one is switched off only after the
broker has told of a connection with the new one, and the device that it has made it the one that counts. Until then the
thing is as it was. Each step may be repeated, and a device connects once more where it is asked again.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from iotctl import text
from iotctl.jobs import MOST_TARGETS, Brakes, request
from iotctl.onboard import plan as planning
from iotctl.onboard import resources
from iotctl.onboard.plan import CLAIM, Keys, Place
from iotctl.plan import Expect, Join, Plan, Ref, Step
from iotctl.rotation import SHADOW, Order

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

COMMAND: Final = "onboard certs rotate"
RECORD: Final = "file:RecordRotation"
WATCH: Final = "onboard:WatchConnections"
CHOOSE: Final = "file:ChooseCertificate"
SIGN: Final = "file:SignRequest"
CONNECTED: Final = "onboard:Connected"
WATCH_JOBS: Final = "onboard:WatchJobs"
ASKED: Final = "onboard:StillAsked"
PUBLISH: Final = "file:PublishRotated"
SWITCH_SECONDS: Final = 300.0
"""How long a device that has connected with its new certificate may take to say so."""

_THING: Final = {"thingName": Ref("row.thingName")}
_SHADOW: Final = {**_THING, "shadowName": SHADOW}


@dataclass(frozen=True, slots=True)
class Run:
    """A rotation, begun now or before.

    Attributes:
        run_id: of it, and the id of the rotation that devices see.
        words: the scope as it was typed.
        names: its things: those that the scope had when it began.
        done: those of them that have their new certificates.
        begun: when, as ISO 8601.
        key_type: that devices are asked for.
        days: how long the new certificates are valid.
        supersedes: rotations that had some of its things left, and are not gone on with.

    """

    run_id: str
    words: str
    names: Sequence[str]
    done: frozenset[str]
    begun: str
    key_type: str
    days: int
    supersedes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Job:
    """A job that is to be made: its id, the ARNs of its targets, and how many things they are."""

    job_id: str
    targets: Sequence[str]
    things: int


def batches(names: Sequence[str]) -> Iterator[Sequence[str]]:
    """As many things each as one job can be made for."""
    for start in range(0, len(names), MOST_TARGETS):
        yield names[start : start + MOST_TARGETS]


def rotating(
    run: Run,
    before: Sequence[str],
    jobs: Sequence[Job],
    place: Place,
    *,
    wait: float,
    registered: bool,
    timeout: float | None = None,
    stopped: Sequence[str] = (),
) -> Plan:
    """Give things new certificates, for keys that their devices make.

    Args:
        run: which things.
        before: the ids of its jobs that there are.
        jobs: those that are still to be made.
        place: where they are.
        wait: seconds that a device may take to answer, and again to connect.
        registered: the account knows the fleet CA.
        timeout: seconds that all of them may take together; None: as long as it takes.
        stopped: the ids of jobs of rotations that are not gone on with, which devices would still obey.

    """
    keys = Keys(run.key_type, run.days, registered)
    left = len(run.names) - len(run.done)
    named = f", by the job{'s' if len(jobs) > 1 else ''} {', '.join(job.job_id for job in jobs[:3])}" if jobs else ""
    return Plan(
        command=COMMAND,
        run_id=run.run_id,
        target=place.target,
        summary=f"give {text.count(left, 'thing')} a new certificate each{named}{', …' if len(jobs) > 3 else ''}",
        shared=(
            *resources.authority(place, keys),
            _recorded(run, place),
            Step(WATCH),
            *(Step("iot:CancelJob", {"jobId": job_id, "force": True}, absent_is_done=True) for job_id in stopped),
            *(_job(run, job) for job in jobs),
            Step(WATCH_JOBS, {"jobs": [*before, *(job.job_id for job in jobs)], "seconds": timeout}),
        ),
        each=(*_asked(run, place, wait), *_signed(run, place, keys), *_switched(place, wait), _published(place)),
        rows=tuple({"thingName": name, "line": number} for number, name in enumerate(run.names, 1)),
        settled=tuple(sorted(run.done)),
        directory=place.directory,
        # Keys that were lost are few: of the two steps that switch off, one is for each thing.
        calls={"iot:UpdateCertificate": (left + 1) // 2, "iot:DetachThingPrincipal": 1, "iot:DeleteCertificate": 1},
        shows={"certificateId": Ref("certificate.certificateId")},
        changes=(
            "each old certificate is switched off once its thing has connected with the new one, not before",
            *(f"the job {job_id} of another rotation is canceled" for job_id in stopped),
        ),
        bulk=len(run.names) > 1,
        report="rotated.csv",
    )


def _recorded(run: Run, place: Place) -> Step:
    return Step(
        RECORD,
        {
            "directory": place.directory,
            "runId": run.run_id,
            "command": COMMAND,
            "target": place.target.to_json(),
            "scope": run.words,
            "begun": run.begun,
            "keyType": run.key_type,
            "days": run.days,
            "things": list(run.names),
            "supersedes": list(run.supersedes),
        },
    )


def _job(run: Run, job: Job) -> Step:
    """A job; where its id is taken, it must be this one: the same targets, the same document."""
    document = json.dumps(Order(run.run_id, run.key_type).document())
    wanted: dict[str, Any] = request(
        job.targets, job.things, Brakes(), description=f"new certificates for {run.words}; iotctl {COMMAND}"
    )
    there = (
        Expect("job.targets", list(job.targets), op="iot:DescribeJob"),
        Expect("document", document, op="iot:GetJobDocument"),
    )
    return Step("iot:CreateJob", {"jobId": job.job_id, **wanted, "document": document}, on_exists=there)


def _asked(run: Run, place: Place, wait: float) -> Iterator[Step]:
    """The certificate that a thing has, and the CSR for the next one."""
    yield Step("iot:DescribeThing", _THING, name="thing")
    yield Step("iot:ListThingPrincipalsV2", {**_THING, "maxResults": 250}, name="held")
    yield Step(
        CHOOSE,
        {
            **_THING,
            "directory": place.directory,
            "rotation": run.run_id,
            "claim": Ref(f"thing.attributes.{CLAIM}"),
            "principals": Ref("held.thingPrincipalObjects"),
            "certificateArn": place.target.arn("cert/"),
            "supersedes": list(run.supersedes),
        },
        name="old",
    )
    yield Step("iot:DescribeCertificate", {"certificateId": Ref("old.certificateId")}, name="described")
    yield Step(
        "iot-data:GetThingShadow",
        _SHADOW,
        name="asked",
        when=Expect("old.signed", equals=False),
        until=Expect("payload.state.reported.rotation", run.run_id),
        settles=wait,
        gives_up=ASKED,
        hint="its device has not asked for a certificate",
    )
    # What was signed before may have been used already, and the shadow be gone; but a device that has lost its key
    # asks again, with another one.
    yield Step(
        "iot-data:GetThingShadow",
        _SHADOW,
        name="asked",
        when=Expect("old.signed", equals=True),
        absent_is_done=True,
    )


def _signed(run: Run, place: Place, keys: Keys) -> Iterator[Step]:
    """The new certificate, with all that the old one has."""
    yield Step(
        SIGN,
        {
            **_THING,
            "directory": place.directory,
            "rotation": run.run_id,
            "reported": Ref("asked.payload.state.reported"),
            "claim": Ref(f"thing.attributes.{CLAIM}"),
            "replaces": Ref("old.certificateId"),
            "before": Ref("described.certificateDescription.certificatePem"),
            "keyType": keys.key_type,
            "days": keys.days,
            "config": place.config,
            "rootCa": place.root_ca,
            "certificateArn": place.target.arn("cert/"),
        },
        name="certificate",
    )
    _, registered, attached = planning.registration(keys)
    yield registered
    # As the old one is: AWS's own engines attach no certificate exclusively, and AWS refuses another way than before.
    yield replace(attached, params={**attached.params, "thingPrincipalType": Ref("old.thingPrincipalType")}, hint="")
    yield Step("iot:ListAttachedPolicies", {"target": Ref("old.certificateArn"), "pageSize": 250}, name="allowed")
    yield Step(
        "iot:AttachPolicy",
        {"policyName": Ref("item.policyName"), "target": Ref("certificate.certificateArn")},
        for_each=Ref("allowed.policies"),
    )


def _switched(place: Place, wait: float) -> Iterator[Step]:
    """The device has it and uses it; only then the old one goes."""
    yield Step("iot-data:UpdateThingShadow", {**_SHADOW, "payload": Ref("certificate.delivery")})
    yield Step(
        CONNECTED,
        {**_THING, "certificateId": Ref("certificate.certificateId")},
        until=Expect("connected", equals=True),
        settles=wait,
        gives_up=ASKED,
        hint="its device was not seen to connect with the new certificate; the old one is as it was",
    )
    yield Step(
        "iot-data:GetThingShadow",
        _SHADOW,
        until=Expect("payload.state.reported.attempt", Ref("certificate.attempt")),
        settles=min(wait, SWITCH_SECONDS),
        hint="its device has not said that it uses the new certificate; the old one is as it was",
    )
    yield Step(
        "iot:UpdateThing",
        {**_THING, "attributePayload": {"attributes": {CLAIM: Ref("certificate.claim")}, "merge": True}},
        when=Expect("certificate.claims", equals=True),
    )
    yield Step("iot:UpdateCertificate", {"certificateId": Ref("old.certificateId"), "newStatus": "INACTIVE"})
    # Certificates for keys that the device has no more; one of them may have been in use until now.
    lost = Ref("certificate.abandoned")
    arn = Join((place.target.arn("cert/"), Ref("item")))
    off = {"certificateId": Ref("item"), "newStatus": "INACTIVE"}
    yield Step("iot:UpdateCertificate", off, for_each=lost, absent_is_done=True)
    yield Step("iot:DetachThingPrincipal", {**_THING, "principal": arn}, for_each=lost, absent_is_done=True)
    yield Step(
        "iot:DeleteCertificate",
        {"certificateId": Ref("item"), "forceDelete": True},
        for_each=lost,
        absent_is_done=True,
        settles=SWITCH_SECONDS,
    )
    yield Step("iot-data:DeleteThingShadow", _SHADOW, absent_is_done=True)


def _published(place: Place) -> Step:
    where = {"directory": place.directory, **_THING, "certificateId": Ref("certificate.certificateId")}
    return Step(PUBLISH, where, name="published")
