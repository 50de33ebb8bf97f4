"""What the header and one line of a fleet file may hold, and every reason why they may not."""

from __future__ import annotations

import functools
import itertools
import re
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from iotctl import text
from iotctl.errors import Usage
from iotctl.semantics import names

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

THING_NAME: Final = "thing_name"
COLUMNS: Final = (THING_NAME, "thing_type", "thing_groups", "billing_group", "policy", "csr")
CLAIM: Final = "iotctl-cert"
CORE_POLICY: Final = "greengrass-core"

_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]")


@dataclass(frozen=True, slots=True)
class Reading:
    """How to read a fleet file.

    Attributes:
        delimiter: between the cells.
        renamed: the file's own column names, mapped to the ones here.
        policy: for rows that name none.
        policy_name: the name in the account of what a `policy` cell says.
        check_csr: raises Usage for a CSR that cannot be signed.
        limit: how many rows count; all of them are judged.
        claim: whether one attribute of each thing is ours.

    """

    policy: str
    policy_name: Callable[[str], str]
    check_csr: Callable[[str], None]
    delimiter: str = ","
    renamed: Mapping[str, str] | None = None
    limit: int | None = None
    claim: bool = True


def header(cells: Sequence[str], source: str, reading: Reading) -> list[str]:
    """The columns that a header names, by the names used here.

    Raises:
        Usage: a column is unknown, stands twice, or is missing.

    """
    renamed = reading.renamed or {}
    if "\x00" in cells[0]:
        hint = "save it as UTF-8 (in Excel: CSV UTF-8)"
        raise Usage(
            f"{source} is no text, or UTF-16: its header has NUL characters", code="Encoding", hint=hint, on=source
        )
    given = [cell.strip() for cell in cells]
    columns = [renamed.get(name, name) for name in given]
    if unused := sorted(set(renamed) - set(given)):
        raise Usage(f"--map names a column that {source} does not have: {unused[0]}", code="Header", on=source)
    if len(columns) == 1 and THING_NAME not in columns:
        refuse_delimiter(cells[0], source, reading.delimiter)
    if THING_NAME not in columns:
        hint = _renaming(columns, reading.delimiter)
        raise Usage(f"{source} has no column {THING_NAME}", code="Header", hint=hint, on=source)
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


def _renaming(columns: Sequence[str], delimiter: str) -> str:
    """The options that make a header without our column of names one that has it."""
    other = next((each for each in (";", "\t", "|") if each != delimiter and each in columns[0]), "")
    if len(columns) == 1 and other:
        shown = "TAB" if other == "\t" else other
        return f"--delimiter '{shown}' --map {shlex.quote(f'{columns[0].split(other)[0].strip()}={THING_NAME}')}"
    meant = text.nearest(THING_NAME, columns) or columns[0]
    return f"--map {shlex.quote(f'{meant}={THING_NAME}')}"


def refuse_delimiter(line: str, source: str, delimiter: str) -> None:
    """Refuse a header that is one only by another delimiter.

    Raises:
        Usage: with that one.

    """
    for other in (";", "\t", "|", ","):
        if other != delimiter and THING_NAME in [name.strip().strip('"') for name in line.split(other)]:
            shown = "TAB" if other == "\t" else other
            hint = f"add --delimiter '{shown}'"
            raise Usage(f"{source} has {shown!r} between its cells", code="Delimiter", hint=hint, on=source)


def _known_column(name: str, position: int, source: str) -> None:
    if not name or name in COLUMNS:
        return
    if _CONTROL.search(name):
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


@dataclass(frozen=True, slots=True)
class Layout:
    """The columns of a file, looked at once for all its lines.

    Attributes:
        columns: their names, in order.
        attributes: those that are attributes, with the attribute's name.
        shadow: those that are initial desired state, with their path.
        plain: whether each has a name, and none of them keeps its white space.

    """

    columns: Sequence[str]
    attributes: Sequence[tuple[str, str]]
    shadow: Sequence[tuple[str, Sequence[str]]]
    plain: bool

    @classmethod
    def of(cls, columns: Sequence[str]) -> Layout:
        """The layout of these columns."""
        attributes = [(name, name.removeprefix("attr:")) for name in columns if name.startswith("attr:")]
        shadow = [(name, name.removeprefix("shadow:").split(".")) for name in columns if name.startswith("shadow:")]
        return cls(columns, attributes, shadow, plain=all(columns) and not shadow)


def parse(cells: Sequence[str], layout: Layout, directory: Path, reading: Reading) -> dict[str, Any]:
    """One line's values, judged.

    Raises:
        Usage: everything that is wrong with the line.

    """
    columns = layout.columns
    if len(cells) > len(columns) and not any(cells[len(columns) :]):
        cells = cells[: len(columns)]  # spreadsheets end some lines with delimiters that the others do not have
    if len(cells) != len(columns):
        raise Usage(f"{text.count(len(cells), 'cell')} where the header has {len(columns)}", code="Cells")
    faults: list[str] = []
    if layout.plain and not _CONTROL.search("".join(cells)):
        values = dict(zip(columns, map(str.strip, cells), strict=True))
    else:
        values = dict(_values(cells, columns, faults))
    spec = _spec(values, layout, reading, faults)
    if not faults and values.get("csr"):
        spec["csr"] = _csr(directory / values["csr"], values["csr"], reading, faults)
    if faults:
        raise Usage("; ".join(faults), code="BadRow")
    return spec


def _values(cells: Sequence[str], columns: Sequence[str], faults: list[str]) -> Iterator[tuple[str, str]]:
    for name, cell in zip(columns, cells, strict=True):
        if _CONTROL.search(cell):
            faults.append(f"the cell of {name or 'a column without a name'} has a control character")
        elif not name:
            if cell.strip():
                faults.append(f"{text.sanitize(cell)!r} stands in a column without a name")
        else:
            yield name, cell if name.startswith("shadow:") else cell.strip()


def _spec(values: Mapping[str, str], layout: Layout, reading: Reading, faults: list[str]) -> dict[str, Any]:
    def checked(rule: names.Rule, value: str) -> str:
        if fault := rule.fault(value):
            faults.append(text.sanitize(fault))
        return value

    # A cell that was refused is not empty too.
    rejected = bool(faults) and THING_NAME not in values
    thing_name = "" if rejected else checked(names.THING_NAME, values.get(THING_NAME, ""))
    thing_type = values.get("thing_type", "")
    billing_group = values.get("billing_group", "")
    policy = values.get("policy") or reading.policy
    policy_name = checked(names.POLICY_NAME, reading.policy_name(policy))
    if policy is not reading.policy and policy.endswith((".json", ".j2")):
        faults.append("a policy cell names a template or a policy of the account; a file goes with --policy")
    if policy == CORE_POLICY and len(thing_name) > names.COMMON_NAME_LENGTH:
        longest = names.COMMON_NAME_LENGTH
        faults.append(
            f"the name of a core may have {longest} characters: its policy knows it by its certificate's name"
        )
    groups, paths, wrong = _groups(values.get("thing_groups", ""))
    faults += wrong
    if thing_type:
        checked(names.THING_TYPE_NAME, thing_type)
    if billing_group:
        checked(names.BILLING_GROUP_NAME, billing_group)
    attributes = {name: values[column] for column, name in layout.attributes if values.get(column)}
    for value in attributes.values():
        checked(names.ATTRIBUTE_VALUE, value)
    most = names.ATTRIBUTES_WITH_TYPE if thing_type else names.ATTRIBUTES_WITHOUT_TYPE
    if len(attributes) + reading.claim > most:
        more = "" if thing_type else "; with a thing_type it may have 50"
        ours = f", and {CLAIM} makes" if reading.claim else ","
        faults.append(f"{len(attributes)} attributes{ours} more than {most}{more}")
    return {
        "thingName": thing_name,
        "thingType": thing_type or None,
        "thingGroups": groups,
        "billingGroup": billing_group or None,
        "policyName": policy_name,
        "attributes": attributes,
        "shadow": _shadow(values, layout, faults) if layout.shadow else None,
        **({"groupPaths": paths} if paths else {}),
    }


@functools.lru_cache(maxsize=4096)
def _groups(cell: str) -> tuple[Sequence[str], Sequence[Sequence[str]], Sequence[str]]:
    """The thing groups that a cell names, where they are (`site/line/press`), and what is wrong with them."""
    paths = [[name.strip() for name in path.split("/")] for path in cell.split(";") if path.strip()]
    groups = sorted({path[-1] for path in paths})
    faults = [
        text.sanitize(fault)
        for name in dict.fromkeys(name for path in paths for name in path)
        if (fault := names.THING_GROUP_NAME.fault(name))
    ]
    if len(groups) > names.GROUPS_PER_THING:
        faults.append(f"{len(groups)} thing groups, more than {names.GROUPS_PER_THING}")
    return groups, sorted(path for path in paths if len(path) > 1), faults


def _shadow(values: Mapping[str, str], layout: Layout, faults: list[str]) -> str | None:
    """The body of the update that sets the initial desired state; None where the row sets nothing."""
    desired: dict[str, Any] = {}
    for name, (*parents, leaf) in layout.shadow:
        cell = values.get(name)
        if not cell:
            continue
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
