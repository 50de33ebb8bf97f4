"""Carry out a plan: order, retries, pace, conflicts, the breaker."""

from __future__ import annotations

import threading
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from iotctl import breaker, clock, engine, pace, steps
from iotctl.errors import (
    Auth,
    Conflict,
    Denied,
    Error,
    Exists,
    Integrity,
    Interrupted,
    Local,
    NotFound,
    Refused,
    RolloutFailed,
    Temporary,
    Throttled,
    Timeout,
)
from iotctl.plan import Adopt, Either, Expect, Plan, Ref, Step, Use, Wait
from iotctl.target import Target
from iotctl.world import World

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from iotctl.journal import Outcome

_NAME = {"thingName": Ref("row.thingName")}
_MEMBERS = frozenset({"thingName", "name"})


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """As many retries as ever, closer together."""
    monkeypatch.setattr(steps, "WAITS", (0.001,) * len(steps.WAITS))


class _Account:
    """What is called, in order; `answer(op, params, n)` is the n-th answer (from 1) to the same call."""

    def __init__(self, answer: Callable[[str, dict[str, Any], int], dict[str, Any]] = lambda *_: {}) -> None:
        self.calls: list[tuple[str, str]] = []
        self._answer = answer
        self._counts: Counter[tuple[str, str]] = Counter()
        self._lock = threading.Lock()

    def __call__(self, op: str, *, once: bool = False, **params: Any) -> dict[str, Any]:
        assert once, "the engine retries; a call is one attempt"
        key = (op, str(params.get("thingName", "")))
        with self._lock:
            self.calls.append(key)
            self._counts[key] += 1
            number = self._counts[key]
        return self._answer(op, params, number)


def _plan(*each: Step, things: int = 3, **changes: Any) -> Plan:
    rows = tuple({"thingName": f"t{n}", "line": n + 2, "groups": ["g1", "g2"], "none": None} for n in range(things))
    values: dict[str, Any] = {"each": each, "rows": rows, **changes}
    return Plan("onboard apply", "r1", Target("aws", "1", "us-east-1"), "register", **values)


def _world(account: _Account, **changes: Any) -> World:
    return World(**{"call": account, "members": lambda _: _MEMBERS, **changes})


def _run(plan: Plan, account: _Account, **changes: Any) -> dict[str, Outcome]:
    return {outcome.thing: outcome for outcome in engine.run(plan, _world(account, **changes))}


def _fails(error: Error, times: int = 10**9, op: str = "iot:A", thing: str = "") -> _Account:
    """An account that answers one operation (of one thing) with an error, so many times."""

    def answer(called: str, params: dict[str, Any], number: int) -> dict[str, Any]:
        if called == op and number <= times and thing in {"", params.get("thingName")}:
            raise error
        return {}

    return _Account(answer)


def test_shared_steps_come_first_and_steps_of_a_thing_in_order() -> None:
    """Every thing has its steps in the order of the plan, after all that is shared."""
    account = _Account()
    shared = (Step("iot:S1"), Step("iot:S2"))
    outcomes = _run(_plan(*(Step(f"iot:{op}", _NAME) for op in "ABC"), things=50, shared=shared), account)
    assert [("iot:S1", ""), ("iot:S2", "")] == account.calls[:2]
    assert {"done"} == {outcome.state for outcome in outcomes.values()}
    for thing in outcomes:
        assert ["iot:A", "iot:B", "iot:C"] == [op for op, of in account.calls if of == thing]


def test_things_go_in_parallel() -> None:
    """On an account that takes its time many things are in flight at once, as many as the quota allows."""
    lock, flying, most = threading.Lock(), 0, 0

    def answer(*_: object) -> dict[str, Any]:
        nonlocal flying, most
        with lock:
            flying += 1
            most = max(most, flying)
        clock.sleep(0.02)
        with lock:
            flying -= 1
        return {}

    assert 60 == len(_run(_plan(Step("iot:A", _NAME), things=60), _Account(answer), rates={"iot:A": 1000.0}))
    assert 2 <= most <= pace.MOST_WORKERS


def test_a_quick_account_needs_no_threads() -> None:
    """Threads that wait for nothing only take the interpreter from each other."""
    threads: set[str] = set()

    def answer(*_: object) -> dict[str, Any]:
        threads.add(threading.current_thread().name)
        return {}

    _run(_plan(Step("iot:A", _NAME), things=100), _Account(answer))
    assert {threading.main_thread().name} == threads


@pytest.mark.parametrize(
    ("error", "state"), [(Refused("no"), "failed"), (Conflict("no"), "conflict"), (Integrity("no"), "failed")]
)
def test_a_failing_thing_stops_only_itself(error: Error, state: str) -> None:
    """Its later steps are not tried; the other things are done."""
    account = _fails(error, thing="t1")
    outcomes = _run(_plan(Step("iot:A", _NAME), Step("iot:B", _NAME)), account)
    assert {"t0": "done", "t1": state, "t2": "done"} == {name: outcome.state for name, outcome in outcomes.items()}
    assert ("iot:B", "t1") not in account.calls
    assert outcomes["t1"].failure
    assert "t1" == outcomes["t1"].failure.on


@pytest.mark.parametrize(
    ("error", "times", "state", "calls"),
    [
        (Temporary("5xx"), 1, "done", 2),
        (Temporary("5xx"), 4, "done", 5),
        (Temporary("5xx"), 99, "failed", 5),
        (NotFound("not there"), 99, "failed", 1),
        (Refused("no"), 99, "failed", 1),
        (Throttled("slow down"), 8, "done", 9),
    ],
)
def test_retries(monkeypatch: pytest.MonkeyPatch, error: Error, times: int, state: str, calls: int) -> None:
    """What is temporary is tried five times, a throttle as often as it takes, a refusal once."""
    monkeypatch.setattr(pace.Pacer, "refused", lambda *_: None)
    account = _fails(error, times)
    outcomes = _run(_plan(Step("iot:A", _NAME), things=1), account)
    assert (state, calls) == (outcomes["t0"].state, len(account.calls))


def test_a_shared_step_is_throttled_as_often_as_it_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    """It has no line to go back to: its call is made again, and does not count as one that failed."""
    monkeypatch.setattr(pace.Pacer, "refused", lambda *_: None)
    account = _fails(Throttled("slow down"), 8, op="iot:S")
    outcomes = _run(_plan(Step("iot:A", _NAME), things=1, shared=(Step("iot:S"),)), account)
    assert ("done", 9) == (outcomes["t0"].state, account.calls.count(("iot:S", "")))


@pytest.mark.parametrize(("times", "state", "calls"), [(2, "done", 3), (99, "failed", 5)])
def test_what_was_just_created_may_not_be_seen_yet(times: int, state: str, calls: int) -> None:
    """AWS's registry is eventually consistent: in a plan that creates, NotFound is not believed at once."""
    account = _fails(NotFound("not yet"), times)
    outcomes = _run(_plan(Step("iot:CreateThing", _NAME), Step("iot:A", _NAME), things=1), account)
    assert (state, calls + 1) == (outcomes["t0"].state, len(account.calls))


def test_calls_are_spaced_by_their_quota() -> None:
    """Fifty calls a second for so many things take half a second, but for the burst that is allowed; never less."""
    started = clock.monotonic()
    _run(_plan(Step("iot:A", _NAME), things=61), _Account(), rates={"iot:A": 50.0})
    assert clock.monotonic() - started >= (61 - 1) / 50 - pace.FULL_CREDIT


def _taken(there: Mapping[str, Any]) -> _Account:
    def answer(op: str, params: dict[str, Any], _: int) -> dict[str, Any]:
        if op == "iot:Create":
            raise Exists("taken", cause="ResourceAlreadyExistsException")
        assert {"thingName"} == set(params), "a check gets the parameters that it shares with the step"
        return dict(there)

    return _Account(answer)


@pytest.mark.parametrize(
    ("there", "state", "reason"),
    [
        ({"a": {"id": "t0", "more": 1}, "document": '{ "x": 1 }'}, "done", ""),
        ({"a": {"id": "other"}, "document": '{"x":1}'}, "conflict", "a.id is other, not t0"),
        ({"a": {}, "document": '{"x":1}'}, "conflict", "a.id is absent, not t0"),
        ({"a": {"id": "t0"}, "document": '{"x":2}'}, "conflict", 'document is {"x":2}'),
    ],
)
def test_a_name_that_is_taken(there: Mapping[str, Any], state: str, reason: str) -> None:
    """Success when all that was expected holds (JSON texts as JSON), else a conflict that names the difference."""
    expected = (
        Expect("a.id", Ref("row.thingName"), op="iot:Describe"),
        Expect("a", Ref("row.none"), op="iot:Describe"),
        Expect("document", '{"x":1}', op="iot:Describe"),
    )
    step = Step("iot:Create", {**_NAME, "other": 1}, name="made", on_exists=expected)
    outcome = _run(_plan(step, things=1), _taken(there))["t0"]
    assert state == outcome.state
    assert reason in (outcome.failure.message if outcome.failure else "")


def test_a_taken_name_without_expectations_is_a_conflict() -> None:
    """Nothing says that it is ours."""
    assert "conflict" == _run(_plan(Step("iot:Create", _NAME), things=1), _taken({}))["t0"].state


@pytest.mark.parametrize(
    ("answer", "state", "code", "calls"),
    [
        ({"id": "t0"}, "done", None, 1),
        ({"id": "other"}, "failed", "Integrity", 1),
        ({}, "failed", "NoUsableAnswer", 1),
    ],
)
def test_an_answer_is_checked(answer: dict[str, Any], state: str, code: str | None, calls: int) -> None:
    """Another id is an integrity error, an answer without it no usable answer; neither is believed."""
    account = _Account(lambda *_: answer)
    outcome = _run(_plan(Step("iot:A", _NAME, expect=Expect("id", Ref("row.thingName"))), things=1), account)["t0"]
    assert (state, code) == (outcome.state, outcome.failure.code if outcome.failure else None)
    assert calls == len(account.calls)


@pytest.mark.parametrize(
    ("there", "expected"), [(True, ["iot-data:Get"]), (False, ["iot-data:Get", "iot-data:Update"])]
)
def test_a_step_is_skipped_where_something_is_found(there: bool, expected: list[str]) -> None:
    """The read shares the parameters; absence is believed at once."""
    account = _Account() if there else _fails(NotFound("no shadow"), op="iot-data:Get")
    _run(_plan(Step("iot-data:Update", {**_NAME, "payload": "{}"}, unless_found="iot-data:Get"), things=1), account)
    assert expected == [op for op, _ in account.calls]


@pytest.mark.parametrize(("path", "items"), [("row.groups", ["g1", "g2"]), ("row.none", []), ("row.line", [2])])
def test_a_step_for_each(path: str, items: list[object]) -> None:
    """Once for each element, once for one value, not at all for none."""
    seen: list[object] = []

    def answer(_op: str, params: dict[str, Any], _number: int) -> dict[str, Any]:
        seen.append(params["item"])
        return {}

    _run(_plan(Step("iot:A", {"item": Ref("item")}, for_each=Ref(path)), things=1), _Account(answer))
    assert items == seen


def test_answers_and_effects_are_known_to_later_steps() -> None:
    """Effects run on whole batches, on the caller's thread; one bad answer is one failed thing."""
    sizes: list[int] = []

    def effect(batch: Sequence[Mapping[str, Any]]) -> list[dict[str, Any] | Error]:
        assert threading.current_thread() is threading.main_thread()
        sizes.append(len(batch))
        return [Integrity("damaged") if one["name"] == "t3" else {"id": f"c-{one['name']}"} for one in batch]

    seen: list[str] = []

    def answer(_op: str, params: dict[str, Any], _number: int) -> dict[str, Any]:
        seen.append(params["id"])
        return {}

    plan = _plan(
        Step("file:Bundle", {"name": Ref("row.thingName")}, name="bundle"),
        Step("iot:A", {"id": Ref("bundle.id")}),
        things=3 * engine.FIRST_BATCH + 1,
        shows={"id": Ref("bundle.id"), "none": Ref("bundle.none")},
    )
    outcomes = _run(plan, _Account(answer), effects={"file:Bundle": effect})
    assert [engine.FIRST_BATCH, 2 * engine.FIRST_BATCH, 1] == sizes
    assert ({"id": "c-t0"}, "failed") == (outcomes["t0"].shown, outcomes["t3"].state)
    assert {f"c-t{n}" for n in range(3 * engine.FIRST_BATCH + 1)} - {"c-t3"} == set(seen)


@pytest.mark.parametrize(
    ("error", "tried"),
    [
        (Auth("expired"), 1),
        (Local("disk full"), 1),
        (Denied("not allowed"), breaker.DENIALS),
        (Refused("no"), breaker.EQUAL_FAILURES),
        (Temporary("down"), breaker.EQUAL_FAILURES),
    ],
)
@pytest.mark.parametrize("where", ["call", "effect"])
def test_the_breaker_ends_a_run_that_cannot_succeed(error: Error, tried: int, where: str) -> None:
    """Bad credentials and a full disk at once, a missing permission after three, equal failures after twenty."""
    effects = {"file:E": lambda batch: [error if where == "effect" else {} for _ in batch]}
    plan = _plan(Step("file:E", name="e"), Step("iot:A", _NAME), things=100)
    outcomes: list[Outcome] = []
    with pytest.raises(type(error)) as caught:
        outcomes.extend(engine.run(plan, _world(_fails(error), effects=effects)))
    assert error.code == caught.value.code


def test_what_settled_before_the_breaker_has_been_told() -> None:
    """The run's record is whole: the failures that broke it are in it, the rest stays planned."""
    told: list[Outcome] = []
    running = engine.run(_plan(Step("iot:A", _NAME), things=100), _world(_fails(Refused("no"))))
    with pytest.raises(Refused, match="20 things in a row failed alike; the last: no"):
        told.extend(running)
    assert breaker.EQUAL_FAILURES == len(told)


@pytest.mark.parametrize("error", [Conflict("taken"), Exists("taken")])
def test_conflicts_never_break_a_run(error: Error) -> None:
    """They are the rows' own: a second machine that runs the same file sees nothing else."""
    assert 100 == len(_run(_plan(Step("iot:A", _NAME), things=100), _fails(error)))


def test_unequal_failures_never_break_a_run() -> None:
    """Any success or another error in between starts the count anew."""

    def answer(_op: str, params: dict[str, Any], _number: int) -> dict[str, Any]:
        if int(params["thingName"][1:]) % 10:
            raise Refused("no")
        return {}

    assert 100 == len(_run(_plan(Step("iot:A", _NAME), things=100), _Account(answer)))


def test_a_shared_step_that_fails_ends_the_run_before_any_thing() -> None:
    """Nothing of the rows is tried."""
    account = _fails(Conflict("another policy"), op="iot:S")
    with pytest.raises(Conflict):
        _run(_plan(Step("iot:A", _NAME), shared=(Step("iot:S"),)), account)
    assert [("iot:S", "")] == account.calls


@pytest.mark.parametrize(
    ("error", "back"), [(RolloutFailed("no"), True), (Timeout("late"), False), (Interrupted("stop"), False)]
)
def test_a_verdict_of_no_has_its_way_back(error: Error, back: bool) -> None:
    """Before the run ends; a wait that was cut short is no verdict."""
    account = _fails(error, op="iot:S")
    judged = Step("iot:S", otherwise=(Step("iot:B"),))
    with pytest.raises(type(error)):
        _run(_plan(Step("iot:A", _NAME), shared=(judged,)), account)
    assert ["iot:S", *(["iot:B"] if back else [])] == [op for op, _ in account.calls]


def test_a_shared_step_for_each_of_a_list() -> None:
    """Of values that the plan knows itself; the plan counts them."""
    account = _fails(Conflict("x"), op="none")
    plan = _plan(things=0, shared=(Step("iot:A", {"thingName": Ref("item")}, for_each=("a", "b")),))
    _run(plan, account)
    assert ([("iot:A", "a"), ("iot:A", "b")], {"iot:A": 2}) == (account.calls, plan.operations())


def test_what_is_settled_is_skipped() -> None:
    """The journal says what is done."""
    account = _Account()
    outcomes = _run(_plan(Step("iot:A", _NAME)), account, settled=lambda _: frozenset({"t0", "t2"}))
    assert (["t1"], [("iot:A", "t1")]) == (list(outcomes), account.calls)


def test_a_bug_in_a_step_is_raised_on_the_callers_thread() -> None:
    """Not an outcome, and no hanging thread."""

    def answer(*_: object) -> dict[str, Any]:
        raise ZeroDivisionError

    before = threading.active_count()
    with pytest.raises(ZeroDivisionError):
        _run(_plan(Step("iot:A", _NAME)), _Account(answer))
    assert before == threading.active_count()


def test_stopping_lets_what_is_in_flight_finish_its_step() -> None:
    """After the stop no new step begins: things are whole, or stay planned."""
    stop = threading.Event()

    def answer(op: str, params: dict[str, Any], _number: int) -> dict[str, Any]:
        if params["thingName"] == "t5":
            stop.set()
        return {}

    account = _Account(answer)
    outcomes = _run(_plan(Step("iot:A", _NAME), Step("iot:B", _NAME), things=1200), account, stop=stop)
    states = Counter(outcome.state for outcome in outcomes.values())
    assert {"done", "planned"} == set(states)
    assert engine.FIRST_BATCH * (1 + 2 + 4 + 8) >= len(outcomes), "no batch was made after it"
    assert 20 > states["done"]
    for outcome in outcomes.values():
        if outcome.failure:
            assert Interrupted.word == outcome.failure.code


def test_rows_stream() -> None:
    """The first batch is small, so that calls begin at once; no more than one is taken before it is worked on."""
    taken = 0

    class Rows:
        def __len__(self) -> int:
            return 10**6

        def __iter__(self) -> Any:
            nonlocal taken
            for number in range(10**6):
                taken += 1
                yield {"thingName": f"t{number}", "line": number}

    running = engine.run(_plan(Step("iot:A", _NAME), rows=Rows()), _world(_Account()))
    next(running)
    assert engine.FIRST_BATCH == taken
    for settled in range(2, 4 * engine.BATCH):
        next(running)
        assert taken <= settled + 1.5 * engine.BATCH
    running.close()


def test_poll_waits_for_a_state(monkeypatch: pytest.MonkeyPatch) -> None:
    """It reads until done; at the deadline the work goes on and the command says so."""
    monkeypatch.setattr(clock, "sleep", lambda _: None)
    answers = iter([1, 2, 3])
    assert 3 == engine.poll(lambda: next(answers), lambda answer: answer == 3, seconds=60, what="three")
    with pytest.raises(Timeout, match="four did not happen within 0 s"):
        engine.poll(lambda: 0, lambda _: False, seconds=0, what="four")


def test_waiting_for_what_must_become_true() -> None:
    """After the steps it is read again and again; the things for which it did not become true are named."""
    reads: Counter[str] = Counter()

    def answer(op: str, params: dict[str, Any], _number: int = 0) -> dict[str, Any]:
        assert "iot-data:Get" == op
        reads[params["thingName"]] += 1
        if params["thingName"] == "t2":
            raise NotFound("no shadow")
        return {"payload": b'{"state":{"a":1}}' if params["thingName"] == "t0" else b"{}"}

    wait = Wait("iot-data:Get", _NAME, (Expect("payload.state.a", 1),), 0.0, "reported")
    world = _world(_Account())
    world.call = lambda op, **params: answer(op, params)
    assert ["t1", "t2"] == engine.still_waiting(_plan(things=4, wait=wait), world, {"t3"})
    assert {"t0", "t1", "t2"} == set(reads)


@pytest.mark.parametrize(("wanted", "expected"), [("t0", ["iot:A"]), ("t1", [])])
def test_a_step_happens_only_when_its_condition_holds(wanted: str, expected: list[str]) -> None:
    """Judged by what is known of the thing by then."""
    account = _Account()
    _run(_plan(Step("iot:A", _NAME, when=Expect("row.thingName", wanted)), things=1), account)
    assert expected == [op for op, _ in account.calls]


@pytest.mark.parametrize("code", ["DeleteConflictException", "InvalidRequestException", "CertificateStateException"])
def test_what_aws_does_not_let_happen_yet_is_tried_again(monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    """A detachment takes its time; when the time is over the row says so, and resumes."""
    monkeypatch.setattr(steps, "SETTLING", (0.001,))
    step = Step("iot:A", _NAME, settles=0.2)
    assert "done" == _run(_plan(step, things=1), _fails(Refused("attached", code=code), times=5))["t0"].state
    outcome = _run(_plan(step, things=1), _fails(Refused("attached", code=code)))["t0"]
    assert outcome.failure
    assert ("failed", code) == (outcome.state, outcome.failure.code)
    other = _fails(Refused("no", code="MalformedPolicyException"))
    assert "failed" == _run(_plan(step, things=1), other)["t0"].state
    assert 1 == len(other.calls)


def test_an_answer_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Until it holds what was expected; many that never answer end nothing; where it is in vain, it is given up."""
    monkeypatch.setattr(steps, "SETTLING", (0.001,))

    def answer(op: str, params: dict[str, Any], number: int) -> dict[str, Any]:
        if (op, params["thingName"]) == ("iot:A", "t0") and number < 4:
            raise NotFound("no shadow yet")
        return {"state": {"csr": "r1" if params["thingName"] == "t0" else "r0"}}

    step = Step(
        "iot:A", _NAME, until=Expect("state.csr", "r1"), settles=0.05, hint="nobody has asked", gives_up="file:V"
    )
    later = Step("iot:B", _NAME)

    def in_vain(batch: Sequence[Mapping[str, Any]]) -> list[dict[str, Any] | Error]:
        return [Refused("it has failed", code="DeviceFailed") if one["thingName"] == "t1" else {} for one in batch]

    account = _Account(answer)
    outcomes = _run(_plan(step, later, things=60), account, effects={"file:V": in_vain})
    assert ("done", ["t0"]) == (outcomes["t0"].state, [name for op, name in account.calls if op == "iot:B"])
    codes = Counter(outcome.failure.code for outcome in outcomes.values() if outcome.failure)
    assert {"DeviceFailed": 1, "Unanswered": 58} == codes
    failure = outcomes["t2"].failure
    assert failure
    assert "nobody has asked within 0.05 s" == failure.message


@pytest.mark.parametrize(("reads", "expected"), [(1, "removed"), (10**9, "stays")])
def test_what_is_still_used_stays_and_is_told(monkeypatch: pytest.MonkeyPatch, reads: int, expected: str) -> None:
    """Only where the last look finds a user: AWS's listings lag."""
    monkeypatch.setattr(steps, "SETTLING", (0.001,))
    told: list[str] = []
    removed = False

    def answer(op: str, params: dict[str, Any], number: int) -> dict[str, Any]:
        nonlocal removed
        removed |= op == "iot:Delete"
        return {"things": ["pump"]} if op == "iot:List" and number <= reads else {"things": []}

    step = Step("iot:Delete", {"name": "g"}, settles=0.05, unless_used=(Use("iot:List", "things"),))
    _run(_plan(after=(step,)), _Account(answer), say=told.append)
    assert (expected == "removed") == removed
    assert ([] if removed else ["g stays: pump still uses it (iot:Delete)"]) == told


def test_effects_that_close_a_thing_come_last_and_in_batches() -> None:
    """Only for things whose steps are done; a bad answer is one failed thing."""
    sizes: list[int] = []

    def effect(batch: Sequence[Mapping[str, Any]]) -> list[dict[str, Any] | Error]:
        sizes.append(len(batch))
        return [Integrity("changed") if one["name"] == "t3" else {"to": "revoked"} for one in batch]

    closing = Step("file:Close", {"name": Ref("row.thingName")}, name="closed")
    plan = _plan(Step("iot:A", _NAME), closing, things=120, shows={"to": Ref("closed.to")})
    outcomes = _run(plan, _fails(Refused("no"), thing="t7"), effects={"file:Close": effect})
    assert 119 == sum(sizes)
    assert engine.CLOSED_AT_ONCE >= max(sizes)
    states = {name: outcome.state for name, outcome in outcomes.items()}
    assert ("failed", "failed", "done", 120) == (states["t3"], states["t7"], states["t0"], len(outcomes))
    assert {"to": "revoked"} == outcomes["t0"].shown


@pytest.mark.parametrize(("thing", "after"), [("none", True), ("t1", False)])
def test_what_comes_after_waits_for_every_thing(thing: str, after: bool) -> None:
    """Where one is not done, what all share is still needed; what was settled before counts as done."""
    account = _fails(Refused("no"), thing=thing)
    _run(_plan(Step("iot:A", _NAME), after=(Step("iot:Z"),)), account, settled=lambda _: frozenset({"t0"}))
    assert after == (("iot:Z", "") in account.calls)


_ADOPT = Step(
    "iot:Create",
    _NAME,
    on_exists=(Expect("claim", Either(("mine", "adopted")), op="iot:Describe"),),
    adopt=Adopt(
        "claim",
        (Expect("type", "press"),),
        Step("iot:Update", {**_NAME, "version": Ref("found.version")}),
    ),
)


@pytest.mark.parametrize(
    ("there", "state", "updates"),
    [
        ({"type": "press", "version": 1}, "done", 1),
        ({"type": "press", "version": 1, "claim": "mine"}, "done", 0),
        ({"type": "press", "version": 1, "claim": "adopted"}, "done", 0),
        ({"type": "press", "version": 1, "claim": "theirs"}, "conflict", 0),
        ({"type": "other", "version": 1}, "conflict", 0),
    ],
)
def test_what_nobody_has_claimed_is_adopted(there: dict[str, Any], state: str, updates: int) -> None:
    """Only where it keeps what it is; whoever changes it meanwhile is seen, and it is looked at again."""
    held, versions = dict(there), []

    def answer(op: str, params: dict[str, Any], number: int) -> dict[str, Any]:
        if op == "iot:Create":
            raise Exists("taken")
        if op == "iot:Update":
            versions.append(params["version"])
            if number == 1:
                held["version"] += 1
                raise Conflict("changed", code="VersionConflictException")
            held["claim"] = "adopted"
        return dict(held)

    outcome = _run(_plan(_ADOPT, things=1), _Account(answer))["t0"]
    assert (state, [1, 2] if updates else []) == (outcome.state, versions)


@pytest.mark.parametrize(("times", "state", "calls"), [(2, "done", 3), (99, "failed", 5)])
def test_what_was_done_is_looked_at_a_few_times(times: int, state: str, calls: int) -> None:
    """AWS's listings lag; what then still differs is the row's failure."""
    account = _Account(
        lambda _op, _params, number: {"policies": [{"name": "p"}, {"name": "q"}] if number > times else []}
    )
    step = Step("iot:List", _NAME, expect=Expect("policies", {"name": "q"}, within=True), verifies=True)
    outcome = _run(_plan(step, things=1), account)["t0"]
    assert (state, calls) == (outcome.state, len(account.calls))
    assert outcome.failure is None or outcome.failure.code == "Verify"
