"""The names and values that AWS IoT accepts: patterns and lengths, as its service model and limits page give them.

Sources: the AWS IoT API reference (ThingName, AttributeName, …) and "AWS IoT Core quotas".
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True)
class Rule:
    """What a kind of name must be.

    Attributes:
        noun: AWS's noun for it.
        alphabet: a regular expression for one character.
        shown: the alphabet in words.

    """

    noun: str
    alphabet: str
    shown: str
    longest: int
    shortest: int = 1

    @functools.cached_property
    def _fits(self) -> Callable[[str], object]:
        return re.compile(f"{self.alphabet}{{{self.shortest},{self.longest}}}", re.ASCII).fullmatch

    def fault(self, value: str) -> str:
        """Why this value is refused; empty when it is not."""
        if self._fits(value):
            return ""
        if len(value) < self.shortest:
            return f"the {self.noun} is empty"
        if len(value) > self.longest:
            return f"the {self.noun} has {len(value)} characters, more than {self.longest}"
        wrong = re.sub(self.alphabet, "", value, flags=re.ASCII)
        return f"the {self.noun} {value!r} has {wrong[0]!r}; allowed: {self.shown}" if wrong else ""


_NAME: Final = ("[a-zA-Z0-9:_-]", "letters, digits, : _ -")

THING_NAME: Final = Rule("thing name", *_NAME, 128)
THING_TYPE_NAME: Final = Rule("thing type name", *_NAME, 128)
THING_GROUP_NAME: Final = Rule("thing group name", *_NAME, 128)
BILLING_GROUP_NAME: Final = Rule("billing group name", *_NAME, 128)
POLICY_NAME: Final = Rule("policy name", r"[\w+=,.@-]", "letters, digits, _ + = , . @ -", 128)
ATTRIBUTE_NAME: Final = Rule("attribute name", "[a-zA-Z0-9_.,@/:#-]", "letters, digits, _ . , @ / : # -", 128)
ATTRIBUTE_VALUE: Final = Rule(
    "attribute value", r"[a-zA-Z0-9_.,@/:#=\[\]-]", "letters, digits, _ . , @ / : # = [ ] -", 800, 0
)

ATTRIBUTES_WITHOUT_TYPE: Final = 3
ATTRIBUTES_WITH_TYPE: Final = 50
GROUPS_PER_THING: Final = 10
GROUP_DEPTH: Final = 7
SHADOW_BYTES: Final = 8192
SHADOW_DEPTH: Final = 6
COMMON_NAME_LENGTH: Final = 64  # RFC 5280, upper bound of a common name
