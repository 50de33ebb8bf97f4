"""Two runs of one fleet at the same time: on one directory, and on two machines."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.faults.invariants import CLAIM

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.faults.invariants import Declared, Watch
    from tests.faults.stage import Ended, Job, Stage


def test_a_second_run_on_one_directory_is_refused_and_the_first_goes_on(
    stage: Stage, watch: Callable[[int], Watch], job: Callable[..., Job]
) -> None:
    """The first is stopped in the middle; the second exits 11 and names its pid; the first then ends well."""
    fleet = watch(2)
    first = stage.start(job(fleet.declared, strike="stop", at="http.client.send POST /things/")).until_stopped()
    second = stage.run(job(fleet.declared))
    assert 11 == second.code
    assert f"pid {first.pid} " in second.stdout
    assert [] == [moment for moment in second.moments if "POST /things/" in moment or "rename" in moment]
    first.resume()
    assert 0 == first.end().code
    assert [] == fleet.ended()


def test_a_killed_run_leaves_no_lock(stage: Stage, watch: Callable[[int], Watch], job: Callable[..., Job]) -> None:
    """The kernel lets go of the lock with the process: a run whose holder was killed while stopped starts at once."""
    fleet = watch(1)
    first = stage.start(job(fleet.declared, strike="stop", at="http.client.send POST /certificate/")).until_stopped()
    first.kill()
    assert 0 == stage.run(job(fleet.declared)).code
    assert [] == fleet.ended()


@pytest.mark.parametrize(
    "call", ["POST /policies/", "POST /things/", "POST /certificate/", "PUT /things/", "PUT /target-policies/"]
)
def test_a_run_overtaken_by_another_machine_leaves_no_second_certificate(
    call: str, stage: Stage, watch: Callable[[int], Watch], job: Callable[..., Job]
) -> None:
    """One machine is stopped before a call while another does the whole file: each thing is of just one."""
    fleet = watch(3)
    other = fleet.declared.beside("other")
    first = stage.start(job(fleet.declared, strike="stop", at=f"http.client.send {call}")).until_stopped()
    second = stage.run(job(other))
    first.resume()
    done = shared_out(fleet, other, first.end(), second)
    # On a slow machine the first run has several things in hand when it is stopped.
    assert done[0] >= (0 if call in {"POST /policies/", "POST /things/"} else 1)
    assert call != "POST /policies/" or done == (0, 3)


def test_two_machines_at_the_same_time_make_one_certificate_for_each_thing(
    stage: Stage, watch: Callable[[int], Watch], job: Callable[..., Job]
) -> None:
    """Two directories, one file, truly at once: together they do every thing once; the loser of each says conflict."""
    fleet = watch(20)
    other = fleet.declared.beside("other")
    runs = [stage.start(job(fleet.declared)), stage.start(job(other))]
    first, second = (run.end() for run in runs)
    shared_out(fleet, other, first, second)


def test_runs_of_several_fleets_with_one_home_do_not_disturb_each_other(
    stage: Stage, watch: Callable[[int], Watch], job: Callable[..., Job]
) -> None:
    """Parallel CI jobs share a home; their state is in their own bundles directories."""
    declared = [watch(3).declared for _ in range(3)]
    running = [stage.start(job(each)) for each in declared]
    assert [0, 0, 0] == [run.end().code for run in running]


def shared_out(fleet: Watch, other: Declared, first: Ended, second: Ended) -> tuple[int, int]:
    """Each thing has one certificate, whole and of one of the two directories, and the other run says conflict.

    Returns:
        How many things each of the two has done.

    """
    things = len(fleet.declared.things)
    owners: list[int] = []
    for name in fleet.declared.things:
        thing = fleet.account.thing(name)
        assert thing is not None
        claimed = thing["attributes"][CLAIM]
        assert fleet.declared.registered(claimed) == thing
        bundles = [each.bundles / "devices" / name / "config.json" for each in (fleet.declared, other)]
        owners.append([json.loads(path.read_bytes())["certificateId"] for path in bundles].index(claimed))
    assert things == len(fleet.new_certificates())
    done = owners.count(0), owners.count(1)
    for ended, own in zip((first, second), done, strict=True):
        data = ended.envelope["data"]
        assert (own, things - own, 0) == (data["done"], data["conflict"], data["failed"])
        assert (0 if own == things else 3) == ended.code
        assert {"Conflict"} >= {error["code"] for error in ended.envelope["errors"]}
    return done
