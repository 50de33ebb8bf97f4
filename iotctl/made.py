"""What a run made, as its bundles directory tells it; and how its bundles go when it is taken back.

<bundles>/runs/<run>.json    what the run was, and the shared resources that it was about to make; kept before each of
                             them is made, so that no crash leaves one that nobody knows of
<bundles>/devices/<thing>/   config.json names the run that made the bundle; so do those of rotations, `<thing>@2`, ...
<bundles>/rotating/<thing>/  a certificate of a rotation, on its way to its device
<bundles>/revoked/<thing>/   the bundle of a thing whose certificate is gone from the account; never used again

The journal is a cache and may be deleted: what is here is enough to take a run back.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import re
import sqlite3
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from iotctl import bundle, files
from iotctl.errors import Error, Integrity, NotFound

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

RUNS: Final = "runs"
DEVICES: Final = "devices"
REVOKED: Final = "revoked"
ROTATING: Final = "rotating"
RECORD: Final = "file:RecordRun"
REVOKE: Final = "file:RevokeBundle"


@dataclass(frozen=True, slots=True)
class Record:
    """What is known of a run.

    Attributes:
        target: kind, accountId, region.
        shared: what it made for all its things: `op` and the operation's own parameters, in order.

    """

    run_id: str
    command: str
    target: Mapping[str, str]
    shared: Sequence[Mapping[str, Any]]


def record(batch: Sequence[Mapping[str, Any]]) -> list[dict[str, Any] | Error]:
    """The effect `file:RecordRun`: keep what a run is about to make; what it made before stays in the record.

    Args:
        batch: one mapping: `directory` (of the bundles), `runId`, `command`, `target`, `shared`.

    Raises:
        Local: it cannot be written.

    """
    for params in batch:
        directory = Path(params["directory"])
        path = record_path(directory, params["runId"])
        kept: list[Any] = list(read(directory, params["runId"]).shared) if path.exists() else []
        shared = kept + [one for one in params["shared"] if one not in kept]
        if path.exists() and shared == kept:
            continue
        with files.explained(path):
            path.parent.mkdir(files.PRIVATE_DIRECTORY, exist_ok=True)
        content = {
            "version": 1,
            **{key: params[key] for key in ("runId", "command", "target")},
            "shared": shared,
        }
        files.replace(path, (json.dumps(content, indent=2) + "\n").encode())
    return [{} for _ in batch]


def read(directory: Path, run_id: str) -> Record:
    """The record of a run.

    Raises:
        NotFound: there is none. Integrity: it is damaged.

    """
    path = record_path(directory, run_id)
    try:
        content = json.loads(path.read_bytes())
        return Record(content["runId"], content["command"], content["target"], content["shared"])
    except FileNotFoundError as error:
        known = ", ".join(sorted(one.stem for one in path.parent.glob("*.json"))) or "none"
        raise NotFound(f"there is no run {run_id!r} in {directory}", hint=f"known: {known}") from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise Integrity(f"the record {path} is damaged: {error}", hint="restore it from a backup") from error


class Made:
    """The things whose bundles a run made and that are not taken back yet: countable, iterable again and again.

    Each is told as its latest bundle tells it, with the certificates that it had before or is about to have.

    Attributes:
        digest: of their names and certificates; what is left is another digest.
        damaged: directories of which it cannot be said whose bundle they are.
        rotated: whether any of them has another certificate besides.

    """

    def __init__(self, directory: Path, run_id: str) -> None:
        self.damaged: list[Path] = []
        # An empty name is a private temporary database on disk: a million bundles take little memory.
        self._rows = sqlite3.connect("")
        self._rows.execute(
            "CREATE TABLE row (thing TEXT, place TEXT, generation INTEGER, certificate TEXT, config TEXT,"
            " PRIMARY KEY (thing, place, generation)) WITHOUT ROWID"
        )
        self._rows.execute("CREATE INDEX row_by_certificate ON row (certificate)")
        for where in (DEVICES, ROTATING):
            for place in (directory / where).iterdir() if (directory / where).is_dir() else ():
                told = config(place)
                # A copy that somebody put aside is no bundle of its thing: that has one directory for each generation.
                generation = _generation(place, told) if told else 0
                if told is None or not generation:
                    self.damaged.append(place)
                elif told.get("runId") == run_id:
                    values = (told["thingName"], where, generation, told["certificateId"], json.dumps(told))
                    self._rows.execute("INSERT INTO row VALUES (?, ?, ?, ?, ?)", values)
        digest = hashlib.sha256()
        self.rotated = False
        for row in self:
            self.rotated |= bool(row["others"])
            digest.update(f"{' '.join((row['thingName'], row['certificateId'], *row['others']))}\n".encode())
        self.digest = digest.hexdigest()

    def __len__(self) -> int:
        """How many things."""
        (found,) = self._rows.execute("SELECT count(DISTINCT thing) FROM row").fetchone()
        return int(found)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """Each, by name, as its config tells it.

        `others` are the ids of its other certificates; `coming` is the one of a rotation that is under way, where none
        is, the one that it has.
        """
        # What is in place counts before what is under way, the latest of it first.
        found = self._rows.execute(
            "SELECT thing, place, certificate, config FROM row ORDER BY thing, place, generation DESC"
        )
        for number, (_, group) in enumerate(itertools.groupby(found, key=lambda row: row[0]), 1):
            (_, _, certificate, config), *others = group
            coming = next((each[2] for each in others if each[1] == ROTATING), certificate)
            told = {"others": [each[2] for each in others], "coming": coming, "line": number}
            yield {**json.loads(config), **told}

    def certificates(self, of: Sequence[str]) -> frozenset[str]:
        """Those of these certificate ids that are of its things."""
        found = self._rows.execute(
            "SELECT certificate FROM row WHERE certificate IN (SELECT value FROM json_each(?))",
            (json.dumps(list(of)),),
        )
        return frozenset(each for (each,) in found)

    def things(self, of: Sequence[str]) -> frozenset[str]:
        """Those of these thing names that are of its things."""
        found = self._rows.execute(
            "SELECT DISTINCT thing FROM row WHERE thing IN (SELECT value FROM json_each(?))", (json.dumps(list(of)),)
        )
        return frozenset(each for (each,) in found)


def revoke(batch: Sequence[Mapping[str, Any]]) -> list[dict[str, Any] | Error]:
    """The effect `file:RevokeBundle`: the bundles of things whose certificates are gone leave `devices/`.

    Each goes by one rename, those of a thing's rotations before its first. An older one of the same thing stays: the
    next is `<thing>@2`.

    Args:
        batch: one mapping per thing: `directory` (of the bundles), `thingName`, `certificateId`.

    Returns:
        Per thing, in order: `directory`, where its bundle is now; or the error of this one thing.

    Raises:
        Local: the directory cannot be written.

    """
    answers: list[dict[str, Any] | Error] = []
    directory = Path(batch[0]["directory"])
    for params in batch:
        name = bundle.directory_name(params["thingName"])
        with files.explained(directory / DEVICES / name):
            (directory / REVOKED).mkdir(files.PRIVATE_DIRECTORY, exist_ok=True)
            answers.append(_revoked(directory, name, params))
    for parent in (directory / REVOKED, directory / DEVICES):
        with files.explained(parent):
            files.sync_directory(parent)
    return answers


def rotating(directory: Path, thing_name: str) -> list[Path]:
    """The bundles of a rotation of this thing that is under way; the last one counts."""
    name = bundle.directory_name(thing_name)
    found: list[Path] = []
    while (place := directory / ROTATING / bundle.generation(name, len(found) + 1)).is_dir():
        found.append(place)
    return found


def put_away(directory: Path, place: Path) -> Path:
    """Move a bundle to `revoked/`, by one rename; where it is then."""
    (directory / REVOKED).mkdir(files.PRIVATE_DIRECTORY, exist_ok=True)
    name = place.name.partition("@")[0]
    number = 1
    while (gone := directory / REVOKED / bundle.generation(name, number)).exists():
        number += 1
    place.rename(gone)
    return gone


def _revoked(directory: Path, name: str, params: Mapping[str, Any]) -> dict[str, Any] | Error:
    first = directory / DEVICES / name
    place = bundle.newest(first)
    told = config(place)
    if told is None or told["certificateId"] != params["certificateId"]:
        return Integrity(f"the bundle {place} has changed since this began", on=params["thingName"])
    for one in reversed(rotating(directory, params["thingName"])):
        put_away(directory, one)
    while place != first:
        put_away(directory, place)
        place = bundle.newest(first)
    return {"directory": str(put_away(directory, first) if first.exists() else directory / REVOKED)}


def config(place: Path) -> dict[str, Any] | None:
    """What the config of a bundle tells; None where it is damaged. Nothing else of the bundle is looked at."""
    try:
        found = json.loads((place / bundle.CONFIG).read_bytes())
        return found if found["thingName"] and found["certificateId"] else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _generation(place: Path, told: Mapping[str, Any]) -> int:
    """Which bundle of its thing it is by its name, from 1 on; 0: none."""
    name, (_, _, written) = bundle.directory_name(told["thingName"]), place.name.partition("@")
    number = int(written) if written.isdecimal() else 1
    return number if place.name == bundle.generation(name, number) else 0


def record_path(directory: Path, run_id: str) -> Path:
    """Where the record of a run is."""
    # Run ids are typed by people too: no word of theirs leads elsewhere.
    return directory / RUNS / f"{re.sub('[^0-9A-Za-z]', '_', run_id)}.json"
