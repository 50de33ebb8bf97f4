"""An onboarding taken back: killed at any moment it resumes, nothing is left over, and nothing else is touched."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from tests.faults.invariants import CLAIM, _bundles, _certificate_id, _modes, _places
from tests.faults.proxy import Proxy
from tests.faults.stage import Ended, Job
from tests.faults.test_lost_answers import first_of_each

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from iotctl.target import Platform
    from tests.faults.invariants import Account, Declared, Watch
    from tests.faults.stage import Stage

DEPRECATED = 13
"""The exit code of what is complete but for the thing type, which AWS deletes five minutes after its deprecation."""


@pytest.fixture
def undo(job: Callable[..., Job]) -> Callable[..., Job]:
    """The job that takes back the run of a fleet: `undo(declared, at=7)`."""

    def make(declared: Declared, **other: Any) -> Job:
        (record,) = (declared.bundles / "runs").iterdir()
        argv = ["onboard", "undo", record.stem, "--bundles", "out", "--wait", "0s", "-y", "-o", "json"]
        return replace(job(declared, **other), argv=argv)

    return make


def half_way(fleet: Watch) -> Iterator[str]:
    """Every breach of what must hold at any moment of an undoing."""
    bundles, account = fleet.declared.bundles, fleet.account
    left = {_certificate_id(place / "certificate.pem.crt"): place.name for place in _places(bundles)}
    yield from _modes(bundles)
    yield from _bundles(bundles)
    for certificate_id in fleet.new_certificates():
        name = left.get(certificate_id)
        if name is None:
            yield f"U1: the certificate {certificate_id[:12]} is registered, and no bundle in devices/ has it"
        elif account.policies(account.arn(certificate_id)) and (
            account.thing(name) != fleet.declared.registered(certificate_id)
        ):
            yield f"U2: the certificate of {name} has a policy, and {name} is half gone"
    for name in fleet.declared.things:
        thing = account.thing(name)
        if thing and thing["attributes"].get(CLAIM) not in left:
            yield f"U3: {name} is there, and the bundle of its certificate is not"


def taken_back(fleet: Watch) -> Iterator[str]:
    """Every breach of what must hold when an undoing has ended: nothing is left, and the keys are kept aside."""
    yield from half_way(fleet)
    declared, iot = fleet.declared, fleet.account.iot
    yield from (f"{name} is there" for name in declared.things if fleet.account.thing(name))
    yield from (f"{each} is registered" for each in fleet.new_certificates())
    yield from (f"the bundle of {place.name} is in devices/" for place in _places(declared.bundles))
    if sorted(declared.things) != sorted(path.name for path in (declared.bundles / "revoked").iterdir()):
        yield "a bundle is neither in devices/ nor in revoked/"
    found = {
        "groups": iot.list_thing_groups(namePrefixFilter=f"near-{declared.tag}")["thingGroups"],
        "billing groups": iot.list_billing_groups(namePrefixFilter=f"bill-{declared.tag}")["billingGroups"],
        "policies": [one for one in all_policies(fleet.account) if one == declared.policy],
        "types": [one for one in thing_types(fleet) if not one["thingTypeMetadata"]["deprecated"]],
    }
    yield from (f"there are {kind}: {names}" for kind, names in found.items() if names)


def all_policies(account: Account) -> list[str]:
    """The names of all policies."""
    pages = account.iot.get_paginator("list_policies").paginate()
    return [one["policyName"] for page in pages for one in page["policies"]]


def thing_types(fleet: Watch) -> list[Any]:
    """The thing type of a fleet, if it is there."""
    return list(fleet.account.iot.list_thing_types(thingTypeName=f"type-{fleet.declared.tag}")["thingTypes"])


def onboarded(fleet: Watch, stage: Stage, job: Callable[..., Job]) -> Watch:
    """The same fleet, onboarded."""
    assert 0 == stage.run(job(fleet.declared)).code
    return fleet


def ended(fleet: Watch, outcome: Ended) -> None:
    """The undoing ended as it must."""
    assert DEPRECATED == outcome.code, outcome.stderr
    assert ["iot:DeleteThingType"] == [error["message"].partition(" ")[0] for error in outcome.envelope["errors"]]
    assert [] == list(taken_back(fleet))


def test_an_undoing_killed_again_and_again_ends_well(
    stage: Stage, watch: Callable[[int], Watch], job: Callable[..., Job], undo: Callable[..., Job]
) -> None:
    """Each run is killed some moments later than the one before; at no moment is a certificate without its key."""
    fleet = onboarded(watch(1), stage, job)
    struck, at = True, 1
    while struck:
        killed = stage.run(undo(fleet.declared, at=at))
        struck = killed.struck
        assert (at, []) == (at, list(half_way(fleet)))
        at += 9
    ended(fleet, killed)
    assert at > 30
    ended(fleet, stage.run(undo(fleet.declared)))


@pytest.mark.parametrize("strike", ["kill", "interrupt", "full"])
def test_an_undoing_struck_at_a_sample_of_moments_resumes(
    strike: str, stage: Stage, watch: Callable[[int], Watch], job: Callable[..., Job], undo: Callable[..., Job]
) -> None:
    """Killed, interrupted, out of space: the next run takes back the rest."""
    fleet = onboarded(watch(1), stage, job)
    moments = stage.run(undo(fleet.declared, strike=strike, at=10**6)).moments
    for point in sorted(random.Random(f"undo {strike}").sample(range(1, len(moments) + 1), 2)):
        struck_then_resumed(strike, point, stage, watch, job, undo)


@pytest.mark.campaign
@pytest.mark.parametrize("strike", ["kill", "interrupt", "terminate", "full", "read-only"])
def test_an_undoing_struck_at_every_moment_resumes(
    strike: str, stage: Stage, watch: Callable[[int], Watch], job: Callable[..., Job], undo: Callable[..., Job]
) -> None:
    """The same at every moment there is."""
    moments = stage.run(undo(onboarded(watch(1), stage, job).declared, strike=strike, at=10**6)).moments
    for point in range(1, len(moments) + 1):
        struck_then_resumed(strike, point, stage, watch, job, undo)


def struck_then_resumed(
    strike: str,
    point: int,
    stage: Stage,
    watch: Callable[[int], Watch],
    job: Callable[..., Job],
    undo: Callable[..., Job],
) -> None:
    """Onboard a fresh fleet, strike its undoing at one moment, then run it to its end."""
    fleet = onboarded(watch(1), stage, job)
    first = stage.run(undo(fleet.declared, strike=strike, at=point))
    at = f"{strike} at {point}: {first.moments[min(point, len(first.moments)) - 1]}"
    assert (at, True) == (at, first.struck)
    assert "a bug in iotctl" not in first.stdout + first.stderr
    assert (at, []) == (at, list(half_way(fleet)))
    ended(fleet, stage.run(undo(fleet.declared)))


def test_an_onboarding_that_was_cut_short_is_taken_back(
    stage: Stage, watch: Callable[[int], Watch], job: Callable[..., Job], undo: Callable[..., Job]
) -> None:
    """Wherever it was killed: what it had made by then goes, and the journal is not needed for it."""
    for call in ("POST /policies/", "POST /certificate/", "PUT /target-policies/"):
        fleet = watch(2)
        assert -9 == stage.run(job(fleet.declared, at=f"http.client.send {call}")).code
        for journal in fleet.declared.bundles.glob("journal.db*"):
            journal.unlink()
        devices = fleet.declared.bundles / "devices"
        bundled = {path.name for path in devices.iterdir()} if devices.is_dir() else set()
        outcome = stage.run(undo(fleet.declared))
        assert (call, DEPRECATED) == (call, outcome.code), outcome.stderr
        revoked = fleet.declared.bundles / "revoked"
        assert bundled == ({path.name for path in revoked.iterdir()} if revoked.is_dir() else set())
        assert [] == [each for each in taken_back(replace_things(fleet, sorted(bundled))) if "neither" not in each]


def replace_things(fleet: Watch, things: list[str]) -> Watch:
    """The same watch, of those things that had been begun."""
    fleet.declared = replace(fleet.declared, things=things)
    (fleet.declared.bundles / "revoked").mkdir(0o700, exist_ok=True)
    return fleet


def test_what_was_taken_back_is_onboarded_again(
    stage: Stage, watch: Callable[[int], Watch], job: Callable[..., Job], undo: Callable[..., Job]
) -> None:
    """With new keys, as if it had never been: nothing in the journal speaks for what is gone."""
    fleet = onboarded(watch(2), stage, job)
    before = fleet.new_certificates()
    ended(fleet, stage.run(undo(fleet.declared)))
    fleet.account.iot.deprecate_thing_type(thingTypeName=f"type-{fleet.declared.tag}", undoDeprecate=True)
    again = stage.run(job(fleet.declared))
    assert (0, 2) == (again.code, again.envelope["data"]["done"])
    assert [] == fleet.ended()
    assert not before & fleet.new_certificates()
    outcome = stage.run(undo(fleet.declared))
    assert (DEPRECATED, 2) == (outcome.code, outcome.envelope["data"]["done"])
    assert 4 == len(list((fleet.declared.bundles / "revoked").iterdir()))
    assert frozenset() == fleet.new_certificates()


def test_what_others_use_or_made_stays(
    account: Account, stage: Stage, watch: Callable[[int], Watch], job: Callable[..., Job], undo: Callable[..., Job]
) -> None:
    """A thing of someone else with a row's name, a group with another thing in it, a policy another certificate has."""
    fleet = watch(3)
    name, near, bill = fleet.declared.things[1], f"near-{fleet.declared.tag}", f"bill-{fleet.declared.tag}"
    account.iot.create_thing(thingName=name, attributePayload={"attributes": {"owner": "them"}})
    assert 3 == stage.run(job(fleet.declared)).code
    account.iot.create_thing(thingName=f"guest-{fleet.declared.tag}")
    account.iot.add_thing_to_thing_group(thingName=f"guest-{fleet.declared.tag}", thingGroupName=near)
    theirs = account.iot.create_keys_and_certificate(setAsActive=True)["certificateArn"]
    account.iot.attach_policy(policyName=fleet.declared.policy, target=theirs)
    account.iot.untag_resource(
        resourceArn=account.iot.describe_billing_group(billingGroupName=bill)["billingGroupArn"],
        tagKeys=["iotctl-run"],
    )
    outcome = stage.run(undo(fleet.declared))
    assert (DEPRECATED, 3) == (outcome.code, outcome.envelope["data"]["done"])
    assert {"owner": "them"} == account.iot.describe_thing(thingName=name)["attributes"]
    assert [f"guest-{fleet.declared.tag}"] == account.iot.list_things_in_thing_group(thingGroupName=near)["things"]
    assert [theirs] == account.iot.list_targets_for_policy(policyName=fleet.declared.policy)["targets"]
    assert account.iot.describe_billing_group(billingGroupName=bill)
    assert [] == account.iot.list_thing_groups(namePrefixFilter=f"far-{fleet.declared.tag}")["thingGroups"]
    assert {theirs.rpartition("/")[2]} == fleet.new_certificates()
    account.iot.detach_policy(policyName=fleet.declared.policy, target=theirs)
    account.iot.update_certificate(certificateId=theirs.rpartition("/")[2], newStatus="INACTIVE")
    account.iot.delete_certificate(certificateId=theirs.rpartition("/")[2])


def test_an_undoing_whose_answers_are_lost_ends_well(
    own: Platform,
    stage: Stage,
    watch: Callable[[int], Watch],
    job: Callable[..., Job],
    undo: Callable[..., Job],
) -> None:
    """The first answer to each change is lost after it was applied: what is gone already is done."""
    fleet = onboarded(watch(1), stage, job)
    with Proxy(own.http_url, first_of_each("reset-after")) as proxy:
        ended(fleet, stage.run(undo(fleet.declared, AWS_ENDPOINT_URL=proxy.url)))
    assert 8 < sum(call.fault is not None for call in proxy.calls)


def test_a_run_in_another_account_is_not_taken_back_here(
    stage: Stage, watch: Callable[[int], Watch], job: Callable[..., Job], undo: Callable[..., Job]
) -> None:
    """Exit 6 before anything is changed; a run that is not there is exit 8."""
    fleet = onboarded(watch(1), stage, job)
    (record,) = (fleet.declared.bundles / "runs").iterdir()
    content = json.loads(record.read_bytes())
    record.write_text(json.dumps({**content, "target": {**content["target"], "accountId": "123456789012"}}))
    assert 6 == stage.run(undo(fleet.declared)).code
    record.write_text(json.dumps(content))
    missing = undo(fleet.declared)
    unknown = stage.run(replace(missing, argv=[word.replace(record.stem, "abc") for word in missing.argv]))
    assert (8, f"known: {record.stem}") == (unknown.code, unknown.envelope["errors"][0]["hint"])
    assert [] == fleet.ended()
