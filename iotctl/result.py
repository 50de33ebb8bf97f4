"""What a command hands back: Result (finite), Stream (as it comes, Remarks between); and Failure, an error as data.

A command never prints. It returns one of these, or a Plan, and the root writes it in the format that was asked for.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from iotctl.errors import Error, Exit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence


@dataclass(frozen=True, slots=True)
class Failure:
    """An error as data: one element of `errors` in the JSON envelope, three lines on stderr."""

    code: str
    message: str
    on: str = ""
    hint: str = ""
    cause: str = ""
    exit: Exit = Exit.BUG

    @classmethod
    def of(cls, error: Error, on: str = "") -> Failure:
        """The failure that an error is."""
        return cls(error.code, error.message, on or error.on, error.hint, error.cause, error.exit)

    def to_json(self) -> dict[str, str]:
        """The failure as the envelope's `errors` hold it."""
        value = {"code": self.code, "message": self.message, "on": self.on, "hint": self.hint}
        return value | ({"cause": self.cause} if self.cause else {})


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table.

    Attributes:
        key: in the row, AWS's own name: thingName.
        title: over the column on a terminal; the key where empty.

    """

    key: str
    title: str = ""


@dataclass(frozen=True, slots=True)
class Table:
    """Rows for people and for `cut`; the first column is the id that `quiet` prints."""

    columns: tuple[Column, ...]
    rows: Iterable[Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Result:
    """A finite answer.

    Attributes:
        data: the envelope's `data`, with AWS's own keys.
        table: the same for a terminal or a pipe; absent where `text` is the answer.
        text: printed as it is in place of a table (a JSON document, shell exports).
        notes: words for a person, on stderr.
        failures: what went wrong while the command still has an answer.
        exit: the exit code where no failure decides it.

    """

    data: Any = None
    table: Table | None = None
    text: str | None = None
    notes: tuple[str, ...] = ()
    failures: tuple[Failure, ...] = ()
    exit: Exit = Exit.OK


@dataclass(frozen=True, slots=True)
class Remark:
    """What a reader must know between the rows of a stream: a JSON line of its own type, words on stderr in text.

    Attributes:
        type: one word: gap, duplicate, reconnected.
        text: the same for a person.
        data: its members, with AWS's own keys.

    """

    type: str
    text: str
    data: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Stream:
    """Rows as they come, without an end of their own.

    Attributes:
        columns: of the rows; the first is the id that `quiet` prints.
        rows: rows and remarks, each alone or several at a time (written in one go). A generator may return a Result:
            its data, failures and exit code close the stream. Ctrl-C is raised within it, so that it can.
        notes: words for a person, before the first row.
        view: what a terminal shows in place of the rows, drawn anew a few times a second: lines that fit into so many
            columns and lines. Such a stream yields something, maybe an empty sequence, at least as often.

    """

    columns: tuple[Column, ...]
    rows: Iterable[Mapping[str, Any] | Remark | Sequence[Mapping[str, Any] | Remark]]
    notes: tuple[str, ...] = field(default=())
    view: Callable[[int, int], Sequence[str]] | None = None
