"""onboard certs: expiring · rotate."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from iotctl import options
from iotctl.errors import Exit
from iotctl.onboard.words import CaCert, CaKeyFile, CaPassphraseFile
from iotctl.options import Ctx, Search, ThingGroup, ThingsFile
from iotctl.plan import Plan
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


@options.change(
    app,
    example="iotctl onboard certs rotate press-1\n"
    "iotctl onboard certs rotate -g north --wait 30m\n"
    "iotctl onboard certs expiring -q | iotctl onboard certs rotate --things - --yes",
    exits=(Exit.NOT_FOUND, Exit.CONFLICT, Exit.INTEGRITY, Exit.ROLLOUT_FAILED, Exit.TIMEOUT),
)
def rotate(
    ctx: Ctx,
    thing: Thing = None,
    thing_group: ThingGroup = None,
    search: Search = None,
    things: ThingsFile = None,
    bundles: Annotated[
        Path | None, options.Option("--bundles", metavar="DIR", help="The bundles of the onboarding, with its CA.")
    ] = None,
    wait: Annotated[
        str, options.Option("--wait", metavar="TIME", help="How long a device may take to answer, and to connect.")
    ] = "10m",
    timeout: Annotated[
        str | None, options.Option("--timeout", metavar="TIME", help="How long all of them together may take.")
    ] = None,
    key_type: Annotated[str, options.Option("--key-type", help="ec-p256, ec-p384, rsa-2048 or rsa-4096.")] = "ec-p256",
    days: Annotated[int, options.Option("--valid-days", min=1, max=36500, help="How long they are valid.")] = 3650,
    ca_cert: CaCert = "",
    ca_key_file: CaKeyFile = "",
    ca_passphrase_file: CaPassphraseFile = "",
    anew: Annotated[bool, options.Option("--anew", help="Begin another rotation, whatever others left.")] = False,
) -> Plan:
    """Give things new certificates, for new keys that their devices make and that never leave them.

    A job tells each device; it puts a CSR into the shadow iotctl-certificate, which is verified and signed by the
    fleet CA; it connects with the new certificate, and once the broker has told of that, the old one is switched off. A
    device that never answers stays as it was, and is named. Running it again resumes, within thirty days. What a
    device has to do for it is in the README.
    """
    from iotctl import bundle, text
    from iotctl.onboard import authority, request, rotations
    from iotctl.scope import Scope

    request.check_key_type(key_type)
    chosen, seconds = Scope(thing, thing_group, search, things), text.seconds(wait)
    together = text.seconds(timeout) if timeout is not None else None
    directory = (bundles or bundle.only_directory(Path.cwd())).absolute()
    ctx.obj.authority = authority.given(ca_cert, ca_key_file, ca_passphrase_file, directory)
    return rotations.planned(
        ctx.obj, chosen, directory, key_type=key_type, days=days, anew=anew, wait=seconds, timeout=together
    )
