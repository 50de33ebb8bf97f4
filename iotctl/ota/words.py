"""The options that `ota plan` and `ota create` have in common: a dataclass, spread over both."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from iotctl.options import Argument, Option, Search, ThingGroup, ThingsFile


@dataclass(frozen=True)
class Words:
    """What `ota plan` and `ota create` are told; a saved plan holds it as it was typed."""

    artifact: Annotated[str, Argument(metavar="[ARTIFACT]", help="The file.")] = ""
    thing: Annotated[str | None, Argument(metavar="[THING]", help="A single thing.")] = None
    thing_group: ThingGroup = None
    search: Search = None
    things: ThingsFile = None
    release: Annotated[str, Option("--release", metavar="V", help="Of the artifact, such as 1.4.0.")] = ""
    name: Annotated[str, Option("--name", help="What is installed; releases are ordered within it.")] = "firmware"
    canary: Annotated[str, Option("--canary", metavar="20|2%", help="Begin with a few, spread over all.")] = ""
    soak: Annotated[str, Option("--soak", metavar="30m", help="How long the canary must have gone well.")] = ""
    gate: Annotated[
        str,
        Option("--gate", metavar="EXPR", help="What the canary's shadows must say: 'reported.fw == \"1.4.0\"'."),
    ] = ""
    approve: Annotated[bool, Option("--approve", help="Go on after the canary only when someone says yes.")] = False
    passing: Annotated[str, Option("--pass", metavar="97%", help="The share that must succeed.")] = "100%"
    deadline: Annotated[str, Option("--deadline", metavar="24h", help="Then each phase is judged as it is.")] = ""
    rate: Annotated[int, Option("--rate", min=1, max=1000, help="Things a minute at first.")] = 50
    max_rate: Annotated[int, Option("--max-rate", min=1, max=1000, help="Things a minute at most.")] = 1000
    rate_factor: Annotated[str, Option("--rate-factor", help="How much faster each increase makes it.")] = "2"
    increase_after: Annotated[
        int, Option("--increase-after", min=0, metavar="N", help="Increase after N successes [5% of all].")
    ] = 0
    abort_at: Annotated[str, Option("--abort-at", metavar="10%", help="Cancel when so many failed [10%].")] = ""
    abort_after: Annotated[
        int, Option("--abort-after", min=0, metavar="N", help="Decide once N have ended [5, or 1% of all].")
    ] = 0
    no_abort: Annotated[bool, Option("--no-abort", help="However many fail, go on.")] = False
    device_timeout: Annotated[
        str, Option("--device-timeout", metavar="60m", help="How long a device may take; 0: for ever.")
    ] = "60m"
    retries: Annotated[int, Option("--retries", min=0, max=10, help="Tries again of a device that failed.")] = 0
    start: Annotated[str, Option("--start", metavar="TIME", help="When it begins (UTC), 30 minutes ahead.")] = ""
    end: Annotated[str, Option("--end", metavar="TIME", help="When the fleet's job ends (UTC).")] = ""
    end_behavior: Annotated[
        str, Option("--end-behavior", metavar="stop|cancel|force-cancel", help="Of what has not ended then.")
    ] = "stop"
    windows: Annotated[
        list[str] | None, Option("--window", metavar="CRON", help="Only then: '0 2 ? * SUN * for 4h' (UTC).")
    ] = None
    template: Annotated[
        str,
        Option("--template", metavar="NAME|FILE|ARN", help="iotctl, device-client, jobs-agent, a file, or AWS's."),
    ] = "iotctl"
    parameters: Annotated[
        list[str] | None, Option("--parameter", metavar="K=V", help="What the template is given besides.")
    ] = None
    bucket: Annotated[str, Option("--bucket", metavar="NAME", help="For the artifact [the account's own].")] = ""
    prefix: Annotated[str, Option("--prefix", help="Of its key in the bucket.")] = "ota"
    job_role: Annotated[
        str,
        Option(
            "--job-role",
            metavar="ROLE",
            help="Name or ARN of the role that AWS IoT presigns URLs with [iotctl-job-presign].",
        ),
    ] = ""
    url_time: Annotated[str, Option("--url-time", metavar="1h", help="How long a presigned URL is good.")] = "1h"
    intended: Annotated[
        list[str] | None,
        Option("--for", metavar="KIND=NAME", help="Who may install it: type=, group=, thing= [the scope]."),
    ] = None
    expires: Annotated[str, Option("--expires", metavar="30d", help="When no device begins it any more.")] = "30d"
    least: Annotated[str, Option("--least", metavar="V", help="The release that must be there before.")] = ""
    reports: Annotated[str, Option("--reports", help="Where in the shadow devices tell the release.")] = "fw"
    continuous: Annotated[bool, Option("--continuous", help="Things that join the group get it too.")] = False
    again: Annotated[int, Option("--again", min=0, metavar="N", help="The same once more, as rollout N.")] = 0
