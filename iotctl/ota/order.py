"""What was asked for: the words of `ota plan` and `ota create`, read and checked. Pure.

A rollout's id is made of this, of the artifact's digest and of the account: whoever types the same again means the same
rollout. So nothing in an order depends on the time, or on how many things a group has today.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from iotctl import clock, expression, jobs, text
from iotctl.errors import Usage
from iotctl.jobs import Brakes
from iotctl.manifest import Targets
from iotctl.ota import job
from iotctl.ota.job import Times
from iotctl.ota.rollout import Goal
from iotctl.ota.standing import percent
from iotctl.scope import Scope
from iotctl.semantics.release import precedence

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

END_BEHAVIORS: Final = {"stop": "STOP_ROLLOUT", "cancel": "CANCEL", "force-cancel": "FORCE_CANCEL"}
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_PREFIX: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,40}")
_FOR: Final = ("thing", "type", "group")


@dataclass(frozen=True, slots=True)
class Order:
    """A rollout as it was asked for.

    Attributes:
        artifact: the file.
        scope: which things.
        release: of the file.
        name: of what is installed; releases are ordered within it.
        canary: how many things come first, as typed; empty: none do.
        goal: when it has gone well.
        brakes: what holds it back.
        times: when it may go on.
        template: of the job document: a name, a file, or an ARN.
        parameters: what the template is given besides.
        bucket: of the artifact; empty: the account's own.
        prefix: of its key.
        role: the ARN of the role that AWS IoT presigns with; empty: the account's own.
        url_seconds: how long a presigned URL is good for.
        intended: which devices may install it, where that is not the scope.
        expires: seconds from now on in which devices may begin to install it.
        least: the release that must be installed before.
        reports: the path in the shadow where devices tell the release.
        continuous: whether things that join the group later get it too.
        again: 0, or the number of a repetition: another rollout of the same.

    """

    artifact: Path
    scope: Scope
    release: str
    name: str
    canary: str
    goal: Goal
    brakes: Brakes
    times: Times
    template: str
    parameters: Mapping[str, str]
    bucket: str
    prefix: str
    role: str
    url_seconds: int
    intended: Targets | None
    expires: float
    least: str
    reports: str
    continuous: bool
    again: int

    def identity(self, names: Sequence[str]) -> dict[str, Any]:
        """What makes it this rollout and no other, but for the artifact, the template and the account.

        Args:
            names: of the things, where they were named one by one.

        """
        scope = self.scope
        things = hashlib.sha256("\n".join(sorted(names)).encode()).hexdigest() if scope.things else None
        return {
            "scope": [scope.thing, scope.thing_group, scope.search, things],
            "canary": self.canary,
            "goal": self.goal.to_json(),
            "brakes": [
                self.brakes.rate,
                self.brakes.most,
                str(self.brakes.factor),
                self.brakes.increase_after,
                str(self.brakes.abort_at),
                self.brakes.abort_after,
                self.brakes.minutes,
                self.brakes.retries,
            ],
            "times": [
                clock.iso(self.times.start) if self.times.start else None,
                clock.iso(self.times.end) if self.times.end else None,
                self.times.end_behavior,
                [list(window) for window in self.times.windows],
            ],
            "parameters": dict(self.parameters),
            "bucket": self.bucket,
            "prefix": self.prefix,
            "role": self.role,
            "urlSeconds": self.url_seconds,
            "for": self.intended.to_json() if self.intended else None,
            "expires": int(self.expires),
            "least": self.least,
            "reports": self.reports,
            "continuous": self.continuous,
            "again": self.again,
        }


def read(words: Mapping[str, Any]) -> Order:
    """The order that some words are: the parameters of `ota plan` by their names.

    Raises:
        Usage: a word cannot be what it says, or two of them do not go together.

    """
    if not words["artifact"]:
        raise Usage("no artifact is named", hint="iotctl ota create FILE -g GROUP --release 1.4.0 --key-file KEY")
    if not words["release"]:
        raise Usage("--release is missing", hint="for example --release 1.4.0")
    for option in ("release", "least"):
        _check_release(words[option], option)
    scope = Scope(words["thing"], words["thing_group"], words["search"], words["things"])
    if scope.things == "-":
        raise Usage("a rollout is told again what it is for: --things needs a file", hint="--things FILE")
    if words["continuous"] and scope.thing_group is None:
        raise Usage("--continuous is about things that join a group", hint="name it with --thing-group")
    return Order(
        artifact=Path(words["artifact"]),
        scope=scope,
        release=words["release"],
        name=_matching(words["name"], _NAME, "--name", "1 to 64 of letters, digits, . _ -"),
        canary=words["canary"],
        goal=_goal(words),
        brakes=_brakes(words),
        times=_times(words),
        template=words["template"],
        parameters=_pairs(words["parameters"]),
        bucket=words["bucket"],
        prefix=_matching(words["prefix"].strip("/"), _PREFIX, "--prefix", "at most 41 of letters, digits, . _ - /"),
        role=words["job_role"],
        url_seconds=_whole(words["url_time"], "--url-time", 1, *jobs.URL_SECONDS),
        intended=_intended(words["intended"]),
        expires=_whole(words["expires"], "--expires", 1, 60, 10 * 365 * 86400),
        least=words["least"],
        reports=words["reports"],
        continuous=words["continuous"],
        again=words["again"],
    )


def _goal(words: Mapping[str, Any]) -> Goal:
    canary = bool(words["canary"])
    for option in ("soak", "gate", "approve"):
        if words[option] and not canary:
            raise Usage(f"--{option} is about what comes after a canary, and there is none", hint="add --canary 20")
    if words["gate"]:
        expression.parse(words["gate"], where="--gate")
    return Goal(
        passing=percent(words["passing"], "--pass"),
        deadline=text.seconds(words["deadline"]) if words["deadline"] else 0,
        soak=text.seconds(words["soak"]) if words["soak"] else 0,
        gate=words["gate"],
        approve=words["approve"],
    )


def _brakes(words: Mapping[str, Any]) -> Brakes:
    if words["no_abort"] and (words["abort_at"] or words["abort_after"]):
        raise Usage("--no-abort and --abort-at or --abort-after do not go together")
    if words["abort_at"]:
        abort_at: Decimal | None = percent(words["abort_at"], "--abort-at")
    else:
        abort_at = None if words["no_abort"] else Brakes().abort_at
    try:
        factor = Decimal(words["rate_factor"])
    except InvalidOperation:
        factor = Decimal(0)
    if not factor.is_finite() or not Decimal("1.1") <= factor <= 5 or factor != factor.quantize(Decimal("0.1")):
        raise Usage(f"--rate-factor {words['rate_factor']!r} is not 1.1 to 5, with one decimal", hint="--rate-factor 2")
    return Brakes(
        rate=words["rate"],
        most=words["max_rate"],
        factor=factor,
        increase_after=words["increase_after"],
        abort_at=abort_at,
        abort_after=words["abort_after"],
        minutes=_whole(words["device_timeout"], "--device-timeout", 60, 0, 10080) if words["device_timeout"] else 0,
        retries=words["retries"],
    )


def _times(words: Mapping[str, Any]) -> Times:
    behavior = words["end_behavior"]
    if behavior not in END_BEHAVIORS:
        raise Usage(f"--end-behavior {behavior!r} is none", hint=f"one of {', '.join(END_BEHAVIORS)}")
    return Times(
        start=_moment(words["start"], "--start") if words["start"] else None,
        end=_moment(words["end"], "--end") if words["end"] else None,
        end_behavior=END_BEHAVIORS[behavior],
        windows=tuple(job.window(each) for each in words["windows"] or ()),
    )


def _moment(written: str, option: str) -> datetime:
    try:
        found = datetime.fromisoformat(written)
    except ValueError as error:
        raise Usage(f"{option} {written!r} is not a time", hint=f"for example {option} 2030-01-31T02:00Z") from error
    found = found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)
    return found.replace(microsecond=0)


def _intended(written: Sequence[str] | None) -> Targets | None:
    """Which devices may install it: `type=press`, `group=north`, `thing=pump-*`."""
    if not written:
        return None
    found: dict[str, list[str]] = {kind: [] for kind in _FOR}
    for each in written:
        kind, equals, name = each.partition("=")
        if kind not in found or not equals or not name:
            raise Usage(f"--for {each!r} is not type=NAME, group=NAME or thing=NAME", hint="--for type=press")
        found[kind].append(name)
    return Targets(tuple(found["thing"]), tuple(found["type"]), tuple(found["group"]))


def _pairs(written: Sequence[str] | None) -> dict[str, str]:
    found: dict[str, str] = {}
    for each in written or ():
        key, equals, value = each.partition("=")
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_-]{0,127}", key) or not equals:
            raise Usage(f"--parameter {each!r} is not name=value", hint="--parameter workingDirectory=/opt/app")
        found[key] = value
    return found


def _whole(duration: str, option: str, unit: int, least: int, most: int) -> int:
    """A duration in whole units (of so many seconds), within bounds."""
    number = text.seconds(duration) / unit
    if number != int(number) or not least <= number <= most:
        word = "minutes" if unit == 60 else "seconds"
        raise Usage(f"{option} {duration!r} is not {least:,} to {most:,} whole {word}")
    return int(number)


def _matching(value: str, pattern: re.Pattern[str], option: str, words: str) -> str:
    if not pattern.fullmatch(value):
        raise Usage(f"{option} {text.sanitize(value)!r} is not {words}")
    return value


def _check_release(release: str, option: str) -> None:
    if release:
        try:
            precedence(release)
        except ValueError as error:
            raise Usage(f"--{option}: {error}") from error
