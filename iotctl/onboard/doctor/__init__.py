"""Why can this device not connect? Everything that it needs, looked at in the order in which it needs it.

The endpoint and the clock, the bundle, the certificate, the thing, the policies, who else is it, for a Greengrass core
its role; then what it left behind, and last a real connection. Each check says what was found and what mends it; one
that cannot be read leaves itself unknown, and the others go on. Nothing is changed.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Final

from iotctl.errors import Exit, worst
from iotctl.onboard.doctor.check import State
from iotctl.onboard.doctor.examination import Examination
from iotctl.result import Column, Result, Table
from iotctl.text import count

if TYPE_CHECKING:
    from collections.abc import Sequence

    from iotctl.context import Context
    from iotctl.onboard.doctor.check import Check
    from iotctl.onboard.doctor.examination import Asked

_COLUMNS: Final = (Column("check", "CHECK"), Column("state", "STATE"), Column("detail", "DETAIL"), Column("fix", "FIX"))


def examine(context: Context, asked: Asked) -> Result:
    """Every check of a device, as a table; exit 4 with a problem, 3 where something could not be read.

    Raises:
        NotFound: neither the account nor the directory knows the thing. Conflict: its bundle is of another account.

    """
    checks = list(Examination(context, asked).checks())
    problems = [check for check in checks if check.state is State.PROBLEM]
    unknowns = [check for check in checks if check.state is State.UNKNOWN]
    codes = [*([Exit.DIFFERS] if problems else []), *([Exit.PARTIAL] if unknowns else [])]
    rows = [asdict(check) for check in checks]
    return Result(
        {"thingName": asked.thing_name, "checks": rows},
        Table(_COLUMNS, rows),
        notes=_notes(asked.thing_name, problems, unknowns),
        exit=worst(*codes),
    )


def _notes(thing_name: str, problems: Sequence[Check], unknowns: Sequence[Check]) -> tuple[str, ...]:
    """What is to be done first: what an early check finds, the later ones often only repeat."""
    if problems:
        first, *rest = problems
        more = f"; {count(len(rest), 'more problem')} may go with it" if rest else ""
        return (f"{thing_name}: {first.check}: {first.detail}{more}", f"mend it first: {first.fix}")
    if unknowns:
        return (f"{thing_name}: no problem was found, and {count(len(unknowns), 'check')} could not be made",)
    return (f"{thing_name}: no problem was found",)
