"""One change for many things -> a Plan; and the words `a.b=1` -> a change. Pure: made without touching anything."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from iotctl import text
from iotctl.errors import Usage
from iotctl.plan import Expect, Plan, Ref, Rows, Step, Wait
from iotctl.semantics import document
from iotctl.semantics.state import JsonObject, merge

if TYPE_CHECKING:
    from collections.abc import Sequence

    from iotctl.target import Target


@dataclass(frozen=True, slots=True)
class Change:
    """One merge patch for the shadows of some things.

    Attributes:
        patch: what is merged into the section; null removes a key.
        section: "desired" or "reported".
        shadow_name: None for the classic shadow.
        create: also where there is no such shadow yet.
        expect_version: refuse where the shadow's version is another.

    """

    patch: JsonObject
    section: str = "desired"
    shadow_name: str | None = None
    create: bool = False
    expect_version: int | None = None

    def body(self) -> str:
        """The update as AWS takes it: canonical JSON."""
        update: JsonObject = {"state": {self.section: self.patch}}
        if self.expect_version is not None:
            update["version"] = self.expect_version
        return text.canonical(update)


def setting(things: Rows, change: Change, target: Target, *, bulk: bool = True, wait_seconds: float = 0) -> Plan:
    """Merge one patch into the shadow of every thing.

    Where `create` is not given, a read before each update refuses things without such a shadow: AWS would make one.
    """
    addressed = {"thingName": Ref("row.thingName"), "shadowName": change.shadow_name}
    update = Step("iot-data:UpdateThingShadow", {**addressed, "payload": change.body()})
    exists = Step("iot-data:GetThingShadow", addressed, hint="there is no such shadow; --create makes one")
    inputs = {"target": target.to_json(), "shadow": change.shadow_name, "body": change.body(), "create": change.create}
    return Plan(
        command="shadow set",
        run_id=_identity("shadow set", inputs, things),
        target=target,
        summary=f"set {_described(change)} of {text.count(len(things), 'thing')}",
        each=(update,) if change.create else (exists, update),
        rows=things,
        bulk=bulk,
        wait=_reported(change, addressed, wait_seconds) if wait_seconds else None,
    )


def deleting(things: Rows, shadow_name: str | None, target: Target, *, bulk: bool = True) -> Plan:
    """Delete a shadow of every thing."""
    addressed = {"thingName": Ref("row.thingName"), "shadowName": shadow_name}
    named = f"the shadow {shadow_name!r}" if shadow_name else "the classic shadow"
    inputs = {"target": target.to_json(), "shadow": shadow_name}
    return Plan(
        command="shadow delete",
        run_id=_identity("shadow delete", inputs, things),
        target=target,
        summary=f"delete {named} of {text.count(len(things), 'thing')}",
        each=(Step("iot-data:DeleteThingShadow", addressed, absent_is_done=True),),
        rows=things,
        bulk=bulk,
    )


def change_of(assignments: Sequence[str], given: Any = None) -> JsonObject:  # noqa: ANN401  JSON read from a file
    """The patch that `a.b=1 c=null` and a file's JSON object ask for, the words winning.

    A value is JSON if it parses as JSON, else a string; `path=null` removes.

    Raises:
        Usage: a word is not `path=value`, two words disagree on a place, or AWS would refuse the patch.

    """
    if given is not None and not isinstance(given, dict):
        raise Usage("the file does not hold a JSON object")
    words: JsonObject = {}
    for word in assignments:
        path, equals, value = word.partition("=")
        keys = path.split(".")
        if not equals or not all(keys):
            why = "has an empty key in its path" if equals and path else "is not path=value"
            raise Usage(f"{word!r} {why}", hint="for example: config.rate=5")
        _place(words, keys, _value(value), word)
    patch = merge_patches(given or {}, words)
    if not patch:
        raise Usage("nothing to set", hint="give path=value, or --file FILE")
    _check(patch)
    return patch


def merge_patches(first: JsonObject, second: JsonObject) -> JsonObject:
    """One patch that does what two would, one after the other; their nulls are kept."""
    merged = dict(first)
    for key, value in second.items():
        before = merged.get(key)
        merged[key] = merge_patches(before, value) if isinstance(before, dict) and isinstance(value, dict) else value
    return merged


def leaves(patch: JsonObject, path: tuple[str, ...] = ()) -> list[tuple[tuple[str, ...], Any]]:
    """Every place that a patch sets, with its value."""
    found: list[tuple[tuple[str, ...], Any]] = []
    for key, value in patch.items():
        if isinstance(value, dict) and value:
            found += leaves(value, (*path, key))
        else:
            found.append(((*path, key), value))
    return found


def _reported(change: Change, addressed: JsonObject, seconds: float) -> Wait:
    holds = tuple(
        Expect(".".join(("payload", "state", "reported", *path)), value) for path, value in leaves(change.patch)
    )
    return Wait("iot-data:GetThingShadow", addressed, holds, seconds, "reported what was desired")


def _identity(command: str, inputs: JsonObject, things: Rows) -> str:
    digest = hashlib.sha256(text.canonical({"command": command, **inputs}).encode())
    for row in things:
        digest.update(row["thingName"].encode() + b"\n")
    return digest.hexdigest()[:12]


def _described(change: Change) -> str:
    shown = ", ".join(f"{'.'.join(path)}={text.canonical(value)}" for path, value in leaves(change.patch)[:4])
    more = ", …" if len(leaves(change.patch)) > 4 else ""
    where = f" in the shadow {change.shadow_name!r}" if change.shadow_name else ""
    return f"{change.section} {shown}{more}{where}"


def _place(patch: JsonObject, keys: list[str], value: Any, word: str) -> None:  # noqa: ANN401  any JSON value
    for key in keys[:-1]:
        inner = patch.setdefault(key, {})
        if not isinstance(inner, dict):
            raise Usage(f"{word!r} sets something within {key}, and another word sets {key} itself")
        patch = inner
    if isinstance(patch.get(keys[-1]), dict) and patch[keys[-1]] and not isinstance(value, dict):
        raise Usage(f"{word!r} sets {keys[-1]} itself, and another word something within it")
    patch[keys[-1]] = value


def _value(word: str) -> Any:  # noqa: ANN401  any JSON value
    try:
        return text.loads(word)
    except Usage:
        return word


def _check(patch: JsonObject) -> None:
    """Refuse what AWS would refuse, before anything is sent."""
    body = text.canonical({"state": {"desired": patch}}).encode()
    try:
        document.parse_update(body)
    except document.DocumentError as error:
        raise Usage(f"AWS would refuse this change: {error.message}", code=str(error.code)) from error
    size = document.state_bytes(merge({}, patch), {})
    if size > document.MAX_STATE_BYTES:
        raise Usage(
            f"the change is {size} bytes; a shadow's state may have {document.MAX_STATE_BYTES}",
            code="413",
            hint="named shadows have a limit each: --name",
        )
