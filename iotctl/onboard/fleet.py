"""The fleet file: rows, and every bad row by line number.

The whole file is read and judged before anything is called. Its rows are kept in a temporary database of their own, so
a file of a million lines takes little memory, duplicates are found without a set of all names, and a file that changes
or a pipe that ends does not matter afterwards.
"""

from __future__ import annotations

import codecs
import csv
import functools
import gzip
import hashlib
import io
import itertools
import json
import re
import sqlite3
import sys
import zlib
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TextIO, cast

from iotctl import text
from iotctl.errors import BadInput, Error, Usage
from iotctl.onboard import row
from iotctl.onboard.hierarchy import Hierarchy
from iotctl.onboard.row import THING_NAME, Reading

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_GZIP: Final = b"\x1f\x8b"
_WORKBOOKS: Final = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")
"""What .xlsx, .ods and .zip files begin with, and .xls."""
_SEPARATOR: Final = re.compile(r"sep=(.)\r?\n?")
"""A first line by which Excel is told what is between the cells."""
_LARGEST_CELL: Final = 131072
_MOST_FAULTS: Final = 1000
_ENCODINGS: Final = (
    (codecs.BOM_UTF32_LE, "UTF-32"),
    (codecs.BOM_UTF32_BE, "UTF-32"),
    (codecs.BOM_UTF16_LE, "UTF-16"),
    (codecs.BOM_UTF16_BE, "UTF-16"),
)


class Fleet:
    """The valid rows of a fleet file, or the first of them: countable, and iterable as often as needed.

    Attributes:
        source: the file, as the user named it.
        digest: SHA-256 of the rows' content; the same for any column order, line ending or byte order mark.
        warnings: what was accepted and is odd.
        policies, thing_types, thing_groups, billing_groups: how many rows name each.
        hierarchy: which thing group is below which, as the rows say it.
        shadows: how many rows set an initial desired state.

    """

    def __init__(self, source: str, limit: int | None = None) -> None:
        self.source = source
        self._limit = limit
        self.digest = ""
        self.warnings: list[str] = []
        self.policies: Counter[str] = Counter()
        self.thing_types: Counter[str] = Counter()
        self.thing_groups: Counter[str] = Counter()
        self.billing_groups: Counter[str] = Counter()
        self.hierarchy = Hierarchy()
        self.shadows = 0
        self._count = 0
        self._capitals = False
        self._requests = False
        # An empty name is a private temporary database on disk that goes with the connection.
        self._rows = sqlite3.connect("")
        # In the order of the file, so that nothing is sorted to be read; the names stand once more, in their index.
        self._rows.execute(
            "CREATE TABLE row (line INTEGER PRIMARY KEY, thing TEXT NOT NULL UNIQUE, spec TEXT NOT NULL)"
        )
        self._rows.execute("PRAGMA cache_size = -16000")
        self._digest = hashlib.sha256()

    def __len__(self) -> int:
        """How many things."""
        return self._count

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """Each row in the order of the file."""
        for line, spec in self._rows.execute("SELECT line, spec FROM row ORDER BY line LIMIT ?", (self._count,)):
            yield {**json.loads(spec), "line": line}

    def alike(self) -> list[tuple[str, str]]:
        """Pairs of thing names that differ only in case; they are ASCII."""
        found = self._rows.execute("SELECT min(thing), max(thing) FROM row GROUP BY lower(thing) HAVING count(*) > 1")
        return found.fetchall() if self._capitals else []

    def lines_with_groups(self, groups: Sequence[str]) -> list[tuple[int, list[str]]]:
        """The lines of the rows that name at least two of these groups, with those that they name."""
        found = self._rows.execute(
            "SELECT line, json_group_array(value) FROM row, json_each(spec, '$.thingGroups')"
            " WHERE value IN (SELECT value FROM json_each(?)) GROUP BY line HAVING count(*) > 1 ORDER BY line",
            (json.dumps(list(groups)),),
        )
        return [(line, json.loads(named)) for line, named in found]

    def policies_of_groups(self) -> dict[str, list[str]]:
        """For each thing group, the policies of the rows that name it, at most two of them."""
        found = self._rows.execute(
            "SELECT value, min(policy), max(policy) FROM (SELECT spec, json_extract(spec, '$.policyName') AS policy"
            " FROM row ORDER BY line LIMIT ?), json_each(spec, '$.thingGroups') GROUP BY value",
            (self._count,),
        )
        return {group: sorted({first, last}) for group, first, last in found}

    def add(self, line: int, spec: dict[str, Any]) -> None:
        """Keep a valid row.

        Raises:
            Usage: another line has the same thing with other values, or puts one of its groups elsewhere.

        """
        thing, content = spec["thingName"], text.canonical(spec)
        for path in spec.get("groupPaths", ()):
            self.hierarchy.add(path, line)
        try:
            self._rows.execute("INSERT INTO row VALUES (?, ?, ?)", (line, thing, content))
        except sqlite3.IntegrityError:
            first, kept = self._rows.execute("SELECT line, spec FROM row WHERE thing = ?", (thing,)).fetchone()
            if kept != content:
                raise Usage(f"{thing} stands on line {first} too, with other values", code="Duplicate") from None
            self.warnings.append(f"line {line} repeats line {first} ({thing}); it counts once")
            return
        if self._count == self._limit:
            return
        self._count += 1
        self._digest.update(content.encode() + b"\n")
        self._capitals = self._capitals or thing != thing.lower()
        self._requests = self._requests or "csr" in spec
        self.policies[spec["policyName"]] += 1
        self.thing_groups.update(spec["thingGroups"])
        if spec["thingType"]:
            self.thing_types[spec["thingType"]] += 1
        if spec["billingGroup"]:
            self.billing_groups[spec["billingGroup"]] += 1
        if spec["shadow"]:
            self.shadows += 1

    def close(self) -> None:
        """All rows are in: take the digest, and say what is odd."""
        self.digest = self._digest.hexdigest()
        self.warnings += [f"{one} and {other} differ only in case" for one, other in self.alike()]
        self.warnings += [
            f"lines {one} and {other} have the same CSR: two things would share one key"
            for one, other in self._sharing()
        ]

    def _sharing(self) -> list[tuple[int, int]]:
        """Pairs of lines whose things would have the same key: nothing forbids it, and nobody wants it."""
        found = self._rows.execute(
            "SELECT min(line), max(line) FROM (SELECT line, json_extract(spec, '$.csr') AS csr FROM row)"
            " WHERE csr IS NOT NULL GROUP BY csr HAVING count(*) > 1 ORDER BY 1"
        )
        return found.fetchall() if self._requests else []


def read(source: str, reading: Reading) -> Fleet:
    """Read and judge a whole fleet file.

    Args:
        source: a path, or "-" for standard input.
        reading: how.

    Raises:
        BadInput: with one error per bad line. Usage: it is not a CSV file with a header that can be used.

    """
    if source == "-":
        return _decoded(cast("io.BufferedReader", sys.stdin.buffer), "standard input", Path.cwd(), reading)
    path = Path(source)
    try:
        # Opened once: a named pipe has only one beginning.
        with path.open("rb") as raw:
            return _decoded(raw, source, path.parent, reading)
    except OSError as error:
        raise Usage(f"{source} cannot be read: {error.strerror}", code="Unreadable", on=source) from error


def _decoded(raw: io.BufferedReader, source: str, directory: Path, reading: Reading) -> Fleet:
    if raw.peek(2)[:2] == _GZIP:
        try:
            with gzip.GzipFile(fileobj=raw) as unpacked:
                return _decoded(io.BufferedReader(unpacked), source, directory, reading)
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise Usage(f"{source} is damaged: {error}", code="Gzip", on=source) from error
    head = raw.peek(4)
    if head.startswith(_WORKBOOKS):
        raise Usage(
            f"{source} is a workbook or an archive, not a CSV file",
            code="Encoding",
            hint="save it as CSV UTF-8; or unpack it",
            on=source,
        )
    for mark, encoding in _ENCODINGS:
        if head.startswith(mark):
            raise Usage(
                f"{source} is {encoding}", code="Encoding", hint="save it as UTF-8 (in Excel: CSV UTF-8)", on=source
            )
    stream = io.TextIOWrapper(raw, encoding="utf-8-sig", newline="")
    try:
        return _read(stream, source, directory, reading)
    finally:
        stream.detach()


def _read(stream: TextIO, source: str, directory: Path, reading: Reading) -> Fleet:
    fleet = Fleet(source, reading.limit)
    faults: list[Error] = []
    bad = 0
    lines = _records(stream, source, reading.delimiter)
    _, head = next(lines, (0, None))
    if not isinstance(head, list):
        raise head or Usage(
            f"{source} is empty", code="NoHeader", hint=f"its first line names the columns: {THING_NAME},…", on=source
        )
    layout = row.Layout.of(row.header(head, source, reading))
    # Many rows name the same policy, and what it is called in the account is the same for all of them.
    reading = replace(reading, policy_name=functools.lru_cache(maxsize=1024)(reading.policy_name))
    for line, cells in lines:
        try:
            if not isinstance(cells, list):
                raise cells
            fleet.add(line, row.parse(cells, layout, directory, reading))
        except Usage as error:
            bad += 1
            if len(faults) < _MOST_FAULTS:
                where = f"{source}:{line}"
                faults.append(Usage(f"{where}: {error.message}", code=error.code, on=where))
    for line, words in () if bad else _of_groups(fleet):
        bad += 1
        faults.append(Usage(f"{source}:{line}: {words}", code="Hierarchy", on=f"{source}:{line}"))
    if bad:
        raise BadInput(
            f"{source}: {text.count(bad, 'bad line')}; nothing was called, nothing was written",
            tuple(faults),
            hint="mend them and run the same command again",
            on=source,
        )
    if not len(fleet):
        raise Usage(f"{source} has a header and no rows", code="NoRows", on=source)
    fleet.close()
    return fleet


def _of_groups(fleet: Fleet) -> Iterator[tuple[int, str]]:
    """What is wrong with the thing groups of all rows together, with a line that says so."""
    hierarchy = fleet.hierarchy
    rings = list(hierarchy.faults())
    yield from rings
    families: dict[str, list[str]] = {}
    for group in fleet.thing_groups if not rings else ():
        families.setdefault([group, *hierarchy.above(group)][-1], []).append(group)
    for root, members in families.items():
        if len(members) > 1:
            for line, named in fleet.lines_with_groups(members):
                yield line, f"the thing groups {' and '.join(named)} are in one hierarchy (of {root})"


def _undecodable(source: str, error: UnicodeDecodeError, line: int) -> Usage:
    """On which line the bytes are that are no UTF-8; `line` is the one that was being read."""
    # What was decoded before is used up: the bytes at hand begin within that line.
    where = line + error.object[: error.start].count(b"\n")
    return Usage(
        f"{source} is not UTF-8 (byte {error.object[error.start]:#04x} on line {where})",
        code="Encoding",
        hint="save it as UTF-8 (in Excel: CSV UTF-8)",
        on=source,
    )


def _records(stream: TextIO, source: str, delimiter: str) -> Iterator[tuple[int, list[str] | Usage]]:
    """Each record that is not blank, with the number of its first line; a last Usage where the rest has no lines."""
    csv.field_size_limit(_LARGEST_CELL)
    lines, before = iter(stream), 0
    try:
        first = next(lines, "")
    except UnicodeDecodeError as error:
        raise _undecodable(source, error, 1) from error
    if told := _SEPARATOR.fullmatch(first):
        delimiter, before = told[1], 1
    records = csv.reader(lines if told else itertools.chain([first], lines), delimiter=delimiter, strict=True)
    while True:
        line = records.line_num + 1 + before
        try:
            cells = next(records, None)
        except UnicodeDecodeError as error:
            raise _undecodable(source, error, records.line_num + 1 + before) from error
        except csv.Error as error:
            if line == 1:
                row.refuse_delimiter(first.rstrip("\r\n"), source, delimiter)
            yield line, Usage(f"{error} (an unclosed quote, or a cell over 128 KiB)", code="Csv")
            return
        if cells is None:
            return
        if any(cell.strip() for cell in cells):
            yield line, cells
