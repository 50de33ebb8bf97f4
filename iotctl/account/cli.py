"""account: check · iam."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from iotctl import options
from iotctl.errors import Exit, Usage
from iotctl.options import Ctx
from iotctl.result import Column, Result, Table

if TYPE_CHECKING:
    from iotctl.account.needs import Answer

app = options.capability("account", "What this tool needs of an AWS account: who am I, what may I do, what is there.")


@options.command(
    app,
    example="iotctl account check\niotctl account check --expect-account 123456789012",
    exits=(Exit.PARTIAL, Exit.AUTH),
)
def check(ctx: Ctx) -> Result:
    """Who and where am I, and is what iotctl needs there: identity, endpoint, clock, permissions, indexing."""
    from iotctl.account import needs

    answers: list[Answer] = list(needs.check(ctx.obj.aws))
    rows = [{"check": answer.check, "state": answer.state, "detail": answer.detail} for answer in answers]
    table = Table((Column("check", "CHECK"), Column("state", "STATE"), Column("detail", "DETAIL")), rows)
    incomplete = any(answer.state in {"missing", "unknown"} for answer in answers)
    return Result(
        {"target": ctx.obj.target.to_json(), "checks": rows}, table, exit=Exit.PARTIAL if incomplete else Exit.OK
    )


@options.command(app, example="iotctl account iam onboard apply\niotctl account iam iot:CreateThing > policy.json")
def iam(
    command: Annotated[
        list[str],
        typer.Argument(metavar="COMMAND…", help="A command (onboard apply), or operations (iot:CreateThing)."),
    ],
) -> Result:
    """Print the least-privilege IAM policy for a command, ready to attach."""
    import json

    from iotctl.account import needs
    from iotctl.semantics import permissions

    words = " ".join(command)
    operations = command if all(":" in word for word in command) else needs.OPERATIONS.get(words)
    if operations is None:
        raise Usage(f"nothing is known of {words!r}", hint=f"one of: {', '.join(needs.OPERATIONS)}")
    document = permissions.policy(operations)
    return Result(document, text=json.dumps(document, indent=2))
