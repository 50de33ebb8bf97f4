"""The order of releases: Semantic Versioning's precedence (semver.org, section 11), plain dotted numbers included.

AWS's own versions (Greengrass components, IoT software packages) are ordered in the same way.
"""

from __future__ import annotations

import re
from typing import Final, TypeAlias

LONGEST: Final = 64
"""Characters of a release: what the version of a package of AWS IoT's software catalog may have."""

Precedence: TypeAlias = tuple[tuple[int, ...], bool, tuple[tuple[bool, int, str], ...]]

_IDENTIFIERS: Final = r"[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*"
_RELEASE: Final = re.compile(rf"([0-9]{{1,18}}(?:\.[0-9]{{1,18}}){{0,7}})(?:-({_IDENTIFIERS}))?(?:\+({_IDENTIFIERS}))?")


def precedence(release: str) -> Precedence:
    """What releases are compared by: 1.10 is higher than 1.9.3, and what follows a `+` does not count.

    Missing numbers are 0, so 1.2 and 1.2.0 are of one precedence.

    Raises:
        ValueError: it is not a release.

    """
    found = _RELEASE.fullmatch(release) if len(release) <= LONGEST else None
    if found is None:
        raise ValueError(f"{release!r} is not a release (such as 1.4.0, 2024.11.3 or 2.0.0-rc.1)")
    numbers = [int(number) for number in found[1].split(".")]
    while numbers and numbers[-1] == 0:
        numbers.pop()
    before = found[2].split(".") if found[2] else []
    # A final release comes after its pre-releases, letters after digits, and the longer list after its own beginning.
    return tuple(numbers), not before, tuple(_identifier(each) for each in before)


def _identifier(word: str) -> tuple[bool, int, str]:
    return (False, int(word), "") if word.isdigit() else (True, 0, word)
