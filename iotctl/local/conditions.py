"""How the platform is made as slow, as strict, as unreliable and as old as a test wants it: nothing of it by default.

    iotctl local up --throttle aws --throttle iot:CreateThing=5 --fault iot:CreateThing:reset-after:0.05 --delay aws

Sources of the delays that `aws` stands for: AWS IoT developer guide, iot-policies ("a few minutes"), API reference of
DetachThingPrincipal ("several seconds"), DeletePolicy ("up to five minutes after a policy is detached") and
UpdateCertificate ("within a few minutes"). Where AWS gives words instead of a number, the number is ours.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from iotctl.errors import Usage
from iotctl.semantics import quotas

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

AS_AWS: Final = "aws"

AWS_DELAYS: Final[Mapping[str, float]] = MappingProxyType(
    {"policy": 180.0, "certificate": 120.0, "detach": 5.0, "delete-policy": 300.0, "index": 10.0}
)
"""Seconds: until connections see a changed policy; until a certificate that is no longer ACTIVE loses its connections;
until a principal that was detached is gone from its thing; until a policy that was detached can be deleted; until the
fleet index has what changed."""

REFUSALS: Final = ("throttle", "fail", "unavailable", "expired", "denied", "limit", "not-found")
"""What the service says in place of carrying the operation out."""
BREAKS: Final = ("reset", "hang", "cut", "garbage")
"""What becomes of the connection: with RST, no answer, half an answer, a portal's page."""
KINDS: Final = (*REFUSALS, *BREAKS, "fail-after", *(f"{one}-after" for one in BREAKS))
"""Every kind of fault; with `-after` the operation was carried out, and only its answer is lost."""

_FASTEST: Final = 100_000.0


@dataclass(frozen=True, slots=True)
class Fault:
    """What happens to a share of the calls of an operation.

    Attributes:
        operation: `service:Operation`, with `*` for any text.
        kind: one of KINDS.
        share: of the calls, 0 to 1.

    """

    operation: str
    kind: str
    share: float

    def strikes(self, operation: str) -> bool:
        """Whether calls of an operation may meet it."""
        return fnmatchcase(operation, self.operation)


@dataclass(frozen=True, slots=True)
class Conditions:
    """What a platform was started with.

    Attributes:
        throttle: operation -> requests a second, on top of AWS's defaults where `as_aws`.
        as_aws: AWS's default quotas are enforced, those of MQTT connections too.
        faults: in the order given; the first that strikes counts.
        delays: kind of change -> seconds, kinds as in AWS_DELAYS.
        clock_speed: how many seconds of the platform pass in a real one.
        https_artifacts: presigned URLs are https, as AWS's are; whoever downloads must trust the platform's CA.
        words: the options that say all this, as `iotctl local up` takes them.

    """

    throttle: Mapping[str, float] = field(default_factory=dict)
    as_aws: bool = False
    faults: tuple[Fault, ...] = ()
    delays: Mapping[str, float] = field(default_factory=dict)
    clock_speed: float = 1.0
    https_artifacts: bool = False
    words: tuple[str, ...] = ()

    def rate(self, operation: str) -> float | None:
        """Requests a second that are allowed of an operation; None: as many as there are."""
        return self.throttle.get(operation, quotas.DEFAULTS.get(operation) if self.as_aws else None)

    @property
    def publishes(self) -> float | None:
        """PUBLISH packets a second on one MQTT connection, in each direction; None: as many as there are."""
        return quotas.PUBLISHES_PER_CONNECTION if self.as_aws else None

    def delay(self, kind: str) -> float:
        """Seconds after which a kind of change is seen."""
        return self.delays.get(kind, 0.0)


NONE: Final = Conditions()


def read(
    throttle: Iterable[str] = (),
    fault: Iterable[str] = (),
    delay: Iterable[str] = (),
    clock_speed: float = 1.0,
    *,
    https_artifacts: bool = False,
) -> Conditions:
    """Conditions out of the options of `iotctl local up`.

    Args:
        throttle: `aws`, or `OPERATION=PER_SECOND`.
        fault: `OPERATION:KIND[:SHARE]`.
        delay: `aws`, or `KIND=SECONDS`.
        clock_speed: above 0.
        https_artifacts: whether presigned URLs are https.

    Raises:
        Usage: one of them is not what it should be.

    """
    throttles, faults, delays = list(throttle), list(fault), list(delay)
    if not 0 < clock_speed <= _FASTEST:
        raise Usage(f"--clock-speed {clock_speed:g} is not between 0 and {_FASTEST:g}")
    rates = dict(_assigned("--throttle", one, _operation) for one in throttles if one != AS_AWS)
    slow: dict[str, float] = dict(AWS_DELAYS) if AS_AWS in delays else {}
    slow |= dict(_assigned("--delay", one, _kind_of_change) for one in delays if one != AS_AWS)
    words = [
        *(word for one in throttles for word in ("--throttle", one)),
        *(word for one in faults for word in ("--fault", one)),
        *(word for one in delays for word in ("--delay", one)),
        *(("--clock-speed", f"{clock_speed:g}") if clock_speed != 1 else ()),
        *(("--https-artifacts",) if https_artifacts else ()),
    ]
    every = tuple(map(_fault, faults))
    return Conditions(rates, AS_AWS in throttles, every, slow, clock_speed, https_artifacts, tuple(words))


def _assigned(option: str, text: str, check: Callable[[str, str], str]) -> tuple[str, float]:
    name, equals, number = text.partition("=")
    try:
        value = float(number)
    except ValueError:
        value = -1.0
    if not equals or not 0 < value < float("inf"):
        raise Usage(f"{option} {text} is neither {AS_AWS} nor NAME=NUMBER with a number above 0")
    return check(option, name), value


def _fault(text: str) -> Fault:
    parts = text.split(":")
    if len(parts) not in {3, 4}:
        raise Usage(f"--fault {text} is not OPERATION:KIND[:SHARE]", hint="--fault iot:CreateThing:reset-after:0.05")
    operation, kind = ":".join(parts[:2]), parts[2]
    if kind not in KINDS:
        raise Usage(f"--fault {text}: there is no kind {kind!r}", hint=f"one of {', '.join(KINDS)}")
    try:
        share = float(parts[3]) if len(parts) == 4 else 1.0
    except ValueError:
        share = -1.0
    if not 0 < share <= 1:
        raise Usage(f"--fault {text}: the share of the calls is a number above 0 and up to 1")
    return Fault(operation if "*" in operation else _operation("--fault", operation), kind, share)


def _operation(option: str, name: str) -> str:
    from iotctl.aws import is_operation

    if not is_operation(name):
        raise Usage(f"{option}: AWS has no operation {name!r}", hint="as in iot:CreateThing, iot-data:Publish")
    return name


def _kind_of_change(option: str, name: str) -> str:
    if name not in AWS_DELAYS:
        raise Usage(f"{option}: there is no kind of change {name!r}", hint=f"one of {', '.join(AWS_DELAYS)}")
    return name
