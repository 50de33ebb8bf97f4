"""A fleet of a registered CA, and one whose CSRs AWS signs in bulk: killed at a sample of moments, each resumes."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from iotctl import pki
from tests.faults.invariants import CLAIM, _certificate_id, _places
from tests.local.test_certificates import csr

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.faults.invariants import Watch
    from tests.faults.stage import Job, Stage

SAMPLE = 3


def sampled(moments: int, word: str) -> list[int]:
    """The moments of a run that are struck."""
    return sorted(random.Random(word).sample(range(1, moments + 1), SAMPLE))


def test_a_fleet_of_a_registered_ca_killed_at_a_sample_of_moments_resumes(
    stage: Stage, watch: Callable[[int], Watch], job: Callable[..., Job]
) -> None:
    """The CA is made and registered once; its certificates are as safe as those of no CA."""

    def onboard(fleet: Watch, at: int = 0) -> Job:
        return job(fleet.declared, more=("--ca", "registered"), at=at)

    whole = watch(2)
    moments = len(stage.run(onboard(whole)).moments)
    assert [] == whole.ended()
    for point in sampled(moments, "registered"):
        fleet = watch(2)
        killed = stage.run(onboard(fleet, point))
        assert (point, -9, []) == (point, killed.code, fleet.now()), killed.moments[-1]
        again = stage.run(onboard(fleet))
        assert (point, 0, []) == (point, again.code, fleet.ended()), again.stderr


@pytest.fixture
def requests(watch: Callable[[int], Watch], job: Callable[..., Job]) -> Callable[[], tuple[Watch, Job]]:
    """A fresh fleet of two devices that keep their keys, and the job that has AWS sign for them."""
    pems = [csr(pki.new_key("ec-p256")) for _ in range(2)]

    def make() -> tuple[Watch, Job]:
        fleet = watch(2)
        lines = ["thing_name,thing_groups,csr"]
        for name, pem in zip(fleet.declared.things, pems, strict=True):
            (fleet.declared.cwd / f"{name}.csr").write_text(pem)
            lines.append(f"{name},near-{fleet.declared.tag},{name}.csr")
        (fleet.declared.cwd / "fleet.csv").write_text("\n".join(lines) + "\n")
        return fleet, job(fleet.declared, more=("--engine", "aws-bulk"))

    return make


def test_csrs_signed_in_bulk_and_killed_at_a_sample_of_moments_are_signed_once(
    stage: Stage, requests: Callable[[], tuple[Watch, Job]]
) -> None:
    """AWS would sign a CSR again and again: what it signed for a run that was killed is found, nothing else is made."""
    whole, onboard = requests()
    ended = stage.run(onboard)
    assert (0, []) == (ended.code, breaches(whole)), ended.stderr
    starts = [number for number, moment in enumerate(ended.moments, 1) if "POST /thing-registration-tasks" in moment]
    # Right before and right after the task is started, besides the sample.
    for point in {*sampled(len(ended.moments), "bulk"), starts[0], starts[0] + 2}:
        fleet, onboard = requests()
        killed = stage.run(replace(onboard, at=point))
        assert (point, -9) == (point, killed.code)
        again = stage.run(onboard)
        assert (point, 0, []) == (point, again.code, breaches(fleet)), again.stderr


def breaches(fleet: Watch) -> list[str]:
    """What is not as it must be when a run has ended: one certificate for each, claimed, attached, in its bundle."""
    places = {place.name: place for place in _places(fleet.declared.bundles)}
    held = {name: _certificate_id(place / "certificate.pem.crt") for name, place in places.items()}
    found: list[str] = []
    for name in fleet.declared.things:
        thing: dict[str, Any] = fleet.account.thing(name) or {}
        wanted = {held.get(name): ("ACTIVE", [fleet.declared.policy])}
        if (thing.get("attributes"), thing.get("certificates")) != ({CLAIM: held.get(name)}, wanted):
            found.append(f"{name} is {thing}")
        if name in places and json.loads((places[name] / "config.json").read_bytes())["certificateId"] != held[name]:
            found.append(f"the bundle of {name} names another certificate")
    if fleet.new_certificates() != frozenset(held.values()):
        found.append(f"{len(fleet.new_certificates())} certificates for {len(held)} bundles")
    return found
