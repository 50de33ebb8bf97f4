"""What is about to happen, as data: steps that are AWS operations, values known only later, and the rows they apply to.

A plan wholly describes its run: dry run, journal header, resume, the time it must take at the account's quotas and the
IAM policy it needs are all read off it. The rows stream; a million of them are never in memory at once.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from iotctl import text
from iotctl.semantics import permissions, quotas

if TYPE_CHECKING:
    from iotctl.target import Target

Row = Mapping[str, Any]
"""One thing's values, as plain JSON. `thingName` and `line` (in its file) are always there."""


def run_identity(inputs: object) -> str:
    """The id of the run that these inputs (a JSON value) declare: the same words resume the same run."""
    return hashlib.sha256(text.canonical(inputs).encode()).hexdigest()[:12]


@dataclass(frozen=True, slots=True)
class Ref:
    """A value that is known when the step runs: a dotted path.

    The first word is `row`, `item` (the value that `for_each` stands at), or the `name` of an earlier step of the
    same thing, whose answer the rest looks into: `Ref("row.thingType")`, `Ref("certificate.certificatePem")`.
    """

    path: str

    def to_json(self) -> dict[str, str]:
        """The reference as a saved plan holds it."""
        return {"$ref": self.path}


@dataclass(frozen=True, slots=True)
class Merge:
    """Objects put together, the later ones' keys winning: what a row brings and what the plan adds."""

    parts: tuple[Any, ...]

    def to_json(self) -> dict[str, Any]:
        """The merge as a saved plan holds it."""
        return {"$merge": [_json(part) for part in self.parts]}


@dataclass(frozen=True, slots=True)
class Join:
    """Texts put together: an ARN's beginning, and the name that a row brings."""

    parts: tuple[Any, ...]

    def to_json(self) -> dict[str, Any]:
        """The text as a saved plan holds it."""
        return {"$join": [_json(part) for part in self.parts]}


@dataclass(frozen=True, slots=True)
class Either:
    """Values of which one must be there."""

    options: tuple[Any, ...]

    def to_json(self) -> dict[str, Any]:
        """The values as a saved plan holds them."""
        return {"$either": [_json(option) for option in self.options]}


@dataclass(frozen=True, slots=True)
class Expect:
    """What must hold for an answer to count as success.

    Attributes:
        path: dotted, into the answer.
        equals: a value or a Ref; an object is equal when every key it names is; JSON text is compared as JSON; what
            resolves to None was not declared, and anything equals it.
        op: the read that gives the answer; None: the step's own answer.
        params: of that read; those it shares by name with the step are added.
        within: what is found is a list, and one of its elements must be equal.
        hint: what to do where it does not hold; empty: what can be said of anything.

    """

    path: str
    equals: Any
    op: str | None = None
    params: Mapping[str, Any] = field(default_factory=dict)
    within: bool = False
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Use:
    """A read that finds who still uses something.

    Attributes:
        op: the read; the parameters that it shares by name with the step are added to `params`.
        path: dotted, into its answer: whatever is there, and not empty, uses it.

    """

    op: str
    path: str
    params: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Adopt:
    """What makes something that exists ours, where nobody has claimed it.

    Attributes:
        unclaimed: a path into the answer of the first read of `on_exists`; where nothing is there, nobody has.
        keeps: what must hold of that answer: adopting does not change it.
        step: is done then; its Refs may look into that answer as `found`.

    """

    unclaimed: str
    keeps: tuple[Expect, ...]
    step: Step


@dataclass(frozen=True, slots=True)
class Step:
    """One AWS operation, or one effect registered under the same kind of name (`file:PublishBundle`).

    Attributes:
        op: `service:Operation`, as botocore and IAM name them.
        params: AWS's own parameter names; values that are None or {} when resolved are left out.
        name: under which later steps of the same thing may refer to its answer.
        for_each: run once for each element (a list), or once (any other value), or not at all (None, empty).
        otherwise: of a shared step: what is done where it ends in RolloutFailed, before that ends the run.
        expect: what its own answer must hold; a difference is an Integrity error.
        on_exists: what must hold if the name is taken; all true is success, else it is a conflict.
        adopt: what is done first with something of that name that nobody has claimed; None: it stays as it is.
        verifies: it is a read that may not see yet what was done just before: it is believed after a few tries.
        hint: what to type next where it finds nothing, or is refused.
        absent_is_done: it removes something; where that is gone already, it is done.
        unless_found: a read with the same parameters; where it finds something, the step is skipped.
        when: what must hold of the scope (the row, earlier answers), else the step is skipped.
        unless_used: reads; where one finds a user, for as long as `settles`, the step is skipped, which is told.
        settles: seconds that AWS may take until what was done before lets this happen; refusals of state are tried
            again so long.
        until: what its answer must hold: until then it is done again and again, for `settles` seconds; `hint` says what
            it is that did not happen.
        gives_up: an effect that is asked, while it waits, whether that is in vain; its error ends it then.

    """

    op: str
    params: Mapping[str, Any] = field(default_factory=dict)
    name: str = ""
    for_each: Ref | tuple[Any, ...] | None = None
    expect: Expect | None = None
    on_exists: tuple[Expect, ...] = ()
    adopt: Adopt | None = None
    verifies: bool = False
    unless_found: str | None = None
    hint: str = ""
    absent_is_done: bool = False
    when: Expect | None = None
    unless_used: tuple[Use, ...] = ()
    settles: float = 0.0
    until: Expect | None = None
    gives_up: str = ""
    otherwise: tuple[Step, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The step as a saved plan holds it, only what is set."""
        value: dict[str, Any] = {"op": self.op, "params": _json(self.params)}
        if self.name:
            value["name"] = self.name
        if self.for_each:
            value["forEach"] = _json(self.for_each)
        if self.on_exists:
            value["onExists"] = [
                {"op": expect.op, "path": expect.path, "equals": _json(expect.equals)} for expect in self.on_exists
            ]
        if self.adopt:
            value["adopt"] = self.adopt.step.to_json()
        if self.verifies and self.expect:
            value["expect"] = {"path": self.expect.path, "equals": _json(self.expect.equals)}
        if self.unless_found:
            value["unlessFound"] = self.unless_found
        if self.when:
            value["when"] = {"path": self.when.path, "equals": _json(self.when.equals)}
        if self.until:
            value["until"] = {"path": self.until.path, "equals": _json(self.until.equals)}
        if self.unless_used:
            value["unlessUsed"] = [{"op": use.op, "path": use.path} for use in self.unless_used]
        if self.otherwise:
            value["otherwise"] = [step.to_json() for step in self.otherwise]
        return value

    def reads(self) -> Iterator[str]:
        """The reads that it may make besides its own operation."""
        yield from (expect.op for expect in self.on_exists if expect.op)
        yield from (use.op for use in self.unless_used)
        if self.adopt:
            yield self.adopt.step.op
        if self.unless_found:
            yield self.unless_found


@dataclass(frozen=True, slots=True)
class Wait:
    """What must become true of every thing after a plan's steps, read again and again.

    Attributes:
        op: the read, with its params (Refs into the row).
        holds: what its answer must hold.
        seconds: how long to wait for all of them.
        what: the things that do it, in words: "reported what was desired".

    """

    op: str
    params: Mapping[str, Any]
    holds: tuple[Expect, ...]
    seconds: float
    what: str


class Rows(Protocol):
    """The things of a plan: countable, and iterable more than once without being held in memory."""

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[Row]: ...


@dataclass(frozen=True, slots=True)
class Plan:
    """Shared steps once, then one sequence of steps per thing, then steps once more.

    Attributes:
        command: the words typed, e.g. "onboard apply".
        run_id: a hash of the inputs: the same inputs are the same run, so running again is the resume.
        target: account and region.
        summary: one line for the confirmation: what happens to how much.
        shared: steps done once, before the rows, in order.
        each: steps done for each row, in order; effects on this machine stand before or after all others.
        after: steps done once, in order, when every row is done.
        rows: the things.
        batch: how many of them go through the effects of this machine at a time; 0: as the engine thinks best.
        directory: where its journal and lock are; empty: the tool's state directory.
        calls: how many calls of an operation the rows make, where that is not one per row.
        shows: what is told of each thing once it has settled, Refs into its steps.
        noun: what its rows are.
        bulk: whether it is about many things, one failed one making it partial; else the one failure is its own code.
        wait: what must become true afterwards; None where the steps' own answers are the end of it.
        changes: what becomes of what is there, a line each, shown before anything is asked.
        warnings: what the operator should know before saying yes.
        follow: the words of the command that follows once it is done well.
        forgets: the run that this one takes back: what the journal holds of it is no longer so.
        report: the file in its directory that tells of its rows.
        settled: things of its rows that are known to be done, whatever the journal says.
        quotas: calls a second, by operation, where they are known of this account; AWS's defaults serve else.

    """

    command: str
    run_id: str
    target: Target
    summary: str
    shared: tuple[Step, ...] = ()
    each: tuple[Step, ...] = ()
    rows: Rows = ()
    batch: int = 0
    directory: str = ""
    calls: Mapping[str, int] = field(default_factory=dict)
    shows: Mapping[str, Any] = field(default_factory=dict)
    noun: str = "thing"
    bulk: bool = True
    wait: Wait | None = None
    changes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    follow: tuple[str, ...] = ()
    after: tuple[Step, ...] = ()
    forgets: str = ""
    report: str = "report.csv"
    settled: tuple[str, ...] = ()
    quotas: Mapping[str, float] = field(default_factory=dict)

    def operations(self) -> dict[str, int]:
        """How many calls of each AWS operation, in the order of the steps."""
        found: dict[str, int] = {}
        for step in (*self.shared, *self.after):
            if not step.op.startswith("file:"):
                times = len(step.for_each) if isinstance(step.for_each, tuple) else 1
                found[step.op] = found.get(step.op, 0) + times
        for step in self.each:
            if not step.op.startswith("file:"):
                found[step.op] = found.get(step.op, 0) + self.calls.get(step.op, len(self.rows))
        return {op: number for op, number in found.items() if number}

    def duration(self) -> tuple[float, str]:
        """The least seconds it must take at the quotas, and the operation whose quota binds.

        Operations overlap, so the slowest one decides.
        """
        rates = {**quotas.DEFAULTS, **self.quotas}
        needs = {op: number / rates[op] for op, number in self.operations().items() if op in rates}
        binding = max(needs, key=lambda op: needs[op], default="")
        return needs.get(binding, 0.0), binding

    def pace(self) -> str:
        """How long it must take, and which quota binds; empty where nothing is known to be throttled."""
        seconds, binding = self.duration()
        # The local platform tells of quotas only where it enforces them.
        if not binding or (self.target.kind == "local" and not self.quotas):
            return ""
        whose = "this account's" if self.quotas else "AWS's default"
        return f"at {whose} quotas this takes at least {text.lasting(seconds)}; {binding} binds"

    def iam_actions(self) -> tuple[str, ...]:
        """The IAM actions it needs, those of its checks too."""
        made = self.operations()
        steps = [step for step in (*self.shared, *self.each, *self.after) if step.op in made]
        return permissions.actions([*made, *(op for step in steps for op in step.reads())])

    def to_json(self) -> dict[str, Any]:
        """The plan without its rows, as `--dry-run -o json` prints it."""
        seconds, binding = self.duration()
        return {
            "command": self.command,
            "runId": self.run_id,
            "target": self.target.to_json(),
            "summary": self.summary,
            "things": len(self.rows),
            "operations": self.operations(),
            "leastSeconds": round(seconds, 1),
            "bindingQuota": binding,
            "iamActions": list(self.iam_actions()),
            "shared": [step.to_json() for step in self.shared],
            "each": [step.to_json() for step in self.each],
            **({"after": [step.to_json() for step in self.after]} if self.after else {}),
            "changes": list(self.changes),
            "warnings": list(self.warnings),
        }


def lookup(path: str, scope: Mapping[str, Any]) -> Any:  # noqa: ANN401  an answer's member is any JSON value
    """The value at a dotted path, None where any part of it is absent.

    Keys may hold dots (attribute names do): the longest key that fits is taken. Bytes in between are a document (a
    shadow's payload), and looked into as JSON.
    """
    value: Any = scope
    words = path.split(".")
    while words:
        if isinstance(value, bytes):
            value = json.loads(value)
        if not isinstance(value, Mapping):
            return None
        for size in range(len(words), 0, -1):
            key = ".".join(words[:size])
            if key in value:
                value, words = value[key], words[size:]
                break
        else:
            return None
    return value


def resolve(value: Any, scope: Mapping[str, Any]) -> Any:  # noqa: ANN401  params are any JSON value
    """The same value with every Ref replaced by what it points to.

    An object's members that come out as None or {} are left out.
    """
    if isinstance(value, Ref):
        return lookup(value.path, scope)
    if isinstance(value, Either):
        return Either(tuple(resolve(option, scope) for option in value.options))
    if isinstance(value, Join):
        return "".join(str(resolve(part, scope)) for part in value.parts)
    if isinstance(value, Merge):
        return {key: item for part in value.parts for key, item in (resolve(part, scope) or {}).items()}
    if isinstance(value, Mapping):
        found = {key: resolve(item, scope) for key, item in value.items()}
        return {key: item for key, item in found.items() if item is not None and item != {}}
    if isinstance(value, list | tuple):
        return [resolve(item, scope) for item in value]
    return value


def _json(value: Any) -> Any:  # noqa: ANN401
    if isinstance(value, Ref | Merge | Join | Either):
        return value.to_json()
    if isinstance(value, Mapping):
        return {key: _json(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_json(item) for item in value]
    return value
