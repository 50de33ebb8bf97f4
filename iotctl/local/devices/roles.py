"""The part that each thing of a simulated fleet plays: obedient, failing, slow or absent.

Who plays which is decided by a hash of the name, so a fleet behaves the same at every start.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from iotctl.errors import Usage

if TYPE_CHECKING:
    from collections.abc import Iterable

SLOWEST: Final = 20.0
QUICKEST: Final = 5.0
"""A slow thing acts after so many seconds at least, SLOWEST at most."""


@dataclass(frozen=True, slots=True)
class Role:
    """How a thing behaves.

    Attributes:
        fails: it refuses every change, and says so.
        delay: seconds before it acts on a change.
        offline: it never connects.
        reboots: in the middle of a job, once what it installs is in place.

    """

    fails: bool = False
    delay: float = 0.0
    offline: bool = False
    reboots: bool = False


OBEDIENT: Final = Role()


@dataclass(frozen=True, slots=True)
class Shares:
    """The parts of a fleet that misbehave, each from 0 to 1; together at most the whole of it."""

    fail: float = 0.0
    slow: float = 0.0
    offline: float = 0.0

    def __post_init__(self) -> None:
        """Check the sum.

        Raises:
            Usage: it is more than the whole fleet.

        """
        if self.fail + self.slow + self.offline > 1 + 1e-9:
            raise Usage(
                "--fail, --slow and --offline together are more than 100%",
                hint="a thing plays one part only: for example --fail 5% --slow 10%",
            )


def share(percent: str) -> float:
    """A share from 0 to 1 of a percentage as people type it: `5%`, `5` or `2.5%`.

    Raises:
        Usage: it is not one.

    """
    match = re.fullmatch(r"([0-9]{1,3}(?:\.[0-9]{1,6})?)\s?%?", percent.strip())
    if match is None or float(match[1]) > 100:
        raise Usage(f"{percent!r} is not a percentage", hint="for example 5%, from 0% to 100%")
    return float(match[1]) / 100


def roles(thing_names: Iterable[str], shares: Shares, *, reboots: bool = False) -> dict[str, Role]:
    """The role of each thing; each share is met to the nearest whole thing; who reboots plays another part too."""
    marks = {name: hashlib.sha256(name.encode()).digest() for name in thing_names}
    order = sorted(marks, key=lambda name: marks[name])
    parts: dict[str, Role] = dict.fromkeys(marks, OBEDIENT)
    failing, slow, offline = (round(each * len(order)) for each in (shares.fail, shares.slow, shares.offline))
    parts |= dict.fromkeys(order[:failing], Role(fails=True))
    parts |= {name: Role(delay=_delay(marks[name])) for name in order[failing : failing + slow]}
    parts |= dict.fromkeys(order[failing + slow : failing + slow + offline], Role(offline=True))
    return {name: replace(part, reboots=reboots) for name, part in parts.items()}


def _delay(mark: bytes) -> float:
    """Other bytes of the hash than those that put the thing among the slow ones decide how slow it is."""
    return QUICKEST + (SLOWEST - QUICKEST) * int.from_bytes(mark[-4:]) / 0xFFFFFFFF
