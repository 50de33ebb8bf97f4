"""Resources that are found by their names: a row of a table, an ARN, and what is said where there is none."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from iotctl.local.services import not_found

if TYPE_CHECKING:
    import sqlite3

    from iotctl.local.store import Store


@dataclass(frozen=True, slots=True)
class Named:
    """A kind of such resources.

    Attributes:
        table: where they are.
        resource: what their ARNs have before the name: `dimension` of arn:aws:iot:…:dimension/NAME.
        missing: what is said of one that is not there, `{}` for its name.
        column: which has the name.

    """

    table: str
    resource: str
    missing: str
    column: str = "name"

    def arn(self, store: Store, name: str) -> str:
        """The ARN of one."""
        return store.arn(f"{self.resource}/{name}")

    def find(self, store: Store, name: str) -> sqlite3.Row | None:
        """The row of one, if it is there."""
        return store.row(f"SELECT * FROM {self.table} WHERE {self.column} = ?", name)  # noqa: S608  our own words

    def exists(self, store: Store, name: str) -> bool:
        """Whether there is one of this name."""
        return self.find(store, name) is not None

    def known(self, store: Store, name: str) -> sqlite3.Row:
        """The row of one.

        Raises:
            AwsError: ResourceNotFoundException.

        """
        row = self.find(store, name)
        if row is None:
            raise not_found(self.missing.format(name))
        return row
