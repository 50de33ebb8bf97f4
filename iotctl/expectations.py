"""Whether an answer is what a step expects: JSON against what was declared. Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from iotctl.errors import Conflict, Integrity, Temporary
from iotctl.plan import Either, Expect, lookup, resolve

if TYPE_CHECKING:
    from iotctl.plan import Step


def hold(what: str, expect: Expect, answer: Mapping[str, Any], scope: Mapping[str, Any], cause: str = "") -> None:
    """What is there is what was expected.

    Raises:
        Conflict: it is not.

    """
    wanted, found = resolve(expect.equals, scope), lookup(expect.path, answer)
    if not equal(wanted, found):
        raise Conflict(
            f"{what} {expect.path} is {short(found)}, not {short(wanted)}",
            code="Conflict",
            cause=cause,
            hint=expect.hint
            or "someone else made it, or the input has changed since: compare, then rename or delete one",
        )


def confirm(step: Step, answer: Mapping[str, Any], scope: Mapping[str, Any]) -> None:
    """A step's own answer is what it expects.

    Raises:
        Temporary: the answer does not say. Integrity: it is not.

    """
    expect = step.expect
    assert expect is not None
    wanted, found = resolve(expect.equals, scope), lookup(expect.path, answer)
    if found is None:
        raise Temporary(
            f"{step.op} answered without {expect.path}", code="NoUsableAnswer", hint="is a proxy in between?"
        )
    if not (any(equal(wanted, one) for one in found) if expect.within else equal(wanted, found)):
        raise Integrity(f"{step.op} answered {expect.path} {short(found)}, not {short(wanted)}")


def equal(wanted: Any, found: Any) -> bool:  # noqa: ANN401  JSON values
    """Whether what was found is what was declared: objects by the keys that were named, JSON texts as JSON."""
    if wanted is None:
        return True
    if isinstance(wanted, Either):
        return any(equal(option, found) for option in wanted.options)
    if isinstance(wanted, Mapping):
        return isinstance(found, Mapping) and all(equal(value, found.get(key)) for key, value in wanted.items())
    if isinstance(wanted, str) and isinstance(found, str) and wanted != found:
        try:
            return bool(json.loads(wanted) == json.loads(found))
        except ValueError:
            return False
    return bool(wanted == found)


def short(value: Any) -> str:  # noqa: ANN401  a JSON value
    """A value as a person is told of it."""
    if isinstance(value, Either):
        value = value.options[0]
    if value is None:
        return "absent"
    text = value if isinstance(value, str) else json.dumps(value, default=str)
    # What is too long to be read is told by its digest.
    return text if len(text) <= 80 else f"{text[:40]}… (sha256 {hashlib.sha256(text.encode()).hexdigest()[:16]})"
