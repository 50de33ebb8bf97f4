"""The fleet file: rows, and every bad row by line number.

The whole file is read and judged before anything is called. Its rows are kept in a temporary database of their own, so
a file of a million lines takes little memory, duplicates are found without a set of all names, and a file that changes
or a pipe that ends does not matter afterwards.
"""

from __future__ import annotations

import codecs
import csv
import hashlib
import io
import itertools
import json
import sqlite3
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TextIO, cast

from iotctl import text
from iotctl.errors import BadInput, Error, Usage
from iotctl.semantics import names

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

THING_NAME: Final = "thing_name"
COLUMNS: Final = (THING_NAME, "thing_type", "thing_groups", "billing_group", "policy", "csr")
PREFIXES: Final = ("attr:", "shadow:")
CLAIM: Final = "iotctl-cert"
CORE_POLICY: Final = "greengrass-core"

_LARGEST_CELL: Final = 131072
_MOST_FAULTS: Final = 1000
_CONTROLS: Final = frozenset(chr(code) for code in (*range(0x20), 0x7F, *range(0x80, 0xA0)))
_ENCODINGS: Final = (
    (codecs.BOM_UTF32_LE, "UTF-32"),
    (codecs.BOM_UTF32_BE, "UTF-32"),
    (codecs.BOM_UTF16_LE, "UTF-16"),
    (codecs.BOM_UTF16_BE, "UTF-16"),
)


@dataclass(frozen=True, slots=True)
class Reading:
    """How to read a fleet file.

    Attributes:
        delimiter: between the cells.
        renamed: the file's own column names, mapped to the ones here.
        policy: for rows that name none.
        policy_name: the name in the account of what a `policy` cell says.
        check_csr: raises Usage for a CSR that cannot be signed.

    """

    policy: str
    policy_name: Callable[[str], str]
    check_csr: Callable[[str], None]
    delimiter: str = ","
    renamed: Mapping[str, str] | None = None


class Fleet:
    """The valid rows of a fleet file: countable, and iterable as often as needed.

    Attributes:
        source: the file, as the user named it.
        digest: SHA-256 of the rows' content; the same for any column order, line ending or byte order mark.
        warnings: what was accepted and is odd.
        policies, thing_types, thing_groups, billing_groups: how many rows name each.
        shadows: how many rows set an initial desired state.

    """

    def __init__(self, source: str) -> None:
        self.source = source
        self.digest = ""
        self.warnings: list[str] = []
        self.policies: Counter[str] = Counter()
        self.thing_types: Counter[str] = Counter()
        self.thing_groups: Counter[str] = Counter()
        self.billing_groups: Counter[str] = Counter()
        self.shadows = 0
        self._count = 0
        # An empty name is a private temporary database on disk that goes with the connection.
        self._rows = sqlite3.connect("")
        self._rows.execute(
            "CREATE TABLE row (thing TEXT PRIMARY KEY, folded TEXT, line INTEGER, spec TEXT) WITHOUT ROWID"
        )

    def __len__(self) -> int:
        """How many things."""
        return self._count

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """Each row in the order of the file."""
        for line, spec in self._rows.execute("SELECT line, spec FROM row ORDER BY line"):
            yield {**json.loads(spec), "line": line}

    def alike(self) -> list[tuple[str, str]]:
        """Pairs of thing names that differ only in case."""
        found = self._rows.execute("SELECT min(thing), max(thing) FROM row GROUP BY folded HAVING count(*) > 1")
        return found.fetchall()

    def lines_with_groups(self, groups: Sequence[str]) -> list[tuple[int, list[str]]]:
        """The lines of the rows that name at least two of these groups, with those that they name."""
        found = self._rows.execute(
            "SELECT line, json_group_array(value) FROM row, json_each(spec, '$.thingGroups')"
            " WHERE value IN (SELECT value FROM json_each(?)) GROUP BY line HAVING count(*) > 1 ORDER BY line",
            (json.dumps(list(groups)),),
        )
        return [(line, json.loads(named)) for line, named in found]

    def add(self, line: int, spec: dict[str, Any]) -> None:
        """Keep a valid row.

        Raises:
            Usage: another line has the same thing with other values.

        """
        thing, content = spec["thingName"], text.canonical(spec)
        try:
            self._rows.execute("INSERT INTO row VALUES (?, ?, ?, ?)", (thing, thing.casefold(), line, content))
        except sqlite3.IntegrityError:
            first, kept = self._rows.execute("SELECT line, spec FROM row WHERE thing = ?", (thing,)).fetchone()
            if kept != content:
                raise Usage(f"{thing} stands on line {first} too, with other values", code="Duplicate") from None
            self.warnings.append(f"line {line} repeats line {first} ({thing}); it counts once")
            return
        self._count += 1
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
        digest = hashlib.sha256()
        for (spec,) in self._rows.execute("SELECT spec FROM row ORDER BY line"):
            digest.update(spec.encode() + b"\n")
        self.digest = digest.hexdigest()
        self.warnings += [f"{one} and {other} differ only in case" for one, other in self.alike()]


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
    head = raw.peek(4)
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
    fleet = Fleet(source)
    faults: list[Error] = []
    bad = 0
    lines = _records(stream, source, reading.delimiter)
    _, head = next(lines, (0, None))
    if not isinstance(head, list):
        raise head or Usage(
            f"{source} is empty", code="NoHeader", hint=f"its first line names the columns: {THING_NAME},…", on=source
        )
    columns = _header(head, source, reading)
    for line, cells in lines:
        try:
            if not isinstance(cells, list):
                raise cells
            fleet.add(line, _row(cells, columns, directory, reading))
        except Usage as error:
            bad += 1
            if len(faults) < _MOST_FAULTS:
                where = f"{source}:{line}"
                faults.append(Usage(f"{where}: {error.message}", code=error.code, on=where))
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


def _records(stream: TextIO, source: str, delimiter: str) -> Iterator[tuple[int, list[str] | Usage]]:
    """Each record that is not blank, with the number of its first line; a last Usage where the rest has no lines."""
    csv.field_size_limit(_LARGEST_CELL)
    lines = csv.reader(stream, delimiter=delimiter, strict=True)
    while True:
        line = lines.line_num + 1
        try:
            cells = next(lines, None)
        except UnicodeDecodeError as error:
            raise Usage(
                f"{source} is not UTF-8 (byte {error.object[error.start]:#04x} after line {line - 1})",
                code="Encoding",
                hint="save it as UTF-8 (in Excel: CSV UTF-8)",
                on=source,
            ) from error
        except csv.Error as error:
            yield line, Usage(f"{error} (an unclosed quote, or a cell over 128 KiB)", code="Csv")
            return
        if cells is None:
            return
        if any(cell.strip() for cell in cells):
            yield line, cells


def _header(cells: Sequence[str], source: str, reading: Reading) -> list[str]:
    renamed = reading.renamed or {}
    given = [cell.strip() for cell in cells]
    columns = [renamed.get(name, name) for name in given]
    if unused := sorted(set(renamed) - set(given)):
        raise Usage(f"--map names a column that {source} does not have: {unused[0]}", code="Header", on=source)
    if len(columns) == 1 and THING_NAME not in columns:
        for other in (";", "\t", "|", ","):
            if other != reading.delimiter and THING_NAME in [name.strip() for name in cells[0].split(other)]:
                shown = "TAB" if other == "\t" else other
                raise Usage(
                    f"{source} has {shown!r} between its cells",
                    code="Delimiter",
                    hint=f"add --delimiter '{shown}'",
                    on=source,
                )
    if THING_NAME not in columns:
        meant = text.nearest(THING_NAME, columns) or columns[0]
        raise Usage(
            f"{source} has no column {THING_NAME}", code="Header", hint=f"--map {meant}={THING_NAME}", on=source
        )
    for position, name in enumerate(columns, 1):
        _known_column(name, position, source)
        if name and columns.index(name) != position - 1:
            raise Usage(f"{source}: the column {name!r} stands twice", code="Header", on=source)
    paths = sorted(name.removeprefix("shadow:").split(".") for name in columns if name.startswith("shadow:"))
    for short, long in itertools.pairwise(paths):
        if long[: len(short)] == short:
            one, other = ".".join(short), ".".join(long)
            raise Usage(f"{source}: shadow:{one} holds shadow:{other}; give one of them", code="Header", on=source)
    return columns


def _known_column(name: str, position: int, source: str) -> None:
    if not name or name in COLUMNS:
        return
    if _CONTROLS.intersection(name):
        raise Usage(f"{source}: the name of column {position} has a control character", code="Header", on=source)
    if name.startswith("shadow:") and all(name.removeprefix("shadow:").split(".")):
        return
    if name.startswith("attr:"):
        attribute = name.removeprefix("attr:")
        if attribute == CLAIM:
            raise Usage(f"{source}: the attribute {CLAIM} is iotctl's own", code="Header", on=source)
        if fault := names.ATTRIBUTE_NAME.fault(attribute):
            raise Usage(f"{source}: column {position}: {fault}", code="Header", on=source)
        return
    meant = text.nearest(name, COLUMNS)
    hint = f"did you mean {meant}? " if meant else ""
    raise Usage(
        f"{source}: unknown column {text.sanitize(name)!r}",
        code="UnknownColumn",
        hint=f"{hint}An attribute is attr:NAME, initial desired state is shadow:a.b; known: {', '.join(COLUMNS)}",
        on=source,
    )


def _row(cells: Sequence[str], columns: Sequence[str], directory: Path, reading: Reading) -> dict[str, Any]:
    """One line's values, judged.

    Raises:
        Usage: everything that is wrong with the line.

    """
    if len(cells) != len(columns):
        raise Usage(f"{text.count(len(cells), 'cell')} where the header has {len(columns)}", code="Cells")
    faults: list[str] = []
    values: dict[str, str] = {}
    for name, cell in zip(columns, cells, strict=True):
        if _CONTROLS.intersection(cell):
            faults.append(f"the cell of {name or 'a column without a name'} has a control character")
        elif not name:
            if cell.strip():
                faults.append(f"{text.sanitize(cell)!r} stands in a column without a name")
        else:
            values[name] = cell if name.startswith("shadow:") else cell.strip()
    spec = _spec(values, reading, faults)
    if not faults and values.get("csr"):
        spec["csr"] = _csr(directory / values["csr"], values["csr"], reading, faults)
    if faults:
        raise Usage("; ".join(faults), code="BadRow")
    return spec


def _spec(values: Mapping[str, str], reading: Reading, faults: list[str]) -> dict[str, Any]:
    def checked(rule: names.Rule, value: str) -> str:
        if fault := rule.fault(value):
            faults.append(text.sanitize(fault))
        return value

    thing_name = checked(names.THING_NAME, values.get(THING_NAME, ""))
    thing_type = values.get("thing_type", "")
    billing_group = values.get("billing_group", "")
    policy = values.get("policy") or reading.policy
    policy_name = checked(names.POLICY_NAME, reading.policy_name(policy))
    if values.get("policy", "").endswith((".json", ".j2")):
        faults.append("a policy cell names a template or a policy of the account; a file goes with --policy")
    if policy == CORE_POLICY and len(thing_name) > names.COMMON_NAME_LENGTH:
        longest = names.COMMON_NAME_LENGTH
        faults.append(
            f"the name of a core may have {longest} characters: its policy knows it by its certificate's name"
        )
    groups = [group.strip() for group in values.get("thing_groups", "").split(";") if group.strip()]
    for group in groups:
        checked(names.THING_GROUP_NAME, group)
    if len(groups) > names.GROUPS_PER_THING:
        faults.append(f"{len(groups)} thing groups, more than {names.GROUPS_PER_THING}")
    if thing_type:
        checked(names.THING_TYPE_NAME, thing_type)
    if billing_group:
        checked(names.BILLING_GROUP_NAME, billing_group)
    attributes = {name[5:]: value for name, value in values.items() if name.startswith("attr:") and value}
    for value in attributes.values():
        checked(names.ATTRIBUTE_VALUE, value)
    most = names.ATTRIBUTES_WITH_TYPE if thing_type else names.ATTRIBUTES_WITHOUT_TYPE
    if len(attributes) + 1 > most:
        more = "" if thing_type else "; with a thing_type it may have 50"
        faults.append(f"{len(attributes)} attributes, and {CLAIM} makes more than {most}{more}")
    return {
        "thingName": thing_name,
        "thingType": thing_type or None,
        "thingGroups": sorted(set(groups)),
        "billingGroup": billing_group or None,
        "policyName": policy_name,
        "attributes": attributes,
        "shadow": _shadow(values, faults),
    }


def _shadow(values: Mapping[str, str], faults: list[str]) -> str | None:
    """The body of the update that sets the initial desired state; None where the row sets nothing."""
    desired: dict[str, Any] = {}
    for name, cell in values.items():
        if not name.startswith("shadow:") or not cell:
            continue
        *parents, leaf = name.removeprefix("shadow:").split(".")
        if len(parents) >= names.SHADOW_DEPTH:
            faults.append(f"{name} is nested deeper than {names.SHADOW_DEPTH} levels")
        place = desired
        for parent in parents:
            place = place.setdefault(parent, {})
        place[leaf] = _value(cell)
    if not desired:
        return None
    body = text.canonical({"state": {"desired": desired}})
    if len(text.canonical(desired).encode()) > names.SHADOW_BYTES:
        faults.append(f"the initial desired state is larger than {names.SHADOW_BYTES} bytes")
    return body


def _value(cell: str) -> Any:  # noqa: ANN401  any JSON value
    """A value is JSON if it parses as JSON, else a string."""
    try:
        return text.loads(cell)
    except Usage:
        return cell


def _csr(path: Path, shown: str, reading: Reading, faults: list[str]) -> str:
    try:
        pem = path.read_text("ascii")
        reading.check_csr(pem)
    except (OSError, UnicodeDecodeError):
        faults.append(f"the CSR {text.sanitize(shown)} cannot be read")
        return ""
    except Usage as error:
        faults.append(f"the CSR {text.sanitize(shown)}: {error.message}")
    return pem
