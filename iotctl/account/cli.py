"""account: check · template · iam."""

from __future__ import annotations

from typing import Annotated

import typer

from iotctl import options
from iotctl.errors import Exit, Usage
from iotctl.options import Ctx
from iotctl.result import Column, Result, Table

app = options.capability("account", "What this tool needs of an AWS account: who am I, what may I do, what is there.")


@options.command(
    app,
    example="iotctl account check\niotctl account check --expect-account 123456789012",
    exits=(Exit.PARTIAL, Exit.AUTH),
)
def check(ctx: Ctx) -> Result:
    """Who and where am I, and is what iotctl needs there: permissions, clock, quotas, indexing, bucket, roles."""
    from dataclasses import asdict

    from iotctl.account import check

    rows = [asdict(answer) for answer in check.check(ctx.obj.aws)]
    table = Table((Column("check", "CHECK"), Column("state", "STATE"), Column("detail", "DETAIL")), rows)
    incomplete = any(row["state"] != "ok" for row in rows)
    return Result(
        {"target": ctx.obj.target.to_json(), "checks": rows}, table, exit=Exit.PARTIAL if incomplete else Exit.OK
    )


@options.command(
    app,
    example="iotctl account template > iotctl.json\n"
    "aws cloudformation deploy --template-file iotctl.json --stack-name iotctl --capabilities CAPABILITY_NAMED_IAM",
)
def template() -> Result:
    """Print the CloudFormation template of what commands need: a bucket, and the roles that AWS IoT takes."""
    import json

    from iotctl.account import resources

    document = resources.template()
    return Result(document, text=json.dumps(document, indent=2))


@options.command(app, example="iotctl account iam onboard apply\niotctl account iam iot:CreateThing > policy.json")
def iam(
    command: Annotated[
        list[str],
        typer.Argument(metavar="COMMAND…", help="A command (onboard apply), or operations (iot:CreateThing)."),
    ],
) -> Result:
    """Print the least-privilege IAM policy for a command, ready to attach."""
    import json

    from iotctl import text
    from iotctl.account import needs
    from iotctl.semantics import permissions

    words, known = " ".join(command), {**needs.OPERATIONS, **needs.VARIANTS}
    operations = command if all(":" in word for word in command) else known.get(words)
    if operations is None:
        meant = text.nearest(words, known)
        asked = f"iotctl account iam {meant}; " if meant else ""
        raise Usage(f"nothing is known of {words!r}", hint=f"{asked}one of: {', '.join(known)}")
    document = permissions.policy(operations)
    return Result(document, text=json.dumps(document, indent=2))
