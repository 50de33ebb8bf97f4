"""onboard certs: expiring · rotate."""

from __future__ import annotations

from typing import Annotated

from iotctl import options
from iotctl.errors import Exit
from iotctl.options import Ctx, Search, ThingGroup, ThingsFile
from iotctl.result import Result

app = options.capability("certs", "Certificates near their end, and new ones in their place.")

Thing = Annotated[str | None, options.Argument(metavar="[THING]", help="One thing.")]


@options.command(
    app,
    example="iotctl onboard certs expiring\n"
    "iotctl onboard certs expiring --within 90d -g north -o json\n"
    "iotctl onboard certs expiring -q | iotctl onboard certs rotate --things -",
    exits=(Exit.PARTIAL, Exit.DIFFERS, Exit.AUTH, Exit.NOT_FOUND),
)
def expiring(
    ctx: Ctx,
    thing: Thing = None,
    within: Annotated[str, options.Option("--within", metavar="TIME", help="Those that end within this time.")] = "30d",
    thing_group: ThingGroup = None,
    search: Search = None,
    things: ThingsFile = None,
) -> Result:
    """List certificates in use that end soon or have ended: of the things that are named, or of the whole fleet.

    Exit 4 where there are any. With -q: the names of their things, for `certs rotate --things -`.
    """
    import shlex
    from datetime import timedelta

    from iotctl import text
    from iotctl.onboard import expiring
    from iotctl.scope import Scope

    given = {thing, thing_group, search, things} - {None}
    scope = Scope(thing, thing_group, search, things) if given else None
    words = (("", thing), ("-g ", thing_group), ("--search ", search), ("--things ", things))
    named = "".join(f" {option}{shlex.quote(value)}" for option, value in words if value is not None)
    again = f"iotctl onboard certs expiring --within {within}{named}"
    return expiring.expiring(ctx.obj, scope, timedelta(seconds=text.seconds(within)), again)
