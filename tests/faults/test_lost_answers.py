"""Calls that are refused, lost, or applied with their answer lost: the invariants hold, the exit code says what."""

from __future__ import annotations

import os
import random
import re
import signal
from typing import TYPE_CHECKING

import pytest

from iotctl import clock
from tests.faults.proxy import Proxy

if TYPE_CHECKING:
    from collections.abc import Callable

    from iotctl.target import Platform
    from tests.faults.invariants import Watch
    from tests.faults.proxy import Plan
    from tests.faults.stage import Job, Stage

CREATE_THING = ("POST", "/things/")
REGISTER = ("POST", "/certificate/register-no-ca")
ATTACH = ("PUT", "/things/")
ATTACH_POLICY = ("PUT", "/target-policies/")


def is_change(method: str, path: str) -> bool:
    """Whether a call changes the account; POST / is sts:GetCallerIdentity."""
    return method != "GET" and path != "/"


def first_of_each(fault: str) -> Plan:
    """Break the first CreatePolicy, and each change of a thing once; it goes through when it is sent again."""
    seen: set[tuple[str, str]] = set()

    def plan(_: int, method: str, path: str) -> str | None:
        # Shared resources are made by calls like a thing's; CreatePolicy is the one that is not safe to repeat.
        shared = path.startswith(("/thing-types/", "/billing-groups/", "/thing-groups/")) and method == "POST"
        if not is_change(method, path) or shared or (method, path) in seen:
            return None
        seen.add((method, path))
        return fault

    return plan


def every(operation: tuple[str, str], fault: str) -> Plan:
    """Break every call of one operation."""
    return lambda _, method, path: fault if method == operation[0] and path.startswith(operation[1]) else None


def once(operations: set[tuple[str, str]], fault: str) -> Plan:
    """Break the first call of each of these operations."""
    left = set(operations)

    def plan(_: int, method: str, path: str) -> str | None:
        found = next((each for each in left if method == each[0] and path.startswith(each[1])), None)
        if found is None:
            return None
        left.remove(found)
        return fault

    return plan


@pytest.mark.parametrize(
    "fault",
    ["throttle", "fail", "unavailable", "reset", "garbage", "fail-after", "reset-after", "cut-after", "garbage-after"],
)
def test_a_fault_on_the_first_try_of_every_change_is_overcome(
    fault: str, own: Platform, stage: Stage, watch: Callable[[int], Watch], job: Callable[..., Job]
) -> None:
    """Whether the change was applied or not, the run ends well with one certificate, and sends nothing a third time."""
    fleet = watch(1)
    with Proxy(own.http_url, first_of_each(fault)) as proxy:
        ended = stage.run(job(fleet.declared, AWS_ENDPOINT_URL=proxy.url))
    assert (0, "") == (ended.code, "" if ended.code == 0 else ended.stderr)
    assert [] == fleet.ended()
    assert [2, 2, 2, 2] == [proxy.sent(*operation) for operation in (CREATE_THING, REGISTER, ATTACH, ATTACH_POLICY)]


def test_an_answer_that_never_comes_is_given_up_and_the_call_made_again(
    own: Platform, stage: Stage, watch: Callable[[int], Watch], job: Callable[..., Job]
) -> None:
    """A read timeout after the change was applied leaves no second certificate."""
    fleet = watch(1)
    with Proxy(own.http_url, once({CREATE_THING, REGISTER, ATTACH_POLICY}, "hang-after")) as proxy:
        ended = stage.run(job(fleet.declared, AWS_ENDPOINT_URL=proxy.url, read_timeout=0.5))
    assert (0, "") == (ended.code, "" if ended.code == 0 else ended.stderr)
    assert [] == fleet.ended()
    assert [2, 2] == [proxy.sent(*CREATE_THING), proxy.sent(*REGISTER)]


def test_a_registry_that_does_not_know_yet_what_was_just_made_is_asked_again(
    own: Platform, stage: Stage, watch: Callable[[int], Watch], job: Callable[..., Job]
) -> None:
    """NotFound right after a create is not believed at once: AWS's registry is eventually consistent."""
    fleet = watch(1)
    groups = ("PUT", "/thing-groups/addThingToThingGroup")
    with Proxy(own.http_url, once({ATTACH, groups, ATTACH_POLICY}, "not-found")) as proxy:
        ended = stage.run(job(fleet.declared, AWS_ENDPOINT_URL=proxy.url))
    assert 0 == ended.code
    assert [] == fleet.ended()


def test_a_burst_of_throttling_slows_the_run_and_fails_nothing(
    own: Platform, stage: Stage, watch: Callable[[int], Watch], job: Callable[..., Job]
) -> None:
    """With three in ten changes refused for their rate, everything is done in the end."""
    fleet = watch(5)
    dice = random.Random(429)
    with Proxy(
        own.http_url,
        lambda _, method, path: "throttle" if is_change(method, path) and dice.random() < 0.3 else None,
    ) as proxy:
        ended = stage.run(job(fleet.declared, AWS_ENDPOINT_URL=proxy.url))
    assert 0 == ended.code
    assert [] == fleet.ended()


@pytest.mark.parametrize(("fault", "code"), [("fail", "InternalFailureException"), ("garbage-after", "NoUsableAnswer")])
def test_a_thing_whose_calls_keep_failing_stops_only_itself(
    fault: str, code: str, own: Platform, stage: Stage, watch: Callable[[int], Watch], job: Callable[..., Job]
) -> None:
    """A 500 or a stranger's page for every CreateThing of one thing: five tries, its row failed, others done."""
    fleet = watch(3)
    with Proxy(own.http_url, every(("POST", f"/things/{fleet.declared.things[1]}"), fault)) as proxy:
        ended = stage.run(job(fleet.declared, AWS_ENDPOINT_URL=proxy.url))
    assert (3, 2, 1) == (ended.code, ended.envelope["data"]["done"], ended.envelope["data"]["failed"])
    assert [code] == [error["code"] for error in ended.envelope["errors"]]
    assert 5 == proxy.sent("POST", f"/things/{fleet.declared.things[1]}")
    assert [] == fleet.now()
    assert 0 == stage.run(job(fleet.declared)).code
    assert [] == fleet.ended()


@pytest.mark.parametrize("call", [3, 10, 14, 17, 19])
def test_expired_credentials_stop_the_run_at_once(
    call: int, own: Platform, stage: Stage, watch: Callable[[int], Watch], job: Callable[..., Job]
) -> None:
    """Whichever call finds them expired: exit 7, nothing more is sent, and fresh credentials resume."""
    fleet = watch(1)
    with Proxy(own.http_url, lambda number, _method, _path: "expired" if number >= call else None) as proxy:
        ended = stage.run(job(fleet.declared, AWS_ENDPOINT_URL=proxy.url))
    assert (7, call) == (ended.code, len(proxy.calls))
    assert {"ExpiredTokenException"} == {error["code"] for error in ended.envelope["errors"]}
    assert [] == fleet.now()
    assert 0 == stage.run(job(fleet.declared)).code
    assert [] == fleet.ended()


def test_credentials_that_expire_among_many_things_leave_the_rest_planned(
    own: Platform, stage: Stage, watch: Callable[[int], Watch], job: Callable[..., Job]
) -> None:
    """What is in flight may be refused too; no thing is begun after that, and the next run does the rest."""
    fleet = watch(12)
    with Proxy(own.http_url, lambda number, _method, _path: "expired" if number >= 50 else None) as proxy:
        ended = stage.run(job(fleet.declared, AWS_ENDPOINT_URL=proxy.url))
    assert 7 == ended.code
    assert ended.envelope["data"]["planned"] > 0
    assert [] == fleet.now()
    assert 0 == stage.run(job(fleet.declared)).code
    assert [] == fleet.ended()


def test_a_missing_permission_stops_the_run_after_three_things_and_is_named(
    own: Platform, stage: Stage, watch: Callable[[int], Watch], job: Callable[..., Job]
) -> None:
    """AccessDenied on one operation, three things in a row: exit 7 with the operation's name; it is not retried."""
    fleet = watch(5)
    with Proxy(own.http_url, every(ATTACH_POLICY, "denied")) as proxy:
        ended = stage.run(job(fleet.declared, AWS_ENDPOINT_URL=proxy.url))
    assert 7 == ended.code
    assert "iot:AttachPolicy" in ended.stderr + ended.stdout
    assert 3 <= proxy.sent(*ATTACH_POLICY) <= 5
    assert [] == fleet.now()
    assert 0 == stage.run(job(fleet.declared)).code
    assert [] == fleet.ended()


def test_a_hard_limit_fails_the_row_and_is_not_tried_again(
    own: Platform, stage: Stage, watch: Callable[[int], Watch], job: Callable[..., Job]
) -> None:
    """LimitExceededException (410) is sent once; the row failed, exit 3, and it resumes once there is room."""
    fleet = watch(1)
    with Proxy(own.http_url, every(ATTACH_POLICY, "limit")) as proxy:
        ended = stage.run(job(fleet.declared, AWS_ENDPOINT_URL=proxy.url))
    assert (3, 1) == (ended.code, proxy.sent(*ATTACH_POLICY))
    (error,) = ended.envelope["errors"]
    assert ("LimitExceededException", True) == (error["code"], "quota" in error["hint"])
    assert [] == fleet.now()
    assert 0 == stage.run(job(fleet.declared)).code
    assert [] == fleet.ended()


def test_a_clock_that_is_off_is_told_with_the_seconds(
    own: Platform, stage: Stage, watch: Callable[[int], Watch], job: Callable[..., Job]
) -> None:
    """A signature refused by a server whose clock is twenty minutes ahead: exit 7 at once, with the measured skew."""
    fleet = watch(1)
    with Proxy(own.http_url, every(CREATE_THING, "skew")) as proxy:
        ended = stage.run(job(fleet.declared, AWS_ENDPOINT_URL=proxy.url))
    assert (7, 1) == (ended.code, proxy.sent(*CREATE_THING))
    assert re.search(r"the clock of this machine is -(1199|120\d) s off AWS's", ended.stdout)
    assert 0 == stage.run(job(fleet.declared)).code
    assert [] == fleet.ended()


def test_a_second_interrupt_ends_a_run_that_waits_for_an_answer(
    own: Platform, stage: Stage, watch: Callable[[int], Watch], job: Callable[..., Job]
) -> None:
    """The first Ctrl-C lets what is in flight finish; the second does not wait, and is as safe: exit 130."""
    fleet = watch(1)
    with Proxy(own.http_url, once({REGISTER}, "hang-after")) as proxy:
        running = stage.start(job(fleet.declared, AWS_ENDPOINT_URL=proxy.url))
        until(lambda: len(fleet.new_certificates()) == 1)
        # Two that come within a moment count as one, so the key is pressed until it helps.
        until(lambda: interrupted(running.pid))
        assert 130 == running.end().code
        assert "hang-after" == proxy.calls[-1].fault
    assert [] == fleet.now()
    assert 0 == stage.run(job(fleet.declared)).code
    assert [] == fleet.ended()


def interrupted(pid: int) -> bool:
    """Press Ctrl-C; whether the process had ended before."""
    try:
        os.kill(pid, signal.SIGINT)
    except ProcessLookupError:
        return True
    return False


def until(condition: Callable[[], bool]) -> None:
    """Wait until it holds."""
    deadline = clock.monotonic() + 30
    while not condition():
        assert clock.monotonic() < deadline
        clock.sleep(0.02)
