"""Reading TOML of an operator's: every fault is found before any is told, by its place in the file."""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING, Any

from iotctl import text
from iotctl.errors import Error, Usage

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


def document(path: Path) -> dict[str, Any]:
    """What is in a file, as TOML has it.

    Raises:
        Usage: it cannot be read, or is not TOML.

    """
    try:
        return tomllib.loads(path.read_text("utf-8-sig"))
    except OSError as error:
        raise Usage(f"{path} cannot be read: {error.strerror}", on=str(path)) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise Usage(f"{path} is not TOML: {text.sanitize(str(error))}", on=str(path)) from error


class Tables:
    """What a file may hold, judged.

    Args:
        name: of the file, as it is told.
        code: of its faults.

    Attributes:
        faults: one Usage for each, in the order in which they were found.

    """

    def __init__(self, name: str, code: str) -> None:
        self.faults: list[Error] = []
        self._name = name
        self._code = code

    def known(self, table: Mapping[str, Any], known: tuple[str, ...], where: str) -> None:
        """Find the keys that nothing is called by."""
        for key in table:
            if key not in known:
                meant = text.nearest(key, known)
                hint = f"; did you mean {meant}?" if meant else f"; known: {', '.join(known)}"
                self.fault(f"{where}.{key}" if where else key, f"nothing is called so here{hint}")

    def texts(self, where: str, value: Any) -> list[str]:  # noqa: ANN401  TOML is any value
        """A list of texts; empty where it is none."""
        if isinstance(value, list) and all(isinstance(each, str) for each in value):
            return value
        self.fault(where, "it is not a list of texts")
        return []

    def whole(self, where: str, value: Any, least: int, most: float, what: str) -> int:  # noqa: ANN401  TOML is any value
        """A whole number from `least` to `most`; `least` where it is none."""
        if isinstance(value, int) and not isinstance(value, bool) and least <= value <= most:
            return value
        self.fault(where, f"it is not {what}")
        return least

    def fault(self, where: str, what: str) -> None:
        """Note what is wrong, and where."""
        self.faults.append(Usage(f"{self._name}: {where}: {text.sanitize(what)}", code=self._code, on=where))
